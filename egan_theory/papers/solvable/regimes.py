"""What a trajectory of the solvable model does, judged from its overlaps alone; and what the theory predicts of it.

    success          q, r -> 0 and every feature learnt          nothing learnt   q, r -> 0, no feature learnt
    mode collapse    q, r -> 0 and some features learnt          locked           q, r constant, not 0
    oscillation      q, r persist and keep turning               diverged         penalties only
    undecided        still changing at the end, or between the thresholds

Feature l is learnt by its coverage, the length of its projection on the span of the generated features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ...base.errors import InputError
from ...base.table import Record
from .equilibria import FixedPoint, fixed_points, locked_onset, newton, one_feature_parameters
from .line import block_trace, forgetting, learnable, line_drift
from .model import Solvable
from .records import dataset_state, record_steps
from .state import State

REGIMES = ("success", "oscillation", "mode collapse", "nothing learnt", "locked", "diverged", "undecided")
#: the two windows that are compared, as shares of the time
WINDOWS = ((0.6, 0.8), (0.8, 1.0))
#: rms of (q, r) below this has died out, above twice this it persists; finite n adds NOISE/sqrt(n)
QUIET, NOISE = 0.05, 5.0
#: a persisting rms changes by less than this factor from one window to the next, a dying one may fall as it likes
STEADY = 1.5
#: standard deviation over rms of (q, r) in the last window: below the first locked, above the second oscillating,
#: unless it has fallen to less than DYING times that of the window before
STILL, TURNING, DYING = 0.1, 0.2, 0.8
#: coverage that counts as learnt; a lower one does where it has grown by GAIN, one that grew by less than half did not
LEARNT, GAIN = 0.5, 0.1
#: coverage is final when it differs by less than this between the windows (a quarter where q and r stand, as on a
#: saddle that is left slowly); finite n adds half its noise
FINAL = 0.02
#: records in each window, at least
SAMPLES = 5
#: a deciding rate r is seen by a run of length T when r T is at least this
DECIDED = 10.0


@dataclass(frozen=True)
class Regime(Record):
    """What a trajectory does.

    Attributes:
        label: one of REGIMES.
        learnt: [1] features, counted from 0.
        coverage: [1] (d,) length of each true feature's projection on the generated ones.
        activity: [1] rms of (q, r) at the end.
        swing: [1] its standard deviation.
        note: why, in words.

    Source:
        none, criteria of papers.solvable.regimes; the model: Wang, Hu, Lu (arXiv:1805.08349).
    """

    KEYS = ("learnt", "coverage", "activity", "swing", "note")

    label: str
    learnt: tuple[int, ...]
    coverage: tuple[float, ...]
    activity: float
    swing: float
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The --json form; features are counted from 1."""
        return {"regime": self.label} | super().to_dict() | {"learnt": [i + 1 for i in self.learnt]}


def coverage(state: State) -> np.ndarray:
    """(..., d) length of each true feature's projection on the span of the generated ones: sqrt diag P S^+ P^T."""
    inverse = np.linalg.pinv(state.S, rcond=1e-6, hermitian=True)
    square = np.einsum("...lm,...mk,...lk->...l", state.P, inverse, state.P)
    return np.sqrt(np.clip(square, 0.0, 1.0))


def classify(ds: xr.Dataset, n: int | None = None) -> tuple[Regime, ...]:
    """The regime of each run of a Dataset of the shared form (``solve_ode``, ``simulate_solvable``).

    Only the overlaps are used, no theory: windows 0.6 T to 0.8 T and 0.8 T to T are compared. Fluctuations larger than
    QUIET + NOISE/sqrt(n), as near a boundary, come out as undecided or oscillation.

    Args:
        n: dimension of a finite-n simulation, whose fluctuations 1/sqrt(n) are allowed for; default: none.

    Returns:
        One regime per run.

    Shapes:
        ds: P (run, time, feature, fake), q (run, time, feature), r (run, time, fake), S (run, time, fake, fake2), z
        (run, time).

    Units:
        Overlaps are pure numbers, time in steps/n.

    Raises:
        InputError: fewer than 5 records in a window.

    Source:
        none, criteria of papers.solvable.regimes.
    """
    time, state = ds["time"].values, dataset_state(ds)
    windows = _windows(time)
    noise = NOISE / np.sqrt(n) if n else 0.0
    return tuple(_classify(State(*(v[i] for v in state)), windows, noise) for i in range(len(state.z)))


def check_record(model: Solvable, n: int | None = None) -> None:
    """Raise InputError unless a run of the model (``n``: of so many dimensions, sampled at whole steps) will have the
    samples that ``classify`` needs, and steps: known before it is simulated."""
    _windows(model.times if n is None else record_steps(model) / n)


