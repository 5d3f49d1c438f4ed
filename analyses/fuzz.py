# %%
"""Does any input make the `egan` command fail in another way than by one line that says what is wrong?

Every draw takes a good input, a template of `egan new`, a stored run, the store of a sweep or an array file, spoils it
in one to three places and gives it to a command. Counted are tracebacks, failures that the command calls unexpected,
wrong exit codes, and draws that take more than 10 s of processor time or 2 GB. Sizes (steps, particles, features) are
spoilt to values that are small or that no machine can hold: what is merely large is rightly slow. For the same reason
thresholds are those of the mechanisms that need no simulation.

The draws run in child processes, many in each, with a limit on their memory; --seed and --draws choose them, and
--first I repeats draw I alone.

Run: python -m analyses.fuzz --seed 1 --draws 2000 --output out/fuzz
"""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from multiprocessing import Pipe, connection
from pathlib import Path
from typing import NoReturn

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import egan_theory as eg
from analyses.draws import SMALL
from analyses.script import above, made, options, redraws, sheet
from egan_theory.cli.app import main as egan
from egan_theory.experiment.templates import TEMPLATES
from egan_theory.papers.templates import new
from egan_theory.show.style import BLUE, GREY, ORANGE, PURPLE, VERMILLION

#: limits of a draw: seconds of processor time, those after which it is ended, and on the clock, and bytes
SECONDS, PATIENCE, CLOCK, MEMORY = 10.0, 20.0, 300.0, 2e9
#: draws after which a child process is replaced
RECYCLED = 200
#: the model whose runs are spoilt
SOLVABLE = new("solvable").replace("time = 400.0", "time = 4.0").replace("n = 5000", "n = 40").replace("201", "50")
#: what a value in a TOML file, or an attribute, becomes
VALUES = (
    "0", "1", "2", "3", "-1", "0.0", "-0.5", "1.0", "nan", "inf", "-inf", "1e-320", "1e-300", "1e-30", "1e-20", "1e-6",
    "1e6", "1e20", "1e30", "1e50", "1e100", "1e300", "1e400", "true", "false", '""', '"0.1"', '"ring"', '"\\u0000"',
    "[]", "{}", "[0.5, 0.5]", "[[1.0, 2.0], [3.0]]", "[[]]", "[nan]", "2026-01-01", "9" * 25, "9" * 5000,
    "0x" + "f" * 5000, "[" * 60 + "]" * 60, "[" * 2000 + "]" * 2000, '"' + "x" * 300 + '"',
)  # fmt: skip
#: keys of the experiment that set the size of the work, and what they become
#: what a number becomes half of the time: extreme, but in range
NUMBERS = (
    "1e-20",
    "1e-12",
    "1e-6",
    "1e-3",
    "0.5",
    "0.999",
    "3.0",
    "50.0",
    "1e3",
    "1e6",
    "1e12",
    "1e20",
    "0.0",
    "0",
    "1",
)
SIZES = re.compile(
    r"particles|steps|features|modes|side|samples|runs|record|n|time|dimension|depth|width|degree|substeps|latent_dimension"
)
SIZE_VALUES = (
    "0",
    "-1",
    "1",
    "2",
    "3",
    "5",
    "8",
    "1.5",
    "true",
    "10000000000",
    "9" * 25,
    "9" * 5000,
    '"8"',
    "[]",
    "nan",
)
#: values of the words of an experiment
WORDS = {
    "kernel": ("gaussian", "matern", "laplace", "rational_quadratic", "linear", "polynomial", "relu", "tanh", "sine"),
    "kind": ("ring", "grid", "mixture", "uniform", "points", "wasserstein", "logistic", "hinge", "sobolev"),
    "rule": ("simultaneous", "alternating", "extragradient", "optimistic", "flow", "adam", "best-response",
             "best-response-flow"),
    "evaluation": ("direct", "fourier"), "masses": ("equal", "matched"), "start": ("kick", "random"),
    "normalisation": ("sum", "mean"), "constraint": ("hard", "x - 1", "tanh(x - 1)"), "latent": ("rademacher",),
    "nonlinearity": ("tanh",), "activation": ("relu", "erf", "gelu", "identity", "polynomial", "softplus", "sine"),
}  # fmt: skip
#: tables that the templates have in comments only
TABLES = (
    "[memory]\ngenerator = 10.0\n", '[memory]\ndiscriminator = "uniform"\n',
    "[likelihood]\nweight = 0.1\nbandwidth = 0.5\n", "[packing]\ndegree = 2\n",
    "[discriminator.architecture]\ndepth = 3\nactivation = \"erf\"\nweight_variance = 1.5\n",
    "[generator.architecture]\ndepth = 3\nactivation = \"gelu\"\nbias_variance = 0.1\n",
)  # fmt: skip

