"""What the edition's own results say."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fmri_audio.base import results
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.claims.functions.registry import YES, Tables, Value, registered_on_tables
from fmri_audio.sound import scoring
from fmri_audio.sound.metrics.base import METRICS


@registered_on_tables
def tells_sound_from_floor(tables: Tables) -> dict[str, Value]:
    """Say for each metric whether it puts the uncompressed mel above every floor.

    The mel spectrogram of chapter 2 is intelligible by any account; a measure that prefers to it silence, noise, other
    speech, or what a decoder of chapter 7 makes without any brain does not tell good sound from bad. Nor does one for
    which a floor has no score.
    """
    rows = results.select(tables.metrics, segment="speech")
    whole = results.select(rows, arm="roundtrip", fold=None)
    heard = results.select(whole, representation="mel", condition="none", control="none")
    floors = pd.concat(
        [
            results.select(whole, control=list(scoring.FLOORS)),
            results.select(rows, control=["no-brain", "random-sound"]),
        ]
    )
    names = {name: label.format(kind="speech") for name, label in scoring.FLOORS.items()}
    found: dict[str, Value] = {}
    for name in scoring.METRIC_NAMES:
        score = heard.loc[heard["metric"] == name, "value"].mean()
        beside = floors[floors["metric"] == name]
        if not np.isfinite(score) or beside.empty:
            continue
        sign = METRICS[name].direction
        above = beside[sign * beside["value"] >= sign * score]["control"].unique()
        undefined = beside[beside["value"].isna()]["control"].unique()
        said = [
            f"{words} {' and '.join(dict.fromkeys(names.get(one, 'sound made without a brain') for one in several))}"
            for words, several in (("is below", above), ("cannot be compared with", undefined))
            if len(several)
        ]
        found[scoring.LABELS[name]] = ", and ".join(said) or YES
    return found


@registered_on_tables
def arms_converged(tables: Tables) -> dict[str, Value]:
    """Say for frozen and fine-tuned whether training was over; an arm that has not converged gets no verdict."""
    return _converged(tables, "frozen", "finetuned")


@registered_on_tables
def mel_arm_converged(tables: Tables) -> dict[str, Value]:
    """Say it for the old pipeline."""
    return _converged(tables, "mel")


@registered_on_tables
def complex_arm_converged(tables: Tables) -> dict[str, Value]:
    """Say it for the complex STFT."""
    return _converged(tables, "complex-stft")


def _converged(tables: Tables, *arms: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for arm in arms:
        unfinished = tables.training.get(f"{arm}_unfinished")
        unsaid = "chapter 13 does not say whether it converged"
        said = YES if unfinished == 0 else str(tables.training.get(f"{arm}_verdict", unsaid))
        found[f"the {ARM_LABELS[arm]} arm"] = unsaid if unfinished is None else said
    return found
