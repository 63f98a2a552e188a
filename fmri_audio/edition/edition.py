"""The edition at work: what every chapter opens. Expensive things are made once and kept under the build folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fmri_audio.base import results
from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing, to_json, write_if_changed
from fmri_audio.base.fingerprint import fingerprint
from fmri_audio.base.settings import (
    NAMED_CODECS,
    SIMULATE,
    Settings,
    load_settings,
    project_root,
)
from fmri_audio.base.stored import (
    is_whole,
    load_array,
    matches,
    one_at_a_time,
    save_array,
    seal_of,
    write_seal,
)
from fmri_audio.base.timeline import run_samples
from fmri_audio.brain.masks import NAMED_MASKS
from fmri_audio.edition.parts import check_parts
from fmri_audio.sound import segments
from fmri_audio.sound.segments import Window
from fmri_audio.study.stimulus import PLAY, Stimulus, identity, is_measured, prepared

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint
    from fmri_audio.codec.second_decoder import SecondDecoder
    from fmri_audio.representations.encodec import EncodecCodes
    from fmri_audio.study.reader import Study


@dataclass(frozen=True)
class Encoding:
    """The whole stimulus as EnCodec sees it, once for all bandwidths.

    Attributes
    ----------
    latents : array of shape [D, L], float32; before quantisation
    codes : array of shape [K, L], int64; all codebooks: the first k are the codes at a bandwidth of k
    """

    latents: NDArray[np.float32]
    codes: NDArray[np.int64]


class Edition:
    """One edition of the book, at one bandwidth, with everything a chapter needs.

    Use :meth:`open`. Expensive things are made on first use and kept under the build folder.
    """

    def __init__(self, settings: Settings, bandwidth: float, build: Path) -> None:
        self.settings = settings
        self.bandwidth = bandwidth
        self.build = build

    @classmethod
    def open(
        cls, edition: str | Path = "demo", bandwidth: float | None = None, build: str | Path = ""
    ) -> Edition:
        """Open an edition.

        Parameters
        ----------
        edition
            A name in ``config/`` or the path of an edition file.
        bandwidth
            Codec bandwidth in kbps; the edition's main bandwidth unless given.
        build
            Folder for results; ``build/<edition>`` of the project unless given.

        Raises
        ------
        UserError
            No such edition, a setting that makes no sense, or a bandwidth that the codec does not have.
        """
        settings = absolute(load_settings(edition))
        check_parts(settings)
        folder = Path(build) if str(build) else project_root() / "build" / settings.edition
        opened = cls(
            settings, settings.main_bandwidth if bandwidth is None else float(bandwidth), folder.absolute()
        )
        if bandwidth is not None:
            check_bandwidths([opened.bandwidth], opened.checkpoint)
        return opened

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The codec's weights, on the GPU when there is one."""
        import torch

        from fmri_audio.codec import checkpoints

        loaded = checkpoints.load(self.settings.codec)
        if loaded.model.segment is not None:
            raise UserError(
                f"codec: {loaded.id} takes stereo in segments, the book needs one stream of mono: choose `demo`, "
                "`released` or another 24 kHz checkpoint"
            )
        loaded.model.to("cuda" if torch.cuda.is_available() else "cpu")
        return loaded

    @cached_property
    def decoder(self) -> SecondDecoder | None:
        """What makes sound of codes where it is not the codec's own decoder."""
        if self.settings.decoder == results.OWN_DECODER:
            return None
        from fmri_audio.codec.second_decoder import decoder_for

        return decoder_for(self.checkpoint)

    @property
    def bandwidths(self) -> list[float]:
        """The edition's bandwidths in kbps, ascending."""
        if self.settings.bandwidths == "all":
            return [float(value) for value in sorted(self.checkpoint.model.target_bandwidths)]
        check_bandwidths(self.settings.bandwidths, self.checkpoint)
        return sorted(self.settings.bandwidths)

    @cached_property
    def stimulus(self) -> Stimulus:
        """The sound, prepared once into ``<build>/stimulus``."""
        return _prepared(self.settings, self.build / "stimulus")

    @cached_property
    def encoding(self) -> Encoding:
        """Latents and codes of the whole stimulus, computed once and kept under their content's hash."""
        path = self.cache / f"encoding-{self._encoding_key}.npz"
        if not is_whole(seal_of(path), [path]):
            _encode(self.stimulus, self.checkpoint, path)
        with np.load(path) as stored:
            return Encoding(stored["latents"], stored["codes"].astype(np.int64))

    @property
    def n_codebooks(self) -> int:
        """Codebooks at this bandwidth."""
        quantizer = self.checkpoint.model.quantizer
        return int(
            quantizer.get_num_quantizers_for_bandwidth(self.checkpoint.model.frame_rate, self.bandwidth)
        )

    @property
    def codes(self) -> NDArray[np.int64]:
        """Codes of the whole stimulus at this bandwidth, [K, L]."""
        return self.encoding.codes[: self.n_codebooks]

    @cached_property
    def decoded(self) -> NDArray[np.float32]:
        """The whole stimulus after encoding and decoding at this bandwidth, [T], computed once."""
        from fmri_audio.representations.encodec import EncodecCodes

        path = self.cache / f"decoded-{self._encoding_key}-{self.n_codebooks}{self._decoder_key}.npy"
        stored = load_array(path)
        if stored is None:
            codec = EncodecCodes(self.checkpoint, self.bandwidth, self.decoder)
            stored = _decode(self.codes, self.stimulus, codec)
            save_array(path, stored)
        return np.asarray(stored, np.float32)

    @property
    def cache(self) -> Path:
        """Folder of what several editions can share: ``build/cache``, or inside a build folder elsewhere."""
        shared = project_root() / "build"
        return shared / "cache" if self.build.parent.resolve() == shared.resolve() else self.build / "cache"

    def windows(
        self, kind: str = "speech", within: tuple[float, float] | None = None, count: int | None = None
    ) -> list[Window]:
        """Return the stretches of one kind that are scored, the same ones at every bandwidth.

        Windows have the edition's length (``windows.seconds``); a shorter stretch counts if it has at least 8 s
        of speech, or at least a clip's length of another kind. There are at most ``windows.n_windows``.

        Parameters
        ----------
        kind
            speech, music, silence or ambience.
        within
            Only windows between these two moments, in seconds.
        count
            Most windows, instead of the edition's.
        """
        wanted = self.settings.windows
        shortest = 8.0 if kind == "speech" else wanted.clip_seconds
        return segments.choose_windows(
            self.stimulus.segments,
            kind,
            wanted.seconds,
            count or wanted.n_windows,
            shortest,
            within or (0.0, self.stimulus.seconds),
        )

    @cached_property
    def study(self) -> Study:
        """The brains: the study on disk that the settings name, or one simulated into ``<build>/study``.

        Of a study on disk, those subjects whose scans hold filler at a TR of the stimulus are left out.
        """
        from fmri_audio.study.reader import Study

        wanted = self.settings.study
        if is_measured(self.settings):
            whole = Study.open(str(wanted.source), task=wanted.task, story=wanted.story, space=wanted.space)
            return whole.with_data_at(self.stimulus.rows)
        folder = self.build / "study"
        with one_at_a_time(self.build / "study.lock"):
            if not _is_simulated(self.settings, folder):
                _simulate(self.settings, self.stimulus, folder)
        return Study.open(folder)

    def write_records(
        self, chapter: str, records: Iterable[results.Record], per_bandwidth: bool = False
    ) -> Path:
        """Write a chapter's table to ``<build>/results``; what is alike everywhere is filled in where empty.

        That is edition, hardware and material, what decoded where a codec is named, and the noise of a condition at
        its usual level.
        """
        suffix = f"-{self.bandwidth:g}kbps" if per_bandwidth else ""
        path = self.build / "results" / f"{chapter}{suffix}.csv"
        common = {
            "edition": self.settings.edition,
            "hardware": results.hardware(),
            "material": self.material,
        }
        results.write(path, [results.fill(record, **common, **self._implied(record)) for record in records])
        return path

    def _implied(self, record: results.Record) -> dict[str, str]:
        """What follows from a record's codec and condition, unless it says otherwise.

        The second decoder is given codes alone; what an arm makes of latents goes through the codec's own.
        """
        noise = {"noise-free": results.noise_of(0), "voxel-noise": results.noise_of(1)}
        of_codes = record.arm == "roundtrip" and record.representation == "encodec-codes"
        found = {"noise": noise[record.condition]} if record.condition in noise else {}
        if record.codec:
            found["decoder"] = self.settings.decoder if of_codes else results.OWN_DECODER
        return found

    @property
    def material(self) -> str:
        """What the column ``material`` says of the edition's sound."""
        return results.PLAY if self.settings.stimulus.source == PLAY else results.RECORDINGS

    def records(self, *chapters: str) -> pd.DataFrame:
        """Read the tables that chapters wrote, at all bandwidths of the edition.

        Raises
        ------
        UserError
            A chapter has no table yet.
        """
        folder = self.build / "results"
        paths: list[Path] = []
        for chapter in chapters:
            names = [f"{chapter}.csv", *(f"{chapter}-{bandwidth:g}kbps.csv" for bandwidth in self.bandwidths)]
            found = [folder / name for name in names if (folder / name).is_file()]
            if not found:
                raise UserError(
                    f"{folder}/{chapter}*.csv: not there yet; execute chapter {chapter} first (make book)"
                )
            paths += found
        return results.read(paths)

    @property
    def _encoding_key(self) -> str:
        """Hash of all that decides the encoding: the sound, the weights, and the code that applies them."""
        digest = hashlib.sha256(self.stimulus.waveform.tobytes())
        digest.update(repr((self.stimulus.runs, self.stimulus.tr)).encode())
        digest.update(self.checkpoint.sha256.encode())
        digest.update(fingerprint("fmri_audio.representations.encodec").encode())
        return digest.hexdigest()[:16]

    @property
    def _decoder_key(self) -> str:
        """What tells apart the sound of a second decoder: its weights, and the code that applies them."""
        if self.decoder is None:
            return ""
        code = fingerprint("fmri_audio.codec.second_decoder")
        return "-" + hashlib.sha256(f"{self.decoder.vocoder.sha256} {code}".encode()).hexdigest()[:16]


