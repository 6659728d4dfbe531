"""Where a pixel's neighbours show something else, more rays go through it, so that edges are smooth."""

from genesis.compiler import layout, per_runtime, ti
from genesis.math.lanes import any_lane, lanes3, numbered, of_lane, set_lane, where, whole
from genesis.render.kernels.arrays import FIND_EDGES, HEIGHT, N_SOLIDS, TILE, TILES_X, TILES_Y, WIDTH, kernel_of
from genesis.render.kernels.trace import RECON, tracing

EXTRA = ((-0.36, -0.14), (0.30, -0.25), (0.06, 0.39))
"""Where in a pixel the further rays go, pixels from its middle."""
N_EXTRA = len(EXTRA)
FOLD = 0.9
"""Cosine of the angle between neighbouring normals on one solid that counts as an edge."""


@per_runtime
def edge_kernel(meshes: bool):
    """`meshes`: as of `tracing`."""
    lay, tr = layout(), tracing(meshes)
    real, width = lay.real, lay.width

    @ti.func
    def shifted(by: ti.template(), this, beside):
        """What is one pixel to the right (by = 1) or left (-1), from a packet and the one there."""
        out = this
        for j in ti.static(range(width)):
            if ti.static(0 <= j + by < width):
                set_lane(out, j, of_lane(this, j + by))
            else:
                set_lane(out, j, of_lane(beside, 0 if by > 0 else width - 1))
        return out

    @kernel_of(FIND_EDGES)
    def find_edges(a: ti.template()):
        """Where there are edges, N_EXTRA further pictures are written behind the first one."""
        row = a.sizes[TILES_X] * TILE // width
        for at in range(row * a.sizes[HEIGHT]):
            y, x = at // row, at % row * width
            mine, edge = a.hits[at], whole()
            _, place = numbered()
            column, here = place + x, place + at * width
            smooth = here
            on_solid = (mine >= 0) & (mine < a.sizes[N_SOLIDS])
            folds, n = any_lane(on_solid), lanes3()
            if folds:
                for c in ti.static(range(3)):
                    n[c] = a.normals[3 * at + c]
            for right, down in ti.static(((1, 0), (-1, 0), (0, 1), (0, -1))):
                beside = at
                if 0 <= x + right * width and x + right * width < row * width:
                    beside += right
                if 0 <= y + down and y + down < a.sizes[HEIGHT]:
                    beside += down * row
                theirs, m = a.hits[beside], lanes3()
                shown = (column + right >= 0) & (column + right < a.sizes[WIDTH])
                if ti.static(right != 0):
                    theirs = where(shown, shifted(right, mine, theirs), mine)
                other = theirs != mine
                edge = where(other, whole(1), edge)
                smooth = where(other & (theirs >= RECON) & (mine < RECON),
                               here + right + (beside - at) * width * ti.abs(down), smooth)  # fmt: skip
                if folds:
                    for c in ti.static(range(3)):
                        m[c] = a.normals[3 * beside + c]
                        if ti.static(right != 0):
                            m[c] = where(shown, shifted(right, n[c], m[c]), n[c])
                    edge = where(on_solid & (theirs == mine) & (n.dot(m) < FOLD), whole(1), edge)
            a.edges[at] = where(edge > 0, smooth + 1, whole())
            if any_lane(edge > 0):
                for s in range(N_EXTRA):
                    dx, dy = ti.cast(0.5, real), ti.cast(0.5, real)
                    for k in ti.static(range(N_EXTRA)):
                        if s == k:
                            dx, dy = 0.5 + EXTRA[k][0], 0.5 + EXTRA[k][1]
                    o, d = tr.rays(a, x + dx, y + dy)
                    tile = y // TILE * a.sizes[TILES_X] + x // TILE
                    hit, t, normal = tr.cast(a, o, d, tile, True)
                    behind = at + (s + 1) * row * a.sizes[TILES_Y] * TILE
                    a.hits[behind], a.depth[behind] = hit, t
                    for c in ti.static(range(3)):
                        a.normals[3 * behind + c] = normal[c]

    return find_edges
