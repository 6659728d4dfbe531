"""Which things each square of a picture may show: lists of things, nearest first, one for each tile of pixels.

A *thing* is a solid or a particle; all are bounded by balls, and things are sorted by how near these come.
Each row of tiles is one task, so that lists come out in the same order whatever the number of threads.
"""

from genesis.compiler import layout, per_runtime, ti

TILE = 8
"""Edge of a tile, pixels."""
SPREAD = 16
"""Loops over a few tasks run over so many times as many indices: see `compiler.STRIDE`."""

# Integers of a view.
N_THINGS, N_SOLIDS, N_GROUNDS, WIDTH, HEIGHT, TILES_X, TILES_Y, CAPACITY, NEEDED, SAMPLES, RECON_FROM = range(11)
N_SIZES = 12

# Reals of a view: origin, right, up, forward (three each), the rest one each.
ORIGIN, RIGHT, UP, FORWARD, PARALLEL, HALF_WIDTH, HALF_HEIGHT, PER_METRE = 0, 3, 6, 9, 12, 13, 14, 15
N_VIEW = 16
"""RIGHT and UP are unit vectors; HALF_WIDTH is the tangent of half the opening angle, or metres of a parallel view;
PER_METRE is how many pixels there are to a metre in a parallel view."""


@per_runtime
def list_kernel():
    lay = layout()
    real, vec3 = lay.real, lay.vec3

    @ti.func
    def vector(view: ti.template(), at):
        return vec3(view[at], view[at + 1], view[at + 2])

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

    @ti.kernel
    def make_lists(ball: lay.A4, view: lay.A1, sizes: lay.I1, boxes: lay.I1, starts: lay.I1, entries: lay.I1,
                   busy: lay.I1):  # fmt: skip
        """`boxes` (4 per thing): first and last tile across and down. `starts` (tiles + 1): places in `entries`.
        `busy`: 1 where a tile or the next one to the right, below or both ways has an entry."""
        for i in range(sizes[N_THINGS]):
            b = lay.get4(ball, i)
            c = vec3(b[0], b[1], b[2]) - vector(view, ORIGIN)
            z, r, parallel = c.dot(vector(view, FORWARD)), b[3], view[PARALLEL]
            tiles_x, tiles_y = sizes[TILES_X], sizes[TILES_Y]
            x0, x1 = span(c.dot(vector(view, RIGHT)), z, r, view[HALF_WIDTH], parallel, tiles_x, sizes[WIDTH])
            y0, y1 = span(-c.dot(vector(view, UP)), z, r, view[HALF_HEIGHT], parallel, tiles_y, sizes[HEIGHT])
            if z < -r:
                y1 = -1
            boxes[4 * i], boxes[4 * i + 1], boxes[4 * i + 2], boxes[4 * i + 3] = x0, x1, y0, y1
        for job in range(sizes[TILES_Y] * SPREAD):
            if job % SPREAD == 0:
                row, tiles_x = job // SPREAD, sizes[TILES_X]
                for x in range(tiles_x):
                    starts[row * tiles_x + x + 1] = 0
                for i in range(sizes[N_THINGS]):
                    if boxes[4 * i + 2] <= row and row <= boxes[4 * i + 3]:
                        for x in range(boxes[4 * i], boxes[4 * i + 1] + 1):
                            starts[row * tiles_x + x + 1] += 1
        for _ in range(1):
            total = 0
            starts[0] = 0
            for tile in range(sizes[TILES_X] * sizes[TILES_Y]):
                total += starts[tile + 1]
                starts[tile + 1] = total
            sizes[NEEDED] = total
        for job in range(sizes[TILES_Y] * SPREAD):
            if job % SPREAD == 0 and sizes[NEEDED] <= sizes[CAPACITY]:
                # Filled from the back, each list's end walks down to its start; the next loop puts the ends back.
                row, tiles_x = job // SPREAD, sizes[TILES_X]
                for k in range(sizes[N_THINGS]):
                    i = sizes[N_THINGS] - 1 - k
                    if boxes[4 * i + 2] <= row and row <= boxes[4 * i + 3]:
                        for x in range(boxes[4 * i], boxes[4 * i + 1] + 1):
                            place = starts[row * tiles_x + x + 1] - 1
                            starts[row * tiles_x + x + 1] = place
                            entries[place] = i
        for _ in range(1):
            # Every end is now its own list's start: shift them by one, and the last end is the total.
            tiles = sizes[TILES_X] * sizes[TILES_Y]
            if sizes[NEEDED] <= sizes[CAPACITY]:
                for tile in range(tiles):
                    starts[tile] = starts[tile + 1]
                starts[tiles] = sizes[NEEDED]
        for tile in range(sizes[TILES_X] * sizes[TILES_Y]):
            found = 0
            for b, a in ti.static(ti.ndrange(2, 2)):
                x = ti.min(tile % sizes[TILES_X] + a, sizes[TILES_X] - 1)
                y = ti.min(tile // sizes[TILES_X] + b, sizes[TILES_Y] - 1)
                there = y * sizes[TILES_X] + x
                if starts[there] < starts[there + 1]:
                    found = 1
            busy[tile] = found

    return make_lists
