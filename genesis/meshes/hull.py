"""Faces of a convex hull: half spaces, which is what a ray needs to know of it, and triangles."""

import numpy as np


def half_spaces(points: np.ndarray) -> np.ndarray:
    """(f, 4) unit normal and offset of every face of the hull of `points` (n, 3): inside is where n.x <= offset.

    Points that span no volume get a thickness of a thousandth of their extent.
    """
    local, middle, extent = _solid(points)
    planes = _planes(local, _hull(local))
    distinct = np.empty((0, 4))
    for plane in planes:  # triangles of one flat face
        if not (np.abs(distinct - plane).max(1) < 1e-6).any():
            distinct = np.concatenate([distinct, plane[None]])
    result = distinct
    result[:, 3] = extent * result[:, 3] + result[:, :3] @ middle
    return result


def triangles(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners (n, 3) and faces (f, 3) of the hull of `points`, counter-clockwise from outside; flat ones as above."""
    local, middle, extent = _solid(points)
    return middle + extent * local, _hull(local)


def _solid(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Points that span a volume, in units of their extent from their mean; the mean; the extent."""
    points = np.unique(np.asarray(points, dtype=np.float64), axis=0)
    middle, extent = points.mean(0), float(np.ptp(points, axis=0).max()) or 1.0
    local = (points - middle) / extent
    thin = np.linalg.svd(local, full_matrices=True)[2]
    for direction in thin:
        if np.ptp(local @ direction) < 1e-6:
            local = np.concatenate([local - 5e-4 * direction, local + 5e-4 * direction])
    return local, middle, extent


def _planes(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (points[faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    return np.concatenate([normals, (normals * a).sum(1, keepdims=True)], 1)


def _hull(points: np.ndarray) -> np.ndarray:
    """(f, 3) corners of triangles, counter-clockwise from outside. Points are added one by one."""
    first = int(points[:, 0].argmin())
    second = int(np.linalg.norm(points - points[first], axis=1).argmax())
    along = points[second] - points[first]
    third = int(np.linalg.norm(np.cross(points - points[first], along), axis=1).argmax())
    normal = np.cross(along, points[third] - points[first])
    fourth = int(np.abs((points - points[first]) @ normal).argmax())
    corners = [first, second, third, fourth]
    faces = np.array([[first, second, third], [first, fourth, second], [second, fourth, third], [third, fourth, first]])
    if (points[fourth] - points[first]) @ normal > 0:
        faces = faces[:, ::-1].copy()
    for i in range(len(points)):
        if i in corners:
            continue
        planes = _planes(points, faces)
        seen = planes[:, :3] @ points[i] - planes[:, 3] > 1e-9
        if seen.any():
            edges = {tuple(face[[k, (k + 1) % 3]]) for face in faces[seen] for k in range(3)}
            rim = [edge for edge in edges if edge[::-1] not in edges]
            new = np.array([[a, b, i] for a, b in sorted(rim)])
            faces = np.concatenate([faces[~seen], new])
    return faces
