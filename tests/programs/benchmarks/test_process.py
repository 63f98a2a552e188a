"""What work takes is measured: time, processor time and the peak of memory."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from programs.benchmarks import process


def test_waiting_takes_time_and_no_processor() -> None:
    with process.taken() as found:
        time.sleep(0.3)
    assert 0.3 <= found["seconds"] < 3 and found["processor_seconds"] < 0.2


@pytest.mark.skipif(sys.platform != "linux", reason="the maximum cannot be reset elsewhere")
def test_the_peak_is_of_the_block_alone() -> None:
    size = 80_000_000
    np.ones(3 * size, np.uint8)
    with process.taken() as found:
        np.ones(size, np.uint8)
    assert 75 < found["peak_megabytes"] < 120, "neither what was before nor nothing"
    assert found["process_megabytes"] > found["peak_megabytes"]
    with process.peak() as megabytes:
        kept = np.ones(size, np.uint8)
        time.sleep(0.2)
    assert 75 < max(megabytes) < 120 and len(kept)


def test_a_contender_that_fails_is_named(tmp_path: object) -> None:
    with pytest.raises(
        UserError, match=r"bench-ridge: ours failed \(.*bold\.npy.*\); is there memory enough\?"
    ):
        process.in_its_own_process("bench-ridge", "ours", str(tmp_path))
