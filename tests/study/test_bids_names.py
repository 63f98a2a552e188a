"""Names and places of BIDS: entities, inheritance, pipelines, sounds; trees have the names of the public examples."""

from __future__ import annotations

import json
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmri_audio.base.errors import UserError
from fmri_audio.study.bids_names import BidsName, pipelines, scans_in, stimulus_file
from fmri_audio.study.facts import Found
from fmri_audio.study.layouts.bids import find_bids
from fmri_audio.study.reader import find_study

from . import made, trees
from .trees import SPACE


def chosen(found: Found, subject: str) -> list[str]:
    """Names of the scans that a subject gives."""
    return [scan.path.name.partition("_space")[0] for scan in found.scans[subject]]


def test_names_are_entities() -> None:
    one = BidsName.of(Path("sub-01_ses-b_task-x_dir-AP_rec-n_run-01_bold.nii.gz"))
    two = BidsName.of(Path("sub-01_ses-b_task-x_rec-n_dir-AP_run-1_space-T1w_res-2_desc-preproc_bold.nii"))
    assert one.scan == two.scan and one.entities["run"] == 1 and two.extension == ".nii"
    assert BidsName.of(Path("sub-1_task-x_bold.nii")).scan != BidsName.of(Path("sub-01_task-x_bold.nii")).scan
    assert two.stem == "sub-01_ses-b_task-x_rec-n_dir-AP_run-1"


def test_ds001_padded_and_fmriprep_not(tmp_path: Path) -> None:
    task, version = "balloonanalogrisktask", "derivatives/fmriprep-20.2.0rc0"
    for subject in ("10", "11"):
        for run in range(1, 11):
            raw = f"sub-{subject}_task-{task}_run-{run:02d}"
            trees.plant(tmp_path, [f"{trees.func(raw)}/{raw}_bold.nii.gz"])
            trees.tell(
                tmp_path / trees.func(raw) / f"{raw}_events.tsv", [(7.5, 60, "story", f"part{run}.wav")]
            )
            form = f"space-{SPACE}_res-2_desc-preproc"
            trees.plant(tmp_path, [trees.preprocessed(f"sub-{subject}_task-{task}_run-{run}", version, form)])
    for run in range(1, 11):
        trees.sound(tmp_path, f"part{run}.wav")
    trees.state_tr(tmp_path, task)
    found = find_bids(tmp_path)
    assert found.problems == [] and found.notes == []
    assert [run.name for run in found.facts.runs] == [f"part{run}" for run in range(1, 11)]
    assert chosen(found, "11") == [f"sub-11_task-{task}_run-{run}" for run in range(1, 11)]
    inside = tmp_path / version
    again = find_bids(inside)
    assert [run.stimulus for run in again.facts.runs] == [
        f"../../stimuli/part{run}.wav" for run in range(1, 11)
    ]
    assert all((inside / str(run.stimulus)).is_file() for run in again.facts.runs)


def test_synthetic_inherits_its_events_over_sessions(tmp_path: Path) -> None:
    for session in ("01", "02"):
        for run in ("01", "02"):
            stem = f"sub-01_ses-{session}_task-nback_run-{run}"
            trees.plant(tmp_path, [f"{trees.func(stem)}/{stem}_bold.nii"])
            for space in (SPACE, "T1w"):
                name = trees.preprocessed(stem, form=f"space-{space}_desc-preproc").removesuffix(".gz")
                trees.plant(tmp_path, [name, name.replace("desc-preproc_bold", "label-brain_mask")])
        rest = f"sub-01_ses-{session}_task-rest"
        trees.plant(tmp_path, [f"{trees.func(rest)}/{rest}_bold.nii", trees.preprocessed(rest)])
    trees.state_tr(tmp_path, "nback", 2.5)
    trees.sound(tmp_path, "tale.wav")
    trees.tell(tmp_path / "task-nback_events.tsv")
    found = find_bids(tmp_path, "nback")
    assert found.facts.tr == Fraction(5, 2) and found.problems == [] and found.facts.runs[0].n_trs == 24
    assert chosen(found, "01") == ["sub-01_ses-01_task-nback_run-01"]
    assert [note.split()[0][11:] for note in found.notes] == [
        "ses-01_task-nback_run-02"[4:],
        "ses-02_task-nback_run-01"[4:],
        "ses-02_task-nback_run-02"[4:],
    ]
    # The nearer table counts: the session's before the subject's before the data set's.
    trees.tell(tmp_path / "sub-01" / "sub-01_task-nback_events.tsv", [(10, 50, "story", "tale.wav")])
    assert find_bids(tmp_path, "nback").scans["01"][0].first_volume == 4
    trees.tell(
        tmp_path / "sub-01/ses-01/sub-01_ses-01_task-nback_run-1_events.tsv", [(20, 50, "story", "tale.wav")]
    )
    assert find_bids(tmp_path, "nback").scans["01"][0].first_volume == 8
    trees.plant(tmp_path / "sub-01" / "ses-01", ["sub-01_task-nback_run-1_ses-01_events.tsv"])
    with pytest.raises(UserError, match="are both events of sub-01_ses-01_task-nback_run-01; keep one"):
        find_bids(tmp_path, "nback")


