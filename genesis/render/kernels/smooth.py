"""Bodies of particles as smooth surfaces: the normals of balls in the picture become means over their neighbourhood.

A face of balls then has the face's normal, and an edge turns gradually from one to the other. Each pixel of such a body
gets the mean of the pixels around it, first along rows, then along columns, twice; those that are farther off in depth
than a few particles count less, so that one part of a body does not melt into another.
"""

from genesis.compiler import layout, per_runtime, ti
from genesis.render.kernels.tiles import HALF_HEIGHT, HEIGHT, TILE, TILES_X, WIDTH
from genesis.render.kernels.trace import RECON

WIDEST = 24
"""Reach of one pass, pixels at most."""
REACH, RANGE = 1.4, 1.5
"""Reach of one pass and the difference in depth that halves a weight, in radii of the drawn particles."""


@per_runtime
def smooth_kernel():
    lay = layout()
    vec3, width = lay.vec3, lay.width

    @ti.func
    def normal_of(normals: ti.template(), pixel):
        at = pixel // width * 3 * width + pixel % width
        return vec3(normals[at], normals[at + width], normals[at + 2 * width])

    @ti.kernel
    def smooth(hits: lay.I1, depth: lay.A1, normals: lay.A1, out: lay.A1, radius: lay.A1, view: lay.A1, sizes: lay.I1,
               across: lay.I1):  # fmt: skip
        """One pass along rows (`across[0]` = 1) or columns. `radius`: of the drawn particles of each body, m."""
        for pixel in range(sizes[TILES_X] * TILE * sizes[HEIGHT]):
            hit, n, pitch = hits[pixel], normal_of(normals, pixel), sizes[TILES_X] * TILE
            if hit >= RECON:
                y, x, t = pixel // pitch, pixel % pitch, depth[pixel]
                pixel_edge = t * 2.0 * view[HALF_HEIGHT] / sizes[HEIGHT]
                pixels = ti.max(REACH * radius[hit - RECON] / pixel_edge, 1.0)
                reach = ti.min(ti.cast(ti.ceil(pixels), ti.i32), WIDEST)
                at, last, step = y, sizes[HEIGHT], pitch
                if across[0] == 1:
                    at, last, step = x, sizes[WIDTH], 1
                total = vec3(0.0)
                flat, steep = 1.0 / (pixels + 1.0), 1.0 / (RANGE * radius[hit - RECON])
                for k in range(ti.max(-reach, -at), ti.min(reach, last - 1 - at) + 1):
                    there = pixel + k * step
                    if hits[there] == hit:
                        far, near = (depth[there] - t) * steep, k * flat
                        far *= far
                        total += ti.max(1.0 - near * near, 0.0) / (1.0 + far * far) * normal_of(normals, there)
                if total.norm() > 0.0:
                    n = total.normalized()
            for c in ti.static(range(3)):
                out[(pixel // width * 3 + c) * width + pixel % width] = n[c]

    return smooth
