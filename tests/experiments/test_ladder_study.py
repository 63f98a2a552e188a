"""The ladder's code from the brains of a study: brains that hear tell of it, brains that do not tell nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.bottleneck.coder_files import LoadedCoder
from fmri_audio.bottleneck.coders import CODERS
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.experiments.ladder_study import CONTROLS, CodeOfStudy
from fmri_audio.experiments.whole_study import WholeStudy
from tests.experiments.test_whole_study import open_study
from tests.study.conftest import SAMPLE_RATE, noise_bursts


def started(name: str, checkpoint: Checkpoint) -> LoadedCoder:
    """An arm as it begins, on other noise bursts than the study's."""
    coder = CODERS[name].build(checkpoint)
    n = 30 * coder.step_samples
    sound = noise_bursts(400)
    coder.start(torch.from_numpy(sound[: len(sound) // n * n].reshape(-1, 1, n)))
    return LoadedCoder(f"{name}-start", coder.eval(), "", "", "", "", {})


@pytest.fixture(scope="module")
def codes(
    tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint_file: Path, tiny_checkpoint: Checkpoint
) -> dict[str, CodeOfStudy]:
    loaded = started("mel", tiny_checkpoint)
    studies = {
        variant: open_study(tmp_path_factory.mktemp(variant), tiny_checkpoint_file, variant)
        for variant in ("strong", "null")
    }
    return {variant: CodeOfStudy(whole, loaded, 64) for variant, whole in studies.items()}


def test_brains_that_hear_tell_of_the_code_and_others_do_not(codes: dict[str, CodeOfStudy]) -> None:
    known = {}
    for variant, code in codes.items():
        read = code.read(code.study.subjects)
        inside = read.reliability.any(axis=1)
        known[variant] = float(read.reliability[inside].mean())
        error = np.square(read.mean - code.sent.rows[: len(read.mean)])[inside].mean()
        spread = np.square(code.sent.rows[: len(read.mean)])[inside].mean()
        assert error < 1.05 * spread  # a posterior mean is never far worse than the mean
    assert known["strong"] > 3 * known["null"] and known["null"] < 0.05


def test_sounds_are_as_long_as_the_stimulus_and_controls_differ(
    codes: dict[str, CodeOfStudy], tiny_checkpoint: Checkpoint
) -> None:
    code = CodeOfStudy(codes["strong"].whole, started("complex-stft", tiny_checkpoint), 64)
    read = code.read(code.study.subjects[:1])
    sounds = {"": code.heard(read), **{name: code.heard(read, name) for name in CONTROLS}}
    sounds["noise-free"] = code.noise_free
    assert {len(sound) for sound in sounds.values()} == {len(code.stimulus.waveform)}
    assert all(np.isfinite(sound).all() for sound in sounds.values())
    for name in CONTROLS:
        assert not np.allclose(sounds[""], sounds[name])
    with pytest.raises(ValueError, match="no control 'else'"):
        code.heard(read, "else")


def test_a_width_or_a_rate_that_does_not_fit_is_refused(codes: dict[str, CodeOfStudy]) -> None:
    whole: WholeStudy = codes["null"].whole
    with pytest.raises(UserError, match="a width of 5000"):
        CodeOfStudy(whole, codes["null"].loaded, 5000)
    assert whole.stimulus.sample_rate == SAMPLE_RATE
