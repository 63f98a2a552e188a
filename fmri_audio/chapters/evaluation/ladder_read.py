"""The ladder's code read from the brains of this edition's study: from one subject, and from all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fmri_audio.base.kinds import Waveform
from fmri_audio.bottleneck.coder_files import coder_file, load
from fmri_audio.bottleneck.coders.base import CODER_LABELS
from fmri_audio.chapters import spoken
from fmri_audio.chapters.common import brains_of
from fmri_audio.chapters.ladder.players import Heard, codec_of
from fmri_audio.chapters.spoken import Spoken
from fmri_audio.edition.windows import scored_windows
from fmri_audio.experiments.ladder import Ladder
from fmri_audio.experiments.ladder_study import CONTROLS, CodeOfStudy
from fmri_audio.experiments.whole_study import WholeStudy
from fmri_audio.pages.page import Table
from fmri_audio.sound import recognition, scoring
from fmri_audio.sound.segments import Window

ARMS, WIDTH = ("mel-vocoder", "frozen"), 128
"""What is read, and numbers per TR."""

NOISE_FREE = "the code, no brain"
PLAYED = "The ladder's code read from brains, and made by the same decoder of another moment and of none"


@dataclass(frozen=True)
class Read:
    """One arm's code, read.

    Attributes
    ----------
    arm, weights : str
    per_tr : float
    sounds : dict
        What it is → sound of the whole stimulus.
    known : dict
        Who was read → mean share of a number's variance that is known.
    """

    arm: str
    weights: str
    per_tr: float
    sounds: dict[str, Waveform]
    known: dict[str, float]


def read(whole: WholeStudy, arms: Sequence[str] = ARMS) -> list[Read]:
    """Read the code of every arm that has weights from one subject, and from all."""
    checkpoint, found = codec_of(Ladder.read()), []
    subjects = whole.study.subjects
    groups = {
        f"read from subject {subjects[0]}": subjects[:1],
        f"read from {len(subjects)} subjects": subjects,
    }
    for arm in arms:
        if not coder_file(arm).is_file():
            continue
        loaded = load(arm, checkpoint)
        code = CodeOfStudy(whole, loaded, WIDTH)
        sounds, known = {NOISE_FREE: code.noise_free}, {}
        for name, group in groups.items():
            got = code.read(group)
            sounds[name], known[name] = code.heard(got), float(got.reliability.mean())
            sounds |= {f"{name}: {label}": code.heard(got, key) for key, label in CONTROLS.items()}
        found.append(Read(arm, loaded.id, code.width.per_tr, sounds, known))
    return found


@dataclass(frozen=True)
class Measured:
    """Scores and words of everything that was read.

    Attributes
    ----------
    scores : dict
        Arm and sound → ESTOI of every window.
    words : Spoken
    """

    scores: dict[tuple[str, str], np.ndarray]
    words: Spoken


def heard(found: Sequence[Read], clip: Window, sample_rate: int) -> Heard:
    """A passage as the code has it, as brains give it, and as the decoder makes it of another moment and of none."""
    sounds: dict[str, Waveform] = {}
    weights: dict[str, str] = {}
    for one in found:
        for name, sound in one.sounds.items():
            sounds[_name(one.arm, name)] = np.asarray(clip.of(sound, sample_rate), np.float32)
            weights[_name(one.arm, name)] = one.weights
    return Heard(sounds, weights)


def measure(whole: WholeStudy, found: Sequence[Read]) -> Measured:
    """Score windows of speech of the whole stimulus, and have the words read of the code and of all subjects."""
    stimulus, windows = whole.stimulus, scored_windows(whole.run)
    scores, sounds = {}, {spoken.ORIGINAL: stimulus.waveform}
    for one in found:
        for name, sound in one.sounds.items():
            frame = scoring.score_windows(stimulus.waveform, sound, stimulus.sample_rate, windows, ["estoi"])
            scores[one.arm, name] = frame["estoi"].to_numpy()
        everybody = list(one.known)[-1]  # words of single subjects take long to read and are no more
        for name in (NOISE_FREE, everybody, *(f"{everybody}: {label}" for label in CONTROLS.values())):
            sounds[_name(one.arm, name)] = one.sounds[name]
    seconds = (0.0, stimulus.n_trs * float(stimulus.tr))
    passages = recognition.passages(stimulus.segments, *seconds)
    return Measured(scores, spoken.listen_at(whole.run, sounds, stimulus.sample_rate, passages))


def table(whole: WholeStudy, found: Sequence[Read], measured: Measured) -> Table:
    """Everything that was read, with its controls."""
    rows = [
        {
            "arm": CODER_LABELS[one.arm],
            "sound": name,
            "known": one.known.get(name, np.nan),
            "ESTOI": float(np.nanmean(measured.scores[one.arm, name])),
            spoken.WORDS: measured.words.beyond(_name(one.arm, name)),
        }
        for one in found
        for name in one.sounds
    ]
    caption = (
        f"Codes of {WIDTH} numbers per TR, read by ridge regression from {brains_of(whole.held_out)}, every TR held "
        "out once. Known: share of a number's variance that the reader knows, by training. Weights: "
        + ", ".join(one.weights for one in found)
        + ". Scores at lag 0, which is known, and intervals over windows, which share a voice and are descriptive."
    )
    return Table(pd.DataFrame(rows), caption, {"known": ".3f", **spoken.FORMATS})


def values(found: Sequence[Read], measured: Measured, seed: int) -> Mapping[str, str]:
    """What was carried, by paired differences from the same decoder's controls."""
    lines = []
    for one in found:
        for name in one.known:
            apart = [_apart(measured, one.arm, name, f"{name}: {label}", seed) for label in CONTROLS.values()]
            held = all(low > 0 for _, low, _ in apart)
            said = " and ".join(f"{value:+.3f} ({low:+.3f} to {high:+.3f})" for value, low, high in apart)
            lines.append(
                f"{CODER_LABELS[one.arm]}, {name}: ESTOI {said} beside another moment and beside no brain, "
                + ("which is carried, descriptively" if held else "so nothing is shown to be carried")
                + _words(measured.words, one.arm, name)
            )
    return {"ladder_read": "; ".join(lines) or "no arm has weights here"}


def _words(words: Spoken, arm: str, name: str) -> str:
    """Words lost, where they were read, beside those of another moment."""
    own, other, nothing = (
        words.beyond(_name(arm, one)) for one in (name, *(f"{name}: {label}" for label in CONTROLS.values()))
    )
    return (
        ""
        if np.isnan(own)
        else f" (words lost {own:.2f}; of another moment {other:.2f}, of none {nothing:.2f})"
    )


def _apart(measured: Measured, arm: str, name: str, control: str, seed: int) -> tuple[float, float, float]:
    apart = measured.scores[arm, name] - measured.scores[arm, control]
    found = scoring.summarise(apart.tolist(), seed)
    return found.mean, found.low, found.high


def _name(arm: str, sound: str) -> str:
    return f"{CODER_LABELS[arm]}: {sound}"
