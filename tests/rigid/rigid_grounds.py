"""Grounds below the public API."""

import numpy as np

from genesis.loaders.model import GroundGeom


def flat(normal=(0.0, 0.0, 1.0), height=0.0, friction=0.0):
    """A plane through (0, 0, height)."""
    n = np.asarray(normal, float)
    return GroundGeom("floor", "plane", (0.0, 0.0, height), tuple((n / np.linalg.norm(n)).tolist()), friction)


def hilly(friction=0.0, amplitude=0.04, spacing=0.1, n=24):
    """Hills of some centimetres, about the origin, no two alike."""
    x = spacing * (np.arange(n) - n / 2)
    heights = amplitude * (
        np.sin(4.1 * x)[:, None] * np.cos(3.3 * x + 0.4)[None] + 0.6 * np.sin(7.3 * x + x[:, None] * 2.0)
    )
    corner = (float(x[0]), float(x[0]), -0.01)
    return GroundGeom("hills", "heightfield", corner, (0.0, 0.0, 1.0), friction, heights=heights, spacing=spacing)
