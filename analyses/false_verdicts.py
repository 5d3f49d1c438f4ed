# %% [markdown]
# # Is a verdict of stability ever an error of rounding?
# Random experiments that hardly decay or grow: every update rule, exact kernels and random features on points, rings,
# grids and the periodic box, learning rates down to 1e-18, length scales up to 300, strengths down to nothing, and
# strengths next to the one at which growth sets in, down to 1e-15 of it. Of each the linear dynamics are built a second
# time with PRECISION digits, from the kernel's formula and the experiment's numbers alone: kernel matrices, the map of
# one step as a matrix, its eigenvalues. Compared are the verdict, the sign of every resolved rate, and the bounds that
# the package gives for its rounding errors. Not drawn: consensus and functional penalties, instance noise, likelihood,
# packing, losses of pairs, other smoothness, dot-product kernels and networks, masses that are not the target's.
#
# Run: python -m analyses.false_verdicts --seed 18 --draws 300 --output out/false_verdicts
# The figure: left, true errors of the rates in units of their bounds; right, how large the rates are that rounding does
# not tell from zero, against the largest rate of the experiment.

# %%
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.script import above, made, options, redraws, sheet
from egan_theory.features import feature_map
from egan_theory.show.style import BLUE, GREY, ORANGE, VERMILLION
from egan_theory.tables.updates import LINEAR_RULES

#: decimal digits of the second computation, of one box's waves, which fall off without end; rates smaller than ZERO of
#: the largest are zero modes, those of a box below LEAST
PRECISION, WAVES, ZERO, LEAST = 140, 700, 1e-60, 1e-300
#: a multiplier below exp(-FAST) is zero for both
FAST = 20.0
#: orders of the coordinates that an iteration is tried in
TRIES = 5
#: an error where none is possible
TINY = 1e-300
#: the verdicts as numbers
VERDICTS = {"stable": 1, "not stable": 0, "unresolved": -1}
#: what the rules are tried with
MOMENTA = ({}, {"momentum_discriminator": 0.5, "momentum_generator": 0.5}, {"momentum_discriminator": 0.5},
           {"momentum_generator": 0.3})  # fmt: skip


# %% the draws
def drawn(rng: np.random.Generator) -> eg.Experiment:
    """A weakly damped experiment; drawn again where the package refuses it."""
    while True:
        try:
            exp = eg.Experiment(**_tables(rng))
            eg.linearize(exp)
            return exp
        except (eg.InputError, eg.NotLinearizable):
            continue


def _power(rng: np.random.Generator, low: float, high: float) -> float:
    return float(10 ** rng.uniform(low, high))


