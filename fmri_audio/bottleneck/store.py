"""Trained arms, each trained once and kept under the hash of all that decides it.

A seal beside an arm's folder has the hashes of its files: what is damaged, cut short or not sealed is trained again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import to_json
from fmri_audio.base.fingerprint import fingerprint
from fmri_audio.base.kinds import Say
from fmri_audio.base.stored import is_sound_archive, is_whole, seal_of, write_seal
from fmri_audio.bottleneck.arms import ARMS
from fmri_audio.bottleneck.arms.base import Arm, Material
from fmri_audio.bottleneck.training import (
    Convergence,
    judge,
    objective,
    precision_of,
    selected_step,
    set_apart,
    tell,
    train,
)
from fmri_audio.study.splits import Split

if TYPE_CHECKING:
    from fmri_audio.base.settings import TrainingSettings


@dataclass(frozen=True)
class TrainedArm:
    """A trained model and how it came about.

    Attributes
    ----------
    model : Arm
        In evaluation mode.
    seed : int
        Of the start and of the order of the windows.
    code : array, shape [TRs, r]
        What the sound of every TR is for the model, before the bottleneck.
    volumes : array, shape [volumes, V]
        The model's own BOLD for the whole stimulus (noise-free), standardised on training volumes.
    curves : DataFrame
        ``step``, ``part`` (training, validation, held-out), ``loss``, ``bold_error``, ``seconds``.
    convergence : Convergence
    selected : int
        The step whose weights these are.
    variance_passed : float
        Share of the training features' variance that the starting code has.
    """

    model: Arm
    seed: int
    code: NDArray[np.float32]
    volumes: NDArray[np.float32]
    curves: pd.DataFrame
    convergence: Convergence
    selected: int
    variance_passed: float

    @property
    def arm(self) -> str:
        """Name in the tables."""
        return self.model.name


def build(name: str, material: Material, seed: int = 0) -> Arm:
    """Make an arm whose weights are still to be set; what no start sets is drawn with ``seed``.

    Raises
    ------
    UserError
        The rank fits neither the units nor the features.
    """
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return ARMS[name].build(material).eval()
    except ValueError as error:
        raise UserError(
            f"training.rank: {error}; the {name} arm needs another rank, or a larger mask"
        ) from None


def trained_arms(
    names: Sequence[str],
    material: Material,
    split: Split,
    settings: TrainingSettings,
    *,
    seed: int,
    cache: Path,
    say: Say | None = None,
) -> dict[str, TrainedArm]:
    """Arms, trained once and kept in ``cache`` under the hash of everything that decides them.

    Two processes that ask for the same models at once do not train one twice: each takes those that nobody is training,
    and waits only when none is left. An arm is looked at, trained where that is needed, sealed and restored under one
    lock, so that no other process takes for damaged what is only being written.

    Parameters
    ----------
    names : sequence of str
        Of :data:`fmri_audio.bottleneck.arms.ARMS`.
    material : Material
    split : Split
    settings : TrainingSettings
    seed : int
    cache : Path

    Returns
    -------
    dict
        Name of the arm → :class:`TrainedArm`, in the order given.
    """
    models = {name: build(name, material, seed) for name in names}
    step = common_step(
        [build(name, material) for name in settings.arms if name not in models] + [*models.values()]
    )
    cache.mkdir(parents=True, exist_ok=True)
    keys = {name: _key(name, material, split, settings, step, seed) for name in models}
    folders = {name: cache / f"{name}-{key}" for name, key in keys.items()}
    restored: dict[str, TrainedArm] = {}
    for name in _one_by_one(folders, say or tell):
        folder = folders[name]
        _drop_damaged(folder)
        if not (folder / "facts.json").is_file():
            _train_into(folder, models[name], material, split, settings, step, seed, say)
            write_seal(seal_of(folder), _files(folder))
        restored[name] = _restore(folder, models[name], seed)
    return {name: restored[name] for name in models}


def common_step(models: Sequence[Arm]) -> int:
    """TRs between possible starts of a window: one step for all arms of an edition, which share their windows."""
    return math.lcm(*(model.grid.step for model in models))


def features_of(model: Arm, material: Material) -> torch.Tensor:
    """Features [C, L] of the whole stimulus with which an arm starts; the codec's are known beforehand."""
    known = {"encodec-latents": material.latents, "encodec-codes": material.codes}
    if model.representation in known:
        return torch.from_numpy(np.ascontiguousarray(known[model.representation]))
    return model.stimulus_features(material.sound)


