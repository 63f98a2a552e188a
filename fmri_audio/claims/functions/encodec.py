"""EnCodec itself: its size, its licence, its parts."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from importlib import metadata

import torch
from encodec.model import EncodecModel
from torch import nn

from fmri_audio.claims.functions.note import PCM_BITS, both_models, full_width, lone_codes
from fmri_audio.claims.functions.registry import NO, YES, Value, registered
from fmri_audio.codec import checkpoints, counting


@registered
def encoder_parameters() -> dict[str, Value]:
    """Count the encoder's parameters at full width, in millions."""
    return {"encoder": counting.count_weights(full_width()).encoder / 1e6}


@registered
def decoder_parameters() -> dict[str, Value]:
    """Count the decoder's parameters at full width, in millions."""
    return {"decoder": counting.count_weights(full_width()).decoder / 1e6}


@registered
def parameters() -> dict[str, Value]:
    """Count the parameters of encoder and decoder at full width, in millions."""
    return {"encoder and decoder": counting.count_weights(full_width()).parameters / 1e6}


@registered
def weights_megabytes() -> dict[str, Value]:
    """Return the size of full-width weights with their codebooks as 32-bit floats, in 10^6 bytes."""
    return {"weights and codebooks, 32 bit": counting.count_weights(full_width()).megabytes}


@registered
def released_models() -> dict[str, Value]:
    """Name the rates and channels of the models that Meta released."""
    channels = {1: "mono", 2: "stereo"}
    kinds = [f"{m.sample_rate / 1000:g}kHz {channels[m.channels]}" for m in both_models().values()]
    return {"released": ", ".join(kinds)}


@registered
def loads_pretrained() -> dict[str, Value]:
    """Say whether the quick start's constructor loads released weights unless told otherwise."""
    from inspect import signature

    default = signature(EncodecModel.encodec_model_24khz).parameters["pretrained"].default
    return {"pretrained by default": YES if default is True else NO}


@registered
def licences() -> dict[str, Value]:
    """Read the licence that the installed package states, and what is known of repository and weights."""
    stated = metadata.metadata("encodec")
    known = dict(part.split(": ", 1) for part in checkpoints.RELEASED_LICENCE.split("; "))
    return {
        f"package encodec {stated['Version']}": stated["License"] or "none stated",
        "code in the repository": known["code"].split()[0],
        "weights": re.sub(r" \(.*", "", known["weights"]),
    }


@registered
def is_installed(package: str) -> dict[str, Value]:
    """Say whether a package is installed under the name that the note gives."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return {f"{package} {metadata.version(package)}": YES}
    return {package: NO}


@registered
def is_from(package: str, repository: str) -> dict[str, Value]:
    """Say whether an installed package names a repository as its home."""
    stated = metadata.metadata(package)
    addresses = [*(stated.get_all("Project-URL") or []), *(stated.get_all("Home-page") or [])]
    return {package: YES if any(repository in address for address in addresses) else NO}


@registered
def quantiser() -> dict[str, Value]:
    """Name the class of EnCodec's quantiser."""
    return {"quantiser": type(full_width().quantizer).__name__}


@registered
def recurrent_layers() -> dict[str, Value]:
    """Count recurrent layers in encoder and decoder."""
    parts = {"encoder": full_width().encoder, "decoder": full_width().decoder}
    recurrent = (nn.LSTM, nn.GRU, nn.RNN)
    return {
        name: float(sum(m.num_layers for m in part.modules() if isinstance(m, recurrent)))
        for name, part in parts.items()
    }


@registered
def decodes_in_one_pass() -> dict[str, Value]:
    """Say whether the decoder runs once over all frames: called once, whatever the length of the sound."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    model = full_width()
    hook = model.decoder.register_forward_hook(count)
    with torch.inference_mode():
        model.decode([(lone_codes()[None], None)])
    hook.remove()
    return {
        f"decoder, {lone_codes().shape[1]} frames in {calls} call{'s' * (calls > 1)}": YES
        if calls == 1
        else NO
    }


@registered
def bandwidth_range() -> dict[str, Value]:
    """Name the bandwidths of both models, lowest and highest, in kbps."""
    return {
        name: "-".join(
            f"{kbps:g}" for kbps in (checkpoints.bandwidths(model)[0], checkpoints.bandwidths(model)[-1])
        )
        for name, model in both_models().items()
    }


def _compression(kbps_of: Callable[[EncodecModel], float]) -> dict[str, Value]:
    """Return how many times smaller than 16-bit sound the codes of both models are at a bandwidth."""
    pcm = {name: PCM_BITS * m.sample_rate * m.channels / 1000 for name, m in both_models().items()}
    return {name: pcm[name] / kbps_of(model) for name, model in both_models().items()}


@registered
def least_compression() -> dict[str, Value]:
    """Return the compression at the highest bandwidth, against 16-bit sound."""
    return _compression(lambda model: checkpoints.bandwidths(model)[-1])


@registered
def most_compression() -> dict[str, Value]:
    """Return the compression at the lowest bandwidth, against 16-bit sound."""
    return _compression(lambda model: checkpoints.bandwidths(model)[0])
