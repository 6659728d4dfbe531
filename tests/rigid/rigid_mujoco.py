"""MuJoCo as the second implementation, and as the ruler of a third: the laws of contact, springs and limits in
continuous time, integrated by Runge and Kutta's method on MuJoCo's mass matrix, bias and Jacobians."""

from collections.abc import Callable

import mujoco
import numpy as np
import torch


class Twin:
    """The same text, compiled by MuJoCo: no contact, no limits, and neither springs nor damping unless `passive`."""

    def __init__(
        self, text: str, passive: bool = False, gravity: tuple[float, float, float] = (0.0, 0.0, -9.81)
    ) -> None:
        self.m = mujoco.MjModel.from_xml_string(text)
        self.d = mujoco.MjData(self.m)
        self.m.opt.gravity[:] = gravity
        off = mujoco.mjtDisableBit
        self.m.opt.disableflags |= (
            off.mjDSBL_CONTACT | off.mjDSBL_LIMIT | off.mjDSBL_ACTUATION | off.mjDSBL_FRICTIONLOSS
        )
        if not passive:
            self.m.opt.disableflags |= off.mjDSBL_SPRING | off.mjDSBL_DAMPER

    def set(self, qpos: np.ndarray, qvel: np.ndarray, force: np.ndarray | None = None) -> None:
        self.d.qpos[:], self.d.qvel[:] = qpos, qvel
        self.d.qfrc_applied[:] = 0.0 if force is None else force
        mujoco.mj_forward(self.m, self.d)

    def acceleration(self, qpos: np.ndarray, qvel: np.ndarray, force: np.ndarray | None = None) -> np.ndarray:
        self.set(qpos, qvel, force)
        return self.d.qacc.copy()

    def mass_matrix(self) -> np.ndarray:
        rows = np.zeros((self.m.nv, self.m.nv))
        for i, unit in enumerate(np.eye(self.m.nv)):
            mujoco.mj_mulM(self.m, self.d, rows[i], unit)
        return rows

    def moved(self, qpos: np.ndarray, qvel: np.ndarray, dt: float) -> np.ndarray:
        out = qpos.copy()
        mujoco.mj_integratePos(self.m, out, qvel, dt)
        return out

    def body(self, name: str) -> int:
        return mujoco.mj_name2id(self.m, mujoco.mjtObj.mjOBJ_BODY, name)

    def point(self, body: int, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Jacobians (3, D) of the velocity of a point fixed to a body, and of its angular velocity; world frame."""
        linear, angular = np.zeros((3, self.m.nv)), np.zeros((3, self.m.nv))
        mujoco.mj_jac(self.m, self.d, linear, angular, at, body)
        return linear, angular

    def pull(self, body: int, at: np.ndarray, force: np.ndarray, torque: np.ndarray | float = 0.0) -> np.ndarray:
        """Generalised force (D,) of a force at a point and a torque on a body."""
        linear, angular = self.point(body, at)
        return linear.T @ force + angular.T @ np.broadcast_to(torque, 3)


Law = Callable[[Twin], np.ndarray]
"""Generalised force (D,) at the state that a twin has been set to."""


def run(twin: Twin, qpos: np.ndarray, qvel: np.ndarray, law: Law | None, dt: float, steps: int) -> tuple:
    """Runge and Kutta's method of fourth order; configurations move along their tangents, as in MuJoCo's own."""

    def slope(q: np.ndarray, v: np.ndarray) -> np.ndarray:
        twin.set(q, v)
        return twin.acceleration(q, v, law(twin)) if law else twin.d.qacc.copy()

    for _ in range(steps):
        a1 = slope(qpos, qvel)
        v2 = qvel + 0.5 * dt * a1
        a2 = slope(twin.moved(qpos, qvel, 0.5 * dt), v2)
        v3 = qvel + 0.5 * dt * a2
        a3 = slope(twin.moved(qpos, v2, 0.5 * dt), v3)
        v4 = qvel + dt * a3
        a4 = slope(twin.moved(qpos, v3, dt), v4)
        qpos = twin.moved(qpos, (qvel + 2 * v2 + 2 * v3 + v4) / 6, dt)
        qvel = qvel + dt * (a1 + 2 * a2 + 2 * a3 + a4) / 6
    return qpos, qvel


def ramp(x: float, w: float) -> float:
    """max(x, 0), rounded by a parabola over -w … w."""
    return 0.0 if x <= -w else x if x >= w else (x + w) ** 2 / (4 * w)


def ground_force(
    x: float, normal: np.ndarray, v: np.ndarray, k: float, d: float, w: float, mu: float, slip: float
) -> np.ndarray:
    """Force of the ground on a point that is x deep in it and moves with v, in continuous time."""
    u = v @ normal
    pressed = k * ramp(x, w) * ramp(1.0 - d * u, 0.5)
    along = v - u * normal
    return pressed * (normal - mu * along / np.sqrt(along @ along + slip * slip))


def as_rows(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.tensor(a, dtype=torch.float64)[None] for a in arrays]
