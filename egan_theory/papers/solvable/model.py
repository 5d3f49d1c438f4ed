"""The description of a solvable high-dimensional GAN (Wang, Hu, Lu, NeurIPS 2019, arXiv:1805.08349).

    y = U c + sqrt(eta_T) a,  c ~ (0, Lambda)     y~ = V c~ + sqrt(eta_G) a~,  c~ ~ (0, Lambda~)     a, a~ ~ N(0, I_n)
    w <- w + (tau/n)  [ f(x) y - f(x~) y~ - lam H'(w.w) w ]                  x = y.w,  x~ = y~.w
    V <- V + (taut/n) [ f(x~) w c~^T - lam V diag H'(V_l.V_l) ]              one fresh sample a step, simultaneously

Hard constraint: |w| = |V_l| = 1, renormalised after each step (the limit lam -> infinity).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from ...base.config import LARGEST, SMALLEST, Config, Numbers, Vectors
from ...base.errors import InputError
from ...base.files import read_text
from ...base.spelling import unknown
from ...base.toml import changed_tables, parsed
from ...experiment.provenance import versions
from ...experiment.wording import input_error
from .profile import PROFILES, RADEMACHER, Profile, Quadrature
from .state import State, gram

CONSTRAINTS = ("hard", "x - 1", "tanh(x - 1)")
#: the Gram matrix of a start may have eigenvalues this far below zero: rounding of the overlaps given
GRAM_TOLERANCE = 1e-9
#: features: overlaps are dense d x d matrices
MAX_FEATURES = 100


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


Array = BeforeValidator(_plain)
Number = Annotated[float, BeforeValidator(_plain)]


class Solvable(Config):
    """One solvable GAN with its start and run. The TOML table [solvable] has the same names; defaults: setting R.

    What was given in Python has no TOML form. Fields keep None where nothing was given: ``L``, ``Lt``, ``eta_T``,
    ``eta_G``, ``profile``, ``law`` and ``start`` are the resolved values.

    Attributes:
        Lambda: [1] (d,) variances of the true latent coordinates, > 0.
        fake_Lambda: [1] (d,) of the generator's, > 0; default Lambda.
        noise: [1] eta_T >= 0, variance per coordinate of the data.
        fake_noise: [1] eta_G >= 0, of the generator; default ``noise``.
        tau: [1/time] learning rate of the discriminator, time = step/n; > 0.
        taut: [1/time] of the generator; >= 0.
        constraint: "hard", or a penalty of ``strength`` lam with H'(x) = x - 1 or tanh(x - 1).
        strength: [1] lam of a penalty, > 0.
        nonlinearity: f: "identity", "tanh", or in Python an odd callable that SymPy can follow (see ``Profile``).
        latent: "gaussian", "rademacher" (c_l = +-sqrt(Lambda_l)), or in Python a ``Quadrature``.
        P0: [1] (d, d) initial overlap U^T V; default 0.1 I.
        q0: [1] (d,) initial overlap U^T w; default 0.1.
        r0: [1] (d,) initial overlap V^T w; default P0^T q0.
        S0: [1] (d, d) initial overlap V^T V; default I.
        z0: [1] initial w.w; 1 with the hard constraint.
        time: [steps/n] length T of a run, > 0.
        n: [1] dimension of finite-n simulations.
        runs: [1] of finite-n simulations.
        seed: [1] of finite-n simulations, 0 to below 2^63.
        record: [1] samples of a run, both ends among them; at least 2.

    Raises:
        InputError: a field out of range, shapes that do not fit, or overlaps that no vectors can have.

    Source:
        Wang, Hu, Lu, NeurIPS 2019 (arXiv:1805.08349).
    """

    table: ClassVar[str] = "solvable"
    called: ClassVar[str] = "model"

    Lambda: Annotated[Numbers, Array] = (5.0, 3.0)
    fake_Lambda: Annotated[Numbers, Array] | None = None
    noise: Number = Field(default=2.0, ge=0, le=LARGEST)
    fake_noise: Annotated[Number, Field(ge=0, le=LARGEST)] | None = None
    tau: Number = Field(default=0.2, ge=SMALLEST, le=LARGEST)
    taut: Number = Field(default=0.04, ge=0, le=LARGEST)
    constraint: Literal["hard", "x - 1", "tanh(x - 1)"] = "hard"
    strength: Number = Field(default=1.0, ge=SMALLEST, le=LARGEST)
    nonlinearity: str | Profile = "identity"
    latent: Literal["gaussian", "rademacher"] | Quadrature = "gaussian"
    P0: Annotated[Vectors, Array] | None = None
    q0: Annotated[Numbers, Array] | None = None
    r0: Annotated[Numbers, Array] | None = None
    S0: Annotated[Vectors, Array] | None = None
    z0: Number = Field(default=1.0, ge=0, le=LARGEST)
    time: Number = Field(default=400.0, ge=SMALLEST, le=LARGEST)
    n: int = Field(default=5000, ge=1, le=10**12)
    runs: int = Field(default=1, ge=1, le=1_000_000)
    seed: int = Field(default=0, ge=0, lt=2**63)
    record: int = Field(default=201, ge=2, le=10_000_000)

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise _input_error(error) from None

    @field_validator("nonlinearity", mode="before")
    @classmethod
    def _profile(cls, value: Any) -> Any:
        if isinstance(value, Profile):
            return value
        if isinstance(value, str):
            if value not in PROFILES:
                raise InputError(
                    "solvable.nonlinearity", f"be {' or '.join(map(repr, PROFILES))} (or a callable, in Python)", value
                )
            return value
        if callable(value):
            return Profile.of(value)
        raise InputError("solvable.nonlinearity", f"be {' or '.join(map(repr, PROFILES))}", repr(value))

    @model_validator(mode="after")
    def _consistent(self) -> Solvable:
        d = len(self.Lambda)
        if not 1 <= d <= MAX_FEATURES:
            raise InputError("solvable.Lambda", f"have 1 to {MAX_FEATURES} entries", d)
        for name in ("Lambda", "fake_Lambda"):
            value = getattr(self, name)
            if value is not None and not all(SMALLEST <= v <= LARGEST for v in value):
                rule = f"have positive entries, {SMALLEST:g} to {LARGEST:g}"
                raise InputError(f"solvable.{name}", rule, value)
        for name, square in (("fake_Lambda", False), ("P0", True), ("q0", False), ("r0", False), ("S0", True)):
            value = getattr(self, name)
            if value is None:
                continue
            if len(value) != d or (square and any(len(row) != d for row in value)):
                shape = f"{d} rows of {d} numbers" if square else f"{d} entries, one per feature"
                raise InputError(f"solvable.{name}", f"have {shape}", value)
        S = self.start.S
        if np.any(np.abs(S - S.T) > GRAM_TOLERANCE):
            raise InputError("solvable.S0", "be symmetric", self.S0)
        if self.constraint == "hard":
            if abs(self.z0 - 1) > GRAM_TOLERANCE:
                raise InputError("solvable.z0", "be 1 with constraint 'hard'", self.z0)
            if np.any(np.abs(np.diag(S) - 1) > GRAM_TOLERANCE):
                raise InputError("solvable.S0", "have ones on its diagonal with constraint 'hard'", self.S0)
        lowest = float(np.linalg.eigvalsh(gram(self.start)).min())
        if lowest < -GRAM_TOLERANCE:
            raise InputError(
                "solvable", "have initial overlaps P0, q0, r0, S0, z0 that vectors can have (their Gram matrix "
                "positive semidefinite)", f"an eigenvalue of {lowest:.3g}",
            )  # fmt: skip
        return self

    # -- resolved values -----------------------------------------------------------------------------------------

    @property
    def d(self) -> int:
        """Number of features [1]."""
        return len(self.Lambda)

    @cached_property
    def L(self) -> np.ndarray:
        """(d,) Lambda [1]."""
        return np.array(self.Lambda)

    @cached_property
    def Lt(self) -> np.ndarray:
        """(d,) Lambda~ of the generator [1]."""
        return self.L if self.fake_Lambda is None else np.array(self.fake_Lambda)

    @property
    def eta_T(self) -> float:
        """Noise of the data, a variance per coordinate [1]."""
        return self.noise

    @property
    def eta_G(self) -> float:
        """Noise of the generator, a variance per coordinate [1]."""
        return self.noise if self.fake_noise is None else self.fake_noise

    @property
    def hard(self) -> bool:
        """Whether norms are kept by the constraint, not by a penalty."""
        return self.constraint == "hard"

    @cached_property
    def profile(self) -> Profile:
        """The nonlinearity, with f and f'."""
        return PROFILES[self.nonlinearity] if isinstance(self.nonlinearity, str) else self.nonlinearity

    @property
    def linear(self) -> bool:
        """Whether f(x) = x."""
        return self.profile == PROFILES["identity"]

    @property
    def law(self) -> Quadrature | None:
        """The latent law; None for the Gaussian."""
        if isinstance(self.latent, Quadrature):
            return self.latent
        return RADEMACHER if self.latent == "rademacher" else None

    def H1(self, x: Any) -> Any:
        """H'(x) of the penalty, vectorised. Not for constraint "hard".

        Raises:
            InputError: the constraint is "hard".
        """
        if self.hard:
            raise InputError("solvable.constraint", "be a penalty to have H'", "'hard'")
        return x - 1 if self.constraint == "x - 1" else np.tanh(x - 1)

    @cached_property
    def start(self) -> State:
        """The initial state, defaults filled in."""
        d = self.d
        P = 0.1 * np.eye(d) if self.P0 is None else np.array(self.P0)
        q = np.full(d, 0.1) if self.q0 is None else np.array(self.q0)
        r = P.T @ q if self.r0 is None else np.array(self.r0)
        S = np.eye(d) if self.S0 is None else np.array(self.S0)
        return State(P, q, r, S, np.array(self.z0))

    @property
    def times(self) -> np.ndarray:
        """(record,) times of the samples, from 0 to ``time`` [steps/n]."""
        return np.linspace(0.0, self.time, self.record)

    # -- change and exchange -------------------------------------------------------------------------------------

    def replace(self, changes: Mapping[str, Any]) -> Solvable:
        """A copy with fields changed, e.g. ``{"noise": 1.0}``; validated again. "solvable.noise" is understood too.

        Raises:
            InputError: a name that is no field, or a value that its field refuses.
        """
        data = {name: getattr(self, name) for name in type(self).model_fields}
        for path, value in changes.items():
            name = _field(path)
            if type(data[name]) is int and isinstance(value, float) and value.is_integer():
                value = int(value)
            data[name] = value
        return type(self)(**data)

    def get(self, path: str) -> Any:
        """The value of a field, in its unit.

        Raises:
            InputError: a name that is no field.
        """
        return getattr(self, _field(path))

    @classmethod
    def from_toml(cls, source: str | Path, changes: Mapping[str, Any] | None = None) -> Solvable:
        """Read a TOML file with the table [solvable]; ``changes``: fields set before anything is checked, e.g.
        ``{"noise": 1.0}`` ("solvable.noise" is understood too).

        Raises:
            InputError: a file that cannot be read, and what ``Solvable`` refuses.
        """
        text = read_text(source, "model", "be an existing model file")
        return cls.from_toml_string(text, str(source), changes)

    @classmethod
    def from_toml_string(cls, text: str, name: str = "model", changes: Mapping[str, Any] | None = None) -> Solvable:
        """``from_toml`` of a text.

        Raises:
            InputError: no TOML, no table [solvable], another table beside it, and what ``Solvable`` refuses.
        """
        data = parsed(text, name)
        data = changed_tables(data, {"solvable." + k.removeprefix("solvable."): v for k, v in (changes or {}).items()})
        others = sorted(set(data) - {"solvable"})
        if others:
            raise InputError(name, "have the table [solvable] only", repr(others[0]))
        table = data.get("solvable")
        if not isinstance(table, dict):
            raise InputError(name, "have a table [solvable]", "none" if table is None else repr(table))
        return cls(**table)

    def provenance(self) -> dict[str, Any]:
        """attrs of a Dataset: model (TOML, or why it has none), seed, versions."""
        try:
            text = self.to_toml()
        except InputError as error:
            text = f"# no TOML form: {error}"
        return {"model": text, "seed": self.seed, "versions": versions()}

    def to_toml(self) -> str:
        """The model as TOML; reading it back gives an equal model.

        Raises:
            InputError: a nonlinearity or latent law that only Python can say.
        """
        import tomli_w

        for key in ("nonlinearity", "latent"):
            if not isinstance(getattr(self, key), str):
                raise InputError(f"solvable.{key}", "be known by name to be written as TOML", repr(getattr(self, key)))
        return tomli_w.dumps({"solvable": self.model_dump(mode="json", exclude_none=True)})


