"""The simulated study: layout on disk, known truth, refusals."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import FAMILIES
from fmri_audio.simulation import simulator
from fmri_audio.simulation.brains import (
    BASELINE,
    NOISE_UNITS,
    SimulatedSubject,
    Simulation,
    plan_simulation,
    simulate_bold,
)
from fmri_audio.simulation.grid import Grid
from fmri_audio.simulation.simulator import simulate_study
from fmri_audio.sound.acoustics import acoustic_features
from fmri_audio.study.reader import Study
from tests.study.conftest import N_TRS, SAMPLE_RATE, SHAPE

SIZE = {"n_subjects": 1, "n_trs": 30, "shape": SHAPE, "seed": 7, "strength": 0.3, "progress": False}


def test_nibabel_reads_the_release_layout(study_folder: Path) -> None:
    image = nib.load(study_folder / "sherlock_movie_s1.nii.gz")
    assert image.shape == (*SHAPE, N_TRS)
    assert image.get_data_dtype() == np.dtype("<f4")
    assert_allclose(image.header.get_zooms(), (3, 3, 3, 1.5))
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert np.isfinite(image.get_fdata()).all()
    assert sorted(path.name for path in study_folder.iterdir()) == [
        "sherlock_movie_s1.nii.gz",
        "sherlock_movie_s2.nii.gz",
        "stimulus.flac",
        "study.yml",
        "truth.npz",
    ]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    tmp_path: Path, sound: np.ndarray
) -> None:
    folders = [
        simulate_study(tmp_path / name, sound, SAMPLE_RATE, **{**SIZE, "seed": seed})
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    a, b, c = ((folder / "sherlock_movie_s1.nii.gz").read_bytes() for folder in folders)
    assert a == b != c


def test_the_file_holds_what_is_simulated_in_memory_and_nothing_outside_tissue(
    tmp_path: Path, sound: np.ndarray
) -> None:
    """Two runs, the later of which begins within the sound, in auditory cortex and everywhere else."""
    runs = [(0, 18), (18, 12)]
    folder = simulate_study(tmp_path / "s", sound, SAMPLE_RATE, **{**SIZE, "n_subjects": 2}, runs=runs)
    study, grid = Study.open(folder), Grid.of_shape(SHAPE)
    assert [(run.first_tr, run.n_trs) for run in study.runs] == runs
    heard = acoustic_features(sound[: 30 * 36_000], SAMPLE_RATE)
    plan = plan_simulation(heard, grid, study.runs, study.tr, seed=7, families=FAMILIES, strength=0.3)
    assert (study.mask() == grid.active).all()
    for subject in (1, 2):
        assert_array_equal(study.bold(subject, grid.active), simulate_bold(plan, subject))
    volumes = nib.load(study.path(1)).get_fdata(dtype=np.float32)
    assert not volumes[~grid.tissue].any()
    inside = volumes[grid.tissue]
    assert abs(inside.mean() - BASELINE) < 0.2 * NOISE_UNITS
    assert inside.std(axis=1).min() > 0.3 * NOISE_UNITS


def test_the_truth_is_saved_beside_the_brains(tmp_path: Path, sound: np.ndarray) -> None:
    folder = simulate_study(
        tmp_path / "s",
        sound,
        SAMPLE_RATE,
        **{**SIZE, "n_subjects": 3, "n_trs": N_TRS, "strength": None},
        variant="strong",
        features=["envelope", "pitch"],
    )
    study = Study.open(folder)
    truth = np.load(folder / "truth.npz")
    n_active, n_other = int(truth["active"].sum()), int(truth["other"].sum())
    assert truth["names"].tolist() == ["level", "onset", "periodicity", "pitch height"]
    assert truth["families"].tolist() == ["envelope"] * 2 + ["pitch"] * 2
    assert truth["features"].shape == (N_TRS, 4) and truth["weights"].shape == (4, n_active)
    assert_allclose(truth["features"] @ truth["weights"], truth["shared"], atol=1e-4)
    assert_allclose(truth["level"], truth["features"][:, 0], atol=1e-5)
    assert truth["other_shared"].shape == (N_TRS, n_other)
    assert truth["attainable"].shape == truth["share"].shape == (n_active,)
    assert_allclose(truth["attainable_by_subject"].mean(axis=0), truth["attainable"], rtol=1e-5)
    assert (truth["attainable_full"] > truth["attainable_by_subject"]).all()
    assert_allclose(truth["share"].mean(), study.facts.strength, rtol=1e-5)
    peaks = truth["response"].argmax(axis=1) / truth["response_rate"]
    assert_allclose(peaks, 5 * truth["dispersion"] + truth["latency"], atol=0.06)
    assert len(truth["artefact_row"]) == len(truth["artefact_subject"]) == len(truth["artefact_displacement"])
    assert (str(truth["variant"]), int(truth["seed"])) == ("strong", 7)
    assert study.name == "simulated, strong"


def test_level_stays_the_seventeenth_feature_of_a_study_with_all(study_folder: Path) -> None:
    truth = np.load(study_folder / "truth.npz")
    assert truth["names"][16] == "level"
    assert_allclose(truth["features"][:, 16], truth["level"], atol=1e-6)


@pytest.mark.parametrize("n_trs", [1, 2, 3])
def test_a_study_of_few_volumes_can_be_written(tmp_path: Path, sound: np.ndarray, n_trs: int) -> None:
    folder = simulate_study(tmp_path / "s", sound, SAMPLE_RATE, **{**SIZE, "n_trs": n_trs})
    study = Study.open(folder)
    assert np.isfinite(study.bold(1, study.mask())).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_trs": N_TRS + 1}, f"{N_TRS} TRs of 1.5 s at most"),
        ({"shape": (62, 10, 10)}, "at most"),
        ({"shape": (2, 2, 2)}, "too little auditory cortex"),
        ({"strength": 0.9}, "strength 0.9"),
        ({"variant": "null"}, "the variant null has no signal"),
        ({"features": ["latents"]}, "no family 'latents'"),
        ({"n_trs": 0}, "at least one TR"),
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


def test_a_study_that_cannot_be_finished_leaves_nothing(
    tmp_path: Path, sound: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the disk is full when the second subject is written."""

    def full(path: Path, plan: Simulation, subject: SimulatedSubject) -> None:
        if subject.number == 2:
            raise OSError(28, "No space left on device")
        path.write_bytes(b"one")

    monkeypatch.setattr(simulator, "_write_subject", full)
    with pytest.raises(UserError, match="x: cannot be written .No space left on device"):
        simulate_study(tmp_path / "x", sound, SAMPLE_RATE, **{**SIZE, "n_subjects": 2})
    assert list(tmp_path.iterdir()) == []


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
