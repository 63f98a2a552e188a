"""Files that are only pointers to their content, and files that are written whole or not at all."""

import os
import resource
import signal
import stat
import subprocess

import nibabel
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import soundfile
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable, refuse_unfetched, replacing, write_text

KEY = "SHA256E-s1048576--0123456789abcdef.nii.gz"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"/annex/objects/{KEY}\n", "datalad get scan.nii.gz"),
        (f"../../.git/annex/objects/xX/Yy/{KEY}/{KEY}", "datalad get scan.nii.gz"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"),
    ],
)
def test_a_pointer_in_place_of_content_is_named(tmp_path, content, said):
    path = tmp_path / "scan.nii.gz"
    path.write_text(content)
    with pytest.raises(UserError, match=said):
        refuse_unfetched(path)


def test_an_annexed_link_that_leads_nowhere_is_named(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.symlink_to(f"../.git/annex/objects/xX/Yy/{KEY}/{KEY}")
    with pytest.raises(UserError, match="datalad get"):
        refuse_unfetched(path)


def test_what_was_fetched_passes_and_so_does_what_others_report(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0annex/objects/")
    (tmp_path / "broken.wav").symlink_to("nowhere.wav")
    for name in ("a.wav", "broken.wav", "missing.wav"):
        refuse_unfetched(tmp_path / name)


def failing_writes():
    def soundfile_flac(path):
        soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 200_000), 24_000, format="FLAC")

    def torch_save(path):
        torch.save(torch.zeros(100_000), path)

    def safetensors_file(path):
        safetensors.torch.save_file({"a": torch.zeros(100_000)}, path)

    def numpy_array(path):
        np.save(path, np.zeros(100_000))

    def numpy_archive(path):
        np.savez(path, np.zeros(100_000))

    def pandas_table(path):
        pd.DataFrame({"a": range(100_000)}).to_csv(path)

    def nibabel_image(path):
        nibabel.save(nibabel.Nifti1Image(np.zeros((40, 40, 40), np.float32), np.eye(4)), path)

    suffixes = {
        soundfile_flac: ".flac",
        torch_save: ".pt",
        safetensors_file: ".safetensors",
        numpy_array: ".npy",
        numpy_archive: ".npz",
        pandas_table: ".csv",
        nibabel_image: ".nii",
    }
    return [pytest.param(write, suffix, id=write.__name__) for write, suffix in suffixes.items()]


@pytest.fixture
def no_room():
    """Files may not grow beyond 64 KiB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(("write", "suffix"), failing_writes())
def test_whatever_library_writes_a_full_disk_is_one_sentence_and_nothing_is_left(
    tmp_path, no_room, write, suffix
):
    path = tmp_path / f"made{suffix}"
    path.write_text("before")
    said = r"made\S+ cannot be written \(.*File too large.*\)"
    with pytest.raises(UserError, match=said), replacing(path) as temporary:
        write(temporary)
    assert [one.name for one in tmp_path.iterdir()] == [path.name] and path.read_text() == "before"


def test_a_fault_of_the_programs_own_is_no_sentence_about_the_disk(tmp_path):
    with pytest.raises(RuntimeError, match="mine"), replacing(tmp_path / "a.txt"):
        raise RuntimeError("mine")
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    write_text(pipe, "through")
    assert reader.communicate()[0] == b"through" and stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_device_stays_a_device():
    with pytest.raises(UserError, match="No space left"):
        write_text("/dev/full", "text")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    check_writable("/dev/null")


def test_writing_is_tried_before_long_work_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("as it was")
    for path in ("a.csv", "new/folders/a.csv", "file"):
        check_writable(tmp_path / path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "as it was"
    with pytest.raises(UserError, match="is a folder"):
        check_writable(tmp_path)
    for path in (tmp_path / "file" / "a.csv", "/proc/a.csv"):
        with pytest.raises(UserError, match="cannot be written"):
            check_writable(path)


def test_writing_is_tried_with_some_room(tmp_path, no_room):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with pytest.raises(UserError, match="with room"):
        check_writable(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["é" * 120 + ".txt", "a" * 251 + ".txt"])
def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path, name):
    check_writable(tmp_path / name)
    write_text(tmp_path / name, "x")
    assert (tmp_path / name).read_text() == "x"
