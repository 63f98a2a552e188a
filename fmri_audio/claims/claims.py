"""The research note's claims, how each is tested, and the verdicts that the tests give.

``claims.yml`` lists the claims. Every one names its place in the note, a test and a tolerance; what a test finds is
read from tables of results, or counted here and now by a function of :mod:`fmri_audio.claims.functions`. No verdict
is written down anywhere: change a table and the verdict changes with it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator
from scipy import stats

from fmri_audio.base.documents import load_yaml
from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import PositiveInt, Section, project_root
from fmri_audio.base.words import joined as joined  # fmri_audio.chapters.sweep takes it from here
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.claims import functions
from fmri_audio.claims.functions.registry import Case
from fmri_audio.claims.queries import Evidence, Query, ask, trained_arms_of
from fmri_audio.pages.codec_card import GENUINE
from fmri_audio.sound.recognition import FEWEST_WORDS

HOLDS, FAILS, DEPENDS = "holds", "fails", "depends"
UNDECIDED = "undecided: within its interval"
SIMULATION, UNTESTED = "on simulation only", "not testable here"
UNHELPED = "not testable: training did not help"
VERDICTS = (HOLDS, FAILS, DEPENDS, UNDECIDED, SIMULATION, UNTESTED, UNHELPED)
"""Every verdict there is, in the order of the tables."""

METAS = "Meta's"
"""What weights that Meta released are called."""

REGISTRY = functions.REGISTRY
"""Functions that count what a claim is about, by the name that ``claims.yml`` calls them."""

_COMPARISONS = re.compile(r"(>=|<=|=|>|<)\s*(.+)", re.DOTALL)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")


class Source(Section):
    """Where the note says it: lines of the note, and a few of its words."""

    lines: list[PositiveInt] = Field(min_length=1)
    quote: str = Field(min_length=2, max_length=80)


class Counted(Section):
    """A function of the registry, with its arguments."""

    function: str
    arguments: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_there(self) -> Counted:
        if self.function not in REGISTRY:
            raise ValueError(f"{self.function} is not one of the functions {', '.join(sorted(REGISTRY))}")
        return self


class Reference(Section):
    """An earlier claim, whose outcome is the value."""

    claim: str


def _kind(test: Any) -> str | None:
    keys = test if isinstance(test, dict) else vars(test)
    return next((key for key in ("table", "function", "claim") if key in keys), None)


Test = Annotated[
    Annotated[Query, Tag("table")] | Annotated[Counted, Tag("function")] | Annotated[Reference, Tag("claim")],
    Discriminator(
        _kind, custom_error_type="test", custom_error_message="should have a table, a function or a claim"
    ),
]


def _none_or_some(value: Any) -> Any:
    """Read ``none`` as no tests; an empty list is a slip."""
    if value == []:
        raise ValueError("should not be empty; say none, and why")
    return [] if value == "none" else value


class Claim(Section):
    """One claim of the note and how it is tested.

    ``expect`` is a comparison and a value, such as ``> 20``; ``tolerance`` a number in the unit of the value or a
    share such as ``10 %``, and always to the note's advantage. ``weights: Meta's`` lets only EnCodec's released
    weights decide; what others give is shown beside. ``requires`` names functions that must all say yes.
    ``without`` asks for the same without any brain, which is told beside what brains gave and decides nothing.
    ``repeated: true`` says that the cases repeat one measurement, as seeds do. Then not they decide but the 95 %
    confidence interval of their mean (Student's t): holds or fails with both its ends, and depends in between.
    A case that comes with an interval of its own is as expected, or is not, only with both its ends.
    A share of words that was counted on fewer than :data:`FEWEST_WORDS` words is no case.
    """

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    group: str
    claim: str
    source: Source
    test: Annotated[list[Test], BeforeValidator(_none_or_some)]
    expect: str = ""
    tolerance: float | str = 0.0
    unit: str = ""
    repeated: bool = False
    weights: Literal["any", "Meta's"] = "any"
    requires: list[str] = Field(default_factory=list)
    without: list[Query] = Field(default_factory=list)
    note: str = ""
    why: str = ""

    @model_validator(mode="after")
    def _is_whole(self) -> Claim:
        if not self.test:
            if not self.why or self.expect:
                raise ValueError("a claim without a test should say why, and expects nothing")
            return self
        one = self.expectation  # says what is wrong with it
        if self.repeated and (isinstance(one.value, str) or one.comparison == "="):
            raise ValueError("repeated: should come with an expectation of more or less than a number")
        unknown = sorted(set(self.requires) - set(REGISTRY))
        if unknown:
            raise ValueError(
                f"requires: {unknown[0]} is not one of the functions {', '.join(sorted(REGISTRY))}"
            )
        return self

    @property
    def expectation(self) -> Expectation:
        """What the note expects, ready to be compared."""
        return Expectation.of(self.expect, self.tolerance)


@dataclass(frozen=True)
class Expectation:
    """A comparison with a value; ``slack`` is what the note is given beyond it, in the value's unit."""

    comparison: str
    value: float | str
    slack: float

    @classmethod
    def of(cls, text: str, tolerance: float | str) -> Expectation:
        """Read a comparison such as ``>= 0.8`` or ``= [8, 112]`` and a tolerance such as ``0.5`` or ``10 %``.

        Raises
        ------
        ValueError
            Neither can be understood, or text is compared otherwise than by equality.
        """
        found = _COMPARISONS.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"expect: {text!r} should be a comparison and a value, such as '> 20'")
        comparison, words = found.groups()
        try:
            value: float | str = float(words.replace(",", ""))
        except ValueError:
            value = words
        slack = _slack(tolerance, value)
        if isinstance(value, str) and (comparison != "=" or slack):
            raise ValueError(f"expect: {text!r} is text, which can only be equal, without tolerance")
        return cls(comparison, value, slack)

    def met(self, value: float | str) -> bool:
        """Whether a value is as expected; the tolerance's edge still is."""
        if isinstance(value, str) or isinstance(self.value, str):
            return str(value) == str(self.value)
        if self.comparison == "=":
            return abs(value - self.value) <= self.slack
        if self.comparison in (">", ">="):
            bar = self.value - self.slack
            return value >= bar if self.slack or self.comparison == ">=" else value > bar
        bar = self.value + self.slack
        return value <= bar if self.slack or self.comparison == "<=" else value < bar


