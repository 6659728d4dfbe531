"""Which things each square of a picture may show: lists of things, nearest first, one for each tile of pixels.

A *thing* is a solid or a particle; all are bounded by balls, and things are sorted by how near these come.
Each row of tiles is one task, so that lists come out in the same order whatever the number of threads.
"""

from genesis.compiler import layout, per_runtime, ti
from genesis.render.kernels.arrays import (
    CAPACITY,
    FIRST_X,
    FIRST_Y,
    FORWARD,
    HALF_HEIGHT,
    HALF_WIDTH,
    HEIGHT,
    LAST_X,
    LAST_Y,
    LISTING,
    N_BOX,
    N_THINGS,
    NEEDED,
    ORIGIN,
    PARALLEL,
    RADIUS,
    RIGHT,
    TILE,
    TILES_X,
    TILES_Y,
    UP,
    WIDTH,
    kernel_of,
)

SPREAD = 16
"""Loops over a few tasks run over so many times as many indices: see `compiler.STRIDE`."""


@per_runtime
def list_kernel():
    lay = layout()
    real, vec3 = lay.real, lay.vec3

    @ti.func
    def vector(a: ti.template(), at):
        return vec3(a.view[at], a.view[at + 1], a.view[at + 2])

    @ti.func
    def span(c, z, r, half, parallel, tiles, pixels):
        """First and last tile that a ball may touch along one axis of the picture: c across, z along the view."""
        low, high = ti.cast(-1.0, real), ti.cast(1.0, real)
        if parallel > 0.5:
            low, high = (c - r) / half, (c + r) / half
        elif z > 1.001 * r:  # the tangents from the eye to the circle (c, z), r
            square = z * z - r * r
            root = r * ti.sqrt(ti.max(c * c + square, 0.0))
            low, high = (c * z - root) / (square * half), (c * z + root) / (square * half)
        scale = 0.5 * pixels
        low = ti.min(ti.max((low + 1.0) * scale - 0.51, -1.0), pixels)
        high = ti.min(ti.max((high + 1.0) * scale + 0.51, -1.0), pixels)
        first = ti.cast(ti.floor(low), ti.i32)
        last = ti.cast(ti.floor(high), ti.i32)
        return ti.max(first, 0) // TILE, ti.min(ti.max(last, -TILE) // TILE, tiles - 1)

    @kernel_of(LISTING)
    def make_lists(a: ti.template()):
        for i in range(a.sizes[N_THINGS]):
            b = lay.get4(a.ball, i)
            c = vec3(b[0], b[1], b[2]) - vector(a, ORIGIN)
            z, r, parallel = c.dot(vector(a, FORWARD)), b[RADIUS], a.view[PARALLEL]
            tiles_x, tiles_y = a.sizes[TILES_X], a.sizes[TILES_Y]
            x0, x1 = span(c.dot(vector(a, RIGHT)), z, r, a.view[HALF_WIDTH], parallel, tiles_x, a.sizes[WIDTH])
            y0, y1 = span(-c.dot(vector(a, UP)), z, r, a.view[HALF_HEIGHT], parallel, tiles_y, a.sizes[HEIGHT])
            if z < -r:
                y1 = -1
            place = N_BOX * i
            a.boxes[place + FIRST_X], a.boxes[place + LAST_X] = x0, x1
            a.boxes[place + FIRST_Y], a.boxes[place + LAST_Y] = y0, y1
        for job in range(a.sizes[TILES_Y] * SPREAD):
            if job % SPREAD == 0:
                row, tiles_x = job // SPREAD, a.sizes[TILES_X]
                for x in range(tiles_x):
                    a.starts[row * tiles_x + x + 1] = 0
                for i in range(a.sizes[N_THINGS]):
                    if a.boxes[N_BOX * i + FIRST_Y] <= row and row <= a.boxes[N_BOX * i + LAST_Y]:
                        for x in range(a.boxes[N_BOX * i + FIRST_X], a.boxes[N_BOX * i + LAST_X] + 1):
                            a.starts[row * tiles_x + x + 1] += 1
        for _ in range(1):
            total = 0
            a.starts[0] = 0
            for tile in range(a.sizes[TILES_X] * a.sizes[TILES_Y]):
                total += a.starts[tile + 1]
                a.starts[tile + 1] = total
            a.sizes[NEEDED] = total
        for job in range(a.sizes[TILES_Y] * SPREAD):
            if job % SPREAD == 0 and a.sizes[NEEDED] <= a.sizes[CAPACITY]:
                # Filled from the back, each list's end walks down to its start; the next loop puts the ends back.
                row, tiles_x = job // SPREAD, a.sizes[TILES_X]
                for k in range(a.sizes[N_THINGS]):
                    i = a.sizes[N_THINGS] - 1 - k
                    if a.boxes[N_BOX * i + FIRST_Y] <= row and row <= a.boxes[N_BOX * i + LAST_Y]:
                        for x in range(a.boxes[N_BOX * i + FIRST_X], a.boxes[N_BOX * i + LAST_X] + 1):
                            place = a.starts[row * tiles_x + x + 1] - 1
                            a.starts[row * tiles_x + x + 1] = place
                            a.entries[place] = i
        for _ in range(1):
            # Every end is now its own list's start: shift them by one, and the last end is the total.
            tiles = a.sizes[TILES_X] * a.sizes[TILES_Y]
            if a.sizes[NEEDED] <= a.sizes[CAPACITY]:
                for tile in range(tiles):
                    a.starts[tile] = a.starts[tile + 1]
                a.starts[tiles] = a.sizes[NEEDED]
        for tile in range(a.sizes[TILES_X] * a.sizes[TILES_Y]):
            found = 0
            for down, right in ti.static(ti.ndrange(2, 2)):
                x = ti.min(tile % a.sizes[TILES_X] + right, a.sizes[TILES_X] - 1)
                y = ti.min(tile // a.sizes[TILES_X] + down, a.sizes[TILES_Y] - 1)
                there = y * a.sizes[TILES_X] + x
                if a.starts[there] < a.starts[there + 1]:
                    found = 1
            a.busy[tile] = found

    return make_lists
