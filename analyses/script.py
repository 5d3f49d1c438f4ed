"""What every analysis does around its study: the arguments they share, a Dataset and a figure of it in files."""

from __future__ import annotations

import os
import re
import shlex
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

#: the repository, from which ``python -m analyses.NAME`` is run
ROOT = Path(__file__).resolve().parents[1]
#: the published MNIST runs: their raw files, order parameters and target
PUBLISHED = Path(os.environ.get("EGAN_PUBLISHED_MNIST", ROOT.parent / "shared" / "published_mnist"))
#: dots per inch of a figure, which is to be read at about 700 pixels across, and the most bytes its file may have
DPI, LIMIT = 115, 100_000
#: the file that a script draws again
REDRAWN: ContextVar[Path | None] = ContextVar("REDRAWN", default=None)


class Parser(ArgumentParser):
    """Keeps in the arguments, as ``command``, what makes the same again, wherever its files go."""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Namespace:  # type: ignore[override]
        given = list(sys.argv[1:] if args is None else args)
        found = super().parse_args(given, namespace)
        rest, skip = [], False
        for word in given:
            if not skip and word.split("=")[0] not in ("--output", "--from", "--seed", "--draws"):
                rest.append(word)
            skip = not skip and word in ("--output", "--from", "--seed", "--draws")
        found.command = shlex.join([*self.prog.split(), f"--seed={found.seed}", f"--draws={found.draws}", *rest])
        found.command = found.command.replace("--seed=", "--seed ").replace("--draws=", "--draws ")
        return found


def options(
    name: str, draws: int, *, seed: int = 1, about: str | None = None, help_seed: str | None = None,
    help_draws: str | None = None,
) -> Parser:  # fmt: skip
    """A parser with --seed, --draws, --output and --from; files go to out/NAME with a suffix each unless told
    otherwise."""
    parser = Parser(prog=f"python -m analyses.{name}", description=about)
    parser.add_argument("--seed", type=int, default=seed, help=help_seed)
    parser.add_argument("--draws", type=int, default=draws, help=help_draws)
    parser.add_argument("--output", type=Path, default=Path("out") / name)
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE.nc", help="draw again what was computed")
    return parser


def spent() -> float:
    """Processor time of this process and of those it waited for, seconds."""
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


def made(args: Namespace, study: Callable[[], xr.Dataset], figure: Callable[[xr.Dataset], Figure]) -> xr.Dataset:
    """The Dataset of ``study()``, with the seed, draws, command and processor time it took, or that of ``--from``, in
    OUTPUT.nc; its figure in OUTPUT.png."""
    from egan_theory.base.netcdf import read_netcdf

    if args.source is not None:
        REDRAWN.set(args.source)
        ds = read_netcdf("--from", args.source)
        write(args.output, None, drawn(figure, ds), ds.attrs)
        return ds
    start = spent()
    ds = study()
    ds = ds.assign_attrs(seed=args.seed, draws=args.draws, command=args.command, cpu_seconds=round(spent() - start, 1))
    write(args.output, ds, drawn(figure, ds), ds.attrs)
    return ds


def redraws(main: Callable[..., Any]) -> Callable[..., Any]:
    """``main``, which says in one line (exit code 2) what a file of --from lacks that is drawn or printed: it may be
    another script's, or one of an earlier version. A full disk is one line, too (exit code 1)."""

    @wraps(main)
    def told(argv: Sequence[str] | None = None) -> Any:
        from egan_theory.base.errors import EganError, InputError

        token, code = REDRAWN.set(None), 2
        try:
            return main(argv)
        except (AttributeError, KeyError, ValueError) as error:
            if (file := REDRAWN.get()) is None:
                raise
            if isinstance(error, InputError):
                line = str(error)
            else:
                line = (
                    f"{file}: must hold what is drawn and printed, but {_line(error)}; without --from it is made anew"
                )
        except EganError as error:
            line, code = str(error), 1
        finally:
            REDRAWN.reset(token)
        print(f"{Path(main.__code__.co_filename).stem}: {line}", file=sys.stderr)
        raise SystemExit(code)

    return told


