"""How the event files of this folder were made, by tensorboard 2.21 and torch 2.13 (``torch.utils.tensorboard``):

    python tests/runs/logs/make_events.py tests/runs/logs/events

Each file events.out.tfevents.TIME.HOST.PROCESS.N was then renamed to events.N.tfevents.

``torch/`` is a training that logs until step 9, goes on from a checkpoint at step 5 with the discriminator's loss
lowered by 1, logs to curves by ``add_scalars``, a histogram and a text, and is not finite from step 12 on.
``tensors/`` has the tensor events of TensorFlow 2, of float32 (as raw bytes and as a list), float64 and int64, from
tensorboard's own functions.
"""

from __future__ import annotations

import sys
from pathlib import Path


def with_torch(folder: Path) -> None:
    import torch
    from torch.utils.tensorboard import SummaryWriter

    for begin, end, shift in ((0, 10, 0.0), (5, 15, 1.0)):
        with SummaryWriter(str(folder), purge_step=begin or None) as writer:
            for step in range(begin, end):
                lost = float("nan") if step >= 12 else 0.0
                writer.add_scalar("Loss/D", 2 - 0.125 * step - shift + lost, step, walltime=1.7e9 + step + 100 * shift)
                writer.add_scalar("Loss/G", 1 + 0.125 * step + lost, step, walltime=1.7e9 + step + 100 * shift)
                if step % 4 == 0:
                    writer.add_scalar("fid", 50.0 - step, step, walltime=1.7e9 + step + 100 * shift)
            writer.add_scalars("score", {"real": 0.75, "fake": 0.25}, end, walltime=1.7e9 + end + 100 * shift)
            writer.add_histogram("weights", torch.arange(3.0), end)
            writer.add_text("note", "nothing", end)


def with_tensors(folder: Path) -> None:
    import numpy as np
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.scalar import metadata
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util import tensor_util

    writer = EventFileWriter(str(folder))
    about = metadata.create_summary_metadata(display_name="", description="")
    for step in range(6):
        values = {"raw": np.float32(step / 4), "double": np.float64(step / 3), "whole": np.int64(-step)}
        made = [(tag, tensor_util.make_tensor_proto(v)) for tag, v in values.items()]
        listed = tensor_util.make_tensor_proto(np.float32(0))
        listed.ClearField("tensor_content")
        listed.ClearField("float_val")
        listed.float_val.append(step / 8)
        for tag, tensor in (*made, ("d_loss", listed), ("vector", tensor_util.make_tensor_proto(np.zeros(3, "f4")))):
            value = Summary.Value(tag=tag, tensor=tensor, metadata=about)
            writer.add_event(Event(wall_time=1.7e9 + step, step=step, summary=Summary(value=[value])))
    writer.close()


if __name__ == "__main__":
    with_torch(Path(sys.argv[1]) / "torch")
    with_tensors(Path(sys.argv[1]) / "tensors")
