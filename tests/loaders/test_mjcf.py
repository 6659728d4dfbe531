"""MJCF files: what is translated, against MuJoCo's own forces; what is refused, by name."""

import inspect
import logging
import re
import sys
from importlib import metadata
from pathlib import Path

import mujoco
import numpy as np
import pytest

from genesis.errors import GenesisImportError, GenesisTypeError, GenesisValueError
from genesis.loaders import link_jacobians, load_mjcf, mujoco_refusals, rotations
from genesis.loaders.refusals import WHEN_ALLOWED

CUBE = '"-1 -1 -1 1 -1 -1 -1 1 -1 1 1 -1 -1 -1 1 1 -1 1 -1 1 1 1 1 1 0 0 0 .5 .2 .1"'  # and two points inside


@pytest.fixture
def load(tmp_path):
    """Loads MJCF from the inside of <mujoco>."""

    def load_text(inside, **settings):
        path = tmp_path / "robot.xml"
        path.write_text(f"<mujoco>{inside}</mujoco>")
        return load_mjcf(path, cache=False, **settings)

    return load_text


def arm(joint="", geom="", more="", actuator="", tail=""):
    """Two links on hinges."""
    return (
        f'<worldbody><body name="upper"><joint name="shoulder" axis="0 1 0" {joint}/>'
        f'<geom name="bone" type="capsule" size=".05 .2" pos="0 0 -.2" {geom}/>{more}'
        '<body name="lower" pos="0 0 -.4"><joint name="elbow" axis="0 1 0"/><geom name="hand" size=".05"/></body>'
        f"</body></worldbody><actuator>{actuator}</actuator>{tail}"
    )


FLOATING = (
    '<worldbody><body name="b" {body}><freejoint name="root"/><geom name="g" size=".1" {geom}/></body></worldbody>'
)

REFUSED = {
    "tendon": arm(tail='<tendon><fixed name="cord"><joint joint="elbow" coef="1"/></fixed></tendon>'),
    "equality": arm(tail='<equality><joint name="gears" joint1="elbow" joint2="shoulder"/></equality>'),
    "pair": arm(tail='<contact><pair name="touch" geom1="bone" geom2="hand"/></contact>'),
    "flex": '<worldbody><body name="b"><flexcomp name="cloth" type="grid" count="3 3 1" radius=".01" dim="2"/></body>'
    "</worldbody>",
    "mocap": arm() + '<worldbody><body name="puppet" mocap="true"><geom name="p" size=".1"/></body></worldbody>',
    "gravcomp": FLOATING.format(body='gravcomp="1"', geom=""),
    "fluid": '<option density="1.2"/>' + arm(),
    "flag": '<option><flag contact="disable" gravity="disable"/></option>' + arm(),
    "frictionloss": arm(joint='frictionloss="1"'),
    "ball_limit": '<worldbody><body><joint name="socket" type="ball" range="0 30" limited="true"/><geom size=".1"/>'
    "</body></worldbody>",
    "free_spring": '<worldbody><body><joint name="root" type="free" stiffness="1"/><geom size=".1"/></body>'
    "</worldbody>",
    "margin": arm(geom='margin="0.01"'),
    "condim": arm(geom='condim="1"'),
    "activation": arm(actuator='<muscle name="biceps" joint="elbow" lengthrange=".1 1"/>'),
    "transmission": arm(more='<site name="tip"/>', actuator='<motor name="rocket" site="tip"/>'),
    "actuator": arm(actuator='<damper name="brake" joint="elbow" kv="1" ctrlrange="0 1"/>'),
}


@pytest.mark.parametrize("category", REFUSED)
def test_unsupported_elements_are_refused_by_name_and_can_be_allowed(category, load, caplog):
    names = {"flex": "flex 0", "margin": "bone", "condim": "bone", "flag": "contact disabled, gravity disabled"}
    names |= {"mocap": "puppet", "gravcomp": "b", "fluid": "density", "frictionloss": "shoulder", "pair": "touch"}
    names |= {"tendon": "cord", "equality": "gears", "activation": "biceps", "transmission": "rocket"}
    names |= {"ball_limit": "socket", "free_spring": "root", "actuator": "brake"}
    allow = [category, "equality"] if category == "flex" else [category]  # a cloth pins itself
    with pytest.raises(GenesisValueError, match=f"got .*{category}: {names[category]}.*allow="):
        load(REFUSED[category])
    if category == "flex":
        return  # its points are joints of the robot: what is left is no robot
    with caplog.at_level(logging.WARNING, logger="genesis"):
        robot = load(REFUSED[category], allow=allow)
    assert robot.n_dofs and any(f"{category} ({names[category]}" in message for message in caplog.messages)
    assert not robot.actuators


