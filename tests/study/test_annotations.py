"""The film's annotations: TRs as they are, seconds that start again, kinds by what the columns say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.study.annotations import read_annotations

COLUMNS = (
    "Segment Number",
    "Start Time (s) ",
    "End Time (s) ",
    "Start Time (TRs, 1.5s)",
    "End Time (TRs, 1.5s)",
    "Name - Speaking",
    "Music Presence ",
)
ROWS = (
    (1, 0, 3, 1, 2, "Ann", "Yes"),
    (2, 3, 6, 3, 4, None, "Yes"),
    (3, 6, 6, 4, 4, None, "No"),
    (4, 6, 9, 5, 6, " ", "No"),
    (5, 9, 10, None, None, "Bob", "No"),
    (6, 0, 2, 7, 8, None, "No"),
    (7, 2, 4, 8, 9, "Bob ", "No"),
)


def write(path: Path, without: tuple[str, ...] = ()) -> Path:
    table = pd.DataFrame(ROWS, columns=list(COLUMNS))
    table.drop(columns=[name for name in COLUMNS if name.strip() in without]).to_excel(path, index=False)
    return path


def test_seconds_start_again_where_the_second_part_does(tmp_path: Path) -> None:
    annotations = read_annotations(write(tmp_path / "a.xlsx"))
    table = annotations.table
    assert table["part"].tolist() == [1, 1, 1, 1, 1, 2, 2]
    assert table["first_tr"].tolist()[:4] == [1, 3, 4, 5] and pd.isna(table["first_tr"][4])
    assert table["joined_onset"].dropna().tolist() == [0, 3, 6, 6, 9, 11]  # part 2 begins with TR 7: 9 s
    assert table["joined_onset"].isna().tolist() == [False] * 4 + [True, False, False]
    assert annotations.notes == [
        "segments 5 have no TRs: they lie outside the scans",
        "segments 3 last no time: they are not in the sound's table",
    ]
    assert table["kind"].tolist() == [
        "speech",
        "music",
        "ambience",
        "ambience",
        "speech",
        "ambience",
        "speech",
    ]


def test_a_run_gets_the_segments_of_its_part(tmp_path: Path) -> None:
    annotations = read_annotations(write(tmp_path / "a.xlsx"))
    second = annotations.segments_of_run(6)
    assert list(second[["onset", "offset", "kind", "speaker"]].itertuples(index=False, name=None)) == [
        (0, 2, "ambience", ""),
        (2, 4, "speech", "Bob"),
    ]
    assert len(annotations.segments_of_run(0)) == 4
    with pytest.raises(
        UserError, match=r"no part begins with TR 6, where the run does .they begin with 1, 7"
    ):
        annotations.segments_of_run(5)


def test_columns_that_are_missing_are_all_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", without=("End Time (s)", "Start Time (TRs, 1.5s)"))
    with pytest.raises(
        UserError, match=r"the columns 'End Time .s.' and 'Start Time .TRs, 1.5s.' are missing; give"
    ):
        read_annotations(path)
    silent = read_annotations(write(tmp_path / "b.xlsx", without=("Music Presence",)))
    assert "kind" not in silent.table
    with pytest.raises(
        UserError, match="the column 'Music Presence' is missing, without which no segment has a kind"
    ):
        silent.segments_of_run(0)


def test_what_is_no_spreadsheet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.xlsx").write_text("no spreadsheet")
    with pytest.raises(UserError, match="text.xlsx cannot be read as a spreadsheet"):
        read_annotations(tmp_path / "text.xlsx")
    with pytest.raises(UserError, match="none.xlsx does not exist"):
        read_annotations(tmp_path / "none.xlsx")
    table = pd.DataFrame([("x", "soon", 3, 1, 2)], columns=list(COLUMNS[:5]))
    table.to_excel(tmp_path / "words.xlsx", index=False)
    with pytest.raises(UserError, match="words.xlsx, row 2: its start and end should be seconds"):
        read_annotations(tmp_path / "words.xlsx")


def test_the_real_spreadsheet(shared_data: Path) -> None:
    path = shared_data / "sherlock-annotations" / "Sherlock_Segments_1000_NN_2017.xlsx"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    annotations = read_annotations(path)
    table = annotations.table.set_index("segment")
    assert len(table) == 1000 and table["part"].value_counts().to_dict() == {1: 482, 2: 518}
    assert annotations.notes[0] == "segments 481, 482 have no TRs: they lie outside the scans"
    assert (table.loc[1, "first_tr"], table.loc[1000, "last_tr"]) == (1, 1976)  # as they are
    assert (table.loc[483, "first_tr"], table.loc[483, "onset"], table.loc[483, "joined_onset"]) == (
        947,
        0,
        946 * 1.5,
    )
    # TRs and seconds tell the same: the rounding of whole seconds and of whole TRs apart.
    known = table.dropna(subset="first_tr")
    assert (known["joined_onset"] / 1.5 - (known["first_tr"].astype(float) - 1)).abs().max() < 0.5
    assert table["kind"].value_counts().to_dict() == {"speech": 698, "music": 205, "ambience": 97}
    assert ((table["kind"] == "speech") & table["music"]).sum() == 385
    assert annotations.segments_of_run(946)["onset"].iloc[0] == 0
