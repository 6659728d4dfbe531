"""Bad input is refused by name through the public API, and nothing changes."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import genesis as gs
from tests.rigid.rigid_models import CRAWLER, file_of, from_text, pendulum
from tests.rigid.rigid_worlds import COMPLIANT, build, plain

NAN = float("nan")
INF = float("inf")


@pytest.fixture(scope="module")
def world():
    return build(CRAWLER, n_envs=3, ground=True, requires_grad=False)


def everything_set(world):
    state = world.scene.get_state().rigid
    values = [state.qpos, state.dofs_vel, state.dofs, state.wrench, world.robot.get_mass()]
    return [plain(v).clone() for v in values]


def quat(*numbers):
    q = np.tile(np.array([0.0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]), (3, 1))
    q[1, 3:7] = numbers
    return q


CASES = {
    "qpos too short": lambda w: w.robot.set_qpos(np.zeros(14)),
    "qpos of two environments": lambda w: w.robot.set_qpos(np.zeros((2, 15))),
    "qpos with NaN": lambda w: w.robot.set_qpos(np.full(15, NAN)),
    "qpos, quaternion of length 2": lambda w: w.robot.set_qpos(quat(2.0, 0, 0, 0)),
    "qpos, quaternion of length 0": lambda w: w.robot.set_qpos(quat(0, 0, 0, 0)),
    "quat of length 0.5": lambda w: w.robot.set_quat([0.5, 0, 0, 0]),
    "quat of three": lambda w: w.robot.set_quat([1.0, 0, 0]),
    "pos with inf": lambda w: w.robot.set_pos([0.0, 0.0, INF]),
    "pos of two": lambda w: w.robot.set_pos([0.0, 0.0]),
    "dofs_position too long": lambda w: w.robot.set_dofs_position(np.zeros(14)),
    "dofs_position with NaN": lambda w: w.robot.set_dofs_position(np.full(13, NAN)),
    "velocity too short": lambda w: w.robot.set_dofs_velocity(np.zeros(12)),
    "velocity with NaN": lambda w: w.robot.set_dofs_velocity(torch.full((3, 13), NAN, dtype=torch.float64)),
    "force with NaN": lambda w: w.robot.control_dofs_force(np.full(13, NAN)),
    "force with inf": lambda w: w.robot.control_dofs_force(np.full(13, INF)),
    "force, wrong size": lambda w: w.robot.control_dofs_force(np.zeros(3), dofs_idx_local=[0, 1]),
    "force, no such dof": lambda w: w.robot.control_dofs_force(np.zeros(1), dofs_idx_local=[13]),
    "force, a dof twice": lambda w: w.robot.control_dofs_force(np.zeros(2), dofs_idx_local=[7, 7]),
    "force, no such environment": lambda w: w.robot.control_dofs_force(np.zeros(13), envs_idx=[3]),
    "target with NaN": lambda w: w.robot.control_dofs_position(np.full(7, NAN), dofs_idx_local=list(range(6, 13))),
    "target velocity with NaN": lambda w: w.robot.control_dofs_velocity(
        np.full(7, NAN), dofs_idx_local=list(range(6, 13))
    ),
    "wrench with NaN": lambda w: w.robot.set_links_wrench(force=np.full((4, 3), NAN)),
    "wrench of five links": lambda w: w.robot.set_links_wrench(force=np.zeros((5, 3))),
    "torque, no such link": lambda w: w.robot.set_links_wrench(torque=np.zeros((1, 3)), links_idx_local=[4]),
    "mass of zero": lambda w: w.robot.set_mass(np.zeros(4)),
    "mass below zero": lambda w: w.robot.set_mass(np.array([1.0, 1.0, -1.0, 1.0])),
    "mass with NaN": lambda w: w.robot.set_mass(np.full(4, NAN)),
    "mass, wrong size": lambda w: w.robot.set_mass(np.ones(3)),
    "inertia not positive": lambda w: w.robot.set_inertia(np.tile([1.0, 1.0, 1.0, 2.0, 0, 0], (4, 1))),
    "inertia with NaN": lambda w: w.robot.set_inertia(np.full((4, 6), NAN)),
    "friction below zero": lambda w: w.robot.set_friction(-0.1),
    "friction with NaN": lambda w: w.robot.set_friction(NAN),
    "ground's friction below zero": lambda w: w.ground.set_friction(-0.1),
    "damping below zero": lambda w: w.robot.set_dofs_damping(-1.0),
    "armature below zero": lambda w: w.robot.set_dofs_armature(-1.0),
    "stiffness below zero": lambda w: w.robot.set_dofs_stiffness(-1.0),
    "kp below zero": lambda w: w.robot.set_dofs_kp(-1.0),
    "kv with NaN": lambda w: w.robot.set_dofs_kv(NAN),
    "contact stiffness of zero": lambda w: w.robot.set_contact_stiffness(0.0),
    "gravity with NaN": lambda w: w.scene.set_gravity([0.0, 0.0, NAN]),
    "contacts, not asked for": lambda w: w.robot.get_contacts(),
    "wrench of links, not asked for": lambda w: w.robot.get_links_wrench(),
    "no such link": lambda w: w.robot.get_link("elbow"),
    "no such joint": lambda w: w.robot.get_joint("elbow"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_and_nothing_changed(world, case):
    before = everything_set(world)
    with pytest.raises(gs.GenesisException) as caught:
        CASES[case](world)
    assert ", got" in str(caught.value), str(caught.value)
    assert all(torch.equal(a, b) for a, b in zip(before, everything_set(world), strict=True))


FILES = {
    "no such file": lambda: gs.morphs.MJCF(file="/nowhere/robot.xml"),
    "not XML": lambda: gs.morphs.MJCF(file=file_of("this is no model")),
    "massless link": lambda: gs.morphs.MJCF(
        file=file_of('<mujoco><worldbody><body><joint type="hinge"/></body></worldbody></mujoco>')
    ),
    "inverted limits": lambda: gs.morphs.MJCF(file=file_of(CRAWLER.replace('range="-0.5 0.5"', 'range="0.5 -0.5"'))),
    "no such robot": lambda: gs.morphs.Robot(name="unicorn"),
    "empty robot name": lambda: gs.morphs.Robot(),
    "URDF that is not one": lambda: gs.morphs.URDF(file=file_of("<robot name='x'></robot>", "urdf")),
}


@pytest.mark.parametrize("case", FILES)
def test_files_are_refused(case):
    scene = gs.Scene()
    with pytest.raises(gs.GenesisException) as caught:
        scene.add_entity(FILES[case](), material=gs.materials.Rigid())
    assert ", got" in str(caught.value), str(caught.value)
    assert scene.entities == []


def test_unsupported_elements_are_named():
    text = CRAWLER.replace("<actuator>", '<equality><joint joint1="left_hip" joint2="left_knee"/></equality><actuator>')
    with pytest.raises(gs.GenesisException, match="equality"):
        gs.Scene(rigid_options=COMPLIANT).add_entity(gs.morphs.MJCF(file=file_of(text)), material=gs.materials.Rigid())


MODELS = {
    "massless link": lambda m: replace(m, mass=0 * m.mass),
    "mass below zero": lambda m: replace(m, mass=-m.mass),
    "inertia that no body has": lambda m: replace(m, inertia=np.tile([1.0, 1.0, 3.0, 0, 0, 0], (m.n_links, 1))),
    "inverted limits": lambda m: replace(m, limit_low=np.full(m.n_dofs, 1.0), limit_high=np.full(m.n_dofs, -1.0)),
    "quaternion of length 2": lambda m: replace(m, link_quat=2 * m.link_quat),
    "rest quaternion of length 2": lambda m: replace(m, qpos0=2 * m.qpos0),
    "wrong size": lambda m: replace(m, armature=np.zeros(m.n_dofs + 1)),
    "NaN": lambda m: replace(m, com=NAN * m.com),
    "damping below zero": lambda m: replace(m, damping=m.damping - 5.0),
    "parent after child": lambda m: replace(m, parent=np.array([1, -1, 0, 0])),
}


@pytest.mark.parametrize("case", MODELS)
def test_models_are_refused(case):
    with pytest.raises(gs.GenesisException) as caught:
        MODELS[case](from_text(CRAWLER)).validate()
    assert ", got" in str(caught.value), str(caught.value)


OPTIONS = {
    "sag": -1.0,
    "stiffness": 0.0,
    "dissipation": -0.1,
    "smoothing": 0.0,
    "friction_velocity": 0.0,
    "limit_stiffness": NAN,
    "limit_damping": -1.0,
    "limit_smoothing": 0.0,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_refused(name):
    with pytest.raises(gs.GenesisException, match=re.escape(name)):
        gs.options.CompliantContact(**{name: OPTIONS[name]})
    with pytest.raises(gs.GenesisException, match="self_collision"):
        gs.options.RigidOptions(self_collision=1.5)
    with pytest.raises(TypeError):
        gs.options.RigidOptions(stiffness=1.0)


def test_pose_setters_need_a_free_base():
    world = build(pendulum(), n_envs=1, requires_grad=False)
    for act in (lambda: world.robot.set_pos([0.0, 0, 0]), lambda: world.robot.set_quat([1.0, 0, 0, 0])):
        with pytest.raises(gs.GenesisException, match="free"):
            act()
