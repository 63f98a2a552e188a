"""One training loop for every arm: the same windows in the same order, the same number of steps, the same selection.

Each arm brings its own loss, because what comes out of the bottleneck differs; all else is shared, and so is the
second term, the distance of the bottleneck's volumes from measured BOLD. The end of the training part, behind a gap, is
not fitted: it is for validation, and the weights of the epoch with the least validation loss are kept. The held-out
block is listened to for the curve, and decides nothing. Training runs on a GPU where there is one, there in bfloat16 if
it can, and can be resumed after every epoch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from fmri_audio.base.errors import UserError
from fmri_audio.base.kinds import Block, Say
from fmri_audio.base.timeline import frames_of_tr, trs_to_samples
from fmri_audio.bottleneck.arms.base import Arm, Material, TrainingWindow
from fmri_audio.bottleneck.layers import TRGrid
from fmri_audio.study.splits import Split

if TYPE_CHECKING:
    from fmri_audio.base.settings import TrainingSettings

Precision = Literal["32-true", "bf16-mixed"]

#: Most windows on which the loss is followed, in training, validation and held-out sound each.
PROBES = 8
#: Training whose last third brings the validation loss down by more than this share was not over.
STILL_FALLING = 0.01
SPLITS = ("training", "validation", "held-out")


@dataclass(frozen=True)
class Convergence:
    """Whether training was over when it ended.

    Attributes
    ----------
    converged : bool
    falling : float
        By how much the last third of training brought the least validation loss down, as a share of what it was
        before; 0 where it brought nothing.
    improved : bool
        Whether any epoch was better than the start.
    overfits : bool
        Whether the validation loss ends more than :data:`STILL_FALLING` above its least.
    """

    converged: bool
    falling: float
    improved: bool
    overfits: bool = False

    @property
    def verdict(self) -> str:
        """In words; a model that has not converged gets no verdict on its quality."""
        if not self.converged:
            return "not converged: the loss was still falling"
        if not self.improved:
            return "kept at its start, which no training step bettered"
        return "overfitting, and kept from before that" if self.overfits else "converged"


def judge(losses: Sequence[float]) -> Convergence:
    """Judge a validation curve, one loss per epoch from before the first on.

    The question is early stopping's (Prechelt 1998): was the last third of training in vain? It was if the least loss
    of that third is not more than 1 % under the least loss before it. Training loss is no judge of that: it falls
    for as long as there is something left to learn by heart.
    """
    curve = np.asarray(losses, np.float64)
    last = len(curve) // 3
    if last < 1:
        return Convergence(False, float("nan"), False)
    before, after = float(curve[:-last].min()), float(curve[-last:].min())
    falling = max(0.0, (before - after) / max(abs(before), 1e-9))
    risen = (curve[-1] - curve.min()) / max(abs(curve.min()), 1e-9)
    return Convergence(falling <= STILL_FALLING, falling, bool(curve.argmin()), bool(risen > STILL_FALLING))


def selected_step(curves: pd.DataFrame, balance: float) -> int:
    """The step whose weights are kept: the first of those with the least validation loss, both terms together."""
    followed = curves[curves["part"] == "validation"]
    return int(followed["step"].iloc[int(np.argmin(objective(followed, balance)))])


def objective(curves: pd.DataFrame, balance: float) -> NDArray[np.float64]:
    """What training lowers: the loss of what is heard and, weighted by the balance, the distance to measured BOLD."""
    return np.asarray(curves["loss"] + balance * curves["bold_error"], np.float64)


def set_apart(split: Split, fraction: float) -> tuple[Split, Block]:
    """Take the end of the last training block for validation, behind a gap as long as the split's.

    Parameters
    ----------
    split : Split
    fraction : float
        Share of all training TRs that validates.

    Returns
    -------
    fitted : Split
        The same with a shorter last training block: all that weights may learn from.
    validation : (first, last)
        TRs that choose between epochs.

    Raises
    ------
    UserError
        The last training block is too short to be divided.
    """
    *blocks, (first, last) = split.train_blocks
    *volumes, (first_volume, last_volume) = split.bold_train
    n_trs = round(fraction * len(split.train))
    cut = last - n_trs - split.gap
    if n_trs < 1 or cut <= first:
        raise UserError(
            f"training.validation_fraction: {fraction:g} of {len(split.train)} training TRs and a gap of {split.gap} "
            f"do not leave anything of the last training block of {last - first} TRs; use more TRs or another fraction"
        )
    fitted = dataclasses.replace(
        split,
        train_blocks=(*blocks, (first, cut)),
        bold_train=(*volumes, (first_volume, last_volume - (last - cut))),
    )
    return fitted, (last - n_trs, last)


class Windows(Dataset[TrainingWindow]):
    """Windows of sound [1, T], of the features [C, L] of the same TRs, and of the BOLD [volumes, V] that answers them.

    Parameters
    ----------
    material : Material
        What arms are made from; its volumes are those that the decoder reads for the window's TRs.
    features : tensor, shape [C, L]
        Of the whole stimulus.
    grid : TRGrid
        Of the features.
    starts : sequence of int
        First TR of each window, where a TR's edge is a frame's edge.
    n_trs : int
        TRs per window.
    """

    def __init__(
        self, material: Material, features: torch.Tensor, grid: TRGrid, starts: Sequence[int], n_trs: int
    ) -> None:
        sound, self.n_trs = material.sound, n_trs
        self.waveform, self.features, self.starts = torch.from_numpy(sound.waveform), features, list(starts)
        self.n_samples = trs_to_samples(n_trs, sound.sample_rate, sound.tr)
        self.n_frames = grid.n_frames(n_trs)
        self.samples = [trs_to_samples(start, sound.sample_rate, sound.tr) for start in self.starts]
        self.frames = [frames_of_tr(start, grid.tr, grid.frame_rate).first for start in self.starts]
        self.bold = torch.from_numpy(material.bold)
        self.answer = min(material.lags) - material.shift, max(material.lags) - material.shift

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> TrainingWindow:
        sample, frame = self.samples[index], self.frames[index]
        start = self.starts[index]
        return {
            "first": torch.tensor(start),
            "bold": self.bold[start + self.answer[0] : start + self.n_trs + self.answer[1]],
            "waveform": self.waveform[None, sample : sample + self.n_samples],
            "features": self.features[:, frame : frame + self.n_frames],
        }


def window_starts(block: Block, window: int, step: int) -> list[int]:
    """TRs of a block at which a window may start: multiples of ``step``, so that every arm can take them."""
    first = -(-block[0] // step) * step
    return list(range(first, block[1] - window + 1, step))


def starts_of_parts(split: Split, validation: Block, window: int, step: int) -> dict[str, list[int]]:
    """First TRs of the windows that train, that choose between epochs, and that are only listened to.

    Parameters
    ----------
    split : Split
    validation : (first, last)
        Both as :func:`set_apart` returns them.
    window : int
        TRs per window.
    step : int
        TRs between possible starts.

    Returns
    -------
    dict
        One of :data:`SPLITS` → first TRs, ascending.

    Raises
    ------
    UserError
        A part holds no window.
    """
    blocks = {"training": split.train_blocks, "validation": (validation,), "held-out": (split.test_block,)}
    starts = {
        part: [k for block in blocks[part] for k in window_starts(block, window, step)] for part in SPLITS
    }
    if not all(starts.values()):
        raise UserError(f"training.window_trs: {window} TRs do not fit into the blocks of the split")
    return starts


def precision_of(settings: TrainingSettings) -> Precision:
    """The arithmetic that settings ask for; by itself bfloat16 where a GPU can do it."""
    wanted = settings.precision
    if wanted == "auto":
        wanted = "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"
    return "bf16-mixed" if wanted == "bf16" else "32-true"


def train(
    model: Arm,
    material: Material,
    features: torch.Tensor,
    split: Split,
    validation: Block,
    settings: TrainingSettings,
    *,
    step: int,
    seed: int,
    folder: Path,
    stop_after: int | None = None,
    say: Say | None = None,
) -> pd.DataFrame:
    """Train a model, resuming where an earlier call in the same folder was interrupted.

    The weights of the epoch with the least validation loss are kept, be it the start. Nothing of the held-out block
    influences the weights: it is only listened to, for the curve.

    Parameters
    ----------
    model : Arm
        Changed in place; only what its arm allows to move.
    material : Material
    features : tensor, shape [C, L]
        The arm's features of the whole stimulus.
    split : Split
        What weights may learn from, and what is held out: the first of what :func:`set_apart` returns.
    validation : (first, last)
        TRs that choose between epochs: the second of it.
    settings : TrainingSettings
    step : int
        TRs between possible starts of a window; see :func:`window_starts`.
    seed : int
        Decides the order of the windows, and nothing else does.
    folder : Path
        Where the state is saved after every epoch.
    stop_after : int, optional
        End after this many epochs, as if interrupted.
    say : callable, optional
        Takes one line of progress after each epoch; standard error unless given.

    Returns
    -------
    DataFrame
        ``step``, ``part``, ``loss`` (of what is heard), ``bold_error`` (mean square, to measured BOLD), ``seconds``.
    """
    loop = _Loop(model, settings, say or tell)
    loop.renew = lambda: model.refresh(
        model.stimulus_features(material.sound) if model.codec_moves else features, split
    )
    device = model.device
    starts, *followed = starts_of_parts(split, validation, settings.window_trs, step).values()
    loop.data = _Data(
        lambda which: Windows(material, features, model.grid, which, settings.window_trs),
        starts,
        followed,
        settings,
        seed,
    )
    last = folder / "last.ckpt"
    with warnings.catch_warnings(), _deterministic(seed):
        # Lightning's advice on workers and the codec's evaluation mode does not apply to this small loop.
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=settings.epochs if stop_after is None else stop_after,
            accelerator="auto",
            devices=1,
            precision=precision_of(settings),
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            inference_mode=False,
            callbacks=[
                _Progress(),
                ModelCheckpoint(folder, "last", save_top_k=1, enable_version_counter=False),
            ],
        )
        trainer.fit(loop, datamodule=loop.data, ckpt_path=last if last.is_file() else None)
    model.load_trained_state(loop.best[1])
    model.to(device)
    loop.renew()
    return loop.curves()


def tell(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


class _Data(lightning.LightningDataModule):
    """Windows in an order that depends on seed and epoch alone, so that a resumed run sees what it would have seen."""

    def __init__(
        self,
        make: Callable[[Sequence[int]], Windows],
        starts: list[int],
        followed: list[list[int]],
        settings: TrainingSettings,
        seed: int,
    ) -> None:
        super().__init__()
        self.make, self.starts, self.followed, self.seed = make, starts, followed, seed
        self.batch_size = settings.batch_size
        self.per_epoch = [len(part) for part in np.array_split(np.arange(settings.steps), settings.epochs)]

    def order(self, epoch: int) -> list[int]:
        """TRs at which the windows of an epoch start."""
        rng = np.random.default_rng([self.seed, epoch])
        needed = self.per_epoch[epoch] * self.batch_size
        passes = [rng.permutation(self.starts) for _ in range(-(-needed // len(self.starts)))]
        return [int(k) for k in np.concatenate(passes)[:needed]]

    def train_dataloader(self) -> DataLoader[TrainingWindow]:
        """Batches of the epoch to come."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        return DataLoader(self.make(self.order(epoch)), batch_size=self.batch_size)

    def val_dataloader(self) -> list[DataLoader[TrainingWindow]]:
        """The windows that are followed: of training, validation and held-out sound."""
        probes = [_spread(part, PROBES) for part in (self.starts, *self.followed)]
        return [DataLoader(self.make(which), batch_size=len(which)) for which in probes]


