"""How many training steps a second every arm makes, beside the frozen one, through the training loop itself.

The excerpt, mask, window, batch, rank and weights are an edition's; BOLD is noise, because what a step costs does not
depend on it. Frozen and fine-tuned are timed once more with an EnCodec of full width (random weights), so that a reader
knows what a step with the released model costs. Directions of the table:

``train``
    the edition's weights, all arms;
``train full width``
    EnCodec at full width, the arms ``frozen`` and ``finetuned``.

A step is what lies between two calls of the arm's losses in training: losses, gradients, optimiser, the next windows.
Following the curve between epochs is not in it, and the first steps, in which memory is laid out, are left out. Every
training runs in a process of its own, so that its peak of memory is its own; repetitions are interleaved, and ratios
are taken within a repetition.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import Settings, load_settings
from fmri_audio.bottleneck import store, training
from fmri_audio.bottleneck.arms import ARMS
from fmri_audio.bottleneck.arms.base import Arm, Material, StimulusSound, TrainingWindow
from fmri_audio.codec import checkpoints
from fmri_audio.edition.edition import absolute
from fmri_audio.representations.encodec import EncodecLatents
from fmri_audio.simulation.grid import Grid
from fmri_audio.study.layouts.sherlock import RELEASE
from fmri_audio.study.splits import Split, contiguous_split
from fmri_audio.study.stimulus import prepare
from programs.benchmarks.codec import random_codec
from programs.benchmarks.process import in_its_own_process, peak, report, resident, synchronise
from programs.benchmarks.table import Row, described_hardware, summary

FULL_WIDTH = "full width"
#: Arms that are timed with either codec.
CONTENDERS = {"train": tuple(ARMS), f"train {FULL_WIDTH}": ("frozen", "finetuned")}
DIRECTIONS = tuple(CONTENDERS)
N_STEPS = {"train": 16, f"train {FULL_WIDTH}": 8}
#: Steps that are made before those that are timed.
WARM_UP = 2
_SOUND = "sound.npz"


@dataclass(frozen=True)
class Task:
    """What is trained: an edition's sound and bottleneck, and a codec.

    Attributes
    ----------
    settings : Settings
        Of the edition.
    full_width : bool
        Whether the codec is an EnCodec of full width and random weights; else the edition's.
    folder : Path
        Of the encoded sound, which every process of the benchmark reads.
    """

    settings: Settings
    full_width: bool
    folder: Path

    @cached_property
    def checkpoint(self) -> checkpoints.Checkpoint:
        """The codec, on the GPU where there is one."""
        found = random_codec() if self.full_width else checkpoints.load(self.settings.codec)
        found.model.to("cuda" if torch.cuda.is_available() else "cpu")
        return found

    def encode(self) -> None:
        """Prepare and encode the sound, once for all processes."""
        stimulus = prepare(self.settings, detect=False)
        codec = EncodecLatents(self.checkpoint)
        books = self.checkpoint.model.quantizer.get_num_quantizers_for_bandwidth(
            self.checkpoint.model.frame_rate, self.settings.main_bandwidth
        )
        with torch.inference_mode():
            latents = codec.analyse(torch.from_numpy(stimulus.waveform)[None, None])
            codes = codec.latents_to_codes(latents, books)
        np.savez(
            self.folder / _SOUND,
            waveform=stimulus.waveform,
            rate=stimulus.sample_rate,
            runs=stimulus.runs,
            latents=latents[0].cpu().numpy(),
            codes=codes[0].cpu().numpy(),
        )

    def material(self) -> Material:
        """What arms are made of; BOLD is noise in as many voxels as the edition's mask has."""
        with np.load(self.folder / _SOUND) as kept:
            runs = [(int(first), int(count)) for first, count in kept["runs"]]
            sound = StimulusSound(kept["waveform"], int(kept["rate"]), self.settings.tr, runs)
            latents, codes = kept["latents"], kept["codes"]
        wanted, grid = self.settings.training, Grid.of_shape(self.settings.study.shape)
        bold = np.random.default_rng(0).standard_normal(
            (sound.n_trs, int(grid.active.sum())), dtype=np.float32
        )
        return Material(
            self.checkpoint,
            sound,
            latents,
            codes,
            self.settings.mel,
            wanted.rank,
            bold,
            wanted.lag_trs,
            RELEASE.shift_trs,
        )

    def split(self, sound: StimulusSound) -> Split:
        """The edition's split of its sound."""
        wanted = self.settings.training
        return contiguous_split(
            [(first, first + count) for first, count in sound.runs],
            test_fraction=wanted.test_fraction,
            gap=wanted.gap_trs,
            lags=wanted.lag_trs,
            shift=RELEASE.shift_trs,
            tr=sound.tr,
        )