def absolute(settings: Settings) -> Settings:
    """Return settings whose paths count from the project's folder, made absolute."""
    root = project_root()

    def full(value: str | None, names: Sequence[str]) -> str | None:
        return value if value is None or value in names else str((root / Path(value).expanduser()).absolute())

    source = settings.stimulus.source
    films = source if not isinstance(source, dict) else {run: full(film, []) for run, film in source.items()}
    stimulus = settings.stimulus.model_copy(
        update={
            "source": films if isinstance(films, dict) else full(films, [PLAY]),
            "segments": full(settings.stimulus.segments, []),
        }
    )
    study = settings.study.model_copy(
        update={
            "source": full(settings.study.source, [SIMULATE]),
            "mask": full(settings.study.mask, NAMED_MASKS),
        }
    )
    codec = full(settings.codec, NAMED_CODECS)
    return settings.model_copy(update={"stimulus": stimulus, "study": study, "codec": codec})


def check_bandwidths(wanted: Iterable[float], checkpoint: Checkpoint) -> None:
    """Raise a UserError unless the codec has all these bandwidths."""
    have = sorted(checkpoint.model.target_bandwidths)
    for bandwidth in wanted:
        if bandwidth not in have:
            listed = ", ".join(f"{value:g}" for value in have)
            raise UserError(
                f"bandwidth {bandwidth:g} kbps: {checkpoint.id} does not have it; choose from {listed}"
            )


