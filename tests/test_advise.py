"""The advised R1 strength: against features written out by hand, the closed form, Jury's conditions, scalings."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import egan_theory as eg
from egan_theory.cli import main
from egan_theory.errors import InputError, MissingExtra
from egan_theory.features.rows import RowFeatures
from egan_theory.kernels.given import FeatureKernel

jax = pytest.importorskip("jax")

#: best strengths by a scan refined to 1e-4 in its logarithm, or to 1e-6 (fastest_strength)
REFINED, CLOSED = 2e-4, 1e-5
#: accuracy of the share that the draws are balanced to
BALANCED = 1e-2
#: the same numbers in other sums
ROUNDING = 1e-9
#: limits of stability are bisected to this
BISECTED = 2e-3

RNG = np.random.default_rng(3)
Y = 1.5 * RNG.standard_normal((4, 2))
PARAMS = {"W": RNG.standard_normal((24, 2)), "b": RNG.standard_normal(24), "v": RNG.standard_normal(24) / 4}
FREE = {"kernel": {"ratio": 0.0}}
FLOW = {
    "update": {"rule": "flow"}, "discriminator": {"learning_rate": 0.3}, "generator": {"learning_rate": 0.2} | FREE,
}  # fmt: skip


def D(p, x):
    return jax.numpy.tanh(p["W"] @ x + p["b"]) @ p["v"]


def rows_by_hand(X, W, b, v):
    """psi = (tanh u, v (1 - tanh^2 u), v (1 - tanh^2 u) x) and its derivatives in x, (M + M d, P)."""
    values, gradients = [], []
    for x in X:
        t = np.tanh(W @ x + b)
        t1 = 1 - t**2
        t2 = -2 * t * t1
        values.append(np.concatenate([t, v * t1, np.outer(v * t1, x).ravel()]))
        for a, e in enumerate(np.eye(len(x))):
            slope = W[:, a]
            inner = np.outer(v * t2 * slope, x) + np.outer(v * t1, e)
            gradients.append(np.concatenate([t1 * slope, v * t2 * slope, inner.ravel()]))
    return np.array(values + gradients)


ROWS = rows_by_hand(Y, **PARAMS)
GRAM = ROWS @ ROWS.T
BETA = np.linalg.eigvalsh(GRAM[4:, 4:]) / 4


def closed_form(beta, G, eta_D):
    low, high = beta.min(), beta.max()
    return 2 * np.sqrt(G * high / (low * (2 * high - low))) / eta_D, np.sqrt(G * low * high / (2 * high - low))


@pytest.fixture(scope="module")
def advice():
    return eg.advise(D, PARAMS, Y, FLOW, batch_size=4)


def test_advice_is_the_closed_form_of_features_written_by_hand(advice):
    """Flow, Wasserstein, phi = 0, a mean over the batch: G = eta_D eta_G / M."""
    strength, rate = closed_form(BETA, 0.3 * 0.2 / 4, 0.3)
    assert advice.best == pytest.approx(strength, rel=CLOSED) and advice.rate == pytest.approx(rate, rel=CLOSED)
    assert (advice.draws[0].beta_min, advice.draws[0].beta_max) == pytest.approx((BETA[0], BETA[-1]), rel=1e-7)
    assert advice.draws[0].method == "closed-form" and advice.unit == "1/time"
    assert advice.rate > max(advice.rate_at_half, advice.rate_at_double)
    assert advice.stable[1] is None  # a flow has no limit above
    i = np.argmax(advice.rates[0])
    assert advice.strengths[i] == pytest.approx(advice.best, rel=0.2)


def test_variations_are_the_closed_form_again(advice):
    table = {row["setting"]: row for row in advice.variations}
    for setting, G, eta_D in (
        ("generator.learning_rate x 2", 2 * 0.015, 0.3),
        ("discriminator.learning_rate x 2", 2 * 0.015, 0.6),
        ("generator.kernel.diagonal x 2", 2 * 0.015, 0.3),
    ):
        strength, rate = closed_form(BETA, G, eta_D)
        assert (table[setting]["best"], table[setting]["rate"]) == pytest.approx((strength, rate), rel=CLOSED), setting
    # kappa damps D's values: with the same b c = 1/4 alone the rate would be half of Wasserstein's
    assert 0 < table["loss.kind = logistic"]["rate"] < 0.55 * advice.rate


def test_discrete_steps_have_their_own_best():
    """Simultaneous: z^2 - (2 - a) z + 1 - a + w^2 = 0 per mode; no strength of a fine grid is faster."""
    tables = {name: FLOW[name] for name in ("discriminator", "generator")}
    found = eg.advise_from_gram(GRAM, 4, 2, tables, variations=False)

    def rate(strength):
        a, w2 = 0.3 * strength * BETA, 0.015 * BETA
        return -np.log(max(np.abs(np.roots([1, x - 2, 1 - x + y])).max() for x, y in zip(a, w2, strict=True)))

    assert found.rate == pytest.approx(rate(found.best), rel=CLOSED)
    assert found.rate >= max(rate(found.best * f) for f in np.geomspace(0.1, 10, 401)) * (1 - CLOSED)
    assert found.rate_at_half == pytest.approx(rate(found.best / 2), rel=CLOSED)
    assert found.best < 0.9 * eg.advise_from_gram(GRAM, 4, 2, FLOW, variations=False).best


def test_parts_of_a_batch_are_batches(advice):
    """The row for two points is the closed form of those two points: M in G and in beta."""
    two = advice.sizes[0]
    assert [row["points"] for row in advice.sizes] == [2, 4]
    found = []
    for i in range(4):
        for k in range(i + 1, 4):
            H = GRAM[4:, 4:].reshape(4, 2, 4, 2)[[i, k]][:, :, [i, k]].reshape(4, 4)
            found.append(closed_form(np.linalg.eigvalsh(H) / 2, 0.06 / 2, 0.3))
    assert any(np.allclose((two["best"], two["rate"]), one, rtol=CLOSED) for one in found)
    slope = np.log(advice.best / two["best"]) / np.log(2)
    assert advice.exponents["best"] == pytest.approx(slope, rel=ROUNDING)


@pytest.mark.parametrize("loss", ["wasserstein", "non_saturating"])
def test_a_gram_matrix_says_what_the_network_says(loss):
    tables = {
        "loss": {"kind": loss},
        "discriminator": {"learning_rate": 0.3},
        "generator": {"learning_rate": 0.05} | FREE,
    }
    network = eg.advise(D, PARAMS, Y, tables, batch_size=4, variations=False)
    products = eg.advise_from_gram(GRAM, 4, 2, tables, variations=False)
    tolerance = CLOSED if loss == "wasserstein" else REFINED
    assert products.best == pytest.approx(network.best, rel=tolerance)
    assert products.rate == pytest.approx(network.rate, rel=tolerance)
    if loss == "wasserstein":
        gradients = eg.advise_from_gram(GRAM[4:, 4:], 4, 2, tables)
        assert gradients.best == pytest.approx(network.best, rel=tolerance)
        refused = {row["setting"]: row["reason"] for row in gradients.variations if row["best"] is None}
        assert set(refused) == {"loss.kind = logistic", "loss.kind = least_squares"}
    else:
        with pytest.raises(InputError, match=r"gram: must hold D's values too.*kappa = 0.5"):
            eg.advise_from_gram(GRAM[4:, 4:], 4, 2, tables)


def test_rate_with_kappa_is_that_of_the_written_out_map():
    """Non-saturating loss, simultaneous steps: z of the map on all weights. A mode that is nearly all D is slower by
    far, at whatever strength, and left out."""
    M, eta_D, eta_G = 6, 0.05, 0.05
    X = 2 * np.random.default_rng(0).standard_normal((M, 2))
    rows = rows_by_hand(X, **PARAMS)
    tables = {"loss": {"kind": "non_saturating"}, "discriminator": {"learning_rate": eta_D}}
    found = eg.advise_from_gram(
        rows @ rows.T, M, 2, tables | {"generator": {"learning_rate": eta_G} | FREE}, variations=False
    )  # fmt: skip
    Psi, B = rows[:M], rows[M:]

    def slowest(lam, part=0.1):
        A = (0.5 * Psi.T @ Psi + lam * B.T @ B) / M
        P, n = len(A), 2 * M
        J = np.block([[-eta_D * A, -eta_D * 0.5 / M * B.T], [eta_G * 0.5 / M * B, np.zeros((n, n))]])
        z, vectors = np.linalg.eig(np.eye(P + n) + J)
        v = (np.abs(vectors[P:]) ** 2).sum(0) / (eta_G * 0.5)
        w = (np.abs(vectors[:P]) ** 2).sum(0) / (eta_D * 0.5)
        moving = (v > part * (v + w)) & (np.abs(z - 1) > 1e-12)
        return -np.log(np.abs(z[moving]).max())

    assert found.rate == pytest.approx(slowest(found.best), rel=1e-4)
    assert slowest(found.best, part=1e-9) < 0.5 * found.rate


def test_stability_limits_are_jurys():
    """Simultaneous: w^2 < a and 4 - 2 a + w^2 > 0 per mode, a = eta_D r1 beta, w^2 = eta_D eta_G beta / M."""
    eta_D, eta_G = 0.3, 0.2
    tables = {"discriminator": {"learning_rate": eta_D}, "generator": {"learning_rate": eta_G} | FREE}
    found = eg.advise_from_gram(GRAM, 4, 2, tables, variations=False)
    high = (4 + eta_D * eta_G * BETA[-1] / 4) / (2 * eta_D * BETA[-1])
    assert found.stable == pytest.approx((eta_G / 4, high), rel=BISECTED)


def test_draws_differ_and_their_scatter_is_reported():
    """Fresh networks are not the first one again, and batches not the first batch."""
    others = [
        {k: np.random.default_rng(i).standard_normal(v.shape) * v.std() for k, v in PARAMS.items()} for i in (1, 2)
    ]
    data = np.concatenate([Y, -1.3 * Y + 0.2, Y[:2]])  # two repeated: dropped
    found = eg.advise(D, PARAMS, data, FLOW, batch_size=3, batches=2, initialisations=others, variations=False)
    bests = np.array([d.best for d in found.draws]).reshape(3, 2)
    assert len(np.unique(bests)) == 6
    assert np.log(found.low * found.high) / 2 == pytest.approx(np.log(bests).mean())
    assert np.log(found.high / found.low) / 2 == pytest.approx(np.log(bests).std(ddof=1))
    # no strength leaves the draw that fares worst a larger share: those of the curves, in every draw
    own = np.array([d.rate for d in found.draws])
    assert (found.rates / own[:, None]).min(0).max() <= found.share * (1 + BALANCED)
    assert bests.min() <= found.best <= bests.max()
    assert found.spread_batches == pytest.approx(np.sqrt(np.log(bests).var(1, ddof=1).mean()))
    assert 0 <= found.spread_initialisations < np.log(bests).mean(1).std(ddof=1) * (1 + 1e-12)
    for draw in found.draws:
        assert draw.rate_at_advised <= draw.rate * (1 + CLOSED)
    assert found.share == pytest.approx(min(d.rate_at_advised / d.rate for d in found.draws))
    # the same weights alone give the same first draws
    alone = eg.advise(D, others[0], data, FLOW, batch_size=3, batches=2, variations=False)
    assert [d.best for d in alone.draws] == pytest.approx(list(bests[1]), rel=ROUNDING)


def test_samples_of_any_shape_are_flattened():
    image = lambda p, x: D(p, x[:, 0])  # noqa: E731
    found = eg.advise(image, PARAMS, Y[:, :, None], FLOW, batch_size=4, variations=False)
    assert found.best == pytest.approx(closed_form(BETA, 0.015, 0.3)[0], rel=CLOSED)


def test_advice_stays_where_every_draw_is_stable():
    """Steps so large that the mean of the best strengths is beyond what one draw stands."""
    stiff = {k: 6 * v for k, v in PARAMS.items()}
    table = {"update": {"rule": "simultaneous"}, "discriminator": {"learning_rate": 0.3}}
    found = eg.advise(D, PARAMS, Y, table, batch_size=4, initialisations=[stiff], variations=False)
    middle = np.sqrt(found.low * found.high)
    assert found.stable[1] is not None and found.best <= found.stable[1] * 1.01 and found.share > 0
    assert middle > 1.5 * found.best


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.floats(0.2, 5.0), st.floats(0.2, 5.0))
def test_scalings(factor, size):
    """r1* as sqrt(eta_G / eta_D) and as 1 / |grad psi|; a float32 matrix says the same to its precision."""

    def best(eta_G, gram):
        tables = FLOW | {"generator": {"learning_rate": eta_G} | FREE}
        return eg.advise_from_gram(gram, 4, 2, tables, variations=False).best

    reference = best(0.2, GRAM)
    assert best(0.2 * factor, GRAM) == pytest.approx(np.sqrt(factor) * reference, rel=CLOSED)
    assert best(0.2, size**2 * GRAM) == pytest.approx(reference / size, rel=CLOSED)
    error = 8 * np.finfo(np.float32).eps * BETA[-1] / BETA[0]  # of beta_min
    assert best(0.2, GRAM.astype(np.float32)) == pytest.approx(reference, rel=error)


def test_too_large_for_a_scan_is_simplified_and_checked(monkeypatch):
    """Without kappa and the collective part the scan is that of the closed form; the check puts them back."""
    monkeypatch.setattr("egan_theory.networks.practice.SCAN_ROWS", 0)
    tables = FLOW | {"loss": {"kind": "logistic"}, "generator": {"learning_rate": 0.2, "kernel": {"ratio": 0.25}}}
    found = eg.advise_from_gram(GRAM, 4, 2, tables, variations=False)
    assert found.best == pytest.approx(closed_form(BETA, 0.015 / 4 * 0.75, 0.3)[0], rel=CLOSED)
    assert any("left out of the scan (checked" in a for a in found.assumptions)
    monkeypatch.undo()
    assert found.check is not None and found.check["the advised strength"] != pytest.approx(found.rate, rel=1e-3)
    exact = eg.advise_from_gram(GRAM, 4, 2, tables, variations=False)
    assert exact.check is None and exact.rate >= found.check["the advised strength"]


def test_result_shows_itself(advice):
    data = json.loads(json.dumps(advice.to_dict(), allow_nan=False))
    assert data["best"] == advice.best and data["low"] is None and data["penalty"] == "r1"
    assert "(strength / 2) E_data |grad_x D|^2" in data["convention"]
    assert "Advice(best=" in repr(advice) and "R1 strength" in advice._repr_html_()
    assert eg.plot_advice(advice).get_xlabel() == "R1 strength"
    assert advice.to_dataset()["predicted_rate"].dims == ("draw", "strength")


EXPERIMENT = """
[target]
kind = "ring"
modes = 4
[generator]
particles = 8
[generator.kernel]
ratio = 0.0
[discriminator]
learning_rate = 0.2
[discriminator.architecture]
width = 12
depth = 1
[update]
rule = "flow"
"""


def test_command(tmp_path, capsys, monkeypatch):
    file, data, gram = tmp_path / "e.toml", tmp_path / "data.npy", tmp_path / "gram.npy"
    file.write_text(EXPERIMENT)
    np.save(data, Y[:, None])
    np.save(gram, GRAM)
    few = ["--initialisations", "2", "--json"]
    assert main(["advise", str(file), "--data", str(data), *few, "--figure", str(tmp_path / "a.png")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["draws"]) == 2 and found["best"] > 0 and (tmp_path / "a.png").stat().st_size > 1000
    exp = eg.Experiment(**{**eg.Experiment.from_toml(file).model_dump(exclude={"target"}, exclude_unset=True),
                           "target": {"kind": "points", "values": Y.tolist()}})  # fmt: skip
    direct = eg.fastest_strength(exp, "r1")  # the network of the file itself at these points: the first draw
    assert found["draws"][0]["best"] == pytest.approx(direct.best, rel=CLOSED)
    monkeypatch.setitem(sys.modules, "jax", None)  # of a Gram matrix it is not needed
    assert main(["advise", str(file), "--gram", str(gram), "--points", "4", "--dimension", "2"]) == 0
    assert "R1 strength that converges fastest" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--points", "4"], "--points: must be given with --gram only"),
        (["--gram", "gram.npy", "--points", "3", "--dimension", "2"], "gram: must have points * dimension rows"),
        (["--gram", "none.npy"], "--gram: must be an existing file"),
        (["--gram", "gram.npy", "--data", "gram.npy"], "--data: must not be given beside --gram"),
        ([], "discriminator.architecture.width: must be above 0"),
    ],
)
def test_command_refuses(arguments, says, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("gram.npy", GRAM)
    (tmp_path / "e.toml").write_text('[target]\nkind = "ring"\n')
    assert main(["advise", "e.toml", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_refusals(monkeypatch):
    for data, message in ((np.zeros(3), "data: must hold"), (np.full((3, 2), np.nan), "data: must hold")):
        with pytest.raises(InputError, match=message):
            eg.advise(D, PARAMS, data)
    with pytest.raises(InputError, match="D: must give one number for one sample"):
        eg.advise(lambda p, x: x, PARAMS, Y)
    with pytest.raises(InputError, match=r"batch_size: must give at most .* rows"):
        eg.advise(lambda p, x: x @ x, PARAMS, np.arange(8000.0).reshape(4, 2000))
    with pytest.raises(InputError, match=r"training\.run: must be one of generator"):
        eg.advise(D, PARAMS, Y, {"run": {}})
    plain = eg.Experiment(loss={"kind": "wasserstein"})
    for name, field in (("likelihood", {"likelihood": {"weight": 0.5, "bandwidth": 0.5}}),
                        ("memory", {"memory": {"generator": 10.0}})):  # fmt: skip
        with pytest.raises(InputError, match=rf"training\.{name}.*must be left out"):
            eg.advise(D, PARAMS, Y, eg.Experiment(**plain.model_dump() | field), batch_size=4)
    with pytest.raises(InputError, match="gram: must be symmetric"):
        eg.advise_from_gram(np.triu(GRAM), 4, 2)
    with pytest.raises(InputError, match=r"instance_noise: must be 0"):
        eg.advise_from_gram(GRAM, 4, 2, {"penalty": {"instance_noise": 0.1}})
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(MissingExtra, match="networks"):
        eg.advise(D, PARAMS, Y)


def test_points_in_the_experiment_and_kernels_of_features():
    """Coordinates in the file itself; kernels known by features are equal to themselves alone (caches rely on it)."""
    exp = eg.Experiment(target={"kind": "points", "values": Y.tolist()}, generator={"particles": 8})
    np.testing.assert_array_equal(exp.points.coordinates, Y)
    assert eg.Experiment.from_toml_string(exp.to_toml()) == exp
    for target, message in (
        ({"values": [[1.0], [2.0, 3.0]]}, "rows of one length"),
        ({"values": [[1.0], [1.0]]}, "distinct points"),
        ({"values": [[1.0]], "path": "a.npy"}, "beside target.path"),
        ({}, "target.path: must be given"),
    ):
        with pytest.raises(InputError, match=message):
            eg.Experiment(target={"kind": "points"} | target)
    first, second = (FeatureKernel(RowFeatures(ROWS, 4)) for _ in range(2))
    assert first != second and len({first, second, first}) == 2
