"""How large the grid is."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class GridOptions(Protocol):
    """What this solver reads of `genesis.options.MPMOptions`."""

    @property
    def grid_density(self) -> float: ...
    @property
    def lower_bound(self) -> Sequence[float]: ...
    @property
    def upper_bound(self) -> Sequence[float]: ...


def cells_of(options: GridOptions) -> np.ndarray:
    """Cells of the grid per axis."""
    lower, upper = np.asarray(options.lower_bound, float), np.asarray(options.upper_bound, float)
    return np.ceil((upper - lower) * options.grid_density - 1e-9).astype(int)


def most_offers(options: GridOptions, n_chunks: int) -> int:
    """Nodes in as many planes as one chunk has."""
    x, y, z = (int(n) + 1 for n in cells_of(options))
    return -(-x // n_chunks) * y * z
