"""What the analysis of kernel shares claims, at a reduced size."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from analyses import kernel_share as study
from egan_theory.kernels.wide.recursion import tangent_kernel
from egan_theory.kernels.wide.universality import latents


@pytest.mark.slow
def test_wider_networks_are_nearer_the_infinitely_wide_kernel():
    """The share grows with the width, and in the tangent parametrisation ratio and shares are those of the limit."""
    ds = study.of_width(2, 3, (32, 512), 12)
    share = ds["share"].mean("draw")
    assert np.all(share.isel(width=1) > share.isel(width=0) + 0.05)
    tangent = ds.sel(start="tangent", width=512)
    ratio, limit = tangent["ratio"], tangent["wide_ratio"]
    error = (ratio - limit).std("draw", ddof=1) / np.sqrt(3)
    assert np.all(np.abs((ratio - limit).mean("draw")) < 4 * error + 0.01)
    # outputs of a network of width n are moved alike but for a part d/n of the square
    rest = ds["not_identity"].sel(start="tangent").mean("draw")
    slope = np.log(rest.isel(width=1) / rest.isel(width=0)) / np.log(512 / 32)
    assert np.all((slope < -0.4) & (slope > -1.2))
    # unequal pairs alone are left of the limit, and fall with the dimension of the latents
    assert float(ds["wide_unequal_pairs"].sel(dimension=16).mean()) > 5 * float(
        ds["wide_unequal_pairs"].sel(dimension=256).mean()
    )


def test_parts_of_a_kernel_of_outputs_alike():
    T = tangent_kernel(study.ARCH, latents(16, 6, np.random.default_rng(0)))
    parts = study.two_number_parts(T)
    assert sum(parts[name] for name in study.PARTS) == pytest.approx(1)
    two = np.full((6, 6), T[~np.eye(6, dtype=bool)].mean())
    np.fill_diagonal(two, np.diag(T).mean())
    assert parts["share"] == pytest.approx(1 - np.linalg.norm(T - two) ** 2 / np.linalg.norm(T) ** 2)


@pytest.mark.slow
def test_kernel_share(tmp_path):
    """Reproducible; convolutional networks move all outputs together, which two numbers do not hold."""
    ds = study.study(3, 2, widths=(32, 64), steps=20, probes=4)
    again = study.of_kinds(3, 1, 20, 4)
    assert np.array_equal(ds["kind_share"].isel(draw=[0]), again["kind_share"], equal_nan=True)
    start = ds.sel(time="start", preconditioner="sgd")
    assert np.all(start["kind_share"].sel(kind="convolutional") < 0.1)
    assert np.all(start["kind_two_matrices"].sel(kind="convolutional") > 0.8)
    assert np.all(start["kind_share"].sel(kind="fully connected") > 0.6)
    shares = [ds[f"kind_{name}"].sel(time="trained") for name in study.PARTS]
    assert np.allclose(sum(shares), 1, atol=1e-6)
    text = study.verdict(ds)
    assert "growing at every step" in text and "batch norm, training mode, trained, P of adam" in text
    study.figure(ds).savefig(tmp_path / "figure.png", dpi=30)
