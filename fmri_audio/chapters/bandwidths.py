"""Chapter 4: the codec's runs at several bandwidths side by side, beside Meta's weights and the note's gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fmri_audio.base.results import Record, select
from fmri_audio.chapters import spoken
from fmri_audio.chapters.published import GATES, REFERENCE
from fmri_audio.edition import Edition
from fmri_audio.edition.windows import listening_clips, scored_kind
from fmri_audio.pages.page import NO_WEIGHTS, Clip, Page
from fmri_audio.sound.scoring import FLOORS, LABELS, METRIC_NAMES, UNITS, floor_label

SOUNDS = {
    "encodec-codes": "EnCodec",
    "mel-quantised": "mel + Griffin-Lim",
    "mel-vocoder-quantised": "mel + neural vocoder",
}
"""Representations that are compared at equal bits, in a reader's words."""


DRAWN = (*GATES, "estoi")
"""Metrics that the figure shows: those of the note's gates, and ESTOI, because STOI never stands alone."""

WORDS = "words_wrong"
"""Metric of the table of results that counts words."""


def facts(run: Edition, measured: pd.DataFrame) -> dict[str, float | str]:
    """Return what the text says of weights, sound and bandwidths."""
    return {
        "codec": run.checkpoint.id,
        "description": run.checkpoint.description,
        "stimulus": run.stimulus.name,
        "kind": scored_kind(run),
        "n_bandwidths": len(run.bandwidths),
        "lowest": run.bandwidths[0],
        "highest": run.bandwidths[-1],
        "n_windows": int(measured["n"].max()),
    }


def measured_in(run: Edition) -> pd.DataFrame:
    """Return the means that chapter 3 measured in an edition (see :func:`measured`)."""
    return measured(run.records("03-encodec"), scored_kind(run))


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
    means = select(records, segment=kind, metric=METRIC_NAMES)
    compared = select(means, control="none", representation=list(SOUNDS))
    floors = select(means, control=list(FLOORS)).drop_duplicates(["control", "metric"])
    named = [
        compared.assign(sound=compared["representation"].map(SOUNDS)),
        floors.assign(sound=floors["control"].map(lambda name: floor_label(name, kind))),
    ]
    rows = pd.concat(named, ignore_index=True)
    return rows[["sound", "bandwidth_kbps", "metric", "value", "ci_low", "ci_high", "n"]]


def words_in(run: Edition) -> pd.DataFrame:
    """Return the words wrong beyond the original's that chapter 3 counted in an edition, as :func:`measured` does.

    The floors were read once; ``n`` is the number of words said.
    """
    records = run.records("03-encodec")
    counted = select(records, metric=WORDS, material=run.material)
    compared = select(counted, control="none", representation=list(SOUNDS))
    floors = select(counted, control=list(spoken.FLOORS))
    named = [
        compared.assign(sound=compared["representation"].map(SOUNDS)),
        floors.assign(sound=floors["control"].map(spoken.FLOORS)),
    ]
    rows = pd.concat(named, ignore_index=True)
    return rows[["sound", "bandwidth_kbps", "metric", "value", "ci_low", "ci_high", "n"]]


