"""Steps of few sizes that a GPU replays as graphs: thousands of small launches would keep it waiting.

An LSTM over 20 s is 1500 steps, each of several launches that take longer than their arithmetic. A CUDA graph
holds all launches of a piece, with the memory they work on, and starts them at once. It fits one size, and nothing
may change between replays but the contents of memory: what a stream keeps has to stay where it is.

``torch.compile`` would record the same graph after minutes of compiling, and leaves the LSTM as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial

import torch
from torch import Tensor

Replay = Callable[[Tensor], Tensor]
"""Recorded work: rows of the recorded size in, its result out."""

Record = Callable[[Replay, Tensor], Replay]
"""What makes replayed work of work and an example of its input; the work is not done by that."""

Advance = Callable[[Tensor, bool], Tensor]
"""Take the next rows through a stream; the second argument says that none follow."""


def recorder_of(device: torch.device) -> Record | None:
    """Return what records work on a device, if there is a gain in it: on a GPU."""
    return Recorder(device) if device.type == "cuda" else None


class Recorder:
    """Records work on a GPU. Its graphs share their memory, so that only one may be at work at a time.

    The work must have run once before, by which the libraries choose how they do it.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.pool = device, torch.cuda.graph_pool_handle()

    def __call__(self, work: Replay, example: Tensor) -> Replay:
        """Record what ``work`` does to rows of the example's size."""
        given, graph = example.clone(), torch.cuda.CUDAGraph()
        with (
            torch.cuda.device(self.device),
            torch.cuda.graph(graph, self.pool, _recording(self.device), capture_error_mode="thread_local"),
        ):
            result = work(given)

        def replay(rows: Tensor) -> Tensor:
            given.copy_(rows)
            graph.replay()
            return result.clone()

        return replay


@cache
def _recording(device: torch.device) -> torch.cuda.Stream:
    """Return the queue in which a GPU's work is recorded: one, because the libraries keep memory for each."""
    return torch.cuda.Stream(device)


class Steps:
    """Cuts pieces of a stream into steps of few sizes, and records each size when it is met the second time.

    The first time it runs as it comes, so that a sound heard once does not pay for recording. What is shorter than
    all sizes runs as it comes every time: nothing is padded, so that the stream is the same as without steps.

    Parameters
    ----------
    sizes : rows of a step, each a whole number of frames
    record : makes replayed work of work
    """

    def __init__(self, sizes: Sequence[int], record: Record) -> None:
        self.sizes, self.record = sorted(sizes, reverse=True), record
        self.replays: dict[int, Replay | None] = {}

    def __call__(self, advance: Advance, rows: Tensor, last: bool, ahead: int) -> Tensor:
        """Take rows through a stream; the first ``ahead`` of them as they come, before any step."""
        parts = rows.split(self._lengths(len(rows), ahead)) if len(rows) else (rows,)
        out = []
        for n, part in enumerate(parts):
            if (n == 0 and ahead) or len(part) not in self.sizes:
                out.append(advance(part, last and n == len(parts) - 1))
            else:
                out.append(self._step(advance, part))
        return out[0] if len(out) == 1 else torch.cat(out)

    def _lengths(self, n_rows: int, ahead: int) -> list[int]:
        lengths = [min(ahead, n_rows)] if ahead else []
        left = n_rows - sum(lengths)
        for size in self.sizes:
            lengths += [size] * (left // size)
            left %= size
        return [*lengths, left] if left else lengths

    def _step(self, advance: Advance, rows: Tensor) -> Tensor:
        """Whole frames need no padding at the end, so that a step is the same whether or not it is the last."""
        size = len(rows)
        if size not in self.replays:
            self.replays[size] = None
            return advance(rows, False)
        replay = self.replays[size] or self.record(partial(_on, advance), rows)
        self.replays[size] = replay
        return replay(rows)


def _on(advance: Advance, rows: Tensor) -> Tensor:
    return advance(rows, False)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Have a GPU multiply with all 24 bits of a float32 as a processor does, and not with TF32's eleven.

    PyTorch's default is TF32 for convolutions and LSTMs, and none for products of matrices.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
