"""Unit quaternions, ordered w, x, y, z, on the last axis of torch tensors. Everything here is differentiable."""

import math

import torch


def from_euler(degrees: tuple[float, ...]) -> tuple[float, float, float, float]:
    """Quaternion of rotations about the fixed axes x, then y, then z, by angles in degrees."""
    x, y, z = (math.radians(angle) / 2 for angle in degrees)
    cx, sx, cy, sy, cz, sz = math.cos(x), math.sin(x), math.cos(y), math.sin(y), math.cos(z), math.sin(z)
    return (
        cx * cy * cz + sx * sy * sz,
        sx * cy * cz - cx * sy * sz,
        cx * sy * cz + sx * cy * sz,
        cx * cy * sz - sx * sy * cz,
    )


def from_z_axis(normal: tuple[float, ...]) -> tuple[float, float, float, float]:
    """The shortest rotation that takes the z axis to the direction of `normal`, which must not be zero."""
    length = math.sqrt(sum(c * c for c in normal))
    x, y, z = (c / length for c in normal)
    if z < -1.0 + 1e-12:
        return (0.0, 1.0, 0.0, 0.0)
    w = math.sqrt((1.0 + z) / 2)
    return (w, -y / (2 * w), x / (2 * w), 0.0)


def normalise(quat: torch.Tensor) -> torch.Tensor:
    """`quat` (..., 4) scaled to length one."""
    return quat / quat.norm(dim=-1, keepdim=True)


def multiply(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The rotation `b` followed by `a`; both (..., 4)."""
    w, v = a[..., :1], a[..., 1:]
    s, u = b[..., :1], b[..., 1:]
    scalar = w * s - (v * u).sum(-1, keepdim=True)
    return torch.cat([scalar, w * u + s * v + torch.cross(v, u, dim=-1)], -1)


def rotate(quat: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """`vectors` (..., 3) turned by the unit quaternions `quat` (..., 4); leading axes broadcast."""
    w, v = quat[..., :1], quat[..., 1:]
    v, vectors = torch.broadcast_tensors(v, vectors)
    twice = 2 * torch.cross(v, vectors, dim=-1)
    return vectors + w * twice + torch.cross(v, twice, dim=-1)


def conjugate(quat: torch.Tensor) -> torch.Tensor:
    """The inverse of the unit quaternions `quat` (..., 4)."""
    return torch.cat([quat[..., :1], -quat[..., 1:]], -1)


def from_rotation_vector(vector: torch.Tensor) -> torch.Tensor:
    """Unit quaternion (..., 4) of the rotation about `vector` (..., 3) by its length, rad. Smooth at zero."""
    square = (vector * vector).sum(-1, keepdim=True)
    small = square < 1e-6
    angle = torch.where(small, 1.0, square).sqrt()
    scalar = torch.where(small, 1 - square / 8 + square * square / 384, torch.cos(angle / 2))
    factor = torch.where(small, 0.5 - square / 48 + square * square / 3840, torch.sin(angle / 2) / angle)
    return torch.cat([scalar, factor * vector], -1)


def to_rotation_vector(quat: torch.Tensor) -> torch.Tensor:
    """Rotation vector (..., 3), rad, of length at most pi, of the unit quaternions `quat` (..., 4). Smooth at zero."""
    quat = torch.where(quat[..., :1] < 0, -quat, quat)
    w, v = quat[..., :1], quat[..., 1:]
    square = (v * v).sum(-1, keepdim=True)
    small = square < 1e-6
    length = torch.where(small, 1.0, square).sqrt()
    ratio = torch.where(small, square, 0.0) / torch.where(small, w * w, 1.0)
    near = 2 / torch.where(small, w, 1.0) * (1 - ratio / 3 + ratio * ratio / 5)
    return torch.where(small, near, 2 * torch.atan2(length, w) / length) * v
