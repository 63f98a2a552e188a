"""EnCodec's network in a form that trains fast on one CPU core.

On a processor the narrow SEANet spends most of its time on padding copies and on convolutions too thin for
the library's kernels. Here every layer works on frames in time order, ``[frames, channels]``, and every causal
convolution is a sum of matrix products with the frames and the frames before them. A strided convolution
(kernel twice the stride) is the same with ``stride`` frames side by side as one; so is a transposed one.

The segments of a batch lie end to end. The convolutions run across the seams, so a segment starts with the end
of its neighbour as its past; the LSTM starts afresh. In the ``encodec`` package the past of a sound's first
sample is its reflection. Apart from those first frames both compute the same function
(``tests/codec/test_trainable.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from encodec.model import EncodecModel
from torch import Tensor, nn
from torch.nn import functional as F

from fmri_audio.codec.checkpoints import FULL_WIDTH, build


def _preserving(taps: int, n_in: int, n_out: int) -> Tensor:
    """Random weights that keep the signal's variance: with torch's default it fades within these thirty layers."""
    return torch.randn(taps, n_in, n_out) / math.sqrt(taps * n_in)


class _CausalTaps(torch.autograd.Function):
    """``y[n] = bias + sum_i x[n - i * dilation] @ weight[i]``, without copies of ``x``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        y = torch.addmm(bias, x, weight[0])
        for tap in range(1, len(weight)):
            shift = tap * dilation
            y[shift:].addmm_(x[: len(x) - shift], weight[tap])
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        grad = grads[0].contiguous()
        grad_x = grad @ weight[0].t() if ctx.needs_input_grad[0] else None
        grad_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        grad_bias = grad.sum(0) if ctx.needs_input_grad[2] else None
        parts = min(256, len(x) // 64) if x.is_cuda else 1
        for tap in range(len(weight)):
            shift = tap * ctx.dilation
            if grad_weight is not None:
                product_over_frames(x[: len(x) - shift], grad[shift:], grad_weight[tap], parts)
            if grad_x is not None and tap:
                grad_x[: len(x) - shift].addmm_(grad[shift:], weight[tap].t())
        return grad_x, grad_weight, grad_bias, None


def product_over_frames(x: Tensor, y: Tensor, out: Tensor, parts: int) -> None:
    """Write ``x.t() @ y`` of many frames and few channels to ``out``.

    Parameters
    ----------
    x : Tensor [N, A]
    y : Tensor [N, B]
    out : Tensor [A, B]
    parts : int
        Products to sum: a GPU works on one so long and thin with a single processor of its hundred.
    """
    if parts < 2:
        torch.mm(x.t(), y, out=out)
        return
    whole = len(x) // parts * parts
    a, b = (z[:whole].view(parts, -1, z.shape[1]) for z in (x, y))
    torch.sum(a.mT @ b, 0, out=out)
    if whole < len(x):
        out.addmm_(x[whole:].t(), y[whole:])


def _taps(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return cast(Tensor, _CausalTaps.apply(x, weight, bias, 1))


class CausalConv(nn.Module):
    """Causal convolution of frames ``[N, in]`` → ``[N, out]``; ``block`` frames are worked on together.

    Thin convolutions (few channels) are slow as one product per tap: ``block`` frames side by side give two
    products with a block-Toeplitz matrix instead.
    """

    taps: Tensor

    def __init__(self, n_in: int, n_out: int, kernel: int, block: int = 1) -> None:
        super().__init__()
        self.n_in, self.n_out, self.kernel, self.block = n_in, n_out, kernel, block
        self.weight = nn.Parameter(_preserving(kernel, n_in, n_out))  # weight[i]: i frames back
        self.bias = nn.Parameter(torch.zeros(n_out))
        if block > 1:
            if block < kernel - 1:
                raise ValueError(f"a block of {block} frames is too short for a kernel of {kernel}")
            # tap that leads from input frame j (of the last or this block) to output frame i
            back = torch.arange(block)[None, :] - torch.arange(block)[:, None]
            taps = torch.stack([back, back + block])
            self.register_buffer(
                "taps", torch.where((taps >= 0) & (taps < kernel), taps, kernel), persistent=False
            )

    def forward(self, x: Tensor) -> Tensor:
        """Frames ``[N, in]`` → ``[N, out]``; N a multiple of the block."""
        if self.block == 1:
            return _taps(x, self.weight, self.bias)
        padded = torch.cat([self.weight, self.weight.new_zeros(1, self.n_in, self.n_out)])
        toeplitz = (
            padded[self.taps].transpose(2, 3).reshape(2, self.block * self.n_in, self.block * self.n_out)
        )
        y = _taps(x.view(-1, self.block * self.n_in), toeplitz, self.bias.repeat(self.block))
        return y.view(-1, self.n_out)

    def package_weight(self) -> Tensor:
        """Weight as ``Conv1d`` of the package wants it, ``[out, in, kernel]``, oldest tap first."""
        return self.weight.detach().permute(2, 1, 0).flip(2)

    def take_weight(self, weight: Tensor) -> None:
        """Inverse of :meth:`package_weight`."""
        self.weight.copy_(weight.flip(2).permute(2, 1, 0))


class Down(nn.Module):
    """Strided causal convolution, kernel twice the stride: ``[N, in]`` → ``[N / stride, out]``."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.n_in, self.n_out, self.stride = n_in, n_out, stride
        self.inner = CausalConv(stride * n_in, n_out, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Frames ``[N, in]`` → ``[N / stride, out]``."""
        return self.inner(x.view(-1, self.stride * self.n_in))  # type: ignore[no-any-return]

    def package_weight(self) -> Tensor:
        """``[out, in, 2 * stride]``: the block before, then this block."""
        taps = self.inner.weight.detach().flip(0).view(2 * self.stride, self.n_in, self.n_out)
        return taps.permute(2, 1, 0)

    def take_weight(self, weight: Tensor) -> None:
        """Inverse of :meth:`package_weight`."""
        taps = weight.permute(2, 1, 0).reshape(2, self.stride * self.n_in, self.n_out)
        self.inner.weight.copy_(taps.flip(0))


class Up(nn.Module):
    """Transposed causal convolution, kernel twice the stride: ``[N, in]`` → ``[N * stride, out]``."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.n_in, self.n_out, self.stride = n_in, n_out, stride
        self.weight = nn.Parameter(_preserving(2, n_in, stride * n_out))
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """Frames ``[N, in]`` → ``[N * stride, out]``."""
        y = _taps(x, self.weight, self.bias.repeat(self.stride))
        return y.view(-1, self.n_out)  # type: ignore[no-any-return]

    def package_weight(self) -> Tensor:
        """Weight as ``ConvTranspose1d`` wants it, ``[in, out, 2 * stride]``."""
        taps = self.weight.detach().view(2, self.n_in, self.stride, self.n_out)
        return taps.permute(1, 3, 0, 2).reshape(self.n_in, self.n_out, 2 * self.stride)

    def take_weight(self, weight: Tensor) -> None:
        """Inverse of :meth:`package_weight`."""
        taps = weight.view(self.n_in, self.n_out, 2, self.stride).permute(2, 0, 3, 1)
        self.weight.copy_(taps.reshape(self.weight.shape))


class Residual(nn.Module):
    """SEANet's residual block with a 1×1 convolution as its shortcut."""

    def __init__(self, channels: int, block: int) -> None:
        super().__init__()
        self.wide = CausalConv(channels, channels // 2, 3, block)
        self.narrow = CausalConv(channels // 2, channels, 1)
        self.shortcut = CausalConv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Frames ``[N, channels]`` → the same shape."""
        activated = F.elu_(x.clone())  # in place: its gradient is then had from its result, many times faster
        return self.shortcut(x).add_(self.narrow(F.elu_(self.wide(activated))))  # type: ignore[no-any-return]


class Memory(nn.Module):
    """Two LSTM layers with a skip connection; each segment of the batch starts afresh."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, layers)

    def forward(self, x: Tensor, segments: int) -> Tensor:
        """Frames ``[segments * L, channels]`` → the same shape."""
        sequence = x.view(segments, -1, x.shape[-1]).transpose(0, 1)
        return (self.lstm(sequence)[0] + sequence).transpose(0, 1).reshape(x.shape)  # type: ignore[no-any-return]


def _block(channels: int) -> int:
    """Frames worked on together so that the products are some 32 wide."""
    return max(1, min(4, 32 // channels)) if channels < 32 else 1


class Network(nn.Module):
    """Encoder and decoder of the codec; codebooks live elsewhere."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        full = {**FULL_WIDTH, **config}
        width, dimension, ratios = full["n_filters"], full["dimension"], list(full["ratios"])
        self.hop = math.prod(ratios)
        top = width * 2 ** len(ratios)
        encoder: list[nn.Module] = [CausalConv(1, width, 7, 8)]
        decoder: list[nn.Module] = [CausalConv(dimension, top, 7), Memory(top, full["lstm"])]
        for level, ratio in enumerate(reversed(ratios)):
            channels = width * 2**level
            encoder += [
                Residual(channels, _block(channels)),
                nn.ELU(inplace=True),
                Down(channels, 2 * channels, ratio),
            ]
        encoder += [Memory(top, full["lstm"]), nn.ELU(inplace=True), CausalConv(top, dimension, 7)]
        for level, ratio in enumerate(ratios):
            channels = top // 2 ** (level + 1)
            decoder += [
                nn.ELU(inplace=True),
                Up(2 * channels, channels, ratio),
                Residual(channels, _block(channels)),
            ]
        decoder += [nn.ELU(inplace=True), CausalConv(width, 1, 7, 8)]
        with torch.no_grad():
            decoder[-1].weight.mul_(0.1)  # type: ignore[operator,union-attr]  # begin near silence, not near clipping
        self.encoder = nn.ModuleList(encoder)
        self.decoder = nn.ModuleList(decoder)

    def encode(self, wave: Tensor) -> Tensor:
        """Waveform ``[B, T]`` (T a multiple of the hop) → latents ``[B, T / hop, dimension]``."""
        return _run(self.encoder, wave.reshape(-1, 1), len(wave)).view(len(wave), -1, FULL_WIDTH["dimension"])

    def decode(self, latents: Tensor) -> Tensor:
        """Latents ``[B, L, dimension]`` → waveform ``[B, L * hop]``."""
        frames = latents.reshape(-1, latents.shape[-1])
        return _run(self.decoder, frames, len(latents)).view(len(latents), -1)

    @torch.no_grad()
    def from_package(self, model: EncodecModel) -> None:
        """Take over the weights of a model of the same width (the inverse of :meth:`to_package`)."""
        for ours, theirs in ((self.encoder, model.encoder), (self.decoder, model.decoder)):
            for target, source in zip(_layers(ours), _layers(theirs), strict=True):
                _take(target, source)

    def to_package(self, codebooks: Tensor | None = None) -> EncodecModel:
        """The same network as the ``encodec`` package's model (weight norm folded in: ``g = |v|``).

        Parameters
        ----------
        codebooks : Tensor [K, size, dimension], optional
            Left random when not given.
        """
        model = build(self.config)
        for ours, theirs in ((self.encoder, model.encoder), (self.decoder, model.decoder)):
            for source, target in zip(_layers(ours), _layers(theirs), strict=True):
                _copy(source, target)
        if codebooks is not None:
            for layer, book in zip(model.quantizer.vq.layers, codebooks, strict=True):
                layer._codebook.embed.copy_(book)
                layer._codebook.embed_avg.copy_(book)
                layer._codebook.inited.fill_(1)
        return model


def _run(layers: nn.ModuleList, x: Tensor, segments: int) -> Tensor:
    for layer in layers:
        x = layer(x, segments) if isinstance(layer, Memory) else layer(x)
    return x


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Layers with weights, in the order of the signal; a residual block as convolutions then shortcut."""
    for child in module.children():
        if isinstance(child, CausalConv | Down | Up | nn.LSTM | nn.Conv1d | nn.ConvTranspose1d):
            yield child
        else:
            yield from _layers(child)


@torch.no_grad()
def _copy(source: nn.Module, target: nn.Module) -> None:
    if isinstance(source, nn.LSTM):
        target.load_state_dict(source.state_dict())
        return
    weight = source.package_weight()  # type: ignore[operator]
    norm = weight.flatten(1).norm(dim=1).view(-1, 1, 1)
    parameters = dict(target.named_parameters())
    parameters["weight_v"].copy_(weight)
    parameters["weight_g"].copy_(norm)
    parameters["bias"].copy_(cast(Tensor, source.inner.bias if isinstance(source, Down) else source.bias))


def _take(target: nn.Module, source: nn.Module) -> None:
    if isinstance(target, nn.LSTM):
        target.load_state_dict({k: v for k, v in source.state_dict().items() if k in target.state_dict()})
        return
    parameters = {name.rpartition(".")[2]: value for name, value in source.named_parameters()}
    weight = parameters["weight_v"]
    weight = weight * (parameters["weight_g"] / weight.flatten(1).norm(dim=1).view(-1, 1, 1))
    target.take_weight(weight)  # type: ignore[operator]
    bias = target.inner.bias if isinstance(target, Down) else target.bias
    cast(Tensor, bias).copy_(parameters["bias"])
