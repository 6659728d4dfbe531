"""Where bodies and matter begin: what is told, at build, of those that are in each other's way or out of reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from genesis import runtime
from genesis.contact.colliders import Domain
from genesis.contact.doubling import doubled
from genesis.contact.shapes import Shape
from genesis.errors import GenesisValueError
from genesis.loaders import rotations
from genesis.morphs import Plane, SolidMorph

SLACK = 1e-6
"""Of a cell."""
BURIED = 0.1
"""Part of a rigid body that may begin inside of another one without a word."""
LATTICE = 10
"""Places along each edge of a body's box at which it is asked."""


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
    """Whether it begins there, other than a robot's rest pose and a solid tool, which are often set before the first
    step."""

    def inside(self, points: np.ndarray) -> np.ndarray:
        """(n,) bool: which of points (n, 3), world frame, are inside."""
        return self.shape.within((points - self.pos) @ rotations.matrix(self.quat)) > 0

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


def warn_of_overlaps(bodies: Sequence[tuple[str, SolidMorph, np.ndarray]]) -> None:
    """Tell of bodies of particles that begin inside each other.

    Args:
        bodies: Of each its name, its morph, and where its particles begin (n, 3), m.
    """
    for (name, _, places), (other, morph, _) in combinations(bodies, 2):
        n = int(_contains(morph, places).sum())
        if n:
            got = f"{n} of the {len(places)} particles of {name!r} inside {other!r}"
            runtime.logger.warning(doubled("begin", got))


def warn_of_buried(bodies: Sequence[tuple[str, SolidMorph]], planes: Sequence[tuple[str, Plane]]) -> None:
    """Tell of rigid bodies that begin inside each other, or behind planes, by more than a tenth of one that moves:
    contact throws them apart."""
    parts = []
    for name, morph in bodies:
        places = _filled(morph)
        if morph.fixed or not len(places):  # the latter of meshes that are thin everywhere
            continue
        low, high = places.min(0), places.max(0)
        behind = [(other, (places - np.array(plane.pos)) @ np.array(plane.normal) < 0) for other, plane in planes]
        near = [(other, of) for other, of in bodies if other != name and _meets(of, low, high)]
        among = [(other, _contains(of, places)) for other, of in near]
        parts += [(float(inside.mean()), name, other) for other, inside in behind + among]
    told: set[frozenset[str]] = set()
    for part, name, other in sorted(parts, reverse=True):
        if part > BURIED and frozenset((name, other)) not in told:
            told.add(frozenset((name, other)))
            runtime.logger.warning(
                f"rigid bodies must begin outside of each other, got {100 * part:.0f} % of {name!r} inside {other!r}: "
                "contact throws them apart. Move one of them, or set where it begins before the first step."
            )


def _filled(morph: SolidMorph) -> np.ndarray:
    """(n, 3) m, world frame: places that are spread evenly in it."""
    ticks = (np.arange(LATTICE) + 0.5) * (2 / LATTICE) - 1
    lattice = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), -1).reshape(-1, 3)
    local = lattice * np.array(morph.half_extent) + np.array(morph.centre)
    return local[morph.contains(local)] @ rotations.matrix(np.array(morph.orientation)).T + np.array(morph.pos)


def _meets(morph: SolidMorph, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether a ball around it reaches the box from `low` to `high`, m."""
    radius = float(np.linalg.norm(np.abs(morph.centre) + np.array(morph.half_extent)))
    return bool(np.all((np.array(morph.pos) - radius < high) & (np.array(morph.pos) + radius > low)))


def _contains(morph: SolidMorph, places: np.ndarray) -> np.ndarray:
    """(n,) bool: which of places (n, 3), m, world frame, are inside."""
    return morph.contains((places - np.array(morph.pos)) @ rotations.matrix(np.array(morph.orientation)))


def check_places(placed: Sequence[Placed], points: Sequence[tuple[str, np.ndarray]], domain: Domain) -> None:
    """Warn of fixed bodies that cannot carry matter of a domain, and of matter that begins inside links of robots
    or solid tools.

    Args:
        points: Of each body of matter its name, and where its particles begin (n, 3), m.

    Raises:
        GenesisValueError: Matter begins inside a rigid shape, a tool's plane or the ground.
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
