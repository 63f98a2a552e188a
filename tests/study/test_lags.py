"""Brains that follow a sound at another lag: by how many TRs, and which of shift, events and film it can be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from fmri_audio.study.facts import Run
from fmri_audio.study.lags import Followed, suspicions
from fmri_audio.study.sync import best_shift, envelope_check

from . import made

N = 240
"""TRs of a run."""


def slow_noise(seed: int) -> np.ndarray:
    return gaussian_filter1d(np.random.default_rng(seed).standard_normal(N), 2, mode="wrap")


def followed(run: str, lags: Mapping[str, int | None], seed: int = 0) -> Followed:
    """A run whose subjects answer so many TRs later than declared, or not at all."""
    film = slow_noise(seed)
    told = enumerate(lags.values(), start=1)
    heard = [slow_noise(100 * seed + i) if lag is None else np.roll(film, lag) for i, lag in told]
    noisy = [one + 0.5 * slow_noise(50 + i + seed) for i, one in enumerate(heard)]
    brains = dict(zip(lags, noisy, strict=True))
    mean = np.mean(list(brains.values()), axis=0)
    halves = [envelope_check(film[half], mean[half], made.TR) for half in np.array_split(np.arange(N), 2)]
    return Followed(
        Run(name=run, first_tr=0, n_trs=N),
        Path(f"{run}.wav"),
        envelope_check(film, mean, made.TR),
        {subject: envelope_check(film, brain, made.TR) for subject, brain in brains.items()},
        halves,
        best_shift(film, mean, made.TR),
    )


def everyone(lag: int | None) -> dict[str, int | None]:
    return dict.fromkeys(["01", "02", "03"], lag)


def told(*runs: Followed, shift: int = 3, begins: str = "an onset") -> list[str]:
    return suspicions(runs, shift, made.TR, begins)


def test_brains_in_their_place_raise_no_suspicion() -> None:
    assert told(followed("a", everyone(0)), followed("b", everyone(1), 1)) == []


def test_all_runs_alike_are_the_shift() -> None:
    one, two = told(followed("a", everyone(5)), followed("b", everyone(5), 1))
    assert one.startswith(
        "a.wav: auditory cortex follows it +5 TRs from where the shift of 3 TRs puts it (run a: r = "
    )
    assert (
        "all 2 runs agree, so the shift is wrong (shift_trs: -2 would fit), or all events are, not one film"
        in one
    )
    assert two.startswith("b.wav: auditory cortex follows it +5 TRs")


@pytest.mark.parametrize(
    ("lag", "event", "film"),
    [
        (-4, "4 TRs, 6 s, earlier", "begins with another 6 s"),
        (22, "22 TRs, 33 s, later", "without its first 33 s"),
    ],
)
def test_one_run_of_several_is_its_events_or_its_film(lag: int, event: str, film: str) -> None:
    [said] = told(followed("a", everyone(0)), followed("b", everyone(lag), 1))
    assert (
        f"b.wav: auditory cortex follows it {lag:+d} TRs" in said
        and "so it is not the shift but its events" in said
    )
    assert event in said and film in said and "an onset" in said
    [said] = told(
        followed("a", everyone(0)), followed("b", everyone(lag), 1), begins="in study.yml, a run that begins"
    )
    assert "in study.yml, a run that begins" in said


def test_one_run_alone_does_not_tell_which() -> None:
    [said] = told(followed("a", everyone(-4)), shift=0)
    assert (
        "-4 TRs from where the shift of 0 TRs puts it" in said
        and "the shift (shift_trs: 4 would fit)" in said
    )
    assert "its events" in said and "its film" in said and said.endswith("which one run alone does not tell")


def test_runs_that_disagree_are_not_the_shift_alone() -> None:
    said = told(followed("a", everyone(4)), followed("b", everyone(-5), 1))
    assert len(said) == 2 and all(
        "the runs disagree by how much, so it is not the shift alone" in one for one in said
    )


def test_one_subject_alone_is_that_scans_events() -> None:
    [said] = told(followed("a", {"01": 0, "02": 6, "03": 0}), followed("b", everyone(0), 1))
    assert said.startswith("a.wav: subject 02 follows it +6 TRs from where the shift of 3 TRs puts run a")
    assert (
        "others do not: not the shift or the film, but the events of that scan (an onset 6 TRs later)" in said
    )


def test_a_film_that_nobody_follows_is_the_film() -> None:
    [said] = told(followed("a", everyone(None)), followed("b", everyone(0), 1))
    assert said.startswith("a.wav: auditory cortex does not follow its envelope (r = ")
    assert said.endswith("nor at any other lag: the film may be the wrong one")


def test_a_film_cut_otherwise_in_its_middle_is_the_film() -> None:
    rng = np.random.default_rng(5)
    film = gaussian_filter1d(rng.standard_normal(400), 2, mode="wrap")
    brain = np.concatenate([film[:200], np.roll(film[200:], 6)])
    halves = [envelope_check(film[half], brain[half], made.TR) for half in np.array_split(np.arange(400), 2)]
    group = envelope_check(film, brain, made.TR)
    [said] = told(Followed(Run(name="a", first_tr=0, n_trs=400), Path("a.wav"), group, {}, halves))
    assert "its first half +0 TRs and its second half +6 TRs" in said and "the film is cut otherwise" in said
