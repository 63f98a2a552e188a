"""How good a checkpoint is, on recordings it has never heard, beside genuine EnCodec's own decodes of them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import check_writable, replacing, write_text
from fmri_audio.base.settings import DECODERS, project_root
from fmri_audio.codec.checkpoints import Checkpoint, load
from fmri_audio.codec.second_decoder import SecondDecoder, decoder_for
from fmri_audio.experiments.levels import decodes, level_drift, levels_table
from fmri_audio.sound import audio
from fmri_audio.sound.metrics import evaluate, mel_distance

#: Sets of recordings below the data folder, and how many of each to measure.
SETS = {"encodec-reference/original": 4, "speech/ljspeech": 8, "speech/librivox": 6, "music": 7}
REFERENCE_SET = "encodec-reference/original"
MUSIC_SET = "music"  # PESQ and STOI are undefined there, whatever a detector takes it for
MEASURES = ["snr_db", "si_sdr_db", "pesq_wb", "pesq_nb", "stoi", "mel_distance_db"]
_SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
_SECONDS = 10.0


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
    options = parser.parse_args(words)
    for written in (options.out, options.card):
        if written is not None:
            check_writable(written)
    checkpoint = load(options.checkpoint)
    decoder = None if options.decoder == "own" else decoder_for(checkpoint)
    quality = summarise(measured(checkpoint, options.data, options.clips, decoder))
    levels = level_drift(checkpoint)
    print(quality.round(3).to_string(index=False))
    print(levels.round(2).to_string(index=False))
    if options.out:
        with replacing(options.out) as temporary:
            quality.round(4).to_csv(temporary, index=False)
    if options.card:
        fill_card(
            options.card, {"quality": _markdown(quality, 2), "levels": _markdown(levels_table(levels), 1)}
        )
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
    checkpoint: Checkpoint, data: Path, clips: int | None = None, decoder: SecondDecoder | None = None
) -> pd.DataFrame:
    """Scores of every recording at every bandwidth; one row each.

    Parameters
    ----------
    checkpoint : Checkpoint
    data : Path
        Folder with the sets of :data:`SETS`; those it lacks are left out.
    clips : int, optional
        At most so many recordings per set; the first ten seconds of each are used.
    decoder : SecondDecoder, optional
        Measured beside the codec's own decoder; its rows name both in ``codec``.

    Raises
    ------
    UserError
        If none of the sets is there.
    """
    rows = []
    for name, path in _recordings(data, clips):
        wave = _excerpt(path)
        print(f"  {name}: {path.name}", flush=True)
        for kbps, decoded in decodes(checkpoint, wave).items():
            rows.append(_row(checkpoint.id, name, path, kbps, wave, decoded))
        if decoder is not None:
            for kbps, decoded in decodes(checkpoint, wave, decoder).items():
                both = f"{checkpoint.id} + {decoder.id}"
                rows.append(_row(both, name, path, kbps, wave, decoded))
        if name == REFERENCE_SET:
            for genuine in sorted(data.glob(f"encodec-reference/*kbps/{path.name}")):
                kbps = float(genuine.parent.name.removesuffix("kbps"))
                rows.append(_row("genuine EnCodec", name, path, kbps, wave, _excerpt(genuine)))
    if not rows:
        raise UserError(
            f"{data}: holds none of the folders {', '.join(SETS)}; give the folder of recordings with --data"
        )
    return pd.DataFrame(rows)


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over the recordings of a set, undefined scores left out."""
    grouped = rows.groupby(["set", "codec", "kbps"], sort=True)
    means = grouped[MEASURES].mean()
    means["recordings"] = grouped.size()
    return means.reset_index()


def _recordings(data: Path, clips: int | None) -> Iterator[tuple[str, Path]]:
    for name, count in SETS.items():
        files = sorted(f for f in data.glob(f"{name}/*") if f.suffix in _SOUNDS)
        for path in files[: min(count, clips or count)]:
            yield name, path


def _excerpt(path: Path) -> np.ndarray:
    wave = audio.read_mono(path).waveform
    return wave[: int(_SECONDS * audio.SAMPLE_RATE)]


def _row(
    codec: str, name: str, path: Path, kbps: float, wave: np.ndarray, decoded: np.ndarray
) -> dict[str, object]:
    scores = evaluate.score(wave, decoded, audio.SAMPLE_RATE, align=True, speech=name != MUSIC_SET)
    shared = min(len(wave), len(decoded))
    distance = mel_distance.mel_distance_db(wave[:shared], decoded[:shared], audio.SAMPLE_RATE)
    values = {m: getattr(scores, m) for m in MEASURES if m != "mel_distance_db"}
    return {
        "codec": codec,
        "set": name,
        "clip": path.name,
        "kbps": kbps,
        **values,
        "mel_distance_db": distance,
    }
