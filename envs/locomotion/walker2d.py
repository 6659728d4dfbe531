"""Walker2d: two legs with three joints each walk in a vertical plane."""

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.locomotion.base import STRICT, reference_contact, robot_face
from envs.locomotion.planar import PlanarTask
from envs.locomotion.sensors import height_reward


class Walker2d(PlanarTask):
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
    FRICTION = 0.9
    CONTACTS = {"strict": STRICT, "reference": reference_contact(ke=2e4, kd=1e3, limit_ke=1e3, limit_kd=10.0)}

    START_NOISE = 0.05  # m, rad
    START_VELOCITY_NOISE = 0.05  # m/s, rad/s
    HEIGHT_LIMIT = -0.45  # m over the rest height: below it the episode ends
    HEIGHT_TOLERANCE = 0.15  # m over the limit, where the height reward changes sign
    HEIGHT_CEILING = 0.3  # m over that, where the height reward stops growing
    ANGLE_SCALE = np.pi / 6  # rad of leaning that cost as much as standing straight earns
    ACTION_WEIGHT = 0.1

    single_observation_space = Box(-np.inf, np.inf, (17,), np.float32)
    single_action_space = Box(-1.0, 1.0, (6,), np.float32)

    def reward(self) -> torch.Tensor:
        """See the class."""
        height, angle = self.torso()
        tall = height_reward(height - (self.HEIGHT_LIMIT + self.HEIGHT_TOLERANCE), self.HEIGHT_CEILING, 1.0)
        straight = 1.0 - (angle / self.ANGLE_SCALE).square()
        return self.forward_velocity() + tall + straight - self.ACTION_WEIGHT * self.effort()

    def terminated(self) -> torch.Tensor:
        """Whether the torso is too low."""
        return self.torso()[0].detach() < self.HEIGHT_LIMIT


Walker2dEnv = robot_face(Walker2d)
