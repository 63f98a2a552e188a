"""Questions to tables of results, as ``claims.yml`` asks them, and the tables that they are put to."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
from pydantic import Field, model_validator

from fmri_audio.base import results
from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import Section, project_root
from fmri_audio.bottleneck.arms import ARMS
from fmri_audio.claims.functions.registry import Case
from fmri_audio.experiments.helped import Help, helps
from fmri_audio.pages.codec_card import SETS
from fmri_audio.sound.scoring import FLOORS, METRIC_NAMES

if TYPE_CHECKING:
    from fmri_audio.edition.edition import Edition

FILES = {
    "metrics": "metrics.csv",
    "quality": "checkpoints/quality.csv",
    "published": "book/published.csv",
    "bench": "results/bench.csv",
}
"""Tables that a query can read; the first is the edition's own."""

TRAINING = "13-matching"
"""The chapter that says whether the arms have converged."""

EVALUATED = ("02-problem", "03-encodec", "04-bandwidths", "05-dataset", TRAINING, "07-evaluation")
"""Chapters whose tables the claims are tested on."""

OF_WORDS = "word"
"""What the names of metrics begin with that are shares of words; ``n`` is then the number of words said."""

_BRAINS = ("measured", "voxel-noise")
_BOTTLENECK = ("noise-free", *_BRAINS)
_SCORED = results.COLUMNS[results.COLUMNS.index("codec") : results.COLUMNS.index("metric") + 1]
"""What two rows are of, whatever chapter wrote them."""
_WORDS = {
    **SETS,
    "finetuned": "fine-tuned",
    "encodec-codes": "codes",
    "encodec-latents": "latents",
    **{name: label.format(kind="speech") for name, label in FLOORS.items()},
}

Value = str | float | None


class Selection(Section):
    """Rows of a table: one metric, and what other columns must say (a list: any of these; null: empty)."""

    table: Literal["metrics", "quality", "published", "bench"]
    metric: str
    where: dict[str, Value | list[Value]] = Field(default_factory=dict)


class Subtrahend(Selection):
    """What a query's values are compared with: the mean of its rows, at the same values of the columns ``paired``."""

    paired: list[str] = Field(default_factory=list)


class Query(Selection):
    """A question to a table: the mean of the rows, one case for every value of the columns ``each`` and all weights.

    A case is ``called`` so, and by its values in ``each``, but for the columns ``unnamed``: cases of one name are
    told together, as a range.
    """

    each: list[str] = Field(default_factory=list)
    unnamed: list[str] = Field(default_factory=list)
    called: str = ""
    minus: Subtrahend | None = None

    @model_validator(mode="after")
    def _splits_by_what_it_names(self) -> Query:
        for name in ("unnamed", "paired"):
            of = self if name == "unnamed" else self.minus
            if other := sorted(set(getattr(of, name, [])) - set(self.each)):
                raise ValueError(f"{name}: {other[0]} is not one of the columns in each")
        return self


@dataclass(frozen=True)
class Evidence:
    """What verdicts are computed from.

    Attributes
    ----------
    edition
        Its name.
    metrics, quality, published, bench
        The tables, one row per value, as :data:`FILES` names them.
    simulated
        Whether the edition's brains are.
    training
        The values glued into chapter 13, which say whether its arms have converged.
    metrics_file
        What the edition's own table is called.
    """

    edition: str
    metrics: pd.DataFrame
    quality: pd.DataFrame
    published: pd.DataFrame
    bench: pd.DataFrame
    simulated: bool
    training: Mapping[str, Any]
    metrics_file: str = FILES["metrics"]

    @classmethod
    def of_tables(
        cls,
        edition: str,
        metrics: pd.DataFrame,
        *,
        simulated: bool,
        training: Mapping[str, Any],
        metrics_file: str,
    ) -> Evidence:
        """Put an edition's tables beside the tracked ones, which do not belong to an edition.

        Raises
        ------
        UserError
            A tracked table is missing.
        """
        root = project_root()
        for name in ("quality", "published", "bench"):
            if not (root / FILES[name]).is_file():
                raise UserError(f"{FILES[name]} does not exist: restore it with git")
        wide = pd.read_csv(root / FILES["quality"]).rename(columns={"kbps": "bandwidth_kbps"})
        wide = wide.rename(columns={"words": "n"})
        same = [name for name in ("set", "codec", "bandwidth_kbps", "recordings", "n") if name in wide]
        quality = wide.melt(same, var_name="metric")
        published, bench = (pd.read_csv(root / FILES[name]) for name in ("published", "bench"))
        return cls(edition, metrics, quality, published, bench, simulated, training, metrics_file)

    @classmethod
    def of_run(cls, run: Edition) -> Evidence:
        """Take the tables that the chapters of an edition at work have written so far.

        Raises
        ------
        UserError
            A chapter has not been executed yet.
        """
        glued = run.build / "results" / "glued" / f"{TRAINING}.json"
        return cls.of_tables(
            run.settings.edition,
            run.records(*EVALUATED),
            simulated=run.study.simulated,
            training=read_glued(glued),
            metrics_file=FILES["metrics"],
        )

    @cached_property
    def helps(self) -> dict[str, Help]:
        """Whether training helped the edition's arms, by their names; those that were not compared are not there."""
        return helps(self.metrics)

    @property
    def brains(self) -> str:
        """What the edition's brains are, to be said wherever they enter."""
        return "simulated brains" if self.simulated else "measured brains"

    def table(self, name: str) -> pd.DataFrame:
        """Return a table by its name in :data:`FILES`."""
        tables = {
            "metrics": self.metrics,
            "quality": self.quality,
            "published": self.published,
            "bench": self.bench,
        }
        return tables[name]

    def file(self, name: str) -> str:
        """Return what a table is called."""
        return self.metrics_file if name == "metrics" else FILES[name]


