"""An edition about measured scans: the films of their runs become its sound, and every TR knows its volume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from fmri_audio import cli
from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import load_settings, project_root
from fmri_audio.edition.edition import Edition
from fmri_audio.edition.resolve import resolve
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.simulation.simulator import box_affine
from fmri_audio.study import stimulus, sync
from programs.__main__ import main as program
from programs.workflow.digests import Digests
from programs.workflow.plan import Plan

from . import made
from .test_annotations import COLUMNS

CONFIG = project_root() / "config"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made study of two runs, a film for each, a mask of one's own."""
    place = tmp_path_factory.mktemp("measured")
    made.write_study(place / "study", [made.noise(made.N_TRS, seed) for seed in (1, 2)])
    for i, (n_trs, _) in enumerate(made.RUNS):
        made.write_film(place / f"part{i + 1}.m4v", made.bursts(n_trs * 1.5 + 0.2, i))
    mask = np.zeros(made.SHAPE, np.uint8)
    mask[0, 0, :6] = 1
    pd.DataFrame({"Start": [1]}).to_excel(place / "no-columns.xlsx", index=False)
    nib.Nifti1Image(mask, box_affine(made.SHAPE)).to_filename(place / "mask.nii")
    return place


def write(
    folder: Path, place: Path, source: object, study: Mapping[str, object] | None = None, **more: Any
) -> Path:
    """Write an edition about the made study."""
    path = folder / "mine.yml"
    films = {name: str(place / film) for name, film in source.items()} if isinstance(source, dict) else source
    content = {
        "edition": "mine",
        "stimulus": {"source": films, **more.pop("stimulus", {})},
        "study": {"source": str(place / "study"), "mask": str(place / "mask.nii"), **(study or {})},
        **more,
    }
    path.write_text(yaml.safe_dump(content))
    return path


BOTH = {"1": "part1.m4v", "2": "part2.m4v"}

SHORT = {"lag_trs": [4], "gap_trs": 9, "cv_folds": 2, "validation_fraction": 0.1}
"""Settings of training under which so few TRs are enough."""


def test_every_tr_of_the_sound_knows_its_volume(tmp_path: Path, place: Path) -> None:
    opened = Edition.open(write(tmp_path, place, BOTH), build=tmp_path / "b")
    sound = opened.stimulus
    assert sound.runs == [(0, 56), (56, 55)] and sound.volumes == [(5, 61), (66, 121)]
    assert sound.rows.tolist() == [*range(5, 61), *range(66, 121)] and len(sound.waveform) == 111 * 36_000
    assert sound.name == "part1.m4v and part2.m4v"
    film, _ = sync.read_film(place / "part2.m4v", opened.study.runs[1], made.TR)
    np.testing.assert_array_equal(sound.waveform[56 * 36_000 :], film[5 * 36_000 : 60 * 36_000])
    again = Edition.open(tmp_path / "mine.yml", build=tmp_path / "b").stimulus
    assert (again.runs, again.volumes, again.steps) == (sound.runs, sound.volumes, sound.steps)
    assert opened.study.subjects == [1, 2] and not opened.study.simulated


def test_the_held_out_brain_is_read_at_the_volumes_of_its_sound(tmp_path: Path, place: Path) -> None:
    training = {"gap_trs": 12, "lag_trs": [3, 4], "test_fraction": 0.3}
    opened = Edition.open(write(tmp_path, place, BOTH, training=training), build=tmp_path / "b")
    held_out = HeldOut(opened)
    raw = opened.study.bold(2, held_out.mask)
    first, last = held_out.split.bold_test
    got, rows = held_out.brains.bold(2), opened.stimulus.rows
    assert rows[first] > 66, "the end of the second run is held out"
    # Detrending and standardising a voxel keep the order of its largest changes from volume to volume.
    for voxel in range(1, 6):
        both = got[first:last, voxel], raw[rows[first:last], voxel]
        assert len({int(np.abs(np.diff(values)).argmax()) for values in both}) == 1
    trained = max(last for _, last in held_out.split.bold_train)
    assert first > trained and np.isnan(got[trained:first]).all(), "the gap is nobody's"


