"""Functions that count or try what a claim of the research note is about; ``claims.yml`` calls them by name.

Each returns its cases: a label, a number or a text, and what it rests on. Nothing here is quoted: shapes come from
arrays, sizes from networks that are built (without their weights, which sizes do not depend on), licences from the
package that is installed.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import pandas as pd
import torch
from encodec.model import EncodecModel
from torch import nn

from fmri_audio import checkpoints, counting, metrics, problem, scoring
from fmri_audio.representations import ComplexStft, EncodecCodes
from fmri_audio.settings import MelSettings, load_settings, project_root

if TYPE_CHECKING:
    from fmri_audio.checkpoints import Checkpoint

TR = Fraction(3, 2)
"""The TR that the note counts with, in seconds."""

NOTE_TRS = 920
"""The TRs that the note counts with."""

NOTE_KBPS = 6.0
"""The note's own bandwidth."""

PCM_BITS = 16
"""Bits of a sample in uncompressed sound, against which a codec's compression is counted."""

YES, NO = "yes", "no"
SEED = 0


@dataclass(frozen=True)
class Case:
    """One thing that was counted, measured or tried.

    Attributes
    ----------
    label : what it is, as short as a table's cell needs
    value : number, in the claim's unit, or text
    basis : the table or the function that it comes from
    weights : whose learned weights are behind it
    brains : "simulated brains", "measured brains", or empty where none take part
    """

    label: str
    value: float | str
    basis: str
    weights: tuple[str, ...] = ()
    brains: str = ""


class Tables(Protocol):
    """What a function may look at besides what it builds itself (see ``claims.Evidence``)."""

    @property
    def metrics(self) -> pd.DataFrame:
        """The edition's own table."""

    @property
    def training(self) -> Mapping[str, Any]:
        """The values glued into chapter 6."""


Value = float | str
Function = Callable[..., list[Case]]
REGISTRY: dict[str, Function] = {}


def _registered(function: Callable[..., dict[str, Value]]) -> Callable[..., dict[str, Value]]:
    """Enter a function of nothing but its arguments into the registry; it counts once, and returns label → value."""
    once = cache(function)

    def cases(_: Tables, **arguments: str) -> list[Case]:
        # Only one of them hears anything: the others count networks, or run them without their weights.
        weights = (_demo().id,) if function is lone_code_agreement else ()
        return _to_cases(function, once(**arguments), weights)

    REGISTRY[function.__name__] = cases
    return function


def _registered_on_tables(
    function: Callable[[Tables], dict[str, Value]],
) -> Callable[[Tables], dict[str, Value]]:
    """Enter a function that reads tables into the registry."""
    REGISTRY[function.__name__] = lambda tables: _to_cases(function, function(tables), ())
    return function


def _to_cases(function: Callable[..., Any], values: dict[str, Value], weights: tuple[str, ...]) -> list[Case]:
    return [Case(label, value, f"counted: {function.__name__}", weights) for label, value in values.items()]


@cache
def full_width() -> EncodecModel:
    """Return EnCodec's 24 kHz topology at full width, random weights, at the note's bandwidth."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        model = checkpoints.freeze(checkpoints.build())
    model.set_target_bandwidth(NOTE_KBPS)
    return model


@cache
def _both_models() -> dict[str, EncodecModel]:
    """Return the topologies of everything that Meta released, by a reader's name."""
    built = [release.build() for release in checkpoints.RELEASED.values()]
    return {f"{model.sample_rate / 1000:g} kHz model": model for model in built}


def _noise(n_samples: int) -> torch.Tensor:
    """Return a tenth of full scale of white noise, [1, 1, T]."""
    return 0.1 * torch.randn(1, 1, n_samples, generator=torch.Generator().manual_seed(SEED))


def _samples_per_tr() -> int:
    return round(TR * full_width().sample_rate)


def _frames_per_tr() -> Fraction:
    model = full_width()
    return TR * Fraction(model.sample_rate, int(model.encoder.hop_length))


@cache
def _lone_codes() -> torch.Tensor:
    """Return the codes [K, L] of one TR that is encoded on its own."""
    with torch.inference_mode():
        [(codes, _)] = full_width().encode(_noise(_samples_per_tr()))
    return codes[0]


