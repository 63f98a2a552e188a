"""Chapter 2: where the quality of mel and Griffin-Lim goes.

The experiment is :mod:`fmri_audio.experiments.problem`; here it meets an edition's sound and becomes what is shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record, select
from fmri_audio.bottleneck.block_code import BlockCode
from fmri_audio.chapters import roundtrip_words, spoken
from fmri_audio.chapters.roundtrip import columns, equal_mel, plain_mel, setting_of, split_said
from fmri_audio.chapters.spoken import Spoken
from fmri_audio.edition import Edition
from fmri_audio.edition.reel import reel_of
from fmri_audio.edition.windows import scored_windows
from fmri_audio.experiments import problem
from fmri_audio.experiments.problem import CELL_NAMES, CELLS, INTELLIGIBLE_STOI, SWEPT, says
from fmri_audio.representations.base import Representation
from fmri_audio.representations.encodec import EncodecCodes, EncodecLatents
from fmri_audio.representations.stft import ComplexStft
from fmri_audio.sound import scoring
from fmri_audio.sound.scoring import LABELS, METRIC_NAMES
from fmri_audio.sound.segments import Window

PHASES = {"griffin-lim": "#d55e00", "true": "#0072b2"}
"""Colours of the two phases."""

AXIS_NAMES = {"n_fft": "window", "hop_length": "hop", "n_mels": "mel bands", "n_iter": "iterations"}
"""The settings that are varied, in a reader's words."""

PRICES = {"values": "values per TR", "bits": "bits per TR", "bytes": "bytes per TR"}
"""What a representation takes, in a reader's words."""

PRICE_FORMATS = dict.fromkeys(PRICES.values(), ",.0f")


