"""Moment arms that change with the configuration: of wrenches on sites, and of tendons' straight parts.

A piece is a force F at r_a and a torque T on side a and their opposite on side b, at r_b; d = r_a - r_b. The moment arm
of a dof with the axis S is that force's power,

    of a dof that moves a alone     W_a . S,  W_a = (r_a x F + T, F)
                      of b alone    W_b . S,  W_b = -(r_b x F + T, F)

    site            F, T: the gear in a's axes; nothing on side b; no length
    two sites       F, T: the gear in b's axes;             length = gear . (R_b' d, rotation vector of R_b' R_a)
    straight part   F = c d / |d|, T = 0;                   length = c |d|

Dofs that move both sides alike have none, and change none. In the adjoint, with G the cotangents of moment arms and
N = sum of G S over the dofs of a side, a displacement along S_k changes W_a, W_b and, on its side, the axes behind it:

    dW_a . N_a + dW_b . N_b + W . (S_k x sum of G S over the dofs of k's joint and those behind it)
"""

from genesis.compiler import Composite, Functions, element, per_runtime, ti, traced, value
from genesis.math.lanes import Mat, Vec, copy, lane, lanes3, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.joints import joints
from genesis.solvers.rigid.layout import ARMS, TRANSMISSIONS
from genesis.solvers.rigid.mujoco.layout import (
    P_ENTRY0,
    P_GEAR,
    P_KIND,
    P_LINK_A,
    P_LINK_B,
    P_N_A,
    P_N_B,
    P_POS_A,
    P_POS_B,
    P_TURN_A,
    P_TURN_B,
    PIECE_INTS,
    PIECE_NUMBERS,
    SITE,
    SITES,
    STRETCH,
    TR_N_PIECES,
    TR_PIECE0,
    TRANSMISSION_INTS,
)
from genesis.solvers.rigid.mujoco.ties import quaternion_of, ties
from genesis.solvers.rigid.spatial import Spatial, spatial


class Piece(Composite):
    """Of a piece: places of both sides, d, its length |d| of a straight part, force, torque, axes of side a, and the
    rotation vector of a seen from b."""

    def __init__(self, ra, rb, d, size, F, T, Ra, phi):
        self.ra, self.rb, self.d, self.size, self.F, self.T, self.Ra, self.phi = ra, rb, d, size, F, T, Ra, phi

    @traced
    def on_a(self):
        """W_a."""
        return Spatial(self.ra.cross(self.F) + self.T, copy(self.F))

    @traced
    def on_b(self):
        """W_b."""
        return -Spatial(self.rb.cross(self.F) + self.T, self.F)


@traced
def piece_int(a, p, what):
    return value(element(a.piece, PIECE_INTS * p + what))


@traced
def numbers(a, p, first, count):
    return Vec(*[element(a.piece_numbers, PIECE_NUMBERS * p + first + c) for c in range(count)])


@traced
def turn_of(a, p, first):
    return Mat(*[numbers(a, p, first + 3 * r, 3) for r in range(3)])


@traced
def transmission_int(a, t, what):
    return value(element(a.transmission, TRANSMISSION_INTS * t + what))