def _count_of(module: nn.Module) -> float:
    """Count trainable real numbers; a complex one is two."""
    return float(
        sum(p.numel() * (2 if p.is_complex() else 1) for p in module.parameters() if p.requires_grad)
    )


# EnCodec: size, licence, parts -----------------------------------------------------------------------------------


@_registered
def encoder_parameters() -> dict[str, Value]:
    """Count the encoder's parameters at full width, in millions."""
    return {"encoder": counting.count_weights(full_width()).encoder / 1e6}


@_registered
def decoder_parameters() -> dict[str, Value]:
    """Count the decoder's parameters at full width, in millions."""
    return {"decoder": counting.count_weights(full_width()).decoder / 1e6}


@_registered
def parameters() -> dict[str, Value]:
    """Count the parameters of encoder and decoder at full width, in millions."""
    return {"encoder and decoder": counting.count_weights(full_width()).parameters / 1e6}


@_registered
def weights_megabytes() -> dict[str, Value]:
    """Return the size of full-width weights with their codebooks as 32-bit floats, in 10^6 bytes."""
    return {"weights and codebooks, 32 bit": counting.count_weights(full_width()).megabytes}


@_registered
def released_models() -> dict[str, Value]:
    """Name the rates and channels of the models that Meta released."""
    channels = {1: "mono", 2: "stereo"}
    kinds = [f"{m.sample_rate / 1000:g}kHz {channels[m.channels]}" for m in _both_models().values()]
    return {"released": ", ".join(kinds)}


@_registered
def loads_pretrained() -> dict[str, Value]:
    """Say whether the quick start's constructor loads released weights unless told otherwise."""
    from inspect import signature

    default = signature(EncodecModel.encodec_model_24khz).parameters["pretrained"].default
    return {"pretrained by default": YES if default is True else NO}


@_registered
def licences() -> dict[str, Value]:
    """Read the licence that the installed package states, and what is known of repository and weights."""
    stated = metadata.metadata("encodec")
    known = dict(part.split(": ", 1) for part in checkpoints.RELEASED_LICENCE.split("; "))
    return {
        f"package encodec {stated['Version']}": stated["License"] or "none stated",
        "code in the repository": known["code"].split()[0],
        "weights": re.sub(r" \(.*", "", known["weights"]),
    }


@_registered
def is_installed(package: str) -> dict[str, Value]:
    """Say whether a package is installed under the name that the note gives."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return {f"{package} {metadata.version(package)}": YES}
    return {package: NO}


@_registered
def is_from(package: str, repository: str) -> dict[str, Value]:
    """Say whether an installed package names a repository as its home."""
    stated = metadata.metadata(package)
    addresses = [*(stated.get_all("Project-URL") or []), *(stated.get_all("Home-page") or [])]
    return {package: YES if any(repository in address for address in addresses) else NO}


@_registered
def quantiser() -> dict[str, Value]:
    """Name the class of EnCodec's quantiser."""
    return {"quantiser": type(full_width().quantizer).__name__}


@_registered
def recurrent_layers() -> dict[str, Value]:
    """Count recurrent layers in encoder and decoder."""
    parts = {"encoder": full_width().encoder, "decoder": full_width().decoder}
    recurrent = (nn.LSTM, nn.GRU, nn.RNN)
    return {
        name: float(sum(m.num_layers for m in part.modules() if isinstance(m, recurrent)))
        for name, part in parts.items()
    }


@_registered
def decodes_in_one_pass() -> dict[str, Value]:
    """Say whether the decoder runs once over all frames: called once, whatever the length of the sound."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    model = full_width()
    hook = model.decoder.register_forward_hook(count)
    with torch.inference_mode():
        model.decode([(_lone_codes()[None], None)])
    hook.remove()
    return {
        f"decoder, {_lone_codes().shape[1]} frames in {calls} call{'s' * (calls > 1)}": YES
        if calls == 1
        else NO
    }


@_registered
def bandwidth_range() -> dict[str, Value]:
    """Name the bandwidths of both models, lowest and highest, in kbps."""
    return {
        name: "-".join(
            f"{kbps:g}" for kbps in (checkpoints.bandwidths(model)[0], checkpoints.bandwidths(model)[-1])
        )
        for name, model in _both_models().items()
    }


def _compression(kbps_of: Callable[[EncodecModel], float]) -> dict[str, Value]:
    """Return how many times smaller than 16-bit sound the codes of both models are at a bandwidth."""
    pcm = {name: PCM_BITS * m.sample_rate * m.channels / 1000 for name, m in _both_models().items()}
    return {name: pcm[name] / kbps_of(model) for name, model in _both_models().items()}


@_registered
def least_compression() -> dict[str, Value]:
    """Return the compression at the highest bandwidth, against 16-bit sound."""
    return _compression(lambda model: checkpoints.bandwidths(model)[-1])


@_registered
def most_compression() -> dict[str, Value]:
    """Return the compression at the lowest bandwidth, against 16-bit sound."""
    return _compression(lambda model: checkpoints.bandwidths(model)[0])


# What one TR takes -----------------------------------------------------------------------------------------------


def _mel_price() -> dict[str, float]:
    """Return what one TR of the note's mel spectrogram costs: 128 bands, the hop that gives 100 frames."""
    setting = problem.MelSetting.of(MelSettings())
    return problem.price(setting.build(full_width().sample_rate, SEED), TR)


