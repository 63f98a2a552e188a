"""A rung of the ladder measured again, to check the tables that came with the book against this machine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.bottleneck.coder_files import coder_file, load
from fmri_audio.bottleneck.passing import Width, through
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.experiments.ladder import TR, Condition, Ladder
from fmri_audio.experiments.play_excerpts import Excerpt, plain_excerpts
from fmri_audio.experiments.window_scores import window_scores

NEAR = 0.02
"""ESTOI by which another processor's sounds may differ, in the mean over windows."""


@dataclass(frozen=True)
class Again:
    """An arm's rung, as the table has it and as this machine finds it.

    Attributes
    ----------
    arm : str
    per_tr : float
        Numbers per TR of 1.5 s.
    n_windows : int
    table, now : float
        Mean ESTOI.
    """

    arm: str
    per_tr: float
    n_windows: int
    table: float
    now: float

    @property
    def agrees(self) -> bool:
        """Whether they are as near as sounds of two processors are."""
        return abs(self.now - self.table) <= NEAR


def again(ladder: Ladder, checkpoint: Checkpoint, width: float, n_windows: int) -> list[Again]:
    """Measure every trained arm that has weights here at one width on some windows of the play, spread over it.

    Parameters
    ----------
    ladder : Ladder
    checkpoint : Checkpoint
        The codec that the tables name.
    width : float
        As the table asks for it.
    n_windows : int

    Raises
    ------
    UserError
        The tables are of other weights, of another play, or lack the width.
    """
    conditions = [
        one
        for one in ladder.conditions
        if (one.rung, one.made, one.asked, one.sigma or 0.0, one.control)
        == ("code", "trained", width, 0.0, "")
    ]
    if not conditions:
        raise UserError(
            f"results/ladder.csv has no trained arm at {width:g} numbers per TR; run `make bottleneck`"
        )
    excerpts = chosen(ladder, n_windows)
    here = [one for one in conditions if coder_file(one.arm).is_file()]
    return [_of_arm(ladder, one, checkpoint, excerpts) for one in here]


def chosen(ladder: Ladder, n_windows: int) -> list[Excerpt]:
    """Windows of the play that the tables know, spread over it.

    Raises
    ------
    UserError
        The play's sound is not what the tables were made of.
    """
    known = {one.window: one.sha256 for one in ladder.windows}
    play = [one for one in plain_excerpts(project_root() / "stimulus") if one.name in known]
    if not play:
        raise UserError("results/ladder-windows.csv knows no window of this play; run `make bottleneck`")
    keep = np.unique(np.linspace(0, len(play) - 1, n_windows).round().astype(int)).tolist()
    for one in (play[k] for k in keep):
        if hashlib.sha256(one.wave.astype(np.float32).tobytes()).hexdigest()[:8] != known[one.name]:
            raise UserError(f"{one.name}: not the sound of results/ladder-windows.csv; run `make bottleneck`")
    return [play[k] for k in keep]


def _of_arm(
    ladder: Ladder, condition: Condition, checkpoint: Checkpoint, excerpts: Sequence[Excerpt]
) -> Again:
    loaded = load(condition.arm, checkpoint)
    if not condition.weights.endswith(loaded.sha256[:8]):
        raise UserError(
            f"results/ladder.csv was measured with {condition.weights}, the weights of {condition.arm} are "
            f"{loaded.id}; run `make bottleneck`"
        )
    asked = Width.of(loaded.coder, condition.asked or math.nan, TR)
    now = [
        window_scores(one.wave, through(loaded.coder, one.wave.astype(np.float32), asked))[0]
        for one in excerpts
    ]
    place = {one.window: index for index, one in enumerate(ladder.windows)}
    table = ladder.of(condition.condition, "estoi")[[place[one.name] for one in excerpts]]
    both = np.isfinite(now) & np.isfinite(table)
    return Again(
        condition.arm,
        asked.per_tr,
        int(both.sum()),
        float(table[both].mean()),
        float(np.array(now)[both].mean()),
    )
