"""What chapters show themselves with: players, tables, figures, cited numbers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from fmri_audio.pages.page import (
    NO_WEIGHTS,
    PLAYER_LUFS,
    UNDEFINED,
    Clip,
    Page,
    players_html,
    slug,
    table_html,
    to_png,
)
from fmri_audio.sound import audio
from fmri_audio.sound.segments import Window

RATE = audio.SAMPLE_RATE


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Everything that a page displays."""
    displayed: list[Any] = []
    monkeypatch.setattr("fmri_audio.pages.page.display", displayed.append)
    return displayed


@pytest.fixture
def page(tmp_path: Path, shown: list[Any]) -> Page:
    return Page(SimpleNamespace(build=tmp_path, bandwidth=6.0), "03-encodec", per_bandwidth=True)


def glued(page: Page) -> dict[str, Any]:
    path = page.run.build / "results" / "glued" / "03-encodec-6kbps.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_cited_values_are_recorded_as_plain_numbers(page: Page) -> None:
    page.glue_value("stoi", np.float32(0.5))
    page.glue_value("frames", np.int64(113))
    page.glue_values({"codec": "demo-12345678", "undefined": float("nan")})
    assert glued(page) == {"stoi": 0.5, "frames": 113, "codec": "demo-12345678", "undefined": None}
    assert type(glued(page)["frames"]) is int


def test_values_are_cited_in_their_order(page: Page) -> None:
    page.glue_values({"b": 1.5, "a": "speech"})
    assert list(glued(page).items()) == [("b", 1.5), ("a", "speech")]


def test_only_numbers_and_text_can_be_cited(page: Page) -> None:
    with pytest.raises(TypeError, match="curve: only numbers and text"):
        page.glue_value("curve", np.zeros(3))


def test_players_are_as_loud_as_the_original_and_on_disk(
    page: Page, shown: list[Any], speech: Callable
) -> None:
    original = speech(2)
    page.players(
        "window 1",
        {"original": original, "codec": 0.05 * speech(2, seed=1)},
        RATE,
        weights={"codec": "demo-1"},
    )
    clips = {clip.condition: clip for clip in page.clips("03-encodec")}
    levels = [
        audio.loudness(soundfile.read(page.run.build / "audio" / f"{clip.name}.flac")[0], RATE)
        for clip in clips.values()
    ]
    assert levels == pytest.approx([PLAYER_LUFS, PLAYER_LUFS], abs=0.1)
    assert clips["codec"].name == "03-encodec-window-1-codec-6kbps"
    assert clips["codec"].weights == "demo-1" and clips["original"].weights == NO_WEIGHTS
    assert clips["codec"].gain_db - clips["original"].gain_db > 20
    assert all(f"{clip.name}.flac" in shown[0].data for clip in clips.values())


def test_a_sound_with_high_peaks_turns_the_whole_group_down(page: Page, speech: Callable) -> None:
    spikes = np.zeros(2 * RATE, np.float32)
    spikes[::6000] = 1.0
    page.players("w", {"original": speech(2), "spikes": spikes}, RATE, weights={})
    waves = [
        soundfile.read(page.run.build / "audio" / f"{clip.name}.flac")[0] for clip in page.clips("03-encodec")
    ]
    assert max(np.abs(wave).max() for wave in waves) < 1.0
    levels = [audio.loudness(wave, RATE) for wave in waves]
    assert levels[0] == pytest.approx(levels[1], abs=0.2) and levels[0] < PLAYER_LUFS - 3


def test_silence_stays_silent(page: Page, speech: Callable) -> None:
    page.players("w", {"original": speech(1), "silence": np.zeros(RATE, np.float32)}, RATE, weights={})
    silent = next(clip for clip in page.clips("03-encodec") if clip.condition == "silence")
    assert not soundfile.read(page.run.build / "audio" / f"{silent.name}.flac")[0].any()
    assert silent.gain_db == 0


