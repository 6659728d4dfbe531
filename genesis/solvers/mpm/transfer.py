"""Between one particle and the 27 grid nodes around it: weights, P2G, G2P, and their adjoints.

A particle offers its nodes the affine field q(node) = q0 + A (offset - fx), as four vec4: q4 = (m v, m) and the columns
a0, a1, a2 of A. Everything four wide, so that a node is one load, one multiply-add, one store.
"""

from types import SimpleNamespace

from genesis.compiler import layout, per_runtime, ti, traced


@per_runtime
def transfer() -> SimpleNamespace:
    lay = layout()
    vec3, vec4 = lay.vec3, lay.vec4
    get4, add4, entry, put_entry = lay.get4, lay.add4, lay.entry, lay.put_entry

    @ti.func
    def corner(x, origin, inv_dx):
        """Lowest node of the stencil, as reals, and the offset from it in cells."""
        g = (x - origin) * inv_dx
        low = g - 0.5
        if ti.static(lay.soa):
            low = vec3(ti.floor(low[0]), ti.floor(low[1]), ti.floor(low[2]))
        else:
            low = ti.floor(low)
        return low, g - low

    @traced
    def whole(x):
        return ti.cast(x, ti.i32)

    @ti.func
    def cell(x, origin, inv_dx):
        """Lowest node of the stencil."""
        low, _fx = corner(x, origin, inv_dx)
        return ti.Vector([whole(low[0]), whole(low[1]), whole(low[2])])

    @ti.func
    def weights(fx):
        return ti.Matrix.cols([0.5 * (1.5 - fx) ** 2, 0.75 - (fx - 1.0) ** 2, 0.5 * (fx - 0.5) ** 2])

    @ti.func
    def weight_slopes(fx):
        """By fx."""
        return ti.Matrix.cols([fx - 1.5, -2.0 * (fx - 1.0), fx - 0.5])

    @traced
    def times(a, k):
        """a k for k = 1 or 2; the compiler would multiply."""
        return a if k == 1 else a + a

    @ti.func
    def p2g(grid: ti.template(), first, ny, nz, fx, q4, a0, a1, a2):
        """grid[node] += w (q4 + A (offset - fx)). `first` is the index of the lowest node, rows are ny x nz."""
        w = weights(fx)
        q = q4 - (a0 * fx[0] + a1 * fx[1] + a2 * fx[2])
        for i in ti.static(range(3)):
            qi = q
            if ti.static(i > 0):
                qi = q + times(a0, i)
            qi = qi * w[0, i]
            b1, b2 = a1 * w[0, i], a2 * w[0, i]
            for j in ti.static(range(3)):
                qj = qi
                if ti.static(j > 0):
                    qj = qi + times(b1, j)
                qj = qj * w[1, j]
                c2 = b2 * w[1, j]
                c = lay.bounded(first + (i * ny + j) * nz)
                add4(grid, c, qj * w[2, 0])
                add4(grid, c + 1, (qj + c2) * w[2, 1])
                add4(grid, c + 2, (qj + times(c2, 2)) * w[2, 2])

    @ti.func
    def moments(h0, h1, h2):
        """h0 + h1 + h2, and h1 + 2 h2."""
        m = h1 + h2
        return h0 + m, m + h2

    @ti.func
    def over_axis(w, d, h0, h1, h2):
        """Moments of three values, weighted along axis d."""
        s, t = moments(h0 * w[d, 0], h1 * w[d, 1], h2 * w[d, 2])
        return s, t

    @ti.func
    def total(w, d, h0, h1, h2):
        return h0 * w[d, 0] + (h1 * w[d, 1] + h2 * w[d, 2])

    @ti.func
    def row(grid: ti.template(), c, w):
        """Moments of three nodes in a row along the last axis."""
        at = lay.bounded(c)
        s, t = over_axis(w, 2, get4(grid, at), get4(grid, at + 1), get4(grid, at + 2))
        return s, t

    @ti.func
    def plane(grid: ti.template(), c, nz, w):
        """Of nine nodes of a plane: weighted sum, and first moments along the last two axes."""
        s0, t0 = row(grid, c, w)
        s1, t1 = row(grid, c + nz, w)
        s2, t2 = row(grid, c + 2 * nz, w)
        s, sj = over_axis(w, 1, s0, s1, s2)
        return s, sj, total(w, 1, t0, t1, t2)

    @ti.func
    def g2p(grid: ti.template(), first, ny, nz, fx):
        """v = sum w node and the columns of sum w node (offset - fx)^T, as vec4."""
        w = weights(fx)
        s0, j0, k0 = plane(grid, first, nz, w)
        s1, j1, k1 = plane(grid, first + ny * nz, nz, w)
        s2, j2, k2 = plane(grid, first + 2 * (ny * nz), nz, w)
        v, b0 = over_axis(w, 0, s0, s1, s2)
        return v, b0 - v * fx[0], total(w, 0, j0, j1, j2) - v * fx[1], total(w, 0, k0, k1, k2) - v * fx[2]

    @ti.func
    def steep_row(grid: ti.template(), c, w, dw):
        """As `row`, with the weights and with their slopes."""
        at = lay.bounded(c)
        n0, n1, n2 = get4(grid, at), get4(grid, at + 1), get4(grid, at + 2)
        s, t = over_axis(w, 2, n0, n1, n2)
        ds, dt = over_axis(dw, 2, n0, n1, n2)
        return s, t, ds, dt

    @ti.func
    def steep_plane(grid: ti.template(), c, nz, w, dw):
        """As `plane`, with the weights, with their slopes along the middle axis, and with those along the last."""
        s0, t0, d0, e0 = steep_row(grid, c, w, dw)
        s1, t1, d1, e1 = steep_row(grid, c + nz, w, dw)
        s2, t2, d2, e2 = steep_row(grid, c + 2 * nz, w, dw)
        s, sj = over_axis(w, 1, s0, s1, s2)
        m, mj = over_axis(dw, 1, s0, s1, s2)
        l, lj = over_axis(w, 1, d0, d1, d2)
        return s, sj, total(w, 1, t0, t1, t2), m, mj, total(dw, 1, t0, t1, t2), l, lj, total(w, 1, e0, e1, e2)

    @ti.func
    def p2g_adjoint(ggrid: ti.template(), first, ny, nz, fx, inv_dx, q4, a0, a1, a2):
        """Cotangents gq4 and gA (columns gb0, gb1, gb2) of `p2g`'s inputs, and gx of the position behind fx."""
        w, dw = weights(fx), weight_slopes(fx)
        q = q4 - (a0 * fx[0] + a1 * fx[1] + a2 * fx[2])
        s0, j0, k0, m0, mj0, mk0, l0, lj0, lk0 = steep_plane(ggrid, first, nz, w, dw)
        s1, j1, k1, m1, mj1, mk1, l1, lj1, lk1 = steep_plane(ggrid, first + ny * nz, nz, w, dw)
        s2, j2, k2, m2, mj2, mk2, l2, lj2, lk2 = steep_plane(ggrid, first + 2 * (ny * nz), nz, w, dw)
        gq, b0 = over_axis(w, 0, s0, s1, s2)
        f, fi = over_axis(dw, 0, s0, s1, s2)
        m, mi = over_axis(w, 0, m0, m1, m2)
        l, li = over_axis(w, 0, l0, l1, l2)
        # by fx: of the weights, along each axis the affine field times what its slopes gather; of the field, -A^T gq
        e0 = q * f + a0 * fi + a1 * total(dw, 0, j0, j1, j2) + a2 * total(dw, 0, k0, k1, k2) - a0 * gq
        e1 = q * m + a0 * mi + a1 * total(w, 0, mj0, mj1, mj2) + a2 * total(w, 0, mk0, mk1, mk2) - a1 * gq
        e2 = q * l + a0 * li + a1 * total(w, 0, lj0, lj1, lj2) + a2 * total(w, 0, lk0, lk1, lk2) - a2 * gq
        gA = b0 - gq * fx[0], total(w, 0, j0, j1, j2) - gq * fx[1], total(w, 0, k0, k1, k2) - gq * fx[2]
        return gq, gA[0], gA[1], gA[2], vec3(e0.sum(), e1.sum(), e2.sum()) * inv_dx

    @ti.func
    def g2p_adjoint(grid: ti.template(), ggrid: ti.template(), at, fx, inv_dx, gv4, g0, g1, g2):
        """Adds the nodes' cotangents w (gv + G (offset - fx)) to ggrid; returns gx. g0, g1, g2 are G's columns.

        The transposed map of `g2p` is `p2g`, and its slope by x is that of `p2g`'s transposed map. grid holds
        (velocity, mass), and gv4, g0.. have a zero fourth component. `at` has the lowest node's index in grid and in
        ggrid, and the rows (ny, nz) of both.
        """
        _gq, _b0, _b1, _b2, gx = p2g_adjoint(grid, at[0], at[2], at[3], fx, inv_dx, gv4, g0, g1, g2)
        p2g(ggrid, at[1], at[2], at[3], fx, gv4, g0, g1, g2)
        return gx

    @ti.func
    def put_columns(array: ti.template(), i, c0, c1, c2):
        """Write a matrix whose columns are vec4."""
        at = lay.place(i, 9)
        for r in ti.static(range(3)):
            put_entry(array, at, 3 * r, c0[r])
            put_entry(array, at, 3 * r + 1, c1[r])
            put_entry(array, at, 3 * r + 2, c2[r])

    @traced
    def column(array, at, c, k, zero):
        return vec4(*(entry(array, at, 3 * r + c) * k for r in range(3)), zero)

    @ti.func
    def get_columns(array: ti.template(), i, k, zero):
        """Columns of k times a matrix as vec4. `zero` is a run-time 0: a literal would keep LLVM from vectorising."""
        at = lay.place(i, 9)
        return column(array, at, 0, k, zero), column(array, at, 1, k, zero), column(array, at, 2, k, zero)

    return SimpleNamespace(
        cell=cell, corner=corner, whole=whole, get_columns=get_columns, put_columns=put_columns,
        p2g=p2g, p2g_adjoint=p2g_adjoint, g2p=g2p, g2p_adjoint=g2p_adjoint,
    )  # fmt: skip
