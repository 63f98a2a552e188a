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
    "equal_words": 0.12,
    "mel_words": 0.0,
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
        "with the weights demo-1, EnCodec at 6 kbps loses 0.15 of the words, a mel spectrogram of the same size loses "
        "0.12 of the words. The note's own bar, a STOI of 0.8, it reaches."
    )
    assert words["diagnosis_verdict"] == (
        "an uncompressed mel spectrogram loses none of the words through Griffin-Lim; behind a linear code of 838 "
        "numbers per TR, which takes no training, it loses 0.02 of the words."
    )
    assert words["brain_verdict"] == (
        f"{ladder_answer.said()} By the latents that regression predicts from simulated brains, without any "
        "bottleneck, segments are told apart in 0.62 of pairs, by chance in one half."
    )
    worse = abstract.verdicts(
        {**NUMBERS, "codec_stoi": 0.5, "squeezed_words": 0.4}, "demo-1", 6.0, simulated=False
    )
    assert (
        worse["codec_verdict"].endswith("it misses.")
        and "loses 0.40 of the words" in worse["diagnosis_verdict"]
    )
    assert "measured brains" in worse["brain_verdict"]
    unread = {"codec_words": math.nan, "squeezed_words": math.nan}
    unheard = abstract.verdicts({**NUMBERS, **unread}, "demo-1", 6.0, simulated=True)
    assert all("was not read for words" in unheard[name] for name in ("codec_verdict", "diagnosis_verdict"))


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
    squeezed = {"condition": "noise-free"}
    problem = pd.DataFrame(
        [
            row("words_wrong", 0.02, units=838.0, **squeezed),
            row("words_wrong", 0.7, units=62.0, **squeezed),
            row("words_wrong", 0.01, units=None, condition="none"),
        ]
    )
    found = abstract._words(problem, codec, 6.0, 838.0)
    assert math.isnan(found.pop("equal_words"))
    assert found == {"original_errors": 0.04, "codec_words": 0.1, "mel_words": 0.01, "squeezed_words": 0.02}
    assert math.isnan(abstract._words(problem, codec, 3.0, 838.0)["codec_words"])


def test_what_is_undefined_is_not_judged() -> None:
    words = abstract.verdicts(dict.fromkeys(NUMBERS, math.nan), "demo-1", 6.0, simulated=True)
    said = ("was not read for words", "cannot be told apart")
    assert all(any(one in sentence for one in said) for sentence in words.values())
