"""An edition resolved: its name and what was asked for beside it become one checked file, or one sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmri_audio.base.errors import UserError
from fmri_audio.base.files import sha256_of, write_text
from fmri_audio.base.fingerprint import fingerprint
from fmri_audio.base.settings import (
    BIDS_SPACE,
    DECODERS,
    NAMED_CODECS,
    SIMULATE,
    Settings,
    dump_settings,
    load_settings,
)
from fmri_audio.brain.masks import NAMED_MASKS
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.edition.edition import Edition, absolute, check_bandwidths
from fmri_audio.edition.feasible import refuse_infeasible
from fmri_audio.edition.parts import check_parts
from fmri_audio.study.checker import quick_problems, volume_problems
from fmri_audio.study.facts import Found
from fmri_audio.study.layouts.base import LAYOUTS
from fmri_audio.study.masked import file_identity
from fmri_audio.study.reader import Study, find_study
from fmri_audio.study.stimulus import PLAY, identity, is_measured, prepare, study_facts
from fmri_audio.study.sync import has_own_sound


def resolve(
    edition: str,
    out: Path,
    stimulus: str | None = None,
    codec: str | None = None,
    bandwidths: str | None = None,
    decoder: str | None = None,
) -> list[str]:
    """Check an edition with what was asked for beside it, and write the whole as one edition file.

    Everything a user can get wrong is looked at here, in seconds and before anything is written: settings,
    the sound, the weights, the bandwidths, the study's folder, and whether the sound is long enough for every chapter.
    The scans' volumes, which may be gigabytes, are read by the step ``study``.

    Parameters
    ----------
    edition
        A name in ``config/`` or the path of an edition file.
    out
        File to write; left alone if it would not change.
    stimulus, codec, bandwidths, decoder
        The make variables ``STIMULUS``, ``CODEC``, ``BANDWIDTHS``, ``CODEC_DECODER``; None or empty where not given.
        Their paths count from the working directory.

    Returns
    -------
    list of str
        What the reader should know; also written on top of the file.

    Raises
    ------
    UserError
        Something cannot be used.
    """
    settings = _with_overrides(absolute(load_settings(edition)), stimulus, codec, decoder)
    check_parts(settings)
    _check_given(settings, edition)
    _check_headers(settings)
    opened = Edition(settings, settings.main_bandwidth, out.absolute().parent)
    checkpoint = opened.checkpoint
    notes = [f"codec {checkpoint.id} (sha256 {checkpoint.sha256})"]
    listed = _parse_bandwidths(bandwidths, checkpoint) if bandwidths else opened.bandwidths
    check_bandwidths([*listed, *settings.sweep.bandwidths], checkpoint)
    if opened.decoder is not None:
        notes.append(f"decoder {opened.decoder.id} (sha256 {opened.decoder.vocoder.sha256})")
        for kbps in listed:
            opened.decoder.check(kbps)
    main = min(listed, key=lambda value: (abs(value - settings.main_bandwidth), value))
    if main != settings.main_bandwidth:
        notes.append(
            f"main bandwidth {main:g} kbps: {settings.main_bandwidth:g} is not among the bandwidths asked for"
        )
    sound = prepare(settings, detect=False)
    notes.append(f"stimulus {sound.name}: {sound.n_trs} TRs, {sound.seconds:g} s; {'; '.join(sound.steps)}")
    notes.append(f"stimulus fingerprint {identity(settings)}")
    settings = settings.model_copy(update={"bandwidths": listed, "main_bandwidth": main})
    opened.__dict__["stimulus"] = sound
    refuse_infeasible(opened)
    dump_settings(settings, out, notes)
    return notes[:-1]


def _with_overrides(
    settings: Settings, stimulus: str | None, codec: str | None, decoder: str | None
) -> Settings:
    """Return settings with another sound, other weights or another decoder in place of the edition's."""
    changes: dict[str, Any] = {}
    if stimulus:
        source = stimulus if stimulus == PLAY else str(Path(stimulus).expanduser().absolute())
        update: dict[str, Any] = {"source": source}
        if settings.stimulus.source not in (None, source):
            # An excerpt and a table chosen for one recording say nothing about another.
            update |= {"segments": None, "first_tr": 0, "n_trs": None}
        changes["stimulus"] = settings.stimulus.model_copy(update=update)
    if codec:
        changes["codec"] = codec if codec in NAMED_CODECS else str(Path(codec).expanduser().absolute())
    if decoder:
        if decoder not in DECODERS:
            raise UserError(f"CODEC_DECODER={decoder!r}: choose one of {', '.join(DECODERS)}")
        changes["decoder"] = decoder
    return settings.model_copy(update=changes)


