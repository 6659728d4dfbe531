"""Triangles in pictures: against analytic shapes, and against every triangle tried in numpy."""

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.engine.entities.base import Entity
from genesis.meshes.triangles import TriangleMesh, centred
from genesis.visible import Shape, Solids
from tests.meshes.shapes import CUBE, CUBE_FACES, ball, write_obj
from tests.render.render_scenes import SIZE, directions, out_of_sight, plane, scene_of, tool

pytest.importorskip("trimesh")
pytestmark = pytest.mark.precision("32")
POS, LOOKAT, FOV = (0.31, -3.02, 1.9), (0.11, 0.13, 1.0), 35.0
PLACE = {"pos": (0.0, 0.0, 1.0), "euler": (20.0, 35.0, 50.0)}


def picture(scene, pos=POS, lookat=LOOKAT, fov=FOV):
    camera = scene.add_camera(res=(SIZE, SIZE), pos=pos, lookat=lookat, fov=fov)
    return camera.render(depth=True, segmentation=True, normal=True)


def test_a_mesh_of_a_box_is_drawn_as_the_box(tmp_path):
    """To the pixel: outline, depth, normals, light and shadow, on the floor too."""
    size = (0.5, 0.7, 0.9)
    file = write_obj(tmp_path / "box.obj", (CUBE - 0.5) * size, CUBE_FACES)
    found = []
    for morph in (gs.morphs.Box(size=size, **PLACE), gs.morphs.Mesh(file=file, scale=0.9, **PLACE)):
        scene, *_ = scene_of(tool(morph, "orange"), plane(pos=(0, 0, 0.2)), out_of_sight())
        found.append(picture(scene))
    (rgb, depth, seen, normal), (rgb_mesh, depth_mesh, seen_mesh, normal_mesh) = found
    assert 1000 < (seen == 1).sum() < seen.size / 2
    np.testing.assert_array_equal(seen_mesh, seen)
    np.testing.assert_allclose(depth_mesh, depth, atol=2e-5)
    np.testing.assert_allclose(normal_mesh, normal, atol=1e-5)
    assert np.abs(rgb_mesh.astype(int) - rgb).max() <= 1


def test_finer_and_finer_meshes_of_a_ball_become_the_ball(tmp_path):
    sphere, *_ = scene_of(tool(gs.morphs.Sphere(pos=(0, 0, 1), radius=0.5), "teal"))
    rgb, depth, seen, normal = picture(sphere)
    apart, tilt = [], []
    for n in (16, 32, 64):
        file = write_obj(tmp_path / f"ball{n}.obj", *ball(n, 0.5))
        scene, *_ = scene_of(tool(gs.morphs.Mesh(file=file, pos=(0, 0, 1)), "teal"))
        finer = picture(scene)
        assert not (finer[2] == 1)[seen == 0].any()  # a polyhedron within the ball
        middle = depth < np.quantile(depth[seen == 1], 0.8)
        assert (finer[2] == 1)[middle].all()  # no ray slips through
        apart.append(np.abs(finer[1][middle] - depth[middle]).max())
        tilt.append(np.degrees(np.arccos((finer[3] * normal).sum(-1)[middle].clip(-1, 1))).max())
    assert apart[0] > 3 * apart[1] > 9 * apart[2]  # by the square of an edge
    assert apart[2] < 0.5 * np.sin(np.pi / 64) ** 2 / 0.4  # rays that come in at 66 degrees or less
    assert tilt[2] < 1.0 and tilt[2] < tilt[1] < tilt[0]  # normals are smooth, not those of the triangles: 3 degrees
    assert np.abs(finer[0].astype(int) - rgb)[middle].max() <= 6


class Seen(Entity):
    """Whatever shape it is given, turned."""

    kind = "seen"
    quat = torch.tensor([0.8, -0.2, 0.4, 0.4]) / 1.0

    def __init__(self, idx, shape):
        super().__init__(idx, "seen", gs.morphs.Sphere(radius=0.1), None, gs.surfaces.Default())
        self.shape = shape

    def visible(self):
        pose = torch.tensor([[[0.1, 0.2, 1.0]]]), self.quat.expand(1, 1, 4)
        return (Solids((self.shape,), lambda: pose),)


