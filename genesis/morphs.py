"""Shapes and where they stand: frozen, checked when constructed, metres. The pose is that at build time."""

import math

import numpy as np

from genesis.checks import assign, number, record, vector
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.math import quaternion


@record
class Morph:
    """Abstract: a shape at a pose. A solid morph also has a volume and can say which points are inside."""

    pos: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Centre, world frame, m."""

    def __post_init__(self) -> None:
        assign(self, "pos", vector(f"{type(self).__name__}.pos", self.pos))

    @property
    def orientation(self) -> tuple[float, float, float, float]:
        """Quaternion wxyz from the shape's frame to the world frame."""
        return (1.0, 0.0, 0.0, 0.0)

    @property
    def volume(self) -> float:
        """m^3."""
        raise GenesisTypeError(
            f"the morph must be solid (Box, Sphere, Cylinder or Capsule), got {type(self).__name__}, which has no "
            "volume. Choose a solid morph, or material Tool."
        )

    @property
    def half_extent(self) -> tuple[float, float, float]:
        """Half sizes of the bounding box in the shape's frame, m. Solid morphs only."""
        raise NotImplementedError

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which of `points` (n, 3), in the shape's frame, are inside. Solid morphs only."""
        raise NotImplementedError


@record
class OrientedMorph(Morph):
    """Abstract: a morph that can be turned."""

    quat: tuple[float, float, float, float] | None = None
    """Orientation wxyz; any length but zero."""
    euler: tuple[float, float, float] | None = None
    """Instead of `quat`: rotations about the fixed x, then y, then z axis, degrees."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        super().__post_init__()
        if self.quat is not None and self.euler is not None:
            raise GenesisValueError(f"{name} must get one orientation, got quat and euler. Leave one out.")
        if self.euler is not None:
            assign(self, "euler", vector(f"{name}.euler", self.euler))
        if self.quat is not None:
            quat = vector(f"{name}.quat", self.quat, 4)
            length = math.hypot(*quat)
            if length < 1e-9:
                raise GenesisValueError(f"{name}.quat must not be zero, got {quat}. The identity is (1, 0, 0, 0).")
            assign(self, "quat", tuple(c / length for c in quat))

    @property
    def orientation(self) -> tuple[float, float, float, float]:
        if self.euler is not None:
            return quaternion.from_euler(self.euler)
        return self.quat or (1.0, 0.0, 0.0, 0.0)


@record
class Box(OrientedMorph):
    """A cuboid, given by centre and size, or by two corners."""

    size: tuple[float, float, float] | None = None
    """Full edge lengths, m."""
    lower: tuple[float, float, float] | None = None
    """Lower corner, m; together with `upper` instead of `pos` and `size`."""
    upper: tuple[float, float, float] | None = None
    """Upper corner, m."""

    def __post_init__(self) -> None:
        corners = self.lower is not None and self.upper is not None
        if corners == (self.size is not None) or (self.lower is None) != (self.upper is None):
            raise GenesisValueError(
                "Box must get either size, or lower and upper, got "
                f"size={self.size}, lower={self.lower}, upper={self.upper}. Give one of the two."
            )
        if corners:
            if any(self.pos):
                raise GenesisValueError(f"Box must get pos or corners, got pos={self.pos} and corners. Leave out pos.")
            lower, upper = vector("Box.lower", self.lower), vector("Box.upper", self.upper)
            assign(self, "lower", lower)
            assign(self, "upper", upper)
            assign(self, "pos", tuple((a + b) / 2 for a, b in zip(lower, upper, strict=True)))
            assign(self, "size", tuple(b - a for a, b in zip(lower, upper, strict=True)))
        super().__post_init__()
        size = vector("Box.size", self.size)
        for edge in size:
            number("every edge of Box", edge, 0.0)
        assign(self, "size", size)

    @property
    def half_extent(self) -> tuple[float, float, float]:
        x, y, z = self.size or (0.0, 0.0, 0.0)
        return (x / 2, y / 2, z / 2)

    @property
    def volume(self) -> float:
        return 8 * math.prod(self.half_extent)

    def contains(self, points: np.ndarray) -> np.ndarray:
        return np.asarray((np.abs(points) <= self.half_extent).all(1))


@record
class Sphere(Morph):
    """A ball."""

    radius: float = 0.5
    """m."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, "radius", number("Sphere.radius", self.radius, 0.0))

    @property
    def half_extent(self) -> tuple[float, float, float]:
        return (self.radius, self.radius, self.radius)

    @property
    def volume(self) -> float:
        return 4 / 3 * math.pi * self.radius**3

    def contains(self, points: np.ndarray) -> np.ndarray:
        return np.asarray((points**2).sum(1) <= self.radius**2)


@record
class Cylinder(OrientedMorph):
    """A cylinder about its local z axis."""

    height: float = 1.0
    """Full length, m."""
    radius: float = 0.5
    """m."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, "height", number("Cylinder.height", self.height, 0.0))
        assign(self, "radius", number("Cylinder.radius", self.radius, 0.0))

    @property
    def half_extent(self) -> tuple[float, float, float]:
        return (self.radius, self.radius, self.height / 2)

    @property
    def volume(self) -> float:
        return math.pi * self.radius**2 * self.height

    def contains(self, points: np.ndarray) -> np.ndarray:
        return ((points[:, :2] ** 2).sum(1) <= self.radius**2) & (np.abs(points[:, 2]) <= self.height / 2)


@record
class Capsule(OrientedMorph):
    """A cylinder about its local z axis with half a ball on either end."""

    height: float = 1.0
    """Length of the straight part, m."""
    radius: float = 0.5
    """m."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, "height", number("Capsule.height", self.height, 0.0, closed=True))
        assign(self, "radius", number("Capsule.radius", self.radius, 0.0))

    @property
    def half_extent(self) -> tuple[float, float, float]:
        return (self.radius, self.radius, self.height / 2 + self.radius)

    @property
    def volume(self) -> float:
        return math.pi * self.radius**2 * (self.height + 4 / 3 * self.radius)

    def contains(self, points: np.ndarray) -> np.ndarray:
        over = np.maximum(np.abs(points[:, 2]) - self.height / 2, 0.0)
        return (points[:, :2] ** 2).sum(1) + over**2 <= self.radius**2


@record
class Plane(Morph):
    """The half space below a plane through `pos`. For tools only."""

    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Outward direction, of any length but zero."""

    def __post_init__(self) -> None:
        super().__post_init__()
        normal = vector("Plane.normal", self.normal)
        length = math.hypot(*normal)
        if length < 1e-9:
            raise GenesisValueError(f"Plane.normal must not be zero, got {normal}. The ground's is (0, 0, 1).")
        assign(self, "normal", tuple(c / length for c in normal))

    @property
    def orientation(self) -> tuple[float, float, float, float]:
        return quaternion.from_z_axis(self.normal)
