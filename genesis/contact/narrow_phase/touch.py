"""What of two convex cores touches: on each side a point, its outward normal, and how the surface curves there.

The search (`search.py`) finds vertices, which say all of polytopes, and for cylinders and ellipsoids a point and a
normal up to its tolerance. From there Newton's method moves both points along their surfaces until their normals are
opposite and both lie on one line: the linear equations are those by which the contact moves (`cases.rolling`).

Glossary: of each side in the scratch memory: x: point, m: outward normal, u: principal tangent, and the radii of
curvature along and across it, FLAT of what is straight. d: distance of the points along the normal of A.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.layout import FLAT
from genesis.contact.narrow_phase.memory import (
    CYLINDER,
    ELLIPSOID,
    SIMPLEX,
    TOUCH,
    TOUCH_NUMBERS,
    memory,
)

X, M, U, RADII, FORM = 0, 3, 6, 9, 11
"""Numbers of a side."""
FIXED, OVAL, RIM, SIDE, CAP = range(5)
"""Forms: of a polytope; of an ellipsoid; of a cylinder the edge of a cap, the round side, the inside of a cap."""
STEPS = 12
UPRIGHT = 1e-4
"""Sine of the angle to the axis below which a cylinder's rim counts as a point of it: the lowest is not defined."""
PARALLEL = 1e-6
"""Square of the sine below which two straight lines are parallel: one counts as a point."""


