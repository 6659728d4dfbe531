"""From entities to solvers, and the laws that hold between their numbers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from genesis import morphs
from genesis.contact.colliders import Collider, Colliders
from genesis.contact.shapes import Shape
from genesis.engine import articulated
from genesis.engine.articulated import World
from genesis.engine.coupling import Coupling
from genesis.engine.entities.base import Entity
from genesis.engine.entities.particle import ParticleEntity
from genesis.engine.entities.tool import ToolEntity
from genesis.engine.inputs import numeric
from genesis.engine.parameters import Law, Parameter
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.materials import FRICTION_RANGE, MPM, ParticleMaterial, Rigid, Tool
from genesis.options import MPMOptions, SimOptions
from genesis.solvers.mpm.models import MODELS, Model
from genesis.solvers.mpm.solver import MPMBody, MPMSolver, count_chunks
from genesis.solvers.tool.solver import ToolBody, ToolSolver
from genesis.surfaces import Default

COURANT = 0.7
"""Largest substep_dt * c / dx at which the particle solver is taken to be stable; c is the speed of pressure waves."""

ParameterFields = dict[tuple[str, str], list[Parameter]]


def entities_of(idx: int, name: str, morph: morphs.Morph, material: Any, surface: Default) -> list[Entity]:
    """The entity of a morph, and after it those that come with it.

    Raises:
        GenesisTypeError: The material does not go with the morph.
    """
    if material is None:
        material = MPM.Elastic() if isinstance(morph, morphs.SolidMorph) else Rigid()
    if not isinstance(material, ParticleMaterial | Tool | Rigid):
        raise GenesisTypeError(
            "material must be materials.MPM.Elastic, materials.MPM.Liquid, materials.Tool or materials.Rigid, "
            f"got {type(material).__name__}. Construct one."
        )
    if isinstance(material, Rigid):
        return articulated.entities_of(idx, name, morph, material, surface)
    kind = type(morph).__name__
    if not isinstance(morph, morphs.SolidMorph) and (
        isinstance(material, ParticleMaterial) or not isinstance(morph, morphs.Plane)
    ):
        what = "a tool" if isinstance(material, Tool) else "a body of particles"
        raise GenesisTypeError(
            f"{what} must be solid (Box, Sphere, Cylinder or Capsule), got a {kind}. Choose one, or material Rigid."
        )
    if isinstance(morph, morphs.SolidMorph) and morph.fixed:
        raise GenesisTypeError(
            f"{kind}.fixed must be False with material {type(material).__name__}, got True. "
            "Leave it out, or choose material Rigid."
        )
    if isinstance(material, Tool):
        return [ToolEntity(idx, name, morph, material, surface)]
    assert isinstance(morph, morphs.SolidMorph)
    return [ParticleEntity(idx, name, morph, material, surface, _model_of(material))]


def _model_of(material: ParticleMaterial) -> Model:
    """The constitutive model of a material, which must have the same numbers."""
    name, numbers = material.constitutive_model, tuple(material.numbers)
    if name not in MODELS:
        raise GenesisValueError(
            f"{type(material).__name__}.constitutive_model must be one of {', '.join(MODELS)}, got {name!r}. "
            "Register it in genesis.solvers.mpm.models."
        )
    if numbers != MODELS[name].numbers:
        raise GenesisValueError(
            f"{type(material).__name__}.numbers must be those of model {name!r}, {', '.join(MODELS[name].numbers)}, "
            f"got {', '.join(numbers)}. Name the same in both."
        )
    return MODELS[name]


def couple(
    entities: Sequence[Entity],
    sim: SimOptions,
    mpm: MPMOptions,
    n_envs: int,
    outputs: tuple[str, ...],
    world: World | None = None,
) -> Coupling:
    """The solvers that `entities` need, coupled."""
    tools = [_tool_body(entity) for entity in entities if isinstance(entity, ToolEntity)]
    bodies = [_particle_body(entity) for entity in entities if isinstance(entity, ParticleEntity)]
    chunks = count_chunks(n_envs, sum(len(body.positions) for body in bodies)) if bodies else 1
    colliders = Colliders([tool.collider for tool in tools], sim.substeps, chunks)
    solvers = []
    if tools:
        solvers.append(ToolSolver(tools, sim.dt, sim.substeps, "wrench" in outputs, colliders))
    if world is not None:
        solvers.append(articulated.solver(world, sim, n_envs, outputs))
    if bodies:
        solvers.append(MPMSolver(bodies, mpm, sim.dt, sim.substeps, n_envs, colliders))
    return Coupling(solvers, colliders, sim.substeps)


def _particle_body(entity: ParticleEntity) -> MPMBody:
    material: ParticleMaterial = entity.material
    return MPMBody(
        name=entity.name,
        positions=entity.initial_positions,
        volume=entity.particle_volume,
        model=material.constitutive_model,
        numbers=[getattr(material, name) for name in material.numbers],
    )


def _tool_body(entity: ToolEntity) -> ToolBody:
    morph = entity.morph
    match morph:
        case morphs.Sphere():
            shape, size = "sphere", (morph.radius, 0.0, 0.0)
        case morphs.Capsule():
            shape, size = "capsule", (morph.radius, morph.height / 2, 0.0)
        case morphs.Box():
            shape, size = "box", morph.half_extent
        case morphs.Cylinder():
            shape, size = "cylinder", (morph.radius, morph.height / 2, 0.0)
        case _:
            shape, size = "plane", (0.0, 0.0, 0.0)
    return ToolBody(
        name=entity.name,
        collider=Collider(Shape(shape, size), entity.material.coup_softness),
        pos=np.array(morph.pos),
        quat=np.array(morph.orientation),
        friction=entity.material.friction,
    )


def parameters(
    entities: Sequence[Entity], sim: SimOptions, n_envs: int, scene: Any, world: World | None = None
) -> ParameterFields:
    """Every parameter field's numbers as options and materials say, in the solvers' row-major order."""
    gravity = torch.tensor(sim.gravity, dtype=torch.float64)
    anything = Law(-math.inf, math.inf)
    fields = {("scene", "gravity"): [Parameter.of("gravity", "scene.set_gravity", anything, gravity, n_envs, (3,))]}

    def add(
        field: tuple[str, str], entity: Entity, name: str, low_high: tuple[float, float], setter: str, closed: bool
    ):
        what = f"{entity.name}.{name}"
        value = numeric(what, getattr(entity.material, name), scene)
        number = Parameter.of(what, f"{entity.name}.{setter}", Law(*low_high, closed), value, n_envs)
        fields.setdefault(field, []).append(number)

    for entity in entities:
        if isinstance(entity, ParticleEntity):
            for name, (low, high, closed) in entity.material.numbers.items():
                add(("mpm", "material"), entity, name, (low, high), "set_material", closed)
        elif isinstance(entity, ToolEntity):
            add(("tool", "friction"), entity, "friction", FRICTION_RANGE, "set_friction", True)
    if world is not None:
        fields["rigid", "model"] = articulated.parameters(world, sim, n_envs, scene)
    return fields


def stability_check(
    entities: Sequence[Entity], sim: SimOptions, mpm: MPMOptions, world: World | None = None
) -> Callable[[ParameterFields], None]:
    """A function that raises if any body is too stiff for the substep."""
    bodies = [(entity.name, entity.model) for entity in entities if isinstance(entity, ParticleEntity)]
    cpu = torch.device("cpu")
    check_bodies = None if world is None else articulated.stability_check(world, sim)

    def check(fields: ParameterFields) -> None:
        numbers = iter(fields.get(("mpm", "material"), ()))
        for name, model in bodies:
            mine = {number: next(numbers).pack(torch.float64, cpu).detach() for number in model.numbers}
            check_stable(name, model.speed(mine), sim, mpm)
        if check_bodies is not None:
            check_bodies(fields["rigid", "model"])

    return check


def check_stable(what: str, c: torch.Tensor, sim: SimOptions, mpm: MPMOptions) -> None:
    """Raise if a substep is too long for waves of speed `c` (B,)."""
    fastest = float(c.max())
    limit = COURANT * mpm.dx / fastest if fastest > 0 else math.inf
    if sim.substep_dt > limit:
        raise GenesisValueError(
            f"the substep of {what} must be at most {limit:.3g} s for its stiffness (waves of {fastest:.3g} m/s "
            f"on a grid of {mpm.dx:.3g} m), got {sim.substep_dt:.3g} s. "
            f"Use substeps={math.ceil(sim.dt / limit)} or more, or a dt of at most {limit * sim.substeps:.3g} s."
        )
