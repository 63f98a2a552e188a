"""What the ladder's tables say: words and ESTOI of held-out windows, by arm and width, with intervals.

An arm that does not count as trained (:mod:`fmri_audio.experiments.ladder_training`) could do better. What it reaches
is reached; what it misses is undecided. So its interval is open on the side to which training moves it.
"""

from __future__ import annotations

import math
from functools import cache

from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.claims.functions.registry import REGISTRY, YES, Case, Tables
from fmri_audio.experiments import ladder_training
from fmri_audio.experiments.ladder import CONDITIONS, Condition, Estimate, Ladder
from fmri_audio.experiments.ladder_answer import ORIGINAL

LABELS = {"estoi": "ESTOI", "stoi": "STOI", "pesq": "PESQ-WB"}
HALF = 0.5
"""Share of the words that may be lost beyond the original's."""

_BRAINS = "brains"
_TRAINED = "trained"


@cache
def _read() -> Ladder:
    return Ladder.read()


@cache
def _lacking(arm: str) -> str:
    """What an arm lacks to count as trained; empty where it does."""
    run = ladder_training.main_run(ladder_training.read(), arm)
    said = ladder_training.Verdict.of(run).said if run else "its training is in no table"
    return "" if said == ladder_training.TRAINED else said


def ladder(
    _: Tables,
    *,
    arms: str,
    measure: str = "wrong",
    rung: str = "code",
    made: str = "trained",
    widths: str = "",
    less: str = "",
    above: str = "",
) -> list[Case]:
    """Cases of the ladder, one for every arm and width.

    Parameters
    ----------
    arms : str
        Names, with blanks between.
    measure : str
        ``wrong``: words wrong beyond the original's, as a share of those said; ``estoi``, ``stoi``, ``pesq``.
    rung, made : str
        Of :class:`fmri_audio.experiments.ladder.Condition`; made with blanks and commas as it is there.
    widths : str
        Numbers per TR, with blanks between; empty: all that there are.
    less : str
        What is subtracted, paired by window: ``arm NAME``, the same of another arm; ``made NAME``; ``control NAME``, of
        one that knows another moment (``other``) or nothing (``prior``); ``rung NAME``, a representation of the same
        bits.
    above : str
        ``floors``: only cases above every sound that holds no words.
    """
    tables = _read()
    wanted = arms.split()
    asked = [float(one) for one in widths.split()]
    found = []
    for one in tables.conditions:
        if (one.rung, one.control) != (rung, "") or one.arm not in wanted or (one.sigma or 0.0):
            continue
        if (made and one.made != made) or (asked and one.asked not in asked):
            continue
        other = _other(tables, one, less) if less else None
        if less and other is None:
            continue
        if above != "floors" or _above_floors(tables, one, measure):
            found.append(_case(tables, one, other, measure))
    return found


def tells_words_from_none(_: Tables) -> list[Case]:
    """Say for each metric whether every sound of which half the words arrive is above every sound without words.

    A metric that some noise passes at which no word is heard, and some speech does not whose words arrive, cannot tell
    one from the other.
    """
    tables, found = _read(), []
    for measure, label in LABELS.items():
        speech = [
            one
            for one in tables.conditions
            if one.rung in ("codec", "representation", "code")
            and tables.difference(one.condition, ORIGINAL, "wrong").value <= HALF
        ]
        pairs = [
            (tables.difference(one.condition, floor.condition, _COLUMNS[measure]).value, one, floor)
            for one in speech
            for floor in _floors(tables)
        ]
        least, which, floor = min(pairs, key=lambda pair: pair[0])
        scores = [_estimate(tables, one, None, measure).value for one in (floor, which)]
        value = (
            YES
            if least > 0
            else f"gives {scores[0]:.2f} to sound without words and {scores[1]:.2f} to {_label(which)}"
        )
        found.append(Case(label, value, CONDITIONS))
    return found


def _floors(tables: Ladder) -> list[Condition]:
    """Sounds that hold none of the words: noises, other speech, and what decoders make of nothing."""
    return [one for one in tables.conditions if one.rung == "floor" or one.control == "prior"]


def _above_floors(tables: Ladder, one: Condition, measure: str) -> bool:
    """Whether a sound scores above every one that holds no words, in the windows that both have."""
    column = _COLUMNS[measure]
    return all(
        tables.difference(one.condition, floor.condition, column).value > 0 for floor in _floors(tables)
    )


def _other(tables: Ladder, one: Condition, less: str) -> Condition | None:
    """The condition that differs in one thing alone."""
    field, _, value = less.partition(" ")
    if field == "rung":
        name, _, arm = value.partition(" ")
        return next(
            (two for two in tables.conditions if (two.rung, two.arm, two.made) == (name, arm, one.made)), None
        )
    same = ("rung", "arm", "made", "asked", "sigma", "voxels", "map", "noise", "subjects", "control")
    if field not in same:
        raise ValueError(f"less {less!r}: should begin with one of {', '.join(same)} or rung")
    sought = {name: getattr(one, name) for name in same} | {field: value}
    if less == "control prior":  # one of each arm and width, for all voxels and brains
        sought |= {"rung": "device", "voxels": "", "map": "", "noise": None, "subjects": None}
    return next(
        (two for two in tables.conditions if all(getattr(two, name) == x for name, x in sought.items())), None
    )


def _case(tables: Ladder, one: Condition, other: Condition | None, measure: str) -> Case:
    found = _estimate(tables, one, other, measure)
    weights = tuple(sorted({two.weights for two in (one, other) if two is not None and two.weights}))
    said = float(found.said) if measure == "wrong" else None
    brains = "simulated brains" if one.rung == _BRAINS else ""
    low, high, lacking = found.low, found.high, []
    for which, better in ((one, -1), (other, 1)):
        # Of one arm in two ways, training moves the way that is trained.
        same = which is other and other is not None and one.arm == other.arm and one.made == _TRAINED
        if which is None or which.made != _TRAINED or same or not _lacking(which.arm):
            continue
        lacking.append(f"{CODER_LABELS.get(which.arm, which.arm)}: {_lacking(which.arm)}")
        if (better if measure == "wrong" else -better) < 0:
            low = -math.inf
        else:
            high = math.inf
    return Case(_label(one), found.value, CONDITIONS, weights, brains, said, low, high, "; ".join(lacking))


def _estimate(tables: Ladder, one: Condition, other: Condition | None, measure: str) -> Estimate:
    if other is not None:
        return tables.difference(one.condition, other.condition, _COLUMNS[measure])
    if measure == "wrong":
        return tables.difference(one.condition, ORIGINAL, "wrong")
    return tables.mean(one.condition, _COLUMNS[measure])


_COLUMNS = {"wrong": "wrong", "estoi": "estoi", "stoi": "stoi", "pesq": "pesq_wb"}


def _label(one: Condition) -> str:
    parts = [CODER_LABELS.get(one.arm, one.arm)]
    if one.rung in ("codec", "representation") and one.made:
        parts.append(one.made)
    if one.asked is not None:
        parts.append(f"{one.asked:g} numbers per TR")
    if one.map:
        parts.append(f"{one.map} map")
    if one.noise is not None:
        parts.append(f"noise × {one.noise:g}")
    if one.subjects is not None:
        parts.append(f"{one.subjects} subjects")
    if one.voxels:
        parts.append(one.voxels)
    return ", ".join(parts)


REGISTRY |= {"ladder": ladder, "tells_words_from_none": tells_words_from_none}
