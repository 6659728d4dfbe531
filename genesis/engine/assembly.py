"""From entities to solvers: what each kind contributes to a scene, put together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from genesis import runtime
from genesis.contact.colliders import Colliders
from genesis.contact.doubling import Doubling
from genesis.contact.jumps import Jumps
from genesis.contact.sinking import Sinking
from genesis.engine.coupling import Coupling
from genesis.engine.entities.base import Entity
from genesis.engine.kinds import KINDS
from genesis.engine.kinds.base import Build, Check, ParameterFields, Part, of_kind
from genesis.engine.parameters import Constraint, Parameter
from genesis.engine.placing import check_places
from genesis.options import SimOptions


def with_substeps(entities: Sequence[Entity], sim: SimOptions, options: Mapping[str, Any]) -> SimOptions:
    """Options that say how many substeps there are: what the kinds ask for, where the scene's do not."""
    if sim.substeps:
        return sim
    needed = max(kind.substeps(entities, options[kind.options_name], sim.dt) for kind in KINDS)
    multiple = math.lcm(*(kind.divisor(options[kind.options_name]) for kind in KINDS))
    substeps = math.ceil(needed / multiple) * multiple
    if substeps > 1:
        runtime.logger.info(
            f"SimOptions.substeps is {substeps} here, of {sim.dt / substeps:.3g} s each. Give it to choose."
        )
    return replace(sim, substeps=substeps)


def assemble(
    entities: Sequence[Entity], scene: Any, options: Mapping[str, Any], n_envs: int, outputs: tuple[str, ...]
) -> list[Part]:
    """What each kind contributes. The entities learn their places.

    Args:
        options: Of every kind, by their keywords.

    Raises:
        GenesisValueError: Matter starts outside of its domain, or inside of what pushes it.
    """
    generator = np.random.default_rng(runtime.current().seed)
    matter = any(kind.is_matter and of_kind(kind, entities) for kind in KINDS)
    parts = []
    for kind in KINDS:
        build = Build(scene, scene.sim_options, options[kind.options_name], n_envs, outputs, generator, matter)
        part = kind.assemble(entities, build)
        if part is not None:
            parts.append(part)
    placed = [each for part in parts for each in part.placed]
    for part in parts:
        if part.domain is not None:
            check_places(placed, part.points, part.domain)
    return parts


def parameters(parts: Sequence[Part], scene: Any, n_envs: int) -> ParameterFields:
    """Every parameter field's numbers as options and materials say."""
    gravity = torch.tensor(scene.sim_options.gravity, dtype=torch.float64)
    anything = Constraint(-math.inf, math.inf)
    number = Parameter.of("gravity", "scene.set_gravity", anything, gravity, n_envs, (3,))
    fields: ParameterFields = {("scene", "gravity"): [number]}
    for part in parts:
        fields.update(part.parameters())
    return fields


def checks(parts: Sequence[Part]) -> Check:
    """A function that raises unless parameters pass every check. It holds no entity."""
    found = [check for part in parts if (check := part.stability_check()) is not None]
    reactions = [check for part in parts if (check := part.reaction_check()) is not None]
    matter = [part.matter for part in parts if part.matter is not None]

    def check_all(fields: ParameterFields) -> None:
        for check in found:
            check(fields)
        present = [of(fields) for of in matter] if reactions else []
        for check in reactions:
            check(fields, present)

    return check_all


def couple(parts: Sequence[Part], sim: SimOptions) -> Coupling:
    """The solvers, and the record in which they exchange."""
    every = [collider for part in parts for collider in part.colliders]
    feedback = any(part.takes_impulses for part in parts)
    colliders = Colliders(
        every, sim.substeps, max(part.chunks for part in parts), feedback, sum(part.offers for part in parts)
    )
    solvers, first = [], 0
    for part in parts:
        solvers.append(part.solver(colliders, first))
        first += len(part.colliders)
    names = [each.name for part in parts for each in part.placed]
    cells = [part.domain.cell for part in parts if part.domain is not None]
    sinking = Sinking(every, names, max(cells)) if cells else None
    jumps, doubling = Jumps(every, names, sim.substep_dt), {}
    for part, solver in zip(parts, solvers, strict=True):
        if part.domain is not None and len(part.points) > 1:
            bodies = [(name, len(x), v) for (name, x), v in zip(part.points, part.particle_volumes, strict=True)]
            doubling[solver.name] = Doubling(bodies, part.domain.cell)
    return Coupling(solvers, colliders, sim.substeps, jumps, sinking, doubling)
