"""Where the codec's weights come from, and proof that they are the ones named.

Four kinds of weights can be asked for, and nothing is ever swapped for something else:

``demo``
    the narrow EnCodec trained in this repository by ``make codec`` (``checkpoints/``);
``released``
    Meta's 24 kHz EnCodec, from a folder, from torch's download cache, or downloaded once;
``released-48khz``
    Meta's 48 kHz stereo EnCodec, from the same places: for ``fmri-audio codec``, not for the book's chapters;
a path
    a ``.safetensors`` file written by :func:`save`, a ``.th`` state dict as Meta publishes it, or a
    folder that holds Meta's file.

The network itself is the one of the ``encodec`` package (Défossez et al. 2022, "High fidelity neural
audio compression"): SEANet encoder and decoder and a residual vector quantiser.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
import tempfile
import urllib.error
import urllib.request
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from encodec.model import ROOT_URL, EncodecModel
from encodec.modules.seanet import SEANetDecoder, SEANetEncoder
from encodec.quantization.vq import ResidualVectorQuantizer

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import sha256_of
from fmri_audio.base.settings import NAMED_CODECS, project_root
from fmri_audio.codec.weight_files import WeightFile, read, shown, write

DEMO_FILE = "encodec-24khz-demo.safetensors"
FOLDER_VARIABLE = "FMRI_AUDIO_CHECKPOINTS"
FORMAT = "fmri-audio codec 1"

DEMO_LICENCE = "MIT (trained for this project on synthesised sound)"
# Read in facebookresearch/encodec in 2026: the README licenses the code; whether that covers the weights is
# asked in issue 69 and not answered.
RELEASED_LICENCE = (
    "code: MIT in its repository, CC BY-NC 4.0 in the package encodec 0.1.1; weights: released by Meta without a "
    "licence of their own (facebookresearch/encodec, issue 69)"
)


@dataclass(frozen=True)
class Release:
    """Weights that Meta published: the file's name, which ends in the start of its sha256, and what is in it."""

    file: str
    description: str
    build: Callable[[], EncodecModel]


#: The topology of the 24 kHz EnCodec at its full width; a checkpoint's own configuration overrides it.
FULL_WIDTH: dict[str, Any] = {
    "sample_rate": 24_000,
    "channels": 1,
    "n_filters": 32,
    "n_residual_layers": 1,
    "dimension": 128,
    "ratios": [8, 5, 4, 2],
    "lstm": 2,
    "norm": "weight_norm",
    "codebooks": 32,
    "codebook_size": 1024,
    "bandwidths": [1.5, 3.0, 6.0, 12.0, 24.0],
}

#: The least and the most that a number of the topology may be: far beyond any codec, and harmless.
_BOUNDS: dict[str, tuple[int, int]] = {
    "sample_rate": (1_000, 768_000),
    "channels": (1, 2),
    "n_filters": (1, 512),
    "n_residual_layers": (0, 8),
    "dimension": (1, 1024),
    "lstm": (0, 8),
    "codebooks": (1, 64),
    "codebook_size": (2, 65_536),
}
_NORMS = ("none", "weight_norm", "spectral_norm", "time_layer_norm", "layer_norm", "time_group_norm")

# Only the code vectors matter once training is over; the running averages are rebuilt from them.
_TRAINING_BUFFERS = ("inited", "cluster_size", "embed_avg")


@dataclass(frozen=True)
class Checkpoint:
    """A codec that is ready to use, and where it came from.

    Attributes
    ----------
    id : str
        Name for tables: ``demo-1a2b3c4d``, ``encodec_24khz-d7cc33bc``, ``<stem>-<first 8 of sha256>``.
    model : EncodecModel
        In evaluation mode, float32, gradients off. The codebooks are *buffers*: calling ``.train()`` on the
        model would let its quantiser overwrite them, so fine-tuning must leave the quantiser in ``.eval()``.
    spec : str
        What was asked for.
    source : str
        The file that was read.
    sha256 : str
        Of that file.
    licence, description : str
        One line each, for the pages.
    """

    id: str
    model: EncodecModel
    spec: str
    source: str
    sha256: str
    licence: str
    description: str


