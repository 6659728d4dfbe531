"""What MuJoCo's compiler refuses of a file and `repair=True` mends, what it then is, and that it is listed."""

import json
import struct

import numpy as np
import pytest

import genesis as gs
from genesis.errors import GenesisValueError
from genesis.loaders import load_mjcf, load_urdf, rotations
from genesis.loaders.repair import physical

BOX = 0.1 * np.array([[x, y, z] for x in (-1, 1) for y in (-2, 2) for z in (-3, 3)], dtype=np.float32)
HEAVY = '<inertial><mass value="2"/><inertia ixx=".03" ixy="0" ixz="0" iyy=".04" iyz="0" izz=".02"/></inertial>'
BASE = f'<link name="base">{HEAVY}</link>'
ARM = '<limit lower="-1" upper="1" effort="1" velocity="0"/><axis xyz="0 1 0"/>'


def joint(child="x", kind="revolute", more=ARM, parent="base", name="j"):
    return f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>{more}</joint>'


def inertial(moments, mass=0.16):
    x, y, z = moments
    tensor = f'<inertia ixx="{x}" iyy="{y}" izz="{z}" ixy="0" ixz="0" iyz="0"/>'
    return f'<inertial><mass value="{mass}"/>{tensor}</inertial>'


def touching(geometry, inside=HEAVY, more=ARM):
    """A link of one shape, and its joint."""
    shape = f"<collision><geometry>{geometry}</geometry></collision>" if geometry else ""
    return f'<link name="x">{inside}{shape}</link>{joint(more=more)}'


def mesh(name):
    return touching(f'<mesh filename="{name}"/>')


@pytest.fixture
def write(tmp_path):
    def text(inside):
        path = tmp_path / "robot.urdf"
        path.write_text(f'<robot name="r">{BASE}{inside}</robot>')
        return path

    return text


def refused_then_mended(path, words, kinds, **settings):
    """The robot that is loaded with `repair=True`, of which the error without it tells."""
    with pytest.raises(GenesisValueError, match=words) as refusal:
        load_urdf(path, cache=False, **settings)
    assert "repair=True" in str(refusal.value)
    robot = load_urdf(path, cache=False, repair=True, **settings)
    assert [repair.split(":")[0] for repair in robot.repairs] == kinds
    return robot


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((6, 1, 1), (6 - 4 / 3, 1 + 4 / 3, 1 + 4 / 3)),
        ((1, 2, 5), (1 + 2 / 3, 2 + 2 / 3, 5 - 2 / 3)),
        ((3, 4, 5), (3, 4, 5)),
        ((-1, 2, 2), (2e-6, 2, 2)),
    ],
)
def test_the_nearest_inertia_that_a_body_can_have(given, wanted):
    mended = physical(np.array(given, float))
    np.testing.assert_allclose(mended, wanted, atol=1e-8)
    assert 2 * mended.max() <= mended.sum()


def test_inertias_of_urdf_links_in_turned_frames(write):
    link = inertial((6e-4, 1e-4, 1e-4)).replace("<inertial>", '<inertial><origin xyz="0 0 0" rpy="0 0 1.2"/>')
    robot = refused_then_mended(write(touching("", link)), r"A \+ B >= C", ["inertia"])
    low, high = 1e-4 + 4e-4 / 3, 6e-4 - 4e-4 / 3
    turn = rotations.matrix(rotations.about(np.array([0.0, 0.0, 1.0]), 1.2))
    wanted = turn @ np.diag([high, low, low]) @ turn.T
    np.testing.assert_allclose(rotations.symmetric(robot.inertia[1]), wanted, atol=1e-11)
    assert robot.mass[1] == 0.16


def test_links_without_mass(write):
    links = "".join(f'<link name="{name}"/>' for name in "xyz")
    chain = joint() + joint("y", "prismatic", parent="x", name="k") + joint("z", "fixed", parent="x", name="l")
    robot = refused_then_mended(write(links + chain), "mass and inertia of moving", ["mass", "mass"])
    np.testing.assert_allclose(robot.mass, [2, 1e-3, 1e-3])
    np.testing.assert_allclose(robot.inertia[1], [1e-7, 1e-7, 1e-7, 0, 0, 0])
    assert load_urdf(write(BASE.replace("base", "x") + joint(kind="fixed")), repair=True, cache=False).repairs == ()


