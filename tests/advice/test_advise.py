"""The advised R1 strength: against features written out by hand, the closed form, Jury's conditions, scalings."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

import egan_theory as eg
from egan_theory.base.errors import InputError, MissingExtra
from egan_theory.cli.app import main
from egan_theory.features.given import FeatureKernel
from egan_theory.features.rows import RowFeatures

jax = pytest.importorskip("jax")

#: best strengths by a scan refined to 1e-4 in its logarithm, or to 1e-6 (best_regularizer)
REFINED, CLOSED = 2e-4, 1e-5
#: accuracy that the draws are balanced to
BALANCED = 1.001
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


def left_by_hand(strength, horizon, G=0.015, eta_D=0.3, beta=None):
    """rms over the modes of their own 2 x 2 propagators: dw = -a w - mu x, dx = mu w with a = eta_D r1 beta and
    mu^2 = G beta."""
    parts = []
    for b in BETA if beta is None else beta:
        mu = np.sqrt(max(G * b, 0.0))
        parts.append(expm(horizon * np.array([[-eta_D * strength * b, -mu], [mu, 0.0]]))[1, 1])
    return np.sqrt(np.mean(np.square(parts)))


def closed_form(beta, G, eta_D):
    low, high = beta.min(), beta.max()
    return 2 * np.sqrt(G * high / (low * (2 * high - low))) / eta_D, np.sqrt(G * low * high / (2 * high - low))


@pytest.fixture(scope="module")
def advice():
    return eg.advise(D, PARAMS, Y, FLOW, batch_size=4, horizon=100.0)


def test_training_without_end_is_the_closed_form_of_features_written_by_hand(advice):
    """Flow, Wasserstein, phi = 0, a mean over the batch: G = eta_D eta_G / M."""
    strength, rate = closed_form(BETA, 0.3 * 0.2 / 4, 0.3)
    endless, draw = advice.asymptotic, advice.draws[0]
    assert (endless.best, endless.rate) == pytest.approx((strength, rate), rel=CLOSED)
    assert (draw.asymptotic, draw.rate) == pytest.approx((strength, rate), rel=CLOSED)
    assert (draw.beta_min, draw.beta_max) == pytest.approx((BETA[0], BETA[-1]), rel=1e-7)
    assert draw.method == endless.method == "closed-form" and advice.unit == "1/time"
    assert advice.stable[1] is None and advice.edge is None  # a flow has no limit above


@pytest.mark.parametrize("horizon", [3.0, 20.0, 100.0])
def test_advice_leaves_least_after_the_horizon(horizon):
    """Against the modes' own propagators; no strength of a grid leaves less, but for the gentlest of a flat range."""
    found = eg.advise_from_gram(GRAM, 4, 2, FLOW, horizon=horizon, variations=False)
    assert found.horizon == horizon
    for left, strength in ((found.left, found.best), (found.left_without, 0.0), (found.left_at_half, found.best / 2),
                           (found.left_at_double, 2 * found.best)):  # fmt: skip
        assert left == pytest.approx(left_by_hand(strength, horizon), rel=ROUNDING)
    grid = [left_by_hand(s, horizon) for s in np.geomspace(1e-3, 1e2, 301)]
    if found.best == 0:
        assert min(grid) >= found.left_without * 0.99
    else:
        flat = found.choice.high >= 10 * found.choice.low
        assert found.left <= min(grid) * (1.0101 if flat else 1 + CLOSED)
        assert min(grid) < 0.99 * found.left_without
    assert found.reach.e_folds == pytest.approx(-np.log(found.left))


def test_long_training_tends_to_training_without_end():
    """The best strength for a time T is that of the fastest slowest mode but for a part 1/(rate T): a relative change
    d of the strength changes the slowest mode's exponent by about rate T d, and all else is of order one."""
    strength, rate = closed_form(BETA, 0.015, 0.3)
    for horizon in (100.0, 500.0, 4000.0):
        found = eg.advise_from_gram(GRAM, 4, 2, FLOW, horizon=horizon, variations=False)
        assert found.asymptotic.best == pytest.approx(strength, rel=CLOSED)
        assert abs(found.best / strength - 1) < 1 / (rate * horizon)


