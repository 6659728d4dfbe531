"""Equality constraints in MuJoCo's contact model: accelerations, steps and gradients beside MuJoCo's own.

States begin off the constraints, so that residuals, impedances and the rotation of welds are all at work.
"""

import functools
from dataclasses import fields

import mujoco
import numpy as np
import pytest
import torch

import genesis as gs
from genesis import loaders
from genesis.loaders import rotations
from genesis.loaders.mujoco_numbers import EqualityNumbers
from tests.mujoco_model.engine import Engine, relative
from tests.mujoco_model.ours import Ours
from tests.mujoco_model.reports import summary
from tests.rigid.rigid_bench import F64
from tests.rigid.rigid_models import file_of
from tests.rigid.rigid_worlds import B, check, rows

ACCELERATION, STEPS, LONG = 1e-10, 100, 1e-8
GRADIENT, MOST = 1e-7, 1e-4
SINGLE = 1e-4

HEAD = """
<mujoco model="{name}">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.002" integrator="{integrator}" {option}/>
  <default><geom contype="0" conaffinity="{touch}" density="800"/><joint damping="0.02" armature="0.001"/>
    <equality solref="0.01 1" solimp="0.8 0.95 0.05 0.4 2"/></default>
  <worldbody>
    <geom name="ground" type="plane" size="0 0 1" contype="{touch}" conaffinity="0"/>
    {bodies}
  </worldbody>
  <equality>{equality}</equality>
  {more}
</mujoco>
"""
FOUR_BAR = """
<body name="base" pos="0 0 0.6">
  <body name="crank"><joint name="crank" axis="0 1 0"/><geom type="capsule" size="0.02" fromto="0 0 0 0 0 0.2"/>
    <body name="coupler" pos="0 0 0.2"><joint name="coupler" axis="0.05 1 0"/>
      <geom type="capsule" size="0.02" fromto="0 0 0 0.5 0 0.1"/></body></body>
  <body name="rocker" pos="0.5 0 0"><joint name="rocker" axis="0 1 0"/>
    <geom type="capsule" size="0.02" fromto="0 0 0 0 0 0.3"/></body>
</body>
"""
FREE = """
<body name="{name}" pos="{pos}" euler="0.3 -0.2 {turn}"><freejoint name="{name}"/>
  <geom type="box" size="0.1 0.06 0.03" pos="0.02 0 0.01"/>
  <body name="{name} end" pos="0.1 0.02 0" euler="0.1 0.5 0"><geom type="sphere" size="0.04"/>
    <site name="{name} site" pos="0.03 0.01 0.02" euler="0.2 0.4 -0.3"/></body>
</body>
"""
MODELS = {
    "four-bar": (FOUR_BAR, '<connect body1="coupler" body2="rocker" anchor="0.5 0 0.1"/>', "crank"),
    "weld of free bodies": (
        FREE.format(name="a", pos="0 0 1", turn=0) + FREE.format(name="b", pos="0.3 0.1 1.1", turn=0.6),
        '<weld body1="a" body2="b end" torquescale="0.4" anchor="0.02 0.03 0"/>', "",
    ),
    "weld to the world": (
        FREE.format(name="a", pos="0 0 1", turn=0.4),
        '<weld body1="a end" relpose="0.1 0.2 1.1 0.8 0.3 0.4 0.33" solref="0.05 0.8"/>', "",
    ),
    "sites": (
        FREE.format(name="a", pos="0 0 1", turn=0) + FREE.format(name="b", pos="0.3 0.1 1.1", turn=0.6)
        + FREE.format(name="c", pos="-0.3 0.1 1", turn=-0.7),
        '<weld site1="a site" site2="b site"/><connect site1="c site" site2="a site"/>'
        '<connect body1="b" anchor="0.1 0.1 0"/>', "",
    ),
    "joints": (
        """<body name="u" pos="0 0 1"><joint name="u" axis="0 1 0" ref="0.2"/><geom type="capsule" size="0.03"
          fromto="0 0 0 0.3 0 0"/><body name="v" pos="0.3 0 0"><joint name="v" axis="0.2 1 0" ref="-0.1"/>
          <geom type="capsule" size="0.03" fromto="0 0 0 0.2 0 0"/><body pos="0.2 0 0"><joint name="w" type="slide"/>
          <geom type="sphere" size="0.05"/></body></body></body>
          <body pos="0 1 1"><joint name="x" axis="1 0 0"/><geom type="capsule" size="0.03" fromto="0 0 0 0 0.3 0.1"/>
          </body>""",
        '<joint joint1="u" joint2="v" polycoef="0.1 0.7 -0.2 0.3 0.15"/><joint joint1="w" polycoef="0.05 1 0 0 0"/>'
        '<joint joint1="x" joint2="u" polycoef="0 -1.5 0.4 0 0"/><joint joint1="x" joint2="w" active="false"/>', "u",
    ),
    "loop on the ground": (
        """<body name="hip" pos="0 0 0.34"><freejoint/><geom type="box" size="0.1 0.1 0.03"/>
          <body name="l1" pos="-0.1 0 0"><joint name="l1" axis="0 1 0"/><geom type="capsule" size="0.02"
            fromto="0 0 0 -0.1 0 -0.15"/><body name="l2" pos="-0.1 0 -0.15"><joint name="l2" axis="0 1 0"/>
            <geom type="capsule" size="0.02" fromto="0 0 0 0.2 0 -0.15"/></body></body>
          <body name="r1" pos="0.1 0 0"><joint name="r1" axis="0 1 0"/><geom type="capsule" size="0.02"
            fromto="0 0 0 0.1 0 -0.15"/><body name="r2" pos="0.1 0 -0.15"><joint name="r2" axis="0 1 0"/>
            <geom type="capsule" size="0.02" fromto="0 0 0 -0.2 0 -0.15"/></body></body>
        </body>""",
        '<connect body1="l2" body2="r2" anchor="0.2 0 -0.15"/>', "l1",
    ),
}  # fmt: skip
"""Bodies, equality constraints, and the joint of a motor."""


