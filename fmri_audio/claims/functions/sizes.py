"""What one TR takes: samples, mel values, codes, bytes."""

from __future__ import annotations

from fmri_audio.base.settings import MelSettings
from fmri_audio.claims.functions.note import (
    NOTE_KBPS,
    NOTE_TRS,
    PCM_BITS,
    SEED,
    TR,
    full_width,
    lone_codes,
    tr_frames,
    tr_samples,
)
from fmri_audio.claims.functions.registry import NO, YES, Value, registered
from fmri_audio.codec import counting
from fmri_audio.experiments import problem


def mel_price() -> dict[str, float]:
    """Return what one TR of the note's mel spectrogram costs: 128 bands, the hop that gives 100 frames."""
    setting = problem.MelSetting.of(MelSettings())
    return problem.price(setting.build(full_width().sample_rate, SEED), TR)


@registered
def samples_per_tr() -> dict[str, Value]:
    """Count the samples of one TR at the codec's rate."""
    return {f"{float(TR):g} s": float(tr_samples())}


@registered
def mel_values() -> dict[str, Value]:
    """Count the values of one TR of mel spectrogram."""
    return {"mel": mel_price()["values"]}


@registered
def mel_kilobytes() -> dict[str, Value]:
    """Return the size of one TR of mel spectrogram as 32-bit floats, in 10^3 bytes."""
    return {"mel, 32 bit": mel_price()["bytes"] / 1e3}


@registered
def mel_megabytes() -> dict[str, Value]:
    """Return the size of the note's TRs of mel spectrogram, in 10^6 bytes."""
    return {f"{NOTE_TRS} TRs": NOTE_TRS * mel_price()["bytes"] / 1e6}


@registered
def lone_code_shape() -> dict[str, Value]:
    """Return the shape of one TR's codes, encoded on its own."""
    return {"a TR on its own": str(list(lone_codes().shape))}


@registered
def codebooks() -> dict[str, Value]:
    """Count the codebooks at the note's bandwidth."""
    return {f"{NOTE_KBPS:g} kbps": float(lone_codes().shape[0])}


@registered
def code_values() -> dict[str, Value]:
    """Count a TR's codes: of a TR on its own, and of a TR's exact share of a whole encoding."""
    exact = lone_codes().shape[0] * tr_frames()
    return {"a TR on its own": float(lone_codes().numel()), "its share of the whole": float(exact)}


def _code_bytes() -> dict[str, float]:
    """Return the bytes of one TR's exact share of codes, by how they are stored."""
    model = full_width()
    count = counting.count_codes(lone_codes().numpy(), model, TR)
    returned = str(lone_codes().dtype).removeprefix("torch.")
    stored = {name: count.stored_bytes(name) for name in ("int32", "int16")}
    return {
        f"{returned}, as encode returns them": count.stored_bytes(returned),
        **stored,
        f"packed, {model.bits_per_codebook} bits": count.packed_bytes,
    }


@registered
def code_kilobytes() -> dict[str, Value]:
    """Return the size of one TR of codes in 10^3 bytes, by how they are stored."""
    return {name: size / 1e3 for name, size in _code_bytes().items()}


@registered
def code_megabytes() -> dict[str, Value]:
    """Return the size of the note's TRs of codes in 10^6 bytes, by how they are stored."""
    return {name: NOTE_TRS * size / 1e6 for name, size in _code_bytes().items()}


@registered
def codes_per_mel() -> dict[str, Value]:
    """Return the size of a TR's codes as a share of the mel spectrogram's."""
    return {name: size / mel_price()["bytes"] for name, size in _code_bytes().items()}


@registered
def codes_per_samples() -> dict[str, Value]:
    """Return the size of a TR's codes as a share of its 16-bit samples."""
    return {name: size / (tr_samples() * PCM_BITS / 8) for name, size in _code_bytes().items()}


@registered
def like_a_mel() -> dict[str, Value]:
    """Say in what respects codes can take a mel spectrogram's place without a change around them."""
    mel = problem.MelSetting.of(MelSettings())
    mel_frames = TR * mel.build(full_width().sample_rate, SEED).feature_rate
    codes = lone_codes()
    return {
        f"real-valued, not {codes.dtype}".replace("torch.", ""): YES if codes.is_floating_point() else NO,
        f"of the same shape, not {list(codes.shape)}": YES
        if list(codes.shape) == [mel.n_mels, mel_frames]
        else NO,
        f"a whole number of frames per TR, not {float(tr_frames()):g}": YES
        if tr_frames().denominator == 1
        else NO,
    }
