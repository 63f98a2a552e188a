"""Which windows are scored and which clips are played."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.edition.windows import listening_clips, scored_windows
from fmri_audio.sound.segments import Window


def run_with(**kinds: int) -> SimpleNamespace:
    """An edition with so many windows of each kind."""
    found = {
        kind: [Window(f"{kind}-{i}", 10.0 * i, 10.0 * i + 10, kind) for i in range(n)]
        for kind, n in kinds.items()
    }
    return SimpleNamespace(
        windows=lambda kind="speech", within=None, count=None: found.get(kind, [])[:count],
        stimulus=SimpleNamespace(name="x.wav"),
        settings=SimpleNamespace(windows=SimpleNamespace(seconds=10.0, clip_seconds=5.0)),
    )


def test_speech_is_scored_where_there_is_any_and_music_otherwise() -> None:
    assert {window.kind for window in scored_windows(run_with(speech=2, music=3))} == {"speech"}
    assert {window.kind for window in scored_windows(run_with(music=3))} == {"music"}
    with pytest.raises(UserError, match=r"x\.wav: no stretch"):
        scored_windows(run_with())


def test_clips_are_the_middles_of_windows() -> None:
    clips = listening_clips(run_with(speech=3, music=1))
    assert [clip.kind for clip in clips] == ["speech", "speech", "music"]
    assert (clips[1].onset, clips[1].offset) == (12.5, 17.5)
    assert [clip.kind for clip in listening_clips(run_with(ambience=1))] == ["ambience"]
