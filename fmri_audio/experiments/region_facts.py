"""What a study's regions are like: the quantities that simulated brains are held to.

The same function looks at real brains and at simulated ones. Regions are the columns of a study of parcels, or averages
of voxels; which of them are looked at is chosen on one set of runs, for that set and others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block
from fmri_audio.brain.agreement import correlate, leave_one_out_isc, pairwise_isc
from fmri_audio.brain.response import canonical_response
from fmri_audio.decoding import series
from fmri_audio.decoding.regression import fit_ridge
from fmri_audio.decoding.series import Pipeline, Recorded

N_REGIONS = 5
"""So many regions are looked at, of each kind."""
SLOW_SECONDS = 128.0
_LAGS = range(6)


@dataclass(frozen=True)
class Regions:
    """Runs of a study with every region of every listener standardised run by run.

    Attributes
    ----------
    bold : array, shape [subjects, TRs, regions]
    runs : list of (first, last)
    heard : mapping of target to array [TRs]
    tr : float
        Seconds.
    shift : int
        TRs by which the volumes were already moved back.
    """

    bold: NDArray[np.float64]
    runs: list[Block]
    heard: dict[str, NDArray[np.float64]]
    tr: float
    shift: int

    @classmethod
    def of(cls, what: Recorded) -> Regions:
        """Standardise what was recorded."""
        bold = np.stack([np.asarray(one, np.float64) for one in what.bold.values()])
        for first, last in what.runs:
            block = bold[:, first:last]
            moment = np.linspace(-1, 1, last - first)[:, None]
            block = block - block.mean(axis=1, keepdims=True)
            block = block - moment * (block * moment).sum(axis=1, keepdims=True) / (moment**2).sum()
            spread = block.std(axis=1, keepdims=True)
            bold[:, first:last] = block / np.where(spread > 1e-9, spread, 1.0)
        return cls(bold, what.runs, what.heard, float(what.tr), what.shift)


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
    following = _following(regions.bold.mean(axis=0), regions)
    return Chosen(*(np.argsort(-x, kind="stable")[:n] for x in (following, agreement)))


def facts_of(what: Recorded, chosen: Chosen) -> dict[str, float]:
    """How listeners agree, what their agreement follows, and what each has beside it.

    Parameters
    ----------
    what : Recorded
        At least two runs, so that each can be held out. All that was heard explains; ``level`` is among it.
    chosen : Chosen

    Returns
    -------
    dict
        Of the regions that follow the sound: ``agreement`` (leave-one-out correlation between listeners), ``pairs``
        (of two), ``level r`` (of one listener with the level's response), ``explained by level`` and ``explained by
        sound`` (share of what listeners share, in held-out runs). ``agreement of the best`` and ``median agreement``:
        of the regions that agree most, and of all. ``residual …``: lag-1 autocorrelation, share slower than 128 s, and
        correlation between regions of what a listener has beside the others' mean.
    """
    regions = Regions.of(what)
    agreement = leave_one_out_isc(regions.bold).mean(axis=0)
    level = replace(regions, heard={"level": regions.heard["level"]})
    single = [_following(one[:, chosen.sound], regions) for one in regions.bold]
    return {
        "agreement": float(agreement[chosen.sound].mean()),
        "pairs": float(pairwise_isc(regions.bold[:, :, chosen.sound]).mean()),
        "level r": float(np.mean(single)),
        "explained by level": explained(level, chosen.sound),
        "explained by sound": explained(regions, chosen.sound),
        "agreement of the best": float(agreement[chosen.best].mean()),
        "median agreement": float(np.nanmedian(agreement)),
        **_residuals(regions),
    }


def decoded_facts(what: Recorded, pipeline: Pipeline) -> dict[str, float]:
    """How well the level is decoded from held-out runs, of which there should be three at least.

    Returns
    -------
    dict
        ``level within`` a listener, ``across`` (trained on the mean of the others), ``of 3 averaged`` and ``of all
        averaged`` (means of predictions), ``after one run`` of training; ``level … s``: of the mean of all
        predictions, by octave.
    """
    splits = pipeline.splits(what.runs, what.tr, what.shift)
    blocks = [split.test_block for split in splits]
    level = what.heard["level"]
    own = [series.decode(bold, level, splits, pipeline, what.tr, what.shift) for bold in what.bold.values()]
    total = np.sum([_by_run(bold, what.runs) for bold in what.bold.values()], axis=0)
    across = [
        series.decode(
            ((total - _by_run(bold, what.runs)) / (len(what.bold) - 1)).astype(np.float32),
            level,
            splits,
            pipeline,
            what.tr,
            what.shift,
            tested=bold,
        )
        for bold in what.bold.values()
    ]
    averaged = np.mean(own, axis=0)
    threes = [np.mean(own[k : k + 3], axis=0) for k in range(0, len(own) - 2, 3)]
    found = {
        "level within": _mean_r(own, level, blocks),
        "level across": _mean_r(across, level, blocks),
        "level of 3 averaged": _mean_r(threes, level, blocks),
        "level of all averaged": _mean_r([averaged], level, blocks),
        "level after one run": _after_one_run(what, pipeline),
    }
    for shortest, longest in series.octaves(what.tr):
        keep = series.band(what.tr, shortest, longest)
        found[f"level {shortest:g} to {longest:g} s"] = _mean_r([averaged], level, blocks, keep)
    return found


def _after_one_run(what: Recorded, pipeline: Pipeline) -> float:
    """Every run decoded by what the run before it alone has taught, mean over listeners and runs."""
    found = []
    for k, block in enumerate(what.runs):
        pair = [what.runs[k - 1], block]
        rows = np.concatenate([np.arange(*one) for one in pair])
        first = pair[0][1] - pair[0][0]
        runs = [(0, first), (first, len(rows))]
        level = what.heard["level"][rows]
        splits = [pipeline.splits(runs, what.tr, what.shift)[1]]
        own = [
            series.decode(bold[rows], level, splits, pipeline, what.tr, what.shift)
            for bold in what.bold.values()
        ]
        found.append(_mean_r(own, level, [splits[0].test_block]))
    return float(np.mean(found))


def _following(bold: NDArray[np.float64], regions: Regions) -> NDArray[np.float64]:
    """Correlation of courses [TRs, regions] with the level through the canonical response, [regions]."""
    level = _responses(replace(regions, heard={"level": regions.heard["level"]}))
    return correlate(np.broadcast_to(level, bold.shape), bold)


def _mean_r(
    predicted: Sequence[NDArray[np.float64]],
    true: NDArray[np.float64],
    blocks: Sequence[Block],
    prepare: series.Prepare = series.as_it_is,
) -> float:
    return float(
        np.mean(
            [
                series.shifted_correlations(one[a:b], true[a:b], prepare)[0]
                for one in predicted
                for a, b in blocks
            ]
        )
    )


def explained(regions: Regions, chosen: NDArray[np.int64]) -> float:
    """Share of what listeners share in some regions that what was heard explains, in held-out runs.

    Ridge regression from all targets at six lags to the listeners' mean, every run held out once; the square of the
    correlation, over the share of the mean's variance that is common to all (from the correlation between pairs). Both
    are averaged over the regions first: where listeners share next to nothing, a quotient says nothing.
    """
    group = regions.bold[:, :, chosen].mean(axis=0)
    design = _lagged(_responses(regions), regions.runs).astype(np.float32)
    r = []
    for held_out in regions.runs:
        train = np.concatenate([np.arange(*run) for run in regions.runs if run != held_out])
        test = np.arange(*held_out)
        ridge = fit_ridge(design[train], group[train], train, n_folds=4, gap=10)
        predicted = ridge.predict(design[test])
        r.append([np.corrcoef(predicted[:, k], group[test, k])[0, 1] for k in range(len(chosen))])
    n = len(regions.bold)
    pairs = pairwise_isc(regions.bold[:, :, chosen]).mean(axis=0)
    common = n * pairs / (1 + (n - 1) * pairs)
    followed = np.square(np.clip(np.mean(r, axis=0), 0, None))
    return float(followed.mean() / np.clip(common.mean(), 1e-3, 1))


def _responses(regions: Regions) -> NDArray[np.float64]:
    """What was heard through the canonical response, standardised run by run, [TRs, targets]."""
    kernel = canonical_response(1 / regions.tr)
    columns = []
    for values in regions.heard.values():
        parts = [
            np.convolve(np.pad(values[a:b] - values[a:b].mean(), (0, regions.shift)), kernel)[
                regions.shift : regions.shift + b - a
            ]
            for a, b in regions.runs
        ]
        columns.append(np.concatenate(parts))
    return _by_run(np.stack(columns, axis=1), regions.runs)


def _lagged(values: NDArray[np.float64], runs: Sequence[Block]) -> NDArray[np.float64]:
    """Values [TRs, columns] up to five TRs later side by side; zero where a run has not begun."""
    made = np.zeros((len(values), values.shape[1] * len(_LAGS)))
    for first, last in runs:
        for k, lag in enumerate(_LAGS):
            made[first + lag : last, k * values.shape[1] : (k + 1) * values.shape[1]] = values[
                first : last - lag
            ]
    return made


def _residuals(regions: Regions) -> dict[str, float]:
    """What a listener has beside the mean of the others: how slow it is, and how much regions have it in common."""
    n = len(regions.bold)
    total = regions.bold.sum(axis=0)
    lag_one, slow, between = [], [], []
    for one in regions.bold:
        others = (total - one) / (n - 1)
        weight = (one * others).sum(axis=0) / np.maximum((others**2).sum(axis=0), 1e-9)
        left = one - weight * others
        for first, last in regions.runs:
            block = left[first:last]
            power = (block**2).sum(axis=0)
            lag_one.append((block[1:] * block[:-1]).sum(axis=0) / power)
            spectrum = np.abs(np.fft.rfft(block, axis=0)[1:]) ** 2
            periods = (last - first) * regions.tr / np.arange(1, len(spectrum) + 1)
            slow.append(spectrum[periods > SLOW_SECONDS].sum(axis=0) / spectrum.sum(axis=0))
            correlations = np.corrcoef(block.T)
            between.append(correlations[np.triu_indices(len(correlations), 1)].mean())
    return {
        "residual lag-1": float(np.mean(lag_one)),
        "residual slow": float(np.mean(slow)),
        "residual between regions": float(np.mean(between)),
    }


def _by_run(values: NDArray[np.float64] | NDArray[np.float32], runs: Sequence[Block]) -> NDArray[np.float64]:
    """Mean 0 and deviation 1 in every run."""
    made = np.zeros(values.shape)
    for first, last in runs:
        block = np.asarray(values[first:last], np.float64)
        block = block - block.mean(axis=0)
        spread = block.std(axis=0)
        made[first:last] = block / np.where(spread > 1e-9, spread, 1.0)
    return made
