"""Two boxes: the axis along which they are farthest apart, and the points of the faces or edges that meet along it.

A face's contacts are the corners of the other box's face, cut by the planes through this face's sides. Each corner
keeps how it came about: a corner of the other face, its edge cut by a plane, or a corner of this face.

Glossary: C: rotation of b in a's frame; o: b's centre there. Corners of the polygon are held in the frame of the face's
box: two coordinates in the face, the height above it, then how the corner came about (CUT), and along what the polygon
goes on from it (U_EDGE, V_EDGE: the two directions of the other face's edges; RIM: the edge of this face).
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.layout import CLIPPED_A, CLIPPED_B, EDGES, FLAT, MOST, NUMBERS, ROLLING, SLIDE
from genesis.math.lanes import absolute

EDGE_PENALTY = 1e-6
"""Share of its separation that an axis across two edges is put back by against a face's."""
ALIKE, WORSE = 0.99, 0.05
"""An axis across two edges gives way to the best face whose normal is nearly its direction (cosine), unless it is
better by more than this share of the face's separation."""
U_EDGE, V_EDGE, RIM = range(3)
WHOLE, CUT, OWN = 0, 1, 5
"""A corner of the other face; its edge e (U_EDGE or V_EDGE) cut by a plane across axis c of this face: CUT + 2 e + c; a
corner of this face, on the other."""
CORNER = 5
"""Numbers of a corner of the polygon. Two polygons of MOST corners lie at the end of the records, which are written
from the first on and reach a corner when it has been read."""


