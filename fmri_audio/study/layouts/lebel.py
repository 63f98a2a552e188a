"""Stories told on stage (LeBel et al. 2023, OpenNeuro ds003020): a matrix [TRs, cortical voxels] per subject and story.

What is used of it lies below ``derivative/``: the matrices in HDF5, the words as TextGrids, and ``respdict.json``,
which says how many volumes were scanned for every story. Of these the authors cut 20. Their scan began 10 s before the
sound and a matrix begins 10 s after it, as the code says that they publish with the data. The response is not shifted.

Every subject's voxels are its own. So one study is one subject, named by ``study.space``; several are read together
only where they have as many voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import BIDS_SPACE
from fmri_audio.brain.matrices import HDF5_ENDINGS
from fmri_audio.study.bids_names import STIMULI, is_there, natural, read_json, seen_from
from fmri_audio.study.facts import STUDY_FILE, Found, Run, Scan, StudyFile, Subject, listed, validated
from fmri_audio.study.layouts.base import LAYOUTS, Asked, Layout
from fmri_audio.study.layouts.bids import BidsFile, is_data_set

ACCESSION = "ds003020"
NAME = "LeBel et al. 2023"
TR = Fraction(2)
#: Volumes of a scan that its matrix does not hold, at both ends together.
CUT_TRS = 20
#: Seconds of the sound before a matrix's first volume.
LEAD = Fraction(10)


class LeBel(Layout):
    """One matrix per subject and story."""

    name = "lebel"
    label = "the stories of LeBel et al., ds003020"
    place = 5

    def recognises(self, folder: Path, written: object) -> bool:
        """Whether it has such matrices, or says so."""
        return written is None and (
            (folder / "derivative" / "preprocessed_data").is_dir() or is_data_set(folder, ACCESSION)
        )

    def find(self, folder: Path, written: object, asked: Asked) -> Found:
        """Find the stories of the subject that is named, or those that all have."""
        own = (
            BidsFile(layout=self.name)
            if written is None
            else validated(BidsFile, written, folder / STUDY_FILE)
        )
        if asked.task or own.task:
            raise UserError(
                f"study.task: {folder} has no tasks, every story is one; choose one with study.story"
            )
        space = asked.space if asked.space != BIDS_SPACE else own.space
        matrices = _chosen(folder, _matrices(folder), space)
        counts = _volumes(folder)
        told = asked.story or own.story
        shared = set.intersection(*(set(stories) for stories in matrices.values()))
        names = _stories(folder, matrices, shared, told)
        problems = [
            f"derivative/respdict.json does not say how many volumes {name} has; fetch it anew or leave the story out"
            for name in names
            if counts.get(name, 0) <= CUT_TRS
        ]
        names = [name for name in names if counts.get(name, 0) > CUT_TRS]
        if not names:
            raise UserError(f"{folder}: {problems[0]}")
        runs, silent = _runs(folder, names, counts)
        notes = ["matrices hold cortical voxels of each subject's own, without a place in MNI"]
        apart = {story for stories in matrices.values() for story in stories} - shared
        if apart and told is None:
            notes.append(f"{len(apart)} stories that not all of these subjects heard are left out")
        facts = StudyFile(name=NAME, tr=TR, shift_trs=own.shift_trs, subjects=list(matrices), runs=runs)
        scans = {
            subject: tuple(Scan(stories[run.name], 0, run.n_trs, whole=True) for run in runs)
            for subject, stories in matrices.items()
        }
        return Found(facts, scans, notes, problems + silent, "a sound", silent)


def _matrices(folder: Path) -> dict[Subject, dict[str, Path]]:
    """Every subject's matrices by story, fetched or not."""
    below = folder / "derivative" / "preprocessed_data"
    found: dict[Subject, dict[str, Path]] = {}
    for place in sorted(below.glob("*/"), key=lambda place: natural(place.name)):
        files = [path for path in sorted(place.iterdir()) if path.suffix in HDF5_ENDINGS and is_there(path)]
        if files:
            found[place.name] = {path.stem: path for path in files}
    if not found:
        raise UserError(
            f"{folder}: no matrices below derivative/preprocessed_data; fetch UTS01 and others there"
        )
    return found


def _chosen(
    folder: Path, matrices: dict[Subject, dict[str, Path]], space: str
) -> dict[Subject, dict[str, Path]]:
    """The one subject whose voxels are the study's space, or all."""
    if space == BIDS_SPACE:
        return matrices
    subject = space.removeprefix("sub-")
    if subject not in matrices:
        raise UserError(
            f"study.space: it is {space}, and {folder} has matrices in the voxels of {listed(list(matrices))}; "
            "choose one"
        )
    return {subject: matrices[subject]}


def _stories(
    folder: Path, matrices: dict[Subject, dict[str, Path]], shared: set[str], told: str | None
) -> Sequence[str]:
    """The story asked for, or all that every subject has, in the order of their names."""
    if told is not None and told not in shared:
        without = [str(subject) for subject, stories in matrices.items() if told not in stories]
        raise UserError(
            f"study.story: {listed(without)} did not hear {told}; choose another, or a subject who did"
        )
    if not shared:
        raise UserError(
            f"{folder}: no story was heard by {listed(list(matrices))} alike; name one with study.space"
        )
    return [told] if told else sorted(shared, key=natural)


def _volumes(folder: Path) -> dict[str, int]:
    """How many volumes were scanned for every story."""
    path = folder / "derivative" / "respdict.json"
    if not path.is_file():
        raise UserError(f"{path} is missing; fetch it: it says how many volumes a story has")
    return {
        name: count
        for name, count in read_json(path).items()
        if isinstance(count, int) and not isinstance(count, bool) and count < 100_000
    }


def _runs(folder: Path, names: Sequence[str], counts: dict[str, int]) -> tuple[list[Run], list[str]]:
    """A run per story, and the sounds that are missing."""
    runs: list[Run] = []
    silent = []
    for name in names:
        sound = folder / STIMULI / f"{name}.wav"
        words = folder / "derivative" / "TextGrids" / f"{name}.TextGrid"
        there = is_there(sound)
        if not there:
            silent.append(f"{STIMULI}/{name}.wav is missing; fetch it: it is the sound of {name}")
        runs.append(
            Run(
                name=name,
                first_tr=runs[-1].last_tr if runs else 0,
                n_trs=counts[name] - CUT_TRS,
                stimulus=seen_from(folder, sound) if there else None,
                stimulus_lead=LEAD if there else None,
                segments=seen_from(folder, words) if there and words.is_file() else None,
            )
        )
    return runs, silent


LAYOUTS.register(LeBel(), __name__)
