"""Chapter 5: sound and brains on one clock, what the brains share, and what trains on both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fmri_audio.base import timeline
from fmri_audio.base.results import Record
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.bottleneck.store import build, common_step, features_of
from fmri_audio.bottleneck.training import Windows, set_apart, starts_of_parts
from fmri_audio.brain import agreement, cleaning
from fmri_audio.brain.masks import AUDITORY_RADIUS
from fmri_audio.brain.response import RESPONSE_SECONDS, canonical_response, response_trs
from fmri_audio.chapters.common import brains_of
from fmri_audio.claims.functions import note
from fmri_audio.decoding import leakage
from fmri_audio.edition import Edition
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.pages.maps import Map, brain_maps, voxel_profiles
from fmri_audio.study import splits
from fmri_audio.study.checker import CheckReport, check_study
from fmri_audio.study.envelope import envelope_map
from fmri_audio.study.masked import iter_subjects
from fmri_audio.study.splits import Split

NOTE_TRS = note.NOTE_TRS
NOTE_MEL = (128, 100)
"""Bands and frames of a TR in the research note."""

SHOWN_TRS = 4
"""TRs that tables and the figure of the clock show."""

_SKIPPED_TRS = 10
_FLOAT, _SAMPLE = 4, 2  # bytes
_RESPONSE_RATE = 20
_SLICES_MM = (0, 8, 16)
_TR_BORDER, _TRAINING, _HELD_OUT, _RESPONSE = "#d55e00", "#0072b2", "#d55e00", "#009e73"


def opened(run: Edition) -> HeldOut:
    """Open the study with its split, its mask and its TR grid."""
    return HeldOut(run)


def facts(held_out: HeldOut) -> dict[str, float | str]:
    """Return what the text says of sound and brains."""
    study, stimulus = held_out.study, held_out.stimulus
    return {
        "stimulus": stimulus.name,
        "n_trs": stimulus.n_trs,
        "codec": held_out.run.checkpoint.id,
        "kind": brains_of(held_out.run),
        "study": study.name,
        "tr": float(study.tr),
        "shift": study.shift,
        "n_subjects": len(study.subjects),
        "gap": held_out.split.gap,
    }


# Frames and TRs ---------------------------------------------------------------------------------------------------


def first_frames(held_out: HeldOut) -> list[str]:
    """Say which frames the first TRs touch, and how much they own of the outer two."""
    grid = held_out.grid
    spans = [timeline.frames_of_tr(k, grid.tr, grid.frame_rate) for k in range(SHOWN_TRS)]
    return [
        f"TR {k}: frames {span.first} to {span.last}, of which it owns {span.first_weight} of the first "
        f"and {span.last_weight} of the last"
        for k, span in enumerate(spans)
    ]


def drift(exact: Fraction, frame_rate: Fraction, n_trs: Sequence[int]) -> pd.DataFrame:
    """Return how far slices of a fixed number of frames run away from the volumes.

    Parameters
    ----------
    exact
        Frames in a TR.
    frame_rate
        Frames per second.
    n_trs
        After how many TRs.

    Returns
    -------
    DataFrame
        A row per number of frames, a column per number of TRs, in seconds: negative where slices come too early.
    """
    fixed = {
        "rounded down": Fraction(math.floor(exact)),
        "rounded up": Fraction(math.ceil(exact)),
        "exact": exact,
    }
    return pd.DataFrame(
        [
            {
                "slices": name,
                "frames per TR": str(frames) if frames.denominator == 1 else f"{float(frames):g}",
                **{f"drift after {n} TRs (s)": float((frames - exact) * n / frame_rate) for n in n_trs},
            }
            for name, frames in fixed.items()
        ]
    )


def drift_of(held_out: HeldOut) -> pd.DataFrame:
    """Return :func:`drift` over the stimulus and over as many TRs as the note has."""
    return drift(_frames_per_tr(held_out), held_out.grid.frame_rate, (held_out.stimulus.n_trs, NOTE_TRS))


def drift_said(held_out: HeldOut) -> dict[str, float | str]:
    """Return what rounding down costs over the note's TRs."""
    exact, grid = _frames_per_tr(held_out), held_out.grid
    seconds = abs(float((math.floor(exact) - exact) * NOTE_TRS / grid.frame_rate))
    return {
        "exact_frames": float(exact),
        "drift_note": seconds,
        "drift_trs": seconds / float(grid.tr),
        "touched": grid.width,
        "note_frames": math.floor(exact),
        "note_trs": NOTE_TRS,
    }


