"""What a scene with MuJoCo's contact model takes, refuses and reports."""

import logging
import re
from dataclasses import replace
from typing import Any

import mujoco
import pytest
import torch

import genesis as gs
from genesis.loaders import load_mjcf
from genesis.options import CompliantContact, MujocoContact, RigidOptions
from genesis.solvers.rigid.mujoco.prepare import Choice
from genesis.solvers.rigid.setups import setup
from tests.rigid.rigid_models import file_of

pytestmark = pytest.mark.precision("64")

BALL = """
<mujoco model="ball">
  <option timestep="0.004" {option}/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 1"/>
    {body}
  </worldbody>
</mujoco>
"""
SPHERE = '<body name="b" pos="0 0 0.3"><freejoint/><geom name="g" size="0.1" mass="1" {geom}/></body>'

HEIGHT_FIELD = """<geom name="hills" type="hfield" hfield="h" pos="0 0 -1"/></worldbody>
<asset><hfield name="h" nrow="3" ncol="3" size="1 1 0.1 0.1" elevation="0 0 0 0 1 0 0 0 0"/></asset><worldbody>"""
BALL_AT_REST = SPHERE.replace("0 0 0.3", "0 0 0.1").format(geom="")
PLAIN = SPHERE.format(geom="")


def scene_of(body=PLAIN, option="", substeps=1, n_envs=2, outputs=(), dt=0.004, **rigid):
    """A scene of MuJoCo's contact model with one file in it."""
    rigid.setdefault("contact", MujocoContact())
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=dt * substeps, substeps=substeps), rigid_options=RigidOptions(**rigid)
    )
    robot = scene.add_entity(gs.morphs.MJCF(file=file_of(BALL.format(body=body, option=option))))
    scene.build(n_envs=n_envs, outputs=outputs)
    return scene, robot


@pytest.mark.parametrize(
    "make, part",
    [
        (lambda: MujocoContact(cone="round"), "cone"),
        (lambda: MujocoContact(impratio=0.0), "impratio"),
        (lambda: MujocoContact(smoothing=-1.0), "smoothing"),
        (lambda: RigidOptions(contact=MujocoContact(), integrator="Verlet"), "integrator"),
        (lambda: RigidOptions(contact=MujocoContact(), iterations=0), "iterations"),
        (lambda: RigidOptions(contact=MujocoContact(), tolerance=0.0), "tolerance"),
        (lambda: RigidOptions(contact=MujocoContact(), tolerance=1e9), "tolerance"),
        (lambda: RigidOptions(contact=CompliantContact(), integrator="RK4"), "must be left out with CompliantContact"),
        (lambda: RigidOptions(contact=CompliantContact(), tolerance=1e-6), "must be left out with CompliantContact"),
        (lambda: MujocoContact(sag=1e-3), "must get known fields only, got sag"),
    ],
)
def test_options_out_of_range_are_refused(make, part):
    with pytest.raises(gs.GenesisException, match=part):
        make()


@pytest.mark.parametrize(
    "body, option, part",
    [
        (SPHERE.format(geom=""), 'density="1.2" integrator="implicitfast"', "must be Euler or RK4 in a medium"),
        (SPHERE.format(geom=""), 'integrator="implicit"', "integrator must be one of Euler, implicitfast, RK4"),
        ('<body><joint type="free" stiffness="2"/><geom size="0.1" mass="1"/></body>', "",
         "stiffness of the free joint"),
    ],
)  # fmt: skip
def test_what_the_model_has_not_is_refused_by_name(body, option, part):
    with pytest.raises(gs.GenesisException, match=part):
        scene_of(body, option)


@pytest.mark.parametrize("solimp", ["2 0.7 0.03 0.4 3", "0.6 3 -1 1.5 0.5", "-1 0.8 0.02 -2 0.2"])
def test_solimp_beyond_its_ranges_is_bounded_after_mixing_as_in_mujoco(solimp):
    body = SPHERE.replace("0 0 0.3", "0 0 0.12").format(geom=f'solimp="{solimp}"')
    scene, ball = scene_of(body)
    engine = mujoco.MjModel.from_xml_string(BALL.format(body=body, option=""))
    engine.opt.tolerance = 1e-15
    data = mujoco.MjData(engine)
    for _ in range(100):
        scene.step()
        mujoco.mj_step(engine, data)
    found = ball.get_qpos()
    error = (found - torch.tensor(data.qpos, dtype=found.dtype)).abs().max()
    assert error < (1e-10 if found.dtype == torch.float64 else 1e-4)


def test_files_must_agree_on_what_their_integrator_reads_alone():
    """Whether damping is implicit is a question of Euler's method."""
    model = load_mjcf(file_of(BALL.format(body=PLAIN, option="")), contact="mujoco")
    assert model.mujoco is not None
    (own,) = model.mujoco.options
    files = (own, replace(own, source="other", eulerdamp=False))
    model = replace(model, mujoco=replace(model.mujoco, options=files))
    options: dict[str, Any] = {name: RigidOptions(integrator=name) for name in ("Euler", "RK4", "implicitfast")}
    assert all(Choice.of(model, options[name], 0.004).eulerdamp for name in ("RK4", "implicitfast"))
    with pytest.raises(gs.GenesisException, match="eulerdamp must be the same in all files .*Change one of the files"):
        Choice.of(model, options["Euler"], 0.004)


