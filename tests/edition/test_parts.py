"""Arms that an edition names are looked up before anything is computed."""

from __future__ import annotations

from typing import Any

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import load_settings
from fmri_audio.edition.parts import check_parts


@pytest.mark.parametrize("edition", ["smoke", "demo", "full"])
def test_the_projects_own_editions_name_what_there_is(edition: str) -> None:
    check_parts(load_settings(edition))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"training.arms": ["frozen", "finetuned", "mel", "codes", "w2v"]},
            "there is no arm 'w2v'; choose from mel",
        ),
        ({"training.rank": 3}, "training.rank: 3 should be a multiple of 2 for the complex-stft arm"),
        ({"sweep.ranks": [16, 63]}, "sweep.ranks: 63 should be a multiple of 2 for the complex-stft arm"),
        (
            {"parts": {"mel": {"bands": 3}}},
            "parts.mel: no arm of training.arms has this name and settings of its own",
        ),
        ({"parts": {"nothere": {}}}, "parts.nothere: no arm"),
    ],
)
def test_what_is_not_there_or_does_not_suit_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        check_parts(load_settings("smoke", changes))
    assert said in str(caught.value)
