"""Tangent features of networks of finite width, in JAX (the extra ``networks``), and the networks themselves.

Nothing here is imported before an experiment asks for a network: ``discriminator.architecture.width`` or
``generator.architecture.width`` above 0. All numbers are doubles within this room; JAX's own default stays as it is.
"""
