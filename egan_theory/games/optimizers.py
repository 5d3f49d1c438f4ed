"""The optimisers of real training, one entry of OPTIMIZERS each: the step, and its derivative.

A step acts on every weight alone: (w, moments, g) -> (w, moments)', g the gradient at w. Its derivative is therefore a
small table of numbers per weight, from (w, moments, g) to (w, moments): ``slopes``. SymPy's derivative of ``step`` is
the same, which a test says. The second moment is a moment like others; a *frozen* one keeps the value that it has after
the step from the checkpoint, and has no row and no column.

Sources: Polyak 1964 (heavy ball); Sutskever et al. 2013 (its Nesterov form); Kingma and Ba 2015, arXiv:1412.6980,
algorithm 1 (Adam); Loshchilov and Hutter 2019, arXiv:1711.05101 (AdamW); Reddi et al. 2018, arXiv:1904.09237 (AMSGrad);
in the forms of torch.optim, which Optax shares but for AMSGrad.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..base.arrays import numbers
from ..base.errors import InputError
from ..base.parameters import Parameter, fraction, not_negative
from ..base.shown import Shown
from ..base.spelling import unknown

Array = np.ndarray
Settings = Mapping[str, Any]
#: weights ("w") and moments ("m", "v", "v_max") of one player by name, or perturbations of them
Blocks = Mapping[str, Array]
#: per weight, the derivative of the first named with respect to the second; "g": of the gradient
Slopes = Mapping[tuple[str, str], Any]

#: moments that are held when second moments are frozen
SLOW = frozenset({"v", "v_max"})


class Functions(NamedTuple):
    """What a step needs besides arithmetic; SymPy's own where it is derived."""

    root: Callable[[Any], Any] = np.sqrt
    largest: Callable[[Any, Any], Any] = np.maximum


FUNCTIONS = Functions()


@dataclass(frozen=True)
class Rule:
    """An entry of OPTIMIZERS.

    ``settings``: what it may be given; ``moments(settings)``: names of its state, in order; ``step(settings, blocks, g,
    t, functions)``: the blocks after step number t = 1, 2, ...; ``slopes(settings, blocks, g, t, frozen)``: its
    derivative, with the mean square held if ``frozen``;
    ``preconditioner(settings, blocks, t)``: the step per unit of a gradient that stays, after t steps.
    """

    kind: str
    title: str
    settings: Mapping[str, Parameter]
    moments: Callable[[Settings], tuple[str, ...]]
    step: Callable[..., dict[str, Any]]
    slopes: Callable[..., dict[tuple[str, str], Any]]
    preconditioner: Callable[[Settings, Blocks, Any], Any]


OPTIMIZERS: dict[str, Rule] = {}


def get_optimizer(kind: str) -> Rule:
    """The entry of that name; InputError names the choices."""
    if kind not in OPTIMIZERS:
        raise unknown("optimizer", kind, OPTIMIZERS)
    return OPTIMIZERS[kind]


