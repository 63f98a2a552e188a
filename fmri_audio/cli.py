"""The command ``fmri-audio``: a thin shell over the package."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fmri_audio import __version__
from fmri_audio.base.command import command
from fmri_audio.base.errors import UserError
from fmri_audio.base.extras import from_extra
from fmri_audio.base.files import check_writable, replacing, write_text
from fmri_audio.base.settings import BIDS_SPACE, DECODERS, FAMILIES, NAMED_CODECS, VARIANTS, VOXELS

if TYPE_CHECKING:
    from fmri_audio.codec.checkpoints import Checkpoint
    from fmri_audio.codec.second_decoder import SecondDecoder
    from fmri_audio.codec.segmented import SegmentedCodec
    from fmri_audio.representations.encodec import EncodecCodes
    from fmri_audio.sound.metrics.evaluate import Scores
    from fmri_audio.sound.recognition.compared import ComparedWords

MOST_SUBJECTS = 1_000
"""Of a simulated study; as many as an edition may ask for."""

DEFAULT_TRS = 240
"""TRs of a simulated study, unless it is told how many."""


def evaluate(arguments: argparse.Namespace) -> None:
    """Score a degraded recording against its reference."""
    from fmri_audio.sound import audio
    from fmri_audio.sound.metrics import base, evaluate
    from fmri_audio.sound.recognition import compared

    given = arguments.transcript
    transcript = None if given is None else compared.read_transcript(given)
    sounds = {
        name: audio.read_mono(getattr(arguments, name), base.METRIC_RATE)
        for name in ("reference", "degraded")
    }
    reference, degraded = (sound.waveform for sound in sounds.values())
    scores = evaluate.evaluate(reference, degraded, base.METRIC_RATE)
    words = compared.NOT_ASKED
    if arguments.words or given is not None:
        pair = evaluate.shifted(reference, degraded, scores.lag_samples)
        words = compared.compare_words(*pair, base.METRIC_RATE, transcript)
    if arguments.json:
        done = {f"{name}_steps": sound.steps for name, sound in sounds.items()}
        why = {"undefined": {**scores.undefined, **words.undefined}}
        print(json.dumps({**scores.as_json(), **why, **done, **words.as_json()}))
        return
    _print_scores(scores)
    if words is not compared.NOT_ASKED:
        _print_words(words)
    for name, sound in sounds.items():
        if sound.steps:
            print(f"{name}: {'; '.join(sound.steps)}")


def _print_scores(scores: Scores) -> None:
    """Print a score a line, and what has to be known to read them."""
    from fmri_audio.sound.metrics import base, evaluate

    for name, value in scores.values().items():
        text = (
            "undefined" if math.isnan(value) else f"{value:d}" if isinstance(value, int) else f"{value:.4g}"
        )
        unit, why = evaluate.UNITS[name], scores.undefined.get(name)
        said = f"({why})" if why else "" if unit == "1" else unit
        print(f"{name:19} {text:>10} {said}".rstrip())
    if abs(scores.level_difference_db) > evaluate.FAR_APART_DB:
        print(
            f"the degraded sound is {abs(scores.level_difference_db):.1f} dB "
            f"{'louder' if scores.level_difference_db > 0 else 'quieter'} than the reference: SNR and DNSMOS count "
            "that, SI-SDR, PESQ, STOI, ESTOI and ViSQOL do not; all count what rounding or clipping it cost"
        )
    if scores.speech_fraction < base.LEAST_SPEECH:
        print(
            "all scores from PESQ to DNSMOS are models of speech, and less than a tenth of the reference is speech"
        )


def _print_words(words: ComparedWords) -> None:
    """Print what words were compared with, by which recogniser, and how many are lost."""
    from fmri_audio.sound.recognition import FEWEST_WORDS

    undefined = math.isnan(words.wrong)
    said = f"({words.why})" if undefined else "of the words said, beyond the reference's own errors"
    print(f"{'words_wrong':19} {'undefined' if undefined else f'{words.wrong:.4g}':>10} {said}")
    if words.said is not None:
        few = f" (fewer than {FEWEST_WORDS} decide nothing)" if words.said < FEWEST_WORDS else ""
        print(f"{'words_said':19} {words.said:>10} words{few}")
    if words.recogniser is not None:
        print(f"{'words_reference':19} {words.reference}")
        one = words.recogniser
        print(
            f"{'recogniser':19} {one.name}, licence: {one.licence}, from {one.source}, SHA-256 {one.sha256[:8]}…"
        )


def codec_info(arguments: argparse.Namespace) -> None:
    """Say what a checkpoint is and what it can do."""
    from fmri_audio.codec import checkpoints
    from fmri_audio.codec.counting import count_weights

    checkpoint = checkpoints.load(arguments.checkpoint)
    model, count = checkpoint.model, count_weights(checkpoint.model)
    codebooks = (
        f"{model.quantizer.get_num_quantizers_for_bandwidth(model.frame_rate, bandwidth)} at {bandwidth:g} kbps"
        for bandwidth in checkpoints.bandwidths(model)
    )
    channels = {1: "1 (mono)", 2: "2 (stereo)"}[model.channels]
    whole = "the whole sound as one stream"
    facts = {
        "id": checkpoint.id,
        "description": checkpoint.description,
        "licence": checkpoint.licence,
        "source": checkpoint.source,
        "sha256": checkpoint.sha256,
        "parameters": f"{count.parameters:,}: encoder {count.encoder:,}, decoder {count.decoder:,}; "
        f"codebooks besides {count.codebooks:,}",
        "sample rate": f"{model.sample_rate} Hz",
        "frame rate": f"{model.frame_rate} Hz",
        "channels": channels,
        "works on": whole
        if model.segment is None
        else f"segments of {model.segment:g} s, each with its scale",
        "codebooks": f"{', '.join(codebooks)}; {model.quantizer.bins} entries each",
    }
    for name, value in facts.items():
        print(f"{name:12} {value}")


def codec_encode(arguments: argparse.Namespace) -> None:
    """Write the codes of a sound."""
    from fmri_audio.codec import checkpoints
    from fmri_audio.edition.edition import check_bandwidths

    if arguments.codes.suffix != ".npz":
        raise UserError(f"{arguments.codes}: codes are written as NumPy archives, give a name ending in .npz")
    checkpoint = checkpoints.load(arguments.checkpoint)
    check_bandwidths([arguments.bandwidth], checkpoint)
    encode = _encode_stream if checkpoint.model.segment is None else _encode_segments
    arrays, steps = encode(arguments.sound, checkpoint, arguments.bandwidth)
    with replacing(arguments.codes) as temporary:
        np.savez_compressed(
            temporary,
            **arrays,
            bandwidth_kbps=arguments.bandwidth,
            checkpoint=checkpoint.id,
            checkpoint_spec=_lasting_spec(checkpoint),
            checkpoint_sha256=checkpoint.sha256,
            sample_rate=checkpoint.model.sample_rate,
        )
    done = "".join(f"{step}; " for step in steps)
    codebooks, frames = arrays["codes"].shape
    segments = f" in {len(arrays['scales'])} segments" if "scales" in arrays else ""
    print(
        f"{arguments.codes}: {done}{codebooks} codebooks × {frames} frames{segments}, "
        f"{arguments.bandwidth:g} kbps, {checkpoint.id}"
    )


def _encode_stream(path: Path, checkpoint: Checkpoint, bandwidth: float) -> tuple[dict[str, Any], list[str]]:
    """Return the arrays to store, and what was done to the sound first."""
    from fmri_audio.representations import codec_stream
    from fmri_audio.representations.encodec import EncodecCodes
    from fmri_audio.sound import audio

    codec = EncodecCodes(checkpoint, bandwidth)
    with tempfile.TemporaryFile() as spool:
        sound = audio.spool_mono(path, codec.sample_rate, spool)
        return {"codes": codec_stream.encode(codec, sound), "n_samples": sound.n_samples}, sound.steps


def _encode_segments(
    path: Path, checkpoint: Checkpoint, bandwidth: float
) -> tuple[dict[str, Any], list[str]]:
    """Return the arrays to store, and what was done to the sound first."""
    import torch

    from fmri_audio.codec.segmented import SegmentedCodec
    from fmri_audio.sound import audio

    codec = SegmentedCodec(checkpoint, bandwidth)
    waveform, steps = audio.to_stereo(audio.read_sound(path), codec.sample_rate)
    stored = codec.encode(torch.from_numpy(np.ascontiguousarray(waveform)))
    arrays = {
        "codes": stored.codes.astype(np.int16),
        "n_samples": waveform.shape[1],
        "segment_frames": stored.segment_frames,
        "scales": stored.scales,
    }
    return arrays, steps


def codec_decode(arguments: argparse.Namespace) -> None:
    """Write the sound of codes."""
    from fmri_audio.codec import checkpoints
    from fmri_audio.codec.codes_files import read_codes
    from fmri_audio.edition.edition import check_bandwidths
    from fmri_audio.representations.encodec import EncodecCodes

    if arguments.sound.suffix.lower() not in (".wav", ".flac"):
        raise UserError(
            f"{arguments.sound}: sound is written as WAV or FLAC, give a name ending in .wav or .flac"
        )
    stored = read_codes(arguments.codes)
    checkpoint = checkpoints.load(str(stored["checkpoint_spec"]))
    if checkpoint.sha256 != str(stored["checkpoint_sha256"]):
        raise UserError(
            f"{arguments.codes} was made with other weights than {checkpoint.id} (sha256 "
            f"{str(stored['checkpoint_sha256'])[:8]}…): encode the sound again"
        )
    bandwidth = float(stored["bandwidth_kbps"])
    check_bandwidths([bandwidth], checkpoint)
    decoder = _decoder(arguments.decoder, checkpoint)
    if checkpoint.model.segment is None:
        codec = EncodecCodes(checkpoint, bandwidth, decoder)
        _decode_stream(arguments.codes, stored, codec, arguments.sound)
    else:
        _decode_segments(arguments.codes, stored, checkpoint, bandwidth, arguments.sound)
    seconds = int(stored["n_samples"]) / checkpoint.model.sample_rate
    by = f", decoded by {decoder.id}" if decoder else ""
    print(f"{arguments.sound}: {seconds:.2f} s, {bandwidth:g} kbps, {checkpoint.id}{by}")


def _decoder(name: str, checkpoint: Checkpoint) -> SecondDecoder | None:
    """Open the decoder of that name; None for the codec's own."""
    if name == "own":
        return None
    if checkpoint.model.segment is not None:
        raise UserError(f"--decoder {name}: {checkpoint.id} works in segments and has its own decoder alone")
    from fmri_audio.codec.second_decoder import decoder_for

    return decoder_for(checkpoint)


