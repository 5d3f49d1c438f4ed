"""What every entry of the tables keeps to: losses, kernels, penalties, update rules and mechanisms, whoever added them.

Each is found through its table. That of the linear theory with the simulator's own step, for every combination, is in
tests/linear/test_step_jacobian.py; values typed by hand are in tests/tables/test_tables.py and tests/values.
"""

import json

import numpy as np
import pytest
import sympy as sp

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.base.parameters import Parameter, parameters_of
from egan_theory.cli.app import main
from egan_theory.experiment import Experiment
from egan_theory.experiment.settings import switched
from egan_theory.experiment.templates import TEMPLATES, template
from egan_theory.kernels import KERNELS
from egan_theory.kernels import PARAMETERS as OF_KERNELS
from egan_theory.kernels.spectral import radial_fourier
from egan_theory.linear import linearize
from egan_theory.predict.mechanism import MECHANISMS
from egan_theory.problem.field import VARIABLE, Field
from egan_theory.problem.problem import Problem
from egan_theory.show.coverage import between, covered
from egan_theory.symbolic import derive
from egan_theory.symbolic.maps import characteristic_polynomial, step_matrix, update_matrices
from egan_theory.tables.losses import LOSSES, single_losses
from egan_theory.tables.penalties import (
    FUNCTIONAL,
    PENALTIES,
    STRENGTHS,
    Coefficients,
    coefficients,
    strength_field,
    symbolic_coefficients,
)
from egan_theory.tables.updates import LINEAR_RULES, RULES
from egan_theory.tables.updates import PARAMETERS as OF_UPDATES
from tests.builders import small
from tests.entries import settings, update_rule
from tests.stepjac import at_equilibrium, check_step

ROUNDING = 1e-12
TEXT = template(TEMPLATES[0])


def ring(**tables) -> Experiment:
    """Three points, weight decay so that best responses exist; tables as in files."""
    tables.setdefault("penalty", {"weight_decay": 0.2})
    if LOSSES[tables.get("loss", {}).get("kind", "wasserstein")].needs_multiplier:
        tables["penalty"] = {"multiplier": 0.3, **tables["penalty"]}
    players = {
        "generator": {"particles": 6, "learning_rate": 0.05, "masses": "matched"},
        "discriminator": {"features": 8, "length_scale": 0.9, "learning_rate": 0.2, **tables.pop("discriminator", {})},
    }
    return Experiment(target={"kind": "ring", "modes": 3}, **players, **tables)


NETWORKS = {player: {"architecture": {"depth": 1, "width": 4}} for player in ("generator", "discriminator")}
#: an experiment for every entry that an experiment file names, by the entry
EXPERIMENTS = {
    **{f"loss {kind}": ring(loss={"kind": kind}) for kind in LOSSES},
    **{f"kernel {name}": ring(discriminator={"kernel": name}) for name in KERNELS},
    **{f"penalty {key}": ring(penalty={"weight_decay": 0.2, key: 0.1}) for key in PENALTIES},
    **{
        " ".join(map(str, ["rule", *table.values()])): ring(update=table)
        for name in LINEAR_RULES
        for table in settings(RULES[name])
    },
}


@pytest.fixture(scope="module")
def derivation() -> str:
    return derive().to_markdown()


