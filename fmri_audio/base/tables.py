"""Tables and other texts that people give: decoded, recognised by their content, and read line by line."""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import Path

import pandas as pd

from fmri_audio.base.documents import read_bytes
from fmri_audio.base.errors import UserError

TABLE_BYTES = 1 << 24
"""Longest table that is read: a row per word of a day's speech is less."""

TEXTGRID, JSON, SPREADSHEET = "a TextGrid of Praat", "JSON", "a spreadsheet (.xlsx)"
"""Kinds of file that a reader may know what to do with."""

_BEGINS: dict[bytes, str] = {
    b"PK\x03\x04": SPREADSHEET,
    b"\xd0\xcf\x11\xe0": "a spreadsheet of the old kind (.xls) or an encrypted one",
    b"\x1f\x8b": "a compressed file (.gz)",
    b"%PDF": "a PDF",
    b"RIFF": "a sound",
    b"OggS": "a sound",
    b"fLaC": "a sound",
    b"ID3": "a sound",
    b"\x89PNG": "a picture",
    b"{\\rtf": "a document of a word processor (.rtf)",
}
"""First bytes of files that are no text, or none to read."""

_LOOKS = (
    (re.compile(r'(File type = )?"ooTextFile'), TEXTGRID),
    (re.compile(r"WEBVTT"), "subtitles (WebVTT)"),
    (re.compile(r"\d+\s*\n\s*\d+:\d\d:\d\d[,.]\d+ --> "), "subtitles (SRT)"),
    (
        re.compile(r"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<ANNOTATION_DOCUMENT", re.DOTALL),
        "annotations of ELAN (.eaf)",
    ),
    (re.compile(r"<(\?xml|!DOCTYPE|html)", re.IGNORECASE), "a web page or XML"),
    (re.compile(r"[{\[]\s*([\"{\[\]}]|$)"), JSON),
    (
        re.compile(r"-?\d+(\.\d+)?\t-?\d+(\.\d+)?\t[^\t\n]*(\n|$)"),
        "a table without a header (Audacity's labels?)",
    ),
)
"""How texts begin."""

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_text(path: Path | str) -> tuple[str, str | None]:
    """Read a text in UTF-8 or UTF-16, with or without a byte order mark, and say what it is other than a table.

    Returns
    -------
    text : str
        Empty for what is no text; lines end as they did.
    kind : str or None
        Such as :data:`TEXTGRID`; None for what may be a table.

    Raises
    ------
    UserError
        It cannot be read, is too long, or is text of another encoding.
    """
    content = read_bytes(path, TABLE_BYTES)
    binary = next((kind for begin, kind in _BEGINS.items() if content.startswith(begin)), None)
    if binary is not None:
        return "", binary
    try:
        text = content.decode(_encoding(content)).removeprefix("\ufeff")
    except UnicodeError:
        raise UserError(f"{path} is no text in UTF-8 or UTF-16: save it as UTF-8") from None
    if "\0" in text:
        raise UserError(f"{path} is no text: give a table, saved as UTF-8")
    begin = text[:1000].lstrip().replace("\r\n", "\n")
    return text, next((kind for look, kind in _LOOKS if look.match(begin)), None)


def parse_table(text: str, path: Path | str, what: str) -> tuple[pd.DataFrame, list[int]]:
    """Read a table with a header, its cells separated by tabs, commas or semicolons.

    Cells left empty at the end of a line are none, and blank lines are no rows.

    Parameters
    ----------
    text, path
        The table, and how to name it.
    what
        What should be there, for the sentence: "a table of segments with onset, offset, kind".

    Returns
    -------
    table : DataFrame
        Missing cells are empty text.
    lines : list of int
        Line of the file at which each row ends, from 1.

    Raises
    ------
    UserError
        There is no header, a column is there twice, a row has more cells than the header, or a quotation mark is
        left open.
    """
    head = text.lstrip().partition("\n")[0].partition("\r")[0]
    separator = max("\t,;", key=head.count)
    rows, lines = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            while row and not row[-1].strip():
                row.pop()
            if any("\n" in cell or "\r" in cell for cell in row):
                raise csv.Error("a quotation mark is left open")
            if row:
                rows.append(row)
                lines.append(reader.line_num)
            if len(row) > len(rows[0] if rows else row):
                raise csv.Error(f"{len(row)} cells, where the header has {len(rows[0])}")
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: not a row of {what} ({error}); mend it") from None
    if not rows:
        raise UserError(f"{path} is not {what}: it is empty")
    header = [name.strip() for name in rows[0]]
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise UserError(f"{path}: the column {twice[0][:40]!r} is there twice; leave one out")
    even = io.StringIO()
    padded = [row + [""] * (len(header) - len(row)) for row in rows[1:]]
    csv.writer(even, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_MINIMAL).writerows(
        [header, *padded]
    )
    even.seek(0)
    return pd.read_csv(even, sep="\t", keep_default_na=False), lines[1:]


def read_table(path: Path | str, what: str, columns: tuple[str, ...]) -> tuple[pd.DataFrame, list[int]]:
    """Read a table that nothing else can stand for; see :func:`read_text` and :func:`parse_table`.

    Raises
    ------
    UserError
        It is something else, or lacks one of the columns.
    """
    text, kind = read_text(path)
    if kind is not None:
        raise UserError(f"{path} is {kind}, not {what}: give a tab-separated table")
    table, lines = parse_table(text, path, what)
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise UserError(f"{path} has no column {missing[0]!r}: give {what}")
    return table, lines


def _encoding(content: bytes) -> str:
    """Return how a text is encoded: by its mark, or because every other byte of UTF-16 is nil in Latin letters."""
    for mark, name in _BOMS.items():
        if content.startswith(mark):
            return name
    begin = content[:2000]
    nil = [begin[i::2].count(0) > len(begin) // 5 for i in (0, 1)]
    return {(True, False): "utf-16-be", (False, True): "utf-16-le"}.get((nil[0], nil[1]), "utf-8")
