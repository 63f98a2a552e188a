"""Text to speech with word times, one function per engine, and the WORLD transformation that makes new characters.

Engines come from Debian packages (``festival``, ``festvox-us-slt-hts``, ``flite``, ``espeak-ng``); all three report
when each word begins and ends, so the timetable needs no recogniser.
"""

from __future__ import annotations

import ctypes
import functools
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, resample_poly, sosfiltfilt

SAMPLE_RATE = 24_000
_WORD = r"[A-Za-z]+(?:'[a-z]+)?"


@dataclass
class Word:
    """One spoken word with its times in seconds from the start of the sound it belongs to."""

    text: str
    onset: float
    offset: float


@dataclass
class Spoken:
    """A mono sound and the words in it."""

    samples: np.ndarray
    sample_rate: int
    words: list[Word] = field(default_factory=list)


@dataclass(frozen=True)
class Role:
    """How a character sounds; see ``cast.yml``."""

    engine: str
    voice: str
    name: str
    rate: float
    pitch: float
    formant: float
    range: float
    lift: float


def festival(text: str, voice: str, rate: float) -> Spoken:
    """Synthesise with a festival voice; word times from the utterance's Word relation."""
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "line.wav"
        quoted = text.replace("\\", "").replace('"', "")
        script = f"""
(voice_{voice})
(set! hts_engine_params (cons (list "-r" {rate}) hts_engine_params))
(set! line (utt.synth (Utterance Text "{quoted}")))
(utt.save.wave line "{wave}")
(mapcar (lambda (w) (format t "%s\\t%f\\t%f\\n" (item.name w) (item.feat w 'word_start) (item.feat w 'word_end)))
        (utt.relation.items line 'Word))
"""
        (Path(folder) / "line.scm").write_text(script)
        done = subprocess.run(
            ["festival", "-b", f"{folder}/line.scm"], capture_output=True, text=True, check=True
        )
        samples, sample_rate = soundfile.read(wave, dtype="float64")
    rows = [row.split("\t") for row in done.stdout.splitlines() if row.count("\t") == 2]
    return Spoken(samples, sample_rate, [Word(w, float(a), float(b)) for w, a, b in rows])


class _FliteWave(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]