@dataclass(frozen=True)
class Optimizer(Shown):
    """One player's optimiser at a checkpoint.

    Attributes:
        kind: a key of OPTIMIZERS ("sgd", "adam", "adamw").
        settings: its numbers by name: learning_rate [1/step], weight_decay (sgd: momentum, dampening, nesterov; adam,
            adamw: beta1, beta2, eps, amsgrad) [1], each one number or, where groups of weights differ, an array (n,).
        moments: [gradient, its square] its state by name ("m", "v", "v_max"), arrays (n,), none at the start.
        count: [steps] taken, one number or (n,).

    Raises:
        InputError: a kind, setting or moment that is none, no learning rate, or numbers out of their range.

    Source:
        torch.optim and Optax, whose steps these are; Adam: Kingma and Ba 2015; Eq. (114, frozen-adam).
    """

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    moments: Mapping[str, Array] = field(default_factory=dict)
    count: Any = 0

    def __post_init__(self) -> None:
        rule = self.rule
        if not isinstance(self.settings, Mapping):
            raise InputError("settings", 'be by name, {"learning_rate": 0.02}', repr(self.settings))
        if unknown := set(self.settings) - set(rule.settings):
            raise InputError(
                f"optimizer {self.kind}", f"have no setting but {', '.join(rule.settings)}", sorted(unknown)
            )
        if "learning_rate" not in self.settings:
            raise InputError(f"optimizer {self.kind}", "have a learning_rate", sorted(self.settings))
        settings = {}
        for name, parameter in rule.settings.items():
            value = numbers(f"optimizer.{name}", np.asarray(self.settings.get(name, parameter.default)) * 1.0)
            most = np.inf if parameter.most is None else parameter.most
            if not (np.all(np.isfinite(value)) and np.all(value >= parameter.least) and np.all(value < most)):
                raise InputError(f"optimizer.{name}", f"be {parameter.range}", value)
            settings[name] = float(value.flat[0]) if np.ptp(value) == 0 else value
        object.__setattr__(self, "settings", settings)
        moments = {name: np.asarray(numbers(f"optimizer.{name}", m), float) for name, m in self.moments.items()}
        if unknown := set(moments) - set(rule.moments(settings)) - {"m"}:
            raise InputError(f"optimizer {self.kind}", f"have no moments but {rule.moments(settings)}", sorted(unknown))
        object.__setattr__(self, "moments", moments)

    TITLE: ClassVar[str] = "{0.kind}"

    def grid(self) -> tuple[tuple[str, ...], list[tuple[str, Any]]]:
        settings = [(name.replace("_", " "), value if np.ndim(value) == 0 else f"{np.min(value):.4g} to "
                     f"{np.max(value):.4g}, by weight") for name, value in self.settings.items()]  # fmt: skip
        return (), [*settings, ("moments", ", ".join(self.moments) or "none"), ("steps taken", int(np.max(self.count)))]

    @property
    def rule(self) -> Rule:
        """The entry of OPTIMIZERS of its kind."""
        return get_optimizer(self.kind)

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the moments that the next weights depend on."""
        return self.rule.moments(self.settings)

    @property
    def moving(self) -> tuple[str, ...]:
        """Those of them that are left when second moments are frozen."""
        return tuple(name for name in self.blocks if name not in SLOW)

    @property
    def fresh(self) -> bool:
        """Whether it divides by second moments and has taken no step yet, for some weights: its next step is by the
        learning rate whatever the gradient's size."""
        return "v" in self.blocks and not ("v" in self.moments and bool(np.all(np.asarray(self.count) > 0)))

    def start(self, w: Array) -> dict[str, Array]:
        """Weights (n,) with the moments of the checkpoint, zeros where it has none.

        Raises:
            InputError: a setting or moment that has not one number per weight.
        """
        out = {"w": w}
        for name in self.blocks:
            out[name] = self.moments.get(name, np.zeros_like(w))
        for name, value in {**out, **self.settings, "count": self.count}.items():
            if np.shape(value) not in ((), w.shape) or (name in out and np.shape(value) != w.shape):
                raise InputError(f"optimizer.{name}", f"hold one number per weight, {w.size}", np.shape(value))
        return out

    def advance(self, blocks: Blocks, g: Array, taken: int = 0) -> dict[str, Array]:
        """The real step, after ``taken`` more steps than the checkpoint's."""
        return self.rule.step(self.settings, blocks, g, self.count + taken + 1, FUNCTIONS)

    def slopes(self, blocks: Blocks, g: Array, taken: int = 0, frozen: bool = True) -> Slopes:
        """The derivative of ``advance`` per weight; zeros are left out."""
        found = self.rule.slopes(self.settings, blocks, g, self.count + taken + 1, frozen)
        keep = {"w", "g", *(self.moving if frozen else self.blocks)}
        return {ij: c for ij, c in found.items() if keep.issuperset(ij) and np.any(c)}

    @property
    def preconditioner(self) -> float | Array:
        """P: the step per unit of a gradient that stays, lr (1 - dampening)/(1 - momentum) of SGD, lr/(sqrt(v-hat) +
        eps) of Adam by its own state, bias correction included; one number or (n,) [step per gradient].

        Raises:
            InputError: before the first step of Adam, which has no second moment then.
        """
        if self.fresh:
            raise InputError("optimizer", "have taken a step (the preconditioner of Adam is its second moment)", "none")
        return self.rule.preconditioner(self.settings, self.moments, self.count)