def _decode_stream(path: Path, stored: dict[str, Any], codec: EncodecCodes, out: Path) -> None:
    """Write the sound of one stream of codes."""
    from fmri_audio.representations import codec_stream

    codes, n_samples = stored["codes"], int(stored["n_samples"])
    _check_codes(path, codes, codec, codec.channels)
    if not (codes.shape[1] - 1) * codec.hop_length < n_samples <= codes.shape[1] * codec.hop_length:
        raise UserError(f"{path}: {codes.shape[1]} frames do not make {n_samples} samples")
    codec_stream.decode(codec, codes, n_samples, out)


def _decode_segments(
    path: Path, stored: dict[str, Any], checkpoint: Checkpoint, bandwidth: float, out: Path
) -> None:
    """Write the sound of codes in segments."""
    from fmri_audio.codec.codes_files import SEGMENT_KEYS
    from fmri_audio.codec.segmented import SegmentedCodec, SegmentedCodes
    from fmri_audio.representations import codec_stream
    from fmri_audio.sound import audio

    codec = SegmentedCodec(checkpoint, bandwidth)
    missing = [key for key in SEGMENT_KEYS if key not in stored]
    if missing:
        raise UserError(f"{path}: codes of {checkpoint.id} come with {missing[0]}: encode the sound again")
    codes, n_samples = stored["codes"].astype(np.int64), int(stored["n_samples"])
    _check_codes(path, codes, codec, codec.n_codebooks)
    if not 0 < n_samples <= codes.shape[1] * int(codec.model.encoder.hop_length):
        raise UserError(f"{path}: {codes.shape[1]} frames do not make {n_samples} samples")
    frames, scales = stored["segment_frames"].astype(np.int64), stored["scales"].astype(np.float32)
    if frames.tolist() != codec.segment_frames(n_samples) or frames.sum() != codes.shape[1]:
        raise UserError(f"{path}: {codes.shape[1]} frames in these segments do not make {n_samples} samples")
    if scales.shape != frames.shape or not (np.isfinite(scales) & (scales > 0)).all():
        raise UserError(f"{path}: scales should be one positive number for each of {len(frames)} segments")
    sound = codec.decode(SegmentedCodes(codes, frames, scales), n_samples)
    codec_stream.refuse_no_numbers(sound, checkpoint.id)
    write = audio.write_wav if out.suffix.lower() == ".wav" else audio.write_flac
    write(out, sound.numpy(), codec.sample_rate)


