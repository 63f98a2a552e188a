"""The training run: first without the quantiser, then with it, resumable at any step.

*Stage A* trains encoder and decoder on continuous latents, which a penalty keeps at unit size.
*Stage B* puts in codebooks made by residual k-means of the latents and trains all of it with a random bandwidth per
segment (sometimes none).
*Stage C* holds encoder (its average) and codebooks still and trains the decoder on the codes as they will be.

The sound's terms are balanced on their gradients (:mod:`programs.codec_training.balancer`). A run may go on
from an earlier checkpoint (without stage A), which is made wider where it is narrower
(:mod:`programs.codec_training.widen`), and may be given a discriminator from some step on.

Everything random at step ``s`` is drawn from generators seeded by ``(seed, s)``, so a resumed run takes exactly the
steps an uninterrupted one would have taken. A run on a borrowed machine may go by the clock instead (``minutes``):
then stages and learning rate follow the time gone by, and a second run is one like it, not the same.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fmri_audio.base.errors import UserError
from fmri_audio.codec.checkpoints import FULL_WIDTH, Checkpoint
from fmri_audio.codec.trainable import Network
from fmri_audio.sound.audio import SAMPLE_RATE
from programs.codec_training.adversary import Adversary
from programs.codec_training.balancer import Balancer
from programs.codec_training.corpus import Segments
from programs.codec_training.losses import BANDS, CodecLoss, Weights, levelled
from programs.codec_training.optimiser import Orthogonal, split
from programs.codec_training.quantiser import TrainedQuantiser
from programs.codec_training.recorded import Recorded
from programs.codec_training.start import pass_through
from programs.codec_training.states import NAME, read_state, write_state
from programs.codec_training.tables import append_row, forget_after
from programs.codec_training.widen import widen

STARTS = ("transform", "random")  # ways to begin without a checkpoint


@dataclass(frozen=True)
class Recipe:
    """Settings of a run; kept in the state and in the checkpoint."""

    n_filters: int = 8
    steps: int = 7200
    minutes: float | None = None  # length of the run by the clock, in place of the steps
    batch: int = 8
    seconds: float = 0.64
    learning_rate: float = 8e-4
    warm_up: int = 200
    clip: float = 3.0
    seed: int = 1
    share_a: float = 0.03  # of the steps that stage A takes
    share_c: float = 0.2361  # of the steps that stage C takes
    stages_per_item: tuple[int, ...] = (0, 2, 4, 8, 16, 32)
    chances: tuple[float, ...] = (0.03, 0.25, 0.24, 0.28, 0.12, 0.08)
    commitment: float = 0.3
    norm_penalty: float = 0.2
    ema: float = 0.998
    init_frames: int = 24_000
    init_rounds: int = 10  # of k-means
    weights: Weights = field(default_factory=Weights)
    fft_sizes: int = (
        2  # that the loss takes in each step: one of the two short and of the two long ones, or all 4
    )
    adversarial_from: float | None = None  # share of the run from which a discriminator takes part
    adversary_filters: int = 32
    adversary_rate: float = 3e-4
    adversary_ahead: int = 0  # steps that it learns alone
    adversary_items: int | None = None  # the first items of a batch, which alone it hears; None: all of them
    start: str = "transform"  # weights to begin with: that, "random", or the id of a checkpoint
    per_batch: dict[str, int] | None = (
        None  # items of each kind of sound in a batch, in this order ("a or b": one of them); None: drawn
    )
    exact: int = 0  # the last items of a batch, for whose waveforms the squared error counts
    log_every: int = 50
    check_every: int = 250


_WEIGHTS = Weights(
    wave=0.1, coherence=0.5, mel=3.0, loud=4.0, magnitude=2.0, adversarial=2.0, features=4.0, error=2.0
)

_CPU = Recipe(
    n_filters=16,
    steps=4000,
    batch=16,
    learning_rate=5e-4,
    share_c=0.12,
    weights=_WEIGHTS,
    adversarial_from=0.0,
    adversary_filters=16,
    adversary_ahead=200,
    adversary_items=4,
    start="demo",
    per_batch={"recordings": 6, "natural": 4, "music": 2, "speech or synthetic or bands": 2, "tones": 2},
    exact=2,
)

RECIPES = {
    "cpu": _CPU,
    "cuda": replace(
        _CPU,
        steps=40_000,
        batch=32,
        learning_rate=1e-3,
        share_c=0.1,
        fft_sizes=4,
        adversary_filters=32,
        adversary_items=24,
        per_batch={"recordings": 12, "natural": 8, "music": 4, "speech or synthetic or bands": 4, "tones": 4},
        exact=4,
        check_every=1000,
    ),
}
"""What a device trains by unless told otherwise: one to two hours of two CPU cores, or 40,000 steps of a GPU.

