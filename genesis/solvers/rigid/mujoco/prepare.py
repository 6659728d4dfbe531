"""From a robot with MuJoCo's numbers to what the kernels of its contact model read."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from genesis import runtime
from genesis.compiler import layout
from genesis.contact.narrow_phase.layout import NUMBERS
from genesis.contact.narrow_phase.memory import needed
from genesis.errors import GenesisValueError
from genesis.loaders import rotations
from genesis.loaders.actuator_table import drive_ranges
from genesis.loaders.invweight import numbers_of
from genesis.loaders.model import BALL, FREE, HINGE, JOINT_SIZES, SLIDE, RigidModel
from genesis.loaders.mujoco_numbers import MujocoNumbers, agreed
from genesis.loaders.mujoco_refusals import check_for_mujoco
from genesis.loaders.parts import GroundGeom
from genesis.solvers.rigid import layout as rigid
from genesis.solvers.rigid import prepare
from genesis.solvers.rigid.mujoco import actuator_constants
from genesis.solvers.rigid.mujoco import layout as slot
from genesis.solvers.rigid.mujoco.driver import driver
from genesis.solvers.rigid.mujoco.prepare_equality import pack_equalities
from genesis.solvers.rigid.mujoco.smoothing import smoothed
from genesis.solvers.rigid.mujoco.touch_table import (
    KINDS,
    last_moved,
    meeting_geoms,
    pack_geoms,
    pack_hulls,
    pack_pairs,
    pack_touches,
    places,
)
from genesis.solvers.rigid.mujoco.transmission_constants import (
    Transmissions,
    dragged_links,
    held_links,
    linked,
    tendons_act,
)
from genesis.solvers.rigid.prepare import UNLIMITED
from genesis.solvers.rigid.setup import Setup

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
    @property
    def self_collision(self) -> bool: ...


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
    kp[model.actuator_table.taken] = kv[model.actuator_table.taken] = 0.0  # these have theirs in laws
    low, high = drive_ranges(model)
    values: dict[str, Any] = {
        "mass": model.mass, "inertia": model.inertia, "damping": model.damping, "armature": model.armature,
        "stiffness": model.stiffness, "kp": kp, "kv": kv, "force_low": np.maximum(low, -UNLIMITED),
        "force_high": np.minimum(high, UNLIMITED),
        "invweight": invweight_of_geoms(numbers),
        "frictionloss": numbers.dofs.frictionloss, "dof_invweight": numbers.dofs.invweight,
        "limit_solref": numbers.joints.solref[joints],
        "limit_solimp": smoothed(numbers.joints.solimp[joints], smoothing),
        "loss_solref": numbers.dofs.solref, "loss_solimp": numbers.dofs.solimp, **actuator_constants.laws(model),
    }  # fmt: skip
    for prefix, geoms in (("", model.geoms), ("ground_", grounds)):
        values[f"{prefix}friction"] = values[f"{prefix}coup_friction"] = [geom.friction for geom in geoms]
        values[f"{prefix}rotational_friction"] = [(geom.contact.torsional, geom.contact.rolling) for geom in geoms]
        values[f"{prefix}solref"] = [geom.contact.solref for geom in geoms]
        values[f"{prefix}solimp"] = smoothed([geom.contact.solimp for geom in geoms], smoothing)
    values["size"] = np.reshape([geom.size for geom in model.geoms], (-1, 3))
    return {name: np.asarray(values[name], float) for name in slot.PARAMETER_TABLE}


def invweight_of_geoms(numbers: MujocoNumbers) -> np.ndarray:
    """(G,) 1/kg, apparent inverse mass of each geom's body; the world has none."""
    of_bodies = np.append(numbers.bodies.invweight[:, 0], 0.0)
    return of_bodies[numbers.geom_body]


def initial_parameters(
    model: RigidModel, grounds: Sequence[GroundGeom], law: Law, gravity: Sequence[float]
) -> np.ndarray:
    """All of them, flat, in the order of `layout.PARAMETER_TABLE`."""
    return np.concatenate([np.ravel(value) for value in own_values(model, grounds, law.smoothing).values()])


def joint_of_dofs(model: RigidModel) -> np.ndarray:
    """(D,) index of the joint of each degree of freedom."""
    return np.array([i for i, joint in enumerate(model.joints) for _ in range(JOINT_SIZES[joint.kind][1])], int)


