"""Colours: the second pass of a picture. One sun with soft shadows, a sky that shines from above, light off the ground.

Colours are linear inside, and squares of the display's (a gamma of 2).
"""

from genesis.compiler import layout, per_runtime, ti
from genesis.render.kernels.edges import EXTRA, N_EXTRA
from genesis.render.kernels.tiles import (
    FORWARD,
    HALF_HEIGHT,
    HEIGHT,
    ORIGIN,
    PER_METRE,
    RIGHT,
    TILE,
    TILES_X,
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
    real, vec3 = lay.real, lay.vec3
    vector = tr.vector

    @ti.func
    def place(q, view: ti.template(), sizes: ti.template()):
        """Where a parallel view shows the point q, pixels, and how far from its origin."""
        r = q - vector(view, ORIGIN)
        x = 0.5 * sizes[WIDTH] + view[PER_METRE] * r.dot(vector(view, RIGHT))
        y = 0.5 * sizes[HEIGHT] - view[PER_METRE] * r.dot(vector(view, UP))
        return x, y, r.dot(vector(view, FORWARD))

    @ti.func
    def sunlit(q, depth: ti.template(), starts: ti.template(), view: ti.template(), sizes: ti.template()):
        """How much of the sun reaches q, 0 … 1: the mean over 3 x 3 pixels of the sun's picture, placed smoothly."""
        x, y, z = place(q, view, sizes)
        lit = ti.cast(1.0, real)
        if x > 2.5 and y > 2.5 and x < sizes[WIDTH] - 2.5 and y < sizes[HEIGHT] - 2.5:
            i, j = ti.cast(x - 1.5, ti.i32), ti.cast(y - 1.5, ti.i32)
            fx, fy = x - 1.5 - i, y - 1.5 - j
            empty = True
            for b, a in ti.static(ti.ndrange(2, 2)):
                tile = (j + 3 * b) // TILE * sizes[TILES_X] + (i + 3 * a) // TILE
                empty = empty and starts[tile] == starts[tile + 1]
            if not empty:
                total = ti.cast(0.0, real)
                for b in range(4):
                    row = (j + b) * sizes[WIDTH] + i
                    line = (1.0 - fx) * ti.cast(depth[row] > z, real) + fx * ti.cast(depth[row + 3] > z, real)
                    line += ti.cast(depth[row + 1] > z, real) + ti.cast(depth[row + 2] > z, real)
                    if b == 0:
                        line *= 1.0 - fy
                    if b == 3:
                        line *= fy
                    total += line
                lit = total * (1.0 / 9.0)
        return lit

    @ti.func
    def seen_sky(q, visible: ti.template(), view: ti.template(), sizes: ti.template()):
        """How much of the sky the ground below q sees, smoothly."""
        x, y, _z = place(q, view, sizes)
        seen = ti.cast(1.0, real)
        if x > 1.0 and y > 1.0 and x < sizes[WIDTH] - 1.0 and y < sizes[HEIGHT] - 1.0:
            i, j = ti.cast(x - 0.5, ti.i32), ti.cast(y - 0.5, ti.i32)
            fx, fy = x - 0.5 - i, y - 0.5 - j
            at = j * sizes[WIDTH] + i
            top = (1.0 - fx) * visible[at] + fx * visible[at + 1]
            at += sizes[WIDTH]
            seen = (1.0 - fy) * top + fy * ((1.0 - fx) * visible[at] + fx * visible[at + 1])
        return seen

    @ti.func
    def tri(x):
        """Integral of the square wave of period 2."""
        return ti.abs(x * 0.5 - ti.floor(x * 0.5) - 0.5)

    @ti.func
    def squares(q, n, d, t, pixel, light: ti.template()):
        """Pattern of the floor averaged over what a pixel covers, 0 … 1."""
        u = (q - vector(light, CHECKER_ORIGIN)) * light[CHECKER]
        width = t * pixel * light[CHECKER]
        cosine = ti.max(ti.abs(n.dot(d)), 0.02)
        i, j = ti.floor(u[0]), ti.floor(u[1])
        inside = 0.5 - ti.max(ti.abs(u[0] - i - 0.5), ti.abs(u[1] - j - 0.5))
        value = ti.cast(1.0, real)
        if inside * cosine > 0.5 * width:  # the pixel lies in one square
            value = 1.0 - 2.0 * ((ti.cast(i, ti.i32) + ti.cast(j, ti.i32)) & 1)
        else:
            flat = d - n.dot(d) * n
            flat /= ti.max(flat.norm(), 1e-6)
            for k in ti.static(range(2)):
                stretch = ti.sqrt(1.0 + (1.0 / (cosine * cosine) - 1.0) * flat[k] * flat[k])
                w = ti.max(width * stretch, 1e-4)
                value *= 2.0 * (tri(u[k] - 0.5 * w) - tri(u[k] + 0.5 * w)) / w
        return 0.5 + 0.5 * value

    @ti.func
    def sky(d, light: ti.template()):
        h = ti.max(d[2], 0.0)
        return vector(light, HORIZON) + (1.0 - 1.0 / (1.0 + 3.0 * h)) * (vector(light, SKY) - vector(light, HORIZON))

    @ti.func
    def reflected(color, n, d, lit, open_, floor, glossy: ti.template(), light: ti.template()):
        """Light from a matt surface, perhaps with a faint gloss: of the sun, the sky and what the floor throws up."""
        sun = vector(light, SUN)
        up = 0.5 + 0.5 * n[2]
        ambient = up * open_ * vec3(0.50, 0.56, 0.66) + (1.0 - up) * (0.2 + 0.8 * floor) * vec3(0.30, 0.28, 0.26)
        direct = color * (lit * ti.max(n.dot(sun), 0.0))
        if ti.static(glossy):
            gloss = ti.max(n.dot((sun - d).normalized()), 0.3)  # below it powers are nothing, and slow: subnormal
            for _ in ti.static(range(5)):
                gloss *= gloss
            direct += 0.18 * lit * gloss
        return color * ambient + direct * vector(light, SUN_COLOR)

    @ti.kernel
    def draw(view: lay.A1, sizes: lay.I1, hits: lay.I1, depth: lay.A1, normals: lay.A3,
             edges: lay.I1, more_hits: lay.I1, more_depth: lay.A1, more_normals: lay.A3,
             sun_starts: lay.I1, sun_view: lay.A1, sun_sizes: lay.I1, sun_depth: lay.A1,
             low_view: lay.A1, low_sizes: lay.I1, low_visible: lay.A1,
             tint: lay.A3, owner_tint: lay.A4, ground_tint: lay.A3, light: lay.A1,
             picture: ti.types.ndarray(dtype=ti.u8, ndim=1)):  # fmt: skip
        """`tint`: colour of each thing; `owner_tint`: of bodies of particles, and their radius; `ground_tint`: two of
        each ground."""
        for pixel in range(sizes[WIDTH] * sizes[HEIGHT]):
            x, y = pixel % sizes[WIDTH], pixel // sizes[WIDTH]
            pixel_angle = 2.0 * view[HALF_HEIGHT] / sizes[HEIGHT]
            hit, t, n = hits[pixel], depth[pixel], lay.get3(normals, pixel)
            dx, dy = ti.cast(0.5, real), ti.cast(0.5, real)
            count = 1 + N_EXTRA if edges[pixel] > 0 else 1
            total, shaded = vec3(0.0), NOTHING
            lit, floor = ti.cast(0.0, real), ti.cast(1.0, real)
            for s in range(count):
                if s > 0:
                    at = N_EXTRA * pixel + s - 1
                    hit, t, n = more_hits[at], more_depth[at], lay.get3(more_normals, at)
                    smooth = edges[pixel] - 1  # where the normal of a smooth body is to be had
                    if hit >= RECON and hits[smooth] == hit:
                        n = lay.get3(normals, smooth)
                    for k in ti.static(range(N_EXTRA)):
                        if s == k + 1:
                            dx, dy = 0.5 + EXTRA[k][0], 0.5 + EXTRA[k][1]
                o, d = tr.ray(x + dx, y + dy, view, sizes)
                color = vec3(0.0)
                if hit == NOTHING:
                    color = sky(d, light)
                else:
                    q = o + t * d
                    if hit != shaded:  # further rays that meet the same thing share its shadows
                        shaded = hit
                        lit, floor = 0.0, 1.0
                        if n.dot(vector(light, SUN)) > 0.0:
                            off = light[BIAS]
                            if hit >= RECON:
                                off += lay.get4(owner_tint, hit - RECON)[3]
                            lit = sunlit(q + off * n, sun_depth, sun_starts, sun_view, sun_sizes)
                        if light[GROUND_SEEN] > 0.5:
                            floor = seen_sky(q, low_visible, low_view, low_sizes)
                    if hit < NOTHING:
                        g = NOTHING - 1 - hit
                        a, b = lay.get3(ground_tint, 2 * g), lay.get3(ground_tint, 2 * g + 1)
                        c = a + squares(q, n, d, t, pixel_angle, light) * (b - a)
                        color = reflected(c, n, d, lit, floor if g == 0 else 1.0, 1.0, False, light)
                        far = t * light[HAZE]
                        far *= far
                        if far > 0.02:
                            back = sky(d, light)
                            color = back + (color - back) / (1.0 + far * far)
                    else:
                        c = vec3(0.0)
                        if hit >= RECON:
                            body = lay.get4(owner_tint, hit - RECON)
                            c = vec3(body[0], body[1], body[2])
                        else:
                            c = lay.get3(tint, hit)
                        color = reflected(c, n, d, lit, 1.0, floor, True, light)
                total += color
            for i in ti.static(range(3)):
                value = ti.sqrt(ti.min(ti.max(total[i] * (1.0 / count), 0.0), 1.0))
                picture[3 * pixel + i] = ti.cast(255.0 * value + 0.5, ti.u8)

    return draw
