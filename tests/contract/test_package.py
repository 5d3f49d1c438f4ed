"""What is published: metadata of today's standards, a text without links that lead nowhere, all that the tests need."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib

import pytest

from analyses.script import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_licence_authors_and_classifiers():
    assert PROJECT["license"] == "MIT" and PROJECT["license-files"] == ["LICENSE"]  # SPDX, of which no classifier
    assert not [c for c in PROJECT["classifiers"] if c.startswith("License ::")]
    holder = re.search(r"Copyright \(c\) \d+ (.+)", (ROOT / "LICENSE").read_text(encoding="utf-8"))
    assert [author["name"] for author in PROJECT["authors"]] == [holder[1]]
    assert f"name: {holder[1]}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    said = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert said == ["3.11", "3.12", "3.13"] and PROJECT["requires-python"] == f">={said[0]}"


def test_the_description_stands_alone():
    """It is shown where the repository's files are not: no images, no links to files."""
    text = (ROOT / PROJECT["readme"]).read_text(encoding="utf-8")
    assert not re.findall(r"!\[|<img|\]\((?!https?:)", text)
    same = re.findall(r"^egan_theory computes.*?lost\.$", text, re.MULTILINE | re.DOTALL)
    assert len(same) == 1 and same[0] in (ROOT / "README.md").read_text(encoding="utf-8")


def test_lower_bounds_are_declared_and_tested():
    """Every library has one; .ci/versions resolves to them."""
    optional = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *(line for group in optional.values() for line in group)]
    assert [line for line in wanted if not line.startswith("egan-theory[") and ">=" not in line] == []
    script = (ROOT / ".ci" / "versions").read_text(encoding="utf-8")
    assert "lowest-direct" in script and "highest" in script
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8")
    assert "which: [lowest, newest]" in workflow and 'python: ["3.11", "3.13"]' in workflow
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    local = run.partition("bash .ci/versions lowest 3.11")[2].partition("||")[0]
    paths = local.replace("\\\n", " ").split()
    assert len(paths) > 8 and [path for path in paths if not (ROOT / path).exists()] == []
    assert "NOTHING was tested with the lowest versions" in run


@pytest.mark.skipif(shutil.which("bash") is None, reason="it is a script for bash")
def test_a_python_that_is_not_there_tests_nothing_and_says_so():
    done = subprocess.run(["bash", ".ci/versions", "lowest", "9.9"], cwd=ROOT, capture_output=True, text=True)
    said = "versions: there is no Python 9.9 here: nothing was tested with the lowest versions on Python 9.9\n"
    assert (done.returncode, done.stdout, done.stderr) == (77, "", said)


@pytest.mark.slow
def test_the_source_distribution_holds_what_its_tests_need(tmp_path):
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    (source,) = (p for p in tmp_path.iterdir() if p.is_dir())
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        assert [name for name in listed.stdout.splitlines() if not (source / name).exists()] == []
    metadata = (source / "PKG-INFO").read_text(encoding="utf-8")
    assert "License-Expression: MIT" in metadata and "Author: The egan_theory authors" in metadata
    files = ("tests/contract/test_repository.py", "tests/contract/test_public.py", "tests/contract/test_data.py")
    tests = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *files]
    ran = subprocess.run(
        tests, cwd=source, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout
