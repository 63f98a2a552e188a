"""Functions that count what claims are about: each on its own, against a count made otherwise."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch

from fmri_audio.base import results
from fmri_audio.bottleneck import training
from fmri_audio.claims.functions.alternatives import count_waveglow
from fmri_audio.claims.functions.note import NOTE_KBPS, full_width
from fmri_audio.claims.functions.registry import REGISTRY

NOTHING = SimpleNamespace(metrics=pd.DataFrame(columns=list(results.COLUMNS)), training={})


def counted(name: str, **arguments: str) -> dict[str, Any]:
    """Return what a function finds, by label."""
    return {case.label: case.value for case in REGISTRY[name](NOTHING, **arguments)}


NUMBERS: dict[str, list[float]] = {
    # The 24 kHz model of the encodec package, counted once by hand.
    "encoder_parameters": [7.425792],
    "decoder_parameters": [7.426018],
    "parameters": [14.85181],
    "weights_megabytes": [4 * (7_425_792 + 7_426_018 + 32 * 1024 * 128) / 1e6],
    "recurrent_layers": [2, 2],
    "least_compression": [24_000 * 16 / 24_000, 48_000 * 2 * 16 / 24_000],
    "most_compression": [24_000 * 16 / 1_500, 48_000 * 2 * 16 / 3_000],
    "samples_per_tr": [36_000],
    "mel_values": [128 * 100],
    "mel_kilobytes": [51.2],
    "mel_megabytes": [47.104],
    "codebooks": [8],
    "code_values": [8 * 113, 8 * 112.5],
    "code_kilobytes": [7.2, 3.6, 1.8, 1.125],
    "code_megabytes": [6.624, 3.312, 1.656, 1.035],
    "codes_per_mel": [7.2 / 51.2, 3.6 / 51.2, 1.8 / 51.2, 1.125 / 51.2],
    "codes_per_samples": [0.1, 0.05, 0.025, 0.015625],
    "sets_bandwidth": [6],
    "loop_seconds": [920 * (113 / 75 - 1.5)],
    "slice_drift": [920 * 0.5 / 75],
    "film_trs": [920, 946, 1976],
    "complex_parameter_ratio": [2],
    "complex_values_ratio": [1026 / 128, 1026 * 100 / (128 * 112.5)],
    "wav2vec_parameters": [94.370944],
    "waveglow_parameters": [87.879272, 268.29476],
    "wav2vec_per_waveglow": [94.370944 / 87.879272, 94.370944 / 268.29476],
    "encodec_share": [14.85181 / 94.370944, 14.85181 / 87.879272, 14.85181 / 268.29476],
}

TEXTS: dict[str, list[str]] = {
    "released_models": ["24kHz mono, 48kHz stereo"],
    "loads_pretrained": ["yes"],
    "quantiser": ["ResidualVectorQuantizer"],
    "decodes_in_one_pass": ["yes"],
    "bandwidth_range": ["1.5-24", "3-24"],
    "lone_code_shape": ["[8, 113]"],
    "like_a_mel": ["no", "no", "no"],
    "encode_returns": ["list of tuples"],
    "decode_takes_encode": ["sound"],
    "decode_takes_array": ["AssertionError"],
    "wav2vec_is_released": ["yes"],
    "has_decoder": ["EnCodec"],
}

BY_THEMSELVES = {
    "licences",
    "is_installed",
    "is_from",
    "lone_code_agreement",
    "stft_roundtrip_snr",
    "bibliography_year",
    "preprint_year",
    "tells_sound_from_floor",
    "tells_words_from_none",
    "ladder",
    "arms_converged",
    "mel_arm_converged",
    "complex_arm_converged",
}
"""Functions with a test of their own below."""


def test_no_function_is_without_a_test() -> None:
    assert set(REGISTRY) == set(NUMBERS) | set(TEXTS) | BY_THEMSELVES


@pytest.mark.parametrize("name", NUMBERS)
def test_counts(name: str) -> None:
    assert list(counted(name).values()) == pytest.approx(NUMBERS[name])


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_tried(name: str) -> None:
    assert list(counted(name).values()) == TEXTS[name]


def test_basis_is_named_and_weights_only_where_there_are_some() -> None:
    [case] = REGISTRY["parameters"](NOTHING)
    assert case.basis == "counted: parameters" and case.weights == () and case.brains == ""
    assert all(case.weights[0].startswith("demo-") for case in REGISTRY["lone_code_agreement"](NOTHING))


def test_waveglow_is_counted_as_layers_would_be() -> None:
    """A WaveNet of the flow with most channels, built from torch's own layers, counts the same."""

    def layers(channels: int, half: int) -> int:
        conv, norm = torch.nn.Conv1d, torch.nn.utils.parametrizations.weight_norm
        inner = [
            norm(conv(half, channels, 1)),
            conv(channels, 2 * half, 1),
            norm(conv(640, 2 * channels * 8, 1)),
        ]
        for layer in range(8):
            inner.append(norm(conv(channels, 2 * channels, 3)))
            inner.append(norm(conv(channels, channels * (1 if layer == 7 else 2), 1)))
        return sum(p.numel() for module in inner for p in module.parameters())

    widths = [8] * 4 + [6] * 4 + [4] * 4
    by_hand = sum(layers(32, width // 2) + width**2 for width in widths) + 80 * 80 * 1024 + 80
    assert count_waveglow(32) == by_hand


def test_licences_are_those_of_package_code_and_weights() -> None:
    found = counted("licences")
    assert found["code in the repository"] == "MIT"
    assert "NonCommercial" in found["package encodec 0.1.1"]
    assert "without a licence" in found["weights"]


def test_packages_are_looked_up_under_their_names() -> None:
    assert list(counted("is_installed", package="encodec").values()) == ["yes"]
    assert list(counted("is_installed", package="encodec-of-another-name").values()) == ["no"]
    assert list(
        counted("is_from", package="complextorch", repository="josiahwsmith10/complextorch").values()
    ) == ["yes"]
    assert list(counted("is_from", package="complextorch", repository="someone/else").values()) == ["no"]


def test_trs_encoded_one_by_one_share_most_codes_with_the_whole_but_not_all() -> None:
    found = counted("lone_code_agreement")
    assert list(found) == ["first codebook", "all 8 codebooks"]
    assert all(0.5 < share < 1 for share in found.values())
    assert counted("lone_code_agreement") == found, "seeded"


def test_complex_stft_is_exact() -> None:
    [snr] = counted("stft_roundtrip_snr").values()
    assert snr > 120


def test_years_come_from_bibliography_and_identifier() -> None:
    assert list(counted("bibliography_year", entry="park2025").values()) == [2025]
    assert list(counted("preprint_year", identifier="2107.03312").values()) == [2021]
    with pytest.raises(LookupError, match="nobody2000"):
        counted("bibliography_year", entry="nobody2000")


def scored(**values: tuple[float, float]) -> SimpleNamespace:
    """Return tables that hold a mel's and a floor's score of some metrics."""
    common = {"segment": "speech", "arm": "roundtrip", "condition": "none"}
    rows = [
        {**common, "metric": name, "value": value, "control": control, "representation": representation}
        for name, pair in values.items()
        for value, control, representation in zip(pair, ("none", "noise"), ("mel", None), strict=True)
    ]
    return SimpleNamespace(metrics=pd.DataFrame(rows, columns=list(results.COLUMNS)), training={})


def test_a_metric_that_prefers_noise_is_told() -> None:
    tables = scored(
        snr_db=(-3.0, -2.0), stoi=(0.98, 0.35), mel_distance_db=(1.9, 31.0), pesq_wb=(float("nan"), 1.1)
    )
    found = {case.label: case.value for case in REGISTRY["tells_sound_from_floor"](tables)}
    assert found == {"SNR (dB)": "is below white noise", "STOI": "yes", "mel distance (dB)": "yes"}
    worse = scored(mel_distance_db=(40.0, 31.0), stoi=(0.3, 0.35))
    assert {case.value for case in REGISTRY["tells_sound_from_floor"](worse)} == {"is below white noise"}


def test_noise_with_the_envelope_of_speech_is_a_floor_too() -> None:
    tables = scored(stoi=(0.48, 0.35), estoi=(0.3, 0.0))
    modulated = {"segment": "speech", "arm": "roundtrip", "condition": "none", "control": "modulated-noise"}
    rows = pd.DataFrame(
        [{**modulated, "metric": "stoi", "value": 0.5}, {**modulated, "metric": "estoi", "value": -0.03}]
    )
    tables.metrics = pd.concat([tables.metrics, rows], ignore_index=True)
    found = {case.label: case.value for case in REGISTRY["tells_sound_from_floor"](tables)}
    assert found == {"STOI": "is below speech-shaped noise with its envelope", "ESTOI": "yes"}


def test_a_metric_without_a_score_for_a_floor_is_told_and_so_is_one_that_prefers_what_no_brain_made() -> None:
    tables = scored(stoi=(0.98, float("nan")), pesq_wb=(3.4, 1.1), snr_db=(-3.0, -4.0))
    made = {"segment": "speech", "arm": "frozen", "fold": "held-out", "control": "random-sound"}
    several = [{**made, "metric": "snr_db", "value": -0.5}, {**made, "metric": "pesq_wb", "value": 1.4}]
    tables.metrics = pd.concat([tables.metrics, pd.DataFrame(several)], ignore_index=True)
    found = {case.label: case.value for case in REGISTRY["tells_sound_from_floor"](tables)}
    told = {
        "SNR (dB)": "is below sound made without a brain",
        "PESQ-WB": "yes",
        "STOI": "cannot be compared with white noise",
    }
    assert found == told


def test_convergence_is_what_the_chapter_on_matching_says() -> None:
    said = {
        "frozen_verdict": "converged",
        "frozen_unfinished": 0,
        "finetuned_unfinished": 1,
        "finetuned_verdict": "not converged: the loss was still falling",
    }
    found = [case.value for case in REGISTRY["arms_converged"](SimpleNamespace(training=said))]
    assert found == ["yes", "not converged: the loss was still falling"]
    assert "does not say" in str(REGISTRY["arms_converged"](NOTHING)[0].value)
    at_start = training.Convergence(True, 0.0, False).verdict
    said = {
        "mel_verdict": at_start,
        "mel_unfinished": 0,
        "complex-stft_verdict": "not converged: it fell",
        "complex-stft_unfinished": 1,
    }
    others = [
        REGISTRY[f"{name}_arm_converged"](SimpleNamespace(training=said))[0].value
        for name in ("mel", "complex")
    ]
    assert others == ["yes", "not converged: it fell"]


def test_the_note_counts_with_what_the_package_has() -> None:
    assert full_width().bandwidth == NOTE_KBPS
    assert not full_width().training
