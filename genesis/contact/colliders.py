"""`Colliders`: the record in which moving bodies say where they are, and matter says how it pushed them.

A collider is a shape that moves with a body. Bodies (tools, articulated links, grounds) *publish* the poses of their
colliders at the beginning of a substep; matter (particles) reads them in that substep, and adds up the impulses that it
gives them. Every body solver has a range of the scene's colliders, in the order in which the coupling lists them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from genesis.arrays import Array, allocate, count_bytes, view
from genesis.compiler import layout
from genesis.contact import grids
from genesis.contact.shapes import FADE, SHAPES, Shape
from genesis.meshes.distances import grid_of
from genesis.meshes.surface import Surface
from genesis.runtime import logger

POSITION, QUATERNION, VELOCITY, ANGULAR = range(4)
"""Rows of a pose: (position, friction coefficient), quaternion wxyz, (velocity, -), (angular velocity, -)."""
FORCE, MOMENT = range(2)
"""Rows of an impulse: N s, and N m s about the collider's position."""

ENVS, COLLIDERS, CHUNKS, POINTS = range(4)
"""Slots of `counts`."""

BLURRED = 0.1
"""Part of its volume by which a mesh may differ from its grid of distances without a warning."""

TABLE = (
    Array("counts", "I1", (4,), "frames"),
    # (kind, size or grid), (softness, squared reach, whether it yields, -)
    Array("shapes", "A4", ("colliders", 2), "constant"),
    Array("poses", "A4", ("substeps", "envs", "colliders", 4), "frames"),  # at the beginning of each substep
    Array("impulse", "A4", ("substeps", "chunks", "envs", "colliders", 2), "frames"),  # partial sums of each substep
    # Points near colliders that yield, as `genesis.contact.law` lists them: how many, their rows, and of each row the
    # collider, or in a point's first how many there are.
    Array("offered", "I1", ("chunks", "envs"), "scratch"),
    Array("offers", "A4", ("chunks", "envs", "points", "offer"), "scratch"),
    Array("offer_of", "I1", ("chunks", "envs", "points", "offer"), "scratch"),
    Array("goffers", "A4", ("chunks", "envs", "points"), "adjoint"),  # of offered points' velocities behind colliders
    Array("gposes", "A4", ("substeps", "chunks", "envs", "colliders", 4), "adjoint"),
    Array("gimpulse", "A4", ("substeps", "envs", "colliders", 2), "adjoint"),
    Array("ganswer", "A4", ("substeps", "envs", "yielding", 2), "adjoint"),  # of the impulses to which bodies yield
)


@dataclass(frozen=True)
class Collider:
    """A shape of a body, as matter feels it."""

    shape: Shape
    softness: float
    """Distance over which its influence fades, m."""
    yields: bool = False
    """Whether its body has another velocity after an exchange than before it."""


