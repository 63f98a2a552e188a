"""An edition's parameters: typed, validated, and refused by name when they make no sense.

An edition is a YAML file in ``config/``. Every key has a type and a range here; a key that is not here is
an error, with the nearest name that is.
"""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from fmri_audio.base.documents import load_yaml
from fmri_audio.base.errors import UserError
from fmri_audio.base.files import write_if_changed

SIMULATE = "simulate"
"""What ``study.source`` is where the brains are simulated from the sound."""

BIDS_SPACE = "MNI152NLin2009cAsym"
"""Standard space of fMRIPrep's scans that is read unless another is named."""

NAMED_CODECS = ("demo", "released", "released-48khz")
"""Codecs that go by a name rather than by a path; the last is for the command line, not for editions."""

DecoderName = Literal["own", "vocos"]
DECODERS: tuple[DecoderName, ...] = get_args(DecoderName)
"""What makes sound of a codec's codes: its own decoder, or Vocos trained for them."""

Variant = Literal["matched", "null", "null-shared", "strong"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
"""What a simulated study's brains share: a response to the sound that is matched to the regions of real brains or a
strong one, nothing, or a response that has nothing to do with the sound."""

Voxels = Literal["smooth", "between", "fine"]
VOXELS: tuple[Voxels, ...] = get_args(Voxels)
"""How a region's response is spread over its simulated voxels, which real regions do not say."""

Family = Literal["bands", "envelope", "modulation", "pitch"]
FAMILIES: tuple[Family, ...] = get_args(Family)
"""Families of acoustic features that simulated brains can follow."""


_RATIONAL = re.compile(r"[+-]?(\d{1,12}/\d{1,12}|(\d{1,12}(\.\d{0,24})?|\.\d{1,24})([eE][+-]?\d{1,2})?)")
"""Numbers whose exact value is quickly found: 1e400000000 would take all memory."""


def _to_fraction(value: object) -> object:
    """Read 1.5, "1.5" or "3/2" as the exact rational it is written as."""
    if isinstance(value, Fraction | bool):
        return value
    text = str(value).strip() if isinstance(value, str | float) or _is_short(value) else ""
    try:
        if _RATIONAL.fullmatch(text):
            return Fraction(text)
    except ZeroDivisionError:
        pass
    raise ValueError("should be a number such as 1.5 or 3/2")


def _is_short(value: object) -> bool:
    return isinstance(value, int) and abs(value) < 10**12


def _to_films(value: object) -> object:
    """Read runs that are named by a number without quotes; refuse what is neither a path nor one path per run."""
    if isinstance(value, dict):
        value = {str(name): path for name, path in value.items()}
    paths = value.values() if isinstance(value, dict) else [value]
    if not all(isinstance(path, str) for path in paths) and value is not None:
        raise ValueError('should be a path, or one per run such as {"1": part1.m4v, "2": part2.m4v}')
    return value


def _from_fraction(value: Fraction) -> str:
    """Write a rational as a decimal where that is exact, else as n/d."""
    decimal = str(float(value))
    return decimal if Fraction(decimal) == value else str(value)


ExactSeconds = Annotated[
    InstanceOf[Fraction], BeforeValidator(_to_fraction), PlainSerializer(_from_fraction, return_type=str)
]
PositiveInt = Annotated[int, Field(gt=0, le=1_000_000)]
PositiveFloat = Annotated[float, Field(gt=0, le=1e6)]

# More than anybody needs, and little enough that nothing is asked of memory that no machine has.
TRs = Annotated[int, Field(gt=0, le=100_000)]
"""Of a study or a sound: 100,000 of 1.5 s are 42 hours."""
Samples = Annotated[int, Field(gt=0, le=65_536)]
"""Samples of a spectrogram's window, or of its hop."""
Mels = Annotated[int, Field(gt=0, le=2_048)]
Iterations = Annotated[int, Field(ge=0, le=100_000)]
Extent = Annotated[int, Field(gt=0, le=512)]
"""Voxels along an axis."""
Bandwidth = Annotated[float, Field(gt=0, le=1_000)]
"""In kbps."""
Rank = Annotated[int, Field(gt=0, le=16_384)]
Weight = Annotated[float, Field(ge=0, le=1e6)]

SHORTEST_TR, LONGEST_TR = Fraction(1, 100), Fraction(60)
"""Seconds between which every scanner's repetition time lies."""

MOST_VOXELS = 4_000_000
"""Of a simulated brain: a field of view of 160 mm at 1 mm."""
ArmName = Annotated[str, Field(min_length=1, max_length=100)]
"""A way through the bottleneck, by its name in the tables; which there are, the registry of arms knows."""


class Section(BaseModel):
    """Base of all settings: unknown keys forbidden, no change after reading, no conversion between types."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, str_max_length=4096
    )


def _check_hop(hop_length: int, n_fft: int) -> None:
    """Frames that do not overlap cannot be turned back into sound."""
    if hop_length >= n_fft:
        raise ValueError(f"hop_length: {hop_length} should be less than n_fft {n_fft}")


class StimulusSettings(Section):
    """The sound: the embedded play, or a recording of the user's own.

    With a study on disk a recording is the film of its first run that is used, a mapping from the names of runs to
    recordings that of several, and null the sound that the study itself holds; ``study.trs`` chooses the TRs.
    """

    source: Annotated[str | dict[str, str] | None, BeforeValidator(_to_films)] = Field(
        "play",
        description='"play", the path of a recording (WAV, FLAC, MP3, Ogg, MP4 …), or one per run: {"1": part1.m4v}',
    )
    segments: str | None = Field(
        None,
        description="path of a table with onset, offset, kind (speech, music, …), or of the annotations (.xlsx)",
    )
    first_tr: int = Field(
        0, ge=0, le=100_000, description="simulated brains: first TR of the sound used, counted from 0"
    )
    n_trs: TRs | None = Field(
        None, description="simulated brains: how many TRs of the sound are used; null: to the end"
    )


class WindowSettings(Section):
    """The stretches of sound that are scored and listened to."""

    seconds: float = Field(
        10.0, ge=8, le=30, description="length of a scoring window (P.862 asks for 8 to 30 s)"
    )
    n_windows: int = Field(8, gt=0, le=1_000, description="scoring windows per kind of segment")
    clip_seconds: PositiveFloat = Field(5.0, description="length of a clip to listen to")

    @model_validator(mode="after")
    def _clip_fits(self) -> WindowSettings:
        if self.clip_seconds > self.seconds:
            raise ValueError(
                f"clip_seconds: {self.clip_seconds:g} should be at most seconds {self.seconds:g}"
            )
        return self


class WordsSettings(Section):
    """How many words a speech recogniser reads of every sound without brains."""

    count: int = Field(
        620,
        ge=0,
        le=100_000,
        description="words drawn from the recording, and a quarter as many that no word before them gives away",
    )
    few: int = Field(
        200, ge=0, le=100_000, description="words of sounds that are heard, but that nothing is decided by"
    )

    @model_validator(mode="after")
    def _few_are_fewer(self) -> WordsSettings:
        if self.few > self.count:
            raise ValueError(f"few: {self.few} should be at most count {self.count}")
        return self


class MelSettings(Section):
    """The mel spectrogram that Griffin-Lim inverts."""

    n_fft: Samples = 1024
    hop_length: Samples = 360
    n_mels: Mels = 128
    n_iter: int = Field(32, gt=0, le=100_000, description="iterations of Griffin-Lim")

    @model_validator(mode="after")
    def _frames_overlap(self) -> MelSettings:
        _check_hop(self.hop_length, self.n_fft)
        return self


class ProblemSettings(Section):
    """What the Problem chapter varies, one list for each parameter of the mel."""

    n_fft: list[Samples] = Field([512, 1024, 2048], min_length=1, max_length=100)
    hop_length: list[Samples] = Field([180, 256, 360], min_length=1, max_length=100)
    n_mels: list[Mels] = Field([64, 80, 128], min_length=1, max_length=100)
    n_iter: list[Iterations] = Field([0, 8, 32, 128], min_length=1, max_length=100)

    @model_validator(mode="after")
    def _frames_overlap(self) -> ProblemSettings:
        _check_hop(max(self.hop_length), min(self.n_fft))
        return self


class StudySettings(Section):
    """The brains: simulated on disk, or measured."""

    source: str | None = Field(SIMULATE, description='"simulate", or the folder of a study on disk')
    trs: list[TRs] | None = Field(
        None,
        description="first and last TR used, counted from 1 in the joined scans; null: all but those skipped",
    )
    task: str | None = Field(None, description="task of a BIDS data set; null: the only one there is")
    story: str | None = Field(None, description="one story of that task; null: all that everybody heard")
    space: str = Field(BIDS_SPACE, description="standard space of a BIDS data set's scans")
    n_subjects: int = Field(3, gt=0, le=1_000, description="subjects simulated")
    shape: list[Extent] = Field([48, 20, 16], min_length=3, max_length=3, description="voxels along x, y, z")
    mask: str = Field("auditory", description='"auditory", "grey-matter", "all", or the path of a mask')
    variant: Variant = Field("matched", description=f"what simulated brains share: {', '.join(VARIANTS)}")
    voxels: Voxels = Field("between", description=f"what simulated voxels are like: {', '.join(VOXELS)}")
    features: list[Family] = Field(
        list(FAMILIES), min_length=1, description=f"families of features they follow: {', '.join(FAMILIES)}"
    )
    strength: float | None = Field(
        None,
        ge=0,
        lt=0.75,
        description="share of a voxel's variance that subjects share; null: the variant's own",
    )

    @model_validator(mode="after")
    def _simulation_possible(self) -> StudySettings:
        if math.prod(self.shape) > MOST_VOXELS:
            raise ValueError(f"shape: {self.shape} should be at most {MOST_VOXELS:,} voxels together")
        if len(set(self.features)) != len(self.features):
            raise ValueError("features: should not name a family twice")
        if self.variant == "null" and self.strength:
            raise ValueError("strength: the variant null has no signal; leave strength out")
        return self

    @model_validator(mode="after")
    def _trs_are_a_range(self) -> StudySettings:
        if self.trs is not None and (len(self.trs) != 2 or self.trs[0] > self.trs[1]):
            raise ValueError(f"trs: {self.trs} should be the first and the last TR, such as [27, 946]")
        return self


class TrainingSettings(Section):
    """The bottleneck, its training, and the decoding that is compared with it."""

    arms: list[ArmName] = Field(
        ["mel", "codes", "frozen", "finetuned", "complex-stft"],
        description="ways through the bottleneck that are trained",
    )
    seeds: int = Field(
        1,
        gt=0,
        le=1_000,
        description="trainings of the frozen and the fine-tuned arm, each from its own seed",
    )
    precision: Literal["auto", "float32", "bf16"] = Field(
        "auto", description="arithmetic of training; auto: bf16 where a GPU can do it, else float32"
    )
    rank: Rank = Field(64, description="real width of the bottleneck, in numbers per TR")
    steps: PositiveInt = Field(160, description="optimiser steps, the same for every arm")
    epochs: int = Field(
        6, gt=0, le=10_000, description="stretches into which the steps fall; losses are measured after each"
    )
    batch_size: int = Field(2, gt=0, le=10_000, description="windows per step")
    window_trs: int = Field(2, gt=0, le=10_000, description="TRs per training window")
    learning_rate: PositiveFloat = Field(2e-4, description="of the projection, in every arm")
    codec_learning_rate: PositiveFloat = Field(
        2e-4, description="of the codec's weights, where they may move"
    )
    balance: Weight = Field(
        0.1, description="weight of the distance to measured BOLD, beside the loss of what is heard"
    )
    test_fraction: float = Field(0.25, gt=0, lt=1, description="share of the TRs held out, contiguous")
    validation_fraction: float = Field(
        0.125, gt=0, lt=1, description="share of the training TRs, their end, that chooses between epochs"
    )
    gap_trs: int = Field(12, ge=1, le=10_000, description="TRs left out between training and held-out TRs")
    lag_trs: list[Annotated[int, Field(ge=-1_000, le=1_000)]] = Field(
        [2, 3, 4, 5], min_length=1, max_length=100, description="response lags, in TRs of stimulus time"
    )
    cv_folds: int = Field(
        4, ge=2, le=1_000, description="contiguous folds within training that choose the ridge penalty"
    )
    segment_seconds: float = Field(6.0, ge=6, le=3600, description="length of the segments to identify")

    @model_validator(mode="after")
    def _arms_make_sense(self) -> TrainingSettings:
        if len(set(self.arms)) != len(self.arms):
            raise ValueError("arms: should not name an arm twice")
        if not {"frozen", "finetuned"} <= set(self.arms):
            raise ValueError("arms: should name frozen and finetuned, which the book compares")
        if self.gap_trs <= max(self.lag_trs):
            raise ValueError(
                f"gap_trs: {self.gap_trs} should be more than the longest lag, {max(self.lag_trs)}, "
                "or the last training volumes answer held-out sound"
            )
        return self


class SweepSettings(Section):
    """What is varied around the edition's own settings, one thing at a time; an empty list leaves that as it is.

    The edition's own level always belongs to what is compared and need not be listed.
    """

    arms: list[ArmName] = Field(
        ["frozen", "finetuned"],
        min_length=1,
        description="arms trained anew at every balance, rank and number of voxels",
    )
    balances: list[Weight] = Field(
        [0.0, 0.1, 1.0],
        max_length=100,
        description="weights of the distance to measured BOLD (training.balance)",
    )
    ranks: list[Rank] = Field([], max_length=100, description="real widths of the bottleneck (training.rank)")
    units: list[PositiveInt] = Field(
        [],
        max_length=100,
        description="numbers of voxels: of the mask and, beyond it, of the grey matter nearest to it",
    )
    bandwidths: list[Bandwidth] = Field(
        [],
        max_length=100,
        description="kbps: of the codes that the codes arm carries, and at which latents are quantised again",
    )
    seeds: int = Field(1, gt=0, le=1_000, description="trainings at every level, each from its own seed")

    @model_validator(mode="after")
    def _levels_are_several(self) -> SweepSettings:
        for name in ("arms", "balances", "ranks", "units", "bandwidths"):
            levels = getattr(self, name)
            if len(set(levels)) != len(levels):
                raise ValueError(f"{name}: should not name anything twice")
        return self


class Settings(Section):
    """Everything that distinguishes one edition of the book from another."""

    edition: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        max_length=100,
        description="name, used for folders and tables",
    )
    codec: str = Field("demo", min_length=1, description="demo, released, or the path of a checkpoint")
    decoder: DecoderName = Field("own", description=f"what makes sound of its codes: {', '.join(DECODERS)}")
    bandwidths: Annotated[list[Bandwidth], Field(min_length=1, max_length=100)] | Literal["all"] = "all"
    main_bandwidth: Bandwidth = Field(6.0, description="kbps; the bandwidth whose pages are shown")
    seed: int = Field(0, ge=0, le=2**31 - 1)
    tr: ExactSeconds = Field(Fraction(3, 2), description="repetition time in seconds")
    stimulus: StimulusSettings = StimulusSettings()
    windows: WindowSettings = WindowSettings()
    words: WordsSettings = WordsSettings()
    mel: MelSettings = MelSettings()
    problem: ProblemSettings = ProblemSettings()
    study: StudySettings = StudySettings()
    training: TrainingSettings = TrainingSettings()
    sweep: SweepSettings = SweepSettings()
    parts: dict[str, dict[str, Any]] = Field({}, description="settings of single arms, by the arm's name")

    @model_validator(mode="after")
    def _sweep_fits_the_training(self) -> Settings:
        arms, rank = self.training.arms, self.training.rank
        if missing := [arm for arm in self.sweep.arms if arm not in arms]:
            raise ValueError(f"sweep.arms: {missing[0]} should be one of training.arms, {', '.join(arms)}")
        if self.sweep.bandwidths and "codes" not in arms:
            raise ValueError(
                "sweep.bandwidths: should be empty, because training.arms leaves the codes arm out"
            )
        if small := [units for units in self.sweep.units if units < rank]:
            raise ValueError(f"sweep.units: {small[0]} should be at least training.rank, {rank}")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.tr <= 0:
            raise ValueError("tr: should be greater than 0")
        if not SHORTEST_TR <= self.tr <= LONGEST_TR:
            raise ValueError(
                f"tr: should be from {float(SHORTEST_TR):g} to {float(LONGEST_TR):g} s; it is given in seconds"
            )
        if self.bandwidths == "all":
            return self
        if len(set(self.bandwidths)) != len(self.bandwidths):
            raise ValueError("bandwidths: should not name a bandwidth twice")
        if self.main_bandwidth not in self.bandwidths:
            raise ValueError(
                f"main_bandwidth: {self.main_bandwidth:g} should be one of the bandwidths listed"
            )
        return self


def project_root() -> Path:
    """Return the folder of the project: the one with ``_config.yml`` and ``config/``.

    Looked for from the working directory upwards, so that notebooks find it from ``book/`` too; outside a
    checkout it is the folder that holds the package.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "_config.yml").is_file() and (folder / "config").is_dir():
            return folder
    return Path(__file__).resolve().parents[2]