def test_side_files_are_merged_key_by_key(tmp_path: Path) -> None:
    stem = "sub-01_task-tale_run-02"
    trees.plant(
        tmp_path, [trees.preprocessed("sub-01_task-tale_run-2"), f"{trees.func(stem)}/{stem}_bold.nii.gz"]
    )
    trees.tell(tmp_path / "task-tale_events.tsv")
    trees.sound(tmp_path, "tale.wav")
    made.write_json(tmp_path / "bold.json", {"RepetitionTime": 3.0})
    made.write_json(tmp_path / "task-tale_bold.json", {"RepetitionTime": 2, "SliceTiming": [0, 0.05, 0.1]})
    made.write_json(tmp_path / trees.func(stem) / f"{stem}_bold.json", {"RepetitionTime": 1.5})
    made.write_json(tmp_path / "task-tale_run-1_bold.json", {"RepetitionTime": 9})
    found = find_bids(tmp_path)
    assert found.facts.tr == made.TR and found.notes == []  # slices within a tenth of a TR
    derived = tmp_path / trees.preprocessed("sub-01_task-tale_run-2").replace(".nii.gz", ".json")
    made.write_json(derived, {"StartTime": 0.75, "SliceTimingCorrected": True})
    [note] = find_bids(tmp_path).notes
    assert note.startswith("sub-01_task-tale_run-2: StartTime moves the clock by 0.75 s")
    assert "0.75 s, the middle" in note
    made.write_json(derived, {"SliceTiming": [0.0, 0.5, 1.0], "SliceTimingCorrected": False})
    [note] = find_bids(tmp_path).notes
    assert "SliceTiming, on average, moves the clock by 0.50 s" in note


@pytest.mark.parametrize(
    ("said", "tr"),
    [
        ({"RepetitionTime": 2}, 2),
        ({"VolumeTiming": [0, 2.5, 5]}, Fraction(5, 2)),
        ({"VolumeTiming": [0, 1, 5]}, None),
    ],
)
def test_a_tr_is_stated_or_the_volumes_are_even(
    tmp_path: Path, said: dict[str, object], tr: Fraction | None
) -> None:
    trees.plant(tmp_path, [trees.preprocessed("sub-01_task-tale")])
    trees.tell(tmp_path / "task-tale_events.tsv")
    made.write_json(tmp_path / "task-tale_bold.json", said)
    if tr is not None:
        assert find_bids(tmp_path).facts.tr == tr
    else:
        with pytest.raises(UserError, match="VolumeTiming says"):
            find_bids(tmp_path)


def test_scans_that_state_other_trs_are_a_problem(tmp_path: Path) -> None:
    trees.plant(tmp_path, [trees.preprocessed(f"sub-0{i}_task-tale") for i in (1, 2)])
    trees.tell(tmp_path / "task-tale_events.tsv")
    trees.sound(tmp_path, "tale.wav")
    trees.state_tr(tmp_path, "tale")
    made.write_json(tmp_path / "sub-02" / "sub-02_task-tale_bold.json", {"RepetitionTime": 2.0})
    assert find_bids(tmp_path).problems == [
        "sub-02_task-tale: its JSON says a RepetitionTime of 2 s, the first scan's 1.5 s; correct one"
    ]


