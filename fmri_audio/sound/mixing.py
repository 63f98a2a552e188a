"""From many channels and any rate to one: what is added up, at which level, and whether the channels bear it.

Everything here works on blocks in turn, so that an hour of film never lies in memory in all its channels. The outcome
is the same to the last bit as for the whole sound at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from fmri_audio.base.kinds import Waveform

ChannelNames = tuple[str, ...]
"""A short name for every channel, as FFmpeg gives them (``FL``, ``FC``, ``LFE``); empty names where none is known."""

BY_NUMBER: dict[int, ChannelNames] = {
    1: ("FC",),
    2: ("FL", "FR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""What so many channels are in a file that does not say (the order of WAV and FLAC)."""

CENTRE, SIDE, SURROUND = 1.0, math.sqrt(0.5), 0.5
"""Shares of centre, left and right, and surround channels in one channel (ITU-R BS.775-3, table 2, 3/2 to 1/0)."""

CANCELS = -0.5
"""Correlation of two channels under which their mean loses over half of the power that either has."""

COPY = 0.8
"""Correlation at another lag from which on one channel counts as a delayed copy of the other."""

LONGEST_DELAY = 0.05
"""Seconds up to which a delayed copy is looked for; beyond, it is heard as an echo."""

_WINDOW = 1 << 17
_RESAMPLED_AT_ONCE = 1 << 18
_ALL_WINDOWS, _THEN_EVERY = 64, 4


def by_number(n_channels: int) -> ChannelNames:
    """Return what so many channels are where a file does not say: names, or as many empty ones."""
    return BY_NUMBER.get(n_channels, ("",) * n_channels)


def mono_weights(layout: ChannelNames) -> NDArray[np.float32] | None:
    """Return the share of every channel in the mono mix, [channels]; None where it is the plain mean.

    Surround is mixed as ITU-R BS.775 has it: the centre, where speech is, at its full level, left and right at 0.71,
    surround channels at 0.5, the low-frequency effects not at all. Without a centre, all is scaled by 0.71, so that
    what left and right share keeps its level. Two channels, and channels without names, are averaged.
    """
    if len(layout) <= 2 or not all(layout):
        return None
    shares = {"FC": CENTRE, "FL": SIDE, "FR": SIDE, "FLC": SIDE, "FRC": SIDE, "DL": SIDE, "DR": SIDE}
    scale = 1.0 if "FC" in layout else SIDE
    return np.array(
        [0.0 if "LFE" in name else scale * shares.get(name, SURROUND) for name in layout], np.float32
    )


def mixed(block: Waveform, layout: ChannelNames) -> Waveform:
    """Mix a block, [channels, T], to mono, [T]."""
    if block.shape[0] == 1:
        return np.asarray(block[0])
    weights = mono_weights(layout)
    if weights is None:
        return np.asarray(block.mean(axis=0), np.float32)
    mono = np.zeros(block.shape[1], np.float32)
    for weight, channel in zip(weights, block, strict=True):
        mono += weight * channel
    return mono


def described(layout: ChannelNames) -> str:
    """Say how a layout is mixed to mono."""
    if mono_weights(layout) is None:
        return f"mixed {len(layout)} channels to mono (mean)"
    centred = "" if "FC" in layout else ", times 0.71 as there is no centre"
    return (
        f"mixed {len(layout)} channels ({' '.join(layout)}) to mono "
        f"(ITU-R BS.775: centre 1, left and right 0.71, surround 0.5, low-frequency effects 0{centred})"
    )


def converted(block: Waveform, layout: ChannelNames, wanted: ChannelNames) -> Waveform:
    """Bring a block, [channels, T], to another layout; unless it is the same, only its mono mix is kept."""
    if layout == wanted or (len(layout) == len(wanted) <= 2):
        return block
    mono = mixed(block, layout)
    if len(wanted) > 2 and "FC" in wanted:
        out = np.zeros((len(wanted), len(mono)), np.float32)
        out[wanted.index("FC")] = mono
        return out
    return np.repeat(mono[None], len(wanted), axis=0)


@dataclass(frozen=True)
class Downmix:
    """What mixing two channels would do to them: which one to take instead, if any, and why.

    Attributes
    ----------
    channel : int, optional
        The channel to take alone.
    said : list of str
        One phrase each.
    """

    channel: int | None = None
    said: tuple[str, ...] = ()


