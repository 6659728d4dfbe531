"""From a robot with MuJoCo's numbers to what the kernels of its contact model read."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from genesis.compiler import layout
from genesis.loaders import rotations
from genesis.loaders.model import BALL, RigidModel
from genesis.loaders.parts import Geom, GroundGeom
from genesis.solvers.rigid import layout as rigid
from genesis.solvers.rigid import prepare
from genesis.solvers.rigid.mujoco import layout as slot
from genesis.solvers.rigid.mujoco.driver import driver
from genesis.solvers.rigid.prepare import UNLIMITED
from genesis.solvers.rigid.setup import Place, Setup

KINDS = {"sphere": slot.SPHERE, "capsule": slot.SPHERE, "box": slot.BOX, "ellipsoid": slot.ELLIPSOID,
         "cylinder": slot.CYLINDER}  # fmt: skip
POINTS_OF_CYLINDER = 4
MOST_OF_BOX = 4
TOLERANCE = {True: 1e-10, False: 1e-5}
"""By double precision: relative size of a step at which Newton's method ends where the cost is not quadratic."""


def points_of(geom: Geom) -> np.ndarray:
    """(n, 4) centre in the link's frame and radius of each point that may touch."""
    size, pos, quat = np.asarray(geom.size), np.asarray(geom.pos), np.asarray(geom.quat)
    radius = 0.0
    if geom.kind == "sphere":
        local, radius = np.zeros((1, 3)), size[0]
    elif geom.kind == "capsule":
        local, radius = np.array([[0, 0, size[1]], [0, 0, -size[1]]]), size[0]
    elif geom.kind == "box":  # the first axis alternates fastest: the order decides which four are taken
        local = size * np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)])
    elif geom.kind == "cylinder":
        local = np.zeros((POINTS_OF_CYLINDER, 3))
    else:
        local = np.zeros((1, 3))
    return np.array([(*(pos + rotations.rotate(quat, v)), radius) for v in local])


def pack_geoms(model: RigidModel) -> np.ndarray:
    """`geom` (G, 5, 4) of `layout.TABLE`."""
    rows = np.zeros((len(model.geoms), slot.GEOM_ROWS, 4))
    for row, geom in zip(rows, model.geoms, strict=True):
        turn, size = rotations.matrix(np.asarray(geom.quat)), np.asarray(geom.size, float)
        row[slot.G_POS] = (*geom.pos, size[0])
        row[slot.G_X] = (*turn[:, 0], size[1])
        row[slot.G_Z] = (*turn[:, 2], float(geom.kind == "capsule"))
        if geom.kind == "ellipsoid":
            six = rotations.six(turn @ np.diag(size**2) @ turn.T)
            row[slot.G_DIAGONAL, :3], row[slot.G_OFF, :3] = six[:3], six[3:]
    return rows


