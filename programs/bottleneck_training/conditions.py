"""What the sound side of the ladder is measured in: every condition, how its sounds are made, and how they are scored.

Windows are held-out speech: the recordings by which the codec is measured, and the play. What headlines stand on is
measured in all of them (:attr:`Job.everywhere`), the sweeps beside it in fewer of the voices that speak most.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fmri_audio.base.files import sha256_of, write_text
from fmri_audio.base.fingerprint import fingerprint, source_hash
from fmri_audio.base.kinds import Waveform
from fmri_audio.base.settings import VOXELS, Voxels
from fmri_audio.bottleneck.clock import Clock
from fmri_audio.bottleneck.coder_files import coder_file, load
from fmri_audio.bottleneck.coders import CODERS, Coder
from fmri_audio.bottleneck.coders.latents import FrozenCoder
from fmri_audio.bottleneck.coders.mel import MelCoder
from fmri_audio.bottleneck.nested import prefix, received, white
from fmri_audio.codec import checkpoints
from fmri_audio.experiments.ladder import TR, Condition, Score
from fmri_audio.experiments.window_scores import window_scores
from fmri_audio.representations.encodec import EncodecCodes
from fmri_audio.representations.mel import MelGriffinLim, QuantisedMel
from fmri_audio.representations.mel_vocoder import MelVocoder, QuantisedMelVocoder, open_vocoder, vocoder_file
from fmri_audio.sound import noises
from fmri_audio.sound.audio import SAMPLE_RATE
from fmri_audio.sound.recognition import word_errors
from programs.bottleneck_training import components, dithered, language, rungs
from programs.bottleneck_training.components import pca_of, training_sound
from programs.bottleneck_training.rungs import Known
from programs.bottleneck_training.windows import Sounds

MAIN = (128, 256, 512, 844)
"""Numbers per TR of 1.5 s on which headlines stand."""

BESIDE = (16, 64, 2048)
"""Other widths. At all widths principal components and the arm's own untrained start stand beside the trained one."""

SIGMA = 0.1
"""Noise of the channel at :data:`MAIN`."""

CHECKED_AT = 256
"""Width at which principal components stand in that noise too, and a mel code is given the original's phase."""

SWEPT, SWEPT_AT = (0.3, 1.0), 512
"""More noise, and the width that is sent in it."""

ALIKE = {("finetuned", "pca"), ("finetuned", "start")}
"""Arms that begin as the frozen one does, and how: their codec has not moved yet."""

BESIDE_AT = 512
"""Width at which runs that differ in one thing (:func:`beside_files`) are heard."""

BESIDE_PARTS = (r"inner\d+", "random", r"sound[\d.]+", r"steps\d+", r"seed\d+")
"""How files of such runs are named."""

STREAM_WIDTH = 256
"""Width at which codes are quantised and coded, to confirm what the channel is said to have."""

OWN_PHASE = "own phase"
"""How a trained mel code is made that is given the original's phase."""

THROUGH_VOXELS = (("mel-vocoder", 128), ("mel-vocoder", 512), ("frozen", 512))
"""Arms and widths that go through voxels; the first of them by every model of a voxel."""

NOISES, GROUPS_OF = (0.25, 1.0, 4.0), (1, 3, 17)
"""Times a brain's noise, and numbers of subjects."""

KNOWN: tuple[Known, Known] = ("", "other")
"""What a decoder of voxels is given: what was read, and beside it the same of another moment."""

MIDDLE: Voxels = "between"
"""Model of a voxel that all is measured with; the others stand beside it."""

INDEX_BOOKS = (1, 2, 4, 7)
"""Codebooks whose indices are sent as numbers: 112.5 per TR each."""

_OTHERS = ("fmri_audio.representations.encodec", "fmri_audio.representations.mel_vocoder")
_SCORING = ("fmri_audio.experiments.window_scores", "fmri_audio.sound.recognition.words")

Transform = Callable[[Waveform], Waveform]
Encode = Callable[[Coder, Waveform], NDArray[np.float32]]