def free_and_alone(model: RigidModel) -> np.ndarray:
    """(L,) bool, whether a link has a free joint, and no link is on it."""
    alone = np.zeros(model.n_links, bool)
    alone[[joint.link for joint in model.joints if joint.kind == FREE]] = True
    alone[[parent for parent in model.parent if parent >= 0]] = False
    return alone


def pack_laws(model: RigidModel) -> np.ndarray:
    """`dof_law` of `layout.TABLE`: limits (low, high, margin); of a ball the greatest angle, with its first dof."""
    numbers = numbers_of(model)
    rows = np.zeros((model.n_dofs, rigid.LAW_ROWS, 4))
    rows[:, rigid.LIMIT, 0], rows[:, rigid.LIMIT, 1] = -UNLIMITED, UNLIMITED
    rows[:, rigid.REST, 0] = model.spring_ref
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
    carries_nothing = free_and_alone(model) & (chosen.integrator == slot.IMPLICITFAST)
    dragged = carries_nothing & dragged_links(model)
    carries_nothing &= ~dragged
    if dragged.any():
        runtime.logger.warning(
            "the gyroscopic force of a free body must be explicit with implicitfast where tendons or actuators damp "
            f"it, got {labels[np.flatnonzero(dragged)[0]]}: it tumbles a little differently from MuJoCo 4's. Take "
            "RigidOptions.integrator = Euler or RK4 for its motion."
        )
    fluid, of_fluids = pack_fluids(model, chosen)
    meeting = meeting_geoms(model, options.self_collision, chosen.filterparent)
    check(model, labels)
    explicit = bool(len(numbers_of(model).pairs))
    touches = pack_touches(model, grounds, meeting, options.contact.smoothing, dt if chosen.refsafe else 0.0)
    touch, of_links, points = touches.ints, touches.of_links, touches.points
    equalities = pack_equalities(model)
    link_tree, dof_tree, chain = prepare.pack_tree(model, ())
    link_tree[:, rigid.POINT0], link_tree[:, rigid.N_POINTS] = of_links[:, 0], of_links[:, 1]
    transmissions, held = Transmissions(model, dof_tree, chain), held_links(model)
    link_fixed, dof_fixed, turn = prepare.pack_frames(model)
    ground, heights = prepare.pack_grounds(grounds)
    dims, on_ground = touch[:, slot.T_DIM], touch[touch[:, slot.T_GROUND] >= 0]
    features = slot.Features(
        outputs=bool({"contacts", "link_wrench"} & set(outputs)),
        last="last_evaluation" in outputs,
        terrain=any(g.kind != "plane" for g in grounds),
        integrator=chosen.integrator,
        elliptic=chosen.cone == "elliptic",
        rotations=bool(len(dims) and dims.max() > 3),
        fluid=bool(len(fluid)),
        curved=bool(np.isin(on_ground[:, slot.T_KIND], (slot.ELLIPSOID, slot.CYLINDER)).any()),
        hulls=bool((on_ground[:, slot.T_KIND] == slot.HULL).any()),
        pairs=touches.pairs,
        equalities=len(equalities) > 0,
        actuators=bool(model.actuator_table.others),
        tendons=tendons_act(model),
        paths=bool(transmissions.pieces),
        gravcomp=len(held) > 0,
        explicit=explicit,
        mocaps=len(model.mocap_links) > 0,
        free_bodies=bool(carries_nothing.any()),
    )
    hull_numbers, hull_ints, hull_of = pack_hulls(model) if features.searches else ([], [], [])
    search = needed(int(hull_ints[0])) if features.searches else (0, 0)
    spread = model.n_dofs if features.spreads else 0
    double = layout().dtype == torch.float64
    balls = sum(joint.kind == BALL for joint in model.joints)
    tolerance = TOLERANCE[double] if options.tolerance is None else options.tolerance
    constants = dict(
        num=[dt, 0.0], link_tree=link_tree, dof_tree=dof_tree, chain=chain, link_fixed=link_fixed,
        dof_fixed=dof_fixed, turn=turn, dof_law=pack_laws(model), ground=ground, heights=heights, point=points,
        touch=touch, touch_law=touches.laws, geom=pack_geoms(model), fluid=fluid, fluid_range=of_fluids,
        dof_last=last_moved(model), carries_nothing=carries_nothing,
        equality=equalities.ints, equality_numbers=equalities.numbers, equality_dofs=equalities.dofs,
        solver_numbers=[1.0 / chosen.impratio, tolerance, float(chosen.refsafe), options.iterations or ITERATIONS,
                        float(chosen.eulerdamp)],
        gravcomp=held,
    )  # fmt: skip
    if features.searches:
        constants |= {"hull_numbers": hull_numbers, "hull_ints": hull_ints, "hull_of": hull_of}
    if explicit:
        constants["pair_law"] = pack_pairs(numbers_of(model), options.contact.smoothing)
    if features.actuators:
        constants |= actuator_constants.pack_actuators(model, dt, transmissions.of_actuators)
    if features.transmissions:
        constants |= transmissions.constants()
    sizes = {
        "links": model.n_links, "qs": model.n_qs, "dofs": model.n_dofs, "entries": len(chain),
        "geoms": len(model.geoms), "points": len(model.geoms), "grounds": len(grounds),
        "samples": len(heights), "pairs": touches.n_pairs, "touches": len(touch), "fluids": len(fluid),
        "equalities": len(equalities), "equality_entries": len(equalities.dofs),
        "contacts": max(1, touches.n_contacts + balls + len(equalities) + transmissions.n_rows),
        "rows": int(max([1, equalities.rows, *dims])),
        "depth": max(3 if balls else 1, touches.depth, equalities.depth, transmissions.depth),
        "triangle": (spread * (spread + 1)) // 2, "spread_dofs": spread,
        "output_points": features.outputs * len(model.geoms), "output_links": features.outputs * model.n_links,
        "found_numbers": touches.n_records * NUMBERS,
        "hull_numbers": len(hull_numbers), "hull_ints": len(hull_ints), "search_numbers": search[0],
        "search_ints": search[1],
        "explicit_pairs": len(numbers_of(model).pairs), "mocaps": len(model.mocap_links),
        "damped_entries": 0 if chosen.integrator == slot.RK4 else len(chain), "held_links": len(held),
        **actuator_constants.sizes(model), **(transmissions.sizes() if features.transmissions else {}),
    }  # fmt: skip
    table = slot.table_of(features)
    names = {array.name for array in table}
    return Setup(
        table=table,
        driver=lambda: driver(features),
        outputs=features.outputs,
        constants={name: values for name, values in constants.items() if name in names},
        sizes=sizes,
        places=places(model),
        evaluations=slot.EVALUATIONS[chosen.integrator],
    )


