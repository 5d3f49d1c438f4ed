"""Malformed experiments and run files: exit code 2, one line that names the field, nothing written."""

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from analyses.draws import SMALL
from egan_theory.base.files import read_npz
from egan_theory.base.netcdf import _check_dims
from egan_theory.cli.app import main
from egan_theory.experiment.given import read_points
from tests.builders import posix


def edited(**tables: str) -> str:
    """SMALL with lines added to its tables (or tables added): later lines of a key replace earlier ones."""
    lines: dict[str, dict[str, str]] = {}
    for table, body in re.findall(r"\[(\w+)\]\n([^\[]*)", SMALL):
        lines[table] = dict(line.split(" = ", 1) for line in body.strip().splitlines())
    for table, body in tables.items():
        new = dict(line.split(" = ", 1) for line in body.splitlines())
        lines[table] = new if "kind" in new and table == "target" else lines.get(table, {}) | new
    return "\n".join(f"[{t}]\n" + "\n".join(f"{k} = {v}" for k, v in body.items()) for t, body in lines.items())


def bad_input(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command, hold it to the contract for bad input, and return its one line."""
    before = sorted(folder.rglob("*"))
    code = main(arguments)
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert err.endswith("\n") and err.count("\n") == 1, err
    assert re.match(r"egan: .+: must .+", err), err
    for leak in ("Traceback", "Input should", "pydantic", "Error:", "errors.InputError", "function-before", "literal["):
        assert leak not in err
    assert sorted(folder.rglob("*")) == before
    return err


# -- experiments -------------------------------------------------------------------------------------------------

FIELDS: list[tuple[str, str]] = []  # (text, what the line must contain)


def case(found: str, **tables: str) -> None:
    FIELDS.append((edited(**tables), found))


# unknown keys, at each level
FIELDS += [
    (SMALL + "[tagret]\nmodes = 3", "tagret: must be one of the known keys (target, generator"),
    ("colour = 1\n" + SMALL, "colour: must be"),
    ("self = 1\n" + SMALL, "self: must be"),
    (SMALL + "[generator.network]\ndepth = 3", "generator.network: must be"),
    (SMALL + "[generator.kernel]\nphi = 0.1", "generator.kernel.phi: must be one of the known keys (diagonal, ratio)"),
    (SMALL + '[generator.kernel]\n"two\\nlines" = 0.1', "generator.kernel.two lines: must be"),
]
case("target.mode: must be one of the known keys (kind, modes, radius, weights)", target='kind = "ring"\nmode = 3')
case("target.ring: must be", target='kind = "ring"\nring = 3')
case("target.float: must be", target='kind = "ring"\nfloat = 3')
case("target.modes: must be", target='kind = "grid"\nmodes = 3')
case("generator.particels: must be", generator="particels = 4")
case("generator.ring: must be", generator="ring = 4")
case("discriminator.lenght_scale: must be", discriminator="lenght_scale = 1.0")
case("loss.type: must be", loss='type = "hinge"')
case("penalty.r3: must be", penalty="r3 = 0.1")
case("update.steps: must be", update="steps = 3")
case("run.step: must be", run="step = 3")

# wrong types
FIELDS += [
    ("target = 3", "target: must be a table"),
    ('target = "ring"', "target: must be a table"),
    ("[[target]]\nkind = 'ring'", "target: must be a table"),
    ("generator = [1]", "generator: must be a table"),
    ("run = false", "run: must be a table"),
    ("[generator]\nkernel = 0.05", "generator.kernel: must be a table"),
]
case("generator.particles: must be a whole number, but found '4'", generator='particles = "4"')
case("generator.particles: must be a whole number, but found 4.0", generator="particles = 4.0")
case("generator.particles: must be a whole number, but found True", generator="particles = true")
case("generator.particles: must be a whole number, but found [4]", generator="particles = [4]")
case("generator.learning_rate: must be a number", generator='learning_rate = "0.1"')
case("generator.learning_rate: must be a number", generator="learning_rate = true")
case("generator.learning_rate: must be a number", generator="learning_rate = [0.1]")
case("generator.learning_rate: must be a number", generator="learning_rate = 2020-01-01")
case("generator.normalisation: must be 'sum' or 'mean'", generator="normalisation = 1")
case("generator.masses: must be 'equal', 'matched' or an array", generator="masses = 0.25")
case("generator.masses.1: must be a number", generator='masses = [0.5, "a", 0.25, 0.25]')
case("generator.per_point: must be an array", generator="per_point = 2")
case("generator.per_point.0: must be a whole number", generator="per_point = [2.0, 2]")
case("discriminator.kernel: must be one of gaussian", discriminator="kernel = 3")
case("discriminator.features: must be a whole number", discriminator="features = 8.5")
case("loss.kind: must be a string", loss="kind = 1")
case("penalty.r1: must be a number", penalty='r1 = "0.1"')
case("update.critic_steps: must be a whole number", update="critic_steps = 2.0")
case("run.steps: must be a whole number", run="steps = 1e3")
case("run.start: must be 'kick' or 'random'", run="start = 0")
case("target.kind: must be one of ring", target="kind = 3")
case("target.kind: must be one of ring", target='kind = ["ring"]')
case("target.weights: must be an array", target='kind = "ring"\nweights = 1.0')
case("target.means: must be an array", target='kind = "mixture"\nmeans = 3.0')
case("target.means.0: must be an array", target='kind = "mixture"\nmeans = [1.0, 2.0]')
case("target.means.1.0: must be a number", target='kind = "mixture"\nmeans = [[1.0], ["a"]]')
case("target.std: must be a finite number >= 0 or an array", target='kind = "mixture"\nmeans = [[1.0]]\nstd = "a"')
case("target.path: must be a string", target='kind = "points"\npath = 3')

# whole numbers of more digits than Python writes
LONG = "0x" + "f" * 5000
case("run.seed: must be less than 9223372036854775808, but found a whole number of 20000 bits", run=f"seed = {LONG}")
case("target.weights.0: must be a number, but found a whole number of 20000 bits", target=f"weights = [{LONG}, 1]")
case("target.kind: must be one of ring", target=f"kind = {LONG}")
case("generator.masses: must be 'equal', 'matched' or an array", generator=f"masses = {LONG}")
case("must be valid TOML", run="seed = " + "9" * 5000)
FIELDS += [(f"target = {LONG}", "target: must be a table, but found a whole number of 20000 bits")]

# out of range, every field
for path, values in {
    "target.modes": ("0", "-1", "1000000", "99999999999999999999999"),
    "target.radius": ("0.0", "-1.0", "nan", "inf", "1e200"),
    "generator.particles": ("-1", "-4", "100000000"),
    "generator.learning_rate": ("0.0", "-0.1", "nan", "inf"),
    "discriminator.length_scale": ("0.0", "-1.0", "nan", "inf", "1e-300", "1e300"),
    "discriminator.smoothness": ("0.0", "nan"),
    "discriminator.alpha": ("0.0", "inf"),
    "discriminator.variance": ("0.0", "-1.0", "nan"),
    "discriminator.degree": ("0", "13"),
    "discriminator.offset": ("-1.0", "nan"),
    "discriminator.features": ("-2", "10000000"),
    "discriminator.learning_rate": ("0.0", "-1.0", "inf"),
    "discriminator.seed": ("-1", "9999999999999999999999"),
    "penalty.r1": ("-0.1", "nan", "inf"),
    "penalty.r2": ("-0.1", "nan"),
    "penalty.weight_decay": ("-0.1", "inf", "1e300"),
    "penalty.multiplier": ("-0.1", "nan"),
    "penalty.alpha": ("-0.1", "nan"),
    "penalty.instance_noise": ("-0.1", "inf"),
    "penalty.consensus": ("-0.1", "nan"),
    "update.critic_steps": ("0", "100000"),
    "update.momentum_discriminator": ("-0.1", "1.0", "nan"),
    "update.momentum_generator": ("-0.1", "1.0"),
    "update.substeps": ("0", "100000"),
    "run.steps": ("0", "-1", "10000000000"),
    "run.seed": ("-1", "9999999999999999999999"),
    "run.record_every": ("0", "9"),
    "run.runs": ("0", "1000000"),
    "run.kick": ("0.0", "-1.0", "nan"),
    "run.spread": ("-1.0", "inf"),
}.items():
    table, key = path.split(".")
    for value in values:
        kind = 'kind = "ring"\n' if table == "target" else ""
        case(f"{path}: must ", **{table: f"{kind}{key} = {value}"})
for value in ("-0.1", "1.5", "nan"):
    FIELDS.append((f"{SMALL}[generator.kernel]\nratio = {value}", "generator.kernel.ratio: must be "))
FIELDS.append((f"{SMALL}[generator.kernel]\ndiagonal = 0.0", "generator.kernel.diagonal: must be greater than 0"))
case("target.side: must", target='kind = "grid"\nside = 0')
case("target.spacing: must", target='kind = "grid"\nspacing = -1.0')
case("target.spacing: must", target='kind = "grid"\nspacing = 1e200')
case("target.dimension: must", target='kind = "grid"\ndimension = 65')
case("target.side: must give at most", target='kind = "grid"\nside = 10000\ndimension = 64')
case("target.samples: must", target='kind = "mixture"\nmeans = [[1.0]]\nsamples = 0')
case("target.seed: must", target='kind = "mixture"\nmeans = [[1.0]]\nseed = -1')
case("target.std: must be at least 0", target='kind = "mixture"\nmeans = [[1.0]]\nstd = -1.0')
case("target.std: must", target='kind = "mixture"\nmeans = [[1.0]]\nstd = nan')
case("target.std: must be one number or 1", target='kind = "mixture"\nmeans = [[1.0]]\nstd = [1.0, 2.0]')
case("target.means: must", target='kind = "mixture"\nmeans = []')
case("target.means: must", target='kind = "mixture"\nmeans = [[]]')
case("target.means: must", target='kind = "mixture"\nmeans = [[1.0], [1.0, 2.0]]')
case("target.means.0.0: must be finite", target='kind = "mixture"\nmeans = [[nan]]')
case("target.means: must", target='kind = "mixture"\nmeans = [[1e200]]')
case("target.means: must be given", target='kind = "mixture"')
case("target.length: must", target='kind = "uniform"\nlength = 0.0')
case("target.length: must", target='kind = "uniform"\nlength = 1e200', discriminator="features = 0")
case("target.dimension: must", target='kind = "uniform"\ndimension = 4')
case("target.side: must be odd", target='kind = "uniform"\nside = 8', discriminator="features = 0")
case("target.side: must give at most", target='kind = "uniform"\nside = 9999\ndimension = 3')
case("target.path: must be given", target='kind = "points"')
case("target.path: must not be empty", target='kind = "points"\npath = ""')

# unknown names
case("target.kind: must be one of ring", target='kind = ""')
case("target.kind: must be one of ring, grid, mixture, uniform, points, but found 'torus'", target='kind = "torus"')
FIELDS.append(("[target]\nmodes = 3", "target.kind: must be given"))
case("discriminator.kernel: must be one of gaussian", discriminator='kernel = "rbf"')
case("loss.kind: must be one of wasserstein", loss='kind = "wgan"')
case("loss.kind: must be one of wasserstein", loss='kind = ""')
case("update.rule: must be one of flow", update='rule = "adam"')
case("generator.normalisation: must be 'sum' or 'mean', but found 'total'", generator='normalisation = "total"')
case("run.start: must be 'kick' or 'random'", run='start = "cold"')
case("penalty.wgan_gp: must not be used: the WGAN-GP field is discontinuous", penalty="wgan_gp = 10.0")
case("penalty.gradient_penalty: must not be used", penalty="gradient_penalty = 10.0")

# fields that do not fit each other
case("target.weights: must have one weight for each of the 2", target='kind = "ring"\nmodes = 2\nweights = [1.0]')
case("target.weights: must be positive", target='kind = "ring"\nmodes = 2\nweights = [1.0, -1.0]')
case("target.weights: must be positive", target='kind = "ring"\nmodes = 2\nweights = [1.0, 0.0]')
case("target.weights: must not differ", target='kind = "ring"\nmodes = 2\nweights = [1e308, 1e-308]')
case("target.weights: must have", target='kind = "mixture"\nmeans = [[1.0]]\nweights = [0.5, 0.5]')
case("generator.per_point: must have 2 entries", generator="per_point = [4]")
case("generator.per_point: must have 2 entries >= 0", generator="per_point = [5, -1]")
case("generator.per_point: must sum to generator.particles = 4", generator="per_point = [2, 3]")
case("generator.masses: must have 4 positive entries", generator="masses = [0.5, 0.5]")
case("generator.masses: must have 4 positive entries", generator="masses = [0.5, 0.5, 0.5, -0.5]")
case("generator.masses: must sum to 1", generator="masses = [0.5, 0.5, 0.5, 0.5]")
case("generator.masses.0: must be finite", generator="masses = [nan, 0.5, 0.25, 0.25]")
case("generator.masses: must not be 'matched'", generator='masses = "matched"\nper_point = [4, 0]')
case("discriminator.features: must be even", discriminator="features = 7")
case("update.critic_steps: must be 1 unless", update="critic_steps = 2")
case("update.momentum_discriminator: must be 0 unless", update='rule = "flow"\nmomentum_discriminator = 0.5')
case("update.momentum_generator: must be 0 unless", update='rule = "optimistic"\nmomentum_generator = 0.5')
case(
    "discriminator.kernel: must be stationary",
    target='kind = "uniform"',
    discriminator='kernel = "linear"\nfeatures = 0',
)
case("discriminator.features: must be 0", target='kind = "uniform"')
case("penalty.multiplier: must be greater than 0", loss='kind = "sobolev"')
case("run.record_every: must be large enough", run="steps = 1000000000\nruns = 100000")
case("generator.particles: must be at least the number of target points", generator="particles = 1")

# no TOML
FIELDS += [
    ("[target\nkind = 3", "e.toml: must be valid TOML"),
    ("modes = ", "e.toml: must be valid TOML"),
    ("[run]\nsteps = 3\nsteps = 4", "e.toml: must be valid TOML"),
    ("[run]\n[run]", "e.toml: must be valid TOML"),
    ("modes = 08", "e.toml: must be valid TOML"),
    ("\0", "e.toml: must be valid TOML"),
    ("a = " + "[" * 5000, "e.toml: must be valid TOML"),
    ("a = " + "9" * 5000, "e.toml: must be valid TOML"),
    ('{"target": {"kind": "ring"}}', "e.toml: must be valid TOML"),
]


def test_there_are_many_distinct_defects():
    assert len({text for text, _ in FIELDS}) == len(FIELDS) >= 60


@pytest.mark.parametrize(("text", "found"), FIELDS, ids=[f"{i}-{f[:40]}" for i, (_, f) in enumerate(FIELDS)])
def test_malformed_experiment(text, found, tmp_path, capsys):
    file = tmp_path / "e.toml"
    file.write_text(text, encoding="utf-8")
    line = bad_input(["simulate", str(file), "-o", str(tmp_path / "runs.nc")], tmp_path, capsys)
    assert found in line
    assert "e.toml" in line or "generator." in line or "run." in line


def test_the_base_is_well_formed(tmp_path, capsys):
    # otherwise every case above would pass for the wrong reason
    file = tmp_path / "e.toml"
    file.write_text(SMALL)
    assert main(["simulate", str(file), "-o", str(tmp_path / "runs.nc"), "--overwrite"]) == 0
    file.write_text(edited(run="seed = 1"))
    assert main(["simulate", str(file), "-o", str(tmp_path / "runs.nc"), "--overwrite"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "must be a UTF-8 text file"),
        ("[run]\nstart = 'k\u00fcck'".encode("latin-1"), "must be a UTF-8 text file"),
        (None, "must be an existing experiment file, but found no such file"),
        ("folder", "must be an existing experiment file, but found a folder"),
    ],
)
def test_not_a_text_file(content, found, tmp_path, capsys):
    file = tmp_path / "e.toml"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    for command in (["spectrum", str(file)], ["regularizer", str(file)], ["compare", str(file), "runs.nc"]):
        assert found in bad_input(command, tmp_path, capsys)


def test_unusable_experiment_names(tmp_path, capsys):
    for name in ("x" * 5000, "", "a\0b", "line\nbreak.toml"):
        assert "must be an existing experiment file" in bad_input(["spectrum", name], tmp_path, capsys)


def test_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path, capsys):
    file = tmp_path / "e.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert main(["spectrum", str(file)]) == 0


# -- point files -------------------------------------------------------------------------------------------------


def _npy(data: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("wb") as stream:
            np.save(stream, data, allow_pickle=True)

    return write


def _truncated(path: Path) -> None:
    _npy(np.eye(40))(path)
    path.write_bytes(path.read_bytes()[:200])


def _npz(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, a=np.eye(2))


def _netcdf(**variables: object) -> Callable[[Path], None]:
    return lambda path: xr.Dataset(variables).to_netcdf(path, engine="h5netcdf")


POINT_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("p.npy", lambda p: None, "no such file"),
    "folder": ("p.npy", lambda p: p.mkdir(), "a folder"),
    "empty": ("p.npy", lambda p: p.write_bytes(b""), "must be a readable .npy array"),
    "garbage": ("p.npy", lambda p: p.write_bytes(b"\x93NUMPYgarbage"), "must be a readable .npy array"),
    "no magic": ("p.npy", lambda p: p.write_text("1 2\n3 4"), "must be a readable .npy array"),
    "truncated": ("p.npy", _truncated, "must be a readable .npy array"),
    "pickled": ("p.npy", _npy(np.array([{"a": 1}, [2]], dtype=object)), "must be a readable .npy array"),
    "archive": ("p.npy", _npz, "must be a readable .npy array"),
    "strings": ("p.npy", _npy(np.array([["a", "b"]])), "must hold real numbers"),
    "complex": ("p.npy", _npy(np.eye(2) * 1j), "must hold real numbers"),
    "booleans": ("p.npy", _npy(np.eye(2, dtype=bool)), "must hold real numbers"),
    "dates": ("p.npy", _npy(np.array([["2020-01-01"]], dtype="M8[D]")), "must hold real numbers"),
    "nan": ("p.npy", _npy(np.array([[0.0, 1.0], [np.nan, 0.0]])), "nan at row 1, column 0"),
    "infinite": ("p.npy", _npy(np.array([[0.0, np.inf]])), "inf at row 0, column 1"),
    "huge": ("p.npy", _npy(np.array([[0.0, 1e200]])), "1e+200 at row 0, column 1"),
    "scalar": ("p.npy", _npy(np.array(1.0)), "shape ()"),
    "one axis": ("p.npy", _npy(np.zeros(3)), "shape (3,)"),
    "three axes": ("p.npy", _npy(np.zeros((2, 2, 2))), "shape (2, 2, 2)"),
    "no points": ("p.npy", _npy(np.zeros((0, 2))), "shape (0, 2)"),
    "no coordinates": ("p.npy", _npy(np.zeros((2, 0))), "shape (2, 0)"),
    "repeated rows": ("p.npy", _npy(np.ones((2, 2))), "must hold distinct points"),
    "suffix": ("p.csv", lambda p: p.write_text("1,2"), "must end in .npy or .nc"),
    "no suffix": ("points", lambda p: p.write_text("1,2"), "must end in .npy or .nc"),
    "no netcdf": ("p.nc", lambda p: p.write_text("1,2"), "must be a readable NetCDF-4 file"),
    "no 2-D variable": ("p.nc", _netcdf(points=("m", np.zeros(3))), "must hold"),
    "two 2-D variables": ("p.nc", _netcdf(a=(("m", "d"), np.eye(2)), b=(("m", "d"), np.eye(2))), "must hold a 2-D"),
    "netcdf strings": ("p.nc", _netcdf(points=(("m", "d"), np.array([["a", "b"]]))), "must hold real numbers"),
}


@pytest.mark.parametrize("name", POINT_FILES)
def test_malformed_points(name, tmp_path, capsys):
    file, write, found = POINT_FILES[name]
    write(tmp_path / file)
    (tmp_path / "e.toml").write_text(edited(target=f'kind = "points"\npath = "{file}"'))
    line = bad_input(["spectrum", str(tmp_path / "e.toml"), "-o", str(tmp_path / "s.nc")], tmp_path, capsys)
    assert "target.path: must" in line and found in line


def _header(shape: str, size: int = 16, descr: str = "'<f8'") -> Callable[[Path], object]:
    """A .npy file of any header, with ``size`` bytes of data that take no room on the disk."""

    def write(path: Path) -> None:
        header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode() + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        os.truncate(path, 10 + len(header) + size)

    return write


HEADERS: dict[str, tuple[str, int, str, str]] = {
    "Boolean": ("(True, 2)", 16, "'<f8'", "must be a readable .npy array"),
    "deep": ("(" * 300 + "2" + ",)" * 300, 16, "'<f8'", "must be a readable .npy array"),
    "negative": ("(-1, 2)", 16, "'<f8'", "must be a readable .npy array"),
    "beyond any memory": ("(10000000000000, 2)", 16, "'<f8'", "must be a readable .npy array"),
    "no integer": ("(0xffffffffffffffffffffff, 2)", 16, "'<f8'", "must be a readable .npy array"),
    "3 GB on one axis": ("(375000000,)", 3 * 10**9, "'<f8'", "shape (375000000,)"),
    "3 GB of complex numbers": ("(93750000, 2)", 3 * 10**9, "'<c16'", "must hold real numbers"),
    "50 GB": ("(3125000000, 2)", 5 * 10**10, "'<f8'", "at most 20000000 coordinates, but found 6250000000 (50 GB)"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_arrays(name, tmp_path, capsys):
    shape, size, descr, found = HEADERS[name]
    _header(shape, size, descr)(tmp_path / "p.npy")
    (tmp_path / "e.toml").write_text(edited(target='kind = "points"\npath = "p.npy"'))
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = bad_input(["spectrum", str(tmp_path / "e.toml")], tmp_path, capsys)
    assert "target.path: must" in line and "p.npy" in line and found in line
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_a_long_header_is_not_read(tmp_path, capsys):
    """NumPy reads all that the header of a later version announces, here 300 MB, before it looks at its length."""
    start = b"\x93NUMPY\x02\x00" + (3 * 10**8).to_bytes(4, "little")
    (tmp_path / "p.npy").write_bytes(start)
    os.truncate(tmp_path / "p.npy", 4 * 10**8)
    (tmp_path / "e.toml").write_text(edited(target='kind = "points"\npath = "p.npy"'))
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = bad_input(["spectrum", str(tmp_path / "e.toml")], tmp_path, capsys)
    assert "target.path: must be a readable .npy array" in line and "a header of 300000000 bytes" in line
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", start + bytes(10**7))
    with pytest.raises(ValueError, match="a header of 300000000 bytes"):
        read_npz(tmp_path / "bomb.npz", {"a": None})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_what_does_not_fit_is_not_read(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("egan_theory.base.ram.free_memory", lambda: 1e9)
    with h5py.File(tmp_path / "runs.nc", "w") as file:
        shape = (1, 10, 4, 25_000_000)
        made = file.create_dataset("particles", shape, "f8", chunks=(1, 1, 4, 1_000_000), compression="gzip")
        for i, dim in enumerate(("run", "time", "particle", "component")):
            file.create_dataset(dim, data=np.arange(shape[i], dtype="f4")).make_scale(dim)
            made.dims[i].attach_scale(file[dim])
    line = _compare(tmp_path, capsys)
    (tmp_path / "runs.nc").unlink()
    assert "runs.nc: must hold what fits in memory" in line and "8.1 GB" in line and "0.8 GB can be used" in line
    with h5py.File(tmp_path / "runs.nc", "w") as file:  # a coordinate, which is read with the file
        file.create_dataset("time", (200_000_000,), "f8", chunks=(1_000_000,), compression="gzip").make_scale("time")
    assert "must hold coordinates that fit in memory, but found 1.6 GB" in _compare(tmp_path, capsys)
    _header("(200000000, 1)", 16 * 10**8)(tmp_path / "d.npy")
    line = bad_input(["advise", _experiment(tmp_path), "--gram", str(tmp_path / "d.npy")], tmp_path, capsys)
    assert "--gram: must hold what fits in memory, but found 1.6 GB" in line


def test_only_the_points_of_a_file_are_read(tmp_path):
    with h5py.File(tmp_path / "p.nc", "w") as file:
        for name, rows in (("points", 2), ("other", 200_000_000)):
            made = file.create_dataset(name, (rows, 2), "f8", chunks=(min(rows, 1_000_000), 2), compression="gzip")
            for i, (dim, size) in enumerate(((f"m_{name}", rows), (f"d_{name}", 2))):
                scale = file.create_dataset(dim, (size,), "f4", chunks=(min(size, 1_000_000),))
                scale.make_scale(f"This is a netCDF dimension but not a netCDF variable. {size:9d}")
                made.dims[i].attach_scale(file[dim])
        file["points"][...] = np.eye(2)
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert np.array_equal(read_points(str(tmp_path / "p.nc"))[0], np.eye(2))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


@pytest.mark.parametrize("weights", ["1 number", "negative", "strings"])
def test_malformed_weights_of_points(weights, tmp_path, capsys):
    values = {"1 number": [1.0], "negative": [1.0, -1.0], "strings": ["a", "b"]}[weights]
    _netcdf(points=(("m", "d"), np.eye(2)), weights=("w", values))(tmp_path / "p.nc")
    (tmp_path / "e.toml").write_text(edited(target='kind = "points"\npath = "p.nc"'))
    assert "target.weights: must" in bad_input(["spectrum", str(tmp_path / "e.toml")], tmp_path, capsys)


# -- run files ---------------------------------------------------------------------------------------------------

R, T, N, D = 2, 9, 4, 2


def good_runs() -> xr.Dataset:
    return xr.Dataset(
        {"particles": (("run", "time", "particle", "component"), np.zeros((R, T, N, D)))},
        coords={"time": np.arange(T, dtype=float)},
    )


def _with(name: str, dims: tuple[str, ...], values: object) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda ds: ds.assign({name: (dims, values)})


def _time(values: object) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda ds: ds.assign_coords(time=("time", values))


def _nan_at_start(ds: xr.Dataset) -> xr.Dataset:
    ds["particles"][0, 0, 1, 0] = np.nan
    return ds


POSITIONS = "variable particles: must"
POSITIVE = "must be positive and sum to 1"
RUN_FILES: dict[str, tuple[Callable[[xr.Dataset], xr.Dataset], str]] = {
    "version": (lambda ds: ds.assign_attrs(schema_version="2"), "attribute schema_version: must be '1', but found '2'"),
    "version type": (lambda ds: ds.assign_attrs(schema_version=7), "attribute schema_version: must be '1'"),
    "empty": (lambda ds: xr.Dataset(), "variable particles: must be present"),
    "other name": (lambda ds: ds.rename(particles="x"), "variable particles: must be present"),
    "dims": (lambda ds: ds.rename(particle="walker"), "variable particles: must have dims"),
    "no component": (lambda ds: ds.isel(component=0), "variable particles: must have dims"),
    "no time dim": (lambda ds: ds.isel(time=0), "variable particles: must have dims"),
    "five dims": (lambda ds: ds.expand_dims("seed"), "variable particles: must have dims"),
    "run elsewhere": (
        lambda ds: ds.isel(run=0).assign(diverged_at=("run", np.array([-1, -1]))),
        "variable particles: must have dims",
    ),
    "strings": (lambda ds: ds.assign(particles=ds["particles"].astype(str)), POSITIONS + " hold real numbers"),
    "booleans": (lambda ds: ds.assign(particles=ds["particles"].astype(bool)), POSITIONS + " hold real numbers"),
    "no time": (lambda ds: ds.drop_vars("time"), "coordinate time: must be present"),
    "time of strings": (_time([f"t{i}" for i in range(T)]), "coordinate time: must be one number per sample"),
    "time backwards": (_time(np.arange(T)[::-1]), "time: must be increasing, but found 8 before 7 at sample 0"),
    "time repeats": (_time(np.repeat(0.0, T)), "coordinate time: must be increasing"),
    "time nan": (_time(np.where(np.arange(T) == 3, np.nan, np.arange(T))), "time: must be finite, but found nan at"),
    "time infinite": (_time(np.where(np.arange(T) == T - 1, np.inf, np.arange(T))), "coordinate time: must be finite"),
    "no samples": (lambda ds: ds.isel(time=slice(0)), "dimension time: must have at least one entry"),
    "no particles": (lambda ds: ds.isel(particle=slice(0)), "dimension particle: must have at least one entry"),
    "no runs": (lambda ds: ds.isel(run=slice(0)), "dimension run: must have at least one entry"),
    "nan at first time": (_nan_at_start, "variable particles: must be finite at the first time"),
    "force dims": (_with("force", ("run", "time", "particle"), np.zeros((R, T, N))), "variable force: must have dims"),
    "force type": (
        _with("force", ("run", "time", "particle", "component"), np.full((R, T, N, D), "a")),
        "variable force: must hold real numbers",
    ),
    "discriminator dims": (_with("discriminator", ("run", "time"), np.zeros((R, T))), "discriminator: must have"),
    "mass negative": (_with("mass", ("particle",), [0.5, 0.5, 0.5, -0.5]), f"variable mass: {POSITIVE}"),
    "mass sum": (_with("mass", ("particle",), np.ones(N)), f"variable mass: {POSITIVE}"),
    "mass nan": (_with("mass", ("particle",), np.full(N, np.nan)), f"variable mass: {POSITIVE}"),
    "weights": (_with("target_weight", ("point",), [0.5, 0.6]), f"variable target_weight: {POSITIVE}"),
    "target nan": (_with("target", ("point", "component"), np.full((2, D), np.nan)), "variable target: must be finite"),
    "target dims": (_with("target", ("point",), np.zeros(2)), "variable target: must have dims"),
    "assignment range": (
        lambda ds: ds.assign(target=(("point", "component"), np.eye(2)), assignment=("particle", [0, 0, 1, 2])),
        "variable assignment: must hold indices of target points, but found 0 to 2",
    ),
    "assignment sign": (_with("assignment", ("particle",), [0, 0, 1, -1]), "variable assignment: must hold indices"),
    "assignment part": (_with("assignment", ("particle",), [0.5, 0, 1, 1]), "variable assignment: must hold indices"),
    "times beyond numbers": (
        lambda ds: ds.assign_coords(time=ds["time"] * 1e300), "coordinate time: must be at most 2^53, but found"
    ),
    "particle number": (lambda ds: ds.isel(particle=slice(3)), "dimension particle: must be generator.particles = 4"),
    "dimension": (lambda ds: ds.isel(component=slice(1)), "dimension component: must be the target's dimension 2"),
}  # fmt: skip


def _experiment(folder: Path) -> str:
    (folder / "e.toml").write_text(SMALL)
    return str(folder / "e.toml")


def _compare(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    arguments = ["compare", _experiment(folder), str(folder / "runs.nc"), "-o", str(folder / "agreement.nc")]
    return bad_input(arguments, folder, capsys)


@pytest.mark.parametrize("name", RUN_FILES)
def test_malformed_runs(name, tmp_path, capsys):
    change, found = RUN_FILES[name]
    change(good_runs()).to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")
    assert found in _compare(tmp_path, capsys)


def test_good_runs_are_well_formed(tmp_path):
    from egan_theory.runs.reading import open_runs

    ds = good_runs()
    ds["time"].attrs["units"] = "days since 2000-01-01"  # plain numbers all the same
    ds.isel(run=0, drop=True).to_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    one = open_runs(tmp_path / "one.nc")
    assert one["particles"].dims == ("run", "time", "particle", "component") and one["time"].dtype.kind == "f"


def test_dimensions_without_names():
    """h5netcdf numbers them in each variable anew: they need not go together."""
    time, x = xr.Variable("phony_dim_0", np.zeros(4)), xr.Variable(("u", "phony_dim_0"), np.zeros((2, 7)))
    found = {"time": time, "x": x}
    with pytest.raises(eg.InputError, match=r"r.nc: must hold variables with dimensions that .* variable x"):
        _check_dims("r.nc", SimpleNamespace(variables=found), "r.nc")


def test_complex_positions(tmp_path, capsys):
    with h5py.File(tmp_path / "runs.nc", "w") as file:
        x = file.create_dataset("particles", data=np.zeros((R, T, N, D), dtype=complex))
        for i, (dim, size) in enumerate(zip(("run", "time", "particle", "component"), (R, T, N, D), strict=True)):
            file.create_dataset(dim, data=np.arange(size, dtype=float)).make_scale(dim)
            x.dims[i].attach_scale(file[dim])
    line = _compare(tmp_path, capsys)
    assert "variable particles: must hold real numbers" in line or "must be a readable NetCDF-4 file" in line


def _no_netcdf(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _half(path: Path) -> None:
    good_runs().to_netcdf(path, engine="h5netcdf")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _corrupt(path: Path) -> None:
    good_runs().to_netcdf(path, engine="h5netcdf")
    content = bytearray(path.read_bytes())
    content[100:1500] = b"\xff" * 1400
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (lambda path: None, "must be an existing run file, but found no such file"),
        (lambda path: path.mkdir(), "must be an existing run file, but found a folder"),
        (_no_netcdf(b""), "must be a readable NetCDF-4 file"),
        (_no_netcdf(b"run,time\n0,0\n"), "must be a readable NetCDF-4 file"),
        (_no_netcdf(b"CDF\x01" + bytes(40)), "must be a readable NetCDF-4 file"),
        (_no_netcdf(b"\x89HDF\r\n\x1a\n" + bytes(200)), "must be a readable NetCDF-4 file"),
        (_half, "must be a readable NetCDF-4 file"),
        (_corrupt, "must be a readable NetCDF-4 file"),
    ],
    ids=["missing", "folder", "empty", "text", "NetCDF-3", "HDF5 signature only", "truncated", "corrupt"],
)
def test_not_a_run_file(write, found, tmp_path, capsys):
    write(tmp_path / "runs.nc")
    line = _compare(tmp_path, capsys)
    assert found in line and "runs.nc" in line


# -- paths and options -------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["simulate", "E", "-o", "{}/none/runs.nc"], "output: must lie in an existing folder"),
        (["simulate", "E", "-o", "{}"], "output: must be a file, but found a folder"),
        (["simulate", "E", "-o", "E"], "output: must not be one of the files read"),
        (["simulate", "E", "-o", "{}/pipe"], "output: must be a regular file"),
        (["simulate", "E", "-o", ""], "output: must be a file name"),
        (["simulate", "E", "-o", "{}/" + "x" * 300], "output: must be a usable file name"),
        (["spectrum", "E", "-o", "{}/none/s.nc"], "output: must lie in an existing folder"),
        (["spectrum", "E", "--figure", "{}/s.gif"], "figure: must end in .png, .pdf, .svg"),
        (["spectrum", "E", "--figure", "{}/none/s.png"], "figure: must lie in an existing folder"),
        (["spectrum", "E", "-o", "{}/s.png", "--figure", "{}/s.png"], "output: must be a NetCDF file, not a picture"),
        (["regularizer", "E", "--penalty", "r7"], "penalty: must be one of r1"),
        (["regularizer", "E", "--penalty", "wgan_gp"], "penalty.wgan_gp: must not be used: the WGAN-GP field"),
        (["compare", "E", "{}/e.toml", "-o", "{}/none/a.nc"], "output: must lie in an existing folder"),
        (["report", "E", "-o", "{}/none/page"], "output: must lie in an existing folder"),
        (["report", "E", "-o", "E"], "output: must be a folder, but found a file"),
        (["new", "torus"], "kind: must be one of ring"),
    ],
)
def test_bad_paths_and_names(arguments, found, tmp_path, capsys):
    experiment = _experiment(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # stands for every special file, such as /dev/null
    given = [experiment if a == "E" else a.replace("{}", str(tmp_path)) for a in arguments]
    assert found in bad_input(given, tmp_path, capsys)


def test_a_folder_that_cannot_be_written_to(tmp_path, capsys, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    # permissions do not stop root, so the refusal itself is what is simulated
    monkeypatch.setattr("egan_theory.base.files.tempfile.TemporaryFile", refuse)
    line = bad_input(["simulate", _experiment(tmp_path), "-o", str(tmp_path / "runs.nc")], tmp_path, capsys)
    assert "output: must lie in a folder that can be written to" in line and "Read-only file system" in line
