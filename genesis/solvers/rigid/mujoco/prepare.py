"""From a robot with MuJoCo's numbers to what the kernels of its contact model read."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from genesis import runtime
from genesis.compiler import layout
from genesis.contact.narrow_phase.finders import FINDERS
from genesis.contact.narrow_phase.layout import MOST, NUMBERS
from genesis.errors import GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.contact_mixing import PairNumbers, candidates, ground_candidates, mix, share_of
from genesis.loaders.invweight import numbers_of
from genesis.loaders.model import BALL, FREE, HINGE, JOINT_SIZES, SLIDE, RigidModel
from genesis.loaders.mujoco_numbers import agreed
from genesis.loaders.mujoco_refusals import check_for_mujoco
from genesis.loaders.parts import Geom, GroundGeom
from genesis.solvers.rigid import layout as rigid
from genesis.solvers.rigid import prepare
from genesis.solvers.rigid.mujoco import layout as slot
from genesis.solvers.rigid.mujoco.driver import driver
from genesis.solvers.rigid.mujoco.prepare_equality import pack_equalities
from genesis.solvers.rigid.mujoco.smoothing import extra_margin, smoothed
from genesis.solvers.rigid.prepare import UNLIMITED
from genesis.solvers.rigid.setup import Place, Setup

KINDS = {"sphere": slot.SPHERE, "capsule": slot.SPHERE, "box": slot.BOX, "ellipsoid": slot.ELLIPSOID,
         "cylinder": slot.CYLINDER}  # fmt: skip
POINTS_OF_CYLINDER = 4
MOST_OF_BOX = 4
TOLERANCE = {True: 1e-9, False: 1e-5}
"""By double precision: relative size of the last step of Newton's method where the cost is not quadratic. What remains
is of the order of its square."""
ITERATIONS = 50
"""Most steps of Newton's method."""


class Law(Protocol):
    """What this model reads of `genesis.options.MujocoContact`; see there."""

    @property
    def cone(self) -> str | None: ...
    @property
    def impratio(self) -> float | None: ...
    @property
    def smoothing(self) -> float: ...


class Options(Protocol):
    """What this model reads of `genesis.options.RigidOptions`; see there."""

    @property
    def contact(self) -> Law: ...
    @property
    def integrator(self) -> str | None: ...
    @property
    def iterations(self) -> int | None: ...
    @property
    def tolerance(self) -> float | None: ...


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
    """`geom` (G, 6, 4) of `layout.TABLE`."""
    rows = np.zeros((len(model.geoms), slot.GEOM_ROWS, 4))
    for row, geom in zip(rows, model.geoms, strict=True):
        turn, size = rotations.matrix(np.asarray(geom.quat)), np.asarray(geom.size, float)
        row[slot.G_POS] = (*geom.pos, size[0])
        row[slot.G_X] = (*turn[:, 0], size[1])
        row[slot.G_Y] = (*turn[:, 1], size[2])
        row[slot.G_Z] = (*turn[:, 2], float(geom.kind == "capsule"))
        if geom.kind == "ellipsoid":
            six = rotations.six(turn @ np.diag(size**2) @ turn.T)
            row[slot.G_DIAGONAL, :3], row[slot.G_OFF, :3] = six[:3], six[3:]
    return rows


class Touches(NamedTuple):
    """What may touch."""

    ints: np.ndarray
    """`touch` of `layout.TABLE`."""
    laws: np.ndarray
    """`touch_law` of `layout.TABLE`."""
    points: np.ndarray
    """`point` of `layout.TABLE`."""
    of_links: np.ndarray
    """(L, 2) first touch with a ground, and how many, of each link."""
    pairs: tuple[tuple[str, str], ...]
    """Kinds of geoms that may touch each other."""

    @property
    def n_pairs(self) -> int:
        return int((self.ints[:, slot.T_GROUND] < 0).sum())

    @property
    def n_contacts(self) -> int:
        """Most contacts in a list: environments of a block may touch a ground with other points each."""
        of_ground = self.ints[:, slot.T_GROUND] >= 0
        return int(np.where(of_ground, self.ints[:, slot.T_N_POINTS], self.ints[:, slot.T_MOST]).sum())

    @property
    def depth(self) -> int:
        """Most dofs that move a contact."""
        return int((self.ints[:, slot.T_DEPTH] + self.ints[:, slot.T_DEPTH_B]).max(initial=0))


