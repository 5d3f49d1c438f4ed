"""Kernels of networks of infinite width: the tangent kernel of a discriminator, the two numbers of a generator."""
