"""Who speaks in the play, and when the words of a take are spoken."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml

from programs.codec_training.voices import KOKORO_VOICES

FOLDER = Path(__file__).resolve().parents[2] / "stimulus"

pytestmark = pytest.mark.usefixtures("render")


def cast() -> dict[str, dict]:
    return yaml.safe_load((FOLDER / "studio" / "cast.yml").read_text())


# The voices' table


def test_no_character_has_a_voice_that_the_codec_is_trained_on(render: ModuleType) -> None:
    from studio.kokoro import BASE_VOICES

    assert not set(KOKORO_VOICES) & set(BASE_VOICES)
    for name, role in cast().items():
        used = {*role.get("timbre", {}), *role.get("manner", {})}
        assert used <= set(BASE_VOICES), name


def test_seven_people_and_a_machine_of_another_engine_speak() -> None:
    people = [role for role in cast().values() if role["engine"] == "kokoro"]
    assert len(people) == 7
    assert {role["engine"] for role in cast().values()} == {"kokoro", "pico"}
    sounds = [(sorted(r["timbre"].items()), sorted(r["manner"].items()), r["accent"]) for r in people]
    assert all(a != b for k, a in enumerate(sounds) for b in sounds[:k]), "two of them are one voice"


def test_everyone_in_the_script_is_cast(render: ModuleType) -> None:
    script = render.script_of(FOLDER)
    box = render.company(script, None)
    cues = [cue for part in script["parts"] for scene in part["scenes"] for cue in scene["cues"]]
    speakers = {next(iter(cue)) for cue in cues} - {"sound", "music", "pause"}
    assert speakers == set(box.cast)


def test_a_voice_of_the_play_is_mixed_of_the_play_s_own_base_voices(
    render: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio import kokoro

    said: list[tuple[object, ...]] = []
    monkeypatch.setattr(kokoro.kokoro, "speak", lambda *asked: said.append(asked) or np.zeros(2))
    whole, half = {"jm_kumo": 1.0}, {"jf_alpha": 0.25, "jm_kumo": 0.75}
    assert len(kokoro.speak("So it is.", whole, half, "gb", 1.1)) == 2
    assert said == [("So it is.", whole, half, "gb", 1.1)]
    for wrong, why in (
        ({"jf_nezumi": 1.0}, "jf_nezumi is no voice of the play"),
        ({"jm_kumo": 0.9}, "add up to 0.9"),
    ):
        for timbre, manner in ((wrong, whole), (whole, wrong)):
            with pytest.raises(ValueError, match=why):
                kokoro.speak("So it is.", timbre, manner, "gb", 1.0)
    assert len(said) == 1


def test_a_word_is_respelled_whole_and_whatever_its_capitals(render: ModuleType) -> None:
    from studio.voices import respell

    assert respell("Plover, the plovers.", {"plover": "pluvver"}) == "pluvver, the plovers."


def test_a_shelf_lifts_what_is_above_its_corner(render: ModuleType) -> None:
    from studio.voices import LIFTED_ABOVE, high_shelf

    seconds = np.arange(24_000) / 24_000
    low, high = (np.sin(2 * np.pi * hertz * seconds) for hertz in (70, 7000))
    gains = [
        20 * np.log10(np.std(high_shelf(tone, LIFTED_ABOVE, 12.0)) / np.std(tone)) for tone in (low, high)
    ]
    assert gains == pytest.approx([0, 12], abs=0.3)


@pytest.mark.parametrize("accent", ["us", "gb"])
def test_kokoro_s_phonemes_are_all_known_to_the_aligner(render: ModuleType, accent: str) -> None:
    pytest.importorskip("misaki", reason="a package for rendering (stimulus/requirements.txt)")
    from studio.align import ARPABET
    from studio.kokoro import phonemes

    text = "The judge who leaked thought of a boy, a pure button, water, beige treasure and how you sing."
    assert set(phonemes(text, accent)) <= {*ARPABET, *"ˈˌː ,."}


# The alignment


def test_phonemes_become_the_dictionary_s(render: ModuleType) -> None:
    from studio.align import arpabet

    assert arpabet("plˈʌvɚ") == "P L AH V ER"
    assert arpabet("ʤˈɛliːbˌin") == "JH EH L IY B IY N"
    with pytest.raises(ValueError, match="no phoneme"):
        arpabet("…")


def test_a_word_beside_a_pause_begins_and_ends_where_the_sound_does(render: ModuleType) -> None:
    from studio.align import levels, snapped
    from studio.spoken import Word

    sample_rate, sound = 16_000, np.full(16_000, 1e-4)
    sound[3200:6400] = sound[9600:12_800] = 0.5  # 0.2 to 0.4 s, 0.6 to 0.8 s
    rough = [Word("one", 0.17, 0.3), Word("two", 0.3, 0.44), Word("three", 0.63, 0.75)]
    found = snapped(rough, levels(sound, sample_rate))
    times = [time for word in found for time in (word.onset, word.offset)]
    assert times == pytest.approx([0.2, 0.3, 0.3, 0.4, 0.6, 0.8], abs=0.006)


def test_a_sentence_of_the_play_is_aligned_where_the_timetable_has_it(render: ModuleType) -> None:
    pytest.importorskip("pocketsphinx", reason="the extra recognition has it")
    from studio.align import aligned

    segments = pd.read_csv(FOLDER / "segments.tsv", sep="\t", keep_default_na=False, quoting=3)
    words = pd.read_csv(FOLDER / "words.tsv", sep="\t", keep_default_na=False, quoting=3)
    first = segments[(segments["kind"] == "speech") & (segments["text"].str.count(" ") > 6)].iloc[0]
    start, stop = first["onset"], first["offset"]
    samples, rate = soundfile.read(
        FOLDER / "part1.ogg", start=round(start * 24_000), stop=round(stop * 24_000)
    )
    known = words[(words["part"] == 1) & words["onset"].between(start, stop)]
    found = aligned(samples, rate, first["text"], lambda word: "ˈ")
    assert [word.text for word in found] == known["word"].tolist()
    errors = np.array([word.onset for word in found]) + start - known["onset"].to_numpy()
    assert np.median(np.abs(errors)) < 0.03
    with pytest.raises(ValueError, match="no phoneme"):
        aligned(samples, rate, "Xylqz.", lambda word: "ˈ")
