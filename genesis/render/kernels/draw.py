"""Colours: the second pass of a picture. One sun with soft shadows, a sky that shines from above, light off the ground.

Colours are linear inside, and squares of the display's (a gamma of 2).
"""

from genesis.compiler import layout, per_runtime, ti
from genesis.math.lanes import Vec, absolute, any_lane, lane, lanes3, of_lane, set_lane, where, whole
from genesis.render.kernels.edges import EXTRA, N_EXTRA
from genesis.render.kernels.tiles import (
    FORWARD,
    HALF_HEIGHT,
    HEIGHT,
    N_GROUNDS,
    ORIGIN,
    PER_METRE,
    RIGHT,
    TILE,
    TILES_X,
    TILES_Y,
    UP,
    WIDTH,
)
from genesis.render.kernels.trace import NOTHING, RECON, tracing

SUN, SUN_COLOR, SKY, HORIZON, CHECKER_ORIGIN, CHECKER, HAZE, BIAS, GROUND_SEEN = 0, 3, 6, 9, 12, 15, 16, 17, 18
"""Reals of a light: direction to the sun, its colour, colours of the sky above and at the horizon, a corner of the
floor's pattern seen from the picture's origin (m), squares of the floor to a metre, 1 over the distance at which haze
hides the ground (1/m), how far off a surface shadows are looked up (m), whether
the first ground has a picture of its sky."""
N_LIGHT = 20


