"""The report to the issue: verdict first, numbers from the tables, links that lead into the book."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from fmri_audio import cli
from fmri_audio.base import results
from fmri_audio.base.errors import UserError
from fmri_audio.claims import claims, queries, report
from fmri_audio.experiments.ladder import CONDITIONS, SCORES, WINDOWS
from fmri_audio.sound import scoring

ROOT = Path(__file__).resolve().parents[2]
NEEDED = (
    "CITATION.cff",
    "_config.yml",
    "config",
    "claims.yml",
    "references.bib",
    "checkpoints",
    "book",
    "results/bench.csv",
    CONDITIONS,
    WINDOWS,
    SCORES,
)
URL = "https://example.org/book"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of links to this one, with published results of its own; the working directory."""
    (tmp_path / "results").mkdir()
    for name in NEEDED:
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "results" / "demo", tmp_path / "results" / "demo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOOK_URL", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def published() -> str:
    """The report on the published edition, as ``make report`` would write it from a fresh checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "find", lambda _: found_published())
        return report.write("demo", URL)


def found_published() -> report.ReportedEdition:
    kept = ROOT / "results" / "demo"
    glued = kept / "glued" / f"{queries.TRAINING}.json"
    return report.ReportedEdition(
        report.load_settings("demo"), kept / "metrics.csv", glued, True, ROOT / "book"
    )


def changed(project: Path, **values: float) -> None:
    """Set every value of some metrics in a project's own table."""
    path = project / "results" / "demo" / "metrics.csv"
    frame = pd.read_csv(path, dtype={"subject": "string", "fold": "string"})
    for metric, value in values.items():
        frame.loc[frame["metric"] == metric, "value"] = value
    frame.to_csv(path, index=False, na_rep="")


def test_the_verdict_stands_first_and_all_parts_follow(published: str) -> None:
    heads = re.findall(r"^#+ .*$", published, re.MULTILINE)
    parts = ["Verdict", "Conditions", "Claims", "Figures", "Sounds", "How to reproduce"]
    assert heads[0].startswith("# ") and heads[1:] == [f"## {name}" for name in parts]
    verdict = published.split("## Conditions")[0]
    assert "Should we proceed with EnCodec testing?" in verdict
    assert re.search(r"Of \d+ claims of the note, \d+ hold, \d+ fail", verdict)
    assert "simulated brains" in verdict


def test_it_fits_a_comment_and_can_be_posted_as_it_is(published: str) -> None:
    assert len(published) < report.LIMIT == 60_000
    assert published.isprintable() or set(filter(lambda c: not c.isprintable(), published)) == {"\n"}
    for part in ("Conditions", "Claims"):
        rows = re.findall(r"^\|.*$", published.split(f"## {part}")[1].split("## ")[0], re.MULTILINE)
        # A cell's own | is escaped.
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert report.command("my report.md") == "gh issue comment 23 --body-file 'my report.md'"


def test_every_claim_is_in_it(published: str) -> None:
    rows = [
        line
        for line in published.split("## Claims")[1].split("## Figures")[0].splitlines()
        if line.startswith("| ")
    ]
    every = claims.load()
    assert len(rows) == len(every) + 2
    for one, row in zip(every, rows[2:], strict=True):
        assert one.claim.replace("<", "&lt;") in row
        assert any(f"**{name}**" in row for name in claims.VERDICTS)


def test_rows_of_brains_say_which_and_how_many(published: str) -> None:
    table = published.split("## Conditions")[1].split("## Claims")[0]
    decoded = [
        line for line in table.splitlines() if "decoded from brains" in line or "another segment" in line
    ]
    assert decoded and all("simulated brains, mean of 3 subjects" in line for line in decoded[1:])
    free = [line for line in table.splitlines() if "noise-free bottleneck" in line]
    assert free and not any("simulated" in line for line in free)


