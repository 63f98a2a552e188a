"""The codec's runs at several bandwidths side by side: one table, one figure, and the gates of the brief."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmri_audio.base.results import Record
from fmri_audio.pages.page import NO_WEIGHTS, Clip
from fmri_audio.sound.scoring import LABELS, METRICS, UNITS

SOUNDS = {"encodec-codes": "EnCodec", "mel-quantised": "mel + Griffin-Lim"}
"""Representations that are compared at equal bits, in a reader's words."""

FLOORS = {"silence": "floor: silence", "noise": "floor: white noise", "other-segment": "floor: other segment"}
"""Controls that carry nothing of the sound."""

REFERENCE = "measured here on the Vocos demo clips"
"""The source of figures for Meta's weights that has all metrics (book/published.csv)."""


def measured(records: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return the means of one kind of segment as one row per sound, bandwidth and metric.

    Parameters
    ----------
    records
        Tables of chapter 3, all bandwidths.
    kind
        Of segment: speech, music …

    Returns
    -------
    DataFrame
        ``sound, bandwidth_kbps, metric, value, ci_low, ci_high, n``; floors have no bandwidth and come once.
    """
    means = records[(records["segment"] == kind) & records["metric"].isin(METRICS)]
    compared = means[(means["control"] == "none") & means["representation"].isin(list(SOUNDS))]
    floors = means[means["control"].isin(list(FLOORS))].drop_duplicates(["control", "metric"])
    named = [
        compared.assign(sound=compared["representation"].map(SOUNDS)),
        floors.assign(sound=floors["control"].map(FLOORS)),
    ]
    rows = pd.concat(named, ignore_index=True)
    return rows[["sound", "bandwidth_kbps", "metric", "value", "ci_low", "ci_high", "n"]]


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the measurements for readers: one row per sound and bandwidth, a column per metric."""
    keyed = rows.assign(kbps=rows["bandwidth_kbps"].fillna(-1.0))
    wide = keyed.pivot_table(index=["sound", "kbps"], columns="metric", values="value", dropna=False)
    wide = wide.reindex(columns=list(METRICS)).reset_index()
    order = {name: place for place, name in enumerate([*SOUNDS.values(), *FLOORS.values()])}
    wide = wide[wide.set_index(["sound", "kbps"]).index.isin(keyed.set_index(["sound", "kbps"]).index)]
    wide = wide.sort_values(
        ["sound", "kbps"], key=lambda column: column.map(order) if column.name == "sound" else column
    )
    wide["kbps"] = wide["kbps"].where(wide["kbps"] >= 0)
    return wide.rename(columns=LABELS)


def curves(rows: pd.DataFrame, published: pd.DataFrame, gates: Mapping[str, float]) -> Figure:
    """Draw quality against bandwidth, one panel per gate's metric."""
    figure, panels = plt.subplots(1, len(gates), figsize=(8.4, 3.3), layout="constrained")
    genuine = published[published["source"] == REFERENCE]
    for axis, (metric, gate) in zip(panels, gates.items(), strict=True):
        _curve(axis, rows[rows["metric"] == metric])
        meta = genuine[genuine["metric"] == metric]
        axis.plot(
            meta["bandwidth_kbps"],
            meta["value"],
            "s--",
            color="black",
            markersize=4,
            label="EnCodec, Meta's weights",
        )
        axis.axhline(gate, color="#c1272d", linestyle="--", linewidth=1.2, label="the note's gate")
        axis.set(xscale="log", xlabel="kbps", ylabel=LABELS[metric])
        ticks = sorted({*rows["bandwidth_kbps"].dropna(), *meta["bandwidth_kbps"]})
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )
    return figure


def _curve(axis: Axes, rows: pd.DataFrame) -> None:
    styles = {
        "EnCodec": ("#0072b2", "o", "EnCodec, our weights"),
        "mel + Griffin-Lim": ("#d55e00", "^", "mel, equal bits"),
    }
    for sound, (color, marker, label) in styles.items():
        line = rows[rows["sound"] == sound].sort_values("bandwidth_kbps")
        axis.plot(line["bandwidth_kbps"], line["value"], color=color, marker=marker, label=label)
        axis.fill_between(
            line["bandwidth_kbps"].astype(float), line["ci_low"].astype(float), line["ci_high"].astype(float),
            color=color, alpha=0.15, linewidth=0,
        )  # fmt: skip
    floors = rows.loc[rows["sound"].isin(list(FLOORS.values())), "value"].dropna()
    if len(floors):
        axis.axhline(floors.max(), color="black", linestyle=":", linewidth=1.2, label="highest floor")


BESIDE = ("pesq_wb", "stoi", "si_sdr_db", "snr_db")
"""Metrics that others report for Meta's weights."""

