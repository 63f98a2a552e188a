"""What the pages are made of: players, figures, tables and numbers that prose can cite.

A chapter opens one :class:`Page` and shows everything through it, so that what a reader sees or hears is also
on disk: clips in ``build/<edition>/audio``, what was done to each in ``results/clips``, and every number cited
in prose in ``results/glued``.
"""

from __future__ import annotations

import hashlib
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML, Image, display
from matplotlib.figure import Figure
from myst_nb import glue
from PIL import Image as Picture

from fmri_audio.base.files import write_text
from fmri_audio.edition import transcripts
from fmri_audio.sound import audio
from fmri_audio.sound.scoring import FORMATS, LABELS

if TYPE_CHECKING:
    from fmri_audio.edition.edition import Edition
    from fmri_audio.sound.segments import Window

AUDIO_URL = "../_static/audio"
NO_WEIGHTS = "no learned weights"
UNDEFINED = "–"
PLAYER_LUFS = -24.0
"""Loudness of every original on a page: low enough that matching another sound to it rarely has to clip."""

_PEAK = 0.99


@dataclass(frozen=True)
class Clip:
    """One sound on a page: its file, what it is, whose weights made it and what was done to it."""

    name: str
    clip: str
    condition: str
    weights: str
    transcript: str
    chapter: str
    bandwidth_kbps: float | None
    seconds: float
    gain_db: float
    sha256: str


class Table(NamedTuple):
    """A table for readers, as :meth:`Page.table` takes it: its rows, its caption, the formats of its numbers."""

    frame: pd.DataFrame
    caption: str
    formats: Mapping[str, str]


