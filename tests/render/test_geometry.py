"""What pictures say about places, against closed forms and rays computed a second time."""

import math

import numpy as np
import pytest

import genesis as gs
from genesis.meshes.hull import half_spaces
from tests.render.render_scenes import SIZE, directions, distance_outside, out_of_sight, plane, scene_of, tool

POS, LOOKAT, FOV = (0.3, -3.0, 1.9), (0.1, 0.1, 1.0), 35.0
TURN = (20.0, 35.0, 50.0)  # degrees
SINGLE = 2e-5  # what single precision leaves of a metre

SHAPES = {
    "sphere": (gs.morphs.Sphere(pos=(0, 0, 1), radius=0.5), (0.5,)),
    "capsule": (gs.morphs.Capsule(pos=(0, 0, 1), radius=0.25, height=0.7, euler=TURN), (0.25, 0.35)),
    "cylinder": (gs.morphs.Cylinder(pos=(0, 0, 1), radius=0.3, height=0.8, euler=TURN), (0.3, 0.4)),
    "box": (gs.morphs.Box(pos=(0, 0, 1), size=(0.5, 0.7, 0.9), euler=TURN), (0.25, 0.35, 0.45)),
}


def rotation(morph):
    w, x, y, z = morph.orientation
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def test_a_sphere_has_its_silhouette_depth_and_normal():
    scene, _ball = scene_of(tool(gs.morphs.Sphere(pos=(0, 0, 1), radius=0.5)))
    camera = scene.add_camera(res=(SIZE, SIZE), pos=(0, -4, 1), lookat=(0, 0, 1), fov=40)
    _, depth, segmentation, normal = camera.render(depth=True, segmentation=True, normal=True)
    middle = SIZE // 2
    assert depth[middle, middle] == pytest.approx(3.5, abs=SINGLE)
    np.testing.assert_allclose(normal[middle, middle], (0, -1, 0), atol=1e-5)
    radius = math.tan(math.asin(0.5 / 4)) / math.tan(math.radians(20)) * SIZE / 2  # pixels
    assert (segmentation == 1).sum() == pytest.approx(math.pi * radius**2, rel=0.01)
    assert np.isinf(depth[0, 0]) and segmentation[0, 0] == 0 and not normal[0, 0].any()


@pytest.mark.parametrize("kind", SHAPES)
def test_points_of_the_picture_lie_on_the_shape_and_rays_that_miss_it_pass_it(kind):
    morph, size = SHAPES[kind]
    scene, _ = scene_of(tool(morph))
    camera = scene.add_camera(res=(SIZE, SIZE), pos=POS, lookat=LOOKAT, fov=FOV)
    _, depth, _, normal = camera.render(depth=True, normal=True)
    rays, turn = directions(POS, LOOKAT, FOV), rotation(morph)
    hit = np.isfinite(depth)
    assert 200 < hit.sum() < hit.size / 2
    points = (np.array(POS) + depth[hit][:, None] * rays[hit] - np.array(morph.pos)) @ turn
    assert np.abs(distance_outside(kind, size, points)).max() < SINGLE
    nearer = (np.array(POS) + (depth[hit] - 1e-3)[:, None] * rays[hit] - np.array(morph.pos)) @ turn
    assert distance_outside(kind, size, nearer).min() > 0  # the first of the two places where the ray meets it
    off = 1e-6
    gradient = [distance_outside(kind, size, points + off * e) - distance_outside(kind, size, points - off * e)
                for e in np.eye(3)]  # fmt: skip
    gradient = np.stack(gradient, -1) / (2 * off) @ turn.T
    smooth = np.abs(np.linalg.norm(gradient, axis=1) - 1) < 1e-3  # not on an edge
    assert smooth.mean() > 0.9
    np.testing.assert_allclose(normal[hit][smooth], gradient[smooth], atol=3e-3)
    along = np.linspace(2.0, 4.0, 300)
    missed = np.array(POS) + along[:, None, None] * rays[~hit][None] - np.array(morph.pos)
    assert distance_outside(kind, size, missed @ turn).min() > -2e-3


def test_a_level_plane_has_the_depth_of_its_rays():
    scene, *_ = scene_of(plane(pos=(0, 0, 0.2)), out_of_sight())
    camera = scene.add_camera(res=(SIZE, SIZE), pos=POS, lookat=LOOKAT, fov=60)
    _, depth, segmentation, normal = camera.render(depth=True, segmentation=True, normal=True)
    down = -directions(POS, LOOKAT, 60)[..., 2]
    expected = np.where(down > 0, (POS[2] - 0.2) / np.where(down > 0, down, 1.0), np.inf)
    near = expected < 100
    np.testing.assert_allclose(depth[near], expected[near], rtol=1e-5)
    assert (segmentation[near] == 1).all() and (segmentation[down <= 0] == 0).all()
    np.testing.assert_array_equal(normal[near], np.broadcast_to((0, 0, 1), (near.sum(), 3)))


