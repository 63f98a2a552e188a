"""The benchmark of training at a size that takes seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import load_settings
from fmri_audio.edition.edition import absolute
from programs.benchmarks import training
from programs.benchmarks.training import Clock, Task, _rows, time_steps


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """The smoke edition's sound, with the demo checkpoint."""
    made = Task(absolute(load_settings("smoke")), False, tmp_path_factory.mktemp("task"))
    made.encode()
    return made


def test_the_task_is_the_edition_s(task: Task) -> None:
    material = task.material()
    assert material.bold.shape[0] == material.sound.n_trs == task.settings.stimulus.n_trs
    assert material.rank == task.settings.training.rank and material.checkpoint.id.startswith("demo-")
    split = task.split(material.sound)
    assert split.test_block[1] <= material.sound.n_trs and len(split.train)


@pytest.mark.parametrize("arm", ["mel", "finetuned"])
def test_steps_are_timed_through_the_loop_itself(arm: str, task: Task, tmp_path: Path) -> None:
    found = time_steps(arm, task, 5, tmp_path)
    assert 0 < found["seconds"] < 60 and found["processor_seconds"] > 0
    assert 0 < found["peak_megabytes"] < found["process_megabytes"]


def test_the_clock_sees_training_alone_and_leaves_the_first_steps_out() -> None:
    class Arm:
        def window_losses(self, window: object, n_trs: int) -> tuple[torch.Tensor, torch.Tensor]:
            time.sleep(pauses.pop(0))
            return torch.zeros(()), torch.zeros(())

    pauses = [0.0, 0.3, 0.3, 0.02, 0.02, 0.02, 0.0]
    arm = Arm()
    clock = Clock(arm)  # type: ignore[arg-type]
    with torch.no_grad():
        arm.window_losses({}, 2)
    for _ in range(6):
        arm.window_losses({}, 2)
    assert len(clock.seconds) == 6, "following the curve is no step"
    assert 0.02 <= clock.per_step(6)["seconds"] < 0.25
    with pytest.raises(UserError, match="6 steps instead of 7"):
        clock.per_step(7)


def test_ratios_are_taken_within_a_repetition() -> None:
    def run(seconds: float) -> dict[str, float]:
        return {
            "seconds": seconds,
            "processor_seconds": 1.0,
            "peak_megabytes": seconds,
            "process_megabytes": 9.0,
        }

    # The machine was three times as slow in the second repetition, for both.
    rows = _rows("train", {"frozen": [run(1.0), run(3.0)], "finetuned": [run(2.0), run(6.0)]})
    found = {(row.contender, row.metric): row for row in rows}
    ratio = found["finetuned", "times_frozen"]
    assert (ratio.value, ratio.low, ratio.high) == (2, 2, 2)
    assert found["frozen", "steps_per_second"].high == 1 and found["finetuned", "peak_megabytes"].value == 6
    assert set(training.DIRECTIONS) == {"train", "train full width"}
