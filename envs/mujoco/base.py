"""What Gymnasium's tasks share here: the scene from Gymnasium's model, positions before a step, starts, single envs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from typing_extensions import Unpack

import genesis as gs
from envs.articulated import ArticulatedTask
from envs.mujoco.options import GymnasiumOptions, settings
from envs.options import BatchOptions, completed
from envs.single import SingleEnv, single_env
from envs.step_cache import cached_per_step

ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
"""Gymnasium's model files."""

Reward = Mapping[str, torch.Tensor]
"""The terms (B,) of a reward, under their names in Gymnasium's infos; the reward is their sum."""


class MujocoTask(ArticulatedTask):
    """Abstract: a task of Gymnasium's, on its model and on MuJoCo's contact model. Needs MuJoCo (extra `mjcf`).

    A task states the constants, `reward_terms`, `observe`, `is_healthy` where it has one, and `sample_initial_state`.
    Observations, rewards, ends and infos are Gymnasium's, and its keywords are this constructor's, with two exceptions.
    What depends on contact forces is left out. Velocities over a control step are those of `qpos`; Gymnasium takes
    positions of bodies as MuJoCo's last evaluation left them: with the integrator RK4 those of the last stage, which
    differ in the fourth decimal of a velocity in m/s where nothing hits the ground, in the second where something does,
    and, since positions do not add up, by no more than that over a whole episode.

    Two models of contact: "mujoco" is MuJoCo's own, "smoothed" lets contacts and limits begin to act over `SMOOTHING`.
    Randomised parameters: masses with inertias, joint damping, strength, and friction of the robot's geoms.
    """

    FILE: ClassVar[str]  # in ASSETS
    TIMESTEP: ClassVar[float]  # of the file, s
    DEFAULTS: ClassVar[Mapping[str, Any]]  # of the task's own options
    GYMNASIUM: ClassVar[str]  # id of the same task there
    SMOOTHING: ClassVar[float] = 0.02  # m, rad
    CONTACTS: ClassVar[Mapping[str, gs.options.RigidOptions]] = {
        "mujoco": gs.options.RigidOptions(contact=gs.options.MujocoContact()),
        "smoothed": gs.options.RigidOptions(contact=gs.options.MujocoContact(smoothing=SMOOTHING)),
    }

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        *,
        contact: str = "mujoco",
        **options: Unpack[GymnasiumOptions],
    ):
        """Builds the scene.

        Args:
            num_envs: Number of environments in the batch.
            max_episode_steps: Steps after which an episode is truncated; None: never.
            contact: "mujoco" or "smoothed".
            options: See `envs.options`, and of `envs.mujoco.options` those in the task's `DEFAULTS`.

        Raises:
            gs.GenesisException: An argument violates its constraint, or MuJoCo is missing.
        """
        own, shared = self.split(options)
        completed(type(self), shared, BatchOptions, own=self.DEFAULTS)
        self.options = settings(type(self).__name__, self.DEFAULTS, own)
        """Gymnasium's keywords in force."""
        self.contact = self.checked_contact(contact)
        self.substeps = self.options["frame_skip"]
        self.control_dt = self.TIMESTEP * self.substeps
        """s."""
        self.single_observation_space = Box(-np.inf, np.inf, (self.observation_size(),), np.float32)
        super().__init__(num_envs, max_episode_steps, **shared)

    # ---- what a task writes beside the base's hooks ----

    def observation_size(self) -> int:
        """Numbers in an observation, with these `options`; there is no scene yet."""
        raise NotImplementedError

    def reward_terms(self) -> Reward:
        """See `Reward`; differentiable."""
        raise NotImplementedError

    def is_healthy(self) -> torch.Tensor:
        """(B,) bool; tasks that never end have no other."""
        return torch.ones(self.num_envs, dtype=torch.bool, device=self.device)

    # ---- what they share ----

    @classmethod
    def split(cls, options: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """The task's own options, and the others."""
        own = {name: value for name, value in options.items() if name in cls.DEFAULTS}
        return own, {name: value for name, value in options.items() if name not in own}

    def build_scene(self) -> gs.Scene:
        """Robot and ground of the file."""
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(
                dt=self.control_dt, substeps=self.substeps, requires_grad=self.differentiable
            ),
            rigid_options=self.CONTACTS[self.contact],
        )
        self.robot = scene.add_entity(gs.morphs.MJCF(file=ASSETS / self.FILE), name="robot")
        scene.build(n_envs=self.num_envs)
        self.took_robot()
        self._qpos_before = self.qpos()
        self._friction = self.robot.get_friction().as_subclass(torch.Tensor).detach()[:1]
        return scene

    def apply_action(self, action: torch.Tensor) -> None:
        """Torques in proportion to the action; notes where the step begins."""
        self._qpos_before = self.qpos()
        super().apply_action(action)

    def scale_friction(self, factor: torch.Tensor, envs_idx: torch.Tensor) -> None:
        """Of the robot's geoms; on the ground, whose friction stays, the larger of both counts."""
        self.robot.set_friction(factor * self._friction, envs_idx=envs_idx)

    def start_at(self, qpos: torch.Tensor, dofs_vel: torch.Tensor, envs_idx: torch.Tensor) -> dict[str, torch.Tensor]:
        """Puts robots at `qpos` (n, Q), whose quaternions may have any length, with velocities (n, D).

        Returns:
            What `sample_initial_state` must: Gymnasium's first observation has the quaternions as they were drawn.
        """
        unit, lengths = qpos.clone(), torch.ones_like(qpos)
        for joint in self.robot.model.joints:
            if joint.kind in ("free", "ball"):
                first = joint.q + (3 if joint.kind == "free" else 0)
                length = qpos[:, first : first + 4].norm(dim=1, keepdim=True)
                unit[:, first : first + 4] /= length
                lengths[:, first : first + 4] = length
        self.place(unit, dofs_vel, envs_idx)
        self._qpos_before = self._qpos_before.index_copy(0, envs_idx, unit)
        return {"start_lengths": lengths}

    @cached_per_step
    def velocity_over_step(self) -> torch.Tensor:
        """(B, Q) change of `qpos` per second of the last control step; 0 after a reset. Differentiable."""
        return (self.qpos() - self._qpos_before) / self.control_dt

    @cached_per_step
    def observed_qpos(self) -> torch.Tensor:
        """(B, Q) `qpos` as Gymnasium shows it: at the start of an episode quaternions are as long as drawn."""
        first = self.elapsed == 0
        if not bool(first.any()):
            return self.qpos()
        return torch.where(first[:, None], self.qpos() * self.episode["start_lengths"], self.qpos())

    @cached_per_step
    def terms(self) -> Reward:
        """`reward_terms`, once a step."""
        return self.reward_terms()

    def survival(self) -> torch.Tensor:
        """(B,) the reward of being healthy."""
        return self.options["healthy_reward"] * self.is_healthy().to(self.dtype)

    def reward(self) -> torch.Tensor:
        """The sum of `reward_terms`."""
        return torch.stack(list(self.terms().values())).sum(dim=0)

    def terminated(self) -> torch.Tensor:
        """Whether the robot is not healthy."""
        return ~self.is_healthy() & self.options.get("terminate_when_unhealthy", False)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """The terms of the reward."""
        return {name: value.detach() for name, value in self.terms().items()}


class MujocoEnv(SingleEnv):
    """One environment of a task of Gymnasium's; make a concrete class with `mujoco_single_env`."""

    task: ClassVar[type[MujocoTask]]

    def __init__(self, *, contact: str = "mujoco", **options: Unpack[GymnasiumOptions]):
        """Builds the task's scene; the options are those of `MujocoTask`."""
        own, shared = self.task.split(options)
        self._build({"contact": contact, **own}, shared, self.task.DEFAULTS)


def mujoco_single_env(task: type[MujocoTask]) -> type[SingleEnv]:
    """The `gymnasium.Env` class of such a task: what its `entry_point` names."""
    return single_env(task, MujocoEnv)
