"""A rung that is measured again agrees with the table that it comes from, and with no other."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.bottleneck.coders import CODERS
from fmri_audio.bottleneck.passing import Width, through
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.experiments import ladder_rung
from fmri_audio.experiments.ladder import Condition, Ladder, Score, Window
from fmri_audio.experiments.ladder_rung import TR, again, chosen
from fmri_audio.experiments.play_excerpts import Excerpt, plain_excerpts
from fmri_audio.experiments.window_scores import window_scores
from tests.bottleneck.test_coders import sounds as voices

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def coder(tiny_checkpoint: Checkpoint) -> object:
    made = CODERS["mel"].build(tiny_checkpoint)
    made.start(torch.stack([*voices(6, 2.4, seed=3)]))
    return made.eval()


@pytest.fixture(scope="module")
def excerpts() -> list[Excerpt]:
    return [one for _, one in zip(range(3), plain_excerpts(project_root() / "stimulus"), strict=False)]


def sha(wave: np.ndarray) -> str:
    import hashlib

    return hashlib.sha256(wave.astype(np.float32).tobytes()).hexdigest()[:8]


def table(coder: object, excerpts: list[Excerpt], more: float = 0.0) -> Ladder:
    windows = [Window(x.name, "play", x.speaker, "p", 4.0, 9, sha(x.wave)) for x in excerpts]
    width = Width.of(coder, 256, TR)  # type: ignore[arg-type]
    none: dict[str, object] = {"bits_per_tr": None, "noise": None, "subjects": None}
    condition = Condition(
        "c", "code", "mel", "trained", 256.0, width.per_tr, 170.0, 0.0,
        voxels="", map="", control="", weights="mel-0123abcd", seed=0, code="x", made_by="x", **none,  # type: ignore[arg-type]
    )  # fmt: skip
    scores = []
    for one in excerpts:
        found = window_scores(one.wave, through(coder, one.wave, width))  # type: ignore[arg-type]
        scores.append(Score("c", one.name, 1.0, found[0] + more, found[1], found[2]))
    return Ladder(windows, [condition], scores)


def test_a_table_is_found_again_and_another_is_not(
    coder: object, excerpts: list[Excerpt], tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = SimpleNamespace(coder=coder, id="mel-0123abcd", sha256="0123abcd99")
    monkeypatch.setattr(ladder_rung, "load", lambda name, checkpoint: loaded)
    right = table(coder, excerpts)
    [one] = again(right, tiny_checkpoint, 256, 3)
    assert one.agrees and one.n_windows == 3 and one.now == pytest.approx(one.table, abs=1e-4)
    wrong = replace(right, scores=[replace(x, estoi=(x.estoi or 0) + 0.05) for x in right.scores])
    assert not again(wrong, tiny_checkpoint, 256, 2)[0].agrees
    with pytest.raises(UserError, match="no trained arm at 128 numbers"):
        again(right, tiny_checkpoint, 128, 3)
    monkeypatch.setattr(
        ladder_rung, "load", lambda *_: SimpleNamespace(coder=coder, id="mel-ffff", sha256="ffff")
    )
    with pytest.raises(UserError, match="measured with mel-0123abcd"):
        again(right, tiny_checkpoint, 256, 3)


def test_another_play_is_refused(coder: object, excerpts: list[Excerpt]) -> None:
    right = table(coder, excerpts)
    assert [one.name for one in chosen(right, 2)] == [excerpts[0].name, excerpts[-1].name]
    changed = replace(right, windows=[replace(x, sha256="00000000") for x in right.windows])
    with pytest.raises(UserError, match="not the sound of results/ladder-windows.csv"):
        chosen(changed, 3)
    with pytest.raises(UserError, match="knows no window of this play"):
        chosen(replace(right, windows=[replace(x, window="elsewhere") for x in right.windows]), 3)


def test_a_sound_is_all_of_itself_however_loud(excerpts: list[Excerpt]) -> None:
    wave = excerpts[0].wave
    assert window_scores(wave, 0.3 * wave)[:2] == pytest.approx((1, 1), abs=0.01)