def cut_codes(held_out: HeldOut) -> pd.DataFrame:
    """Return a few TRs cut from the first row of the stimulus' codes, TRs counted from 1."""
    grid = held_out.grid
    codes = _cut(held_out, held_out.run.encoding.codes)
    rows = []
    for k in _shown(held_out):
        span, row = timeline.frames_of_tr(k, grid.tr, grid.frame_rate), codes[k, 0]
        rows.append(
            {
                "TR": k + 1,
                "frames": f"{span.first} – {span.last}",
                "own share of first, last": f"{span.first_weight}, {span.last_weight}",
                "first three codes": " ".join(map(str, row[:3])),
                "last three codes": " ".join(map(str, row[span.count - 3 : span.count])),
            }
        )
    return pd.DataFrame(rows)


def joined_again(held_out: HeldOut) -> list[str]:
    """Say what is left of codes and latents that were cut into TRs and joined again, and where the note's TRs end."""
    grid, n_trs, exact = held_out.grid, held_out.stimulus.n_trs, _frames_per_tr(held_out)
    codes, latents = held_out.run.encoding.codes, held_out.run.encoding.latents
    pieces = _cut(held_out, codes)
    again, latents_again = _joined(held_out, pieces), _joined(held_out, _cut(held_out, latents))
    last = timeline.frames_of_tr(NOTE_TRS - 1, grid.tr, grid.frame_rate).last
    return [
        f"codes {codes.shape} → {n_trs} TRs {pieces.shape[1:]} → {again.shape}: {(again != codes).sum()} differ",
        f"latents {latents.shape} → {latents_again.shape}: largest difference "
        f"{np.abs(latents_again - latents).max():.1g}",
        f"TR {NOTE_TRS} ends with frame {last + 1}, the clock says {float(NOTE_TRS * exact):g}",
    ]


def draw_clock(held_out: HeldOut) -> Figure:
    """Draw a few TRs of sound, codes, response and BOLD, one above the other."""
    trs, tr = _shown(held_out), held_out.study.tr
    times = [float(k * tr) for k in (*trs, trs.stop)]
    figure, axes = plt.subplots(
        4, 1, figsize=(7.2, 5.2), sharex=True, layout="constrained", height_ratios=[2, 1, 1.4, 1.4]
    )
    _draw_sound(axes[0], held_out, trs)
    _draw_codes(axes[1], held_out, trs)
    response = canonical_response(_RESPONSE_RATE)
    begin = times[0] + float(tr) / 2 - float(held_out.study.shift * tr)
    axes[2].plot(
        begin + np.arange(len(response)) / _RESPONSE_RATE, response / response.max(), color=_RESPONSE
    )
    axes[2].set(ylabel="response", yticks=[])
    voxel = held_out.brains.bold(held_out.study.subjects[0])[trs.start : trs.stop, 0]
    axes[3].step(times, [*voxel, voxel[-1]], where="post", color=_TRAINING)
    axes[3].set(ylabel="BOLD (z)", xlabel="seconds of the stimulus", xlim=(times[0], times[-1]))
    for axis in axes:
        axis.grid(False)
        for moment in times:
            axis.axvline(moment, color=_TR_BORDER, lw=0.8)
    return figure


def _draw_sound(axis: Axes, held_out: HeldOut, trs: range) -> None:
    sound = held_out.stimulus
    begin, end = (timeline.trs_to_samples(k, sound.sample_rate, sound.tr) for k in (trs.start, trs.stop))
    axis.plot(np.arange(begin, end) / sound.sample_rate, sound.waveform[begin:end], lw=0.4, color="0.3")
    axis.set(ylabel="sound")


