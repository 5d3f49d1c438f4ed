"""The spectrum of a game at a checkpoint, within a number of products said beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..base.errors import InputError
from ..base.ram import free_memory
from ..base.terminal import progress_bar
from .density import Density, joined, lanczos
from .frozen import Frozen
from .leading import MEMORY, Budget, Leading, Spent, leading
from .modes import CHECKED, CONVERGED, ROOM, TROUBLE, Mode, adjoint, averaged, carried, root, shares
from .modes import kind as kind_of
from .noise import Noise, over_batches
from .optimizers import Optimizer
from .result import Cost, GameSpectrum
from .scan import Scan, scan
from .stepmap import GameMap
from .transposes import First, wrong

if TYPE_CHECKING:
    from .game import Game

Array = np.ndarray
Progress = Callable[[float, float], None]
#: parts of the products: modes, adjoint modes, each player's own curvature, and a scan, or where there is none more for
#: the modes
RIGHT, LEFT, CURVATURE, SCANNED = 0.35, 0.2, 0.04, 0.2
#: products that a scan is worth starting with
SCAN = 24
#: training steps that take about the time of one product
STEPS_PER_PRODUCT = 4


def cost_of(game: Game, products: int = 300) -> Cost:
    """What ``spectrum_of`` with so many products costs at most, from one product that is timed after a first one, which
    builds what later ones use."""
    A = game.map
    v = np.random.default_rng(0).standard_normal(A.n)
    A.product(v)
    begin = time.perf_counter()
    A.product(v)
    each = time.perf_counter() - begin
    size = min(products, int(MEMORY * free_memory() / (8.0 * A.n)))
    return Cost(products, each, each * products, A.cost, 8.0 * A.n * size)


def spectrum_of(
    game: Game, products: int = 300, *, count: int = 8, adjoints: bool = True, scan: str | tuple[str, float, float]
    | None = "auto", curvature: bool = True, average: float | None = 0.999, ahead: int = 0, seed: int = 0,
    progress: Progress | bool = True,
) -> GameSpectrum:  # fmt: skip
    """The leading multipliers of one training step about the checkpoint, and what they say (``GameSpectrum``).

    products: of the step's Jacobian with a vector, at most so many in all (a player's own curvature and a step on one
    mini-batch count as one each, too); said beforehand with the time they take. count: multipliers farthest from 1, and
    as many of largest modulus above 1. adjoints: with the adjoint modes, which conditions, participations, distances
    and noise need. scan: a penalty's strength that the modes are followed over, ("r1", low, high) or its name (a factor
    10 either side); "auto": r1, where it is there, some mode overshoots or circles growing, and products are left; None
    for none. curvature: each player's own. average: factor per step of the generator's moving average, None for none.
    ahead: so many training steps are made on the batches held (in the map; four count as a product), to see how far
    the multipliers of the leading modes move meanwhile.
    progress: True for a bar, False, or a function (done, total). KeyboardInterrupt ends it with what was found.

    Multipliers that are equal by symmetry are found once. Raises InputError for derivatives that are not finite.
    """
    if isinstance(products, bool) or not isinstance(products, int | np.integer) or products < 2:
        raise InputError("products", "be a whole number of at least 2", repr(products))
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError("seed", "be a whole number of at least 0", repr(seed))
    if average is not None and not 0 <= average < 1:
        raise InputError("average", "be a factor from 0 to below 1, or None", average)
    if ahead < 0:
        raise InputError("ahead", "be a number of training steps, at least 0", ahead)
    wanted = _scanned(game, scan)
    begin = time.perf_counter()
    with _told(game, products, progress) as tell:
        budget = Budget(products, tell)
        found = _find(
            game, budget, count, adjoints, seed, curvature,
            -(-ahead // STEPS_PER_PRODUCT) + 2 * CHECKED if ahead else 0,
            lambda z: wanted is not None and (scan != "auto" or _troubled(root(z, game.map.steps))),
        )  # fmt: skip
        modes = _modes(game, found, budget, average, ahead)
        noise, modes = over_batches(game, found.right, found.adjoints, modes, budget)
        scanned = _scan(game, found, modes, budget, wanted, scan == "auto", seed)
    if wanted is not None and scan != "auto" and scanned is None and not budget.interrupted:
        text = f"The scan asked for was not made: {products} products were too few for it; allow twice as many."
        found = found._replace(notes=(*found.notes, text))
    return _result(game, found, modes, noise, scanned, budget, average, seed, time.perf_counter() - begin)


@contextmanager
def _told(game: Game, products: int, progress: Progress | bool) -> Iterator[Progress | None]:
    """What hears of every product; the bar says the cost first, then by the mean of the products made."""
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield None
    else:
        with progress_bar(f"spectrum, {cost_of(game, products)}") as update:
            begin = time.perf_counter()

            def tell(done: float, total: float) -> None:
                each = (time.perf_counter() - begin) / done
                said = Cost(int(total), each, each * total, game.map.cost, 0.0)
                update(int(done), int(total), f"spectrum, {said}")

            yield tell


class _Found(NamedTuple):
    """Modes and adjoints of the product of steps, with u^T x = 1 (nan where no adjoint was found)."""

    right: Leading
    adjoints: Array
    density: Density | None
    curvature: tuple[Density | None, Density | None]
    ended: str
    notes: tuple[str, ...] = ()


def _find(
    game: Game, budget: Budget, count: int, adjoints: bool, seed: int, curvature: bool, ahead: int,
    scanned: Callable[[Array], bool],
) -> _Found:  # fmt: skip
    """ahead: products that looking ahead will take; ``scanned``: whether a scan will need products, by the multipliers
    found."""
    A, total = game.map, budget.total
    # without adjoints theirs are the modes'
    share = RIGHT if adjoints else RIGHT + LEFT
    apply, back = First(A.product), First(A.transposed)
    right = leading(
        apply, A.n, budget, max(2, int(share * total)), count=count, seed=seed,
        more=lambda z: 0 if scanned(z) else int(SCANNED * total),
    )  # fmt: skip
    parts = [(right.nodes, right.weights)]
    U = np.full(right.vectors.shape, np.nan, dtype=complex)
    if adjoints and len(right.values):
        # what is seen of the modes is most of their adjoints, if these are not far from orthogonal
        begun = (right.vectors.real + right.vectors.imag).sum(1)
        rest = (
            budget.left - _reserved(game, total, count, ahead) - (int(SCANNED * total) if scanned(right.values) else 0)
        )
        limit = max(2, int(LEFT * total), rest)
        left = leading(back, A.n, budget, limit, count=count, start=begun, seed=seed + 1)
        for i, j in enumerate(adjoint(right.values, left.values, right.tails, left.tails)):
            if j >= 0:
                u = left.vectors[:, j]
                U[:, i] = u / (u @ right.vectors[:, i])
    density = joined("multipliers of the step", "1", parts, A.n) if A.steps == 1 else None
    curves = [_curvature(game, player, budget, seed) if curvature else None for player in (0, 1)]
    single = getattr(game.players, "precision", "float64") != "float64"
    notes = wrong(apply, back, game.players.framework, single)
    return _Found(right, U, density, (curves[0], curves[1]), right.ended, notes)


def _reserved(game: Game, total: float, count: int, ahead: int) -> int:
    """Products of what follows the modes and their adjoints, a scan left out."""
    batches = 1 + 2 * count + 2 * CHECKED if game.players.batches > 1 else 0
    return 2 * max(8, int(CURVATURE * total)) + 4 * CHECKED + batches + ahead


def _curvature(game: Game, player: int, budget: Budget, seed: int) -> Density | None:
    """Of P^1/2 H P^1/2, H the Hessian of the player's own objective in its own weights."""
    players, optimizer, P = game.players, game.optimizers[player], game.map.preconditioners[player]
    psi, theta = players.weights
    n, root_P = players.sizes[player], np.sqrt(np.abs(P))
    other = np.zeros(players.sizes[1 - player])

    def apply(v: Array) -> Array:
        d = root_P * v
        along = (d, other) if player == 0 else (other, d)
        images = [
            players.push(player, psi, theta, along[0], along[1], game.strengths, b) for b in range(players.batches)
        ]
        return np.asarray(root_P * np.mean(images, axis=0))

    part = lanczos(apply, n, budget, max(8, int(CURVATURE * budget.total)), seed + 2 + player)
    whose = ("discriminator", "generator")[player]
    return joined(f"the {whose}'s own step times its curvature", "1", [part], n, _edge(optimizer))