def _lasting_spec(checkpoint: Checkpoint) -> str:
    """Return how to find the checkpoint again from any working directory."""
    return checkpoint.spec if checkpoint.spec in NAMED_CODECS else str(Path(checkpoint.source).absolute())


def _check_codes(
    path: Path, codes: NDArray[np.integer], codec: EncodecCodes | SegmentedCodec, n_codebooks: int
) -> None:
    """Raise a UserError unless the codes are ones that the codec could have written."""
    bins = codec.model.quantizer.bins
    if codes.min() < 0 or codes.max() >= bins:
        raise UserError(f"{path}: codes should be from 0 to {bins - 1}, found {codes.min()} to {codes.max()}")
    if codes.shape[0] != n_codebooks:
        raise UserError(
            f"{path}: {codec.bandwidth:g} kbps are {n_codebooks} codebooks, found {codes.shape[0]}"
        )


def data_simulate(arguments: argparse.Namespace) -> None:
    """Write a study folder with simulated brains."""
    from fmri_audio.simulation.simulator import simulate_study
    from fmri_audio.sound import audio
    from fmri_audio.study.stimulus import play_waveform

    if arguments.subjects > MOST_SUBJECTS:
        raise UserError(f"--subjects {arguments.subjects}: at most {MOST_SUBJECTS:,} are simulated")
    check_writable(arguments.out.absolute().parent / f".{arguments.out.name}-study")
    counts = arguments.runs or [DEFAULT_TRS if arguments.trs is None else arguments.trs]
    n_trs = sum(counts) if arguments.trs is None else arguments.trs
    runs = [(sum(counts[:i]), count) for i, count in enumerate(counts)]
    done = ""
    if arguments.sound is None:
        waveform = play_waveform()
    else:
        sound = audio.read_mono(arguments.sound)
        waveform = sound.waveform
        done = "".join(f"{step}; " for step in sound.steps)
    folder = simulate_study(
        arguments.out,
        waveform,
        audio.SAMPLE_RATE,
        n_subjects=arguments.subjects,
        n_trs=n_trs,
        shape=tuple(arguments.shape),
        seed=arguments.seed,
        strength=arguments.strength,
        variant=arguments.variant,
        voxels=arguments.voxels,
        features=arguments.features,
        runs=runs,
    )
    print(f"{folder}: {done}{arguments.subjects} subjects, {n_trs} TRs")


