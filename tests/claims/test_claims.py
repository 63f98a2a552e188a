"""The note's claims: read strictly, tested on tables, and never decided by hand."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from fmri_audio.base import results
from fmri_audio.base.errors import UserError
from fmri_audio.bottleneck.arms import ARMS
from fmri_audio.claims import claims, queries
from fmri_audio.claims.claims import (
    DEPENDS,
    FAILS,
    HOLDS,
    SIMULATION,
    UNHELPED,
    UNTESTED,
    Claim,
    Expectation,
    Verdict,
)
from fmri_audio.claims.queries import Evidence
from fmri_audio.experiments.helped import FOLD, LINEAR, TRAINED, UNTRAINED

ROOT = Path(__file__).resolve().parents[2]
BRIEF = ROOT.parent / "shared" / "brief.md"
CONVERGED = {
    "frozen_verdict": "converged",
    "frozen_unfinished": 0,
    "finetuned_verdict": "converged",
    "finetuned_unfinished": 0,
}


def metric_rows(*rows: dict[str, Any]) -> pd.DataFrame:
    """Return a table of results with these rows and defaults."""
    common = {
        "codec": "demo-1",
        "segment": "speech",
        "control": "none",
        "n": 3.0,
        "hardware": "CPU",
        "seed": 0.0,
    }
    return pd.DataFrame([{**common, **row} for row in rows], columns=list(results.COLUMNS))


def evidence_of(metrics: pd.DataFrame | None = None, **given: Any) -> Evidence:
    """Return evidence of a few rows; what is not given is empty but knows its columns."""
    kbps = {"codec": "genuine EnCodec", "set": "clips", "metric": "snr_db"}
    quality = pd.DataFrame(
        [{**kbps, "bandwidth_kbps": 6.0, "value": 6.9}, {**kbps, "bandwidth_kbps": 12.0, "value": 8.8}]
    )
    empty = pd.DataFrame(
        {name: pd.Series(dtype="object") for name in ("metric", "value", "codec", "hardware")}
    )
    tables: dict[str, Any] = {"quality": quality, "published": empty, "bench": empty, "training": CONVERGED}
    return Evidence(
        "toy", metrics if metrics is not None else metric_rows(), simulated=True, **{**tables, **given}
    )


def compared(arms: Sequence[str] = tuple(ARMS), *, helped: bool = True) -> pd.DataFrame:
    """Return rows that say of arms that training helped them on validation sound, or that it did not."""
    stoi = {TRAINED: 0.8 if helped else 0.6, UNTRAINED: 0.5, LINEAR: 0.7}
    return metric_rows(
        *(
            {
                "metric": metric,
                "value": value,
                "arm": arm,
                "fold": FOLD,
                "control": control,
                "condition": "noise-free",
            }
            for arm in arms
            for control in stoi
            for metric, value in (("stoi", stoi[control]), ("mel_distance_db", 10 - stoi[control]))
        )
    )


def claim_of(test: Any, **given: Any) -> Claim:
    """Return a claim with a test and defaults."""
    entry = {
        "id": "one",
        "group": "Toy",
        "claim": "It is so",
        "source": {"lines": [1], "quote": "so"},
        "test": test,
    }
    if test != "none":
        entry["expect"] = "> 20"
    return Claim.model_validate({**entry, **given})


def verdict_of(claim: Claim, evidence: Evidence) -> Verdict:
    return claims.evaluate([claim], evidence)[0]


SNR = {"table": "quality", "metric": "snr_db", "each": ["bandwidth_kbps"]}


@pytest.fixture(scope="module")
def published() -> Evidence:
    """What the published edition's tables say."""
    return Evidence.of_tables(
        "demo",
        results.read(ROOT / "results" / "demo" / "metrics.csv"),
        simulated=True,
        training=queries.read_glued(ROOT / "results" / "demo" / "glued" / "13-matching.json"),
        metrics_file="metrics.csv",
    )


