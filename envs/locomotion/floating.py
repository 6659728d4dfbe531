"""What the robots with a free torso on legs share: sensors, observation, start."""

from collections.abc import Mapping
from typing import ClassVar

import torch

from envs.locomotion.base import RobotTask
from envs.locomotion.sensors import heading, random_turn, rotated, upright
from envs.streams import Draw


class FloatingTask(RobotTask):
    """Abstract: a robot with a free torso and joints, which is to move along +x.

    Observation: the torso's height (m), quaternion (wxyz), velocity (m/s) and angular velocity (rad/s), world frame;
    joint angles (rad); joint velocities in units of 10 rad/s; `upright`; `heading`; the action that acted.
    """

    START_HEIGHT: ClassVar[float]  # of the torso, m
    START_JOINTS: ClassVar[tuple[float, ...]]  # rad
    START_POSITION_NOISE: ClassVar[float] = 0.1  # half-width, m
    START_TURN: ClassVar[float] = torch.pi / 24  # half-width of the torso's angle about a random axis, rad
    START_JOINT_NOISE: ClassVar[float] = 0.2  # half-width, rad
    START_VELOCITY_NOISE: ClassVar[float] = 0.25  # half-width, m/s and rad/s
    TARGET: ClassVar[tuple[float, float]]  # m, along x and y; where to head
    HEIGHT_LIMIT: ClassVar[float]  # of the torso, m; below it the episode ends
    JOINT_VELOCITY_UNIT: ClassVar[float] = 10.0  # rad/s

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Standing, more or less."""
        n_joints = len(self.START_JOINTS)
        offset = self.tensor(draw.uniform(-self.START_POSITION_NOISE, self.START_POSITION_NOISE, (3,)))
        turn = random_turn(draw, self.START_TURN, offset)
        joints = self.tensor(draw.uniform(-self.START_JOINT_NOISE, self.START_JOINT_NOISE, (n_joints,)))
        velocity = draw.uniform(-self.START_VELOCITY_NOISE, self.START_VELOCITY_NOISE, (6 + n_joints,))
        pos = offset + self.tensor([0.0, 0.0, self.START_HEIGHT])
        qpos = torch.cat([pos, turn, joints + self.tensor(self.START_JOINTS)], dim=1)
        self.place(qpos, self.tensor(velocity), envs_idx)
        return {}

    def torso(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Height (m), `upright` and `heading` of the torso, (B,) each."""
        qpos = self.qpos()
        pos, quat = qpos[:, :3], qpos[:, 3:7]
        return pos[:, 2], upright(quat), heading(pos, quat, self.TARGET)

    def forward_velocity(self) -> torch.Tensor:
        """Of the torso along +x (B,), m/s."""
        return self.dofs_vel()[:, 0]

    def observe(self) -> torch.Tensor:
        """See the class."""
        qpos, velocity = self.qpos(), self.dofs_vel()
        pos, quat = qpos[:, :3], qpos[:, 3:7]
        torso = [pos[:, 2:], quat, velocity[:, :3], rotated(quat, velocity[:, 3:6])]
        joints = [qpos[:, 7:], velocity[:, 6:] / self.JOINT_VELOCITY_UNIT]
        posture = torch.stack([upright(quat), heading(pos, quat, self.TARGET)], dim=1)
        return torch.cat([*torso, *joints, posture, self.action.as_subclass(torch.Tensor)], dim=1)

    def terminated(self) -> torch.Tensor:
        """Whether the torso is too low."""
        return self.qpos()[:, 2].detach() < self.HEIGHT_LIMIT

    def measure(self) -> Mapping[str, torch.Tensor]:
        """Forward velocity (m/s), height (m), `upright`."""
        qpos = self.qpos().detach()
        velocity = self.forward_velocity().detach()
        return {"forward_velocity": velocity, "height": qpos[:, 2], "upright": upright(qpos[:, 3:7])}