# -- every entry of an experiment file ------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", EXPERIMENTS)
def test_files_keep_it_and_egan_spectrum_takes_it(entry, tmp_path, capsys):
    exp = EXPERIMENTS[entry]
    again = Experiment.from_toml_string(exp.to_toml())
    assert again == exp and hash(again) == hash(exp) and again.to_toml() == exp.to_toml()
    file = tmp_path / "e.toml"
    file.write_text(exp.to_toml())
    assert main(["spectrum", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["eigenvalues"] and all(np.isfinite(e["re"]) for e in found["eigenvalues"] if e["re"] is not None)


@pytest.mark.parametrize("entry", EXPERIMENTS)
def test_theory_and_simulator_make_the_same_step(entry):
    """The eigenvalues of the complex-step Jacobian of one simulated step are those of the linear theory."""
    exp = EXPERIMENTS[entry]
    if not exp.update_rule.responds:  # of best responses w is no coordinate: see tests/linear/test_remedies.py
        check_step(exp)


@pytest.mark.parametrize(
    ("path", "names", "others"),
    [
        ("loss.kind", LOSSES, {}),
        ("discriminator.kernel", KERNELS, {}),
        ("update.rule", RULES, NETWORKS),
    ],
)
def test_the_error_of_an_unknown_name_lists_all(path, names, others):
    table, field = path.split(".")
    with pytest.raises(InputError, match=f"^{path}: must be one of .*but found 'nothing'") as refused:
        Experiment(**{**others, table: {**others.get(table, {}), field: "nothing"}} if path != "update.rule" else
                   {**others, table: {field: "nothing"}})  # fmt: skip
    assert [name for name in names if name not in str(refused.value)] == []
    assert [name for name in names if name not in TEXT] == []


def below(parameter: Parameter) -> float:
    """A value out of the parameter's range."""
    return 0.0 if parameter.above else parameter.least - 1


PARAMETERS = {
    **{f"discriminator.{name}": parameter for name, parameter in OF_KERNELS.items()},
    **{f"penalty.{name}": parameter for name, parameter in STRENGTHS.items()},
    **{f"update.{name}": parameter for name, parameter in OF_UPDATES.items()},
}


@pytest.mark.parametrize("path", PARAMETERS)
def test_parameters_are_fields_with_their_range(path):
    parameter, (table, name) = PARAMETERS[path], path.split(".")
    defaults = Experiment(penalty={})
    if name != "length_scale":
        assert defaults.get(path) == parameter.default
    assert f"\n{name} = " in TEXT and (parameter.text or table == "penalty")
    wrong = below(parameter)
    with pytest.raises(
        InputError, match=rf"^{path}: must be (at least|greater than) {parameter.least:g}(\.0)?, but found"
    ):
        Experiment(**{table: {name: int(wrong) if parameter.whole else float(wrong)}})
    with pytest.raises(InputError, match=rf"^{path}: must be a (whole )?number, but found 'x'"):
        Experiment(**{table: {name: "x"}})


def test_a_parameter_that_the_rule_does_not_have_is_refused():
    for name, parameter in OF_UPDATES.items():
        has = [rule for rule in RULES if name in RULES[rule].parameters]
        other = next(rule for rule in LINEAR_RULES if rule not in has)
        table = {"rule": other, name: parameter.default + 1 if parameter.whole else 0.625}
        if parameter.idle:
            assert Experiment(update=table).get(f"update.{name}") == table[name]
            continue
        with pytest.raises(InputError, match=f"^update.{name}: must be {parameter.default:g} unless update.rule is '"):
            Experiment(update=table)


# -- losses, penalties ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", single_losses())
def test_loss_functions_are_sympys(kind, derivation):
    loss, D = LOSSES[kind], sp.Symbol("D", real=True)
    at = np.array([-2.3, -0.4, 0.3, 0.8, 1.9])
    for name in ("df1", "ddf1", "df2", "ddf2", "dh", "ddh"):
        f = loss.terms(D)[("f1", "f2", "h").index(name.strip("d"))]
        exact = [float(sp.diff(f, D, name.count("d")).subs(D, float(v)).evalf(30)) for v in at]
        np.testing.assert_allclose(getattr(loss, name)(at) * np.ones(5), exact, rtol=ROUNDING, atol=ROUNDING)
    assert loss.c > 0 and loss.b != 0 and f"| {loss.title} |" in derivation


@pytest.mark.parametrize("kind", [kind for kind, loss in LOSSES.items() if loss.pairs])
def test_functions_of_pairs_are_sympys(kind, derivation):
    loss, D = LOSSES[kind], sp.Symbol("D", real=True)
    at = np.array([-2.3, -0.4, 0.3, 0.8, 1.9])
    for order, name in enumerate(("df", "ddf"), start=1):
        exact = [float(sp.diff(loss.pair(D), D, order).subs(D, float(v)).evalf(30)) for v in at]
        np.testing.assert_allclose(getattr(loss, name)(at) * np.ones(5), exact, rtol=ROUNDING, atol=ROUNDING)
    assert loss.c == loss.b > 0 and f"| {loss.title} |" in derivation


def test_penalty_coefficients_are_sympys():
    rng = np.random.default_rng(3)
    for _ in range(5):
        values = {name: float(v) for name, v in zip(FUNCTIONAL, rng.uniform(0.1, 2, len(FUNCTIONAL)), strict=True)}
        values |= {name: v * p.most / 2 for name, v in values.items() if (p := STRENGTHS[name]).most is not None}
        exact = [symbolic_coefficients()[name].subs(values) for name in Coefficients._fields]
        np.testing.assert_allclose(coefficients(**values), [float(v) for v in exact], rtol=ROUNDING)
        table = {name: values.get(name, 0.0) for name in STRENGTHS}
        assert ring(penalty=table).penalty.coefficients == coefficients(**values)


@pytest.mark.parametrize("key", PENALTIES)
def test_penalty_is_derived_and_varied(key, derivation):
    penalty = PENALTIES[key]
    assert f"| {key.replace('_', ' ')} |" in derivation
    assert strength_field(key.replace("_", "-")) == (key, f"penalty.{key}")
    assert all((f"penalty.{name}" in VARIABLE) == (penalty.kind != "input") for name in (key, *penalty.parameters))
    if penalty.kind != "input":  # runs of several strengths at once move as each does alone
        members = [ring(penalty={"weight_decay": 0.1, key: s}) for s in (0.05, 0.2)]
        _, w, x = at_equilibrium(members[0])
        w = w + np.random.default_rng(0).standard_normal(w.shape)
        together = Field(Problem(members[0]), [Problem(m) for m in members]).Vw(np.stack([w, w]), np.stack([x, x]))
        for i, member in enumerate(members):
            np.testing.assert_allclose(together[i], Field(Problem(member)).Vw(w, x), rtol=0, atol=ROUNDING)
        assert not np.allclose(*together)


@pytest.mark.parametrize("key", PENALTIES)
def test_penalty_has_a_best_strength(key):
    exp = ring(penalty={"weight_decay": 0.05})
    found = eg.fastest_strength(exp.replace({"update.rule": "flow"}), penalty=key)
    assert found.penalty == key and found.method in ("closed-form", "numerical") and np.isfinite(found.rate)


RULED = [entry for entry in EXPERIMENTS if entry.startswith("rule ")]


@pytest.mark.parametrize("entry", RULED)
def test_strengths_are_found_beside_every_rule(entry):
    """What compares a rule with another one leaves the parameters of the first behind."""
    exp = EXPERIMENTS[entry].replace({"penalty.r1": 0.1})
    assert np.isfinite(eg.fastest_strength(exp, penalty="r1").rate)
    for rule in LINEAR_RULES:
        plain = exp.replace(switched(rule, plain=True)).update
        assert exp.replace(switched(rule)).update.rule == plain.rule == rule
        assert all(getattr(plain, name) == p.default for name, p in OF_UPDATES.items() if not p.idle)


# -- kernels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_profile_is_sympys(name):
    kernel = KERNELS[name]()
    k, u = kernel.profile_expression()
    at = np.array([0.03, 0.4, 1.7, 5.2])
    for order, found in enumerate(kernel.derivatives(at, 3)):
        exact = [float(sp.diff(k, u, order).subs(u, sp.Rational(str(v))).evalf(30)) for v in at]
        np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in KERNELS if KERNELS[name].kind == "stationary"])
