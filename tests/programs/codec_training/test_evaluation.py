"""The numbers of the model card."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.codec import checkpoints, vocoder
from fmri_audio.codec.second_decoder import decoder_for
from fmri_audio.sound import audio
from programs.codec_training import evaluation
from programs.codec_training.network import Network


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> checkpoints.Checkpoint:
    torch.manual_seed(0)
    model = Network({"n_filters": 2}).to_package(0.1 * torch.randn(32, 1024, 128))
    path = tmp_path_factory.mktemp("tiny") / "tiny.safetensors"
    return checkpoints.load(str(checkpoints.save(model, path, {"n_filters": 2}, {})))


def test_recordings_are_measured_beside_genuine_decodes(tiny: checkpoints.Checkpoint, tmp_path: Path) -> None:
    wave = 0.1 * np.sin(np.arange(48_000) * 0.05)
    audio.write_wav(tmp_path / "encodec-reference/original/a.wav", wave)
    audio.write_wav(tmp_path / "encodec-reference/6kbps/a.wav", wave * 0.5)
    audio.write_wav(tmp_path / "music/b.wav", wave)
    table = evaluation.summarise(evaluation.measured(tiny, tmp_path))
    genuine = table[table.codec == "genuine EnCodec"]
    assert list(genuine.kbps) == [6.0] and genuine.snr_db.item() == pytest.approx(6.02, abs=0.1)
    assert len(table[table.codec == tiny.id]) == 10
    music = table[table["set"] == evaluation.MUSIC_SET]
    assert len(music) == 5 and music[["pesq_wb", "stoi"]].isna().all(axis=None)


def test_a_folder_without_the_sets_is_one_sentence(tiny: checkpoints.Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds none of the folders"):
        evaluation.measured(tiny, tmp_path)


def test_the_card_gets_its_numbers_between_the_marks(tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text("before\n<!-- quality -->\nold\n<!-- /quality -->\nafter\n")
    evaluation.fill_card(card, {"quality": "| new |"})
    assert card.read_text() == "before\n<!-- quality -->\n| new |\n<!-- /quality -->\nafter\n"
    with pytest.raises(UserError, match="lacks the marks"):
        evaluation.fill_card(card, {"levels": ""})


def test_the_tables_beside_the_demo_checkpoint_are_of_it() -> None:
    folder, demo = project_root() / "checkpoints", checkpoints.load("demo").id
    quality = pd.read_csv(folder / "quality.csv")
    assert set(quality["codec"]) == {demo, "genuine EnCodec"}
    card = (folder / "README.md").read_text()
    assert set(re.findall(r"\| (demo-\w+) \|", card)) == {demo}
    assert evaluation._markdown(quality, 2) in card


def test_a_second_decoder_is_measured_beside_the_codecs_own(
    tiny: checkpoints.Checkpoint, tmp_path: Path
) -> None:
    network = vocoder.Vocoder({"dim": 8, "intermediate": 12, "layers": 1, "bandwidths": [1.5, 6.0]})
    file = vocoder.save(network, tmp_path / "other.safetensors", {"codec": tiny.id})
    audio.write_wav(tmp_path / "music/b.wav", 0.1 * np.sin(np.arange(48_000) * 0.05))
    decoder = decoder_for(tiny, file)
    table = evaluation.measured(tiny, tmp_path, decoder=decoder)
    assert table.groupby("codec")["kbps"].apply(list).to_dict() == {
        tiny.id: [1.5, 3.0, 6.0, 12.0, 24.0],
        f"{tiny.id} + {decoder.id}": [1.5, 6.0],
    }
