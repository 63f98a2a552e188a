"""Sound and BOLD of the same TRs as items for PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from fmri_audio.base.errors import UserError
from fmri_audio.compat.codes import refuse_regression
from fmri_audio.study.facts import Subject


class Item(TypedDict):
    """One subject in one TR.

    Attributes
    ----------
    audio : tensor, shape of a row of the features
        int64 for codes, float32 for latents and mel.
    fmri : tensor of float32, shape [voxels]
    subject_id : int or str
    tr_index : int
        TR of the sound, counted from 0.
    """

    audio: torch.Tensor
    fmri: torch.Tensor
    subject_id: Subject
    tr_index: int


class AudioFmriDataset(Dataset[Item]):
    """Items of sound and BOLD, one subject after the other and TR after TR.

    BOLD is handed on as it is given. Standardise it by training TRs alone, and choose these with a gap before the
    held-out ones (:func:`fmri_audio.study.splits.contiguous_split`). Volumes that are not finite, such as the filler at
    the end of a scan, have no item.

    Parameters
    ----------
    audio : array, shape [n_trs, ...]
        Features of :meth:`~fmri_audio.compat.AudioProcessor.audio_to_features` or ``audio_to_latents``.
    fmri : mapping of subject to array, shape [n_trs, voxels]
        BOLD whose row k belongs to TR k of the sound, as of :meth:`fmri_audio.study.reader.Study.bold`.
    trs : sequence of int, optional
        TRs that have items, such as :attr:`fmri_audio.study.splits.Split.train`; all unless given.

    Raises
    ------
    UserError
        There is no item, numbers of TRs or voxels differ, or a TR is not there.

    Examples
    --------
    >>> bold = {subject: study.bold(subject, mask)[:920] for subject in study.subjects}
    >>> items = AudioFmriDataset(features[:920], bold, trs=split.train)
    >>> loader = torch.utils.data.DataLoader(items, batch_size=32, shuffle=True)
    """

    def __init__(
        self,
        audio: NDArray[Any],
        fmri: Mapping[Subject, NDArray[np.floating]],
        trs: Sequence[int] | NDArray[np.integer] | None = None,
    ) -> None:
        self.audio, self.fmri = audio, dict(fmri)
        self.n_trs, self.subject_ids = len(audio), list(fmri)
        chosen = np.arange(self.n_trs) if trs is None else np.asarray(trs, np.int64)
        if not ((chosen >= 0) & (chosen < self.n_trs)).all():
            raise UserError(
                f"trs: there are TRs 0 to {self.n_trs - 1}, found {chosen.min()} to {chosen.max()}"
            )
        self._check_shapes()
        self.items = [
            (subject, int(tr))
            for subject, bold in self.fmri.items()
            for tr in chosen[np.isfinite(bold[chosen]).all(axis=1)]
        ]
        if not self.items:
            raise UserError(
                "there is no subject with a TR whose BOLD is finite: give fmri and trs that have one"
            )

    def _check_shapes(self) -> None:
        """Raise a UserError unless all subjects have a row per TR and the same voxels."""
        voxels = {bold.shape[1:] for bold in self.fmri.values()}
        for subject, bold in self.fmri.items():
            if bold.ndim != 2:
                raise UserError(f"fmri of subject {subject} should be [TRs, voxels], not {list(bold.shape)}")
            if len(bold) != self.n_trs:
                raise UserError(
                    f"fmri of subject {subject} has {len(bold)} TRs and the sound {self.n_trs}: give both of the same "
                    "TRs, such as features[26:946] and bold[26:946]"
                )
        if len(voxels) > 1:
            raise UserError("fmri: subjects have different numbers of voxels; mask all with one mask")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Item:
        subject, tr = self.items[index]
        return {
            "audio": torch.from_numpy(np.array(self.audio[tr])),
            "fmri": torch.from_numpy(np.array(self.fmri[subject][tr], np.float32)),
            "subject_id": subject,
            "tr_index": tr,
        }

    def regression_arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return all items' BOLD [items, voxels] and sound [items, values], to fit a regression.

        Raises
        ------
        UserError
            The sound is codes; the sentence says what to use instead.
        """
        refuse_regression(self.audio, "audio")
        bold = np.stack([self.fmri[subject][tr] for subject, tr in self.items]).astype(np.float32)
        sound = np.stack([np.ravel(self.audio[tr]) for _, tr in self.items]).astype(np.float32)
        return bold, sound
