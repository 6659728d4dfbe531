"""Gymnasium's Hopper-v5: a leg with three joints in a vertical plane hops forwards."""

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.mujoco.base import mujoco_single_env
from envs.mujoco.planar import UprightTask


class HopperV5(UprightTask):
    """Hop along +x.

    Action (3,): torques of thigh, leg and foot in units of 200 N m, in [-1, 1].
    Observation (11,): see `RunnerTask`; 12 with the first coordinate.
    Reward, per step: velocity along +x (m/s), 1 while healthy, -1e-3 times the squared length of the action.
    Start: the model's pose, every coordinate and velocity within +-5e-3. Healthy, and so not terminated, while the
    torso is above 0.7 m, its angle within +-0.2 rad, and all coordinates and velocities but the first two coordinates
    are within +-100.
    `info`: `x_position`, `z_distance_from_origin` (m), `x_velocity` (m/s), and the terms `reward_forward`,
    `reward_ctrl`, `reward_survive`.

    Source: Erez et al. (2011), in the form of Gymnasium 1.x, `gymnasium.make("Hopper-v5")`.
    """

    ROBOT, TIMESTEP, GYMNASIUM, COORDINATES = "gymnasium/hopper", 0.002, "Hopper-v5", 6
    VIEW, VIEW_HEIGHT = (0.7, -4.6, 1.1), 0.95
    DEFAULTS = {
        "frame_skip": 4,
        "forward_reward_weight": 1.0,
        "ctrl_cost_weight": 1e-3,
        "healthy_reward": 1.0,
        "terminate_when_unhealthy": True,
        "healthy_state_range": (-100.0, 100.0),
        "healthy_z_range": (0.7, np.inf),
        "healthy_angle_range": (-0.2, 0.2),
        "reset_noise_scale": 5e-3,
        "exclude_current_positions_from_observation": True,
    }
    single_action_space = Box(-1.0, 1.0, (3,), np.float32)

    def health(self) -> torch.Tensor:
        """See the class."""
        state = torch.cat([self.qpos()[:, 2:], self.dofs_vel()], dim=1)
        return torch.cat([super().health(), self.within(state, "healthy_state_range")], dim=1)


HopperV5Env = mujoco_single_env(HopperV5)
