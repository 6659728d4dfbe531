"""Faces of hulls: those that a file's compiler has made, and those found anew from corners alone."""

import mujoco
import numpy as np
import pytest

from genesis.errors import GenesisValueError
from genesis.loaders.contacts import _hull
from genesis.loaders.polygons import found_polygons

CUBE = np.array([[x, y, z] for x in (-0.1, 0.1) for y in (-0.2, 0.2) for z in (-0.3, 0.3)])


def compiled(points: np.ndarray) -> tuple[np.ndarray, tuple[tuple[int, ...], ...]]:
    text = " ".join(f"{x:.9f}" for x in points.ravel())
    asset, geom = f'<mesh name="m" vertex="{text}"/>', '<geom type="mesh" mesh="m"/>'
    model = mujoco.MjModel.from_xml_string(f"<mujoco><asset>{asset}</asset><worldbody>{geom}</worldbody></mujoco>")
    return _hull(model, 0, "the file")


def outward(vertices: np.ndarray, polygon: tuple[int, ...]) -> float:
    a, b, c = vertices[list(polygon[:3])]
    return float(np.cross(b - a, c - b) @ (a - vertices.mean(0)))


@pytest.mark.parametrize("points", [CUBE, np.random.default_rng(0).normal(size=(40, 3))], ids=["cube", "points"])
def test_faces_hold_each_corner_and_look_outwards(points):
    vertices, polygons = compiled(points)
    edges = sum(map(len, polygons)) // 2
    assert len(vertices) - edges + len(polygons) == 2  # Euler's formula
    assert all(outward(vertices, polygon) > 0.0 for polygon in polygons)
    assert {frozenset(polygon) for polygon in found_polygons(vertices)} == set(map(frozenset, polygons))


def test_the_faces_of_a_cube_are_six():
    assert sorted(map(len, compiled(CUBE)[1])) == [4] * 6


def test_points_inside_of_a_hull_are_refused():
    with pytest.raises(GenesisValueError, match="vertices of a hull must be its corners, got 9 points of which 8 are"):
        found_polygons(np.concatenate([CUBE, np.zeros((1, 3))]))
