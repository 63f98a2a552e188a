"""The numbers of the model card."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile

from fmri_audio.base.errors import UserError
from fmri_audio.base.settings import project_root
from fmri_audio.codec import checkpoints, vocoder
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.codec.second_decoder import decoder_for
from fmri_audio.sound import audio
from fmri_audio.sound.metrics import snr
from fmri_audio.sound.recognition import Passage
from fmri_audio.sound.recognition.words import Words
from programs.__main__ import main as program
from programs.codec_training import evaluation

WAVE = 0.1 * np.sin(np.arange(48_000) * 0.05)


@pytest.fixture(autouse=True)
def readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read every passage as what is said there, but for the first word of what is not the original."""

    def word_errors(sound: np.ndarray, rate: int, passages: list[Passage]) -> list[Words]:
        wrong = float(len(sound) != len(WAVE) or not np.allclose(sound, WAVE, atol=1e-3))
        return [Words(passage, len(passage.text.split()), wrong, 0.0, 0.0) for passage in passages]

    monkeypatch.setattr(evaluation, "word_errors", word_errors)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score by the signal-to-noise ratio and, where it is defined, an STOI of one half."""

    def score(
        reference: np.ndarray, degraded: np.ndarray, *_: object, speech: bool, **__: object
    ) -> SimpleNamespace:
        n = min(len(reference), len(degraded))
        found = dict.fromkeys([*evaluation.MEASURES, *evaluation.LATER_MEASURES], math.nan)
        found |= {"snr_db": snr.snr_db(reference[:n], degraded[:n]), "stoi": 0.5 if speech else math.nan}
        return SimpleNamespace(values=lambda: found)

    monkeypatch.setattr(evaluation.evaluate, "score", score)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of recordings as the tables are about, with a genuine decode."""
    for name in ("encodec-reference/original/a.wav", "speech/librivox/p001.wav", "music/a.wav"):
        audio.write_wav(tmp_path / name, WAVE)
    audio.write_wav(tmp_path / "encodec-reference/6kbps/a.wav", WAVE * 0.5)
    return tmp_path


@pytest.mark.usefixtures("quick")
def test_recordings_are_measured_beside_genuine_decodes(tiny_checkpoint: Checkpoint, data: Path) -> None:
    clips = list(evaluation.recordings_to_test(data))
    table = evaluation.summarise(evaluation.measured(tiny_checkpoint, clips, data))
    genuine = table[table.codec == "genuine EnCodec"]
    assert list(genuine.kbps) == [6.0] and genuine.snr_db.item() == pytest.approx(6.02, abs=0.1)
    assert list(genuine.set) == [evaluation.REFERENCE_SET]
    music = table[table["set"] == evaluation.MUSIC_SET]
    assert len(music) == 5 and music["stoi"].isna().all()
    recorded = table[table["set"] == evaluation.RECORDED]
    assert set(recorded.codec) == {tiny_checkpoint.id} and list(recorded.recordings) == [2] * 5
    older = ["set", "codec", "kbps", "snr_db", "si_sdr_db", "pesq_wb", "pesq_nb", "stoi", "mel_distance_db"]
    assert list(table.columns)[:10] == [*older, "recordings"], "what is new comes after"


@pytest.mark.usefixtures("quick")
def test_words_are_counted_where_it_is_known_what_is_said(tiny_checkpoint: Checkpoint, data: Path) -> None:
    clips = list(evaluation.recordings_to_test(data))
    assert [bool(clip.passages) for clip in clips] == [False, True, False]
    said = clips[1].passages[0]
    assert said.text.startswith("One. From fairest creatures") and said.offset == 2.0
    table = evaluation.summarise(evaluation.measured(tiny_checkpoint, clips, data)).set_index("set")
    librivox = table.loc["speech/librivox"]
    assert set(librivox["words"]) == {len(said.text.split())}
    assert np.allclose(librivox["words_wrong"], 1 / len(said.text.split()))
    assert table.loc[evaluation.MUSIC_SET, "words_wrong"].isna().all()


def test_at_most_so_many_recordings_of_a_set_are_taken(data: Path) -> None:
    for number in range(9):
        audio.write_wav(data / f"music/{number}.wav", WAVE[:2400])
    names = [clip.name for clip in evaluation.recordings_to_test(data) if clip.set == "music"]
    assert len(names) == evaluation.TEST_SETS["music"] and names == sorted(names)
    assert len(list(evaluation.recordings_to_test(data, 2))) == 4


