"""Gymnasium's HalfCheetah-v5: a two-legged cheetah runs in a vertical plane."""

import numpy as np
from gymnasium.spaces import Box

from envs.mujoco.base import mujoco_single_env
from envs.mujoco.planar import RunnerTask


class HalfCheetahV5(RunnerTask):
    """Run along +x.

    Action (6,): torques of thigh, shin and foot, behind and in front, in units of the joints' strengths (30 to 120 N
    m), in [-1, 1].
    Observation (17,): see `RunnerTask`; 18 with the first coordinate.
    Reward, per step: velocity along +x (m/s), -0.1 times the squared length of the action.
    Start: the model's pose, every coordinate within +-0.1, velocities normal with deviation 0.1. It never ends by
    itself.
    `info`: `x_position` (m), `x_velocity` (m/s), and the terms `reward_forward`, `reward_ctrl`.

    Source: Wawrzynski (2009), in the form of Gymnasium 1.x, `gymnasium.make("HalfCheetah-v5")`.
    """

    ROBOT, TIMESTEP, GYMNASIUM, COORDINATES = "gymnasium/half_cheetah", 0.01, "HalfCheetah-v5", 9
    NORMAL_VELOCITIES = True
    DEFAULTS = {
        "frame_skip": 5,
        "forward_reward_weight": 1.0,
        "ctrl_cost_weight": 0.1,
        "reset_noise_scale": 0.1,
        "exclude_current_positions_from_observation": True,
    }
    single_action_space = Box(-1.0, 1.0, (6,), np.float32)


HalfCheetahV5Env = mujoco_single_env(HalfCheetahV5)
