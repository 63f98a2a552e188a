"""The training corpus: rendered once, then served as augmented segments.

A corpus is a folder with one int16 array per kind of sound at 24 kHz and a ``corpus.json`` that lists where
each came from. Rendering is split into jobs with a seed each, so the same machine renders the same corpus, and a
rendering that was interrupted goes on. Of recordings, one speaker in twelve is held out (:func:`is_held_out`).
Segments of step ``s`` are drawn from a generator seeded by ``(seed, s)``: training resumes without any state.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from scipy.signal import resample_poly
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import replacing, sha256_of, write_text
from fmri_audio.base.settings import project_root
from fmri_audio.base.stored import is_whole, seal_of, write_seal
from fmri_audio.sound.audio import SAMPLE_RATE, read_mono
from programs.codec_training import synthesis, texts, voices

SYNTHETIC: tuple[Callable[[np.random.Generator, float], np.ndarray], ...] = (
    synthesis.voiced,
    synthesis.chords,
    synthesis.noises,
    synthesis.impacts,
    synthesis.sweeps,
)
SPEAKERS = {"natural": voices.natural, "speech": voices.older}
NARROW = {"tones": synthesis.tones, "bands": synthesis.band}
TRAINED_ON = "train-speech"
"""Name of the folder of recordings for training; its neighbours are never trained on."""

_SOUND_FILES = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".mp4", ".m4a", ".m4v")
_JOB_SECONDS = 24.0
_OR = " or "  # between kinds of sound
_PIECES = {"natural": 5, "speech": 6}  # sentences of a piece
_HELD_OUT = 12  # one speaker in so many


@dataclass(frozen=True)
class Job:
    """One rendering: the ``index``-th piece of ``kind``."""

    kind: str
    index: int
    seed: int


def is_held_out(file: Path) -> bool:
    """Whether a recording's speaker, who has a folder of that name, is one whom training does not hear."""
    return int.from_bytes(sha256(file.parent.name.encode()).digest()[:4]) % _HELD_OUT == 0


def render(
    folder: Path,
    minutes: dict[str, float],
    seed: int,
    data: Path | None = None,
    workers: int = 1,
    held_out: bool = False,
) -> dict[str, str]:
    """Render (or reuse) a corpus and say what is in it.

    Parameters
    ----------
    folder : Path
        Where the arrays go. Left alone when it already holds this corpus.
    minutes : dict
        How much of ``natural`` and ``speech`` (natural voices, older synthesisers), ``music``, ``synthetic``,
        ``tones`` and ``bands`` to make.
    seed : int
        Of the rendering.
    data : Path, optional
        Folder of recordings to add, searched recursively.
    workers : int
        Processes that render.
    held_out : bool
        Take the recordings of the speakers that are held out, not those of the others.

    Returns
    -------
    dict
        What each kind consists of, in words.

    Raises
    ------
    UserError
        If ``data`` is no folder, holds no sound to train on, or sound that is kept apart (:func:`refuse_kept_apart`).
    """
    wanted = {
        "minutes": minutes,
        "seed": seed,
        "data": str(data) if data else None,
        "held_out": held_out,
        "texts": sha256_of(texts.PROSE),
    }
    listing = folder / "corpus.json"
    if is_whole(seal_of(listing), [listing, *folder.glob("*.npy")]):
        known = json.loads(listing.read_text(encoding="utf-8"))
        if known["wanted"] == wanted:
            return dict(known["contents"])
    files = [] if data is None else _recordings(data, held_out)  # before the work, not after it
    folder.mkdir(parents=True, exist_ok=True)
    contents: dict[str, str] = {}
    for kind, amount in minutes.items():
        contents[kind] = _describe(kind)
        jobs = [Job(kind, index, seed) for index in range(round(amount * 60 / _JOB_SECONDS))]
        parts = folder / f".{kind}-{_digest([wanted, contents[kind]])}"
        if contents[kind].startswith("none"):
            print(f"corpus: {kind}: {contents[kind]}", flush=True)
            continue
        _write(folder, kind, _rendered(jobs, parts, workers))
        shutil.rmtree(parts)
        print(f"corpus: {kind}: {amount:g} minutes of {contents[kind]}", flush=True)
    if files:
        _write(folder, "recordings", [_int16(read_mono(f, SAMPLE_RATE).waveform) for f in files])
        minutes_read = len(np.load(folder / "recordings.npy", mmap_mode="r")) / SAMPLE_RATE / 60
        contents["recordings"] = f"{len(files)} files of the folder given, {minutes_read:.0f} minutes"
        print(f"corpus: recordings: {contents['recordings']}", flush=True)
    write_text(listing, json.dumps({"wanted": wanted, "contents": contents}, indent=1))
    write_seal(seal_of(listing), [listing, *folder.glob("*.npy")])
    return contents


