"""Small studies, films and data sets that tests write themselves: no simulator, no template, milliseconds each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import nibabel as nib
import numpy as np
import yaml

from fmri_audio.simulation.simulator import box_affine
from fmri_audio.sound import audio

TR = Fraction(3, 2)
RATE = audio.SAMPLE_RATE
SHAPE = (16, 14, 14)
RUNS = ((61, 5), (60, 5))
"""TRs of the two runs of a made study, and how many of them are skipped."""

N_TRS = sum(n_trs for n_trs, _ in RUNS)


def bursts(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose level wanders at random over seconds, [T]."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    knots = rng.uniform(-40, 0, max(2, round(seconds / 3)))
    level = np.interp(np.arange(n), np.linspace(0, n, len(knots)), knots)
    return np.asarray(0.2 * rng.standard_normal(n) * 10 ** (level / 20), np.float32)


def write_film(path: Path, waveform: np.ndarray, rate: int = RATE, begins: int = 0) -> Path:
    """Write a film with a picture and this sound, in the container that the name asks for (.mp4, .m4v, .mkv …).

    The sound begins ``begins`` seconds after the picture.
    """
    with av.open(str(path), "w", format="mp4" if path.suffix == ".m4v" else None) as container:
        picture = container.add_stream("mpeg4", rate=1)
        picture.width = picture.height = 16
        sound = container.add_stream("aac", rate=rate, layout="mono")
        for _ in range(2):
            still = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(still))
        container.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(
            np.asarray(waveform, np.float32)[None], format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, begins * rate, Fraction(1, rate)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def write_scan(path: Path, data: np.ndarray, tr: float = float(TR), affine: np.ndarray | None = None) -> Path:
    """Write a scan [x, y, z, TRs] on the grid of a simulated box."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(
        np.asarray(data, np.float32), box_affine(data.shape[:3]) if affine is None else affine
    )
    image.header.set_zooms((3, 3, 3, tr))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path)
    return path


def noise(n_trs: int, seed: int, shape: Sequence[int] = SHAPE) -> np.ndarray:
    """Volumes of noise on a scanner's scale, [x, y, z, TRs]; volume k holds 1000 + k / 10 in its first voxel."""
    rng = np.random.default_rng(seed)
    data = 1000 + 10 * rng.standard_normal((*shape, n_trs), dtype=np.float32)
    data[0, 0, 0] = 1000 + np.arange(n_trs) / 10
    return data


def write_study(folder: Path, scans: Sequence[np.ndarray], **facts: Any) -> Path:
    """Write a study of two runs in the release's layout, one scan per subject."""
    firsts = np.cumsum([0, *(n_trs for n_trs, _ in RUNS)])
    runs = [
        {"name": str(i + 1), "first_tr": int(firsts[i]), "n_trs": n_trs, "skip_trs": skip}
        for i, (n_trs, skip) in enumerate(RUNS)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(scans):
        write_scan(folder / f"sherlock_movie_s{i + 1}.nii", data)
    content = {
        "name": "made",
        "shift_trs": 3,
        "subjects": list(range(1, len(scans) + 1)),
        "runs": runs,
        **facts,
    }
    (folder / "study.yml").write_text(yaml.safe_dump(content))
    return folder


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def scan_path(folder: Path, stem: str, space: str = "MNI152NLin2009cAsym") -> Path:
    """Where fMRIPrep puts a scan: ``sub-001_task-story_run-1`` and the like."""
    subject = stem.split("_")[0]
    name = f"{stem}_space-{space}_res-native_desc-preproc_bold.nii.gz"
    return folder / "derivatives" / "fmriprep" / subject / "func" / name


def write_events(folder: Path, stem: str, rows: Sequence[Sequence[object]]) -> Path:
    """Write the events of a scan: onset, duration, trial_type, stim_file."""
    path = folder / stem.split("_")[0] / "func" / f"{stem}_events.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in [("onset", "duration", "trial_type", "stim_file"), *rows]]
    path.write_text("\n".join(lines) + "\n")
    return path
