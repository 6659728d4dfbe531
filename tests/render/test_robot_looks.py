"""Robots are drawn, exported and viewed as their files show them."""

import numpy as np
import pytest

import genesis as gs
from genesis.render.stage import Stage
from tests.loaders.test_visuals import MJCF
from tests.render.gltf_file import File
from tests.render.render_scenes import SIZE

pytest.importorskip("mujoco")
pytestmark = pytest.mark.precision("32")


def scene_of(folder, **options):
    (folder / "robot.xml").write_text(MJCF)
    scene = gs.Scene()
    robot = scene.add_entity(gs.morphs.MJCF(file=folder / "robot.xml", pos=(0, 0, 1)), name="robot", **options)
    camera = scene.add_camera(res=(SIZE, SIZE), pos=(0.1, -1.5, 2.02), lookat=(0.1, 0.1, 2.02), fov=30.0)
    scene.build(n_envs=2)
    return scene, robot, camera


def test_visuals_hide_what_touches(tmp_path):
    """A green wedge, of which a ball hides a part, where the collision shape is a box of 50 x 50 pixels."""
    _, _, camera = scene_of(tmp_path)
    rgb, _, seen, _ = camera.render(segmentation=True, envs_idx=1)
    own = rgb[seen == 1].astype(int)
    green = own[(own[:, 1] > 2 * own[:, 0]) & (own[:, 1] > 2 * own[:, 2])]
    assert 60 < len(green) < 240
    _, _, camera = scene_of(tmp_path, vis_mode="collision")
    rgb_touching, _, seen_touching, _ = camera.render(segmentation=True, envs_idx=1)
    own = rgb_touching[seen_touching == 1].astype(int)
    assert (seen_touching == 1).sum() > 2000 and not (own[:, 1] > 1.2 * own[:, 0]).any()


def test_what_is_seen_of_the_world_stays_and_links_take_theirs_along(tmp_path):
    _, robot, camera = scene_of(tmp_path)
    robot.set_pos([[0, 0, 3.0], [0.5, 0, 2.0]])
    camera.export(tmp_path / "robot.glb", env_idx=1)
    file = File(tmp_path / "robot.glb")
    assert {name.split("/")[-1] for name in file.things if name.startswith("robot")} == {
        "wall", "shell", "lid", "badge", "stone", "arm",
    }  # fmt: skip
    np.testing.assert_allclose(file.things["robot/world/wall"].vertices.mean(0), (0, 5, 1), atol=1e-6)
    np.testing.assert_allclose(file.things["robot/base/badge"].vertices.mean(0), (1.0, 0, 2), atol=1e-6)
    shell = file.things["robot/base/shell"]
    np.testing.assert_allclose(shell.vertices.min(0), (0.5, 0, 2), atol=1e-6)
    np.testing.assert_allclose(shell.vertices.max(0), (0.8, 0.2, 2.1), atol=1e-6)


def test_the_viewer_gets_the_triangles(tmp_path):
    scene, _, _ = scene_of(tmp_path)
    shapes = Stage(scene.entities, 2, None).shapes
    found = [shapes.surface(i) for i, mesh in enumerate(shapes.mesh) if mesh is not None]
    assert len(found) == 2 and len(shapes.meshes) == 1  # two shapes of one mesh
    for mesh in found:
        a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
        assert (a * np.cross(b, c)).sum() / 6 == pytest.approx(0.3 * 0.2 * 0.1 / 6, rel=1e-4)


def test_a_colour_of_the_surface_goes_before_those_of_the_file(tmp_path):
    _, robot, _ = scene_of(tmp_path, surface=gs.surfaces.Default(color="pink"))
    (solids,) = robot.visible()
    assert {shape.tint for shape in solids.shapes} == {gs.surfaces.COLORS["pink"]}
