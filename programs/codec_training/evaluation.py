"""How good a checkpoint is on sound it has never heard: recordings, beside genuine EnCodec's own decodes, and the play.

The play's voices come apart from recorded speech, and its two engines from each other: nothing was trained on one of
them, and on the other's base voices of the play neither.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable, replacing, write_text
from fmri_audio.base.settings import DECODERS, project_root
from fmri_audio.codec.checkpoints import Checkpoint, load
from fmri_audio.codec.second_decoder import SecondDecoder, decoder_for
from fmri_audio.experiments.levels import decodes, level_drift, levels_table
from fmri_audio.experiments.play_excerpts import LONGEST, SHORTEST, plain_excerpts
from fmri_audio.sound import audio
from fmri_audio.sound.audio import resample
from fmri_audio.sound.metrics import evaluate, mel_distance
from fmri_audio.sound.recognition import Passage, beyond_original, find_recogniser, word_errors
from programs.codec_training.corpus import TRAINED_ON, is_held_out

TEST_SETS = {"encodec-reference/original": 4, "speech/ljspeech": 32, "speech/librivox": 6, "music": 7}
"""Sets of recordings below the data folder that the card's tables are about, and how many of each to measure."""

PLAY_SETS = {
    "pico": ("the play, Pico (never trained on)", 8),
    "kokoro": ("the play, Kokoro voices (mixtures never trained on)", 21),
}
"""By the engine of the play's voices: the name of the set, and how many excerpts of it to measure."""

REFERENCE_SET = "encodec-reference/original"
MUSIC_SET = "music"  # PESQ and STOI are undefined there, whatever a detector takes it for
RECORDED = "recorded speech"
"""Name under which the recordings of speech are counted together."""

MEASURES = ["snr_db", "si_sdr_db", "pesq_wb", "pesq_nb", "stoi", "mel_distance_db"]
LATER_MEASURES = ["estoi", "visqol_speech"]
"""Their columns follow that of the number of recordings."""

ORIGINAL = "original"
_SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
_TRANSCRIPTS = Path(__file__).with_name("transcripts.tsv")

Item = TypeVar("Item")


@dataclass(frozen=True)
class Clip:
    """A sound to measure: some seconds of it, mono at 24 kHz, and what is said in them, where that is known."""

    set: str
    name: str
    wave: np.ndarray
    passages: list[Passage] = field(default_factory=list)


def main(words: Sequence[str]) -> int:
    """Measure a checkpoint."""
    parser = argparse.ArgumentParser(prog="python -m programs codec-evaluate", description=__doc__)
    parser.add_argument("--checkpoint", default="demo")
    parser.add_argument(
        "--data", type=Path, default=project_root().parent / "shared" / "data", help="folder of recordings"
    )
    parser.add_argument(
        "--decoder",
        choices=DECODERS,
        default="own",
        help="what makes sound of the codes; own, or vocos, whose rows are put beside the codec's own",
    )
    parser.add_argument("--out", type=Path, help="CSV to write")
    parser.add_argument("--card", type=Path, help="model card whose tables to fill in")
    parser.add_argument("--clips", type=int, help="at most this many recordings per set")
    parser.add_argument(
        "--held-out",
        action="store_true",
        help=f"measure speakers of {TRAINED_ON} whom training does not hear: by them runs are chosen, never by the "
        "sets of the tables",
    )
    options = parser.parse_args(words)
    for written in (options.out, options.card):
        if written is not None:
            check_writable(written)
    checkpoint = load(options.checkpoint)
    decoder = None if options.decoder == "own" else decoder_for(checkpoint)
    clips = list((held_out_clips if options.held_out else recordings_to_test)(options.data, options.clips))
    if not clips:
        sets = [TRAINED_ON] if options.held_out else TEST_SETS
        raise UserError(
            f"{options.data}: holds none of the folders {', '.join(sets)}; give the folder of recordings with --data"
        )
    if not options.held_out:
        clips += play_excerpts(project_root() / "stimulus", options.clips)
    scores = measured(checkpoint, clips, options.data, decoder)
    quality = summarise(scores).round(4)  # once, so that card and file agree
    levels = level_drift(checkpoint)
    print(quality.round(3).to_string(index=False))
    print(levels.round(2).to_string(index=False))
    blocks = {"quality": _markdown(quality, 2), "levels": _markdown(levels_table(levels), 1)}
    if decoder is not None:
        beside = beside_own(scores, checkpoint.id, f"{checkpoint.id} + {decoder.id}")
        print(beside.round(3).to_string(index=False))
        blocks["decoder"] = _markdown(beside, 2)
    if options.out:
        with replacing(options.out) as temporary:
            quality.to_csv(temporary, index=False)
    if options.card:
        fill_card(options.card, blocks)
    return 0


