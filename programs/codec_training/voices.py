"""Speech for the corpus from whatever text-to-speech programs this machine has.

The voices of the radio play (slt, rms, awb and espeak-ng's British English) are left out, so that the play stays
sound the codec has never heard.

Most voices have 16 kHz and buzz. One that sounds like a person, at 24 kHz, comes with the PyPI package ``hibari-tts``
(Apache-2.0; a small network distilled from the Kokoro model); where its command is installed it speaks a third.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from programs.codec_training.texts import english, nonsense

KEPT_FOR_THE_PLAY = ("slt", "rms", "awb", "en-gb")
_FLITE_VOICES = ("kal16",)
_HIBARI_VOICES = ("heart",) * 14  # as many turns as it takes for a third of the speech
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
    """A voice of a program: ``program`` is hibari, flite, festival or espeak-ng."""

    program: str
    name: str
    script: str = "english"


def installed() -> list[Voice]:
    """Every usable voice on this machine, in the order of their turns; empty where there is none."""
    voices: list[Voice] = []
    if shutil.which("hibari"):
        voices += [Voice("hibari", name) for name in _HIBARI_VOICES]
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
    return [
        v
        for v in voices
        if not any(part in v.name.split("_") + [v.name.split("+")[0]] for part in KEPT_FOR_THE_PLAY)
    ]


def speak(voice: Voice, rng: np.random.Generator, sentences: int) -> tuple[np.ndarray, int]:
    """One paragraph: samples (float32, mono) and their rate."""
    text = english(rng, sentences) if voice.script == "english" else nonsense(rng, sentences, voice.script)
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "speech.wav"
        _run(voice, text, sound, rng)
        samples, rate = soundfile.read(sound, dtype="float32", always_2d=True)
    return samples.mean(axis=1), rate


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
