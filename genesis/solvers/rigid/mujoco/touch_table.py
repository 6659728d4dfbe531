"""What may touch what, as the kernels of MuJoCo's contact model read it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genesis.contact.narrow_phase.finders import FINDERS
from genesis.contact.narrow_phase.layout import MOST
from genesis.loaders import rotations
from genesis.loaders.actuator_table import chains_of
from genesis.loaders.contact_mixing import Meeting, PairNumbers, candidates, explicit, ground_candidates, mix, share_of
from genesis.loaders.invweight import numbers_of
from genesis.loaders.model import RigidModel
from genesis.loaders.mujoco_numbers import MujocoNumbers
from genesis.loaders.parts import Geom, GroundGeom
from genesis.solvers.rigid import prepare
from genesis.solvers.rigid.mujoco import layout as slot
from genesis.solvers.rigid.mujoco.hull_points import hull_rows
from genesis.solvers.rigid.mujoco.smoothing import extra_margin, smoothed
from genesis.solvers.rigid.setup import Place

KINDS = {"sphere": slot.SPHERE, "capsule": slot.SPHERE, "box": slot.BOX, "ellipsoid": slot.ELLIPSOID,
         "cylinder": slot.CYLINDER, "hull": slot.HULL}  # fmt: skip
POINTS_OF_CYLINDER = 4
ROUND = ("sphere", "capsule")
"""Shapes with a radius about a point or a segment."""
ROUND_PAIRS = {("sphere", "sphere"), ("sphere", "capsule"), ("capsule", "capsule")}
MOST_OF_BOX = 4
MOST_OF_HULL = 4


def points_of(geom: Geom) -> np.ndarray:
    """(n, 4) each point that may touch, in half lengths along the geom's axes, and 1 if it has the geom's radius; of a
    hull its vertices in the link's frame."""
    if geom.kind == "hull":
        pos, quat = np.asarray(geom.pos), np.asarray(geom.quat)
        return np.array([(*(pos + rotations.rotate(quat, v)), 0.0) for v in np.asarray(geom.vertices)])
    local = np.zeros((POINTS_OF_CYLINDER if geom.kind == "cylinder" else 1, 3))
    if geom.kind == "capsule":
        local = np.array([[0, 0, 1], [0, 0, -1]])
    elif geom.kind == "box":  # the first axis alternates fastest: the order decides which four are taken
        local = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)])
    return np.insert(local.astype(float), 3, float(geom.kind in ROUND), 1)


def pack_geoms(model: RigidModel) -> np.ndarray:
    """`geom` (G, 4, 4) of `layout.TABLE`."""
    rows = np.zeros((len(model.geoms), slot.GEOM_ROWS, 4))
    for row, geom in zip(rows, model.geoms, strict=True):
        turn = rotations.matrix(np.asarray(geom.quat))
        row[slot.G_POS] = (*geom.pos, np.linalg.norm(geom.vertices, axis=1).max(initial=0.0))
        row[slot.G_X] = (*turn[:, 0], float(geom.kind in ROUND))
        row[slot.G_Y] = (*turn[:, 1], float(geom.kind in ("capsule", "cylinder")))
        row[slot.G_Z] = (*turn[:, 2], float(geom.kind == "capsule"))
    return rows


class Touches(NamedTuple):
    """What may touch."""

    ints: np.ndarray
    """`touch` of `layout.TABLE`."""
    laws: np.ndarray
    """`touch_law` of `layout.TABLE`."""
    points: np.ndarray
    """`point` of `layout.TABLE`."""
    of_links: np.ndarray
    """(L, 2) first touch with a ground, and how many, of each link."""
    pairs: tuple[tuple[str, str], ...]
    """Kinds of geoms that may touch each other."""

    @property
    def n_pairs(self) -> int:
        return int((self.ints[:, slot.T_GROUND] < 0).sum())

    @property
    def n_contacts(self) -> int:
        """Most contacts in a list: environments of a block may touch a ground with other points each."""
        of_ground = self.ints[:, slot.T_GROUND] >= 0
        return int(np.where(of_ground, self.ints[:, slot.T_N_POINTS], self.ints[:, slot.T_MOST]).sum())

    @property
    def depth(self) -> int:
        """Most dofs that move a contact."""
        return int((self.ints[:, slot.T_DEPTH] + self.ints[:, slot.T_DEPTH_B]).max(initial=0))


