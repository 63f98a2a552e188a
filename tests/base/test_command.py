"""Commands end in one sentence and a status, whatever failed: in processes of their own, whose streams are real."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fmri_audio.base.command import command, whole
from fmri_audio.base.errors import UserError
from programs.__main__ import COMMANDS
from programs.__main__ import main as program

PACKAGE = Path(__file__).resolve().parents[2] / "fmri_audio"

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def shell(line: str, body: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line in which ``$MAIN`` stands for a command with the given body."""
    program = "import sys\nfrom fmri_audio.base.command import command\n@command('name')\ndef main():\n"
    program += textwrap.indent(textwrap.dedent(body), "    ") + "\nsys.exit(main())"
    env = {
        **os.environ,
        "PYTHONPATH": str(PACKAGE.parent),
        "PROGRAM": program,
        "PYTHON": sys.executable,
        **variables,
    }
    line = line.replace("$MAIN", '"$PYTHON" -c "$PROGRAM"')
    return subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True, check=False)


@needs_full
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("to", [">/dev/full", ">&-"])
def test_output_that_cannot_be_written_is_one_sentence(buffered: str, to: str) -> None:
    found = shell(f"$MAIN {to}", "print('scores')", PYTHONUNBUFFERED=buffered)
    assert found.returncode == 1
    assert re.fullmatch(r"name: standard output cannot be written \(.+\): give it .+\n", found.stderr)


def test_help_to_a_full_disk_fails_too() -> None:
    body = "import argparse\nargparse.ArgumentParser().parse_args(['--help'])"
    found = shell("$MAIN >&-", body)
    assert found.returncode == 1 and found.stderr.count("\n") == 1


def test_a_reader_that_went_away_is_nobodys_error() -> None:
    found = shell("$MAIN | true; echo ${PIPESTATUS[0]}", "for i in range(100000): print(i)")
    assert found.stdout == "141\n" and found.stderr == ""


def test_with_every_stream_closed_work_goes_on_and_no_file_is_printed_into(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    body = f"with open({str(path)!r}, 'w') as stream:\n    print('lost')\n    stream.write('kept')"
    assert shell("$MAIN <&- >&- 2>&-", body).returncode == 1
    assert path.read_text() == "kept"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("raise KeyboardInterrupt", 130, r""),
        ("raise MemoryError", 1, r"name: there is not enough memory: .+\n"),
        ("import numpy; numpy.empty((1 << 20, 1 << 30))", 1, r"name: there is not enough memory: .+\n"),
        ('raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory")', 1, r"name: .+ memory.+\n"),
        ("open('/dev/null/a')", 1, r"name: /dev/null/a cannot be written or read \(Not a directory\)\n"),
        ("from fmri_audio.base.errors import UserError; raise UserError('one\\ntwo')", 1, r"name: one two\n"),
        ("print('caf\\udce9 ×')", 0, ""),
        (
            "import sqlite3; sqlite3.connect('/dev/null/a.db')",
            1,
            r"name: a file cannot be written or read \(.+\)\n",
        ),
    ],
)
def test_what_a_user_can_cause_is_one_line(body: str, status: int, said: str) -> None:
    found = shell("$MAIN", body, PYTHONIOENCODING="ascii")
    assert found.returncode == status and re.fullmatch(said, found.stderr), found.stderr


def test_too_little_memory_for_a_library_is_one_line() -> None:
    found = shell("ulimit -v 400000; $MAIN", "import torch")
    assert found.returncode == 1 and re.fullmatch(r"name: there is not enough memory: .+\n", found.stderr), (
        found.stderr
    )


def test_a_fault_of_the_programs_own_keeps_its_traceback() -> None:
    @command()
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main()


def test_status_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    @command()
    def main(status: int) -> int:
        print("said")
        if status == 3:
            raise UserError("no")
        return status

    assert [main(0), main(2), main(3)] == [0, 2, 1]
    assert capsys.readouterr() == ("said\n" * 3, "error: no\n")


def test_whole_numbers_have_bounds() -> None:
    read = whole(1, 10)
    assert read("10") == 10
    for wrong in ("0", "11", "1.5", "1_0", "", "9" * 100_000):
        with pytest.raises(argparse.ArgumentTypeError, match="should be a whole number from 1 to 10"):
            read(wrong)


def test_there_are_two_commands_and_one_of_them_runs_all_programs() -> None:
    """But for what must run before anything is installed."""
    apart = ["programs/workflow/bootstrap.py"]
    files = [
        path for folder in ("fmri_audio", "programs") for path in (PACKAGE.parent / folder).rglob("*.py")
    ]
    begun = [path for path in files if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]
    assert sorted(str(path.relative_to(PACKAGE.parent)) for path in begun) == sorted(
        ["fmri_audio/cli.py", "programs/__main__.py", *apart]
    )
    for name, entry in COMMANDS.items():
        assert callable(getattr(importlib.import_module(entry.module), "main", None)), name


def test_what_is_no_program_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert program(["nothere"]) == program([]) == 2
    assert "usage: python -m programs COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "words", "work"),
    [
        ("fmri_audio.experiments.calibration", ["--out", "OUT"], "calibrate"),
        ("fmri_audio.experiments.scaling", ["--out", "OUT"], "scale"),
        ("programs.benchmarks.run", ["--out", "OUT", "--only", "masking"], "read"),
        ("programs.codec_training.run", ["--out", "OUT"], "corpus"),
        ("programs.codec_training.run", ["--work", "OUT"], "corpus"),
        ("programs.codec_training.evaluation", ["--out", "OUT"], "load"),
        ("fmri_audio.cli", ["codec", "encode", "a.wav", "OUT"], "codec_encode"),
        ("fmri_audio.cli", ["codec", "decode", "a.npz", "OUT"], "codec_decode"),
        ("fmri_audio.cli", ["report", "--out", "OUT"], "report"),
        ("fmri_audio.cli", ["data", "simulate", "OUT"], "np"),
    ],
)
def test_long_work_begins_only_if_its_end_can_be_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    words: list[str],
    work: str,
) -> None:
    (tmp_path / "file").touch()
    begun = importlib.import_module(module)
    monkeypatch.setattr(begun, work, None)  # whoever begins fails by a TypeError
    out = str(tmp_path / "file" / "made.npz")
    main = command()(begun.main)
    assert main([out if word == "OUT" else word for word in words]) == 1
    assert "made" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_sentence_is_one_line_whatever_a_file_is_called() -> None:
    assert str(UserError("a\nb\r\x1b[2Jc.wav  does\u2028not exist")) == "a b [2Jc.wav  does not exist"
