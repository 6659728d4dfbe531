"""Poses and velocities of links as functions of q and qd, and the adjoint.

    place  A3  per link: tree's origin (roots), position, velocity (angular, linear); per dof: axis (angular, linear)
    quat   A4  per link: rotation to the world
    seen   A3  per link: world position, velocity of its origin, angular velocity
"""

from collections.abc import Mapping, Sequence

import torch

from genesis.compiler import STRIDE, Functions, Launch, bind, layout, per_runtime, ti
from genesis.math.kernels import rotations
from genesis.solvers.rigid import layout as slot
from genesis.solvers.rigid.kinematics import kinematics
from genesis.solvers.rigid.layout import (
    ACTIVE,
    BALL,
    DOF0,
    DOFS,
    HINGE,
    KIND,
    LINKS,
    N_DOFS,
    N_SIZES,
    PARENT,
    Q_INDEX,
    QS,
    ROOT,
    Features,
    indices,
)  # fmt: skip
from genesis.solvers.rigid.spatial import spatial
from genesis.solvers.rigid.tangent import tangent

PLACE = 4
P_ORIGIN, P_POS, P_VW, P_VL = range(PLACE)
BACK = 4
R_VW, R_VL, R_WT, R_WF = range(BACK)


@per_runtime
def kernels() -> Functions:
    lay, at, ki, sp = layout(), indices(), kinematics(Features()), spatial()
    turns, ta = rotations(), tangent()
    A1, A3, A4, I1 = lay.A1, lay.A3, lay.A4, lay.I1
    vec3, vec4 = lay.vec3, lay.vec4
    get3, get4, put3, put4 = lay.get3, lay.get4, lay.put3, lay.put4

    @ti.func
    def place_at(e, l, row, size: ti.template()):
        return at.item(0, e, PLACE * l + row, PLACE * size[LINKS] + 2 * size[DOFS], size)

    @ti.func
    def axis_at(e, j, row, size: ti.template()):
        return at.item(0, e, PLACE * size[LINKS] + 2 * j + row, PLACE * size[LINKS] + 2 * size[DOFS], size)

    @ti.func
    def walk(e, l, size: ti.template(), tree: ti.template(), fixed: ti.template(), rest: ti.template(),
             law: ti.template(), turn: ti.template(), q: ti.template(), qd: ti.template(), place: ti.template(),
             quat: ti.template()):  # fmt: skip
        """Link l from its parent."""
        p, r, vw, vl = vec3(0.0), get4(rest, l), vec3(0.0), vec3(0.0)
        parent = tree[at.link_int(l, PARENT)]
        if parent < 0:
            o = ki.origin(0, e, l, lay.get33(turn, l), size, tree, fixed, law, q)
            put3(place, place_at(e, l, P_ORIGIN, size), o)
            p = get3(fixed, 2 * l) - o
        else:
            up = get4(quat, at.item(0, e, parent, size[LINKS], size))
            p = get3(place, place_at(e, parent, P_POS, size)) + turns.rotate(up, get3(fixed, 2 * l))
            r = turns.multiply(up, r)
            vw, vl = get3(place, place_at(e, parent, P_VW, size)), get3(place, place_at(e, parent, P_VL, size))
        j = tree[at.link_int(l, DOF0)]
        last = j + tree[at.link_int(l, N_DOFS)]
        while j < last:
            kind, first = tree[at.dof_int(j, KIND, size)], tree[at.dof_int(j, Q_INDEX, size)]
            anchor = get3(fixed, 2 * size[LINKS] + 2 * j + 1)
            local = get3(fixed, 2 * size[LINKS] + 2 * j)
            if kind == BALL:
                pivot = p + turns.rotate(r, anchor)
                own = ki.quaternion(0, e, first, size, q)
                r = turns.multiply(r, own / own.norm())
                p = pivot - turns.rotate(r, anchor)
                for c in ti.static(range(3)):
                    unit = vec3(0.0)
                    unit[c] = 1.0
                    axis = turns.rotate(r, unit)
                    lever = pivot.cross(axis)
                    put3(place, axis_at(e, j + c, 0, size), axis)
                    put3(place, axis_at(e, j + c, 1, size), lever)
                    v = qd[at.item(0, e, j + c, size[DOFS], size)]
                    vw += v * axis
                    vl += v * lever
                j += 3
            else:
                v = qd[at.item(0, e, j, size[DOFS], size)]
                there = q[at.item(0, e, first, size[QS], size)] - get4(law, 2 * j + 1)[3]
                axis = turns.rotate(r, local)
                sw, sl = vec3(0.0), axis
                if kind == HINGE:
                    pivot = p + turns.rotate(r, anchor)
                    sw, sl = axis, pivot.cross(axis)
                    half = ti.sin(0.5 * there) * local
                    r = turns.multiply(r, vec4(ti.cos(0.5 * there), half[0], half[1], half[2]))
                    p = pivot - turns.rotate(r, anchor)
                else:
                    p += there * axis
                put3(place, axis_at(e, j, 0, size), sw)
                put3(place, axis_at(e, j, 1, size), sl)
                vw += v * sw
                vl += v * sl
                j += 1
        put3(place, place_at(e, l, P_POS, size), p)
        put3(place, place_at(e, l, P_VW, size), vw)
        put3(place, place_at(e, l, P_VL, size), vl)
        put4(quat, at.item(0, e, l, size[LINKS], size), r)

    @ti.kernel
    def look(sizes: I1, tree: I1, fixed: A3, rest: A4, law: A4, turn: lay.A33, q: A1, qd: A1, place: A3, quat: A4,
             seen: A3):  # fmt: skip
        ti.loop_config(block_dim=1)
        for item in range(sizes[ACTIVE] * STRIDE):
            e = item // STRIDE
            if item % STRIDE == 0:
                size = at.local(sizes, N_SIZES)
                for l in range(size[LINKS]):
                    walk(e, l, size, tree, fixed, rest, law, turn, q, qd, place, quat)
                    p, vw = get3(place, place_at(e, l, P_POS, size)), get3(place, place_at(e, l, P_VW, size))
                    vl = get3(place, place_at(e, l, P_VL, size))
                    o = get3(place, place_at(e, tree[at.link_int(l, ROOT)], P_ORIGIN, size))
                    put3(seen, at.item(0, e, 3 * l, 3 * size[LINKS], size), p + o)
                    put3(seen, at.item(0, e, 3 * l + 1, 3 * size[LINKS], size), vl + vw.cross(p))
                    put3(seen, at.item(0, e, 3 * l + 2, 3 * size[LINKS], size), vw)

    @ti.kernel
    def look_adjoint(
        sizes: I1, tree: I1, fixed: A3, rest: A4, law: A4, turn: lay.A33, q: A1, qd: A1, place: A3, quat: A4, gseen: A3,
        gquat: A4, back: A3, gq: A1, gqpos: A1, gqd: A1,
    ):  # fmt: skip
        ti.loop_config(block_dim=1)
        for item in range(sizes[ACTIVE] * STRIDE):
            e = item // STRIDE
            if item % STRIDE == 0:
                size = at.local(sizes, N_SIZES)
                for l in range(size[LINKS]):
                    walk(e, l, size, tree, fixed, rest, law, turn, q, qd, place, quat)
                    for row in ti.static(range(BACK)):
                        put3(back, at.item(0, e, BACK * l + row, BACK * size[LINKS], size), vec3(0.0))
                for behind in range(size[LINKS]):
                    l = size[LINKS] - 1 - behind
                    p, vw = get3(place, place_at(e, l, P_POS, size)), get3(place, place_at(e, l, P_VW, size))
                    here = at.item(0, e, BACK * l, BACK * size[LINKS], size)
                    step = at.item(0, e, BACK * l + 1, BACK * size[LINKS], size) - here
                    gpos = get3(gseen, at.item(0, e, 3 * l, 3 * size[LINKS], size))
                    gvel = get3(gseen, at.item(0, e, 3 * l + 1, 3 * size[LINKS], size))
                    gang = get3(gseen, at.item(0, e, 3 * l + 2, 3 * size[LINKS], size))
                    i = at.item(0, e, l, size[LINKS], size)
                    r, gr = get4(quat, i), get4(gquat, i)
                    gturn = 0.5 * turns.multiply(gr, turns.conjugate(r))[1:]
                    gp = gpos + gvel.cross(vw)
                    bw = get3(back, here + R_VW * step) + gang + p.cross(gvel)
                    bl = get3(back, here + R_VL * step) + gvel
                    gW = get3(back, here + R_WT * step) + p.cross(gp) + gturn
                    gF = get3(back, here + R_WF * step) + gp
                    first = tree[at.link_int(l, DOF0)]
                    j = first + tree[at.link_int(l, N_DOFS)] - 1
                    while j >= first:
                        n = 1
                        if tree[at.dof_int(j, KIND, size)] == BALL:
                            n = 3
                        for c in range(n):  # a ball turns all of its axes
                            if n == 3:
                                turn_axis(e, j - c, size, qd, place, bw, bl, gW, gF)
                        for c in range(n):
                            k = at.item(0, e, j - c, size[DOFS], size)
                            sw, sl = get3(place, axis_at(e, j - c, 0, size)), get3(place, axis_at(e, j - c, 1, size))
                            gq[k] = sw.dot(gW) + sl.dot(gF)
                            gqd[k] = sw.dot(bw) + sl.dot(bl)
                        if n == 1:
                            turn_axis(e, j, size, qd, place, bw, bl, gW, gF)
                        j -= n
                    parent = tree[at.link_int(l, PARENT)]
                    if parent >= 0:
                        up = at.item(0, e, BACK * parent, BACK * size[LINKS], size)
                        put3(back, up + R_VW * step, get3(back, up + R_VW * step) + bw)
                        put3(back, up + R_VL * step, get3(back, up + R_VL * step) + bl)
                        put3(back, up + R_WT * step, get3(back, up + R_WT * step) + gW)
                        put3(back, up + R_WF * step, get3(back, up + R_WF * step) + gF)
                ta.from_tangent(0, e, size, tree, q, gq, gqpos)

    @ti.func
    def turn_axis(e, j, size: ti.template(), qd: ti.template(), place: ti.template(), bw, bl, gW: ti.template(),
                  gF: ti.template()):  # fmt: skip
        """What a rigid displacement does to the velocity along dof j, added to the displacement's cotangent."""
        v = qd[at.item(0, e, j, size[DOFS], size)]
        sw, sl = get3(place, axis_at(e, j, 0, size)), get3(place, axis_at(e, j, 1, size))
        tw, tl = sp.cross_force(sw, sl, v * bw, v * bl)
        gW += tw
        gF += tl

    return Functions(look=look, look_adjoint=look_adjoint)


