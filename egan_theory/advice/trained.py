"""Advice on a real game: the strength that leaves least of what D sees of the error, after the steps that remain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import brentq, linear_sum_assignment

from ..base.errors import InputError
from ..linear.rounding import dense_roots
from ..predict.curve import refined
from ..predict.left import SAFETY, Choice, choose
from .reach import Reach
from .result import Advice, Asymptotic, Draw
from .seen import PROBES, Rates, Seen, left_of, seen, step_map

if TYPE_CHECKING:
    from ..games.game import Game
    from ..games.optimizers import Optimizer
    from ..games.protocol import Players

Array = np.ndarray

#: strengths scanned: this far below D's edge of stability, and, for optimisers that hold themselves at it, above
BELOW, ABOVE, PER_DECADE = 1e-5, 1e3, 6
#: of the largest stable step, what Adam settles at where the strength asks for more
AT_EDGE = 0.9
#: products with the rows of both networks for each batch
PRODUCTS = 50
#: step of a numerical derivative of a loss
STEP = 1e-3
#: multipliers this near to 1 are of what the generator cannot change
RESTING, ACTING = 1e-9, 1e-12
#: factor between the strength trained at and the advised one beyond which Adam's sizes are others
CONSISTENT = 3.0
SEEN = "what D sees of the error of the generated samples"
#: steps of the fixed point for the size of Adam's steps, and bounds of it
SETTLED, SCALE = 6, 1e3


@dataclass(frozen=True)
class Batch:
    """The game about one mini-batch of data, each with the generated sample that is nearest in an assignment."""

    players: Players
    X: Array
    errors: Array
    D: Array
    G: Array
    centred: bool
    batch: int
    kappa: float

    def pulled(self, values: Array, slopes: Array) -> Array:
        return self.D * self.players.rows_pull(self.players.weights[0], self.X, values, slopes) / len(self.X)

    def products(self, w: Array) -> tuple[Array, Array, Array]:
        """(A w, C w, S w)."""
        psi, theta = self.players.weights
        M = len(self.X)
        values, slopes = self.players.rows_push(psi, self.X, self.D * w)
        if self.centred:
            values = values - values.mean()
        none, still = np.zeros(M), np.zeros_like(slopes)
        C = self.pulled(values, still) if self.kappa else np.zeros_like(w)
        pulled = self.G * self.players.generator_pull(theta, slopes, self.batch)
        moved = self.players.generator_push(theta, pulled, self.batch)
        return self.pulled(none, slopes), C, self.pulled(none, moved) / M

    def seen(self, c: float, noise: float, most: int, rng: np.random.Generator) -> Seen:
        """``noise``: 1/m_data + 1/m_latents: each of M points has a mass 1/M, in a batch of m of variance 1/(m M)."""
        M = len(self.X)
        start = self.pulled(np.zeros(M), self.errors)
        still, kicks = np.zeros_like(self.errors), []
        for _ in range(PROBES):
            masses = rng.standard_normal(M)
            kicks.append(c * np.sqrt(noise * M) * self.pulled(masses - masses.mean(), still))
        return seen(self.products, start, np.array(kicks).T, most, M)


def matched(data: Array, generated: Array) -> tuple[Array, Array]:
    """(X, errors (M, d)): a data point for each generated sample, at the least sum of squared distances, every one
    taken as often as any other up to once."""
    N = len(generated)
    X = np.concatenate([data] * -(-N // len(data)))[:N]
    x, y = (a.reshape(N, -1).astype(float) for a in (generated, X))
    square = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    _, order = linear_sum_assignment(square)
    return X[order], x - y[order]


@dataclass(frozen=True)
class Curve:
    """What is left of one batch's error against the strength. adaptive: (D, G) divide their gradients by a running
    size; pilot: the strength at which these sizes were measured."""

    seen: Seen
    rates: Rates
    steps: int
    adaptive: tuple[bool, bool]
    pilot: float

    @cached_property
    def edge(self) -> float:
        """The strength beyond which a step of D is too large for its stiffest mode; inf: none."""
        low, high = 0.0, self.rates.limit / max(float(np.linalg.eigvalsh(self.seen.A)[-1]), 1e-300)
        if self._stiffness(low) >= self.rates.limit:
            return 0.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self._stiffness(middle) < self.rates.limit else (low, middle)
        return low

    def _stiffness(self, strength: float) -> float:
        return float(np.linalg.eigvalsh(strength * self.seen.A + self.rates.kappa * self.seen.C)[-1])

    @cached_property
    def _measured(self) -> float:
        """The generator's rms gradient at the pilot's strength."""
        return self._left(self.pilot, 1.0)[1].gradient

    def _left(self, strength: float, faster: float) -> tuple[float, Any]:
        slower = 1.0
        if self.adaptive[0]:
            slower = min(1.0, AT_EDGE * self.rates.limit / max(self._stiffness(strength), 1e-300))
        return slower, left_of(self.seen, self.rates, strength, self.steps, slower, faster)

    def scales(self, strength: float) -> tuple[float, float]:
        """(of D's steps, of the generator's), relative to those at the checkpoint."""
        faster = 1.0
        if self.adaptive[1] and self.pilot > 0 and np.isfinite(self._measured):
            for _ in range(SETTLED):
                found = self._left(strength, faster)[1].gradient
                wanted = self._measured / found if 0 < found < np.inf else 1 / SCALE
                faster = float(np.clip(np.sqrt(faster * wanted), 1 / SCALE, SCALE))
        return self._left(strength, faster)[0], faster

    def __call__(self, strength: float) -> float:
        """Left over, noise included."""
        return self._left(strength, self.scales(strength)[1])[1].total

    @cached_property
    def _acting(self) -> Seen:
        """On the range of A, C and S alone: outside of it nothing acts, and multipliers are 1 twice."""
        together = (
            self.seen.A
            + self.seen.C
            + self.seen.S / max(np.linalg.norm(self.seen.S), 1e-300) * np.linalg.norm(self.seen.A)
        )
        values, V = np.linalg.eigh(together)
        V = V[:, values > ACTING * values[-1]]
        small = [V.T @ X @ V for X in (self.seen.A, self.seen.C, self.seen.S)]
        return replace(
            self.seen, A=small[0], C=small[1], S=small[2], start=V.T @ self.seen.start, noise=V.T @ self.seen.noise
        )

    def rate(self, strength: float) -> float:
        """Slowest decay of the modes of r, per step, at the steps of the checkpoint; below 0: one grows. Modes whose
        rate rounding does not tell from 0 take no part; 0 where there are no others."""
        if not np.isfinite(strength):
            return -np.inf
        step = step_map(self._acting, self.rates, strength)
        roots, _ = dense_roots(step - np.eye(len(step)), continuous=False)
        s, _, error = roots.logarithms(False)
        turning = (np.abs(roots.d) > RESTING) & (np.abs(s.real) > error)  # what G cannot change rests
        return float(-s.real[turning].max()) if turning.any() else 0.0


def loss_numbers(players: Players, count: int = 8) -> tuple[float, float, float, bool]:
    """(c, b, kappa, whether only differences of D count) of the players' loss where q = p, by central differences in
    equal scores s: c = dL_D/d(fake), b = -dL_G/d(fake), kappa = d^2 L_D along one function of both, at the s where L_D
    is stationary in s."""
    one, rng = np.ones(count), np.random.default_rng(0)

    def D(real: Array, fake: Array) -> float:
        return players.losses(real, fake)[0]

    def tilt(s: float) -> float:
        return (D((s + STEP) * one, (s + STEP) * one) - D((s - STEP) * one, (s - STEP) * one)) / (2 * STEP)

    low, high = -2.0, 2.0
    centred = max(abs(tilt(s)) for s in (low, 0.0, high)) < STEP**2
    at = 0.0
    if not centred:
        if tilt(low) * tilt(high) > 0:
            raise InputError("loss", "have an equilibrium: equal scores between -2 and 2 that are best", "none")
        at = float(brentq(tilt, low, high, xtol=1e-12))
    base = at * one

    def fake(player: int) -> float:
        up, down = (players.losses(base, base + h)[player] for h in (STEP, -STEP))
        return (up - down) / (2 * STEP)

    v = rng.permutation(np.repeat([1.0, -1.0], count // 2))
    w = np.roll(np.sort(v), count // 4)
    v = np.sort(v)  # orthogonal to w: pairs of scores are of different samples
    kappa = (D(base + STEP * v, base + STEP * w) + D(base - STEP * v, base - STEP * w) - 2 * D(base, base)) / STEP**2
    return fake(0), -fake(1), max(float(kappa), 0.0) if kappa > STEP else 0.0, centred


def preconditioner(optimizer: Optimizer, n: int) -> tuple[Array, float, bool]:
    """(P (n,), momentum as an average of gradients, whether the gradient is divided by its running size)."""
    adaptive = "v" in optimizer.blocks
    beta = optimizer.settings["beta1" if adaptive else "momentum"]
    return np.broadcast_to(optimizer.preconditioner, (n,)), float(np.mean(beta)), adaptive


def curves(game: Game, horizon: int, products: int = PRODUCTS, fresh: bool = True, seed: int = 0) -> list[Curve]:
    """One for each mini-batch that the game holds. ``fresh``: the batches of training are draws from more data than one
    of them; else each is all of the data."""
    players, schedule = game.players, game.schedule
    c, b, kappa, centred = loss_numbers(players)
    (P_D, beta_D, of_D), (P_G, beta_G, of_G) = (
        preconditioner(o, n) for o, n in zip(game.optimizers, players.sizes, strict=True)
    )
    rates = Rates(c, b, kappa, (beta_D, beta_G), schedule.critic_steps, schedule.alternating)
    rng, found = np.random.default_rng([seed, 7]), []
    theta = players.weights[1]
    for k in range(players.batches):
        data, made = players.real(k), players.generated(theta, k)
        X, errors = matched(data, made)
        batch = Batch(players, X, errors, np.sqrt(P_D), P_G, centred, k, kappa)
        noise = (1 / len(data) if fresh else 0.0) + 1 / len(made)
        small = batch.seen(c, noise, products, rng)
        found.append(Curve(small, rates, horizon, (of_D, of_G), float(game.strengths.get("r1", 0.0))))
    return found


def advise_game(
    game: Game,
    horizon: float,
    *,
    products: int = PRODUCTS,
    fresh: bool = True,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Advice:
    """The strength that leaves least of what D sees of the error after ``horizon`` more steps, noise of
    mini-batches included; of several batches the worst decides. SGD: at most half of the edge of stability; Adam: at
    most the edge itself, where it begins to hold itself by its own second moment."""
    if isinstance(horizon, bool) or not isinstance(horizon, int | float | np.number) or not 1 <= horizon < np.inf:
        raise InputError("horizon", "be a number of steps > 0", repr(horizon))
    steps = int(horizon)
    asked = curves(game, steps, products, fresh, seed)
    adaptive = asked[0].adaptive[0]
    edge = min(curve.edge for curve in asked)
    top = edge if edge > 0 else min(2 / np.linalg.eigvalsh(curve.seen.A)[-1] for curve in asked)
    points = int(PER_DECADE * np.log10((ABOVE if adaptive else 1.0) / BELOW)) + 1
    strengths = np.union1d(np.geomspace(top * BELOW, top * (ABOVE if adaptive else 1.0), points), [top / SAFETY, top])
    lefts = np.empty((len(asked), len(strengths)))
    for i, curve in enumerate(asked):
        lefts[i] = [curve(float(s)) for s in strengths]
        if progress is not None:
            progress(i + 1, len(asked))
    safe = 1.0 if adaptive else SAFETY
    inside = strengths <= top / safe * (1 + 1e-12)
    least = np.where(inside, lefts, np.inf).min(1)
    regret = (lefts / least[:, None]).max(0)
    without = np.array([curve(0.0) for curve in asked])
    choice = choose(strengths, regret, float((without / least).max()), edge if edge > 0 else 0.0, safety=safe)
    best = choice.best

    def told(strength: float) -> float:
        return float(np.sqrt(np.mean([curve(strength) ** 2 for curve in asked])))

    endless = [_fastest(curve, strengths[inside]) for curve in asked]
    at = [curve.rate(best) for curve in asked]
    draws = tuple(
        Draw(
            0, k, best=float(strengths[np.argmin(np.where(inside, lefts[k], np.inf))]), left=float(least[k]),
            left_at_advised=curve(best), asymptotic=endless[k][0], rate=endless[k][1], rate_at_advised=at[k],
            beta_min=float(curve.seen.nodes()[0][-1]), beta_max=float(curve.seen.nodes()[0][0]),
            modes=len(curve.seen.start), unresolved=0, stable=(None, curve.edge), method="numerical", binding_modes=(),
        )
        for k, curve in enumerate(asked)
    )  # fmt: skip
    left = {f: told(f * best) for f in (0.0, 0.5, 1.0, 2.0)}
    log = np.log([d.best for d in draws])
    spread = float(log.std(ddof=1)) if len(draws) > 1 else float("nan")
    middle = float(np.exp(log.mean()))
    slow = float(np.mean([np.exp(-steps * max(r, 0.0)) > np.exp(-1) for r in at]))
    with np.errstate(divide="ignore"):
        reach = Reach(-float(np.log(left[1.0])), slow, None, None, None, None)
    return Advice(
        best=best, horizon=float(steps), left=left[1.0], left_without=left[0.0], left_at_half=left[0.5],
        left_at_double=left[2.0], frozen=0.0, moving=left[1.0], moving_without=left[0.0],
        moving_at_half=left[0.5], moving_at_double=left[2.0],
        low=middle * float(np.exp(-spread)), high=middle * float(np.exp(spread)), edge=edge,
        rate=float(np.mean(at)), rate_at_half=float(np.mean([curve.rate(best / 2) for curve in asked])),
        rate_at_double=float(np.mean([curve.rate(2 * best) for curve in asked])),
        asymptotic=Asymptotic(float(np.exp(np.mean(np.log([e[0] for e in endless])))),
                              float(np.mean([e[1] for e in endless])), "numerical"),
        unit="1/step", assumptions=_assumptions(asked[0], fresh), strengths=strengths, lefts=lefts, choice=choice,
        spread_batches=spread, spread_initialisations=float("nan"), batch_size=asked[0].seen.samples, draws=draws,
        stable=(None, edge), sizes=(), exponents={}, variations=(), check=None, reach=reach,
        precision=getattr(game.players, "precision", "float64"), left_of=SEEN, notes=_notes(asked, choice, game),
        safety=safe,
    )  # fmt: skip


def _fastest(curve: Curve, strengths: Array) -> tuple[float, float]:
    """(strength at which the slowest mode decays fastest, its rate)."""
    rates = np.array([curve.rate(float(s)) for s in strengths])
    i = int(np.argmax(rates))
    low, high = strengths[max(i - 1, 0)], strengths[min(i + 1, len(strengths) - 1)]
    best = refined(lambda s: -curve.rate(s), low, high, 1e-4)[0]
    return (best, curve.rate(best)) if curve.rate(best) > rates[i] else (float(strengths[i]), float(rates[i]))


def _assumptions(curve: Curve, fresh: bool) -> tuple[str, ...]:
    r, held = curve.rates, "divided by running sizes of gradients" if any(curve.adaptive) else "plain gradient steps"
    return (
        "every generated sample is one data point with an error, by an assignment; D sees these errors alone",
        f"the networks' derivatives stay those of the checkpoint; steps are {held}",
        f"loss: c = {r.c:.4g}, b = {r.b:.4g}, kappa = {r.kappa:.4g}, at equal scores of data and samples",
        "only what D sees of the error counts; noise: "
        + ("mini-batches of data and latents, drawn anew" if fresh else "latents drawn anew, all data in every batch"),
        "weight decay of the optimisers is left out",
    )


def _notes(asked: list[Curve], choice: Choice, game: Game) -> tuple[str, ...]:
    out, small = [], asked[0].seen
    exact = "exact" if small.exact else "the leading part of the"
    out.append(
        f"from {small.products} products with both networks on {small.samples} samples "
        + ("(nothing is left out)" if small.exact else f"({exact} space that the error reaches)")
    )
    if any(asked[0].adaptive):
        pilot = asked[0].pilot
        out.append(
            f"Adam's steps follow the size of gradients, which the strength changes: measured at {pilot:.3g}. "
            "Train some steps at the advised strength and ask again. Beyond the edge Adam holds itself: the curve is "
            "flat there, theory does not tell strengths apart; in training from scratch larger ones were often better"
        )
        out.append(
            "a first guess: in trials of training from scratch with Adam it was off by factors of 2 to 30, at 1 to 1.7 "
            "times the least energy distance (with SGD by 2 to 4, at 1 to 1.5 times it)"
        )
        if choice.best and not 1 / CONSISTENT <= choice.best / max(pilot, 1e-300) <= CONSISTENT:
            out.append(f"it is more than a factor {CONSISTENT:g} from the strength trained at: ask again")
    return tuple(out)


__all__ = ["PRODUCTS", "Batch", "Curve", "advise_game", "curves", "loss_numbers", "matched"]
