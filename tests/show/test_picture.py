"""Figures of pages: SVG within HTML, its ids, colours and texts, and the places of what its points say."""

import re

import numpy as np
import pytest
from matplotlib.axes import Axes

from egan_theory.base.errors import InputError
from egan_theory.show import html, panel, scheme, style
from egan_theory.show.picture import Slider, picture

X, Y = np.array([1.0, 2.0, 30.0]), np.array([0.1, -0.2, 0.3])
NASTY = '<script>alert(1)</script> & "x" \''


@style.styled
def drawing(label: str = "a line", ax: Axes | None = None) -> Axes:
    ax = style.axes(ax)
    ax.plot(X, Y, "o-", color=style.BLUE, label=label)
    ax.fill_between(X, Y - 0.1, Y + 0.1, color="#123456", alpha=0.5)
    ax.set(xscale="log", xlabel="strength (1)", xlim=(0.5, 40.0), ylim=(-1.0, 1.0))
    style.tell(ax, X, Y, [f"{label}: {x:g}" for x in X])
    return style.finish(ax)


@pytest.fixture(scope="module")
def drawn():
    return picture("first", "What it <shows>", "Caption.", drawing)


def test_one_svg_element_without_a_date_style_or_title(drawn):
    svg = drawn.svg
    assert svg.startswith('<svg class="figure"') and svg.endswith("</svg>")
    assert not re.search(r"<style|<title|<metadata|<!--|xmlns|xlink|\d{4}-\d\d-\d\d", svg)
    assert 'role="img" aria-labelledby="first-alt"' in svg
    assert '<desc id="first-alt">What it &lt;shows&gt;</desc>' in svg
    assert picture("first", "What it <shows>", "Caption.", drawing).svg == svg, "the same figure, other bytes"


def test_text_stays_text_in_the_fonts_of_the_page(drawn):
    assert re.search(r"<text[^>]*>strength \(1\)</text>", drawn.svg)
    assert drawn.svg.count("font-family") == 1 and "font: " not in drawn.svg


