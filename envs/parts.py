"""The parts that a task says its flat observation has."""

import math
from collections.abc import Mapping
from typing import Any

from genesis.errors import GenesisValueError

PRESENT = "_present"
"""Behind the name of a part of points (N, F): the name of the part (N,) that says which of them there are."""


def check_parts(parts: Mapping[str, tuple[int, ...]] | None, size: int) -> None:
    """Raises GenesisValueError unless the parts are of known shapes and together as long as an observation.

    Args:
        parts: See `DifferentiableVectorEnv.observation_parts`.
        size: Length O of an observation.
    """
    if parts is None:
        return
    remedy = "A part is (k,) numbers or (N, F) points; see DifferentiableVectorEnv.observation_parts."
    for name, shape in parts.items():
        if len(shape) not in (1, 2) or not all(_is_size(edge) for edge in shape):
            raise GenesisValueError(
                f"observation_parts[{name!r}] must be one or two whole numbers >= 1, got {shape!r}. {remedy}"
            )
    for name, shape in parts.items():
        points = parts.get(name.removesuffix(PRESENT)) if name.endswith(PRESENT) else None
        if points is not None and len(points) == 2 and tuple(shape) != (points[0],):
            raise GenesisValueError(
                f"observation_parts[{name!r}] must have a flag for each of {points[0]} points, got shape {shape!r}. "
                f"Make it ({points[0]},)."
            )
    total = sum(math.prod(shape) for shape in parts.values())
    if total != size:
        raise GenesisValueError(
            f"observation_parts must add up to the observation's {size} numbers, got {total} in {dict(parts)}. {remedy}"
        )


def _is_size(edge: Any) -> bool:
    return isinstance(edge, int) and not isinstance(edge, bool) and edge >= 1
