"""Colours: the second pass of a picture. One sun with soft shadows, a sky that shines from above, light off the ground.

Colours are linear inside, and squares of the display's (a gamma of 2).
"""

from genesis.compiler import layout, per_runtime, ti
from genesis.math.lanes import Vec, absolute, any_lane, lane, lanes3, of_lane, set_lane, where, whole
from genesis.render.kernels.arrays import (
    BIAS,
    CHECKER,
    CHECKER_ORIGIN,
    DRAW,
    FORWARD,
    GROUND_SEEN,
    HALF_HEIGHT,
    HAZE,
    HEIGHT,
    HORIZON,
    N_GROUNDS,
    ORIGIN,
    PER_METRE,
    RADIUS,
    RIGHT,
    SKY,
    SUN,
    SUN_COLOR,
    TILE,
    TILES_X,
    TILES_Y,
    UP,
    WIDTH,
    kernel_of,
)
from genesis.render.kernels.edges import EXTRA, N_EXTRA
from genesis.render.kernels.trace import NOTHING, RECON, tracing


@per_runtime
def draw_kernel():
    lay, tr = layout(), tracing(False)
    real, width, vector = lay.real, lay.width, tr.vector

    @ti.func
    def place(a: ti.template(), q: ti.template()):
        """Where a parallel view shows the points q, pixels, and how far from its origin."""
        r = q - vector(a.view, ORIGIN)
        x = 0.5 * a.sizes[WIDTH] + a.view[PER_METRE] * r.dot(vector(a.view, RIGHT))
        y = 0.5 * a.sizes[HEIGHT] - a.view[PER_METRE] * r.dot(vector(a.view, UP))
        return x, y, r.dot(vector(a.view, FORWARD))

    @ti.func
    def sunlit(a: ti.template(), q: ti.template(), asked):
        """How much of the sun reaches q, 0 … 1: the mean over 3 x 3 pixels of the sun's picture, placed smoothly."""
        x, y, z = place(a.having(view=a.sun_view, sizes=a.sun_sizes), q)
        lit = lane(1.0)
        inside = asked & (x > 2.5) & (y > 2.5) & (x < a.sun_sizes[WIDTH] - 2.5) & (y < a.sun_sizes[HEIGHT] - 2.5)
        if any_lane(inside):
            x, y, corner = where(inside, x - 1.5, lane()), where(inside, y - 1.5, lane()), whole()
            near_things, pitch = whole(), a.sun_sizes[TILES_X] * TILE
            for j in ti.static(range(width)):
                across, down = ti.cast(of_lane(x, j), ti.i32), ti.cast(of_lane(y, j), ti.i32)
                set_lane(near_things, j, a.sun_busy[down // TILE * a.sun_sizes[TILES_X] + across // TILE])
                set_lane(corner, j, down * pitch + across)
            inside = inside & (near_things > 0)
            if any_lane(inside):
                fx, fy, total = x - ti.floor(x), y - ti.floor(y), lane()
                for b in range(4):
                    line = lane()
                    for c in ti.static(range(4)):
                        there = lane()
                        for j in ti.static(range(width)):
                            set_lane(there, j, a.sun_depth[of_lane(corner, j) + b * pitch + c])
                        line += where(there > z, (1.0 - fx, lane(1.0), lane(1.0), fx)[c], lane())
                    if b == 0:
                        line = line * (1.0 - fy)
                    if b == 3:
                        line = line * fy
                    total += line
                lit = where(inside, total * (1.0 / 9.0), lit)
        return lit

    @ti.func
    def seen_sky(a: ti.template(), q: ti.template(), asked):
        """How much of the sky the ground below q sees, smoothly."""
        x, y, _z = place(a.having(view=a.low_view, sizes=a.low_sizes), q)
        seen = lane(1.0)
        inside = asked & (x > 1.0) & (y > 1.0) & (x < a.low_sizes[WIDTH] - 1.0) & (y < a.low_sizes[HEIGHT] - 1.0)
        if any_lane(inside):
            x, y = where(inside, x, lane(1.0)) - 0.5, where(inside, y, lane(1.0)) - 0.5
            fx, fy = x - ti.floor(x), y - ti.floor(y)
            parts = Vec(lane(), lane(), lane(), lane())
            for k in ti.static(range(width)):
                at = ti.cast(of_lane(y, k), ti.i32) * a.low_sizes[WIDTH] + ti.cast(of_lane(x, k), ti.i32)
                for part, shift in ti.static(((0, 0), (1, 1), (2, a.low_sizes[WIDTH]), (3, a.low_sizes[WIDTH] + 1))):
                    set_lane(parts[part], k, a.visible[at + shift])
            top = parts[0] + fx * (parts[1] - parts[0])
            low = parts[2] + fx * (parts[3] - parts[2])
            seen = where(inside, top + fy * (low - top), seen)
        return seen

    @ti.func
    def tri(x):
        """Integral of the square wave of period 2."""
        return absolute(x * 0.5 - ti.floor(x * 0.5) - 0.5)

    @ti.func
    def squares(a: ti.template(), q: ti.template(), n: ti.template(), d: ti.template(), t, asked, pixel):
        """Pattern of the floor averaged over what each pixel covers, 0 … 1."""
        u = (q - vector(a.light, CHECKER_ORIGIN)) * a.light[CHECKER]
        wide = t * (pixel * a.light[CHECKER])
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
    def sky(a: ti.template(), d: ti.template()):
        h, horizon = ti.max(d[2], 0.0), vector(a.light, HORIZON)
        return horizon + (vector(a.light, SKY) - horizon) * (1.0 - 1.0 / (1.0 + 3.0 * h))

    @ti.func
    def reflected(a: ti.template(), color: ti.template(), n: ti.template(), d: ti.template(),
                  lit, open_, floor, glossy):  # fmt: skip
        """Light from a matt surface, with a faint gloss where `glossy`: of the sun, the sky and what the floor throws
        up."""
        sun = vector(a.light, SUN)
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
        return Vec(*[color[i] * ambient[i] + direct[i] * a.light[SUN_COLOR + i] for i in range(3)])

    @kernel_of(DRAW)
    def draw(a: ti.template()):
        """A pixel is the mean of its rays."""
        row, pixel_angle = a.sizes[TILES_X] * TILE // width, 2.0 * a.view[HALF_HEIGHT] / a.sizes[HEIGHT]
        for at in range(row * a.sizes[HEIGHT]):
            y, x = at // row, at % row * width
            edge, total, shaded = a.edges[at], lanes3(), whole(NOTHING)
            lit, floor = lane(), lane(1.0)
            count = 1
            if any_lane(edge > 0):
                count = 1 + N_EXTRA
            for s in range(count):
                here = at + s * row * a.sizes[TILES_Y] * TILE
                dx, dy = ti.cast(0.5, real), ti.cast(0.5, real)
                for k in ti.static(range(N_EXTRA)):
                    if s == k + 1:
                        dx, dy = 0.5 + EXTRA[k][0], 0.5 + EXTRA[k][1]
                o, d = tr.rays(a, x + dx, y + dy)
                hit, n = a.hits[here], Vec(a.normals[3 * here], a.normals[3 * here + 1], a.normals[3 * here + 2])
                on_ground, on_thing = hit < NOTHING, hit >= 0
                t = where(hit == NOTHING, lane(), a.depth[here])
                q = o + d * t
                color, off = lanes3(), lane(a.light[BIAS])
                if any_lane(on_thing):
                    for j in range(width):
                        h = of_lane(hit, j)
                        if h >= RECON:
                            body = lay.get4(a.owner_tint, h - RECON)
                            for i in ti.static(range(3)):
                                set_lane(color[i], j, body[i])
                            set_lane(off, j, a.light[BIAS] + body[RADIUS])
                            # Further rays take the normal of a smooth body from where it is known.
                            knows = of_lane(edge, j) - 1
                            if s > 0 and knows >= 0 and a.flat_hits[knows] == h:
                                for i in ti.static(range(3)):
                                    place_of = (knows // width * 3 + i) * width + knows % width
                                    set_lane(n[i], j, a.flat_normals[place_of])
                        elif h >= 0:
                            c = lay.get4(a.tint, h)
                            for i in ti.static(range(3)):
                                set_lane(color[i], j, c[i])
                # Further rays that meet the same thing share its shadows.
                new = (hit != NOTHING) & (hit != shaded)
                if s > 0:
                    new = new & (edge > 0)
                if any_lane(new):
                    shaded = where(new, hit, shaded)
                    facing = new & (n.dot(vector(a.light, SUN)) > 0.0)
                    lit = where(new, lane(), lit)
                    if any_lane(facing):
                        from_there = sunlit(a, q + n * off, facing)
                        lit = where(facing, from_there, lit)
                    if a.light[GROUND_SEEN] > 0.5:
                        floor = where(new, seen_sky(a, q, new), floor)
                open_ = lane(1.0)
                if any_lane(on_ground):
                    for g in range(a.sizes[N_GROUNDS]):
                        mine = hit == NOTHING - 1 - g
                        if any_lane(mine):
                            dark, bright = lay.get4(a.ground_tint, 2 * g), lay.get4(a.ground_tint, 2 * g + 1)
                            light_square = squares(a, q, n, d, t, mine, pixel_angle)
                            for i in ti.static(range(3)):
                                color[i] = where(mine, dark[i] + light_square * (bright[i] - dark[i]), color[i])
                            if g == 0:
                                open_ = where(mine, floor, open_)
                shown = reflected(a, color, n, d, lit, open_, where(on_ground, lane(1.0), floor), on_thing)
                far = ti.min(t * a.light[HAZE], 1e4)
                far = far * far
                hazy = on_ground & (far > 0.02)
                if any_lane(hazy | (hit == NOTHING)):
                    back = sky(a, d)
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
                    a.picture[3 * (at * width + j) + i] = ti.cast(of_lane(bright, j), ti.u8)

    return draw