def test_figures_and_sounds_are_linked_under_the_address(published: str) -> None:
    images = re.findall(r"!\[(.+?)\]\((.+?)\)", published)
    assert len(images) == 2 and all(len(alt) > 20 for alt, _ in images)
    assert all(re.fullmatch(rf"{URL}/_images/[0-9a-f]{{64}}\.png", address) for _, address in images)
    links = re.findall(r"(?<!!)\[.+?\]\((\S+?)\)", published)
    assert all(address.startswith(f"{URL}/") for address in links)
    sounds = [address.removeprefix(f"{URL}/") for address in links if address.endswith(".flac")]
    assert len(sounds) >= 4 and all((ROOT / name).is_file() for name in sounds)
    for page, anchor in re.findall(rf"{URL}/book/([\w-]+)\.html#([\w-]+)", published):
        assert report.FIGURES[anchor] == page
        assert f"name: {anchor}" in (ROOT / "book" / f"{page}.md").read_text(encoding="utf-8")
    assert "BOOK_URL" not in published


@pytest.mark.skipif(
    not {"FMRI_AUDIO_BOOK", "FMRI_AUDIO_BUILD"} <= set(os.environ),
    reason="needs the book that make test renders",
)
def test_every_link_leads_into_the_rendered_book() -> None:
    book, build = Path(os.environ["FMRI_AUDIO_BOOK"]), Path(os.environ["FMRI_AUDIO_BUILD"])
    settings = report.load_settings(build / "edition.yml")
    results = build / "results"
    glued = results / "glued" / f"{queries.TRAINING}.json"
    found = report.ReportedEdition(settings, results / "metrics.csv", glued, True, build / "notebooks")
    links = re.findall(r"\]\((\S+?)\)", report.compose(found, URL))
    kinds = {name.removeprefix(f"{URL}/").split("/")[0] for name in links}
    assert kinds == {"book", "_images", "_static"} and sum("_images" in name for name in links) == 2
    for link in links:
        path, _, anchor = link.removeprefix(f"{URL}/").partition("#")
        assert (book / path).is_file(), link
        assert not anchor or f'id="{anchor}"' in (book / path).read_text(encoding="utf-8"), link


def test_it_says_how_to_make_it_again(published: str) -> None:
    from fmri_audio.base.files import sha256_of
    from fmri_audio.codec import checkpoints

    last = published.split("## How to reproduce")[1]
    weights = ROOT / "checkpoints" / checkpoints.DEMO_FILE
    assert sha256_of(weights) in last
    assert sha256_of(ROOT / "results" / "demo" / "metrics.csv") in last
    for words in ("make book EDITION=demo", "Hardware: ", "torch 2", "encodec 0.1.1", "Python 3", "Commit: "):
        assert words in last
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    assert head in last


def test_numbers_come_from_the_table_alone(project: Path) -> None:
    changed(project, stoi=0.123, mel_distance_db=77.25)
    text = report.write("demo")
    conditions = text.split("## Conditions")[1].split("## Claims")[0]
    heads, _, *rows = [
        line.strip("| ").split(" | ") for line in conditions.splitlines() if line.startswith("|")
    ]
    stoi, mel = (heads.index(scoring.LABELS[metric]) for metric in ("stoi", "mel_distance_db"))
    assert rows and all([row[stoi], row[mel]] == ["0.123", "77.25"] or "silence" in row[0] for row in rows)
    assert "uncompressed: 0.123" in text, "and the claims follow"
    assert "Links" in text.split("## Sounds")[1] or "links are relative" in text.split("## Sounds")[1]
    assert "](_static/audio/" in text and "](_images/" in text
    assert "Commit: unknown (not a git checkout)" in text


def test_an_edition_without_speech_has_a_report_too(project: Path) -> None:
    path = project / "results" / "demo" / "metrics.csv"
    frame = pd.read_csv(path, dtype={"subject": "string", "fold": "string"})
    frame = frame[~frame["metric"].isin(scoring.SPEECH_METRICS)]
    frame["segment"] = frame["segment"].str.replace("speech", "music")
    frame.to_csv(path, index=False, na_rep="")
    text = report.write("demo")
    assert "No speech was scored in this edition." in text
    assert "(weights: demo" not in text.split("## Claims")[0], (
        "nothing is concluded from what was not measured"
    )
    assert "Not decided here" in text