def test_ids_of_two_pictures_do_not_clash(drawn):
    other = picture("second", "What it shows", "Caption.", drawing)
    ids = [set(re.findall(r' id="([^"]+)"', p.svg)) for p in (drawn, other)]
    assert all(i.startswith("first-") for i in ids[0]) and all(i.startswith("second-") for i in ids[1])
    for p, own in zip((drawn, other), ids, strict=True):
        asked = set(re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", p.svg))
        assert asked and {a or b for a, b in asked} <= own
    with pytest.raises(ValueError, match="each picture once"):
        html.rendered("monitored.html.j2", pictures=[drawn, drawn])


def test_every_colour_is_a_variable(drawn):
    bare = re.sub(r"var\(--c([0-9a-f]{6}), #\1\)", "", drawn.svg)
    assert not re.search(r"#[0-9a-fA-F]{6}\b|rgb\(|(?:fill|stroke): (?:black|white)", bare)
    assert {style.BLUE.lower(), "#123456", "#ffffff", "#000000"} <= drawn.colours
    values = scheme.dark_variables(drawn.colours)
    assert f"--c{style.BLUE[1:].lower()}: {scheme.DARK[style.BLUE]};" in values
    assert values.count("--c") == len(drawn.colours)


def test_text_of_users_is_escaped():
    p = picture("nasty", NASTY, NASTY, lambda: drawing(NASTY))
    assert "<script" not in p.svg and "&lt;script&gt;" in p.svg
    assert [point.text for point in p.points] == [f"{NASTY}: {x:g}" for x in X]
    page = html.rendered(
        "monitored.html.j2", pictures=[p], verdict=NASTY, headline=[], failures={}, rows=[], head=[], total=0, kinds={},
        asked={}, status="", versions="", schema="",
    )  # fmt: skip
    assert page.count("<script") == 1 and page.count("&lt;script&gt;") >= 6


def test_what_no_document_may_hold_is_left_out():
    with pytest.warns(UserWarning, match="Glyph"):
        svg = picture("bell", "a", "c", lambda: drawing("a \x07 b")).svg
    assert "\x07" not in svg and "a  b" in svg


def test_points_are_where_they_are_drawn(drawn):
    assert [p.text for p in drawn.points] == ["a line: 1", "a line: 2", "a line: 30"]
    (x0, y0), (x1, y1), (x2, y2) = ((p.x, p.y) for p in drawn.points)  # a logarithmic and a linear axis
    assert (x2 - x0) / (x1 - x0) == pytest.approx(np.log(30) / np.log(2), rel=1e-3)
    assert (y2 - y0) / (y1 - y0) == pytest.approx((Y[2] - Y[0]) / (Y[1] - Y[0]), rel=1e-3)
    uses = np.array(re.findall(r'<use [^>]*?x="([\d.]+)" y="([\d.]+)"[^>]*fill: var\(--c1a71b0', drawn.svg), float)
    for p in drawn.points:
        assert np.abs(uses - (p.x, p.y)).sum(axis=1).min() < 0.02, "no marker where the point is told"


def test_what_the_axes_do_not_show_is_not_told():
    def cut() -> Axes:
        ax = drawing()
        ax.set_xlim(0.5, 10.0)
        style.tell(ax, [-1.0, np.nan], [0.0, 0.0], ["no logarithm", "nowhere"])
        style.tell(ax, [3.0], [0.5], ["by the axes"], ax.get_xaxis_transform())
        return ax

    assert [p.text for p in picture("cut", "a", "c", cut).points] == ["a line: 1", "a line: 2", "by the axes"]


def test_dense_curves_are_told_in_part():
    ax = style.axes(None)
    n = 10 * style.DENSE
    style.tell(ax, np.arange(n), np.arange(n), [str(i) for i in range(n)])
    (artist,) = style.told(ax.figure)
    assert len(artist.texts) == style.DENSE and artist.texts[0] == "0" and artist.texts[-1] == str(n - 1)
    assert [float(t) for t in artist.texts] == list(artist.x)
    with pytest.raises(ValueError, match="2 and 2 coordinates of 1 texts"):
        style.tell(ax, [1, 2], [1, 2], ["one"])


def test_slider_stops_lie_on_the_axis(drawn):
    slider = Slider("strength", [0.1, *X], ["out", "a", "b", "c"], [0.0, Y[0], np.nan, Y[2]], start=2)
    p = picture("slid", "a", "c", drawing, slider=slider)
    assert [s.text for s in p.stops] == ["a", "b", "c"] and p.start == 1
    for stop, point in zip(p.stops, p.points, strict=True):
        assert stop.x == pytest.approx(point.x, abs=0.02)
    assert p.stops[0].y == pytest.approx(p.points[0].y, abs=0.02) and np.isnan(p.stops[1].y)
    assert p.span[0] < p.stops[0].y < p.span[1]
    with pytest.raises(InputError, match="slider: must have values that increase"):
        Slider("s", [2, 1], ["", ""])
    with pytest.raises(InputError, match="slider: must have a text"):
        Slider("s", [1, 2], [""])
    with pytest.raises(InputError, match="name: must be letters"):
        picture("no name", "a", "c", drawing)


def test_heavy_artists_are_images_of_both_schemes(monkeypatch):
    monkeypatch.setattr("egan_theory.show.picture.HEAVY", 50)

    def heavy() -> Axes:
        ax = style.axes(None, (1.5, 1.5))
        ax.scatter(*np.random.default_rng(0).random((2, 60)), s=4, color=style.BLUE)
        return ax

    svg = picture("heavy", "a", "c", heavy).svg
    assert svg.count("<image") == 2 and svg.count("<use") < 50
    assert 'class="light-only"' in svg and re.search(r'class="dark-only"[^>]*display="none"', svg)


def test_an_image_has_the_counterparts_of_its_colours():
    pixels = np.array([[[0x1A, 0x71, 0xB0], [255, 255, 255]], [[0, 0, 0], [0x7F, 0x7F, 0x7F]]], dtype=np.uint8)
    dark = scheme.dark_pixels(pixels)
    for at, colour in (((0, 0), scheme.DARK[style.BLUE]), ((0, 1), scheme.BACKGROUND), ((1, 0), scheme.TEXT)):
        assert "#" + "".join(f"{v:02x}" for v in dark[at]) == colour
    assert np.ptp(dark[1, 1].astype(int)) < 12 and 100 < dark[1, 1].mean() < 180  # grey stays grey, in the middle


def test_a_drawing_for_narrow_windows_has_the_same_points_and_no_smaller_letters(drawn):
    @style.styled
    def decades():
        ax = drawing("a label that is too long for one line of a legend that stands on a telephone's narrow page")
        ax.set(yscale="log", ylim=(1e-7, 1.0), xlabel="a name of the axis which is longer than a narrow figure is wide")
        return style.finish(ax)

    p = picture("powers", "What it shows", "Caption.", decades)
    small = p.narrow
    assert small.size[0] == panel.NARROW * 72 < p.size[0] and small.size[1] == p.size[1]
    assert [q.text for q in small.points] == [q.text for q in p.points]
    assert max(q.x for q in small.points) < small.size[0] < max(q.x for q in p.points)
    sizes = {name: [float(v) for v in re.findall(r"font-size: ([\d.]+)px", svg)] for name, svg in
             (("wide", p.svg), ("narrow", small.svg))}  # fmt: skip
    assert min(sizes["wide"]) < 9 <= min(sizes["narrow"])  # exponents, which are 1e−06 there
    assert "1e−06" in small.svg and "than a narrow figure is wide" not in small.svg
    assert set(re.findall(r' id="([^"]+)"', small.svg)).isdisjoint(re.findall(r' id="([^"]+)"', p.svg))


def test_numbers_at_a_narrow_axis_do_not_touch():
    def close():
        ax = drawing()
        ax.set_xscale("linear")
        ax.set_xticks(np.linspace(1, 30, 12), [f"{v:.8f}" for v in np.linspace(1, 30, 12)])
        return ax

    p = picture("close", "Ticks.", "", close)
    wide, small = (len(re.findall(r">\d+\.\d{8}<", svg)) for svg in (p.svg, p.narrow.svg))
    assert wide == 12 and 2 < small < 6


def test_a_value_just_beyond_the_axis_is_a_stop_at_no_width():
    """It lies within a pixel of a narrow figure's axis, not of a wide one's: the report ended there."""
    slider = Slider("strength", [0.497, *X], ["out", "a", "b", "c"], start=2)
    assert [s.text for s in picture("edge", "a", "c", drawing, slider=slider).stops] == ["a", "b", "c"]
