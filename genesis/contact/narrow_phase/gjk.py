"""Distance of two polytopes: the point of their difference nearest to the origin (Gilbert, Johnson, Keerthi 1988)."""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.memory import ITERATIONS, SIMPLEX, memory


@per_runtime
def distances() -> Functions:
    lay, mem = layout(), memory()
    real, vec3, vec4 = lay.real, lay.vec3, lay.vec4
    single = real == ti.f32
    tiny = 1e-9 if single else 1e-15
    slack = 1e-6 if single else 1e-14  # of lengths, relative to the difference

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
            weights = vec3((q - o).cross(r - o).dot(n), (r - o).cross(p - o).dot(n),
                           (p - o).cross(q - o).dot(n)) / square  # fmt: skip
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
    def distance(a: ti.template(), one: ti.template(), two: ti.template(), cutoff):
        """The distance of two polytopes, if it is less than the cutoff.

        Returns whether they are farther apart, the distance (0: they overlap), the difference at the nearest points,
        the number of points of the simplex, their weights, and whether the search came to an end.
        """
        x = one.place - two.place
        length = x.norm()
        scale = length
        if length < tiny:
            x, length = vec3(1.0, 0.0, 0.0), ti.cast(1.0, real)
        n, k, apart, ended = 0, 0, False, False
        weights = vec4(0.0)
        while not ended and k < ITERATIONS:
            s = mem.find(a, one, two, SIMPLEX + n, -x / length)
            scale = ti.max(scale, s.norm())
            if n > 0 and x.dot(x - s) <= slack * scale * length:
                ended = True
            elif x.dot(s) > 0.0 and x.dot(s) >= cutoff * length:
                ended, apart = True, True
            else:
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
                if n == 4 or length <= slack * scale:
                    ended = True
                    length = 0.0
                elif k > 0 and length >= before:  # no nearer: rounding ends the search
                    ended = True
            k += 1
        return apart, length, x, n, weights, ended

    return Functions(distance=distance)