def _tables(rng: np.random.Generator) -> dict[str, Any]:
    kind = rng.choice(["uniform", "ring", "grid", "points", "features"])
    rule = str(rng.choice(LINEAR_RULES))
    update: dict[str, Any] = {"rule": rule}
    if rule in ("simultaneous", "alternating"):
        update |= MOMENTA[rng.choice(len(MOMENTA), p=[0.55, 0.15, 0.15, 0.15])]
    if rule == "alternating":
        update["critic_steps"] = int(rng.choice([1, 1, 3]))
    memory = {}
    if rule not in ("extragradient", "optimistic") and rng.random() < 0.15:
        memory = {str(rng.choice(["generator", "discriminator"])): _power(rng, 0.5, 3)}
    eta_D = _power(rng, -18 if rng.random() < 0.3 else -3, -0.5)
    eta_G = _power(rng, -18 if rng.random() < 0.3 else -4, -1)
    ratio = float(rng.choice([0.0, 0.05, 0.5, 1.0], p=[0.5, 0.25, 0.2, 0.05]))
    length = _power(rng, -0.7, 2.5 if rng.random() < 0.4 else 0.5)
    penalty = {}
    if rng.random() < 0.75:
        penalty["r1"] = _power(rng, -18 if rng.random() < 0.5 else -3, 0)
    if rng.random() < 0.35 or "best_response" in rule:
        penalty["weight_decay"] = _power(rng, -18 if rng.random() < 0.5 else -3, 0)
    if kind == "uniform" and rule == "simultaneous" and not memory and rng.random() < 0.5:
        # next to where growth sets in: R1 = eta_G g1 (1 - ratio), for the Wasserstein loss
        off = float(rng.choice([-1, 1])) * _power(rng, -15, -1)
        penalty = {"r1": eta_G * (1 - ratio) * (1 + off)}
    curved = rng.random() > 0.75 and "r1" in penalty
    loss = str(rng.choice(["logistic", "non_saturating", "least_squares"])) if curved else "wasserstein"
    if "r1" in penalty and rng.random() < 0.2:
        penalty["r2"] = penalty["r1"] * _power(rng, -3, 1)
    if kind == "uniform":
        side = int(rng.choice([5, 9, 15, 31]))
        target: dict[str, Any] = {"kind": "uniform", "length": _power(rng, -0.3, 1), "side": side}
    elif kind == "ring":
        target = {"kind": "ring", "modes": int(rng.choice([2, 3]))}
    elif kind == "grid":
        target = {"kind": "grid", "side": int(rng.choice([2, 3])), "dimension": 1, "spacing": _power(rng, -1, 1)}
    else:
        values = np.sort(rng.uniform(-1, 1, int(rng.choice([2, 3]))))[:, None]
        weights = rng.uniform(0.5, 1.5, len(values)) if rng.random() < 0.5 else np.ones(len(values))
        target = {"kind": "points", "values": values.tolist(), "weights": weights.tolist()}
    kernel: dict[str, Any] = {"kernel": "gaussian"}
    if kind != "uniform" and kind != "features" and rng.random() < 0.3:
        kernel = {"kernel": "rational_quadratic", "alpha": float(rng.choice([0.5, 2.0]))}
    elif kind != "uniform" and kind != "features" and rng.random() < 0.3:
        kernel = {"kernel": "matern", "smoothness": 2.5}
    return {
        "target": target,
        "generator": {"particles": target.get("side", target.get("modes", len(target.get("values", [0, 0])))),
                      "learning_rate": eta_G, "masses": "matched", "kernel": {"ratio": ratio}},
        "discriminator": kernel | {"length_scale": length, "learning_rate": eta_D, "seed": int(rng.integers(1000)),
                                   "features": 8 if kind == "features" else 0},
        "loss": {"kind": loss}, "penalty": penalty, "update": update, "memory": memory,
    }  # fmt: skip


