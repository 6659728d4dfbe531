"""Bodies of particles."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from genesis import morphs
from genesis.checks import check_range
from genesis.contact.colliders import Colliders, Matter
from genesis.engine.entities.base import Entity
from genesis.engine.entities.muscle import ACTIVATION, fibre_parameter
from genesis.engine.entities.particle import ParticleEntity
from genesis.engine.entities.particle_life import check_hold
from genesis.engine.kinds.base import Build, Check, Kind, ParameterFields, Part, of_kind
from genesis.engine.kinds.tools import must_not_be_fixed
from genesis.engine.parameters import Constraint, material_parameter
from genesis.engine.sampling import sample
from genesis.engine.stability import check_stable, wave_speed
from genesis.engine.state import MPMState
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.materials import ParticleMaterial
from genesis.options import MPMOptions
from genesis.solvers.mpm.added import ADDED, STIFFNESS
from genesis.solvers.mpm.models import MODELS, Model
from genesis.solvers.mpm.models.model import COURANT
from genesis.solvers.mpm.solver import MPMBody, MPMSolver, count_chunks
from genesis.surfaces import Default


def model_of(material: ParticleMaterial) -> Model:
    """The constitutive model of a material.

    Raises:
        GenesisValueError: There is none of its name, or it has other numbers.
    """
    name, numbers = material.constitutive_model, tuple(n for n in material.numbers if n not in ADDED)
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


def check_size(entity: ParticleEntity, mpm: MPMOptions) -> None:
    """Raise if the body is longer than its domain, before it is filled with particles: in a file of millimetres, say,
    that would be a great many."""
    longest = 2 * max(entity.morph.half_extent)
    diagonal = math.dist(mpm.lower_bound, mpm.upper_bound)
    if longest > diagonal:
        raise GenesisValueError(
            f"{entity.name!r} must fit into the domain, whose diagonal is {diagonal:.4g} m, got a body of "
            f"{longest:.4g} m. Shrink it, or enlarge MPMOptions.lower_bound and upper_bound."
        )


class ParticlePart(Part):
    """The bodies of particles of a scene."""

    def __init__(self, entities: Sequence[ParticleEntity], build: Build) -> None:
        self.entities, self.build = entities, build
        self.points = [(entity.name, entity.initial_positions) for entity in entities]
        self.chunks = count_chunks(build.n_envs, sum(entity.n_particles for entity in entities))
        numbers = [
            {name: torch.as_tensor(getattr(e.material, name), dtype=torch.float64).detach().cpu() for name in e.numbers}
            for e in entities
        ]
        masses = [each["rho"] * e.n_particles * e.particle_volume for e, each in zip(entities, numbers, strict=True)]
        speed = max(float(wave_speed(e.model, each).max()) for e, each in zip(entities, numbers, strict=True))
        density = max(float(each["rho"].max()) for each in numbers)
        self.matter = Matter(density, build.options.dx, sum(float(mass.max()) for mass in masses), speed)

    def parameters(self) -> ParameterFields:
        numbers, build = [], self.build
        for entity in self.entities:
            for name, interval in entity.material.numbers.items():
                constraint = Constraint(*interval)
                numbers.append(material_parameter(entity, name, "set_material", constraint, build.n_envs, build.scene))
        fields = {("mpm", "material"): numbers}
        if any(entity.n_groups for entity in self.entities):
            fields["mpm", "fibre"] = [fibre_parameter(entity, build.n_envs) for entity in self.entities]
        return fields

    def stability_check(self) -> Check:
        bodies = [(entity.name, entity.model, entity.numbers) for entity in self.entities]
        sim, options = self.build.sim, self.build.options

        def check(fields: ParameterFields) -> None:
            numbers = iter(fields["mpm", "material"])
            for body, model, names in bodies:
                mine = {name: next(numbers).pack(torch.float64, torch.device("cpu")).detach() for name in names}
                courant = model.courant if STIFFNESS not in mine else COURANT
                check_stable(body, wave_speed(model, mine), mine, sim, options, courant)

        return check

    def solver(self, colliders: Colliders, first: int) -> MPMSolver:
        bodies = [
            MPMBody(
                name=entity.name,
                positions=entity.initial_positions,
                volume=entity.particle_volume,
                model=entity.material.constitutive_model,
                numbers=[getattr(entity.material, number) for number in entity.numbers],
                added=entity.numbers[len(entity.model.numbers) :],
            )
            for entity in self.entities
        ]
        sim = self.build.sim
        return MPMSolver(bodies, self.build.options, sim.dt, sim.substeps, self.build.n_envs, colliders)


class ParticleKind(Kind):
    """Final."""

    name, noun = "mpm", "a body of particles"
    options_name, options = "mpm_options", MPMOptions
    materials = (ParticleMaterial,)
    entity_types = (ParticleEntity,)
    is_matter = True
    state = MPMState
    direct = ("pos", "vel", "C", "F", "Jp")
    zero_if_absent = ("hold",)

    def entities(
        self, idx: int, name: str, morph: morphs.Morph, material: Any, surface: Default, options: Any
    ) -> list[Entity]:
        if not isinstance(morph, morphs.SolidMorph):
            raise GenesisTypeError(
                "a body of particles must be solid (Box, Sphere, Cylinder, Capsule or Mesh), got a "
                f"{type(morph).__name__}. Choose one, or material Rigid."
            )
        must_not_be_fixed(morph, material)
        return [ParticleEntity(idx, name, morph, material, surface, model_of(material))]

    def assemble(self, entities: Sequence[Entity], build: Build) -> ParticlePart | None:
        mine: list[ParticleEntity] = of_kind(self, entities)
        particles = numbers = 0
        for entity in mine:
            check_size(entity, build.options)
            positions = sample(entity.morph, build.options.spacing, entity.material.sampler, build.generator)
            entity._place(positions, build.options, particles, numbers)
            particles += len(positions)
            numbers += len(entity.numbers)
        return ParticlePart(mine, build) if mine else None

    def other_state(self, values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        hold = values["hold"].detach().as_subclass(torch.Tensor)
        return {"Jp": torch.ones_like(hold[..., 3]), "active": hold[..., 3] >= 0}

    def check_state(self, entities: Sequence[Entity], field: str, rows: torch.Tensor) -> None:
        if field == "actu":
            check_range("state mpm.actu", rows, *ACTIVATION, closed=True)
        if field == "hold":
            check_hold("state mpm.hold", rows)
        if field == "pos":
            for entity in of_kind(self, entities):
                entity._check_on_grid(rows)
