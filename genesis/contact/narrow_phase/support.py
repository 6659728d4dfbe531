"""Convex shapes by their farthest points. Spheres and capsules are a point and a segment with a radius around them.

A shape is one object while kernels are compiled: `kind`, `size` (3, MuJoCo's), `hull` (where its header stands, of
meshes), `place` (3, its centre) and `turn` (3x3, to the world).
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.hulls import COUNT, FIRST

SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX, HULL = KINDS = range(6)
"""Kinds of shapes, the lower first: of a pair, geom A is the lower."""


@per_runtime
def supports() -> Functions:
    lay = layout()
    real, vec3 = lay.real, lay.vec3
    tiny = 1e-15

    @ti.func
    def corner(size, index):
        """Corner of a box; bit c of its index says whether coordinate c is positive."""
        v = size
        for c in ti.static(range(3)):
            if (index >> c) & 1 == 0:
                v[c] = -size[c]
        return v

    @ti.func
    def vertex(a: ti.template(), s: ti.template(), index):
        """Vertex of a hull, in its frame."""
        at = 3 * (a.mesh[s.hull + FIRST] + index)
        return vec3(a.vertex[at], a.vertex[at + 1], a.vertex[at + 2])

    @ti.func
    def core(a: ti.template(), s: ti.template(), index):
        """Point of a shape's polytope by its index, in the world: corner, end of a capsule's or cylinder's axis, centre."""
        x = vec3(0.0)
        if s.kind == HULL:
            x = vertex(a, s, index)
        elif s.kind == BOX:
            x = corner(s.size, index)
        elif s.kind == CAPSULE or s.kind == CYLINDER:
            x[2] = s.size[1] * (2 * index - 1)
        return s.place + s.turn @ x

    @ti.func
    def farthest(a: ti.template(), s: ti.template(), d):
        """Index of the point of a shape's polytope that is farthest along d."""
        index = 0
        local = s.turn.transpose() @ d
        if s.kind == HULL:
            at = 3 * a.mesh[s.hull + FIRST]
            most = a.vertex[at] * local[0] + a.vertex[at + 1] * local[1] + a.vertex[at + 2] * local[2]
            for i in range(1, a.mesh[s.hull + COUNT]):
                j = at + 3 * i
                along = a.vertex[j] * local[0] + a.vertex[j + 1] * local[1] + a.vertex[j + 2] * local[2]
                if along > most:
                    most = along
                    index = i
        elif s.kind == BOX:
            for c in ti.static(range(3)):
                if local[c] >= 0.0:
                    index += 1 << c
        elif s.kind == CAPSULE or s.kind == CYLINDER:
            if local[2] >= 0.0:
                index = 1
        return index

    @ti.func
    def bulge(s: ti.template(), d):
        """What a curved shape adds to the point of its polytope that is farthest along d: an ellipsoid, a disc."""
        x = vec3(0.0)
        if s.kind == ELLIPSOID:
            local = s.turn.transpose() @ d * s.size
            x = s.turn @ (s.size * local / ti.max(local.norm(), 1e-30))
        elif s.kind == CYLINDER:
            local = s.turn.transpose() @ d
            local[2] = 0.0
            across = local.norm()
            if across >= tiny:
                x = s.turn @ (local * (s.size[0] / across))
        return x

    @ti.func
    def support(a: ti.template(), s: ti.template(), d):
        """The point of a shape, without its radius, that is farthest along the unit vector d, and its index."""
        index = farthest(a, s, d)
        return core(a, s, index) + bulge(s, d), index

    @ti.func
    def radius(s: ti.template()):
        """The radius around a shape that is a point or a segment."""
        r = ti.cast(0.0, real)
        if s.kind == SPHERE or s.kind == CAPSULE:
            r = s.size[0]
        return r

    @ti.func
    def bounding(s: ti.template()):
        """Radius of a sphere about the centre that holds a shape, as MuJoCo has it."""
        r = s.size.norm()
        if s.kind == SPHERE:
            r = s.size[0]
        elif s.kind == CAPSULE:
            r = s.size[0] + s.size[1]
        elif s.kind == ELLIPSOID:
            r = s.size.max()
        elif s.kind == CYLINDER:
            r = ti.sqrt(s.size[0] * s.size[0] + s.size[1] * s.size[1])
        return r

    @ti.func
    def curved(s: ti.template()):
        return s.kind == ELLIPSOID or s.kind == CYLINDER

    return Functions(core=core, farthest=farthest, bulge=bulge, support=support, radius=radius, bounding=bounding,
                     curved=curved, vertex=vertex, corner=corner)  # fmt: skip
