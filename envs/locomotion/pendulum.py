"""Pendulum: a rod on a motor too weak to lift it at once is swung up and balanced."""

from collections.abc import Mapping

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.locomotion.base import RobotTask, robot_single_env
from envs.locomotion.sensors import wrapped
from envs.step_cache import cached_per_step
from envs.streams import Draw


class Pendulum(RobotTask):
    """Swing a rod up and hold it there. Nothing ends an episode but time.

    Costs, start, step and episode length are those of Gymnasium's Pendulum-v1.

    Action (1,): torque at the pivot in units of 2 N m, in [-1, 1].
    Observation (3,): cosine, sine and velocity (rad/s) of the rod's angle, which is 0 upright.
    Reward, per step, at most 0: -(angle^2 + 0.1 angular velocity^2 + 0.001 torque^2), the angle wrapped to +-pi.
    Start: any angle, angular velocity within +-1 rad/s.
    `info`: `height` (of the rod's tip, as a cosine), `success` (within 15 degrees of upright).
    """

    CONTROL_DT = 0.05  # s
    SUBSTEPS = 12
    ROBOT = "pendulum"

    START_SPEED = 1.0  # rad/s
    ANGULAR_VELOCITY_WEIGHT, TORQUE_WEIGHT = 0.1, 0.001
    SUCCESS_ANGLE = np.radians(15)

    FLOOR = -1.3
    VIEW, VIEW_HEIGHT = (0.5, -4.4, 0.9), -0.1

    single_observation_space = Box(-np.inf, np.inf, (3,), np.float32)
    single_action_space = Box(-1.0, 1.0, (1,), np.float32)

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Anywhere, turning slowly."""
        angle = self.tensor(draw.uniform(-np.pi, np.pi, (1,)))
        self.place(angle, self.tensor(draw.uniform(-self.START_SPEED, self.START_SPEED, (1,))), envs_idx)
        return {}

    @cached_per_step
    def angle(self) -> torch.Tensor:
        """Of the rod (B,), rad, in [-pi, pi), 0 upright."""
        return wrapped(self.qpos()[:, 0])

    def draw_marks(self) -> None:
        """The axle."""
        self.scene.draw_debug_line((0.0, -0.06, 0.0), (0.0, 0.06, 0.0), 0.05, "gray")

    def observe(self) -> torch.Tensor:
        """See the class."""
        angle = self.qpos()
        return torch.cat([torch.cos(angle), torch.sin(angle), self.dofs_vel()], dim=1)

    def reward(self) -> torch.Tensor:
        """See the class."""
        spin = self.dofs_vel()[:, 0]
        torque = (self.strength * self.action.as_subclass(torch.Tensor))[:, 0]
        swing = self.angle().square() + self.ANGULAR_VELOCITY_WEIGHT * spin.square()
        return -(swing + self.TORQUE_WEIGHT * torque.square())

    def terminated(self) -> torch.Tensor:
        """Never."""
        return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """See the class."""
        angle = self.angle().detach()
        return {"height": torch.cos(angle), "success": angle.abs() < self.SUCCESS_ANGLE}


PendulumEnv = robot_single_env(Pendulum)
