"""A world with explicit pairs and mocap bodies, in MuJoCo's engine and ours."""

from typing import Any

import mujoco
import numpy as np
import torch

import genesis as gs
from tests.mujoco_model.engine import EPSILON, Engine, States
from tests.rigid.rigid_models import file_of
from tests.rigid.rigid_worlds import OUTPUTS, B

WORLD = """
<mujoco model="dragged">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.004" cone="elliptic" impratio="2"/>
  <default><geom contype="0" conaffinity="0" density="900" solimp="0.8 0.95 0.01 0.5 2"/>
    <joint damping="0.05" armature="0.002"/><equality solref="0.03 1" solimp="0.8 0.95 0.02 0.5 2"/></default>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1"/>
    <body name="paddle" mocap="true" pos="0.25 0 0.3" euler="0.3 0.5 0">
      <geom name="paddle" type="capsule" size="0.05 0.15" contype="1"/>
      <body name="tip" pos="0.02 0.02 0.2" euler="0 0.4 0"><geom name="tip" size="0.06"/></body>
      <body name="bell" pos="0 0 -0.15"><joint name="bell" axis="0 1 0.2"/>
        <geom name="bell" type="capsule" size="0.03" fromto="0.04 0 -0.05 0.09 0.01 -0.2"/></body>
    </body>
    <body name="handle" mocap="true" pos="-0.35 0 0.3" euler="0 0.2 0.1"/>
    <body name="shoulder" pos="-0.35 0.3 0.3"><joint name="shoulder" axis="0 0 1"/>
      <geom type="capsule" size="0.02" fromto="0 0 0 0 -0.15 0"/>
      <body name="forearm" pos="0 -0.15 0"><joint name="elbow" axis="1 0 0.2"/>
        <geom name="forearm" type="capsule" size="0.05" fromto="0 0 0 0 -0.15 0" conaffinity="1"/></body></body>
    <body name="ball" pos="0.05 0 0.25"><freejoint name="ball"/>
      <geom name="ball" size="0.1" contype="1" conaffinity="1"/></body>
    <body name="stick" pos="-0.1 0.05 0.15"><freejoint/>
      <geom name="stick" type="capsule" size="0.05 0.12" euler="0 1.4 0"/>
      <body name="tail" pos="-0.1 0 0.06"><joint name="tail" axis="0 1 0" stiffness="0.1"/>
        <geom name="tail" type="capsule" size="0.03" fromto="0 0 0 -0.1 0 0.05"/></body></body>
  </worldbody>
  <contact>
    <pair geom1="ball" geom2="floor" condim="4" friction="0.9 0.4 0.02 0 0" solreffriction="0.05 1.2" margin="0.01"/>
    <pair geom1="floor" geom2="stick" condim="6" friction="0.8 0.5 0.02 0.01 0.005" solref="-700 -30"
      solreffriction="0 -12" solimp="0.7 0.9 0.02 0.4 3"/>
    <pair geom1="stick" geom2="ball" condim="3" friction="0.3 1.1"/>
    <pair geom1="ball" geom2="stick" condim="1" solref="0.08 1" margin="0.02" gap="0.01"/>
    <pair geom1="tip" geom2="ball" condim="6" friction="0.7 0.6 0.03 0.02 0.01" solreffriction="0.04 0.8"/>
    <pair geom1="forearm" geom2="ball" condim="4" friction="1.5 1.5 0.02"/>
    <pair geom1="tail" geom2="stick" condim="3" margin="0.02"/>
    <pair geom1="bell" geom2="paddle" condim="1"/>
    <pair geom1="paddle" geom2="floor"/>
    <exclude body1="ball" body2="stick"/>
  </contact>
  <equality>
    <weld body1="handle" body2="forearm" torquescale="0.3" relpose="0 0.1 0 0.9 0.1 0.2 0"/>
    <connect body1="stick" body2="paddle" anchor="0.12 0 0.02"/>
  </equality>
</mujoco>
"""
N_MOCAPS = 2


