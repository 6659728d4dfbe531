"""What bodies are made of: frozen, checked when constructed, SI units.

E, nu, friction and the rho of particles take a float, or a tensor () or (n_envs,) that may require a gradient.
"""

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch

from genesis.checks import assign, boolean, choice, integer, number, parameter, record
from genesis.errors import GenesisValueError
from genesis.public_engine import missing

FRICTION_RANGE = (0.0, float("inf"))
Parameter = float | torch.Tensor


class Range(NamedTuple):
    """Which values a number may take."""

    low: float = 0.0
    high: float = float("inf")
    closed: bool = False
    """Whether the ends belong to it."""


@record
class ParticleMaterial:
    """Abstract: a material that the particle solver moves. A concrete one adds fields for its own numbers, and these to
    `numbers`, in the order of its constitutive model."""

    numbers: ClassVar[dict[str, Range]] = {"E": Range(), "nu": Range(-1.0, 0.5), "rho": Range()}
    """The fields that are numbers of the physics: floats, or tensors () or (n_envs,), which `set_material` changes."""
    E: Parameter = 3e5
    """Young's modulus, Pa."""
    nu: Parameter = 0.2
    """Poisson's ratio."""
    rho: Parameter = 1000.0
    """Density, kg/m^3."""
    viscosity: Parameter | None = None
    """Dynamic viscosity, Pa s: of a liquid, or the damping of a solid (Kelvin-Voigt). It becomes one of the `numbers`.
    Default: none, which costs nothing."""
    sampler: str = "regular"
    """Where particles start: "regular" (a lattice), "random" (uniform), or "pbs", another name for "regular"."""

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.viscosity is not None:
            assign(self, "numbers", {**self.numbers, "viscosity": Range(closed=True)})
        for field, law in self.numbers.items():
            assign(self, field, parameter(f"{name}.{field}", getattr(self, field), *law))
        choice(f"{name}.sampler", self.sampler, ("regular", "random", "pbs"))

    @property
    def constitutive_model(self) -> str:
        """The particle solver's name of the model, in `genesis.solvers.mpm.models`."""
        raise NotImplementedError


PLASTIC_NUMBERS = {
    "von_mises_yield_stress": Range(),
    "hardening_modulus": Range(closed=True),
    "yield_lower": Range(0.0, 1.0),
    "yield_higher": Range(),
}
"""Of ElastoPlastic, beside E, nu and rho; those of its kind are its `numbers`, in this order."""


ELASTIC = {"corotation": "corotated", "neohooken": "neohookean"}
"""Names of elastic solids -> their constitutive models."""


