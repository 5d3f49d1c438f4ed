"""What is no game, in PyTorch: one line each, that names what must hold and what was found."""

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError

torch = pytest.importorskip("torch")
nn = torch.nn
X, Z = np.random.default_rng(0).standard_normal((6, 2)), np.random.default_rng(1).standard_normal((6, 4))
SWAPPED = r"; D runs on them: are D and G, or data and latents, swapped\?"
SHAPES = "RuntimeError: mat1 and mat2 shapes"
MOVES = "that gradients follow to its weights"
ENDS = r"none \(detach\(\), no_grad, numpy\(\) or item\(\) in it\?\)"
SAMPLES = "data: must be a tensor or array of samples, or a list of such mini-batches"


class Net(nn.Module):
    """A linear map, and what is done to it."""

    def __init__(self, n, m, then=lambda y: y, before=lambda x: x):
        super().__init__()
        self.linear, self.then, self.before = nn.Linear(n, m), then, before

    def forward(self, x):
        return self.then(self.linear(self.before(x)))


def fails(*_):
    raise KeyError("no label")


def optimizers(D, G):
    return tuple(torch.optim.SGD(net.parameters(), lr=0.02) for net in (D, G))


def made(D=None, G=None, prepare=lambda D, G: None, **given):
    torch.manual_seed(0)
    D, G = D or Net(2, 1), G or Net(4, 2)
    told = {"loss": "wasserstein", "data": X, "latents": Z, "optimizers": optimizers(D, G)}
    prepare(D, G)
    return eg.game(D, G, **(told | given))


def nan(D, G):
    D.linear.weight.data[0, 0] = float("nan")


def moved(*names):
    return lambda D, G: [{"D": D, "G": G}[name].to("meta") for name in names]


def losses(D=lambda r, f: f.mean() - r.mean(), G=lambda r, f: -f.mean()):
    return D, G


