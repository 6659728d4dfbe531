"""Options of a scene and its solvers: frozen, checked when constructed, in SI units."""

import math
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, get_args

from genesis.checks import assign, boolean, choice, integer, number, record, vector
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.public_engine import missing


class integrator:
    """Names of `RigidOptions.integrator`, for scripts of the public engine."""

    Euler = "Euler"
    implicitfast = "implicitfast"
    approximate_implicitfast = "implicitfast"
    """There an approximation of it, which is the default."""


class constraint_solver:
    """Names of what scripts of the public engine pass to `RigidOptions`, where Newton's method it is in any case."""

    Newton = "Newton"
    CG = "CG"


MOST_NODES = 2**31 - 1
"""Of the grid: kernels count them in 32 bits."""


@record
class SimOptions:
    """Options of the whole scene."""

    dt: float = 1e-2
    """Control step, s: what one `scene.step()` advances. Each of its substeps lasts dt / substeps."""
    substeps: int = None  # type: ignore[assignment]  # a number once a scene is built
    """Solver substeps in one control step. Default: 1; as many as make them at most 5 ms long where rigid bodies that
    are shapes can hit each other, of which no file says how long they are to be, and short enough for the stiffness of
    particles, up to 200."""
    gravity: tuple[float, float, float] = (0.0, 0.0, -9.81)
    """World frame, m/s^2."""
    requires_grad: bool = False
    """Whether steps and setters join torch's autograd graph."""
    frame_budget_mb: float = 256.0
    """Memory for the substeps of recent steps, MB. What does not fit is computed again in the backward pass."""

    def __post_init__(self) -> None:
        assign(self, "dt", number("SimOptions.dt", self.dt, 0.0))
        if self.substeps is not None:
            assign(self, "substeps", integer("SimOptions.substeps", self.substeps, 1))
        assign(self, "gravity", vector("SimOptions.gravity", self.gravity))
        assign(self, "requires_grad", boolean("SimOptions.requires_grad", self.requires_grad))
        budget = number("SimOptions.frame_budget_mb", self.frame_budget_mb, 0.0, closed=True)
        assign(self, "frame_budget_mb", budget)

    @property
    def substep_dt(self) -> float:
        """s; `dt` where substeps are left open."""
        return self.dt / (self.substeps or 1)


@record
class OwnOptions:
    """Abstract: options of one solver. All solvers of a scene have one clock and one gravity."""

    dt: float | None = None
    """Must be left out, or be that of `SimOptions`, s."""
    gravity: tuple[float, float, float] | None = None
    """Must be left out, or be that of `SimOptions`, m/s^2."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.dt is not None:
            assign(self, "dt", number(f"{name}.dt", self.dt, 0.0))
        if self.gravity is not None:
            assign(self, "gravity", vector(f"{name}.gravity", self.gravity))

    def check_with(self, sim: SimOptions) -> None:
        """Raise unless clock and gravity are those of the scene."""
        for field, unit in (("dt", "s"), ("gravity", "m/s^2")):
            own, common = getattr(self, field), getattr(sim, field)
            if own is not None and own != common:
                raise GenesisValueError(
                    f"{type(self).__name__}.{field} must be SimOptions.{field}, {common} {unit}, or left out, "
                    f"got {own}. Set it in SimOptions, for all solvers."
                )


@record
class MPMOptions(OwnOptions):
    """Options of the particle solver and its background grid."""

    grid_density: float = 64
    """Grid nodes per metre; the grid spacing dx is 1 / grid_density m."""
    lower_bound: tuple[float, float, float] = (-1.0, -1.0, 0.0)
    """Lower corner of the domain, m. Particles must keep `PADDING` grid spacings away from its faces."""
    upper_bound: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Upper corner of the domain, m."""
    particle_size: float | None = None
    """Spacing of the particles of a body, m. Default dx / 2, which is 8 particles in a grid cell.

    The public Genesis engine takes 0.01 m at a density of 64, which is 3.8 in a cell: pass that to reproduce its runs.
    """

    PADDING = 3
    """Grid spacings between the domain's faces and the nearest particle."""

    def __post_init__(self) -> None:
        super().__post_init__()
        assign(self, "grid_density", number("MPMOptions.grid_density", self.grid_density, 0.0))
        lower = vector("MPMOptions.lower_bound", self.lower_bound)
        upper = vector("MPMOptions.upper_bound", self.upper_bound)
        assign(self, "lower_bound", lower)
        assign(self, "upper_bound", upper)
        room = 2 * self.PADDING * self.dx
        if any(high - low <= room for low, high in zip(lower, upper, strict=True)):
            raise GenesisValueError(
                f"MPMOptions.upper_bound must exceed lower_bound by more than {room:g} m (the padding of both faces) "
                f"on every axis, got {lower} to {upper}. Enlarge the domain or raise grid_density."
            )
        nodes = math.prod((high - low) / self.dx for low, high in zip(lower, upper, strict=True))
        if nodes > MOST_NODES:
            raise GenesisValueError(
                f"the grid of MPMOptions must have at most {MOST_NODES} nodes, got {nodes:.3g} "
                f"(grid_density {self.grid_density:g}, {lower} to {upper}). Lower grid_density or shrink the domain."
            )
        if self.particle_size is not None:
            assign(self, "particle_size", number("MPMOptions.particle_size", self.particle_size, 0.0))

    @property
    def dx(self) -> float:
        """Grid spacing, m."""
        return 1.0 / self.grid_density

    @property
    def spacing(self) -> float:
        """Particle spacing in force, m."""
        return self.particle_size if self.particle_size is not None else 0.5 * self.dx