@pytest.fixture(scope="module")
def verdicts(published: Evidence) -> dict[str, Verdict]:
    return {one.claim.id: one for one in claims.evaluate(claims.load(), published)}


# Verdicts follow numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expect", "verdict"),
    [("> 20", FAILS), ("> 8", DEPENDS), ("> 6", HOLDS), ("< 8", DEPENDS), ("= 6.9", DEPENDS)],
)
def test_verdict_is_what_the_cases_say(expect: str, verdict: str) -> None:
    found = verdict_of(claim_of([SNR], expect=expect), evidence_of())
    assert found.verdict == found.outcome == verdict
    assert [(case.label, case.value) for case in found.cases] == [("6 kbps", 6.9), ("12 kbps", 8.8)]


def test_a_changed_table_changes_the_verdict() -> None:
    evidence, claim = evidence_of(), claim_of([SNR], unit="dB")
    assert verdict_of(claim, evidence).verdict == FAILS
    one_better = evidence.quality.assign(value=[6.9, 21.0])
    found = verdict_of(claim, dataclasses.replace(evidence, quality=one_better))
    assert found.verdict == DEPENDS
    assert found.measured == "holds: 12 kbps: 21 dB; fails: 6 kbps: 6.9 dB"
    all_better = dataclasses.replace(evidence, quality=evidence.quality.assign(value=25.0))
    assert verdict_of(claim, all_better).verdict == HOLDS


@pytest.mark.parametrize(
    ("expect", "tolerance", "value", "met"),
    [
        ("> 20", 0.0, 20.0, False),
        ("> 20", 0.0, 20.1, True),
        (">= 20", 0.0, 20.0, True),
        ("> 20", 0.5, 19.5, True),
        ("> 20", 0.5, 19.4, False),
        ("< 3", 0.0, 3.0, False),
        ("<= 3", 0.0, 3.0, True),
        ("< 3", 1.0, 4.0, True),
        ("< 3", 1.0, 4.1, False),
        ("= 10", 0.5, 10.5, True),
        ("= 10", 0.5, 9.5, True),
        ("= 10", 0.5, 10.6, False),
        ("= 80", "10 %", 72.0, True),
        ("= 80", "10 %", 71.9, False),
        ("= -8", "25 %", -10.0, True),
        ("= 12,800", 0.0, 12800.0, True),
        ("= [8, 112]", 0.0, "[8, 112]", True),
        ("= [8, 112]", 0.0, "[8, 113]", False),
        ("= 8", 0.0, "8 codebooks", False),
    ],
)
def test_tolerance_ends_where_it_says(
    expect: str, tolerance: float | str, value: float | str, met: bool
) -> None:
    assert Expectation.of(expect, tolerance).met(value) is met


def test_only_metas_weights_decide_where_the_claim_is_about_them() -> None:
    ours = metric_rows({"metric": "snr_db", "value": 30.0, "bandwidth_kbps": 6.0})
    claim = claim_of([SNR, {**SNR, "table": "metrics"}], weights="Meta's")
    found = verdict_of(claim, evidence_of(ours))
    assert found.verdict == FAILS
    assert [case.value for case in found.beside] == [30.0]
    assert found.aside == "weights demo-1: 6 kbps: 30"
    assert "Meta's" in found.basis and "demo-1" not in found.basis
    released = ours.assign(codec="encodec_24khz-d7cc33bc")
    assert verdict_of(claim, evidence_of(released)).verdict == DEPENDS
    assert (
        verdict_of(claim_of([{**SNR, "table": "metrics"}], weights="Meta's"), evidence_of(ours)).verdict
        == UNTESTED
    )


def test_weights_are_never_averaged_with_others() -> None:
    table = evidence_of().quality
    mixed = pd.concat([table, table.assign(codec="demo-1", value=40.0)])
    found = verdict_of(claim_of([SNR]), evidence_of(quality=mixed))
    assert sorted(case.value for case in found.cases) == [6.9, 8.8, 40.0, 40.0]
    assert all(len(case.weights) == 1 for case in found.cases)


