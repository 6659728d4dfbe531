"""Volumes and inertias of solid shapes of even density."""

import math

from genesis.loaders.parts import Vector

N_SIZES = {"sphere": 1, "capsule": 2, "box": 3, "cylinder": 2, "ellipsoid": 3}
"""How many numbers give the size of each solid; see `Geom.size`."""
SOLIDS = tuple(N_SIZES)


def volume(kind: str, size: Vector) -> float:
    """m^3 of a solid with `Geom.size`."""
    a, b, c = size
    if kind == "sphere":
        return 4 / 3 * math.pi * a**3
    if kind == "capsule":
        return math.pi * a * a * (2 * b) + 4 / 3 * math.pi * a**3
    if kind == "box":
        return 8 * a * b * c
    if kind == "cylinder":
        return math.pi * a * a * (2 * b)
    return 4 / 3 * math.pi * a * b * c


def inertia(kind: str, size: Vector, mass: float) -> tuple[float, float, float, float, float, float]:
    """kg m^2 about the centre: xx, yy, zz, xy, xz, yz (the last three vanish). Its axes are the shape's."""
    a, b, c = size
    if kind == "sphere":
        xx = yy = zz = 0.4 * mass * a * a
    elif kind == "capsule":
        tube = mass * (math.pi * a * a * 2 * b) / volume(kind, size)
        caps = mass - tube  # two half spheres; 3/8 a is the distance of one's centre of mass from its flat face
        zz = tube * a * a / 2 + caps * 0.4 * a * a
        xx = yy = tube * (a * a / 4 + b * b / 3) + caps * (0.4 * a * a + b * b + 0.75 * a * b)
    elif kind == "box":
        xx, yy, zz = (mass / 3 * (u * u + v * v) for u, v in ((b, c), (a, c), (a, b)))
    elif kind == "cylinder":
        xx = yy = mass * (a * a / 4 + b * b / 3)
        zz = mass * a * a / 2
    else:
        xx, yy, zz = (mass / 5 * (u * u + v * v) for u, v in ((b, c), (a, c), (a, b)))
    return xx, yy, zz, 0.0, 0.0, 0.0