def test_all_refusals_are_listed_at_once(load):
    text = arm(
        joint='frictionloss="1"',
        geom='condim="1" margin="0.1"',
        actuator='<muscle name="biceps" joint="elbow" lengthrange=".1 1"/>',
    )
    with pytest.raises(GenesisValueError) as caught:
        load(text)
    told = str(caught.value)
    assert all(
        word in told for word in ("frictionloss: shoulder", "condim: bone", "margin: bone", "activation: biceps")
    )
    assert "allow=('activation', 'condim', 'frictionloss', 'margin')" in told


def test_allowing_one_thing_does_not_allow_another(load):
    with pytest.raises(GenesisValueError, match=r"got margin: bone\."):
        load(arm(geom='condim="1" margin="0.1"'), allow=["condim"])


def test_docs_list_all_that_mujocos_contact_model_is_refused_for():
    """By the names to allow, which the source yields with each refusal."""
    page = Path(__file__).parents[2].joinpath("docs/rigid.md").read_text()
    table = re.search(r"\n\| of \| what \| `allow` \|\n(.*?)\n\n", page, re.DOTALL)
    assert table
    listed = {name for line in table[1].splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[3])}
    source = inspect.getsource(mujoco_refusals)
    refused = set(re.findall(r'(?:yield|return) "(\w+)"|\("(\w+)", model\.n(?:flex|plugin)', source))
    names = {"".join(each) for each in refused}
    assert len(names) > 15 and listed == names <= set(WHEN_ALLOWED)


def test_names_to_allow_are_checked(load):
    with pytest.raises(GenesisValueError, match="got muscles. Valid ones: activation, actuator"):
        load(arm(), allow=["muscles"])
    with pytest.raises(GenesisTypeError, match="allow must be a sequence of names, got 'tendon'"):
        load(arm(), allow="tendon")


@pytest.mark.skipif(not hasattr(mujoco.MjModel, "jnt_stiffnesspoly"), reason="this MuJoCo has linear springs only")
def test_nonlinear_springs_are_refused(load):
    with pytest.raises(GenesisValueError, match="nonlinear: shoulder"):
        load(arm(joint='stiffness="1 2"'))
    with pytest.raises(GenesisValueError, match="nonlinear: shoulder"):
        load(arm(joint='damping="1 2"'))
    assert load(arm(joint='stiffness="1 2"'), allow=["nonlinear"]).stiffness[0] == 1


def test_what_only_looks_or_measures_is_left_out_without_a_word(load, caplog):
    looks = (
        '<asset><texture name="sky" builtin="flat" type="skybox" width="8" height="8"/><material name="m"/></asset>'
        '<sensor><jointpos joint="elbow"/></sensor><keyframe><key qpos="1 1"/></keyframe>'
    )
    seen = '<camera/><light/><geom name="paint" size="1" contype="0" conaffinity="0" condim="1" mass="0"/>'
    with caplog.at_level(logging.WARNING, logger="genesis"):
        robot = load(arm(more=seen) + looks)
    assert [geom.name for geom in robot.geoms] == ["bone", "hand"] and not caplog.messages


def test_gravity_of_the_file_is_told(load, caplog):
    with caplog.at_level(logging.WARNING, logger="genesis"):
        load('<option gravity="0 0 -1.6"/>' + arm())
    assert any("gravity" in message for message in caplog.messages)


ACTUATORS = {
    "motor": '<motor name="a" joint="elbow" gear="7" ctrlrange="-1 1"/>',
    "strong motor": '<motor name="a" joint="elbow" gear="-7" forcerange="-.1 .2"/>',
    "position": '<position name="a" joint="elbow" gear="2" kp="30" kv="4" forcerange="-5 3"/>',
    "velocity": '<velocity name="a" joint="elbow" gear="3" kv="4"/>',
    "general force": '<general name="a" joint="elbow" gear="3" gainprm="5"/>',
    "general position": '<general name="a" joint="elbow" gainprm="50" biastype="affine" biasprm="0 -50 -2"/>',
    "two": '<position name="a" joint="elbow" kp="30"/><velocity name="b" joint="elbow" kv="4"/>',
    "two motors": '<motor name="a" joint="elbow" gear="7"/><motor name="b" joint="elbow" gear="3"/>',
}


