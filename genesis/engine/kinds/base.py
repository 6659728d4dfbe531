"""What a scene asks of a kind of matter or of bodies, so that it has to know none by name."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from genesis.contact.colliders import Collider, Colliders, Domain, Matter
from genesis.engine.entities.base import Entity
from genesis.engine.parameters import Parameter
from genesis.engine.placing import Placed
from genesis.morphs import Morph
from genesis.options import SimOptions
from genesis.solvers.base import Solver
from genesis.surfaces import Default

ParameterFields = dict[tuple[str, str], list[Parameter]]
"""(solver, field) -> its numbers in the solver's row-major order."""
Check = Callable[[ParameterFields], None]
"""Raises unless a scene can be simulated with these parameters. Holds no entity, for it outlives the build."""
ReactionCheck = Callable[[ParameterFields, Sequence[Matter]], None]
"""The same of bodies among matter, which pushes them in turn."""


@dataclass(frozen=True)
class Build:
    """What a scene is being built with."""

    scene: Any
    """Of which tensors that users give must be, if of any."""
    sim: SimOptions
    options: Any
    """Of the kind, an instance of its `options`."""
    n_envs: int
    outputs: tuple[str, ...]
    generator: np.random.Generator
    matter: bool
    """Whether the scene has matter, which colliders push."""


class Part(ABC):
    """Abstract: what the entities of one kind contribute to a scene. Lives while the scene is built."""

    colliders: Sequence[Collider] = ()
    """What pushes matter, if these are bodies."""
    takes_impulses = False
    """Whether its bodies are pushed in turn."""
    chunks = 1
    """Partial sums in which matter adds up what it does to colliders."""
    offers = 0
    """Points at which it may be pushed in each of these."""
    matter: Callable[[ParameterFields], Matter] | None = None
    """What bodies must know of it with these parameters, if it is pushed by colliders. Holds no entity."""

    placed: Sequence[Placed] = ()
    """Where colliders begin, in their order."""
    points: Sequence[tuple[str, np.ndarray]] = ()
    """Of each body, if it is pushed by colliders, its name and where its particles begin (n, 3)."""
    particle_volumes: Sequence[float] = ()
    """m^3 that each particle of these has."""
    domain: Domain | None = None
    """Where these may be, if it has walls."""

    @abstractmethod
    def parameters(self) -> ParameterFields:
        """All parameters as options and materials say."""

    def stability_check(self) -> Check | None:
        """What parameters must obey beyond their own ranges."""
        return None

    def reaction_check(self) -> ReactionCheck | None:
        """That bodies are not too light for what pushes them in turn; None if nothing does."""
        return None

    @abstractmethod
    def solver(self, colliders: Colliders, first: int) -> Solver:
        """The solver. `colliders` are those of the whole scene; `first` is the index of the part's own."""


class Kind(ABC):
    """Abstract: one kind of matter or of bodies. An instance has no state; one of each is in `KINDS`."""

    name: str
    """Of its solver, of its values, and of its part of a scene's state."""
    noun: str
    """In messages, with an article."""
    options_name: str
    """The keyword of `Scene`."""
    options: type
    materials: tuple[type, ...]
    """What its entities may be made of."""
    entity_types: tuple[type[Entity], ...]
    outputs: tuple[str, ...] = ()
    """What a step can also compute."""
    is_matter = False
    """Whether it is made of points that colliders push."""
    state: type
    """Of all its entities; a frozen dataclass with a field for every value of the solver's state and controls."""
    direct: tuple[str, ...] = ()
    """Fields of its state that the scene's state has, too."""
    zero_if_absent: tuple[str, ...] = ()
    """Fields of its state that saved ones may lack, None there."""

    def default_material(self, morph: Morph) -> Any:
        """What a morph without a material is made of, if this kind takes it; else None."""
        return None

    @abstractmethod
    def entities(
        self, idx: int, name: str, morph: Morph, material: Any, surface: Default, options: Any
    ) -> list[Entity]:
        """The entity of a morph, and after it those that come with it.

        Raises:
            GenesisTypeError: The material does not go with the morph.
        """

    def substeps(self, entities: Sequence[Entity], options: Any, dt: float) -> int:
        """How many substeps a control step of dt s has by default, as far as these entities ask for more than one."""
        return 1

    def divisor(self, options: Any) -> int:
        """What the number of substeps must be a multiple of."""
        return 1

    @abstractmethod
    def assemble(self, entities: Sequence[Entity], build: Build) -> Part | None:
        """Place the entities of this kind, which may be none, and say what they contribute; None for nothing."""

    def other_state(self, values: Mapping[str, torch.Tensor], solver: Any) -> dict[str, torch.Tensor]:
        """Fields of `state` that are no values of the part's solver, from those that are."""
        return {}

    def check_state(self, entities: Sequence[Entity], field: str, rows: torch.Tensor) -> None:
        """Raise unless rows (K, *shape) of a state's field can be simulated. They are finite."""
        return


def of_kind(kind: Kind, entities: Sequence[Entity]) -> list[Any]:
    """Those of a kind, in their order."""
    return [entity for entity in entities if isinstance(entity, kind.entity_types)]
