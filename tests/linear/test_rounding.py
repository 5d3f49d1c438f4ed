"""Rates below the digits of 1, bounds on rounding errors, and verdicts that rest on nothing else."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import mpmath
import numpy as np
import pytest
import sympy as sp

import egan_theory as eg
from analyses import false_verdicts
from egan_theory.linear import eigenvalues, linearize
from egan_theory.linear.rounding import dense_roots, divided, pair_roots, small_roots, spread
from egan_theory.linear.system import decrement_matrix, update_matrix
from egan_theory.predict.margin import growth, margin
from egan_theory.predict.mechanism import MECHANISMS
from egan_theory.predict.spectrum import merged, spectrum_json
from egan_theory.show.answers import verdict
from egan_theory.show.stages import Results
from egan_theory.show.text import spectrum_text
from egan_theory.show.words import on_spectrum
from egan_theory.symbolic.maps import step_matrix, update_decrements, update_matrices, volumes
from egan_theory.tables.updates import LINEAR_RULES, RULES, UpdateRule
from tests.analyses.drawing import labelled

EPS = np.finfo(float).eps
BLOCK = np.array([[-0.3, -0.2], [0.4, -0.01]])
STEPS = [name for name in LINEAR_RULES if not RULES[name].continuous]
CASES = [
    UpdateRule(name, **numbers)
    for name in STEPS
    for numbers in (
        {},
        *RULES[name].examples,
        *([{"average_generator": 7.0, "average_discriminator": 3.0}] * RULES[name].averages),
    )
]


def box(side, length=4.0, **fields):
    tables = {"discriminator": {"features": 0}, "penalty": {"r1": 0.1}, "update": {"rule": "simultaneous"}} | fields
    return eg.Experiment(target=eg.Uniform(side=side, length=length), generator={"particles": side}, **tables)


def ring(modes=5, **fields):
    generator = {"particles": modes, "kernel": {"ratio": 0.3}}
    return eg.Experiment(target=eg.Ring(modes=modes), generator=generator, **fields)


# -- the step less the identity -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", CASES, ids=lambda r: f"{r.rule}-{'.'.join(r.blocks)}-{r.critic_steps}")
def test_what_a_step_adds_is_the_step_less_the_identity(rule):
    rng = np.random.default_rng(3)
    J = 0.1 * rng.standard_normal((5, 5)) - np.diag([1.0, 1.0, 1.0, 0, 0])
    for whole, added in (
        (update_matrices(rule, BLOCK), update_decrements(rule, BLOCK)),
        (update_matrix(rule, J, 3), decrement_matrix(rule, J, 3)),
    ):
        assert np.abs(whole - np.eye(len(whole)) - added).max() < 4 * EPS


@pytest.mark.parametrize("rule", CASES, ids=lambda r: f"{r.rule}-{'.'.join(r.blocks)}-{r.critic_steps}")
def test_small_velocities_keep_their_digits(rule):
    """What a step adds to the players is of the first order in the velocities: of 1e-20 of them, 1e-20 of it."""
    if rule.responds:  # the best response is the same for all sizes
        return
    players = slice(0, 2)
    small, large = (update_decrements(rule, s * BLOCK)[players, players] / s for s in (1e-20, 1e-9))
    assert np.abs(small).max() > 0.1 and np.allclose(small, large, rtol=0, atol=1e-7)


# -- bounds ---------------------------------------------------------------------------------------------------------


def exact(matrix):
    with mpmath.mp.workdps(60):
        found = mpmath.mp.eig(mpmath.matrix(matrix.tolist()), left=False, right=False)
        return np.array([complex(v) for v in found]), found


def test_bounds_of_dense_matrices_hold_and_are_tight():
    rng, ratios = np.random.default_rng(5), []
    for k in range(6):
        M = rng.standard_normal((5, 5)) * 10.0 ** rng.uniform(-3, 0, (5, 1))
        if k == 0:
            M = M + M.T  # no condition but 1
        if k == 1:
            M = np.diag([-1.0, -1.0, -1.0, -0.5, -0.1]) + np.diag([1.0, 0, 1e-5, 0], 1)  # a pair that coalesces
        roots, _ = dense_roots(M, continuous=True)
        true, _ = exact(M)
        error = np.abs(roots.d[:, None] - true).min(-1)
        assert np.all(error <= roots.error)
        ratios.append((error / roots.error).max())
    assert max(ratios) > 1e-3


def test_bounds_of_pairs_hold_entry_by_entry():
    """Damping 1e-30 beside frequencies of 1e-15, and a determinant next to nothing: the small numbers keep digits."""
    blocks = np.array(
        [
            [[-3e-30, -2e-15], [1e-15, 0.0]],
            [[-1.0, -1e-12], [1e-12, 0.0]],
            [[-2.0, -1.0], [1.0, 0.0]],
            [[-1e-18, -1e-9], [1e-9 * (1 - 1e-12), 0.0]],
        ]
    )
    for continuous in (True, False):
        roots = pair_roots(blocks, 4 * EPS * np.abs(blocks), continuous)
        for k, block in enumerate(blocks):
            with mpmath.mp.workdps(80):
                true = [
                    mpmath.re(d) if continuous else 2 * mpmath.re(d) + abs(d) ** 2
                    for d in mpmath.mp.eig(mpmath.matrix(block.tolist()), left=False, right=False)
                ]
                errors = [min(abs(v - t) for t in true) for v in map(mpmath.mpf, roots.drift[k].tolist())]
                assert all(e <= b for e, b in zip(errors, roots.drift_error[k].tolist(), strict=True))
    damped = pair_roots(blocks[:1], 4 * EPS * np.abs(blocks[:1]), True)
    assert damped.drift[0, 0] == -1.5e-30 and damped.drift_error[0, 0] < 1e-44


def test_players_apart_from_their_memory():
    rule = UpdateRule("simultaneous", momentum_discriminator=0.5, momentum_generator=0.35)
    D = update_decrements(rule, 1e-3 * BLOCK)[None]
    parts = divided(D, 2)
    assert parts.slow.all() and np.abs(parts.X).max() < 2e-3
    apart = np.concatenate([np.linalg.eigvals(parts.X[0]), np.linalg.eigvals(parts.Y[0])])
    whole = small_roots(D, None).d[0]
    assert np.allclose(np.sort_complex(apart), np.sort_complex(whole), rtol=0, atol=1e-15)
    fast, own = np.linalg.eig(parts.Y[0])
    values, vectors = np.linalg.eig(D[0])
    for rate, mine in zip(fast, (parts.K[0] @ own).T, strict=True):
        theirs = vectors[:2, np.argmin(np.abs(values - rate))]
        assert abs(mine[0] * theirs[1] - mine[1] * theirs[0]) < 1e-12 * np.abs(mine).max() * np.abs(theirs).max()


@pytest.mark.parametrize("rule", ["flow", "simultaneous"])
def test_memory_that_forgets_by_itself_moves_no_particle(rule):
    """Averages of what nobody sees change at their own rate, beside players that move by rounding alone."""
    exp = ring(
        2, discriminator={"features": 8}, loss={"kind": "logistic"}, penalty={"r1": 0.3, "weight_decay": 0.1},
        update={"rule": rule}, memory={"generator": 5.0, "discriminator": 5.0},
    )  # fmt: skip
    lin = linearize(exp)
    found, (system,) = eigenvalues(lin), lin.systems
    k, nw = len(system.J), system.nw
    T = mpmath.matrix(update_matrix(exp.update_rule, system.J, nw).tolist())
    with mpmath.workdps(30):
        vectors = mpmath.eig(T)[1]
        parts = [mpmath.norm(vectors[nw:k, j]) / mpmath.norm(vectors[:, j]) for j in range(len(T))]
    moving = np.array(parts, dtype=float) > 1e-8
    assert 0 < (~moving).sum() and found.coupled.sum() == moving.sum()
    own = np.abs(found.s - (-0.2 if rule == "flow" else np.log(0.8))) < 1e-9
    assert own.sum() > 1 and not found.coupled[own].any()


# -- verdicts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "exp",
    [
        box(31),
        box(15, length=1.0),
        box(9, discriminator={"features": 0, "learning_rate": 1e-15}),
        ring(8, discriminator={"length_scale": 100.0}, penalty={"r1": 0.1}),
        ring(8, discriminator={"learning_rate": 1e-16}, penalty={"r1": 0.1}),
    ],
)
def test_tiny_rates_are_no_growth(exp):
    """R1 stands above eta_G g1, so that every mode of simultaneous steps decays, at 1e-104 per step or whatever."""
    ds = eg.spectrum(exp)
    data = spectrum_json(ds)
    assert data["stable"] is True and 0 < data["slowest_rate"] < 1e-12
    assert margin(exp) < 0
    assert on_spectrum(ds, exp).startswith("All ")
    assert "stays at rest" in MECHANISMS["collective instability"].meaning(margin(exp))


def test_no_mode_resolved_is_no_verdict():
    """R1 at which simultaneous steps have |z| = 1: what it damps is what the steps add; rounding cannot tell."""
    exp = box(5)
    particles = exp.generator
    exp = exp.replace({"penalty.r1": particles.learning_rate * (1 - particles.kernel.ratio)})
    data = spectrum_json(ds := eg.spectrum(exp))
    assert data["stable"] is None and data["verdict"] == "unresolved" and ds.attrs["stable"] == 0
    assert data["slowest_rate"] is None and data["unresolved"] == int(ds.multiplicity.sum()) == 8
    assert 0 < data["unresolved_below"] < 1e-15
    text = "\n".join(str(line) for line in spectrum_text(data, "1/step"))
    assert "No verdict" in text and "8 of 8 modes unresolved: their rates are below" in text
    assert "not resolved" in "".join(
        str(c) for column in spectrum_text(data, "1/step")[0].columns for c in column.cells
    )
    assert "which rounding does not tell from zero" in on_spectrum(ds, exp)
    assert "stability unresolved" in ds.headline() and "nan" not in ds.headline()
    assert np.isnan(margin(exp)) and growth(exp) == 0
    found = eg.collective_instability(exp)
    assert np.isnan(found.margin) and any("no mode that moves" in note for note in found.assumptions)


def test_stable_is_said_of_resolved_modes_only():
    """Two of 32 modes of a smooth discriminator are lost in rounding: beside "stable" stand how many, and a bound."""
    exp = eg.Experiment(target=eg.Ring(modes=8)).replace({"discriminator.length_scale": 10.0, "penalty.r1": 0.3})
    data = spectrum_json(ds := eg.spectrum(exp))
    count, modes = data["unresolved"], int(ds.multiplicity.sum())
    assert data["stable"] is True and 0 < count < modes
    assert list(data).index("unresolved") - list(data).index("stable") <= 2
    texts = [ds.headline(), on_spectrum(ds, exp), "\n".join(map(str, spectrum_text(data, "1/step")))]
    assert f"{modes} modes, stable, {count} of them unresolved" in texts[0]
    for text in texts:
        bound = re.search(r"below (\S+) (per step|1/step)", text)
        assert float(bound[1]) >= data["unresolved_below"] > 0.1 * float(bound[1])
    assert all(f"{count} of {modes} modes unresolved" in text for text in texts[1:])
    assert verdict(Results(exp, "r1", ds)) == f"Stable near equilibrium ({count} of {modes} modes unresolved)"


def test_unresolved_modes_take_no_part():
    """A smooth kernel: modes that the rounding of the stiffest hides, next to others that decay."""
    exp = ring(12, discriminator={"features": 0, "length_scale": 3.0}, loss={"kind": "logistic"}, penalty={"r1": 0.05})
    ds = eg.spectrum(exp)
    re, error = ds.eigenvalue_re.values, ds.rate_error.values
    known = np.abs(re) > error
    assert ds.attrs["unresolved"] == int(ds.multiplicity.values[~known].sum()) > 0
    assert ds.attrs["slowest_rate"] == (-re[known]).min() and ds.attrs["verdict"] == "stable"
    assert ds.attrs["unresolved_below"] >= np.abs(re[~known]).max()


def test_undamped_flows_neither_grow_nor_decay():
    exp = box(5, penalty={}, update={"rule": "flow"})
    data = spectrum_json(eg.spectrum(exp))
    assert data["stable"] is False and data["slowest_rate"] == 0 and data["unresolved"] == 0 and margin(exp) == 0


def test_a_multiplier_below_a_large_error_is_not_zero():
    """Next to nothing bounds the optimal discriminator: |z| is e^18 and known to that only; it was taken for 0."""
    exp = eg.Experiment(
        target=eg.Grid(side=3, dimension=1, spacing=0.5268726248621115), loss={"kind": "least_squares"},
        generator={"particles": 3, "learning_rate": 1.7e-4, "masses": "matched", "kernel": {"ratio": 0.5}},
        discriminator={"features": 0, "length_scale": 0.727, "learning_rate": 2.5e-3},
        penalty={"r1": 8.87e-13, "weight_decay": 8.41e-17}, update={"rule": "best_response"},
    )  # fmt: skip
    ds = eg.spectrum(exp)
    assert ds.attrs["verdict"] != "stable" and ds.attrs["spectral_radius"] > 1
    # the weights' own multipliers are 0, which says nothing of particles whose modes are not resolved
    found = eigenvalues(linearize(exp))
    blind = replace(found, rate_error=np.where(found.coupled, np.inf, found.rate_error))
    assert not blind.coupled.all() and blind.verdict().stable is None
    roots, _ = dense_roots(np.diag([-1.0, -1.0]), continuous=False, e=1e-9)
    assert np.all(roots.z == 0)
    roots, _ = dense_roots(np.diag([-1.0, -1.0]), continuous=False, e=1.0)
    rate, _, error = roots.logarithms(False)
    assert not np.any(np.abs(rate.real) > error)


def test_multipliers_that_are_all_zero_have_a_text():
    """A discriminator without particles that move decays in one step: a rate without end."""
    data = spectrum_json(eg.spectrum(ring(2))) | {"slowest_rate": None, "stable": True, "verdict": "stable"}
    assert "decays; the slowest in one step." in "".join(map(str, spectrum_text(data, "1/step")))


def test_errors_of_blocks_are_those_of_all_multipliers():
    """Memory of slow players: eigenvalues of 3 x 3 matrices whose entries are known to their stiffness alone."""
    blocks = np.array([[[-7e-29, -1.4e-24], [5e-10, 0.0]]])
    errors = np.array([[[0.0, 1e-30], [1e-15, 0.0]]])
    rule = UpdateRule("best_response", average_discriminator=382.8)
    D = update_decrements(rule, blocks)[:, 1:, 1:]
    E = spread(lambda J: update_decrements(rule, J)[..., 1:, 1:], blocks, errors)
    known = small_roots(D, None, E)
    for sign in (-1, 1):
        other = small_roots(update_decrements(rule, blocks + sign * errors)[:, 1:, 1:], None)
        apart = np.abs(known.d[0][:, None] - other.d[0]).min(1)
        assert np.all(apart <= known.error[0] + other.error[0]) and np.any(apart > small_roots(D, None).error[0])


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_areas_change_by_the_determinant_of_a_step(critic_steps):
    """SymPy's determinant of the map of alternating steps; without damping 1, so that pairs lie on the unit circle."""
    rule, J = UpdateRule("alternating", critic_steps=critic_steps), sp.Matrix(2, 2, sp.symbols("a b c d", real=True))
    a, _, _, d = J
    found = step_matrix(rule, J).det()
    assert sp.expand(found - (1 + a) ** critic_steps * (1 + d)) == 0 and sp.expand(found.subs({a: 0, d: 0})) == 1
    numbers = np.array([[[-0.3, -0.2], [0.4, -0.01]], [[-1e-19, -2e-9], [1e-9, 0.0]]])
    with mpmath.mp.workdps(60):
        one, two = ([mpmath.mpf(v) for v in numbers[:, i, i].tolist()] for i in (0, 1))
        true = [float((1 + x) ** critic_steps * (1 + y) - 1) for x, y in zip(one, two, strict=True)]
    assert np.allclose(volumes(rule, numbers), true, rtol=4 * EPS, atol=0)
    assert volumes(UpdateRule("alternating", momentum_generator=0.3), numbers) is None