# -- what windows go through ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One condition, what makes its sounds, and another condition whose sounds are the same, if there is one.

    ``everywhere``: it is measured in all windows, not in :attr:`Sounds.fewer` of them.
    """

    condition: Condition
    make: Callable[[], Transform] | None = None
    make_all: Callable[[Sounds], Sequence[Waveform | None]] | None = None
    same_as: Condition | None = None
    everywhere: bool = False

    @property
    def measured(self) -> Condition:
        """The condition that is measured for it."""
        return self.same_as or self.condition

    def waves(self, sounds: Sounds) -> Iterator[Waveform | None]:
        """What comes out of all windows, in their order; None where nothing does or nothing is measured."""
        wanted = [self.everywhere or one.window in sounds.fewer for one in sounds.windows]
        if self.make_all is not None:
            for one, made in zip(wanted, self.make_all(sounds), strict=True):
                yield made if one else None
        elif self.make is not None:
            make = self.make()
            for one, wave in zip(wanted, sounds.waves, strict=True):
                yield make(wave) if one else None


def through(
    coder: Coder, dimensions: int, sigma: float, seed: int, wave: Waveform, encode: Encode = Coder.encode
) -> Waveform:
    """A sound after so many numbers per step, in white noise of so much."""
    r = prefix(dimensions, coder.code.dimensions) * white(sigma)
    code = torch.from_numpy(encode(coder, wave))
    digest = hashlib.sha256(wave.tobytes()).digest()[:6]
    generator = torch.Generator().manual_seed(seed + int.from_bytes(digest))
    got = received(code, r, generator)
    return coder.decode(got.numpy(), r.numpy(), len(wave))


@torch.no_grad()
def with_own_phase(coder: Coder, dimensions: int, wave: Waveform) -> Waveform:
    """A sound after a code of a mel spectrogram, with the phase that it had: what guessing phase costs is left out."""
    if not isinstance(coder, MelCoder):
        raise TypeError(f"{coder.name} makes no phase up from a mel spectrogram")
    r = prefix(dimensions, coder.code.dimensions)
    restored = coder.code.decode(torch.from_numpy(coder.encode(wave))[None] * r, r)
    n_samples = restored.shape[-1] * coder.hop_length
    sound = torch.from_numpy(np.pad(wave, (0, n_samples - len(wave))))[None, None]
    magnitude = coder.mel.magnitude(coder._centred(restored))
    return np.asarray(
        coder.mel.with_phase(magnitude, coder.mel.spectrum(sound), n_samples)[0, 0, : len(wave)]
    )


def sent(coder: Coder, dimensions: int, sigma: float, seed: int, wave: Waveform) -> tuple[Waveform, int]:
    """A sound after its numbers were quantised with dither and coded, and the bits that they took."""
    code = coder.encode(wave)
    digest = hashlib.sha256(wave.tobytes()).digest()[:6]
    stream = dithered.send(code[:, :dimensions], sigma, seed + int.from_bytes(digest))
    r = prefix(dimensions, coder.code.dimensions) * white(sigma)
    got = np.zeros_like(code)
    got[:, :dimensions] = white(sigma) * stream.numbers
    return coder.decode(got, r.numpy(), len(wave)), stream.bits


class Makers:
    """Opens coders once: trained ones from their files, the others from training sound.

    Parameters
    ----------
    codec : str
        As the command has it.
    corpus : Path
        Training sound, for starts and PCAs.
    work : Path
        Where coders lie that are not kept in the repository.
    """

    def __init__(self, codec: str, corpus: Path, work: Path) -> None:
        self.checkpoint = checkpoints.load(codec)
        self.corpus, self.work = corpus, work
        self._open: dict[tuple[str, str, int | None], Coder] = {}
        self._codes: dict[bytes, NDArray[np.float32]] = {}

    def coder(self, name: str, made: str, width: int | None) -> Coder:
        """A coder, ready to use; ``width`` is that of a single one."""
        asked = (name, made, width)
        if asked not in self._open:
            self._open = {asked: self._made(*asked)}  # one at a time: they come in this order
            self._codes = {}
        return self._open[asked]

    def code(self, coder: Coder, wave: Waveform) -> NDArray[np.float32]:
        """A sound's whole code by the coder that was asked for last, made once."""
        key = hashlib.sha256(wave.tobytes()).digest()
        if key not in self._codes:
            self._codes[key] = coder.encode(wave)
        return self._codes[key]

    def _made(self, name: str, made: str, width: int | None) -> Coder:
        if made == "trained":
            return load(name, self.checkpoint, trained_file(self.work, name)).coder
        if made == "single":
            return load(name, self.checkpoint, single_file(self.work, name, width)).coder
        if made in (beside := beside_files(self.work, name)):
            return load(name, self.checkpoint, beside[made]).coder
        waves = training_sound(self.corpus, name)
        if made == "pca":
            return pca_of(name, self.checkpoint, waves)
        coder = CODERS[name].build(self.checkpoint)
        coder.start(waves)
        return coder.eval()