@record
class ToolOptions(OwnOptions):
    """Options of the tool solver. It has none of its own yet."""


@record
class ViewerOptions:
    """Options of the public engine's window, which scripts may pass: there is none here."""


@record
class VisOptions:
    """Options of pictures."""

    floor_height: float | None = None
    """Height of a level floor that is only seen, in a scene that has no ground, m. None: there is none."""

    def __post_init__(self) -> None:
        if self.floor_height is not None:
            assign(self, "floor_height", number("VisOptions.floor_height", self.floor_height))


@record
class CompliantContact:
    """Contact and joint limits as springs with dampers: a substep is one linear solve ([its equations](../rigid.md)).

    None means: derived from the bodies' masses and sizes.
    """

    sag: float | None = None
    """How deep a robot sinks that rests on one contact point, m; its weight then gives the contact stiffness.
    Default 0.5 % of the robot's extent."""
    stiffness: float | None = None
    """The same N/m at every link in place of `sag`."""
    dissipation: float | None = None
    """Damping force per elastic force and m/s of approach, s/m."""
    smoothing: float | None = None
    """Half the width of the rounded corner of the force at the surface, m."""
    friction_velocity: float | None = None
    """Sliding velocity below which friction fades to zero, m/s: loaded sideways, bodies at rest creep at a fraction of
    it. Default: what friction gives four times the robot's mass in a substep: less under less load."""
    limit_stiffness: float | None = None
    """Of every joint limit, N m/rad (N/m of slides)."""
    limit_damping: float | None = None
    """Of every joint limit, N m s/rad (N s/m of slides), while the joint is beyond its range."""
    limit_smoothing: float | None = None
    """Half the width of the rounded corner of the force at a limit, rad (m of slides). Default a hundredth of the
    range, which counts as one radian at most, and of a slide as the robot's extent at most."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        for field, closed in (
            ("sag", False),
            ("stiffness", False),
            ("dissipation", True),
            ("smoothing", False),
            ("friction_velocity", False),
            ("limit_stiffness", False),
            ("limit_damping", True),
            ("limit_smoothing", False),
        ):
            value = getattr(self, field)
            if value is not None:
                assign(self, field, number(f"{name}.{field}", value, 0.0, closed=closed))
        if self.sag is not None and self.stiffness is not None:
            raise GenesisValueError(
                f"{name} must get sag or stiffness, got {self.sag} and {self.stiffness}. Leave one out."
            )


@record
class MujocoContact:
    """MuJoCo's contact and joint limits: implicit, convex, solved to convergence ([its equations](../rigid.md)).

    None means: what the robots' files say, or else MuJoCo's default. What belongs to a geom, a joint or an actuator
    comes from there.
    """

    cone: str | None = None
    """Of friction: "pyramidal" | "elliptic"."""
    impratio: float | None = None
    """How much harder friction is than the normal direction."""
    smoothing: float = 0.0
    """Least distance (m, rad) over which contacts and limits begin to act: their impedance then starts from zero, so
    that forces have no jump where they begin. Contacts begin so much earlier that what rests on one point, under
    gravity of 9.81 m/s^2, stands as high as without it. 0: as MuJoCo."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.cone is not None:
            choice(f"{name}.cone", self.cone, ("pyramidal", "elliptic"))
        if self.impratio is not None:
            assign(self, "impratio", number(f"{name}.impratio", self.impratio, 0.0))
        assign(self, "smoothing", number(f"{name}.smoothing", self.smoothing, 0.0, closed=True))


