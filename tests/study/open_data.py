"""Small data sets in the layouts of open ones, with their own names: what a test says of each is its files' clock.

Volumes are written by a function of the scan's name and of how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import soundfile

from . import made, trees

SMALL = (4, 4, 4)
Volumes = Callable[[str, int], np.ndarray]
"""From the name of a scan and how many volumes it has to its volumes, [TRs, voxels]."""


def counted(name: str, n_trs: int, n_voxels: int = 64) -> np.ndarray:
    """Noise on a scanner's scale, the first voxel 1000 + k / 10 in volume k."""
    rng = np.random.default_rng(sum(name.encode()))
    data = 1000 + 10 * rng.standard_normal((n_trs, n_voxels))
    data[:, 0] = 1000 + np.arange(n_trs) / 10
    return np.asarray(data, np.float32)


def volumes(rows: np.ndarray) -> np.ndarray:
    """Rows [TRs, 64] as volumes [4, 4, 4, TRs], the first of a row first."""
    return rows.T.reshape(*SMALL, -1)


def crops(film: int, parts: Sequence[int] = (946, 1030), subjects: int = 16) -> str:
    """A README as that of ds001132: tables of TRs to crop, sub-04's by 6 and the others' by ``film``."""
    words = []
    for number, n_trs in enumerate(parts, start=1):
        rows = [f"     {s}    \t{6 if s == 4 else film}\t\t{7 - number}" for s in range(1, subjects + 1)]
        head = ["Movie data: Scan", str(number)]
        tail = f"This cropping results in data files that are {n_trs} TRs for each subject."
        words += [" ".join(head), "Subj\t\tCrop from beginning\t\tCrop from end", *rows, tail, ""]
    return "\n".join(["A film in two parts.", "", *words, "Recall data: One scan", "     1     \t5     \t0"])


def sherlock_raw(
    folder: Path, subjects: Sequence[int] = (3, 4), parts: Sequence[int] = (60, 64), of: Volumes = counted
) -> Path:
    """Preprocessed scans of both parts; sub-04 scanned 6 TRs before the film, the others 20."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README").write_text(crops(20, parts))
    made.write_json(
        folder / "dataset_description.json",
        {"Name": "Sherlock", "DatasetDOI": "10.18112/openneuro.ds001132.v1.0.0"},
    )
    for number, n_trs in enumerate(parts, start=1):
        task = f"sherlockPart{number}"
        trees.state_tr(folder, task)
        trees.sound(folder, f"{task}.wav", n_trs * 1.5)
        for subject in subjects:
            stem = f"sub-{subject:02d}_task-{task}"
            trees.plant(folder, [f"sub-{subject:02d}/func/{stem}_bold.nii.gz"])
            trees.tell(
                folder / trees.func(stem) / f"{stem}_events.tsv", [(0, n_trs * 1.5)], "onset\tduration"
            )
            scan = volumes(of(stem, (6 if subject == 4 else 20) + n_trs + 5))
            made.write_scan(folder / trees.preprocessed(stem), scan)
    return folder


def sections(seconds: Sequence[float], language: str) -> str:
    """A README as that of ds003643: seconds of nine sections, and a language's volumes below."""
    cells = " | ".join(f"{one:g}" for one in seconds)
    counts = " | ".join(str(int(one / 2) + 5) for one in seconds)
    return "\n".join(
        [
            "|        | audio (s)    | " + cells + " |",
            f"| **{language}** | scan_raw     | {counts} |",
            f"|        | scan_preproc | {counts} |",
        ]
    )