def trained_file(work: Path, name: str) -> Path:
    """Where a trained coder lies: in the repository, or, where it is not kept there, in the work folder."""
    kept = coder_file(name)
    return kept if kept.is_file() else work / f"{name}.safetensors"


def single_file(work: Path, name: str, width: int | None) -> Path:
    """Where a coder trained for one width lies."""
    return work / f"{name}-width{width}.safetensors"


def beside_files(work: Path, name: str) -> dict[str, Path]:
    """Coders of the work folder that were trained like an arm but for one thing, by what that is.

    ``inner448``: so many channels inside; ``random``: from a codec of random weights; ``sound10``: on so many minutes;
    ``steps1050``: for so many steps; ``seed2``: from another seed; and several of these.
    """
    found = {path.stem.removeprefix(f"{name}-"): path for path in sorted(work.glob(f"{name}-*.safetensors"))}
    one = "|".join(BESIDE_PARTS)
    return {what: path for what, path in found.items() if re.fullmatch(rf"({one})(-({one}))*", what)}


def jobs(makers: Makers, sounds: Sounds, arms: Sequence[str]) -> Iterator[Job]:
    """All conditions, the most wanted first."""
    plain = partial(_condition, sounds, makers)
    yield Job(plain("original", "original", "", ""), lambda: _same, everywhere=True)
    for name in FLOORS:
        yield Job(plain("floor", name, "", ""), partial(_floor, sounds, name))
    yield from _of_codec(makers, plain)
    yield from _of_representations(plain)
    yield from _of_language(makers, sounds, plain)
    trained = [name for name in arms if trained_file(makers.work, name).is_file()]
    seen: set[tuple[str, str, float | None, float]] = set()

    def code(name: str, made: str, width: int, sigma: float = 0.0) -> Iterator[Job]:
        job = _of_code(makers, plain, name, made, width, sigma)
        if (grid := (name, made, job.condition.per_tr, sigma)) in seen:
            return  # a coarse grid has one width for several that are asked for
        seen.add(grid)
        if FrozenCoder.name in arms and (name, made) in ALIKE:
            alike = _of_code(makers, plain, FrozenCoder.name, made, width, sigma)
            job = replace(job, same_as=alike.condition)
        yield job

    for width, name in itertools.product(MAIN, arms):
        if name in trained:
            yield from code(name, "trained", width)
        yield from code(name, "pca", width)
        yield from code(name, "start", width)
        if name == MelCoder.name and name in trained and width == CHECKED_AT:
            yield from code(name, OWN_PHASE, width)
        if single_file(makers.work, name, Clock(TR, CODERS[name].step).dimensions(width)).is_file():
            yield from code(name, "single", width)
        if width == BESIDE_AT:
            for made in beside_files(makers.work, name):
                yield from code(name, made, width)
    beside = [(0.0, width) for width in BESIDE] + [(SIGMA, width) for width in MAIN]
    for sigma, width in [*beside, *((sigma, SWEPT_AT) for sigma in SWEPT)]:
        for name in arms:
            if name in trained:
                yield from code(name, "trained", width, sigma)
            if width in BESIDE or (sigma, width) == (SIGMA, CHECKED_AT):
                yield from code(name, "pca", width, sigma)
            if width in BESIDE:
                yield from code(name, "start", width)
    for name in trained:
        yield _of_stream(makers, sounds, plain, name, SIGMA)
    yield from _of_voxels(makers, sounds, plain, [one for one in THROUGH_VOXELS if one[0] in trained])


