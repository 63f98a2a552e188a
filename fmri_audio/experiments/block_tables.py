"""Scores of sounds of the held-out block, the columns of their records, and the tables of the arms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from fmri_audio.base.kinds import Waveform
from fmri_audio.base.results import Record
from fmri_audio.bottleneck.arms import ARM_LABELS
from fmri_audio.bottleneck.arms.base import frames_of_blocks
from fmri_audio.bottleneck.arms.codes import CodesArm
from fmri_audio.bottleneck.store import TrainedArm
from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.sound import scoring


def score(held_out: HeldOut, sound: Waveform, wanted: Sequence[str] = scoring.METRIC_NAMES) -> pd.DataFrame:
    """Scores of a sound of the block against the original, one row per window; others than ``wanted`` are NaN."""
    return scoring.score_windows(
        held_out.original, sound, held_out.stimulus.sample_rate, held_out.windows, wanted
    )


def score_other_segment(held_out: HeldOut, sound: Waveform) -> pd.DataFrame:
    """Scores of every window against the *next* window's decoded sound: right decoder, wrong segment.

    A single window has no other to be mistaken for: its scores are undefined.
    """
    rate, windows = held_out.stimulus.sample_rate, held_out.windows
    rows = []
    for window, other in zip(windows, [*windows[1:], windows[0]], strict=True):
        pair = [window.of(held_out.original, rate), other.of(sound, rate)]
        length = min(len(wave) for wave in pair)
        wanted = scoring.METRIC_NAMES if other != window else ()
        scores = scoring.score_pair(pair[0][:length], pair[1][:length], rate, window.kind, wanted)
        rows.append({"window": window.name, "kind": window.kind, **scores})
    return pd.DataFrame(rows)


def scored_share(held_out: HeldOut) -> float:
    """Share of the block's time that its windows hold; the rest is of another kind, or too short a stretch."""
    begin, end = held_out.seconds
    return sum(window.offset - window.onset for window in held_out.windows) / (end - begin)


def records(held_out: HeldOut, scores: pd.DataFrame, **columns: Any) -> list[Record]:
    """Records of one condition's scores; a condition that goes through the bottleneck says how wide that is."""
    if columns.get("arm") in ARM_LABELS:
        columns = {"units": held_out.n_units, "rank": held_out.settings.rank, **columns}
    return scoring.to_records(scores, **{**columns_of_block(held_out), **columns})


def columns_of_block(held_out: HeldOut) -> dict[str, Any]:
    """What all records of the held-out block have in common."""
    run = held_out.run
    return {
        "study": held_out.study.name,
        "codec": run.checkpoint.id,
        "fold": "held-out",
        "seed": run.settings.seed,
    }


def columns_of_arm(held_out: HeldOut, arm: str | TrainedArm) -> dict[str, Any]:
    """The columns of a record that say which arm it is, of which features, and for codes at which bandwidth.

    An arm without a codec has no weights of one to name.
    """
    one = held_out.arms[arm] if isinstance(arm, str) else arm
    rate = {"bandwidth_kbps": held_out.run.settings.main_bandwidth} if one.arm == "codes" else {}
    bare = {} if next(iter(one.model.codec_parameters()), None) is not None else {"codec": None}
    return {"arm": one.arm, "representation": one.model.representation, **rate, **bare}


def parameters(held_out: HeldOut) -> pd.DataFrame:
    """Weights of every arm: in the bottleneck, in what only this arm has beside it, and in the codec."""
    rows = []
    for name, one in held_out.arms.items():
        counts = one.model.parameter_counts()
        rows.append(
            {
                "arm": ARM_LABELS[name],
                "features": one.model.representation,
                "bottleneck": counts.bottleneck,
                "own layers": counts.own,
                "codec, trained": counts.codec_trained,
                "codec, frozen": counts.codec_frozen,
            }
        )
    return pd.DataFrame(rows)


def bits_per_code(held_out: HeldOut) -> pd.DataFrame:
    """What the codes arm needs for every code, beside a predictor that knows the training frequencies alone.

    Returns
    -------
    DataFrame
        ``part`` (training, held-out), ``codebook`` (from 1), ``bits`` and ``unigram_bits`` per code.
    """
    model = held_out.arms["codes"].model
    if not isinstance(model, CodesArm):
        raise TypeError("the arm called codes carries no codes")
    codes = torch.from_numpy(held_out.material.codes).to(model.device)
    rows = []
    for part, blocks in (("training", held_out.split.train_blocks), ("held-out", (held_out.block,))):
        true = frames_of_blocks(codes, list(blocks), model.grid)[None]
        ours = torch.cat([model.through(block) for block in blocks], dim=1)[None]
        with torch.inference_mode():
            pair = model.bits(ours, true).tolist(), model.unigram_bits(true).tolist()
        rows += [(part, k, *both) for k, both in enumerate(zip(*pair, strict=True), start=1)]
    return pd.DataFrame(rows, columns=["part", "codebook", "bits", "unigram_bits"])
