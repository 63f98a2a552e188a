"""The training run of a vocoder, resumable at any step.

The terms of the loss are the codec's (:mod:`programs.codec_training.losses`), balanced on their gradients; from some
step on a discriminator may take part, which hears only the first items of a batch: on a processor it costs more than
all the rest.

Everything random at step ``s`` is drawn from generators seeded by ``(seed, s)``, so a resumed run takes exactly the
steps an uninterrupted one would have taken. A run may go by the clock instead (``minutes``): then a second run is one
like it, not the same.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.signal import resample_poly
from torch import Tensor

from fmri_audio.base.errors import UserError
from fmri_audio.codec.vocoder import Vocoder
from fmri_audio.sound.audio import SAMPLE_RATE
from fmri_audio.sound.metrics.base import METRIC_RATE
from fmri_audio.sound.metrics.pesq import pesq
from fmri_audio.sound.metrics.stoi import stoi
from programs.codec_training.adversary import Adversary
from programs.codec_training.balancer import Balancer
from programs.codec_training.corpus import Segments
from programs.codec_training.losses import BANDS, CodecLoss, Weights, levelled
from programs.codec_training.optimiser import Orthogonal, pace, split
from programs.codec_training.states import NAME, read_state, write_state
from programs.codec_training.tables import append_row, forget_after
from programs.vocoder_training.features import Source


@dataclass(frozen=True)
class Recipe:
    """Settings of a run; kept in the state and in the exported file."""

    kind: str = "codes"
    start: str = ""  # the codec whose codes it learns
    steps: int = 6000
    minutes: float | None = None  # length of the run by the clock, in place of the steps
    batch: int = 12
    frames: int = 96  # of a segment
    learning_rate: float = 1.5e-2
    warm_up: int = 100
    clip: float = 3.0
    seed: int = 1
    ema: float = 0.998
    weights: Weights = field(default_factory=Weights)
    fft_sizes: int = (
        2  # that the loss takes in each step: one of the two short and of the two long ones, or all
    )
    adversarial_from: float | None = None  # share of the run from which a discriminator takes part
    adversary_filters: int = 4
    adversary_rate: float = 2e-3  # four filters learn next to nothing at less
    adversary_ahead: int = 100  # steps that it learns alone
    judged: int = 4  # the first items of a batch, which are all that it hears
    log_every: int = 50
    check_every: int = 500


_CODES = Recipe(steps=3600, weights=Weights(coherence=1.5, loud=2.0))
_MEL = Recipe(kind="mel", weights=Weights(wave=0.0, coherence=0.0, mel=5.0, magnitude=5.0))
_GPU: dict[str, Any] = {
    "steps": 20_000,
    "batch": 32,
    "fft_sizes": len(BANDS),
    "adversarial_from": 0.3,
    "adversary_filters": 32,
    "adversary_rate": 6e-4,
    "judged": 32,
    "check_every": 2000,
}
RECIPES = {
    ("cpu", "codes"): _CODES,
    ("cpu", "mel"): _MEL,
    ("cuda", "codes"): replace(_CODES, **_GPU),
    ("cuda", "mel"): replace(_MEL, **_GPU),
}
"""What each kind trains by on each device unless told otherwise."""


@dataclass
class Trainer:
    """A run in a work folder: ``state.pt`` (resumable), ``log.csv``, ``checks.csv``."""

    CHECKED: ClassVar[int] = 8  # held-out segments

    recipe: Recipe
    source: Source
    segments: Segments
    held_out: Segments
    folder: Path
    device: str = "cpu"
    workers: int = 0  # processes that prepare the segments
    step: int = 0
    seconds: float = 0.0
    taught: int = 0  # steps that the discriminator has learned

    def __post_init__(self) -> None:
        torch.manual_seed(self.recipe.seed)
        self.network = Vocoder(self.source.config)
        self._prepare(self.network)
        self.network.to(self.device)
        self.average = Vocoder(self.source.config).to(self.device).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        matrices, rest = split(self.network)
        self.matrices = Orthogonal(matrices)
        self.rest = torch.optim.Adam(rest, betas=(0.9, 0.98))
        self.loss = CodecLoss(SAMPLE_RATE).to(self.device)
        self.balancer = Balancer(asdict(self.recipe.weights))
        self.adversary = None
        if self.recipe.adversarial_from is not None:
            self.adversary = Adversary(self.recipe.adversary_filters, self.recipe.adversary_rate, self.device)
        self.folder.mkdir(parents=True, exist_ok=True)

    @torch.no_grad()
    def _prepare(self, network: Vocoder, items: int = 48) -> None:
        """Let the network see features of mean 0 and deviation 1, and begin with the sound's mean spectrum.

        Both are of a batch that no step takes. Without the second the bias of 700 magnitudes has several powers
        of e to go, at the pace of single numbers.
        """
        wave = torch.from_numpy(self.segments.batch(2**31, items))
        lesson = self.source.lesson(wave.to(self.device), self._generator(2**31))
        network.mean.copy_(lesson.features.mean((0, 2))[:, None])
        # one for all: the lowest mel bands hold no bin of the spectrum, and of themselves never move
        network.scale.fill_(float((lesson.features - network.mean).std()))
        inverse = network.head.istft
        spectrum = torch.stft(
            lesson.sound.cpu(), inverse.n_fft, inverse.hop_length, window=inverse.window, return_complex=True
        )
        magnitude = (spectrum.abs() + 1e-4).log().mean((0, 2))
        network.head.out.bias[: len(magnitude)].copy_(magnitude)

    def _generator(self, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)

    # -- running ---------------------------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """Share of the run that lies behind."""
        if self.recipe.minutes is None:
            return self.step / self.recipe.steps
        return self.seconds / 60 / self.recipe.minutes

    def run(self, until: float = 1.0) -> None:
        """Train to the share ``until`` of the run, logging, checking and saving as it goes."""
        began, recent = time.monotonic() - self.seconds, []
        batches = self.segments.batches(self.step, self.recipe.batch, self.workers)
        while self.progress + 1e-9 < until:
            recent.append(self._step(next(batches).to(self.device)))
            self.step += 1
            self.seconds = time.monotonic() - began
            if self.step % self.recipe.log_every == 0:
                self._log(recent)
                recent = []
            if self.step % self.recipe.check_every == 0:
                self.check()
                self.save()
        if recent:
            self._log(recent)
        if self.step % self.recipe.check_every:
            self.check()
            self.save()

    def _step(self, wave: Tensor) -> dict[str, Tensor]:
        rate, generator = self._learning_rate(), self._generator(self.step)
        for group in (*self.matrices.param_groups, *self.rest.param_groups):
            group["lr"] = rate
        lesson = self.source.lesson(wave, generator)
        output = self.network(lesson.features, lesson.bandwidth)
        x, y = levelled(lesson.sound, output)
        terms, gradient = self._judge(x, y.detach().requires_grad_(), generator)
        self.network.zero_grad(set_to_none=True)
        y.backward(gradient)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        for parameter in self.network.parameters():
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)  # after a step that broke (its norm is none, too)
        self.matrices.step()
        self.rest.step()
        with torch.no_grad():
            ramp = min(self.recipe.ema, 1 - 1 / (1 + self.step / 10))
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - ramp)
        return {"gradient": norm, **terms}

    def _judge(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """Terms of the loss of outputs ``y`` [B, T] of unit level, and their balanced gradient."""
        short, long = torch.randint(2, (2,), generator=generator).tolist()
        sizes = tuple(BANDS)
        terms = self.loss(
            x, y, sizes if self.recipe.fft_sizes == len(sizes) else (sizes[short], sizes[2 + long])
        )
        seen = dict.fromkeys(("discriminator", "adversarial", "features"), torch.full((), math.nan))
        if self.adversary is not None and self.progress + 1e-9 >= (self.recipe.adversarial_from or 0):
            heard = slice(self.recipe.judged)
            seen["discriminator"] = self.adversary.learn(x[heard], y[heard])
            if self.taught >= self.recipe.adversary_ahead:
                terms |= self.adversary.terms(x[heard], y[heard])
            self.taught += 1
        gradient = self.balancer.gradient(terms, y)
        return seen | {name: term.detach() for name, term in terms.items()}, gradient

    def _learning_rate(self) -> float:
        """Warm-up, then half a cosine down to a hundredth."""
        return self.recipe.learning_rate * pace(self.step, self.recipe.warm_up, self.progress)

    # -- what one sees ---------------------------------------------------------------------------------------

    def _log(self, recent: list[dict[str, Tensor]]) -> None:
        row = {name: float(torch.stack([r[name].cpu() for r in recent]).mean()) for name in recent[0]}
        append_row(
            self.folder / "log.csv",
            {"step": self.step, "seconds": round(self.seconds), "lr": self._learning_rate(), **row},
        )
        left = self.seconds / self.progress * (1 - self.progress) / 60
        shown = "  ".join(f"{name} {row[name]:.3f}" for name in ("coherence", "mel", "magnitude", "gradient"))
        print(
            f"step {self.step} ({self.progress:.0%})  SNR {-10 * row['wave']:.1f} dB  {shown}  {left:.0f} min",
            flush=True,
        )

    @torch.no_grad()
    def check(self) -> dict[str, float]:
        """PESQ and STOI of held-out sound by bandwidth, and the mel term; at step 0 of what is to be done better."""
        wave = torch.from_numpy(self.held_out.batch(0, self.CHECKED)).to(self.device)
        line: dict[str, float] = {"step": self.step, "seconds": round(self.seconds)}
        for depth, name in enumerate(self.source.depths):
            lesson = self.source.checked(wave, depth)
            made = (
                self.average(lesson.features, lesson.bandwidth)
                if self.step
                else self.source.reference(wave, depth)
            )
            line |= {
                f"{key}{name and '_' + name}": value
                for key, value in self._scores(lesson.sound, made).items()
            }
        append_row(self.folder / "checks.csv", line)
        print("  check  " + "  ".join(f"{k} {v:.3g}" for k, v in line.items()), flush=True)
        return line

    def _scores(self, sound: Tensor, made: Tensor) -> dict[str, float]:
        """Scores of sounds [B, T], means over those where they are defined."""
        x, y = levelled(sound, made)
        pairs = [
            tuple(resample_poly(wave.double().cpu().numpy(), METRIC_RATE, SAMPLE_RATE) for wave in pair)
            for pair in zip(sound, made, strict=True)
        ]
        return {
            "pesq": float(np.nanmean([pesq(ref, deg, "wb") for ref, deg in pairs])),
            "stoi": float(np.nanmean([stoi(ref, deg) for ref, deg in pairs])),
            "mel": float(self.loss(x, y, tuple(BANDS))["mel"]),
        }

    # -- state -----------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write everything a resumed run needs, atomically."""
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "matrices": self.matrices.state_dict(),
            "rest": self.rest.state_dict(),
            "norms": self.balancer.norms,
            "adversary": self.adversary.training_state() if self.adversary else None,
            "taught": self.taught,
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
        for name in ("kind", "start"):
            if (before := state["recipe"][name]) != (now := getattr(self.recipe, name)):
                raise UserError(
                    f"{path}: the run learns {before}, not {now}: remove it, or name another --work"
                )
        self.step, self.seconds = state["step"], state["seconds"]
        for name in ("network", "average", "matrices", "rest"):
            getattr(self, name).load_state_dict(state[name])
        self.balancer.norms = state["norms"]
        if self.adversary and state["adversary"]:
            self.adversary.restore(state["adversary"])
            self.taught = state["taught"]
        for table in ("log.csv", "checks.csv"):
            forget_after(self.folder / table, self.step)
        return True
