"""Parts of one kind, each in a file of its own in one folder: a part is added by adding its file.

Nothing imports the files by name. They are found in the folder when the parts are first asked for, so no import leads
to a part, and a result names those that it uses in its fingerprint (:meth:`Registry.modules`).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar


class Part(Protocol):
    """What every registered part says of itself."""

    name: str
    """In tables and settings."""

    label: str
    """As a reader knows it."""

    place: int
    """Where it comes among its kind."""


P = TypeVar("P")


class Registry(Mapping[str, P], Generic[P]):
    """Parts by name, in the order of their places.

    Parameters
    ----------
    package : str
        Dotted name of the folder; every module in it is imported when the parts are first asked for.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self._parts: dict[str, P] = {}
        self._modules: dict[str, str] = {}
        self._looked_at: set[str] = set()

    def register(self, part: P, module: str) -> P:
        """Enter a part, known by its ``name``, that the module of a dotted name holds.

        Raises
        ------
        ValueError
            Another module has a part of this name.
        """
        name = str(part.name)  # type: ignore[attr-defined]
        if self._modules.get(name, module) != module:
            raise ValueError(f"{module}: {name!r} is a part of {self._modules[name]} already")
        self._parts[name], self._modules[name] = part, module
        return part

    def __getitem__(self, name: str) -> P:
        self._look()
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        self._look()
        return iter(sorted(self._parts, key=lambda name: (self._parts[name].place, name)))  # type: ignore[attr-defined]

    def __len__(self) -> int:
        self._look()
        return len(self._parts)

    def modules(self, names: Iterator[str] | list[str] | tuple[str, ...] | None = None) -> list[str]:
        """Return the dotted names of the modules that hold parts, of all unless some are named."""
        return [self._modules[name] for name in (self if names is None else names) if name in self]

    def said(self, attribute: str) -> Mapping[str, Any]:
        """What parts say of themselves under an attribute, such as ``label``, by their names; always up to date."""
        return _Said(self, attribute)

    def _look(self) -> None:
        """Import the modules of the folder that have not been imported yet."""
        folder = importlib.import_module(self.package).__path__
        for found in pkgutil.iter_modules(folder):
            if found.name not in self._looked_at:
                self._looked_at.add(found.name)
                importlib.invalidate_caches()
                importlib.import_module(f"{self.package}.{found.name}")


class _Said(Mapping[str, Any]):
    """A view of a registry: name of the part → one of its attributes."""

    def __init__(self, registry: Registry[Any], attribute: str) -> None:
        self._registry, self._attribute = registry, attribute

    def __getitem__(self, name: str) -> Any:
        return getattr(self._registry[name], self._attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry)

    def __len__(self) -> int:
        return len(self._registry)
