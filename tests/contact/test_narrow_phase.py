"""Contacts of pairs of geoms against MuJoCo's, and their slopes against differences."""

import numpy as np
import pytest

from genesis.compiler import layout, ti
from genesis.contact.narrow_phase.layout import CASE, MOST, ROUNDS, V
from genesis.contact.narrow_phase.round import round_pairs
from tests.contact.narrow_phase import Pairs, by_mujoco, outputs, records, slopes
from tests.contact.poses import centred_pairs, random_pairs

PAIRS = {
    "sphere_sphere": round_pairs,
    "sphere_capsule": round_pairs,
    "capsule_capsule": round_pairs,
}


def errors(name: str, pairs: Pairs, edge: float = 0.0) -> np.ndarray:
    """Largest difference of each pair's contacts from MuJoCo's; infinite where their number differs, without those that
    are within the reach by less than `edge`."""
    found, count = records(PAIRS[name], name, pairs)
    out, worst = outputs(found), np.zeros(len(pairs))
    for i, rows in enumerate(by_mujoco(tuple(name.split("_")), pairs)):
        sides = [side[side[:, 6] < pairs.reach[i] - edge] for side in (rows, out[i, : count[i]])]
        if len(sides[0]) == len(sides[1]) or len(rows) == count[i]:
            sides = sides if len(sides[0]) == len(sides[1]) else [rows, out[i, : count[i]]]
            worst[i] = np.abs(sides[0] - sides[1]).max(initial=0.0)
        else:
            worst[i] = np.inf
    return worst


@pytest.mark.precision("64")
@pytest.mark.parametrize("name", PAIRS)
def test_contacts_are_mujocos(name):
    """Number, order, places, normals and distances, from deep overlap to the margin, also parallel and aligned."""
    assert np.max(errors(name, random_pairs(tuple(name.split("_")), 5000, seed=1))) < 1e-10


@pytest.mark.precision("32")
@pytest.mark.parametrize("name", PAIRS)
def test_contacts_in_single_precision(name):
    """Of poses that single precision can hold: places, normals and distances within 1e-4 of sizes below one metre."""
    pairs = random_pairs(tuple(name.split("_")), 2000, seed=2, general=True)
    pairs = Pairs(**{key: value.astype(np.float32).astype(float) for key, value in vars(pairs).items()})
    assert np.max(errors(name, pairs, edge=1e-6)) < 1e-4


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
    pairs, h = random_pairs(tuple(name.split("_")), 2000, seed=5), 1e-6
    g = np.random.default_rng(6).normal(size=(len(pairs), MOST, 7))
    found, count = records(PAIRS[name], name, pairs)
    computed, differences, steady = slopes(PAIRS[name], name, pairs, g), np.zeros((len(pairs), MOST, 6)), count > 0
    valid = np.arange(MOST) < count[:, None]
    kept = [CASE, *range(ROUNDS, ROUNDS + 4), *range(V, V + 3)]
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
