"""What ``python -m programs codec`` refuses before the long work, and what it makes of its options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fmri_audio.codec import checkpoints
from programs.__main__ import main as program
from programs.codec_training import corpus, run
from programs.codec_training.trainer import RECIPES, Trainer


@pytest.fixture(autouse=True)
def unrendered(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Fail where a corpus would be rendered, but for tests that ask for a small one."""
    if "small" not in request.fixturenames:
        monkeypatch.setattr(corpus, "render", lambda *_, **__: pytest.fail("the long work has begun"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--batch", "5"], "--batch 5: a batch has 16 segments, a set number of each kind of sound"),
        (["--decoder-only", "--start", "random"], "--decoder-only keeps a checkpoint's encoder"),
        (["--resume"], "there is no training state to resume; start without --resume"),
        (["--export-only"], "there is no training state to resume"),
        (
            ["--filters", "1", "--start", "CHECKPOINT"],
            "has 2 filters, and no run makes it narrower: give --filters 2",
        ),
        (["--start", "nothere.safetensors"], "nothere.safetensors"),
    ],
)
def test_what_cannot_be_is_said_before_the_corpus_is_rendered(
    tmp_path: Path,
    tiny_checkpoint_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    monkeypatch.setattr(run.torch.cuda, "is_available", lambda: False)
    given = [str(tiny_checkpoint_file) if word == "CHECKPOINT" else word for word in options]
    words = ["codec", "--out", str(tmp_path / "new.safetensors"), "--work", str(tmp_path / "work"), *given]
    assert program(words) == 1
    assert said in capsys.readouterr().err and not (tmp_path / "new.safetensors").exists()


@pytest.mark.parametrize("word", ["mend", "--kept"])
def test_there_is_no_mending(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        program(["codec", word])
    assert program(["codec-mend"]) == 2
    assert "codec-mend" not in capsys.readouterr().err.split("usage")[-1]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[Trainer]:
    """A corpus of computed sound alone, of a few seconds, and a run that keeps its trainer and takes no step."""
    monkeypatch.setattr(corpus, "_JOB_SECONDS", 3.0)
    monkeypatch.setattr(run, "CORPUS_MINUTES", {"synthetic": 0.1, "tones": 0.1, "natural": 0.1})
    monkeypatch.setattr(run, "HELD_OUT_MINUTES", {"synthetic": 0.1})
    monkeypatch.setitem(corpus.SPEAKERS, "natural", list)
    monkeypatch.setattr(run.torch.cuda, "is_available", lambda: False)
    trainers: list[Trainer] = []

    def note(trainer: Trainer, until: float) -> None:
        trainers.append(trainer)
        trainer.save()
        (trainer.folder / "log.csv").write_text("step,seconds,mel\n0,0,1\n")
        (trainer.folder / "checks-b.csv").write_text("step,seconds,si_sdr_2\n0,0,1\n")

    monkeypatch.setattr(Trainer, "run", note)
    return trainers


def test_a_machine_without_voices_or_recordings_trains_all_the_same(
    tmp_path: Path, tiny_checkpoint_file: Path, small: list[Trainer], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--start", str(tiny_checkpoint_file), "--filters", "3", "--steps", "10", "--workers", "1"]
    out = tmp_path / "new.safetensors"
    assert program(["codec", *words, "--work", str(tmp_path / "work"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "natural: none (no Kokoro or hibari here)" in said
    assert "no recordings, no natural, no music: any kind of sound takes that place in a batch" in said
    [trainer] = small
    tiny = checkpoints.load(str(tiny_checkpoint_file))
    assert trainer.recipe.start == tiny.id and trainer.recipe.steps == 10
    assert trainer.recipe.per_batch == RECIPES["cpu"].per_batch and trainer.recipe.share_a == 0
    assert trainer.segments.batch(0, 16).shape == (16, round(0.64 * 24_000))
    made = checkpoints.load(str(out))
    assert "3 filters" in made.description and "synthesised sound alone" in made.description
    assert (tmp_path / "training-log.csv").is_file()


def test_a_start_without_a_checkpoint_begins_without_the_quantiser(
    tmp_path: Path, tiny_checkpoint_file: Path, small: list[Trainer]
) -> None:
    work = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "new.safetensors"), "--workers", "1"]
    program(["codec", "--start", "random", "--filters", "2", *work])
    program(["codec", "--decoder-only", "--start", str(tiny_checkpoint_file), "--filters", "2", *work])
    begun, decoder = small
    assert begun.stage == "A" and begun.recipe.share_a > 0 and not begun.quantiser.ready
    assert decoder.stage == "C" and decoder.recipe.share_c == 1


def test_a_run_goes_on_where_it_was_and_a_new_one_forgets_it(
    tmp_path: Path, tiny_checkpoint_file: Path, small: list[Trainer]
) -> None:
    words = ["--start", str(tiny_checkpoint_file), "--filters", "2", "--workers", "1"]
    words += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "new.safetensors")]
    program(["codec", *words])
    small[0].step = 250
    small[0].save()
    program(["codec", *words, "--resume"])
    program(["codec", *words])
    assert [trainer.step for trainer in small[1:]] == [250, 0]
    (tmp_path / "new.safetensors").unlink()
    assert program(["codec", *words, "--export-only"]) == 0
    assert len(small) == 3 and (tmp_path / "new.safetensors").is_file()


def test_there_are_six_hours_of_sound_to_render_and_recordings_besides() -> None:
    minutes = run.CORPUS_MINUTES
    assert sum(minutes.values()) + 70 >= 360 and minutes["natural"] > sum(minutes.values()) / 2
    assert set(run.HELD_OUT_MINUTES) <= set(minutes) and not np.isnan(list(minutes.values())).any()
