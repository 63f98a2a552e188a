"""How fast the codec is, beside the ways there were before.

At full width with random weights (what arithmetic costs does not depend on their values), the stimulus is encoded to
all codebooks and decoded again by

``ours``
    the stream of :mod:`fmri_audio.codec.streaming`, quantiser included;
``loop``, ``loop-all``
    the brief's loop, a call of the ``encodec`` package for every TR of 1.5 s, which starves the network of its past:
    at the highest bandwidth, and at all bandwidths one after the other (one encoding of ours serves them all);
``package``
    the package on the whole sound;
``vocos``, ``vocos-small``
    decoding alone: the second decoder of the same codes (:mod:`fmri_audio.codec.second_decoder`), as large as the
    released one, and as large as the one trained here;
``hugging-face``
    the same weights in Hugging Face's ``EncodecModel``, if ``transformers`` is installed (the extra ``bench``);
``network``, ``bound``
    our network without the quantiser, and what it cannot fall below: its convolutions and its LSTM at the same piece
    length, on rows that lie ready, without activations, padding or copies.

Repetitions are interleaved, so that what else the machine does meets all alike; figures are medians. What a GPU takes
is another matter, told apart by the directions ``encode gpu`` and ``decode gpu``. There ``ours``, ``network`` and
``bound`` replay recorded graphs, the package has TF32 as PyTorch gives it, and two more stand beside them:

``launched``
    our network without the quantiser and without graphs, every operation started by the processor;
``package-float32``
    the package on the whole sound in the precision that ours has.

A first and a second round there are not among the repetitions: in them libraries choose and graphs are recorded. What
the first one took is ``first_seconds``. Five minutes of sound are enough, and take some two minutes::

    python -m programs bench --only codec --minutes 5 --repetitions 5 --out results/bench.csv
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import psutil
import torch
from encodec.model import EncodecModel
from torch import Tensor

from fmri_audio.base.timeline import trs_to_samples
from fmri_audio.codec import checkpoints
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.codec.replay import Record, full_precision, recorder_of
from fmri_audio.codec.second_decoder import SecondDecoder
from fmri_audio.codec.streaming import (
    PIECE_FRAMES,
    StreamingDecoder,
    StreamingEncoder,
    decode_in_pieces,
    encode_in_pieces,
)
from fmri_audio.codec.vocoder import LoadedVocoder, Vocoder
from fmri_audio.pages.benchmarks import GPU
from fmri_audio.representations.encodec import EncodecCodes
from fmri_audio.study.stimulus import play_waveform
from programs.benchmarks.process import peak, synchronise
from programs.benchmarks.table import Row, described_hardware, summary

TR = Fraction(3, 2)
FIRST_CODEBOOKS = 8
"""Codebooks over which exactness is judged: in later ones a difference in rounding has had many chances to flip one."""

WHOLE_BYTES = 20
"""Memory that the package takes for a whole sound, per sample and filter: measured, about five activations."""

Work = Callable[[], object]


def random_codec(config: dict[str, Any] | None = None, seed: int = 0) -> Checkpoint:
    """Return an EnCodec of random weights, at full width unless the configuration says otherwise."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = checkpoints.build(config)
        for layer in model.quantizer.vq.layers:
            # As large as the latents of such a network are, so that codes are chosen among near entries.
            layer._codebook.embed.normal_(std=0.02)
            layer._codebook.inited.fill_(1)
    return Checkpoint("random", checkpoints.freeze(model), "random", "", "", "", "random weights")


SECOND_DECODERS: dict[str, dict[str, int]] = {
    "vocos": {"dim": 384, "intermediate": 1152, "layers": 8},
    "vocos-small": {},
}
"""Second decoders that are timed, by what of their topology is not that of the one trained here."""


