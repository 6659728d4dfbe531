"""Where the particles of a body start, and whether another one is there."""

import math

import numpy as np
import torch

from genesis.errors import GenesisValueError
from genesis.math import quaternion
from genesis.morphs import SolidMorph


def sample(morph: SolidMorph, spacing: float, sampler: str, generator: np.random.Generator) -> np.ndarray:
    """Particle positions (n, 3) in the world frame, float64.

    Args:
        morph: A solid.
        spacing: m. The number of particles is that of a lattice of this spacing.
        sampler: "random" draws them uniformly; anything else takes the centres of the lattice's cells.
        generator: Source of randomness.

    Raises:
        GenesisValueError: The morph is too small for a single particle.
    """
    count = morph.volume / spacing**3
    half, centre = np.array(morph.half_extent), np.array(morph.centre)
    if sampler == "random":
        local = _uniform(morph, half, centre, round(count), generator)
    else:
        cells = [max(1, round(2 * h / spacing)) for h in half]
        axes = [(np.arange(n) + 0.5) * (2 * h / n) - h + c for n, h, c in zip(cells, half, centre, strict=True)]
        lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        local = lattice[morph.contains(lattice)] if count >= 0.5 else lattice[:0]
    if len(local) == 0:
        raise GenesisValueError(
            f"a body must hold at least one particle, got {type(morph).__name__} of {morph.volume:.3g} m^3 with "
            f"particles {spacing:.3g} m apart. Enlarge it, or lower MPMOptions.particle_size."
        )
    turn = torch.tensor(morph.orientation, dtype=torch.float64)
    return quaternion.rotate(turn, torch.from_numpy(local)).numpy() + np.array(morph.pos)


def _uniform(
    morph: SolidMorph, half: np.ndarray, centre: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:
    """`count` points drawn uniformly inside the shape, in its frame."""
    found = np.empty((0, 3))
    while len(found) < count:
        fill = morph.volume / (8 * math.prod(half))
        size = (math.ceil(1.1 * (count - len(found)) / fill) + 1, 3)
        points = generator.uniform(centre - half, centre + half, size)
        found = np.concatenate([found, points[morph.contains(points)]])
    return found[:count]
