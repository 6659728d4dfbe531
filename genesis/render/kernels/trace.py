"""What rays meet first: a thing of their tile's list, or a ground.

A *packet* is `layout().width` neighbouring pixels of a row, whose rays are followed side by side
(`genesis.math.lanes`). Pictures are stored in packets, row by row; rows are as long as their tiles, and so perhaps
longer than is shown.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import Vec, any_lane, greatest, lane, lanes3, numbered, of_lane, set_lane, where, whole
from genesis.render.kernels.shapes import FAR, shapes
from genesis.render.kernels.tiles import (
    FORWARD,
    HALF_HEIGHT,
    HALF_WIDTH,
    HEIGHT,
    N_GROUNDS,
    N_SOLIDS,
    ORIGIN,
    PARALLEL,
    RECON_FROM,
    RIGHT,
    UP,
    WIDTH,
)

NOTHING = -1
"""What a ray hits that hits nothing. Grounds are NOTHING - 1 - index; a solid is its index, a particle its index
behind the solids, and of a body drawn as a smooth surface all particles are RECON + owner."""
RECON = 1 << 28
SOLID_ROWS, GROUND_ROWS = 4, 3
"""A4 rows of a solid: three of (rotation from the world, centre), then (size, -); of a ground: (normal, offset),
(corner, spacing), (is a height field, samples along x, along y, first sample). The offset of a height field is its
greatest height over the corner. Places are relative to the picture's origin."""
MARCH, BISECT = 600, 12
"""Steps along a ray over a height field, and halvings of the step that crosses it."""


