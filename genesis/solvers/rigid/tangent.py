"""Between cotangents of q and cotangents of each dof's own direction (of a ball: a rotation in its own frame)."""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.solvers.rigid.joints import joints
from genesis.solvers.rigid.layout import BALL, DOFS, KIND, Q_INDEX, QS, indices


@per_runtime
def tangent() -> Functions:
    lay, at, jo = layout(), indices(), joints()
    vec3 = lay.vec3

    @ti.func
    def to_tangent(s, e, size: ti.template(), tree: ti.template(), q: ti.template(), gqpos: ti.template(),
                   gq: ti.template()):  # fmt: skip
        """Cotangent of q (quaternions of unit length) to that of each dof's own direction."""
        j = 0
        while j < size[DOFS]:
            first = tree[at.dof_int(j, Q_INDEX, size)]
            k, i = at.item(0, e, first, size[QS], size), at.item(0, e, j, size[DOFS], size)
            if tree[at.dof_int(j, KIND, size)] == BALL:
                f = at.item(s, e, first, size[QS], size)
                step = at.item(s, e, first + 1, size[QS], size) - f
                quat, g = jo.read4(q, f, step), jo.read4(gqpos, k, step)
                turned = 0.5 * (quat[0] * g[1:] - g[0] * quat[1:] - quat[1:].cross(g[1:]))
                for c in ti.static(range(3)):
                    gq[i + c * step] = turned[c]
                j += 3
            else:
                gq[i] = gqpos[k]
                j += 1

    @ti.func
    def from_tangent(s, e, size: ti.template(), tree: ti.template(), q: ti.template(), gq: ti.template(),
                     gqpos: ti.template()):  # fmt: skip
        """The reverse; a quaternion's own length does not matter to anything, so its cotangent is orthogonal to it."""
        j = 0
        while j < size[DOFS]:
            first = tree[at.dof_int(j, Q_INDEX, size)]
            k, i = at.item(0, e, first, size[QS], size), at.item(0, e, j, size[DOFS], size)
            if tree[at.dof_int(j, KIND, size)] == BALL:
                f = at.item(s, e, first, size[QS], size)
                step = at.item(s, e, first + 1, size[QS], size) - f
                quat, g = jo.read4(q, f, step), vec3(gq[i], gq[i + step], gq[i + 2 * step])
                scale = 2.0 / quat.dot(quat)
                turned = scale * (quat[0] * g + quat[1:].cross(g))
                gqpos[k] = -scale * quat[1:].dot(g)
                for c in ti.static(range(3)):
                    gqpos[k + (c + 1) * step] = turned[c]
                j += 3
            else:
                gqpos[k] = gq[i]
                j += 1

    return Functions(to_tangent=to_tangent, from_tangent=from_tangent)