def _flite_library() -> ctypes.CDLL:
    library = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
    for name in ("libflite_usenglish.so.1", "libflite_cmulex.so.1"):
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    signatures = {
        "flite_synth_text": (pointer, [text, pointer]),
        "utt_relation": (pointer, [pointer, text]),
        "relation_head": (pointer, [pointer]),
        "item_next": (pointer, [pointer]),
        "ffeature_string": (text, [pointer, text]),
        "ffeature_float": (ctypes.c_float, [pointer, text]),
        "utt_wave": (ctypes.POINTER(_FliteWave), [pointer]),
        "delete_utterance": (None, [pointer]),
        "flite_feat_set_float": (None, [pointer, text, ctypes.c_float]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.flite_init()
    return library


class _FliteVoice(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("features", ctypes.c_void_p)]


def flite(text: str, voice: str, rate: float) -> Spoken:
    """Synthesise with a flite voice through libflite; word times from the SylStructure relation."""
    library = _flite_library()
    register = getattr(ctypes.CDLL(f"libflite_{voice}.so.1"), f"register_{voice}")
    register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    handle = register(None)
    features = ctypes.cast(handle, ctypes.POINTER(_FliteVoice)).contents.features
    library.flite_feat_set_float(features, b"duration_stretch", 1.0 / rate)
    utterance = library.flite_synth_text(text.encode("ascii"), handle)
    wave = library.utt_wave(utterance).contents
    samples = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).astype(np.float64) / 32768
    words = []
    item = library.relation_head(library.utt_relation(utterance, b"Word"))
    while item:
        name = library.ffeature_string(item, b"name").decode()
        onset = library.ffeature_float(item, b"R:SylStructure.daughter1.daughter1.R:Segment.p.end")
        offset = library.ffeature_float(item, b"R:SylStructure.daughtern.daughtern.R:Segment.end")
        words.append(Word(name, float(onset), float(offset)))
        item = library.item_next(item)
    spoken = Spoken(samples, int(wave.sample_rate), words)
    library.delete_utterance(utterance)
    return spoken


class _EspeakEvent(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_ESPEAK_MARK = 3
_ESPEAK_SYNCHRONOUS = 2
_ESPEAK_RATE = 1
_ESPEAK_RANGE = 4
_ESPEAK_NORMAL_RATE = 175
_ESPEAK_UTF8 = 1
_ESPEAK_SSML = 0x10


@functools.lru_cache(maxsize=1)
def _espeak_library() -> tuple[ctypes.CDLL, int]:
    """The library and its sample rate; it loses its phoneme tables when it is initialised twice."""
    library = ctypes.CDLL("libespeak-ng.so.1")
    return library, int(library.espeak_Initialize(_ESPEAK_SYNCHRONOUS, 0, None, 0))


def espeak(text: str, voice: str, rate: float) -> Spoken:
    """Synthesise with espeak-ng; a mark before every word tells its onset, and a word ends where the next begins.

    A word before a pause ends where the sound dies away, at -40 dB of the peak.
    """
    library, sample_rate = _espeak_library()
    library.espeak_SetVoiceByName(voice.encode())
    library.espeak_SetParameter(_ESPEAK_RATE, int(_ESPEAK_NORMAL_RATE * rate), 0)
    library.espeak_SetParameter(_ESPEAK_RANGE, 45, 0)
    chunks: list[np.ndarray] = []
    starts: list[float] = []

    def collect(wave: ctypes._Pointer[ctypes.c_short], n: int, events: ctypes._Pointer[_EspeakEvent]) -> int:
        if wave and n > 0:
            chunks.append(np.ctypeslib.as_array(wave, (n,)).astype(np.float64) / 32768)
        index = 0
        while events[index].type != 0:
            if events[index].type == _ESPEAK_MARK:
                starts.append(events[index].audio_position / 1000)
            index += 1
        return 0

    prototype = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_EspeakEvent)
    )
    callback = prototype(collect)
    library.espeak_SetSynthCallback(callback)
    names = re.findall(_WORD, text)
    marks = re.sub(_WORD, lambda match: f'<mark name="w"/>{match.group()}', text)
    marked = f"<speak>{marks}</speak>".encode("ascii")
    flags = _ESPEAK_UTF8 | _ESPEAK_SSML
    library.espeak_Synth(marked, ctypes.c_size_t(len(marked) + 1), 0, 1, 0, flags, None, None)
    library.espeak_Synchronize()
    samples = np.concatenate(chunks)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max()) / sample_rate
    starts = _spread(names, [*starts, len(samples) / sample_rate])
    words = []
    for name, onset, limit in zip(names, starts[:-1], starts[1:], strict=True):
        heard = loud[(loud >= onset) & (loud < limit)]
        words.append(Word(name, onset, float(heard[-1]) if len(heard) else limit))
    return Spoken(samples, sample_rate, words)


def _spread(names: list[str], edges: list[float], shortest: float = 0.02) -> list[float]:
    """Word edges in which a word that espeak speaks as one with the word before ("from the") gets its share of both.

    espeak marks such a word where it ends, so it seems to take no time; the two share theirs by letters.
    """
    out = list(edges)
    for k in range(1, len(names)):
        if out[k + 1] - out[k] < shortest:
            share = len(names[k - 1]) / (len(names[k - 1]) + len(names[k]))
            out[k] = out[k - 1] + share * (out[k + 1] - out[k - 1])
    return out


ENGINES = {"festival": festival, "flite": flite, "espeak": espeak}


def _spoken_forms(text: str) -> list[str]:
    """The words of a sentence as the transcript writes them, without punctuation, lower case."""
    return re.findall(_WORD, text.lower())


def rename_words(words: list[Word], text: str) -> list[Word]:
    """Give the engine's words the transcript's spelling; contractions some engines split ("o'" + "clock") are joined.

    Raises
    ------
    ValueError
        When the engine's words cannot be matched with the text's, letter for letter.
    """
    pending = list(words)
    named = []
    for form in _spoken_forms(text):
        letters, parts = "", []
        while letters != form.replace("'", ""):
            if not pending or not form.replace("'", "").startswith(letters):
                raise ValueError(f"cannot match {form!r} in {text!r} with {[w.text for w in words]}")
            parts.append(pending.pop(0))
            letters += re.sub("[^a-z]", "", parts[-1].text.lower())
        named.append(Word(form, parts[0].onset, parts[-1].offset))
    if pending:
        raise ValueError(f"words left over in {text!r}: {[w.text for w in pending]}")
    return named


