"""Masked matrices: read once, kept by content, streamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from fmri_audio.base.errors import UserError
from fmri_audio.study import masked
from fmri_audio.study.masked import file_identity, iter_subjects, masked_bold
from fmri_audio.study.reader import Study
from tests.base.test_stored import DAMAGES


@pytest.fixture
def study(study_folder: Path, tmp_path: Path) -> Study:
    """A copy that a test may change."""
    return Study.open(shutil.copytree(study_folder, tmp_path / "study"))


@pytest.fixture(scope="module")
def mask(study_folder: Path) -> np.ndarray:
    return Study.open(study_folder).mask()


def test_the_matrix_is_mapped_and_read_from_the_scan_once(
    study: Study, mask: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = study.bold(1, mask)
    first = masked_bold(study, 1, mask, tmp_path / "cache")
    monkeypatch.setattr(Study, "bold", lambda *_: pytest.fail("the scan was read again"))
    again = masked_bold(study, 1, mask, tmp_path / "cache")
    for found in (first, again):
        np.testing.assert_array_equal(found, expected)
        assert isinstance(found.base, np.memmap) and found.dtype == np.float32 and not found.flags.writeable
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".npy", ".sha256"]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_matrix_that_is_not_what_was_stored_is_read_from_the_scan_again(
    study: Study,
    mask: np.ndarray,
    tmp_path: Path,
    damage: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = study.bold(1, mask)
    masked_bold(study, 1, mask, tmp_path / "cache")
    [path] = (tmp_path / "cache").glob("*.npy")
    damage(path)
    np.testing.assert_array_equal(masked_bold(study, 1, mask, tmp_path / "cache"), expected)
    assert "made again" in capsys.readouterr().err


def test_another_scan_mask_study_or_code_is_read_anew(
    study: Study, mask: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"

    def files() -> int:
        return len(list(cache.glob("*.npy")))

    masked_bold(study, 1, mask, cache)
    masked_bold(study, 2, mask, cache)
    assert files() == 2
    fewer = mask.copy()
    fewer[tuple(np.argwhere(mask)[0])] = False
    assert masked_bold(study, 1, fewer, cache).shape[1] == mask.sum() - 1
    assert files() == 3
    path = study.path(1)
    image = nib.load(path)
    nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine, image.header).to_filename(path)
    np.testing.assert_allclose(masked_bold(study, 1, mask, cache), study.bold(1, mask))
    assert files() == 4
    facts = study.folder / "study.yml"
    filler = {"subject": 1, "first_tr": 40, "n_trs": 8}
    facts.write_text(yaml.safe_dump({**yaml.safe_load(facts.read_text()), "fillers": [filler]}))
    assert np.isnan(masked_bold(Study.open(study.folder), 1, mask, cache)[40:]).all()
    assert files() == 5
    monkeypatch.setattr(masked, "fingerprint", lambda *_: "newer code")
    masked_bold(study, 2, mask, cache)
    assert files() == 6


def test_a_change_of_equal_size_and_time_is_seen_where_it_is_sampled(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii"
    content = np.random.default_rng(0).bytes(1_000_000)
    path.write_bytes(content)
    state = path.stat()
    identity = file_identity(path)

    def changed_at(position: int) -> str:
        path.write_bytes(content[:position] + b"#" + content[position + 1 :])
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        return file_identity(path)

    assert changed_at(0) != identity and changed_at(len(content) - 1) != identity
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert file_identity(path) == identity
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert file_identity(path) != identity


def test_subjects_come_one_at_a_time_with_progress(
    study: Study, mask: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = iter_subjects(study, mask, tmp_path / "cache")
    assert not (tmp_path / "cache").exists(), "nothing is read before it is asked for"
    subject, bold = next(stream)
    assert subject == 1 and bold.shape == (study.n_trs, mask.sum())
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1
    assert [subject for subject, _ in stream] == [2]
    assert capsys.readouterr().err == "masking subject 1 (1 of 2)\nmasking subject 2 (2 of 2)\n"
    assert [s for s, _ in iter_subjects(study, mask, tmp_path / "cache", [2], progress=False)] == [2]
    assert not capsys.readouterr().err


def test_a_broken_scan_leaves_nothing_behind(study: Study, mask: np.ndarray, tmp_path: Path) -> None:
    path = study.path(1)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match="truncated"):
        masked_bold(study, 1, mask, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*"))


def test_the_mask_does_not_depend_on_who_is_loaded(study: Study, mask: np.ndarray) -> None:
    """One subject alone, with other data, under another number: the same voxels."""
    study.path(1).unlink()
    image = nib.load(study.path(2))
    zeros = nib.Nifti1Image(np.zeros_like(np.asarray(image.dataobj)), image.affine, image.header)
    zeros.to_filename(study.folder / "sherlock_movie_s1.nii.gz")
    study.path(2).unlink()
    facts = study.folder / "study.yml"
    facts.write_text(yaml.safe_dump({**yaml.safe_load(facts.read_text()), "subjects": [1]}))
    np.testing.assert_array_equal(Study.open(study.folder).mask(), mask)
