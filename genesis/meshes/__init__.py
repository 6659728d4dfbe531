"""Closed surfaces of triangles from files: what is inside, their mass, their hull, how far a point is from them."""
