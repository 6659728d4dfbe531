"""The kernels: all substeps of a control step in one launch, a block of environments per thread; and its adjoint."""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import absolute, any_lane, lane, of_lane, where
from genesis.solvers.base import SPEED_LIMIT, SPIN_LIMIT
from genesis.solvers.rigid.adjoint import adjoint
from genesis.solvers.rigid.inertia import inertia
from genesis.solvers.rigid.joints import joints
from genesis.solvers.rigid.kinematics import kinematics
from genesis.solvers.rigid.layout import (
    ACTIVE,
    BALL,
    BEGIN,
    DOFS,
    DT,
    END,
    ENVS,
    GROUNDS,
    KIND,
    LINKS,
    N_FRAMES,
    N_NUMBERS,
    N_SIZES,
    NUMBERS,
    POINTS,
    Q_INDEX,
    QS,
    SLIDE,
    SUBSTEPS,
    Features,
    indices,
)  # fmt: skip
from genesis.solvers.rigid.outputs import outputs
from genesis.solvers.rigid.pairs import pairs
from genesis.solvers.rigid.tangent import tangent

ATTEMPTS = 4
"""At solving a substep, while contacts are found that would pull."""


@per_runtime
def driver(features: Features) -> Functions:
    lay, at = layout(), indices()
    ki, ine, jo, ad, ta = kinematics(features), inertia(), joints(), adjoint(features), tangent()
    out, pr = outputs(features), pairs(features)
    A1, AL, I1 = lay.A1, lay.AL, lay.I1

    @ti.func
    def integrate(s, then, b, dt, size: ti.template(), tree: ti.template(), q: ti.template(), qd: ti.template(),
                  qdd: ti.template(), x: ti.template()):  # fmt: skip
        """Frame `then` from frame s and the accelerations in x: semi-implicit Euler. The sum of all, to be finite,
        and the largest velocity as a part of its limit."""
        total, fastest = lane(), lane()
        for j in range(size[DOFS]):
            i, a = at.item(s, b, j, size[DOFS], size), x[at.item(0, b, j, size[DOFS], size)]
            qdd[i] = a
            qd[at.item(then, b, j, size[DOFS], size)] = qd[i] + dt * a
        j = 0
        while j < size[DOFS]:
            first = tree[at.dof_int(j, Q_INDEX, size)]
            old, new = at.item(s, b, first, size[QS], size), at.item(then, b, first, size[QS], size)
            i = at.item(then, b, j, size[DOFS], size)
            if tree[at.dof_int(j, KIND, size)] == BALL:
                w = at.get3(qd, i, size)
                turned = jo.turn_by(at.get4(q, old, size), dt * w)
                at.put(q, new, turned, size)
                total += turned.sum() + w.sum()
                fastest = ti.max(fastest, (1.0 / SPIN_LIMIT) * absolute(w).max())
                j += 3
            else:
                there = q[old] + dt * qd[i]
                q[new] = there
                total += there + qd[i]
                limit = 1.0 / SPIN_LIMIT
                if tree[at.dof_int(j, KIND, size)] == SLIDE:
                    limit = 1.0 / SPEED_LIMIT
                fastest = ti.max(fastest, ti.cast(limit, lay.real) * absolute(qd[i]))
                j += 1
        return total, fastest

    @ti.func
    def integrate_adjoint(then, b, dt, size: ti.template(), tree: ti.template(), qd: ti.template(), gq: ti.template(),
                          gqd: ti.template(), x: ti.template()):  # fmt: skip
        """Of positions (gq in each dof's own direction) and velocities; x becomes the accelerations' cotangent."""
        j = 0
        while j < size[DOFS]:
            i = at.item(0, b, j, size[DOFS], size)
            if tree[at.dof_int(j, KIND, size)] == BALL:
                phi = dt * at.get3(qd, at.item(then, b, j, size[DOFS], size), size)
                gphi, before = jo.turn_by_adjoint(phi, at.get3(gq, i, size))
                at.add3(gqd, i, dt * gphi, size)
                at.put(gq, i, before, size)
                at.put(x, i, dt * at.get3(gqd, i, size), size)
                j += 3
            else:
                gqd[i] = gqd[i] + dt * gq[i]
                x[i] = dt * gqd[i]
                j += 1

    @ti.func
    def note(status: ti.template(), b, total, fastest, step):
        """The first substep, counted from one, after which an environment was not finite any more, or too fast."""
        for j in ti.static(range(lay.width)):
            if (not lay.finite(of_lane(total, j)) or of_lane(fastest, j) > 1.0) and status[lay.width * b + j] == 0:
                status[lay.width * b + j] = step + 1

    @ti.func
    def healthy(status: ti.template(), b):
        """Mask of the environments that stayed finite."""
        codes = lane()
        for j in ti.static(range(lay.width)):
            if ti.static(lay.width == 1):
                codes = ti.cast(status[b], lay.real)
            else:
                codes[j] = ti.cast(status[lay.width * b + j], lay.real)
        return codes < 0.5

    @ti.func
    def pull(a: ti.template(), b, n, size: ti.template()):
        """Sum of the absolute values of n numbers of each environment."""
        total = lane()
        for k in range(n):
            v = a[at.item(0, b, k, n, size)]
            total += ti.max(v, 0.0 - v)
        return total

    @ti.func
    def keep(good, a: ti.template(), b, n, size: ti.template()):
        """Zero in environments that are out."""
        for k in range(n):
            i = at.item(0, b, k, n, size)
            a[i] = where(good, a[i], lane())

    @ti.func
    def take(rows: ti.template(), a: ti.template(), b, n, size: ti.template()):
        """Into frame 0 of a, from rows of n numbers for each environment. Idle lanes repeat the first environment."""
        for k in range(n):
            v = lane()
            for j in ti.static(range(lay.width)):
                env = lay.width * b + j
                if env >= size[ENVS]:
                    env = 0
                if ti.static(lay.width == 1):
                    v = rows[env * n + k]
                else:
                    v[j] = rows[env * n + k]
            a[at.item(0, b, k, n, size)] = v

    @ti.func
    def give(frame, a: ti.template(), rows: ti.template(), b, n, size: ti.template()):
        """The reverse, from a frame."""
        for k in range(n):
            v = a[at.item(frame, b, k, n, size)]
            for j in ti.static(range(lay.width)):
                env = lay.width * b + j
                if env < size[ENVS]:
                    rows[env * n + k] = of_lane(v, j)

    @ti.func
    def clear(a: ti.template(), b, n, size: ti.template()):
        none = lane()
        for k in range(n):
            a[at.item(0, b, k, n, size)] = none

    @ti.kernel
    def advance(
        sizes: I1, nums: A1, tree: I1, fixed: A1, turn: A1, law: A1, point: A1, ground: A1, heights: A1, pair: I1,
        shape: A1, model: AL, gravity: AL, dofs: AL, wrench: AL, status: I1, q: AL, qd: AL, qdd: AL, trace: AL,
        rot: AL, mass: AL, released: AL, work: AL, x: AL, held: AL, held_by: I1, contacts: AL, joint: AL,
        q_in: A1, qd_in: A1, dofs_in: A1, q_out: A1, qd_out: A1,
    ):  # fmt: skip
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(sizes[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                size, num = at.local(sizes, N_SIZES), at.local(nums, N_NUMBERS)
                if size[BEGIN] == 0:
                    for j in ti.static(range(lay.width)):
                        status[lay.width * b + j] = 0
                    take(q_in, q, b, size[QS], size)
                    take(qd_in, qd, b, size[DOFS], size)
                    take(dofs_in, dofs, b, 5 * size[DOFS], size)
                for step in range(size[BEGIN], size[END]):
                    s, then = step % size[N_FRAMES], (step + 1) % size[N_FRAMES]
                    for l in range(size[LINKS]):
                        ki.move(s, b, l, size, num, tree, fixed, turn, law, gravity, q, qd, trace, rot)
                    attempt = 0
                    while attempt < ATTEMPTS:
                        held_by[at.item(0, b, 0, 1 + 3 * size[GROUNDS] * size[POINTS], size)] = 0
                        for l in range(size[LINKS]):
                            ki.rest(s, b, l, attempt, size, num, tree, fixed, law, point, ground, heights, model,
                                    wrench, trace, rot, work, released, held, held_by)  # fmt: skip
                        if ti.static(features.pairs):
                            pr.push(s, b, size, tree, pair, shape, model, trace, rot, work)
                        ine.gather(s, b, size, num, tree, law, model, dofs, q, qd, trace, work, mass, x)
                        ine.factor(s, b, size, tree, mass)
                        ine.solve(s, b, size, tree, mass, x)
                        attempt += 1
                        if not ki.release(s, b, attempt == ATTEMPTS, size, num, tree, trace, x, work, released, held,
                                          held_by):  # fmt: skip
                            attempt = ATTEMPTS
                    if ti.static(features.outputs):
                        out.measure(s, b, size, num, tree, fixed, pair, shape, model, wrench, trace, rot, work, held,
                                    held_by, contacts, joint)  # fmt: skip
                    total, fastest = integrate(s, then, b, num[DT], size, tree, q, qd, qdd, x)
                    note(status, b, total, fastest, step)
                if size[END] == size[SUBSTEPS]:
                    last = size[SUBSTEPS] % size[N_FRAMES]
                    give(last, q, q_out, b, size[QS], size)
                    give(last, qd, qd_out, b, size[DOFS], size)

    @ti.kernel
    def advance_adjoint(
        sizes: I1, nums: A1, tree: I1, fixed: A1, law: A1, point: A1, ground: A1, heights: A1, pair: I1,
        shape: A1, model: AL, dofs: AL, wrench: AL, status: I1, q: AL, qd: AL, qdd: AL, trace: AL, rot: AL,
        mass: AL, released: AL, x: AL, back: AL, gqpos: AL, gq: AL, gqd: AL, gdofs: AL, gpush: AL, gmodel: AL,
        ggravity: AL, gcontacts: AL, gjoint: AL, gq_in: A1, gqd_in: A1, gq_out: A1, gqd_out: A1, gdofs_out: A1,
    ):  # fmt: skip
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(sizes[ACTIVE] * lay.stride):
            b = item // lay.stride
            if item % lay.stride == 0:
                size, num = at.local(sizes, N_SIZES), at.local(nums, N_NUMBERS)
                if size[END] == size[SUBSTEPS]:
                    take(gq_in, gqpos, b, size[QS], size)
                    take(gqd_in, gqd, b, size[DOFS], size)
                    clear(gdofs, b, 5 * size[DOFS], size)
                    clear(gpush, b, 6 * size[LINKS], size)
                    clear(gmodel, b, size[NUMBERS], size)
                    clear(ggravity, b, 3, size)
                    ta.to_tangent(size[SUBSTEPS] % size[N_FRAMES], b, size, tree, q, gqpos, gq)
                force = pull(gq, b, size[DOFS], size) + pull(gqd, b, size[DOFS], size)
                if ti.static(features.outputs):
                    force += pull(gcontacts, b, 6 * size[POINTS], size) + pull(gjoint, b, 6 * size[LINKS], size)
                good = healthy(status, b)
                if any_lane(good & (force > 0.0)):
                    for behind in range(size[END] - size[BEGIN]):
                        step = size[END] - 1 - behind
                        s, then = step % size[N_FRAMES], (step + 1) % size[N_FRAMES]
                        integrate_adjoint(then, b, num[DT], size, tree, qd, gq, gqd, x)
                        if ti.static(features.outputs):
                            out.pull(s, b, size, num, tree, law, point, ground, heights, model, trace, rot, x, back,
                                     released, gcontacts, gjoint)  # fmt: skip
                        ine.solve(s, b, size, tree, mass, x)
                        ad.sweep_out(s, b, size, tree, trace, qdd, x, gjoint, back)
                        if ti.static(features.pairs):
                            pr.push_adjoint(s, b, size, tree, pair, shape, model, trace, rot, back, gmodel)
                        ad.sweep_in(s, b, size, num, tree, fixed, law, point, ground, heights, model, dofs, wrench, q,
                                    qd, qdd, trace, rot, released, x, back, gq, gqd, gdofs, gpush, gmodel, ggravity,
                                    gcontacts, gjoint)  # fmt: skip
                keep(good, gq, b, size[DOFS], size)
                keep(good, gqd, b, size[DOFS], size)
                keep(good, gdofs, b, 5 * size[DOFS], size)
                keep(good, gpush, b, 6 * size[LINKS], size)
                keep(good, gmodel, b, size[NUMBERS], size)
                keep(good, ggravity, b, 3, size)
                if size[BEGIN] == 0:
                    ta.from_tangent(0, b, size, tree, q, gq, gqpos)
                    keep(good, gqpos, b, size[QS], size)
                    give(0, gqpos, gq_out, b, size[QS], size)
                    give(0, gqd, gqd_out, b, size[DOFS], size)
                    give(0, gdofs, gdofs_out, b, 5 * size[DOFS], size)

    return Functions(advance=advance, advance_adjoint=advance_adjoint)
