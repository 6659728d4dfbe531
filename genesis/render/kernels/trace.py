"""What rays meet first: a thing of their tile's list, or a ground.

A *packet* is `layout().width` neighbouring pixels of a row, whose rays are followed side by side
(`genesis.math.lanes`). Pictures are stored in packets, row by row; rows are as long as their tiles, and so perhaps
longer than is shown.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import Vec, any_lane, greatest, lane, lanes3, numbered, of_lane, set_lane, where, whole
from genesis.render.kernels.arrays import (
    AXIS_X,
    AXIS_Y,
    AXIS_Z,
    CENTRE,
    CORNER,
    FIELD,
    FIRST_FACE,
    FIRST_SAMPLE,
    FORWARD,
    GROUND_ROWS,
    HALF_HEIGHT,
    HALF_WIDTH,
    HEIGHT,
    IS_FIELD,
    KIND,
    N_ABOUT,
    N_FACES,
    N_GROUNDS,
    N_SOLIDS,
    OFFSET,
    ORIGIN,
    OWNER,
    PARALLEL,
    PLANE,
    RADIUS,
    RECON_FROM,
    RIGHT,
    SAMPLES_X,
    SAMPLES_Y,
    SIZE,
    SOLID_ROWS,
    SPACING,
    UP,
    WIDTH,
)
from genesis.render.kernels.shapes import FAR, MESH, shapes
from genesis.render.kernels.triangles import triangles

NOTHING = -1
"""What a ray hits that hits nothing. Grounds are NOTHING - 1 - index; a solid is its index, a particle its index
behind the solids, and of a body drawn as a smooth surface all particles are RECON + owner."""
RECON = 1 << 28
MARCH, BISECT = 600, 12
"""Steps along a ray over a height field, and halvings of the step that crosses it."""


@per_runtime
def tracing(meshes: bool) -> Functions:
    """`meshes`: whether there are any; without, kernels know nothing of them."""
    lay, shape = layout(), shapes()
    mesh = triangles() if meshes else None
    real, vec3 = lay.real, lay.vec3

    @ti.func
    def vector(packed: ti.template(), at):
        return Vec(packed[at], packed[at + 1], packed[at + 2])

    @ti.func
    def rays(a: ti.template(), x, y):
        """Origins and unit directions through a packet whose first ray goes through the point (x, y) of the picture,
        pixels from its top left corner."""
        column, _ = numbered()
        u = (2.0 * (column + x) / a.sizes[WIDTH] - 1.0) * a.view[HALF_WIDTH]
        v = (1.0 - 2.0 * y / a.sizes[HEIGHT]) * a.view[HALF_HEIGHT]
        across = vector(a.view, RIGHT) * u + vector(a.view, UP) * v
        o, d = lanes3(), lanes3()
        o += vector(a.view, ORIGIN)
        d += vector(a.view, FORWARD)
        if a.view[PARALLEL] > 0.5:
            o += across
        else:
            d += across
            d *= 1.0 / d.norm()
        return o, d

    @ti.func
    def weights(f):
        """Quadratic B-spline at f in -1/2 … 1/2 from the middle sample, and its slope."""
        return vec3(0.5 * (0.5 - f) ** 2, 0.75 - f * f, 0.5 * (0.5 + f) ** 2), vec3(f - 0.5, -2.0 * f, f + 0.5)

    @ti.func
    def field(a: ti.template(), x, y, spacing, info):
        """Height and its slopes over the point (x, y) from the corner of a height field."""
        nx, ny = ti.cast(info[SAMPLES_X], ti.i32), ti.cast(info[SAMPLES_Y], ti.i32)
        first = ti.cast(info[FIRST_SAMPLE], ti.i32)
        s, t = x / spacing, y / spacing
        s_in, t_in = ti.min(ti.max(s, 0.5), nx - 1.5), ti.min(ti.max(t, 0.5), ny - 1.5)
        i = ti.min(ti.cast(ti.floor(s_in + 0.5), ti.i32), nx - 2)
        j = ti.min(ti.cast(ti.floor(t_in + 0.5), ti.i32), ny - 2)
        wx, dx = weights(s_in - i)
        wy, dy = weights(t_in - j)
        v, vy = vec3(0.0), vec3(0.0)
        for k in ti.static(range(3)):
            line = first + (i + k - 1) * ny + j
            three = vec3(a.heights[line - 1], a.heights[line], a.heights[line + 1])
            v[k], vy[k] = three.dot(wy), three.dot(dy)
        inside_x, inside_y = ti.cast(s == s_in, real), ti.cast(t == t_in, real)
        return v.dot(wx), inside_x * v.dot(dx) / spacing, inside_y * vy.dot(wx) / spacing

    @ti.func
    def march(a: ti.template(), q, d, level, spacing, info):
        """Length along one ray to a height field from above it, `q` from its corner; FAR if there is no hit."""
        t, down = ti.cast(FAR, real), -d[2]
        step = 0.5 * spacing / ti.max(ti.sqrt(d[0] * d[0] + d[1] * d[1]), 0.05)
        s = ti.cast(0.0, real)
        if q[2] > level and down > 1e-9:
            s = (q[2] - level) / down
        last = s
        found = 0
        for _ in range(MARCH):
            h, _sx, _sy = field(a, q[0] + s * d[0], q[1] + s * d[1], spacing, info)
            if q[2] + s * d[2] < h:
                found = 1
                break
            if down <= 0.0 and q[2] + s * d[2] > level:
                break
            last = s
            s += step
        if found == 1 and s > last:
            for _ in range(BISECT):
                middle = 0.5 * (last + s)
                h, _sx, _sy = field(a, q[0] + middle * d[0], q[1] + middle * d[1], spacing, info)
                if q[2] + middle * d[2] < h:
                    s = middle
                else:
                    last = middle
            t = s
        return t

    @ti.func
    def meet_ground(a: ti.template(), g, o: ti.template(), d: ti.template()):
        """Length along each ray to a ground, from above it only; FAR if there is no hit."""
        row = GROUND_ROWS * g
        plane, info = lay.get4(a.ground, row + PLANE), lay.get4(a.ground, row + FIELD)
        n = Vec(plane[0], plane[1], plane[2])
        t = lane(FAR)
        if info[IS_FIELD] < 0.5:
            over, down = n.dot(o) - plane[OFFSET], 0.0 - n.dot(d)
            meets = (down > 1e-9) & (over > 0.0)
            t = where(meets, over / where(meets, down, lane(1.0)), t)
        else:
            corner = lay.get4(a.ground, row + CORNER)
            q = o - Vec(corner[0], corner[1], corner[2])
            for j in range(lay.width):
                one = vec3(of_lane(q[0], j), of_lane(q[1], j), of_lane(q[2], j))
                along = vec3(of_lane(d[0], j), of_lane(d[1], j), of_lane(d[2], j))
                set_lane(t, j, march(a, one, along, plane[OFFSET], corner[SPACING], info))
        return t

    @ti.func
    def ground_normal(a: ti.template(), g, point: ti.template()):
        row = GROUND_ROWS * g
        plane, info = lay.get4(a.ground, row + PLANE), lay.get4(a.ground, row + FIELD)
        n = lanes3()
        n += Vec(plane[0], plane[1], plane[2])
        if info[IS_FIELD] > 0.5:
            corner = lay.get4(a.ground, row + CORNER)
            for j in range(lay.width):
                x, y = of_lane(point[0], j) - corner[0], of_lane(point[1], j) - corner[1]
                _h, sx, sy = field(a, x, y, corner[SPACING], info)
                shrink = 1.0 / ti.sqrt(1.0 + sx * sx + sy * sy)
                set_lane(n[0], j, -sx * shrink)
                set_lane(n[1], j, -sy * shrink)
                set_lane(n[2], j, shrink)
        return n

    @ti.func
    def cast(a: ti.template(), o: ti.template(), d: ti.template(), tile, full: ti.template()):
        """What each ray meets first (see NOTHING), how far, and the normal there (zero unless `full`)."""
        t, hit, name, normal = lane(FAR), whole(NOTHING), whole(NOTHING), lanes3()
        farthest = ti.cast(FAR, real)
        for k in range(a.starts[tile], a.starts[tile + 1]):
            i = a.entries[k]
            if a.near[i] > farthest:  # nothing farther down the list can be nearer
                break
            b = lay.get4(a.ball, i)
            c = Vec(b[0], b[1], b[2]) - o
            along = c.dot(d)
            p = d * along - c  # from the centre to the ray's nearest point
            over = b[RADIUS] * b[RADIUS] - p.dot(p)
            if any_lane(over > 0.0):
                thing = a.which[i]
                s = along - ti.sqrt(ti.max(over, 0.0))
                n = (d * s - c) * (1.0 / b[RADIUS])
                shown = thing
                if thing < a.sizes[N_SOLIDS]:
                    row = SOLID_ROWS * thing
                    first, second = lay.get4(a.solid, row + AXIS_X), lay.get4(a.solid, row + AXIS_Y)
                    third, size = lay.get4(a.solid, row + AXIS_Z), lay.get4(a.solid, row + SIZE)
                    at = Vec(first[CENTRE], second[CENTRE], third[CENTRE]) - o
                    along = at.dot(d)
                    m = d * along - at
                    local_m = Vec(first[0] * m[0] + first[1] * m[1] + first[2] * m[2],
                                  second[0] * m[0] + second[1] * m[1] + second[2] * m[2],
                                  third[0] * m[0] + third[1] * m[1] + third[2] * m[2])  # fmt: skip
                    local_d = Vec(first[0] * d[0] + first[1] * d[1] + first[2] * d[2],
                                  second[0] * d[0] + second[1] * d[1] + second[2] * d[2],
                                  third[0] * d[0] + third[1] * d[1] + third[2] * d[2])  # fmt: skip
                    place = N_ABOUT * thing
                    kind, begin, count = a.about[place + KIND], a.about[place + FIRST_FACE], a.about[place + N_FACES]
                    into, triangle = shape.enter(a, kind, size, begin, count, local_m, local_d), whole(-1)
                    if ti.static(meshes):
                        if kind == MESH:
                            most = t + 2e-4 * b[RADIUS] - along
                            into, triangle = mesh.meet(a, begin, local_m, local_d, 1e-6 - along, most)
                            into = where(triangle >= 0, into, lane(FAR))
                    s = along + into
                    if ti.static(full):
                        q = local_m + local_d * where(into < FAR, into, lane())
                        m = shape.normal(a, kind, size, begin, count, q)
                        if ti.static(meshes):
                            if kind == MESH:
                                m = mesh.normal(a, triangle, local_d, q)
                        n = Vec(first[0] * m[0] + second[0] * m[1] + third[0] * m[2],
                                first[1] * m[0] + second[1] * m[1] + third[1] * m[2],
                                first[2] * m[0] + second[2] * m[1] + third[2] * m[2])  # fmt: skip
                elif thing >= a.sizes[RECON_FROM]:
                    shown = RECON + a.about[N_ABOUT * thing + OWNER]
                # Of surfaces in one place, as where limbs share a joint, the last thing shows everywhere.
                slack = 2e-4 * b[RADIUS]
                taken = (over > 0.0) & (s > 1e-6) & ((s < t - slack) | ((s < t + slack) & (hit < thing)))
                if any_lane(taken):
                    t = where(taken, s, t)
                    hit, name = where(taken, whole(thing), hit), where(taken, whole(shown), name)
                    if ti.static(full):
                        normal = where(taken, n, normal)
                    farthest = greatest(t)
        for g in range(a.sizes[N_GROUNDS]):
            s = meet_ground(a, g, o, d)
            nearer = s < t
            if any_lane(nearer):
                t, name = where(nearer, s, t), where(nearer, whole(NOTHING - 1 - g), name)
                if ti.static(full):
                    normal = where(nearer, ground_normal(a, g, o + d * s), normal)
        return name, t, normal

    return Functions(rays=rays, cast=cast, vector=vector)