def _field(path: str) -> str:
    name = path.removeprefix("solvable.")
    if name not in Solvable.model_fields:
        raise unknown(path, name, Solvable.model_fields)
    return name


def _input_error(error: ValidationError) -> InputError:
    """The first validation failure as one line: field, rule, value found."""
    found = input_error(error, Solvable)
    if found.field.startswith("solvable"):  # one of the model's own
        return found
    # an index behind the field says which entry is wrong
    name, *places = found.field.split(".")
    if name == "latent":
        return InputError("solvable.latent", "be 'gaussian' or 'rademacher' (or a Quadrature, in Python)", found.found)
    return InputError(f"solvable.{name}" + "".join(f"[{p}]" for p in places), found.must, found.found)


SETTING_R = Solvable()
"""Setting R: tau = .2, taut = .04, Lambda = (5, 3), hard, small aligned start: success at noise 2, oscillation at 1,
collapse at 4.

Units:
    As in ``Solvable``.

Source:
    A setting of two features for the model of Wang, Hu, Lu, NeurIPS 2019 (arXiv:1805.08349).
"""
SETTING_E = Solvable(P0=((0.5, 0.1), (-0.1, 0.4)), q0=(0.4, -0.3), time=60.0)
"""Setting R from larger overlaps, where finite-n noise does not decide the signs.

Units:
    As in ``Solvable``.

Source:
    A start of this package for the model of Wang, Hu, Lu, NeurIPS 2019 (arXiv:1805.08349).
"""
