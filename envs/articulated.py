"""What all tasks with one robot of joints and links share: torques, state, randomised parameters, the camera."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

import genesis as gs
from envs import interface
from envs.base import DifferentiableVectorEnv
from envs.step_cache import cached_per_step
from envs.streams import Draw


class ArticulatedTask(DifferentiableVectorEnv):
    """Abstract: a robot that its motors move. A task builds the scene, then calls `took_robot`.

    The robot brings its strengths, armatures and joint damping. Action 1 is a motor's full strength.
    """

    CONTACTS: ClassVar[Mapping[str, gs.options.RigidOptions]]
    """Models of contact and joint limits by the name under which a task offers them, where it offers several."""
    WORLD: ClassVar[str | None] = None
    """Name of the robot that comes with genesis and whose file is all of the task's world, if there is one: MuJoCo can
    step it."""
    robot: Any
    VIEW: ClassVar[tuple[float, float, float]] = (0.5, -3.6, 1.1)  # m, of the camera from the place it looks at
    VIEW_HEIGHT: ClassVar[float] = 0.5  # m, of that place, which goes along with the robot; its x and y are the robot's

    @classmethod
    def checked_contact(cls, contact: str) -> str:
        """The name itself; raises GenesisValueError unless it is one of `CONTACTS`."""
        interface.check_choice("contact", contact, cls.CONTACTS)
        return contact

    def took_robot(self) -> None:
        """Notes rest pose and motors of `self.robot`, once the scene is built."""
        self.rest = self.qpos()[0]
        """(Q,) the robot's rest pose."""
        self.strength = self._full_strength().expand(self.num_envs, -1)
        """(B, motors) torque (N m; of slides force, N) at action 1."""
        self._motor_dofs = [motor.dof for motor in self.robot.actuators]
        self._friction = self.robot.get_friction().as_subclass(torch.Tensor).detach()[:1]

    def add_camera(self) -> gs.Camera:
        """From the side, along with the robot; at a fixed height, so that one sees it hop and fall."""
        camera = self.scene.add_camera(res=self.render_size, pos=self.VIEW, lookat=(0.0, 0.0, 0.0))
        camera.follow_entity(self.robot, fixed_axis=(None, None, self.VIEW_HEIGHT))
        return camera

    def apply_action(self, action: torch.Tensor) -> None:
        """Torques in proportion to the action."""
        self.robot.control_dofs_force(self.strength * action, dofs_idx_local=self._motor_dofs)

    def randomise_parameters(self, draw: Draw, envs_idx: torch.Tensor, width: float) -> None:
        """Scales, one per environment each: masses with inertias, friction, joint damping, strength."""
        mass, friction, damping, strength = (self.tensor(draw.uniform(1 - width, 1 + width, (1,))) for _ in range(4))
        nominal = {name: self.tensor(getattr(self.robot.model, name).copy()) for name in ("mass", "inertia", "damping")}
        self.robot.set_mass(mass * nominal["mass"], envs_idx=envs_idx)
        self.robot.set_inertia(mass[..., None] * nominal["inertia"], envs_idx=envs_idx)
        self.robot.set_dofs_damping(damping * nominal["damping"], envs_idx=envs_idx)
        self.strength = self.strength.index_copy(0, envs_idx, strength * self._full_strength())
        self.scale_friction(friction, envs_idx)

    def scale_friction(self, factor: torch.Tensor, envs_idx: torch.Tensor) -> None:
        """Friction of the robot's geoms in the environments `envs_idx` (n,) is `factor` (n, 1) of what it is without
        randomisation; on a ground, whose friction stays, the larger of both counts."""
        self.robot.set_friction(factor * self._friction, envs_idx=envs_idx)

    def place(self, qpos: torch.Tensor, dofs_vel: torch.Tensor, envs_idx: torch.Tensor) -> None:
        """Puts the robots of `envs_idx` (n,) at `qpos` (n, Q) with velocities (n, D)."""
        self.robot.set_qpos(qpos, envs_idx=envs_idx, zero_velocity=False)
        self.robot.set_dofs_velocity(dofs_vel, envs_idx=envs_idx)

    @cached_per_step
    def qpos(self) -> torch.Tensor:
        """Generalised positions (B, Q), a plain tensor, differentiable."""
        return self.robot.get_qpos().as_subclass(torch.Tensor)

    @cached_per_step
    def dofs_vel(self) -> torch.Tensor:
        """Generalised velocities (B, D), a plain tensor, differentiable."""
        return self.robot.get_dofs_velocity().as_subclass(torch.Tensor)

    def effort(self) -> torch.Tensor:
        """Squared length (B,) of the action that acts now."""
        return self.action.as_subclass(torch.Tensor).square().sum(dim=1)

    def _full_strength(self) -> torch.Tensor:
        """(1, motors), of the robot as it comes."""
        return self.tensor([[motor.gear for motor in self.robot.actuators]])
