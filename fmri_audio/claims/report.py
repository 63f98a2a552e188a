"""The report to the issue that asked: Markdown whose every number is read from an edition's tables.

Nothing is posted: :func:`command` says how to.
"""

from __future__ import annotations

import base64
import hashlib
import html
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbformat import NotebookNode

from fmri_audio import __version__
from fmri_audio.base import results
from fmri_audio.base.documents import load_yaml
from fmri_audio.base.errors import UserError
from fmri_audio.base.files import sha256_of
from fmri_audio.base.settings import Settings, load_settings, project_root
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.claims import answers, claims, queries
from fmri_audio.claims.claims import SIMULATION, Verdict
from fmri_audio.claims.queries import Evidence
from fmri_audio.edition.edition import absolute
from fmri_audio.experiments import ladder_answer
from fmri_audio.sound import scoring

ISSUE = 23
LIMIT = 60_000
"""Most characters that a report may have; a comment on GitHub takes 65,536."""

FIGURES = {"fig-bandwidths": "04-bandwidths", "fig-evaluation-noise": "07-evaluation"}
"""Figures that are shown, each with its chapter: the codec alone, and every arm against the noise of brains."""

WITH_BRAINS = ("07-evaluation",)
"""Those of these chapters in which brains take part."""

LISTENING = {"03-encodec": "the codec alone", "07-evaluation": "behind the bottleneck and from brains"}
"""Chapters whose first players are linked."""

PACKAGES = ("torch", "torchaudio", "encodec", "himalaya", "nilearn", "lightning", "pesq", "pystoi", "numpy")
"""Packages whose versions are reported."""

_FORMATS = {**scoring.FORMATS, "kbps": ".4g", "units": "g", "rank": "g"}
_LONGEST = 260
"""Characters of a table's cell; the book has the whole."""

_AUDIO = re.compile(r'<audio [^>]*src="\.\./(?P<path>[^"]+)" aria-label="(?P<label>[^"]+)"')
_GROUP = re.compile(r'<figure class="players"[^>]*aria-label="(?P<title>[^"]+): \d+ players"')
_ADDRESS = re.compile(r"https?://[^\s()<>]+")


@dataclass(frozen=True)
class ReportedEdition:
    """An edition's results as they lie on disk.

    Attributes
    ----------
    settings : Settings
    table : Path
        ``metrics.csv``.
    glued : Path
        What chapter 13 glued into its page.
    simulated : bool
        Whether the brains are.
    notebooks : Path
        Folder of the executed chapters.
    asked : str
        Name or path by which the edition was asked for; empty for its own name.
    """

    settings: Settings
    table: Path
    glued: Path
    simulated: bool
    notebooks: Path
    asked: str = ""

    @property
    def name(self) -> str:
        """What ``EDITION=`` has to be for this edition."""
        return self.asked or self.settings.edition

    def notebook(self, chapter: str) -> NotebookNode:
        """Read a chapter's executed notebook, at the main bandwidth where it has one for each.

        Raises
        ------
        UserError
            It is not there.
        """
        names = (f"{chapter}.ipynb", f"{chapter}-{self.settings.main_bandwidth:g}kbps.ipynb")
        path = next((self.notebooks / name for name in names if (self.notebooks / name).is_file()), None)
        if path is None:
            raise UserError(
                f"{chapter}.ipynb has not been executed: run make book EDITION={self.settings.edition} first"
            )
        try:
            notebook: NotebookNode = nbformat.read(path, as_version=4)
        except (ValueError, nbformat.ValidationError):
            raise UserError(
                f"{path} is no notebook: run make book EDITION={self.settings.edition} again"
            ) from None
        return notebook


