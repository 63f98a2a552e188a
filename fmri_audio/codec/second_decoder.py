"""A second decoder for a codec's codes: Vocos, released for Meta's codec, or trained here for the demo codec.

It makes sound of the same bits as the codec's own decoder (Siuzdak 2023, section 4.3). Which one there is follows from
the codec: for Meta's the weights that the paper's author released, from a folder or from the hub's cache, nothing is
downloaded; for the demo codec ``checkpoints/vocos-demo.safetensors``, bound to that codec's id. Codes of one codec mean
nothing to a decoder that learned another's.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import sha256_of
from fmri_audio.base.settings import project_root
from fmri_audio.codec.checkpoints import FOLDER_VARIABLE, RELEASED, Checkpoint, read_state_dict
from fmri_audio.codec.counting import count_codebooks
from fmri_audio.codec.vocoder import (
    DECODER_FILE,
    LoadedVocoder,
    Vocoder,
    check_topology,
    load,
    sound_in_pieces,
    wanted_shapes,
)
from fmri_audio.codec.weight_files import shown

RELEASED_REPOSITORY = "charactr/vocos-encodec-24khz"
RELEASED_FILES = ("config.yaml", "pytorch_model.bin")
RELEASED_LICENCE = "MIT (code and weights, charactr-platform/vocos)"
CODEBOOKS = "feature_extractor.codebook_weights"
"""The codebook entries that the released weights come with, one codebook below the other: [K · 1024, D]."""


@dataclass(frozen=True)
class SecondDecoder:
    """Codes of one codec → sound.

    Attributes
    ----------
    vocoder : LoadedVocoder
    codebooks : Tensor [K, size, D]
        Whose entries it takes the sum of.
    """

    vocoder: LoadedVocoder
    codebooks: torch.Tensor

    @property
    def id(self) -> str:
        """Name for tables."""
        return self.vocoder.id

    @property
    def bandwidths(self) -> list[float]:
        """In kbps, ascending."""
        return [float(kbps) for kbps in self.vocoder.network.config["bandwidths"]]

    def check(self, bandwidth: float) -> None:
        """Raise a UserError unless it decodes codes of a bandwidth (kbps)."""
        if bandwidth not in self.bandwidths:
            listed = ", ".join(f"{kbps:g}" for kbps in self.bandwidths)
            raise UserError(
                f"decoder: {self.id} decodes {listed} kbps, not {bandwidth:g}: choose one of these, or the decoder own"
            )

    def pieces(self, codes: torch.Tensor, bandwidth: float) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield first sample and samples [T'] of codes [K, L], in bounded memory.

        Raises
        ------
        UserError
            If it does not decode that bandwidth.
        """
        self.check(bandwidth)
        place = self.bandwidths.index(bandwidth)
        yield from sound_in_pieces(
            self.vocoder.network, partial(self._features, codes), codes.shape[1], place
        )

    def _features(self, codes: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Sums of entries [D, l] of some frames."""
        part = codes[:, start:stop].long().to(self.codebooks.device)
        return torch.stack([book[chosen] for book, chosen in zip(self.codebooks, part)]).sum(0).t()  # noqa: B905

    def to(self, device: torch.device) -> SecondDecoder:
        """Return the same on a device."""
        self.vocoder.network.to(device)
        return SecondDecoder(self.vocoder, self.codebooks.to(device))


def decoder_for(checkpoint: Checkpoint, path: Path | None = None) -> SecondDecoder:
    """Open the second decoder of a codec, on the codec's device.

    Parameters
    ----------
    checkpoint : Checkpoint
    path : Path, optional
        File of a decoder that was trained with this package, or folder of the released one's; unless given, the
        demo codec's file in ``checkpoints/``, and for Meta's codec what lies on this machine.

    Raises
    ------
    UserError
        If there is none, it is damaged, or it was trained for another codec's codes.
    """
    if checkpoint.id == Path(RELEASED["released"].file).stem and (path is None or path.is_dir()):
        vocoder, codebooks = _load_released(_released_files(path))
    else:
        vocoder = load(path or project_root() / "checkpoints" / DECODER_FILE)
        if vocoder.codec != checkpoint.id:
            raise UserError(
                f"{vocoder.source}: decodes codes of {vocoder.codec or 'no codec'}, not of {checkpoint.id}: take the "
                "decoder own, or train another with `python -m programs vocoder codes --codec`"
            )
        codebooks = torch.stack([layer.codebook for layer in checkpoint.model.quantizer.vq.layers])
    decoder = SecondDecoder(vocoder, codebooks)
    _check_fit(decoder, checkpoint)
    return decoder.to(next(checkpoint.model.parameters()).device)


def _check_fit(decoder: SecondDecoder, checkpoint: Checkpoint) -> None:
    """Raise a UserError unless frames, entries and codebooks are the codec's."""
    config, model = decoder.vocoder.network.config, checkpoint.model
    books = max(count_codebooks(model, kbps) for kbps in decoder.bandwidths) if decoder.bandwidths else 0
    same = (
        config["hop"] == int(model.encoder.hop_length),
        config["channels"] == int(model.quantizer.dimension) == decoder.codebooks.shape[2],
        0 < books <= len(decoder.codebooks) and decoder.codebooks.shape[1] == int(model.quantizer.bins),
        config["padding"] == "same",
    )
    if not all(same):
        raise UserError(f"{decoder.vocoder.source}: its frames are not those of {checkpoint.id}")


def _released_files(folder: Path | None) -> tuple[Path, Path]:
    """Find configuration and weights of the released decoder: in a folder, or in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    named = os.environ.get(FOLDER_VARIABLE)
    places = [folder] if folder else [Path(named).expanduser() / "vocos-encodec-24khz"] if named else []
    for place in places:
        if all((place / name).is_file() for name in RELEASED_FILES):
            return place / RELEASED_FILES[0], place / RELEASED_FILES[1]
    found = [] if folder else [try_to_load_from_cache(RELEASED_REPOSITORY, name) for name in RELEASED_FILES]
    if len(found) == 2 and all(isinstance(one, str) for one in found):
        return Path(str(found[0])), Path(str(found[1]))
    raise UserError(
        f"decoder vocos: {' and '.join(RELEASED_FILES)} of {RELEASED_REPOSITORY} are not on this machine: put them "
        f"into {folder or f'the folder vocos-encodec-24khz of the one that {FOLDER_VARIABLE} names'}, or download them "
        "with `hf download`"
    )


def _load_released(files: tuple[Path, Path]) -> tuple[LoadedVocoder, torch.Tensor]:
    """Read the released decoder and its codebooks.

    No hash of the weights is published beside them, so they are held to their configuration: every weight that it
    asks for has to be there in its shape, and nothing else.
    """
    described, weights = files
    config = _released_config(described)
    state = read_state_dict(weights, f"get it from {RELEASED_REPOSITORY}")
    table = state.get(CODEBOOKS)
    parts = {
        name: value
        for name, value in state.items()
        if name != CODEBOOKS
        and not str(name).startswith("feature_extractor.encodec.")  # which the codec itself has
    }
    wanted = {k: v for k, v in wanted_shapes(config).items() if k not in ("mean", "scale")}
    size, books = int(RELEASED["released"].build().quantizer.bins), _most_books(config)
    if (
        not isinstance(table, torch.Tensor)
        or tuple(table.shape) != (books * size, config["channels"])
        or wanted != {name: tuple(getattr(value, "shape", ())) for name, value in parts.items()}
    ):
        raise UserError(
            f"{weights}: its weights do not fit the network that {described.name} describes; get both from "
            f"{RELEASED_REPOSITORY}"
        )
    if not all(
        value.is_floating_point() and torch.isfinite(value).all() for value in (*parts.values(), table)
    ):
        raise UserError(f"{weights}: holds NaN or infinite weights; get it from {RELEASED_REPOSITORY}")
    network = Vocoder(config)
    network.load_state_dict({name: value.float() for name, value in parts.items()}, strict=False)
    sha256 = sha256_of(weights)
    loaded = LoadedVocoder(
        id=f"vocos-encodec-24khz-{sha256[:8]}",
        network=network.eval().requires_grad_(False),
        codec=Path(RELEASED["released"].file).stem,
        source=str(weights),
        sha256=sha256,
        licence=RELEASED_LICENCE,
        description="Vocos for EnCodec's codes, released by charactr (Siuzdak 2023)",
    )
    return loaded, table.float().view(books, size, -1)


def _most_books(config: dict[str, Any]) -> int:
    return count_codebooks(RELEASED["released"].build(), max(config["bandwidths"]))


def _released_config(path: Path) -> dict[str, Any]:
    """Return the topology that the released ``config.yaml`` describes."""
    try:
        held = yaml.safe_load(path.read_text(encoding="utf-8"))
        classes = {part: held[part]["class_path"] for part in ("feature_extractor", "backbone", "head")}
        features, backbone, head = (held[part].get("init_args") or {} for part in classes)
        config = {
            "channels": backbone["input_channels"],
            "dim": backbone["dim"],
            "intermediate": backbone["intermediate_dim"],
            "layers": backbone["num_layers"],
            "bandwidths": [float(kbps) for kbps in features.get("bandwidths", (1.5, 3.0, 6.0, 12.0))],
            "n_fft": head["n_fft"],
            "hop": head["hop_length"],
            "padding": head.get("padding", "same"),
        }
        alike = (
            backbone["adanorm_num_embeddings"] == len(config["bandwidths"]) and head["dim"] == backbone["dim"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        raise UserError(f"{path}: describes no Vocos; get it from {RELEASED_REPOSITORY}") from None
    expected = {
        "feature_extractor": "vocos.feature_extractors.EncodecFeatures",
        "backbone": "vocos.models.VocosBackbone",
        "head": "vocos.heads.ISTFTHead",
    }
    if classes != expected or not alike or features.get("encodec_model", "encodec_24khz") != "encodec_24khz":
        raise UserError(
            f"{path}: describes {shown(classes['feature_extractor'])}, not a decoder of EnCodec's 24 kHz codes; get "
            f"the one of {RELEASED_REPOSITORY}"
        )
    if not config["bandwidths"] or not all(math.isfinite(kbps) and kbps > 0 for kbps in config["bandwidths"]):
        raise UserError(
            f"{path}: bandwidths should be positive numbers (kbps), not {shown(config['bandwidths'])}"
        )
    check_topology(path, config)
    return config
