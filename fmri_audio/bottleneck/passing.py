"""One recording through one arm, without brains: what ``fmri-audio bottleneck pass`` does."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Waveform
from fmri_audio.bottleneck.clock import Clock
from fmri_audio.bottleneck.coder_files import LoadedCoder
from fmri_audio.bottleneck.coders import Coder
from fmri_audio.bottleneck.nested import prefix
from fmri_audio.sound.audio import match_loudness
from fmri_audio.sound.metrics.evaluate import Scores, score

_SHORTEST = 0.4
"""Seconds that loudness is defined for."""


@dataclass(frozen=True)
class Width:
    """A width as it is on an arm's grid.

    Attributes
    ----------
    dimensions : int
        Numbers per step of the code.
    per_tr : float
        Numbers per TR, on average.
    per_second : float
    """

    dimensions: int
    per_tr: float
    per_second: float

    @classmethod
    def of(cls, coder: Coder, per_tr: float, tr: Fraction) -> Width:
        """Round a width asked for, numbers per TR, to the grid of an arm.

        Raises
        ------
        UserError
            The arm has no code so wide.
        """
        clock, most = Clock(tr, coder.step), coder.code.dimensions
        if not 0 < per_tr <= float(clock.width(most)) + 0.5 * float(clock.per_tr):
            raise UserError(
                f"a width of {per_tr:g} numbers per TR: {coder.name} has from 1 to {float(clock.width(most)):g} of "
                f"them at a TR of {float(tr):g} s"
            )
        dimensions = clock.dimensions(per_tr)
        return cls(dimensions, float(clock.width(dimensions)), float(dimensions / coder.step))


def through(coder: Coder, waveform: Waveform, width: Width) -> Waveform:
    """A sound [T] at the arm's rate after a code of some width, noise-free, as loud as it comes back."""
    whole = prefix(width.dimensions, coder.code.dimensions).numpy()
    return coder.decode(coder.encode(waveform) * whole, whole, len(waveform))


def scored(coder: Coder, original: Waveform, passed: Waveform) -> Scores:
    """Score a sound that an arm passed: at lag 0, which is known, and at the loudness of the original.

    SNR and SI-SDR are undefined where the arm makes phase up.
    """
    long_enough = len(original) >= _SHORTEST * coder.sample_rate
    levelled = match_loudness(passed, original, coder.sample_rate) if long_enough else passed
    return score(original, levelled, coder.sample_rate, waveform=not coder.makes_phase)


def facts(loaded: LoadedCoder, tr: Fraction) -> dict[str, str]:
    """What is to be said of an arm, by name."""
    coder = loaded.coder
    clock, most = Clock(tr, coder.step), coder.code.dimensions
    weights = sum(value.numel() for value in coder.trained_state().values())
    return {
        "arm": coder.name,
        "label": coder.label,
        "weights": loaded.id,
        "licence": loaded.licence,
        "description": loaded.description,
        "sha256": loaded.sha256,
        "codec": coder.checkpoint or "none",
        "trained": f"{weights:,} numbers, eight bits each",
        "step": f"{float(coder.step) * 1000:g} ms of sound, {most} numbers at most",
        "widths": f"{float(clock.per_tr):g} to {float(clock.width(most)):g} numbers per TR of {float(tr):g} s, "
        f"in steps of {float(clock.per_tr):g}",
        "look-ahead": f"{float(coder.look_ahead) * 1000:.0f} ms",
        "phase": "made up" if coder.makes_phase else "kept",
    }