def pack_touches(
    model: RigidModel, grounds: Sequence[GroundGeom], smoothing: float, timestep: float
) -> Touches:  # fmt: skip
    """Of two geoms first, then with grounds, by link."""
    points, firsts = [], []
    for geom in model.geoms:
        firsts.append(len(points))
        points += list(points_of(geom))
    meeting = [(i, j) for i, j in candidates(model) if moves_apart(model, i, j) and kinds_of(model, i, j) in FINDERS]
    kinds = tuple(sorted({kinds_of(model, i, j) for i, j in meeting}))
    chains = chains_of(model)
    ints, laws = [], []
    for i, j in meeting:
        one, two = model.geoms[i], model.geoms[j]
        own, other = ([dof for dof in chains[x.link] if dof not in chains[y.link]] for x, y in ((one, two), (two, one)))
        of_both = mix(one, two)
        kind = kinds.index(kinds_of(model, i, j))
        ints.append((one.link, i, max(own, default=-1), len(own), of_both.condim, kind, MOST, -1, 0, 0,
                     two.link, j, max(other, default=-1), len(other)))  # fmt: skip
        radii = sum(float(np.linalg.norm(prepare.bounding_box(geom))) for geom in (one, two))
        laws.append(touch_law(one, two, of_both, radii, smoothing, timestep))
    touching = {(g, h) for h, ground in enumerate(grounds) for g in ground_candidates(model, ground)}
    of_links = np.zeros((model.n_links, 2), int)
    for g, h in sorted(touching, key=lambda pair: (model.geoms[pair[0]].link, pair)):
        geom, ground = model.geoms[g], grounds[h]
        of_both = mix(geom, ground)
        if of_links[geom.link, 1] == 0:
            of_links[geom.link, 0] = len(ints)
        of_links[geom.link, 1] += 1
        n, chain = len(points_of(geom)), chains[geom.link]
        most = MOST_OF_BOX if geom.kind == "box" else n
        ints.append((geom.link, g, max(chain), len(chain), of_both.condim, KINDS[geom.kind], most, h, firsts[g], n,
                     0, 0, -1, 0))  # fmt: skip
        radius = float(np.linalg.norm(prepare.bounding_box(geom)))
        laws.append(touch_law(geom, ground, of_both, radius, smoothing, timestep))
    return Touches(np.array(ints, int).reshape(-1, slot.TOUCH_INTS), np.array(laws).reshape(-1, slot.TOUCH_NUMBERS),
                   np.array(points).reshape(-1, 4), of_links, kinds)  # fmt: skip


def touch_law(
    one: Geom, two: Geom | GroundGeom, of_both: PairNumbers, radii: float, smoothing: float, timestep: float
) -> tuple[float, float, float, float]:
    """A row of `touch_law` of `layout.TABLE`; `radii`: of both about their centres, m."""
    own, other = one.contact, two.contact
    higher = float(np.sign(own.priority - other.priority))
    share = share_of(own.solmix, other.solmix) if higher == 0 else float(higher > 0)
    margin = of_both.margin + extra_margin(of_both.solref, of_both.solimp, smoothing, timestep)
    return share, -1.0 if higher == 0 else float(higher > 0), margin, radii + margin


def moves_apart(model: RigidModel, i: int, j: int) -> bool:
    """Whether some joint moves two geoms against each other."""
    chains = chains_of(model)
    return chains[model.geoms[i].link] != chains[model.geoms[j].link]


def kinds_of(model: RigidModel, i: int, j: int) -> tuple[str, str]:
    return model.geoms[i].kind, model.geoms[j].kind


