"""Chapter 6, marks: what was asked of the arms before these were measured, and whether they reach it."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.chapters.ladder.rungs import MAIN, against_pca, at
from fmri_audio.experiments.ladder import Condition, Estimate, Ladder
from fmri_audio.experiments.ladder_answer import WHOLE, arms, as_wide, beyond, shown

ALMOST = 0.05
"""Words wrong beyond the original's that are asked for at :data:`NARROW`."""

NARROW, MIDDLE, WIDE = 128, 512, 844
"""Numbers per TR at which something is asked for."""


CAPTION = (
    "Marks that were set before these arms were measured, and whether the 95 % interval reaches them. The best "
    "arm is that of these windows."
)


def table(ladder: Ladder) -> pd.DataFrame:
    """Marks that were set before these arms were measured, what was measured, and whether the interval reaches them."""
    return pd.DataFrame([*_least(ladder), *_aims(ladder)])


def _least(ladder: Ladder) -> Iterator[dict[str, object]]:
    beats = against_pca(ladder)
    won = int(beats["beats"].sum()) if len(beats) else 0
    yield {
        "mark": f"every arm beats its principal components at {', '.join(map(str, MAIN))}, in words and ESTOI",
        "measured": f"{won} of {len(beats)}",
        "interval": "each above nought",
        "reached": "yes" if won == len(beats) > 0 else "no",
    }
    narrow, wide = at(ladder, "mel-vocoder", "trained", 256), at(ladder, "mel-vocoder", "pca", 512)
    if narrow and wide:
        words = ladder.difference(narrow.condition, wide.condition, "wrong")
        text = "mel + vocoder at 256 loses no more words than its principal components at 512"
        yield _row(text, words, 0.0, "+.2f")
        estoi = ladder.difference(narrow.condition, wide.condition, "estoi")
        yield _row("mel + vocoder at 256 has at least their ESTOI", estoi, 0.0, "+.2f", most=False)
    best = _best(ladder, WIDE)
    if best:
        text = f"the best arm at {WIDE} loses at most {WHOLE:g} of the words beyond the original's"
        yield _row(f"{text} ({CODER_LABELS[best.arm]})", beyond(ladder, best.condition), WHOLE, "+.3f")


def _aims(ladder: Ladder) -> Iterator[dict[str, object]]:
    best = _best(ladder, NARROW)
    if best:
        text = f"aim: at {NARROW} at most {ALMOST:g} of the words beyond the original's ({CODER_LABELS[best.arm]})"
        yield _row(text, beyond(ladder, best.condition), ALMOST, "+.2f")
    for arm, measure, mark in (
        ("finetuned", "estoi", 0.6),
        ("finetuned", "wrong", 0.25),
        ("frozen", "estoi", 0.6),
    ):
        one = at(ladder, arm, "trained", MIDDLE)
        if one:
            what = f"ESTOI at least {mark:g}" if measure == "estoi" else f"words wrong at most {mark:g}"
            text = f"aim: {CODER_LABELS[arm]} at {MIDDLE}: {what}"
            yield _row(text, ladder.mean(one.condition, measure), mark, ".2f", most=measure == "wrong")


def _row(text: str, found: Estimate, mark: float, shape: str, *, most: bool = True) -> dict[str, object]:
    inside = (found.value <= mark, found.high <= mark, found.low > mark)
    if not most:
        inside = (found.value >= mark, found.low >= mark, found.high < mark)
    value, surely, not_at_all = inside
    said = "yes" if surely else "no" if not_at_all else f"{'yes' if value else 'no'}, within the interval"
    return {
        "mark": text,
        "measured": format(found.value, shape),
        "interval": shown(found),
        "reached": said,
    }


def _best(ladder: Ladder, asked: float) -> Condition | None:
    """The trained arm that loses fewest words at a width, chosen on the windows that it is measured by."""
    found = [one for name in arms(ladder) if (one := at(ladder, name, "trained", asked)) and as_wide(one)]
    return min(found, key=lambda one: beyond(ladder, one.condition).value, default=None)
