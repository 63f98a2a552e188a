"""SMN4Lang (Wang et al. 2022, OpenNeuro ds004078): sixty stories in Mandarin, a TR of 0.71 s, preprocessed as HCP does.

The raw scans and their events are BIDS: a scan begins 10.65 s, 15 TRs, before its story. What differs is where the
preprocessed scans lie: ``derivatives/preprocessed_data/sub-01/MNI`` holds volumes, ``…/CIFTI`` grayordinates. Either is
a space here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fmri_audio.study.bids_names import DERIVATIVES, BidsName
from fmri_audio.study.layouts.base import LAYOUTS
from fmri_audio.study.layouts.bids import Authors, Bids, is_data_set

ACCESSION = "ds004078"
#: Folders of a subject's preprocessed scans, which are what a space is here, and how the names of scans in them end.
SPACES = {"MNI": ".nii.gz", "CIFTI": ".dtseries.nii"}
BELOW = f"{DERIVATIVES}/preprocessed_data"


class Smn4LangAuthors(Authors):
    """Where the preprocessed scans are; the events tell all else."""

    tasks = ("RDR",)
    space = "MNI"

    def pipelines(self, folder: Path) -> list[Path]:
        """The folder of the data set's own preprocessed scans, or those that fMRIPrep left."""
        own = [one for one in (folder / BELOW, folder) if next(self._own(one), None) is not None]
        return own[:1] or super().pipelines(folder)

    def scans(self, pipeline: Path) -> Iterator[BidsName]:
        """The data set's own scans, or those that fMRIPrep left."""
        own = list(self._own(pipeline))
        yield from own or super().scans(pipeline)

    def unprocessed(self, root: Path, space: str) -> str:
        """Nothing of it is fetched."""
        return f"{root}: no scans below {BELOW}; fetch sub-*/MNI or sub-*/CIFTI there"

    def missing(self, stem: str, space: str, below: str) -> str:
        """A scan that is not fetched."""
        return f"{stem}_bold{SPACES.get(space, '')} is missing below {below}/…/{space}; fetch it"

    def _own(self, folder: Path) -> Iterator[BidsName]:
        """Scans of a folder, their space told by where they lie."""
        for space, ending in SPACES.items():
            for path in sorted(folder.glob(f"sub-*/{space}/*_bold{ending}")):
                name = BidsName.of(path)
                yield replace(name, parts=(*name.parts, ("space", space)))


class Smn4Lang(Bids):
    """Sixty stories that everybody heard, a run each."""

    name = "smn4lang"
    label = "SMN4Lang, ds004078"
    place = 3
    authors = Smn4LangAuthors()

    def recognises(self, folder: Path, written: object) -> bool:
        """Whether it says so, or has its folders of preprocessed scans."""
        own = (path for space in SPACES for path in (folder / BELOW).glob(f"sub-*/{space}"))
        return written is None and (is_data_set(folder, ACCESSION) or next(own, None) is not None)


LAYOUTS.register(Smn4Lang(), __name__)
