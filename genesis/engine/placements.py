"""In which environments a setter has moved something to another place, or has switched it on, since the last step."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

DRIVEN = 3
"""Steps in a row before which something has been set, from which on it is driven so, and has not been placed."""


class Placements:
    """What setters have placed before a step.

    Args:
        fields: By solver, the values that say where its bodies are.
        n_envs: B.
    """

    def __init__(self, fields: Mapping[str, Sequence[str]], n_envs: int) -> None:
        self._fields, self._n_envs = fields, n_envs
        self._now: dict[tuple[str, str, int], list[torch.Tensor | None]] = {}
        self._rows: dict[tuple[str, str, int], np.ndarray] = {}
        """(B,) of each value, and each body that has set its own part of it: before how many steps in a row."""

    def note(self, solver: str, name: str, begin: int, envs: torch.Tensor | None) -> None:
        """A setter writes a value from `begin` on, of environments (K,), None for all."""
        if name in self._fields.get(solver, ()):
            self._now.setdefault((solver, name, begin), []).append(envs)

    def note_all(self, envs: torch.Tensor | None) -> None:
        """All values are written."""
        for solver, names in self._fields.items():
            for name in names:
                self.note(solver, name, 0, envs)

    def take(self) -> np.ndarray | None:
        """(B,) bool, in which environments something has been placed; None for none. A step begins."""
        if not self._now:
            self._rows.clear()
            return None
        placed, before = np.zeros(self._n_envs, bool), self._rows
        self._rows = {}
        for key, noted in self._now.items():
            rows = np.zeros(self._n_envs, int)
            for envs in noted:
                rows[slice(None) if envs is None else envs.cpu().numpy()] = 1
            rows *= 1 + before.get(key, 0)
            placed |= (rows > 0) & (rows < DRIVEN)
            self._rows[key] = rows
        self._now.clear()
        return placed if placed.any() else None