def test_elements(write):
    twice = touching("", HEAVY + inertial((1, 1, 1), 9))
    assert refused_then_mended(write(twice), "repeated element", ["element"]).mass.tolist() == [2, 2]
    none = touching("", '<inertial><mass value="3"/></inertial>')
    robot = refused_then_mended(write(none), "missing element", ["element", "mass"])
    np.testing.assert_allclose(robot.inertia[1, :3], [3e-4] * 3)
    flat = write(touching('<sphere radius="0"/>'))
    assert refused_then_mended(flat, "must be positive", ["shape"]).geoms == ()
    alone = touching("", more='<mimic joint="gone"/>' + ARM)
    with pytest.raises(GenesisValueError, match="must be of a joint that moves"):
        load_urdf(write(alone), cache=False, contact="mujoco")
    assert load_urdf(write(alone), cache=False, repair=True).repairs[0].startswith("mimic: joint 'j'")


def test_missing_and_flat_meshes(write, tmp_path):
    assert refused_then_mended(write(mesh("gone.stl")), "must exist, got no file", ["mesh"]).geoms == ()
    plate = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nf 1 2 3\nf 2 3 4\n"
    (tmp_path / "flat.obj").write_text(plate)
    robot = refused_then_mended(write(mesh("flat.obj")), "coplanar|volume is too small", ["mesh"])
    assert robot.geoms == () and robot.mass[1] == 2


def collada():
    """The box, of which one half is moved along x by a node, and all of it is in centimetres."""
    numbers = " ".join(f"{x:.4f}" for x in (100 * BOX / np.array([2, 1, 1])).ravel())
    return f"""<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema"><asset><unit meter="0.01"/></asset>
<library_geometries><geometry id="g"><mesh><source id="p"><float_array count="24">{numbers}</float_array></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices></mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="s">
<node><translate>5 0 0</translate><instance_geometry url="#g"/></node>
<node><matrix>1 0 0 -5 0 1 0 0 0 0 1 0 0 0 0 1</matrix><instance_geometry url="#g"/></node>
</visual_scene></library_visual_scenes><scene><instance_visual_scene url="#s"/></scene></COLLADA>""".encode()


def gltf():
    """The box, which a node turns by a quarter about z."""
    turned = np.stack([BOX[:, 1], -BOX[:, 0], BOX[:, 2]], 1).astype("<f4").tobytes()
    half = 0.5**0.5
    told = {
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "rotation": [0, 0, half, half]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3"}],
        "bufferViews": [{"buffer": 0, "byteOffset": 0, "byteLength": len(turned)}],
    }
    words = json.dumps(told).encode()
    words += b" " * (-len(words) % 4)
    chunks = struct.pack("<II", len(words), 0x4E4F534A) + words + struct.pack("<II", len(turned), 0x004E4942) + turned
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks


@pytest.mark.parametrize(("name", "data"), [("m.dae", collada()), ("m.glb", gltf())], ids=["Collada", "glTF"])
def test_meshes_that_mujoco_does_not_read(name, data, write, tmp_path):
    (tmp_path / name).write_bytes(data)
    text = mesh(name)
    (hull,) = refused_then_mended(write(text), "no decoder found", ["mesh"]).geoms
    found = hull.vertices @ rotations.matrix(np.array(hull.quat)).T + hull.pos
    np.testing.assert_allclose(found[np.lexsort(found.round(4).T)], BOX[np.lexsort(BOX.T)], atol=1e-6)
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    broken = load_urdf(write(text), cache=False, repair=True)
    assert broken.geoms == () and "is left out" in broken.repairs[0]


def test_mjcf_and_what_entities_list(tmp_path, caplog):
    bad = '<inertial pos="0 0 0" mass="1" diaginertia="5 1 1"/>'
    path = tmp_path / "robot.xml"
    path.write_text(
        f'<mujoco><worldbody><body name="a"><joint name="i"/>{bad}<body name="b"><joint name="j" type="slide"/>'
        f'<body name="c"><joint name="k"/>{bad.replace("5 1 1", "1 1 1")}</body></body></body></worldbody></mujoco>'
    )
    with pytest.raises(GenesisValueError, match=r"A \+ B >= C.*repair=True"):
        load_mjcf(path, cache=False)
    for _ in range(2):  # from the cache too
        caplog.clear()
        robot = load_mjcf(path, repair=True)
        assert any("was repaired: inertia: that of body 'a'" in message for message in caplog.messages)
    assert [repair.split(":")[0] for repair in robot.repairs] == ["inertia", "mass"]
    np.testing.assert_allclose(robot.inertia[0, :3], [4, 2, 2], atol=1e-8)
    scene = gs.Scene()
    assert scene.add_entity(gs.morphs.MJCF(file=path, repair=True)).repairs == robot.repairs
    with pytest.raises(gs.GenesisException, match=r"MJCF\.repair"):
        gs.morphs.MJCF(file=path, repair=1)  # type: ignore[arg-type]