def loader(n=6):
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.from_numpy(X[:n])), batch_size=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(D=Net(4, 2), G=Net(2, 1)),
         rf"G: must run on the latents, of shape \(6, 4\), but found {SHAPES}.*{SWAPPED}"),
        (dict(data=Z, latents=X), rf"G: must run on the latents, of shape \(6, 2\), but found {SHAPES}.*{SWAPPED}"),
        (dict(latents=Z[:, :3]), rf"G: must run on the latents, of shape \(6, 3\), but found {SHAPES}[^;]*$"),
        (dict(data=X[:, :1]), r"G: must make samples of the shape of the data, \(1,\), but found \(6, 2\)"),
        (dict(G=Net(4, 2, fails)), "G: must run on the latents, .*KeyError: 'no label'"),
        (dict(D=Net(3, 1)), rf"D: must run on the data, of shape \(6, 2\), but found {SHAPES}"),
        (dict(G=Net(4, 2, lambda y: y.detach())), f"G: must give samples {MOVES}, but found {ENDS}"),
        (dict(G=Net(4, 2, torch.no_grad()(lambda y: y * 1))), f"G: must give samples {MOVES}, but found {ENDS}"),
        (dict(D=Net(2, 1, lambda y: y.detach())), f"D: must give scores {MOVES} and samples, but found {ENDS}"),
        (dict(D=Net(2, 1, before=lambda x: x.detach())), "D: must depend on its samples, .* detached"),
        (dict(D=Net(2, 1, lambda y: y.mean())), r"D: must give a score for each of the 6 samples, but found \(\)"),
        (dict(prepare=nan), "D, G: must have finite weights"),
        (dict(prepare=lambda D, G: G.requires_grad_(False)), "G: must have weights .*none that asks for a gradient"),
        (dict(prepare=moved("G")), "G: must have weights with values .* but the device meta"),
        (dict(prepare=moved("D", "G")), "D: must have weights with values .* but the device meta"),
        (dict(data=torch.ones(6, 2, device="meta")), "data: must have values, but the device meta"),
        (dict(data=loader()), rf"{SAMPLES} \(of a loader: \[x for x, _ in loader\]\), but found DataLoader"),
        (dict(data=loader(0)), f"{SAMPLES}.*DataLoader"),
        (dict(data=loader().dataset), f"{SAMPLES}.*TensorDataset"),
        (dict(data=(x for x in [X])), f"{SAMPLES}.*generator"),
        (dict(data="mnist"), f"{SAMPLES}, but found str"),
        (dict(data=X * 1j), "data: must hold real numbers, but found ndarray of complex"),
        (dict(data=torch.ones(6, 2, dtype=torch.complex64)),
         "data: must hold real numbers, but found Tensor of complex"),
        (dict(data=[], latents=[]), "data: must hold one mini-batch at least"),
        (dict(data=X[:0], latents=Z[:0]), "data: must hold samples"),
        (dict(loss=losses(D=lambda r, f: (f - r).mean().detach())),
         "loss of D: must depend on the scores.* a constant"),
        (dict(loss=losses(G=lambda r, f: f.mean().detach())), "loss of G: must depend on the scores.* a constant"),
        (dict(loss=losses(G=lambda r, f: r.mean())),
         "loss of G: must depend on the scores of generated samples, the sec"),
        (dict(loss=losses(D=lambda r, f: f - r)), "loss: must give one number for a batch"),
        (dict(loss=losses(D=lambda r, f: f.mean().item())), "loss: must give one number .*found float"),
        (dict(loss=losses(D=fails)), r"loss: must run on \(real, fake\) scores, but found KeyError: 'no label'"),
        (dict(loss=losses(D=lambda r: r.mean())), "loss of D: must take two arguments"),
        (dict(optimizers=(None, None)), r"optimizers \(D\): must be one of .*NoneType"),
        (dict(optimizers=None), r"optimizers: must be those of D and of G, \(opt_D, opt_G\), but found NoneType"),
        (dict(optimizers=optimizers(Net(2, 1), Net(4, 2))),
         "D: must have weights .* 2 that the optimiser does not have"),
    ],
)  # fmt: skip
def test_what_is_no_game_is_said_in_one_line(given, said):
    with pytest.raises(InputError, match=said) as caught:
        made(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("do", "said"),
    [
        (lambda: made().kernel(probes="x"), "probes: must be a whole number of at least 2"),
        (lambda: made().spectrum("many"), "products: must be a whole number"),
        (lambda: eg.advise(made(), horizon=100, products=0),
         "products: must be a whole number of at least 1, but found 0"),
        (lambda: eg.advise(Net(2, 1), {}, X), r"D: must be a game, eg.game\(D, G, ...\), or .* but found Net"),
        (lambda: eg.advise(None, horizon=100), "D: must be a game, .* but found NoneType"),
        (lambda: eg.advise(np.tanh, {}, X, "adam"),
         "training: must be an experiment, or tables of one.* but found str"),
        (lambda: eg.advise(np.tanh, {}, X, batch_size="x"), "batch_size: must be a whole number of at least 1"),
        (lambda: eg.place(Net(2, 1)), r"G: must be a game, eg.game\(D, G, ...\), or kernel numbers, but found Net"),
        (lambda: eg.place("game", None, X), "G: must be a game, .* but found str"),
        (lambda: eg.place(made(), {"loss": {"kind": "hinge"}}, X, points="x"),
         "points: must be a whole number from 2 to"),
        (lambda: eg.kernel_numbers(None, Z), "G: must be a game, a torch.nn.Module, or .* but found NoneType"),
        (lambda: eg.kernel_numbers(Net(4, 2), X),
         rf"G: must run on the latents, of shape \(6, 2\), but found {SHAPES}"),
        (lambda: eg.kernel_numbers(Net(4, 2), Z[:0]), "latents: must hold samples"),
        (lambda: eg.kernel_numbers(Net(4, 2), "z"), "latents: must be a tensor or array of samples"),
        (lambda: monitor(path=None), "path: must be the name of a file, but found None"),
        (lambda: monitor(parts=5), "parts: must be some of"),
        (lambda: monitor(say="yes"), "say: must be a function of one line"),
        (lambda: monitor(every_=5), "every_: must be an argument of Monitor, or of eg.game: precision"),
        (lambda: eg.plot.game_scan(5), r"spectrum: must be that of a game, game.spectrum\(scan=\"r1\"\), or its scan"),
    ],
)  # fmt: skip
def test_what_is_asked_wrongly_is_said_in_one_line(do, said):
    with pytest.raises(InputError, match=said) as caught:
        do()
    assert "\n" not in str(caught.value)


def monitor(**given):
    return eg.Monitor(Net(2, 1), Net(4, 2), **({"loss": "hinge", "latents": Z, "path": "unused.nc"} | given))


def test_a_few_of_them_always():
    """Those that happen first to people; the others are slow together."""
    for given, said in (
        (dict(D=Net(4, 2), G=Net(2, 1)), SWAPPED),
        (dict(G=Net(4, 2, lambda y: y.detach())), ENDS),
        (dict(data=loader()), "found DataLoader"),
        (dict(loss=losses(G=lambda r, f: r.mean())), "the second argument"),
    ):
        with pytest.raises(InputError, match=said):
            made(**given)
