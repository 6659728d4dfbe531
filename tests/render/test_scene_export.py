"""Exports without an extra: glTF files say where everything is; what is refused; files are whole or not there."""

import sys

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.grad.tensor import plain_of
from genesis.render import colors
from tests.render.gltf_file import File, extent_of, turn_of
from tests.render.render_scenes import out_of_sight, plane, scene_of, tool

THIN = 0.0125
"""How much smaller a round shape may be: polygons lie within, and every other one is a hundredth thinner."""
VIEW = {"res": (64, 48), "pos": (1.5, -3.0, 1.5), "lookat": (0.0, 0.0, 0.3)}


def plain(value, env):
    return plain_of(value.detach())[env].double().numpy()


def exported(camera, path, env=0):
    camera.export(path, env_idx=env)
    return File(path)


def check_robot(file, robot, env):
    """Every link's node and every shape's extent against the scene's own poses, in closed form."""
    places, turns = plain(robot.get_links_pos(), env), plain(robot.get_links_quat(), env)
    for geom in robot.model.geoms:
        link = robot.model.link_names[geom.link]
        pose = file.poses[f"{robot.name}/{link}"]
        turn = turn_of(turns[geom.link])
        np.testing.assert_allclose(pose[:3, 3], places[geom.link], atol=1e-6)
        np.testing.assert_allclose(pose[:3, :3], turn, atol=2e-6)
        (thing,) = [file.things[name] for name in file.things if name == f"{robot.name}/{link}/{geom.name}"]
        middle = places[geom.link] + turn @ np.array(geom.pos)
        whole_turn = turn @ turn_of(geom.quat)
        if geom.kind == "hull":
            corners = middle + geom.vertices @ whole_turn.T
            np.testing.assert_allclose(thing.vertices.min(0), corners.min(0), atol=1e-5)
            np.testing.assert_allclose(thing.vertices.max(0), corners.max(0), atol=1e-5)
            continue
        half = extent_of(geom.kind, geom.size, whole_turn, geom.vertices)
        slack = THIN * max(geom.size[0], 1e-3)
        for side, found in ((-1, thing.vertices.min(0)), (1, thing.vertices.max(0))):
            over = side * (found - middle) - half
            assert (over < 1e-5).all() and (over > -slack).all(), (geom.name, over)


def test_a_moved_robot_of_the_second_environment(tmp_path):
    compliant = gs.options.RigidOptions(contact=gs.options.CompliantContact())
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=1 / 60, substeps=16), rigid_options=compliant)
    scene.add_entity(gs.morphs.Plane(), material=gs.materials.Rigid())
    ant = scene.add_entity(gs.morphs.Robot(name="ant"), material=gs.materials.Rigid(friction=0.9), name="ant")
    camera = scene.add_camera(**VIEW)
    scene.build(n_envs=3)
    motors = [motor.dof for motor in ant.actuators]
    for _ in range(8):
        ant.control_dofs_force(30 * torch.randn(3, len(motors)), dofs_idx_local=motors)
        scene.step()
    files = [exported(camera, tmp_path / f"ant{env}.glb", env) for env in range(3)]
    for env, file in enumerate(files):
        check_robot(file, ant, env)
    assert np.abs(files[1].poses["ant/torso"] - files[0].poses["ant/torso"]).max() > 1e-3
    for name, thing in files[1].things.items():  # everything faces outwards: the volumes are positive
        a, b, c = (thing.vertices[thing.faces[:, k]] - thing.vertices.mean(0) for k in range(3))
        across = np.cross(b - a, c - a)
        if not name.startswith("ground"):
            assert (a * np.cross(b, c)).sum() > 0
        along = (across * thing.normals[thing.faces[:, 0]]).sum(1)
        assert (along > 0.5 * np.linalg.norm(across, axis=1)).all(), name
        np.testing.assert_allclose(np.linalg.norm(thing.normals, axis=1), 1, atol=1e-5)
    text = exported(camera, tmp_path / "ant.gltf", 1)
    assert text.json["nodes"] == files[1].json["nodes"] and text.buffer == files[1].buffer
    pointers = [entry["primitives"][0]["indices"] for entry in text.json["meshes"]]
    assert len(set(pointers)) < len(pointers)  # equal shapes share their triangles


@pytest.mark.parametrize(
    "kind, morph, size",
    [
        ("sphere", gs.morphs.Sphere(radius=0.5), (0.5, 0, 0)),
        ("capsule", gs.morphs.Capsule(radius=0.25, height=0.7), (0.25, 0.35, 0)),
        ("cylinder", gs.morphs.Cylinder(radius=0.3, height=0.8), (0.3, 0.4, 0)),
        ("box", gs.morphs.Box(size=(0.5, 0.7, 0.9)), (0.25, 0.35, 0.45)),
    ],
)
def test_tools_that_were_moved_and_turned(tmp_path, kind, morph, size):
    scene, body = scene_of(tool(morph, "purple"), n_envs=2)
    camera = scene.add_camera(**VIEW)
    quat = torch.tensor([[1.0, 0, 0, 0], [0.5, -0.3, 0.7, 0.2]])
    quat = quat / quat.norm(dim=1, keepdim=True)
    body.set_position(torch.tensor([[0.0, 0, 1], [0.3, -0.2, 1.5]]))
    body.set_quaternion(quat)
    thing = exported(camera, tmp_path / "tool.glb", 1).things[body.name]
    half = extent_of(kind, size, turn_of(quat[1].tolist()), None)
    for side, found in ((-1, thing.vertices.min(0)), (1, thing.vertices.max(0))):
        over = side * (found - (0.3, -0.2, 1.5)) - half
        assert (over < 1e-5).all() and (over > -THIN * half.max()).all()
    np.testing.assert_allclose(thing.color, [*colors.linear(gs.surfaces.COLORS["purple"]), 1.0], atol=1e-9)
    assert thing.color[0] == pytest.approx(0.2325, abs=1e-3)  # 0.52 on the curve of sRGB