def little_prince(
    folder: Path,
    language: str = "EN",
    runs: Sequence[Sequence[int]] = ((7, 8, 9, 10, 11, 12, 13, 14, 17), tuple(range(6, 15))),
    seconds: Sequence[float] = (30.5, 26, 41.3, 30, 30, 30, 30, 30, 90.1),
    of: Volumes = counted,
    space: str = "MNIColin27",
    before: int = 0,
) -> Path:
    """Nine runs of every subject, numbered as the scanner did; scans begin ``before`` TRs before the sound."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README").write_text("### Notes\n" + sections(seconds, language))
    description = {"Name": "Le Petit Prince", "DatasetDOI": "doi:10.18112/openneuro.ds003643.v2.0.7"}
    made.write_json(folder / "dataset_description.json", description)
    mark = "-" if language == "EN" else "_"
    for number, length in enumerate(seconds, start=1):
        trees.sound(folder, f"task-lpp{language}_section{mark}{number}.wav", length)
    for subject, numbers in zip((57, 59), runs, strict=False):
        for run, length in zip(numbers, seconds, strict=False):
            stem = f"sub-{language}{subject:03d}_task-lpp{language}_run-{run:02d}"
            raw = folder / trees.func(stem) / f"{stem}_echo-1_bold.json"
            made.write_json(raw, {"RepetitionTime": 2, "EchoTime": 0.0128})
            path = (
                folder / "derivatives" / trees.func(stem) / f"{stem}_space-{space}_desc-preproc_bold.nii.gz"
            )
            made.write_scan(path, volumes(of(stem, before + int(length / 2) + 5)), tr=2.0)
    return folder


def write_cifti(path: Path, rows: np.ndarray, tr: float, unit: str = "SECOND") -> Path:
    """A dense time series [TRs, grayordinates]: vertices of the left cortex."""
    vertices = np.ones(rows.shape[1], bool)
    axes = (
        nib.cifti2.SeriesAxis(0, tr, len(rows), unit),
        nib.cifti2.BrainModelAxis.from_mask(vertices, "CortexLeft"),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Cifti2Image(np.asarray(rows, np.float32), axes).to_filename(path)
    return path


def smn4lang(
    folder: Path,
    seconds: Sequence[float] = (40.416, 80),
    subjects: Sequence[int] = (1, 2),
    of: Volumes = counted,
    spaces: Sequence[str] = ("MNI", "CIFTI"),
) -> Path:
    """Stories that begin 10.65 s after their scan, a TR of 0.71 s; volumes and grayordinates hold the same."""
    made.write_json(
        folder / "dataset_description.json",
        {"Name": "SMN4Lang", "DatasetDOI": "doi:10.18112/openneuro.ds004078.v1.0.4"},
    )
    for run, length in enumerate(seconds, start=1):
        trees.sound(folder, f"audio/story_{run}.wav", length)
        for subject in subjects:
            stem = f"sub-{subject:02d}_task-RDR_run-{run}"
            rows = [
                ("10.650000", f"{length:.6f}", f"audio/story_{run}.wav"),
                (12.65 + length, "2.000000", "images/hurryup.png"),
            ]
            trees.tell(folder / trees.func(stem) / f"{stem}_events.tsv", rows, "onset\tduration\tstim_file")
            made.write_json(folder / trees.func(stem) / f"{stem}_bold.json", {"RepetitionTime": 0.71})
            trees.plant(folder, [f"{trees.func(stem)}/{stem}_bold.nii.gz"])
            scanned = of(stem, round((length + 18) / 0.71))
            place = folder / "derivatives/preprocessed_data" / f"sub-{subject:02d}"
            if "MNI" in spaces:
                made.write_scan(place / "MNI" / f"{stem}_bold.nii.gz", volumes(scanned), tr=0.71)
            if "CIFTI" in spaces:
                write_cifti(place / "CIFTI" / f"{stem}_bold.dtseries.nii", scanned, 0.71)
    return folder


GENRES = ("disco", "blues", "hiphop", "pop", "jazz", "classical", "country", "metal", "reggae", "rock")


def clips(run: int, n: int) -> list[tuple[object, ...]]:
    """Events of a training run: the first clip is the last one of the run before."""
    numbers = [run * n - 1, *range(run * n, (run + 1) * n)]
    return [
        (15 * k, 15, f"'{GENRES[i % 10]}'", i // 10, 4.25 + 0.01 * i, 19.25 + 0.01 * i)
        for k, i in enumerate(max(0, i) for i in numbers)
    ]


def music_genres(
    folder: Path,
    runs: Sequence[int] = (1, 2),
    n: int = 4,
    subjects: Sequence[int] = (1, 2),
    of: Volumes = counted,
    sound: Callable[[str], np.ndarray] | None = None,
    tracks: bool = True,
) -> Path:
    """Training runs of ``n`` clips and the repeated one before them, and GTZAN's tracks, which the user brought."""
    made.write_json(
        folder / "dataset_description.json",
        {"Name": "Music Genre fMRI Dataset", "DatasetDOI": "10.18112/openneuro.ds003720.v1.0.0"},
    )
    names = set()
    for run in runs:
        rows = clips(run, n)
        names |= {f"{str(genre)[1:-1]}.{track:05d}" for _, _, genre, track, *_ in rows}
        for subject in subjects:
            stem = f"sub-{subject:03d}_task-Training_run-{run:02d}"
            trees.tell(
                folder / trees.func(stem) / f"{stem}_events.tsv",
                rows,
                "onset\tduration\tgenre\ttrack\tstart\tend",
            )
            made.write_json(folder / trees.func(stem) / f"{stem}_bold.json", {"RepetitionTime": 1.5})
            trees.plant(folder, [f"{trees.func(stem)}/{stem}_bold.nii"])
            made.write_scan(folder / trees.preprocessed(stem), volumes(of(stem, 10 * (n + 1))))
    for name in sorted(names) if tracks else ():
        path = folder / "stimuli/genres" / name.partition(".")[0] / f"{name}.au"
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = made.bursts(30, sum(name.encode())) if sound is None else sound(name)
        soundfile.write(path, wave, made.RATE, subtype="FLOAT")
    return folder


