# %% [markdown]
# # Does a likelihood term damp the generator's side as theory says?
# Random experiments get a likelihood term (a difference of Gaussian-smoothed scores, problem.likelihood). Theory
# predicts the weight that maximises the slowest decay rate; the nonlinear model is simulated at that weight and at
# others around it. The prediction passes when its own simulated rate is at least 97 % of the best simulated one.
# Beside it, on one periodic box: the slowest rate over R1 strength and likelihood weight together, where theory says
# that damping both sides alike removes the over-damped regime, so that the best pair beats the best of either alone.
#
# And far from equilibrium, the claim itself: does the term cover more modes? Mixtures of eight well separated
# components at random places, from random starts, with and without it: the score of the target estimated from its
# samples or known exactly, a bandwidth as wide as a component or half as wide as their smallest distance, each at
# several weights. The difference to the same start without the term is averaged over draws. Confirmed: it is positive
# by two standard errors at every weight; refuted: at none; limited: at some; undecided: without the term nothing is
# left to cover, to two standard errors.
# Run: python -m analyses.remedies_likelihood --seed 1 --draws 10 --starts 24 --output out/remedies_likelihood

# %%
from __future__ import annotations

import sys

import numpy as np
import xarray as xr

import egan_theory as eg
from analyses.draws import draw_experiment
from analyses.script import above, made, merged, options, part_of, redraws, sheet
from egan_theory.base.errors import InputError
from egan_theory.comparison.strength import SWEEP_E_FOLDS
from egan_theory.linear.resolved import resolved_rule
from egan_theory.predict.asymptotic import convergence_rate
from egan_theory.show.style import BLUE, GREY, VERMILLION
from egan_theory.sweeps.cells import final_clouds, measured

POINTS, SPAN, SHARE, RUNS = 13, 6.0, 0.97, 4
MAX_EVALUATIONS, EXACT = 12_000, 5
#: the pair of strengths: this many values of each
PAIR = 61
BOX = {
    "target": {"kind": "uniform", "side": 9, "length": 2.0, "dimension": 1},
    "generator": {"particles": 9, "learning_rate": 0.02},
    "discriminator": {"length_scale": 0.35, "features": 0, "learning_rate": 0.1},
    "penalty": {"r1": 0.0},
    "update": {"rule": "flow"},
}
#: the mixtures: components, half the side of the square they lie in, smallest distance, width of one
COMPONENTS, HALF, APART, WIDTH = 8, 2.0, 1.0, 0.1
WEIGHTS = (0.01, 0.03, 0.1, 0.3, 1.0)
#: spread of the starts: a tenth of the square around its middle, or the target's own
SPREADS = {"narrow": 0.3, "as the target": 0.0}
SIGMAS = 2.0
MIXTURE = {
    "generator": {"particles": 48, "learning_rate": 0.02, "kernel": {"ratio": 0.1}},
    "discriminator": {"length_scale": 0.5, "features": 192, "learning_rate": 0.2},
    "penalty": {"r1": 0.1, "weight_decay": 0.02},
    "update": {"rule": "alternating"},
    "run": {"steps": 2000, "record_every": 2000, "runs": 1, "start": "random"},
}


# %%
def draw(rng: np.random.Generator) -> tuple[eg.Experiment, eg.Fastest]:
    """An experiment whose predicted best weight is positive, inside the scan, and quick enough to simulate."""
    while True:
        exp = draw_experiment(rng)
        if exp.penalty.instance_noise or exp.penalty.consensus:
            continue
        scale = exp.discriminator.length_scale * float(rng.uniform(0.5, 1.5))
        exp = exp.replace({"likelihood.bandwidth": scale, "penalty.consensus": 0.0})
        if exp.discriminator.features > 100:
            continue
        best = eg.fastest_strength(exp, "likelihood")
        edge = best.best in (best.strengths[0], best.strengths[-1])
        if not best.best or edge or best.rate <= 0:
            continue
        # at large weights weights of D that hardly move the particles may relax last: simulated slopes see them
        values = eg.eigenvalues(eg.linearize(exp.replace({"likelihood.weight": best.best})))
        if values.slowest(coupled_only=True) < SHARE * values.slowest_carried():
            continue
        try:
            stiffest = resolved_rule(exp.replace({"likelihood.weight": SPAN * best.best}))
        except InputError:  # a flow too stiff to be resolved
            continue
        evaluations = 4 * stiffest.substeps if stiffest.continuous else 1
        evaluations *= EXACT if exp.discriminator.features == 0 else 1
        if SWEEP_E_FOLDS / best.rate * evaluations <= MAX_EVALUATIONS:
            return exp, best


