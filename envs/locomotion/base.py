"""What all tasks with a robot of ours share: the scene, their contact, and the single env."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from typing_extensions import Unpack

import genesis as gs
from envs.articulated import ArticulatedTask
from envs.options import BatchOptions, TaskOptions
from envs.single import SingleEnv, single_env
from genesis.errors import GenesisValueError

SOLVERS_OWN = gs.options.RigidOptions(contact=gs.options.CompliantContact())
"""Contact and limits as the solver derives them from masses and strengths; for robots that nothing touches."""


def reference_contact(ke: float, kd: float, limit_ke: float, limit_kd: float) -> gs.options.RigidOptions:
    """The soft constants of the published environments, for comparable returns: feet sink in, joints leave ranges.

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


class RobotTask(ArticulatedTask):
    """Abstract: a robot of ours, moved by its motors. A task states the constants and the base's hooks."""

    CONTROL_DT: ClassVar[float] = 1.0 / 60.0  # s
    SUBSTEPS: ClassVar[int] = 16
    ROBOT: ClassVar[str]  # name for gs.morphs.Robot
    FRICTION: ClassVar[float | None] = None  # of the robot on the ground; None: there is no ground
    CONTACT: ClassVar[gs.options.RigidOptions] = SOLVERS_OWN  # contact and joint limits
    FLOOR: ClassVar[float | None] = None  # m, height of a floor that is only seen, where there is no ground

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        *,
        substeps: int | None = None,
        step_outputs: tuple[str, ...] = (),
        **options: Unpack[BatchOptions],
    ):
        """Builds the scene.

        Args:
            num_envs: Number of environments in the batch.
            max_episode_steps: Steps after which an episode is truncated; None: never.
            substeps: Of a control step; None: the task's `SUBSTEPS`. More of them show whether a motion is physics.
            step_outputs: What the robot is to measure during steps; see `gs.Scene.build`. With "contacts" the `info` of
                tasks on legs has `contact_stiffness`; see `contact_measure`.
            options: See `envs.options`.

        Raises:
            gs.GenesisException: An argument violates its constraint.
        """
        if substeps is not None and (isinstance(substeps, bool) or not isinstance(substeps, int) or substeps < 1):
            raise GenesisValueError(f"substeps must be a whole number >= 1 or None, got {substeps!r}.")
        self.substeps = self.SUBSTEPS if substeps is None else substeps
        self.step_outputs = step_outputs
        super().__init__(num_envs, max_episode_steps, **options)

    def build_scene(self) -> gs.Scene:
        """The robot in its rest pose, over level ground if it has any."""
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(
                dt=self.CONTROL_DT, substeps=self.substeps, requires_grad=self.differentiable
            ),
            rigid_options=self.CONTACT,
            vis_options=gs.options.VisOptions(floor_height=self.FLOOR),
        )
        if self.FRICTION is not None:
            scene.add_entity(gs.morphs.Plane(), material=gs.materials.Rigid(), name="ground")
        material = gs.materials.Rigid(friction=self.FRICTION)
        self.robot = scene.add_entity(gs.morphs.Robot(name=self.ROBOT), material=material, name=self.ROBOT)
        scene.build(n_envs=self.num_envs, outputs=self.step_outputs)
        self.took_robot()
        return scene

    def scale_friction(self, factor: torch.Tensor, envs_idx: torch.Tensor) -> None:
        """Of the robot on the ground, if there is one."""
        if self.FRICTION is not None:
            self.robot.set_friction(factor * self.FRICTION, envs_idx=envs_idx)

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


class RobotEnv(SingleEnv):
    """One environment of a robot task; make a concrete class with `robot_single_env`."""

    task: ClassVar[type[RobotTask]]

    def __init__(self, *, substeps: int | None = None, **options: Unpack[TaskOptions]):
        """Builds the task's scene; the options are those of `RobotTask`."""
        self._build({"substeps": substeps}, options)


def robot_single_env(task: type[RobotTask]) -> type[SingleEnv]:
    """The `gymnasium.Env` class of a robot task: what its `entry_point` names."""
    return single_env(task, RobotEnv)