def fill_card(card: Path, blocks: dict[str, str]) -> None:
    """Put text between the marks ``<!-- name -->`` and ``<!-- /name -->`` of a Markdown file.

    Raises
    ------
    UserError
        If the file or one of the marks is missing.
    """
    if not card.is_file():
        raise UserError(f"{card}: there is no such model card to fill in")
    text = card.read_text(encoding="utf-8")
    for name, block in blocks.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if begin not in text or end not in text:
            raise UserError(f"{card}: lacks the marks {begin} and {end} between which the numbers go")
        text = text.split(begin)[0] + f"{begin}\n{block}\n{end}" + text.split(end)[1]
    write_text(card, text)


def _markdown(table: pd.DataFrame, digits: int) -> str:
    """A table in Markdown; undefined values as dashes, bandwidths without trailing zeros."""

    def cell(value: object, name: str) -> str:
        if isinstance(value, float):
            return "–" if math.isnan(value) else f"{value:g}" if name == "kbps" else f"{value:.{digits}f}"
        return str(value)

    names = [str(name) for name in table.columns]
    rows = [[cell(v, n) for v, n in zip(row, names, strict=True)] for row in table.itertuples(index=False)]
    lines = ["| " + " | ".join(row) + " |" for row in (names, ["---"] * len(names), *rows)]
    return "\n".join(lines)


def measured(
    checkpoint: Checkpoint, clips: Iterable[Clip], data: Path, decoder: SecondDecoder | None = None
) -> pd.DataFrame:
    """Scores of every recording at every bandwidth; one row each, and one for its original's words.

    Parameters
    ----------
    checkpoint : Checkpoint
    clips : iterable of Clip
    data : Path
        Folder with genuine EnCodec's decodes of the set :data:`REFERENCE_SET`.
    decoder : SecondDecoder, optional
        Measured beside the codec's own decoder; its rows name both in ``codec``.
    """
    rows = []
    for clip in clips:
        print(f"  {clip.set}: {clip.name}", flush=True)
        rows.append(_row(ORIGINAL, clip, math.nan, clip.wave))
        named = {checkpoint.id: decodes(checkpoint, clip.wave)}
        if decoder is not None:
            named[f"{checkpoint.id} + {decoder.id}"] = decodes(checkpoint, clip.wave, decoder)
        rows += [
            _row(name, clip, kbps, wave) for name, waves in named.items() for kbps, wave in waves.items()
        ]
        if clip.set == REFERENCE_SET:
            for genuine in sorted(data.glob(f"encodec-reference/*kbps/{clip.name}")):
                kbps = float(genuine.parent.name.removesuffix("kbps"))
                rows.append(_row("genuine EnCodec", clip, kbps, _excerpt(genuine)))
    return pd.DataFrame(rows)


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over the recordings of a set, and of all recorded speech; undefined scores are left out.

    ``words_wrong`` are the words wrong beyond the original's own, of ``words`` that are said (:func:`beyond_original`).
    """
    found = [
        {"set": name, "codec": codec, "kbps": kbps, **_means(table, part)}
        for name, table in _sets(rows).items()
        for (codec, kbps), part in table[table["codec"] != ORIGINAL].groupby(["codec", "kbps"], sort=True)
        if name != RECORDED or codec != "genuine EnCodec"  # which has decodes of one set alone
    ]
    return pd.DataFrame(found)


def beside_own(rows: pd.DataFrame, own: str, other: str) -> pd.DataFrame:
    """Another decoder minus the codec's own, of the same codes and recordings, at the bandwidths that both have.

    Parameters
    ----------
    rows : DataFrame
        Of :func:`measured`.
    own, other : str
        Their names in ``codec``.

    Returns
    -------
    DataFrame
        Mean differences of scores, and of the share of words that are wrong, with a 95 % interval
        (:func:`beyond_original`, the codec's own decoder in the original's place).
    """
    scores = ["pesq_wb", "stoi", "estoi", "visqol_speech", "mel_distance_db"]
    found = []
    for of, table in _sets(rows).items():
        by_codec = table.set_index(["codec", "kbps", "set", "clip"])
        for kbps, part in by_codec.loc[other].groupby(level="kbps"):
            known = by_codec.loc[own].loc[part.index]
            heard, before = ([w for clip in frame["counted"] for w in clip] for frame in (part, known))
            words = beyond_original(heard, before, seed=0)
            bounds = {"words_wrong": words.value, "low": words.low, "high": words.high, "words": words.said}
            means = {name: (part[name] - known[name]).mean() for name in scores}
            found.append({"set": of, "kbps": kbps, **means, **bounds})
    return pd.DataFrame(found)


def _sets(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows by set, and those of all recorded speech."""
    sets = {str(name): table for name, table in rows.groupby("set", sort=True)}
    others = {MUSIC_SET, *(name for name, _ in PLAY_SETS.values())}
    if spoken := [table for name, table in sets.items() if name not in others]:
        sets[RECORDED] = pd.concat(spoken)
    return sets


