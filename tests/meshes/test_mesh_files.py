"""Mesh files become closed surfaces with the right inside and moments, or are refused by name before anything else."""

import builtins

import numpy as np
import pytest

import genesis as gs
from tests.meshes.shapes import CUBE, CUBE_FACES, ELL, ball, prism, together, write_obj

trimesh = pytest.importorskip("trimesh")
pytestmark = pytest.mark.precision("32")
INWARDS = CUBE_FACES[:, ::-1]


def mesh(folder, vertices, faces, **given):
    return gs.morphs.Mesh(file=write_obj(folder / "mesh.obj", vertices, faces), **given)


@pytest.mark.parametrize("ending", ["obj", "stl", "ply", "glb", "gltf", "off"])
def test_every_format_gives_the_same_surface(tmp_path, ending):
    vertices, faces = prism(ELL)
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / f"ell.{ending}")
    morph = gs.morphs.Mesh(file=tmp_path / f"ell.{ending}", scale=0.1)
    assert morph.volume == pytest.approx(0.005, rel=1e-6)
    assert len(morph.surface.vertices) == 12 and len(morph.surface.faces) == 20
    np.testing.assert_allclose(morph.half_extent, (0.15, 0.15, 0.05), rtol=1e-6)
    np.testing.assert_allclose(morph.centre, (0.15, 0.15, 0.05), rtol=1e-6)


def test_a_scene_of_several_moved_parts_is_one_body(tmp_path):
    scene, moved = trimesh.Scene(), np.eye(4)
    moved[:3, 3] = 2.0, 0.0, 0.0
    mirrored = np.diag([1.0, -1.0, 1.0, 1.0])
    scene.add_geometry(trimesh.Trimesh(CUBE, CUBE_FACES), transform=moved)
    scene.add_geometry(trimesh.Trimesh(CUBE, CUBE_FACES), transform=mirrored)
    scene.export(tmp_path / "two.glb")
    morph = gs.morphs.Mesh(file=tmp_path / "two.glb")
    assert morph.volume == pytest.approx(2.0)
    np.testing.assert_allclose(morph.surface.moments[1], (1.5, 0.0, 0.5), atol=1e-12)


def test_moments_are_those_of_the_shape(tmp_path):
    """Of a unit cube beside the origin, scaled along each axis, and of five cubes that make an L."""
    a, b, c = 0.2, 0.3, 0.5
    surface = mesh(tmp_path, CUBE + 7.0, CUBE_FACES, scale=(a, b, c)).surface
    volume, centroid, _ = surface.moments
    assert volume == pytest.approx(a * b * c, rel=1e-12)
    np.testing.assert_allclose(centroid, (7.5 * a, 7.5 * b, 7.5 * c), rtol=1e-12)
    wanted = np.array([b * b + c * c, a * a + c * c, a * a + b * b, 0, 0, 0]) / 4
    np.testing.assert_allclose(surface.inertia(3.0), wanted, atol=1e-12)
    places = np.array([(0, 0), (1, 0), (2, 0), (0, 1), (0, 2)]) + 0.5
    x, y = (places - places.mean(0)).T
    flat = [5 / 6 + (y * y).sum(), 5 / 6 + (x * x).sum(), 5 / 6 + (x * x + y * y).sum(), -(x * y).sum(), 0, 0]
    np.testing.assert_allclose(mesh(tmp_path, *prism(ELL)).surface.inertia(5.0), flat, atol=1e-12)


def test_inside_is_what_the_shape_encloses(tmp_path):
    """Also for points exactly above corners and edges, and beside each other in columns."""
    rng = np.random.default_rng(0)
    morph = mesh(tmp_path, *prism(ELL))
    points = rng.uniform(-0.5, 3.5, (4000, 3)) * (1, 1, 0.5)
    axes = [np.arange(-1, 4) + shift for shift in (0.0, 0.0, 0.5)]
    points = np.concatenate([points, np.stack(np.meshgrid(*axes), -1).reshape(-1, 3)])
    x, y, z = points.T
    within = (0 < z) & (z < 1) & (x > 0) & (y > 0) & (x < 3) & (y < 3) & ((x < 1) | (y < 1))
    edge = np.isin(points[:, :2], (0.0, 1.0, 3.0)).any(1)
    assert (morph.contains(points) == within)[~edge].all() and set(np.unique(morph.surface.winding(points))) == {0, 1}
    sphere = mesh(tmp_path, *ball(40))
    points = rng.uniform(-1, 1, (4000, 3))
    radius = np.linalg.norm(points, axis=1)
    clear = (radius < np.cos(np.pi / 40) ** 2) | (radius > 1)
    assert (sphere.contains(points) == (radius < 1))[clear].all()


