"""The simulated study: layout on disk, known truth, refusals."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fmri_audio import brain
from fmri_audio.errors import UserError
from fmri_audio.study.reader import RELEASE_AFFINE, Run, Study
from fmri_audio.study.simulator import (
    FEATURE_RATE,
    Features,
    acoustic_features,
    box_affine,
    haemodynamic_response,
    responses,
    simulate_study,
)

from .conftest import N_TRS, SAMPLE_RATE, SHAPE, noise_bursts

SIZE = {"n_subjects": 1, "n_trs": 30, "shape": SHAPE, "seed": 7, "strength": 0.3, "progress": False}


def test_nibabel_reads_the_release_layout(study_folder: Path) -> None:
    image = nib.load(study_folder / "sherlock_movie_s1.nii.gz")
    assert image.shape == (*SHAPE, N_TRS)
    assert image.get_data_dtype() == np.dtype("<f4")
    assert_allclose(image.header.get_zooms(), (3, 3, 3, 1.5))
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert np.isfinite(image.get_fdata()).all()
    assert sorted(path.name for path in study_folder.iterdir()) == [
        "sherlock_movie_s1.nii.gz", "sherlock_movie_s2.nii.gz", "stimulus.flac", "study.yml", "truth.npz",
    ]  # fmt: skip


def test_both_hemispheres_lie_in_a_wide_box_and_voxel_centres_keep_the_release_grid() -> None:
    full = brain.auditory_mask(RELEASE_AFFINE, (61, 73, 61))
    assert 500 <= full.sum() <= 3000
    affine = box_affine((48, 20, 16))
    box = brain.auditory_mask(affine, (48, 20, 16))
    assert box.sum() == full.sum()
    offset = np.linalg.solve(RELEASE_AFFINE, affine[:, 3])[:3]
    assert_allclose(offset, np.round(offset), atol=1e-9)
    assert (brain.voxel_positions(box_affine(SHAPE), SHAPE)[..., 0] < 0).all()  # a narrow one covers the left


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    tmp_path: Path, sound: np.ndarray
) -> None:
    folders = [
        simulate_study(tmp_path / name, sound, SAMPLE_RATE, **{**SIZE, "seed": seed})
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    a, b, c = ((folder / "sherlock_movie_s1.nii.gz").read_bytes() for folder in folders)
    assert a == b != c


def test_only_auditory_cortex_follows_the_sound(tmp_path: Path) -> None:
    sound = noise_bursts(120)
    folder = simulate_study(
        tmp_path / "s",
        sound,
        SAMPLE_RATE,
        n_subjects=2,
        n_trs=120,
        shape=SHAPE,
        seed=3,
        strength=0.5,
        progress=False,
    )
    study, truth = Study.open(folder), np.load(folder / "truth.npz")
    mask = study.mask()
    assert (mask == truth["active"]).all()
    bold = np.stack([brain.clean_blocks(study.bold(s, mask), [(0, 120)], study.tr) for s in study.subjects])
    reached = np.stack([brain.correlate(truth["shared"], one) for one in bold]).mean()
    assert 0.75 * truth["attainable"].mean() < reached < 1.05 * truth["attainable"].mean()
    grey = brain.grey_matter(study.affine, study.shape) > 0.4
    other = np.stack(
        [brain.clean_blocks(study.bold(s, grey & ~mask), [(0, 120)], study.tr) for s in study.subjects]
    )
    assert brain.pairwise_isc(bold).mean() > 0.3
    assert abs(brain.pairwise_isc(other).mean()) < 0.06


def test_without_strength_nothing_is_shared(tmp_path: Path) -> None:
    folder = simulate_study(
        tmp_path / "null", noise_bursts(100), SAMPLE_RATE, n_subjects=2, n_trs=100, shape=SHAPE, seed=3, strength=0,
        progress=False,
    )  # fmt: skip
    study = Study.open(folder)
    mask = study.mask()
    bold = np.stack([brain.clean_blocks(study.bold(s, mask), [(0, 100)], study.tr) for s in study.subjects])
    assert abs(brain.pairwise_isc(bold).mean()) < 0.05


def test_volumes_are_shifted_by_three_trs() -> None:
    click = np.zeros((1, 20 * 3 * FEATURE_RATE // 2))
    click[0, : FEATURE_RATE // 2] = 1
    rows = responses(Features(click, ["click"]), [Run(name="1", first_tr=0, n_trs=20)], Fraction(3, 2))
    kernel = haemodynamic_response(FEATURE_RATE)
    peak = kernel.argmax() / FEATURE_RATE
    # The response peaks about 5 s after the click; row k was acquired in the middle of TR k + 3.
    assert rows[:, 0].argmax() == round((peak + 0.25) / 1.5 - 3.5)


def test_each_run_starts_from_rest() -> None:
    values = np.ones((1, 20 * 3 * FEATURE_RATE // 2))
    values[0, :600] = np.linspace(0, 1, 600)
    runs = [Run(name="1", first_tr=0, n_trs=10), Run(name="2", first_tr=10, n_trs=10)]
    once = responses(Features(values, ["x"]), [Run(name="1", first_tr=0, n_trs=20)], Fraction(3, 2))
    twice = responses(Features(values, ["x"]), runs, Fraction(3, 2))
    assert twice[10] < twice[14]
    assert not np.allclose(once[10] - once[14], twice[10] - twice[14], atol=0.1)


def test_features_are_zero_in_silence_and_tell_frequencies_apart() -> None:
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tones = np.concatenate([np.sin(2 * np.pi * 200 * t), np.sin(2 * np.pi * 4000 * t), np.zeros(SAMPLE_RATE)])
    features = acoustic_features(tones.astype(np.float32), SAMPLE_RATE)
    bands = features.values[:16]
    low, high, silent = (
        bands[:, 10 + i * FEATURE_RATE : 30 + i * FEATURE_RATE].mean(axis=1) for i in range(3)
    )
    assert low.argmax() < high.argmax()
    assert_allclose(silent, 0, atol=1e-9)
    assert_allclose(features.values[16, 90:110], 0, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_trs": N_TRS + 1}, f"{N_TRS} TRs of 1.5 s at most"),
        ({"shape": (62, 10, 10)}, "at most"),
        ({"shape": (2, 2, 2)}, "too little auditory cortex"),
        ({"strength": 0.9}, "strength 0.9"),
        ({"n_subjects": 0}, "at least one subject"),
        ({"runs": [(0, 10), (12, 18)]}, "begin where the one before ends"),
    ],
)
def test_impossible_studies_are_refused_and_leave_nothing(
    tmp_path: Path, sound: np.ndarray, change: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        simulate_study(tmp_path / "x", sound, SAMPLE_RATE, **{**SIZE, **change})
    assert list(tmp_path.iterdir()) == []


def test_silent_or_broken_sound_is_refused(tmp_path: Path, sound: np.ndarray) -> None:
    with pytest.raises(UserError, match="silent"):
        simulate_study(tmp_path / "x", np.zeros_like(sound), SAMPLE_RATE, **SIZE)
    broken = sound.copy()
    broken[100] = np.nan
    with pytest.raises(UserError, match="NaN"):
        simulate_study(tmp_path / "x", broken, SAMPLE_RATE, **SIZE)


def test_only_an_earlier_simulation_is_written_over(tmp_path: Path, sound: np.ndarray) -> None:
    out = tmp_path / "study"
    simulate_study(out, sound, SAMPLE_RATE, **SIZE)
    with pytest.raises(UserError, match="not empty"):
        simulate_study(out, sound, SAMPLE_RATE, **SIZE)
    simulate_study(out, sound, SAMPLE_RATE, **{**SIZE, "n_trs": 20}, overwrite=True)
    assert Study.open(out).n_trs == 20
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious.txt").write_text("keep")
    with pytest.raises(UserError, match="not empty"):
        simulate_study(mine, sound, SAMPLE_RATE, **SIZE, overwrite=True)
    assert (mine / "precious.txt").read_text() == "keep"
