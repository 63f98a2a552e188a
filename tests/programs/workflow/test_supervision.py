"""Locks, turns and the log of a supervised command."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fmri_audio.base.errors import UserError
from programs.workflow import supervision


def test_turns_are_as_many_as_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(supervision.JOBS, "2")
    monkeypatch.setenv(supervision.SUPERVISOR, supervision.token())
    third_began = threading.Event()

    def third() -> None:
        with supervision.turn(tmp_path):
            third_began.set()

    with supervision.turn(tmp_path):
        with supervision.turn(tmp_path):
            thread = threading.Thread(target=third, daemon=True)
            thread.start()
            assert not third_began.wait(0.6)
        assert third_began.wait(5)
    thread.join(5)


def test_nobody_begins_after_a_failed_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(supervision.JOBS, "2")
    monkeypatch.setenv(supervision.SUPERVISOR, supervision.token())
    with supervision.turn(tmp_path):
        pass
    with pytest.raises(UserError), supervision.turn(tmp_path):
        raise UserError("failed")
    with pytest.raises(SystemExit, match="another step has failed"), supervision.turn(tmp_path):
        pass


def test_second_owner_of_a_folder_is_refused(tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match=rf"is being made by another process \({os.getpid()}\)")
    with (
        supervision.exclusive(tmp_path / ".lock"),
        refused,
        supervision.exclusive(tmp_path / ".lock", patience=0.1),
    ):
        pass
    with supervision.exclusive(tmp_path / ".lock", patience=0.1):
        pass


def test_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UserError, match="cannot be written to"),
        supervision.exclusive(tmp_path / "file" / "demo" / ".lock"),
    ):
        pass


def test_debris_of_a_killed_step_is_swept_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in (".lock", "clip.flac", ".made", "study/sub-1.nii")]
    gone = [tmp_path / name for name in (".clip-a1b2c3d4.flac", "study/.study-zzzzzz_9.yml", ".x-abcdefgh")]
    for path in [*kept, *gone]:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    supervision.sweep_debris(tmp_path)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)


def test_log_has_everything_and_the_terminal_what_is_meant_for_the_user(tmp_path: Path) -> None:
    code = "import sys; print('progress'); print('detail', file=sys.stderr); sys.exit('error: clip.wav is silent')"
    supervised = (
        "import os, sys\nfrom pathlib import Path\nfrom programs.workflow.supervision import supervise\n"
        f"sys.exit(supervise([sys.executable, '-c', {code!r}], os.environ, Path.cwd(), Path('a.log'), None))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(supervision.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", supervised], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == "progress\n"
    assert done.stderr == "error: clip.wav is silent\n"
    assert (tmp_path / "a.log").read_text() == "detail\nerror: clip.wav is silent\n"
