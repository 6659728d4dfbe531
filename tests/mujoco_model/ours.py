"""The same model in a scene of ours, one state in each environment, through the public interface."""

import functools
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
import torch

import genesis as gs
from tests.mujoco_model.engine import States
from tests.rigid.rigid_models import file_of


class Ours:
    """A built scene of one robot with MuJoCo's contact model; the file says what is not given.

    Args:
        n_steps: MuJoCo's steps in one step of the scene.
        contact: Fields of `MujocoContact` other than those of the file.
        rigid: Fields of `RigidOptions`.
        morph: What is simulated instead of the text; it must be the same model.
        outputs: Of `Scene.build`.
    """

    def __init__(
        self,
        text: str,
        n_envs: int,
        n_steps: int = 1,
        requires_grad: bool = False,
        contact: dict[str, Any] | None = None,
        rigid: dict[str, Any] | None = None,
        morph: Any = None,
        outputs: Sequence[str] = (),
    ) -> None:
        m = mujoco.MjModel.from_xml_string(text)
        h = m.opt.timestep
        sim = gs.options.SimOptions(
            dt=h * n_steps, substeps=n_steps, gravity=tuple(m.opt.gravity.tolist()), requires_grad=requires_grad
        )
        law = gs.options.MujocoContact(**{"smoothing": 0.0, **(contact or {})})
        self.scene: Any = gs.Scene(sim_options=sim, rigid_options=gs.options.RigidOptions(contact=law, **(rigid or {})))
        self.robot: Any = self.scene.add_entity(morph or gs.morphs.MJCF(file=file_of(text)))
        self.scene.build(n_envs=n_envs, outputs=outputs)
        self.model = self.robot.model
        self.text, self.n_envs, self.timestep = text, n_envs, h
        assert (self.model.n_qs, self.model.n_dofs) == (m.nq, m.nv), "numbers of coordinates must be MuJoCo's"
        order = [mujoco.mj_id2name(m, mujoco.mjtObj.mjOBJ_ACTUATOR, k) for k in range(m.nu)]
        same = [want is None or name == want for name, want in zip(self.robot.actuator_names, order, strict=True)]
        assert all(same), "actuators must be in MuJoCo's order"

    def place(self, qpos: torch.Tensor, qvel: torch.Tensor) -> None:
        """Reset, and set (B, nq) and (B, nv)."""
        self.scene.reset()
        self.robot.set_qpos(qpos, zero_velocity=False)
        self.robot.set_dofs_velocity(qvel)

    def drive(self, ctrl: torch.Tensor) -> None:
        """Give the actuators their controls (B, nu), cut off at their ranges."""
        if self.model.actuator_table.others:
            self.robot.control_actuators(ctrl)
            return
        for kind in ("force", "position", "velocity"):
            mine = [(k, a) for k, a in enumerate(self.robot.actuators) if a.kind == kind]
            if not mine:
                continue
            low, high, gear = (
                torch.tensor(x, dtype=ctrl.dtype) for x in zip(*((a.low, a.high, a.gear) for _, a in mine), strict=True)
            )
            inside = torch.clamp(ctrl[:, [k for k, _ in mine]], low, high)
            driven = gear * inside if kind == "force" else inside / gear
            getattr(self.robot, f"control_dofs_{kind}")(driven, dofs_idx_local=[a.dof for _, a in mine])

    def step(self, n: int = 1) -> None:
        """Steps of the scene."""
        for _ in range(n):
            self.scene.step()

    def state(self) -> torch.Tensor:
        """(B, nq + nv)."""
        parts = (self.robot.get_qpos(), self.robot.get_dofs_velocity())
        return torch.cat([part.as_subclass(torch.Tensor) for part in parts], -1)

    def trajectory(self, states: States, controls: np.ndarray) -> np.ndarray:
        """(steps + 1, B, nq + nv) from states under controls (steps, B, nu)."""
        with torch.no_grad():
            self.place(number(states.qpos), number(states.qvel))
            met = [self.state().numpy()]
            for ctrl in controls:
                self.drive(number(ctrl))
                self.step()
                met.append(self.state().numpy())
        return np.stack(met)

    def gradient(self, states: States, weight: np.ndarray, n: int) -> np.ndarray:
        """(B, 2 nv + nu) of weight (nq + nv,) times the state after n steps: by motions of qpos, by qvel, by ctrl."""
        by = torch.zeros(len(states), self.model.n_dofs, dtype=gs.tc_float, requires_grad=True)
        qvel, ctrl = (number(x).requires_grad_() for x in (states.qvel, states.ctrl))
        self.place(moved(self.model, number(states.qpos), by), qvel)
        self.drive(ctrl)
        self.step(n)
        wanted = [by, qvel, *([ctrl] if ctrl.shape[1] else [])]
        parts = torch.autograd.grad((self.state() @ number(weight)).sum(), wanted)
        return np.concatenate([part.numpy() for part in parts], -1)


def number(value: np.ndarray) -> torch.Tensor:
    """At the precision of the run."""
    return torch.tensor(np.asarray(value), dtype=gs.tc_float)


def moved(model: Any, qpos: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """(B, nq) moved by (B, nv) along the degrees of freedom."""
    parts = []
    for joint in model.joints:
        q, d = joint.q, joint.dof
        if joint.kind == "free":
            parts.append(qpos[:, q : q + 3] + by[:, d : d + 3])
            q, d = q + 3, d + 3
        if joint.kind in ("free", "ball"):
            parts.append(turned(qpos[:, q : q + 4], by[:, d : d + 3]))
        else:
            parts.append(qpos[:, q : q + 1] + by[:, d : d + 1])
    return torch.cat(parts, -1)


def turned(quat: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """quat (B, 4) times the exponential of a small rotation vector (B, 3), correct to first order at zero."""
    w, x, y, z = (quat / quat.norm(dim=1, keepdim=True)).unbind(-1)
    a, b, c = (0.5 * by).unbind(-1)
    parts = (
        w - x * a - y * b - z * c,
        x + w * a + y * c - z * b,
        y + w * b + z * a - x * c,
        z + w * c + x * b - y * a,
    )
    return torch.stack(parts, -1)


@functools.cache
def scene_of(text: str, n_envs: int, requires_grad: bool = False) -> Ours:
    """One scene of a model for all tests of a process."""
    return Ours(text, n_envs, requires_grad=requires_grad)
