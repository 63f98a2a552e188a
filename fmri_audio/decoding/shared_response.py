r"""A shared response model: brains turned so that what they answer in common lies on the same axes.

Averaging BOLD over subjects takes a voxel to mean the same in every brain. The shared response model (Chen et al.
2015) gives each subject *i* a map of its own, :math:`X_i \approx S W_i^\top`, with :math:`X_i` [TRs, voxels], the
response :math:`S` [TRs, k] that all share, and :math:`W_i` [voxels, k] of orthonormal columns. It is fitted by turns:
:math:`S` is the mean of :math:`X_i W_i`, and :math:`W_i` is :math:`U V^\top` of the singular value decomposition
:math:`X_i^\top S = U \Sigma V^\top` (Procrustes). Each turn lowers the squared error. Nothing is drawn: it starts from
the principal components of all subjects' own, so that the same BOLD always gives the same maps.

What is fitted reads the rows that it is given and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Matrix
from fmri_audio.study.facts import Subject
from fmri_audio.study.splits import cross_validation_folds

#: Turns of the fit. After as many the error in parcels of four real brains is .1 % above what thirty turns reach.
N_TURNS = 10

Brains = Mapping[Subject, Matrix]
"""BOLD of every subject, [TRs, voxels]: as many TRs for all, voxels of their own."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class SharedResponse:
    """A fitted shared response model; use :func:`fit_shared_response`.

    Attributes
    ----------
    rows : array of int, shape [n]
        Volumes that it was fitted on.
    shared : array, shape [n, k]
        The shared response in these.
    maps : mapping of subject to array, shape [voxels, k]
        Orthonormal columns.
    means : mapping of subject to array, shape [voxels]
        Over the rows; taken out before a map is applied.
    """

    rows: NDArray[np.int64]
    shared: Array
    maps: Mapping[Subject, Array]
    means: Mapping[Subject, Array]

    @property
    def k(self) -> int:
        """Number of features."""
        return int(self.shared.shape[1])

    def transform(self, subject: Subject, bold: Matrix) -> Matrix:
        """Any volumes of a subject that the model knows, on the shared axes.

        Parameters
        ----------
        subject : int or str
        bold : array, shape [TRs, voxels]
            Prepared as that of the fit; a row with NaN becomes NaN.

        Returns
        -------
        array of float32, shape [TRs, k]

        Raises
        ------
        UserError
            The model does not know the subject, or as another number of voxels.
        """
        self._check_known(subject)
        mapped = self.maps[subject]
        if bold.shape[1] != len(mapped):
            raise UserError(
                f"subject {subject}: the shared response was fitted on {len(mapped)} voxels, these volumes have "
                f"{bold.shape[1]}; take the same mask"
            )
        result = np.full((len(bold), self.k), np.nan, np.float32)
        finite = np.isfinite(bold).all(axis=1)
        result[finite] = (bold[finite].astype(np.float64) - self.means[subject]) @ mapped
        return result

    def mean_of(self, bold: Brains) -> Matrix:
        """Mean over some of its subjects of their volumes on the shared axes, [TRs, k].

        Raises
        ------
        UserError
            As :meth:`transform`.
        """
        return np.asarray(np.mean([self.transform(*one) for one in bold.items()], axis=0), np.float32)

    def reconstructed(self, subject: Subject, shared: Matrix) -> Matrix:
        """What a subject's BOLD would be if there were the shared response alone: [TRs, k] to [TRs, voxels].

        Raises
        ------
        UserError
            The model does not know the subject.
        """
        self._check_known(subject)
        return np.asarray(shared @ self.maps[subject].T + self.means[subject], np.float32)

    def with_subject(self, subject: Subject, bold: Matrix) -> SharedResponse:
        """The model with one subject more, whose map is fitted to the shared response as it stands.

        Neither the shared response nor the maps of others change.

        Parameters
        ----------
        subject : int or str
            A new one.
        bold : array, shape [TRs, voxels]
            Of which the rows of the fit are read.

        Raises
        ------
        UserError
            The subject is known already, or its volumes do not fit.
        """
        if subject in self.maps:
            raise UserError(f"subject {subject} is part of the shared response already; give it another name")
        mean, centred = _centred({subject: bold}, self.rows, self.k)[subject]
        mapped = _map_to(centred, self.shared)
        return replace(self, maps={**self.maps, subject: mapped}, means={**self.means, subject: mean})

    def _check_known(self, subject: Subject) -> None:
        if subject not in self.maps:
            raise UserError(
                f"subject {subject} has no map in the shared response; bring it in by its training volumes first"
            )


