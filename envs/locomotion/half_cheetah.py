"""HalfCheetah: half of a cheetah, two legs with three joints each, runs in a vertical plane."""

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.locomotion.base import reference_contact, robot_single_env
from envs.locomotion.planar import PlanarTask


class HalfCheetah(PlanarTask):
    """Run forwards with little effort. Nothing ends an episode but time.

    Action (6,): torques of thigh, shin and foot, back then front, in units of 200 N m, in [-1, 1].
    Observation (17,): the torso's height over its rest height (m), its angle about y (rad), six joint angles (rad);
    the velocities of the torso forwards and upwards (m/s), of its angle and of the joints (rad/s).
    Reward, per step: forward velocity (m/s), minus 0.1 times the squared action.
    Start: 0.1 m above the rest pose, every coordinate within +-0.1 (m, rad) of that, velocities within +-0.25.
    `info`: `forward_velocity` (m/s), `height` (m), `upright` (cosine of the torso's angle).

    Source: Xu et al., "Accelerated policy learning with parallel differentiable simulation" (ICLR 2022).
    """

    ROBOT = "half_cheetah"
    FRICTION = 1.0
    CONTACT = reference_contact(ke=2e4, kd=1e3, limit_ke=1e3, limit_kd=10.0)

    START_HEIGHT = 0.1  # m over the rest height, so that no foot starts far inside the ground
    START_NOISE = 0.1  # m, rad
    START_VELOCITY_NOISE = 0.25  # m/s, rad/s
    ACTION_WEIGHT = 0.1

    single_observation_space = Box(-np.inf, np.inf, (17,), np.float32)
    single_action_space = Box(-1.0, 1.0, (6,), np.float32)

    def reward(self) -> torch.Tensor:
        """See the class."""
        return self.forward_velocity() - self.ACTION_WEIGHT * self.effort()

    def terminated(self) -> torch.Tensor:
        """Never."""
        return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)


HalfCheetahEnv = robot_single_env(HalfCheetah)
