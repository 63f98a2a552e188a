"""The block through the codec alone: the package's own decoder, begun cold at the block."""

from __future__ import annotations

import numpy as np
import torch

from fmri_audio.experiments.held_out import HeldOut
from fmri_audio.experiments.through_codec import codec_only


def test_the_codec_alone_is_the_package_s_decoder_begun_at_the_block(held_out: HeldOut) -> None:
    first = held_out.block[0]
    frame, into = divmod(first * 36_000, 320)  # an odd TR begins in the middle of a frame
    latents = torch.from_numpy(held_out.run.encoding.latents[None, :, frame:])
    with torch.no_grad():
        expected = held_out.run.checkpoint.model.decoder(latents)[0, 0, into:].numpy()
    found = codec_only(held_out)
    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-5)