ContactModel: TypeAlias = CompliantContact | MujocoContact
"""Any model of contact and joint limits."""


@record
class RigidOptions(OwnOptions):
    """Options of the solver of articulated rigid bodies."""

    contact: ContactModel = MujocoContact()
    """The model of contact and joint limits, with its own options."""
    integrator: str | None = None
    """With `MujocoContact`: "Euler" (implicit in damping) | "implicitfast" | "RK4". Default: that of the robots' files,
    or else "implicitfast"."""
    iterations: int | None = None
    """With `MujocoContact`: most steps of its solver in an evaluation. Default 50; reaching it warns."""
    tolerance: float | None = None
    """With `MujocoContact`: relative change of the accelerations at which its solver may end, to about the square of
    it. Default 1e-9, of float32 1e-5; with pyramidal cones it ends exactly."""
    self_collision: bool = True
    """With `MujocoContact`: whether the links of one entity touch each other where their file says so, as those of
    different entities do. With `CompliantContact` bodies touch the ground alone."""
    enable_collision: bool = True
    """Whether rigid bodies touch each other and the ground. Particles touch them in any case."""
    enable_joint_limit: bool = True
    """Whether joints have the limits of their files."""
    disable_constraint: bool = False
    """Whether contacts, limits, equalities and dry friction of joints are all left out."""
    substeps: int | None = None
    """Of rigid bodies in a control step, where particles need more: a divisor of `SimOptions.substeps`, the default."""

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if not isinstance(self.contact, ContactModel):
            models = " or ".join(model.__name__ for model in get_args(ContactModel))
            raise GenesisTypeError(
                f"{name}.contact must be a {models}, got {type(self.contact).__name__}. "
                "Pass one, as in RigidOptions(contact=CompliantContact(sag=1e-3))."
            )
        for field in ("integrator", "iterations", "tolerance"):
            value = getattr(self, field)
            if value is not None and not isinstance(self.contact, MujocoContact):
                raise GenesisValueError(
                    f"{name}.{field} must be left out with {type(self.contact).__name__}, got {value!r}. "
                    "Leave it out, or pass contact=MujocoContact()."
                )
        if self.integrator is not None:
            choice(f"{name}.integrator", self.integrator, ("Euler", "implicitfast", "RK4"))
        if self.iterations is not None:
            assign(self, "iterations", integer(f"{name}.iterations", self.iterations, 1))
        if self.tolerance is not None:
            assign(self, "tolerance", number(f"{name}.tolerance", self.tolerance, 0.0, 1.0))
        for field in ("self_collision", "enable_collision", "enable_joint_limit", "disable_constraint"):
            assign(self, field, boolean(f"{name}.{field}", getattr(self, field)))
        if self.substeps is not None:
            assign(self, "substeps", integer(f"{name}.substeps", self.substeps, 1))


class SolverOptions(TypedDict, total=False):
    """Options of the kinds of matter and bodies that the package has, as keywords of `Scene`."""

    mpm_options: MPMOptions | None
    tool_options: ToolOptions | None
    rigid_options: RigidOptions | None


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing("gs.options", name)
