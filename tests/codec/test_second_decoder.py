"""A second decoder: bound to its codec, the same in pieces as whole, and one sentence for whatever else it is given."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from fmri_audio.base.errors import UserError
from fmri_audio.codec import checkpoints, second_decoder, vocoder
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.codec.second_decoder import SecondDecoder, decoder_for
from fmri_audio.codec.vocoder import Vocoder
from fmri_audio.representations.encodec import EncodecCodes

TINY = {"dim": 8, "intermediate": 12, "layers": 2}
META = Path(checkpoints.RELEASED["released"].file).stem


def made(path: Path, codec: str, **changes: Any) -> Path:
    """A decoder of random weights in a file."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Vocoder({**TINY, "bandwidths": [1.5, 3.0, 6.0], **changes})
        for name, weight in network.named_parameters():
            if ".norm.shift" in name:
                torch.nn.init.normal_(weight, std=0.5)  # untrained, all bandwidths are one
    return vocoder.save(network, path, {"codec": codec, "licence": "none", "description": "random"})


@pytest.fixture
def decoder(tmp_path: Path, tiny_checkpoint: Checkpoint) -> SecondDecoder:
    return decoder_for(tiny_checkpoint, made(tmp_path / "vocos.safetensors", tiny_checkpoint.id))


def codes(n_frames: int, books: int = 8) -> torch.Tensor:
    return torch.randint(1024, (books, n_frames), generator=torch.Generator().manual_seed(0))


def test_codes_become_the_sound_of_their_entries(decoder: SecondDecoder, tiny_checkpoint: Checkpoint) -> None:
    given, network = codes(40), decoder.vocoder.network
    codec = EncodecCodes(tiny_checkpoint, 6.0, decoder)
    sound = codec.synthesise(given[None], 40 * 320 - 7)
    latents = EncodecCodes(tiny_checkpoint, 6.0).codes_to_latents(given[None])
    expected = network(latents, torch.tensor([2]))
    torch.testing.assert_close(sound[0], expected[..., :-7])
    assert (expected - network(latents, torch.tensor([0]))).abs().max() > 1e-3  # the bandwidth is heard


@pytest.mark.parametrize("padding", ["same", "center"])
def test_pieces_are_the_whole(padding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = Vocoder({**TINY, "padding": padding, "channels": 5})
    features = torch.randn(5, 100)

    def sound() -> torch.Tensor:
        pieces = vocoder.sound_in_pieces(network, lambda start, stop: features[:, start:stop], 100)
        return torch.cat([samples for _, samples in pieces])

    whole = sound()
    monkeypatch.setattr(vocoder, "_PIECE", 23)
    assert whole.shape == (100 * 320,)
    torch.testing.assert_close(sound(), whole, atol=1e-5, rtol=1e-4)


def test_a_bandwidth_it_does_not_decode_is_one_sentence(
    decoder: SecondDecoder, tiny_checkpoint: Checkpoint
) -> None:
    with pytest.raises(UserError, match=r"decodes 1.5, 3, 6 kbps, not 12: choose one of these"):
        EncodecCodes(tiny_checkpoint, 12.0, decoder)


def test_codes_of_another_codec_are_refused(tmp_path: Path, tiny_checkpoint: Checkpoint) -> None:
    file = made(tmp_path / "vocos.safetensors", "demo-00000000")
    with pytest.raises(UserError, match=f"decodes codes of demo-00000000, not of {tiny_checkpoint.id}"):
        decoder_for(tiny_checkpoint, file)


@pytest.mark.parametrize(
    "changes", [{"hop": 160}, {"channels": 64}, {"bandwidths": []}, {"padding": "center"}]
)
def test_frames_of_another_kind_are_refused(
    changes: dict[str, Any], tmp_path: Path, tiny_checkpoint: Checkpoint
) -> None:
    file = made(tmp_path / "vocos.safetensors", tiny_checkpoint.id, **changes)
    with pytest.raises(UserError, match="its frames are not those of"):
        decoder_for(tiny_checkpoint, file)


def test_a_missing_file_is_one_sentence(
    tmp_path: Path, tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_decoder, "project_root", lambda: tmp_path)
    with pytest.raises(UserError, match=r"vocos-demo.safetensors does not exist.*make vocoder"):
        decoder_for(tiny_checkpoint)


# -- the released one ------------------------------------------------------------------------------------------------

CONFIG = {
    "feature_extractor": {
        "class_path": "vocos.feature_extractors.EncodecFeatures",
        "init_args": {"encodec_model": "encodec_24khz", "bandwidths": [1.5, 3.0, 6.0, 12.0]},
    },
    "backbone": {
        "class_path": "vocos.models.VocosBackbone",
        "init_args": {
            "input_channels": 128,
            "dim": 8,
            "intermediate_dim": 12,
            "num_layers": 2,
            "adanorm_num_embeddings": 4,
        },
    },
    "head": {
        "class_path": "vocos.heads.ISTFTHead",
        "init_args": {"dim": 8, "n_fft": 1280, "hop_length": 320, "padding": "same"},
    },
}
"""The released configuration, of a narrower network."""


def release(folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None] = lambda *_: None) -> Path:
    """A folder as the release is laid out: configuration, weights and codebook entries."""
    torch.manual_seed(0)
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    network = Vocoder({**TINY, "bandwidths": [1.5, 3.0, 6.0, 12.0]})
    state = {k: v for k, v in network.state_dict().items() if k not in ("mean", "scale")}
    state["feature_extractor.codebook_weights"] = torch.randn(16 * 1024, 128)
    change(config, state)
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save(state, folder / "pytorch_model.bin")
    return folder


