"""Random pairs of geoms that touch deeply, slightly, or are apart by less than the margin; and special poses."""

import numpy as np

from tests.contact.narrow_phase import Pairs, quaternion, rotation

USED = {"sphere": 1, "capsule": 2, "cylinder": 2, "box": 3}
"""How many numbers a geom's size has."""
BLOCK = 25
"""Pairs that share sizes and margin."""


def extent(kind: str, size: np.ndarray, R: np.ndarray, n: np.ndarray) -> float:
    """How far a geom reaches from its centre along n."""
    local = np.abs(R.T @ n)
    cylinder = size[0] * np.hypot(local[0], local[1]) + size[1] * local[2]
    reaches = {"sphere": size[0], "capsule": size[0] + size[1] * local[2], "cylinder": cylinder, "box": size @ local}
    return float(reaches[kind])


def random_rotation(rng: np.random.Generator, style: int) -> np.ndarray:
    """Any; a quarter turn; nearly a quarter turn; a turn about one axis."""
    quarter = rotation(quaternion(np.pi / 2 * rng.integers(0, 4) * np.eye(3)[rng.integers(3)]))
    if style == 0:
        return rotation(quaternion(rng.normal(size=3) * 2.0))
    if style == 1:
        return quarter
    if style == 2:
        return rotation(quaternion(rng.normal(size=3) * 10.0 ** rng.uniform(-6, -1))) @ quarter
    return rotation(quaternion(rng.uniform(-np.pi, np.pi) * np.eye(3)[rng.integers(3)])) @ quarter


def random_pairs(kinds: tuple[str, str], n: int, seed: int, general: bool = False) -> Pairs:
    """Half of them in general position (all with `general`), a third with a margin."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        if i % BLOCK == 0:
            sizes = [np.where(np.arange(3) < USED[kind], rng.uniform(0.1, 0.6, 3), 0.0) for kind in kinds]
            if kinds[0] == kinds[1] and rng.random() < 0.3:
                sizes[1] = sizes[0]
            reach = 0.1 * rng.random() if rng.random() < 0.34 else 0.0
        styles = (0, 0) if general else rng.integers(0, 4, 2) * (rng.random() < 0.5)
        world = random_rotation(rng, 0) if rng.random() < 0.3 else np.eye(3)
        Ra, Rb = (world @ random_rotation(rng, style) for style in styles)
        n_ = rng.normal(size=3)
        if not general and rng.random() < 0.3:
            n_ = Ra[:, rng.integers(3)] + (rng.random() < 0.5) * 0.3 * rng.normal(size=3)
        n_ /= np.linalg.norm(n_)
        touching = extent(kinds[0], sizes[0], Ra, n_) + extent(kinds[1], sizes[1], Rb, n_)
        depth = [1e-6, 1e-3, 0.05, 0.6][rng.integers(4)] * rng.uniform(0.1, 1.0) * touching
        gap = rng.random() * reach if rng.random() < 0.5 else 0.0
        rows.append((*sizes, (touching + gap - depth) * n_, Ra, Rb, reach))
    return Pairs(*(np.array(column) for column in zip(*rows, strict=True)))


def centred_pairs(kinds: tuple[str, str], n: int, seed: int) -> Pairs:
    """Pairs whose centres are in one place."""
    pairs = random_pairs(kinds, n, seed, general=True)
    pairs.p[:] = 0.0
    return pairs