def fit_shared_response(
    bold: Brains, rows: NDArray[np.int64], k: int, *, n_turns: int = N_TURNS
) -> SharedResponse:
    """Fit the deterministic shared response model of Chen et al. (2015) to some volumes.

    Of a single subject it is the principal components.

    Parameters
    ----------
    bold : mapping of subject to array, shape [TRs, voxels]
        Standardised by voxel, as :func:`fmri_audio.decoding.regression.cleaned_for` leaves it.
    rows : array of int, shape [n]
        Volumes that may be read: training ones.
    k : int
        Features of the shared response.
    n_turns : int
        How often response and maps are fitted to each other.

    Raises
    ------
    UserError
        No subject, different numbers of TRs, NaN in the rows, or more features than voxels or rows.
    """
    parts = _centred(bold, np.asarray(rows), k)
    centred = [part for _, part in parts.values()]
    shared = _group_components(centred, k)
    for _ in range(max(n_turns, 1)):
        maps = [_map_to(one, shared) for one in centred]
        shared = np.mean([one @ mapped for one, mapped in zip(centred, maps, strict=True)], axis=0)
    return SharedResponse(
        np.array(rows),
        shared,
        dict(zip(parts, maps, strict=True)),
        {subject: mean for subject, (mean, _) in parts.items()},
    )


def shared_variance(response: SharedResponse, bold: Brains, rows: NDArray[np.int64]) -> float:
    r"""Share of each subject's variance that the others' shared response predicts, mean over subjects.

    The prediction is :math:`S_{-i} W_i^\top`, with :math:`S_{-i}` the mean over all but *i*. It is taken with the one
    scale that fits best, because the mean of a few brains is louder than what they share: what counts is the squared
    correlation over all volumes and voxels, with its sign.

    Parameters
    ----------
    response : SharedResponse
    bold : mapping of subject to array, shape [TRs, voxels]
        At least two subjects that it knows.
    rows : array of int
        Volumes to look at, which the fit has not seen.

    Raises
    ------
    UserError
        There are fewer than two subjects, or the response does not know one.
    """
    if len(bold) < 2:
        raise UserError("shared variance needs at least 2 subjects; give more")
    mapped = {subject: response.transform(subject, one[rows]) for subject, one in bold.items()}
    total = np.sum([*mapped.values()], axis=0)
    shares = []
    for subject, one in bold.items():
        own = mapped[subject].astype(np.float64)
        others = (total - own) / (len(bold) - 1)
        # The map has orthonormal columns, so that both products can be taken on the shared axes.
        product, power = np.sum(own * others), np.sum(others**2)
        power *= np.sum((one[rows] - response.means[subject]) ** 2)
        shares.append(float(product * abs(product) / power) if power > 0 else 0.0)
    return float(np.mean(shares))


