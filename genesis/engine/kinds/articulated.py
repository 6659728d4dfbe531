"""Articulated rigid bodies and the grounds that they stand on."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from genesis import morphs
from genesis.contact.colliders import Colliders, Matter
from genesis.engine import articulated
from genesis.engine.articulated import OF_MATERIALS, RigidSystem
from genesis.engine.entities.base import Entity
from genesis.engine.entities.coordinates import unit
from genesis.engine.entities.ground import GroundEntity
from genesis.engine.entities.rigid import RigidEntity
from genesis.engine.kinds.base import Build, Kind, ParameterFields, Part, ReactionCheck, of_kind
from genesis.engine.placing import Placed, warn_of_buried
from genesis.engine.state import RigidState
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.mass_matrix import link_jacobians
from genesis.materials import Rigid
from genesis.options import MujocoContact, RigidOptions, SimOptions
from genesis.solvers.rigid.light_links import LightLinks
from genesis.solvers.rigid.painleve import Painleve
from genesis.solvers.rigid.publish import WORLD, LinkCollider
from genesis.solvers.rigid.solver import OUTPUTS, RigidSolver
from genesis.surfaces import Default

WITHOUT_MATERIAL = (morphs.FileMorph, morphs.Robot, morphs.Plane, morphs.Terrain)
"""Morphs that are rigid if nobody says otherwise."""

LONGEST_SUBSTEP = 5e-3
"""s, of shapes by default. In a longer one those that meet at 20 m/s land so deep in each other, beyond the other's
middle, that pushing them apart gives them energy."""


class ArticulatedPart(Part):
    """All rigid bodies of a scene, and their grounds."""

    def __init__(self, rigid_system: RigidSystem, build: Build) -> None:
        self.rigid_system, self.build = rigid_system, build
        self.sim, self.every = own_substeps(build)
        self._found = articulated.colliders(rigid_system) if build.matter else []
        self.placed = placed(rigid_system, self._found)
        self.takes_impulses = articulated.feels(rigid_system, self._found, build.outputs)
        moving = rigid_system.model.moving
        moves = [found.link != WORLD and bool(moving[found.link]) for found in self._found]
        self._moves = any(moves)
        self.colliders = [
            replace(found.collider, yields=each and self.every == 1)
            for found, each in zip(self._found, moves, strict=True)
        ]
        self._light: LightLinks | None = None

    def parameters(self) -> ParameterFields:
        build = self.build
        return {("rigid", "model"): articulated.parameters(self.rigid_system, build.sim, build.n_envs, build.scene)}

    def reaction_check(self) -> ReactionCheck | None:
        system = self.rigid_system
        if not self._moves:
            return None
        dt = self.sim.dt / (self.sim.substeps * self.every)
        self._light = links = LightLinks(system.model, articulated.labels(system), self._found, self.every, dt)
        yielding = [f for f, c in zip(self._found, self.colliders, strict=True) if c.yields]
        turning = Painleve(system.model, articulated.labels(system), yielding)
        places = articulated.places_of_bodies(system)

        def check(fields: ParameterFields, matter: Sequence[Matter]) -> None:
            numbers = fields["rigid", "model"]
            packed: dict[str, torch.Tensor] = {
                name: torch.cat([numbers[i].pack(torch.float64, torch.device("cpu")).detach() for i in places[name]], 1)
                for name in ("mass", "inertia", "armature", *OF_MATERIALS)
            }
            links.check(packed["mass"], packed["inertia"], packed["armature"], matter)
            if links.mobility is not None:
                turning.check([packed[name][:, geom] for name, geom in (f.friction for f in yielding)], links.mobility)

        return check

    def solver(self, colliders: Colliders, first: int) -> RigidSolver:
        build = self.build
        return articulated.solver(
            self.rigid_system, self.sim, build.n_envs, build.outputs, self._found, first, self.every,
            self._light.mobility if self.every == 1 and self._light is not None else None,
        )  # fmt: skip


def placed(rigid_system: RigidSystem, found: Sequence[LinkCollider]) -> list[Placed]:
    """Where what matter feels of the system begins."""
    model, names = rigid_system.model, articulated.labels(rigid_system)
    positions, turns, *_ = link_jacobians(model)
    shapes = [isinstance(body.morph, morphs.SolidMorph) for body in rigid_system.bodies for _ in range(body.n_links)]
    places = []
    for each in found:
        pose, fixed = (np.array(each.pos), np.array(each.quat)), True
        if each.link != WORLD:
            pose = rotations.compose((positions[each.link], turns[each.link]), pose)
            fixed = not (model.moving[each.link] or each.link in model.mocap_links)
        name = rigid_system.grounds[each.friction[1]].name if each.link == WORLD else names[each.link]
        places.append(Placed(name, each.collider.shape, *pose, fixed, each.link == WORLD or shapes[each.link]))
    return places


def own_substeps(build: Build) -> tuple[SimOptions, int]:
    """Options with the substeps of rigid bodies, and how many of the scene's are in one of them."""
    own, scene = build.options.substeps or build.sim.substeps, build.sim.substeps
    if scene % own:
        raise GenesisValueError(
            f"RigidOptions.substeps must divide SimOptions.substeps, got {own} and {scene}. "
            f"Use {max(n for n in range(1, own + 1) if scene % n == 0)}, or {-(-scene // own) * own} for the scene."
        )
    return replace(build.sim, substeps=own), scene // own


