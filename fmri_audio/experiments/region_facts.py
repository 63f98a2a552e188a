"""What a study's regions are like: the quantities that simulated brains are held to.

The same function looks at real brains and at simulated ones, run by run. Regions are the columns of a study of parcels,
or averages of voxels; which of them are looked at is chosen on some runs, for these and for others. BOLD and what was
heard lose what takes longer than 128 s, as they do wherever this paper decodes: simulated signals have nothing slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block
from fmri_audio.brain.agreement import correlate, leave_one_out_isc, pairwise_isc
from fmri_audio.brain.cleaning import HIGH_PASS_SECONDS, clean_blocks
from fmri_audio.brain.response import canonical_response
from fmri_audio.decoding import series
from fmri_audio.decoding.regression import fit_ridge
from fmri_audio.decoding.series import Pipeline, Recorded

N_REGIONS = 4
"""So many regions are looked at, of each kind: as many as simulated auditory cortex has of a parcel's size."""
_LAGS = range(6)

Facts = dict[str, NDArray[np.float64]]
"""A quantity's value in every run, [runs]."""


@dataclass(frozen=True)
class Regions:
    """Runs of a study with every region of every listener filtered and standardised run by run.

    Attributes
    ----------
    bold : array, shape [subjects, TRs, regions]
    slow : array, shape [subjects, runs]
        Share of the variance that takes longer than 128 s, beside a trend, mean over regions.
    heard : mapping of target to array [TRs]
        Through the canonical response, filtered and standardised like BOLD.
    runs : list of (first, last)
    """

    bold: NDArray[np.float64]
    slow: NDArray[np.float64]
    heard: dict[str, NDArray[np.float64]]
    runs: list[Block]

    @classmethod
    def of(cls, what: Recorded) -> Regions:
        """Filter and standardise what was recorded."""
        kept, slow = [], []
        for one in what.bold.values():
            clean, trend = (
                clean_blocks(one, what.runs, what.tr, limit) for limit in (HIGH_PASS_SECONDS, None)
            )
            slow.append(
                [1 - clean[a:b].var(axis=0).sum() / trend[a:b].var(axis=0).sum() for a, b in what.runs]
            )
            kept.append(_standard(clean, what.runs))
        responses = {name: _response(values, what) for name, values in what.heard.items()}
        return cls(np.stack(kept), np.array(slow), responses, what.runs)


@dataclass(frozen=True)
class Chosen:
    """Regions that are looked at, chosen on the runs that are fitted on.

    Attributes
    ----------
    sound : array of int
        Those whose mean over listeners follows the level most.
    best : array of int
        Those whose listeners agree most, whatever they follow.
    """

    sound: NDArray[np.int64]
    best: NDArray[np.int64]


def choose_regions(regions: Regions, n: int = N_REGIONS) -> Chosen:
    """Choose them, best first, [n] each.

    Raises
    ------
    UserError
        There are fewer regions.
    """
    if regions.bold.shape[2] < n:
        raise UserError(f"{regions.bold.shape[2]} regions are fewer than the {n} best that are looked at")
    agreement = np.nan_to_num(leave_one_out_isc(regions.bold).mean(axis=0), nan=-1.0)
    following = _following(regions.bold.mean(axis=0), regions.heard["level"])
    return Chosen(*(np.argsort(-x, kind="stable")[:n] for x in (following, agreement)))


