"""The Hessian where bodies touch each other: its entries outside of the chains of dofs, its factor, solving with it.

M and what grounds do couple a dof with those of its chain alone, and L^T D L of such a matrix has no other entries
(`rigid.inertia`). A contact of two moving bodies couples all dofs of both chains. With dofs eliminated from the last to
the first, the entry of rows i >= j is zero, and stays so, unless i <= last(j): the envelope. It begins as the last dof
of what j moves, which are the chains exactly, and a contact raises it to the contact's last dof. So bodies that do not
touch stay apart, and a stack has a band. Source: George & Liu (1981), chapter 4.

Rows lie in a triangle, entries outside of the envelope are neither read nor written.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import lane
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import DEPTH, DOFS, ENTRY0
from genesis.solvers.rigid.mujoco import indices as my


@per_runtime
def envelope() -> Functions:
    @ti.func
    def last_at(a: ti.template(), s, b, j):
        return at.item(a, s, b, j, a.size[DOFS])

    @ti.func
    def is_spread(a: ti.template(), s, b):
        return a.spread[at.item(a, s, b, 0, 1)] > 0

    @ti.func
    def begin(a: ti.template(), s, b):
        """No contact of two moving bodies."""
        a.spread[at.item(a, s, b, 0, 1)] = 0

    @ti.func
    def couple(a: ti.template(), s, b, c, depth):
        """Contact c couples the dofs that move it."""
        if not is_spread(a, s, b):
            a.spread[at.item(a, s, b, 0, 1)] = 1
            for j in range(a.size[DOFS]):
                a.envelope[last_at(a, s, b, j)] = a.dof_last[j]
        last = 0
        for k in range(depth):
            last = ti.max(last, a.contact_dofs[my.moved_dof_at(a, b, c, k)])
        for k in range(depth):
            i = last_at(a, s, b, a.contact_dofs[my.moved_dof_at(a, b, c, k)])
            a.envelope[i] = ti.max(a.envelope[i], last)

    @ti.func
    def take_chains(a: ti.template(), s, b):
        """The Hessian becomes what is in the mass matrix, along the chains."""
        none = lane()
        for i in range(a.size[DOFS]):
            for j in range(i + 1):
                if a.envelope[last_at(a, s, b, j)] >= i:
                    a.hessian[my.hessian_at(a, s, b, i, j)] = none
            row = at.dof(a, i, ENTRY0)
            for c in range(at.dof(a, i, DEPTH)):
                a.hessian[my.hessian_at(a, s, b, i, a.chain[row + c])] = a.mass[at.entry_at(a, s, b, row + c)]

    @ti.func
    def list_columns(a: ti.template(), s, b, i):
        """The columns before i of row i that are in the envelope, from the last to the first. How many."""
        count = 0
        for back in range(i):
            j = i - 1 - back
            if a.envelope[last_at(a, s, b, j)] >= i:
                a.columns[last_at(a, 0, b, count)] = j
                count += 1
        return count

    @ti.func
    def factor(a: ti.template(), s, b):
        """In place: L below the diagonal, 1 / D on it."""
        for back in range(a.size[DOFS]):
            i = a.size[DOFS] - 1 - back
            diagonal = my.hessian_at(a, s, b, i, i)
            inverse = 1.0 / a.hessian[diagonal]
            count = list_columns(a, s, b, i)
            for c in range(count):
                j = a.columns[last_at(a, 0, b, c)]
                own = my.hessian_at(a, s, b, i, j)
                ratio = a.hessian[own] * inverse
                for d in range(c, count):
                    k = a.columns[last_at(a, 0, b, d)]
                    target = my.hessian_at(a, s, b, j, k)
                    a.hessian[target] = a.hessian[target] - ratio * a.hessian[my.hessian_at(a, s, b, i, k)]
                a.hessian[own] = ratio
            a.hessian[diagonal] = inverse

    @ti.func
    def solve(a: ti.template(), s, b):
        """x becomes the solution for the right-hand side x."""
        for back in range(a.size[DOFS]):
            i = a.size[DOFS] - 1 - back
            xi = a.x[at.dof_at(a, 0, b, i)]
            for j in range(i):
                if a.envelope[last_at(a, s, b, j)] >= i:
                    k = at.dof_at(a, 0, b, j)
                    a.x[k] = a.x[k] - a.hessian[my.hessian_at(a, s, b, i, j)] * xi
        for i in range(a.size[DOFS]):
            xi = a.x[at.dof_at(a, 0, b, i)] * a.hessian[my.hessian_at(a, s, b, i, i)]
            for j in range(i):
                if a.envelope[last_at(a, s, b, j)] >= i:
                    xi = xi - a.hessian[my.hessian_at(a, s, b, i, j)] * a.x[at.dof_at(a, 0, b, j)]
            a.x[at.dof_at(a, 0, b, i)] = xi

    return Functions(is_spread=is_spread, begin=begin, couple=couple, take_chains=take_chains, factor=factor,
                     solve=solve)  # fmt: skip
