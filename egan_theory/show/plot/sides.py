"""What lies beyond a mechanism's boundary in a phase diagram, with the boundary where the margin's roots are."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.tri import Triangulation

Array = np.ndarray
#: nearest that a crossing comes to a node, as a part of the cell
NEAREST = 1e-6
#: corners of a cell, (row, column) from the first, around it; the sides go from each to the next
CORNERS = ((0, 0), (0, 1), (1, 1), (1, 0))


def sides(predicted: xr.Dataset, name: str) -> tuple[Triangulation, Array]:
    """(triangles, heights of their nodes): 1 beyond the boundary of mechanism ``name``, -1 elsewhere (no statement,
    too), 0 at crossings. Those are the diagram's own, and where it has none between two cells of different sides (older
    files, margins with noise), the zero of the line between the two."""
    part = predicted.sel(mechanism=name)
    margin = part["margin"].transpose("second", "first").values
    first, second = (predicted[n].values.astype(float) for n in ("first", "second"))
    beyond = margin > 0
    x, y = (v.ravel() for v in np.meshgrid(first, second))
    node = np.arange(margin.size).reshape(margin.shape)
    more_x, more_y = [], []
    count = margin.size
    # number of the crossing after each node, along first and along second
    after = np.full((2, *margin.shape), -1)
    for along, key in enumerate(("crossing_first", "crossing_second")):
        known = part[key].transpose("second", "first").values if key in part else np.full(margin.shape, np.nan)
        rows, columns = np.nonzero(np.diff(beyond, axis=1 - along))
        own = first[columns] if along == 0 else second[rows]
        following = first[columns + 1] if along == 0 else second[rows + 1]
        straight = _zero(margin, along)[rows, columns]
        part_of = np.where(np.isnan(known[rows, columns]), straight, (known[rows, columns] - own) / (following - own))
        at = own + np.clip(part_of, NEAREST, 1 - NEAREST) * (following - own)
        more_x.append(at if along == 0 else first[columns])
        more_y.append(second[rows] if along == 0 else at)
        after[along, rows, columns] = count + np.arange(len(at))
        count += len(at)
    triangles = _triangles(beyond, node, after)
    heights = np.concatenate([np.where(beyond, 1.0, -1.0).ravel(), np.zeros(count - margin.size)])
    return Triangulation(np.concatenate([x, *more_x]), np.concatenate([y, *more_y]), triangles), heights


def _zero(margin: Array, along: int) -> Array:
    """Where the line from each node to the next has its zero, as a part of the way."""
    finite = margin[np.isfinite(margin)]
    scale = np.abs(finite).max(initial=0.0) or 1.0
    values = np.nan_to_num(margin, nan=-scale, posinf=scale, neginf=-scale)
    following = np.roll(values, -1, axis=1 - along)
    with np.errstate(invalid="ignore", divide="ignore"):
        return values / (values - following)


def _triangles(beyond: Array, node: Array, after: Array) -> Array:
    """(n, 3) nodes of triangles that fill every cell and cross no boundary."""
    rows, columns = (n - 1 for n in beyond.shape)
    corner = np.stack([node[i : i + rows, j : j + columns] for i, j in CORNERS])
    side = np.stack([beyond[i : i + rows, j : j + columns] for i, j in CORNERS])
    plain = (side == side[0]).all(0)
    a, b, c, d = corner[:, plain]
    found = [np.stack([a, b, c], -1), np.stack([a, c, d], -1)]
    mixed = []
    for r, k in np.argwhere(~plain):
        own, nodes = side[:, r, k], corner[:, r, k]
        ring = [after[0, r, k], after[1, r, k + 1], after[0, r + 1, k], after[1, r, k]]
        # a corner whose neighbours are on the other side is cut off; what is left is convex
        cut = [own[i] != own[i - 1] and own[i] != own[(i + 1) % 4] for i in range(4)]
        if all(cut):  # corners across each other: those beyond are apart
            cut = list(own)
        rest: list[list[int]] = [[], []]
        for i in range(4):
            if cut[i]:
                mixed.append((ring[i - 1], nodes[i], ring[i]))
                rest[int(not own[i])] += [ring[i - 1], ring[i]]
            else:
                rest[int(own[i])] += [nodes[i]]
                if own[i] != own[(i + 1) % 4] and not cut[(i + 1) % 4]:
                    for part in rest:
                        part.append(ring[i])
        for part in rest:
            mixed += [(part[0], part[i], part[i + 1]) for i in range(1, len(part) - 1)]
    found.append(np.array(mixed, dtype=int).reshape(-1, 3))
    return np.concatenate(found)


__all__ = ["sides"]