def forces(robot, controls, q, v):
    """The law that `Actuator` and `RigidModel` document; hinges."""
    total = np.zeros(robot.n_dofs)
    for actuator, control in zip(robot.actuators, controls, strict=True):
        dof, gear = actuator.dof, actuator.gear
        control = np.clip(control, actuator.low, actuator.high)
        if actuator.kind == "force":
            total[dof] += gear * control
        elif actuator.kind == "position":
            total[dof] += gear * (actuator.kp * (control - gear * q[dof]) - actuator.kv * gear * v[dof])
        else:
            total[dof] += gear * actuator.kv * (control - gear * v[dof])
    return np.clip(total, robot.force_low, robot.force_high)


@pytest.mark.parametrize("kind", ACTUATORS)
def test_actuators_push_as_mujoco_s_do(kind, load):
    for joint in ("", 'actuatorfrcrange="-2 2"'):
        text = arm(actuator=ACTUATORS[kind]).replace('name="elbow"', f'name="elbow" {joint}', 1)
        robot = load(text)
        model = mujoco.MjModel.from_xml_string(f"<mujoco>{text}</mujoco>")
        data = mujoco.MjData(model)
        rng = np.random.default_rng(0)
        for _ in range(10):
            data.qpos[:], data.qvel[:] = rng.normal(size=(2, 2))
            data.ctrl[:] = rng.normal(size=model.nu)
            mujoco.mj_forward(model, data)
            ours = forces(robot, data.ctrl, data.qpos, data.qvel)
            np.testing.assert_allclose(ours, data.qfrc_actuator, atol=1e-12)


def test_gains_per_degree_of_freedom(load):
    robot = load(arm(actuator=ACTUATORS["position"]))
    kp, kv = robot.dof_gains()
    np.testing.assert_allclose((kp, kv), ([0, 120], [0, 16]))


@pytest.mark.parametrize(
    ("actuators", "reason"),
    [
        ('<motor joint="elbow"/><motor name="x" joint="elbow" forcerange="-1 1"/>', "range of force"),
        ('<position joint="elbow" kp="1"/><position name="x" joint="elbow" kp="2"/>', "second position"),
        ('<position joint="elbow" kp="1" kv="1"/><velocity name="x" joint="elbow" kv="2"/>', "both damp"),
        ('<general name="x" joint="elbow" gainprm="1" biastype="affine" biasprm="1 -1 0"/>', "x"),
        ('<general name="x" joint="elbow" gainprm="2" biastype="affine" biasprm="0 -1 0"/>', "x"),
    ],
)
def test_actuators_that_one_joint_cannot_have(actuators, reason, load):
    with pytest.raises(GenesisValueError, match=f"actuator: x.*{reason}" if reason != "x" else "actuator: x"):
        load(arm(actuator=actuators))


def test_an_actuator_on_one_axis_of_a_ball(load):
    text = (
        '<worldbody><body><joint name="socket" type="ball"/><geom size=".1"/></body></worldbody>'
        '<actuator><motor name="twist" joint="socket" gear="0 0 4"/></actuator>'
    )
    (actuator,) = load(text).actuators
    assert (actuator.dof, actuator.gear) == (2, 4)
    with pytest.raises(GenesisValueError, match="transmission: twist"):
        load(text.replace("0 0 4", "1 0 4"))


def test_every_shape(load):
    shapes = (
        '<geom type="sphere" size=".1"/><geom type="capsule" size=".1 .2"/><geom type="box" size=".1 .2 .3"/>'
        '<geom type="cylinder" size=".1 .2"/><geom type="ellipsoid" size=".1 .2 .3"/><geom type="mesh" mesh="cube"/>'
    )
    robot = load(
        f'<asset><mesh name="cube" vertex={CUBE} scale=".1 .1 .1"/></asset>'
        f"<worldbody><body><freejoint/>{shapes}</body></worldbody>"
    )
    kinds = ["sphere", "capsule", "box", "cylinder", "ellipsoid", "hull"]
    sizes = [(0.1, 0, 0), (0.1, 0.2, 0), (0.1, 0.2, 0.3), (0.1, 0.2, 0), (0.1, 0.2, 0.3), (0, 0, 0)]
    assert [geom.kind for geom in robot.geoms] == kinds
    assert [geom.size for geom in robot.geoms] == sizes
    hull = robot.geoms[-1]
    corners = hull.vertices @ rotations.matrix(np.array(hull.quat)).T + hull.pos
    expected = 0.1 * np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, -1).T
    assert corners.shape == (8, 3)
    np.testing.assert_allclose(corners[np.lexsort(corners.T.round(6))], expected[np.lexsort(expected.T)], atol=1e-7)


