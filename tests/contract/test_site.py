"""The documentation site: built without a warning, every public name and command in it, no link that leads nowhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import egan_theory as eg
from analyses.script import ROOT

from ..browser import browser, findings, opened, overflow, shot
from .test_public import FLAT, NAMESPACES

pytestmark = pytest.mark.slow

#: page, width, colours
LOOKED_AT = [
    ("index.html", 1400, "light"),
    ("index.html", 390, "dark"),
    ("gallery.html", 390, "light"),
    ("api/index.html", 1400, "light"),
    ("api/predictions.html", 1400, "dark"),
    ("api/tables.html", 390, "light"),
    ("guide/r1_strength.html", 390, "dark"),
    ("commands.html", 390, "light"),
    ("notebooks/best_r1.html", 1400, "light"),
    ("notebooks/collapse_on_the_ring.html", 390, "dark"),
    ("notebooks/your_own_logs.html", 1400, "dark"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site; where EGAN_SITE names one, that one: .ci/run has just built it."""
    if built := os.environ.get("EGAN_SITE"):
        assert (Path(built) / "index.html").is_file(), built
        return Path(built)
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("documentation") / "site"
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci/site.py"), "-o", str(folder)],
        cwd=tmp_path_factory.getbasetemp(), env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return folder


class Parsed(HTMLParser):
    """Ids, headings' ids, links and all addresses that a browser loads, of one page."""

    def __init__(self, file: Path):
        super().__init__()
        self.ids, self.headings, self.links, self.loaded = set(), [], [], []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids.update(filter(None, (values.get("id"), values.get("name") if tag == "a" else None)))
        if tag in ("h1", "h2", "h3", "h4") and values.get("id"):
            self.headings.append(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in ("img", "script", "iframe", "source") and "src" in values:
            self.loaded.append(values["src"])
        if tag == "link" and values.get("rel") not in ("prev", "next", "canonical"):
            self.loaded.append(values["href"])


@pytest.fixture(scope="module")
def pages(site):
    """Every page of the site, parsed, by its path."""
    return {file.relative_to(site).as_posix(): Parsed(file) for file in sorted(site.rglob("*.html"))}


def public_names():
    """All names that users reach from ``egan_theory``, as paths."""
    yield from FLAT
    for space in NAMESPACES:
        module = getattr(eg, space)
        listed = getattr(module, "__all__", None)
        own = [n for n, v in vars(module).items() if n[0] != "_" and getattr(v, "__module__", "") == module.__name__]
        yield from (f"{space}.{name}" for name in (own if listed is None else listed))


def test_every_public_name_is_on_one_page(pages):
    found = Counter(name for page in pages.values() for name in page.headings)
    names = list(public_names())
    assert len(names) > len(FLAT) + 50
    assert {name: found[f"egan_theory.{name}"] for name in names if found[f"egan_theory.{name}"] != 1} == {}


def test_every_name_that_is_documented_has_text(site, pages):
    """mkdocstrings leaves out what it cannot resolve: each name's part of its page has more than the heading."""
    short = []
    for page in sorted((site / "api").glob("*.html")):
        parts = re.split(r'<h2 id="(egan_theory\.[^"]+)"', page.read_text(encoding="utf-8"))
        for name, part in zip(parts[1::2], parts[2::2], strict=True):
            if len(re.sub(r"<[^>]+>|\s+", " ", part.partition("<h2")[0]).split()) < 8:
                short.append(name)
    assert short == []


def test_every_command_is_on_the_page_with_its_options(site, pages):
    import typer

    from egan_theory.cli.app import app

    text = (site / "commands.html").read_text(encoding="utf-8")
    program = typer.main.get_command(app)
    for name, command in program.commands.items():
        for path, one in {f"egan-{name}-{n}": c for n, c in getattr(command, "commands", {}).items()}.items() or [
            (f"egan-{name}", command)
        ]:
            assert path in pages["commands.html"].ids
            part = text.partition(f'<h2 id="{path}"')[2].partition("<h2")[0]
            assert [p.opts[-1] for p in one.params if p.opts[-1][0] == "-" and p.opts[-1] not in part] == []


def test_every_link_and_anchor_leads_somewhere(site, pages):
    wrong, seen = [], 0
    for name, page in pages.items():
        for link in {*page.links, *page.loaded}:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or name == "404.html":
                continue
            seen += 1
            to = (site / name).parent.joinpath(unquote(parts.path)).resolve() if parts.path else site / name
            to = to / "index.html" if to.is_dir() else to
            if not to.is_relative_to(site.resolve()) or not to.is_file():
                wrong.append((name, link))
            elif parts.fragment and to.suffix == ".html":
                other = pages[to.relative_to(site.resolve()).as_posix()]
                if unquote(parts.fragment) not in {*other.ids, "__search"}:
                    wrong.append((name, link))
    assert wrong == [] and seen > 1000


def test_equations_that_docstrings_cite_are_links(pages):
    cited = [link for name, page in pages.items() if name.startswith("api/") for link in page.links if "#eq-" in link]
    assert len(cited) > 10 and "eq-dispersion" in pages["theory.html"].ids


@pytest.mark.parametrize("name", ["best_r1", "collapse_on_the_ring", "your_own_logs"])
def test_notebooks_show_what_their_cells_show(chromium, served, name):
    """Figures with a text that says what is drawn against what, tables with rows, and no line of code that is cut."""
    with opened(chromium, f"{served}notebooks/{name}.html") as page:
        figures = page.locator(".output img").all()
        assert len(figures) >= 2
        for figure in figures:
            assert len(figure.get_attribute("alt")) > 40 and figure.evaluate("e => e.complete && e.naturalWidth") > 400
        assert page.locator(".output table").count() >= 3 and page.locator(".output tbody tr").count() > 8
        assert "OUTPUT-" not in page.inner_text("body")
        cut = page.evaluate("""() => [...document.querySelectorAll(".highlight code")]
            .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)""")
        assert cut == [] and page.errors == []


def test_pages_load_nothing_from_elsewhere(pages):
    assert [(n, a) for n, page in pages.items() for a in page.loaded if urlsplit(a).scheme not in ("", "data")] == []


@pytest.fixture(scope="module")
def served(site):
    """The address of a server of the site, on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


def test_every_page_in_a_browser_on_a_telephone(chromium, served, pages):
    """No error, nothing from elsewhere, nothing wider than the window."""
    with opened(chromium, served + "index.html", width=390) as page:
        for name in sorted(set(pages) - {"404.html"}):
            page.goto(served + name)
            assert overflow(page) <= 0, name
            assert page.errors == [] and [url for url in page.requests if not url.startswith(served)] == [], name


@pytest.mark.parametrize(("name", "width", "scheme"), LOOKED_AT)
def test_pages_are_accessible(chromium, served, name, width, scheme):
    """axe finds nothing serious."""
    with opened(chromium, served + name, width=width, scheme=scheme) as page:
        page.wait_for_function("typeof document$ !== 'undefined'")
        assert overflow(page) <= 0 and findings(page, ("serious", "critical")) == []
        shot(page, f"site-{name.replace('/', '-')}-{width}-{scheme}")


def test_the_colours_can_be_switched(chromium, served):
    with opened(chromium, served, scheme="light") as page:
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("[data-md-component=palette] label:visible").click()
        page.wait_for_function(f"getComputedStyle(document.body).backgroundColor !== {before!r}", timeout=5000)


@pytest.mark.parametrize("word", ["best_regularizer", "critical damping"])
@pytest.mark.parametrize("how", ["served", "file"])
def test_search_finds(chromium, site, served, how, word):
    where = f"{served}index.html" if how == "served" else site / "index.html"
    with opened(chromium, where) as page:
        page.wait_for_function("typeof document$ !== 'undefined'")
        page.locator("[data-md-component=search-query]").press_sequentially(word)
        page.locator(".md-search-result__item a").first.wait_for(timeout=20_000)
        found = page.locator(".md-search-result__item").all_inner_texts()
        assert any(word.split("_")[-1].split()[-1] in text.lower() for text in found) and page.errors == []
        if word == "best_regularizer":
            page.locator(".md-search-result__item a").first.click()
            page.wait_for_url("**/api/predictions.html*")
