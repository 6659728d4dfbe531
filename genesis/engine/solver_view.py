"""`SolverView`: what users see of a solver of a built scene."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import torch

from genesis.engine.entities.base import Entity
from genesis.engine.failures import failed_rows
from genesis.engine.values import Values
from genesis.grad.tensor import plain_of
from genesis.public_engine import missing


@final
class SolverView:
    """One of `scene.solvers`. What it moves has setters and getters of its own, entity by entity."""

    def __init__(self, name: str, values: Values, entities: Sequence[Entity]) -> None:
        self.name = name
        """"mpm", "tool" or "rigid"."""
        self.entities = tuple(entities)
        """What it moves."""
        self._values = values

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise missing("SolverView", name)

    def __repr__(self) -> str:
        return f"<solver {self.name!r} of {len(self.entities)} entities>"

    @property
    def n_envs(self) -> int:
        """B."""
        return self._values.n_envs

    def get_state(self) -> Any:
        """Its part of `scene.get_state()`."""
        return self._values.state()[self.name]

    def get_error_envs_mask(self) -> torch.Tensor:
        """(B,) bool, plain: which environments have failed, and stand still until they are reset."""
        state = self.get_state()
        values = (value for value in vars(state).values() if isinstance(value, torch.Tensor))
        return failed_rows([plain_of(value.detach()) for value in values if value.is_floating_point()])
