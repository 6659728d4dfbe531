"""Shapes, robots and grounds, and where they stand: frozen, checked when constructed, metres.

The pose is that at build time.
"""

import math
import os
from collections.abc import Iterable
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genesis.checks import assign, boolean, number, record, vector
from genesis.convert import constants
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.folders import existing_file
from genesis.math import quaternion
from genesis.meshes.decomposition import coacd
from genesis.meshes.reading import read_surface
from genesis.meshes.surface import Surface
from genesis.public_engine import missing

SHORTEST, LONGEST = 1e-6, 1e6
"""m: of edges, radii and heights. Beyond these masses and inertias leave what 32 bits can hold."""
FARTHEST = 1e9
"""m from the origin, along each axis."""


def length(what: str, value: Any) -> float:
    """A length of a shape, m."""
    return number(what, value, SHORTEST, LONGEST, closed=True)


@record
class Morph:
    """Abstract: a shape at a pose."""

    pos: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where it stands (of shapes: their centre), world frame, m."""

    def __post_init__(self) -> None:
        name = f"{type(self).__name__}.pos"
        pos = vector(name, self.pos)
        for coordinate in pos:
            number(f"every entry of {name}", coordinate, -FARTHEST, FARTHEST, closed=True)
        assign(self, "pos", pos)

    @property
    def orientation(self) -> tuple[float, float, float, float]:
        """Quaternion wxyz from the shape's frame to the world frame."""
        return (1.0, 0.0, 0.0, 0.0)


@record
class SolidMorph(Morph):
    """Abstract: a shape with an inside."""

    fixed: bool = False
    """With material Rigid: whether it is fixed to the world. With any other material it must be False."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, "fixed", boolean(f"{type(self).__name__}.fixed", self.fixed))

    @property
    def volume(self) -> float:
        """m^3."""
        raise NotImplementedError

    @property
    def half_extent(self) -> tuple[float, float, float]:
        """Half sizes of the bounding box in the shape's frame, m."""
        raise NotImplementedError

    @property
    def centre(self) -> tuple[float, float, float]:
        """Middle of the bounding box in the shape's frame, m."""
        return (0.0, 0.0, 0.0)

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which of `points` (n, 3), in the shape's frame, are inside."""
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
            norm = math.hypot(*quat)
            if norm < 1e-9:
                raise GenesisValueError(f"{name}.quat must not be zero, got {quat}. The identity is (1, 0, 0, 0).")
            assign(self, "quat", tuple(c / norm for c in quat))

    @property
    def orientation(self) -> tuple[float, float, float, float]:
        if self.euler is not None:
            return quaternion.from_euler(self.euler)
        return self.quat or (1.0, 0.0, 0.0, 0.0)


@record
class Box(SolidMorph, OrientedMorph):
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
            if any(vector("Box.pos", self.pos)):
                raise GenesisValueError(f"Box must get pos or corners, got pos={self.pos} and corners. Leave out pos.")
            lower, upper = vector("Box.lower", self.lower), vector("Box.upper", self.upper)
            assign(self, "lower", lower)
            assign(self, "upper", upper)
            assign(self, "pos", tuple((a + b) / 2 for a, b in zip(lower, upper, strict=True)))
            assign(self, "size", tuple(b - a for a, b in zip(lower, upper, strict=True)))
        super().__post_init__()
        size = vector("Box.size", self.size)
        for edge in size:
            length("every edge of Box", edge)
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
class Sphere(SolidMorph):
    """A ball."""

    radius: float = 0.5
    """m."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, "radius", length("Sphere.radius", self.radius))

    @property
    def half_extent(self) -> tuple[float, float, float]:
        return (self.radius, self.radius, self.radius)

    @property
    def volume(self) -> float:
        return 4 / 3 * math.pi * self.radius**3

    def contains(self, points: np.ndarray) -> np.ndarray:
        return np.asarray((points**2).sum(1) <= self.radius**2)


@record
class Cylinder(SolidMorph, OrientedMorph):
    """A cylinder about its local z axis."""

    height: float = 1.0
    """Full length, m."""
    radius: float = 0.5
    """m."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, "height", length("Cylinder.height", self.height))
        assign(self, "radius", length("Cylinder.radius", self.radius))

    @property
    def half_extent(self) -> tuple[float, float, float]:
        return (self.radius, self.radius, self.height / 2)

    @property
    def volume(self) -> float:
        return math.pi * self.radius**2 * self.height

    def contains(self, points: np.ndarray) -> np.ndarray:
        return ((points[:, :2] ** 2).sum(1) <= self.radius**2) & (np.abs(points[:, 2]) <= self.height / 2)


