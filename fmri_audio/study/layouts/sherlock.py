"""The Sherlock release's layout (Chen et al. 2017): one file per subject, its runs joined along time.

Files are called ``sherlock_movie_s<N>.nii`` or ``.nii.gz``. A ``study.yml`` beside them states subjects, runs, TRs and
shift; without one the release's own values are expected.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fmri_audio.base.errors import UserError
from fmri_audio.study.facts import (
    STUDY_FILE,
    Filler,
    Found,
    Run,
    Scan,
    StudyFile,
    Subject,
    check_runs,
    validated,
)
from fmri_audio.study.layouts.base import LAYOUTS, Asked, Layout

PATTERN = "sherlock_movie_s{subject}.nii"
#: The release on a 3 mm grid: voxels along x, y, z, and voxel indices to MNI millimetres.
RELEASE_SHAPE = (61, 73, 61)
RELEASE_AFFINE = np.array([[-3.0, 0, 0, 90], [0, 3, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]])
#: TRs of the cartoon (39 s) that opens both parts of the film: the same sound twice, so that kept in, it would
#: carry a training run's sound into a held-out one.
CARTOON_TRS = 26
#: The release as its README describes it: 17 subjects, two runs of 946 and 1030 TRs, s5's last 50 TRs filler.
RELEASE = StudyFile(
    name="Sherlock (Chen et al. 2017)",
    shift_trs=3,
    subjects=list(range(1, 18)),
    runs=[
        Run(name="1", first_tr=0, n_trs=946, skip_trs=CARTOON_TRS),
        Run(name="2", first_tr=946, n_trs=1030, skip_trs=CARTOON_TRS),
    ],
    fillers=[Filler(subject=5, first_tr=1926, n_trs=50)],
)


class Sherlock(Layout):
    """One file per subject, and a ``study.yml`` or the release's own values."""

    name = "sherlock"
    label = "the Sherlock release"
    place = 90  # after those that are recognised by a name of their own

    def recognises(self, folder: Path, written: object) -> bool:
        """Whether there is a ``study.yml``, or one of the release's files."""
        return written is not None or any(subject_file(folder, subject) for subject in RELEASE.subjects)

    def find(self, folder: Path, written: object, asked: Asked) -> Found:
        """Look for the file of every subject that is stated."""
        if asked.task is not None:
            raise UserError(
                f"study.task: {folder} is not a BIDS data set, leave task out or give another folder"
            )
        path = folder / STUDY_FILE
        facts = RELEASE if written is None else validated(StudyFile, written, path)
        check_runs(facts, path)
        files = {subject: subject_file(folder, subject) for subject in facts.subjects}
        return Found(
            facts,
            {subject: (Scan(file, 0, facts.n_trs, whole=True),) for subject, file in files.items() if file},
            problems=[
                f"{PATTERN.format(subject=subject)}[.gz] is missing; add it or correct {STUDY_FILE}"
                for subject, file in files.items()
                if file is None
            ],
        )


def subject_file(folder: Path, subject: Subject) -> Path | None:
    """The subject's file, compressed or not, or None."""
    plain = folder / PATTERN.format(subject=subject)
    places = (plain, plain.with_name(plain.name + ".gz"))
    # A link that leads nowhere is a scan that was not fetched, and is named as that when it is opened.
    return next((path for path in places if path.is_file() or path.is_symlink()), None)


LAYOUTS.register(Sherlock(), __name__)
