"""Robots from model files and from shapes: what a solver needs to know of them, as arrays."""

from genesis.loaders.files import load_mjcf, load_urdf
from genesis.loaders.library import ROBOTS, load_robot
from genesis.loaders.mass_matrix import link_jacobians, mass_matrix
from genesis.loaders.model import (
    Actuator,
    Geom,
    GroundGeom,
    Joint,
    RigidModel,
    fuse,
    place,
    primitive,
)

__all__ = [
    "ROBOTS",
    "Actuator",
    "Geom",
    "GroundGeom",
    "Joint",
    "RigidModel",
    "fuse",
    "link_jacobians",
    "load_mjcf",
    "load_robot",
    "load_urdf",
    "mass_matrix",
    "place",
    "primitive",
]
