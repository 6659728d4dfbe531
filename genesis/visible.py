"""What can be seen of an entity: records that entities hand out and cameras draw. World frame, m.

A record says once what does not change; where it is at the moment comes from its function, called for every picture,
with a row for each of B environments. Colours are red, green and blue as displays take them, 0 … 1.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from genesis.meshes.triangles import TriangleMesh

Rgb = tuple[float, float, float]
Poses = Callable[[], tuple[torch.Tensor, torch.Tensor]]

FLOOR: tuple[Rgb, Rgb] = ((0.80, 0.82, 0.84), (0.70, 0.73, 0.76))
"""The two squares of a floor whose surface says nothing."""


KINDS = ("sphere", "capsule", "box", "cylinder", "ellipsoid", "hull", "mesh")
"""Of shapes: those of `loaders.parts.GEOM_KINDS`, and meshes."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A convex shape or a mesh, fixed to a frame."""

    kind: str
    """One of `KINDS`."""
    size: tuple[float, ...]
    """As of `loaders.parts.Geom`."""
    tint: Rgb
    name: str = ""
    """"": its kind and number."""
    frame: int = 0
    """Index of the frame that moves it."""
    pos: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """In the frame."""
    quat: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """w, x, y, z, in the frame."""
    vertices: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    """(n, 3) that a hull is spanned by."""
    mesh: TriangleMesh | None = None
    """Of a mesh; its middle should be its origin, for rays are bounded by a ball around that. One that several shapes
    have is kept once."""


@dataclass(frozen=True, eq=False)
class Solids:
    """Shapes on frames that move. F frames."""

    shapes: tuple[Shape, ...]
    poses: Poses
    """To positions (B, F, 3) and unit quaternions (B, F, 4), wxyz, of the frames."""
    frames: tuple[str, ...] = ()
    """Their names. Empty: one frame, the entity's own, with one shape."""


@dataclass(frozen=True, eq=False)
class Points:
    """A body of n particles."""

    n: int
    volume: float
    """Of each, m^3: how large it is drawn."""
    tint: Rgb
    positions: Callable[[], torch.Tensor]
    """To (B, n, 3)."""
    smooth: bool = False
    """Whether to draw the surface of the body rather than each particle."""


@dataclass(frozen=True, eq=False)
class Ground:
    """A plane, or a height field as of `loaders.parts.GroundGeom`."""

    places: Poses
    """To unit normals (B or 1, 3) and points of it (B or 1, 3), of a height field where it begins."""
    tints: tuple[Rgb, Rgb] = FLOOR
    """Of its two kinds of squares."""
    heights: np.ndarray | None = None
    """(nx, ny) m."""
    spacing: float = 0.0
    """m between heights."""


Visible = Solids | Points | Ground


def fixed_ground(normal: tuple[float, ...], pos: tuple[float, ...]) -> Poses:
    """Places of a ground that never moves."""
    places = tuple(torch.tensor([row], dtype=torch.float64) for row in (normal, pos))
    return lambda: (places[0], places[1])


def floor_tints(rgb: Rgb | None) -> tuple[Rgb, Rgb]:
    """The two squares of a floor of a colour; None: of none in particular."""
    if rgb is None:
        return FLOOR
    r, g, b = rgb
    return (r, g, b), (0.88 * r, 0.88 * g, 0.88 * b)
