"""The paper's main numbers, looked up in the tables that the chapters wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fmri_audio.base.results import PLAY, RECORDINGS, select
from fmri_audio.experiments import ladder_answer
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
    found |= _words(problem, codec, kbps, found["units_linear"])
    found["mel_kbps"] = _only(select(problem, representation="mel"), "bandwidth_kbps")
    found["bits_per_tr"] = pick(codec, "bits_per_tr", bandwidth_kbps=kbps)
    return found


def _words(problem: pd.DataFrame, codec: pd.DataFrame, kbps: float, most: float) -> dict[str, float]:
    """Return the words wrong: of all in the original, beyond those elsewhere. NaN where they were not counted."""
    asked = {
        "original_errors": select(codec, metric="word_error_rate", control="original"),
        "codec_words": select(
            codec, metric="words_wrong", representation="encodec-codes", bandwidth_kbps=kbps, control="none"
        ),
        "equal_words": select(
            codec, metric="words_wrong", representation="mel-quantised", bandwidth_kbps=kbps, control="none"
        ),
        "mel_words": select(problem, metric="words_wrong", condition="none", units=None, control="none"),
        "squeezed_words": select(problem, metric="words_wrong", units=most, control="none"),
    }
    plain = {name: select(rows, material=[PLAY, RECORDINGS]) for name, rows in asked.items()}
    return {name: float(rows["value"].iloc[0]) if len(rows) else math.nan for name, rows in plain.items()}


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

    Words decide, as a recogniser reads them. STOI stands beside them with the bar that the research note sets itself,
    because envelopes alone reach it: above it a sound need not be intelligible.

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
    by_stoi = says(numbers["codec_stoi"], INTELLIGIBLE_STOI, "reaches", "misses")
    identified = numbers["identified"]
    told = (
        "segments cannot be told apart, because too little sound is held out"
        if math.isnan(identified)
        else (f"segments are told apart in {identified:.2f} of pairs, by chance in one half")
    )
    return {
        "codec_verdict": f"with the weights {codec}, EnCodec at {kbps:g} kbps {_lost(numbers['codec_words'])}, a mel "
        f"spectrogram of the same size {_lost(numbers['equal_words'])}. The note's own bar, a STOI of "
        f"{INTELLIGIBLE_STOI:g}, it {by_stoi}.",
        "diagnosis_verdict": f"an uncompressed mel spectrogram {_lost(numbers['mel_words'])} through Griffin-Lim; "
        f"behind a linear code of {numbers['units_linear']:.0f} numbers per TR, which takes no training, it "
        f"{_lost(numbers['squeezed_words'])}.",
        "brain_verdict": f"{ladder_answer.said()} By the latents that regression predicts from {brains} brains, "
        f"without any bottleneck, {told}.",
    }


def _lost(share: float) -> str:
    """What a recogniser reads wrong beyond the original's words."""
    if math.isnan(share):
        return "was not read for words"
    return f"loses {share:.2f} of the words" if share >= 0.005 else "loses none of the words"