@record
class Capsule(SolidMorph, OrientedMorph):
    """A cylinder about its local z axis with half a ball on either end."""

    height: float = 1.0
    """Length of the straight part, m; 0 makes a ball."""
    radius: float = 0.5
    """m."""

    def __post_init__(self) -> None:
        super().__post_init__()
        height = number("Capsule.height", self.height, 0.0, LONGEST, closed=True)
        assign(self, "height", length("Capsule.height, where it is not 0,", height) if height else 0.0)
        assign(self, "radius", length("Capsule.radius", self.radius))

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
class Mesh(SolidMorph, OrientedMorph):
    """A closed surface of triangles from a file: .glb, .gltf, .obj, .off, .ply or .stl; extra `mesh`.

    Its frame is that of the file, whose origin comes to `pos`, and whose axes are taken as they are: a file with y
    upwards, as glTF has it, stands upright with `euler=(90, 0, 0)`. With material Rigid it touches as its convex hull.
    With material Tool, as in the public engine, the middle of its box comes to `pos`, and `scale` is how long it is.

    Raises:
        GenesisImportError: trimesh is not installed, or CoACD to decompose.
        GenesisValueError: The file does not exist or cannot be read, or its surface is open, crosses itself, has
            triangles of both senses, or encloses no volume. One that is inside out is turned, with a warning.
    """

    file: str | os.PathLike[str] | None = None
    """Path of the file. All that its scene shows is one body."""
    scale: float | tuple[float, float, float] = 1.0
    """Metres that a unit of the file is, along all axes or along each. With material Tool: that the longest edge of the
    file's box is."""
    decompose: bool = False
    """With material Rigid: whether it touches as several convex hulls, of the parts that CoACD cuts it into; extra
    `convex`. With any other material, which feels the triangles, it must be False."""
    surface: Surface = field(init=False, repr=False)
    """Its triangles, in its frame, m."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, "decompose", boolean("Mesh.decompose", self.decompose))
        path = Path(existing_file("Mesh.file", self.file, "mesh"))
        for entry in self.scales:
            number("every entry of Mesh.scale", entry, 0.0)
        if self.decompose:
            coacd()
        surface = read_surface(path, self.scales)
        for edge in (surface.upper - surface.lower).tolist():
            length(f"every extent of mesh {str(path)!r}", edge)
        assign(self, "surface", surface)

    @property
    def scales(self) -> tuple[float, float, float]:
        """`scale` along x, y and z."""
        x, y, z = (self.scale,) * 3 if isinstance(self.scale, int | float) else vector("Mesh.scale", self.scale)
        return (x, y, z)

    @property
    def half_extent(self) -> tuple[float, float, float]:
        x, y, z = ((self.surface.upper - self.surface.lower) / 2).tolist()
        return (x, y, z)

    @property
    def centre(self) -> tuple[float, float, float]:
        x, y, z = ((self.surface.upper + self.surface.lower) / 2).tolist()
        return (x, y, z)

    @property
    def volume(self) -> float:
        return self.surface.volume

    def contains(self, points: np.ndarray) -> np.ndarray:
        return self.surface.winding(points) > 0


@record
class Plane(Morph):
    """The half space below a plane through `pos`: a tool, or the ground of rigid bodies."""

    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Outward direction, of any length but zero."""

    def __post_init__(self) -> None:
        super().__post_init__()
        normal = vector("Plane.normal", self.normal)
        norm = math.hypot(*normal)
        if norm < 1e-9:
            raise GenesisValueError(f"Plane.normal must not be zero, got {normal}. The ground's is (0, 0, 1).")
        assign(self, "normal", tuple(c / norm for c in normal))

    @property
    def orientation(self) -> tuple[float, float, float, float]:
        return quaternion.from_z_axis(self.normal)


