"""Gymnasium's InvertedPendulum-v5: a cart keeps a pole upright."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.mujoco.base import MujocoTask, Terms, mujoco_single_env


class InvertedPendulumV5(MujocoTask):
    """Keep the pole upright.

    Action (1,): force on the cart in units of 100 N, in [-3, 3].
    Observation (4,): the cart's place (m), the pole's angle (rad), and their velocities (m/s, rad/s).
    Reward, per step: 1 while the pole's angle is at most 0.2 rad.
    Start: the model's pose, every coordinate and velocity within +-0.01. Terminated beyond 0.2 rad.
    `info`: `reward_survive`.

    Source: Barto, Sutton and Anderson (1983), in the form of Gymnasium 1.x, `gymnasium.make("InvertedPendulum-v5")`.
    """

    ROBOT, TIMESTEP, GYMNASIUM = "gymnasium/inverted_pendulum", 0.02, "InvertedPendulum-v5"
    VIEW_HEIGHT, FLOOR = 0.2, -0.6
    ENDS_HEALTHY = True
    GREATEST_ANGLE = 0.2  # rad
    DEFAULTS = {"frame_skip": 2, "reset_noise_scale": 0.01}
    single_action_space = Box(-3.0, 3.0, (1,), np.float32)

    @classmethod
    def observation_size(cls, options: Mapping[str, Any]) -> int:
        """4."""
        return 4

    def observe(self) -> torch.Tensor:
        """See the class."""
        return torch.cat([self.qpos(), self.dofs_vel()], dim=1)

    def reward_terms(self) -> Terms:
        """See the class."""
        return {"reward_survive": self.is_healthy().to(self.dtype)}

    def health(self) -> torch.Tensor:
        """Of the pole's angle."""
        angle = self.qpos()[:, 1:]
        return torch.cat([self.GREATEST_ANGLE - angle, self.GREATEST_ANGLE + angle], dim=1)


InvertedPendulumV5Env = mujoco_single_env(InvertedPendulumV5)
