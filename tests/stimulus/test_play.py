"""The embedded radio play: its sound, its timetables and its transcript agree, and nothing in it is heard twice."""

from __future__ import annotations

import re
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyloudnorm
import pytest
import scipy.signal
import soundfile
import yaml

from fmri_audio.sound.segments import blocks

FOLDER = Path(__file__).resolve().parents[2] / "stimulus"
PARTS = (1, 2)
SAMPLE_RATE = 24_000
TR = 1.5
KINDS = {"speech", "music", "silence", "ambience"}
MAX_BYTES = 14_000_000

each_part = pytest.mark.parametrize("part", PARTS)


@cache
def sound(part: int) -> np.ndarray:
    samples, sample_rate = soundfile.read(FOLDER / f"part{part}.ogg", dtype="float32")
    assert sample_rate == SAMPLE_RATE
    return samples


@cache
def table(name: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / f"{name}.tsv", sep="\t", keep_default_na=False, quoting=3)


@cache
def script() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "script.yml").read_text())


@cache
def names() -> dict[str, str]:
    cast = yaml.safe_load((FOLDER / "studio" / "cast.yml").read_text())
    return {key: role["name"] for key, role in cast.items()}


def lines(part: int) -> list[tuple[str, str, str]]:
    """(speaker, text, material) of the script's sentences."""
    cues = [cue for scene in script()["parts"][part - 1]["scenes"] for cue in scene["cues"]]
    return [
        (names()[key], sentence, "unpredictable" if cue.get("unpredictable") else "sentence")
        for cue in cues
        if (key := next(iter(cue))) in names()
        for sentence in re.split(r"(?<=[.?!])\s+", " ".join(cue[key].split()))
    ]


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())


def rows(part: int, kind: str | None = None) -> pd.DataFrame:
    found = table("segments")
    found = found[found["part"] == part]
    return found if kind is None else found[found["kind"] == kind]


def piece(part: int, onset: float, offset: float) -> np.ndarray:
    return sound(part)[round(onset * SAMPLE_RATE) : round(offset * SAMPLE_RATE)]


def rms_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-12))


# The sound


@each_part
def test_a_part_is_mono_ogg_of_whole_trs(part: int) -> None:
    info = soundfile.info(FOLDER / f"part{part}.ogg")
    assert (info.format, info.channels, info.samplerate) == ("OGG", 1, SAMPLE_RATE)
    assert len(sound(part)) % round(TR * SAMPLE_RATE) == 0


def test_the_parts_together_are_long_enough_and_small_enough() -> None:
    assert sum(len(sound(part)) for part in PARTS) / SAMPLE_RATE / TR >= 920
    assert min(len(sound(part)) for part in PARTS) / SAMPLE_RATE / TR >= 460
    files = [path for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) <= MAX_BYTES


@each_part
def test_loudness_and_peak(part: int) -> None:
    assert pyloudnorm.Meter(SAMPLE_RATE).integrated_loudness(sound(part)) == pytest.approx(-23, abs=0.3)
    assert np.abs(sound(part)).max() < 0.9


@each_part
def test_lines_are_equally_loud_and_a_faint_one_is_fainter(part: int) -> None:
    meter = pyloudnorm.Meter(SAMPLE_RATE)
    spoken = rows(part, "speech")
    # In a shorter one, the breath after it lies within most of the meter's blocks of 0.4 s.
    for row in spoken[spoken["offset"] - spoken["onset"] > 1.5].itertuples():
        loudness = meter.integrated_loudness(piece(part, row.onset, row.offset))
        expected = -26.5 if "faint" in row.background else -22.8
        assert loudness == pytest.approx(expected, abs=1.5), row.text


@each_part
def test_silence_is_far_under_speech(part: int) -> None:
    speech = rms_db(
        np.concatenate([piece(part, r.onset, r.offset) for r in rows(part, "speech").itertuples()])
    )
    # The first 0.25 s of a pause still hold the room's reverberation.
    long = [row for row in rows(part, "silence").itertuples() if row.offset - row.onset > 0.4]
    pauses = [piece(part, row.onset + 0.25, row.offset) for row in long]
    levels = np.array([rms_db(pause) for pause in pauses])
    assert np.median(levels) < speech - 30
    assert levels.max() < speech - 15


@each_part
def test_music_and_ambience_are_heard(part: int) -> None:
    for row in rows(part).itertuples():
        if row.kind in ("music", "ambience"):
            assert rms_db(piece(part, row.onset, row.offset)) > -60, row.text


def test_there_is_enough_of_every_kind() -> None:
    found = table("segments").assign(seconds=lambda t: t["offset"] - t["onset"])
    total = found.groupby("kind")["seconds"].sum()
    assert set(total.index) == KINDS
    assert (
        total["speech"] > 900 and total["music"] > 150 and total["ambience"] > 100 and total["silence"] > 30
    )
    clean = found[(found["kind"] == "speech") & ~found["background"].str.contains("phone|radio|faint|music")]
    long = [
        stop - start
        for part in PARTS
        for start, stop in blocks(clean[clean["part"] == part], "speech", gap=0.01)
    ]
    assert (np.array(long) >= 8).sum() >= 20, "too few long stretches of clean speech to score"
    cues = found[found["kind"] == "music"]["seconds"]
    assert cues.between(8, 27).all() and len(cues) >= 8
    assert found[found["kind"] == "speech"]["speaker"].nunique() >= 6


