"""The API reference: every public name on one page, by subject. mkdocstrings fills in signatures and docstrings."""

from __future__ import annotations

import ast
import inspect
import re
from functools import reduce
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import egan_theory as eg

#: file, title, what the page is about, its names in the order of use
SUBJECTS: tuple[tuple[str, str, str, str], ...] = (
    (
        "experiment",
        "Experiment",
        "One frozen description of target, players, loss, penalties and update rule drives everything else.",
        "Experiment new guide Ring Grid Mixture Uniform PointSet Generator GeneratorKernel Discriminator "
        "kernel_from_profile LossChoice Penalties Update Memory Likelihood Packing Run InputError NotLinearizable",
    ),
    (
        "predictions",
        "Predictions",
        "What theory says of an experiment, without simulating its training.",
        "derive linearize eigenvalues spectrum best_regularizer regularizer Regularizer fastest_strength Fastest "
        "left_over threshold thresholds Thresholds phase branch Branch NormalForm collective_instability "
        "CollectiveInstability collapsed_state collapsed_states CollapsedState reached Reached splitting Splitting "
        "frequency Frequency learning_times power_laws curves Curves universality",
    ),
    (
        "simulation",
        "Simulation and runs",
        "The nonlinear particle model, simulated and recorded; recordings of your own training.",
        "simulate simulate_phase outcomes Outcome order_parameters open_runs save RunWriter import_log",
    ),
    (
        "comparison",
        "Comparison and reports",
        "Predicted numbers next to measured ones, with their error bars, and all of it on one page.",
        "compare compare_left compare_strength compare_remedies compare_phase compare_sweep report",
    ),
    (
        "sweeps",
        "Sweeps",
        "Grids of experiments in parallel, in a store that can be resumed.",
        "sweep open_sweep sweep_grid sweep_runs sweep_left sweep_strength",
    ),
    (
        "networks",
        "Real GANs",
        "Your own networks: their game at a checkpoint, advice on the R1 strength, a monitor of their training.",
        "game Game GameSpectrum Optimizer game_page kernel_numbers KernelNumbers advise advise_experiment "
        "advise_from_gram Advice place Place Monitor monitor Monitored monitor_page",
    ),
)
#: the namespaces, each on a page of its own
SPACES: dict[str, str] = {
    "plot": "Figures",
    "solvable": "The solvable high-dimensional GAN",
    "published": "The published MNIST runs",
    "two_gaussian": "The two-Gaussian GAN",
    "poincare": "Poincaré constant and R1",
    "packing": "Packing",
    "dirac": "The Dirac-GAN",
    "isolated": "Isolated points",
}


def names_in(space: str) -> list[str]:
    """The public names of a namespace: what its stub lists, or what the module defines."""
    module = getattr(eg, space)
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    return [n for n, v in vars(module).items() if n[0] != "_" and getattr(v, "__module__", None) == module.__name__]


def names() -> dict[str, str]:
    """page -> names as paths in egan_theory. Raises SystemExit unless every public name has one page."""
    pages = {page: listed.split() for page, _, _, listed in SUBJECTS}
    flat = [name for listed in pages.values() for name in listed]
    public = [name for name in eg.__all__ if not isinstance(getattr(eg, name), ModuleType)]
    spaces = [name for name in eg.__all__ if name not in public]
    wrong = sorted({n for n in flat if flat.count(n) > 1} | (set(flat) ^ set(public)) | (set(spaces) ^ set(SPACES)))
    if wrong:
        raise SystemExit(f".ci/pages/api.py: every public name must be on one page, but found {', '.join(wrong)}")
    return pages | {space: [f"{space}.{name}" for name in names_in(space)] for space in SPACES}


def pages() -> dict[str, str]:
    """Markdown by file name, with the overview as index.md."""
    found = names()
    out = {f"{page}.md": _page(title, text, found[page]) for page, title, text, _ in SUBJECTS}
    for space, title in SPACES.items():
        about = inspect.getdoc(getattr(eg, space)) or ""
        out[f"{space}.md"] = _page(f"{title}: eg.{space}", _prose(about), found[space])
    titles = {page: title for page, title, *_ in SUBJECTS} | {s: f"{t} (`eg.{s}`)" for s, t in SPACES.items()}
    lines = ["# API reference", "", "```python\nimport egan_theory as eg\n```", ""]
    for page, title in titles.items():
        lines += [f"## [{title}]({page}.md)", "", "| name | what it is |", "|---|---|"]
        lines += [f"| [`{name}`][egan_theory.{name}] | {_summary(name)} |" for name in found[page]]
        lines.append("")
    return out | {"index.md": "\n".join(lines)}


def titles() -> list[tuple[str, str]]:
    """(title, file) of the pages, in their order."""
    return [(t, f"{p}.md") for p, t, *_ in SUBJECTS] + [(f"eg.{s}", f"{s}.md") for s in SPACES]


def _page(title: str, text: str, listed: list[str]) -> str:
    return f"# {title}\n\n{text}\n\n" + "\n".join(_entry(name) for name in listed)


def _entry(name: str) -> str:
    """One public name: what mkdocstrings fills in, or of a second name all there is to say."""
    thing, short = _thing(name), name.rpartition(".")[2]
    own = getattr(thing, "__name__", short)
    if own != short and getattr(eg, own, None) is thing:
        return f'## {short} {{ id="egan_theory.{name}" }}\n\nThe same function as [`{own}`][egan_theory.{own}].\n'
    return f"::: egan_theory.{name}\n"


def _thing(name: str) -> Any:
    return reduce(getattr, name.split("."), eg)


def _said_of_constant(name: str) -> str:
    """The string that stands below a constant."""
    space, _, short = name.partition(".")
    for file in sorted(Path(str(getattr(eg, space).__file__)).parent.glob("*.py")):
        for assigned, said in pairwise(ast.parse(file.read_text(encoding="utf-8")).body):
            targets = assigned.targets if isinstance(assigned, ast.Assign) else ()
            if any(isinstance(t, ast.Name) and t.id == short for t in targets) and isinstance(said, ast.Expr):
                return str(ast.literal_eval(said.value))
    return ""


def _prose(docstring: str) -> str:
    """A module's docstring without what it says about layers of its modules."""
    return "\n\n".join(part for part in re.split(r"\n\s*\n", docstring) if not part.startswith("Layers:"))


def _summary(name: str) -> str:
    """The first sentence of a name's docstring."""
    thing = _thing(name)
    said = (inspect.getdoc(thing) if callable(thing) else _said_of_constant(name)) or ""
    sentence = re.split(r"(?<=[.:;])\s(?=[A-Z`])", " ".join(said.split("\n\n")[0].split()), maxsplit=1)[0]
    return sentence.replace("|", r"\|").replace("_", r"\_").replace("*", r"\*").replace("<", "&lt;")
