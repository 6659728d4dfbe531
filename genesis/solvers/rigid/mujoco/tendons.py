"""What tendons do by themselves: springs, dampers and armature, and rows of the cost; with adjoints.

    force = -stiffness (l - the nearer end of the spring's range, outside of it) - damping l'
    armature: M + J' armature J
    limit    y = l - low - margin, and high - l - margin: one-sided rows J, -J
    loss     y = 0: |force| <= frictionloss
    equality y = l_1 - rest - f(l_2 - rest), f a polynomial: see `equality`

l, J: length and moment arms of `transmissions`. Armature couples dofs of one chain alone, as in MuJoCo. Rows stand in
the list of contacts: those of losses right after the equality constraints.
"""

from genesis.compiler import Composite, Functions, element, per_runtime, ti, traced, value
from genesis.math.lanes import Vec, absolute, any_lane, lane, where
from genesis.solvers.rigid.layout import DT, LOSSES, TENDONS
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.envelope import envelope
from genesis.solvers.rigid.mujoco.impedance import LEAST_R, impedance
from genesis.solvers.rigid.mujoco.layout import (
    ALONG,
    C_DEPTH,
    C_DIM,
    CROSS,
    D_ARMATURE,
    D_DAMPING,
    D_IMP,
    D_LOSS,
    D_LOSS_IMP,
    D_LOSS_REF,
    D_MARGIN,
    D_RANGE,
    D_REF,
    D_SPRING,
    D_STIFFNESS,
    D_WEIGHT,
    LOSS,
    LOWER,
    MU,
    ROW_KINDS,
    S_REFSAFE,
    TENDON_NUMBERS,
    TR_ARM0,
    TR_N_ARMS,
    UPPER,
    WNN,
    D,
    F,
    Features,
    X,
)
from genesis.solvers.rigid.mujoco.transmissions import integer, of_arm, of_transmission, transmissions


class Row(Composite):
    """A row of a tendon: its y; a number that is negative where it is there; J in that of the tendon; the most force of
    dry friction; impedance and its slope in y, k, b, stiffness, and 1 where that depends on the impedance, else 0."""

    def __init__(self, y, there, sign, most, d, dy, k, b, stiff, free):
        self.y, self.there, self.sign, self.most = y, there, sign, most
        self.d, self.dy, self.k, self.b, self.stiff, self.free = d, dy, k, b, stiff, free


@traced
def number(a, t, what):
    return value(element(a.tendon, TENDON_NUMBERS * t + what))


@traced
def law_numbers(a, t, kind, limit, loss, count):
    """As lane values: those of limits or of dry friction."""
    first = value(ti.select(kind == LOSS, loss, limit))
    return Vec(*[value(lane() + element(a.tendon, TENDON_NUMBERS * t + first + c)) for c in range(count)])


