"""A recording through an arm by hand: what is printed, what is written, and what is refused in one sentence."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
import soundfile
import torch

from fmri_audio import cli
from fmri_audio.base.errors import UserError
from fmri_audio.bottleneck import coder_files, passing
from fmri_audio.bottleneck.coders import CODERS
from fmri_audio.codec.checkpoints import Checkpoint
from tests.bottleneck.test_coders import sounds
from tests.conftest import Speech

TR = Fraction(3, 2)


@pytest.fixture(scope="module")
def folder(tiny_checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of two arms, started and not trained."""
    kept = tmp_path_factory.mktemp("arms")
    torch.manual_seed(0)
    for name in ("mel", "frozen"):
        coder = CODERS[name].build(tiny_checkpoint)
        coder.start(sounds(40))
        coder_files.save(coder.eval(), kept / name, {"licence": "MIT", "description": "a start"})
    return kept


@pytest.fixture
def arms(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coder_files, "coder_file", lambda name: folder / name)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, speech: Speech) -> Path:
    path = tmp_path_factory.mktemp("sound") / "talk.wav"
    soundfile.write(path, speech(4.0, 44_100), 44_100)
    return path


def asked(recording: Path, out: Path, tiny: Path, *words: str) -> list[str]:
    return ["bottleneck", "pass", str(recording), str(out), "--checkpoint", str(tiny), *words]


