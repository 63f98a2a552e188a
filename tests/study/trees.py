"""Trees of files as public BIDS data sets have them, of which names are all that counts: scans are empty."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from . import made

SPACE = "MNI152NLin2009cAsym"
COLUMNS = "onset\tduration\ttrial_type\tstim_file"
STORY = [(7.5, 60, "story", "tale.wav")]


def plant(folder: Path, names: Iterable[str]) -> Path:
    """Make empty files."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def preprocessed(
    stem: str, pipeline: str = "derivatives/fmriprep", form: str = f"space-{SPACE}_desc-preproc"
) -> str:
    """Where a pipeline puts a scan of that name."""
    return f"{pipeline}/{func(stem)}/{stem}_{form}_bold.nii.gz"


def func(stem: str) -> str:
    """The folder of a scan within a data set."""
    words = stem.split("_")
    return "/".join([words[0], *[word for word in words if word.startswith("ses-")], "func"])


def state_tr(folder: Path, task: str, tr: float = 1.5) -> None:
    """State a TR for all scans of a task."""
    made.write_json(folder / f"task-{task}_bold.json", {"RepetitionTime": tr})


def tell(path: Path, rows: Iterable[Iterable[object]] = STORY, head: str = COLUMNS) -> Path:
    """Write a table of events."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *("\t".join(map(str, row)) for row in rows)]) + "\n")
    return path


def sound(folder: Path, name: str, seconds: float = 0.1) -> Path:
    """Write a sound into ``stimuli/``."""
    path = folder / "stimuli" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(round(seconds * 8000), 0.1), 8000)
    return path
