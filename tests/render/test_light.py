"""Colours: shadows, smooth surfaces without spots, determinism, batches."""

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.render.picture import SUN
from tests.render.render_scenes import SIZE, out_of_sight, plane, scene_of, tool


def at(camera, place):
    """Pixel (row, column) of a place, from the camera's own definition."""
    pos, lookat = (np.array(camera._pose[name][0]) for name in ("pos", "lookat"))
    forward = (lookat - pos) / np.linalg.norm(lookat - pos)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    up, offset = np.cross(right, forward), np.array(place) - pos
    half = np.tan(np.radians(camera.fov) / 2)
    width, height = camera.res
    x, y = (offset @ axis / (offset @ forward) / half for axis in (right, up))
    return round((1 - y) * height / 2 - 0.5), round((x * height / width + 1) * width / 2 - 0.5)


def brightness(rgb, place):
    row, column = place
    return float(rgb[row - 1 : row + 2, column - 1 : column + 2].mean())


def test_shadows_lie_away_from_the_sun_and_are_darker():
    ball = gs.morphs.Sphere(pos=(0, 0, 0.8), radius=0.2)
    scene, *_ = scene_of(plane("white"), (ball, gs.materials.Rigid(), None))
    camera = scene.add_camera(res=(240, 240), pos=(0.5, -3, 3), lookat=(0.2, 0.2, 0.2), fov=45)
    rgb = camera.render()[0]
    shadow = -SUN * 0.8 / SUN[2] + (0, 0, 0.8)
    assert abs(shadow[2]) < 1e-12
    in_shadow, opposite = brightness(rgb, at(camera, shadow)), brightness(rgb, at(camera, -shadow))
    assert in_shadow < 0.75 * opposite


def test_the_side_towards_the_sun_is_brighter():
    scene, _ = scene_of(tool(gs.morphs.Sphere(pos=(0, 0, 1), radius=0.5), "red"))
    camera = scene.add_camera(res=(120, 120), pos=tuple(4 * np.cross(SUN, (0, 0, 1)) + (0, 0, 1)), lookat=(0, 0, 1))
    rgb = camera.render()[0]
    lit, dark = (brightness(rgb, at(camera, np.array((0, 0, 1)) + 0.35 * side * SUN)) for side in (1, -1))
    assert lit > 1.5 * dark


@pytest.mark.parametrize(("height", "edge"), [(1.5, 0.2), (4.0, 0.5), (8.0, 1.0)])
def test_the_ground_is_a_checker_that_stays_where_it_is(height, edge):
    """From straight above: pixels off the borders have their square's shade, wherever the camera is."""
    scene, *_ = scene_of(plane(), out_of_sight())
    for x, y in ((0.0, 0.0), (0.37, -1.83)):
        camera = scene.add_camera(res=(SIZE, SIZE), pos=(x, y, height), lookat=(x, y, 0), up=(0, 1, 0), fov=45)
        shade = camera.render()[0].mean(-1)
        reach = height * np.tan(np.radians(22.5)) * ((np.arange(SIZE) + 0.5) * 2 / SIZE - 1)
        across, along = (x + reach)[None, :] / edge, (y - reach)[:, None] / edge  # in squares
        inside = np.minimum(abs(across - np.round(across)), abs(along - np.round(along))) > 0.15
        light = (np.floor(across) + np.floor(along)) % 2 == 1
        assert shade[light & inside].min() > shade[~light & inside].max() + 10


@pytest.mark.parametrize("turn", [0.0, 25.0, 55.0, 80.0])
def test_lit_faces_have_no_spots(turn):
    """Neighbouring pixels of a flat face differ by no more than its gloss changes: no shadow acne."""
    scene, _ = scene_of(tool(gs.morphs.Box(pos=(0, 0, 1), size=(1, 1, 1), euler=(0, 0, turn)), "orange"))
    camera = scene.add_camera(res=(240, 240), pos=(0.5, -3, 3), lookat=(0, 0, 1))
    rgb, _, _, normal = camera.render(normal=True)
    flat = np.ones(normal.shape[:2], dtype=bool)
    for axis in (0, 1):
        for shift in (-1, 1):
            flat &= (np.roll(normal, shift, axis) == normal).all(-1)
    flat &= normal.any(-1)
    inner = flat.copy()
    for axis in (0, 1):
        for shift in (-1, 1):
            inner &= np.roll(flat, shift, axis)
    step = np.abs(np.diff(rgb.astype(int), axis=0)).max(-1)[inner[1:] & inner[:-1]]
    assert len(step) > 2000 and step.max() <= 3


def test_edges_are_smooth():
    """Along the outline of a red ball before a bright ground there are colours between the two."""
    scene, *_ = scene_of(tool(gs.morphs.Sphere(pos=(0, 0, 1), radius=0.5), "red"))
    camera = scene.add_camera(res=(120, 120), pos=(0, -4, 1), lookat=(0, 0, 1), fov=25)
    rgb, _, seen, _ = camera.render(segmentation=True)
    mixed = 0
    for row in range(30, 90):
        green, first = rgb[row, :, 1].astype(int), np.nonzero(seen[row])[0][0]
        around, ball = green[first - 3], green[first + 3]
        mixed += ((green[first - 1 : first + 1] > ball + 10) & (green[first - 1 : first + 1] < around - 10)).any()
    assert mixed > 30