def _draw_codes(axis: Axes, held_out: HeldOut, trs: range) -> None:
    grid = held_out.grid
    begin, end = (timeline.frames_of_tr(k, grid.tr, grid.frame_rate).first for k in (trs.start, trs.stop))
    axis.imshow(
        held_out.run.encoding.codes[:1, begin:end],
        aspect="auto",
        cmap="viridis",
        interpolation="nearest",
        extent=(float(begin / grid.frame_rate), float(end / grid.frame_rate), 0, 1),
    )
    axis.set(ylabel="codes", yticks=[])


def _frames_per_tr(held_out: HeldOut) -> Fraction:
    return held_out.grid.tr * held_out.grid.frame_rate


def _shown(held_out: HeldOut) -> range:
    first = held_out.split.train_blocks[0][0] + _SKIPPED_TRS
    return range(first, first + SHOWN_TRS)


def _cut(held_out: HeldOut, features: NDArray[Any]) -> NDArray[Any]:
    return timeline.cut_trs(features, held_out.stimulus.n_trs, held_out.grid.tr, held_out.grid.frame_rate)


def _joined(held_out: HeldOut, pieces: NDArray[Any]) -> NDArray[Any]:
    return timeline.join_trs(pieces, held_out.grid.tr, held_out.grid.frame_rate)


# What a TR weighs -------------------------------------------------------------------------------------------------


def weights_of_tr(held_out: HeldOut) -> pd.DataFrame:
    """Return how many numbers and bytes a TR takes, written in the note's ways and in those of this edition."""
    run, exact = held_out.run, _frames_per_tr(held_out)
    bits, books = run.checkpoint.model.bits_per_codebook, _codebooks(run)
    mel = run.settings.mel
    mel_values = mel.n_mels * held_out.study.tr * run.stimulus.sample_rate / mel.hop_length
    note_codes = _main_codebooks(run) * math.floor(exact)
    bands, frames = NOTE_MEL
    counted: list[tuple[str, Fraction | int, Fraction | int]] = [
        (f"the note: mel, {bands} × {frames}, 32 bits", bands * frames, _FLOAT),
        (f"the note: codes, {_main_codebooks(run)} × {math.floor(exact)}, 32 bits", note_codes, _FLOAT),
        ("waveform, 16 bits", held_out.study.tr * run.stimulus.sample_rate, _SAMPLE),
        (f"mel, {mel.n_mels} bands, 32 bits", mel_values, _FLOAT),
        ("latents, 32 bits", held_out.grid.channels * exact, _FLOAT),
        *((f"codes, {kbps:g} kbps, {bits} bits", n * exact, Fraction(bits, 8)) for kbps, n in books.items()),
        ("voxels of the mask, 32 bits", held_out.n_units, _FLOAT),
        ("bottleneck (its rank), 32 bits", run.settings.training.rank, _FLOAT),
    ]
    return pd.DataFrame(
        [
            {
                "representation": name,
                "values per TR": float(n),
                "bytes per TR": float(n * size),
                f"MB for {NOTE_TRS} TRs": float(n * size * NOTE_TRS / 1_000_000),
            }
            for name, n, size in counted
        ]
    )


WEIGHT_FORMATS = {"values per TR": ",.1f", "bytes per TR": ",.0f", f"MB for {NOTE_TRS} TRs": ",.2f"}
"""Formats of the table that :func:`weights_of_tr` returns."""


def weights_said(held_out: HeldOut) -> dict[str, float | str]:
    """Return the sizes that the text compares."""
    run, exact = held_out.run, _frames_per_tr(held_out)
    n_books = _main_codebooks(run)
    return {
        "n_voxels": held_out.n_units,
        "radius": AUDITORY_RADIUS,
        "latent_values": float(held_out.grid.channels * exact),
        "rank": run.settings.training.rank,
        "note_code_bytes": float(n_books * math.floor(exact) * _FLOAT),
        "code_bytes": float(n_books * exact * run.checkpoint.model.bits_per_codebook / 8),
    }