def pack_touches(
    model: RigidModel, grounds: Sequence[GroundGeom], numbers: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`touch`, `touch_law` and `point` of `layout.TABLE`, ordered by link; and (L, 2) first touch and touches of each."""
    ints, laws, points = [], [], []
    firsts = {}
    for g, geom in enumerate(model.geoms):
        firsts[g] = len(points)
        points += list(points_of(geom))
    order = sorted(range(len(model.geoms)), key=lambda g: model.geoms[g].link)
    of_links = np.zeros((model.n_links, 2), int)
    moving = model.moving
    for g in order:
        geom = model.geoms[g]
        if not moving[geom.link]:
            continue
        for h, ground in enumerate(grounds):
            if not (geom.group & ground.mask or ground.group & geom.mask):
                continue
            margin = numbers.margin[g] + numbers.ground_margin[h]
            higher = np.sign(numbers.priority[g] - numbers.ground_priority[h])
            mix = _mix(numbers.solmix[g], numbers.ground_solmix[h]) if higher == 0 else float(higher > 0)
            dim = max(numbers.condim[g], numbers.ground_condim[h])
            if higher != 0:
                dim = numbers.condim[g] if higher > 0 else numbers.ground_condim[h]
            if of_links[geom.link, 1] == 0:
                of_links[geom.link, 0] = len(ints)
            of_links[geom.link, 1] += 1
            n = len(points_of(geom))
            most = MOST_OF_BOX if geom.kind == "box" else n
            ints.append((geom.link, h, g, KINDS[geom.kind], int(dim), firsts[g], n, most))
            reach = np.linalg.norm(prepare.bounding_box(geom)) + margin
            if ground.kind != "plane":
                reach = UNLIMITED
            laws.append((mix, -1.0 if higher == 0 else float(higher > 0), margin, reach))
    return (np.array(ints, int).reshape(-1, slot.TOUCH_INTS), np.array(laws).reshape(-1, slot.TOUCH_NUMBERS),
            np.array(points).reshape(-1, 4), of_links)  # fmt: skip


def _mix(a: float, b: float) -> float:
    """Weight of the first of two geoms' parameters."""
    least = 1e-15
    if a >= least and b >= least:
        return a / (a + b)
    return 0.5 if a < least and b < least else float(a >= least)


def parameter_layout(model: RigidModel, grounds: Sequence[GroundGeom]) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Name -> (first index, shape) of each parameter's numbers."""
    sizes = {"links": model.n_links, "geoms": len(model.geoms), "dofs": model.n_dofs, "grounds": len(grounds)}
    return rigid.parameter_places(slot.PARAMETER_TABLE, sizes)


def smoothed(solimp: np.ndarray, width: float) -> np.ndarray:
    """Impedances that begin at zero, over at least this width; `solimp` (n, 5) itself where that is zero."""
    solimp = np.array(solimp, float).reshape(-1, 5)
    if width > 0.0:
        solimp[:, 0] = 0.0
        solimp[:, 2] = np.maximum(solimp[:, 2], width)
    return solimp


def own_values(model: RigidModel, grounds: Sequence[GroundGeom], numbers: Any, smoothing: float) -> dict[str, Any]:
    """The values of `layout.PARAMETER_TABLE` that robots, grounds and options say."""
    kp, kv = model.dof_gains()
    return {
        "mass": model.mass, "inertia": model.inertia, "invweight": numbers.geom_invweight, "damping": model.damping,
        "armature": model.armature, "stiffness": model.stiffness, "kp": kp, "kv": kv,
        "frictionloss": numbers.frictionloss, "dof_invweight": numbers.dof_invweight,
        "limit_solref": numbers.limit_solref, "limit_solimp": smoothed(numbers.limit_solimp, smoothing),
        "loss_solref": numbers.loss_solref, "loss_solimp": numbers.loss_solimp,
        "friction": numbers.friction, "solref": numbers.solref, "solimp": smoothed(numbers.solimp, smoothing),
        "ground_friction": numbers.ground_friction, "ground_solref": numbers.ground_solref,
        "ground_solimp": smoothed(numbers.ground_solimp, smoothing),
    }  # fmt: skip


def setup_of(
    model: RigidModel, grounds: Sequence[GroundGeom], numbers: Any, *, dt: float, integrator: str, elliptic: bool,
    impratio: float, iterations: int, smoothing: float = 0.0, refsafe: bool = True, double: bool = True,
    tolerance: float | None = None,
) -> Setup:  # fmt: skip
    """The setup of MuJoCo's contact model.

    Args:
        numbers: MuJoCo's numbers of all bodies and grounds.
        dt: Substep, s.
    """
    L, D = model.n_links, model.n_dofs
    touch, law, points, of_links = pack_touches(model, grounds, numbers)
    link_tree, dof_tree, chain = prepare.pack_tree(model, ())
    link_tree[:, rigid.POINT0], link_tree[:, rigid.N_POINTS] = of_links[:, 0], of_links[:, 1]
    link_fixed, dof_fixed, turn = prepare.pack_frames(model)
    ground, heights = prepare.pack_grounds(grounds)
    dof_law = np.zeros((D, rigid.LAW_ROWS, 4))
    limit, rest = dof_law[:, rigid.LIMIT], dof_law[:, rigid.REST]
    limit[:, 0], limit[:, 1] = np.maximum(model.limit_low, -UNLIMITED), np.minimum(model.limit_high, UNLIMITED)
    limit[:, 2] = numbers.limit_margin
    rest[:, 0], rest[:, 1] = model.spring_ref, np.maximum(model.force_low, -UNLIMITED)
    rest[:, 2] = np.minimum(model.force_high, UNLIMITED)
    balls = 0
    for joint in model.joints:
        if joint.kind == BALL:
            balls += 1
        if joint.kind in ("hinge", "slide"):
            rest[joint.dof, 3] = model.qpos0[joint.q]
    values = own_values(model, grounds, numbers, smoothing)
    features = slot.Features(
        terrain=any(g.kind != "plane" for g in grounds), integrator=integrator, elliptic=elliptic,
        rotations=bool(len(touch) and touch[:, slot.T_DIM].max() > 3),
    )  # fmt: skip
    places = parameter_layout(model, grounds)
    initial = np.concatenate([np.ravel(values[name]).astype(float) for name in slot.PARAMETER_TABLE])
    constants = dict(
        num=[dt, 0.0], link_tree=link_tree, dof_tree=dof_tree, chain=chain, link_fixed=link_fixed,
        dof_fixed=dof_fixed, turn=turn, dof_law=dof_law, ground=ground, heights=heights, point=points, touch=touch,
        touch_law=law, geom=pack_geoms(model),
        solver_numbers=[1.0 / impratio, TOLERANCE[double] if tolerance is None else tolerance, float(refsafe), iterations],
    )  # fmt: skip
    rows = int(max(1, touch[:, slot.T_DIM].max() if len(touch) else 1))
    sizes = {
        "links": L, "qs": model.n_qs, "dofs": D, "entries": len(chain), "parameters": len(initial),
        "geoms": len(model.geoms), "points": len(points), "grounds": len(grounds), "samples": len(heights), "pairs": 0,
        "touches": len(touch), "contacts": max(1, int(touch[:, slot.T_MOST].sum()) + balls), "rows": rows,
        "depth": int(max(1, dof_tree[:, rigid.DEPTH].max() if D else 1)),
        "damped_entries": 0 if integrator == slot.RK4 else len(chain),
    }  # fmt: skip
    outputs = [Place(model.geoms[t[slot.T_GEOM]].link, model.geoms[t[slot.T_GEOM]].name) for t in touch]
    return Setup(slot.TABLE, lambda: driver(features), False, constants, sizes, places, initial, outputs,
                 slot.EVALUATIONS[integrator])  # fmt: skip


def mujoco(
    model: RigidModel, grounds: Sequence[GroundGeom], options: Any, dt: float, gravity: Sequence[float],
    outputs: Sequence[str], labels: Sequence[str],
) -> Setup:  # fmt: skip
    """The setup for `MujocoContact`. Arguments are those of `compliant`."""
    law, numbers = options.contact, model.mujoco
    return setup_of(
        model, grounds, numbers, dt=dt, integrator=options.integrator or numbers.integrator,
        elliptic=(law.cone or numbers.cone) == "elliptic",
        impratio=numbers.impratio if law.impratio is None else law.impratio,
        iterations=options.iterations or numbers.iterations, smoothing=law.smoothing, refsafe=numbers.refsafe,
        double=layout().dtype == torch.float64, tolerance=options.tolerance,
    )  # fmt: skip