def contents_of(folder: Path) -> dict[str, str]:
    """Return what each kind of a rendered corpus consists of, in words.

    Raises
    ------
    UserError
        If the folder is no rendered corpus.
    """
    try:
        return dict(json.loads((folder / "corpus.json").read_text(encoding="utf-8"))["contents"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder}: holds no corpus.json: render a corpus there first") from None


class Segments:
    """Augmented segments from a rendered corpus.

    Parameters
    ----------
    folder : Path
        Of :func:`render`.
    seconds : float
        Length of a segment.
    seed : int
        Of the drawing.
    per_batch : mapping of str to int, optional
        How many segments of each kind make a batch, in this order; ``a or b`` is one of these kinds, drawn each time.
        Where the corpus has none of them, any kind is drawn, and that is said. Without it all kinds are drawn.
    augmented : float, optional
        Share of the segments that are mixed with others, with noise, an equaliser or a room; all are levelled.

    Raises
    ------
    UserError
        If the folder holds no sound.
    """

    _SHARES: ClassVar[dict[str, float]] = {
        "recordings": 3.0,
        "natural": 2.0,
        "speech": 0.6,
        "music": 0.6,
        "synthetic": 0.3,
        "tones": 0.4,
        "bands": 0.2,
    }

    def __init__(
        self,
        folder: Path,
        seconds: float,
        seed: int,
        per_batch: Mapping[str, int] | None = None,
        augmented: float = 1.0,
    ) -> None:
        self.pools = {f.stem: np.load(f, mmap_mode="r") for f in sorted(folder.glob("*.npy"))}
        if not self.pools:
            raise UserError(
                f"{folder}: the corpus is empty; install flite, espeak-ng or fluidsynth, or give recordings"
            )
        self.plan = [
            [kind for kind in kinds.split(_OR) if kind in self.pools]
            for kinds, count in (per_batch or {}).items()
            for _ in range(count)
        ]
        if missing := [kinds for kinds in per_batch or () if not self.pools.keys() & kinds.split(_OR)]:
            print(
                f"{folder}: no {', no '.join(missing)}: any kind of sound takes that place in a batch",
                flush=True,
            )
        shares = np.array([self._SHARES.get(kind, 0.0) for kind in self.pools])
        self.kinds, self.shares = list(self.pools), shares / shares.sum()
        self.n, self.seed, self.augmented = round(seconds * SAMPLE_RATE), seed, augmented

    def batches(self, first: int, size: int, workers: int) -> Iterator[Tensor]:
        """Batches of step ``first`` and all that follow, made by so many processes in the background (0: here)."""
        steps = range(first, first + 10_000_000)
        here = _Batches(self, size)
        if not workers:
            return map(here.__getitem__, steps)
        return iter(DataLoader(here, batch_size=None, sampler=steps, num_workers=workers, prefetch_factor=8))

    def batch(self, step: int, size: int) -> np.ndarray:
        """Segments ``[size, n]`` (float32) of a training step."""
        rng = np.random.default_rng([self.seed, step])
        return np.stack([self._segment(rng, kinds) for kinds in self.plan or [[]] * size]).astype(np.float32)

    def _segment(self, rng: np.random.Generator, kinds: list[str]) -> np.ndarray:
        kind = str(rng.choice(kinds)) if len(kinds) > 1 else kinds[0] if kinds else None
        x = self._crop(rng, kind)
        if self.augmented < 1 and rng.random() >= self.augmented:
            return _levelled(x, rng)
        if rng.random() < 0.2:
            x = x + 10 ** rng.uniform(-1.2, -0.2) * self._crop(rng, kind)
        if rng.random() < 0.15:
            x = x + 10 ** rng.uniform(-2.5, -1.2) * rng.standard_normal(self.n)
        return _levelled(_coloured(x, rng), rng)

    def _crop(self, rng: np.random.Generator, kind: str | None) -> np.ndarray:
        pool = self.pools[kind or self.kinds[rng.choice(len(self.kinds), p=self.shares)]]
        first = int(rng.integers(len(pool) - self.n))
        x = pool[first : first + self.n].astype(np.float64)
        return np.asarray(x / (x.std() + 30.0))  # of ±32767: pauses stay quieter than speech


class _Batches(Dataset[Tensor]):
    """The batches of a run, by step."""

    def __init__(self, segments: Segments, size: int) -> None:
        self.segments, self.size = segments, size

    def __getitem__(self, step: int) -> Tensor:
        return torch.from_numpy(self.segments.batch(step, self.size))


def _coloured(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random smooth equaliser (±8 dB), and for some a small room."""
    if rng.random() < 0.3:
        return x
    spectrum = np.fft.rfft(x, 2 * len(x))
    octaves = np.log2(np.linspace(0, SAMPLE_RATE / 2, len(spectrum)) + 60)
    knots = np.linspace(octaves[0], octaves[-1], 6)
    spectrum *= 10 ** (np.interp(octaves, knots, rng.uniform(-8, 8, 6)) / 20)
    if rng.random() < 0.3:
        tail = rng.standard_normal(len(x)) * np.exp(
            -np.arange(len(x)) / SAMPLE_RATE * 6.9 / rng.uniform(0.08, 0.7)
        )
        tail *= rng.uniform(0.05, 0.7) / np.sqrt(np.sum(tail**2))
        tail[0] = 1.0
        spectrum *= np.fft.rfft(tail, 2 * len(x))
    return np.fft.irfft(spectrum)[: len(x)]


def _levelled(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At a random level of −34 to −14 dBFS (root mean square of loud segments), never clipped."""
    x = x * 10 ** (rng.uniform(-34, -14) / 20)
    return np.asarray(x * min(1.0, 0.98 / (np.abs(x).max() + 1e-9)) * rng.choice([-1.0, 1.0]))


def _describe(kind: str) -> str:
    if kind in SPEAKERS:
        found, wanted = (
            set(SPEAKERS[kind]()),
            "Kokoro or hibari" if kind == "natural" else "flite, festival or espeak-ng",
        )
        programs = sorted({v.program for v in found})
        return f"{len(found)} voices of {', '.join(programs)}" if found else f"none (no {wanted} here)"
    if kind == "music":
        return (
            "random MIDI by fluidsynth"
            if synthesis.sound_font()
            else "none (no fluidsynth with a sound font here)"
        )
    if kind in NARROW:
        return f"computed {kind}"
    return "computed vowels, chords, noises, impacts, sweeps"


def _rendered(jobs: list[Job], parts: Path, workers: int) -> list[np.ndarray]:
    """Every job's piece; one that an interrupted rendering left in the folder ``parts`` is not made again."""
    parts.mkdir(exist_ok=True)
    make = functools.partial(_render_into, parts)
    if workers == 1:
        done = [make(job) for job in jobs]
    else:
        with ProcessPoolExecutor(workers) as pool:
            done = list(pool.map(make, jobs, chunksize=1))
    return [np.load(part) for part in done]


def _render_into(parts: Path, job: Job) -> Path:
    part = parts / f"{job.index}.npy"
    if not part.exists():
        with replacing(part) as temporary, temporary.open("wb") as stream:
            np.save(stream, _render_job(job))
    return part


def _render_job(job: Job) -> np.ndarray:
    """One piece as int16 at 24 kHz; speech and music at a random speed (0.8 to 1.25)."""
    rng = np.random.default_rng([job.seed, sum(job.kind.encode()), job.index])
    if job.kind == "synthetic":
        return _int16(SYNTHETIC[job.index % len(SYNTHETIC)](rng, _JOB_SECONDS))
    if job.kind in NARROW:
        return _int16(synthesis.narrow(rng, _JOB_SECONDS, NARROW[job.kind]))
    if job.kind == "music":
        return _int16(_at_speed(synthesis.played(rng, _JOB_SECONDS), SAMPLE_RATE, rng))
    found = SPEAKERS[job.kind]()
    samples, rate = voices.speak(found[job.index % len(found)], rng, _PIECES[job.kind])
    return _int16(_at_speed(samples, rate, rng)[: int(_JOB_SECONDS * SAMPLE_RATE)])


def _at_speed(x: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    ratio = Fraction(SAMPLE_RATE / rate / rng.uniform(0.8, 1.25)).limit_denominator(60)
    return np.asarray(resample_poly(x, ratio.numerator, ratio.denominator))


def _int16(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / (np.abs(x).max() + 1e-9) * 30_000, np.int16)


def _digest(what: object) -> str:
    return sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def refuse_kept_apart(data: Path) -> None:
    """Refuse a folder with sound that nothing is trained on.

    That is the play, and whatever lies beside a folder ``train-speech``: by those recordings results are measured.

    Raises
    ------
    UserError
        If ``data`` is such a folder, lies in one or contains one.
    """
    folder, play = data.resolve(), project_root() / "stimulus"
    if folder.is_relative_to(play) or play.is_relative_to(folder):
        raise UserError(
            f"{data}: holds the radio play, which nothing is trained on; give a folder of recordings"
        )
    for above in (folder, *folder.parents):
        if (above / TRAINED_ON).is_dir() and not folder.is_relative_to(above / TRAINED_ON):
            raise UserError(
                f"{data}: holds recordings by which results are measured; give {above / TRAINED_ON}, the folder for "
                "training"
            )


def _recordings(data: Path, held_out: bool) -> list[Path]:
    """The sound files of the speakers that are held out, or of the others; those outside any subfolder are no one's."""
    files = _sound_files(data)
    found = [file for file in files if (file.parent != data and is_held_out(file)) == held_out]
    if not found and not held_out:
        folders = ", ".join(sorted({file.parent.name for file in files}))
        raise UserError(
            f"{data}: all of its speakers are held out ({folders}): give a folder with others too"
        )
    return found


def _sound_files(data: Path) -> list[Path]:
    if not data.is_dir():
        raise UserError(f"{data}: no such folder of recordings")
    refuse_kept_apart(data)
    files = sorted(f for f in data.rglob("*") if f.suffix.lower() in _SOUND_FILES)
    if not files:
        raise UserError(f"{data}: holds no sound files ({', '.join(_SOUND_FILES)})")
    return files


def _write(folder: Path, kind: str, pieces: list[np.ndarray]) -> None:
    temporary = folder / f".{kind}.npy"
    np.save(temporary, np.concatenate(pieces))
    os.replace(temporary, folder / f"{kind}.npy")