def _means(table: pd.DataFrame, part: pd.DataFrame) -> dict[str, float]:
    """Means of the rows ``part`` of a set's ``table``, which has the originals' words."""
    originals = table[table["codec"] == ORIGINAL].set_index(["set", "clip"])["counted"]
    heard = [words for clip in part["counted"] for words in clip]
    known = [words for clip in zip(part["set"], part["clip"], strict=True) for words in originals[clip]]
    wrong = beyond_original(heard, known, seed=0)
    return {
        **dict(zip(MEASURES, part[MEASURES].mean(), strict=True)),
        "recordings": len(part),
        **dict(zip(LATER_MEASURES, part[LATER_MEASURES].mean(), strict=True)),
        "words_wrong": wrong.value,
        "words_wrong_low": wrong.low,
        "words_wrong_high": wrong.high,
        "words": wrong.said,
    }


def recordings_to_test(data: Path, most: int | None = None) -> Iterator[Clip]:
    """The recordings of :data:`TEST_SETS`, at most so many of each; sets that ``data`` lacks are left out."""
    texts = _texts(data)
    for name, count in TEST_SETS.items():
        files = sorted(f for f in data.glob(f"{name}/*") if f.suffix in _SOUNDS)
        for path in files[: min(count, most or count)]:
            yield _clip(name, path, _excerpt(path), texts.get(path.stem, ""))


def held_out_clips(data: Path, most: int | None = None) -> Iterator[Clip]:
    """Recordings of speakers whom training does not hear; what is said there is the recogniser's own reading."""
    files = sorted(f for f in (data / TRAINED_ON).rglob("*") if f.suffix in _SOUNDS and is_held_out(f))
    by_speaker: dict[str, list[Path]] = {}
    for file in files:
        if "other" not in file.relative_to(data).parts:
            by_speaker.setdefault(file.parent.name, []).append(file)
    recogniser = find_recogniser()
    for path in _in_turn(by_speaker.values())[:most]:
        wave = _excerpt(path)
        if len(wave) >= SHORTEST * audio.SAMPLE_RATE:
            heard = (
                recogniser.transcribe([resample(wave, audio.SAMPLE_RATE, 16_000)])[0] if recogniser else ""
            )
            yield _clip("held out", path, wave, heard)


def play_excerpts(folder: Path, most: int | None = None) -> Iterator[Clip]:
    """Excerpts of the play by the engine that speaks (:data:`PLAY_SETS`), at most so many of each engine.

    Voices take turns; see :func:`fmri_audio.experiments.play_excerpts.plain_excerpts`.

    Parameters
    ----------
    folder : Path
        Of the play: its parts, ``segments.tsv`` and ``studio/cast.yml``.
    most : int, optional
    """
    by_engine: dict[str, dict[str, list[Clip]]] = {engine: {} for engine in PLAY_SETS}
    for one in plain_excerpts(folder):
        clip = Clip(PLAY_SETS[one.engine][0], one.name, one.wave, one.passages)
        by_engine[one.engine].setdefault(one.speaker, []).append(clip)
    for engine, (_, count) in PLAY_SETS.items():
        yield from _in_turn(by_engine[engine].values())[: min(count, most or count)]


def _in_turn(queues: Iterable[list[Item]]) -> list[Item]:
    """The first of every queue, then the second of every queue, and so on."""
    return [one for turn in itertools.zip_longest(*queues) for one in turn if one is not None]


def _clip(name: str, path: Path, wave: np.ndarray, text: str) -> Clip:
    passage = Passage(0.0, len(wave) / audio.SAMPLE_RATE, text, part_of=path.stem)
    return Clip(name, path.name, wave, [passage] if text else [])


def _texts(data: Path) -> dict[str, str]:
    """What is said in the first ten seconds of recordings, by the stem of their file."""
    table = pd.read_csv(_TRANSCRIPTS, sep="\t", dtype=str)
    known = dict(zip(table["clip"], table["text"], strict=True))
    listing = data / "speech" / "ljspeech" / "metadata.csv"
    if listing.is_file():
        rows = [line.split("|") for line in listing.read_text(encoding="utf-8").splitlines()]
        known |= {row[0]: row[-1] for row in rows}
    return known


def _excerpt(path: Path) -> np.ndarray:
    wave = audio.read_mono(path).waveform
    return wave[: int(LONGEST * audio.SAMPLE_RATE)]


def _row(codec: str, clip: Clip, kbps: float, decoded: np.ndarray) -> dict[str, object]:
    row: dict[str, object] = {
        "codec": codec,
        "set": clip.set,
        "clip": clip.name,
        "kbps": kbps,
        "counted": word_errors(decoded, audio.SAMPLE_RATE, clip.passages) if clip.passages else [],
    }
    if codec == ORIGINAL:
        return row
    scores = evaluate.score(clip.wave, decoded, audio.SAMPLE_RATE, align=True, speech=clip.set != MUSIC_SET)
    shared = min(len(clip.wave), len(decoded))
    distance = mel_distance.mel_distance_db(clip.wave[:shared], decoded[:shared], audio.SAMPLE_RATE)
    return {**row, **scores.values(), "mel_distance_db": distance}