@functools.cache
def text_of(name: str, integrator: str = "Euler", option: str = "") -> str:
    bodies, equality, driven = MODELS[name]
    more = f'<actuator><motor name="m" joint="{driven}" gear="0.5"/></actuator>' if driven else ""
    touch = 1 if name == "loop on the ground" else 0
    return HEAD.format(
        name=name, integrator=integrator, option=option, touch=touch, bodies=bodies, equality=equality, more=more
    )


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    text = text_of(request.param)
    engine = Engine(text)
    return request.param, engine, engine.states(16, seed=1)


@pytest.mark.precision("64")
def test_acceleration(case):
    name, engine, states = case
    bare = Engine(engine.text.replace('damping="0.02"', 'damping="0"'))
    before, after = Ours(bare.text, len(states)).trajectory(states, states.ctrl[None])[:, :, engine.m.nq :]
    errors = relative((after - before) / engine.timestep, np.stack([bare.qacc(*state) for state in states]))
    line = summary(f"{name}, acceleration", errors)
    print(line)
    assert errors.max() < ACCELERATION, line


@pytest.mark.slow
@pytest.mark.precision("32")
def test_one_step_in_single_precision(case):
    name, engine, states = case
    after = Ours(engine.text, len(states)).trajectory(states, states.ctrl[None])[1]
    errors = relative(after, np.stack([np.concatenate(engine.step(*state)) for state in states]))
    line = summary(f"{name}, one step", errors)
    print(line)
    assert np.quantile(errors, 0.95) < SINGLE, line


@pytest.mark.precision("64")
def test_a_hundred_steps(case):
    name, engine, states = case
    controls = engine.controls(np.random.default_rng(2), STEPS, len(states))
    after = Ours(engine.text, len(states)).trajectory(states, controls)[-1]
    wanted = np.stack([
        np.concatenate(engine.step(qpos, qvel, controls[:, k])) for k, (qpos, qvel, _) in enumerate(states)
    ])  # fmt: skip
    errors = relative(after, wanted)
    line = summary(f"{name}, {STEPS} steps", errors)
    print(line)
    assert np.median(errors) < LONG and errors.max() < 100 * LONG, line


