"""How well data determine parameters: 95 % intervals, and what they do not determine, from a fit's slopes."""

from typing import NamedTuple

import torch

CONFIDENCE = 0.95
NORMAL = 1.959964
"""Half the width of the normal distribution's 95 % interval, in standard deviations."""
INVOLVED = 0.2
"""Share of a parameter in a direction of length one from which it is named."""


class Certainty(NamedTuple):
    """In units of the bounds."""

    half: torch.Tensor
    """(P,) half the width of each parameter's 95 % interval."""
    weak: list[list[int]]
    """Parameters of each direction that the data determine worse than the bounds do."""


def student(freedom: float) -> float:
    """Half the width of the 95 % interval of Student's distribution.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.5; wrong by 1e-3 at 10 degrees of
    freedom, where it is called least.
    """
    x, n = NORMAL, freedom
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
    )
    return x + sum(term / n ** (k + 1) for k, term in enumerate(terms))


def certainty(residual: torch.Tensor, jacobian: torch.Tensor) -> Certainty:
    """What a fit is worth, where residuals are noise and slopes hold over the interval.

    The covariance is the residual variance times the inverse of Gauss and Newton's Hessian J J^T. Directions in which
    it is longer than the bounds are, which an inverse would make infinite, count as long as these.

    Args:
        residual: (M,) simulated less observed, in units of the noise.
        jacobian: (P, M) its slopes by parameters in units of their bounds.
    """
    n, m = jacobian.shape
    variance = residual.square().sum() / (m - n)
    information, directions = torch.linalg.eigh(jacobian @ jacobian.T)
    deviations = (variance / information.clamp(min=1e-300)).sqrt()
    quantile = student(m - n)
    half_of_bounds = 0.5
    weak = [
        [k for k in range(n) if abs(float(direction[k])) >= INVOLVED]
        for direction, deviation in zip(directions.T, deviations, strict=True)
        if float(quantile * deviation) >= half_of_bounds
    ]
    limited = deviations.clamp(max=2 * half_of_bounds / quantile)
    half = quantile * (directions.square() @ limited.square()).sqrt()
    return Certainty(half, weak)
