"""Where weights come from, and what happens when they are not what they should be."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import sha256_of
from fmri_audio.codec import checkpoints, weight_files

CONFIG = {"n_filters": 2, "codebooks": 8, "codebook_size": 16, "dimension": 16, "bandwidths": [1.0, 2.0]}
RELEASED_FILE = checkpoints.RELEASED["released"].file


def release_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package take a file of the tests for Meta's 24 kHz one."""
    release = replace(checkpoints.RELEASED["released"], file=path.name)
    monkeypatch.setitem(checkpoints.RELEASED, "released", release)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the loopback address it is served at."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def tiny(seed: int = 0) -> checkpoints.EncodecModel:
    torch.manual_seed(seed)
    model = checkpoints.build(CONFIG)
    for layer in model.quantizer.vq.layers:
        layer._codebook.embed.normal_()
        layer._codebook.inited.fill_(1)
    return model


@pytest.fixture(scope="module")
def meta_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A full-width state dict with random weights under the name that its own hash demands."""
    folder = tmp_path_factory.mktemp("meta")
    torch.manual_seed(1)
    torch.save(checkpoints.build().state_dict(), folder / "raw.th")
    prefix = hashlib.sha256((folder / "raw.th").read_bytes()).hexdigest()[:8]
    return (folder / "raw.th").rename(folder / f"encodec_24khz-{prefix}.th"), prefix


def test_saved_codec_comes_back_with_half_precision_weights(tmp_path: Path) -> None:
    model = tiny()
    path = checkpoints.save(
        model, tmp_path / "new" / "tiny.safetensors", CONFIG, {"description": "d", "licence": "MIT"}
    )
    loaded = checkpoints.load(str(path))
    assert loaded.id == f"tiny-{loaded.sha256[:8]}" and loaded.licence == "MIT" and loaded.description == "d"
    for name, value in model.eval().state_dict().items():
        if name.endswith(("weight_v", "bias", "embed")):
            torch.testing.assert_close(loaded.model.state_dict()[name], value.half().float(), rtol=0, atol=0)
    assert [p.name for p in path.parent.iterdir()] == ["tiny.safetensors"]


def test_the_same_codec_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    # its four entries of metadata have 24 orders, and the hash of the file names the weights
    ids = {
        checkpoints.load(
            str(checkpoints.save(tiny(), tmp_path / "tiny.safetensors", CONFIG, {"steps": 3}))
        ).id
        for _ in range(8)
    }
    assert len(ids) == 1


def test_loaded_codec_is_frozen_and_its_codebooks_stay_put(tmp_path: Path) -> None:
    path = checkpoints.save(tiny(), tmp_path / "tiny.safetensors", CONFIG, {})
    model = checkpoints.load(str(path)).model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.set_target_bandwidth(2.0)
    model(torch.randn(1, 1, 4800))
    model.quantizer(model.encoder(torch.randn(1, 1, 4800)), model.frame_rate, 2.0)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_bandwidths_are_those_of_the_model() -> None:
    assert checkpoints.bandwidths(tiny()) == [1.0, 2.0]


def test_the_full_topology_is_that_of_the_package() -> None:
    ours = {name: tuple(value.shape) for name, value in checkpoints.build().state_dict().items()}
    theirs = checkpoints.EncodecModel.encodec_model_24khz(pretrained=False)
    assert ours == {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    assert checkpoints.bandwidths(theirs) == checkpoints.FULL_WIDTH["bandwidths"]


def test_unknown_configuration_is_named() -> None:
    with pytest.raises(UserError, match="n_filtres"):
        checkpoints.build({"n_filtres": 8})


def test_demo_has_five_bandwidths_and_says_what_it_is() -> None:
    demo = checkpoints.load("demo")
    assert demo.id == f"demo-{sha256_of(demo.source)[:8]}"
    assert checkpoints.bandwidths(demo.model) == [1.5, 3.0, 6.0, 12.0, 24.0]
    assert demo.model.sample_rate == 24_000 and demo.model.frame_rate == 75
    assert demo.licence.startswith("MIT")
    assert Path(demo.source).stat().st_size < 18e6


def test_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.safetensors: no such checkpoint"):
        checkpoints.load(str(tmp_path / "gone.safetensors"))


def test_other_kinds_of_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"x")
    with pytest.raises(UserError, match="must end in .safetensors"):
        checkpoints.load(str(tmp_path / "weights.bin"))


def test_truncated_safetensors(tmp_path: Path) -> None:
    path = checkpoints.save(tiny(), tmp_path / "tiny.safetensors", CONFIG, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="truncated"):
        checkpoints.load(str(path))


def test_one_altered_weight_is_noticed(tmp_path: Path) -> None:
    path = checkpoints.save(tiny(), tmp_path / "tiny.safetensors", CONFIG, {})
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="do not match the hash"):
        checkpoints.load(str(path))


def test_foreign_safetensors_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, str(tmp_path / "foreign.safetensors"))
    with pytest.raises(UserError, match="not a codec checkpoint of this package"):
        checkpoints.load(str(tmp_path / "foreign.safetensors"))


def test_meta_file_with_the_right_hash_loads(meta_file: tuple[Path, str]) -> None:
    path, prefix = meta_file
    loaded = checkpoints.load(str(path))
    assert loaded.id == f"encodec_24khz-{prefix}" and loaded.sha256.startswith(prefix)
    assert sum(p.numel() for p in loaded.model.encoder.parameters()) == 7_425_792
    assert checkpoints.bandwidths(loaded.model) == [1.5, 3.0, 6.0, 12.0, 24.0]


def test_meta_file_with_a_wrong_hash_says_how_to_get_it(meta_file: tuple[Path, str], tmp_path: Path) -> None:
    wrong = tmp_path / RELEASED_FILE
    wrong.write_bytes(meta_file[0].read_bytes())
    with pytest.raises(UserError, match=r"expected d7cc33bc.*https://.*FMRI_AUDIO_CHECKPOINTS"):
        checkpoints.load(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a zip"])
def test_not_a_state_dict(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.th").write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.th: the checkpoint is truncated or not"):
        checkpoints.load(str(tmp_path / "mine.th"))


def test_state_dict_of_another_network(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "mine.th")
    with pytest.raises(UserError, match="do not fit"):
        checkpoints.load(str(tmp_path / "mine.th"))


def test_released_comes_from_the_folder_named_in_the_environment(
    meta_file: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = meta_file
    release_is(path, monkeypatch)
    monkeypatch.setenv(checkpoints.FOLDER_VARIABLE, str(path.parent))
    loaded = checkpoints.load("released", base_url="http://127.0.0.1:9/")
    assert loaded.source == str(path) and "MIT" in loaded.licence


def test_released_is_downloaded_once_and_checked(
    meta_file: tuple[Path, str],
    serve: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, _ = meta_file
    folder, address = serve
    (folder / path.name).write_bytes(path.read_bytes())
    release_is(path, monkeypatch)
    first = checkpoints.load("released", base_url=address, cache=tmp_path / "cache")
    assert "100 %" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [path.name]
    (folder / path.name).unlink()
    assert checkpoints.load("released", base_url=address, cache=tmp_path / "cache").sha256 == first.sha256


def test_download_of_something_else_leaves_nothing_behind(serve: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = serve
    (folder / RELEASED_FILE).write_bytes(b"an error page")
    with pytest.raises(UserError, match="expected d7cc33bc"):
        checkpoints.load("released", base_url=address, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("port", ["closed", "missing file"])
def test_unreachable_is_one_sentence(serve: tuple[Path, str], tmp_path: Path, port: str) -> None:
    address = "http://127.0.0.1:9/" if port == "closed" else serve[1]
    with pytest.raises(UserError, match=r"unreachable \(.*put it into a folder"):
        checkpoints.load("released", base_url=address, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_released_comes_from_the_cache_of_torchs_hub(
    stereo_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = tmp_path / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    (hub / stereo_release.name).write_bytes(stereo_release.read_bytes())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv(checkpoints.FOLDER_VARIABLE, raising=False)
    assert checkpoints.at_hand("released-48khz")
    loaded = checkpoints.load("released-48khz", base_url="http://127.0.0.1:9/")
    assert loaded.source == str(hub / stereo_release.name)


def test_48khz_is_the_packages_topology() -> None:
    model = checkpoints.RELEASED["released-48khz"].build()
    theirs = checkpoints.EncodecModel.encodec_model_48khz(pretrained=False)
    ours = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert ours == {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    assert checkpoints.bandwidths(model) == [3.0, 6.0, 12.0, 24.0]
    assert (model.sample_rate, model.frame_rate, model.channels, model.segment) == (48_000, 150, 2, 1.0)


@pytest.mark.parametrize("place", ["file", "folder", "environment", "server"])
def test_48khz_is_found_in_every_place(
    stereo_release: Path, serve: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    spec = "released-48khz"
    monkeypatch.setenv(checkpoints.FOLDER_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(checkpoints, "ROOT_URL", "http://127.0.0.1:9/")
    if place == "server":
        (serve[0] / stereo_release.name).write_bytes(stereo_release.read_bytes())
        monkeypatch.setattr(checkpoints, "ROOT_URL", serve[1])
    elif place == "environment":
        monkeypatch.setenv(checkpoints.FOLDER_VARIABLE, str(stereo_release.parent))
    else:
        spec = str(stereo_release if place == "file" else stereo_release.parent)
    loaded = checkpoints.load(spec)
    assert loaded.id == stereo_release.stem and loaded.model.channels == 2 and loaded.model.normalize
    assert not loaded.model.training and not any(p.requires_grad for p in loaded.model.parameters())


def test_48khz_weights_are_no_24khz_weights(stereo_release: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.th").write_bytes(stereo_release.read_bytes())
    with pytest.raises(UserError, match="do not fit the 24 kHz EnCodec"):
        checkpoints.load(str(tmp_path / "mine.th"))


class _Truncating(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Promise more than is sent."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 100)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_download_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Truncating)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    try:
        with pytest.raises(UserError, match="broke off after 100 of 1000 bytes"):
            checkpoints.load("released-48khz", base_url=address, cache=tmp_path / "cache")
    finally:
        server.shutdown()
        server.server_close()
    assert list((tmp_path / "cache").iterdir()) == []


def test_unwritable_target_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        checkpoints.save(tiny(), tmp_path / "file" / "tiny.safetensors", CONFIG, {})


def test_what_is_not_on_this_machine_is_not_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMRI_AUDIO_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    assert not checkpoints.at_hand("released") and not checkpoints.at_hand("released-48khz")
    (tmp_path / RELEASED_FILE).touch()
    assert checkpoints.at_hand("released") and not checkpoints.at_hand("released-48khz")


def tampered(path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, str]], None]) -> Path:
    """Write a codec whose weights and metadata were changed, under a hash that is theirs."""
    saved = checkpoints.save(tiny(), path, CONFIG, {})
    with safe_open(str(saved), framework="pt") as stream:
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (not a dict)
        metadata = dict(stream.metadata())
    change(tensors, metadata)
    if all(value.dtype != torch.bfloat16 for value in tensors.values()):
        metadata["tensors_sha256"] = weight_files.tensors_sha256(tensors)
    save_file(tensors, str(saved), metadata)
    return saved


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        checkpoints.load(str(path))
    sentence = str(caught.value)
    assert sentence.startswith(str(path)) and "\n" not in sentence and len(sentence) < 500
    return sentence


@pytest.mark.parametrize(
    ("entry", "value", "sentence"),
    [
        ("codebooks", 1_000_000, "codebooks should be a whole number from 1 to 64, not 1000000"),
        ("codebooks", -1, "from 1 to 64"),
        ("codebooks", True, "from 1 to 64"),
        ("codebook_size", 2.5, "codebook_size should be a whole number"),
        ("n_filters", "2", "n_filters should be a whole number"),
        ("ratios", [0], "ratios should be"),
        ("ratios", {"a": 1}, "ratios should be"),
        ("bandwidths", [float("inf")], "bandwidths should be"),
        ("bandwidths", [], "bandwidths should be"),
        ("norm", ["weight_norm"], "norm should be one of"),
        ("n_filters", 512, "do not fit the network that it describes"),
        ("codebooks", 9, "do not fit the 24 kHz EnCodec"),
        ("colour", 1, "colour is not an entry"),
    ],
)
def test_a_configuration_that_no_codec_has_is_refused_at_once(
    tmp_path: Path, entry: str, value: object, sentence: str
) -> None:
    def change(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        metadata["config"] = json.dumps({**CONFIG, entry: value})

    assert sentence in refused(tampered(tmp_path / "mine.safetensors", change))


@pytest.mark.parametrize("name", ["config", "summary"])
@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", "3", "[" * 100_000, '{"n_filters": 1e999}', "9" * 5000]
)
def test_metadata_that_cannot_be_read_are_refused(tmp_path: Path, name: str, text: str | None) -> None:
    def change(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        metadata.pop(name) if text is None else metadata.update({name: text})

    path = tampered(tmp_path / "mine.safetensors", change)
    if name == "summary" and text and text.startswith('{"'):
        assert checkpoints.load(str(path)).licence == "not stated in the file"
    else:
        assert "its metadata hold no" in (said := refused(path)) or "n_filters should be" in said


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, weight: float) -> None:
    def change(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        tensors["quantizer.vq.layers.0._codebook.embed"][0, 0] = weight

    path = tampered(tmp_path / "mine.safetensors", change)
    assert "quantizer.vq.layers.0._codebook.embed holds NaN or infinite weights" in refused(path)


@pytest.mark.parametrize("kind", [torch.int16, torch.float64, torch.bfloat16, torch.bool])
def test_weights_of_another_kind_are_refused(tmp_path: Path, kind: torch.dtype) -> None:
    def change(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
        name = "quantizer.vq.layers.0._codebook.embed"
        tensors[name] = tensors[name].to(kind)

    assert "should be of half precision" in refused(tampered(tmp_path / "mine.safetensors", change))


def test_a_state_dict_of_other_kinds_or_without_numbers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = replace(checkpoints.RELEASED["released"], build=tiny)
    monkeypatch.setitem(checkpoints.RELEASED, "released", narrow)
    state = tiny().state_dict()
    name = next(iter(state))
    for value, sentence in (
        (torch.full_like(state[name], torch.nan), "holds NaN or infinite weights"),
        (state[name].to(torch.complex64), "should be floating point"),
        (state[name].to_sparse(), "do not fit"),
        (3, "do not fit"),
    ):
        torch.save({**state, name: value}, tmp_path / "mine.th")
        assert sentence in refused(tmp_path / "mine.th")


class _Runs:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch here",)


def test_a_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for new in (True, False):
        torch.save({"a": _Runs()}, tmp_path / "mine.th", _use_new_zipfile_serialization=new)
        assert "not a PyTorch state dict" in refused(tmp_path / "mine.th")
    (tmp_path / "mine.th").write_bytes(pickle.dumps(_Runs()))
    assert "not a PyTorch state dict" in refused(tmp_path / "mine.th")
    assert not (tmp_path / "here").exists()


def test_a_state_dict_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "raw.th")
    with zipfile.ZipFile(tmp_path / "raw.th") as raw, zipfile.ZipFile(tmp_path / "mine.th", "w", 8) as packed:
        for part in raw.infolist():
            packed.writestr(part.filename, raw.read(part))
    assert "not a PyTorch state dict" in refused(tmp_path / "mine.th")


@pytest.mark.parametrize("suffix", [".safetensors", ".th"])
def test_damaged_bytes_end_in_a_codec_or_a_sentence(tmp_path: Path, suffix: str) -> None:
    # FMRI_AUDIO_FUZZ=100 tries a hundred times as many
    path = tmp_path / f"mine{suffix}"
    if suffix == ".th":
        torch.save({"a": torch.zeros(40), "b": torch.zeros(3, dtype=torch.int64)}, path)
        reach = path.stat().st_size
    else:
        checkpoints.save(tiny(), path, CONFIG, {})
        reach = 12_000
    original = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(25 * int(os.environ.get("FMRI_AUDIO_FUZZ", "1"))):
        content = bytearray(original)
        if rng.random() < 0.2:
            del content[rng.integers(len(content)) :]
        for place in rng.integers(min(reach, len(content)), size=rng.integers(1, 6)) if content else ():
            content[place] = rng.integers(256)
        path.write_bytes(content)
        said = str(path)
        try:
            checkpoints.load(str(path))
        except UserError as error:
            said = str(error)
        assert said.startswith(str(path))
