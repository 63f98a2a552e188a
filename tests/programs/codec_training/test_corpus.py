"""The corpus: the same every time, levels in range, recordings added, missing programs said aloud."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.sound import audio
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
    contents = corpus.render(tmp_path / "c", {"synthetic": 0.1, "speech": 1.0, "music": 1.0}, seed=0)
    assert contents["speech"].startswith("none") and contents["music"].startswith("none")
    assert "speech: none" in capsys.readouterr().out
    assert [p.name for p in (tmp_path / "c").glob("*.npy")] == ["synthetic.npy"]


def test_recordings_join_the_corpus(tmp_path: Path) -> None:
    audio.write_wav(tmp_path / "data" / "tone.wav", 0.1 * np.sin(np.arange(48_000) * 0.1), 16_000)
    contents = corpus.render(tmp_path / "c", {}, 0, tmp_path / "data")
    assert contents["recordings"].startswith("1 file")
    assert len(np.load(tmp_path / "c" / "recordings.npy")) == 72_000


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


def test_a_batch_may_be_made_of_kinds_in_order(tmp_path: Path) -> None:
    corpus.render(tmp_path, {"synthetic": 0.17, "tones": 0.17}, seed=0)
    np.save(tmp_path / "tones.npy", np.zeros(24_000, np.int16))  # silence, to be told apart
    batch = corpus.Segments(tmp_path, 0.16, 1, {"synthetic": 2, "tones": 1}).batch(3, 3)
    assert batch.shape == (3, 3840)
    quiet = [not corpus.Segments(tmp_path, 0.16, s, {"tones": 1}).batch(3, 1).any() for s in range(9)]
    assert any(quiet) and batch[:2].any(1).all()
    with pytest.raises(UserError, match="has no speech"):
        corpus.Segments(tmp_path, 0.16, 1, {"speech": 1})


def test_an_empty_corpus_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="corpus is empty"):
        corpus.Segments(tmp_path, 0.5, 0)


def test_the_plays_voices_are_never_trained_on() -> None:
    used = {name for voice in voices.installed() for name in (voice.name, *voice.name.split("_"))}
    assert not used & {"slt", "rms", "awb", "en-gb"}


def test_texts_differ_and_repeat_with_the_seed() -> None:
    one, two = (texts.english(np.random.default_rng(s), 3) for s in (0, 1))
    assert one != two and one == texts.english(np.random.default_rng(0), 3)
    assert len(texts.nonsense(np.random.default_rng(0), 2, "cyrillic").split()) >= 8


def test_midi_numbers_have_variable_length() -> None:
    assert synthesis._variable(0) == b"\x00" and synthesis._variable(128) == b"\x81\x00"