def transform(samples: np.ndarray, sample_rate: int, role: Role, semitones: float) -> np.ndarray:
    """Change pitch, pitch range and formants with the WORLD vocoder (Morise et al. 2016); times stay as they are."""
    factor = role.pitch * 2 ** (semitones / 12)
    if factor == 1.0 and role.formant == 1.0 and role.range == 1.0:
        return samples
    import pyworld

    rough, times = pyworld.dio(samples, sample_rate, f0_floor=60, f0_ceil=400)
    f0 = pyworld.stonemask(samples, rough, times, sample_rate)
    envelope = pyworld.cheaptrick(samples, f0, times, sample_rate)
    aperiodicity = pyworld.d4c(samples, f0, times, sample_rate)
    voiced = f0 > 0
    if voiced.any():
        log_f0 = np.log(f0[voiced])
        mean = log_f0.mean()
        f0 = f0.copy()
        f0[voiced] = np.exp(mean + role.range * (log_f0 - mean)) * factor
    if role.formant != 1.0:
        bins = np.arange(envelope.shape[1])
        source = bins / role.formant
        envelope = np.exp(np.stack([np.interp(source, bins, row) for row in np.log(envelope)]))
        aperiodicity = np.stack([np.interp(source, bins, row) for row in aperiodicity])
    out = pyworld.synthesize(
        f0, np.ascontiguousarray(envelope), np.ascontiguousarray(aperiodicity), sample_rate
    )
    return out[: len(samples)]


def to_studio_rate(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Resample to 24 kHz."""
    divisor = int(np.gcd(SAMPLE_RATE, sample_rate))
    return resample_poly(samples, SAMPLE_RATE // divisor, sample_rate // divisor, window=("kaiser", 10.0))


def add_top_octave(out: np.ndarray) -> np.ndarray:
    """Give a 16 kHz voice (at 24 kHz) the octave it lacks: a copy of its 4-8 kHz band, moved up by 4 kHz."""
    band = sosfiltfilt(butter(4, [4000, 7600], "bandpass", fs=SAMPLE_RATE, output="sos"), out)
    moved = band * np.cos(2 * np.pi * 4000 * np.arange(len(out)) / SAMPLE_RATE)
    top = sosfiltfilt(butter(6, [7800, 11_600], "bandpass", fs=SAMPLE_RATE, output="sos"), moved)
    return out + 0.7 * top


def trim(spoken: Spoken, before: float = 0.06, after: float = 0.14) -> Spoken:
    """Cut what lies before the first word and after the last, and fade the margins that stay."""
    rate = spoken.sample_rate
    first = max(0, int((spoken.words[0].onset - before) * rate))
    last = min(len(spoken.samples), int((spoken.words[-1].offset + after) * rate))
    shift, length = first / rate, (last - first) / rate
    words = [
        Word(w.text, *(float(np.clip(t - shift, 0.0, length)) for t in (w.onset, w.offset)))
        for w in spoken.words
    ]
    samples = spoken.samples[first:last].copy()
    rise, fall = int(0.03 * rate), int(0.08 * rate)
    samples[:rise] *= np.linspace(0, 1, rise)
    samples[-fall:] *= np.linspace(1, 0, fall)
    return Spoken(samples, rate, words)


def say(sentence: str, role: Role, rate: float = 1.0, semitones: float = 0.0) -> Spoken:
    """One sentence in a character's voice at 24 kHz, peak near 0.5, with word times."""
    spoken = ENGINES[role.engine](sentence, role.voice, role.rate * rate)
    spoken.words = rename_words(spoken.words, sentence)
    narrow = spoken.sample_rate < 20_000
    samples = spoken.samples if narrow else to_studio_rate(spoken.samples, spoken.sample_rate)
    own_rate = spoken.sample_rate if narrow else SAMPLE_RATE
    # WORLD's period search needs a signal that is not exactly silent.
    samples = samples + np.random.default_rng(0).normal(0, 1e-5, len(samples))
    samples = transform(samples, own_rate, role, semitones)
    if narrow:
        samples = add_top_octave(to_studio_rate(samples, own_rate))
    trimmed = trim(Spoken(samples, SAMPLE_RATE, spoken.words))
    trimmed.samples = 0.5 * trimmed.samples / np.abs(trimmed.samples).max()
    return trimmed
