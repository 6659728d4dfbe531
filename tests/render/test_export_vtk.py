"""Exports that need the extra `pyvista`: VTK files read again, smooth surfaces, the picture that VTK draws."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.render import colors, export
from genesis.render.recon import surface
from tests.render.gltf_file import File
from tests.render.render_scenes import plane, scene_of, tool
from tests.render.test_scene_export import VIEW, plain

pytestmark = pytest.mark.export
pyvista = pytest.importorskip("pyvista", reason="needs the extra pyvista")

DRAWS = "import pyvista; p = pyvista.Plotter(off_screen=True); p.add_mesh(pyvista.Sphere()); p.screenshot(None)"


@pytest.fixture(scope="module")
def drawing():
    """Skips where VTK cannot draw, which it may tell by ending the process."""
    done = subprocess.run([sys.executable, "-c", DRAWS], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"VTK cannot draw on this machine: exit status {done.returncode}")


@pytest.fixture(scope="module")
def ball():
    scene, _ = scene_of(tool(gs.morphs.Sphere(pos=(0, 0, 1), radius=0.3), "red"), n_envs=2)
    return scene.add_camera(**VIEW)


def ant_scene():
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=1 / 60, substeps=16))
    scene.add_entity(gs.morphs.Plane(), material=gs.materials.Rigid())
    ant = scene.add_entity(gs.morphs.Robot(name="ant"), material=gs.materials.Rigid(), name="ant")
    scene.build(n_envs=2)
    motors = [motor.dof for motor in ant.actuators]
    for _ in range(5):
        ant.control_dofs_force(30 * torch.randn(2, len(motors)), dofs_idx_local=motors)
        scene.step()
    return scene.add_camera(**VIEW)


def test_vtk_files_hold_what_gltf_files_hold(tmp_path):
    camera = ant_scene()
    for ending in ("glb", "vtm", "vtp"):
        camera.export(tmp_path / f"ant.{ending}", env_idx=1)
    things = File(tmp_path / "ant.glb").things
    blocks = pyvista.read(tmp_path / "ant.vtm")
    assert list(blocks.keys()) == list(things)
    whole = pyvista.read(tmp_path / "ant.vtp")
    assert list(whole.field_data["parts"]) == list(things)
    for number, (name, thing) in enumerate(things.items()):
        part = whole.extract_cells(np.nonzero(whole.cell_data["part"] == number)[0])
        for found in (blocks[name], part):
            bounds = np.stack([thing.vertices.min(0), thing.vertices.max(0)], 1).ravel()
            np.testing.assert_allclose(found.bounds, bounds, atol=1e-5)
            (rgb,) = np.unique(found.point_data["RGB"], axis=0)
            np.testing.assert_allclose([*colors.linear(tuple(rgb / 255)), 1], thing.color, atol=0.01)
        np.testing.assert_allclose(blocks[name].point_data["Normals"], thing.normals, atol=1e-5)
        assert blocks[name].n_cells == part.n_cells == len(thing.faces)
    assert {path.name for path in tmp_path.iterdir()} == {"ant", "ant.glb", "ant.vtm", "ant.vtp"}


def test_a_second_export_takes_the_place_of_the_first(ball, tmp_path):
    camera = ant_scene()
    camera.export(tmp_path / "pose.vtm")
    many = pyvista.read(tmp_path / "pose.vtm").n_blocks
    ball.export(tmp_path / "pose.vtm")
    assert pyvista.read(tmp_path / "pose.vtm").n_blocks == len(list((tmp_path / "pose").iterdir())) < many
    assert {path.name for path in tmp_path.iterdir()} == {"pose", "pose.vtm"}


def test_a_folder_that_is_not_ours_is_left_alone(ball, tmp_path):
    (tmp_path / "pose").mkdir()
    (tmp_path / "pose" / "diary.txt").write_text("dear")
    with pytest.raises(gs.GenesisException, match="folder of its parts"):
        ball.export(tmp_path / "pose.vtm")
    assert [path.name for path in tmp_path.rglob("*")] == ["pose", "diary.txt"]


# Smooth surfaces.


def lattice(n):
    axes = (np.arange(n) + 0.5) / n - 0.5
    return np.stack(np.meshgrid(axes, axes, axes, indexing="ij"), -1).reshape(-1, 3)


def volume(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return (a * np.cross(b, c)).sum() / 6


def is_closed(mesh):
    edges = np.concatenate([mesh.faces[:, [i, (i + 1) % 3]] for i in range(3)])
    return sorted(map(tuple, edges)) == sorted(map(tuple, edges[:, ::-1]))


@pytest.mark.parametrize("n, lost", [(6, 0.09), (10, 0.04), (17, 0.02)])
def test_the_surface_of_a_block_has_its_faces_and_its_volume_but_for_round_edges(n, lost):
    mesh = surface(lattice(n), 1 / n**3)
    assert is_closed(mesh) and 1 - lost < volume(mesh) < 1.0
    np.testing.assert_allclose([mesh.vertices.min(0), mesh.vertices.max(0)], [[-0.5] * 3, [0.5] * 3], atol=0.06 / n)
    middle = np.abs(mesh.vertices[:, 1:]).max(1) < 0.5 - 2.5 / n
    np.testing.assert_allclose(np.abs(mesh.vertices[middle, 0]), 0.5, atol=0.06 / n)  # nothing within, flat faces


def test_the_surface_of_a_ball_and_of_lone_particles():
    points = lattice(24)
    points = points[np.linalg.norm(points, axis=1) < 0.5]
    mesh = surface(points, 1 / 24**3)
    assert volume(mesh) == pytest.approx(len(points) / 24**3, rel=0.02)
    assert np.linalg.norm(mesh.vertices, axis=1).max() < 0.52
    lone = surface(np.array([[0.0, 0, 0], [5, 0, 0]]), 1.0)
    assert is_closed(lone) and 0.5 < volume(lone) < 2.0
    assert all((np.linalg.norm(lone.vertices - place, axis=1) < 0.6).any() for place in ((0, 0, 0), (5, 0, 0)))


def test_hollows_that_nobody_sees_are_filled():
    points = lattice(16)
    hollow = points[np.linalg.norm(points, axis=1) > 0.25]
    assert volume(surface(hollow, 1 / 16**3)) == pytest.approx(volume(surface(points, 1 / 16**3)), rel=1e-6)


def test_a_smooth_body_is_where_its_particles_are(tmp_path):
    options = gs.options.MPMOptions(grid_density=32, lower_bound=(-1, -1, -1), upper_bound=(1, 1, 1))
    morph, material = gs.morphs.Box(size=(0.4, 0.4, 0.4)), gs.materials.MPM.Elastic(E=100.0)
    look = gs.surfaces.Default(color="pink", vis_mode="recon")
    scene, body = scene_of((morph, material, look), n_envs=2, mpm_options=options)
    body.set_position(torch.tensor([[0.0, 0, 0], [0.2, -0.3, 0.1]]))
    camera = scene.add_camera(**VIEW)
    camera.export(tmp_path / "soft.glb", env_idx=1)
    thing = File(tmp_path / "soft.glb").things[body.name]
    places = plain(body.get_particles_pos(), 1)
    half = 0.5 * body.particle_volume ** (1 / 3)
    np.testing.assert_allclose(thing.vertices.min(0), places.min(0) - half, atol=0.2 * half)
    np.testing.assert_allclose(thing.vertices.max(0), places.max(0) + half, atol=0.2 * half)
    assert 0.95 * 0.4**3 < volume(thing) < 0.4**3
    np.testing.assert_allclose(thing.color, [*colors.linear(gs.surfaces.COLORS["pink"]), 1], atol=1e-9)


# Pictures.


def read_picture(path):
    image = pyvista.read(path)
    width, height, _ = image.dimensions
    return image.active_scalars.reshape(height, width, -1)[::-1].astype(int)


def test_the_picture_shows_the_scene_from_the_camera(drawing, tmp_path, monkeypatch):
    ball = gs.morphs.Sphere(pos=(-0.5, 0, 0.6), radius=0.25), gs.materials.Rigid(), gs.surfaces.Default(color="red")
    scene, floor, _ = scene_of(plane(), ball, n_envs=1)
    camera = scene.add_camera(res=(120, 90), pos=(0.0, -4.0, 2.0), lookat=(0.0, 0.0, 0.4))
    for name in ("a.png", "b.png"):
        camera.export(tmp_path / name)
    picture = read_picture(tmp_path / "a.png")
    assert picture.shape == (90, 120, 3)
    np.testing.assert_array_equal(picture, read_picture(tmp_path / "b.png"))
    seen = camera.render(rgb=False, segmentation=True)[2] == 2  # the renderer's own outline of the ball
    red = picture[..., 0] - picture[..., 1] > 60
    assert (red & seen).sum() / (red | seen).sum() > 0.9

    def brightness(point):
        rgb = picture[pixel_of(camera, point)]
        return rgb.sum() / 765

    sun = np.array([-0.46, -0.44, 0.77])
    shadow = np.array([-0.5, 0, 0.6]) - 0.6 / sun[2] * sun  # where the ray through the ball's middle meets the floor
    for shift in ((-0.9, 0), (0.6, 0), (0, 0.9)):
        lit = shadow + (*shift, 0)
        assert brightness(shadow) < 0.8 * brightness(lit), shift


def pixel_of(camera, point):
    eye, lookat, _ = (value[0] for value in camera.world_pose())
    forward = (lookat - eye) / np.linalg.norm(lookat - eye)
    right = np.cross(forward, (0, 0, 1)) / np.linalg.norm(np.cross(forward, (0, 0, 1)))
    up, offset, (width, height) = np.cross(right, forward), point - eye, camera.res
    scale = height / 2 / np.tan(np.radians(camera.fov) / 2) / (offset @ forward)
    return int(height / 2 - scale * (offset @ up)), int(width / 2 + scale * (offset @ right))


def test_where_vtk_ends_the_process_there_is_a_sentence(ball, tmp_path, monkeypatch):
    crash = tmp_path / "crash.py"
    crash.write_text(f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})")
    monkeypatch.setattr(export, "RENDER_PROCESS", crash)
    with pytest.raises(gs.GenesisException, match=r"able to draw.*status -11.*apt-get install libegl1"):
        ball.export(tmp_path / "a.png")
    crash.write_text("raise ValueError('no light')")
    with pytest.raises(gs.GenesisException, match=r"status 1 .*ValueError: no light"):
        ball.export(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == [crash]


@pytest.mark.parametrize("ending, limit", [("vtm", 30_000), ("vtp", 10_000), ("png", 500)])
def test_a_full_disk_is_told_and_leaves_what_was_there(request, ball, tmp_path, monkeypatch, ending, limit):
    resource = pytest.importorskip("resource", reason="limits of file sizes are a feature of Unix")
    target = tmp_path / f"pose.{ending}"
    if ending == "png":
        request.getfixturevalue("drawing")
        limited = tmp_path / "limited.py"  # the limit holds for the picture alone, not for what it is drawn from
        text = Path(export.RENDER_PROCESS).read_text(encoding="utf-8")
        line = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n    with open(picture"
        assert "    with open(picture" in text
        limited.write_text(text.replace("with open(picture", line))
        monkeypatch.setattr(export, "RENDER_PROCESS", limited)
        target.write_bytes(b"old")
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(gs.GenesisException, match=r"pose\.png must be writable.*disk"):
            ball.export(target)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
        return
    ball.export(target)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
    try:
        with pytest.raises(gs.GenesisException, match=r"pose\.\w+ must be writable.*disk"):
            ball.export(target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert set(os.listdir(tmp_path)) == {path.relative_to(tmp_path).parts[0] for path in before}