@pytest.mark.precision("64")
@pytest.mark.parametrize("n", [1, 10])
def test_gradient(case, n):
    """Against differences of MuJoCo's steps."""
    name, engine, states = case
    states = states.chosen(np.arange(16 if n == 1 else 4))
    weight = np.random.default_rng(4).normal(size=engine.m.nq + engine.m.nv)
    ours = Ours(engine.text, len(states), requires_grad=True).gradient(states, weight, n)
    wanted, same = np.zeros_like(ours), np.ones(ours.shape, dtype=bool)
    for k, state in enumerate(states):
        jacobian, _, pieces = engine.jacobian(*state, n=n)
        wanted[k], same[k] = weight @ jacobian, ~pieces
    gaps = np.where(same, np.abs(ours - wanted), 0.0) / np.abs(wanted).max(1, keepdims=True)
    parts = [part.max(initial=0.0) for part in np.split(gaps, (engine.m.nv, 2 * engine.m.nv), axis=1)]
    line = f"{summary(f'{name}, gradient of {n} steps', gaps.max(1), int((~same).sum()))}; by qpos, qvel, ctrl {parts}"
    print(line)
    assert np.median(gaps.max(1)) < GRADIENT and gaps.max() < MOST, line


@pytest.mark.precision("64")
@pytest.mark.parametrize("name", ["four-bar", "weld to the world"])
def test_gradient_against_own_steps(name):
    """By velocities and by gravity, which does not accelerate the world."""
    engine = Engine(text_of(name))
    qpos, qvel, ctrl = (torch.tensor(x[0], dtype=F64) for x in vars(engine.states(1, seed=5)).values())
    ours = Ours(engine.text, B, requires_grad=True)

    def loss(x: torch.Tensor, gravity: bool) -> torch.Tensor:
        ours.scene.set_gravity(x if gravity else [0.0, 0.0, -9.81])
        ours.place(qpos.expand(B, -1), qvel.expand(B, -1) if gravity else x)
        ours.drive(ctrl.expand(B, -1))
        ours.step(5)
        return rows(ours.state(), 5)

    check(lambda x: loss(x, False), qvel, GRADIENT, smooth=False, what="velocity")
    check(lambda x: loss(x, True), torch.tensor([0.3, -0.2, -9.81], dtype=F64), GRADIENT, smooth=False, what="gravity")


BLOCKS = """
<body name="a" pos="0 0 0.5"><freejoint/><geom type="sphere" size="0.1" contype="1"/>
  <body name="tail" pos="0.2 0 0"><joint name="tail" axis="0 1 0"/><geom type="capsule" size="0.03"
    fromto="0 0 0 0.2 0 0"/></body></body>
<body name="b" pos="0.25 0.02 0.75"><freejoint/><geom type="sphere" size="0.12" contype="1"/></body>
<body name="c" pos="0.5 0.1 0.52"><freejoint/><geom type="capsule" size="0.06 0.1" contype="1"/></body>
"""
LASHED = '<weld body1="tail" body2="c"/><connect body1="b" body2="a" anchor="-0.2 0 0"/>'


@pytest.mark.slow
@pytest.mark.precision("64")
@pytest.mark.parametrize(
    "integrator, option",
    [("RK4", 'cone="elliptic" impratio="3"'), pytest.param("Euler", "", marks=pytest.mark.slow)],
)
def test_beside_contact_of_bodies(integrator, option):
    """Bodies that are tied to each other lie on one another and on the ground."""
    text = HEAD.format(
        name="lashed", integrator=integrator, option=option, touch=1, bodies=BLOCKS, equality=LASHED, more=""
    )
    engine = Engine(text)
    states = engine.states(8, seed=2)
    ours = Ours(text, len(states), requires_grad=True)
    controls = np.zeros((10, len(states), 0))
    after = ours.trajectory(states, controls)[-1]
    wanted = np.stack([np.concatenate(engine.step(q, v, controls[:, k])) for k, (q, v, _) in enumerate(states)])
    errors = relative(after, wanted)
    line = summary(f"lashed, {integrator}, 10 steps", errors)
    print(line)
    assert np.median(errors) < LONG, line
    weight = np.random.default_rng(4).normal(size=engine.m.nq + engine.m.nv)
    found = ours.gradient(states, weight, 1)
    gaps = []
    for k, state in enumerate(states):
        jacobian, _, pieces = engine.jacobian(*state)
        gap = np.abs(found[k] - weight @ jacobian) / np.abs(weight @ jacobian).max()
        gaps.append(np.where(pieces, 0.0, gap).max())
    line = summary("lashed, gradient", np.array(gaps))
    print(line)
    assert np.median(gaps) < GRADIENT, line


