"""Chapter 11: what the codec's weights are, how they were trained, how good they are and what their codes hold."""

from __future__ import annotations

import pandas as pd

from fmri_audio.base.results import COMPUTED, Record, select
from fmri_audio.base.settings import project_root
from fmri_audio.chapters.bandwidths import KBPS
from fmri_audio.chapters.roundtrip import columns
from fmri_audio.codec import checkpoints
from fmri_audio.codec.counting import count_codebooks, count_weights
from fmri_audio.edition import Edition
from fmri_audio.edition.windows import scored_kind
from fmri_audio.experiments import levels
from fmri_audio.pages import codec_card
from fmri_audio.pages.codec_card import GENUINE, REFERENCE_SET
from fmri_audio.sound.scoring import FORMATS, LABELS

SHOWN = ("pesq_wb", "stoi", "estoi", "si_sdr_db", "mel_distance_db")
"""Metrics of which the chapter has a table."""

DRAWN = ("pesq_wb", "stoi", "estoi")
"""Metrics that its figure shows."""

COMPARED_KBPS = 6.0
"""Bandwidth at which the text compares the demo codec with genuine EnCodec."""


def quality() -> pd.DataFrame:
    """Return what was measured on recordings, of the demo codec and of Meta's decodes (checkpoints/quality.csv).

    What an older table does not have is undefined.
    """
    found = pd.read_csv(project_root() / "checkpoints" / "quality.csv")
    return found.reindex(columns=[*found.columns, *(name for name in SHOWN if name not in found)])


def demo_of(quality: pd.DataFrame) -> str:
    """Return the id of the demo codec."""
    return next(str(name) for name in quality["codec"].unique() if name != GENUINE)


def facts(run: Edition, play: pd.DataFrame, quality: pd.DataFrame) -> dict[str, float | str]:
    """Return what the text says of weights and sound; ``play`` is what chapter 3 measured of it."""
    return {
        "codec": run.checkpoint.id,
        "description": run.checkpoint.description,
        "licence": run.checkpoint.licence,
        "demo": demo_of(quality),
        "stimulus": run.stimulus.name,
        "kind": scored_kind(run),
        "n_windows": int(play["n"].max()),
        "lowest": run.bandwidths[0],
        "highest": run.bandwidths[-1],
    }


def anatomy(run: Edition) -> pd.DataFrame:
    """Return what the weights consist of, beside EnCodec's topology at full width."""
    model, quantizer = run.checkpoint.model, run.checkpoint.model.quantizer
    here, full = count_weights(model), count_weights(checkpoints.build())
    alike = {
        "codebooks": f"{quantizer.n_q} of {quantizer.bins} entries",
        "frames per second": f"{model.frame_rate}",
        "values per frame before quantisation": f"{quantizer.dimension}",
    }
    rows = [
        ("weights", run.checkpoint.id, "Meta's, at full width"),
        ("encoder parameters", f"{here.encoder:,}", f"{full.encoder:,}"),
        ("decoder parameters", f"{here.decoder:,}", f"{full.decoder:,}"),
        *((name, value, value) for name, value in alike.items()),
        ("in memory as 32-bit floats", f"{here.megabytes:.1f} MB", f"{full.megabytes:.1f} MB"),
    ]
    return pd.DataFrame(rows, columns=["", "this edition", "full width"])


def narrower(run: Edition) -> float:
    """Return how many times the parameters of these weights EnCodec has at full width."""
    return count_weights(checkpoints.build()).parameters / count_weights(run.checkpoint.model).parameters


def training_log() -> pd.DataFrame:
    """Return the log of the demo codec's training (see :func:`fmri_audio.pages.codec_card.read_log`)."""
    return codec_card.read_log(project_root() / "checkpoints" / "training-log.csv")


def trained(log: pd.DataFrame) -> dict[str, float | str]:
    """Return how long the training took, its last run by itself, and how good held-out sound was in the end."""
    ends = log.groupby("start", sort=False)["step"].max().to_list()
    last = log[log["step"] == log["step"].max()].set_index("codebooks")["si_sdr_db"]
    counts = [count for count in last.index if count]
    return {
        "steps": int(ends[-1]),
        "last_run": int(ends[-1] - max(ends[:-1])) if len(ends) > 1 else int(ends[-1]),
        "si_sdr_few": round(float(last[min(counts)]), 1) + 0.0,  # no minus nought
        "si_sdr_many": float(last[max(counts)]),
        "si_sdr_plain": float(last[0]),
    }


