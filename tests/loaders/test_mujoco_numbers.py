"""What MuJoCo's contact model needs of a file is in the model; inverse weights are computed as MuJoCo does."""

import logging
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from genesis.errors import GenesisValueError
from genesis.loaders import (
    ROBOTS,
    RigidModel,
    agreed,
    candidates,
    check_for_mujoco,
    fuse,
    invweight0,
    lazy_import,
    load_mjcf,
    load_robot,
    numbers_of,
    place,
    primitive,
)
from genesis.loaders.library import FOLDER
from genesis.loaders.mujoco_numbers import TABLES
from tests.loaders.mujoco_files import BODY, EVERYTHING, from_text, load
from tests.loaders.random_trees import random_tree

mujoco = pytest.importorskip("mujoco")
gymnasium = pytest.importorskip("gymnasium")
from tests.loaders.reference import compile_quietly  # noqa: E402

ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
SHIPPED = [FOLDER / f"{name}.xml" for name in ROBOTS]
THEIRS = sorted(ASSETS.glob("*.xml"))


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("path", SHIPPED + THEIRS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_inverse_weights_of_known_robots_equal_mujoco_s(path):
    robot, model = load(path), compile_quietly(path)
    of_bodies, of_dofs = invweight0(robot)
    close(of_bodies, model.body_invweight0[1:])
    close(of_dofs, model.dof_invweight0)
    assert robot.mujoco is not None
    np.testing.assert_array_equal(robot.mujoco.bodies.invweight, model.body_invweight0[1:])
    np.testing.assert_array_equal(robot.mujoco.dofs.invweight, model.dof_invweight0)


@pytest.mark.parametrize("seed", range(40))
def test_inverse_weights_of_random_trees_equal_mujoco_s(seed, tmp_path):
    rng = np.random.default_rng(seed)
    robot, model = from_text(tmp_path, random_tree(rng, 1 + seed % 8, springs=True, limits=True, geoms=True))
    of_bodies, of_dofs = invweight0(robot)
    close(of_bodies, model.body_invweight0[1:])
    close(of_dofs, model.dof_invweight0)
    moved = place(robot, (1.0, -2.0, 0.5), (0.5, 0.5, -0.5, 0.5))
    np.testing.assert_allclose(invweight0(moved)[0], of_bodies, rtol=1e-11)
    np.testing.assert_allclose(invweight0(moved)[1], of_dofs, rtol=1e-11)


SLIDES = '<joint type="slide" axis="1 0 0" armature=".7"/><joint type="slide" axis="{}" armature=".3"/>'
BOX = '<geom type="box" size=".3 .2 .1" mass="2" {}/>'


@pytest.mark.parametrize(
    "inside",
    [
        SLIDES.format("0 1 0") + BOX.format(""),
        SLIDES.format("1 1 0") + BOX.format(""),
        SLIDES.format("0 1 0") + BOX.format('pos=".3 0 0"'),
        SLIDES.format("0 1 0") + BOX.format("") + f"<body>{BOX.format('')}</body>",
        SLIDES.format("0 1 0").replace("axis", 'pos=".1 0 0" axis') + BOX.format(""),
        '<joint armature=".7"/>' + BOX.format(""),
    ],
)
def test_bodies_that_can_only_slide_or_only_turn(inside, tmp_path):
    """MuJoCo leaves out the armature of those that slide along their principal axes."""
    text = f'<mujoco><worldbody><body pos="0 0 1"><body>{inside}</body></body></worldbody></mujoco>'
    robot, model = from_text(tmp_path, text)
    of_bodies, of_dofs = invweight0(robot)
    close(of_bodies, model.body_invweight0[1:])
    close(of_dofs, model.dof_invweight0)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(
    ("kind", "size"), [("sphere", (0.3,)), ("capsule", (0.1, 0.4)), ("box", (0.1, 0.2, 0.3)), ("cylinder", (0.2, 0.3))]
)
def test_numbers_of_shapes_equal_mujoco_s(kind, size, fixed, tmp_path):
    robot = primitive(kind, size, mass=3.0, friction=1.0, fixed=fixed)
    joint = "" if fixed else "<freejoint/>"
    text = (
        f'<mujoco><worldbody><body>{joint}<geom type="{kind}" size="{" ".join(map(str, size))}" mass="3"/>'
        "</body></worldbody></mujoco>"
    )
    file, model = from_text(tmp_path, text)
    ours, theirs = numbers_of(robot), numbers_of(file)
    assert robot.mujoco is None and theirs is file.mujoco
    close(ours.bodies.invweight, model.body_invweight0[1:])
    close(ours.dofs.invweight, model.dof_invweight0)
    for table in TABLES:
        for each in fields(getattr(theirs, table)):
            if each.name not in ("quat", "inertia", "box"):  # MuJoCo sorts the principal axes
                mine, other = getattr(getattr(ours, table), each.name), getattr(getattr(theirs, table), each.name)
                np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-15, err_msg=each.name)
    np.testing.assert_allclose(np.sort(ours.bodies.box), np.sort(theirs.bodies.box), rtol=1e-12)
    assert robot.geoms[0].contact == file.geoms[0].contact
    check_for_mujoco(robot)