def test_simulated_brains_never_give_more_than_a_verdict_on_simulation() -> None:
    rows = metric_rows(
        *(
            {"metric": "stoi", "value": value, "condition": "measured", "subject": name}
            for name, value in (("1", 0.9), ("2", 0.3))
        )
    )
    claim = claim_of([{"table": "metrics", "metric": "stoi", "each": ["subject"]}], expect=">= 0.8")
    found = verdict_of(claim, evidence_of(rows))
    assert (found.verdict, found.outcome) == (SIMULATION, DEPENDS)
    assert "simulated brains" in found.basis
    measured = verdict_of(claim, dataclasses.replace(evidence_of(rows), simulated=False))
    assert (measured.verdict, measured.outcome) == (DEPENDS, DEPENDS)
    assert "measured brains" in measured.basis
    noise_free = verdict_of(claim, evidence_of(rows.assign(condition="noise-free")))
    assert noise_free.verdict == DEPENDS and "brains" not in noise_free.basis
    shown = claims.to_frame([verdict_of(claim_of(claim.test, expect=">= 2"), evidence_of(rows))]).iloc[0]
    assert shown["found"].startswith("fails on simulated brains: ")


def test_what_there_is_without_a_brain_is_told_and_does_not_count() -> None:
    common = {"metric": "stoi", "condition": "measured"}
    rows = metric_rows(
        {**common, "value": 0.9, "subject": 1.0, "control": "none"},
        {**common, "value": 0.2, "control": "no-brain"},
    )
    query = {"table": "metrics", "metric": "stoi", "where": {"control": "none"}, "each": ["subject"]}
    beside = {
        "table": "metrics",
        "metric": "stoi",
        "where": {"control": "no-brain"},
        "called": "training mean",
    }
    found = verdict_of(claim_of([query], expect=">= 0.8", without=[beside]), evidence_of(rows))
    assert (found.verdict, found.outcome) == (SIMULATION, HOLDS)
    shown = claims.to_frame([found]).iloc[0]["found"]
    assert (
        shown == "holds on simulated brains: subject 1: 0.9 (without any brain already: training mean: 0.2)"
    )


def test_an_arm_that_has_not_converged_gets_no_verdict() -> None:
    claim = claim_of([SNR], requires=["arms_converged"])
    assert verdict_of(claim, evidence_of()).verdict == FAILS
    falling = {
        **CONVERGED,
        "frozen_verdict": "not converged: the loss was still falling",
        "frozen_unfinished": 1,
    }
    found = verdict_of(claim, evidence_of(training=falling))
    assert found.verdict == UNTESTED and "still falling" in found.why
    assert [case.value for case in found.beside] == [6.9, 8.8]
    assert verdict_of(claim, evidence_of(training={})).verdict == UNTESTED


@pytest.mark.parametrize(
    ("values", "outcome", "said"),
    [
        (
            (0.30, 0.32, 0.34),
            HOLDS,
            "seed 1: 0.3; seed 2: 0.32; seed 3: 0.34; mean 0.32, 95 % interval 0.27 to 0.37",
        ),
        ((-0.30, -0.32, -0.34), FAILS, "mean −0.32, 95 % interval −0.37 to −0.27"),
        (
            (0.001, 0.011, 0.014),
            DEPENDS,
            "mean 0.00867, 95 % interval −0.00824 to 0.0256",
        ),  # the same sign thrice
        ((-0.02, 0.0, 0.02), DEPENDS, "mean 0,"),
        ((0.25, 0.25), HOLDS, "mean 0.25, 95 % interval 0.25 to 0.25"),
        ((0.3,), DEPENDS, "seed 1: 0.3; no interval from one of them"),
    ],
)
def test_repeated_measurements_decide_by_their_interval(
    values: tuple[float, ...], outcome: str, said: str
) -> None:
    rows = metric_rows(*({"metric": "stoi", "value": v, "seed": n} for n, v in enumerate(values, 1)))
    query = {"table": "metrics", "metric": "stoi", "each": ["seed"]}
    found = verdict_of(claim_of([query], expect="> 0", repeated=True), evidence_of(rows))
    assert found.outcome == outcome
    assert said in found.measured
    decoded = verdict_of(
        claim_of([query], expect="> 0", repeated=True), evidence_of(rows.assign(condition="measured"))
    )
    assert claims.to_frame([decoded]).iloc[0]["found"].startswith(f"{outcome} on simulated brains: seed 1: ")


