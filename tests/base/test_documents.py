"""YAML and JSON by hand: what is right is read as ever, what is hostile is one sentence and takes no time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fmri_audio.base.documents import JSON_BYTES, YAML_BYTES, load_json, load_yaml
from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root

SIMPLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abé: #'\"-\n"),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text("abcé "), below, max_size=4),
    max_leaves=20,
)
LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


def written(folder: Path, content: bytes | str, name: str = "a.yml") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def sentence(read: Any, path: Path) -> str:
    begin = time.monotonic()
    with pytest.raises(UserError) as caught:
        read(path)
    assert time.monotonic() - begin < 3
    said = str(caught.value)
    assert "\n" not in said and path.name in said and len(said) < 400
    return said


@pytest.mark.parametrize(
    "name", ["claims.yml", "book/chapters.yml", "stimulus/script.yml", "config/sherlock.yml"]
)
def test_the_projects_own_are_read_as_by_pyyaml(name: str) -> None:
    path = project_root() / name
    assert load_yaml(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


@settings(max_examples=40, deadline=None)
@given(value=SIMPLE, encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_what_is_plain_comes_back(
    value: Any, encoding: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("plain")
    text = yaml.safe_dump(value, allow_unicode=True)
    assert load_yaml(written(folder, text.encode(encoding))) == yaml.safe_load(text)
    text = json.dumps(value)
    assert load_json(written(folder, text.encode(encoding), "a.json")) == value


def test_anchors_and_merged_keys_stay_possible(tmp_path: Path) -> None:
    text = "base: &base {a: 1, b: 2}\nmine:\n  <<: *base\n  b: 3\nagain: *base\r\n"
    assert load_yaml(written(tmp_path, text)) == {
        "base": {"a": 1, "b": 2},
        "mine": {"a": 1, "b": 3},
        "again": {"a": 1, "b": 2},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "line 7: not valid YAML, its aliases grow"),
        ("a: &a [1, *a]", "line 1: not valid YAML, an alias refers to what it is part of"),
        ("[" * 5000, "nested more than 32 deep"),
        ("- " * 5000 + "x", "nested more than 32 deep"),
        ("\n".join(" " * i + "a:" for i in range(500)), "line 32: not valid YAML, it is nested"),
        ("tr: 1\nseed: 2\ntr: 3\n", "line 3: not valid YAML, the key tr is there twice"),
        ("study:\n  'trs': 1\n  trs: 3\n", "line 3: not valid YAML, the key trs is there twice"),
        ("a: {b: 1, b: 1}", "the key b is there twice"),
        ("a: 1\n\tb: 2\n", "line 2: not valid YAML, a tab where only blanks may stand"),
        ("a: [", "line 1: not valid YAML"),
        ("a: " + "9" * 100_000, "line 1: not valid YAML, the number 99999"),
        ("a: 0x" + "f" * 100_000, "is too long"),
        ("a: 2017-99-99", "line 1: not valid YAML, 2017-99-99 is no value of its kind"),
        ("a: !!int x", "x is no value of its kind"),
        ("a: !!float x", "x is no value of its kind"),
        ("a: !!binary é", "not valid YAML"),
        ("a: !!python/object/apply:os.system [true]", "not valid YAML"),
        ("? [a]\n: b", "not valid YAML"),
        ("a: *nowhere", "not valid YAML"),
        ("--- 1\n--- 2\n", "not valid YAML"),
        ('a: "\\0"', "holds a character that is no text"),
        ('a: "\\ud800"', "holds a character that is no text"),
        (b"a: caf\xe9\nb: 1", "line 1: not valid YAML, a character that is no text; save it as UTF-8"),
        (b"a: 1\nb: \x01", "line 2: not valid YAML, a character that is no text"),
        (b"\xff\xfea\0:", "not valid YAML"),
        (b"a: 1\n" * YAML_BYTES, "is longer than 1,048,576 bytes"),
        ("!!map [1]", "not valid YAML"),
        ("!!set {a, a}", "not valid YAML"),
        ("<<: 3", "not valid YAML"),
    ],
)
def test_hostile_yaml_is_one_sentence(tmp_path: Path, text: bytes | str, said: str) -> None:
    assert said in sentence(load_yaml, written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ('{"a": ' + "9" * 100_000 + "}", "the number 99999999999999999999… is too long"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{\n"a": 1,\n}', "line 3: not valid JSON"),
        ("", "line 1: not valid JSON"),
        (b'{"a": "\xe9"}', "save it as UTF-8"),
    ],
)
def test_hostile_json_is_one_sentence(tmp_path: Path, text: bytes | str, said: str) -> None:
    assert said in sentence(load_json, written(tmp_path, text, "a.json"))


def test_what_is_no_document_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with open(path, "wb") as stream:
        stream.truncate(JSON_BYTES + 1)
    assert "is longer than" in sentence(load_json, path)
    assert "does not exist" in sentence(load_yaml, tmp_path / "b.yml")
    assert "cannot be read" in sentence(load_yaml, tmp_path)
    (tmp_path / "c.yml").write_text("/annex/objects/MD5-s1--00.yml\n")
    assert "datalad get" in sentence(load_yaml, tmp_path / "c.yml")


@settings(max_examples=200, deadline=None)
@given(
    text=st.text("ab:-[]{}&*!|>%@`'\"#,? \n\t0.~<=é\0\x85\ud7ff")
    | st.binary(max_size=60).map(lambda content: content.decode("latin-1"))
)
def test_any_text_is_a_value_or_a_sentence(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    for read, name in ((load_yaml, "a.yml"), (load_json, "a.json")):
        path = written(folder, text, name)
        try:
            read(path)
        except UserError:
            sentence(read, path)