Rng = np.random.Generator
Case = tuple[str, list[str]]


# -- good inputs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stock:
    """Folder of good inputs: runs.nc, sweep.zarr, recorded.zarr, part.nc.zarr, points.npy, points.nc, small.toml."""

    folder: Path

    def copy(self, name: str, to: Path) -> Path:
        source, copy = self.folder / name, to / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
        return copy


def stock(folder: Path) -> None:
    """Made once for all draws."""
    (folder / "small.toml").write_text(SMALL)
    exp = eg.Experiment.from_toml(folder / "small.toml")
    stored_arrays(folder, exp.points.coordinates)
    stored_runs(folder, exp)
    stored_sweeps(folder, exp)
    compile_solvable(folder)


def compile_solvable(folder: Path) -> None:
    """The code is kept for the draws."""
    (folder / "m.toml").write_text(SOLVABLE)
    with redirect_stdout(io.StringIO()):
        assert egan(["solvable", "simulate", str(folder / "m.toml"), "-o", str(folder / "m.nc")]) == 0


def stored_arrays(folder: Path, Y: np.ndarray) -> None:
    np.save(folder / "points.npy", Y)
    np.save(folder / "gram.npy", np.kron(np.exp(-((Y[:, None] - Y) ** 2).sum(-1)), np.eye(2)))
    points = {"points": (("m", "d"), Y), "weights": ("m", np.full(len(Y), 1 / len(Y)))}
    eg.save(xr.Dataset(points), folder / "points.nc")


def stored_runs(folder: Path, exp: eg.Experiment) -> None:
    """A file of runs, and a recording that was not finished."""
    runs = eg.simulate(exp)
    eg.save(runs, folder / "runs.nc")
    writer = eg.RunWriter(folder / "part.nc", exp, chunk=2)
    for i, step in enumerate(runs["time"].values):
        writer.log(step, runs["particles"].values[:, i])
    writer.abandon()


def stored_sweeps(folder: Path, exp: eg.Experiment) -> None:
    """Processes are started here; no draw starts any."""
    axes = ["penalty.r1=0.1:0.3:2", "generator.kernel.ratio=0.0:0.5:2"]
    eg.sweep(exp, axes[:1], folder / "sweep.zarr", seeds=2, workers=1)
    eg.sweep(exp, axes, folder / "recorded.zarr", record=True, workers=1)


# -- spoiling ----------------------------------------------------------------------------------------------------


def pick(rng: Rng, choices: object) -> object:
    chosen = list(choices)  # type: ignore[call-overload]
    return chosen[rng.integers(len(chosen))]


def spoilt_bytes(data: bytes, rng: Rng) -> bytes:
    kind = rng.integers(4)
    if kind == 0:
        return data[: rng.integers(len(data) + 1)]
    out = bytearray(data)
    at = int(rng.integers(max(len(out), 1)))
    if kind == 1 and out:
        for i in rng.integers(len(out), size=8):
            out[i] = rng.integers(256)
    elif kind == 2:
        out[at : at + int(rng.integers(1, 64))] = rng.bytes(int(rng.integers(0, 64)))
    else:
        out[at:at] = rng.bytes(16)
    return bytes(out)