def tangent(slopes: Slopes, d: Blocks, dg: Any) -> dict[str, Any]:
    """The derivative applied: perturbations of the blocks and of the gradient to those of the blocks after the step."""
    out = {name: np.zeros_like(value) for name, value in d.items()}
    for (i, j), c in slopes.items():
        out[i] += _column(c, out[i]) * (dg if j == "g" else d[j])
    return out


def cotangent(slopes: Slopes, e: Blocks) -> tuple[dict[str, Any], Any]:
    """Its transpose: (blocks, gradient)."""
    out = {name: np.zeros_like(value) for name, value in e.items()}
    out["g"] = np.zeros_like(e["w"])
    for (i, j), c in slopes.items():
        out[j] += _column(c, e[i]) * e[i]
    dg = out.pop("g")
    return out, dg


def _column(c: Any, like: Array) -> Any:
    """A number per weight beside columns of perturbations."""
    return c[:, None] if np.ndim(c) == 1 and like.ndim == 2 else c


def optimizer(kind: str, title: str, settings: Mapping[str, Parameter]) -> Callable[[type], type]:
    """Decorator: the static methods of the class become a new entry of OPTIMIZERS."""

    def entered(rule: Any) -> Any:
        shared = {"learning_rate": not_negative(0.0, "step"), "weight_decay": not_negative(0.0, "towards 0")}
        OPTIMIZERS[kind] = Rule(
            kind, title, {**shared, **settings}, rule.moments, rule.step, rule.slopes, rule.preconditioner
        )
        return rule

    return entered


def _flag(text: str) -> Parameter:
    return not_negative(0.0, text)


# -- the entries -----------------------------------------------------------------------------------------------------


@optimizer(
    "sgd",
    "gradient steps, with momentum (heavy ball) or Nesterov's form of it",
    {
        "momentum": fraction(0.0, "what the moving sum of gradients keeps per step"),
        "dampening": not_negative(0.0, "what a gradient loses on entering that sum, but for the first"),
        "nesterov": _flag("1: step along the sum that the next gradient would find"),
    },
)
class _SGD:
    @staticmethod
    def moments(s: Settings) -> tuple[str, ...]:
        return ("m",) if np.any(s["momentum"]) else ()

    @staticmethod
    def _enters(s: Settings, t: Any) -> Any:
        # torch.optim: the first gradient becomes the buffer as it is, and without momentum there is no dampening
        return 1 - s["dampening"] * (np.asarray(t) > 1) * (np.asarray(s["momentum"]) != 0)

    @staticmethod
    def step(s: Settings, x: Mapping[str, Any], g: Any, t: Any, f: Functions) -> dict[str, Any]:
        mu, nu, m = s["momentum"], s["nesterov"], x.get("m", 0.0)
        full = g + s["weight_decay"] * x["w"]
        m = mu * m + _SGD._enters(s, t) * full
        out = {"w": x["w"] - s["learning_rate"] * (nu * (full + mu * m) + (1 - nu) * m)}
        return {**out, "m": m} if "m" in x else out

    @staticmethod
    def slopes(s: Settings, x: Mapping[str, Any], g: Any, t: Any, frozen: bool) -> dict[tuple[str, str], Any]:
        mu, nu, lr, decay = s["momentum"], s["nesterov"], s["learning_rate"], s["weight_decay"]
        enters, ahead = _SGD._enters(s, t), nu * mu + 1 - nu
        per_gradient = lr * (nu + ahead * enters)
        out = {("w", "w"): 1 - per_gradient * decay, ("w", "g"): -per_gradient}
        if "m" in x:
            out |= {("m", "w"): enters * decay, ("m", "m"): mu, ("m", "g"): enters, ("w", "m"): -lr * ahead * mu}
        return out

    @staticmethod
    def preconditioner(s: Settings, x: Blocks, t: Any) -> Any:
        return s["learning_rate"] * _SGD._enters(s, 2) / (1 - s["momentum"])


_ADAM = {
    "beta1": fraction(0.9, "what the mean gradient keeps per step"),
    "beta2": fraction(0.999, "what the mean squared gradient keeps per step"),
    "eps": not_negative(1e-8, "added to the root of the mean square"),
    "eps_root": not_negative(0.0, "added under that root"),
    "amsgrad": _flag("1: the largest mean square so far in place of the present one"),
}


