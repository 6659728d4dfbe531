"""Tip to base: composite inertia, the rows of the mass matrix along each dof's chain, their factor, solving with it.

Source: composite rigid bodies and sparse L^T D L, Featherstone (2008), chapters 6 and 8; a row holds a dof's entries
with itself, its parent dof, … as in MuJoCo.
"""

from collections.abc import Callable

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Vec
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.joints import joints
from genesis.solvers.rigid.layout import (
    AAD,
    AAO,
    AL0,
    AL1,
    AL2,
    DEPTH,
    DOF0,
    DOFS,
    ENTRY0,
    LINKS,
    LLD,
    LLO,
    N_DOFS,
    NEEDED,
    PARENT,
)  # fmt: skip
from genesis.solvers.rigid.spatial import Spatial, times


@per_runtime
def inertia(joints: Callable[[], Functions] = joints) -> Functions:
    """`joints` makes the functions of what acts along single dofs, of which `load` is used."""
    jo = joints()

    @ti.func
    def mass_matrix(a: ti.template(), s, b):
        """Mass matrix with all that is implicit, and in x the force that is left at zero acceleration."""
        for back in range(a.size[LINKS]):
            l = a.size[LINKS] - 1 - back
            d, o = at.worked(a, b, l, AAD), at.worked(a, b, l, AAO)
            a0, a1, a2 = at.worked(a, b, l, AL0), at.worked(a, b, l, AL1), at.worked(a, b, l, AL2)
            ld, lo = at.worked(a, b, l, LLD), at.worked(a, b, l, LLO)
            needed = at.worked6(a, b, l, NEEDED)
            first = at.link(a, l, DOF0)
            n_dofs = at.link(a, l, N_DOFS)
            for jj in range(n_dofs):
                j = first + n_dofs - 1 - jj
                axis = at.axis(a, s, b, j)
                w, v = axis.w, axis.v
                force = Spatial(times(d, o, w) + Vec(a0.dot(v), a1.dot(v), a2.dot(v)),
                                w[0] * a0 + w[1] * a1 + w[2] * a2 + times(ld, lo, v))  # fmt: skip
                row, depth = at.dof(a, j, ENTRY0), at.dof(a, j, DEPTH)
                for c in range(depth):
                    a.mass[at.entry_at(a, s, b, row + c)] = at.axis(a, s, b, a.chain[row + c]).dot(force)
                own, left = jo.load(a, s, b, j)
                diagonal = at.entry_at(a, s, b, row)
                a.mass[diagonal] = a.mass[diagonal] + own
                a.x[at.dof_at(a, 0, b, j)] = left - w.dot(needed.w) - v.dot(needed.v)
            parent = at.link(a, l, PARENT)
            if parent >= 0:
                for row, v in ti.static(((AAD, d), (AAO, o), (AL0, a0), (AL1, a1), (AL2, a2), (LLD, ld), (LLO, lo),
                                         (NEEDED, needed))):  # fmt: skip
                    at.add(a, a.work, at.work_at(a, b, parent, row), v)

    @ti.func
    def factor(a: ti.template(), s, b):
        """In place: L below the diagonal, 1 / D on it."""
        first, step = at.entry_at(a, s, b, 0), at.step(a)
        for back in range(a.size[DOFS]):
            j = a.size[DOFS] - 1 - back
            row, depth = at.dof(a, j, ENTRY0), at.dof(a, j, DEPTH)
            inverse = 1.0 / a.mass[first + row * step]
            for c in range(1, depth):
                above = at.dof(a, a.chain[row + c], ENTRY0)
                ratio = a.mass[first + (row + c) * step] * inverse
                for k in range(depth - c):
                    target = first + (above + k) * step
                    a.mass[target] = a.mass[target] - ratio * a.mass[first + (row + c + k) * step]
                a.mass[first + (row + c) * step] = ratio
            a.mass[first + row * step] = inverse

    @ti.func
    def solve(a: ti.template(), s, b):
        """x becomes the solution for the right-hand side x."""
        first, step, x0 = at.entry_at(a, s, b, 0), at.step(a), at.dof_at(a, 0, b, 0)
        for back in range(a.size[DOFS]):
            j = a.size[DOFS] - 1 - back
            row = at.dof(a, j, ENTRY0)
            xj = a.x[x0 + j * step]
            for c in range(1, at.dof(a, j, DEPTH)):
                i = x0 + a.chain[row + c] * step
                a.x[i] = a.x[i] - a.mass[first + (row + c) * step] * xj
        for j in range(a.size[DOFS]):
            row = at.dof(a, j, ENTRY0)
            xj = a.x[x0 + j * step] * a.mass[first + row * step]
            for c in range(1, at.dof(a, j, DEPTH)):
                xj = xj - a.mass[first + (row + c) * step] * a.x[x0 + a.chain[row + c] * step]
            a.x[x0 + j * step] = xj

    return Functions(mass_matrix=mass_matrix, factor=factor, solve=solve)
