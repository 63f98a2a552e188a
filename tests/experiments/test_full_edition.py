"""The full edition stays within a night of two cores: its training steps, counted by their measured time."""

from __future__ import annotations

import pandas as pd

from fmri_audio.base.settings import load_settings, project_root
from fmri_audio.experiments.held_out import SEEDED

HOURS = 9.0
"""For the steps, of the twelve in which the edition is to be done with the demo codec."""

CORES = 2


def test_steps_of_the_full_edition_take_a_night_of_two_cores() -> None:
    bench = pd.read_csv(project_root() / "results" / "bench.csv")
    timed = bench[(bench["direction"] == "train") & (bench["metric"] == "processor_seconds")]
    assert set(timed["hardware"]) == {"AMD EPYC, 2 cores"}
    full, demo = load_settings("full"), load_settings("demo")
    assert full.training.window_trs == demo.training.window_trs
    longer = full.training.batch_size / demo.training.batch_size  # a step's time grows with its windows
    seconds = timed.set_index("contender")["value"] * longer * full.training.steps
    trainings = dict.fromkeys(seconds.index, 1)
    for arm in set(full.sweep.arms) | set(SEEDED):
        others = len(set(full.sweep.balances) - {full.training.balance}) if arm in full.sweep.arms else 0
        trainings[arm] = max(full.training.seeds, full.sweep.seeds) + others * full.sweep.seeds
    trainings["codes"] += 4  # a codes arm for every bandwidth
    assert trainings["frozen"] >= 15, "three seeds at five balances"
    hours = sum(seconds[arm] * count for arm, count in trainings.items()) / CORES / 3600
    assert 2 < hours < HOURS
