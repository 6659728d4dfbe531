"""Small surfaces of triangles, and files of them, made without trimesh."""

import numpy as np

CUBE = np.array([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])
CUBE_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
     [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
)  # fmt: skip
"""Corner 4 x + 2 y + z of the unit cube from the origin on; counter-clockwise from outside."""


def prism(outline, height=1.0):
    """(vertices, faces) of a polygon (n, 2), star-shaped about its first corner, pulled upwards."""
    outline, n = np.asarray(outline, float), len(outline)
    vertices = np.concatenate([np.column_stack([outline, np.full(n, z)]) for z in (0.0, height)])
    fan = np.array([[0, i, i + 1] for i in range(1, n - 1)])
    sides = [[[i, j, n + j], [i, n + j, n + i]] for i, j in ((i, (i + 1) % n) for i in range(n))]
    return vertices, np.concatenate([fan[:, ::-1], n + fan, np.reshape(sides, (-1, 3))])


ELL = ((1.0, 1.0), (1.0, 3.0), (0.0, 3.0), (0.0, 0.0), (3.0, 0.0), (3.0, 1.0))
"""Of five unit squares, from its inner corner on."""


def ball(n=24, radius=1.0):
    """(vertices, faces) of a ball about the origin with n meridians, its corners on the sphere."""
    up = np.linspace(0.0, np.pi, n // 2 + 1)[1:-1]
    around = 2 * np.pi * np.arange(n) / n
    rings = [np.stack([np.sin(u) * np.cos(around), np.sin(u) * np.sin(around), np.full(n, -np.cos(u))], 1) for u in up]
    vertices = radius * np.concatenate([[[0, 0, -1]], *rings, [[0, 0, 1]]])
    place, after, last = np.arange(n), (np.arange(n) + 1) % n, len(vertices) - 1
    faces = [np.stack([np.zeros(n, int), 1 + after, 1 + place], 1)]
    for k in range(len(up) - 1):
        a, b = 1 + k * n, 1 + (k + 1) * n
        faces += [np.stack([a + place, a + after, b + after], 1), np.stack([a + place, b + after, b + place], 1)]
    top = 1 + (len(up) - 1) * n
    faces.append(np.stack([top + place, top + after, np.full(n, last)], 1))
    return vertices, np.concatenate(faces)


def together(*parts):
    """(vertices, faces) of several at once."""
    first = np.cumsum([0, *(len(vertices) for vertices, _ in parts[:-1])])
    faces = [faces + begin for (_, faces), begin in zip(parts, first, strict=True)]
    return np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces)


def write_obj(path, vertices, faces):
    """The path of a file with them."""
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in np.asarray(vertices, float).tolist()]
    lines += [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in np.asarray(faces).tolist()]
    path.write_text("\n".join(lines) + "\n")
    return path
