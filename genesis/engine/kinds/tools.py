"""Tools: bodies that move as they are told, and push matter."""

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch

from genesis import morphs
from genesis.checks import assign
from genesis.contact.colliders import Collider, Colliders, mesh_collider
from genesis.contact.shapes import Shape
from genesis.engine.entities.base import Entity
from genesis.engine.entities.tool import ToolEntity
from genesis.engine.kinds.base import Build, Kind, ParameterFields, Part, of_kind
from genesis.engine.parameters import Constraint, material_parameter
from genesis.engine.placing import Placed
from genesis.engine.state import ToolState
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.materials import FRICTION_RANGE, Tool
from genesis.math import quaternion
from genesis.meshes.surface import Surface
from genesis.options import ToolOptions
from genesis.solvers.tool.solver import ToolBody, ToolSolver
from genesis.surfaces import Default
from genesis.warning import warn_once

SAME = 1e-6
"""Part of a mesh's extent up to which its size and place are those of its file."""


def collider_of(morph: morphs.Morph, material: Tool) -> Collider:
    """A solid or a plane, as matter feels it."""
    match morph:
        case morphs.Mesh():
            return mesh_collider(str(morph.file), morph.surface, material.sdf_res, material.coup_softness)
        case morphs.Sphere():
            shape = Shape("sphere", (morph.radius, 0.0, 0.0))
        case morphs.Capsule():
            shape = Shape("capsule", (morph.radius, morph.height / 2, 0.0))
        case morphs.Box():
            shape = Shape("box", morph.half_extent)
        case morphs.Cylinder():
            shape = Shape("cylinder", (morph.radius, morph.height / 2, 0.0))
        case _:
            shape = Shape("plane", (0.0, 0.0, 0.0))
    return Collider(shape, material.coup_softness)


def in_its_own_frame(name: str, morph: morphs.Mesh) -> morphs.Mesh:
    """A mesh as a tool of this name has it: the middle of its box is its origin, and the longest edge of its file's box
    is 1 before `scale`. A warning says where that is not what the file's units and origin give.

    Source: the public Genesis engine, engine/entities/tool_entity/mesh.py, `process_mesh`.
    """
    quat, centre = (torch.tensor(x, dtype=torch.float64) for x in (morph.orientation, morph.centre))
    longest = max(2 * half / scale for half, scale in zip(morph.half_extent, morph.scales, strict=True))
    own, remedy = copy(morph), []
    assign(own, "surface", Surface((morph.surface.vertices - morph.centre) / longest, morph.surface.faces))
    for half in own.half_extent:
        morphs.length(f"every extent of tool {name!r}", 2 * half)
    middle = np.array(morph.pos) + quaternion.rotate(quat, centre).numpy()
    if abs(longest - 1.0) > SAME:
        scales = [_rounded(scale * longest) for scale in morph.scales]
        remedy.append(f"scale={scales[0] if len(set(scales)) == 1 else _row(scales)}")
    if float(centre.abs().max()) > SAME * max(morph.half_extent):
        remedy.append(f"pos={_row(map(_rounded, middle))}")
    if remedy:
        sizes = (" x ".join(_rounded(2 * half) for half in each.half_extent) for each in (own, morph))
        places = (_row(map(_rounded, place)) for place in (morph.pos, middle))
        here, there = (f"{size} m about {place}" for size, place in zip(sizes, places, strict=True))
        warn_once(
            f"a tool's mesh has a longest edge of 1 before `scale` and its middle as origin: {name!r} is {here}, where "
            f"units and origin of {str(morph.file)!r} make it {there}. For these pass {', '.join(remedy)}."
        )
    return own


def _rounded(number: float) -> str:
    return f"{number:.6g}"


def _row(numbers: Iterable[str]) -> str:
    return f"({', '.join(numbers)})"


class ToolPart(Part):
    """The tools of a scene."""

    def __init__(self, entities: Sequence[ToolEntity], build: Build) -> None:
        self.entities, self.build = entities, build
        self.colliders = [collider_of(entity.morph, entity.material) for entity in entities]
        self.placed = [
            Placed(
                entity.name,
                collider.shape,
                np.array(entity.morph.pos),
                np.array(entity.morph.orientation),
                fixed=False,
                given=isinstance(entity.morph, morphs.Plane),
            )
            for entity, collider in zip(entities, self.colliders, strict=True)
        ]

    def parameters(self) -> ParameterFields:
        constraint = Constraint(*FRICTION_RANGE, closed=True)
        build = self.build
        numbers = [
            material_parameter(entity, "friction", "set_friction", constraint, build.n_envs, build.scene)
            for entity in self.entities
        ]
        return {("tool", "friction"): numbers}

    def solver(self, colliders: Colliders, first: int) -> ToolSolver:
        bodies = [
            ToolBody(
                name=entity.name,
                collider=collider,
                pos=np.array(entity.morph.pos),
                quat=np.array(entity.morph.orientation),
                friction=entity.material.friction,
            )
            for entity, collider in zip(self.entities, self.colliders, strict=True)
        ]
        sim = self.build.sim
        return ToolSolver(bodies, sim.dt, sim.substeps, "wrench" in self.build.outputs, colliders, first)


class ToolKind(Kind):
    """Final."""

    name, noun = "tool", "a tool"
    options_name, options = "tool_options", ToolOptions
    materials = (Tool,)
    entity_types = (ToolEntity,)
    outputs = ("wrench",)
    state = ToolState

    def entities(
        self, idx: int, name: str, morph: morphs.Morph, material: Tool, surface: Default, options: Any
    ) -> list[Entity]:
        if not isinstance(morph, morphs.SolidMorph | morphs.Plane):
            raise GenesisTypeError(
                f"a tool must be solid (Box, Sphere, Cylinder, Capsule or Mesh), got a {type(morph).__name__}. "
                "Choose one, or material Rigid."
            )
        check_without_rigid_options(morph, material)
        if isinstance(morph, morphs.Mesh):
            morph = in_its_own_frame(name, morph)
        return [ToolEntity(idx, name, morph, material, surface)]

    def assemble(self, entities: Sequence[Entity], build: Build) -> ToolPart | None:
        mine = of_kind(self, entities)
        for column, entity in enumerate(mine):
            entity._place(column)
        return ToolPart(mine, build) if mine else None

    def check_state(self, entities: Sequence[Entity], field: str, rows: torch.Tensor) -> None:
        if field == "quat" and rows.numel() and rows.norm(dim=-1).min() < 1e-6:
            raise GenesisValueError("state tool.quat must not be zero, got length 0. The identity is (1, 0, 0, 0).")


def check_without_rigid_options(morph: morphs.Morph, material: Any) -> None:
    """Raise if a solid that no solver of bodies moves asks to be held, or to touch as convex parts."""
    for name in ("fixed", "decompose"):
        if isinstance(morph, morphs.SolidMorph) and getattr(morph, name, False):
            raise GenesisTypeError(
                f"{type(morph).__name__}.{name} must be False with material {type(material).__name__}, got True. "
                "Leave it out, or choose material Rigid."
            )