def chains_of(model: RigidModel) -> list[list[int]]:
    """Of each link the degrees of freedom that move it, in their order."""
    chains: list[list[int]] = []
    for link, parent in enumerate(model.parent):
        own = [dof for joint in model.joints if joint.link == link
               for dof in range(joint.dof, joint.dof + JOINT_SIZES[joint.kind][1])]  # fmt: skip
        chains.append([*(chains[parent] if parent >= 0 else []), *own])
    return chains


def pack_fluids(model: RigidModel, chosen: "Choice") -> tuple[np.ndarray, np.ndarray]:
    """`fluid` of `layout.TABLE`, ordered by link, and `fluid_range` (L, 2). Empty without a medium."""
    bodies, ranges = numbers_of(model).bodies, np.zeros((model.n_links, 2), int)
    rows = []
    if chosen.density or chosen.viscosity:
        moving = model.moving
        for link in range(model.n_links):
            own = [i for i in np.flatnonzero(bodies.link == link) if moving[link] and bodies.mass[i] > 0]
            ranges[link] = len(rows), len(own)
            for i in own:
                box = bodies.box[i]
                mean, (x, y, z) = box.mean(), box
                row = np.zeros((slot.FLUID_ROWS, 4))
                row[slot.FLUID_CENTRE, :3] = bodies.pos[i]
                row[slot.FLUID_FRAME : slot.FLUID_FRAME + 3, :3] = rotations.matrix(bodies.quat[i])
                row[slot.FLUID_DRAG, :3] = 0.5 * chosen.density * np.array([y * z, x * z, x * y])
                row[slot.FLUID_DRAG, 3] = 3 * np.pi * mean * chosen.viscosity
                fourth = box**4
                row[slot.FLUID_SPIN_DRAG, :3] = chosen.density / 64 * box * (fourth.sum() - fourth)
                row[slot.FLUID_SPIN_DRAG, 3] = np.pi * mean**3 * chosen.viscosity
                row[slot.FLUID_WIND, :3] = chosen.wind
                rows.append(row)
    return np.array(rows).reshape(-1, slot.FLUID_ROWS, 4), ranges


def own_values(model: RigidModel, grounds: Sequence[GroundGeom], smoothing: float) -> dict[str, Any]:
    """The values of `layout.PARAMETER_TABLE` that robots, grounds and options say."""
    numbers, joints = numbers_of(model), joint_of_dofs(model)
    kp, kv = model.dof_gains()
    values: dict[str, Any] = {
        "mass": model.mass, "inertia": model.inertia, "damping": model.damping, "armature": model.armature,
        "stiffness": model.stiffness, "kp": kp, "kv": kv,
        "invweight": numbers.bodies.invweight[numbers.geom_body, 0],
        "frictionloss": numbers.dofs.frictionloss, "dof_invweight": numbers.dofs.invweight,
        "limit_solref": numbers.joints.solref[joints],
        "limit_solimp": smoothed(numbers.joints.solimp[joints], smoothing),
        "loss_solref": numbers.dofs.solref, "loss_solimp": numbers.dofs.solimp,
    }  # fmt: skip
    for prefix, geoms in (("", model.geoms), ("ground_", grounds)):
        values[f"{prefix}friction"] = [geom.friction for geom in geoms]
        values[f"{prefix}rotational_friction"] = [(geom.contact.torsional, geom.contact.rolling) for geom in geoms]
        values[f"{prefix}solref"] = [geom.contact.solref for geom in geoms]
        values[f"{prefix}solimp"] = smoothed([geom.contact.solimp for geom in geoms], smoothing)
    return {name: np.asarray(values[name], float) for name in slot.PARAMETER_TABLE}


def initial_parameters(
    model: RigidModel, grounds: Sequence[GroundGeom], law: Law, gravity: Sequence[float]
) -> np.ndarray:
    """All of them, flat, in the order of `layout.PARAMETER_TABLE`."""
    return np.concatenate([np.ravel(value) for value in own_values(model, grounds, law.smoothing).values()])


