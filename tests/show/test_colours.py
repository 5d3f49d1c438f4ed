"""Colours: contrast on both backgrounds, and how far apart they are for readers who lack one kind of cone."""

import re
from itertools import combinations

import numpy as np
import pytest

from egan_theory.papers.solvable import figures as solvable
from egan_theory.show import html, scheme, style
from egan_theory.show.plot import branches, games, monitored, phases, runs, waves

#: Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 15, 1291 (2009), severity 1, for linear sRGB
SEEN = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
#: figures whose colours are areas, to be told apart from each other but not from the page
AREAS = ("outcomes in a phase diagram", "areas of a phase diagram")
#: CIE 1976 colour difference of two colours in one figure, at least (about 2.3 is just noticeable side by side)
APART = 10.0
#: WCAG 2.1: contrast of graphical objects (1.4.11) and of text (1.4.3)
MARKS, WORDS = 3.0, 4.5
BACKGROUND = {"light": "#ffffff", "dark": scheme.BACKGROUND}
#: colours that stand together in a figure
TOGETHER = {
    "regimes": [c for c, _ in style.REGIMES.values()],
    "lines of outcomes": [c for c, _ in style.OUTCOME_LINES.values()],
    "kinds of modes": [c for c, _ in games.KINDS.values()],
    "behind modes": [style.FAINT],
    "kinds of multipliers": [c for c, _ in monitored.MARKS.values()],
    "kernels": [c for c, _ in waves.LOOKS],
    "snapshots": [c for c, _ in runs.SNAPSHOTS],
    "players": [c for _, c, _ in runs.PLAYERS],
    "branches": [*branches.COLOURS, style.PURPLE, style.BLACK],
    "mechanisms": [c for c, _, _ in phases.LOOK.values()],
    "solvable regimes": [c for c, _ in solvable.LOOK.values()],
    "outcomes in a phase diagram": [c for c, _ in style.OUTCOMES.values()],
    "areas of a phase diagram": [solvable._area(name) for name in solvable.LOOK],
    "strength": [style.BLUE, style.VERMILLION, style.ORANGE, style.GREEN, style.BLACK],
}


def bytes_of(colour):
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])


def contrast(a, b):
    """WCAG 2.1, of relative luminances."""
    low, high = sorted(scheme.linear(bytes_of(c)) @ [0.2126, 0.7152, 0.0722] for c in (a, b))
    return (high + 0.05) / (low + 0.05)


def lab(light):
    """CIELAB of linear sRGB, white D65."""
    xyz = light @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    t = xyz / [0.9505, 1.0, 1.089]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=-1)


def shown(colours, mode):
    return [c if mode == "light" else scheme.dark(c) for c in colours]


def least(colours, sight):
    """The smallest difference, and of which two."""
    seen = lab(np.clip(scheme.linear(np.array([bytes_of(c) for c in colours])) @ np.array(SEEN[sight]).T, 0, 1))
    pairs = combinations(range(len(colours)), 2)
    return min((float(np.linalg.norm(seen[i] - seen[j])), colours[i], colours[j]) for i, j in pairs)


def test_the_measures_know_known_values():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)  # the grey that is just AA
    np.testing.assert_allclose(lab(scheme.linear(np.array([[255, 255, 255]])))[0], [100, 0, 0], atol=0.05)
    np.testing.assert_allclose(lab(scheme.linear(np.array([[255, 0, 0]])))[0], [53.24, 80.09, 67.20], atol=0.1)
    assert least(["#ff0000", "#808000"], "deuteranopia")[0] < 40 < least(["#ff0000", "#808000"], "all cones")[0]


@pytest.mark.parametrize("mode", BACKGROUND)
@pytest.mark.parametrize("figure", TOGETHER)
def test_colours_of_a_figure_stay_apart(figure, mode):
    colours = shown(dict.fromkeys(TOGETHER[figure]), mode)
    for sight in SEEN if len(colours) > 1 else ():
        difference, one, other = least(colours, sight)
        assert difference >= APART, f"{one} and {other}, {sight}"


@pytest.mark.parametrize("mode", BACKGROUND)
def test_marks_have_contrast(mode):
    for colour in {c for figure, colours in TOGETHER.items() if figure not in AREAS for c in colours}:
        (seen,) = shown([colour], mode)
        assert contrast(seen, BACKGROUND[mode]) >= MARKS, seen


@pytest.mark.parametrize("figure", ["regimes", "kinds of modes", "kinds of multipliers", "lines of outcomes"])
def test_no_two_share_marker_or_line(figure):
    looks = {"regimes": style.REGIMES, "kinds of modes": games.KINDS, "kinds of multipliers": monitored.MARKS,
             "lines of outcomes": style.OUTCOME_LINES}[figure]  # fmt: skip
    assert len({str(look) for _, look in looks.values()}) == len(looks)
    assert len({marker for _, marker in style.OUTCOMES.values()}) == len(style.OUTCOMES)


@pytest.mark.parametrize("mode", BACKGROUND)
def test_text_has_contrast(mode):
    sheet = html._asset("page.css")
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-fA-F]{3,6});", part))
                   for part in sheet.split("@media screen", 2)[:2])  # fmt: skip
    value = {
        k: "#" + "".join(2 * c for c in v[1:]) if len(v) == 4 else v
        for k, v in {"light": light, "dark": dark}[mode].items()
    }
    assert value["page"] == BACKGROUND[mode]
    for behind in ("page", "block", "warn-block"):
        for word in ("ink", "soft", "link"):
            assert contrast(value[word], value[behind]) >= WORDS, (word, behind)
    assert contrast(value["page"], value["ink"]) >= WORDS  # of the tip
    for mark in ("warn", "focus", "strong"):
        assert contrast(value[mark], value["page"]) >= MARKS, mark