def test_colors_of_surfaces_are_seen():
    for name, channel in (("red", 0), ("green", 1), ("blue", 2)):
        scene, _ = scene_of(tool(gs.morphs.Sphere(pos=(0, 0, 1), radius=0.5), name))
        camera = scene.add_camera(res=(61, 61), pos=(0, -4, 1), lookat=(0, 0, 1))
        assert camera.render()[0][30, 30].argmax() == channel


@pytest.mark.parametrize("more", [10, 16, 22])
def test_a_wider_picture_has_the_narrower_one_in_its_middle(more):
    """Whichever pixels share a packet, and where the border is."""
    scene = gs.Scene()
    for pos, radius in (((0, 0.2, 0.5), 0.25), ((0.3, -0.3, 0.2), 0.1), ((-0.3, -0.4, 0.3), 0.05)):
        morph = gs.morphs.Capsule(pos=pos, radius=radius, height=0.4, euler=(30, 60, 0))
        scene.add_entity(morph, material=gs.materials.Tool())
    scene.add_entity(gs.morphs.Plane(), material=gs.materials.Tool())
    scene.build()
    look = {"pos": (0.5, -3, 1.5), "lookat": (0.1, 0, 0.3), "fov": 25.0}
    narrow = scene.add_camera(res=(101, 160), **look).render(depth=True, segmentation=True)
    wide = scene.add_camera(res=(101 + more, 160), **look).render(depth=True, segmentation=True)
    rgb, depth, seen = (image[:, more // 2 : more // 2 + 101] for image in wide[:3])
    same = seen == narrow[2]
    assert same.mean() > 0.999
    np.testing.assert_allclose(depth[same], narrow[1][same], rtol=1e-4)
    off = np.abs(rgb.astype(int) - narrow[0]).max(-1)[:, 1:-1]  # at the border a pixel has no neighbour
    assert (off <= 2).mean() > 0.998 and len(np.unique(narrow[2])) >= 4


@pytest.fixture(scope="module")
def batch():
    scene = gs.Scene()
    scene.add_entity(gs.morphs.Plane(), material=gs.materials.Rigid())
    robot = scene.add_entity(gs.morphs.Robot(name="ant"))
    scene.build(n_envs=3)
    robot.set_pos(torch.tensor([[0.0, 0.0, 0.8], [0.3, 0.1, 0.9], [-0.2, 0.4, 1.1]]))
    return scene, robot


def pictures(camera, **options):
    return camera.render(depth=True, segmentation=True, normal=True, **options)


def test_the_same_state_gives_the_same_bits(batch):
    scene, _robot = batch
    camera = scene.add_camera(res=(96, 64), pos=(0.5, -3, 1.5), lookat=(0, 0, 0.5), fov=45)
    first = pictures(camera)
    camera.set_pose(pos=(2, 2, 2))
    pictures(camera)
    camera.set_pose(pos=(0.5, -3, 1.5))
    again = pictures(camera)
    other = pictures(scene.add_camera(res=(96, 64), pos=(0.5, -3, 1.5), lookat=(0, 0, 0.5), fov=45))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_rows_of_a_batch_are_single_pictures(batch):
    scene, _robot = batch
    camera = scene.add_camera(res=(96, 64), pos=(0.5, -3, 1.5), lookat=(0, 0, 0.5), fov=45)
    whole = pictures(camera)
    assert [image.shape for image in whole] == [(3, 64, 96, 3), (3, 64, 96), (3, 64, 96), (3, 64, 96, 3)]
    assert [image.dtype for image in whole] == [np.uint8, np.float32, np.int32, np.float32]
    for env in range(3):
        for image, row in zip(pictures(camera, envs_idx=env), whole, strict=True):
            np.testing.assert_array_equal(image, row[env])
    for image, rows in zip(pictures(camera, envs_idx=[2, 0]), whole, strict=True):
        np.testing.assert_array_equal(image, rows[[2, 0]])
    assert not np.array_equal(whole[0][0], whole[0][1])


def test_a_scene_of_its_own_gives_the_picture_of_the_row(batch):
    scene, robot = batch
    alone = gs.Scene()
    alone.add_entity(gs.morphs.Plane(), material=gs.materials.Rigid())
    other = alone.add_entity(gs.morphs.Robot(name="ant"))
    alone.build()
    other.set_pos(robot.get_pos()[1].sceneless())
    where = {"res": (96, 64), "pos": (0.5, -3, 1.5), "lookat": (0, 0, 0.5), "fov": 45}
    rows = pictures(scene.add_camera(**where), envs_idx=1)
    for row, image in zip(rows, pictures(alone.add_camera(**where)), strict=True):
        np.testing.assert_array_equal(row, image)
