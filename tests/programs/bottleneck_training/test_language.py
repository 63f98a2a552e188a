"""Speech written down as phonemes: code lengths that add up, and sentences that are placed where they belong."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from fmri_audio.base.settings import project_root
from fmri_audio.experiments.ladder import Window
from fmri_audio.sound.recognition import Passage
from programs import kokoro
from programs.__main__ import main
from programs.bottleneck_training import conditions, language
from programs.bottleneck_training.language import Context, Counted, Models, Read, Said, contour
from programs.bottleneck_training.windows import Sounds, play_windows
from programs.codec_training import texts
from programs.kokoro import Prosody

speaks = pytest.mark.skipif(
    not (kokoro.is_installed() and importlib.util.find_spec("onnx")),
    reason="needs Kokoro and onnx: pip install -r stimulus/requirements.txt",
)


def letters(text: str) -> list[int]:
    return [ord(letter) % 64 + 1 for letter in text]


def english() -> list[list[int]]:
    return [letters(piece) for source in texts.prose() for piece in source]


@pytest.mark.parametrize("order", [0, 1, 4])
def test_what_may_follow_has_probabilities_that_add_up_to_one(order: int) -> None:
    known = Context(66, order).learn(english()[:20])
    for before in (letters("the wea"), [3, 3, 3], []):
        total = sum(known.probability(before, symbol) for symbol in range(66))
        assert total == pytest.approx(1)


def test_context_tells_of_english_and_of_nothing_random() -> None:
    every = english()
    train, held_out = every[::2], every[1::2]
    plain, after = (Context(66, order).learn(train) for order in (0, language.ORDER))
    n = sum(len(one) for one in held_out)
    bits = [sum(model.bits(one) for one in held_out) / n for model in (plain, after)]
    assert 4 < bits[0] < 4.6 and bits[1] < 0.8 * bits[0]
    assert bits[1] > 1.5, "less than English has: it was learnt by heart"
    noise = [int(x) for x in np.random.default_rng(0).integers(0, 66, 4000)]
    assert after.bits(noise) / len(noise) > math.log2(66)


def test_a_contour_is_level_and_slope_of_what_is_voiced() -> None:
    seconds = np.arange(160) / 80
    pitch = 100 * 2 ** ((5 - 3 * (seconds - seconds.mean())) / 12)
    pitch[::7] = 10.0
    assert contour(pitch) == (5, -3)
    assert contour(np.full(160, 10.0)) == (0, 0)


def sentence(seed: int) -> Said:
    rng = np.random.default_rng(seed)
    sounds = rng.integers(1, 20, 30).tolist()
    durations = [6, *(1 + sound % 4 + int(rng.random() < 0.2) for sound in sounds), 6]
    return Said(sounds, durations, int(rng.normal(8, 3)), int(rng.normal(-2, 1)))


def test_bits_are_counted_by_other_sentences() -> None:
    models = Models.learn([sentence(seed) for seed in range(60)], 20)
    found = [models.counted(sentence(seed)) for seed in range(100, 120)]
    mean = {name: float(np.mean([asdict(one)[name] for one in found])) for name in asdict(found[0])}
    assert mean["frequency"] / 31 == pytest.approx(math.log2(20), abs=0.3)  # sounds of nothing but chance
    assert mean["durations"] / 32 < 1.2  # which the sound decides, but for every fifth
    assert 0.5 * math.log2(2 * math.pi * math.e * 9) < mean["pitch"] < 9
    one = found[0]
    assert one.total(prior=True, timed=False) == one.prior + one.onset
    assert one.total(prior=False, timed=True) == pytest.approx(
        one.frequency + one.onset + one.durations + one.pitch
    )
    odd = Said([19, 19], [language.LONGEST + 50, 1, 1, 1], 90, 0)
    assert math.isfinite(models.counted(odd).total(prior=True, timed=True))


def test_a_sentence_said_again_keeps_to_its_line() -> None:
    one = Said([4, 5], [2, 3, 4, 1], 7, -5)
    like = Prosody(np.array([2, 3, 4, 1.0]), np.where(np.arange(20) % 5, 200.0, 10.0))
    again = one.prosody(like)
    assert [*again.durations] == one.durations
    voiced = like.pitch > 50
    assert (again.pitch[~voiced] == 10).all() and contour(again.pitch) == (7, -5)


def spoken(work: Path) -> Read:
    waves = {
        f"{how}/{name}": np.full(n, 1000, np.int16)
        for how in ("timed", "untimed")
        for name, n in (("1/2.000", 12_000), ("1/4.500", 6_000))
    }
    np.savez(work / language.SPOKEN, **waves)  # type: ignore[arg-type]
    rows = [
        {"sentence": name, "seconds": 2.0, **asdict(Counted(100, 60, 40, 8, 9))}
        for name in ("1/2.000", "1/4.500")
    ]
    (work / language.COUNTED).write_text(json.dumps(rows), encoding="utf-8")
    found = Read.of(work)
    assert found is not None
    return found


def test_sentences_stand_where_the_play_has_them(tmp_path: Path) -> None:
    assert Read.of(tmp_path) is None
    found = spoken(tmp_path)
    wave = found.window("timed", [("1/2.000", 0.5), ("1/4.500", 3.0)], 24_000 * 3 + 3_000)
    assert wave is not None
    lead = round(language.LEAD * 24_000)
    loud = np.flatnonzero(wave)
    assert loud[0] == 12_000 + lead and loud[-1] == len(wave) - 1
    assert not wave[24_000 + lead : 72_000 + lead].any()
    assert found.window("timed", [("2/9.000", 0.0)], 100) is None and found.window("timed", [], 100) is None


def test_conditions_of_language_have_bits_and_only_the_windows_that_were_spoken(
    tmp_path: Path, tiny_checkpoint_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken(tmp_path)
    rng = np.random.default_rng(0)
    waves = [rng.normal(0, 0.1, 72_000).astype(np.float32) for _ in range(2)]
    windows = [Window(f"w{k}", "play", f"v{k}", "p", 3.0, 2, str(k)) for k in range(2)]
    texts_of = [[Passage(0.0, 3.0, "one two")]] * 2
    sounds = Sounds(windows, waves, texts_of, [[("1/2.000", 0.2)], [("2/1.000", 0.0)]])
    makers = conditions.Makers(str(tiny_checkpoint_file), tmp_path, tmp_path)
    found = [job for job in conditions.jobs(makers, sounds, []) if job.condition.rung == "language"]
    assert [one.condition.bits_per_tr for one in found] == [117 / 2, 157 / 2, 69 / 2, 109 / 2]
    monkeypatch.setattr(conditions, "word_errors", lambda *given: [])
    scores = conditions.measured(found[0], sounds)
    assert [one.window for one in scores] == ["w0"]


def test_windows_of_the_play_name_their_sentences() -> None:
    some = [one for _, one in zip(range(5), play_windows(project_root() / "stimulus"), strict=False)]
    for _, _, _, clip, (part, begins) in some:
        for passage in clip.passages:
            assert language.key(part, begins + passage.onset).startswith(f"{part}/")


def test_without_kokoro_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kokoro, "is_installed", lambda: False)
    assert main(["bottleneck-speak", "--work", str(tmp_path / "work")]) == 1
    assert "install stimulus/requirements.txt" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


@speaks
@pytest.mark.slow
def test_what_the_network_would_say_is_what_it_says_when_told_to() -> None:
    voice = {"jf_alpha": 1.0}
    text = "The station was quiet."
    sounds = kokoro.tokens(text, "us")
    style = kokoro.styled(voice, voice, len(sounds))
    prosody = kokoro.predicted(sounds, style, 1.0)
    assert len(prosody.durations) == len(sounds) + 2 and len(prosody.pitch) == 2 * prosody.durations.sum()
    whole, told = kokoro.speak(text, voice, voice, "us", 1.0), kokoro.speak_as(sounds, style, prosody)
    assert len(whole) == len(told) and np.corrcoef(whole, told)[0, 1] > 0.99
    one = Said.of(sounds, prosody)
    slower = Said(one.sounds, [2 * x for x in one.durations], one.level, one.slope)
    quick, slow = (len(language.said_again(x, timed=True)) for x in (one, slower))
    assert slow == pytest.approx(2 * quick, rel=0.02)
