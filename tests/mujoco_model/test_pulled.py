"""Tendons, sites and gravity compensation beside MuJoCo, in one integrator; `test_parity` has the others."""

import mujoco
import numpy as np
import pytest
import torch

import genesis as gs
from genesis import loaders
from genesis.loaders import rotations
from genesis.loaders.mujoco_numbers import TABLES
from tests.mujoco_model.engine import Engine, States, relative
from tests.mujoco_model.models import engine_of, text_of
from tests.mujoco_model.ours import Ours
from tests.rigid.rigid_bench import F64
from tests.rigid.rigid_models import file_of
from tests.rigid.rigid_worlds import B, check, rows

pytestmark = pytest.mark.precision("64")
NAME = "pulled, implicitfast"
STEP, LONG, STEPS = 1e-11, 1e-9, 100
GRADIENT, MOST, OWN = 1e-7, 1e-4, 1e-7


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_of(NAME)


@pytest.fixture(scope="module")
def states(engine) -> States:
    return engine.states(16, seed=1)


@pytest.fixture(scope="module")
def ours() -> Ours:
    return Ours(text_of(NAME), B, requires_grad=True)


def test_steps_are_mujocos(engine, states):
    controls = engine.controls(np.random.default_rng(2), STEPS, len(states))
    found = Ours(engine.text, len(states)).trajectory(states, controls)
    for n, bar in ((1, STEP), (STEPS, LONG)):
        wanted = [np.concatenate(engine.step(q, v, controls[:n, k])) for k, (q, v, _) in enumerate(states)]
        assert relative(found[n], np.stack(wanted)).max() < bar, n


@pytest.mark.slow
def test_gradients_are_those_of_mujocos_steps(engine, ours):
    states = engine.states(B, seed=3)
    weight = np.random.default_rng(4).normal(size=engine.m.nq + engine.m.nv)
    for n in (1, 10):
        found, errors = ours.gradient(states, weight, n), []
        for k, state in enumerate(states.chosen(np.arange(12 if n == 1 else 4))):
            jacobian, _, pieces = engine.jacobian(*state, n=n)
            wanted = weight @ jacobian
            errors.append(np.where(pieces, 0.0, np.abs(found[k] - wanted)).max() / np.abs(wanted).max())
        assert np.median(errors) < GRADIENT and np.max(errors) < MOST, (n, errors)


@pytest.mark.slow
def test_gradient_of_held_bodies_by_masses_and_gravity(engine, ours):
    qpos, qvel, ctrl = (torch.tensor(x[0], dtype=F64) for x in vars(engine.states(1, seed=5)).values())
    own = ours.robot.get_links_mass().detach().as_subclass(torch.Tensor)[0].clone()
    down = torch.tensor([0.3, -0.2, -9.81], dtype=F64)

    def loss(mass: torch.Tensor, gravity: torch.Tensor) -> torch.Tensor:
        ours.scene.set_gravity(gravity)
        ours.robot.set_mass(mass)
        ours.place(qpos.expand(B, -1), qvel.expand(B, -1))
        ours.drive(ctrl.expand(B, -1))
        ours.step(3)
        return rows(ours.state(), 5)

    moving = torch.tensor(ours.model.moving.copy())
    try:
        check(lambda x: loss(torch.where(moving, own * (1.0 + x), own), down), torch.zeros(len(own), dtype=F64), OWN,
              smooth=False, scale=1.0, what="mass")  # fmt: skip
        check(lambda x: loss(own.expand(B, -1), x), down, OWN, smooth=False, what="gravity")
    finally:
        with torch.no_grad():
            loss(own.expand(B, -1), torch.tensor([0.0, 0.0, -9.81], dtype=F64).expand(B, -1))


@pytest.mark.slow
def test_a_second_robot_elsewhere_moves_as_one_alone(engine):
    """What its tendons and sites are tied to in the world moves with it."""
    turn, shift = 0.5, np.array([2.0, -1.0, 0.0])
    quat = rotations.about(np.array([0.0, 0.0, 1.0]), turn)
    found = []
    for poses in [((0.0, 0.0, 0.0), 0.0)], [((0.0, 0.0, 0.0), 0.0), (tuple(shift), turn)]:
        rigid = gs.options.RigidOptions(contact=gs.options.MujocoContact(smoothing=0.0))
        scene = gs.Scene(sim_options=gs.options.SimOptions(dt=0.003, substeps=1), rigid_options=rigid)
        robots = [
            scene.add_entity(gs.morphs.MJCF(file=file_of(engine.text), ground=False, pos=pos, euler=(0, 0, degrees)))
            for pos, degrees in ((pos, np.degrees(angle)) for pos, angle in poses)
        ]
        scene.build(n_envs=1)
        for robot in robots:
            robot.control_actuators([0.5, -0.3, 0.2, 0.7, 0.4, -0.5, 0.6, 0.3, -0.8])
        for _ in range(20):
            scene.step()
        found.append([robot.get_links_pos()[0].numpy() for robot in robots])
    (alone,), (first, second) = found
    assert np.abs(first - alone).max() < 1e-10
    assert np.abs(second - (alone @ rotations.matrix(quat).T + shift)).max() < 1e-10


def test_all_is_kept_in_files(engine, tmp_path):
    model = loaders.load_mjcf(file_of(engine.text), contact="mujoco", cache=False)
    model.save(tmp_path / "robot.npz")
    kept = loaders.RigidModel.load(tmp_path / "robot.npz")
    assert model.mujoco is not None and kept.mujoco is not None
    assert len(model.mujoco.tendons) == 7 and len(model.mujoco.tendon_parts) == 15
    for table in TABLES:
        own, theirs = getattr(model.mujoco, table), getattr(kept.mujoco, table)
        assert all(np.array_equal(value, getattr(theirs, name)) for name, value in vars(own).items())


def test_the_force_of_sites_cannot_be_read_on_joints(ours):
    with pytest.raises(gs.GenesisException, match="must be of actuators with constant moment arms, got 'rope'"):
        ours.robot.get_dofs_control_force()


EXPLICIT = """
<mujoco><option timestep="0.004"><flag eulerdamp="disable"/></option><worldbody><body><joint name="j" axis="0 1 0"
damping="0.4"/><geom type="capsule" fromto="0 0 0 0.2 0 -0.1" size="0.04" contype="0" conaffinity="0"/></body>
</worldbody></mujoco>
"""


@pytest.mark.slow
def test_euler_without_implicit_damping_is_mujocos():
    engine = Engine(EXPLICIT)
    implicit = mujoco.MjModel.from_xml_string(EXPLICIT.replace("disable", "enable"))
    states = engine.states(8, seed=1)
    found = Ours(EXPLICIT, 8).trajectory(states, np.zeros((10, 8, 0)))[-1]
    wanted = np.stack([np.concatenate(engine.step(q, v, np.zeros((10, 0)))) for q, v, _ in states])
    assert relative(found, wanted).max() < STEP
    engine.m = implicit
    other = np.stack([np.concatenate(engine.step(q, v, np.zeros((10, 0)))) for q, v, _ in states])
    assert relative(found, other).max() > 1e-3
