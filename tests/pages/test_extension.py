"""The Sphinx extension: formulas as MathML, icons cut to what pages use."""

from __future__ import annotations

import io
import re
from pathlib import Path

import matplotlib
import pytest
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx
from sphinx.errors import SphinxError

from fmri_audio.pages import extension

STYLES = (
    r'.fa-bars:before,.fa-navicon:before{content:"\f0c9"}.fa-fish:before{content:"\f578"}'
    r'details summary::after{content:"\f107"}:root{--icon-bell:"' + "\uf0f3" + '"}'
)


def test_formula_becomes_mathml() -> None:
    inline = extension.mathml(r"\frac{a}{b}", block=False)
    assert inline.startswith("<math") and "<mfrac>" in inline
    assert 'display="block"' in extension.mathml(r"x^2", block=True)


def test_formula_that_cannot_be_written_is_named() -> None:
    with pytest.raises(SphinxError, match="nosuchcommand"):
        extension.mathml(r"\nosuchcommand{a}", block=False)


def test_icons_are_those_of_pages_and_of_the_style_sheet_itself() -> None:
    assert extension.icon_codes(['<i class="fa-solid fa-bars">'], STYLES) == {0xF0C9, 0xF107, 0xF0F3}
    assert 0xF578 in extension.icon_codes(['<i class="fa-solid fa-fish">'], STYLES)


def test_font_is_cut_to_the_characters_asked_for() -> None:
    whole = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    cut = extension.cut_font(whole, {ord("a"), ord("b")})
    assert set(TTFont(io.BytesIO(cut)).getBestCmap()) == {ord("a"), ord("b")}
    assert len(cut) < whole.stat().st_size / 50


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A one-page site built with the theme and the extension."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "conf.py").write_text(
        'extensions = ["fmri_audio.pages.extension"]\nhtml_theme = "sphinx_book_theme"\nhtml_math_renderer = "mathml"\n'
        "numfig = True\n"
    )
    (source / "index.rst").write_text(
        "Title\n=====\n\nInline :math:`x^2`.\n\n.. math:: \\sum_t x_t\n   :label: sum\n"
        "\nWho speaks, and where:\n\n==== =====\nwho  where\n==== =====\nAda  here\nBob  there\n==== =====\n"
        "\nNot a caption.\n\n==== =====\none  two\n==== =====\n1    2\n==== =====\n"
    )
    warnings = io.StringIO()
    app = Sphinx(
        str(source),
        str(source),
        str(tmp_path / "out"),
        str(tmp_path / "trees"),
        "html",
        status=None,
        warning=warnings,
    )
    app.build()
    assert "not assigned for table" not in warnings.getvalue()
    return tmp_path / "out"


def test_page_has_formulas_and_no_script_for_them(built: Path) -> None:
    page = (built / "index.html").read_text(encoding="utf-8")
    assert page.count("<math ") == 2 and "(1)" in page
    assert "mathjax" not in page.lower()


def test_table_of_running_text_has_a_caption_and_headings(built: Path) -> None:
    page = (built / "index.html").read_text(encoding="utf-8")
    first, second = re.findall("<table.*?</table>", page, re.DOTALL)
    assert re.sub("<[^>]+>", "", re.search("<caption>.*?</caption>", first, re.DOTALL)[0]).startswith(
        "Who speaks"
    )
    assert page.count("Who speaks") == 1
    assert [len(re.findall(f'<th scope="{of}"', first)) for of in ("col", "row")] == [2, 2]
    assert "<caption>" not in second and "<p>Not a caption.</p>" in page


def test_theme_is_slimmed(built: Path) -> None:
    assert (built / extension.ICON_SCRIPT).stat().st_size < 100
    font = built / extension.ICON_FONTS / "fa-solid-900.woff2"
    assert 0 < font.stat().st_size < 20_000
    assert 0xF0C9 in TTFont(font).getBestCmap(), "the menu's icon"


def test_arrays_are_named_by_what_they_hold() -> None:
    given = "(a: ~numpy.ndarray[tuple[~typing.Any, ...], ~numpy.dtype[~numpy.float32]], b: tuple[int, ...])"
    back = "tuple[ndarray[tuple[int, int], dtype[bool]], str]"
    shown = extension.shorten_arrays(None, "function", "f", None, None, given, back)
    assert shown == ("(a: ~numpy.ndarray[~numpy.float32], b: tuple[int, ...])", "tuple[ndarray[bool], str]")
    assert extension.shorten_arrays(None, "class", "C", None, None, "()", None) == ("()", None)
