"""Gravity compensation: bodies that a force at their centre of mass holds against a part of gravity; with its adjoint.

    force = -mass part g, with the place c and part of a link's mass that it acts on, bodies of a link together
"""

from genesis.compiler import Functions, element, per_runtime, ti, traced
from genesis.math.lanes import Vec
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import BN, BW, NEEDED
from genesis.solvers.rigid.spatial import Spatial


@traced
def held(a, l):
    """Part times place in the link's frame, and part."""
    return Vec(*[element(a.gravcomp, 4 * l + c) for c in range(4)])


@per_runtime
def gravcomp() -> Functions:
    @ti.func
    def needed(a: ti.template(), b, l, p: ti.template(), R: ti.template()):
        """What the link needs less, as a force about the tree's origin, and part times place from there."""
        h, m, g = held(a, l), a.model[at.block(a, b, "mass", l)], at.get3(a, a.gravity, at.item(a, 0, b, 0, 3))
        c = h[3] * p + R @ h[:3]
        return m * Spatial(c.cross(g), h[3] * g), c

    @ti.func
    def push(a: ti.template(), b, l, p: ti.template(), R: ti.template()):
        N, _c = needed(a, b, l, p, R)
        at.add(a, a.work, at.work_at(a, b, l, NEEDED), N)

    @ti.func
    def push_adjoint(a: ti.template(), b, l, p: ti.template(), R: ti.template(), nu: ti.template()):
        """Adds to the link's sums the derivatives of nu . (what it needs); subtracts those by mass and gravity."""
        N, c = needed(a, b, l, p, R)
        part, m, g = held(a, l)[3], a.model[at.block(a, b, "mass", l)], at.get3(a, a.gravity, at.item(a, 0, b, 0, 3))
        against = part * nu.v + nu.w.cross(c)
        at.increase(a.gmodel, at.block(a, b, "mass", l), 0.0 - against.dot(g))
        at.add(a, a.ggravity, at.item(a, 0, b, 0, 3), (0.0 - m) * against)
        G = m * g.cross(nu.w)
        at.add(a, a.back, at.back_at(a, b, l, BN), N)
        at.add(a, a.back, at.back_at(a, b, l, BW), Spatial(c.cross(G), part * G))

    return Functions(push=push, push_adjoint=push_adjoint)