def by_bandwidth(rows: pd.DataFrame, sound: str) -> pd.DataFrame:
    """Return the means of one sound: index ``bandwidth_kbps``, a column per metric."""
    own = rows[rows["sound"] == sound]
    return own.pivot_table(index="bandwidth_kbps", columns="metric", values="value").reindex(
        columns=METRIC_NAMES
    )


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the measurements for readers: one row per sound and bandwidth, a column per metric."""
    keyed = rows.assign(kbps=rows["bandwidth_kbps"].fillna(-1.0))
    wide = keyed.pivot_table(index=["sound", "kbps"], columns="metric", values="value", dropna=False)
    wide = wide.reindex(columns=[WORDS, *METRIC_NAMES]).rename(columns={WORDS: spoken.WORDS}).reset_index()
    order = {name: place for place, name in enumerate(dict.fromkeys([*SOUNDS.values(), *rows["sound"]]))}
    wide = wide[wide.set_index(["sound", "kbps"]).index.isin(keyed.set_index(["sound", "kbps"]).index)]
    wide = wide.sort_values(
        ["sound", "kbps"], key=lambda column: column.map(order) if column.name == "sound" else column
    )
    wide["kbps"] = wide["kbps"].where(wide["kbps"] >= 0)
    return wide


def more_bits(rows: pd.DataFrame) -> dict[str, float | str]:
    """Return what more bits buy in STOI, and where the codec beats a mel spectrogram of the same bits."""
    ours, equal, vocoded = (by_bandwidth(rows, sound)["stoi"] for sound in SOUNDS.values())
    return {
        "gain_words": gain(ours),
        "stoi_lowest": ours.iloc[0],
        "stoi_highest": ours.iloc[-1],
        "wins": where(ours > equal),
        "against_vocoder": against_vocoder(ours, vocoded),
    }


def against_vocoder(ours: pd.Series, vocoded: pd.Series) -> str:
    """Say where the codec beats a mel spectrogram of equal bits with a neural vocoder, by STOI."""
    if vocoded.empty:
        return "A neural vocoder in Griffin-Lim's place was not measured in this edition."
    return f"With a neural vocoder in Griffin-Lim's place it does so at {where(ours > vocoded)}."


def curves(rows: pd.DataFrame, words: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Draw quality against bandwidth, one panel per gate's metric, ESTOI beside STOI, and the words wrong."""
    figure, panels = plt.subplots(1, len(DRAWN) + 1, figsize=(11.2, 3.3), layout="constrained")
    genuine = published[published["source"] == REFERENCE]
    _curve(panels[-1], words, best=min)
    panels[-1].set(ylabel=spoken.WORDS)
    for axis, metric in zip(panels, DRAWN, strict=False):
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
        if metric in GATES:
            axis.axhline(
                GATES[metric], color="#c1272d", linestyle="--", linewidth=1.2, label="the note's gate"
            )
        axis.set(ylabel=LABELS[metric])
    ticks = sorted({*rows["bandwidth_kbps"].dropna(), *genuine["bandwidth_kbps"]})
    for axis in panels:
        axis.set(xscale="log", xlabel="kbps")
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )
    return figure


def _curve(axis: Axes, rows: pd.DataFrame, best: Callable[[pd.Series], float] = max) -> None:
    styles = {
        "EnCodec": ("#0072b2", "o", "EnCodec, our weights"),
        "mel + Griffin-Lim": ("#d55e00", "^", "mel, equal bits"),
        "mel + neural vocoder": ("#009e73", "v", "mel with a vocoder, equal bits"),
    }
    for sound, (color, marker, label) in styles.items():
        line = rows[rows["sound"] == sound].sort_values("bandwidth_kbps")
        if line.empty:
            continue
        axis.plot(line["bandwidth_kbps"], line["value"], color=color, marker=marker, label=label)
        axis.fill_between(
            line["bandwidth_kbps"].astype(float),
            line["ci_low"].astype(float),
            line["ci_high"].astype(float),
            color=color,
            alpha=0.15,
            linewidth=0,
        )
    floors = rows.loc[rows["sound"].str.startswith("floor: "), "value"].dropna()
    if len(floors):
        axis.axhline(best(floors), color="black", linestyle=":", linewidth=1.2, label="best floor")


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


def listeners(published: pd.DataFrame) -> dict[str, float | str]:
    """Return what listeners gave Meta's weights, and how far measurements on speech lie apart at most."""
    mushra = published[published["metric"] == "mushra"].sort_values("bandwidth_kbps")
    speech = published[(published["metric"] == "pesq_wb") & ~published["material"].str.contains("music")]
    pesq = speech.groupby("bandwidth_kbps")["value"]
    return {
        "mushra": ", ".join(f"{value:.0f}" for value in mushra["value"]),
        "mushra_kbps": ", ".join(f"{kbps:g}" for kbps in mushra["bandwidth_kbps"]),
        "pesq_spread": float((pesq.max() - pesq.min()).max()),
    }


