"""Sound and scans on one clock: which volumes a film belongs to, and whether the brains follow it at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fmri_audio.base import timeline
from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block, Waveform
from fmri_audio.brain.cleaning import clean_blocks
from fmri_audio.sound import audio
from fmri_audio.study.clips import sound_of_clips
from fmri_audio.study.facts import Run, StudyFile, listed

MOST_LAGS = 10
"""TRs to either side of the declared shift at which the envelope is compared with the brain."""

FEWEST_SHIFTS = 99
"""Fewest circular shifts that a threshold is taken from."""

N_SURROGATES = 199
"""Surrogates of a prediction that tell what chance reaches at the best of all shifts."""


@dataclass(frozen=True)
class RunSound:
    """The sound of the TRs that are used of one run.

    Attributes
    ----------
    run : Run
    block : (first, last)
        Volumes of the joined study, ``first <= k < last``.
    waveform : array of float32, shape [T]
        Mono; exactly the TRs of the block.
    path : Path
    starts : Fraction
        Second of the file at which the block begins.
    steps : list of str
        What was done to the recording, one phrase each.
    """

    run: Run
    block: Block
    waveform: Waveform
    path: Path
    starts: Fraction
    steps: list[str]


def read_film(
    path: Path, run: Run, tr: Fraction, lead: Fraction | None = None, study: Path | None = None
) -> tuple[Waveform, list[str]]:
    """Read the sound of a run and bring it to the run's clock.

    Parameters
    ----------
    path : path
        Sound, or film in any container.
    run : Run
    tr : Fraction
        Seconds.
    lead : Fraction, optional
        Seconds of the sound before the run's first TR; see :class:`fmri_audio.study.facts.Run`. Without it the sound
        begins with the run's first TR and ends with its last.
    study : path, optional
        Folder of the study where the run's own sound is read, which may be put together from clips
        (:mod:`fmri_audio.study.clips`); None for a film that takes its place.

    Returns
    -------
    waveform : array of float32, shape [T]
        Mono, whole TRs from the run's first on: all of the run, or one TR fewer where the sound ends within the last.
    steps : list of str
        What was done, one phrase each.

    Raises
    ------
    UserError
        It cannot be read, is silent, or is longer or shorter than the run by more than a TR.
    """
    if study is not None and run.clips:
        return sound_of_clips(study, run, tr)
    sound = audio.read_mono(path)
    waveform, steps = sound.waveform, sound.steps
    steps.insert(0, f"read {path.name} ({sound.description}; {sound.seconds:.2f} s)")
    audio.refuse_silence(waveform, path)
    rate = audio.SAMPLE_RATE
    if lead is not None:
        waveform = _from_lead(waveform, timeline.seconds_to_samples(lead, rate), run, steps)
    needed = timeline.trs_to_samples(run.n_trs, rate, tr)
    excess = len(waveform) - needed
    if abs(excess) > tr * rate and (excess < 0 or lead is None):
        raise UserError(
            f"{path} lasts {sound.seconds:.2f} s, {'longer' if excess > 0 else 'shorter'} than run {run.name} by more "
            f"than a TR ({run.n_trs} TRs of {float(tr):g} s: {float(run.n_trs * tr):.2f} s"
            f"{f', from {float(lead):.2f} s of the sound on' if lead else ''}); "
            "give the film of this run as it was shown"
        )
    if excess > 0:
        steps.append(f"cut {excess / rate:.2f} s after the end of run {run.name}")
    elif excess < 0:
        steps.append(
            f"{path.name} ends {-excess / rate:.2f} s before run {run.name}: its last TR is left out"
        )
    whole = min(run.n_trs, timeline.whole_trs(len(waveform), rate, tr))
    return waveform[: timeline.trs_to_samples(whole, rate, tr)], steps


def run_sounds(
    folder: Path, facts: StudyFile, trs: Sequence[int] | None, films: str | Mapping[str, str] | None
) -> list[RunSound]:
    """The sound of every run that is used, cut to the TRs that are used.

    Every run begins on a whole codec frame of the joined sound: with 112.5 frames in a TR of 1.5 s, a run that another
    follows has an even number of TRs, and gives up its last where it would not.

    Parameters
    ----------
    folder : path
        Of the study; its own sounds count from there.
    facts : StudyFile
    trs : (first, last), optional
        As in :meth:`fmri_audio.study.facts.StudyFile.kept`.
    films : path, or mapping of run name to path, optional
        One film for the first run that is used, or those of the runs named; the study's own sounds unless given.

    Raises
    ------
    UserError
        A film does not fit its run or names no run, or the study has no sound of its own.
    """
    kept = facts.kept(trs)
    if films is None and facts.stimulus is not None:
        path = folder / facts.stimulus
        sound = audio.read_mono(path)
        return joined_sounds(sound.waveform, path, sound.steps, facts, trs)
    sounds = []
    for run, path, lead in films_of_runs(folder, facts, [run for run, _ in kept], films):
        waveform, steps = read_film(path, run, facts.tr, lead, folder if films is None else None)
        block = next((block for other, block in kept if other == run), None)
        if block is None:
            raise UserError(
                f"study.trs: TRs {listed(trs or [])} hold nothing of run {run.name}, which {path.name} was given for; "
                "give a wider range or leave its film out"
            )
        sounds.append(_cut(waveform, path, steps, run, block, facts.tr, lead or Fraction(0)))
    names = {sound.run.name for sound in sounds}
    sounds[-1].steps.extend(
        f"run {run.name} has no film and is left out" for run, _ in kept if run.name not in names
    )
    return _on_whole_frames(sounds, facts.tr)


def joined_sounds(
    waveform: Waveform, path: Path, steps: list[str], facts: StudyFile, trs: Sequence[int] | None
) -> list[RunSound]:
    """The sound of every run that is used, from one recording of them all, which may go on after the last.

    Parameters
    ----------
    waveform : array of float32, shape [T]
        From the first TR of the first run on.
    path : path
        Where it came from.
    steps : list of str
        What was done to it.
    facts, trs
        As in :func:`run_sounds`.

    Raises
    ------
    UserError
        It ends before the runs do.
    """
    rate, tr = audio.SAMPLE_RATE, facts.tr
    if len(waveform) < timeline.trs_to_samples(facts.n_trs, rate, tr):
        raise UserError(
            f"{path} lasts {len(waveform) / rate:.2f} s, the {facts.n_trs} TRs of {facts.name} "
            f"{float(facts.n_trs * tr):.2f} s; give the sound of all runs"
        )
    sounds: list[RunSound] = []
    for run, block in facts.kept(trs):
        begin, end = (timeline.trs_to_samples(k, rate, tr) for k in (run.first_tr, run.last_tr))
        given = steps if not sounds else []
        sounds.append(_cut(waveform[begin:end], path, given, run, block, tr, run.first_tr * tr))
    return _on_whole_frames(sounds, tr)


def films_of_runs(
    folder: Path, facts: StudyFile, kept: Sequence[Run], films: str | Mapping[str, str] | None
) -> list[tuple[Run, Path, Fraction | None]]:
    """Which file is the sound of which run, in the order of the runs, and its lead.

    Raises
    ------
    UserError
        A film is for a run that does not exist, or a run has no sound.
    """
    if films is None:
        silent = [run.name for run in kept if run.stimulus is None]
        if silent:
            raise UserError(
                f"{folder}: the study names no sound for run {silent[0]}; set stimulus.source or STIMULUS=FILE"
            )
        return [(run, folder / str(run.stimulus), run.stimulus_lead) for run in kept]
    if isinstance(films, str):
        return [(kept[0], Path(films), None)]
    names = [run.name for run in facts.runs]
    unknown = [name for name in films if name not in names]
    if unknown or not films:
        raise UserError(
            f"stimulus.source: {f'there is no run {unknown[0]}' if unknown else 'no run is named'}; "
            f"the runs of {facts.name} are {listed(names)}"
        )
    return [(run, Path(films[run.name]), None) for run in facts.runs if run.name in films]


def has_own_sound(facts: StudyFile) -> bool:
    """Whether a study names the sound that was heard."""
    return facts.stimulus is not None or all(run.stimulus is not None for run in facts.runs)


def _from_lead(waveform: Waveform, lead: int, run: Run, steps: list[str]) -> Waveform:
    """Let a sound begin with the run: cut its first ``lead`` samples, or put as many zeros before it."""
    seconds = abs(lead) / audio.SAMPLE_RATE
    if lead > 0:
        steps.append(f"cut {seconds:.2f} s before the first TR of run {run.name}")
    elif lead < 0:
        steps.append(f"put {seconds:.2f} s of silence before it: run {run.name} begins earlier")
    return waveform[lead:] if lead >= 0 else np.pad(waveform, (-lead, 0))


def _cut(
    waveform: Waveform,
    path: Path,
    steps: list[str],
    run: Run,
    block: Block,
    tr: Fraction,
    run_starts: Fraction,
) -> RunSound:
    """Cut a run's sound [T], from its first TR on, to the block that is used."""
    rate = audio.SAMPLE_RATE
    first = block[0] - run.first_tr
    last = min(block[1] - run.first_tr, timeline.whole_trs(len(waveform), rate, tr))
    if last <= first:
        raise UserError(f"{path} ends before the TRs of run {run.name} that are used; change study.trs")
    begin, end = (timeline.trs_to_samples(k, rate, tr) for k in (first, last))
    skipped = [f"left out the first {run.skip_trs} TRs of run {run.name}"] if run.skip_trs else []
    taken = f"took TRs {first + 1} to {last} of run {run.name}, TRs {run.first_tr + first + 1} to "
    return RunSound(
        run,
        (run.first_tr + first, run.first_tr + last),
        waveform[begin:end],
        path,
        run_starts + first * tr,
        [*steps, *skipped, f"{taken}{run.first_tr + last} of the scans"],
    )


