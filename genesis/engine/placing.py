"""Where bodies and matter begin: what is told, at build, of those that are in each other's way or out of reach."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genesis import runtime
from genesis.contact.colliders import Domain
from genesis.contact.shapes import Shape
from genesis.errors import GenesisValueError
from genesis.loaders import rotations

SLACK = 1e-6
"""Of a cell."""


@dataclass(frozen=True)
class Placed:
    """A shape of a body where it begins; world frame."""

    name: str
    """Of the body, in messages."""
    shape: Shape
    pos: np.ndarray
    """(3,) m."""
    quat: np.ndarray
    """(4,) wxyz."""
    fixed: bool
    """Whether it stays there."""
    given: bool
    """Whether a morph says so, and not the rest pose of a robot, which is often set before the first step."""

    def inside(self, points: np.ndarray) -> np.ndarray:
        """(n,) bool: which of points (n, 3), world frame, are inside."""
        a, b, c = self.shape.size
        y = (points - self.pos) @ rotations.matrix(self.quat)
        kind, grid = self.shape.kind, self.shape.grid
        if kind == "plane":
            return y[:, 2] < 0
        if kind == "box":
            return np.all(np.abs(y) < (a, b, c), axis=1)
        if kind == "cylinder":
            return np.logical_and(np.hypot(y[:, 0], y[:, 1]) < a, np.abs(y[:, 2]) < b)
        if grid is not None:
            near = np.round((y - grid.lower) / grid.spacing).astype(int)
            known = np.all((near >= 0) & (near < grid.values.shape), axis=1)
            near[~known] = 0
            return known & (grid.values[tuple(near.T)] < 0)
        y[:, 2] -= np.clip(y[:, 2], -b, b) if kind == "capsule" else 0.0
        return np.linalg.norm(y, axis=1) < a

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of a box around it, m; of a plane there is none."""
        a, b, c = self.shape.size
        turn = rotations.matrix(self.quat)
        if self.shape.grid is not None:
            corners = self.pos + self.shape.grid.surface.vertices @ turn.T
            return corners.min(0), corners.max(0)
        upright = np.abs(turn[:, 2])
        half = {
            "sphere": np.full(3, a),
            "capsule": a + b * upright,
            "box": np.abs(turn) @ np.array([a, b, c]),
            "cylinder": b * upright + a * np.sqrt(np.maximum(1.0 - upright**2, 0.0)),
        }[self.shape.kind]
        return self.pos - half, self.pos + half

    def behind(self, domain: Domain) -> float:
        """How far it lies behind the walls of a domain, m; 0 if matter can touch it, or if nobody would expect it: what
        is no plane counts between a wall and the end of the domain."""
        low, high = np.array(domain.lower), np.array(domain.upper)
        if self.shape.kind == "plane":
            normal = rotations.matrix(self.quat)[:, 2]
            far = float(normal @ (np.where(normal > 0, low, high) - self.pos))
        else:
            least, most = self.extent()
            far = float(np.maximum(low - most, least - high).max())
            if far > domain.padding:
                return 0.0
        return far if far > SLACK * domain.cell else 0.0


def check_places(placed: Sequence[Placed], points: Sequence[tuple[str, np.ndarray]], domain: Domain) -> None:
    """Warn of fixed bodies that cannot carry matter of a domain, and of matter that begins inside links of robots.

    Args:
        points: Of each body of matter its name, and where its particles begin (n, 3), m.

    Raises:
        GenesisValueError: Matter begins inside a tool, a shape or the ground.
    """
    unreached = {each.name: far for each in placed if each.fixed and (far := each.behind(domain))}
    for name, far in unreached.items():
        runtime.logger.warning(
            f"what carries particles must not lie behind a wall of their domain, got {name!r}, {far:.3g} m behind it: "
            f"they lie on the wall, which is {domain.padding:.3g} m (three cells) inside of MPMOptions.lower_bound and "
            f"upper_bound. Move the bound out by more than {far:.3g} m."
        )
    bodies: dict[str, list[Placed]] = {}
    for each in placed:
        if each.name not in unreached:
            bodies.setdefault(each.name, []).append(each)
    for name, places in points:
        for body, shapes in bodies.items():
            n = int(np.any([each.inside(places) for each in shapes], axis=0).sum())
            if n and shapes[0].given:
                raise GenesisValueError(
                    f"particles of {name!r} must start outside of {body!r}, got {n} of {len(places)} inside. "
                    "Move or shrink one of the two."
                )
            if n:
                runtime.logger.warning(
                    f"particles must start outside of bodies, got {n} of the {len(places)} of {name!r} inside "
                    f"{body!r}, which does not push them out. Move one of them, or set where it begins before the "
                    "first step."
                )
