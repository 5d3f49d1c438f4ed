"""The two-Gaussian interval GAN (Li, Madry, Peebles, Schmidt 2018, arXiv:1706.09884).

Generator 1/2 N(mu_1, 1) + 1/2 N(mu_2, 1), data with means (-1, 1); the discriminator D is the indicator of two
intervals with ends e = (l_1, r_1, l_2, r_2), l_1 <= r_1 <= l_2 <= r_2, and

    L = E_p[D] + E_q[1 - D] = 1 + P(S) - Q(S),   max over S: 1 + TV(p, q)

    from . import Training, random_starts, train
    train(Training(discriminator="optimal"), random_starts(seed=0, count=100)).tv[:, -1]
"""

from ...base.public import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__, "eg.two_gaussian")
