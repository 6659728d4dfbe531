"""What the robots that live in a vertical plane share: coordinates, observation, start; and those that stay upright."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from envs.locomotion.base import RobotTask, reference_contact
from envs.locomotion.sensors import height_reward
from envs.step_cache import cached_per_step
from envs.streams import Draw


class PlanarTask(RobotTask):
    """Abstract: a robot whose coordinates are forward, up (m), the torso's angle about y, then its joints (rad).

    Observation: the coordinates from the rest pose without the forward one, then all velocities.
    """

    START_HEIGHT: ClassVar[float] = 0.0  # m over the rest height
    START_NOISE: ClassVar[float]  # half-width of every coordinate at the start, m and rad
    START_VELOCITY_NOISE: ClassVar[float]  # half-width of every velocity at the start, m/s and rad/s

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Near the rest pose, nearly at rest."""
        qpos = self.rest + self.tensor(draw.uniform(-self.START_NOISE, self.START_NOISE, tuple(self.rest.shape)))
        qpos[:, 1] += self.START_HEIGHT
        velocity = draw.uniform(-self.START_VELOCITY_NOISE, self.START_VELOCITY_NOISE, tuple(self.rest.shape))
        self.place(qpos, self.tensor(velocity), envs_idx)
        return {}

    @cached_per_step
    def displacement(self) -> torch.Tensor:
        """Coordinates (B, Q) from the rest pose, m and rad."""
        return self.qpos() - self.rest

    @cached_per_step
    def torso(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Height over the rest height (m) and angle about y from the rest pose (rad, positive forwards), (B,) each."""
        height, angle = self.displacement()[:, 1:3].unbind(dim=1)
        return height, angle

    @cached_per_step
    def forward_velocity(self) -> torch.Tensor:
        """Of the torso (B,), m/s."""
        return self.dofs_vel()[:, 0]

    def observe(self) -> torch.Tensor:
        """See the class."""
        return torch.cat([self.displacement()[:, 1:], self.dofs_vel()], dim=1)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """Forward velocity (m/s), height over the rest height (m), cosine of the torso's angle."""
        height, angle = (value.detach() for value in self.torso())
        velocity = self.forward_velocity().detach()
        return {"forward_velocity": velocity, "height": height, "upright": torch.cos(angle), **self.contact_measure()}


class UprightTask(PlanarTask):
    """Abstract: move forwards, upright, with little effort: the rewards and limits of `Hopper`."""

    FRICTION = 0.9
    CONTACT = reference_contact(ke=2e4, kd=1e3, limit_ke=1e3, limit_kd=10.0)

    START_NOISE = 0.05  # m, rad
    START_VELOCITY_NOISE = 0.05  # m/s, rad/s
    HEIGHT_LIMIT = -0.45  # m over the rest height: below it the episode ends
    HEIGHT_TOLERANCE = 0.15  # m over the limit, where the height reward changes sign
    HEIGHT_CEILING = 0.3  # m over that, where the height reward stops growing
    ANGLE_SCALE = np.pi / 6  # rad of leaning that cost as much as standing straight earns
    ACTION_WEIGHT = 0.1

    def reward(self) -> torch.Tensor:
        """See the class."""
        height, angle = self.torso()
        tall = height_reward(height - (self.HEIGHT_LIMIT + self.HEIGHT_TOLERANCE), self.HEIGHT_CEILING, 1.0)
        straight = 1.0 - (angle / self.ANGLE_SCALE).square()
        return self.forward_velocity() + tall + straight - self.ACTION_WEIGHT * self.effort()

    def terminated(self) -> torch.Tensor:
        """Whether the torso is too low."""
        return self.torso()[0].detach() < self.HEIGHT_LIMIT
