"""The alternatives that the note compares: the complex STFT, wav2vec 2.0, WaveGlow."""

from __future__ import annotations

from functools import cache

from torch import nn

from fmri_audio.claims.functions.note import TR, count_of, full_width, tr_frames, tr_samples, white_noise
from fmri_audio.claims.functions.registry import NO, YES, Value, registered
from fmri_audio.claims.functions.sizes import mel_price
from fmri_audio.codec import counting
from fmri_audio.representations.stft import ComplexStft
from fmri_audio.sound.metrics import snr


@registered
def stft_roundtrip_snr() -> dict[str, Value]:
    """Return the SNR of noise after a complex STFT and its inverse, in dB."""
    sound = white_noise(4 * tr_samples())
    back = ComplexStft().roundtrip(sound)
    return {"STFT and back": float(snr.snr_db(sound[0, 0].numpy(), back[0, 0].numpy()))}


@registered
def complex_parameter_ratio() -> dict[str, Value]:
    """Count the real numbers in a complex-valued convolution against a real one of the same size."""
    import complextorch

    size = (16, 16, 3)
    return {
        "2-d convolution, same channels": count_of(complextorch.nn.Conv2d(*size)) / count_of(nn.Conv2d(*size))
    }


@registered
def complex_values_ratio() -> dict[str, Value]:
    """Count the values of a complex STFT against other ways to write the same sound."""
    stft = float(ComplexStft().values_per_second * TR)
    frames = float(tr_frames())
    return {
        "of a mel spectrogram's": stft / mel_price()["values"],
        "of EnCodec's latents'": stft / (full_width().encoder.dimension * frames),
    }


@registered
def wav2vec_parameters() -> dict[str, Value]:
    """Count the parameters of wav2vec 2.0 (base), in millions."""
    return {"base": count_of(_wav2vec()) / 1e6}


@cache
def _wav2vec() -> nn.Module:
    from torchaudio.models import wav2vec2_base

    model: nn.Module = wav2vec2_base()
    return model


@registered
def wav2vec_is_released() -> dict[str, Value]:
    """Say whether trained weights of wav2vec 2.0 are offered."""
    from torchaudio import pipelines

    return {"torchaudio's WAV2VEC2_BASE": YES if hasattr(pipelines, "WAV2VEC2_BASE") else NO}


@registered
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


@registered
def waveglow_parameters() -> dict[str, Value]:
    """Count WaveGlow's parameters in millions, for both of its widths."""
    return {
        f"{name} ({width} channels)": count_waveglow(width) / 1e6 for name, width in WAVEGLOW_CHANNELS.items()
    }


@registered
def wav2vec_per_waveglow() -> dict[str, Value]:
    """Return wav2vec's parameters as a share of WaveGlow's."""
    return {
        f"WaveGlow {name} ({width} channels)": count_of(_wav2vec()) / count_waveglow(width)
        for name, width in WAVEGLOW_CHANNELS.items()
    }


@registered
def encodec_share() -> dict[str, Value]:
    """Return EnCodec's parameters as a share of those of models that can be counted here."""
    own = counting.count_weights(full_width()).parameters
    others = {"wav2vec 2.0": count_of(_wav2vec())}
    others |= {f"WaveGlow {name}": float(count_waveglow(width)) for name, width in WAVEGLOW_CHANNELS.items()}
    return {name: own / count for name, count in others.items()}
