"""Free bodies that carry no other, with implicitfast: their gyroscopic forces are taken implicitly; and the adjoint.

With the velocity (v, w) of such a body's frame, v in the world's axes, w and all else in its own, c its centre of mass,
J its inertia about the frame's origin and B its damping, the change (x, y) of its acceleration (X, Y) solves

    (m + h B) x + m R K y                 = -h (B X + m R swing(Y))       swing(y) = y x (w x c) + w x (y x c)
    m c x R'x + (J + h B) y + h twist(y)  = -h (B Y + twist(Y))           twist(y) = y x J w + w x J y
    K y = y x c + h swing(y)                                              both: slopes in w of m w x (w x c) and w x J w

The six equations of a body stand alone, and are not symmetric. What multiplies x is diagonal; y's three remain.
Source: MuJoCo's documentation, Computation, "Gyroscopic derivatives for free bodies".
"""

from genesis.compiler import Composite, Functions, element, per_runtime, ti, traced, value
from genesis.math.lanes import Mat, Vec
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import COM, DOF0, DT, LINKS
from genesis.solvers.rigid.mujoco.joints import implicit_damping
from genesis.solvers.rigid.mujoco.layout import Features
from genesis.solvers.rigid.spatial import times

FREE_DOFS = 6


class Body(Composite):
    """What the equations of a body read."""

    def __init__(self, R, m, c, w, moments, h, diagonal, damping):
        self.R, self.back, self.m, self.c, self.w, self.moments, self.h = R, R.transpose(), m, c, w, moments, h
        self.by_x, self.by_y = diagonal
        self.damping_x, self.damping_y = damping

    @traced
    def turning(self, y):
        """J y."""
        d, o = self.moments
        return times(d, o, y) + self.m * self.c.cross(y.cross(self.c))

    @traced
    def swing(self, y):
        return y.cross(self.w.cross(self.c)) + self.w.cross(y.cross(self.c))

    @traced
    def swing_back(self, x):
        """Transposed."""
        return self.w.cross(self.c).cross(x) + self.c.cross(x.cross(self.w))

    @traced
    def twist(self, y):
        return y.cross(self.turning(self.w)) + self.w.cross(self.turning(y))

    @traced
    def twist_back(self, y):
        return self.turning(self.w).cross(y) + self.turning(y.cross(self.w))

    @traced
    def along(self, y):
        """K y."""
        return y.cross(self.c) + self.h * self.swing(y)

    @traced
    def along_back(self, x):
        return self.c.cross(x) + self.h * self.swing_back(x)

    @traced
    def columns(self):
        """Of the matrix of y's equations once x is eliminated."""
        out = []
        for k in range(3):
            y = Vec(*[1.0 if i == k else 0.0 for i in range(3)])
            x = (self.m * (self.R @ self.along(y))) / self.by_x
            own = Vec(*[self.by_y[i] if i == k else 0.0 for i in range(3)])
            out.append(self.turning(y) + self.h * self.twist(y) + own - self.m * self.c.cross(self.back @ x))
        return Mat(*out)

    @traced
    def scale(self):
        """1 / the size of its inertia, so that a determinant is about 1."""
        d, _o = self.moments
        return value(1.0 / (d.sum() + self.by_y.sum() + self.m * self.c.dot(self.c)))


@traced
def body_of(a, s, b, l):
    """Of link l in frame s. `x` holds what its degrees of freedom have of implicit damping."""
    first, h = at.link(a, l, DOF0), a.num[DT]
    m, i = value(element(a.model, at.block(a, b, "mass", l))), at.block(a, b, "inertia", l)
    damping = [at.get3(a, a.x, at.dof_at(a, 0, b, first + part)) for part in (0, 3)]
    diagonal = []
    for part, rate in zip((0, 3), damping, strict=True):
        armature = at.get3(a, a.model, at.block(a, b, "armature", first + part))
        diagonal.append(armature + h * rate + (m if part == 0 else 0.0))
    return Body(
        at.turned(a, s, b, l), m, at.link_vector(a, l, COM), at.get3(a, a.qd, at.dof_at(a, s, b, first + 3)),
        (at.get3(a, a.model, i), at.get3(a, a.model, at.block(a, b, "inertia", l, 3))), h, diagonal, damping,
    )  # fmt: skip


@traced
def solved(rows, scale, right):
    """The solution of three equations, by Cramer's rule."""
    p, q, r = (scale * row for row in rows)
    qr, rp, pq = q.cross(r), r.cross(p), p.cross(q)
    right = (scale / p.dot(qr)) * right
    return right[0] * qr + right[1] * rp + right[2] * pq


