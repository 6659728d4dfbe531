"""Humanoid: a body with 21 joints runs forwards on two legs."""

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.locomotion.base import reference_contact, robot_single_env
from envs.locomotion.floating import FloatingTask
from envs.locomotion.sensors import height_reward


class Humanoid(FloatingTask):
    """Run along +x, upright, with little effort.

    Action (21,): torques of abdomen (3), right leg (6), left leg (6), right arm (3) and left arm (3), in units of the
    motor's strength (35 to 210 N m), in [-1, 1].
    Observation (76,): the torso's height (m), quaternion (wxyz), velocity (m/s) and angular velocity (rad/s), world
    frame; joint angles (21, rad); joint velocities (21) in units of 10 rad/s; cosine between the torso's z axis and the
    vertical; cosine between its x axis and the direction of a target far along +x; the action that acted (21).
    Reward, per step: velocity along +x (m/s), plus 0.1 times the first cosine, plus the second; a height reward, with
    h = height - 0.84 m clipped to [-1, 0.1], of 10 h above 0 and -200 h^2 below; minus 0.002 times the squared action.
    Start: standing at 1.35 m, position within +-0.1 m, turned by up to 7.5 degrees about a random axis, joint angles
    within +-0.2, velocities within +-0.25. Terminated when the torso is below 0.74 m.
    `info`: `forward_velocity` (m/s), `height` (m), `upright` (the first cosine).

    Source: Xu et al., "Accelerated policy learning with parallel differentiable simulation" (ICLR 2022).
    """

    SUBSTEPS = 48
    ROBOT = "humanoid"
    FRICTION = 0.75
    CONTACT = reference_contact(ke=2e4, kd=5e3, limit_ke=1e3, limit_kd=10.0)

    START_HEIGHT = 1.35  # m
    START_JOINTS = (0.0,) * 21  # rad
    TARGET = (200.0, 0.0)  # m
    HEIGHT_LIMIT = 0.74  # m
    HEIGHT_TOLERANCE = 0.1  # m over the limit, where the height reward changes sign
    HEIGHT_CEILING = 0.1  # m over that, where the height reward stops growing
    HEIGHT_GAIN = 10.0  # 1/m
    UPRIGHT_WEIGHT, ACTION_WEIGHT = 0.1, 0.002

    VIEW, VIEW_HEIGHT = (0.7, -4.6, 1.2), 0.85

    single_observation_space = Box(-np.inf, np.inf, (76,), np.float32)
    single_action_space = Box(-1.0, 1.0, (21,), np.float32)

    def reward(self) -> torch.Tensor:
        """See the class."""
        height, upright, heading = self.torso()
        margin = height - (self.HEIGHT_LIMIT + self.HEIGHT_TOLERANCE)
        tall = height_reward(margin, self.HEIGHT_CEILING, self.HEIGHT_GAIN)
        posture = self.UPRIGHT_WEIGHT * upright + heading + tall
        return self.forward_velocity() + posture - self.ACTION_WEIGHT * self.effort()


HumanoidEnv = robot_single_env(Humanoid)
