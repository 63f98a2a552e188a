"""The corpus: the same every time, levels in range, recordings added, missing programs said aloud."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.sound import audio
from programs import kokoro
from programs.codec_training import corpus, synthesis, texts, voices
from tests.base.test_stored import DAMAGES


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render pieces of 2 s instead of 24."""
    monkeypatch.setattr(corpus, "_JOB_SECONDS", 2.0)


@pytest.mark.parametrize("make", corpus.SYNTHETIC)
def test_synthetic_sounds_are_finite_and_as_long_as_asked(make: corpus.Callable) -> None:
    sound = make(np.random.default_rng(0), 1.5)
    assert len(sound) == 36_000 and np.isfinite(sound).all() and 0.01 < np.abs(sound).max() <= 1.01


def test_a_low_steady_sweep_is_a_sound_like_any_other() -> None:
    """Rounded to whole kilohertz, one below 500 Hz would have no frequency left."""
    for seed in range(30):
        sound = corpus.synthesis.sweeps(np.random.default_rng(seed), 1.5)
        assert len(sound) == 36_000 and np.isfinite(sound).all() and 0 < np.abs(sound).max() <= 1.01


def test_rendering_twice_gives_the_same_corpus(tmp_path: Path) -> None:
    for name in ("a", "b"):
        corpus.render(tmp_path / name, {"synthetic": 0.17}, seed=3)
    assert (tmp_path / "a/synthetic.npy").read_bytes() == (tmp_path / "b/synthetic.npy").read_bytes()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", ["synthetic.npy", "corpus.json"])
def test_a_corpus_that_is_not_what_was_rendered_is_rendered_again(
    tmp_path: Path, name: str, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = corpus.render(tmp_path, {"synthetic": 0.07}, seed=3)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    damage(tmp_path / name)
    assert corpus.render(tmp_path, {"synthetic": 0.07}, seed=3) == contents
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole
    monkeypatch.setattr(corpus, "_write", lambda *_: pytest.fail("rendered again"))
    corpus.render(tmp_path, {"synthetic": 0.07}, seed=3)


def test_missing_programs_are_said_and_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kokoro, "is_installed", lambda: False)
    minutes = {"synthetic": 0.1, "speech": 1.0, "natural": 1.0, "music": 1.0}
    contents = corpus.render(tmp_path / "c", minutes, seed=0)
    assert contents["natural"] == "none (no Kokoro or hibari here)"
    assert contents["speech"].startswith("none") and contents["music"].startswith("none")
    assert "speech: none" in capsys.readouterr().out
    assert [p.name for p in (tmp_path / "c").glob("*.npy")] == ["synthetic.npy"]


def test_voices_take_turns_and_the_corpus_says_whose_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [voices.Voice("kokoro", "a and b")] * 2 + [voices.Voice("hibari", "heart")]
    monkeypatch.setitem(corpus.SPEAKERS, "natural", lambda: here)
    spoken: list[tuple[str, int]] = []

    def speak(voice: voices.Voice, rng: np.random.Generator, sentences: int) -> tuple[np.ndarray, int]:
        spoken.append((voice.program, sentences))
        return rng.uniform(-0.5, 0.5, 3 * 16_000), 16_000

    monkeypatch.setattr(voices, "speak", speak)
    contents = corpus.render(tmp_path / "c", {"natural": 0.2}, seed=0)
    assert contents == {"natural": "2 voices of hibari, kokoro"}
    assert spoken == [("kokoro", 5), ("kokoro", 5), ("hibari", 5)] * 2
    assert len(np.load(tmp_path / "c" / "natural.npy")) == 6 * 48_000, (
        "3 s at any speed are cut to the piece's 2"
    )


def test_an_interrupted_rendering_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.render(tmp_path / "whole", {"synthetic": 0.2}, seed=3)
    made: list[int] = []
    real = corpus._render_job

    def tired(job: corpus.Job) -> np.ndarray:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(job.index)
        return real(job)

    monkeypatch.setattr(corpus, "_render_job", tired)
    with pytest.raises(KeyboardInterrupt):
        corpus.render(tmp_path / "parts", {"synthetic": 0.2}, seed=3)
    monkeypatch.setattr(corpus, "_render_job", lambda job: made.append(job.index) or real(job))
    corpus.render(tmp_path / "parts", {"synthetic": 0.2}, seed=3)
    assert sorted(made) == list(range(6)), "nothing twice"
    whole, parts = (np.load(tmp_path / name / "synthetic.npy") for name in ("whole", "parts"))
    assert np.array_equal(whole, parts) and not list((tmp_path / "parts").glob(".synthetic*"))


