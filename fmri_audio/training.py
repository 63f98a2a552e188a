"""One training loop for every arm: same start, same windows in the same order, same number of steps.

The loss compares sounds: mel spectrograms at three resolutions and, lightly, the waveforms. Training runs on a
GPU where there is one, can be resumed after every epoch, and what it made is kept under the hash of all that decides
it, so that no model is trained twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
import numpy as np
import pandas as pd
import torch
import torchaudio
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.data import DataLoader, Dataset

from fmri_audio.bottleneck import ARMS, Grid, SoundBottleneck, TrProjection
from fmri_audio.errors import UserError
from fmri_audio.representations.streaming import decode_in_pieces, encode_in_pieces
from fmri_audio.study.splits import Split
from fmri_audio.timeline import frames_of_tr, run_samples, trs_to_samples

if TYPE_CHECKING:
    from encodec.modules.seanet import SEANetDecoder

    from fmri_audio.checkpoints import Checkpoint
    from fmri_audio.settings import TrainingSettings

Waveform = NDArray[np.float32]
Block = tuple[int, int]

#: Windows on which the loss is followed, in training and in held-out sound each.
PROBES = 4
#: A curve that falls by more than this share of its last value over the last third of training still falls.
STILL_FALLING = 0.01
_MEL_SIZES = (512, 1024, 2048)
_WAVEFORM_WEIGHT = 0.1


@dataclass(frozen=True)
class Convergence:
    """Whether training was over when it ended.

    Attributes
    ----------
    converged : bool
    falling : float
        Fall of the training loss over the last third of training, as a share of its last value.
    """

    converged: bool
    falling: float

    @property
    def verdict(self) -> str:
        """In words; a model that has not converged gets no verdict on its quality."""
        return "converged" if self.converged else "not converged: the loss was still falling"


@dataclass(frozen=True)
class TrainedArm:
    """A trained model and how it came about.

    Attributes
    ----------
    model : SoundBottleneck
        In evaluation mode.
    units : array, shape [TRs, V]
        The model's own bottleneck for the whole stimulus (noise-free), not standardised.
    curves : DataFrame
        ``step``, ``part`` (training, held-out), ``loss``, ``seconds``.
    convergence : Convergence
    variance_passed : float
        Share of the training latents' variance that the starting projection passes.
    """

    model: SoundBottleneck
    units: NDArray[np.float32]
    curves: pd.DataFrame
    convergence: Convergence
    variance_passed: float

    @property
    def arm(self) -> str:
        """Name in the tables."""
        return self.model.arm


class SoundLoss(nn.Module):
    """How far a sound is from another: mel spectrograms at three resolutions, and lightly the waveforms.

    Spectrograms are compared twice, after Yamamoto et al. (2020): L1 of their logarithms, which hears what is
    quiet, and the Frobenius norm of their difference relative to the reference's, which hears what is strong.

    Parameters
    ----------
    sample_rate : int
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the smallest size leaves a few low mel bands empty
            self.mels = nn.ModuleList(
                torchaudio.transforms.MelSpectrogram(
                    sample_rate, size, hop_length=size // 4, n_mels=64, power=1.0
                )
                for size in _MEL_SIZES
            )

    def forward(self, degraded: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """Loss of ``degraded`` [B, 1, T] against ``reference`` [B, 1, T]."""
        loss = _WAVEFORM_WEIGHT * (degraded - reference).abs().mean()
        for mel in self.mels:
            ours, theirs = mel(degraded), mel(reference)
            quiet = (torch.log(ours + 1e-3) - torch.log(theirs + 1e-3)).abs().mean()
            strong = (ours - theirs).norm() / (theirs.norm() + 1e-3)
            loss = loss + (quiet + strong) / len(self.mels)
        return loss


class SoundWindows(Dataset[torch.Tensor]):
    """Windows of sound [1, T], ``window`` TRs from each of the TRs in ``starts``."""

    def __init__(
        self, waveform: Waveform, starts: Sequence[int], window: int, sample_rate: int, tr: Fraction
    ) -> None:
        self.waveform, self.starts = torch.from_numpy(waveform), list(starts)
        self.length = trs_to_samples(window, sample_rate, tr)
        self.onsets = [trs_to_samples(start, sample_rate, tr) for start in self.starts]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> torch.Tensor:
        onset = self.onsets[index]
        return self.waveform[None, onset : onset + self.length]


def window_starts(block: Block, window: int, grid: Grid) -> list[int]:
    """TRs of a block at which a window may start: where a TR's edge is also a frame's edge."""
    step = Fraction(grid.tr * grid.frame_rate).denominator
    first = -(-block[0] // step) * step
    return list(range(first, block[1] - window + 1, step))


def judge(losses: Sequence[float]) -> Convergence:
    """Judge a training curve, one loss per epoch from before the first on.

    A straight line is fitted to the last third (at least three values); if it falls by more than 1 % of the last
    value over that stretch, the curve still falls.
    """
    tail = np.asarray(losses[-max(3, len(losses) // 3 + 1) :])
    if len(tail) < 3:
        return Convergence(False, float("nan"))
    slope = float(np.polyfit(np.arange(len(tail)), tail, 1)[0])
    falling = -slope * (len(tail) - 1) / float(tail[-1])
    return Convergence(falling <= STILL_FALLING, falling)


def train(
    model: SoundBottleneck,
    waveform: Waveform,
    sample_rate: int,
    split: Split,
    settings: TrainingSettings,
    *,
    seed: int,
    folder: Path,
    stop_after: int | None = None,
    say: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Train a model, resuming where an earlier call in the same folder was interrupted.

    Nothing of the held-out block influences the weights: it is only listened to, for the curve.

    Parameters
    ----------
    model : SoundBottleneck
        Changed in place; only what its arm allows to move.
    waveform : array, shape [T]
        The whole stimulus.
    split : Split
    settings : TrainingSettings
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
        ``step``, ``part``, ``loss``, ``seconds``.
    """
    loop = _Loop(model, SoundLoss(sample_rate), settings, say or _say)
    device = model.device
    starts = [
        k for block in split.train_blocks for k in window_starts(block, settings.window_trs, model.grid)
    ]
    held_out = window_starts(split.test_block, settings.window_trs, model.grid)
    if not starts or not held_out:
        raise UserError(
            f"training.window_trs: {settings.window_trs} TRs do not fit into the blocks of the split"
        )
    data = _Windows(waveform, sample_rate, starts, held_out, model.grid.tr, settings, seed)
    last = folder / "last.ckpt"
    with warnings.catch_warnings(), _deterministic(seed):
        # Lightning's advice on workers and the codec's evaluation mode does not apply to this small loop.
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=settings.epochs if stop_after is None else stop_after,
            accelerator="auto", devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, reload_dataloaders_every_n_epochs=1, inference_mode=False,
            callbacks=[_Progress(), ModelCheckpoint(folder, "last", save_top_k=1, enable_version_counter=False)],
        )  # fmt: skip
        loop.data = data
        trainer.fit(loop, datamodule=data, ckpt_path=last if last.is_file() else None)
    model.to(device)
    return loop.curves()


def trained_arms(
    checkpoint: Checkpoint,
    waveform: Waveform,
    sample_rate: int,
    latents: NDArray[np.float32],
    split: Split,
    settings: TrainingSettings,
    *,
    n_units: int,
    runs: Sequence[tuple[int, int]],
    tr: Fraction,
    seed: int,
    cache: Path,
    say: Callable[[str], None] | None = None,
) -> dict[str, TrainedArm]:
    """All arms, trained once and kept in ``cache`` under the hash of everything that decides them.

    Two processes that ask for the same model at once do not train it twice: the second waits for the first.

    Parameters
    ----------
    checkpoint : Checkpoint
        The codec both arms start from; never changed.
    waveform : array, shape [T]
    latents : array, shape [C, L]
        The codec's encoding of the whole waveform.
    split : Split
    settings : TrainingSettings
    n_units : int
        Voxels of the mask.
    runs : sequence of (first TR, number of TRs)
        Of the stimulus; an encoder starts afresh with every run.
    tr : Fraction
    seed : int
    cache : Path

    Returns
    -------
    dict
        Name of the arm → :class:`TrainedArm`, in the order of :data:`fmri_audio.bottleneck.ARMS`.
    """
    if settings.rank > n_units:
        raise UserError(
            f"training.rank: {settings.rank} does not fit through the {n_units} voxels of the mask"
        )
    codec = checkpoint.model
    grid = Grid(tr, Fraction(sample_rate, int(codec.encoder.hop_length)), latents.shape[0])
    start = TrProjection(grid, n_units, settings.rank)
    passed = start.start_from(torch.from_numpy(latents), list(split.train_blocks), seed)
    key = _key(checkpoint, waveform, runs, split, settings, n_units, tr, seed)
    arms = {}
    for kind in ARMS:
        model = kind(codec, start)
        folder = cache / f"{model.arm}-{key}"
        with _locked(folder, say or _say):
            if not (folder / "facts.json").is_file():
                _train_into(folder, model, waveform, sample_rate, latents, split, settings, runs, seed, say)
        arms[model.arm] = _restore(folder, model, passed)
    return arms


def own_latents(
    model: SoundBottleneck, waveform: Waveform, sample_rate: int, runs: Sequence[tuple[int, int]]
) -> torch.Tensor:
    """Latents [C, L] of a whole waveform [T] by the model's own encoder, every run from rest, on the CPU."""
    whole = torch.from_numpy(waveform)[None, None]
    spans = run_samples(runs, sample_rate, model.grid.tr, model.hop_length)
    with torch.inference_mode():
        return torch.cat([encode_in_pieces(model.encoder, whole[..., a:b])[0].cpu() for a, b in spans], dim=-1)


def units_of(model: SoundBottleneck, latents: torch.Tensor, n_trs: int) -> NDArray[np.float32]:
    """Units [TRs, V] of latents [C, L] that begin with TR 0."""
    with torch.inference_mode():
        return np.asarray(model.to_units(latents[None].to(model.device), n_trs)[0].cpu().numpy())


def sound_of_units(
    model: SoundBottleneck, units: NDArray[np.float32], first_tr: int, sample_rate: int
) -> Waveform:
    """The waveform of consecutive TRs' units [TRs, V], exactly as long as the TRs."""
    with torch.inference_mode():
        given = torch.from_numpy(np.ascontiguousarray(units, np.float32))[None].to(model.device)
        latents = model.projection.from_units(given, first_tr)
        wave = _decoded(model.decoder, latents)
    return _exact(wave, first_tr, len(units), model.grid, sample_rate, model.hop_length)


def sound_of_latents(
    checkpoint: Checkpoint, latents: NDArray[np.float32], block: Block, tr: Fraction, sample_rate: int
) -> Waveform:
    """The waveform of one block of TRs by the untouched codec's decoder, from latents [C, L] of that block."""
    hop = int(checkpoint.model.encoder.hop_length)
    grid = Grid(tr, Fraction(sample_rate, hop), latents.shape[0])
    with torch.inference_mode():
        wave = _decoded(checkpoint.model.decoder, torch.from_numpy(latents)[None])
    return _exact(wave, block[0], block[1] - block[0], grid, sample_rate, hop)


def latents_of_block(latents: NDArray[np.float32], block: Block, grid: Grid) -> NDArray[np.float32]:
    """The frames [C, l] that a block of TRs touches, of latents [C, L] that begin with TR 0."""
    first = frames_of_tr(block[0], grid.tr, grid.frame_rate).first
    return np.ascontiguousarray(latents[:, first : first + grid.n_frames(block[1] - block[0], block[0])])


def _decoded(decoder: SEANetDecoder, latents: torch.Tensor) -> Waveform:
    """Waveform [T] of latents [1, C, L]."""
    return np.asarray(decode_in_pieces(decoder, latents)[0, 0].cpu().numpy())


def _exact(wave: Waveform, first_tr: int, n_trs: int, grid: Grid, sample_rate: int, hop: int) -> Waveform:
    """Cut the half frames off a decoded block, so that it begins and ends with its TRs."""
    begin = (
        trs_to_samples(first_tr, sample_rate, grid.tr)
        - frames_of_tr(first_tr, grid.tr, grid.frame_rate).first * hop
    )
    length = trs_to_samples(first_tr + n_trs, sample_rate, grid.tr) - trs_to_samples(
        first_tr, sample_rate, grid.tr
    )
    return np.ascontiguousarray(wave[begin : begin + length], np.float32)


class _Windows(lightning.LightningDataModule):
    """Windows in an order that depends on seed and epoch alone, so that a resumed run sees what it would have seen."""

    def __init__(
        self,
        waveform: Waveform,
        sample_rate: int,
        starts: list[int],
        held_out: list[int],
        tr: Fraction,
        settings: TrainingSettings,
        seed: int,
    ) -> None:
        super().__init__()
        self.starts, self.held_out, self.seed = starts, held_out, seed
        self.batch_size = settings.batch_size
        self.per_epoch = [len(part) for part in np.array_split(np.arange(settings.steps), settings.epochs)]
        self.make: Callable[[Sequence[int]], SoundWindows] = lambda which: SoundWindows(
            waveform, which, settings.window_trs, sample_rate, tr
        )

    def order(self, epoch: int) -> list[int]:
        """TRs at which the windows of an epoch start."""
        rng = np.random.default_rng([self.seed, epoch])
        needed = self.per_epoch[epoch] * self.batch_size
        passes = [rng.permutation(self.starts) for _ in range(-(-needed // len(self.starts)))]
        return [int(k) for k in np.concatenate(passes)[:needed]]

    def train_dataloader(self) -> DataLoader[torch.Tensor]:
        """Batches of the epoch to come."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        return DataLoader(self.make(self.order(epoch)), batch_size=self.batch_size)

    def val_dataloader(self) -> list[DataLoader[torch.Tensor]]:
        """The windows that are followed: of training sound and of held-out sound."""
        probes = [_spread(self.starts, PROBES), _spread(self.held_out, PROBES)]
        return [DataLoader(self.make(which), batch_size=len(which)) for which in probes]


class _Loop(lightning.LightningModule):
    """The step, the optimiser and the curve."""

    PARTS = ("training", "held-out")
    data: _Windows

    def __init__(
        self, model: SoundBottleneck, loss: SoundLoss, settings: TrainingSettings, say: Callable[[str], None]
    ) -> None:
        super().__init__()
        self.model, self.loss, self.settings, self.say = model, loss, settings, say
        self.rows: list[dict[str, Any]] = []
        self.seconds_before, self.began = 0.0, time.monotonic()

    def sound_loss(self, waveform: torch.Tensor) -> torch.Tensor:
        """Loss of sound [B, 1, T] that went through the bottleneck."""
        passed = self.model(waveform, self.settings.window_trs)
        length = min(passed.shape[-1], waveform.shape[-1])
        loss: torch.Tensor = self.loss(passed[..., :length], waveform[..., :length])
        return loss

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        """One optimiser step."""
        return self.sound_loss(batch)

    def validation_step(self, batch: torch.Tensor, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Follow the loss; nothing is chosen by it."""
        self.rows.append({
            "step": self.global_step, "part": self.PARTS[dataloader_idx], "loss": float(self.sound_loss(batch)),
            "seconds": self.seconds_before + time.monotonic() - self.began,
        })  # fmt: skip

    def on_train_epoch_start(self) -> None:
        """The codec stays in evaluation mode whatever Lightning sets: it has no training-time behaviour to learn."""
        self.model.eval()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam: the projection at one rate in every arm, and the codec's weights at their own where they may move."""
        groups: list[dict[str, Any]] = [
            {"params": list(self.model.projection.parameters()), "lr": self.settings.learning_rate}
        ]
        if self.model.codec_moves:
            groups.append(
                {"params": list(self.model.codec_parameters()), "lr": self.settings.codec_learning_rate}
            )
        return torch.optim.Adam(groups, betas=(0.9, 0.99))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the curve with the weights."""
        checkpoint["rows"] = self.rows
        checkpoint["seconds"] = self.seconds_before + time.monotonic() - self.began

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the curve."""
        self.rows, self.seconds_before = checkpoint["rows"], checkpoint["seconds"]

    def curves(self) -> pd.DataFrame:
        """The curve as a tidy table."""
        return pd.DataFrame(self.rows, columns=["step", "part", "loss", "seconds"])


class _Progress(Callback):
    """One line after each epoch, and the losses before the first."""

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if isinstance(pl_module, _Loop) and not pl_module.rows and trainer.ckpt_path is None:
            with torch.no_grad():
                for part, loader in enumerate(pl_module.data.val_dataloader()):
                    for batch in loader:
                        pl_module.validation_step(batch.to(pl_module.device), 0, part)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if isinstance(pl_module, _Loop):
            row = pl_module.rows[-2:]
            pl_module.say(
                f"training the {pl_module.model.arm} arm: step {row[0]['step']} of {pl_module.settings.steps}, "
                f"loss {row[0]['loss']:.3f} (held-out {row[1]['loss']:.3f}), {row[1]['seconds']:.0f} s"
            )


def _train_into(
    folder: Path,
    model: SoundBottleneck,
    waveform: Waveform,
    sample_rate: int,
    latents: NDArray[np.float32],
    split: Split,
    settings: TrainingSettings,
    runs: Sequence[tuple[int, int]],
    seed: int,
    say: Callable[[str], None] | None,
) -> None:
    """Train one arm and store it; ``facts.json`` is written last and says that the rest is whole."""
    working = folder / "working"
    working.mkdir(parents=True, exist_ok=True)
    curves = train(model, waveform, sample_rate, split, settings, seed=seed, folder=working, say=say)
    known = (
        own_latents(model, waveform, sample_rate, runs) if model.codec_moves else torch.from_numpy(latents)
    )
    kept = model.state_dict() if model.codec_moves else model.projection.state_dict()
    save_file({name: value.contiguous() for name, value in kept.items()}, folder / "weights.safetensors")
    np.save(folder / "units.npy", units_of(model, known, sum(count for _, count in runs)))
    curves.to_csv(folder / "curves.csv", index=False)
    judged = judge(curves.loc[curves["part"] == "training", "loss"].to_list())
    temporary = folder / "facts.json.part"
    temporary.write_text(json.dumps({"arm": model.arm, **asdict(judged)}, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, folder / "facts.json")
    shutil.rmtree(working)


def _restore(folder: Path, model: SoundBottleneck, passed: float) -> TrainedArm:
    """Read a stored arm back."""
    state = load_file(folder / "weights.safetensors")
    (model if model.codec_moves else model.projection).load_state_dict(state)
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return TrainedArm(
        model.eval(), np.load(folder / "units.npy"), pd.read_csv(folder / "curves.csv"),
        Convergence(facts["converged"], facts["falling"]), passed,
    )  # fmt: skip


def _key(
    checkpoint: Checkpoint,
    waveform: Waveform,
    runs: Sequence[tuple[int, int]],
    split: Split,
    settings: TrainingSettings,
    n_units: int,
    tr: Fraction,
    seed: int,
) -> str:
    """Hash of all that decides a trained model: sound, weights, split, settings, seed and code."""
    digest = hashlib.sha256(waveform.tobytes())
    here = Path(__file__).parent
    for name in ("bottleneck.py", "training.py", "timeline.py"):
        digest.update((here / name).read_bytes())
    facts = (
        checkpoint.sha256,
        list(runs),
        repr(split),
        settings.model_dump_json(),
        n_units,
        str(tr),
        seed,
        torch.cuda.is_available(),
    )
    digest.update(repr(facts).encode())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder's lock; the system lets go of it if the process dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that is training {folder.name}")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


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


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
