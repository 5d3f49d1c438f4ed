"""Reading a clone of the authors' data repository into the run schema. Nothing is ever unpickled."""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ...base.dataset import shown
from ...base.errors import InputError, check_file
from ...base.files import read_npy
from ...base.netcdf import read_netcdf
from ...experiment.provenance import SCHEMA_VERSION, versions
from ...runs.order import mean_abs_cosine, order_parameters, participation_ratio, spread
from ...runs.schema import validate_runs, variable

#: what every published file holds: one final cloud of 100 images
SHAPE = (100, 28, 28)
#: normalisation of the images: (x/255 - MEAN)/STD
MEAN, STD = 0.1307, 0.3081
SUFFIX = ".npy.gz"
#: the parameters in a file's name, in its order
PARAMETERS = {
    "T": "training time T of the file name",
    "nonlin": "activation of the discriminator",
    "wdecay": "weight decay of the discriminator",
    "lrD": "discriminator learning rate",
    "lrQ": "generator learning rate",
    "alpha": "alpha of the file name",
    "lambda_aug_init": "multiplier at the start",
    "rho": "rho of the file name",
    "phi": "g2/g1, off-diagonal over diagonal generator kernel",
}
_NUMBER, _WORD = r"[-+]?[0-9.]+(?:e[-+]?[0-9]+)?", r"[A-Za-z]+"
_VALUES = "_".join(f"{key}_(?P<{key}>{_WORD if key == 'nonlin' else _NUMBER})" for key in PARAMETERS)
_NAME = re.compile(rf"new_init_{_VALUES}_final_data\.npy\.gz")
#: bytes read of a file: room for a cloud of float64, whose type can then be named
LARGEST = 10_000 + 8 * math.prod(SHAPE)


@shown
def read_runs(
    folder: str | Path, target: xr.DataArray | None = None, progress: Callable[[int, int], None] | None = None
) -> xr.Dataset:
    """The published final clouds below ``folder`` in the run schema, one run per file, with order parameters.

    The runs come with no experiment of this package: critic widths, inner steps and optimiser were not published, so
    the attribute ``experiment`` is absent and ``compare`` needs one from the user.

    Args:
        target: see ``read_target``; with it all order parameters, nearest images by cosine; without it those that need
            none (mean_abs_cosine, spread, participation_ratio).
        progress: called with (done, total).

    Returns:
        A Dataset of the run schema; parameters of the file names are coordinates of ``run``.

    Shapes:
        particles (run, time, particle, component), float32 as published, one time T; target (point, component); order
        parameters (run).

    Units:
        Positions in normalised pixels, T as published (its unit is not), order parameters as in eg.order_parameters.

    Raises:
        InputError: one line that names the file: an unknown name, a truncated or broken gzip, a pickle, a wrong shape
            or dtype, numbers that are not finite, two files with the same parameters, no file at all.

    Source:
        Data of arXiv:2212.04580 (repository durrcommasteven/effective-gan-mnist-data).
    """
    root = Path(folder)
    if not str(folder) or not root.is_dir():
        raise InputError("folder", "be the folder of a clone of the data repository", str(folder) or "an empty name")
    files = sorted(p for p in root.rglob(f"*{SUFFIX}") if ".git" not in p.relative_to(root).parts)
    if not files:
        raise InputError("folder", f"hold published files (*{SUFFIX})", f"none in {folder}")
    seen: dict[tuple, Path] = {}
    for file in files:
        key = tuple(parameters(file.name).items())
        if key in seen:
            raise InputError(file.name, "be the only file of its parameters", f"also {seen[key]}")
        seen[key] = file
    order = sorted(seen, key=lambda key: (dict(key)["lrD"], dict(key)["phi"], key))
    clouds = np.empty((len(order), 1, SHAPE[0], SHAPE[1] * SHAPE[2]), dtype=np.float32)
    for i, key in enumerate(order):
        clouds[i, 0] = read_cloud(seen[key]).reshape(SHAPE[0], -1)
        if progress is not None:
            progress(i + 1, len(order))
    rows = [dict(key) for key in order]
    times = {row["T"] for row in rows}
    if len(times) > 1:
        raise InputError("folder", "hold runs of one training time T", sorted(times))
    ds = xr.Dataset(
        {"particles": variable("particles", clouds)},
        coords={"time": ("time", [times.pop()], {"long_name": "training time T of the file names", "units": "1"})},
        attrs={
            "schema_version": SCHEMA_VERSION,
            "versions": versions(),
            "status": "finished",
            "source": "data of arXiv:2212.04580, repository durrcommasteven/effective-gan-mnist-data",
            "experiment_note": "none: critic widths, inner steps, optimiser and the unit of T were not published",
        },
    )
    ds["particles"].attrs["units"] = "normalised pixel"
    for name, long_name in PARAMETERS.items():
        ds = ds.assign_coords({name: ("run", [r[name] for r in rows], {"long_name": long_name, "units": "1"})})
    return validate_runs(_with_order_parameters(ds, target))