@per_runtime
def tendons(features: Features) -> Functions:
    tr, im, en = transmissions(features), impedance(), envelope()

    @ti.func
    def force_of(a: ti.template(), s, b, t):
        """Force, and its slope in the length."""
        l, none = a.span[of_transmission(a, b, t)], lane()
        low, high, k = number(a, t, D_SPRING), number(a, t, D_SPRING + 1), number(a, t, D_STIFFNESS)
        over = where(l > high, l - high, where(l < low, l - low, none))
        slope = where((l > high) | (l < low), none - k, none)
        return 0.0 - k * over - number(a, t, D_DAMPING) * tr.along(a, b, t, a.qd, s), slope

    @ti.func
    def add_forces(a: ti.template(), s, b):
        """To x; and armature to the mass matrix."""
        for t in range(a.size[TENDONS]):
            force, _slope = force_of(a, s, b, t)
            tr.spread(a, b, t, force, a.x)
            tr.add_pairs(a, s, b, t, number(a, t, D_ARMATURE), a.mass)

    @ti.func
    def row(a: ti.template(), b, t, kind):
        y, there, sign, most = lane(), lane(), 1.0, number(a, t, D_LOSS)
        l = a.span[of_transmission(a, b, t)]
        if kind == LOSS:
            there = there - most
        else:
            end = number(a, t, D_RANGE)
            if kind == UPPER:
                sign, end = -1.0, number(a, t, D_RANGE + 1)
            y += sign * (l - end) - number(a, t, D_MARGIN)
            there += y
        ref, imp = law_numbers(a, t, kind, D_REF, D_LOSS_REF, 2), law_numbers(a, t, kind, D_IMP, D_LOSS_IMP, 5)
        d, dy, _g0, _g1, _gw, _gm = im.impedance_of(y, imp)
        raw = (1.0 - d) / d * number(a, t, D_WEIGHT)
        k, damping = im.stiffness(ref, imp, a.num[DT], a.solver_numbers[S_REFSAFE])
        stiff = where(there < 0.0, 1.0 / ti.max(raw, LEAST_R), lane())
        return Row(y, there, sign, most, d, dy, k, damping, stiff, where(raw > LEAST_R, lane(1.0), lane()))

    @ti.func
    def listed(a: ti.template(), s, b):
        """Rows that are there, as the next of the list."""
        for r in range(a.size[LOSSES] + 2 * a.size[TENDONS]):
            t, kind = (r - a.size[LOSSES]) // 2, LOWER
            if r < a.size[LOSSES]:
                t, kind = a.tendon_loss[r], LOSS
            elif (r - a.size[LOSSES]) % 2 == 1:
                kind = UPPER
            of = row(a, b, t, kind)
            if any_lane(of.there < 0.0):
                c, first, n = a.n_contacts[b], integer(a, t, TR_ARM0), integer(a, t, TR_N_ARMS)
                a.n_contacts[b] = c + 1
                a.contact_index[my.index_at(a, b, c, C_DEPTH)] = n
                a.contact_index[my.index_at(a, b, c, C_DIM)] = 1
                a.contact_list[my.number_at(a, b, c, D)] = of.stiff
                a.contact_list[my.number_at(a, b, c, MU)] = lane(of.most)
                a.contact_list[my.number_at(a, b, c, X)] = (
                    of.sign * of.b * tr.along(a, b, t, a.qd, s) + of.k * of.d * of.y)  # fmt: skip
                a.contact_list[my.number_at(a, b, c, ALONG)] = lane()
                for e in range(n):
                    a.contact_dofs[my.moved_dof_at(a, b, c, e)] = a.arm_dof[first + e]
                    a.contact_jacobian[my.jacobian_at(a, b, c, 0, e)] = of.sign * a.moment[of_arm(a, b, first + e)]
                if n > 1:
                    en.couple(a, s, b, c, n)

    @ti.func
    def evaluate_loss(a: ti.template(), b, c, part):
        """Of a row of dry friction, as `cones.evaluate`."""
        stiff, along, bound = my.number(a, b, c, D), my.number(a, b, c, ALONG), my.number(a, b, c, MU)
        none = lane()
        f = 0.0 - stiff * (my.number(a, b, c, X) + part * along)
        w = where((f < bound) & (f > 0.0 - bound), stiff, none)
        f = ti.min(ti.max(f, 0.0 - bound), bound)
        other = (absolute(w - my.number(a, b, c, WNN)) > 0.0) | (
            (w <= 0.0) & (absolute(f - my.number(a, b, c, F)) > 0.0))  # fmt: skip
        a.contact_list[my.number_at(a, b, c, F)] = f
        a.contact_list[my.number_at(a, b, c, WNN)] = w
        a.contact_list[my.number_at(a, b, c, CROSS)] = none
        return 0.0 - f * along, w * along * along, where(other, none + 1.0, none)

    @ti.func
    def row_adjoint(a: ti.template(), s, b, t, kind):
        of, none = row(a, b, t, kind), lane()
        if any_lane(of.there < 0.0):
            mu, speed = of.sign * tr.along(a, b, t, a.x, 0), of.sign * tr.along(a, b, t, a.qd, s)
            x = of.sign * tr.along(a, b, t, a.qdd, s) + of.b * speed + of.k * of.d * of.y
            f = 0.0 - of.stiff * x
            w = where(x < 0.0, of.stiff, none)
            if kind == LOSS:
                w = where((f < of.most) & (f > 0.0 - of.most), of.stiff, none)
                f = ti.min(ti.max(f, none - of.most), none + of.most)
            else:
                f = where(x < 0.0, f, none)
            gx = w * mu
            gd = 0.0 - where(w > 0.0, of.free * mu * f, none) / (of.d * (1.0 - of.d)) + of.k * of.y * gx
            gy = gd * of.dy + of.k * of.d * gx
            if kind == LOSS:  # its y is zero wherever the tendon is
                gy = lane()
            g = of_transmission(a, b, t)
            a.gspan[g] = a.gspan[g] - of.sign * gy
            tr.spread(a, b, t, 0.0 - of.sign * of.b * gx, a.gqd)
            tr.along_adjoint(a, b, t, 0.0 - of.sign * gx, a.qdd, s)
            tr.along_adjoint(a, b, t, 0.0 - of.sign * of.b * gx, a.qd, s)
            tr.along_adjoint(a, b, t, of.sign * f, a.x, 0)

    @ti.func
    def adjoint(a: ti.template(), s, b):
        """Of the power of all forces and rows at the virtual motion in x: adds its derivatives."""
        for t in range(a.size[TENDONS]):
            force, slope = force_of(a, s, b, t)
            mu, g = tr.along(a, b, t, a.x, 0), of_transmission(a, b, t)
            by_velocity = 0.0 - number(a, t, D_DAMPING) * mu
            a.gspan[g] = a.gspan[g] + slope * mu
            tr.spread(a, b, t, by_velocity, a.gqd)
            tr.along_adjoint(a, b, t, by_velocity, a.qd, s)
            tr.along_adjoint(a, b, t, force, a.x, 0)
            for kind in range(ROW_KINDS):
                row_adjoint(a, s, b, t, kind)

    return Functions(add_forces=add_forces, listed=listed, evaluate_loss=evaluate_loss, adjoint=adjoint)
