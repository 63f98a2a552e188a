"""Words of sounds, as tables, sentences and results."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fmri_audio.chapters import spoken
from fmri_audio.chapters.spoken import Spoken
from fmri_audio.edition.readings import Reading
from fmri_audio.edition.reel import Reel
from fmri_audio.sound.recognition import NO_RECOGNISER, Passage, SentencesIdentified, Words

PASSAGES = [
    *(Passage(float(n), n + 1.0, f"a sentence number {n}", "A", str(n)) for n in range(4)),
    *(Passage(float(n), n + 1.0, f"green ideas sleep {n}", "A", str(n), "unpredictable") for n in (4, 5)),
]


def reading(errors: list[int], right: float = 1.0) -> Reading:
    """Return a reading of the first passages with so many words substituted in each."""
    words = [Words(one, 4, wrong, 0, 0) for one, wrong in zip(PASSAGES, errors, strict=False)]
    return Reading(words, SentencesIdentified(right, len(words), 1 / 6))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Spoken:
    named = SimpleNamespace(name="Whisper tiny.en", licence="MIT", sha256="0")
    monkeypatch.setattr(spoken, "find_recogniser", lambda: named)
    readings = {
        "original": reading([1, 0, 0, 0, 0, 0]),
        "good": reading([1, 1, 0, 0, 2, 2], 0.9),
        "bad": reading([4, 4, 4, 5, 4, 4], 0.1),
        "middling": reading([2, 2, 2, 2, 3, 3], 0.5),
        "brief": reading([1, 2]),
    }
    return Spoken(readings, seed=0)


def test_errors_count_beyond_the_originals_and_materials_apart(counted: Spoken) -> None:
    assert counted.beyond("good") == 1 / 16 and counted.beyond("bad") == 1.0
    assert counted.score("good", "unpredictable").beyond.value == 0.5
    assert counted.beyond("brief") == 2 / 8 and math.isnan(counted.beyond("never read"))
    assert counted.original_wrong == 1 / 16 and not counted.why_undefined


def test_the_table_names_the_recogniser_and_every_kind_of_error(counted: Spoken) -> None:
    shown = spoken.table(counted, "Weights demo-1.")
    assert "Words of 6 sentences, as Whisper tiny.en (licence MIT)" in shown.caption
    assert "Weights demo-1." in shown.caption and "among 6 known ones" in shown.caption
    rows = shown.frame.set_index("sound")
    assert list(rows.index) == list(counted.readings)
    good = rows.loc["good"]
    assert (good["words"], good["words wrong"], good["substituted"], good["left out"]) == (
        16,
        1 / 16,
        2 / 16,
        0,
    )
    assert good["words wrong, unpredictable"] == 0.5 and good["sentences told"] == 0.9
    assert good["95 % interval"] == "0.00\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}0.19"


def test_words_go_beside_other_scores(counted: Spoken) -> None:
    scores = pd.DataFrame({"sound": ["bad", "unread"], "PESQ": [1.0, 2.0], "STOI": [0.5, 0.6]})
    table = spoken.beside(scores, counted, before="STOI", names="sound")
    assert list(table) == ["sound", "PESQ", "words wrong", "STOI"]
    assert table["words wrong"][0] == 1.0 and math.isnan(table["words wrong"][1])
    assert list(spoken.beside(scores, counted, before="none", names="sound"))[-1] == "words wrong"
    rows = pd.DataFrame({"sound": ["bad", "bad"], "segments": ["speech", "music"]})
    of_speech = spoken.beside(rows, counted, before="none", names="sound", kind="speech")["words wrong"]
    assert of_speech[0] == 1.0 and math.isnan(of_speech[1]), "nobody read the words of music"


def test_agreement_is_over_sounds_that_were_read_whole(counted: Spoken) -> None:
    assert spoken.agreement(counted) == pytest.approx(1.0)
    swapped = {**counted.readings, "bad": reading([4] * 6, 1.0)}
    assert spoken.agreement(Spoken(swapped, 0)) < 1
    assert math.isnan(spoken.agreement(Spoken({"original": reading([0] * 6), "one": reading([1] * 6)}, 0)))


def test_a_sound_is_told_with_its_interval_or_with_a_dash(counted: Spoken) -> None:
    assert spoken.told(counted, "good") == "0.06 (0.00 to 0.19)"
    assert spoken.told(counted, "never read") == "–"


def test_why_nothing_is_counted(counted: Spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no table says what is spoken" in Spoken({"original": reading([])}, 0).why_undefined
    deaf = Spoken({"original": reading([2, 2, 2, 2])}, 0)
    assert "gets 0.50 of the original's wrong" in deaf.why_undefined and math.isnan(deaf.beyond("original"))
    monkeypatch.setattr(spoken, "find_recogniser", lambda: None)
    assert counted.why_undefined[1:-1] == NO_RECOGNISER[1:]
    assert "as no recogniser hears them" in spoken.table(counted, "").caption


def test_results_have_a_row_per_sound_material_and_measure(counted: Spoken) -> None:
    run = SimpleNamespace(material="play")
    own = {"good": {"arm": "roundtrip", "control": "none"}, "brief": {"arm": "roundtrip", "control": "none"}}
    rows = pd.DataFrame([vars(one) for one in spoken.records(counted, own, run)])  # type: ignore[arg-type]
    main = rows[(rows["metric"] == "words_wrong") & (rows["material"] == "play")]
    assert main["value"].tolist() == [1 / 16, 2 / 8] and main["n"].tolist() == [16, 8]
    assert main["ci_low"].tolist()[0] == 0
    hard = rows[rows["material"] == "play-unpredictable"]
    assert len(hard) == 5 and set(hard["n"]) == {8}  # the brief sound holds none of them
    parts = ["word_substitutions", "word_deletions", "word_insertions"]
    assert rows[rows["metric"].isin(parts) & (rows["material"] == "play")].groupby("metric")[
        "value"
    ].first().tolist() == [
        0,
        0,
        2 / 16,
    ]
    assert rows[rows["metric"] == "sentences_told"]["value"].tolist() == [0.9, 1.0]


def test_brief_sounds_are_read_at_the_first_sentences(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    asked = {}

    def read(sound: np.ndarray, rate: int, passages: list[Passage], folder: object) -> Reading:
        asked[float(sound[0])] = len(passages)
        return reading([0] * len(passages))

    monkeypatch.setattr(spoken, "read", read)
    reel = Reel(np.zeros(600, np.float32), 100, PASSAGES, [])
    settings = SimpleNamespace(words=SimpleNamespace(few=8), seed=3)
    run = SimpleNamespace(settings=settings, cache=tmp_path)
    found = spoken.listen(run, reel, {"a": np.ones(600)}, {"b": np.full(200, 2.0)})  # type: ignore[arg-type]
    assert (
        asked == {0.0: 6, 1.0: 6, 2.0: 2}
        and found.seed == 3
        and list(found.readings) == ["original", "a", "b"]
    )