def _line(error: Exception) -> str:
    """What was missing, in a few words."""
    text = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
    named = isinstance(error, KeyError) and re.match(r"No variable named (.*?)\.(?: |$)", text)
    name = named[1] if named else error.name if isinstance(error, AttributeError) else text
    alone = isinstance(error, (AttributeError, KeyError)) and not re.search(r"\s", str(name))
    return f"{str(name).strip(chr(39))!r} is missing" if alone else f"found: {text[:160]}"


def drawn(figure: Callable[[xr.Dataset], Figure], ds: xr.Dataset) -> Figure:
    """The figure in the look of the package's figures."""
    from egan_theory.show.style import styled

    return styled(figure)(ds)


def write(
    output: Path, ds: xr.Dataset | None, figure: Figure | None = None, about: dict[str, Any] | None = None
) -> None:
    """OUTPUT.nc and OUTPUT.png; the folder is made. The PNG says what made it (``facts``), and has at most LIMIT
    bytes: so few colours that they fit, and no more than fit in a palette. Raises EganError where the disk is full,
    which says where else they are."""
    import egan_theory as eg
    from egan_theory.base.files import atomic, rescuing

    def drawing(file: Path) -> None:
        with atomic(file) as temporary:
            temporary.write_bytes(png(figure, about or {}))

    output.parent.mkdir(parents=True, exist_ok=True)
    if ds is not None:
        with rescuing(output.with_suffix(".nc"), lambda file: eg.save(ds, file)):
            eg.save(ds, output.with_suffix(".nc"))
    if figure is not None:
        with rescuing(output.with_suffix(".png"), drawing):
            drawing(output.with_suffix(".png"))


def png(figure: Figure, about: dict[str, Any]) -> bytes:
    """A PNG of at most LIMIT bytes, with ``about``'s command, seed, draws and processor time as its text."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    for name in ("command", "seed", "draws", "cpu_seconds"):
        if name in about:
            text.add_text(name, str(about[name]))
    for dpi, colours in ((DPI, 256), (DPI, 64), (DPI, 24), (90, 24), (70, 12)):
        raw, out = BytesIO(), BytesIO()
        figure.savefig(raw, format="png", dpi=dpi)
        with Image.open(raw) as image:
            few = image.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
            few.save(out, "png", optimize=True, pnginfo=text)
        if len(out.getvalue()) <= LIMIT:
            break
    return out.getvalue()


def facts(path: Path) -> str:
    """The line of the gallery about a figure's making, read from its file: seed, draws, processor time, command."""
    from PIL import Image

    with Image.open(path) as image:
        about = image.text  # type: ignore[attr-defined]
    time = "processor time not kept"
    if "cpu_seconds" in about:
        seconds = float(about["cpu_seconds"])
        time = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
        time += " of processor time"
    return f"Seed {about['seed']}, draws {about['draws']}, {time}: `{about['command']}`"


def merged(**parts: xr.Dataset) -> xr.Dataset:
    """One Dataset of several: every variable, dimension and attribute of a part under PART_NAME."""
    import xarray as xr

    named = [ds.rename({n: f"{part}_{n}" for n in {*ds.variables, *ds.dims}}) for part, ds in parts.items()]
    about = {f"{part}_{n}": value for part, ds in parts.items() for n, value in ds.attrs.items()}
    whole = xr.Dataset(attrs=about)
    for ds in named:
        whole = whole.assign_coords(ds.coords).assign(ds.data_vars)  # xr.merge drops the variables' attributes
    return whole


def part_of(ds: xr.Dataset, part: str) -> xr.Dataset:
    """The part that ``merged`` put there, under its own names."""
    start = f"{part}_"
    here = ds[[str(n) for n in ds.data_vars if str(n).startswith(start)]]
    here.attrs = {n.removeprefix(start): value for n, value in ds.attrs.items() if n.startswith(start)}
    return here.rename({n: str(n).removeprefix(start) for n in {*here.variables, *here.dims}})


# what figures share
def sheet(rows: int = 1, columns: int = 1, height: float = 4.2, **how: Any) -> tuple[Figure, Any]:
    """(a figure 9 inches wide, its axes)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **how)


def above(ax: Any, title: str = "", columns: int = 1, **how: Any) -> None:
    """A legend over the axes, where it covers no data."""
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, frameon=False, title=title or None,
              alignment="left", columnspacing=1.0, handletextpad=0.5, borderaxespad=0.2, **how)  # fmt: skip