@pytest.mark.parametrize("critic_steps", [1, 4])
@pytest.mark.parametrize("target", [eg.Uniform(side=5, length=4.0), eg.Ring(modes=5)], ids=lambda t: t.kind)
def test_undamped_alternating_steps_oscillate_for_ever(target, critic_steps):
    exp = eg.Experiment(
        target=target, generator={"particles": 5}, discriminator={"features": 0}, penalty={"r1": 0.0},
        update={"rule": "alternating", "critic_steps": critic_steps},
    )  # fmt: skip
    data = spectrum_json(ds := eg.spectrum(exp))
    assert np.all(ds.eigenvalue_re == 0) and np.all(ds.rate_error == 0) and np.all(np.abs(ds.eigenvalue_im) > 0)
    assert data["verdict"] == "not stable" and data["slowest_rate"] == 0 == data["unresolved"] and margin(exp) == 0
    ever = "they oscillate for ever"
    assert ever in on_spectrum(ds, exp) and ever in "".join(map(str, spectrum_text(data, "1/step")))
    assert "neither decay nor grow" in MECHANISMS["collective instability"].meaning(margin(exp))
    # a little damping is known to all its digits, and beyond n omega^2 = 4 one of two real multipliers grows
    damped = eg.spectrum(exp.replace({"penalty.weight_decay": 1e-17}))
    rate = critic_steps * exp.discriminator.learning_rate * 1e-17 / 2
    assert damped.attrs["slowest_coupled_rate"] == pytest.approx(rate, rel=1e-14)
    fast = eg.spectrum(exp.replace({"generator.learning_rate": 3e3}))
    assert fast.attrs["verdict"] == "not stable" and fast.attrs["slowest_rate"] < -0.1 and growth(exp) == 0


