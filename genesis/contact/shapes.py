"""Signed distances of shapes, in the body's own frame: distance, unit normal, and the normal's slope.

Capsules and cylinders lie along local z; a plane is the local xy-plane with its normal along z. Those of a mesh
come from a grid (`genesis.contact.grids`).
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact import grids
from genesis.meshes.distances import Grid

SHAPES = ("sphere", "capsule", "box", "cylinder", "plane", "mesh")
SPHERE, CAPSULE, BOX, CYLINDER, PLANE, MESH = range(6)
FADE = 8.0
"""A tool's influence falls as exp(-distance / softness) and is shifted to reach zero, continuously, at this many
softness lengths."""


class Shape(NamedTuple):
    """One of SHAPES with its three numbers, metres.

    sphere: radius; capsule: radius, half the straight part; box: half sizes; cylinder: radius, half height;
    plane: none; mesh: distance of its farthest corner from the origin.
    """

    kind: str
    size: tuple[float, float, float]
    grid: Grid | None = None
    """Of a mesh."""

    @property
    def reach(self) -> float:
        """Radius of a sphere around the origin that holds the body (infinite for a plane)."""
        a, b, c = self.size
        return {
            "sphere": a,
            "capsule": a + b,
            "box": (a * a + b * b + c * c) ** 0.5,
            "cylinder": (a * a + b * b) ** 0.5,
            "plane": float("inf"),
            "mesh": a,
        }[self.kind]

    @property
    def half(self) -> tuple[float, float, float]:
        """Half lengths of the box around it along its own axes, m; of a plane there is none."""
        if self.grid is not None:
            corners = self.grid.surface.vertices
            return tuple(np.ptp(corners, axis=0) / 2)
        a, b, c = self.size
        return {"sphere": (a, a, a), "capsule": (a, a, a + b), "box": (a, b, c), "cylinder": (a, a, b)}[self.kind]

    @property
    def depth(self) -> float:
        """m from its surface to the farthest point inside of it (infinite for a plane)."""
        if self.grid is not None:
            return float(-self.grid.values.min())
        return math.inf if self.kind == "plane" else min(self.half)

    def within(self, y: np.ndarray) -> np.ndarray:
        """(n,) m, how deep places (n, 3) of its own frame are inside of it; not above zero outside."""
        a, b, c = self.size
        if self.grid is not None:
            near = np.round((y - self.grid.lower) / self.grid.spacing).astype(int)
            known = np.all((near >= 0) & (near < self.grid.values.shape), axis=1)
            near[~known] = 0
            return np.where(known, -self.grid.values[tuple(near.T)], 0.0)
        if self.kind == "plane":
            return -y[:, 2]
        if self.kind == "box":
            return ((a, b, c) - np.abs(y)).min(1)
        radius = np.hypot(y[:, 0], y[:, 1])
        if self.kind == "cylinder":
            return np.minimum(a - radius, b - np.abs(y[:, 2]))
        return a - np.hypot(radius, y[:, 2] - np.clip(y[:, 2], -b, b))

    def middle(self, y: np.ndarray) -> np.ndarray:
        """(n,) m, from the face that is nearest to each of places (n, 3) of its own frame to the middle, along its
        normal: half of what the shape is thick there (of a mesh, at most)."""
        a, b, c = self.size
        if self.kind == "box":
            return np.array((a, b, c))[((a, b, c) - np.abs(y)).argmin(1)]
        if self.kind == "cylinder":
            return np.where(a - np.hypot(y[:, 0], y[:, 1]) < b - np.abs(y[:, 2]), a, b)
        return np.full(len(y), self.depth)

    @property
    def levers(self) -> tuple[float, float, float]:
        """m/s, at most, with which its surface moves along its normal at a spin of 1 rad/s about each of its axes."""
        a, b, c = self.size
        return {
            "sphere": (0.0, 0.0, 0.0),
            "capsule": (b, b, 0.0),
            "box": (max(b, c), max(c, a), max(a, b)),
            "cylinder": (max(a, b), max(a, b), 0.0),
            "plane": (0.0, 0.0, 0.0),
            "mesh": (a, a, a),
        }[self.kind]

    @property
    def face(self) -> float:
        """m^2, the largest that it shows from any side; of a mesh, from 13 of them, counting hidden parts too."""
        if self.grid is not None:
            corners = self.grid.surface.vertices[self.grid.surface.faces]
            areas = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            sides = np.array([side for side in itertools.product((-1, 0, 1), repeat=3) if side > (0, 0, 0)])
            return float(0.5 * np.abs(areas @ (sides / np.linalg.norm(sides, axis=1)[:, None]).T).sum(0).max())
        a, b, c = self.size
        return {
            "sphere": math.pi * a * a,
            "capsule": math.pi * a * a + 4 * a * b,
            "box": 4 * max(a * b, b * c, c * a),
            "cylinder": max(math.pi * a * a, 4 * a * b),
            "plane": float("inf"),
        }[self.kind]


@per_runtime
def shapes(meshes: bool = False) -> Functions:
    """Functions of kernels; without `meshes` of the analytic shapes alone."""
    lay, of_grid = layout(), grids.grids()
    real, vec3 = lay.real, lay.vec3
    tiny = 1e-12

    @ti.func
    def from_core(kind, size, y):
        """Sphere, capsule, box outside: offset from the nearest point of a core, and the axes on which it can grow."""
        t, free = y, vec3(1.0)
        if kind == CAPSULE:
            if ti.abs(y[2]) > size[1]:
                t[2] = y[2] - size[1] * ti.math.sign(y[2])
            else:
                t[2] = 0.0
                free[2] = 0.0
        elif kind == BOX:
            for d in ti.static(range(3)):
                if ti.abs(y[d]) > size[d]:
                    t[d] = y[d] - size[d] * ti.math.sign(y[d])
                else:
                    t[d] = 0.0
                    free[d] = 0.0
        return t, free

    @ti.func
    def in_box(size, y):
        return ti.abs(y[0]) <= size[0] and ti.abs(y[1]) <= size[1] and ti.abs(y[2]) <= size[2]

    @ti.func
    def analytic(kind, size, y):
        """Signed distance (m, negative inside) and outward normal at y."""
        d, n = ti.cast(0.0, real), vec3(0.0)
        if kind == PLANE:
            d = y[2]
            n = vec3(0.0, 0.0, 1.0)
        elif kind == CYLINDER:
            rho = ti.max(ti.sqrt(y[0] * y[0] + y[1] * y[1]), tiny)
            side, cap, up = rho - size[0], ti.abs(y[2]) - size[1], ti.math.sign(y[2])
            if side > 0.0 and cap > 0.0:
                d = ti.sqrt(side * side + cap * cap)
                n = vec3(side / d * y[0] / rho, side / d * y[1] / rho, cap / d * up)
            elif side > cap:
                d = side
                n = vec3(y[0] / rho, y[1] / rho, 0.0)
            else:
                d = cap
                n = vec3(0.0, 0.0, up)
        elif kind == BOX and in_box(size, y):
            d = -1e30
            for a in ti.static(range(3)):
                depth = ti.abs(y[a]) - size[a]
                if depth > d:
                    d = depth
                    n = vec3(0.0)
                    n[a] = ti.math.sign(y[a])
        else:
            t, _free = from_core(kind, size, y)
            length = ti.max(t.norm(), tiny)
            n = t / length
            d = length
            if kind != BOX:
                d -= size[0]
        return d, n

    @ti.func
    def hessian_product(kind, size, y, g):
        """H g, where H is the (symmetric) slope of an analytic shape's normal with respect to y."""
        out = vec3(0.0)
        if kind == CYLINDER:
            rho = ti.max(ti.sqrt(y[0] * y[0] + y[1] * y[1]), tiny)
            side, cap, up = rho - size[0], ti.abs(y[2]) - size[1], ti.math.sign(y[2])
            er = vec3(y[0] / rho, y[1] / rho, 0.0)
            gr = g.dot(er)
            around = vec3(g[0] - gr * er[0], g[1] - gr * er[1], 0.0)
            if side > 0.0 and cap > 0.0:
                d = ti.sqrt(side * side + cap * cap)
                nr, nz = side / d, cap / d * up
                along = nr * gr + nz * g[2]
                out = ((gr - nr * along) / d) * er + (nr / rho) * around
                out[2] = (g[2] - nz * along) / d
            elif side > cap:
                out = around / rho
        elif kind != PLANE and not (kind == BOX and in_box(size, y)):
            t, free = from_core(kind, size, y)
            length = ti.max(t.norm(), tiny)
            n = t / length
            out = (free * g - n * n.dot(g)) / length
        return out

    @ti.func
    def distance(kind, size, y, a: ti.template()):
        """Signed distance (m, negative inside), outward unit normal and length of the distance's gradient at y."""
        d, n = analytic(kind, size, y)
        steep = ti.cast(1.0, real)
        if ti.static(meshes):
            if kind == MESH:
                d, n, steep = of_grid.distance(ti.cast(size[0], ti.i32), y, a)
        return d, n, steep

    @ti.func
    def normal_adjoint(kind, size, y, g, a: ti.template()):
        """Cotangent of y from the cotangent g of the normal."""
        out = hessian_product(kind, size, y, g)
        if ti.static(meshes):
            if kind == MESH:
                out = of_grid.normal_adjoint(ti.cast(size[0], ti.i32), y, g, a)
        return out

    return Functions(distance=distance, normal_adjoint=normal_adjoint)
