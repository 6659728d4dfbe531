"""Signed distances of meshes, for kernels: a quadratic B-spline whose control values `genesis.meshes.distances` gives.
Distance and gradient are continuous; the gradient's slope jumps halfway between values.
"""

from collections.abc import Sequence

import numpy as np
import torch

from genesis.arrays import Array, allocate, view
from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.meshes.distances import Grid

TABLE = (
    Array("grid_counts", "I1", ("grids", 4), "constant"),  # of values along x, y and z; the first one's place
    Array("grid_boxes", "A4", ("grids",), "constant"),  # place of the first value, spacing
    Array("distances", "A1", ("distances",), "constant"),
)
FAR = 1e30
"""Distance where no grid reaches, m."""


def pack(grids: Sequence[Grid]) -> dict[str, torch.Tensor]:
    """The arrays of `TABLE`."""
    sizes = {"grids": len(grids), "distances": sum(grid.values.size for grid in grids)}
    arrays, first = allocate(TABLE, sizes, "constant"), 0
    boxes = view(TABLE, arrays, "grid_boxes", sizes)
    for k, grid in enumerate(grids):
        counts = torch.tensor([*grid.values.shape, first], dtype=torch.int32)
        arrays["grid_counts"][4 * k : 4 * k + 4] = counts
        boxes[k] = torch.as_tensor(np.append(grid.lower, grid.spacing), dtype=layout().dtype)
        arrays["distances"][first : first + grid.values.size] = torch.as_tensor(
            grid.values.ravel(), dtype=layout().dtype
        )
        first += grid.values.size
    return arrays


@per_runtime
def grids() -> Functions:
    lay = layout()
    real, vec3 = lay.real, lay.vec3
    tiny = 1e-9

    @ti.func
    def place_of(grid, y, a: ti.template()):
        """Whether the grid reaches y, number of the value nearest to it, and where it is from that, in cells."""
        box = lay.get4(a.grid_boxes, grid)
        u = (y - box[:3]) / box[3]
        inside, index, f = True, ti.cast(0, ti.i32), vec3(0.0)
        for c in ti.static(range(3)):
            n = a.grid_counts[4 * grid + c]
            whole = ti.floor(u[c] + 0.5)
            f[c] = u[c] - whole
            if not (whole >= 1.0 and whole <= n - 2.0):
                inside = False
            else:
                index = index * n + ti.cast(whole, ti.i32)
        return inside, index, f

    @ti.func
    def weights(o, f):
        """Of the value o cells (-1, 0, 1) from the middle one: B-spline, its slope and curvature, per cell."""
        b, db, ddb = 0.75 - f * f, -2.0 * f, ti.cast(-2.0, real)
        if o != 0:
            side = 0.5 + o * f
            b, db, ddb = 0.5 * side * side, o * side, ti.cast(1.0, real)
        return b, db, ddb

    @ti.func
    def value(grid, index, i, j, k, a: ti.template()):
        ny, nz = a.grid_counts[4 * grid + 1], a.grid_counts[4 * grid + 2]
        return a.distances[a.grid_counts[4 * grid + 3] + index + (i * ny + j) * nz + k]

    @ti.func
    def gradient(grid, index, f, a: ti.template()):
        """Distance (m) and its gradient."""
        d, slope = ti.cast(0.0, real), vec3(0.0)
        for cell in range(27):
            i, j, k = cell // 9 - 1, cell // 3 % 3 - 1, cell % 3 - 1
            x, dx, _x = weights(i, f[0])
            y, dy, _y = weights(j, f[1])
            z, dz, _z = weights(k, f[2])
            v = value(grid, index, i, j, k, a)
            d += x * y * z * v
            slope += v * vec3(dx * y * z, x * dy * z, x * y * dz)
        return d, slope / lay.get4(a.grid_boxes, grid)[3]

    @ti.func
    def distance(grid, y, a: ti.template()):
        """Signed distance (m), unit normal and length of the gradient at y, in the body's frame."""
        d, n, steep = ti.cast(FAR, real), vec3(0.0), ti.cast(0.0, real)
        inside, index, f = place_of(grid, y, a)
        if inside:
            d, slope = gradient(grid, index, f, a)
            steep = slope.norm()
            n = slope / ti.max(steep, tiny)
        return d, n, steep

    @ti.func
    def normal_adjoint(grid, y, g, a: ti.template()):
        """Cotangent of y from the cotangent g of the normal: H (g - n n.g) / |gradient|, H the second derivatives."""
        out = vec3(0.0)
        inside, index, f = place_of(grid, y, a)
        if inside:
            _d, slope = gradient(grid, index, f, a)
            steep = slope.norm()
            if steep > tiny:
                n = slope / steep
                t = (g - n.dot(g) * n) / steep
                for cell in range(27):
                    i, j, k = cell // 9 - 1, cell // 3 % 3 - 1, cell % 3 - 1
                    x, dx, ddx = weights(i, f[0])
                    y_, dy, ddy = weights(j, f[1])
                    z, dz, ddz = weights(k, f[2])
                    v = value(grid, index, i, j, k, a)
                    out += v * vec3(
                        ddx * y_ * z * t[0] + dx * dy * z * t[1] + dx * y_ * dz * t[2],
                        dx * dy * z * t[0] + x * ddy * z * t[1] + x * dy * dz * t[2],
                        dx * y_ * dz * t[0] + x * dy * dz * t[1] + x * y_ * ddz * t[2],
                    )
                spacing = lay.get4(a.grid_boxes, grid)[3]
                out = out / (spacing * spacing)
        return out

    return Functions(distance=distance, normal_adjoint=normal_adjoint)