@pytest.mark.parametrize("rule", ["flow", "simultaneous", "optimistic"])
@pytest.mark.parametrize("loss", ["wasserstein", "logistic"])
def test_rows_do_not_depend_on_rounding(rule, loss):
    """Matrices that differ by rounding have the same multiplicities and regimes, and rates within their bounds."""
    exp = ring(
        8, discriminator={"features": 0, "length_scale": 2.0}, loss={"kind": loss}, penalty={"r1": 0.05},
        update={"rule": rule},
    )  # fmt: skip
    lin, rng = linearize(exp), np.random.default_rng(7)
    assert lin.systems
    first = merged(eigenvalues(lin))
    count = Counter(zip(first.multiplicity.tolist(), first.regime.tolist(), strict=True))
    assert max(first.multiplicity) > 1
    for _ in range(5):
        systems = tuple(
            replace(s, J=s.J * (1 + EPS * rng.uniform(-1, 1, s.J.shape)) + 0.1 * EPS * np.linalg.norm(s.J) * (s.J != 0)
                    * rng.uniform(-1, 1, s.J.shape) / len(s.J)) for s in lin.systems
        )  # fmt: skip
        other = merged(eigenvalues(replace(lin, systems=systems)))
        assert Counter(zip(other.multiplicity.tolist(), other.regime.tolist(), strict=True)) == count
        known = first.resolved & np.isfinite(first.s)
        apart = np.abs(other.s[np.isfinite(other.s)] - first.s[known, None]).min(-1)
        assert np.all(apart <= first.error[known])


