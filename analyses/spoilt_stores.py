# %%
"""Is the store of a sweep that was damaged ever read wrong?

Every draw takes the finished store of a small sweep, recorded or not, and damages it in one to three places: attributes
and metadata changed, files lost, cut, overwritten, exchanged, or replaced by folders, links and pipes. Then `egan
compare` reads it and `egan sweep --resume` repairs it. Each must refuse it in one line that names it, or be right: what
is read is what was simulated (or the cells are said to be pending), and what is repaired is the same store to the byte.

Each draw is a process of its own, ended after 60 s; --first I repeats draw I alone.

Run: python -m analyses.spoilt_stores --seed 1 --draws 300 --output out/spoilt_stores
"""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import egan_theory as eg
from analyses.draws import SMALL
from analyses.fuzz import Rng, pick, spoilt_bytes, spoilt_store
from analyses.script import above, made, options, redraws, sheet
from egan_theory.cli.app import main as egan
from egan_theory.runs.store import LOCK
from egan_theory.show.style import BLUE, GREY, ORANGE, VERMILLION
from egan_theory.sweeps import run as sweeping
from egan_theory.sweeps.batch import run_batch

#: seconds until a draw is ended
PATIENCE = 60
AXES = ("penalty.r1=0.1:0.3:2", "generator.kernel.ratio=0.0:0.5:2")
STORES = ("sweep.zarr", "recorded.zarr")
COMMAND = ["--vary", AXES[0], "--vary", AXES[1], "--batch", "1"]


# %%
def stock(folder: Path) -> None:
    """The experiment, its finished stores, and what is read of them."""
    here()
    (folder / "e.toml").write_text(SMALL)
    exp = eg.Experiment.from_toml(folder / "e.toml")
    for name in STORES:
        eg.sweep(exp, AXES, folder / name, record=name == "recorded.zarr", batch=1)
    (folder / "known").write_bytes(pickle.dumps({name: read(folder, folder / name) for name in STORES}))


def here() -> None:
    """Batches without worker processes."""
    sweeping.in_processes = lambda text, left, workers: ((i, run_batch(text, i)) for i in left)  # type: ignore[assignment]


