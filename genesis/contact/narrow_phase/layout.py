"""The record of a contact: NUMBERS reals, whose first is number `at` of a flat array.

World axes, origin at the centre of geom A. The contact's outputs are PLACE, NORMAL and DISTANCE; the rest says how they
follow a displacement of geom B (`cases.py`), and what it means depends on CASE.
"""

PLACE = 0
"""Half way between the surfaces (3), m."""
NORMAL = 3
"""Unit vector from A to B (3)."""
DISTANCE = 6
"""Between the surfaces along the normal, m; negative when they overlap."""
CASE = 7
"""Which of CASES says how the contact moves; a small integer, as a real."""
U = 8
"""First vector of the case (3)."""
V = 11
"""Second vector of the case (3)."""
ROUNDS = 14
"""Four numbers of the case: radii of curvature of A along and across U, of B along and across V."""
SLIDE = 18
"""Six numbers of the case: a derivative by B's translation (3) and by its rotation about its own centre (3)."""
SIZES = 24
"""Four numbers of the case: derivatives by B's three sizes and by half of A's straight part."""
NUMBERS = 28
"""Reals of one record."""

MOST = 8
"""Most contacts of one pair of geoms."""

FLAT = -1.0
"""Radius of curvature of what is straight: an edge along itself, a face."""

ROLLING, SLIDING, CLIPPED_A, CLIPPED_B, EDGES, FACES = CASES = range(6)
"""How a contact moves.

ROLLING: two surfaces touch where their normals are opposite. U and V are unit tangents of A and of B, ROUNDS the radii
of curvature: 0, 0 for a vertex, r, r for a sphere, FLAT, r for the side of a capsule or an edge (r = 0) along U or V,
FLAT, FLAT for a face. Not both may be flat along one direction.

SLIDING: the same, but A's point is the centre of a sphere that slides along a line of A: U is the line's vector, not
unit, and SLIDE the derivative of the multiple of U at which the point is. SIZES is what sizes move this point by, in
multiples of U.

CLIPPED_A, CLIPPED_B: a face, of A or of B, and a point of the other body's surface. Normal and distance are the face's;
the point is displaced by ROUNDS[0] * v + U (V . v), where v is the velocity of the other body's material against that
of the face's body. A vertex: ROUNDS[0] = 1, U = 0. An edge along u cut by a side plane with normal k: ROUNDS[0] = 1,
V = k, U = -u / (u . k). The point of a face with normal m above a fixed point of this face, whose normal is n:
ROUNDS[0] = 0, V = m, U = n / (n . m). A point of the lowest line of a round side, with ROUNDS[1] its radius and
SLIDE[:3] its axis, rolls off this line as well: which line it is says the normal of the record that is SLIDE[3] records
farther, of the nearest points. With ROUNDS[2] = 1 its arm is the projection of a vector as long as the radius, and
ROUNDS[3] is what point and face have around them together, m.

FACES: as CLIPPED_A, but SLIDE[:3] is the normal of A's face, from whose foot on that face the distance and the place
are measured along the normal of B's face, which is the contact's.

EDGES: two edges along the unit vectors U and V; the normal is across both, but the nearest points are not both free.
SLIDE[:3] is the vector from A's point to B's, and the place is half way between these; ROUNDS[0] = 1 if A's point
slides, ROUNDS[1] = 1 if B's does, at most one. If both slide, it is ROLLING with radii FLAT, 0, FLAT, 0.
"""
