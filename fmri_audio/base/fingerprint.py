"""What a result was computed with: the code that a module reaches by its imports, and the libraries under it.

Nobody keeps a list of files by hand, so none can be forgotten. The fingerprint of a module is that of its import
closure inside the project, every import counted wherever it stands, in a function too. Code is hashed as its syntax
tree without comments and docstrings: prose changes nothing, and every supported Python finds the same hash.

Parts that a registry finds in a folder (:mod:`fmri_audio.base.registry`) are reached by no import: a result names
those that it really uses.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the package, and in a checkout the programs beside it."""

OURS = ("fmri_audio", "programs")
"""Top-level packages of the project."""


def fingerprint(*modules: str) -> str:
    """Hash all that modules compute with.

    Parameters
    ----------
    modules : str
        Dotted names, such as ``fmri_audio.brain.masks``.

    Returns
    -------
    str
        SHA-256 in hexadecimal of :func:`ingredients`.

    Raises
    ------
    ModuleNotFoundError
        One of them, or what it imports from the project, does not exist.
    """
    return hashlib.sha256("\n".join(ingredients(*modules)).encode()).hexdigest()


def ingredients(*modules: str) -> list[str]:
    """Return a line for every module that these reach, with its hash, and one for every library with its version."""
    reached = closure(*modules)
    libraries = sorted({library for name in reached for library in _imports(name)[1]})
    return [
        *(f"{code_hash(name)}  {name}" for name in reached),
        *(f"{_version(one)}  {one}" for one in libraries),
    ]


def closure(*modules: str) -> list[str]:
    """Return the modules of the project that these reach by imports, themselves and their packages among them."""
    reached: set[str] = set()
    ahead = list(modules)
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += [name.rpartition(".")[0]] if "." in name else []
            ahead += _imports(name)[0]
    return sorted(reached)


def of_source(source: str) -> tuple[list[str], list[str]]:
    """Return the modules of the project that a piece of source imports, and the libraries.

    Raises
    ------
    ValueError
        An import is relative: it cannot be followed without its place.
    """
    modules, libraries = set(), set()
    for node in _executed(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            raise ValueError(f"line {node.lineno}: imports should be absolute")
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            if top not in OURS:
                libraries.add(top)
            elif _path(name) is not None:
                modules.add(name)
            elif name == names[0]:
                raise ModuleNotFoundError(f"line {node.lineno}: there is no module {name}")
    return sorted(modules), sorted(libraries - sys.stdlib_module_names)


@cache
def code_hash(module: str) -> str:
    """Return the SHA-256 of a module's code, as :func:`source_hash` takes it."""
    return source_hash(_source(module))


def source_hash(source: str) -> str:
    """Return the SHA-256 of code without comments, docstrings and layout, the same on every supported Python."""
    return hashlib.sha256("\n".join(_canonical(ast.parse(source))).encode()).hexdigest()


def module_names(top: str) -> list[str]:
    """Return the dotted names of all modules of a top-level package."""
    names = []
    for path in sorted((ROOT / top).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def parts(package: str, names: Iterable[str] | None = None) -> list[str]:
    """Return the modules of a folder of registered parts, without importing them.

    Parameters
    ----------
    package : str
        Dotted name of the folder.
    names : iterable of str, optional
        Only modules that hold a class with one of these as its ``name``.
    """
    found = [name for name in module_names(package.partition(".")[0]) if name.rpartition(".")[0] == package]
    wanted = None if names is None else set(names)
    return [module for module in found if wanted is None or wanted & set(_named(ast.parse(_source(module))))]


def _named(tree: ast.Module) -> Iterator[str]:
    """Values of the attribute ``name`` in the bodies of classes."""
    for node in tree.body:
        for line in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(line, ast.Assign) and [ast.unparse(target) for target in line.targets] == ["name"]:
                yield str(ast.literal_eval(line.value))


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a syntax tree, but not into what only a checker of types reads."""
    ahead: list[ast.AST] = [tree]
    while ahead:
        node = ahead.pop()
        yield node
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) in (
            "TYPE_CHECKING",
            "typing.TYPE_CHECKING",
        )
        ahead += node.orelse if isinstance(node, ast.If) and typing_only else ast.iter_child_nodes(node)


def _canonical(node: object) -> Iterator[str]:
    """Write a syntax tree as text: classes and the fields that say something.

    Versions of Python differ in which empty fields a node has, so empty ones are left out; ``ctx`` follows from the
    place, and ``kind`` is a prefix ``u``.
    """
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for field, value in sorted(ast.iter_fields(node)):
            if isinstance(node, ast.JoinedStr):  # Python 3.12 ends a nested format with an empty string
                value = [part for part in value if not (isinstance(part, ast.Constant) and part.value == "")]
            if field not in ("ctx", "kind", "type_comment", "type_ignores") and value not in (None, []):
                yield field
                yield from _canonical(value)
        yield ")"
    elif isinstance(node, list):
        for item in node:
            # A bare string is prose wherever it stands.
            if not (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)):
                yield from _canonical(item)
    else:
        yield f"{type(node).__name__} {node!r}"


@cache
def _imports(module: str) -> tuple[list[str], list[str]]:
    return of_source(_source(module))


@cache
def _source(module: str) -> str:
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(f"there is no module {module}")
    return path.read_text(encoding="utf-8")


def _path(module: str) -> Path | None:
    """Where a module of the project lies, or a part that was added from elsewhere; None if there is none."""
    place = ROOT.joinpath(*module.split("."))
    added = getattr(sys.modules.get(module), "__file__", None)
    places = [place.with_suffix(".py"), place / "__init__.py", *([Path(added)] if added else [])]
    return next((path for path in places if path.is_file()), None)


@cache
def _version(library: str) -> str:
    """Return the versions of what is installed under an import's name; ``absent`` where nothing is."""
    return " ".join(sorted(set(_versions(_distributions().get(library, ()))))) or "absent"


def _versions(distributions: Iterable[str]) -> Iterator[str]:
    for name in distributions:
        yield f"{name} {importlib.metadata.version(name)}"


@cache
def _distributions() -> dict[str, list[str]]:
    return {name: list(found) for name, found in importlib.metadata.packages_distributions().items()}
