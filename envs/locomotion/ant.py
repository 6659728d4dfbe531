"""Ant: a torso on four legs with two joints each runs forwards."""

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.locomotion.base import reference_contact, robot_single_env
from envs.locomotion.floating import FloatingTask


class Ant(FloatingTask):
    """Run along +x.

    Action (8,): torques of hip and ankle of each leg in units of 200 N m, in [-1, 1].
    Observation (37,): the torso's height (m), quaternion (wxyz), velocity (m/s) and angular velocity (rad/s), world
    frame; joint angles (8, rad); joint velocities (8) in units of 10 rad/s; cosine between the torso's z axis and the
    vertical; cosine between its x axis and the direction of a target far along +x; the action that acted (8).
    Reward, per step: velocity along +x (m/s), plus 0.1 times the first cosine, plus the second, plus height - 0.27 m.
    Start: standing at 0.75 m, position within +-0.1 m, turned by up to 7.5 degrees about a random axis, joint angles
    within +-0.2 of the pose, velocities within +-0.25. Terminated when the torso is below 0.27 m.
    `info`: `forward_velocity` (m/s), `height` (m), `upright` (the first cosine).

    Source: Xu et al., "Accelerated policy learning with parallel differentiable simulation" (ICLR 2022).
    """

    ROBOT = "ant"
    VIEW = (0.6, -4.6, 1.4)
    FRICTION = 0.75
    CONTACT = reference_contact(ke=4e4, kd=1e4, limit_ke=1e3, limit_kd=10.0)

    START_HEIGHT = 0.75  # m
    START_JOINTS = (0.0, 1.0, 0.0, -1.0, 0.0, -1.0, 0.0, 1.0)  # rad
    TARGET = (1e4, 0.0)  # m
    HEIGHT_LIMIT = 0.27  # m
    UPRIGHT_WEIGHT = 0.1

    single_observation_space = Box(-np.inf, np.inf, (37,), np.float32)
    single_action_space = Box(-1.0, 1.0, (8,), np.float32)

    def reward(self) -> torch.Tensor:
        """See the class."""
        height, upright, heading = self.torso()
        return self.forward_velocity() + self.UPRIGHT_WEIGHT * upright + heading + (height - self.HEIGHT_LIMIT)


AntEnv = robot_single_env(Ant)
