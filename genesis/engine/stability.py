"""How long a substep of the particle solver may be. docs/mpm.md, "Stability", has the reasons."""

import math
from collections.abc import Mapping

import torch

from genesis.errors import GenesisValueError
from genesis.options import MPMOptions, SimOptions
from genesis.solvers.mpm.added import STIFFNESS, VISCOSITY
from genesis.solvers.mpm.models.model import COURANT, Model, lame
from genesis.warning import warn_once

VISCOUS = 4.0
"""What viscosity nu adds to (substep_dt * c / dx)^2: this times substep_dt * nu / dx^2."""
SUDDEN = 4.0
"""What fibres that become fully active in one substep add to rho c^2: this times the jump of their stress."""


def wave_speed(model: Model, numbers: Mapping[str, torch.Tensor], lowest: torch.Tensor | None = None) -> torch.Tensor:
    """(B,) m/s, of a body with `numbers` (B,) each, in the stiffest state that it can reach.

    Args:
        model: Of the body.
        numbers: Of the body, by name.
        lowest: (B,) activation of a muscle, -mu / stiffness < lowest <= 0, in which it rests, lengthened, before its
            fibres become fully active. Default 0.
    """
    squared = model.speed(numbers) ** 2
    if STIFFNESS not in numbers:
        return squared.sqrt()
    mu, k = lame(numbers["E"], numbers["nu"])[0], numbers[STIFFNESS]
    active = torch.zeros_like(k) if lowest is None else lowest
    stretch = 1 / (1 + active * k / mu)
    """At most this is the square of that along the fibres at rest."""
    return (squared + (2 * mu * (stretch - 1) + SUDDEN * k * (1 - active) * stretch) / numbers["rho"]).sqrt()


def longest_substep(c: torch.Tensor, numbers: Mapping[str, torch.Tensor], mpm: MPMOptions) -> torch.Tensor:
    """(B,) s, that of a body with `numbers` (B,) each and waves of speed `c` (B,) m/s."""
    nu = numbers.get(VISCOSITY, torch.zeros_like(c)) / numbers["rho"]
    speed, damping = (c / mpm.dx) ** 2, VISCOUS * nu / mpm.dx**2
    return 2 * COURANT**2 / (damping + (damping**2 + 4 * COURANT**2 * speed).sqrt())


def check_stable(
    what: str,
    c: torch.Tensor,
    numbers: Mapping[str, torch.Tensor],
    sim: SimOptions,
    mpm: MPMOptions,
    courant: float = COURANT,
    remedy: str = "",
) -> None:
    """Raise if a substep is too long for waves of speed `c` (B,) in a body with `numbers` (B,) each.

    Only told if it is not safe but its Courant number is `courant` at most. The message ends with `remedy`.
    """
    longest = longest_substep(c, numbers, mpm)
    worst = int(longest.argmin())
    limit, nu = float(longest[worst]), numbers.get(VISCOSITY, torch.zeros_like(c)) / numbers["rho"]
    if sim.substep_dt > limit:
        if not float(nu[worst]) and sim.substep_dt <= limit * courant / COURANT:
            warn_once(
                f"the substep of {what} should be at most {limit:.3g} s for its stiffness, got {sim.substep_dt:.3g} s, "
                f"at which compression can make it unstable. Use substeps={math.ceil(sim.dt / limit)} to be safe."
            )
            return
        viscous = f", a kinematic viscosity of {float(nu[worst]):.3g} m^2/s" if float(nu[worst]) > 0 else ""
        raise GenesisValueError(
            f"the substep of {what} must be at most {limit:.3g} s for its stiffness (waves of {float(c[worst]):.3g} m/s"
            f"{viscous} on a grid of {mpm.dx:.3g} m), got {sim.substep_dt:.3g} s. "
            f"Use substeps={math.ceil(sim.dt / limit)} or more, or a dt of at most {limit * sim.substeps:.3g} s"
            f"{remedy}."
        )
