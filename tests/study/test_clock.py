"""Sound and volumes on one clock, whatever TR, number of runs and stories of a scan, and whenever a sound began."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fmri_audio.sound import audio
from fmri_audio.study import sync
from fmri_audio.study.facts import Clip, Run, StudyFile
from fmri_audio.study.layouts.bids import find_bids

from . import trees

RATE = audio.SAMPLE_RATE
TRS = st.sampled_from(["0.71", "1.5", "2", "0.8", "2.0045", "1", "0.4625", "49/30"]).map(Fraction)
LEADS = st.one_of(
    st.none(),
    st.decimals(-3, 3, places=3).map(Fraction),
    st.sampled_from(["10", "-10.65", "1/3"]).map(Fraction),
)
RUNS = st.lists(st.tuples(st.integers(8, 30), st.integers(0, 3), LEADS), min_size=1, max_size=5)


def clocked(n: int) -> SimpleNamespace:
    """A sound whose samples say which they are, from 1 on; 0 is silence put before it."""
    return SimpleNamespace(
        waveform=np.arange(1, n + 1, dtype=np.float64), steps=[], seconds=n / RATE, description="ramp"
    )


@settings(max_examples=60, deadline=None)
@given(TRS, RUNS)
def test_every_volume_hears_its_own_moment_of_the_sound(
    tr: Fraction, given_runs: list[tuple[int, int, Fraction | None]]
) -> None:
    runs, ends = [], {}
    for k, (n_trs, skip, lead) in enumerate(given_runs):
        first = runs[-1].last_tr if runs else 0
        name = f"{k}.wav"
        runs.append(
            Run(name=str(k), first_tr=first, n_trs=n_trs, skip_trs=skip, stimulus=name, stimulus_lead=lead)
        )
        ends[name] = round(((lead or 0) + n_trs * tr) * RATE)
    facts = StudyFile(name="made", tr=tr, shift_trs=0, subjects=[1], runs=runs)
    with (
        mock.patch.object(audio, "read_mono", lambda path: clocked(ends[Path(path).name])),
        mock.patch.object(audio, "refuse_silence", return_value=None),
    ):
        sounds = sync.run_sounds(Path("study"), facts, None, None)
    assert [sound.run for sound in sounds] == runs
    unit, joined = (tr * audio.FRAME_RATE).denominator, 0
    for sound in sounds:
        lead = sound.run.stimulus_lead or Fraction(0)
        begin, end = sound.block
        assert sound.run.first_tr + sound.run.skip_trs == begin and end <= sound.run.last_tr
        assert sound.starts == lead + (begin - sound.run.first_tr) * tr
        assert sound.run.last_tr - end <= unit, "a run gives up less than it takes to reach a whole frame"
        assert joined * tr * audio.FRAME_RATE % 1 == 0, "every run begins on a frame of the joined sound"
        for volume in range(begin, end):
            at = round((volume - begin) * tr * RATE)
            moment = lead + (volume - sound.run.first_tr) * tr  # of the sound, exactly
            heard = sound.waveform[at]
            if moment < -Fraction(1, RATE):
                assert heard == 0
            else:
                assert abs(Fraction(int(heard) - 1, RATE) - moment) <= Fraction(2, RATE), "no drift, ever"
        joined += end - begin


@settings(max_examples=40, deadline=None)
@given(
    TRS,
    st.lists(st.tuples(st.integers(0, 4), st.integers(3, 12)), min_size=1, max_size=4),
    st.integers(-2, 9),
)
def test_stories_of_one_scan_are_runs_that_begin_where_they_were_heard(
    tr: Fraction, stories: list[tuple[int, int]], early: int
) -> None:
    """Pauses and lengths in thirds of a TR; the first story may begin before the scan."""
    third, rows, exact = tr / 3, [], []
    now = third * early
    for k, (pause, length) in enumerate(stories):
        now += pause * third if k else 0
        lasts = 3 * length * third
        rows.append((f"{float(now):.12f}", f"{float(lasts):.12f}", "story", f"s{k}.wav"))
        exact.append((now, length))
        now += lasts
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        trees.plant(folder, [trees.preprocessed("sub-01_task-tale")])
        trees.tell(folder / "task-tale_events.tsv", rows)
        (folder / "task-tale_bold.json").write_text(f'{{"RepetitionTime": {float(tr)!r}}}')
        for k in range(len(stories)):
            trees.sound(folder, f"s{k}.wav")
        found = find_bids(folder)
    stated = Fraction(repr(float(tr)))
    assert found.facts.tr == stated
    for run, scan, (onset, length) in zip(found.facts.runs, found.scans["01"], exact, strict=True):
        assert abs(scan.first_volume * stated - max(onset, Fraction(0))) <= stated / 2 + Fraction(1, 10**6)
        assert run.stimulus_lead is not None
        assert abs(run.stimulus_lead - (scan.first_volume * stated - onset)) < Fraction(1, 10**6)
        assert abs(scan.n_trs - length) <= (0 if onset >= 0 else 1)


@settings(max_examples=40, deadline=None)
@given(
    TRS,
    st.lists(st.tuples(st.integers(-4, 30), st.integers(0, 8), st.integers(1, 12)), min_size=1, max_size=6),
)
def test_clips_lie_where_they_were_played(tr: Fraction, given_clips: list[tuple[int, int, int]]) -> None:
    """Onsets, starts and lengths in fifths of a second; clips may begin before the run or go on after it."""
    clips = [
        Clip(sound=f"{k}.wav", onset=Fraction(a, 5), start=Fraction(b, 5), length=Fraction(c, 5))
        for k, (a, b, c) in enumerate(given_clips)
    ]
    run = Run(name="1", first_tr=0, n_trs=7, stimulus="events.tsv", clips=clips)
    ones = SimpleNamespace(waveform=np.ones(4 * RATE, np.float32), steps=[])
    with mock.patch.object(audio, "read_mono", return_value=ones):
        waveform, _ = sync.read_film(Path("events.tsv"), run, tr, Fraction(0), Path("study"))
    assert len(waveform) == round(7 * tr * RATE)
    expected = np.zeros(len(waveform))
    for clip in clips:
        begin, end = (round(at * RATE) for at in (clip.onset, clip.onset + clip.length))
        expected[max(0, begin) : max(0, end)] += 1
    np.testing.assert_allclose(waveform / 0.05, expected, atol=1e-5)
