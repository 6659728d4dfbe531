"""What all robot tasks share: the scene, torques, contact presets, randomised parameters, and the single env."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from typing_extensions import Unpack

import genesis as gs
from envs import interface
from envs.base import DifferentiableVectorEnv
from envs.options import BatchOptions, TaskOptions
from envs.single import SingleEnv, single_env
from envs.step_cache import cached_per_step
from envs.streams import Draw
from genesis.errors import GenesisValueError

SOLVERS_OWN = gs.options.RigidOptions()
"""Contact and limits as the solver derives them from masses and strengths; for robots that nothing touches."""


def strict_contact(sag: float, limit_stiffness: float = 4e3) -> gs.options.RigidOptions:
    """Physics to be believed at finer substeps too, and soft enough to be learnt through.

    200 N m, the strength of most motors here, bend a joint 0.05 rad beyond its range. (The solver's own limits give
    by 0.001 rad: to actions that press against them nothing answers. And its damping, which is critical, takes what a
    gait would live on. See docs/decisions.md, 26.)

    Args:
        sag: How deep the robot sinks on one contact point, m: 1.3 % of its size.
        limit_stiffness: Of joint limits, N m/rad (N/m).
    """
    contact = gs.options.CompliantContact(
        sag=sag,
        dissipation=0.4,
        friction_velocity=0.02,
        limit_stiffness=limit_stiffness,
        limit_damping=20.0,
        limit_smoothing=0.01,
    )
    return gs.options.RigidOptions(contact=contact)


def reference_contact(ke: float, kd: float, limit_ke: float, limit_kd: float) -> gs.options.RigidOptions:
    """The soft constants of the published environments, for comparable numbers.

    Args:
        ke: Contact stiffness, N/m.
        kd: Contact damping, N s/m; becomes the dissipation kd / ke.
        limit_ke: Stiffness of joint limits, N m/rad (N/m).
        limit_kd: Damping of joint limits, N m s/rad (N s/m).
    """
    contact = gs.options.CompliantContact(
        stiffness=ke,
        dissipation=kd / ke,
        friction_velocity=0.1,
        limit_stiffness=limit_ke,
        limit_damping=limit_kd,
        limit_smoothing=0.01,
    )
    return gs.options.RigidOptions(contact=contact)


class RobotTask(DifferentiableVectorEnv):
    """Abstract: a robot that comes with genesis, moved by its motors. A task states the constants and the base's hooks.

    The robot brings its strengths, armatures and joint damping. Action 1 is a motor's full strength.

    Most tasks have two presets of contact and joint limits: "strict", and "reference", which is as soft as published
    environments are, so that returns compare (feet sink in, joints leave their ranges).
    """

    CONTROL_DT: ClassVar[float] = 1.0 / 60.0  # s
    SUBSTEPS: ClassVar[int] = 16
    ROBOT: ClassVar[str]  # name for gs.morphs.Robot
    FRICTION: ClassVar[float | None] = None  # of the robot on the ground; None: there is no ground
    CONTACTS: ClassVar[Mapping[str, gs.options.RigidOptions]] = {"strict": SOLVERS_OWN}
    FLOOR: ClassVar[float | None] = None  # m, height of a floor that is only seen, where there is no ground
    VIEW: ClassVar[tuple[float, float, float]] = (0.5, -3.6, 1.1)  # m, of the camera from the place it looks at
    VIEW_HEIGHT: ClassVar[float] = 0.5  # m, of that place, which goes along with the robot; its x and y are the robot's

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        *,
        contact: str = "strict",
        substeps: int | None = None,
        step_outputs: tuple[str, ...] = (),
        **options: Unpack[BatchOptions],
    ):
        """Builds the scene.

        Args:
            num_envs: Number of environments in the batch.
            max_episode_steps: Steps after which an episode is truncated; None: never.
            contact: One of the task's `CONTACTS`.
            substeps: Of a control step; None: the task's `SUBSTEPS`. More of them show whether a motion is physics.
            step_outputs: What the robot is to measure during steps; see `gs.Scene.build`. With "contacts" the `info` of
                tasks on legs has `contact_stiffness`; see `contact_measure`.
            options: See `envs.options`.

        Raises:
            gs.GenesisException: An argument violates its constraint.
        """
        interface.check_choice("contact", contact, self.CONTACTS)
        if substeps is not None and (isinstance(substeps, bool) or not isinstance(substeps, int) or substeps < 1):
            raise GenesisValueError(f"substeps must be a whole number >= 1 or None, got {substeps!r}.")
        self.contact = contact
        self.substeps = self.SUBSTEPS if substeps is None else substeps
        self.step_outputs = step_outputs
        super().__init__(num_envs, max_episode_steps, **options)

    def build_scene(self) -> gs.Scene:
        """The robot in its rest pose, over level ground if it has any."""
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(
                dt=self.CONTROL_DT, substeps=self.substeps, requires_grad=self.differentiable
            ),
            rigid_options=self.CONTACTS[self.contact],
            vis_options=gs.options.VisOptions(floor_height=self.FLOOR),
        )
        if self.FRICTION is not None:
            scene.add_entity(gs.morphs.Plane(), material=gs.materials.Rigid(), name="ground")
        material = gs.materials.Rigid(friction=self.FRICTION)
        self.robot = scene.add_entity(gs.morphs.Robot(name=self.ROBOT), material=material, name=self.ROBOT)
        scene.build(n_envs=self.num_envs, outputs=self.step_outputs)
        self.rest = self.qpos()[0]
        """(Q,) the robot's rest pose."""
        self.strength = self._full_strength().expand(self.num_envs, -1)
        """(B, motors) torque (N m; of slides force, N) at action 1."""
        self._motor_dofs = [motor.dof for motor in self.robot.actuators]
        return scene

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
        if self.FRICTION is not None:
            self.robot.set_friction(friction * self.FRICTION, envs_idx=envs_idx)
        self.strength = self.strength.index_copy(0, envs_idx, strength * self._full_strength())

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

    def contact_measure(self) -> Mapping[str, torch.Tensor]:
        """What `measure` has where `step_outputs` has "contacts": `contact_stiffness`, without unit, at least 0.

        It is dt^2 / M times the sum of the stiffnesses of the contact points that touched during the last step, with
        the control step dt and the robot's mass M: the square of how fast contact is, in units of the control's rate.
        """
        if "contacts" not in self.step_outputs:
            return {}
        contacts = self.robot.get_contacts()
        stiffness, mass = (
            x.as_subclass(torch.Tensor) for x in (self.robot.get_contact_stiffness(), self.robot.get_mass())
        )
        sum_of_touching = (contacts.touching * stiffness.detach()[:, contacts.link_idx]).sum(dim=1)
        return {"contact_stiffness": self.CONTROL_DT**2 * sum_of_touching / mass.detach()}

    def effort(self) -> torch.Tensor:
        """Squared length (B,) of the action that acts now."""
        return self.action.as_subclass(torch.Tensor).square().sum(dim=1)

    def _full_strength(self) -> torch.Tensor:
        """(1, motors), of the robot as it comes."""
        return self.tensor([[motor.gear for motor in self.robot.actuators]])


class RobotEnv(SingleEnv):
    """One environment of a robot task; make a concrete class with `robot_single_env`."""

    task: ClassVar[type[RobotTask]]

    def __init__(
        self,
        *,
        contact: str = "strict",
        substeps: int | None = None,
        **options: Unpack[TaskOptions],
    ):
        """Builds the task's scene; the options are those of `RobotTask`."""
        self._build({"contact": contact, "substeps": substeps}, options)


def robot_single_env(task: type[RobotTask]) -> type[SingleEnv]:
    """The `gymnasium.Env` class of a robot task: what its `entry_point` names."""
    return single_env(task, RobotEnv)