def test_results_of_a_run_of_ones_own_go_before_the_published_ones(project: Path) -> None:
    build = project / "build" / "demo"
    (build / "results" / "glued").mkdir(parents=True)
    (build / "notebooks").mkdir()
    shutil.copy(project / "config" / "demo.yml", build / "edition.yml")
    shutil.copy(project / "results" / "demo" / "metrics.csv", build / "results" / "metrics.csv")
    with pytest.raises(
        UserError, match=r"04-bandwidths\.ipynb has not been executed: run make book EDITION=demo first"
    ):
        report.write("demo")
    for source, name in (
        ("03-encodec", "03-encodec-6kbps"),
        ("04-bandwidths", "04-bandwidths"),
        ("07-evaluation", "07-evaluation"),
    ):
        shutil.copy(project / "book" / f"{source}.ipynb", build / "notebooks" / f"{name}.ipynb")
    text = report.write("demo")
    assert "`build/demo/results/metrics.csv`" in text
    assert "chapter 13 does not say whether it converged" in text, (
        "what the run did not write is not taken from elsewhere"
    )


def test_tables_of_other_weights_are_refused(project: Path) -> None:
    path = project / "results" / "demo" / "metrics.csv"
    path.write_text(re.sub(r"demo-[0-9a-f]{8}", "demo-00000000", path.read_text()))
    with pytest.raises(
        UserError,
        match=r"results/demo/metrics.csv was made with demo-00000000, and the edition's codec is now demo-",
    ):
        report.write("demo")


def test_a_report_that_is_too_long_is_not_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "LIMIT", 1000)
    with pytest.raises(UserError, match="not less than 1,000"):
        report.write("demo")


