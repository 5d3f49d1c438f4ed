"""The code blocks of a page in Markdown, run as they stand, from top to bottom, in a folder.

python -m tests.blocks PAGE      runs them in the present folder: `egan` is this package's; Python's names last
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: how a block begins that takes something from the reader
YOURS = "# yours: "
#: what a page may have left for its reader to look at
LOOKED_AT = {".png", ".html"}


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, code) of the blocks that run as they stand."""
    found = re.findall(r"^```(sh|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(language, code) for language, code in found if not code.startswith(YOURS)]


def shell(code: str) -> str:
    """Shell code whose egan is the package under test."""
    return 'egan() { "$PYTHON" -m egan_theory "$@"; }\nset -euo pipefail\n' + code


def run(text: str, folder: Path, timeout: float = 300) -> None:
    """Run the blocks of a page in the folder; AssertionError with what was said where one fails or nothing is drawn."""
    (folder / "page.md").write_text(text, encoding="utf-8")
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    env = os.environ | threads | {"PYTHONPATH": str(ROOT), "PYTHON": sys.executable, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.blocks", "page.md"], cwd=folder, env=env, capture_output=True, text=True,
        timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    (folder / "page.md").unlink()


def looked_at(folder: Path) -> list[str]:
    """The figures and pages in a folder."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix in LOOKED_AT and p.stat().st_size)


def main(page: Path) -> None:
    names: dict = {"__name__": "__main__"}
    for language, code in blocks(page.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(code, page.name, "exec"), names)
        else:
            subprocess.run(["bash", "-c", shell(code)], check=True)
    from matplotlib import pyplot

    for number in pyplot.get_fignums():  # a notebook shows them
        pyplot.figure(number).savefig(f"shown{number}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
