"""Least squares in many starts at once: a search by exact gradients, then Levenberg's and Marquardt's method.

Places are in units of the bounds, 0 to 1. `simulate` maps places (N, P) to signals (N, M) in units of their noise; C
starts have data (C, M) of their own or the same. Costs are half the sums of squares of the residuals, simulated less
observed.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

Simulate = Callable[[torch.Tensor], torch.Tensor]

RATE = 0.05
"""Of the search: how far a parameter moves in one of its steps at first, in units of the bounds."""
LONGEST_STEP = 0.3
"""Of a parameter in one iteration, in units of the bounds."""
FIRST_DAMPING, LADDER = 1e-2, (-3.0, 3.0)
"""Damping at the start, and decades below and above the present one that are tried at once."""
LITTLE = 1e-4
"""Decrease of the cost, in residual variances, that counts as none: a step of a hundredth of a standard deviation."""


class Minima(NamedTuple):
    """Where C starts have arrived."""

    unit: torch.Tensor
    """(C, P)."""
    residual: torch.Tensor
    """(C, M)."""
    jacobian: torch.Tensor
    """(C, P, M): slopes of the residuals there."""
    converged: torch.Tensor
    """(C,) bool."""
    iterations: int

    @property
    def cost(self) -> torch.Tensor:
        """(C,)."""
        return cost_of(self.residual)


def cost_of(residual: torch.Tensor) -> torch.Tensor:
    """(N,) costs of residuals (N, M); infinite where one is not finite."""
    return torch.nan_to_num(0.5 * residual.square().sum(1), nan=torch.inf)


def latin_hypercube(n: int, dimensions: int, seed: int) -> torch.Tensor:
    """(n, dimensions) places within 0 and 1, one in each n-th of every axis."""
    generator = np.random.default_rng(seed)
    layers = np.stack([generator.permutation(n) for _ in range(dimensions)], 1)
    return torch.as_tensor((layers + generator.random((n, dimensions))) / n)


def search(
    simulate: Simulate, data: torch.Tensor, start: torch.Tensor, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Adam on the gradients that come back through the simulation, all starts at once.

    Source: Kingma and Ba, "Adam" (2015). A start whose simulation or gradient is not finite stays where it was.

    Args:
        simulate: As above, differentiable.
        data: (C, M) or (M,).
        start: (C, P).
        steps: How many; none: the starts are simulated only.

    Returns:
        (C, P) the best place of each start, and its cost (C,).
    """
    unit, mean, square = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    best, lowest = start.clone(), torch.full((len(start),), torch.inf, dtype=start.dtype)
    for step in range(steps + 1):
        here = unit.requires_grad_(step < steps)
        with torch.set_grad_enabled(step < steps):
            residual = simulate(here) - data
        cost = cost_of(residual.detach())
        better = cost < lowest
        best[better], lowest[better] = here.detach()[better], cost[better]
        if step == steps:
            break
        usable = torch.isfinite(cost)
        total = torch.where(usable[:, None], residual, 0.0).square().sum()
        (slope,) = torch.autograd.grad(0.5 * total, here)
        slope = torch.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)
        mean = 0.9 * mean + 0.1 * slope
        square = 0.95 * square + 0.05 * slope.square()
        direction = mean / (1 - 0.9 ** (step + 1)) / ((square / (1 - 0.95 ** (step + 1))).sqrt() + 1e-300)
        unit = (here.detach() - RATE * (1 - step / steps) * direction).clamp(0.0, 1.0)
    return best, lowest


@torch.no_grad()
def slopes(simulate: Simulate, unit: torch.Tensor, difference: float) -> torch.Tensor:
    """(C, P, M) slopes of signals at places (C, P) by central differences, one-sided at a bound."""
    shifts = difference * torch.eye(unit.shape[1], dtype=unit.dtype)
    above, below = (unit[:, None] + shifts).clamp(max=1.0), (unit[:, None] - shifts).clamp(min=0.0)
    signals = simulate(torch.cat([above, below]).flatten(0, 1)).view(2, *above.shape[:2], -1)
    width = (above - below).diagonal(dim1=1, dim2=2)
    return torch.nan_to_num((signals[0] - signals[1]) / width[..., None])