def edition_names() -> list[str]:
    """Return the names of the editions in ``config/``."""
    return sorted(path.stem for path in (project_root() / "config").glob("*.yml"))


def edition_path(edition: str | Path) -> Path:
    """Return the file of an edition, given its name in ``config/`` or a path.

    Raises
    ------
    UserError
        There is no such edition.
    """
    text = str(edition)
    if text.endswith((".yml", ".yaml")):
        path = Path(text)
        if not path.is_file():
            raise UserError(
                f"{path} does not exist: give an edition file, or one of {', '.join(edition_names())}"
            )
        return path
    path = project_root() / "config" / f"{text}.yml"
    if "/" in text or not path.is_file():
        raise UserError(
            f"there is no edition {text!r} in config/: choose one of {', '.join(edition_names())}, "
            "or give the path of an edition file ending in .yml"
        )
    return path


def load_settings(edition: str | Path, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read an edition's settings.

    Parameters
    ----------
    edition
        A name in ``config/`` or the path of a YAML file.
    overrides
        Values to put in place of the file's, nested like the file or under dotted names
        (``{"stimulus.source": "talk.wav"}``).

    Raises
    ------
    UserError
        No such edition, not YAML, or a key that is unknown, of the wrong type or impossible; the sentence
        gives the key's dotted name.
    """
    path = edition_path(edition)
    shown = _shown(path)
    raw = load_yaml(path, "mend it or start again from config/demo.yml", shown)
    if not isinstance(raw, dict):
        raise UserError(f"{shown}: should be a list of keys and values like config/demo.yml")
    try:
        return Settings.model_validate(_merged(raw, overrides or {}))
    except ValidationError as error:
        raise UserError(f"{shown}: {_sentence(error)}") from None


def dump_settings(settings: Settings, path: Path, notes: Iterable[str] = ()) -> None:
    """Write settings as YAML, each note as a comment on top; a file that would not change is left alone."""
    head = "".join(f"# {note}\n" for note in notes)
    body = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_if_changed(path, head + body)


def _shown(path: Path) -> str:
    """Return a path as the user knows it: relative to the project where it lies inside."""
    try:
        return str(path.resolve().relative_to(project_root().resolve()))
    except ValueError:
        return str(path)


def _merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``overrides`` laid over it; dotted names reach into sections."""
    merged = dict(base)
    for key, value in overrides.items():
        head, _, rest = str(key).partition(".")
        value = {rest: value} if rest else value
        if isinstance(value, Mapping):
            below = merged.get(head)
            merged[head] = _merged(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[head] = value
    return merged


def _sentence(error: ValidationError) -> str:
    """Say the first thing wrong, by the dotted name of its key."""
    first = error.errors()[0]
    # Tagged branches of a union ("list[…]", "literal[…]") are no part of the name; an unknown key may look like one.
    kept = first["loc"][-1:] if first["type"] == "extra_forbidden" else ()
    ahead = first["loc"][: len(first["loc"]) - len(kept)]
    location = [*(part for part in ahead if not (isinstance(part, str) and "[" in part)), *kept]
    name = ".".join(str(part)[:100] for part in location)
    if first["type"] == "extra_forbidden":
        near = _nearest(location)
        return f"{name} is not a setting" + (f" (did you mean {near}?)" if near else "")
    if first["type"] == "missing":
        return f"{name} is missing"
    if first["type"] == "value_error":
        text = str(first["msg"]).removeprefix("Value error, ")
        # What a whole section's check says begins with the key's own name.
        of_section = isinstance(first["input"], dict) and not text.startswith("should ")
        return text if not name else f"{name}.{text}" if of_section else f"{name}: {text}"
    text = str(first["msg"]).removeprefix("Input ")
    if first["type"] == "invalid_key":
        return f"{name} is not a setting, names are text"
    return f"{name}: {text}, not {reprlib.repr(first['input'])}"


def _nearest(location: list[str | int]) -> str | None:
    """Return the dotted name of the known key closest to an unknown one, if any is close."""
    *parents, wrong = location
    model: type[BaseModel] = Settings
    for parent in parents:
        annotation = model.model_fields[str(parent)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return None
        model = annotation
    near = difflib.get_close_matches(str(wrong), list(model.model_fields), n=1)
    return ".".join([*map(str, parents), near[0]]) if near else None