@pytest.mark.parametrize("integrator, told", [("implicitfast", True), ("RK4", False)])
def test_a_free_body_that_something_damps_is_reported_where_its_motion_differs(caplog, integrator, told):
    rope = """<tendon><spatial name="rope" damping="{}"><site site="hook"/><site site="eye"/></spatial></tendon>"""
    body = PLAIN.replace("</body>", '<site name="eye" pos="0 0 0.1"/></body><site name="hook" pos="0 0 1"/>')
    for damping, here in (("0.1", told), ("0", False)):
        text = BALL.format(body=body, option="").replace("</mujoco>", rope.format(damping) + "</mujoco>")
        model = load_mjcf(file_of(text), contact="mujoco")
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="genesis"):
            setup(model, model.grounds, RigidOptions(integrator=integrator), 0.004, (0.0, 0.0, -9.81), (), ["ball/b"])
        assert ("gyroscopic force" in caplog.text and "ball/b" in caplog.text) == here


def test_a_resting_balls_contact_carries_its_weight():
    option = 'integrator="implicitfast"'  # with the kernels of tests/engine
    scene, ball = scene_of(BALL_AT_REST, option, outputs=("contacts", "link_wrench"), substeps=2)
    for _ in range(200):
        scene.step()
    contacts = ball.get_contacts()
    weight = torch.tensor([0.0, 0.0, 9.81], dtype=contacts.force.dtype)
    assert torch.allclose(contacts.force[:, 0], weight, atol=1e-6 if weight.dtype == torch.float64 else 1e-3)
    assert contacts.position[:, 0, 2].abs().max() < 1e-3


