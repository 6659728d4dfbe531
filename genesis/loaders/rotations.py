"""Unit quaternions w, x, y, z of numpy arrays, in float64: what reading a model needs, away from torch."""

import numpy as np


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation `b` followed by `a`; both (4,)."""
    scalar = a[0] * b[0] - a[1:] @ b[1:]
    return np.concatenate([[scalar], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])])


def matrix(quat: np.ndarray) -> np.ndarray:
    """(3, 3) rotation matrix of `quat` (4,)."""
    w, x, y, z = quat
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotate(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """`vector` (3,) turned by `quat` (4,)."""
    return matrix(quat) @ vector


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """(4,) rotation by `angle` (rad) about the unit vector `axis` (3,)."""
    return np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * axis])


def compose(
    outer: tuple[np.ndarray, np.ndarray], inner: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The pose (position, quaternion) `inner`, given in the frame `outer`, in the frame that `outer` is given in."""
    return outer[0] + rotate(outer[1], inner[0]), multiply(outer[1], inner[1])


def symmetric(six: np.ndarray) -> np.ndarray:
    """(3, 3) symmetric matrix of its entries xx, yy, zz, xy, xz, yz."""
    xx, yy, zz, xy, xz, yz = six
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def six(matrix_: np.ndarray) -> np.ndarray:
    """(6,) entries xx, yy, zz, xy, xz, yz of a symmetric (3, 3) matrix."""
    return matrix_[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]


def from_matrix(axes: np.ndarray) -> np.ndarray:
    """(4,) unit quaternion of a rotation matrix (3, 3)."""
    # The eigenvector of the largest eigenvalue of this matrix is the quaternion, whatever the angle.
    (a, b, c), (d, e, f), (g, h, i) = axes
    symmetric_ = np.array(
        [
            [a + e + i, h - f, c - g, d - b],
            [h - f, a - e - i, b + d, c + g],
            [c - g, b + d, e - a - i, f + h],
            [d - b, c + g, f + h, i - a - e],
        ]
    )
    return np.linalg.eigh(symmetric_)[1][:, -1]