def scene_of_triangles(vertices, faces):
    """A scene with an open mesh in front of its camera, and the corners (f, 3, 3) in the world."""
    scene, _ = scene_of(tool(gs.morphs.Sphere(pos=(0, -60, 5), radius=0.1)))
    middle, mesh = centred(vertices, faces)
    w, x, y, z = (Seen.quat / Seen.quat.norm()).tolist()
    turn = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    scene._entities.append(Seen(1, Shape("mesh", (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), pos=tuple(middle), mesh=mesh)))
    return scene, vertices[faces] @ turn.T + (0.1, 0.2, 1.0)


def nearest(corners, pos, rays):
    """Length along each ray (n, 3) to the first of all triangles, inf if none, and how clearly: the least volume with a
    side over that of the triangle, of any triangle that decides."""
    a, b, c = (corners[:, k] for k in range(3))
    n = np.cross(b - a, c - a)
    best, clear = np.full(len(rays), np.inf), np.full(len(rays), np.inf)
    for k in range(len(corners)):
        down = rays @ n[k]
        s = ((a[k] - pos) @ n[k]) / np.where(np.abs(down) > 1e-12, down, 1e-12)
        at = pos + s[:, None] * rays
        inside = np.min([np.cross(q - p, at - p) @ n[k] for p, q in ((a[k], b[k]), (b[k], c[k]), (c[k], a[k]))], 0)
        inside /= n[k] @ n[k]
        best = np.where((inside > 0) & (s > 0) & (s < best), s, best)
        clear = np.minimum(clear, np.abs(inside))
    return best, clear


def test_rays_meet_the_nearest_of_all_triangles():
    """Of a heap of open triangles, large and small, seen from both sides."""
    rng = np.random.default_rng(3)
    vertices = rng.uniform(-0.5, 0.5, (220, 1, 3)) + rng.uniform(-0.12, 0.12, (220, 3, 3))
    vertices[:5] *= 3.0
    scene, corners = scene_of_triangles(vertices.reshape(-1, 3), np.arange(660).reshape(-1, 3))
    _, depth, seen, normal = picture(scene)
    rays = directions(POS, LOOKAT, FOV).reshape(-1, 3)
    wanted, clear = nearest(corners, np.array(POS), rays)
    sure = clear > 1e-3
    assert sure.mean() > 0.9 and 0.1 < np.isfinite(wanted).mean() < 0.9
    np.testing.assert_allclose(depth.ravel()[sure], wanted[sure], atol=1e-4)
    assert (np.isfinite(depth) == (seen == 2)).all()
    towards = (normal.reshape(-1, 3) * rays).sum(1)[np.isfinite(depth).ravel()]
    assert (towards < 1e-3).all()  # on the side that the ray comes from


@pytest.mark.parametrize("n", [1, 4, 5, 37, 1000])
def test_the_tree_of_a_mesh_holds_every_triangle_once(n):
    rng = np.random.default_rng(n)
    mesh = TriangleMesh(rng.normal(size=(3 * n, 3)), np.arange(3 * n).reshape(-1, 3))
    tree, leaves = mesh.tree, len(mesh.tree.first) - 1
    assert sorted(tree.order) == list(range(n)) and len(tree.axis) == leaves and len(tree.lower) == 2 * leaves
    assert np.diff(tree.first).max() <= 4 and np.diff(tree.first).min() >= 1
    for leaf in range(leaves):
        own = mesh.corners[tree.order[tree.first[leaf] : tree.first[leaf + 1]]]
        node = leaves + leaf
        while node:
            assert (tree.lower[node] <= own).all() and (own <= tree.upper[node]).all()
            node //= 2


def test_normals_are_smooth_where_the_surface_is_and_sharp_at_edges():
    cube = TriangleMesh(CUBE, CUBE_FACES)
    flat = np.cross(*np.moveaxis(np.diff(cube.corners, axis=1), 1, 0))
    np.testing.assert_allclose(cube.normals, np.repeat(flat[:, None], 3, 1), atol=1e-12)
    assert len(cube.split[0]) == 24  # four corners of each face
    vertices, faces = ball(32)
    loose = TriangleMesh(vertices[faces].reshape(-1, 3), np.arange(3 * len(faces)).reshape(-1, 3))  # as in STL files
    for mesh in (TriangleMesh(vertices, faces), loose):
        outwards = (mesh.normals * mesh.corners).sum(2)
        assert np.degrees(np.arccos(outwards.min())) < 1.0
        assert len(mesh.split[0]) == len(vertices)
