"""What reading a model file gives, before it is compiled."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from genesis.loaders.visuals import Look


def _nothing(_model: Any) -> list[str]:
    return []


@dataclass(frozen=True)
class Reading:
    """MuJoCo's specification of a model, and what has to be said of its file.

    Attributes:
        spec: MuJoCo's.
        lost: what the file holds and `spec` does not: category of `refusals.WHEN_ALLOWED` -> names.
        losses: other sentences about what is not as the file says.
        repairs: what was mended, as "kind: what was done".
        told: gives further losses of the compiled model.
        looks: what is seen of bodies, if the file says it apart from what touches.
    """

    spec: Any
    lost: dict[str, list[str]] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    told: Callable[[Any], list[str]] = _nothing
    looks: list[Look] | None = None


def listed(names: list[str], most: int = 5) -> str:
    """Names in a sentence; of many the first."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + rest
