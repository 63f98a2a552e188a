"""Nothing is trained on what results are measured on: no voice, no text and no recording, by name and by sound."""

from __future__ import annotations

import csv
import re
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.fft
import soundfile
import torch
import yaml
from torchaudio.transforms import MelSpectrogram

from fmri_audio.base.errors import UserError
from fmri_audio.sound import audio
from programs import kokoro
from programs.codec_training import corpus, evaluation, texts, voices
from tests.programs.codec_training.voice_prints import SAME_VOICE, distance, voice_print

STIMULUS = Path(__file__).resolve().parents[3] / "stimulus"
SAME_STYLE = 0.95
"""Cosine similarity of two base voices' timbre that one voice exceeds with itself, at other lengths of a sentence."""

needs_kokoro = pytest.mark.skipif(
    not kokoro.is_installed(), reason="needs Kokoro: pip install -r stimulus/requirements.txt"
)


@cache
def cast() -> dict[str, dict]:
    return yaml.safe_load((STIMULUS / "studio" / "cast.yml").read_text(encoding="utf-8"))


def play_voices() -> set[str]:
    return {name for role in cast().values() for half in ("timbre", "manner") for name in role.get(half, {})}


# Voices, by name


@pytest.fixture
def everything_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program that the corpus knows, and festival with a voice."""
    (tmp_path / "us" / "cmu_us_slt_arctic_hts" / "festvox").mkdir(parents=True)
    (tmp_path / "us" / "cmu_us_slt_arctic_hts" / "festvox" / "voice.scm").touch()
    monkeypatch.setattr(voices, "_FESTIVAL_ROOT", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(kokoro, "is_installed", lambda: True)


def test_no_base_voice_of_the_corpus_is_one_of_the_play() -> None:
    assert play_voices() == {"jf_alpha", "jf_tebukuro", "jm_kumo"}
    assert not play_voices() & set(voices.KOKORO_VOICES)


def test_one_engine_speaks_in_the_play_alone(everything_installed: None) -> None:
    of_the_corpus = {voice.program for voice in (*voices.natural(), *voices.older())}
    assert of_the_corpus == {"kokoro", "hibari", "flite", "festival", "espeak-ng"}
    assert {role["engine"] for role in cast().values()} - of_the_corpus == {"pico"}


def test_no_voice_of_any_engine_of_the_corpus_has_a_name_of_the_play(everything_installed: None) -> None:
    named = {part for voice in (*voices.natural(), *voices.older()) for part in voice.name.split(" and ")}
    assert {"jf_nezumi", "heart", "kal16", "cmu_us_slt_arctic_hts", "en-us"} <= named
    assert not named & {*play_voices(), "pico"}


# Voices, by sound


@needs_kokoro
def test_no_style_of_the_corpus_is_as_near_to_one_of_the_play_as_a_voice_is_to_itself() -> None:
    _, styles = kokoro.tables()
    shares = np.linspace(*voices.SHARES, 9)
    mixtures = [dict(zip(voices.KOKORO_VOICES, (share, 1 - share), strict=True)) for share in shares]
    characters = [role["timbre"] for role in cast().values() if role["engine"] == "kokoro"]
    play = [*characters, *({name: 1.0} for name in play_voices())]

    def timbre(weights: dict[str, float], length: int) -> np.ndarray:
        style = kokoro.mixture(styles, weights, length)[0, : kokoro.TIMBRE]
        return style / np.linalg.norm(style)

    for length in (20, 60, 150):
        ours, theirs = ([timbre(weights, length) for weights in side] for side in (mixtures, play))
        assert (np.stack(ours) @ np.stack(theirs).T).max() < SAME_STYLE
        itself = [own @ timbre(weights, length + 40) for own, weights in zip(theirs, play, strict=True)]
        assert min(itself) > SAME_STYLE


@cache
def spoken(part: int) -> dict[str, np.ndarray]:
    """What every voice says in a part of the play where nothing but a room is around it, up to 40 s."""
    rows = pd.read_csv(STIMULUS / "segments.tsv", sep="\t", keep_default_na=False, quoting=csv.QUOTE_NONE)
    plain = rows[(rows["part"] == part) & (rows["kind"] == "speech") & ~rows["background"].str.contains(";")]
    sound, rate = soundfile.read(STIMULUS / f"part{part}.ogg", dtype="float32")
    pieces: dict[str, list[np.ndarray]] = {}
    for row in plain.itertuples():
        pieces.setdefault(row.speaker, []).append(sound[round(row.onset * rate) : round(row.offset * rate)])
    joined = {voice: np.concatenate(found)[: 40 * rate] for voice, found in pieces.items()}
    return {voice: found for voice, found in joined.items() if len(found) > 10 * rate}


@cache
def play_prints() -> dict[tuple[str, int], np.ndarray]:
    return {(voice, part): voice_print(sound) for part in (1, 2) for voice, sound in spoken(part).items()}


def test_the_measure_knows_a_voice_of_the_play_again_in_other_words() -> None:
    prints = play_prints()
    both = {voice for voice, part in prints if part == 1} & {voice for voice, part in prints if part == 2}
    assert {"Nora Stone", "The weather machine"} <= both
    assert max(distance(prints[voice, 1], prints[voice, 2]) for voice in both) < 0.7 * SAME_VOICE
    machine = [prints["The weather machine", part] for part in (1, 2)]
    others = [one for (voice, _), one in prints.items() if voice != "The weather machine"]
    assert min(distance(one, other) for one in machine for other in others) > SAME_VOICE


@needs_kokoro
def test_a_rendered_voice_of_the_play_is_known_again() -> None:
    """The bound would catch a voice of the play in the corpus: dry, and with words of the corpus."""
    texts_read = texts.passage(np.random.default_rng(9), 3)
    for key in ("nora", "tom"):
        role = cast()[key]
        takes = [
            kokoro.speak(text, role["timbre"], role["manner"], role["accent"], 1.0) for text in texts_read
        ]
        own = [one for (voice, _), one in play_prints().items() if voice == role["name"]]
        assert min(distance(voice_print(np.concatenate(takes)), one) for one in own) < 0.7 * SAME_VOICE


@pytest.mark.parametrize(
    "voice",
    sorted({*voices.natural(), *voices.older()}, key=str)
    or [pytest.param(None, marks=pytest.mark.skip("no text-to-speech program of the corpus is installed"))],
    ids=lambda voice: f"{voice.program} {voice.name}" if voice else "",
)
def test_no_voice_of_the_corpus_sounds_like_one_of_the_play(voice: voices.Voice) -> None:
    samples, rate = voices.speak(voice, np.random.default_rng(1), 3)
    found = voice_print(audio.resample(samples, rate, audio.SAMPLE_RATE))
    nearest = min(play_prints(), key=lambda name: distance(found, play_prints()[name]))
    assert distance(found, play_prints()[nearest]) > SAME_VOICE, nearest


# Texts


def runs(text: str, length: int = 8) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())
    return {tuple(words[k : k + length]) for k in range(len(words) - length + 1)}


def test_no_run_of_eight_words_of_the_play_is_in_a_text_of_the_corpus() -> None:
    script = yaml.safe_load((STIMULUS / "script.yml").read_text(encoding="utf-8"))
    cues = [cue for part in script["parts"] for scene in part["scenes"] for cue in scene["cues"]]
    play = " ".join(cue[key] for cue in cues if (key := next(iter(cue))) in cast())
    rng = np.random.default_rng(0)
    read = " ".join([texts.PROSE.read_text(encoding="utf-8"), texts.english(rng, 500)])
    assert len(runs(play)) > 3000 and len(runs(read)) > 5000
    assert not runs(play) & runs(read)
    assert runs(play) & runs(read + " " + " ".join(play.split()[100:110])), "a run that is there is found"


# Recordings


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder of recordings as the shared one is laid out."""
    for name in ("train-speech/VCTK/a/a.wav", "speech/librivox/b.wav", "stimulus/c.wav"):
        audio.write_wav(tmp_path / name, np.full(2400, 0.1))
    return tmp_path