@record
class Terrain(Morph):
    """A height field, the ground of rigid bodies: smooth through its heights, and level beyond its edges."""

    heights: np.ndarray | None = None
    """(nx, ny) m above `pos`, along x, then y; at least 3 x 3. A quadratic B-spline with these control values, which
    meets constant and linear heights exactly and rounds peaks off."""
    spacing: float = 0.1
    """Distance of neighbouring heights along x and y, m. `pos` is where heights[0, 0] stands."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, "spacing", length("Terrain.spacing", self.spacing))
        heights = constants("Terrain.heights", self.heights)
        if heights.ndim != 2 or min(heights.shape) < 3 or not np.isfinite(heights).all():
            raise GenesisValueError(
                "Terrain.heights must be finite numbers (nx, ny), at least 3 x 3, "
                f"got shape {heights.shape}{'' if np.isfinite(heights).all() else ' with NaN or inf'}. Change it."
            )
        if np.abs(heights).max() > LONGEST:
            raise GenesisValueError(
                f"Terrain.heights must lie within {LONGEST:g} m, got {np.abs(heights).max():g} m. Change it."
            )
        heights.setflags(write=False)
        assign(self, "heights", heights)


@record
class FileMorph(OrientedMorph):
    """Abstract: a robot from a file. `pos`, `quat` and `euler` move it as a whole from where the file puts it."""

    file: str | os.PathLike[str] | None = None
    """Path of the model file; if there is no such file, in one of the folders that the environment variable
    GENESIS_ASSETS names."""
    fixed: bool = False
    """Whether to take free joints away, so that the base stands where the file and this pose put it."""
    allow: tuple[str, ...] = ()
    """Unsupported elements of the file to leave out with a warning; any other is an error that names it."""
    repair: bool = False
    """Whether to mend what MuJoCo's compiler refuses and other programs take. A warning and `RigidEntity.repairs` list
    what was mended: bodies that move and have no mass get 1 g, an inertia that no body has becomes the nearest that one
    can have; of URDF files Collada meshes become the convex hull of their points, and missing meshes are left out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        assign(self, "fixed", boolean(f"{name}.fixed", self.fixed))
        assign(self, "repair", boolean(f"{name}.repair", self.repair))
        assign(self, "file", existing_file(f"{name}.file", self.file, "model"))
        several = isinstance(self.allow, Iterable) and not isinstance(self.allow, str | bytes)
        if not several or not all(isinstance(entry, str) for entry in tuple(self.allow)):
            raise GenesisTypeError(f"{name}.allow must be names of elements, got {self.allow!r}. Pass a tuple.")
        assign(self, "allow", tuple(self.allow))


@record
class MJCF(FileMorph):
    """A robot from a MuJoCo model file, in which free joints say what is free."""

    ground: bool = True
    """Whether planes and height fields of the file become grounds of the scene. They are not moved with the robot."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, "ground", boolean("MJCF.ground", self.ground))


@record
class URDF(FileMorph):
    """A robot from a URDF file. Its base is on a free joint, unless it is `fixed` or named "world"."""


@record
class Robot(OrientedMorph):
    """One of the robots that come with this package, by name. `pos`, `quat` and `euler` move it as a whole."""

    name: str = ""
    """Such as "ant"; an unknown name is answered with the list of known ones."""
    ground: bool = True
    """Whether planes of its model become grounds of the scene. They are not moved with the robot."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, "ground", boolean("Robot.ground", self.ground))
        if not isinstance(self.name, str):
            raise GenesisTypeError(f"Robot.name must be a string, got {type(self.name).__name__}. Pass a name.")


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing("gs.morphs", name)