MASS = '<inertial><mass value="{}"/><inertia ixx="2e-3" iyy="1e-3" izz="2e-3" ixy="0" ixz="1e-4" iyz="0"/></inertial>'
FINGER = """<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{name} pad"/>
  <origin xyz="0 {y} 0.1" rpy="0 0.1 0"/><axis xyz="0 1 0"/><dynamics damping="0.05"/>{mimic}
  <limit lower="-0.4" upper="0.4" effort="10" velocity="1"/></joint><link name="{name} pad">{mass}</link>"""
HAND = f"""<robot name="hand"><link name="palm">{MASS.format(1)}</link>""" + "".join(
    FINGER.format(name=name, kind=kind, parent=parent, y=y, mass=MASS.format(0.2), mimic=mimic)
    for name, kind, parent, y, mimic in (
        ("right", "prismatic", "palm", -0.05, '<mimic joint="left" multiplier="-1" offset="0.01"/>'),
        ("left", "prismatic", "palm", 0.05, ""),
        ("tip", "revolute", "left pad", 0.0, '<mimic joint="left" multiplier="2.5"/>'),
    )
) + "</robot>"  # fmt: skip


@pytest.mark.precision("64")
def test_fingers_that_mimic():
    """A URDF file beside MuJoCo's own reading of it, at MuJoCo's defaults."""
    spec = mujoco.MjSpec.from_string(HAND)
    if not spec.equalities:
        pytest.skip("this version of MuJoCo takes no notice of mimic")
    engine = Engine(spec.to_xml())
    rng = np.random.default_rng(0)
    states = engine.states(8)
    states.qpos[:], states.qvel[:] = rng.uniform(-0.05, 0.05, (8, 3)), 0.1 * states.qvel
    morph = gs.morphs.URDF(file=file_of(HAND, "urdf"), fixed=True)
    after = Ours(engine.text, 8, morph=morph).trajectory(states, np.zeros((STEPS, 8, 0)))[-1]
    wanted = np.stack([np.concatenate(engine.step(q, v, np.zeros((STEPS, 0)))) for q, v, _ in states])
    assert relative(after, wanted).max() < LONG
    left, right, tip = (engine.m.joint(name).qposadr[0] for name in ("left", "right", "tip"))
    assert np.abs(after[:, right] + after[:, left] - 0.01).max() < 1e-3
    assert np.abs(after[:, tip] - 2.5 * after[:, left]).max() < 1e-2


@pytest.mark.parametrize("name", ["four-bar", "joints", "weld to the world"])
def test_two_robots_in_a_scene_move_as_one_alone(name):
    """The second is placed elsewhere: what is tied to the world moves with it."""
    turn = 0.5
    shift, quat = np.array([2.0, -1.0, 0.0]), rotations.about(np.array([0.0, 0.0, 1.0]), turn)
    found = []
    for poses in [((0.0, 0.0, 0.0), 0.0)], [((0.0, 0.0, 0.0), 0.0), (tuple(shift), turn)]:
        rigid = gs.options.RigidOptions(contact=gs.options.MujocoContact(smoothing=0.0))
        scene = gs.Scene(sim_options=gs.options.SimOptions(dt=0.002, substeps=1), rigid_options=rigid)
        robots = [
            scene.add_entity(gs.morphs.MJCF(file=file_of(text_of(name)), ground=False, pos=pos, euler=(0, 0, degrees)))
            for pos, degrees in ((pos, np.degrees(angle)) for pos, angle in poses)
        ]
        scene.build(n_envs=1)
        for robot, (_, angle) in zip(robots, poses, strict=True):
            velocity = 0.3 * np.ones(robot.n_dofs)
            if name == "weld to the world":  # its first velocity is along the world's axes
                velocity[:3] = rotations.rotate(rotations.about(np.array([0.0, 0.0, 1.0]), angle), velocity[:3])
            robot.set_dofs_velocity(torch.tensor(velocity[None], dtype=gs.tc_float))
        for _ in range(50):
            scene.step()
        found.append([robot.get_links_pos()[0].numpy() for robot in robots])
    (alone,), (first, second) = found
    bar = 1e-10 if alone.dtype == np.float64 else 1e-4
    assert np.abs(first - alone).max() < bar
    assert np.abs(second - (alone @ rotations.matrix(quat).T + shift)).max() < bar


