"""URDF files: bases, meshes, limits; what a URDF says that is refused."""

import re
import struct

import numpy as np
import pytest

from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.loaders import link_jacobians, load_mjcf, load_urdf, rotations

INERTIAL = (
    '<inertial><origin xyz="0 0 .1"/><mass value="2"/>'
    '<inertia ixx=".03" ixy=".001" ixz="0" iyy=".04" iyz="0" izz=".02"/></inertial>'
)


def link(name, shape="", inertial=INERTIAL):
    touching = f'<collision><origin xyz="0 0 .1"/><geometry>{shape}</geometry></collision>' if shape else ""
    seen = '<visual><geometry><mesh filename="gone.dae"/></geometry></visual>'
    return f'<link name="{name}">{inertial}{seen}{touching}</link>'


def joint(name, kind, parent, child, more=""):
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="0 0 1" rpy="0 0 1.5707963267948966"/>{more}</joint>'
    )


ELBOW = '<axis xyz="0 1 0"/><limit lower="-1" upper="2" effort="30" velocity="3"/><dynamics damping=".5" friction="0"/>'
ARM = (
    link("base", '<box size="1 2 3"/>')
    + link("arm", '<cylinder radius=".1" length=".4"/>')
    + link("tool", '<sphere radius=".2"/>')
    + joint("elbow", "revolute", "base", "arm", ELBOW)
    + joint("wrist", "fixed", "arm", "tool")
)


@pytest.fixture
def load(tmp_path):
    def load_text(inside, **settings):
        (tmp_path / "model").mkdir(exist_ok=True)
        path = tmp_path / "model" / "robot.urdf"
        path.write_text(f'<?xml version="1.0"?><robot name="arm">{inside}</robot>')
        return load_urdf(path, cache=False, **settings)

    return load_text


def test_a_base_is_free_or_fixed(load):
    free, fixed = load(ARM), load(ARM, fixed=True)
    assert [joint_.kind for joint_ in free.joints] == ["free", "hinge"]
    assert [joint_.kind for joint_ in fixed.joints] == ["hinge"]
    for robot in (free, fixed):
        assert robot.name == "arm"
        assert robot.link_names == ("base", "arm") and robot.parent.tolist() == [-1, 0]
        assert robot.aliases["tool"][0] == 1
    assert fixed.moving.tolist() == [False, True]


def test_numbers(load):
    robot = load(ARM)
    elbow = robot.joints[1]
    assert elbow.axis == (0, 1, 0) and elbow.dof == 6 and elbow.q == 7
    assert (robot.limit_low[6], robot.limit_high[6]) == (-1, 2)
    assert (robot.force_low[6], robot.force_high[6]) == (-30, 30)
    assert robot.damping.tolist() == [0] * 6 + [0.5]
    positions, turns, _, _ = link_jacobians(robot)
    np.testing.assert_allclose(positions, [[0, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(rotations.rotate(turns[1], np.array([1.0, 0, 0])), (0, 1, 0), atol=1e-12)
    assert robot.mass.tolist() == [2, 4]
    np.testing.assert_allclose(robot.com, [[0, 0, 0.1], [0, 0, 0.6]], atol=1e-12)
    np.testing.assert_allclose(robot.inertia[0], [0.03, 0.04, 0.02, 0.001, 0, 0], atol=1e-12)
    two = 2 * (0.03 + 0.04) / 2 + 2 * 2 * 0.5**2  # the tool is turned by 90 degrees: xx and yy change places
    np.testing.assert_allclose(robot.inertia[1, :3], [two, two, 0.04], atol=1e-12)
    assert [(geom.kind, geom.size, geom.link) for geom in robot.geoms] == [
        ("box", (0.5, 1, 1.5), 0),
        ("cylinder", (0.1, 0.2, 0), 1),
        ("sphere", (0.2, 0, 0), 1),
    ]


def test_a_base_named_world_is_the_world(load):
    robot = load('<link name="world"/>' + ARM + joint("mount", "fixed", "world", "base"))
    assert [joint_.kind for joint_ in robot.joints] == ["hinge"] and robot.link_names == ("base", "arm")


def test_a_base_without_mass_takes_that_of_what_is_welded_to_it(load):
    robot = load(link("root", inertial="") + ARM + joint("mount", "fixed", "root", "base"))
    assert robot.link_names == ("root", "arm") and robot.mass.tolist() == [2, 4]


def test_meshes_are_found(load, tmp_path):
    (tmp_path / "meshes").mkdir()
    corners = 0.1 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    faces = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    triangles = b"".join(struct.pack("<12fH", 0, 0, 0, *corners[list(face)].ravel(), 0) for face in faces)
    (tmp_path / "meshes" / "wedge.stl").write_bytes(bytes(80) + struct.pack("<I", 4) + triangles)
    for name in ("../meshes/wedge.stl", "package://meshes/wedge.stl", "package://anything/meshes/wedge.stl"):
        (hull,) = load(link("base", f'<mesh filename="{name}"/>')).geoms
        found = hull.vertices @ rotations.matrix(np.array(hull.quat)).T + hull.pos - (0, 0, 0.1)
        np.testing.assert_allclose(found[np.lexsort(found.T.round(4))], corners[[0, 1, 2, 3]], atol=1e-6)
    with pytest.raises(GenesisValueError, match=r"mesh 'package://a/b.stl' of .* must exist, got no file\. Put it"):
        load(link("base", '<mesh filename="package://a/b.stl"/>'))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            '<mimic joint="elbow"/><axis xyz="0 1 0"/><limit lower="-1" upper="1" effort="1" velocity="1"/>',
            "mimic: second",
        ),
        (ELBOW.replace('friction="0"', 'friction="1"'), "frictionloss: second"),
        (ELBOW.replace('lower="-1"', 'lower="3"'), "range of joint 'second' of .* must have low < high, got 3 and 2"),
        (ELBOW.replace('lower="-1"', 'lower="nan"'), "range of joint 'second' of .* must have low < high, got nan"),
    ],
)
def test_refusals(more, told, load):
    with pytest.raises(GenesisValueError, match=told):
        load(ARM + link("hand") + joint("second", "revolute", "arm", "hand", more))


