"""Which geoms may touch in MuJoCo's contact model, and the parameters of their contact."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from genesis.loaders.invweight import numbers_of
from genesis.loaders.model import RigidModel
from genesis.loaders.mujoco_numbers import MujocoNumbers
from genesis.loaders.parts import Geom, GroundGeom

ORDER = ("plane", "heightfield", "sphere", "capsule", "ellipsoid", "cylinder", "box", "hull")
"""Of two geoms, the one whose kind stands first here is geom 1."""
LEAST_FRICTION = 1e-5
LEAST_WEIGHT = 1e-15


class PairNumbers(NamedTuple):
    """Of a contact between two geoms: everything but where it is.

    Attributes:
        condim: 1 | 3 | 4 | 6.
        friction: (5,) along both tangents, torsional, rolling about both tangents.
        solref: (2,). solimp: (5,).
        margin: m, a contact acts where its distance is below it.
        gap: m, it is listed where its distance is below margin + gap.
    """

    condim: int
    friction: np.ndarray
    solref: np.ndarray
    solimp: np.ndarray
    margin: float
    gap: float


def mix(one: Geom | GroundGeom, two: Geom | GroundGeom) -> PairNumbers:
    """Parameters of the contact of two geoms, by MuJoCo's rules; the order does not matter.

    The geom of higher priority gives condim, friction, solref and solimp. With equal priority: the larger condim, the
    larger of each coefficient of friction, and the mean of solref and solimp by solmix; where one solref is negative,
    the smaller of each entry. Margins and gaps add up.
    """
    a, b = one.contact, two.contact
    margin, gap = a.margin + b.margin, a.gap + b.gap
    if a.priority != b.priority:
        geom = one if a.priority > b.priority else two
        own, condim = geom.contact, geom.contact.condim
        friction, solref, solimp = _friction(geom), np.array(own.solref), np.array(own.solimp)
    else:
        condim = max(a.condim, b.condim)
        friction = np.maximum(_friction(one), _friction(two))
        share = share_of(a.solmix, b.solmix)
        if a.solref[0] > 0 and b.solref[0] > 0:
            solref = share * np.array(a.solref) + (1 - share) * np.array(b.solref)
        else:
            solref = np.minimum(a.solref, b.solref)
        solimp = share * np.array(a.solimp) + (1 - share) * np.array(b.solimp)
    return PairNumbers(condim, np.maximum(friction, LEAST_FRICTION), solref, solimp, margin, gap)


def explicit(numbers: MujocoNumbers, row: int) -> PairNumbers:
    """What an explicit contact pair says of itself."""
    pairs = numbers.pairs
    friction = np.maximum(pairs.friction[row], LEAST_FRICTION)
    margin, gap = float(pairs.margin[row]), float(pairs.gap[row])
    return PairNumbers(int(pairs.condim[row]), friction, pairs.solref[row], pairs.solimp[row], margin, gap)


class Meeting(NamedTuple):
    """Two geoms that may touch each other, indices of `RigidModel.geoms`; the first is geom 1."""

    one: int
    two: int
    pair: int = -1
    """Row of the explicit pair that they are; -1: they are none."""


def candidates(model: RigidModel, filterparent: bool = True) -> Iterator[Meeting]:
    """Those of `model.geoms` that may touch each other.

    Left out: geoms whose bits do not meet, of one weld group, of a parent and its child (with `filterparent`, and
    unless the parent is the world), and excluded ones. Explicit pairs are never left out, and take the place of what
    their geoms would else be.
    """
    numbers = numbers_of(model)
    geoms, pairs = model.geoms, numbers.pairs.geom.tolist()

    def ordered(i: int, j: int) -> tuple[int, int]:
        return (j, i) if ORDER.index(geoms[j].kind) < ORDER.index(geoms[i].kind) else (i, j)

    given = {frozenset(pair) for pair in pairs}
    for i, first in enumerate(geoms):
        for j in range(i + 1, len(geoms)):
            bodies = int(numbers.geom_body[i]), int(numbers.geom_body[j])
            if bits_meet(first, geoms[j]) and bodies_meet(numbers, *bodies, filterparent) and {i, j} not in given:
                yield Meeting(*ordered(i, j))
    for row, (i, j) in enumerate(pairs):
        if i >= 0:
            yield Meeting(*ordered(i, j), row)


def ground_candidates(model: RigidModel, grounds: Sequence[GroundGeom]) -> Iterator[tuple[int, int, int]]:
    """Geoms that may touch a ground, which is geom 1: those of moving links whose bits meet its, and explicit pairs.

    Args:
        grounds: Of the scene; those of `model.grounds` first.

    Yields:
        Index of `model.geoms`, of `grounds`, and row of the explicit pair that they are, or -1.
    """
    pairs, moving = numbers_of(model).pairs, model.moving
    given = [(int(pairs.geom[row, 1]), int(pairs.ground[row]), int(row)) for row in np.flatnonzero(pairs.ground >= 0)]
    taken = {(i, h) for i, h, _ in given}
    for i, geom in enumerate(model.geoms):
        for h, ground in enumerate(grounds):
            if moving[geom.link] and bits_meet(ground, geom) and (i, h) not in taken:
                yield i, h, -1
    yield from (found for found in given if moving[model.geoms[found[0]].link])


def bits_meet(one: Geom | GroundGeom, two: Geom | GroundGeom) -> bool:
    return bool(one.group & two.mask or two.group & one.mask)


def bodies_meet(numbers: MujocoNumbers, one: int, two: int, filterparent: bool) -> bool:
    """Whether geoms of two bodies (-1 = the world) may touch."""
    bodies = numbers.bodies
    weld_one, weld_two = (int(bodies.weld[body]) if body >= 0 else -1 for body in (one, two))
    if weld_one == weld_two:
        return False
    if filterparent and weld_one >= 0 and weld_two >= 0:
        above = [int(bodies.parent[weld]) for weld in (weld_one, weld_two)]
        above_one, above_two = (int(bodies.weld[body]) if body >= 0 else -1 for body in above)
        if weld_one == above_two or weld_two == above_one:
            return False
    return not any({one, two} == set(pair) for pair in numbers.excluded.tolist())


def _friction(geom: Geom | GroundGeom) -> np.ndarray:
    contact = geom.contact
    return np.array([geom.friction] * 2 + [contact.torsional] + [contact.rolling] * 2)


def share_of(one: float, two: float) -> float:
    """The weight of the first in the mean of both."""
    if one >= LEAST_WEIGHT and two >= LEAST_WEIGHT:
        return one / (one + two)
    if one < LEAST_WEIGHT and two < LEAST_WEIGHT:
        return 0.5
    return 0.0 if one < LEAST_WEIGHT else 1.0
