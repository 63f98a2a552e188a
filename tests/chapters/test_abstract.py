"""The abstract's numbers and the verdicts that follow from them."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from fmri_audio.chapters import abstract
from fmri_audio.experiments import ladder_answer

ROWS = pd.DataFrame(
    [
        {"metric": "stoi", "segment": "speech", "control": "none", "units": None, "fold": None, "value": 0.9},
        {"metric": "stoi", "segment": "speech", "control": "none", "units": 8.0, "fold": None, "value": 0.4},
        {
            "metric": "stoi",
            "segment": "speech",
            "control": "noise",
            "units": None,
            "fold": None,
            "value": 0.3,
        },
        {
            "metric": "snr_db",
            "segment": "music",
            "control": "none",
            "units": None,
            "fold": "held-out",
            "value": 3.0,
        },
    ]
)

NUMBERS = {
    "codec_stoi": 0.85,
    "equal_stoi": 0.7,
    "mel_stoi": 0.97,
    "squeezed_stoi": 0.81,
    "units_linear": 838.0,
    "identified": 0.62,
    "codec_words": 0.15,
    "squeezed_words": 0.02,
    "original_errors": 0.04,
}


def test_a_number_is_the_one_its_columns_name() -> None:
    assert abstract.pick(ROWS, "stoi", "speech", control="none", units=None) == 0.9
    assert abstract.pick(ROWS, "stoi", "speech", units=8.0) == 0.4


def test_a_number_that_no_chapter_wrote_is_an_error_not_a_gap() -> None:
    with pytest.raises(LookupError, match="pesq_wb"):
        abstract.pick(ROWS, "pesq_wb", "speech")


def test_intelligibility_of_music_is_undefined() -> None:
    assert math.isnan(abstract.pick(ROWS, "stoi", "music"))
    assert abstract.held_out_kind(ROWS) == "music"


def test_verdicts_follow_the_numbers() -> None:
    words = abstract.verdicts(NUMBERS, "demo-1", 6.0, simulated=True)
    assert words["codec_verdict"] == (
        "with the weights demo-1, and by the note's bar (a STOI of 0.8), EnCodec at 6 kbps carries intelligible sound, "
        "by STOI more than a mel spectrogram of the same size. Whisper reads 0.15 of its words wrong beyond the "
        "original's."
    )
    assert words["diagnosis_verdict"] == (
        "an uncompressed mel spectrogram survives Griffin-Lim; behind a linear code of 838 numbers per TR, which takes "
        "no training, it is intelligible. Whisper reads 0.02 of its words wrong beyond the original's."
    )
    assert words["brain_verdict"] == (
        f"{ladder_answer.said()} By the latents that regression predicts from simulated brains, without any "
        "bottleneck, segments are told apart in 0.62 of pairs, by chance in one half."
    )
    worse = abstract.verdicts(
        {**NUMBERS, "codec_stoi": 0.5, "squeezed_stoi": 0.4}, "demo-1", 6.0, simulated=False
    )
    assert "does not carry" in worse["codec_verdict"] and "less than" in worse["codec_verdict"]
    assert (
        "measured brains" in worse["brain_verdict"] and "it is not intelligible" in worse["diagnosis_verdict"]
    )
    unread = {"codec_words": math.nan, "squeezed_words": math.nan}
    unheard = abstract.verdicts({**NUMBERS, **unread}, "demo-1", 6.0, simulated=True)
    assert not any("Whisper" in sentence for sentence in unheard.values())


def test_words_are_cited_of_sentences_that_can_be_guessed_at() -> None:
    def row(metric: str, value: float, material: str = "play", **columns: object) -> dict[str, object]:
        return {"metric": metric, "value": value, "material": material, "control": "none", **columns}

    coded = {"representation": "encodec-codes", "bandwidth_kbps": 6.0}
    codec = pd.DataFrame(
        [
            row("word_error_rate", 0.04, control="original"),
            row("words_wrong", 0.1, **coded),
            row("words_wrong", 0.9, "play-unpredictable", **coded),
            row("words_wrong", 0.5, **{**coded, "bandwidth_kbps": 1.5}),
        ]
    )
    problem = pd.DataFrame([row("words_wrong", 0.02, units=838.0), row("words_wrong", 0.7, units=62.0)])
    found = abstract._words(problem, codec, 6.0, 838.0)
    assert found == {"original_errors": 0.04, "codec_words": 0.1, "squeezed_words": 0.02}
    assert math.isnan(abstract._words(problem, codec, 3.0, 838.0)["codec_words"])


def test_what_is_undefined_is_not_judged() -> None:
    words = abstract.verdicts(dict.fromkeys(NUMBERS, math.nan), "demo-1", 6.0, simulated=True)
    said = ("cannot be judged", "not comparable", "cannot be told apart")
    assert all(any(one in sentence for one in said) for sentence in words.values())
