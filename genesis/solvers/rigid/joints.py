"""What acts along single dofs (springs, damping, limits, actuators) and the integration of positions; with adjoints.

With y a dof's elastic coordinate (its position; of a ball, a component of its rotation vector), u its new velocity:

    force = actuator(y, u) - stiffness (y - rest) - damping u + limits(y, u)

Everything is taken at the new position y + dt u and velocity u, to first order: dt D + dt^2 K comes on the diagonal
of the mass matrix: stable at any stiffness. Limits are linearised where the old velocity leads, y + dt v, so that they
act before a fast joint has passed them. An actuator beyond its strength gives its limit, and no derivative.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Vec, arctangent, lane, sine_cosine, where
from genesis.solvers.rigid.layout import (
    BALL,
    COMPONENT,
    DOFS,
    DT,
    KIND,
    LIMIT_SMOOTHING,
    LINKS,
    Q_INDEX,
    QS,
    indices,
)  # fmt: skip
from genesis.solvers.rigid.spatial import quaternion_product, ramp


@per_runtime
def joints() -> Functions:
    at = indices()

    @ti.func
    def rotation_vector(quat: ti.template()):
        """Of a quaternion of any length, at most half a turn."""
        sign = where(quat[0] < 0.0, lane(-1.0), lane(1.0))
        v, w = sign * quat[1:], sign * quat[0]
        sine = v.norm()
        small = sine < 1e-5 * w
        angle = 2.0 * arctangent(sine, w)
        return where(small, 2.0 / where(small, w, lane(1.0)), angle / where(small, lane(1.0), sine)) * v

    @ti.func
    def vector_slope(phi: ti.template(), g: ti.template()):
        """Cotangent of a rotation in its own frame from the cotangent g of its rotation vector phi."""
        t2 = phi.dot(phi)
        large = where(t2 > 0.04, t2, lane(0.04))
        t = ti.sqrt(large)
        sine, cosine = sine_cosine(0.5 * t)  # of half the angle, which have a quotient at half a turn too
        c = where(t2 > 0.04, 1.0 / large - cosine / (2.0 * t * sine),
                  1.0 / 12.0 + t2 / 720.0 + t2 * t2 / 30240.0)  # fmt: skip
        x = g.cross(phi)  # transposed: -[phi] g
        return g + 0.5 * x + c * x.cross(phi)

    @ti.func
    def coordinate(s, b, j, size: ti.template(), tree: ti.template(), q: ti.template()):
        """Elastic coordinate of dof j; 0 for the rotation of a free joint, on which nothing elastic acts."""
        i = at.item(s, b, tree[at.dof_int(j, Q_INDEX, size)], size[QS], size)
        y = lane()
        if tree[at.dof_int(j, KIND, size)] != BALL:
            y = q[i]
        else:
            component = tree[at.dof_int(j, COMPONENT, size)]
            if component >= 0:
                phi = rotation_vector(at.get4(q, i, size))
                y = phi[0]
                if component == 1:
                    y = phi[1]
                elif component == 2:
                    y = phi[2]
        return y

    @ti.func
    def elastic_adjoint(s, b, j, size: ti.template(), tree: ti.template(), q: ti.template(), x: ti.template()):
        """The three of a ball in x: from cotangents of its rotation vector to those of its rotation."""
        if tree[at.dof_int(j, COMPONENT, size)] >= 0:
            i = at.item(s, b, tree[at.dof_int(j, Q_INDEX, size)], size[QS], size)
            k = at.item(0, b, j, size[DOFS], size)
            at.put(x, k, vector_slope(rotation_vector(at.get4(q, i, size)), at.get3(x, k, size)), size)

    @ti.func
    def limit(y, row: ti.template(), width):
        """Force, stiffness, damping of a limit, and the slopes of the latter two."""
        below, dbelow, ddbelow = ramp(row[0] - y, width)
        above, dabove, ddabove = ramp(y - row[1], width)
        return (row[2] * (below - above), row[2] * (dbelow + dabove), row[3] * (dbelow + dabove),
                row[2] * (ddabove - ddbelow), row[3] * (ddabove - ddbelow))  # fmt: skip

    @ti.func
    def terms(s, b, j, y, size: ti.template(), num: ti.template(), law: ti.template(), model: ti.template(),
              dofs: ti.template(), qd: ti.template()):  # fmt: skip
        """Force at the old position less velocity terms, D, K, 1 where the actuator is within its strength and else 0,
        and of the limits alone K and the slopes of K and D in y."""
        v = qd[at.item(s, b, j, size[DOFS], size)]
        row, rest = at.row(law, 2 * j), at.row(law, 2 * j + 1)
        base = 9 * size[LINKS] + j
        c, step = at.item(0, b, 5 * j, 5 * size[DOFS], size), at.step(size)
        kp = dofs[c + 3 * step] * model[at.parameter(b, base + 3 * size[DOFS], size)]
        kv = dofs[c + 4 * step] * model[at.parameter(b, base + 4 * size[DOFS], size)]
        asked = dofs[c] + kp * (dofs[c + step] - y) + kv * dofs[c + 2 * step]
        given = asked - kv * v
        strong = where(given > rest[2], lane(), where(given < rest[1], lane(), lane(1.0)))
        spring = model[at.parameter(b, base + 2 * size[DOFS], size)]
        f, k, d, dK, dD = limit(y + num[DT] * v, row, num[LIMIT_SMOOTHING])
        force = where(given > rest[2], lane(rest[2]), where(given < rest[1], lane(rest[1]), asked))
        force += f + num[DT] * k * v - spring * (y - rest[0])
        D = model[at.parameter(b, base, size)] + strong * kv + d
        K = spring + strong * kp + k
        return force, D, K, strong, k, dK, dD

    @ti.func
    def load(s, b, j, size: ti.template(), num: ti.template(), tree: ti.template(), law: ti.template(),
             model: ti.template(), dofs: ti.template(), q: ti.template(), qd: ti.template()):  # fmt: skip
        """What dof j adds to the diagonal of the mass matrix, and its force at zero acceleration."""
        y = coordinate(s, b, j, size, tree, q)
        force, D, K, _strong, _k, _dK, _dD = terms(s, b, j, y, size, num, law, model, dofs, qd)
        implicit = num[DT] * (D + num[DT] * K)
        armature = model[at.parameter(b, 9 * size[LINKS] + size[DOFS] + j, size)]
        return armature + implicit, force - (D + num[DT] * K) * qd[at.item(s, b, j, size[DOFS], size)]

    @ti.func
    def load_adjoint(s, b, j, y, mu, size: ti.template(), num: ti.template(), law: ti.template(), model: ti.template(),
                     dofs: ti.template(), qd: ti.template(), qdd: ti.template(), gdofs: ti.template(),
                     gmodel: ti.template()):  # fmt: skip
        """Derivatives of mu . (what the dof resists) by y and by the old velocity; subtracts the other inputs' ones."""
        dt = num[DT]
        i = at.item(s, b, j, size[DOFS], size)
        v, a = qd[i], qdd[i]
        u = v + dt * a
        _force, D, K, strong, k, dK, dD = terms(s, b, j, y, size, num, law, model, dofs, qd)
        stretched = y + dt * u
        base = 9 * size[LINKS] + j
        add(gmodel, at.parameter(b, base, size), 0.0 - mu * u)
        add(gmodel, at.parameter(b, base + size[DOFS], size), 0.0 - mu * a)
        add(gmodel, at.parameter(b, base + 2 * size[DOFS], size), mu * (law[8 * j + 4] - stretched))
        c, step = at.item(0, b, 5 * j, 5 * size[DOFS], size), at.step(size)
        p, w = at.parameter(b, base + 3 * size[DOFS], size), at.parameter(b, base + 4 * size[DOFS], size)
        pull = mu * strong  # beyond its strength an actuator's inputs do not matter
        short, slow = dofs[c + step] - stretched, dofs[c + 2 * step] - u
        add(gdofs, c, pull)
        add(gdofs, c + step, pull * dofs[c + 3 * step] * model[p])
        add(gdofs, c + 2 * step, pull * dofs[c + 4 * step] * model[w])
        add(gdofs, c + 3 * step, pull * model[p] * short)
        add(gdofs, c + 4 * step, pull * model[w] * slow)
        add(gmodel, p, pull * dofs[c + 3 * step] * short)
        add(gmodel, w, pull * dofs[c + 4 * step] * slow)
        moved = k + dt * dK * (u - v) + dD * u  # of the limits, by the place where they are linearised
        return mu * (K - k + moved), mu * (D + dt * (K - k + moved))

    @ti.func
    def add(a: ti.template(), i, value):
        a[i] = a[i] + value

    @ti.func
    def turn_by(quat: ti.template(), phi: ti.template()):
        """quat / |quat| followed by the rotation vector phi in the turned frame; unit length."""
        half = 0.5 * phi
        h2 = half.dot(half)
        large = where(h2 > 1e-4, h2, lane(1e-4))
        h = ti.sqrt(large)
        sine, cosine = sine_cosine(h)
        c = where(h2 > 1e-4, cosine, 1.0 - 0.5 * h2 + h2 * h2 / 24.0)
        w = where(h2 > 1e-4, sine / h, 1.0 - h2 / 6.0 + h2 * h2 / 120.0) * half
        out = quaternion_product(quat, Vec(c, w[0], w[1], w[2]))
        return out / out.norm()

    @ti.func
    def turn_by_adjoint(phi: ti.template(), g: ti.template()):
        """From the cotangent g of the turned frame (in that frame): cotangents of phi and of the frame before."""
        t2 = phi.dot(phi)
        large = where(t2 > 0.04, t2, lane(0.04))
        t = ti.sqrt(large)
        sine, cosine = sine_cosine(t)
        c1 = where(t2 > 0.04, (1.0 - cosine) / large, 0.5 - t2 * (1.0 / 24.0 - t2 * (1.0 / 720.0 - t2 / 40320.0)))
        c2 = where(t2 > 0.04, (t - sine) / (large * t),
                   1.0 / 6.0 - t2 * (1.0 / 120.0 - t2 * (1.0 / 5040.0 - t2 / 362880.0)))  # fmt: skip
        x = phi.cross(g)
        xx = phi.cross(x)
        return g + c1 * x + c2 * xx, g + (1.0 - t2 * c2) * x + c1 * xx

    return Functions(coordinate=coordinate, elastic_adjoint=elastic_adjoint, load=load,
                     load_adjoint=load_adjoint, turn_by=turn_by, turn_by_adjoint=turn_by_adjoint, add=add)