class Readout:
    """Bound kernels and their arrays, one set for each number of environments.

    Args:
        constants: Of the solver.
        rest: (L, 4) rotation of each link from its parent at rest; identity for free joints.
    """

    def __init__(self, constants: Mapping[str, torch.Tensor], rest: torch.Tensor, n_links: int, n_qs: int, n_dofs: int):
        lay = layout()
        self._constants, self._L, self._Q, self._D = constants, n_links, n_qs, n_dofs
        self._rest = lay.new(max(1, n_links), 4)
        lay.rows(self._rest)[:n_links].copy_(rest)
        self._bound: dict[int, tuple[torch.Tensor, dict[str, torch.Tensor], Launch, Launch | None]] = {}

    def _of(self, n_envs: int, adjoint: bool) -> tuple[dict[str, torch.Tensor], Launch]:
        lay, c = layout(), self._constants
        if n_envs not in self._bound:
            sizes = torch.zeros(slot.N_SIZES, dtype=torch.int32)
            sizes[[slot.N_ENVS, slot.ACTIVE, slot.N_FRAMES]] = torch.tensor([n_envs, n_envs, 1], dtype=torch.int32)
            sizes[[slot.LINKS, slot.QS, slot.DOFS]] = torch.tensor([self._L, self._Q, self._D], dtype=torch.int32)
            shapes = {
                "q": (self._Q, 1), "qd": (self._D, 1), "place": (PLACE * self._L + 2 * self._D, 3),
                "quat": (self._L, 4), "seen": (3 * self._L, 3),
            }  # fmt: skip
            a = {name: lay.new(max(1, n_envs * count), k) for name, (count, k) in shapes.items()}
            size = lay.new_int(slot.N_SIZES)
            size.copy_(sizes)
            launch = bind(kernels().look, size, c["tree"], c["fixed"], self._rest, c["law"], c["turn"], a["q"], a["qd"],
                          a["place"], a["quat"], a["seen"])  # fmt: skip
            self._bound[n_envs] = (size, a, launch, None)
        size, a, launch, back = self._bound[n_envs]
        if not adjoint:
            return a, launch
        if back is None:
            shapes = {"gquat": (self._L, 4), "gseen": (3 * self._L, 3), "back": (BACK * self._L, 3), "gq": (self._D, 1),
                      "gqpos": (self._Q, 1), "gqd": (self._D, 1)}  # fmt: skip
            a.update({name: lay.new(max(1, n_envs * count), k) for name, (count, k) in shapes.items()})
            back = bind(kernels().look_adjoint, size, c["tree"], c["fixed"], self._rest, c["law"], c["turn"], a["q"],
                        a["qd"], a["place"], a["quat"], a["gseen"], a["gquat"], a["back"], a["gq"], a["gqpos"],
                        a["gqd"])  # fmt: skip
            self._bound[n_envs] = (size, a, launch, back)
        return a, back

    def _view(self, array: torch.Tensor, n_envs: int, count: int) -> torch.Tensor:
        """(n_envs, count, components)."""
        lay = layout()
        rows = (lay.rows(array) if array.dim() > 1 else array[:, None])[: n_envs * count]
        return rows.unflatten(0, (count, n_envs)).transpose(0, 1) if lay.soa else rows.unflatten(0, (n_envs, count))

    def _fill(self, a: dict[str, torch.Tensor], qpos: torch.Tensor, qd: torch.Tensor) -> None:
        self._view(a["q"], len(qpos), self._Q)[:, :, 0].copy_(qpos)
        self._view(a["qd"], len(qpos), self._D)[:, :, 0].copy_(qd)

    def forward(self, qpos: torch.Tensor, qd: torch.Tensor) -> tuple[torch.Tensor, ...]:
        n = len(qpos)
        a, launch = self._of(n, False)
        self._fill(a, qpos, qd)
        launch()
        pos, vel, ang = self._view(a["seen"], n, 3 * self._L).unflatten(1, (self._L, 3)).unbind(2)
        return pos.clone(), self._view(a["quat"], n, self._L).clone(), vel.clone(), ang.clone()

    def adjoint(
        self, qpos: torch.Tensor, qd: torch.Tensor, cotangents: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        n = len(qpos)
        a, launch = self._of(n, True)
        self._fill(a, qpos, qd)
        gpos, gquat, gvel, gang = cotangents
        self._view(a["gseen"], n, 3 * self._L).copy_(torch.stack([gpos, gvel, gang], 2).flatten(1, 2))
        self._view(a["gquat"], n, self._L).copy_(gquat)
        launch()
        return (self._view(a["gqpos"], n, self._Q)[:, :, 0].clone(), self._view(a["gqd"], n, self._D)[:, :, 0].clone())
