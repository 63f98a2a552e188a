"""The hand-made annotations of the Sherlock film: 1000 segments, on the scans' clock and on each film's own.

The spreadsheet (``Sherlock_Segments_1000_NN_2017.xlsx``, Chen et al. 2017) counts TRs from 1 through both runs joined,
and those columns are used as they are: they are never shifted. Its seconds are those of each part of the film and
start again at 0 with the second.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd

from fmri_audio.base.documents import read_bytes
from fmri_audio.base.errors import UserError
from fmri_audio.base.tables import read_text

#: What the table calls the spreadsheet's columns; their headings may be padded with blanks.
COLUMNS = {
    "Segment Number": "segment",
    "Start Time (s)": "onset",
    "End Time (s)": "offset",
    "Start Time (TRs, 1.5s)": "first_tr",
    "End Time (TRs, 1.5s)": "last_tr",
}
#: Columns that say what is heard; a spreadsheet may do without, but then its segments have no kind.
HEARD = {"Name - Speaking": "speaker", "Music Presence": "music"}
#: Further columns worth carrying along.
OTHERS = {"Scene Segments": "scene", "Scene Details - A Level": "description", "Location": "location"}
_SHEET_BYTES, _MOST_ROWS, _MOST_COLUMNS = 1 << 26, 50_000, 256


@dataclass(frozen=True)
class Annotations:
    """Segments of a film in several parts.

    Attributes
    ----------
    table : DataFrame
        One row per segment: ``segment``, ``part`` (from 1), ``first_tr`` and ``last_tr`` (as in the spreadsheet: from
        1, both included, in the joined scans; missing where it has none), ``onset`` and ``offset`` (seconds of the
        part), ``joined_onset`` and ``joined_offset`` (seconds of the joined scans; NaN without TRs), and where the
        spreadsheet has them ``speaker``, ``music`` (bool), ``kind``, ``scene``, ``description``, ``location``.
    path : Path
    notes : list of str
        What is odd about the spreadsheet, one phrase each.
    tr : Fraction
        Seconds.
    """

    table: pd.DataFrame
    path: Path
    notes: list[str]
    tr: Fraction

    def segments_of_run(self, first_tr: int) -> pd.DataFrame:
        """The segments of the part that a run plays, as a table of segments of its sound.

        Parameters
        ----------
        first_tr : int
            TR with which the run begins in the joined scans, from 0.

        Returns
        -------
        DataFrame
            ``onset``, ``offset`` (seconds of the part), ``kind``, and speaker, description (of the picture, not what is
            said), scene and location where there are any. Segments that last no time are left out.

        Raises
        ------
        UserError
            No part begins with that TR, or the spreadsheet does not say what is heard.
        """
        lacking = [name for name, column in HEARD.items() if column not in self.table]
        if lacking:
            raise UserError(
                f"{self.path}: {_columns(lacking)} missing, without which no segment has a kind; add it, or give a "
                "table with onset, offset, kind"
            )
        starts = self.table.groupby("part")["first_tr"].min() - 1
        parts = starts.index[starts == first_tr]
        if len(parts) != 1:
            raise UserError(
                f"{self.path}: no part begins with TR {first_tr + 1}, where the run does (they begin with "
                f"{', '.join(str(start + 1) for start in starts)}); give the annotations of this film"
            )
        inside = (self.table["part"] == parts[0]) & (self.table["offset"] > self.table["onset"])
        columns = ["onset", "offset", "kind", "speaker", "description", "scene", "location"]
        kept: pd.DataFrame = self.table.loc[inside, [column for column in columns if column in self.table]]
        return kept.sort_values("onset", kind="stable", ignore_index=True)


def read_annotations(path: Path | str, tr: Fraction = Fraction(3, 2)) -> Annotations:
    """Read the spreadsheet.

    A segment's ``kind`` is ``speech`` where a speaker is named, else ``music`` where music is marked as present, else
    ``ambience``. The spreadsheet marks whole shots, not sounds: a shot of speech holds pauses, 385 of the 698 with
    speech have music under it, and those who sing count as speaking. It says nothing of silence.

    Parameters
    ----------
    path : path
    tr : Fraction
        Seconds per TR of the scans.

    Raises
    ------
    UserError
        The file is missing, no spreadsheet, or lacks a column that is needed; the sentence names all of them.
    """
    path = Path(path)
    raw = _read_sheet(path)
    raw.columns = [str(name).strip() for name in raw.columns]
    raw = raw.loc[:, ~raw.columns.duplicated()]
    missing = [name for name in COLUMNS if name not in raw.columns]
    if missing:
        raise UserError(f"{path}: {_columns(missing)} missing; give the spreadsheet of the film's segments")
    names = {**COLUMNS, **HEARD, **OTHERS}
    table = raw[[name for name in names if name in raw.columns]].rename(columns=names)
    table = _numbers(table, path)
    # Seconds that run backwards are a new part of the film.
    table.insert(1, "part", (table["onset"].diff() < 0).cumsum() + 1)
    part_starts = table.groupby("part")["first_tr"].transform("min") - 1
    for column in ("onset", "offset"):
        joined = table[column] + part_starts.astype(float) * float(tr)
        table[f"joined_{column}"] = joined.where(table["first_tr"].notna())
    for column in {*HEARD.values(), *OTHERS.values()} & set(table.columns):
        table[column] = table[column].fillna("").astype(str).str.strip()
    if set(HEARD.values()) <= set(table.columns):
        table["music"] = table["music"].str.lower() == "yes"
        table["kind"] = np.select([table["speaker"] != "", table["music"]], ["speech", "music"], "ambience")
    return Annotations(table, path, _notes(table), tr)


def _read_sheet(path: Path) -> pd.DataFrame:
    if not path.exists() and not path.is_symlink():
        raise UserError(f"{path} does not exist: give the spreadsheet of the film's segments")
    content = read_bytes(path, _SHEET_BYTES)
    if not content.startswith(b"PK"):
        found = read_text(path)[1] or "text"
        raise UserError(f"{path} cannot be read as a spreadsheet (.xlsx), it is {found}: save it as one")
    try:
        with warnings.catch_warnings():
            # openpyxl warns of formatting that it does not know; nothing of it is used.
            warnings.simplefilter("ignore")
            _check_size(content, path)
            sheet = pd.read_excel(io.BytesIO(content), engine="openpyxl")
    except (UserError, MemoryError):
        raise
    except Exception:
        # What a damaged archive does to the libraries has no common name: errors of zip, XML, dates, indices.
        raise UserError(f"{path} cannot be read as a spreadsheet (.xlsx): save it as one") from None
    return pd.DataFrame(sheet)


def _check_size(content: bytes, path: Path) -> None:
    """Refuse a small file that would grow: pandas makes every row as long as the longest, down to the last."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        grown = sum(part.file_size for part in archive.infolist())
    if grown > _SHEET_BYTES:
        raise UserError(f"{path} unpacks to {grown:,} bytes, which no such spreadsheet does: save it anew")
    sheet = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True).worksheets[0]
    sheet.reset_dimensions()
    for number, row in enumerate(sheet.iter_rows(values_only=True)):
        if number >= _MOST_ROWS or len(row) > _MOST_COLUMNS:
            raise UserError(
                f"{path} has more than {_MOST_ROWS:,} rows or {_MOST_COLUMNS} columns: leave out what is far from "
                "the table"
            )