def quality_tables(quality: pd.DataFrame, play: pd.DataFrame, codec: str) -> dict[str, pd.DataFrame]:
    """Return a table per metric, under its name for readers: a row per sound and maker, a column per bandwidth."""
    return {LABELS[metric]: codec_card.quality_table(quality, play, metric, KBPS, codec) for metric in SHOWN}


def formats_of(label: str) -> dict[str, str]:
    """Return the formats of the table of one metric, by bandwidth."""
    return dict.fromkeys([f"{kbps:g}" for kbps in KBPS], FORMATS[label])


def beside_genuine(quality: pd.DataFrame) -> dict[str, float | str]:
    """Return what the demo codec and genuine EnCodec score on the clips that both were measured on."""
    compared = select(quality, kbps=COMPARED_KBPS, set=REFERENCE_SET)
    scores = compared.set_index("codec")[list(DRAWN)].to_dict("index")
    demo, genuine = scores[demo_of(quality)], scores[GENUINE]
    return {
        **{f"demo_{metric}": value for metric, value in demo.items()},
        **{f"genuine_{metric}": value for metric, value in genuine.items()},
        "short_pesq": genuine["pesq_wb"] - demo["pesq_wb"],
        "short_stoi": genuine["stoi"] - demo["stoi"],
        "short_estoi": genuine["estoi"] - demo["estoi"],
    }


def level_drift(run: Edition) -> pd.DataFrame:
    """Measure how levels change at the edition's bandwidths (see :mod:`fmri_audio.experiments.levels`)."""
    return select(levels.level_drift(run.checkpoint), kbps=run.bandwidths)


def drift_table(drift: pd.DataFrame) -> pd.DataFrame:
    """Return the changes of level for readers."""
    return levels.levels_table(drift).rename(columns={"sound": "Sound"})


def drift_said(drift: pd.DataFrame) -> dict[str, float | str]:
    """Return the sound whose level changes most, by how much, and the level that silence has at most."""
    silent = drift["sound"] == "silence"
    worst = drift[~silent].set_index("sound")["level_change_db"].abs().groupby(level=0, sort=False).max()
    return {
        "worst_sound": str(worst.idxmax()),
        "worst_level": float(worst.max()),
        "silence": float(drift.loc[silent, "level_change_db"].max()),
    }


def codebooks(run: Edition) -> dict[float, int]:
    """Return the codebooks that each of the edition's bandwidths takes."""
    return {kbps: count_codebooks(run.checkpoint.model, kbps) for kbps in run.bandwidths}


def code_use(run: Edition) -> pd.DataFrame:
    """Return how the codebooks are used by the stimulus, up to the highest bandwidth."""
    most = max(codebooks(run).values())
    return codec_card.code_use(run.encoding.codes[:most], run.checkpoint.model.quantizer.bins)


def rates(use: pd.DataFrame, run: Edition) -> pd.DataFrame:
    """Return the stored and the needed bit rate of each bandwidth."""
    return codec_card.entropy_rates(use, codebooks(run), float(run.checkpoint.model.frame_rate))


def used(use: pd.DataFrame, rates: pd.DataFrame, run: Edition) -> dict[str, float | str]:
    """Return how much of the codebooks and of the stored bits is used, at least and at the highest bandwidth."""
    return {
        "least_used": int(use["used"].min()),
        "size": int(run.checkpoint.model.quantizer.bins),
        "used_share": 100 * float(rates["of it used"].iloc[-1]),
    }


def records(rates: pd.DataFrame, drift: pd.DataFrame, run: Edition) -> list[Record]:
    """Return the chapter's results."""
    common = {**columns(run), "codec": run.checkpoint.id, "representation": "encodec-codes"}
    frames = run.encoding.codes.shape[1]
    found = [
        Record(
            metric="entropy_kbps",
            unit="kbps",
            value=row["entropy (kbps)"],
            bandwidth_kbps=row["kbps"],
            control="none",
            n=frames,
            **common,
        )
        for row in rates.to_dict("records")
    ]
    return found + [
        Record(
            metric="level_change_db",
            unit="dB",
            value=row["level_change_db"],
            bandwidth_kbps=row["kbps"],
            control=row["sound"],
            material=COMPUTED,
            n=1,
            **common,
        )
        for row in drift.to_dict("records")
    ]
