"""Tables of segments read and refused; speech told from music and silence; windows chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.sound import audio, segments

Maker = Callable[..., np.ndarray]


def table(*rows: tuple[float, float, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["onset", "offset", "kind"])


def labels(found: pd.DataFrame, seconds: float, step: float = 0.1) -> np.ndarray:
    """Return the kind at every tenth of a second; "none" where there is no segment."""
    out = np.full(int(seconds / step), "none", dtype=object)
    for row in found.itertuples():
        out[round(row.onset / step) : round(row.offset / step)] = row.kind
    return out


def test_detector_on_real_recordings(shared_data: Path) -> None:
    sound = audio.read_sound(shared_data / "stimulus" / "recorded-mix.flac")
    truth = labels(segments.read_segments(shared_data / "stimulus" / "recorded-mix.tsv"), sound.seconds)
    found = labels(segments.detect_segments(sound.samples[0], sound.sample_rate), sound.seconds)
    sounding = found != "silence"
    for kind, least in (("speech", 0.98), ("music", 0.93)):
        assert np.mean(found[(truth == kind) & sounding] == kind) > least, kind
    assert np.mean(found[truth == "none"] == "silence") > 0.97


def test_detector_on_synthetic_sound(speech: Maker, music: Maker) -> None:
    pause = np.zeros(24_000 * 2, np.float32)
    waveform = np.concatenate([speech(12.0), pause, music(12.0), pause, speech(12.0, seed=1)])
    found = labels(segments.detect_segments(waveform, 24_000), 40.0)
    for kind, start, stop in (("speech", 0, 12), ("silence", 12, 14), ("music", 14, 26), ("speech", 28, 40)):
        part = found[10 * start : 10 * stop]
        assert np.mean((part == kind) | (part == "silence")) > 0.9, (kind, start)


def test_detected_segments_cover_the_sound_without_gaps(speech: Maker) -> None:
    found = segments.detect_segments(speech(7.3), 24_000)
    assert found["onset"].iloc[0] == 0 and found["offset"].iloc[-1] == pytest.approx(7.3)
    np.testing.assert_array_equal(found["onset"].iloc[1:], found["offset"].iloc[:-1])


def test_silence_and_nothing() -> None:
    assert segments.detect_segments(np.zeros(48_000), 24_000)["kind"].tolist() == ["silence"]
    assert segments.detect_segments(np.zeros(10), 24_000).empty
    assert segments.speech_fraction(np.zeros(10), 24_000) == 0


def test_reading_sorts_and_keeps_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("onset\toffset\tkind\ttext\n5\t6\tmusic\t\n0.5\t2\tspeech\tNA\n")
    found = segments.read_segments(path)
    assert found["onset"].tolist() == [0.5, 5] and found["text"].tolist() == ["NA", ""]
    (tmp_path / "a.csv").write_text("onset,offset,kind\n0,1,silence\n")
    assert segments.read_segments(tmp_path / "a.csv")["kind"].tolist() == ["silence"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("onset\tkind\n0\tspeech\n", "has no column 'offset'"),
        ("onset\toffset\tkind\n0\t1\ttalk\n", "line 2: kind 'talk' should be one of speech, music"),
        ("onset\toffset\tkind\n0\t1\tspeech\n3\t2\tmusic\n", "line 3: onset and offset should be seconds"),
        ("onset\toffset\tkind\nx\t1\tspeech\n", "line 2: onset and offset should be seconds"),
        ("", "is not a table of segments"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "bad.tsv"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        segments.read_segments(path)
    assert str(caught.value).startswith(str(path)) and sentence in str(caught.value)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        segments.read_segments(tmp_path / "none.tsv")


def test_cutting_clips_and_moves_the_origin() -> None:
    found = segments.cut(table((0, 4, "speech"), (4, 6, "music"), (6, 9, "speech")), 3, 7)
    assert found.to_numpy().tolist() == [[0, 1, "speech"], [1, 3, "music"], [3, 4, "speech"]]


def test_pauses_join_but_music_divides() -> None:
    rows = table(
        (0, 4, "speech"),
        (4, 5, "silence"),
        (5, 8, "speech"),
        (8, 9, "music"),
        (9, 12, "speech"),
        (15, 20, "speech"),
    )
    assert segments.blocks(rows, "speech") == [(0, 8), (9, 12), (15, 20)]
    assert segments.blocks(rows, "music") == [(8, 9)]


def choose(rows: pd.DataFrame, count: int = 9, **changes: object) -> list[tuple[float, float]]:
    arguments = {"kind": "speech", "seconds": 10.0, "count": count, "shortest": 8.0, "within": (0.0, 1000.0)}
    return [(w.onset, w.offset) for w in segments.choose_windows(rows, **{**arguments, **changes})]  # type: ignore[arg-type]


def test_windows_lie_within_their_kind_and_do_not_overlap() -> None:
    rows = table((0, 25, "speech"), (25, 40, "music"), (40, 49, "speech"), (60, 65, "speech"))
    assert choose(rows) == [(2.5, 12.5), (12.5, 22.5), (40, 49)]
    assert choose(rows, kind="music") == [(27.5, 37.5)]
    assert choose(rows, shortest=5.0)[-1] == (60, 65)
    assert choose(rows, within=(10.0, 30.0)) == [(12.5, 22.5)]
    assert choose(rows, kind="ambience") == []


def test_few_windows_are_spread_over_the_sound() -> None:
    rows = table((0, 100, "speech"))
    assert choose(rows, count=2) == [(20, 30), (70, 80)]
    assert len(choose(rows, count=3)) == 3


def test_a_window_cuts_its_samples() -> None:
    window = segments.Window("w", 0.5, 1.0, "speech")
    np.testing.assert_array_equal(window.of(np.arange(20.0), 10), np.arange(5.0, 10.0))
