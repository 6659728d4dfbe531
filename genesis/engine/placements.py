"""In which environments a setter has moved something to another place, or has switched it on, since the last step."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

DRIVEN = 3
"""Steps in a row before which something has been set, from which on it is driven so, and has not been placed."""
MANY = 256
"""Sets of environments that are noted one by one, at most."""
STATE = ""
"""A value, of all that a state has."""


class Placements:
    """What setters have placed before a step.

    Args:
        fields: By solver, the values that say where its bodies are.
        n_envs: B.
    """

    def __init__(self, fields: Mapping[str, Sequence[str]], n_envs: int) -> None:
        self._fields, self._n_envs = fields, n_envs
        self._now: dict[tuple[str, str, int], list[torch.Tensor | None]] = {}
        self._resets: list[torch.Tensor | None] = []
        self._rows: dict[tuple[str, str, int], np.ndarray] = {}
        """(B,) of each value, and each body that has set its own part of it: before how many steps in a row."""

    def note(self, solver: str, name: str, begin: int, envs: torch.Tensor | None) -> None:
        """A setter writes a value from `begin` on, of environments (K,), None for all."""
        if name in self._fields.get(solver, ()):
            _add(self._now.setdefault((solver, name, begin), []), envs)

    def note_reset(self, envs: torch.Tensor | None, loaded: bool) -> None:
        """Environments begin again, from a state that has been loaded, or that of build time: no motion goes on."""
        if self._fields:
            _add(self._resets, envs)
        for solver in self._fields if loaded else ():
            _add(self._now.setdefault((solver, STATE, 0), []), envs)

    def take(self) -> dict[str, np.ndarray]:
        """By solver (B,) bool, in which environments something of it has been placed, if in any. A step begins."""
        if not self._now:
            self._rows.clear()
            self._resets.clear()
            return {}
        placed: dict[str, np.ndarray] = {}
        before, self._rows = self._rows, {}
        begun = self._among(self._resets)
        for (solver, name, begin), noted in self._now.items():
            old = before.get((solver, name, begin), np.zeros(self._n_envs, int))
            if name != STATE:
                old = np.where(begun, 0, old)
            rows = np.where(self._among(noted), old + 1, 0)
            self._rows[solver, name, begin] = rows
            new = (rows > 0) & (rows < DRIVEN)
            if new.any():
                placed[solver] = placed.get(solver, False) | new
        self._now.clear()
        self._resets.clear()
        return placed

    def _among(self, noted: Sequence[torch.Tensor | None]) -> np.ndarray:
        """(B,) bool, of which environments something has been noted."""
        among = np.zeros(self._n_envs, bool)
        for envs in noted:
            among[slice(None) if envs is None else envs.cpu().numpy()] = True
        return among


def _add(noted: list[torch.Tensor | None], envs: torch.Tensor | None) -> None:
    """Note environments, without end if no step is made."""
    if envs is None:
        noted[:] = [None]
    elif not noted or noted[0] is not None:
        noted.append(envs)
        if len(noted) > MANY:
            noted[:] = [torch.cat([each for each in noted if each is not None]).unique()]
