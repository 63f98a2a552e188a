"""What a function that tests a claim returns, what it may look at, and the registry that knows it by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import pandas as pd

YES, NO = "yes", "no"


@dataclass(frozen=True)
class Case:
    """One thing that was counted, measured or tried.

    Attributes
    ----------
    label : what it is, as short as a table's cell needs
    value : number, in the claim's unit, or text
    basis : the table or the function that it comes from
    weights : whose learned weights are behind it
    brains : "simulated brains", "measured brains", or empty where none take part
    said : words said that a share of words was counted on, NaN where nobody knows; None for everything else
    low, high : bounds of the value's 95 % interval, NaN where it has none; None for what needs no interval. Infinite on
        the side to which more training of an arm would move it
    lacking : what an arm lacks to count as trained, where an end is infinite
    """

    label: str
    value: float | str
    basis: str
    weights: tuple[str, ...] = ()
    brains: str = ""
    said: float | None = None
    low: float | None = None
    high: float | None = None
    lacking: str = ""


class Tables(Protocol):
    """What a function may look at besides what it builds itself (see ``claims.Evidence``)."""

    @property
    def metrics(self) -> pd.DataFrame:
        """The edition's own table."""

    @property
    def training(self) -> Mapping[str, Any]:
        """The values glued into chapter 13."""


Value = float | str
Function = Callable[..., list[Case]]
REGISTRY: dict[str, Function] = {}
Counting = Callable[..., dict[str, Value]]


def registered(function: Counting) -> Counting:
    """Enter a function of nothing but its arguments into the registry; it counts once, and returns label → value."""
    return _enter(function, tuple)


def registered_as_heard_by(weights: Callable[[], str]) -> Callable[[Counting], Counting]:
    """Enter a function that runs learned weights, and whose cases say which."""
    return lambda function: _enter(function, lambda: (weights(),))


def registered_on_tables(
    function: Callable[[Tables], dict[str, Value]],
) -> Callable[[Tables], dict[str, Value]]:
    """Enter a function that reads tables into the registry."""
    REGISTRY[function.__name__] = lambda tables: _to_cases(function, function(tables), ())
    return function


def _enter(function: Counting, weights: Callable[[], tuple[str, ...]]) -> Counting:
    once = cache(function)

    def cases(_: Tables, **arguments: str) -> list[Case]:
        return _to_cases(function, once(**arguments), weights())

    REGISTRY[function.__name__] = cases
    return function


def _to_cases(function: Callable[..., Any], values: dict[str, Value], weights: tuple[str, ...]) -> list[Case]:
    return [Case(label, value, f"counted: {function.__name__}", weights) for label, value in values.items()]
