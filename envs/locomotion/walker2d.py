"""Walker2d: two legs with three joints each walk in a vertical plane."""

import numpy as np
from gymnasium.spaces import Box

from envs.locomotion.base import robot_single_env
from envs.locomotion.planar import UprightTask


class Walker2d(UprightTask):
    """Walk or run forwards on two legs, upright, with little effort: `Hopper`'s task on another robot.

    Action (6,): torques of thigh, leg and foot, right then left, in units of 100 N m, in [-1, 1].
    Observation (17,): the torso's height over its rest height (m), its angle about y (rad), six joint angles (rad);
    the velocities of the torso forwards and upwards (m/s), of its angle and of the joints (rad/s).
    Reward, per step: forward velocity (m/s); a height reward, with h = height + 0.3 m clipped to [-1, 0.3], of h above
    0 and -200 h^2 below; 1 - (angle / 30 degrees)^2; minus 0.1 times the squared action.
    Start: every coordinate and velocity within +-0.05 of the rest pose. Terminated when the height is below -0.45 m.
    `info`: `forward_velocity` (m/s), `height` (m), `upright` (cosine of the torso's angle).

    No published definition with these rewards exists: the numbers are the hopper's, the strength is the robot's own.
    """

    ROBOT = "walker2d"
    VIEW, VIEW_HEIGHT = (0.7, -4.2, 1.1), 0.75

    single_observation_space = Box(-np.inf, np.inf, (17,), np.float32)
    single_action_space = Box(-1.0, 1.0, (6,), np.float32)


Walker2dEnv = robot_single_env(Walker2d)
