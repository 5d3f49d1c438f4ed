"""The callback of Lightning, on a stub of its protocol, and on Lightning itself where it is installed."""

import sys
import types

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError, MissingExtra
from egan_theory.monitoring.lightning import PACKAGES, first
from tests.monitoring.doubles import Network
from tests.monitoring.test_monitor import monitor


@pytest.fixture(params=[PACKAGES[:1], PACKAGES[1:], PACKAGES])
def stub(request, monkeypatch):
    """Lightning's module, its old name, or both, with nothing but a Callback of their own."""
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)
        if name in request.param:
            module = types.ModuleType(name)
            module.Callback = type("Callback", (), {"origin": name})
            monkeypatch.setitem(sys.modules, name, module)
        else:
            monkeypatch.delitem(sys.modules, name)
            monkeypatch.setattr(sys, "meta_path", [Missing(name), *sys.meta_path])
    return [sys.modules[name].Callback for name in request.param]


class Missing:
    """An importer that does not find one package."""

    def __init__(self, name):
        self.name = name.split(".")[0]

    def find_spec(self, name, *_):
        if name.split(".")[0] == self.name:
            raise ImportError(name)


class Trainer:
    """Calls what Lightning calls, in its order."""

    def __init__(self, callback, batches, failing=None, is_global_zero=True):
        self.callback, self.batches, self.failing = callback, batches, failing
        self.is_global_zero, self.callback_metrics, self.optimizers = is_global_zero, {}, []

    def fit(self, state=None):
        if state is not None:
            self.callback.load_state_dict(state)
        try:
            for i in range(self.batches):
                if i == self.failing:
                    raise KeyboardInterrupt
                self.callback_metrics = {"d": float(i), "loss_generator": 1.0, "fid": 3.0}
                self.callback.on_train_batch_end(self, None, None, (np.zeros((3, 2)), ["label"]), i)
        except KeyboardInterrupt as error:
            self.callback.on_exception(self, None, error)
        else:
            self.callback.on_train_end(self, None)


def callback(path, resume=False, **settings):
    nets = Network(1.0, 0.0), Network(0.0, 2.0)
    return monitor(path, *nets, data=None, resume=resume).callback(loss_discriminator="d", scalars=("fid",), **settings)


def test_the_callback_records_what_a_loop_does(stub, tmp_path):
    made = callback(tmp_path / "r.nc")
    assert all(isinstance(made, base) for base in stub)
    Trainer(made, 25).fit()
    run = eg.open_runs(tmp_path / "r.nc")
    assert run.attrs["status"] == "finished" and run["time"].values[[0, -1]].tolist() == [1, 25]
    assert np.isfinite(run["multiplier_re"][0, :, 0]).sel(time=[1, 10, 20]).all()
    assert run["loss_discriminator"].values[0, 0] == 0 and np.all(run["fid"] == 3)


def test_checkpoints_keep_the_count(stub, tmp_path):
    made = callback(tmp_path / "r.nc")
    Trainer(made, 25, failing=20).fit()
    assert eg.open_runs(tmp_path / "r.nc").attrs["status"] == "interrupted" and made.state_dict() == {"batches": 20}
    again = callback(tmp_path / "r.nc", resume=True)
    Trainer(again, 15).fit({"batches": 12})
    run = eg.open_runs(tmp_path / "r.nc")
    assert run["time"].values[-1] == 27 and run.attrs["rewound"] == "cut back from step 20 to step 12"


def test_other_processes_record_nothing(stub, tmp_path):
    Trainer(callback(tmp_path / "r.nc"), 5, is_global_zero=False).fit()
    assert list(tmp_path.iterdir()) == []


def test_without_lightning_it_is_said_what_to_install(tmp_path, monkeypatch):
    for name in PACKAGES:
        for part in (name, name.split(".")[0]):
            monkeypatch.delitem(sys.modules, part, raising=False)
        monkeypatch.setattr(sys, "meta_path", [Missing(name), *sys.meta_path])
    with pytest.raises(MissingExtra, match="pip install lightning"):
        callback(tmp_path / "r.nc")


def test_the_data_of_a_batch_is_its_first_tensor():
    x = np.zeros(3)
    assert first(x) is x and first([x, 1]) is x and first(((x, 2), 3)) is x


def test_optimizers_are_found_by_their_weights():
    torch = pytest.importorskip("torch")
    from egan_theory.monitoring.lightning import owners

    D, G = torch.nn.Linear(2, 1), torch.nn.Linear(2, 2)
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.1) for net in (G, D)]
    found = types.SimpleNamespace(players=(D, G)), types.SimpleNamespace(optimizers=optimizers)
    assert owners(*found) == (optimizers[1], optimizers[0])
    found[1].optimizers = optimizers[:1]
    with pytest.raises(InputError, match="optimizer of D: must be one of the trainer's, but found 0"):
        owners(*found)


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.filterwarnings("ignore")
def test_with_lightning_itself(name, tmp_path):
    """Training as Lightning's users write it, interrupted, and continued from its checkpoint."""
    pl = pytest.importorskip(name)
    torch = pytest.importorskip("torch")

    class Gan(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.D, self.G = torch.nn.Linear(2, 1), torch.nn.Linear(2, 2)

        def configure_optimizers(self):
            return [torch.optim.Adam(net.parameters(), lr=1e-3) for net in (self.G, self.D)], []

        def training_step(self, batch, _):
            opt_G, opt_D = self.optimizers()
            softplus = torch.nn.functional.softplus
            x, made = batch[0], self.G(torch.randn(8, 2))
            for opt, loss, key in (
                (opt_D, lambda: (softplus(-self.D(x)) + softplus(self.D(made.detach()))).mean(), "d"),
                (opt_G, lambda: softplus(-self.D(made)).mean(), "loss_generator"),
            ):
                opt.zero_grad()
                value = loss()
                self.manual_backward(value)
                opt.step()
                self.log(key, value)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(64, 2), torch.zeros(64)), 8)

    def fit(gan, epochs, checkpoint=None, **settings):
        monitor = eg.Monitor(gan.D, gan.G, loss="non_saturating", latents=torch.randn(4, 2), path=tmp_path / "r.nc",
                             every=5, say=None, **settings)  # fmt: skip
        made = monitor.callback(loss_discriminator="d")
        assert isinstance(made, pl.Callback)
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
        trainer = pl.Trainer(max_epochs=epochs, callbacks=[made], enable_checkpointing=False, **quiet)
        trainer.fit(gan, data, ckpt_path=checkpoint)
        return trainer

    trainer = fit(Gan(), 2)
    trainer.save_checkpoint(tmp_path / "c.ckpt")
    run = eg.open_runs(tmp_path / "r.nc")
    assert run.attrs["status"] == "finished" and "notes" not in run.attrs and run["time"].values[-1] == 16
    assert np.isfinite(run["multiplier_re"][0, :, 0]).sel(time=[1, 5, 10, 15]).all()
    assert np.isfinite(run["loss_discriminator"]).all() and np.isfinite(run["loss_generator"]).all()
    fit(Gan(), 3, str(tmp_path / "c.ckpt"), resume=True)
    assert eg.open_runs(tmp_path / "r.nc")["time"].values[-1] == 24
