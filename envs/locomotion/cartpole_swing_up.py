"""CartPoleSwingUp: a pole that hangs from a cart is swung up and balanced by pushing the cart."""

from collections.abc import Mapping

import numpy as np
import torch
from gymnasium.spaces import Box

from envs.locomotion.base import RobotTask, robot_single_env
from envs.locomotion.sensors import wrapped
from envs.step_cache import cached_per_step
from envs.streams import Draw


class CartPoleSwingUp(RobotTask):
    """Swing the pole up and hold it there with the cart in the middle. Nothing ends an episode but time.

    Action (1,): force on the cart in units of 1000 N, in [-1, 1].
    Observation (5,): the cart's position (m) and velocity (m/s); sine, cosine and velocity (rad/s) of the pole's angle,
    which is 0 upright.
    Reward, per step, at most 0: -(angle^2 + 0.1 angular velocity^2 + 0.05 position^2 + 0.1 velocity^2), the angle
    wrapped to +-pi.
    Start: hanging; position (m) and angle (rad) within +-pi/2 of that, velocities within +-0.25.
    `info`: `height` (of the pole's tip, as a cosine), `success` (within 15 degrees of upright).

    Source: Xu et al., "Accelerated policy learning with parallel differentiable simulation" (ICLR 2022).
    """

    SUBSTEPS = 4
    ROBOT = "cartpole"

    START_NOISE = np.pi / 2  # half-width, m and rad
    START_VELOCITY_NOISE = 0.25  # half-width, m/s and rad/s
    ANGULAR_VELOCITY_WEIGHT, POSITION_WEIGHT, VELOCITY_WEIGHT = 0.1, 0.05, 0.1
    SUCCESS_ANGLE = np.radians(15)

    FLOOR = -1.2
    VIEW, VIEW_HEIGHT = (0.6, -4.9, 1.0), -0.1

    single_observation_space = Box(-np.inf, np.inf, (5,), np.float32)
    single_action_space = Box(-1.0, 1.0, (1,), np.float32)

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Hanging, more or less."""
        qpos = self.tensor(draw.uniform(-self.START_NOISE, self.START_NOISE, (2,)))
        velocity = self.tensor(draw.uniform(-self.START_VELOCITY_NOISE, self.START_VELOCITY_NOISE, (2,)))
        self.place(self.rest + qpos, velocity, envs_idx)
        return {}

    def draw_marks(self) -> None:
        """The rail."""
        self.scene.draw_debug_line((-4.3, 0.0, 0.0), (4.3, 0.0, 0.0), 0.03, "gray")

    @cached_per_step
    def motion(self) -> tuple[torch.Tensor, ...]:
        """Position of the cart (m), angle of the pole (rad), and their velocities, (B,) each."""
        return *self.qpos().unbind(dim=1), *self.dofs_vel().unbind(dim=1)

    @cached_per_step
    def angle(self) -> torch.Tensor:
        """Of the pole (B,), rad, in [-pi, pi), 0 upright."""
        return wrapped(self.motion()[1])

    def observe(self) -> torch.Tensor:
        """See the class."""
        x, angle, velocity, spin = self.motion()
        return torch.stack([x, velocity, torch.sin(angle), torch.cos(angle), spin], dim=1)

    def reward(self) -> torch.Tensor:
        """See the class."""
        x, _, velocity, spin = self.motion()
        pole = self.angle().square() + self.ANGULAR_VELOCITY_WEIGHT * spin.square()
        return -(pole + self.POSITION_WEIGHT * x.square() + self.VELOCITY_WEIGHT * velocity.square())

    def terminated(self) -> torch.Tensor:
        """Never."""
        return torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """See the class."""
        angle = self.angle().detach()
        return {"height": torch.cos(angle), "success": angle.abs() < self.SUCCESS_ANGLE}


CartPoleSwingUpEnv = robot_single_env(CartPoleSwingUp)
