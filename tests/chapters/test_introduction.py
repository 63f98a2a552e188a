"""Chapter 1: what the edition is, and the sentences of the abstract."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from fmri_audio.chapters import introduction
from fmri_audio.pages.page import NO_WEIGHTS, Clip
from tests.chapters.editions import toy_edition


@pytest.mark.parametrize(
    ("share", "p", "said"),
    [
        (0.62, 0.0123, "0.62 of pairs, with chance at one half (p = 0.012)"),
        (0.5, math.nan, "0.50 of pairs, with chance at one half (not testable on so little sound)"),
        (math.nan, math.nan, "no pair: too little sound is held out"),
    ],
)
def test_identification_is_said_as_far_as_it_could_be_tested(share: float, p: float, said: str) -> None:
    assert introduction.identified_said(share, p) == said


@pytest.mark.parametrize(("simulated", "brains"), [(True, "simulated brains"), (False, "measured brains")])
@pytest.mark.parametrize(("steps", "said"), [([], "nothing"), (["mixed", "cut"], "mixed; cut")])
def test_it_is_said_whose_brains_and_what_was_done_to_the_sound(
    simulated: bool, brains: str, steps: list[str], said: str
) -> None:
    checkpoint = SimpleNamespace(id="demo-1", description="narrow", licence="MIT")
    study = SimpleNamespace(simulated=simulated, subjects=["1", "2"])
    run = toy_edition(np.zeros(9 * 24_000, np.float32), checkpoint=checkpoint, study=study)
    run.stimulus.steps, run.stimulus.segment_source = steps, "a table"
    facts = introduction.facts(run)
    assert (facts["brains"], facts["n_subjects"], facts["steps"]) == (brains, 2, said)
    assert (facts["tr"], facts["kind"], facts["minutes"]) == (1.5, "speech", 9 / 60)


def test_the_first_row_is_of_the_main_bandwidth() -> None:
    clips = [Clip("n", "w", f"at {kbps:g}", NO_WEIGHTS, "", "03", kbps, 5.0, 0.0, "0") for kbps in (1.5, 6.0)]
    page = SimpleNamespace(run=SimpleNamespace(bandwidth=6.0), clips=lambda chapter, clip: clips)
    assert introduction.at_main_bandwidth(page, "w") == {"at 6": clips[1]}
