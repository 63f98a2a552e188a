"""YAML and JSON that people write by hand: read within bounds, and refused with the file and the line.

A document may be hostile or merely wrong: aliases that grow into billions of values, brackets within brackets until the
stack is full, a key that is given twice, a number of a million digits. All of it ends in one sentence, at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import refuse_unfetched

YAML_BYTES = 1 << 20
"""Longest YAML that is read; what people write is a few thousand bytes."""

JSON_BYTES = 1 << 26
"""Longest JSON that is read: an aligner's, for some hours of speech, is a few million bytes."""

DEEPEST = 32
"""Most lists and mappings within one another."""

MOST_VALUES = 200_000
"""Most values of a YAML document, those that aliases repeat counted each time."""

_DIGITS = 25
"""A longer whole number is no count of anything."""


def load_yaml(path: Path | str, remedy: str = "mend it", shown: str | None = None) -> Any:
    """Read a YAML document made of plain values: mappings, lists, text, numbers.

    Parameters
    ----------
    path
        The file.
    remedy
        What to do about one that is wrong.
    shown
        What the sentence calls the file; its path unless given.

    Raises
    ------
    UserError
        It cannot be read or is too long, is no valid YAML, gives a key twice, is nested too deeply, or grows by its
        aliases; the sentence names the file and, where there is one, the line.
    """
    shown = shown or str(path)
    content = read_bytes(path, YAML_BYTES, shown)
    try:
        loader = _Loader(content)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        why = error.problem if isinstance(error, _Refused) else _plain(error)
        raise UserError(f"{shown}{line}: not valid YAML, {why}; {remedy}") from None
    except yaml.reader.ReaderError as error:
        number = content[: error.position].count(b"\n") + 1 if isinstance(error.position, int) else 1
        raise UserError(
            f"{shown}, line {number}: not valid YAML, a character that is no text; save it as UTF-8"
        ) from None
    except (yaml.YAMLError, UnicodeError):
        raise UserError(f"{shown}: not valid YAML, it is no text; save it as UTF-8") from None


def load_json(path: Path | str, remedy: str = "mend it") -> Any:
    """Read a JSON document.

    Raises
    ------
    UserError
        It cannot be read or is too long, is no valid JSON, gives a key twice, is nested too deeply, or holds a number
        that is none (NaN) or too long; the sentence names the file and, where there is one, the line.
    """
    content = read_bytes(path, JSON_BYTES, str(path))
    return parse_json(content, str(path), remedy)


def parse_json(content: bytes, shown: str, remedy: str = "mend it") -> Any:
    """Read a JSON document that was read already; see :func:`load_json`."""
    try:
        text = content.decode(json.detect_encoding(content)).removeprefix("\ufeff")
        return json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise UserError(f"{shown}, line {error.lineno}: not valid JSON ({error.msg}); {remedy}") from None
    except RecursionError:
        raise UserError(f"{shown}: not valid JSON, it is nested too deeply; {remedy}") from None
    except UnicodeError:
        raise UserError(f"{shown}: not valid JSON, it is no text; save it as UTF-8") from None
    except ValueError as error:
        raise UserError(f"{shown}: not valid JSON, {error}; {remedy}") from None


def read_bytes(path: Path | str, most: int, shown: str | None = None) -> bytes:
    """Read a file that a user gives, if it is not longer than such a file can sensibly be.

    Raises
    ------
    UserError
        It is missing, cannot be read, was not fetched, or has more than ``most`` bytes.
    """
    shown = shown or str(path)
    refuse_unfetched(path)
    try:
        with open(path, "rb") as stream:
            content = stream.read(most + 1)
    except FileNotFoundError:
        raise UserError(f"{shown} does not exist: give a file that does") from None
    except OSError as error:
        raise UserError(f"{shown} cannot be read ({error.strerror}): give another file") from None
    except ValueError:
        raise UserError(f"{shown!r} is no name of a file: give another") from None
    if len(content) > most:
        raise UserError(f"{shown} is longer than {most:,} bytes, which no such file is: give another")
    return content


class _Refused(yaml.MarkedYAMLError):
    """Something that YAML allows and people do not write."""

    def __init__(self, problem: str, mark: yaml.Mark | None) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    """PyYAML's loader of plain values, with bounds."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._depth = 0
        self._values: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Count how deep a value lies, and how many it is with those that its aliases repeat."""
        self._depth += 1
        is_alias, mark = self.check_event(yaml.AliasEvent), self.peek_event().start_mark
        if self._depth > DEEPEST:
            raise _Refused(f"it is nested more than {DEEPEST} deep", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(node, yaml.CollectionNode) and is_alias and id(node) not in self._values:
            raise _Refused("an alias refers to what it is part of", mark)
        if isinstance(node, yaml.CollectionNode) and not is_alias:
            parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
            self._values[id(node)] = 1 + sum(self._values.get(id(part), 1) for part in parts)
            if self._values[id(node)] > MOST_VALUES:
                raise _Refused(f"its aliases grow to more than {MOST_VALUES:,} values", mark)
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Turn what a value cannot be made of into an error with a line."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, OverflowError, AttributeError, LookupError):
            raise _Refused(f"{_short(node)} is no value of its kind", node.start_mark) from None

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that is there twice; one that is merged in (``<<``) may be given anew."""
        if isinstance(node, yaml.MappingNode):
            seen: set[tuple[str, str]] = set()
            for key, _ in node.value:
                name = (key.tag, str(key.value))
                if isinstance(key, yaml.ScalarNode) and name in seen:
                    raise _Refused(f"the key {_short(key)} is there twice", key.start_mark)
                seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_yaml_map(self, node: Any) -> Any:
        """Check a mapping's keys before PyYAML merges others into them."""
        data: dict[Hashable, Any] = {}
        yield data
        data.update(self.construct_mapping(node))

    def construct_scalar(self, node: Any) -> Any:
        """Refuse text that no file or terminal can hold."""
        text = super().construct_scalar(node)
        if isinstance(text, str) and re.search("[\0\ud800-\udfff]", text):
            raise _Refused(f"{_short(node)} holds a character that is no text", node.start_mark)
        return text

    def construct_yaml_int(self, node: Any) -> int:
        """Refuse a whole number that would take long to read."""
        if len(node.value) > _DIGITS:
            raise _Refused(f"the number {_short(node)} is too long", node.start_mark)
        return int(super().construct_yaml_int(node))


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_yaml_map)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _short(node: yaml.Node) -> str:
    """Return a value as a sentence can hold it."""
    text = node.value if isinstance(node.value, str) else "a list or a mapping"
    return text if len(text) <= 40 and text.isprintable() else ascii(text)[1:40] + "…"


def _plain(error: yaml.MarkedYAMLError) -> str:
    """Return what PyYAML found, on one line, a tab by its name."""
    problem = " ".join((error.problem or "something is wrong").split())
    return "a tab where only blanks may stand" if r"'\t'" in problem else problem


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {ascii(twice)[:40]} is there twice")
    return found


def _integer(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"the number {text[:20]}… is too long")
    return int(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")
