"""Where a pixel's neighbours show something else, more rays go through it, so that edges are smooth."""

from genesis.compiler import layout, per_runtime, ti
from genesis.render.kernels.tiles import HEIGHT, N_SOLIDS, SPREAD, TILE, TILES_X, TILES_Y, WIDTH
from genesis.render.kernels.trace import RECON, tracing

EXTRA = ((-0.36, -0.14), (0.30, -0.25), (0.06, 0.39))
"""Where in a pixel the further rays go, pixels from its middle."""
N_EXTRA = len(EXTRA)
FOLD = 0.9
"""Cosine of the angle between neighbouring normals on one solid that counts as an edge."""


@per_runtime
def edge_kernel():
    lay, tr = layout(), tracing()
    real = lay.real

    @ti.kernel
    def find_edges(ball: lay.A4, near: lay.A1, which: lay.I1, starts: lay.I1, entries: lay.I1, solid: lay.A4,
                   about: lay.I1, faces: lay.A4, ground: lay.A4, heights: lay.A1, view: lay.A1, sizes: lay.I1,
                   hits: lay.I1, normals: lay.A3, edges: lay.I1, more_hits: lay.I1, more_depth: lay.A1,
                   more_normals: lay.A3):  # fmt: skip
        """`edges`: 0, or at an edge 1 + the pixel, there or beside it, that knows the normal of a smooth body there.

        `more_…`: N_EXTRA for each pixel; only those at edges are written.
        """
        for job in range(sizes[TILES_X] * sizes[TILES_Y] * SPREAD):
            if job % SPREAD == 0:
                tile = job // SPREAD
                y0, x0 = tile // sizes[TILES_X] * TILE, tile % sizes[TILES_X] * TILE
                w, h = sizes[WIDTH], sizes[HEIGHT]
                for y in range(y0, ti.min(y0 + TILE, h)):
                    for x in range(x0, ti.min(x0 + TILE, w)):
                        pixel = y * w + x
                        mine, smooth, edge = hits[pixel], pixel, False
                        on_solid = mine >= 0 and mine < sizes[N_SOLIDS]
                        for k in ti.static(range(4)):
                            u = ti.min(ti.max(x + (1, -1, 0, 0)[k], 0), w - 1)
                            v = ti.min(ti.max(y + (0, 0, 1, -1)[k], 0), h - 1)
                            there = v * w + u
                            if hits[there] != mine:
                                edge = True
                                if hits[there] >= RECON and mine < RECON:
                                    smooth = there
                            elif on_solid:
                                edge = edge or lay.get3(normals, pixel).dot(lay.get3(normals, there)) < FOLD
                        edges[pixel] = smooth + 1 if edge else 0
                        if edge:
                            for s in range(N_EXTRA):
                                dx, dy = ti.cast(0.5, real), ti.cast(0.5, real)
                                for k in ti.static(range(N_EXTRA)):
                                    if s == k:
                                        dx, dy = 0.5 + EXTRA[k][0], 0.5 + EXTRA[k][1]
                                o, d = tr.ray(x + dx, y + dy, view, sizes)
                                hit, t, n = tr.cast(o, d, tile, ball, near, which, starts, entries, solid, about,
                                                    faces, ground, heights, sizes)  # fmt: skip
                                at = N_EXTRA * pixel + s
                                more_hits[at], more_depth[at] = hit, t
                                lay.put3(more_normals, at, n)

    return find_edges
