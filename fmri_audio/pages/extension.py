"""A Sphinx extension that keeps the book's pages light and free of other sites.

Formulas become MathML while the book is built, so no page loads a formula renderer (MathJax alone weighs more than
a page may) and a screen reader can speak them. After the build the theme's icon script, which repeats what its icon
font already gives, is emptied, and the font is cut down to the icons that the pages use.

Tables of running text get what those of the notebooks have: a caption, which is the sentence before them that ends with
a colon, and headings of columns and rows that a screen reader can tell.

The pages of the package name arrays by what they hold.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from fontTools import subset
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.writers.html5 import HTML5Translator

from fmri_audio.base.files import write_text

ICON_SCRIPT = "_static/scripts/fontawesome.js"
STYLE_FOLDER = "_static/styles"
ICON_FONTS = "_static/vendor/fontawesome/webfonts"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the formula renderer and the slimming step with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline_formula, None), (visit_block_formula, None))
    app.connect("doctree-read", head_tables)
    app.add_node(nodes.entry, override=True, html=(visit_entry, HTML5Translator.depart_entry))
    app.connect("build-finished", slim_build)
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", shorten_arrays)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def shorten_arrays(
    app: Sphinx, what: str, name: str, of: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write ``ndarray[float32]`` for what NumPy's types are in full, which is ``ndarray[tuple[Any, ...], …]``."""
    whole = re.compile(r"ndarray\[tuple\[.+?\], [\w.~]*dtype\[(.+?)\]\]")
    short = [text and whole.sub(r"ndarray[\1]", text) for text in (signature, returned)]
    return short[0], short[1]


def head_tables(app: Sphinx, doctree: nodes.document) -> None:
    """Make a table's first column its rows' headings, and a sentence before it that ends with a colon its caption."""
    for table in list(doctree.findall(nodes.table)):
        before = table.parent[at - 1] if (at := table.parent.index(table)) else None
        if isinstance(before, nodes.paragraph) and before.astext().endswith(":"):
            before.parent.remove(before)
            # Not a title, which Sphinx would number among the figures.
            caption = f"<caption>{html.escape(before.astext().removesuffix(':'))}</caption>"
            table.insert(0, nodes.raw("", caption, format="html"))
        next(iter(table.findall(nodes.colspec)))["stub"] = 1


def visit_entry(writer: HTML5Translator, node: nodes.entry) -> None:
    """Write a table's cell, and of a heading whether it is a column's or a row's."""
    begin = len(writer.body)
    HTML5Translator.visit_entry(writer, node)
    scope = "col" if isinstance(node.parent.parent, nodes.thead) else "row"
    writer.body[begin] = writer.body[begin].replace("<th", f'<th scope="{scope}"', 1)


def visit_inline_formula(writer: HTML5Translator, node: nodes.math) -> None:
    """Write a formula inside a sentence."""
    writer.body.append(
        f'<span class="math notranslate nohighlight">{mathml(node.astext(), block=False)}</span>'
    )
    raise nodes.SkipNode


def visit_block_formula(writer: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on a line of its own, with its number if it has one."""
    number = f'<span class="eqno">({node["number"]})</span>' if node.get("number") else ""
    anchor = f' id="{node["ids"][0]}"' if node.get("ids") else ""
    formula = mathml(node.astext(), block=True)
    writer.body.append(f'<div class="math notranslate nohighlight"{anchor}>{number}{formula}</div>\n')
    raise nodes.SkipNode


def mathml(formula: str, *, block: bool) -> str:
    """Return a LaTeX formula as MathML.

    Raises
    ------
    SphinxError
        The formula uses something docutils cannot convert; the message quotes it.
    """
    try:
        return str(tex2mathml(formula, as_block=block))
    except (SyntaxError, ValueError) as error:
        raise SphinxError(f"the formula {formula!r} cannot be written as MathML: {error}") from error


def slim_build(app: Sphinx, exception: Exception | None) -> None:
    """Empty the icon script and cut the icon fonts, once the pages are written."""
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    if not (out / ICON_SCRIPT).is_file():
        return
    styles = "\n".join(
        sheet.read_text(encoding="utf-8") for sheet in sorted((out / STYLE_FOLDER).glob("*.css"))
    )
    wanted = icon_codes((page.read_text(encoding="utf-8") for page in out.rglob("*.html")), styles)
    for font in sorted((out / ICON_FONTS).glob("*.ttf")):
        font.with_suffix(".woff2").write_bytes(cut_font(font, wanted))
        font.unlink()
    write_text(out / ICON_SCRIPT, "// Icons come from the icon font.\n")


def icon_codes(pages: Iterable[str], styles: str) -> set[int]:
    """Return the code points of the icons that pages name (``fa-…``) or that style sheets draw themselves."""
    names = {name for page in pages for name in re.findall(r"\bfa-([a-z0-9-]+)", page)}
    codes = {ord(character) for character in re.findall("[\ue000-\uf8ff]", styles)}
    for selectors, code in re.findall(r'([^{}]*)\{content:"\\([0-9a-f]{3,5})"\}', styles):
        icons = set(re.findall(r"\.fa-([a-z0-9-]+)", selectors))
        if not icons or icons & names:
            codes.add(int(code, 16))
    return codes


def cut_font(path: Path, codes: set[int]) -> bytes:
    """Return a font with only the given characters, as WOFF (browsers go by content, not by the file's name)."""
    font = TTFont(path)
    cutter = subset.Subsetter(subset.Options(hinting=False, notdef_outline=True))
    cutter.populate(unicodes=codes)
    cutter.subset(font)
    font.flavor = "woff"
    stream = io.BytesIO()
    font.save(stream)
    return stream.getvalue()