@dataclass
class Clock:
    """Notes when an arm's losses are asked for with gradients: once in every training step.

    Attributes
    ----------
    seconds, processor_seconds : list of float
        When; differences of neighbours are what steps took.
    """

    arm: Arm
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._losses = self.arm.window_losses
        self.arm.window_losses = self._noted  # type: ignore[method-assign]

    def _noted(self, window: TrainingWindow, n_trs: int) -> tuple[torch.Tensor, torch.Tensor]:
        if torch.is_grad_enabled():
            synchronise()
            self.seconds.append(time.perf_counter())
            self.processor_seconds.append(time.process_time())
        return self._losses(window, n_trs)

    def per_step(self, n_steps: int) -> dict[str, float]:
        """Medians over the steps after the first ones.

        Raises
        ------
        UserError
            The loop did not make as many steps as it was asked for.
        """
        if len(self.seconds) != n_steps:
            raise UserError(f"training made {len(self.seconds)} steps instead of {n_steps}")
        return {
            name: statistics.median(np.diff(times)[WARM_UP:].tolist())
            for name, times in (("seconds", self.seconds), ("processor_seconds", self.processor_seconds))
        }


def measure(edition: str, repetitions: int, say: Callable[[str], None]) -> list[Row]:
    """Time the steps of all arms.

    Parameters
    ----------
    edition : str
        A name in ``config/`` or the path of an edition file.
    repetitions : int
        Interleaved.
    say : callable
        Is told how it goes.

    Returns
    -------
    list of Row

    Raises
    ------
    UserError
        The edition has no sound of its own, or a training failed.
    """
    rows: list[Row] = []
    minutes = 0.0
    for direction, arms in CONTENDERS.items():
        found: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            task = _task(edition, direction, Path(folder))
            task.encode()
            minutes = float(task.material().sound.n_trs * task.settings.tr / 60)
            for _ in range(repetitions):
                for name in arms:
                    found[name].append(in_its_own_process("bench-training", name, direction, edition, folder))
                    say(f"{direction} {name}: {found[name][-1]['seconds']:.3f} s per step")
        rows += _rows(direction, found)
    machine, threads = described_hardware(), torch.get_num_threads()
    return [replace(row, minutes=minutes, threads=threads, hardware=machine) for row in rows]


def _task(edition: str, direction: str, folder: Path) -> Task:
    return Task(absolute(load_settings(edition)), direction.endswith(FULL_WIDTH), folder)


def _rows(direction: str, found: dict[str, list[dict[str, float]]]) -> list[Row]:
    """Medians over repetitions; ratios are medians of the repetitions' own ratios."""
    rows = []
    for name, runs in found.items():
        seconds = [run["seconds"] for run in runs]
        rows += [
            summary(direction, name, "seconds", seconds, "s"),
            summary(direction, name, "steps_per_second", [1 / taken for taken in seconds], "1/s"),
            summary(direction, name, "processor_seconds", [run["processor_seconds"] for run in runs], "s"),
            *(
                summary(
                    direction,
                    name,
                    metric,
                    [run[of] / frozen[of] for run, frozen in zip(runs, found["frozen"], strict=True)],
                    "1",
                )
                for metric, of in (
                    ("times_frozen", "seconds"),
                    ("processor_times_frozen", "processor_seconds"),
                )
            ),
            *(
                Row(direction, name, metric, max(run[metric] for run in runs), "MB", n=len(runs))
                for metric in ("peak_megabytes", "process_megabytes")
            ),
        ]
    return rows


def time_steps(name: str, task: Task, n_steps: int, folder: Path) -> dict[str, float]:
    """Train an arm for some steps.

    Parameters
    ----------
    name : str
        Of :data:`fmri_audio.bottleneck.arms.ARMS`.
    task : Task
    n_steps : int
    folder : Path
        Where the loop may save its state.

    Returns
    -------
    dict
        ``seconds`` and ``processor_seconds`` of a step, ``peak_megabytes`` above the arm that is ready to be trained,
        and ``process_megabytes`` of the whole process at that peak (on a GPU, its memory).
    """
    material = task.material()
    settings = task.settings.training.model_copy(update={"steps": n_steps, "epochs": 1})
    split, validation = training.set_apart(task.split(material.sound), settings.validation_fraction)
    model = store.build(name, material)
    features = store.features_of(model, material)
    model.start(features, split, seed=0)
    ready = torch.cuda.memory_allocated() / 1e6 if torch.cuda.is_available() else resident()
    clock = Clock(model)
    step = math.lcm(*(store.build(one, material).grid.step for one in settings.arms))
    with peak() as megabytes:
        training.train(
            model,
            material,
            features,
            split,
            validation,
            settings,
            step=step,
            seed=0,
            folder=folder,
            say=lambda _: None,
        )
    return {
        **clock.per_step(n_steps),
        "peak_megabytes": max(megabytes),
        "process_megabytes": ready + max(megabytes),
    }


def main(words: Sequence[str]) -> int:
    """Time one arm's steps and print what they took, as JSON; return the exit status."""
    parser = argparse.ArgumentParser("python -m programs bench-training")
    parser.add_argument("arm", choices=tuple(ARMS))
    parser.add_argument("direction", choices=DIRECTIONS)
    parser.add_argument("edition")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args(words)
    task = _task(arguments.edition, arguments.direction, arguments.folder)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        found = time_steps(arguments.arm, task, N_STEPS[arguments.direction], Path(folder))
    report(found)
    return 0