def _codebooks(run: Edition) -> dict[float, int]:
    """Codebooks that each bandwidth of the edition takes."""
    model = run.checkpoint.model
    count = model.quantizer.get_num_quantizers_for_bandwidth
    return {kbps: int(count(model.frame_rate, kbps)) for kbps in run.bandwidths}


def _main_codebooks(run: Edition) -> int:
    books = _codebooks(run)
    return books[min(books, key=lambda kbps: abs(kbps - run.settings.main_bandwidth))]


# What the brains share --------------------------------------------------------------------------------------------


def checked(run: Edition) -> CheckReport:
    """List what the study on disk holds, and every problem."""
    asked = run.settings.study
    return check_study(
        run.study.folder, task=asked.task, story=asked.story, space=asked.space, mask=asked.mask
    )


@dataclass(frozen=True)
class Shared:
    """What the brains have in common, voxel by voxel of grey matter.

    Attributes
    ----------
    grey : array of bool, shape [x, y, z]
        Of scans that do not say where their voxels lie: all voxels.
    auditory : array of bool, shape [voxels]
        Which of them lie in the mask.
    isc : array, shape [voxels]
        Leave-one-out correlation, mean over subjects.
    ceiling : array, shape [voxels]
        Noise ceiling.
    level : array, shape [voxels]
        Correlation with the level of the sound, mean over subjects.
    by_subject : array, shape [subjects, voxels of the mask]
        Leave-one-out correlation of each subject.
    placed : bool
        Whether the scans say where their voxels lie.
    """

    grey: NDArray[np.bool_]
    auditory: NDArray[np.bool_]
    isc: NDArray[np.float64]
    ceiling: NDArray[np.float64]
    level: NDArray[np.float64]
    by_subject: NDArray[np.float64]
    placed: bool = True


def shared_by_brains(held_out: HeldOut) -> Shared:
    """Correlate the subjects' BOLD with each other and with the level of the sound."""
    study, stimulus = held_out.study, held_out.stimulus
    around = study.mask("grey-matter" if study.placed else "all")
    grey, runs = held_out.mask | around, _runs(held_out)
    everyone, levels = [], []
    for _, scanned in iter_subjects(study, grey, held_out.run.cache, progress=False):
        heard = np.asarray(scanned[stimulus.rows])
        everyone.append(cleaning.clean_blocks(heard, runs, study.tr))
        levels.append(
            envelope_map(stimulus.waveform, stimulus.sample_rate, heard, runs, study.tr, study.shift)
        )
    auditory = held_out.mask[grey]
    return Shared(
        grey,
        auditory,
        agreement.leave_one_out_isc(everyone).mean(axis=0),
        agreement.noise_ceiling(everyone),
        np.mean(levels, axis=0),
        agreement.leave_one_out_isc([one[:, auditory] for one in everyone]),
        study.placed,
    )


def shared_lines(shared: Shared) -> list[str]:
    """Say how much is shared in the mask and elsewhere in grey matter."""
    told = {
        "leave-one-out ISC": shared.isc,
        "noise ceiling": shared.ceiling,
        "level of the sound": shared.level,
    }
    which = "of grey matter" if shared.placed else "in all"
    return [
        f"{shared.grey.sum()} voxels {which}, {shared.auditory.sum()} of them in the mask, "
        f"{len(shared.by_subject)} subjects",
        *(
            f"{name:20} {_mean(values, shared.auditory):6.3f} in the mask, "
            f"{_mean(values, ~shared.auditory):6.3f} elsewhere"
            for name, values in told.items()
        ),
    ]


def draw_agreement(held_out: HeldOut, shared: Shared) -> Figure:
    """Draw the mask and the correlation between subjects on slices and on the surface."""
    mask = np.where(shared.auditory, 1.0, np.nan)
    return _maps(
        held_out,
        shared,
        [
            Map(mask, "auditory mask", "in the mask", 1.0),
            _map(shared, shared.isc, f"leave-one-out ISC, {brains_of(held_out.run)}"),
        ],
    )


def draw_ceiling(held_out: HeldOut, shared: Shared) -> Figure:
    """Draw the correlation with the sound's level and the noise ceiling."""
    kind = brains_of(held_out.run)
    return _maps(
        held_out,
        shared,
        [
            _map(shared, shared.level, f"level of the sound, {kind}"),
            _map(shared, shared.ceiling, f"noise ceiling, {kind}"),
        ],
    )


