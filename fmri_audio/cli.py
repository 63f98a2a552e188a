"""The command ``fmri-audio``: a thin shell over the package."""

from __future__ import annotations

import argparse
import json
import math
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fmri_audio.errors import UserError
from fmri_audio.files import replacing

if TYPE_CHECKING:
    from fmri_audio.checkpoints import Checkpoint
    from fmri_audio.representations import EncodecCodes

CODES_KEYS = (
    "codes",
    "bandwidth_kbps",
    "checkpoint",
    "checkpoint_spec",
    "checkpoint_sha256",
    "sample_rate",
    "n_samples",
)
"""What a file of codes holds: codes [K, T], and the codec by its id, how to find it again, and its hash."""


def evaluate(arguments: argparse.Namespace) -> None:
    """Score a degraded recording against its reference."""
    from fmri_audio import audio, metrics

    reference, degraded = (
        audio.to_mono(audio.read_sound(path), metrics.METRIC_RATE)[0]
        for path in (arguments.reference, arguments.degraded)
    )
    scores = metrics.evaluate(reference, degraded, metrics.METRIC_RATE)
    if arguments.json:
        print(json.dumps(scores.as_json()))
        return
    for name, value in asdict(scores).items():
        text = "undefined" if math.isnan(value) else f"{value:.4g}"
        unit = metrics.UNITS[name]
        print(f"{name:16} {text:>10} {'' if unit == '1' else unit}".rstrip())
    if scores.speech_fraction < metrics.LEAST_SPEECH:
        print("PESQ and STOI are models of speech, and less than a tenth of the reference is speech")


def codec_info(arguments: argparse.Namespace) -> None:
    """Say what a checkpoint is and what it can do."""
    from fmri_audio import checkpoints

    checkpoint = checkpoints.load(arguments.checkpoint)
    model = checkpoint.model
    rates = ", ".join(f"{bandwidth:g}" for bandwidth in checkpoints.bandwidths(model))
    facts = {
        "id": checkpoint.id,
        "description": checkpoint.description,
        "licence": checkpoint.licence,
        "file": checkpoint.source,
        "sha256": checkpoint.sha256,
        "sample rate": f"{model.sample_rate} Hz",
        "frame rate": f"{model.frame_rate} Hz",
        "bandwidths": f"{rates} kbps",
        "codebooks": f"{model.quantizer.n_q} of {model.quantizer.bins} entries",
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,} without codebooks",
    }
    for name, value in facts.items():
        print(f"{name:12} {value}")


def codec_encode(arguments: argparse.Namespace) -> None:
    """Write the codes of a sound."""
    import torch

    from fmri_audio import audio, checkpoints
    from fmri_audio.edition import check_bandwidths
    from fmri_audio.representations import EncodecCodes

    if arguments.codes.suffix != ".npz":
        raise UserError(f"{arguments.codes}: codes are written as NumPy archives, give a name ending in .npz")
    checkpoint = checkpoints.load(arguments.checkpoint)
    check_bandwidths([arguments.bandwidth], checkpoint)
    sound = audio.read_sound(arguments.sound)
    codec = EncodecCodes(checkpoint, arguments.bandwidth)
    waveform, steps = audio.to_mono(sound, codec.sample_rate)
    codes = codec.analyse(torch.from_numpy(waveform)[None, None])[0].numpy()
    with replacing(arguments.codes) as temporary:
        np.savez_compressed(
            temporary, codes=codes.astype(np.int16), bandwidth_kbps=arguments.bandwidth,
            checkpoint=checkpoint.id, checkpoint_spec=_lasting_spec(checkpoint), checkpoint_sha256=checkpoint.sha256,
            sample_rate=codec.sample_rate, n_samples=len(waveform),
        )  # fmt: skip
    done = "".join(f"{step}; " for step in steps)
    print(
        f"{arguments.codes}: {done}{codes.shape[0]} codebooks × {codes.shape[1]} frames, "
        f"{arguments.bandwidth:g} kbps, {checkpoint.id}"
    )


def codec_decode(arguments: argparse.Namespace) -> None:
    """Write the sound of codes."""
    import torch

    from fmri_audio import audio, checkpoints
    from fmri_audio.edition import check_bandwidths
    from fmri_audio.representations import EncodecCodes

    writers = {".wav": audio.write_wav, ".flac": audio.write_flac}
    if arguments.sound.suffix.lower() not in writers:
        raise UserError(
            f"{arguments.sound}: sound is written as WAV or FLAC, give a name ending in .wav or .flac"
        )
    stored = _read_codes(arguments.codes)
    checkpoint = checkpoints.load(str(stored["checkpoint_spec"]))
    if checkpoint.sha256 != str(stored["checkpoint_sha256"]):
        raise UserError(
            f"{arguments.codes} was made with other weights than {checkpoint.id} (sha256 "
            f"{str(stored['checkpoint_sha256'])[:8]}…): encode the sound again"
        )
    check_bandwidths([float(stored["bandwidth_kbps"])], checkpoint)
    codec = EncodecCodes(checkpoint, float(stored["bandwidth_kbps"]))
    codes, n_samples = stored["codes"].astype(np.int64), int(stored["n_samples"])
    _check_codes(arguments.codes, codes, n_samples, codec)
    waveform = codec.synthesise(torch.from_numpy(codes)[None], n_samples)[0, 0].numpy()
    writers[arguments.sound.suffix.lower()](arguments.sound, waveform, codec.sample_rate)
    print(
        f"{arguments.sound}: {len(waveform) / codec.sample_rate:.2f} s, {codec.bandwidth:g} kbps, {checkpoint.id}"
    )


