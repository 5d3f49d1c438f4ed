"""What the commands of the package and of its papers share. Nothing heavy is imported."""
