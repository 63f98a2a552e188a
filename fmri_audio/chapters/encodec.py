"""Chapter 3: EnCodec at one bandwidth, counted, measured against floors, seen, heard, and held to the note's gates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from encodec.model import EncodecModel
from matplotlib.figure import Figure

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record, select
from fmri_audio.chapters import spoken
from fmri_audio.chapters.published import GATES, published
from fmri_audio.chapters.roundtrip import columns, equal_mel, plain_mel
from fmri_audio.chapters.spoken import Spoken
from fmri_audio.codec import checkpoints, counting
from fmri_audio.codec.counting import CodeCount, WeightCount, count_codebooks, count_codes, count_weights
from fmri_audio.codec.segmented import SegmentedCodec
from fmri_audio.edition import Edition
from fmri_audio.edition.windows import listening_clips, scored_kind, scored_windows
from fmri_audio.experiments.problem import price, says, score_through, through
from fmri_audio.pages.pictures import mel_levels
from fmri_audio.sound import scoring
from fmri_audio.sound.audio import resample
from fmri_audio.sound.scoring import METRIC_NAMES
from fmri_audio.sound.segments import Window

NOTE_FRAMES = 112
"""Frames per TR in the research note."""

STEREO = "released-48khz"
"""EnCodec's other model."""

STEREO_KBPS = 6.0
"""At which it is shown."""


def facts(run: Edition) -> dict[str, float | str]:
    """Return what the text says of weights and sound."""
    return {
        "kbps": run.bandwidth,
        "codec": run.checkpoint.id,
        "description": run.checkpoint.description,
        "licence": run.checkpoint.licence,
        "stimulus": run.stimulus.name,
        "minutes": run.stimulus.seconds / 60,
        "n_trs": run.stimulus.n_trs,
    }


def weights_of(run: Edition) -> str:
    """Return the id of the weights that make a passage: the codec's, and a second decoder's."""
    return run.checkpoint.id if run.decoder is None else f"{run.checkpoint.id}, decoded by {run.decoder.id}"


def first_tr(run: Edition) -> torch.Tensor:
    """Return the first TR of the stimulus [1, 1, T], where the model is."""
    device = next(run.checkpoint.model.parameters()).device
    one = run.stimulus.waveform[: round(run.settings.tr * run.stimulus.sample_rate)]
    return torch.from_numpy(one)[None, None].to(device)


@dataclass(frozen=True)
class Counts:
    """What a TR takes in codes, and what the weights take, here and at the full width of Meta's topology."""

    codes: CodeCount
    here: WeightCount
    full: WeightCount


def count(run: Edition) -> Counts:
    """Count the codes of the whole stimulus, and the weights."""
    model = run.checkpoint.model
    codes = count_codes(run.codes, model, run.settings.tr)
    return Counts(codes, count_weights(model), count_weights(checkpoints.build()))


def counts_table(counts: Counts, run: Edition) -> pd.DataFrame:
    """Return the note's figures beside what was counted."""
    codes, here, full = counts.codes, counts.here, counts.full
    mel = price(plain_mel(run), run.settings.tr)
    frames = f"{codes.codebooks} × {float(codes.frames):g}); {codes.frames_touched} frames touched"
    stored = "; ".join(f"{codes.stored_bytes(kind):,.0f} as {kind}" for kind in ("int16", "int32"))
    rows = [
        ("codes per TR", f"896 (8 × {NOTE_FRAMES})", f"{codes.values:,.1f} ({frames}"),
        ("bits per TR", "not given", f"{codes.bits:,.0f}"),
        ("bytes per TR", "3.6 KB", f"{codes.packed_bytes:,.0f} packed; {stored}"),
        ("920 TRs", "3.3 MB", f"{920 * codes.packed_bytes / 1e6:.2f} MB packed"),
        ("mel values per TR", "12,800 (51 KB)", f"{mel['values']:,.0f} ({mel['bytes'] / 1000:.1f} KB)"),
        ("encoder parameters", "10 million", f"{here.encoder:,} here; {full.encoder:,} at full width"),
        ("decoder parameters", "10 million", f"{here.decoder:,} here; {full.decoder:,} at full width"),
        ("codebook entries", "not given", f"{here.codebooks:,} here; {full.codebooks:,} at full width"),
        ("model in memory", "80 MB", f"{here.megabytes:.1f} MB here; {full.megabytes:.1f} MB at full width"),
    ]
    return pd.DataFrame(rows, columns=["", "research note", f"counted at {run.bandwidth:g} kbps"])