class Page:
    """One chapter's run, through which it plays, draws and cites.

    Parameters
    ----------
    run
        The edition at work.
    chapter
        The chapter's name, such as ``"03-encodec"``.
    per_bandwidth
        Whether the chapter runs once per bandwidth; its clips and numbers then carry the bandwidth.
    """

    def __init__(self, run: Edition, chapter: str, *, per_bandwidth: bool = False) -> None:
        self.run = run
        self.chapter = chapter
        self.bandwidth = run.bandwidth if per_bandwidth else None
        self._suffix = "" if self.bandwidth is None else f"-{self.bandwidth:g}kbps"
        self._glued: dict[str, float | int | str | None] = {}
        self._clips: dict[str, Clip] = {}

    def glue_value(self, key: str, value: float | str) -> None:
        """Make a number or a phrase citable in prose as ``{glue:text}`key:.2f```, and record it.

        NumPy scalars become Python's, because only those keep their value on the page.
        """
        plain = value.item() if isinstance(value, np.generic) else value
        if not isinstance(plain, float | int | str):
            raise TypeError(f"{key}: only numbers and text can be cited, not {type(plain).__name__}")
        undefined = isinstance(plain, float) and not math.isfinite(plain)
        self._glued[key] = None if undefined else plain
        self._write_json("glued", self._glued)
        glue(key, plain, display=False)

    def glue_values(self, values: Mapping[str, float | str]) -> None:
        """Make numbers and phrases citable in prose, each under its key (see :meth:`glue_value`)."""
        for key, value in values.items():
            self.glue_value(key, value)

    def play(
        self,
        clip: Window,
        made: Mapping[str, np.ndarray],
        title: str,
        *,
        weights: Mapping[str, str] | None = None,
    ) -> None:
        """Show players for a passage of the stimulus: the original and what was made of it, with what is said in it.

        Parameters
        ----------
        clip
            The passage.
        made
            Name of each condition → waveform [T] at the stimulus' sample rate.
        title
            Heading of the group; the clip's name is put behind it.
        weights
            For every condition made by learned weights, the checkpoint's id.
        """
        sound, rate = self.run.stimulus.waveform, self.run.stimulus.sample_rate
        self.players(
            clip.name,
            {"original": clip.of(sound, rate), **made},
            rate,
            weights=weights or {},
            transcript=transcripts.transcript(self.run, clip),
            title=f"{title} ({clip.name})",
        )

    def players(
        self,
        clip: str,
        conditions: Mapping[str, np.ndarray],
        sample_rate: int,
        *,
        weights: Mapping[str, str],
        transcript: str = "",
        title: str = "",
    ) -> None:
        """Show a player for each condition of a clip, side by side and equally loud.

        Parameters
        ----------
        clip
            The clip's name, such as a window's; part of the file names.
        conditions
            Name of each condition → waveform [T]; the first is the original, which is brought to
            ``PLAYER_LUFS``, and the others are matched to its loudness (ITU-R BS.1770).
        sample_rate
            In Hz.
        weights
            For every condition made by learned weights, the checkpoint's id. A condition that is not named
            here is shown as made without any.
        transcript
            What is said in the clip; empty where nobody speaks or nobody wrote it down.
        title
            Heading of the group; by default the clip's name.
        """
        unknown = set(weights) - set(conditions)
        if unknown:
            raise ValueError(f"weights are given for {sorted(unknown)}, which are not among the conditions")
        matched, gains = _equally_loud(conditions, sample_rate)
        original = next(iter(conditions))
        shown = []
        for condition, wave in matched.items():
            label = weights.get(condition, NO_WEIGHTS)
            name = self._clip_name(clip, condition, wave if condition == original else None)
            path = self.run.build / "audio" / f"{name}.flac"
            audio.write_flac(path, wave, sample_rate)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            shown.append(
                Clip(
                    name,
                    clip,
                    condition,
                    label,
                    transcript,
                    self.chapter,
                    self.bandwidth,
                    len(wave) / sample_rate,
                    gains[condition],
                    digest,
                )
            )
        self._show_clips(shown, title or clip, transcript)

    def replay(self, clips: Mapping[str, Clip], title: str) -> None:
        """Show players for clips that other chapters made (see :meth:`clips`), each under a label."""
        said = next((clip.transcript for clip in clips.values() if clip.transcript), "")
        self._show_clips(list(clips.values()), title, said, list(clips))

    def clips(self, chapter: str, clip: str | None = None) -> list[Clip]:
        """Return the clips a chapter made, over all its bandwidths, in ascending order of bandwidth."""
        found = []
        for path in sorted((self.run.build / "results" / "clips").glob(f"{chapter}*.json")):
            found += [Clip(**entry) for entry in json.loads(path.read_text(encoding="utf-8")).values()]
        found = [entry for entry in found if clip is None or entry.clip == clip]
        return sorted(found, key=lambda entry: entry.bandwidth_kbps or 0.0)

    def figure(self, figure: Figure, limit_bytes: int = 80_000, *, true_colours: bool = False) -> None:
        """Show a figure as a small PNG. Its alt text and caption stand in the cell's ``mystnb`` metadata.

        With ``true_colours`` it loses dots rather than colours, for maps that are read by their colour.
        """
        display(Image(data=to_png(figure, limit_bytes, true_colours=true_colours), format="png"))
        plt.close(figure)

    def table(
        self,
        frame: pd.DataFrame,
        caption: str,
        formats: Mapping[str, str] | None = None,
        *,
        words: bool = False,
    ) -> None:
        """Show a table that a screen reader can read: caption, column and row headings, undefined as a dash.

        Columns that hold a metric are headed by its name for readers, in the metric's format.

        Parameters
        ----------
        frame
            The first column names the rows; the index is not shown.
        caption
            Standalone: what the numbers are, over what, whose weights.
        formats
            Format of numeric columns, such as ``{"bits per TR": ",.0f"}``; ``.3g`` otherwise.
        words
            Whether the cells hold text to be read, which begins at the left, rather than numbers to be compared.
        """
        shown, style = frame.rename(columns=LABELS), "results words" if words else "results"
        display(HTML(table_html(shown, caption, {**FORMATS, **(formats or {})}, style)))

    def _clip_name(self, clip: str, condition: str, shared: np.ndarray | None) -> str:
        """Name a clip's file; an original is named by its content, so that every chapter shares one file."""
        if shared is not None:
            return f"original-{slug(clip)}-{hashlib.sha256(shared.tobytes()).hexdigest()[:6]}"
        return f"{self.chapter}-{slug(clip)}-{slug(condition)}{self._suffix}"

    def _show_clips(
        self, clips: Sequence[Clip], title: str, transcript: str, labels: Sequence[str] = ()
    ) -> None:
        self._clips.update({clip.name: clip for clip in clips if clip.chapter == self.chapter})
        self._write_json("clips", {name: asdict(clip) for name, clip in self._clips.items()})
        display(HTML(players_html(clips, title, transcript, labels)))

    def _write_json(self, folder: str, content: Mapping[str, Any]) -> None:
        path = self.run.build / "results" / folder / f"{self.chapter}{self._suffix}.json"
        write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def slug(text: str) -> str:
    """Return text as part of a file name: lower case, anything but letters, digits and dots a hyphen."""
    kept = "".join(
        letter if (letter.isascii() and letter.isalnum()) or letter == "." else "-" for letter in text
    )
    return "-".join(part for part in kept.lower().split("-") if part)


def players_html(clips: Sequence[Clip], title: str, transcript: str, labels: Sequence[str] = ()) -> str:
    """Write a group of labelled players as HTML; nothing is loaded before the reader presses play."""
    items = []
    for clip, label in zip(clips, labels or [clip.condition for clip in clips], strict=True):
        url = html.escape(f"{AUDIO_URL}/{clip.name}.flac")
        spoken = html.escape(f"{label}, {title}, {_made_by(clip.weights)}")
        items.append(
            f'<li class="player"><span class="player-name">{html.escape(label)}</span>\n'
            f'<audio controls preload="none" src="{url}" aria-label="{spoken}"></audio>\n'
            f'<span class="player-note">{html.escape(clip.weights)}, {clip.gain_db:+.1f} dB · '
            f'<a href="{url}" download aria-label="Download {spoken} (FLAC)">FLAC</a></span></li>'
        )
    said = f"“{html.escape(transcript)}”" if transcript else "no transcript for this clip"
    makers = sorted({clip.weights for clip in clips} - {NO_WEIGHTS})
    whose = f"Weights: {', '.join(makers)}." if makers else "No learned weights in any of these sounds."
    return (
        f'<figure class="players" role="group" aria-label="{html.escape(title)}: {len(clips)} players">\n'
        f'<ul class="player-list">\n' + "\n".join(items) + "\n</ul>\n"
        f'<p class="transcript"><span class="transcript-label">Transcript</span> {said}</p>\n'
        f"<figcaption><strong>{html.escape(title)}.</strong> All players are matched to the loudness of the original, "
        f"which is at {PLAYER_LUFS:g} LUFS (ITU-R BS.1770); the gain is given below each. "
        f"{html.escape(whose)}</figcaption>\n</figure>"
    )


