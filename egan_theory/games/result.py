"""The spectrum of a game at a checkpoint: what was found, how far it can be believed, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..base.table import Column, Record, Table
from . import words
from .density import Density
from .modes import Mode
from .noise import Noise
from .scan import Scan

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray


@dataclass(frozen=True)
class Cost(Record):
    """What a spectrum costs: at most so many products; seconds_each: of one that was made; seconds: of all;
    gradients: evaluations of both players' gradients that one product costs; bytes: memory of the vectors at most."""

    products: int
    seconds_each: float
    seconds: float
    gradients: int
    bytes: float

    def __str__(self) -> str:
        each = f"{self.seconds_each:.2g} s" if self.seconds_each >= 0.01 else f"{1e3 * self.seconds_each:.2g} ms"
        return f"at most {self.products} products, {each} each: about {duration(self.seconds)}"


def duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


@dataclass(frozen=True)
class GameSpectrum(Table):
    """Multipliers of one training step about a checkpoint (``modes``, see ``Mode``), and what else was asked for.

    None where not asked for, or where no products were left.

    Attributes:
        modes: rows of the Dataset: multiplier, residual, kind, participation of D and G of each.
        moved: [norm of weights] |F(z) - z| of the weights in one step.
        norm: [norm of weights] that of the weights.
        gradients: [norm of gradients] of D's and of G's.
        strengths: [unit of the penalty] by name.
        schedule: who moves when.
        optimizers: of D and G: kind and settings.
        framework: "PyTorch" or "JAX".
        sizes: [1] weights of D and of G.
        batches: [1] mini-batches that derivatives are averaged over.
        steps: [steps] of training per product.
        average: [1] factor of the generator's average that ``Mode.averaged`` is for.
        products: [1] number made.
        allowed: [1] most that were allowed.
        seconds: [s] they took.
        ended: "converged", "products" (none left) or "interrupted".
        seed: [1] of the random vectors.
        notes: what the modules hold that the theory has to say something about.
        density: of all multipliers.
        curvature_D: of D's own Hessian between the roots of its preconditioner, P^1/2 H P^1/2 (step times curvature, no
            unit; ``edge``: from where on its own step is too large).
        curvature_G: of G's own, likewise.
        noise: over mini-batches.
        scan: multipliers over a penalty's strength.
        parts: where weights and moments of both players are in a vector.
        vectors: [1] (n, m) the modes, |x| = 1; not in files.
        adjoints: [1] (n, m) their adjoints, u^T x = 1, nan where unknown; not in files.

    Source:
        Eq. (114, frozen-adam), Eq. (116, live-adam), Eq. (118, noise-floor), Eq. (119, averaged-weights).
    """

    KEYS: ClassVar[Sequence[str]] = (
        "reading", "modes", "moved", "norm", "gradients", "strengths", "schedule", "optimizers", "framework", "sizes",
        "batches", "steps", "average", "noise", "scan", "density", "curvature_D", "curvature_G", "notes", "products",
        "allowed", "seconds", "ended", "seed",
    )  # fmt: skip
    TITLE = "multipliers of a training step"
    DIM, ROWS = "mode", "modes"

    modes: tuple[Mode, ...]
    moved: float
    norm: float
    gradients: tuple[float, float]
    strengths: Mapping[str, float]
    schedule: Mapping[str, Any]
    optimizers: tuple[Mapping[str, Any], Mapping[str, Any]]
    framework: str
    sizes: tuple[int, int]
    batches: int
    steps: int
    average: float | None
    products: float
    allowed: int
    seconds: float
    ended: str
    seed: int
    notes: tuple[str, ...] = ()
    density: Density | None = None
    curvature_D: Density | None = None
    curvature_G: Density | None = None
    noise: Noise | None = None
    scan: Scan | None = None
    parts: Mapping[str, slice] = field(default_factory=dict, repr=False)
    vectors: Array | None = field(default=None, repr=False, compare=False)
    adjoints: Array | None = field(default=None, repr=False, compare=False)

    @property
    def multipliers(self) -> Array:
        """(m,) complex multipliers per training step [1], one of each conjugate pair."""
        return np.array([m.multiplier for m in self.modes], dtype=complex)

    @property
    def largest(self) -> float:
        """Largest modulus of the modes found [1]; nan of none."""
        return max((m.modulus for m in self.modes), default=float("nan"))

    def of_kind(self, *kinds: str) -> tuple[Mode, ...]:
        """The modes of these kinds (``KINDS`` of games.modes), by descending modulus."""
        return tuple(sorted((m for m in self.modes if m.kind in kinds), key=lambda m: -m.modulus))

    @property
    def reading(self) -> tuple[str, ...]:
        """What the numbers mean and what to change, in plain words."""
        return words.reading(self)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the numbers mean and what to change, in plain words."""
        return self.reading

    def columns(self) -> tuple[Column, ...]:
        return _COLUMNS

    def attrs(self) -> dict[str, Any]:
        data = self.to_dict()
        kept = ("moved", "norm", "gradients", "strengths", "schedule", "optimizers", "framework", "sizes", "batches",
                "steps", "average", "products", "allowed", "seconds", "ended", "seed", "noise")  # fmt: skip
        return {key: data[key] for key in kept} | {"reading": "\n".join(self.reading), "notes": "\n".join(self.notes)}

    def to_dataset(self) -> xr.Dataset:
        """The modes' columns (mode); densities (node), (node_D), (node_G); the scan (strength, followed); units with
        each.
        """
        from ..base.dataset import ShownDataset

        data: dict[str, Any] = {c.name: ("mode", c.values(self.modes), c.attrs) for c in self.columns()}
        coords: dict[str, Any] = {"mode": np.arange(len(self.modes))}
        for name, density in (("", self.density), ("_D", self.curvature_D), ("_G", self.curvature_G)):
            if density is None:
                continue
            part = {"re": density.re, "weight": np.real(density.weights)}
            if not name:
                part["im"] = density.im
            for key, values in part.items():
                about = {"long_name": f"{density.of}: {'weights' if key == 'weight' else f'nodes, {key}'}"}
                data[f"density{name}_{key}"] = (f"node{name}", values, about | {"units": density.unit})
        if (s := self.scan) is not None:
            long = {"long_name": f"strength of {s.penalty}", "units": "1"}
            coords["strength"] = ("strength", s.strengths, long)
            for key in ("re", "im", "residuals"):
                about = {"long_name": f"followed multiplier, {key}", "units": "1"}
                data[f"scan_{key}"] = (("strength", "followed"), getattr(s, key), about)
        return ShownDataset(data, coords=coords, attrs=self.attrs())

    def grid(self) -> tuple[Sequence[str], list[list[Any]]]:
        head = ("multiplier per step", "modulus", "period (steps)", "kind", "carried by D", "carried by G",
                "residual", "frozen neglects", "averaging leaves")  # fmt: skip
        return head, [words.row(m) for m in self.modes]

    def headline(self) -> str:
        bad = sum(m.kind in ("step too large", "rotation, growing") for m in self.modes)
        return (
            f"{self.TITLE}: {len(self.modes)} found, {bad} unstable; {self.products:.0f} of {self.allowed} products, "
            f"{self.ended}"
        )


_COLUMNS = (
    Column("re", "real part of the multiplier per training step", "1"),
    Column("im", "imaginary part of the multiplier per training step", "1"),
    Column("modulus", "factor of the mode's size per training step", "1"),
    Column("angle", "turn of the mode per training step", "rad"),
    Column("period", "training steps per turn", "steps"),
    Column("growth", "training steps in which the mode grows e-fold (negative: shrinks)", "steps"),
    Column("damping_ratio", "damping ratio", "1"),
    Column("kind"),
    Column("residual", "|A x - z x| for |x| = 1", "1"),
    Column("condition", "condition of the multiplier", "1"),
    Column("converged", "whether the multiplier has converged", "1"),
    Column("share_D", "part of the mode in the discriminator's weights", "1"),
    Column("share_G", "part of the mode in the generator's weights", "1"),
    Column("share_moments", "part of the mode in the optimisers' moments", "1"),
    Column("carried_D", "participation of the discriminator", "1"),
    Column("carried_G", "participation of the generator", "1"),
    Column("turnover", "rate of the mode over the rate of the second moments", "1"),
    Column("neglected", "what frozen second moments neglect, over |z - 1|", "1"),
    Column("shift", "change of the multiplier during the steps looked ahead, over |z - 1|", "1"),
    Column("velocity", "the present step along the mode", "norm of weights"),
    Column("distance", "point of rest along the mode, over the norm of the weights", "1"),
    Column("averaged", "what averaging the generator leaves of the mode", "1"),
    Column("spread", "standard deviation of the multiplier over mini-batches", "1"),
    Column("floor", "rms amplitude kept by the noise of mini-batches", "norm of weights"),
    Column("floor_samples", "rms amplitude kept by noise, in generated samples", "norm of a sample"),
)

__all__ = ["Cost", "GameSpectrum", "duration"]
