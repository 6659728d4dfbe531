"""Closed surfaces of shapes that have no distance in closed form: ellipsoids, and the ground under heights."""

import numpy as np

from genesis.meshes.surface import Surface

RINGS = 32
"""Between the poles of an ellipsoid, whose volume is 0.4 % smaller for it."""


def ellipsoid(axes: tuple[float, float, float]) -> Surface:
    """Around the origin, of semi-axes (m) along x, y and z."""
    polar = np.pi * np.arange(1, RINGS) / RINGS
    turn = 2 * np.pi * np.arange(2 * RINGS) / (2 * RINGS)
    ring = [np.outer(np.sin(polar), np.cos(turn)), np.outer(np.sin(polar), np.sin(turn))]
    ring.append(np.broadcast_to(np.cos(polar)[:, None], ring[0].shape))
    vertices = np.concatenate([np.stack(ring, 2).reshape(-1, 3), [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]])
    rows, columns = vertices[:-2].shape[0] // (2 * RINGS), 2 * RINGS
    number = np.arange(rows * columns).reshape(rows, columns)
    after, top, bottom = np.roll(number, -1, 1), rows * columns, rows * columns + 1
    faces = [
        np.stack([np.full(columns, top), number[0], after[0]], 1),
        np.stack([np.full(columns, bottom), after[-1], number[-1]], 1),
        np.stack([number[:-1], number[1:], after[1:]], 2).reshape(-1, 3),
        np.stack([number[:-1], after[1:], after[:-1]], 2).reshape(-1, 3),
    ]
    return Surface(vertices * np.array(axes), np.concatenate(faces))


def ground_under(heights: np.ndarray, spacing: float) -> Surface:
    """The solid between heights (nx, ny), m, the first above the origin, and a level a quarter of its length below the
    lowest one. Each square of the surface is two triangles."""
    nx, ny = heights.shape
    x, y = np.meshgrid(spacing * np.arange(nx), spacing * np.arange(ny), indexing="ij")
    base = np.full_like(heights, heights.min() - spacing * (max(nx, ny) - 1) / 4)
    vertices = np.concatenate([np.stack([x, y, z], 2).reshape(-1, 3) for z in (heights, base)])
    top = np.arange(nx * ny).reshape(nx, ny)
    a, b, c, d = (of.ravel() for of in (top[:-1, :-1], top[1:, :-1], top[1:, 1:], top[:-1, 1:]))
    up = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    rim = np.concatenate([top[:-1, 0], top[-1, :-1], top[:0:-1, -1], top[0, :0:-1]])  # counter-clockwise from above
    after, n = np.roll(rim, -1), nx * ny
    sides = np.concatenate([np.stack([after, rim, rim + n], 1), np.stack([after, rim + n, after + n], 1)])
    return Surface(vertices, np.concatenate([up, up[:, ::-1] + n, sides]))