@per_runtime
def free_bodies(features: Features) -> Functions:
    da = implicit_damping(features)

    @ti.func
    def find_damping(a: ti.template(), s, b, l):
        """Into `x`."""
        first = at.link(a, l, DOF0)
        for j in range(first, first + FREE_DOFS):
            a.x[at.dof_at(a, 0, b, j)] = da.of_dof(a, s, b, j)

    @ti.func
    def solve(a: ti.template(), s, b):
        """`moved` of these bodies from qdd."""
        for l in range(a.size[LINKS]):
            if a.carries_nothing[l] == 1:
                find_damping(a, s, b, l)
                body, first = body_of(a, s, b, l), at.link(a, l, DOF0)
                i, k = at.dof_at(a, s, b, first), at.dof_at(a, s, b, first + 3)
                X, Y = at.get3(a, a.qdd, i), at.get3(a, a.qdd, k)
                push = (0.0 - body.h) * (body.damping_x * X + body.m * (body.R @ body.swing(Y)))
                turn = (0.0 - body.h) * (body.damping_y * Y + body.twist(Y))
                turn = turn - body.m * body.c.cross(body.back @ (push / body.by_x))
                y = solved(body.columns().transpose().rows, body.scale(), turn)
                x = (push - body.m * (body.R @ body.along(y))) / body.by_x
                at.put(a, a.moved, i, X + x)
                at.put(a, a.moved, k, Y + y)

    @ti.func
    def adjoint(a: ti.template(), s, b):
        """From the cotangent of `moved` in gqdd: that of qdd; adds to those of velocities, rotations and parameters.

        With mu = (L, N) the solution of the transposed equations, subtracts the derivatives of mu . these equations.
        """
        for l in range(a.size[LINKS]):
            if a.carries_nothing[l] == 1:
                find_damping(a, s, b, l)
                body, first = body_of(a, s, b, l), at.link(a, l, DOF0)
                h, m, c, w = body.h, body.m, body.c, body.w
                i, k = at.dof_at(a, s, b, first), at.dof_at(a, s, b, first + 3)
                gi, gk = at.dof_at(a, 0, b, first), at.dof_at(a, 0, b, first + 3)
                gX, gY = at.get3(a, a.gqdd, gi), at.get3(a, a.gqdd, gk)
                N = solved(body.columns().rows, body.scale(),
                           gY - m * body.along_back(body.back @ (gX / body.by_x)))  # fmt: skip
                L = (gX - m * (body.R @ N.cross(c))) / body.by_x
                x, y = at.get3(a, a.moved, i), at.get3(a, a.moved, k)
                dx, dy = x - at.get3(a, a.qdd, i), y - at.get3(a, a.qdd, k)
                own, down = body.back @ L, body.back @ dx  # in the body's axes
                led = dy.cross(c) + h * body.swing(y)
                at.add(a, a.gq, gk, -(m * (led.cross(own) + N.cross(c).cross(down))))
                Ny, Nw = N.cross(y), N.cross(w)
                at.add(a, a.gqd, gk, (0.0 - h) * (m * (c.cross(own.cross(y)) + y.cross(c).cross(own))
                                                  + body.turning(Ny) + body.turning(y).cross(N)))  # fmt: skip
                by_mass = L.dot(dx) + own.dot(led) + N.dot(c.cross(down + dy.cross(c)))
                by_mass += h * (Ny.dot(c.cross(w.cross(c))) + Nw.dot(c.cross(y.cross(c))))
                at.increase(a.gmodel, at.block(a, b, "mass", l), 0.0 - by_mass)
                for n in ti.static(range(3)):
                    at.increase(a.gmodel, at.block(a, b, "inertia", l, n),
                                0.0 - (N[n] * dy[n] + h * (Ny[n] * w[n] + Nw[n] * y[n])))  # fmt: skip
                for n, p, q in ti.static(((3, 0, 1), (4, 0, 2), (5, 1, 2))):
                    at.increase(a.gmodel, at.block(a, b, "inertia", l, n),
                                0.0 - (N[p] * dy[q] + N[q] * dy[p] + h * (Ny[p] * w[q] + Ny[q] * w[p]
                                                                          + Nw[p] * y[q] + Nw[q] * y[p])))  # fmt: skip
                at.put(a, a.gqdd, gi, gX - h * body.damping_x * L)
                at.put(a, a.gqdd, gk, gY - h * (body.damping_y * N + m * body.swing_back(own) + body.twist_back(N)))
                at.put(a, a.x, gi, L)
                at.put(a, a.x, gk, N)
                for j in range(first, first + FREE_DOFS):
                    mu, at_s = a.x[at.dof_at(a, 0, b, j)], at.dof_at(a, s, b, j)
                    at.increase(a.gmodel, at.block(a, b, "armature", j), 0.0 - mu * (a.moved[at_s] - a.qdd[at_s]))
                    da.adjoint(a, s, b, j, 0.0 - h * mu * a.moved[at_s])

    @ti.func
    def leave_out(a: ti.template(), b):
        """Zero in `x` for these bodies."""
        for l in range(a.size[LINKS]):
            if a.carries_nothing[l] == 1:
                first = at.link(a, l, DOF0)
                for j in range(first, first + FREE_DOFS):
                    a.x[at.dof_at(a, 0, b, j)] = 0.0 * a.x[at.dof_at(a, 0, b, j)]

    return Functions(solve=solve, adjoint=adjoint, leave_out=leave_out)
