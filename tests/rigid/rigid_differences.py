"""Derivatives by Ridders' method: central differences of several steps, extrapolated, with an estimate of their error.

The step is chosen by how well the extrapolations agree with each other, never by what they are compared with.
"""

from dataclasses import dataclass

import torch

SMOOTH_STEPS = tuple(0.02 * 3.0**-k for k in range(8))
"""2e-2 to 9e-6, relative to the size of the input: for what has no corners."""
STIFF_STEPS = tuple(1e-3 * 4.0**-k for k in range(8))
"""1e-3 to 6e-8: for contact, whose curvature lives on millimetres and less, and whose kinks must be stepped inside."""

ROUNDING = 3e-15
"""Of a loss near one. Two differences of too short steps may agree by chance: this keeps them from being believed."""


@dataclass
class Derivative:
    """Central differences (K,) along K directions, and what they may be wrong by."""

    value: torch.Tensor
    doubt: torch.Tensor


def ridders(up: torch.Tensor, down: torch.Tensor, steps: torch.Tensor) -> Derivative:
    """Losses (levels, K) at +h and -h, steps h (levels, K), each a constant times the one above.

    Source: C. Ridders, Accurate computation of F'(x) and F'(x) F''(x), Advances in Engineering Software 4 (1982).
    """
    row = (up - down) / (2 * steps)
    ratio = float(steps[0, 0] / steps[1, 0]) ** 2
    best, doubt = row[-1].clone(), torch.full_like(row[-1], torch.inf)
    power, noise = 1.0, ROUNDING / steps
    while len(row) > 1:
        power *= ratio
        better = (power * row[1:] - row[:-1]) / (power - 1.0)
        gap = torch.maximum((better - row[1:]).abs(), (better - row[:-1]).abs())
        noise = noise[1:]
        gap, at = (gap + noise).min(0)
        take = gap < doubt
        best = torch.where(take, better.gather(0, at[None])[0], best)
        doubt = torch.where(take, gap, doubt)
        row = better
    return Derivative(best, doubt)


@dataclass
class Comparison:
    """A computed gradient against differences, as norms over all directions, each scaled by its input's size."""

    error: float
    """|computed - differences| / |differences|."""
    doubt: float
    """What the differences may be wrong by, relative to their norm."""
    size: float
    """|differences|: by how much the loss changes if the inputs change by their own size."""
    absolute: float
    """|computed|, or the error, whichever is larger: what is judged where the differences are nothing but round-off."""

    def __str__(self) -> str:
        return f"error {self.error:.1e} (differences to {self.doubt:.0e}), size {self.size:.1e}"

    def check(self, bar: float, what: str = "") -> None:
        """Raise unless the error is below the bar, and the differences are good enough to tell."""
        if self.size < NOTHING:
            assert self.absolute < 10 * NOTHING, f"{what}: no influence on the loss, but a gradient of {self.absolute}"
            return
        bar *= max(1.0, SMALL / self.size)
        assert self.error < bar, f"{what}: {self}"
        assert self.doubt < bar, f"{what}: the differences must be good enough to tell, {self}"


SMALL = 1e-4
"""A gradient below this is judged as if it were this long: differences see no more digits of it."""
NOTHING = 1e-9
"""Below this, relative to a loss near one, an input is said to have no influence: differences see 1e-13 / step."""


def compared(computed: torch.Tensor, found: Derivative, scales: torch.Tensor) -> Comparison:
    """Computed derivatives (K,) against differences; `scales` (K,) is the size of each input."""
    size = float((found.value * scales).norm())
    gap = float(((computed - found.value) * scales).norm())
    wide = float((found.doubt * scales).norm())
    tiny = size or 1e-300
    return Comparison(gap / tiny, wide / tiny, size, max(gap, float((computed * scales).norm())))
