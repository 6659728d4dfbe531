"""Bodies of particles."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from genesis import morphs
from genesis.contact.colliders import Colliders
from genesis.engine.entities.base import Entity
from genesis.engine.entities.particle import ParticleEntity
from genesis.engine.kinds.base import Build, Check, Kind, ParameterFields, Part, of_kind
from genesis.engine.kinds.tools import must_not_be_fixed
from genesis.engine.parameters import Constraint, material_parameter
from genesis.engine.sampling import sample
from genesis.engine.state import MPMState
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.materials import E_RANGE, MPM, NU_RANGE, RHO_RANGE, ParticleMaterial
from genesis.options import MPMOptions, SimOptions
from genesis.solvers.mpm.solver import MPMBody, MPMSolver, count_chunks
from genesis.surfaces import Default

COURANT = 0.7
"""Largest substep_dt * c / dx at which the particle solver is taken to be stable; c is the speed of pressure waves."""


def wave_speed(E: torch.Tensor, nu: torch.Tensor, rho: torch.Tensor, model: str) -> torch.Tensor:
    """Speed of pressure waves, m/s: sqrt((lambda + 2 mu) / rho), for a liquid sqrt(lambda / rho)."""
    lam = E * nu / ((1 + nu) * (1 - 2 * nu))
    mu = torch.zeros_like(E) if model == "liquid" else E / (2 * (1 + nu))
    return ((lam + 2 * mu).clamp_min(0.0) / rho).sqrt()


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


class ParticlePart(Part):
    """The bodies of particles of a scene."""

    def __init__(self, entities: Sequence[ParticleEntity], build: Build) -> None:
        self.entities, self.build = entities, build
        self.chunks = count_chunks(build.n_envs, sum(entity.n_particles for entity in entities))

    def parameters(self) -> ParameterFields:
        numbers, build = [], self.build
        for entity in self.entities:
            for name, low_high in (("E", E_RANGE), ("nu", NU_RANGE), ("rho", RHO_RANGE)):
                constraint = Constraint(*low_high)
                numbers.append(material_parameter(entity, name, "set_material", constraint, build.n_envs, build.scene))
        return {("mpm", "material"): numbers}

    def stability_check(self) -> Check:
        bodies = [(entity.name, entity.material.constitutive_model) for entity in self.entities]
        sim, options = self.build.sim, self.build.options

        def check(fields: ParameterFields) -> None:
            for k, (name, model) in enumerate(bodies):
                numbers = fields["mpm", "material"][3 * k : 3 * k + 3]
                E, nu, rho = (number.pack(torch.float64, torch.device("cpu")).detach() for number in numbers)
                check_stable(name, wave_speed(E, nu, rho, model), sim, options)

        return check

    def solver(self, colliders: Colliders, first: int) -> MPMSolver:
        bodies = [
            MPMBody(
                name=entity.name,
                positions=entity.initial_positions,
                volume=entity.particle_volume,
                model=entity.material.constitutive_model,
                E=entity.material.E,
                nu=entity.material.nu,
                rho=entity.material.rho,
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

    def default_material(self, morph: morphs.Morph) -> Any:
        return MPM.Elastic() if isinstance(morph, morphs.SolidMorph) else None

    def entities(self, idx: int, name: str, morph: morphs.Morph, material: Any, surface: Default) -> list[Entity]:
        if not isinstance(morph, morphs.SolidMorph):
            raise GenesisTypeError(
                f"a body of particles must be solid (Box, Sphere, Cylinder or Capsule), got a {type(morph).__name__}. "
                "Choose one, or material Rigid."
            )
        must_not_be_fixed(morph, material)
        return [ParticleEntity(idx, name, morph, material, surface)]

    def assemble(self, entities: Sequence[Entity], build: Build) -> ParticlePart | None:
        mine: list[ParticleEntity] = of_kind(self, entities)
        particles = 0
        for column, entity in enumerate(mine):
            positions = sample(entity.morph, build.options.spacing, entity.material.sampler, build.generator)
            entity._place(positions, build.options, particles, column)
            particles += len(positions)
        return ParticlePart(mine, build) if mine else None

    def other_state(self, values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        pos = values["pos"]
        ones = torch.ones(pos.shape[:2], dtype=pos.dtype, device=pos.device)
        return {"Jp": ones, "active": ones.bool()}

    def check_state(self, entities: Sequence[Entity], field: str, rows: torch.Tensor) -> None:
        if field == "pos":
            for entity in of_kind(self, entities):
                entity._check_on_grid(rows)