@pytest.mark.parametrize("folder", ["", "speech", "speech/librivox", "stimulus"])
def test_what_lies_beside_the_training_folder_is_refused(beside: Path, folder: str) -> None:
    with pytest.raises(UserError, match="by which results are measured; give .*train-speech"):
        corpus.render(beside / "corpus", {}, 0, beside / folder)
    assert not (beside / "corpus").exists()


def test_the_training_folder_and_its_folders_are_taken(beside: Path) -> None:
    for name in ("train-speech", "train-speech/VCTK"):
        assert "1 files" in corpus.render(beside / "corpus", {}, 0, beside / name)["recordings"]


@pytest.mark.parametrize("folder", [STIMULUS, STIMULUS.parent])
def test_the_play_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="holds the radio play, which nothing is trained on"):
        corpus.render(tmp_path / "corpus", {}, 0, folder)


def test_every_shared_folder_but_that_for_training_is_refused(shared_data: Path) -> None:
    folders = [folder for folder in shared_data.rglob("*") if folder.is_dir()]
    for folder in [shared_data, *folders]:
        if not folder.is_relative_to(shared_data / corpus.TRAINED_ON):
            with pytest.raises(UserError, match="by which results are measured"):
                corpus.refuse_kept_apart(folder)


def test_no_speaker_that_is_measured_is_trained_on(shared_data: Path) -> None:
    listing = pd.read_csv(shared_data / corpus.TRAINED_ON / "SOURCES.tsv", sep="\t", dtype=str)
    trained = set(listing[listing["dataset"].isin(["LibriSpeech", "LibriTTS"])]["speaker"])
    measured = {
        path.stem.split("-")[1] for path in (shared_data / "speech" / "librivox").glob("librispeech-*")
    }
    assert len(trained) > 100 and measured and not trained & measured
    assert not set(listing["dataset"]) & {"LJSpeech", "DAPS"}


