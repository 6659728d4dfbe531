"""The arrays of pictures by name, and the names of the numbers in packed ones."""

from genesis.arrays import LIVES, Array, Table
from genesis.launch import bind, kernel

# `sizes`: integers of a view.
N_THINGS, N_SOLIDS, N_GROUNDS, WIDTH, HEIGHT, TILES_X, TILES_Y, CAPACITY, NEEDED, RECON_FROM = range(10)
N_SIZES = 10
"""CAPACITY: entries there is room for; NEEDED: how many there are; RECON_FROM: the first particle of a smooth body."""

# `view`: reals of a view (three for each of the first four, the rest one each).
ORIGIN, RIGHT, UP, FORWARD, PARALLEL, HALF_WIDTH, HALF_HEIGHT, PER_METRE = 0, 3, 6, 9, 12, 13, 14, 15
N_VIEW = 16
"""RIGHT and UP are unit vectors; HALF_WIDTH is the tangent of half the opening angle, or metres of a parallel view;
PER_METRE is how many pixels there are to a metre in a parallel view."""

# `ball` of a thing: its centre (three), radius.
RADIUS = 3
"""Also of `owner_tint`: red, green, blue, radius of the drawn particles."""

# `boxes` of a thing: tiles that it may touch.
FIRST_X, LAST_X, FIRST_Y, LAST_Y = range(4)
N_BOX = 4

# `about` a thing.
KIND, FIRST_FACE, N_FACES, OWNER = range(4)
N_ABOUT = 4
"""KIND, FIRST_FACE, N_FACES: of solids, FIRST_FACE of a mesh the place of its first node; OWNER: of particles, the
body's place among those of particles."""

# `solid`: rows of four numbers.
AXIS_X, AXIS_Y, AXIS_Z, SIZE = range(4)
SOLID_ROWS = 4
"""AXIS_…: a row of the rotation from the world, and at CENTRE a coordinate of the centre."""
CENTRE = 3

# `faces`: unit normal (three), offset.
OFFSET = 3

# Meshes, each in its own frame. `nodes` of a mesh, the first of which is none: rows of four numbers, the corners of a
# box. `branches` of a node: of a leaf its first triangle and how many it has; of another one the axis along which its
# children lie beside each other, and 0.
NODE_ROWS, N_BRANCH = 2, 2

# `triangles`: rows of four numbers.
FACE, START, FIRST_SIDE, SECOND_SIDE = range(4)
TRIANGLE_ROWS = 4
"""FACE: unit normal, and at OFFSET its offset. START: the first corner, and at SLACK how much of the volume that a ray
spans with a side is rounding, m^3. …_SIDE: from there to the others, and of the first at DOUBLE_AREA twice the area."""
SLACK = DOUBLE_AREA = 3

# `corners`: rows of four numbers, the unit normals at the three corners of a triangle.
CORNER_ROWS = 3

# `ground`: rows of four numbers. Places are relative to the picture's origin.
PLANE, CORNER, FIELD = range(3)
GROUND_ROWS = 3
"""PLANE: normal, and at OFFSET its offset, of a height field its greatest height over the corner. CORNER: where heights
begin, and at SPACING their spacing. FIELD: the numbers below."""
SPACING = 3
IS_FIELD, SAMPLES_X, SAMPLES_Y, FIRST_SAMPLE = range(4)

# `light`: reals.
SUN, SUN_COLOR, SKY, HORIZON, CHECKER_ORIGIN, CHECKER, HAZE, BIAS, GROUND_SEEN = 0, 3, 6, 9, 12, 15, 16, 17, 18
N_LIGHT = 19
"""Direction to the sun, its colour, colours of the sky above and at the horizon, a corner of the floor's pattern seen
from the picture's origin (m), squares of the floor to a metre, 1 over the distance at which haze hides the ground
(1/m), how far off a surface shadows are looked up (m), whether the first ground has a picture of its sky."""

# `gap`: reals of the picture from below the ground.
BELOW, PIXEL = range(2)
N_GAP = 2
"""How far under the ground its rays start, and the edge of its pixels, m."""

TILE = 8
"""Edge of a tile, pixels."""

EVERY = "frames"
"""Life of what each picture writes anew."""

SHOWN: Table = (
    Array("solid", "A4", ("solids", SOLID_ROWS), "constant"),
    Array("about", "I1", ("things", N_ABOUT), "constant"),
    Array("faces", "A4", ("faces",), "constant"),
    Array("ground", "A4", ("grounds", GROUND_ROWS), "constant"),
    Array("heights", "A1", ("heights",), "constant"),
    Array("nodes", "A4", ("nodes", NODE_ROWS), "constant"),
    Array("branches", "I1", ("nodes", N_BRANCH), "constant"),
    Array("triangles", "A4", ("triangles", TRIANGLE_ROWS), "constant"),
    Array("corners", "A4", ("triangles", CORNER_ROWS), "constant"),
)
"""What all views of a picture show. Of solids and grounds the places are those of the moment."""

