"""Figures of a measured generator kernel and of its place among the thresholds."""

from dataclasses import replace

import numpy as np
import pytest

import egan_theory as eg
from egan_theory.games.generators import GeneratorMap
from egan_theory.games.kernel import measured
from egan_theory.show import style
from tests.advice.test_place import experiment, game_of, located


@pytest.mark.parametrize("sign", [1, -1])
def test_kernel_is_drawn_beside_its_two_numbers(sign):
    rng = np.random.default_rng(0)
    J = rng.standard_normal((6 * 2, 40))
    J = J + np.tile(rng.standard_normal((2, 40)), (6, 1)) if sign > 0 else J - J.reshape(6, 2, 40).mean(0).repeat(6, 0)
    numbers = measured([GeneratorMap(6, 2, 40, lambda v: (J @ v).reshape(6, 2), lambda u: J.T @ u.ravel())])
    with style.detached():
        ax = eg.plot.kernel(numbers)
    image = ax.images[0].get_array()
    assert np.allclose(image[:, :6], numbers.traces / numbers.g1)
    assert np.allclose(np.diag(image[:, -6:]), 1) and image[0, -1] == pytest.approx(numbers.ratio)
    assert f"{numbers.share:.0%}" in ax.get_legend().get_title().get_text()


def test_ratio_is_drawn_among_the_thresholds():
    exp = experiment(0.3)
    found = replace(located(game_of(exp), exp), stderr=0.02, share=0.31)
    with style.detached():
        ax = eg.plot.place(found)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[:2] == ["stays at rest", "does not stay at rest"] and "31% of the kernel" in labels[2]
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches]
    assert spans == [pytest.approx((0, found.nearest)), pytest.approx((found.nearest, 1))]
    none = replace(found, found=replace(found.found, values=(), unstable_side=(), margin=0.1))
    with style.detached():
        ax = eg.plot.place(none)
    assert ax.get_legend().get_texts()[0].get_text() == "does not stay at rest"