def test_variations_are_the_experiment_with_one_setting_changed(advice):
    table = {row["setting"]: row for row in advice.variations}
    for setting, G, eta_D in (
        ("generator.learning_rate x 2", 2 * 0.015, 0.3),
        ("discriminator.learning_rate x 2", 2 * 0.015, 0.6),
        ("generator.kernel.diagonal x 2", 2 * 0.015, 0.3),
    ):
        row = table[setting]
        by_hand = left_by_hand(row["best"], advice.horizon, G, eta_D)
        assert row["left"] == pytest.approx(by_hand, rel=CLOSED), setting
        grid = min(left_by_hand(f * row["best"], advice.horizon, G, eta_D) for f in np.geomspace(0.1, 10, 101))
        assert by_hand <= grid * (1 + CLOSED), setting
    assert table["loss.kind = logistic"]["left"] > 2 * advice.left  # b c = 1/4


def test_discrete_steps_have_their_own_best():
    """Simultaneous: z^2 - (2 - a) z + 1 - a + w^2 = 0 per mode; no strength of a fine grid is faster in the end."""
    tables = {name: FLOW[name] for name in ("discriminator", "generator")}
    found = eg.advise_from_gram(GRAM, 4, 2, tables, variations=False)

    def rate(strength):
        a, w2 = 0.3 * strength * BETA, 0.015 * BETA
        return -np.log(max(np.abs(np.roots([1, x - 2, 1 - x + y])).max() for x, y in zip(a, w2, strict=True)))

    endless = found.asymptotic
    assert endless.rate == pytest.approx(rate(endless.best), rel=CLOSED)
    assert endless.rate >= max(rate(endless.best * f) for f in np.geomspace(0.1, 10, 401)) * (1 - CLOSED)
    assert found.rate_at_half == pytest.approx(rate(found.best / 2), rel=CLOSED)
    assert endless.best < 0.9 * eg.advise_from_gram(GRAM, 4, 2, FLOW, variations=False).asymptotic.best


def test_parts_of_a_batch_are_batches(advice):
    """The row for two points is the closed form of those two points: M in G and in beta."""
    two = advice.sizes[0]
    assert [row["points"] for row in advice.sizes] == [2, 4]
    found = []
    for i in range(4):
        for k in range(i + 1, 4):
            H = GRAM[4:, 4:].reshape(4, 2, 4, 2)[[i, k]][:, :, [i, k]].reshape(4, 4)
            found.append(closed_form(np.linalg.eigvalsh(H) / 2, 0.06 / 2, 0.3))
    assert any(np.allclose((two["asymptotic"], two["rate"]), one, rtol=CLOSED) for one in found)
    assert two["left"] < advice.sizes[1]["left"] == pytest.approx(advice.moving)
    slope = np.log(advice.sizes[1]["best"] / two["best"]) / np.log(2)
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
    assert products.left == pytest.approx(network.left, rel=tolerance)
    assert products.asymptotic.best == pytest.approx(network.asymptotic.best, rel=tolerance)
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

    endless = found.asymptotic
    assert endless.rate == pytest.approx(slowest(endless.best), rel=1e-4)
    assert slowest(endless.best, part=1e-9) < 0.5 * endless.rate
    assert found.rate == pytest.approx(slowest(found.best), rel=1e-4)


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
    settings = {"batch_size": 3, "batches": 2, "variations": False, "horizon": 100.0}
    found = eg.advise(D, PARAMS, data, FLOW, initialisations=others, **settings)
    bests = np.array([d.best for d in found.draws]).reshape(3, 2)
    assert len(np.unique(bests)) == 6
    assert np.log(found.low * found.high) / 2 == pytest.approx(np.log(bests).mean())
    assert np.log(found.high / found.low) / 2 == pytest.approx(np.log(bests).std(ddof=1))
    # no strength leaves the draw that fares worst a smaller multiple of its own least: those of the curves, all draws
    own = np.array([d.left for d in found.draws])
    worst = (found.lefts / own[:, None]).max(0)
    assert worst.min() >= (1 / found.share) / (1.01 if found.choice.high >= 10 * found.choice.low else BALANCED)
    assert bests.min() / BALANCED <= found.best <= bests.max() * BALANCED
    assert found.spread_batches == pytest.approx(np.sqrt(np.log(bests).var(1, ddof=1).mean()))
    assert 0 <= found.spread_initialisations < np.log(bests).mean(1).std(ddof=1) * (1 + 1e-12)
    for draw in found.draws:
        assert draw.left_at_advised >= draw.left * (1 - CLOSED)
        assert draw.rate_at_advised <= draw.rate * (1 + CLOSED)
    assert found.share == pytest.approx(min(d.left / d.left_at_advised for d in found.draws))
    assert found.moving == pytest.approx(np.sqrt(np.mean([d.left_at_advised**2 for d in found.draws])))
    # the same weights alone give the same first draws
    alone = eg.advise(D, others[0], data, FLOW, **settings)
    assert [d.best for d in alone.draws] == pytest.approx(list(bests[1]), rel=REFINED)


