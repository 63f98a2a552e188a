"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import scipy.signal
import torch
from encodec.model import EncodecModel
from encodec.modules.seanet import SEANetDecoder, SEANetEncoder
from encodec.quantization.vq import ResidualVectorQuantizer

from fmri_audio.base.files import sha256_of
from fmri_audio.bottleneck.arms.base import Material
from fmri_audio.codec import checkpoints
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.codec.vocoder import Vocoder
from fmri_audio.codec.vocoder import save as save_vocoder
from fmri_audio.representations import mel_vocoder
from fmri_audio.representations.mel import MelGriffinLim
from fmri_audio.sound import audio
from tests.materials import MakeMaterial, fitting_codebooks, material_about

# Tests run side by side; threads of each that wait for each other's cores are slower than one alone.
torch.set_num_threads(1)

SLOW = frozenset((Path(__file__).parent / "slow.txt").read_text(encoding="utf-8").split())

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

Speech = Callable[..., np.ndarray]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what ``tests/slow.txt`` names: a test, all of a module, or all in a folder."""
    for item in items:
        test = item.nodeid.partition("[")[0]
        file = PurePosixPath(test.partition("::")[0])
        if SLOW & {test, str(file), *map(str, file.parents)}:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings beside the project; tests that need it are skipped without it."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the recordings in {SHARED}")
    return SHARED


def make_speech(seconds: float, sample_rate: int = audio.SAMPLE_RATE, seed: int = 0) -> np.ndarray:
    """Return sound with the traits of speech: 4 syllables a second, vowels and fricatives, pauses; [T]."""
    rng = np.random.default_rng(seed)
    n = round(seconds * sample_rate)
    t = np.arange(n) / sample_rate
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.7 * t + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    vowel = sum(np.sin(k * phase) / k**1.2 for k in range(1, 25))
    high = scipy.signal.butter(4, 3000, "high", fs=sample_rate, output="sos")
    fricative = scipy.signal.sosfilt(high, rng.standard_normal(n))
    syllable = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * t)
    fricative_on = (0.5 + 0.5 * np.cos(2 * np.pi * 4 * t)) ** 8
    pause = (t % 2.5) < 2.1
    return np.asarray((0.12 * vowel * syllable**2 + 0.1 * fricative * fricative_on) * pause, np.float32)


def make_music(seconds: float, sample_rate: int = audio.SAMPLE_RATE, seed: int = 0) -> np.ndarray:
    """Return a steady chord with slow changes: no syllables, no pauses; [T]."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    root = 110 * 2 ** (np.floor(t / 2) % 5 / 12)
    phase = 2 * np.pi * np.cumsum(root) / sample_rate
    chord = sum(np.sin(ratio * phase + rng.uniform(0, 6)) for ratio in (1, 1.25, 1.5, 2, 3, 4))
    return np.asarray(0.08 * chord, np.float32)


@pytest.fixture(scope="session")
def speech() -> Speech:
    """Maker of sound that is like speech."""
    return make_speech


@pytest.fixture(scope="session")
def music() -> Speech:
    """Maker of sound that is like music."""
    return make_music


@pytest.fixture(scope="session")
def tiny_checkpoint_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of an EnCodec with two filters and random weights."""
    config = {"n_filters": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = checkpoints.build(config)
        for layer in model.quantizer.vq.layers:
            layer._codebook.embed.normal_(std=0.1)
            layer._codebook.inited.fill_(True)
    return checkpoints.save(model, tmp_path_factory.mktemp("codec") / "tiny.safetensors", config, {})


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_checkpoint_file: Path) -> Checkpoint:
    """An EnCodec with two filters and random weights: right in every shape, wrong in every sound."""
    return checkpoints.load(str(tiny_checkpoint_file))


@pytest.fixture(scope="session")
def tiny_vocoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a mel vocoder that is narrow and knows nothing."""
    mel = MelGriffinLim()
    config = {"channels": mel.n_mels, "n_fft": 4 * mel.hop_length, "hop": mel.hop_length, "padding": "center"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Vocoder({**config, "dim": 8, "intermediate": 12, "layers": 1})
    summary = {"description": "random", "licence": "none", "codec": ""}
    return save_vocoder(network, tmp_path_factory.mktemp("vocoder") / "tiny-vocoder.safetensors", summary)


@pytest.fixture(autouse=True, scope="session")
def tiny_vocoder(tiny_vocoder_file: Path) -> Iterator[None]:
    """Let that one stand for the trained mel vocoder: right in every shape, wrong in every sound."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mel_vocoder, "vocoder_file", lambda: tiny_vocoder_file)
        yield


@pytest.fixture(scope="session")
def stereo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File as Meta writes one, of a narrow 48 kHz stereo EnCodec with random weights, named by its own hash."""
    folder = tmp_path_factory.mktemp("stereo")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = narrow_48khz()
        for layer in model.quantizer.vq.layers:
            layer._codebook.embed.normal_(std=0.1)
            layer._codebook.inited.fill_(True)
    torch.save(model.state_dict(), folder / "raw.th")
    prefix = sha256_of(folder / "raw.th")[:8]
    return (folder / "raw.th").rename(folder / f"encodec_48khz-{prefix}.th")


@pytest.fixture
def stereo_release(stereo_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same file, taken by the package for what Meta released."""
    release = checkpoints.Release(stereo_file.name, "narrow", narrow_48khz)
    monkeypatch.setitem(checkpoints.RELEASED, "released-48khz", release)
    return stereo_file


def narrow_48khz() -> EncodecModel:
    """Return the package's 48 kHz model but for its width, with random weights."""
    shared = {"channels": 2, "n_filters": 2, "norm": "time_group_norm", "causal": False}
    encoder, decoder = SEANetEncoder(**shared), SEANetDecoder(**shared)
    quantiser = ResidualVectorQuantizer(dimension=128, n_q=16, bins=1024)
    rates = [3.0, 6.0, 12.0, 24.0]
    model = EncodecModel(encoder, decoder, quantiser, rates, 48_000, 2, normalize=True, segment=1.0)
    return model.eval()


@pytest.fixture(scope="session")
def make_material(tiny_checkpoint_file: Path) -> MakeMaterial:
    """Maker of what arms are made from."""
    return partial(material_about, fitting_codebooks(checkpoints.load(str(tiny_checkpoint_file))))


@pytest.fixture(scope="session")
def material(make_material: MakeMaterial) -> Material:
    """32 TRs of noise through 10 units of rank 4."""
    return make_material()