class ArticulatedKind(Kind):
    """Final."""

    name, noun = "rigid", "a rigid body"
    options_name, options = "rigid_options", RigidOptions
    materials = (Rigid,)
    entity_types = (RigidEntity, GroundEntity)
    outputs = tuple(OUTPUTS)
    state = RigidState
    zero_if_absent = ("free_change",)

    def default_material(self, morph: morphs.Morph) -> Any:
        return Rigid() if isinstance(morph, (*WITHOUT_MATERIAL, morphs.SolidMorph)) else None

    def entities(
        self, idx: int, name: str, morph: morphs.Morph, material: Rigid, surface: Default, options: RigidOptions
    ) -> list[Entity]:
        if not isinstance(morph, (*WITHOUT_MATERIAL, morphs.SolidMorph)):
            raise GenesisTypeError(
                "a rigid body must be solid (Box, Sphere, Cylinder, Capsule or Mesh), a robot (MJCF, URDF or Robot) or "
                f"a ground (Plane or Terrain), got a {type(morph).__name__}. Choose one, or another material."
            )
        return articulated.entities_of(idx, name, morph, material, surface, options)

    def substeps(self, entities: Sequence[Entity], options: RigidOptions, dt: float) -> int:
        bodies = [entity for entity in of_kind(self, entities) if isinstance(entity, RigidEntity)]
        moving = any(body.model.n_dofs for body in bodies)
        shapes = all(isinstance(body.morph, morphs.SolidMorph) for body in bodies)
        if not (len(bodies) > 1 and moving and shapes and isinstance(options.contact, MujocoContact)):
            return 1
        return math.ceil(dt / LONGEST_SUBSTEP - 1e-9)

    def divisor(self, options: RigidOptions) -> int:
        return options.substeps or 1

    def assemble(self, entities: Sequence[Entity], build: Build) -> ArticulatedPart | None:
        rigid_system = articulated.assemble(entities, build.options, build.sim, build.matter)
        if rigid_system is None:
            return None
        if build.options.enable_collision and not build.options.disable_constraint:
            solids = [(b.name, b.morph) for b in rigid_system.bodies if isinstance(b.morph, morphs.SolidMorph)]
            planes = [(g.name, g.morph) for g in rigid_system.grounds if isinstance(g.morph, morphs.Plane)]
            warn_of_buried(solids, planes)
        return ArticulatedPart(rigid_system, build)

    def check_state(self, entities: Sequence[Entity], field: str, rows: torch.Tensor) -> None:
        if field == "mocap":
            unit("state rigid.mocap", rows[..., 3:].flatten(0, 1))
        if field == "qpos":
            for entity in of_kind(self, entities):
                if isinstance(entity, RigidEntity):
                    entity._check_unit(rows)