def _of_voxels(
    makers: Makers, sounds: Sounds, plain: Callable[..., Condition], asked: Sequence[tuple[str, int]]
) -> Iterator[Job]:
    """Codes that drive voxels, and codes that are read from brains."""
    if not asked:
        return
    brains = rungs.Brains(rungs.Reel.of(sounds))
    for name, width in asked:
        models = VOXELS if (name, width) == THROUGH_VOXELS[0] else (MIDDLE,)
        noisy: list[tuple[str, Voxels, float]] = [
            *(("ideal", MIDDLE, k) for k in NOISES),
            *(("brain-like", MIDDLE, k) for k in NOISES),
            *(("brain-like", voxels, 1.0) for voxels in models if voxels != MIDDLE),
        ]
        devices = [("ideal", MIDDLE, 0.0, KNOWN[0]), *((*one, known) for known in KNOWN for one in noisy)]
        groups = itertools.product(models, GROUPS_OF, KNOWN)
        clock = Clock(TR, CODERS[name].step)
        dimensions = clock.dimensions(width)
        common = {
            "rung": "device",
            "arm": name,
            "made": "trained",
            "weights": trained_file(makers.work, name),
            "asked": float(width),
            "per_tr": float(clock.width(dimensions)),
        }
        given = (makers, name, dimensions, brains)
        yield Job(plain(**common, control="prior"), make_all=partial(_from_nothing, *given))
        for mapped, voxels, k, known in devices:
            ideal = mapped == "ideal"
            if ideal and clock.most * dimensions > brains.like(voxels).n_voxels:
                continue  # it does not pass
            channel = brains.channel(clock.most * dimensions, voxels, ideal)
            condition = plain(
                **common,
                bits_per_tr=channel.bits(k) if k else None,
                voxels=voxels,
                map=mapped,
                noise=k,
                control=known,
            )
            yield Job(condition, make_all=partial(_through_device, *given, voxels, k, ideal, known))
        for voxels, n_subjects, known in groups:
            condition = plain(
                **{**common, "rung": "brains"}, voxels=voxels, subjects=n_subjects, control=known
            )
            yield Job(condition, make_all=partial(_from_brains, *given, voxels, n_subjects, known))


def _from_nothing(
    makers: Makers, name: str, dimensions: int, brains: rungs.Brains, sounds: Sounds
) -> list[Waveform]:
    coder = makers.coder(name, "trained", None)
    return rungs.from_nothing(coder, dimensions, brains.reel)


def _through_device(
    makers: Makers,
    name: str,
    dimensions: int,
    brains: rungs.Brains,
    voxels: Voxels,
    k: float,
    ideal: bool,
    known: Known,
    sounds: Sounds,
) -> list[Waveform]:
    coder = makers.coder(name, "trained", None)
    return rungs.through_device(coder, dimensions, brains.reel, brains, voxels, k, ideal=ideal, known=known)


def _from_brains(
    makers: Makers,
    name: str,
    dimensions: int,
    brains: rungs.Brains,
    voxels: Voxels,
    n_subjects: int,
    known: Known,
    sounds: Sounds,
) -> list[Waveform]:
    coder = makers.coder(name, "trained", None)
    return rungs.read_from_brains(coder, dimensions, brains.reel, brains, voxels, n_subjects, known)


def _of_code(
    makers: Makers, plain: Callable[..., Condition], name: str, made: str, asked: int, sigma: float
) -> Job:
    step = components.BLOCK if made == "pca" else CODERS[name].step
    clock, own_clock = Clock(TR, step), Clock(TR, CODERS[name].step)
    # Components get as many numbers as the arm has, which may be more or fewer than are asked for.
    dimensions = clock.dimensions(float(own_clock.width(own_clock.dimensions(asked))))
    per_tr = float(clock.width(dimensions))
    bits = per_tr / 2 * math.log2(1 + 1 / sigma**2) if sigma else None
    width = dimensions if made == "single" else None
    own = trained_file(makers.work, name)
    kept = {"trained": own, OWN_PHASE: own, "single": single_file(makers.work, name, width)}
    path = {**kept, **beside_files(makers.work, name)}.get(made, "")
    condition = plain(
        "code", name, made, path, asked=float(asked), per_tr=per_tr, sigma=sigma, bits_per_tr=bits
    )

    def make() -> Transform:
        if made == OWN_PHASE:
            return partial(with_own_phase, makers.coder(name, "trained", None), dimensions)
        coder = makers.coder(name, made, width)
        return partial(through, coder, dimensions, sigma, condition.seed, encode=makers.code)

    return Job(
        condition, make, everywhere=not sigma and asked in MAIN and made not in ("start", "single", OWN_PHASE)
    )


