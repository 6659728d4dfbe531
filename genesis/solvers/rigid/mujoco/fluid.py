"""Drag and viscosity of a medium on each body's equivalent box: forces at its centre of mass, and their adjoint.

With l the edges of a box of the body's inertia, V and W its velocity against the medium in principal axes:

    force_i  = -3 pi mean(l) viscosity V_i   - 1/2 density l_j l_k |V_i| V_i
    torque_i = -pi mean(l)^3 viscosity W_i   - 1/64 density l_i (l_j^4 + l_k^4) |W_i| W_i

Source: MuJoCo's documentation, Computation, Fluid forces, "Inertia model". Boxes are those of the file's masses.
"""

from genesis.compiler import Functions, element, per_runtime, ti, traced, value
from genesis.math.lanes import Mat, Vec, absolute
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import BN, BV, BW, NEEDED
from genesis.solvers.rigid.mujoco.layout import (
    FLUID_CENTRE,
    FLUID_DRAG,
    FLUID_FRAME,
    FLUID_ROWS,
    FLUID_SPIN_DRAG,
    FLUID_WIND,
)
from genesis.solvers.rigid.spatial import Spatial


@traced
def row(a, i, which):
    """A row of the i-th body in the medium, three numbers."""
    return Vec(*[element(a.fluid, 4 * (FLUID_ROWS * i + which) + c) for c in range(3)])


@traced
def viscous(a, i, which):
    """The fourth number of a row: what multiplies the velocity itself."""
    return value(element(a.fluid, 4 * (FLUID_ROWS * i + which) + 3))


@per_runtime
def fluids() -> Functions:
    @ti.func
    def local(a: ti.template(), i, p: ti.template(), R: ti.template(), vel: ti.template()):
        """Centre, principal axes, and velocities against the medium along these, of body i of a link."""
        c = p + R @ row(a, i, FLUID_CENTRE)
        P = R @ Mat(row(a, i, FLUID_FRAME), row(a, i, FLUID_FRAME + 1), row(a, i, FLUID_FRAME + 2))
        back = P.transpose()
        return c, P, back @ (vel.at(c) - row(a, i, FLUID_WIND)), back @ vel.w

    @ti.func
    def wrench(a: ti.template(), i, c: ti.template(), P: ti.template(), v: ti.template(), w: ti.template()):
        """Force about the tree's origin."""
        f = viscous(a, i, FLUID_DRAG) * v + row(a, i, FLUID_DRAG) * absolute(v) * v
        t = viscous(a, i, FLUID_SPIN_DRAG) * w + row(a, i, FLUID_SPIN_DRAG) * absolute(w) * w
        F = P @ f
        return Spatial(-(P @ t) - c.cross(F), -F)

    @ti.func
    def push(a: ti.template(), b, l, p: ti.template(), R: ti.template(), vel: ti.template()):
        """Takes what the medium gives from what link l needs."""
        for i in range(a.fluid_range[2 * l], a.fluid_range[2 * l] + a.fluid_range[2 * l + 1]):
            c, P, v, w = local(a, i, p, R, vel)
            at.add(a, a.work, at.work_at(a, b, l, NEEDED), -wrench(a, i, c, P, v, w))

    @ti.func
    def push_adjoint(a: ti.template(), b, l, p: ti.template(), R: ti.template(), vel: ti.template(),
                     nu: ti.template()):  # fmt: skip
        """Adds to the link's sums the derivatives of minus nu . wrench."""
        for i in range(a.fluid_range[2 * l], a.fluid_range[2 * l] + a.fluid_range[2 * l + 1]):
            c, P, v, w = local(a, i, p, R, vel)
            N = -wrench(a, i, c, P, v, w)
            back = P.transpose()
            gv = back @ nu.at(c)
            gw = back @ nu.w
            gv = viscous(a, i, FLUID_DRAG) * gv + 2.0 * row(a, i, FLUID_DRAG) * absolute(v) * gv
            gw = viscous(a, i, FLUID_SPIN_DRAG) * gw + 2.0 * row(a, i, FLUID_SPIN_DRAG) * absolute(w) * gw
            G = P @ gv
            V = Spatial(P @ gw + c.cross(G), G)
            # Moving the body alone is the opposite of moving all that it is multiplied with, wind included.
            against = Spatial(vel.w, vel.v - row(a, i, FLUID_WIND))
            W = -(nu.cross_force(N) + against.cross_force(V))
            for which, part in ti.static(((BN, N), (BV, V), (BW, W))):
                at.add(a, a.back, at.back_at(a, b, l, which), part)

    return Functions(push=push, push_adjoint=push_adjoint)