def find(edition: str) -> ReportedEdition:
    """Find an edition's results: those of the last ``make book`` in ``build/``, else the published ones.

    Raises
    ------
    UserError
        No such edition, or it has no results.
    """
    root, settings = project_root(), load_settings(edition)
    name = settings.edition
    build, kept = root / "build" / name, root / "results" / name
    table = build / "results" / "metrics.csv"
    if table.is_file():
        settings = load_settings(build / "edition.yml")
        glued = build / "results" / "glued" / f"{queries.TRAINING}.json"
        return ReportedEdition(
            settings, table, glued, _simulated(settings, build / "study"), build / "notebooks", edition
        )
    table = kept / "metrics.csv"
    if not table.is_file():
        raise UserError(f"results/{name}/metrics.csv does not exist: run make book EDITION={edition} first")
    glued = kept / "glued" / f"{queries.TRAINING}.json"
    return ReportedEdition(settings, table, glued, _simulated(settings, kept), root / "book", edition)


def _simulated(settings: Settings, study: Path) -> bool:
    """Say whether an edition's brains are simulated: by its settings, or by the study that it read."""
    from fmri_audio.study.reader import read_facts

    return settings.study.source == "simulate" or read_facts(study).simulated


def evidence(found: ReportedEdition) -> Evidence:
    """Read what verdicts are computed from.

    Raises
    ------
    UserError
        The edition's tables are not what an edition writes.
    """
    name = found.settings.edition
    try:
        metrics, training = results.read(found.table), queries.read_glued(found.glued)
    except ValueError:
        raise UserError(
            f"{found.table} or {found.glued.name} beside it is damaged: run make book EDITION={name} again"
        ) from None
    if metrics.empty:
        raise UserError(f"{found.table} has no row: run make book EDITION={name} first")
    return Evidence.of_tables(
        name,
        metrics,
        simulated=found.simulated,
        training=training,
        metrics_file=str(found.table.relative_to(project_root())),
    )


def write(edition: str, book_url: str = "") -> str:
    """Write the report on an edition.

    Parameters
    ----------
    edition
        A name in ``config/`` or the path of an edition file.
    book_url
        Where the rendered book lies; if empty, the ``url`` of ``CITATION.cff``. Without either, links are relative to
        it, and say so.

    Returns
    -------
    str
        Markdown of less than :data:`LIMIT` characters.

    Raises
    ------
    UserError
        There are no results, or they are not of the edition's codec, or the address is none.
    """
    book_url = book_url or str(citation().get("url", ""))
    if book_url and not _ADDRESS.fullmatch(book_url):
        raise UserError(
            f"BOOK_URL={book_url}: give the address where the rendered book is published, such as https://example.org/book"
        )
    return compose(find(edition), book_url)


def citation() -> dict[str, Any]:
    """Return ``CITATION.cff``, the one place where title, authors, version and addresses of the project are kept."""
    return dict(load_yaml(project_root() / "CITATION.cff"))


def compose(found: ReportedEdition, book_url: str) -> str:
    """Write the report on results that have been found; see :func:`write`."""
    tables = evidence(found)
    verdicts = claims.evaluate(claims.load(), tables)
    base = f"{book_url.rstrip('/')}/" if book_url else ""
    parts = [
        _head(tables, verdicts),
        _conditions(tables),
        _claims(verdicts, base),
        figures(found, base),
        _listening(found, base),
        _reproduction(found, tables),
    ]
    text = "\n\n".join(parts) + "\n"
    if len(text) >= LIMIT:
        raise UserError(
            f"the report has {len(text):,} characters, not less than {LIMIT:,}: report on fewer bandwidths"
        )
    return text


def command(path: Path | str) -> str:
    """Return the command that would post a report."""
    return f"gh issue comment {ISSUE} --body-file {shlex.quote(str(path))}"


def _head(tables: Evidence, verdicts: Sequence[Verdict]) -> str:
    """Write title, counts and the answers: the verdict first."""
    lines = [f"# {citation()['title']}: report on issue {ISSUE}", "", "## Verdict", ""]
    for name, answer in answers.answers(verdicts, tables.brains).items():
        lines += [f"- **{answers.QUESTIONS[name]}** {answer}"]
    codecs = ", ".join(sorted(tables.metrics["codec"].dropna().unique()))
    lines += [
        "",
        ladder_answer.said(),
        "",
        f"Of {len(verdicts)} claims of the note, {claims.tally(verdicts)}.",
    ]
    lines += [f"Edition `{tables.edition}`, weights `{codecs}`, {tables.brains}."]
    return "\n".join(lines)