@dataclass(frozen=True)
class Domain:
    """Where matter may be: its walls hold it there, `padding` away from the end of the domain. World frame, m."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    """Corners of the walls."""
    padding: float
    cell: float


@dataclass(frozen=True)
class Matter:
    """What bodies must know of matter that they feel. Tensors are (B,), float64."""

    density: torch.Tensor
    """kg/m^3, of the heaviest."""
    cell: float
    """m, between the points at which it is pushed."""
    mass: torch.Tensor
    """kg, of all."""
    speed: torch.Tensor
    """m/s, of its fastest waves."""


def mesh_collider(name: str, surface: Surface, resolution: int, softness: float) -> Collider:
    """A mesh by its grid of distances, with `resolution` cells along its longest edge; a warning says if these are too
    large for it."""
    grid = grid_of(surface, resolution, FADE * softness)
    ratio = grid.volume() / surface.volume
    if abs(ratio - 1.0) > BLURRED:
        logger.warning(
            f"a grid of distances must resolve its mesh, got {name!r} on cells of {grid.spacing:.3g} m, on which it "
            f"has {ratio:.3g} times its volume. Thicken it, lower coup_softness, or make it a Tool of greater sdf_res."
        )
    reach = float(np.linalg.norm(surface.vertices, axis=1).max())
    return Collider(Shape("mesh", (reach, 0.0, 0.0), grid), softness)


class Colliders:
    """All colliders of a scene, and arrays for them.

    Args:
        colliders: Of all bodies, one after the other.
        substeps: Of the scene, in a control step.
        chunks: Partial sums in which matter adds up impulses and cotangents of poses.
        feedback: Whether any body takes the impulses.
        points: Of matter, at most, in each of the chunks: what those may be offered that yield.
    """

    def __init__(
        self, colliders: Sequence[Collider], substeps: int, chunks: int, feedback: bool = False, points: int = 0
    ) -> None:
        self.colliders, self.feedback = tuple(colliders), feedback
        self.yielding = any(collider.yields for collider in colliders)
        self.sizes = {"colliders": len(self.colliders), "substeps": substeps, "chunks": chunks}
        self.sizes |= {"yielding": len(self.colliders) if self.yielding else 0, "offer": 2 + len(self.colliders)}
        self.sizes["points"] = points if self.yielding else 0
        self.constants = allocate(TABLE, self.sizes, "constant")
        rows = view(TABLE, self.constants, "shapes", self.sizes)
        meshes = [collider.shape.grid for collider in self.colliders if collider.shape.grid is not None]
        self.grids = grids.pack(meshes) if meshes else {}
        """Arrays of `grids.TABLE`, if any of them is a mesh."""
        for row, collider in zip(rows, self.colliders, strict=True):
            reach = (collider.shape.reach + FADE * collider.softness) ** 2
            mesh = collider.shape.grid
            size = collider.shape.size if mesh is None else (meshes.index(mesh), 0.0, 0.0)
            numbers = [SHAPES.index(collider.shape.kind), *size]
            row[0] = torch.tensor(numbers, dtype=layout().dtype)
            numbers = [collider.softness, min(reach, 1e30), float(collider.yields), 0.0]
            row[1] = torch.tensor(numbers, dtype=layout().dtype)
        self._shared: dict[tuple[str, int], dict[str, torch.Tensor]] = {}

    def __len__(self) -> int:
        return len(self.colliders)

    def frame_bytes(self, n_envs: int) -> int:
        """Size of what `allocate` makes."""
        return count_bytes(TABLE, {**self.sizes, "envs": n_envs}, "frames")

    def allocate(self, n_envs: int) -> "Exchange":
        """Arrays for a set of frames."""
        sizes = {**self.sizes, "envs": n_envs}
        arrays = {**self.constants, **allocate(TABLE, sizes, "frames")}
        counts = [n_envs, len(self), sizes["chunks"], sizes["points"]]
        arrays["counts"].copy_(torch.tensor(counts, dtype=torch.int32))
        return Exchange(self, sizes, arrays)

    def scratch_arrays(self, n_envs: int) -> dict[str, torch.Tensor]:
        """What lives within a substep, shared by all frames of a size."""
        return self._arrays("scratch", n_envs)

    def adjoint_arrays(self, n_envs: int) -> dict[str, torch.Tensor]:
        """Cotangents, shared by all frames of a size."""
        return self._arrays("adjoint", n_envs)

    def _arrays(self, life: str, n_envs: int) -> dict[str, torch.Tensor]:
        if (life, n_envs) not in self._shared:
            self._shared[life, n_envs] = allocate(TABLE, {**self.sizes, "envs": n_envs}, life)
        return self._shared[life, n_envs]


@dataclass
class Exchange:
    """The arrays of `Colliders` in one set of frames."""

    of: Colliders
    sizes: Mapping[str, int]
    arrays: dict[str, torch.Tensor]

    def rows(self, name: str) -> torch.Tensor:
        """A view of an array in its shape."""
        arrays = self.arrays if name in self.arrays else self.of.adjoint_arrays(self.sizes["envs"])
        return view(TABLE, arrays, name, self.sizes)

    @property
    def scratch(self) -> dict[str, torch.Tensor]:
        """Arrays of what is offered, by name."""
        return self.of.scratch_arrays(self.sizes["envs"])

    @property
    def adjoint(self) -> dict[str, torch.Tensor]:
        """Arrays of cotangents by name."""
        return self.of.adjoint_arrays(self.sizes["envs"])