def _lasting_spec(checkpoint: Checkpoint) -> str:
    """Return how to find the checkpoint again from any working directory."""
    return (
        checkpoint.spec
        if checkpoint.spec in ("demo", "released")
        else str(Path(checkpoint.source).absolute())
    )


def _read_codes(path: Path) -> dict[str, Any]:
    """Read a file of codes, or say why it is none."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: give codes written by fmri-audio codec encode")
    try:
        with np.load(path) as archive:
            stored = {key: archive[key] for key in CODES_KEYS}
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile):
        raise UserError(f"{path} holds no codes: give a file written by fmri-audio codec encode") from None
    if stored["codes"].ndim != 2 or not stored["codes"].size:
        raise UserError(f"{path}: codes should be of shape [K, T], not {list(stored['codes'].shape)}")
    return stored


def _check_codes(path: Path, codes: NDArray[np.int64], n_samples: int, codec: EncodecCodes) -> None:
    """Raise a UserError unless the codes are ones that the codec could have written."""
    bins = codec.model.quantizer.bins
    if codes.min() < 0 or codes.max() >= bins:
        raise UserError(f"{path}: codes should be from 0 to {bins - 1}, found {codes.min()} to {codes.max()}")
    if codes.shape[0] != codec.channels:
        raise UserError(
            f"{path}: {codec.bandwidth:g} kbps are {codec.channels} codebooks, found {codes.shape[0]}"
        )
    if not 0 < n_samples <= codes.shape[1] * codec.hop_length:
        raise UserError(f"{path}: {codes.shape[1]} frames do not make {n_samples} samples")


def data_simulate(arguments: argparse.Namespace) -> None:
    """Write a study folder with simulated brains."""
    from fmri_audio import audio
    from fmri_audio.edition import play_waveform
    from fmri_audio.study.simulator import simulate_study

    if arguments.sound is None:
        waveform = play_waveform()
    else:
        waveform, _ = audio.to_mono(audio.read_sound(arguments.sound))
    folder = simulate_study(
        arguments.out, waveform, audio.SAMPLE_RATE, n_subjects=arguments.subjects, n_trs=arguments.trs,
        shape=tuple(arguments.shape), seed=arguments.seed, strength=arguments.strength,
    )  # fmt: skip
    print(f"{folder}: {arguments.subjects} subjects, {arguments.trs} TRs")


def data_check(arguments: argparse.Namespace) -> int:
    """List what a study folder holds and what is wrong with it."""
    from fmri_audio.study.checker import check_study

    report = check_study(arguments.folder)
    print(report.table)
    for problem in report.problems:
        print(f"problem: {problem}")
    return 1 if report.problems else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    top = argparse.ArgumentParser(
        "fmri-audio", description="Sound, EnCodec and fMRI: what the book uses, by hand."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_evaluate(commands)
    _add_codec(commands.add_parser("codec", help="look at a checkpoint, encode, decode"))
    _add_data(commands.add_parser("data", help="simulate or check a study on disk"))
    return top


def _add_evaluate(commands: Any) -> None:
    one = commands.add_parser(
        "evaluate", help="score a degraded recording against its reference",
        description="SNR, SI-SDR, PESQ and STOI: mono, 16 kHz, aligned by cross-correlation, cut to the shorter.",
    )  # fmt: skip
    one.add_argument("reference", type=Path, metavar="REFERENCE")
    one.add_argument("degraded", type=Path, metavar="DEGRADED")
    one.add_argument("--json", action="store_true", help="print one JSON object; undefined scores are null")
    one.set_defaults(run=evaluate)


def _add_codec(codec: argparse.ArgumentParser) -> None:
    commands = codec.add_subparsers(dest="codec_command", required=True, metavar="COMMAND")
    checkpoint: dict[str, Any] = {
        "default": "demo",
        "help": "demo, released, or the path of a checkpoint (default: demo)",
    }
    info = commands.add_parser("info", help="what a checkpoint is")
    info.add_argument("--checkpoint", **checkpoint)
    info.set_defaults(run=codec_info)
    encode = commands.add_parser("encode", help="sound to codes")
    encode.add_argument("sound", type=Path, metavar="SOUND")
    encode.add_argument("codes", type=Path, metavar="CODES.npz")
    encode.add_argument("--checkpoint", **checkpoint)
    encode.add_argument("--bandwidth", type=float, default=6.0, help="kbps (default: 6)")
    encode.set_defaults(run=codec_encode)
    decode = commands.add_parser("decode", help="codes to sound")
    decode.add_argument("codes", type=Path, metavar="CODES.npz")
    decode.add_argument("sound", type=Path, metavar="SOUND.wav")
    decode.set_defaults(run=codec_decode)


def _add_data(data: argparse.ArgumentParser) -> None:
    commands = data.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    simulate = commands.add_parser("simulate", help="write a study with simulated brains")
    simulate.add_argument("out", type=Path, metavar="OUT")
    simulate.add_argument("--subjects", type=int, default=3, metavar="N")
    simulate.add_argument("--trs", type=int, default=240, metavar="T")
    simulate.add_argument("--shape", type=int, nargs=3, default=[20, 24, 20], metavar=("X", "Y", "Z"))
    simulate.add_argument("--seed", type=int, default=0, metavar="S")
    simulate.add_argument(
        "--strength", type=float, default=0.3, help="share of variance that follows the sound"
    )
    simulate.add_argument("--sound", type=Path, help="what the brains hear (default: the embedded play)")
    simulate.set_defaults(run=data_simulate)
    check = commands.add_parser("check", help="list what a study holds and every problem")
    check.add_argument("folder", type=Path, metavar="DIR")
    check.set_defaults(run=data_check)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status: 0, 1 for an error of the user's, 2 for wrong usage."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except UserError as error:
        print(f"fmri-audio: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