def build(config: dict[str, Any] | None = None) -> EncodecModel:
    """EnCodec's 24 kHz topology with random weights.

    Parameters
    ----------
    config : dict, optional
        Entries that differ from :data:`FULL_WIDTH`, for example ``{"n_filters": 8}``.

    Returns
    -------
    EncodecModel
        In training mode; codebooks marked as not yet initialised.

    Raises
    ------
    UserError
        If the configuration has an entry that the topology does not know, or a value that no codec has.
    """
    unknown = sorted(set(config or {}) - set(FULL_WIDTH))
    if unknown:
        raise UserError(
            f"codec configuration: {unknown[0]} is not an entry of the topology ({', '.join(FULL_WIDTH)})"
        )
    full = {**FULL_WIDTH, **(config or {})}
    _check_topology(full)
    shared = {
        "channels": full["channels"],
        "dimension": full["dimension"],
        "n_filters": full["n_filters"],
        "n_residual_layers": full["n_residual_layers"],
        "ratios": list(full["ratios"]),
        "lstm": full["lstm"],
        "norm": full["norm"],
        "causal": True,
    }
    quantiser = ResidualVectorQuantizer(
        dimension=full["dimension"], n_q=full["codebooks"], bins=full["codebook_size"]
    )
    with warnings.catch_warnings():
        # How the encodec package normalises its weights is not for its users to change.
        warnings.filterwarnings("ignore", message=".*weight_norm", category=FutureWarning)
        encoder, decoder = SEANetEncoder(**shared), SEANetDecoder(**shared)
    return EncodecModel(
        encoder,
        decoder,
        quantiser,
        list(full["bandwidths"]),
        full["sample_rate"],
        full["channels"],
        name="encodec_24khz_topology",
    )


def _check_topology(full: dict[str, Any]) -> None:
    """Raise a UserError unless every entry is of its kind and size, before anything is made of it."""
    for name, (least, most) in _BOUNDS.items():
        if not _is_whole(full[name], least, most):
            raise UserError(
                f"codec configuration: {name} should be a whole number from {least:,} to {most:,}, "
                f"not {shown(full[name])}"
            )
    ratios, rates = full["ratios"], full["bandwidths"]
    if not (isinstance(ratios, list) and 1 <= len(ratios) <= 8 and all(_is_whole(r, 1, 64) for r in ratios)):
        raise UserError(
            f"codec configuration: ratios should be up to 8 whole numbers from 1 to 64, not {shown(ratios)}"
        )
    if not (isinstance(rates, list) and 1 <= len(rates) <= 64 and all(_is_rate(rate) for rate in rates)):
        raise UserError(
            f"codec configuration: bandwidths should be up to 64 positive numbers (kbps), not {shown(rates)}"
        )
    if full["norm"] not in _NORMS:
        raise UserError(
            f"codec configuration: norm should be one of {', '.join(_NORMS)}, not {shown(full['norm'])}"
        )


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_rate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 10_000


def _build_48khz() -> EncodecModel:
    """EnCodec's 48 kHz stereo topology with random weights: segments of 1 s, each brought to one level."""
    model: EncodecModel = EncodecModel.encodec_model_48khz(pretrained=False)
    return model


#: What Meta released, by the name to ask for it.
RELEASED = {
    "released": Release(
        "encodec_24khz-d7cc33bc.th",
        "EnCodec 24 kHz at full width (Défossez et al. 2022), weights released by Meta",
        build,
    ),
    "released-48khz": Release(
        "encodec_48khz-7e698e3e.th",
        "EnCodec 48 kHz stereo (Défossez et al. 2022; trained on music), weights released by Meta",
        _build_48khz,
    ),
}


def bandwidths(model: EncodecModel) -> list[float]:
    """Bit rates the codec offers, in kbps, ascending."""
    return sorted(float(b) for b in model.target_bandwidths)


def freeze(model: EncodecModel) -> EncodecModel:
    """Evaluation mode, float32, no gradients: the codebooks (buffers) can no longer move."""
    return model.eval().float().requires_grad_(False)


def save(model: EncodecModel, path: str | Path, config: dict[str, Any], summary: dict[str, Any]) -> Path:
    """Write a codec as half-precision safetensors, atomically.

    Parameters
    ----------
    model : EncodecModel
        Built by :func:`build` with the same ``config``, codebooks initialised.
    path : path
        File to write; its folder is created.
    config : dict
        Entries that differ from :data:`FULL_WIDTH`.
    summary : dict
        JSON-able account of the training; ``description`` and ``licence`` are shown by :func:`load`.

    Returns
    -------
    Path
        The file written.
    """
    tensors = {
        name: value for name, value in model.state_dict().items() if not name.endswith(_TRAINING_BUFFERS)
    }
    return write(Path(path), FORMAT, WeightFile(config, summary, tensors))