def test_meshes_and_ellipsoids_of_a_robot_file(tmp_path):
    pytest.importorskip("mujoco")
    (tmp_path / "shapes.xml").write_text("""<mujoco><asset>
        <mesh name="m" vertex="-.2 -.3 -.4 .2 -.3 -.4 -.2 .3 -.4 .2 .3 -.4 0 0 .5"/>
        </asset><worldbody><body name="a" pos="0 0 1" euler="10 20 30"><freejoint/>
        <geom name="hull" type="mesh" mesh="m" density="500"/><body name="b" pos="1 0 0" euler="40 0 10"><joint/>
        <geom name="egg" type="ellipsoid" size=".2 .3 .4" euler="0 30 0" density="500"/>
        </body></body></worldbody></mujoco>""")
    scene, robot = scene_of((gs.morphs.MJCF(file=tmp_path / "shapes.xml"), gs.materials.Rigid(), None))
    check_robot(exported(scene.add_camera(**VIEW), tmp_path / "robot.glb"), robot, 0)


def test_floors_have_their_height_tilt_and_squares(tmp_path):
    scene, *_ = scene_of(plane("green", pos=(0, 0, 0.2)), out_of_sight())
    camera = scene.add_camera(res=(101, 101), pos=(0.13, 0.14, 4.0), lookat=(0.13, 0.14, 0.2), up=(0, 1, 0), fov=20)
    file = exported(camera, tmp_path / "floor.glb")
    light, dark = (file.things[f"ground_0/squares_{i}"] for i in (1, 0))
    assert light.color[1] > dark.color[1]
    for thing in (light, dark):
        np.testing.assert_allclose(thing.vertices[:, 2], 0.2, atol=1e-6)
        np.testing.assert_allclose(thing.normals, np.broadcast_to((0, 0, 1), thing.normals.shape), atol=1e-6)
    picture = camera.render()[0].astype(int)
    # The same squares as in the picture: looked at from above, at four places in each of two squares.
    corners = light.vertices.reshape(-1, 6, 3)
    for place in ((0.13, 0.14), (0.33, 0.14), (0.13, -0.1), (-0.1, -0.1), (-0.3, 0.1)):
        x, y = (np.subtract(place, (0.13, 0.14)) / (3.8 * np.tan(np.radians(10))) * 50.5 * (1, -1) + 50.5).astype(int)
        inside = ((corners[..., :2].min(1) < place) & (corners[..., :2].max(1) > place)).all(1).any()
        others = picture[..., 1].min(), picture[..., 1].max()
        assert (picture[y, x, 1] > np.mean(others)) == inside, place
    normal = np.array([0.1, -0.2, 0.97]) / np.linalg.norm([0.1, -0.2, 0.97])
    scene, *_ = scene_of(plane(pos=(0, 0, 0.3), normal=tuple(normal)), out_of_sight())
    thing = exported(scene.add_camera(**VIEW), tmp_path / "tilted.glb").things["ground_0/squares_0"]
    np.testing.assert_allclose((thing.vertices - (0, 0, 0.3)) @ normal, 0, atol=1e-5)
    assert thing.vertices[:, 0].min() < -8 and thing.vertices[:, 0].max() > 8  # three distances of the camera


def test_height_fields(tmp_path):
    heights = np.random.default_rng(0).uniform(0, 0.5, (5, 7))
    scene, *_ = scene_of(
        (gs.morphs.Terrain(pos=(-2, 1, 0.1), heights=heights, spacing=0.5), gs.materials.Rigid(), None), out_of_sight()
    )
    thing = exported(scene.add_camera(**VIEW), tmp_path / "field.glb").things["ground_0"]
    x, y = np.meshgrid(np.arange(5), np.arange(7), indexing="ij")
    expected = np.stack([-2 + 0.5 * x, 1 + 0.5 * y, 0.1 + heights], -1).reshape(-1, 3)
    np.testing.assert_allclose(thing.vertices, expected, atol=1e-6)


def soft_scene(vis_mode=None, n_envs=2):
    options = gs.options.MPMOptions(grid_density=20, lower_bound=(-1, -1, -1), upper_bound=(1, 1, 1))
    morph, material = gs.morphs.Box(size=(0.4, 0.4, 0.4)), gs.materials.MPM.Elastic(E=100.0)
    surface = gs.surfaces.Default(color="pink", vis_mode=vis_mode)
    return scene_of((morph, material, surface), n_envs=n_envs, mpm_options=options)


