"""Many pairs of convex geoms, of kinds that are known at run time, by MuJoCo and by `genesis.contact.narrow_phase`."""

from dataclasses import dataclass

import mujoco
import numpy as np
import torch

from genesis.compiler import layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.convex import KINDS, convex
from genesis.contact.narrow_phase.hulls import FORMS, Hull, hull_of, pack
from genesis.contact.narrow_phase.layout import MOST, NUMBERS
from genesis.contact.narrow_phase.memory import Desk, needed
from genesis.launch import bind
from genesis.loaders.contacts import _hull
from tests.contact.narrow_phase import Pairs, _flat

CONVERGED = '<option ccd_iterations="500" ccd_tolerance="1e-12"/>'
"""MuJoCo's search on curved surfaces ends at 1e-6 m by default."""


@dataclass
class Scene:
    """Two geoms in many poses; sizes, reach and hulls are the same in all."""

    kinds: tuple[str, str]
    vertices: tuple[np.ndarray, np.ndarray]
    pairs: Pairs


def model_of(scene: Scene, option: str = CONVERGED) -> mujoco.MjModel:
    pairs, assets, bodies = scene.pairs, "", ""
    for side, (kind, size) in enumerate(zip(scene.kinds, (pairs.size_a[0], pairs.size_b[0]), strict=True)):
        shape = f'type="{kind}" size="{" ".join(map(repr, map(float, size)))}"'
        if kind == "hull":
            points = " ".join(repr(float(x)) for x in scene.vertices[side].ravel())
            assets += f'<mesh name="m{side}" vertex="{points}"/>'
            shape = f'type="mesh" mesh="m{side}"'
        bodies += f'<body><freejoint/><geom {shape} margin="{float(pairs.reach[0]) / 2!r}"/></body>'
    return mujoco.MjModel.from_xml_string(
        f"<mujoco>{option}<asset>{assets}</asset><worldbody>{bodies}</worldbody></mujoco>"
    )


def by_mujoco(scene: Scene, option: str = CONVERGED) -> list[np.ndarray]:
    """Contacts of each pair, (count, 7)."""
    pairs, model = scene.pairs, model_of(scene, option)
    data, found = mujoco.MjData(model), []
    mujoco.mj_kinematics(model, data)
    for i in range(len(pairs)):
        data.geom_xpos[:] = [[0, 0, 0], pairs.p[i]]
        data.geom_xmat[:] = [pairs.Ra[i].ravel(), pairs.Rb[i].ravel()]
        mujoco.mj_collision(model, data)
        c = data.contact
        rows = []
        for k in range(data.ncon):
            normal = c.frame[k][:3] * (1.0 if c.geom[k][0] == 0 else -1.0)
            if c.dist[k] < pairs.reach[i]:
                rows.append(np.concatenate([c.pos[k], normal, c.dist[k : k + 1]]))
        found.append(np.array(rows).reshape(-1, 7))
    return found


def hulls_of(scene: Scene) -> list[Hull]:
    """Of geoms that are meshes."""
    model = model_of(scene)
    meshes = [i for i in range(model.ngeom) if model.geom_type[i] == mujoco.mjtGeom.mjGEOM_MESH]
    hulls = []
    for i in meshes:
        hull = _hull(model, i, "the scene")
        starts = np.flatnonzero(np.diff(hull["faces"][:, 0], prepend=-1))
        polygons = np.split(hull["faces"][:, 1], starts[1:])
        hulls.append(hull_of(hull["vertices"], [tuple(corners.tolist()) for corners in polygons]))
    return hulls


@per_runtime
def kernels():
    """`meet` and `slopes` for many pairs of kinds that are known when they run."""
    lay, meet, slopes = layout(), convex().meet, cases().slopes
    A, N, vec3, mat3 = lay.A1, lay.I1, lay.vec3, lay.mat3

    @ti.func
    def vector(a: ti.template(), i):
        return vec3(a[i], a[i + 1], a[i + 2])

    @ti.func
    def matrix(a: ti.template(), i):
        m = mat3(0.0)
        for r, c in ti.static(ti.ndrange(3, 3)):
            m[r, c] = a[i + 3 * r + c]
        return m

    @ti.kernel
    def meet_all(vertex: A, mesh: N, work: A, whole: N, sides: N, sa: A, sb: A, p: A, Ra: A, Rb: A, reach: A, found: A,
                 count: N):  # fmt: skip
        ti.loop_config(serialize=True)
        for i in range(count.shape[0]):
            desk = Desk(vertex, mesh, work, 0, whole, 0, found)
            count[i] = meet(desk, i * MOST * NUMBERS, sides[0], sides[1], vector(sa, 3 * i), vector(sb, 3 * i),
                            vector(p, 3 * i), matrix(Ra, 9 * i), matrix(Rb, 9 * i), reach[i])  # fmt: skip

    @ti.kernel
    def slopes_all(p: A, found: A, count: N, g: A, out: A):
        ti.loop_config(serialize=True)
        for i in range(count.shape[0]):
            for k in range(count[i]):
                j = i * MOST + k
                shift, turn, _slide = slopes(found, j * NUMBERS, vector(p, 3 * i), vector(g, 7 * j), g[7 * j + 6],
                                     vector(g, 7 * j + 3))  # fmt: skip
                for c in ti.static(range(3)):
                    out[6 * j + c] = shift[c]
                    out[6 * j + 3 + c] = turn[c]

    return meet_all, slopes_all


