# %% [markdown]
# # Does judging m samples at once help, beyond rescaling the discriminator?
# To first order packing with a product kernel on a uniform target multiplies K_k by m kappa0^(m-1). The packed model is
# simulated beside the unpacked one with its kernel multiplied by just that, from the same displacements of the cloud:
# their difference is what packing itself does. Kicks grow from 10^-4 of the points' spacing to the whole of it, the
# last cloud is one collapsed onto half of the box. Compared is the kernel distance |E_p psi - E_q psi| over time.
# Run: python analyses/remedies_packing.py --seed 0 --draws 8 --output out/remedies_packing

# %%
from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr

import egan_theory as eg
from egan_theory.dynamics import Field
from egan_theory.linear.system import pair_eigenvalues
from egan_theory.models.packed import PackedField, packed_blocks

SIDE, LENGTH, DEGREES = 5, 3.0, (2, 3)
AMPLITUDES = np.geomspace(1e-4, 1.0, 13)
#: e-folds of the slowest predicted mode that are simulated, Runge-Kutta steps per fastest time
E_FOLDS, FINE = 4.0, 60
#: difference of the time averages from which packing is said to matter
MATTERS = 0.05


def box() -> eg.Experiment:
    return eg.Experiment(
        target={"kind": "uniform", "side": SIDE, "length": LENGTH, "dimension": 1},
        generator={"particles": SIDE, "learning_rate": 0.05, "kernel": {"ratio": 0.0}},
        discriminator={"length_scale": 0.5, "features": 0, "learning_rate": 0.5},
        penalty={"r1": 0.0, "weight_decay": 0.4}, update={"rule": "flow"},
    )  # fmt: skip


def rescaled(exp: eg.Experiment, m: int) -> eg.Experiment:
    """The unpacked experiment that packing is to first order."""
    kappa0 = float(exp.discriminator.kernel_object.spectral_density(np.zeros(1), 1)[0]) / LENGTH
    return exp.replace({"discriminator.variance": m * kappa0 ** (m - 1)})


# %%
def follow(VW, Vx, distance, W, x, h: float, steps: int) -> np.ndarray:
    """(step, run) distances along Runge-Kutta steps."""
    out = [distance(x)]
    for _ in range(steps):
        a, b = VW(W, x), Vx(W, x)
        c, d = VW(W + h / 2 * a, x + h / 2 * b), Vx(W + h / 2 * a, x + h / 2 * b)
        e, f = VW(W + h / 2 * c, x + h / 2 * d), Vx(W + h / 2 * c, x + h / 2 * d)
        g, i = VW(W + h * e, x + h * f), Vx(W + h * e, x + h * f)
        W, x = W + h / 6 * (a + 2 * c + 2 * e + g), x + h / 6 * (b + 2 * d + 2 * f + i)
        out.append(distance(x))
    return np.array(out)


def study(seed: int, draws: int) -> xr.Dataset:
    """Distances of packed and rescaled play over (degree, amplitude, time), root mean square over draws."""
    rng = np.random.default_rng(seed)
    exp = box()
    Y = exp.points.coordinates
    kicks = rng.standard_normal((draws, SIDE, 1)) * LENGTH / SIDE
    collapsed = np.sort(rng.uniform(0, LENGTH / 2, (draws, SIDE, 1)), axis=1)
    starts = [Y + amplitude * kicks for amplitude in AMPLITUDES] + [collapsed]
    x = np.concatenate(starts)
    parts = []
    for m in DEGREES:
        s = pair_eigenvalues(packed_blocks(exp, m))
        steps = int(E_FOLDS / -s.real.max() * np.abs(s).max() * FINE / 2)
        h = E_FOLDS / -s.real.max() / steps
        packed, plain = PackedField(exp, m), Field(rescaled(exp, m))
        reference = Field(exp)  # one distance for both

        def distance(x, reference=reference, u_p=packed.u_p):
            return np.linalg.norm(reference.push(x) - u_p, axis=-1)

        W = np.zeros((len(x), plain.features.size))
        curves = [
            follow(packed.VW, packed.Vx, distance, packed.start(len(x)), x, h, steps),
            follow(plain.Vw, plain.Vx, distance, W, x, h, steps),
        ]
        keep = np.linspace(0, steps, 200).astype(int)
        rows = [
            np.sqrt((c[keep].reshape(len(keep), len(starts), draws) ** 2).mean(-1)).T / np.sqrt(
                (c[0].reshape(len(starts), draws) ** 2).mean(-1)
            )[:, None]
            for c in curves
        ]  # fmt: skip
        parts.append(
            xr.Dataset(
                {
                    name: (("start", "time"), row, {"long_name": f"distance, {name}, over its start", "units": "1"})
                    for name, row in zip(("packed", "rescaled"), rows, strict=True)
                },
                coords={"time": np.linspace(0, E_FOLDS, len(keep)), "start": np.append(AMPLITUDES, np.nan)},
            )
        )
    return xr.concat(parts, "degree").assign_coords(degree=list(DEGREES)).assign_attrs(seed=seed, draws=draws)


def effect(ds: xr.Dataset) -> xr.DataArray:
    """Time average of the packed distance over that of the rescaled one, minus 1: < 0 where packing helps."""
    return ds["packed"].mean("time") / ds["rescaled"].mean("time") - 1


def figure(ds: xr.Dataset):
    from matplotlib.figure import Figure

    fig = Figure(figsize=(11, 4), layout="constrained")
    left, right = fig.subplots(1, 2)
    for m, colour, marker in zip(DEGREES, ("#0072B2", "#D55E00"), ("o", "^"), strict=True):
        values = effect(ds).sel(degree=m).values
        left.semilogx(AMPLITUDES, values[:-1], marker + "-", color=colour, label=f"m = {m}")
        left.axhline(values[-1], color=colour, ls=":", lw=1, label=f"m = {m}, cloud on half of the box")
        part = ds.sel(degree=m).isel(start=-1)
        right.plot(ds["time"], part["packed"], "-", color=colour, label=f"m = {m}, packed")
        right.plot(ds["time"], part["rescaled"], "--", color=colour, label=f"m = {m}, rescaled kernel")
    left.axhline(0, color="k", lw=0.8)
    left.set(xlabel="kick / spacing of the points", ylabel="mean distance, packed / rescaled - 1")
    left.set_title("below 0: packing helps beyond rescaling", fontsize=10)
    left.legend(fontsize=8)
    right.set(xlabel="time (e-folds of the slowest mode)", ylabel="kernel distance / its start", yscale="log")
    right.set_title("a cloud on half of the box", fontsize=10)
    right.legend(fontsize=8)
    return fig


def main(argv: list[str] | None = None) -> xr.Dataset:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--output", type=Path, default=Path("out/remedies_packing"))
    args = parser.parse_args(argv)
    matplotlib.use("Agg")
    ds = study(args.seed, args.draws)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    eg.save(ds, args.output.with_suffix(".nc"))
    figure(ds).savefig(args.output.with_suffix(".png"), dpi=150)
    for m in DEGREES:
        values = effect(ds).sel(degree=m).values
        beyond = np.flatnonzero(np.abs(values[:-1]) > MATTERS)
        where = f"{AMPLITUDES[beyond[0]]:.2g} of the spacing" if len(beyond) else "no kick tried"
        print(f"m = {m}: smallest kick {values[0]:+.1e}, first beyond {MATTERS:.0%} at {where}, "
              f"largest kick {values[-2]:+.3f}, cloud on half of the box {values[-1]:+.3f}")  # fmt: skip
    return ds


# %%
if __name__ == "__main__":
    main()
