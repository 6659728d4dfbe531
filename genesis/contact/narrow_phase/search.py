"""The signed distance of two convex cores: nearest points (Gilbert, Johnson, Keerthi 1988) or, where they overlap, the
face of their difference nearest to the origin (van den Bergen 2001).

A polytope inside the difference, at first a tetrahedron, grows where the distance of a face's plane from the origin,
negative where the origin is outside of it, is least, until that face lies on the surface. A face has its outward normal
and that distance (reals) and its corners (integers); faces without area are at NEVER. Both searches, and what lies
between them, are phases of one loop, so that a kernel has the code of the supports once.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.memory import (
    CYLINDER,
    EDGE_WHOLE,
    EDGES,
    ELLIPSOID,
    FACE_REALS,
    FACE_WHOLE,
    FACES,
    FREE,
    FREE_WHOLE,
    ITERATIONS,
    SIMPLEX,
    memory,
)

NEVER = 1e30
NEAREST, SPANNING, DEEPEST = range(3)
"""Phases: nearest points; four points that span a volume; the nearest face."""
SPANS = 6
"""Directions in which these are looked for: both ways along x, across the first two, along the triangle's normal."""


@per_runtime
def searches() -> Functions:
    lay, mem = layout(), memory()
    real, vec3, vec4 = lay.real, lay.vec3, lay.vec4
    single = real == ti.f32
    tiny = 1e-9 if single else 1e-15
    exact = 1e-6 if single else 1e-14  # of lengths, relative to the difference
    smooth = 3e-6 if single else 1e-9  # the same where a shape is curved
    deep, deep_smooth = (5e-6, 1e-5) if single else (1e-12, 1e-7)  # of depths, relative to the difference
    near = 1e-5 if single else 1e-9  # distance, relative to the difference, below which the nearest face is looked for
    flat = 2e-6 if single else 1e-12  # of faces' heights

    @ti.func
    def spot(i):
        """Where point i of the simplex or the polytope begins."""
        return FREE + 9 * i

    @ti.func
    def tag(i):
        return FREE_WHOLE + 2 * i

    @ti.func
    def on_segment(p, q):
        """Weight of q in the point of a segment that is nearest to the origin."""
        e = q - p
        return ti.min(ti.max(-p.dot(e) / ti.max(e.dot(e), 1e-30), 0.0), 1.0)

    @ti.func
    def on_triangle(p, q, r):
        """Weights of the point of a triangle that is nearest to the origin."""
        n = (q - p).cross(r - p)
        square = n.dot(n)
        weights = vec3(0.0)
        if square > 0.0:
            o = n * (n.dot(p) / square)
            weights = vec3((q - o).cross(r - o).dot(n), (r - o).cross(p - o).dot(n),
                           (p - o).cross(q - o).dot(n)) / square  # fmt: skip
        if square <= 0.0 or weights[0] <= 0.0 or weights[1] <= 0.0 or weights[2] <= 0.0:
            low, nearest = weights, ti.cast(1e30, real)
            for edge in range(3):
                first, second, away = q, r, low[0]
                if edge == 1:
                    first, away = p, low[1]
                elif edge == 2:
                    first, second, away = p, q, low[2]
                if square <= 0.0 or away <= 0.0:
                    t = on_segment(first, second)
                    x = first + t * (second - first)
                    if x.dot(x) < nearest:
                        nearest = x.dot(x)
                        weights = vec3(0.0, 1.0 - t, t)
                        if edge == 1:
                            weights = vec3(1.0 - t, 0.0, t)
                        elif edge == 2:
                            weights = vec3(1.0 - t, t, 0.0)
        return weights

    @ti.func
    def weigh(a: ti.template(), n):
        """Weights of the simplex' n points in its point nearest to the origin."""
        weights = vec4(1.0, 0.0, 0.0, 0.0)
        p, q = mem.get(a, spot(0)), mem.get(a, spot(1))
        if n == 2:
            t = on_segment(p, q)
            weights = vec4(1.0 - t, t, 0.0, 0.0)
        elif n > 2:
            r, s = mem.get(a, spot(2)), mem.get(a, spot(3))
            volumes, total = vec4(0.0), ti.cast(0.0, real)
            if n == 4:
                volumes = vec4(-q.dot(r.cross(s)), p.dot(r.cross(s)), -p.dot(q.cross(s)), p.dot(q.cross(r)))
                total = volumes.sum()
            inside = n == 4
            for c in ti.static(range(4)):
                inside = inside and volumes[c] * total > 0.0
            if inside:
                weights = volumes / total
            else:
                nearest = ti.cast(1e30, real)
                for out in range(4):  # the triangle that leaves out one point
                    volume = volumes[0]
                    i, j, k = p, q, s
                    if out == 0:
                        i, j = q, r
                    elif out == 1:
                        j, volume = r, volumes[1]
                    elif out == 2:
                        volume = volumes[2]
                    else:
                        k, volume = r, volumes[3]
                    if (n == 4 and not volume * total > 0.0) or (n == 3 and out == 3):
                        three = on_triangle(i, j, k)
                        x = three[0] * i + three[1] * j + three[2] * k
                        if x.dot(x) < nearest:
                            nearest = x.dot(x)
                            weights = vec4(three[0], three[1], 0.0, three[2])
                            if out == 0:
                                weights = vec4(0.0, three[0], three[1], three[2])
                            elif out == 1:
                                weights = vec4(three[0], 0.0, three[1], three[2])
                            elif out == 3:
                                weights = vec4(three[0], three[1], three[2], 0.0)
        return weights

    @ti.func
    def attach(a: ti.template(), face, i, j, k, middle):
        """Write the face with these corners."""
        p = mem.get(a, spot(i))
        one, two = mem.get(a, spot(j)) - p, mem.get(a, spot(k)) - p
        n = one.cross(two)
        edge, length, d = ti.max(one.dot(one), two.dot(two)), n.norm(), ti.cast(NEVER, real)
        if length > flat * edge:
            n = n / length
            if n.dot(p - middle) < 0.0:
                n = 0.0 - n
            d = n.dot(p)
        mem.put(a, FACE_REALS + 4 * face, n)
        a.work[a.w + FACE_REALS + 4 * face + 3] = d
        at = a.z + FACE_WHOLE + 3 * face
        a.whole[at] = i
        a.whole[at + 1] = j
        a.whole[at + 2] = k

    @ti.func
    def take_off(a: ti.template(), x, faces, tolerance):
        """Takes off all faces that see a point. How many are left, and the edges around them: of one of them alone."""
        edges, f = 0, 0
        while f < faces:
            at = FACE_REALS + 4 * f
            d = a.work[a.w + at + 3]
            if d < NEVER and mem.get(a, at).dot(x) - d > tolerance:
                for c in range(3):
                    i = a.whole[a.z + FACE_WHOLE + 3 * f + c]
                    j = a.whole[a.z + FACE_WHOLE + 3 * f + (c + 1) % 3]
                    same = -1
                    for e in range(edges):
                        p, q = a.whole[a.z + EDGE_WHOLE + 2 * e], a.whole[a.z + EDGE_WHOLE + 2 * e + 1]
                        if (p == i and q == j) or (p == j and q == i):
                            same = e
                    if same >= 0:
                        edges = edges - 1
                        for o in ti.static(range(2)):
                            a.whole[a.z + EDGE_WHOLE + 2 * same + o] = a.whole[a.z + EDGE_WHOLE + 2 * edges + o]
                    elif edges < EDGES:
                        a.whole[a.z + EDGE_WHOLE + 2 * edges] = i
                        a.whole[a.z + EDGE_WHOLE + 2 * edges + 1] = j
                        edges += 1
                faces = faces - 1
                for o in ti.static(range(4)):
                    a.work[a.w + at + o] = a.work[a.w + FACE_REALS + 4 * faces + o]
                for o in ti.static(range(3)):
                    a.whole[a.z + FACE_WHOLE + 3 * f + o] = a.whole[a.z + FACE_WHOLE + 3 * faces + o]
            else:
                f += 1
        return faces, edges

    @ti.func
    def spanned(a: ti.template(), step):
        """The next direction in which points are looked for that span a volume: unit vector."""
        d = vec3(1.0, 0.0, 0.0)
        if step > 1:
            e = mem.get(a, spot(1)) - mem.get(a, spot(0))
            d = vec3(-e[1], e[0], 0.0)
            if ti.abs(e[0]) + ti.abs(e[1]) < ti.abs(e[2]):
                d = vec3(0.0, -e[2], e[1])
            if step > 3:
                d = e.cross(mem.get(a, spot(2)) - mem.get(a, spot(0)))
        if step % 2 == 1:
            d = 0.0 - d
        return d / ti.max(d.norm(), tiny)

    @ti.func
    def search(a: ti.template(), pair: ti.template(), cutoff):
        """The points of the cores' difference around the one nearest to the origin are written to the simplex: how
        many (0: the cores are farther apart than the cutoff), their weights, the normal from A to B, the distance."""
        curved = pair.kind_a == ELLIPSOID or pair.kind_a == CYLINDER or pair.kind_b == ELLIPSOID or (
            pair.kind_b == CYLINDER)  # fmt: skip
        slack, depth = ti.cast(exact, real), ti.cast(deep, real)
        if curved:
            slack, depth = ti.cast(smooth, real), ti.cast(deep_smooth, real)
        x = 0.0 - pair.p
        length = x.norm()
        scale, size = length, ti.cast(0.0, real)
        if length < tiny:
            x, length = vec3(1.0, 0.0, 0.0), ti.cast(1.0, real)
        d, middle, weights = x * (-1.0 / length), vec3(0.0), vec4(0.0)
        n, phase, k, step, points, faces, chosen, ended = 0, NEAREST, 0, 0, 4, 4, 0, False
        normal, distance = d, length
        while not ended:
            slot = points
            if phase == NEAREST:
                slot = n
            elif phase == SPANNING and (step == 0 or step == 1 or step == 2 or step == 4):
                slot = (step + 1) // 2
            s = mem.find(a, pair, spot(slot), tag(slot), d)
            scale = ti.max(scale, s.norm())
            if phase == NEAREST:
                if n > 0 and x.dot(x - s) <= slack * scale * length:
                    ended = True
                elif x.dot(s) > 0.0 and x.dot(s) >= cutoff * length:
                    ended, n = True, 0
                else:
                    weights = weigh(a, n + 1)
                    n = 0
                    for c in ti.static(range(4)):
                        if weights[c] > 0.0:
                            mem.copy(a, spot(n), tag(n), spot(c), tag(c))
                            weights[n] = weights[c]
                            n += 1
                    x = vec3(0.0)
                    for c in range(n):
                        x += weights[c] * mem.get(a, spot(c))
                    before = length
                    length = x.norm()
                    k += 1
                    if n == 4 or length <= near * scale:
                        phase, k, d = SPANNING, 0, spanned(a, 0)
                    elif (k > 1 and length >= before) or k == ITERATIONS:  # no nearer: rounding ends the search
                        ended = True
                    if phase == NEAREST:
                        normal, distance = x * (-1.0 / length), length
                        d = normal
            elif phase == SPANNING:
                j = (step + 1) // 2
                if slot == points:  # the same direction the other way: the farther of both is taken
                    o = mem.get(a, spot(0))
                    if ti.abs((s - o).dot(d)) > ti.abs((mem.get(a, spot(j)) - o).dot(d)):
                        mem.copy(a, spot(j), tag(j), spot(slot), tag(slot))
                step += 1
                if step < SPANS:
                    d = spanned(a, step)
                else:
                    phase = DEEPEST
                    for c in range(4):
                        middle += 0.25 * mem.get(a, spot(c))
                    for f in range(4):
                        attach(a, f, (f + 1) % 4, (f + 2) % 4, (f + 3) % 4, middle)
                    size = scale
            else:
                if normal.dot(s) - distance <= depth * size or k >= ITERATIONS - 1:
                    ended, n = True, 3
                else:
                    left, edges = take_off(a, s, faces, flat * size)
                    faces = left
                    if faces + edges > FACES or edges < 3 or edges == EDGES:
                        ended, n = True, 3  # as it was
                    else:
                        for e in range(edges):
                            at = a.z + EDGE_WHOLE + 2 * e
                            attach(a, faces + e, a.whole[at], a.whole[at + 1], points, middle)
                        faces += edges
                        points += 1
                k += 1
            if phase == DEEPEST and not ended:
                lowest = ti.cast(NEVER, real)
                for f in range(faces):
                    height = a.work[a.w + FACE_REALS + 4 * f + 3]
                    if height < lowest:
                        chosen, lowest = f, height
                normal, distance = mem.get(a, FACE_REALS + 4 * chosen), lowest
                for c in range(3):  # the corners of the face, for the end
                    i = a.whole[a.z + FACE_WHOLE + 3 * chosen + c]
                    mem.copy(a, SIMPLEX + 9 * c, 2 * c, spot(i), tag(i))
                d = normal
        if phase == DEEPEST:
            p, q, r = mem.get(a, SIMPLEX) - distance * normal, mem.get(a, SIMPLEX + 9), mem.get(a, SIMPLEX + 18)
            q, r = q - distance * normal, r - distance * normal
            w = vec3(q.cross(r).dot(normal), r.cross(p).dot(normal), p.cross(q).dot(normal))
            weights = vec4(w[0], w[1], w[2], 0.0) / (w[0] + w[1] + w[2])
            distance = -distance
        else:
            for c in range(n):
                mem.copy(a, SIMPLEX + 9 * c, 2 * c, spot(c), tag(c))
            if n == 3:  # the triangle's own normal does not suffer from a small distance
                p = mem.get(a, SIMPLEX)
                m = (mem.get(a, SIMPLEX + 9) - p).cross(mem.get(a, SIMPLEX + 18) - p).normalized()
                if m.dot(normal) < 0.0:
                    m = 0.0 - m
                if m.dot(normal) > 0.999999:
                    normal = m
                    distance = -m.dot(p)
        return n, weights, normal, distance

    return Functions(search=search)
