"""What may touch what, as the kernels of MuJoCo's contact model read it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genesis.contact.narrow_phase.finders import FINDERS
from genesis.contact.narrow_phase.layout import MOST
from genesis.loaders import rotations
from genesis.loaders.actuator_table import chains_of
from genesis.loaders.contact_mixing import PairNumbers, candidates, ground_candidates, mix, share_of
from genesis.loaders.model import RigidModel
from genesis.loaders.parts import Geom, GroundGeom
from genesis.solvers.rigid import prepare
from genesis.solvers.rigid.mujoco import layout as slot
from genesis.solvers.rigid.mujoco.smoothing import extra_margin
from genesis.solvers.rigid.setup import Place

KINDS = {"sphere": slot.SPHERE, "capsule": slot.SPHERE, "box": slot.BOX, "ellipsoid": slot.ELLIPSOID,
         "cylinder": slot.CYLINDER, "hull": slot.HULL}  # fmt: skip
POINTS_OF_CYLINDER = 4
ROUND_PAIRS = {("sphere", "sphere"), ("sphere", "capsule"), ("capsule", "capsule")}
MOST_OF_BOX = 4
MOST_OF_HULL = 4


def points_of(geom: Geom) -> np.ndarray:
    """(n, 4) centre in the link's frame and radius of each point that may touch."""
    size, pos, quat = np.asarray(geom.size), np.asarray(geom.pos), np.asarray(geom.quat)
    radius = 0.0
    if geom.kind == "sphere":
        local, radius = np.zeros((1, 3)), size[0]
    elif geom.kind == "capsule":
        local, radius = np.array([[0, 0, size[1]], [0, 0, -size[1]]]), size[0]
    elif geom.kind == "box":  # the first axis alternates fastest: the order decides which four are taken
        local = size * np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)])
    elif geom.kind == "cylinder":
        local = np.zeros((POINTS_OF_CYLINDER, 3))
    elif geom.kind == "hull":
        local = np.asarray(geom.vertices)
    else:
        local = np.zeros((1, 3))
    return np.array([(*(pos + rotations.rotate(quat, v)), radius) for v in local])


def pack_geoms(model: RigidModel) -> np.ndarray:
    """`geom` (G, 6, 4) of `layout.TABLE`."""
    rows = np.zeros((len(model.geoms), slot.GEOM_ROWS, 4))
    for row, geom in zip(rows, model.geoms, strict=True):
        turn, size = rotations.matrix(np.asarray(geom.quat)), np.asarray(geom.size, float)
        row[slot.G_POS] = (*geom.pos, size[0])
        row[slot.G_X] = (*turn[:, 0], size[1])
        row[slot.G_Y] = (*turn[:, 1], size[2])
        row[slot.G_Z] = (*turn[:, 2], float(geom.kind == "capsule"))
        if geom.kind == "ellipsoid":
            six = rotations.six(turn @ np.diag(size**2) @ turn.T)
            row[slot.G_DIAGONAL, :3], row[slot.G_OFF, :3] = six[:3], six[3:]
        elif geom.kind == "hull":
            row[slot.G_DIAGONAL, 0] = np.linalg.norm(geom.vertices, axis=1).max()
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
    model: RigidModel, grounds: Sequence[GroundGeom], meeting: Sequence[tuple[int, int]], smoothing: float,
    timestep: float,
) -> Touches:  # fmt: skip
    """Of two geoms first (`meeting`: of `meeting_geoms`), then with grounds, by link."""
    points, firsts = [], []
    for geom in model.geoms:
        firsts.append(len(points))
        points += list(points_of(geom))
    known = [(i, j) for i, j in meeting if kinds_of(model, i, j) in FINDERS]
    kinds = kernel_kinds({kinds_of(model, i, j) for i, j in known})
    chains = chains_of(model)
    ints, laws = [], []
    for i, j in known:
        one, two = model.geoms[i], model.geoms[j]
        own, other = ([dof for dof in chains[x.link] if dof not in chains[y.link]] for x, y in ((one, two), (two, one)))
        of_both = mix(one, two)
        kind = kinds.index(kinds_of(model, i, j))
        ints.append((one.link, i, max(own, default=-1), len(own), of_both.condim, kind, MOST, -1, 0, 0,
                     two.link, j, max(other, default=-1), len(other), 0))  # fmt: skip
        radii = sum(float(np.linalg.norm(prepare.bounding_box(geom))) for geom in (one, two))
        laws.append(touch_law(one, two, of_both, radii, smoothing, timestep))
    touching = {(g, h) for h, ground in enumerate(grounds) for g in ground_candidates(model, ground)}
    of_links = np.zeros((model.n_links, 2), int)
    for g, h in sorted(touching, key=lambda pair: (model.geoms[pair[0]].link, pair)):
        geom, ground = model.geoms[g], grounds[h]
        of_both = mix(geom, ground)
        if of_links[geom.link, 1] == 0:
            of_links[geom.link, 0] = len(ints)
        of_links[geom.link, 1] += 1
        corners, chain = len(points_of(geom)), chains[geom.link]
        n = MOST_OF_HULL if geom.kind == "hull" else corners
        most = MOST_OF_BOX if geom.kind == "box" else n
        ints.append((geom.link, g, max(chain), len(chain), of_both.condim, KINDS[geom.kind], most, h, firsts[g], n,
                     0, 0, -1, 0, corners))  # fmt: skip
        radius = float(np.linalg.norm(prepare.bounding_box(geom)))
        laws.append(touch_law(geom, ground, of_both, radius, smoothing, timestep))
    return Touches(np.array(ints, int).reshape(-1, slot.TOUCH_INTS), np.array(laws).reshape(-1, slot.TOUCH_NUMBERS),
                   np.array(points).reshape(-1, 4), of_links, kinds)  # fmt: skip


def touch_law(
    one: Geom, two: Geom | GroundGeom, of_both: PairNumbers, radii: float, smoothing: float, timestep: float
) -> tuple[float, float, float, float]:
    """A row of `touch_law` of `layout.TABLE`; `radii`: of both about their centres, m."""
    own, other = one.contact, two.contact
    higher = float(np.sign(own.priority - other.priority))
    share = share_of(own.solmix, other.solmix) if higher == 0 else float(higher > 0)
    margin = of_both.margin + extra_margin(of_both.solref, of_both.solimp, smoothing, timestep)
    return share, -1.0 if higher == 0 else float(higher > 0), margin, radii + margin


def meeting_geoms(model: RigidModel, self_collision: bool, filterparent: bool) -> list[tuple[int, int]]:
    """Geoms that may touch each other, by what files say, and that some joint moves against each other."""
    chains, trees = chains_of(model), prepare.roots(model)
    found = []
    for i, j in candidates(model, filterparent):
        one, two = model.geoms[i].link, model.geoms[j].link
        if chains[one] != chains[two] and (self_collision or trees[one] != trees[two]):
            found.append((i, j))
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
