"""Reports of experiments of other kinds than the default: what they have is the answer, the rest is said in words."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from egan_theory.base.errors import EganError, InputError
from egan_theory.comparison.agreement import Agreement
from egan_theory.predict.branched import Born
from egan_theory.predict.converging import turns
from egan_theory.predict.phase import PhaseAxis, parse_axis
from egan_theory.predict.threshold import Threshold, Thresholds
from egan_theory.predict.transverse import clustered
from egan_theory.problem.problem import Problem
from egan_theory.show import drawings, lighter, page, plot, powers, stages
from egan_theory.show.answers import answers, verdict
from egan_theory.show.diagram import _on_branch
from egan_theory.show.frequency import on_frequency
from egan_theory.show.glossary import GLOSSARY
from egan_theory.show.quantities import meaning
from egan_theory.show.reasons import reason_of, said_of
from egan_theory.show.stages import Failure, Results
from egan_theory.show.unsaid import unsaid
from egan_theory.tables.bifurcations import BIFURCATION, MEANING, explained
from tests.builders import RING
from tests.show.fakes import fake_picture

PLAY = eg.Experiment.from_toml_string(RING).replace({"memory.generator": "uniform", "penalty.r1": 0.0})
DAMPED = PLAY.replace({"penalty.weight_decay": 2.0, "update.rule": "flow"})
DECAY, RATIO = "penalty.weight_decay", "generator.kernel.ratio"


# -- words for what is not known ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "why", "remedy"),
    [
        ("memory: must be 0 for x, but the generator is averaged", "the generator is averaged",
         "memory would have to be 0 for x"),
        ("penalty.r1: must be at most 2, but found 3.5", "penalty.r1 is 3.5", "penalty.r1 would have to be at most 2"),
        ("update.rule: must have momentum", "update.rule has not momentum", "update.rule would have to have momentum"),
        ("run.spread: must not be used here", "run.spread is used here", "run.spread would have to not be used here"),
        ("g.masses: must match, but found points with more", "g.masses: found points with more",
         "g.masses would have to match"),
        ("g.ratio: must not be changed: its architecture determines it",
         "g.ratio cannot be varied: its architecture determines it", ""),
        ("it takes 3 s: too long", "it takes 3 s: too long", ""),
    ],
)  # fmt: skip
def test_reasons_are_words(text, why, remedy):
    assert reason_of(text) == (why, remedy)


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        ({"memory.generator": "uniform"}, "the generator is averaged over all of the past"),
        ({"memory.discriminator": 20.0}, "the discriminator is averaged over a time of 20"),
    ],
)
def test_what_averages_is_said_in_words(memory, said):
    with pytest.raises(InputError, match=f"^memory: must be 0 for this, but {said}$"):
        eg.Experiment().replace(memory).refuse_remedies("this")


def test_one_row_of_all_that_has_one_reason():
    r = Results(PLAY, "r1")
    r.failures = {
        "spectrum": Failure("a is 1", "a would have to be 2"),
        "frequency": Failure("", "", ("spectrum",)),
        "branch": Failure("a is 1", "a would have to be 2"),
        "phase": Failure("other"),
    }
    names = ("mode a = 1", "mode a = 2", "s1")
    reasons = ("grows like exp(0.1 T): no exponent", "grows like exp(0.2 T): no exponent", "too short")
    r.agreement = Agreement((), tuple({"name": n, "reason": why} for n, why in zip(names, reasons, strict=True)))
    rows = [(u.what, u.reason, u.remedy) for u in unsaid(r)]
    assert rows[0] == (
        "Eigenvalues and damping; Learning times; The branch diagram", "a is 1", "a would have to be 2"
    )  # fmt: skip
    assert rows[1][:2] == ("The phase diagram", "other")
    assert rows[2][0] == "Comparison of 'mode a = 1' and 1 more" and "0.2 T" in rows[2][1] and "damping" in rows[2][2]
    assert len(rows) == 4 and rows[3][0] == "Comparison of 's1'"


def test_where_too_little_is_left_no_longer_training_is_advised():
    r, why = Results(PLAY, "r1"), "less is left than the simulated kicks resolve, 0.00035 of them"
    r.agreement = Agreement((), ({"name": "left of what can move at 1", "reason": why},))
    (said,) = unsaid(r)
    assert "shorter" in said.remedy and "longer" not in said.remedy


def test_the_command_for_a_mechanism_left_out_of_the_phase_diagram_can_be_run():
    first = PhaseAxis("generator.kernel.ratio", (0.0, 0.5, 1.0), False).coordinate("first")
    second = PhaseAxis("penalty.r1", (0.00316, 1.0, 60.0), True).coordinate("second")
    left_out = xr.Dataset(coords={c[0]: c for c in (first, second)}, attrs={"left_out": "collapsed state"})
    (said,) = unsaid(Results(eg.Experiment(), "r1", phase=left_out))
    given = re.findall(r"--vary (\S+)", said.remedy)
    axes = [parse_axis(eg.Experiment(), text) for text in given]
    assert [(a.path, a.log, a.values[0], a.values[-1]) for a in axes] == [
        ("generator.kernel.ratio", False, 0.0, 1.0), ("penalty.r1", True, 0.00316, 60.0)
    ]  # fmt: skip


# -- averages over all of the past --------------------------------------------------------------------------------


def test_convergence_begins_where_theory_puts_it():
    """Eq. (66, uniform-thresholds): omega^2 = a^2/2 of the last iterate, 3 a^2/2 of the average, a = eta_D nu."""
    stiffest = float(eg.power_laws(DAMPED)["stiffness"].values.max())
    rate = DAMPED.discriminator.learning_rate
    values = np.geomspace(1e-3, 1e2, 11).tolist()
    for what, share in (("converges", 0.5), ("average_converges", 1.5)):
        first, (turn,) = turns(DAMPED, DECAY, values, what)
        assert first is False and turn.above
        assert turn.value == pytest.approx(np.sqrt(stiffest / share) / rate, rel=2e-4)
    with pytest.raises(InputError):  # R1 leaves no independent modes at this ratio
        turns(DAMPED, "penalty.r1", [0.1, 1.0])


def test_first_screen_of_averages_answers_by_powers_of_time():
    r = Results(DAMPED, "r1")
    r.powers = found = powers.powers(DAMPED, "r1")
    last = float(found.laws["last"].values.max())
    said = {a.question: a for a in answers(r)}
    rest = said["Does it come to rest?"]
    assert rest.number == f"T^{last:.4g}" and rest.good is bool(last < 0) and "elapsed time" in rest.text
    least = found.strength.turns[0].value
    strength = said["Which weight decay for this training?"]
    assert strength.number == f"≥ {least:.4g}" and strength.good is (least <= 2.0)
    assert verdict(r).startswith("Comes to rest as a power of time" if last < 0 else "Converges on average only")
    grown = Results(PLAY, "r1")
    grown.powers = powers.powers(PLAY, "r1")
    worst = grown.powers.laws.isel(mode=0)
    number = answers(grown)[0].number
    assert number == f"exp({float(worst['growth_rate']):.4g} T^{float(worst['growth_power']):.4g})"
    assert verdict(grown).startswith("Grows away from equilibrium")
    for a in (*answers(r), *answers(grown)):
        assert a.term in GLOSSARY and "None" not in a.text and "nan" not in a.text


@pytest.mark.parametrize("exp", [PLAY, DAMPED], ids=["grows", "decays"])
def test_figure_of_powers_has_every_mode(exp):
    laws = eg.power_laws(exp)
    ax = plot.power_laws(laws)
    finite = int(np.isfinite(laws["last"].values).sum())
    points = sum(len(line.get_xdata()) for line in ax.lines if line.get_linestyle() == "None")
    assert points == (2 * finite if finite else laws.sizes["mode"])
    assert "elapsed time" in ax.get_ylabel() or "growth" in ax.get_ylabel()


def test_kicked_runs_are_drawn_against_their_law():
    exp = PLAY.replace({"run.steps": 150, "run.record_every": 1, "generator.particles": 3})
    laws = eg.power_laws(exp)
    ax = plot.relaxation(eg.simulate(exp), laws=laws)
    dashed = next(line for line in ax.lines if line.get_label().startswith("predicted"))
    T, y = dashed.get_xdata(), dashed.get_ydata()
    rate, power = (float(laws[n].values[0]) for n in ("growth_rate", "growth_power"))
    np.testing.assert_allclose(np.log(y / y[0]), rate * (T**power - T[0] ** power), rtol=1e-9, atol=1e-12)
    assert ax.get_xscale() == "log"


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"penalty.weight_decay": 2.0}, {"penalty.r1": 0.5}], ids=str)
def test_page_of_averages_has_no_python_in_it(changes, tmp_path, monkeypatch):
    monkeypatch.setattr(drawings, "picture", fake_picture)
    text = eg.report(PLAY.replace(changes), tmp_path / "r.html").read_text(encoding="utf-8")
    shown = re.sub(r"<script.*?</script>|<style.*?</style>|<pre.*?</pre>|<[^>]+>", " ", text, flags=re.S)
    for repr_ in ("Memory(", "Failure(", "None", " nan", "array(", "object at", "Unknown"):
        assert repr_ not in shown, repr_
    first = re.sub(r"<[^>]+>", " ", text[text.index('id="answer"') :].partition("</section>")[0])
    answered = any(words in first for words in ("power of the elapsed time", "as a power", "exp("))
    assert answered is ("penalty.r1" not in changes)
    assert "memory would have to be" in shown


# -- flows --------------------------------------------------------------------------------------------------------


def test_a_flow_is_simulated_in_steps_that_resolve_it_and_the_page_says_so():
    flow = eg.Experiment.from_toml_string(RING).replace({"update.rule": "flow"})
    light = lighter.lighter(flow)
    assert light.update.substeps == 1 and light.replace({"update.substeps": 4}) == flow
    assert lighter.lighter(PLAY) == PLAY and lighter.left_out(PLAY) == []
    said = " ".join(lighter.left_out(flow, eg.sweep_left(flow, "r1", [0.1, 0.2, 0.3], 3, directions=24)))
    assert "3 strengths are simulated" in said
    assert "4 (update.substeps)" in said and "egan report E.toml --runs runs.nc" in said and "eg.sweep_left" in said
    short = {"run.steps": 60, "run.record_every": 60, "run.runs": 1}
    ends = [eg.simulate(e.replace(short))["particles"].values[0, -1] for e in (flow, light)]
    start = eg.simulate(flow.replace(short))["particles"].values[0, 0]
    assert np.abs(ends[0] - ends[1]).max() < 1e-4 * np.abs(ends[0] - start).max()
    assert lighter.sweep(flow, 60)[0] == lighter.FEW and lighter.sweep(PLAY, 60)[0] == lighter.SWEEP


def test_random_starts_of_an_exact_kernel_are_simulated_by_fourier_modes():
    exact = eg.Experiment.from_toml_string(RING).replace({"discriminator.features": 0})
    light = lighter.from_random(exact)
    assert light.discriminator.evaluation == "fourier" and lighter.lighter(exact) == exact
    assert "Fourier modes" in lighter.left_out(exact)[0] and "run.start=random" in lighter.left_out(exact)[0]
    short = {"run.start": "random", "run.steps": 40, "run.record_every": 40}
    ends = [eg.simulate(e.replace(short))["particles"].values for e in (exact, light)]
    moved = np.abs(ends[0][:, -1] - ends[0][:, 0]).max()
    assert np.abs(ends[0] - ends[1]).max() < 5e-3 * moved
    for other in ({"discriminator.kernel": "linear"}, {"packing.degree": 2}):  # no Fourier modes for these
        exp = exact.replace(other)
        assert lighter.from_random(exp) == exp and not lighter.left_out(exp)


# -- names that the page explains ---------------------------------------------------------------------------------


def test_every_bifurcation_is_explained():
    names = {name for pair in BIFURCATION.values() for name in pair} | {"transcritical"}
    assert names == set(MEANING)
    assert explained("neimark-sacker") == "Neimark-Sacker bifurcation (the particles begin to circle)"
    assert all(name in GLOSSARY["bifurcation"].text for name in names)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("s1.re", "slowest mode"), ("s3.im", "3rd slowest mode"), ("rate", "equilibrium"), ("p2.average", "average"),
        ("left of what can move at 0.1", "0.1"), ("|P12|", "true feature 1 with the generated feature 2"),
        ("coverage of feature 2", "true feature 2"),
    ],
)  # fmt: skip
def test_every_compared_quantity_is_explained(name, word):
    assert word in meaning(name)


def test_power_laws_without_modes_are_words_too():
    found = powers.powers(PLAY, "r1")
    empty = replace_laws(found, found.laws.isel(mode=slice(0, 0)))
    assert powers.rest(empty, PLAY).number == "none"
    assert powers.rows(empty) == []


def replace_laws(found, laws):
    return found._replace(laws=laws)


def test_no_table_of_the_command_line_has_an_empty_heading():
    folder = Path(eg.__file__).parent
    told = re.compile(r"""table\([^\n]*(\[""|, ""[,\]])""")
    found = [f"{file.name}: {line.strip()}" for file in folder.rglob("*.py")
             for line in file.read_text(encoding="utf-8").splitlines() if told.search(line)]  # fmt: skip
    assert not found
    assert told.search('table("Import", ["", ""], rows)')


# -- networks of infinite width -------------------------------------------------------------------------------------

WIDE = eg.Experiment.from_toml_string(
    '[target]\nkind = "ring"\nmodes = 3\n[generator]\nparticles = 6\n[penalty]\nr1 = 0.0\n'
    '[discriminator.architecture]\ndepth = 1\nactivation = "erf"\n[run]\nsteps = 40000\n'
)


def test_an_unstable_wide_network_is_kicked_while_it_is_near():
    light = lighter.lighter(WIDE)
    left = lambda steps: WIDE.run.kick * eg.left_over(WIDE, steps).total  # noqa: E731
    near = lighter.NEAR * WIDE.discriminator.length_scale / 4
    assert lighter.SHORTEST <= light.run.steps < 40000 and left(light.run.steps) <= near < left(2 * light.run.steps)
    assert f"{light.run.steps} of the 40000 steps" in " ".join(lighter.left_out(WIDE))
    stable = WIDE.replace({"penalty.weight_decay": 1.0})
    assert lighter.lighter(stable) == stable


def test_random_starts_of_a_wide_network_are_left_out_with_what_simulates_them():
    with pytest.raises(EganError, match=r"egan simulate E\.toml --set run\.start=random"):
        stages._simulated(WIDE.replace({"run.start": "random"}), lambda *_: None)
    lighter.refuse_dear(PLAY.replace({"run.start": "random"}))
    lighter.refuse_dear(WIDE)
    apart = eg.Experiment(target=eg.PointSet(values=np.eye(4).tolist()), discriminator=WIDE.discriminator)
    with pytest.raises(EganError, match=r"more than 3 dimensions.* egan simulate E\.toml -o"):
        stages._simulated(apart, lambda *_: None)
    assert lighter.lighter(apart) == apart


def test_kicks_of_many_particles_have_fewer_directions_and_the_page_says_so(monkeypatch):
    small = eg.Experiment.from_toml_string(RING).replace({"run.steps": 10})
    assert lighter.sweep(small, 10) == (lighter.SWEEP, lighter.DIRECTIONS)
    one = 10 * 3 * 16  # steps, particles, features
    monkeypatch.setattr(lighter, "SWEPT", 8 * one * 5.5)
    assert lighter.sweep(small, 10) == (lighter.SWEEP, 5)
    monkeypatch.setattr(lighter, "SWEPT", 8 * one * 0.9)
    assert lighter.sweep(small, 10) == (lighter.FEW, lighter.FEWEST)
    swept = eg.sweep_left(small, "r1", [0.5], 10, directions=4)
    assert "along 4 directions, drawn at random, of the 6" in " ".join(lighter.left_out(small, swept))
    assert lighter.left_out(small, swept.assign_attrs(directions=6)) == []


def test_what_a_wide_network_lacks_is_said_in_words_that_fit_it():
    with pytest.raises(InputError) as refused:
        eg.reached(WIDE.replace({"run.start": "random"}))
    why, remedy = reason_of(str(refused.value))
    assert why == "discriminator.architecture is a network of infinite width" and "features" not in why + remedy
    why, remedy = reason_of(f"{lighter.DEAR} than a report does; {lighter.COMMAND}")
    assert why.endswith("than a report does") and remedy == lighter.COMMAND
    raw = "discriminator.kernel: must have a profile, but found an infinitely wide network's"
    born = Born(0.2, "neimark-sacker", None, "", None, None, (), (), False, None, False, raw)
    for text in (said_of(born.reason), *_on_branch(None, born, [])):
        assert "discriminator.kernel is an infinitely wide network's; " in text and "must have" not in text


# -- generators that are networks -----------------------------------------------------------------------------------


def test_a_generators_network_is_followed_by_the_numbers_of_its_kernel():
    wide = eg.Generator(particles=12, architecture={"depth": 1, "activation": "erf"})
    numbers = eg.Generator(particles=12, kernel=wide.kernel.model_dump())
    found = [clustered(Problem(eg.Experiment(generator=g)), 3).exp for g in (wide, numbers)]
    assert found[0] == found[1] and found[0].generator.particles == 3


def test_frequencies_of_a_generators_network_say_what_cannot_be_varied():
    exp = eg.Experiment.from_toml_string(RING, changes={"generator.architecture": {"depth": 1, "activation": "erf"}})
    said = on_frequency(eg.frequency(exp))[-1]
    assert "generator.kernel.ratio cannot be varied" in said and "must not" not in said


def test_thresholds_in_a_ratio_that_a_network_determines_are_not_advised():
    exp = eg.Experiment.from_toml_string(RING, changes={"generator.architecture": {"depth": 1, "activation": "erf"}})
    row = Threshold("collective instability", (), (), (0.5, 0.5), "", (), -1.0)
    found = Thresholds("generator.kernel.ratio", 0.5, (row,), {})
    (said,) = [u for u in unsaid(Results(exp, "r1", boundaries=found)) if u.what.startswith("Thresholds of")]
    assert "which generator.architecture determines" in said.reason and "discriminator.learning_rate" in said.remedy


def test_strengths_that_all_grow_beyond_numbers_are_no_figure_and_no_error():
    exp = eg.Experiment.from_toml_string(RING).replace({"discriminator.kernel": "laplace", "run.steps": 3000})
    best = eg.best_regularizer(exp.replace({"discriminator.learning_rate": 50.0, "discriminator.length_scale": 0.1}))
    assert not best.stable and not np.isfinite(best.movings).any()
    assert np.all(np.isfinite(plot.left(best).get_ylim()))
    drawn = [d.name for d in drawings.drawings(Results(exp, "r1", regularizer=best))]
    assert "strength" not in drawn
    assert page._strengths(Results(exp, "r1", regularizer=best))[0]["left"] == "more than can be computed"
