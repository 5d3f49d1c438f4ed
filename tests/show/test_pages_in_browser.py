"""Every kind of page in a headless browser: wide and narrow, light and dark, with and without scripts.

Set EGAN_SHOTS to a folder to have a picture of each, to be looked at."""

import re
from functools import partial

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.games.spectrum import spectrum_of
from egan_theory.papers.solvable import SETTING_R
from egan_theory.papers.solvable.report import solvable_report
from egan_theory.show.theory import theory_page
from egan_theory.symbolic import derive
from tests.browser import SCHEMES, WIDTHS, browser, findings, opened, overflow, shot, small_letters
from tests.games.double import Quadratic, descent

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]
#: of a report in well under a minute
SMALL = {"target.modes": 4, "generator.particles": 8, "discriminator.features": 32, "run.steps": 200, "run.runs": 3}


def of_report(folder):
    return eg.report(eg.Experiment().replace(SMALL), folder / "report")


def of_game(folder):
    found = spectrum_of(descent(Quadratic(30), (0.8, 0.2), {"r1": 0.1}), 300, progress=False)
    return eg.game_page(found, folder / "game.html")


def of_monitor(folder):
    rng = np.random.default_rng(0)
    with eg.RunWriter(folder / "runs.nc", chunk=1, attrs={"monitor_version": "1"}) as writer:
        for step in range(0, 60, 10):
            writer.log(step, rng.normal(size=(3, 2)), loss_discriminator=1.0 / (1 + step), loss_generator=-0.5,
                       multiplier_re=[0.99, 0.9 + step / 200], multiplier_im=[0.1, 0.0], strength_r1=0.5)  # fmt: skip
    return eg.monitor_page(folder / "runs.nc", folder / "monitor.html")


def of_solvable(folder):
    return solvable_report(SETTING_R.replace({"time": 20.0, "n": 200, "runs": 3, "record": 41}), folder / "solvable")


def of_theory(folder):
    file = folder / "theory.html"
    file.write_text(theory_page(derive()), encoding="utf-8")
    return file


KINDS = {"report": of_report, "game": of_game, "monitor": of_monitor, "solvable": of_solvable}
#: those and one without figures
ALL = KINDS | {"theory": of_theory}


@pytest.fixture(scope="module")
def started():
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The file of each kind, made when it is first asked for."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def page(kind):
        if kind not in made:
            made[kind] = ALL[kind](folder)
        return made[kind]

    return page


@pytest.mark.parametrize("kind", ALL)
def test_pages_are_sound(started, pages, kind):
    file = pages(kind)
    assert file.stat().st_size < 2e6
    for width in WIDTHS:
        for scheme in SCHEMES:
            for js in (True, False):
                with opened(started, file, width=width, scheme=scheme, js=js) as page:
                    at = f"{kind}-{width}-{scheme}-{'js' if js else 'plain'}"
                    shot(page, at)
                    assert page.errors == [] and page.requests == [], at
                    # where the page's own scripts are off, those of the test still run
                    assert overflow(page) <= 0, at
                    assert (page.locator("figure.picture svg:visible").count() > 0) == (kind in KINDS)
                    assert small_letters(page) == {}, at
                    assert page.locator("#scheme").is_visible() == js
                    assert page.locator(".slider").first.is_visible() == js if kind == "report" else True
                    if js:
                        assert findings(page) == [], at


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_texts_stay_within_figures_and_apart_from_each_other(started, pages, kind, width):
    """Labels in a browser's own fonts, which are not those that Matplotlib measured."""
    with opened(started, pages(kind), width=width) as page:
        assert (
            page.evaluate("""() => {
            const out = [];
            for (const svg of document.querySelectorAll("svg.figure")) {
                const frame = svg.getBoundingClientRect();
                if (!frame.width) continue;
                for (const text of svg.querySelectorAll("text")) {
                    const b = text.getBoundingClientRect();
                    if (b.left < frame.left - 2 || b.right > frame.right + 2) out.push(text.textContent);
                }
            }
            return out;
        }""")
            == []
        )


#: where the first told point of a figure is in the window, and what it says
PLACE = """(figure) => {
    const plot = [...figure.querySelectorAll(".plot")].find((p) => p.clientWidth), svg = plot.querySelector("svg");
    const of = plot.classList.contains("narrow") ? "narrow" : "";
    const li = figure.querySelector(of ? ".told li[data-narrow-y]" : ".told li");
    svg.scrollIntoView({ block: "center" });
    const at = li.dataset, x = of ? at.narrowX : at.x, y = of ? at.narrowY : at.y;
    const p = new DOMPoint(+x, +y).matrixTransform(svg.getScreenCTM());
    return [p.x, p.y, li.textContent];
}"""


def nearest(page, figure):
    """Puts the pointer 3 pixels beside the first told point; what the point says, and the tip."""
    plot = page.locator("figure.picture").nth(figure)
    at = plot.evaluate(PLACE)
    page.wait_for_timeout(100)  # scrolling hides the tip
    page.mouse.move(at[0] + 3, at[1])
    return at[2], page.locator("#tip")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_figures_answer_to_the_pointer_and_to_keys(started, pages, kind, width):
    with opened(started, pages(kind), width=width) as page:
        for figure in range(page.locator("figure.picture").count()):
            said, tip = nearest(page, figure)
            assert tip.is_visible() and said in tip.inner_text().split("\n"), figure
            box, wide = tip.bounding_box(), page.viewport_size["width"]
            assert box["x"] >= 0 and box["x"] + box["width"] <= wide
        page.mouse.move(1, 1)
        assert not tip.is_visible()
        plot = page.locator(".plot:visible").first
        plot.focus()
        of = "[data-narrow-x]" if width < 600 else "[data-x]"
        texts = page.locator("figure.picture").first.locator(f".told li{of}").all_text_contents()
        for key, index in (("ArrowRight", 0), ("ArrowRight", 1), ("End", -1), ("ArrowLeft", -2), ("Home", 0)):
            page.keyboard.press(key)
            assert tip.inner_text() == texts[index]
            assert page.locator("#said").text_content().endswith(texts[index])
        page.keyboard.press("Escape")
        assert not tip.is_visible() and page.errors == []


