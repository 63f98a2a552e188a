"""What a study's regions are like: the quantities that simulated brains are held to.

The same function looks at real brains and at simulated ones. Regions are the columns of a study of parcels, or averages
of voxels; which of them are best is chosen on one set of runs and looked at on that set and on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block
from fmri_audio.brain.agreement import leave_one_out_isc, pairwise_isc
from fmri_audio.brain.response import canonical_response
from fmri_audio.decoding import series
from fmri_audio.decoding.regression import fit_ridge
from fmri_audio.decoding.series import Pipeline, Recorded

N_BEST = 5
"""Regions whose agreement between listeners is highest, on the runs that are fitted on."""
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
    """

    bold: NDArray[np.float64]
    runs: list[Block]
    heard: dict[str, NDArray[np.float64]]
    tr: float

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
        return cls(bold, what.runs, what.heard, float(what.tr))


def best_regions(regions: Regions, n: int = N_BEST) -> NDArray[np.int64]:
    """The regions whose mean leave-one-out agreement is highest, best first, [n].

    Raises
    ------
    UserError
        There are fewer regions.
    """
    if regions.bold.shape[2] < n:
        raise UserError(f"{regions.bold.shape[2]} regions are fewer than the {n} best that are looked at")
    agreement = np.nan_to_num(leave_one_out_isc(regions.bold).mean(axis=0), nan=-1.0)
    return np.asarray(np.argsort(-agreement, kind="stable")[:n])


def facts_of(what: Recorded, pipeline: Pipeline, best: NDArray[np.int64]) -> dict[str, float]:
    """All quantities of some runs.

    Parameters
    ----------
    what : Recorded
        At least three runs, so that each can be held out.
    pipeline : Pipeline
        For decoding the level.
    best : array of int
        From :func:`best_regions`, of the runs that are fitted on.

    Returns
    -------
    dict
        ``isc best`` and ``pairs best``: leave-one-out and pairwise correlation between listeners, mean of the best
        regions; ``isc median`` of all regions; ``level within``, ``across``, ``averaged``: correlation of decoded
        level; ``level … s`` by octave, of the mean of all predictions; ``explained``: share of what listeners share in
        the best regions that level and words explain in held-out runs; ``residual …``: lag-1 autocorrelation, share
        slower than 128 s, and correlation between regions of what a listener's regions have beside the others' mean.
    """
    regions = Regions.of(what)
    agreement = leave_one_out_isc(regions.bold).mean(axis=0)
    found = {
        "isc best": float(agreement[best].mean()),
        "pairs best": float(pairwise_isc(regions.bold[:, :, best]).mean()),
        "isc median": float(np.nanmedian(agreement)),
        "explained": explained(regions, best),
        **_residuals(regions),
    }
    return found | _decoded(what, pipeline)


def _decoded(what: Recorded, pipeline: Pipeline) -> dict[str, float]:
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
    found = {
        "level within": _mean_r(own, level, blocks),
        "level across": _mean_r(across, level, blocks),
        "level averaged": _mean_r([averaged], level, blocks),
    }
    for shortest, longest in series.octaves(what.tr):
        keep = series.band(what.tr, shortest, longest)
        found[f"level {shortest:g} to {longest:g} s"] = _mean_r([averaged], level, blocks, keep)
    return found


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


def explained(regions: Regions, best: NDArray[np.int64]) -> float:
    """Share of what listeners share in the best regions that what was heard explains, in held-out runs.

    Ridge regression from all targets at six lags to the listeners' mean, every run held out once; the square of the
    correlation, over the share of the mean's variance that is common to all (from the correlation between pairs).
    """
    group = regions.bold[:, :, best].mean(axis=0)
    design = _lagged(_responses(regions), regions.runs).astype(np.float32)
    r = []
    for held_out in regions.runs:
        train = np.concatenate([np.arange(*run) for run in regions.runs if run != held_out])
        test = np.arange(*held_out)
        ridge = fit_ridge(design[train], group[train], train, n_folds=4, gap=10)
        predicted = ridge.predict(design[test])
        r.append([np.corrcoef(predicted[:, k], group[test, k])[0, 1] for k in range(len(best))])
    n = len(regions.bold)
    pairs = pairwise_isc(regions.bold[:, :, best]).mean(axis=0)
    common = n * pairs / (1 + (n - 1) * pairs)
    return float(np.mean(np.square(np.clip(np.mean(r, axis=0), 0, None)) / np.clip(common, 1e-3, 1)))


def _responses(regions: Regions) -> NDArray[np.float64]:
    """What was heard through the canonical response, standardised run by run, [TRs, targets]."""
    kernel = canonical_response(1 / regions.tr)
    columns = []
    for values in regions.heard.values():
        parts = [np.convolve(values[a:b] - values[a:b].mean(), kernel)[: b - a] for a, b in regions.runs]
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
