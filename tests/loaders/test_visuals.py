"""What robots of files look like: their visuals, colours and meshes; what of them cannot be drawn is said."""

import numpy as np
import pytest

from genesis.errors import GenesisValueError
from genesis.loaders import load_mjcf, load_urdf, place, rotations
from genesis.loaders.model import RigidModel
from tests.loaders.test_urdf import ARM, INERTIAL, joint, link
from tests.meshes.shapes import CUBE, CUBE_FACES, ELL, prism, write_obj

WEDGE = 'vertex="0 0 0 .3 0 0 0 .2 0 0 0 .1" face="0 2 1 0 1 3 0 3 2 1 2 3"'
MJCF = f"""<mujoco><asset><mesh name="m" {WEDGE}/>
  <texture name="t" type="2d" builtin="flat" rgb1="1 .5 0" width="4" height="4"/>
  <material name="paint" rgba="0 1 0 1"/><material name="wood" texture="t" rgba=".5 1 1 1"/></asset><worldbody>
  <geom name="wall" type="box" size="1 .1 1" pos="0 5 0" contype="0" conaffinity="0" group="1" rgba="0 0 1 1"/>
  <body name="base" pos="0 0 1"><freejoint/>
    <geom name="hidden" type="box" size=".2 .2 .2" group="3"/>
    <geom name="shell" type="mesh" mesh="m" group="2" contype="0" conaffinity="0" material="paint" mass="0"/>
    <geom name="lid" type="sphere" size=".1" group="2" contype="0" conaffinity="0" material="wood" mass="0"/>
    <geom name="ghost" type="sphere" size=".1" group="2" contype="0" conaffinity="0" rgba="1 1 1 0" mass="0"/>
    <body name="welded" pos=".5 0 0"><geom name="badge" type="box" size=".01 .02 .03" group="2" contype="0"
      conaffinity="0" rgba="1 0 0 1" mass="0"/></body>
    <body name="plain" pos="1 0 0"><joint/><geom name="arm" type="capsule" size=".1 .2"/></body>
    <body name="rock" pos="2 0 0"><joint/><geom name="stone" type="mesh" mesh="m"/></body>
  </body></worldbody></mujoco>"""


def shown(robot):
    return {seen.name: seen for seen in robot.visuals}


@pytest.fixture
def robot(tmp_path):
    (tmp_path / "robot.xml").write_text(MJCF)
    return load_mjcf(tmp_path / "robot.xml", cache=False)


def test_geoms_that_touch_nothing_are_seen_with_the_colours_of_their_file(robot):
    seen = shown(robot)
    assert set(seen) == {"wall", "shell", "lid", "badge", "stone"}
    base = robot.link_names.index("base")
    assert {name: seen[name].link for name in seen} == {
        "wall": -1, "shell": base, "lid": base, "badge": base, "stone": robot.link_names.index("rock"),
    }  # fmt: skip
    tints = {"wall": (0, 0, 1), "shell": (0, 1, 0), "lid": (0.5, 0.5, 0), "badge": (1, 0, 0)}
    for name, tint in tints.items():
        np.testing.assert_allclose(seen[name].tint, tint, atol=2e-3)
    assert seen["stone"].tint is None
    assert seen["badge"].pos == (0.5, 0, 0) and seen["badge"].size == (0.01, 0.02, 0.03)


def test_meshes_are_seen_as_their_triangles_in_the_frame_of_the_link(robot):
    for name in ("shell", "stone"):
        seen = shown(robot)[name]
        corners = seen.mesh.vertices @ rotations.matrix(np.array(seen.quat)).T + seen.pos
        wanted = np.array([[0, 0, 0], [0.3, 0, 0], [0, 0.2, 0], [0, 0, 0.1]])
        np.testing.assert_allclose(sorted(corners.round(6).tolist()), sorted(wanted.tolist()), atol=1e-5)
        assert len(seen.mesh.faces) == 4
    assert shown(robot)["shell"].mesh is shown(robot)["stone"].mesh  # kept once


