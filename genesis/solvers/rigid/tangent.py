"""Between cotangents of q and cotangents of each dof's own direction (of a ball: a rotation in its own frame)."""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Vec
from genesis.solvers.rigid.layout import BALL, DOFS, KIND, Q_INDEX, QS, indices


@per_runtime
def tangent() -> Functions:
    at = indices()

    @ti.func
    def to_tangent(s, b, size: ti.template(), tree: ti.template(), q: ti.template(), gqpos: ti.template(),
                   gq: ti.template()):  # fmt: skip
        """Cotangent of q (quaternions of unit length) to that of each dof's own direction."""
        j = 0
        while j < size[DOFS]:
            first = tree[at.dof_int(j, Q_INDEX, size)]
            k, i = at.item(0, b, first, size[QS], size), at.item(0, b, j, size[DOFS], size)
            if tree[at.dof_int(j, KIND, size)] == BALL:
                quat, g = at.get4(q, at.item(s, b, first, size[QS], size), size), at.get4(gqpos, k, size)
                at.put(gq, i, 0.5 * (quat[0] * g[1:] - g[0] * quat[1:] - quat[1:].cross(g[1:])), size)
                j += 3
            else:
                gq[i] = gqpos[k]
                j += 1

    @ti.func
    def from_tangent(s, b, size: ti.template(), tree: ti.template(), q: ti.template(), gq: ti.template(),
                     gqpos: ti.template()):  # fmt: skip
        """The reverse; a quaternion's own length does not matter to anything, so its cotangent is orthogonal to it."""
        j = 0
        while j < size[DOFS]:
            first = tree[at.dof_int(j, Q_INDEX, size)]
            k, i = at.item(0, b, first, size[QS], size), at.item(0, b, j, size[DOFS], size)
            if tree[at.dof_int(j, KIND, size)] == BALL:
                quat, g = at.get4(q, at.item(s, b, first, size[QS], size), size), at.get3(gq, i, size)
                scale = 2.0 / quat.dot(quat)
                turned = scale * (quat[0] * g + quat[1:].cross(g))
                at.put(gqpos, k, Vec(0.0 - scale * quat[1:].dot(g), turned[0], turned[1], turned[2]), size)
                j += 3
            else:
                gqpos[k] = gq[i]
                j += 1

    return Functions(to_tangent=to_tangent, from_tangent=from_tangent)
