"""Features and the sound they mean belong together, frame by frame."""

from __future__ import annotations

import pytest
import torch

from fmri_audio.codec import checkpoints
from fmri_audio.codec.vocoder import Vocoder
from fmri_audio.representations.encodec import EncodecCodes
from programs.vocoder_training.features import Codes, Mel, Source, pooled

TINY = {"dim": 16, "intermediate": 24, "layers": 2}


def wave(n: int, items: int = 6) -> torch.Tensor:
    return 0.1 * torch.randn(items, n, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def codes() -> Codes:
    return Codes(checkpoints.load("demo"), "cpu")


@pytest.mark.parametrize("kind", ["codes", "mel"])
def test_the_network_makes_as_much_sound_as_the_lesson_means(kind: str, codes: Codes) -> None:
    source: Source = codes if kind == "codes" else Mel()
    lesson = source.lesson(wave(source.samples(20)), torch.Generator())
    made = Vocoder({**source.config, **TINY})(lesson.features, lesson.bandwidth)
    assert lesson.features.shape[::2] == (6, 20) and made.shape == lesson.sound.shape


def test_codes_are_those_of_the_codec(codes: Codes) -> None:
    """What is learned is what a reader of a file of codes will have."""
    checkpoint = checkpoints.load("demo")
    sound = wave(codes.samples(30), items=2)
    latents = codes.network.encode(sound).mT
    for depth, kbps in enumerate(checkpoint.model.target_bandwidths):
        known = EncodecCodes(checkpoint, kbps)
        expected = known.codes_to_latents(known.latents_to_codes(latents, known.channels))[..., codes.LEAD :]
        torch.testing.assert_close(codes.checked(sound, depth).features, expected)
        assert codes.reference(sound, depth).shape == (2, 30 * 320)


def test_bandwidths_are_drawn_for_every_item(codes: Codes) -> None:
    lesson = codes.lesson(wave(codes.samples(4), items=40), torch.Generator().manual_seed(0))
    assert lesson.bandwidth is not None and lesson.bandwidth.unique().tolist() == [0, 1, 2, 3, 4]
    again = codes.lesson(wave(codes.samples(4), items=40), torch.Generator().manual_seed(0))
    assert again.bandwidth is not None and torch.equal(lesson.bandwidth, again.bandwidth)


def test_the_last_items_of_a_batch_are_coarse_in_every_way() -> None:
    mel, sound = Mel(), wave(360 * 31)
    exact = mel.mel.analyse(sound[:, None])
    ways = set()
    for seed in range(40):
        features = mel.lesson(sound, torch.Generator().manual_seed(seed)).features
        assert torch.equal(features[:4], exact[:4])
        assert (features[4:] - exact[4:]).abs().mean() > 0.1
        ways.add(round(float(features[4:].square().mean()), 3))
    assert len(ways) == len(Mel.BUDGETS) + len(Mel.POOLED)


def test_pooling_keeps_what_is_constant() -> None:
    features = torch.full((1, 10, 7), 3.0)
    torch.testing.assert_close(pooled(features, (4, 4)), features)
