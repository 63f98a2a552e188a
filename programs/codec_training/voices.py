"""Speech for the corpus from whatever text-to-speech programs this machine has.

*Natural* voices have 24 kHz: mixtures of two of Kokoro's base voices (:mod:`programs.kokoro`), and the voice of the
PyPI package ``hibari-tts`` (Apache-2.0; a small network distilled from Kokoro). The *older* synthesisers (flite,
festival, espeak-ng) have 16 kHz and buzz.

Kokoro's other base voices and SVOX Pico speak in the radio play and nowhere else, so that the play stays sound that
nothing was trained on.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from programs import kokoro
from programs.codec_training.texts import nonsense, passage

KOKORO_VOICES = ("jf_gongitsune", "jf_nezumi")
"""Base voices of the corpus. Those of the play are in ``stimulus/studio/kokoro.py``; no voice is in both."""

SHARES = (-0.3, 1.3)
"""Of the first of them in a mixture, least and most."""

_FLITE_VOICES = ("kal16", "slt", "rms", "awb")
_KOKORO_TURNS, _HIBARI_TURNS = 2, 1
_FESTIVAL_ROOT = Path("/usr/share/festival/voices")
# Languages whose voices read our made-up words; the Indian ones stay silent on them.
_FESTIVAL_SCRIPTS = {
    "english": "english",
    "us": "english",
    "catalan": "latin",
    "czech": "latin",
    "finnish": "latin",
    "italian": "latin",
    "russian": "cyrillic",
}
_ESPEAK_LANGUAGES = (
    "en-us",
    "de",
    "fr-fr",
    "es",
    "it",
    "pl",
    "pt-br",
    "sv",
    "fi",
    "nl",
    "cs",
    "tr",
    "hu",
    "id",
)
_ESPEAK_VARIANTS = ("", "+f1", "+f2", "+f3", "+f4", "+f5", "+m4", "+m5", "+m7", "+croak", "+whisper")


@dataclass(frozen=True)
class Voice:
    """A voice of a program: ``program`` is kokoro, hibari, flite, festival or espeak-ng."""

    program: str
    name: str
    script: str = "english"


def natural() -> list[Voice]:
    """The natural voices on this machine, in the order of their turns; empty where there is none."""
    voices: list[Voice] = []
    if kokoro.is_installed():
        voices += [Voice("kokoro", " and ".join(KOKORO_VOICES))] * _KOKORO_TURNS
    if shutil.which("hibari"):
        voices += [Voice("hibari", "heart")] * _HIBARI_TURNS
    return voices


def older() -> list[Voice]:
    """Every usable voice of an older synthesiser here, in the order of their turns; empty where there is none."""
    voices: list[Voice] = []
    if shutil.which("flite"):
        voices += [Voice("flite", name) for name in _FLITE_VOICES]
    if shutil.which("text2wave") and _FESTIVAL_ROOT.is_dir():
        for folder in sorted(_FESTIVAL_ROOT.glob("*/*")):
            script = _FESTIVAL_SCRIPTS.get(folder.parent.name)
            if script and list(folder.glob("festvox/*.scm")):
                voices.append(Voice("festival", folder.name, script))
    if shutil.which("espeak-ng"):
        for index, language in enumerate(_ESPEAK_LANGUAGES):
            variant = _ESPEAK_VARIANTS[index % len(_ESPEAK_VARIANTS)]
            voices.append(
                Voice("espeak-ng", language + variant, "english" if language == "en-us" else "latin")
            )
    return voices


def speak(voice: Voice, rng: np.random.Generator, sentences: int) -> tuple[np.ndarray, int]:
    """One paragraph: samples (float32, mono) and their rate."""
    if voice.program == "kokoro":
        return _speak_kokoro(rng, sentences), kokoro.SAMPLE_RATE
    english_read = voice.script == "english"
    text = " ".join(passage(rng, sentences)) if english_read else nonsense(rng, sentences, voice.script)
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "speech.wav"
        _run(voice, text, sound, rng)
        samples, rate = soundfile.read(sound, dtype="float32", always_2d=True)
    return samples.mean(axis=1), rate


def _speak_kokoro(rng: np.random.Generator, sentences: int) -> np.ndarray:
    """A paragraph by a mixture of base voices, drawn anew, beyond either of them too."""
    timbre, manner = (
        dict(zip(KOKORO_VOICES, (share, 1 - share), strict=True)) for share in rng.uniform(*SHARES, 2)
    )
    accent, speed = str(rng.choice(list(kokoro.LANGUAGES))), rng.uniform(0.85, 1.2)
    pieces = [kokoro.speak(text, timbre, manner, accent, speed) for text in passage(rng, sentences)]
    return np.concatenate(pieces).astype(np.float32)


def _run(voice: Voice, text: str, sound: Path, rng: np.random.Generator) -> None:
    if voice.program == "hibari":
        pace, noise = f"{rng.uniform(0.8, 1.25):.2f}", str(rng.integers(1 << 30))
        command = ["hibari", "-", "--voice", voice.name, "--speed", pace, "--seed", noise, "-o", str(sound)]
    elif voice.program == "flite":
        command = ["flite", "-voice", voice.name, "-t", text, "-o", str(sound)]
        text = ""
    elif voice.program == "festival":
        command = ["text2wave", "-eval", f"(voice_{voice.name})", "-o", str(sound)]
    else:
        pace, pitch = str(rng.integers(130, 200)), str(rng.integers(20, 80))
        command = ["espeak-ng", "-v", voice.name, "-s", pace, "-p", pitch, "-w", str(sound), "--stdin"]
    subprocess.run(command, input=text.encode(), check=True, capture_output=True, timeout=120)
