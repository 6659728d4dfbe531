"""With which velocities links come out of an exchange: kernels, an environment per thread (see `reaction`).

Of each link, about its centre of mass c: its velocity V, what else changes it D, and X = U - V, the unknown, with

    G(X) = X - D - W J(V + X) = 0,      Newton's step  (1 + W N) dX = -G,      N = -J'  of the link's own velocity

A point of mass m at c + rho meets the colliders near it one after the other with the velocity v, and has v' behind
one. With u the link's velocity there, u = U_linear + U_angular x rho, r = v - u and t the tangential part of r,

    J += (m (v - v'), rho x m (v - v')),     N += T^T (m dv'/du) T,     T = (1, -[rho]),     dv'/du = a R (1 - dv/du)
    R = 1 - d(slid)/dr = keep n n^T + (1 - keep) 1 - s ((1 - keep) s + mu n)^T,      s = t / |t|;    1 where it sticks

for as long as the colliders that it meets are the same link's. What it then meets of another one depends on the
first link's velocity, too. N leaves that out, and so do the diagonal blocks of the adjoint; J, and the product with its
transposed derivative, do not, and these decide when an iteration ends. N is kept by columns.

These are kernels on lanes (`genesis.launch`), for the sake of their vectors: none of them has a unary minus, or `-=`.
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
    def meets(pose, x, at, a: ti.template()):
        """Velocity at x of a collider and, of a link that yields, the lever of x; `at` are its rows, -1 of others."""
        u, rho = vec3(0.0), vec3(0.0)
        if at >= 0:
            rho = x - get4(a.link_rows, at + CENTRE)[:3]
            u = get4(a.link_rows, at + U)[:3] + get4(a.link_rows, at + U + 1)[:3].cross(rho)
        else:
            u = law.body_velocity(pose, x - get4(a.poses, 4 * pose)[:3], a)
        return u, rho

    @ti.func
    def rows_of(b, k, a: ti.template()):
        """First row of the link that collider k is on, if that yields; else -1."""
        l, at = a.yielding_link[k], -1
        if l >= 0:
            at = row(b, l, a)
        return at

    @ti.func
    def opposed(n, tangent, length, keep, mu):
        """R of a relative velocity, of which the normal part is negative, as (1 - keep) 1 + keep n n^T - side lean^T:
        side and lean."""
        side = vec3(0.0)
        if keep > 0.0 and length > 0.0:
            side = tangent / length
        return side, (1.0 - keep) * side + mu * n

    @ti.func
    def add_row(at, v4, a: ti.template()):
        put4(a.link_rows, at, get4(a.link_rows, at) + v4)

    @ti.func
    def add_column(at, c, low, high, a: ti.template()):
        add_row(at + N + 2 * c, low, a)
        add_row(at + N + 2 * c + 1, high, a)

    @ti.func
    def weigh(at, rho, k0, k1, k2, a: ti.template()):
        """Adds T^T K T to N, of K's columns: (k, rho x k) of each k, and behind them rho crossed with all of these."""
        t0, t1, t2 = padded(rho.cross(k0), 0.0), padded(rho.cross(k1), 0.0), padded(rho.cross(k2), 0.0)
        f0, f1, f2 = padded(k0, 0.0), padded(k1, 0.0), padded(k2, 0.0)
        add_column(at, 0, f0, t0, a)
        add_column(at, 1, f1, t1, a)
        add_column(at, 2, f2, t2, a)
        add_column(at, 3, rho[1] * f2 - rho[2] * f1, rho[1] * t2 - rho[2] * t1, a)
        add_column(at, 4, rho[2] * f0 - rho[0] * f2, rho[2] * t0 - rho[0] * t2, a)
        add_column(at, 5, rho[0] * f1 - rho[1] * f0, rho[0] * t1 - rho[1] * t0, a)

    @ti.func
    def push_point(at, count, s, b, a: ti.template()):
        """Of a point whose rows are at `at`: what it gives to links."""
        x4, v4 = get4(a.offers, at), get4(a.offers, at + 1)
        x, m, v, pose = x4[:3], x4[3], v4[:3], law.pose_at(s, b, a)
        f0, f1, f2, before = vec3(0.0), vec3(0.0), vec3(0.0), -1  # dv / du, of the link before
        for e in range(count):
            k, n4 = a.offer_of[at + 2 + e], get4(a.offers, at + 2 + e)
            n, to = n4[:3], rows_of(b, k, a)
            u, rho = meets(pose + k, x, to, a)
            rel = v - u
            if rel.dot(n) < 0.0:
                mu = get4(a.poses, 4 * (pose + k))[3]
                slid, tangent, length, keep, _nc = law.slide(rel, n, mu)
                step = n4[3] * (slid - rel)
                if to >= 0:
                    force, size = (0.0 - m) * step, m * n4[3] * (v.norm() + u.norm())
                    add_row(to + J, padded(force, size), a)
                    add_row(to + J + 1, padded(rho.cross(force), size * rho.norm()), a)
                    side, lean = opposed(n, tangent, length, keep, mu)
                    normal, free, side = (n4[3] * keep) * n, n4[3] * (1.0 - keep), n4[3] * side
                    k0 = n[0] * normal - lean[0] * side + vec3(free, 0.0, 0.0)
                    k1 = n[1] * normal - lean[1] * side + vec3(0.0, free, 0.0)
                    k2 = n[2] * normal - lean[2] * side + vec3(0.0, 0.0, free)
                    if to == before:
                        g0, g1 = f0[0] * k0 + f0[1] * k1 + f0[2] * k2, f1[0] * k0 + f1[1] * k1 + f1[2] * k2
                        g2 = f2[0] * k0 + f2[1] * k1 + f2[2] * k2
                        k0, k1, k2 = k0 - g0, k1 - g1, k2 - g2
                        f0, f1, f2 = f0 + k0, f1 + k1, f2 + k2
                    else:
                        f0, f1, f2 = k0, k1, k2
                    weigh(to, rho, m * k0, m * k1, m * k2, a)
                before = to
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
    def solve(b, l, down, right, a: ti.template()):
        """Column 6 of a link's system 1 + W N, whose entries are (down, right) = (8, 1) apart, or of its transpose, (1,
        8): solved, by elimination with pivots."""
        at = 48 * (b * a.extent[LINKS] + l)
        for i in range(6):
            for k in ti.static(range(2)):
                part = a.mobility[2 * l + k] * get4(a.link_rows, row(b, l, a) + N + 2 * i + k)
                for c in ti.static(range(3)):
                    a.system[at + down * (3 * k + c) + right * i] = part[c]
            a.system[at + 9 * i] += 1.0
        for i in range(6):
            pivot = i
            for r in range(i + 1, 6):
                if ti.abs(a.system[at + 8 * r + i]) > ti.abs(a.system[at + 8 * pivot + i]):
                    pivot = r
            scale = 1.0 / a.system[at + 8 * pivot + i]
            upper = ti.Vector([scale * a.system[at + 8 * pivot + c] for c in ti.static(range(7))], dt=real)
            for c in ti.static(range(7)):
                a.system[at + 8 * pivot + c] = a.system[at + 8 * i + c]
            for r in range(6):
                factor = a.system[at + 8 * r + i]
                for c in ti.static(range(7)):
                    a.system[at + 8 * r + c] -= factor * upper[c]
            for c in ti.static(range(7)):
                a.system[at + 8 * i + c] = upper[c]

    @ti.func
    def aim(b, a: ti.template()):
        """X is where J and N are known; Newton's step from it, and the next trial."""
        for l in range(a.extent[LINKS]):
            at, system = row(b, l, a), 48 * (b * a.extent[LINKS] + l)
            if of_link.yields(l, a):
                for k in ti.static(range(2)):
                    x = get4(a.link_rows, at + TRIAL + k)
                    put4(a.link_rows, at + X + k, x)
                    G = x - get4(a.link_rows, at + D + k) - a.mobility[2 * l + k] * get4(a.link_rows, at + J + k)
                    for c in ti.static(range(3)):
                        a.system[system + 8 * (3 * k + c) + 6] = -G[c]
                solve(b, l, 8, 1, a)
                for k in ti.static(range(2)):
                    i = system + 24 * k + 6
                    step = vec4(a.system[i], a.system[i + 8], a.system[i + 16], 0.0)
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
