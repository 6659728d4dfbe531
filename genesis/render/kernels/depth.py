"""Pictures of depth alone: what the sun sees, what the ground sees above it, and the first pass of every picture."""

import math

from genesis.compiler import layout, per_runtime, ti
from genesis.render.kernels.arrays import (
    BELOW,
    HEIGHT,
    OPENNESS,
    PIXEL,
    TILE,
    TILES_X,
    TRACE,
    TRACE_DEPTH,
    WIDTH,
    kernel_of,
)
from genesis.render.kernels.shapes import FAR
from genesis.render.kernels.trace import tracing


@per_runtime
def trace_kernel(full: bool, meshes: bool):
    """`full`: with what was hit and the normals, not the depth alone. `meshes`: as of `tracing`."""
    lay, tr = layout(), tracing(meshes)

    @kernel_of(TRACE if full else TRACE_DEPTH)
    def trace(a: ti.template()):
        """One ray through the middle of every pixel."""
        row = a.sizes[TILES_X] * TILE // lay.width
        for at in range(row * a.sizes[HEIGHT]):
            y, x = at // row, at % row * lay.width
            o, d = tr.rays(a, x + 0.5, y + 0.5)
            tile = y // TILE * a.sizes[TILES_X] + x // TILE
            hit, t, n = tr.cast(a, o, d, tile, full)
            a.depth[at] = t
            if ti.static(full):
                a.hits[at] = hit
                for c in ti.static(range(3)):
                    a.normals[3 * at + c] = n[c]

    return trace


RINGS, SPOKES = 6, 10
"""Of the places that a point of the ground looks at, to see how much of the sky is hidden."""
FIRST, TURN = ((math.cos(angle), math.sin(angle)) for angle in (math.pi / SPOKES, 2 * math.pi / SPOKES))
"""Cosine and sine of the first spoke's angle, and of that between neighbours."""


@per_runtime
def openness_kernel():
    lay = layout()
    real = lay.real

    @kernel_of(OPENNESS)
    def openness(a: ti.template()):
        """How much of an overcast sky each place of the ground sees, 0 … 1.

        The depth is that of the picture from below the ground straight up. A disc of radius r at height h over a level
        place hides r^2 / (r^2 + h^2) of its sky; rings are differences of discs.
        """
        for pixel in range(a.sizes[WIDTH] * a.sizes[HEIGHT]):
            y, x = pixel // a.sizes[WIDTH], pixel % a.sizes[WIDTH]
            hidden = ti.cast(0.0, real)
            right, down = ti.cast(FIRST[0], real), ti.cast(FIRST[1], real)
            for _spoke in range(SPOKES):
                inner, middle, outer = ti.cast(0.0, real), ti.cast(0.0, real), ti.cast(1.0, real)
                for _ in range(RINGS):
                    u = ti.cast(ti.floor(x + 0.5 + middle * right), ti.i32)
                    v = ti.cast(ti.floor(y + 0.5 + middle * down), ti.i32)
                    if u >= 0 and v >= 0 and u < a.sizes[WIDTH] and v < a.sizes[HEIGHT]:
                        h = a.flat_depth[v * a.sizes[TILES_X] * TILE + u]
                        if h < FAR:
                            h = ti.max(h - a.gap[BELOW], 0.0) / a.gap[PIXEL] + 0.3
                            hidden += outer * outer / (outer * outer + h * h) - inner * inner / (inner * inner + h * h)
                    inner = outer
                    middle = 1.3 * outer
                    outer *= 1.7
                right, down = right * TURN[0] - down * TURN[1], right * TURN[1] + down * TURN[0]
            a.visible[pixel] = 1.0 - hidden / SPOKES

    return openness