def test_what_is_undefined_or_missing_is_not_tested_and_says_what() -> None:
    undefined = metric_rows({"metric": "pesq_wb", "value": math.nan})
    query = {"table": "metrics", "metric": "pesq_wb", "where": {"segment": "speech"}}
    found = verdict_of(claim_of([query]), evidence_of(undefined))
    assert found.verdict == UNTESTED and "undefined" in found.why
    absent = verdict_of(claim_of([{**query, "where": {"segment": "music"}}]), evidence_of(undefined))
    assert absent.verdict == UNTESTED and "pesq_wb in metrics with segment music" in absent.why
    one_defined = verdict_of(claim_of([query, SNR]), evidence_of(undefined))
    assert one_defined.verdict == FAILS and len(one_defined.cases) == 2


def test_a_difference_pairs_what_it_names_and_averages_the_rest() -> None:
    rows = metric_rows(
        *(
            {"metric": "stoi", "value": v, "arm": a, "subject": s, "condition": "noise-free"}
            for a, s, v in (
                ("frozen", "1", 0.5),
                ("frozen", "2", 0.7),
                ("finetuned", "1", 0.6),
                ("finetuned", "2", 0.6),
            )
        ),
        {"metric": "stoi", "value": 0.2, "arm": "frozen", "control": "no-brain"},
        {"metric": "stoi", "value": 0.4, "arm": "finetuned", "control": "no-brain"},
    )
    rows = pd.concat([rows, compared()])
    tuned = {
        "table": "metrics",
        "metric": "stoi",
        "where": {"arm": "finetuned", "control": "none"},
        "each": ["subject"],
    }
    frozen = {"table": "metrics", "metric": "stoi", "where": {"arm": "frozen", "control": "none"}}
    paired = verdict_of(
        claim_of([{**tuned, "minus": {**frozen, "paired": ["subject"]}}], expect="> 0"), evidence_of(rows)
    )
    assert [round(case.value, 6) for case in paired.cases] == [0.1, -0.1]
    mean = verdict_of(claim_of([{**tuned, "minus": frozen}], expect="> 0"), evidence_of(rows))
    assert [round(case.value, 6) for case in mean.cases] == [0.0, 0.0]
    by_arm = {
        "table": "metrics",
        "metric": "stoi",
        "where": {"control": "none"},
        "each": ["arm", "subject"],
        "minus": {"table": "metrics", "metric": "stoi", "where": {"control": "no-brain"}, "paired": ["arm"]},
    }
    found = verdict_of(claim_of([by_arm], expect="> 0"), evidence_of(rows))
    assert [(case.label, round(case.value, 6)) for case in found.cases] == [
        ("fine-tuned, subject 1", 0.2),
        ("fine-tuned, subject 2", 0.2),
        ("frozen, subject 1", 0.3),
        ("frozen, subject 2", 0.5),
    ]


ARM = {"metric": "stoi", "value": 0.9, "arm": "frozen", "condition": "noise-free"}
ABOUT_IT = {"table": "metrics", "metric": "stoi", "where": {"arm": "frozen", "control": "none"}}


