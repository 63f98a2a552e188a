"""Chapter 6, how the arms were trained: whether training is over, what more sound is worth, what moves."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.experiments import ladder_training
from fmri_audio.experiments.ladder_training import (
    FLAT,
    LAST,
    NESTED_WIDTH,
    Checked,
    Verdict,
    at,
    main_run,
    ratio,
    runs,
)

FORMATS = {
    "weights": ",d",
    "minutes": ".0f",
    "below its start": ".0%",
    "below components": ".0%",
    "in the last third": ".1%",
}


def read() -> list[Checked]:
    """Read how the arms were trained."""
    return ladder_training.read()


def arms(rows: Sequence[Checked]) -> list[str]:
    """Arms that were trained, in the order of the tables."""
    return [name for name in CODER_LABELS if main_run(rows, name)]


def table(rows: Sequence[Checked]) -> pd.DataFrame:
    """Every arm's own run, and whether it counts as training."""
    found = []
    for name in arms(rows):
        run = main_run(rows, name)
        verdict, last = Verdict.of(run), run[-1]
        found.append(
            {
                "arm": CODER_LABELS[name],
                "weights": last.weights,
                "steps": last.step,
                "minutes": last.minutes,
                "below its start": verdict.gained,
                "below components": verdict.beats_pca,
                "in the last third": verdict.falling,
                "": verdict.said,
            }
        )
    return pd.DataFrame(found)


def caption(rows: Sequence[Checked]) -> str:
    """Standalone."""
    return (
        "Trainings of the arms, by the loss of voices that no training heard, mean over widths: below the arm's own "
        "untrained start, below principal components with the same way back to sound, and what the last third of the "
        f"run still brought. Trained is what is below both at every width that was checked and flat, which is at most "
        f"{FLAT:.0%} from {LAST:.0%} of the run on. Minutes of one core of {rows[0].hardware}."
    )


def said(rows: Sequence[Checked]) -> dict[str, float | str]:
    """What the text says of the trainings."""
    verdicts = {name: Verdict.of(main_run(rows, name)) for name in arms(rows)}
    trained = [CODER_LABELS[name] for name, verdict in verdicts.items() if verdict.said == "trained"]
    others = [f"{CODER_LABELS[name]}: {one.said}" for name, one in verdicts.items() if one.said != "trained"]
    return {
        "trained": ", ".join(trained) or "none",
        "not_trained": "; ".join(others) or "none",
        "nested_width": NESTED_WIDTH,
        "more_sound": more_sound_said(rows),
        "frozen_or_finetuned": frozen_or_finetuned(rows),
    }


def draw(rows: Sequence[Checked]) -> Figure:
    """Loss of every arm's own run as a share of principal components', mean over widths, against minutes."""
    drawn, axes = plt.subplots(figsize=(7, 3.6))
    for index, name in enumerate(arms(rows)):
        run = main_run(rows, name)
        steps = sorted({row.step for row in run})
        shares = [np.mean([row.loss / row.pca for row in run if row.step == step]) for step in steps]
        minutes = [next(row.minutes for row in run if row.step == step) for step in steps]
        axes.plot(minutes, shares, marker=".", color=f"C{index}", label=CODER_LABELS[name])
    axes.axhline(1, color="0.6", linewidth=0.8)
    axes.set(xlabel="minutes of training", ylabel="loss / principal components'")
    axes.legend(fontsize=7, frameon=False)
    return drawn


def final(run: Sequence[Checked]) -> dict[int, float]:
    """Losses by width at the end of a run."""
    return at(run, max(row.minutes for row in run))


def more_sound_said(rows: Sequence[Checked]) -> str:
    """How far less sound ends above all of it."""
    found = []
    for name in arms(rows):
        everything = final(main_run(rows, name))
        less = [
            f"{run[0].sound:g} min {ratio(final(run), everything) - 1:+.0%}"
            for run in sorted(runs(rows).values(), key=lambda run: run[0].sound or 0.0)
            if run[0].arm == name and run[0].sound and not (run[0].control or run[0].single)
        ]
        if less:
            found.append(f"{CODER_LABELS[name]}: {', '.join(less)}")
    return "; ".join(found) or "not measured"


def frozen_or_finetuned(rows: Sequence[Checked]) -> str:
    """Validation losses with a codec that moves against one that does not, at equal samples and at equal compute."""
    frozen, moving = main_run(rows, "frozen"), main_run(rows, "finetuned")
    if not (frozen and moving):
        return "not measured"
    parts = [f"at equal samples {_less(moving, frozen)}"]
    for run in runs(rows).values():
        one = run[0]
        if one.single or one.sound or one.seed != moving[0].seed:
            continue
        if one.arm == "finetuned" and one.control.endswith("steps") and "," not in one.control:
            parts.append(
                f"in {_minutes(run):.0f} min against {_minutes(frozen):.0f} min {_less(run, frozen)}"
            )
        if one.arm == "finetuned" and one.control == "random codec":
            parts.append(f"begun from random weights {_less(run, frozen)}")
        if one.arm == "frozen" and one.control == "wide":
            parts.append(
                f"frozen with {one.weights:,} trained weights in place of {frozen[0].weights:,} {_less(run, frozen)}"
            )
    return "; ".join(parts)


def _minutes(run: Sequence[Checked]) -> float:
    return max(row.minutes for row in run)


def _less(run: Sequence[Checked], other: Sequence[Checked]) -> str:
    return f"{ratio(final(run), final(other)) - 1:+.1%}"
