"""Packages that only some uses of this one need: extras, which a plain installation leaves out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from fmri_audio.base.errors import UserError
from fmri_audio.base.fingerprint import OURS


@contextlib.contextmanager
def from_extra(extra: str) -> Iterator[None]:
    """Around imports: what is not installed is a sentence that names the extra.

    Parameters
    ----------
    extra : str
        One of ``[project.optional-dependencies]`` in ``pyproject.toml``.

    Raises
    ------
    UserError
        A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package in OURS:
            raise
        raise UserError(
            f"{package} is not installed: run pip install '.[{extra}]' in the folder of the project"
        ) from None