def spoilt_toml(text: str, rng: Rng) -> str:
    lines = text.splitlines()
    given = [i for i, line in enumerate(lines) if re.match(r"\w+ *=", line)]
    kind = rng.integers(12)
    if kind <= 6 and given:
        i = pick(rng, given)
        key = lines[i].split("=")[0].strip()
        if key in WORDS and rng.random() < 0.7:
            value = f'"{pick(rng, WORDS[key])}"'
        elif SIZES.fullmatch(key):
            value = str(pick(rng, SIZE_VALUES))
        else:
            number = re.match(r"\w+ *= *-?[\d.e+-]+\b", lines[i])
            value = str(pick(rng, NUMBERS if number and rng.random() < 0.6 else VALUES))
        lines[i] = f"{key} = {value}"
    elif kind == 7:
        del lines[rng.integers(len(lines))]
    elif kind == 8:
        lines.insert(int(rng.integers(len(lines) + 1)), str(pick(rng, lines)))
    elif kind == 9:
        return "\n".join(lines) + "\n" + str(pick(rng, TABLES))
    elif kind == 10:
        return spoilt_bytes(text.encode("utf-8", "surrogateescape"), rng).decode("utf-8", "surrogateescape")
    else:
        tables = [i for i, line in enumerate(lines) if line.startswith("[")]
        if tables:
            i = pick(rng, tables)
            lines[i] = str(
                pick(rng, ("[target]", "[run]", "[[run]]", "[generator.kernel]", "[x]", "[", lines[i] + " = 3"))
            )
    return "\n".join(lines) + "\n"


def spoilt_attribute(value: object, rng: Rng) -> object:
    """For HDF5 and JSON alike."""
    others = (0, -1, 1.5, True, "", "x", "1", [1, 2], [], 1e300, "\n", "[run]\nsteps = 3", 2**62)
    if isinstance(value, str) and rng.random() < 0.4:
        return spoilt_toml(value, rng) if "\n" in value else value[: rng.integers(len(value) + 1)]
    return pick(rng, others)


def spoilt_netcdf(path: Path, rng: Rng) -> None:
    import h5py

    kind = rng.integers(9)
    if kind == 0:
        path.write_bytes(spoilt_bytes(path.read_bytes(), rng))
        return
    with suppress(OSError, ValueError, TypeError, KeyError, RuntimeError), h5py.File(path, "r+") as file:
        names = [n for n in file if isinstance(file[n], h5py.Dataset)]
        name = str(pick(rng, names))
        holder = file if rng.random() < 0.5 else file[name]
        keys = [k for k in holder.attrs if not k.startswith(("_Nc", "DIMENSION", "REFERENCE", "CLASS"))]
        if kind == 1:
            del file[name]
        elif kind == 2 and keys:
            del holder.attrs[pick(rng, keys)]
        elif kind in (3, 4) and keys:
            key = pick(rng, keys)
            holder.attrs[key] = spoilt_attribute(holder.attrs[key], rng)
        elif kind == 5:
            data = file[name][...]
            flat = data.reshape(-1)
            if flat.size and flat.dtype.kind in "fi":
                bad = (
                    (np.nan, np.inf, -1e300, 1e300, 0.0, 1e20)
                    if flat.dtype.kind == "f"
                    else (0, -1, np.iinfo(flat.dtype).max)
                )
                with np.errstate(over="ignore"):
                    flat[rng.integers(flat.size, size=int(rng.integers(1, 4)))] = pick(rng, bad)
                file[name][...] = data
        elif kind == 6:
            data, attrs = file[name][...], dict(file[name].attrs)
            del file[name]
            dtype = pick(rng, ("f4", "f2", "i1", "S3", "?", "c16"))
            with np.errstate(all="ignore"):
                made = file.create_dataset(name, data=np.nan_to_num(data).astype(dtype))
            for key in ("long_name", "units"):
                if key in attrs:
                    made.attrs[key] = attrs[key]
        elif kind == 7:
            file.move(name, str(pick(rng, (*names, "x", "weights", "points", "time"))))
        else:
            shape = tuple(int(n) for n in rng.integers(0, 5, size=int(rng.integers(0, 5))))
            file.create_dataset(str(pick(rng, ("extra", "force", "mass", "weights", "zeros"))), data=np.zeros(shape))


