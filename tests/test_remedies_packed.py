"""Packed samples: the first-order theory against the simulator's own Jacobian, and what packing does beyond it."""

import numpy as np
import pytest
import sympy as sp
from stepjac import derivative, mismatch, small

import egan_theory as eg
from egan_theory.dynamics import Field
from egan_theory.errors import InputError
from egan_theory.linear import eigenvalues, linearize
from egan_theory.linear.system import pair_eigenvalues
from egan_theory.models.packed import PackedField, packed_blocks
from egan_theory.symbolic.remedies import packed_kernel
from egan_theory.targets import Ring, Uniform
from egan_theory.updates import UpdateRule

#: relative to the spectral radius; double zero eigenvalues of frozen directions move by sqrt(eps)
SPECTRUM = 1e-6
PLACES = {
    "ring": (Ring(modes=3), {"features": 6}),
    "weighted": (Ring(modes=3, weights=(1.0, 2.0, 3.0)), {"features": 4}),
    "box": (Uniform(dimension=1, side=5, length=3.0), {"features": 0}),
}


def experiment(place="ring", **penalty):
    target, disc = PLACES[place]
    return small(
        target, particles=5, penalty={"weight_decay": 0.2, **penalty}, discriminator=disc,
        generator={"masses": "matched"}, update={"rule": "flow"},
    )  # fmt: skip


@pytest.mark.parametrize("m", [1, 2, 3])
def test_kernel_is_derived(m):
    derived, claimed = packed_kernel(m)
    assert sp.expand(derived - claimed) == 0


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("place", PLACES)
def test_spectrum_is_that_of_the_field(place, m):
    """Modes that move particles; all other weights decay by themselves, other displacements are frozen."""
    exp = experiment(place)
    field = PackedField(exp, m)
    x = exp.points.coordinates[exp.assignment]
    W = field.start(1)[0]

    def velocity(W, x):
        return field.VW(W, x).reshape(len(W), -1), field.Vx(W, x)

    J = derivative(velocity, (W, x))
    measured = np.linalg.eigvals(J)
    modes = pair_eigenvalues(packed_blocks(exp, m)).ravel()
    alone = np.full(W.size - len(modes) // 2, -exp.discriminator.learning_rate * 0.2)
    frozen = np.zeros(x.size - len(modes) // 2)
    assert mismatch(measured, np.concatenate([modes, alone, frozen])) <= SPECTRUM


def test_one_sample_is_the_unpacked_system():
    exp = experiment()
    field, plain = PackedField(exp, 1), Field(exp)
    rng = np.random.default_rng(0)
    W, x = rng.standard_normal((2, 6)), rng.standard_normal((2, 5, 2))
    assert np.allclose(field.VW(W, x), plain.Vw(W, x), atol=1e-14)
    assert np.allclose(field.Vx(W, x), plain.Vx(W, x), atol=1e-14)


def test_expectations_over_tuples_factorise():
    """dW and D_1 against sums over all pairs of samples."""
    exp = experiment()
    field, rng = PackedField(exp, 2), np.random.default_rng(1)
    x = rng.standard_normal((5, 2))
    W = rng.standard_normal((6, 6))
    W = W + W.T
    psi = {"p": field.field.features.at(exp.points.coordinates).psi(), "q": field.field.features.at(x).psi()}
    weight = {"p": exp.points.weights, "q": exp.masses}
    pairs = {k: np.einsum("a,b,ai,bj->ij", weight[k], weight[k], psi[k], psi[k]) for k in "pq"}
    assert np.allclose(field.VW(W, x), 0.3 * (pairs["p"] - pairs["q"] - 0.2 * W), atol=1e-13)

    def objective(x):
        at = field.field.features.at(x).psi()
        return np.einsum("a,b,ai,bj,ij->", exp.masses, exp.masses, at, at, W)

    h = 1e-30
    gradient = [
        [objective(x + 1j * h * np.eye(10)[2 * i + a].reshape(5, 2)).imag / h for a in (0, 1)] for i in range(5)
    ]
    expected = exp.generator.learning_rate * field.field.metric(np.array(gradient))
    assert np.allclose(field.Vx(W, x), expected, atol=1e-12)


@pytest.mark.parametrize("m", [2, 3])
def test_uniform_target_only_rescales(m):
    """K_k -> m kappa0^(m-1) K_k, kappa0 = K_0/V: a variance times that gives the unpacked spectrum."""
    exp = experiment("box")
    kappa0 = float(exp.discriminator.kernel_object.spectral_density(np.zeros(1), 1)[0]) / 3.0
    rescaled = exp.replace({"discriminator.variance": m * kappa0 ** (m - 1)})
    expected = np.sort_complex(np.repeat(*_modes(rescaled)))
    assert np.allclose(np.sort_complex(pair_eigenvalues(packed_blocks(exp, m)).ravel()), expected, atol=1e-9)


def _modes(exp):
    values = eigenvalues(linearize(exp), UpdateRule("flow"))
    return values.s[values.coupled], values.multiplicity[values.coupled]


def test_refusals():
    with pytest.raises(InputError, match="weight decay alone"):
        PackedField(experiment(r1=0.1), 2)
    with pytest.raises(InputError, match=r"loss.kind: must be 'wasserstein'"):
        packed_blocks(eg.Experiment(loss={"kind": "logistic"}, penalty={}), 2)
    with pytest.raises(InputError, match="degree"):
        packed_blocks(experiment(), 0)