def _on_whole_frames(sounds: list[RunSound], tr: Fraction) -> list[RunSound]:
    """Shorten every run but the last so that the next begins on a whole frame of the joined sound."""
    unit = (tr * audio.FRAME_RATE).denominator
    fitted = []
    for sound in sounds[:-1]:
        surplus = (sound.block[1] - sound.block[0]) % unit
        if surplus:
            n_trs = sound.block[1] - sound.block[0] - surplus
            sound = replace(
                sound,
                block=(sound.block[0], sound.block[0] + n_trs),
                waveform=sound.waveform[: timeline.trs_to_samples(n_trs, audio.SAMPLE_RATE, tr)],
                steps=[
                    *sound.steps,
                    f"run {sound.run.name} gives up its last {'TR' if surplus == 1 else f'{surplus} TRs'}, "
                    "so that the next begins on a whole codec frame",
                ],
            )
        fitted.append(sound)
    return [*fitted, sounds[-1]]


@dataclass(frozen=True)
class EnvelopeCheck:
    """How well the brain follows a sound's envelope.

    Attributes
    ----------
    correlation : float
        At the declared shift.
    best_lag, best_correlation : int, float
        Within ±10 TRs of it; a positive lag means that the brain answers so many TRs later than declared.
    threshold, best_threshold : float
        What 95 % of circular shifts stay below, at one lag and at the best of so many; NaN with fewer than 99 shifts.
    n_shifts : int
    highest : float
        The highest correlation at any of these shifts.
    """

    correlation: float
    best_lag: int
    best_correlation: float
    threshold: float
    best_threshold: float
    n_shifts: int
    highest: float = float("nan")

    @property
    def follows(self) -> bool:
        """Whether the correlation at the declared shift is more than chance; False where that cannot be told."""
        return bool(self.correlation > self.threshold)

    @property
    def elsewhere(self) -> bool:
        """Whether another lag, not a neighbour that the slow response blurs, does so and does it better."""
        return abs(self.best_lag) > 1 and bool(self.best_correlation > self.best_threshold)


