"""Poses and velocities of links as functions of q and qd, and the adjoint.

    place  AL  vectors, per link: tree's origin (roots), position, velocity (angular, linear); per dof: axis (angular,
               linear)
    seen   AL  per link: world position, velocity of its origin, angular velocity, quaternion of its rotation
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from genesis.compiler import Functions, Launch, bind, layout, per_runtime, ti
from genesis.math.lanes import Vec, lanes3, sine_cosine
from genesis.solvers.rigid import blocks
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
from genesis.solvers.rigid.spatial import cross_force, quaternion_product, rotate
from genesis.solvers.rigid.tangent import tangent

PLACE = 4
P_ORIGIN, P_POS, P_VW, P_VL = range(PLACE)
BACK = 4
R_VW, R_VL, R_WT, R_WF = range(BACK)
SEEN = 13
S_POS, S_VEL, S_ANG, S_QUAT = 0, 3, 6, 9
"""Numbers of a link, and where they begin."""


@per_runtime
def kernels() -> Functions:
    lay, at, ki, ta = layout(), indices(), kinematics(Features()), tangent()
    A1, AL, I1 = lay.A1, lay.AL, lay.I1

    @ti.func
    def place_at(b, l, row, size: ti.template()):
        return at.item(0, b, 3 * (PLACE * l + row), 3 * (PLACE * size[LINKS] + 2 * size[DOFS]), size)

    @ti.func
    def axis_at(b, j, row, size: ti.template()):
        return at.item(0, b, 3 * (PLACE * size[LINKS] + 2 * j + row), 3 * (PLACE * size[LINKS] + 2 * size[DOFS]), size)

    @ti.func
    def placed(place: ti.template(), b, l, row, size: ti.template()):
        return at.get3(place, place_at(b, l, row, size), size)

    @ti.func
    def axis(place: ti.template(), b, j, size: ti.template()):
        return at.get3(place, axis_at(b, j, 0, size), size), at.get3(place, axis_at(b, j, 1, size), size)

    @ti.func
    def seen_at(b, l, what, size: ti.template()):
        return at.item(0, b, SEEN * l + what, SEEN * size[LINKS], size)

    @ti.func
    def walk(b, l, size: ti.template(), tree: ti.template(), fixed: ti.template(), rest: ti.template(),
             law: ti.template(), turn: ti.template(), q: ti.template(), qd: ti.template(), place: ti.template(),
             seen: ti.template()):  # fmt: skip
        """Link l from its parent."""
        p, vw, vl = lanes3(), lanes3(), lanes3()
        r = Vec(p[0], p[0], p[0], p[0])
        own = at.row(rest, l)
        parent = tree[at.link_int(l, PARENT)]
        if parent < 0:
            o = ki.origin(0, b, l, at.rotation(turn, l), size, tree, fixed, law, q)
            at.put(place, place_at(b, l, P_ORIGIN, size), o, size)
            p -= o
            p += at.vector(fixed, 2 * l)
            r += own
        else:
            up = at.get4(seen, seen_at(b, parent, S_QUAT, size), size)
            p = placed(place, b, parent, P_POS, size) + rotate(up, at.vector(fixed, 2 * l))
            r = quaternion_product(up, own)
            vw, vl = placed(place, b, parent, P_VW, size), placed(place, b, parent, P_VL, size)
        j = tree[at.link_int(l, DOF0)]
        last = j + tree[at.link_int(l, N_DOFS)]
        while j < last:
            kind, first = tree[at.dof_int(j, KIND, size)], tree[at.dof_int(j, Q_INDEX, size)]
            anchor = at.vector(fixed, 2 * size[LINKS] + 2 * j + 1)
            local = at.vector(fixed, 2 * size[LINKS] + 2 * j)
            if kind == BALL:
                pivot = p + rotate(r, anchor)
                turned = ki.quaternion(0, b, first, size, q)
                r = quaternion_product(r, turned / turned.norm())
                p = pivot - rotate(r, anchor)
                for c in ti.static(range(3)):
                    unit = Vec(float(c == 0), float(c == 1), float(c == 2))
                    along = rotate(r, unit)
                    lever = pivot.cross(along)
                    at.put(place, axis_at(b, j + c, 0, size), along, size)
                    at.put(place, axis_at(b, j + c, 1, size), lever, size)
                    v = qd[at.item(0, b, j + c, size[DOFS], size)]
                    vw += v * along
                    vl += v * lever
                j += 3
            else:
                v = qd[at.item(0, b, j, size[DOFS], size)]
                there = q[at.item(0, b, first, size[QS], size)] - law[8 * j + 7]
                sw, sl = lanes3(), rotate(r, local)
                if kind == HINGE:
                    pivot = p + rotate(r, anchor)
                    sw += sl
                    sl = pivot.cross(sw)
                    sine, cosine = sine_cosine(0.5 * there)
                    half = sine * local
                    r = quaternion_product(r, Vec(cosine, half[0], half[1], half[2]))
                    p = pivot - rotate(r, anchor)
                else:
                    p += there * sl
                at.put(place, axis_at(b, j, 0, size), sw, size)
                at.put(place, axis_at(b, j, 1, size), sl, size)
                vw += v * sw
                vl += v * sl
                j += 1
        for row, v in ti.static(((P_POS, p), (P_VW, vw), (P_VL, vl))):
            at.put(place, place_at(b, l, row, size), v, size)
        at.put(seen, seen_at(b, l, S_QUAT, size), r, size)

    @ti.kernel
    def look(sizes: I1, tree: I1, fixed: A1, rest: A1, law: A1, turn: A1, q: AL, qd: AL, place: AL, seen: AL):
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(sizes[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                size = at.local(sizes, N_SIZES)
                for l in range(size[LINKS]):
                    walk(b, l, size, tree, fixed, rest, law, turn, q, qd, place, seen)
                    p, vw = placed(place, b, l, P_POS, size), placed(place, b, l, P_VW, size)
                    vl = placed(place, b, l, P_VL, size)
                    o = placed(place, b, tree[at.link_int(l, ROOT)], P_ORIGIN, size)
                    at.put(seen, seen_at(b, l, S_POS, size), p + o, size)
                    at.put(seen, seen_at(b, l, S_VEL, size), vl + vw.cross(p), size)
                    at.put(seen, seen_at(b, l, S_ANG, size), vw, size)

    @ti.kernel
    def look_adjoint(
        sizes: I1, tree: I1, fixed: A1, rest: A1, law: A1, turn: A1, q: AL, qd: AL, place: AL, seen: AL, gseen: AL,
        back: AL, gq: AL, gqpos: AL, gqd: AL,
    ):  # fmt: skip
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(sizes[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                size = at.local(sizes, N_SIZES)
                for l in range(size[LINKS]):
                    walk(b, l, size, tree, fixed, rest, law, turn, q, qd, place, seen)
                    none = lanes3()
                    for row in range(BACK):
                        at.put(back, back_at(b, l, row, size), none, size)
                for behind in range(size[LINKS]):
                    l = size[LINKS] - 1 - behind
                    p, vw = placed(place, b, l, P_POS, size), placed(place, b, l, P_VW, size)
                    gpos = at.get3(gseen, seen_at(b, l, S_POS, size), size)
                    gvel = at.get3(gseen, seen_at(b, l, S_VEL, size), size)
                    gang = at.get3(gseen, seen_at(b, l, S_ANG, size), size)
                    r = at.get4(seen, seen_at(b, l, S_QUAT, size), size)
                    gr = at.get4(gseen, seen_at(b, l, S_QUAT, size), size)
                    gturn = 0.5 * quaternion_product(gr, Vec(r[0], 0.0 - r[1], 0.0 - r[2], 0.0 - r[3]))[1:]
                    gp = gpos + gvel.cross(vw)
                    bw = at.get3(back, back_at(b, l, R_VW, size), size) + gang + p.cross(gvel)
                    bl = at.get3(back, back_at(b, l, R_VL, size), size) + gvel
                    gW = at.get3(back, back_at(b, l, R_WT, size), size) + p.cross(gp) + gturn
                    gF = at.get3(back, back_at(b, l, R_WF, size), size) + gp
                    first = tree[at.link_int(l, DOF0)]
                    j = first + tree[at.link_int(l, N_DOFS)] - 1
                    while j >= first:
                        n = 1
                        if tree[at.dof_int(j, KIND, size)] == BALL:
                            n = 3
                        for c in range(n):  # a ball turns all of its axes
                            if n == 3:
                                turn_axis(b, j - c, size, qd, place, bw, bl, gW, gF)
                        for c in range(n):
                            k = at.item(0, b, j - c, size[DOFS], size)
                            sw, sl = axis(place, b, j - c, size)
                            gq[k] = sw.dot(gW) + sl.dot(gF)
                            gqd[k] = sw.dot(bw) + sl.dot(bl)
                        if n == 1:
                            turn_axis(b, j, size, qd, place, bw, bl, gW, gF)
                        j -= n
                    parent = tree[at.link_int(l, PARENT)]
                    if parent >= 0:
                        for row, v in ti.static(((R_VW, bw), (R_VL, bl), (R_WT, gW), (R_WF, gF))):
                            at.add3(back, back_at(b, parent, row, size), v, size)
                ta.from_tangent(0, b, size, tree, q, gq, gqpos)

    @ti.func
    def back_at(b, l, row, size: ti.template()):
        return at.item(0, b, 3 * (BACK * l + row), 3 * BACK * size[LINKS], size)

    @ti.func
    def turn_axis(b, j, size: ti.template(), qd: ti.template(), place: ti.template(), bw: ti.template(),
                  bl: ti.template(), gW: ti.template(), gF: ti.template()):  # fmt: skip
        """What a rigid displacement does to the velocity along dof j, added to the displacement's cotangent."""
        v = qd[at.item(0, b, j, size[DOFS], size)]
        sw, sl = axis(place, b, j, size)
        tw, tl = cross_force(sw, sl, v * bw, v * bl)
        gW += tw
        gF += tl

    return Functions(look=look, look_adjoint=look_adjoint)


