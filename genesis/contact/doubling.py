"""Bodies of matter that are set into each other after build: cells that both of them fill.

Matter that is there twice is as heavy and as stiff as both. Bodies that touch share the cells between them, and liquids
that have mixed share all of them; neither fills them twice. So what counts are cells that each fills by
three quarters, and that is told from a tenth of the smaller body on.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch

from genesis.runtime import warn_once

FULL = 0.75
"""Part of a cell that both fill where matter is there twice."""
SHARE = 0.1
"""Of a body's particles that may be in such cells without a word."""
COARSEST = 2.0
"""Distances of particles, of which cells have at least so many along an edge."""


class Doubling:
    """Looks for it, and warns once of each two bodies, also if they are built again.

    Args:
        bodies: Of each, in the order of their points, its name, how many points it has, and m^3 of each.
        cell: m, of matter's grid.
    """

    def __init__(self, bodies: Sequence[tuple[str, int, float]], cell: float) -> None:
        self._bodies, begin = [], 0
        for name, n, volume in bodies:
            self._bodies.append((name, begin, begin + n, volume))
            begin += n
        self._cell = max([cell, *(COARSEST * volume ** (1 / 3) for _, _, volume in bodies)])

    def look(self, points: torch.Tensor, when: str) -> None:
        """Warn of bodies that are in each other.

        Args:
            points: (m, 3) m, of one environment; NaN of those that do not count.
            when: In messages.
        """
        if len(self._bodies) < 2:
            return
        places, there = points.double().cpu().numpy(), []
        for name, begin, end, volume in self._bodies:
            mine = places[begin:end]
            mine = mine[np.isfinite(mine[:, 0])]
            if len(mine):
                there.append((name, mine, volume))
        for (a, mine, volume), (b, its, each) in combinations(there, 2):
            low, high = np.maximum(mine.min(0), its.min(0)), np.minimum(mine.max(0), its.max(0))
            if (high <= low).any():
                continue
            counts, others = (self._counts(of, low, high) for of in (mine, its))
            both = np.minimum(counts * volume, others * each) >= FULL * self._cell**3
            parts = [(counts[both].sum() / len(mine), a, b), (others[both].sum() / len(its), b, a)]
            part, name, other = max(parts)
            if part > SHARE:
                got = f"{100 * part:.0f} % of {name!r} inside {other!r} in {when}"
                warn_once(("doubling", a, b, volume, each), doubled("be set", got))

    def _counts(self, places: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """How many of places (n, 3) are in each cell between `low` and `high`."""
        edge = self._cell / 4  # so that no particle is at the face of a cell, which rounding would choose
        between = places[((places > low - edge) & (places < high + edge)).all(1)]
        shape = tuple(((high - low + 2 * edge) / self._cell).astype(int) + 1)
        cells = ((between - low + edge) / self._cell).astype(int)
        return np.bincount(np.ravel_multi_index(tuple(cells.T), shape), minlength=math.prod(shape))


def doubled(done: str, got: str) -> str:
    """A warning of bodies of particles in each other, where they "begin", or have been set."""
    return (
        f"bodies of particles must {done} outside of each other, got {got}: matter is there twice, as heavy and as "
        "stiff as both. Move one of them, or switch it off by set_active(False) until there is room."
    )
