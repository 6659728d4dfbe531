"""What a viewer sees and no body feels: balls and rods that mark goals and directions."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch

from genesis.checks import number
from genesis.convert import constants
from genesis.errors import GenesisKeyError, GenesisValueError
from genesis.math import quaternion
from genesis.render.stage import Shapes
from genesis.surfaces import rgb_of
from genesis.visible import Shape

_UP = np.array([[0.0, 0.0, 1.0]])


@dataclass(eq=False)
class Marker:
    """One mark; hand it to `scene.clear_debug_object`."""

    kind: str
    pos: np.ndarray
    """(B or 1, 3) m, world frame."""
    along: np.ndarray
    """(B or 1, 3): the direction of its z axis."""
    size: np.ndarray
    """(B or 1, 3) as of `loaders.parts.Geom`."""
    color: tuple[float, float, float]


@final
class Markers:
    """The marks of a scene."""

    def __init__(self) -> None:
        self._marks: list[Marker] = []

    def ball(self, pos: Any, radius: float, color: Any, n_envs: int) -> Marker:
        """A ball at `pos` (3,) or (B, 3)."""
        size = np.array([[number("radius", radius, 0.0), 0.0, 0.0]])
        return self._add(Marker("sphere", _rows("pos", pos, n_envs), _UP, size, rgb_of("color", color)))

    def rod(self, start: Any, end: Any, radius: float, color: Any, n_envs: int) -> Marker:
        """A cylinder between two points, each (3,) or (B, 3)."""
        start, end = _rows("start", start, n_envs), _rows("end", end, n_envs)
        half = np.linalg.norm(end - start, axis=1, keepdims=True) / 2
        size = np.concatenate([np.full_like(half, number("radius", radius, 0.0)), half, 0 * half], 1)
        return self._add(Marker("cylinder", (start + end) / 2, end - start, size, rgb_of("color", color)))

    def _add(self, mark: Marker) -> Marker:
        self._marks.append(mark)
        return mark

    def clear(self, mark: Marker | None = None) -> None:
        """Remove one mark, or all."""
        if mark is None:
            self._marks.clear()
        elif any(mark is mine for mine in self._marks):
            self._marks = [mine for mine in self._marks if mine is not mark]
        else:
            raise GenesisKeyError(f"object must be a debug object of this scene, got {mark!r}. It may be gone already.")

    def solids(self, env: int) -> tuple[Shapes, torch.Tensor, torch.Tensor]:
        """Those of one environment, with centres (k, 3) and quaternions (k, 4)."""
        solids, pos, quat = Shapes(), [], []
        for mark in self._marks:
            place, axis, size = (value[min(env, len(value) - 1)] for value in (mark.pos, mark.along, mark.size))
            length = float(np.linalg.norm(axis))
            if np.isfinite(place).all() and length > 0:
                solids.add(Shape(mark.kind, tuple(size.tolist()), mark.color), -1)
                pos.append(place)
                quat.append(quaternion.from_z_axis(tuple(axis.tolist())))
        return (
            solids,
            torch.as_tensor(np.array(pos).reshape(-1, 3)),
            torch.tensor(quat, dtype=torch.float64).reshape(-1, 4),
        )


def _rows(name: str, value: Any, n_envs: int) -> np.ndarray:
    rows = np.atleast_2d(constants(name, value))
    if rows.shape not in ((1, 3), (n_envs, 3)):
        raise GenesisValueError(f"{name} must have shape (3,) or ({n_envs}, 3), got {np.shape(value)}. Mend it.")
    return rows