class Bound(NamedTuple):
    """Kernels for one number of environments, and their arrays."""

    arrays: dict[str, torch.Tensor]
    look: Launch
    look_adjoint: Launch | None


class Readout:
    """Bound kernels and their arrays, one set for each number of environments.

    Args:
        constants: Of the solver.
        rest: (L, 4) rotation of each link from its parent at rest; identity for free joints.
    """

    def __init__(self, constants: Mapping[str, torch.Tensor], rest: torch.Tensor, n_links: int, n_qs: int, n_dofs: int):
        lay = layout()
        self._constants, self._L, self._Q, self._D = constants, n_links, n_qs, n_dofs
        self._rest = rest.flatten().to(dtype=lay.dtype, device=lay.device).contiguous()
        self._bound: dict[int, Bound] = {}

    def _new(self, n_envs: int, counts: Mapping[str, int]) -> dict[str, torch.Tensor]:
        n_blocks = blocks.count(n_envs)
        return {name: layout().new_lanes(max(1, n_blocks * count)) for name, count in counts.items()}

    def _of(self, n_envs: int, adjoint: bool) -> tuple[dict[str, torch.Tensor], Launch]:
        c, L, Q, D = self._constants, self._L, self._Q, self._D
        shared = lambda a: (a["size"], c["tree"], c["fixed"], self._rest, c["law"], c["turn"],  # noqa: E731
                            a["q"], a["qd"], a["place"], a["seen"])  # fmt: skip
        if n_envs not in self._bound:
            sizes = torch.zeros(slot.N_SIZES, dtype=torch.int32)
            held = blocks.count(n_envs)
            sizes[[slot.BLOCKS_HELD, slot.ACTIVE, slot.N_FRAMES]] = torch.tensor([held, held, 1], dtype=torch.int32)
            sizes[[slot.LINKS, slot.QS, slot.DOFS]] = torch.tensor([L, Q, D], dtype=torch.int32)
            a = self._new(n_envs, {"q": Q, "qd": D, "place": 3 * (PLACE * L + 2 * D), "seen": SEEN * L})
            a["size"] = layout().new_int(slot.N_SIZES)
            a["size"].copy_(sizes)
            self._bound[n_envs] = Bound(a, bind(kernels().look, *shared(a), lanes=True), None)
        bound = self._bound[n_envs]
        if not adjoint:
            return bound.arrays, bound.look
        if bound.look_adjoint is None:
            a = bound.arrays
            a.update(self._new(n_envs, {"gseen": SEEN * L, "back": 3 * BACK * L, "gq": D, "gqpos": Q, "gqd": D}))
            extra = (a[name] for name in ("gseen", "back", "gq", "gqpos", "gqd"))
            bound = self._bound[n_envs] = bound._replace(
                look_adjoint=bind(kernels().look_adjoint, *shared(a), *extra, lanes=True)
            )
        return bound.arrays, bound.look_adjoint  # type: ignore[return-value]

    def _fill(self, a: dict[str, torch.Tensor], qpos: torch.Tensor, qd: torch.Tensor) -> None:
        blocks.write(blocks.view(a["q"], len(qpos), self._Q), qpos)
        blocks.write(blocks.view(a["qd"], len(qpos), self._D), qd)

    def forward(self, qpos: torch.Tensor, qd: torch.Tensor) -> tuple[torch.Tensor, ...]:
        n = len(qpos)
        a, launch = self._of(n, False)
        self._fill(a, qpos, qd)
        launch()
        seen = blocks.read(blocks.view(a["seen"], n, SEEN * self._L), n).unflatten(1, (self._L, SEEN))
        pos, vel, ang, quat = seen.split((3, 3, 3, 4), dim=2)
        return pos.contiguous(), quat.contiguous(), vel.contiguous(), ang.contiguous()

    def adjoint(
        self, qpos: torch.Tensor, qd: torch.Tensor, cotangents: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        n = len(qpos)
        a, launch = self._of(n, True)
        self._fill(a, qpos, qd)
        gpos, gquat, gvel, gang = cotangents
        both = torch.cat([gpos, gvel, gang, gquat], 2).flatten(1)
        blocks.write(blocks.view(a["gseen"], n, SEEN * self._L), both)
        launch()
        return (blocks.read(blocks.view(a["gqpos"], n, self._Q), n), blocks.read(blocks.view(a["gqd"], n, self._D), n))