@_registered
def samples_per_tr() -> dict[str, Value]:
    """Count the samples of one TR at the codec's rate."""
    return {f"{float(TR):g} s": float(_samples_per_tr())}


@_registered
def mel_values() -> dict[str, Value]:
    """Count the values of one TR of mel spectrogram."""
    return {"mel": _mel_price()["values"]}


@_registered
def mel_kilobytes() -> dict[str, Value]:
    """Return the size of one TR of mel spectrogram as 32-bit floats, in 10^3 bytes."""
    return {"mel, 32 bit": _mel_price()["bytes"] / 1e3}


@_registered
def mel_megabytes() -> dict[str, Value]:
    """Return the size of the note's TRs of mel spectrogram, in 10^6 bytes."""
    return {f"{NOTE_TRS} TRs": NOTE_TRS * _mel_price()["bytes"] / 1e6}


@_registered
def lone_code_shape() -> dict[str, Value]:
    """Return the shape of one TR's codes, encoded on its own."""
    return {"a TR on its own": str(list(_lone_codes().shape))}


@_registered
def codebooks() -> dict[str, Value]:
    """Count the codebooks at the note's bandwidth."""
    return {f"{NOTE_KBPS:g} kbps": float(_lone_codes().shape[0])}


@_registered
def code_values() -> dict[str, Value]:
    """Count a TR's codes: of a TR on its own, and of a TR's exact share of a whole encoding."""
    exact = _lone_codes().shape[0] * _frames_per_tr()
    return {"a TR on its own": float(_lone_codes().numel()), "its share of the whole": float(exact)}


def _code_bytes() -> dict[str, float]:
    """Return the bytes of one TR's exact share of codes, by how they are stored."""
    model = full_width()
    count = counting.count_codes(_lone_codes().numpy(), model, TR)
    returned = str(_lone_codes().dtype).removeprefix("torch.")
    stored = {name: count.stored_bytes(name) for name in ("int32", "int16")}
    return {
        f"{returned}, as encode returns them": count.stored_bytes(returned), **stored,
        f"packed, {model.bits_per_codebook} bits": count.packed_bytes,
    }  # fmt: skip


@_registered
def code_kilobytes() -> dict[str, Value]:
    """Return the size of one TR of codes in 10^3 bytes, by how they are stored."""
    return {name: size / 1e3 for name, size in _code_bytes().items()}


@_registered
def code_megabytes() -> dict[str, Value]:
    """Return the size of the note's TRs of codes in 10^6 bytes, by how they are stored."""
    return {name: NOTE_TRS * size / 1e6 for name, size in _code_bytes().items()}


@_registered
def codes_per_mel() -> dict[str, Value]:
    """Return the size of a TR's codes as a share of the mel spectrogram's."""
    return {name: size / _mel_price()["bytes"] for name, size in _code_bytes().items()}


@_registered
def codes_per_samples() -> dict[str, Value]:
    """Return the size of a TR's codes as a share of its 16-bit samples."""
    return {name: size / (_samples_per_tr() * PCM_BITS / 8) for name, size in _code_bytes().items()}


