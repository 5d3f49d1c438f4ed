"""A name that is nearly right: what was meant is offered, wherever names are looked up."""

import pytest

import egan_theory as eg
from egan_theory.base.errors import InputError
from egan_theory.base.spelling import nearest
from egan_theory.cli.app import main

SAID = [
    (lambda: eg.specturm, "spectrum"),
    (lambda: eg.damping, "plot.damping_ratio"),
    (lambda: eg.plot.damping, "damping_ratio"),
    (lambda: eg.solvable.simulate, "simulate_sgd"),
    (lambda: eg.guide("own_run"), "own_runs"),
    (lambda: eg.new("gird"), "grid"),
    (lambda: eg.Experiment(pentalty={}), "penalty"),
    (lambda: eg.Experiment(loss={"kind": "wasserstien"}), "wasserstein"),
    (lambda: eg.Experiment(run={"start": "randon"}), "random"),
    (lambda: eg.Experiment(update={"rule": "simultanous"}), "simultaneous"),
    (lambda: eg.Experiment(discriminator={"kernel": "gausian"}), "gaussian"),
    (lambda: eg.Experiment(target={"kind": "rings"}), "ring"),
    (lambda: eg.Experiment().get("generator.kernel.ration"), "ratio"),
    (lambda: eg.Experiment().replace({"penalty.weight_deca": 1.0}), "weight_decay"),
    (lambda: eg.best_regularizer(eg.Experiment(), "weight"), "weight_decay"),
    (lambda: eg.thresholds(eg.Experiment(), "penalty.r1", mechanisms=["colapse"]), "collapsed state"),
]


@pytest.mark.parametrize(("asked", "meant"), SAID, ids=[meant for _, meant in SAID])
def test_the_name_that_was_meant_is_offered(asked, meant):
    with pytest.raises((InputError, AttributeError)) as refused:
        asked()
    assert str(refused.value).endswith(f"(did you mean '{meant}'?)") and "\n" not in str(refused.value)


def test_nothing_is_offered_for_what_is_not_close():
    assert nearest("nothing", ["ring", "grid"]) == nearest(3, ["ring"]) == nearest("ring" * 100, ["ring"]) == ""
    for ask in (lambda: eg.frobnicate, lambda: eg.guide("frobnicate"), lambda: eg.Experiment(frobnicate={})):
        with pytest.raises((InputError, AttributeError), match=r"frobnicate'$"):
            ask()
    assert not hasattr(eg, "_repr_html_") and not hasattr(eg.plot, "_repr_html_")


def test_a_word_that_is_no_topic_leads_to_the_topic_that_speaks_of_it(capsys):
    assert main(["guide", "thresholds"]) == 2
    assert capsys.readouterr().err.endswith("found 'thresholds' ('predictions' speaks of it)\n")


def test_a_command_that_is_nearly_one_is_offered(capsys):
    assert main(["specturm"]) == 2 and "'spectrum'" in capsys.readouterr().err
