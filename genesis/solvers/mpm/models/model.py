"""What a material of the particle solver is: a record of numbers, memory and functions."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from genesis.compiler import Functions

FIRST_NUMBERS = ("E", "nu", "rho")
"""The first numbers of every model: Young's modulus (Pa), Poisson's ratio, density (kg/m^3)."""


KEPT = 32
"""Lane values that a model's stress may keep for its adjoint."""


class Memory(NamedTuple):
    """One value that a particle keeps from substep to substep beside F."""

    name: str
    initial: float = 0.0
    """Of every entry, where a body is placed."""
    shape: tuple[int, ...] = ()


def isochoric(memory: torch.Tensor) -> torch.Tensor:
    """`Model.plastic_volume` of what does not flow, or keeps its volume when it does."""
    return memory.new_ones(memory.shape[:-1])


COURANT = 0.7
"""Largest substep_dt * speed / dx at which any model is taken to be stable."""
BOLD = 0.9
"""The same of what was stable up to 1 and more (docs/decisions.md, 9), for `Model.courant`."""


class Model(NamedTuple):
    """A constitutive model. `functions` makes, once for each runtime, the two functions of kernels

        stress(F, m, h)                              -> F', tau, h', kept
        stress_adjoint(F, m, h, kept, gF', gtau, gh') -> gF, gm, gh

    They work on lanes (`genesis.math.lanes`): several particles of one body side by side, one on a GPU.

    F       Mat, the trial deformation gradient (1 + dt C) F_old; F' what the particle keeps of it
    m       Vec (mu, lambda, own numbers ...): Lame's parameters of E and nu (Pa), and the numbers after E, nu, rho.
            Its components may be plain reals, the same for all lanes, or lane values
    h, h'   Vec, the memory before and after the substep, flat; without components where `memory` is empty
    tau     Mat, Kirchhoff stress, Pa
    kept    Vec of at most KEPT lane values: whatever the adjoint wants again, so that nothing is computed twice
    g*      cotangents, of the same shapes; gtau need not be symmetric
    """

    name: str
    numbers: tuple[str, ...]
    """What the user sets: `FIRST_NUMBERS`, then its own."""
    memory: tuple[Memory, ...]
    speed: Callable[[Mapping[str, torch.Tensor]], torch.Tensor]
    """Of pressure waves at rest, m/s, from the numbers by name, (B,) each; bounds the substep."""
    functions: Callable[[], Functions]
    courant: float = COURANT
    """Largest substep_dt * speed / dx that is not refused; above `COURANT` a notice says that it is not safe."""
    plastic_volume: Callable[[torch.Tensor], torch.Tensor] | None = None
    """From memory (..., width): by how much plastic flow has changed the volume, (...), a ratio. None: nobody knows."""

    @property
    def own_numbers(self) -> tuple[str, ...]:
        """Those after E, nu, rho."""
        return self.numbers[len(FIRST_NUMBERS) :]

    @property
    def width(self) -> int:
        """Scalars of memory of a particle."""
        return sum(math.prod(field.shape) for field in self.memory)

    @property
    def initial_memory(self) -> list[float]:
        """(width,)"""
        return [field.initial for field in self.memory for _ in range(math.prod(field.shape))]


def plastic_volume(model: Model, memory: torch.Tensor) -> torch.Tensor:
    """(...) of a body from its memory (..., H), of which the first entries are its model's; NaN where nobody knows."""
    if model.plastic_volume is None:
        return memory.new_full(memory.shape[:-1], torch.nan)
    return model.plastic_volume(memory[..., : model.width])


def lame(E: torch.Tensor, nu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """mu and lambda, Pa."""
    return E / (2 * (1 + nu)), E * nu / ((1 + nu) * (1 - 2 * nu))


def solid_speed(numbers: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """sqrt((lambda + 2 mu) / rho): of an elastic solid."""
    mu, lam = lame(numbers["E"], numbers["nu"])
    return ((lam + 2 * mu).clamp_min(0.0) / numbers["rho"]).sqrt()


def fluid_speed(numbers: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """sqrt(lambda / rho): of what resists changes of volume only."""
    _mu, lam = lame(numbers["E"], numbers["nu"])
    return (lam.clamp_min(0.0) / numbers["rho"]).sqrt()
