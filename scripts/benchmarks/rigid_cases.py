"""The rigid benchmark's scenes: a standard robot on a plane, moved by random torques, timed in contact."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import genesis as gs
from genesis.loaders.library import FOLDER, load_robot
from genesis.loaders.model import RigidModel

SETTLE = 30
"""Control steps of random torques from the standing start before anything is timed: half a second, then in contact."""
DT = 1.0 / 60.0
"""Control step, s."""


@dataclass(frozen=True)
class RigidCase:
    """A robot, and the bars on two cores in env-steps/s (None: for information)."""

    robot: str
    substeps: int = 16
    forward_bar: float | None = None
    gradient_bar: float | None = None

    @property
    def xml(self) -> str:
        """Path of the robot's MuJoCo file."""
        return str(FOLDER / f"{self.robot}.xml")


CASES = {
    "ant": RigidCase("ant", forward_bar=40_000.0, gradient_bar=16_000.0),
    "hopper": RigidCase("hopper", forward_bar=100_000.0, gradient_bar=45_000.0),
    "half_cheetah": RigidCase("half_cheetah"),
    "humanoid": RigidCase("humanoid", substeps=48),
}


def standing(model: RigidModel) -> list[float]:
    """qpos at rest, but joints whose range leaves that out in the middle of their range."""
    qpos = model.qpos0.copy()
    for joint in model.joints:
        low, high = model.limit_low[joint.dof], model.limit_high[joint.dof]
        if joint.kind in ("hinge", "slide") and not low <= qpos[joint.q] <= high:
            qpos[joint.q] = 0.5 * (low + high)
    return qpos.tolist()


def strengths(model: RigidModel) -> tuple[list[int], list[float]]:
    """Degrees of freedom with a motor, and their largest forces, N and N m."""
    actuators = model.actuators
    return [a.dof for a in actuators], [a.gear * max(abs(a.low), abs(a.high)) for a in actuators]


class Rig:
    """A built scene of one robot: windows of control steps from a state in contact.

    Args:
        frame_budget_mb: None for the default.
        dt: Control step, s.
    """

    def __init__(
        self,
        robot: str,
        n_envs: int,
        substeps: int,
        requires_grad: bool,
        frame_budget_mb: float | None = None,
        dt: float = DT,
    ) -> None:
        budget = gs.options.SimOptions().frame_budget_mb if frame_budget_mb is None else frame_budget_mb
        options = gs.options.SimOptions(dt=dt, substeps=substeps, requires_grad=requires_grad, frame_budget_mb=budget)
        compliant = gs.options.RigidOptions(contact=gs.options.CompliantContact())
        self.scene: Any = gs.Scene(sim_options=options, rigid_options=compliant)
        self.scene.add_entity(gs.morphs.Plane(), material=gs.materials.Rigid())
        self.robot: Any = self.scene.add_entity(gs.morphs.Robot(name=robot), material=gs.materials.Rigid())
        self.scene.build(n_envs=n_envs)
        self.n_envs, self.requires_grad = n_envs, requires_grad
        model = load_robot(robot)
        self.dofs, strength = strengths(model)
        self.strength = gs.tensor(strength).as_subclass(torch.Tensor)
        self.start: tuple[torch.Tensor, torch.Tensor] = (
            gs.tensor(standing(model)).as_subclass(torch.Tensor).expand(n_envs, -1),
            gs.zeros(n_envs, model.n_dofs).as_subclass(torch.Tensor),
        )

    def settle(self, steps: int = SETTLE) -> None:
        """Start all later windows where random torques lead from the standing start."""
        with torch.no_grad():
            self._roll(self.torques(steps, seed=1000))
            self.start = tuple(
                value.detach().as_subclass(torch.Tensor).clone()
                for value in (self.robot.get_qpos(), self.robot.get_dofs_velocity())
            )

    def torques(self, steps: int, seed: int) -> list[torch.Tensor]:
        """One (B, A) tensor a step, uniform in plus and minus the motors' strength; leaves of the graph."""
        rng = np.random.default_rng(seed)
        shape = (steps, self.n_envs, len(self.dofs))
        values = torch.as_tensor(rng.uniform(-1.0, 1.0, shape)).to(self.strength) * self.strength
        return [value.clone().requires_grad_(self.requires_grad) for value in values]

    def window(self, steps: int, seed: int = 0) -> float:
        """Seconds of a window: forward, and with gradients its backward pass to the torques of every step.

        Raises:
            RuntimeError: The final state or a gradient is not finite, or no gradient came.
        """
        torques = self.torques(steps, seed)
        begin = time.perf_counter()
        loss = self._roll(torques)
        if self.requires_grad:
            loss.backward()
        value = loss.item()
        seconds = time.perf_counter() - begin
        slopes = [torque.grad for torque in torques if torque.grad is not None]
        good = all(bool(slope.isfinite().all()) for slope in slopes) and np.isfinite(value)
        if not good or (self.requires_grad and (len(slopes) < steps or not bool(slopes[0].any()))):
            raise RuntimeError(f"a window must give finite gradients to all {steps} torques, got a loss of {value}.")
        return seconds

    def _roll(self, torques: list[torch.Tensor]) -> torch.Tensor:
        """Loss on the final state after one control step per row of torques."""
        self.scene.reset()
        qpos, velocity = self.start
        self.robot.set_qpos(qpos)
        self.robot.set_dofs_velocity(velocity)
        for torque in torques:
            self.robot.control_dofs_force(torque, dofs_idx_local=self.dofs)
            self.scene.step()
        state = self.robot.get_state()
        return state.links_pos.square().sum() + state.dofs_vel.square().sum()