def load(spec: str, *, base_url: str | None = None, cache: str | Path | None = None) -> Checkpoint:
    """Open the codec that ``spec`` names, verified.

    Parameters
    ----------
    spec : str
        ``demo``, ``released``, ``released-48khz``, a ``.safetensors`` or ``.th`` file, or a folder that holds
        a file of Meta's (the 24 kHz one, if both).
    base_url : str, optional
        Where Meta's files are downloaded from: the ``encodec`` package's own address unless given.
    cache : path, optional
        Folder for the downloaded file: ``$FMRI_AUDIO_CHECKPOINTS`` or torch's hub cache unless given.

    Returns
    -------
    Checkpoint

    Raises
    ------
    UserError
        If the file is missing, unreachable, truncated, altered, or no codec checkpoint.
    """
    if spec == "demo":
        path = project_root() / "checkpoints" / DEMO_FILE
        if not path.is_file():
            raise UserError(
                f"{path}: the demo checkpoint is missing; restore it with git, or train one with `make codec`"
            )
        return _load_ours(path, spec, "demo")
    if spec in RELEASED:
        return _load_meta(_released_file(RELEASED[spec], base_url or ROOT_URL, cache), spec)
    path = Path(spec).expanduser()
    if path.is_dir():
        held = (path / release.file for release in RELEASED.values())
        path = next((file for file in held if file.is_file()), path / RELEASED["released"].file)
    if not path.is_file():
        listed = ", ".join(f"`{name}`" for name in NAMED_CODECS)
        raise UserError(f"{path}: no such checkpoint; name a .safetensors or .th file, or one of {listed}")
    if path.suffix == ".safetensors":
        return _load_ours(path, spec, path.stem)
    if path.suffix == ".th":
        return _load_meta(path, spec)
    raise UserError(f"{path}: not a codec checkpoint; it must end in .safetensors (ours) or .th (Meta's)")


def at_hand(spec: str, *, cache: str | Path | None = None) -> bool:
    """Whether a release of Meta's (``released``, ``released-48khz``) lies on this machine; nothing is downloaded."""
    return any((folder / RELEASED[spec].file).is_file() for folder in _folders(cache))


def _load_ours(path: Path, spec: str, stem: str) -> Checkpoint:
    held = read(path, FORMAT, "codec checkpoint", partial(_check_declared, path))
    model, summary = build(held.config), held.summary
    state = {name: value.float() for name, value in held.tensors.items()}
    for name, value in model.state_dict().items():
        if name.endswith("embed_avg") and (codebook := state.get(name.removesuffix("_avg"))) is not None:
            state[name] = codebook.clone()
        elif name.endswith(("inited", "cluster_size")):
            state[name] = torch.ones_like(value)
    _fill(model, state, path)
    sha256 = sha256_of(path)
    return Checkpoint(
        id=f"{stem}-{sha256[:8]}",
        model=freeze(model),
        spec=spec,
        source=str(path),
        sha256=sha256,
        licence=str(summary.get("licence", "not stated in the file")),
        description=str(summary.get("description", "EnCodec topology, trained with this package")),
    )


def _check_declared(path: Path, config: dict[str, Any], declared: dict[str, tuple[int, ...]]) -> None:
    """Raise a UserError if a file asks for a network of more weights than it declares; nothing is allocated.

    Norms are left out: with them the weights are a few more, and PyTorch takes seconds to shape them.
    """
    try:
        _check_topology({**FULL_WIDTH, **config})
        with torch.device("meta"):
            wanted = build({**config, "norm": "none"}).state_dict()
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise UserError(f"{path}: its configuration describes no codec ({shown(str(error))})") from error
    needed = sum(value.numel() for name, value in wanted.items() if not name.endswith(_TRAINING_BUFFERS))
    held = sum(math.prod(shape) for shape in declared.values())
    if needed > held:
        raise UserError(
            f"{path}: its weights do not fit the network that it describes, which has {needed:,} and not {held:,}"
        )


def _load_meta(path: Path, spec: str) -> Checkpoint:
    sha256 = sha256_of(path)
    expected = _expected_prefix(path.name)
    release = RELEASED.get(spec) or _release_named(path.name)
    if expected and not sha256.startswith(expected):
        raise UserError(_wrong_hash(path, sha256, expected, release))
    state = read_state_dict(path, _how_to_get(release))
    model = release.build()
    _fill(model, state, path)
    return Checkpoint(
        id=f"{path.stem}" if expected else f"{path.stem}-{sha256[:8]}",
        model=freeze(model),
        spec=spec,
        source=str(path),
        sha256=sha256,
        licence=RELEASED_LICENCE,
        description=release.description,
    )


def read_state_dict(path: Path, how_to_get: str) -> dict[str, Any]:
    """Return what a state dict of PyTorch holds; only tensors and plain values are unpacked.

    Raises
    ------
    UserError
        It is truncated or no state dict; ``how_to_get`` ends the sentence.
    """
    try:
        _refuse_packed(path)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # on whatever a foreign file asks for; what comes of it is checked
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle that was tampered with makes its reader fail in any way
        raise UserError(
            f"{path}: the checkpoint is truncated or not a PyTorch state dict; {how_to_get}"
        ) from error
    if not isinstance(state, dict):
        raise UserError(f"{path}: holds no state dict of a network; {how_to_get}")
    return state


