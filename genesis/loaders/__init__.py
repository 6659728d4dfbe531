"""Robots from model files and from shapes: what a solver needs to know of them, as arrays."""

from genesis.loaders.contact_mixing import PairNumbers, candidates, ground_candidates, mix
from genesis.loaders.files import load_mjcf, load_urdf
from genesis.loaders.invweight import invweight0, numbers_of
from genesis.loaders.library import ROBOTS, load_robot
from genesis.loaders.mass_matrix import link_jacobians, mass_matrix
from genesis.loaders.model import (
    Actuator,
    Geom,
    GroundGeom,
    Joint,
    RigidModel,
    fuse,
    hull,
    place,
    primitive,
)
from genesis.loaders.mujoco_numbers import MujocoNumbers, MujocoOptions, agreed
from genesis.loaders.mujoco_refusals import check_for_mujoco
from genesis.loaders.parts import ContactNumbers

__all__ = [
    "ROBOTS",
    "Actuator",
    "ContactNumbers",
    "Geom",
    "GroundGeom",
    "Joint",
    "MujocoNumbers",
    "MujocoOptions",
    "PairNumbers",
    "RigidModel",
    "agreed",
    "candidates",
    "check_for_mujoco",
    "fuse",
    "ground_candidates",
    "hull",
    "invweight0",
    "link_jacobians",
    "load_mjcf",
    "load_robot",
    "load_urdf",
    "mass_matrix",
    "mix",
    "numbers_of",
    "place",
    "primitive",
]
