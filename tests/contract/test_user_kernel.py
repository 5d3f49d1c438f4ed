"""A kernel given as one profile function goes all the way: spectrum, best strength, simulation, comparison."""

import numpy as np
import pytest

import egan_theory as eg

#: agreement of two routes to the same kernel's spectrum: conditioning of the Gram matrix times eps, with room
SAME = 1e-8


def experiment(kernel, **fields):
    discriminator = {"length_scale": 0.5, "alpha": 2.0, "kernel": kernel, **fields}
    return eg.Experiment(generator={"particles": 8}, discriminator=discriminator, penalty={"r1": 2.0})


@pytest.fixture(scope="module")
def profile():
    # (1 + r^2/(2 alpha l^2))^-alpha with alpha = 2, l = 1/2: the built-in rational quadratic
    return eg.kernel_from_profile(lambda u: (1 + u) ** -2)


def test_exact_kernel_equals_the_built_in_one(profile):
    own, built_in = (eg.spectrum(experiment(k, features=0)) for k in (profile, "rational_quadratic"))
    s, t = (np.sort_complex(ds["eigenvalue_re"].values + 1j * ds["eigenvalue_im"].values) for ds in (own, built_in))
    assert len(s) == len(t) > 8
    assert np.abs(s - t).max() <= SAME * np.abs(t).max()


def test_box_modes_come_from_the_hankel_transform(profile):
    def box(kernel):
        return eg.Experiment(
            target={"kind": "uniform", "side": 9, "length": 6.0},
            generator={"particles": 9},
            discriminator={"kernel": kernel, "length_scale": 0.5, "alpha": 2.0, "features": 0},
        )

    own, built_in = eg.spectrum(box(profile)), eg.spectrum(box("rational_quadratic"))
    assert np.allclose(own["eigenvalue_im"], built_in["eigenvalue_im"], rtol=SAME, atol=0)
    assert np.ptp(own["eigenvalue_im"].values) > 0


def test_random_features_simulation_and_comparison(profile):
    exp = experiment(profile, features=64).replace({"run.steps": 1500, "run.runs": 4})
    best = eg.fastest_strength(exp)
    exp = exp.replace({"penalty.r1": best.best})
    table = eg.compare(exp, eg.simulate(exp))
    rows = [q for q in table.quantities if q.name != "rate"]
    assert len(rows) >= 5
    assert all(q.relative_error < 0.01 or abs(q.z) < 3 for q in rows)