def table_html(frame: pd.DataFrame, caption: str, formats: Mapping[str, str], style: str = "results") -> str:
    """Write a table as HTML with a caption and with headings that say what they head."""
    head = "".join(f'<th scope="col">{html.escape(str(column))}</th>' for column in frame.columns)
    rows = []
    for values in frame.itertuples(index=False):
        cells = [
            _format(value, formats.get(str(column), ".3g"))
            for column, value in zip(frame, values, strict=True)
        ]
        rows.append(
            f'<tr><th scope="row">{cells[0]}</th>'
            + "".join(f"<td>{cell}</td>" for cell in cells[1:])
            + "</tr>"
        )
    return (
        f'<div class="table-scroll" tabindex="0" role="region" aria-label="{html.escape(caption)}">'
        f'<table class="{style}"><caption><span>{html.escape(caption)}</span></caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>"
    )


_SHARP = ((160, 128), (160, 32), (130, 32), (110, 32), (90, 24), (72, 24))
_TRUE_COLOURS = tuple((dots, 256) for dots in (160, 145, 130, 120, 110, 100, 90, 80, 72))


def to_png(figure: Figure, limit_bytes: int, *, true_colours: bool = False) -> bytes:
    """Draw a figure as a palette PNG of at most ``limit_bytes``, with fewer colours or dots only if it must.

    With ``true_colours``, dots are the first to go.

    Raises
    ------
    ValueError
        The figure does not fit even at 72 dots per inch.
    """
    for dots_per_inch, colours in _TRUE_COLOURS if true_colours else _SHARP:
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=dots_per_inch, bbox_inches="tight", facecolor="white")
        picture = Picture.open(stream).convert("RGB").quantize(colours, dither=Picture.Dither.NONE)
        packed = io.BytesIO()
        picture.save(packed, format="PNG", optimize=True)
        if packed.tell() <= limit_bytes:
            return packed.getvalue()
    raise ValueError(f"the figure takes {packed.tell()} bytes at 72 dots per inch: draw less, or split it")


def set_style() -> None:
    """Give every figure one look: legible, on white, in colours that survive colour-blindness and grey."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.figsize": (7.2, 3.6)})


def _equally_loud(
    conditions: Mapping[str, np.ndarray], sample_rate: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Bring the first waveform to ``PLAYER_LUFS`` and the others to its loudness; if one would clip, all go down."""
    first = np.asarray(next(iter(conditions.values())), dtype=np.float32)
    level = audio.loudness(first, sample_rate)
    original = first * np.float32(10 ** ((PLAYER_LUFS - level) / 20)) if math.isfinite(level) else first
    waves = {
        name: original
        if index == 0
        else audio.match_loudness(np.asarray(wave, np.float32), original, sample_rate, peak=math.inf)
        for index, (name, wave) in enumerate(conditions.items())
    }
    peak = max(float(np.abs(wave).max(initial=0.0)) for wave in waves.values())
    scale = np.float32(min(1.0, _PEAK / peak) if peak > 0 else 1.0)
    waves = {name: np.asarray(wave * scale, dtype=np.float32) for name, wave in waves.items()}
    return waves, {name: _gain_db(conditions[name], wave) for name, wave in waves.items()}


def _gain_db(before: np.ndarray, after: np.ndarray) -> float:
    """Return the gain between two versions of one waveform in dB, 0 for silence."""
    powers = (
        float(np.sum(np.square(before, dtype=np.float64))),
        float(np.sum(np.square(after, dtype=np.float64))),
    )
    return round(10 * math.log10(powers[1] / powers[0]), 2) if min(powers) > 0 else 0.0


def _made_by(weights: str) -> str:
    return weights if weights == NO_WEIGHTS else f"weights {weights}"


def _format(value: object, spec: str) -> str:
    """Write one cell: numbers in their format with a real minus, undefined as a dash, text escaped."""
    if value is None or value is pd.NA:
        return UNDEFINED
    if isinstance(value, bool) or not isinstance(value, float | int | np.number):
        return html.escape(str(value))
    if not math.isfinite(float(value)):
        return UNDEFINED
    if isinstance(value, int | np.integer):
        return format(value, "d").replace("-", "\u2212")
    sign = spec[: len(spec) - len(spec.lstrip("+"))]
    # "z": what rounds to nothing has no sign.
    return format(value, f"{sign}z{spec.lstrip('+')}").replace("-", "\u2212")
