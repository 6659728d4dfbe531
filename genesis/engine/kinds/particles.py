"""Bodies of particles."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from genesis import morphs
from genesis.checks import check_range
from genesis.contact.colliders import Colliders, Domain, Matter
from genesis.engine.entities.base import Entity
from genesis.engine.entities.muscle import ACTIVATION, fibre_parameter
from genesis.engine.entities.particle import ParticleEntity
from genesis.engine.entities.particle_life import check_hold
from genesis.engine.kinds.base import Build, Check, Kind, ParameterFields, Part, of_kind
from genesis.engine.kinds.tools import check_without_rigid_options
from genesis.engine.parameters import Constraint, Parameter, material_parameter
from genesis.engine.placing import warn_of_overlaps
from genesis.engine.sampling import sample
from genesis.engine.stability import check_stable, longest_substep, wave_speed
from genesis.engine.state import MPMState
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.tensor import plain_of
from genesis.materials import ParticleMaterial
from genesis.options import MPMOptions
from genesis.solvers.mpm.added import ADDED, STIFFNESS
from genesis.solvers.mpm.grid import most_offers
from genesis.solvers.mpm.models import MODELS, Model
from genesis.solvers.mpm.models.model import COURANT
from genesis.solvers.mpm.solver import MPMBody, MPMSolver, count_chunks
from genesis.surfaces import Default

MOST_BY_DEFAULT = 200
"""Substeps that are chosen for a stiffness; who wants more must say so."""


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


def numbers_of(entity: ParticleEntity) -> dict[str, torch.Tensor]:
    """() or (B,) each, float64, by name, as the material says."""
    material = entity.material
    return {
        name: torch.as_tensor(getattr(material, name), dtype=torch.float64).detach().cpu() for name in entity.numbers
    }


def packed(numbers: Iterator[Parameter], names: Sequence[str]) -> dict[str, torch.Tensor]:
    """The next numbers of a body, (B,) each, float64, by their names."""
    return {name: next(numbers).pack(torch.float64, torch.device("cpu")).detach() for name in names}


class ParticlePart(Part):
    """The bodies of particles of a scene."""

    def __init__(self, entities: Sequence[ParticleEntity], build: Build) -> None:
        self.entities, self.build = entities, build
        self.chunks = count_chunks(build.n_envs, sum(entity.n_particles for entity in entities))
        self.offers = most_offers(build.options, self.chunks)
        volumes = [(entity.model, entity.numbers, entity.n_particles * entity.particle_volume) for entity in entities]
        cell = build.options.dx

        def matter(fields: ParameterFields) -> Matter:
            numbers = iter(fields["mpm", "material"])
            densities, masses, speeds = [], [], []
            for model, names, volume in volumes:
                mine = packed(numbers, names)
                densities.append(mine["rho"])
                masses.append(volume * mine["rho"])
                speeds.append(wave_speed(model, mine))
            density, speed = (torch.stack(each).amax(0) for each in (densities, speeds))
            return Matter(density, cell, torch.stack(masses).sum(0), speed)

        self.matter = matter
        options, padding = build.options, build.options.PADDING * cell
        lower = tuple(bound + padding for bound in options.lower_bound)
        upper = tuple(bound - padding for bound in options.upper_bound)
        self.domain = Domain(lower, upper, padding, cell)
        self.points = [(entity.name, entity.initial_positions) for entity in entities]
        self.particle_volumes = [entity.particle_volume for entity in entities]

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
                mine = packed(numbers, names)
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
        check_without_rigid_options(morph, material)
        return [ParticleEntity(idx, name, morph, material, surface, model_of(material))]

    def substeps(self, entities: Sequence[Entity], options: MPMOptions, dt: float) -> int:
        needed = 1
        for entity in of_kind(self, entities):
            numbers = numbers_of(entity)
            sizes = {len(of) for of in numbers.values() if of.ndim}
            if len(sizes) > 1 or 0 in sizes:  # values for other numbers of environments, which the checks say, too
                continue
            longest = float(longest_substep(wave_speed(entity.model, numbers), numbers, options).min())
            if dt < MOST_BY_DEFAULT * longest:  # not where a number is unlawful, which the checks say
                needed = max(needed, math.ceil(dt / longest))
        return needed

    def assemble(self, entities: Sequence[Entity], build: Build) -> ParticlePart | None:
        mine: list[ParticleEntity] = of_kind(self, entities)
        particles = numbers = 0
        for entity in mine:
            check_size(entity, build.options)
            positions = sample(entity.morph, build.options.spacing, entity.material.sampler, build.generator)
            entity._place(positions, build.options, particles, numbers)
            particles += len(positions)
            numbers += len(entity.numbers)
        warn_of_overlaps([(entity.name, entity.morph, entity.initial_positions) for entity in mine])
        return ParticlePart(mine, build) if mine else None

    def other_state(self, values: Mapping[str, torch.Tensor], solver: MPMSolver) -> dict[str, torch.Tensor]:
        hold = values["hold"].detach().as_subclass(torch.Tensor)
        memory = plain_of(values["memory"]) if "memory" in values else hold[..., :0]
        return {"Jp": solver.plastic_volume(memory), "active": hold[..., 3] >= 0}

    def check_state(self, entities: Sequence[Entity], field: str, rows: torch.Tensor) -> None:
        if field == "actu":
            check_range("state mpm.actu", rows, *ACTIVATION, closed=True)
        if field == "hold":
            check_hold("state mpm.hold", rows)
        if field == "pos":
            for entity in of_kind(self, entities):
                entity._check_on_grid(rows)