def test_geoms_that_touch_are_seen_beside_others_of_their_group(tmp_path):
    (tmp_path / "robot.xml").write_text(MJCF.replace('name="arm"', 'name="arm" group="2"'))
    seen = shown(load_mjcf(tmp_path / "robot.xml", cache=False))
    assert "arm" in seen and "hidden" not in seen


def test_visuals_are_stored_and_moved_with_the_robot(robot, tmp_path):
    robot.save(tmp_path / "robot.npz")
    again = RigidModel.load(tmp_path / "robot.npz")
    for mine, theirs in zip(robot.visuals, again.visuals, strict=True):
        assert (mine.name, mine.kind, mine.link, mine.pos, mine.quat, mine.size, mine.tint) == (
            theirs.name, theirs.kind, theirs.link, theirs.pos, theirs.quat, theirs.size, theirs.tint,
        )  # fmt: skip
        if mine.mesh is not None:
            np.testing.assert_array_equal(mine.mesh.corners, theirs.mesh.corners)
    moved = shown(place(robot, (0, 0, 2), (np.sqrt(0.5), 0, 0, np.sqrt(0.5))))
    np.testing.assert_allclose(moved["wall"].pos, (-5, 0, 2), atol=1e-12)
    assert moved["badge"].pos == (0.5, 0, 0)


FILED = """<mujoco><compiler meshdir="parts"/><asset><mesh name="m" file="{file}"/>
  <texture name="t" type="2d" file="gone.png"/><material name="paint" texture="t"/></asset><worldbody>
  <body name="base"><freejoint/>{inertial}<geom type="box" size=".1 .1 .1"/>
  <geom type="mesh" mesh="m" {bits}/></body></worldbody></mujoco>"""
SEEN = 'contype="0" conaffinity="0" group="2" material="paint"'
OWN = '<inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>'


def test_missing_meshes_and_textures_that_are_only_seen_are_said_and_left_out(tmp_path, caplog):
    (tmp_path / "parts").mkdir()
    path = tmp_path / "robot.xml"
    path.write_text(FILED.format(file="gone.obj", inertial=OWN, bits=SEEN))
    robot = load_mjcf(path, cache=False)
    assert robot.visuals == () and [geom.kind for geom in robot.geoms] == ["box"]
    (loss,) = robot.losses
    assert "got no file of 'gone.obj', 'gone.png'," in loss and loss in caplog.text
    for inertial, bits in ((OWN, ""), ("", SEEN)):  # physics needs it: to touch, or for the mass
        path.write_text(FILED.format(file="gone.obj", inertial=inertial, bits=bits))
        with pytest.raises(GenesisValueError, match=r"gone\.obj"):
            load_mjcf(path, cache=False)
    write_obj(tmp_path / "parts" / "there.obj", CUBE, CUBE_FACES)
    path.write_text(FILED.format(file="there.obj", inertial=OWN, bits=SEEN))
    (seen,) = load_mjcf(path, cache=False).visuals
    assert len(seen.mesh.faces) == 12 and seen.tint == pytest.approx((0.5, 0.5, 0.5), abs=0.01)


COLLADA = """<?xml version="1.0"?><COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
  <asset><unit meter="0.01"/></asset>
  <library_effects><effect id="fx"><profile_COMMON><technique><lambert><diffuse><color>.1 .2 .3 1</color></diffuse>
    </lambert></technique></profile_COMMON></effect></library_effects>
  <library_materials><material id="mat"><instance_effect url="#fx"/></material></library_materials>
  <library_geometries><geometry id="g"><mesh>
    <source id="p"><float_array count="12">0 0 0 10 0 0 10 10 0 0 10 0</float_array></source>
    <vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
    <polylist count="1" material="s"><input semantic="VERTEX" source="#v" offset="0"/>
      <input semantic="NORMAL" source="#n" offset="1"/><vcount>4</vcount><p>0 0 1 0 2 0 3 0</p></polylist>
    <triangles count="1"><input semantic="VERTEX" source="#v" offset="0"/><p>0 2 1</p></triangles>
  </mesh></geometry></library_geometries>
  <library_visual_scenes><visual_scene id="s"><node><translate>0 0 5</translate><instance_geometry url="#g">
    <bind_material><technique_common><instance_material symbol="s" target="#mat"/></technique_common></bind_material>
  </instance_geometry></node></visual_scene></library_visual_scenes></COLLADA>"""
