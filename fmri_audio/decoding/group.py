"""Several brains that heard the same, decoded together: their BOLD averaged, their predictions, or what they share.

Averaged BOLD takes a voxel to mean the same in every brain. Averaged predictions let each brain have a decoder of its
own, trained on its own noise. A shared response (:mod:`fmri_audio.decoding.shared_response`) turns the brains onto
common axes first, and has one decoder; a brain that this decoder was not trained on can be turned onto them too.

All of it is fitted on the training TRs of a split. BOLD comes cleaned and standardised for that split, as
:func:`fmri_audio.decoding.regression.cleaned_for` leaves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Matrix
from fmri_audio.brain.agreement import correlate
from fmri_audio.brain.cleaning import standardise
from fmri_audio.decoding.regression import Ridge, decode_units, fit_ridge
from fmri_audio.decoding.shared_response import Brains, SharedResponse, fit_shared_response
from fmri_audio.study.facts import Subject
from fmri_audio.study.lag_windows import lagged
from fmri_audio.study.splits import Split, cross_validation_folds


@dataclass(frozen=True)
class Reading:
    """How volumes are read and ridge regressions are fitted, the same for all ways to decode a group.

    Attributes
    ----------
    lags : sequence of int
        In TRs of stimulus time.
    shift : int
        TRs by which the study is already shifted.
    n_folds : int
        Contiguous folds within training.
    """

    lags: Sequence[int]
    shift: int
    n_folds: int


@dataclass(frozen=True)
class SharedDecoder:
    """A ridge regression from the shared response of several brains; use :func:`fit_shared_decoder`.

    Attributes
    ----------
    response : SharedResponse
    ridge : Ridge
        From lagged features of the response to the target.
    reading : Reading
    """

    response: SharedResponse
    ridge: Ridge
    reading: Reading

    def predict(self, bold: Brains, trs: NDArray[np.int64]) -> Matrix:
        """The target of some TRs, predicted from the mean response of some of the subjects, [len(trs), targets].

        Parameters
        ----------
        bold : mapping of subject to array, shape [TRs, voxels]
            Any of the subjects that the response knows; one is enough.
        trs : array of int
            Of the stimulus.

        Raises
        ------
        UserError
            The response does not know a subject.
        """
        shared = self.response.mean_of(bold)
        return self.ridge.predict(lagged(shared, trs, self.reading.lags, self.reading.shift))

    def with_subject(self, subject: Subject, bold: Matrix) -> SharedDecoder:
        """The same decoder for one subject more, who is turned onto its axes by training BOLD without any target.

        Raises
        ------
        UserError
            As :meth:`fmri_audio.decoding.shared_response.SharedResponse.with_subject`.
        """
        return replace(self, response=self.response.with_subject(subject, bold))


def averaged_bold(bold: Brains, split: Split) -> Matrix:
    """Mean BOLD of several subjects, standardised on training volumes, [TRs, voxels].

    Parameters
    ----------
    bold : mapping of subject to array, shape [TRs, voxels]
        Voxels have to match.
    split : Split

    Raises
    ------
    UserError
        There is no subject, or they differ in TRs or voxels.
    """
    _need(bold)
    if len({one.shape for one in bold.values()}) > 1:
        raise UserError(
            "subjects differ in volumes or voxels and cannot be averaged; use the same TRs and mask for all, or a "
            "shared response"
        )
    mean = np.mean(np.stack([*bold.values()]), axis=0, dtype=np.float64)
    return standardise(np.asarray(mean, np.float32), split.bold_train_rows)


def decode_averaged_bold(
    bold: Brains, target: Matrix, split: Split, reading: Reading
) -> tuple[Matrix, Ridge]:
    """Average the subjects' BOLD, and decode that.

    Parameters
    ----------
    bold : mapping of subject to array, shape [TRs, voxels]
        Cleaned for the split; voxels have to match.
    target : array, shape [TRs, targets]
        Of the whole stimulus; only training TRs are read.
    split : Split
    reading : Reading

    Returns
    -------
    predicted : array of float32, shape [held-out TRs, targets]
    ridge : Ridge

    Raises
    ------
    UserError
        As :func:`averaged_bold`; or there are too few training TRs.
    """
    return _decoded(averaged_bold(bold, split), target, split, reading)


def decode_each(
    bold: Brains, target: Matrix, split: Split, reading: Reading
) -> dict[Subject, tuple[Matrix, Ridge]]:
    """Decode every subject alone.

    Arguments are those of :func:`decode_averaged_bold`, but voxels need not match. The mean of the predictions is
    what a group of such decoders says (:func:`averaged_predictions`).

    Raises
    ------
    UserError
        There is no subject, or there are too few training TRs.
    """
    _need(bold)
    return {subject: _decoded(one, target, split, reading) for subject, one in bold.items()}


def averaged_predictions(predictions: Sequence[Matrix]) -> Matrix:
    """Mean over subjects of what their own decoders predict, [held-out TRs, targets]."""
    return np.asarray(np.mean(np.stack([*predictions]), axis=0), np.float32)


def fit_shared_decoder(
    bold: Brains, target: Matrix, split: Split, reading: Reading, *, ks: Sequence[int]
) -> SharedDecoder:
    """Fit a shared response to the training volumes, and a ridge regression from its lagged features to the target.

    The number of features is the one with which the target of held-out folds of the training TRs is predicted best
    (:func:`scores_of_k`), mean over targets. What brains share most is not what tells most of the sound: the shared
    variance of :func:`fmri_audio.decoding.shared_response.choose_k` asks for fewer features than a decoder.

    Parameters
    ----------
    bold : mapping of subject to array, shape [TRs, voxels]
        Cleaned for the split; voxels are each subject's own. Of a single subject the shared response is its principal
        components.
    target : array, shape [TRs, targets]
        Of the whole stimulus; only training TRs are read.
    split : Split
    reading : Reading
    ks : sequence of int
        Numbers of features to choose from.

    Returns
    -------
    SharedDecoder

    Raises
    ------
    UserError
        As :func:`fmri_audio.decoding.shared_response.fit_shared_response`; or there is no k, or there are too few
        training TRs.
    """
    scores = scores_of_k(bold, target, split, reading, ks)
    k = max(scores, key=lambda one: scores[one].mean())
    return _fitted(bold, target, split.train, reading, k, split.gap)


def fit_shared_decoders(
    bold: Brains, target: Matrix, split: Split, reading: Reading, *, ks: Sequence[int]
) -> list[SharedDecoder]:
    """Fit as :func:`fit_shared_decoder` would to every column of the target alone.

    What does not depend on the target is computed once for all of them. Arguments and errors are the same.

    Returns
    -------
    list of SharedDecoder
        One for each column, which it alone predicts.
    """
    scores = scores_of_k(bold, target, split, reading, ks)
    best = [max(scores, key=lambda k: scores[k][column]) for column in range(target.shape[1])]
    of_k = {k: _fitted(bold, target, split.train, reading, k, split.gap) for k in set(best)}
    return [_of_column(of_k[k], column) for column, k in enumerate(best)]


def scores_of_k(
    bold: Brains, target: Matrix, split: Split, reading: Reading, ks: Sequence[int]
) -> dict[int, NDArray[np.float64]]:
    """How well numbers of features predict every target within training: k, ascending, to correlations [targets].

    Everything is fitted anew for every fold, the shared response too: one that had seen a fold's volumes would favour
    many features.

    Arguments and errors are those of :func:`fit_shared_decoder`.
    """
    _need(bold)
    if not ks:
        raise UserError("no number of features to try; give at least one k")
    if len(set(ks)) == 1:  # there is nothing to choose
        return {ks[0]: np.full(target.shape[1], np.nan)}
    trs = split.train
    folds = cross_validation_folds(trs, reading.n_folds, split.gap)
    scores = {}
    for k in sorted(set(ks)):
        found = []
        for fit, validate in folds:
            decoder = _fitted(bold, target, trs[fit], reading, k, split.gap)
            predicted = decoder.predict(bold, trs[validate])
            found.append(correlate(predicted, target[trs[validate]]))
        scores[k] = np.asarray(np.mean(np.nan_to_num(found), axis=0))
    return scores


def decode_shared(
    bold: Brains, target: Matrix, split: Split, reading: Reading, *, ks: Sequence[int]
) -> tuple[Matrix, SharedDecoder]:
    """Fit as :func:`fit_shared_decoder` does, and predict the held-out TRs from the mean response of all subjects.

    Returns
    -------
    predicted : array of float32, shape [held-out TRs, targets]
    decoder : SharedDecoder
    """
    decoder = fit_shared_decoder(bold, target, split, reading, ks=ks)
    return decoder.predict(bold, split.test), decoder


def _decoded(bold: Matrix, target: Matrix, split: Split, reading: Reading) -> tuple[Matrix, Ridge]:
    return decode_units(bold, target, split, lags=reading.lags, shift=reading.shift, n_folds=reading.n_folds)


def _fitted(
    bold: Brains, target: Matrix, trs: NDArray[np.int64], reading: Reading, k: int, gap: int
) -> SharedDecoder:
    """Shared response and ridge regression of some TRs and the volumes that these read."""
    rows = np.unique(trs[:, None] + np.asarray(reading.lags) - reading.shift)
    response = fit_shared_response(bold, rows, k)
    predictors = lagged(response.mean_of(bold), trs, reading.lags, reading.shift)
    ridge = fit_ridge(predictors, target[trs], trs, n_folds=reading.n_folds, gap=gap)
    return SharedDecoder(response, ridge, reading)


def _of_column(decoder: SharedDecoder, column: int) -> SharedDecoder:
    ridge, one = decoder.ridge, [column]
    return replace(
        decoder, ridge=replace(ridge, dual=ridge.dual[:, one], mean=ridge.mean[one], alphas=ridge.alphas[one])
    )


def _need(bold: Brains) -> None:
    if not bold:
        raise UserError("there is no subject to decode; give at least 1")