def study(seed: int, draws: int) -> xr.Dataset:
    """One row per experiment: point 0 is the predicted best weight, the others the grid."""
    rows, texts = [], []
    for i in range(draws):
        exp, best = draw(np.random.default_rng([seed, i]))
        grid = best.best * np.geomspace(1 / SPAN, SPAN, POINTS) * (SPAN**2) ** (0.5 / (POINTS - 1))
        swept = eg.sweep_strength(exp, "likelihood", np.concatenate([[best.best], grid]), runs=RUNS)
        rate = swept["rate"].values
        share = rate[0] / np.nanmax(rate)
        without = convergence_rate(exp)
        label = f"{exp.target.kind} {exp.discriminator.kernel} {exp.loss.kind} {exp.update.rule}"
        print(
            f"{i:3d} weight {best.best:.4g} ({best.method}) rate {best.rate:.4g}, without {without:.4g}, "
            f"share {share:.4f}, simulated/predicted {rate[0] / best.rate:.4f} {label}",
            file=sys.stderr, flush=True,
        )  # fmt: skip
        part = swept.assign_coords(point=("strength", np.arange(len(rate)))).swap_dims(strength="point")
        rows.append(
            part.reset_coords("strength").assign(
                share=share, best=best.best, best_rate=best.rate, rate_without=without, label=label
            )
        )
        texts.append(exp.to_toml())
    ds = xr.concat(rows, "draw", combine_attrs="drop").assign(experiment=("draw", np.array(texts)))
    ds["share"].attrs = {"long_name": "simulated rate at the predicted best / best simulated rate", "units": "1"}
    return ds.assign_attrs(seed=seed, draws=draws, threshold=SHARE)


def pairs() -> xr.Dataset:
    """Slowest rate of the box over both strengths, each relative to its own best alone."""
    exp = eg.Experiment(**BOX)
    r1, likelihood = (eg.fastest_strength(exp, name) for name in ("r1", "likelihood"))
    grid = np.concatenate([[0.0], np.geomspace(0.05, 20, PAIR - 1)])
    rate = [
        [
            convergence_rate(exp.replace({"penalty.r1": u * r1.best, "likelihood.weight": v * likelihood.best}))
            for u in grid
        ]
        for v in grid
    ]
    return xr.Dataset(
        {"rate": (("likelihood", "r1"), rate, {"long_name": "predicted slowest rate", "units": "1/time"})},
        coords={"likelihood": grid, "r1": grid},
        attrs={"best_r1": r1.best, "rate_r1": r1.rate, "best_likelihood": likelihood.best,
               "rate_likelihood": likelihood.rate},
    )  # fmt: skip


def mixture(seed: int, draw: int) -> eg.Experiment:
    """Components at random places of a square, none closer than APART; samples, features and starts drawn anew."""
    rng = np.random.default_rng([seed, 7, draw])
    while True:
        means = rng.uniform(-HALF, HALF, (COMPONENTS, 2))
        if np.linalg.norm(means[:, None] - means, axis=-1)[np.triu_indices(COMPONENTS, 1)].min() >= APART:
            break
    own = int(rng.integers(2**31))
    target = {"kind": "mixture", "means": means.tolist(), "std": WIDTH, "samples": 128, "seed": own}
    return eg.Experiment(target=target, **MIXTURE).replace({"discriminator.seed": own, "run.seed": own})


