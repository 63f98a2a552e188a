"""What counts as a word heard rightly."""

from __future__ import annotations

from types import ModuleType

import pytest


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "zero"),
        (19, "nineteen"),
        (40, "forty"),
        (131, "one hundred and thirty one"),
        (600, "six hundred"),
        (3100, "three thousand one hundred"),
        (1005, "one thousand and five"),
    ],
)
def test_numbers_as_they_are_said(render: ModuleType, number: int, said: str) -> None:
    from check import number_in_words

    assert number_in_words(number) == said


def test_digits_hyphens_and_american_spellings_are_no_errors(render: ModuleType) -> None:
    from check import edit_distance, words_of

    said = words_of("One twenty two. Three thousand one hundred metres, Mister Hale, at six o'clock.")
    heard = words_of("1:22. 3,100 meters, Mr. Hale, at six o\u2019clock.")
    assert edit_distance(said, heard) == 0
    assert edit_distance(said, words_of("1:22. 3,100 meters, Mr. Hail, six o'clock")) == 2
