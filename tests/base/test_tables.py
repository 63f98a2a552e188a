"""Tables of segments as programs save them: every encoding and line end, and everything that is none."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmri_audio.base.errors import UserError
from fmri_audio.base.tables import read_table
from fmri_audio.sound.segments import read_segments
from fmri_audio.study.annotations import COLUMNS, HEARD, read_annotations

ROWS = [
    (0.0, 1.5, "speech", "café"),
    (1.5, 2.25, "music", ""),
    (2.25, 4.0, "speech", "two words"),
    (4.0, 5.0, "silence", ""),
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "BOM utf-16-be"]
Interval = tuple[float, float, str]


def encoded(text: str, encoding: str) -> bytes:
    mark, _, name = encoding.rpartition(" ")
    return ("\ufeff" + text if mark else text).encode(name)


def written(folder: Path, content: bytes | str, name: str = "a.tsv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    said = str(caught.value)
    assert "\n" not in said and path.name in said and len(said) < 400 + len(str(path)), said
    return said


def value_or_sentence(read: Callable[[Path], object], path: Path) -> None:
    try:
        read(path)
    except UserError:
        refused(read, path)


@settings(max_examples=80, deadline=None)
@given(
    encoding=st.sampled_from(ENCODINGS),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    separator=st.sampled_from("\t,;"),
    trailing=st.lists(st.integers(0, 3), min_size=5, max_size=5),
    blank=st.integers(0, 2),
    last=st.booleans(),
)
def test_a_table_is_the_same_however_it_was_saved(
    tmp_path_factory: pytest.TempPathFactory,
    encoding: str,
    end: str,
    separator: str,
    trailing: list[int],
    blank: int,
    last: bool,
) -> None:
    rows = [("onset", "offset", "kind", "text"), *ROWS]
    lines = [
        separator.join(map(str, row)) + separator * more for row, more in zip(rows, trailing, strict=True)
    ]
    text = (end * (1 + blank)).join(lines) + (end if last else "")
    found = read_segments(written(tmp_path_factory.mktemp("saved"), encoded(text, encoding)))
    assert list(found.itertuples(index=False, name=None)) == ROWS
    assert list(found.columns) == ["onset", "offset", "kind", "text"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("onset\toffset\tkind\n0\t1\tspeech\tmore\n", "line 2: not a row .*4 cells, where the header has 3"),
        (
            "onset\toffset\tkind\n\n0\t1\tspeech\n\n1\t1\tmusic\n",
            "line 5: onset and offset should be seconds",
        ),
        ("onset\toffset\tkind\n0\tinf\tspeech\n", "line 2: onset and offset should be seconds"),
        ("onset\toffset\tkind\nnan\t1\tspeech\n", "line 2: onset and offset should be seconds"),
        ("onset\toffset\tkind\nFalse\tTrue\tspeech\n", "line 2: onset and offset should be seconds"),
        ("onset;offset;kind\n0,5;1,5;speech\n", "line 2: onset and offset should be seconds"),
        ("onset\toffset\tkind\n0\t1\n", "line 2: kind '' should be one of"),
        ("onset\toffset\tonset\tkind\n", "the column 'onset' is there twice"),
        (
            'onset\toffset\tkind\ttext\n0\t1\tspeech\t"open\n1\t2\tmusic\tso"\n',
            "line 3: .*quotation mark is left open",
        ),
        (
            'onset\toffset\tkind\ttext\n0\t1\tspeech\t"open\n',
            "line 3: not a row of a table|line 2: not a row",
        ),
        ("\n \n", "it is empty"),
        ("onset\toffset\tkind\n0\t1\tspee\0ch\n", "is no text"),
        (b"onset\toffset\tkind\ttext\n0\t1\tspeech\tcaf\xe9\n", "save it as UTF-8"),
        ("1\n00:00:01,000 --> 00:00:02,500\nHello.\n", r"is subtitles \(SRT\)"),
        ("1\r\n00:00:01,000 --> 00:00:02,500\r\nHello.\r\n", r"is subtitles \(SRT\)"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nHello.\n", r"is subtitles \(WebVTT\)"),
        ('<?xml version="1.0"?>\n<ANNOTATION_DOCUMENT AUTHOR="">', "is annotations of ELAN"),
        ("0.000000\t1.500000\tspeech\n", "is a table without a header"),
        ('{"fragments": []}', "is JSON, but not an alignment by Gentle"),
        ("[1, 2", "has no column"),
        ('{"a": ', "line 1: not valid JSON"),
        ("<!DOCTYPE html><html>", "is a web page"),
        (b"PK\x03\x04rest", r"is a spreadsheet \(.xlsx\)"),
        (b"\xd0\xcf\x11\xe0rest", r"\(.xls\)"),
        (b"RIFF....WAVE", "is a sound"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert re.search(said, refused(read_segments, written(tmp_path, text)))


def test_a_pointer_is_named_and_a_folder_refused(tmp_path: Path) -> None:
    assert "datalad get" in refused(read_segments, written(tmp_path, "/annex/objects/MD5-s1--0.tsv\n"))
    assert "cannot be read" in refused(read_segments, tmp_path)
    assert "does not exist" in refused(read_segments, tmp_path / "none.tsv")


def textgrid(tiers: dict[str, list[Interval]], short: bool) -> str:
    """Write a TextGrid as Praat does, with a tier of points in front, which no reader should mind."""

    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0 ",
        "xmax = 9 ",
        "tiers? <exists> ",
    ]
    lines += [f"size = {len(tiers) + 1} ", "item []: ", "    item [1]:", '        class = "TextTier" ']
    lines += [
        '        name = "clicks" ',
        "        xmin = 0 ",
        "        xmax = 9 ",
        "        points: size = 1 ",
    ]
    lines += ["        points [1]:", "            number = 0.5 ", '            mark = "!" ']
    for number, (name, intervals) in enumerate(tiers.items(), 2):
        lines += [
            f"    item [{number}]:",
            '        class = "IntervalTier" ',
            f"        name = {quoted(name)} ",
        ]
        lines += ["        xmin = 0 ", "        xmax = 9 ", f"        intervals: size = {len(intervals)} "]
        for place, (onset, offset, label) in enumerate(intervals, 1):
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {onset} ",
                f"            xmax = {offset} ",
            ]
            lines += [f"            text = {quoted(label)} "]
    if not short:
        return "\n".join(lines) + "\n"
    lines = [line for line in lines if line and not re.match(r" *(item|intervals|points) \[", line)]
    values = [line.partition(" = ")[2] or line for line in lines]
    return "\n".join(value.replace("tiers? ", "").rpartition("size = ")[2].strip() for value in values) + "\n"


WORDS = [
    (0.0, 0.5, ""),
    (0.5, 1.0, "It"),
    (1.0, 1.4, 'was "so"'),
    (1.4, 2.0, "sp"),
    (2.0, 9.0, "= 3 [1] café"),
]
SAID = [(0.5, 1.0, "speech", "It"), (1.0, 1.4, "speech", 'was "so"'), (2.0, 9.0, "speech", "= 3 [1] café")]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_textgrid_is_read_as_what_it_is(tmp_path: Path, encoding: str, short: bool, end: str) -> None:
    text = textgrid({"phones": [(0.5, 0.7, "IH"), (0.7, 1.0, "T")], "words": WORDS}, short).replace("\n", end)
    found = read_segments(written(tmp_path, encoded(text, encoding), "a.TextGrid"))
    assert list(found.itertuples(index=False, name=None)) == SAID


def test_a_tier_of_kinds_says_what_is_heard(tmp_path: Path) -> None:
    tiers = {"what": [(0.0, 2.0, "Music"), (2.0, 3.0, ""), (3.0, 9.0, "speech")], "words": WORDS}
    found = read_segments(written(tmp_path, textgrid(tiers, short=False)))
    assert list(found.itertuples(index=False, name=None)) == [
        (0.0, 2.0, "music", ""),
        (3.0, 9.0, "speech", ""),
    ]


def test_several_speakers_words_are_joined(tmp_path: Path) -> None:
    tiers = {
        "anna - words": [(3.0, 4.0, "no")],
        "anna - phones": [(3.0, 4.0, "n")],
        "ben - words": [(1.0, 2.0, "yes")],
    }
    found = read_segments(written(tmp_path, textgrid(tiers, short=True)))
    assert found["text"].tolist() == ["yes", "no"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            textgrid({"a": WORDS, "b": WORDS}, short=False),
            "which tier says what is heard is not clear .*a, b",
        ),
        (textgrid({}, short=False), "not clear .*none"),
        (textgrid({"words": []}, short=False), "no word in it"),
        (textgrid({"words": WORDS}, short=False)[:-60], "cut off or damaged"),
        (
            textgrid({"words": WORDS}, short=False).replace("size = 5", "size = 99999999999"),
            "cut off or damaged",
        ),
        (
            textgrid({"words": WORDS}, short=False).replace("xmax = 1.0", "xmax = 1e999"),
            "no number of seconds",
        ),
        (textgrid({"words": WORDS}, short=False).replace('"TextGrid"', '"Sound"'), "no TextGrid"),
    ],
)
def test_a_wrong_textgrid_is_refused_by_that_name(tmp_path: Path, text: str, said: str) -> None:
    assert re.search(said, refused(read_segments, written(tmp_path, text, "a.TextGrid")))


def gentle(**change: object) -> dict[str, object]:
    words: list[object] = [
        {"case": "success", "word": "It", "alignedWord": "it", "start": 0.5, "end": 1.0, "phones": []},
        {"case": "not-found-in-audio", "word": "really"},
        {"case": "success", "word": "was", "alignedWord": "was", "start": 1, "end": 1.5},
    ]
    return {"transcript": "It really was", "words": words, **change}


def test_gentles_words_are_speech(tmp_path: Path) -> None:
    found = read_segments(written(tmp_path, json.dumps(gentle()), "align.json"))
    assert list(found.itertuples(index=False, name=None)) == [
        (0.5, 1.0, "speech", "It"),
        (1.0, 1.5, "speech", "was"),
    ]


@pytest.mark.parametrize(
    "words", [3, [3], [], [{"start": "a", "end": 1}], [{"start": True, "end": 2}], [{"start": 1}]]
)
def test_wrong_alignments_are_refused(tmp_path: Path, words: object) -> None:
    refused(read_segments, written(tmp_path, json.dumps(gentle(words=words)), "align.json"))


CELLS = [
    "",
    "0",
    "1.5",
    "-1",
    "1e400",
    "nan",
    "inf",
    "speech",
    "music",
    "kind",
    "onset",
    "é",
    '"',
    "True",
    "x",
]
CELL = st.sampled_from(CELLS)
BASES = [
    b"onset\toffset\tkind\ttext\n0\t1\tspeech\tsaid\n1\t2\tmusic\t\n",
    textgrid({"words": WORDS}, short=False).encode(),
    textgrid({"words": WORDS}, short=True).encode("utf-16"),
    json.dumps(gentle()).encode(),
]


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(CELL, max_size=5), max_size=5),
    names=st.lists(st.sampled_from(["onset", "offset", "kind", "text", ""]), max_size=5),
)
def test_any_table_is_a_value_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], names: list[str]
) -> None:
    path = written(tmp_path_factory.mktemp("any"), "\n".join("\t".join(row) for row in [names, *rows]))
    value_or_sentence(read_segments, path)
    value_or_sentence(lambda one: read_table(one, "a table", ("onset",)), path)


@settings(max_examples=150, deadline=None)
@given(
    base=st.sampled_from(BASES),
    start=st.integers(0, 400),
    length=st.integers(0, 40),
    put=st.binary(max_size=8),
)
def test_any_damage_is_a_value_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, base: bytes, start: int, length: int, put: bytes
) -> None:
    damaged = base[:start] + put + base[start + length :]
    value_or_sentence(read_segments, written(tmp_path_factory.mktemp("damaged"), damaged))


def sheet(rows: list[list[object]], names: list[str] | None = None) -> bytes:
    book = openpyxl.Workbook()
    book.active.append(names or [*COLUMNS, *HEARD])
    for row in rows:
        book.active.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


SHEET = sheet([[1, 0, 10, 1, 7, "Anna", "No"], [2, 10, 12.5, 8, 9, None, "Yes"]])


def test_a_spreadsheet_is_read_and_its_double_column_counts_once(tmp_path: Path) -> None:
    content = sheet([[1, 0, 10, 1, 7, "Anna", "No", 3]], [*COLUMNS, *HEARD, " Segment Number "])
    found = read_annotations(written(tmp_path, content, "a.xlsx")).table
    assert found["segment"].tolist() == [1] and found["kind"].tolist() == ["speech"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (sheet([[1, 0, 10, 1.5, 7, "", ""]]), "row 2: first_tr 1.5 should be a whole number"),
        (sheet([[1, 0, 10, 1e30, 7, "", ""]]), "row 2: first_tr 1e+30 should be a whole number"),
        (sheet([["x" * 9, 0, "soon", 1, 7, "", ""]]), "row 2: its start and end should be seconds"),
        (b"onset\toffset\tkind\n", "cannot be read as a spreadsheet (.xlsx), it is text"),
        (textgrid({"words": WORDS}, short=False).encode(), "it is a TextGrid of Praat"),
        (b"PK\x03\x04 no archive", "cannot be read as a spreadsheet"),
        (SHEET[:-100], "cannot be read as a spreadsheet"),
    ],
)
def test_a_wrong_spreadsheet_is_one_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refused(read_annotations, written(tmp_path, content, "a.xlsx"))


def test_a_spreadsheet_that_would_grow_is_refused_before_it_does(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.cell(1_048_576, 1, "far")
    book.active.cell(1, 16_384, "wide")
    book.save(tmp_path / "far.xlsx")
    assert "more than" in refused(read_annotations, tmp_path / "far.xlsx")
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(1 << 27))
    assert "unpacks to" in refused(read_annotations, tmp_path / "bomb.xlsx")


NUMBERS = st.integers(-5, 10**6) | st.floats(allow_nan=False, allow_infinity=False)
SHEET_CELL = st.none() | st.booleans() | NUMBERS | st.sampled_from(["", "x", "=1/0", "2"])


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.lists(SHEET_CELL, max_size=8), max_size=4))
def test_any_spreadsheet_is_a_value_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[object]]
) -> None:
    def read(path: Path) -> pd.DataFrame:
        return read_annotations(path).segments_of_run(0)

    value_or_sentence(read, written(tmp_path_factory.mktemp("any"), sheet(rows), "a.xlsx"))


@settings(max_examples=60, deadline=None)
@given(start=st.integers(0, len(SHEET)), put=st.binary(min_size=1, max_size=30))
def test_a_damaged_spreadsheet_is_a_value_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, start: int, put: bytes
) -> None:
    damaged = SHEET[:start] + put + SHEET[start + len(put) :]
    value_or_sentence(read_annotations, written(tmp_path_factory.mktemp("damaged"), damaged, "a.xlsx"))
