"""Sensors of a body's pose and motion that several tasks use. World frame, z up; quaternions wxyz; differentiable."""

import torch

from envs.streams import Draw


def rotated(quat: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Vectors (..., 3) of a body's frame in the world frame; `quat` (..., 4) is the body's, of unit length."""
    scalar, axis = quat.split((1, 3), dim=-1)
    twice = 2.0 * torch.linalg.cross(axis, vector)
    return vector + scalar * twice + torch.linalg.cross(axis, twice)


def rotation_matrix(quat: torch.Tensor) -> torch.Tensor:
    """(B, 3, 3), whose columns are the axes of the body in the world frame."""
    return torch.stack([rotated(quat, axis.expand(len(quat), 3)) for axis in torch.eye(3).to(quat)], dim=2)


def upright(quat: torch.Tensor) -> torch.Tensor:
    """Cosine (B,) of the angle between a body's z axis and the vertical."""
    return 1.0 - 2.0 * (quat[:, 1].square() + quat[:, 2].square())


def heading(pos: torch.Tensor, axis: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cosine (B,) between a unit vector `axis` (B, 3) and the horizontal direction from `pos` (B, 3) to `target` (2,).

    Positions are in m.
    """
    direction = target - pos[:, :2]
    return (axis[:, :2] * direction).sum(dim=1) / direction.norm(dim=1)


def height_reward(height: torch.Tensor, ceiling: float, gain: float) -> torch.Tensor:
    """Reward (B,) of a height over a threshold, m: `gain` times it up to `ceiling`; below 0, -200 times its square."""
    height = height.clamp(-1.0, ceiling)
    return torch.where(height < 0.0, -200.0 * height.square(), gain * height)


def wrapped(angle: torch.Tensor) -> torch.Tensor:
    """Angles in [-pi, pi), with the gradient of the angle itself."""
    return torch.remainder(angle + torch.pi, 2.0 * torch.pi) - torch.pi


def random_turn(draw: Draw, half_width: float, like: torch.Tensor) -> torch.Tensor:
    """Unit quaternions (n, 4): a turn by an angle uniform in +-`half_width` rad about an axis uniform on the sphere."""
    axis = torch.as_tensor(draw.normal(1.0, (3,))).to(like)
    axis = axis / axis.norm(dim=1, keepdim=True)
    half_angle = 0.5 * torch.as_tensor(draw.uniform(-half_width, half_width)).to(like)[:, None]
    return torch.cat([torch.cos(half_angle), torch.sin(half_angle) * axis], dim=1)
