"""Chapter 12: what the tables say is what is shown, and what is played has the course that it should."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from fmri_audio.base.errors import UserError
from fmri_audio.chapters import real_brains as chapter
from fmri_audio.experiments import real_brains
from programs.__main__ import main as program
from tests.study.forrest import forrest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of a small tree."""
    out = tmp_path_factory.mktemp("tables")
    (out / "p.yml").write_text("columns: 3\nfolds: 3\nfixed_on: ['01']\nlog10_alphas: [1, 4, 4]\n")
    tree = forrest(out / "tree")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real_brains, "DRAWS", 2)
        patch.setattr(real_brains, "DISTANCE_TRS", 6)
        words = ["real-brains", str(tree), "--pipeline", str(out / "p.yml"), "--out", str(out)]
        assert program([*words, "--excerpt", "2:20"]) == 0
    return out


@pytest.fixture(scope="module")
def real(folder: Path) -> chapter.Real:
    return chapter.gathered(folder)


def test_numbers_of_the_text_are_those_of_the_table(real: chapter.Real) -> None:
    said = chapter.correlations_said(real)
    table = chapter.correlations(real)
    assert len(table) == 2 * 3 * 2
    first = table.iloc[0]
    assert first["what"].startswith("sound level, one brain") and first["r"] == said["level_within"]
    assert all(np.isfinite(value) for value in said.values())  # type: ignore[arg-type]
    assert set(chapter.partials(real)["r given the other"]) >= {said["level_given"], said["words_given"]}
    assert chapter.facts(real)["held_back"] == 2 and chapter.facts(real)["fixed_on"] == 1


def test_every_p_stands_beside_the_shifts_it_rests_on(real: chapter.Real) -> None:
    said, table = chapter.correlations_said(real), chapter.tested(real)
    assert len(table) == 4 and not table.isna().any().any()
    first = table.iloc[0]
    assert (first["p"], first["independent shifts"]) == (said["level_p"], said["level_shifts"])


def test_growth_begins_with_one_and_ends_with_all(real: chapter.Real) -> None:
    said = chapter.growth_said(real)
    every = real.row("r", "level", "as it is", "averaged", group="everybody", n_subjects=3)
    assert said["level_of_all"] == every.value and said["level_half"] in (2, 3)
    assert said["level_all_runs"] == real.row("r", "level", "as it is", "within").value


def test_segments_and_bits_are_named_by_length(real: chapter.Real) -> None:
    shown = chapter.segments(real)
    assert next(iter(shown["what"])) == "sound level, segments of 6 s (too short)"
    said = chapter.segments_said(real)
    assert said["level_12_within"] == real.row("identified", "level", "12 s", "within").value
    assert " to " in str(said["words_bits_averaged_range"])


def test_figures_are_drawn(real: chapter.Real, folder: Path) -> None:
    for figure in (
        chapter.draw_bands(real),
        chapter.draw_growth(real),
        chapter.draw_excerpt(chapter.excerpt(folder)),
    ):
        assert all(axis.lines for axis in figure.axes)
        plt.close(figure)
    assert {"level_best_band", "words_fastest_sd"} <= set(chapter.bands_said(real))


def test_noise_takes_the_course_of_the_level(folder: Path) -> None:
    levels = chapter.excerpt(folder)
    speech = [np.random.default_rng(0).standard_normal(24_000).astype(np.float32) * 0.1]
    made = chapter.sounds(levels, speech, 24_000, seed=1)
    assert list(made) == list(chapter.PLAYED.values())
    for name, db in levels.items():
        wave = made[chapter.PLAYED[name]]
        assert len(wave) == 40 * 24_000 and np.isfinite(wave).all() and np.abs(wave).max() < 1
        power = 10 * np.log10((wave.reshape(40, -1) ** 2).mean(axis=1))
        course = 10 * np.log10((10 ** (db / 10)).reshape(40, -1).mean(axis=1))
        if np.ptp(course) > 1:
            assert np.corrcoef(power, course)[0, 1] > 0.9
        else:
            assert np.ptp(power) < 2
    assert np.array_equal(
        made[chapter.PLAYED["level"]], chapter.sounds(levels, speech, 24_000, seed=1)[chapter.PLAYED["level"]]
    )


def test_without_tables_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make real-brains"):
        chapter.gathered(tmp_path)