SHAPES = """
  <material name="blue"><color rgba="0 0 1 1"/></material>
  <link name="base">{inertial}
    <visual name="ell"><origin xyz="1 2 3" rpy="0 0 1.5707963267948966"/><geometry>
      <mesh filename="package://robot/ell.obj" scale=".1 .1 .1"/></geometry><material name="blue"/></visual>
    <visual name="can"><geometry><cylinder radius=".1" length=".4"/></geometry>
      <material name=""><color rgba="1 .5 0 1"/></material></visual>
    <collision><geometry><sphere radius=".2"/></geometry></collision></link>
  <link name="tool">{inertial}<visual name="plate"><geometry><mesh filename="plate.dae"/></geometry></visual>
    <collision><geometry><sphere radius=".2"/></geometry></collision></link>
"""


def urdf(folder, text):
    (folder / "robot.urdf").write_text(f'<robot name="r">{text}</robot>')
    return load_urdf(folder / "robot.urdf", cache=False)


def test_visuals_of_urdf_files(tmp_path):
    pytest.importorskip("trimesh")
    (tmp_path / "robot").mkdir()
    write_obj(tmp_path / "robot" / "ell.obj", *prism(ELL))
    (tmp_path / "plate.dae").write_text(COLLADA)
    robot = urdf(tmp_path, SHAPES.format(inertial=INERTIAL) + joint("weld", "fixed", "base", "tool"))
    assert robot.losses == () and len(robot.geoms) == 2
    ell, can, *plates = robot.visuals
    assert [seen.link for seen in robot.visuals] == [0] * 4 and [seen.name for seen in plates] == ["plate"] * 2
    assert ell.tint == (0, 0, 1) and len(ell.mesh.faces) == 20
    corners = ell.mesh.vertices @ rotations.matrix(np.array(ell.quat)).T + ell.pos
    np.testing.assert_allclose((corners.min(0), corners.max(0)), ((0.7, 2, 3), (1, 2.3, 3.1)), atol=1e-6)
    assert (can.kind, can.size, can.tint) == ("cylinder", (0.1, 0.2, 0), (1, 0.5, 0))
    assert plates[0].tint == (0.1, 0.2, 0.3) and plates[1].tint is None
    assert [len(plate.mesh.faces) for plate in plates] == [2, 1]
    np.testing.assert_allclose(np.linalg.norm(plates[0].mesh.vertices, axis=1), 0.05 * np.sqrt(2), rtol=1e-6)
    turn = rotations.matrix(np.array(plates[0].quat))  # the weld turns it by 90 degrees, 1 m up
    np.testing.assert_allclose(turn @ (1, 0, 0), (0, 1, 0), atol=1e-9)
    np.testing.assert_allclose(plates[0].pos, (-0.05, 0.05, 1.05), atol=1e-7)


def test_visuals_of_urdf_files_that_cannot_be_read_are_said_by_name(tmp_path, caplog):
    (tmp_path / "broken.dae").write_text("<COLLADA>")
    text = link("arm", '<sphere radius=".2"/>').replace("</link>", "").replace("gone.dae", "broken.dae")
    text += "<visual><geometry><box size='0 1 1'/></geometry></visual></link>"
    robot = urdf(tmp_path, text)
    (loss,) = robot.losses
    assert robot.visuals == () and len(robot.geoms) == 1 and loss in caplog.text
    assert "'broken.dae' (ParseError" in loss and "its box has no size" in loss
    assert "'gone.dae' (there is no such file)" in " ".join(urdf(tmp_path, ARM).losses)