def test_a_claim_about_an_arm_that_training_did_not_help_has_no_verdict() -> None:
    claim = claim_of([ABOUT_IT], expect="> 0.8")
    good = evidence_of(pd.concat([metric_rows(ARM), compared()]))
    assert verdict_of(claim, good).verdict == HOLDS
    bad = verdict_of(claim, evidence_of(pd.concat([metric_rows(ARM), compared(helped=False)])))
    assert (bad.verdict, bad.outcome, bad.cases) == (UNHELPED, "", ())
    assert bad.why.startswith("frozen: STOI 0.600, untrained 0.500, block PCA 0.700")
    assert [case.value for case in bad.beside] == [0.9], "what was found stands beside"
    never = verdict_of(claim, evidence_of(metric_rows(ARM)))
    assert (never.verdict, never.why) == (UNHELPED, "frozen: not compared with its untrained start")
    after = claim_of([{"claim": "one"}], id="two", expect="= holds")
    assert claims.evaluate([claim, after], evidence_of(metric_rows(ARM)))[1].verdict == UNTESTED


def test_an_arm_to_which_others_are_compared_has_to_be_helped_too() -> None:
    rows = metric_rows(ARM, {**ARM, "arm": "mel", "value": 0.5})
    mel = {"table": "metrics", "metric": "stoi", "where": {"arm": "mel", "control": "none"}}
    claim = claim_of([{**ABOUT_IT, "minus": mel}], expect="> 0")
    assert verdict_of(claim, evidence_of(pd.concat([rows, compared()]))).verdict == HOLDS
    one_only = pd.concat([rows, compared(["frozen"]), compared(["mel"], helped=False)])
    assert verdict_of(claim, evidence_of(one_only)).why.startswith("mel + Griffin-Lim: STOI 0.600")


def test_what_no_arm_was_trained_for_needs_no_help() -> None:
    row = {
        "metric": "stoi",
        "value": 0.9,
        "arm": "roundtrip",
        "condition": "noise-free",
        "representation": "mel",
    }
    query = {"table": "metrics", "metric": "stoi", "where": {"representation": "mel", "control": "none"}}
    assert verdict_of(claim_of([query], expect="> 0.8"), evidence_of(metric_rows(row))).verdict == HOLDS


def words_of(*counts: float, **columns: Any) -> pd.DataFrame:
    """Return rows of word errors counted on so many words each, one per bandwidth."""
    common = {"metric": "words_wrong", "value": 0.05, "representation": "encodec-codes", **columns}
    return metric_rows(
        *({**common, "n": count, "bandwidth_kbps": float(k)} for k, count in enumerate(counts, 1))
    )


WRONG = {
    "table": "metrics",
    "metric": "words_wrong",
    "where": {"representation": "encodec-codes"},
    "each": ["bandwidth_kbps"],
}


def test_words_decide_from_six_hundred_on() -> None:
    claim = claim_of([WRONG], expect="< 0.1")
    assert verdict_of(claim, evidence_of(words_of(600))).verdict == HOLDS
    for count, said in ((599.0, "599"), (math.nan, "an unknown number")):
        few = verdict_of(claim, evidence_of(words_of(count)))
        assert few.verdict == UNTESTED and not few.outcome and not few.cases
        assert few.measured == f"fewer than 600 words: 1 kbps, {said}"
    both = verdict_of(claim, evidence_of(words_of(599, 700)))
    assert both.verdict == HOLDS and [case.label for case in both.cases] == ["2 kbps"]
    other = claim_of([{**WRONG, "metric": "stoi"}], expect="< 0.1")
    assert verdict_of(other, evidence_of(words_of(8, metric="stoi"))).verdict == HOLDS


def test_the_same_words_are_not_added_up() -> None:
    subjects = pd.concat([words_of(400, subject=str(name)) for name in (1, 2)], ignore_index=True)
    assert verdict_of(claim_of([WRONG], expect="< 0.1"), evidence_of(subjects)).verdict == UNTESTED


def test_what_is_compared_with_needs_its_words_too() -> None:
    minus = {"table": "metrics", "metric": "words_wrong", "where": {"representation": "mel"}}
    claim = claim_of([{**WRONG, "minus": minus}], expect="< 0.1")
    for count, verdict in ((700, HOLDS), (80, UNTESTED)):
        rows = pd.concat([words_of(700), words_of(count, representation="mel")], ignore_index=True)
        assert verdict_of(claim, evidence_of(rows)).verdict == verdict


