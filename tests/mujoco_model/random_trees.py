"""Random robots over a plane, as MJCF text, with everything that rows, joints and actuators can be given.

Geoms of links touch the plane only. The first bodies hang or fall so low that they do.
"""

from dataclasses import dataclass

import numpy as np

GEOMS = ("sphere", "capsule", "box", "ellipsoid", "cylinder")
INTEGRATORS = ("Euler", "implicitfast", "RK4")
CONES = ("pyramidal", "elliptic")
DIMENSIONS = (1, 3, 4, 6)
ROOTS = ("free", "fixed", "stack", "ball")


@dataclass(frozen=True)
class Kinds:
    """What a tree is drawn from; a single one of each pins it."""

    geoms: tuple[str, ...] = GEOMS
    dimensions: tuple[int, ...] = DIMENSIONS
    integrators: tuple[str, ...] = INTEGRATORS
    cones: tuple[str, ...] = CONES
    roots: tuple[str, ...] = ROOTS
    n_bodies: tuple[int, int] = (3, 7)
    limits: float = 0.5
    """Share of hinges, slides and balls with a range."""
    friction_loss: float = 0.3
    """Share of joints with friction loss."""
    springs: float = 0.5
    """Share with stiffness."""
    actuators: tuple[str, ...] = ("motor", "position", "velocity")
    parameters: float = 0.5
    """Share of geoms and joints with solref, solimp, margin, priority and solmix of their own."""
    fluid: float = 0.1
    """Share of trees in a medium."""


ALL = Kinds()


def random_tree(seed: int, kinds: Kinds = ALL) -> str:
    """MJCF text; the same for the same seed and kinds."""
    return _Writer(np.random.default_rng(seed), kinds).text()


