"""Tip to base: composite inertia, the rows of the mass matrix along each dof's chain, their factor, solving with it.

Source: composite rigid bodies and sparse L^T D L, Featherstone (2008), chapters 6 and 8; a row holds a dof's entries
with itself, its parent dof, … as in MuJoCo.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
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
from genesis.solvers.rigid.spatial import spatial


@per_runtime
def inertia() -> Functions:
    lay, at, sp, jo = layout(), indices(), spatial(), joints()
    get3, put3 = lay.get3, lay.put3

    @ti.func
    def gather(s, e, size: ti.template(), num: ti.template(), tree: ti.template(), law: ti.template(),
               model: ti.template(), dofs: ti.template(), q: ti.template(), qd: ti.template(), trace: ti.template(),
               work: ti.template(), mass: ti.template(), x: ti.template()):  # fmt: skip
        """Mass matrix with all that is implicit, and in x the force that is left at zero acceleration."""
        for back in range(size[LINKS]):
            l = size[LINKS] - 1 - back
            w = at.item(0, e, WORK * l, WORK * size[LINKS], size)
            step = at.item(0, e, WORK * l + 1, WORK * size[LINKS], size) - w
            d, o = get3(work, w + AAD * step), get3(work, w + AAO * step)
            a0, a1, a2 = get3(work, w + AL0 * step), get3(work, w + AL1 * step), get3(work, w + AL2 * step)
            ld, lo = get3(work, w + LLD * step), get3(work, w + LLO * step)
            t, f = get3(work, w + FT * step), get3(work, w + FL * step)
            first = tree[at.link_int(l, DOF0)]
            n_dofs = tree[at.link_int(l, N_DOFS)]
            for jj in range(n_dofs):
                j = first + n_dofs - 1 - jj
                a = at.axis_at(s, e, j, 0, size)
                astep = at.axis_at(s, e, j, 1, size) - a
                sw, sl = get3(trace, a), get3(trace, a + astep)
                tj = sp.times(d, o, sw) + ti.Vector([a0.dot(sl), a1.dot(sl), a2.dot(sl)])
                fj = a0 * sw[0] + a1 * sw[1] + a2 * sw[2] + sp.times(ld, lo, sl)
                row, depth = tree[at.dof_int(j, ENTRY0, size)], tree[at.dof_int(j, DEPTH, size)]
                for c in range(depth):
                    i = at.axis_at(s, e, tree[at.chain_at(row + c, size)], 0, size)
                    mass[at.item(s, e, row + c, size[ENTRIES], size)] = (
                        get3(trace, i).dot(tj) + get3(trace, i + astep).dot(fj))
                own, left = jo.load(s, e, j, size, num, tree, law, model, dofs, q, qd)
                diagonal = at.item(s, e, row, size[ENTRIES], size)
                mass[diagonal] = mass[diagonal] + own
                x[at.item(0, e, j, size[DOFS], size)] = left - sw.dot(t) - sl.dot(f)
            parent = tree[at.link_int(l, PARENT)]
            if parent >= 0:
                up = at.item(0, e, WORK * parent, WORK * size[LINKS], size)
                put3(work, up + AAD * step, get3(work, up + AAD * step) + d)
                put3(work, up + AAO * step, get3(work, up + AAO * step) + o)
                put3(work, up + AL0 * step, get3(work, up + AL0 * step) + a0)
                put3(work, up + AL1 * step, get3(work, up + AL1 * step) + a1)
                put3(work, up + AL2 * step, get3(work, up + AL2 * step) + a2)
                put3(work, up + LLD * step, get3(work, up + LLD * step) + ld)
                put3(work, up + LLO * step, get3(work, up + LLO * step) + lo)
                put3(work, up + FT * step, get3(work, up + FT * step) + t)
                put3(work, up + FL * step, get3(work, up + FL * step) + f)

    @ti.func
    def factor(s, e, size: ti.template(), tree: ti.template(), mass: ti.template()):
        """In place: L below the diagonal, 1 / D on it."""
        first = at.item(s, e, 0, size[ENTRIES], size)
        step = at.item(s, e, 1, size[ENTRIES], size) - first
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
    def solve(s, e, size: ti.template(), tree: ti.template(), mass: ti.template(), x: ti.template()):
        """x becomes the solution for the right-hand side x."""
        first = at.item(s, e, 0, size[ENTRIES], size)
        step = at.item(s, e, 1, size[ENTRIES], size) - first
        x0 = at.item(0, e, 0, size[DOFS], size)
        xstep = at.item(0, e, 1, size[DOFS], size) - x0
        for back in range(size[DOFS]):
            j = size[DOFS] - 1 - back
            row = tree[at.dof_int(j, ENTRY0, size)]
            xj = x[x0 + j * xstep]
            for c in range(1, tree[at.dof_int(j, DEPTH, size)]):
                i = x0 + tree[at.chain_at(row + c, size)] * xstep
                x[i] = x[i] - mass[first + (row + c) * step] * xj
        for j in range(size[DOFS]):
            row = tree[at.dof_int(j, ENTRY0, size)]
            xj = x[x0 + j * xstep] * mass[first + row * step]
            for c in range(1, tree[at.dof_int(j, DEPTH, size)]):
                xj -= mass[first + (row + c) * step] * x[x0 + tree[at.chain_at(row + c, size)] * xstep]
            x[x0 + j * xstep] = xj

    return Functions(gather=gather, factor=factor, solve=solve)
