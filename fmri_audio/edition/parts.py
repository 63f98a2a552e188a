"""The parts that an edition names, looked up among those that are registered, before anything is computed."""

from __future__ import annotations

from pydantic import ValidationError

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import Settings
from fmri_audio.bottleneck.arms import ARMS


def check_parts(settings: Settings) -> None:
    """Raise a UserError unless every arm that an edition names is registered and its settings suit it.

    Raises
    ------
    UserError
        No such arm, a rank that it cannot have, or a setting of its own that it does not know.
    """
    ranks = [
        ("training.rank", settings.training.rank),
        *(("sweep.ranks", rank) for rank in settings.sweep.ranks),
    ]
    for name in settings.training.arms:
        if name not in ARMS:
            raise UserError(f"training.arms: there is no arm {name!r}; choose from {', '.join(ARMS)}")
        for key, rank in ranks:
            if rank % ARMS[name].rank_multiple:
                raise UserError(
                    f"{key}: {rank} should be a multiple of {ARMS[name].rank_multiple} for the {name} arm"
                )
    for name, given in settings.parts.items():
        options = ARMS[name].options if name in settings.training.arms else None
        if options is None:
            raise UserError(f"parts.{name}: no arm of training.arms has this name and settings of its own")
        try:
            options.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(["parts", name, *map(str, first["loc"])])
            raise UserError(f"{key}: {first['msg']}, not {first['input']!r}") from None
