"""Logs of other tools in the run schema: TensorBoard, W&B, MLflow, CSV. One module and one entry per format."""
