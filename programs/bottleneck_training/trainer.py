"""The one loop that trains every coder, resumable at any step.

Each item of a batch is sent at a width of its own, and some in noise: the tail of the code is dropped, and the way back
is told so. Losses of wide and narrow codes differ several times; their logarithms are averaged, so that every width
counts by what it gains.

Everything random at step ``s`` is drawn from generators seeded by ``(seed, s)``: a resumed run takes exactly the steps
that an uninterrupted one would have taken.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import write_text
from fmri_audio.bottleneck.coders import Coder
from fmri_audio.bottleneck.nested import prefix, white
from fmri_audio.sound.audio import SAMPLE_RATE
from programs.codec_training.corpus import Segments
from programs.codec_training.export import hardware
from programs.codec_training.optimiser import Orthogonal, pace, split
from programs.codec_training.states import NAME, read_state, write_state
from programs.codec_training.tables import append_row, forget_after

ACCOUNT = "run.json"
"""File of a run's folder that says what it is."""

FLOOR = 0.02
"""Added to a loss before its logarithm: of silence there is nothing to learn."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a run; kept in the state and in the exported file.

    Attributes
    ----------
    coder : str
    start : str
        Id of the codec that it is made with; empty where it needs none.
    steps : int
    by_features : float
        Share of the steps, the first ones, by the cheap loss that hears no sound.
    batch : int
        Segments of a step.
    seconds : float
        Of a segment.
    learning_rate, codec_rate : float
        Of the code, and of the codec's own weights where they move.
    width : int, optional
        Numbers per step of a code that is not nested; None: every width.
    inner : int, optional
        Channels inside the network, where they are not the usual ones: a control of size.
    random_codec : bool
        The codec begins with random weights: a control of what pretraining is worth.
    whole : float
        Share of the items that are sent whole.
    noisy : float
        Share of the items that are sent in noise, whose standard deviation is drawn between the two of ``sigmas``.
    augmented : float
        Share of the segments that are mixed, coloured or put into a room.
    sound : float, optional
        Minutes learned from, the first of every kind by its share of the speech; None: all there is.
    """

    coder: str = "mel"
    start: str = ""
    steps: int = 4000
    by_features: float = 0.0
    batch: int = 6
    seconds: float = 2.4
    learning_rate: float = 2e-3
    codec_rate: float = 4e-4
    warm_up: int = 100
    clip: float = 3.0
    ema: float = 0.995
    width: int | None = None
    inner: int | None = None
    random_codec: bool = False
    whole: float = 0.2
    noisy: float = 0.4
    sigmas: tuple[float, float] = (0.03, 1.0)
    augmented: float = 0.3
    sound: float | None = None
    kinds: dict[str, int] = field(
        default_factory=lambda: {"recordings": 3, "natural or speech": 2, "speech": 1}
    )
    seed: int = 1
    log_every: int = 50
    check_every: int = 500