def _momentum(optimizer: Optimizer) -> float:
    """The factor that the first moment is multiplied by, 0 without one; mean over groups."""
    s = optimizer.settings
    return float(np.mean(s.get("beta1", 0.0) if optimizer.kind.startswith("adam") else s.get("momentum", 0.0)))


def _edge(optimizer: Optimizer) -> float:
    """P times curvature from where on the step is too large, Eq. (115, step-edge); of Nesterov's momentum b,
    1 + 2 b times less."""
    b = _momentum(optimizer)
    nesterov = bool(np.any(optimizer.settings.get("nesterov", False)))
    return 2 * (1 + b) / (1 - b) / (1 + 2 * b if nesterov else 1.0)


def _later(A: GameMap, steps: int, budget: Budget) -> GameMap | None:
    """The map after so many training steps; None: not asked for, or not within the budget, or training diverges."""
    if not steps:
        return None
    found: list[GameMap] = []

    def made(_: Array) -> Array:
        found.append(A.after(steps))
        return np.zeros(1)

    try:
        budget.counted(made, steps / STEPS_PER_PRODUCT)(np.zeros(1))
    except Spent:
        return None
    return found[0] if np.isfinite(found[0].state).all() else None


def _shift(later: GameMap, x: Array, u: Array, value: complex, budget: Budget) -> float:
    """|u^T (A' - value) x|, the first-order change of the multiplier, over |value - 1|; without the adjoint mode u the
    size |(A' - value) x|, which leaves out the multiplier's condition."""
    product = budget.counted(later.product)
    try:
        image = product(x.real) + (1j * product(x.imag) if np.any(x.imag) else 0.0)
    except Spent:
        return float("nan")
    change = image - value * x
    size = abs(u @ change) if np.isfinite(u[0]) else np.linalg.norm(change) / np.linalg.norm(x)
    return float(size / max(abs(value - 1), 1e-300))


