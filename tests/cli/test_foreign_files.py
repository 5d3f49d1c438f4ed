"""Files that are not what they should be: NetCDF-4 whose numbers are elsewhere, and special files in place of files."""

import os
import re
import shutil
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import egan_theory as eg
from egan_theory.base.netcdf import read_netcdf
from egan_theory.cli.app import main
from tests.builders import posix

ROOT = Path(__file__).resolve().parents[2]
SECRET = np.array([[0.125, 0.25], [0.5, 0.75]])


def _external(file, secret):
    file.create_dataset("points", (2, 2), "f8", external=[(str(secret), 0, 32)])


def _nested_external(file, secret):
    file["points"] = np.eye(2)
    file.create_dataset("a/b/c", (2, 2), "f8", external=[(str(secret), 0, 32)])


def _link(file, secret):
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["x"] = SECRET
    file["points"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "x")


def _virtual(file, secret):
    _link(file, secret)
    del file["points"]
    layout = h5py.VirtualLayout((2, 2), "f8")
    layout[:] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "x", (2, 2))
    file.create_virtual_dataset("points", layout)


def _growing_virtual(file, secret):
    """One whose shape is that of the other file."""
    _link(file, secret)
    del file["points"]
    layout = h5py.VirtualLayout((2, 2), "f8", maxshape=(None, 2))
    source = h5py.VirtualSource(str(secret.with_suffix(".h5")), "x", (2, 2), maxshape=(None, 2))
    layout[0 : h5py.h5s.UNLIMITED, :] = source[0 : h5py.h5s.UNLIMITED, :]
    file.create_virtual_dataset("points", layout)


def _dangling(file, secret):
    file["points"] = h5py.SoftLink("/nothing")


def _through(file, secret):
    """A soft link whose way leads through another file."""
    _link(file, secret)
    file.move("points", "z")
    file["points"] = h5py.SoftLink("/z")


def _user_defined(file, secret):
    file["pointx"] = h5py.ExternalLink("x", "x")


def _filtered(file, secret):
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((2, 2))
    made.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))  # Zstandard, of a plugin
    item = h5py.h5d.create(file.id, b"points", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((2, 2)), made)
    item.write_direct_chunk((0, 0), b"compressed")


