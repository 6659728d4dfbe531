"""Mocap bodies: roots without joints, whose poses are controls of the step; and the adjoint by these.

The origin of such a body's tree lies in the body itself, which does not move within a step.
"""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Vec
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.border import border
from genesis.solvers.rigid.layout import MOCAP, MOCAP_NUMBERS, MOCAPS
from genesis.solvers.rigid.spatial import quaternion_product


@per_runtime
def mocaps() -> Functions:
    bo = border()

    @ti.func
    def pos(a: ti.template(), b, m):
        """(3,) of mocap body m."""
        return at.get3(a, a.mocap, at.mocap_at(a, b, m))

    @ti.func
    def quat(a: ti.template(), b, m):
        """(4,) wxyz."""
        return at.get4(a, a.mocap, at.mocap_at(a, b, m) + 3 * at.step(a))

    @ti.func
    def moved(a: ti.template(), b, l, g: ti.template()):
        """Adds the cotangent g of a rigid displacement of root l about its tree's origin, if it is a mocap body."""
        m = at.link(a, l, MOCAP)
        if m >= 0:
            i, q = at.mocap_at(a, b, m), quat(a, b, m)
            turned = quaternion_product(Vec(0.0 * g.w[0], g.w[0], g.w[1], g.w[2]), q)
            at.add(a, a.gmocap, i, g.v)
            at.add(a, a.gmocap, i + 3 * at.step(a), (2.0 / q.dot(q)) * turned)

    @ti.func
    def begin_adjoint(a: ti.template(), b):
        bo.clear(a, a.gmocap, b, MOCAP_NUMBERS * a.size[MOCAPS])

    @ti.func
    def finish_adjoint(a: ti.template(), good, b):
        """Zero in environments that are out."""
        bo.keep(a, good, a.gmocap, b, MOCAP_NUMBERS * a.size[MOCAPS])

    return Functions(pos=pos, quat=quat, moved=moved, begin_adjoint=begin_adjoint, finish_adjoint=finish_adjoint)