def cross_validated(
    bold: Brains,
    rows: NDArray[np.int64],
    ks: Sequence[int],
    *,
    n_folds: int,
    gap: int,
    n_turns: int = N_TURNS,
) -> dict[int, float]:
    """Shared variance of held-out parts of the training volumes, for several numbers of features.

    Parameters
    ----------
    bold : mapping of subject to array, shape [TRs, voxels]
        At least two subjects.
    rows : array of int, shape [n]
        Training volumes, ascending; nothing else is read.
    ks : sequence of int
        Numbers of features to try.
    n_folds, gap : int
        Contiguous folds within the rows, and TRs left out on either side of one.
    n_turns : int

    Returns
    -------
    dict
        k → :func:`shared_variance`, mean over folds.

    Raises
    ------
    UserError
        As :func:`fit_shared_response` and :func:`shared_variance`; or there is no k to try.
    """
    if not ks:
        raise UserError("no number of features to try; give at least one k")
    rows = np.asarray(rows)
    folds = cross_validation_folds(rows, n_folds, gap)
    return {
        k: float(
            np.mean(
                [
                    shared_variance(
                        fit_shared_response(bold, rows[fit], k, n_turns=n_turns), bold, rows[validate]
                    )
                    for fit, validate in folds
                ]
            )
        )
        for k in ks
    }


def choose_k(
    bold: Brains,
    rows: NDArray[np.int64],
    ks: Sequence[int],
    *,
    n_folds: int,
    gap: int,
    n_turns: int = N_TURNS,
) -> int:
    """The number of features with the largest held-out shared variance within training; the smaller of equal ones.

    Arguments and errors are those of :func:`cross_validated`.
    """
    scores = cross_validated(bold, rows, sorted(ks), n_folds=n_folds, gap=gap, n_turns=n_turns)
    return max(scores, key=lambda k: scores[k])


def _centred(bold: Brains, rows: NDArray[np.int64], k: int) -> dict[Subject, tuple[Array, Array]]:
    """Mean [voxels] and centred rows [n, voxels] of every subject, once they are known to fit."""
    if not bold:
        raise UserError("a shared response needs at least 1 subject; there is none")
    lengths = {len(one) for one in bold.values()}
    if len(lengths) > 1:
        raise UserError(
            f"subjects have {' or '.join(str(n) for n in sorted(lengths))} volumes; cut all to the same TRs"
        )
    if not len(rows) or rows.min() < 0 or rows.max() >= min(lengths):
        raise UserError(
            f"the rows of the shared response are none, or not among the {min(lengths)} volumes; give rows of these"
        )
    parts = {}
    for subject, one in bold.items():
        part = np.asarray(one[rows], np.float64)
        if not 1 <= k <= min(part.shape):
            raise UserError(
                f"subject {subject}: {k} shared features of {part.shape[1]} voxels in {len(part)} volumes are "
                f"impossible; ask for 1 to {min(part.shape)}"
            )
        if not np.isfinite(part).all():
            raise UserError(
                f"subject {subject}: some of the volumes that the shared response is fitted on are NaN; leave these "
                "rows out for all subjects"
            )
        mean = part.mean(axis=0)
        parts[subject] = (mean, part - mean)
    return parts


def _map_to(centred: Array, shared: Array) -> Array:
    """The map [voxels, k] of orthonormal columns that brings a subject closest to the shared response."""
    left, _, right = np.linalg.svd(centred.T @ shared, full_matrices=False)
    return np.asarray(left @ right)


def _group_components(centred: Sequence[Array], k: int) -> Array:
    """Where the fit begins: principal components [n, k] of all subjects' first principal components.

    They are the same however a subject's voxels are turned, so that the start does not hang on anatomy.
    """
    own = np.hstack([_scores(one, k) for one in centred])
    return _scores(own, k) / len(centred)


def _scores(values: Array, k: int) -> Array:
    """The first k principal components [n, k] of rows, each as large as its share; by the smaller Gram matrix."""
    n, columns = values.shape
    gram = values @ values.T if n < columns else values.T @ values
    power, vectors = eigh(gram, subset_by_index=(len(gram) - k, len(gram) - 1))
    if n < columns:
        return np.asarray(vectors * np.sqrt(np.clip(power, 0, None)))
    return np.asarray(values @ vectors)
