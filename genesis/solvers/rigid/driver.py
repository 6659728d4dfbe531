"""The kernels: all substeps of a control step in one launch, an environment per thread; and its adjoint likewise."""

from genesis.compiler import STRIDE, Functions, layout, per_runtime, ti
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
    GROUNDS,
    KIND,
    LINKS,
    N_FRAMES,
    N_NUMBERS,
    N_SIZES,
    POINTS,
    Q_INDEX,
    QS,
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
    A1, A3, A4, A33, I1 = lay.A1, lay.A3, lay.A4, lay.A33, lay.I1
    real, vec3, get3 = lay.real, lay.vec3, lay.get3

    @ti.func
    def integrate(s, then, e, dt, size: ti.template(), tree: ti.template(), q: ti.template(), qd: ti.template(),
                  qdd: ti.template(), x: ti.template()):  # fmt: skip
        """Frame `then` from frame s and the accelerations in x: semi-implicit Euler. Whether all is finite."""
        total = ti.cast(0.0, real)
        for j in range(size[DOFS]):
            i, a = at.item(s, e, j, size[DOFS], size), x[at.item(0, e, j, size[DOFS], size)]
            qdd[i] = a
            qd[at.item(then, e, j, size[DOFS], size)] = qd[i] + dt * a
        j = 0
        while j < size[DOFS]:
            first = tree[at.dof_int(j, Q_INDEX, size)]
            old, new = at.item(s, e, first, size[QS], size), at.item(then, e, first, size[QS], size)
            u = qd[at.item(then, e, j, size[DOFS], size)]
            if tree[at.dof_int(j, KIND, size)] == BALL:
                step = at.item(s, e, first + 1, size[QS], size) - old
                w = vec3(u, qd[at.item(then, e, j + 1, size[DOFS], size)],
                         qd[at.item(then, e, j + 2, size[DOFS], size)])  # fmt: skip
                turned = jo.turn_by(jo.read4(q, old, step), dt * w)
                for c in ti.static(range(4)):
                    q[new + c * step] = turned[c]
                    total += turned[c]
                total += w.sum()
                j += 3
            else:
                there = q[old] + dt * u
                q[new] = there
                total += there + u
                j += 1
        return lay.finite(total)

    @ti.func
    def integrate_adjoint(then, e, dt, size: ti.template(), tree: ti.template(), qd: ti.template(), gq: ti.template(),
                          gqd: ti.template(), x: ti.template()):  # fmt: skip
        """Of positions (gq in each dof's own direction) and velocities; x becomes the accelerations' cotangent."""
        j = 0
        while j < size[DOFS]:
            i = at.item(0, e, j, size[DOFS], size)
            if tree[at.dof_int(j, KIND, size)] == BALL:
                phi, g = vec3(0.0), vec3(0.0)
                for c in ti.static(range(3)):
                    phi[c] = dt * qd[at.item(then, e, j + c, size[DOFS], size)]
                    g[c] = gq[at.item(0, e, j + c, size[DOFS], size)]
                gphi, before = jo.turn_by_adjoint(phi, g)
                for c in ti.static(range(3)):
                    k = at.item(0, e, j + c, size[DOFS], size)
                    gqd[k] = gqd[k] + dt * gphi[c]
                    gq[k] = before[c]
                    x[k] = dt * gqd[k]
                j += 3
            else:
                gqd[i] = gqd[i] + dt * gq[i]
                x[i] = dt * gqd[i]
                j += 1

    @ti.kernel
    def advance(
        sizes: I1, nums: A1, tree: I1, fixed: A3, turn: A33, law: A4, point: A4, ground: A4, heights: A1, pair: I1,
        shape: A4, model: A1, gravity: A3, dofs: A1, wrench: A3, status: I1, q: A1, qd: A1, qdd: A1, trace: A3,
        rot: A33, mass: A1, released: I1, work: A3, x: A1, held: A4, held_by: I1, contacts: A3, joint: A3,
    ):  # fmt: skip
        ti.loop_config(block_dim=1)
        for item in range(sizes[ACTIVE] * STRIDE):
            e = item // STRIDE
            if item % STRIDE == 0:
                size, num = at.local(sizes, N_SIZES), at.local(nums, N_NUMBERS)
                if size[BEGIN] == 0:
                    status[e] = 0
                for step in range(size[BEGIN], size[END]):
                    if status[e] != 0:
                        break
                    s, then = step % size[N_FRAMES], (step + 1) % size[N_FRAMES]
                    for l in range(size[LINKS]):
                        ki.move(s, e, l, size, num, tree, fixed, turn, law, gravity, q, qd, trace, rot)
                    attempt = 0
                    while attempt < ATTEMPTS:
                        held_by[at.item(0, e, 0, 1 + 3 * size[GROUNDS] * size[POINTS], size)] = 0
                        for l in range(size[LINKS]):
                            ki.rest(s, e, l, attempt, size, num, tree, fixed, law, point, ground, heights, model,
                                    wrench, trace, rot, work, released, held, held_by)  # fmt: skip
                        if ti.static(features.pairs):
                            pr.push(s, e, size, tree, pair, shape, model, trace, rot, work)
                        ine.gather(s, e, size, num, tree, law, model, dofs, q, qd, trace, work, mass, x)
                        ine.factor(s, e, size, tree, mass)
                        ine.solve(s, e, size, tree, mass, x)
                        attempt += 1
                        if not ki.release(s, e, attempt == ATTEMPTS, size, num, tree, trace, x, work, released, held,
                                          held_by):  # fmt: skip
                            attempt = ATTEMPTS
                    if ti.static(features.outputs):
                        out.measure(s, e, size, num, tree, fixed, pair, shape, model, wrench, trace, rot, work, held,
                                    held_by, contacts, joint)  # fmt: skip
                    if not integrate(s, then, e, num[DT], size, tree, q, qd, qdd, x):
                        status[e] = step + 1

    @ti.kernel
    def advance_adjoint(
        sizes: I1, nums: A1, tree: I1, fixed: A3, law: A4, point: A4, ground: A4, heights: A1, pair: I1,
        shape: A4, model: A1, dofs: A1, wrench: A3, status: I1, q: A1, qd: A1, qdd: A1, trace: A3, rot: A33,
        mass: A1, released: I1, x: A1, back: A3, gqpos: A1, gq: A1, gqd: A1, gdofs: A1, gpush: A3, gmodel: A1,
        ggravity: A3, gcontacts: A3, gjoint: A3,
    ):  # fmt: skip
        ti.loop_config(block_dim=1)
        for item in range(sizes[ACTIVE] * STRIDE):
            e = item // STRIDE
            if item % STRIDE == 0:
                size, num = at.local(sizes, N_SIZES), at.local(nums, N_NUMBERS)
                pulled = False
                if size[END] == size[SUBSTEPS]:
                    ta.to_tangent(size[SUBSTEPS] % size[N_FRAMES], e, size, tree, q, gqpos, gq)
                if status[e] != 0:
                    for j in range(size[DOFS]):
                        i = at.item(0, e, j, size[DOFS], size)
                        gq[i], gqd[i] = 0.0, 0.0
                else:
                    for j in range(size[DOFS]):
                        i = at.item(0, e, j, size[DOFS], size)
                        if gq[i] != 0.0 or gqd[i] != 0.0:
                            pulled = True
                    if ti.static(features.outputs):
                        for k in range(2 * size[POINTS]):
                            if ti.abs(get3(gcontacts, at.item(0, e, k, 2 * size[POINTS], size))).max() > 0.0:
                                pulled = True
                        for k in range(2 * size[LINKS]):
                            if ti.abs(get3(gjoint, at.item(0, e, k, 2 * size[LINKS], size))).max() > 0.0:
                                pulled = True
                for behind in range(size[END] - size[BEGIN]):
                    if not pulled:
                        break
                    step = size[END] - 1 - behind
                    s, then = step % size[N_FRAMES], (step + 1) % size[N_FRAMES]
                    integrate_adjoint(then, e, num[DT], size, tree, qd, gq, gqd, x)
                    if ti.static(features.outputs):
                        out.pull(s, e, size, num, tree, law, point, ground, heights, model, trace, rot, x, back,
                                 released, gcontacts, gjoint)  # fmt: skip
                    ine.solve(s, e, size, tree, mass, x)
                    ad.sweep_out(s, e, size, tree, trace, qdd, x, gjoint, back)
                    if ti.static(features.pairs):
                        pr.push_adjoint(s, e, size, tree, pair, shape, model, trace, rot, back, gmodel)
                    ad.sweep_in(s, e, size, num, tree, fixed, law, point, ground, heights, model, dofs, wrench, q, qd,
                                qdd, trace, rot, released, x, back, gq, gqd, gdofs, gpush, gmodel, ggravity, gcontacts,
                                gjoint)  # fmt: skip
                if size[BEGIN] == 0:
                    ta.from_tangent(0, e, size, tree, q, gq, gqpos)

    return Functions(advance=advance, advance_adjoint=advance_adjoint)