def counted(counts: Counts, lone_frames: int) -> dict[str, float | str]:
    """Return the counts that the text cites; ``lone_frames`` are those of a TR that is encoded by itself."""
    return {
        "exact_frames": float(counts.codes.frames),
        "lone_frames": lone_frames,
        "brief_frames": NOTE_FRAMES,
        "codes_per_tr": counts.codes.values,
        "bits_per_tr": counts.codes.bits,
        "bytes_per_tr": counts.codes.packed_bytes,
        "parameters_here": counts.here.parameters,
        "parameters_full": counts.full.parameters,
    }


@torch.no_grad()
def stereo_segments(run: Edition) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return codes and level of each segment of three seconds through the 48 kHz model, without its weights."""
    model = checkpoints.RELEASED[STEREO].build().eval()
    model.set_target_bandwidth(STEREO_KBPS)
    wave, rate = run.stimulus.waveform, run.stimulus.sample_rate
    channel = torch.from_numpy(resample(wave[: 3 * rate], rate, model.sample_rate))
    segments = model.encode(torch.stack([channel, channel])[None])
    return [(codes, level) for codes, level in segments if level is not None]


def models_table(tr: Fraction) -> pd.DataFrame:
    """Return EnCodec's two models side by side, counted from their topologies."""
    models = {"24 kHz": checkpoints.build(), "48 kHz": checkpoints.RELEASED[STEREO].build()}
    return pd.DataFrame([{"model": name, **_shape(model, tr)} for name, model in models.items()])


def _shape(model: EncodecModel, tr: Fraction) -> dict[str, object]:
    length, stride, rate = model.segment_length, model.segment_stride, model.sample_rate
    if length is None or stride is None:
        causal, segments, overlap = "yes", "whole signal", 1.0
    else:
        seconds = f"{length / rate:g} s, every {stride / rate:g} s"
        causal, segments, overlap = "no", seconds, length / stride
    codebooks = {kbps: count_codebooks(model, kbps) for kbps in model.target_bandwidths}
    return {
        "channels": model.channels,
        "causal": causal,
        "segments": segments,
        "frames per TR": f"{model.frame_rate * overlap * float(tr):.1f}",
        "kbps → codebooks": ", ".join(f"{kbps:g} → {number}" for kbps, number in codebooks.items()),
        "parameters": f"{count_weights(model).parameters:,}",
    }


def stereo_at_hand() -> bool:
    """Whether the weights of the 48 kHz model lie on this machine."""
    return checkpoints.at_hand(STEREO)


def stereo_said(at_hand: bool) -> str:
    """Say what is to be heard of the 48 kHz model."""
    if at_hand:
        return "Its weights are at hand, and the players above are its sound."
    return (
        "Its weights are not at hand in this edition, so there is nothing of it to hear: a codec without weights "
        "makes noise."
    )


def stereo_passage(run: Edition) -> Window:
    """Return the passage that the 48 kHz model is heard on, under a name of its own."""
    last = listening_clips(run)[-1]
    return dataclasses.replace(last, name=f"stereo {last.name}")


def through_stereo(clip: Window, run: Edition) -> tuple[Waveform, str]:
    """Return a passage [T] through the 48 kHz model, both channels alike, and the weights' id."""
    codec = SegmentedCodec(checkpoints.load(STEREO), STEREO_KBPS)
    rate = run.stimulus.sample_rate
    heard = clip.of(run.stimulus.waveform, rate)
    channel = torch.from_numpy(resample(heard, rate, codec.sample_rate))
    made = codec.decode(codec.encode(torch.stack([channel, channel])), len(channel)).mean(dim=0)
    return resample(made.numpy(), codec.sample_rate, rate)[: len(heard)], codec.checkpoint.id