def test_samples_of_any_shape_are_flattened():
    image = lambda p, x: D(p, x[:, 0])  # noqa: E731
    found = eg.advise(image, PARAMS, Y[:, :, None], FLOW, batch_size=4, variations=False)
    assert found.asymptotic.best == pytest.approx(closed_form(BETA, 0.015, 0.3)[0], rel=CLOSED)


def test_advice_stays_a_factor_two_below_every_edge():
    """Steps so large that the mean of the best strengths is beyond what one draw stands; the scatter of the edges
    counts as well."""
    stiff = {k: 6 * v for k, v in PARAMS.items()}
    table = {"update": {"rule": "simultaneous"}, "discriminator": {"learning_rate": 0.3}, "generator": FREE}
    found = eg.advise(D, PARAMS, Y, table, batch_size=4, initialisations=[stiff], variations=False)
    edges = [draw.stable[1] for draw in found.draws]
    assert found.edge == min(edges) and found.stable[1] == found.edge
    assert 0 < found.best <= found.edge / 2 and found.share_of_edge == found.best / found.edge
    low, high = np.log(edges)
    scatter = np.exp((low + high) / 2 - 2 * abs(high - low) / np.sqrt(2))
    assert found.best <= scatter / 2 * (1 + ROUNDING)
    assert found.choice.limited and any("scatter over draws counted" in text for text in found.remarks)
    alone = eg.advise(D, stiff, Y, table, batch_size=4, variations=False)
    assert alone.best > 1.2 * found.best and alone.share_of_edge <= 0.5


def test_none_is_advised_where_nothing_helps():
    """Too short for any mode to turn over: R1 changes nothing yet."""
    found = eg.advise_from_gram(GRAM, 4, 2, FLOW, horizon=0.1, variations=False)
    assert found.best == 0 and found.left == found.left_without == pytest.approx(left_by_hand(0, 0.1), rel=ROUNDING)
    assert found.asymptotic.best > 1
    assert found.remarks[0].startswith("no R1 strength helps within 0.1 units of time")


def test_the_edge_of_stability_is_known_where_none_is_advised():
    """Alternating steps with weight decay: at the edge the largest modulus of the modes' own maps is 1."""
    eta, nu, M = 0.1, 0.5, 4
    tables = {"discriminator": {"learning_rate": eta}, "generator": {"learning_rate": eta} | FREE,
              "update": {"rule": "alternating"}, "penalty": {"weight_decay": nu}}  # fmt: skip
    found = eg.advise_from_gram(GRAM, 4, 2, tables, horizon=20, variations=False)

    def radius(strength):
        out = []
        for beta in BETA:
            a, mu = eta * (nu + strength * beta), eta * np.sqrt(beta / M)
            out.append(np.abs(np.linalg.eigvals([[1 - a, -mu], [mu * (1 - a), 1 - mu**2]])).max())
        return max(out)

    assert found.best == 0 and found.stable[0] == 0
    assert radius(found.edge * (1 - BISECTED)) < 1 < radius(found.edge * (1 + BISECTED))