def write_hdf5(path: Path, rows: np.ndarray, repeats: int = 0) -> Path:
    """A story's matrix, double precision, and the single repetitions of the one heard often."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["data"] = np.asarray(rows, np.float64)
        if repeats:
            file["individual_repeats"] = np.stack([rows] * repeats)
    return path


def lebel(
    folder: Path,
    stories: dict[str, int] | None = None,
    subjects: Sequence[str] = ("UTS01", "UTS02"),
    n_voxels: Sequence[int] = (64, 64),
    of: Volumes = counted,
) -> Path:
    """A matrix per subject and story; ``stories`` has the volumes scanned, of which the matrices hold 20 fewer."""
    counts = {"adollshouse": 66, "wheretheressmoke": 70} if stories is None else stories
    made.write_json(folder / "derivative/respdict.json", {"life": 450, **counts})
    made.write_json(
        folder / "dataset_description.json", {"DatasetDOI": "doi:10.18112/openneuro.ds003020.v3.1.0"}
    )
    for story, count in counts.items():
        trees.sound(folder, f"{story}.wav", 2 * count - 20)
        for subject, n in zip(subjects, n_voxels, strict=True):
            rows = np.asarray(of(f"{subject}_{story}", count - 20))[:, :n]
            repeats = 2 if story == "wheretheressmoke" else 0
            write_hdf5(folder / "derivative/preprocessed_data" / subject / f"{story}.hf5", rows, repeats)
    return folder


def textgrid(path: Path, words: Sequence[tuple[float, float, str]], end: float) -> Path:
    """A TextGrid with a tier of words."""
    intervals = "".join(
        f'        intervals [{k}]:\n            xmin = {a}\n            xmax = {b}\n            text = "{word}"\n'
        for k, (a, b, word) in enumerate(words, start=1)
    )
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {end}\ntiers? <exists>\n'
    tier = f'        class = "IntervalTier"\n        name = "word"\n        xmin = 0\n        xmax = {end}\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"{head}size = 1\nitem []:\n    item [1]:\n{tier}        intervals: size = {len(words)}\n{intervals}"
    )
    return path


def first_voxel(bold: np.ndarray) -> list[int]:
    """Which volumes of their files rows of BOLD are, of scans as :func:`counted` writes them."""
    return np.round((bold[:, 0] - 1000) * 10).astype(int).tolist()


def one_voxel(shape: tuple[int, ...] = SMALL) -> np.ndarray:
    """A mask of the first voxel alone."""
    mask = np.zeros(shape, bool)
    mask[(0,) * len(shape)] = True
    return mask
