"""Meshes that touch as several convex hulls."""

import builtins
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import genesis as gs
from genesis.meshes.decomposition import convex_parts
from genesis.solvers.rigid.publish import link_colliders
from tests.meshes.shapes import CUBE, CUBE_FACES, ELL, prism, write_obj

pytest.importorskip("trimesh")
pytestmark = pytest.mark.precision("64")
UPRIGHT = {"scale": 0.1, "euler": (90.0, 0.0, 0.0)}
"""An L of 0.3 m, a wall on the end of a foot, both 0.1 m thick."""
VOLUME = 5e-3


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_obj(tmp_path / "ell.obj", *prism(ELL))


@pytest.fixture
def cut(monkeypatch):
    """Stands in for CoACD: it knows the two boxes of an L. Holds what it was asked to cut."""
    asked = []

    def run(mesh, **settings):
        asked.append((mesh, settings))
        low, size = mesh.vertices.min(0), np.ptp(mesh.vertices, axis=0)
        third = np.array([1, 1 / 3, 1]), np.array([1 / 3, 2 / 3, 1])
        return [[low + CUBE * (size * part) + begin * size, CUBE_FACES]
                for part, begin in zip(third, (np.zeros(3), np.array([0, 1 / 3, 0])), strict=True)]  # fmt: skip

    fake = SimpleNamespace(
        Mesh=lambda vertices, faces: SimpleNamespace(vertices=vertices, faces=faces),
        run_coacd=run, set_log_level=lambda level: None,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "coacd", fake)
    return asked


def scene_with_ball(morph):
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=0.01, substeps=2))
    body = scene.add_entity(morph, gs.materials.Rigid(rho=800.0))
    ball = scene.add_entity(gs.morphs.Sphere(pos=(0.2, -0.05, 0.16), radius=0.04))
    return scene, body, ball


def test_a_ball_lies_in_the_hollow_of_hulls_that_one_hull_would_fill(file, cut, caplog):
    pytest.importorskip("mujoco")
    heights = []
    for decompose in (True, False):
        scene, body, ball = scene_with_ball(gs.morphs.Mesh(file=file, fixed=True, decompose=decompose, **UPRIGHT))
        assert len(body.model.geoms) == (2 if decompose else 1)
        assert ("times its volume" in caplog.text) != decompose
        scene.build()
        for _ in range(40):
            scene.step()
        heights.append(ball.get_pos()[0].tolist())
    np.testing.assert_allclose(heights[0], (0.2, -0.05, 0.14), atol=2e-3)  # on the foot, beside the wall
    assert heights[1][0] > 0.3 or heights[1][2] > 0.2  # thrown off the slope of the hull


def test_mass_and_inertia_are_the_meshes_own_and_particles_feel_the_mesh(file, cut):
    _, whole, _ = scene_with_ball(gs.morphs.Mesh(file=file, **UPRIGHT))
    _, parts, _ = scene_with_ball(gs.morphs.Mesh(file=file, decompose=True, **UPRIGHT))
    assert parts.model.mass[0] == whole.model.mass[0] == pytest.approx(800.0 * VOLUME)
    np.testing.assert_array_equal(parts.model.inertia, whole.model.inertia)
    np.testing.assert_array_equal(parts.model.com, whole.model.com)
    felt = [geom.surface for geom in parts.model.geoms]
    assert len(felt[0].faces) == 20 and len(felt[1].faces) == 0
    colliders = link_colliders(parts.model, (), [0.01])
    assert len(colliders) == 1  # the mesh once, not twice
    assert colliders[0].collider.shape.grid.volume() == pytest.approx(VOLUME, rel=0.02)
    assert len(parts.model.visuals) == 1 and len(parts.model.visuals[0].mesh.faces) == 20
    looks = [[shape.kind for solids in body.visible() for shape in solids.shapes] for body in (whole, parts)]
    assert looks == [["mesh"], ["mesh"]]
    morph = gs.morphs.Mesh(file=file, decompose=True, **UPRIGHT)
    shown = gs.Scene().add_entity(morph, gs.materials.Rigid(), vis_mode="collision").visible()[0]
    assert [shape.kind for shape in shown.shapes] == ["hull", "hull"]


def test_parts_are_computed_once_for_a_surface(file, cut):
    first, second = (gs.morphs.Mesh(file=file, decompose=True, **UPRIGHT) for _ in range(2))
    found = [convex_parts(morph.surface) for morph in (first, second)]
    assert len(cut) == 1 and cut[0][1]["seed"] == 0
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
    convex_parts(gs.morphs.Mesh(file=file, decompose=True, scale=0.2).surface)
    assert len(cut) == 2


def test_without_coacd_the_extra_is_named_before_anything_else(file, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "coacd":
            raise ImportError("No module named 'coacd'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"to cut meshes into convex parts.*\[convex\].*leave decompose out"):
        gs.morphs.Mesh(file=file, decompose=True)


@pytest.mark.parametrize("material", [gs.materials.Tool(), gs.materials.MPM.Elastic()])
def test_what_feels_the_triangles_is_not_decomposed(file, cut, material):
    with pytest.raises(gs.GenesisException, match=r"Mesh.decompose must be False with material"):
        gs.Scene().add_entity(gs.morphs.Mesh(file=file, decompose=True), material)


def test_coacd_cuts_an_ell_into_parts_of_its_volume(file):
    pytest.importorskip("coacd")
    from genesis.meshes.hull import triangles
    from genesis.meshes.surface import Surface

    morph = gs.morphs.Mesh(file=file, decompose=True, **UPRIGHT)
    parts = convex_parts(morph.surface)
    assert 2 <= len(parts) <= 4
    assert sum(Surface(*triangles(part)).volume for part in parts) == pytest.approx(VOLUME, rel=0.05)
    for part in parts:  # within the L: nothing is filled up
        assert (part.min(0) > -0.01).all() and (part.max(0) < (0.31, 0.31, 0.11)).all()
        inside = part.mean(0)
        assert inside[0] < 0.11 or inside[1] < 0.11