def facts_of(regions: Regions, chosen: Chosen) -> Facts:
    """How listeners agree, what their agreement follows, and what each has beside it, run by run.

    Parameters
    ----------
    regions : Regions
        Of at least two runs, so that each can be held out. All that was heard explains; ``level`` is among it.
    chosen : Chosen

    Returns
    -------
    dict
        Of the regions that follow the sound: ``agreement`` (leave-one-out correlation between listeners), ``pairs``
        (of two), ``level r`` (of one listener with the level's response), ``explained by level`` and ``explained by
        sound`` (share of what listeners share, in a run that had no part in the fit). ``agreement of the best`` and
        ``median agreement``: of the regions that agree most, and of all. ``residual …``: lag-1 autocorrelation and
        correlation between regions of what a listener has beside the others' mean. ``slow``: share of BOLD's variance
        that takes longer than 128 s.
    """
    found: dict[str, list[float]] = {}
    for first, last in regions.runs:
        bold = regions.bold[:, first:last]
        agreement = leave_one_out_isc(bold).mean(axis=0)
        level = regions.heard["level"][first:last]
        of_run = {
            "agreement": agreement[chosen.sound].mean(),
            "pairs": pairwise_isc(bold[:, :, chosen.sound]).mean(),
            "level r": np.mean([_following(one[:, chosen.sound], level) for one in bold]),
            "agreement of the best": agreement[chosen.best].mean(),
            "median agreement": np.nanmedian(agreement),
            **_residual(bold),
        }
        for name, value in of_run.items():
            found.setdefault(name, []).append(float(value))
    alone = replace(regions, heard={"level": regions.heard["level"]})
    return {name: np.array(values) for name, values in found.items()} | {
        "explained by level": explained(alone, chosen.sound),
        "explained by sound": explained(regions, chosen.sound),
        "slow": regions.slow.mean(axis=0),
    }


def decoded_facts(what: Recorded, pipeline: Pipeline) -> Facts:
    """How well the level is decoded from held-out runs, of which there should be three at least.

    Returns
    -------
    dict
        ``level within`` a listener, ``across`` (trained on the mean of the others), ``of 3 averaged`` and ``of all
        averaged`` (means of predictions), ``after one run`` of training, which is the one before, or the last for the
        first; ``level … s``: of the mean of all predictions, by octave.
    """
    pipeline = pipeline.model_copy(update={"high_pass_seconds": HIGH_PASS_SECONDS})
    splits = pipeline.splits(what.runs, what.tr, what.shift)
    blocks = [split.test_block for split in splits]
    level, fast = what.heard["level"], series.high_pass(what.tr, HIGH_PASS_SECONDS)
    own = [series.decode(bold, level, splits, pipeline, what.tr, what.shift) for bold in what.bold.values()]
    standard = {k: _standard(np.asarray(bold, np.float64), what.runs) for k, bold in what.bold.items()}
    total = np.sum([*standard.values()], axis=0)
    across = [
        series.decode(
            ((total - standard[k]) / (len(what.bold) - 1)).astype(np.float32),
            level,
            splits,
            pipeline,
            what.tr,
            what.shift,
            tested=bold,
        )
        for k, bold in what.bold.items()
    ]
    averaged = [np.mean(own, axis=0)]
    threes = [np.mean(own[k : k + 3], axis=0) for k in range(0, len(own) - 2, 3)]
    found = {
        "level within": _by_run(own, level, blocks, fast),
        "level across": _by_run(across, level, blocks, fast),
        "level of 3 averaged": _by_run(threes, level, blocks, fast),
        "level of all averaged": _by_run(averaged, level, blocks, fast),
        "level after one run": _after_one_run(what, pipeline),
    }
    for shortest, longest in series.octaves(what.tr):
        if longest <= HIGH_PASS_SECONDS:
            keep = series.band(what.tr, shortest, longest)
            found[f"level {shortest:g} to {longest:g} s"] = _by_run(averaged, level, blocks, keep)
    return found


def _after_one_run(what: Recorded, pipeline: Pipeline) -> NDArray[np.float64]:
    """Every run decoded by what one other run alone has taught, mean over listeners, [runs]."""
    found, fast = [], series.high_pass(what.tr, HIGH_PASS_SECONDS)
    for k, block in enumerate(what.runs):
        before = what.runs[k - 1]
        rows = np.concatenate([np.arange(*before), np.arange(*block)])
        first = before[1] - before[0]
        runs = [(0, first), (first, len(rows))]
        level = what.heard["level"][rows]
        splits = [pipeline.splits(runs, what.tr, what.shift)[1]]
        own = [
            series.decode(bold[rows], level, splits, pipeline, what.tr, what.shift)
            for bold in what.bold.values()
        ]
        found.append(_by_run(own, level, [splits[0].test_block], fast)[0])
    return np.array(found)


