"""What a ray meets first: a thing of its tile's list, or a ground."""

from genesis.compiler import Functions, layout, per_runtime, ti
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
        return vec3(view[at], view[at + 1], view[at + 2])

    @ti.func
    def ray(x, y, view: ti.template(), sizes: ti.template()):
        """Origin and unit direction through the point (x, y) of the picture, pixels from its top left corner."""
        u = (2.0 * x / sizes[WIDTH] - 1.0) * view[HALF_WIDTH]
        v = (1.0 - 2.0 * y / sizes[HEIGHT]) * view[HALF_HEIGHT]
        across = u * vector(view, RIGHT) + v * vector(view, UP)
        o, d = vector(view, ORIGIN), vector(view, FORWARD)
        if view[PARALLEL] > 0.5:
            o += across
        else:
            d = (d + across).normalized()
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
    def meet_ground(g, o, d, ground: ti.template(), heights: ti.template()):
        """Length along the ray to a ground, from above it only; FAR if there is no hit."""
        head, info = lay.get4(ground, GROUND_ROWS * g), lay.get4(ground, GROUND_ROWS * g + 2)
        n = vec3(head[0], head[1], head[2])
        t, over, down = ti.cast(FAR, real), n.dot(o) - head[3], -n.dot(d)
        if info[0] < 0.5:
            if down > 1e-9 and over > 0.0:
                t = over / down
        else:
            corner = lay.get4(ground, GROUND_ROWS * g + 1)
            q = o - vec3(corner[0], corner[1], corner[2])
            level = head[3]  # its highest place
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
    def ground_normal(g, point, ground: ti.template(), heights: ti.template()):
        head, info = lay.get4(ground, GROUND_ROWS * g), lay.get4(ground, GROUND_ROWS * g + 2)
        n = vec3(head[0], head[1], head[2])
        if info[0] > 0.5:
            corner = lay.get4(ground, GROUND_ROWS * g + 1)
            _h, sx, sy = field(point[0] - corner[0], point[1] - corner[1], corner[3], info, heights)
            n = vec3(-sx, -sy, 1.0).normalized()
        return n

    @ti.func
    def local(i, v, solid: ti.template()):
        """A direction of the world in the frame of solid i."""
        out = vec3(0.0)
        for j in ti.static(range(3)):
            row = lay.get4(solid, SOLID_ROWS * i + j)
            out[j] = row[0] * v[0] + row[1] * v[1] + row[2] * v[2]
        return out

    @ti.func
    def cast(o, d, tile, ball: ti.template(), near: ti.template(), which: ti.template(), starts: ti.template(),
             entries: ti.template(), solid: ti.template(), about: ti.template(), faces: ti.template(),
             ground: ti.template(), heights: ti.template(), sizes: ti.template()):  # fmt: skip
        """What the ray meets first (see NOTHING), how far, and the normal there."""
        t, hit, normal = ti.cast(FAR, real), NOTHING, vec3(0.0)
        for k in range(starts[tile], starts[tile + 1]):
            i = entries[k]
            if near[i] > t:  # nothing farther down the list can be nearer
                break
            b = lay.get4(ball, i)
            c = vec3(b[0], b[1], b[2]) - o
            along = c.dot(d)
            p = along * d - c  # from the centre to the ray's nearest point
            over = b[3] * b[3] - p.dot(p)
            if over > 0.0:
                thing = which[i]
                s = along - ti.sqrt(over)
                if thing < sizes[N_SOLIDS]:
                    s = FAR
                    a = SOLID_ROWS * thing
                    size = lay.get4(solid, a + 3)
                    at = vec3(lay.get4(solid, a)[3], lay.get4(solid, a + 1)[3], lay.get4(solid, a + 2)[3])
                    along = (at - o).dot(d)
                    s = along + shape.enter(about[4 * thing], vec3(size[0], size[1], size[2]), about[4 * thing + 1],
                                            about[4 * thing + 2], local(thing, o + along * d - at, solid),
                                            local(thing, d, solid), faces)  # fmt: skip
                # Of surfaces in one place, as where limbs share a joint, the last thing shows everywhere.
                slack = 2e-4 * b[3]
                if s > 1e-6 and (s < t - slack or (s < t + slack and thing > hit)):
                    t, hit = s, thing
                    normal = (s * d - c) / b[3]
        if hit >= 0 and hit < sizes[N_SOLIDS]:
            a = SOLID_ROWS * hit
            size = lay.get4(solid, a + 3)
            at = vec3(lay.get4(solid, a)[3], lay.get4(solid, a + 1)[3], lay.get4(solid, a + 2)[3])
            n = shape.normal(about[4 * hit], vec3(size[0], size[1], size[2]), about[4 * hit + 1], about[4 * hit + 2],
                             local(hit, o + t * d - at, solid), faces)  # fmt: skip
            for j in ti.static(range(3)):
                normal[j] = (lay.get4(solid, a)[j] * n[0] + lay.get4(solid, a + 1)[j] * n[1]
                             + lay.get4(solid, a + 2)[j] * n[2])  # fmt: skip
        elif hit >= sizes[RECON_FROM]:
            hit = RECON + about[4 * hit + 3]
        for g in range(sizes[N_GROUNDS]):
            s = meet_ground(g, o, d, ground, heights)
            if s < t:
                t, hit = s, NOTHING - 1 - g
                normal = ground_normal(g, o + s * d, ground, heights)
        return hit, t, normal

    return Functions(ray=ray, cast=cast, vector=vector)
