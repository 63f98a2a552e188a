"""What the edition's own results say."""

from __future__ import annotations

import numpy as np

from fmri_audio import scoring
from fmri_audio.claim_functions.registry import NO, YES, Tables, Value, registered_on_tables


@registered_on_tables
def tells_sound_from_floor(tables: Tables) -> dict[str, Value]:
    """Say for each metric whether it puts the uncompressed mel above every floor (silence, noise, other speech).

    The mel spectrogram of chapter 2 is intelligible by any account; a measure that prefers silence to it does not
    tell good sound from bad.
    """
    rows = tables.metrics
    whole = rows[(rows["segment"] == "speech") & (rows["arm"] == "roundtrip") & rows["fold"].isna()]
    heard = whole[
        (whole["representation"] == "mel") & (whole["condition"] == "none") & (whole["control"] == "none")
    ]
    floors = whole[whole["control"].isin(["silence", "noise", "other-segment"])]
    found: dict[str, Value] = {}
    for name in scoring.METRICS:
        score = heard.loc[heard["metric"] == name, "value"].mean()
        least = floors.loc[floors["metric"] == name, "value"].dropna()
        if np.isfinite(score) and len(least):
            better = score < least.min() if name == "mel_distance_db" else score > least.max()
            found[scoring.LABELS[name]] = YES if better else NO
    return found


@registered_on_tables
def arms_converged(tables: Tables) -> dict[str, Value]:
    """Say for both arms whether training was over; an arm that has not converged gets no verdict."""
    found: dict[str, Value] = {}
    for arm, name in (("frozen", "the frozen arm"), ("finetuned", "the fine-tuned arm")):
        said = tables.training.get(f"{arm}_verdict")
        unsaid = "chapter 6 does not say whether it converged"
        found[name] = unsaid if said is None else YES if said == "converged" else str(said)
    return found