def test_kernel_spectrum_is_that_of_its_profile(name):
    kernel, k = KERNELS[name](), np.array([0.3, 1.1, 2.5])
    for dimension in (1, 2, 3):
        expected = radial_fourier(lambda r: kernel.derivatives(r * r)[0], k, dimension)
        np.testing.assert_allclose(kernel.spectral_density(k, dimension), expected, rtol=1e-6)
        omega = kernel.sample_frequencies(20_000, dimension, np.random.default_rng(1))
        cosines = np.cos(omega @ np.full(dimension, 0.6 / np.sqrt(dimension)))
        ratio = kernel.derivatives(0.36)[0] / kernel.derivatives(0.0)[0]
        assert abs(cosines.mean() - ratio) <= 5 * cosines.std() / np.sqrt(len(cosines))


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_parameters_are_its_fields(name):
    for key, parameter in parameters_of(KERNELS[name]).items():
        with pytest.raises(InputError, match=f"^discriminator.{key}: must be a"):
            KERNELS[name](**{key: below(parameter)})
    other = {key: 1.5 * p.default if not p.whole else p.default + 1 for key, p in parameters_of(KERNELS[name]).items()}
    exp = ring(discriminator={"kernel": name, **other})
    assert exp.discriminator.kernel_object == KERNELS[name](**other)


# -- update rules ---------------------------------------------------------------------------------------------------

STEPPING = [
    table for name in LINEAR_RULES if not (RULES[name].continuous or RULES[name].responds)
    for table in settings(RULES[name])
]  # fmt: skip