def _slack(tolerance: float | str, value: float | str) -> float:
    """Return a tolerance in the unit of the value."""
    if not isinstance(tolerance, str):
        if not (math.isfinite(tolerance) and tolerance >= 0):
            raise ValueError(f"tolerance: {tolerance} should be 0 or more")
        return float(tolerance)
    found = _PERCENT.fullmatch(tolerance.strip())
    if found is None or isinstance(value, str):
        raise ValueError(f"tolerance: {tolerance!r} should be a number, or a share of one such as '10 %'")
    return float(found[1]) / 100 * abs(value)


def load(path: Path | None = None) -> list[Claim]:
    """Read the claims.

    Raises
    ------
    UserError
        Not YAML, an unknown key, an entry that makes no sense, an id that comes twice, or a reference to a claim
        that does not stand before it.
    """
    path = path or project_root() / "claims.yml"
    entries = load_yaml(path, "mend it or restore it with git", path.name)
    if not isinstance(entries, list):
        raise UserError(f"{path.name}: should be a list of claims, each beginning with “- id:”")
    claims: list[Claim] = []
    for number, entry in enumerate(entries, 1):
        claim = _claim(entry, number, path.name)
        before = {one.id for one in claims}
        if claim.id in before:
            raise UserError(f"{path.name}: the id {claim.id} comes twice; give each claim its own")
        for test in claim.test:
            if isinstance(test, Reference) and test.claim not in before:
                raise UserError(
                    f"{path.name}: {claim.id} refers to {test.claim}, which is no claim before it"
                )
        claims.append(claim)
    return claims