_WHOLE = {"arm": "roundtrip", "condition": "none", "control": "none", "fold": None}
_BLOCK = {"fold": "held-out", "control": "none"}

CONDITIONS: dict[str, dict[str, object]] = {
    "EnCodec alone": {**_WHOLE, "representation": "encodec-codes"},
    "mel + Griffin-Lim, equal bits": {**_WHOLE, "representation": "mel-quantised"},
    "mel + Griffin-Lim, uncompressed": {**_WHOLE, "representation": "mel"},
    "held-out, latents to the decoder": {
        **_BLOCK,
        "representation": "encodec-latents",
        "arm": "roundtrip",
        "condition": "none",
    },
    "held-out, noise-free bottleneck": {**_BLOCK, "condition": "noise-free"},
    "held-out, voxel noise": {**_BLOCK, "condition": "voxel-noise"},
    "held-out, decoded from brains": {**_BLOCK, "condition": "measured"},
    "held-out, decoded, another segment": {**_BLOCK, "condition": "measured", "control": "other-segment"},
    "held-out, decoder without a brain": {**_BLOCK, "condition": "measured", "control": "no-brain"},
    **{
        scoring.floor_label(name): {**_WHOLE, "control": name} for name in scoring.FLOORS if name != "silence"
    },
}
"""Rows of the table of conditions, and what the columns of the table of results say of them.

Every one names its condition, so that none, noise-free, voxel-noise and measured never meet in a row.
"""


def conditions(metrics: pd.DataFrame, brains: str) -> pd.DataFrame:
    """Return what was measured on speech, one row per condition, arm and bandwidth, a column per metric.

    Parameters
    ----------
    metrics
        An edition's table of results.
    brains
        What its brains are, to be said wherever they take part.
    """
    rows = []
    speech = results.select(metrics, segment="speech", metric=scoring.METRIC_NAMES)
    for name, wanted in CONDITIONS.items():
        part = results.once(results.select(speech, **wanted), [*_APART, "metric", "subject", "seed"])
        for key, same in part.groupby(list(_APART), dropna=False):
            means = same.groupby("metric")["value"].mean()
            rows.append(
                {**dict(zip(_APART, key, strict=True)), "condition": _condition(name, same, brains), **means}
            )
    frame = pd.DataFrame(rows, columns=["condition", *_APART, *scoring.METRIC_NAMES])
    return frame.rename(columns={"codec": "weights", "bandwidth_kbps": "kbps", **scoring.LABELS})


_APART = ("representation", "arm", "bandwidth_kbps", "units", "rank", "codec")


def _condition(name: str, rows: pd.DataFrame, brains: str) -> str:
    """Name a condition; wherever brains take part it says which, and of how many subjects and seeds it is the mean."""
    counts = {"subjects": rows["subject"].nunique(), "seeds": rows["seed"].nunique()}
    averaged = " and ".join(f"{count} {what}" for what, count in counts.items() if count > 1)
    with_brains = rows["condition"].isin(["measured", "voxel-noise"]).any() and "without" not in name
    said = [*([brains] if with_brains else []), *([f"mean of {averaged}"] if averaged else [])]
    return f"{name}: {', '.join(said)}" if said else name


def _conditions(tables: Evidence) -> str:
    frame = conditions(tables.metrics, tables.brains)
    if frame.empty:
        return "## Conditions\n\nNo speech was scored in this edition."
    about = (
        "Means over windows of speech. Noise-free is the model's own bottleneck and involves no brain; only what is "
        "decoded from brains is decoding. Kbps are the codec's or, for a mel spectrogram, those of its values."
    )
    return f"## Conditions\n\n{about} Training: {_convergence(tables)}.\n\n{_table(frame, _FORMATS)}"