def names(run: Edition) -> tuple[str, str, str]:
    """Return what codec, mel spectrogram of equal bits and uncompressed mel spectrogram are called."""
    kbps, mel_kbps = f"{run.bandwidth:g} kbps", f"{plain_mel(run).bits_per_second / 1000:.0f} kbps"
    return f"EnCodec, {kbps}", f"mel + Griffin-Lim, {kbps}", f"mel + Griffin-Lim, {mel_kbps}"


def scores(run: Edition) -> dict[str, pd.DataFrame]:
    """Score codec, mel spectrogram of equal bits and uncompressed mel; the codec beside speech on music too."""
    wave, rate, windows = run.stimulus.waveform, run.stimulus.sample_rate, scored_windows(run)
    music = run.windows("music") if windows[0].kind == "speech" else []
    coded, equal, plain = names(run)
    return {
        coded: scoring.score_windows(wave, run.decoded, rate, [*windows, *music]),
        equal: score_through(equal_mel(run), wave, rate, windows),
        plain: score_through(plain_mel(run), wave, rate, windows),
    }


def floors(run: Edition) -> dict[str, pd.DataFrame]:
    """Score what carries nothing of the sound (see :func:`fmri_audio.sound.scoring.floors`)."""
    windows, seed = scored_windows(run), run.settings.seed
    return scoring.floors(run.stimulus.waveform, run.stimulus.sample_rate, windows, seed)


def original(run: Edition) -> pd.DataFrame:
    """Score the original as its own copy: the most that a metric gives."""
    wave, windows = run.stimulus.waveform, scored_windows(run)
    return scoring.score_windows(wave, wave, run.stimulus.sample_rate, windows)


def reference_points(
    floors: Mapping[str, pd.DataFrame], original: pd.DataFrame, run: Edition
) -> pd.DataFrame:
    """Return between what every metric lies, one row each."""
    return scoring.reference_points(floors, original, scored_kind(run))


def scores_table(
    sounds: Mapping[str, pd.DataFrame], floors: Mapping[str, pd.DataFrame], run: Edition
) -> pd.DataFrame:
    """Return the means of sounds and floors for readers."""
    named = {scoring.floor_label(name, scored_kind(run)): frame for name, frame in floors.items()}
    return scoring.means_table({**sounds, **named})


def words_said(words: Spoken, run: Edition) -> str:
    """Say how many words are wrong after codec and mel spectrogram, beyond those of the original."""
    if words.why_undefined:
        return words.why_undefined
    coded, equal, _ = (spoken.told(words, name) for name in names(run))
    return (
        f"At {run.bandwidth:g} kbps {coded} of the words are wrong after EnCodec beyond the original's "
        f"{words.original_wrong:.2f}, and {equal} after a mel spectrogram of the same bits with Griffin-Lim."
    )


def scored(
    sounds: Mapping[str, pd.DataFrame], floors: Mapping[str, pd.DataFrame], run: Edition
) -> dict[str, float | str]:
    """Return the means that the text cites, and how the codec compares with the mel spectrogram of equal bits."""
    windows = scored_windows(run)
    frames = {**dict(zip(("coded", "equal", "plain"), sounds.values(), strict=True)), **floors}
    means = {prefix: scoring.means(frame, windows[0].kind) for prefix, frame in frames.items()}
    return {
        **{f"{prefix}_{metric}": of[metric] for prefix, of in means.items() for metric in METRIC_NAMES},
        "kind": windows[0].kind,
        "n_windows": len(windows),
        "against_mel": against(means["coded"]["stoi"] - means["equal"]["stoi"]),
    }


def against(gain: float) -> str:
    """Say where the codec is, by what it gains over a mel spectrogram."""
    return says(gain, 0, "above", "below", "not comparable with")


def played(clip: Window, run: Edition, *, with_mel: bool) -> dict[str, Waveform]:
    """Return a passage through the codec, and through a mel spectrogram of equal bits and an uncompressed one."""
    coded, equal, plain = names(run)
    rate = run.stimulus.sample_rate
    heard, made = clip.of(run.stimulus.waveform, rate), {coded: clip.of(run.decoded, rate)}
    if with_mel:
        made |= {equal: through(equal_mel(run), heard), plain: through(plain_mel(run), heard)}
    return made


