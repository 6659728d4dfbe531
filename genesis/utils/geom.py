"""Rotations and poses by the public engine's names, of torch tensors or numpy arrays. Quaternions are w, x, y, z.

Leading axes are batches and broadcast. Of tensors everything is differentiable; arrays and lists give arrays.
A pose T is (..., 4, 4), a rotation matrix R (..., 3, 3); both turn columns. Quaternions may have any length but zero.
"""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from genesis.errors import GenesisTypeError
from genesis.math import quaternion
from genesis.public_engine import missing

Function = TypeVar("Function", bound=Callable[..., Any])
__all__: list[str] = []


def _of_both(function: Function) -> Function:
    """Decorator of a function of tensors that makes it one of arrays, too."""

    @wraps(function)
    def called(*given: Any, **more: Any) -> Any:
        tensors = [value for value in (*given, *more.values()) if isinstance(value, torch.Tensor)]
        if tensors:
            like = tensors[0]
            return function(
                *(_tensor(value, like) for value in given), **{k: _tensor(v, like) for k, v in more.items()}
            )
        arrays = [torch.as_tensor(np.asarray(value)) for value in given if _is_numbers(value)]
        dtypes = {array.dtype for array in arrays if array.is_floating_point()}
        like = torch.zeros((), dtype=torch.float32 if dtypes == {torch.float32} else torch.float64)
        found = function(*(_tensor(value, like) for value in given), **{k: _tensor(v, like) for k, v in more.items()})
        return tuple(map(_array, found)) if isinstance(found, tuple) else _array(found)

    __all__.append(function.__name__)
    return called  # type: ignore[return-value]


def _is_numbers(value: Any) -> bool:
    return isinstance(value, np.ndarray | list | tuple | float | int | np.number) and not isinstance(value, bool)


def _tensor(value: Any, like: torch.Tensor) -> Any:
    if isinstance(value, torch.Tensor) or value is None or isinstance(value, bool):
        return value
    if not _is_numbers(value):
        raise GenesisTypeError(f"arguments must be tensors or arrays, got {type(value).__name__}. Pass numbers.")
    return torch.as_tensor(np.asarray(value), dtype=like.dtype, device=like.device)


def _array(value: torch.Tensor) -> np.ndarray:
    return value.numpy()


# Quaternions.


@_of_both
def normalize(x: Any, eps: float = 1e-12) -> Any:
    """`x` (..., n) scaled to length one, divided by `eps` at least."""
    return x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp(min=float(eps))


@_of_both
def inv_quat(quat: Any) -> Any:
    """The inverse of quaternions of length one: their conjugate."""
    return quaternion.conjugate(quat)


@_of_both
def transform_quat_by_quat(v: Any, u: Any) -> Any:
    """The rotation `v`, then `u`, scaled to length one: the product u v."""
    return quaternion.normalise(quaternion.multiply(*torch.broadcast_tensors(u, v)))


@_of_both
def transform_by_quat(v: Any, quat: Any) -> Any:
    """Vectors (..., 3) turned by quaternions."""
    return quaternion.rotate(quaternion.normalise(quat), v)


@_of_both
def inv_transform_by_quat(pos: Any, quat: Any) -> Any:
    """Vectors (..., 3) turned back by quaternions."""
    return quaternion.rotate(quaternion.conjugate(quaternion.normalise(quat)), pos)


@_of_both
def xyz_to_quat(xyz: Any, rpy: bool = False, degrees: bool = False) -> Any:
    """Quaternions of angles (..., 3) about x, y and z: about the fixed axes in this order with `rpy` (roll, pitch,
    yaw), else about the axes that turn along."""
    half = 0.5 * (torch.deg2rad(xyz) if degrees else xyz)
    axes = torch.eye(3, dtype=half.dtype, device=half.device)
    turns = torch.cat([half.cos()[..., None], half.sin()[..., None] * axes], -1)
    x, y, z = turns.unbind(-2)
    first, last = (z, x) if rpy else (x, z)
    return quaternion.multiply(quaternion.multiply(first, y), last)


@_of_both
def quat_to_xyz(quat: Any, rpy: bool = False, degrees: bool = False) -> Any:
    """Angles (..., 3) of which `xyz_to_quat` makes the quaternions; that about y lies within a quarter turn, and where
    it is one, the angle about x is zero."""
    R = quat_to_R(quat)
    if rpy:
        sine, rows = -R[..., 2, 0], ((R[..., 2, 1], R[..., 2, 2]), (R[..., 1, 0], R[..., 0, 0]))
        alone = -R[..., 0, 1]
    else:
        sine, rows = R[..., 0, 2], ((-R[..., 1, 2], R[..., 2, 2]), (-R[..., 0, 1], R[..., 0, 0]))
        alone = R[..., 1, 0]
    square = rows[1][0] ** 2 + rows[1][1] ** 2
    upright = square < (4 * torch.finfo(R.dtype).eps) ** 2
    cosine = torch.where(upright, 0.0, torch.where(upright, 1.0, square).sqrt())
    about_x = torch.atan2(torch.where(upright, 0.0, rows[0][0]), torch.where(upright, 1.0, rows[0][1]))
    about_z = torch.atan2(torch.where(upright, alone, rows[1][0]), torch.where(upright, R[..., 1, 1], rows[1][1]))
    xyz = torch.stack([about_x, torch.atan2(sine, cosine), about_z], -1)
    return torch.rad2deg(xyz) if degrees else xyz