def test_particles_marks_and_the_camera(tmp_path):
    scene, body = soft_scene()
    body.set_position(torch.tensor([[0.0, 0, 0], [0.2, -0.3, 0.1]]))
    scene.draw_debug_line((0, 0, 0), (0, 0, 2), 0.05, "red")
    camera = scene.add_camera(**VIEW)
    file = exported(camera, tmp_path / "soft.glb", 1)
    balls, places = file.things[body.name], plain(body.get_particles_pos(), 1)
    middles = balls.vertices.reshape(len(places), -1, 3).mean(1)
    np.testing.assert_allclose(middles, places, atol=1e-5)
    mark = file.things["marks/mark_0"]
    np.testing.assert_allclose([mark.vertices.min(0)[2], mark.vertices.max(0)[2]], [0, 2], atol=1e-6)
    np.testing.assert_allclose(file.poses[body.name][:3, 3], places.mean(0), atol=1e-6)
    np.testing.assert_allclose(file.camera[:3, 3], VIEW["pos"], atol=1e-6)
    forward = np.subtract(VIEW["lookat"], VIEW["pos"])
    np.testing.assert_allclose(-file.camera[:3, 2], forward / np.linalg.norm(forward), atol=1e-6)
    assert file.camera[2, 1] > 0.8 and np.linalg.det(file.camera[:3, :3]) == pytest.approx(1)
    lens = file.json["cameras"][0]["perspective"]
    assert lens["yfov"] == pytest.approx(np.radians(30)) and lens["aspectRatio"] == pytest.approx(64 / 48)


def test_what_is_nowhere_is_left_out(tmp_path):
    scene, body = soft_scene()
    camera, state = scene.add_camera(**VIEW), scene.get_state()
    gone = torch.arange(body.n_particles)[:, None] < 5
    body.get_particles_pos = lambda: torch.where(gone, torch.nan, state.pos)
    thing = exported(camera, tmp_path / "part.glb").things[body.name]
    body.get_particles_pos = lambda: state.pos
    whole = exported(camera, tmp_path / "whole.glb").things[body.name]
    assert len(thing.vertices) == len(whole.vertices) * (body.n_particles - 5) / body.n_particles
    body.get_particles_pos = lambda: torch.nan * state.pos
    with pytest.raises(gs.GenesisException, match="something to show"):
        camera.export(tmp_path / "nothing.glb")
    assert not (tmp_path / "nothing.glb").exists()


@pytest.fixture(scope="module")
def camera():
    scene, _ = scene_of(tool(gs.morphs.Sphere(pos=(0, 0, 1), radius=0.3), "red"), n_envs=2)
    return scene.add_camera(**VIEW)


def test_exporting_changes_nothing(camera, tmp_path):
    before = camera.render()[0]
    for name in ("a.glb", "b.glb"):
        camera.export(tmp_path / name)
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()
    np.testing.assert_array_equal(camera.render()[0], before)


def test_refusals(camera, tmp_path):
    for options, what in (
        ({"path": tmp_path / "a.obj"}, ".glb, .gltf, .vtm, .vtp or .png"),
        ({"path": tmp_path / "nowhere" / "a.glb"}, "existing folder"),
        ({"path": tmp_path / "a.glb", "env_idx": 2}, "0 … 1, got 2"),
        ({"path": tmp_path / "a.glb", "env_idx": -1}, "env_idx"),
        ({"path": tmp_path / "a.glb", "env_idx": 0.5}, "env_idx"),
    ):
        with pytest.raises(gs.GenesisException, match=what):
            camera.export(**options)
    scene = gs.Scene()
    scene.add_entity(*tool(gs.morphs.Sphere())[:2])
    with pytest.raises(gs.GenesisException, match="built"):
        scene.add_camera(**VIEW).export(tmp_path / "a.glb")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["vtm", "vtp", "png"])
def test_a_missing_extra_is_named(monkeypatch, camera, tmp_path, ending):
    monkeypatch.setitem(sys.modules, "pyvista", None)
    with pytest.raises(ImportError, match=r"\[pyvista\]"):
        camera.export(tmp_path / f"a.{ending}")
    assert not list(tmp_path.iterdir())


def test_smooth_bodies_need_the_extra_in_every_format(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyvista", None)
    scene, _ = soft_scene("recon", 1)
    with pytest.raises(ImportError, match=r"smooth surface.*\[pyvista\]"):
        scene.add_camera(**VIEW).export(tmp_path / "a.glb")


@pytest.mark.parametrize("ending", ["glb", "gltf"])
def test_a_full_disk_is_told_and_leaves_no_file(camera, tmp_path, ending):
    resource = pytest.importorskip("resource", reason="limits of file sizes are a feature of Unix")
    old = tmp_path / f"pose.{ending}"
    old.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        with pytest.raises(gs.GenesisException, match=r"pose\.\w+ must be writable.*disk"):
            camera.export(old)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == [old.name] and old.read_bytes() == b"old"