@per_runtime
def draw_kernel():
    lay, tr = layout(), tracing()
    real, width, vector = lay.real, lay.width, tr.vector

    @ti.func
    def place(q: ti.template(), view: ti.template(), sizes: ti.template()):
        """Where a parallel view shows the points q, pixels, and how far from its origin."""
        r = q - vector(view, ORIGIN)
        x = 0.5 * sizes[WIDTH] + view[PER_METRE] * r.dot(vector(view, RIGHT))
        y = 0.5 * sizes[HEIGHT] - view[PER_METRE] * r.dot(vector(view, UP))
        return x, y, r.dot(vector(view, FORWARD))

    @ti.func
    def sunlit(q: ti.template(), asked, depth: ti.template(), busy: ti.template(), view: ti.template(),
               sizes: ti.template()):  # fmt: skip
        """How much of the sun reaches q, 0 … 1: the mean over 3 x 3 pixels of the sun's picture, placed smoothly."""
        x, y, z = place(q, view, sizes)
        lit = lane(1.0)
        inside = asked & (x > 2.5) & (y > 2.5) & (x < sizes[WIDTH] - 2.5) & (y < sizes[HEIGHT] - 2.5)
        if any_lane(inside):
            x, y, corner = where(inside, x - 1.5, lane()), where(inside, y - 1.5, lane()), whole()
            near_things, pitch = whole(), sizes[TILES_X] * TILE
            for j in ti.static(range(width)):
                across, down = ti.cast(of_lane(x, j), ti.i32), ti.cast(of_lane(y, j), ti.i32)
                set_lane(near_things, j, busy[down // TILE * sizes[TILES_X] + across // TILE])
                set_lane(corner, j, down * pitch + across)
            inside = inside & (near_things > 0)
            if any_lane(inside):
                fx, fy, total = x - ti.floor(x), y - ti.floor(y), lane()
                for b in range(4):
                    line = lane()
                    for a in ti.static(range(4)):
                        there = lane()
                        for j in ti.static(range(width)):
                            set_lane(there, j, depth[of_lane(corner, j) + b * pitch + a])
                        line += where(there > z, (1.0 - fx, lane(1.0), lane(1.0), fx)[a], lane())
                    if b == 0:
                        line = line * (1.0 - fy)
                    if b == 3:
                        line = line * fy
                    total += line
                lit = where(inside, total * (1.0 / 9.0), lit)
        return lit

    @ti.func
    def seen_sky(q: ti.template(), asked, visible: ti.template(), view: ti.template(), sizes: ti.template()):
        """How much of the sky the ground below q sees, smoothly."""
        x, y, _z = place(q, view, sizes)
        seen = lane(1.0)
        inside = asked & (x > 1.0) & (y > 1.0) & (x < sizes[WIDTH] - 1.0) & (y < sizes[HEIGHT] - 1.0)
        if any_lane(inside):
            x, y = where(inside, x, lane(1.0)) - 0.5, where(inside, y, lane(1.0)) - 0.5
            fx, fy = x - ti.floor(x), y - ti.floor(y)
            parts = Vec(lane(), lane(), lane(), lane())
            for k in ti.static(range(width)):
                at = ti.cast(of_lane(y, k), ti.i32) * sizes[WIDTH] + ti.cast(of_lane(x, k), ti.i32)
                for part, shift in ti.static(((0, 0), (1, 1), (2, sizes[WIDTH]), (3, sizes[WIDTH] + 1))):
                    set_lane(parts[part], k, visible[at + shift])
            top = parts[0] + fx * (parts[1] - parts[0])
            low = parts[2] + fx * (parts[3] - parts[2])
            seen = where(inside, top + fy * (low - top), seen)
        return seen

    @ti.func
    def tri(x):
        """Integral of the square wave of period 2."""
        return absolute(x * 0.5 - ti.floor(x * 0.5) - 0.5)

    @ti.func
    def squares(q: ti.template(), n: ti.template(), d: ti.template(), t, asked, pixel, light: ti.template()):
        """Pattern of the floor averaged over what each pixel covers, 0 … 1."""
        u = (q - vector(light, CHECKER_ORIGIN)) * light[CHECKER]
        wide = t * (pixel * light[CHECKER])
        slope = n.dot(d)
        cosine = ti.max(absolute(slope), 0.02)
        i, j = ti.floor(u[0]), ti.floor(u[1])
        inside = 0.5 - ti.max(absolute(u[0] - i - 0.5), absolute(u[1] - j - 0.5))
        both = 0.5 * (i + j)
        one = inside * cosine > 0.5 * wide  # the pixel lies in one square
        shade = 1.0 - 4.0 * (both - ti.floor(both))
        if any_lane(asked & (inside * cosine <= 0.5 * wide)):
            flat, mean = d - n * slope, lane(1.0)
            flat *= 1.0 / ti.max(flat.norm(), 1e-6)
            for k in ti.static(range(2)):
                stretch = ti.sqrt(1.0 + (1.0 / (cosine * cosine) - 1.0) * flat[k] * flat[k])
                w = ti.max(wide * stretch, 1e-4)
                mean = mean * 2.0 * (tri(u[k] - 0.5 * w) - tri(u[k] + 0.5 * w)) / w
            shade = where(one, shade, mean)
        return 0.5 + 0.5 * shade

    @ti.func
    def sky(d: ti.template(), light: ti.template()):
        h = ti.max(d[2], 0.0)
        return vector(light, HORIZON) + (vector(light, SKY) - vector(light, HORIZON)) * (1.0 - 1.0 / (1.0 + 3.0 * h))

    @ti.func
    def reflected(color: ti.template(), n: ti.template(), d: ti.template(), lit, open_, floor, glossy,
                  light: ti.template()):  # fmt: skip
        """Light from a matt surface, with a faint gloss where `glossy`: of the sun, the sky and what the floor throws
        up."""
        sun = vector(light, SUN)
        up = 0.5 + 0.5 * n[2]
        from_sky, from_floor = up * open_, (1.0 - up) * (0.2 + 0.8 * floor)
        ambient = Vec(0.50, 0.56, 0.66) * from_sky + Vec(0.30, 0.28, 0.26) * from_floor
        from_sun = lit * ti.max(n.dot(sun), 0.0)
        direct = Vec(color[0] * from_sun, color[1] * from_sun, color[2] * from_sun)
        if any_lane(glossy):
            between = sun - d
            gloss = ti.max(n.dot(between) / between.norm(), 0.3)  # below it powers are nothing, and slow: subnormal
            for _ in ti.static(range(5)):
                gloss = gloss * gloss
            gloss = where(glossy, 0.18 * lit * gloss, lane())
            for i in ti.static(range(3)):
                direct[i] += gloss
        return Vec(*[color[i] * ambient[i] + direct[i] * light[SUN_COLOR + i] for i in range(3)])

    @ti.kernel
    def draw(view: lay.A1, sizes: lay.I1, hits: lay.IL, depth: lay.AL, normals: lay.AL, edges: lay.IL,
             flat_hits: lay.I1, flat_normals: lay.A1,
             sun_busy: lay.I1, sun_view: lay.A1, sun_sizes: lay.I1, sun_depth: lay.A1,
             low_view: lay.A1, low_sizes: lay.I1, low_visible: lay.A1,
             tint: lay.A4, owner_tint: lay.A4, ground_tint: lay.A4, light: lay.A1,
             picture: ti.types.ndarray(dtype=ti.u8, ndim=1)):  # fmt: skip
        """`tint`: colour of each thing; `owner_tint`: of bodies of particles, and their radius; `ground_tint`: two of
        each ground; `flat_…`: the same arrays, pixel by pixel."""
        row, pixel_angle = sizes[TILES_X] * TILE // width, 2.0 * view[HALF_HEIGHT] / sizes[HEIGHT]
        for at in range(row * sizes[HEIGHT]):
            y, x = at // row, at % row * width
            edge, total, shaded = edges[at], lanes3(), whole(NOTHING)
            lit, floor = lane(), lane(1.0)
            count = 1
            if any_lane(edge > 0):
                count = 1 + N_EXTRA
            for s in range(count):
                here = at + s * row * sizes[TILES_Y] * TILE
                dx, dy = ti.cast(0.5, real), ti.cast(0.5, real)
                for k in ti.static(range(N_EXTRA)):
                    if s == k + 1:
                        dx, dy = 0.5 + EXTRA[k][0], 0.5 + EXTRA[k][1]
                o, d = tr.rays(x + dx, y + dy, view, sizes)
                hit, n = hits[here], Vec(normals[3 * here], normals[3 * here + 1], normals[3 * here + 2])
                on_ground, on_thing = hit < NOTHING, hit >= 0
                t = where(hit == NOTHING, lane(), depth[here])
                q = o + d * t
                color, off = lanes3(), lane(light[BIAS])
                if any_lane(on_thing):
                    for j in range(width):
                        h = of_lane(hit, j)
                        if h >= RECON:
                            body = lay.get4(owner_tint, h - RECON)
                            for i in ti.static(range(3)):
                                set_lane(color[i], j, body[i])
                            set_lane(off, j, light[BIAS] + body[3])
                            # Further rays take the normal of a smooth body from where it is known.
                            knows = of_lane(edge, j) - 1
                            if s > 0 and knows >= 0 and flat_hits[knows] == h:
                                for i in ti.static(range(3)):
                                    place_of = (knows // width * 3 + i) * width + knows % width
                                    set_lane(n[i], j, flat_normals[place_of])
                        elif h >= 0:
                            c = lay.get4(tint, h)
                            for i in ti.static(range(3)):
                                set_lane(color[i], j, c[i])
                # Further rays that meet the same thing share its shadows.
                new = (hit != NOTHING) & (hit != shaded)
                if s > 0:
                    new = new & (edge > 0)
                if any_lane(new):
                    shaded = where(new, hit, shaded)
                    facing = new & (n.dot(vector(light, SUN)) > 0.0)
                    lit = where(new, lane(), lit)
                    if any_lane(facing):
                        from_there = sunlit(q + n * off, facing, sun_depth, sun_busy, sun_view, sun_sizes)
                        lit = where(facing, from_there, lit)
                    if light[GROUND_SEEN] > 0.5:
                        floor = where(new, seen_sky(q, new, low_visible, low_view, low_sizes), floor)
                open_ = lane(1.0)
                if any_lane(on_ground):
                    for g in range(sizes[N_GROUNDS]):
                        mine = hit == NOTHING - 1 - g
                        if any_lane(mine):
                            a, b = lay.get4(ground_tint, 2 * g), lay.get4(ground_tint, 2 * g + 1)
                            light_square = squares(q, n, d, t, mine, pixel_angle, light)
                            for i in ti.static(range(3)):
                                color[i] = where(mine, a[i] + light_square * (b[i] - a[i]), color[i])
                            if g == 0:
                                open_ = where(mine, floor, open_)
                shown = reflected(color, n, d, lit, open_, where(on_ground, lane(1.0), floor), on_thing,
                                  light)  # fmt: skip
                far = ti.min(t * light[HAZE], 1e4)
                far = far * far
                hazy = on_ground & (far > 0.02)
                if any_lane(hazy | (hit == NOTHING)):
                    back = sky(d, light)
                    part_seen = where(hazy, 1.0 / (1.0 + far * far), lane(1.0))
                    part_seen = where(hit == NOTHING, lane(), part_seen)
                    shown = back + (shown - back) * part_seen
                if s == 0:
                    total = shown
                else:
                    for i in ti.static(range(3)):
                        total[i] += where(edge > 0, shown[i], lane())
            weight = where(edge > 0, lane(1.0 / (1 + N_EXTRA)), lane(1.0))
            for i in ti.static(range(3)):
                bright = 255.0 * ti.sqrt(ti.min(ti.max(total[i] * weight, 0.0), 1.0)) + 0.5
                for j in ti.static(range(width)):
                    picture[3 * (at * width + j) + i] = ti.cast(of_lane(bright, j), ti.u8)

    return draw
