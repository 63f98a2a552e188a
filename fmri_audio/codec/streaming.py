"""SEANet, EnCodec's encoder and decoder, as a stream: any length of sound in bounded memory, exactly.

The causal network of Défossez et al. (2022) needs of the past only what its layers keep: a convolution the last
rows of its input, the LSTM its state. Here every layer keeps just that from one piece to the next, so pieces of
any length give what the ``encodec`` package gives for the whole signal, but for rounding.

Two things at the edges are the package's own and are copied from it. A convolution's past before the first sample
is its input *reflected*, so the first piece has to be long enough to be reflected
(:attr:`StreamingEncoder.least`). At the end, each strided layer whose last window is not full is padded likewise.

It is also the faster way. Signals are matrices ``[time, channels]``, and every convolution is a sum of matrix
products with rows that lie in memory as they are: a kernel of twice the stride (all of SEANet's changes of rate)
is two products with ``stride`` rows side by side as one. Weight norm is folded in once, ELU is applied where the
rows are copied behind the kept ones anyway, and layers near the sample rate work on blocks that stay in a
processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, cast

import torch
from encodec.modules.conv import SConv1d, SConvTranspose1d, pad1d
from encodec.modules.lstm import SLSTM
from encodec.modules.seanet import SEANetDecoder, SEANetEncoder, SEANetResnetBlock
from torch import Tensor, nn

from fmri_audio.base.timeline import frames_of_samples

PIECE_FRAMES = 1500
"""Frames (20 s at 75 Hz) that pass the network at a time: long pieces spare the LSTM reading its weights anew."""

BLOCK_FRAMES = {"cpu": 48, "cuda": PIECE_FRAMES}
"""Frames that layers above the frame rate work on at a time: on a processor, what its cache holds."""


class _Layer(Protocol):
    """A layer that goes on where it left off: rows [T, in] → rows [T', out].

    Its ``arithmetic``, on rows that already have their past, is apart: ``make bench`` times it alone.
    """

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        """Take the next rows; ``last`` says that none follow."""


class _Conv:
    """A causal convolution, with the ELU before it if there is one.

    It keeps the last ``padding`` rows of its input. The kernel is as long as it likes at stride 1 and twice the
    stride otherwise.
    """

    def __init__(self, layer: SConv1d, elu: nn.ELU | None) -> None:
        conv = cast(nn.Conv1d, layer.conv.conv)
        self.elu = elu
        self.kernel: int = conv.kernel_size[0]
        self.stride: int = conv.stride[0]
        self.dilation: int = conv.dilation[0]
        if not layer.causal or layer.pad_mode != "reflect" or not isinstance(layer.conv.norm, nn.Identity):
            raise ValueError("only a causal network padded by reflection can be streamed")
        if self.stride > 1 and (self.kernel != 2 * self.stride or self.dilation > 1):
            raise ValueError(f"a kernel of {self.kernel} does not go with a stride of {self.stride}")
        self.padding = _padding(layer)
        weight = _folded(conv)  # [out, in, kernel]
        self.bias = cast(Tensor, conv.bias)
        self.n_out, self.n_in = weight.shape[:2]
        # Rows side by side are one long row: taps [2, stride · in, out], or [kernel, in, out] at stride 1.
        taps = weight.permute(2, 1, 0)
        self.taps = taps.reshape(-1, self.stride * self.n_in, self.n_out).contiguous()
        self.tail: Tensor | None = None

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        rows = self._with_past(x, last)
        if self.padding:
            self.tail = rows[len(rows) - self.padding :].clone()
        return self.arithmetic(rows)

    def arithmetic(self, rows: Tensor, onto: Tensor | None = None) -> Tensor:
        """Convolve rows that begin with their past; one tap may add to what is there, which has its bias already."""
        if onto is not None:
            return onto.addmm_(rows, self.taps[0])
        if self.n_in == 1 and self.stride == 1 and self.dilation == 1:
            windows = rows.as_strided((len(rows) - self.kernel + 1, self.kernel), (1, 1))
            return torch.addmm(self.bias, windows, self.taps[:, 0])
        if self.n_out == 1 and self.stride == 1 and self.dilation == 1:
            # One product gives what every row adds to each of the sums; a sum runs down a diagonal of it.
            shares = rows @ self.taps[:, :, 0].t()
            diagonals = shares.as_strided(
                (len(rows) - self.kernel + 1, self.kernel), (self.kernel, self.kernel + 1)
            )
            return diagonals.sum(1, keepdim=True).add_(self.bias)
        step = 1 if self.stride > 1 else self.dilation
        rows = rows.view(-1, self.stride * self.n_in)
        n = len(rows) - (len(self.taps) - 1) * step
        out = torch.addmm(self.bias, rows[:n], self.taps[0])
        for tap in range(1, len(self.taps)):
            out.addmm_(rows[tap * step : tap * step + n], self.taps[tap])
        return out

    def _with_past(self, x: Tensor, last: bool) -> Tensor:
        """Return the activated rows behind the kept ones, and before the padding if they are the last."""
        kept = self.padding if self.tail is None else len(self.tail)
        if not kept:
            return x if self.elu is None else _activated(x, self.elu, torch.empty_like(x))
        rows, new = _behind(x, kept, self.elu)
        extra = -len(x) % self.stride if last else 0
        if self.tail is not None:
            rows[:kept] = self.tail
        elif len(new) > self.padding:
            rows[:kept] = new[1 : kept + 1].flip(0)
        elif last:
            # A sound too short to be reflected: the package puts zeros behind it first.
            padded: Tensor = pad1d(new.t()[None], (kept, extra), "reflect")
            return padded[0].t().contiguous()
        else:
            raise ValueError(f"the first piece has {len(new)} rows, reflection needs {self.padding + 1}")
        return torch.cat([rows, rows[-1 - extra : -1].flip(0)]) if extra else rows


class _Up:
    """A causal transposed convolution with a kernel of twice the stride; it keeps one row."""

    def __init__(self, layer: SConvTranspose1d, elu: nn.ELU | None) -> None:
        conv = cast(nn.ConvTranspose1d, layer.convtr.convtr)
        self.elu = elu
        stride: int = conv.stride[0]
        if not layer.causal or layer.trim_right_ratio != 1 or not isinstance(layer.convtr.norm, nn.Identity):
            raise ValueError("only a causal network trimmed on the right can be streamed")
        if conv.kernel_size[0] != 2 * stride:
            raise ValueError(f"a kernel of {conv.kernel_size[0]} does not go with a stride of {stride}")
        weight = _folded(conv)  # [in, out, 2 · stride]
        self.n_in, self.n_out = weight.shape[:2]
        # What a row adds to the samples of its own frame, and to those of the next: [2, in, stride · out].
        taps = weight.view(self.n_in, self.n_out, 2, stride).permute(2, 0, 3, 1)
        self.taps = taps.reshape(2, self.n_in, stride * self.n_out).contiguous()
        self.bias = cast(Tensor, conv.bias).repeat(stride)
        self.tail = weight.new_zeros(1, self.n_in)

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        rows, _ = _behind(x, 1, self.elu)
        rows[:1] = self.tail
        self.tail = rows[-1:].clone()
        return self.arithmetic(rows)

    def arithmetic(self, rows: Tensor) -> Tensor:
        """Convolve rows that begin with the one before."""
        out = torch.addmm(self.bias, rows[1:], self.taps[0]).addmm_(rows[:-1], self.taps[1])
        return out.view(-1, self.n_out)


class _Residual:
    """A residual block: a branch of convolutions, the last of which, of one tap, adds to what the shortcut gives."""

    def __init__(self, layer: SEANetResnetBlock) -> None:
        *self.branch, self.narrow = cast(list[_Conv], _layers(layer.block))
        if self.narrow.kernel > 1:
            raise ValueError(
                f"a residual block that ends with a kernel of {self.narrow.kernel} cannot be streamed"
            )
        identity = isinstance(layer.shortcut, nn.Identity)
        self.shortcut = None if identity else _Conv(cast(SConv1d, layer.shortcut), None)
        if self.shortcut is not None:
            self.shortcut.bias = self.shortcut.bias + self.narrow.bias

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        y = x
        for layer in self.branch:
            y = layer(y, last)
        if self.narrow.elu is not None:
            y = _activated(y, self.narrow.elu, torch.empty_like(y))
        onto = x + self.narrow.bias if self.shortcut is None else self.shortcut(x, last)
        return self.narrow.arithmetic(y, onto)


class _Memory:
    """The LSTM with its skip connection; it keeps hidden and cell state."""

    def __init__(self, layer: SLSTM) -> None:
        self.lstm, self.skip = layer.lstm, layer.skip
        self.state: tuple[Tensor, Tensor] | None = None

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        y = self.arithmetic(x)
        return y + x if self.skip else y

    def arithmetic(self, rows: Tensor) -> Tensor:
        """Send rows through the LSTM, from the state it was left in."""
        y: Tensor
        y, self.state = self.lstm(rows[:, None], self.state)
        return y[:, 0]


class _Stream:
    """A network as layers that keep their state, and what its two directions share.

    Attributes
    ----------
    hop : samples per frame
    device : where the weights are
    least : frames that the first piece must have unless it is the whole, enough for every layer to reflect
    """

    def __init__(self, network: SEANetEncoder | SEANetDecoder) -> None:
        self.hop = int(network.hop_length)
        self.device = next(network.parameters()).device
        self.block = BLOCK_FRAMES.get(self.device.type, PIECE_FRAMES)
        self.layers = _layers(network.model)
        self.least = 1 + max(_padding(module) for module in network.modules() if isinstance(module, SConv1d))

    def with_arithmetic(self) -> Iterator[_Conv | _Up | _Memory]:
        """Yield every layer that computes, those within blocks too."""
        waiting = list(self.layers)
        while waiting:
            layer = waiting.pop()
            if isinstance(layer, _Residual):
                waiting += [
                    *layer.branch,
                    layer.narrow,
                    *([] if layer.shortcut is None else [layer.shortcut]),
                ]
            elif isinstance(layer, _Conv | _Up | _Memory):
                yield layer

    def spans(self, n_frames: int, piece: int) -> Iterator[tuple[int, int]]:
        """Cut ``n_frames`` into pieces of ``piece``, the first not shorter than ``least``: start and stop of each."""
        if piece < 1:
            raise ValueError(f"pieces of {piece} frames lead nowhere")
        start, stop = 0, max(piece, self.least)
        while start < n_frames:
            yield start, min(stop, n_frames)
            start, stop = stop, stop + piece

    def _in_blocks(self, layers: Sequence[_Layer], x: Tensor, last: bool, rows: int) -> Tensor:
        """Send ``x`` through layers, ``rows`` of its rows at a time."""
        out = []
        for start in range(0, len(x), rows):
            out.append(_through(layers, x[start : start + rows], last and start + rows >= len(x)))
        return out[0] if len(out) == 1 else torch.cat(out)


class StreamingEncoder(_Stream):
    """A causal SEANet encoder that takes its sound in pieces.

    Parameters
    ----------
    encoder : SEANetEncoder
        Causal; its weights as they are now are taken over.

    Raises
    ------
    ValueError
        The network is not causal, or its kernels are none of SEANet's.
    """

    @torch.no_grad()
    def __init__(self, encoder: SEANetEncoder) -> None:
        super().__init__(encoder)
        strided = [n for n, layer in enumerate(self.layers) if isinstance(layer, _Conv) and layer.stride > 1]
        self.fine, self.coarse = self.layers[: strided[-1]], self.layers[strided[-1] :]

    @torch.no_grad()
    def push(self, waveform: Tensor, last: bool = False) -> Tensor:
        """Return the frames of the next samples.

        Parameters
        ----------
        waveform : tensor of shape [T]
            Whole frames, unless it is the last piece; the first piece at least ``least`` frames or the last.
        last : whether nothing follows

        Returns
        -------
        tensor of shape [L, D], on the network's device
        """
        fine = self._in_blocks(self.fine, waveform.to(self.device)[:, None], last, self.block * self.hop)
        return _through(self.coarse, fine, last)


class StreamingDecoder(_Stream):
    """A causal SEANet decoder that takes its latents in pieces.

    Parameters
    ----------
    decoder : SEANetDecoder
        Causal; its weights as they are now are taken over.

    Raises
    ------
    ValueError
        The network is not causal, or its kernels are none of SEANet's.
    """

    @torch.no_grad()
    def __init__(self, decoder: SEANetDecoder) -> None:
        super().__init__(decoder)
        first = 1 + next(n for n, layer in enumerate(self.layers) if isinstance(layer, _Up))
        self.coarse, self.fine = self.layers[:first], self.layers[first:]
        self.first_ratio = int(decoder.ratios[0])

    @torch.no_grad()
    def push(self, latents: Tensor, last: bool = False) -> Tensor:
        """Return the samples of the next frames.

        Parameters
        ----------
        latents : tensor of shape [L, D]
            The first piece at least ``least`` frames or the last.
        last : whether nothing follows

        Returns
        -------
        tensor of shape [L · hop], on the network's device
        """
        coarse = _through(self.coarse, latents.to(self.device).contiguous(), last)
        return self._in_blocks(self.fine, coarse, last, self.block * self.first_ratio)[:, 0]


def encode_in_pieces(encoder: SEANetEncoder, waveform: Tensor, piece: int = PIECE_FRAMES) -> Tensor:
    """Apply a causal SEANet encoder in bounded memory: exactly, but for rounding.

    Parameters
    ----------
    encoder : SEANetEncoder, causal
    waveform : tensor of shape [B, 1, T], brought to the encoder's device piece by piece
    piece : frames at a time

    Returns
    -------
    tensor of shape [B, D, L], on the waveform's device, without gradients
    """
    n_frames = frames_of_samples(waveform.shape[-1], int(encoder.hop_length))
    latents = waveform.new_empty(len(waveform), encoder.dimension, n_frames)
    for sound, out in zip(waveform, latents, strict=True):
        for start, frames in encoded_pieces(encoder, sound[0], piece):
            out[:, start : start + len(frames)] = frames.t()
    return latents


def decode_in_pieces(decoder: SEANetDecoder, latents: Tensor, piece: int = PIECE_FRAMES) -> Tensor:
    """Apply a causal SEANet decoder in bounded memory: exactly, but for rounding.

    Parameters
    ----------
    decoder : SEANetDecoder, causal
    latents : tensor of shape [B, D, L], brought to the decoder's device piece by piece
    piece : frames at a time

    Returns
    -------
    tensor of shape [B, 1, L · hop], on the latents' device, without gradients
    """
    n_frames = latents.shape[-1]
    sound = latents.new_empty(len(latents), 1, n_frames * int(decoder.hop_length))
    for frames, out in zip(latents.transpose(1, 2), sound, strict=True):
        pieces = decoded_pieces(decoder, n_frames, partial(_rows, frames), piece)
        for start, samples in pieces:
            out[0, start : start + len(samples)] = samples
    return sound


def encoded_pieces(
    encoder: SEANetEncoder, waveform: Tensor, piece: int = PIECE_FRAMES
) -> Iterator[tuple[int, Tensor]]:
    """Yield the first frame and the latents [l, D] of each piece of a waveform [T]."""
    stream = StreamingEncoder(encoder)
    n_frames = frames_of_samples(len(waveform), stream.hop)
    for start, stop in stream.spans(n_frames, piece):
        yield start, stream.push(waveform[start * stream.hop : stop * stream.hop], stop == n_frames)


def decoded_pieces(
    decoder: SEANetDecoder, n_frames: int, frames: Callable[[int, int], Tensor], piece: int = PIECE_FRAMES
) -> Iterator[tuple[int, Tensor]]:
    """Yield the first sample and the samples of each piece; ``frames(start, stop)`` gives latents [l, D]."""
    stream = StreamingDecoder(decoder)
    for start, stop in stream.spans(n_frames, piece):
        yield start * stream.hop, stream.push(frames(start, stop), stop == n_frames)


def _rows(matrix: Tensor, start: int, stop: int) -> Tensor:
    return matrix[start:stop]


def _through(layers: Sequence[_Layer], x: Tensor, last: bool) -> Tensor:
    for layer in layers:
        x = layer(x, last)
    return x


def _layers(modules: nn.Sequential) -> list[_Layer]:
    """Translate the package's modules; an ELU becomes part of the convolution that follows."""
    layers: list[_Layer] = []
    elu: nn.ELU | None = None
    for module in modules:
        if isinstance(module, nn.ELU):
            elu = module
            continue
        if isinstance(module, SConv1d):
            layers.append(_Conv(module, elu))
        elif isinstance(module, SConvTranspose1d):
            layers.append(_Up(module, elu))
        elif isinstance(module, SEANetResnetBlock):
            layers.append(_Residual(module))
        elif isinstance(module, SLSTM):
            layers.append(_Memory(module))
        else:
            raise ValueError(f"a {type(module).__name__} cannot be streamed")
        elu = None
    return layers


def _behind(x: Tensor, kept: int, elu: nn.ELU | None) -> tuple[Tensor, Tensor]:
    """Return rows of which the first ``kept`` are still empty and the rest ``x``, activated; and that rest."""
    rows = x.new_empty(kept + len(x), x.shape[1])
    new = rows[kept:]
    if elu is None:
        new.copy_(x)
    else:
        _activated(x, elu, new)
    return rows, new


def _activated(x: Tensor, elu: nn.ELU, out: Tensor) -> Tensor:
    """Write ELU of ``x`` to ``out``; on a processor as max(x, exp(min(x, 0)) - 1), in half the time of one kernel."""
    if elu.alpha != 1 or x.device.type != "cpu":
        return cast(Tensor, torch.ops.aten.elu.out(x, elu.alpha, out=out))
    torch.clamp(x, max=0, out=out)
    return torch.maximum(out.exp_().sub_(1), x, out=out)


def _padding(layer: SConv1d) -> int:
    """Return how many rows before the first a convolution sees."""
    conv = cast(nn.Conv1d, layer.conv.conv)
    return (conv.kernel_size[0] - 1) * conv.dilation[0] - (conv.stride[0] - 1)


def _folded(conv: nn.Conv1d | nn.ConvTranspose1d) -> Tensor:
    """Return a convolution's weight with its weight norm, if any, applied as the package applies it."""
    if hasattr(conv, "weight_g"):
        return torch._weight_norm(cast(Tensor, conv.weight_v), cast(Tensor, conv.weight_g), 0)
    return conv.weight