@per_runtime
def touching() -> Functions:
    lay, mem, cas = layout(), memory(), cases()
    real, vec3 = lay.real, lay.vec3
    single = real == ti.f32
    settled = 1e-6 if single else 1e-13
    loose = 1e-2  # of a cylinder's size, from which on a point is inside of its side or cap
    trust = 0.1  # most change of a normal

    @ti.func
    def number(a: ti.template(), side, i):
        return a.work[a.w + TOUCH + TOUCH_NUMBERS * side + i]

    @ti.func
    def vector(a: ti.template(), side, i):
        return mem.get(a, TOUCH + TOUCH_NUMBERS * side + i)

    @ti.func
    def set_vector(a: ti.template(), side, i, v):
        mem.put(a, TOUCH + TOUCH_NUMBERS * side + i, v)

    @ti.func
    def describe(a: ti.template(), side, u, along, across, form):
        set_vector(a, side, U, u)
        at = a.w + TOUCH + TOUCH_NUMBERS * side
        a.work[at + RADII] = along
        a.work[at + RADII + 1] = across
        a.work[at + FORM] = ti.cast(form, real)

    @ti.func
    def bend(size, local):
        """Principal direction and radii of curvature of an ellipsoid where its normal is `local`, its frame."""
        e = cas.across(local)
        f, s = local.cross(e), size * size
        y = s * local
        h = ti.sqrt(y.dot(local))
        ee, ef = ((s * e).dot(e) - (y.dot(e) / h) ** 2) / h, ((s * e).dot(f) - y.dot(e) * y.dot(f) / (h * h)) / h
        ff = ((s * f).dot(f) - (y.dot(f) / h) ** 2) / h
        half, apart = 0.5 * (ee + ff), ti.sqrt(0.25 * (ee - ff) ** 2 + ef * ef)
        angle = 0.5 * ti.atan2(2.0 * ef, ee - ff)
        return ti.cos(angle) * e + ti.sin(angle) * f, half + apart, half - apart

    @ti.func
    def surface(a: ti.template(), pair: ti.template(), side):
        """Puts the point of a curved side where the surface has its normal, and describes the surface there."""
        kind, _hull, size, place, turn = mem.shape(pair, side)
        form = ti.cast(number(a, side, FORM), ti.i32)
        local = turn.transpose() @ vector(a, side, M)
        if form == OVAL:
            y = size * local
            set_vector(a, side, X, place + turn @ (size * y / y.norm()))
            u, along, across = bend(size, local)
            describe(a, side, turn @ u, along, across, OVAL)
        elif form > OVAL:
            out = ti.sqrt(local[0] * local[0] + local[1] * local[1])
            rho = vec3(local[0], local[1], 0.0) / ti.max(out, 1e-12)
            x = turn.transpose() @ (vector(a, side, X) - place)
            up = ti.cast(1.0, real)
            if x[2] < 0.0:
                up = ti.cast(-1.0, real)
            if form == CAP:
                x[2] = up * size[1]
                set_vector(a, side, M, up * turn[:, 2])
                describe(a, side, turn[:, 0], FLAT, FLAT, CAP)
            elif form == SIDE:
                x = vec3(size[0] * rho[0], size[0] * rho[1], x[2])
                set_vector(a, side, M, turn @ rho)
                describe(a, side, turn[:, 2], FLAT, size[0], SIDE)
            elif out > UPRIGHT:
                x = vec3(size[0] * rho[0], size[0] * rho[1], up * size[1])
                describe(a, side, turn @ vec3(-rho[1], rho[0], 0.0), size[0] / out, 0.0, RIM)
            else:
                x[2] = up * size[1]
                describe(a, side, turn[:, 0], 0.0, 0.0, RIM)
            set_vector(a, side, X, place + turn @ x)

    @ti.func
    def begin(a: ti.template(), pair: ti.template(), side, n, weights, normal):
        """Describes a side from what the search has found."""
        kind, _hull, size, place, turn = mem.shape(pair, side)
        x, count = vec3(0.0), 0
        first, second, third = vec3(0.0), vec3(0.0), vec3(0.0)
        seen = ti.Vector([-1, -1, -1], ti.i32)
        for c in range(n):
            index, point = a.whole[a.z + 2 * c + side], mem.get(a, SIMPLEX + 9 * c + 3 + 3 * side)
            x += weights[c] * point
            if index != seen[0] and index != seen[1] and index != seen[2]:
                if ti.abs(weights[c]) > 1e-9:  # of a face in one plane with others, any may be the nearest
                    seen[count] = index
                    if count == 0:
                        first = point
                    elif count == 1:
                        second = point
                    else:
                        third = point
                    count += 1
        m = (1.0 - 2.0 * side) * normal
        set_vector(a, side, X, x)
        set_vector(a, side, M, m)
        if kind == ELLIPSOID:
            describe(a, side, vec3(0.0), 0.0, 0.0, OVAL)
        elif kind == CYLINDER:
            y, form = turn.transpose() @ (x - place), RIM
            if ti.abs(y[2]) < (1.0 - loose) * size[1]:
                form = SIDE
            elif y[0] * y[0] + y[1] * y[1] < (1.0 - 2.0 * loose) * size[0] * size[0]:
                form = CAP
            describe(a, side, vec3(0.0), 0.0, 0.0, form)
        elif count == 3:
            face = (second - first).cross(third - first).normalized()
            if face.dot(m) < 0.0:
                face = 0.0 - face
            set_vector(a, side, M, face)
            describe(a, side, cas.across(face), FLAT, FLAT, FIXED)
        elif count == 2:
            e = (second - first).normalized()
            set_vector(a, side, M, (m - m.dot(e) * e).normalized())
            describe(a, side, e, FLAT, 0.0, FIXED)
        else:
            describe(a, side, cas.across(m), 0.0, 0.0, FIXED)
        surface(a, pair, side)

    @ti.func
    def one_flat(a: ti.template(), n):
        """Radii of A and of B, so that not both are flat along one direction: the point stays one of the other."""
        a1, a2, b1, b2 = number(a, 0, RADII), number(a, 0, RADII + 1), number(a, 1, RADII), number(a, 1, RADII + 1)
        if a1 == FLAT and a2 == FLAT:
            if b1 == FLAT:
                b1 = ti.cast(0.0, real)
            if b2 == FLAT:
                b2 = ti.cast(0.0, real)
        elif b1 == FLAT and b2 == FLAT:
            if a1 == FLAT:
                a1 = ti.cast(0.0, real)
        elif a1 == FLAT and b1 == FLAT:
            both = vector(a, 0, U).cross(vector(a, 1, U))
            if both.dot(both) < PARALLEL:
                b1 = ti.cast(0.0, real)
        return a1, a2, b1, b2

    @ti.func
    def tangent(a: ti.template(), side, n):
        """A side's principal tangent, at right angles to the contact's normal."""
        u = vector(a, side, U)
        return (u - n.dot(u) * n).normalized()

    @ti.func
    def step(a: ti.template(), pair: ti.template()):
        """One step of Newton's method. Returns how far the sides are from touching: part of a turn, and length."""
        n = vector(a, 0, M)
        gap, q = vector(a, 1, X) - vector(a, 0, X), 0.0 - vector(a, 1, M) - n
        d = gap.dot(n)
        v = gap - d * n
        a1, a2, b1, b2 = one_flat(a, n)
        ea, eb = tangent(a, 0, n), tangent(a, 1, n)
        fa, fb = n.cross(ea), n.cross(eb)
        na1, da1 = cas.curve(a1)
        na2, da2 = cas.curve(a2)
        nb1, db1 = cas.curve(b1)
        nb2, db2 = cas.curve(b2)
        c, s = ea.dot(eb), fa.dot(eb)
        n11, n12, n22 = nb1 * c * c + nb2 * s * s, (nb1 - nb2) * c * s, nb1 * s * s + nb2 * c * c
        d11, d12, d22 = db1 * c * c + db2 * s * s, (db1 - db2) * c * s, db1 * s * s + db2 * c * c
        m11, m12 = n11 * da1 + d11 * (na1 + d * da1), n12 * da2 + d12 * (na2 + d * da2)
        m21, m22 = n12 * da1 + d12 * (na1 + d * da1), n22 * da2 + d22 * (na2 + d * da2)
        q1, q2, v1, v2 = q.dot(ea), q.dot(fa), v.dot(ea), v.dot(fa)
        r1, r2 = n11 * q1 + n12 * q2 + d11 * v1 + d12 * v2, n12 * q1 + n22 * q2 + d12 * v1 + d22 * v2
        det = m11 * m22 - m12 * m21
        s1, s2 = ti.cast(0.0, real), ti.cast(0.0, real)
        if ti.abs(det) > 1e-30:
            s1, s2 = (m22 * r1 - m12 * r2) / det, (m11 * r2 - m21 * r1) / det
        slide = (na1 + d * da1) * s1 * ea + (na2 + d * da2) * s2 * fa - v
        turn = q - da1 * s1 * ea - da2 * s2 * fa
        moved, turned = (1.0 - da1) * s1 * ea + (1.0 - da2) * s2 * fa, da1 * s1 * ea + da2 * s2 * fa
        for side in range(2):
            if side == 1:
                moved = (1.0 - db1) * slide.dot(eb) * eb + (1.0 - db2) * slide.dot(fb) * fb
                turned = db1 * turn.dot(eb) * eb + db2 * turn.dot(fb) * fb
            size = turned.norm()
            if size > trust:
                turned = turned * (trust / size)
            set_vector(a, side, X, vector(a, side, X) + moved)
            set_vector(a, side, M, (vector(a, side, M) + turned).normalized())
            if number(a, side, FORM) == RIM:  # beyond the rim are the side and the inside of the cap
                _kind, _hull, _size, place, R = mem.shape(pair, side)
                x, m = R.transpose() @ (vector(a, side, X) - place), R.transpose() @ vector(a, side, M)
                if m[2] * x[2] < 0.0:
                    a.work[a.w + TOUCH + TOUCH_NUMBERS * side + FORM] = ti.cast(SIDE, real)
                elif m[0] * x[0] + m[1] * x[1] < 0.0:
                    a.work[a.w + TOUCH + TOUCH_NUMBERS * side + FORM] = ti.cast(CAP, real)
            surface(a, pair, side)
        return q.norm(), v.norm()

    @ti.func
    def settle(a: ti.template(), pair: ti.template(), n, weights, normal):
        """From the end of a search to where both sides touch exactly."""
        for side in range(2):
            begin(a, pair, side, n, weights, normal)
        scale, k = pair.p.norm(), 0
        while k < STEPS:
            q, v = step(a, pair)
            k += 1
            if q <= settled and v <= settled * scale:
                k = STEPS

    return Functions(settle=settle, vector=vector, tangent=tangent, one_flat=one_flat)
