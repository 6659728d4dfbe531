"""Impedances that begin at zero, and the margin that keeps the height at which bodies rest."""

from functools import lru_cache
from typing import Any

import numpy as np

from genesis.solvers.rigid.mujoco.impedance import LEAST, MOST

GRAVITY = 9.81
"""m/s^2, what a resting contact point holds up, by its own apparent mass."""
HALVINGS = 60
DEEPEST = 1.0
"""m."""


def smoothed(solimp: Any, width: float) -> np.ndarray:
    """Impedances that begin at zero, over at least this width; `solimp` (n, 5) itself where that is zero."""
    solimp = np.array(solimp, float).reshape(-1, 5)
    if width > 0.0:
        solimp[:, 0] = 0.0
        solimp[:, 2] = np.maximum(solimp[:, 2], width)
    return solimp


def extra_margin(solref: np.ndarray, solimp: np.ndarray, width: float, timestep: float) -> float:
    """What the margin of a contact needs in addition, m, for a point at rest to stand as high as without smoothing.

    Args:
        solref: (2,) of the contact.
        solimp: (5,) of the contact, without smoothing.
        width: `MujocoContact.smoothing`, m.
        timestep: s, or 0 where time constants have no lower bound.
    """
    own = tuple(np.asarray(solref, float).tolist())
    soft, hard = (tuple(each.tolist()) for each in (smoothed(solimp, width)[0], np.asarray(solimp, float)))
    return resting_depth(own, soft, timestep) - resting_depth(own, hard, timestep)


@lru_cache(maxsize=1024)
def resting_depth(solref: tuple[float, ...], solimp: tuple[float, ...], timestep: float) -> float:
    """Depth y, m, at which k d(y)^2 / (1 - d(y)) y holds `GRAVITY`: no acceleration, and no motion. Kept, for most
    contacts of a scene have the same numbers."""
    most = np.clip(solimp[1], LEAST, MOST)
    if solref[0] > 0.0:
        stiffness = 1.0 / (most * max(solref[0], 2.0 * timestep) * solref[1]) ** 2
    else:
        stiffness = -solref[0] / most**2
    low, high = 0.0, DEEPEST
    for _ in range(HALVINGS):
        depth = 0.5 * (low + high)
        d = impedance_at(depth, solimp)
        low, high = (low, depth) if stiffness * d * d / (1.0 - d) * depth > GRAVITY else (depth, high)
    return depth


def impedance_at(depth: float, solimp: tuple[float, ...]) -> float:
    """d(y): see `impedance`."""
    first, last, width, middle, power = solimp
    first, last, middle = np.clip([first, last, middle], LEAST, MOST)
    power = max(power, 1.0)
    x = min(depth / width, 1.0) if width > 0.0 else 1.0
    if x < middle:
        part = x**power / middle ** (power - 1.0)
    else:
        part = 1.0 - (1.0 - x) ** power / (1.0 - middle) ** (power - 1.0)
    return float(first + part * (last - first))