def seen(clip: Window, made: Mapping[str, Waveform], run: Edition) -> dict[str, Waveform]:
    """Return the sounds whose spectrograms are shown: a passage, and what codec and mel of equal bits made of it."""
    coded, equal, _ = names(run)
    original = clip.of(run.stimulus.waveform, run.stimulus.sample_rate)
    return {"original": original, coded: made[coded], equal: made[equal]}


def draw_spectrograms(sounds: Mapping[str, Waveform], sample_rate: int) -> Figure:
    """Draw the mel power of sounds, one above the other."""
    figure, axes = plt.subplots(len(sounds), 1, figsize=(7.2, 5.4), sharex=True, layout="constrained")
    for axis, (name, sound) in zip(axes, sounds.items(), strict=True):
        level = mel_levels(sound, sample_rate)
        axis.imshow(
            level,
            origin="lower",
            aspect="auto",
            cmap="inferno",
            vmin=-70,
            vmax=0,
            interpolation="nearest",
            extent=(0, len(sound) / sample_rate, 0, level.shape[0]),
        )
        axis.set(title=name, ylabel="mel band")
        axis.grid(False)
    axes[-1].set_xlabel("seconds")
    return figure


def means(sounds: Mapping[str, pd.DataFrame], run: Edition) -> dict[str, float]:
    """Return the codec's means over the scored windows."""
    return scoring.means(sounds[names(run)[0]], scored_kind(run))


def reported(kbps: float) -> pd.DataFrame:
    """Return what is reported of Meta's weights at a bandwidth: a row per source and material, a column per metric."""
    found = select(published(), bandwidth_kbps=kbps, metric=METRIC_NAMES)
    wide = found.pivot_table(index=["source", "material"], columns="metric", values="value").reset_index()
    wide.insert(0, "Whose weights", "Meta's: " + wide.pop("source") + ", " + wide.pop("material"))
    return wide


def beside(ours: Mapping[str, float], meta: pd.DataFrame, run: Edition) -> pd.DataFrame:
    """Return our means above what is reported of Meta's weights."""
    name = f"{run.checkpoint.id}: {run.stimulus.name}, {scored_kind(run)}"
    first = pd.DataFrame([{"Whose weights": name, **ours}])
    table = pd.concat([first, meta], ignore_index=True)
    return table[["Whose weights", *(metric for metric in METRIC_NAMES if metric in meta)]]


def gates(ours: Mapping[str, float], meta: pd.DataFrame) -> dict[str, float | str]:
    """Say which of the note's gates our means pass, and which the mean of what is reported of Meta's weights."""
    theirs = meta.mean(numeric_only=True)
    silent = "are silent on"
    return {
        "snr_gate": says(ours["snr_db"], GATES["snr_db"], "passes", "fails"),
        "pesq_gate": says(ours["pesq_wb"], GATES["pesq_wb"], "passes", "fails"),
        "stoi_bar": says(ours["stoi"], GATES["stoi"], "reaches", "does not reach"),
        "meta_snr_gate": says(float(theirs.get("snr_db", np.nan)), GATES["snr_db"], "pass", "fail", silent),
        "meta_pesq_gate": says(
            float(theirs.get("pesq_wb", np.nan)), GATES["pesq_wb"], "pass", "fail", silent
        ),
    }


def records(
    sounds: Mapping[str, pd.DataFrame], floors: Mapping[str, pd.DataFrame], counts: Counts, run: Edition
) -> list[Record]:
    """Return the chapter's results."""
    coded, equal, plain = sounds.values()
    codec, kbps, common = run.checkpoint.id, run.bandwidth, columns(run)
    own = {**common, "control": "none", "bandwidth_kbps": kbps}
    found = scoring.to_records(coded, per_window=True, representation="encodec-codes", codec=codec, **own)
    found += scoring.to_records(equal, representation="mel-quantised", **own)
    plain_kbps = plain_mel(run).bits_per_second / 1000
    found += scoring.to_records(plain, representation="mel", **{**own, "bandwidth_kbps": plain_kbps})
    for name, frame in floors.items():
        found += scoring.to_records(frame, control=name, **common)
    return found + counting.to_records(counts.codes, counts.here, codec=codec, bandwidth_kbps=kbps, **common)
