"""Chapter 2: what the tables and sentences say of scores."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from fmri_audio.base.settings import WindowSettings
from fmri_audio.chapters import problem
from fmri_audio.codec.checkpoints import Checkpoint
from fmri_audio.experiments.problem import CELLS, SWEPT
from tests.chapters.editions import toy_edition

SILENCE = np.zeros(24_000, np.float32)


def halves(phase: float, mel: float, stoi: float = 0.97) -> pd.DataFrame:
    """Means of the four cells, PESQ after each half is lost."""
    index = pd.MultiIndex.from_tuples(CELLS, names=["magnitude", "phase"])
    means = pd.DataFrame(0.0, index=index, columns=list(SWEPT))
    return means.assign(pesq_wb=[4.6, mel, phase, min(mel, phase)], stoi=[1.0, 0.99, 0.98, stoi])


@pytest.mark.parametrize(
    ("phase", "mel", "costlier", "cheaper"),
    [
        (3.0, 4.0, "Griffin-Lim's phase", "the mel bands"),
        (4.0, 3.0, "the mel bands", "Griffin-Lim's phase"),
        (5.0, 4.5, "Griffin-Lim's phase", "the mel bands"),
    ],
)
def test_the_half_that_changes_more_is_the_costlier(
    phase: float, mel: float, costlier: str, cheaper: str
) -> None:
    said = problem.halves_said(halves(phase, mel), "pesq_wb")
    assert (said["costlier"], said["cheaper"]) == (costlier, cheaper)
    assert said["oracle_griffin-lim_pesq_wb"] == phase and said["mel_true_pesq_wb"] == mel
    assert len(said) == len(CELLS) * len(SWEPT) + 2


def test_the_last_row_of_the_halves_is_the_pipeline() -> None:
    table = problem.halves_table(halves(3.0, 4.0))
    assert table["Put together from"].iloc[-1] == "mel magnitude, Griffin-Lim phase"
    assert table["pesq_wb"].to_list() == [4.6, 4.0, 3.0, 3.0]


@pytest.mark.parametrize(("kind", "metric"), [("speech", "pesq_wb"), ("music", "mel_distance_db")])
def test_where_nobody_speaks_the_mel_distance_decides(kind: str, metric: str) -> None:
    assert problem.deciding(toy_edition(SILENCE, kind)) == metric


def test_facts_are_of_fewer_windows_than_other_chapters_score() -> None:
    run = toy_edition(np.zeros(9 * 24_000, np.float32))
    run.settings.windows = WindowSettings(n_windows=4)
    facts = problem.facts(run)
    assert facts["n_windows"] == 1 and facts["kind"] == "speech" and facts["window_seconds"] == 8.5
    assert (facts["n_fft"], facts["n_iter"]) == (1024, 2)
    assert problem.over(run) == "means over 1 windows of speech"


def swept(stoi: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"Varied": ["a", "b", "c"], "pesq_wb": [1.0, 3.0, 2.0], "stoi": stoi})


def test_best_and_worst_setting_go_by_stoi_and_without_it_by_place() -> None:
    said = problem.extremes(swept([np.nan, 0.7, 0.9]))
    assert (said["best_setting"], said["best_pesq_wb"], said["best_stoi"]) == ("c", 2.0, 0.9)
    assert (said["worst_setting"], said["worst_pesq_wb"], said["worst_stoi"]) == ("b", 3.0, 0.7)
    said = problem.extremes(swept([np.nan] * 3))
    assert (said["best_setting"], said["worst_setting"]) == ("a", "c")


def test_a_hop_that_a_short_window_forces_is_named() -> None:
    common = {**dict.fromkeys(SWEPT, 1.0), "magnitude": "mel", "phase": "griffin-lim"}
    scores = pd.DataFrame(
        [
            {"axis": "n_fft", "value": 512, "hop_length": 256, **common},
            {"axis": "n_fft", "value": 1024, "hop_length": 360, **common},
            {"axis": "hop_length", "value": 180, "hop_length": 180, **common},
            {"axis": "n_iter", "value": 8, "hop_length": 360, **{**common, "phase": "true"}},
        ]
    )
    table = problem.swept(scores, toy_edition(SILENCE))
    assert table["Varied"].to_list() == ["window 512 (hop 256)", "window 1024", "hop 180"]
    assert list(table.columns) == ["Varied", *SWEPT]


def test_prices_fall_and_the_mel_is_dearer_than_the_codes(tiny_checkpoint: Checkpoint) -> None:
    run = toy_edition(SILENCE, checkpoint=tiny_checkpoint)
    table = problem.prices(run).set_index("Representation")
    assert table["bits per TR"].is_monotonic_decreasing
    assert table.loc["waveform, 16 bit", "bits per TR"] == 16 * 36_000
    assert table.loc["EnCodec codes, 6 kbps", "bits per TR"] == 9000
    said = problem.price_of_mel(run)
    assert said["mel_values"] == 12_800 and said["price_ratio"] == pytest.approx(409_600 / 9000)


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (0.1, "EnCodec with the weights demo-1"),
        (-0.1, "the mel spectrogram with Griffin-Lim"),
        (np.nan, "cannot be judged here"),
    ],
)
def test_the_better_at_equal_bits_is_named(gain: float, said: str) -> None:
    assert problem.winner(gain, "demo-1") == said


def squeezed(stoi: float) -> pd.DataFrame:
    rows = [
        (units, phase, stoi if units == 838 else 0.2)
        for units in (62, 838)
        for phase in ("griffin-lim", "true")
    ]
    frame = pd.DataFrame(rows, columns=["units", "phase", "stoi"]).assign(window="w", kind="speech")
    return frame.assign(**{metric: 1.0 for metric in SWEPT if metric != "stoi"})


@pytest.mark.parametrize(
    ("stoi", "carried", "size"),
    [
        (0.85, "is intelligible", "A linear code of a fraction of that size carries it too"),
        (0.5, "is not intelligible", "What goes wrong is upstream"),
        (np.nan, "cannot be judged here", "cannot be judged here"),
    ],
)
def test_what_a_linear_code_carries(stoi: float, carried: str, size: str) -> None:
    said = problem.squeezed_said(squeezed(stoi), halves(3.0, 4.0))
    assert (said["units"], said["fewest"], said["fewest_stoi"]) == (838, 62, 0.2)
    assert said["carried"] == carried and str(said["size_said"]).startswith(size)


def test_estoi_and_words_are_drawn_beside_stoi() -> None:
    def score(wrong: float) -> SimpleNamespace:
        return SimpleNamespace(beyond=SimpleNamespace(value=wrong, low=wrong - 0.1, high=wrong + 0.1))

    wrong = {"linear code of 62 numbers per TR": 0.6, "linear code of 838 numbers per TR": 0.1}
    words = SimpleNamespace(score=lambda name: score(wrong[name]), beyond=lambda name: 0.02)
    figure = problem.draw_squeezed(squeezed(0.8).assign(estoi=0.3), halves(3.0, 4.0), words)  # type: ignore[arg-type]
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["STOI", "ESTOI", "words wrong beyond the original's"]
    heights = [
        {float(y) for dots in axis.collections for _, y in dots.get_offsets()} for axis in figure.axes[:2]
    ]
    assert heights == [{0.2, 0.8}, {0.3}]
    lines = [list(line.get_ydata()) for line in figure.axes[2].get_lines()]
    assert [line[0] for line in lines if len(line) == 1] == [0.6, 0.1] and lines[-1] == [0.02, 0.02]
    plt.close(figure)


@pytest.mark.parametrize(("stoi", "said"), [(0.97, "does not survive"), (0.6, "survives")])
def test_the_diagnosis_survives_where_the_plain_mel_fails(stoi: float, said: str) -> None:
    assert problem.squeezed_said(squeezed(0.8), halves(3.0, 4.0, stoi))["diagnosis"] == said


def test_passages_are_named_after_what_was_done_to_them(
    speech: Callable[..., np.ndarray], tiny_checkpoint: Checkpoint
) -> None:
    sound = speech(2)
    run = toy_edition(sound, checkpoint=tiny_checkpoint, decoded=sound)
    clip = run.windows("speech")[0]
    assert list(problem.taken_apart(clip, run)) == [
        "mel magnitude, own phase",
        "own magnitude, Griffin-Lim phase",
        "mel magnitude, Griffin-Lim phase",
    ]
    assert list(problem.ends(clip, run)) == ["32 mel bands", "1 iterations"]
    equal = problem.played_at_equal_bits(clip, run)
    assert list(equal) == ["mel at 6 kbps", "EnCodec at 6 kbps"]
    assert {len(wave) for wave in equal.values()} == {len(clip.of(sound, 24_000))}
