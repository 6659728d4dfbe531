"""Tip to base: composite inertia, the rows of the mass matrix along each dof's chain, their factor, solving with it.

Source: composite rigid bodies and sparse L^T D L, Featherstone (2008), chapters 6 and 8; a row holds a dof's entries
with itself, its parent dof, … as in MuJoCo.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Vec
from genesis.solvers.rigid.joints import joints
from genesis.solvers.rigid.kinematics import AAD, AAO, AL0, AL1, AL2, FL, FT, LLD, LLO, WORK
from genesis.solvers.rigid.layout import (
    DEPTH,
    DOF0,
    DOFS,
    ENTRIES,
    ENTRY0,
    LINKS,
    N_DOFS,
    PARENT,
    indices,
)  # fmt: skip
from genesis.solvers.rigid.spatial import times


@per_runtime
def inertia() -> Functions:
    at, jo = indices(), joints()

    @ti.func
    def gather(s, b, size: ti.template(), num: ti.template(), tree: ti.template(), law: ti.template(),
               model: ti.template(), dofs: ti.template(), q: ti.template(), qd: ti.template(), trace: ti.template(),
               work: ti.template(), mass: ti.template(), x: ti.template()):  # fmt: skip
        """Mass matrix with all that is implicit, and in x the force that is left at zero acceleration."""
        for back in range(size[LINKS]):
            l = size[LINKS] - 1 - back
            w = at.item(0, b, 3 * WORK * l, 3 * WORK * size[LINKS], size)
            step = 3 * at.step(size)
            d, o = at.get3(work, w + AAD * step, size), at.get3(work, w + AAO * step, size)
            a0, a1 = at.get3(work, w + AL0 * step, size), at.get3(work, w + AL1 * step, size)
            a2 = at.get3(work, w + AL2 * step, size)
            ld, lo = at.get3(work, w + LLD * step, size), at.get3(work, w + LLO * step, size)
            t, f = at.get3(work, w + FT * step, size), at.get3(work, w + FL * step, size)
            first = tree[at.link_int(l, DOF0)]
            n_dofs = tree[at.link_int(l, N_DOFS)]
            for jj in range(n_dofs):
                j = first + n_dofs - 1 - jj
                sw, sl = at.axis(trace, s, b, j, size)
                tj = times(d, o, sw) + Vec(a0.dot(sl), a1.dot(sl), a2.dot(sl))
                fj = sw[0] * a0 + sw[1] * a1 + sw[2] * a2 + times(ld, lo, sl)
                row, depth = tree[at.dof_int(j, ENTRY0, size)], tree[at.dof_int(j, DEPTH, size)]
                for c in range(depth):
                    aw, al = at.axis(trace, s, b, tree[at.chain_at(row + c, size)], size)
                    mass[at.item(s, b, row + c, size[ENTRIES], size)] = aw.dot(tj) + al.dot(fj)
                own, left = jo.load(s, b, j, size, num, tree, law, model, dofs, q, qd)
                diagonal = at.item(s, b, row, size[ENTRIES], size)
                mass[diagonal] = mass[diagonal] + own
                x[at.item(0, b, j, size[DOFS], size)] = left - sw.dot(t) - sl.dot(f)
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                up = at.item(0, b, 3 * WORK * parent, 3 * WORK * size[LINKS], size)
                for row, v in ti.static(((AAD, d), (AAO, o), (AL0, a0), (AL1, a1), (AL2, a2), (LLD, ld), (LLO, lo),
                                         (FT, t), (FL, f))):  # fmt: skip
                    at.add3(work, up + row * step, v, size)

    @ti.func
    def factor(s, b, size: ti.template(), tree: ti.template(), mass: ti.template()):
        """In place: L below the diagonal, 1 / D on it."""
        first = at.item(s, b, 0, size[ENTRIES], size)
        step = at.step(size)
        for back in range(size[DOFS]):
            j = size[DOFS] - 1 - back
            row, depth = tree[at.dof_int(j, ENTRY0, size)], tree[at.dof_int(j, DEPTH, size)]
            inverse = 1.0 / mass[first + row * step]
            for c in range(1, depth):
                above = tree[at.dof_int(tree[at.chain_at(row + c, size)], ENTRY0, size)]
                ratio = mass[first + (row + c) * step] * inverse
                for k in range(depth - c):
                    target = first + (above + k) * step
                    mass[target] = mass[target] - ratio * mass[first + (row + c + k) * step]
                mass[first + (row + c) * step] = ratio
            mass[first + row * step] = inverse

    @ti.func
    def solve(s, b, size: ti.template(), tree: ti.template(), mass: ti.template(), x: ti.template()):
        """x becomes the solution for the right-hand side x."""
        first = at.item(s, b, 0, size[ENTRIES], size)
        step = at.step(size)
        x0 = at.item(0, b, 0, size[DOFS], size)
        for back in range(size[DOFS]):
            j = size[DOFS] - 1 - back
            row = tree[at.dof_int(j, ENTRY0, size)]
            xj = x[x0 + j * step]
            for c in range(1, tree[at.dof_int(j, DEPTH, size)]):
                i = x0 + tree[at.chain_at(row + c, size)] * step
                x[i] = x[i] - mass[first + (row + c) * step] * xj
        for j in range(size[DOFS]):
            row = tree[at.dof_int(j, ENTRY0, size)]
            xj = x[x0 + j * step] * mass[first + row * step]
            for c in range(1, tree[at.dof_int(j, DEPTH, size)]):
                xj = xj - mass[first + (row + c) * step] * x[x0 + tree[at.chain_at(row + c, size)] * step]
            x[x0 + j * step] = xj

    return Functions(gather=gather, factor=factor, solve=solve)