def windows_of(run: Edition) -> list[Window]:
    """Return the windows that this chapter scores: two fifths of the edition's, because it scores them so often."""
    return scored_windows(run, count=max(1, run.settings.windows.n_windows * 2 // 5))


def over(run: Edition) -> str:
    """Say what the scores are means over."""
    windows = windows_of(run)
    return f"means over {len(windows)} windows of {windows[0].kind}"


def facts(run: Edition) -> dict[str, float | str]:
    """Return what the text says of sound, windows and the setting of the mel spectrogram."""
    first, *others = windows_of(run)
    return {
        "stimulus": run.stimulus.name,
        "n_windows": 1 + len(others),
        "kind": first.kind,
        "window_seconds": float(first.offset - first.onset),
        **vars(setting_of(run)),
    }


def deciding(run: Edition) -> str:
    """Return the metric that tells the halves apart: PESQ, or where nobody speaks the mel distance."""
    return "pesq_wb" if windows_of(run)[0].kind == "speech" else "mel_distance_db"


def sweep(run: Edition) -> pd.DataFrame:
    """Score magnitude × phase at every setting (see :func:`fmri_audio.experiments.problem.sweep`)."""
    wave, rate = run.stimulus.waveform, run.stimulus.sample_rate
    return problem.sweep(
        setting_of(run), run.settings.problem, wave, rate, windows_of(run), run.settings.seed
    )


def halves(scores: pd.DataFrame, run: Edition) -> pd.DataFrame:
    """Return the means of the four cells (index: magnitude, phase) at the edition's own setting."""
    return problem.at_setting(scores, setting_of(run))


def halves_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the four cells for readers."""
    table = cells.reset_index(drop=True)
    table.insert(0, "Put together from", [CELL_NAMES[cell] for cell in CELLS])
    return table


def halves_said(cells: pd.DataFrame, metric: str) -> dict[str, float | str]:
    """Return the scores of the four cells, and which half costs more by a metric."""
    said: dict[str, float | str] = {
        f"{magnitude}_{phase}_{name}": cells[name][magnitude, phase]
        for magnitude, phase in CELLS
        for name in SWEPT
    }
    lost = (cells[metric]["oracle", "true"] - cells[metric]).abs()
    shares = ["Griffin-Lim's phase", "the mel bands"]
    if not lost["oracle", "griffin-lim"] > lost["mel", "true"]:
        shares.reverse()
    return {**said, "costlier": shares[0], "cheaper": shares[1]}


def taken_apart(clip: Window, run: Edition) -> dict[str, Waveform]:
    """Return a passage put together from each magnitude and phase but its own two."""
    setting, rate = setting_of(run), run.stimulus.sample_rate
    heard = clip.of(run.stimulus.waveform, rate)
    return {
        CELL_NAMES[cell]: problem.listen(setting, heard, rate, cell, run.settings.seed) for cell in CELLS[1:]
    }


def draw_settings(scores: pd.DataFrame, metric: str) -> Figure:
    """Draw a metric over each setting, one panel per setting, one line per magnitude and phase."""
    grid = sns.relplot(
        scores,
        x="value",
        y=metric,
        col="axis",
        hue="phase",
        style="magnitude",
        kind="line",
        markers=True,
        errorbar=None,
        facet_kws={"sharex": False},
        height=2.9,
        aspect=0.72,
        palette=PHASES,
    )
    titles = ("window (samples)", "hop (samples)", "mel bands", "iterations")
    for axis, title in zip(grid.axes.flat, titles, strict=True):
        axis.set(title="", xlabel=title, ylabel=LABELS[metric])
    figure: Figure = grid.figure
    return figure


def swept(scores: pd.DataFrame, run: Edition) -> pd.DataFrame:
    """Return the means of the pipeline, mel magnitude with Griffin-Lim's phase, a row per setting varied."""
    own = setting_of(run)
    rows = select(scores, magnitude="mel", phase="griffin-lim")
    means = rows.groupby(["axis", "value", "hop_length"], sort=False)[list(SWEPT)].mean().reset_index()
    hops = means["hop_length"].where(means["axis"] == "n_fft", own.hop_length)
    notes = [f" (hop {hop})" if hop != own.hop_length else "" for hop in hops]
    means.insert(0, "Varied", means["axis"].map(AXIS_NAMES) + " " + means["value"].astype(str) + notes)
    return means.drop(columns=["axis", "value", "hop_length"])


def extremes(swept: pd.DataFrame) -> dict[str, float | str]:
    """Return the settings with the best and the worst STOI; the first and the last where nobody speaks."""
    stoi = swept["stoi"]
    places = {"best": 0, "worst": len(swept) - 1}
    if stoi.notna().any():
        places = {"best": int(stoi.argmax()), "worst": int(stoi.argmin())}
    said: dict[str, float | str] = {}
    for name, place in places.items():
        row = swept.iloc[place]
        said |= {
            f"{name}_setting": row["Varied"],
            f"{name}_pesq_wb": row["pesq_wb"],
            f"{name}_stoi": row["stoi"],
        }
    return said


def ends(clip: Window, run: Edition) -> dict[str, Waveform]:
    """Return a passage through the pipeline at both ends of every setting, the edition's own setting left out."""
    own, rate = setting_of(run), run.stimulus.sample_rate
    heard = clip.of(run.stimulus.waveform, rate)
    return {
        name: problem.listen(setting, heard, rate, ("mel", "griffin-lim"), run.settings.seed)
        for axis in problem.AXES
        for name, setting in problem.ends(own, run.settings.problem, axis).items()
        if setting != own
    }


def prices(run: Edition) -> pd.DataFrame:
    """Return what one TR costs in each representation, the dearest first."""
    setting, tr = setting_of(run), run.settings.tr
    ways: dict[str, Representation] = {
        f"mel spectrogram, {setting.n_mels} bands": plain_mel(run),
        "complex STFT": ComplexStft(setting.n_fft, setting.hop_length),
        "EnCodec latents": EncodecLatents(run.checkpoint),
    }
    ways |= {f"EnCodec codes, {kbps:g} kbps": EncodecCodes(run.checkpoint, kbps) for kbps in run.bandwidths}
    samples = float(tr * run.stimulus.sample_rate)
    costs = {name: problem.price(way, tr) for name, way in ways.items()}
    costs["waveform, 16 bit"] = {"values": samples, "bits": 16 * samples, "bytes": 2 * samples}
    table = pd.DataFrame(costs).T.reset_index(names="Representation").sort_values("bits", ascending=False)
    return table.rename(columns=PRICES)


def price_of_mel(run: Edition) -> dict[str, float | str]:
    """Return what the uncompressed mel spectrogram takes, and how many times the bits of the codes."""
    mel, codes = plain_mel(run), EncodecCodes(run.checkpoint, run.bandwidth)
    return {
        "main_kbps": run.bandwidth,
        "codec": run.checkpoint.id,
        "mel_values": problem.price(mel, run.settings.tr)["values"],
        "mel_kbps": mel.bits_per_second / 1000,
        "price_ratio": mel.bits_per_second / codes.bits_per_second,
    }


def at_equal_bits(run: Edition) -> dict[str, pd.DataFrame]:
    """Score a mel spectrogram and the codec at equal bits, window by window."""
    wave, rate, windows = run.stimulus.waveform, run.stimulus.sample_rate, windows_of(run)
    kbps = f"{run.bandwidth:g} kbps"
    return {
        f"mel + Griffin-Lim at {kbps}": problem.score_through(equal_mel(run), wave, rate, windows),
        f"EnCodec at {kbps}": scoring.score_windows(wave, run.decoded, rate, windows),
    }


def equal_table(equal: Mapping[str, pd.DataFrame], run: Edition) -> pd.DataFrame:
    """Return the means at equal bits for readers."""
    kind = windows_of(run)[0].kind
    means = pd.DataFrame({name: scoring.means(frame, kind) for name, frame in equal.items()})
    return means.T.reset_index(names="At equal bits")


def equal_said(equal: Mapping[str, pd.DataFrame], run: Edition) -> dict[str, float | str]:
    """Return the means at equal bits, which of the two is better by STOI, and how the mel spends its bits."""
    kind = windows_of(run)[0].kind
    mel, codec = (scoring.means(frame, kind) for frame in equal.values())
    return {
        **{f"small_{metric}": mel[metric] for metric in METRIC_NAMES},
        **{f"codec_{metric}": codec[metric] for metric in METRIC_NAMES},
        "equal_winner": winner(codec["stoi"] - mel["stoi"], run.checkpoint.id),
        "split": split_said(run),
    }


def winner(gain: float, codec: str) -> str:
    """Say who is better at equal bits, by what the codec gains over the mel spectrogram."""
    return says(gain, 0, f"EnCodec with the weights {codec}", "the mel spectrogram with Griffin-Lim")


def played_at_equal_bits(clip: Window, run: Edition) -> dict[str, Waveform]:
    """Return a passage through a mel spectrogram and through the codec at equal bits."""
    rate = run.stimulus.sample_rate
    heard = clip.of(run.stimulus.waveform, rate)
    return {
        f"mel at {run.bandwidth:g} kbps": problem.through(equal_mel(run), heard),
        f"EnCodec at {run.bandwidth:g} kbps": clip.of(run.decoded, rate),
    }


def squeeze(run: Edition, units: Sequence[int]) -> tuple[pd.DataFrame, dict[int, BlockCode]]:
    """Score the mel spectrogram behind linear codes of so many numbers per TR, and return the fitted codes."""
    wave, rate = run.stimulus.waveform, run.stimulus.sample_rate
    return problem.squeeze(
        setting_of(run),
        wave,
        rate,
        run.settings.tr,
        windows_of(run),
        units,
        run.settings.seed,
        unseen=reel_of(run).inside,
    )


def draw_squeezed(squeezed: pd.DataFrame, cells: pd.DataFrame, words: Spoken) -> Figure:
    """Draw STOI, ESTOI and the words wrong over the width of the linear code; dotted: the same mel without a code."""
    figure, axes = plt.subplots(1, 3, figsize=(11.2, 3.6), layout="constrained")
    look: dict[str, Any] = {"palette": PHASES, "dodge": True, "size": 6}
    for axis, metric in zip(axes, ("stoi", "estoi"), strict=False):
        sns.stripplot(
            squeezed, x="units", y=metric, hue="phase", jitter=False, ax=axis, legend=metric == "stoi", **look
        )
        axis.axhline(cells[metric]["mel", "griffin-lim"], color="black", linestyle=":")
        axis.set(xlabel="numbers per TR", title=LABELS[metric], ylabel="", ylim=(-0.1, 1))
    widths, colour = sorted(squeezed["units"].unique()), PHASES["griffin-lim"]
    for place, units in enumerate(widths):
        one = words.score(roundtrip_words.behind(units)).beyond
        axes[2].plot([place, place], [one.low, one.high], color=colour)
        axes[2].plot(place, one.value, "o", color=colour)
    axes[2].axhline(words.beyond(CELL_NAMES[CELLS[-1]]), color="black", linestyle=":")
    axes[2].set_xticks(range(len(widths)), [str(units) for units in widths])
    axes[2].set(xlabel="numbers per TR", title="words wrong beyond the original's")
    return figure


def words_said(words: Spoken, codes: Mapping[int, BlockCode], run: Edition) -> dict[str, float | str]:
    """Say how many words are wrong behind the mel spectrogram, the codec and the widest linear code."""
    if words.why_undefined:
        return {"words_said": words.why_undefined, "words_behind": words.why_undefined}
    most = max(codes)
    wide, plain = spoken.told(words, roundtrip_words.behind(most)), spoken.told(words, CELL_NAMES[CELLS[-1]])
    coded, equal = (spoken.told(words, name) for name in roundtrip_words.equal_names(run))
    order = spoken.agreement(words)
    said = (
        f"Of the original's words {words.original_wrong:.2f} are read wrong. Beyond that, {plain} are wrong after mel "
        f"and Griffin-Lim, {wide} behind the linear code of {most} numbers per TR, {coded} after EnCodec at "
        f"{run.bandwidth:g} kbps and {equal} after a mel spectrogram of the same bits."
    )
    if not math.isnan(order):
        said += f" The two recognisers put these sounds in one order with a rank correlation of {order:.2f}."
    behind = f"Behind {most} numbers per TR, {wide} of the words are wrong beyond the original's."
    return {"words_said": said, "words_behind": behind}


def squeezed_said(squeezed: pd.DataFrame, cells: pd.DataFrame) -> dict[str, float | str]:
    """Return the scores behind the widest and the narrowest code, and the verdicts that follow from them."""
    means = squeezed.groupby(["units", "phase"])[list(SWEPT)].mean()
    least, most = squeezed["units"].min(), squeezed["units"].max()
    wide, plain = means.loc[most], cells["stoi"]["mel", "griffin-lim"]
    stoi = wide["stoi"]["griffin-lim"]
    return {
        "units": most,
        "fewest": least,
        "fewest_stoi": means["stoi"][least, "griffin-lim"],
        "fewest_estoi": means["estoi"][least, "griffin-lim"],
        "carried": says(stoi, INTELLIGIBLE_STOI, "is intelligible", "is not intelligible"),
        "size_said": size_said(stoi),
        **{
            f"squeezed_{phase}_{name}": wide[name][phase]
            for phase in PHASES
            for name in ("pesq_wb", "stoi", "estoi")
        },
        "diagnosis": says(plain, INTELLIGIBLE_STOI, "does not survive", "survives"),
    }


def size_said(stoi: float) -> str:
    """Say what the size of a code has to do with it, by the STOI behind the widest."""
    return says(
        stoi,
        INTELLIGIBLE_STOI,
        "A linear code of a fraction of that size carries it too, and fewer numbers take it apart step by step",
        "What goes wrong is upstream: a linear code of these sizes does not carry it",
    )


def played_behind(codes: Mapping[int, BlockCode], clip: Window, run: Edition) -> dict[str, Waveform]:
    """Return a passage behind the widest code with either phase, and behind the narrowest with Griffin-Lim's."""
    mel, heard = plain_mel(run), clip.of(run.stimulus.waveform, run.stimulus.sample_rate)
    most, least = max(codes), min(codes)
    wide, narrow = (problem.squeezed(mel, heard, codes[units]) for units in (most, least))
    return {
        f"{most} numbers per TR, Griffin-Lim phase": wide["griffin-lim"],
        f"{most} numbers per TR, own phase": wide["true"],
        f"{least} numbers per TR, Griffin-Lim phase": narrow["griffin-lim"],
    }


def records(
    scores: pd.DataFrame, squeezed: pd.DataFrame, equal: Mapping[str, pd.DataFrame], run: Edition
) -> list[Record]:
    """Return the chapter's results."""
    common = columns(run)
    found = problem.sweep_records(scores, setting_of(run), run.stimulus.sample_rate, **common)
    found += problem.squeeze_records(squeezed, **common)
    mel, codec = equal.values()
    common |= {"bandwidth_kbps": run.bandwidth, "control": "none"}
    found += scoring.to_records(mel, representation="mel-quantised", **common)
    return found + scoring.to_records(
        codec, representation="encodec-codes", codec=run.checkpoint.id, **common
    )
