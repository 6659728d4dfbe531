"""Bodies of particles as smooth surfaces: the normals of balls in the picture become means over their neighbourhood.

A face of balls then has the face's normal, and an edge turns gradually from one to the other. Each pixel of such a body
gets the mean of the pixels around it, first along rows, then along columns, twice; those that are farther off in depth
than a few particles count less, so that one part of a body does not melt into another.
"""

from genesis.compiler import layout, per_runtime, ti
from genesis.render.kernels.arrays import HALF_HEIGHT, HEIGHT, SMOOTH, TILE, TILES_X, WIDTH, kernel_of
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
    def normal_of(a: ti.template(), pixel):
        at = pixel // width * 3 * width + pixel % width
        return vec3(a.source[at], a.source[at + width], a.source[at + 2 * width])

    @kernel_of(SMOOTH)
    def smooth(a: ti.template()):
        """One pass along rows or columns."""
        for pixel in range(a.sizes[TILES_X] * TILE * a.sizes[HEIGHT]):
            hit, n, pitch = a.flat_hits[pixel], normal_of(a, pixel), a.sizes[TILES_X] * TILE
            if hit >= RECON:
                y, x, t = pixel // pitch, pixel % pitch, a.flat_depth[pixel]
                pixel_edge = t * 2.0 * a.view[HALF_HEIGHT] / a.sizes[HEIGHT]
                pixels = ti.max(REACH * a.radius[hit - RECON] / pixel_edge, 1.0)
                reach = ti.min(ti.cast(ti.ceil(pixels), ti.i32), WIDEST)
                at, last, step = y, a.sizes[HEIGHT], pitch
                if a.across[0] == 1:
                    at, last, step = x, a.sizes[WIDTH], 1
                total = vec3(0.0)
                flat, steep = 1.0 / (pixels + 1.0), 1.0 / (RANGE * a.radius[hit - RECON])
                for k in range(ti.max(-reach, -at), ti.min(reach, last - 1 - at) + 1):
                    there = pixel + k * step
                    if a.flat_hits[there] == hit:
                        far, near = (a.flat_depth[there] - t) * steep, k * flat
                        far *= far
                        total += ti.max(1.0 - near * near, 0.0) / (1.0 + far * far) * normal_of(a, there)
                if total.norm() > 0.0:
                    n = total.normalized()
            for c in ti.static(range(3)):
                a.target[(pixel // width * 3 + c) * width + pixel % width] = n[c]

    return smooth
