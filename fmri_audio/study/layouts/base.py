"""What a layout says of itself, and the registry of layouts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from fmri_audio.base.registry import Registry
from fmri_audio.base.settings import BIDS_SPACE
from fmri_audio.study.facts import Found


@dataclass(frozen=True)
class Asked:
    """Which scans of a data set are meant, where it has several kinds.

    Attributes
    ----------
    task, story : str, optional
    space : str
        Standard space of the scans.
    """

    task: str | None = None
    story: str | None = None
    space: str = BIDS_SPACE


class Layout(ABC):
    """A way in which data sets lie on disk.

    Attributes
    ----------
    name : as ``layout`` in a ``study.yml`` names it
    label : as a reader knows it
    place : the first that recognises a folder reads it
    """

    name: str
    label: str
    place: int

    @abstractmethod
    def recognises(self, folder: Path, written: object) -> bool:
        """Whether a folder is laid out so; ``written`` is what its ``study.yml`` holds, None without one."""

    @abstractmethod
    def find(self, folder: Path, written: object, asked: Asked) -> Found:
        """Find out what a folder holds, before any scan is opened.

        Raises
        ------
        UserError
            It is not clear which scans are meant, or what is written there is wrong.
        """


LAYOUTS: Registry[Layout] = Registry("fmri_audio.study.layouts")
"""All layouts by their names, in the order in which a folder is shown to them."""
