"""Contacts of convex meshes with spheres, capsules, boxes and one another, against MuJoCo's and against differences."""

import numpy as np
import pytest

from genesis.contact.narrow_phase.layout import CASE, DISTANCE, MOST, ROUNDS
from tests.contact.convex import Scene, by_mujoco, hulls_of, random_scene, records, slopes
from tests.contact.narrow_phase import Pairs, outputs

pytestmark = pytest.mark.slow  # the search compiles for a minute
PAIRS = (("sphere", "hull"), ("capsule", "hull"), ("box", "hull"), ("hull", "hull"))
REACHES = (0.0, 0.05)


def scenes(kinds: tuple[str, str], n: int, reach: float) -> list[Scene]:
    return [random_scene(kinds, n, seed, reach) for seed in range(4)]


@pytest.mark.precision("64")
@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("kinds", PAIRS)
def test_contacts_are_mujocos(kinds, reach):
    """Of MuJoCo with converged searches, in any order: rounding decides where it begins to count a polygon's corners.

    Left out is what it has more of: the other end of a capsule deep in a mesh, and with a margin the points that it
    finds by turning the bodies a little. Of some pairs of meshes, about one in thirty, it clips other features.
    """
    wrong, other, many = [], 0, 0
    for scene in scenes(kinds, 150, reach):
        found, count, failed = records(scene, hulls_of(scene))
        assert failed == 0
        for i, rows in enumerate(by_mujoco(scene)):
            assert (len(rows) == 0) == (count[i] == 0)
            if count[i] and (len(rows) == count[i] or (reach == 0.0 and kinds[0] != "capsule")):
                many += 1
                ours = outputs(found[i, : count[i]])
                error = np.abs(rows[:, None] - ours).max(-1)
                wrong.append(max(error.min(0).max(), error.min(1).max()))
                other += wrong[-1] > 1e-5
    assert many > 50
    assert other <= many / 20
    assert np.median(wrong) < 1e-12


@pytest.mark.precision("64")
def test_a_mesh_box_lies_on_a_box_with_four_points():
    """Shifted and turned in its plane, at MuJoCo's depths and places, in any order."""
    scene, rng = random_scene(("box", "hull"), 60, 1, box_like=True), np.random.default_rng(2)
    half = hulls_of(scene)[0].vertices.max(0)
    pairs = scene.pairs
    for i in range(len(pairs)):
        angle = rng.choice([0.0, 0.3, 1.0])
        c, s = np.cos(angle), np.sin(angle)
        pairs.Ra[i], pairs.Rb[i] = np.eye(3), [[c, -s, 0], [s, c, 0], [0, 0, 1]]
        pairs.p[i] = (*rng.uniform(-0.02, 0.02, 2), pairs.size_a[0, 2] + half[2] - 1e-3)
    found, count, failed = records(scene, hulls_of(scene))
    assert failed == 0
    for i, rows in enumerate(by_mujoco(scene)):
        assert count[i] == len(rows) == 4
        ours = outputs(found[i, :4])
        assert np.abs(rows[:, None] - ours).max(-1).min(1).max() < 1e-5
        assert np.abs(found[i, :4, DISTANCE] + 1e-3).max() < 1e-7


@pytest.mark.precision("64")
@pytest.mark.parametrize("kinds", PAIRS)
def test_slopes_are_differences(kinds):
    """Of place, normal and distance by all displacements of B, wherever the same features touch at both sides, in the
    same order: which of two ends comes first is left to rounding."""
    h, errors, total, steady_ones = 1e-6, [], 0, 0
    for reach in REACHES:
        for scene in scenes(kinds, 100, reach):
            pairs, hulls = scene.pairs, hulls_of(scene)
            g = np.random.default_rng(6).normal(size=(len(pairs), MOST, 7))
            found, count, _failed = records(scene, hulls)
            computed, differences = slopes(scene, hulls, g), np.zeros((len(pairs), MOST, 6))
            valid, steady = np.arange(MOST) < count[:, None], count > 0
            kept = [CASE, *range(ROUNDS, ROUNDS + 4)]
            for c in range(6):
                step = np.zeros((len(pairs), 6))
                step[:, c] = h
                sides = []
                for sign in (1.0, -1.0):
                    moved: Pairs = pairs.displaced(sign * step[:, :3], sign * step[:, 3:])
                    sides.append(records(Scene(scene.kinds, scene.vertices, moved), hulls))
                difference = outputs(sides[0][0]) - outputs(sides[1][0])
                differences[:, :, c] = (difference * g).sum(-1) / (2 * h)
                for there, count_there, _ in sides:
                    same = np.abs(there - found)[:, :, kept].max(-1) < 1e-3
                    steady &= (count_there == count) & (same | ~valid).all(1)
                    near = np.abs(outputs(there) - outputs(found)).max(-1) < 1e-3
                    steady &= (near | ~valid).all(1)
            total, steady_ones = total + (count > 0).sum(), steady_ones + steady.sum()
            chosen = valid & steady[:, None]
            wrong, size = np.abs(computed - differences)[chosen].max(-1), np.abs(differences[chosen]).max(-1)
            errors += list(wrong / np.maximum(1.0, size) ** 3)
    assert steady_ones > 0.75 * total
    assert np.median(errors) < 1e-8
    assert np.max(errors) < 1e-5