def _with_order_parameters(ds: xr.Dataset, target: xr.DataArray | None) -> xr.Dataset:
    """Cloud by cloud: the published file as float64 would take half a gigabyte."""
    parts = []
    for i in range(ds.sizes["run"]):
        x = ds["particles"].isel(run=i, drop=True).isel(time=0, drop=True).reset_coords(drop=True).astype(float)
        if target is None:
            each = {"mean_abs_cosine": mean_abs_cosine(x), "spread": spread(x)}
            parts.append(xr.Dataset({**each, "participation_ratio": participation_ratio(x)}))
        else:
            parts.append(order_parameters(x, target, metric="cosine"))
    joined = xr.concat(parts, "run", combine_attrs="override")
    for each_variable in joined.values():
        if each_variable.attrs["units"] == "length":
            each_variable.attrs["units"] = "normalised pixel"
    ds = ds.assign(joined.data_vars)
    if target is not None:
        ds["target"] = variable("target", target.transpose("point", "component").values)
        ds["target"].attrs["units"] = "normalised pixel"
    return ds


def parameters(name: str) -> dict[str, Any]:
    """The parameters in a published file's name. Raises InputError for a name of another form."""
    match = _NAME.fullmatch(name)
    form = "be named new_init_T_..._nonlin_..._lrD_..._phi_..._final_data.npy.gz"
    if match is None:
        raise InputError(name, form)
    out: dict[str, Any] = match.groupdict()
    for key in (k for k in PARAMETERS if k != "nonlin"):
        try:
            out[key] = float(out[key])
        except ValueError:  # 1.2.3
            raise InputError(name, form, f"{key} {out[key]}") from None
        if not np.isfinite(out[key]):
            raise InputError(name, "hold finite parameters", f"{key} {match[key]}")
    if not (out["lrD"] > 0 and 0 <= out["phi"] <= 1):
        raise InputError(name, "have lrD > 0 and 0 <= phi <= 1", f"lrD {out['lrD']}, phi {out['phi']}")
    return out


def read_cloud(file: Path) -> np.ndarray:
    """The (100, 28, 28) float32 array of one published file. Raises InputError; never unpickles or inflates more."""
    name = file.name
    check_file(name, file, "be a regular file")
    try:
        with gzip.open(file) as stream:
            data = stream.read(LARGEST)  # no more, whatever the file inflates to
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(name, "be a whole gzip file", f"the error: {error}") from None
    buffer = io.BytesIO(data)
    try:
        array = np.load(buffer, allow_pickle=False)
    except Exception as error:  # headers may hold anything that Python can write
        raise InputError(name, "hold one whole .npy array of numbers", f"the error: {error}") from None
    if getattr(array, "dtype", None) not in (np.dtype("<f4"), np.dtype(">f4")):
        raise InputError(name, "hold float32 numbers", f"dtype {getattr(array, 'dtype', 'none, an archive')}")
    if array.shape != SHAPE:
        raise InputError(name, f"have shape {SHAPE}", f"shape {array.shape}")
    if buffer.read(1):
        raise InputError(name, "hold one .npy array", "more behind it")
    if not np.all(np.isfinite(array)):
        raise InputError(name, "hold finite numbers", f"{(~np.isfinite(array)).sum()} that are not")
    return array.astype(np.float32)


def read_target(path: str | Path) -> xr.DataArray:
    """The first 100 images of a user's MNIST file, as the published runs saw them.

    Integers are raw pixels 0..255 and become (x/255 - 0.1307)/0.3081; floating-point numbers must be normalised so
    already.

    Returns:
        The images as rows.

    Shapes:
        File .npy or .nc (M, 784) or (M, 28, 28), M >= 100; result (point, component) of 100 points.

    Units:
        Normalised pixels.

    Raises:
        InputError: no such file, fewer images, another shape, or numbers out of range.

    Source:
        Preprocessing of arXiv:2212.04580; none of its data.
    """
    field, file = "target", Path(path)
    check_file(field, file, "be an existing .npy or .nc file")
    if file.suffix == ".npy":
        data = read_npy(field, file)
    elif file.suffix == ".nc":
        ds = read_netcdf(field, file)
        names = [str(n) for n, v in ds.data_vars.items() if v.ndim in (2, 3)]
        if len(names) != 1:
            raise InputError(field, "hold one variable of images", f"variables {list(ds.data_vars)}")
        data = ds[names[0]].values
    else:
        raise InputError(field, "end in .npy or .nc", str(path))
    if data.ndim not in (2, 3) or int(np.prod(data.shape[1:])) != SHAPE[1] * SHAPE[2] or len(data) < SHAPE[0]:
        raise InputError(field, f"hold at least {SHAPE[0]} images of 28 x 28 pixels", f"shape {data.shape} in {path}")
    images = np.array(data[: SHAPE[0]]).reshape(SHAPE[0], -1)
    low, high = -MEAN / STD, (1 - MEAN) / STD
    if images.dtype.kind in "iu":
        if images.min() < 0 or images.max() > 255:
            raise InputError(field, "hold pixels from 0 to 255", f"{images.min()} to {images.max()}")
        images = (images / 255 - MEAN) / STD
    elif images.dtype.kind == "f":
        images = images.astype(float)
        if not np.all((images >= low - 1e-3) & (images <= high + 1e-3)):  # NaN fails too
            must = f"be raw integers 0..255 or normalised floats from {low:.2f} to {high:.2f}"
            raise InputError(field, must, f"floats from {images.min():g} to {images.max():g}")
    else:
        raise InputError(field, "hold real numbers", f"dtype {images.dtype}")
    attrs = {"long_name": "target images", "units": "normalised pixel"}
    return xr.DataArray(images, dims=("point", "component"), attrs=attrs)
