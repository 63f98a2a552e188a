"""Setting up the environment, without network: when it does nothing, and what it says."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from programs.workflow import bootstrap


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Have the bootstrap work in an empty folder and note its commands instead of running them."""
    for name in ("requirements.lock", "pyproject.toml", "bootstrap.lock", "recogniser.lock"):
        (tmp_path / name).write_text(name)
    venv = tmp_path / ".venv"
    for name, value in {
        "ROOT": tmp_path,
        "VENV": venv,
        "UV": tmp_path / ".bootstrap" / "bin" / "uv",
        "PYTHON": venv / "bin" / "python",
        "STAMP": venv / "installed-from",
        "RECOGNISER": venv / "recogniser",
    }.items():
        monkeypatch.setattr(bootstrap, name, value)
    made: list[list[str]] = []

    def call(*command: object) -> None:
        words = [str(word) for word in command]
        made.append(words)
        if "venv" in words:
            (Path(words[-1]) / "bin").mkdir(parents=True, exist_ok=True)
            (Path(words[-1]) / "bin" / "python").touch()

    monkeypatch.setattr(bootstrap, "call", call)
    return made


def test_first_time_installs_uv_and_the_lock_and_then_nothing(calls: list[list[str]]) -> None:
    bootstrap.install()
    flat = [" ".join(words) for words in calls]
    assert "--require-hashes -r bootstrap.lock" in flat[1]
    assert any("sync" in line and "--require-hashes requirements.lock" in line for line in flat)
    assert flat[-1].endswith("--no-deps --editable .")
    calls.clear()
    bootstrap.UV.touch()
    bootstrap.install()
    assert calls == []


def test_new_lock_updates_the_environment(calls: list[list[str]]) -> None:
    bootstrap.install()
    calls.clear()
    (bootstrap.ROOT / "requirements.lock").write_text("newer")
    bootstrap.install()
    assert any("sync" in words for words in calls)
    assert not any(str(bootstrap.VENV) in words for words in calls), "the environment itself is kept"


def test_interrupted_installation_is_started_over(calls: list[list[str]]) -> None:
    bootstrap.install()
    bootstrap.STAMP.unlink()
    (bootstrap.VENV / "half-installed").touch()
    calls.clear()
    bootstrap.install()
    assert any(str(bootstrap.VENV) in words for words in calls)
    assert not (bootstrap.VENV / "half-installed").exists()


def test_failed_step_leaves_an_environment_that_counts_as_unfinished(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap.install()
    bootstrap.UV.touch()
    (bootstrap.ROOT / "requirements.lock").write_text("newer")

    def fail(*command: object) -> None:
        sys.exit("error: no network")

    monkeypatch.setattr(bootstrap, "call", fail)
    with pytest.raises(SystemExit):
        bootstrap.install()
    assert not bootstrap.STAMP.exists()


def fake_uv(monkeypatch: pytest.MonkeyPatch, fails: bool) -> list[list[str]]:
    """Have uv fetch the weights, or leave half of them and fail; note what it is asked for."""
    asked: list[list[str]] = []

    def status_of(*command: object) -> int:
        words = [str(word) for word in command]
        asked.append(words)
        folder = Path(words[words.index("--target") + 1])
        (folder / "model").mkdir(parents=True)
        return int(fails)

    monkeypatch.setattr(bootstrap, "status_of", status_of)
    return asked


def test_the_recogniser_is_a_step_of_its_own(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = fake_uv(monkeypatch, fails=False)
    bootstrap.install()
    bootstrap.install_recogniser()
    (words,) = asked
    assert words[1:3] == ["pip", "sync"], "install refuses constraints where hashes are required"
    assert "--require-hashes" in words and words[-1] == "recogniser.lock"
    assert (bootstrap.RECOGNISER / "model").is_dir()
    bootstrap.install_recogniser()
    assert len(asked) == 1, "what is there is not fetched again"
    (bootstrap.ROOT / "recogniser.lock").write_text("newer")
    bootstrap.install_recogniser()
    assert len(asked) == 2 and capsys.readouterr().err == ""


def test_without_the_recogniser_all_else_is_installed_and_it_is_tried_again(
    calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = fake_uv(monkeypatch, fails=True)
    for attempt in (1, 2):
        bootstrap.install()
        bootstrap.install_recogniser()
        assert bootstrap.STAMP.is_file() and not bootstrap.RECOGNISER.exists()
        assert capsys.readouterr().err == (
            "words will be undefined, because the speech recogniser could not be installed (above); the same command "
            "tries again\n"
        )
        assert len(asked) == attempt
    fake_uv(monkeypatch, fails=False)
    bootstrap.install_recogniser()
    assert (bootstrap.RECOGNISER / "model").is_dir() and capsys.readouterr().err == ""


def test_failing_command_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="the same command tries again"):
        bootstrap.call(sys.executable, "-c", "raise SystemExit(3)")


def test_older_pythons_can_read_it_and_are_refused() -> None:
    source = Path(bootstrap.__file__).read_text()
    ast.parse(source, feature_version=(3, 7))
    pretending = f"import sys; sys.version_info = (3, 9, 0); exec(compile({source!r}, 'x', 'exec'))"
    command = [
        sys.executable,
        "-c",
        f"__name__ = '__main__'; __file__ = {bootstrap.__file__!r}; {pretending}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: Python 3.11 or newer is needed" in done.stderr
