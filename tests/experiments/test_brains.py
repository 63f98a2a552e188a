"""BOLD of all subjects: standardised where it was trained on, and read once."""

from __future__ import annotations

import numpy as np
import pytest

from fmri_audio.decoding import regression
from fmri_audio.experiments.brains import Brains
from fmri_audio.experiments.held_out import HeldOut


def test_the_group_is_the_mean_of_all_subjects_standardised_on_training_volumes(held_out: HeldOut) -> None:
    rows = held_out.split.bold_train_rows
    one, other = held_out.brains.all_bold
    assert one.shape == (len(held_out.stimulus.rows), held_out.n_units)
    mean = (one + other)[rows] / 2
    group = held_out.brains.group_bold[rows]
    np.testing.assert_allclose(group.std(axis=0), 1, atol=1e-3)
    np.testing.assert_allclose(group, (mean - mean.mean(axis=0)) / mean.std(axis=0), atol=1e-3)


def test_a_brain_is_prepared_once(held_out: HeldOut, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        regression, "brain_of", lambda study, subject, *rest: asked.append(subject) or np.ones(3)
    )
    brains = Brains(held_out.study, held_out.mask, held_out.split, None, held_out.run.cache)
    assert brains.bold(1) is brains.bold(1) is brains.all_bold[0]
    assert asked == [1, 2]
