"""Between rows of arrays and lanes: `count` particles of one body side by side, the first of them in row `first`.

Lanes beyond the last particle read what it has, and write nothing. Loops over lanes run: unrolled, they multiply the
time to compile.
"""

from genesis.compiler import Functions, layout, per_runtime, ti, traced, value
from genesis.math.lanes import Vec, lane, lanes33, numbered, of_lane, set_lane, where


@per_runtime
def rows() -> Functions:
    lay = layout()
    W, vec4, entry = lay.width, lay.vec4, lay.entry

    @ti.func
    def load33(a: ti.template(), first, count):
        """Mat."""
        M = lanes33()
        for j in range(W):
            at = lay.place(first + ti.min(j, count - 1), 9)
            for k in ti.static(range(9)):
                set_lane(M[k // 3][k % 3], j, entry(a, at, k))
        return M

    @ti.func
    def store33(a: ti.template(), first, count, M):
        for j in range(count):
            at = lay.place(first + j, 9)
            for k in ti.static(range(9)):
                lay.put_entry(a, at, k, of_lane(M[k // 3][k % 3], j))

    @traced
    def lane_values(n):
        """Vec of n zeros, to assign to."""
        return Vec(*(lane() for _ in range(n)))

    @ti.func
    def load_numbers(n: ti.template(), a: ti.template(), first, stride, count):
        """Vec of the n first numbers of rows of `stride` numbers."""
        v = lane_values(n)
        for j in range(W):
            at = (first + ti.min(j, count - 1)) * stride
            for k in ti.static(range(n)):
                set_lane(v[k], j, a[at + k])
        return v

    @ti.func
    def store_numbers(n: ti.template(), a: ti.template(), first, stride, count, v):
        for j in range(count):
            for k in ti.static(range(n)):
                a[(first + j) * stride + k] = of_lane(v[k], j)

    @ti.func
    def load_columns(a: ti.template(), i, count):
        """Mat, its columns from rows 1, 2, 3 of the four of each particle from particle i on."""
        M = lanes33()
        for j in range(W):
            at = lay.bounded(4 * (i + ti.min(j, count - 1)))
            for c in ti.static(range(3)):
                column = lay.get4(a, at + 1 + c)
                for r in ti.static(range(3)):
                    set_lane(M[r][c], j, column[r])
        return M

    @ti.func
    def store_columns(a: ti.template(), i, count, M, zero):
        """`zero` is a run-time 0, as in `genesis.solvers.mpm.transfer`."""
        for j in range(count):
            at = lay.bounded(4 * (i + j))
            for c in ti.static(range(3)):
                column = vec4(of_lane(M[0][c], j), of_lane(M[1][c], j), of_lane(M[2][c], j), zero)
                lay.put4(a, at + 1 + c, column)

    @traced
    def total(x, count):
        """Sum of a lane value over the particles."""
        number, _ = numbered()
        x = value(where(number < ti.cast(count, lay.real), lane(1.0), lane(0.0)) * x)
        out = of_lane(x, 0)
        for j in range(1, W):
            out = out + of_lane(x, j)
        return value(out)

    return Functions(
        load33=load33, store33=store33, lane_values=lane_values, load_numbers=load_numbers,
        store_numbers=store_numbers, load_columns=load_columns, store_columns=store_columns, total=total,
    )  # fmt: skip