@_registered
def like_a_mel() -> dict[str, Value]:
    """Say in what respects codes can take a mel spectrogram's place without a change around them."""
    mel = problem.MelSetting.of(MelSettings())
    mel_frames = TR * mel.build(full_width().sample_rate, SEED).feature_rate
    codes = _lone_codes()
    return {
        f"real-valued, not {codes.dtype}".replace("torch.", ""): YES if codes.is_floating_point() else NO,
        f"of the same shape, not {list(codes.shape)}": YES
        if list(codes.shape) == [mel.n_mels, mel_frames]
        else NO,
        f"a whole number of frames per TR, not {float(_frames_per_tr()):g}": YES
        if _frames_per_tr().denominator == 1
        else NO,
    }


# The note's code, as it is written -------------------------------------------------------------------------------


@_registered
def encode_returns() -> dict[str, Value]:
    """Name the type that the quick start's ``model.encode(audio)`` returns, and what is in it."""
    with torch.inference_mode():
        returned = full_width().encode(_noise(_samples_per_tr()))
    inside = f" of {type(returned[0]).__name__}s" if isinstance(returned, list) else ""
    return {"model.encode(audio)": type(returned).__name__ + inside}


@_registered
def sets_bandwidth() -> dict[str, Value]:
    """Set the quick start's bandwidth and read it back, in kbps."""
    model = full_width()
    model.set_target_bandwidth(NOTE_KBPS)
    return {"set_target_bandwidth": float(model.bandwidth or np.nan)}


@_registered
def decode_takes_encode() -> dict[str, Value]:
    """Hand what ``encode`` returned to ``decode``, as the quick start does."""
    return {
        "model.decode(model.encode(audio))": _tried(lambda model, audio: model.decode(model.encode(audio)))
    }


@_registered
def decode_takes_array() -> dict[str, Value]:
    """Hand an array of predicted codes [batch, 8, 112] to ``decode``, as the note's last line of code does."""
    frames = int(_frames_per_tr())
    codes = torch.zeros(2, _lone_codes().shape[0], frames, dtype=torch.int64)
    return {f"decode({list(codes.shape)})": _tried(lambda model, _: cast(Any, model).decode(codes))}


def _tried(call: Callable[[EncodecModel, torch.Tensor], torch.Tensor]) -> str:
    """Say whether a call makes sound, or the name of the error it raises."""
    try:
        with torch.inference_mode():
            made = call(full_width(), _noise(_samples_per_tr()))
    except Exception as error:  # Whatever the note's line raises is the finding.
        return type(error).__name__
    return "sound" if made.is_floating_point() and made.shape[-1] > 1 else f"{list(made.shape)}"


@_registered
def loop_seconds() -> dict[str, Value]:
    """Return how long the note's loop over TRs decodes to, minus how long the TRs last, in seconds."""
    model = full_width()
    lone = Fraction(_lone_codes().shape[1] * int(model.encoder.hop_length), model.sample_rate)
    return {f"{NOTE_TRS} TRs": float(NOTE_TRS * (lone - TR))}


@_registered
def slice_drift() -> dict[str, Value]:
    """Return how far slices of 112 frames of a whole encoding have drifted at the end, in seconds."""
    model = full_width()
    frame = Fraction(int(model.encoder.hop_length), model.sample_rate)
    return {f"{NOTE_TRS} TRs": float(NOTE_TRS * abs(int(_frames_per_tr()) - _frames_per_tr()) * frame)}


@_registered
def lone_code_agreement() -> dict[str, Value]:
    """Return the share of codes that TRs encoded one by one have in common with the whole encoding.

    Two TRs are a whole number of frames, so every even TR of the whole begins with a frame; the frames that a TR
    holds in full are compared, over eight TRs of noise whose level moves as that of syllables does.
    """
    checkpoint = _demo()
    codec = EncodecCodes(checkpoint, NOTE_KBPS)
    samples, frames, count = _samples_per_tr(), int(_frames_per_tr()), 8
    seconds = torch.arange(samples * count) / codec.sample_rate
    sound = _noise(samples * count) * (0.5 + 0.5 * torch.sin(2 * torch.pi * 4 * seconds))
    with torch.inference_mode():
        whole = codec.analyse(sound)[0]
        lone = [codec.analyse(sound[..., k * samples : (k + 1) * samples])[0] for k in range(2, count, 2)]
    same = [
        part[:, :frames] == whole[:, int(k * _frames_per_tr()) :][:, :frames]
        for k, part in zip(range(2, count, 2), lone, strict=True)
    ]
    agreed = torch.stack(same).double().mean(dim=(0, 2))
    return {"first codebook": float(agreed[0]), f"all {len(agreed)} codebooks": float(agreed.mean())}


