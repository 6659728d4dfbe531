"""The same robot, task and policy on MuJoCo's physics: what of a gait is left in another engine."""

from typing import Any

import numpy as np
import torch

from envs.locomotion.base import RobotTask
from genesis.errors import GenesisValueError
from genesis.loaders import lazy_import
from genesis.loaders.library import FOLDER
from scripts.physics import JointRanges, Strain

CONTROL_STEPS = 10
"""Length of the positive control: long enough to move, too short for contact to amplify small differences."""


class MujocoWorld:
    """MuJoCo steps the robot; observation, reward and termination are the task's own code on MuJoCo's state.

    The robot's file is loaded by MuJoCo, on a plane with the task's friction; only robot and ground touch, as in the
    task. Contacts and limits are MuJoCo's own, at its defaults.
    """

    def __init__(self, env: Any):
        """Args: a `RobotTask` on the torch interface; its start states and its hooks are used, its simulator is not.

        Raises:
            GenesisImportError: MuJoCo is not installed.
            GenesisValueError: The task's actions are not torques of its motors.
        """
        if type(env).apply_action is not RobotTask.apply_action:
            raise GenesisValueError(
                f"MuJoCo must be able to drive the motors, got {type(env).__name__}, whose actions are something else. "
                "Leave the transfer out: --no-mujoco."
            )
        mujoco = lazy_import.mujoco()
        self._mujoco = mujoco
        self.env = env
        self.max_episode_steps: int = env.max_episode_steps
        spec = mujoco.MjSpec.from_file(str(FOLDER / f"{env.ROBOT}.xml"))
        for geom in spec.geoms:
            geom.contype, geom.conaffinity = 1, 0
            geom.friction = [env.FRICTION or 0.0, 0.0, 0.0]
        if env.FRICTION is not None:
            ground = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.0, 0.0, 1.0])
            ground.contype, ground.conaffinity, ground.friction = 1, 1, [0.0, 0.0, 0.0]
        spec.option.timestep = env.CONTROL_DT / env.substeps
        self.model = spec.compile()
        self.data = [mujoco.MjData(self.model) for _ in range(env.num_envs)]
        self._limits = JointRanges(env.robot.model, env.rest)

    def reset(self, seed: int) -> torch.Tensor:
        """See `World`: the start states of the task."""
        observation = self.env.reset(seed=seed)[0].as_subclass(torch.Tensor)
        for data, qpos, qvel in zip(self.data, *(x.double().cpu().numpy() for x in self._state()), strict=True):
            self._mujoco.mj_resetData(self.model, data)
            data.qpos[:], data.qvel[:] = qpos, qvel
            self._mujoco.mj_forward(self.model, data)
        return observation

    def step(self, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `World`."""
        action = action.as_subclass(torch.Tensor).clamp(self.env._low, self.env._high)
        for data, control in zip(self.data, action.double().cpu().numpy(), strict=True):
            data.ctrl[:] = control
            self._mujoco.mj_step(self.model, data, self.env.substeps)
        qpos, qvel = (self.env.tensor(np.stack(x)) for x in zip(*((d.qpos, d.qvel) for d in self.data), strict=True))
        self.env.place(qpos, qvel, torch.arange(len(self.data), device=qpos.device))
        self.env.action = action
        observation, reward, terminated = self.env.observe(), self.env.reward(), self.env.terminated()
        return tuple(x.detach().as_subclass(torch.Tensor) for x in (observation, reward, terminated))  # type: ignore

    def strain(self) -> Strain:
        """See `World`; contacts cannot pull in MuJoCo."""
        excess = self._limits.excess(self._state()[0])
        depth = [max([0.0, *(-data.contact.dist)]) for data in self.data]
        touching = torch.tensor([data.ncon for data in self.data]).to(excess)
        has_ground = self.env.FRICTION is not None
        return Strain(
            excess,
            torch.tensor(depth).to(excess) if has_ground else torch.full_like(excess, torch.nan),
            touching,
            torch.zeros_like(touching),
        )

    def _state(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.env.qpos().detach(), self.env.dofs_vel().detach()


class MujocoScene:
    """The scene of a task whose world is one file, stepped by MuJoCo: all else is the task's own.

    The file counts: contacts are MuJoCo's own whatever the task's preset. Parameters of episodes are not taken along.
    """

    def __init__(self, env: Any):
        """Args: an `ArticulatedTask` on the torch interface.

        Raises:
            GenesisImportError: MuJoCo is not installed.
            GenesisValueError: The task's world is not one file, or its parameters are randomised.
        """
        if env.WORLD is None or env.parameter_randomisation:
            raise GenesisValueError(
                "MuJoCo must be able to load the task's world from one file, without randomised parameters, got "
                f"{type(env).__name__}. Leave --engine out."
            )
        self._mujoco = lazy_import.mujoco("to play the policy in it", instead="leave --engine out")
        self._env, self._scene = env, env.scene
        self._model = self._mujoco.MjModel.from_xml_path(str(FOLDER / f"{env.WORLD}.xml"))
        self._model.opt.timestep = env.control_dt / env.substeps
        self._data = [self._mujoco.MjData(self._model) for _ in range(env.num_envs)]

    def __getattr__(self, name: str) -> Any:
        """All else is the scene's."""
        return getattr(self._scene, name)

    def step(self) -> None:
        """One control step, from where the episodes start or MuJoCo left them."""
        env = self._env
        states = (x.detach().double().cpu().numpy() for x in (env.qpos(), env.dofs_vel()))
        controls = env.action.as_subclass(torch.Tensor).detach().double().cpu().numpy()
        for data, fresh, qpos, qvel, control in zip(self._data, env.elapsed == 0, *states, controls, strict=True):
            if fresh:
                self._mujoco.mj_resetData(self._model, data)
                data.qpos[:], data.qvel[:] = qpos, qvel
            data.ctrl[:] = control
            self._mujoco.mj_step(self._model, data, env.substeps)
        after = (env.tensor(np.stack(x)) for x in zip(*((d.qpos, d.qvel) for d in self._data), strict=True))
        env.place(*after, torch.arange(env.num_envs, device=env.device))


@torch.no_grad()
def control_deviation(env: Any, seed: int, size: float = 0.3) -> float:
    """How far both engines disagree on the same few actions from the same starts: the transfer's positive control.

    Args:
        env: A `RobotTask`, as for `MujocoWorld`.
        seed: Of the starts.
        size: Amplitude of the actions, which swing at a frequency of their own for each motor.

    Returns:
        The root mean square difference of qpos after `CONTROL_STEPS` over that of the motion.
    """
    motors = env.single_action_space.shape[0]
    frequency = env.tensor(1.0 + np.arange(motors) / motors)  # Hz
    ends = []
    for world in (None, MujocoWorld(env)):
        (world or env).reset(seed=seed)
        start = env.qpos().detach().clone()
        for step in range(CONTROL_STEPS):
            time = step * env.CONTROL_DT
            action = (size * torch.cos(2 * torch.pi * frequency * time)).expand(env.num_envs, -1)
            (world or env).step(action)
        ends.append(env.qpos().detach().clone())
    return ((ends[0] - ends[1]).square().mean() / (ends[0] - start).square().mean()).sqrt().item()