@pytest.mark.parametrize("table", STEPPING, ids=str)
def test_rule_is_one_map_in_symbols_and_in_numbers(table, derivation):
    rule = update_rule(table)
    J = np.array([[-0.31, -0.7], [0.45, 0.0]])
    matrix = np.array(step_matrix(rule, sp.Matrix(J)), dtype=float)
    np.testing.assert_allclose(update_matrices(rule, J), matrix, rtol=0, atol=ROUNDING)
    assert len(matrix) == 2 + len(rule.blocks)
    values = {"a": 0.31, "omega2": 0.7 * 0.45, "beta_D": rule.momentum_discriminator, "beta_G": rule.momentum_generator}
    poly = characteristic_polynomial(rule).as_expr()
    poly = poly.subs({symbol: values[symbol.name] for symbol in poly.free_symbols if symbol.name in values})
    found = np.array(sp.Poly(poly, sp.Symbol("z")).all_coeffs(), dtype=float)
    np.testing.assert_allclose(found, np.poly(matrix), rtol=0, atol=1e-9)
    assert RULES[rule.rule].text and f"| {RULES[rule.rule].title} | {RULES[rule.rule].text} |" in derivation


@pytest.mark.parametrize("table", STEPPING, ids=str)
def test_what_a_rule_says_of_itself_is_so(table):
    """affine: trace and determinant along mu^2; invariant: the same map for another J of that trace and determinant."""
    rule = update_rule(table)
    plain = not rule.momenta and rule.critic_steps == 1
    if rule.entry.affine and plain:
        mu2 = np.array([0.1, 0.3, 0.5])
        maps = update_matrices(rule, np.stack([[[-0.2 - 0.3 * m, -np.sqrt(m)], [np.sqrt(m), 0.0]] for m in mu2]))
        for numbers in (np.trace(maps, axis1=1, axis2=2), np.linalg.det(maps)):
            assert abs(np.diff(numbers, 2)[0]) <= ROUNDING
    if rule.entry.invariant and (not rule.momenta or rule.momentum_discriminator == rule.momentum_generator):
        blocks = np.array(
            [[[-0.3, -0.8], [0.5, 0.0]], [[-0.1, -0.7], [0.6, -0.2]]]
        )  # trace -0.3, determinants 0.4, 0.44
        blocks[1, 0, 1] = -(0.4 - 0.02) / 0.6
        first, second = (np.poly(m) for m in update_matrices(rule, blocks))
        np.testing.assert_allclose(first, second, rtol=0, atol=ROUNDING)


# -- mechanisms, and what is covered --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MECHANISMS)
def test_mechanism_gives_margins_and_their_roots(name):
    mechanism = MECHANISMS[name]
    exp = small(eg.Ring(modes=3), particles=6, penalty={"weight_decay": 0.2}, discriminator={"features": 8})
    exp = exp.replace({"run.steps": 300})
    (together,) = mechanism.margins([exp])
    try:
        np.testing.assert_equal(mechanism(exp), together)
    except InputError:
        assert np.isnan(together)
    assert mechanism.assumptions
    if not mechanism.noisy:
        (found,) = eg.thresholds(exp, "generator.kernel.ratio", 0.0, 0.5, mechanisms=[name]).thresholds
        assert found.mechanism == name and found.assumptions and (found.method or found.reason)


def test_the_guide_says_what_is_covered():
    _, table, _ = between(eg.guide("predictions"))
    assert table == covered(), "python -m egan_theory.show.coverage egan_theory/guide/predictions.md writes it anew"
    names = [entry.title for entries in (LOSSES, PENALTIES, RULES) for entry in entries.values()]
    assert [name for name in (*names, *MECHANISMS) if name not in table] == []


def test_spectra_differ_from_entry_to_entry():
    """No entry is another one by accident: of the same kind, no two have the same eigenvalues."""
    for kind in ("kernel", "penalty", "rule"):
        found = {}
        for entry, exp in EXPERIMENTS.items():
            if entry.startswith(kind):
                found[entry] = tuple(np.round(np.sort_complex(eg.eigenvalues(linearize(exp)).s), 9))
        twins = {"rule flow 2"} & set(found)  # substeps are of the simulation
        twins |= {entry for i, entry in enumerate(found) if _where_q_is_p(entry) in map(_where_q_is_p, [*found][:i])}
        assert len(set(found.values())) >= len(found) - len(twins)


def _where_q_is_p(entry):
    """What of a penalty is left at q = p, where R1 is R2; of other entries their names."""
    penalty = PENALTIES.get(entry.removeprefix("penalty "))
    if penalty is None or penalty.terms is None:
        return entry
    k = EXPERIMENTS[entry].penalty.coefficients
    return tuple(np.round((k.grad_p + k.grad_q, k.value_p + k.value_q, k.nu), 12))