def coverage(seed: int, starts: int) -> xr.Dataset:
    """Covered share and energy distance at the end, without the term and with it at every weight."""
    scores, widths = ("kernel", "exact"), (WIDTH, APART / 2)
    shape = (starts, len(SPREADS), len(scores), len(widths), len(WEIGHTS))
    names = ("covered", "energy_distance")
    found, without = ({n: np.full(size, np.nan) for n in names} for size in (shape, shape[:2]))
    for i in range(starts):
        exp = mixture(seed, i)
        for j, spread in enumerate(SPREADS.values()):
            start = exp.replace({"run.spread": spread})
            ends = _ends([start])
            for n in names:
                without[n][i, j] = ends[n][0]
            for k, m in np.ndindex(len(scores), len(widths)):
                with_term = start.replace({"likelihood.bandwidth": widths[m], "likelihood.score": scores[k]})
                ends = _ends([with_term.replace({"likelihood.weight": w}) for w in WEIGHTS])
                for n in names:
                    found[n][i, j, k, m] = ends[n]
        print(f"start {i:3d}: without {without['covered'][i]}", file=sys.stderr, flush=True)
    dims = ("draw", "start", "score", "bandwidth", "weight")
    text = {"covered": ("share of the components covered", "1"), "energy_distance": ("energy distance", "length")}
    attrs = {n: dict(zip(("long_name", "units"), text[n], strict=True)) for n in names}
    ds = xr.Dataset(
        {n: (dims, found[n], attrs[n]) for n in names}
        | {f"{n}_without": (dims[:2], without[n], attrs[n]) for n in names},
        coords={"start": list(SPREADS), "score": list(scores), "bandwidth": list(widths), "weight": list(WEIGHTS)},
        attrs={"seed": seed, "starts": starts, "experiment": mixture(seed, 0).to_toml()},
    )
    gain = ds["covered"] - ds["covered_without"]
    return ds.assign(
        gain=gain.mean("draw").assign_attrs(long_name="gain in covered share", units="1"),
        gain_stderr=(gain.std("draw", ddof=1) / np.sqrt(starts)).assign_attrs(long_name="its error", units="1"),
    )


def _ends(members: list[eg.Experiment]) -> dict[str, np.ndarray]:
    """What is measured of the final clouds of runs side by side; diverged runs cover nothing."""
    ds = eg.simulate(members[0], variants=members)
    return measured(members[0], final_clouds(ds))


def verdict(ds: xr.Dataset) -> dict[tuple[str, str, float], str]:
    """Of each start, score and bandwidth: the claim over all weights, in the words of the introduction."""
    gained = ds["gain"] > SIGMAS * ds["gain_stderr"]
    base = ds["covered_without"]
    full = base.mean("draw") + SIGMAS * base.std("draw", ddof=1) / np.sqrt(ds.sizes["draw"]) >= 1
    out = {}
    for at in np.ndindex(*(ds.sizes[n] for n in ("start", "score", "bandwidth"))):
        one = gained.isel(dict(zip(("start", "score", "bandwidth"), at, strict=True)))
        key = (str(one["start"].values), str(one["score"].values), float(one["bandwidth"]))
        out[key] = (
            "undecided" if full.sel(start=key[0])
            else "confirmed" if one.all() else "limited" if one.any() else "refuted"
        )  # fmt: skip
    return out


def figure(ds: xr.Dataset):
    """Rates over the weight, rates over both strengths, and components covered from random starts."""
    covered = "coverage_covered" in ds
    fig, axes = sheet(1 + covered, 2, 3.9 * (1 + covered), squeeze=False)
    _rates(axes[0, 0], part_of(ds, "rates"))
    _pairs(fig, axes[0, 1], part_of(ds, "pairs"))
    if covered:
        _covered(axes[1], part_of(ds, "coverage"))
    return fig


def _rates(ax, ds: xr.Dataset) -> None:
    for i in range(ds.sizes["draw"]):
        row = ds.isel(draw=i)
        x, order = row["strength"].values / float(row["best"]), np.argsort(row["strength"].values)
        scale = float(row["rate"].max())
        ax.semilogx(x[order], row["predicted_rate"].values[order] / scale, "-", color=BLUE, lw=0.9,
                    label="predicted" if i == 0 else None)  # fmt: skip
        ax.semilogx(x, row["rate"].values / scale, ".", color=VERMILLION, label="simulated" if i == 0 else None)
    ax.axvline(1, color=GREY, ls=":", label="predicted best weight")
    ax.set(ylim=(-0.2, 1.1), xlabel="likelihood weight / predicted best (1)",
           ylabel="slowest rate / best simulated (1)")  # fmt: skip
    ax.set_xticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    ax.minorticks_off()
    above(ax, f"{ds.sizes['draw']} random experiments near equilibrium", 3, fontsize=8.5)


