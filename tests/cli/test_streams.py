"""Standard streams and files as they really are: closed, full, of another encoding; no place for a cache."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from egan_theory.base.errors import InputError
from egan_theory.base.files import decoded
from egan_theory.cli.app import main
from egan_theory.experiment import Experiment
from egan_theory.papers.solvable import Solvable
from egan_theory.runs.reading import open_runs
from tests.builders import RING, posix

ROOT = Path(__file__).resolve().parents[2]


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The script in a shell, with $egan as the command."""
    egan = f"{sys.executable} -m egan_theory"
    return subprocess.run(
        ["bash", "-c", f"egan='{egan}'; {script}"], capture_output=True, timeout=120, env=os.environ | environment
    )


@posix
@pytest.mark.parametrize(
    ("redirected", "code", "says"),
    [
        ("$egan spectrum {e} >&-", 0, b""),
        ("$egan spectrum {e} --json >&-", 0, b""),
        ("$egan new >&-", 0, b""),
        ("$egan spectrum {e} >&- 2>&- <&-", 0, b""),
        ("$egan spectrum none.toml 2>&-", 2, b""),
        ("$egan spectrum none.toml >&-", 2, b"egan: none.toml: must be an existing experiment file"),
        ("$egan spectrum - <&-", 2, b"egan: -: must be a readable standard input"),
        ("$egan spectrum {e} | head -0; exit ${{PIPESTATUS[0]}}", 0, b""),
    ],
)
def test_closed_streams(redirected, code, says, experiment):
    done = shell(redirected.format(e=experiment))
    assert done.returncode == code and done.stderr.startswith(says), done.stderr
    assert done.stderr.count(b"\n") == bool(says)


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("command", ["spectrum {e}", "spectrum {e} --json", "new", "derive", "--help", "--version"])
def test_a_full_disk_is_one_line_and_a_failed_run(command, experiment):
    done = shell(f"$egan {command.format(e=experiment)} > /dev/full")
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"No space left" in done.stderr, done.stderr


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_for_errors_leaves_the_exit_code(experiment):
    assert shell("$egan spectrum none.toml 2> /dev/full").returncode == 2
    assert shell(f"$egan spectrum {experiment} > /dev/full 2> /dev/full").returncode == 1


@posix
def test_a_closed_stream_never_becomes_a_file(experiment, tmp_path):
    """With stdout closed, the first file that is opened would take its number, and what is printed its contents."""
    out = tmp_path / "r.nc"
    done = shell(f"$egan simulate {experiment} -o {out} >&- 2>&-")
    assert done.returncode == 0 and open_runs(out).sizes["run"] == 2


@posix
@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-8"])
def test_characters_that_an_encoding_lacks_are_replaced(encoding, tmp_path):
    folder = tmp_path / "дані"
    folder.mkdir()
    (folder / "e.toml").write_text(RING)
    script = f"$egan simulate {folder}/e.toml -o {folder}/r.nc; $egan spectrum {folder}/нема.toml"
    done = shell(script, PYTHONIOENCODING=encoding)
    shown = "дані" if encoding == "utf-8" else "????"
    assert done.returncode == 2 and f"written: {tmp_path}/{shown}/r.nc".encode(encoding) in done.stdout
    assert done.stderr.count(b"\n") == 1 and b"must be an existing experiment file" in done.stderr
    assert open_runs(folder / "r.nc").sizes["run"] == 2


@posix
def test_names_that_are_no_text_are_shown_as_they_can_be(experiment, tmp_path):
    done = shell(f"$egan spectrum {tmp_path}/$(printf 'a\\xffb').toml", PYTHONIOENCODING="utf-8")
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1


@posix
@pytest.mark.parametrize(
    ("name", "content"),
    [("numpy", ""), ("random", ""), pytest.param("numpy", "raise SystemExit('x')", marks=pytest.mark.slow)],
)
def test_a_file_that_hides_a_module_is_named(name, content, experiment, tmp_path):
    """`python -m` looks first in the working directory."""
    (tmp_path / f"{name}.py").write_text(content)
    done = shell(f"cd {tmp_path}; $egan spectrum e.toml", PYTHONPATH=str(ROOT))
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (1, b"", 1), done.stderr
    assert content or f"{tmp_path}/{name}.py was loaded as the module {name}: rename it".encode() in done.stderr


@posix
def test_a_removed_working_directory_is_said(experiment, tmp_path, monkeypatch, capsys):
    """Where worker processes would start."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["sweep", experiment, "--vary", "penalty.r1=0.1:0.3:2", "-o", str(tmp_path / "s.zarr")]) == 2
    said = "egan: working directory: must be there, for processes start in it, but found No such file or directory\n"
    assert capsys.readouterr() == ("", said) and not (tmp_path / "s.zarr").exists()


# -- text files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_experiments_are_read_by_their_byte_order_mark(encoding, ends, tmp_path):
    text = ("# Größe\n" + RING).replace("\n", ends)
    marked = "\ufeff" + text if encoding in ("utf-16-le", "utf-16-be") else text
    file = tmp_path / "e.toml"
    file.write_bytes(marked.encode(encoding))
    assert Experiment.from_toml(file) == Experiment.from_toml_string(RING)
    model = "[solvable]\nnoise = 1.5\n"
    file.write_bytes(("\ufeff" + model if encoding in ("utf-16-le", "utf-16-be") else model).encode(encoding))
    assert Solvable.from_toml(file).noise == 1.5


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (RING.encode("utf-16-le"), "be a UTF-8 text file, or begin with a byte order mark .* UTF-16"),
        (b"\xff\xfe[\x00r", "be a UTF-16 text file"),
        (b"[run]\nsteps = \xff\n", "be a UTF-8 text file, but found byte 14 that is not"),
        (b"\xef\xbb\xbf[run]\xff", "be a UTF-8 text file"),
    ],
)
def test_other_encodings_are_named(data, says):
    with pytest.raises(InputError, match=says):
        decoded(data, "e.toml")


# -- Numba's cache -----------------------------------------------------------------------------------------------------


def twice(x: float) -> float:
    return 2 * x


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CacheImpl._locator_classes", []),  # neither the package's folder nor the user's can be written to
        ("IndexDataCacheFile.save", "fails"),  # a disk that is full
        ("IndexDataCacheFile.load", "fails"),  # a cache that may not be read
    ],
)
def test_compiled_code_runs_without_a_cache(name, value, tmp_path, monkeypatch):
    from egan_theory.papers.solvable.kernel import compiled

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(f"numba.core.caching.{name}", fails if value == "fails" else value)
    assert compiled()(twice)(1.5) == 3.0


def test_compiled_code_runs_where_numba_is_switched_off(monkeypatch):
    """NUMBA_DISABLE_JIT=1, as for a debugger."""
    from egan_theory.papers.solvable.kernel import compiled

    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    assert compiled()(twice)(1.5) == 3.0


@pytest.mark.slow
def test_the_chain_runs_without_a_place_for_a_cache(tmp_path):
    code = (
        "import numba.core.caching as c\nc.CacheImpl._locator_classes = []\n"
        "from egan_theory.papers.solvable import Solvable, simulate_solvable\n"
        "print(simulate_solvable(Solvable(n=50, time=1.0, record=51)).attrs['status'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "finished\n", "")


def test_streams_are_put_back(capsys):
    before = sys.stdout, sys.stderr, sys.stdout.errors
    assert main(["--version"]) == 0
    assert before == (sys.stdout, sys.stderr, sys.stdout.errors) and capsys.readouterr().out
