"""What acts along single dofs (springs, damping, limits, actuators) and the integration of positions; with adjoints.

With y a dof's elastic coordinate (its position; of a ball, a component of its rotation vector), u its new velocity:

    force = actuator(y, u) - stiffness (y - rest) - damping u + limits(y, u)

Everything is taken at the new position y + dt u and velocity u, to first order: dt D + dt^2 K comes on the diagonal
of the mass matrix: stable at any stiffness. Limits are linearised where the old velocity leads, y + dt v, so that they
act before a fast joint has passed them. An actuator beyond its strength gives its limit, and no derivative.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
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
from genesis.solvers.rigid.spatial import spatial


@per_runtime
def joints() -> Functions:
    lay, at, sp = layout(), indices(), spatial()
    real, vec3, vec4 = lay.real, lay.vec3, lay.vec4
    get4 = lay.get4

    @ti.func
    def read4(a: ti.template(), i, step):
        return vec4(a[i], a[i + step], a[i + 2 * step], a[i + 3 * step])

    @ti.func
    def rotation_vector(quat):
        """Of a quaternion of any length, at most half a turn."""
        v = quat[1:]
        w = quat[0]
        if w < 0.0:
            v, w = -v, -w
        sine = v.norm()
        scale = 2.0 / w
        if sine > 1e-5 * w:
            scale = 2.0 * ti.atan2(sine, w) / sine
        return scale * v

    @ti.func
    def vector_slope(phi, g):
        """Cotangent of a rotation in its own frame from the cotangent g of its rotation vector phi."""
        t2 = phi.dot(phi)
        c = ti.cast(1.0 / 12.0, real) + t2 / 720.0 + t2 * t2 / 30240.0
        if t2 > 0.04:
            t = ti.sqrt(t2)
            c = 1.0 / t2 - (1.0 + ti.cos(t)) / (2.0 * t * ti.sin(t))
        x = g.cross(phi)  # transposed: -[phi] g
        return g + 0.5 * x + c * x.cross(phi)

    @ti.func
    def coordinate(s, e, j, size: ti.template(), tree: ti.template(), q: ti.template()):
        """Elastic coordinate of dof j; 0 for the rotation of a free joint, on which nothing elastic acts."""
        i = at.item(s, e, tree[at.dof_int(j, Q_INDEX, size)], size[QS], size)
        y = q[i]
        if tree[at.dof_int(j, KIND, size)] == BALL:
            component = tree[at.dof_int(j, COMPONENT, size)]
            y = 0.0
            if component >= 0:
                step = at.item(s, e, 1, size[QS], size) - at.item(s, e, 0, size[QS], size)
                phi = rotation_vector(read4(q, i, step))
                y = phi[0]
                if component == 1:
                    y = phi[1]
                elif component == 2:
                    y = phi[2]
        return y

    @ti.func
    def elastic_adjoint(s, e, j, size: ti.template(), tree: ti.template(), q: ti.template(), x: ti.template()):
        """The three of a ball in x: from cotangents of its rotation vector to those of its rotation."""
        if tree[at.dof_int(j, COMPONENT, size)] >= 0:
            i = at.item(s, e, tree[at.dof_int(j, Q_INDEX, size)], size[QS], size)
            step = at.item(s, e, 1, size[QS], size) - at.item(s, e, 0, size[QS], size)
            k = at.item(0, e, j, size[DOFS], size)
            g = vector_slope(rotation_vector(read4(q, i, step)), vec3(x[k], x[k + step], x[k + 2 * step]))
            for c in ti.static(range(3)):
                x[k + c * step] = g[c]

    @ti.func
    def limit(y, row, width):
        """Force, stiffness, damping of a limit, and the slopes of the latter two."""
        below, dbelow, ddbelow = sp.ramp(row[0] - y, width)
        above, dabove, ddabove = sp.ramp(y - row[1], width)
        return (row[2] * (below - above), row[2] * (dbelow + dabove), row[3] * (dbelow + dabove),
                row[2] * (ddabove - ddbelow), row[3] * (ddabove - ddbelow))  # fmt: skip

    @ti.func
    def terms(s, e, j, y, size: ti.template(), num: ti.template(), law: ti.template(), model: ti.template(),
              dofs: ti.template(), qd: ti.template()):  # fmt: skip
        """Force at the old position less velocity terms, D, K, whether the actuator is within its strength, and of the
        limits alone K and the slopes of K and D in y."""
        v = qd[at.item(s, e, j, size[DOFS], size)]
        row, rest = get4(law, 2 * j), get4(law, 2 * j + 1)
        base = 9 * size[LINKS] + j
        D, K = model[at.parameter(e, base, size)], model[at.parameter(e, base + 2 * size[DOFS], size)]
        force = -K * (y - rest[0])
        c = at.item(0, e, 5 * j, 5 * size[DOFS], size)
        step = at.item(0, e, 5 * j + 1, 5 * size[DOFS], size) - c
        kp = dofs[c + 3 * step] * model[at.parameter(e, base + 3 * size[DOFS], size)]
        kv = dofs[c + 4 * step] * model[at.parameter(e, base + 4 * size[DOFS], size)]
        asked = dofs[c] + kp * (dofs[c + step] - y) + kv * dofs[c + 2 * step]
        strong = True
        if asked - kv * v > rest[2]:
            force += rest[2]
            strong = False
        elif asked - kv * v < rest[1]:
            force += rest[1]
            strong = False
        else:
            force += asked
            K += kp
            D += kv
        k, dK, dD = ti.cast(0.0, real), ti.cast(0.0, real), ti.cast(0.0, real)
        ahead = y + num[DT] * v
        if ahead < row[0] + num[LIMIT_SMOOTHING] or ahead > row[1] - num[LIMIT_SMOOTHING]:
            f, stiff, d, dK, dD = limit(ahead, row, num[LIMIT_SMOOTHING])
            k = stiff
            force += f + num[DT] * k * v
            K += k
            D += d
        return force, D, K, strong, k, dK, dD

    @ti.func
    def load(s, e, j, size: ti.template(), num: ti.template(), tree: ti.template(), law: ti.template(),
             model: ti.template(), dofs: ti.template(), q: ti.template(), qd: ti.template()):  # fmt: skip
        """What dof j adds to the diagonal of the mass matrix, and its force at zero acceleration."""
        y = coordinate(s, e, j, size, tree, q)
        force, D, K, _strong, _k, _dK, _dD = terms(s, e, j, y, size, num, law, model, dofs, qd)
        implicit = num[DT] * (D + num[DT] * K)
        armature = model[at.parameter(e, 9 * size[LINKS] + size[DOFS] + j, size)]
        return armature + implicit, force - (D + num[DT] * K) * qd[at.item(s, e, j, size[DOFS], size)]

    @ti.func
    def load_adjoint(s, e, j, y, mu, size: ti.template(), num: ti.template(), law: ti.template(), model: ti.template(),
                     dofs: ti.template(), qd: ti.template(), qdd: ti.template(), gdofs: ti.template(),
                     gmodel: ti.template()):  # fmt: skip
        """Derivatives of mu . (what the dof resists) by y and by the old velocity; subtracts the other inputs' ones."""
        dt = num[DT]
        i = at.item(s, e, j, size[DOFS], size)
        v, a = qd[i], qdd[i]
        u = v + dt * a
        _force, D, K, strong, k, dK, dD = terms(s, e, j, y, size, num, law, model, dofs, qd)
        stretched = y + dt * u
        base = 9 * size[LINKS] + j
        add(gmodel, at.parameter(e, base, size), -mu * u)
        add(gmodel, at.parameter(e, base + size[DOFS], size), -mu * a)
        add(gmodel, at.parameter(e, base + 2 * size[DOFS], size), -mu * (stretched - get4(law, 2 * j + 1)[0]))
        if strong:
            c = at.item(0, e, 5 * j, 5 * size[DOFS], size)
            step = at.item(0, e, 5 * j + 1, 5 * size[DOFS], size) - c
            p, w = at.parameter(e, base + 3 * size[DOFS], size), at.parameter(e, base + 4 * size[DOFS], size)
            add(gdofs, c, mu)
            add(gdofs, c + step, mu * dofs[c + 3 * step] * model[p])
            add(gdofs, c + 2 * step, mu * dofs[c + 4 * step] * model[w])
            add(gdofs, c + 3 * step, mu * model[p] * (dofs[c + step] - stretched))
            add(gdofs, c + 4 * step, mu * model[w] * (dofs[c + 2 * step] - u))
            add(gmodel, p, mu * dofs[c + 3 * step] * (dofs[c + step] - stretched))
            add(gmodel, w, mu * dofs[c + 4 * step] * (dofs[c + 2 * step] - u))
        moved = k + dt * dK * (u - v) + dD * u  # of the limits, by the place where they are linearised
        return mu * (K - k + moved), mu * (D + dt * (K - k + moved))

    @ti.func
    def add(a: ti.template(), i, value):
        a[i] = a[i] + value

    @ti.func
    def turn_by(quat, phi):
        """quat / |quat| followed by the rotation vector phi in the turned frame; unit length."""
        half = 0.5 * phi
        h2 = half.dot(half)
        c, sc = 1.0 - 0.5 * h2 + h2 * h2 / 24.0, 1.0 - h2 / 6.0 + h2 * h2 / 120.0
        if h2 > 1e-4:
            h = ti.sqrt(h2)
            c, sc = ti.cos(h), ti.sin(h) / h
        v, w = quat[1:], sc * half
        x = quat[0] * w + c * v + v.cross(w)
        out = vec4(quat[0] * c - v.dot(w), x[0], x[1], x[2])
        return out / out.norm()

    @ti.func
    def turn_by_adjoint(phi, g):
        """From the cotangent g of the turned frame (in that frame): cotangents of phi and of the frame before."""
        t2 = phi.dot(phi)
        c1 = 0.5 - t2 * (1.0 / 24.0 - t2 * (1.0 / 720.0 - t2 / 40320.0))
        c2 = 1.0 / 6.0 - t2 * (1.0 / 120.0 - t2 * (1.0 / 5040.0 - t2 / 362880.0))
        if t2 > 0.04:
            t = ti.sqrt(t2)
            c1, c2 = (1.0 - ti.cos(t)) / t2, (t - ti.sin(t)) / (t2 * t)
        x = phi.cross(g)
        xx = phi.cross(x)
        return g + c1 * x + c2 * xx, g + (1.0 - t2 * c2) * x + c1 * xx

    return Functions(coordinate=coordinate, elastic_adjoint=elastic_adjoint, load=load,
                     load_adjoint=load_adjoint, read4=read4, turn_by=turn_by, turn_by_adjoint=turn_by_adjoint, add=add)
