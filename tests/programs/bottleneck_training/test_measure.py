"""Conditions are measured once, kept, and written as three tables that fit together."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fmri_audio.base.settings import project_root
from fmri_audio.bottleneck.coders import CODERS
from fmri_audio.codec import checkpoints
from fmri_audio.experiments.ladder import GROUPS, Condition, Ladder, Window
from fmri_audio.sound.audio import SAMPLE_RATE
from fmri_audio.sound.recognition import Passage
from programs.__main__ import main
from programs.bottleneck_training import conditions, measure
from programs.bottleneck_training.windows import MOST_OF_VOICE, Sounds, play_windows, whole
from tests.bottleneck.test_coders import sounds as voices


def toy() -> Sounds:
    waves = [one[0].numpy() for one in voices(3, 2.4, seed=11)]
    windows = [Window(f"w{k}", "play", f"v{k % 2}", f"p{k}", 2.4, 2, f"{k}") for k in range(3)]
    return Sounds(windows, waves, [[Passage(0.0, 2.4, "one two")] for _ in waves])


@pytest.fixture(autouse=True)
def nothing_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Arms of the repository belong to the demo codec, not to the tiny one."""
    monkeypatch.setattr(conditions, "coder_file", lambda name: tmp_path / "trained" / f"{name}.safetensors")