@pytest.mark.parametrize("name", ROBOTS)
def test_numbers_of_a_model_without_a_record_are_its_own(name):
    robot = load_robot(name)
    ours, theirs = numbers_of(replace(robot, mujoco=None)), numbers_of(robot)
    close(ours.dofs.invweight, theirs.dofs.invweight)
    own = [np.flatnonzero(theirs.bodies.link == link)[0] for link in range(robot.n_links)]
    if len(theirs.bodies) == robot.n_links:  # else merged bodies have centres of mass of their own
        close(ours.bodies.invweight, theirs.bodies.invweight[own])
    for column in ("limited", "range", "stiffness"):
        np.testing.assert_array_equal(getattr(ours.joints, column), getattr(theirs.joints, column))
    np.testing.assert_array_equal(ours.actuators.joint, theirs.actuators.joint)
    np.testing.assert_array_equal(ours.actuators.control_range, theirs.actuators.control_range)
    scaled = [table.gear * table.gain[:, :1] for table in (ours.actuators, theirs.actuators)]
    np.testing.assert_allclose(*scaled, rtol=1e-14)
    np.testing.assert_array_equal(ours.qpos_spring, theirs.qpos_spring)


def test_neither_shipped_robots_nor_shapes_need_mujoco():
    program = (
        "import sys; sys.modules['mujoco'] = None; from genesis import loaders as l; "
        "robot = l.fuse([l.load_robot('ant'), l.primitive('box', (1, 1, 1), 1.0, 0.5)]); l.check_for_mujoco(robot); "
        "print(len(l.numbers_of(robot).dofs), len(list(l.candidates(robot))), l.invweight0(robot)[0].shape)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=FOLDER.parents[2])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-4:-2] == ["20", str(len(list(candidates(_ant_and_box()))))]


def _ant_and_box():
    return fuse([load_robot("ant"), primitive("box", (1, 1, 1), 1.0, 0.5)])


def test_everything_of_a_file_is_there(tmp_path):
    robot, model = from_text(tmp_path, EVERYTHING)
    numbers = numbers_of(robot)
    (options,) = numbers.options
    assert (options.timestep, options.integrator, options.cone, options.solver) == (
        0.004,
        "implicitfast",
        "elliptic",
        "CG",
    )
    assert (options.impratio, options.iterations, options.tolerance, options.ls_iterations) == (3, 7, 1e-9, 11)
    assert (options.gravity, options.wind) == ((0, 1, -5), (1, 2, 3))
    assert (options.density, options.viscosity) == (1.2, 0.1)
    assert not (options.refsafe or options.eulerdamp or options.warmstart or options.filterparent)
    bodies = numbers.bodies
    assert bodies.link.tolist() == [0, 0, 1, 2, 3]
    assert bodies.parent.tolist() == [-1, 0, 0, 2, -1] and bodies.weld.tolist() == [0, 0, 2, 3, 4]
    np.testing.assert_array_equal(bodies.pos[1], (0, 0, 0.2))
    np.testing.assert_array_equal(bodies.inertia, model.body_inertia[1:])
    joints = numbers.joints
    assert joints.limited.tolist() == [False, True, True, True]
    for ours, theirs in (
        (joints.range[1:], model.jnt_range[1:]),
        (joints.margin, model.jnt_margin),
        (joints.solref, model.jnt_solref),
        (joints.solimp, model.jnt_solimp),
        (joints.stiffness, (3, 4, 5, 0)),
        (joints.force_range[2], (-4, 6)),
        (numbers.dofs.frictionloss, model.dof_frictionloss),
        (numbers.dofs.solref, model.dof_solref),
        (numbers.dofs.solimp, model.dof_solimp),
        (numbers.qpos_spring, model.qpos_spring),
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert np.isinf(joints.force_range[[0, 1, 3]]).all() and numbers.dofs.frictionloss[0] == 0.2
    contact = robot.geoms[0].contact
    assert (contact.condim, contact.torsional, contact.rolling, contact.margin) == (4, 0.02, 0.003, 0.03)
    assert (contact.gap, contact.solref, contact.solimp) == (0.01, (-200, -10), (0, 0.9, 0.02, 0.6, 1))
    assert (contact.solmix, contact.priority, robot.geoms[0].group, robot.geoms[0].mask) == (2.5, 3, 5, 6)
    assert [ground.contact.condim for ground in robot.grounds] == [6, 3]
    assert [ground.contact.margin for ground in robot.grounds] == [0.01, 0]
    assert (robot.grounds[1].contact.gap, robot.grounds[1].contact.base) == (0.02, 0.25)
    assert (
        numbers.geom_body.tolist() == [0, 1, 2, 3, 4]
        and numbers.excluded.tolist() == [[1, 4]]
        or (numbers.excluded.tolist() == [[4, 1]])
    )
    actuators = numbers.actuators
    assert numbers.actuator_names == ("plain", "vector", "six", "sum", "exact")
    assert actuators.joint.tolist() == [2, 1, 0, 3, 3] and actuators.activation.tolist() == [0, 2, 0, 1, 3]
    assert actuators.gain.tolist() == [[1, 2, 3], [1, 0, 0], [1, 0, 0], [1, 0, 0], [2, 0, 0]]
    assert actuators.bias.tolist() == [[4, 5, 6]] + [[0, 0, 0]] * 4
    assert actuators.act.tolist() == [-1, 0, -1, 1, 2] and actuators.time.tolist() == [1, 0.3, 1, 1, 0.2]
    assert actuators.early.tolist() == [False, True, False, False, False] and numbers.n_activations == 3
    assert actuators.control_range[0].tolist() == [-1, 2] and actuators.force_range[0].tolist() == [-3, 4]
    assert actuators.activation_range[1].tolist() == [-1, 3] and np.isinf(actuators.activation_range[2:]).all()
    np.testing.assert_array_equal(actuators.gear, model.actuator_gear)


def equal(one, two):
    for table in TABLES:
        for each in fields(getattr(one, table)):
            np.testing.assert_array_equal(*(getattr(getattr(record, table), each.name) for record in (one, two)))
    for name in ("qpos_spring", "geom_body", "excluded"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    for name in ("options", "actuator_names", "unsupported"):
        assert getattr(one, name) == getattr(two, name)


def test_the_record_is_archived_whole(tmp_path):
    robot, _ = from_text(tmp_path, EVERYTHING)
    robot = replace(robot, mujoco=replace(numbers_of(robot), unsupported=(("tendon", "cord"),)))
    robot.save(tmp_path / "robot.npz")
    again = RigidModel.load(tmp_path / "robot.npz")
    equal(robot.mujoco, again.mujoco)
    assert [part.contact for part in robot.geoms] == [part.contact for part in again.geoms]
    assert [part.contact for part in robot.grounds] == [part.contact for part in again.grounds]
    ball = primitive("sphere", (0.1,), 1.0, 0.5)
    ball.save(tmp_path / "ball.npz")
    assert RigidModel.load(tmp_path / "ball.npz").mujoco is None


@pytest.mark.parametrize("name", ROBOTS)
def test_shipped_robots_carry_the_record(name):
    shipped, compiled = load_robot(name), load(FOLDER / f"{name}.xml")
    assert shipped.mujoco is not None
    np.testing.assert_allclose(shipped.mujoco.bodies.invweight, compiled.mujoco.bodies.invweight, rtol=1e-12)
    assert shipped.mujoco.options == compiled.mujoco.options
    check_for_mujoco(shipped)


def test_switches_of_a_file_act_on_its_numbers(tmp_path):
    text = EVERYTHING.replace("<flag ", '<flag limit="disable" frictionloss="disable" spring="disable" ')
    text = text.replace('wind="1 2 3"', "").replace("<flag ", '<flag gravity="disable" clampctrl="disable" ')
    numbers = numbers_of(from_text(tmp_path, text)[0])
    assert not numbers.joints.limited.any() and not numbers.joints.stiffness.any()
    assert not numbers.dofs.frictionloss.any() and numbers.options[0].gravity == (0, 0, 0)
    assert np.isinf(numbers.actuators.control_range).all() and np.isfinite(numbers.actuators.force_range[0]).all()


def test_the_record_of_several_models_is_that_of_a_file_that_holds_them_all(tmp_path):
    """Which MuJoCo compiles; bodies from shapes among them."""
    first = '<body name="a"><freejoint/><geom size=".1"/>{}</body>'
    first = first.format('<body name="a2" pos="0 0 1"><joint/><geom size=".1"/></body>')
    second = (
        '<body name="b" pos="1 0 0"><joint name="h" type="slide" range="-1 2"/><geom size=".2"/>'
        '<body name="w"><geom type="box" size=".1 .1 .1"/></body></body>'
    )
    ball = '<body name="c"><freejoint/><geom size=".3" mass="2"/></body>'
    motors = '<actuator><general joint="{}" dyntype="integrator"/></actuator>'
    wrap = "<mujoco><compiler autolimits='true'/><worldbody>{}</worldbody>{}</mujoco>"
    parts = [
        from_text(tmp_path, wrap.format(first, ""))[0],
        primitive("sphere", (0.3,), 2.0, 1.0),
        from_text(tmp_path, wrap.format(second, motors.format("h") + motors.format("h")))[0],
    ]
    whole, _ = from_text(tmp_path, wrap.format(first + ball + second, motors.format("h") + motors.format("h")))
    fused = numbers_of(fuse(parts, excluded=[(0, 3)]))
    theirs = numbers_of(whole)
    for table in TABLES:
        for each in fields(getattr(theirs, table)):
            ours = getattr(getattr(fused, table), each.name)
            np.testing.assert_allclose(ours, getattr(getattr(theirs, table), each.name), rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(fused.geom_body, theirs.geom_body)
    assert fused.excluded.tolist() == [[0, 3], [0, 4]]
    assert [options.source for options in fused.options] == ["model", "model"]


def test_files_that_disagree_are_refused_naming_both_values(tmp_path):
    options = numbers_of(from_text(tmp_path, EVERYTHING)[0]).options[0]
    other = replace(options, source="other", impratio=1.0)
    assert agreed([], "impratio", 5.0) == 5.0 and agreed([options, other], "cone", None) == "elliptic"
    with pytest.raises(GenesisValueError, match=r"impratio must be the same .*got 3.0 of 'model' and 1.0 of 'other'"):
        agreed([options, other], "impratio", 5.0)
    with pytest.raises(GenesisValueError, match="density must be the same .* Change one of the files"):
        agreed([options, replace(options, density=0.0)], "density", 0.0)


WRAPPED = (
    '<worldbody><site name="p" pos="1 0 0"/><site name="q" pos="-1 0 1"/></worldbody>'
    '<tendon><spatial name="t"><site site="p"/><geom geom="g"/><site site="q"/></spatial></tendon>'
)
FIXED = '<tendon><fixed name="t" {}><joint joint="j" coef="1"/></fixed></tendon>'
FILTER = '<actuator><general name="f" joint="j" dyntype="filter" dynprm="1"/></actuator>'
WRONG = [
    ('<option><flag actuation="disable"/></option>' + BODY + FILTER, "flag: actuation disabled"),
    ('<option actuatorgroupdisable="0"/>' + BODY + FILTER, "flag: actuator groups disabled"),
    ('<option o_friction="1 2 .1 .1 .1"><flag override="enable"/></option>' + BODY, "flag: override enabled"),
    ('<option noslip_iterations="3"/>' + BODY, "noslip: 3 iterations"),
    (BODY.replace("{geom}", 'fluidshape="ellipsoid"'), r"fluid: g \(fluidshape ellipsoid\)"),
    (BODY + WRAPPED, r"tendon: t \(wraps around a geom\)"),
    (BODY + WRAPPED + '<equality><tendon name="e" tendon1="t"/></equality>', r"equality: e"),
    (BODY + WRAPPED + '<actuator><motor name="m" tendon="t"/></actuator>', "transmission: m"),
    (BODY + WRAPPED.replace('<geom geom="g"/>', "").replace('name="t"', 'name="t" armature="1"'), "armature between"),
    (BODY + FIXED.format('stiffness="1 2"'), r"tendon: t \(springs or dampers that are not linear\)"),
    (BODY + FIXED.format('solreflimit="1 -1"'), r"solref of the limits of tendon 0 of model must .*got \(1.0, -1.0\)"),
    (BODY + FIXED.format('frictionloss="-1"'), "frictionloss of tendon 0 of model must be finite and >= 0, got -1"),
    (
        BODY.replace("{joint}", 'actuatorgravcomp="true" actuatorfrcrange="-1 1"').replace('"b"', '"b" gravcomp="1"'),
        "gravcomp: j .within the range",
    ),
    (BODY + '<actuator><muscle name="m" joint="j" lengthrange="0 1"/></actuator>', "activation: m"),
    (BODY.replace("{joint}", 'stiffness="1 2"'), "nonlinear: j"),
    (BODY.replace("{geom}", 'solmix="-1"'), "solmix of geom 'g' of model must be finite and >= 0, got -1"),
    (BODY.replace("{geom}", 'solref="1 -1"'), r"solref of geom 'g' of model must .*got \(1.0, -1.0\)"),
    (BODY.replace("{joint}", 'frictionloss="-1"'), "frictionloss of joint 'j' of model must be finite and >= 0"),
    ('<option impratio="-1"/>' + BODY, "impratio of model must be finite and > 0, got -1"),
    (BODY + '<actuator><general name="f" joint="j" dyntype="filter" dynprm="-1"/></actuator>', "time constant of act"),
]


@pytest.mark.parametrize(("inside", "told"), WRONG)
def test_what_cannot_be_simulated_is_refused_by_name(inside, told, tmp_path):
    more = '<worldbody><geom name="h" size=".1" pos="3 0 0"/></worldbody>'
    text = f"<mujoco>{inside.replace('{joint}', '').replace('{geom}', '')}{more}</mujoco>"
    with pytest.raises(GenesisValueError, match=told):
        from_text(tmp_path, text)


def test_a_model_of_the_compliant_kind_is_judged_when_it_is_used(tmp_path):
    inside = BODY.format(joint="", geom="") + FIXED.format("")
    (tmp_path / "idle.xml").write_text(f"<mujoco>{inside}</mujoco>")
    with pytest.raises(GenesisValueError, match="tendon: t"):
        load_mjcf(tmp_path / "idle.xml", cache=False)
    load(tmp_path / "idle.xml")
    (tmp_path / "slip.xml").write_text(
        f'<mujoco><option noslip_iterations="3"/>{BODY.format(joint="", geom="")}</mujoco>'
    )
    robot = load_mjcf(tmp_path / "slip.xml", cache=False)
    with pytest.raises(GenesisValueError, match=r"slip must hold .* got noslip: 3 iterations\. .*allow"):
        check_for_mujoco(robot)
    check_for_mujoco(load(tmp_path / "slip.xml", allow=["noslip"]))


def test_a_record_of_other_parts_is_refused(tmp_path):
    robot, _ = from_text(tmp_path, EVERYTHING)
    with pytest.raises(GenesisValueError, match="record `mujoco` of model must be that of its 4 geoms, got 5"):
        check_for_mujoco(replace(robot, geoms=robot.geoms[1:]))
    check_for_mujoco(replace(robot, geoms=robot.geoms[1:], mujoco=None))


def test_another_version_of_mujoco_is_told_once(monkeypatch, caplog):
    monkeypatch.setattr(lazy_import, "mujoco_version", lambda: "3.14.2")
    with caplog.at_level(logging.WARNING, logger="genesis"):
        lazy_import.warn_of_other_version()
        lazy_import.warn_of_other_version()
    assert [message for message in caplog.messages if "must be 4.0.x" in message and "got 3.14.2" in message]
    assert len(caplog.messages) == 1
    caplog.clear()
    monkeypatch.setattr(lazy_import, "mujoco_version", lambda: "4.0.3")
    lazy_import.warn_of_other_version()
    assert not caplog.messages