@dataclass
class Trainer:
    """A run in a work folder: ``state.pt`` (resumable), ``log.csv``, ``checks.csv``.

    Attributes
    ----------
    build : callable
        Makes the coder, not started yet.
    segments, held_out : Segments
        To learn from, and of voices that are not learned from.
    seconds : float
        Spent on the steps and checks: of the processor, on a GPU of the clock.
    """

    recipe: Recipe
    build: Callable[[], Coder]
    segments: Segments
    held_out: Segments
    folder: Path
    step: int = 0
    seconds: float = 0.0

    FIRST: ClassVar[int] = 2**31  # step whose batch, with those after it, no run takes
    STARTED_FROM: ClassVar[int] = 400  # segments: of fewer, components are those of the sample
    UNIT_FROM: ClassVar[int] = 48  # segments by which the code is brought to unit variance
    CHECKED: ClassVar[int] = 16  # held-out segments

    def __post_init__(self) -> None:
        torch.manual_seed(self.recipe.seed)
        self.network = self.build()
        self.device = self.network.device
        batches = range(self.FIRST, self.FIRST + -(-self.STARTED_FROM // self.recipe.batch))
        self.network.start(
            torch.cat([self._waves(self.segments, step, self.recipe.batch) for step in batches])
        )
        self.network.train()
        self.average = self.network.twin().requires_grad_(False)
        moving = [
            p for name, p in self.network.named_parameters() if name.startswith("codec.") and p.requires_grad
        ]
        matrices, rest = split(self.network, moving)
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "matrices": Orthogonal(matrices),
            "rest": torch.optim.Adam(rest, betas=(0.9, 0.98)),
        }
        if moving:
            self.optimisers["codec"] = torch.optim.Adam(moving, betas=(0.9, 0.98))
        self.folder.mkdir(parents=True, exist_ok=True)

    # -- running ---------------------------------------------------------------------------------------------

    def run(self, until: float = 1.0) -> None:
        """Train to the share ``until`` of the run, logging, checking and saving as it goes."""
        trained = sum(p.numel() for p in self.network.parameters() if p.requires_grad)
        account = {"recipe": asdict(self.recipe), "weights": trained, "hardware": hardware(self.device.type)}
        write_text(self.folder / ACCOUNT, json.dumps(account, indent=1) + "\n")
        clock = (
            time.process_time if self.device.type == "cpu" else time.monotonic
        )  # others may share the processor
        began, recent = clock() - self.seconds, []
        last = math.ceil(self.recipe.steps * until)
        if not self.step:
            self.check()
        while self.step < last:
            recent.append(self._step())
            self.step += 1
            self.seconds = clock() - began
            if self.step % self.recipe.log_every == 0 or self.step == last:
                self._log(recent)
                recent = []
            if self.step % self.recipe.check_every == 0 or self.step == last:
                self.check()
                self.save()

    def _step(self) -> Tensor:
        for name, optimiser in self.optimisers.items():
            base = self.recipe.codec_rate if name == "codec" else self.recipe.learning_rate
            for group in optimiser.param_groups:
                group["lr"] = base * self._pace()
        wave = self._waves(self.segments, self.step, self.recipe.batch)
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + self.step)
        reliability = self.reliability(len(wave), generator).to(self.device)[:, None]
        cheap = self.step < self.recipe.by_features * self.recipe.steps
        loss = losses(self.network, wave, reliability, generator, cheap)
        objective = (loss + FLOOR).log().mean()
        for optimiser in self.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        objective.backward()
        trained = [p for p in self.network.parameters() if p.grad is not None]
        torch.nn.utils.clip_grad_norm_(trained, self.recipe.clip)
        for parameter in trained:
            parameter.grad.nan_to_num_(0.0, 0.0, 0.0)  # type: ignore[union-attr]
        for optimiser in self.optimisers.values():
            optimiser.step()
        self._follow()
        return objective.detach()

    def reliability(self, items: int, generator: torch.Generator) -> Tensor:
        """Widths and noises of a batch, as reliabilities [items, D]."""
        full, recipe = self.network.code.dimensions, self.recipe
        draws = torch.rand(items, 4, generator=generator).tolist()
        rows = []
        for whole, width, noisy, sigma in draws:
            kept = full if whole < recipe.whole else round(math.exp(width * math.log(full)))
            low, high = recipe.sigmas
            r = white(low * (high / low) ** sigma) if noisy < recipe.noisy else 1.0
            rows.append(prefix(recipe.width or kept, full) * r)
        return torch.stack(rows)

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the average come after the weights."""
        ramp = min(self.recipe.ema, 1 - 1 / (1 + self.step / 10))
        averaged, now = (
            [*network.parameters(), *network.code.unit.statistics] for network in (self.average, self.network)
        )
        torch._foreach_lerp_(averaged, now, 1 - ramp)

    @torch.no_grad()
    def settled(self) -> Coder:
        """The averaged network, its code of mean 0 and variance 1 over training sound that no step takes."""
        network, size = self.average.twin().requires_grad_(False), self.recipe.batch
        parts = range(self.FIRST, self.FIRST + -(-self.UNIT_FROM // size))
        waves = (self._waves(self.segments, step, size) for step in parts)
        network.code.eval().standardise(network.embed(network.features(wave)) for wave in waves)
        return network

    def _pace(self) -> float:
        """Warm-up, then half a cosine down to a hundredth."""
        return pace(self.step, self.recipe.warm_up, self.step / self.recipe.steps)

    def _waves(self, segments: Segments, step: int, size: int) -> Tensor:
        """Waveforms [B, 1, T] of whole steps of the code."""
        return whole_steps(segments, step, size, self.network.step_samples).to(self.device)

    # -- what one sees ---------------------------------------------------------------------------------------

    @property
    def widths(self) -> list[int]:
        """Numbers per step at which a run is checked."""
        return [self.recipe.width] if self.recipe.width else checked_widths(self.network.code.dimensions)

    @torch.no_grad()
    def check(self) -> dict[str, float]:
        """Losses of held-out voices, by the averaged weights: what training minimises, and what it began with."""
        network = self.settled()
        generator = torch.Generator().manual_seed(0)
        line: dict[str, float] = {"step": self.step, "seconds": round(self.seconds)}
        wave = self._waves(self.held_out, 0, self.CHECKED)
        full = self.network.code.dimensions
        for cheap in {True, False} if self.recipe.by_features else {False}:
            for width in self.widths:
                reliability = prefix(width, full, self.device)
                loss = losses(network, wave, reliability, generator, cheap)
                line[f"{'features' if cheap else 'loss'}_{width}"] = float(loss.mean())
        noisy = prefix(self.recipe.width or full, full, self.device) * white(0.5)
        line["loss_noisy"] = float(losses(network, wave, noisy, generator, False).mean())
        append_row(self.folder / "checks.csv", line)
        print("  check  " + "  ".join(f"{k} {v:.3f}" for k, v in line.items()), flush=True)
        return line

    def _log(self, recent: Sequence[Tensor]) -> None:
        mean = float(torch.stack(list(recent)).mean())
        rate = self.seconds / max(1, self.step)
        append_row(
            self.folder / "log.csv", {"step": self.step, "seconds": round(self.seconds), "objective": mean}
        )
        left = rate * (self.recipe.steps - self.step) / 60
        print(f"step {self.step}  objective {mean:.4f}  {rate:.2f} s a step  {left:.0f} min left", flush=True)

    # -- state -----------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write everything a resumed run needs, atomically."""
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
        }
        write_state(self.folder, state)

    def restore(self) -> bool:
        """Take up the run that lies in the folder; False where there is none.

        Raises
        ------
        UserError
            If that run learns something else, or what it left is damaged.
        """
        path, state = self.folder / NAME, read_state(self.folder, self.device)
        if state is None:
            return False
        now = asdict(self.recipe)
        for name in ("coder", "start", "width", "inner", "random_codec", "sound", "seed", "steps"):
            if state["recipe"][name] != now[name]:
                raise UserError(
                    f"{path}: the run has {name} {state['recipe'][name]}, not {now[name]}: remove it, or name "
                    "another --work"
                )
        self.step, self.seconds = state["step"], state["seconds"]
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        for table in ("log.csv", "checks.csv"):
            forget_after(self.folder / table, self.step)
        return True