def _numbers(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Times as numbers; a TR may be missing, a second may not."""
    table = table.copy()
    for column in ("onset", "offset"):
        table[column] = pd.to_numeric(table[column], errors="coerce").astype(float)
        wrong = ~np.isfinite(table[column].to_numpy())
        if wrong.any():
            raise UserError(
                f"{path}, row {int(wrong.argmax()) + 2}: its start and end should be seconds; mend it"
            )
    for column in ("segment", "first_tr", "last_tr"):
        numbers = pd.to_numeric(table[column], errors="coerce").astype(float)
        wrong = (numbers.notna() & ~((numbers % 1 == 0) & (numbers.abs() < _MOST_ROWS * 100))).to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            raise UserError(
                f"{path}, row {row + 2}: {column} {numbers[row]:g} should be a whole number; mend it"
            )
        table[column] = numbers.astype("Int64")
    return table


def _notes(table: pd.DataFrame) -> list[str]:
    """What is odd: segments without TRs, and such that last no time."""
    notes = []
    without = table.loc[table["first_tr"].isna() | table["last_tr"].isna(), "segment"].tolist()
    if without:
        notes.append(f"segments {', '.join(map(str, without))} have no TRs: they lie outside the scans")
    brief = table.loc[table["offset"] <= table["onset"], "segment"].tolist()
    if brief:
        notes.append(f"segments {', '.join(map(str, brief))} last no time: they are not in the sound's table")
    return notes


def _columns(names: Sequence[str]) -> str:
    quoted = " and ".join(repr(name) for name in names)
    return f"the column{'s' if len(names) > 1 else ''} {quoted} {'are' if len(names) > 1 else 'is'}"