@cache
def _demo() -> Checkpoint:
    return checkpoints.load("demo")


@_registered
def film_trs() -> dict[str, Value]:
    """Count the TRs of the Sherlock release: both runs, the first, and the first without the opening cartoon."""
    from fmri_audio.study.reader import RELEASE

    chosen = load_settings("sherlock").study.trs
    return {
        "first run without its cartoon": np.nan if chosen is None else float(chosen[1] - chosen[0] + 1),
        "first run": float(RELEASE.runs[0].n_trs),
        "both runs": float(sum(run.n_trs for run in RELEASE.runs)),
    }  # fmt: skip


# The alternatives ------------------------------------------------------------------------------------------------


@_registered
def stft_roundtrip_snr() -> dict[str, Value]:
    """Return the SNR of noise after a complex STFT and its inverse, in dB."""
    sound = _noise(4 * _samples_per_tr())
    back = ComplexStft().roundtrip(sound)
    return {"STFT and back": float(metrics.snr_db(sound[0, 0].numpy(), back[0, 0].numpy()))}


@_registered
def complex_parameter_ratio() -> dict[str, Value]:
    """Count the real numbers in a complex-valued convolution against a real one of the same size."""
    import complextorch

    size = (16, 16, 3)
    return {
        "2-d convolution, same channels": _count_of(complextorch.nn.Conv2d(*size))
        / _count_of(nn.Conv2d(*size))
    }


@_registered
def complex_values_ratio() -> dict[str, Value]:
    """Count the values of a complex STFT against other ways to write the same sound."""
    stft = float(ComplexStft().values_per_second * TR)
    frames = float(_frames_per_tr())
    return {"of a mel spectrogram's": stft / _mel_price()["values"], "of EnCodec's latents'": stft / (
        full_width().encoder.dimension * frames)}  # fmt: skip


@_registered
def wav2vec_parameters() -> dict[str, Value]:
    """Count the parameters of wav2vec 2.0 (base), in millions."""
    return {"base": _count_of(_wav2vec()) / 1e6}


@cache
def _wav2vec() -> nn.Module:
    from torchaudio.models import wav2vec2_base

    model: nn.Module = wav2vec2_base()
    return model


@_registered
def wav2vec_is_released() -> dict[str, Value]:
    """Say whether trained weights of wav2vec 2.0 are offered."""
    from torchaudio import pipelines

    return {"torchaudio's WAV2VEC2_BASE": YES if hasattr(pipelines, "WAV2VEC2_BASE") else NO}


@_registered
def has_decoder() -> dict[str, Value]:
    """Say which of EnCodec and wav2vec 2.0 has a decoder among its parts."""
    models = {"EnCodec": full_width(), "wav2vec 2.0": _wav2vec()}
    having = [
        name for name, model in models.items() if any("decoder" in part for part, _ in model.named_children())
    ]
    return {"with a decoder": ", ".join(having) or "neither"}


WAVEGLOW_MEL, WAVEGLOW_FLOWS, WAVEGLOW_GROUP, WAVEGLOW_LAYERS, WAVEGLOW_KERNEL = 80, 12, 8, 8, 3
WAVEGLOW_EARLY_EVERY, WAVEGLOW_EARLY_SIZE, WAVEGLOW_UPSAMPLING = 4, 2, 1024
WAVEGLOW_CHANNELS = {"as released": 256, "as in the paper": 512}


