"""Editions: every bad key is refused by its name."""

from __future__ import annotations

import math
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import Settings, dump_settings, edition_names, load_settings, project_root


def write(folder: Path, **values: Any) -> Path:
    path = folder / "mine.yml"
    path.write_text(yaml.safe_dump({"edition": "mine", **values}), encoding="utf-8")
    return path


TRS = {"lebel": Fraction(2), "little-prince": Fraction(2), "smn4lang": Fraction(71, 100)}
"""Editions of data sets whose TR is another."""


@pytest.mark.parametrize("name", edition_names())
def test_every_edition_in_config_is_valid(name: str) -> None:
    settings = load_settings(name)
    assert settings.edition == name
    assert settings.tr == TRS.get(name, Fraction(3, 2))
    width = max(settings.training.lag_trs) - min(settings.training.lag_trs) + 1
    assert settings.training.gap_trs >= width + 12 / settings.tr, "as long as the lag window and the response"


def test_all_editions_are_listed() -> None:
    assert {"demo", "sherlock", "smoke", "narratives", "sherlock-raw", "music-genres", *TRS} <= set(
        edition_names()
    )


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"training": {"stepz": 3}}, "training.stepz is not a setting (did you mean training.steps?)"),
        ({"bandwith": 3}, "bandwith is not a setting (did you mean bandwidths?)"),
        ({"zzz": 3}, "zzz is not a setting"),
        ({"seed": "one"}, "seed: should be a valid integer, not 'one'"),
        ({"seed": 1.5}, "seed: should be a valid integer, not 1.5"),
        ({"seed": -1}, "seed: should be greater than or equal to 0, not -1"),
        ({"tr": "fast"}, "tr: should be a number such as 1.5 or 3/2"),
        ({"tr": 0}, "tr: should be greater than 0"),
        ({"windows": {"seconds": 31}}, "windows.seconds: should be less than or equal to 30, not 31"),
        ({"mel": {"n_mels": 0}}, "mel.n_mels: should be greater than 0, not 0"),
        ({"mel": {"n_fft": 512, "hop_length": 512}}, "mel.hop_length: 512 should be less than n_fft 512"),
        ({"problem": {"n_fft": [2048, 300]}}, "problem.hop_length: 360 should be less than n_fft 300"),
        ({"bandwidths": "most"}, "bandwidths: should be"),
        ({"bandwidths": []}, "bandwidths: "),
        ({"bandwidths": [6, 6]}, "bandwidths: should not name a bandwidth twice"),
        ({"bandwidths": [1.5, 3]}, "main_bandwidth: 6 should be one of the bandwidths listed"),
        ({"bandwidths": [1.5, -3]}, "bandwidths.1: should be greater than 0, not -3"),
        ({"stimulus": "play"}, "stimulus: should be"),
        ({"stimulus": {"source": {"1": 3}}}, "stimulus.source: should be a path, or one per run such as"),
        ({"stimulus": {"source": ["a.wav"]}}, "stimulus.source: should be a path, or one per run such as"),
        (
            {"study": {"trs": [946, 27]}},
            "study.trs: [946, 27] should be the first and the last TR, such as [27, 946]",
        ),
        ({"study": {"trs": [27]}}, "study.trs: [27] should be the first and the last TR"),
        ({"study": {"trs": [0, 946]}}, "study.trs.0: should be greater than 0, not 0"),
        ({"study": {"tasks": "pieman"}}, "study.tasks is not a setting (did you mean study.task?)"),
        ({"stimulus": {"first_tr": -1}}, "stimulus.first_tr: should be greater than or equal to 0"),
        ({"edition": "a/b"}, "edition: "),
        ({"codec": True}, "codec: should be a valid string, not True"),
        (
            {"study": {"variant": "weak"}},
            "study.variant: should be 'matched', 'null', 'null-shared' or 'strong'",
        ),
        ({"study": {"voxels": "big"}}, "study.voxels: should be 'smooth', 'between' or 'fine'"),
        (
            {"study": {"features": ["mel"]}},
            "study.features.0: should be 'bands', 'envelope', 'modulation' or 'pitch'",
        ),
        ({"study": {"features": ["pitch", "pitch"]}}, "study.features: should not name a family twice"),
        ({"study": {"variant": "null", "strength": 0.2}}, "study.strength: the variant null has no signal"),
        ({"sweep": {"balance": [1]}}, "sweep.balance is not a setting (did you mean sweep.balances?)"),
        (
            {"sweep": {"balances": [0.1, -1.0]}},
            "sweep.balances.1: should be greater than or equal to 0, not -1.0",
        ),
        ({"sweep": {"balances": [0, 0.0]}}, "sweep.balances: should not name anything twice"),
        ({"sweep": {"ranks": [64.5]}}, "sweep.ranks.0: should be a valid integer"),
        ({"sweep": {"units": [500, 63]}}, "sweep.units: 63 should be at least training.rank, 64"),
        ({"sweep": {"arms": []}}, "sweep.arms: "),
        (
            {"sweep": {"arms": ["mel"]}, "training": {"arms": ["frozen", "finetuned"]}},
            "sweep.arms: mel should be one of training.arms, frozen, finetuned",
        ),
        (
            {"sweep": {"bandwidths": [6]}, "training": {"arms": ["frozen", "finetuned"]}},
            "sweep.bandwidths: should be empty, because training.arms leaves the codes arm out",
        ),
    ],
)
def test_bad_values_are_refused_by_name(tmp_path: Path, values: dict[str, Any], sentence: str) -> None:
    path = write(tmp_path, **values)
    with pytest.raises(UserError) as caught:
        load_settings(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {sentence}"), message
    assert "\n" not in message


def test_runs_may_be_named_without_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, stimulus={"source": {1: "a.m4v", "2": "b.m4v"}})
    assert load_settings(path).stimulus.source == {"1": "a.m4v", "2": "b.m4v"}