def joint_of_dofs(model: RigidModel) -> np.ndarray:
    """(D,) index of the joint of each degree of freedom."""
    return np.array([i for i, joint in enumerate(model.joints) for _ in range(JOINT_SIZES[joint.kind][1])], int)


def pack_laws(model: RigidModel) -> np.ndarray:
    """`dof_law` of `layout.TABLE`: limits (low, high, margin); of a ball the greatest angle, with its first dof."""
    numbers = numbers_of(model)
    rows = np.zeros((model.n_dofs, rigid.LAW_ROWS, 4))
    rows[:, rigid.LIMIT, 0], rows[:, rigid.LIMIT, 1] = -UNLIMITED, UNLIMITED
    rows[:, rigid.REST, 0] = model.spring_ref
    rows[:, rigid.REST, 1] = np.maximum(model.force_low, -UNLIMITED)
    rows[:, rigid.REST, 2] = np.minimum(model.force_high, UNLIMITED)
    for i, joint in enumerate(model.joints):
        if joint.kind in (HINGE, SLIDE):
            rows[joint.dof, rigid.REST, 3] = model.qpos0[joint.q]
        if joint.kind != FREE and numbers.joints.limited[i]:
            low, high = numbers.joints.range[i]
            rows[joint.dof, rigid.LIMIT, :2] = (-UNLIMITED, max(low, high)) if joint.kind == BALL else (low, high)
        rows[joint.dof, rigid.LIMIT, 2] = numbers.joints.margin[i]
    return rows


def mujoco(
    model: RigidModel, grounds: Sequence[GroundGeom], options: Options, dt: float, gravity: Sequence[float],
    outputs: Sequence[str], labels: Sequence[str],
) -> Setup:  # fmt: skip
    """The setup for `MujocoContact`. Arguments are those of `compliant`.

    Raises:
        GenesisValueError: The robots, their files' options or the outputs are beyond what the model has here.
    """
    chosen = Choice.of(model, options, dt)
    report_gravity(model, gravity)
    if chosen.integrator == slot.IMPLICITFAST:
        report_gyroscopic(model, labels)
    fluid, of_fluids = pack_fluids(model, chosen)
    check(model, grounds, outputs, labels)
    touches = pack_touches(model, grounds, options.contact.smoothing, dt if chosen.refsafe else 0.0)
    touch, of_links, points = touches.ints, touches.of_links, touches.points
    chains = chains_of(model)
    equalities = pack_equalities(model, chains)
    link_tree, dof_tree, chain = prepare.pack_tree(model, ())
    link_tree[:, rigid.POINT0], link_tree[:, rigid.N_POINTS] = of_links[:, 0], of_links[:, 1]
    link_fixed, dof_fixed, turn = prepare.pack_frames(model)
    ground, heights = prepare.pack_grounds(grounds)
    dims, on_ground = touch[:, slot.T_DIM], touch[touch[:, slot.T_GROUND] >= 0]
    features = slot.Features(
        terrain=any(g.kind != "plane" for g in grounds),
        integrator=chosen.integrator,
        elliptic=chosen.cone == "elliptic",
        rotations=bool(len(dims) and dims.max() > 3),
        fluid=bool(len(fluid)),
        curved=bool(np.isin(on_ground[:, slot.T_KIND], (slot.ELLIPSOID, slot.CYLINDER)).any()),
        pairs=touches.pairs,
        equalities=len(equalities) > 0,
    )
    spread = model.n_dofs if features.spreads else 0
    double = layout().dtype == torch.float64
    balls = sum(joint.kind == BALL for joint in model.joints)
    tolerance = TOLERANCE[double] if options.tolerance is None else options.tolerance
    constants = dict(
        num=[dt, 0.0], link_tree=link_tree, dof_tree=dof_tree, chain=chain, link_fixed=link_fixed,
        dof_fixed=dof_fixed, turn=turn, dof_law=pack_laws(model), ground=ground, heights=heights, point=points,
        touch=touch, touch_law=touches.laws, geom=pack_geoms(model), fluid=fluid, fluid_range=of_fluids,
        dof_last=[max([j, *(k for chain in chains if j in chain for k in chain)]) for j in range(model.n_dofs)],
        equality=equalities.ints, equality_numbers=equalities.numbers, equality_dofs=equalities.dofs,
        solver_numbers=[1.0 / chosen.impratio, tolerance, float(chosen.refsafe), options.iterations or ITERATIONS],
    )  # fmt: skip
    sizes = {
        "links": model.n_links, "qs": model.n_qs, "dofs": model.n_dofs, "entries": len(chain),
        "geoms": len(model.geoms), "points": len(points), "grounds": len(grounds),
        "samples": len(heights), "pairs": touches.n_pairs, "touches": len(touch), "fluids": len(fluid),
        "equalities": len(equalities), "equality_entries": len(equalities.dofs),
        "contacts": max(1, touches.n_contacts + balls + len(equalities)),
        "rows": int(max([1, equalities.rows, *dims])),
        "depth": max(3 if balls else 1, touches.depth, equalities.depth),
        "triangle": (spread * (spread + 1)) // 2, "spread_dofs": spread,
        "found_numbers": MOST * NUMBERS if touches.pairs else 0,
        "damped_entries": 0 if chosen.integrator == slot.RK4 else len(chain),
    }  # fmt: skip
    return Setup(
        table=slot.TABLE,
        driver=lambda: driver(features),
        outputs=False,
        constants=constants,
        sizes=sizes,
        places=[Place(int(t[slot.T_LINK]), model.geoms[t[slot.T_GEOM]].name) for t in touch],
        evaluations=slot.EVALUATIONS[chosen.integrator],
    )


