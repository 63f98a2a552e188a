"""An edition about a minute and a half of speech, its arms trained once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from fmri_audio.bottleneck.arms import ARMS
from fmri_audio.edition.edition import Edition
from fmri_audio.experiments.held_out import HeldOut

N_TRS = 64
RATE = 24_000


def edition(folder: Path, wave: np.ndarray, codec: Path, kinds: list[tuple[float, float, str]]) -> Edition:
    """An edition about a sound, with two small simulated brains."""
    sound = folder / "sound.wav"
    soundfile.write(sound, wave, RATE)
    table = pd.DataFrame(kinds, columns=["onset", "offset", "kind"])
    table.to_csv(sound.with_suffix(".tsv"), sep="\t", index=False)
    settings = {
        "edition": "mine",
        "codec": str(codec),
        "stimulus": {"source": str(sound)},
        "windows": {"seconds": 8, "n_windows": 3, "clip_seconds": 2},
        "study": {"n_subjects": 2, "shape": [20, 16, 16]},
        "training": {"rank": 8, "steps": 4, "epochs": 2, "gap_trs": 12, "seeds": 2, "arms": list(ARMS)},
    }
    path = folder / "mine.yml"
    path.write_text(yaml.safe_dump(settings))
    return Edition.open(path, build=folder / "build")


@pytest.fixture(scope="session")
def held_out(
    tmp_path_factory: pytest.TempPathFactory, speech: Callable[..., np.ndarray], tiny_checkpoint_file: Path
) -> HeldOut:
    """Its held-out block."""
    wave = speech(N_TRS * 1.5)
    return HeldOut(
        edition(tmp_path_factory.mktemp("held-out"), wave, tiny_checkpoint_file, [(0, 96, "speech")])
    )