def _windows(time: np.ndarray) -> list[np.ndarray]:
    """The samples of each of WINDOWS. Raises InputError where they are too few."""
    span = time[-1] - time[0]
    windows = [(time >= time[0] + a * span) & (time <= time[0] + b * span) for a, b in WINDOWS]
    if min(w.sum() for w in windows) < SAMPLES:
        rule = f"give {SAMPLES} samples in each fifth of the time"
        raise InputError("solvable.record", rule, f"{len(time)} in all")
    return windows


def _classify(state: State, windows: list[np.ndarray], noise: float) -> Regime:
    d = state.q.shape[-1]
    if not np.all(np.isfinite(state.pack())):
        nan = float("nan")
        return Regime("diverged", (), (nan,) * d, nan, nan, "samples that are not finite")
    moving = np.concatenate([state.q, state.r], axis=-1)
    before, after = (float(np.sqrt((moving[w] ** 2).sum(-1).mean())) for w in windows)
    earlier, swing = (float(np.sqrt(moving[w].var(0).sum())) for w in windows)
    floor, final = QUIET + noise, FINAL + noise / 2
    covered = coverage(state)
    start, middle, end = covered[0], covered[windows[0]].mean(0), covered[windows[1]].mean(0)
    known = np.where(end >= LEARNT, 1, np.where(end - start >= GAIN, 1, np.where(end - start < GAIN / 2, 0, -1)))
    learnt = tuple(int(i) for i in np.flatnonzero(known == 1))

    def regime(label: str, note: str = "") -> Regime:
        return Regime(label, learnt, tuple(end.tolist()), after, swing, note)

    if after <= floor:
        if after > STEADY * before and after > QUIET / 10 + noise:
            return regime("undecided", "q and r still grow")
        if np.any(np.abs(end - middle) > final):
            return regime("undecided", "coverage still changes")
        if np.any(known < 0):
            return regime("undecided", "coverage grew by too little to count")
        names = {0: "nothing learnt", d: "success"}
        return regime(names.get(len(learnt), "mode collapse"))
    if after < before / STEADY:
        return regime("undecided", "q and r still decay")
    if after > STEADY * before:
        return regime("undecided", "q and r still grow")
    if after < 2 * floor:
        return regime("undecided", "q and r persist, but weakly")
    if swing <= STILL * after + noise:
        if np.any(np.abs(end - middle) > final - 0.75 * FINAL):
            return regime("undecided", "q and r stand, but coverage still changes")
        return regime("locked")
    if swing >= TURNING * after and swing >= DYING * earlier:
        return regime("oscillation")
    return regime("undecided", "between locked and oscillating")


@dataclass(frozen=True)
class Prediction(Record):
    """The regime that the theory predicts.

    Attributes:
        label: one of REGIMES ("undecided" where the theory does not say).
        learnt: [1] features at the end, counted from 0.
        rate: [1/time] the slowest of the rates that decide it. A run sees it when ``rate`` T is at least 10.
        reason: what decides it, in words.
        assumptions: what is taken for granted, in words.

    Source:
        Stability of fixed points, derived by SymPy (papers.solvable.derivation).
    """

    KEYS = ("learnt", "rate", "reason", "assumptions")

    label: str
    learnt: tuple[int, ...]
    rate: float
    reason: str
    assumptions: tuple[str, ...]

    def decided(self, time: float) -> bool:
        """Whether a run of that length is long enough to show it."""
        return self.label != "undecided" and self.rate * time >= DECIDED

    def outlasts_drift(self, model: Solvable) -> bool:
        """Whether the features not learnt stay so at ``model.n``: single samples move P along the line, where the ODE
        rests (``line_drift``); drift and two standard deviations must stay below what counts as not learnt."""
        left = [i for i in range(model.d) if i not in self.learnt]
        if self.label not in ("nothing learnt", "mode collapse"):
            return True
        P = np.eye(model.d)
        P[left, left] = np.diag(model.start.P)[left]
        try:
            drift, diffusion = (np.diag(rate)[left] for rate in line_drift(model, P))
        except InputError:
            return False
        moved = np.abs(drift) * model.time + 2 * np.sqrt(2 * diffusion * model.time)
        return bool(moved.max() < GAIN / 2)

    def to_dict(self) -> dict[str, Any]:
        """The --json form; features are counted from 1."""
        return {"regime": self.label} | super().to_dict() | {"learnt": [i + 1 for i in self.learnt]}


ASSUMPTIONS = (
    "nonlinearity f(x) = x, hard constraint on the norms",
    "real and fake features of the same variances (fake_Lambda = Lambda)",
    "small, nearly aligned start",
    "no cycle or locked state reached where a state on the line q = r = 0 is stable",
)