class _Loop(lightning.LightningModule):
    """The step, the optimiser and the curve."""

    data: _Data
    renew: Callable[[], None]

    def __init__(self, model: Arm, settings: TrainingSettings, say: Say) -> None:
        super().__init__()
        self.model, self.settings, self.say = model, settings, say
        self.rows: list[dict[str, Any]] = []
        self.seconds_before, self.began = 0.0, time.monotonic()
        self.best: tuple[float, dict[str, torch.Tensor]] = (float("inf"), {})

    def training_step(self, batch: TrainingWindow, batch_idx: int) -> torch.Tensor:
        """One optimiser step."""
        heard, error = self.model.window_losses(batch, self.settings.window_trs)
        return heard + self.settings.balance * error

    def on_train_start(self) -> None:
        """Take the codes around the windows from the weights as they are, read back or not."""
        self.renew()

    def on_validation_start(self) -> None:
        """Take them again after every epoch."""
        self.renew()

    def validation_step(self, batch: TrainingWindow, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Follow the loss."""
        heard, error = self.model.window_losses(batch, self.settings.window_trs)
        self.rows.append(
            {
                "step": self.global_step,
                "part": SPLITS[dataloader_idx],
                "loss": float(heard),
                "bold_error": float(error),
                "seconds": self.seconds_before + time.monotonic() - self.began,
            }
        )

    def on_validation_epoch_end(self) -> None:
        """Keep the weights if no earlier ones did as well in validation."""
        row = self.rows[-len(SPLITS) + SPLITS.index("validation")]
        reached = row["loss"] + self.settings.balance * row["bold_error"]
        if reached < self.best[0]:
            state = self.model.trained_state()
            self.best = reached, {name: value.detach().cpu().clone() for name, value in state.items()}

    def on_train_epoch_start(self) -> None:
        """The codec stays in evaluation mode whatever Lightning sets: it has no training-time behaviour to learn."""
        self.model.eval()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam: the arm's own weights at one rate in every arm, and the codec's at theirs where they may move.

        Rates rise linearly over the first tenth of the steps, because Adam's first steps are as long as its later ones
        whatever the gradient, and a start that is not random has something to lose; then they stay.
        """
        codec = {id(p) for p in self.model.codec_parameters()}
        own = [p for p in self.model.parameters() if id(p) not in codec]
        groups: list[dict[str, Any]] = [{"params": own, "lr": self.settings.learning_rate}]
        if self.model.codec_moves:
            groups.append(
                {"params": list(self.model.codec_parameters()), "lr": self.settings.codec_learning_rate}
            )
        optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99))
        rising = max(1, self.settings.steps // 10)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / rising))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curve and the best weights so far with the present ones."""
        checkpoint["rows"], checkpoint["best"] = self.rows, self.best
        checkpoint["seconds"] = self.seconds_before + time.monotonic() - self.began

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with them."""
        self.best = checkpoint["best"]
        self.rows, self.seconds_before = checkpoint["rows"], checkpoint["seconds"]

    def curves(self) -> pd.DataFrame:
        """The curve as a tidy table."""
        return pd.DataFrame(self.rows, columns=["step", "part", "loss", "bold_error", "seconds"])


class _Progress(Callback):
    """One line after each epoch, and the losses before the first."""

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if isinstance(pl_module, _Loop) and not pl_module.rows and trainer.ckpt_path is None:
            pl_module.renew()
            with torch.no_grad():
                for part, loader in enumerate(pl_module.data.val_dataloader()):
                    for batch in loader:
                        moved = {name: value.to(pl_module.device) for name, value in batch.items()}
                        pl_module.validation_step(moved, 0, part)
            pl_module.on_validation_epoch_end()

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if isinstance(pl_module, _Loop):
            rows = pl_module.rows[-len(SPLITS) :]
            losses, errors = (
                ", ".join(f"{row['part']} {row[key]:.3f}" for row in rows) for key in ("loss", "bold_error")
            )
            pl_module.say(
                f"training the {pl_module.model.name} arm: step {rows[0]['step']} of {pl_module.settings.steps}, "
                f"loss: {losses}; distance to BOLD: {errors}; {rows[-1]['seconds']:.0f} s"
            )


@contextlib.contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Seed torch for one training and leave the caller's random state as it was; quieten Lightning's banners."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            yield
        finally:
            logger.setLevel(level)


def _spread(items: list[int], count: int) -> list[int]:
    """At most ``count`` of the items, evenly spread."""
    picks = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[i] for i in picks]