def _modes(game: Game, found: _Found, budget: Budget, average: float | None, ahead: int) -> list[Mode]:
    A, right = game.map, found.right
    z = root(right.values, A.steps)
    weights = np.zeros(A.n, dtype=bool)
    for name in ("psi", "theta"):
        weights[A.parts[name]] = True
    norm = float(np.linalg.norm(A.state[weights]))
    checks = Frozen(game, budget)
    later = _later(A, ahead, budget)
    unit = ROOM * np.sqrt(A.n) * float(np.finfo(getattr(game.players, "precision", "float64")).eps)
    conditions = np.linalg.norm(found.adjoints, axis=0) * np.linalg.norm(right.vectors, axis=0)
    assumed, out = float(np.nanmax(conditions, initial=1.0)), []
    for j, value in enumerate(right.values):
        x, u, r = right.vectors[:, j], found.adjoints[:, j], float(right.residuals[j])
        known = bool(np.isfinite(u[0]))
        # d z = d(value) z / (steps value)
        scale = abs(z[j]) / (A.steps * abs(value)) if value else 1.0
        d, g, moments = shares(x, A.parts)
        more: dict[str, float] = {"rounding": unit * max(1.0, abs(value)) * scale, "assumed": assumed}
        if known:
            more["condition"] = float(conditions[j])
            more["carried_D"], more["carried_G"] = carried(u, x, A.parts)
            along, size = u @ A.velocity, float(np.linalg.norm(x[weights]))
            both = 2.0 if value.imag else 1.0
            more["velocity"] = float(abs(along)) * size * both
            more["distance"] = more["velocity"] / max(abs(value - 1), 1e-300) / norm if norm else float("nan")
        if j < CHECKED:
            more["turnover"], more["neglected"] = checks(x, right.next, complex(right.tails[j]), complex(value))
            if later is not None:
                more["shift"] = _shift(later, x, u, complex(value), budget)
        if average is not None:
            more["averaged"] = averaged(complex(z[j]), average)
        precise = r <= CONVERGED * abs(value - 1) or r <= 1e-12
        out.append(Mode(complex(z[j]), complex(value), A.steps, r * scale, d, g, moments, bool(precise), **more))
    return out