@cache
def _bands() -> MelSpectrogram:
    return MelSpectrogram(8000, 512, hop_length=320, n_mels=12, f_min=80.0, f_max=3400.0)


def contour(wave: np.ndarray) -> np.ndarray:
    """Shape of the spectrum in 12 bands at 25 Hz, whatever its level, [12, T]."""
    low = torch.from_numpy(audio.resample(wave, audio.SAMPLE_RATE, 8000).astype(np.float32))
    energies = np.log(_bands()(low).numpy() + 1e-5)
    audible = np.maximum(energies, energies.max() - 8)
    return audible - audible.mean(0, keepdims=True)


def likeness(excerpt: np.ndarray, whole: np.ndarray) -> float:
    """The largest correlation of a contour [12, n] with a stretch of a longer one [12, T], each band centred."""
    n = excerpt.shape[1]
    centred = excerpt - excerpt.mean(1, keepdims=True)
    size = scipy.fft.next_fast_len(whole.shape[1] + n, real=True)
    spectra = (scipy.fft.rfft(part, size) for part in (whole, centred))
    products = scipy.fft.irfft(np.prod([next(spectra), next(spectra).conj()], axis=0), size)
    sums, squares = (np.cumsum(np.pad(part, ((0, 0), (1, 0))), axis=1) for part in (whole, whole**2))
    means = (sums[:, n:] - sums[:, :-n]) / n
    energy = (squares[:, n:] - squares[:, :-n] - n * means**2).sum(0)
    places = products.sum(0)[: whole.shape[1] - n + 1]
    return float((places / np.sqrt(np.maximum(energy, 1.0) * (centred**2).sum())).max())


def test_no_recording_that_is_measured_is_trained_on(shared_data: Path) -> None:
    """No 3 s of one are anywhere in the training's recordings, though of another encoding or rate; own ones are."""
    files = corpus._sound_files(shared_data / corpus.TRAINED_ON)
    waves = [audio.read_mono(file).waveform for file in files if "other" not in file.parts]
    whole = np.concatenate([contour(wave) for wave in waves if len(wave) > 4800], axis=1)
    clips = [
        clip for clip in evaluation.recordings_to_test(shared_data, 8) if clip.set != evaluation.MUSIC_SET
    ]
    excerpts = [contour(clip.wave[24_000 : 4 * 24_000]) for clip in clips]
    assert len(excerpts) == 18
    assert max(likeness(excerpt, whole) for excerpt in excerpts) < 0.8
    long = [wave for wave in waves if len(wave) > 5 * 24_000]
    for wave in long[:: len(long) // 5]:
        shifted = wave[24_007 : 4 * 24_000] + 0.003 * np.random.default_rng(0).standard_normal(71_993)
        assert likeness(contour(shifted), whole) > 0.9, "what is there is found"
