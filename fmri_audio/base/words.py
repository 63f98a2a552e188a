"""What sentences of pages and messages are put together with."""

from __future__ import annotations

from collections.abc import Sequence

REMEASURED = (
    "What passes a bottleneck of this size, with brains and without, is being measured anew: the verdicts that stood "
    "here are withdrawn."
)
"""What every page says that once gave such a verdict: it measured the training, not the bottleneck."""


def joined(words: Sequence[str]) -> str:
    """Return words as an enumeration: ``a, b and c``."""
    return ", ".join(words) if len(words) < 2 else f"{', '.join(words[:-1])} and {words[-1]}"