def test_bodies_fixed_to_the_world_stay_links(load):
    robot = load(
        '<worldbody><geom name="wall" type="box" size="1 .1 1" pos="0 2 0"/>'
        '<body name="table" pos="1 0 0"><geom name="top" type="box" size=".5 .5 .1"/>'
        '<body name="stand" pos="0 0 .2" quat="0 0 0 1"><body name="arm" pos="0 0 .3"><joint/>'
        '<geom name="a" size=".1"/></body></body></body></worldbody>'
    )
    assert robot.link_names == ("world", "table", "stand", "arm")
    assert robot.parent.tolist() == [-1, -1, 1, 2] and robot.moving.tolist() == [False, False, False, True]
    assert [(geom.name, geom.link) for geom in robot.geoms] == [("wall", 0), ("top", 1), ("a", 3)]
    np.testing.assert_allclose(link_jacobians(robot)[0], [[0, 0, 0], [1, 0, 0], [1, 0, 0.2], [1, 0, 0.5]])
    assert (2, 3) in robot.excluded


def test_planes_are_grounds(load):
    robot = load(
        '<worldbody><geom name="floor" type="plane" size="5 5 1" pos="0 0 -1" euler="0 90 0" friction=".4"/>'
        '<body name="ball"><freejoint/><geom size=".1"/></body></worldbody>'
    )
    (floor,) = robot.grounds
    assert (floor.kind, floor.pos, floor.friction, floor.group) == ("plane", (0, 0, -1), 0.4, 1)
    np.testing.assert_allclose(floor.normal, (1, 0, 0), atol=1e-12)
    assert robot.link_names == ("ball",) and [geom.link for geom in robot.geoms] == [0]


def test_height_fields_are_grounds(load):
    """Rays from above meet MuJoCo's surface where our heights stand."""
    rows = " ".join(str(value) for value in (0, 1, 2, 4, 3, 1, 5, 0, 7, 2, 6, 1))  # three of four
    text = (
        f'<asset><hfield name="hills" nrow="3" ncol="4" elevation="{rows}" size="3 2 .8 1"/></asset>'
        '<worldbody><body name="land" pos="1 2 3"><geom name="hills" type="hfield" hfield="hills" contype="2"/></body>'
        '<body name="ball" pos="0 0 50"><freejoint/><geom size=".1"/></body></worldbody>'
    )
    (hills,) = load(text).grounds
    assert (hills.kind, hills.spacing, hills.group, hills.heights.shape) == ("heightfield", 2, 2, (4, 3))
    model = mujoco.MjModel.from_xml_string(f"<mujoco>{text}</mujoco>")
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for (i, j), height in np.ndenumerate(hills.heights):
        above = np.array(hills.pos) + (2 * i, 2 * j, 10)
        above[:2] += 1e-6 * (np.array([1.0, 2.0]) - above[:2])  # a ray at the very edge may pass by
        distance = mujoco.mj_ray(model, data, above, np.array([0.0, 0.0, -1.0]), None, 1, -1, np.zeros(1, np.int32))
        assert 10 - distance == pytest.approx(height, abs=1e-4)
    with pytest.raises(GenesisValueError, match="'hills' of .* must be upright with equal spacing"):
        load(text.replace("3 2 .8 1", "3 3 .8 1"))


def test_exclusions(load):
    bodies = (
        '<worldbody><body name="a"><freejoint/><geom size=".1"/><body name="a2"><geom size=".1"/></body></body>'
        '<body name="b"><freejoint/><geom size=".1"/></body><body name="c"><freejoint/><geom size=".1"/></body>'
        "</worldbody>"
    )
    both = '<exclude body1="b" body2="a"/><exclude body1="a2" body2="b"/><exclude body1="b" body2="c"/>'
    assert load(f"{bodies}<contact>{both}</contact>").excluded == {(0, 1), (1, 2)}
    with pytest.raises(GenesisValueError, match="exclude: half"):
        load(f'{bodies}<contact><exclude name="half" body1="a2" body2="b"/></contact>')


def test_exclusions_from_the_ground_are_refused(load):
    text = '<worldbody><geom type="plane" size="1 1 1"/></worldbody>' + arm()
    with pytest.raises(GenesisValueError, match=r"exclude: air \(with the ground\)"):
        load(text + '<contact><exclude name="air" body1="world" body2="lower"/></contact>')


def test_parents_and_children_touch_if_the_file_says_so(load):
    assert load(arm()).excluded == {(0, 1)}
    assert not load('<option><flag filterparent="disable"/></option>' + arm()).excluded