def test_missing_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nameless.yml"
    path.write_text("seed: 1\n", encoding="utf-8")
    with pytest.raises(UserError, match="edition is missing"):
        load_settings(path)


@pytest.mark.parametrize("text", ["a: [1", "just words", "- a\n- b\n", ""])
def test_files_that_are_no_edition(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="odd.yml"):
        load_settings(path)


def test_unknown_edition_names_those_there_are() -> None:
    with pytest.raises(UserError, match="no edition 'dmo'.*demo.*sherlock.*smoke"):
        load_settings("dmo")
    with pytest.raises(UserError, match="nowhere.yml does not exist"):
        load_settings("nowhere.yml")


def test_overrides_reach_into_sections(tmp_path: Path) -> None:
    path = write(tmp_path, stimulus={"source": "a.wav", "n_trs": 50})
    settings = load_settings(path, {"stimulus.source": "b.wav", "windows": {"n_windows": 2}, "seed": 9})
    assert (settings.stimulus.source, settings.stimulus.n_trs) == ("b.wav", 50)
    assert (settings.windows.n_windows, settings.seed) == (2, 9)


def test_dump_reads_back_equal_and_leaves_unchanged_files_alone(tmp_path: Path) -> None:
    settings = load_settings("demo", {"tr": "4/3", "bandwidths": [1.5, 6]})
    path = tmp_path / "out.yml"
    dump_settings(settings, path, ["a note"])
    assert path.read_text(encoding="utf-8").startswith("# a note\n")
    assert load_settings(path) == settings
    before = path.stat().st_mtime_ns
    dump_settings(settings, path, ["a note"])
    assert path.stat().st_mtime_ns == before


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings("demo").seed = 3


