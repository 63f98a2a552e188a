"""The sound of a run in which many clips were played one after the other, put together from the clips' own files.

Every clip is cut from its file, faded in and out, and brought to one RMS level, as experimenters do so that none is
louder than another; the originals of a data set may lie at any level.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from fmri_audio.base import timeline
from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Waveform
from fmri_audio.sound import audio
from fmri_audio.study.facts import Clip, Run

#: RMS of every clip; a faded clip of music peaks below full scale at it.
CLIP_RMS = 0.05
#: So much of a clip may be missing at the end of its file: files of a data set are seldom cut to the sample.
SHORTFALL = Fraction(1, 10)


def sound_of_clips(folder: Path, run: Run, tr: Fraction) -> tuple[Waveform, list[str]]:
    """The sound of a run, from its first TR to its last, silent where no clip was played.

    Parameters
    ----------
    folder : path
        Of the study; the clips' paths count from there.
    run : Run
        With clips.
    tr : Fraction
        Seconds.

    Returns
    -------
    waveform : array of float32, shape [T]
        Mono, as long as the run's TRs.
    steps : list of str

    Raises
    ------
    UserError
        A clip's sound cannot be read, is silent, or ends before the clip does.
    """
    rate = audio.SAMPLE_RATE
    whole = np.zeros(timeline.trs_to_samples(run.n_trs, rate, tr), np.float32)
    read: dict[str, Waveform] = {}
    for clip in run.clips:
        if clip.sound not in read:
            read[clip.sound] = audio.read_mono(folder / clip.sound).waveform
        piece = _piece(read[clip.sound], clip, folder / clip.sound)
        first = timeline.seconds_to_samples(clip.onset, rate)
        begin, end = max(first, 0), min(first + len(piece), len(whole))
        if begin < end:
            whole[begin:end] += piece[begin - first : end - first]
    n_sounds = f"{len(run.clips)} clips of {len(read)} sounds"
    return whole, [f"put together {n_sounds}, each at one RMS level{_faded(run.clips)}"]


def _piece(sound: Waveform, clip: Clip, path: Path) -> Waveform:
    """A clip of a sound, faded, at the RMS of all clips."""
    rate = audio.SAMPLE_RATE
    first, last = (timeline.seconds_to_samples(at, rate) for at in (clip.start, clip.start + clip.length))
    if len(sound) < last - SHORTFALL * rate:
        raise UserError(
            f"{path} lasts {len(sound) / rate:.2f} s, and was heard until {float(clip.start + clip.length):.2f} s of "
            "it; fetch it again, whole"
        )
    piece = np.array(sound[first:last], np.float32)
    audio.refuse_silence(piece, path)
    n_fade = min(timeline.seconds_to_samples(clip.fade, rate), len(piece) // 2)
    if n_fade:
        ramp = np.linspace(0, 1, n_fade, endpoint=False, dtype=np.float32)
        piece[:n_fade] *= ramp
        piece[-n_fade:] *= ramp[::-1]
    return np.asarray(
        piece * np.float32(CLIP_RMS / np.sqrt(np.mean(np.square(piece, dtype=np.float64)))), np.float32
    )


def _faded(clips: Sequence[Clip]) -> str:
    longest = max(clip.fade for clip in clips)
    return f", faded in and out over {float(longest):g} s" if longest else ""