KBPS = (1.5, 3.0, 6.0, 12.0, 24.0)
"""Bandwidths of the 24 kHz model."""

BESIDE_FORMATS = {f"{kbps:g}": ".2f" for kbps in KBPS}
"""Formats of the table that :func:`beside` returns."""


def beside(ours: pd.DataFrame, name: str, published: pd.DataFrame) -> pd.DataFrame:
    """Return our scores and those of Meta's weights, a column per bandwidth.

    Parameters
    ----------
    ours
        Index ``bandwidth_kbps``, a column per metric.
    name
        What our rows are called.
    published
        ``source, material, bandwidth_kbps, metric, value``.
    """
    rows = []
    meta = published.assign(name="Meta's: " + published["source"] + ", " + published["material"])
    for metric in BESIDE:
        listed = [(name, ours[metric])]
        for source, group in meta[meta["metric"] == metric].groupby("name", sort=False):
            listed.append((str(source), group.set_index("bandwidth_kbps")["value"]))
        for label, values in listed:
            by_kbps = {f"{kbps:g}": float(values.get(kbps, float("nan"))) for kbps in KBPS}
            rows.append({"measure": LABELS[metric], "whose weights, on what": label, **by_kbps})
    return pd.DataFrame(rows)


def gates(ours: pd.DataFrame, codec: str, meta: pd.DataFrame, bars: Mapping[str, float]) -> pd.DataFrame:
    """Return at which bandwidths each gate is passed, by our weights and by the figures for Meta's.

    Parameters
    ----------
    ours
        Index ``bandwidth_kbps``, a column per metric.
    codec
        Id of our weights.
    meta
        ``metric, bandwidth_kbps, min, max``: the range over sources.
    bars
        Metric → value to exceed.
    """
    rows = []
    for metric, bar in bars.items():
        figures = meta[meta["metric"] == metric].set_index("bandwidth_kbps")
        all_pass, some_pass = figures["min"] > bar, figures["max"] > bar
        words = where(all_pass)
        if (some_pass & ~all_pass).any():
            words += f" (some sources also at {where(some_pass & ~all_pass)})"
        rows.append({
            "gate": f"{LABELS[metric]} above {bar:g}",
            f"{codec} passes at": where(ours[metric] > bar),
            "Meta's weights pass at": words,
        })  # fmt: skip
    return pd.DataFrame(rows)


def gate_records(ours: pd.DataFrame, codec: str) -> list[Record]:
    """Return the highest value that each metric reaches over all bandwidths, with that bandwidth."""
    records = []
    for metric in ("snr_db", "pesq_wb", "stoi"):
        defined = ours[metric].dropna()
        highest = defined.nlargest(1)
        records.append(
            Record(
                metric=f"highest_{metric}", value=float(highest.iloc[0]) if len(highest) else float("nan"),
                bandwidth_kbps=float(highest.index.to_numpy()[0]) if len(highest) else None, unit=UNITS[metric],
                codec=codec, representation="encodec-codes", arm="roundtrip", control="none", condition="none",
            )
        )  # fmt: skip
    return records


def where(passes: pd.Series) -> str:
    """Say at which bandwidths (the index, kbps) something holds."""
    held = [f"{bandwidth:g}" for bandwidth in passes.index[passes.astype(bool)]]
    if not held:
        return "no bandwidth"
    if len(held) == 1:
        return f"{held[0]} kbps"
    return f"{', '.join(held[:-1])} and {held[-1]} kbps"


def gain(quality: pd.Series, small: float = 0.02) -> str:
    """Say what more bits buy in STOI (index: kbps, ascending), from the lowest bandwidth to the highest."""
    if quality.isna().any() or len(quality) < 2:
        return "what more bits buy cannot be judged here"
    difference = float(quality.iloc[-1] - quality.iloc[0])
    if abs(difference) < small:
        return "more bits buy next to nothing, so these weights leave the later codebooks unused"
    return (
        "more bits buy intelligibility"
        if difference > 0
        else "more bits make it worse, which a trained codec should not do"
    )


def original_of(clips: Sequence[Clip]) -> Clip:
    """Return the original among the clips of one passage."""
    return next(clip for clip in clips if clip.condition == "original")


def with_weights(clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips that learned weights made."""
    return [clip for clip in clips if clip.weights != NO_WEIGHTS]


def at_equal_bits(clips: Sequence[Clip]) -> list[Clip]:
    """Return the mel clips whose bits are those of the run that made them, as their condition says."""
    runs = [(clip, f" {clip.bandwidth_kbps:g} kbps") for clip in clips if clip.bandwidth_kbps is not None]
    return [clip for clip, bits in runs if clip.condition.startswith("mel") and clip.condition.endswith(bits)]
