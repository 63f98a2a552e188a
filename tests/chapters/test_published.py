"""The figures of others."""

from __future__ import annotations

from fmri_audio.base.settings import project_root
from fmri_audio.chapters.published import GATES, REFERENCE, published


def test_figures_name_works_of_the_bibliography() -> None:
    works = (project_root() / "references.bib").read_text(encoding="utf-8")
    assert all(f"{{{key}," in works for key in published()["citation"].unique())


def test_one_source_has_a_figure_for_every_gate() -> None:
    figures = published()
    assert set(GATES) <= set(figures.loc[figures["source"] == REFERENCE, "metric"])
