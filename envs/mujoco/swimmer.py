"""Gymnasium's Swimmer-v5: a chain of three links swims in a plane."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.mujoco.base import MujocoTask, Terms, mujoco_single_env


class SwimmerV5(MujocoTask):
    """Swim along +x.

    Action (2,): torques of both joints in units of 150 N m, in [-1, 1].
    Observation (8,): angle of the first link, both joints' angles (rad), the first link's velocity along x and y (m/s),
    the angles' velocities (rad/s). With `exclude_current_positions_from_observation=False` its x and y (m) come first.
    Reward, per step: velocity along +x (m/s), -1e-4 times the squared length of the action.
    Start: the model's pose, every coordinate and velocity within +-0.1. It never ends by itself.
    `info`: `x_position`, `y_position`, `distance_from_origin` (m), `x_velocity`, `y_velocity` (m/s), and the terms
    `reward_forward`, `reward_ctrl`.

    Source: Coulom (2002), in the form of Gymnasium 1.x, `gymnasium.make("Swimmer-v5")`.
    """

    ROBOT, TIMESTEP, GYMNASIUM = "gymnasium/swimmer", 0.01, "Swimmer-v5"
    VIEW, VIEW_HEIGHT, FLOOR = (0.0, -4.5, 6.5), 0.0, -0.1
    DEFAULTS = {
        "frame_skip": 4,
        "forward_reward_weight": 1.0,
        "ctrl_cost_weight": 1e-4,
        "reset_noise_scale": 0.1,
        "exclude_current_positions_from_observation": True,
    }
    single_action_space = Box(-1.0, 1.0, (2,), np.float32)

    @classmethod
    def observation_size(cls, options: Mapping[str, Any]) -> int:
        """8 or 10."""
        return 10 - 2 * options["exclude_current_positions_from_observation"]

    def observe(self) -> torch.Tensor:
        """See the class."""
        first = 2 * self.options["exclude_current_positions_from_observation"]
        return torch.cat([self.qpos()[:, first:], self.dofs_vel()], dim=1)

    def reward_terms(self) -> Terms:
        """See the class."""
        forward = self.options["forward_reward_weight"] * self.velocity_over_step()[:, 0]
        return {"reward_forward": forward, "reward_ctrl": -self.control_cost()}

    def measure(self) -> Mapping[str, torch.Tensor]:
        """See the class."""
        return {**self.ground_place(), **self.ground_velocity(), **super().measure()}


SwimmerV5Env = mujoco_single_env(SwimmerV5)