def _encode(stimulus: Stimulus, checkpoint: Checkpoint, path: Path) -> None:
    """Encode every run as one stream with all codebooks, and store latents and codes of all runs joined.

    The codec starts afresh with a run, as the listener in the scanner does: it must not remember the run before.
    """
    import torch

    from fmri_audio.representations.encodec import EncodecLatents

    representation = EncodecLatents(checkpoint)
    if representation.sample_rate != stimulus.sample_rate:
        raise UserError(
            f"{checkpoint.id} works at {representation.sample_rate} Hz, the stimulus is at {stimulus.sample_rate} Hz"
        )
    spans = run_samples(stimulus.runs, stimulus.sample_rate, stimulus.tr, representation.hop_length)
    waveform = torch.from_numpy(stimulus.waveform)
    with torch.inference_mode():
        latents = torch.cat([representation.analyse(waveform[None, None, a:b]) for a, b in spans], dim=-1)
        codes = representation.latents_to_codes(latents, representation.n_codebooks)
    with replacing(path) as temporary:
        np.savez(temporary, latents=latents[0].numpy(), codes=codes[0].numpy().astype(np.int16))
    write_seal(seal_of(path), [path])


def _decode(
    codes: NDArray[np.int64], stimulus: Stimulus, representation: EncodecCodes
) -> NDArray[np.float32]:
    """Decode codes [K, L], every run from rest."""
    import torch

    hop = representation.hop_length
    spans = run_samples(stimulus.runs, stimulus.sample_rate, stimulus.tr, hop)
    with torch.inference_mode():
        waveforms = [
            representation.synthesise(torch.from_numpy(codes[None, :, a // hop : -(-b // hop)]), b - a)[0, 0]
            for a, b in spans
        ]
    decoded: NDArray[np.float32] = torch.cat(waveforms).numpy()
    return decoded


def _prepared(settings: Settings, folder: Path) -> Stimulus:
    """The prepared sound, from its folder if that holds what was stored there."""
    files = [folder / name for name in ("waveform.npy", "segments.tsv", "done.json")]
    if not is_whole(seal_of(folder), files):
        files[-1].unlink(missing_ok=True)  # which says that the rest is whole
    stimulus = prepared(settings, folder)
    if not matches(seal_of(folder), files):
        write_seal(seal_of(folder), files)
    return stimulus


def _study_fingerprint(settings: Settings) -> str:
    """Hash all that decides a simulated study."""
    code = fingerprint("fmri_audio.simulation.simulator")
    facts = [identity(settings), settings.study.model_dump_json(), str(settings.seed), code]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _simulate(settings: Settings, stimulus: Stimulus, folder: Path) -> None:
    """Write a study of brains that hear the stimulus."""
    from fmri_audio.simulation.simulator import simulate_study

    wanted = settings.study
    if seal_of(folder).is_file():
        shutil.rmtree(folder, ignore_errors=True)  # it is ours, and may be too damaged to say so
    simulate_study(
        folder,
        stimulus.waveform,
        stimulus.sample_rate,
        n_subjects=wanted.n_subjects,
        n_trs=stimulus.n_trs,
        shape=wanted.shape,
        seed=settings.seed,
        strength=wanted.strength,
        variant=wanted.variant,
        voxels=wanted.voxels,
        features=wanted.features,
        tr=settings.tr,
        runs=stimulus.runs,
        overwrite=True,
    )
    write_seal(seal_of(folder), _files(folder))
    write_if_changed(folder.with_suffix(".json"), _study_facts(settings))


def _is_simulated(settings: Settings, folder: Path) -> bool:
    """Whether a folder holds the study that the settings ask for, as it was written."""
    marker = folder.with_suffix(".json")
    current = marker.is_file() and marker.read_bytes() == _study_facts(settings).encode()
    return current and is_whole(seal_of(folder), _files(folder))


def _study_facts(settings: Settings) -> str:
    """What ``study.json`` says of a simulated study."""
    return to_json({"fingerprint": _study_fingerprint(settings)})


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
