"""The shortest line between two convex shapes that touch slightly, by brute force."""

import numpy as np


def core(kind, size, position, turn, n=401):
    """(m, 3) points of the shape's core (it is the core, thickened), and how thick."""
    if kind == "sphere":
        return position[None], size[0]
    s = np.linspace(-1.0, 1.0, n)
    if kind == "capsule":
        return position + size[1] * s[:, None] * turn[:, 2], size[0]
    raise ValueError(kind)


def onto_box(points, size, position, turn):
    """Nearest points of a box to points outside of it."""
    local = (points - position) @ turn
    return position + np.clip(local, -np.array(size), np.array(size)) @ turn.T


def closest(shapes):
    """Unit vector from the first shape to the second, along the shortest line between their cores.

    A box is its own core, so that the other shape's core must lie outside of it. Points of a segment are refined twice.
    """
    (first, second) = shapes
    if first[0] == "box":
        return -closest([second, first])
    a, _ = core(*first, n=20001 if second[0] == "box" else 1501)
    if second[0] == "box":
        b = onto_box(a, *second[1:])
        at = np.argmin(np.linalg.norm(b - a, axis=1))
        line = b[at] - a[at]
    else:
        b, _ = core(*second, n=1501)
        gap = np.linalg.norm(a[:, None] - b[None], axis=2)
        i, j = np.unravel_index(np.argmin(gap), gap.shape)
        line = b[j] - a[i]
    return line / np.linalg.norm(line)
