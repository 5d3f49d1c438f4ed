"""Training of networks of finite width, in JAX (the extra ``networks``), recorded as the particle model is."""
