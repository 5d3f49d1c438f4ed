"""What was built at given arrays, kept while it is small: the latest first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np

Array = np.ndarray


class Kept:
    """Values by key and by the contents of arrays; the oldest go when their sizes sum to more than ``most`` bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._entries: OrderedDict[int, tuple[Hashable, tuple[Array, ...], Any, int]] = OrderedDict()
        self._next = 0

    def get(self, key: Hashable, *arrays: Array) -> Any:
        """The value kept for the key at arrays of these contents, or None."""
        for number, (kept_key, kept, value, _) in reversed(self._entries.items()):
            if kept_key == key and all(map(_same, kept, arrays)):
                self._entries.move_to_end(number)
                return value
        return None

    def put(self, key: Hashable, value: Any, size: int, *arrays: Array) -> bool:
        """Keep the value, of ``size`` bytes; whether it is."""
        if size > self.most:
            return False
        own = tuple(a.copy() if a.flags.writeable else a for a in arrays)
        self._entries[self._next] = (key, own, value, size)
        self._next += 1
        while sum(entry[3] for entry in self._entries.values()) > self.most:
            self._entries.popitem(last=False)
        return True


def _same(kept: Array, given: Array) -> bool:
    return kept is given or np.array_equal(kept, given)