class _Adam:
    decoupled = False

    @staticmethod
    def moments(s: Settings) -> tuple[str, ...]:
        return ("m",) * bool(np.any(s["beta1"])) + ("v",) + ("v_max",) * bool(np.any(s["amsgrad"]))

    @classmethod
    def _mean(cls, s: Settings, x: Mapping[str, Any], g: Any, t: Any, f: Functions) -> tuple[Any, ...]:
        """Full gradient, next moments, root of the corrected mean square, learning rate with its correction."""
        full = g if cls.decoupled else g + s["weight_decay"] * x["w"]
        m = s["beta1"] * x.get("m", 0.0) + (1 - s["beta1"]) * full
        v = s["beta2"] * x["v"] + (1 - s["beta2"]) * full**2
        top = v
        if "v_max" in x:
            top = s["amsgrad"] * f.largest(x["v_max"], v) + (1 - s["amsgrad"]) * v
        root = f.root(top / (1 - s["beta2"] ** t) + s["eps_root"])
        return full, m, v, top, root, s["learning_rate"] / (1 - s["beta1"] ** t)

    @classmethod
    def step(cls, s: Settings, x: Mapping[str, Any], g: Any, t: Any, f: Functions) -> dict[str, Any]:
        _, m, v, top, root, rate = cls._mean(s, x, g, t, f)
        kept = 1 - s["learning_rate"] * s["weight_decay"] if cls.decoupled else 1
        after = {"w": kept * x["w"] - rate * m / (root + s["eps"]), "m": m, "v": v, "v_max": top}
        return {name: after[name] for name in x}

    @classmethod
    def slopes(cls, s: Settings, x: Mapping[str, Any], g: Any, t: Any, frozen: bool) -> dict[tuple[str, str], Any]:
        full, m, v, _, root, rate = cls._mean(s, x, g, t, FUNCTIONS)
        b1, b2, lr, decay = s["beta1"], s["beta2"], s["learning_rate"], s["weight_decay"]
        coupled = 0.0 if cls.decoupled else decay
        P = rate / (root + s["eps"])
        with np.errstate(divide="ignore", invalid="ignore"):
            # d(-P m)/d(mean square); a weight whose gradient has been 0 so far has m = 0, too
            Q = 0.0 if frozen else np.where(root > 0, P * m / (root + s["eps"]) / (2 * root * (1 - b2**t)), 0.0)
        square = 2 * (1 - b2) * full
        out = {
            ("m", "w"): (1 - b1) * coupled, ("m", "m"): b1, ("m", "g"): 1 - b1,
            ("v", "w"): square * coupled, ("v", "v"): b2, ("v", "g"): square,
        }  # fmt: skip
        new = 1.0  # share of the present mean square in the one that counts
        if "v_max" in x:
            new = s["amsgrad"] * (v > x["v_max"]) + (1 - s["amsgrad"])
            out |= {("v_max", j): new * out["v", j] for j in "wvg"} | {("v_max", "v_max"): 1.0 - new}
            out["w", "v_max"] = Q * (1.0 - new)
        kept = 1 - lr * decay if cls.decoupled else 1.0
        out |= {
            ("w", "w"): kept - P * out["m", "w"] + Q * new * out["v", "w"],
            ("w", "m"): -P * b1,
            ("w", "v"): Q * new * b2,
            ("w", "g"): -P * (1 - b1) + Q * new * square,
        }
        return {(i, j): c for (i, j), c in out.items() if {i, j} <= {"g", *x}}

    @classmethod
    def preconditioner(cls, s: Settings, x: Blocks, t: Any) -> Any:
        top = x["v"]
        if "v_max" in x:
            top = s["amsgrad"] * x["v_max"] + (1 - s["amsgrad"]) * x["v"]
        return s["learning_rate"] / (np.sqrt(top / (1 - s["beta2"] ** t) + s["eps_root"]) + s["eps"])


@optimizer("adam", "Adam; its weight decay enters the gradient", _ADAM)
class _AdamCoupled(_Adam):
    pass


@optimizer("adamw", "Adam with decoupled weight decay", _ADAM)
class _AdamW(_Adam):
    decoupled = True
