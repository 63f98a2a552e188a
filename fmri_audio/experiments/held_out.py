"""The held-out block of an edition: every sound that is compared there, and the tables made of them.

Chapters 6 and 7 both open it. Whatever is decoded, from the model's own bottleneck or from a brain, begins with the
first held-out TR and starts from the same cold decoder, so that conditions differ in one thing at a time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fmri_audio.base.errors import UserError
from fmri_audio.base.results import Record
from fmri_audio.base.timeline import trs_to_samples
from fmri_audio.bottleneck.arms import LABELS
from fmri_audio.bottleneck.arms.base import (
    Arm,
    Material,
    Sound,
    features_of_block,
    frames_of_blocks,
    samples_of_block,
)
from fmri_audio.bottleneck.arms.codes import CodesArm
from fmri_audio.bottleneck.layers import Grid
from fmri_audio.bottleneck.store import TrainedArm, trained_arms
from fmri_audio.brain.cleaning import standardise
from fmri_audio.codec.streaming import decode_in_pieces
from fmri_audio.decoding import regression
from fmri_audio.decoding.identification import Identified, SoundFacts, Trial, identify_segments, trials
from fmri_audio.decoding.information import MOST_COMPONENTS, Bits, gaussian_bits
from fmri_audio.decoding.regression import FoldPrediction
from fmri_audio.decoding.voxel_noise import VoxelNoise, voxel_noise
from fmri_audio.edition.edition import Edition
from fmri_audio.edition.transcripts import transcript
from fmri_audio.edition.windows import segment_trs, windows_of_block
from fmri_audio.representations.encodec import EncodecCodes
from fmri_audio.sound import scoring
from fmri_audio.sound.line_spectra import LEAST_VARIATION_HZ, line_spectra
from fmri_audio.sound.segments import Window
from fmri_audio.study.facts import Subject
from fmri_audio.study.splits import Split, contiguous_split

Waveform = NDArray[np.float32]

SEEDED = ("frozen", "finetuned")
"""Arms that are trained from several seeds where the edition asks for it: the two that the book compares."""

Which = str | TrainedArm
"""An arm of the edition by its name, or one of its trainings (:attr:`HeldOut.repeated`)."""


@dataclass(frozen=True)
class Decoded:
    """The held-out block's code, decoded from volumes by a decoder trained on the same kind of volumes.

    Attributes
    ----------
    subject : int, str or None
        Whose BOLD it was; None where it was the model's own, with noise.
    arm : str
    heard : array, shape [TRs, r]
        The code as the arm's own decoder reads it, predicted: what sound is made of.
    code : array, shape [TRs, r]
        The sound's code before the bottleneck, predicted: what segments are identified by.
    true : array, shape [TRs, r]
        What the sound's own code is.
    alphas : array, shape [r]
        Ridge penalty of each number of the code, chosen within training; NaN where no ridge regression was needed.
    """

    subject: Subject | None
    arm: str
    heard: NDArray[np.float32]
    code: NDArray[np.float32]
    true: NDArray[np.float32]
    alphas: NDArray[np.float64]


class HeldOut:
    """The held-out block of an edition, with the models trained on the rest.

    Parameters
    ----------
    run : Edition

    Raises
    ------
    UserError
        The study does not fit the sound: another TR, too few volumes, too little for a split.
    """

    def __init__(self, run: Edition) -> None:
        self.run, self.settings = run, run.settings.training
        self.stimulus, self.study = run.stimulus, run.study
        if self.study.tr != self.stimulus.tr:
            raise UserError(
                f"{self.study.folder}: its TR is {float(self.study.tr):g} s, the edition's "
                f"{float(self.stimulus.tr):g} s; set tr in the edition file"
            )

    @cached_property
    def split(self) -> Split:
        """The one split of the paper: the end of the last run is held out."""
        return contiguous_split(
            [(first, first + count) for first, count in self.stimulus.runs],
            test_fraction=self.settings.test_fraction, gap=self.settings.gap_trs, lags=self.settings.lag_trs,
            shift=self.study.shift, tr=self.stimulus.tr,
        )  # fmt: skip

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Voxels of the mask, [x, y, z]."""
        return self.study.mask(self.run.settings.study.mask)

    @property
    def n_units(self) -> int:
        """V: as many units as the mask has voxels."""
        return int(self.mask.sum())

    @cached_property
    def grid(self) -> Grid:
        """The TR grid of the codec's latents."""
        model = self.run.checkpoint.model
        rate = Fraction(self.stimulus.sample_rate, int(model.encoder.hop_length))
        return Grid(self.stimulus.tr, rate, len(self.run.encoding.latents))

    @cached_property
    def material(self) -> Material:
        """What all arms are made from; codes at the edition's main bandwidth, whatever bandwidth the chapter has."""
        checkpoint, sound = self.run.checkpoint, self.stimulus
        n_codebooks = checkpoint.model.quantizer.get_num_quantizers_for_bandwidth(
            checkpoint.model.frame_rate, self.run.settings.main_bandwidth
        )
        return Material(
            checkpoint, Sound(sound.waveform, sound.sample_rate, sound.tr, sound.runs),
            self.run.encoding.latents, self.run.encoding.codes[:n_codebooks], self.run.settings.mel,
            self.settings.rank, self.group_bold, self.settings.lag_trs, self.study.shift,
        )  # fmt: skip

    @cached_property
    def group_bold(self) -> NDArray[np.float32]:
        """Mean BOLD of all subjects, standardised on training volumes, [volumes, voxels]: what bottlenecks match."""
        total = sum(self.bold(subject) for subject in self.study.subjects)
        return standardise(
            np.asarray(total / len(self.study.subjects), np.float32), self.split.bold_train_rows
        )

    @cached_property
    def arms(self) -> dict[str, TrainedArm]:
        """The edition's arms, trained on the training blocks, or taken from where an earlier run left them.

        They do not depend on the chapter's bandwidth: the latents are continuous, and codes are carried at the
        edition's main bandwidth.
        """
        return self._trained(self.settings.arms, self.run.settings.seed)

    @cached_property
    def repeated(self) -> dict[str, list[TrainedArm]]:
        """Trainings of the frozen and the fine-tuned arm from all seeds of the edition, the first one's first."""
        first = self.run.settings.seed
        more = [self._trained(SEEDED, seed) for seed in range(first + 1, first + self.settings.seeds)]
        return {name: [self.arms[name], *(arms[name] for arms in more)] for name in SEEDED}

    def _trained(self, names: Sequence[str], seed: int) -> dict[str, TrainedArm]:
        return trained_arms(
            names, self.material, self.split, self.settings, seed=seed, cache=self.run.build / "models"
        )

    @property
    def block(self) -> tuple[int, int]:
        """Held-out TRs, first and one after the last."""
        return self.split.test_block

    @property
    def seconds(self) -> tuple[float, float]:
        """The held-out block in seconds of the stimulus."""
        return float(self.block[0] * self.stimulus.tr), float(self.block[1] * self.stimulus.tr)

    @cached_property
    def original(self) -> Waveform:
        """The sound of the held-out block."""
        rate, tr = self.stimulus.sample_rate, self.stimulus.tr
        begin, end = (trs_to_samples(k, rate, tr) for k in self.block)
        return self.stimulus.waveform[begin:end]

    @cached_property
    def windows(self) -> list[Window]:
        """Windows that are scored, their times counted from the start of the block: speech where there is some."""
        return [
            dataclasses.replace(
                window, onset=window.onset - self.seconds[0], offset=window.offset - self.seconds[0]
            )
            for window in windows_of_block(self.run, self.block)
        ]

    @property
    def clip(self) -> Window:
        """The clip that is played: the middle of the held-out window with most going on, in block time."""
        rate = self.stimulus.sample_rate
        loudest = max(
            self.windows, key=lambda window: float(np.square(window.of(self.original, rate)).mean())
        )
        middle, half = (loudest.onset + loudest.offset) / 2, self.run.settings.windows.clip_seconds / 2
        return dataclasses.replace(loudest, onset=middle - half, offset=middle + half)

    def hear(self, sounds: Mapping[str, Waveform]) -> dict[str, Waveform]:
        """The clip of every sound of the block."""
        return {name: self.clip.of(sound, self.stimulus.sample_rate) for name, sound in sounds.items()}

    @property
    def transcript(self) -> str:
        """What is said in the clip."""
        onset = self.seconds[0]
        clip = dataclasses.replace(self.clip, onset=self.clip.onset + onset, offset=self.clip.offset + onset)
        return transcript(self.run, clip)

    def trained(self, arm: Which) -> TrainedArm:
        """The arm of a name, or the training given."""
        return self.arms[arm] if isinstance(arm, str) else arm

    # The sounds ---------------------------------------------------------------------------------------------------

    def of_code(self, arm: Which, code: NDArray[np.float32]) -> Waveform:
        """The sound of the block's code [TRs, r] through one arm's way back."""
        return self.trained(arm).model.sound_of_code(code, self.block[0])

    def own_code(self, arm: Which) -> NDArray[np.float32]:
        """The code of the block's sound before the bottleneck, [TRs, r]."""
        return self.trained(arm).code[self.block[0] : self.block[1]]

    def read_codes(self, arm: Which) -> NDArray[np.float32]:
        """The code as the arm's own decoder reads it from its own BOLD (noise-free), [TRs, r]; NaN outside the split.

        The way back to sound was trained behind that reader and knows no other code: decoders of every condition
        predict this one. The code before the bottleneck has another scale, and sounds many times too loud.
        """
        one = self.trained(arm)
        if one.model not in self._read:
            self._read[one.model] = self._read_from(one, one.volumes)
        return self._read[one.model]

    def _read_from(self, one: TrainedArm, volumes: NDArray[np.float32]) -> NDArray[np.float32]:
        """What an arm's own decoder reads from volumes [volumes, V], [TRs, r]; NaN outside the split."""
        codes, given = np.full_like(one.code, np.nan), torch.from_numpy(volumes)
        for first, last in (*self.split.train_blocks, self.block):
            codes[first:last] = one.model.read((first, last), given).cpu().numpy()
        return codes

    @cached_property
    def _read(self) -> dict[Arm, NDArray[np.float32]]:
        return {}

    def read_code(self, arm: Which) -> NDArray[np.float32]:
        """The held-out block of :meth:`read_codes`, [TRs, r]."""
        return self.read_codes(arm)[self.block[0] : self.block[1]]

    def mean_code(self, arm: Which) -> NDArray[np.float32]:
        """The training mean of the code that an arm's decoder reads, at every held-out TR: no brain at all."""
        mean = self.read_codes(arm)[self.split.train].mean(axis=0)
        return np.tile(mean, (self.block[1] - self.block[0], 1))

    def noise_free(self, arm: Which) -> Waveform:
        """The block through an arm's own bottleneck: no brain, no noise."""
        return self.of_code(arm, self.read_code(arm))

    def without_brain(self, arm: Which) -> Waveform:
        """The block decoded from the training mean of the code."""
        return self.of_code(arm, self.mean_code(arm))

    def codec_only(self, quantised: bool = True) -> Waveform:
        """The block through the codec alone, at the run's bandwidth or with its latents as they are."""
        latents = features_of_block(self.run.encoding.latents, self.block, self.grid)
        return self.decode_latents(self._quantised(latents) if quantised else latents)

    def requantised(self, arm: Which = "frozen") -> Waveform:
        """The block through an arm's bottleneck, its latents quantised again at the run's bandwidth."""
        model = self.trained(arm).model
        with torch.inference_mode():
            latents = model.through(self.block).cpu().numpy()
        return self.decode_latents(self._quantised(latents))

    def _quantised(self, latents: NDArray[np.float32]) -> NDArray[np.float32]:
        representation = EncodecCodes(self.run.checkpoint, self.run.bandwidth)
        with torch.inference_mode():
            codes = representation.latents_to_codes(torch.from_numpy(latents)[None], self.run.n_codebooks)
            return representation.codes_to_latents(codes)[0].numpy()

    def decode_latents(self, latents: NDArray[np.float32], block: tuple[int, int] | None = None) -> Waveform:
        """The waveform of a block of TRs by the untouched codec's decoder, from its latents [C, l]."""
        decoder = self.run.checkpoint.model.decoder
        into, length = samples_of_block(
            block or self.block, self.grid, self.stimulus.sample_rate, int(decoder.hop_length)
        )
        with torch.inference_mode():
            wave = decode_in_pieces(decoder, torch.from_numpy(latents)[None])[0, 0, into : into + length]
        return np.ascontiguousarray(wave.cpu().numpy())

    # The brains ---------------------------------------------------------------------------------------------------

    def bold(self, subject: Subject) -> NDArray[np.float32]:
        """One subject's BOLD in the mask, cleaned by block and standardised by training alone, [TRs, voxels]."""
        if subject not in self._brains:
            self._brains[subject] = regression.brain_of(
                self.study, subject, self.mask, self.split, self.stimulus.rows, self.run.cache
            )
        return self._brains[subject]

    @cached_property
    def _brains(self) -> dict[Subject, NDArray[np.float32]]:
        """What :meth:`bold` has prepared: every arm asks for it again."""
        return {}

    def decoded(self, arm: Which) -> Iterator[Decoded]:
        """Every subject's held-out block, decoded by ridge regression trained on that subject alone (measured)."""
        for subject in self.study.subjects:
            yield self._decoded_from(self.bold(subject), arm, subject)

    @cached_property
    def _noises(self) -> dict[Arm, VoxelNoise]:
        return {}

    def noise_of(self, arm: Which) -> VoxelNoise:
        """Voxel noise for an arm's volumes, from training residuals of all subjects."""
        one = self.trained(arm)
        if one.model not in self._noises:
            several = [self.bold(subject) for subject in self.study.subjects]
            self._noises[one.model] = voxel_noise(several, one.volumes, self.split.bold_train)
        return self._noises[one.model]

    def noisy_volumes(self, arm: Which, level: float = 1.0, independent: bool = False) -> NDArray[np.float32]:
        """An arm's own BOLD with voxel noise, standardised on training volumes, [volumes, V].

        Parameters
        ----------
        arm : str or TrainedArm
        level : float
            Times the noise's standard deviation; 1 is that of the brains, 0 no noise.
        independent : bool
            Leave out the noise's covariance in space and time, for scale: easily calculated with, but no brain's noise.
        """
        volumes = self.trained(arm).volumes
        noise = self.noise_of(arm).sample(len(volumes), self.run.settings.seed, independent=independent)
        return standardise(volumes + level * noise, self.split.bold_train_rows)

    def decoded_with_noise(self, arm: Which, level: float = 1.0, independent: bool = False) -> Decoded:
        """The block decoded from :meth:`noisy_volumes`, by a decoder trained on as noisy ones.

        That is the arm's own, which has seen the noise-free volumes of every training TR, with a gain for every number
        of the code that least squares give on noisy training volumes: without noise it is 1, and with much of it 0,
        which leaves the training mean. So noise alone tells this condition from the noise-free one. Ridge regression
        from volumes to code, as it is needed for brains, would begin anew from training TRs that are fewer than the
        numbers of the code.
        """
        one = self.trained(arm)
        read = self._read_from(one, self.noisy_volumes(one, level, independent))
        heard, code = (
            _with_gains(read, wanted, self.split.train)[self.block[0] : self.block[1]]
            for wanted in (self.read_codes(one), one.code)
        )
        return Decoded(None, one.arm, heard, code, self.own_code(one), np.full(code.shape[1], np.nan))

    def _decoded_from(self, bold: NDArray[np.float32], arm: Which, subject: Subject) -> Decoded:
        """Both codes predicted by one regression, which chooses a penalty for every number of either."""
        own = self.trained(arm).code
        predicted, ridge = regression.decode_units(
            bold, np.concatenate([self.read_codes(arm), own], axis=1), self.split, lags=self.settings.lag_trs,
            shift=self.study.shift, n_folds=self.settings.cv_folds,
        )  # fmt: skip
        heard, code = np.split(predicted, 2, axis=1)
        return Decoded(
            subject, self.trained(arm).arm, heard, code, self.own_code(arm), ridge.alphas[own.shape[1] :]
        )

    def identified(self, arm: Which, several: Sequence[Decoded]) -> Identified:
        """Segments of the held-out block identified from all subjects by an arm's code, with its joint null.

        Distractors are of the same kind and loudness and lie further away than the gap; the sound is turned over the
        whole run, the same for all subjects.
        """
        code = self.trained(arm).code
        mean, spread = _mean_and_spread(code[self.split.train])
        folds = [[FoldPrediction(self.block, one.code, mean, spread, one.alphas)] for one in several]
        return identify_segments(folds, code, self.split.runs, self._matched, n_trs=self.segment_trs)

    def bits(self, arm: Which, code: NDArray[np.float32], most_components: int = MOST_COMPONENTS) -> Bits:
        """Bits per TR that a code of the block [TRs, r], read from volumes, carries about its sound's own code."""
        own = self.trained(arm).code
        fold = FoldPrediction(self.block, code, *_mean_and_spread(own[self.split.train]), np.full(own.shape[1], np.nan))
        return gaussian_bits(
            [fold], own, [self.split], self.split.runs, gap=self.split.gap, most_components=most_components
        )

    @cached_property
    def facts(self) -> SoundFacts:
        """Kind and level of every TR of the stimulus."""
        sound = self.stimulus
        return SoundFacts.of(sound.waveform, sound.sample_rate, sound.tr, sound.segments)

    @cached_property
    def _matched(self) -> list[Trial]:
        """Segments of the held-out block, each with its distractors of the same kind and loudness."""
        return trials(
            [self.block], self.split.runs, n_trs=self.segment_trs, gap=self.split.gap, facts=self.facts
        )

    @cached_property
    def line_spectra(self) -> NDArray[np.float32]:
        """Line spectral frequencies of the stimulus, [TRs, frequencies]."""
        return line_spectra(self.stimulus.waveform, self.stimulus.sample_rate, self.stimulus.tr)

    def identified_by_sound(self, sounds: Sequence[Waveform]) -> Identified:
        """Segments of the held-out block identified by what its decoded sounds are like, with the joint null.

        By line spectral frequencies, taken from the decoded and from the original sound in the same way: no arm is
        trained on them. A decoder colours all its sound alike, so that those of a decoded sound are standardised by
        their own mean and spread over the block, which need no knowledge of the original. Distractors are of the same
        kind and loudness.

        Parameters
        ----------
        sounds : sequence of arrays, shape [T]
            Of the block; one per subject.
        """
        rate, tr = self.stimulus.sample_rate, self.stimulus.tr
        mean, spread = _mean_and_spread(self.line_spectra[self.split.train])
        true = np.asarray((self.line_spectra - mean) / spread, np.float32)
        already, unfitted = (np.zeros_like(mean), np.ones_like(mean)), np.full_like(mean, np.nan)
        folds = []
        for sound in sounds:
            heard = line_spectra(sound, rate, tr)
            own_mean, own_spread = _mean_and_spread(heard)
            own = np.where(own_spread > LEAST_VARIATION_HZ, (heard - own_mean) / own_spread, 0.0)
            folds.append([FoldPrediction(self.block, np.asarray(own, np.float32), *already, unfitted)])
        return identify_segments(folds, true, self.split.runs, self._matched, n_trs=self.segment_trs)

    @property
    def segment_trs(self) -> int:
        """TRs of a segment to identify."""
        return segment_trs(self.run)

    # The tables ---------------------------------------------------------------------------------------------------

    def score(self, sound: Waveform, wanted: Sequence[str] = scoring.METRICS) -> pd.DataFrame:
        """Scores of a sound of the block against the original, one row per window; others than ``wanted`` are NaN."""
        return scoring.score_windows(self.original, sound, self.stimulus.sample_rate, self.windows, wanted)

    @property
    def scored_share(self) -> float:
        """Share of the block's time that its windows hold; the rest is of another kind, or too short a stretch."""
        begin, end = self.seconds
        return sum(window.offset - window.onset for window in self.windows) / (end - begin)

    def score_other_segment(self, sound: Waveform) -> pd.DataFrame:
        """Scores of every window against the *next* window's decoded sound: right decoder, wrong segment.

        A single window has no other to be mistaken for: its scores are undefined.
        """
        rate = self.stimulus.sample_rate
        rows = []
        for window, other in zip(self.windows, [*self.windows[1:], self.windows[0]], strict=True):
            pair = [window.of(self.original, rate), other.of(sound, rate)]
            length = min(len(wave) for wave in pair)
            wanted = scoring.METRICS if other != window else ()
            scores = scoring.score_pair(pair[0][:length], pair[1][:length], rate, window.kind, wanted)
            rows.append({"window": window.name, "kind": window.kind, **scores})
        return pd.DataFrame(rows)

    def code_bits(self) -> pd.DataFrame:
        """What the codes arm needs for every code, beside a predictor that knows the training frequencies alone.

        Returns
        -------
        DataFrame
            ``part`` (training, held-out), ``codebook`` (from 1), ``bits`` and ``unigram_bits`` per code.
        """
        model = self.arms["codes"].model
        if not isinstance(model, CodesArm):
            raise TypeError("the arm called codes carries no codes")
        codes = torch.from_numpy(self.material.codes).to(model.device)
        rows = []
        for part, blocks in (("training", self.split.train_blocks), ("held-out", (self.block,))):
            true = frames_of_blocks(codes, list(blocks), model.grid)[None]
            ours = torch.cat([model.through(block) for block in blocks], dim=1)[None]
            with torch.inference_mode():
                pair = model.bits(ours, true).tolist(), model.unigram_bits(true).tolist()
            rows += [(part, k, *both) for k, both in enumerate(zip(*pair, strict=True), start=1)]
        return pd.DataFrame(rows, columns=["part", "codebook", "bits", "unigram_bits"])

    def describes(self, arm: Which) -> dict[str, Any]:
        """The columns of a record that say which arm it is, of which features, and for codes at which bandwidth.

        An arm without a codec has no weights of one to name.
        """
        one = self.trained(arm)
        rate = {"bandwidth_kbps": self.run.settings.main_bandwidth} if one.arm == "codes" else {}
        bare = {} if next(iter(one.model.codec_parameters()), None) is not None else {"codec": None}
        return {"arm": one.arm, "representation": one.model.representation, **rate, **bare}

    def parameters(self) -> pd.DataFrame:
        """Weights of every arm: in the bottleneck, in what only this arm has beside it, and in the codec."""
        rows = []
        for name, one in self.arms.items():
            counts = one.model.parameter_counts()
            rows.append({
                "arm": LABELS[name], "features": one.model.representation, "bottleneck": counts.bottleneck,
                "own layers": counts.own, "codec, trained": counts.codec_trained, "codec, frozen": counts.codec_frozen,
            })  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def columns(self) -> dict[str, Any]:
        """What all records of the held-out block have in common."""
        return {"study": self.study.name, "codec": self.run.checkpoint.id, "fold": "held-out",
                "seed": self.run.settings.seed}  # fmt: skip

    def records(self, scores: pd.DataFrame, **columns: Any) -> list[Record]:
        """Records of one condition's scores; a condition that goes through the bottleneck says how wide that is."""
        if columns.get("arm") in LABELS:
            columns = {"units": self.n_units, "rank": self.settings.rank, **columns}
        return scoring.to_records(scores, **{**self.columns, **columns})


def _with_gains(
    read: NDArray[np.float32], wanted: NDArray[np.float32], trs: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Every column of ``read`` [TRs, r] times the gain, and plus the mean, that bring it nearest to ``wanted``."""
    x, y = (np.asarray(values[trs], np.float64) for values in (read, wanted))
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    gain = ((x - mean_x) * (y - mean_y)).sum(axis=0) / np.maximum(np.square(x - mean_x).sum(axis=0), 1e-12)
    return np.asarray((read - mean_x) * gain + mean_y, np.float32)


def _mean_and_spread(values: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of every column, the latter at least 1e-6."""
    values = np.asarray(values, np.float64)
    return values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)
