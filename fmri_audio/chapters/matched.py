"""Chapter 12, third part: simulated brains beside the regions of real ones, and what aligning real brains buys."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fmri_audio.base.settings import VOXELS
from fmri_audio.experiments import aligned, matched_brains
from fmri_audio.experiments.aligned import AlignedRow
from fmri_audio.experiments.matched_brains import PUBLISHED_TOLERANCE, TOLERANCE, MatchedRow
from fmri_audio.simulation.brains import INDIVIDUAL_SHARE
from fmri_audio.simulation.voxel_models import VOXEL_MODELS

FORMATS = dict.fromkeys(("real", *VOXELS), ".2f")
METHODS = {
    "within": "a listener's own decoder",
    "bold": "one decoder of averaged BOLD",
    "components": "one decoder of averaged BOLD's components",
    "predictions": "mean of own decoders' predictions",
    "shared": "one decoder of the shared response",
    "bold-new": "a newcomer, by averaged BOLD of the others",
    "shared-new": "a newcomer, by the others' shared response",
}
ALIGNED_FORMATS = {"r": ".3f"}


def gathered() -> tuple[list[AlignedRow], list[MatchedRow]]:
    """Read what aligning gives, and regions side by side."""
    return aligned.read(), matched_brains.read()


def table(rows: Sequence[MatchedRow]) -> pd.DataFrame:
    """Real and simulated quantities side by side."""
    return pd.DataFrame(
        [
            {
                "what": f"{row.quantity}, {row.of}",
                "": row.kind,
                "real": row.real,
                "over runs": "–"
                if row.real_low is None or row.real_high is None
                else f"{row.real_low:.2f} to {row.real_high:.2f}",
                **{name: getattr(row, name) for name in VOXELS},
                "agree": row.agrees,
            }
            for row in rows
        ]
    )


def caption() -> str:
    """Standalone."""
    return (
        "Regions of real listeners and of simulated ones with three models of a voxel. Agreement: correlation of a "
        "listener with the others' mean, in the four regions that follow the level most; pairs: of two listeners. "
        "Explained: share of what they share that level or all that was heard explains in held-out runs (real: level "
        "and words; simulated: all features). Residual: what a listener has beside the others. Level: correlation of "
        "decoded with true level in held-out runs. What follows from what was fitted is no check. All without what "
        "takes longer than 128 s. Models agree that lie within the real 95 % interval over runs or within "
        f"{TOLERANCE:.0%} of the real figure; published figures come without an interval, and "
        f"{PUBLISHED_TOLERANCE:.0%} is allowed."
    )


def said(rows: Sequence[MatchedRow]) -> dict[str, float | str]:
    """What fails, and what a voxel has to have for its region to be what it is."""
    checks, fitted = ([row for row in rows if row.kind == kind] for kind in ("check", "fitted"))
    off = [row for row in fitted if row.agrees != " ".join(VOXELS)]
    failing = [row for row in checks if row.agrees == "none"]
    some = [row for row in checks if row.agrees not in ("none", " ".join(VOXELS))]
    strength = [VOXEL_MODELS[name].strength for name in VOXELS]
    unheard = [VOXEL_MODELS[name].unheard for name in VOXELS]
    return {
        "checks": len(checks),
        "checks_hold": sum(row.agrees == " ".join(VOXELS) for row in checks),
        "fitted": len(fitted),
        "fitted_off": _with_models(off),
        "failing": "; ".join(_failing(row) for row in failing) or "nothing",
        "failing_some": _with_models(some),
        "strength_low": min(strength),
        "strength_high": max(strength),
        "unheard_low": min(unheard),
        "unheard_high": max(unheard),
        "individual": INDIVIDUAL_SHARE,
    }


def _with_models(rows: Sequence[MatchedRow]) -> str:
    """Rows with which not all models agree, and those that do."""
    return "; ".join(f"{_failing(row)}, agree: {row.agrees}" for row in rows) or "nothing"


def _failing(row: MatchedRow) -> str:
    made = [getattr(row, name) for name in VOXELS]
    return f"{row.quantity} ({row.of}): {row.real:.2f} real, {min(made):.2f} to {max(made):.2f} simulated"


def aligned_table(rows: Sequence[AlignedRow]) -> pd.DataFrame:
    """What every way to decode several brains reaches, and what it is better by."""
    return pd.DataFrame(
        [
            {
                "how": METHODS[row.method] + (f", {row.n_subjects} listeners" if row.n_subjects > 1 else ""),
                "r": row.r,
                "over runs": f"{row.low:.3f} to {row.high:.3f}",
                "differs by": "–"
                if row.difference is None or row.difference_low is None or row.difference_high is None
                else f"{row.difference:+.3f} ({row.difference_low:+.3f} to {row.difference_high:+.3f})",
                "level turned round": f"{row.null:.3f} ({row.null_low:.3f} to {row.null_high:.3f})",
            }
            for row in sorted(rows, key=lambda row: (row.n_subjects, list(METHODS).index(row.method)))
            if row.n_subjects > 1 or row.method == "within"
        ]
    )


def aligned_caption(rows: Sequence[AlignedRow]) -> str:
    """Standalone."""
    return (
        "Level of held-out runs from several listeners on whom nothing was chosen, both sides without what takes "
        f"longer than 128 s, mean over {rows[0].n_runs} runs and over groups, with intervals over runs, which share "
        "their training and are descriptive. Differs: from averaged BOLD of the same listeners; the shared response "
        f"from components of averaged BOLD. The last column: with the level of every run turned round, mean of "
        f"{len(aligned.TURNS)} turns and the lowest and highest of them."
    )


def aligned_said(rows: Sequence[AlignedRow]) -> dict[str, float | str]:
    """What a shared response buys over averaging, and for a listener on whom nothing was trained."""
    most = max(row.n_subjects for row in rows)
    by = {(row.method, row.n_subjects): row for row in rows}
    group, new = by["shared", most], by["shared-new", most - 1]
    return {
        "n": most,
        "within": by["within", 1].r,
        "bold": by["bold", most].r,
        "predictions": by["predictions", most].r,
        "components": by["components", most].r,
        "shared": group.r,
        "bought": _bought(group),
        "new_bold": by["bold-new", most - 1].r,
        "new_shared": new.r,
        "new_bought": _bought(new),
        "ks": " or ".join(map(str, aligned.KS)),
        "chance": max(abs(row.null) for row in rows),
    }


def _bought(row: AlignedRow) -> str:
    if row.difference is None or row.difference_low is None or row.difference_high is None:
        raise ValueError(f"{row.method}: compared with nothing")
    shown = f"{row.difference:+.3f} ({row.difference_low:+.3f} to {row.difference_high:+.3f})"
    if row.difference_low > 0:
        return f"{shown}, better in these runs"
    return f"{shown}, worse in these runs" if row.difference_high < 0 else f"{shown}, no verdict"