def _check_given(settings: Settings, edition: str) -> None:
    """Raise a UserError if the edition needs something that only the user has."""
    source = settings.study.source
    if is_measured(settings) and not Path(str(source)).is_dir():
        raise UserError(f"study.source: {source} is not a folder: give the folder of a study, or {SIMULATE}")
    missing = []
    if settings.stimulus.source is None and not _has_own_sound(settings):
        missing.append("stimulus.source (your copy of the film or its sound, or STIMULUS=FILE)")
    if source is None:
        missing.append("study.source (the folder with your scans)")
    if missing:
        raise UserError(f"edition {edition} needs what only you can provide: set {' and '.join(missing)}")


def _check_headers(settings: Settings) -> None:
    """Raise a UserError for what ``fmri-audio data check`` finds in a measured study's names, headers or mask."""
    if is_measured(settings):
        found = _found(settings)
        Study.of(Path(str(settings.study.source)), found).mask(settings.study.mask)


def check_volumes(settings: Settings, marker: Path) -> None:
    """Raise a UserError for what ``fmri-audio data check`` finds in a measured study's volumes.

    They are read once: ``marker`` holds the hash of all that decides the answer.
    """
    found, mask = _found(settings), settings.study.mask
    scans = [scan for scans in found.scans.values() for scan in scans]
    facts = [f"{file_identity(scan.path)} {scan.first_volume} {scan.n_trs}" for scan in scans]
    facts += [found.facts.model_dump_json(), mask if mask in NAMED_MASKS else sha256_of(mask)]
    facts.append(fingerprint("fmri_audio.study.checker", *LAYOUTS.modules()))
    known_by = hashlib.sha256("\n".join(facts).encode()).hexdigest()
    if marker.is_file() and marker.read_bytes() == known_by.encode():
        return
    _refuse(settings, volume_problems(found, mask))
    write_text(marker, known_by)


def _found(settings: Settings) -> Found:
    """What a measured study holds, its names and headers checked."""
    wanted = settings.study
    found = find_study(Path(str(wanted.source)), task=wanted.task, story=wanted.story, space=wanted.space)
    _refuse(settings, quick_problems(found, films_given=settings.stimulus.source is not None))
    return found


def _refuse(settings: Settings, problems: Sequence[str]) -> None:
    """Raise a UserError with the first of a study's problems and the command that lists them all."""
    if not problems:
        return
    wanted = settings.study
    options = {"task": wanted.task, "story": wanted.story, "space": wanted.space, "mask": wanted.mask}
    usual = (None, BIDS_SPACE, NAMED_MASKS[0])
    words = [f" --{key} {value}" for key, value in options.items() if value not in usual]
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    raise UserError(
        f"study.source: {problems[0]}{more} (`fmri-audio data check {wanted.source}{''.join(words)}` lists all)"
    )


def _has_own_sound(settings: Settings) -> bool:
    """Whether the study holds the sound that was heard; of one that is not there yet, whether it is an open one."""
    if is_measured(settings):
        return has_own_sound(study_facts(settings))
    named = settings.study.task is not None or settings.study.space != BIDS_SPACE
    return settings.study.source is None and named


def _parse_bandwidths(text: str, checkpoint: Checkpoint) -> list[float]:
    """Read "1.5 3 6" as bandwidths in kbps, ascending, none twice; "all" is every one that the codec has."""
    if text.strip() == "all":
        return [float(value) for value in sorted(checkpoint.model.target_bandwidths)]
    try:
        listed = sorted({float(part) for part in text.replace(",", " ").split()})
    except ValueError:
        listed = []
    if not listed:
        raise UserError(
            f"BANDWIDTHS={text!r}: give kbps separated by spaces, such as BANDWIDTHS='1.5 3 6', or all"
        )
    return listed
