"""The accelerations: the minimum of a strictly convex, piecewise smooth cost, by Newton's method.

    cost(a) = 1/2 (a - a0)' M (a - a0) + sum over contacts and rows of s(J a - a_ref)
    slope   = M a - f0 - J' f            H = M + J' W J            step p = - H^-1 slope

A full step that leaves every row in its piece of the cost, all quadratic, ends at the minimum. Otherwise a line search
goes along p to where the slope along it has fallen to a hundredth. An environment that has converged goes on with the
others of its block, and stays where it is.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import absolute, any_lane, lane, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.inertia import inertia
from genesis.solvers.rigid.layout import DEPTH, DOFS, ENTRIES, ENTRY0, EQUALITIES, LOSSES
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.cones import cones
from genesis.solvers.rigid.mujoco.dof_rows import dof_rows
from genesis.solvers.rigid.mujoco.envelope import envelope
from genesis.solvers.rigid.mujoco.equality import equalities
from genesis.solvers.rigid.mujoco.joints import joints
from genesis.solvers.rigid.mujoco.layout import (
    ALONG,
    C_DEPTH,
    C_DIM,
    CROSS,
    R_ALONG,
    R_X,
    WJ,
    WN,
    WNN,
    D,
    F,
    Features,
    X,
)
from genesis.solvers.rigid.mujoco.tendons import tendons

SEARCHES = 12
"""Most evaluations of a line search."""
FALLEN = 0.01
"""Part of the slope at which a line search ends."""
FAR = 1e30


@per_runtime
def newton(features: Features) -> Functions:
    ro, cone, ine, en = dof_rows(), cones(features), inertia(joints), envelope()
    spreads, eq = features.spreads, equalities(features) if features.equalities else None
    at_row, turns = my.jacobian_at, features.rotations or features.equalities
    te = tendons(features) if features.tendons else None

    @ti.func
    def times_inertia(a: ti.template(), b, array: ti.template(), s, out: ti.template()):
        """out = M array, from the rows along the chains."""
        for j in range(a.size[DOFS]):
            out[at.dof_at(a, 0, b, j)] = lane()
        for j in range(a.size[DOFS]):
            row, v = at.dof(a, j, ENTRY0), array[at.dof_at(a, s, b, j)]
            mine = a.inertia_rows[at.entry_at(a, 0, b, row)] * v
            for c in range(1, at.dof(a, j, DEPTH)):
                other = a.chain[row + c]
                m = a.inertia_rows[at.entry_at(a, 0, b, row + c)]
                mine += m * array[at.dof_at(a, s, b, other)]
                i = at.dof_at(a, 0, b, other)
                out[i] = out[i] + m * v
            i = at.dof_at(a, 0, b, j)
            out[i] = out[i] + mine

    @ti.func
    def project(a: ti.template(), b, to: ti.template(), array: ti.template(), s, add):
        """Numbers `to` of every contact become J times the dofs' `array`, or that is added to them."""
        for c in range(a.n_contacts[b]):
            depth, dim = a.contact_index[my.index_at(a, b, c, C_DEPTH)], a.contact_index[my.index_at(a, b, c, C_DIM)]
            x0, x1, x2 = lane(), lane(), lane()
            for e in range(depth):
                v, i = array[at.dof_at(a, s, b, a.contact_dofs[my.moved_dof_at(a, b, c, e)])], at_row(a, b, c, 0, e)
                x0 += a.contact_jacobian[i] * v
                if dim > 1:
                    x1 += a.contact_jacobian[i + at.step(a)] * v
                    x2 += a.contact_jacobian[i + 2 * at.step(a)] * v
            give(a, my.number_at(a, b, c, to), x0, add)
            if dim > 1:
                give(a, my.number_at(a, b, c, to + 1), x1, add)
                give(a, my.number_at(a, b, c, to + 2), x2, add)
            if ti.static(turns):
                for k in range(3, dim):
                    total = lane()
                    for e in range(depth):
                        total += a.contact_jacobian[at_row(a, b, c, k, e)] * array[
                            at.dof_at(a, s, b, a.contact_dofs[my.moved_dof_at(a, b, c, e)])]  # fmt: skip
                    give(a, my.number_at(a, b, c, to + k), total, add)

    @ti.func
    def give(a: ti.template(), i, number, add):
        if add:
            number += a.contact_list[i]
        a.contact_list[i] = number

    @ti.func
    def evaluate(a: ti.template(), b, part):
        """Forces and curvatures of all rows at `part` of the way along; slope, curvature, and 1 where pieces change."""
        slope, curvature, moved = ro.evaluate_rows(a, b, part)
        first = 0
        if ti.static(features.equalities):
            first = a.size[EQUALITIES]
            for e in range(first):
                ds, dc = eq.evaluate(a, b, e, part)
                slope += ds
                curvature += dc
        if ti.static(features.tendons):
            for c in range(first, first + a.size[LOSSES]):
                ds, dc, dm = te.evaluate_loss(a, b, c, part)
                slope += ds
                curvature += dc
                moved += dm
            first += a.size[LOSSES]
        for c in range(first, a.n_contacts[b]):
            ds, dc, dm = cone.evaluate(a, b, c, part)
            slope += ds
            curvature += dc
            moved += dm
        return slope, curvature, moved

    @ti.func
    def increase(a: ti.template(), s, b, spread, i, j, entry, number):
        """Adds to the Hessian's entry of dofs i and j; `entry` is its place among the chains, if it is not spread."""
        if ti.static(spreads):
            if spread:
                at.increase(a.hessian, my.hessian_at(a, s, b, ti.max(i, j), ti.min(i, j)), number)
            else:
                at.increase(a.mass, at.entry_at(a, s, b, entry), number)
        else:
            at.increase(a.mass, at.entry_at(a, s, b, entry), number)

    def by_pattern(spread, chained):
        """A function that calls the one that knows where the Hessian's entries are."""

        @ti.func
        def called(a: ti.template(), s, b):
            if ti.static(spreads):
                if en.is_spread(a, s, b):
                    spread(a, s, b)
                else:
                    chained(a, s, b)
            else:
                chained(a, s, b)

        return called

    # Of the Hessian, in place; and of x, the right-hand side, which becomes the solution.
    factor, solve = by_pattern(en.factor, ine.factor), by_pattern(en.solve, ine.solve)

    @ti.func
    def assemble(a: ti.template(), s, b):
        """x = J' f - (M a - f0), and the Hessian in the mass matrix or its own, factored."""
        for e in range(a.size[ENTRIES]):
            a.mass[at.entry_at(a, s, b, e)] = a.inertia_rows[at.entry_at(a, 0, b, e)]
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, 0, b, j)
            a.x[i] = 0.0 - a.left[i]
        ro.gather_rows(a, s, b)
        spread = False
        if ti.static(spreads):
            spread = en.is_spread(a, s, b)
            if spread:
                en.take_chains(a, s, b)
        for c in range(a.n_contacts[b]):
            depth, dim = a.contact_index[my.index_at(a, b, c, C_DEPTH)], a.contact_index[my.index_at(a, b, c, C_DIM)]
            wnn, cross = my.number(a, b, c, WNN), lane()
            if dim > 1:
                cross += my.number(a, b, c, CROSS)
            for e in range(depth):
                own, i = a.contact_dofs[my.moved_dof_at(a, b, c, e)], at_row(a, b, c, 0, e)
                j0, j1, j2 = a.contact_jacobian[i], lane(), lane()
                force, tangential = my.number(a, b, c, F) * j0, lane()
                if dim > 1:
                    j1 = a.contact_jacobian[i + at.step(a)]
                    j2 = a.contact_jacobian[i + 2 * at.step(a)]
                    force += my.number(a, b, c, F + 1) * j1 + my.number(a, b, c, F + 2) * j2
                    tangential += my.number(a, b, c, WN + 1) * j1 + my.number(a, b, c, WN + 2) * j2
                if ti.static(turns):
                    for k in range(3, dim):
                        jk = a.contact_jacobian[at_row(a, b, c, k, e)]
                        force += my.number(a, b, c, F + k) * jk
                        tangential += my.number(a, b, c, WN + k) * jk
                i = at.dof_at(a, 0, b, own)
                a.x[i] = a.x[i] + force
                # W J of this dof: normal, and tangents through both their own and the shared part
                y0, y1, y2, shared = wnn * j0 + tangential, lane(), lane(), j0 + cross * tangential
                if dim > 1:
                    y1 += my.number(a, b, c, WN + 1) * shared + my.number(a, b, c, WJ + 1) * j1
                    y2 += my.number(a, b, c, WN + 2) * shared + my.number(a, b, c, WJ + 2) * j2
                target = at.dof(a, own, ENTRY0)
                for f in range(e, depth):
                    i = at_row(a, b, c, 0, f)
                    total = y0 * a.contact_jacobian[i]
                    if dim > 1:
                        total += (y1 * a.contact_jacobian[i + at.step(a)]
                                  + y2 * a.contact_jacobian[i + 2 * at.step(a)])  # fmt: skip
                    if ti.static(turns):
                        for k in range(3, dim):
                            yk = (my.number(a, b, c, WN + k) * shared
                                  + my.number(a, b, c, WJ + k)
                                  * a.contact_jacobian[at_row(a, b, c, k, e)])  # fmt: skip
                            total += yk * a.contact_jacobian[at_row(a, b, c, k, f)]
                    other = a.contact_dofs[my.moved_dof_at(a, b, c, f)]
                    increase(a, s, b, spread, own, other, target + f - e, total)
        factor(a, s, b)

    @ti.func
    def minimise(a: ti.template(), s, b, before, warm, cap):
        """qdd of frame s, begun where that of frame `before` is if `warm`, else at zero: a lane without rows begins
        there, and its first step is the solve that it would get alone. The Hessian's factor stays in the mass matrix.
        Returns 1 where it has not converged."""
        tolerance = a.solver_numbers[1]
        pressed, none = ro.stiffness_of_rows(a, b), lane()
        for c in range(a.n_contacts[b]):
            pressed += my.number(a, b, c, D)
        for j in range(a.size[DOFS]):
            start = lane()
            if warm:
                start = where(pressed > 0.0, a.qdd[at.dof_at(a, before, b, j)], none)
            a.qdd[at.dof_at(a, s, b, j)] = start
            i = at.dof_at(a, 0, b, j)
            a.left[i] = none
            a.x[i] = none
            a.left_along[i] = none
        if warm:
            project(a, b, X, a.qdd, s, True)
            ro.project_rows(a, b, R_X, a.qdd, s, True)
            times_inertia(a, b, a.qdd, s, a.left)
        for j in range(a.size[DOFS]):
            i = at.dof_at(a, 0, b, j)
            a.left[i] = a.left[i] - a.force[i]
        # At first the direction is zero: that only evaluates the start. Later ones are Newton's. A lane whose end is
        # found stands still while others go on, so that no lane's numbers depend on its neighbours.
        iteration, going, open_ = 0, True, lane(1.0)
        start, step, size, linear, quadratic = lane(), lane(), lane(), lane(), lane()
        while going:
            part, low, high = open_, lane(), lane(FAR)
            unfinished, searches, searching = lane(), 0, True
            while searching:
                slope, curvature, moved = evaluate(a, b, part)
                slope += linear + part * quadratic
                if searches == 0:
                    if iteration > 0:
                        small = step <= tolerance * (1.0 + size)
                        open_ = where((moved < 0.5) | small, lane(), open_)
                    unfinished = open_
                unfinished = where(absolute(slope) > FALLEN * absolute(start), unfinished, lane())
                searching = searches < SEARCHES and any_lane(unfinished > 0.5)
                if searching:
                    low = where(slope < 0.0, part, low)
                    high = where(slope < 0.0, high, part)
                    tried = part - slope / (curvature + quadratic)
                    halved = where(high < 0.5 * FAR, 0.5 * (low + high), 2.0 * part)
                    tried = where((tried > low) & (tried < high), tried, halved)
                    part = where(unfinished > 0.5, tried, part)
                    searches += 1
            for c in range(a.n_contacts[b]):
                for k in range(a.contact_index[my.index_at(a, b, c, C_DIM)]):
                    i = my.number_at(a, b, c, X + k)
                    a.contact_list[i] = a.contact_list[i] + part * my.number(a, b, c, ALONG + k)
            ro.advance_rows(a, b, part)
            for j in range(a.size[DOFS]):
                i, k = at.dof_at(a, 0, b, j), at.dof_at(a, s, b, j)
                a.qdd[k] = a.qdd[k] + part * a.x[i]
                a.left[i] = a.left[i] + part * a.left_along[i]
            going = iteration < cap and any_lane(open_ > 0.5)
            stale = False
            if ti.static(features.elliptic):  # of cones the last step has moved the Hessian
                stale = a.n_contacts[b] > 0
            if going or stale:
                assemble(a, s, b)
            if going:
                for j in range(a.size[DOFS]):  # slope along p at its start, before x becomes p
                    i = at.dof_at(a, 0, b, j)
                    a.left_along[i] = a.x[i]
                solve(a, s, b)
                start, step, size = lane(), lane(), lane()
                for j in range(a.size[DOFS]):
                    i = at.dof_at(a, 0, b, j)
                    start = start - a.left_along[i] * a.x[i]
                    step = ti.max(step, absolute(a.x[i]))
                    size = ti.max(size, absolute(a.qdd[at.dof_at(a, s, b, j)]))
                project(a, b, ALONG, a.x, 0, False)
                ro.project_rows(a, b, R_ALONG, a.x, 0, False)
                times_inertia(a, b, a.x, 0, a.left_along)
                linear, quadratic = lane(), lane()
                for j in range(a.size[DOFS]):
                    i = at.dof_at(a, 0, b, j)
                    linear += a.x[i] * a.left[i]
                    quadratic += a.x[i] * a.left_along[i]
                iteration += 1
        return open_

    return Functions(minimise=minimise, solve=solve)