def shared_said(held_out: HeldOut, shared: Shared) -> dict[str, float | str]:
    """Return what is shared on average, and what the simulation knows of it."""
    study = held_out.study
    attainable = "no truth is known for measured brains"
    if study.simulated:
        truth = float(np.load(study.folder / "truth.npz")["attainable"].mean())
        attainable = f"{truth:.3f} is the truth the simulation was given"
    return {
        "isc": _mean(shared.isc, shared.auditory),
        "isc_elsewhere": _mean(shared.isc, ~shared.auditory),
        "ceiling": _mean(shared.ceiling, shared.auditory),
        "level_r": _mean(shared.level, shared.auditory),
        "attainable": attainable,
    }


def records(held_out: HeldOut, shared: Shared) -> list[Record]:
    """Return the rows of the chapter's table: every subject's agreement, the ceiling, and the level."""
    n, seed, study = int(shared.auditory.sum()), held_out.run.settings.seed, held_out.study
    means = {
        "noise_ceiling": _mean(shared.ceiling, shared.auditory),
        "level_correlation": _mean(shared.level, shared.auditory),
    }
    rows: list[tuple[str, str | None, float]] = [
        ("leave_one_out_isc", str(subject), float(np.nanmean(values)))
        for subject, values in zip(study.subjects, shared.by_subject, strict=True)
    ]
    rows += [(metric, None, value) for metric, value in means.items()]
    return [
        Record(
            study=study.name,
            unit="1",
            n=n,
            condition="measured",
            seed=seed,
            metric=metric,
            subject=subject,
            value=value,
        )
        for metric, subject, value in rows
    ]


def _map(shared: Shared, values: NDArray[np.float64], title: str) -> Map:
    """A map whose colours end at the 99th percentile within the mask."""
    return Map(values, title, "correlation", float(np.nanpercentile(values[shared.auditory], 99)))


def _maps(held_out: HeldOut, shared: Shared, rows: Sequence[Map]) -> Figure:
    if not held_out.study.placed:
        return voxel_profiles(rows)
    return brain_maps(rows, shared.grey, held_out.study.affine, _SLICES_MM)


def _mean(values: NDArray[np.float64], where: NDArray[np.bool_]) -> float:
    return float(np.nanmean(values[where]))


def _runs(held_out: HeldOut) -> list[tuple[int, int]]:
    return [(first, first + count) for first, count in held_out.stimulus.runs]


# Which moments train ----------------------------------------------------------------------------------------------


def folds_of(held_out: HeldOut) -> list[Split]:
    """Return the splits by which every TR is held out once."""
    runs, lags = _runs(held_out), held_out.settings.lag_trs
    return splits.k_fold(
        runs,
        max(splits.N_FOLDS, len(runs)),
        gap=held_out.split.gap,
        lags=lags,
        shift=held_out.study.shift,
        tr=held_out.study.tr,
    )


def split_lines(held_out: HeldOut) -> list[str]:
    """Say which TRs train, which are held out, and which volumes either reads."""
    split = held_out.split
    return [
        f"training TRs   {split.train_blocks}",
        f"held-out TRs   {split.test_block} after a gap of {split.gap}",
        f"volumes read   {split.bold_train} {split.bold_test} with lags {held_out.settings.lag_trs}",
        *(split.declarations or ["every run is standardised by its own training TRs"]),
    ]


def draw_splits(held_out: HeldOut) -> Figure:
    """Draw the split of the bottleneck and the folds, a bar each over the TRs of the stimulus."""
    folds = {f"fold {i}": fold for i, fold in enumerate(folds_of(held_out), start=1)}
    rows = {"bottleneck": held_out.split, **folds}
    figure, axis = plt.subplots(figsize=(7.2, 2.2), layout="constrained")
    for row, one in enumerate(rows.values()):
        for blocks, colour in ((one.train_blocks, _TRAINING), ((one.test_block,), _HELD_OUT)):
            axis.broken_barh([(a, b - a) for a, b in blocks], (row - 0.35, 0.7), color=colour)
    axis.set(
        yticks=range(len(rows)),
        yticklabels=list(rows),
        xlabel="TR of the stimulus",
        xlim=(0, held_out.stimulus.n_trs),
    )
    axis.invert_yaxis()
    axis.grid(False)
    return figure