def test_a_passage_is_played_with_its_original_and_what_is_said_in_it(
    page: Page, shown: list[Any], speech: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.run.stimulus = SimpleNamespace(waveform=speech(3), sample_rate=RATE)
    monkeypatch.setattr("fmri_audio.edition.transcripts.transcript", lambda run, clip: f"said in {clip.name}")
    page.play(
        Window("w", 1.0, 2.0, "speech"), {"codec": speech(1, seed=1)}, "Both", weights={"codec": "demo-1"}
    )
    original, coded = page.clips("03-encodec")
    assert (original.condition, original.seconds, original.weights) == ("original", 1.0, NO_WEIGHTS)
    assert (coded.condition, coded.weights) == ("codec", "demo-1")
    assert "Both (w): 2 players" in shown[0].data and "said in w" in shown[0].data


def test_one_original_is_one_file_for_all_chapters_and_another_sound_another(
    page: Page, tmp_path: Path, speech: Callable
) -> None:
    other = Page(SimpleNamespace(build=tmp_path, bandwidth=6.0), "02-problem")
    page.players("w", {"original": speech(1), "a": speech(1, seed=1)}, RATE, weights={})
    other.players("w", {"original": speech(1), "b": speech(1, seed=2)}, RATE, weights={})
    other.players("w", {"original": speech(1, seed=3), "c": speech(1, seed=2)}, RATE, weights={})
    originals = sorted(path.name for path in (tmp_path / "audio").glob("original-*"))
    assert len(originals) == 2


def test_weights_of_a_condition_that_is_not_played_are_refused(page: Page, speech: Callable) -> None:
    with pytest.raises(ValueError, match="codek"):
        page.players("w", {"original": speech(1), "codec": speech(1)}, RATE, weights={"codek": "demo-1"})


def test_clips_of_all_bandwidths_come_in_ascending_order(
    tmp_path: Path, shown: list[Any], speech: Callable
) -> None:
    for bandwidth in (12.0, 1.5, 6.0):
        run = SimpleNamespace(build=tmp_path, bandwidth=bandwidth)
        Page(run, "03-encodec", per_bandwidth=True).players(
            "w", {"original": speech(1), "codec": speech(1, seed=1)}, RATE, weights={"codec": "demo-1"}
        )
    reader = Page(SimpleNamespace(build=tmp_path, bandwidth=6.0), "04-bandwidths")
    coded = [clip for clip in reader.clips("03-encodec", "w") if clip.condition == "codec"]
    assert [clip.bandwidth_kbps for clip in coded] == [1.5, 6.0, 12.0]
    assert reader.clips("03-encodec", "another") == []
    reader.replay({f"{clip.bandwidth_kbps:g} kbps": clip for clip in coded}, "All")
    assert "12 kbps" in shown[-1].data and len(list((tmp_path / "audio").iterdir())) == 4


def test_what_a_user_names_is_escaped_in_a_player() -> None:
    clip = Clip("a", "w", '<b>"x"', NO_WEIGHTS, "", "02", None, 1.0, 0.0, "0")
    text = players_html([clip, clip], "t<script>", 'he said "<i>"')
    assert "<b>" not in text and "<script>" not in text and "<i>" not in text
    assert 'aria-label="&lt;b&gt;&quot;x&quot;, t&lt;script&gt;, no learned weights"' in text


def test_table_marks_headings_and_undefined_values() -> None:
    frame = pd.DataFrame(
        {"sound": ["a<b", "c"], "STOI": [0.12345, np.nan], "n": [3, 4], "SNR": np.float32([-2.5, 0])}
    )
    text = table_html(frame, "A caption & more", {"STOI": ".3f", "SNR": ".1f"})
    assert "<caption><span>A caption &amp; more</span></caption>" in text
    assert '<th scope="col">STOI</th>' in text and '<th scope="row">a&lt;b</th>' in text
    assert "<td>0.123</td><td>3</td><td>\u22122.5</td>" in text and f"<td>{UNDEFINED}</td>" in text


def test_metrics_in_a_table_have_their_reader_s_names_and_formats(page: Page, shown: list[Any]) -> None:
    frame = pd.DataFrame({"sound": ["a"], "stoi": [0.12345], "pesq_wb": [1.2345], "share": [0.5]})
    page.table(frame, "Scores of a sound", {"share": ".0%", "PESQ-WB": ".1f"})
    assert '<th scope="col">STOI</th><th scope="col">PESQ-WB</th>' in shown[0].data
    assert "<td>0.123</td><td>1.2</td><td>50%</td>" in shown[0].data


def test_a_table_of_words_is_styled_as_one() -> None:
    frame = pd.DataFrame({"claim": ["a"], "verdict": ["holds"]})
    assert '<table class="results">' in table_html(frame, "A table of numbers", {})
    assert '<table class="results words">' in table_html(frame, "A table of words", {}, "results words")
    assert "table.results.words td" in (Path(__file__).parents[2] / "_static" / "book.css").read_text()


@pytest.mark.parametrize(
    ("value", "spec", "shown"),
    [
        (-0.001, ".2f", "0.00"),
        (np.float32(-0.2), "+.1f", "\u22120.2"),
        (0.2, "+.1f", "+0.2"),
        (1234.5, ",.0f", "1,234"),
        (-3, ".2f", "\u22123"),
    ],
)
def test_numbers_have_a_real_minus_and_nothing_has_none(value: float, spec: str, shown: str) -> None:
    text = table_html(pd.DataFrame({"a": ["x"], "b": [value]}), "Twenty letters and more", {"b": spec})
    assert f"<td>{shown}</td>" in text


def test_figure_is_a_small_png_and_too_much_is_refused() -> None:
    figure, axis = plt.subplots(figsize=(4, 2))
    axis.plot(np.random.default_rng(0).standard_normal((60, 30)).cumsum(axis=0))
    png = to_png(figure, 80_000)
    assert len(png) < 80_000 and Image.open(io.BytesIO(png)).width > 500
    fewer_colours = to_png(figure, int(0.9 * len(png)))
    assert len(fewer_colours) <= 0.9 * len(png)
    fewer_dots = to_png(figure, int(0.6 * len(fewer_colours)))
    assert Image.open(io.BytesIO(fewer_dots)).width < Image.open(io.BytesIO(png)).width
    with pytest.raises(ValueError, match="bytes at 72 dots per inch"):
        to_png(figure, 1000)
    plt.close(figure)


@pytest.mark.parametrize(
    ("text", "name"), [("EnCodec, 1.5 kbps", "encodec-1.5-kbps"), ("mel + Griffin–Lim", "mel-griffin-lim")]
)
def test_slug(text: str, name: str) -> None:
    assert slug(text) == name
