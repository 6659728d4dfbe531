"""What Gymnasium's runners in a vertical plane share."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from envs.mujoco.base import MujocoTask, Terms

FASTEST = 10.0
"""m/s, rad/s: what velocities are clipped to, to be observed by those that stay upright."""


class RunnerTask(MujocoTask):
    """Abstract: run along +x, with coordinates forwards, upwards (m), the torso's angle about y, then joints (rad).

    Observation: the coordinates without the first one, then all velocities (m/s, rad/s). With
    `exclude_current_positions_from_observation=False` the first coordinate is there, too.
    Reward, per step: velocity along +x (m/s), less `ctrl_cost_weight` times the squared length of the action.
    """

    COORDINATES: ClassVar[int]

    @classmethod
    def observation_size(cls, options: Mapping[str, Any]) -> int:
        """All coordinates and velocities but one."""
        return 2 * cls.COORDINATES - options["exclude_current_positions_from_observation"]

    def observe(self) -> torch.Tensor:
        """See the class."""
        first = int(self.options["exclude_current_positions_from_observation"])
        return torch.cat([self.qpos()[:, first:], self.observed_velocity()], dim=1)

    def observed_velocity(self) -> torch.Tensor:
        """(B, D)."""
        return self.dofs_vel()

    def reward_terms(self) -> Terms:
        """See the class."""
        forward = self.options["forward_reward_weight"] * self.velocity_over_step()[:, 0]
        return {"reward_forward": forward, "reward_ctrl": -self.control_cost()}

    def measure(self) -> Mapping[str, torch.Tensor]:
        """`x_position` (m), `x_velocity` (m/s) and the terms of the reward."""
        x, velocity = self.qpos()[:, 0].detach(), self.velocity_over_step()[:, 0].detach()
        return {"x_position": x, "x_velocity": velocity, **super().measure()}


class UprightTask(RunnerTask):
    """Abstract: a runner that must stay upright: `healthy_reward` per step while it does, and the episode's end after.

    Velocities are clipped to +-10 to be observed.
    """

    def observed_velocity(self) -> torch.Tensor:
        """(B, D) clipped."""
        return self.dofs_vel().clamp(-FASTEST, FASTEST)

    def reward_terms(self) -> Terms:
        """See the class."""
        return {**super().reward_terms(), "reward_survive": self.survival()}

    def health(self) -> torch.Tensor:
        """Of the torso's height and angle."""
        height, angle = self.qpos()[:, 1:2], self.qpos()[:, 2:3]
        bounds = self.within(height, "healthy_z_range"), self.within(angle, "healthy_angle_range")
        return torch.cat(bounds, dim=1)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """A runner's, and `z_distance_from_origin` (m)."""
        return {**self.rise(1), **super().measure()}