class Dragged(Engine):
    """The engine, with poses of mocap bodies (7 M numbers) in the place of controls."""

    def _set(self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray) -> None:
        mujoco.mj_resetData(self.m, self.d)
        self.d.qpos[:], self.d.qvel[:] = qpos, qvel
        self.pose(ctrl)

    def pose(self, poses: np.ndarray) -> None:
        self.d.mocap_pos[:], self.d.mocap_quat[:] = np.split(poses.reshape(-1, 7), (3,), axis=1)

    def step(self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        poses = np.atleast_2d(ctrl)
        self._set(qpos, qvel, poses[0])
        for row in poses:
            self.pose(row)
            mujoco.mj_step(self.m, self.d)
        return self.d.qpos.copy(), self.d.qvel.copy()

    def stages(self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        met: list[tuple[np.ndarray, ...]] = []
        mujoco.set_mjcb_control(
            lambda _, d: met.append(
                (d.qpos.copy(), d.qvel.copy(), np.concatenate([d.mocap_pos, d.mocap_quat], 1).ravel())
            )
        )
        try:
            self.step(qpos, qvel, ctrl)
        finally:
            mujoco.set_mjcb_control(None)
        return met

    def moved_poses(self, poses: np.ndarray, by: np.ndarray) -> np.ndarray:
        """Moved by (6 M,): shifts in the world, then turns in each body's own frame."""
        out, (shift, turn) = poses.reshape(-1, 7).copy(), by.reshape(2, -1, 3)
        out[:, :3] += shift
        for quat, about in zip(out[:, 3:], turn, strict=True):
            mujoco.mju_quatIntegrate(quat, about, 1.0)
        return out.ravel()

    def jacobian(
        self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray, n: int = 1
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """By motions of qpos, by qvel, by motions of the poses; as the engine's own."""
        m, columns, pieces = self.m, [], []
        base = self.evaluations(qpos, qvel, np.repeat(ctrl[None], n, 0))
        for way in np.eye(2 * m.nv + 6 * N_MOCAPS):
            q, v, p = np.split(way, (m.nv, 2 * m.nv))
            ends, changed = [], False
            for h in (EPSILON, -EPSILON):
                poses = np.repeat(self.moved_poses(ctrl, h * p)[None], n, 0)
                state = self.moved(qpos, h * q), qvel + h * v, poses
                ends.append(np.concatenate(self.step(*state)))
                there = self.evaluations(*state)
                changed |= not all(one.same(two) for one, two in zip(base, there, strict=True))
            columns.append((ends[0] - ends[1]) / (2 * EPSILON))
            pieces.append(changed)
        return np.stack(columns, -1), np.array(pieces), np.array(pieces)

    def states(self, n: int, seed: int = 0, tries: int = 20) -> States:
        """On the way, while the mocap bodies wander."""
        m, d, rng = self.m, self.d, np.random.default_rng(seed)
        found = []
        while len(found) < n:
            mujoco.mj_resetData(m, d)
            mujoco.mj_integratePos(m, d.qpos, 0.05 * rng.normal(size=m.nv), 1.0)
            mujoco.mj_kinematics(m, d)
            target = m.geom(("tip", "paddle", "forearm", "stick", "floor")[len(found) % 5]).id
            ball, way = m.joint("ball"), rng.normal(size=3)
            way[2] = abs(way[2])
            d.qpos[ball.qposadr[0] :][:3] = d.geom_xpos[target] + 0.19 * way / np.linalg.norm(way)
            d.qvel[:] = 0.5 * rng.normal(size=m.nv)
            d.qvel[ball.dofadr[0] :][:3] = -way
            drift = 0.4 * m.opt.timestep * rng.normal(size=6 * N_MOCAPS)
            poses = np.concatenate([d.mocap_pos, d.mocap_quat], 1).ravel()
            for _ in range(int(rng.integers(5, 50))):
                poses = self.moved_poses(poses, drift)
                self.pose(poses)
                mujoco.mj_step(m, d)
            state = d.qpos.copy(), d.qvel.copy(), poses
            mujoco.mj_forward(m, d)
            if d.ncon and np.abs(d.qvel).max() < 30:
                found.append(state)
        return States(*(np.stack(column) for column in zip(*found, strict=True)))


class Scene:
    """Ours, and states."""

    def __init__(self, text: str) -> None:
        self.engine = Dragged(text)
        self.states = self.engine.states(B, seed=1)
        sim = gs.options.SimOptions(dt=0.004, substeps=1, requires_grad=True)
        rigid = gs.options.RigidOptions(contact=gs.options.MujocoContact(smoothing=0.0))
        self.scene: Any = gs.Scene(sim_options=sim, rigid_options=rigid)
        self.robot: Any = self.scene.add_entity(gs.morphs.MJCF(file=file_of(text)))
        self.scene.build(n_envs=B, outputs=OUTPUTS)
        self.model = self.robot.model

    def place(self, qpos: torch.Tensor, qvel: torch.Tensor, poses: torch.Tensor) -> None:
        self.scene.reset()
        self.robot.set_qpos(qpos, zero_velocity=False)
        self.robot.set_dofs_velocity(qvel)
        self.pose(poses)

    def pose(self, poses: torch.Tensor) -> None:
        pos, quat = poses.unflatten(1, (N_MOCAPS, 7)).split((3, 4), -1)
        self.robot.set_mocap_pose(pos, quat)

    def state(self) -> torch.Tensor:
        parts = (self.robot.get_qpos(), self.robot.get_dofs_velocity())
        return torch.cat([part.as_subclass(torch.Tensor) for part in parts], -1)