def random_decoders(checkpoint: Checkpoint, seed: int = 0) -> dict[str, SecondDecoder]:
    """Return second decoders of random weights for a codec, on its device."""
    model = checkpoint.model
    hop, device = int(model.encoder.hop_length), next(model.parameters()).device
    shared = {
        "channels": int(model.quantizer.dimension),
        "hop": hop,
        "n_fft": 4 * hop,
        "bandwidths": list(model.target_bandwidths),
    }
    codebooks = torch.stack([layer.codebook for layer in model.quantizer.vq.layers])
    made = {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for name, topology in SECOND_DECODERS.items():
            network = Vocoder({**shared, **topology}).to(device).eval().requires_grad_(False)
            made[name] = SecondDecoder(LoadedVocoder(name, network, checkpoint.id, "", "", "", ""), codebooks)
    return made


@torch.no_grad()
def measure(
    checkpoint: Checkpoint, waveform: Tensor, repetitions: int, say: Callable[[str], None]
) -> list[Row]:
    """Time all contenders in both directions.

    Parameters
    ----------
    checkpoint : of a causal model, on the device to measure
    waveform : tensor of shape [T]
    repetitions : of everything
    say : is told how it goes

    Returns
    -------
    list of Row
    """
    model = checkpoint.model
    sound = waveform[None, None].to(next(model.parameters()).device)
    top = max(model.target_bandwidths)
    codes = EncodecCodes(checkpoint, top).analyse(sound)
    encoders, decoders = _contenders(checkpoint, sound, codes, top, say)
    seconds = sound.shape[-1] / model.sample_rate
    rows = []
    for direction, contenders in (("encode", encoders), ("decode", decoders)):
        report = partial(_progress, say, direction)
        first = _first_round(contenders, report) if sound.is_cuda else {}
        times, peaks = _interleaved(contenders, repetitions, report)
        rows += _rows(direction, times, peaks, seconds)
        rows += [Row(direction, name, "first_seconds", taken, "s") for name, taken in first.items()]
    if "package" in encoders:
        rows += _exactness(checkpoint, sound, top)
    if "package-float32" in encoders:
        with full_precision(sound.device):
            found = _exactness(checkpoint, sound, top)
        rows += [replace(row, metric=f"{row.metric}_float32") for row in found]
    minutes, threads, machine = seconds / 60, torch.get_num_threads(), described_hardware()
    device = GPU if sound.is_cuda else ""
    return [
        replace(row, direction=row.direction + device, minutes=minutes, threads=threads, hardware=machine)
        for row in rows
    ]


def _contenders(
    checkpoint: Checkpoint, sound: Tensor, codes: Tensor, top: float, say: Callable[[str], None]
) -> tuple[dict[str, Work], dict[str, Work]]:
    """Return what is timed, by name: encoders and decoders."""
    model = checkpoint.model
    codec = EncodecCodes(checkpoint, top)
    latents = codec.codes_to_latents(codes)
    pieces = sound.split(trs_to_samples(1, model.sample_rate, TR), dim=-1)
    loop_codes = [_encode_at(model, piece, top) for piece in pieces]
    encoders: dict[str, Work] = {
        "ours": partial(codec.analyse, sound),
        "network": partial(encode_in_pieces, model.encoder, sound),
        "bound": _bound(StreamingEncoder(model.encoder), sound[0, 0], codes.shape[-1]),
        "loop": lambda: [_encode_at(model, piece, top) for piece in pieces],
        "loop-all": lambda: [
            _encode_at(model, piece, rate) for rate in model.target_bandwidths for piece in pieces
        ],
    }
    decoders: dict[str, Work] = {
        "ours": partial(codec.synthesise, codes, sound.shape[-1]),
        "network": partial(decode_in_pieces, model.decoder, latents),
        "bound": _bound(StreamingDecoder(model.decoder), latents[0].t(), codes.shape[-1]),
        "loop": lambda: [model.decode([(piece, None)]) for piece in loop_codes],
        **{
            name: partial(EncodecCodes(checkpoint, top, decoder).synthesise, codes, sound.shape[-1])
            for name, decoder in random_decoders(checkpoint).items()
        },
    }
    if sound.is_cuda:
        _add_launched(encoders, decoders, model, sound[0, 0], latents[0].t())
    needed = WHOLE_BYTES * model.encoder.n_filters * sound.shape[-1]
    if needed > _free(sound.device):
        say(f"package, hugging-face: left out, whole sound takes {needed / 1e9:.0f} GB: use --minutes")
        return encoders, decoders
    encoders["package"] = lambda: _encode_at(model, sound, top)
    decoders["package"] = lambda: model.decode([(codes, None)])
    if sound.is_cuda:
        _add_float32(encoders, decoders, sound.device)
    if importlib.util.find_spec("transformers") is None:
        say("hugging-face: left out, transformers is not installed (the extra `bench` has it)")
    else:
        other = hugging_face(model)
        found = other.encode(sound, bandwidth=top).audio_codes
        say(f"hugging-face: {float((found[0] != codes).float().mean()):.2%} of its codes differ from ours")
        encoders["hugging-face"] = lambda: other.encode(sound, bandwidth=top)
        decoders["hugging-face"] = lambda: other.decode(codes[None], [None])
    return encoders, decoders


def _add_launched(
    encoders: dict[str, Work], decoders: dict[str, Work], model: EncodecModel, sound: Tensor, latents: Tensor
) -> None:
    """Add the network without graphs, of a sound [T] and its latents [L, D]."""

    def launched(kind: type[StreamingEncoder | StreamingDecoder], network: Any, rows: Tensor) -> list[Tensor]:
        stream, n_frames = kind(network), len(latents)
        unit = stream.frame_rows
        return [
            stream.push(rows[start * unit : stop * unit], stop == n_frames)
            for start, stop in stream.spans(n_frames, PIECE_FRAMES)
        ]

    encoders["launched"] = partial(launched, StreamingEncoder, model.encoder, sound)
    decoders["launched"] = partial(launched, StreamingDecoder, model.decoder, latents)


def _add_float32(encoders: dict[str, Work], decoders: dict[str, Work], device: torch.device) -> None:
    """Add the package without TF32."""

    def precise(work: Work) -> object:
        with full_precision(device):
            return work()

    for contenders in (encoders, decoders):
        contenders["package-float32"] = partial(precise, contenders["package"])


def _encode_at(model: EncodecModel, sound: Tensor, bandwidth: float) -> Tensor:
    """Return the package's codes."""
    model.set_target_bandwidth(bandwidth)
    return model.encode(sound)[0][0]


def _bound(stream: StreamingEncoder | StreamingDecoder, source: Tensor, n_frames: int) -> Work:
    """Return the products and the LSTM that ``n_frames`` take, alone: those of one piece, as often as it fits.

    Rows of one shape are one buffer, because in the stream, too, they lie in the cache that the last ones left.
    On a GPU a piece is a recorded graph, as the stream's is.
    """
    step = stream.frame_rows
    frames = min(PIECE_FRAMES, n_frames)
    whole, rest = divmod(n_frames, frames)
    calls: list[Work] = []
    buffers: dict[tuple[int, ...], Tensor] = {}

    def recorded(arithmetic: Callable[..., Tensor], *given: Tensor) -> Tensor:
        ready = (buffers.setdefault(tuple(one.shape), torch.randn_like(one)) for one in given)
        calls.append(partial(arithmetic, *ready))
        return arithmetic(*given)

    for layer in stream.with_arithmetic():
        layer.arithmetic = partial(recorded, layer.arithmetic)  # type: ignore[method-assign]
    stream.push(source[: frames * step].contiguous())
    piece: Work = partial(_one_after_the_other, calls.copy())
    record = recorder_of(stream.device)
    if record is not None:
        piece = _as_graph(record, calls.copy(), stream.device)
    calls.clear()
    if rest:
        stream.push(source[: rest * step].contiguous())
    return partial(_one_after_the_other, [*[piece] * whole, *calls])


def _one_after_the_other(calls: Sequence[Work]) -> None:
    for call in calls:
        call()


def _as_graph(record: Record, calls: Sequence[Work], device: torch.device) -> Work:
    """Return calls that have been made once as one that replays them."""

    def work(rows: Tensor) -> Tensor:
        _one_after_the_other(calls)
        return rows

    with full_precision(device):
        return partial(record(work, torch.zeros(1, device=device)), torch.zeros(1, device=device))


def hugging_face(model: EncodecModel) -> Any:
    """Return Hugging Face's EnCodec with the weights of the package's 24 kHz topology."""
    import transformers

    config = transformers.EncodecConfig(
        num_filters=model.encoder.n_filters, target_bandwidths=list(model.target_bandwidths)
    )
    other = transformers.EncodecModel(config).eval()
    names = {
        ".model.": ".layers.",
        ".conv.conv.": ".conv.",
        ".convtr.convtr.": ".conv.",
        "quantizer.vq.": "quantizer.",
        "._codebook.": ".codebook.",
        "weight_g": "parametrizations.weight.original0",
        "weight_v": "parametrizations.weight.original1",
    }
    state = {}
    for name, value in model.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        state[name] = value
    other.load_state_dict(state)
    return other.to(next(model.parameters()).device)


def _first_round(contenders: dict[str, Work], say: Callable[[str, float], None]) -> dict[str, float]:
    """Have all work twice, and return the seconds of the first time, by contender."""
    first, _ = _interleaved(contenders, 1, say)
    _interleaved(contenders, 1, say)
    return {name: taken[0] for name, taken in first.items()}


def _interleaved(
    contenders: dict[str, Work], repetitions: int, say: Callable[[str, float], None]
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the seconds of every repetition and the highest peak in megabytes, by contender."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    peaks = dict.fromkeys(contenders, 0.0)
    for _ in range(repetitions):
        for name, work in contenders.items():
            synchronise()
            with peak() as megabytes:
                begin = time.perf_counter()
                work()
                synchronise()
                times[name].append(time.perf_counter() - begin)
            peaks[name] = max(peaks[name], *megabytes)
            say(name, times[name][-1])
    return times, peaks


def _free(device: torch.device) -> int:
    """Return the bytes of memory that are free where the model is."""
    return torch.cuda.mem_get_info()[0] if device.type == "cuda" else int(psutil.virtual_memory().available)


def _progress(say: Callable[[str], None], direction: str, name: str, seconds: float) -> None:
    say(f"{direction} {name}: {seconds:.2f} s")


def _rows(
    direction: str, times: dict[str, list[float]], peaks: dict[str, float], seconds: float
) -> list[Row]:
    """Return the figures of one direction. Ratios are medians of the repetitions' own ratios."""
    rows = []
    for name, taken in times.items():
        against = times["bound" if name == "network" else "ours"]
        ratios = [mine / theirs for mine, theirs in zip(taken, against, strict=True)]
        rows += [
            summary(direction, name, "seconds", taken, "s"),
            summary(direction, name, "realtime_factor", [seconds / value for value in taken], "1"),
            summary(direction, name, "times_bound" if name == "network" else "times_ours", ratios, "1"),
            Row(direction, name, "peak_megabytes", peaks[name], "MB", n=len(taken)),
        ]
    return rows


def _exactness(checkpoint: Checkpoint, sound: Tensor, top: float) -> list[Row]:
    """Compare the stream with the package on the whole sound."""
    codec = EncodecCodes(checkpoint, top)
    codes = _encode_at(checkpoint.model, sound, top)
    differing = (codec.analyse(sound) != codes).float()
    expected = checkpoint.model.decode([(codes, None)])[..., : sound.shape[-1]]
    worst = float((codec.synthesise(codes, sound.shape[-1]) - expected).abs().max())
    first = float(differing[:, :FIRST_CODEBOOKS].mean())
    return [
        Row("encode", "ours", f"codes_differing_first_{FIRST_CODEBOOKS}", first, "share"),
        Row("encode", "ours", "codes_differing_all", float(differing.mean()), "share"),
        Row("decode", "ours", "largest_difference", worst, "1"),
    ]


def measure_codec(minutes: float | None, repetitions: int, say: Callable[[str], None]) -> list[Row]:
    """Time the codec on the embedded play, or on its first minutes."""
    waveform = torch.from_numpy(play_waveform(TR))
    checkpoint = random_codec()
    if minutes is not None:
        waveform = waveform[: round(minutes * 60 * checkpoint.model.sample_rate)]
    checkpoint.model.to("cuda" if torch.cuda.is_available() else "cpu")
    return measure(checkpoint, waveform, repetitions, say)