def _claim(entry: Any, number: int, file: str) -> Claim:
    try:
        return Claim.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        name = entry.get("id", f"entry {number}") if isinstance(entry, dict) else f"entry {number}"
        # The third part of a test's place is the kind of test, which is no key.
        key = ".".join(
            str(part) for place, part in enumerate(first["loc"]) if place != 2 or first["loc"][0] != "test"
        )
        what = str(first["msg"]).removeprefix("Value error, ")
        what = "is not a key of a claim" if first["type"] == "extra_forbidden" else what
        raise UserError(f"{file}: {name}{f', {key}' if key else ''}: {what}") from None


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes
    ----------
    claim : Claim
    verdict : str
        One of :data:`VERDICTS`.
    outcome : str
        holds, fails, depends or undecided: the same, but for claims on simulated brains; empty where nothing was
        tested.
    cases : tuple of Case
        What decided, each with its number.
    beside : tuple of Case
        What was found but does not count: with weights that the claim is not about, or by arms not yet trained.
    without : tuple of Case
        What is so without any brain already; it does not count either.
    why : str
        Why it could not be tested.
    """

    claim: Claim
    verdict: str
    outcome: str = ""
    cases: tuple[Case, ...] = ()
    beside: tuple[Case, ...] = ()
    without: tuple[Case, ...] = ()
    why: str = ""

    @property
    def expected(self) -> str:
        """What the note expects, in words."""
        if not self.claim.test:
            return "–"
        one = self.claim.expectation
        sign = {"=": "", ">=": "≥ ", "<=": "≤ "}.get(one.comparison, f"{one.comparison} ")
        given = self.claim.tolerance if isinstance(self.claim.tolerance, str) else number(one.slack)
        return f"{sign}{number(one.value)} {self.claim.unit}".strip() + (
            f" (tolerance {given})" if one.slack else ""
        )

    @property
    def measured(self) -> str:
        """What was found, in words: every case with its number, those that are alike together."""
        if not self.cases:
            return self.why
        if self.claim.repeated:
            return f"{_listed(self.cases, self.claim.unit)}; {_mean(self.cases, self.claim.unit)}"
        if self.outcome != DEPENDS:
            return _listed(self.cases, self.claim.unit)
        parts = {"holds": True, "fails": False, "undecided": None}
        told = {
            name: [case for case in self.cases if _settled(case, self.claim.expectation) is outcome]
            for name, outcome in parts.items()
        }
        return "; ".join(
            f"{name}: {_listed(cases, self.claim.unit)}" for name, cases in told.items() if cases
        )

    @property
    def aside(self) -> str:
        """What was found besides and does not count, in words; empty if nothing was."""
        return f"weights {whose(self.beside)}: {_listed(self.beside, self.claim.unit)}" if self.beside else ""

    @property
    def basis(self) -> str:
        """From which table or function, whose weights, which brains."""
        parts = list(dict.fromkeys(case.basis for case in self.cases))
        if names := whose(self.cases):
            parts.append(f"weights: {names}")
        if brains := sorted({case.brains for case in self.cases if case.brains}):
            parts.append(", ".join(brains))
        return "; ".join(parts) or "–"


def evaluate(claims: Iterable[Claim], evidence: Evidence) -> list[Verdict]:
    """Test claims on tables of results, in their order.

    Raises
    ------
    UserError
        A query names a metric or a column that its table does not have.
    """
    verdicts: dict[str, Verdict] = {}
    for claim in claims:
        verdicts[claim.id] = _judge(claim, evidence, verdicts)
    return list(verdicts.values())


def _judge(claim: Claim, evidence: Evidence, earlier: Mapping[str, Verdict]) -> Verdict:
    if not claim.test:
        return Verdict(claim, UNTESTED, why=claim.why)
    for test in claim.test:
        if isinstance(test, Reference) and not earlier[test.claim].outcome:
            return Verdict(claim, UNTESTED, why=f"it rests on {test.claim}, which is not testable here")
    found = [case for test in claim.test for case in _cases(test, claim, evidence, earlier)]
    known = [case for case in found if isinstance(case.value, str) or math.isfinite(case.value)]
    few = [case for case in known if case.said is not None and not case.said >= FEWEST_WORDS]
    defined = [case for case in known if case not in few]
    if lacking := [
        case for name in claim.requires for case in REGISTRY[name](evidence) if case.value != "yes"
    ]:
        return Verdict(claim, UNTESTED, beside=tuple(defined), why=f"{lacking[0].label}: {lacking[0].value}")
    if why := _without_help(claim, evidence):
        return Verdict(claim, UNHELPED, beside=tuple(defined), why=why)
    decides = [case for case in defined if claim.weights != METAS or is_metas(case.weights)]
    beside = tuple(case for case in defined if case not in decides)
    if few and not decides:
        return Verdict(
            claim, UNTESTED, beside=beside, why=f"fewer than {FEWEST_WORDS} words: {_counts_of(few)}"
        )
    if not decides:
        missing = "is undefined on this sound" if found and not defined else "is not in this edition's tables"
        return Verdict(claim, UNTESTED, beside=beside, why=f"what it takes {missing} ({_wanted(claim)})")
    settled: list[bool | None]
    if claim.repeated:
        settled = [claim.expectation.met(value) for value in _interval(decides)]
    else:
        settled = [_settled(case, claim.expectation) for case in decides]
    outcome = _outcome(settled)
    simulated = any(case.brains == "simulated brains" for case in decides)
    without = tuple(case for query in claim.without for case in ask(query, evidence, claim.id))
    return Verdict(claim, SIMULATION if simulated else outcome, outcome, tuple(decides), beside, without)


def _settled(case: Case, expectation: Expectation) -> bool | None:
    """Whether a case is as expected; None where its interval holds both, or where another claim is undecided."""
    if case.value == UNDECIDED:
        return None
    if case.low is None or case.high is None:
        return expectation.met(case.value)
    if math.isnan(case.low) or math.isnan(case.high):
        return None
    ends = {expectation.met(case.low), expectation.met(case.high)}
    return ends.pop() if len(ends) == 1 else None


def _outcome(settled: Sequence[bool | None]) -> str:
    """What cases come to together."""
    alone = {True: HOLDS, False: FAILS, None: UNDECIDED}
    return alone[settled[0]] if len(set(settled)) == 1 else DEPENDS


def _counts_of(cases: Sequence[Case]) -> str:
    """Say on how many words cases were counted."""
    counts = {
        case.label: "an unknown number" if math.isnan(case.said or 0) else f"{case.said:g}" for case in cases
    }
    return "; ".join(f"{label}, {count}" for label, count in counts.items())


def _without_help(claim: Claim, evidence: Evidence) -> str:
    """Say of which trained arms a claim speaks that training did not help on validation sound; empty if of none.

    An arm that was not compared has not been helped either, as far as is known.
    """
    queries = [test for test in claim.test if isinstance(test, Query) and test.table == "metrics"]
    arms = dict.fromkeys(arm for query in queries for arm in trained_arms_of(query, evidence, claim.id))
    failed = [arm for arm in arms if arm not in evidence.helps or not evidence.helps[arm].helped]
    return "; ".join(
        evidence.helps[arm].said
        if arm in evidence.helps
        else f"{ARM_LABELS[arm]}: not compared with its untrained start"
        for arm in failed
    )


def _cases(test: Test, claim: Claim, evidence: Evidence, earlier: Mapping[str, Verdict]) -> list[Case]:
    if isinstance(test, Query):
        return ask(test, evidence, claim.id)
    if isinstance(test, Counted):
        return REGISTRY[test.function](evidence, **test.arguments)
    other = earlier[test.claim]
    # Its outcome, not its verdict: that brains were simulated is said by the case's own field.
    brains = next((case.brains for case in other.cases if case.brains), "")
    weights = tuple(sorted({name for case in other.cases for name in case.weights}))
    return [Case(test.claim, other.outcome, "other claims", weights, brains)]


def _wanted(claim: Claim) -> str:
    """Say which rows a claim's queries look for."""
    queries = [test for test in claim.test if isinstance(test, Query)]
    return "; ".join(
        f"{query.metric} in {query.table} with "
        + ", ".join(f"{key} {value if value is not None else 'empty'}" for key, value in query.where.items())
        for query in queries
    ) or ", ".join(test.function for test in claim.test if isinstance(test, Counted))


