"""Between one particle and the 27 grid nodes around it: weights, P2G, G2P, and their adjoints.

A particle offers its nodes the affine field q(node) = q0 + A (offset - fx), as four vec4: q4 = (m v, m) and the columns
a0, a1, a2 of A. Everything four wide, so that a node is one load, one multiply-add, one store.
"""

from types import SimpleNamespace

from genesis.compiler import layout, per_runtime, ti, traced


@per_runtime
def transfer() -> SimpleNamespace:
    lay = layout()
    real, vec3, vec4 = lay.real, lay.vec3, lay.vec4
    get4, add4, entry, put_entry = lay.get4, lay.add4, lay.entry, lay.put_entry

    @ti.func
    def cell(x, origin, inv_dx):
        """Lowest node of the stencil."""
        g = (x - origin) * inv_dx - 0.5
        return ti.Vector([ti.cast(ti.floor(g[d]), ti.i32) for d in ti.static(range(3))])

    @ti.func
    def offset(x, origin, inv_dx, base):
        return (x - origin) * inv_dx - vec3(ti.cast(base[0], real), ti.cast(base[1], real), ti.cast(base[2], real))

    @ti.func
    def weights(fx):
        return ti.Matrix.cols([0.5 * (1.5 - fx) ** 2, 0.75 - (fx - 1.0) ** 2, 0.5 * (fx - 0.5) ** 2])

    @ti.func
    def weight_slopes(fx, inv_dx):
        return ti.Matrix.cols([fx - 1.5, -2.0 * (fx - 1.0), fx - 0.5]) * inv_dx

    @ti.func
    def p2g(grid: ti.template(), first, ny, nz, fx, q4, a0, a1, a2):
        """grid[node] += w (q4 + A (offset - fx)). `first` is the index of the lowest node, rows are ny x nz."""
        w = weights(fx)
        q = q4 - (a0 * fx[0] + a1 * fx[1] + a2 * fx[2])
        for i in ti.static(range(3)):
            qi = q + a0 * float(i)
            for j in ti.static(range(3)):
                qj = qi + a1 * float(j)
                wij = w[0, i] * w[1, j]
                c = first + (i * ny + j) * nz
                for k in ti.static(range(3)):
                    add4(grid, c + k, (qj + a2 * float(k)) * (wij * w[2, k]))

    @ti.func
    def p2g_adjoint(ggrid: ti.template(), first, ny, nz, fx, inv_dx, q4, a0, a1, a2):
        """Cotangents gq4 and gA (columns gb0, gb1, gb2) of `p2g`'s inputs, and gx of the position behind fx."""
        w = weights(fx)
        dw = weight_slopes(fx, inv_dx)
        q = q4 - (a0 * fx[0] + a1 * fx[1] + a2 * fx[2])
        gq4, b0, b1, b2 = vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0)
        d0, d1, d2 = ti.cast(0.0, real), ti.cast(0.0, real), ti.cast(0.0, real)
        for i in ti.static(range(3)):
            qi = q + a0 * float(i)
            Si = vec4(0.0)
            ei = ti.cast(0.0, real)
            for j in ti.static(range(3)):
                qj = qi + a1 * float(j)
                c = first + (i * ny + j) * nz
                wij = w[0, i] * w[1, j]
                Sj = vec4(0.0)
                ej, fj = ti.cast(0.0, real), ti.cast(0.0, real)
                for k in ti.static(range(3)):
                    gn = get4(ggrid, c + k)
                    e = (qj + a2 * float(k)).dot(gn)
                    ej += w[2, k] * e
                    fj += dw[2, k] * e
                    h = (wij * w[2, k]) * gn
                    Sj += h
                    if ti.static(k > 0):
                        b2 += h * float(k)
                ei += w[1, j] * ej
                d1 += w[0, i] * dw[1, j] * ej
                d2 += wij * fj
                Si += Sj
                if ti.static(j > 0):
                    b1 += Sj * float(j)
            d0 += dw[0, i] * ei
            gq4 += Si
            if ti.static(i > 0):
                b0 += Si * float(i)
        gx = vec3(d0 - inv_dx * a0.dot(gq4), d1 - inv_dx * a1.dot(gq4), d2 - inv_dx * a2.dot(gq4))
        return gq4, b0 - gq4 * fx[0], b1 - gq4 * fx[1], b2 - gq4 * fx[2], gx

    @ti.func
    def g2p(grid: ti.template(), first, ny, nz, fx):
        """v = sum w node and the columns of sum w node (offset - fx)^T, as vec4."""
        w = weights(fx)
        v, b0, b1, b2 = vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0)
        for i in ti.static(range(3)):
            Si = vec4(0.0)
            for j in ti.static(range(3)):
                c = first + (i * ny + j) * nz
                wij = w[0, i] * w[1, j]
                h0 = get4(grid, c) * (w[2, 0] * wij)
                h1 = get4(grid, c + 1) * (w[2, 1] * wij)
                h2 = get4(grid, c + 2) * (w[2, 2] * wij)
                Sj = h0 + h1 + h2
                b2 += h1 + 2.0 * h2
                Si += Sj
                if ti.static(j > 0):
                    b1 += Sj * float(j)
            v += Si
            if ti.static(i > 0):
                b0 += Si * float(i)
        return v, b0 - v * fx[0], b1 - v * fx[1], b2 - v * fx[2]

    @ti.func
    def g2p_adjoint(grid: ti.template(), ggrid: ti.template(), at, fx, inv_dx, gv4, g0, g1, g2):
        """Adds the nodes' cotangents w (gv + G (offset - fx)) to ggrid; returns gx. g0, g1, g2 are G's columns.

        grid holds (velocity, mass), and gv4, g0.. have a zero fourth component. `at` has the lowest node's index in
        grid and in ggrid, and the rows (ny, nz) of both.
        """
        first, gfirst, ny, nz = at[0], at[1], at[2], at[3]
        w = weights(fx)
        dw = weight_slopes(fx, inv_dx)
        q = gv4 - (g0 * fx[0] + g1 * fx[1] + g2 * fx[2])
        sv = vec4(0.0)
        d0, d1, d2 = ti.cast(0.0, real), ti.cast(0.0, real), ti.cast(0.0, real)
        for i in ti.static(range(3)):
            qi = q + g0 * float(i)
            ei = ti.cast(0.0, real)
            for j in ti.static(range(3)):
                qj = qi + g1 * float(j)
                c = (i * ny + j) * nz
                wij = w[0, i] * w[1, j]
                ej, fj = ti.cast(0.0, real), ti.cast(0.0, real)
                for k in ti.static(range(3)):
                    qk = qj + g2 * float(k)
                    wk = wij * w[2, k]
                    node = get4(grid, first + c + k)
                    e = qk.dot(node)
                    ej += w[2, k] * e
                    fj += dw[2, k] * e
                    sv += wk * node
                    add4(ggrid, gfirst + c + k, qk * wk)
                ei += w[1, j] * ej
                d1 += w[0, i] * dw[1, j] * ej
                d2 += wij * fj
            d0 += dw[0, i] * ei
        return vec3(d0 - inv_dx * g0.dot(sv), d1 - inv_dx * g1.dot(sv), d2 - inv_dx * g2.dot(sv))

    @ti.func
    def put_columns(array: ti.template(), i, c0, c1, c2):
        """Write a matrix whose columns are vec4."""
        for r in ti.static(range(3)):
            put_entry(array, i, 3 * r, 9, c0[r])
            put_entry(array, i, 3 * r + 1, 9, c1[r])
            put_entry(array, i, 3 * r + 2, 9, c2[r])

    @traced
    def column(array, i, c, k, zero):
        return vec4(*(entry(array, i, 3 * r + c, 9) * k for r in range(3)), zero)

    @ti.func
    def get_columns(array: ti.template(), i, k, zero):
        """Columns of k times a matrix as vec4. `zero` is a run-time 0: a literal would keep LLVM from vectorising."""
        return column(array, i, 0, k, zero), column(array, i, 1, k, zero), column(array, i, 2, k, zero)

    return SimpleNamespace(
        cell=cell, offset=offset, get_columns=get_columns, put_columns=put_columns,
        p2g=p2g, p2g_adjoint=p2g_adjoint, g2p=g2p, g2p_adjoint=g2p_adjoint,
    )  # fmt: skip
