"""Contacts of pairs of geoms against MuJoCo's, and their slopes against differences."""

from dataclasses import replace

import numpy as np
import pytest

from genesis.compiler import layout, ti
from genesis.contact.narrow_phase.box_box import box_box_pair
from genesis.contact.narrow_phase.boxes import box_pairs
from genesis.contact.narrow_phase.cylinders import cylinder_pairs
from genesis.contact.narrow_phase.layout import CASE, DISTANCE, MOST, ROUNDS, SIZES, SLIDING, U
from genesis.contact.narrow_phase.round import round_pairs
from tests.contact.narrow_phase import Pairs, by_mujoco, outputs, records, slopes
from tests.contact.poses import centred_pairs, random_pairs

PAIRS = {
    "sphere_box": box_pairs,
    "box_box": box_box_pair,
    "capsule_box": box_pairs,
    "sphere_cylinder": cylinder_pairs,
    "sphere_sphere": round_pairs,
    "sphere_capsule": round_pairs,
    "capsule_capsule": round_pairs,
}


def errors(name: str, pairs: Pairs, edge: float = 0.0) -> np.ndarray:
    """Largest difference of each pair's contacts from MuJoCo's, without those that are within the reach by less than
    `edge`; infinite where their number differs. In any order for boxes with parallel faces: as these are equally far
    apart from both sides, rounding decides which box's corners are counted round."""
    found, count = records(PAIRS[name], name, pairs)
    out, worst = outputs(found), np.zeros(len(pairs))
    for i, rows in enumerate(by_mujoco(tuple(name.split("_")), pairs)):
        theirs, ours = (side[side[:, 6] < pairs.reach[i] - edge] for side in (rows, out[i, : count[i]]))
        if len(theirs) != len(ours):
            worst[i] = np.inf
            continue
        if name == "box_box" and len(ours) and np.abs(pairs.Ra[i].T @ pairs.Rb[i]).max() > 1.0 - 1e-14:
            ours = ours[np.abs(theirs[:, None] - ours).max(-1).argmin(1)]
        worst[i] = np.abs(theirs - ours).max(initial=0.0)
    return worst


def decided(name: str, pairs: Pairs) -> np.ndarray:
    """Pairs whose contacts MuJoCo does not exchange for others when B is displaced by what rounding is."""
    kinds, steady = tuple(name.split("_")), np.ones(len(pairs), bool)
    here = by_mujoco(kinds, pairs)
    for seed, way in ((0, 1e-11), (0, -1e-11), (1, 1e-11), (1, -1e-11)):
        step = way * np.random.default_rng(seed).normal(size=(2, len(pairs), 3))
        there = by_mujoco(kinds, pairs.displaced(*step))
        steady &= [
            a.shape == b.shape and np.abs(a - b).max(initial=0.0) < 1e-6 for a, b in zip(here, there, strict=True)
        ]
    return steady


@pytest.mark.precision("64")
@pytest.mark.parametrize("name", PAIRS)
def test_contacts_are_mujocos(name):
    """Number, order, places, normals and distances, from deep overlap to the margin, also parallel and aligned."""
    pairs = random_pairs(tuple(name.split("_")), 2000, seed=1)
    steady = decided(name, pairs)
    assert steady.mean() > 0.95  # of symmetric poses, rounding decides which of equal points comes first
    assert np.max(errors(name, pairs.take(steady))) < 1e-10


@pytest.mark.precision("32")
@pytest.mark.parametrize("name", PAIRS)
def test_contacts_in_single_precision(name):
    """Of poses that single precision can hold: places, normals and distances within 1e-4 of sizes below one metre."""
    pairs = random_pairs(tuple(name.split("_")), 2000, seed=2, general=True)
    pairs = Pairs(**{key: value.astype(np.float32).astype(float) for key, value in vars(pairs).items()})
    assert np.max(errors(name, pairs, edge=5e-6)) < 1e-4


@pytest.mark.parametrize("name", PAIRS)
def test_undefined_normals_are_mujocos(name):
    """Cores that meet in a point: MuJoCo's fixed direction, and slopes that are bounded."""
    pairs = centred_pairs(tuple(name.split("_")), 100, seed=3)
    if layout().real == ti.f64:
        assert np.max(errors(name, pairs)) < 1e-10
    found, count = records(PAIRS[name], name, pairs)
    valid = np.arange(MOST) < count[:, None]
    assert valid.any(1).all() and np.isfinite(outputs(found)[valid]).all()
    g = np.random.default_rng(4).normal(size=(len(pairs), MOST, 7))
    assert np.abs(slopes(PAIRS[name], name, pairs, g)[valid]).max() < 100.0