def check(model: RigidModel, grounds: Sequence[GroundGeom], outputs: Sequence[str], labels: Sequence[str]) -> None:
    """Raise where the model cannot do yet what is asked; warn of contacts that are left out."""
    check_for_mujoco(model)
    numbers = numbers_of(model)
    reasons = [f"output {name}" for name in outputs if name != "link_acceleration"]
    reasons += [f"geom {geom.name!r} ({geom.kind})" for geom in model.geoms if geom.kind not in KINDS]
    actuators = numbers.actuators
    if len(actuators) != len(model.actuators) or bool((actuators.activation > 0).any()):
        known = {actuator.name for actuator in model.actuators}
        named = [name for name, kind in zip(numbers.actuator_names, actuators.activation, strict=True)
                 if kind > 0 or name not in known]  # fmt: skip
        reasons += [f"actuator {name!r}" for name in named]
    for dof in sorted({actuator.dof for actuator in model.actuators}):
        own = [actuator for actuator in model.actuators if actuator.dof == dof]
        if len(own) > 1 and sorted(actuator.kind for actuator in own) != ["position", "velocity"]:
            reasons.append(f"actuators {' and '.join(repr(actuator.name) for actuator in own)} on one joint")
    for options in numbers.options:
        if not options.eulerdamp:
            reasons.append(f"eulerdamp disabled in {options.source!r}")
        if not options.filterparent and model.n_links > 1:
            reasons.append(f"filterparent disabled in {options.source!r}")
    free = [i for i, joint in enumerate(model.joints) if joint.kind == FREE]
    reasons += [f"stiffness of the free joint {model.joints[i].name!r}" for i in free if numbers.joints.stiffness[i]]
    if reasons:
        raise GenesisValueError(
            f"MujocoContact must get what it can simulate, got {', '.join(reasons[:8])}"
            f"{f' and {len(reasons) - 8} more' if len(reasons) > 8 else ''}. Leave these out, or use CompliantContact."
        )
    uneven = [ground.name for ground in model.grounds if ground.kind != "plane"]
    if uneven:
        runtime.logger.warning(
            f"a height field must be smooth here, got {uneven[0]!r} of a file, which MuJoCo makes of triangles: "
            "contact with it differs from MuJoCo's."
        )
    tree = prepare.roots(model)
    inside, between = [], []
    for i, j in candidates(model):
        if moves_apart(model, i, j) and kinds_of(model, i, j) not in FINDERS:
            links = model.geoms[i].link, model.geoms[j].link
            named = f"{labels[links[0]]} ({model.geoms[i].kind}) and {labels[links[1]]} ({model.geoms[j].kind})"
            (inside if tree[links[0]] == tree[links[1]] else between).append(named)
    if between:
        raise GenesisValueError(
            f"with MujocoContact bodies that touch each other must be of other shapes yet, got {between[0]}"
            f"{f' and {len(between) - 1} more pairs' if len(between) > 1 else ''}. "
            "Use spheres, capsules and boxes, or keep their contype and conaffinity apart."
        )
    if inside:
        runtime.logger.warning(
            f"contact between the links of one body must be left out yet for these shapes, got {len(inside)} pairs "
            f"that may touch, among them {inside[0]}. Exclude them in the file if they never do."
        )