@per_runtime
def paths() -> Functions:
    to, jo = ties(), joints()

    @ti.func
    def look(a: ti.template(), s, b, p):
        kind, gear = piece_int(a, p, P_KIND), numbers(a, p, P_GEAR, 6)
        pos_a, pos_b = numbers(a, p, P_POS_A, 3), numbers(a, p, P_POS_B, 3)
        ra, origin_a, Ra = to.frame(a, s, b, piece_int(a, p, P_LINK_A), pos_a, turn_of(a, p, P_TURN_A))
        rb, origin_b, Rb = to.frame(a, s, b, piece_int(a, p, P_LINK_B), pos_b, turn_of(a, p, P_TURN_B))
        d = (origin_a - origin_b) + (ra - rb)
        size, F, T, phi = lane(), lanes3(), lanes3(), lanes3()
        if kind == STRETCH:
            size += d.norm()
            F += (gear[0] / where(size > 0.0, size, lane(1.0))) * d
        elif kind == SITE:
            F += Ra @ gear[:3]
            T += Ra @ gear[3:]
        else:
            F += Rb @ gear[:3]
            T += Rb @ gear[3:]
            E0, E = quaternion_of(Rb.transpose() @ Ra)
            phi += jo.rotation_vector(Vec(E0, E[0], E[1], E[2]))
        return Piece(ra, rb, d, size, F, T, Ra, phi)

    @ti.func
    def arm_at(a: ti.template(), b, e):
        """Of the moment arm of entry e: its place, and its dof."""
        c = a.piece_arm[2 * e]
        return at.item(a, 0, b, c, a.size[ARMS]), a.arm_dof[c]

    @ti.func
    def measure(a: ti.template(), s, b):
        """Adds to lengths and moment arms."""
        for t in range(a.size[TRANSMISSIONS]):
            start = transmission_int(a, t, TR_PIECE0)
            for p in range(start, start + transmission_int(a, t, TR_N_PIECES)):
                of, kind, gear = look(a, s, b, p), piece_int(a, p, P_KIND), numbers(a, p, P_GEAR, 6)
                i = at.item(a, 0, b, t, a.size[TRANSMISSIONS])
                if kind == STRETCH:
                    a.span[i] = a.span[i] + gear[0] * of.size
                elif kind == SITES:
                    a.span[i] = a.span[i] + of.F.dot(of.d) + gear[3:].dot(of.phi)
                first, n_a = piece_int(a, p, P_ENTRY0), piece_int(a, p, P_N_A)
                for e in range(first, first + n_a + piece_int(a, p, P_N_B)):
                    W = of.on_a()
                    if e >= first + n_a:
                        W = of.on_b()
                    c, j = arm_at(a, b, e)
                    a.moment[c] = a.moment[c] + W.dot(at.axis(a, s, b, j))

    @ti.func
    def summed(a: ti.template(), s, b, first, n):
        """The sum of G S over entries."""
        total = spatial()
        for e in range(first, first + n):
            c, j = arm_at(a, b, e)
            total += a.gmoment[c] * at.axis(a, s, b, j)
        return total

    @ti.func
    def displaced(of: ti.template(), kind, S: ti.template(), on_a, c):
        """Changes of W_a, W_b and the length's part along F by a displacement along S of one side."""
        dp, dr, dF, dT = lanes3(), lanes3(), lanes3(), lanes3()
        if on_a:
            dp += S.at(of.ra)
        else:
            dr += S.at(of.rb)
        if kind == STRETCH:
            far = where(of.size > 0.0, of.size, lane(1.0))
            n, m = (1.0 / far) * of.d, dp - dr
            dF += (c / far) * (m - n.dot(m) * n)
        elif kind == SITE or not on_a:
            dF += S.w.cross(of.F)
            dT += S.w.cross(of.T)
        return (Spatial(dp.cross(of.F) + of.ra.cross(dF) + dT, dF),
                -Spatial(dr.cross(of.F) + of.rb.cross(dF) + dT, dF), of.F.dot(dp - dr) + dF.dot(of.d))  # fmt: skip

    @ti.func
    def adjoint(a: ti.template(), s, b):
        """From the cotangents of lengths and moment arms: adds to gq."""
        for t in range(a.size[TRANSMISSIONS]):
            start = transmission_int(a, t, TR_PIECE0)
            for p in range(start, start + transmission_int(a, t, TR_N_PIECES)):
                of, kind, gear = look(a, s, b, p), piece_int(a, p, P_KIND), numbers(a, p, P_GEAR, 6)
                first, n_a, n_b = piece_int(a, p, P_ENTRY0), piece_int(a, p, P_N_A), piece_int(a, p, P_N_B)
                NA, NB = summed(a, s, b, first, n_a), summed(a, s, b, first + n_a, n_b)
                length, turned = lane(), lanes3()
                if kind != SITE:
                    length += a.gspan[at.item(a, 0, b, t, a.size[TRANSMISSIONS])]
                if kind == SITES:
                    turned += length * (of.Ra @ jo.vector_slope(of.phi, lanes3() + gear[3:]))
                behind, own = spatial(), spatial()  # of this joint and those behind it; of this joint
                for e in range(first, first + n_a + n_b):
                    on_a, none = e < first + n_a, spatial()
                    if e == first:
                        behind = NA + none
                    if e == first + n_a:
                        behind = NB + none
                        own = none + none
                    if a.piece_arm[2 * e + 1] == 1:
                        behind -= own
                        own = none + none
                    c, j = arm_at(a, b, e)
                    S = at.axis(a, s, b, j)
                    W, sign = of.on_a(), 1.0
                    if not on_a:
                        W = of.on_b()
                        sign = -1.0
                    dA, dB, dl = displaced(of, kind, S, on_a, gear[0])
                    i = at.dof_at(a, 0, b, j)
                    a.gq[i] = (a.gq[i] + dA.dot(NA) + dB.dot(NB) + W.dot(S.cross(behind)) + length * dl
                               + sign * turned.dot(S.w))  # fmt: skip
                    own += a.gmoment[c] * S

    return Functions(measure=measure, adjoint=adjoint)
