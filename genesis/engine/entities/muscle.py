"""What a body of particles has of a muscle: groups, fibres, activations."""

from typing import Any

import torch

from genesis import runtime
from genesis.checks import check_range
from genesis.convert import whole
from genesis.engine.entities.base import Entity
from genesis.engine.inputs import Array, Environments, numeric
from genesis.engine.parameters import Constraint, Parameter
from genesis.engine.stability import check_stable, wave_speed
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.tensor import Tensor
from genesis.materials import MPM
from genesis.options import MPMOptions
from genesis.solvers.mpm.added import STIFFNESS
from genesis.solvers.mpm.models.model import Model, lame

ACTIVATION = (-1.0, 1.0)
"""Which activations there are."""
ALONG = (0.0, 0.0, 1.0)
"""Direction of fibres that nobody has set."""


class Muscles(Entity):
    """Abstract: setters of a body of particles that act on a muscle, and refuse any other body."""

    material: Any
    model: Model
    numbers: tuple[str, ...]
    n_particles: int
    _begin: int
    _first: int
    _options: MPMOptions

    @property
    def n_groups(self) -> int:
        """Of particles with activations of their own; 0 of a body that is no muscle."""
        return self.material.n_groups if isinstance(self.material, MPM.Muscle) else 0

    def _place_muscles(self) -> None:
        self._groups = torch.zeros(self.n_particles, dtype=torch.int64, device=runtime.current().device)

    def set_actuation(self, actu: Array, envs_idx: Environments = None) -> None:
        """Set activations; held until set again. Differentiable.

        Args:
            actu: (n_groups,) or (B, n_groups), -1 … 1: the share of its stiffness with which a group's fibres contract.
                Negative: they lengthen, and must be weaker than the solid is: -actu stiffness < E / (2 (1 + nu)).
                With `envs_idx`, a row for each chosen environment in place of B.
            envs_idx: Environments to change, indices or a mask; None for all.

        Raises:
            GenesisValueError: Out of range; a body that has lengthened so far is too stiff for the scene's substep when
                its fibres contract; wrong shape; an entry not finite.
            GenesisTypeError: The body is no muscle.
        """
        self._require_muscle("set_actuation")
        envs = self._chosen(envs_idx)
        actu = self._rows("actu", actu, ((self.n_groups,),), envs)
        check_range(f"{self.name}.actu", actu, *ACTIVATION, closed=True)
        lowest = actu.detach().amin(1) if len(actu) else actu.new_zeros(0)
        if bool((lowest < 0).any()):
            self._check_lengthening(lowest.double().cpu(), envs)
        rows = actu.index_select(1, self._groups)
        self._values.write("mpm", "actu", rows, envs, self._begin, self._begin + self.n_particles)

    def set_muscle(self, muscle_group: Any = None, muscle_direction: Array | None = None) -> None:
        """Set which group every particle belongs to, and the direction of its fibres; `scene.reset` leaves both alone.

        Args:
            muscle_group: (n,) integers, 0 … n_groups - 1. Activations follow at the next `set_actuation`. At first 0.
            muscle_direction: (3,), (n, 3) or (B, n, 3), of length 1, where the body is undeformed. At first (0, 0, 1).
                Differentiable, as a parameter: see `set_material`.

        Raises:
            GenesisValueError: Out of range; wrong shape; an entry not finite.
            GenesisTypeError: The body is no muscle, or nothing is given.
        """
        self._require_muscle("set_muscle")
        if muscle_group is None and muscle_direction is None:
            raise GenesisTypeError(
                "set_muscle must get muscle_group, muscle_direction or both, got neither. Pass one by name."
            )
        groups = self._groups if muscle_group is None else self._checked_groups(muscle_group)
        if muscle_direction is not None:
            key, values = ("mpm", "fibre"), self._values
            old = {number.what: number for number in values.parameters(key)}
            what = f"{self.name}.muscle_direction"
            new = old[what].assign(numeric(what, muscle_direction, values.scene), None)
            values.set_parameters(key, {list(old).index(what): new})
        self._groups = groups

    def set_muscle_group(self, muscle_group: Any) -> None:
        """`set_muscle` of groups (n,) alone."""
        self.set_muscle(muscle_group=muscle_group)

    def set_muscle_direction(self, muscle_direction: Array) -> None:
        """`set_muscle` of directions (3,) or (n, 3) alone."""
        self.set_muscle(muscle_direction=muscle_direction)

    def get_particles_actu(self, envs_idx: Environments = None) -> Tensor:
        """(B, n) activation of every particle; with `envs_idx` only the chosen environments, in their order."""
        self._require_muscle("get_particles_actu")
        actu = self._values.read("mpm", "actu")
        return self._pick(actu[:, self._begin : self._begin + self.n_particles], envs_idx)

    def _require_muscle(self, setter: str) -> None:
        if not self.n_groups:
            raise GenesisTypeError(
                f"{setter} must be called on a body of material MPM.Muscle, got {self.name!r} of "
                f"{type(self.material).__name__}. Make it of that."
            )

    def _checked_groups(self, muscle_group: Any) -> torch.Tensor:
        what = f"{self.name}.muscle_group"
        found = whole(what, muscle_group, "Pass an index of a group for each particle.")
        if found.shape != (self.n_particles,) or found.dtype == bool:
            raise GenesisValueError(
                f"{what} must be {self.n_particles} integers, got {found.dtype} of shape {found.shape}. "
                "Give one for each particle."
            )
        outside = (found < 0) | (found >= self.n_groups)
        if outside.any():
            raise GenesisValueError(
                f"{what} must lie in 0 … {self.n_groups - 1}, got {found[outside][0]}. "
                "Raise Muscle.n_groups for more groups."
            )
        return torch.from_numpy(found.astype("int64")).to(self._groups.device)

    def _check_lengthening(self, lowest: torch.Tensor, envs: torch.Tensor | None) -> None:
        """Raise unless the solid bears fibres that are pushed apart with the share `lowest` (K,) of their stiffness,
        and the substep is short enough for what they may do afterwards."""
        numbers = self._values.parameters(("mpm", "material"))[self._first : self._first + len(self.numbers)]
        packed = {
            name: number.pack(torch.float64, torch.device("cpu")).detach()
            for name, number in zip(self.numbers, numbers, strict=True)
        }
        mine = {name: value if envs is None else value[envs.cpu()] for name, value in packed.items()}
        mu, push = lame(mine["E"], mine["nu"])[0], 0.0 - lowest * mine[STIFFNESS]
        wrong = push >= mu
        if bool(wrong.any()):
            raise GenesisValueError(
                f"{self.name}.actu must stay above -E / (2 (1 + nu)) / stiffness = "
                f"{-float((mu / mine[STIFFNESS])[wrong][0]):.4g}, beyond which the solid gives way, "
                f"got {float(lowest[wrong][0]):.4g}. Use a smaller stiffness, or a larger activation."
            )
        what = f"{self.name} when it has lengthened with an activation of {float(lowest.amin()):.4g}"
        remedy = ", a smaller stiffness, or a larger activation"
        sim = self._values.scene.sim_options
        check_stable(what, wave_speed(self.model, mine, lowest), mine, sim, self._options, remedy=remedy)


def fibre_parameter(entity: Any, n_envs: int) -> Parameter:
    """The directions of an entity's fibres (n, 3) at build time; zeros of what is no muscle."""
    constraint = Constraint(-1.0, 1.0, rule="direction" if entity.n_groups else "")
    direction = torch.tensor(ALONG if entity.n_groups else (0.0, 0.0, 0.0), dtype=torch.float64)
    what, item = f"{entity.name}.muscle_direction", (entity.n_particles, 3)
    return Parameter.of(what, f"{entity.name}.set_muscle", constraint, direction, n_envs, item, units=True)
