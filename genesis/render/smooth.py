"""Bodies of particles as smooth surfaces: their depth in the picture is smoothed, and normals are taken from it.

Each pixel of such a body becomes the mean of the pixels around it, first along rows, then along columns, twice; those that
are farther off in depth than a few particles count less, so that one part of a body does not melt into another.

Source: van der Laan, Green and Sainz, "Screen space fluid rendering with curvature flow" (I3D 2009), with a bilateral
filter in place of the flow.
"""

from genesis.compiler import layout, per_runtime, ti
from genesis.render.tiles import HALF_HEIGHT, HEIGHT, WIDTH
from genesis.render.trace import RECON, tracing

WIDEST = 28
"""Reach of one pass of the filter, pixels at most."""
REACH, RANGE = 2.2, 2.0
"""Reach of one pass and the difference in depth that halves a weight, in radii of the drawn particles."""


@per_runtime
def smooth_kernel():
    lay = layout()
    real = lay.real

    @ti.kernel
    def smooth(hits: lay.I1, depth: lay.A1, out: lay.A1, radius: lay.A1, view: lay.A1, sizes: lay.I1, across: lay.I1):
        """One pass along rows (`across[0]` = 1) or columns. `radius`: of the drawn particles of each body, m."""
        for pixel in range(sizes[WIDTH] * sizes[HEIGHT]):
            hit, t = hits[pixel], depth[pixel]
            if hit >= RECON:
                y, x = pixel // sizes[WIDTH], pixel % sizes[WIDTH]
                r = radius[hit - RECON]
                pixels = REACH * r / (t * 2.0 * view[HALF_HEIGHT]) * sizes[HEIGHT]
                reach = ti.min(ti.cast(ti.ceil(pixels), ti.i32), WIDEST)
                at, last, step = y, sizes[HEIGHT], sizes[WIDTH]
                if across[0] == 1:
                    at, last, step = x, sizes[WIDTH], 1
                total, weight = ti.cast(0.0, real), ti.cast(0.0, real)
                for k in range(ti.max(-reach, -at), ti.min(reach, last - 1 - at) + 1):
                    there = pixel + k * step
                    if hits[there] == hit:
                        far, near = (depth[there] - t) / (RANGE * r), k / (pixels + 1.0)
                        w = (1.0 - near * near) / (1.0 + far * far * far * far)
                        total += w * (depth[there] - t)
                        weight += w
                out[pixel] = t + total / weight
            else:
                out[pixel] = t

    return smooth


@per_runtime
def normal_kernel():
    lay, tr = layout(), tracing()
    vec3 = lay.vec3

    @ti.kernel
    def find_normals(hits: lay.I1, depth: lay.A1, view: lay.A1, sizes: lay.I1, normals: lay.A3):
        """From the two neighbours, in each direction, whose depth differs least."""
        for pixel in range(sizes[WIDTH] * sizes[HEIGHT]):
            hit = hits[pixel]
            if hit >= RECON:
                y, x = pixel // sizes[WIDTH], pixel % sizes[WIDTH]
                o, d = tr.ray(x + 0.5, y + 0.5, view, sizes)
                q = o + depth[pixel] * d
                slope = [vec3(0.0), vec3(0.0)]
                for axis in ti.static(range(2)):
                    best = 1e30
                    for side in ti.static((-1, 1)):
                        u, v = x + (side if axis == 0 else 0), y + (side if axis == 1 else 0)
                        if u >= 0 and v >= 0 and u < sizes[WIDTH] and v < sizes[HEIGHT]:
                            there = v * sizes[WIDTH] + u
                            gap = ti.abs(depth[there] - depth[pixel])
                            if hits[there] == hit and gap < best:
                                best = gap
                                o, e = tr.ray(u + 0.5, v + 0.5, view, sizes)
                                slope[axis] = side * (o + depth[there] * e - q)
                n = slope[1].cross(slope[0])
                if n.norm() > 0.0:
                    n = n.normalized()
                    lay.put3(normals, pixel, n if n.dot(d) < 0.0 else -n)

    return find_normals