def _scanned(game: Game, asked: str | tuple[str, float, float] | None) -> tuple[str, float | None, float | None] | None:
    """(penalty, low, high) or None. Raises InputError."""
    if asked is None:
        return None
    if asked == "auto":
        return ("r1", None, None) if "r1" in game.strengths else None
    if not isinstance(asked, str) and not (isinstance(asked, tuple | list) and len(asked) == 3):
        raise InputError("scan", 'be a penalty\'s name, (name, low, high), "auto" or None', repr(asked))
    name, low, high = (asked, None, None) if isinstance(asked, str) else asked
    if name not in game.strengths:
        raise InputError("scan", f"name a penalty of the game ({', '.join(game.strengths) or 'it has none'})", name)
    if low is not None or high is not None:
        now = float(game.strengths[name])
        if not (isinstance(low, int | float) and isinstance(high, int | float) and 0 < low < high < np.inf):
            raise InputError("scan", "be a range of strengths, 0 < low < high", (low, high))
        if now > 0 and not low <= now <= high:
            raise InputError("scan", f"hold the present strength, {now:.4g}", (low, high))
    return name, low, high


def _troubled(z: Array) -> bool:
    """Whether one of the multipliers is of a kind that something should be changed for."""
    return any(kind_of(complex(value)) in TROUBLE for value in z)


def _scan(
    game: Game, found: _Found, modes: list[Mode], budget: Budget, wanted: tuple[str, float | None, float | None] | None,
    only_trouble: bool, seed: int,
) -> Scan | None:  # fmt: skip
    if wanted is None or budget.left < SCAN:
        return None
    name, low, high = wanted
    bad = [i for i, m in enumerate(modes) if m.kind in TROUBLE]
    if only_trouble and not _troubled(np.array([m.multiplier for m in modes])):
        return None
    right = found.right
    rows = [*bad, *(i for i in range(len(modes)) if i not in bad)]
    first = replace(right, values=right.values[rows], vectors=right.vectors[:, rows],
                    residuals=right.residuals[rows], tails=right.tails[rows])  # fmt: skip
    return scan(
        lambda s: game.map.at(**{name: s}), name, float(game.strengths[name]), first, budget, low=low, high=high,
        degree=game.schedule.critic_steps, seed=seed,
    )  # fmt: skip


def _result(
    game: Game, found: _Found, modes: list[Mode], noise: Noise | None, scanned: Scan | None, budget: Budget,
    average: float | None, seed: int, seconds: float,
) -> GameSpectrum:  # fmt: skip
    A, players = game.map, game.players
    psi, theta = players.weights
    own = [A.parts["psi"], A.parts["theta"]]
    norm = float(np.sqrt(psi @ psi + theta @ theta))
    moved = float(np.sqrt(sum(float(A.velocity[p] @ A.velocity[p]) for p in own)))
    gradients = [
        float(np.linalg.norm(np.mean([players.gradient(p, psi, theta, game.strengths, b)
                                      for b in range(players.batches)], axis=0)))
        for p in (0, 1)
    ]  # fmt: skip
    ended = "interrupted" if budget.interrupted else found.ended
    return GameSpectrum(
        modes=tuple(modes), moved=moved / norm if norm else float("nan"), norm=norm,
        gradients=(gradients[0], gradients[1]), strengths=dict(game.strengths), schedule=asdict(game.schedule),
        optimizers=(_described(game.optimizers[0]), _described(game.optimizers[1])), framework=players.framework,
        sizes=players.sizes, batches=players.batches, steps=A.steps, average=average, products=budget.used,
        allowed=int(budget.total), seconds=seconds, ended=ended, seed=seed, notes=(*found.notes, *players.notes),
        density=found.density, curvature_D=found.curvature[0], curvature_G=found.curvature[1], noise=noise,
        scan=scanned, parts=A.parts, vectors=found.right.vectors, adjoints=found.adjoints,
    )  # fmt: skip


def _described(optimizer: Optimizer) -> Mapping[str, Any]:
    """Kind and numbers of an optimiser, whether it is fresh; of an array over weights, the mean."""
    numbers = {k: v if isinstance(v, bool) else float(np.mean(v)) for k, v in optimizer.settings.items()}
    return {"kind": optimizer.kind, **numbers, "momentum": _momentum(optimizer), "count": int(np.max(optimizer.count)),
            "fresh": optimizer.fresh}  # fmt: skip


__all__ = ["cost_of", "spectrum_of"]