@pytest.mark.parametrize("slope", [0.0, 0.15])
def test_height_fields_of_constant_slope_are_planes(slope):
    x = 0.1 * np.arange(41)[:, None] * np.ones((1, 41))
    terrain = gs.morphs.Terrain(pos=(-2, -2, 0.1), heights=slope * x, spacing=0.1)
    scene, *_ = scene_of((terrain, gs.materials.Rigid(), None), out_of_sight())
    camera = scene.add_camera(res=(SIZE, SIZE), pos=(0.2, -1.2, 1.5), lookat=(0.1, 0.1, 0.3), fov=40)
    _, depth, _, _ = camera.render(depth=True)
    points = np.array((0.2, -1.2, 1.5)) + depth[..., None] * directions((0.2, -1.2, 1.5), (0.1, 0.1, 0.3), 40)
    inside = np.isfinite(depth) & (np.abs(points[..., :2]) < 1.8).all(-1)
    assert inside.sum() > 2000
    np.testing.assert_allclose(points[inside][:, 2], 0.1 + slope * (points[inside][:, 0] + 2), atol=2e-4)


GROUNDS = {
    "plane": plane(),
    "tool": tool(gs.morphs.Plane()),
    "height field": (gs.morphs.Terrain(pos=(-2, -2, 0), heights=np.zeros((41, 41)), spacing=0.1), plane()[1], None),
}


@pytest.mark.parametrize("ground", GROUNDS)
def test_grounds_are_seen_from_above_only(ground):
    morph, material, surface = GROUNDS[ground]
    ball = gs.morphs.Sphere(pos=(0, 0, 0.5), radius=0.2), type(material)(), None
    scene, *_ = scene_of(ball, (morph, material, surface))
    pictures = []
    for height in (1.0, -1.0):
        camera = scene.add_camera(res=(SIZE, SIZE), pos=(0, -1.5, height), lookat=(0, 0, 0), fov=40)
        pictures.append(camera.render(rgb=False, segmentation=True)[2])
    above, below = pictures
    assert set(np.unique(above)) == {1, 2} and (above == 2).mean() > 0.5
    assert set(np.unique(below)) == {0, 1}  # through it, the ball