Both begin with the demo checkpoint. The discriminator hears the first items of a batch, never the computed ones at its
end; the squared error counts for the tones alone. The first goes on at half the usual rate from weights that its like
has trained; the second has the full rate, twice the batch and ten times the steps. It has not been run on a GPU; an
H100 took 52 ms for a step of 12 filters and this batch.
"""


@dataclass
class Trainer:
    """A run in a work folder: ``state.pt`` (resumable), ``log.csv``, ``checks.csv``."""

    recipe: Recipe
    segments: Segments
    held_out: Segments
    folder: Path
    device: str = "cpu"
    workers: int = 0  # processes that prepare the segments
    step: int = 0
    seconds: float = 0.0
    taught: int = 0  # steps that the discriminator has learned
    loss: CodecLoss = field(init=False)

    def __post_init__(self) -> None:
        on_gpu = self.device == "cuda"
        if on_gpu and self.recipe.fft_sizes != len(BANDS):
            raise ValueError(f"on a GPU every step is the same, so fft_sizes has to be {len(BANDS)}")
        torch.manual_seed(self.recipe.seed)
        self.config: dict[str, Any] = {"n_filters": self.recipe.n_filters}
        self.network = Network(self.config)
        if self.recipe.start == "transform":
            pass_through(self.network, torch.Generator().manual_seed(self.recipe.seed))
        self.network.to(self.device)
        self.average = Network(self.config).to(self.device).requires_grad_(False)
        self.average.load_state_dict(self.network.state_dict())
        self.quantiser = TrainedQuantiser(
            FULL_WIDTH["codebooks"], FULL_WIDTH["codebook_size"], FULL_WIDTH["dimension"]
        ).to(self.device)
        matrices, rest = split(self.network)
        rates = [torch.zeros((), device=self.device) if on_gpu else 0.0 for _ in range(2)]
        self.matrices = Orthogonal(matrices, rates[0])
        self.rest = torch.optim.Adam(rest, rates[1], betas=(0.9, 0.98), capturable=on_gpu)
        self.loss = CodecLoss(SAMPLE_RATE).to(self.device)
        self.balancer = Balancer({})
        self.adversary = None
        if self.recipe.adversarial_from is not None:
            self.adversary = Adversary(self.recipe.adversary_filters, self.recipe.adversary_rate, self.device)
        self.recorded: tuple[str, Recorded] | None = None
        self.folder.mkdir(parents=True, exist_ok=True)

    def begin_with(self, checkpoint: Checkpoint) -> None:
        """Take encoder, decoder and codebooks from a checkpoint, which is made wider where it is narrower.

        Raises
        ------
        UserError
            If the checkpoint is the wider one.
        """
        narrow = Network({"n_filters": filters_of(checkpoint)})
        narrow.from_package(checkpoint.model)
        if narrow.config == self.config:
            self.network.load_state_dict(narrow.state_dict())
        else:
            widen(narrow, self.network, torch.Generator().manual_seed(self.recipe.seed))
        layers = checkpoint.model.quantizer.vq.layers
        self.quantiser.take(torch.stack([layer._codebook.embed for layer in layers]))
        self.average.load_state_dict(self.network.state_dict())

    # -- running ---------------------------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """Share of the run that lies behind."""
        if self.recipe.minutes is None:
            return self.step / self.recipe.steps
        return self.seconds / 60 / self.recipe.minutes

    @property
    def stage(self) -> str:
        """``A``, ``B`` or ``C``: what the next step belongs to."""
        progress = self.progress + 1e-9
        return "A" if progress < self.recipe.share_a else "B" if progress < 1 - self.recipe.share_c else "C"

    def run(self, until: float = 1.0) -> None:
        """Train to the share ``until`` of the run, logging, checking and saving as it goes."""
        began, recent = time.monotonic() - self.seconds, []
        stage, batches = "", self.segments.batches(self.step, self.recipe.batch, self.workers)
        while self.progress + 1e-9 < until:
            if self.stage != "A" and not self.quantiser.ready:
                self._start_quantiser()
            if self.stage == "C" != stage:
                self.network.encoder.load_state_dict(self.average.encoder.state_dict())
            stage = self.stage
            recent.append(self._advance(next(batches)))
            self.step += 1
            self.seconds = time.monotonic() - began
            if self.step % self.recipe.log_every == 0:
                self._log(recent)
                recent = []
            if self.step % self.recipe.check_every == 0:
                self._check()
                self.save()
        self.recorded = None
        if recent:
            self._log(recent)
        if self.step % self.recipe.check_every:
            self._check()
            self.save()

    def _advance(self, wave: Tensor) -> dict[str, Tensor]:
        """Take a step; on a GPU it is recorded once per kind of step and replayed from then on."""
        rate = self._learning_rate()
        for group in (*self.matrices.param_groups, *self.rest.param_groups):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        self.balancer.weights = asdict(self.recipe.weights)
        if self.device == "cuda":
            kind = f"{self.stage} {self._adversary_part}"
            if self.recorded is None or self.recorded[0] != kind:
                self.recorded = None  # before the next one takes its memory
                self.recorded = kind, Recorded(self._step, wave)
            values = self.recorded[1](wave)
        else:
            values = self._step(wave)
        if self._adversary_part != "absent":
            self.taught += 1
        with torch.no_grad():
            ramp = min(self.recipe.ema, 1 - 1 / (1 + self.step / 10))
            torch._foreach_lerp_(list(self.average.parameters()), list(self.network.parameters()), 1 - ramp)
        return values

    @property
    def _adversary_part(self) -> str:
        """What the discriminator does in the next step: absent, learning alone, judging."""
        if self.adversary is None or self.progress + 1e-9 < (self.recipe.adversarial_from or 0):
            return "absent"
        return "alone" if self.taught < self.recipe.adversary_ahead else "judging"

    def _step(self, wave: Tensor) -> dict[str, Tensor]:
        recipe = self.recipe
        generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + self.step)
        still = self.stage == "C"
        stages = None if self.stage == "A" else self._depths(len(wave), generator)
        with torch.set_grad_enabled(not still):
            latents = self.network.encode(wave)
        self.quantiser.train(not still)
        sent, extra = self._transmit(latents, stages, generator)
        output = self.network.decode(sent)
        x, y = levelled(wave, output)
        terms, gradient = self._judge(x, y.detach().requires_grad_(), generator)
        self.network.zero_grad(set_to_none=True)
        if still:
            y.backward(gradient)
        else:
            torch.autograd.backward([y, extra], [gradient, torch.ones_like(extra)])
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        for parameter in self.network.parameters():
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)  # after a step that broke (its norm is none, too)
        self.matrices.step()
        self.rest.step()
        return {
            "extra": extra.detach(),
            "gradient": norm,
            "latent_rms": latents.detach().square().mean().sqrt(),
            **terms,
        }

    def _judge(self, x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """Terms of the loss of outputs ``y`` [B, T] of unit level, and their balanced gradient."""
        short, long = torch.randint(2, (2,), generator=generator).tolist()
        sizes = self.loss.sizes
        terms = self.loss(
            x, y, sizes if self.recipe.fft_sizes == len(sizes) else (sizes[short], sizes[2 + long])
        )
        if self.recipe.exact:
            terms["error"] = (x - y)[-self.recipe.exact :].square().mean()
        seen = dict.fromkeys(("discriminator", "adversarial", "features"), torch.full((), math.nan))
        if self.adversary is not None and self._adversary_part != "absent":
            heard = slice(self.recipe.adversary_items)
            seen["discriminator"] = self.adversary.learn(x[heard], y[heard])
            if self._adversary_part == "judging":
                terms |= self.adversary.terms(x[heard], y[heard])
        gradient = self.balancer.gradient(terms, y)
        return seen | {name: term.detach() for name, term in terms.items()}, gradient

    def _transmit(
        self, latents: Tensor, stages: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Latents as the decoder gets them, as they are (stage A) or as so many codes, and what that costs."""
        recipe = self.recipe
        energy = latents.square().mean()
        penalty = recipe.norm_penalty * (energy - 1).clamp(min=0) + recipe.norm_penalty * (
            0.5 - energy
        ).clamp(min=0)
        if stages is None:
            return latents, penalty
        sent = self.quantiser(latents, stages, generator)
        return sent.values, penalty + recipe.commitment * sent.commitment

    def _depths(self, items: int, generator: torch.Generator) -> Tensor:
        """Number of codebooks for each item of a batch: drawn, or on a GPU, where every step is the same, in shares.

        There the shares are spread over the batch, so that every kind of sound in it has small and large numbers.
        """
        chances, stages = torch.tensor(self.recipe.chances), torch.tensor(self.recipe.stages_per_item)
        if self.device == "cpu":
            return stages[torch.multinomial(chances, items, replacement=True, generator=generator)]
        bounds = (chances.cumsum(0) / chances.sum() * items).round().long()
        shares = stages.repeat_interleave(bounds.diff(prepend=torch.zeros(1, dtype=torch.long)))
        golden = next(n for n in range(round(0.618 * items), items + 1) if math.gcd(n, items) == 1)
        return shares[torch.arange(items) * golden % items]

    def _learning_rate(self) -> float:
        """Warm-up, then half a cosine down to a hundredth; stage C has one of its own, from half the peak."""
        recipe, peak, begun = self.recipe, self.recipe.learning_rate, 0.0
        if self.stage == "C":
            peak, begun = peak / 2, 1 - recipe.share_c
        warm = min(1.0, (self.step + 1) / recipe.warm_up)
        progress = min(1.0, (self.progress - begun) / max(1 - begun, 1e-9))
        return peak * warm * (0.505 + 0.495 * math.cos(math.pi * progress))

    @torch.no_grad()
    def _start_quantiser(self) -> None:
        recipe, began = self.recipe, time.monotonic()
        generator = torch.Generator().manual_seed(recipe.seed)
        frames: list[Tensor] = []
        while sum(map(len, frames)) < recipe.init_frames:
            wave = torch.from_numpy(self.segments.batch(recipe.steps + len(frames), recipe.batch)).to(
                self.device
            )
            frames.append(self.network.encode(wave).flatten(0, 1))
        self.quantiser.initialise(torch.cat(frames), generator, recipe.init_rounds)
        print(f"codebooks initialised in {time.monotonic() - began:.0f} s", flush=True)

    # -- what one sees ---------------------------------------------------------------------------------------

    def _log(self, recent: list[dict[str, Tensor]]) -> None:
        row = {name: float(torch.stack([r[name].cpu() for r in recent]).mean()) for name in recent[0]}
        line = {"step": self.step, "seconds": round(self.seconds), "lr": self._learning_rate(), **row}
        append_row(self.folder / "log.csv", line)
        left = self.seconds / self.progress * (1 - self.progress) / 60
        shown = "  ".join(
            f"{name} {row[name]:.3f}"
            for name in ("coherence", "mel", "loud", "magnitude", "gradient", "latent_rms")
        )
        print(
            f"step {self.step} ({self.progress:.0%}) {self.stage}  SNR {-10 * row['wave']:.1f} dB  {shown}"
            f"  {left:.0f} min",
            flush=True,
        )

    @torch.no_grad()
    def _check(self, items: int = 24) -> dict[str, float]:
        """SI-SDR of held-out sound, unquantised and at each bandwidth; residual energy and code use per stage."""
        wave = torch.from_numpy(self.held_out.batch(0, items)).to(self.device)
        line: dict[str, float] = {"step": self.step, "seconds": round(self.seconds)}
        latents = self.average.encode(wave)
        line["si_sdr_unquantised"] = si_sdr(wave, self.average.decode(latents))
        if self.quantiser.ready:
            energy, usage, sums = self.quantiser.residuals(latents.flatten(0, 1))
            for stages in self.recipe.stages_per_item[1:]:
                output = self.average.decode(sums[stages - 1].view_as(latents))
                line[f"si_sdr_{stages}"] = si_sdr(wave, output)
                line[f"residual_{stages}"] = float(energy[stages - 1])
                line[f"usage_{stages}"] = float(usage[stages - 1])
        append_row(self.folder / f"checks-{'b' if self.quantiser.ready else 'a'}.csv", line)
        print("  check  " + "  ".join(f"{k} {v:.3g}" for k, v in line.items()), flush=True)
        return line

    # -- state -----------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write everything a resumed run needs, atomically."""
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "quantiser": self.quantiser.state_dict(),
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
            If that run began from other weights, or what it left is damaged.
        """
        path, state = self.folder / NAME, read_state(self.folder, self.device)
        if state is None:
            return False
        if (begun := state["recipe"]["start"]) != self.recipe.start:
            raise UserError(
                f"{path}: the run began from {begun}, not from {self.recipe.start}: give --start {begun}"
            )
        self.step, self.seconds = state["step"], state["seconds"]
        for name in ("network", "average", "quantiser", "matrices", "rest"):
            getattr(self, name).load_state_dict(state[name])
        self.balancer.norms = state["norms"]
        if self.adversary and state["adversary"]:
            self.adversary.restore(state["adversary"])
            self.taught = state["taught"]
        for table in (self.folder / "log.csv", self.folder / "checks-a.csv", self.folder / "checks-b.csv"):
            forget_after(table, self.step)
        return True


def filters_of(checkpoint: Checkpoint) -> int:
    """Return the width of a checkpoint: the channels after its first convolution."""
    return int(checkpoint.model.encoder.model[0].conv.conv.out_channels)


def si_sdr(reference: Tensor, output: Tensor) -> float:
    """Mean scale-invariant signal-to-distortion ratio of waveforms ``[B, T]`` in dB (silent items left out)."""
    loud = reference.square().mean(1) > 1e-8
    x, y = reference[loud], output[loud]
    scaled = (x * y).sum(1, keepdim=True) / x.square().sum(1, keepdim=True) * x
    ratio = scaled.square().sum(1) / ((y - scaled).square().sum(1) + 1e-12)
    return float((10 * torch.log10(ratio + 1e-9)).mean())