def test_the_horizon_is_that_of_the_experiment_unless_given():
    exp = eg.Experiment(run={"steps": 77, "record_every": 7})
    found = eg.advise_from_gram(GRAM, 4, 2, exp, variations=False)
    assert found.horizon == 77 and "77 steps" in repr(found)
    again = eg.advise_from_gram(GRAM, 4, 2, {"run": {"steps": 77, "record_every": 7}}, variations=False)
    assert again.best == found.best
    for wrong in (0, -3, np.nan, np.inf, 0.5):
        with pytest.raises(InputError, match="horizon: must be a whole number of steps > 0"):
            eg.advise_from_gram(GRAM, 4, 2, exp, horizon=wrong)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.floats(0.2, 5.0), st.floats(0.2, 5.0))
def test_scalings(factor, size):
    """r1* as sqrt(eta_G / eta_D) and as 1 / |grad psi|; a float32 matrix says the same to its precision."""

    def best(eta_G, gram):
        tables = FLOW | {"generator": {"learning_rate": eta_G} | FREE}
        return eg.advise_from_gram(gram, 4, 2, tables, variations=False).asymptotic.best

    reference = best(0.2, GRAM)
    assert best(0.2 * factor, GRAM) == pytest.approx(np.sqrt(factor) * reference, rel=CLOSED)
    assert best(0.2, size**2 * GRAM) == pytest.approx(reference / size, rel=CLOSED)
    error = 8 * np.finfo(np.float32).eps * BETA[-1] / BETA[0]  # of beta_min
    assert best(0.2, GRAM.astype(np.float32)) == pytest.approx(reference, rel=error)


def test_too_large_for_a_scan_is_simplified_and_checked(monkeypatch):
    """Without kappa and the collective part the scan is that of the closed form; the check puts them back."""
    monkeypatch.setattr("egan_theory.advice.practice.SCAN_ROWS", 0)
    tables = FLOW | {"loss": {"kind": "logistic"}, "generator": {"learning_rate": 0.2, "kernel": {"ratio": 0.25}}}
    found = eg.advise_from_gram(GRAM, 4, 2, tables, horizon=50.0, variations=False)
    assert found.asymptotic.best == pytest.approx(closed_form(BETA, 0.015 / 4 * 0.75, 0.3)[0], rel=CLOSED)
    assert any("left out of the scan (checked" in a for a in found.assumptions)
    monkeypatch.undo()
    assert found.check is not None and found.check["the advised strength"] != pytest.approx(found.moving, rel=1e-3)
    exact = eg.advise_from_gram(GRAM, 4, 2, tables, horizon=50.0, variations=False)
    assert exact.check is None and exact.moving <= found.check["the advised strength"] * 1.01


def test_result_shows_itself(advice):
    data = json.loads(json.dumps(advice.to_dict(), allow_nan=False))
    assert data["best"] == advice.best and data["low"] is None and data["penalty"] == "r1"
    assert "(strength / 2) E_data |grad_x D|^2" in data["convention"]
    for key in ("horizon", "left", "left_without", "left_at_half", "left_at_double", "edge", "share_of_edge", "range"):
        assert key in data
    assert set(data["asymptotic"]) == {"best", "rate", "method"} and data["edge"] is data["share_of_edge"] is None
    assert "Advice: R1 strength for" in repr(advice) and "R1 strength" in advice._repr_html_()
    assert eg.plot.advice(advice).get_xlabel() == "R1 strength (length²)"
    assert advice.to_dataset()["predicted_left"].dims == ("draw", "strength")


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
    direct = eg.best_regularizer(exp, "r1")  # the network of the file itself at these points: the first draw
    assert found["draws"][0]["asymptotic"] == pytest.approx(direct.asymptotic.best, rel=CLOSED)
    assert found["draws"][0]["left"] == pytest.approx(direct.least, rel=REFINED)
    assert found["horizon"] == direct.horizon == 3000
    monkeypatch.setitem(sys.modules, "jax", None)  # of a Gram matrix it is not needed
    own = ["--gram", str(gram), "--points", "4", "--dimension", "2"]
    assert main(["advise", str(file), *own, "--horizon", "50", "--later", str(gram)]) == 0
    out = capsys.readouterr().out
    assert "R1 strength for 50 units of time" in out and "Within 50 units of time the theory brings" in out


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
    with pytest.raises(InputError, match=r"training\.target: must be one of generator"):
        eg.advise(D, PARAMS, Y, {"target": {}})
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
