"""A sound of a few TRs, and what giblet-responses made of such sounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.compat import AudioProcessor
from fmri_audio.sound import audio

N_TRS, TR = 5, 1.5


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory, speech: Callable[..., np.ndarray]) -> Path:
    """Five TRs of 1.5 s and a little more, mono at the codec's rate."""
    path = tmp_path_factory.mktemp("recording") / "talk.wav"
    soundfile.write(path, speech(N_TRS * TR + 0.7), audio.SAMPLE_RATE)
    return path


@pytest.fixture(scope="session")
def processor(tiny_checkpoint: Checkpoint) -> AudioProcessor:
    return AudioProcessor(encodec_bandwidth=3.0, tr=TR, checkpoint=tiny_checkpoint)


def stream_of_codes(n_trs: int, n_codebooks: int, seed: int = 0) -> NDArray[np.int64]:
    """Codes of a whole sound, [K, L], none of them 0, as long as so many TRs of 1.5 s."""
    n_frames = -(-225 * n_trs // 2)
    return np.random.default_rng(seed).integers(1, 1024, (n_codebooks, n_frames))


def as_they_cut(codes: NDArray[np.int64], n_trs: int, n_codebooks: int) -> NDArray[np.int64]:
    """Rows of giblet-responses: 112 frames from the one on which a TR begins, codebooks that are missing as zeros."""
    rows = np.zeros((n_trs, n_codebooks, 112), np.int64)
    for tr in range(n_trs):
        start = int(tr * 1.5 * 75)
        rows[tr, : len(codes)] = codes[:, start : start + 112]
    return rows.reshape(n_trs, -1)


def write_cache(path: Path, rows: NDArray[np.int64], frames: int, **changed: object) -> Path:
    """Write what giblet-responses keeps of rows, with other arrays where they are given; None leaves one out."""
    indices = np.arange(len(rows))
    times = {"start_times": indices * TR, "end_times": (indices + 1) * TR}
    held = {
        "features": rows,
        "tr_indices": indices,
        **times,
        "n_frames": np.full(len(rows), frames),
        **changed,
    }
    np.savez_compressed(path, **{key: np.asarray(value) for key, value in held.items() if value is not None})
    return path