def test_a_joint_that_mimics_can_be_allowed_to_move_on_its_own(load):
    more = '<mimic joint="elbow"/><axis xyz="0 1 0"/>'
    robot = load(ARM + link("hand") + joint("second", "continuous", "arm", "hand", more), allow=["mimic"])
    assert robot.n_dofs == 8


def test_massless_moving_links(load):
    with pytest.raises(GenesisValueError, match="mass and inertia of moving bodies"):
        load(ARM + link("hand", inertial="") + joint("second", "revolute", "arm", "hand", ELBOW))


def test_malformed_files(load, tmp_path):
    with pytest.raises(GenesisValueError, match="must be well-formed XML"):
        load("<link>")
    with pytest.raises(GenesisValueError, match="path must name a file"):
        load_urdf(tmp_path / "gone.urdf")
    other = tmp_path / "other.xml"
    other.write_text("<mujoco><worldbody/></mujoco>")
    with pytest.raises(GenesisValueError, match=r"must begin with <robot>, got <mujoco>\. Use load_mjcf"):
        load_urdf(other, cache=False)
    with pytest.raises(GenesisTypeError, match="path must be a path"):
        load_urdf(None)  # type: ignore[arg-type]


def test_a_urdf_is_no_mjcf(load, tmp_path):
    load(ARM)
    with pytest.raises(GenesisValueError, match="Use load_urdf"):
        load_mjcf(tmp_path / "model" / "robot.urdf", cache=False)


def test_files_for_xacro_are_refused(load):
    for text in ('<xacro:macro xmlns:xacro="http://www.ros.org/wiki/xacro" name="m"/>', "<xacro:leg/>"):
        with pytest.raises(
            GenesisValueError, match=r"must be a URDF file, got one for xacro, with <xacro:.*Run it through"
        ):
            load(ARM + text)
    with pytest.raises(GenesisValueError, match="for xacro, with <mass>"):
        load(ARM.replace('value="2"', 'value="${m}"', 1))


def test_prefixes_without_a_declaration_are_ignored(load):
    assert load(ARM.replace("<limit ", '<limit drake:acceleration="3" ') + "<drake:joint/>").limit_low[6] == -1


def test_a_range_with_one_end(load):
    for given, wanted in (('upper="2"', (0, 2)), ('lower="-1"', (-1, 0))):
        limit = re.sub('lower="-1" upper="2"', given, ELBOW)
        robot = load(ARM.replace(ELBOW, limit))
        assert (robot.limit_low[6], robot.limit_high[6]) == wanted


def test_what_a_file_says_and_is_left_out_is_told(load, caplog):
    guard = '<link name="guard"><collision><geometry><box size=".2 .2 .1"/></geometry></collision></link>'
    endless = ELBOW.replace('lower="-1" upper="2"', 'lower="0" upper="0"').replace('velocity="3"', 'velocity="0"')
    more = (
        guard
        + joint("mount", "fixed", "base", "guard")
        + link("hand")
        + joint("open", "prismatic", "arm", "hand", endless)
    )
    robot = load(ARM + more)
    assert robot.mass[0] == pytest.approx(2 + 4)
    told = "\n".join(robot.losses)
    assert "limits of velocity ('elbow') are left out" in told
    assert "must have a range, got lower = upper of 'open'" in told
    assert "'guard': 4 kg" in told and "must have an <inertial>" in told
    assert "must have a <collision> to touch anything, got only <visual> of 'hand'" in told
    assert set(robot.losses) <= set(caplog.messages)


def test_meshes_of_one_name_in_two_folders_are_two(load, tmp_path):
    faces = "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    for folder, size in (("left", 1), ("right", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "hand.obj").write_text(f"v 0 0 0\nv {size} 0 0\nv 0 {size} 0\nv 0 0 {size}\n{faces}")
    shapes = [f'<mesh filename="../{folder}/hand.obj"/>' for folder in ("left", "right")]
    both = load(link("base", shapes[0]) + link("hand", shapes[1]) + joint("wrist", "revolute", "base", "hand", ELBOW))
    assert [float(np.ptp(geom.vertices, axis=0).max()) for geom in both.geoms] == pytest.approx(
        [2**0.5, 8**0.5], rel=0.5
    )
    extents = [np.linalg.norm(np.ptp(geom.vertices, axis=0)) for geom in both.geoms]
    assert extents[1] == pytest.approx(2 * extents[0], rel=1e-6)


def test_stl_files_in_words(load, tmp_path):
    (tmp_path / "model").mkdir(exist_ok=True)
    corners = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    faces = "".join(
        "facet normal 0 0 0 outer loop "
        + "".join("vertex {} {} {} ".format(*corners[i]) for i in face)
        + "endloop endfacet\n"
        for face in ((0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3))
    )
    (tmp_path / "model" / "wedge.stl").write_text(f"solid wedge\n{faces}endsolid wedge\n")
    (hull,) = load(link("base", '<mesh filename="wedge.stl"/>')).geoms
    found = hull.vertices @ rotations.matrix(np.array(hull.quat)).T + hull.pos - (0, 0, 0.1)
    np.testing.assert_allclose(sorted(map(tuple, found.round(5).tolist())), sorted(corners), atol=1e-5)