def command(words: list[str]) -> tuple[int, str, str]:
    """(exit code, output, errors) of `egan`."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        code = egan(words)
    return code, out.getvalue(), err.getvalue()


def read(folder: Path, store: Path) -> tuple[int, str, str, xr.Dataset | str]:
    """What `egan compare` says of a store, and the Dataset itself, or why there is none."""
    said = command(["compare", str(folder / "e.toml"), str(store), "--json"])
    try:
        return (*said, eg.open_sweep(store).load())
    except eg.InputError as error:
        return (*said, str(error))


def files(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file() and p.name != LOCK}


# %%
def chunk(store: Path, rng: Rng) -> Path:
    return pick(rng, [p for p in sorted(store.rglob("*")) if p.is_file() and p.name not in ("zarr.json", LOCK)])


def lost(store: Path, rng: Rng) -> None:
    chunk(store, rng).unlink()


def cut(store: Path, rng: Rng) -> None:
    file = chunk(store, rng)
    os.truncate(file, rng.integers(file.stat().st_size + 1))


def overwritten(store: Path, rng: Rng) -> None:
    file = chunk(store, rng)
    file.write_bytes(spoilt_bytes(file.read_bytes(), rng))


def exchanged(store: Path, rng: Rng) -> None:
    """Two files of one folder, or of one name."""
    one = chunk(store, rng)
    alike = [p for p in sorted(store.rglob("*")) if p.is_file() and p != one and p.suffix == one.suffix]
    other = pick(rng, [p for p in alike if p.parent == one.parent] or alike)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def replaced(store: Path, rng: Rng) -> None:
    """By a pipe, a folder, a device, a link to the same bytes elsewhere, one to nowhere."""
    file = pick(rng, [p for p in sorted(store.rglob("*")) if p.name != LOCK])
    kept = store.with_name("elsewhere")
    if kept.exists():
        return
    file.rename(kept)
    kind = rng.integers(5)
    if kind == 0:
        os.mkfifo(file)
    elif kind == 1:
        file.mkdir() if kept.is_file() else file.write_bytes(b"x")
    else:
        file.symlink_to(("/dev/zero", kept, "nowhere")[kind - 2])


def no_metadata(store: Path, rng: Rng) -> None:
    pick(rng, sorted(store.rglob("zarr.json"))).unlink()


KINDS: dict[str, Callable[[Path, Rng], None]] = {
    "attributes or metadata": spoilt_store, "a file lost": lost, "a file cut": cut, "a file overwritten": overwritten,
    "files exchanged": exchanged, "a pipe, folder or link instead": replaced, "zarr.json lost": no_metadata,
}  # fmt: skip


def one(folder: Path, seed: int, index: int) -> tuple[str, str, str, str]:
    """(what was damaged, what reading it did, what --resume did, what was wrong with that)."""
    here()
    rng = np.random.default_rng([seed, index])
    known = pickle.loads((folder / "known").read_bytes())  # our own, of a moment ago
    with tempfile.TemporaryDirectory() as place:
        name, kind = str(pick(rng, STORES)), str(pick(rng, KINDS))
        store = Path(shutil.copytree(folder / name, Path(place) / name))
        whole = files(store)
        KINDS[kind](store, rng)
        for _ in range(rng.choice(3, p=[0.6, 0.3, 0.1])):
            with suppress(OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):  # spoilt already
                KINDS[str(pick(rng, KINDS))](store, rng)
        found, wrong = judged_reading(read(folder, store), known[name], store)
        record = ["--record"] if name == "recorded.zarr" else []
        code, out, err = command(["sweep", str(folder / "e.toml"), *COMMAND, *record, "-o", str(store), "--resume"])
        if code == 0:
            done = "repaired"
            if files(store) != whole:
                wrong = wrong or "repaired, but not the same"
        else:
            done = "refused"
            wrong = wrong or refusal(code, out, err, store)
        return kind, found, done, wrong and f"{name}: {wrong}"


def refusal(code: int, out: str, err: str, store: Path) -> str:
    """What is wrong with it; nothing where it is one line with exit code 2 that names the store."""
    err = re.sub(r"egan: .* s so far\n", "", err)  # a slow machine says how far it is
    if code == 2 and out == "" and re.fullmatch(r"egan: .+: must .+\n", err) and store.name in err:
        return ""
    return f"exit code {code}: {err.strip()}"


def judged_reading(found: tuple, known: tuple, store: Path) -> tuple[str, str]:
    """(what it was, what is wrong with it)."""
    code, out, err, ds = found
    wrong = ""
    if isinstance(ds, xr.Dataset):
        done = ds["status"].values != 0
        if not ds.isel(cell=done).identical(known[3].isel(cell=done)):
            wrong = "other values were read"
    elif store.name not in ds:
        wrong = f"the error names no file: {ds}"
    if code:
        return "refused", wrong or refusal(code, out, err, store)
    mine, right = json.loads(out), json.loads(known[1])
    rows = [row for row in mine["quantities"] if row not in right["quantities"]]
    if rows:
        return "read", wrong or f"other numbers were read: {rows[0]}"
    missing = len(mine["quantities"]) < len(right["quantities"])
    if missing and "pending" not in out:
        return "read", wrong or "numbers are missing without a word"
    return "read, some cells pending" if missing else "read", wrong


# %%
def apart(work: Callable[[], object]) -> object:
    """What it returns, from a process of its own; TimeoutError, RuntimeError."""
    ours, theirs = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        signal.alarm(PATIENCE)  # whose default action ends it, whatever it waits for
        with os.fdopen(theirs, "wb") as pipe:
            try:
                pickle.dump((work(), ""), pipe)
            except BaseException as error:
                pickle.dump((None, f"escaped: {type(error).__name__}: {error}"), pipe)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise TimeoutError(
            "it hangs" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM else "it died"
        )
    value, error = pickle.loads(data)
    if error:
        raise RuntimeError(error)
    return value


def study(seed: int, draws: int, first: int = 0) -> xr.Dataset:
    """Draws ``first`` to ``first + draws``, wrong ones printed as they come."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        apart(lambda: stock(folder))
        for index in range(first, first + draws):
            try:
                row = apart(lambda index=index: one(folder, seed, index))
            except (TimeoutError, RuntimeError) as error:
                row = ("?", "?", "?", str(error))
            rows.append(row)
            if row[3]:
                print(f"draw {index}: {row}", flush=True)
    about = ("what was damaged first", "what reading did", "what --resume did", "what was wrong; empty: nothing")
    names = ("kind", "reading", "resuming", "wrong")
    columns = {name: ("draw", [str(row[i]) for row in rows], {"long_name": about[i], "units": "1"})
               for i, name in enumerate(names)}  # fmt: skip
    return xr.Dataset(columns, coords={"draw": np.arange(first, first + draws)}, attrs={"seed": seed})


def figure(ds: xr.Dataset) -> Figure:
    """What became of the damaged stores, by damage."""
    out, axes = sheet(1, 2, 4.2, sharey=True)
    kinds = sorted(set(ds["kind"].values.tolist()))
    wrong = int((ds["wrong"] != "").sum())
    for ax, name, words in zip(axes, ("reading", "resuming"), (READ, RESUMED), strict=True):
        before = np.zeros(len(kinds))
        for word, colour in words.items():
            many = np.array([int(((ds["kind"] == k) & (ds[name] == word)).sum()) for k in kinds])
            if many.any():
                ax.barh(kinds, many, left=before, color=colour, label=f"{word} ({int(many.sum())})")
            before = before + many
        ax.set_xlabel("damaged stores (number)")
        ax.grid(False, axis="y")
        words = {"reading": "What egan compare did", "resuming": "What egan sweep --resume did"}[name]
        above(ax, f"{words} ({wrong} of {ds.sizes['draw']} wrong)", 1)
    return out


READ = {"read": BLUE, "read, some cells pending": ORANGE, "refused": GREY, "?": VERMILLION}
RESUMED = {"repaired": BLUE, "refused": GREY, "?": VERMILLION}


@redraws
def main(argv: list[str] | None = None) -> int:
    parser = options("spoilt_stores", 300, about=__doc__)
    parser.add_argument("--first", type=int, help="this draw alone")
    arguments = parser.parse_args(argv)
    if arguments.first is not None:
        ds = study(arguments.seed, 1, arguments.first)
    else:
        ds = made(arguments, lambda: study(arguments.seed, arguments.draws), figure)
    for name in ("reading", "resuming"):
        print(name, dict(Counter(ds[name].values.tolist())))
    wrong = int((ds["wrong"] != "").sum())
    print(f"{ds.sizes['draw']} damaged stores, {wrong} mishandled")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
