"""Between cotangents of q and cotangents of each dof's own direction (of a ball: a rotation in its own frame)."""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Vec
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import BALL, DOFS, KIND, Q_INDEX


@per_runtime
def tangent() -> Functions:
    @ti.func
    def to_tangent(a: ti.template(), s, b):
        """Cotangent of q (quaternions of unit length) to that of each dof's own direction."""
        j = 0
        while j < a.size[DOFS]:
            first = at.dof(a, j, Q_INDEX)
            k, i = at.q_at(a, 0, b, first), at.dof_at(a, 0, b, j)
            if at.dof(a, j, KIND) == BALL:
                quat, g = at.get4(a, a.q, at.q_at(a, s, b, first)), at.get4(a, a.gqpos, k)
                at.put(a, a.gq, i, 0.5 * (quat[0] * g[1:] - g[0] * quat[1:] - quat[1:].cross(g[1:])))
                j += 3
            else:
                a.gq[i] = a.gqpos[k]
                j += 1

    @ti.func
    def from_tangent(a: ti.template(), s, b):
        """The reverse; a quaternion's own length does not matter to anything, so its cotangent is orthogonal to it."""
        j = 0
        while j < a.size[DOFS]:
            first = at.dof(a, j, Q_INDEX)
            k, i = at.q_at(a, 0, b, first), at.dof_at(a, 0, b, j)
            if at.dof(a, j, KIND) == BALL:
                quat, g = at.get4(a, a.q, at.q_at(a, s, b, first)), at.get3(a, a.gq, i)
                scale = 2.0 / quat.dot(quat)
                turned = scale * (quat[0] * g + quat[1:].cross(g))
                at.put(a, a.gqpos, k, Vec(0.0 - scale * quat[1:].dot(g), turned[0], turned[1], turned[2]))
                j += 3
            else:
                a.gqpos[k] = a.gq[i]
                j += 1

    return Functions(to_tangent=to_tangent, from_tangent=from_tangent)
