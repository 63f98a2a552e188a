"""Brains that follow a sound at another lag than declared: by how many TRs, and what can be wrong.

Three things put sound and scans on one clock: the shift of the study, the events (where each scan's story begins), and
the film itself. A wrong shift moves all runs of all subjects by the same lag; wrong events move the scans they belong
to; a wrong film moves its run for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from fmri_audio.study.facts import Run, Subject, listed
from fmri_audio.study.sync import EnvelopeCheck

BLUR = 1
"""TRs by which the response of the brain itself may be later or earlier than the canonical one."""


@dataclass(frozen=True)
class Followed:
    """How the brains follow the film of one run.

    Attributes
    ----------
    run : Run
    path : Path
    group : EnvelopeCheck
        The mean over subjects.
    subjects : mapping of subject to EnvelopeCheck
    halves : sequence of EnvelopeCheck
        The mean over subjects, in the first and the second half of the run.
    far : (lag, correlation, threshold), optional
        The best of all shifts, where none near the declared one stands out.
    """

    run: Run
    path: Path
    group: EnvelopeCheck
    subjects: Mapping[Subject, EnvelopeCheck]
    halves: Sequence[EnvelopeCheck] = ()
    far: tuple[int, float, float] | None = None

    @property
    def lag(self) -> int | None:
        """TRs by which the brains answer later than declared (0: as declared); None where it cannot be told."""
        if self.group.elsewhere:
            return self.group.best_lag
        if self.group.follows:
            return 0
        if self.far is not None and self.far[1] > self.far[2]:
            return self.far[0]
        return None

    @property
    def correlation(self) -> float:
        """At that lag."""
        return (
            self.far[1] if self.far is not None and self.lag == self.far[0] else self.group.best_correlation
        )

    @property
    def drifts(self) -> bool:
        """Whether the two halves of the run follow the film at different lags, as where it runs at another speed."""
        return len(self.halves) == 2 and (
            all(half.best_correlation > half.best_threshold for half in self.halves)
            and abs(self.halves[0].best_lag - self.halves[1].best_lag) > BLUR
        )

    @property
    def astray(self) -> dict[Subject, int]:
        """Subjects who alone follow the film at another lag than the declared one."""
        return {
            subject: check.best_lag
            for subject, check in self.subjects.items()
            if check.elsewhere and not check.follows and check.best_correlation > check.highest
        }


def suspicions(followed: Sequence[Followed], shift: int, tr: Fraction, begins: str) -> list[str]:
    """What is suspicious about the lags of a study's runs, one sentence each.

    Parameters
    ----------
    followed : sequence of Followed
    shift : int
        The study's ``shift_trs``.
    tr : Fraction
        Seconds.
    begins : str
        What in the study's files says when a run begins (``Found.begins``).
    """
    found = []
    for one in followed:
        some = one.astray
        others = [subject for subject, check in one.subjects.items() if check.follows and not check.elsewhere]
        if one.drifts:
            found.append(_drift(one))
        elif some and len(others) >= len(some):
            found += _of_subjects(one, some, shift, begins)
        elif one.lag is None and not np.isnan(one.group.threshold):
            found.append(
                f"{one.path.name}: auditory cortex does not follow its envelope (r = {one.group.correlation:.2f}, by "
                f"chance up to {one.group.threshold:.2f}, in run {one.run.name}), nor at any other lag: the film may "
                "be the wrong one"
            )
        elif one.lag is not None and abs(one.lag) > BLUR:
            found.append(
                f"{one.path.name}: auditory cortex follows it {one.lag:+d} TRs from where the shift of {shift} TRs "
                f"puts it (run {one.run.name}: r = {one.correlation:.2f}, and {one.group.correlation:.2f} here): "
                f"{_causes(one, followed, shift, tr, begins)}"
            )
    return found


def _causes(one: Followed, followed: Sequence[Followed], shift: int, tr: Fraction, begins: str) -> str:
    """Which of shift, events and film can put a run at another lag."""
    lag = one.lag or 0
    seconds = abs(float(lag * tr))
    moved = f"shift_trs: {shift - lag} would fit"
    later = f"its events ({begins} {abs(lag)} TRs, {seconds:g} s, {'later' if lag > 0 else 'earlier'})"
    copy = f"its film (a copy {'without its first' if lag > 0 else 'that begins with another'} {seconds:g} s)"
    told = [other.lag for other in followed if other.lag is not None]
    if len(told) == 1:
        return f"the shift ({moved}), {later} or {copy} can be wrong, which one run alone does not tell"
    if all(abs(other - lag) <= BLUR for other in told):
        return f"all {len(told)} runs agree, so the shift is wrong ({moved}), or all events are, not one film"
    if any(abs(other) <= BLUR for other in told):
        return f"other runs follow theirs where they should, so it is not the shift but {later} or {copy}"
    return f"the runs disagree by how much, so it is not the shift alone but {later} or {copy}"


def _of_subjects(one: Followed, some: Mapping[Subject, int], shift: int, begins: str) -> list[str]:
    """One sentence for every lag at which some of the subjects alone follow the film."""
    return [
        f"{one.path.name}: subject {listed([subject for subject in some if some[subject] == lag])} follows it {lag:+d} "
        f"TRs from where the shift of {shift} TRs puts run {one.run.name}, others do not: not the shift or the film, "
        f"but the events of that scan ({begins} {abs(lag)} TRs {'later' if lag > 0 else 'earlier'})"
        for lag in sorted(set(some.values()))
    ]


def _drift(one: Followed) -> str:
    first, second = one.halves
    return (
        f"{one.path.name}: auditory cortex follows its first half {first.best_lag:+d} TRs and its second half "
        f"{second.best_lag:+d} TRs from where it should: neither shift nor events do that, the film is cut otherwise "
        "or runs at another speed"
    )