@torch.no_grad()
def levenberg_marquardt(
    simulate: Simulate, data: torch.Tensor, start: torch.Tensor, iterations: int, difference: float
) -> Minima:
    """Go to the minimum next to each start. A parameter stays at a bound as long as the slope presses it there.

    An iteration simulates each start 4 P times: differences, then 2 P dampings, of which the best counts.
    Source: Marquardt, "An algorithm for least-squares estimation of nonlinear parameters" (1963).

    Args:
        simulate: As above.
        data: (C, M) or (M,).
        start: (C, P).
        iterations: At most.
        difference: Half the width of differences, in units of the bounds.
    """
    unit, (n, p) = start.clone(), start.shape
    data = data.expand(n, -1)
    residual = simulate(unit) - data
    jacobian = torch.zeros(n, p, data.shape[1], dtype=unit.dtype)
    damping = torch.full((n,), FIRST_DAMPING, dtype=unit.dtype)
    stuck, converged = torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.bool)
    active = torch.isfinite(cost_of(residual))
    decades = torch.logspace(*LADDER, 2 * p, dtype=unit.dtype)
    done = 0
    for done in range(iterations + 1):
        rows = active.nonzero().flatten()
        if not len(rows):
            break
        jacobian[rows] = slopes(simulate, unit[rows], difference)
        gradient, hessian, variance = _normal_equations(unit[rows], residual[rows], jacobian[rows])
        floor = variance[:, None, None] * torch.eye(p, dtype=unit.dtype)
        newton = torch.linalg.solve(hessian + floor, -gradient)
        promised = -(gradient * newton).sum(1)
        arrived = promised <= LITTLE * variance
        converged[rows] = arrived | (promised <= 100 * LITTLE * variance)
        active[rows[arrived | (stuck[rows] > 1)]] = False
        go = ~(arrived | (stuck[rows] > 1))
        rows, gradient, hessian = rows[go], gradient[go], hessian[go]
        if done == iterations or not len(rows):
            continue
        tried = damping[rows, None] * decades
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        weights = torch.diag_embed(torch.maximum(diagonal, 1e-9 * diagonal.amax(1, keepdim=True) + 1e-30))
        systems = hessian[:, None] + tried[..., None, None] * weights[:, None]
        moves = torch.linalg.solve(systems, -gradient[:, None, :, None].expand(*tried.shape, p, 1))[..., 0]
        places = (unit[rows, None] + moves.clamp(-LONGEST_STEP, LONGEST_STEP)).clamp(0.0, 1.0)
        outcomes = simulate(places.flatten(0, 1)).view(*tried.shape, -1) - data[rows, None]
        costs = cost_of(outcomes.flatten(0, 1)).view(tried.shape)
        least, which = costs.min(1)
        better = least < cost_of(residual[rows])
        taken, chosen = rows[better], (torch.arange(len(rows))[better], which[better])
        unit[taken], residual[taken], damping[taken] = places[chosen], outcomes[chosen], tried[chosen].clamp(min=1e-9)
        stuck[taken] = 0
        stuck[rows[~better]] += 1
        damping[rows[~better]] *= 1e4
    return Minima(unit, residual, jacobian, converged, done)


def _normal_equations(
    unit: torch.Tensor, residual: torch.Tensor, jacobian: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradient (C, P), Gauss and Newton's Hessian (C, P, P), residual variance (C,); without held parameters."""
    gradient = (jacobian @ residual[..., None])[..., 0]
    hessian = jacobian @ jacobian.transpose(1, 2)
    variance = residual.square().sum(1) / (residual.shape[1] - unit.shape[1])
    held = ((unit <= 0) & (gradient > 0)) | ((unit >= 1) & (gradient < 0))
    gradient = torch.where(held, 0.0, gradient)
    hessian = torch.where(held[:, None] | held[:, :, None], 0.0, hessian) + torch.diag_embed(held.to(hessian.dtype))
    return gradient, hessian, variance
