"""The codec by itself: what its codes hold, how its training went, how good it is on sound it never heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fmri_audio.sound.scoring import LABELS

GENUINE = "genuine EnCodec"
"""What ``python -m programs codec-evaluate`` calls Meta's own decodes."""

REFERENCE_SET = "encodec-reference/original"
"""The recordings of which Meta's own decodes are at hand."""

SETS = {
    REFERENCE_SET: "recorded speech (Vocos demo)",
    "speech/ljspeech": "recorded speech (LJSpeech)",
    "speech/librivox": "recorded speech (LibriVox, LibriSpeech)",
    "music": "recorded music",
}
"""Sets of recordings, in a reader's words."""

COLOURS = ("#0072b2", "#009e73", "#56b4e9", "#cc79a7")


def entropy(codes: NDArray[np.integer], size: int) -> NDArray[np.float64]:
    """Entropy of each codebook's codes, taken one by one, in bits.

    The plug-in estimate with Miller and Madow's correction of its bias, (seen entries - 1) / 2n nats
    (Miller 1955), never above the ``log2(size)`` bits that a code is stored in.

    Parameters
    ----------
    codes : array, shape [K, L]
    size : int
        Entries of a codebook.

    Returns
    -------
    array, shape [K]

    Raises
    ------
    ValueError
        A code lies outside its codebook.
    """
    if codes.min() < 0 or codes.max() >= size:
        raise ValueError(f"codes from {codes.min()} to {codes.max()} do not fit a codebook of {size}")
    bits = []
    for row in codes:
        share = np.bincount(row, minlength=size) / len(row)
        share = share[share > 0]
        plug_in = -(share * np.log2(share)).sum()
        bits.append(min(np.log2(size), plug_in + (len(share) - 1) / (2 * len(row) * np.log(2))))
    return np.asarray(bits)


def code_use(codes: NDArray[np.integer], size: int) -> pd.DataFrame:
    """Return one row per codebook: ``codebook`` (from 1), ``used`` entries, ``entropy`` in bits, ``perplexity``."""
    bits = entropy(codes, size)
    used = [len(np.unique(row)) for row in codes]
    return pd.DataFrame(
        {"codebook": np.arange(1, len(codes) + 1), "used": used, "entropy": bits, "perplexity": 2**bits}
    )


def entropy_rates(use: pd.DataFrame, codebooks: Mapping[float, int], frame_rate: float) -> pd.DataFrame:
    """Return, per bandwidth, the bit rate that an ideal entropy coder without memory would need.

    Parameters
    ----------
    use
        From :func:`code_use`.
    codebooks
        Bandwidth in kbps → codebooks.
    frame_rate
        Frames per second.
    """
    rows = []
    for kbps, count in codebooks.items():
        needed = float(use["entropy"].iloc[:count].sum()) * frame_rate / 1000
        rows.append({"kbps": kbps, "codebooks": count, "entropy (kbps)": needed, "of it used": needed / kbps})
    return pd.DataFrame(rows)


def draw_code_use(use: pd.DataFrame, size: int) -> Figure:
    """Draw entropy and used entries over the codebooks."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.8), layout="constrained")
    axes[0].plot(use["codebook"], use["entropy"], "o-", color=COLOURS[0], markersize=4)
    axes[0].axhline(np.log2(size), color="black", linestyle=":", linewidth=1)
    axes[0].set(xlabel="codebook", ylabel="entropy (bits)", ylim=(0, np.log2(size) * 1.05))
    axes[1].bar(use["codebook"], use["used"], color=COLOURS[0])
    axes[1].axhline(size, color="black", linestyle=":", linewidth=1)
    axes[1].set(xlabel="codebook", ylabel="entries used")
    return figure


def read_log(path: Path) -> pd.DataFrame:
    """Read a training log in long form: run's ``start``, ``step``, ``codebooks`` (0: not quantised), ``si_sdr_db``."""
    log = pd.read_csv(path)
    columns = {name: int(name.removeprefix("si_sdr_")) for name in map(str, log) if _counts(name)}
    columns["si_sdr_unquantised"] = 0
    long = log.melt(["start", "step"], list(columns), var_name="codebooks", value_name="si_sdr_db").dropna()
    return long.assign(codebooks=long["codebooks"].map(columns)).reset_index(drop=True)


def _counts(name: str) -> bool:
    return name.startswith("si_sdr_") and name.removeprefix("si_sdr_").isdigit()