def test_what_is_nearer_hides_what_is_behind():
    front, back = gs.morphs.Sphere(pos=(0, -1, 1), radius=0.2), gs.morphs.Box(pos=(0, 1, 1), size=(1, 0.2, 1))
    for order in ((front, back), (back, front)):
        scene, *_ = scene_of(*(tool(morph) for morph in order))
        camera = scene.add_camera(res=(SIZE, SIZE), pos=(0, -4, 1), lookat=(0, 0, 1), fov=30)
        seen = camera.render(rgb=False, segmentation=True)[2]
        assert seen[SIZE // 2, SIZE // 2] == order.index(front) + 1
        assert seen[SIZE // 2, SIZE // 2 + 15] == order.index(back) + 1


def test_particles_are_balls_where_they_are():
    options = gs.options.MPMOptions(grid_density=20, lower_bound=(-1, -1, -1), upper_bound=(1, 1, 1))
    morph = gs.morphs.Box(pos=(0.1, 0, 0), size=(0.3, 0.3, 0.3))
    for surface in (None, gs.surfaces.Default(vis_mode="recon")):
        scene, body = scene_of((morph, gs.materials.MPM.Elastic(E=100.0), surface), mpm_options=options)
        camera = scene.add_camera(res=(SIZE, SIZE), pos=(0.1, -3, 0), lookat=(0.1, 0, 0), fov=20)
        _, depth, seen, _ = camera.render(depth=True, segmentation=True)
        front = float(body.get_particles_pos()[0, :, 1].min())
        near = depth[seen == 1].min()
        assert front + 3 - 0.05 < near < front + 3
        width = np.ptp(np.nonzero(seen[SIZE // 2])[0]) * 2 * (near + 0.03) * math.tan(math.radians(10)) / SIZE
        assert width == pytest.approx(0.3, rel=0.15)


def test_a_smooth_body_has_flat_faces_and_no_spots():
    """Over the front of a block: balls show each ball's round, the smooth surface the face's one normal and colour."""
    options = gs.options.MPMOptions(grid_density=20, lower_bound=(-1, -1, -1), upper_bound=(1, 1, 1))
    morph = gs.morphs.Box(pos=(0, 0, 0), size=(0.5, 0.5, 0.5))
    tilt, shades = {}, {}
    for mode in ("particle", "recon"):
        surface = gs.surfaces.Default(vis_mode=mode, color="white")
        scene, _ = scene_of((morph, gs.materials.MPM.Elastic(E=100.0), surface), mpm_options=options)
        camera = scene.add_camera(res=(SIZE, SIZE), pos=(0, -3, 0), lookat=(0, 0, 0), fov=15)
        face = slice(SIZE // 2 - 15, SIZE // 2 + 16)  # 22 cm
        rgb, _, seen, normal = camera.render(segmentation=True, normal=True)
        rgb, seen, normal = (image[face, face] for image in (rgb, seen, normal))
        assert (seen == 1).mean() > (0.8 if mode == "particle" else 0.999)  # between balls there are gaps
        tilt[mode] = np.degrees(np.arccos(-normal[seen == 1][:, 1].clip(-1, 1)))
        shades[mode] = rgb[seen == 1].astype(float).std(0).max()
    assert tilt["particle"].mean() > 30 and shades["particle"] > 30  # what there is to be smoothed
    assert tilt["recon"].max() < 7 and shades["recon"] < 8, (tilt["recon"].max(), shades["recon"])


@pytest.mark.parametrize("seed", range(3))
def test_half_spaces_of_a_hull(seed):
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(60, 3))
    faces = half_spaces(points)
    over = points @ faces[:, :3].T - faces[:, 3]
    assert over.max() < 1e-9 and (np.abs(over) < 1e-9).sum(0).min() >= 3  # each face holds three corners or more
    inside = generator.dirichlet(np.ones(60), 200) @ points
    assert (inside @ faces[:, :3].T < faces[:, 3] + 1e-9).all()


def test_half_spaces_of_a_box_and_of_a_flat_square():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-2, 2) for z in (-3, 3)], dtype=float)
    assert sorted(half_spaces(corners)[:, 3].round(9).tolist()) == [1, 1, 2, 2, 3, 3]
    flat = half_spaces(corners * (1, 1, 0))
    assert np.isfinite(flat).all() and (flat[:, 3] < 3e-3).sum() == 2


def test_meshes_and_ellipsoids_of_a_robot_file(tmp_path):
    pytest.importorskip("mujoco")
    file = tmp_path / "shapes.xml"
    file.write_text("""<mujoco><asset>
        <mesh name="m" vertex="-.2 -.3 -.4 .2 -.3 -.4 -.2 .3 -.4 .2 .3 -.4 -.2 -.3 .4 .2 -.3 .4 -.2 .3 .4 .2 .3 .4"/>
        </asset><worldbody><body name="a" pos="0 0 1" euler="10 20 30"><freejoint/>
        <geom type="{kind}" {size} density="500"/></body></worldbody></mujoco>""")
    pictures = {}
    for kind, size in (("mesh", 'mesh="m"'), ("box", 'size=".2 .3 .4"'), ("ellipsoid", 'size=".2 .3 .4"')):
        text = file.read_text().replace("{kind}", kind).replace("{size}", size)
        (tmp_path / f"{kind}.xml").write_text(text)
        scene, robot = scene_of((gs.morphs.MJCF(file=tmp_path / f"{kind}.xml"), gs.materials.Rigid(), None))
        camera = scene.add_camera(res=(SIZE, SIZE), pos=POS, lookat=LOOKAT, fov=FOV)
        pictures[kind] = camera.render(depth=True, normal=True)
    same = np.isfinite(pictures["mesh"][1]) == np.isfinite(pictures["box"][1])
    assert same.mean() > 0.999
    both = np.isfinite(pictures["mesh"][1]) & np.isfinite(pictures["box"][1])
    np.testing.assert_allclose(pictures["mesh"][1][both], pictures["box"][1][both], atol=1e-4)
    depth = pictures["ellipsoid"][1]
    hit = np.isfinite(depth)
    quat = robot.get_quat()[0].tolist()
    turn = rotation(type("Turned", (), {"orientation": quat}))
    points = (np.array(POS) + depth[hit][:, None] * directions(POS, LOOKAT, FOV)[hit] - (0, 0, 1)) @ turn
    assert np.abs(distance_outside("ellipsoid", (0.2, 0.3, 0.4), points)).max() < 10 * SINGLE
