"""One spelling of words, one way to change a frozen experiment, particles that follow the target, plots that show."""

import copy
import json
import pickle
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

import egan_theory as eg
from egan_theory.base.config import Config
from egan_theory.base.errors import InputError
from egan_theory.cli.app import main
from egan_theory.experiment.players import DISCRIMINATORS, OF_KERNELS
from egan_theory.nonlinear.normal import NormalForm
from egan_theory.papers.solvable import Solvable
from egan_theory.predict.mechanism import MECHANISMS
from egan_theory.predict.normal import born
from egan_theory.show import style
from egan_theory.tables.activations import NETWORK_ACTIVATIONS
from egan_theory.tables.losses import LOSSES
from egan_theory.tables.penalties import PENALTIES, strength_field
from tests.entries import NETWORK_RULES, RESPONSES, STEPS

# -- words -------------------------------------------------------------------------------------------------------------

NETWORKS = {p: {"architecture": {"depth": 1, "width": 4}} for p in ("generator", "discriminator")}
WORDS = [
    *(("loss.kind", word, {"penalty": {"multiplier": 0.1}} if word == "sobolev" else {}) for word in LOSSES),
    *(("discriminator.kernel", word, {}) for word in DISCRIMINATORS),
    *(("generator.architecture.activation", word, {}) for word in NETWORK_ACTIVATIONS),
    *(("update.rule", word, {"penalty": {"weight_decay": 0.1}}) for word in (*STEPS, *RESPONSES)),
    *(("update.rule", word, NETWORKS) for word in NETWORK_RULES),
]  # fmt: skip


def experiment(path: str, value: str, others: dict) -> eg.Experiment:
    data = copy.deepcopy(others)
    *parents, leaf = path.split(".")
    node = data
    for part in parents:
        node = node.setdefault(part, {})
    node[leaf] = value
    if value == "polynomial":
        node["coefficients" if leaf == "activation" else "degree"] = [0.0, 1.0] if leaf == "activation" else 2
    return eg.Experiment(**data)


@pytest.mark.parametrize(("path", "word", "others"), WORDS, ids=[f"{p}-{w}" for p, w, _ in WORDS])
def test_every_word_is_read_with_hyphens_and_written_with_underscores(path, word, others):
    assert "-" not in word
    exp = experiment(path, word.replace("_", "-"), others)
    assert exp.get(path) == word and exp == experiment(path, word, others)
    if exp.generator.architecture is None or path.startswith("generator"):
        assert exp.replace({path: word.replace("_", "-")}) == exp
    assert f'"{word}"' in exp.to_toml() and eg.Experiment.from_toml_string(exp.to_toml()) == exp


def test_functions_take_either_spelling():
    assert [strength_field(name.replace("_", "-")) for name in PENALTIES] == [
        strength_field(name) for name in PENALTIES
    ]
    with pytest.raises(InputError, match="WGAN-GP"):
        strength_field("gradient-penalty")
    exp = eg.Experiment(target={"kind": "ring", "modes": 3}, discriminator={"features": 8})
    for name in MECHANISMS:
        for spelt in (name.replace(" ", "-"), name.replace(" ", "_")):
            if not MECHANISMS[name].noisy:  # a simulation
                assert eg.thresholds(exp, "penalty.r1", 0.05, 0.2, mechanisms=[spelt]).thresholds[0].mechanism == name
    axes = (("penalty.r1", 0.1, 1, 2), ("generator.kernel.ratio", 0, 0.5, 2))
    assert eg.phase(exp, *axes, mechanisms=["too-slow-to-split"])["mechanism"].values.tolist() == ["too slow to split"]


# -- frozen ------------------------------------------------------------------------------------------------------------


def tables(part: Config) -> list[Config]:
    out = [part]
    for name in type(part).model_fields:
        inner = getattr(part, name)
        out += tables(inner) if isinstance(inner, Config) else []
    return out


NETWORK = eg.Experiment(**NETWORKS)
PARTS = [
    *(("exp", exp, part) for exp in (eg.Experiment(), NETWORK) for part in tables(exp)),
    ("model", Solvable(), Solvable()),
]


