# %%
"""How fast is a tangent kernel, in what memory, and does it agree with neural-tangents?

    python -m analyses.kernel_benchmark --neural-tangents PYTHON [--seed 0] [--draws 5] [--points 1000]
    python -m analyses.kernel_benchmark --neural-tangents PYTHON --record tests/kernels/neural_tangents_values.json

PYTHON is an interpreter that has neural_tangents (Novak et al. 2020). Both sides compute the Gram matrix of the same
points in 784 dimensions, a ReLU network of 3 hidden layers, in float64, each in a process of its own on the same
number of cores; processes alternate. neural-tangents runs its kernel function jitted and compiled beforehand: the time
is that of the call, until the result is there, without compilation and without imports. Memory (Linux, peaks of the
resident set) is given twice: what the process needs beyond an interpreter with NumPy and the points, that is library,
compilation and kernel; and what the calls alone need beyond that, the result included. There neither side can do much
better: the result itself is 7.6 MiB for 1000 points.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from argparse import SUPPRESS
from pathlib import Path

import numpy as np

from analyses.script import ROOT, made, options, redraws, sheet

DIMENSION, DEPTH, WEIGHT_VARIANCE, BIAS_VARIANCE = 784, 3, 2.0, 0.1
CALLS = 5
SIDES = ("ours", "theirs")
#: architectures whose values are recorded: activation, hidden layers, weight and bias variance
RECORDED = (("relu", 3, 2.0, 0.1), ("erf", 2, 1.7, 0.2), ("gelu", 1, 1.3, 0.05))
DIMENSIONS = (2, 784)
RECORDED_POINTS = 5
#: and networks on images: activation, weight and bias variance, image (channels, height, width), layers as in an
#: experiment file
RECORDED_IMAGES = (
    ("relu", 2.0, 0.1, (2, 5, 6), (
        {"kind": "convolution", "size": 3, "stride": 2, "padding": "same"},
        {"kind": "convolution", "size": 2, "stride": 1, "padding": "same"},
        {"kind": "flatten"}, {"kind": "dense"},
    )),
    ("gelu", 1.3, 0.05, (1, 8, 8), (
        {"kind": "convolution", "size": 3, "stride": 1, "padding": "circular"},
        {"kind": "average_pool", "size": 3, "stride": 2},
        {"kind": "convolution", "size": 3, "stride": 1, "padding": "same"},
        {"kind": "flatten"},
    )),
    ("erf", 1.7, 0.2, (3, 6, 5), (
        {"kind": "convolution", "size": 3, "stride": 1, "padding": "valid"},
        {"kind": "convolution", "size": 3, "stride": 1, "padding": "same"},
        {"kind": "global_average_pool"},
    )),
    ("relu", 1.8, 0.0, (1, 4, 4), ({"kind": "convolution", "size": 3, "stride": 1, "padding": "same"},
                                   {"kind": "convolution", "size": 3, "stride": 2, "padding": "circular"},
                                   {"kind": "global_average_pool"}, {"kind": "dense"})),
)  # fmt: skip


def recorded_points(dimension):
    """Points that every machine makes alike: (5, dimension), entries of a sine, of different norms."""
    index = np.arange(1.0, RECORDED_POINTS * dimension + 1).reshape(RECORDED_POINTS, dimension)
    return np.linspace(0.5, 1.5, RECORDED_POINTS)[:, None] * np.sin(0.7 * index**1.1)


# %% one process of either side (also run by the other interpreter: nothing of egan_theory is imported above)
def benchmark_points(points, seed=0):
    return np.random.default_rng(seed).standard_normal((points, DIMENSION))


def our_kernel(points):
    from egan_theory.kernels.wide.recursion import tangent_kernel
    from egan_theory.tables.architecture import Architecture

    arch = Architecture(depth=DEPTH, activation="relu", weight_variance=WEIGHT_VARIANCE, bias_variance=BIAS_VARIANCE)
    tangent_kernel(arch, benchmark_points(8))
    return lambda X: tangent_kernel(arch, X)


def layers(activation, depth, weight_variance, bias_variance):
    from neural_tangents import stax

    acts = {"relu": stax.Relu, "erf": stax.Erf, "gelu": stax.Gelu}
    width = {"W_std": weight_variance**0.5, "b_std": bias_variance**0.5, "parameterization": "ntk"}
    body = [layer for _ in range(depth) for layer in (stax.Dense(1, **width), acts[activation]())]
    return stax.serial(*body, stax.Dense(1, **width))[2]


def image_layers(activation, weight_variance, bias_variance, listed):
    from neural_tangents import stax

    acts = {"relu": stax.Relu, "erf": stax.Erf, "gelu": stax.Gelu}
    width = {"W_std": weight_variance**0.5, "b_std": bias_variance**0.5, "parameterization": "ntk"}
    body = []
    for layer in listed:
        if layer["kind"] == "convolution":
            filters, strides = (layer["size"],) * 2, (layer["stride"],) * 2
            body += [stax.Conv(1, filters, strides, layer["padding"].upper(), **width), acts[activation]()]
        elif layer["kind"] == "average_pool":
            body.append(stax.AvgPool((layer["size"],) * 2, (layer["stride"],) * 2, "VALID"))
        elif layer["kind"] == "dense":
            body += [stax.Dense(1, **width), acts[activation]()]
        else:
            body.append({"flatten": stax.Flatten, "global_average_pool": stax.GlobalAvgPool}[layer["kind"]]())
    return stax.serial(*body, stax.Dense(1, **width))[2]


def their_kernel(points):
    import jax

    kernel = layers("relu", DEPTH, WEIGHT_VARIANCE, BIAS_VARIANCE)
    shape = jax.ShapeDtypeStruct((points, DIMENSION), np.float64)
    compiled = jax.jit(lambda X: kernel(X, None, "ntk")).lower(shape).compile()
    return lambda X: compiled(X).block_until_ready()


def worker(side, points, seed):
    """Print the calls' times, the memory, and three numbers of the result."""
    X = benchmark_points(points, seed)
    bare = resident("VmRSS")
    kernel = our_kernel(points) if side == "ours" else their_kernel(points)
    if side != "ours":
        import jax.numpy as jnp

        X = jnp.asarray(X)
        X.block_until_ready()
    highest = resident("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts anew from here
    before = resident("VmRSS")
    times, K = [], None
    for _ in range(CALLS):
        K = None  # never two results at once
        start = time.perf_counter()
        K = kernel(X)
        times.append(time.perf_counter() - start)
    peak = resident("VmHWM")
    values = [float(K[0, 0]), float(K[0, 1]), float(K[-1, 3])]
    memory = {"process": max(highest, peak) - bare, "calls": peak - before}
    print(json.dumps({"times": times, "memory": memory, "values": values}))


def resident(field):
    """Bytes of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} in /proc/self/status")


def record_worker():
    """Print neural-tangents' own values for every recorded architecture and dimension."""
    import jax
    import neural_tangents

    rows = []
    for name, depth, sw, sb in RECORDED:
        for dimension in DIMENSIONS:
            kernel = layers(name, depth, sw, sb)(recorded_points(dimension), None, ("ntk", "nngp"))
            rows.append({
                "activation": name, "depth": depth, "weight_variance": sw, "bias_variance": sb,
                "dimension": dimension,
                "ntk": np.asarray(kernel.ntk).tolist(), "nngp": np.asarray(kernel.nngp).tolist(),
            })  # fmt: skip
    images = []
    for name, sw, sb, image, listed in RECORDED_IMAGES:
        channels, height, width = image
        points = recorded_points(channels * height * width).reshape(-1, *image).transpose(0, 2, 3, 1)  # theirs: NHWC
        kernel = image_layers(name, sw, sb, listed)(points, None, ("ntk", "nngp"))
        images.append({
            "activation": name, "weight_variance": sw, "bias_variance": sb, "image": image, "layers": listed,
            "ntk": np.asarray(kernel.ntk).tolist(), "nngp": np.asarray(kernel.nngp).tolist(),
        })  # fmt: skip
    about = {
        "made_by": "analyses/kernel_benchmark.py --record",
        "neural_tangents": neural_tangents.__version__,
        "jax": jax.__version__,
        "dtype": "float64",
        "points": "recorded_points(dimension) of that script; of images their pixels, (channels, height, width)",
    }
    print(json.dumps({"provenance": about, "kernels": rows, "images": images}))


# %% the two in alternation
def run(python, side, points, threads, seed=0):
    """One process of a side, on the first ``threads`` cores that this one may use."""
    env = os.environ | {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    env |= {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cpu"}
    cores = sorted(os.sched_getaffinity(0))[:threads]
    command = [python, "-m", "analyses.kernel_benchmark", "--side", side, "--points", str(points), "--seed", str(seed)]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def study(seed, draws, python, points=1000, threads=1):
    """Each round's fastest call and peaks of memory by side; in attrs ratios of the medians, the largest difference."""
    import xarray as xr

    found = [[run(p, side, points, threads, seed) for side, p in zip(SIDES, (sys.executable, python), strict=True)]
             for _ in range(draws)]  # fmt: skip
    ours, theirs = (np.array(one["values"]) for one in found[0])
    columns = {
        "time": ("fastest call", "s", [[min(one["times"]) for one in row] for row in found]),
        "process": ("memory beyond NumPy and the points", "byte", [[o["memory"]["process"] for o in r] for r in found]),
        "calls": ("memory of the calls", "byte", [[o["memory"]["calls"] for o in r] for r in found]),
    }
    ds = xr.Dataset(
        {name: (("draw", "side"), values, {"long_name": text, "units": units})
         for name, (text, units, values) in columns.items()},
        coords={"side": list(SIDES)},
        attrs={"seed": seed, "draws": draws, "points": points, "threads": threads,
               "difference": float(np.abs(ours - theirs).max())},
    )  # fmt: skip
    middle = ds.median("draw")
    return ds.assign_attrs({f"ratio_{k}": float(middle[k].sel(side="ours") / middle[k].sel(side="theirs")) for k in ds})


# %%
def figure(ds):
    """Every round's time and memory, side by side."""
    from egan_theory.show.style import BLUE, ORANGE  # not where neural-tangents is

    fig, axes = sheet(1, len(ds), 3.8)
    for ax, name in zip(axes, ds, strict=True):
        scale, units = (2**20, "MiB") if ds[name].attrs["units"] == "byte" else (1, ds[name].attrs["units"])
        for i, (side, colour) in enumerate(zip(ds["side"].values, (BLUE, ORANGE), strict=True)):
            values = ds[name].sel(side=side).values / scale
            ax.bar(i, np.median(values), 0.5, color=colour, alpha=0.5)
            ax.plot(np.full(len(values), i), values, "o", color=colour, mec="k", mew=0.5, ms=5)
        ax.set_xticks(range(ds.sizes["side"]), ["egan_theory", "neural-tangents"])
        ax.set(ylim=(0, None), xlim=(-0.6, 1.6), ylabel=f"{'time' if units == 's' else 'memory'} ({units})")
        ax.set_title(ds[name].attrs["long_name"], fontsize=9.5, loc="left")
    return fig


@redraws
def main(argv=None):
    parser = options("kernel_benchmark", draws=5, seed=0, about=__doc__.splitlines()[0], help_seed="of the points",
                     help_draws="processes of either side")  # fmt: skip
    parser.add_argument("--neural-tangents", metavar="PYTHON", default=sys.executable)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--record", metavar="FILE", help="write neural-tangents' values for the tests instead")
    parser.add_argument("--side", choices=(*SIDES, "record"), help=SUPPRESS)
    args = parser.parse_args(argv)
    args.command = args.command.replace(args.neural_tangents, "PYTHON")  # where it lies is of no interest
    if args.side == "record":
        return record_worker()
    if args.side:
        return worker(args.side, args.points, args.seed)
    if args.record:
        values = run(args.neural_tangents, "record", 0, 1)
        Path(args.record).write_text(json.dumps(values, indent=1) + "\n")
        print(f"written: {args.record}")
        return values
    ds = made(args, lambda: study(args.seed, args.draws, args.neural_tangents, args.points, args.threads), figure)
    for side in SIDES:
        one = ds.sel(side=side)
        time, process, calls = (float(one[name].median()) for name in ("time", "process", "calls"))
        print(f"{side:6s} {time:.4f} s ({float(one['time'].min()):.4f} to {float(one['time'].max()):.4f})   memory "
              f"beyond NumPy and points {process / 2**20:.1f} MiB, of the calls {calls / 2**20:.1f} MiB")  # fmt: skip
    a = ds.attrs
    print(f"ratios: time {a['ratio_time']:.3f}, memory {a['ratio_process']:.3f}, memory of the calls "
          f"{a['ratio_calls']:.3f}; largest difference of three entries {a['difference']:.1e}")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