def _train_into(
    folder: Path,
    model: Arm,
    material: Material,
    split: Split,
    settings: TrainingSettings,
    step: int,
    seed: int,
    say: Say | None,
) -> None:
    """Train one arm and store it; ``facts.json`` is written last and says that the rest is whole."""
    working = folder / "working"
    working.mkdir(parents=True, exist_ok=True)
    features = features_of(model, material)
    fitted, validation = set_apart(split, settings.validation_fraction)
    passed = model.start(features, fitted, seed)
    curves = train(
        model, material, features, fitted, validation, settings, step=step, seed=seed, folder=working, say=say
    )
    save_file(model.trained_state(), folder / "weights.safetensors")
    np.save(folder / "code.npy", model.around.cpu().numpy())
    curves.to_csv(folder / "curves.csv", index=False)
    judged = judge(objective(curves[curves["part"] == "validation"], settings.balance).tolist())
    selected = selected_step(curves, settings.balance)
    temporary = folder / "facts.json.part"
    facts = {"arm": model.name, **asdict(judged), "selected": selected, "variance_passed": passed}
    temporary.write_text(to_json(facts), encoding="utf-8")
    os.replace(temporary, folder / "facts.json")
    shutil.rmtree(working)


def _drop_damaged(folder: Path) -> None:
    """Remove a trained arm that is not what was stored, or an unfinished training that cannot be read."""
    if (folder / "facts.json").is_file():
        if not is_whole(seal_of(folder), _files(folder)):
            shutil.rmtree(folder)
    elif (begun := folder / "working" / "last.ckpt").is_file() and not is_sound_archive(begun):
        print(f"{begun}: damaged; the training begins anew", file=sys.stderr, flush=True)
        shutil.rmtree(folder)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _restore(folder: Path, model: Arm, seed: int) -> TrainedArm:
    """Read a stored arm back."""
    model.load_trained_state(load_file(folder / "weights.safetensors"))
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    code = np.load(folder / "code.npy")
    model.around.copy_(torch.from_numpy(code))
    return TrainedArm(
        model.eval(),
        seed,
        code,
        model.volumes().cpu().numpy(),
        pd.read_csv(folder / "curves.csv"),
        Convergence(facts["converged"], facts["falling"], facts["improved"], facts["overfits"]),
        facts["selected"],
        facts["variance_passed"],
    )


def _key(
    name: str, material: Material, split: Split, settings: TrainingSettings, step: int, seed: int
) -> str:
    """Hash of all that decides a trained arm: sound, weights, split, settings, seed, and the code of this arm."""
    digest = hashlib.sha256(fingerprint("fmri_audio.bottleneck.store", *ARMS.modules([name])).encode())
    for array in (material.sound.waveform, material.latents, material.codes, material.bold):
        digest.update(np.ascontiguousarray(array).tobytes())
    # Which arms are trained, and from how many seeds, decides nothing about any one of them.
    facts = (
        material.checkpoint.sha256,
        list(material.sound.runs),
        str(material.sound.tr),
        repr(split),
        settings.model_dump_json(exclude={"arms", "seeds"}),
        material.mel.model_dump_json(),
        dict(material.parts.get(name, {})),
        list(material.lags),
        material.shift,
        step,
        seed,
        torch.cuda.is_available(),
        precision_of(settings),
    )
    digest.update(repr(facts).encode())
    return digest.hexdigest()[:16]


def _one_by_one(folders: Mapping[str, Path], say: Say) -> Iterator[str]:
    """Names of folders, each held locked while it is the caller's; those that another process holds come last.

    The system lets go of a lock if its process dies.
    """
    left = dict(folders)
    while left:
        with contextlib.ExitStack() as held:
            locks = {
                name: held.enter_context(open(folder.with_suffix(".lock"), "w"))
                for name, folder in left.items()
            }
            name = next((name for name, lock in locks.items() if _taken(lock)), None)
            if name is None:
                name = next(iter(left))
                say(f"waiting for another run that is training {left[name].name}")
                fcntl.flock(locks[name], fcntl.LOCK_EX)
            del left[name]
            yield name


def _taken(lock: IO[str]) -> bool:
    """Lock a file unless another process holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