def checked_widths(full: int) -> list[int]:
    """Numbers per step at which a code of so many is checked."""
    return sorted({max(1, round(full * 2.0**-halvings)) for halvings in range(0, 7, 2)})


def whole_steps(segments: Segments, step: int, size: int, step_samples: int) -> Tensor:
    """The batch of a step, cut to whole steps of the code, [B, 1, T]."""
    wave = torch.from_numpy(segments.batch(step, size))
    return wave[:, None, : wave.shape[1] - wave.shape[1] % step_samples]


def losses(
    network: Coder, wave: Tensor, reliability: Tensor, generator: torch.Generator, cheap: bool
) -> Tensor:
    """Losses [B] of waveforms sent so; ``cheap``: by features, without sound."""
    features = network.features(wave)
    restored = network.through(features, reliability, generator)
    if cheap:
        return network.feature_loss(restored, features)
    return network.loss(restored, features, wave)


def of_voices(folder: Path, recipe: Recipe) -> Segments:
    """Segments of held-out speech, as they are but for the level."""
    kinds = (
        {"recordings": Trainer.CHECKED}
        if (folder / "recordings.npy").is_file()
        else {"speech": Trainer.CHECKED}
    )
    return Segments(folder, recipe.seconds, recipe.seed + 1000, kinds, augmented=0.0)


def to_learn(folder: Path, recipe: Recipe) -> Segments:
    """Segments of a corpus in the proportions of a recipe."""
    total = sum(recipe.kinds.values())
    kinds = {kind: round(count * recipe.batch / total) for kind, count in recipe.kinds.items()}
    segments = Segments(folder, recipe.seconds, recipe.seed, kinds, recipe.augmented)
    if recipe.sound is not None:
        only_first(segments, recipe.sound)
    return segments


def only_first(segments: Segments, minutes: float) -> None:
    """Leave of a corpus so many minutes in all, the first of every kind by its share of the speech."""
    kinds = {kind for kinds in segments.plan for kind in kinds}
    total = sum(len(segments.pools[kind]) for kind in kinds)
    share = min(1.0, minutes * 60 * SAMPLE_RATE / total)
    for kind in kinds:
        pool = segments.pools[kind]
        segments.pools[kind] = pool[: max(2 * segments.n, int(share * len(pool)))]