@pytest.mark.usefixtures("arms")
def test_a_recording_passes_and_its_scores_are_printed(
    recording: Path, tmp_path: Path, tiny_checkpoint_file: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out.wav"
    command = asked(recording, out, tiny_checkpoint_file, "--arm", "mel", "--width", "512", "--json")
    assert cli.main(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["numbers_per_tr"] == 512.5 and said["numbers_per_second"] == pytest.approx(512.5 / 1.5)
    assert said["weights"].startswith("mel-") and said["licence"] == "MIT" and said["look_ahead_ms"] > 120
    assert said["lag_samples"] == 0 and said["lag_method"] == "known"
    assert said["snr_db"] is None and "phase is made up" in said["undefined"]["snr_db"]
    assert said["estoi"] is not None and abs(said["level_difference_db"]) < 3
    written, rate = soundfile.read(out)
    assert rate == 24_000 and len(written) == 4 * 24_000
    assert cli.main([*command[:-1], "--tr", "2.0"]) == 0
    text = capsys.readouterr().out
    assert "numbers_per_tr      516.667" in text and "estoi" in text


@pytest.mark.usefixtures("arms")
def test_sound_whose_phase_is_kept_has_a_waveform_to_compare(
    recording: Path, tmp_path: Path, tiny_checkpoint_file: Path, capsys: pytest.CaptureFixture
) -> None:
    command = asked(recording, tmp_path / "o.flac", tiny_checkpoint_file, "--arm", "frozen", "--width", "64")
    assert cli.main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["si_sdr_db"] is not None


@pytest.mark.usefixtures("arms")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--arm", "mel", "--width", "5000"],
            "a width of 5000 numbers per TR: mel has from 1 to 2050 of them",
        ),
        (["--arm", "mel", "--width", "0"], "a width of 0 numbers per TR"),
        (["--arm", "mel", "--width", "nan"], "a width of nan numbers per TR"),
        (["--arm", "nothing", "--width", "64"], "there is no arm 'nothing'"),
        (["--arm", "codes", "--width", "64"], "train it with `make bottleneck`"),
        (["--arm", "mel", "--width", "64", "--tr", "soon"], "--tr soon: a TR is a number of seconds"),
    ],
)
def test_what_cannot_pass_is_refused(
    words: list[str],
    said: str,
    recording: Path,
    tmp_path: Path,
    tiny_checkpoint_file: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    out = tmp_path / "out.wav"
    assert cli.main(asked(recording, out, tiny_checkpoint_file, *words)) == 1
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert not out.exists()


@pytest.mark.usefixtures("arms")
def test_sound_that_is_none_and_a_name_that_is_no_sound_are_refused(
    recording: Path, tmp_path: Path, tiny_checkpoint_file: Path, capsys: pytest.CaptureFixture
) -> None:
    arm = ["--arm", "mel", "--width", "64"]
    assert cli.main(asked(recording, tmp_path / "out.mp3", tiny_checkpoint_file, *arm)) == 1
    assert "give a name ending in .wav or .flac" in capsys.readouterr().err
    assert cli.main(asked(tmp_path / "none.wav", tmp_path / "out.wav", tiny_checkpoint_file, *arm)) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("arms")
def test_info_lists_arms_weights_and_licences(
    tiny_checkpoint_file: Path, capsys: pytest.CaptureFixture
) -> None:
    assert cli.main(["bottleneck", "info", "--checkpoint", str(tiny_checkpoint_file), "--tr", "0.71"]) == 0
    said = capsys.readouterr().out
    assert said.count("arm  ") == len(CODERS) and said.count("licence      MIT") == 2
    assert "numbers per TR of 0.71 s" in said and "not here: train them with `make bottleneck`" in said
    assert "look-ahead   1341 ms" in said


def test_widths_are_on_the_grid_of_every_tr(tiny_checkpoint: Checkpoint) -> None:
    coder = CODERS["mel"].build(tiny_checkpoint)
    for tr in (TR, Fraction(2), Fraction(71, 100)):
        for asked_for in (16, 128, 512):
            width = passing.Width.of(coder, asked_for, tr)
            assert abs(width.per_tr - asked_for) <= float(tr / coder.step) / 2
            assert width.per_second == pytest.approx(width.per_tr / float(tr))
    with pytest.raises(UserError, match=r"from 1 to 970\.333 of them at a TR of 0\.71 s"):
        passing.Width.of(coder, 1000, Fraction(71, 100))


@pytest.mark.usefixtures("arms")
def test_numbers_pass_voxels_exactly_without_noise_and_hardly_with_much(
    recording: Path, tmp_path: Path, tiny_checkpoint_file: Path, capsys: pytest.CaptureFixture
) -> None:
    said, sound = {}, {}
    for name, words in {
        "none": [],
        "exact": ["--noise", "0", "--map", "ideal"],
        "brain": ["--noise", "1"],
        "much": ["--noise", "1e6"],
    }.items():
        out = tmp_path / f"{name}.wav"
        command = asked(
            recording, out, tiny_checkpoint_file, "--arm", "mel", "--width", "128", "--json", *words
        )
        assert cli.main(command) == 0
        said[name], sound[name] = json.loads(capsys.readouterr().out), soundfile.read(out)[0]
    assert len(sound["exact"]) == len(sound["none"])
    assert said["exact"]["bits_per_tr"] is None and said["exact"]["reliability"] == 1
    assert said["exact"]["estoi"] == pytest.approx(said["none"]["estoi"], abs=0.02)
    assert "noise" not in said["none"] and said["brain"]["voxels"].endswith("between, simulated")
    assert said["brain"]["bits_per_tr"] > 5 > 0.01 > said["much"]["bits_per_tr"]
    assert said["none"]["estoi"] > said["brain"]["estoi"] > said["much"]["estoi"] - 0.1


@pytest.mark.usefixtures("arms")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--width", "2000", "--noise", "0", "--map", "ideal"], "numbers do not pass 844 voxels"),
        (["--width", "128", "--noise", "0"], "does not pass: "),
        (["--width", "128", "--noise", "-1"], "--noise -1: give 0 or more"),
        (["--width", "128", "--noise", "nan"], "--noise nan: give 0 or more"),
    ],
)
def test_what_does_not_pass_voxels_is_said(
    words: list[str],
    said: str,
    recording: Path,
    tmp_path: Path,
    tiny_checkpoint_file: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    assert cli.main(asked(recording, tmp_path / "o.wav", tiny_checkpoint_file, "--arm", "mel", *words)) == 1
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and not (tmp_path / "o.wav").exists()