def pack_touches(
    model: RigidModel, grounds: Sequence[GroundGeom], meeting: Sequence[Meeting], smoothing: float,
    timestep: float,
) -> Touches:  # fmt: skip
    """Of two geoms first (`meeting`: of `meeting_geoms`), then with grounds, by link."""
    points, firsts, counts = [], [], []
    for geom in model.geoms:
        firsts.append(len(points))
        own = points_of(geom)
        rows, count = hull_rows(own[:, :3], geom.faces) if geom.kind == "hull" else (own, len(own))
        points += list(rows)
        counts.append(count)
    known = [met for met in meeting if kinds_of(model, met.one, met.two) in FINDERS]
    kinds = kernel_kinds({kinds_of(model, met.one, met.two) for met in known})
    chains, numbers = chains_of(model), numbers_of(model)
    ints, laws = [], []
    for i, j, pair in known:
        one, two = model.geoms[i], model.geoms[j]
        own, other = ([dof for dof in chains[x.link] if dof not in chains[y.link]] for x, y in ((one, two), (two, one)))
        of_both = mix(one, two) if pair < 0 else explicit(numbers, pair)
        kind = kinds.index(kinds_of(model, i, j))
        ints.append((one.link, i, max(own, default=-1), len(own), of_both.condim, kind, MOST, -1, 0, 0,
                     two.link, j, max(other, default=-1), len(other), 0, pair))  # fmt: skip
        laws.append(touch_law(one, two, of_both, smoothing, timestep))
    touching = ground_candidates(model, grounds)
    of_links = np.zeros((model.n_links, 2), int)
    for g, h, pair in sorted(touching, key=lambda found: (model.geoms[found[0]].link, found)):
        geom, ground = model.geoms[g], grounds[h]
        of_both = mix(geom, ground) if pair < 0 else explicit(numbers, pair)
        if of_links[geom.link, 1] == 0:
            of_links[geom.link, 0] = len(ints)
        of_links[geom.link, 1] += 1
        corners, chain = counts[g], chains[geom.link]
        n = MOST_OF_HULL if geom.kind == "hull" else corners
        most = MOST_OF_BOX if geom.kind == "box" else n
        ints.append((geom.link, g, max(chain), len(chain), of_both.condim, KINDS[geom.kind], most, h, firsts[g], n,
                     0, 0, -1, 0, corners, pair))  # fmt: skip
        laws.append(touch_law(geom, ground, of_both, smoothing, timestep))
    return Touches(np.array(ints, int).reshape(-1, slot.TOUCH_INTS), np.array(laws).reshape(-1, slot.TOUCH_NUMBERS),
                   np.array(points).reshape(-1, 4), of_links, kinds)  # fmt: skip


def touch_law(
    one: Geom, two: Geom | GroundGeom, of_both: PairNumbers, smoothing: float, timestep: float
) -> tuple[float, float, float, float]:
    """A row of `touch_law` of `layout.TABLE`."""
    hulls = [geom for geom in (one, two) if geom.kind == "hull" and isinstance(geom, Geom)]
    radii = sum(float(np.linalg.norm(prepare.bounding_box(geom))) for geom in hulls)
    own, other = one.contact, two.contact
    higher = float(np.sign(own.priority - other.priority))
    share = share_of(own.solmix, other.solmix) if higher == 0 else float(higher > 0)
    margin = of_both.margin + extra_margin(of_both.solref, of_both.solimp, smoothing, timestep)
    return share, -1.0 if higher == 0 else float(higher > 0), margin, radii + margin


def pack_pairs(numbers: MujocoNumbers, smoothing: float) -> np.ndarray:
    """`pair_law` of `layout.TABLE`."""
    pairs = numbers.pairs
    rows = np.zeros((len(pairs), slot.PAIR_NUMBERS))
    own = np.any(pairs.solreffriction != 0, axis=1, keepdims=True)
    for first, values in (
        (slot.P_REF, pairs.solref), (slot.P_FRICTION_REF, np.where(own, pairs.solreffriction, pairs.solref)),
        (slot.P_IMP, smoothed(pairs.solimp, smoothing)), (slot.P_FRICTION, pairs.friction),
    ):  # fmt: skip
        rows[:, first : first + values.shape[1]] = values
    return rows


def meeting_geoms(model: RigidModel, self_collision: bool, filterparent: bool) -> list[Meeting]:
    """Geoms that may touch each other, by what files say, and that some joint moves against each other."""
    chains, trees = chains_of(model), prepare.roots(model)
    found = []
    for met in candidates(model, filterparent):
        one, two = model.geoms[met.one].link, model.geoms[met.two].link
        if chains[one] != chains[two] and (self_collision or trees[one] != trees[two]):
            found.append(met)
    return found


def last_moved(model: RigidModel) -> list[int]:
    """Of each degree of freedom the last of those that it moves."""
    last = list(range(model.n_dofs))
    for chain in chains_of(model):
        for dof in chain:
            last[dof] = max(last[dof], chain[-1])
    return last


def kernel_kinds(met: set[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Kinds of pairs that kernels are compiled with: none, those of round shapes, or all, so that few have to be."""
    if not met:
        return ()
    return tuple(pair for pair in FINDERS if pair in ROUND_PAIRS or not met <= ROUND_PAIRS)


def kinds_of(model: RigidModel, i: int, j: int) -> tuple[str, str]:
    return model.geoms[i].kind, model.geoms[j].kind


def places(model: RigidModel) -> list[Place]:
    """Of the outputs `contacts`: geoms."""
    return [Place(geom.link, geom.name) for geom in model.geoms]