# The timetables


@each_part
def test_segments_cover_the_part_without_gap_or_overlap(part: int) -> None:
    found = rows(part)
    assert list(found.columns[:6]) == ["part", "onset", "offset", "kind", "speaker", "text"]
    assert set(found["kind"]) <= KINDS
    assert found["onset"].iloc[0] == 0
    assert found["offset"].iloc[-1] == pytest.approx(len(sound(part)) / SAMPLE_RATE, abs=0.002)
    assert (found["offset"] > found["onset"]).all()
    assert all(a.offset == pytest.approx(b.onset, abs=0.0015) for a, b in pairwise(found.itertuples()))


@each_part
def test_segments_say_what_the_script_says(part: int) -> None:
    spoken = rows(part, "speech")
    assert list(zip(spoken["speaker"], spoken["text"], spoken["material"], strict=True)) == lines(part)
    others = rows(part)[rows(part)["kind"] != "speech"]
    assert (others["speaker"] == "").all() and (others["material"] == "").all()


@each_part
def test_every_sentence_is_a_row_within_its_part(part: int) -> None:
    spoken = rows(part, "speech")
    assert spoken["onset"].min() > 0 and spoken["offset"].max() < len(sound(part)) / SAMPLE_RATE
    seconds = (spoken["offset"] - spoken["onset"]) / [len(words_of(text)) for text in spoken["text"]]
    assert seconds.between(0.15, 1.5).all(), "seconds of sound per word"


def test_a_fifth_of_the_words_cannot_be_guessed() -> None:
    spoken = table("segments").query("kind == 'speech'")
    counts = spoken["text"].map(lambda text: len(words_of(text)))
    code = spoken["material"] == "unpredictable"
    assert 0.18 <= counts[code].sum() / counts.sum() <= 0.25
    assert code.sum() >= 110 and counts[code].between(5, 8).all()
    assert spoken["text"][code].is_unique
    assert set(spoken["part"][code]) == set(PARTS)
    assert spoken["speaker"][code].nunique() >= 4


@each_part
def test_words_are_the_script_s_and_lie_inside_their_lines(part: int) -> None:
    found = table("words")
    found = found[found["part"] == part]
    assert list(found["word"]) == [word for _, text, _ in lines(part) for word in words_of(text)]
    # Neighbours may touch; a word's end and the next one's start come from different rules.
    assert all(a.offset <= b.onset + 0.002 for a, b in pairwise(found.itertuples()))
    durations = found["offset"] - found["onset"]
    assert (
        (durations > 0).all() and durations.max() < 2 and durations.median() == pytest.approx(0.3, abs=0.15)
    )
    remaining = list(found.itertuples())
    for row in rows(part, "speech").itertuples():
        count = len(words_of(row.text))
        mine, remaining = remaining[:count], remaining[count:]
        assert [word.speaker for word in mine] == [row.speaker] * count
        assert mine[0].onset >= row.onset - 0.001 and mine[-1].offset <= row.offset + 0.001, row.text


@each_part
def test_words_are_where_the_sound_is(part: int) -> None:
    found = table("words")
    spans = [(w.onset, w.offset) for w in found[found["part"] == part].itertuples()]
    levels = np.array([rms_db(piece(part, onset, offset)) for onset, offset in spans])
    assert np.mean(levels > -45) > 0.99
    # After a pause the level rises at the word's onset, not before it and not long after.
    envelope = np.sqrt(np.convolve(sound(part).astype(np.float64) ** 2, np.ones(240) / 240, "same"))
    errors = []
    for (_, previous), (onset, _) in pairwise(spans):
        if onset - previous > 0.3:
            start = round((onset - 0.15) * SAMPLE_RATE)
            rise = np.flatnonzero(envelope[start : start + round(0.4 * SAMPLE_RATE)] > 10 ** (-45 / 20))
            if len(rise) and rise[0] > 0:
                errors.append(start / SAMPLE_RATE + rise[0] / SAMPLE_RATE - onset)
    assert len(errors) > 50
    assert np.median(np.abs(errors)) < 0.04


def test_clicks_come_when_the_stopwatch_says() -> None:
    found = rows(2)
    moments = [(row.text, row.onset) for row in found.itertuples() if row.kind == "ambience"]
    after = {name: onset for (name, _), (_, onset) in pairwise(moments)}
    start = dict(moments)
    assert after["horn far"] - start["horn far"] == pytest.approx(9.5, abs=0.002)
    assert after["ferry whistle"] - start["ferry whistle"] == pytest.approx(5.5, abs=0.002)


