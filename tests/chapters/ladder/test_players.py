"""What is played and told of the arms that have weights here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fmri_audio.bottleneck.coder_files import coder_file, load
from fmri_audio.bottleneck.passing import Width, through
from fmri_audio.chapters.ladder import players
from fmri_audio.codec import checkpoints
from fmri_audio.experiments.ladder import TR
from tests.chapters.ladder.test_rungs import condition, with_more


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mel-vocoder", "complex-stft", "frozen"])
def test_sound_does_not_depend_on_what_comes_after_the_look_ahead(name: str) -> None:
    coder = load(name, checkpoints.load("demo")).coder
    rng = np.random.default_rng(0)
    wave = (0.05 * rng.standard_normal(5 * coder.sample_rate)).astype(np.float32)
    changed, at = wave.copy(), 4 * coder.sample_rate
    changed[at:] = 0.2 * rng.standard_normal(len(wave) - at)
    width = Width.of(coder, 256, TR)
    one, other = through(coder, wave, width), through(coder, changed, width)
    ahead = coder.look_ahead + players.vocoder_reach(coder)
    until = at - int(ahead * coder.sample_rate)
    assert until > coder.sample_rate
    np.testing.assert_allclose(one[:until], other[:until], atol=1e-5)
    assert np.abs(one[at:] - other[at:]).max() > 0.01


def test_arms_without_weights_here_are_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {}
    for name, kind, made, weights in (
        ("codec/demo", "codec", "6 kbps", "demo-12345678"),
        ("code/finetuned-linear/trained/512", "code", "trained", "finetuned-linear-1"),
    ):
        arm = "encodec" if kind == "codec" else "finetuned-linear"
        one = condition(name, kind, arm, made, None if kind == "codec" else 512.0, sigma=0.0)
        more[name] = (replace(one, weights=weights), 3.0)
    ladder = with_more(more)
    ladder = replace(ladder, conditions=[one for one in ladder.conditions if one.condition != "codec/6"])
    frame = players.arms_table(ladder).set_index("arm")
    assert frame.loc["mel + Griffin-Lim", "look-ahead"] == "all of the sound"
    row = frame.loc["EnCodec fine-tuned around a linear projection of every frame"]
    assert coder_file("finetuned-linear").is_file() or row["file"].startswith("not kept")


def test_what_is_measured_again_is_said() -> None:
    off, on = (players.Again("mel", 256.0, 24, 0.7, now) for now in (0.75, 0.701))
    assert players.again_said([on]) == {"again_windows": 24, "again": "every arm is as the tables have it"}
    assert players.again_said([on, off])["again"] == "these differ: mel + Griffin-Lim"
    assert players.again_table([on, off])[""].tolist() == ["agrees", "differs"]