class MPM:
    """Materials of the particle solver."""

    @record
    class Elastic(ParticleMaterial):
        """A hyperelastic solid."""

        model: str = "corotation"
        """"corotation" (fixed corotated) or "neohooken"."""

        def __post_init__(self) -> None:
            super().__post_init__()
            choice("Elastic.model", self.model, tuple(ELASTIC))

        @property
        def constitutive_model(self) -> str:
            return ELASTIC[self.model]

    @record
    class Muscle(ParticleMaterial):
        """An elastic solid whose fibres contract as they are told: `entity.set_actuation`."""

        numbers = {**ParticleMaterial.numbers, "stiffness": Range(closed=True)}
        E: Parameter = 1e6
        """Young's modulus, Pa."""
        model: str = "neohooken"
        """Of the solid around the fibres: "corotation" (fixed corotated) or "neohooken"."""
        n_groups: int = 1
        """How many groups of particles have activations of their own."""
        stiffness: Parameter | None = None
        """Of the fibres at full activation, Pa: their tension per undeformed area is this times their stretch. Default:
        E, as it is when the material is made."""

        def __post_init__(self) -> None:
            if self.stiffness is None:
                assign(self, "stiffness", self.E)
            super().__post_init__()
            choice("Muscle.model", self.model, tuple(ELASTIC))
            assign(self, "n_groups", integer("Muscle.n_groups", self.n_groups, 1))

        @property
        def constitutive_model(self) -> str:
            return ELASTIC[self.model]

    @record
    class ElastoPlastic(ParticleMaterial):
        """A solid that flows plastically: von Mises' in logarithmic strain, or one whose stretches are bounded."""

        E: Parameter = 1e6
        """Young's modulus, Pa."""
        use_von_mises: bool = True
        """Whether stress is bounded, by `von_mises_yield_stress`, or stretches, by `yield_lower` and `yield_higher`."""
        von_mises_yield_stress: Parameter | None = None
        """Largest norm of the deviatoric Kirchhoff stress, Pa; sqrt(2/3) times the yield stress of a tensile test.
        Default 1e4."""
        hardening_modulus: Parameter | None = None
        """How fast the yield stress grows with plastic flow (the norm of logarithmic strain), Pa. Default: it does not,
        and nothing is remembered of the flow."""
        yield_lower: Parameter | None = None
        """Largest compression: singular values of the deformation are at least 1 less this. Default 0.025."""
        yield_higher: Parameter | None = None
        """Largest extension: they are at most 1 and this. Default 0.0045."""

        def __post_init__(self) -> None:
            boolean("ElastoPlastic.use_von_mises", self.use_von_mises)
            defaults = {"yield_lower": 0.025, "yield_higher": 0.0045}
            if self.use_von_mises:
                defaults = {"von_mises_yield_stress": 1e4}
            for field, default in defaults.items():
                if getattr(self, field) is None:
                    assign(self, field, default)
            if self.use_von_mises and self.hardening_modulus is not None:
                defaults["hardening_modulus"] = 0.0
            for field in PLASTIC_NUMBERS.keys() - defaults.keys():
                if getattr(self, field) is not None:
                    raise GenesisValueError(
                        f"ElastoPlastic.{field} must be left out with use_von_mises={self.use_von_mises}, "
                        f"got {getattr(self, field)}. It would have no effect."
                    )
            own = {field: law for field, law in PLASTIC_NUMBERS.items() if field in defaults}
            assign(self, "numbers", {**ParticleMaterial.numbers, **own})
            super().__post_init__()

        @property
        def constitutive_model(self) -> str:
            if not self.use_von_mises:
                return "clamped"
            return "vonmises" if self.hardening_modulus is None else "vonmises_hardening"

    @record
    class Sand(ParticleMaterial):
        """Dry sand: the cone of Drucker and Prager, without cohesion."""

        numbers = {**ParticleMaterial.numbers, "friction_angle": Range(0.0, 90.0)}
        E: Parameter = 1e6
        """Young's modulus, Pa."""
        friction_angle: Parameter = 45.0
        """Degrees."""

        @property
        def constitutive_model(self) -> str:
            return "sand"

    @record
    class Snow(ParticleMaterial):
        """Snow: its stretches are bounded, and it hardens where it is compacted."""

        numbers = {
            **ParticleMaterial.numbers,
            "yield_lower": Range(0.0, 1.0),
            "yield_higher": Range(),
            "hardening": Range(closed=True),
            "hardening_limit": Range(1.0, closed=True),
        }
        E: Parameter = 1e6
        """Young's modulus, Pa, before anything is compacted."""
        yield_lower: Parameter = 0.025
        """Largest compression: singular values of the deformation are at least 1 less this."""
        yield_higher: Parameter = 0.0045
        """Largest extension: they are at most 1 and this."""
        hardening: Parameter = 10.0
        """Stiffness grows as exp(hardening (1 - Jp)) with the volume ratio Jp of what flowed."""
        hardening_limit: Parameter = 5.0
        """Largest factor by which stiffness grows. The substep must be short enough for snow as stiff as that."""

        @property
        def constitutive_model(self) -> str:
            return "snow"

    @record
    class Liquid(ParticleMaterial):
        """A weakly compressible liquid: it resists changes of volume, and with a `viscosity` the rate of shear."""

        E: Parameter = 1e6
        """Young's modulus of the solid with the same first Lamé parameter, Pa."""
        viscous: bool = False
        """Whether a `viscosity` must be given; one that is given counts in any case."""

        def __post_init__(self) -> None:
            super().__post_init__()
            if boolean("Liquid.viscous", self.viscous) and self.viscosity is None:
                raise GenesisValueError(
                    "Liquid.viscosity must be given where viscous is True, got None. Give it in Pa s; in the public "
                    "engine it is E / (2 (1 + nu)) times the substep."
                )

        @property
        def constitutive_model(self) -> str:
            return "liquid"


@record
class Tool:
    """A kinematic body: it moves as it is told, pushes particles, and is not pushed back.

    Of a Mesh the middle of its box is the tool's position, and `Mesh.scale` is how long it is, m.
    """

    friction: Parameter = 0.0
    """Coulomb coefficient against particles."""
    coup_softness: float = 0.01
    """Distance over which its influence fades, m; 0 makes the contact sharp."""
    sdf_res: int = 64
    """Of a Mesh: cells of its grid of distances along its longest edge, from 8 to 256. There are at most twice as many
    along the grid, which goes on for 8 `coup_softness` around it; what is thinner than two cells is blurred."""

    def __post_init__(self) -> None:
        assign(self, "sdf_res", integer("Tool.sdf_res", self.sdf_res, 8))
        number("Tool.sdf_res", self.sdf_res, 8, 256, closed=True)
        assign(self, "friction", parameter("Tool.friction", self.friction, *FRICTION_RANGE, closed=True))
        assign(self, "coup_softness", number("Tool.coup_softness", self.coup_softness, 0.0, closed=True))


@record
class Rigid:
    """A rigid body, or a robot of several; a Plane or a Terrain made of it is the ground of rigid bodies."""

    rho: float = 1000.0
    """Density of a Box, Sphere, Cylinder, Capsule or Mesh, kg/m^3. Robots from files have the masses of their file."""
    friction: Parameter | None = None
    """Coulomb coefficient of all links. The larger one of two surfaces counts. Default: that of the robot's file;
    0.7 for a Box, Sphere, Cylinder, Capsule or Mesh; 0 for a Plane or a Terrain, so that the bodies' own counts."""
    coup_friction: Parameter | None = None
    """Coulomb coefficient of all links against particles. Default: their `friction`, as it is at the time."""
    coup_softness: float = 0.01
    """Distance over which its influence on particles fades, m; 0 makes the contact sharp."""

    def __post_init__(self) -> None:
        assign(self, "rho", number("Rigid.rho", self.rho, 0.0))
        assign(self, "coup_softness", number("Rigid.coup_softness", self.coup_softness, 0.0, closed=True))
        for name in ("friction", "coup_friction"):
            given = getattr(self, name)
            if given is not None:
                assign(self, name, parameter(f"Rigid.{name}", given, *FRICTION_RANGE, closed=True))


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        raise missing("gs.materials", name)
