"""The line under a player that says what is said."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fmri_audio.base.settings import Settings
from fmri_audio.edition import transcripts
from fmri_audio.sound import audio
from fmri_audio.sound.segments import Window


@pytest.fixture
def play(tmp_path: Path) -> Path:
    """Two parts of 4 and 3 TRs with two passages each."""
    for part, trs in ((1, 4), (2, 3)):
        audio.write_flac(tmp_path / "sound.flac", np.zeros(int((trs * 1.5 + 0.7) * 24_000)), 24_000)
        (tmp_path / "sound.flac").rename(tmp_path / f"part{part}.ogg")
    words = [
        (1, 0.5, "a"),
        (1, 1.0, "word"),
        (1, 2.0, "five"),
        (1, 2.5, "hundred"),
        (2, 1.0, "other"),
        (2, 1.5, "part"),
    ]
    pd.DataFrame(
        [(p, t, t + 0.4, w, "Ann") for p, t, w in words],
        columns=["part", "onset", "offset", "word", "speaker"],
    ).to_csv(tmp_path / "words.tsv", sep="\t", index=False)
    passages = [(1, 0.5, 1.5, "A word."), (1, 2.0, 3.0, "500."), (2, 1.0, 2.0, "Other part!")]
    pd.DataFrame(
        [(*p[:3], "speech", p[3]) for p in passages], columns=["part", "onset", "offset", "kind", "text"]
    ).to_csv(tmp_path / "segments.tsv", sep="\t", index=False)
    return tmp_path


def test_words_are_as_written_and_counted_from_the_excerpt(play: Path) -> None:
    words = transcripts.play_words(play, Settings(edition="x", stimulus={"first_tr": 1}))
    assert words["word"].tolist() == ["A", "word.", "five", "hundred", "Other", "part!"]
    assert words["onset"].tolist() == pytest.approx([-1, -0.5, 0.5, 1.0, 5.5, 6.0]), (
        "part 2 starts after 4 whole TRs"
    )


def test_a_passage_that_goes_on_has_dots(play: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcripts, "project_root", lambda: play.parent)
    play.rename(play.parent / "stimulus")
    run = SimpleNamespace(settings=Settings(edition="x"))
    assert transcripts.transcript(run, Window("w", 0.3, 1.8, "speech")) == "A word."
    assert transcripts.transcript(run, Window("w", 0.8, 2.3, "speech")) == "… word. five …"
    assert transcripts.transcript(run, Window("w", 4.0, 6.0, "silence")) == ""


def test_text_of_a_users_table_or_nothing() -> None:
    table = pd.DataFrame(
        {"onset": [0.0, 5.0], "offset": [5.0, 9.0], "kind": ["speech", "music"], "text": ["Hello.", "la"]}
    )
    settings = SimpleNamespace(stimulus=SimpleNamespace(source="x.wav"))
    run = SimpleNamespace(settings=settings, stimulus=SimpleNamespace(segments=table))
    assert transcripts.transcript(run, Window("w", 3.0, 8.0, "speech")) == "Hello."
    run.stimulus.segments = table.drop(columns="text")
    assert transcripts.transcript(run, Window("w", 3.0, 8.0, "speech")) == ""