def read_glued(path: Path) -> dict[str, Any]:
    """Read what a chapter glued into its page; nothing, if it has not been executed."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def ask(query: Query, evidence: Evidence, claim: str) -> list[Case]:
    """Return a query's cases.

    Parameters
    ----------
    query, evidence
        What is asked, of what.
    claim
        Id of the claim that asks, for messages.

    Raises
    ------
    UserError
        The table has no such metric or column.
    """
    rows, asked = _select(query, evidence, claim), list(query.each)
    other = None if query.minus is None else _select(query.minus, evidence, claim)
    cases = []
    for key, part in _split(rows, [*asked, *(["codec"] if "codec" in rows else [])]):
        values = dict(zip(asked, key, strict=False))
        parts = [part] if other is None else [part, _same(other, query.minus, values)]
        if any(one.empty for one in parts):
            continue
        value = float(part["value"].mean()) - (float(parts[1]["value"].mean()) if other is not None else 0.0)
        words = [_named(column, values[column]) for column in asked if column not in query.unnamed]
        label = ", ".join(filter(None, [query.called, *words])) or query.metric
        basis = _basis(query, part, evidence)
        cases.append(
            Case(label, value, basis, _weights(parts), _brains(parts, evidence), _said(query, parts))
        )
    return cases


def trained_arms_of(query: Query, evidence: Evidence, claim: str) -> list[str]:
    """Return the trained arms whose bottleneck a query's rows passed, its subtrahend's too, in the tables' order."""
    selections = [query, *([] if query.minus is None else [query.minus])]
    rows = pd.concat([_select(one, evidence, claim) for one in selections])
    passed = set(rows[rows["condition"].isin(_BOTTLENECK)]["arm"])
    return [arm for arm in ARMS if arm in passed]


def _same(rows: pd.DataFrame, subtrahend: Subtrahend | None, values: Mapping[str, Any]) -> pd.DataFrame:
    """Return those rows of a subtrahend that belong to a case."""
    return (
        results.select(rows, **{column: values[column] for column in subtrahend.paired})
        if subtrahend
        else rows
    )


def _select(selection: Selection, evidence: Evidence, claim: str) -> pd.DataFrame:
    """Return the rows of a selection; each column and the metric must be known to the table."""
    table, file = evidence.table(selection.table), evidence.file(selection.table)
    asked = [*selection.where, *getattr(selection, "each", []), *getattr(selection, "paired", [])]
    if unknown := [column for column in asked if column not in table]:
        columns = ", ".join(map(str, table.columns))
        raise UserError(f"claims.yml: {claim}: {file} has no column {unknown[0]}; choose from {columns}")
    known = set(table["metric"].dropna())
    if selection.metric not in known | (set(METRIC_NAMES) if selection.table == "metrics" else set()):
        raise UserError(
            f"claims.yml: {claim}: {file} has no metric {selection.metric}; choose from {', '.join(sorted(known))}"
        )
    rows = table[table["metric"] == selection.metric]
    rows = results.select(rows, **selection.where)
    return results.once(rows, _SCORED) if selection.table == "metrics" else rows


def _split(rows: pd.DataFrame, each: Sequence[str]) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Return the parts of a table by the values of columns, in ascending order."""
    if not each:
        return [((), rows)] if len(rows) else []
    return [(key, part) for key, part in rows.groupby(list(each), dropna=False, sort=True)]


def _named(column: str, value: Any) -> str:
    """Name the value of a column in a reader's words."""
    units = {
        "bandwidth_kbps": "{:g} kbps",
        "units": "{:g} units",
        "subject": "subject {}",
        "seed": "seed {:g}",
    }
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # as subjects are written, whatever a column with gaps makes of them
    return "" if pd.isna(value) else units.get(column, "{}").format(_WORDS.get(value, value))


def _basis(query: Query, part: pd.DataFrame, evidence: Evidence) -> str:
    """Say which table, and on what hardware where that matters."""
    machines = sorted(part["hardware"].dropna().unique()) if query.table == "bench" else []
    return evidence.file(query.table) + (f", {', '.join(machines)}" if machines else "")


def _said(query: Query, parts: Iterable[pd.DataFrame]) -> float | None:
    """Return on how many words said the rows of a share of words were counted: the least that any of them was.

    Rows of several subjects or seeds are of the same words, so that their numbers are not added up.
    """
    if not query.metric.startswith(OF_WORDS):
        return None
    counts = [float(one["n"].min(skipna=False)) if "n" in one else math.nan for one in parts]
    return min(counts, key=lambda count: -math.inf if math.isnan(count) else count)


def _weights(parts: Iterable[pd.DataFrame]) -> tuple[str, ...]:
    """Return whose learned weights stand behind rows."""
    return tuple(sorted({str(name) for part in parts if "codec" in part for name in part["codec"].dropna()}))


def _brains(parts: Iterable[pd.DataFrame], evidence: Evidence) -> str:
    """Return which brains stand behind rows: simulated, measured or none."""
    if not any("condition" in part and part["condition"].isin(_BRAINS).any() for part in parts):
        return ""
    return evidence.brains
