"""What is kept between runs: known by its hash, and absent where it is not what was stored."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fmri_audio.base import stored
from fmri_audio.base.errors import UserError
from fmri_audio.base.stored import (
    is_sound_archive,
    is_whole,
    load_array,
    matches,
    one_at_a_time,
    save_array,
    seal_of,
    write_seal,
)


def flip(path: Path, position: int = -1) -> None:
    """Change one bit of a file; size and time of change stay."""
    content, times = bytearray(path.read_bytes()), path.stat()
    content[position] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garble(path: Path) -> None:
    path.write_bytes(b"\xff\x00" * 200)


DAMAGES = [flip, cut, empty, garble]
each_damage = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32)


@pytest.mark.parametrize("mapped", [False, True])
def test_array_comes_back_as_it_was(tmp_path: Path, array: np.ndarray, mapped: bool) -> None:
    path = tmp_path / "new" / "array.npy"
    assert load_array(path, mapped=mapped) is None
    save_array(path, array)
    found = load_array(path, mapped=mapped)
    assert found is not None
    np.testing.assert_array_equal(found, array)
    assert isinstance(found, np.memmap) == mapped


@each_damage
def test_damaged_array_counts_as_absent_and_says_so(
    tmp_path: Path, array: np.ndarray, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "array.npy"
    save_array(path, array)
    assert load_array(path) is not None
    damage(path)
    assert load_array(path) is None
    [line] = capsys.readouterr().err.splitlines()
    assert line == f"{path}: not what was stored there, or stored without its hash; it is made again"
    save_array(path, array)
    assert load_array(path) is not None


@each_damage
def test_damaged_seal_counts_as_none(
    tmp_path: Path, array: np.ndarray, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "array.npy"
    save_array(path, array)
    damage(seal_of(path))
    assert load_array(path) is None


def test_array_of_an_older_build_has_no_hash_and_counts_as_absent(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "array.npy", array)
    assert load_array(tmp_path / "array.npy") is None


def test_what_is_not_there_is_no_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_whole(seal_of(tmp_path / "array.npy"), [tmp_path / "array.npy"])
    assert capsys.readouterr().err == ""


def test_folder_with_a_file_more_or_less_is_not_what_was_sealed(tmp_path: Path) -> None:
    folder = tmp_path / "arm"
    (folder / "deep").mkdir(parents=True)
    files = [folder / "one", folder / "deep" / "two"]
    for path in files:
        path.write_text(path.name)
    write_seal(seal_of(folder), files)
    assert matches(seal_of(folder), reversed(files))
    assert not matches(seal_of(folder), files[:1])
    assert not matches(seal_of(folder), [])
    (folder / "three").touch()
    assert not matches(seal_of(folder), [*files, folder / "three"])


def test_seal_is_the_one_that_sha256sum_reads(tmp_path: Path, array: np.ndarray) -> None:
    program = shutil.which("sha256sum")
    if program is None:
        pytest.skip("no sha256sum on this machine")
    save_array(tmp_path / "array.npy", array)
    checked = subprocess.run([program, "--check", "--strict", "array.npy.sha256"], cwd=tmp_path, check=False)
    assert checked.returncode == 0


def test_what_has_been_found_whole_is_read_once(
    tmp_path: Path, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "array.npy"
    save_array(path, array)
    assert load_array(path) is not None
    monkeypatch.setattr(stored, "sha256_of", lambda _: pytest.fail("hashed again"))
    assert load_array(path) is not None


@each_damage
def test_what_torch_saved_is_checked_by_its_own_checksums(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = tmp_path / "state.pt"
    assert not is_sound_archive(path)
    torch.save({"weights": torch.randn(300)}, path)
    assert is_sound_archive(path)
    if damage is flip:
        flip(path, path.stat().st_size // 2)
    else:
        damage(path)
    assert not is_sound_archive(path)


def test_no_flipped_bit_of_an_archive_is_more_than_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"a": torch.zeros(3)}, path)
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in (0, 3, 7):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            assert is_sound_archive(path) in (True, False)


def test_one_at_a_time_waits_for_the_other(tmp_path: Path) -> None:
    entered = threading.Event()

    def other() -> None:
        with one_at_a_time(tmp_path / "new" / "lock"):
            entered.set()

    with one_at_a_time(tmp_path / "new" / "lock"):
        thread = threading.Thread(target=other, daemon=True)
        thread.start()
        assert not entered.wait(0.2)
    assert entered.wait(5)
    thread.join(5)


def test_lock_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"), one_at_a_time(tmp_path / "file" / "lock"):
        pass