def test_the_command_writes_whole_or_not_at_all(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = project / "sub" / "report.md"
    assert cli.main(["report", "--edition", "demo", "--out", str(out), "--book-url", URL]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"gh issue comment 23 --body-file {out}"
    assert "nothing was posted" in printed
    before = out.read_text(encoding="utf-8")
    assert before.startswith("# ") and f"]({URL}/" in before
    (project / "results" / "demo" / "metrics.csv").unlink()
    assert cli.main(["report", "--edition", "demo", "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert error == "fmri-audio: results/demo/metrics.csv does not exist: run make book EDITION=demo first\n"
    assert out.read_text(encoding="utf-8") == before
    assert list(out.parent.iterdir()) == [out]


def test_the_address_comes_from_the_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOOK_URL", f"{URL}/")
    assert cli.main(["report"]) == 0
    printed = capsys.readouterr()
    assert f"]({URL}/book/" in printed.out and f"{URL}//" not in printed.out
    assert printed.err.endswith("gh issue comment 23 --body-file -\n"), "what is printed can be piped"


def test_without_an_address_it_is_that_of_the_citation(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (project / "CITATION.cff").read_text()
    (project / "CITATION.cff").unlink()
    (project / "CITATION.cff").write_text(f"{text}url: {URL}\n")
    assert cli.main(["report"]) == 0
    assert f"]({URL}/book/" in capsys.readouterr().out


def test_players_are_found_in_a_page_as_the_book_writes_them() -> None:
    import nbformat

    from fmri_audio.pages.page import NO_WEIGHTS, Clip, players_html

    clips = [
        Clip(name, "a", condition, weights, "", "01-x", None, 1.0, 0.0, "")
        for name, condition, weights in (
            ("a-1", "original", NO_WEIGHTS),
            ("a-2", "6 kbps, one & two", "demo-1"),
        )
    ]
    shown = players_html(clips, "Heard (speech-1.0s): twice", "")
    output = nbformat.v4.new_output("display_data", data={"text/html": shown})
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
    assert report.first_players(page) == (
        "Heard (speech-1.0s): twice",
        [
            ("_static/audio/a-1.flac", "original, no learned weights"),
            ("_static/audio/a-2.flac", "6 kbps, one & two, weights demo-1"),
        ],
    )
    assert report.first_players(nbformat.v4.new_notebook()) == ("", [])


def test_conditions_never_meet_in_a_row() -> None:
    """Every row takes its values under one condition; of different widths, arms and weights there are several rows."""
    common = {
        "segment": "speech",
        "control": "none",
        "metric": "stoi",
        "representation": "encodec-latents",
        "arm": "frozen",
        "codec": "demo-1",
        "units": 8,
        "fold": "held-out",
        "n": 3,
        "seed": 1,
    }
    rows = [
        {**common, "condition": "noise-free", "rank": 4, "value": 0.9},
        {**common, "condition": "voxel-noise", "rank": 4, "value": 0.5},
        {**common, "condition": "measured", "rank": 4, "subject": "1", "value": 0.2},
        {**common, "condition": "measured", "rank": 4, "subject": "2", "value": 0.4},
        {**common, "condition": "measured", "rank": 8, "subject": "1", "value": 0.1},
        {**common, "condition": "noise-free", "rank": 4, "seed": 2, "value": 0.7},
    ]
    table = report.conditions(pd.DataFrame(rows).reindex(columns=results.COLUMNS), "simulated brains")
    found = {(row["condition"], row["rank"]): row["STOI"] for _, row in table.iterrows()}
    assert found == {
        ("held-out, noise-free bottleneck: mean of 2 seeds", 4): pytest.approx(0.8),
        ("held-out, voxel noise: simulated brains", 4): 0.5,
        ("held-out, decoded from brains: simulated brains, mean of 2 subjects", 4): pytest.approx(0.3),
        ("held-out, decoded from brains: simulated brains", 8): 0.1,
    }
    assert all("condition" in wanted for wanted in report.CONDITIONS.values())


def test_commands_name_what_was_put_in_place_of_the_edition_s_own(project: Path) -> None:
    settings = report.load_settings("demo")

    def asked(**changes: object) -> str:
        table = project / "results" / "demo" / "metrics.csv"
        return report.variables(
            report.ReportedEdition(settings.model_copy(update=changes), table, table, True, project)
        )

    assert asked() == asked(bandwidths=[1.5, 3.0, 6.0, 12.0, 24.0]) == "EDITION=demo"
    sound = settings.stimulus.model_copy(update={"source": "/a b.wav"})
    assert asked(bandwidths=[3.0, 6.0], stimulus=sound) == "EDITION=demo STIMULUS='/a b.wav' BANDWIDTHS='3 6'"


@pytest.mark.parametrize(
    ("arguments", "damaged", "sentence"),
    [
        (["--edition", "nothere"], "", "there is no edition 'nothere' in config/"),
        (["--edition", "nothere.yml"], "", "nothere.yml does not exist"),
        (
            ["--edition", "smoke"],
            "",
            "results/smoke/metrics.csv does not exist: run make book EDITION=smoke first",
        ),
        (["--book-url", "example.org/book"], "", "BOOK_URL=example.org/book: give the address"),
        (["--book-url", "https://example.org/a b"], "", "give the address"),
        ([], "results/demo/metrics.csv", "is damaged: run make book EDITION=demo again"),
        ([], "results/demo/glued/13-matching.json", "is damaged: run make book EDITION=demo again"),
        (["--out", "config"], "", "config is a folder"),
        (["--out", "claims.yml/report.md"], "", "cannot be written"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    arguments: list[str], damaged: str, sentence: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if damaged:
        (project / damaged).write_text("nothing,of\n1,2,3\n")
    before = {path for path in project.rglob("*") if not path.is_symlink()}
    out = [] if "--out" in arguments else ["--out", "report.md"]
    assert cli.main(["report", *arguments, *out]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    assert printed.err.startswith("fmri-audio: ") and sentence in printed.err
    assert {path for path in project.rglob("*") if not path.is_symlink()} == before


def test_a_table_without_rows_has_no_report(project: Path) -> None:
    path = project / "results" / "demo" / "metrics.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(UserError, match="has no row: run make book EDITION=demo first"):
        report.write("demo")


def test_commit_says_when_code_has_changed(tmp_path: Path) -> None:
    assert report.commit(tmp_path) == "unknown (not a git checkout)"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run([*git, *words], check=True)
    assert re.fullmatch(r"`[0-9a-f]{40}`", report.commit(tmp_path))
    (tmp_path / "a.py").write_text("")
    assert "changes" not in report.commit(tmp_path), "an untracked file is not code"
    subprocess.run([*git, "add", "a.py"], check=True)
    assert report.commit(tmp_path).endswith("with changes that are not committed")