def tone(path: Path, level: float = 0.1) -> None:
    audio.write_wav(path, level * np.sin(np.arange(48_000) * 0.1), 16_000)


def test_recordings_join_the_corpus(tmp_path: Path) -> None:
    tone(tmp_path / "data" / "tone.wav")
    contents = corpus.render(tmp_path / "c", {}, 0, tmp_path / "data")
    assert contents["recordings"].startswith("1 file")
    assert len(np.load(tmp_path / "c" / "recordings.npy")) == 72_000


def test_one_speaker_in_twelve_is_held_out() -> None:
    speakers = [Path(f"data/{number}/a.flac") for number in range(2400)]
    assert 150 < sum(map(corpus.is_held_out, speakers)) < 250
    assert {corpus.is_held_out(Path(f"data/p1/{name}")) for name in "abcdefgh"} == {True}, (
        "with all recordings"
    )


def test_training_and_checks_hear_different_speakers(tmp_path: Path) -> None:
    """Of the speaker p1, who is held out, and of the others."""
    data = tmp_path / "data"
    for speaker, count in (("p1", 1), ("a", 2), ("b", 1)):
        for index in range(count):
            tone(data / "set" / speaker / f"{index}.wav")
    for held_out, count in ((False, 3), (True, 1)):
        contents = corpus.render(tmp_path / str(held_out), {}, 0, data, held_out=held_out)
        assert contents["recordings"].startswith(f"{count} file")
        assert len(np.load(tmp_path / str(held_out) / "recordings.npy")) == count * 72_000


def test_recordings_of_no_one_are_trained_on_whatever_their_folder_s_name(tmp_path: Path) -> None:
    tone(tmp_path / "p1" / "tone.wav")
    assert corpus.render(tmp_path / "c", {}, 0, tmp_path / "p1")["recordings"].startswith("1 file")
    assert corpus.render(tmp_path / "h", {}, 0, tmp_path / "p1", held_out=True) == {}


def test_recordings_of_held_out_speakers_alone_are_one_sentence(tmp_path: Path) -> None:
    tone(tmp_path / "data" / "p1" / "tone.wav")
    with pytest.raises(UserError, match=r"data: all of its speakers are held out \(p1\): give a folder with"):
        corpus.render(tmp_path / "c", {}, 0, tmp_path / "data")


def test_another_corpus_is_rendered_anew(tmp_path: Path) -> None:
    tone(tmp_path / "data" / "a" / "tone.wav")
    corpus.render(tmp_path / "c", {"synthetic": 0.07}, 0)
    first = (tmp_path / "c" / "synthetic.npy").read_bytes()
    for change in ({"seed": 1}, {"data": tmp_path / "data"}):
        corpus.render(tmp_path / "c", {"synthetic": 0.07}, **{"seed": 0, **change})  # type: ignore[arg-type]
        assert (change.get("seed") == 1) == ((tmp_path / "c" / "synthetic.npy").read_bytes() != first)
    assert corpus.contents_of(tmp_path / "c")["recordings"].startswith("1 file")
    with pytest.raises(UserError, match=r"data: holds no corpus\.json"):
        corpus.contents_of(tmp_path / "data")