def test_another_timestep_than_the_files_is_reported(caplog):
    with caplog.at_level(logging.WARNING, logger="genesis"):
        scene_of(dt=0.002)
    assert any("0.002 s and 0.004 s" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("option, own", [('gravity="0 0 -1.62"', r"\(0, 0, -1.62\)"), ("", r"\(0, 0, 0\)")])
def test_another_gravity_than_the_files_is_reported(caplog, option, own):
    flag = "" if option else '</worldbody><option><flag gravity="disable"/></option><worldbody>'
    with caplog.at_level(logging.WARNING, logger="genesis"):
        scene_of(SPHERE.format(geom="") + flag, option)
    said = [record.getMessage() for record in caplog.records if "gravity must be the file's" in record.getMessage()]
    assert len(said) == 1 and re.search(rf"got \(0, 0, -9.81\) m/s\^2 and {own} of", said[0])


def test_a_height_field_that_is_not_mujocos_is_reported(caplog):
    with caplog.at_level(logging.WARNING, logger="genesis"):
        scene_of(PLAIN + HEIGHT_FIELD)
    assert any("differs from MuJoCo's" in record.getMessage() for record in caplog.records)


def test_evaluations_that_are_cut_off_are_counted_and_named(caplog):
    scene, robot = scene_of(iterations=1, body=SPHERE.format(geom='condim="3"'))
    robot.set_dofs_velocity([1.0, 2.0, -3.0, 4.0, 5.0, 6.0])
    with caplog.at_level(logging.WARNING, logger="genesis"):
        for _ in range(60):
            scene.step()
    named = [record.getMessage() for record in caplog.records if "RigidOptions.iterations" in record.getMessage()]
    assert scene.unconverged > 0
    assert len(named) == 1 and "environment 0" in named[0]


def test_parameters_of_another_model_are_refused_by_name():
    _, robot = scene_of()
    with pytest.raises(gs.GenesisException, match="contact_stiffness"):
        robot.set_contact_stiffness(1e4)


def test_a_ball_comes_to_rest_where_mujoco_says():
    """The rest of a contact of impedance d, inverse weight t and m g: penetration y with F = D k d y = m g."""
    scene, robot = scene_of(
        body=SPHERE.format(geom='priority="1" condim="1" solimp="0.8 0.8 0.001 0.5 2" solref="0.02 1"')
    )
    for _ in range(1500):
        scene.step()
    d, k, weight = 0.8, 1.0 / (0.8 * 0.02) ** 2, 1.0  # dmax = d; diag = 1 / m
    y = -9.81 * (1 - d) * weight / d / (k * d)
    height = robot.get_pos().as_subclass(torch.Tensor)[:, 2]
    assert torch.allclose(height, torch.full_like(height, 0.1 + y), atol=1e-6)


def test_dry_friction_holds_a_slide_until_it_does_not():
    """A slide of dry friction f under a push p: held below f, and beyond it accelerated at (p - f) / m."""
    body = (
        '<body name="b" pos="0 0 1">'
        '<joint name="x" type="slide" axis="1 0 0" frictionloss="2" solreffriction="0.008 1"/>'
        '<geom name="g" size="0.1" mass="1" contype="0" conaffinity="0"/></body>'
    )
    scene, robot = scene_of(body=body)
    push = torch.tensor([[1.5], [5.0]])
    robot.control_dofs_force(push)
    for _ in range(50):
        scene.step()
    speed = robot.get_dofs_velocity().as_subclass(torch.Tensor)[:, 0]
    assert abs(float(speed[0])) < 2e-2
    assert float(speed[1]) == pytest.approx(3.0 * 50 * 0.004, rel=1e-5)


MARGIN_OF_2_CM = 9.348242121e-3
"""m, at MuJoCo's default solref and solimp: the depths at which 2770 d^2 / (1 - d) y is 9.81 m/s^2, 9.715910 mm where d
is 1.9 (y / 20 mm)^2 and 0.367182 mm where it is 0.9 + 0.1 (y / 1 mm)^2, apart."""


def test_what_rests_stands_as_high_with_smoothing():
    """A ball on the ground; without the margin it would be 9.3 mm lower."""
    heights = []
    for smoothing in (0.0, 0.02):
        scene, robot = scene_of(contact=MujocoContact(smoothing=smoothing))
        robot.set_pos([0.0, 0.0, 0.1])
        for _ in range(500):
            scene.step()
        heights.append(float(robot.get_qpos().as_subclass(torch.Tensor)[0, 2]))
    assert abs(heights[0] - heights[1]) < 1e-4


def test_smoothing_takes_the_jump_out_of_the_first_touch():
    """The force of a ball that just touches at speed: that of an impedance of next to nothing."""
    lost = {}
    for smoothing, margin in ((0.0, 0.0), (0.02, MARGIN_OF_2_CM)):
        scene, robot = scene_of(contact=MujocoContact(smoothing=smoothing))
        robot.set_pos([0.0, 0.0, 0.1 + margin - 1e-6])
        robot.set_dofs_velocity([0.0, 0.0, -1.0, 0.0, 0.0, 0.0])
        scene.step()
        lost[smoothing] = 1.0 + float(robot.get_dofs_velocity().as_subclass(torch.Tensor)[0, 2])
    assert lost[0.0] > 0.1
    assert abs(lost[0.02] + 9.81 * 0.004) < 1e-3


def held(robot, name):
    """(B, 1) a parameter of one geom or degree of freedom."""
    return robot._get(name, range(1), 1, None).as_subclass(torch.Tensor)


def test_inverse_weights_are_refreshed_on_request():
    """As by MuJoCo's mj_setConst; until then they are those of the file's masses."""
    mujoco = pytest.importorskip("mujoco")
    body = (
        '<body name="b" pos="0 0 1"><joint name="j" type="hinge" axis="0 1 0" armature="0.1"/>'
        '<geom name="g" type="capsule" fromto="0 0 0 0.3 0 -0.2" size="0.05" mass="1"/></body>'
    )
    _, robot = scene_of(body=body)
    m = mujoco.MjModel.from_xml_string(BALL.format(body=body, option=""))
    before = m.dof_invweight0.copy()
    robot.set_mass([[1.0], [3.0]])
    robot.set_dofs_armature([[0.1], [0.4]])
    m.body_mass[1] = 3.0
    m.dof_armature[0] = 0.4
    first = held(robot, "dof_invweight")
    assert torch.allclose(first, torch.as_tensor(before).to(first).expand(2, -1))
    robot.refresh_invweights(envs_idx=[1])
    mujoco.mj_setConst(m, mujoco.MjData(m))
    dofs, geoms = held(robot, "dof_invweight"), held(robot, "invweight")
    assert torch.allclose(dofs[0], torch.as_tensor(before).to(dofs))
    assert torch.allclose(dofs[1], torch.as_tensor(m.dof_invweight0).to(dofs), rtol=1e-6)
    assert torch.allclose(geoms[1], torch.as_tensor(m.body_invweight0[1:2, 0]).to(geoms), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "row"),
    [
        ("set_geoms_solref", (0.02, -1.0)),
        ("set_geoms_solref", (-100.0, 1.0)),
        ("set_dofs_limit_solref", (0.0, 1.0)),
        ("set_geoms_solimp", (0.9, 1.1, 0.001, 0.5, 2.0)),
        ("set_geoms_solimp", (0.9, 0.95, -0.001, 0.5, 2.0)),
        ("set_dofs_limit_solimp", (0.9, 0.95, 0.001, 0.5, 0.5)),
    ],
)
def test_setters_refuse_what_has_no_meaning(call, row):
    scene = gs.Scene(rigid_options=gs.options.RigidOptions(contact=gs.options.MujocoContact()))
    robot = scene.add_entity(gs.morphs.Robot(name="pendulum"))
    scene.build()
    rule = "both > 0" if call.endswith("solref") else "power >= 1"
    with pytest.raises(gs.GenesisException, match=f"{call[-6:]}.*{rule}"):
        getattr(robot, call)(torch.tensor(row))