def is_metas(weights: Iterable[str]) -> bool:
    """Whether learned weights are the ones that Meta released, and no others."""
    from fmri_audio.codec.checkpoints import RELEASED

    files = {Path(release.file).stem for release in RELEASED.values()}
    named = list(weights)
    return bool(named) and all(name == GENUINE or name in files or "Meta's weights" in name for name in named)


def whose(cases: Iterable[Case]) -> str:
    """Name the learned weights behind cases, Meta's as such; empty where none are."""
    names = sorted({name for case in cases for name in case.weights})
    return " and ".join(dict.fromkeys(METAS if is_metas([name]) else name for name in names))


def _listed(cases: Sequence[Case], unit: str) -> str:
    """Name cases with their values; those with one label give a range."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.label, []).append(case)
    return "; ".join(
        f"{label}: {_range([case.value for case in several], unit)}{_within(several)}"
        for label, several in groups.items()
    )


def _within(cases: Sequence[Case]) -> str:
    """The interval of a single case that has one."""
    low, high = cases[0].low, cases[0].high
    if len(cases) > 1 or low is None or high is None:
        return ""
    if math.isnan(low) or math.isnan(high):
        return " (no interval)"
    if math.isfinite(low) and math.isfinite(high):
        ends = f"{number(low)} to {number(high)}"
    elif math.isfinite(high):
        ends = f"at most {number(high)}"
    else:
        ends = f"at least {number(low)}" if math.isfinite(low) else "open"
    lacking = f"; {cases[0].lacking}" if cases[0].lacking else ""
    return f" ({ends}{lacking})"


def _interval(cases: Sequence[Case]) -> tuple[float, float]:
    """Return the 95 % confidence interval of the mean of numbers, by Student's t; one number leaves all open."""
    values = np.array([float(case.value) for case in cases])
    if len(values) < 2:
        return -math.inf, math.inf
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return float(values.mean() - half), float(values.mean() + half)