def test_ds000117_has_sessions_and_a_pipeline_without_scans(tmp_path: Path) -> None:
    for subject in ("01", "02"):
        for run in (9, 10):
            stem = f"sub-{subject}_ses-mri_task-facerecognition_run-{run:02d}"
            trees.plant(tmp_path, [f"{trees.func(stem)}/{stem}_bold.nii.gz"])
            trees.plant(tmp_path, [trees.preprocessed(stem.replace("-09", "-9"))])
            trees.tell(
                tmp_path / trees.func(stem) / f"{stem}_events.tsv", [(0, 60, "story", f"run{run}.wav")]
            )
        trees.plant(tmp_path, [f"derivatives/freesurfer/sub-{subject}/ses-mri/anat/mri/T1.mgz"])
    trees.sound(tmp_path, "run9.wav")
    trees.sound(tmp_path, "run10.wav")
    trees.state_tr(tmp_path, "facerecognition", 2)
    found = find_bids(tmp_path)
    assert found.problems == [] and [run.name for run in found.facts.runs] == ["run9", "run10"]


def test_ds210_has_three_echoes_and_one_combined_series(tmp_path: Path) -> None:
    for subject in ("01", "02"):
        for echo in (1, 2, 3):
            stem = f"sub-{subject}_task-cuedSGT_run-01"
            trees.plant(tmp_path, [f"{trees.func(stem)}/{stem}_echo-{echo}_bold.nii.gz"])
            trees.plant(tmp_path, [trees.preprocessed(f"sub-{subject}_task-cuedSGT_run-1_echo-{echo}")])
            made.write_json(
                tmp_path / f"task-cuedSGT_echo-{echo}_bold.json", {"RepetitionTime": 2.0, "EchoTime": echo}
            )
        trees.plant(tmp_path, [trees.preprocessed(f"sub-{subject}_task-cuedSGT_run-1")])
    trees.tell(tmp_path / "task-cuedSGT_events.tsv")
    trees.sound(tmp_path, "tale.wav")
    found = find_bids(tmp_path)
    assert (
        found.problems == [] and found.facts.tr == 2 and chosen(found, "02") == ["sub-02_task-cuedSGT_run-1"]
    )
    (tmp_path / trees.preprocessed("sub-02_task-cuedSGT_run-1")).unlink()
    with pytest.raises(UserError, match="sub-02_task-cuedSGT_run-1 has single echoes and no combined series"):
        find_bids(tmp_path)
    for path in (tmp_path / "derivatives").rglob("sub-02*"):
        if path.is_file():
            path.unlink()
    [problem] = find_bids(tmp_path).problems
    assert problem.startswith("sub-02_task-cuedSGT_run-01_space-")


def test_7t_trt_has_acquisitions(tmp_path: Path) -> None:
    stems = ["sub-01_ses-1_task-rest_acq-fullbrain_run-1", "sub-01_ses-1_task-rest_acq-prefrontal"]
    trees.plant(tmp_path, [f"{trees.func(stem)}/{stem}_bold.nii.gz" for stem in stems])
    trees.plant(tmp_path, [trees.preprocessed(stem) for stem in stems])
    trees.sound(tmp_path, "tale.wav")
    trees.state_tr(tmp_path, "rest", 3)
    trees.tell(tmp_path / "task-rest_acq-prefrontal_events.tsv", [(12, 60, "story", "tale.wav")])
    with pytest.raises(UserError, match="neither sub-01_ses-1_task-rest_acq-fullbrain_run-1_events.tsv nor"):
        find_bids(tmp_path)
    trees.tell(tmp_path / "task-rest_events.tsv", [(9, 60, "story", "tale2.wav")])
    trees.sound(tmp_path, "tale2.wav")
    found = find_bids(tmp_path)
    assert [run.name for run in found.facts.runs] == ["tale2", "tale"] and found.problems == []


def test_ds003_without_sounds_names_what_is_missing(tmp_path: Path) -> None:
    stem = "sub-01_task-rhymejudgment"
    trees.plant(tmp_path, [f"{trees.func(stem)}/{stem}_bold.nii.gz", trees.preprocessed(stem)])
    trees.state_tr(tmp_path, "rhymejudgment", 2)
    rows = [(20 + 2.5 * i, 2, "word") for i in range(20)]
    trees.tell(tmp_path / trees.func(stem) / f"{stem}_events.tsv", rows, "onset\tduration\ttrial_type")
    found = find_bids(tmp_path)
    [problem] = found.silent
    assert problem == "stimuli/rhymejudgment_audio.wav is missing; add the sound of rhymejudgment"
    assert found.problems == [problem]
    assert found.facts.runs[0].n_trs == 25 and found.scans["01"][0].first_volume == 10


