"""Poses and velocities of links as functions of q and qd, and the adjoint."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from genesis.arrays import Array, Table, allocate
from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.launch import Launch, bind, kernel
from genesis.math.lanes import Vec, copy, lanes3, sine_cosine
from genesis.solvers.rigid import blocks
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid import layout as slot
from genesis.solvers.rigid.kinematics import kinematics
from genesis.solvers.rigid.layout import (
    ACTIVE,
    ANCHOR,
    AXIS,
    BALL,
    DOF0,
    HINGE,
    KIND,
    LINKS,
    MOCAP,
    N_DOFS,
    N_SIZES,
    OFFSET,
    PARENT,
    Q_INDEX,
    REST,
    ROOT,
    Features,
    places,
)  # fmt: skip
from genesis.solvers.rigid.mocap import mocaps
from genesis.solvers.rigid.spatial import Spatial, quaternion_product, rotate, spatial
from genesis.solvers.rigid.tangent import tangent

*_rows, PLACE = places(1, 1, 2)
P_ORIGIN, P_POS, P_VELOCITY = _rows
"""Tree's origin (roots), position, velocity."""
*_rows, BACK = places(2, 2)
R_VELOCITY, R_TURN = _rows
"""Cotangents of the velocity, and of a rigid displacement."""
*_rows, LINK_STATE = places(3, 3, 3, 4)
S_POS, S_VEL, S_ANG, S_QUAT = _rows
"""World position, velocity of the origin, angular velocity, quaternion of the rotation."""

SHARED = ("link_tree", "dof_tree", "link_fixed", "dof_fixed", "dof_law", "turn")
"""Constants of the solver that are read here."""
TABLE: Table = (
    *(array for array in slot.TABLE if array.name in SHARED),
    Array("size", "I1", (N_SIZES,), "frames"),
    Array("rest", "A1", ("links", 4), "constant"),  # rotation from the parent at rest
    Array("q", "AL", ("blocks", "qs"), "frames"),
    Array("qd", "AL", ("blocks", "dofs"), "frames"),
    Array("place", "AL", ("blocks", "links", PLACE, 3), "frames"),
    Array("axes", "AL", ("blocks", "dofs", 2, 3), "frames"),  # of each dof, a spatial vector
    Array("link_state", "AL", ("blocks", "links", LINK_STATE), "frames"),
    Array("glink_state", "AL", ("blocks", "links", LINK_STATE), "adjoint"),
    Array("back", "AL", ("blocks", "links", BACK, 3), "adjoint"),
    Array("gq", "AL", ("blocks", "dofs"), "adjoint"),  # in each dof's own direction
    Array("gqpos", "AL", ("blocks", "qs"), "adjoint"),
    Array("gqd", "AL", ("blocks", "dofs"), "adjoint"),
)


def table_of(mocap: bool) -> Table:
    """The arrays of the kernels; `mocap`: there are mocap bodies."""
    return (*TABLE, *slot.MOCAP_TABLE) if mocap else TABLE


