"""What the robots with a free torso on legs share: sensors, observation, start."""

from collections.abc import Mapping
from typing import ClassVar

import torch

import genesis as gs
from envs.locomotion.base import RobotTask
from envs.locomotion.sensors import heading, random_turn, rotated
from envs.step_cache import cached_per_step
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

    def build_scene(self) -> gs.Scene:
        """See `RobotTask`."""
        self._axes = self.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # x and z
        self._target = self.tensor(self.TARGET)
        return super().build_scene()

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

    @cached_per_step
    def place_parts(self) -> tuple[torch.Tensor, ...]:
        """Position (B, 3), m, and quaternion (B, 4) of the torso; joint angles (B, J), rad."""
        return self.qpos().split((3, 4, len(self.START_JOINTS)), dim=1)

    @cached_per_step
    def velocity_parts(self) -> tuple[torch.Tensor, ...]:
        """Velocity (B, 3), m/s, and angular velocity (B, 3), in its frame, of the torso; joints' (B, J), rad/s."""
        return self.dofs_vel().split((3, 3, len(self.START_JOINTS)), dim=1)

    @cached_per_step
    def turned(self) -> tuple[torch.Tensor, ...]:
        """The torso's x axis, its z axis and its angular velocity (rad/s), world frame, (B, 3) each."""
        quat, spin = self.place_parts()[1], self.velocity_parts()[1]
        axes = self._axes.expand(self.num_envs, 2, 3)
        return rotated(quat[:, None], torch.cat([axes, spin[:, None]], dim=1)).unbind(dim=1)

    @cached_per_step
    def torso(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Height (m), `upright` and `heading` of the torso, (B,) each."""
        pos, (ahead, up, _) = self.place_parts()[0], self.turned()
        return pos[:, 2], up[:, 2], heading(pos, ahead, self._target)

    @cached_per_step
    def forward_velocity(self) -> torch.Tensor:
        """Of the torso along +x (B,), m/s."""
        return self.velocity_parts()[0][:, 0]

    def observe(self) -> torch.Tensor:
        """See the class."""
        (pos, quat, joints), (velocity, _, joint_velocity) = self.place_parts(), self.velocity_parts()
        _, upright, heading = self.torso()
        torso = [pos[:, 2:], quat, velocity, self.turned()[2]]
        posture = [joints, joint_velocity / self.JOINT_VELOCITY_UNIT, upright[:, None], heading[:, None]]
        return torch.cat([*torso, *posture, self.action.as_subclass(torch.Tensor)], dim=1)

    def terminated(self) -> torch.Tensor:
        """Whether the torso is too low."""
        return self.torso()[0].detach() < self.HEIGHT_LIMIT

    def measure(self) -> Mapping[str, torch.Tensor]:
        """Forward velocity (m/s), height (m), `upright`."""
        height, upright, _ = self.torso()
        measured = {"forward_velocity": self.forward_velocity(), "height": height, "upright": upright}
        return {**{name: value.detach() for name, value in measured.items()}, **self.contact_measure()}