@_of_both
def euler_to_quat(euler_xyz: Any) -> Any:
    """Quaternions of rotations about the fixed axes x, then y, then z, by angles in degrees."""
    return xyz_to_quat(euler_xyz, rpy=True, degrees=True)


@_of_both
def axis_angle_to_quat(angle: Any, axis: Any) -> Any:
    """Quaternions of rotations about `axis` (..., 3), of any length but zero, by `angle` (...), rad."""
    return quaternion.from_rotation_vector(angle[..., None] * normalize(axis))


@_of_both
def rotvec_to_quat(rotvec: Any) -> Any:
    """Quaternions of rotation vectors (..., 3), rad."""
    return quaternion.from_rotation_vector(rotvec)


@_of_both
def quat_to_rotvec(quat: Any) -> Any:
    """Rotation vectors (..., 3), rad, of length pi at most."""
    return quaternion.to_rotation_vector(quaternion.normalise(quat))


@_of_both
def slerp(q0: Any, q1: Any, t: Any) -> Any:
    """Quaternions on the shortest way from `q0` (`t` = 0) to `q1` (`t` = 1), which turns evenly. `t` is a number, or
    has a row for each quaternion."""
    q0, q1 = torch.broadcast_tensors(quaternion.normalise(q0), quaternion.normalise(q1))
    way = quaternion.to_rotation_vector(quaternion.multiply(q1, quaternion.conjugate(q0)))
    share = t if t.dim() == q0.dim() and t.shape[-1:] == (1,) else t[..., None]
    return quaternion.multiply(quaternion.from_rotation_vector(share * way), q0)


# Matrices.


@_of_both
def quat_to_R(quat: Any) -> Any:
    """Rotation matrices."""
    unit = quaternion.normalise(quat)[..., None, :]
    axes = torch.eye(3, dtype=unit.dtype, device=unit.device)
    return quaternion.rotate(unit, axes).transpose(-1, -2)


@_of_both
def R_to_quat(R: Any) -> Any:
    """Quaternions of rotation matrices, with a scalar part that is not negative."""
    x, y, z = R[..., 0, 0], R[..., 1, 1], R[..., 2, 2]
    squares = torch.stack([1 + x + y + z, 1 + x - y - z, 1 - x + y - z, 1 - x - y + z], -1)
    a, b, c = R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]
    f, g, h = R[..., 1, 0] + R[..., 0, 1], R[..., 0, 2] + R[..., 2, 0], R[..., 2, 1] + R[..., 1, 2]
    w, x, y, z = squares.unbind(-1)
    rows = torch.stack(
        [torch.stack(row, -1) for row in ((w, a, b, c), (a, x, f, g), (b, f, y, h), (c, g, h, z))], -2
    )  # row i is 4 q_i q
    largest = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    unit = quaternion.normalise(rows.gather(-2, largest)[..., 0, :])
    return torch.where(unit[..., :1] < 0, -unit, unit)


@_of_both
def R_to_xyz(R: Any, rpy: bool = False, degrees: bool = False) -> Any:
    """`quat_to_xyz` of rotation matrices."""
    return quat_to_xyz(R_to_quat(R), rpy=rpy, degrees=degrees)


@_of_both
def euler_to_R(euler_xyz: Any) -> Any:
    """Rotation matrices about the fixed axes x, then y, then z, by angles in degrees."""
    return quat_to_R(euler_to_quat(euler_xyz))


@_of_both
def rotvec_to_R(rotvec: Any) -> Any:
    """Rotation matrices of rotation vectors (..., 3), rad."""
    return quat_to_R(quaternion.from_rotation_vector(rotvec))


@_of_both
def R_to_rotvec(R: Any) -> Any:
    """Rotation vectors (..., 3), rad, of length pi at most."""
    return quaternion.to_rotation_vector(R_to_quat(R))


@_of_both
def axis_angle_to_R(axis: Any, theta: Any) -> Any:
    """Rotation matrices about `axis` (..., 3) by `theta` (...), rad."""
    return quat_to_R(axis_angle_to_quat(theta, axis))


@_of_both
def R_to_rot6d(R: Any) -> Any:
    """The first two rows (..., 6) of rotation matrices."""
    return R[..., :2, :].flatten(-2)


@_of_both
def rot6d_to_R(d6: Any) -> Any:
    """Rotation matrices of two rows (..., 6), made orthogonal, the first one first."""
    first = normalize(d6[..., :3])
    rest = d6[..., 3:]
    second = normalize(rest - (first * rest).sum(-1, keepdim=True) * first)
    return torch.stack([first, second, torch.linalg.cross(first, second, dim=-1)], -2)