@per_runtime
def kernels(mocap: bool) -> Functions:
    lay, ki, ta, table = layout(), kinematics(Features()), tangent(), table_of(mocap)
    mo = mocaps() if mocap else None

    @ti.func
    def place_at(a: ti.template(), b, l, row):
        return at.vector_at(a, 0, b, l, row, PLACE, a.size[LINKS])

    @ti.func
    def back_at(a: ti.template(), b, l, row):
        return at.vector_at(a, 0, b, l, row, BACK, a.size[LINKS])

    @ti.func
    def link_state_at(a: ti.template(), b, l, what):
        return at.item(a, 0, b, LINK_STATE * l, LINK_STATE * a.size[LINKS], what)

    @ti.func
    def walk(a: ti.template(), b, l):
        """Link l from its parent."""
        p, vel = lanes3(), spatial()
        r = Vec(p[0], p[0], p[0], p[0])
        own = at.row(a.rest, l)
        parent = at.link(a, l, PARENT)
        if parent < 0:
            o = ki.origin(a, 0, b, l, at.rest_turn(a, l))
            p += at.link_vector(a, l, OFFSET)
            r += own
            if ti.static(mocap):
                m = at.link(a, l, MOCAP)
                if m >= 0:
                    p = mo.pos(a, b, m)
                    r = mo.quat(a, b, m)
                    r = r / r.norm()
                    o = copy(p)
            at.put(a, a.place, place_at(a, b, l, P_ORIGIN), o)
            p -= o
        else:
            up = at.get4(a, a.link_state, link_state_at(a, b, parent, S_QUAT))
            p = at.get3(a, a.place, place_at(a, b, parent, P_POS)) + rotate(up, at.link_vector(a, l, OFFSET))
            r = quaternion_product(up, own)
            vel = at.get6(a, a.place, place_at(a, b, parent, P_VELOCITY))
        j = at.link(a, l, DOF0)
        last = j + at.link(a, l, N_DOFS)
        while j < last:
            kind, first = at.dof(a, j, KIND), at.dof(a, j, Q_INDEX)
            anchor, local = at.dof_vector(a, j, ANCHOR), at.dof_vector(a, j, AXIS)
            if kind == BALL:
                pivot = p + rotate(r, anchor)
                turned = at.get4(a, a.q, at.q_at(a, 0, b, first))
                r = quaternion_product(r, turned / turned.norm())
                p = pivot - rotate(r, anchor)
                for c in ti.static(range(3)):
                    unit = Vec(float(c == 0), float(c == 1), float(c == 2))
                    along = rotate(r, unit)
                    axis = Spatial(along, pivot.cross(along))
                    at.put(a, a.axes, at.axis_at(a, 0, b, j + c), axis)
                    vel += a.qd[at.dof_at(a, 0, b, j + c)] * axis
                j += 3
            else:
                there = a.q[at.q_at(a, 0, b, first)] - at.law(a, j, REST)[3]
                along = rotate(r, local)
                axis = Spatial(lanes3(), copy(along))
                if kind == HINGE:
                    pivot = p + rotate(r, anchor)
                    axis.w += along
                    axis.v = pivot.cross(along)
                    sine, cosine = sine_cosine(0.5 * there)
                    half = sine * local
                    r = quaternion_product(r, Vec(cosine, half[0], half[1], half[2]))
                    p = pivot - rotate(r, anchor)
                else:
                    p += there * along
                at.put(a, a.axes, at.axis_at(a, 0, b, j), axis)
                vel += a.qd[at.dof_at(a, 0, b, j)] * axis
                j += 1
        at.put(a, a.place, place_at(a, b, l, P_POS), p)
        at.put(a, a.place, place_at(a, b, l, P_VELOCITY), vel)
        at.put(a, a.link_state, link_state_at(a, b, l, S_QUAT), r)

    @kernel(table, "constant", "frames")
    def forward_kinematics(arrays: ti.template()):
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(arrays.size[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                a = arrays.having(size=at.counts(arrays.size, N_SIZES))
                for l in range(a.size[LINKS]):
                    walk(a, b, l)
                    p = at.get3(a, a.place, place_at(a, b, l, P_POS))
                    vel = at.get6(a, a.place, place_at(a, b, l, P_VELOCITY))
                    o = at.get3(a, a.place, place_at(a, b, at.link(a, l, ROOT), P_ORIGIN))
                    at.put(a, a.link_state, link_state_at(a, b, l, S_POS), p + o)
                    at.put(a, a.link_state, link_state_at(a, b, l, S_VEL), vel.at(p))
                    at.put(a, a.link_state, link_state_at(a, b, l, S_ANG), vel.w)

    @kernel(table, "constant", "frames", "adjoint")
    def forward_kinematics_adjoint(arrays: ti.template()):
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(arrays.size[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                a = arrays.having(size=at.counts(arrays.size, N_SIZES))
                for l in range(a.size[LINKS]):
                    walk(a, b, l)
                    none = lanes3()
                    for row in range(BACK):
                        at.put(a, a.back, back_at(a, b, l, row), none)
                if ti.static(mocap):
                    mo.begin_adjoint(a, b)
                for behind in range(a.size[LINKS]):
                    l = a.size[LINKS] - 1 - behind
                    p = at.get3(a, a.place, place_at(a, b, l, P_POS))
                    vel = at.get6(a, a.place, place_at(a, b, l, P_VELOCITY))
                    gpos = at.get3(a, a.glink_state, link_state_at(a, b, l, S_POS))
                    gvel = at.get3(a, a.glink_state, link_state_at(a, b, l, S_VEL))
                    gang = at.get3(a, a.glink_state, link_state_at(a, b, l, S_ANG))
                    r = at.get4(a, a.link_state, link_state_at(a, b, l, S_QUAT))
                    gr = at.get4(a, a.glink_state, link_state_at(a, b, l, S_QUAT))
                    gturn = 0.5 * quaternion_product(gr, Vec(r[0], 0.0 - r[1], 0.0 - r[2], 0.0 - r[3]))[1:]
                    gp = gpos + gvel.cross(vel.w)
                    gvelocity = at.get6(a, a.back, back_at(a, b, l, R_VELOCITY))
                    gvelocity.w += gang
                    gvelocity.w += p.cross(gvel)
                    gvelocity.v += gvel
                    moved = at.get6(a, a.back, back_at(a, b, l, R_TURN))
                    moved.w += p.cross(gp)
                    moved.w += gturn
                    moved.v += gp
                    first = at.link(a, l, DOF0)
                    j = first + at.link(a, l, N_DOFS) - 1
                    while j >= first:
                        n = 1
                        if at.dof(a, j, KIND) == BALL:
                            n = 3
                        for c in range(n):  # a ball turns all of its axes
                            if n == 3:
                                turn_axis(a, b, j - c, gvelocity, moved)
                        for c in range(n):
                            k, axis = at.dof_at(a, 0, b, j - c), at.axis(a, 0, b, j - c)
                            a.gq[k] = axis.dot(moved)
                            a.gqd[k] = axis.dot(gvelocity)
                        if n == 1:
                            turn_axis(a, b, j, gvelocity, moved)
                        j -= n
                    parent = at.link(a, l, PARENT)
                    if parent >= 0:
                        at.add(a, a.back, back_at(a, b, parent, R_VELOCITY), gvelocity)
                        at.add(a, a.back, back_at(a, b, parent, R_TURN), moved)
                    elif ti.static(mocap):
                        mo.moved(a, b, l, moved)
                ta.from_tangent(a, 0, b)

    @ti.func
    def turn_axis(a: ti.template(), b, j, gvelocity: ti.template(), moved: ti.template()):
        """What a rigid displacement does to the velocity along dof j, added to the displacement's cotangent."""
        moved += at.axis(a, 0, b, j).cross_force(a.qd[at.dof_at(a, 0, b, j)] * gvelocity)

    return Functions(forward_kinematics=forward_kinematics, forward_kinematics_adjoint=forward_kinematics_adjoint)


class Bound(NamedTuple):
    """Kernels for one number of environments, and their arrays."""

    arrays: dict[str, torch.Tensor]
    forward_kinematics: Launch
    forward_kinematics_adjoint: Launch | None


def unpacked(link_state: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """pos (B, L, 3), quat (B, L, 4), vel (B, L, 3) and ang (B, L, 3): views."""
    pos, vel, ang, quat = link_state.split((3, 3, 3, 4), dim=2)
    return pos, quat, vel, ang


class StateCotangents(NamedTuple):
    """Of q and qd: `values` as rows (B, Q), (B, D), and (B, M, 7) of mocap bodies if there are any; `tangent` with that
    of q in each dof's own direction, (B, D), (B, D)."""

    values: tuple[torch.Tensor, ...]
    tangent: tuple[torch.Tensor, torch.Tensor]


class Readout:
    """Bound kernels and their arrays, one set for each number of environments.

    Args:
        constants: Of the solver.
        rest: (L, 4) rotation of each link from its parent at rest; identity for free joints.
        sizes: Of the solver's table: links, qs, dofs, and mocaps if there are any.
    """

    def __init__(self, constants: Mapping[str, torch.Tensor], rest: torch.Tensor, sizes: Mapping[str, int]):
        lay = layout()
        self._constants = {name: constants[name] for name in SHARED}
        self._constants["rest"] = rest.flatten().to(dtype=lay.dtype, device=lay.device).contiguous()
        self._sizes, self._mocaps = sizes, sizes.get("mocaps", 0)
        self._table, self._kernels = table_of(self._mocaps > 0), kernels(self._mocaps > 0)
        self._bound: dict[int, Bound] = {}
        self._views: dict[tuple[str, int], torch.Tensor] = {}
        """By array and number of environments."""

    def _sizes_of(self, n_envs: int) -> dict[str, int]:
        return {**self._sizes, **blocks.sizes(n_envs)}

    def _of(self, n_envs: int, adjoint: bool) -> tuple[dict[str, torch.Tensor], Launch]:
        sizes = self._sizes_of(n_envs)
        if n_envs not in self._bound:
            a = allocate(self._table, sizes, "frames")
            given = torch.zeros(slot.N_SIZES, dtype=torch.int32)
            for place, size in ((slot.N_BLOCKS, "blocks"), (slot.ACTIVE, "blocks"), (slot.LINKS, "links"),
                                (slot.QS, "qs"), (slot.DOFS, "dofs"), (slot.MOCAPS, "mocaps")):  # fmt: skip
                given[place] = sizes.get(size, 0)
            given[slot.N_FRAMES] = 1
            a["size"].copy_(given)
            made = self._kernels.forward_kinematics
            self._bound[n_envs] = Bound(a, bind(made, {**self._constants, **a}, lanes=True), None)
        bound = self._bound[n_envs]
        if not adjoint:
            return bound.arrays, bound.forward_kinematics
        if bound.forward_kinematics_adjoint is None:
            bound.arrays.update(allocate(self._table, sizes, "adjoint"))
            made = self._kernels.forward_kinematics_adjoint
            launch = bind(made, {**self._constants, **bound.arrays}, lanes=True)
            bound = self._bound[n_envs] = bound._replace(forward_kinematics_adjoint=launch)
        return bound.arrays, bound.forward_kinematics_adjoint  # type: ignore[return-value]

    def _rows(self, arrays: Mapping[str, torch.Tensor], name: str, n_envs: int) -> torch.Tensor:
        if (name, n_envs) not in self._views:
            self._views[name, n_envs] = blocks.view(self._table, arrays, name, self._sizes_of(n_envs))
        return self._views[name, n_envs]

    def _write(self, arrays: Mapping[str, torch.Tensor], values: Sequence[torch.Tensor]) -> None:
        n = len(values[0])
        for name, value in zip(("q", "qd", "mocap"), values, strict=False):
            blocks.write(self._rows(arrays, name, n), value.flatten(1))

    def packed(self, *values: torch.Tensor) -> torch.Tensor:
        """(B, L, 13) all of `forward`, for `unpacked`."""
        n = len(values[0])
        a, launch = self._of(n, False)
        self._write(a, values)
        launch()
        return blocks.read(self._rows(a, "link_state", n), n).unflatten(1, (self._sizes["links"], LINK_STATE))

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Of qpos (B, Q), dofs_vel (B, D), and poses (B, M, 7) of mocap bodies if there are any."""
        return tuple(value.contiguous() for value in unpacked(self.packed(*values)))

    def adjoint(self, values: Sequence[torch.Tensor], cotangents: Sequence[torch.Tensor]) -> StateCotangents:
        """Of the values of `forward`."""
        n = len(values[0])
        a, launch = self._of(n, True)
        self._write(a, values)
        gpos, gquat, gvel, gang = cotangents
        blocks.write(self._rows(a, "glink_state", n), torch.cat([gpos, gvel, gang, gquat], 2).flatten(1))
        launch()
        gqpos, gq, gqd = (blocks.read(self._rows(a, name, n), n) for name in ("gqpos", "gq", "gqd"))
        poses = [blocks.read(self._rows(a, "gmocap", n), n).unflatten(1, (self._mocaps, -1))] if self._mocaps else []
        return StateCotangents((gqpos, gqd, *poses), (gq, gqd))
