"""Spheres and capsules against boxes. A capsule is a sphere at the point of its segment that is nearest to the box, and
another at a second point, as far along the box as MuJoCo goes.

Glossary: h: half axis of the capsule; s: point s h of its segment, -1 to 1; e: direction of an edge of the box, y:
point of it, -1 to 1 in its half lengths. gs, gy: derivatives of s, y by the box's translation, gs_turn, gy_turn by its
rotation, gs_size by its sizes.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.layout import CASE, FLAT, NUMBERS, ROLLING, SIZES, SLIDE, SLIDING, U

TINY = 1e-15
"""What MuJoCo takes for zero: of lengths, of squares of lengths, and of determinants."""
NOTHING, END, CORNER, EDGE = range(4)
"""What is nearest: an end of the segment to a face, or the segment to a corner, or to the inside of an edge."""
FIXED, WIDTH, SIDE, PLANE = range(4)
"""Where the second point is: at an end of the segment; away from the first by the width of the box along an axis; as
far along an edge as the edge has left; where the segment leaves a side plane of the box."""


@per_runtime
def box_pairs() -> Functions:
    lay, record = layout(), cases()
    axis = record.axis
    real, vec3 = lay.real, lay.vec3

    @ti.func
    def sphere_on_box(found: ti.template(), at, c, radius, size, p, R, reach):
        """A sphere at c, world, against the box: writes a record if they touch. Returns 1 or 0."""
        y = R.transpose() @ (c - p)
        clamped = ti.min(ti.max(y, 0.0 - size), size)
        to_box = clamped - y
        length = to_box.norm()
        n, v, outside = vec3(0.0), vec3(0.0), 0
        if length > TINY:
            n = to_box / length
            for k in ti.static(range(3)):
                if to_box[k] != 0.0:
                    outside += 1
                else:
                    v[k] = 1.0
        else:  # through the nearest face, of which the first counts
            nearest = 2.0 * size.sum()
            for k, side in ti.static(ti.ndrange(3, 2)):
                depth = ti.abs((2 * side - 1) * size[k] - y[k])
                if depth < nearest:
                    nearest = depth
                    n = vec3(0.0)
                    n[k] = 1 - 2 * side
            length = -nearest
        touches, distance = 0, length - radius
        if distance < reach:
            touches = 1
            normal = R @ n
            e = record.across(normal)
            record.write(found, at, c + (radius + 0.5 * distance) * normal, normal, distance, ROLLING)
            along, around = ti.cast(FLAT, real), ti.cast(FLAT, real)
            v = R @ v
            if outside != 2:
                v = e
            if outside > 1:
                around = 0.0
            if outside > 2:
                along = 0.0
            record.describe(found, at, e, v, radius, radius, along, around)
        return touches

    @ti.func
    def sphere_box(found: ti.template(), first, size_a, size_b, p, Ra, Rb, reach):
        """`meet` of a sphere and a box."""
        return sphere_on_box(found, first, vec3(0.0), size_a[0], size_b, p, Rb, reach)

    @ti.func
    def bits(positive):
        """Which components of a vector of conditions hold, as bits."""
        code = 0
        for k in ti.static(range(3)):
            if positive[k] > 0.0:
                code += 1 << k
        return code

    @ti.func
    def nearest(pos, h, size, reach, radius):
        """What of the segment pos + s h and the box is nearest, box's frame: its kind, s, y; whether s is between its
        limits; the axis of the face or edge (-1: inside); the corner's code, bit k for the side of axis k."""
        half = h.norm()
        best = reach + 2.0 * (radius + half + size.sum())
        kind, s, y, free, along, corner = NOTHING, ti.cast(0.0, real), ti.cast(0.0, real), False, -1, 0
        for i in range(2):
            end = pos + (2.0 * i - 1.0) * h
            off = end - ti.min(ti.max(end, 0.0 - size), size)
            outside, which = 0, -1
            for k in ti.static(range(3)):
                if off[k] != 0.0:
                    outside += 1
                    which = k
            if outside < 2 and off.dot(off) < best:
                best, kind, s, along = off.dot(off), END, 2.0 * i - 1.0, which
        for i in range(12):
            j = i // 4
            low = (i % 4) & ((1 << j) - 1)
            code = ((i % 4 - low) << 1) + low
            e, sides = axis(j), vec3(0.0)
            for k in ti.static(range(3)):
                sides[k] = 2.0 * ((code >> k) & 1) - 1.0
            length, slope = e.dot(size), e.dot(h)
            start = (1.0 - e) * sides * size - pos  # the edge's middle from the segment's
            across, rise = h - slope * e, e.dot(start)
            across2 = across.dot(across)
            if length * length * across2 >= TINY:
                s_, upper, lower, between = across.dot(start) / across2, False, False, True
                y_ = (slope * s_ - rise) / length
                if ti.abs(y_) > 1.0:
                    upper, lower = y_ > 1.0, y_ < -1.0
                    y_ = ti.min(ti.max(y_, -1.0), 1.0)
                    s_ = (h.dot(start) + length * slope * y_) / (half * half)
                if ti.abs(s_) > 1.0:
                    between = False
                    s_ = ti.min(ti.max(s_, -1.0), 1.0)
                    y_ = (slope * s_ - rise) / length
                    if ti.abs(y_) > 1.0:  # MuJoCo keeps the corner when y is free again
                        upper, lower = y_ > 1.0, y_ < -1.0
                        y_ = ti.min(ti.max(y_, -1.0), 1.0)
                gap = start + length * y_ * e - s_ * h
                if gap.dot(gap) < best - TINY:
                    best, s, y, free, along, corner, kind = gap.dot(gap), s_, y_, between, j, code, EDGE
                    if upper:
                        corner += 1 << j
                    if upper or lower:
                        kind = CORNER
        return kind, s, y, free, along, corner

    @ti.func
    def second(kind, s, y, along, corner, pos, h, size):
        """Whether there is a second point, the step to it from s, that step's derivative by y, and what limits it:
        FIXED to PLANE, and the axis of the box."""
        step, way, how, of, there = ti.cast(2.0, real), ti.cast(1.0, real), FIXED, 0, False
        by_y = ti.cast(0.0, real)
        up = bits(h)
        if kind == CORNER:
            code = up ^ corner
            if code != 0 and code != 7:
                there = True
                if code == 3 or code == 5 or code == 6:
                    way, code = -1.0, 7 - code
                steep = axis(code >> 1).dot(h)
                edgewise = steep * steep > 0.5 * h.dot(h)
                if not edgewise:
                    way = -way
                step = 1.0 - way * s
                for k in ti.static(range(3)):
                    if (code == 1 << k) == edgewise:
                        width = 2.0 * size[k] / ti.max(ti.abs(h[k]), 1e-30)
                        if width < step:
                            step, how, of = width, WIDTH, k
        elif kind == EDGE:
            code = (up ^ corner) & (7 - (1 << along))
            if code == 1 or code == 2 or code == 4:
                there = True
                of = (along + 2) % 3
                if ti.abs(axis((along + 1) % 3).dot(h)) > ti.abs(axis(of).dot(h)):
                    of = (along + 1) % 3
                if not (code >> of) & 1:
                    way = -1.0
                step = 1.0 - way * s
                width = 2.0 * axis(of).dot(size) / ti.max(ti.abs(axis(of).dot(h)), 1e-30)
                if width < step:
                    step, how = width, WIDTH
                scale = axis(along).dot(size) / ti.max(ti.abs(axis(along).dot(h)), 1e-30)
                if (up >> along) & 1 == (code >> of) & 1:
                    scale = -scale
                left = ti.abs(scale) + scale * y
                if left < step:
                    step, by_y, how, of = left, scale, SIDE, along
        elif kind == END and along >= 0:
            there = True
            way = -s
            for k, side in ti.static(ti.ndrange(3, 2)):
                if k != along and ti.abs(h[k]) > 1e-30:
                    left = ((1 - 2 * side) * size[k] - pos[k] - s * h[k]) / h[k] * way
                    if left > 0.0 and left < step:
                        step, how, of = left, PLANE, k
        return there, way * step, way * by_y, how, of

    @ti.func
    def derivatives(kind, s, y, free, along, corner, p, R, h, size):
        """gs, gy and gs_size of the nearest point. A's moves by half gs along a; both stay the nearest of their lines:
        a . (v + e dy) = half gs, e . (v + e dy - a half gs) + (w x e) . gap = 0; or dy = 0, or gs = 0."""
        gs, gs_turn, gy, gy_turn, gs_size = vec3(0.0), vec3(0.0), vec3(0.0), vec3(0.0), vec3(0.0)
        if kind > END:
            e, sides, half = axis(along), vec3(0.0), h.norm()
            for k in ti.static(range(3)):
                sides[k] = 2.0 * ((corner >> k) & 1) - 1.0
            length = e.dot(size)
            arm = R @ ((1.0 - e) * sides * size + length * y * e)
            a, e, gap = h / half, R @ e, p + arm - s * h
            cosine = a.dot(e)
            if free:
                gs, gs_turn = a / half, arm.cross(a) / half
                if kind == EDGE:
                    across = a - cosine * e
                    scale = half * across.dot(across)
                    gs, gs_turn = across / scale, (arm.cross(across) - cosine * e.cross(gap)) / scale
            signs = (1.0 - axis(along)) * sides  # where the edge or corner is, which sizes move
            if kind == CORNER:
                signs += y * axis(along)
            gs_size = signs * (R.transpose() @ gs)
            if kind == EDGE:
                gy = (cosine * half * gs - e) / length
                gy_turn = (cosine * half * gs_turn - arm.cross(e) - e.cross(gap)) / length
        return gs, gs_turn, gy, gy_turn, gs_size

    @ti.func
    def capsule_box(found: ti.template(), first, size_a, size_b, p, Ra, Rb, reach):
        """`meet` of a capsule and a box."""
        radius, h, count = size_a[0], size_a[1] * Ra[:, 2], 0
        pos, h_box = Rb.transpose() @ (0.0 - p), Rb.transpose() @ h
        kind, s, y, moves, along, corner = nearest(pos, h_box, size_b, reach, radius)
        if kind != NOTHING:
            there, step, by_y, how, of = second(kind, s, y, along, corner, pos, h_box, size_b)
            gs, gs_turn, gy, gy_turn, gs_size = derivatives(kind, s, y, moves, along, corner, p, Rb, h, size_b)
            gs_half = ti.cast(0.0, real)
            for k in range(2):
                if k == 0 or there:
                    if k == 1:
                        b = Rb @ axis(of)
                        through = b.dot(h)
                        if how == WIDTH:
                            gs_size += (step / axis(of).dot(size_b)) * axis(of)
                            if not moves:  # counted from the segment's end
                                gs_half = s / size_a[1]
                        elif how != FIXED:
                            out = axis(of).dot(pos + (s + step) * h_box)
                            gs_size = (ti.math.sign(out) / through) * axis(of)
                        moves, s = how != FIXED, s + step
                        if how == PLANE:
                            gs, gs_turn = b / through, (s * h - p).cross(b) / through
                        elif moves:
                            gs += by_y * gy
                            gs_turn += by_y * gy_turn - step / through * b.cross(h)
                    at = first + count * NUMBERS
                    touches = sphere_on_box(found, at, s * h, radius, size_b, p, Rb, reach)
                    if touches > 0 and moves:
                        found[at + CASE] = ti.cast(SLIDING, real)
                        record.put(found, at + U, h)
                        record.put(found, at + SLIDE, gs)
                        record.put(found, at + SLIDE + 3, gs_turn)
                        record.put(found, at + SIZES, gs_size)
                        found[at + SIZES + 3] = gs_half
                    count += touches
        return count

    return Functions(sphere_box=sphere_box, capsule_box=capsule_box)
