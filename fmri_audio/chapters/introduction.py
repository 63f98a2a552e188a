"""Chapter 1: the numbers and sentences of the abstract, and whose sound, weights and brains the edition has."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fmri_audio.chapters import bandwidths
from fmri_audio.chapters.abstract import headline
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.published import GATES
from fmri_audio.edition import Edition
from fmri_audio.edition.windows import scored_kind
from fmri_audio.experiments import ladder_answer
from fmri_audio.pages.page import Clip, Page


def numbers(run: Edition) -> dict[str, float]:
    """Return the numbers of the abstract, looked up in the tables of the chapters."""
    tables = {name: run.records(name) for name in ("02-problem", "03-encodec", "07-evaluation")}
    return headline(tables, scored_kind(run), run.bandwidth)


def facts(run: Edition) -> dict[str, float | str]:
    """Return what the text says of the edition."""
    return {
        "tr": float(run.settings.tr),
        "kbps": run.bandwidth,
        "codec": run.checkpoint.id,
        "kind": scored_kind(run),
        "description": run.checkpoint.description,
        "licence": run.checkpoint.licence,
        "stimulus": run.stimulus.name,
        "minutes": run.stimulus.seconds / 60,
        "n_trs": run.stimulus.n_trs,
        "edition": run.settings.edition,
        "segments": run.stimulus.segment_source,
        "steps": "; ".join(run.stimulus.steps) or "nothing",
        "brains": brains_of(run),
        "n_subjects": len(run.study.subjects),
    }


def said(numbers: Mapping[str, float], run: Edition) -> dict[str, float | str]:
    """Return the sentences of the abstract that numbers decide, but for the verdicts."""
    scores = bandwidths.by_bandwidth(bandwidths.measured_in(run), "EnCodec")
    return {
        "snr_gate": bandwidths.where(scores["snr_db"] > GATES["snr_db"]),
        "pesq_gate": bandwidths.where(scores["pesq_wb"] > GATES["pesq_wb"]),
        "ladder_in_short": ladder_answer.said(),
        "identified_said": identified_said(numbers["identified"], numbers["identified_p"]),
    }


def identified_said(share: float, p: float) -> str:
    """Say what share of pairs of segments is told apart, and with which p."""
    if math.isnan(share):
        return "no pair: too little sound is held out"
    tested = f"p = {p:.3f}" if math.isfinite(p) else "not testable on so little sound"
    return f"{share:.2f} of pairs, with chance at one half ({tested})"


def at_main_bandwidth(page: Page, passage: str) -> dict[str, Clip]:
    """Return what chapter 3 made of a passage at the edition's main bandwidth, under each clip's condition."""
    made = page.clips("03-encodec", passage)
    return {clip.condition: clip for clip in made if clip.bandwidth_kbps == page.run.bandwidth}