def envelope_check(
    predicted: NDArray[np.floating], bold: NDArray[np.floating], tr: Fraction
) -> EnvelopeCheck:
    """Correlate what a sound's envelope lets expect with a region's BOLD, at every circular shift.

    Both are detrended and high-passed alike. Shifts further away than twice the lags searched are the null: they keep
    both autocorrelations and destroy what the two share.

    Parameters
    ----------
    predicted : array, shape [TRs]
        From :func:`fmri_audio.study.envelope.envelope_response`.
    bold : array, shape [TRs]
        Mean of the region over voxels and subjects.
    tr : Fraction
        Seconds.
    """
    n = len(bold)
    x, y = _cleaned(predicted, bold, tr)
    # Entry l is the correlation of the prediction with the BOLD l volumes later.
    around = np.fft.irfft(np.conj(np.fft.rfft(x)) * np.fft.rfft(y), n) / n
    lags = np.arange(-MOST_LAGS, MOST_LAGS + 1) if n > 4 * MOST_LAGS else np.arange(1)
    near, null = around[lags], around[2 * MOST_LAGS + 1 : n - 2 * MOST_LAGS]
    enough = len(null) >= FEWEST_SHIFTS
    best_of = sliding_window_view(null, len(lags)).max(axis=1) if enough else null
    threshold, best_threshold = (
        float(np.quantile(values, 0.95)) if enough else float("nan") for values in (null, best_of)
    )
    return EnvelopeCheck(
        float(around[0]),
        int(lags[near.argmax()]),
        float(near.max()),
        threshold,
        best_threshold,
        len(null),
        float(null.max()) if enough else float("nan"),
    )


def best_shift(
    predicted: NDArray[np.floating], bold: NDArray[np.floating], tr: Fraction
) -> tuple[int, float, float]:
    """The circular shift of all at which a region follows a sound's envelope best, and what chance reaches.

    Chance is told from surrogates of the prediction with its spectrum and random phases (Theiler et al. 1992), each at
    its own best shift.

    Parameters
    ----------
    predicted, bold, tr
        As for :func:`envelope_check`.

    Returns
    -------
    lag : int
        TRs by which the brain answers later than declared; negative: earlier.
    correlation : float
    threshold : float
        What 95 % of surrogates stay below.
    """
    n = len(bold)
    x, y = np.fft.rfft(_cleaned(predicted, bold, tr))
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, (N_SURROGATES, len(x)))
    around = np.fft.irfft(np.conj(x) * y, n) / n
    chance = (np.fft.irfft(np.abs(x) * np.exp(1j * phases) * y, n) / n).max(axis=1)
    lag = int(around.argmax())
    return lag - n if lag > n // 2 else lag, float(around.max()), float(np.quantile(chance, 0.95))


def _cleaned(
    predicted: NDArray[np.floating], bold: NDArray[np.floating], tr: Fraction
) -> NDArray[np.float64]:
    """Prediction and BOLD, detrended, high-passed and standardised alike, [2, TRs]."""
    both = clean_blocks(np.stack([predicted, bold], axis=1), [(0, len(bold))], tr).astype(np.float64)
    both -= both.mean(axis=0)
    spread = both.std(axis=0)
    return np.asarray(np.divide(both, spread, out=np.zeros_like(both), where=spread > 0).T)