def test_a_table_of_recordings_says_on_how_many_words_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in queries.FILES.values():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("metric,value\n")
    monkeypatch.setattr(queries, "project_root", lambda: tmp_path)
    test = {"table": "quality", "metric": "words_wrong", "each": ["set"]}
    for head, values, verdict in (
        (",words", ",650", HOLDS),
        (",words", ",590", UNTESTED),
        ("", "", UNTESTED),
    ):
        table = f"set,codec,kbps,snr_db,words_wrong{head},recordings\nall,demo-1,6,5,0.05{values},9\n"
        (tmp_path / queries.FILES["quality"]).write_text(table)
        evidence = Evidence.of_tables("toy", metric_rows(), simulated=True, training={}, metrics_file="m.csv")
        assert verdict_of(claim_of([test], expect="< 0.1"), evidence).verdict == verdict
        snr = {"table": "quality", "metric": "snr_db", "each": ["set"]}
        assert verdict_of(claim_of([snr], expect="> 4"), evidence).verdict == HOLDS


def test_the_row_with_more_windows_is_taken_where_two_chapters_scored_the_same() -> None:
    row = {"metric": "stoi", "value": 0.97, "representation": "mel", "n": 3.0}
    rows = metric_rows(row, {**row, "value": 0.98, "n": 8.0})
    found = verdict_of(claim_of([{"table": "metrics", "metric": "stoi"}], expect="> 0"), evidence_of(rows))
    assert [case.value for case in found.cases] == [0.98]


def test_empty_columns_can_be_asked_for() -> None:
    rows = metric_rows(
        {"metric": "stoi", "value": 0.9, "units": None}, {"metric": "stoi", "value": 0.3, "units": 8.0}
    )
    query = {"table": "metrics", "metric": "stoi", "where": {"units": None}}
    assert verdict_of(claim_of([query], expect="> 0"), evidence_of(rows)).cases[0].value == 0.9


def test_a_claim_can_rest_on_others() -> None:
    first = claim_of([SNR], id="first")
    second = claim_of([{"claim": "first"}], id="second", expect="= holds")
    assert claims.evaluate([first, second], evidence_of())[1].verdict == FAILS
    better = evidence_of(quality=evidence_of().quality.assign(value=30.0))
    assert claims.evaluate([first, second], better)[1].verdict == HOLDS
    nothing = claim_of("none", id="first", why="nobody knows")
    found = claims.evaluate([nothing, second], better)[1]
    assert found.verdict == UNTESTED and "first" in found.why