def test_a_folder_without_sound_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no sound files"):
        corpus.render(tmp_path / "c", {}, 0, tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        corpus.render(tmp_path / "c", {}, 0, tmp_path / "nowhere")


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_their_steps_whoever_makes_them(tmp_path: Path, workers: int) -> None:
    corpus.render(tmp_path, {"synthetic": 0.17}, seed=0)
    segments = corpus.Segments(tmp_path, 0.16, seed=1)
    batches = segments.batches(5, 2, workers)
    for step in (5, 6, 7):
        assert np.array_equal(next(batches).numpy(), segments.batch(step, 2))


def test_segments_depend_on_seed_and_step_alone(tmp_path: Path) -> None:
    corpus.render(tmp_path, {"synthetic": 0.17}, seed=0)
    first, again = (corpus.Segments(tmp_path, 0.64, seed=1) for _ in range(2))
    batch = first.batch(7, 4)
    assert batch.shape == (4, 15_360) and batch.dtype == np.float32 and np.abs(batch).max() < 1
    assert np.array_equal(batch, again.batch(7, 4)) and not np.array_equal(batch, first.batch(8, 4))


@pytest.mark.parametrize("kind", corpus.NARROW)
def test_narrow_sounds_are_narrow_and_high(kind: str) -> None:
    sound = synthesis.narrow(np.random.default_rng(0), 60.0, corpus.NARROW[kind])
    assert len(sound) == 60 * 24_000 and np.isfinite(sound).all() and 0.9 < np.abs(sound).max() <= 1.01
    spectra = (
        np.abs(np.fft.rfft(sound[: len(sound) // 9600 * 9600].reshape(-1, 9600) * np.hanning(9600))) ** 2
    )
    share = np.sort(spectra, 1)[:, ::-1].cumsum(1) / spectra.sum(1, keepdims=True)
    assert np.median(share[:, spectra.shape[1] // (50 if kind == "tones" else 4)]) > 0.9
    assert 0.5 < spectra[:, 1000:].sum() / spectra.sum() < 0.95  # above 2.5 kHz


@pytest.fixture
def constants(tmp_path: Path) -> Path:
    """A corpus whose kinds have a sound of their own: a tone each, by which it is known."""
    for number, kind in enumerate(("natural", "speech", "synthetic", "tones")):
        wave = 9000 * np.sin(np.arange(48_000) * 2 * np.pi * KNOWN_BY[number] / 24_000)
        np.save(tmp_path / f"{kind}.npy", wave.astype(np.int16))
    return tmp_path


KNOWN_BY = (300, 900, 2700, 8100)


def loudest(batch: np.ndarray) -> list[int]:
    """Which of the tones is the loudest in each of some segments."""
    spectra = np.abs(np.fft.rfft(batch, 24_000))
    return [int(np.argmax([spectrum[hertz] for hertz in KNOWN_BY])) for spectrum in spectra]


def test_a_batch_may_be_made_of_kinds_in_order(constants: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segments = corpus.Segments(constants, 0.16, 1, {"natural": 2, "speech or synthetic": 1, "tones": 1})
    drawn = [loudest(segments.batch(step, 4)) for step in range(12)]
    assert {tuple(kinds[:2]) for kinds in drawn} == {(0, 0)} and {kinds[3] for kinds in drawn} == {3}
    assert {kinds[2] for kinds in drawn} == {1, 2}
    assert segments.batch(0, 4).shape == (4, 3840) and not capsys.readouterr().out


def test_what_a_corpus_lacks_is_said_and_any_kind_takes_its_place(
    constants: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = {"recordings": 2, "speech or bands": 1, "music or bands": 1}
    segments = corpus.Segments(constants, 0.16, 1, plan)
    assert "no recordings, no music or bands: any kind of sound takes that place" in capsys.readouterr().out
    drawn = np.array([loudest(segments.batch(step, 4)) for step in range(30)])
    assert all(len(set(drawn[:, place])) > 1 for place in (0, 1, 3)) and set(drawn[:, 2]) == {1}


def test_recordings_and_natural_voices_are_drawn_most(constants: Path) -> None:
    drawn = np.array([loudest(corpus.Segments(constants, 0.16, 1).batch(step, 8)) for step in range(25)])
    counts = np.bincount(drawn.ravel(), minlength=4)
    assert counts.argmax() == 0 and counts.min() > 0


def test_an_empty_corpus_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="corpus is empty"):
        corpus.Segments(tmp_path, 0.5, 0)


def test_texts_differ_and_repeat_with_the_seed() -> None:
    one, two = (texts.english(np.random.default_rng(s), 3) for s in (0, 1))
    assert one != two and one == texts.english(np.random.default_rng(0), 3)
    assert len(texts.nonsense(np.random.default_rng(0), 2, "cyrillic").split()) >= 8


def test_midi_numbers_have_variable_length() -> None:
    assert synthesis._variable(0) == b"\x00" and synthesis._variable(128) == b"\x81\x00"


def test_prose_is_read_in_order_in_pieces_of_one_breath() -> None:
    sources = texts.prose()
    assert len(sources) > 20 and max(len(piece) for source in sources for piece in source) <= 260
    assert not any(piece.startswith("#") or '"' in piece for source in sources for piece in source)
    passages = [texts.passage(np.random.default_rng(seed), 3) for seed in range(40)]
    in_order = [
        any(source[k : k + 3] == tuple(passage) for source in sources for k in range(len(source)))
        for passage in passages
    ]
    assert 8 < sum(in_order) < 32, "the others are made up, or go from the end of a source to its beginning"
