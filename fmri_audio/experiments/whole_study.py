"""The whole study decoded without a bottleneck: every TR held out once, from single subjects, by ridge regression.

What is predicted is the codec's latents, averaged over each TR, as Denk et al. (2023) did with SoundStream's. No
network is trained for it, so that every TR can be held out and every circular shift within a run can serve as a null.
"""

from __future__ import annotations

from functools import cached_property, partial

import torch

from fmri_audio.base import timeline
from fmri_audio.base.kinds import Matrix
from fmri_audio.decoding import regression
from fmri_audio.decoding.encoding import Encoded, banded_ridge
from fmri_audio.decoding.identification import Identified, Refitted, Trial, trials
from fmri_audio.decoding.information import Bits, gaussian_bits
from fmri_audio.decoding.regression import FoldPrediction
from fmri_audio.decoding.turning import Reader
from fmri_audio.experiments import controls
from fmri_audio.experiments.block_identification import BlockIdentification
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.representations.mel import MelGriffinLim
from fmri_audio.study.facts import Subject
from fmri_audio.study.splits import N_FOLDS, Split, k_fold


class WholeStudy:
    """Every TR of an edition's stimulus, held out once and predicted from each subject.

    Parameters
    ----------
    held_out : HeldOut
        The edition, its mask, lags and gap.

    Raises
    ------
    UserError
        The stimulus is too short to be divided.
    """

    def __init__(self, held_out: HeldOut) -> None:
        self.held_out, self.run = held_out, held_out.run
        self.settings, self.study, self.stimulus = held_out.settings, held_out.study, held_out.stimulus
        self.block = BlockIdentification(held_out)
        self.runs = [(first, first + count) for first, count in self.stimulus.runs]
        self.splits: list[Split] = k_fold(
            self.runs,
            max(N_FOLDS, len(self.runs)),
            gap=self.settings.gap_trs,
            lags=self.settings.lag_trs,
            shift=self.study.shift,
            tr=self.study.tr,
        )

    @cached_property
    def latents(self) -> Matrix:
        """The codec's latents averaged over each TR, [TRs, channels]: what is predicted."""
        grid = self.held_out.grid
        return timeline.pooled(self.run.encoding.latents, self.stimulus.n_trs, self.study.tr, grid.frame_rate)

    @cached_property
    def predictions(self) -> dict[Subject, list[FoldPrediction]]:
        """Held-out predictions of the latents, of every subject, one per fold."""
        return {
            subject: regression.predict_folds(
                partial(self._bold, subject),
                self.latents,
                self.splits,
                lags=self.settings.lag_trs,
                shift=self.study.shift,
                n_folds=self.settings.cv_folds,
            )
            for subject in self.study.subjects
        }

    def layout(self, matched: bool = True) -> list[Trial]:
        """Segments of every fold, their distractors of the same kind and loudness if ``matched``."""
        return trials(
            [split.test_block for split in self.splits],
            self.runs,
            n_trs=self.block.segment_trs,
            gap=self.settings.gap_trs,
            facts=self.block.facts if matched else None,
        )

    @cached_property
    def readers(self) -> list[Reader]:
        """Of every subject, what ridge regression makes of any sound: for decoders that are fitted anew."""
        return [
            Reader.of(
                partial(self._bold, subject),
                self.splits,
                lags=self.settings.lag_trs,
                shift=self.study.shift,
            )
            for subject in self.study.subjects
        ]

    @cached_property
    def read(self) -> Refitted:
        """The latents of every segment, read by decoders that are fitted anew under every shift."""
        return self._read(self.latents)

    def identify(self, ways: int = 2, matched: bool = True) -> Identified:
        """Segments told from others by the latents predicted for them, of all subjects."""
        return self.read.identify(self.layout(matched), ways)

    def identify_by_line_spectra(self) -> Identified:
        """Pairs of like segments told apart by predicted line spectral frequencies, of all subjects."""
        return self._read(self.block.line_spectra).identify(self.layout())

    def _read(self, features: Matrix) -> Refitted:
        return Refitted.of(
            self.readers, features, self.runs, self.layout(matched=False), n_trs=self.block.segment_trs
        )

    def bits(self) -> dict[Subject, Bits]:
        """Bits per TR that each subject's predictions carry about the latents."""
        return {
            subject: gaussian_bits(folds, self.latents, self.splits, self.runs, gap=self.settings.gap_trs)
            for subject, folds in self.predictions.items()
        }

    def kinds(self) -> dict[str, Matrix]:
        """Features of the sound that BOLD is predicted from, per TR: its envelope, its mel spectrum, the latents."""
        rate, tr, n_trs = self.stimulus.sample_rate, self.study.tr, self.stimulus.n_trs
        mel = self.run.settings.mel
        spectrogram = MelGriffinLim(mel.n_fft, mel.hop_length, mel.n_mels, mel.n_iter, rate)
        log_mel = spectrogram.analyse(torch.from_numpy(self.stimulus.waveform)[None, None])[0].numpy()
        return {
            "envelope": controls.envelope(self.stimulus.waveform, rate, n_trs),
            "mel": timeline.pooled(log_mel, n_trs, tr, spectrogram.feature_rate),
            "latents": self.latents,
        }

    def encode(self, subject: Subject) -> Encoded:
        """Predict the BOLD of the bottleneck's held-out block from all kinds of features, by banded ridge."""
        split = self.held_out.split
        return banded_ridge(
            self.kinds(),
            self._bold(subject, split),
            split,
            self.runs,
            shift=self.study.shift,
            n_folds=self.settings.cv_folds,
            seed=self.run.settings.seed,
        )

    def _bold(self, subject: Subject, split: Split) -> Matrix:
        """One subject's BOLD prepared for a split, [TRs, voxels]."""
        return regression.brain_of(
            self.study, subject, self.held_out.mask, split, self.stimulus.rows, self.run.cache
        )
