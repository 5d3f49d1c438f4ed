"""Runs recorded from any training loop, chunk by chunk, so that a killed process loses at most the last of them.

    writer = RunWriter("runs.nc", experiment)
    with writer:
        for step in range(...):
            writer.log(step, particles)

In PyTorch, with ``z`` the fixed latents that the particles are the images of:

    exp = eg.Experiment.from_toml("experiment.toml")
    with eg.RunWriter("runs.nc", exp) as writer:
        for step in range(steps + 1):
            if step % 10 == 0:
                writer.log(step, generator(z),
                           loss_discriminator=loss_d, loss_generator=loss_g,
                           parameters_discriminator=torch.nn.utils.parameters_to_vector(discriminator.parameters()))
            loss_d, loss_g = train_step()

(JAX: ``jax.flatten_util.ravel_pytree(parameters)[0]``.) Neither library is imported here.
"""

from .parts import WriteError
from .writer import RunWriter

__all__ = ["RunWriter", "WriteError"]
