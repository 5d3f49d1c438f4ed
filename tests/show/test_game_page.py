"""The page and the figures of a real game's spectrum: one file, nothing outside it, words and numbers as computed."""

import json
import re
from html import unescape
from itertools import pairwise

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.games.spectrum import spectrum_of
from egan_theory.show.plot.games import KINDS
from tests.games.double import Quadratic, descent


@pytest.fixture(scope="module")
def spectrum():
    return spectrum_of(descent(Quadratic(30), (0.8, 0.2), {"r1": 0.1}), 300, progress=False)


def test_the_page_is_one_file_that_says_it_all(spectrum, tmp_path):
    path = eg.game_page(spectrum, tmp_path / "game.html")
    text = path.read_text(encoding="utf-8")
    assert path == tmp_path / "game.html" and len(text) < 1e6
    assert re.findall(r' role="img" aria-labelledby="([a-z]+)-alt"', text) == ["multipliers", "scan", "curvature"]
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    plain = unescape(text)
    assert all(line in plain for line in spectrum.reading)
    for mode, row in zip(spectrum.modes, spectrum.grid()[1], strict=True):
        assert row[0] in plain and mode.kind in plain
    numbers = json.loads(re.search(r"<pre [^>]*>(.*?)</pre>", plain, re.S).group(1))
    assert numbers["modes"][0]["re"] == pytest.approx(spectrum.modes[0].re)
    assert eg.game_page(spectrum, path) == path  # replaced
    with pytest.raises(eg.InputError, match="path"):
        eg.game_page(spectrum, tmp_path / "nowhere" / "game.html")


def test_text_of_modules_is_escaped(spectrum, tmp_path):
    from dataclasses import replace

    noted = replace(spectrum, notes=("<script>alert(1)</script>",))
    assert "<script>alert" not in eg.game_page(noted, tmp_path / "g.html").read_text(encoding="utf-8")


def test_figure_of_multipliers(spectrum):
    ax = eg.plot.game(spectrum)
    drawn = np.concatenate([c.get_offsets() for c in ax.collections])
    for m in spectrum.modes:
        for im in (m.im, -m.im):
            assert np.abs(drawn - [m.re, im]).sum(1).min() < 1e-9
    labels = [t.get_text() for t in ax.get_legend().get_texts()]
    for kind in {m.kind for m in spectrum.modes}:
        assert f"{kind} ({len(spectrum.of_kind(kind))})" in labels
    assert len({c for c, _ in KINDS.values()}) == len({m for _, m in KINDS.values()}) == len(KINDS)
    sizes = [c.get_sizes() for c in ax.collections[1:]]
    assert len({float(s) for group in sizes for s in group}) > 1


def test_figure_of_a_scan_shows_what_is_trusted(spectrum):
    ax = eg.plot.game_scan(spectrum)
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert lines["now"].get_xdata()[0] == 0.1
    followed = [line for line in ax.get_lines() if line.get_linewidth() == 1.6]
    assert len(followed) == spectrum.scan.multipliers.shape[1]
    for j, line in enumerate(followed):
        assert np.array_equal(np.isfinite(line.get_ydata()), spectrum.scan.trusted[:, j])
    assert eg.plot.game_scan(spectrum.scan).get_xlabel() == "R1 strength (length²)"


def test_figures_without_their_data_say_so(spectrum):
    from dataclasses import replace

    bare = replace(spectrum, scan=None, curvature_D=None, curvature_G=None, density=None, modes=())
    assert "no scan" in eg.plot.game_scan(bare).texts[0].get_text()
    assert "no curvature" in eg.plot.game_curvature(bare).texts[0].get_text()
    assert len(eg.plot.game(bare).get_lines()) >= 1 and "allow more" in bare.reading[0]


def test_ticks_of_curvature_do_not_meet_and_the_axis_ends_where_the_data_does():
    from dataclasses import replace

    from egan_theory.show import style

    nodes, weights = np.array([-3e-5, -1.2e-6, 2e-6, 4e-3, 0.012]), np.array([0.1, 0.2, 0.3, 0.39, 1e-2])
    s = spectrum_of(descent(Quadratic(30), (0.8, 0.2), {}), 60, progress=False)
    for scale in (1.0, 2.5, 8.0):
        d = replace(s.curvature_D, nodes=nodes * scale + 0j, weights=weights)
        with style.detached():
            ax = eg.plot.game_curvature(replace(s, curvature_D=d, curvature_G=None))
            ax.figure.draw_without_rendering()
            shown = [t for t in ax.get_xticklabels() if ax.get_xlim()[0] <= t.get_position()[0] <= ax.get_xlim()[1]]
            boxes = sorted((t.get_window_extent() for t in shown), key=lambda box: box.x0)
        assert len(boxes) >= 3 and all(a.x1 + 3 < b.x0 for a, b in pairwise(boxes))
        assert ax.get_ylim()[0] > weights.min() / 10


def test_the_table_of_modes_is_by_modulus_and_its_cells_wrap(spectrum, tmp_path):
    text = eg.game_page(spectrum, tmp_path / "game.html").read_text(encoding="utf-8")
    body = text.partition('<table class="sortable dense"')[2].partition("</table>")[0]
    moduli = [float(re.findall(r"<td[^>]*>(.*?)</td>", row)[1]) for row in re.findall(r"<tr.*?</tr>", body)[1:]]
    assert len(moduli) == len(spectrum.modes) and moduli == sorted(moduli, reverse=True)
