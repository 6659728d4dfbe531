"""With which velocities links come out of an exchange: kernels, an environment per thread (see `reaction`).

Of each link, about its centre of mass c: its velocity V, what else changes it D, and X = U - V, the unknown, with

    G(X) = X - D - W J(V + X) = 0,      Newton's step  (1 + W N) dX = -G,      N = -J'  of the link's own velocity

A point of mass m at c + rho meets the colliders near it one after the other with the velocity v, and has v' behind
one. With u the link's velocity there, u = U_linear + U_angular x rho, r = v - u and t the tangential part of r,

    J += (m (v - v'), rho x m (v - v')),     N += T^T (m dv'/du) T,     T = (1, -[rho]),     dv'/du = a R (1 - dv/du)
    R = 1 - d(slid)/dr = n n^T + (1 - keep) (1 - n n^T - s s^T) - mu s n^T,      s = t / |t|;    1 where it sticks

for as long as the colliders that it meets are the same link's. What it then meets of another one depends on the
first link's velocity, too. N leaves that out, and so do the diagonal blocks of the adjoint; J, and the product with its
transposed derivative, do not, and these decide when an iteration ends.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.colliders import CHUNKS, COLLIDERS, ENVS
from genesis.contact.law import contact
from genesis.launch import kernel
from genesis.solvers.rigid.reaction_layout import (
    ACTIVE,
    BEST,
    CENTRE,
    FORWARD,
    FRAME,
    LINKS,
    N_ROWS,
    STEP,
    TABLE,
    TRIAL,
    D,
    J,
    N,
    U,
    V,
    X,
)  # fmt: skip
from genesis.solvers.rigid.readout import S_POS
from genesis.solvers.rigid.wrenches import wrenches

MOST, SHORTER = 40, 3
"""Passes over the points at most, and how often a step that leads no nearer is halved."""
ROUNDING = {ti.f32: 2e-6, ti.f64: 4e-15}
"""Relative: what is smaller is no error."""


@per_runtime
def implicit() -> Functions:
    lay, law, of_link = layout(), contact(), wrenches()
    real, vec3, vec4, get4, put4 = lay.real, lay.vec3, lay.vec4, lay.get4, lay.put4
    three, put, padded = of_link.three, of_link.put, of_link.padded
    rounding = ROUNDING[real] ** 2

    @ti.func
    def row(b, l, a: ti.template()):
        """First row of a link."""
        return (b * a.extent[LINKS] + l) * N_ROWS

    @ti.func
    def prepare(b, a: ti.template()):
        """Centres, V and D."""
        for l in range(a.extent[LINKS]):
            i, at = b * a.extent[LINKS] + l, row(b, l, a)
            put4(a.link_rows, at + CENTRE, padded(of_link.part(i, S_POS, a) + of_link.arm(b, l, a), 0.0))
            linear, angular = of_link.twist(b, l, a)
            put4(a.link_rows, at + V, padded(linear, 0.0))
            put4(a.link_rows, at + V + 1, padded(angular, 0.0))
            for k in ti.static(range(2)):
                put4(a.link_rows, at + D + k, padded(three(a.free, 6 * i + 3 * k), 0.0))

    @ti.func
    def meets(k, x, at, pose, a: ti.template()):
        """Velocity at x of collider k and, of a link that yields, the lever of x; `at` are its rows, -1 of others."""
        u, rho = vec3(0.0), vec3(0.0)
        if at >= 0:
            rho = x - get4(a.link_rows, at + CENTRE)[:3]
            u = get4(a.link_rows, at + U)[:3] + get4(a.link_rows, at + U + 1)[:3].cross(rho)
        else:
            u = law.body_velocity(pose + k, x - get4(a.poses, 4 * (pose + k))[:3], a)
        return u, rho

    @ti.func
    def rows_of(b, k, a: ti.template()):
        """First row of the link that collider k is on, if that yields; else -1."""
        l, at = a.link_of[k], -1
        if l >= 0:
            if a.mobility[2 * l] + a.mobility[2 * l + 1] > 0.0:
                at = row(b, l, a)
        return at

    @ti.func
    def opposed(n, tangent, length, keep, mu):
        """R of a relative velocity, of which the normal part is negative."""
        R = n.outer_product(n)
        if keep < 1.0:
            along = vec3(0.0)
            if length > 0.0:
                along = tangent / length
            if keep == 0.0:
                R = ti.Matrix.identity(real, 3)
            else:
                across = ti.Matrix.identity(real, 3) - R - along.outer_product(along)
                R = R + (1.0 - keep) * across - mu * along.outer_product(n)
        return R

    @ti.func
    def weigh(at, rho, K, a: ti.template()):
        """Adds T^T K T to N."""
        for i in ti.static(range(3)):
            left = vec3(K[i, 0], K[i, 1], K[i, 2])
            low, high = (i + 1) % 3, (i + 2) % 3
            below = rho[low] * vec3(K[high, 0], K[high, 1], K[high, 2])
            below -= rho[high] * vec3(K[low, 0], K[low, 1], K[low, 2])
            for half, part in ti.static(((0, left), (3, below))):
                to = at + N + 2 * (i + half)
                put4(a.link_rows, to, get4(a.link_rows, to) + padded(part, 0.0))
                put4(a.link_rows, to + 1, get4(a.link_rows, to + 1) + padded(rho.cross(part), 0.0))

    @ti.func
    def push_point(at, count, s, b, a: ti.template()):
        """Of a point whose rows are at `at`: what it gives to links."""
        x4, v4 = get4(a.offers, at), get4(a.offers, at + 1)
        x, m, v, pose = x4[:3], x4[3], v4[:3], law.pose_at(s, b, a)
        follows, before = ti.Matrix.zero(real, 3, 3), -1
        for e in range(count):
            k, n4 = a.offer_of[at + 2 + e], get4(a.offers, at + 2 + e)
            n, to = n4[:3], rows_of(b, a.offer_of[at + 2 + e], a)
            if to != before:
                follows = ti.Matrix.zero(real, 3, 3)
            before = to
            u, rho = meets(k, x, to, pose, a)
            rel = v - u
            if rel.dot(n) < 0.0:
                mu = get4(a.poses, 4 * (pose + k))[3]
                slid, tangent, length, keep, _nc = law.slide(rel, n, mu)
                step = n4[3] * (slid - rel)
                if to >= 0:
                    force, size = -m * step, m * n4[3] * (v.norm() + u.norm())
                    torque = rho.cross(force)
                    for k_, part, rough in ti.static(((0, force, size), (1, torque, size * rho.norm()))):
                        put4(a.link_rows, to + J + k_, get4(a.link_rows, to + J + k_) + padded(part, rough))
                    turned = opposed(n, tangent, length, keep, mu) @ (ti.Matrix.identity(real, 3) - follows)
                    weigh(to, rho, (m * n4[3]) * turned, a)
                    follows += n4[3] * turned
                v += step

    @ti.func
    def push(s, b, a: ti.template()):
        """J and N of all links at U = V + TRIAL."""
        for l in range(a.extent[LINKS]):
            for k in ti.static(range(2)):
                at = row(b, l, a) + k
                put4(a.link_rows, at + U, get4(a.link_rows, at + V) + get4(a.link_rows, at + TRIAL))
            for r in range(J, N_ROWS):
                put4(a.link_rows, row(b, l, a) + r, vec4(0.0))
        for chunk in range(a.counts[CHUNKS]):
            for index in range(a.offered[chunk * a.counts[ENVS] + b]):
                at = law.offer_at(b, chunk, index, a)
                if a.offer_of[at] > 0:
                    push_point(at, a.offer_of[at], s, b, a)

    @ti.func
    def error(b, a: ti.template()):
        """G G / W, and the square of what is rounding in that."""
        off, small = ti.cast(0.0, real), ti.cast(0.0, real)
        for l in range(a.extent[LINKS]):
            at = row(b, l, a)
            for k in ti.static(range(2)):
                w = a.mobility[2 * l + k]
                if w > 0.0:
                    x, d = get4(a.link_rows, at + TRIAL + k), get4(a.link_rows, at + D + k)
                    u, answer = get4(a.link_rows, at + V + k), get4(a.link_rows, at + J + k)
                    G = x[:3] - d[:3] - w * answer[:3]
                    off += G.dot(G) / w
                    small += (x[:3].dot(x[:3]) + d[:3].dot(d[:3]) + u[:3].dot(u[:3])) / w + w * answer[3] * answer[3]
        return off, rounding * small

    @ti.func
    def equation(b, l, i, j, transposed: ti.template(), a: ti.template()):
        """Entry of 1 + W N, or of its transpose."""
        r, c = i, j
        if ti.static(transposed):
            r, c = j, i
        half = get4(a.link_rows, row(b, l, a) + N + 2 * r + c // 3)
        entry = half[0]
        if c % 3 == 1:
            entry = half[1]
        if c % 3 == 2:
            entry = half[2]
        entry *= a.mobility[2 * l + r // 3]
        if i == j:
            entry += 1.0
        return entry

    @ti.func
    def solve(b, l, transposed: ti.template(), a: ti.template()):
        """Column 6 of a link's system: solved, by elimination with pivots."""
        at = 42 * (b * a.extent[LINKS] + l)
        for i in range(6):
            for j in range(6):
                a.system[at + 7 * i + j] = equation(b, l, i, j, transposed, a)
        for i in range(6):
            pivot = i
            for r in range(i + 1, 6):
                if ti.abs(a.system[at + 7 * r + i]) > ti.abs(a.system[at + 7 * pivot + i]):
                    pivot = r
            for c in range(7):
                swapped = a.system[at + 7 * i + c]
                a.system[at + 7 * i + c] = a.system[at + 7 * pivot + c]
                a.system[at + 7 * pivot + c] = swapped
            for r in range(6):
                if r != i:
                    factor = a.system[at + 7 * r + i] / a.system[at + 7 * i + i]
                    for c in range(i, 7):
                        a.system[at + 7 * r + c] -= factor * a.system[at + 7 * i + c]
        for i in range(6):
            a.system[at + 7 * i + 6] /= a.system[at + 7 * i + i]

    @ti.func
    def aim(b, a: ti.template()):
        """X is where J and N are known; Newton's step from it, and the next trial."""
        for l in range(a.extent[LINKS]):
            at, system = row(b, l, a), 42 * (b * a.extent[LINKS] + l)
            if a.mobility[2 * l] + a.mobility[2 * l + 1] > 0.0:
                for k in ti.static(range(2)):
                    x = get4(a.link_rows, at + TRIAL + k)
                    put4(a.link_rows, at + X + k, x)
                    G = x - get4(a.link_rows, at + D + k) - a.mobility[2 * l + k] * get4(a.link_rows, at + J + k)
                    for c in ti.static(range(3)):
                        a.system[system + 7 * (3 * k + c) + 6] = -G[c]
                solve(b, l, False, a)
                for k in ti.static(range(2)):
                    i = system + 21 * k + 6
                    step = vec4(a.system[i], a.system[i + 7], a.system[i + 14], 0.0)
                    put4(a.link_rows, at + STEP + k, step)
                    put4(a.link_rows, at + TRIAL + k, get4(a.link_rows, at + X + k) + step)

    @ti.func
    def shorten(b, part, a: ti.template()):
        """The trial at a part of the step."""
        for l in range(a.extent[LINKS]):
            at = row(b, l, a)
            for k in ti.static(range(2)):
                step = part * get4(a.link_rows, at + STEP + k)
                put4(a.link_rows, at + TRIAL + k, get4(a.link_rows, at + X + k) + step)

    @ti.func
    def copy(b, source, target, a: ti.template()):
        for l in range(a.extent[LINKS]):
            for k in range(2):
                put4(a.link_rows, row(b, l, a) + target + k, get4(a.link_rows, row(b, l, a) + source + k))

    @ti.func
    def guess(s, b, a: ti.template()):
        """The trial to begin with: what X was in the substep before."""
        for l in range(a.extent[LINKS]):
            at, then = row(b, l, a), 6 * (((s - 1) * a.counts[ENVS] + b) * a.extent[LINKS] + l)
            for k in ti.static(range(2)):
                x = get4(a.link_rows, at + D + k)
                if a.mobility[2 * l + k] > 0.0:
                    x = vec4(0.0)
                    if s > 0:
                        x = padded(three(a.change, then + 3 * k), 0.0)
                put4(a.link_rows, at + TRIAL + k, x)

    @ti.func
    def touched(b, a: ti.template()):
        found = 0
        for chunk in range(a.counts[CHUNKS]):
            found += a.offered[chunk * a.counts[ENVS] + b]
        return found > 0

    @ti.func
    def settle(s, b, a: ti.template()):
        """BEST: X. Returns whether it was found."""
        nearest, before, part = ti.cast(0.0, real), ti.cast(0.0, real), ti.cast(1.0, real)
        found, passes, shorter = False, 0, 0
        guess(s, b, a)
        copy(b, TRIAL, BEST, a)
        while passes < MOST:
            push(s, b, a)
            off, small = error(b, a)
            if not lay.finite(off):  # the environment fails elsewhere, or a step led too far
                found, passes = passes == 0, MOST
            else:
                if passes == 0 or off < nearest:
                    nearest = off
                    copy(b, TRIAL, BEST, a)
                if off <= small:
                    found, passes = True, MOST
                elif passes > 0 and off > (1.0 - 1e-3 * part) * before and shorter < SHORTER:
                    part, shorter = 0.5 * part, shorter + 1
                    shorten(b, part, a)
                else:
                    before, part, shorter = off, ti.cast(1.0, real), 0
                    aim(b, a)
                passes += 1
        return found

    @kernel(TABLE, *FORWARD)
    def give_way(a: ti.template()):
        """X of substep `extent[FRAME]`, and poses with U in place of V."""
        ti.loop_config(block_dim=lay.block_dim)
        for item in range(a.extent[ACTIVE] * lay.stride):
            b, s = item // lay.stride, a.extent[FRAME]
            if item % lay.stride == 0:
                if s == 0:
                    a.cut_off[b] = 0
                else:
                    of_link.note_free(b, a)
                of_link.note_twist(b, a)
                prepare(b, a)
                copy(b, D, TRIAL, a)
                if touched(b, a):
                    if not settle(s, b, a):
                        a.cut_off[b] += 1
                    copy(b, BEST, TRIAL, a)
                for l in range(a.extent[LINKS]):
                    to = 6 * ((s * a.counts[ENVS] + b) * a.extent[LINKS] + l)
                    for k in ti.static(range(2)):
                        put(a.change, to + 3 * k, get4(a.link_rows, row(b, l, a) + TRIAL + k))
                pose = law.pose_at(s, b, a)
                for k in range(a.counts[COLLIDERS]):
                    at = rows_of(b, k, a)
                    if at >= 0:
                        lever = get4(a.poses, 4 * (pose + k))[:3] - get4(a.link_rows, at + CENTRE)[:3]
                        linear, angular = get4(a.link_rows, at + TRIAL)[:3], get4(a.link_rows, at + TRIAL + 1)[:3]
                        moved = padded(linear + angular.cross(lever), 0.0)
                        put4(a.poses, 4 * (pose + k) + 2, get4(a.poses, 4 * (pose + k) + 2) + moved)
                        put4(a.poses, 4 * (pose + k) + 3, get4(a.poses, 4 * (pose + k) + 3) + padded(angular, 0.0))

    return Functions(
        give_way=give_way, row=row, rows_of=rows_of, prepare=prepare, meets=meets, opposed=opposed, push=push,
        solve=solve, rounding=rounding,
    )  # fmt: skip
