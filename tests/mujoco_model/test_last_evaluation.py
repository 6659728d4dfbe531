"""The last evaluation of a step: its state, forces of contacts and wrenches of joints are those that MuJoCo derives."""

import mujoco
import numpy as np
import pytest
import torch

import genesis as gs
from tests.mujoco_model.engine import Engine
from tests.mujoco_model.models import engine_of
from tests.mujoco_model.ours import Ours
from tests.physics.finite import compare

pytestmark = [pytest.mark.precision("64"), pytest.mark.slow]
N_ENVS, N_STEPS = 6, 3
CRAWLER = """
<mujoco><option timestep="0.004" integrator="RK4"/><worldbody>
<geom type="plane" size="5 5 1" condim="3"/>
<body name="trunk" pos="0 0 0.12"><freejoint/><geom name="trunk" type="capsule" fromto="-.1 0 0 .1 .02 0" size="0.05"/>
<geom name="bump" type="sphere" pos="0.05 0.1 0" size="0.04"/>
<body name="leg" pos=".1 .02 0"><joint name="knee" axis="0 1 .2" range="-40 40" damping="0.02"/>
<geom name="leg" type="capsule" fromto="0 0 0 .15 0 -.08" size="0.03"/></body></body></worldbody>
<actuator><motor joint="knee" gear="2"/></actuator></mujoco>
"""
HEAP = "heap of round shapes, RK4, elliptic"
CASES = ["crawler", HEAP]


def starts(m, generator):
    """Low over the ground, fast."""
    qpos, qvel = np.tile(m.qpos0, (N_ENVS, 1)), generator.normal(0.0, 1.0, (N_ENVS, m.nv))
    for joint in range(m.njnt):
        first = m.jnt_qposadr[joint]
        if m.jnt_type[joint] == mujoco.mjtJoint.mjJNT_FREE:
            qpos[:, first + 2] += generator.uniform(-0.09, -0.04, N_ENVS)
            qpos[:, first + 3 : first + 7] += generator.normal(0.0, 0.2, (N_ENVS, 4))
            qpos[:, first + 3 : first + 7] /= np.linalg.norm(qpos[:, first + 3 : first + 7], axis=1, keepdims=True)
        else:
            qpos[:, first] += generator.normal(0.0, 0.5, N_ENVS)
    return torch.tensor(qpos), torch.tensor(qvel), torch.tensor(generator.uniform(-1, 1, (N_ENVS, m.nu)))


def of_mujoco(engine, qpos, qvel, ctrl):
    """State of the last evaluation, places and velocities of bodies, and forces on geoms and wrenches of joints, both
    about the bodies' frames."""
    m, d = engine.m, engine.d
    last = engine.stages(qpos, qvel, np.tile(ctrl, (N_STEPS, 1)))[-1]
    engine.qacc(*last)
    mujoco.mj_rnePostConstraint(m, d)
    contacts, wrench = np.zeros((m.ngeom, 6)), np.zeros(6)
    for k, contact in enumerate(d.contact):
        mujoco.mj_contactForce(m, d, k, wrench)
        frame = contact.frame.reshape(3, 3)
        force, torque = frame.T @ wrench[:3], frame.T @ wrench[3:]
        for geom, sign in zip(contact.geom, (-1.0, 1.0), strict=True):
            arm = contact.pos - d.xpos[m.geom_bodyid[geom]]
            contacts[geom] += sign * np.hstack([force, torque + np.cross(arm, force)])
    joints, motion = [], np.zeros(6)
    velocities = []
    for body in range(1, m.nbody):
        arm = d.subtree_com[m.body_rootid[body]] - d.xpos[body]
        torque, force = d.cfrc_int[body, :3], d.cfrc_int[body, 3:]
        joints.append(np.hstack([force, torque + np.cross(arm, force)]))
        mujoco.mj_objectVelocity(m, d, mujoco.mjtObj.mjOBJ_XBODY, body, motion, 0)
        velocities.append(motion.copy())
    moving = m.geom_bodyid > 0
    return *last[:2], d.xpos[1:].copy(), np.array(velocities), contacts[moving], np.array(joints)


@pytest.fixture(scope="module", params=CASES)
def case(request):
    engine = Engine(CRAWLER) if request.param == "crawler" else engine_of(request.param)
    ours = Ours(engine.text, N_ENVS, N_STEPS, requires_grad=True, outputs=("last_evaluation",))
    return engine, ours, starts(engine.m, np.random.default_rng(5))


def run(ours, qpos, qvel, ctrl):
    ours.place(qpos, qvel)
    ours.drive(ctrl)
    ours.step()
    last = ours.robot.get_last_evaluation()
    return last, ours.robot.get_links_at(last.qpos, last.dofs_vel)


def test_it_is_mujocos(case):
    engine, ours, state = case
    last, (pos, _, vel, ang) = run(ours, *state)
    touched, model = 0, ours.robot.model
    links = [i for i, name in enumerate(model.link_names) if name != "world"]  # which is no body of MuJoCo's list
    geoms = [i for i, geom in enumerate(model.geoms) if geom.link in links]
    motion = torch.cat([ang, vel], dim=2)[:, links]
    found = (last.qpos, last.dofs_vel, pos[:, links], motion, last.contacts[:, geoms], last.joints[:, links])
    for k in range(N_ENVS):
        wanted_of = of_mujoco(engine, *(x[k].numpy() for x in state))
        touched += int(np.abs(wanted_of[4]).max() > 0)
        for got, wanted in zip((each[k] for each in found), wanted_of, strict=True):
            np.testing.assert_allclose(got.detach().numpy(), wanted, rtol=0, atol=1e-9 * (1 + np.abs(wanted).max()))
    assert touched > N_ENVS // 2


def test_its_gradient(case):
    _, ours, state = case
    generator = torch.Generator().manual_seed(3)

    def values(*state):
        last, links = run(ours, *state)
        each = (last.qpos, last.dofs_vel, last.contacts, last.joints, *links)
        return [value.as_subclass(torch.Tensor) for value in each]

    sizes = [1 + value.detach().abs().max() for value in values(*state)]
    weights = [
        torch.randn(value.shape, generator=generator, dtype=gs.tc_float) / size
        for value, size in zip(values(*state), sizes, strict=True)
    ]

    def total(*state):
        return torch.stack([(w * v).sum() for w, v in zip(weights, values(*state), strict=True)]).sum()

    for found in compare(total, [each.requires_grad_() for each in state], most=8, scales=(0.1, 1.0, 1.0)):
        found.check(1e-6)