def _refuse_packed(path: Path) -> None:
    """Raise a ValueError if an archive unpacks to more than it is: PyTorch never compresses, a bomb does."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise ValueError(f"{path} is compressed")
    if sum(part.file_size for part in parts) > path.stat().st_size:
        raise ValueError(f"{path} declares more than it holds")


def _release_named(name: str) -> Release:
    """Return what a file of Meta's is by its name up to the hash: the 24 kHz release unless it says otherwise."""
    stem = name.rpartition("-")[0]
    named = (release for release in RELEASED.values() if stem and release.file.startswith(f"{stem}-"))
    return next(named, RELEASED["released"])


def _misfit(model: EncodecModel, path: Path) -> str:
    return (
        f"{path}: its weights do not fit the {model.sample_rate // 1000} kHz EnCodec that it should describe"
    )


def _check_weights(model: EncodecModel, state: dict[str, torch.Tensor], path: Path) -> None:
    """Raise a UserError unless there are weights for all of a model and nothing else, numbers all of them."""
    for name, value in state.items():
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.device.type != "cpu":
            raise UserError(_misfit(model, path))
        if not value.is_floating_point():
            raise UserError(f"{path}: {shown(name)} should be floating point, not {value.dtype}")
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    if wanted != {name: value.shape for name, value in state.items()}:
        raise UserError(_misfit(model, path))
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise UserError(f"{path}: {name} holds NaN or infinite weights; restore the file")


def _fill(model: EncodecModel, state: dict[str, torch.Tensor], path: Path) -> None:
    """Put weights into a model."""
    _check_weights(model, state, path)
    try:
        model.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise UserError(_misfit(model, path)) from error


def _expected_prefix(name: str) -> str | None:
    """Meta's files carry the start of their sha256 in their name, as torch's hub expects."""
    stem, dash, prefix = Path(name).stem.rpartition("-")
    is_hash = dash and stem and len(prefix) == 8 and set(prefix) <= set("0123456789abcdef")
    return prefix if is_hash else None


def _how_to_get(release: Release) -> str:
    return (
        f"get {ROOT_URL}{release.file} (sha256 begins with {_expected_prefix(release.file)}) and put it into "
        f"a folder named by {FOLDER_VARIABLE}"
    )


def _wrong_hash(path: Path | str, found: str, expected: str, release: Release) -> str:
    return (
        f"{path}: sha256 begins with {found[:8]}, expected {expected}: truncated or altered; "
        f"{_how_to_get(release)}"
    )


def _folders(cache: str | Path | None) -> list[Path]:
    """Folders in which Meta's files are looked for; a download goes into the first."""
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    named = os.environ.get(FOLDER_VARIABLE)
    return [Path(cache)] if cache else [Path(named).expanduser(), hub] if named else [hub]


def _released_file(release: Release, base_url: str, cache: str | Path | None) -> Path:
    """Meta's file where it already lies, downloaded where it does not."""
    folders = _folders(cache)
    for folder in folders:
        if (folder / release.file).is_file():
            return folder / release.file
    return _download(release, base_url + release.file, folders[0] / release.file)


def _download(release: Release, url: str, target: Path) -> Path:
    """Fetch ``url`` to a temporary name, check its hash, then put it in place."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            temporary = Path(folder) / target.name
            found = _stream(url, temporary)
            expected = _expected_prefix(target.name) or ""
            if not found.startswith(expected):
                raise UserError(_wrong_hash(url, found, expected, release))
            os.replace(temporary, target)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error or type(error).__name__
        raise UserError(
            f"{url}: the released checkpoint is unreachable ({reason}); {_how_to_get(release)}"
        ) from error
    except OSError as error:
        raise UserError(
            f"{target.parent}: the checkpoint cannot be written there ({error.strerror or error})"
        ) from error
    return target


def _stream(url: str, path: Path, chunk: int = 1 << 20) -> str:
    """Copy ``url`` into ``path``, showing progress on stderr; returns the sha256."""
    digest = hashlib.sha256()
    done = 0
    with urllib.request.urlopen(url, timeout=30) as reply, open(path, "wb") as stream:
        total = int(reply.headers.get("Content-Length") or 0)
        try:
            while block := reply.read(chunk):
                digest.update(block)
                stream.write(block)
                done += len(block)
                share = f"{100 * done / total:3.0f} %" if total else ""
                print(f"\rdownloading {path.name}: {done / 1e6:.1f} MB {share}", end="", file=sys.stderr)
        finally:
            # What comes next, be it an error, begins on a line of its own.
            print(file=sys.stderr)
    if total and done < total:
        raise UserError(f"{url}: the download broke off after {done} of {total} bytes; run the command again")
    return digest.hexdigest()