class _Writer:
    def __init__(self, rng: np.random.Generator, kinds: Kinds) -> None:
        self.rng, self.kinds = rng, kinds
        self.joints: list[tuple[str, str]] = []

    def text(self) -> str:
        rng, kinds = self.rng, self.kinds
        integrator, cone = self._one(kinds.integrators), self._one(kinds.cones)
        impratio = rng.uniform(0.5, 10.0) if rng.random() < 0.7 else 1.0
        medium = ' density="20" viscosity="0.3"' if self._is(kinds.fluid) else ""
        timestep = self._one((0.002, 0.004))
        root = self._one(kinds.roots)
        trunk = self._body(0, int(rng.integers(kinds.n_bodies[0], kinds.n_bodies[1] + 1)), root)
        plane = (
            f'<geom name="ground" type="plane" size="0 0 1" contype="1" conaffinity="0" {self._contact(prior=False)}/>'
        )
        actuators = "".join(self._actuator(k, *joint) for k, joint in enumerate(self.joints))
        return (
            '<mujoco model="tree"><compiler angle="radian" autolimits="true"/>'
            f'<option timestep="{timestep}" integrator="{integrator}" cone="{cone}" impratio="{impratio:.6f}" '
            f'solver="Newton"{medium}/>'
            f'<default><geom contype="0" conaffinity="1"/></default>'
            f"<worldbody>{plane}{trunk}</worldbody><actuator>{actuators}</actuator></mujoco>"
        )

    # Bodies.

    def _body(self, index: int, n: int, root: str | None = None) -> str:
        """A body and the n - 1 that hang from it, in one or two branches."""
        rng = self.rng
        if root is not None:
            height = rng.uniform(0.25, 0.6)
            place = f'pos="0 0 {height:.6f}"' if root in ("free", "stack") else f'pos="0 0 {0.6 * height:.6f}"'
            if root == "free":
                joints = self._free()
            else:
                joints = {"fixed": str, "ball": lambda: self._joint("ball"), "stack": self._stack}[root]()
        else:
            place = f'pos="{self._vector(0.25)}" quat="{self._quat()}"'
            joints = self._joint("ball") if rng.random() < 0.25 else self._stack()
        left = n - 1
        first = left if rng.random() < 0.5 else left // 2
        inside, at = "", index + 1
        for share in (first, left - first):
            if share:
                inside += self._body(at, share)
                at += share
        inertial = self._inertial() if rng.random() < 0.3 else ""
        geoms = "".join(self._geom(f"g{index}_{k}") for k in range(2 if rng.random() < 0.2 else 1))
        return f'<body name="b{index}" {place}>{joints}{inertial}{geoms}{inside}</body>'

    def _stack(self) -> str:
        return "".join(self._joint(self._one(("hinge", "hinge", "slide"))) for _ in range(int(self.rng.integers(1, 4))))

    def _free(self) -> str:
        name = self._name("free")
        more = f' damping="{self._uniform(0, 0.3)}"' if self._is(0.3) else ""
        more += f' armature="{self._uniform(0.01, 0.1)}"' if self._is(0.2) else ""
        more += f' frictionloss="{self._uniform(0.1, 1)}"' if self._is(0.5 * self.kinds.friction_loss) else ""
        return f'<joint name="{name}" type="free"{more}/>'

    def _joint(self, kind: str) -> str:
        name = self._name(kind)
        more = f' pos="{self._vector(0.1)}" armature="{self._uniform(0.005, 0.1)}"'
        if self._is(0.7):
            more += f' damping="{self._uniform(0, 1.5)}"'
        if self._is(self.kinds.springs) or kind == "slide":
            more += f' stiffness="{self._uniform(100, 400) if kind == "slide" else self._uniform(1, 30)}"'
            if kind != "ball":
                more += f' springref="{self._uniform(-0.3, 0.3)}"'
        if self._is(self.kinds.friction_loss):
            more += f' frictionloss="{self._uniform(0.05, 1)}"'
            if self._is(self.kinds.parameters):
                more += f' solreffriction="{self._solref()}" solimpfriction="{self._solimp()}"'
        limited = self._is(self.kinds.limits)
        if kind == "ball":
            more += f' range="0 {self._uniform(0.2, 0.8)}"' if limited else ""
        else:
            more += f' axis="{self._vector(1.0)}"'
            reference = self.rng.uniform(-0.2, 0.2)
            more += f' ref="{reference:.6f}"'
            span = (0.02, 0.15) if kind == "slide" else (0.1, 0.6)
            if limited:
                low, high = self.rng.uniform(*span, 2)
                more += f' range="{reference - low:.6f} {reference + high:.6f}"'
        if limited and self._is(self.kinds.parameters):
            more += f' solreflimit="{self._solref()}" solimplimit="{self._solimp()}" margin="{self._uniform(0, 0.02)}"'
        return f'<joint name="{name}" type="{kind}"{more}/>'

    def _inertial(self) -> str:
        sides, mass = self.rng.uniform(0.1, 0.3, 3), self.rng.uniform(0.5, 3)
        moments = " ".join(f"{m:.9f}" for m in mass / 12 * (np.sum(sides**2) - sides**2))
        return f'<inertial mass="{mass:.6f}" pos="{self._vector(0.05)}" quat="{self._quat()}" diaginertia="{moments}"/>'

    # Geoms.

    def _geom(self, name: str) -> str:
        kind = self._one(self.kinds.geoms)
        n_sizes = {"sphere": 1, "capsule": 2, "cylinder": 2}.get(kind, 3)
        size = " ".join(f"{x:.6f}" for x in self.rng.uniform(0.05, 0.15, n_sizes))
        place = f'pos="{self._vector(0.1)}" quat="{self._quat()}"'
        return f'<geom name="{name}" type="{kind}" size="{size}" {place} {self._contact()}/>'

    def _contact(self, prior: bool = True) -> str:
        friction = f"{self._uniform(0.2, 1.5)} {self._uniform(0.005, 0.05)} {self._uniform(0.001, 0.02)}"
        dimension = self._one(self.kinds.dimensions) if prior else min(self.kinds.dimensions)
        more = f'friction="{friction}" condim="{dimension}"'
        if self._is(self.kinds.parameters):
            more += f' solref="{self._solref()}" solimp="{self._solimp()}" solmix="{self._uniform(0.2, 3)}"'
            margin = self.rng.uniform(0, 0.02)
            more += f' margin="{margin:.6f}" gap="{0.5 * margin if self._is(0.3) else 0.0:.6f}"'
            if prior and self._is(0.4):
                more += f' priority="{self._one((1, 2))}"'
        return more

    def _solref(self) -> str:
        if self._is(0.3):
            return f"-{self._uniform(300, 3000)} -{self._uniform(10, 60)}"
        return f"{self._uniform(0.005, 0.05)} {self._uniform(0.6, 1.5)}"

    def _solimp(self) -> str:
        low = self._one((0.0, self.rng.uniform(0.3, 0.9)))
        high = self.rng.uniform(max(low, 0.7), 0.98)
        power = self._one((1.0, 2.0, self.rng.uniform(1.0, 4.0)))
        return f"{low:.6f} {high:.6f} {self._uniform(0.001, 0.03)} {self._uniform(0.2, 0.8)} {power:.6f}"

    # Actuators.

    def _actuator(self, k: int, kind: str, joint: str) -> str:
        """One of a hinge or slide, or of one axis of a ball; none of a free joint."""
        if kind == "free" or self._is(0.3):
            return ""
        drive = self._one(self.kinds.actuators if kind != "ball" else self.kinds.actuators[:1])
        size = 1.0 if kind != "slide" else 10.0
        gear = self.rng.uniform(0.5, 2.0) * (1.0 if self._is(0.7) else -1.0)
        gears = f"{gear:.6f}" if kind != "ball" else self._one(("{} 0 0", "0 {} 0", "0 0 {}")).format(f"{gear:.6f}")
        more = f'name="a{k}" joint="{joint}" gear="{gears}"'
        if drive == "motor":
            strength = size * self.rng.uniform(1, 5)
            more += f' ctrlrange="-{strength:.6f} {0.8 * strength:.6f}"'
        elif drive == "position":
            more += f' kp="{10 * size * self.rng.uniform(1, 5):.6f}" kv="{self._uniform(0, 2)}" ctrlrange="-0.5 0.4"'
        else:
            more += f' kv="{size * self.rng.uniform(0.2, 2):.6f}" ctrlrange="-2 3"'
        if self._is(0.5):
            more += f' forcerange="-{size * self.rng.uniform(1, 4):.6f} {size * self.rng.uniform(1, 4):.6f}"'
        return f"<{drive} {more}/>"

    # Numbers.

    def _name(self, kind: str) -> str:
        name = f"j{len(self.joints)}"
        self.joints.append((kind, name))
        return name

    def _is(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _one(self, of: tuple):
        return of[int(self.rng.integers(len(of)))]

    def _uniform(self, low: float, high: float) -> str:
        return f"{self.rng.uniform(low, high):.6f}"

    def _vector(self, scale: float) -> str:
        return " ".join(f"{x:.6f}" for x in self.rng.uniform(-scale, scale, 3))

    def _quat(self) -> str:
        quat = self.rng.normal(size=4)
        return " ".join(f"{x:.6f}" for x in quat / np.linalg.norm(quat))
