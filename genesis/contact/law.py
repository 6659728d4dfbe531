"""The law of contact between a collider and one point of matter that has a mass and a velocity: a grid node, a vertex.

    influence  a = 1 inside, exp(-distance / softness) outside, shifted to be zero at `FADE` softness lengths
    with r = v - (velocity of the body there), n the normal, r_n = min(r.n, 0):
        v' = v + a (max(0, 1 + mu r_n / |r_t|) r_t - r)      where r.n < 0,      v' = v elsewhere.
Kinks (the derivative jumps, the value does not): r.n = 0, the edge of sticking, distance 0.
Source: the contact rule of PlasticineLab (Huang et al. 2021, section 3), with a continuous cut-off.

Bodies that yield come out of this with another velocity than they had before. The points near them are offered to them
first, for them to say with which (`genesis.solvers.rigid.yielding`).

`a` has the arrays of `genesis.contact.colliders`,
and `contact_cache` (rows of two for each point and collider) of the solver
whose points these are. s is the scene's substep, b the environment, chunk the partial sum that the point adds to.
"""

import math

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.colliders import CHUNKS, COLLIDERS, ENVS, POINTS
from genesis.contact.shapes import FADE, PLANE, shapes
from genesis.math.kernels import rotations


@per_runtime
def contact(meshes: bool = False, yielding: bool = False) -> Functions:
    """Functions of kernels; with `meshes` `a` has the arrays of `genesis.contact.grids`, too. `yielding`: some
    colliders come out of it with another velocity; then points are listed, and resolved as they are listed."""
    lay, shape, turn = layout(), shapes(meshes), rotations()
    real, vec3, vec4 = lay.real, lay.vec3, lay.vec4
    get4, put4, add4 = lay.get4, lay.put4, lay.add4
    floor = math.exp(-FADE)

    @ti.func
    def pose_at(s, b, a: ti.template()):
        """Index of the pose of the first collider."""
        return (s * a.counts[ENVS] + b) * a.counts[COLLIDERS]

    @ti.func
    def sum_at(s, b, chunk, a: ti.template()):
        """Index of the first collider's partial sum."""
        return ((s * a.counts[CHUNKS] + chunk) * a.counts[ENVS] + b) * a.counts[COLLIDERS]

    @ti.func
    def point_at(b, chunk, index, a: ti.template()):
        """Row of an offered point among those of all chunks and environments."""
        return (chunk * a.counts[ENVS] + b) * a.counts[POINTS] + index

    @ti.func
    def offer_at(b, chunk, index, a: ti.template()):
        """First row of an offered point: (x, m), (v, -), and then (normal, influence) of each collider near it."""
        return point_at(b, chunk, index, a) * (2 + a.counts[COLLIDERS])

    @ti.func
    def near(x, at, k, a: ti.template()):
        """Influence of collider k, with pose `at`, on x, its slope along the normal, normal, and x in the body's frame.

        Influence 0 where the body is too far.
        """
        influence, slope, n, y = ti.cast(0.0, real), ti.cast(0.0, real), vec3(0.0), vec3(0.0)
        r = x - get4(a.poses, 4 * at)[:3]
        row, extra = get4(a.shapes, 2 * k), get4(a.shapes, 2 * k + 1)
        kind = ti.cast(row[0], ti.i32)
        if kind == PLANE or r.dot(r) < extra[1]:
            quat = get4(a.poses, 4 * at + 1)
            y = turn.unrotate(quat, r)
            d, local, steep = shape.distance(kind, row[1:], y, a)
            if d < FADE * extra[0] or d <= 0.0:
                n = turn.rotate(quat, local)
                influence = 1.0
                if d > 0.0:
                    e = ti.exp(-d / extra[0])
                    influence = (e - floor) / (1.0 - floor)
                    slope = -e * steep / (extra[0] * (1.0 - floor))
        return influence, slope, n, y

    @ti.func
    def body_velocity(at, r, a: ti.template()):
        return get4(a.poses, 4 * at + 2)[:3] + get4(a.poses, 4 * at + 3)[:3].cross(r)

    @ti.func
    def slide(rel, n, mu):
        """Relative velocity after full contact, and the factor on its tangential part. rel.n < 0."""
        nc = rel.dot(n)
        tangent = rel - nc * n
        length = tangent.norm()
        keep = ti.cast(0.0, real)
        if mu == 0.0:
            keep = 1.0
        elif length > -mu * nc:
            keep = 1.0 + mu * nc / length
        return keep * tangent, tangent, length, keep, nc

    @ti.func
    def respond(v, n, influence, r, at, a: ti.template()):
        """The rule: v' of a point where the collider has this influence and normal n."""
        out = v
        if influence > 0.0:
            rel = v - body_velocity(at, r, a)
            if rel.dot(n) < 0.0:
                slid, _tangent, _length, _keep, _nc = slide(rel, n, get4(a.poses, 4 * at)[3])
                out = v + influence * (slid - rel)
        return out

    @ti.func
    def push(J, r, at, a: ti.template()):
        """Adds an impulse (N s), and its moment, to those of a collider."""
        if J.dot(J) > 0.0:
            moment = r.cross(J)
            add4(a.impulse, 2 * at, vec4(J[0], J[1], J[2], 0.0))
            add4(a.impulse, 2 * at + 1, vec4(moment[0], moment[1], moment[2], 0.0))

    @ti.func
    def resolve(v, x, m, s, b, chunk, a: ti.template()):
        """Velocity of a point of mass m at x after all colliders, which get the impulse (N s) and its moment."""
        out = v
        pose, slot = pose_at(s, b, a), sum_at(s, b, chunk, a)
        for k in range(a.counts[COLLIDERS]):
            influence, _slope, n, _y = near(x, pose + k, k, a)
            r = x - get4(a.poses, 4 * (pose + k))[:3]
            resolved = respond(out, n, influence, r, pose + k, a)
            push(m * (out - resolved), r, slot + k, a)
            out = resolved
        return out

    @ti.func
    def clear_offers(b, chunk, a: ti.template()):
        if ti.static(yielding):
            a.offered[chunk * a.counts[ENVS] + b] = 0

    @ti.func
    def offer_collider(row, found, n, influence, k, b, chunk, a: ti.template()):
        """Lists collider k as the next one near a point; returns the point's first row, which it gets if it is the
        first."""
        first = row
        if found == 0:
            first = offer_at(b, chunk, ti.atomic_add(a.offered[chunk * a.counts[ENVS] + b], 1), a)
        put4(a.offers, first + 2 + found, vec4(n[0], n[1], n[2], influence))
        a.offer_of[first + 2 + found] = k
        return first

    @ti.func
    def offer_point(row, found, yields, v, x, m, c, a: ti.template()):
        """Lists a point of row c among moved ones. The count of colliders near it is negative if none yields."""
        put4(a.offers, row, vec4(x[0], x[1], x[2], m))
        put4(a.offers, row + 1, vec4(v[0], v[1], v[2], 0.0))
        a.offer_of[row] = found if yields else -found
        a.offer_of[row + 1] = c

    @ti.func
    def may_yield(k, a: ti.template()):
        return get4(a.shapes, 2 * k + 1)[2] > 0.0

    @ti.func
    def offer(v, x, m, s, b, chunk, c, a: ti.template()):
        """Lists the point if a collider is near it."""
        pose, row, found, yields = pose_at(s, b, a), -1, 0, False
        for k in range(a.counts[COLLIDERS]):
            influence, _slope, n, _y = near(x, pose + k, k, a)
            if influence > 0.0:
                row = offer_collider(row, found, n, influence, k, b, chunk, a)
                found += 1
                yields = yields or may_yield(k, a)
        if found > 0:
            offer_point(row, found, yields, v, x, m, c, a)

    @ti.func
    def count_offers(b, chunk, a: ti.template()):
        return a.offered[chunk * a.counts[ENVS] + b]

    @ti.func
    def resolve_offered(index, s, b, chunk, a: ti.template()):
        """Of a point that is listed, as `resolve`: its velocity then; its place and mass, and its row."""
        row, pose, slot = offer_at(b, chunk, index, a), pose_at(s, b, a), sum_at(s, b, chunk, a)
        x4, v4 = get4(a.offers, row), get4(a.offers, row + 1)
        x, out = x4[:3], v4[:3]
        for e in range(ti.abs(a.offer_of[row])):
            k, n4 = a.offer_of[row + 2 + e], get4(a.offers, row + 2 + e)
            r = x - get4(a.poses, 4 * (pose + k))[:3]
            resolved = respond(out, n4[:3], n4[3], r, pose + k, a)
            push(x4[3] * (out - resolved), r, slot + k, a)
            out = resolved
        return out, x4, a.offer_of[row + 1]

    @ti.func
    def offered_point(index, b, chunk, a: ti.template()):
        """Of a point that is listed: its place and mass, and its row."""
        row = offer_at(b, chunk, index, a)
        return get4(a.offers, row), a.offer_of[row + 1]

    @ti.func
    def note_cotangent(index, b, chunk, g, a: ti.template()):
        """Of its velocity behind colliders."""
        put4(a.goffers, point_at(b, chunk, index, a), vec4(g[0], g[1], g[2], 0.0))

    @ti.func
    def cotangent_of(index, b, chunk, a: ti.template()):
        return get4(a.goffers, point_at(b, chunk, index, a))[:3]

    @ti.func
    def trace(v, x, m, s, b, chunk, c, a: ti.template()):
        """As `resolve`, for the adjoint: notes each collider's (normal, influence) and (local position, slope). And as
        `offer`, where colliders yield."""
        out = v
        pose, row = pose_at(s, b, a), c * a.counts[COLLIDERS]
        offered, found, yields = -1, 0, False
        for k in range(a.counts[COLLIDERS]):
            influence, slope, n, y = near(x, pose + k, k, a)
            put4(a.contact_cache, 2 * (row + k), vec4(n[0], n[1], n[2], influence))
            put4(a.contact_cache, 2 * (row + k) + 1, vec4(y[0], y[1], y[2], slope))
            if ti.static(yielding):
                if influence > 0.0:
                    offered = offer_collider(offered, found, n, influence, k, b, chunk, a)
                    found += 1
                    yields = yields or may_yield(k, a)
            r = x - get4(a.poses, 4 * (pose + k))[:3]
            out = respond(out, n, influence, r, pose + k, a)
        if ti.static(yielding):
            if found > 0:
                offer_point(offered, found, yields, v, x, m, c, a)
        return out

    @ti.func
    def resolve_adjoint(v, x, m, g, s, b, chunk, c, a: ti.template()):
        """Cotangents of the velocity before all colliders and of the mass, from those of the velocity after them and of
        impulses, beside them of those to which links yielded; adds the colliders' own to gposes. After `trace`."""
        gv, gm = g, ti.cast(0.0, real)
        pose, gpose, row = pose_at(s, b, a), sum_at(s, b, chunk, a), c * a.counts[COLLIDERS]
        for later in range(a.counts[COLLIDERS]):
            k = a.counts[COLLIDERS] - 1 - later
            n4, y4 = get4(a.contact_cache, 2 * (row + k)), get4(a.contact_cache, 2 * (row + k) + 1)
            influence, n, at = n4[3], n4[:3], pose + k
            if influence > 0.0:
                w = v
                for j in range(k):
                    other = get4(a.contact_cache, 2 * (row + j))
                    w = respond(w, other[:3], other[3], x - get4(a.poses, 4 * (pose + j))[:3], pose + j, a)
                r = x - get4(a.poses, 4 * at)[:3]
                spin = get4(a.poses, 4 * at + 3)[:3]
                rel = w - body_velocity(at, r, a)
                if rel.dot(n) < 0.0:
                    mu = get4(a.poses, 4 * at)[3]
                    slid, tangent, length, keep, nc = slide(rel, n, mu)
                    # impulse J = m (w - w') = -m step, and its moment r x J
                    gforce, gmoment = get4(a.gimpulse, 2 * at)[:3], get4(a.gimpulse, 2 * at + 1)[:3]
                    if ti.static(yielding):
                        gforce += get4(a.ganswer, 2 * at)[:3]
                        gmoment += get4(a.ganswer, 2 * at + 1)[:3]
                    gJ = gforce + gmoment.cross(r)
                    step = influence * (slid - rel)
                    gm -= gJ.dot(step)
                    gposition = gmoment.cross(step) * (0.0 - m)
                    gout = gv - m * gJ
                    # w' = w + influence (keep tangent - rel)
                    ginfluence = gout.dot(slid - rel)
                    gslid = influence * gout
                    gtangent = keep * gslid
                    gnc, gmu = ti.cast(0.0, real), ti.cast(0.0, real)
                    if keep > 0.0 and length > 0.0:
                        gkeep = gslid.dot(tangent)
                        gmu = gkeep * nc / length
                        gnc = gkeep * mu / length
                        gtangent += (-gkeep * mu * nc / (length * length * length)) * tangent
                    gnc -= gtangent.dot(n)
                    gn = gnc * rel - nc * gtangent
                    grel = gtangent - gslid + gnc * n
                    gv += grel
                    # velocity of the body at r
                    gposition = gposition - spin.cross(grel)
                    gspin = grel.cross(r)
                    # normal and influence are functions of the pose
                    quat, shape_row = get4(a.poses, 4 * at + 1), get4(a.shapes, 2 * k)
                    gnormal = turn.rotate(
                        quat, shape.normal_adjoint(ti.cast(shape_row[0], ti.i32), shape_row[1:], y4[:3],
                                                    turn.unrotate(quat, gn), a)
                    )
                    gd = ginfluence * y4[3]
                    gposition = gposition - gnormal - gd * n
                    gturn = turn.tangent_to_quaternion(quat, n.cross(gn) - r.cross(gnormal + gd * n))
                    add4(a.gposes, 4 * (gpose + k), vec4(gposition[0], gposition[1], gposition[2], gmu))
                    add4(a.gposes, 4 * (gpose + k) + 1, gturn)
                    add4(a.gposes, 4 * (gpose + k) + 2, vec4(-grel[0], -grel[1], -grel[2], 0.0))
                    add4(a.gposes, 4 * (gpose + k) + 3, vec4(gspin[0], gspin[1], gspin[2], 0.0))
        return gv, gm

    @ti.func
    def answers(s, b, a: ti.template()):
        """Whether any collider's impulse has a cotangent."""
        any_ = False
        for k in range(2 * a.counts[COLLIDERS]):
            g = get4(a.gimpulse, 2 * pose_at(s, b, a) + k)
            if ti.max(ti.abs(g[0]), ti.abs(g[1]), ti.abs(g[2]), ti.abs(g[3])) > 0.0:
                any_ = True
        return any_

    return Functions(
        pose_at=pose_at, sum_at=sum_at, offer_at=offer_at, body_velocity=body_velocity, slide=slide, resolve=resolve,
        clear_offers=clear_offers, offer=offer, count_offers=count_offers, resolve_offered=resolve_offered,
        offered_point=offered_point, note_cotangent=note_cotangent, cotangent_of=cotangent_of, trace=trace,
        resolve_adjoint=resolve_adjoint, answers=answers, yielding=yielding,
    )  # fmt: skip


@per_runtime
def no_contact() -> Functions:
    """Of a scene without colliders: the same functions, doing nothing."""
    real = layout().real

    @ti.func
    def resolve(v, x, m, s, b, chunk, a: ti.template()):
        return v

    @ti.func
    def clear_offers(b, chunk, a: ti.template()):
        pass

    @ti.func
    def trace(v, x, m, s, b, chunk, c, a: ti.template()):
        return v

    @ti.func
    def resolve_adjoint(v, x, m, g, s, b, chunk, c, a: ti.template()):
        return g, ti.cast(0.0, real)

    @ti.func
    def answers(s, b, a: ti.template()):
        return False

    return Functions(
        resolve=resolve, clear_offers=clear_offers, trace=trace, resolve_adjoint=resolve_adjoint, answers=answers,
        yielding=False,
    )  # fmt: skip
