"""Distance of two convex shapes: the point of their difference nearest to the origin (Gilbert, Johnson and Keerthi 1988).

The order of steps, the first guess and the ends are MuJoCo's, so that of several nearest points the same is found.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.memory import ITERATIONS, SIMPLEX, memory


@per_runtime
def distances() -> Functions:
    lay, mem = layout(), memory()
    real, vec3, vec4 = lay.real, lay.vec3, lay.vec4
    single = real == ti.f32
    tiny = 1e-9 if single else 1e-15
    tolerance = 1e-6

    @ti.func
    def on_segment(p, q):
        """Weight of q in the point of a segment that is nearest to the origin."""
        e = q - p
        square = e.dot(e)
        t = ti.cast(0.0, real)
        if square > 0.0:
            t = ti.min(ti.max(-p.dot(e) / square, 0.0), 1.0)
        return t

    @ti.func
    def on_triangle(p, q, r):
        """Weights of the point of a triangle that is nearest to the origin."""
        n = (q - p).cross(r - p)
        square = n.dot(n)
        weights = vec3(0.0)
        if square > 0.0:
            o = n * (n.dot(p) / square)
            weights = vec3((q - o).cross(r - o).dot(n), (r - o).cross(p - o).dot(n), (p - o).cross(q - o).dot(n)) / square
        if square <= 0.0 or weights.min() <= 0.0:
            low = weights
            nearest = ti.cast(1e30, real)
            for edge in range(3):
                if square <= 0.0 or low[edge] <= 0.0:
                    first, second, i, j = q, r, 1, 2
                    if edge == 1:
                        first, i = p, 0
                    elif edge == 2:
                        first, second, i, j = p, q, 0, 1
                    t = on_segment(first, second)
                    x = first + t * (second - first)
                    if x.dot(x) < nearest:
                        nearest = x.dot(x)
                        weights = vec3(0.0)
                        weights[i] = 1.0 - t
                        weights[j] = t
        return weights

    @ti.func
    def weigh(a: ti.template(), n):
        """Weights of the simplex' n points in its point nearest to the origin."""
        weights = vec4(0.0)
        weights[0] = 1.0
        if n == 2:
            t = on_segment(mem.point(a, SIMPLEX), mem.point(a, SIMPLEX + 1))
            weights[0], weights[1] = 1.0 - t, t
        if n > 2:
            inside = False
            wrong = ti.Vector([0, 0, 0, 0], ti.i32)
            wrong[3] = 1
            if n == 4:
                p, q = mem.point(a, SIMPLEX), mem.point(a, SIMPLEX + 1)
                r, s = mem.point(a, SIMPLEX + 2), mem.point(a, SIMPLEX + 3)
                volumes = vec4(-q.dot(r.cross(s)), p.dot(r.cross(s)), -p.dot(q.cross(s)), p.dot(q.cross(r)))
                total = volumes.sum()
                inside = True
                for c in ti.static(range(4)):
                    wrong[c] = 0
                    if not (volumes[c] * total > 0.0):
                        wrong[c] = 1
                        inside = False
                if inside:
                    weights = volumes / total
            if not inside:
                nearest = ti.cast(1e30, real)
                for out in range(4):  # the triangle that leaves out one point
                    if wrong[out] == 1:
                        i, j, k = 0, 1, 2
                        if out < 3:
                            k = 3
                        if out == 0:
                            i, j = 1, 2
                        elif out == 1:
                            j = 2
                        p, q, r = mem.point(a, SIMPLEX + i), mem.point(a, SIMPLEX + j), mem.point(a, SIMPLEX + k)
                        three = on_triangle(p, q, r)
                        x = three[0] * p + three[1] * q + three[2] * r
                        if x.dot(x) < nearest:
                            nearest = x.dot(x)
                            weights = vec4(0.0)
                            weights[i], weights[j], weights[k] = three[0], three[1], three[2]
        return weights

    @ti.func
    def surround(a: ti.template(), one: ti.template(), two: ti.template(), steps):
        """Whether the shapes overlap, by moving a tetrahedron's corner until it holds the origin: 1, 0, or -1 where
        that is not found. Leaves the tetrahedron in the simplex."""
        s = ti.Vector([0, 1, 2, 3], ti.i32)
        answer, k = 2, steps
        for c in range(4):
            mem.copy(a, SIMPLEX + 4 + c, SIMPLEX + c)
        while answer == 2:
            if k >= ITERATIONS:
                answer = -1
            else:
                least, lowest, direction, zero = -1, ti.cast(1e30, real), vec3(0.0), False
                for face in range(4):
                    i, j, l = s[0], s[1], s[2]
                    if face == 0:
                        i, j, l = s[2], s[1], s[3]
                    elif face == 1:
                        i, j, l = s[0], s[2], s[3]
                    elif face == 2:
                        i, j, l = s[1], s[0], s[3]
                    v = mem.point(a, SIMPLEX + 4 + i)
                    n = (mem.point(a, SIMPLEX + 4 + l) - v).cross(mem.point(a, SIMPLEX + 4 + j) - v)
                    square, height = n.dot(n), ti.cast(1e29, real)
                    if square > tiny * tiny:
                        n /= ti.sqrt(square)
                        height = n.dot(v)
                    if height == 0.0:
                        zero = True
                    if height < lowest or (height == lowest and face % 2 == 1) or (height == lowest and face == 2):
                        least, lowest, direction = face, height, n
                if zero:
                    answer = -1
                elif lowest > 0.0:
                    answer = 1
                    for c in range(4):
                        mem.copy(a, SIMPLEX + c, SIMPLEX + 4 + s[c])
                else:
                    slot = SIMPLEX + 4 + s[least]
                    mem.find(a, one, two, slot, direction)
                    if direction.dot(mem.point(a, slot)) < 0.0:
                        answer = 0
                    i, j = (least + 1) & 3, (least + 2) & 3
                    swap = s[i]
                    s[i] = s[j]
                    s[j] = swap
                    k += 1
        return answer, k

    @ti.func
    def distance(a: ti.template(), one: ti.template(), two: ti.template(), cutoff, exact):
        """The distance of two shapes without their radii, where it is less than the cutoff.

        exact: both are polytopes, and their distance is found in finitely many steps. A cutoff of zero asks only
        whether they overlap. Returns whether they are apart by more than the cutoff, the distance, the difference at
        the nearest points, the number of points of the simplex and their weights.
        """
        epsilon, shortest = ti.cast(0.5 * tolerance * tolerance, real), ti.cast(tolerance, real)
        if exact:
            epsilon, shortest = ti.cast(0.0, real), ti.cast(tiny, real)
        x = one.place - two.place
        length, before = x.norm(), ti.cast(0.0, real)
        if length < shortest:
            x, length = vec3(1.0, 0.0, 0.0), ti.cast(1.0, real)
        n, k, apart, ended, ask = 0, 0, False, False, cutoff <= 0.0
        weights = vec4(0.0)
        while not ended and k < ITERATIONS:
            if (n > 0 and length < shortest) or ti.abs(before - length) < tiny:
                ended = True
            else:
                mem.find(a, one, two, SIMPLEX + n, -x / length)
                s = mem.point(a, SIMPLEX + n)
                lower = x.dot(s)
                if x.dot(x - s) < epsilon or (exact and n > 0 and x.dot(x - s) <= 4.0 * tiny * length):
                    ended = True
                elif lower > 0.0 and lower >= cutoff * length:
                    ended, apart = True, True
                else:
                    if n == 3 and ask:
                        answer, steps = surround(a, one, two, k)
                        k = steps
                        if answer >= 0:
                            ended = True
                            apart = answer == 0
                            length, n = ti.cast(0.0, real), 4
                        ask = False
                    if not ended:
                        weights = weigh(a, n + 1)
                        n = 0
                        for c in range(4):
                            if weights[c] > 0.0:
                                mem.copy(a, SIMPLEX + n, SIMPLEX + c)
                                weights[n] = weights[c]
                                n += 1
                        x = vec3(0.0)
                        for c in range(n):
                            x += weights[c] * mem.point(a, SIMPLEX + c)
                        before = length
                        length = x.norm()
                        if n == 4:
                            ended = True
                            length = 0.0
                    k += 1
        return apart, length, x, n, weights

    return Functions(distance=distance, on_triangle=on_triangle)
