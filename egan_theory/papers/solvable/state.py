"""The macroscopic state of the solvable model, and the Datasets that hold its course.

    P = U^T V (d, d)    q = U^T w (d,)    r = V^T w (d,)    S = V^T V (d, d)    z = w.w

U the true features, V the generator's, w the discriminator's weights; U^T U = I.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

    from .model import Solvable

#: dims after (run, time), long_name
VARIABLES: dict[str, tuple[tuple[str, ...], str]] = {
    "P": (("feature", "fake"), "overlap of true and generated features, U^T V"),
    "q": (("feature",), "overlap of true features and discriminator, U^T w"),
    "r": (("fake",), "overlap of generated features and discriminator, V^T w"),
    "S": (("fake", "fake2"), "overlaps of the generated features, V^T V"),
    "z": ((), "squared norm of the discriminator, w.w"),
}


class State(NamedTuple):
    """P (..., d, d), q (..., d), r (..., d), S (..., d, d), z (...), with any leading axes."""

    P: np.ndarray
    q: np.ndarray
    r: np.ndarray
    S: np.ndarray
    z: np.ndarray

    def pack(self) -> np.ndarray:
        """(..., 2 d^2 + 2 d + 1)."""
        lead = self.q.shape[:-1]
        return np.concatenate(
            [self.P.reshape(*lead, -1), self.q, self.r, self.S.reshape(*lead, -1), self.z[..., None]], axis=-1
        )


def unpack(y: np.ndarray, d: int) -> State:
    """The inverse of ``State.pack``; views of y."""
    lead, n = y.shape[:-1], d * d
    return State(
        y[..., :n].reshape(*lead, d, d),
        y[..., n : n + d],
        y[..., n + d : n + 2 * d],
        y[..., n + 2 * d : 2 * n + 2 * d].reshape(*lead, d, d),
        y[..., -1],
    )


def gram(state: State) -> np.ndarray:
    """(..., 2d+1, 2d+1) Gram matrix of (U, V, w); positive semidefinite for every state that vectors can have."""
    lead, d = state.q.shape[:-1], state.q.shape[-1]
    out = np.zeros((*lead, 2 * d + 1, 2 * d + 1))
    u, v = slice(0, d), slice(d, 2 * d)
    out[..., u, u] = np.eye(d)
    out[..., u, v], out[..., v, u] = state.P, np.swapaxes(state.P, -1, -2)
    out[..., u, -1] = out[..., -1, u] = state.q
    out[..., v, v] = state.S
    out[..., v, -1] = out[..., -1, v] = state.r
    out[..., -1, -1] = state.z
    return out


def state_dataset(model: Solvable, time: np.ndarray, state: State, **attrs: Any) -> xr.Dataset:
    """A Dataset (run, time, ...) of states with leading axes (run, time); attrs model, seed, versions and those given.

    ``status`` is "finished" unless given.
    """
    import xarray as xr

    from .model import provenance

    data = {
        name: (("run", "time", *dims), values, {"long_name": text, "units": "1"})
        for (name, (dims, text)), values in zip(VARIABLES.items(), state, strict=True)
    }
    coords = {
        "time": ("time", np.asarray(time, dtype=float), {"long_name": "training time, steps/n", "units": "1"}),
        **{n: (n, np.arange(model.d)) for n in ("feature", "fake", "fake2")},
        "run": ("run", np.arange(state.z.shape[0])),
    }
    return xr.Dataset(data, coords=coords, attrs={**provenance(model), "status": "finished", **attrs})


def dataset_state(ds: xr.Dataset) -> State:
    """The State with leading axes (run, time) of a Dataset in this form."""
    return State(*(ds[name].transpose("run", "time", *dims).values for name, (dims, _) in VARIABLES.items()))
