"""Trained arms whose files are known by their hashes: what is damaged, cut short or not sealed is trained again.

:mod:`fmri_audio.trained` trains and restores; this module stands around it, because a change there would make every
trained model another one.
"""

from __future__ import annotations

import math
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fmri_audio import trained
from fmri_audio.arms import Material
from fmri_audio.stored import is_whole, matches, seal_of, write_seal
from fmri_audio.study.splits import Split
from fmri_audio.trained import TrainedArm
from fmri_audio.training import Say, tell

if TYPE_CHECKING:
    from fmri_audio.settings import TrainingSettings


def stored_arms(
    names: Sequence[str],
    material: Material,
    split: Split,
    settings: TrainingSettings,
    *,
    seed: int,
    cache: Path,
    say: Say | None = None,
) -> dict[str, TrainedArm]:
    """As :func:`fmri_audio.trained.trained_arms`, but nothing is restored that is not what was stored.

    Every arm's folder has a seal of its files beside it. An arm is looked at, trained where that is needed, restored
    and sealed under one lock, so that no other process takes for damaged what is only being written.

    Parameters
    ----------
    names, material, split, settings, seed, cache, say
        As there.

    Returns
    -------
    dict
        Name of the arm → :class:`fmri_audio.trained.TrainedArm`, in the order given.
    """
    # One arm is asked for at a time; that the others are trained too decides the grid of the windows.
    together = settings.model_copy(update={"arms": list(dict.fromkeys([*settings.arms, *names]))})
    step = math.lcm(*(trained.build(name, material).grid.step for name in together.arms))
    key = trained._key(material, split, together, step, seed)
    locks = cache / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    found: dict[str, TrainedArm] = {}
    for name in trained._one_by_one({name: locks / f"{name}-{key}" for name in names}, say or tell):
        folder = cache / f"{name}-{key}"
        _drop_damaged(folder)
        found |= trained.trained_arms([name], material, split, together, seed=seed, cache=cache, say=say)
        if not matches(seal_of(folder), _files(folder)):
            write_seal(seal_of(folder), _files(folder))
    return {name: found[name] for name in names}


def _drop_damaged(folder: Path) -> None:
    """Remove a trained arm that is not what was stored, or an unfinished training that cannot be read."""
    if (folder / "facts.json").is_file():
        if not is_whole(seal_of(folder), _files(folder)):
            shutil.rmtree(folder)
    elif (begun := folder / "working" / "last.ckpt").is_file() and not _is_sound(begun):
        print(f"{begun}: damaged; the training begins anew", file=sys.stderr, flush=True)
        shutil.rmtree(folder)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _is_sound(archive: Path) -> bool:
    """Whether what torch saved is whole: it is a zip archive with a checksum for each of its parts."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        return False
