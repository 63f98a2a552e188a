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
