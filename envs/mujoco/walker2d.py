"""Gymnasium's Walker2d-v5: two legs with three joints each walk in a vertical plane."""

import numpy as np
from gymnasium.spaces import Box

from envs.mujoco.base import mujoco_single_env
from envs.mujoco.planar import UprightTask


class Walker2dV5(UprightTask):
    """Walk along +x.

    Action (6,): torques of thigh, leg and foot of each side in units of 100 N m, in [-1, 1].
    Observation (17,): see `RunnerTask`; 18 with the first coordinate.
    Reward, per step: velocity along +x (m/s), 1 while healthy, -1e-3 times the squared length of the action.
    Start: the model's pose, every coordinate and velocity within +-5e-3. Healthy, and so not terminated, while the
    torso's height is in (0.8, 2) m and its angle within +-1 rad.
    `info`: `x_position`, `z_distance_from_origin` (m), `x_velocity` (m/s), and the terms `reward_forward`,
    `reward_ctrl`, `reward_survive`.

    Source: Erez et al. (2011), in the form of Gymnasium 1.x, `gymnasium.make("Walker2d-v5")`.
    """

    ROBOT, TIMESTEP, GYMNASIUM, COORDINATES = "gymnasium/walker2d", 0.002, "Walker2d-v5", 9
    VIEW, VIEW_HEIGHT = (0.7, -4.6, 1.1), 0.85
    DEFAULTS = {
        "frame_skip": 4,
        "forward_reward_weight": 1.0,
        "ctrl_cost_weight": 1e-3,
        "healthy_reward": 1.0,
        "terminate_when_unhealthy": True,
        "healthy_z_range": (0.8, 2.0),
        "healthy_angle_range": (-1.0, 1.0),
        "reset_noise_scale": 5e-3,
        "exclude_current_positions_from_observation": True,
    }
    single_action_space = Box(-1.0, 1.0, (6,), np.float32)


Walker2dV5Env = mujoco_single_env(Walker2dV5)
