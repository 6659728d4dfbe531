"""Curved shapes: the exact touching point near the one that the polytopes of `gjk.py` and `epa.py` tell.

A shape is a polytope (one to three of its points touch: a corner, an edge, a face) and what bulges around it: an
ellipsoid around its centre, a disc around the ends of a cylinder's axis. The normal n is where
d(n) = n . (farthest point of B along -n - farthest point of A along n) is stationary among the unit vectors across the
edges that touch: Newton's method, with the second derivatives of the farthest points. A touching edge is dropped where
the point leaves it, and a point added where another is farther, until neither happens.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.memory import memory
from genesis.contact.narrow_phase.support import CYLINDER, ELLIPSOID, supports

SEARCHED, EXACT, KEPT = range(3)
"""How the search for the exact point stands: in work; done; left at what the polytopes tell, for faces that lie flat on
one another touch in many points, of which that is one."""


@per_runtime
def refinement() -> Functions:
    lay, mem, sup, cas = layout(), memory(), supports(), cases()
    real, vec3, mat3 = lay.real, lay.vec3, lay.mat3
    single = real == ti.f32
    least = 1e-6 if single else 1e-14  # a step that ends Newton's method
    slack = 1e-6 if single else 1e-11  # of lengths, relative to the shape
    parallel = 1e-4 if single else 1e-5

    @ti.func
    def gather(a: ti.template(), side, slots, count, weights):
        """The distinct points of one shape's polytope in a simplex: how many, their indices."""
        k, found = 0, ti.Vector([0, 0, 0], ti.i32)
        for c in range(count):
            if weights[c] > 1e-9:
                index, new = a.whole[a.z + 2 * slots[c] + side], True
                for o in range(k):
                    if found[o] == index:
                        new = False
                if new:
                    found[k] = index
                    k += 1
        return k, found

    @ti.func
    def wide(s: ti.template(), side, a: ti.template(), slots, count, weights):
        """Whether points of a cylinder's rim in a simplex lie far apart: it touches with its cap."""
        middle, spread = vec3(0.0), ti.cast(0.0, real)
        for c in range(count):
            middle += weights[c] * mem.get(a, 9 * slots[c] + 3 + 3 * side)
        for c in range(count):
            spread += weights[c] * (mem.get(a, 9 * slots[c] + 3 + 3 * side) - middle).norm()
        return s.kind == CYLINDER and spread > 0.1 * s.size[0]

    @ti.func
    def column(s: ti.template(), c):
        return vec3(s.turn[0, c], s.turn[1, c], s.turn[2, c])

    @ti.func
    def bend(s: ti.template(), d, cap):
        """Derivative of the farthest point by the direction."""
        H = mat3(0.0)
        if s.kind == ELLIPSOID:
            x = sup.bulge(s, d)
            for c in ti.static(range(3)):
                e = s.size[c] * column(s, c)
                H += e.outer_product(e)
            H = (H - x.outer_product(x)) / ti.max(d.dot(x), 1e-30)
        elif s.kind == CYLINDER and not cap:
            axis = column(s, 2)
            t = axis.cross(d)
            across = ti.max(t.norm(), 1e-12)
            t /= across
            H = (s.size[0] / across) * t.outer_product(t)
        return H

    @ti.func
    def lean(s: ti.template(), d, cap):
        x = vec3(0.0)
        if not cap:
            x = sup.bulge(s, d)
        return x

    @ti.func
    def collapsed(s: ti.template(), d, before, cap):
        """Whether a cylinder's normal has passed its axis: it touches with its cap."""
        axis = column(s, 2)
        t, was = axis.cross(d), axis.cross(before)
        return s.kind == CYLINDER and not cap and (t.dot(was) <= 0.0 or t.norm() < 1e-9)

    @ti.func
    def climb(one: ti.template(), two: ti.template(), va, vb, caps, start, e, free):
        """Newton's method for the normal, across e where one direction is free. Returns the normal, and whether it was
        found (1), or the cap of A (2) or B (3) touches."""
        n, state = start, 0
        if free == 1:
            n = (n - e * n.dot(e)).normalized()
        if free == 0:
            state = 1
        for _ in range(20):
            if state == 0:
                w = vb + lean(two, -n, caps[1]) - va - lean(one, n, caps[0])
                d = n.dot(w)
                K = bend(one, n, caps[0]) + bend(two, -n, caps[1])
                step = vec3(0.0)
                if free == 1:
                    t = n.cross(e).normalized()
                    h = ti.abs(t.dot(K @ t) + d)
                    step = t * (t.dot(w) / ti.max(h, 1e-12))
                else:
                    t = cas.across(n)
                    u = n.cross(t)
                    g1, g2 = t.dot(w), u.dot(w)
                    h11, h12, h22 = t.dot(K @ t) + d, t.dot(K @ u), u.dot(K @ u) + d
                    mean, half = 0.5 * (h11 + h22), ti.sqrt(0.25 * (h11 - h22) ** 2 + h12 * h12)
                    if mean - half <= 1e-6 * half:
                        more = half - mean + 0.1 * half + 1e-9
                        h11 += more
                        h22 += more
                    det = ti.max(h11 * h22 - h12 * h12, 1e-30)
                    step = ((h22 * g1 - h12 * g2) * t + (h11 * g2 - h12 * g1) * u) / det
                size = step.norm()
                if size > 0.2:
                    step *= 0.2 / size
                after = (n + step).normalized()
                if collapsed(one, after, n, caps[0]):
                    state = 2
                elif collapsed(two, after, n, caps[1]):
                    state = 3
                else:
                    n = after
                if state == 0 and size < least:
                    state = 1
        w = vb + lean(two, -n, caps[1]) - va - lean(one, n, caps[0])
        w -= n * n.dot(w)
        if free == 1:
            w -= e * e.dot(w)
        if state == 0 and w.norm() < slack:
            state = 1
        return n, state

    @ti.func
    def within(v, s, t, r):
        """Weights of three corners with which their plane's point is at v + r."""
        e, f = s - v, t - v
        ee, ef, ff, re, rf = e.dot(e), e.dot(f), f.dot(f), r.dot(e), r.dot(f)
        det = ti.max(ee * ff - ef * ef, 1e-30)
        x, y = (ff * re - ef * rf) / det, (ee * rf - ef * re) / det
        return vec3(1.0 - x - y, x, y)

    @ti.func
    def drop(indices, k, which):
        for c in range(2):
            if c >= which and c + 1 < k:
                indices[c] = indices[c + 1]
        return indices

    @ti.func
    def farther(p, q, d):
        """Which of two points is farther along d."""
        which = 0
        if q.dot(d) > p.dot(d):
            which = 1
        return which

    @ti.func
    def refine(a: ti.template(), one: ti.template(), two: ti.template(), n0, ks, ia, ib, caps):
        """The exact normal, the touching points of both shapes without radii, and what touches, from a guess.

        ks: how many points of each polytope touch, their indices ia, ib; caps: whether a cylinder's cap does.
        """
        n, state, x, y = n0, SEARCHED, vec3(0.0), vec3(0.0)
        scale = sup.bounding(one) + sup.bounding(two)
        for _trial in range(16):
            if state == SEARCHED:
                va, va1, va2 = sup.core(a, one, ia[0]), sup.core(a, one, ia[1]), sup.core(a, one, ia[2])
                vb, vb1, vb2 = sup.core(a, two, ib[0]), sup.core(a, two, ib[1]), sup.core(a, two, ib[2])
                face_a, face_b = ks[0] == 3 or caps[0] == 1, ks[1] == 3 or caps[1] == 1
                line_a, line_b = ks[0] == 2 and caps[0] == 0, ks[1] == 2 and caps[1] == 0
                free, e, go = 2, vec3(0.0), True
                if face_a or face_b:
                    m = column(one, 2)
                    if ks[0] == 3:
                        m = (va1 - va).cross(va2 - va).normalized()
                    if not face_a:
                        m = column(two, 2)
                        if ks[1] == 3:
                            m = (vb1 - vb).cross(vb2 - vb).normalized()
                    if m.dot(n0) < 0.0:
                        m = -m
                    n, free = m, 0
                    if face_a and face_b:
                        state, go = KEPT, False
                    elif line_b:
                        if ti.abs((vb1 - vb).normalized().dot(m)) < parallel:
                            state = KEPT
                        else:
                            ib[0] = ib[farther(vb, vb1, -m)]
                            ks[1] = 1
                        go = False
                    elif line_a:
                        if ti.abs((va1 - va).normalized().dot(m)) < parallel:
                            state = KEPT
                        else:
                            ia[0] = ia[farther(va, va1, m)]
                            ks[0] = 1
                        go = False
                elif line_a and line_b:
                    c = (va1 - va).normalized().cross((vb1 - vb).normalized())
                    if c.norm() < parallel:
                        state, go = KEPT, False
                    else:
                        n, free = c.normalized(), 0
                        if n.dot(n0) < 0.0:
                            n = -n
                elif line_a:
                    free, e = 1, (va1 - va).normalized()
                elif line_b:
                    free, e = 1, (vb1 - vb).normalized()
                if go:
                    after, how = climb(one, two, va, vb, caps, n, e, free)
                    n = after
                    if how == 2 or how == 3:
                        caps[how - 2] = 1
                        if ks[how - 2] > 1:
                            state = KEPT
                    elif how == 0:
                        state = KEPT
                    else:
                        changed = False
                        x, y = va + lean(one, n, caps[0]), vb + lean(two, -n, caps[1])
                        r = y - x
                        r -= n * n.dot(r)
                        if line_a and line_b:
                            ea, eb = va1 - va, vb1 - vb
                            ee, ef, ff, re, rf = ea.dot(ea), ea.dot(eb), eb.dot(eb), r.dot(ea), r.dot(eb)
                            det = ee * ff - ef * ef
                            s, t = (ff * re - ef * rf) / det, (ef * re - ee * rf) / det
                            x += s * ea
                            y += t * eb
                            if s < -slack or s > 1.0 + slack:
                                ia = drop(ia, 2, s < 0.5)
                                ks[0] = 1
                                changed = True
                            elif t < -slack or t > 1.0 + slack:
                                ib = drop(ib, 2, t < 0.5)
                                ks[1] = 1
                                changed = True
                        elif line_a:
                            t = r.dot(va1 - va) / (va1 - va).dot(va1 - va)
                            x += t * (va1 - va)
                            if t < -slack or t > 1.0 + slack:
                                ia = drop(ia, 2, t < 0.5)
                                ks[0] = 1
                                changed = True
                        elif line_b:
                            t = -r.dot(vb1 - vb) / (vb1 - vb).dot(vb1 - vb)
                            y += t * (vb1 - vb)
                            if t < -slack or t > 1.0 + slack:
                                ib = drop(ib, 2, t < 0.5)
                                ks[1] = 1
                                changed = True
                        elif caps[0] == 1 or caps[1] == 1:
                            rim = one.size[0]
                            if caps[0] == 1:
                                x += r
                            else:
                                y -= r
                                rim = two.size[0]
                            if r.norm() > rim:  # beyond the cap: its rim touches
                                caps[0], caps[1] = 0, 0
                                n = (n + 1e-3 * r.normalized()).normalized()
                                changed = True
                        elif face_a:
                            weights = within(va, va1, va2, r)
                            x += r
                            out = 0
                            for c in ti.static(range(1, 3)):
                                if weights[c] < weights[out]:
                                    out = c
                            if weights[out] < -slack:
                                ia = drop(ia, 3, out)
                                ks[0] = 2
                                changed = True
                        elif face_b:
                            weights = within(vb, vb1, vb2, -r)
                            y -= r
                            out = 0
                            for c in ti.static(range(1, 3)):
                                if weights[c] < weights[out]:
                                    out = c
                            if weights[out] < -slack:
                                ib = drop(ib, 3, out)
                                ks[1] = 2
                                changed = True
                        if not changed:
                            i, j = sup.farthest(a, one, n), sup.farthest(a, two, -n)
                            if n.dot(sup.core(a, one, i) - va) > slack * scale:
                                changed = True
                                if ks[0] == 3:
                                    state = KEPT
                                else:
                                    ia[ks[0]] = i
                                    ks[0] += 1
                            elif n.dot(vb - sup.core(a, two, j)) > slack * scale:
                                changed = True
                                if ks[1] == 3:
                                    state = KEPT
                                else:
                                    ib[ks[1]] = j
                                    ks[1] += 1
                        if not changed:
                            state = EXACT
        return state, n, x, y, ks, ia, ib, caps

    return Functions(gather=gather, wide=wide, refine=refine, bend=bend, column=column)