# What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({**SNR, "metric": "loudness"}, "checkpoints/quality.csv has no metric loudness; choose from snr_db"),
        ({**SNR, "where": {"colour": "red"}}, "has no column colour"),
        ({**SNR, "each": ["subject"]}, "has no column subject"),
        ({**SNR, "minus": {"table": "bench", "metric": "speed"}}, "results/bench.csv has no metric speed"),
    ],
)
def test_a_metric_or_column_that_is_not_there_is_refused(query: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        verdict_of(claim_of([query]), evidence_of())


def test_a_metric_of_speech_may_be_missing_from_an_edition_without_speech() -> None:
    found = verdict_of(claim_of([{"table": "metrics", "metric": "pesq_wb"}]), evidence_of())
    assert found.verdict == UNTESTED


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"verdict": "holds"}, "one, verdict: is not a key of a claim"),
        ({"test": [{**SNR, "median": True}]}, "median: is not a key of a claim"),
        ({"test": [{"function": "guess"}]}, "guess is not one of the functions"),
        ({"test": [{"metric": "snr_db"}]}, "should have a table, a function or a claim"),
        ({"test": [{**SNR, "unnamed": ["set"]}]}, "unnamed: set is not one of the columns in each"),
        ({"test": []}, "should not be empty"),
        ({"test": "none"}, "should say why"),
        ({"test": "none", "expect": "> 1", "why": "so"}, "expects nothing"),
        ({"expect": "about 20"}, "'about 20' should be a comparison"),
        ({"expect": "> high"}, "is text, which can only be equal"),
        ({"tolerance": "wide"}, "tolerance: 'wide' should be a number"),
        ({"tolerance": -1}, "tolerance: -1"),
        ({"repeated": True, "expect": "= 20"}, "repeated: should come with an expectation of more or less"),
        ({"requires": ["luck"]}, "luck is not one of the functions"),
        ({"id": "One Two"}, "id"),
        ({"source": {"lines": [], "quote": "so"}}, "source.lines"),
        ({"test": [{"claim": "none-before"}], "expect": "= holds"}, "refers to none-before"),
    ],
)
def test_a_claim_that_makes_no_sense_is_one_sentence(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    entry = {
        "id": "one",
        "group": "Toy",
        "claim": "It is so",
        "source": {"lines": [1], "quote": "so"},
        "test": [SNR],
    }
    if change.get("test") != "none":
        entry["expect"] = "> 20"
    path = tmp_path / "claims.yml"
    path.write_text(yaml.safe_dump([{**entry, **change}]))
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        claims.load(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("claims.yml: ")


def test_a_file_that_is_no_list_of_claims_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.yml"
    with pytest.raises(UserError, match="does not exist"):
        claims.load(path)
    for text, sentence in (
        ("a: [", "not valid YAML"),
        ("a: 1", "should be a list of claims"),
        ("- 1", "entry 1"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=sentence):
            claims.load(path)
    entry = yaml.safe_dump([claim_of([SNR]).model_dump(exclude_defaults=True)] * 2)
    path.write_text(entry)
    with pytest.raises(UserError, match="the id one comes twice"):
        claims.load(path)


# The note's claims on the published tables -----------------------------------------------------------------------


def test_every_claim_gets_a_verdict_with_its_numbers(verdicts: dict[str, Verdict]) -> None:
    assert len(verdicts) >= 100
    for one in verdicts.values():
        assert one.verdict in claims.VERDICTS
        if one.verdict in (UNTESTED, UNHELPED):
            assert one.why and not one.outcome and not one.cases
        else:
            assert one.cases and one.expected and one.measured and one.basis != "–", one.claim.id
    table = claims.to_frame(verdicts.values())
    assert len(table) == len(verdicts) and not table.isna().any(axis=None)
    assert sum(claims.counts(verdicts.values()).values()) == len(verdicts)
    assert {one.verdict for one in verdicts.values()} >= {HOLDS, FAILS, DEPENDS, UNTESTED, UNHELPED}


def test_no_test_misses_its_rows(verdicts: dict[str, Verdict]) -> None:
    missing = {name for name, one in verdicts.items() if "is not in this edition's tables" in one.why}
    assert missing <= {"complex-arm"}, "a filter that nothing matches"


def test_known_verdicts_come_out(verdicts: dict[str, Verdict]) -> None:
    known = {
        "snr-gate": FAILS,
        "pesq-gate": DEPENDS,
        "pesq-gate-at-six": FAILS,
        "code-shape": FAILS,
        "encode-returns-codes": FAILS,
        "encoder-parameters": FAILS,
        "weights-memory": HOLDS,
        "mel-values": HOLDS,
        "samples-per-tr": HOLDS,
        "phase-guessing-fails": FAILS,
        "perfect-reconstruction": HOLDS,
        "complex-parameters": HOLDS,
        "licence": DEPENDS,
        "loop-keeps-time": FAILS,
        "park-year": FAILS,
        "lossless-music": UNTESTED,
    }
    assert {name: verdicts[name].verdict for name in known} == known


def test_quality_of_encodec_is_judged_on_metas_weights(verdicts: dict[str, Verdict]) -> None:
    for name in (
        "snr-gate",
        "pesq-gate",
        "pesq-after",
        "stoi-after",
        "codec-intelligible",
        "keeps-phase",
        "very-similar",
    ):
        one = verdicts[name]
        assert one.claim.weights == "Meta's"
        assert all(claims.is_metas(case.weights) for case in one.cases), name
    assert verdicts["snr-gate"].beside


def test_whatever_rests_on_simulated_brains_says_so(verdicts: dict[str, Verdict]) -> None:
    for one in verdicts.values():
        if any(case.brains for case in one.cases):
            assert one.verdict == SIMULATION and "simulated brains" in one.basis


@pytest.mark.parametrize(
    ("claim", "table", "metric", "value", "verdict"),
    [
        ("phase-guessing-fails", "metrics", "stoi", 0.5, HOLDS),
        ("keeps-phase", "quality", "si_sdr_db", -9.0, FAILS),
        ("efficient", "bench", "realtime_factor", 0.5, FAILS),
        ("table-encodec-quality", "published", "mushra", 95.0, HOLDS),
    ],
)
def test_another_number_in_the_tables_is_another_verdict(
    published: Evidence,
    verdicts: dict[str, Verdict],
    claim: str,
    table: str,
    metric: str,
    value: float,
    verdict: str,
) -> None:
    assert verdicts[claim].verdict != verdict
    frame = published.table(table)
    changed = frame.assign(value=frame["value"].where(frame["metric"] != metric, value))
    evidence = dataclasses.replace(published, **{table: changed})
    assert verdict_of(verdicts[claim].claim, evidence).verdict == verdict


def test_converged_arms_that_training_helped_would_get_their_verdict(published: Evidence) -> None:
    measured = published.metrics
    metrics = pd.concat([measured[measured["fold"] != FOLD], compared()])
    [claim] = [one for one in claims.load() if one.id == "finetuned-from-brains"]
    evidence = dataclasses.replace(published, training=CONVERGED, metrics=metrics)
    [found] = claims.evaluate([claim], evidence)
    assert found.verdict == SIMULATION and found.outcome


def test_claims_on_the_bottleneck_are_decided_by_words(verdicts: dict[str, Verdict]) -> None:
    for name in ("bottleneck-intelligible", "option-one", "beats-mel-behind-the-bottleneck", "complex-arm"):
        assert verdicts[name].outcome and "results/ladder.csv" in verdicts[name].basis
        assert all(case.low is not None and case.said and case.said >= 600 for case in verdicts[name].cases)
    assert verdicts["brains-intelligible"].verdict == SIMULATION


def test_an_edition_whose_chapters_have_not_run_is_one_sentence(tmp_path: Path) -> None:
    from fmri_audio.edition.edition import Edition

    with pytest.raises(UserError, match="make book"):
        Evidence.of_run(Edition.open("demo", build=tmp_path))


# The note itself -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def brief() -> list[str]:
    """The lines of the note, which is no part of the project."""
    if not BRIEF.is_file():
        pytest.skip(f"needs the note in {BRIEF}")
    return BRIEF.read_text(encoding="utf-8").splitlines()


def sections(lines: list[str]) -> dict[str, range]:
    """Return the note's headings that have a text of their own, with the lines (from 1) of that text."""
    heads, fenced = [], False
    for number, line in enumerate(lines, 1):
        fenced ^= line.startswith("```")
        if not fenced and re.match(r"#+ ", line):
            heads.append((number, line))
    ends = [*(number for number, _ in heads[1:]), len(lines) + 1]
    found = {}
    for (number, line), end in zip(heads, ends, strict=True):
        text = [one for one in lines[number : end - 1] if one.strip() not in ("", "---")]
        if text:
            found[f"{number}: {line}"] = range(number + 1, end)
    return found


def test_every_section_of_the_note_has_a_claim(brief: list[str]) -> None:
    cited = {line for one in claims.load() for line in one.source.lines}
    note = {name: lines for name, lines in sections(brief).items() if not name.endswith("# The brief")}
    assert len(note) >= 18
    assert [name for name, lines in note.items() if not cited & set(lines)] == []


def test_every_quote_is_in_its_line(brief: list[str]) -> None:
    for one in claims.load():
        assert any(one.source.quote in brief[line - 1] for line in one.source.lines), one.id