def data_check(arguments: argparse.Namespace) -> int:
    """List what a study folder holds and what is wrong with it."""
    from fmri_audio.study.checker import check_study

    report = check_study(
        arguments.folder,
        task=arguments.task,
        story=arguments.story,
        space=arguments.space,
        films=[str(film) for film in arguments.film],
        mask=arguments.mask,
    )
    print(report.table)
    for kind in ("sounds", "notes", "warnings", "problems"):
        for sentence in getattr(report, kind):
            print(f"{kind.removesuffix('s')}: {sentence}")
    return 1 if report.problems else 0


def study_decode(arguments: argparse.Namespace) -> None:
    """Print what held-out runs of a study give: how well a target is decoded, and what chance makes of it."""
    from fmri_audio.base.settings import project_root
    from fmri_audio.decoding.series import PIPELINE_FILE, Pipeline
    from fmri_audio.experiments import study_decoding
    from fmri_audio.study.reader import Study

    pipeline = Pipeline.read(arguments.pipeline or project_root() / PIPELINE_FILE)
    study = Study.open(arguments.folder, task=arguments.task, story=arguments.story, space=arguments.space)
    found = study_decoding.decode_study(study, arguments.target, pipeline, arguments.subjects, arguments.mask)
    if arguments.json:
        print(json.dumps(found.as_json()))
        return
    print("\n".join(found.lines()))