def _pairs(fig, ax, both: xr.Dataset) -> None:
    grid = both["r1"].values[1:]
    drawn = ax.pcolormesh(
        grid, grid, both["rate"].values[1:, 1:] / both.attrs["rate_r1"], shading="nearest", cmap="viridis"
    )
    ax.set(xscale="log", yscale="log", xlabel="R1 strength / its best alone (1)",
           ylabel="likelihood weight / its best alone (1)")  # fmt: skip
    ax.set_title("periodic box, flow: both damped", fontsize=10, loc="left")
    fig.colorbar(drawn, ax=ax, label="slowest rate / of best R1 alone (1)")
    ax.plot(1, grid[0], "w^", ms=8, clip_on=False)
    ax.plot(grid[0], 1, "w>", ms=8, clip_on=False)


def _covered(axes, ds: xr.Dataset) -> None:
    error = lambda v: v.std("draw", ddof=1) / np.sqrt(ds.sizes["draw"])  # noqa: E731
    for ax, start in zip(axes, ds["start"].values, strict=True):
        here = ds.sel(start=start)
        base, spread = float(here["covered_without"].mean()), float(error(here["covered_without"]))
        ax.axhspan(base - spread, base + spread, color="0.88")
        ax.axhline(base, color="0.4", ls="--", label="without the term")
        for score, colour in (("kernel", BLUE), ("exact", VERMILLION)):
            for bandwidth, style in zip(ds["bandwidth"].values, ("o-", "s:"), strict=True):
                row = here["covered"].sel(score=score, bandwidth=bandwidth)
                label = f"{score} score, bandwidth {bandwidth:g}"
                ax.errorbar(ds["weight"], row.mean("draw"), error(row), fmt=style, color=colour, capsize=2, label=label)
        ax.set(xscale="log", xlabel="weight of the likelihood term (units of D)", ylim=(-0.03, 1.05),
               ylabel=f"share of {COMPONENTS} components covered")  # fmt: skip
        word = "as wide as the target" if start == "as the target" else f"of width {SPREADS[start]:g}"
        ax.set_title(f"random starts {word}", fontsize=10, loc="left")
    axes[0].legend(fontsize=8)


@redraws
def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = options("remedies_likelihood", draws=10, help_draws="random experiments near equilibrium")
    parser.add_argument("--starts", type=int, default=24, help="mixtures with random starts; 0: none")
    args = parser.parse_args(argv)

    def found() -> xr.Dataset:
        more = {"coverage": coverage(args.seed, args.starts)} if args.starts else {}
        return merged(rates=study(args.seed, args.draws), pairs=pairs(), **more)

    ds = made(args, found, figure)
    shares, both = ds["rates_share"].values, part_of(ds, "pairs")
    print(f"{int((shares >= SHARE).sum())} of {len(shares)} predicted weights reach {SHARE:.0%} of the best simulated "
          f"rate; lowest share {shares.min():.4f}")  # fmt: skip
    print(f"box: best R1 alone {both.attrs['rate_r1']:.4g}, best likelihood alone {both.attrs['rate_likelihood']:.4g}, "
          f"best pair in the range {float(both['rate'].max()):.4g} per unit of time")  # fmt: skip
    if "coverage_covered" in ds:
        report(part_of(ds, "coverage"))
    return ds


def report(ds: xr.Dataset) -> None:
    """The verdicts with their numbers."""
    for (start, score, bandwidth), word in verdict(ds).items():
        one = ds.sel(start=start, score=score, bandwidth=bandwidth)
        gains = ", ".join(
            f"{float(w):g}: {float(g):+.3f}({float(e):.3f})"
            for w, g, e in zip(ds["weight"], one["gain"], one["gain_stderr"], strict=True)
        )
        base = float(one["covered_without"].mean())
        print(f"covers more ({start} start, {score} score, bandwidth {bandwidth:g}): {word}; "
              f"without {base:.3f}, gain by weight {gains}")  # fmt: skip


# %%
if __name__ == "__main__":
    main()