def equalities_of(model: loaders.RigidModel) -> EqualityNumbers:
    assert model.mujoco is not None
    return model.mujoco.equalities


def test_constraints_are_kept_in_files(tmp_path):
    model = loaders.load_mjcf(file_of(text_of("sites")), contact="mujoco", cache=False)
    model.save(tmp_path / "robot.npz")
    own, kept = equalities_of(model), equalities_of(loaders.RigidModel.load(tmp_path / "robot.npz"))
    assert len(own) == 3
    for each in fields(EqualityNumbers):
        assert np.array_equal(getattr(kept, each.name), getattr(own, each.name))


def test_inactive_constraints_are_left_out():
    model = loaders.load_mjcf(file_of(text_of("joints")), contact="mujoco", cache=False)
    assert len(equalities_of(model)) == 3
    off = text_of("joints").replace("<worldbody>", '<option><flag equality="disable"/></option><worldbody>')
    assert len(equalities_of(loaders.load_mjcf(file_of(off), contact="mujoco", cache=False))) == 0


@pytest.mark.parametrize("suffix, text, category", [("xml", text_of("four-bar"), "equality"), ("urdf", HAND, "mimic")])
def test_the_compliant_model_points_to_the_one_that_has_them(suffix, text, category):
    load = loaders.load_mjcf if suffix == "xml" else loaders.load_urdf
    with pytest.raises(gs.GenesisException, match=rf"{category}.*MujocoContact\(\)\) has all of these"):
        load(file_of(text, suffix), cache=False)


@pytest.mark.parametrize("joint", ["nobody", "weld"])
def test_a_joint_that_mimics_none_is_refused(joint):
    text = HAND.replace('mimic joint="left" multiplier="2.5"', f'mimic joint="{joint}"')
    with pytest.raises(gs.GenesisException, match="mimic of joint 'tip'.*must be of a joint that moves"):
        loaders.load_urdf(file_of(text, "urdf"), contact="mujoco", cache=False)


@pytest.mark.slow
@pytest.mark.precision("64")
def test_wrenches_of_a_loop():
    """A joint transmits what its links need less what the loop's end pushes: beside MuJoCo's, and with gradients."""
    engine = Engine(text_of("four-bar"))
    qpos, qvel, ctrl = (torch.tensor(x[0], dtype=F64) for x in vars(engine.states(1, seed=5)).values())
    ours = Ours(engine.text, B, requires_grad=True, outputs=("link_wrench",))

    def wrenches(x: torch.Tensor) -> torch.Tensor:
        ours.place(qpos.expand(B, -1), x)
        ours.drive(ctrl.expand(B, -1))
        ours.step()
        return ours.robot.get_links_wrench()

    with torch.no_grad():
        found = wrenches(qvel.expand(B, -1))[0].numpy()
    engine.qacc(*(x.numpy() for x in (qpos, qvel, ctrl)))
    m, d = engine.m, engine.d
    mujoco.mj_rnePostConstraint(m, d)
    for link, name in enumerate(ours.model.link_names):
        body = m.body(name).id
        if m.body_jntnum[body]:
            torque, force = np.split(d.cfrc_int[body], 2)
            torque = torque + np.cross(force, d.xpos[body] - d.subtree_com[m.body_rootid[body]])
            wanted = np.concatenate([force, torque])
            assert np.abs(found[link].ravel() - wanted).max() < 1e-8 * max(1.0, np.abs(wanted).max()), name
    check(lambda x: 0.1 * rows(wrenches(x), 3), qvel, GRADIENT, smooth=False, what="wrench by velocity")