def report(arguments: argparse.Namespace) -> None:
    """Write the report to the issue, and the command that would post it."""
    with from_extra("book"):
        from fmri_audio.claims import report as reports

    text = reports.write(arguments.edition, arguments.book_url)
    if arguments.out is None:
        print(text, end="")
        print(f"nothing was posted; piped into this it would be: {reports.command('-')}", file=sys.stderr)
        return
    write_text(arguments.out, text)
    print(f"{arguments.out}: {len(text):,} characters; nothing was posted, this would:")
    print(reports.command(arguments.out))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command."""
    top = argparse.ArgumentParser(
        "fmri-audio", description="Sound, EnCodec and fMRI: what the book uses, by hand."
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    top.set_defaults(writes=[])
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_evaluate(commands)
    _add_codec(commands.add_parser("codec", help="look at a checkpoint, encode, decode"))
    _add_data(commands.add_parser("data", help="simulate or check a study on disk"))
    _add_study(commands.add_parser("study", help="decode what was heard from a measured study"))
    _add_report(commands)
    return top


def _add_evaluate(commands: Any) -> None:
    one = commands.add_parser(
        "evaluate",
        help="score a degraded recording against its reference",
        description="SNR, SI-SDR, PESQ, STOI, ESTOI, ViSQOL in speech mode, and DNSMOS, which hears the degraded "
        "recording alone: mono, 16 kHz, aligned by cross-correlation, cut to the shorter. Beyond 30 s, PESQ, STOI, "
        "ESTOI and ViSQOL are means over pieces by the speech in each; DNSMOS is a mean over windows of 9 s. With "
        "--words or --transcript, also the words that a speech recogniser gets wrong.",
    )
    one.add_argument("reference", type=Path, metavar="REFERENCE")
    one.add_argument("degraded", type=Path, metavar="DEGRADED")
    one.add_argument("--json", action="store_true", help="print one JSON object; undefined scores are null")
    one.add_argument(
        "--words",
        action="store_true",
        help="count the words that are read in the reference and not in the degraded recording",
    )
    one.add_argument(
        "--transcript",
        type=Path,
        metavar="FILE",
        help="what is said in the whole reference, as plain text: count words against it, beyond the reference's own "
        "errors",
    )
    one.set_defaults(run=evaluate)


def _add_codec(codec: argparse.ArgumentParser) -> None:
    commands = codec.add_subparsers(dest="codec_command", required=True, metavar="COMMAND")
    checkpoint: dict[str, Any] = {
        "default": "demo",
        "help": f"{', '.join(NAMED_CODECS)}, or the path of a checkpoint (default: demo)",
    }
    info = commands.add_parser("info", help="what a checkpoint is")
    info.add_argument("--checkpoint", **checkpoint)
    info.set_defaults(run=codec_info)
    encode = commands.add_parser("encode", help="sound to codes")
    encode.add_argument("sound", type=Path, metavar="SOUND")
    encode.add_argument("codes", type=Path, metavar="CODES.npz")
    encode.add_argument("--checkpoint", **checkpoint)
    encode.add_argument("--bandwidth", type=float, default=6.0, help="kbps (default: 6)")
    encode.set_defaults(run=codec_encode, writes=["codes"])
    decode = commands.add_parser("decode", help="codes to sound")
    decode.add_argument("codes", type=Path, metavar="CODES.npz")
    decode.add_argument("sound", type=Path, metavar="SOUND.wav")
    decode.add_argument(
        "--decoder",
        choices=DECODERS,
        default="own",
        help="the codec's own decoder, or Vocos trained for its codes (default: own)",
    )
    decode.set_defaults(run=codec_decode, writes=["sound"])


def _add_data(data: argparse.ArgumentParser) -> None:
    commands = data.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    simulate = commands.add_parser("simulate", help="write a study with simulated brains")
    simulate.add_argument("out", type=Path, metavar="OUT")
    simulate.add_argument("--subjects", type=int, default=3, metavar="N")
    simulate.add_argument(
        "--trs", type=int, metavar="T", help=f"TRs of 1.5 s (default: those of --runs, or {DEFAULT_TRS})"
    )
    simulate.add_argument(
        "--runs", type=int, nargs="+", metavar="A", help="TRs of each run (default: one run)"
    )
    simulate.add_argument("--shape", type=int, nargs=3, default=[20, 24, 20], metavar=("X", "Y", "Z"))
    simulate.add_argument("--seed", type=int, default=0, metavar="S")
    simulate.add_argument(
        "--variant",
        choices=VARIANTS,
        default="matched",
        help="matched: to the regions of real listeners; null: noise only; null-shared: brains share a signal that has "
        "nothing to do with the sound",
    )
    simulate.add_argument(
        "--voxels",
        choices=VOXELS,
        default="between",
        help="how a region's response is spread over its voxels, which real regions do not say",
    )
    simulate.add_argument(
        "--strength", type=float, help="share of variance that subjects share (default: the variant's own)"
    )
    simulate.add_argument(
        "--features",
        nargs="+",
        choices=FAMILIES,
        default=list(FAMILIES),
        metavar="FAMILY",
        help=f"what auditory cortex follows: {', '.join(FAMILIES)} (default: all)",
    )
    simulate.add_argument("--sound", type=Path, help="what the brains hear (default: the embedded play)")
    simulate.set_defaults(run=data_simulate)
    check = commands.add_parser("check", help="list what a study holds and every problem")
    check.add_argument("folder", type=Path, metavar="DIR")
    check.add_argument(
        "--film",
        nargs="+",
        default=[],
        metavar="FILE",
        help="the film or its sound, one per run in their order, or RUN=FILE (default: the study's own)",
    )
    check.add_argument("--task", help="which task of a BIDS data set")
    check.add_argument("--story", help="which story of that task (default: all that everybody heard)")
    check.add_argument(
        "--space", default=BIDS_SPACE, help=f"standard space of its scans (default: {BIDS_SPACE})"
    )
    check.add_argument(
        "--mask", default="auditory", help="auditory (default), grey-matter, all, or the path of a mask"
    )
    check.set_defaults(run=data_check)


def _add_study(study: argparse.ArgumentParser) -> None:
    commands = study.add_subparsers(dest="study_command", required=True, metavar="COMMAND")
    decode = commands.add_parser(
        "decode",
        help="sound level or words per TR, from held-out runs",
        description="Decodes sound level or words per TR from every subject's held-out runs by ridge regression, and "
        "compares with the sound turned round: correlation per subject, their mean with its interval over runs and "
        "over subjects, the null's spread, and p with the number of independent shifts that it rests on.",
    )
    decode.add_argument("folder", type=Path, metavar="FOLDER")
    decode.add_argument(
        "--target", choices=("level", "words"), required=True, help="sound level, or words that are said"
    )
    decode.add_argument("--subjects", nargs="+", metavar="S", help="some subjects (default: all)")
    decode.add_argument(
        "--pipeline",
        type=Path,
        metavar="FILE",
        help="filter, lags, penalties, columns (default: config/analyses/real-brains.yml, all runs of the study)",
    )
    decode.add_argument("--task", help="which task of a BIDS data set")
    decode.add_argument("--story", help="which story of that task (default: all that everybody heard)")
    decode.add_argument(
        "--space", default=BIDS_SPACE, help=f"standard space of its scans (default: {BIDS_SPACE})"
    )
    decode.add_argument(
        "--mask",
        default=None,
        help="auditory (default where voxels have a place), grey-matter, all, or the path of a mask",
    )
    decode.add_argument("--json", action="store_true", help="print one JSON object")
    decode.set_defaults(run=study_decode)


def _add_report(commands: Any) -> None:
    one = commands.add_parser(
        "report",
        help="write the report to the issue that asked, as Markdown",
        description="Verdict, conditions, claims, figures, sounds and how to reproduce them, from an edition's tables.",
    )
    one.add_argument(
        "--edition", default="demo", help="a name in config/, or an edition file (default: demo)"
    )
    one.add_argument("--out", type=Path, metavar="FILE", help="file to write (default: print it)")
    one.add_argument(
        "--book-url",
        default=os.environ.get("BOOK_URL", ""),
        metavar="URL",
        help="where the rendered book is published (default: the variable BOOK_URL, or the address in CITATION.cff; "
        "without one links are relative)",
    )
    one.set_defaults(run=report, writes=["out"])


@command("fmri-audio")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status: 0, 1 for an error of the user's, 2 for wrong usage."""
    arguments = parser().parse_args(argv)
    for name in arguments.writes:
        written = getattr(arguments, name)
        if written is not None:
            check_writable(written)
    return arguments.run(arguments) or 0


if __name__ == "__main__":
    sys.exit(main())
