"""Random hanging arms with actuators of every kind, as MJCF text, and MuJoCo's own steps of them.

Links touch nothing. Joints are hinges and slides; some have a range of the force of their actuators.
"""

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
import torch

import genesis as gs
from genesis.options import MujocoContact, RigidOptions
from tests.rigid.rigid_models import file_of

N_JOINTS, N_ACTUATORS = 4, 9
DYNAMICS = ("none", "integrator", "filter", "filterexact")


@dataclass
class States:
    """Of a batch: qpos (B, nq), qvel (B, nv), act (B, na)."""

    qpos: np.ndarray
    qvel: np.ndarray
    act: np.ndarray

    def joined(self) -> np.ndarray:
        """(B, nq + nv + na)."""
        return np.concatenate([self.qpos, self.qvel, self.act], 1)


def arm(seed: int, integrator: str) -> str:
    """Every kind of activation, gain, bias and range; two or three actuators on a joint, and two on tendons."""
    rng = np.random.default_rng(seed)
    inside, joints = "", []
    for k in reversed(range(N_JOINTS)):
        kind = "slide" if k == 2 else "hinge"
        force = rng.uniform(1.0, 3.0)
        ranged = f'actuatorfrcrange="-{force:.5f} {0.7 * force:.5f}"' if rng.random() < 0.5 else ""
        spring = f'stiffness="{rng.uniform(20, 60):.5f}"' if kind == "slide" else ""
        axis, place = (" ".join(f"{x:.5f}" for x in rng.uniform(-1, 1, 3)) for _ in range(2))
        inside = (
            f'<body pos="0.1 0 -0.3"><joint name="j{k}" type="{kind}" axis="{axis}" armature="0.05" damping='
            f'"{rng.uniform(0, 0.5):.5f}" {spring} {ranged}/><geom type="box" size="0.05 0.08 0.12" pos="{place}" '
            f'mass="{rng.uniform(0.5, 1.5):.5f}" contype="0" conaffinity="0"/>{inside}</body>'
        )
        joints.append(f"j{k}")
    tendons, actuators = "", ""
    for k in range(2):
        parts = "".join(f'<joint joint="j{j}" coef="{rng.uniform(-2, 2):.5f}"/>' for j in (k, k + 1, 3)[: 2 + k])
        tendons += f'<fixed name="t{k}">{parts}</fixed>'
    for k in range(N_ACTUATORS):
        on_tendon = k in (1, 5)
        place = f'tendon="t{k // 5}"' if on_tendon else f'joint="j{k % 3}"'
        actuators += _actuator(rng, k, place)
    return (
        f'<mujoco model="arm"><option timestep="0.004" integrator="{integrator}"/><worldbody>{inside}</worldbody>'
        f"<tendon>{tendons}</tendon><actuator>{actuators}"
        '<motor name="alone" joint="j3" gear="1.7" ctrllimited="true" ctrlrange="-1 1.2"/></actuator></mujoco>'
    )


def _actuator(rng: np.random.Generator, k: int, place: str) -> str:
    dynamics = DYNAMICS[k % 4]
    gain, bias = rng.uniform(-1.5, 1.5, 3), rng.uniform(-1.0, 1.0, 3) * (0.3, 1.0, 0.5)
    affine = k % 3 != 0
    numbers = " ".join(f"{x:.5f}" for x in (gain if affine else gain[:1]))
    more = f'gaintype="{"affine" if affine else "fixed"}" gainprm="{numbers}" gear="{rng.uniform(0.4, 1.6):.5f}" '
    if k % 2:
        more += f'biastype="affine" biasprm="{" ".join(f"{x:.5f}" for x in bias)}" '
    if dynamics != "none":
        more += f'dyntype="{dynamics}" dynprm="{rng.uniform(0.005, 0.2):.5f}" '
        if k % 3 != 1:
            more += f'actlimited="true" actrange="-{rng.uniform(0.3, 1):.5f} {rng.uniform(0.3, 1):.5f}" '
        if k in (3, 6):
            more += 'actearly="true" '
    if rng.random() < 0.5:
        more += f'ctrllimited="true" ctrlrange="-{rng.uniform(0.5, 1.5):.5f} {rng.uniform(0.5, 1.5):.5f}" '
    if rng.random() < 0.4:
        more += f'forcelimited="true" forcerange="-{rng.uniform(0.3, 1.5):.5f} {rng.uniform(0.3, 1.5):.5f}" '
    return f'<general name="a{k}" {place} {more}/>'


class Pair:
    """A model in MuJoCo and in a scene of ours, one state in each environment."""

    def __init__(self, text: str, n_envs: int, requires_grad: bool = False) -> None:
        self.m = mujoco.MjModel.from_xml_string(text)
        self.d = mujoco.MjData(self.m)
        self.n_envs = n_envs
        sim = gs.options.SimOptions(dt=self.m.opt.timestep, substeps=1, requires_grad=requires_grad)
        self.scene = gs.Scene(sim_options=sim, rigid_options=RigidOptions(contact=MujocoContact()))
        self.robot: Any = self.scene.add_entity(gs.morphs.MJCF(file=file_of(text)))
        self.scene.build(n_envs=n_envs)

    def states(self, seed: int) -> States:
        """Random ones, with activations within their ranges and a little beyond."""
        m, rng = self.m, np.random.default_rng(seed)
        return States(*(rng.normal(size=(self.n_envs, n)) * s for n, s in ((m.nq, 0.4), (m.nv, 0.8), (m.na, 0.4))))

    def controls(self, seed: int, n: int) -> np.ndarray:
        """(n, B, nu), within ranges and beyond."""
        return np.random.default_rng(seed).normal(size=(n, self.n_envs, self.m.nu))

    def place(self, qpos: Any, qvel: Any, act: Any) -> None:
        self.scene.reset()
        self.robot.set_qpos(qpos, zero_velocity=False)
        self.robot.set_dofs_velocity(qvel)
        self.robot.set_actuators_activation(act)

    def state(self) -> torch.Tensor:
        """(B, nq + nv + na), plain."""
        robot = self.robot
        parts = (robot.get_qpos(), robot.get_dofs_velocity(), robot.get_actuators_activation())
        return torch.cat([part.as_subclass(torch.Tensor) for part in parts], 1)

    def ours(self, states: States, controls: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            self.place(states.qpos, states.qvel, states.act)
            for ctrl in controls:
                self.robot.control_actuators(ctrl)
                self.scene.step()
        return self.state().numpy()

    def theirs(self, states: States, controls: np.ndarray) -> np.ndarray:
        m, d, found = self.m, self.d, []
        for b in range(self.n_envs):
            mujoco.mj_resetData(m, d)
            d.qpos[:], d.qvel[:], d.act[:] = states.qpos[b], states.qvel[b], states.act[b]
            for ctrl in controls[:, b]:
                d.ctrl[:] = ctrl
                mujoco.mj_step(m, d)
            found.append(np.concatenate([d.qpos, d.qvel, d.act]))
        return np.stack(found)
