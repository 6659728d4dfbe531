"""Configurations whose constraints stand beside their fields."""

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

from agents.core import encoders
from agents.core.constraints import Constraint, check_constraints

T = TypeVar("T")


def bounded(default: T, constraint: Constraint) -> T:
    """A field of a `Config`: its default, and what its values must do."""
    field: Any = dataclasses.field(default=default, metadata={"law": constraint})
    return field


@dataclass(frozen=True)
class Config:
    """Abstract: hyper-parameters, each with a line of help under it."""

    def __post_init__(self) -> None:
        """Raises GenesisValueError where a field violates its constraint."""
        check_constraints(self, {x.name: x.metadata["law"] for x in dataclasses.fields(self) if "law" in x.metadata})


@dataclass(frozen=True)
class NetConfig(Config):
    """Abstract: of an agent with nets that see observations."""

    encoder: str = "points"
    """What makes a code of points, where a task's observations have some: a name in `agents.core.encoders`."""

    def __post_init__(self) -> None:
        """Raises GenesisValueError where a field violates its constraint, GenesisKeyError for an unknown encoder."""
        super().__post_init__()
        encoders.find(self.encoder)