def _of_stream(
    makers: Makers, sounds: Sounds, plain: Callable[..., Condition], name: str, sigma: float
) -> Job:
    """A code that is quantised with dither and coded, at one width; its bits are counted once and kept."""
    clock = Clock(TR, CODERS[name].step)
    dimensions = clock.dimensions(STREAM_WIDTH)
    path = trained_file(makers.work, name)
    per_tr = float(clock.width(dimensions))
    condition = plain(
        "code",
        name,
        "trained",
        path,
        asked=float(STREAM_WIDTH),
        per_tr=per_tr,
        sigma=sigma,
        control="dithered",
    )
    kept = makers.work / "streams" / f"{condition.made_by}.json"
    if not kept.is_file():
        coder = makers.coder(name, "trained", None)
        bits = sum(sent(coder, dimensions, sigma, condition.seed, wave)[1] for wave in sounds.waves)
        trs = sum(one.seconds for one in sounds.windows) / float(TR)
        write_text(kept, json.dumps({"bits per TR": bits / trs}))
    counted = json.loads(kept.read_text(encoding="utf-8"))["bits per TR"]

    def make() -> Transform:
        coder = makers.coder(name, "trained", None)
        return lambda wave: sent(coder, dimensions, sigma, condition.seed, wave)[0]

    return Job(replace(condition, bits_per_tr=counted), make)


def _of_codec(makers: Makers, plain: Callable[..., Condition]) -> Iterator[Job]:
    model, weights = makers.checkpoint.model, makers.checkpoint.id
    for kbps in checkpoints.bandwidths(model):
        condition = plain("codec", "encodec", f"{kbps:g} kbps", weights, bits_per_tr=kbps * 1000 * float(TR))
        yield Job(condition, partial(_codec, makers.checkpoint, kbps, None))
    for books in INDEX_BOOKS:
        if books <= model.quantizer.n_q:
            per_tr = float(books * model.frame_rate * TR)
            condition = plain("code", "codes", "indices", weights, asked=per_tr, per_tr=per_tr, sigma=0.0)
            yield Job(condition, partial(_codec, makers.checkpoint, None, books))


def _of_representations(plain: Callable[..., Condition]) -> Iterator[Job]:
    for name in ("mel", "mel-vocoder"):
        weights = vocoder_file() if name == "mel-vocoder" else ""
        yield Job(plain("representation", name, "", weights), partial(_mel, name, None))
        for kbps in (1.5, 3.0, 6.0):
            bits = kbps * 1000 * float(TR)
            yield Job(
                plain("representation", name, f"{kbps:g} kbps", weights, bits_per_tr=bits),
                partial(_mel, name, kbps),
            )


def _of_language(makers: Makers, sounds: Sounds, plain: Callable[..., Condition]) -> Iterator[Job]:
    """Phonemes with a voice: the play's sentences, written down and spoken again."""
    read = language.Read.of(makers.work)
    if read is None:
        return
    has = [
        (one, names)
        for one, names in zip(sounds.windows, sounds.sentences, strict=True)
        if names and all(name in read.bits for name, _ in names)
    ]
    trs = sum(one.seconds for one, _ in has) / float(TR)
    for how, prior in itertools.product(("timed", "untimed"), (True, False)):
        bits = sum(
            read.bits[name].total(prior=prior, timed=how == "timed") for _, names in has for name, _ in names
        )
        made = f"{how}, {'with' if prior else 'without'} a prior"
        condition = plain("language", "phonemes", made, makers.work / language.SPOKEN, bits_per_tr=bits / trs)
        yield Job(condition, make_all=partial(_spoken_again, read, how), everywhere=True)


def _spoken_again(read: language.Read, how: str, sounds: Sounds) -> list[Waveform | None]:
    return [
        read.window(how, names, len(wave)) for names, wave in zip(sounds.sentences, sounds.waves, strict=True)
    ]


def _condition(
    sounds: Sounds,
    makers: Makers,
    rung: str,
    arm: str,
    made: str,
    weights: Path | str,
    asked: float | None = None,
    per_tr: float | None = None,
    sigma: float | None = None,
    bits_per_tr: float | None = None,
    voxels: str = "",
    map: str = "",
    noise: float | None = None,
    subjects: int | None = None,
    control: str = "",
) -> Condition:
    parts = [rung, arm, made]
    if asked is not None:
        parts.append(f"{asked:g}")
    if sigma:
        parts.append(f"noise {sigma:g}")
    parts += [map, voxels]
    if noise is not None:
        parts.append(f"noise x {noise:g}")
    if subjects is not None:
        parts.append(f"{subjects} subjects")
    parts.append(control)
    used = f"{arm}-{sha256_of(weights)[:8]}" if isinstance(weights, Path) else weights
    found = Condition(
        condition="/".join(part for part in parts if part),
        rung=rung,
        arm=arm,
        made=made,
        asked=asked,
        per_tr=per_tr,
        per_second=None if per_tr is None else per_tr / float(TR),
        sigma=sigma,
        bits_per_tr=bits_per_tr,
        voxels=voxels,
        map=map,
        noise=noise,
        subjects=subjects,
        control=control,
        weights=used,
        seed=0,
        code="",
        made_by="",
    )
    code = code_of(found)
    decided = "\n".join([code, sounds.digest, used, makers.checkpoint.id])
    return replace(found, code=code, made_by=hashlib.sha256(decided.encode()).hexdigest()[:16])


