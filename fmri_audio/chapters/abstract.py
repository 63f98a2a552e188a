"""The paper's main numbers, looked up in the tables that the chapters wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fmri_audio.base.results import select
from fmri_audio.base.words import REMEASURED
from fmri_audio.experiments.problem import INTELLIGIBLE_STOI, says
from fmri_audio.sound.scoring import SPEECH_METRICS

CITED = ("stoi", "estoi", "pesq_wb", "snr_db", "mel_distance_db")
"""Metrics that the abstract may cite."""

HELD_OUT = "held-out"
"""What the column ``fold`` says where a score was taken on the held-out block."""


def pick(records: pd.DataFrame, metric: str, segment: str | None = None, **columns: Any) -> float:
    """Return the mean of the values that a table holds under the given columns.

    Parameters
    ----------
    records
        Tables as from ``Edition.records``.
    metric
        Its name; PESQ and STOI exist for speech only, and are NaN for any other ``segment``.
    segment
        Kind of segment, where the value belongs to one.
    columns
        What other columns must say; None: empty.

    Raises
    ------
    LookupError
        There is no such row: a chapter did not write what another one cites.
    """
    if metric in SPEECH_METRICS and segment not in (None, "speech"):
        return math.nan
    wanted = {"metric": metric, **({} if segment is None else {"segment": segment}), **columns}
    found = select(records, **wanted)
    if found.empty:
        raise LookupError(f"no result for {wanted}")
    return float(found["value"].mean())


def held_out_kind(records: pd.DataFrame) -> str:
    """Return the kind of segment that was scored on the held-out block."""
    rows = select(records, fold=HELD_OUT, segment=["speech", "music", "ambience"])
    if rows.empty:
        raise LookupError("no score on the held-out block")
    return str(rows["segment"].iloc[0])


def headline(tables: Mapping[str, pd.DataFrame], kind: str, kbps: float) -> dict[str, float]:
    """Return the numbers of the abstract under the names that its text cites.

    Parameters
    ----------
    tables
        Chapter → its table, for chapters 2, 3 and 7 (``Edition.records``).
    kind
        Kind of segment scored on the whole stimulus.
    kbps
        Main bandwidth.
    """
    problem, codec, late = (tables[name] for name in ("02-problem", "03-encodec", "07-evaluation"))
    found = _whole(problem, codec, kind, kbps)
    found["identified"] = pick(late, "identification_matched", control="none")
    found["identified_p"] = pick(late, "identification_matched_p", control="circular-shift")
    for name, rows in (("mel", select(problem, units=None)), ("codec", codec)):
        own = select(rows, metric="mel_distance_db", segment=kind, control="none")
        found[f"{name}_windows"] = float(own["n"].max())
    heard = select(late, metric="word_error_rate", arm="roundtrip")
    found["original_errors"] = float(select(heard, control="original")["value"].mean())
    found["codec_errors"] = float(select(heard, control="none")["value"].mean())
    found["mel_kbps"] = _only(select(problem, representation="mel"), "bandwidth_kbps")
    found["bits_per_tr"] = pick(codec, "bits_per_tr", bandwidth_kbps=kbps)
    return found


def _whole(problem: pd.DataFrame, codec: pd.DataFrame, kind: str, kbps: float) -> dict[str, float]:
    """Return the scores taken over the whole stimulus."""
    squeezed = select(problem, condition="noise-free")
    most = float(squeezed["units"].max())
    own = {"bandwidth_kbps": kbps, "control": "none"}
    found = {"units_linear": most}
    for metric in CITED:
        found |= {
            f"mel_{metric}": pick(problem, metric, kind, representation="mel", control="none", units=None),
            f"squeezed_{metric}": pick(squeezed, metric, kind, units=most, control="none"),
            f"phase_{metric}": pick(squeezed, metric, kind, units=most, control="own-phase"),
            f"codec_{metric}": pick(codec, metric, kind, representation="encodec-codes", **own),
            f"equal_{metric}": pick(codec, metric, kind, representation="mel-quantised", **own),
            f"noise_{metric}": pick(codec, metric, kind, control="noise"),
        }
    return found


def _only(records: pd.DataFrame, column: str) -> float:
    """Return the one value that a column holds."""
    values = records[column].dropna().unique()
    if len(values) != 1:
        raise LookupError(f"{column} holds {len(values)} values where one was expected")
    return float(values[0])


def verdicts(numbers: Mapping[str, float], codec: str, kbps: float, *, simulated: bool) -> dict[str, str]:
    """Return the paper's three verdicts as sentences that follow from the numbers.

    A sound counts as intelligible from a STOI of 0.8 on, which is the bar that the research note sets itself.

    Parameters
    ----------
    numbers
        As from :func:`headline`.
    codec
        The weights' id.
    kbps
        Main bandwidth.
    simulated
        Whether the brains are.
    """
    brains = "simulated" if simulated else "measured"
    coded = says(
        numbers["codec_stoi"],
        INTELLIGIBLE_STOI,
        "carries intelligible sound",
        "does not carry intelligible sound",
    )
    better = says(
        numbers["codec_stoi"] - numbers["equal_stoi"], 0, "more than", "less than", "not comparable with"
    )
    plain = says(
        numbers["mel_stoi"], INTELLIGIBLE_STOI, "survives Griffin-Lim", "does not survive Griffin-Lim"
    )
    squeezed = says(numbers["squeezed_stoi"], INTELLIGIBLE_STOI, "is intelligible", "is not intelligible")
    identified = numbers["identified"]
    told = (
        "segments cannot be told apart, because too little sound is held out"
        if math.isnan(identified)
        else (f"segments are told apart in {identified:.2f} of pairs, by chance in one half")
    )
    errors = [numbers[f"{name}_errors"] for name in ("codec", "original")]
    words = (
        ""
        if any(math.isnan(share) for share in errors)
        else (
            f" A small recogniser gets {errors[0]:.2f} of its words wrong, and {errors[1]:.2f} of the original's."
        )
    )
    return {
        "codec_verdict": f"with the weights {codec}, and by the note's bar (a STOI of {INTELLIGIBLE_STOI:g}), EnCodec "
        f"at {kbps:g} kbps {coded}, by STOI {better} a mel spectrogram of the same size.{words}",
        "diagnosis_verdict": f"an uncompressed mel spectrogram {plain}; behind a linear code of "
        f"{numbers['units_linear']:.0f} numbers per TR, which takes no training, it {squeezed}.",
        "brain_verdict": f"{REMEASURED} By the latents that regression predicts from {brains} brains, without any "
        f"bottleneck, {told}.",
    }
