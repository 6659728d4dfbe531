"""Acceleration, mass matrix, bias, wrenches, positions and readouts against MuJoCo, in float64.

Without damping, springs, limits and contact a substep's acceleration is exact: (qd' - qd) / dt is MuJoCo's qacc for any
dt. The bar is 1e-10 of the largest acceleration.
"""

import mujoco
import numpy as np
import pytest
import torch

from genesis.loaders import ROBOTS, load_robot
from genesis.loaders.library import FOLDER
from tests.loaders.random_trees import random_tree
from tests.rigid.rigid_bench import F64, Bench, bare, noise
from tests.rigid.rigid_models import CRAWLER, SHAPES, ZOO, from_text, lone, pendulum
from tests.rigid.rigid_mujoco import Twin

pytestmark = pytest.mark.precision("64")
BAR = 1e-10
N = 6
DT = 5e-3

TEXTS = {
    "zoo": ZOO,
    "crawler": CRAWLER,
    "pendulum on a pin": pendulum(),
    **{shape: lone(shape) for shape in SHAPES},
    **{f"random tree {k}": random_tree(np.random.default_rng(k), n_bodies=7) for k in range(12)},
}


class Case:
    """A model in both programs, and N states."""

    def __init__(self, name):
        text = TEXTS[name] if name in TEXTS else (FOLDER / f"{name}.xml").read_text(encoding="utf-8")
        self.model = from_text(text) if name in TEXTS else load_robot(name)
        self.bench = Bench(bare(self.model), dt=DT, substeps=1, outputs=("link_wrench", "link_acceleration"))
        self.twin = Twin(text)
        assert (self.twin.m.nq, self.twin.m.nv) == (self.model.n_qs, self.model.n_dofs)
        values = self.bench.initial(N)
        values["qpos"] = self.bench.retract(values["qpos"][0], 0.6 * noise(N, self.model.n_dofs, seed=1))
        values["dofs_vel"] = 1.5 * noise(N, self.model.n_dofs, seed=2)
        self.values = values

    def acceleration(self, values):
        return (self.bench.forward(values)["dofs_vel"] - values["dofs_vel"]) / DT

    def rows(self, values=None):
        values = values or self.values
        return [(values["qpos"][e].numpy(), values["dofs_vel"][e].numpy()) for e in range(N)]

    def bodies(self):
        return [self.twin.body(name) for name in self.model.link_names]


ALONE = [name for name in ROBOTS if name != "block_push"]
"""Robots whose world has no other body: the compliant contact model takes these."""


@pytest.fixture(scope="module", params=[*TEXTS, *ALONE])
def case(request):
    return Case(request.param)


def close(got, wanted, bar=BAR):
    got, wanted = torch.as_tensor(np.asarray(got)), torch.as_tensor(np.asarray(wanted))
    error = float((got - wanted).abs().max()) / max(1.0, float(wanted.abs().max()))
    assert error < bar, f"{error:.1e}"


def test_acceleration(case):
    close(case.acceleration(case.values), [case.twin.acceleration(q, v) for q, v in case.rows()])


def test_acceleration_with_forces(case):
    force = 3.0 * noise(N, case.model.n_dofs, seed=3)
    values = {**case.values, "dofs": case.values["dofs"].clone()}
    values["dofs"][..., 0] = force
    wanted = [case.twin.acceleration(q, v, f.numpy()) for (q, v), f in zip(case.rows(), force, strict=True)]
    close(case.acceleration(values), wanted)


def test_mass_matrix_and_bias(case):
    """M^-1 from the responses to unit forces at rest without gravity, and bias from the response to nothing."""
    n, bench = case.model.n_dofs, case.bench
    for e in range(2):
        values = {k: v[e : e + 1].expand(n + 1, *v.shape[1:]).clone() for k, v in case.values.items()}
        values["dofs_vel"][:n] = 0.0
        values["gravity"][:n] = 0.0
        values["dofs"][:n, :, 0] = torch.eye(n, dtype=F64)
        response = (bench.forward(values)["dofs_vel"] - values["dofs_vel"]) / DT
        case.twin.set(*case.rows()[e])
        mass = case.twin.mass_matrix()
        armature = case.model.armature
        assert (mass.diagonal() > armature - 1e-15).all()
        close(response[:n] @ torch.tensor(mass), np.eye(n), 1e-9)  # the inverse loses digits where M is ill
        close(-mass @ response[n].numpy(), case.twin.d.qfrc_bias)