def code_of(condition: Condition) -> str:
    """Hash of the code that makes and scores the sounds of a condition."""
    makes = CODERS.modules([condition.arm]) or list(_OTHERS)
    here = [Path(__file__)]
    if condition.rung == "floor":
        makes.append("fmri_audio.sound.noises")
    if condition.control == "dithered":
        here.append(Path(dithered.__file__))
    if condition.made in ("pca", "start"):
        here.append(Path(components.__file__))
    if condition.rung == "language":
        here.append(Path(language.__file__))
    if condition.rung in ("device", "brains"):
        makes += ["fmri_audio.bottleneck.passing", "fmri_audio.decoding.code_reading"]
        here.append(Path(rungs.__file__))
    own = "".join(source_hash(path.read_text(encoding="utf-8")) for path in here)
    code = fingerprint(*_SCORING, *makes) + own
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def _same(wave: Waveform) -> Waveform:
    return wave


def _codec(checkpoint: checkpoints.Checkpoint, kbps: float | None, books: int | None) -> Transform:
    if kbps is not None:
        codec = EncodecCodes(checkpoint, kbps)
        return partial(_roundtrip, codec)
    whole = EncodecCodes(checkpoint, checkpoints.bandwidths(checkpoint.model)[-1])

    def first(wave: Waveform) -> Waveform:
        codes = whole.analyse(torch.from_numpy(wave)[None, None])[:, :books]
        return np.asarray(whole.synthesise(codes, len(wave))[0, 0])

    return first


def _mel(name: str, kbps: float | None) -> Transform:
    if name == "mel":
        return partial(_roundtrip, MelGriffinLim() if kbps is None else QuantisedMel(kbps))
    vocoder = MelVocoder(open_vocoder())
    return partial(_roundtrip, vocoder if kbps is None else QuantisedMelVocoder(kbps, vocoder))


def _roundtrip(representation: Any, wave: Waveform) -> Waveform:
    with torch.no_grad():
        return np.asarray(representation.roundtrip(torch.from_numpy(wave)[None, None])[0, 0])


FLOORS = ("speech-shaped noise with the envelope", "speech-shaped noise", "white noise", "other speech")
"""Sounds without what is said."""


def _floor(sounds: Sounds, name: str) -> Transform:
    spectrum = noises.long_term_spectrum(sounds.waves, SAMPLE_RATE)
    others = {
        hashlib.sha256(wave.tobytes()).digest(): sounds.waves[
            (k + len(sounds.waves) // 2) % len(sounds.waves)
        ]
        for k, wave in enumerate(sounds.waves)
    }

    def make(wave: Waveform) -> Waveform:
        digest = hashlib.sha256(wave.tobytes()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:6]))
        if name == "other speech":
            return np.resize(others[digest], len(wave))
        if name == "white noise":
            return (0.05 * rng.standard_normal(len(wave))).astype(np.float32)
        if name == "speech-shaped noise":
            return noises.shaped_noise(wave, spectrum, rng)
        return noises.modulated_noise(wave, SAMPLE_RATE, spectrum, rng)

    return make


# -- measuring -----------------------------------------------------------------------------------------------------


def measured(job: Job, sounds: Sounds) -> list[Score]:
    """Scores of every window in a condition."""
    rows = []
    asked = zip(sounds.windows, sounds.waves, sounds.passages, job.waves(sounds), strict=True)
    for window, wave, passages, passed in asked:
        if passed is None:
            continue
        if not np.isfinite(passed).all():
            raise ValueError(f"{job.condition.condition}: {window.window}: NaN or infinite samples")
        wrong = sum(one.errors for one in word_errors(passed, SAMPLE_RATE, passages))
        found = [wrong, *window_scores(wave, passed)]
        rows.append(Score(job.condition.condition, window.window, *(_or_none(value) for value in found)))
    return rows


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
