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

from genesis.warning import warn_once

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

    def look(self, points: torch.Tensor, envs: np.ndarray, step: int, first: int) -> None:
        """Warn of bodies that are in each other.

        Args:
            points: (n, m, 3) m; NaN of those that do not count.
            envs: Those of `points` that are looked at.
            step: In messages.
            first: Number of the first environment, in messages.
        """
        if len(self._bodies) < 2 or not len(envs):
            return
        some = points if len(envs) == len(points) else points[torch.from_numpy(envs).to(points.device)]
        low, high = (self._ends(some, sign * math.inf) for sign in (1, -1))  # (K, bodies, 3)
        for i, j in combinations(range(len(self._bodies)), 2):
            meets = (np.maximum(low[:, i], low[:, j]) < np.minimum(high[:, i], high[:, j])).all(1)
            for row in meets.nonzero()[0].tolist():
                self._look(some[row], i, j, f"step {step}, environment {first + envs[row]}")

    def _ends(self, points: torch.Tensor, nothing: float) -> np.ndarray:
        """(K, bodies, 3) m: of each body the lower corner of where it is, `nothing` being inf; the upper, -inf."""
        parts = [points[:, begin:end] for _, begin, end, _ in self._bodies]
        ends = torch.stack([x.amin(1) if nothing > 0 else x.amax(1) for x in parts], 1)
        if ends.isnan().any():
            return self._ends(points.masked_fill(points.isnan().any(-1, keepdim=True), nothing), nothing)
        return ends.double().cpu().numpy()

    def _look(self, points: torch.Tensor, i: int, j: int, when: str) -> None:
        """At two bodies of points (m, 3) whose boxes meet."""
        places, there = points.double().cpu().numpy(), []
        for name, begin, end, volume in (self._bodies[i], self._bodies[j]):
            mine = places[begin:end]
            there.append((name, mine[~np.isnan(mine).any(1)], volume))
        (a, mine, volume), (b, its, each) = there
        low, high = np.maximum(mine.min(0), its.min(0)), np.minimum(mine.max(0), its.max(0))
        counts, others = (self._counts(of, low, high) for of in (mine, its))
        both = np.minimum(counts * volume, others * each) >= FULL * self._cell**3
        parts = [(counts[both].sum() / len(mine), a, b), (others[both].sum() / len(its), b, a)]
        part, name, other = max(parts)
        if part > SHARE:
            got = f"{100 * part:.0f} % of {name!r} inside {other!r} in {when}"
            warn_once(doubled("be set", got), about=("doubling", a, b, volume, each))

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