def test_filler_among_the_trs_used_leaves_the_subject_out(
    tmp_path: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scans = [made.noise(made.N_TRS, seed) for seed in (1, 2)]
    scans[1][..., -6:] = 0
    fillers = [{"subject": 2, "first_tr": made.N_TRS - 6, "n_trs": 6}]
    made.write_study(tmp_path / "study", scans, fillers=fillers)
    study = {"source": str(tmp_path / "study")}
    path = write(tmp_path, place, BOTH, study)
    assert Edition.open(path, build=tmp_path / "b").study.subjects == [1]
    assert program(["study", "--edition", str(path), "--build", str(tmp_path / "b")]) == 0
    assert "subject 2 is left out: filler" in capsys.readouterr().out
    path = write(tmp_path, place, BOTH, {**study, "trs": [1, made.N_TRS - 6]})
    assert Edition.open(path, build=tmp_path / "b").study.subjects == [1, 2]
    # Filler that nobody declared is not learnt from either.
    made.write_study(tmp_path / "study", scans)
    training = {"gap_trs": 12, "lag_trs": [3, 4]}
    held_out = HeldOut(
        Edition.open(write(tmp_path, place, BOTH, study, training=training), build=tmp_path / "b")
    )
    assert np.isfinite(held_out.brains.bold(1)[slice(*held_out.split.bold_test)]).all()
    with pytest.raises(UserError, match=r"sherlock_movie_s2\.nii: some of the TRs used are filler"):
        held_out.brains.bold(2)


def test_without_a_film_the_studys_own_sound_is_taken(tmp_path: Path, place: Path) -> None:
    wave = made.bursts(made.N_TRS * 1.5 + 30, 4)
    made.write_study(tmp_path / "study", [made.noise(made.N_TRS, 1)], stimulus="stimulus.flac")
    soundfile.write(tmp_path / "study" / "stimulus.flac", wave, made.RATE)
    path = write(tmp_path, place, None, {"source": str(tmp_path / "study")})
    sound = Edition.open(path, build=tmp_path / "b").stimulus
    assert sound.volumes == [(5, 61), (66, 121)] and sound.name == "stimulus.flac"
    np.testing.assert_allclose(sound.waveform[56 * 36_000 :], wave[66 * 36_000 : 121 * 36_000], atol=1e-4)
    with pytest.raises(UserError, match="names no sound for run 1"):
        Edition.open(write(tmp_path, place, None), build=tmp_path / "c").stimulus  # noqa: B018


def test_a_bids_story_brings_sound_and_volumes(tmp_path: Path, place: Path) -> None:
    folder = tmp_path / "tales"
    made.write_scan(made.scan_path(folder, "sub-007_task-tale"), made.noise(60, 3))
    made.write_events(folder, "sub-007_task-tale", [(0, 4, "music", "t.wav"), (7.5, 72, "story", "t.wav")])
    (folder / "stimuli").mkdir()
    wave = made.bursts(85, 7)
    soundfile.write(folder / "stimuli" / "t.wav", wave, made.RATE, subtype="FLOAT")
    opened = Edition.open(
        write(tmp_path, place, None, {"source": str(folder), "task": "tale"}), build=tmp_path / "b"
    )
    assert opened.stimulus.volumes == [(0, 48)] and opened.study.subjects == ["007"]
    np.testing.assert_allclose(opened.stimulus.waveform, wave[180_000 : 180_000 + 48 * 36_000], atol=1e-6)


def test_tables_count_seconds_of_a_film_and_annotations_trs(tmp_path: Path, place: Path) -> None:
    rows = [
        ("1", 0, 30, "music"),
        ("1", 30, 91.5, "speech"),
        ("2", 0, 40, "speech"),
        ("2", 40, 90, "ambience"),
    ]
    table = tmp_path / "given.csv"
    pd.DataFrame(rows, columns=["run", "onset", "offset", "kind"]).to_csv(table, index=False)
    path = write(tmp_path, place, BOTH, stimulus={"segments": str(table)})
    found = Edition.open(path, build=tmp_path / "b").stimulus
    # 7.5 s are skipped in either run, and the second begins with TR 56: 84 s.
    assert found.segments["onset"].tolist() == [0, 22.5, 84, 116.5]
    assert found.segments["offset"].tolist() == [22.5, 84, 116.5, 166.5]
    sheet = tmp_path / "film.xlsx"
    values = [
        (1, 0, 30, 1, 20, None, "Yes"),
        (2, 30, 92, 21, 61, "Ann", "No"),
        (3, 0, 90, 62, 121, "Bob", "No"),
    ]
    pd.DataFrame(values, columns=list(COLUMNS)).to_excel(sheet, index=False)
    path = write(tmp_path, place, BOTH, stimulus={"segments": str(sheet)})
    found = Edition.open(path, build=tmp_path / "b").stimulus
    assert found.segments["kind"].tolist() == ["music", "speech", "speech"]
    assert found.segments["onset"].tolist() == [0, 22.5, 84] and found.segment_source == "the table film.xlsx"
    table.write_text("onset,offset,kind\n0,9,speech\n")
    with pytest.raises(UserError, match="given.csv has no column run, and 2 runs are used"):
        stimulus.prepare(load_settings(write(tmp_path, place, BOTH, stimulus={"segments": str(table)})))


@pytest.mark.parametrize(
    ("source", "study", "more", "said"),
    [
        (BOTH, {"trs": [30, 500]}, {}, "study.trs: TRs 30 to 500 were asked for, made has TRs 1 to 121"),
        (BOTH, {"trs": [30, 60]}, {}, "study.trs: TRs 30, 60 hold nothing of run 2, which part2.m4v"),
        ({"1": "part1.m4v"}, {"trs": [30, 60]}, {}, "study.trs keeps 31 TRs, under 40"),
        ({"9": "part1.m4v"}, {}, {}, "stimulus.source: there is no run 9; the runs of made are 1, 2"),
        (BOTH, {}, {"stimulus": {"first_tr": 26}}, "choose the TRs of a study on disk with study.trs"),
        (BOTH, {}, {"tr": "2"}, "its TR is 1.5 s, the edition's 2 s; set tr in the edition file"),
        ({"1": "missing.m4v"}, {}, {}, "missing.m4v does not exist"),
        ({"2": "part1.m4v"}, {}, {}, "longer than run 2 by more than a TR"),
        (BOTH, {"task": "tale"}, {}, "study.task: "),
        (BOTH, {"trs": [61, 27]}, {}, "study.trs: [61, 27] should be the first and the last TR"),
        (BOTH, {"source": "simulate"}, {}, "stimulus.source names runs, and a simulated study has none yet"),
        (None, {}, {}, "needs what only you can provide: set stimulus.source"),
        (
            BOTH,
            {},
            {"stimulus": {"segments": "PLACE/no-columns.xlsx"}},
            "no-columns.xlsx: the columns 'Segment Num",
        ),
    ],
)
def test_whatever_does_not_fit_is_one_line_before_anything_is_written(
    tmp_path: Path,
    place: Path,
    tiny_checkpoint_file: Path,
    capsys: pytest.CaptureFixture[str],
    source: Any,
    study: dict[str, object],
    more: dict[str, Any],
    said: str,
) -> None:
    path = write(tmp_path, place, source, study, **more)
    path.write_text(path.read_text().replace("PLACE", str(place)))
    out = tmp_path / "out" / "edition.yml"
    arguments = ["--edition", str(path), "--codec", str(tiny_checkpoint_file), "--out", str(out)]
    assert program(["resolve", *arguments]) == 1
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1, captured.err
    assert not out.parent.exists()


def test_a_film_on_the_command_line_is_that_of_the_first_run(
    tmp_path: Path, place: Path, tiny_checkpoint_file: Path
) -> None:
    path = write(tmp_path, place, BOTH, training={"cv_folds": 3})  # 56 TRs leave 14 to train on in one fold
    out = tmp_path / "out" / "edition.yml"
    notes = resolve(str(path), out, str(place / "part1.m4v"), str(tiny_checkpoint_file))
    assert any("56 TRs" in note and "run 2 has no film and is left out" in note for note in notes)
    again = Edition.open(out, build=tmp_path / "b")
    assert again.stimulus.volumes == [(5, 61)]


def test_the_sherlock_edition_takes_the_920_trs_of_the_brief(tmp_path: Path) -> None:
    settings = load_settings(CONFIG / "sherlock.yml")
    assert settings.study.trs == [27, 946] and (settings.stimulus.first_tr, settings.stimulus.n_trs) == (
        0,
        None,
    )
    film = tmp_path / "part1.flac"
    clicks = np.zeros(round(1419.69 * made.RATE), np.float32)  # as long as one laboratory's copy
    clicks[:: made.RATE] = 0.5
    soundfile.write(film, clicks, made.RATE)
    made.write_scan(tmp_path / "sherlock_movie_s1.nii", np.zeros((2, 2, 2, 3)))
    changed = load_settings(
        CONFIG / "sherlock.yml", {"study.source": str(tmp_path), "stimulus.source": str(film)}
    )
    sound = stimulus.prepare(changed, detect=False)
    assert sound.volumes == [(26, 946)] and sound.n_trs == 920
    assert "left out the first 26 TRs of run 1" in sound.steps


def test_narratives_needs_only_the_data_set(tmp_path: Path, tiny_checkpoint_file: Path) -> None:
    with pytest.raises(UserError) as caught:
        resolve("narratives", tmp_path / "edition.yml", codec=str(tiny_checkpoint_file))
    assert "study.source" in str(caught.value) and "stimulus.source" not in str(caught.value)


def test_a_step_runs_again_when_a_film_of_any_run_or_the_study_changes(tmp_path: Path, place: Path) -> None:
    films = {name: str(tmp_path / film) for name, film in BOTH.items()}
    for film in films.values():
        Path(film).write_bytes(b"one")
    made.write_study(tmp_path / "study", [])
    settings = {"codec": "demo", "stimulus": {"source": films}, "study": {"source": str(tmp_path / "study")}}
    plan = Plan(tmp_path / "b", settings, ())

    def lines() -> list[str]:
        return Digests(plan).step_sources("stimulus")

    before = lines()
    assert before == lines()
    Path(films["2"]).write_bytes(b"another")
    changed = lines()
    assert changed != before
    (tmp_path / "study" / "study.yml").write_text("name: other")
    assert lines() != changed


def resolved(path: Path, codec: Path, out: Path) -> int:
    return program(["resolve", "--edition", str(path), "--codec", str(codec), "--out", str(out)])


def test_what_data_check_refuses_in_names_and_headers_the_book_refuses_before_it_begins(
    tmp_path: Path, place: Path, tiny_checkpoint_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made.write_study(
        tmp_path / "study", [made.noise(made.N_TRS, seed) for seed in (1, 2)], subjects=[1, 2, 3]
    )
    made.write_scan(folder / "sherlock_movie_s2.nii", made.noise(made.N_TRS - 1, 2), tr=2.0)
    path = write(tmp_path, place, BOTH, {"source": str(folder)})
    assert resolved(path, tiny_checkpoint_file, tmp_path / "edition.yml") == 1
    said = capsys.readouterr().err
    assert (
        said.startswith("error: study.source: sherlock_movie_s3.nii[.gz] is missing")
        and said.count("\n") == 1
    )
    assert f", and 2 more (`fmri-audio data check {folder} --mask {place / 'mask.nii'}` lists all)" in said
    assert cli.main(["data", "check", str(folder), "--mask", str(place / "mask.nii")]) == 1
    assert capsys.readouterr().out.count("problem: ") == 3


def test_what_data_check_refuses_in_volumes_the_study_step_refuses_and_reads_them_once(
    tmp_path: Path,
    place: Path,
    tiny_checkpoint_file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = made.noise(made.N_TRS, 1)
    data[0, 0, 3, 8] = np.nan
    folder = made.write_study(tmp_path / "study", [data, made.noise(made.N_TRS, 2)])
    path = write(tmp_path, place, BOTH, {"source": str(folder)}, training=SHORT)
    assert resolved(path, tiny_checkpoint_file, tmp_path / "edition.yml") == 0
    step = ["study", "--edition", str(path), "--build", str(tmp_path / "b")]
    assert program(step) == 1 and not (tmp_path / "b" / "study").exists()
    said = capsys.readouterr().err
    assert (
        "sherlock_movie_s1.nii: 1 voxels of the mask hold NaN or infinity" in said and said.count("\n") == 1
    )
    assert "fmri-audio data check" in said
    made.write_scan(folder / "sherlock_movie_s1.nii", made.noise(made.N_TRS, 1))
    assert program(step) == 0
    monkeypatch.setattr("fmri_audio.edition.resolve.volume_problems", lambda found, mask: ["read again"])
    assert program(step) == 0
    made.write_scan(folder / "sherlock_movie_s1.nii", made.noise(made.N_TRS, 3))
    assert program(step) == 1 and "read again" in capsys.readouterr().err


def test_a_data_set_without_its_sound_will_do_with_a_film(
    tmp_path: Path, place: Path, tiny_checkpoint_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tales"
    for subject in ("007", "008"):
        made.write_scan(made.scan_path(folder, f"sub-{subject}_task-tale"), made.noise(70, int(subject)))
        made.write_events(folder, f"sub-{subject}_task-tale", [(7.5, 91.5, "story", "gone.wav")])
    study = {"source": str(folder), "task": "tale"}
    path = write(tmp_path, place, {"gone": "part1.m4v"}, study, training=SHORT)
    assert resolved(path, tiny_checkpoint_file, tmp_path / "edition.yml") == 0
    path = write(tmp_path, place, None, study)
    assert resolved(path, tiny_checkpoint_file, tmp_path / "other.yml") == 1
    assert "needs what only you can provide: set stimulus.source" in capsys.readouterr().err