def report_gravity(model: RigidModel, gravity: Sequence[float]) -> None:
    """Warn where a file has another gravity than the scene, whose is taken."""
    for file in numbers_of(model).options:
        if max(abs(ours - theirs) for ours, theirs in zip(gravity, file.gravity, strict=True)) > 1e-9:
            scene, own = (f"({', '.join(f'{x:g}' for x in vector)})" for vector in (gravity, file.gravity))
            runtime.logger.warning(
                f"gravity must be the file's for the same motion, got {scene} m/s^2 and {own} of {file.source!r}. "
                f"Take SimOptions.gravity = {own}."
            )


def report_gyroscopic(model: RigidModel, labels: Sequence[str]) -> None:
    """Warn of free bodies without others on them, whose gyroscopic force MuJoCo's implicitfast takes implicitly."""
    parents = set(model.parent.tolist())
    lone = [
        joint.link for joint in model.joints
        if joint.kind == FREE and joint.link not in parents and np.ptp(model.inertia[joint.link, :3]) > 0.0
    ]  # fmt: skip
    if lone:
        runtime.logger.warning(
            f"the gyroscopic force of a free body must be explicit here with implicitfast, got {labels[lone[0]]}: it "
            "tumbles a little differently from MuJoCo 4's. Take RigidOptions.integrator = Euler or RK4 for its motion."
        )


class Choice(NamedTuple):
    """What options say, or else the files."""

    integrator: str
    cone: str
    impratio: float
    refsafe: bool
    density: float
    viscosity: float
    wind: tuple[float, float, float]

    @classmethod
    def of(cls, model: RigidModel, options: Options, dt: float) -> "Choice":
        files, law = numbers_of(model).options, options.contact
        integrator = options.integrator or agreed(files, "integrator", slot.IMPLICITFAST)
        if integrator not in slot.EVALUATIONS:
            raise GenesisValueError(
                f"integrator must be one of {', '.join(slot.EVALUATIONS)}, got {integrator} of {files[0].source!r}. "
                "Give one in RigidOptions.integrator."
            )
        for file in files:
            if abs(file.timestep - dt) > 1e-9 * dt:
                runtime.logger.warning(
                    f"the substep must be MuJoCo's timestep for the same motion, got {dt:g} s and {file.timestep:g} s "
                    f"of {file.source!r}. Take SimOptions.dt / substeps = {file.timestep:g} s."
                )
        impratio = agreed(files, "impratio", 1.0) if law.impratio is None else law.impratio
        density, viscosity = agreed(files, "density", 0.0), agreed(files, "viscosity", 0.0)
        if integrator == slot.IMPLICITFAST and (density or viscosity):
            raise GenesisValueError(
                "the integrator must be Euler or RK4 in a medium, got implicitfast with density "
                f"{density:g} and viscosity {viscosity:g}. Give another in RigidOptions.integrator."
            )
        cone, wind = law.cone or agreed(files, "cone", "pyramidal"), agreed(files, "wind", (0.0, 0.0, 0.0))
        return cls(integrator, cone, impratio, agreed(files, "refsafe", True), density, viscosity, wind)
