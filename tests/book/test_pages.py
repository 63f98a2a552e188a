"""What a reader meets: pages that load whole, from this site alone, with sound that plays and can be told apart."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, Response

from tests.book.conftest import chapters

MAX_PAGE_BYTES = 1_000_000
MAX_IMAGE_BYTES = 80_000

pytestmark = pytest.mark.filterwarnings("ignore")


@dataclass
class Visit:
    """A page as a reader's browser loaded it, and everything that happened meanwhile."""

    page: Page
    errors: list[str] = field(default_factory=list)
    off_site: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    on_loading: tuple[Response, ...] = ()


@pytest.fixture(scope="session", params=chapters())
def visit(request: pytest.FixtureRequest, chromium: Browser, address: str) -> Iterator[Visit]:
    """One page, loaded to the end, once for all tests."""
    page = chromium.new_page()
    seen = Visit(page)

    def route(route, asked) -> None:
        if asked.url.startswith(address) or asked.url.startswith("data:"):
            route.continue_()
        else:
            seen.off_site.append(asked.url)
            route.abort()

    page.route("**/*", route)
    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("response", lambda answer: seen.answers.append(answer))
    page.on("requestfailed", lambda asked: seen.failed.append(asked.url))
    page.goto(f"{address}/{request.param}", wait_until="networkidle")
    seen.on_loading = tuple(seen.answers)
    yield seen
    page.close()


def test_loads_without_an_error_from_this_site_alone(visit: Visit) -> None:
    assert visit.off_site == []
    assert visit.errors == []
    assert [answer.url for answer in visit.answers if answer.status >= 400] == []


def test_weighs_less_than_a_megabyte_before_sound_and_images(visit: Visit) -> None:
    kinds = {"image", "media"}
    weights = {a.url: len(a.body()) for a in visit.on_loading if a.request.resource_type not in kinds}
    assert sum(weights.values()) <= MAX_PAGE_BYTES, sorted(weights.items(), key=lambda item: -item[1])[:5]


def test_asks_for_no_sound_before_play_is_pressed(visit: Visit) -> None:
    assert [a.url for a in visit.on_loading if a.request.resource_type == "media"] == []
    html = visit.page.request.get(visit.page.url).text()
    assert html.count("<audio ") == len(re.findall(r'<audio [^>]*preload="none"', html))


def test_is_in_english_and_has_one_title(visit: Visit) -> None:
    assert visit.page.evaluate("document.documentElement.lang") == "en"
    assert visit.page.locator("article h1").count() == 1


def test_every_image_says_what_it_shows_and_is_small(visit: Visit) -> None:
    images = visit.page.eval_on_selector_all("article img", "all => all.map(image => [image.src, image.alt])")
    for source, text in images:
        assert len(text) > 20, f"{source} has the alternative text {text!r}"
    for answer in visit.answers:
        if answer.request.resource_type == "image" and "/_images/" in answer.url:
            assert len(answer.body()) <= MAX_IMAGE_BYTES, answer.url


def test_every_figure_has_a_caption_that_stands_alone(visit: Visit) -> None:
    captions = visit.page.eval_on_selector_all("article figure:has(img)", "all => all.map(f => f.innerText)")
    images = visit.page.locator("article .cell_output img").count()
    assert len(captions) == images, "an image without a caption"
    for caption in captions:
        assert len(caption) > 80, caption


def test_no_table_is_without_caption_and_headings(visit: Visit) -> None:
    tables = visit.page.eval_on_selector_all(
        "article table",
        """all => all.map(table => [table.caption ? table.caption.innerText : "",
           table.querySelectorAll("thead th[scope=col]").length, table.querySelectorAll("tbody tr").length,
           table.querySelectorAll("tbody th[scope=row]").length])""",
    )
    for caption, columns, rows, headed in tables:
        assert len(caption) > 20
        assert columns > 1
        assert headed == rows > 0


def test_no_number_in_the_text_is_missing(visit: Visit) -> None:
    text = visit.page.inner_text("article")
    assert "Traceback" not in text
    assert not re.search(r"glue:|\{\w+\}`", text)


def test_players_are_labelled_captioned_and_have_a_transcript_line(visit: Visit) -> None:
    for group in visit.page.locator("figure.players").all():
        labels = group.locator("audio").evaluate_all("all => all.map(a => a.getAttribute('aria-label'))")
        names = group.locator(".player-name").all_inner_texts()
        assert len(labels) == len(names) == len(set(names)) >= 2
        assert len(set(labels)) == len(labels)
        for label, name in zip(labels, names, strict=True):
            assert label.startswith(name)
            assert "weights" in label
        assert group.locator("[download]").count() == len(names)
        assert "loudness" in group.locator("figcaption").inner_text()
        assert "weights" in group.locator("figcaption").inner_text().lower()
        assert len(group.locator(".transcript").inner_text()) > len("Transcript")


def test_every_sound_is_there_plays_and_differs_from_its_neighbours(visit: Visit, smoke_book: Path) -> None:
    for group in visit.page.locator("figure.players").all():
        sources = group.locator("audio").evaluate_all("all => all.map(player => player.src)")
        durations = group.locator("audio").evaluate_all(
            """all => Promise.all(all.map(player => new Promise((done, fail) => {
                 player.onloadedmetadata = () => done(player.duration);
                 player.onerror = () => fail(new Error("cannot play " + player.src));
                 player.preload = "metadata"; player.load(); })))"""
        )
        assert min(durations) > 0.5
        files = [smoke_book / unquote(urlparse(source).path).lstrip("/") for source in sources]
        for one, other in itertools.combinations(files, 2):
            assert _digest(one) != _digest(other), f"{one.name} and {other.name} are the same sound"


def test_a_player_plays(visit: Visit) -> None:
    players = visit.page.locator("audio")
    if players.count() == 0:
        pytest.skip("no sound on this page")
    heard = players.first.evaluate(
        """player => new Promise((done, fail) => {
             player.onerror = () => fail(new Error("cannot play"));
             player.ontimeupdate = () => {
               if (player.currentTime > 0.05) { player.pause(); done(player.currentTime); } };
             player.muted = true; player.play().catch(fail); })"""
    )
    assert heard > 0


def test_downloads_and_links_within_the_book_lead_somewhere(visit: Visit, address: str) -> None:
    links = visit.page.eval_on_selector_all("a[href]", "all => all.map(link => link.href)")
    inside = {link.split("#")[0] for link in links if link.startswith(address)}
    for link in sorted(inside):
        assert visit.page.request.head(link).status == 200, link


def test_sounds_of_a_group_are_equally_loud(visit: Visit, smoke_book: Path) -> None:
    from fmri_audio.sound.audio import loudness

    for group in visit.page.locator("figure.players").all():
        sources = group.locator("audio").evaluate_all("all => all.map(player => player.src)")
        levels = []
        for source in sources:
            wave, rate = soundfile.read(smoke_book / unquote(urlparse(source).path).lstrip("/"))
            levels.append(loudness(wave, rate))
        audible = [level for level in levels if np.isfinite(level)]
        assert max(audible) - min(audible) < 0.5, dict(zip(sources, levels, strict=True))


def _digest(path: Path) -> str:
    return hashlib.sha256(soundfile.read(path, dtype="int16")[0].tobytes()).hexdigest()
