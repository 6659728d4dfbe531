"""What connects and welds add to the wrenches that joints transmit (`outputs`): they push links as contacts do."""

from genesis.compiler import Functions, per_runtime, ti
from genesis.math.lanes import Vec, lanes3
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import BN, EQUALITIES, NEEDED, NU
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.equality import equalities
from genesis.solvers.rigid.mujoco.layout import E_DIM, E_KIND, E_LINK_A, E_LINK_B, JOINT, F, Features
from genesis.solvers.rigid.mujoco.ties import ties
from genesis.solvers.rigid.spatial import Spatial


@per_runtime
def equality_outputs(features: Features) -> Functions:
    eq, to = equalities(features), ties()

    @ti.func
    def push(a: ti.template(), b, l, r: ti.template(), force: ti.template()):
        if l >= 0:
            at.add(a, a.work, at.work_at(a, b, l, NEEDED), Spatial(-force.w - r.cross(force.v), -force.v))

    @ti.func
    def measure(a: ti.template(), s, b):
        """Subtracts the forces of all listed ones from what their links need."""
        for e in range(a.size[EQUALITIES]):
            if my.equality(a, e, E_KIND) < JOINT:
                of, turned = to.tie(a, s, b, e), lanes3()
                if my.equality(a, e, E_DIM) > 3:
                    turned += Vec(*[my.number(a, b, e, F + 3 + c) for c in range(3)])
                linear = Vec(*[my.number(a, b, e, F + c) for c in range(3)])
                force = Spatial(to.turning_transposed(of, turned), linear)
                push(a, b, my.equality(a, e, E_LINK_A), of.ra, force)
                push(a, b, my.equality(a, e, E_LINK_B), of.rb, -force)

    @ti.func
    def ask(a: ti.template(), b, l, r: ti.template(), force: ti.template()):
        if l >= 0:
            at.add(a, a.back, at.back_at(a, b, l, BN), Spatial(force.w + r.cross(force.v), force.v))

    @ti.func
    def asked(a: ti.template(), s, b):
        """Adds what they ask of the accelerations: the Hessian of their cost times the motions in rows NU."""
        for e in range(a.size[EQUALITIES]):
            if my.equality(a, e, E_KIND) < JOINT:
                of, l, m = to.tie(a, s, b, e), my.equality(a, e, E_LINK_A), my.equality(a, e, E_LINK_B)
                rows = eq.rows_of(a, e, to.length(of))
                na, nb = to.swept(a, b, l, NU), to.swept(a, b, m, NU)
                turned = rows.stiff_turn * to.turning(of, na.w - nb.w)
                linear = rows.stiff * (na.at(of.ra) - nb.at(of.rb))
                force = Spatial(to.turning_transposed(of, turned), linear)
                ask(a, b, l, of.ra, force)
                ask(a, b, m, of.rb, -force)

    return Functions(measure=measure, asked=asked)