def spoilt_store(path: Path, rng: Rng) -> None:
    files = [p for p in sorted(path.rglob("*")) if p.is_file()]
    kind = rng.integers(8)
    if kind <= 3:  # what the group says of itself
        file = path / "zarr.json"
        data = json.loads(file.read_text())
        attrs = data["attributes"]
        key = str(pick(rng, attrs))
        if kind == 0:
            del attrs[key]
        elif kind <= 2 or not isinstance(attrs[key], list | dict):
            attrs[key] = spoilt_attribute(attrs[key], rng)
        elif attrs[key]:
            inner = attrs[key][0] if isinstance(attrs[key], list) else attrs[key]
            if isinstance(inner, dict) and inner:
                key = str(pick(rng, inner))
                if rng.random() < 0.3:
                    del inner[key]
                else:
                    inner[key] = spoilt_attribute(inner[key], rng)
        file.write_text(json.dumps(data))
    elif kind == 4:
        shutil.rmtree(pick(rng, [p for p in sorted(path.iterdir()) if p.is_dir()]))
    elif kind == 5:
        file = pick(rng, [p for p in files if p.name == "zarr.json"])
        data = json.loads(file.read_text())
        key = str(pick(rng, data))
        data[key] = spoilt_attribute(data[key], rng)
        file.write_text(json.dumps(data))
    else:
        file = pick(rng, files)
        file.write_bytes(spoilt_bytes(file.read_bytes(), rng))


def spoilt_npy(path: Path, rng: Rng) -> None:
    if path.stat().st_size > 2**20:  # spoilt already
        return
    data = path.read_bytes()
    kind = rng.integers(6)
    if kind == 0:
        path.write_bytes(spoilt_bytes(data, rng))
        return
    length = int.from_bytes(data[8:10], "little")
    header, body = data[10 : 10 + length].decode("latin-1"), data[10 + length :]
    if kind == 1:
        shapes = ("(True, 2)", "(2,)", "()", "(0, 2)", "(2, -2)", "(-1, -1)", "(2, 2.0)", "'ab'", "(" * 50 + ")" * 50,
                  "(" * 3000 + "2" + ",)" * 3000, "(10**9, 2)", "(1000000000000, 2)", "(200000000, 2)", "None",
                  "(2, 200000000)",
                  f"({'9' * 4000}, 2)", f"(0x{'f' * 5000}, 2)", "(2, 2, 1)", "[2, 2]", "{}", "(2**70,)",
                  "(None, 2)")  # fmt: skip
        header = re.sub(r"'shape': \(.*?\)", lambda _: f"'shape': {pick(rng, shapes)}", header)
    elif kind == 2:
        types = ("'<f4'", "'>f8'", "'<c16'", "'|O'", "'|b1'", "'<U4'", "'<M8[D]'", "'<f16'", "[('a', '<f8')]", "'|V8'",
                 "1", "''",
                 "'<i8'", "'x'", "('<f8', (2,))", "[[]]")  # fmt: skip
        header = re.sub(r"'descr': '.*?'", lambda _: f"'descr': {pick(rng, types)}", header)
    elif kind == 3:
        header = re.sub(r"False", lambda _: str(pick(rng, ("True", "1", "None", "'x'", "__import__('os')"))), header)
    elif kind == 4:
        header = str(
            pick(rng, ("", "{}", "{'shape': (2, 2)}", "1 + 1", "[" * 5000, "\x00" * 20, "é", header + "}" * 3))
        )
    raw = header.encode("utf-8", "replace") + b"\n"
    version = bytes(pick(rng, ((1, 0), (1, 0), (2, 0), (3, 0), (0, 0), (9, 9))))
    size = len(raw).to_bytes(2 if version[0] < 2 else 4, "little") if len(raw) < 65536 else b"\xff\xff"
    path.write_bytes(data[:6] + version + size + raw + body)
    if kind == 5 or rng.random() < 0.3:
        os.truncate(path, int(pick(rng, (len(raw), 200, 3 * 10**9, 5 * 10**10))))  # sparse: takes no room


