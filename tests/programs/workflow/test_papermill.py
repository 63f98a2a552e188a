"""The published notebooks run under plain papermill, from the project's folder, without make."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[3]


def papermill(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "papermill", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_help_explains_every_parameter() -> None:
    printed = papermill("--help-notebook", "book/03-encodec.ipynb").stdout
    assert 'edition: Unknown type (default "demo")' in printed
    for explanation in ("a name in config/", "codec bandwidth in kbps", "folder for results"):
        assert explanation in printed


def test_run_at_another_bandwidth(tmp_path: Path) -> None:
    build = os.environ.get("FMRI_AUDIO_BUILD")
    if not build:
        pytest.skip("needs the smoke edition that make test executes (FMRI_AUDIO_BUILD)")
    out = tmp_path / "out.ipynb"
    done = papermill(
        "book/03-encodec.ipynb",
        str(out),
        "--no-progress-bar",
        "-p",
        "edition",
        "smoke",
        "-p",
        "bandwidth",
        "1.5",
        "-p",
        "build",
        build,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    cells = nbformat.read(out, as_version=4).cells
    printed = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", ()))
    assert "codes [1, 2, " in printed, "two codebooks are 1.5 kbps"
