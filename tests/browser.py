"""A headless browser for tests of pages: skips where there is none.

with page(file, width=390, scheme="dark", js=False) as opened:
    assert findings(opened) == [] and opened.errors == [] and opened.requests == []
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import pytest

#: the browser's program, or None
CHROMIUM = next((path for path in map(which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
WIDTHS, SCHEMES = (1400, 390), ("light", "dark")


@contextmanager
def browser() -> Iterator:
    """A running browser; the test is skipped without one."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(started, where: Path | str, *, width=1400, height=900, scheme="light", js=True, touch=False) -> Iterator:
    """A page of a running browser. It has ``errors`` (of its console and its script) and ``requests`` (all that it
    asked for besides itself)."""
    url = where if isinstance(where, str) else where.resolve().as_uri()
    context = started.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=js, has_touch=touch
    )
    try:
        new = context.new_page()
        new.errors, new.requests = [], []
        new.on("console", lambda m: new.errors.append(m.text) if m.type in ("error", "warning") else None)
        new.on("pageerror", lambda error: new.errors.append(str(error)))
        new.on("request", lambda r: None if r.url == url or r.url.startswith("data:") else new.requests.append(r.url))
        new.goto(url)
        yield new
    finally:
        context.close()


@contextmanager
def page(where: Path | str, **options) -> Iterator:
    """A page of a browser of its own, see ``opened``."""
    with browser() as started, opened(started, where, **options) as new:
        yield new


def findings(of, impacts=None) -> list[str]:
    """What axe finds (of these impacts, default of any): rule and place. Needs scripts. Headings of tables that are
    formulas count as headings, which axe does not see."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(of).response["violations"]
    return [
        f"{v['id']} ({v['impact']}): {node['target']} {node['failureSummary']}"
        for v in found if impacts is None or v["impact"] in impacts for node in v["nodes"]
        if not (v["id"] == "empty-table-header" and "<math" in node["html"])
    ]  # fmt: skip


#: figures with the least size of their letters in pixels, of those that are seen
LETTERS = """() => [...document.querySelectorAll("figure.picture svg.figure")]
    .filter((svg) => svg.getBoundingClientRect().width)
    .map((svg) => [svg.closest("figure").id, Math.min(...[...svg.querySelectorAll("text, tspan")]
        .filter((t) => [...t.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
        .map((t) => parseFloat(getComputedStyle(t).fontSize) * Math.hypot(t.getScreenCTM().a, t.getScreenCTM().b)))])"""


def small_letters(of, least=9.0) -> dict[str, float]:
    """Figures with letters of less than so many pixels, and how many they have."""
    return {name: round(px, 2) for name, px in of.evaluate(LETTERS) if px < least}


def overflow(of) -> int:
    """Pixels by which the page is wider than the window (by its layout: works without scripts of the page's own)."""
    return of.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def shot(of, name: str) -> None:
    """The whole page as a picture in the folder EGAN_SHOTS, if that variable is set: to be looked at."""
    if folder := os.environ.get("EGAN_SHOTS"):
        of.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)
