"""What others report of Meta's weights, and the note's gates, which their figures have to pass like ours."""

from __future__ import annotations

import pandas as pd

from fmri_audio.base.settings import project_root
from fmri_audio.experiments.problem import INTELLIGIBLE_STOI

GATES = {"snr_db": 20.0, "pesq_wb": 3.0, "stoi": INTELLIGIBLE_STOI}
"""Metric → value that the note asks for: its two gates, and its bar for intelligible."""

REFERENCE = "measured here on the Vocos demo clips"
"""The source that has all metrics."""


def published() -> pd.DataFrame:
    """Return the figures for Meta's weights: ``source, citation, codec, material, bandwidth_kbps, metric, value``."""
    return pd.read_csv(project_root() / "book" / "published.csv")