def test_a_hollow_is_outside(tmp_path):
    small = 0.5 * CUBE + 0.25
    morph = mesh(tmp_path, *together((CUBE, CUBE_FACES), (small, INWARDS)))
    assert morph.volume == pytest.approx(7 / 8)
    assert morph.contains(np.array([[0.5, 0.5, 0.5], [0.1, 0.5, 0.5]])).tolist() == [False, True]


def test_a_surface_inside_out_is_turned_and_told(tmp_path, caplog):
    morph = mesh(tmp_path, CUBE, INWARDS)
    assert morph.volume == pytest.approx(1.0) and morph.contains(np.full((1, 3), 0.3)).all()
    assert "inside out" in caplog.text


CROSS = CUBE @ np.diag([3.0, 1.0, 1.0]) - (1.0, 0.03, 0.02)
BROKEN = {
    "must be closed, got 3 edges": (CUBE, CUBE_FACES[1:]),
    "must be closed, got 1 edges": together(  # two wedges that share an edge
        prism([(0, 0), (1, 0), (0, 1)]), prism([(0, 0), (-1, 0), (0, -1)])
    ),
    "in one sense, got 3 edges": (CUBE, np.concatenate([CUBE_FACES[1:], CUBE_FACES[:1, ::-1]])),
    "must enclose a volume": (CUBE * (1, 1e-5, 1e-5), CUBE_FACES),
    "must have triangles, got none": (CUBE, CUBE_FACES[:0]),
    "triangles with an area": (CUBE * 0, CUBE_FACES),
    "must not cross itself": together((CUBE, CUBE_FACES), (CROSS, CUBE_FACES)),
    "inside another": together((CUBE, CUBE_FACES), (0.5 * CUBE + 0.25, CUBE_FACES)),
    "is inside out": together((2 * CUBE, CUBE_FACES), (CUBE + 3, INWARDS)),
    "finite corners": (np.where(CUBE == 0, np.nan, CUBE), CUBE_FACES),
}


@pytest.mark.parametrize("words", BROKEN)
def test_surfaces_without_an_inside_are_refused_by_name(tmp_path, words):
    with pytest.raises(gs.GenesisException, match=words) as caught:
        mesh(tmp_path, *BROKEN[words])
    assert "mesh.obj" in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize("scale", [0.0, -1.0, (1.0, 0.0, 1.0), float("nan"), "2", (1.0, 2.0), 1e-9, 1e9])
def test_scales_must_be_positive_lengths(tmp_path, scale):
    with pytest.raises(gs.GenesisException, match="scale|extent"):
        mesh(tmp_path, CUBE, CUBE_FACES, scale=scale)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    for name, content, words in (
        ("none.obj", None, "existing file"),
        ("broken.obj", b"v 0 0\nf 1 2 3\n", "whole .obj file"),
        ("broken.glb", b"abc", "whole .glb file"),
        ("empty.stl", b"", "got none|whole .stl file"),
        ("points.ply", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
                       b"property float z\nend_header\n0 0 0\n", "must have triangles"),
        ("part.step", b"abc", "must be one of .glb"),
        ("nothing", b"abc", "no ending"),
    ):  # fmt: skip
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(gs.GenesisException, match=words):
            gs.morphs.Mesh(file=tmp_path / name)
    for file in (None, 3, ""):
        with pytest.raises(gs.GenesisException, match="must be a path"):
            gs.morphs.Mesh(file=file)


def test_without_trimesh_the_extra_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "trimesh":
            raise ImportError("No module named 'trimesh'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"to read meshes.*\[mesh\]"):
        mesh(tmp_path, CUBE, CUBE_FACES)


def test_the_unknown_fields_of_a_mesh_are_listed_without_what_follows():
    with pytest.raises(gs.GenesisException, match="Valid ones: pos, quat, euler, fixed, file, scale, decompose."):
        gs.morphs.Mesh(surface=3)