@pytest.fixture
def meta(tiny_checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint that passes for Meta's."""
    return Checkpoint(META, tiny_checkpoint.model, "released", "", "", "", "")


def test_the_release_decodes_with_its_own_entries(tmp_path: Path, meta: Checkpoint) -> None:
    decoder = decoder_for(meta, release(tmp_path / "release"))
    assert decoder.bandwidths == [1.5, 3.0, 6.0, 12.0] and decoder.id.startswith("vocos-encodec-24khz-")
    table = torch.load(tmp_path / "release" / "pytorch_model.bin")["feature_extractor.codebook_weights"]
    given = codes(20, books=16)
    entries = sum(table[k * 1024 + row] for k, row in enumerate(given))
    expected = decoder.vocoder.network(torch.as_tensor(entries).T[None], torch.tensor([3]))
    torch.testing.assert_close(EncodecCodes(meta, 12.0, decoder).synthesise(given[None], 6400)[0], expected)
    with pytest.raises(UserError, match="not 24"):
        decoder.check(24.0)


def test_the_release_is_found_where_the_variable_points(
    tmp_path: Path, meta: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(tmp_path / "vocos-encodec-24khz")
    monkeypatch.setenv(checkpoints.FOLDER_VARIABLE, str(tmp_path))
    assert decoder_for(meta).vocoder.source == str(tmp_path / "vocos-encodec-24khz" / "pytorch_model.bin")


def test_the_release_is_found_in_the_cache_of_the_hub(
    tmp_path: Path, meta: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(checkpoints.FOLDER_VARIABLE, raising=False)
    import huggingface_hub

    held = release(tmp_path / "snapshot")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repository, name: str(held / name))
    assert decoder_for(meta).vocoder.source == str(held / "pytorch_model.bin")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    with pytest.raises(UserError, match="are not on this machine"):
        decoder_for(meta)


def drop(config: dict[str, Any], state: dict[str, Any]) -> None:
    del state["head.out.bias"]


def widen(config: dict[str, Any], state: dict[str, Any]) -> None:
    config["backbone"]["init_args"]["dim"] = config["head"]["init_args"]["dim"] = 9


def add(config: dict[str, Any], state: dict[str, Any]) -> None:
    state["more"] = torch.zeros(3)


def cut_entries(config: dict[str, Any], state: dict[str, Any]) -> None:
    state["feature_extractor.codebook_weights"] = torch.zeros(8 * 1024, 128)


def no_entries(config: dict[str, Any], state: dict[str, Any]) -> None:
    del state["feature_extractor.codebook_weights"]


def break_one(config: dict[str, Any], state: dict[str, Any]) -> None:
    state["head.out.bias"][3] = float("nan")


def of_mel(config: dict[str, Any], state: dict[str, Any]) -> None:
    config["feature_extractor"]["class_path"] = "vocos.feature_extractors.MelSpectrogramFeatures"


def of_48khz(config: dict[str, Any], state: dict[str, Any]) -> None:
    config["feature_extractor"]["init_args"]["encodec_model"] = "encodec_48khz"


def no_head(config: dict[str, Any], state: dict[str, Any]) -> None:
    del config["head"]


def huge(config: dict[str, Any], state: dict[str, Any]) -> None:
    config["backbone"]["init_args"]["num_layers"] = 10**9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop, "do not fit the network"),
        (widen, "do not fit the network"),
        (add, "do not fit the network"),
        (cut_entries, "do not fit the network"),
        (no_entries, "do not fit the network"),
        (break_one, "NaN or infinite"),
        (of_mel, "not a decoder of EnCodec's 24 kHz codes"),
        (of_48khz, "not a decoder of EnCodec's 24 kHz codes"),
        (no_head, "describes no Vocos"),
        (huge, "layers should be a whole number from 1 to 64"),
    ],
)
def test_a_release_that_is_not_what_it_says_is_one_sentence(
    change: Callable[[dict[str, Any], dict[str, Any]], None], said: str, tmp_path: Path, meta: Checkpoint
) -> None:
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        decoder_for(meta, release(tmp_path / "release", change))
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_weights_that_were_cut_off_are_one_sentence(tmp_path: Path, meta: Checkpoint) -> None:
    file = release(tmp_path / "release") / "pytorch_model.bin"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match="truncated"):
        decoder_for(meta, tmp_path / "release")