def count_waveglow(channels: int) -> int:
    """Count WaveGlow's parameters, with the scales of its weight normalisation.

    Layers as in Prenger, Valle and Catanzaro (2019) and their configuration (NVIDIA/waveglow, ``config.json``):
    an upsampling of the mel spectrogram, and per flow an invertible 1 × 1 convolution and a WaveNet of 8 dilated
    layers. ``channels`` is the WaveNet's width: 256 in the released model, 512 in the paper.
    """

    def normalised(inputs: int, outputs: int, kernel: int = 1) -> int:
        return inputs * outputs * kernel + 2 * outputs  # weights, biases, scales

    mel = WAVEGLOW_MEL * WAVEGLOW_GROUP
    inner = normalised(mel, 2 * channels * WAVEGLOW_LAYERS)
    inner += WAVEGLOW_LAYERS * normalised(channels, 2 * channels, WAVEGLOW_KERNEL)
    inner += (WAVEGLOW_LAYERS - 1) * normalised(channels, 2 * channels) + normalised(channels, channels)
    total = WAVEGLOW_MEL * WAVEGLOW_MEL * WAVEGLOW_UPSAMPLING + WAVEGLOW_MEL
    for flow in range(WAVEGLOW_FLOWS):
        width = WAVEGLOW_GROUP - WAVEGLOW_EARLY_SIZE * (flow // WAVEGLOW_EARLY_EVERY)
        half = width // 2
        last = channels * 2 * half + 2 * half
        total += width * width + normalised(half, channels) + inner + last
    return total


@_registered
def waveglow_parameters() -> dict[str, Value]:
    """Count WaveGlow's parameters in millions, for both of its widths."""
    return {
        f"{name} ({width} channels)": count_waveglow(width) / 1e6 for name, width in WAVEGLOW_CHANNELS.items()
    }


@_registered
def wav2vec_per_waveglow() -> dict[str, Value]:
    """Return wav2vec's parameters as a share of WaveGlow's."""
    return {
        f"WaveGlow {name} ({width} channels)": _count_of(_wav2vec()) / count_waveglow(width)
        for name, width in WAVEGLOW_CHANNELS.items()
    }


@_registered
def encodec_share() -> dict[str, Value]:
    """Return EnCodec's parameters as a share of those of models that can be counted here."""
    own = counting.count_weights(full_width()).parameters
    others = {"wav2vec 2.0": _count_of(_wav2vec())}
    others |= {f"WaveGlow {name}": float(count_waveglow(width)) for name, width in WAVEGLOW_CHANNELS.items()}
    return {name: own / count for name, count in others.items()}


# The literature --------------------------------------------------------------------------------------------------


@_registered
def bibliography_year(entry: str) -> dict[str, Value]:
    """Read the year of an entry in the paper's bibliography."""
    return {f"references.bib, {entry}": float(_bib_field(entry, "year"))}


def _bib_field(entry: str, field: str) -> str:
    text = (Path(project_root()) / "references.bib").read_text(encoding="utf-8")
    found = re.search(rf"@\w+{{{re.escape(entry)},.*?\n  {field} = {{(.*?)}}", text, re.DOTALL)
    if found is None:
        raise LookupError(f"references.bib has no {field} for {entry}")
    return found[1]


@_registered
def preprint_year(identifier: str) -> dict[str, Value]:
    """Read the year that an arXiv identifier begins with."""
    return {f"arXiv {identifier}": 2000.0 + int(identifier[:2])}


# The results -----------------------------------------------------------------------------------------------------


@_registered_on_tables
def tells_sound_from_floor(tables: Tables) -> dict[str, Value]:
    """Say for each metric whether it puts the uncompressed mel above every floor (silence, noise, other speech).

    The mel spectrogram of chapter 2 is intelligible by any account; a measure that prefers silence to it does not
    tell good sound from bad.
    """
    rows = tables.metrics
    whole = rows[(rows["segment"] == "speech") & (rows["arm"] == "roundtrip") & rows["fold"].isna()]
    heard = whole[
        (whole["representation"] == "mel") & (whole["condition"] == "none") & (whole["control"] == "none")
    ]
    floors = whole[whole["control"].isin(["silence", "noise", "other-segment"])]
    found: dict[str, Value] = {}
    for name in scoring.METRICS:
        score = heard.loc[heard["metric"] == name, "value"].mean()
        least = floors.loc[floors["metric"] == name, "value"].dropna()
        if np.isfinite(score) and len(least):
            better = score < least.min() if name == "mel_distance_db" else score > least.max()
            found[scoring.LABELS[name]] = YES if better else NO
    return found


@_registered_on_tables
def arms_converged(tables: Tables) -> dict[str, Value]:
    """Say for both arms whether training was over; an arm that has not converged gets no verdict."""
    found: dict[str, Value] = {}
    for arm, name in (("frozen", "the frozen arm"), ("finetuned", "the fine-tuned arm")):
        said = tables.training.get(f"{arm}_verdict")
        unsaid = "chapter 6 does not say whether it converged"
        found[name] = unsaid if said is None else YES if said == "converged" else str(said)
    return found