def predict_regime(model: Solvable) -> Prediction:
    """The regime from the stability of the fixed points alone.

        learnable:       xi < Lambda_l                                   (feature l outlives forgetting)
        steady:          taut Lambda_l < 2 tau xi for each learnable l   (P_ll = 1 is stable)
        oscillation:     some learnable feature fails it, and no rotation of them is stable, nor a locked state
        not learnable:   taut/tau > 1 + xi/Lambda_l: the generator feeds on itself (one feature: self-locked)

    Between the two bounds on rotations (several features of different Lambda) nothing is said: "undecided".

    Returns:
        The regime, the features learnt and the rate that decides.

    Units:
        Rates per unit of time, steps/n.

    Raises:
        InputError: a nonlinearity that is not f(x) = x, a constraint that is not "hard", or fake_Lambda other than
            Lambda.

    Source:
        Derived by SymPy (papers.solvable.derivation) from the ODE of Wang, Hu, Lu (arXiv:1805.08349).
    """
    if not np.array_equal(model.L, model.Lt):
        raise InputError("solvable.fake_Lambda", "equal Lambda for predicted regimes", model.fake_Lambda)
    tau, xi, d = model.tau, forgetting(model), model.d
    known = learnable(model)
    learnt = tuple(int(i) for i in np.flatnonzero(known))
    traces = np.array([block_trace(model, i, i) for i in range(d)])
    outlive = np.abs(tau * (model.L - xi)).min()
    outlive = min(outlive, *(saddle_escape(model, i) for i in learnt), np.inf)
    self_growth = (model.taut * model.Lt - tau * (model.Lt + xi))[~known]

    def predicted(label: str, rate: float, reason: str, features: tuple[int, ...] = learnt) -> Prediction:
        return Prediction(label, features, float(rate), reason, ASSUMPTIONS)

    fed = len(self_growth) > 0 and self_growth.max() > 0
    steady = not np.any(traces[known] >= 0)
    if steady and not fed:
        rate = min(outlive, *(np.abs(traces[known]) / 2), *np.abs(self_growth), np.inf)
        label = "success" if len(learnt) == d else "mode collapse" if learnt else "nothing learnt"
        return predicted(label, rate, f"xi = {xi:.4g} against Lambda; every trace of the line's blocks is negative")
    if d == 1:
        return _locked_or_oscillating(model, predicted, outlive, traces[0], fed)
    locked = _locked_numerically(model)
    if locked is not None:
        return predicted("locked", -locked.growth, "a stable locked state, found by Newton's method", ())
    part = model.L[known]
    if fed:
        return predicted("undecided", 0.0, "a feature that cannot be learnt feeds the generator")
    # no rotation of the learnable features is stable beyond this, P = I is not beyond the other
    total = model.taut * part.sum() - 2 * len(part) * tau * xi
    if total <= 0:
        return predicted("undecided", 0.0, "P = I is unstable, but rotations of it may be stable")
    return predicted("oscillation", min(outlive, total / (2 * len(part))), "no state with q = r = 0 is stable", ())


def saddle_escape(model: Solvable, feature: int) -> float:
    """Rate (1/time) at which the generator learns a feature that the discriminator has found: the saddle's growth."""
    alpha, L = model.taut / model.tau, model.L[feature]
    q2 = max(1 - forgetting(model) / L, 0.0) / (1 + model.tau * model.eta_T / 2)
    return float(model.tau * L * (np.sqrt((alpha - 2) ** 2 / 4 + alpha * q2) + (alpha - 2) / 2))


def _locked_or_oscillating(model: Solvable, predicted: Any, outlive: float, trace: float, fed: bool) -> Prediction:
    alpha, k, s = one_feature_parameters(model)
    locked = [f for f in fixed_points(model) if "locked" in f.kind]
    found = [f for f in locked if f.stable]
    # the fold where locked states appear is passed slowly, on either side
    fold = abs(alpha - locked_onset(k, s)) * model.tau * model.L[0]
    rates = [abs(trace) / 2, fold] if not fed else [outlive]
    # unstable ones are left slowly where they have just lost stability; their cycles are small there
    rates += [f.growth for f in locked if not f.stable and np.sort(f.eigenvalues.real)[1] > 0]
    if found:
        return predicted("locked", min(-found[0].growth, *rates), f"a stable {found[0].kind} state", ())
    return predicted("oscillation", min(outlive, *rates), "no state with q = r = 0 is stable, nor a locked one", ())


def _locked_numerically(model: Solvable) -> FixedPoint | None:
    """A stable fixed point with r != 0 near that of one feature, if there is one."""
    d = model.d
    for i in range(d):
        single = model.replace(
            {"Lambda": (model.Lambda[i],), "fake_Lambda": None, "P0": None, "q0": None, "r0": None, "S0": None}
        )
        for near in [f for f in fixed_points(single) if f.kind == "locked"]:
            P, q, r = np.eye(d), np.zeros(d), np.zeros(d)
            P[i, i], q[i], r[i] = near.state.P[0, 0], near.state.q[0], near.state.r[0]
            try:
                point = newton(model, State(P, q, r, np.eye(d), np.array(1.0)))
            except InputError:
                continue
            if point.stable and float(point.state.r @ point.state.r) > QUIET:
                return point
    return None
