"""Chapter 5: drift and sizes, what brains share, and the windows that train."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from fmri_audio.bottleneck.arms import ARM_LABELS, ARMS
from fmri_audio.bottleneck.arms.base import Material
from fmri_audio.bottleneck.layers import TRGrid
from fmri_audio.chapters import dataset
from fmri_audio.chapters.dataset import Shared
from fmri_audio.decoding.leakage import CodecMemory
from fmri_audio.study.splits import contiguous_split
from tests.materials import LAGS, N_TRS, N_UNITS, RANK, SHIFT

TR = Fraction(3, 2)


@pytest.fixture
def opened(material: Material) -> SimpleNamespace:
    """As much of a held-out block as the chapter reads, about the sound that tests of arms share."""
    runs = ((0, N_TRS),)
    settings = SimpleNamespace(
        arms=list(ARMS), lag_trs=list(LAGS), validation_fraction=0.2, window_trs=2, rank=RANK
    )
    codec = SimpleNamespace(
        bits_per_codebook=10,
        frame_rate=75,
        quantizer=SimpleNamespace(get_num_quantizers_for_bandwidth=lambda rate, kbps: 8 * kbps / 6),
    )
    mel = SimpleNamespace(n_mels=128, hop_length=360)
    stimulus = SimpleNamespace(name="noise", n_trs=N_TRS, runs=runs, tr=TR, sample_rate=24_000)
    run = SimpleNamespace(
        checkpoint=SimpleNamespace(id="tiny", model=codec),
        bandwidths=[1.5, 6.0],
        stimulus=stimulus,
        encoding=SimpleNamespace(codes=material.codes, latents=material.latents),
        settings=SimpleNamespace(main_bandwidth=6.0, seed=3, training=settings, mel=mel),
    )
    return SimpleNamespace(
        run=run,
        settings=settings,
        material=material,
        grid=TRGrid(TR, Fraction(75), len(material.latents)),
        stimulus=stimulus,
        study=SimpleNamespace(tr=TR, shift=SHIFT, name="toy", subjects=[1, 2], simulated=False),
        split=contiguous_split(runs, test_fraction=0.25, gap=10, lags=LAGS, shift=SHIFT, tr=TR),
        n_units=N_UNITS,
    )


def test_slices_drift_by_what_rounding_leaves_out() -> None:
    found = dataset.drift(Fraction(225, 2), Fraction(75), (150, 920)).set_index("slices")
    assert found["frames per TR"].tolist() == ["112", "113", "112.5"]
    assert found["drift after 150 TRs (s)"].tolist() == [-1.0, 1.0, 0.0]
    assert found.loc["rounded down", "drift after 920 TRs (s)"] == pytest.approx(-920 / 150)


def test_the_note_s_slices_run_ahead_of_the_scanner(opened: SimpleNamespace) -> None:
    said = dataset.drift_said(opened)
    assert (said["note_frames"], said["exact_frames"], said["touched"]) == (112, 112.5, 113)
    assert said["drift_note"] == pytest.approx(920 / 150)
    assert said["drift_trs"] == pytest.approx(920 / 150 / 1.5)


def test_cut_and_joined_nothing_is_lost(opened: SimpleNamespace) -> None:
    codes, latents, end = dataset.joined_again(opened)
    assert codes.endswith(": 0 differ") and latents.startswith("latents (128, 5400) → (128, 5400)")
    assert end == "TR 920 ends with frame 103500, the clock says 103500"
    first, second = dataset.first_frames(opened)[:2]
    assert first == "TR 0: frames 0 to 112, of which it owns 1 of the first and 1/2 of the last"
    assert second == "TR 1: frames 112 to 224, of which it owns 1/2 of the first and 1 of the last"
    rows = dataset.cut_codes(opened)
    assert len(rows) == dataset.SHOWN_TRS
    assert rows["first three codes"][1].split()[0] == rows["last three codes"][0].split()[-1]


def test_a_tr_is_weighed_in_the_note_s_ways_and_in_ours(opened: SimpleNamespace) -> None:
    table = dataset.weights_of_tr(opened).set_index("representation")
    assert table.loc["the note: codes, 8 × 112, 32 bits", "bytes per TR"] == 8 * 112 * 4
    assert table.loc["codes, 6 kbps, 10 bits", "values per TR"] == 8 * 112.5
    assert table.loc["codes, 6 kbps, 10 bits", "bytes per TR"] == 8 * 112.5 * 10 / 8
    assert table.loc["mel, 128 bands, 32 bits", "values per TR"] == 128 * 100
    assert set(dataset.WEIGHT_FORMATS) == set(table.columns)
    said = dataset.weights_said(opened)
    assert (said["note_code_bytes"], said["code_bytes"], said["latent_values"]) == (3584.0, 1125.0, 14400.0)


def shared() -> Shared:
    """Two voxels in the mask, one elsewhere; of one of them nothing is known."""
    values = np.array([0.2, np.nan, 0.1])
    return Shared(
        np.ones((3, 1, 1), bool),
        np.array([True, True, False]),
        values,
        2 * values,
        3 * values,
        np.array([[0.1, np.nan], [0.3, np.nan]]),
    )


def test_what_is_shared_is_told_apart_by_place(opened: SimpleNamespace) -> None:
    lines = dataset.shared_lines(shared())
    assert lines[0] == "3 voxels of grey matter, 2 of them in the mask, 2 subjects"
    assert lines[1] == "leave-one-out ISC     0.200 in the mask,  0.100 elsewhere"
    said = dataset.shared_said(opened, shared())
    assert (said["isc"], said["isc_elsewhere"], said["ceiling"]) == (0.2, 0.1, 0.4)
    assert said["attainable"] == "no truth is known for measured brains"


def test_the_truth_of_a_simulation_is_told(opened: SimpleNamespace, tmp_path: Path) -> None:
    np.savez(tmp_path / "truth.npz", attainable=np.array([0.4, 0.5]))
    opened.study.simulated, opened.study.folder = True, tmp_path
    assert (
        dataset.shared_said(opened, shared())["attainable"] == "0.450 is the truth the simulation was given"
    )


def test_the_table_has_a_row_per_subject_and_the_means(opened: SimpleNamespace) -> None:
    rows = [(one.metric, one.subject, one.value, one.n) for one in dataset.records(opened, shared())]
    assert rows == [
        ("leave_one_out_isc", "1", 0.1, 2),
        ("leave_one_out_isc", "2", 0.3, 2),
        ("noise_ceiling", None, 0.4, 2),
        ("level_correlation", None, pytest.approx(0.6), 2),
    ]


def test_memory_behind_the_gap_is_told(opened: SimpleNamespace) -> None:
    memory = CodecMemory(np.r_[0.5, np.zeros(9), 0.002], np.r_[0.25, np.zeros(9), 0.01])
    assert dataset.memory_lines(opened, memory) == [
        "first TR after the block: latents change by 0.5 of their size, 25.0 % of the codes change",
        "after the gap: latents by 0.002, 1.0 % of the codes",
    ]
    said = dataset.gap_said(opened, memory)
    assert (said["memory_latents"], said["memory_codes"], said["n_lags"]) == ("0.002", 1.0, 2)
    assert said["least_gap"] == said["n_lags"] + said["response_trs"]


def test_every_tr_is_held_out_once_and_drawn(opened: SimpleNamespace) -> None:
    opened.stimulus.n_trs, opened.stimulus.runs = 160, ((0, 160),)
    folds = dataset.folds_of(opened)
    held_out = np.concatenate([fold.test for fold in folds])
    assert len(folds) == 4 and len(set(held_out)) == len(held_out)
    figure = dataset.draw_splits(opened)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["bottleneck", "fold 1", "fold 2", "fold 3", "fold 4"]
    plt.close(figure)


def test_the_windows_shown_are_those_that_train(opened: SimpleNamespace) -> None:
    windows = dataset.training_windows(opened)
    assert list(windows.by_arm) == list(ARMS)
    assert [line.split()[0] for line in dataset.window_lines(windows)] == [
        "training",
        "validation",
        "held-out",
    ]
    for several in windows.by_arm.values():
        assert several.starts == windows.starts["training"], "the same for every arm"
        np.testing.assert_array_equal(several[0]["bold"], opened.material.bold[several.starts[0] :][:3])
    table = dataset.window_table(windows).set_index("arm")
    assert list(table.index) == list(ARM_LABELS.values())
    assert table.loc["codes", "features, window"] == "2 × 225"
    assert table.loc["frozen", "features, whole stimulus"] == "128 × 5400"
    assert table.loc["mel + Griffin-Lim", "features, window"] == "128 × 200"
    assert set(table["BOLD, window"]) == {f"3 × {N_UNITS}"} and set(table["sound, window"]) == {"1 × 72000"}


def test_many_windows_are_told_by_their_first_and_last() -> None:
    windows = dataset.TrainingWindows({"training": [2, 4, 6, 8, 10], "validation": [30, 32]}, {})
    assert dataset.window_lines(windows) == [
        "training   5 windows, which begin with TRs 2, 4, …, 10",
        "validation 2 windows, which begin with TRs 30, 32",
    ]
