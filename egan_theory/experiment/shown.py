"""How an experiment shows itself: what it is in a line, and what differs from the built-in one."""

from __future__ import annotations

from typing import Any, ClassVar

from ..base.shown import Shown


class ShownExperiment(Shown):
    """What ``Experiment`` shows in a terminal and in a notebook."""

    MORE: ClassVar[str] = "print(exp.to_toml()): every field"

    def headline(self: Any) -> str:
        g, d, M = self.generator, self.discriminator, len(self.points.weights)
        kernel = "network" if d.network else getattr(d.kernel, "name", d.kernel)
        features = f"of {d.features} features" if d.features else "exact"
        return (
            f"{self.target.kind}, {M} point{'s' * (M > 1)}; {g.particles} particles; D {kernel} {features}; "
            f"{self.loss.kind}; {self.update.rule}"
        )

    def grid(self: Any) -> tuple[tuple[str, ...], list[tuple[str, Any]]]:
        """What differs from ``Experiment()``."""
        return (), list(self.changed(type(self)()).items()) or [("all fields", "as by default")]

    def _details(self: Any) -> dict[str, Any]:
        data = {name: getattr(self, name).model_dump(mode="json") for name in type(self).model_fields}
        return {f"{table}.{name}": value for table, fields in data.items() for name, value in fields.items()}


__all__ = ["ShownExperiment"]
