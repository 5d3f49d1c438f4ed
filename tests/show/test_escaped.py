"""Text from users on pages: in a browser that would run it, nothing of it runs, and all of it is read as written."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.comparison.agreement import Agreement, Quantity
from egan_theory.games.spectrum import spectrum_of
from egan_theory.show import stages
from egan_theory.show.picture import picture
from tests.browser import browser
from tests.games.double import Quadratic, descent
from tests.show.fakes import RING, experiment, fake_sweep, fakes  # noqa: F401
from tests.show.test_page import bare  # noqa: F401

pytestmark = pytest.mark.slow
#: ends attributes, elements, figures, scripts, styles, comments and CDATA, and asks templates to compute
BAD = (
    '"><img src="x" onerror="window.ran = 1"></svg></script></style></title><script>window.ran = 1</script>'
    "-->]]>' onmouseover='window.ran = 1' {{ 7 * 191 }} $\\alpha_"
)
#: what is left of it where a name has to be a word
SAID = "onerror="


@pytest.fixture(scope="module")
def unguarded():
    """A browser that does not heed what a page forbids itself to run."""
    with browser() as started:
        context = started.new_context(bypass_csp=True)
        yield context
        context.close()


def check(context, text, times=1):
    """Nothing ran, no element of the text came to be, and its readers see it ``times`` times or more."""
    at = context.new_page()
    try:
        at.route("**/x", lambda route: route.fulfill(status=404))
        at.set_content(text)
        at.mouse.move(200, 200)
        at.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert at.evaluate("window.ran") is None
        assert at.locator("img").count() == 0 and at.locator("script").count() <= 1
        assert at.evaluate("[...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames())"
                           ".filter((n) => /^on(error|mouseover)/.test(n)).length") == 0  # fmt: skip
        assert at.evaluate("document.documentElement.textContent").count(SAID) >= times
        assert "{{ 7 * 191 }}" in at.evaluate("document.body.textContent")
    finally:
        at.close()


def told(ds, *names):
    """The runs with bad text wherever text may stand: attributes of the whole and of each variable."""
    out = ds.copy()
    out.attrs |= {name: BAD for name in ("versions", "seed", "rewound", "who", *names)}
    for name in out.variables:
        out[name].attrs["long_name"] = BAD
        if name != "time":
            out[name].attrs["units"] = BAD
    return out


def test_of_a_report_on_runs(unguarded, bare, monkeypatch, tmp_path):  # noqa: F811
    folder = tmp_path / BAD.replace("/", "|")[:100]
    folder.mkdir()
    np.save(folder / "points.npy", np.array([[-1.0], [0.0], [1.2]]))
    exp = experiment(eg.PointSet(path=str(folder / "points.npy")), 3)
    row = Quantity(BAD, 1.0, 2.0, 0.1, 1.0, BAD, BAD)
    found = Agreement((row,), ({"name": BAD, "reason": BAD},), BAD, (BAD,))
    monkeypatch.setattr(stages, "compare", lambda exp, runs: found)
    runs = eg.simulate(RING)
    del runs.attrs["start"]
    check(unguarded, eg.report(RING, tmp_path / "a.html", runs=told(runs)).read_text(encoding="utf-8"), 8)
    check(unguarded, eg.report(exp, tmp_path / "b.html").read_text(encoding="utf-8"), 2)
    check(unguarded, f"<main>{found._repr_html_()}</main>", 4)


def test_of_a_dataset_in_a_notebook(unguarded):
    ds = told(eg.simulate(RING))
    check(unguarded, f"<main>{ds._repr_html_()}</main>", 5)
    check(unguarded, f"<main>{eg.spectrum(RING).assign_attrs(rule=BAD, title=BAD)._repr_html_()}</main>", 1)


def test_of_a_monitor_page(unguarded, tmp_path):
    settings = {"loss": BAD, BAD: BAD, "penalty": {BAD: 0.1}, "parts": [BAD, BAD]}
    notes = [[0, 10, BAD], [20, 20, f"{BAD}: {BAD}: {BAD}"]]
    rng = np.random.default_rng(0)
    with eg.RunWriter(tmp_path / "runs.nc", chunk=1, attrs={"monitor_version": "1"}) as writer:
        for step in range(0, 60, 10):
            writer.log(step, rng.normal(size=(3, 2)), loss_discriminator=1.0 / (1 + step), multiplier_re=[0.99],
                       multiplier_im=[0.1], strength_r1=0.5)  # fmt: skip
    runs = told(eg.open_runs(tmp_path / "runs.nc")).assign_attrs(monitor=json.dumps(settings), notes=json.dumps(notes))
    text = eg.monitor_page(runs, tmp_path / "monitor.html").read_text(encoding="utf-8")
    check(unguarded, text, 8)


def test_of_a_game_page(unguarded, tmp_path):
    found = spectrum_of(descent(Quadratic(20), (0.8, 0.2), {"r1": 0.1}), 200, progress=False)
    bad = replace(
        found, framework=BAD, ended=BAD, notes=(BAD,), strengths={BAD: 0.1}, optimizers=({"kind": BAD, BAD: BAD},) * 2,
        schedule={BAD: BAD},
    )  # fmt: skip
    check(unguarded, eg.game_page(bad, tmp_path / "game.html").read_text(encoding="utf-8"), 10)


def test_of_a_figure(unguarded):
    from matplotlib.figure import Figure

    from egan_theory.show import html, style

    def draw():
        ax = Figure().subplots()
        ax.plot([1, 2], [1, 2], label=BAD.replace("$", ""))
        ax.set(xlabel=BAD.replace("$", ""), title=f"\\${BAD.replace('$', '')}")
        style.tell(ax, [1], [1], [BAD])
        return style.finish(ax)

    p = picture("bad", BAD, BAD, draw)
    text = html.rendered(
        "monitored.html.j2", pictures=[p], sections=[(BAD, BAD)], verdict=BAD, headline=[BAD], failures={BAD: BAD},
        rows=[], status=BAD, asked=[(BAD, BAD)], versions=BAD, schema=BAD,
    )  # fmt: skip
    check(unguarded, text, 12)
