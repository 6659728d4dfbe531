"""What is told at build of bodies and particles that begin in each other's way, or out of reach."""

import logging

import numpy as np
import pytest

import genesis as gs
from genesis.contact.colliders import Domain
from genesis.contact.shapes import Shape
from genesis.engine.placing import Placed
from genesis.meshes.distances import grid_of
from genesis.meshes.surface import Surface
from tests.meshes.shapes import CUBE, CUBE_FACES
from tests.physics.test_links_push_particles import scene_of
from tests.rigid.rigid_models import file_of

QUAT = np.array([0.8, 0.2, -0.4, np.sqrt(0.16)])
"""Of length one."""
SHAPES = {
    "sphere": (Shape("sphere", (0.3, 0.0, 0.0)), 4 / 3 * np.pi * 0.3**3),
    "capsule": (Shape("capsule", (0.2, 0.25, 0.0)), np.pi * 0.2**2 * 0.5 + 4 / 3 * np.pi * 0.2**3),
    "box": (Shape("box", (0.3, 0.2, 0.1)), 8 * 0.3 * 0.2 * 0.1),
    "cylinder": (Shape("cylinder", (0.2, 0.3, 0.0)), np.pi * 0.2**2 * 0.6),
    "mesh": (None, 0.5**3),
}


@pytest.fixture
def told(caplog):
    with caplog.at_level(logging.WARNING, logger="genesis"):
        yield lambda word: [r.getMessage() for r in caplog.records if word in r.getMessage()]


@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_inside_a_shape_fills_its_volume_and_its_extent(kind, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shape, volume = SHAPES[kind]
    shape = shape or Shape("mesh", (1.0, 0.0, 0.0), grid_of(Surface(0.5 * CUBE, CUBE_FACES), 24, 0.05))
    placed = Placed("it", shape, np.array([0.1, -0.2, 0.3]), QUAT, True, True)
    points = placed.pos + np.random.default_rng(0).uniform(-1, 1, (200_000, 3))
    inside = points[placed.inside(points)]
    assert 8 * len(inside) / len(points) == pytest.approx(volume, rel=0.06)
    low, high = placed.extent()
    assert (inside >= low - 0.02).all() and (inside <= high + 0.02).all()
    assert np.allclose((inside.min(0), inside.max(0)), (low, high), atol=0.08)


def test_how_far_a_body_lies_behind_a_wall():
    domain = Domain((0.0,) * 3, (1.0,) * 3, 0.3, 0.1)

    def behind(shape, pos, quat=(1.0, 0.0, 0.0, 0.0)):
        return Placed("it", shape, np.array(pos), np.array(quat), True, True).behind(domain)

    plane, box = Shape("plane", (0.0, 0.0, 0.0)), Shape("box", (0.2, 0.2, 0.05))
    assert behind(plane, (5.0, 5.0, -0.7)) == pytest.approx(0.7) and behind(plane, (0.0, 0.0, 0.0)) == 0.0
    assert behind(plane, (0.5, 0.5, 1.2), (0.0, 1.0, 0.0, 0.0)) == pytest.approx(0.2)  # it looks down
    assert behind(plane, (0.0, 0.0, 0.4)) == 0.0
    assert behind(box, (0.5, 0.5, -0.1)) == pytest.approx(0.05)
    assert behind(box, (0.5, 0.5, -0.5)) == 0.0  # out of everything
    assert behind(box, (0.5, 0.5, 0.0)) == 0.0


def test_a_ground_behind_the_walls_of_particles_is_told(told):
    """Particles live from 0.3 to 1.3 m."""
    plane, tilted = gs.morphs.Plane(pos=(0.0, 0.0, 0.1)), gs.morphs.Plane(pos=(0.3, 0.3, 0.4), normal=(0.3, 0.0, 1.0))
    table = gs.morphs.Box(pos=(0.8, 0.8, 0.2), size=(0.4, 0.4, 0.1), fixed=True)
    pedestal = gs.morphs.Box(pos=(0.8, 0.8, -0.5), size=(0.4, 0.4, 0.1), fixed=True)
    shelf = gs.morphs.Box(pos=(0.8, 0.8, 0.3), size=(0.4, 0.4, 0.1), fixed=True)
    scene_of(*((morph, gs.materials.Rigid()) for morph in (plane, tilted, table, pedestal, shelf)))
    found = told("behind")
    assert len(found) == 2 and not told("start outside")
    assert "got 'box_3/box', 0.05 m behind it" in found[0]
    assert "got 'plane_1', 0.2 m behind it" in found[1] and "out by more than 0.2 m" in found[1]


def test_particles_that_begin_inside_a_link_of_a_robot_are_told(told):
    """Of 64 in a block from 0.7 to 0.9 m, half a cell of 0.1 m apart; a robot's pose is often set before it counts.
    Told once for each link, however many shapes it has."""
    arm = """<mujoco><worldbody><body name="palm" pos="0.8 0.8 0.7"><joint type="slide" axis="0 0 1"/>
        <geom type="sphere" size="0.06" density="2000"/><geom type="sphere" size="0.05" density="2000"/>
        </body></worldbody></mujoco>"""
    scene_of((gs.morphs.MJCF(file=file_of(arm)), gs.materials.Rigid()))
    (found,) = told("start outside")
    assert "got 4 of the 64 of 'box_0' inside 'mjcf_1/palm'" in found


def test_bodies_that_begin_in_each_other_are_told(told):
    """Of particles and of rigid solids, each pair once; not what is fixed, nor what only touches."""
    scene = gs.Scene(mpm_options=gs.options.MPMOptions(grid_density=20))
    soft, size = gs.materials.MPM.Elastic(), (0.2, 0.2, 0.2)
    for x, material in ((-0.4, soft), (-0.3, soft), (-0.1, soft), (0.2, None), (0.25, None), (0.45, None)):
        scene.add_entity(gs.morphs.Box(pos=(x, 0.0, 0.5), size=size), material)
    scene.add_entity(gs.morphs.Plane(pos=(0.0, 0.0, -0.1)))
    scene.add_entity(gs.morphs.Box(pos=(0.8, 0.0, -0.1), size=size, fixed=True))
    low = scene.add_entity(gs.morphs.Sphere(pos=(0.8, 0.5, -0.2), radius=0.2))
    scene.build()
    (of_particles,) = told("bodies of particles must begin")
    assert "got 256 of the 512 particles of 'box_0' inside 'box_1'" in of_particles
    pair, buried = sorted(told("rigid bodies must begin"), key=lambda text: "plane" in text)
    assert "inside 'box_3'" in pair or "inside 'box_4'" in pair
    assert repr(low.name) in buried