def codec_memory(held_out: HeldOut) -> leakage.CodecMemory:
    """Measure how much the codec remembers of a held-out block in the middle of the sound."""
    run, stimulus = held_out.run, held_out.stimulus
    return leakage.codec_memory(
        leakage.encoder_of(run.checkpoint, run.n_codebooks),
        stimulus.waveform,
        folds_of(held_out)[1].test_block,
        sample_rate=stimulus.sample_rate,
        frame_rate=held_out.grid.frame_rate,
        tr=held_out.study.tr,
        seed=run.settings.seed,
    )


def memory_lines(held_out: HeldOut, memory: leakage.CodecMemory) -> list[str]:
    """Say what noise in place of a block changes right behind it, and what behind the gap."""
    latents, codes = memory.beyond(held_out.split.gap)
    return [
        f"first TR after the block: latents change by {memory.latents[0]:.2g} of their size, "
        f"{100 * memory.codes[0]:.1f} % of the codes change",
        f"after the gap: latents by {latents:.2g}, {100 * codes:.1f} % of the codes",
    ]


def gap_said(held_out: HeldOut, memory: leakage.CodecMemory) -> dict[str, float | str]:
    """Return what is left of a block behind the gap, and what decides how long the gap has to be."""
    latents, codes = memory.beyond(held_out.split.gap)
    lags, tr = held_out.settings.lag_trs, held_out.study.tr
    return {
        "memory_latents": f"{latents:.1g}",
        "memory_codes": 100 * codes,
        "least_gap": splits.least_gap(lags, tr),
        "n_lags": len(lags),
        "response_trs": response_trs(tr),
        "response_seconds": RESPONSE_SECONDS,
    }


# What trains ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrainingWindows:
    """What the arms of an edition are given to train on.

    Attributes
    ----------
    starts : mapping of str to list of int
        Part → first TRs of its windows, the same for every arm.
    by_arm : mapping of str to Windows
        Arm → its windows of the training part.
    """

    starts: dict[str, list[int]]
    by_arm: dict[str, Windows]


def training_windows(held_out: HeldOut) -> TrainingWindows:
    """Cut the windows that the arms of an edition train on, as training does."""
    settings, material = held_out.settings, held_out.material
    models = {str(name): build(name, material) for name in settings.arms}
    fitted, validation = set_apart(held_out.split, settings.validation_fraction)
    starts = starts_of_parts(fitted, validation, settings.window_trs, common_step([*models.values()]))
    by_arm = {
        name: Windows(
            material, features_of(model, material), model.grid, starts["training"], settings.window_trs
        )
        for name, model in models.items()
    }
    return TrainingWindows(starts, by_arm)


def window_lines(windows: TrainingWindows) -> list[str]:
    """Say at which TRs the windows of each part begin."""
    return [
        f"{part:10} {len(trs)} windows, which begin with TRs {_first_and_last(trs)}"
        for part, trs in windows.starts.items()
    ]


def window_table(windows: TrainingWindows) -> pd.DataFrame:
    """Return the shapes of what every arm is given with its first window."""
    rows = []
    for arm, several in windows.by_arm.items():
        first = several[0]
        rows.append(
            {
                "arm": ARM_LABELS[arm],
                "features, whole stimulus": _shape(several.features.shape),
                "features, window": _shape(first["features"].shape),
                "sound, window": _shape(first["waveform"].shape),
                "BOLD, window": _shape(first["bold"].shape),
            }
        )
    return pd.DataFrame(rows)


def _first_and_last(trs: Sequence[int]) -> str:
    return ", ".join(map(str, trs)) if len(trs) < 5 else f"{trs[0]}, {trs[1]}, …, {trs[-1]}"


def _shape(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))