def test_sites_and_merged_bodies_have_aliases(load):
    robot = load(
        '<worldbody><site name="home" pos="1 1 1"/><body name="a" pos="0 0 1"><freejoint/><geom size=".1"/>'
        '<site name="b" pos="0 0 2"/><body name="b" pos="0 1 0" quat="0 1 0 0"><geom size=".1"/>'
        '<site name="s" pos="0 0 1"/></body></body></worldbody>'
    )
    assert robot.link_names == ("a",)
    assert robot.aliases["home"] == (-1, (1, 1, 1), (1, 0, 0, 0))
    assert robot.aliases["b"] == (0, (0, 1, 0), (0, 1, 0, 0))
    assert robot.aliases["site/b"] == (0, (0, 0, 2), (1, 0, 0, 0))
    np.testing.assert_allclose(robot.aliases["s"][1], (0, 1, -1))


def test_a_free_base_can_be_fixed(load):
    text = (
        '<worldbody><body name="base" pos="0 0 1"><freejoint/><geom size=".1"/><body name="arm"><joint/>'
        '<geom size=".1"/></body></body></worldbody><keyframe><key qpos="0 0 1 1 0 0 0 0"/></keyframe>'
    )
    assert load(text).n_dofs == 7
    robot = load(text, fixed=True)
    assert [joint.link for joint in robot.joints] == [1] and robot.parent.tolist() == [-1, 0]


def test_fused_bodies_keep_their_names_whatever_the_compiler_says(load):
    text = FLOATING.format(body="", geom="").replace("</body>", '<body name="hat"><geom size=".1"/></body></body>')
    assert "hat" in load('<compiler fusestatic="true"/>' + text).aliases


@pytest.mark.parametrize(
    ("inside", "told"),
    [
        ("<worldbody><body><freejoint/></body></worldbody>", "mass and inertia of moving bodies"),
        (arm(joint='range="2 1" limited="true"'), "range"),
        (arm(joint='range="nan 1" limited="true"'), "range of joint 'shoulder' of .* must have low < high, got nan"),
        (arm(joint='range="2 1"'), "range of joint 'shoulder' of .* must have low < high, got 2 and 1"),
        (arm(actuator='<motor name="m" joint="elbow" ctrlrange="2 1"/>'), "range of control of actuator 'm'"),
        (arm(actuator='<motor name="m" joint="elbow" forcerange="2 1"/>'), "range of force of actuator 'm'"),
        (arm(joint='actuatorfrcrange="2 1"'), "range of force of joint 'shoulder'"),
        (arm(more='<inertial mass="nan" pos="0 0 0" diaginertia="1 1 1"/>'), "mass and inertia of moving bodies"),
        (arm(more='<inertial mass="1" pos="0 0 0" diaginertia="1 1 5"/>'), "balanceinertia"),
        ("<worldbody/>", "must hold bodies, got none"),
        ('<worldbody><geom type="plane" size="1 1 1"/></worldbody>', "must hold bodies, got none"),
        ("<worldbody><body>", "XML"),
        ("<nonsense/>", "nonsense"),
        ('<include file="gone.xml"/>', "gone.xml"),
    ],
)
def test_models_that_are_wrong(inside, told, load):
    with pytest.raises(GenesisValueError, match=told):
        load(inside)


def test_files_that_are_missing_or_no_path():
    with pytest.raises(GenesisValueError, match="path must name a file, got 'nowhere.xml'"):
        load_mjcf("nowhere.xml")
    with pytest.raises(GenesisTypeError, match="path must be a path"):
        load_mjcf(3)  # type: ignore[arg-type]
    with pytest.raises(GenesisTypeError, match="fixed must be True or False"):
        load_mjcf("nowhere.xml", fixed=1)  # type: ignore[arg-type]


def test_without_mujoco_the_remedy_is_named(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(GenesisImportError, match=r'pip install -e "\.\[mjcf\]"'):
        load(arm())

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(GenesisImportError, match=r'pip install -e "\.\[mjcf\]"'):
        load(arm())


def test_compiler_warnings_go_to_the_logger(load, caplog, tmp_path, monkeypatch, recwarn):
    monkeypatch.chdir(tmp_path)
    singular = '<worldbody><body><joint/><joint/><geom name="g" size="1"/></body></worldbody>'  # twice the same hinge
    with caplog.at_level(logging.WARNING, logger="genesis"):
        load(singular)
    assert any("MuJoCo warns" in message for message in caplog.messages) and not recwarn.list
    assert not (tmp_path / "MUJOCO_LOG.TXT").exists()