def passed(ours: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Say at which bandwidths each of the note's gates is passed, by our weights and by the figures for Meta's.

    Parameters
    ----------
    ours
        Index ``bandwidth_kbps``, a column per metric.
    published
        ``source, material, bandwidth_kbps, metric, value``.

    Returns
    -------
    DataFrame
        Index: metric; columns ``ours`` and ``meta``.
    """
    rows = {}
    for metric, gate in GATES.items():
        figures = published[published["metric"] == metric].groupby("bandwidth_kbps")["value"]
        all_pass, some_pass = figures.min() > gate, figures.max() > gate
        words = where(all_pass)
        if (some_pass & ~all_pass).any():
            words += f" (some sources also at {where(some_pass & ~all_pass)})"
        rows[metric] = {"ours": where(ours[metric] > gate), "meta": words}
    return pd.DataFrame(rows).T


def gates_table(passed: pd.DataFrame, codec: str) -> pd.DataFrame:
    """Return where the gates are passed for readers."""
    return pd.DataFrame(
        {
            "gate": [f"{LABELS[metric]} above {GATES[metric]:g}" for metric in passed.index],
            f"{codec} passes at": passed["ours"].to_list(),
            "Meta's weights pass at": passed["meta"].to_list(),
        }
    )


def gates_said(passed: pd.DataFrame) -> dict[str, float | str]:
    """Return where the two gates are passed, as the text cites them."""
    return {
        f"{name}_{whose}": passed[whose][metric]
        for metric, name in (("snr_db", "snr"), ("pesq_wb", "pesq"))
        for whose in ("ours", "meta")
    }


def gate_records(ours: pd.DataFrame, codec: str) -> list[Record]:
    """Return the highest value that each metric reaches over all bandwidths, with that bandwidth."""
    records = []
    for metric in ("snr_db", "pesq_wb", "stoi"):
        defined = ours[metric].dropna()
        highest = defined.nlargest(1)
        records.append(
            Record(
                metric=f"highest_{metric}",
                value=float(highest.iloc[0]) if len(highest) else float("nan"),
                bandwidth_kbps=float(highest.index.to_numpy()[0]) if len(highest) else None,
                unit=UNITS[metric],
                codec=codec,
                representation="encodec-codes",
                arm="roundtrip",
                control="none",
                condition="none",
            )
        )
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


def passages(page: Page) -> dict[str, list[Clip]]:
    """Return the clips of chapter 3, at all bandwidths, under the passages that all chapters play."""
    made = {clip.name: page.clips("03-encodec", clip.name) for clip in listening_clips(page.run)}
    return {name: clips for name, clips in made.items() if clips}


def heard(clips: Sequence[Clip]) -> tuple[dict[str, Clip], dict[str, Clip], dict[str, Clip]]:
    """Tell the clips of one passage apart, under what a reader calls them.

    Parameters
    ----------
    clips
        In ascending order of bandwidth.

    Returns
    -------
    original : by itself
    coded : through learned weights, at every bandwidth
    equal : mel spectrograms whose bits are those of the run that made them, as their condition says
    """
    original = next(clip for clip in clips if clip.condition == "original")
    coded, equal = {}, {}
    for clip in clips:
        kbps = f"{clip.bandwidth_kbps:g} kbps"
        if clip.condition.startswith("mel"):
            if clip.condition.endswith(f" {kbps}"):
                equal[f"mel{'' if clip.weights == NO_WEIGHTS else ' with a vocoder'}, {kbps}"] = clip
        elif clip.weights != NO_WEIGHTS:
            coded[f"EnCodec, {kbps}"] = clip
    return {"original": original}, coded, equal
