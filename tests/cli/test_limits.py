"""Legal-looking input that must end at once in one line: texts without end, numbers that hang or are none, archives
that inflate without bound."""

import io
import os
import subprocess
import sys
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.base.toml import DEEPEST, LONGEST, parsed
from egan_theory.cli.app import main
from egan_theory.kernels import KERNELS
from egan_theory.papers.solvable import SETTING_R, Solvable, simulate_solvable, solve_ode
from egan_theory.papers.solvable.chain import Chain
from tests.cli.test_malformed import SMALL, bad_input


def experiment(folder, text=SMALL):
    file = folder / "e.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


# -- texts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 200_000) + " = 1",
        " . ".join(["a"] * 5000) + " = 1",
        "[" + ".".join(["'a'"] * 5000) + "]",
        "x = { " + ".".join(['"a"'] * 5000) + " = 1 }",
    ],
    ids=["bare", "spaces", "header", "inline"],
)
def test_keys_of_many_parts_are_refused_before_they_are_parsed(text, tmp_path, capsys):
    line = bad_input(["spectrum", experiment(tmp_path, text)], tmp_path, capsys)
    assert f"e.toml: must have keys of at most {DEEPEST} parts" in line and len(line) < 300


def test_what_only_looks_deep_is_read():
    deep = ".".join(["a"] * (DEEPEST // 2))
    text = f'{deep} = [{"1.5, " * 1000}]\nx = "{"word. " * 30}"\n'
    assert parsed(text, "x")["x"].startswith("word. ")


def test_long_texts_are_refused_before_they_are_read(tmp_path, capsys, monkeypatch):
    file = tmp_path / "e.toml"
    with file.open("wb") as stream:
        stream.truncate(50 * LONGEST)
    tracemalloc.start()
    try:
        line = bad_input(["spectrum", str(file)], tmp_path, capsys)
        assert tracemalloc.get_traced_memory()[1] < LONGEST
    finally:
        tracemalloc.stop()
    assert f"e.toml: must have at most {LONGEST} characters" in line
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"#" * (LONGEST + 9))))
    assert f"-: must have at most {LONGEST} characters" in bad_input(["spectrum", "-"], tmp_path, capsys)


@pytest.mark.parametrize("where", ["key", "table", "option", "word"])
def test_long_names_are_not_echoed_whole(where, tmp_path, capsys):
    name = "a" * 1_000_000
    text = {"key": f"{SMALL}[penalty]\n{name} = 1", "table": f"[{name}]\nx = 1", "word": f'[target]\nkind = "{name}"'}
    file = experiment(tmp_path, text.get(where, SMALL))
    if where == "option":
        assert main(["spectrum", file, f"--{name}"]) == 2
        line = capsys.readouterr().err
    else:
        line = bad_input(["spectrum", file], tmp_path, capsys)
    assert "a" * 20 in line and len(line) < 5000 and line.count("\n") == 1


# -- the command line ------------------------------------------------------------------------------------------------


