"""The two frames that a connect or a weld ties: where they are, how they move, and how a rotation of one shows in E.

See `equality`. A side is a link; link -1 is the world, which accelerates as everything does without gravity.
"""

from genesis.compiler import Composite, Functions, per_runtime, ti, traced, value
from genesis.math.lanes import Mat, Vec, lane, lanes3, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import ACCELERATION, ORIGIN, POS, ROOT, VELOCITY
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.layout import (
    E_LINK_A,
    E_LINK_B,
    E_POS_A,
    E_POS_B,
    E_SCALE,
    E_TURN_A,
    E_TURN_B,
)
from genesis.solvers.rigid.spatial import spatial


class Tie(Composite):
    """Of a connect or weld: places of both frames from the origins of their trees; p_a - p_b; frame b; E0, E; scale."""

    def __init__(self, ra, rb, y, R, E0, E, scale):
        self.ra, self.rb, self.y, self.R, self.E0, self.E, self.scale = ra, rb, y, R, E0, E, scale


@traced
def lanes_of(a, e, first, count):
    """Numbers of a constraint as lane values."""
    return Vec(*[value(lane() + x) for x in my.equality_numbers(a, e, first, count).parts])


@traced
def turn_of(a, e, first):
    return Mat(*[my.equality_numbers(a, e, first + 3 * r, 3) for r in range(3)])


@traced
def quaternion_of(M):
    """Scalar and vector of a rotation's quaternion, of either sign."""
    (a, b, c), (d, e, f), (g, h, i) = (row.parts for row in M.rows)
    candidates = [Vec(1.0 + a + e + i, h - f, c - g, d - b), Vec(h - f, 1.0 + a - e - i, b + d, c + g),
                  Vec(c - g, b + d, 1.0 - a + e - i, f + h), Vec(d - b, c + g, f + h, 1.0 - a - e + i)]  # fmt: skip
    best, largest = candidates[0], candidates[0][0]
    for k in range(1, 4):
        larger = value(candidates[k][k] > largest)
        best, largest = where(larger, candidates[k], best), where(larger, candidates[k][k], largest)
    unit = (1.0 / best.norm()) * best
    return unit[0], unit[1:]


@per_runtime
def ties() -> Functions:
    @ti.func
    def frame(a: ti.template(), s, b, l, pos: ti.template(), turn: ti.template()):
        """Place of a link's frame from the origin of its tree, that origin, and its rotation; link -1 is the world."""
        r, origin, R = lanes3(), lanes3(), Mat(lanes3(), lanes3(), lanes3())
        if l >= 0:
            own = at.turned(a, s, b, l)
            r += at.traced_at(a, s, b, l, POS) + own @ pos
            origin += at.traced_at(a, s, b, at.link(a, l, ROOT), ORIGIN)
            R = own @ turn
        else:
            r += pos
            R = Mat(lanes3() + turn.rows[0], lanes3() + turn.rows[1], lanes3() + turn.rows[2])
        return r, origin, R

    @ti.func
    def moving(a: ti.template(), s, b, l):
        """Velocity of a link, zero of the world."""
        out = spatial()
        if l >= 0:
            out += at.motion(a, s, b, l, VELOCITY)
        return out

    @ti.func
    def swept(a: ti.template(), b, l, row):
        """What the adjoint's outward sweep has found of a link, zero of the world."""
        out = spatial()
        if l >= 0:
            out += at.summed(a, b, l, row)
        return out

    @ti.func
    def accelerating(a: ti.template(), s, b, l):
        """Acceleration of a link without q'' and with gravity, of which the world has nothing else."""
        out = spatial()
        if l >= 0:
            out += at.motion(a, s, b, l, ACCELERATION)
        else:
            out.v -= at.get3(a, a.gravity, at.item(a, 0, b, 0, 3))
        return out

    @ti.func
    def along_path(r: ti.template(), acc: ti.template(), vel: ti.template()):
        """Acceleration of the point that is now at r."""
        return acc.at(r) + vel.w.cross(vel.at(r))

    @ti.func
    def turning_rate(va: ti.template(), vb: ti.template(), aa: ti.template(), ab: ti.template()):
        """Rate of the angular velocity of a seen from b, as that changes in b's frame."""
        return aa.w - ab.w - vb.w.cross(va.w)

    @ti.func
    def tie(a: ti.template(), s, b, e):
        pos_a, pos_b = my.equality_numbers(a, e, E_POS_A, 3), my.equality_numbers(a, e, E_POS_B, 3)
        ra, origin_a, Ra = frame(a, s, b, my.equality(a, e, E_LINK_A), pos_a, turn_of(a, e, E_TURN_A))
        rb, origin_b, R = frame(a, s, b, my.equality(a, e, E_LINK_B), pos_b, turn_of(a, e, E_TURN_B))
        E0, E = quaternion_of(R.transpose() @ Ra)
        return Tie(ra, rb, (origin_a - origin_b) + (ra - rb), R, E0, E, lanes_of(a, e, E_SCALE, 1)[0])

    @ti.func
    def length(of: ti.template()):
        """Of all y of a connect or weld."""
        return ti.sqrt(of.y.dot(of.y) + of.scale * of.scale * of.E.dot(of.E))

    @ti.func
    def turning(of: ti.template(), w: ti.template()):
        """J w of the rows of rotation; w in world axes."""
        own = of.R.transpose() @ w
        return (0.5 * of.scale) * (of.E0 * own + own.cross(of.E))

    @ti.func
    def turning_transposed(of: ti.template(), g: ti.template()):
        """J^T g of the rows of rotation."""
        return of.R @ ((0.5 * of.scale) * (of.E0 * g + of.E.cross(g)))

    return Functions(frame=frame, moving=moving, swept=swept, accelerating=accelerating, along_path=along_path, tie=tie,
                     length=length, turning_rate=turning_rate, turning=turning,
                     turning_transposed=turning_transposed)  # fmt: skip