def test_project_root_is_found_from_a_folder_below(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = project_root()
    monkeypatch.chdir(root / "config")
    assert project_root() == root
    monkeypatch.chdir(tmp_path)
    assert project_root() == root


@pytest.mark.parametrize(
    ("update", "wrong"),
    [
        ({"arms": ["frozen", "finetuned", "frozen"]}, "arms: should not name an arm twice"),
        ({"arms": ["mel", "frozen"]}, "should name frozen and finetuned"),
        ({"gap_trs": 5}, "gap_trs: 5 should be more than the longest lag, 5"),
        ({"balance": -1.0}, "balance"),
    ],
)
def test_training_settings_that_make_no_sense_are_named(update: dict[str, object], wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        load_settings("demo", {f"training.{key}": value for key, value in update.items()})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tr", "1e400000000"),
        ("tr", "1e99"),
        ("tr", "9" * 5000),
        ("tr", 10**30),
        ("tr", "1/0"),
        ("tr", "-1.5"),
        ("tr", math.nan),
        ("tr", math.inf),
        ("tr", True),
        ("tr", []),
        ("tr", 1500),
        ("tr", "1_5"),
        ("seed", 10**400),
        ("seed", -1),
        ("seed", 1.0),
        ("main_bandwidth", math.inf),
        ("bandwidths", [math.nan]),
        ("stimulus.first_tr", 10**12),
        ("stimulus.n_trs", 10**12),
        ("windows.n_windows", 10**9),
        ("windows.seconds", math.nan),
        ("windows.clip_seconds", math.nan),
        ("mel.n_mels", 10**9),
        ("mel.n_fft", 10**9),
        ("mel.n_iter", 10**9),
        ("problem.n_mels", [10**9]),
        ("problem.n_iter", list(range(1000))),
        ("study.n_subjects", 10**9),
        ("study.shape", [10**6, 1, 1]),
        ("study.shape", [512, 512, 512]),
        ("study.trs", [1, 10**12]),
        ("study.strength", math.nan),
        ("training.steps", 10**12),
        ("training.rank", 10**9),
        ("training.batch_size", 10**9),
        ("training.lag_trs", [10**9]),
        ("training.learning_rate", math.inf),
        ("training.balance", math.inf),
        ("training.segment_seconds", 1e300),
        ("training.cv_folds", 10**9),
        ("sweep.units", [10**9]),
        ("sweep.ranks", [10**9]),
        ("edition", "a" * 1000),
        ("codec", "a" * 10_000),
    ],
)
def test_a_number_that_no_study_has_is_refused_at_once(key: str, value: object) -> None:
    begin = time.monotonic()
    with pytest.raises(UserError) as caught:
        load_settings("demo", {key: value})
    assert key in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize(
    ("written", "exact"), [("4/3", "4/3"), (0.72, "18/25"), ("2e-1", "1/5"), (2, "2"), (" 1.5 ", "3/2")]
)
def test_repetition_times_are_exact(written: object, exact: str) -> None:
    assert load_settings("demo", {"tr": written}).tr == Fraction(exact)


def names_of(model: type[BaseModel], before: str = "") -> list[str]:
    """Every setting by its dotted name, sections too."""
    names = []
    for name, field in model.model_fields.items():
        names.append(before + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += names_of(field.annotation, f"{before}{name}.")
    return names


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 2, 10**9, 10**400, -(10**400)])
    | st.floats()
    | st.text(max_size=8)
    | st.dates(),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), below, max_size=3)
    ),
    max_leaves=6,
)


@given(changes=st.dictionaries(st.sampled_from(names_of(Settings)) | st.text(max_size=5), VALUES, max_size=4))
@hypothesis.example(changes={"[": None})
@hypothesis.example(changes={"": None})
@hypothesis.settings(max_examples=150, deadline=None)
def test_any_values_make_an_edition_or_one_sentence(changes: dict[str, object]) -> None:
    said = ""
    try:
        assert load_settings("smoke", changes).model_dump_json()
    except UserError as error:
        said = str(error)
    assert "\n" not in said and len(said) < 600


KEYS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


@given(raw=st.dictionaries(KEYS, VALUES, max_size=3))
@hypothesis.settings(max_examples=100, deadline=None)
def test_any_document_is_an_edition_or_one_sentence(
    raw: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "any.yml"
    path.write_text(yaml.safe_dump(raw, allow_unicode=True), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_settings(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