class ChannelWatch:
    """Watches channels while they are mixed: whether they cancel, or one is a late copy of the other."""

    def __init__(self, layout: ChannelNames, rate: int) -> None:
        self.layout, self.rate = layout, rate
        n = len(layout)
        self.power, self.mix_power, self.product = np.zeros(n), 0.0, 0.0
        self.windows, self.cross, self.window_power = 0, np.zeros(_WINDOW + 1, np.complex128), np.zeros(2)

    def add(self, block: Waveform, mono: Waveform) -> None:
        """Take in a block, [channels, T], and its mix, [T]."""
        self.power += [float(np.dot(channel, channel)) for channel in block]
        self.mix_power += float(np.dot(mono, mono))
        if len(block) != 2:
            return
        self.product += float(np.dot(block[0], block[1]))
        for first in range(0, block.shape[1], _WINDOW):
            self.windows += 1
            if self.windows <= _ALL_WINDOWS or self.windows % _THEN_EVERY == 0:
                self._add_window(block[:, first : first + _WINDOW])

    def _add_window(self, window: Waveform) -> None:
        left, right = scipy.fft.rfft(window, 2 * _WINDOW, axis=1)
        self.cross += np.conj(left) * right
        self.window_power += [float(np.dot(channel, channel)) for channel in window]

    def verdict(self) -> Downmix:
        """Say what the mix has done to the channels."""
        if len(self.layout) != 2:
            return self._of_many()
        if not self.power.all():
            if not self.power.any():
                return Downmix()
            silent = ("left", "right")[int(self.power.argmin())]
            return Downmix(None, (f"the {silent} channel is silent, which halves the mean",))
        correlation = self.product / math.sqrt(self.power.prod())
        delay, peak = self._delay()
        if delay and abs(peak) >= COPY and abs(peak) > abs(correlation) + 0.1:
            early = 0 if delay > 0 else 1
            taken = early if self.power[early] > self.power[1 - early] / 4 else 1 - early
            copy = "an inverted copy" if peak < 0 else "a copy"
            return self._alone(
                taken,
                f"the {('left', 'right')[1 - early]} one is {copy} {abs(delay) * 1000:.2f} ms late, so that a mix "
                f"would comb (correlation {peak:.2f})",
            )
        if correlation < CANCELS:
            taken = 1 if self.power[1] > 2 * self.power[0] else 0
            return self._alone(taken, f"the two cancel when they are mixed (correlation {correlation:.2f})")
        return Downmix()

    def _alone(self, taken: int, why: str) -> Downmix:
        return Downmix(taken, (f"took the {('left', 'right')[taken]} channel alone: {why}",))

    def _delay(self) -> tuple[float, float]:
        """By how many seconds the right channel comes later where both are most alike, and how much alike."""
        scale = math.sqrt(self.window_power.prod())
        if not scale:
            return 0.0, 0.0
        around = scipy.fft.irfft(self.cross) / scale
        furthest = min(round(LONGEST_DELAY * self.rate), _WINDOW - 1)
        lags = np.arange(-furthest, furthest + 1)
        best = int(lags[np.abs(around[lags]).argmax()])
        return best / self.rate, float(around[best])

    def _of_many(self) -> Downmix:
        weights = mono_weights(self.layout)
        shares = np.full(len(self.layout), 1 / len(self.layout)) if weights is None else weights
        apart = float(np.square(shares, dtype=np.float64) @ self.power)
        if len(self.layout) < 2 or apart <= 0 or self.mix_power >= apart / 4:
            return Downmix()
        lost = 10 * math.log10(apart / max(self.mix_power, 1e-12 * apart))
        return Downmix(
            None, (f"the channels cancel: their mix is {lost:.0f} dB under what they would give apart",)
        )


def resampled(blocks: Iterable[Waveform], from_rate: int, to_rate: int) -> Iterator[Waveform]:
    """Change the sample rate of blocks that follow each other, as if they were one.

    Polyphase filtering (scipy's ``resample_poly``: Kaiser window, beta 5). Every stretch is filtered together with as
    much of its neighbours as the filter reaches.

    Parameters
    ----------
    blocks : iterable of arrays, shape [..., T]
    from_rate, to_rate : int
        Hz.

    Yields
    ------
    array, shape [..., T']
        In all ceil(T · to_rate / from_rate) samples.
    """
    if from_rate == to_rate:
        yield from blocks
        return
    common = math.gcd(from_rate, to_rate)
    up, down = to_rate // common, from_rate // common
    # What scipy designs by itself; made once here, because with rates that share no factor it has millions of taps.
    kernel = scipy.signal.firwin(20 * max(up, down) + 1, 1 / max(up, down), window=("kaiser", 5.0))
    reach = down * math.ceil((10 * max(up, down) / up + 1) / down)
    step = down * math.ceil(max(_RESAMPLED_AT_ONCE, reach) / down)
    held: list[Waveform] = []
    n_held = before = 0
    for block in blocks:
        held.append(block)
        n_held += block.shape[-1]
        while n_held >= before + step + reach:
            whole = np.concatenate(held, axis=-1)
            yield _filtered(whole[..., : before + step + reach], kernel, up, down, before, step)
            held, before = [whole[..., before + step - reach :]], reach
            n_held = held[0].shape[-1]
    if n_held:
        yield _filtered(np.concatenate(held, axis=-1), kernel, up, down, before, None)


def _filtered(
    stretch: Waveform, kernel: NDArray[np.float64], up: int, down: int, before: int, step: int | None
) -> Waveform:
    """Filter a stretch and keep what belongs to the ``step`` samples after the first ``before``, or to all."""
    out = scipy.signal.resample_poly(np.asarray(stretch, np.float64), up, down, axis=-1, window=kernel)
    first = before // down * up
    last = None if step is None else first + step // down * up
    return np.asarray(out[..., first:last], np.float32)


def gathered(blocks: Iterable[Waveform]) -> Waveform:
    """Join blocks along time, letting go of each as soon as it is copied."""
    pieces = list(blocks)
    if len(pieces) == 1:
        return np.ascontiguousarray(pieces[0], np.float32)
    if not pieces:
        return np.empty(0, np.float32)
    length = sum(piece.shape[-1] for piece in pieces)
    out = np.empty((*pieces[0].shape[:-1], length), np.float32)
    end = length
    while pieces:
        piece = pieces.pop()
        out[..., end - piece.shape[-1] : end] = piece
        end -= piece.shape[-1]
        del piece
    return out
