"""A training step as one graph of a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Recorded:
    """A step that a GPU replays as one graph: thousands of small launches would keep it waiting for the processor.

    The first three calls run as they are, which settles what the libraries choose at first sight; the fourth is
    recorded. What differs between steps has to be a tensor: the sound, the learning rates, everything that is kept.
    """

    def __init__(self, work: Callable[[Tensor], dict[str, Tensor]], wave: Tensor) -> None:
        self.work, self.wave, self.calls = work, wave.to("cuda"), 0
        self.graph, self.stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        self.values: dict[str, Tensor] = {}

    def __call__(self, wave: Tensor) -> dict[str, Tensor]:
        """Take the step on waveforms ``[B, T]``."""
        self.wave.copy_(wave, non_blocking=True)
        self.calls += 1
        if self.calls <= 3:
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                values = self.work(self.wave)
            torch.cuda.current_stream().wait_stream(self.stream)
            return values
        if not self.values:
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):  # others prepare segments
                self.values = self.work(self.wave)
        self.graph.replay()
        return {name: value.clone() for name, value in self.values.items()}
