"""Meshes as the kernels of pictures have them."""

from collections.abc import Sequence

import numpy as np
import torch

from genesis.compiler import layout
from genesis.meshes.triangles import TriangleMesh
from genesis.render.kernels import arrays as at

ROUNDINGS = 16
"""Of the running precision: how far off its edges a ray still meets a triangle, and by how much boxes are larger, in
parts of the mesh's reach. So none slips through between two triangles."""


def write_meshes(meshes: Sequence[TriangleMesh], arrays: dict[str, torch.Tensor]) -> None:
    """Fill the arrays `nodes`, `branches`, `triangles` and `corners` of `at.SHOWN`."""
    lay, first = layout(), 0
    slack = ROUNDINGS * torch.finfo(lay.dtype).eps
    nodes, branches, triangles, corners = [], [], [], []
    for mesh in meshes:
        reach = float(np.linalg.norm(mesh.corners, axis=2).max())
        nodes.append(_nodes(mesh, slack * reach))
        branches.append(_branches(mesh, first))
        triangles.append(_triangles(mesh, slack * reach))
        corners.append(_in_fours(mesh.normals[mesh.tree.order]))
        first += len(mesh.faces)
    for name, rows in (("nodes", nodes), ("triangles", triangles), ("corners", corners)):
        packed = torch.from_numpy(np.concatenate(rows).reshape(-1, 4))
        lay.rows(arrays[name])[: len(packed)] = packed.to(arrays[name])
    links = torch.from_numpy(np.concatenate(branches).astype(np.int32).ravel())
    arrays["branches"][: len(links)] = links.to(arrays["branches"])


def _nodes(mesh: TriangleMesh, more: float) -> np.ndarray:
    """(nodes, NODE_ROWS, 4)."""
    return _in_fours(np.stack([mesh.tree.lower - more, mesh.tree.upper + more], 1))


def _branches(mesh: TriangleMesh, begin: int) -> np.ndarray:
    """(nodes, N_BRANCH); its triangles are those from `begin` on."""
    tree = mesh.tree
    inner = np.stack([tree.axis, np.zeros_like(tree.axis)], 1)
    leaves = np.stack([begin + tree.first[:-1], np.diff(tree.first)], 1)
    return np.concatenate([inner, leaves])


def _triangles(mesh: TriangleMesh, slack: float) -> np.ndarray:
    """(triangles, TRIANGLE_ROWS, 4); `slack`: m."""
    own = mesh.corners[mesh.tree.order]
    start, one, two = own[:, 0], own[:, 1] - own[:, 0], own[:, 2] - own[:, 0]
    across = np.cross(one, two)
    double = np.linalg.norm(across, axis=1)
    normal = across / np.where(double > 0, double, 1.0)[:, None]
    rows = _in_fours(np.stack([normal, start, one, two], 1))
    rows[:, at.FACE, at.OFFSET] = (normal * start).sum(1)
    longest = np.linalg.norm(np.stack([one, two, two - one]), axis=2).max(0)
    rows[:, at.START, at.SLACK], rows[:, at.FIRST_SIDE, at.DOUBLE_AREA] = slack * longest, double
    return rows


def _in_fours(rows: np.ndarray) -> np.ndarray:
    """(n, k, 4) of (n, k, 3), with a zero behind."""
    return np.concatenate([rows, np.zeros((*rows.shape[:2], 1))], 2)