SIZES = Array("sizes", "I1", (N_SIZES,), EVERY)
VIEW: Table = (Array("view", "A1", (N_VIEW,), EVERY), SIZES)

ENTRIES: Table = (Array("entries", "I1", ("capacity",), EVERY),)
LISTS: Table = (
    *ENTRIES,
    Array("starts", "I1", ("list_ends",), EVERY),
    Array("ball", "A4", ("things",), EVERY),
)
"""`starts` (tiles + 1): places in `entries` of each tile's list of things; a thing is a place in `ball`, nearest
first."""

LISTING: Table = (
    *VIEW,
    *LISTS,
    Array("boxes", "I1", ("things", N_BOX), "scratch"),
    Array("busy", "I1", ("tiles",), EVERY),
)
"""`busy`: 1 where a tile or the next one to the right, below or both ways has an entry."""

CAST: Table = (
    *VIEW,
    *LISTS,
    Array("near", "A1", ("things",), EVERY),
    Array("which", "I1", ("things",), EVERY),
    *SHOWN,
)
"""What rays need. `near`: how near a thing comes at least; `which`: its index among all."""

DEPTH = Array("depth", "AL", ("passes", "packets"), EVERY)
HITS: Table = (
    DEPTH,
    Array("hits", "IL", ("passes", "packets"), EVERY),
    Array("normals", "AL", ("passes", "packets", 3), EVERY),
)
"""How far each ray goes, what it meets, and the normal there."""

TRACE: Table = (*CAST, *HITS)
TRACE_DEPTH: Table = (*CAST, DEPTH)

EDGES = Array("edges", "IL", ("packets",), EVERY)
"""0, or at an edge 1 + the pixel, there or beside it, that knows the normal of a smooth body there."""
FIND_EDGES: Table = (*TRACE, EDGES)

# `flat_…`: arrays of the same name, pixel by pixel.
FLAT_DEPTH = Array("flat_depth", "A1", ("pixels",), EVERY)
FLAT_HITS = Array("flat_hits", "I1", ("pixels",), EVERY)

GAP = Array("gap", "A1", (N_GAP,), EVERY)
VISIBLE = Array("visible", "A1", ("low_pixels",), EVERY)
"""How much of the sky each place of the ground sees, 0 … 1."""
OPENNESS: Table = (FLAT_DEPTH, SIZES, GAP, VISIBLE)

RADII = Array("radius", "A1", ("bodies",), "constant")
"""Of the drawn particles of each body, m."""
SMOOTH: Table = (
    FLAT_HITS,
    FLAT_DEPTH,
    Array("source", "A1", ("pixels", 3), EVERY),
    Array("target", "A1", ("pixels", 3), EVERY),
    RADII,
    *VIEW,
    Array("across", "I1", (1,), "constant"),
)
"""Normals go from `source` to `target`. `across`: 1 for a pass along rows, 0 along columns."""

TINTS: Table = (
    Array("tint", "A4", ("things",), "constant"),
    Array("owner_tint", "A4", ("bodies",), "constant"),
    Array("ground_tint", "A4", ("grounds", 2), "constant"),
    Array("light", "A1", (N_LIGHT,), EVERY),
)
"""Linear colours of each thing; of bodies of particles, and their radius; two of each ground. The light."""

PIXELS = Array("picture", "U1", ("pixels", 3), EVERY)
DRAW: Table = (
    *VIEW,
    *HITS,
    EDGES,
    FLAT_HITS,
    Array("flat_normals", "A1", ("pixels", 3), EVERY),
    Array("sun_busy", "I1", ("sun_tiles",), EVERY),
    Array("sun_view", "A1", (N_VIEW,), EVERY),
    Array("sun_sizes", "I1", (N_SIZES,), EVERY),
    Array("sun_depth", "A1", ("sun_pixels",), EVERY),
    Array("low_view", "A1", (N_VIEW,), EVERY),
    Array("low_sizes", "I1", (N_SIZES,), EVERY),
    VISIBLE,
    *TINTS,
    PIXELS,
)
"""`sun_…`: of what the sun sees; `low_…`: of what the ground sees above it."""

PICTURE: Table = (*TINTS, EDGES, GAP, VISIBLE, RADII, PIXELS)
"""What a picture allocates beside SHOWN and its views."""


def kernel_of(table: Table):
    """Decorator: the function's one argument has all arrays of the table as attributes."""
    return kernel(table, *LIVES)


def bound(kernel, table: Table, arrays, lanes: bool = False):
    """A kernel of the table's arrays, bound to those among `arrays`: see `genesis.launch.bind`."""
    return bind(kernel, {array.name: arrays[array.name] for array in table}, lanes)