def _convergence(tables: Evidence) -> str:
    """Say of every arm that was trained whether its training was over; the two that are compared are always named."""
    said = {f"the {arm} arm": tables.training.get(f"{name}_verdict") for name, arm in ARM_LABELS.items()}
    compared = {
        case.label: "chapter 13 does not say whether it converged"
        for case in claims.REGISTRY["arms_converged"](tables)
    }
    found = compared | {arm: str(verdict) for arm, verdict in said.items() if verdict is not None}
    return "; ".join(f"{arm}: {verdict}" for arm, verdict in found.items())


def _claims(verdicts: Sequence[Verdict], base: str) -> str:
    frame = claims.to_frame(verdicts)
    where = f"[the book]({base}book/08-claims.html)"
    frame["verdict"] = "**" + frame["verdict"] + "**"
    kept = frame[["claim", "the note", "expected", "found", "verdict"]]
    about = (
        "The note is cited by line. Every verdict is computed, with tolerances to the note's advantage; what was found "
        f"on simulated brains is “{SIMULATION}”. Long cells are cut: {where} has them whole, with what each rests on."
    )
    return f"## Claims\n\n{about}\n\n{_table(kept, {})}"


def _table(frame: pd.DataFrame, formats: dict[str, str]) -> str:
    """Write a table as Markdown; a dash is undefined."""
    rows = [[str(column) for column in frame.columns], ["---"] * len(frame.columns)]
    rows += [
        [_cell(value, formats.get(str(column), "")) for column, value in zip(frame.columns, row, strict=True)]
        for row in frame.itertuples(index=False)
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _cell(value: object, form: str) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return "–"
    if form:
        return format(value, form).replace("-", "\u2212")
    text = str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rstrip()}…"


def figures(found: ReportedEdition, base: str) -> str:
    """Link the figures as the rendered book names them: by the hash of the picture."""
    parts = ["## Figures"]
    for name, chapter in FIGURES.items():
        cell = next((one for one in found.notebook(chapter).cells if _figure_of(one) == name), None)
        outputs = [] if cell is None else cell.get("outputs", [])
        pictures = [one["data"]["image/png"] for one in outputs if "image/png" in one.get("data", {})]
        if cell is None or not pictures:
            raise UserError(
                f"{chapter}.ipynb has no figure {name}: run make book EDITION={found.settings.edition} first"
            )
        image = f"{base}_images/{hashlib.sha256(base64.b64decode(pictures[0])).hexdigest()}.png"
        alt = " ".join(cell["metadata"]["mystnb"]["image"]["alt"].split())
        brains = " (simulated brains)" if found.simulated and chapter in WITH_BRAINS else ""
        page = f"[The figure with its caption, chapter {chapter}]({base}book/{chapter}.html#{name}){brains}"
        parts.append(f"![{alt}]({image})\n\n{page}")
    return "\n\n".join(parts)


def _figure_of(cell: NotebookNode) -> str | None:
    name = cell["metadata"].get("mystnb", {}).get("figure", {}).get("name")
    return None if name is None else str(name)


def _listening(found: ReportedEdition, base: str) -> str:
    """Link the sounds that pages play first."""
    parts = ["## Sounds"]
    if not base:
        parts.append(
            "All links are relative to the rendered book's folder, because `BOOK_URL`, the address where it is "
            "published, was not set."
        )
    for chapter, what in LISTENING.items():
        title, sounds = first_players(found.notebook(chapter))
        links = "\n".join(f"- [{label}]({base}{path})" for path, label in sounds) or "It plays no sound."
        brains = " (simulated brains)" if found.simulated and chapter in WITH_BRAINS else ""
        head = f"[Chapter {chapter}]({base}book/{chapter}.html), {what}{brains}"
        parts.append(f"{head}{'. ' if title else ''}{title}:\n\n{links}")
    return "\n\n".join(parts)