def check(model: RigidModel, labels: Sequence[str]) -> None:
    """Raise where the model cannot do yet what is asked; warn of what differs from MuJoCo."""
    check_for_mujoco(model)
    numbers = numbers_of(model)
    reasons = [f"geom {geom.name!r} ({geom.kind})" for geom in model.geoms if geom.kind not in KINDS]
    on_mocap = set(model.mocap_links) & {prepare.roots(model)[link] for link in linked(model)}
    reasons += [f"tendons or sites' actuators on the mocap body {labels[link]!r}" for link in sorted(on_mocap)]
    free = [i for i, joint in enumerate(model.joints) if joint.kind == FREE]
    nowhere = [f"stiffness of the free joint {model.joints[i].name!r}" for i in free if numbers.joints.stiffness[i]]
    nowhere += model.actuator_table.refused
    remedy = "Leave these out." if nowhere else "Leave these out, or use CompliantContact."
    reasons += nowhere
    if reasons:
        raise GenesisValueError(
            f"MujocoContact must get what it can simulate, got {', '.join(reasons[:8])}"
            f"{f' and {len(reasons) - 8} more' if len(reasons) > 8 else ''}. {remedy}"
        )
    uneven = [ground.name for ground in model.grounds if ground.kind != "plane"]
    if uneven:
        runtime.logger.warning(
            f"a height field must be smooth here, got {uneven[0]!r} of a file, which MuJoCo makes of triangles: "
            "contact with it differs from MuJoCo's."
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


class Choice(NamedTuple):
    """What options say, or else the files."""

    integrator: str
    cone: str
    impratio: float
    density: float
    viscosity: float
    wind: tuple[float, float, float]
    refsafe: bool
    eulerdamp: bool
    filterparent: bool

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
        refsafe, filterparent = agreed(files, "refsafe", True), agreed(files, "filterparent", True)
        eulerdamp = agreed(files, "eulerdamp", True) if integrator == slot.EULER else True  # it is of Euler alone
        return cls(integrator, cone, impratio, density, viscosity, wind, refsafe, eulerdamp, filterparent)