@pytest.fixture
def measured_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Three toy windows and a recogniser that hears all words but one; notes how often it is asked."""
    asked: list[int] = []

    class Heard:
        errors = 1.0

    def read(sound: np.ndarray, rate: int, passages: list[Passage]) -> list[Heard]:
        asked.append(len(sound))
        return [Heard() for _ in passages]

    monkeypatch.setattr(measure, "sounds_of", lambda data, root: toy())
    monkeypatch.setattr(conditions, "word_errors", read)
    return asked


def command(tmp_path: Path, tiny: Path, only: str) -> list[str]:
    words = ["bottleneck-measure", "--codec", str(tiny), "--work", str(tmp_path / "work"), "--only", only]
    return [*words, "--data", str(tmp_path), "--out", str(tmp_path), "--arms", "mel", "frozen"]


def test_what_is_measured_is_kept_and_read_again(
    tmp_path: Path, tiny_checkpoint_file: Path, measured_once: list[int]
) -> None:
    words = command(tmp_path, tiny_checkpoint_file, "floor")
    assert main(words) == 0 and len(measured_once) == 3 * len(conditions.FLOORS)
    table = Ladder.read(tmp_path)
    assert [one.arm for one in table.conditions] == list(conditions.FLOORS)
    assert {one.rung for one in table.conditions} == {"floor"} and len(table.windows) == 3
    noise = table.mean("floor/white noise", "wrong")
    assert (noise.value, noise.n, noise.said) == (0.5, 3, 6)
    before = (tmp_path / "results" / "ladder-scores.csv").read_bytes()
    assert main(words) == 0 and len(measured_once) == 3 * len(conditions.FLOORS)  # nothing anew
    assert (tmp_path / "results" / "ladder-scores.csv").read_bytes() == before


def test_floors_carry_no_speech_and_the_original_all_of_it(
    tmp_path: Path, tiny_checkpoint_file: Path, measured_once: list[int]
) -> None:
    assert main(command(tmp_path, tiny_checkpoint_file, "o")) == 1  # codes want a corpus, which is not there
    assert main(command(tmp_path, tiny_checkpoint_file, "original")) == 0
    table = Ladder.read(tmp_path)
    assert table.mean("original/original", "estoi").value == pytest.approx(1, abs=1e-6)
    assert main(command(tmp_path, tiny_checkpoint_file, "floor/speech-shaped noise with")) == 0
    table = Ladder.read(tmp_path)
    assert table.mean("floor/speech-shaped noise with the envelope", "estoi").value < 0.5


def test_codebook_indices_are_numbers_and_codecs_have_bits(
    tmp_path: Path, tiny_checkpoint_file: Path, measured_once: list[int]
) -> None:
    assert main(command(tmp_path, tiny_checkpoint_file, "indices")) == 0
    found = Ladder.read(tmp_path).conditions
    assert [one.per_tr for one in found] == [112.5, 225.0, 450.0, 787.5]
    assert main(command(tmp_path, tiny_checkpoint_file, "codec/")) == 0
    assert Ladder.read(tmp_path).conditions[0].bits_per_tr == 2250  # 1.5 kbps


def test_an_arm_that_has_not_moved_is_measured_as_the_one_it_is_like(
    tmp_path: Path, tiny_checkpoint: checkpoints.Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    waves = voices(6, 2.4, seed=3)
    monkeypatch.setattr(conditions, "training_sound", lambda corpus, name: waves)
    makers = conditions.Makers("demo", tmp_path, tmp_path)
    makers.checkpoint = tiny_checkpoint
    jobs = {job.condition.condition: job for job in conditions.jobs(makers, toy(), ["frozen", "finetuned"])}
    for made in ("pca", "start"):
        job = jobs[f"code/finetuned/{made}/256"]
        assert job.measured == jobs[f"code/frozen/{made}/256"].condition
        one, other = (next(iter(asked.waves(toy()))) for asked in (job, jobs[job.measured.condition]))
        np.testing.assert_array_equal(one, other)
    alone = conditions.jobs(makers, toy(), ["finetuned"])
    assert all(job.same_as is None for job in alone)


def test_a_coarse_grid_has_every_width_once_and_components_are_as_wide(
    tmp_path: Path, tiny_checkpoint: checkpoints.Checkpoint
) -> None:
    makers = conditions.Makers("demo", tmp_path, tmp_path)
    makers.checkpoint = tiny_checkpoint
    found = [job.condition for job in conditions.jobs(makers, toy(), ["frozen", "finetuned-linear"])]
    for made in ("pca", "start"):
        linear = [one for one in found if (one.arm, one.made, one.sigma) == ("finetuned-linear", made, 0.0)]
        assert [one.per_tr for one in linear] == [112.5, 225.0, 562.5, 900.0, 2025.0]
        assert [one.asked for one in linear] == [128, 256, 512, 844, 2048]
        fine = [one for one in found if (one.arm, one.made, one.sigma) == ("frozen", made, 0.0)]
        assert len({one.per_tr for one in fine}) == len(fine) == 7


def test_code_of_a_condition_is_of_what_makes_and_scores_it() -> None:
    floor, code = (replace(_any(), rung=rung, arm=arm) for rung, arm in (("floor", "x"), ("code", "mel")))
    brains = replace(code, rung="brains")
    assert len({conditions.code_of(one) for one in (floor, code, brains)}) == 3
    assert conditions.code_of(replace(code, seed=5, asked=7.0)) == conditions.code_of(code)


def test_a_changed_sound_is_measured_anew(
    tmp_path: Path, tiny_checkpoint_file: Path, measured_once: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = command(tmp_path, tiny_checkpoint_file, "floor/white")
    assert main(words) == 0
    other = replace(toy().windows[0], sha256="other")
    monkeypatch.setattr(
        measure,
        "sounds_of",
        lambda data, root: Sounds([other, *toy().windows[1:]], toy().waves, toy().passages),
    )
    assert main(words) == 0 and len(measured_once) == 6


def test_what_is_not_there_is_said(
    tmp_path: Path, tiny_checkpoint_file: Path, measured_once: list[int], capsys: pytest.CaptureFixture
) -> None:
    assert main(command(tmp_path, tiny_checkpoint_file, "nothing")) == 1
    assert "no condition's name holds that" in capsys.readouterr().err
    assert main(command(tmp_path, tiny_checkpoint_file, "code/mel/pca/128")) == 1
    assert "give --corpus" in capsys.readouterr().err
    assert main([*command(tmp_path, tiny_checkpoint_file, "floor"), "--data", str(tmp_path / "no")]) == 1
    assert "no folder of recordings" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_windows_of_the_play_are_as_many_as_intervals_need() -> None:
    found = list(play_windows(project_root() / "stimulus"))
    names = [clip.name for *_, clip, _ in found]
    assert len(set(names)) == len(found) >= 90
    assert len({voice for _, voice, *_ in found}) >= 4 and {group for group, *_ in found} <= set(GROUPS)
    passages = {}
    for _, voice, passage, clip, _ in found:
        assert passages.setdefault(passage, voice) == voice  # a passage is one voice's
        assert 3 <= len(clip.wave) / SAMPLE_RATE <= 14
    assert sum(len(clip.wave) for *_, clip, _ in found) / SAMPLE_RATE / 60 > 15


def test_what_the_tables_hold_is_not_measured_again(
    tmp_path: Path, tiny_checkpoint_file: Path, measured_once: list[int]
) -> None:
    words = command(tmp_path, tiny_checkpoint_file, "floor")
    assert main(words) == 0
    names = ("ladder.csv", "ladder-windows.csv", "ladder-scores.csv")
    before = [(tmp_path / "results" / name).read_bytes() for name in names]
    shutil.rmtree(tmp_path / "work")
    assert main(words) == 0 and len(measured_once) == 3 * len(conditions.FLOORS)
    assert [(tmp_path / "results" / name).read_bytes() for name in names] == before
    part = next((tmp_path / "work" / "measured").iterdir())
    part.unlink()
    for name in names:
        (tmp_path / "results" / name).unlink()
    assert main([*words, "--so-far"]) == 0 and len(measured_once) == 3 * len(conditions.FLOORS)
    assert len(Ladder.read(tmp_path).conditions) == len(conditions.FLOORS) - 1


def test_sweeps_are_measured_in_fewer_windows_of_a_voice_that_speaks_most() -> None:
    windows = [Window(f"w{k}", "play", "a" if k < 40 else "b", f"p{k}", 2.4, 2, f"{k}") for k in range(45)]
    waves = [np.full(8, float(k), np.float32) for k in range(45)]
    many = Sounds(windows, waves, [[] for _ in waves])
    assert {name for name in many.fewer if int(name[1:]) >= 40} == {f"w{k}" for k in range(40, 45)}
    of_the_other = sorted(int(name[1:]) for name in many.fewer if int(name[1:]) < 40)
    assert len(of_the_other) == MOST_OF_VOICE and (of_the_other[0], of_the_other[-1]) == (0, 39)
    everywhere, part = (
        [made is not None for made in conditions.Job(_any(), lambda: np.copy, everywhere=e).waves(many)]
        for e in (True, False)
    )
    assert all(everywhere) and sum(part) == len(many.fewer)
    together = conditions.Job(_any(), make_all=lambda sounds: sounds.waves).waves(many)
    assert [wave is not None for wave in together] == part


def _any() -> Condition:
    return Condition("c", "code", "mel", "trained", *(None,) * 5, "", "", None, None, "", "", 0, "", "")


def test_sentences_of_a_window_are_read_at_once() -> None:
    read = whole([Passage(0.1, 1.0, "One two."), Passage(1.2, 3.0, "Three.")])
    assert (read.onset, read.offset, read.text) == (0.1, 3.0, "One two. Three.")


def test_few_windows_are_spread_over_all() -> None:
    all_three = toy()
    assert [one.window for one in all_three.part(2).windows] == ["w0", "w2"]
    assert all_three.part(None) is all_three and all_three.part(5) is all_three
    assert all_three.digest != all_three.part(2).digest


def test_a_coded_stream_is_its_channel_in_sound_and_in_bits(
    tiny_checkpoint_file: Path, tmp_path: Path
) -> None:
    coder = CODERS["mel"].build(checkpoints.load(str(tiny_checkpoint_file)))
    coder.start(torch.stack([*voices(6, 2.4, seed=3)]))
    coder.eval()
    wave, dimensions = toy().waves[0], 20
    n = -(-len(wave) // coder.step_samples) * dimensions
    clean = conditions.through(coder, dimensions, 0.0, 0, wave)
    found = {sigma: conditions.sent(coder, dimensions, sigma, 0, wave) for sigma in (0.003, 0.1, 1.0)}
    assert [len(sound) for sound, _ in found.values()] == [len(wave)] * 3
    near, far = (np.abs(_spectrum(found[s][0]) - _spectrum(clean)).mean() for s in (0.003, 1.0))
    assert near < 0.1 * far
    for sigma, (_, bits) in found.items():
        each = 0.5 * np.log2(1 + 1 / sigma**2)
        assert 0.6 * each < bits / n < each + 1, "sound of other voices is not normal, but near it"


def _spectrum(wave: np.ndarray) -> np.ndarray:
    return np.log10(np.abs(np.fft.rfft(wave[: len(wave) // 512 * 512].reshape(-1, 512), axis=1)) + 1e-3)


def test_with_its_own_phase_a_mel_code_comes_nearer(tiny_checkpoint: checkpoints.Checkpoint) -> None:
    coder = CODERS["mel"].build(tiny_checkpoint)
    coder.start(voices(8, 2.4, seed=3))
    coder.eval()
    wave = toy().waves[0]
    full = coder.code.dimensions
    own, guessed = conditions.with_own_phase(coder, full, wave), conditions.through(coder, full, 0.0, 0, wave)
    assert own.shape == wave.shape

    def likeness(made: np.ndarray) -> float:
        return float(np.corrcoef(made, wave)[0, 1])

    assert likeness(own) > 0.8 > likeness(guessed)
    with pytest.raises(TypeError, match="frozen makes no phase up"):
        conditions.with_own_phase(CODERS["frozen"].build(tiny_checkpoint), 5, wave)