def test_tables_need_no_quoting() -> None:
    for name in ("segments", "words"):
        assert '"' not in (FOLDER / f"{name}.tsv").read_text()


def test_transcript_is_the_script(render: ModuleType) -> None:
    assert (FOLDER / "transcript.md").read_text() == render.transcript(script(), names())


# No passage twice


def test_no_sentence_is_spoken_twice() -> None:
    spoken = [" ".join(words_of(text)) for part in PARTS for _, text, _ in lines(part)]
    long = [sentence for sentence in spoken if len(sentence.split()) >= 4]
    assert len(long) > 250
    assert sorted(long) == sorted(set(long))


def test_no_run_of_eight_words_returns() -> None:
    words = [word for part in PARTS for _, text, _ in lines(part) for word in words_of(text)]
    runs = [tuple(words[k : k + 8]) for k in range(len(words) - 7)]
    assert len(runs) == len(set(runs))


@pytest.mark.parametrize(("kind", "most"), [("music", 0.2), ("ambience", 0.5)])
def test_no_two_passages_are_the_same_sound(kind: str, most: float) -> None:
    """The largest normalised cross-correlation of any two passages, at any lag, at 6 kHz.

    The same sound again gives nearly 1. Two notes of the one fog horn are alike (0.58) and still two.
    """
    pieces, labels = [], []
    for part in PARTS:
        for row in rows(part, kind).itertuples():
            samples = scipy.signal.decimate(piece(part, row.onset, row.offset).astype(np.float64), 4)
            pieces.append(samples / np.linalg.norm(samples))
            labels.append(f"part {part} at {row.onset:.1f} s ({row.text})")
    size = scipy.fft.next_fast_len(2 * max(map(len, pieces)), real=True)
    spectra = [np.fft.rfft(samples, size) for samples in pieces]
    for a, b in combinations(range(len(pieces)), 2):
        likeness = np.abs(np.fft.irfft(spectra[a] * spectra[b].conj(), size)).max()
        bound = 0.65 if "horn" in labels[a] and "horn" in labels[b] else most
        assert likeness < bound, f"{labels[a]} and {labels[b]}: {likeness:.2f}"


def test_no_two_cues_share_a_melody(render: ModuleType) -> None:
    from studio.music import CUES, melody

    tunes = {}
    for name, cue in CUES.items():
        pitches = [key for _, _, key, _ in melody(cue.tune, 80, np.random.default_rng(0))]
        steps = tuple(int(step) for step in np.diff(pitches))
        for k in range(len(steps) - 5):
            assert tunes.setdefault(steps[k : k + 6], name) == name, (name, k)
        assert (
            sum(float(token.split(":")[1]) for token in cue.tune.split()) == len(cue.bars.split()) * cue.beats
        )


# The parts of the studio that run without a synthesiser


def test_effects_are_fresh_each_time_and_reproducible(render: ModuleType) -> None:
    from studio.ambience import EFFECTS

    for name, (effect, _) in EFFECTS.items():
        first, same, other = (effect(5 * SAMPLE_RATE, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert len(first) == 5 * SAMPLE_RATE and np.isfinite(first).all(), name
        np.testing.assert_array_equal(first, same, err_msg=name)
        if name != "pips":
            assert not np.array_equal(first, other), name


def test_a_line_becomes_a_row_per_sentence(render: ModuleType) -> None:
    from studio.mixing import Track, Voicebox, speak
    from studio.spoken import Spoken, Word

    class Stand(Voicebox):
        """Says a second of a tone for every sentence."""

        def sentence(self, speaker: str, text: str, rate: float) -> Spoken:
            tone = 0.1 * np.sin(np.arange(SAMPLE_RATE) / 8)
            return Spoken(tone, SAMPLE_RATE, [Word(text.split()[0].lower(), 0.1, 0.9)])

    track = Track(position=SAMPLE_RATE)
    cue = {"nora": "Pour thunder. Fold windows!", "unpredictable": True, "pause": 2.0}
    speak(
        track,
        Stand({"nora": render.Role("Nora", "kokoro", "gb", 1.0, 0.0)}, {}, None),
        "nora",
        cue,
        "studio",
        "",
        True,
    )
    *spoken, pause = track.segments
    assert [row.text for row in spoken] == ["Pour thunder.", "Fold windows!"]
    assert {row.material for row in spoken} == {"unpredictable"} and pause.material == ""
    assert spoken[0].onset == 1 and spoken[0].offset == spoken[1].onset and pause.onset == spoken[1].offset
    assert 2.25 <= spoken[1].onset <= 2.5, "a second of sound, then a breath"


def test_a_sound_that_is_late_is_refused(render: ModuleType) -> None:
    from studio.mixing import Track, wait_for

    track = Track(position=10 * SAMPLE_RATE, anchors={"horn": 2.4})
    wait_for(track, ("horn", 9.5), "")
    assert track.now == pytest.approx(11.5) and track.segments[-1].kind == "silence"
    with pytest.raises(ValueError, match=r"5 s after horn has passed by 4\.50 s"):
        wait_for(track, ("horn", 5), "")