@pytest.mark.parametrize(("owner", "whole", "part"), PARTS, ids=[f"{o}-{type(p).__name__}" for o, _, p in PARTS])
def test_assignments_say_what_to_call_and_it_works(owner, whole, part):
    for name in type(part).model_fields:
        before = getattr(part, name)
        with pytest.raises(InputError) as refused:
            setattr(part, name, before)
        assert getattr(part, name) is before
        said = str(refused.value)
        path = f"{part.table}.{name}".strip(".")
        assert said.startswith(f"{path}: must not be assigned (nothing here changes): {owner}.")
        call = "model_copy" if isinstance(before, Config) else "replace"
        assert f".{call}(" in said and "gives a changed copy" in said
        # what a network determines or does not have is no field to change
        fixed = whole is NETWORK and (path.startswith("generator.kernel.") or name in OF_KERNELS)
        if call == "replace" and not fixed:
            assert whole.replace({path: before}) == whole
    with pytest.raises(InputError, match="nothing: must be one of the fields"):
        part.nothing = 1


# -- particles ---------------------------------------------------------------------------------------------------------

TARGETS = [
    *({"kind": "grid", "side": side, "dimension": d} for side, d in ((4, 2), (5, 2), (3, 3), (9, 2))),
    *({"kind": "ring", "modes": modes} for modes in (1, 7, 8, 63, 65)),
    *({"kind": "uniform", "side": side} for side in (9, 15)),
    {"kind": "mixture", "means": [[0.0], [1.0]], "samples": 13},
    {"kind": "points", "values": [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]},
]


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_particles_follow_the_target(target):
    """As many for every point, at least 64, the fewest such."""
    features = {"discriminator": {"features": 0}} if target["kind"] == "uniform" else {}
    exp = eg.Experiment(target=target, **features)
    points = len(exp.points.weights)
    N = exp.generator.particles
    assert N % points == 0 and 64 <= N < 64 + points
    assert np.all(np.bincount(exp.assignment) == N // points)
    assert eg.Experiment.from_toml_string(exp.to_toml()) == exp and "particles = 0" not in exp.to_toml()


def test_particles_follow_changes_until_they_are_given():
    exp = eg.Experiment(target={"kind": "grid", "side": 4})
    assert exp.generator.particles == 64
    for follows in (exp, copy.deepcopy(exp), pickle.loads(pickle.dumps(exp)), exp.replace({"penalty.r1": 1.0})):
        assert follows.replace({"target.side": 5}).generator.particles == 75
    assert eg.Experiment(target={"kind": "grid", "side": 5}, generator=exp.generator).generator.particles == 75
    given = exp.replace({"generator.particles": 32})
    assert given.generator.particles == 32 and given.replace({"target.side": 5}).generator.particles == 32
    assert exp.replace({"generator.per_point": (1,) * 15 + (5,)}).generator.particles == 20
    assert eg.Experiment(generator={"masses": [0.25] * 4}).generator.particles == 4


@pytest.mark.parametrize("kind", ["ring", "grid", "mixture", "uniform", "points"])
def test_templates_work_with_another_number_of_points(kind):
    change = {"ring": ("modes", 7), "grid": ("side", 5), "mixture": ("samples", 13), "uniform": ("side", 15)}.get(kind)
    changes = {f"target.{change[0]}": change[1]} if change else {"target.values": [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]}
    text = eg.new(kind) if change else "\n".join(x for x in eg.new(kind).splitlines() if not x.startswith("path ="))
    exp = eg.Experiment.from_toml_string(text, changes=changes)
    assert np.isfinite(eg.spectrum(exp)["eigenvalue_re"].values).any()
    small = exp.replace({"run.steps": 5, "run.record_every": 1, "run.runs": 1})
    assert eg.simulate(small).attrs["status"] == "finished"


# -- plots -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spectrum():
    return eg.spectrum(eg.Experiment(target={"kind": "ring", "modes": 3}, discriminator={"features": 8}))


def test_plots_without_axes_are_pyplots_to_show(spectrum):
    ax = eg.plot.eigenvalues(spectrum)
    assert pyplot.get_fignums() == [ax.figure.number] and pyplot.figure(ax.figure.number) is ax.figure
    other = eg.plot.universality(eg.Experiment(generator={"architecture": {"depth": 1}}).generator.architecture)
    assert len(pyplot.get_fignums()) == 2 and other.figure is not ax.figure


def test_reports_leave_no_figure_open(spectrum):
    with style.detached():
        ax = eg.plot.eigenvalues(spectrum)
    assert pyplot.get_fignums() == []
    assert isinstance(ax.figure, matplotlib.figure.Figure)
    given = matplotlib.figure.Figure().subplots()
    assert eg.plot.eigenvalues(spectrum, ax=given) is given and pyplot.get_fignums() == []


# -- collapse ----------------------------------------------------------------------------------------------------------


def test_nothing_is_called_collapse_that_loses_no_modes():
    """Of the mechanisms only the collapsed state's clauses say collapse; every one has both its clauses, all differ."""
    said = [clause for m in MECHANISMS.values() for clause in (m.beyond, m.within)]
    assert all(said) and len(set(said)) == len(said)
    for name, mechanism in MECHANISMS.items():
        assert ("collaps" in mechanism.beyond + mechanism.within) == (name == "collapsed state"), name
        assert mechanism.meaning(0.5) == mechanism.beyond and mechanism.meaning(-0.5) == mechanism.within
        assert mechanism.meaning(np.nan) == ""


@pytest.mark.parametrize("weight_decay", [0.05, 0.2])
def test_the_threshold_of_the_spread_state_is_called_what_it_is(weight_decay, tmp_path, capsys):
    """Text and JSON of threshold and phase: no collapse in what they say of the spread state."""
    exp = eg.Experiment(penalty={"r1": 0.0, "weight_decay": weight_decay}, discriminator={"features": 32})
    (tmp_path / "e.toml").write_text(exp.to_toml())
    vary, name = "generator.kernel.ratio", "collective instability"
    arguments = ["threshold", str(tmp_path / "e.toml"), "--vary", vary, "--mechanism", name]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "collaps" not in text.lower() and "now the spread state" in text
    assert main([*arguments, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["thresholds"]
    assert "collaps" not in json.dumps(row).lower()
    assert len(row["meanings"]) == len(row["values"]) and row["meaning"].startswith("the spread state")
    for side, said in zip(row["unstable_side"], row["meanings"], strict=True):
        assert said[side] != MECHANISMS[name].within == said["above" if side == "below" else "below"]
    axes = ["--vary", f"{vary}=0:0.9:4", "--vary", "penalty.weight_decay=0.01:0.1:3", "--mechanism", name]
    assert main(["phase", str(tmp_path / "e.toml"), *axes]) == 0
    assert "collaps" not in capsys.readouterr().out.lower()


def test_what_a_normal_form_says_of_the_spread_state():
    """Supercritical: modes kept, with the radius; subcritical: a jump; refused: nothing."""
    small = NormalForm("neimark-sacker", criticality="supercritical", rms_amplitude=0.1178)
    assert born(small).startswith("the spread state starts to circle (rms radius 0.1178 lengths times the ")
    assert born(small).endswith("times the square root of the distance past the threshold; modes kept)")
    assert born(replace(small, bifurcation="flip")).startswith("the spread state starts to jump to and fro")
    assert born(replace(small, bifurcation="pitchfork")).startswith("the spread state is distorted")
    assert born(replace(small, criticality="subcritical")) == "the spread state jumps (subcritical)"
    aside = born(replace(small, bifurcation="transcritical", criticality="subcritical", exponent=1.0))
    size = "0.1178 lengths times the distance past the threshold"
    assert aside.endswith(f"moves to a neighbour (rms {size}; modes kept) or jumps, as the kick goes")
    assert born(NormalForm("fold", reason="none")) == ""