def draw_training(log: pd.DataFrame) -> Figure:
    """Draw the SI-SDR of held-out sound against training steps, one line per number of codebooks; dotted: a new run."""
    figure, axis = plt.subplots(figsize=(7.2, 3.0), layout="constrained")
    counts = sorted(log["codebooks"].unique())
    shades = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, len(counts)))
    for shade, count in zip(shades, counts, strict=True):
        line = log[log["codebooks"] == count].sort_values("step")
        name = "not quantised" if count == 0 else f"{count} codebooks"
        axis.plot(line["step"], line["si_sdr_db"], "o-", color=shade, markersize=3, label=name)
    for begun in log.groupby("start", sort=False)["step"].max().iloc[:-1]:
        axis.axvline(begun, color="0.4", linestyle=":", linewidth=1)
    axis.set(xlabel="training steps", ylabel="SI-SDR, held out (dB)")
    figure.legend(loc="outside right center", fontsize=9, frameon=False)
    return figure


def quality_table(
    quality: pd.DataFrame, play: pd.DataFrame, metric: str, kbps: Sequence[float], codec: str
) -> pd.DataFrame:
    """Return one metric for readers: a row per sound and maker, a column per bandwidth.

    Parameters
    ----------
    quality
        The evaluation on recordings: ``set, codec, kbps`` and metrics.
    play
        ``sound, bandwidth_kbps, metric, value`` of the edition's own recording, from ``bandwidths.measured``.
    metric
        Which.
    kbps
        Bandwidths that become columns.
    codec
        Id of the edition's weights.
    """
    rows: list[dict[str, object]] = []
    for sound, makers in (("EnCodec", codec), ("mel + Griffin-Lim", "no learned weights")):
        found = play[(play["sound"] == sound) & (play["metric"] == metric)]
        values = dict(zip(found["bandwidth_kbps"], found["value"], strict=True))
        rows.append({"Sound": "this edition's", "Made by": f"{sound} ({makers})", **_columns(values, kbps)})
    for (name, maker), found in quality.groupby(["set", "codec"], sort=False):
        values = dict(zip(found["kbps"], found[metric], strict=True))
        made_by = "EnCodec (Meta's weights)" if maker == GENUINE else f"EnCodec ({maker})"
        rows.append({"Sound": SETS.get(str(name), str(name)), "Made by": made_by, **_columns(values, kbps)})
    table = pd.DataFrame(rows)
    return table[table[[f"{value:g}" for value in kbps]].notna().any(axis=1)].reset_index(drop=True)


def _columns(values: Mapping[float, float], kbps: Sequence[float]) -> dict[str, float]:
    return {f"{value:g}": float(values.get(value, np.nan)) for value in kbps}


def draw_quality(quality: pd.DataFrame, play: pd.DataFrame, metrics: Sequence[str], codec: str) -> Figure:
    """Draw quality over bandwidth: the edition's sound, recordings, genuine EnCodec, and mel at equal bits."""
    figure, [axes] = plt.subplots(1, len(metrics), figsize=(8.4, 3.6), layout="constrained", squeeze=False)
    for axis, metric in zip(axes, metrics, strict=True):
        for sound, style in (("EnCodec", ("o-", COLOURS[0])), ("mel + Griffin-Lim", ("^-", "#d55e00"))):
            line = play[(play["sound"] == sound) & (play["metric"] == metric)].sort_values("bandwidth_kbps")
            label = f"{sound}, this edition's sound"
            axis.plot(
                line["bandwidth_kbps"], line["value"], style[0], color=style[1], markersize=4, label=label
            )
        # neither sums over sets, nor the play's voices, nor another decoder's rows
        demo = quality[(quality["codec"] == codec) & quality["set"].isin(SETS) & quality[metric].notna()]
        for shade, (name, ours) in zip(COLOURS[1:], demo.groupby("set"), strict=False):
            label = f"EnCodec ({codec}), {SETS.get(str(name), name)}"
            axis.plot(ours["kbps"], ours[metric], "o--", color=shade, markersize=4, label=label)
        meta = quality[quality["codec"] == GENUINE].sort_values("kbps")
        label = "EnCodec (Meta's weights), recorded speech (Vocos demo)"
        axis.plot(meta["kbps"], meta[metric], "s--", color="black", markersize=4, label=label)
        ticks = sorted({*play["bandwidth_kbps"].dropna(), *quality["kbps"]})
        axis.set(xscale="log", xlabel="kbps", ylabel=LABELS[metric])
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9
    )
    return figure