def test_a_backend_that_is_none(tmp_path):
    script = f"""
from egan_theory.cli.app import main
for more in (["spectrum", "--figure", "x.png"], ["report", "-o", "page"]):
    print(main([more[0], {experiment(tmp_path)!r}, *more[1:]]))
"""
    environment = {**os.environ, "MPLBACKEND": "no such one", "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.stdout == "2\n2\n", ran.stderr
    lines = ran.stderr.splitlines()
    assert len(lines) == 2 and len(set(lines)) == 1
    assert "MPLBACKEND: must name a backend of Matplotlib" in lines[0] and "'no such one'" in lines[0]
    assert [p.name for p in tmp_path.iterdir()] == ["e.toml"]


def test_a_seed_below_zero_and_a_gram_matrix_of_zeros(tmp_path, capsys):
    file, gram = experiment(tmp_path), tmp_path / "g.npy"
    np.save(gram, np.eye(6))
    command = ["advise", file, "--gram", str(gram), "--points", "2", "--dimension", "2"]
    line = bad_input([*command, "--seed", "-1"], tmp_path, capsys)
    assert line == "egan: --seed: must be a whole number from 0 to below 2^63, but found -1\n"
    np.save(gram, np.zeros((6, 6)))
    assert "gram: must not be zero" in bad_input(command, tmp_path, capsys)
    for seed in (-1, 2**63, 1.5, True, None):
        with pytest.raises(InputError, match=r"^seed: must be a whole number"):
            eg.advise_from_gram(np.eye(6), 2, 2, seed=seed)


# -- kernels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothness", [1e-20, 1e-6, 0.003])
def test_random_features_of_no_finite_frequency(smoothness, tmp_path, capsys):
    text = SMALL.replace("[discriminator]\n", f'[discriminator]\nkernel = "matern"\nsmoothness = {smoothness}\n')
    text = "\n".join(line for line in text.splitlines() if not line.startswith("features"))
    file = experiment(tmp_path, text.replace("[discriminator]", "[discriminator]\nfeatures = 256"))
    for command in (["spectrum", file], ["simulate", file, "-o", str(tmp_path / "runs.nc")]):
        line = bad_input(command, tmp_path, capsys)
        assert "discriminator.smoothness: must be larger: frequencies of random features" in line
        assert f"but found {smoothness}: inf" in line


@pytest.mark.parametrize(
    ("kernel", "field", "value"),
    [("rational_quadratic", "alpha", 1e-320), ("matern", "smoothness", 1e-320), ("gaussian", "length_scale", 1e-300),
     ("polynomial", "offset", 1e300), ("gaussian", "variance", 1e300)],
)  # fmt: skip
def test_kernels_have_the_range_of_their_fields(kernel, field, value):
    with pytest.raises(InputError, match=rf"^discriminator.{field}: must be from (1e-20|0) to 1e\+20, but found 1e"):
        KERNELS[kernel](**{field: value})


# -- the solvable model ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["time", "tau", "strength"])
def test_numbers_whose_squares_are_no_doubles(field):
    with pytest.raises(InputError, match=f"^solvable.{field}: must be at least 1e-20, but found 1e-320"):
        SETTING_R.replace({field: 1e-320})
    with pytest.raises(InputError, match=r"^solvable.Lambda: must have positive entries, 1e-20 to 1e"):
        Solvable(Lambda=(1e-320, 1.0))


def test_an_ode_that_would_never_end_is_given_up(monkeypatch):
    monkeypatch.setattr("egan_theory.papers.solvable.ode.SOON", 500)
    ds = solve_ode(SETTING_R.replace({"Lambda": (1e20, 1e20)}))
    assert ds.attrs["status"].startswith("stopped at ") and ds.attrs["status"].endswith(" evaluations")
    assert "it would need 1e+2" in ds.attrs["status"]


@pytest.mark.parametrize(
    "command",
    [["ode"], ["simulate", "-o", "runs.nc"], ["report", "-o", "page"], ["phase", "--vary", "noise=1:2:3"],
     ["phase", "--vary", "record=20:40:2", "--simulate", "chain"]],
    ids=" ".join,
)  # fmt: skip
def test_too_few_records_are_refused_before_anything_is_simulated(command, tmp_path, capsys, monkeypatch):
    def never(*_, **__):
        raise AssertionError("simulated")

    for place in ("ode.LSODA", "chain.Chain"):
        monkeypatch.setattr(f"egan_theory.papers.solvable.{place}", never)
    monkeypatch.chdir(tmp_path)
    changes = [] if "record=20:40:2" in command else ["--set", "solvable.record=20"]
    line = bad_input(["solvable", *command, *changes], tmp_path, capsys)
    assert line == "egan: solvable.record: must give 5 samples in each fifth of the time, but found 20 in all\n"


# -- checkpoints -----------------------------------------------------------------------------------------------------


def _bomb(path, name, shape, dtype):
    """A checkpoint whose array ``name`` is zeros of that shape: some kB, each holding 1000 times as much."""
    with zipfile.ZipFile(path) as archive:
        data = {n: archive.read(n) for n in archive.namelist()}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": False, "shape": shape})
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, content in data.items():
            if n != name:
                archive.writestr(n, content)
        with archive.open(name, "w") as stream:
            stream.write(header.getvalue())
            for _ in range(size // 2**20):
                stream.write(bytes(2**20))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [("grams.npy", (2, 2**23), "<f8"), ("form.npy", (), "<U25000000"), ("more.npy", (2**24,), "<f8")],
)
def test_checkpoints_do_not_inflate(name, shape, dtype, tmp_path):
    model, path = SETTING_R.replace({"time": 1.0, "n": 200, "record": 41}), tmp_path / "c.npz"
    simulate_solvable(model, checkpoint=path)
    whole = simulate_solvable(model, checkpoint=path)
    _bomb(path, name, shape, dtype)
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    try:
        if name == "more.npy":  # nobody asks for it
            assert simulate_solvable(model, checkpoint=path).identical(whole)
        else:
            with pytest.raises(InputError, match=r"^checkpoint: must be a checkpoint of a chain.*does not fit"):
                Chain(model).load(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


# -- files of other programs -----------------------------------------------------------------------------------------


def test_an_hdf5_file_without_dimensions_is_read_without_a_warning(tmp_path, capsys, recwarn):
    with h5py.File(tmp_path / "p.nc", "w") as file:
        file["points"] = np.array([[0.0, 1.0], [2.0, 3.0]])
    file = experiment(
        tmp_path, SMALL.replace(SMALL[: SMALL.index("[generator]")], '[target]\nkind = "points"\npath = "p.nc"\n')
    )
    assert main(["spectrum", file]) == 0
    assert capsys.readouterr().err == "" and not list(recwarn)