@per_runtime
def box_box_pair() -> Functions:
    lay, record = layout(), cases()
    axis = record.axis
    real, vec3 = lay.real, lay.vec3
    double = real == ti.f64
    slack = 1e-13 if double else 1e-6  # of separations, times the boxes' size
    parallel = 1e-16 if double else 1e-7  # square of the sine between edges that have no direction across both
    vague = 1e-9 if double else 1e-5  # component of an axis whose sign is rounding
    same = 1e-14 if double else 1e-10  # square of the distance between corners that are one, times the face's size
    least = 1e-15

    @ti.func
    def sign(x):
        s = ti.cast(1.0, real)
        if x < 0.0:
            s = -1.0
        return s

    @ti.func
    def signs(v):
        return vec3(sign(v[0]), sign(v[1]), sign(v[2]))

    @ti.func
    def separate(size_a, size_b, o, C, reach):
        """The direction n, from a to b, along which the boxes are farthest apart, and its code: 0 to 2 a face of a, 3
        to 5 of b, 6 + 3 i + j across edge i of a and j of b; -1 if they are out of reach. a's frame."""
        limit = reach + slack * (size_a.sum() + size_b.sum())
        best, face, code, face_code = ti.cast(-1e30, real), ti.cast(-1e30, real), -1, -1
        n, face_n, apart = vec3(0.0), vec3(0.0), False
        for q in range(15):
            m, defined = axis(q), True
            if q > 2:
                m = C @ axis(q - 3)
            if q > 5:
                m = axis((q - 6) // 3).cross(C @ axis((q - 6) % 3))
                length2 = m.dot(m)
                defined = length2 >= parallel
                m = m / ti.sqrt(ti.max(length2, parallel))
            gap = ti.abs(m.dot(o)) - absolute(m).dot(size_a) - absolute(C.transpose() @ m).dot(size_b)
            if defined:
                if gap > limit:
                    apart = True
                if q > 5:
                    if gap - EDGE_PENALTY * ti.abs(gap) > best and gap > face:
                        best, code, n = gap, q, m
                elif gap > best:
                    best, code, n = gap, q, m
                    face, face_code, face_n = gap, q, m
        if code > 5 and ti.abs(n.dot(face_n)) > ALIKE and best < face + WORSE * ti.abs(face) + least:
            code, n = face_code, face_n
        if apart:
            code = -1
        way = sign(n.dot(o))
        if 2 < code and code < 6:
            way = -sign(-n.dot(o))  # of boxes about one centre
        return code, way * n

    @ti.func
    def edges(found: ti.template(), at, code, n, size_a, size_b, o, C, Ra, reach):
        """The nearest points of edge i of a and j of b that lie farthest along n and -n. Where n leaves open which edge
        that is, the pair of edges that are nearest."""
        i, j = (code - 6) // 3, (code - 6) % 3
        ei, ej = axis(i), axis(j)
        eb, nb = C @ ej, C.transpose() @ n
        cosine, half_a, half_b = eb.dot(ei), ei.dot(size_a), ej.dot(size_b)
        open_a, open_b = vec3(0.0), vec3(0.0)  # the component of the corner that may be of either sign
        for k in ti.static((1, 0)):  # the axis after an edge's goes first
            ka, kb = axis((i + 1 + k) % 3), axis((j + 1 + k) % 3)
            if ti.abs(ka.dot(n)) < vague:
                open_a = ka
            if ti.abs(kb.dot(nb)) < vague:
                open_b = kb
        corner_a, corner_b = (1.0 - ei) * signs(n) * size_a, (ej - 1.0) * signs(nb) * size_b
        nearest, w, gap, slides_a, slides_b = ti.cast(1e30, real), vec3(0.0), vec3(0.0), False, False
        for q in range(4):
            flip_a, flip_b = q // 2, q % 2
            if (flip_a == 0 or open_a.sum() > 0.0) and (flip_b == 0 or open_b.sum() > 0.0):
                ca = corner_a * (1.0 - 2.0 * flip_a * open_a)
                cb = C @ (corner_b * (1.0 - 2.0 * flip_b * open_b)) + o
                between = cb - ca
                along_a, along_b = between.dot(ei), between.dot(eb)
                s = (along_a - cosine * along_b) / ti.max(1.0 - cosine * cosine, least)
                s = ti.min(ti.max(s, -half_a), half_a)
                t = cosine * s - along_b
                free_b = ti.abs(t) < half_b
                t = ti.min(ti.max(t, -half_b), half_b)
                s = along_a + cosine * t
                free_a = ti.abs(s) < half_a
                s = ti.min(ti.max(s, -half_a), half_a)
                between += t * eb - s * ei
                if between.dot(between) < nearest:
                    nearest, w, gap = between.dot(between), ca + s * ei, between
                    slides_a, slides_b = free_a, free_b
        touches, distance = 0, gap.dot(n)
        if distance < reach:
            touches = 1
            place, normal, u, v, zero = Ra @ (w + 0.5 * gap), Ra @ n, Ra @ ei, Ra @ eb, ti.cast(0.0, real)
            if slides_a and slides_b:
                record.write(found, at, place, normal, distance, ROLLING)
                record.describe(found, at, u, v, FLAT, zero, FLAT, zero)
            else:
                record.write(found, at, place, normal, distance, EDGES)
                record.describe(found, at, u, v, ti.cast(slides_a, real), ti.cast(slides_b, real), zero, zero)
                record.put(found, at + SLIDE, Ra @ gap)
        return touches

    @ti.func
    def cut(found: ti.template(), source, target, n, c, way, limit):
        """The part of a polygon of n corners where way * coordinate c is at most `limit`. Returns how many it has."""
        count = 0
        for k in range(n):
            p, q = source + k * CORNER, source + (k + 1) % n * CORNER
            here, there = way * found[p + c] - limit, way * found[q + c] - limit
            if here <= 0.0 and count < MOST:
                to = target + count * CORNER
                for m in ti.static(range(CORNER)):
                    found[to + m] = found[p + m]
                if here == 0.0 and there > 0.0:
                    found[to + 4] = ti.cast(RIM, real)
                count += 1
            if ((here < 0.0 and there > 0.0) or (here > 0.0 and there < 0.0)) and count < MOST:
                to, t, goes = target + count * CORNER, here / (here - there), found[p + 4]
                for m in ti.static(range(3)):
                    found[to + m] = found[p + m] + t * (found[q + m] - found[p + m])
                found[to + 3] = CUT + 2.0 * goes + c
                if goes > 1.5:
                    found[to + 3] = ti.cast(OWN, real)
                found[to + 4] = goes
                if there > 0.0:
                    found[to + 4] = ti.cast(RIM, real)
                count += 1
        return count

    @ti.func
    def polygon(found: ti.template(), at, k, other, size, size_other, o, C, reach):
        """Corners of face `other` (axis) of the other box over face k of this one, below `reach`, each once. C, o: the
        other box in this one's frame. Returns how many."""
        up, i, j, u, v = sign(axis(k).dot(o)), (k + 1) % 3, (k + 2) % 3, (other + 1) % 3, (other + 2) % 3
        wide, high, deep = axis(i).dot(size), axis(j).dot(size), axis(k).dot(size)
        out, along_u, along_v = C @ axis(other), C @ (axis(u) * size_other), C @ (axis(v) * size_other)
        if up * axis(k).dot(out) > 0.0:
            out = 0.0 - out
        middle = o + axis(other).dot(size_other) * out
        last = at + MOST * (NUMBERS - CORNER)
        for m in range(4):
            corner = middle + (1.0 - 2.0 * ((m + 1) // 2 % 2)) * along_u + (1.0 - 2.0 * (m // 2)) * along_v
            to = last + m * CORNER
            found[to], found[to + 1] = axis(i).dot(corner), axis(j).dot(corner)
            found[to + 2] = up * axis(k).dot(corner) - deep
            found[to + 3] = ti.cast(WHOLE, real)
            found[to + 4] = ti.cast(m % 2, real)
        n = 4
        for side in range(4):
            source, limit = last - side % 2 * MOST * CORNER, wide
            if side > 1:
                limit = high
            n = cut(found, source, 2 * last - MOST * CORNER - source, n, side // 2, 1.0 - 2.0 * (side % 2), limit)
        count = 0
        for m in range(n):
            p, new = last + m * CORNER, found[last + m * CORNER + 2] < reach
            for q in range(count):
                dx, dy = found[last + q * CORNER] - found[p], found[last + q * CORNER + 1] - found[p + 1]
                if dx * dx + dy * dy < same * (wide * wide + high * high):
                    new = False
            if new:
                for c in ti.static(range(CORNER)):
                    found[last + count * CORNER + c] = found[p + c]
                count += 1
        return count

    @ti.func
    def faces(found: ti.template(), first, code, size_a, size_b, p, Ra, Rb, reach):
        """Records of the corners of the other box's face over face `code` of a (0 to 2) or b (3 to 5)."""
        on_a, k, size, size_other, R, Q, o = code < 3, code % 3, size_a, size_b, Ra, Rb, p
        case, centre, way = CLIPPED_A, vec3(0.0), ti.cast(1.0, real)
        if not on_a:
            size, size_other, R, Q, o, case, centre, way = size_b, size_a, Rb, Ra, 0.0 - p, CLIPPED_B, p, -1.0
        C, o_ = R.transpose() @ Q, R.transpose() @ o
        tilt = absolute(C.transpose() @ axis(k))
        other = 0
        for c in ti.static((1, 2)):
            if tilt[c] > axis(other).dot(tilt):
                other = c
        count = polygon(found, first, k, other, size, size_other, o_, C, reach)
        up = sign(axis(k).dot(o_))
        outward, m = up * (R @ axis(k)), Q @ axis(other)
        for c in range(count):
            at = first + MOST * (NUMBERS - CORNER) + c * CORNER
            x, y, distance, kind = found[at], found[at + 1], found[at + 2], ti.cast(found[at + 3], ti.i32)
            inside = axis((k + 1) % 3) * x + axis((k + 2) % 3) * y
            place = centre + R @ inside + (axis(k).dot(size) + 0.5 * distance) * outward
            keep, u, v = ti.cast(1.0, real), vec3(0.0), vec3(0.0)
            if kind == OWN:
                keep, u, v = 0.0, outward / outward.dot(m), m
            elif kind != WHOLE:
                edge = Q @ axis((other + 1 + (kind - CUT) // 2) % 3)
                v = R @ axis((k + 1 + (kind - CUT) % 2) % 3)
                u = (0.0 - edge) / edge.dot(v)
            record.write(found, first + c * NUMBERS, place, way * outward, distance, case)
            record.describe(found, first + c * NUMBERS, u, v, keep, 0.0, 0.0, 0.0)
        return count

    @ti.func
    def box_box(found: ti.template(), first, size_a, size_b, p, Ra, Rb, reach):
        """`meet` of two boxes. `found` must have room for MOST records, which are written over."""
        C, o, count = Ra.transpose() @ Rb, Ra.transpose() @ p, 0
        code, n = separate(size_a, size_b, o, C, reach)
        if code > 5:
            count = edges(found, first, code, n, size_a, size_b, o, C, Ra, reach)
        elif code >= 0:
            count = faces(found, first, code, size_a, size_b, p, Ra, Rb, reach)
        return count

    return Functions(box_box=box_box)