FOREIGN = {
    "external raw data": (_external, "a dataset whose values are in another file, /points"),
    "external raw data deep inside": (_nested_external, "a dataset whose values are in another file, /a/b/c"),
    "an external link": (_link, "a link to another file, /points"),
    "a virtual dataset": (_virtual, "a virtual dataset, /points"),
    "a virtual dataset that grows": (_growing_virtual, "a virtual dataset, /points"),
    "a soft link to nothing": (_dangling, "a soft link, /points"),
    "a soft link through another file": (_through, "a soft link, /points"),
    "a link of another kind": (_user_defined, "a link to another file, /pointx"),
    "a filter of a plugin": (_filtered, "filter 32015, /points"),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("pipe", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_netcdf_reads_no_other_file(name, pipe, tmp_path, capsys):
    make, found = FOREIGN[name]
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET.tobytes())
    with h5py.File(tmp_path / "p.nc", "w") as file:
        make(file, secret)
    for other in (secret, secret.with_suffix(".h5")) if pipe else ():
        other.unlink(missing_ok=True)
        os.mkfifo(other)  # a reader would wait for ever
    code = "[target]\nkind = 'points'\npath = 'p.nc'\n[generator]\nparticles = 2\n[discriminator]\nfeatures = 4\n"
    (tmp_path / "e.toml").write_text(code)
    assert within(20, lambda: main(["spectrum", str(tmp_path / "e.toml")])) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "p.nc" in err and found in err and ": must " in err
    with pytest.raises(eg.InputError, match=re.escape(found)):
        within(20, lambda: eg.open_runs(tmp_path / "p.nc"))


def _bomb(path, chunk, size, times=1):
    """A chunk whose stream inflates to ``size`` bytes, whatever the shape of the data."""
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk(chunk)
    for _ in range(times):
        made.set_filter(h5py.h5z.FILTER_DEFLATE, 0, (9,))
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple(chunk)
        item = h5py.h5d.create(file.id, b"points", h5py.h5t.NATIVE_DOUBLE, space, made)
        item.write_direct_chunk((0, 0), zlib.compress(bytes(size), 9))


@pytest.mark.parametrize(
    ("chunk", "size", "times", "found"),
    [
        ((2, 2), 8 * 10**6, 1, "have chunks of 32 bytes as their shape says, but found one stored in 77"),
        (
            (1000, 2),
            8 * 10**6,
            1,
            "have chunks of 16000 bytes as their shape says, but found one that infl",
        ),
        ((1000, 2), 16000, 2, "be compressed once, but found data deflated 2 times"),
    ],
)
def test_chunks_inflate_to_what_they_are(chunk, size, times, found, tmp_path, monkeypatch):
    """HDF5 took 5.9 GB for 2 points of a file of 5.8 MB."""
    monkeypatch.setattr("egan_theory.base.hdf5.free_memory", lambda: 1e6)
    _bomb(tmp_path / "p.nc", chunk, size, times)
    with pytest.raises(eg.InputError, match=f"must {found}"):
        read_netcdf("x", tmp_path / "p.nc")
    _bomb(tmp_path / "p.nc", (1000, 2), 16000)
    assert read_netcdf("x", tmp_path / "p.nc")["points"].shape == (1000, 2)


def test_texts_are_no_longer_than_their_file(tmp_path, monkeypatch):
    """Of which each may point to the same bytes: 1000 texts of 10 MB in a file of 10 MB."""
    with h5py.File(tmp_path / "x.nc", "w") as file:
        names = file.create_dataset("names", (200,), dtype=h5py.string_dtype())
        names[:] = "short"
        names[0] = "x" * 100_000
        start = names.id.get_offset()
    monkeypatch.setattr("egan_theory.base.hdf5.free_memory", lambda: 1e6)
    assert read_netcdf("x", tmp_path / "x.nc")["names"].values[1] == "short"
    data = bytearray((tmp_path / "x.nc").read_bytes())
    data[start : start + 200 * 16] = data[start : start + 16] * 200
    (tmp_path / "x.nc").write_bytes(data)
    with pytest.raises(eg.InputError, match=r"must hold texts that fit in its \d+ bytes, .* longer ones, /names"):
        read_netcdf("x", tmp_path / "x.nc")


@posix
@pytest.mark.slow
def test_no_library_is_loaded_for_a_filter(tmp_path):
    """HDF5 would load every library in HDF5_PLUGIN_PATH to find one that has the filter."""
    compiler = shutil.which("cc") or pytest.skip("no compiler")
    code = '#include <stdio.h>\n__attribute__((constructor)) void f(void) { fclose(fopen("loaded", "w")); }\n'
    (tmp_path / "plugin.c").write_text(code)
    (tmp_path / "plugins").mkdir()
    plugin = str(tmp_path / "plugins" / "libplugin.so")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", plugin, str(tmp_path / "plugin.c")], check=True)
    with h5py.File(tmp_path / "p.nc", "w") as file:
        _filtered(file, None)
    env = {**os.environ, "HDF5_PLUGIN_PATH": str(tmp_path / "plugins"), "PYTHONPATH": str(ROOT)}
    reading = "import h5py; h5py.File('p.nc')['points'][...]"
    ours = "from egan_theory.base.netcdf import read_netcdf; read_netcdf('x', 'p.nc')"
    for body, loaded in ((ours, False), (reading, True)):  # the second shows that the first could have
        done = subprocess.run([sys.executable, "-c", body], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 1 and (tmp_path / "loaded").exists() == loaded, done.stderr


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_what_netcdf_itself_writes_is_read(engine, tmp_path):
    """Compressed and shuffled, with checksums, texts, groups and shared dimensions, by either library."""
    ds = xr.Dataset({"x": (("t", "u"), np.arange(20.0).reshape(4, 5)), "name": ("u", list("abcde"))}, {"t": range(4)})
    how = {"x": {"zlib": True, "shuffle": True, "fletcher32": True, "chunksizes": (2, 5)}}
    pytest.importorskip("netCDF4" if engine == "netcdf4" else engine)
    ds.to_netcdf(tmp_path / "x.nc", engine=engine, encoding=how)
    ds.to_netcdf(tmp_path / "x.nc", engine=engine, group="inner", mode="a")
    xr.testing.assert_identical(read_netcdf("x", tmp_path / "x.nc"), ds)
    with h5py.File(tmp_path / "x.nc", "a") as file:  # groups that hold each other
        file["inner/again"] = file["inner"]
        file["inner/above"] = file["/"]
    xr.testing.assert_identical(read_netcdf("x", tmp_path / "x.nc"), ds)


def within(seconds, work):
    """What ``work`` returns; a failure where it waits for ever, as for the writer of a pipe."""
    found: list = []

    def run():
        try:
            found.append((work(), None))
        except BaseException as error:
            found.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "it hangs"
    value, error = found[0]
    if error is not None:
        raise error
    return value


#: commands, with X where the special file stands
READERS = [
    ["spectrum", "X"], ["simulate", "X", "-o", "o.nc"], ["compare", "E", "X"],
    ["report", "E", "--runs", "X", "-o", "r"],
    ["phase", "E", "--sweep", "X"], ["sweep", "E", "--vary", "penalty.r1=0.1:0.2:2", "-o", "X"],
    ["sweep", "E", "--vary", "penalty.r1=0.1:0.2:2", "-o", "X", "--resume"], ["spectrum", "P"],
    ["advise", "E", "--data", "X"], ["advise", "E", "--data", "X.npy"],
    ["advise", "E", "--gram", "X", "--points", "2", "--dimension", "2"], ["import", "X", "-o", "o.nc"],
    ["solvable", "ode", "X"], ["solvable", "simulate", "-o", "o.nc", "--checkpoint", "X"], ["monitor", "X"],
    ["monitor", "X", "-o", "o.html"], ["published", "fit", "X", "-o", "o.json"],
]  # fmt: skip


@posix
@pytest.mark.parametrize(
    "kind", ["pipe", pytest.param("device", marks=pytest.mark.slow), pytest.param("folder", marks=pytest.mark.slow)]
)
def test_special_files_are_refused_at_once(kind, experiment, tmp_path, capsys, monkeypatch):
    """No command waits for a pipe, whatever its name says."""
    place = tmp_path / "place"
    place.mkdir()
    make = {"pipe": os.mkfifo, "device": lambda p: p.symlink_to("/dev/zero"), "folder": os.mkdir}[kind]
    make(place / "X")
    for suffix in ("npy", "nc", "zarr"):
        (place / f"X.{suffix}").symlink_to("X")
    text = Path(experiment).read_text().replace('kind = "ring"\nmodes = 3', 'kind = "points"\npath = "X.nc"')
    (place / "p.toml").write_text(text)
    names = {"X": str(place / "X"), "E": experiment, "P": str(place / "p.toml"), "X.npy": str(place / "X.npy")}
    monkeypatch.chdir(place)
    for command in READERS:
        argv = [names.get(word, word) for word in command]
        if kind == "folder" and command[0] == "sweep":
            continue  # an empty folder is taken
        assert within(20, lambda argv=argv: main(argv)) == 2, command
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1 and "X" in err, (command, err)


@posix
@pytest.mark.parametrize("name", ["run/metrics/loss", "run/tags/mlflow.runName", "a.wandb", "a.tfevents.1", "a.csv"])
def test_pipes_in_folders_of_logs_are_passed_over(name, tmp_path, capsys):
    log = tmp_path / "log"
    (log / "run/metrics").mkdir(parents=True)
    (log / "run/tags").mkdir()
    (log / "run/metrics/d_loss").write_text("1000 0.5 0\n1001 0.25 1\n")
    os.mkfifo(log / name)
    assert within(20, lambda: main(["import", str(log), "-o", str(tmp_path / "o.nc")])) == 0
    assert eg.open_runs(tmp_path / "o.nc")["loss_discriminator"].values.tolist() == [[0.5, 0.25]]


@posix
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("zarr.json", "pipe"),
        ("particles/c.0.0.0.0", "link"),
        pytest.param("particles/c.0.0.0.0", "pipe", marks=pytest.mark.slow),
        pytest.param("time/zarr.json", "pipe", marks=pytest.mark.slow),
        pytest.param("zarr.json", "link", marks=pytest.mark.slow),
    ],
)
def test_a_store_holds_regular_files(name, kind, experiment, tmp_path, capsys):
    """Of a recording that was not finished: a pipe in it is no wait, a symbolic link no way to another file."""
    exp = eg.Experiment.from_toml(experiment)
    writer = eg.RunWriter(tmp_path / "part.nc", exp, chunk=2)
    for step in range(4):
        writer.log(step, np.zeros((exp.generator.particles, 2)))
    writer.abandon()
    file = tmp_path / "part.nc.zarr" / name
    data = file.read_bytes()
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    else:
        (tmp_path / "secret").write_bytes(data)
        file.symlink_to(tmp_path / "secret")
    assert within(20, lambda: main(["compare", experiment, str(tmp_path / "part.nc")])) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(eg.InputError, match=r"regular file|existing"):
        within(20, lambda: eg.open_runs(tmp_path / "part.nc"))
