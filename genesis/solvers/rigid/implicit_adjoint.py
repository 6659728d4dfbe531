"""The adjoint of `implicit`: lambda = gX + J'(U)^T W lambda.

It is solved by the diagonal blocks of J', again until lambda obeys the equation with all of J'.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.colliders import CHUNKS, COLLIDERS, ENVS, FORCE, MOMENT
from genesis.contact.law import contact
from genesis.launch import kernel
from genesis.solvers.rigid.implicit import MOST, implicit
from genesis.solvers.rigid.reaction_layout import (
    ACTIVE,
    BACKWARD,
    CENTRE,
    DIRECT,
    FRAME,
    GIVEN,
    K_ROWS,
    LAMBDA,
    LINKS,
    PULLED,
    TABLE,
    THROUGH,
    TRIAL,
)  # fmt: skip
from genesis.solvers.rigid.wrenches import wrenches


@per_runtime
def implicit_adjoint() -> Functions:
    lay, law, of_link, im = layout(), contact(), wrenches(), implicit()
    real, vec3, vec4, get4, put4 = lay.real, lay.vec3, lay.vec4, lay.get4, lay.put4
    three, put, padded = of_link.three, of_link.put, of_link.padded
    row, rows_of, rounding = im.row, im.rows_of, im.rounding

    @ti.func
    def pull_point(at, count, own, g_behind, s, b, a: ti.template()):
        """Of a point whose rows are at `at`: what links get from W lambda, by way of what it gives to them; with `own`
        1 and not 0, from the cotangents of its velocity behind colliders and of impulses."""
        x4, v4 = get4(a.offers, at), get4(a.offers, at + 1)
        x, m, pose, g = x4[:3], x4[3], law.pose_at(s, b, a), own * g_behind
        for later in range(count):
            v = v4[:3]
            for e in range(count - later):
                k, n4 = a.offer_of[at + 2 + e], get4(a.offers, at + 2 + e)
                n, to = n4[:3], rows_of(b, k, a)
                u, rho = im.meets(pose + k, x, to, a)
                rel = v - u
                if rel.dot(n) < 0.0:
                    mu = get4(a.poses, 4 * (pose + k))[3]
                    slid, tangent, length, keep, _nc = law.slide(rel, n, mu)
                    v += n4[3] * (slid - rel)
                    if e == count - 1 - later:
                        r, impulse = x - get4(a.poses, 4 * (pose + k))[:3], 2 * (pose + k)
                        gJ = get4(a.gimpulse, impulse)[:3] + get4(a.gimpulse, impulse + 1)[:3].cross(r)
                        back = g - own * m * gJ
                        if to >= 0:
                            w, turn_w = a.mobility[2 * a.link_of[k]], a.mobility[2 * a.link_of[k] + 1]
                            linear, angular = get4(a.link_rows, to + LAMBDA), get4(a.link_rows, to + LAMBDA + 1)
                            back = back - m * (w * linear[:3] + turn_w * angular[:3].cross(rho))
                        side, lean = im.opposed(n, tangent, length, keep, mu)
                        through = (1.0 - keep) * back + (keep * n.dot(back)) * n - side.dot(back) * lean
                        through = n4[3] * through
                        g = g - through
                        if to >= 0:
                            mine = K_ROWS * (b * a.counts[COLLIDERS] + k) + THROUGH
                            put4(a.collider_rows, mine, get4(a.collider_rows, mine) + padded(through, 0.0))
                            moment = get4(a.collider_rows, mine + 1) + padded(r.cross(through), 0.0)
                            put4(a.collider_rows, mine + 1, moment)

    @ti.func
    def gather(s, b, a: ti.template()):
        """PULLED: THROUGH of colliders' velocities, come to those of links."""
        for l in range(a.extent[LINKS]):
            for k in ti.static(range(2)):
                put4(a.link_rows, row(b, l, a) + PULLED + k, vec4(0.0))
        for k in range(a.counts[COLLIDERS]):
            at = rows_of(b, k, a)
            if at >= 0:
                mine = K_ROWS * (b * a.counts[COLLIDERS] + k) + THROUGH
                lever = get4(a.poses, 4 * (law.pose_at(s, b, a) + k))[:3] - get4(a.link_rows, at + CENTRE)[:3]
                linear, angular = get4(a.collider_rows, mine)[:3], get4(a.collider_rows, mine + 1)[:3]
                to = at + PULLED
                put4(a.link_rows, to, get4(a.link_rows, to) + padded(linear, 0.0))
                put4(a.link_rows, to + 1, get4(a.link_rows, to + 1) + padded(angular + lever.cross(linear), 0.0))

    @ti.func
    def pull(own, s, b, a: ti.template()):
        """THROUGH and PULLED, what J gives to the cotangent of X; with `own` 1 and not 0 DIRECT and GIVEN."""
        for k in range(a.counts[COLLIDERS]):
            for half in ti.static(range(2)):
                put4(a.collider_rows, K_ROWS * (b * a.counts[COLLIDERS] + k) + THROUGH + half, vec4(0.0))
        for chunk in range(a.counts[CHUNKS]):
            for index in range(a.offered[chunk * a.counts[ENVS] + b]):
                at = law.offer_at(b, chunk, index, a)
                if a.offer_of[at] > 0:
                    pull_point(at, a.offer_of[at], own, law.cotangent_of(index, b, chunk, a), s, b, a)
        gather(s, b, a)
        for k in range(a.counts[COLLIDERS]):
            mine = K_ROWS * (b * a.counts[COLLIDERS] + k)
            for half in ti.static(range(2)):
                if own > 0.0:
                    put4(a.collider_rows, mine + DIRECT + half, get4(a.collider_rows, mine + THROUGH + half))
                    put4(a.collider_rows, mine + THROUGH + half, vec4(0.0))
        for l in range(a.extent[LINKS]):
            for k in ti.static(range(2)):
                if own > 0.0:
                    put4(a.link_rows, row(b, l, a) + GIVEN + k, get4(a.link_rows, row(b, l, a) + PULLED + k))
                    put4(a.link_rows, row(b, l, a) + PULLED + k, vec4(0.0))

    @ti.func
    def lacks(b, a: ti.template()):
        """What lambda lacks, in column 6 of the systems: its square, and that of what is rounding in it."""
        off, small = ti.cast(0.0, real), ti.cast(0.0, real)
        for l in range(a.extent[LINKS]):
            at, system = row(b, l, a), 48 * (b * a.extent[LINKS] + l)
            for k in ti.static(range(2)):
                given, pulled = get4(a.link_rows, at + GIVEN + k), get4(a.link_rows, at + PULLED + k)
                found = get4(a.link_rows, at + LAMBDA + k)
                rest = given + pulled - found
                off += a.mobility[2 * l + k] * rest.dot(rest)
                small += a.mobility[2 * l + k] * (given.dot(given) + pulled.dot(pulled) + found.dot(found))
                for c in ti.static(range(3)):
                    a.system[system + 8 * (3 * k + c) + 6] = rest[c]
        return off, rounding * small

    @ti.func
    def find_lambda(s, b, a: ti.template()):
        for l in range(a.extent[LINKS]):
            for k in ti.static(range(2)):
                put4(a.link_rows, row(b, l, a) + LAMBDA + k, vec4(0.0))
        im.push(s, b, a)
        passes, own = 0, ti.cast(1.0, real)
        while passes < MOST:
            pull(own, s, b, a)
            own = 0.0
            off, small = lacks(b, a)
            if off <= small or not lay.finite(off):
                passes = MOST
            else:
                for l in range(a.extent[LINKS]):
                    at, system = row(b, l, a) + LAMBDA, 48 * (b * a.extent[LINKS] + l)
                    im.solve(b, l, 1, 8, a)
                    for k in ti.static(range(2)):
                        i = system + 24 * k + 6
                        more = vec4(a.system[i], a.system[i + 8], a.system[i + 16], 0.0)
                        put4(a.link_rows, at + k, get4(a.link_rows, at + k) + more)
                passes += 1
        for l in range(a.extent[LINKS]):
            for k in ti.static(range(2)):
                at = row(b, l, a) + k
                put4(a.link_rows, at + LAMBDA, get4(a.link_rows, at + GIVEN) + get4(a.link_rows, at + PULLED))

    @ti.func
    def load_change(s, b, a: ti.template()):
        """X."""
        for l in range(a.extent[LINKS]):
            to = 6 * ((s * a.counts[ENVS] + b) * a.extent[LINKS] + l)
            for k in ti.static(range(2)):
                put4(a.link_rows, row(b, l, a) + TRIAL + k, padded(three(a.change, to + 3 * k), 0.0))

    @ti.func
    def give_back(s, b, k, a: ti.template()):
        """Of a collider: the cotangents of the impulse to which its link yielded, and of its place."""
        l = a.link_of[k]
        at, pose = row(b, l, a), law.pose_at(s, b, a) + k
        lever = get4(a.poses, 4 * pose)[:3] - get4(a.link_rows, at + CENTRE)[:3]
        force = a.mobility[2 * l] * get4(a.link_rows, at + LAMBDA)[:3]
        torque = a.mobility[2 * l + 1] * get4(a.link_rows, at + LAMBDA + 1)[:3]
        put4(a.ganswer, 2 * pose + FORCE, padded(force + torque.cross(lever), 0.0))
        put4(a.ganswer, 2 * pose + MOMENT, padded(torque, 0.0))
        mine = K_ROWS * (b * a.counts[COLLIDERS] + k)
        glinear = get4(a.collider_rows, mine + DIRECT) + get4(a.collider_rows, mine + THROUGH)
        glever = of_link.impulse_of(s, b, k, FORCE, a).cross(torque)
        glever += glinear[:3].cross(get4(a.link_rows, at + TRIAL + 1)[:3])
        to = 4 * (law.sum_at(s, b, 0, a) + k)
        put4(a.gposes, to, get4(a.gposes, to) + padded(glever, 0.0))
        of_link.moved_back(b, l, vec3(0.0) - glever, a)

    @kernel(TABLE, *BACKWARD)
    def give_way_adjoint(a: ti.template()):
        """Of substep `extent[FRAME]`: sets the cotangents of the impulses to which links yielded and of D, adds those
        of places and of links. Those of V are the colliders' own."""
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(a.extent[ACTIVE] * lay.stride):
            b, s = item // lay.stride, a.extent[FRAME]
            if item % lay.stride == 0 and a.healthy[b] == 0:
                for i in range(6 * b * a.extent[LINKS], 6 * (b + 1) * a.extent[LINKS]):
                    a.gfree[i] = 0.0
            if item % lay.stride == 0 and a.healthy[b] != 0:
                im.prepare(b, a)
                load_change(s, b, a)
                find_lambda(s, b, a)
                for k in range(a.counts[COLLIDERS]):
                    if rows_of(b, k, a) >= 0:
                        give_back(s, b, k, a)
                for l in range(a.extent[LINKS]):
                    for k in ti.static(range(2)):
                        g = get4(a.link_rows, row(b, l, a) + LAMBDA + k)[:3]
                        if a.mobility[2 * l] + a.mobility[2 * l + 1] == 0.0:
                            g = vec3(0.0)
                        put(a.gfree, 6 * (b * a.extent[LINKS] + l) + 3 * k, g)
                if s > 0:
                    of_link.free_adjoint(b, 1.0, a)

    return Functions(give_way_adjoint=give_way_adjoint)