@per_runtime
def tracing() -> Functions:
    lay, shape = layout(), shapes()
    real, vec3 = lay.real, lay.vec3

    @ti.func
    def vector(view: ti.template(), at):
        return Vec(view[at], view[at + 1], view[at + 2])

    @ti.func
    def rays(x, y, view: ti.template(), sizes: ti.template()):
        """Origins and unit directions through a packet whose first ray goes through the point (x, y) of the picture,
        pixels from its top left corner."""
        column, _ = numbered()
        u = (2.0 * (column + x) / sizes[WIDTH] - 1.0) * view[HALF_WIDTH]
        v = (1.0 - 2.0 * y / sizes[HEIGHT]) * view[HALF_HEIGHT]
        across = vector(view, RIGHT) * u + vector(view, UP) * v
        o, d = lanes3(), lanes3()
        o += vector(view, ORIGIN)
        d += vector(view, FORWARD)
        if view[PARALLEL] > 0.5:
            o += across
        else:
            d += across
            d *= 1.0 / d.norm()
        return o, d

    @ti.func
    def weights(f):
        """Quadratic B-spline at f in -1/2 … 1/2 from the middle sample, and its slope."""
        return vec3(0.5 * (0.5 - f) ** 2, 0.75 - f * f, 0.5 * (0.5 + f) ** 2), vec3(f - 0.5, -2.0 * f, f + 0.5)

    @ti.func
    def field(x, y, spacing, info, heights: ti.template()):
        """Height and its slopes over the point (x, y) from the corner of a height field."""
        nx, ny, first = ti.cast(info[1], ti.i32), ti.cast(info[2], ti.i32), ti.cast(info[3], ti.i32)
        s, t = x / spacing, y / spacing
        s_in, t_in = ti.min(ti.max(s, 0.5), nx - 1.5), ti.min(ti.max(t, 0.5), ny - 1.5)
        i = ti.min(ti.cast(ti.floor(s_in + 0.5), ti.i32), nx - 2)
        j = ti.min(ti.cast(ti.floor(t_in + 0.5), ti.i32), ny - 2)
        wx, dx = weights(s_in - i)
        wy, dy = weights(t_in - j)
        v, vy = vec3(0.0), vec3(0.0)
        for a in ti.static(range(3)):
            line = first + (i + a - 1) * ny + j
            three = vec3(heights[line - 1], heights[line], heights[line + 1])
            v[a], vy[a] = three.dot(wy), three.dot(dy)
        inside_x, inside_y = ti.cast(s == s_in, real), ti.cast(t == t_in, real)
        return v.dot(wx), inside_x * v.dot(dx) / spacing, inside_y * vy.dot(wx) / spacing

    @ti.func
    def march(q, d, level, corner, info, heights: ti.template()):
        """Length along one ray to a height field from above it, `q` from its corner; FAR if there is no hit."""
        t, down = ti.cast(FAR, real), -d[2]
        step = 0.5 * corner[3] / ti.max(ti.sqrt(d[0] * d[0] + d[1] * d[1]), 0.05)
        s = ti.cast(0.0, real)
        if q[2] > level and down > 1e-9:
            s = (q[2] - level) / down
        last = s
        found = 0
        for _ in range(MARCH):
            h, _sx, _sy = field(q[0] + s * d[0], q[1] + s * d[1], corner[3], info, heights)
            if q[2] + s * d[2] < h:
                found = 1
                break
            if down <= 0.0 and q[2] + s * d[2] > level:
                break
            last = s
            s += step
        if found == 1 and s > last:
            for _ in range(BISECT):
                middle = 0.5 * (last + s)
                h, _sx, _sy = field(q[0] + middle * d[0], q[1] + middle * d[1], corner[3], info, heights)
                if q[2] + middle * d[2] < h:
                    s = middle
                else:
                    last = middle
            t = s
        return t

    @ti.func
    def meet_ground(g, o: ti.template(), d: ti.template(), ground: ti.template(), heights: ti.template()):
        """Length along each ray to a ground, from above it only; FAR if there is no hit."""
        head, info = lay.get4(ground, GROUND_ROWS * g), lay.get4(ground, GROUND_ROWS * g + 2)
        n = Vec(head[0], head[1], head[2])
        t = lane(FAR)
        if info[0] < 0.5:
            over, down = n.dot(o) - head[3], 0.0 - n.dot(d)
            meets = (down > 1e-9) & (over > 0.0)
            t = where(meets, over / where(meets, down, lane(1.0)), t)
        else:
            corner = lay.get4(ground, GROUND_ROWS * g + 1)
            q = o - Vec(corner[0], corner[1], corner[2])
            for j in range(lay.width):
                one = vec3(of_lane(q[0], j), of_lane(q[1], j), of_lane(q[2], j))
                along = vec3(of_lane(d[0], j), of_lane(d[1], j), of_lane(d[2], j))
                set_lane(t, j, march(one, along, head[3], corner, info, heights))  # head[3]: its highest place
        return t

    @ti.func
    def ground_normal(g, point: ti.template(), ground: ti.template(), heights: ti.template()):
        head, info = lay.get4(ground, GROUND_ROWS * g), lay.get4(ground, GROUND_ROWS * g + 2)
        n = lanes3()
        n += Vec(head[0], head[1], head[2])
        if info[0] > 0.5:
            corner = lay.get4(ground, GROUND_ROWS * g + 1)
            for j in range(lay.width):
                x, y = of_lane(point[0], j) - corner[0], of_lane(point[1], j) - corner[1]
                _h, sx, sy = field(x, y, corner[3], info, heights)
                shrink = 1.0 / ti.sqrt(1.0 + sx * sx + sy * sy)
                set_lane(n[0], j, -sx * shrink)
                set_lane(n[1], j, -sy * shrink)
                set_lane(n[2], j, shrink)
        return n

    @ti.func
    def cast(o: ti.template(), d: ti.template(), tile, full: ti.template(), ball: ti.template(), near: ti.template(),
             which: ti.template(), starts: ti.template(), entries: ti.template(), solid: ti.template(),
             about: ti.template(), faces: ti.template(), ground: ti.template(), heights: ti.template(),
             sizes: ti.template()):  # fmt: skip
        """What each ray meets first (see NOTHING), how far, and the normal there (zero unless `full`)."""
        t, hit, name, normal = lane(FAR), whole(NOTHING), whole(NOTHING), lanes3()
        farthest = ti.cast(FAR, real)
        for k in range(starts[tile], starts[tile + 1]):
            i = entries[k]
            if near[i] > farthest:  # nothing farther down the list can be nearer
                break
            b = lay.get4(ball, i)
            c = Vec(b[0], b[1], b[2]) - o
            along = c.dot(d)
            p = d * along - c  # from the centre to the ray's nearest point
            over = b[3] * b[3] - p.dot(p)
            if any_lane(over > 0.0):
                thing = which[i]
                s = along - ti.sqrt(ti.max(over, 0.0))
                n = (d * s - c) * (1.0 / b[3])
                shown = thing
                if thing < sizes[N_SOLIDS]:
                    row = SOLID_ROWS * thing
                    first, second = lay.get4(solid, row), lay.get4(solid, row + 1)
                    third, size = lay.get4(solid, row + 2), lay.get4(solid, row + 3)
                    at = Vec(first[3], second[3], third[3]) - o
                    along = at.dot(d)
                    m = d * along - at
                    local_m = Vec(first[0] * m[0] + first[1] * m[1] + first[2] * m[2],
                                  second[0] * m[0] + second[1] * m[1] + second[2] * m[2],
                                  third[0] * m[0] + third[1] * m[1] + third[2] * m[2])  # fmt: skip
                    local_d = Vec(first[0] * d[0] + first[1] * d[1] + first[2] * d[2],
                                  second[0] * d[0] + second[1] * d[1] + second[2] * d[2],
                                  third[0] * d[0] + third[1] * d[1] + third[2] * d[2])  # fmt: skip
                    kind, begin, count = about[4 * thing], about[4 * thing + 1], about[4 * thing + 2]
                    into = shape.enter(kind, size, begin, count, local_m, local_d, faces)
                    s = along + into
                    if ti.static(full):
                        q = local_m + local_d * where(into < FAR, into, lane())
                        m = shape.normal(kind, size, begin, count, q, faces)
                        n = Vec(first[0] * m[0] + second[0] * m[1] + third[0] * m[2],
                                first[1] * m[0] + second[1] * m[1] + third[1] * m[2],
                                first[2] * m[0] + second[2] * m[1] + third[2] * m[2])  # fmt: skip
                elif thing >= sizes[RECON_FROM]:
                    shown = RECON + about[4 * thing + 3]
                # Of surfaces in one place, as where limbs share a joint, the last thing shows everywhere.
                slack = 2e-4 * b[3]
                taken = (over > 0.0) & (s > 1e-6) & ((s < t - slack) | ((s < t + slack) & (hit < thing)))
                if any_lane(taken):
                    t = where(taken, s, t)
                    hit, name = where(taken, whole(thing), hit), where(taken, whole(shown), name)
                    if ti.static(full):
                        normal = where(taken, n, normal)
                    farthest = greatest(t)
        for g in range(sizes[N_GROUNDS]):
            s = meet_ground(g, o, d, ground, heights)
            nearer = s < t
            if any_lane(nearer):
                t, name = where(nearer, s, t), where(nearer, whole(NOTHING - 1 - g), name)
                if ti.static(full):
                    normal = where(nearer, ground_normal(g, o + d * s, ground, heights), normal)
        return name, t, normal

    return Functions(rays=rays, cast=cast, vector=vector)