# %% the same dynamics once more, with PRECISION digits
def reference(exp: eg.Experiment) -> np.ndarray:
    """Exponents s of all modes but zero modes, from PRECISION digits: log z per step, or per unit of time of flows."""
    from mpmath import im, matrix, mp, mpf, re, sign

    box = exp.target.kind == "uniform"
    with mp.workdps(WAVES if box else PRECISION):
        systems = _box(exp) if box else [_saddle(exp)]
        # weights that no datum sees, particles that nothing moves: what a rule remembers of them decays
        if exp.penalty.weight_decay or not exp.update_rule.responds:
            systems.append((matrix([[-mpf(exp.discriminator.learning_rate) * mpf(exp.penalty.weight_decay)]]), 1))
        found: list[Any] = []
        for J, nw in systems:
            found += _exponents(_step(exp, J, nw), exp.update_rule.continuous)
        zero = LEAST if box else ZERO * max((abs(v) for v in found), default=0)
        # a rate that is left over of the digits is 0; one that is less than any double keeps its sign
        digits = mpf(10) ** -(2 * mp.dps // 3)
        rates = [0 if abs(re(v)) < digits * abs(v) else re(v) for v in found]
        shown = [complex(float(r) or float(sign(r)) * TINY, float(im(v))) for r, v in zip(rates, found, strict=True)]
        return np.array([s for s, v in zip(shown, found, strict=True) if abs(v) > zero], dtype=complex)


def _numbers(exp: eg.Experiment) -> dict[str, Any]:
    from mpmath import mpf

    loss, p = exp.loss_object, exp.penalty
    g1 = mpf(exp.generator.kernel.diagonal)
    return {
        "c": mpf(loss.c), "b": mpf(loss.b), "kappa": mpf(loss.kappa), "lam": mpf(p.r1) + mpf(p.r2),
        "nu": mpf(p.weight_decay), "eta_D": mpf(exp.discriminator.learning_rate), "g1": g1,
        "eta_G": mpf(exp.generator.learning_rate), "g2": g1 * mpf(exp.generator.kernel.ratio),
        "N": mpf(exp.generator.particles), "l": mpf(exp.discriminator.length_scale),
    }  # fmt: skip


def _box(exp: eg.Experiment) -> list[tuple[Any, int]]:
    """One oscillator for every wavenumber of the lattice (twice over), and the constant, of a Gaussian kernel."""
    from mpmath import exp as e
    from mpmath import matrix, mpf, pi, sqrt

    n = _numbers(exp)
    L = mpf(exp.target.length)
    rho, out = 1 / L, []
    spectral = lambda k: sqrt(2 * pi) * n["l"] * e(-((k * n["l"]) ** 2) / 2)  # noqa: E731
    for i in range((exp.target.side + 1) // 2):
        k = 2 * pi * i / L
        A = n["nu"] + (n["kappa"] + n["lam"] * k**2) * rho * spectral(k)
        mu2 = (n["g1"] - n["g2"]) * rho * k**2 * spectral(k)
        if i == 0 or mu2 == 0:
            out += [(matrix([[-n["eta_D"] * A]]), 1)] if A else []
        else:
            # w and the particles scaled apart: the product of the couplings is all that counts
            out.append((matrix([[-n["eta_D"] * A, -n["eta_D"] * n["c"]], [n["eta_G"] * n["b"] * mu2, 0]]), 1))
    return out


def _saddle(exp: eg.Experiment) -> tuple[Any, int]:
    """On the weights of the functionals that enter (rows of values where they are damped, and of gradients) and the
    sums of masses times displacements per target point; of random features on the weights themselves."""
    from mpmath import diag, matrix, mpf, sqrt

    n, points = _numbers(exp), exp.points
    Y, p = [[mpf(float(v)) for v in y] for y in points.coordinates], [mpf(float(v)) for v in points.weights]
    M, d = len(Y), len(Y[0])
    # one particle of mass p_a on every point
    S = matrix(M * d, M * d)
    for a in range(M):
        for b in range(M):
            for i in range(d):
                own = (n["g1"] - n["g2"]) * p[a] ** 2 if a == b else 0
                S[a * d + i, b * d + i] = n["N"] * (own + n["g2"] * p[a] * p[b])
    valued = bool(n["kappa"])
    where = [(a, -1) for a in range(M)] * valued + [(a, i) for a in range(M) for i in range(d)]
    weight = [(n["kappa"] if i < 0 else n["lam"]) * p[a] for a, i in where]
    first = M * valued
    if exp.discriminator.features:
        rows = _feature_rows(exp, Y, where)
        A = n["nu"] * diag([1] * rows.cols) + rows.T * diag(weight) * rows
        felt = rows[first:, :]
        into, out = felt.T, felt
    else:
        gram = matrix(len(where), len(where))
        for r, (a, i) in enumerate(where):
            for s, (b, j) in enumerate(where):
                gram[r, s] = _functional(exp, Y[a], i, Y[b], j)
        A = n["nu"] * diag([1] * len(where)) + diag(weight) * gram
        into = matrix(len(where), M * d)
        for k in range(M * d):
            into[first + k, k] = 1
        out = gram[first:, :]
    nw = A.rows
    J = matrix(nw + M * d, nw + M * d)
    J[:nw, :nw], J[:nw, nw:] = -n["eta_D"] * A, -n["eta_D"] * n["c"] * into
    J[nw:, :nw] = n["eta_G"] * n["b"] * (S * out)
    # both players in like units, as the digits are finite
    scale = sqrt(n["eta_G"] / n["eta_D"])
    J[:nw, nw:] *= scale
    J[nw:, :nw] /= scale
    return J, nw


def _feature_rows(exp: eg.Experiment, Y: list[Any], where: list[tuple[int, int]]) -> Any:
    """psi or d_i psi = amplitude [cos, sin](Omega y) at the points: frequencies and amplitude are the experiment's."""
    from mpmath import cos, matrix, mpf, sin

    f = feature_map(exp)
    frequencies = [[mpf(float(v)) for v in w] for w in f.omega]
    amplitude = np.broadcast_to(f.amplitude, len(frequencies))
    rows = matrix(len(where), 2 * len(frequencies))
    for r, (a, i) in enumerate(where):
        for k, w in enumerate(frequencies):
            phase, size = sum(x * y for x, y in zip(w, Y[a], strict=True)), mpf(float(amplitude[k]))
            pair = (cos(phase), sin(phase)) if i < 0 else (-w[i] * sin(phase), w[i] * cos(phase))
            rows[r, k], rows[r, len(frequencies) + k] = size * pair[0], size * pair[1]
    return rows


def _functional(exp: eg.Experiment, x: list[Any], i: int, y: list[Any], j: int) -> Any:
    """K(x, y) with derivatives in x_i and y_j (-1: none), K = f(u) of u = |x - y|^2."""
    from mpmath import exp as e
    from mpmath import mpf, sqrt

    l2, r = mpf(exp.discriminator.length_scale) ** 2, [s - t for s, t in zip(x, y, strict=True)]
    u = sum(s * s for s in r)
    if exp.discriminator.kernel == "gaussian":
        f = e(-u / (2 * l2))
        f1, f2 = -f / (2 * l2), f / (4 * l2**2)
    elif exp.discriminator.kernel == "matern":  # of smoothness 5/2
        a = sqrt(5 * u / l2)
        f, f1, f2 = (1 + a + a**2 / 3) * e(-a), -5 * (1 + a) * e(-a) / (6 * l2), 25 * e(-a) / (12 * l2**2)
    else:
        al = mpf(exp.discriminator.alpha)
        base = 1 + u / (2 * al * l2)
        f, f1 = base**-al, -(base ** (-al - 1)) / (2 * l2)
        f2 = (al + 1) * base ** (-al - 2) / (4 * al * l2**2)
    if i < 0 and j < 0:
        return f
    if i < 0 or j < 0:
        return -2 * f1 * r[j] if i < 0 else 2 * f1 * r[i]
    return -4 * f2 * r[i] * r[j] - (2 * f1 if i == j else 0)


def _step(exp: eg.Experiment, J: Any, nw: int) -> Any:
    """The matrix of one step on (w, x, memory), or of the time derivative."""
    from mpmath import eye, inverse, matrix, mpf, zeros

    rule, m = exp.update_rule, exp.memory
    size, nx = J.rows, J.rows - nw
    if size == 1:  # one weight alone
        return _step_alone(exp, J)
    tq, tw = mpf(m.generator), mpf(m.discriminator)
    # rows of the state: w, x, then averages and momenta where there are some
    names = ["w", "x"] + ["q"] * bool(tq) + ["v"] * bool(tw) + [f"m{player}" for player in rule.momenta]
    if rule.rule == "optimistic":
        names += ["mw", "mx"]
    width = {"w": nw, "v": nw, "mw": nw, "x": nx, "q": nx, "mx": nx}
    total, at, z = sum(width[k] for k in names), 0, {}
    for k in names:
        z[k] = matrix(width[k], total)
        for i in range(width[k]):
            z[k][i, at + i] = 1
        at += width[k]
    ww, wx, xw, xx = J[:nw, :nw], J[:nw, nw:], J[nw:, :nw], J[nw:, nw:]
    W = lambda: ww * z["w"] + wx * z.get("q", z["x"])  # noqa: E731
    X = lambda w: xw * w + xx * z["x"]  # noqa: E731
    responds = rule.rule.startswith("best_response")
    if responds:
        answer = -inverse(ww) * wx
    if rule.continuous:
        w = answer * z.get("q", z["x"]) if responds else z["w"]
        new = {"w": zeros(nw, total) if responds else W(), "x": X(z.get("v", w))}
        new |= {"q": (z["x"] - z["q"]) / tq} if tq else {}
        new |= {"v": (w - z["v"]) / tw} if tw else {}
        return _stacked([new[k] for k in names])
    if rule.rule == "extragradient":
        return eye(size) + J + J * J
    if rule.rule == "optimistic":
        vw, vx = W(), X(z["w"])
        return _stacked([z["w"] + 2 * vw - z["mw"], z["x"] + 2 * vx - z["mx"], vw, vx])
    ahead, old = rule.rule != "simultaneous", z.get("v", z["w"])
    for _ in range(rule.critic_steps if rule.rule == "alternating" else 1):
        if responds:
            z["w"] = answer * z.get("q", z["x"])
        elif "mw" in z:
            z["mw"] = W() + mpf(rule.momentum_discriminator) * z["mw"]
            z["w"] = z["w"] + z["mw"]
        else:
            z["w"] = z["w"] + W()
    if tw:
        z["v"] = z["v"] + (z["w"] - z["v"]) / tw
    push = X(z.get("v", z["w"]) if ahead else old)
    if "mx" in z:
        push = z["mx"] = push + mpf(rule.momentum_generator) * z["mx"]
    z["x"] = z["x"] + push
    if tq:
        z["q"] = z["q"] + (z["x"] - z["q"]) / tq
    return _stacked([z[k] for k in names])


def _step_alone(exp: eg.Experiment, J: Any) -> Any:
    """A weight that no particle feels, beside one particle that nothing moves: its modes are zero modes."""
    from mpmath import matrix

    both = matrix([[J[0, 0], 0], [0, 0]])
    return _step(exp, both, 1)


def _stacked(rows: list[Any]) -> Any:
    from mpmath import matrix

    out, at = matrix(sum(r.rows for r in rows), rows[0].cols), 0
    for r in rows:
        out[at : at + r.rows, :] = r
        at += r.rows
    return out


def _eigenvalues(T: Any) -> list[Any]:
    """Of a matrix, whose rows and columns change places where the iteration does not end."""
    from mpmath import eig, matrix

    order = np.arange(T.rows)
    for seed in range(TRIES):
        try:
            return list(eig(matrix([[T[int(i), int(j)] for j in order] for i in order]), left=False, right=False))
        except RuntimeError:
            order = np.random.default_rng(seed).permutation(T.rows)
    raise ArithmeticError(f"no eigenvalues in {TRIES} tries")


def _exponents(T: Any, continuous: bool) -> list[Any]:
    from mpmath import arg, eye, im, log, log1p, mp, mpc, pi, re

    if continuous:
        return _eigenvalues(T)
    # of T - 1: a rate below the digits of 1 keeps its own
    out, gone = [], mp.mpf(10) ** -20
    for d in _eigenvalues(T - eye(T.rows)):
        if abs(1 + d) > gone:
            near = abs(d) < 0.5
            angle = arg(1 + d) if re(d) > -1 or abs(arg(1 + d)) < 3 or abs(im(d)) > gone * abs(1 + d) else +pi
            out.append(mpc(log1p(2 * re(d) + abs(d) ** 2) / 2 if near else re(log(1 + d)), angle))
    return out


# %% what the package says of them
class Compared(NamedTuple):
    """One experiment: verdicts as in VERDICTS, that of the package, the true one of all its modes; growth: the largest
    true rate of growth; wrong: resolved modes of the other sign; outside: modes farther from the truth than their
    bound; modes, unresolved: how many; close: unresolved ones whose rate a bound a thousand times smaller would tell
    from zero; ratios: true error of each rate in units of its bound; below: largest rate that is not told from zero,
    and largest: of all (both with their unit)."""

    said: int
    true: int
    growth: float
    wrong: int
    outside: int
    modes: int
    unresolved: int
    close: int
    ratios: np.ndarray
    below: float
    largest: float


def compared(exp: eg.Experiment) -> Compared:
    """The package's spectrum of an experiment against ``reference``."""
    ds, true = eg.spectrum(exp), reference(exp)
    s = ds["eigenvalue_re"].values + 1j * ds["eigenvalue_im"].values
    count, error, rate_error = (ds[n].values for n in ("multiplicity", "error", "rate_error"))
    slow = (s.real > -FAST) & ((np.abs(s) > LEAST**0.5) | (error > LEAST**0.5))
    s, count, error, rate_error = s[slow], count[slow], error[slow], rate_error[slow]
    verdict = -1 if not len(true) else int((true.real < 0).all())
    growth = float(max(true.real.max(initial=0.0), 0.0))
    true = true[true.real > -FAST]
    resolved = (np.abs(s.real) > rate_error) | (rate_error == 0)
    if len(true):
        # the true mode next to each, in units of what is known of both parts
        apart = [np.abs(s.real[:, None] - true.real) / (rate_error[:, None] + TINY),
                 np.abs(s[:, None] - true) / (error[:, None] + TINY)]  # fmt: skip
        nearest = np.argmin(np.maximum(*apart), axis=1)
        ratios = np.maximum(*(a[np.arange(len(s)), nearest] for a in apart))
        exact = (apart[0][np.arange(len(s)), nearest] <= 1) & (s.real == true.real[nearest])
        rates = apart[0][np.arange(len(s)), nearest]
        wrong = resolved & (np.sign(s.real) != np.sign(true.real[nearest]))
    else:
        nearest, ratios, rates, exact, wrong = (np.zeros(len(s)) for _ in range(5))
    return Compared(
        VERDICTS[ds.attrs["verdict"]], verdict, growth, int(count[wrong.astype(bool)].sum()), int((ratios > 1).sum()),
        int(count.sum()), int(count[~resolved].sum()),
        int(count[~resolved & (np.abs(s.real) > rate_error / 1000)].sum()), np.where(exact, 0, rates),
        float(ds.attrs["unresolved_below"]), float(np.abs(s).max(initial=0.0)),
    )  # fmt: skip


def study(seed: int, draws: int) -> xr.Dataset:
    """``draws`` experiments: verdicts, and how the bounds compare with the errors."""
    rng = np.random.default_rng(seed)
    rows, ratios, names = [], [], []
    for _ in range(draws):
        exp = drawn(rng)
        found = compared(exp)
        rows.append(found)
        ratios.append(found.ratios.max(initial=0.0))
        names.append((exp.update_rule.rule, "random features" if exp.discriminator.features else exp.target.kind))
    column = lambda name, about, unit="1": (  # noqa: E731
        "draw", np.array([getattr(r, name) for r in rows]), {"long_name": about, "units": unit})  # fmt: skip
    return xr.Dataset(
        {
            "said": column("said", "verdict: 1 stable, 0 not, -1 none"),
            "true": column("true", "the true verdict on all modes"),
            "growth": column("growth", "largest true rate of growth", "1/step; flows: 1/time"),
            "wrong": column("wrong", "resolved modes whose rate has the other sign"),
            "outside": column("outside", "rows farther from the truth than their bound"),
            "modes": column("modes", "modes"),
            "unresolved": column("unresolved", "modes that rounding does not tell from zero modes"),
            "close": column("close", "of those, told from zero by a bound a thousand times smaller"),
            "below": column("below", "largest rate that is not told from zero", "1/step; flows: 1/time"),
            "largest": column("largest", "largest |s|", "1/step; flows: 1/time"),
            "ratio": ("draw", np.array(ratios), {"long_name": "largest error of a rate over its bound", "units": "1"}),
            "rule": ("draw", np.array([r for r, _ in names]), {"long_name": "update rule", "units": "1"}),
            "target": ("draw", np.array([t for _, t in names]), {"long_name": "target", "units": "1"}),
        }
    )


def false_verdicts(ds: xr.Dataset) -> int:
    """Experiments with a verdict that is not true, or a resolved rate of the wrong sign. "Stable" says that every
    resolved mode decays, and below which rate the others are: none grows faster than that."""
    said, true = ds["said"].values, ds["true"].values
    fast = ds["growth"].values > np.where(ds["unresolved"].values > 0, ds["below"].values, 0.0)
    # a true one of -1: no mode is above the smallest numbers
    false = ((said == 1) & (true == 0) & fast) | ((said == 0) & (true == 1))
    return int((false | (ds["wrong"].values > 0)).sum())


def hidden(ds: xr.Dataset) -> int:
    """Experiments called stable in which a mode that is not resolved grows."""
    return int(((ds["said"].values == 1) & (ds["true"].values == 0)).sum())


# %%
def figure(ds: xr.Dataset):
    """Left: errors over bounds. Right: unresolved rates over the largest."""
    fig, (left, right) = sheet(1, 2, 4.2)
    ratio, below = ds["ratio"].values, ds["below"].values / np.maximum(ds["largest"].values, LEAST)
    edges = np.arange(-10, 1.5, 0.5)
    left.hist(np.clip(np.log10(np.maximum(ratio, 1e-10)), -9.9, 1.4), edges, color=BLUE)
    left.axvline(0, color=VERMILLION, ls="--", label="error = bound")
    left.axvline(-3, color=GREY, ls=":", label="bound a thousand times the error")
    left.set(xlabel="log10 of the largest error of a rate / its bound", ylabel="experiments")
    above(left, f"{false_verdicts(ds)} false verdicts in {ds.sizes['draw']} experiments")
    some = ds["unresolved"].values > 0
    unresolved = np.clip(np.log10(np.maximum(below[some], 1e-30)), -30, 0)
    right.hist(unresolved, np.arange(-30, 1), color=ORANGE, label="the largest of each")
    right.set(xlabel="log10 of the largest unresolved rate / largest |s|", ylabel="experiments")
    share = ds["unresolved"].values.sum() / max(ds["modes"].values.sum(), 1)
    above(right, f"{int(some.sum())} of {ds.sizes['draw']} have unresolved modes, {share:.1%} of all")
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("false_verdicts", draws=300, seed=18, help_draws="number of experiments").parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    none = int((ds["said"].values < 0).sum())
    ratio = ds["ratio"].values
    print(f"{false_verdicts(ds)} false verdicts in {ds.sizes['draw']} experiments; in {hidden(ds)} a mode that "
          f"is not resolved grows beside resolved ones that decay; no verdict in {none}; "
          f"{int(ds['unresolved'].sum())} of {int(ds['modes'].sum())} modes unresolved; "
          f"{int(ds['close'].sum())} of them within a factor 1000 of their bound; "
          f"{int((ds['outside'] > 0).sum())} experiments with an error beyond its bound; largest error/bound: median "
          f"{np.median(ratio):.2g}, largest {ratio.max():.2g}")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