@pytest.mark.slow
def test_a_study_finds_no_false_verdict(tmp_path):
    ds = labelled(false_verdicts, "--seed 4 --draws 40", tmp_path)
    assert false_verdicts.false_verdicts(ds) == 0 and int(ds["outside"].sum()) == 0
    assert int(ds["unresolved"].sum()) < 0.1 * int(ds["modes"].sum())
    assert np.median(ds["ratio"]) > 1e-4


SPECTRA = """
import itertools, json
import egan_theory as eg
out = []
for modes, features, length, loss, rule in itertools.product(
    (8, 16), (0, 200), (0.4, 3.0), ("wasserstein", "logistic"), ("simultaneous", "optimistic")
):
    exp = eg.Experiment(
        target=eg.Ring(modes=modes), generator={"particles": modes, "kernel": {"ratio": 0.3}}, loss={"kind": loss},
        discriminator={"features": features, "length_scale": length}, update={"rule": rule}, penalty={"r1": 0.05},
    )
    ds = eg.spectrum(exp)
    out.append([sorted(zip(ds.multiplicity.values.tolist(), ds.regime.values.tolist())), ds.attrs["verdict"],
                int(ds.attrs["unresolved"])])
print(json.dumps(out))
"""


@pytest.mark.slow
def test_spectra_do_not_depend_on_threads():
    found = []
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        env = os.environ | dict.fromkeys(names, threads)
        done = subprocess.run([sys.executable, "-c", SPECTRA], env=env, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