@pytest.mark.parametrize(
    "place",
    [
        "derivatives/fmriprep",
        "derivatives/fmriprep-23.2.0",
        "derivatives/fmriprep/fmriprep",
        "derivatives/mine",
        "derivatives",
        "derivatives/preproc/derivatives/fmriprep-1.0",
    ],
)
def test_derivatives_are_found_wherever_they_lie(tmp_path: Path, place: str) -> None:
    trees.plant(
        tmp_path, [trees.preprocessed("sub-01_task-tale", place), "derivatives/freesurfer/sub-01/mri/T1.mgz"]
    )
    trees.tell(tmp_path / "sub-01/func/sub-01_task-tale_events.tsv")
    trees.sound(tmp_path, "tale.wav")
    trees.state_tr(tmp_path, "tale")
    for folder in {tmp_path, tmp_path / "derivatives", tmp_path / place}:
        found = find_study(folder)
        assert found.problems == []
        assert (folder / str(found.facts.runs[0].stimulus)).samefile(tmp_path / "stimuli/tale.wav")


def test_a_pipeline_elsewhere_says_what_it_was_made_from(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    trees.plant(out, ["sub-01/func/" + Path(trees.preprocessed("sub-01_task-tale")).name])
    trees.tell(raw / "sub-01/func/sub-01_task-tale_events.tsv")
    trees.sound(raw, "tale.wav")
    trees.state_tr(raw, "tale")
    with pytest.raises(UserError):
        find_bids(out)
    for said in (
        {"DatasetLinks": {"templateflow": "https://x.org/t", "raw": "../raw"}},
        {"SourceDatasets": [{"URL": "https://doi.org/10.1"}, {"URL": str(raw)}]},
        {"SourceDatasets": [{"URL": raw.as_uri()}]},
    ):
        made.write_json(out / "dataset_description.json", said)
        assert (out / str(find_bids(out).facts.runs[0].stimulus)).samefile(raw / "stimuli/tale.wav")


def test_several_pipelines_are_listed_and_none_is_preferred(tmp_path: Path) -> None:
    for version in ("20.2.7", "23.2.0"):
        trees.plant(tmp_path, [trees.preprocessed("sub-01_task-tale", f"derivatives/fmriprep-{version}")])
    trees.plant(tmp_path, [trees.preprocessed("sub-01_task-recall", "derivatives/other")])
    trees.tell(tmp_path / "task-tale_events.tsv")
    trees.tell(tmp_path / "task-recall_events.tsv")
    trees.state_tr(tmp_path, "tale")
    trees.state_tr(tmp_path, "recall")
    with pytest.raises(
        UserError, match=r"derivatives/fmriprep-20.2.7, derivatives/fmriprep-23.2.0; give one of these"
    ):
        find_bids(tmp_path, "tale")
    assert (
        find_bids(tmp_path, "recall").scans["01"][0].path.is_relative_to(tmp_path / "derivatives" / "other")
    )
    assert find_bids(tmp_path / "derivatives" / "fmriprep-23.2.0").facts.subjects == ["01"]


def test_other_forms_are_no_scans(tmp_path: Path) -> None:
    stem = "sub-01_task-tale"
    forms = ["desc-preproc", f"part-phase_space-{SPACE}_desc-preproc", f"space-{SPACE}_desc-smooth"]
    trees.plant(tmp_path, [trees.preprocessed(stem, form=form) for form in forms])
    trees.plant(
        tmp_path, [f"derivatives/fmriprep/sub-01/func/._{stem}_space-{SPACE}_desc-preproc_bold.nii.gz"]
    )
    with pytest.raises(
        UserError, match="no scans .*_desc-preproc_bold.nii.gz below derivatives; run fMRIPrep"
    ):
        find_bids(tmp_path)
    assert len(list(scans_in(tmp_path / "derivatives" / "fmriprep"))) == 1
    with pytest.raises(UserError, match="no scans"):
        find_study(trees.plant(tmp_path / "raw", [f"sub-01/func/{stem}_bold.nii.gz"]))
    assert pipelines(tmp_path / "raw") == []


def test_a_stimulus_counts_from_stimuli(tmp_path: Path) -> None:
    trees.sound(tmp_path, "audio/tale.wav")
    for named in ("audio/tale.wav", "./audio/tale.wav", "stimuli/audio/tale.wav", "audio\\tale.wav"):
        assert stimulus_file(tmp_path, named, "x") == tmp_path / "stimuli/audio/tale.wav"
    for named in (
        "/stimuli/tale.wav",
        "../tale.wav",
        "audio/../../tale.wav",
        "C:\\tale.wav",
        "https://x.org/a.wav",
    ):
        with pytest.raises(
            UserError, match="x: stim_file .* leads out of stimuli/; give the path within that folder"
        ):
            stimulus_file(tmp_path, named, "x")


def test_sounds_of_one_name_in_two_folders_are_two_stories(tmp_path: Path) -> None:
    for run in (1, 2):
        stem = f"sub-01_task-tale_run-{run}"
        trees.plant(tmp_path, [trees.preprocessed(stem)])
        trees.tell(
            tmp_path / trees.func(stem) / f"{stem}_events.tsv", [(0, 60, "story", f"{'ab'[run - 1]}/x.wav")]
        )
        trees.sound(tmp_path, f"{'ab'[run - 1]}/x.wav")
    trees.state_tr(tmp_path, "tale")
    assert [(run.name, run.stimulus) for run in find_bids(tmp_path).facts.runs] == [
        ("a/x", "stimuli/a/x.wav"),
        ("b/x", "stimuli/b/x.wav"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("code/scan_exclude.json", '{"tale": [1]}'),
        ("code/scan_exclude.json", '{"tale": {"sub-01": 3}}'),
        ("code/event_meta.json", '{"tale": [1, 2]}'),
        ("code/event_meta.json", '{"tale": {"tale": {"onset": 1e400, "duration": 2}}}'),
        ("code/event_meta.json", '{"tale": {"tale": {"onset": 0, "duration": 99999999999}}}'),
        ("code/event_meta.json", '{"tale": {"tale": {"onset": -1, "duration": 9}}}'),
        ("dataset_description.json", "[" * 100_000),
        ("task-tale_bold.json", '{"RepetitionTime": ' + "9" * 5000 + "}"),
        ("task-tale_bold.json", b"\xff\xfe{"),
    ],
)
def test_broken_json_is_one_sentence_about_its_file(tmp_path: Path, name: str, content: str | bytes) -> None:
    trees.plant(tmp_path, [trees.preprocessed("sub-01_task-tale")])
    trees.tell(tmp_path / "task-tale_events.tsv")
    trees.state_tr(tmp_path, "tale")
    path = trees.plant(tmp_path, [name]) / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        find_bids(tmp_path)
    assert "\n" not in str(caught.value)


KEYS = ("sub", "ses", "task", "acq", "dir", "rec", "run", "echo", "part", "space", "res", "desc")
WORDS = st.sampled_from(["01", "1", "10", "tale", "preproc", SPACE, "mag", "", "é", "²", "a b"])
NAMES = st.lists(st.tuples(st.sampled_from(KEYS), WORDS), max_size=6).map(
    lambda parts: "_".join(f"{key}-{value}" for key, value in [("sub", "01"), ("task", "tale"), *parts])
)
CELLS = st.sampled_from(
    ["0", "7.5", "60", "-3", "n/a", "", "1e9", "inf", "nan", "soon", "１", "tale.wav", "../x.wav"]
)
ROWS = st.lists(
    st.tuples(CELLS, CELLS, st.sampled_from(["story", "fixation", "a", "n/a"]), CELLS), max_size=4
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(NAMES, max_size=4),
    rows=ROWS,
    tr=JSON,
    timing=JSON,
    suffix=st.sampled_from(["", "\t", "\r", '"', "\0"]),
)
def test_whatever_lies_there_is_found_or_one_sentence(
    names: list[str], rows: list[tuple[str, ...]], tr: object, timing: object, suffix: str
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fitting = f"space-{SPACE}_desc-preproc"
        trees.plant(folder, [trees.preprocessed("sub-01_task-tale")])
        trees.plant(
            folder, [f"derivatives/fmriprep/sub-01/func/{name}_{fitting}_bold.nii.gz" for name in names]
        )
        path = trees.tell(folder / "task-tale_events.tsv", rows)
        path.write_text(path.read_text().replace("\n", f"{suffix}\n"), encoding="utf-8")
        side = {"RepetitionTime": tr, "StartTime": timing, "VolumeTiming": timing}
        (folder / "task-tale_bold.json").write_text(json.dumps(side))
        trees.sound(folder, "tale.wav")
        try:
            said = find_study(folder).facts.name
        except UserError as error:
            said = str(error)
        assert said and "\n" not in said
