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
processor's cache. On a GPU a stream goes on in steps of few sizes that are replayed as graphs
(:mod:`fmri_audio.codec.replay`), in full single precision. So what is kept stays where it is in memory, and a stream
at its end is kept for the next sound of its network, whose weights it takes over again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Protocol, Self, cast
from weakref import WeakKeyDictionary

import torch
from encodec.modules.conv import SConv1d, SConvTranspose1d, pad1d
from encodec.modules.lstm import SLSTM
from encodec.modules.seanet import SEANetDecoder, SEANetEncoder, SEANetResnetBlock
from torch import Tensor, nn

from fmri_audio.base.timeline import frames_of_samples
from fmri_audio.codec.replay import Record, Steps, full_precision, recorder_of

PIECE_FRAMES = 1500
"""Frames (20 s at 75 Hz) that pass the network at a time: long pieces spare the LSTM reading its weights anew."""

BLOCK_FRAMES = {"cpu": 48, "cuda": PIECE_FRAMES}
"""Frames that layers above the frame rate work on at a time: on a processor, what its cache holds."""

STEP_FRAMES = tuple(PIECE_FRAMES // 4**n for n in range(4))
"""Frames of the steps that are replayed; of each but the longest, at most three are needed.

Longer steps would gain nothing: beside the LSTM, which takes its frames one by one, their launches do not count.
"""


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
        self.bias = cast(Tensor, conv.bias).clone()
        self.n_out, self.n_in = weight.shape[:2]
        # Rows side by side are one long row: taps [2, stride · in, out], or [kernel, in, out] at stride 1.
        taps = weight.permute(2, 1, 0)
        self.taps = taps.reshape(-1, self.stride * self.n_in, self.n_out).contiguous()
        self.tail = weight.new_empty(self.padding, self.n_in)
        self.begun = False

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        rows = self._with_past(x, last)
        self.tail.copy_(rows[len(rows) - self.padding :])
        self.begun = True
        return self.arithmetic(rows)

    def weights(self) -> list[Tensor]:
        """What the arithmetic takes from the network."""
        return [self.taps, self.bias]

    def restart(self) -> None:
        """Forget the past: the next rows are a sound's first."""
        self.begun = False

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
        kept = self.padding
        if not kept:
            return x if self.elu is None else _activated(x, self.elu, torch.empty_like(x))
        rows, new = _behind(x, kept, self.elu)
        extra = -len(x) % self.stride if last else 0
        if self.begun:
            rows[:kept] = self.tail
        elif len(new) > kept:
            rows[:kept] = new[1 : kept + 1].flip(0)
        elif last:
            # A sound too short to be reflected: the package puts zeros behind it first.
            padded: Tensor = pad1d(new.t()[None], (kept, extra), "reflect")
            return padded[0].t().contiguous()
        else:
            raise ValueError(f"the first piece has {len(new)} rows, reflection needs {kept + 1}")
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
        self.tail.copy_(rows[-1:])
        return self.arithmetic(rows)

    def weights(self) -> list[Tensor]:
        """What the arithmetic takes from the network."""
        return [self.taps, self.bias]

    def restart(self) -> None:
        """Forget the past, which before a sound is zero."""
        self.tail.zero_()

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
        hidden = cast(Tensor, self.lstm.weight_hh_l0).new_zeros(
            self.lstm.num_layers, 1, self.lstm.hidden_size
        )
        self.state = (hidden, hidden.clone())

    def __call__(self, x: Tensor, last: bool) -> Tensor:
        y = self.arithmetic(x)
        return y + x if self.skip else y

    def arithmetic(self, rows: Tensor) -> Tensor:
        """Send rows through the LSTM, from the state it was left in."""
        y: Tensor
        y, state = self.lstm(rows[:, None], self.state)
        for kept, new in zip(self.state, state, strict=True):
            kept.copy_(new)
        return y[:, 0]

    def own(self) -> None:
        """Make the weights a copy, which stays where it is when the network's are moved."""
        self.lstm = copy.deepcopy(self.lstm).requires_grad_(False)
        self.lstm.flatten_parameters()

    def weights(self) -> list[Tensor]:
        """What the arithmetic takes from the network."""
        return list(self.lstm.parameters())

    def restart(self) -> None:
        """Forget the past, which before a sound is zero."""
        for kept in self.state:
            kept.zero_()


class _Stream:
    """A network as layers that keep their state, and what its two directions share.

    Parameters
    ----------
    network : its weights as they are now are taken over
    record : makes replayed work of work (:mod:`fmri_audio.codec.replay`); without it all runs as it comes

    Attributes
    ----------
    hop : samples per frame
    device : where the weights are
    least : frames that the first piece must have unless it is the whole, enough for every layer to reflect
    frame_rows : rows per frame of what goes in
    """

    frame_rows: int

    @torch.inference_mode(False)  # what is kept can be written to in every mode
    @torch.no_grad()
    def __init__(self, network: SEANetEncoder | SEANetDecoder, record: Record | None = None) -> None:
        self.hop = int(network.hop_length)
        self.device = next(network.parameters()).device
        self.block = BLOCK_FRAMES.get(self.device.type, PIECE_FRAMES)
        self.layers = _layers(network.model)
        self.least = 1 + max(_padding(module) for module in network.modules() if isinstance(module, SConv1d))
        self.begun = False
        self.home: list[_Stream] = []
        self._arrange(network)
        self.steps: Steps | None = None
        if record is not None:
            self.steps = Steps([self.frame_rows * frames for frames in STEP_FRAMES], record)
            for layer in self.with_arithmetic():
                if isinstance(layer, _Memory):
                    layer.own()

    @classmethod
    def ready(cls, network: SEANetEncoder | SEANetDecoder) -> Self:
        """Return a stream at its beginning: on a GPU, if there is one, the last that this network was done with.

        Until its last piece a stream belongs to who got it.
        """
        device = next(network.parameters()).device
        record = recorder_of(device)
        if record is None:
            return cls(network)
        home = _at_home().setdefault(network, [])
        while home:
            stream = home.pop()
            if isinstance(stream, cls) and stream.device == device:
                stream._restart(network)
                return stream
        stream = cls(network, record)
        stream.home = home
        return stream

    def with_arithmetic(self) -> Iterator[_Conv | _Up | _Memory]:
        """Yield every layer that computes, those within blocks too."""
        return _with_arithmetic(self.layers)

    def spans(self, n_frames: int, piece: int) -> Iterator[tuple[int, int]]:
        """Cut ``n_frames`` into pieces of ``piece``, the first not shorter than ``least``: start and stop of each."""
        if piece < 1:
            raise ValueError(f"pieces of {piece} frames lead nowhere")
        # Where steps are replayed, the frames that come before the first one are extra.
        start, stop = 0, max(piece, self.least) if self.steps is None else self.least + piece
        while start < n_frames:
            yield start, min(stop, n_frames)
            start, stop = stop, stop + piece

    @torch.inference_mode(False)
    @torch.no_grad()
    def _push(self, rows: Tensor, last: bool) -> Tensor:
        """Take the next rows, in steps that are replayed as far as they go."""
        with full_precision(self.device):
            if self.steps is None:
                out = self._advance(rows, last)
            else:
                ahead = 0 if self.begun else self.least * self.frame_rows
                out = self.steps(self._advance, rows, last, ahead)
        self.begun = True
        if last and self.steps is not None:
            self.home.append(self)
        return out

    @torch.inference_mode(False)
    @torch.no_grad()
    def _restart(self, network: SEANetEncoder | SEANetDecoder) -> None:
        """Forget the past, and take over the weights as they are now."""
        self.begun = False
        for layer, new in zip(self.with_arithmetic(), _with_arithmetic(_layers(network.model)), strict=True):
            layer.restart()
            for weight, value in zip(layer.weights(), new.weights(), strict=True):
                weight.copy_(value)

    def _arrange(self, network: SEANetEncoder | SEANetDecoder) -> None:
        """Divide the layers into those that work in blocks and the others."""
        raise NotImplementedError

    def _advance(self, rows: Tensor, last: bool) -> Tensor:
        """Send the next rows through the layers as they come."""
        raise NotImplementedError

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
    record : optional
        Makes replayed work of work; without it all runs as it comes. :meth:`ready` knows what is faster.

    Raises
    ------
    ValueError
        The network is not causal, or its kernels are none of SEANet's.
    """

    def _arrange(self, network: SEANetEncoder | SEANetDecoder) -> None:
        self.frame_rows = self.hop
        strided = [n for n, layer in enumerate(self.layers) if isinstance(layer, _Conv) and layer.stride > 1]
        self.fine, self.coarse = self.layers[: strided[-1]], self.layers[strided[-1] :]

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
        return self._push(waveform.to(self.device)[:, None], last)

    def _advance(self, rows: Tensor, last: bool) -> Tensor:
        return _through(self.coarse, self._in_blocks(self.fine, rows, last, self.block * self.hop), last)


class StreamingDecoder(_Stream):
    """A causal SEANet decoder that takes its latents in pieces.

    Parameters
    ----------
    decoder : SEANetDecoder
        Causal; its weights as they are now are taken over.
    record : optional
        Makes replayed work of work; without it all runs as it comes. :meth:`ready` knows what is faster.

    Raises
    ------
    ValueError
        The network is not causal, or its kernels are none of SEANet's.
    """

    def _arrange(self, network: SEANetEncoder | SEANetDecoder) -> None:
        self.frame_rows = 1
        first = 1 + next(n for n, layer in enumerate(self.layers) if isinstance(layer, _Up))
        self.coarse, self.fine = self.layers[:first], self.layers[first:]
        self.first_ratio = int(network.ratios[0])

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
        return self._push(latents.to(self.device).contiguous(), last)[:, 0]

    def _advance(self, rows: Tensor, last: bool) -> Tensor:
        coarse = _through(self.coarse, rows, last)
        return self._in_blocks(self.fine, coarse, last, self.block * self.first_ratio)


@cache
def _at_home() -> WeakKeyDictionary[nn.Module, list[_Stream]]:
    """Return the streams with recorded steps that are done with their sound, by the network that they stream."""
    return WeakKeyDictionary()


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
    stream = StreamingEncoder.ready(encoder)
    n_frames = frames_of_samples(len(waveform), stream.hop)
    for start, stop in stream.spans(n_frames, piece):
        yield start, stream.push(waveform[start * stream.hop : stop * stream.hop], stop == n_frames)


def decoded_pieces(
    decoder: SEANetDecoder, n_frames: int, frames: Callable[[int, int], Tensor], piece: int = PIECE_FRAMES
) -> Iterator[tuple[int, Tensor]]:
    """Yield the first sample and the samples of each piece; ``frames(start, stop)`` gives latents [l, D]."""
    stream = StreamingDecoder.ready(decoder)
    for start, stop in stream.spans(n_frames, piece):
        yield start * stream.hop, stream.push(frames(start, stop), stop == n_frames)


def _rows(matrix: Tensor, start: int, stop: int) -> Tensor:
    return matrix[start:stop]


def _through(layers: Sequence[_Layer], x: Tensor, last: bool) -> Tensor:
    for layer in layers:
        x = layer(x, last)
    return x


def _with_arithmetic(layers: Sequence[_Layer]) -> Iterator[_Conv | _Up | _Memory]:
    """Yield every layer that computes, those within blocks too."""
    waiting = list(layers)
    while waiting:
        layer = waiting.pop()
        if isinstance(layer, _Residual):
            waiting += [*layer.branch, layer.narrow, *([] if layer.shortcut is None else [layer.shortcut])]
        elif isinstance(layer, _Conv | _Up | _Memory):
            yield layer


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