def test_wrench_on_links(case):
    """Force and torque at the centre of mass, world frame. MuJoCo's xfrc_applied is the same for an unwelded body."""
    wrench = 2.0 * noise(N, case.model.n_links, 6, seed=4)
    wanted = []
    for e, (q, v) in enumerate(case.rows()):
        case.twin.set(q, v)
        force = np.zeros(case.model.n_dofs)
        for link, body in enumerate(case.bodies()):
            rotation = case.twin.d.xmat[body].reshape(3, 3)
            at = case.twin.d.xpos[body] + rotation @ case.model.com[link]
            force += case.twin.pull(body, at, wrench[e, link, :3].numpy(), wrench[e, link, 3:].numpy())
        wanted.append(case.twin.acceleration(q, v, force))
    close(case.acceleration({**case.values, "wrench": wrench}), wanted)


def test_positions_move_along_the_new_velocity(case):
    results = case.bench.forward(case.values)
    wanted = [case.twin.moved(q, v.numpy(), DT) for (q, _), v in zip(case.rows(), results["dofs_vel"], strict=True)]
    close(results["qpos"], wanted)


def test_readout(case):
    pos, quat, vel, ang = case.bench.solver.readout(case.values["qpos"], case.values["dofs_vel"])
    for e, (q, v) in enumerate(case.rows()):
        case.twin.set(q, v)
        for link, body in enumerate(case.bodies()):
            close(pos[e, link], case.twin.d.xpos[body])
            there, here = case.twin.d.xquat[body], quat[e, link].numpy()
            close(here * np.sign(here @ there), there)
            moving = np.zeros(6)
            mujoco.mj_objectVelocity(case.twin.m, case.twin.d, mujoco.mjtObj.mjOBJ_XBODY, body, moving, 0)
            close(vel[e, link], moving[3:])
            close(ang[e, link], moving[:3])


def test_wrench_that_joints_transmit(case):
    """Output of one substep: MuJoCo's force between a body and its parent, about the link's origin."""
    results = case.bench.forward(case.values)
    for e, (q, v) in enumerate(case.rows()):
        case.twin.set(q, v)
        d, m = case.twin.d, case.twin.m
        mujoco.mj_rnePostConstraint(m, d)
        wanted = np.zeros((case.model.n_links, 6))
        for link, body in enumerate(case.bodies()):
            torque, force = d.cfrc_int[body, :3], d.cfrc_int[body, 3:]
            lever = d.subtree_com[m.body_rootid[body]] - d.xpos[body]
            wanted[link] = np.concatenate([force, torque + np.cross(lever, force)])
        moving = case.model.moving
        close(results["link_wrench"][e, moving], wanted[moving])


def test_acceleration_of_links(case):
    """The mean over a step: the change of velocity; in the limit of a short step MuJoCo's, to first order in dt."""
    results = case.bench.forward(case.values)
    before = case.bench.solver.readout(case.values["qpos"], case.values["dofs_vel"])
    after = case.bench.solver.readout(results["qpos"], results["dofs_vel"])
    change = torch.cat([after[2] - before[2], after[3] - before[3]], -1) / DT
    close(results["link_acceleration"], change)
    errors = []
    for dt in (2e-6, 1e-6):
        bench = Bench(bare(case.model), dt=dt, substeps=1, outputs=("link_acceleration",))
        got, worst = bench.forward(case.values)["link_acceleration"], 0.0
        for e, (q, v) in enumerate(case.rows()):
            case.twin.set(q, v)
            mujoco.mj_rnePostConstraint(case.twin.m, case.twin.d)
            for link, body in enumerate(case.bodies()):
                there = np.zeros(6)
                mujoco.mj_objectAcceleration(case.twin.m, case.twin.d, mujoco.mjtObj.mjOBJ_XBODY, body, there, 0)
                there[3:] += case.twin.m.opt.gravity  # MuJoCo's accelerometers feel gravity
                there = torch.tensor(np.concatenate([there[3:], there[:3]]))
                if case.model.moving[link]:
                    worst = max(worst, float((got[e, link] - there).abs().max()) / (1.0 + float(there.abs().max())))
        errors.append(worst)
    print(errors)
    assert errors[1] < 1e-3
    assert errors[1] < 1e-8 or 1.8 < errors[0] / errors[1] < 2.2


def test_armature_counts(case):
    """A model whose armature is lost has another acceleration."""
    if not case.model.armature.any():
        pytest.skip("a model without armature")
    values = {k: v.clone() for k, v in case.values.items()}
    case.bench.block(values, "armature")[:] = 0.0
    wanted = [case.twin.acceleration(q, v) for q, v in case.rows()]
    assert (case.acceleration(values) - torch.tensor(np.array(wanted))).abs().max() > 1e-3
