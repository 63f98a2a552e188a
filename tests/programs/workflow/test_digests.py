"""What a run is made from besides code: weights that may arrive later."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from programs.workflow import digests
from programs.workflow.digests import Digests


def test_weights_of_the_recogniser_count_where_words_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = Digests(SimpleNamespace(build=tmp_path))  # type: ignore[arg-type]
    monkeypatch.setattr(digests, "recogniser_files", lambda: (None, "model.bin"))
    counting = ["fmri_audio.chapters.evaluation.words"]
    assert of._recogniser(["fmri_audio.brain.masks"]) == []
    assert of._recogniser(counting) == ["absent  weights of the recogniser"]
    monkeypatch.setattr(digests, "recogniser_files", lambda: (tmp_path, "model.bin"))
    assert of._recogniser(counting) == ["absent  weights of the recogniser"]
    (tmp_path / "model.bin").write_text("weights")
    (line,) = of._recogniser(counting)
    assert line == f"{digests.sha('weights')}  weights of the recogniser"


def test_a_vocoder_that_arrives_counts_where_it_is_heard(tmp_path: Path) -> None:
    of = Digests(SimpleNamespace(build=tmp_path))  # type: ignore[arg-type]
    of.root = tmp_path
    assert of._vocoder(["fmri_audio.brain.masks"]) == []
    heard = ["fmri_audio.chapters.encodec"]
    assert of._vocoder(heard)[0].startswith("absent  ")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "mel-vocoder.safetensors").write_text("weights")
    assert of._vocoder(heard)[0].startswith(digests.sha("weights"))


def test_the_second_decoder_counts_where_it_is_asked_for(tmp_path: Path) -> None:
    for decoder, files in (("own", 1), ("vocos", 2)):
        plan = SimpleNamespace(build=tmp_path, settings={"codec": "demo", "decoder": decoder})
        assert len(Digests(plan)._checkpoint()) == files  # type: ignore[arg-type]
