"""Words put together."""

from __future__ import annotations

import pytest

from fmri_audio.base import words


@pytest.mark.parametrize(
    ("given", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_joined(given: list[str], expected: str) -> None:
    assert words.joined(given) == expected