def first_players(notebook: NotebookNode) -> tuple[str, list[tuple[str, str]]]:
    """Return the first group of players that a notebook shows.

    Returns
    -------
    title : str
        Of the group; empty if there is none.
    sounds : list of (path, label)
        Labels without the title, which every one of them repeats on the page.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            shown = "".join(output.get("data", {}).get("text/html", ""))
            group = _GROUP.search(shown)
            title = html.unescape(group["title"]) if group else ""
            sounds = [
                (
                    found["path"],
                    html.unescape(found["label"]).replace(f", {title}", "", 1)
                    if title
                    else html.unescape(found["label"]),
                )
                for found in _AUDIO.finditer(shown)
            ]
            if sounds:
                return title, sounds
    return "", []


def _reproduction(found: ReportedEdition, tables: Evidence) -> str:
    """Say from what the numbers were made, and how to make them again."""
    weights, sha256, licence = _checkpoint(found, tables)
    machines = sorted(tables.metrics["hardware"].dropna().unique())
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    others = ", ".join(f"`{file}`" for name, file in queries.FILES.items() if name != "metrics")
    lines = [
        f"- Edition: `{tables.edition}`, seed {found.settings.seed}",
        f"- Commands: `make book {variables(found)}`, then `make report EDITION={shlex.quote(found.name)}`",
        f"- Tables: `{tables.metrics_file}` (sha256 `{sha256_of(found.table)}`), {others}",
        f"- Checkpoint: `{weights}`, sha256 `{sha256}`; {licence}",
        f"- Hardware: {'; '.join(machines) or 'not recorded'}",
        f"- Versions where this report was written: fmri-audio {__version__}, Python {platform.python_version()}, "
        f"{versions}; `requirements.lock` pins all",
        f"- Commit: {commit(project_root())}",
    ]
    return "## How to reproduce\n\n" + "\n".join(lines)


def variables(found: ReportedEdition) -> str:
    """Return the make variables that ask for these results: the edition, and what was put in place of its own."""
    from fmri_audio.codec import checkpoints

    own, used = absolute(load_settings(found.name)), absolute(found.settings)
    given = {"EDITION": found.name}
    if used.codec != own.codec:
        given["CODEC"] = used.codec
    if used.stimulus.source != own.stimulus.source and isinstance(used.stimulus.source, str):
        given["STIMULUS"] = used.stimulus.source
    listed, wanted = used.bandwidths, own.bandwidths
    if listed != wanted and isinstance(listed, list):
        if wanted == "all" and (used.codec not in checkpoints.RELEASED or checkpoints.at_hand(used.codec)):
            wanted = sorted(checkpoints.load(used.codec).model.target_bandwidths)
        if sorted(listed) != wanted:
            given["BANDWIDTHS"] = " ".join(f"{kbps:g}" for kbps in listed)
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in given.items())


def _checkpoint(found: ReportedEdition, tables: Evidence) -> tuple[str, str, str]:
    """Return id, sha256 and licence of the edition's codec, which must be the one that made the tables.

    Raises
    ------
    UserError
        The tables were made with other weights than those that the edition names now.
    """
    from fmri_audio.codec import checkpoints

    made = sorted(tables.metrics["codec"].dropna().unique())
    spec = absolute(found.settings).codec
    if spec in checkpoints.RELEASED and not checkpoints.at_hand(spec):
        return (
            made[0],
            f"{made[0].rsplit('-', 1)[-1]}… (the file is not at hand)",
            checkpoints.RELEASED_LICENCE,
        )
    checkpoint = checkpoints.load(spec)
    if made != [checkpoint.id]:
        raise UserError(
            f"{tables.metrics_file} was made with {', '.join(made)}, and the edition's codec is now {checkpoint.id}: "
            f"run make book EDITION={tables.edition} again"
        )
    return checkpoint.id, checkpoint.sha256, checkpoint.licence


def commit(root: Path) -> str:
    """Name the commit of a folder's code, and say so if tracked files differ from it."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    head = git("rev-parse", "HEAD")
    if head is None:
        return "unknown (not a git checkout)"
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"`{head}`" + (", with changes that are not committed" if changed else "")
