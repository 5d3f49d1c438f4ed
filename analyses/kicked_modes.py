# %% [markdown]
# # Are the predicted eigenvalues the ones that kicked simulations show?
# Random experiments (seed and number of draws are arguments) over targets, kernels, losses, penalties and update rules.
# Each is kicked off equilibrium and simulated with the nonlinear particle model; the five slowest visible modes are
# fitted. An experiment agrees when every fitted Re s and Im s is within 1 % of |s| or 3 standard errors of its
# prediction. Run: python -m analyses.kicked_modes --seed 1 --draws 100 --output out/kicked_modes

# %%
from __future__ import annotations

import sys

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.draws import draw_experiment
from analyses.script import above, made, options, redraws, sheet
from egan_theory.features import FourierFeatures
from egan_theory.linear import eigenvalues, linearize
from egan_theory.linear.resolved import resolved_rule
from egan_theory.linear.seen import features_of
from egan_theory.problem.problem import Problem
from egan_theory.show.style import BLUE, GREY, VERMILLION

RELATIVE, SIGMAS = 0.01, 3.0
MIN_STEPS, MAX_STEPS, RECORDS, GROWTH = 400, 4000, 400, 6.0
#: a phase k.dx of the features above this is not linear any more
LINEAR = 0.02


# %%
def with_length(exp: eg.Experiment) -> eg.Experiment:
    """Long enough to see the slow modes, short enough that nothing grows out of the linear regime."""
    values = eigenvalues(linearize(exp))
    rates = values.rates[values.coupled & values.resolved & np.isfinite(values.s)]
    slow = np.sort(rates)[: 2 * 5]
    steps = int(np.clip(8 / max(np.abs(slow).max(), 1e-12), MIN_STEPS, MAX_STEPS))
    if exp.update.rule == "flow":  # a unit of time costs four evaluations a substep
        steps = min(steps, MAX_STEPS // resolved_rule(exp).substeps)
    growth = -rates.min()
    if growth > 0:  # what grows must stay small against the shortest wavelength of the features
        features = features_of(Problem(exp))
        shortest = np.linalg.norm(features.omega, axis=1).max() if isinstance(features, FourierFeatures) else 0.0
        room = LINEAR / (exp.run.kick * max(shortest, 1 / exp.discriminator.length_scale))
        steps = max(min(steps, int(min(GROWTH, np.log(max(room, 1.0))) / growth)), 10)
    return exp.replace({"run.steps": steps, "run.record_every": max(steps // RECORDS, 1)})


def examine(exp: eg.Experiment) -> dict:
    """Agreement of one experiment: worst deviations and the rows that fail."""
    exp = with_length(exp)
    runs = eg.simulate(exp)
    table = eg.compare(exp, runs)
    rows = [q for q in table.quantities if q.name != "rate"]
    bad = [q for q in rows if not (q.relative_error <= RELATIVE or abs(q.z) <= SIGMAS)]
    return {
        "modes": len({q.name.split(".")[0] for q in rows}),
        "worst_relative": max((q.relative_error for q in rows), default=np.nan),
        "median_relative": float(np.median([q.relative_error for q in rows])) if rows else np.nan,
        "z": [q.z for q in rows],
        "agrees": bool(rows) and not bad,
        "bad": "; ".join(f"{q.name}: {q.predicted:.4g} vs {q.measured:.4g} +- {q.stderr:.1g} {q.note}" for q in bad),
        "status": runs.attrs["status"],
        "unmatched": "; ".join(f"{u['name']}: {u['reason']}" for u in table.unmatched[:3]),
    }


def study(seed: int, draws: int) -> xr.Dataset:
    """All draws; one row each."""
    rows, texts = [], []
    for i in range(draws):
        exp = draw_experiment(np.random.default_rng([seed, i]))
        row = examine(exp)
        rows.append(row)
        texts.append(exp.to_toml())
        label = f"{exp.target.kind} {exp.discriminator.kernel} {exp.loss.kind} {exp.update.rule}"
        print(
            f"{i:3d} {'ok' if row['agrees'] else 'NO'} {row['modes']} modes, worst {row['worst_relative']:.1e} {label} "
            + (f"{row['bad']} {row['status']} {row['unmatched']}" if not row["agrees"] else ""),
            file=sys.stderr,
            flush=True,
        )
    return xr.Dataset(
        {
            "agrees": ("draw", np.array([r["agrees"] for r in rows], dtype=np.int8),
                       {"long_name": "all fitted modes within 1 % or 3 standard errors", "units": "1"}),
            "worst_relative": ("draw", np.array([r["worst_relative"] for r in rows]),
                               {"long_name": "largest deviation relative to |s|", "units": "1"}),
            "median_relative": ("draw", np.array([r["median_relative"] for r in rows]),
                                {"long_name": "median deviation relative to |s|", "units": "1"}),
            "modes": ("draw", np.array([r["modes"] for r in rows]), {"long_name": "fitted modes", "units": "1"}),
            "disagreement": ("draw", np.array([r["bad"] for r in rows], dtype=str)),
            "unmatched": ("draw", np.array([r["unmatched"] for r in rows], dtype=str)),
            "experiment": ("draw", np.array(texts, dtype=str)),
        },
        attrs={"seed": seed, "draws": draws, "relative": RELATIVE, "sigmas": SIGMAS},
    )  # fmt: skip


def figure(ds: xr.Dataset):
    """Worst and median deviation of every draw, sorted."""
    fig, ax = sheet(height=4.2)
    order = np.argsort(ds["worst_relative"].values)
    at = np.arange(1, len(order) + 1)
    for name, marker, colour in (("worst_relative", "o", VERMILLION), ("median_relative", "s", BLUE)):
        values = np.maximum(ds[name].values[order], 1e-12)
        ax.semilogy(at, values, marker, ms=4.5, color=colour, mfc="white", label=ds[name].attrs["long_name"])
    failed = np.flatnonzero(ds["agrees"].values[order] == 0)
    if failed.size:
        ax.plot(
            at[failed], np.maximum(ds["worst_relative"].values[order][failed], 1e-12), "kx", ms=9, label="disagrees"
        )
    ax.axhline(RELATIVE, color=GREY, ls="--", label="1 %")
    ax.set(xlabel="experiment, sorted (number)", ylabel="|fitted − predicted eigenvalue| / |s|")
    above(ax, f"{int(ds['agrees'].sum())} of {ds.sizes['draw']} random experiments agree", 2)
    return fig


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    args = options("kicked_modes", draws=100).parse_args(argv)
    ds = made(args, lambda: study(args.seed, args.draws), figure)
    print(f"{int(ds['agrees'].sum())} of {ds.attrs['draws']} experiments agree; median deviation "
          f"{float(ds['median_relative'].median()):.1e}, worst of the agreeing "
          f"{float(ds['worst_relative'].where(ds['agrees'] == 1).max()):.1e}")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