def repeatedly(spoil: Callable[[], None], rng: Rng) -> None:
    """Once, or two or three times."""
    for _ in range(1 + rng.choice(3, p=[0.6, 0.3, 0.1])):
        spoil()


# -- cases -------------------------------------------------------------------------------------------------------


def draw_template(stock: Stock, folder: Path, rng: Rng) -> Case:
    kind = str(pick(rng, TEMPLATES))
    text = new(kind)
    # small enough for every command
    for key, value in (
        ("particles", 8),
        ("modes", 4),
        ("side", 3),
        ("samples", 4),
        ("features", 16),
        ("steps", 30),
        ("runs", 2),
    ):
        text = re.sub(rf"^{key} = \d+ ", f"{key} = {value} ", text, flags=re.M)
    if kind == "uniform":
        text = text.replace("features = 16", "features = 0")
    if kind == "points":
        path = stock.copy("points.npy", folder)
        text = re.sub(r"path = .*", f'path = "{path.name}"', text)
        text = re.sub(r"particles = \d+", "particles = 4", text)
    for _ in range(1 + rng.choice(3, p=[0.6, 0.3, 0.1])):
        text = spoilt_toml(text, rng)
    (folder / "e.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    E = str(folder / "e.toml")
    commands = (
        ["spectrum", E], ["spectrum", E, "--extreme", "2"], ["regularizer", E],
        ["simulate", E, "-o", str(folder / "o.nc")],
        ["simulate", E, "-o", str(folder / "o.nc"), "--json"], ["universality", E],
        ["spectrum", E, "--json", "-o", str(folder / "s.nc")], ["power-laws", E], ["advise", E],
        ["threshold", E, "--vary", "generator.learning_rate", "--mechanism", "collective instability"],
        ["compare", E, str(stock.folder / "runs.nc")],
        ["regularizer", E, "--penalty", "weight_decay"],
        ["phase", E, "--vary", "generator.kernel.ratio=0.0:0.5:2", "--vary", "penalty.r1=0.1:0.2:2"],
    )  # fmt: skip
    return f"template {kind}", pick(rng, commands)


def draw_solvable(stock: Stock, folder: Path, rng: Rng) -> Case:
    text = SOLVABLE
    for _ in range(1 + rng.choice(3, p=[0.6, 0.3, 0.1])):
        text = spoilt_toml(text, rng)
    (folder / "m.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    M, o = str(folder / "m.toml"), str(folder / "o.nc")
    return "solvable", ["solvable", *pick(rng, (["ode", M], ["ode", M, "--json"], ["simulate", M, "-o", o],
                                                ["sde", M, "-o", o, "--weights", "50"]))]  # fmt: skip


def draw_runs(stock: Stock, folder: Path, rng: Rng) -> Case:
    E, runs = stock.copy("small.toml", folder), stock.copy("runs.nc", folder)
    repeatedly(lambda: spoilt_netcdf(runs, rng), rng)
    if rng.random() < 0.05:
        return "runs", ["report", str(E), "--runs", str(runs), "-o", str(folder / "page")]
    return "runs", ["compare", str(E), str(runs), *pick(rng, ([], ["--json"], ["-o", str(folder / "o.nc")]))]


def draw_recording(stock: Stock, folder: Path, rng: Rng) -> Case:
    E, store = stock.copy("small.toml", folder), stock.copy("part.nc.zarr", folder)
    with suppress(ValueError, KeyError, TypeError):  # spoilt already
        repeatedly(lambda: spoilt_store(store, rng), rng)
    return "recording", ["compare", str(E), str(folder / "part.nc")]


def draw_sweep(stock: Stock, folder: Path, rng: Rng) -> Case:
    E, store = stock.copy("small.toml", folder), stock.copy(str(pick(rng, ("sweep.zarr", "recorded.zarr"))), folder)
    repeatedly(lambda: spoilt_store(store, rng), rng)
    if rng.random() < 0.5 or store.name == "sweep.zarr":
        return "sweep", ["compare", str(E), str(store), *pick(rng, ([], ["--json"]))]
    return "sweep", ["phase", str(E), "--sweep", str(store)]


def draw_points(stock: Stock, folder: Path, rng: Rng) -> Case:
    name = str(pick(rng, ("points.npy", "points.npy", "points.npy", "points.nc")))
    path = stock.copy(name, folder)
    repeatedly(lambda: (spoilt_npy if name.endswith("npy") else spoilt_netcdf)(path, rng), rng)
    (folder / "e.toml").write_text(SMALL.replace('"ring"\nmodes = 2', f'"points"\npath = "{name}"'))
    small = stock.copy("small.toml", folder)
    return "array file", pick(rng, (["spectrum", str(folder / "e.toml")], ["spectrum", str(folder / "e.toml")],
                                    ["advise", str(small), "--data", str(path)]))  # fmt: skip


def draw_gram(stock: Stock, folder: Path, rng: Rng) -> Case:
    E, gram = stock.copy("small.toml", folder), stock.copy("gram.npy", folder)
    repeatedly(lambda: spoilt_npy(gram, rng), rng)
    return "Gram matrix", ["advise", str(E), "--gram", str(gram), "--points", "2", "--dimension", "2"]


#: kinds of cases and their shares
CASES: tuple[tuple[Callable[[Stock, Path, Rng], Case], float], ...] = (
    (draw_template, 0.5), (draw_solvable, 0.06), (draw_runs, 0.14), (draw_recording, 0.05), (draw_sweep, 0.1),
    (draw_points, 0.1), (draw_gram, 0.05),
)  # fmt: skip


# -- running -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What one draw did; ``wrong`` is empty where all is well."""

    index: int
    kind: str
    command: str
    code: int
    line: str
    seconds: float
    memory: float
    wrong: str


def judge(code: int, out: str, err: str) -> str:
    """What of it breaks the contract: one line and exit code 2 for bad input, no traceback, nothing unexpected."""
    if "Traceback" in out + err:
        return "traceback"
    if "unexpected failure" in err:
        return "unexpected failure"
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if code == 2 and (out or not re.fullmatch(r"egan: .+\n", err)):
        return "not one line"
    if code == 2 and not re.search(r": must |see 'egan", err):
        return "no rule in the line"
    if "not enough memory" in err:
        return "out of memory"
    if code == 0 and re.search(r"\b(nan|inf)\b", out):
        return "not a number, with exit code 0"
    return ""


def one(stock: Stock, seed: int, index: int) -> Outcome:
    rng = np.random.default_rng([seed, index])
    shares = np.array([share for _, share in CASES])
    make = CASES[rng.choice(len(CASES), p=shares / shares.sum())][0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kind, command = make(stock, folder, rng)
        out, err = io.StringIO(), io.StringIO()
        _forget_peak()
        start = time.process_time()
        try:
            with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
                code = egan(command)
            wrong = judge(code, out.getvalue(), err.getvalue())
        except BaseException as error:
            code, wrong = 1, f"escaped: {type(error).__name__}: {error}"
        seconds, memory = time.process_time() - start, _peak()
        left = [str(p.name) for p in folder.rglob(".tmp-*")]
    if not wrong and seconds > SECONDS:
        wrong = "slow"
    if not wrong and memory > MEMORY:
        wrong = "too much memory"
    if not wrong and left and kind not in ("sweep", "recording"):
        wrong = f"left behind: {left[0]}"
    text = " ".join(command).replace(name, "DIR").replace(str(stock.folder), "STOCK")
    return Outcome(index, kind, text, code, err.getvalue().strip()[:300], seconds, memory, wrong)


def _forget_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _child(stock: Stock, seed: int, indices: list[int], pipe: connection.Connection) -> None:
    with suppress(OSError, ValueError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + int(1.5 * MEMORY),) * 2)
    for index in indices:
        pipe.send(index)
        pipe.send(one(stock, seed, index))
    pipe.send(None)


def _isolated(work: Callable[..., object], *arguments: object) -> NoReturn:
    """Do it and end the process, which is a fork."""
    try:
        work(*arguments)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _used(child: int) -> float:
    """Processor time of a process, in seconds."""
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def outcomes(stock: Stock, seed: int, indices: list[int]) -> Iterator[Outcome]:
    """Each draw's, in children that are replaced when they die, hang or have done RECYCLED of them."""
    left = list(indices)
    while left:
        ours, theirs = Pipe(duplex=False)
        chunk = left[:RECYCLED]
        sys.stdout.flush()
        child = os.fork()
        if not child:
            _isolated(_child, stock, seed, chunk, theirs)
        theirs.close()
        at, used, begun = None, 0.0, time.monotonic()
        try:
            while True:
                if not ours.poll(1.0):
                    if _used(child) - used > PATIENCE or time.monotonic() - begun > CLOCK:
                        os.kill(child, signal.SIGKILL)
                        break
                    continue
                message = ours.recv()
                used, begun = _used(child), time.monotonic()
                if message is None:
                    break
                if isinstance(message, int):
                    at = message
                else:
                    left.remove(message.index)
                    yield message
                    at = None
        except EOFError:
            pass
        _, status = os.waitpid(child, 0)
        if at is not None:
            left.remove(at)
            wrong = "still running" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else "died"
            yield Outcome(at, "?", "?", -1, f"status {status}", PATIENCE, np.nan, wrong)
        ours.close()


def study(seed: int, draws: int, first: int = 0) -> list[Outcome]:
    """Draws ``first`` to ``first + draws``, wrong ones printed as they come."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        good = Stock(Path(folder))
        child = os.fork()  # what the libraries start for it, threads, would not survive in the children
        if not child:
            _isolated(stock, good.folder)
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("the good inputs could not be made")
        for outcome in outcomes(good, seed, list(range(first, first + draws))):
            found.append(outcome)
            if outcome.wrong:
                print(f"draw {outcome.index}: {outcome.wrong}: egan {outcome.command}: {outcome.line}", flush=True)
    return found


def dataset(found: list[Outcome], seed: int) -> xr.Dataset:
    def column(values: list, long_name: str, units: str = "1") -> tuple:
        return "draw", values, {"long_name": long_name, "units": units}

    return xr.Dataset(
        {
            "kind": column([o.kind for o in found], "what was spoilt"),
            "command": column([o.command for o in found], "command"),
            "code": column([o.code for o in found], "exit code"),
            "seconds": column([o.seconds for o in found], "processor time", "s"),
            "memory": column([o.memory for o in found], "peak resident memory", "byte"),
            "wrong": column([o.wrong for o in found], "what broke the contract; empty: nothing"),
        },
        coords={"draw": [o.index for o in found]},
        attrs={"seed": seed},
    )


def outcomes_of(ds: xr.Dataset) -> list[Outcome]:
    """The draws of a Dataset."""
    names = ("kind", "command", "code", "seconds", "memory", "wrong")
    rows = zip(ds["draw"].values, *(ds[n].values for n in names), strict=True)
    return [Outcome(int(i), str(k), str(c), int(e), "", float(s), float(m), str(w)) for i, k, c, e, s, m, w in rows]


def figure(ds: xr.Dataset) -> Figure:
    """Exit codes by what was spoilt, and time and memory of every draw."""
    out, (left, right) = sheet(1, 2, 4.8)
    kinds, codes = np.unique(ds["kind"].values), np.unique(ds["code"].values)
    before = np.zeros(len(kinds))
    for code, colour in zip(codes, (BLUE, ORANGE, VERMILLION, PURPLE, GREY), strict=False):
        many = np.array([int(((ds["kind"] == k) & (ds["code"] == code)).sum()) for k in kinds])
        word = {0: "done (exit 0)", 2: "refused in one line (exit 2)"}.get(int(code), f"exit {int(code)}")
        left.barh(kinds, many, left=before, color=colour, label=word)
        before = before + many
    wrong = np.array([int(((ds["kind"] == k) & (ds["wrong"] != "")).sum()) for k in kinds])
    for i, count in enumerate(wrong):
        left.text(before[i], i, f" {count} wrong", va="center", fontsize=9)
    left.set(xlabel="draws (number)", xlim=(0, 1.25 * before.max()))
    left.grid(False, axis="y")
    above(left, f"{ds.sizes['draw']} spoilt inputs, {int(wrong.sum())} failed otherwise", 1)
    ok = ds["wrong"].values == ""
    for at, colour, marker, label in ((ok, BLUE, ".", "as it should"), (~ok, VERMILLION, "x", "wrong")):
        if at.any():
            right.loglog(np.maximum(ds["seconds"].values[at], 1e-3), ds["memory"].values[at] / 1e9, marker,
                         color=colour, ms=4, label=label)  # fmt: skip
    right.axvline(SECONDS, color=GREY, lw=1.2, ls="--", label=f"limits: {SECONDS:g} s, {MEMORY / 1e9:g} GB")
    right.axhline(MEMORY / 1e9, color=GREY, lw=1.2, ls="--")
    right.set(xlabel="processor time (s)", ylabel="peak memory (GB)")
    above(right)
    return out


def summary(found: list[Outcome]) -> str:
    lines = []
    for kind in sorted({o.kind for o in found}):
        some = [o for o in found if o.kind == kind]
        codes = ", ".join(f"exit {c}: {sum(o.code == c for o in some)}" for c in sorted({o.code for o in some}))
        slowest, largest = max(o.seconds for o in some), np.max([0.0, *(o.memory for o in some if o.memory > 0)])
        lines.append(
            f"{kind:18} {len(some):5} draws ({codes}); slowest {slowest:.1f} s, largest {largest / 1e9:.2f} GB"
        )
    wrong = [o.wrong.split(":")[0] for o in found if o.wrong]
    lines.append(
        f"{len(found)} draws, {len(wrong)} wrong" + "".join(f"; {wrong.count(w)} {w}" for w in sorted(set(wrong)))
    )
    return "\n".join(lines)


@redraws
def main(argv: list[str] | None = None) -> int:
    parser = options("fuzz", 2000, about=__doc__)
    parser.add_argument("--first", type=int, help="this draw alone")
    arguments = parser.parse_args(argv)
    if arguments.first is not None:
        found = study(arguments.seed, 1, arguments.first)
        print(found[0])
    else:
        ds = made(arguments, lambda: dataset(study(arguments.seed, arguments.draws), arguments.seed), figure)
        found = outcomes_of(ds)
    print(summary(found))
    return int(any(o.wrong for o in found))


if __name__ == "__main__":
    sys.exit(main())