def arrays(scene: Scene) -> dict[str, torch.Tensor]:
    pairs, n, real = scene.pairs, len(scene.pairs), layout().dtype
    numbers, whole, headers = pack(hulls_of(scene))
    own, sizes = iter(headers[len(FORMS) :]), [pairs.size_a.copy(), pairs.size_b.copy()]
    for size, kind in zip(sizes, scene.kinds, strict=True):
        if kind == "hull":
            size[:, 0] = next(own)
    reals, integers = needed(int(whole[0]))
    return {
        "vertex": _flat(numbers),
        "mesh": torch.tensor(whole, dtype=torch.int32),
        "work": torch.full((reals,), float("nan"), dtype=real),
        "whole": torch.zeros(integers, dtype=torch.int32),
        "sides": torch.tensor([KINDS[kind] for kind in scene.kinds], dtype=torch.int32),
        "sa": _flat(sizes[0]), "sb": _flat(sizes[1]), "p": _flat(pairs.p), "Ra": _flat(pairs.Ra), "Rb": _flat(pairs.Rb),
        "reach": _flat(pairs.reach),
        "found": torch.full((n * MOST * NUMBERS,), float("nan"), dtype=real),
        "count": torch.zeros(n, dtype=torch.int32),
        "g": torch.zeros(n * MOST * 7, dtype=real),
        "out": torch.full((n * MOST * 6,), float("nan"), dtype=real),
    }  # fmt: skip


def records(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Records (N, MOST, NUMBERS), and how many are valid (N,)."""
    a = arrays(scene)
    bind(kernels()[0], {name: value for name, value in a.items() if name not in ("g", "out")}, lanes=True)()
    n = len(scene.pairs)
    return a["found"].numpy().reshape(n, MOST, NUMBERS), a["count"].numpy()


def slopes(scene: Scene, g: np.ndarray) -> np.ndarray:
    """Derivatives (N, MOST, 6) by B's displacement of g (N, MOST, 7) times place, normal, distance."""
    a = arrays(scene)
    a["g"].copy_(_flat(g))
    bind(kernels()[0], {name: value for name, value in a.items() if name not in ("g", "out")}, lanes=True)()
    bind(kernels()[1], {name: a[name] for name in ("p", "found", "count", "g", "out")}, lanes=True)()
    return a["out"].numpy().reshape(len(scene.pairs), MOST, 6)


def random_scene(kinds: tuple[str, str], n: int, seed: int, reach: float = 0.0, box_like: bool = False) -> Scene:
    """Random sizes and poses, from deep overlap to a little apart."""
    rng = np.random.default_rng(seed)
    used = {"sphere": 1, "capsule": 2, "box": 3, "cylinder": 2, "ellipsoid": 3, "hull": 0}
    sizes = [np.where(np.arange(3) < used[kind], rng.uniform(0.1, 0.6, 3), 0.0) for kind in kinds]
    vertices = []
    for _ in kinds:
        points = rng.normal(size=(12, 3))
        points *= 0.4 / np.linalg.norm(points, axis=1, keepdims=True)
        points *= rng.uniform(0.5, 1.2, 3)
        if box_like:
            points = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * rng.uniform(0.1, 0.5, 3)
        vertices.append(points.astype(np.float32).astype(float))
    blank = Pairs(*(np.zeros((1, 3)) + s for s in sizes), *np.zeros((1, 3)), *(np.eye(3)[None],) * 2, np.zeros(1))
    scene = Scene(kinds, tuple(vertices), blank)
    hulls = iter(hulls_of(scene))
    own = [next(hulls).vertices if kind == "hull" else np.zeros((0, 3)) for kind in kinds]

    def extent(side: int, R: np.ndarray, d: np.ndarray) -> float:
        local, s, kind = R.T @ d, sizes[side], kinds[side]
        if kind == "hull":
            return float((own[side] @ local).max())
        if kind == "ellipsoid":
            return float(np.linalg.norm(s * local))
        if kind == "cylinder":
            return float(s[0] * np.hypot(local[0], local[1]) + s[1] * abs(local[2]))
        return float({"sphere": s[0], "capsule": s[0] + s[1] * abs(local[2]), "box": s @ abs(local)}[kind])

    p, Ra, Rb = [], [], []
    for _ in range(n):
        turns = []
        for _side in range(2):
            q = rng.normal(size=4)
            out = np.zeros(9)
            mujoco.mju_quat2Mat(out, q / np.linalg.norm(q))
            turns.append(out.reshape(3, 3))
        d = rng.normal(size=3)
        d /= np.linalg.norm(d)
        touching = extent(0, turns[0], d) + extent(1, turns[1], -d)
        depth = [1e-3, 0.02, 0.1, 0.5][rng.integers(4)] * rng.uniform(0.1, 1.0) * touching
        gap = rng.random() * reach if rng.random() < 0.5 else 0.0
        p.append((touching + gap - depth) * d)
        Ra.append(turns[0])
        Rb.append(turns[1])
    same = [np.tile(s, (n, 1)) for s in sizes]
    scene.pairs = Pairs(*same, np.array(p), np.array(Ra), np.array(Rb), np.full(n, reach))
    return scene