@pytest.mark.precision("64")
@pytest.mark.parametrize("name", PAIRS)
def test_slopes_are_differences(name):
    """Of place, normal and distance by all displacements of B, wherever the same features touch at both sides."""
    pairs, h = random_pairs(tuple(name.split("_")), 1000, seed=5), 1e-6
    g = np.random.default_rng(6).normal(size=(len(pairs), MOST, 7))
    found, count = records(PAIRS[name], name, pairs)
    computed, differences, steady = slopes(PAIRS[name], name, pairs, g), np.zeros((len(pairs), MOST, 6)), count > 0
    valid = np.arange(MOST) < count[:, None]
    kept = [*range(CASE + 1), *range(ROUNDS, ROUNDS + 4)]
    for c in range(6):
        step = np.zeros((len(pairs), 6))
        step[:, c] = h
        sides = [records(PAIRS[name], name, pairs.displaced(s * step[:, :3], s * step[:, 3:])) for s in (1.0, -1.0)]
        differences[:, :, c] = ((outputs(sides[0][0]) - outputs(sides[1][0])) * g).sum(-1) / (2 * h)
        for records_there, count_there in sides:
            same = np.abs(records_there - found)[:, :, kept].max(-1) < 1e-3
            steady &= (count_there == count) & (same | ~valid).all(1)
    assert steady.sum() > 0.7 * (count > 0).sum()
    wrong = np.abs(computed - differences)[valid & steady[:, None]].max(-1)
    size = np.maximum(1.0, np.abs(differences[valid & steady[:, None]]).max(-1))
    assert np.median(wrong / size) < 1e-8
    assert np.max(wrong / size**3) < 1e-5  # a difference's own error grows with the curvature, cubed


@pytest.mark.precision("64")
def test_slopes_by_sizes_are_differences():
    """Of the point of a capsule that slides along its axis, the first and the second, by all sizes."""
    pairs, h = random_pairs(("capsule", "box"), 3000, seed=7), 1e-6
    found, count = records(box_pairs, "capsule_box", pairs)
    sliding = (np.arange(MOST) < count[:, None]) & (found[..., CASE] == SLIDING)
    differences, steady = np.zeros((len(pairs), MOST, 4)), sliding.copy()

    def centres(at: Pairs) -> np.ndarray:
        there, count_there = records(box_pairs, "capsule_box", at)
        nonlocal steady
        steady &= (count_there == count)[:, None] & (np.abs(there - found)[..., CASE] == 0.0)
        steady &= np.abs(there - found)[..., SIZES:].max(-1) < 1e-3
        return (
            outputs(there)[..., :3]
            - (at.size_a[:, :1] + 0.5 * there[..., DISTANCE])[..., None] * outputs(there)[..., 3:6]
        )

    for c in range(4):
        sides = []
        for s in (h, -h):
            size_a, size_b = pairs.size_a.copy(), pairs.size_b.copy()
            if c < 3:
                size_b[:, c] += s
            else:
                size_a[:, 1] += s
            sides.append(centres(replace(pairs, size_a=size_a, size_b=size_b)))
        along = found[..., U : U + 3]
        differences[..., c] = ((sides[0] - sides[1]) * along).sum(-1) / (2 * h) / (along**2).sum(-1)
    assert steady.sum() > 0.7 * sliding.sum() > 500
    assert (steady[:, 1] & (np.abs(found[:, 1, SIZES + 3]) > 0.0)).any()  # counted from an end by the box's width
    wrong = np.abs(found[..., SIZES:] - differences)[steady].max(-1)
    assert np.max(wrong / np.maximum(1.0, np.abs(differences[steady]).max(-1)) ** 2) < 1e-6


@pytest.mark.precision("64")
@pytest.mark.parametrize("gap", [0.0, 1e-14, -1e-10, 1e-7])
def test_slopes_of_axes_that_cross_are_those_of_axes_that_nearly_cross(gap):
    """Differences need a gap that they do not cross; normal and place hardly depend on it."""
    pairs, h, wide = random_pairs(("capsule", "capsule"), 500, seed=8, general=True), 1e-6, 1e-5
    rng = np.random.default_rng(9)
    a, b = pairs.Ra[:, :, 2], pairs.Rb[:, :, 2]
    normal = np.cross(a, b)
    sine = np.linalg.norm(normal, axis=1, keepdims=True)
    normal /= sine
    s, t = (0.8 * rng.uniform(-1, 1, (len(pairs), 1)) * size[:, 1:2] for size in (pairs.size_a, pairs.size_b))
    side = -1.0 if gap < 0.0 else 1.0
    crossing = replace(pairs, p=s * a - t * b + gap * normal)
    apart = replace(pairs, p=s * a - t * b + side * wide * normal)
    g = np.random.default_rng(10).normal(size=(len(pairs), MOST, 7))
    computed = slopes(round_pairs, "capsule_capsule", crossing, g)[:, 0]
    differences = np.zeros((len(pairs), 6))
    for c in range(6):
        step = np.zeros((len(pairs), 6))
        step[:, c] = h
        ends = [
            outputs(records(round_pairs, "capsule_capsule", apart.displaced(k * step[:, :3], k * step[:, 3:]))[0])[:, 0]
            for k in (1.0, -1.0)
        ]
        differences[:, c] = ((ends[0] - ends[1]) * g[:, 0]).sum(-1) / (2 * h)
    wrong = np.abs(computed - differences).max(1) * sine[:, 0] ** 2 / np.abs(differences).max(1)
    assert np.max(wrong) < 100 * wide