def test_speakers_whom_training_does_not_hear_take_turns(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("p1/1", "p1/2", "p2/1", "a/1", "other/p1/3", "p1/short"):
        seconds = 1 if name.endswith("short") else 12
        audio.write_wav(data / f"train-speech/X/{name}.wav", np.full(seconds * 24_000, 0.1))
    monkeypatch.setattr(
        evaluation, "find_recogniser", lambda: SimpleNamespace(transcribe=lambda x: ["so it is"])
    )
    clips = list(evaluation.held_out_clips(data))
    assert [clip.name for clip in clips] == ["1.wav", "1.wav", "2.wav"], "p1, p2, p1"
    assert {len(clip.wave) for clip in clips} == {240_000} and {clip.set for clip in clips} == {"held out"}
    assert [clip.passages[0].text for clip in clips] == ["so it is"] * 3
    assert len(list(evaluation.held_out_clips(data, 2))) == 2
    monkeypatch.setattr(evaluation, "find_recogniser", lambda: None)
    assert not any(clip.passages for clip in evaluation.held_out_clips(data))


@pytest.mark.parametrize(
    ("options", "named"),
    [([], "encodec-reference/original, speech/ljspeech"), (["--held-out"], "train-speech")],
)
def test_a_folder_without_the_sets_is_one_sentence(
    tiny_checkpoint_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    named: str,
) -> None:
    words = ["codec-evaluate", "--checkpoint", str(tiny_checkpoint_file), "--data", str(tmp_path), *options]
    assert program(words) == 1
    assert f"holds none of the folders {named}" in capsys.readouterr().err


# The play


ROWS = """\
part	onset	offset	kind	speaker	text	background	material
1	0.0	4.0	speech	Ann	One two.	hum -44 dB	sentence
1	4.0	8.0	speech	Ann	Three.	hum -44 dB	unpredictable
1	8.0	12.0	speech	Ann	Four.	hum -44 dB	sentence
1	12.0	14.0	speech	Ben	Too short.		sentence
1	14.0	20.0	music		theme		-
1	20.0	24.0	speech	Ben	Five six.		sentence
1	24.0	28.0	speech	Cog	By telephone.	hum -44 dB; phone	sentence
1	28.0	32.0	speech	Cog	Seven.		sentence
"""
CAST = """\
ann: {name: Ann, engine: kokoro}
ben: {name: Ben, engine: kokoro}
cog: {name: Cog, engine: pico}
"""


@pytest.fixture
def play(tmp_path: Path) -> Path:
    """A play of 32 s, whose sound says which second it is."""
    (tmp_path / "studio").mkdir()
    (tmp_path / "studio" / "cast.yml").write_text(CAST)
    (tmp_path / "segments.tsv").write_text(ROWS)
    seconds = np.repeat(np.arange(32) / 64, 24_000)
    soundfile.write(tmp_path / "part1.ogg", seconds, 24_000, format="WAV")
    return tmp_path


def test_the_play_is_measured_by_the_engine_that_speaks(play: Path) -> None:
    clips = list(evaluation.play_excerpts(play))
    assert [(clip.set.split(",")[1].split()[0], clip.name) for clip in clips] == [
        ("Pico", "part 1, 28.0 s, Cog"),
        ("Kokoro", "part 1, 0.0 s, Ann"),
        ("Kokoro", "part 1, 20.0 s, Ben"),
        ("Kokoro", "part 1, 8.0 s, Ann"),
    ], "nothing by telephone, shorter than 3 s or longer than 10; Ann and Ben take turns"
    first = clips[1]
    assert len(first.wave) == 8 * 24_000 and first.wave[-1] == pytest.approx(7 / 64, abs=1e-3)
    assert [(p.onset, p.offset, p.text, p.voice, p.material) for p in first.passages] == [
        (0.0, 4.0, "One two.", "Ann", "sentence"),
        (4.0, 8.0, "Three.", "Ann", "unpredictable"),
    ]
    assert {p.part_of for p in first.passages} == {first.name}
    assert len(list(evaluation.play_excerpts(play, 1))) == 2


@pytest.mark.usefixtures("quick")
def test_the_play_is_not_counted_as_recorded_speech(
    tiny_checkpoint: Checkpoint, play: Path, data: Path
) -> None:
    clips = [*evaluation.recordings_to_test(data, 1), *evaluation.play_excerpts(play, 1)]
    table = evaluation.summarise(evaluation.measured(tiny_checkpoint, clips, data)).set_index("set")
    assert {name for name, _ in evaluation.PLAY_SETS.values()} < set(table.index)
    assert set(table.loc[evaluation.RECORDED, "recordings"]) == {2}


def test_the_embedded_play_has_excerpts_of_both_engines() -> None:
    clips = list(evaluation.play_excerpts(project_root() / "stimulus"))
    counts = {name: sum(clip.set == name for clip in clips) for name, _ in evaluation.PLAY_SETS.values()}
    assert list(counts.values()) == [4, 21]
    assert {p.voice for clip in clips if "Pico" in clip.set for p in clip.passages} == {"The weather machine"}
    assert len({p.voice for clip in clips if "Kokoro" in clip.set for p in clip.passages}) >= 6
    assert sum(len(p.text.split()) for clip in clips for p in clip.passages) > 400


@pytest.mark.parametrize(("options", "sets"), [([], {"music", "the play"}), (["--held-out"], {"held out"})])
def test_runs_are_chosen_without_the_play_and_tables_have_it(
    tiny_checkpoint_file: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    sets: set[str],
) -> None:
    seen: list[evaluation.Clip] = []
    some = evaluation.Clip("music", "a", WAVE)
    monkeypatch.setattr(evaluation, "recordings_to_test", lambda *_: iter([some]))
    monkeypatch.setattr(evaluation, "held_out_clips", lambda *_: iter([replace(some, set="held out")]))
    monkeypatch.setattr(evaluation, "play_excerpts", lambda *_: iter([replace(some, set="the play")]))
    monkeypatch.setattr(evaluation, "measured", lambda checkpoint, clips, *_: seen.extend(clips))
    monkeypatch.setattr(evaluation, "summarise", lambda _: pd.DataFrame({"kbps": [6.0]}))
    out = data / "quality.csv"
    program(
        [
            "codec-evaluate",
            "--checkpoint",
            str(tiny_checkpoint_file),
            "--data",
            str(data),
            "--out",
            str(out),
            *options,
        ]
    )
    assert {clip.set for clip in seen} == sets and out.is_file()


# The card


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
    assert set(quality["codec"].str.split(" + ", regex=False).str[0]) == {demo, "genuine EnCodec"}
    card = (folder / "README.md").read_text()
    assert set(re.findall(r"\| (demo-\w+)[ |]", card)) == {demo}
    assert evaluation._markdown(quality, 2) in card


def test_the_card_names_every_set_and_every_author_that_asks_for_it(shared_data: Path) -> None:
    card = (project_root() / "checkpoints" / "README.md").read_text(encoding="utf-8")
    sources = pd.read_csv(shared_data / "train-speech" / "SOURCES.tsv", sep="\t", dtype=str)
    asking = sources[sources["licence"].str.startswith("CC BY")]
    assert set(asking["dataset"]) == {"LibriSpeech", "LibriTTS", "VCTK", "ESC-10", "vocadito"}
    assert all(name in card for name in set(asking["dataset"]))
    clips = asking[asking["licence"] == "CC BY 3.0"]["note"].str.extract(r"/people/([^/]+)/sounds/(\d+)/")
    assert len(clips) == 45
    for author, number in clips.itertuples(index=False):
        assert f"({author}, {number})" in card


def test_a_second_decoder_is_measured_beside_the_codecs_own(
    tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    network = vocoder.Vocoder({"dim": 8, "intermediate": 12, "layers": 1, "bandwidths": [1.5, 6.0]})
    file = vocoder.save(network, tmp_path / "other.safetensors", {"codec": tiny_checkpoint.id})
    decoder = decoder_for(tiny_checkpoint, file)
    clips = [evaluation.Clip("music", "b.wav", WAVE)]
    table = evaluation.summarise(evaluation.measured(tiny_checkpoint, clips, tmp_path, decoder))
    assert table[["pesq_wb", "stoi", "visqol_speech"]].isna().all(axis=None) and table["snr_db"].notna().all()
    assert table.groupby("codec")["kbps"].apply(list).to_dict() == {
        tiny_checkpoint.id: [1.5, 3.0, 6.0, 12.0, 24.0],
        f"{tiny_checkpoint.id} + {decoder.id}": [1.5, 6.0],
    }


@pytest.mark.usefixtures("quick")
def test_a_second_decoder_is_compared_on_the_same_recordings(
    tiny_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    network = vocoder.Vocoder({"dim": 8, "intermediate": 12, "layers": 1, "bandwidths": [1.5, 6.0]})
    file = vocoder.save(network, tmp_path / "other.safetensors", {"codec": tiny_checkpoint.id})
    said = [Passage(0.0, 1.0, "one two"), Passage(1.0, 2.0, "three")]
    clips = [evaluation.Clip("speech/a", f"{i}.wav", WAVE * (1 + i), said) for i in range(3)]
    rows = evaluation.measured(tiny_checkpoint, clips, tmp_path, decoder_for(tiny_checkpoint, file))
    own, other = (rows["codec"] == name for name in rows["codec"].unique()[1:])
    rows.loc[own, "snr_db"] = rows.loc[own, "stoi"] = 0.25
    at_six = other & (rows["kbps"] == 6)
    rows.loc[at_six, "counted"] = rows.loc[at_six, "counted"].map(
        lambda counted: [replace(words, deletions=words.deletions + 1) for words in counted]
    )
    names = rows["codec"].unique()
    beside = evaluation.beside_own(rows, names[1], names[2])
    assert beside[["set", "kbps"]].to_numpy().tolist() == [
        [name, kbps] for name in ("speech/a", evaluation.RECORDED) for kbps in (1.5, 6.0)
    ]
    assert beside["stoi"].tolist() == [0.25] * 4 and set(beside["words"]) == {9}
    assert beside["words_wrong"].tolist() == pytest.approx([0, 2 / 3] * 2)