def _mean(cases: Sequence[Case], unit: str) -> str:
    if len(cases) < 2:
        return "no interval from one of them"
    low, high = _interval(cases)
    mean = sum(float(case.value) for case in cases) / len(cases)
    return f"mean {number(mean)} {unit}".rstrip() + f", 95 % interval {number(low)} to {number(high)}"


def _range(values: Sequence[float | str], unit: str) -> str:
    texts = list(dict.fromkeys(number(value) for value in values))
    numbers = [value for value in values if not isinstance(value, str)]
    if len(texts) > 1 and len(numbers) == len(values):
        texts = [f"{number(min(numbers))} to {number(max(numbers))}"]
    return f"{', '.join(texts)} {unit}".strip()


def number(value: float | str) -> str:
    """Write a number with as many digits as a reader needs."""
    if isinstance(value, str):
        return value
    whole = value == round(value) or abs(value) >= 1000
    text = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}" if whole else f"{value:.3g}"
    return text.replace("-", "\u2212")


def counts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Return how many claims have each verdict, all verdicts named."""
    found = [one.verdict for one in verdicts]
    return {name: found.count(name) for name in VERDICTS}


def tally(verdicts: Iterable[Verdict]) -> str:
    """Say how many claims have which verdict."""
    of = counts(verdicts)
    return (
        f"{of[HOLDS]} hold, {of[FAILS]} fail, {of[DEPENDS]} depend on what they do not say, {of[UNDECIDED]} lie within "
        f"their intervals, {of[SIMULATION]} could be "
        f"tested on simulated brains only, {of[UNTESTED]} could not be tested here, and {of[UNHELPED]} cannot be, "
        "because training did not help the arms that they are about"
    )


def to_frame(verdicts: Iterable[Verdict]) -> pd.DataFrame:
    """Return verdicts for people to read.

    Returns
    -------
    DataFrame
        One row per claim: ``group``, ``claim``, ``the note`` (lines and words), ``expected``, ``found``, ``verdict``,
        ``rests on`` (table or function, whose weights, which brains, and how it was understood).
    """
    rows = [
        {
            "group": one.claim.group,
            "claim": one.claim.claim,
            "the note": f"{', '.join(map(str, one.claim.source.lines))}: “{one.claim.source.quote}”",
            "expected": one.expected,
            "found": _found(one),
            "verdict": one.verdict,
            "rests on": "; ".join(filter(None, [one.basis.strip("–"), one.claim.note])) or "–",
        }
        for one in verdicts
    ]
    return pd.DataFrame(rows)


def _found(verdict: Verdict) -> str:
    """Say what was found: how a claim came out where its verdict does not, and what did not count."""
    cases_say = verdict.outcome == DEPENDS and not verdict.claim.repeated
    start = (
        f"{verdict.outcome} on simulated brains: " if verdict.verdict == SIMULATION and not cases_say else ""
    )
    aside = f" (does not count: {verdict.aside})" if verdict.aside else ""
    if verdict.without:
        aside += f" (without any brain already: {_listed(verdict.without, verdict.claim.unit)})"
    return f"{start}{verdict.measured}{aside}"