def test_figures_answer_to_touch(started, pages):
    with opened(started, pages("game"), width=390, touch=True) as page:
        x, y, said = page.locator("figure.picture").first.evaluate(PLACE)
        page.wait_for_timeout(100)
        page.touchscreen.tap(x, y + 5)
        assert said in page.locator("#tip").inner_text()
        assert page.locator("#tip").is_visible()
        page.touchscreen.tap(5, 5)
        assert not page.locator("#tip").is_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_slider_goes_through_what_was_computed(started, pages, width):
    with opened(started, pages("report"), width=width) as page:
        figure = page.locator("#fig-strength")
        slider, out = figure.locator("input"), figure.locator("output")
        stops = figure.locator(".stops li")
        assert "the advice" in out.inner_text()
        line = partial(figure.locator(f".plot.{'narrow' if width < 600 else 'wide'} line.mark").get_attribute, "x1")
        before = float(line())
        slider.focus()
        page.keyboard.press("Home")
        assert out.inner_text() == stops.first.text_content() == slider.get_attribute("aria-valuetext")
        assert float(line()) < before
        page.keyboard.press("End")
        assert out.inner_text() == stops.last.text_content()
        texts = " ".join(stops.all_text_contents())
        assert "simulated" in texts and "predicted" in texts and "penalty.r1 = " in texts


@pytest.mark.parametrize("kind", ["report", "game"])
def test_tables_are_sorted_by_their_heads(started, pages, kind):
    with opened(started, pages(kind)) as page:
        table = page.locator("table.sortable:visible").first
        head = table.locator("th").nth(1)
        column = partial(table.locator("tbody td:nth-child(2)").all_text_contents)
        given = column()
        number = [float(re.sub("\u2212", "-", v)) for v in given]
        head.locator("button").press("Enter")
        assert head.get_attribute("aria-sort") == "ascending"
        assert [float(re.sub("\u2212", "-", v)) for v in column()] == sorted(number)
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        assert [float(re.sub("\u2212", "-", v)) for v in column()] == sorted(number, reverse=True)


def test_the_button_turns_the_colours(started, pages):
    with opened(started, pages("game")) as page:
        colour = "getComputedStyle(document.body).backgroundColor"
        mark = "getComputedStyle(document.querySelector('figure svg text')).fill"
        light = page.evaluate(colour), page.evaluate(mark)
        assert page.locator("#scheme").get_attribute("aria-pressed") == "false"
        page.locator("#scheme").click()
        assert page.locator("#scheme").get_attribute("aria-pressed") == "true"
        dark = page.evaluate(colour), page.evaluate(mark)
        assert light == ("rgb(255, 255, 255)", "rgb(0, 0, 0)") and dark == ("rgb(20, 23, 27)", "rgb(242, 244, 246)")
        assert findings(page) == []
        page.locator("#scheme").click()
        assert page.evaluate(colour) == light[0]


def test_the_way_to_the_content_is_short_by_keys(started, pages):
    with opened(started, pages("report")) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        links = page.locator("nav.side a").evaluate_all(
            "all => all.map(a => [a.hash, !!document.querySelector(a.hash)])"
        )
        assert links and all(there for _, there in links)


def test_print_is_white_and_unfolded(started, pages):
    with opened(started, pages("report"), scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(26, 28, 30)"
        assert not page.locator("nav.side").is_visible() and not page.locator(".points").first.is_visible()
        assert page.locator(".paper").is_visible() and page.locator(".plot.narrow:visible").count() == 0
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open]):not(.points, .theory)").count() == 0
        assert page.locator("details.theory:not([open])").count() == 1  # of many pages, and a line says so
        page.evaluate("document.querySelector('details.theory').open = true")
        assert not page.locator(".paper").is_visible()


@pytest.mark.parametrize("width", [680, 703])  # A4 and Letter within the page's own margins, at 96 pixels per inch
@pytest.mark.parametrize("kind", ALL)
def test_nothing_is_cut_on_paper(started, pages, kind, width):
    """No part reaches beyond the sheet, no figure is higher than one, and the numbers as JSON are left out."""
    with opened(started, pages(kind), width=width, height=1000) as page:
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert overflow(page) <= 0
        wide = page.evaluate(
            """(width) => [...document.querySelectorAll("main :is(table, pre, svg.figure, .answer)")]
            .filter((e) => e.getBoundingClientRect().right > width + 1).map((e) => e.outerHTML.slice(0, 80))""",
            width,
        )
        assert wide == []
        heights = page.evaluate("[...document.querySelectorAll('figure')].map((f) => f.getBoundingClientRect().height)")
        assert max(heights, default=0) < 700 and page.locator("details.numbers:visible").count() == 0


def test_headless_print_has_margins(started, pages):
    with opened(started, pages("game")) as page:
        pdf = page.pdf(format="A4")
        assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 6  # without the numbers as JSON
