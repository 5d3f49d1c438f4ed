"""What the commands print for people: tables and sentences from the --json data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import pi
from typing import TYPE_CHECKING, Any

from ..base.terminal import cell, plural, sentence, table
from ..tables.bifurcations import explained

if TYPE_CHECKING:
    import xarray as xr

    from ..comparison.agreement import Agreement
    from ..predict.threshold import Thresholds

#: rows of a table printed for people; --json and -o have all of them
ROWS = 24
#: what the names of a comparison's quantities mean
MEANS = (
    "s1.re, s1.im: growth rate (negative: it decays) and frequency of the slowest mode seen, s2 the next; z: measured "
    "less predicted, in standard errors."
)


def _first_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Any]:
    """A table of the first ROWS rows, and how many more there are."""
    more = len(rows) - ROWS
    return [table(title, columns, rows[:ROWS]), *[f"... and {more} more rows; --json has all."] * (more > 0)]


def basis(data: dict[str, Any]) -> list[str]:
    return [f"Method: {data['method']}.", f"Assumptions: {data['assumptions']}."]


def _modes_table(title: str, modes: Sequence[dict[str, Any]], per: str) -> list[Any]:
    modes = [m for m in modes if m["im"] is None or m["im"] >= 0]
    wavenumbers = any(m.get("wavenumber") is not None for m in modes)
    columns = [f"decay rate [{per}]", f"frequency [rad{per[1:]}]", "damping ratio", "regime", "multiplicity"]
    rows = [[*_known(m), m["regime"], m["multiplicity"]] + ([m["wavenumber"]] if wavenumbers else []) for m in modes]
    lines = _first_rows(title, columns + ["wavenumber"] * wavenumbers, rows)
    if any(m["im"] for m in modes):
        lines.append("A mode that oscillates comes with its complex conjugate, not shown.")
    return lines


def _known(m: dict[str, Any]) -> list[Any]:
    """Decay rate, frequency and damping ratio; of a rate that rounding does not tell from 0 no digits, which are of
    rounding alone."""
    if m["re"] is None:
        return [None, m["im"], m["damping_ratio"]]
    if m.get("rate_error") and abs(m["re"]) <= m["rate_error"]:
        return ["not resolved", None if m["regime"] == "unresolved" else m["im"], None]
    return [0.0 - m["re"], m["im"], m["damping_ratio"]]


def spectrum_text(data: dict[str, Any], per: str) -> list[Any]:
    modes = data["eigenvalues"]
    slowest = data["slowest_rate"]
    unit = per.removeprefix("1/")
    if data["stable"] is None:
        verdict = (
            "No verdict: no mode that moves the particles is resolved."
            if data["unresolved"]
            else "No mode decays or grows."
        )
    elif data["stable"]:
        which = "resolved mode" if data["unresolved"] else "mode that can decay"
        # none: a rate without end, of multipliers 0
        how = "in one step" if slowest is None else f"by a factor e in {cell(1 / slowest)} {plural(unit)}"
        verdict = f"Stable: every {which} decays; the slowest {how}."
        reached = data.get("slowest_converging_rate")
        if slowest and reached and reached > 2 * slowest:
            after = f"by a factor e in {cell(1 / reached)} {plural(unit)}"
            verdict += f" It hardly moves the particles: the slowest mode by which they converge decays {after}."
    elif slowest == 0:
        verdict = "Not stable: modes of rate 0 neither decay nor grow; without damping they oscillate for ever."
    else:
        verdict = f"Not stable: the slowest decay rate is {cell(slowest)} {per}."
    lines = [*_modes_table("Eigenvalues, slowest first", modes, per), verdict]
    lines.append(f"Zero modes (left out of the table): {data['zero_modes']}.")
    if data["unresolved"]:
        from ..predict.spectrum import unresolved_modes

        count = sum(m["multiplicity"] for m in modes)
        lines.append(unresolved_modes(data["unresolved"], count, data["unresolved_below"], per))
    if data.get("spectral_radius") is not None:
        lines.append(f"Spectral radius of one step: {data['spectral_radius']:.10g}.")
    if data.get("residual") is not None:
        lines.append(f"Largest residual of an eigenpair of the stiffness, relative to |H|: {data['residual']:.2g}.")
    return lines + basis(data)


def power_laws_text(data: dict[str, Any], unit: str) -> list[Any]:
    modes = data["modes"]
    grows = lambda m: f"exp(T^{m['growth_power']:.3g})"  # noqa: E731
    rows = [
        [
            *(f"T^{m[name]:.4g}" if m[name] is not None else grows(m) for name in ("last", "average")),
            m["damping"], m["stiffness"], m["onset"], int(m["multiplicity"]),
        ]
        for m in modes
    ]  # fmt: skip
    columns = ["last iterate", "its average", "damping a", "frequency^2", f"from [{unit}s]", "multiplicity"]
    lines = _first_rows(f"Powers of the elapsed time T [{unit}s], slowest first", columns, rows)
    for what, key in (("last iterate", "converges"), ("average since the start", "average_converges")):
        lines.append(f"The {what} {'converges' if data[key] else 'does not converge'}.")
    return lines + basis(data)


def regularizer_text(data: dict[str, Any], per: str) -> list[Any]:
    from ..predict.left import in_table as left
    from ..tables.penalties import strength_label
    from .words import rate_in_table

    best, label = data["best"], strength_label(data["penalty"])
    rows = [
        [which, strength, left(data[f"moving{at}"]), rate_in_table(data[f"rate{at}"], data[f"moving{at}"], per[2:])]
        for which, strength, at in (
            ("none", 0, "_without"),
            ("half", _scaled(best, 0.5), "_at_half"),
            ("advised", best, ""),
            ("twice", _scaled(best, 2.0), "_at_double"),
        )
    ]
    span = f"{data['horizon']:g} {data['unit']}"
    columns = ["which", label, f"left after {span}, of what can move", f"slowest decay rate [{per}]"]
    lines: list[Any] = [
        table(f"Strength of {data['penalty']} for training of {span}", columns, rows if best else rows[:1]),
        *map(sentence, data["remarks"]),
    ]
    if data["edge"] is not None:
        share = "" if data["share_of_edge"] is None else f"; the advice is {data['share_of_edge']:.2g} of it"
        lines.append(f"Every mode decays up to a strength of {cell(data['edge'])}{share}.")
    limit = data["asymptotic"]
    if limit["best"] is not None:
        how = f"the slowest mode then decays at {cell(limit['rate'])} {per}"
        lines.append(f"For a training without end {cell(limit['best'])} would be best: {how} ({limit['method']}).")
    return [
        *lines,
        *_modes_table("Slowest modes at the advised strength", data["binding_modes"], per),
        f"Assumptions: {'; '.join(data['assumptions'])}.",
    ]


def threshold_text(found: Thresholds, per: str) -> list[Any]:
    lines: list[Any] = [found.rich(f"Thresholds in {found.vary} (now {cell(found.current)})")]
    for t in found.to_dict()["thresholds"]:
        if t["mode"]:
            m = t["mode"]
            kind = "moves all particles together" if m["collective"] else "moves them against each other"
            lines.append(
                f"{t['mechanism']}: the mode that sets in {kind} (overlap with a translation "
                f"{cell(m['translation'])}), at {cell(m['im'])} rad{per[1:]}."
            )
        for value, forms in zip(t["values"], t["normal_forms"], strict=False):
            lines += [branch_text(form, value, found.vary, per) for form in forms]
        if t["meaning"]:
            lines.append(f"{t['mechanism']}: now {t['meaning']}.")
        if t["bracket"]:
            lines.append(f"{t['mechanism']}: between {cell(t['bracket'][0])} and {cell(t['bracket'][1])}.")
        if t["reason"]:
            lines.append(f"{t['mechanism']}: {t['reason']}.")
        lines.append(f"{t['mechanism']} assumes: {'; '.join(t['assumptions'])}.")
    return lines


def branch_text(form: dict[str, Any], value: float, vary: str, per: str) -> str:
    """What is born at a threshold ``value`` of the equilibrium, in one sentence."""
    name, unit = form["bifurcation"], per.removeprefix("1/")
    start = f"At {cell(value)}, {explained(name)}"
    if form["criticality"] is None:
        return f"{start}: no normal form ({form['reason']})."
    distance = f"|{vary.rpartition('.')[2]} - {cell(value)}|"
    size = f"{cell(form['rms_amplitude'])} {distance if form['exponent'] == 1 else f'sqrt({distance})'}"
    if name == "transcritical":
        return (
            f"{start}: another equilibrium passes through the spread one, at an rms distance of {size} on both sides; "
            "beyond the threshold the cloud settles there or jumps, depending on which way it is kicked."
        )
    if form["criticality"] == "subcritical":
        return (
            f"{start}, subcritical: the spread cloud jumps beyond it; {form['side']} the threshold, unstable states "
            f"stand beside it at an rms distance of {size}: kicks beyond them do not come back."
        )
    if name in ("neimark-sacker", "hopf"):
        how = {"circles": "circles", "ellipses": "moves on ellipses"}.get(form["motion"], "swings")
        what = f"the spread cloud {how}, period {cell(2 * pi / form['angle'])} {plural(unit)}"
    else:
        what = "the spread cloud jumps to and fro at every step" if name == "flip" else "the spread cloud is distorted"
    part = {"part": "; particles that share a place part", "merge": "; particles that share a place stay together"}
    kept = "" if form["valid_to"] is None else f", good to 5 % as far as {cell(form['valid_to'])}"
    unsure = "" if form["stable"] else "; unstable, it does not last"
    return (
        f"{start}, supercritical: {form['side']} it {what}, rms displacement {size}{kept}, all modes kept"
        f"{part.get(form['points'], '')}{unsure}."
    )


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def run_summary(ds: xr.Dataset, out: str) -> dict[str, Any]:
    sizes, last = ds.sizes, float(ds["time"].values[-1])
    from ..runs.outcome import Outcome, counts

    diverged, codes = ds["diverged_at"].values.tolist(), ds["outcome"].values
    return {
        "output": out,
        "status": ds.attrs["status"],
        "steps": int(last),
        "samples": sizes["time"],
        "runs": sizes["run"],
        "particles": sizes["particle"],
        "dimension": sizes["component"],
        "outcomes": counts(codes),
        "outcome": [Outcome(c).word for c in codes],
        "diverged": sum(step >= 0 for step in diverged),
        "diverged_at": [step if step >= 0 else None for step in diverged],
        "start": ds.attrs.get("start"),
        "seed": int(ds.attrs["seed"]),
    }


def run_text(data: dict[str, Any], unit: str) -> list[Any]:
    rows = [
        ["status", data["status"]],
        ["runs", str(data["runs"])],
        *([f"of them {word}", str(n)] for word, n in data["outcomes"].items()),
        [f"recorded until [{unit}]", str(data["steps"])],
        ["samples", str(data["samples"])],
        ["particles", f"{data['particles']} in {data['dimension']} dimension{'s' * (data['dimension'] != 1)}"],
        ["start, seed", f"{data['start']}, {data['seed']}"],
    ]
    return [table("Simulation", ["what", "value"], rows), *meanings(data["outcomes"])]


def meanings(words: Iterable[str]) -> list[str]:
    """One line on each of these outcomes."""
    from ..runs.outcome import Outcome

    return [f"{o.word.capitalize()}: {o.meaning}." for o in Outcome if o.word in set(words)]


def compare_text(found: Agreement) -> list[Any]:
    lines = [found.rich("Prediction against runs") if found.quantities else "Nothing could be compared."]
    if found.unmatched:
        lines.append(table("Not compared", ["quantity", "why"], [[u["name"], u["reason"]] for u in found.unmatched]))
    if any(q.name.startswith("s1.") for q in found.quantities):
        lines.append(MEANS)
    if found.method:
        lines.append(f"Method: {found.method}.")
    if found.assumptions:
        lines.append(f"Assumptions: {'; '.join(found.assumptions)}.")
    return lines
