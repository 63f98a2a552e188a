"""Does anything of the held-out sound or brain reach training? Change it, build all again, and compare bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import torch

from fmri_audio.base.kinds import Block
from fmri_audio.base.timeline import frames_of_tr, trs_to_samples, whole_trs
from fmri_audio.brain.response import response_trs
from fmri_audio.study.splits import Split

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint

Arrays = Mapping[str, np.ndarray]
BrainsByCopy = Mapping[int, np.ndarray]
Encode = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Built:
    """Everything that an analysis makes of a sound and of brains, by name.

    Attributes
    ----------
    training : mapping of str to array
        What must not know the held-out block: masks, statistics, penalties, fitted weights, and the training tensors
        of blocks before the held-out one.
    held_out : mapping of str to array
        What is made of the held-out block; it must change, or else the test tested nothing.
    later : mapping of str to array
        Training tensors made of sound after the held-out block, which a codec with memory lets change.
    """

    training: Arrays
    held_out: Arrays
    later: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class LeakageReport:
    """What a change of the held-out block changed elsewhere.

    Attributes
    ----------
    leaked : tuple of str
        Names in :attr:`Built.training` that did not stay bit-identical.
    compared : tuple of str
        All names that were compared.
    later : mapping of str to float
        Largest change of what follows the held-out block, relative to its root mean square.
    """

    leaked: tuple[str, ...]
    compared: tuple[str, ...]
    later: Mapping[str, float]

    @property
    def clean(self) -> bool:
        """Whether nothing leaked."""
        return not self.leaked

    @property
    def verdict(self) -> str:
        """In words."""
        if self.leaked:
            return f"leak: the held-out block changes {', '.join(self.leaked)}"
        return f"no leak: {len(self.compared)} arrays stay bit-identical when the held-out block changes"


def perturbation_report(
    build: Callable[[np.ndarray, BrainsByCopy], Built],
    waveform: np.ndarray,
    bold: BrainsByCopy,
    split: Split,
    *,
    sample_rate: int,
    tr: Fraction,
    shift: int,
    seed: int,
) -> LeakageReport:
    """Change the sound and the brains of a held-out block, and list everything in training that notices.

    Parameters
    ----------
    build : callable
        The whole analysis: takes the sound and the BOLD of every subject, as read from disk, and returns what it makes
        of them. It is called twice and must be deterministic.
    waveform : array, shape [T]
    bold : mapping of subject to array, shape [TRs, voxels]
    split : Split
    sample_rate : int
    tr : Fraction
        Seconds.
    shift : int
        TRs by which the study is already shifted.
    seed : int
        Of the noise that takes the held-out block's place.

    Returns
    -------
    LeakageReport

    Raises
    ------
    ValueError
        Nothing that is made of the held-out block changed, so that the comparison would prove nothing.
    """
    rng = np.random.default_rng(seed)
    first = build(waveform, bold)
    second = build(
        perturbed_sound(waveform, split.test_block, sample_rate, tr, rng),
        {
            subject: perturbed_bold(one, answering_volumes(split, tr, shift), rng)
            for subject, one in bold.items()
        },
    )
    same = [name for name in first.held_out if _identical(first.held_out[name], second.held_out[name])]
    if same or not first.held_out:
        raise ValueError(
            f"the held-out block was changed, but not {', '.join(same) or 'anything that was built'}"
        )
    leaked = [name for name in first.training if not _identical(first.training[name], second.training[name])]
    later = {name: _relative_change(first.later[name], second.later[name]) for name in first.later}
    return LeakageReport(tuple(leaked), tuple(first.training), later)


def answering_volumes(split: Split, tr: Fraction, shift: int) -> Block:
    """All volumes of a run that answer the held-out sound, or that the held-out block reads.

    The response to the sound of TR k begins with volume ``k - shift`` of the shifted file and takes
    :func:`fmri_audio.brain.response.response_trs`.

    Returns
    -------
    first, last
        ``first <= k < last``.
    """
    first, last = split.test_block
    run = next(run for run in split.runs if run[0] <= first < run[1])
    begin = min(first - shift, split.bold_test[0])
    end = max(last - shift + response_trs(tr), split.bold_test[1])
    return max(begin, run[0]), min(end, run[1])


def perturbed_sound(
    waveform: np.ndarray, block: Block, sample_rate: int, tr: Fraction, rng: np.random.Generator
) -> np.ndarray:
    """A sound [T] with noise of the same level in place of some TRs."""
    begin, end = (trs_to_samples(k, sample_rate, tr) for k in block)
    changed = np.array(waveform, np.float32)
    level = max(float(np.sqrt(np.mean(changed[begin:end] ** 2))), 1e-3)
    changed[begin:end] = level * rng.standard_normal(end - begin, dtype=np.float32)
    return changed


def perturbed_bold(bold: np.ndarray, rows: Block, rng: np.random.Generator) -> np.ndarray:
    """BOLD [TRs, voxels] with some volumes turned round, and noise of the same spread added."""
    changed = np.array(bold, np.float32)
    part = changed[rows[0] : rows[1]]
    spread = np.nanstd(bold, axis=0)
    changed[rows[0] : rows[1]] = (
        2 * np.nanmean(bold, axis=0) - part + spread * rng.standard_normal(part.shape)
    )
    return changed


@dataclass(frozen=True)
class CodecMemory:
    """How much of a block's sound a codec remembers after the block's end.

    Attributes
    ----------
    latents : array, shape [TRs]
        Largest change of a frame's latents within each TR after the block, relative to the root mean square over the
        frames of the sound.
    codes : array, shape [TRs]
        Share of the codes that change within each TR.
    """

    latents: np.ndarray
    codes: np.ndarray

    def beyond(self, gap: int) -> tuple[float, float]:
        """Largest change of latents and of codes in any TR after a gap; 0 where no TR is left."""
        return float(self.latents[gap:].max(initial=0.0)), float(self.codes[gap:].max(initial=0.0))


def encoder_of(checkpoint: Checkpoint, n_codebooks: int) -> Encode:
    """A codec as :func:`codec_memory` takes it: waveform [T] in; latents [C, L] and the first codebooks' codes out."""
    from fmri_audio.representations.encodec import EncodecLatents

    representation = EncodecLatents(checkpoint)

    def encode(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            latents = representation.analyse(torch.from_numpy(waveform)[None, None])
            codes = representation.latents_to_codes(latents, n_codebooks)
        return latents[0].numpy(), codes[0].numpy()

    return encode


def codec_memory(
    encode: Encode,
    waveform: np.ndarray,
    block: Block,
    *,
    sample_rate: int,
    frame_rate: Fraction,
    tr: Fraction,
    seed: int,
) -> CodecMemory:
    """Change the sound of a block, and measure how long the encoding of what follows is not the same.

    Parameters
    ----------
    encode : callable
        Waveform [T] to latents [C, L] and codes [K, L]; :func:`encoder_of` gives it.
    waveform : array, shape [T]
        One run.
    block : (first, last)
        TRs whose sound is replaced by noise of the same level.
    sample_rate : int
    frame_rate : Fraction
        Of the codec, per second.
    tr : Fraction
        Seconds.
    seed : int
        Of the noise.

    Returns
    -------
    CodecMemory
        For every whole TR after the block.
    """
    changed = perturbed_sound(waveform, block, sample_rate, tr, np.random.default_rng(seed))
    (latents, codes), (other_latents, other_codes) = encode(waveform), encode(changed)
    scale = np.sqrt(np.mean(np.sum(np.asarray(latents, np.float64) ** 2, axis=0)))
    difference = np.linalg.norm(np.asarray(other_latents, np.float64) - latents, axis=0) / scale
    differing = (codes != other_codes).mean(axis=0)
    touched = [
        frames_of_tr(k, tr, frame_rate) for k in range(block[1], whole_trs(len(waveform), sample_rate, tr))
    ]
    spans = [slice(one.first, one.last + 1) for one in touched]
    # The frame that the first TR after the block may share with the block's last holds changed sound, not memory.
    if spans and block[1] * tr * frame_rate % 1:
        spans[0] = slice(spans[0].start + 1, spans[0].stop)
    return CodecMemory(
        np.array([difference[span].max() for span in spans]),
        np.array([differing[span].mean() for span in spans]),
    )


def _identical(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are equal bit by bit, NaN included."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _relative_change(a: np.ndarray, b: np.ndarray) -> float:
    """Largest absolute difference over the root mean square of what was there."""
    scale = float(np.sqrt(np.mean(np.abs(a) ** 2)))
    return float(np.abs(np.asarray(b) - a).max(initial=0.0)) / max(scale, 1e-12)
