"""``fmri-audio data check``, as a user meets it: one table, every problem in one sentence, and the exit status."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import soundfile
import yaml

from fmri_audio import cli
from fmri_audio.brain.masks import auditory_mask
from fmri_audio.simulation.simulator import box_affine
from fmri_audio.study import checker, sync
from fmri_audio.study.envelope import envelope_response
from fmri_audio.study.scans import open_image

from . import made

Output = pytest.CaptureFixture[str]
Check = Callable[..., tuple[int, str]]

LONG = 200
"""TRs of a study that is long enough for a verdict on its film."""


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    return auditory_mask(box_affine(made.SHAPE), made.SHAPE)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write_film(tmp_path_factory.mktemp("film") / "film.m4v", made.bursts(LONG * 1.5 + 0.3, 5))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray, film: Path) -> Path:
    """Two subjects whose auditory cortex follows the film, shifted by 3 TRs; one run, of which 5 TRs are skipped."""
    run = {"name": "1", "first_tr": 0, "n_trs": LONG, "skip_trs": 5}
    waveform, _ = sync.read_film(film, sync.Run(**run), made.TR)
    expected = envelope_response(waveform, made.RATE, [(0, LONG)], made.TR, 3)
    scans = [made.noise(LONG, seed) for seed in (1, 2)]
    for data in scans:
        data[mask] += 3 * (expected - expected.mean()) / expected.std()
    return made.write_study(tmp_path_factory.mktemp("studies") / "good", scans, runs=[run])


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(good, tmp_path / "study"))


@pytest.fixture
def check(capsys: Output, monkeypatch: pytest.MonkeyPatch, mask: np.ndarray) -> Check:
    """Run ``fmri-audio data check``; return its exit status and output. The mask of the made grid is not made anew."""
    monkeypatch.setattr(checker, "load_mask", lambda spec, affine, shape: mask[tuple(map(slice, shape))])

    def run(folder: Path, *arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        status = cli.main(["data", "check", str(folder), *map(str, arguments)])
        captured = capsys.readouterr()
        assert captured.err.count("\n") == (captured.out == "")
        return status, captured.out + captured.err

    return run


def change(folder: Path, **facts: object) -> None:
    path = folder / "study.yml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **facts}))


def rewrite(
    folder: Path, subject: int, edit: Callable[[np.ndarray], np.ndarray | None], **scan: object
) -> None:
    path = folder / f"sherlock_movie_s{subject}.nii"
    data = np.asarray(open_image(path).dataobj).copy()
    changed = edit(data)
    made.write_scan(path, data if changed is None else changed, **scan)  # type: ignore[arg-type]


def lines(out: str, kind: str) -> list[str]:
    return [line.removeprefix(f"{kind}: ") for line in out.splitlines() if line.startswith(f"{kind}: ")]


def test_a_sound_study_with_its_film_passes(good: Path, film: Path, check: Check) -> None:
    status, out = check(good, "--film", film)
    assert status == 0 and not lines(out, "problem") and not lines(out, "warning")
    head, titles, one, two = out.splitlines()[:4]
    assert head == "made: 2 subjects, 200 TRs of 1.5 s, shifted by 3 TRs, 5 TRs skipped"
    assert titles.split()[:3] == ["subject", "file", "volumes"] and one.endswith("ok") and two.endswith("ok")
    assert lines(out, "sound")[0].startswith("run 1, film.m4v: read film.m4v (M4V, AAC; 300")
    [note] = lines(out, "note")
    assert "run 1, film.m4v" in note and "at the declared shift of 3 TRs" in note and note.endswith("at +0")
    assert "no film was given" in check(good)[1]


def test_a_film_that_nobody_heard_is_a_warning_with_the_figure(
    good: Path, tmp_path: Path, check: Check
) -> None:
    other = tmp_path / "other.flac"
    soundfile.write(other, made.bursts(LONG * 1.5, 99), made.RATE)
    status, out = check(good, "--film", f"1={other}")
    [warning] = lines(out, "warning")
    assert status == 0 and warning.startswith(
        "other.flac: auditory cortex does not follow its envelope (r = "
    )
    assert warning.endswith("the film may be the wrong one")


def test_a_shift_that_is_wrong_is_a_warning_with_the_lag(folder: Path, film: Path, check: Check) -> None:
    change(folder, shift_trs=-1)
    status, out = check(folder, "--film", film)
    [warning] = lines(out, "warning")
    assert status == 0 and "follows it -4 TRs from where the shift of -1 TRs puts it" in warning
    assert "the shift (shift_trs: 3 would fit), its events" in warning


def test_the_studys_own_sound_is_compared_too(folder: Path, film: Path, check: Check) -> None:
    shutil.copy(film, folder / "film.m4v")
    change(folder, stimulus="film.m4v")
    assert "run 1, film.m4v" in check(folder)[1]
    change(folder, stimulus="gone.flac")
    status, out = check(folder)
    assert status == 1 and "gone.flac does not exist" in lines(out, "problem")[0]
    soundfile.write(folder / "brief.flac", made.bursts(250), made.RATE)
    change(folder, stimulus="brief.flac")
    assert (
        "brief.flac lasts 250.00 s, shorter than the scans of 300.00 s"
        in lines(check(folder)[1], "problem")[0]
    )


@pytest.mark.parametrize(
    ("seconds", "level", "said"),
    [
        (LONG * 1.5 + 1.6, 1, "film.flac lasts 301.60 s, longer than run 1 by more than a TR"),
        (LONG * 1.5 - 1.6, 1, "film.flac lasts 298.40 s, shorter than run 1 by more than a TR"),
        (LONG * 1.5, 0, "film.flac is silent"),
    ],
)
def test_a_film_that_does_not_fit_is_a_problem(
    good: Path, tmp_path: Path, check: Check, seconds: float, level: float, said: str
) -> None:
    soundfile.write(tmp_path / "film.flac", level * made.bursts(seconds), made.RATE)
    status, out = check(good, "--film", tmp_path / "film.flac")
    assert status == 1 and said in lines(out, "problem")[0]


def test_films_that_cannot_be_meant_are_refused(good: Path, film: Path, check: Check) -> None:
    assert "2 films for 1 runs; give one per run" in check(good, "--film", film, film)[1]
    status, out = check(good, "--film", "missing.m4v")
    assert status == 1 and "missing.m4v does not exist" in lines(out, "problem")[0]
    status, out = check(good, "--film", good / "study.yml")
    assert status == 1 and "is not a sound file" in lines(out, "problem")[0]


@pytest.mark.parametrize(
    ("edit", "scan", "said"),
    [
        (lambda data: data[..., :-2], {}, "sherlock_movie_s2.nii: 198 volumes, the study has 200"),
        (
            lambda data: None,
            {"tr": 2.0},
            "sherlock_movie_s2.nii: its header says a TR of 2 s, the study 1.5 s",
        ),
        (
            lambda data: data[1:],
            {},
            "sherlock_movie_s2.nii: its grid has another shape than the first subject's",
        ),
        (lambda data: None, {"affine": np.eye(4)}, "s2.nii: its affine differs from the first subject's"),
    ],
)
def test_headers_that_differ(
    folder: Path,
    check: Check,
    edit: Callable[[np.ndarray], np.ndarray | None],
    scan: dict[str, object],
    said: str,
) -> None:
    rewrite(folder, 2, edit, **scan)
    status, out = check(folder)
    assert status == 1 and any(said in problem for problem in lines(out, "problem")), out


def reheader(folder: Path, subject: int, change: Callable[[Any], object]) -> None:
    """Change a scan's header in place, without nibabel's care."""
    path = folder / f"sherlock_movie_s{subject}.nii"
    raw = path.read_bytes()
    header = nib.Nifti1Header(raw[:348], check=False)
    change(header)
    path.write_bytes(header.binaryblock + raw[348:])


def test_where_a_header_puts_its_voxels(folder: Path, check: Check) -> None:
    def scanner(header: Any) -> None:
        header["sform_code"] = 1

    def twice(header: Any) -> None:
        moved = header.get_sform()
        moved[0, 3] += 4
        header.set_qform(moved, code=2)

    def nowhere(header: Any) -> None:
        header["sform_code"] = header["qform_code"] = 0

    reheader(folder, 1, scanner)
    reheader(folder, 2, twice)
    status, out = check(folder)
    [warning] = lines(out, "warning")
    assert status == 0 and warning.startswith(
        "sherlock_movie_s2.nii: sform and qform put the same voxel up to 4.0 mm"
    )
    assert lines(out, "note")[0].startswith(
        "sherlock_movie_s1.nii: the header places voxels in scanner coordinates"
    )

    def no_rotation(header: Any) -> None:
        header["quatern_b"] = 7

    reheader(folder, 2, no_rotation)
    [warning] = lines(check(folder)[1], "warning")
    assert "put the same voxel anywhere, as the qform is no rotation" in warning
    reheader(folder, 1, nowhere)
    status, out = check(folder)
    assert status == 1 and "sherlock_movie_s1.nii: neither sform nor qform says where its voxels are" in out
    assert out.splitlines()[2].endswith("see below")


def test_a_header_without_a_tr_is_a_problem_of_its_own(folder: Path, check: Check) -> None:
    def stop(header: Any) -> None:
        header["pixdim"][4] = 0

    reheader(folder, 1, stop)
    status, out = check(folder)
    assert status == 1 and lines(out, "problem") == [
        "sherlock_movie_s1.nii: its header states no TR, the study 1.5 s; set it in the header"
    ]


def test_voxels_that_hold_nothing(folder: Path, mask: np.ndarray, check: Check) -> None:
    voxels = np.argwhere(mask)

    def spoil(data: np.ndarray) -> None:
        data[(*voxels[0], slice(None))] = 5
        data[(*voxels[1], 7)] = np.nan

    rewrite(folder, 1, spoil)
    status, out = check(folder)
    assert status == 1
    assert (
        "sherlock_movie_s1.nii: 1 voxels of the auditory mask hold NaN or infinity; mend or mask them" in out
    )
    assert "sherlock_movie_s1.nii: 1 voxels of the auditory mask never change" in out


def test_filler_is_told_from_data_and_from_what_was_declared(folder: Path, check: Check) -> None:
    def stop(data: np.ndarray) -> None:
        data[..., -10:] = 7

    rewrite(folder, 2, stop)
    status, out = check(folder)
    [problem] = lines(out, "problem")
    assert status == 1 and "sherlock_movie_s2.nii: volumes 191 to 200 are all the same" in problem
    change(folder, fillers=[{"subject": 2, "first_tr": 190, "n_trs": 10}])
    status, out = check(folder)
    assert status == 0 and out.splitlines()[3].split()[-2:] == ["10", "ok"]
    change(folder, fillers=[{"subject": 2, "first_tr": 185, "n_trs": 15}])
    status, out = check(folder)
    assert (
        status == 1 and "volumes 186 to 200 are declared filler and yet they vary" in lines(out, "problem")[0]
    )


def test_files_that_are_missing_or_broken(folder: Path, check: Check) -> None:
    change(folder, subjects=[1, 2, 3])
    path = folder / "sherlock_movie_s2.nii"
    path.write_bytes(path.read_bytes()[:-5000])
    status, out = check(folder)
    problems = "\n".join(lines(out, "problem"))
    assert status == 1 and "sherlock_movie_s3.nii[.gz] is missing; add it" in problems
    assert "sherlock_movie_s2.nii: truncated in volume" in problems
    assert "missing" in out.splitlines()[4]


@pytest.mark.parametrize("cut", [4, 3000])
def test_a_truncated_archive_is_found(folder: Path, check: Check, cut: int) -> None:
    plain = folder / "sherlock_movie_s1.nii"
    packed = made.write_scan(folder / "sherlock_movie_s1.nii.gz", np.asarray(open_image(plain).dataobj))
    plain.unlink()
    assert check(folder)[0] == 0
    packed.write_bytes(packed.read_bytes()[:-cut])
    status, out = check(folder)
    assert status == 1 and "sherlock_movie_s1.nii.gz: truncated" in lines(out, "problem")[0]


def test_no_study_at_all_is_one_line(tmp_path: Path, check: Check) -> None:
    status, out = check(tmp_path)
    assert status == 1 and out.count("\n") == 1 and "not a study" in out
    status, out = check(tmp_path / "none")
    assert status == 1 and out.count("\n") == 1 and "no such folder" in out


def test_a_bids_data_set_is_checked_with_its_own_sound(
    tmp_path: Path, check: Check, mask: np.ndarray
) -> None:
    folder = tmp_path / "tales"
    made.write_scan(made.scan_path(folder, "sub-001_task-tale"), made.noise(60, 1))
    made.write_scan(made.scan_path(folder, "sub-002_task-tale"), made.noise(60, 2))
    made.write_events(folder, "sub-001_task-tale", [(7.5, 60, "story", "tale_audio.wav")])
    made.write_events(folder, "sub-002_task-tale", [(7.5, 60, "story", "tale_audio.wav")])
    made.write_json(folder / "code" / "scan_exclude.json", {"tale": {"sub-002": ["sub-002_task-tale"]}})
    status, out = check(folder, "--task", "tale")
    assert status == 1 and "stimuli/tale_audio.wav is missing" in lines(out, "problem")[0]
    (folder / "stimuli").mkdir()
    soundfile.write(folder / "stimuli" / "tale_audio.wav", made.bursts(61), made.RATE)
    status, out = check(folder)
    assert status == 0 and "tales, tale: 1 subjects, 40 TRs of 1.5 s, shifted by 0 TRs" in out
    assert "sub-002_task-tale is excluded by code/scan_exclude.json" in lines(out, "note")
    assert any("too short to tell from chance" in note for note in lines(out, "note"))
    soundfile.write(folder / "stimuli" / "tale_audio.wav", made.bursts(50), made.RATE)
    status, out = check(folder)
    assert status == 1 and "tale_audio.wav lasts 50.00 s, shorter than run tale" in lines(out, "problem")[0]


def test_other_trs_and_labels_are_written_as_they_are(tmp_path: Path, check: Check) -> None:
    run = {"name": "1", "first_tr": 0, "n_trs": 50}
    folder = made.write_study(tmp_path / "s", [made.noise(50, 1)], runs=[run], tr="0.8", subjects=["1"])
    status, out = check(folder)
    assert (
        status == 1 and "50 TRs of 0.8 s" in out and "its header says a TR of 1.5 s, the study 0.8 s" in out
    )
    rewrite(folder, 1, lambda data: None, tr=float(Fraction("0.8")))
    assert check(folder)[0] == 0
