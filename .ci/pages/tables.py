"""What an experiment may be made of, one table per kind of part, from the tables of the package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def page() -> str:
    """Targets, losses, kernels, activations, layers, penalties, update rules and mechanisms in Markdown."""
    parts = [_targets(), _losses(), _kernels(), _activations(), _layers(), _penalties(), _rules(), _mechanisms()]
    intro = (
        "# Losses, kernels, penalties, update rules\n\nWhat an experiment may be made of: the word in the experiment "
        "file, and the formula behind it. Each is one entry of one table of the package; "
        "[Contributing](../contributing.md) shows how to add one.\n"
    )
    return "\n".join([intro, *parts])


def _table(title: str, text: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    header = list(header)
    return "\n".join([f"## {title}", "", text, "", line(header), line(["---"] * len(header)), *map(line, rows), ""])


def _math(expression: Any) -> str:
    import sympy as sp

    plain = sp.simplify(expression.rewrite(sp.exp)) if hasattr(expression, "rewrite") else expression
    return f"${sp.latex(plain)}$".replace("|", r"\vert ")


def _first(thing: Any) -> str:
    """The first paragraph of a docstring, its formulas in plain characters."""
    text = " ".join((thing.__doc__ or "").split("\n\n")[0].split())
    return text.replace("_", r"\_").replace("*", r"\*").replace("<", "&lt;").rstrip(".")


def _parameters(parameters: Mapping[str, Any]) -> str:
    shown = [f"`{n}` = {p.default:g} ({p.range})".replace("<", "&lt;") for n, p in parameters.items()]
    return ", ".join(shown) or "none"


def _targets() -> str:
    from egan_theory.experiment.targets import TARGETS

    rows = [(f"`{name}`", target.title, _first(target)) for name, target in TARGETS.items()]
    return _table("Targets", "`target.kind`: where the data are.", ("word", "name", "what it is"), rows)


def _losses() -> str:
    from egan_theory.tables.losses import LOSSES

    rows = []
    for name, loss in LOSSES.items():
        e, numbers = loss.expressions, loss.exact
        shown = [f"of pairs: {_math(e['f'])}", "", ""] if loss.pairs else [_math(e[f]) for f in ("f1", "f2", "h")]
        rows.append((f"`{name}`", loss.title, *shown, *(_math(numbers[n]) for n in ("c", "b", "kappa"))))
    text = (
        "`loss.kind`: the discriminator ascends $E_p f_1(D) + E_q f_2(D)$ minus penalties, the generator $E_q h(D)$; "
        r"$c = f_1'(D_*)$, $b = h'(D_*)$ and $\kappa = -(f_1'' + f_2'')(D_*)$ are all that linear theory takes of it."
    )
    header = ("word", "name", "$f_1$", "$f_2$", "$h$", "$c$", "$b$", r"$\kappa$")
    return _table("Losses", text, header, rows)


def _kernels() -> str:
    from egan_theory.base.parameters import parameters_of
    from egan_theory.kernels import KERNELS

    rows = [(f"`{n}`", _first(k), _parameters(parameters_of(k))) for n, k in KERNELS.items()]
    own = "[`kernel_from_profile`][egan_theory.kernel_from_profile]"
    text = f"`discriminator.kernel`, of $r = |x - y|$; a kernel of your own: {own}."
    return _table("Kernels", text, ("word", "K(x, y)", "parameters"), rows)


def _activations() -> str:
    import sympy as sp

    from egan_theory.tables.activations import ACTIVATIONS, NETWORK_ACTIVATIONS

    z = sp.Symbol("z", real=True)
    rows = []
    for name, activation in NETWORK_ACTIVATIONS.items():
        formula = f"${sp.latex(activation.expression(z))}$".replace("|", r"\vert ")
        uses = "architecture, random features" if name in ACTIVATIONS else "architecture"
        rows.append((f"`{name}`", formula, uses))
    return _table("Activations", "Of networks and of random features.", ("word", "formula", "used in"), rows)


def _layers() -> str:
    from egan_theory.base.parameters import parameters_of
    from egan_theory.tables.layers import LAYERS

    rows = [(f"`{n}`", layer.title, _parameters(parameters_of(layer))) for n, layer in LAYERS.items()]
    text = "`discriminator.architecture.layers`, of networks on images."
    return _table("Layers", text, ("word", "name", "parameters"), rows)


def _penalties() -> str:
    from egan_theory.tables.penalties import PENALTIES

    rows = [(f"`{n}`", p.title, f"`{p.text}`", _parameters(p.parameters)) for n, p in PENALTIES.items()]
    text = "`[penalty]`: each field is a strength, at least 0; 0 switches it off."
    return _table("Penalties", text, ("field", "name", "what is subtracted", "further numbers"), rows)


def _rules() -> str:
    from egan_theory.tables.updates import RULES

    rows = [
        (f"`{n}`", r.title + (f": {r.text}" if r.text else ""), _parameters(r.parameters)) for n, r in RULES.items()
    ]
    return _table("Update rules", "`update.rule`: how the players move.", ("word", "name", "parameters"), rows)


def _mechanisms() -> str:
    from egan_theory.predict.mechanism import MECHANISMS

    rows = [(n, m.beyond, m.within) for n, m in MECHANISMS.items()]
    text = "Boundaries that [`thresholds`][egan_theory.thresholds] and [`phase`][egan_theory.phase] find."
    return _table("Mechanisms", text, ("name", "beyond the boundary", "within it"), rows)