@_of_both
def transform_by_R(pos: Any, R: Any) -> Any:
    """Points (..., 3), or (..., n, 3) with as many axes as R, turned by rotation matrices."""
    return torch.einsum("...ij,...nj->...ni" if pos.dim() == R.dim() else "...ij,...j->...i", R, pos)


# Poses.


@_of_both
def trans_R_to_T(trans: Any = None, R: Any = None) -> Any:
    """Poses of positions (..., 3) and rotation matrices; None: zero, or no rotation."""
    given = R if trans is None else trans
    opts = {"dtype": given.dtype, "device": given.device}
    matrix = torch.eye(3, **opts) if R is None else R
    column = torch.zeros(3, **opts) if trans is None else trans
    batch = torch.broadcast_shapes(matrix.shape[:-2], column.shape[:-1])
    upper = torch.cat([matrix.expand(*batch, 3, 3), column.expand(*batch, 3)[..., None]], -1)
    return torch.cat([upper, torch.eye(4, **opts)[3:].expand(*batch, 1, 4)], -2)


@_of_both
def trans_quat_to_T(trans: Any = None, quat: Any = None) -> Any:
    """Poses of positions (..., 3) and quaternions; None: zero, or no rotation."""
    return trans_R_to_T(trans, None if quat is None else quat_to_R(quat))


@_of_both
def trans_to_T(trans: Any) -> Any:
    """Poses of positions (..., 3)."""
    return trans_R_to_T(trans)


@_of_both
def R_to_T(R: Any) -> Any:
    """Poses of rotation matrices."""
    return trans_R_to_T(None, R)


@_of_both
def T_to_trans(T: Any) -> Any:
    """Positions (..., 3)."""
    return T[..., :3, 3]


@_of_both
def T_to_quat(T: Any) -> Any:
    """Quaternions, as `R_to_quat`."""
    return R_to_quat(T[..., :3, :3])


@_of_both
def T_to_trans_quat(T: Any) -> Any:
    """Positions and quaternions."""
    return T_to_trans(T), T_to_quat(T)


@_of_both
def inv_T(T: Any) -> Any:
    """The inverse poses."""
    R = T[..., :3, :3].transpose(-1, -2)
    return trans_R_to_T(-transform_by_R(T[..., :3, 3], R), R)


@_of_both
def transform_by_T(pos: Any, T: Any) -> Any:
    """Points, as in `transform_by_R`, from the frames that T are the poses of."""
    trans = T[..., :3, 3]
    return transform_by_R(pos, T[..., :3, :3]) + (trans[..., None, :] if pos.dim() == T.dim() else trans)


@_of_both
def inv_transform_by_T(pos: Any, T: Any) -> Any:
    """Points, as in `transform_by_R`, into the frames that T are the poses of."""
    return transform_by_T(pos, inv_T(T))


@_of_both
def transform_by_trans_quat(pos: Any, trans: Any, quat: Any) -> Any:
    """Points (..., 3) turned, then moved by `trans`."""
    return transform_by_quat(pos, quat) + trans


@_of_both
def inv_transform_by_trans_quat(pos: Any, trans: Any, quat: Any) -> Any:
    """Points (..., 3) moved back by `trans`, then turned back."""
    return inv_transform_by_quat(pos - trans, quat)


@_of_both
def transform_pos_quat_by_trans_quat(pos: Any, quat: Any, t_trans: Any, t_quat: Any) -> Any:
    """Poses (position, quaternion) turned, then moved."""
    return transform_by_trans_quat(pos, t_trans, t_quat), transform_quat_by_quat(quat, t_quat)


@_of_both
def inv_transform_pos_quat_by_trans_quat(pos: Any, quat: Any, t_trans: Any, t_quat: Any) -> Any:
    """Poses (position, quaternion) moved back, then turned back."""
    back = inv_quat(quaternion.normalise(t_quat))
    return inv_transform_by_trans_quat(pos, t_trans, t_quat), transform_quat_by_quat(quat, back)


@_of_both
def pos_lookat_up_to_T(pos: Any, lookat: Any, up: Any) -> Any:
    """Poses of cameras at `pos` (..., 3) that see `lookat` along their -z axis, with `up` up in their picture."""
    z = normalize(pos - lookat)
    x = normalize(torch.linalg.cross(*torch.broadcast_tensors(up, z), dim=-1))
    return trans_R_to_T(pos, torch.stack([x, torch.linalg.cross(z, x, dim=-1), z], -1))


@_of_both
def T_to_pos_lookat_up(T: Any) -> Any:
    """What `pos_lookat_up_to_T` makes poses of; `lookat` one metre away."""
    return T[..., :3, 3], T[..., :3, 3] - T[..., :3, 2], T[..., :3, 1]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing("genesis.utils.geom", name)