def _by_run(
    predicted: Sequence[NDArray[np.float64]],
    true: NDArray[np.float64],
    blocks: Sequence[Block],
    prepare: series.Prepare,
) -> NDArray[np.float64]:
    """Correlation in every block, mean over predictions, [blocks]."""
    return np.array(
        [
            np.mean([series.shifted_correlations(one[a:b], true[a:b], prepare)[0] for one in predicted])
            for a, b in blocks
        ]
    )


def explained(regions: Regions, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of what listeners share in some regions that what was heard explains, in every run by the others, [runs].

    Ridge regression from all targets at six lags to the listeners' mean; the square of the correlation, with its sign,
    over the share of the mean's variance that is common to all (from the correlation between pairs). Both are averaged
    over the regions first: where listeners share next to nothing, a quotient says nothing.
    """
    group = regions.bold[:, :, chosen].mean(axis=0)
    design = _lagged(np.stack([*regions.heard.values()], axis=1), regions.runs).astype(np.float32)
    n, found = len(regions.bold), []
    for held_out in regions.runs:
        train = np.concatenate([np.arange(*run) for run in regions.runs if run != held_out])
        test = np.arange(*held_out)
        ridge = fit_ridge(design[train], group[train], train, n_folds=4, gap=10)
        r = correlate(ridge.predict(design[test]), group[test])
        pairs = pairwise_isc(regions.bold[:, test][:, :, chosen]).mean(axis=0)
        common = n * pairs / (1 + (n - 1) * pairs)
        found.append((r * np.abs(r)).mean() / np.clip(common.mean(), 1e-3, 1))
    return np.array(found)


def _response(values: NDArray[np.float64], what: Recorded) -> NDArray[np.float64]:
    """What was heard as BOLD would follow it, filtered and standardised run by run, [TRs]."""
    kernel = canonical_response(1 / float(what.tr))
    followed = np.zeros((len(values), 1))
    for first, last in what.runs:
        rest = np.pad(values[first:last] - values[first:last].mean(), (0, what.shift))
        followed[first:last, 0] = np.convolve(rest, kernel)[what.shift : what.shift + last - first]
    return _standard(clean_blocks(followed.astype(np.float32), what.runs, what.tr), what.runs)[:, 0]


def _lagged(values: NDArray[np.float64], runs: Sequence[Block]) -> NDArray[np.float64]:
    """Values [TRs, columns] up to five TRs later side by side; zero where a run has not begun."""
    made = np.zeros((len(values), values.shape[1] * len(_LAGS)))
    for first, last in runs:
        for k, lag in enumerate(_LAGS):
            made[first + lag : last, k * values.shape[1] : (k + 1) * values.shape[1]] = values[
                first : last - lag
            ]
    return made


def _residual(bold: NDArray[np.float64]) -> dict[str, float]:
    """What a listener has in a run [subjects, TRs, regions] beside the mean of the others."""
    total, lag_one, between = bold.sum(axis=0), [], []
    for one in bold:
        others = (total - one) / (len(bold) - 1)
        left = one - others * (one * others).sum(axis=0) / np.maximum((others**2).sum(axis=0), 1e-9)
        lag_one.append(((left[1:] * left[:-1]).sum(axis=0) / (left**2).sum(axis=0)).mean())
        correlations = np.corrcoef(left.T)
        between.append(correlations[np.triu_indices(len(correlations), 1)].mean())
    return {"residual lag-1": float(np.mean(lag_one)), "residual between regions": float(np.mean(between))}


def _following(bold: NDArray[np.float64], level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation of courses [TRs, regions] with a response [TRs], [regions]."""
    return correlate(np.broadcast_to(level[:, None], bold.shape), bold)


def _standard(values: NDArray[np.floating], runs: Sequence[Block]) -> NDArray[np.float64]:
    """Mean 0 and deviation 1 in every run."""
    made = np.zeros(values.shape)
    for first, last in runs:
        block = np.asarray(values[first:last], np.float64)
        block = block - block.mean(axis=0)
        spread = block.std(axis=0)
        made[first:last] = block / np.where(spread > 1e-9, spread, 1.0)
    return made
