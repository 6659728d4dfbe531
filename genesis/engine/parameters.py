"""Parameters of the physics, a number (or an array) per environment, remembered as they were given.

A tensor that requires a gradient is kept itself, so that gradients arrive at it in every window, and an optimiser's
in-place step on it takes effect at the next `scene.step()`. Packing uses only operations that save no tensors (to,
expand, select, stack, cat, view), so the same packed tensor serves several backward passes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch

from genesis import runtime
from genesis.checks import check_range
from genesis.engine.inputs import numeric
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.modes import ordinary
from genesis.grad.tensor import plain_of
from genesis.loaders.parts import check_solimp, check_solimp_range, check_solref

SLACK = 1e-6
"""Relative rounding that the triangle inequality of principal moments is allowed."""

LENGTH_SLACK = 1e-5
"""Rounding that the length of a direction is allowed."""

Place = TypeVar("Place")


@dataclass(frozen=True)
class Constraint:
    """Which values a parameter may take."""

    low: float
    high: float
    closed: bool = False
    rule: str = ""
    """What rows of numbers must be instead: "inertia", xx, yy, zz, xy, xz, yz of a body, positive definite, or if
    `closed` semi-definite, no principal moment larger than the sum of the others; "direction", of length 1; "solref" or
    "solimp" of MuJoCo."""

    def check(self, what: str, value: torch.Tensor) -> None:
        """Raise unless every entry of `value` satisfies the constraint and is finite."""
        if not self.rule:
            check_range(what, value, self.low, self.high, self.closed)
            if value.dtype == torch.float64 and runtime.current().real != value.dtype:  # as solvers will see it
                check_range(what, value.detach().to(runtime.current().real), self.low, self.high, self.closed)
            return
        check_range(what, value, -math.inf)
        if self.rule == "inertia":
            self._check_inertia(what, value)
            return
        if self.rule == "direction":
            self._check_length(what, value)
            return
        for row in _distinct_rows(value):
            {"solref": check_solref, "solimp": check_solimp}[self.rule](what, row)

    def _check_length(self, what: str, value: torch.Tensor) -> None:
        lengths = plain_of(value).detach().double().norm(dim=-1)
        wrong = (lengths - 1).abs() > LENGTH_SLACK
        if bool(wrong.any()):
            raise GenesisValueError(
                f"{what} must have length 1, got length {float(lengths[wrong][0]):.6g}. Divide it by its length."
            )

    def _check_inertia(self, what: str, value: torch.Tensor) -> None:
        matrix = (
            plain_of(value).detach().to("cpu", torch.float64)[..., [0, 3, 4, 3, 1, 5, 4, 5, 2]].unflatten(-1, (3, 3))
        )
        moments = torch.linalg.eigvalsh(matrix).reshape(-1, 3)
        a, b, c = moments.unbind(1)
        wrong = (a < 0 if self.closed else a <= 0) | (c > (a + b) * (1 + SLACK))
        if bool(wrong.any()):
            raise GenesisValueError(
                f"{what} must be positive definite with principal moments a + b >= c, got moments "
                f"{tuple(round(m, 9) for m in moments[wrong][0].tolist())}. Its six entries are xx, yy, zz, xy, xz, yz."
            )


@dataclass(frozen=True, eq=False)
class Parameter:
    """Immutable. Per environment the tensor that owns the value, and the row of it (None: it has no rows)."""

    what: str
    """Its name in messages."""
    remedy: str
    """The call that sets it."""
    constraint: Constraint
    item: tuple[int, ...]
    """Shape for one environment."""
    owners: tuple[tuple[torch.Tensor, int | None], ...]
    units: bool = False
    """Whether the first axis of `item` runs over links or dofs, for all of which one unit's value may be given."""

    @staticmethod
    def of(
        what: str,
        remedy: str,
        constraint: Constraint,
        value: torch.Tensor,
        n_envs: int,
        item: tuple[int, ...] = (),
        units: bool = False,
        per_env: bool = False,
    ) -> "Parameter":
        """The same value, or one row each, for all environments; see `assign`."""
        blank = Parameter(what, remedy, constraint, item, ((torch.zeros(item), None),) * n_envs, units)
        return blank.assign(value, None, per_env)

    def given(self, value: Any, scene: Any) -> torch.Tensor:
        """What a user sets it to, as a tensor, for `assign`.

        Raises:
            GenesisTypeError: None, or no number.
            GenesisValueError: A solimp beyond the ranges that have a meaning; those of files are bounded instead.
        """
        if value is None:
            raise GenesisTypeError(f"{self.what} must be a number or a tensor, got None. Give one.")
        tensor = numeric(self.what, value, scene)
        if self.constraint.rule == "solimp" and tensor.shape[-1:] == self.item[-1:]:  # `assign` judges other shapes
            for row in _distinct_rows(tensor):
                check_solimp_range(self.what, row)
        return tensor

    @ordinary
    def assign(self, value: torch.Tensor, envs: torch.Tensor | None, per_env: bool = False) -> "Parameter":
        """A parameter with new values in the chosen environments.

        Args:
            value: Item-shaped, or with a row for each environment; with `units`, one unit's value in place of all
                units', that is without the axis of units or, in rows, with a length of 1 on it.
            per_env: Whether to read (B,) as a number for each environment, for all units.
        """
        n_envs = len(self.owners)
        chosen = range(n_envs) if envs is None else envs.tolist()
        single = [self.item]
        several = [(len(chosen), *self.item), (n_envs, *self.item)]
        if self.units:
            unit = self.item[1:]
            single = [unit] if per_env else [self.item, unit]
            several += [(len(chosen), 1, *unit), (n_envs, 1, *unit)]
            if per_env or self.item[0] == 1:
                several += [(len(chosen), *unit), (n_envs, *unit)]
        shape = tuple(value.shape)
        if shape not in single and shape not in several:
            raise GenesisValueError(
                f"{self.what} must have shape {' or '.join(map(str, dict.fromkeys(single + several[::2])))}, "
                f"got {shape}. Give one value{f', or one for each of the {self.item[0]},' if self.units else ''} "
                "or one for each environment."
            )
        self.constraint.check(self.what, value)
        if not value.requires_grad:
            value = plain_of(value).clone()
        owners = list(self.owners)
        alike = shape in single
        for k, env in enumerate(chosen):
            owners[env] = (value, None if alike else k if shape[0] == len(chosen) else env)
        result = replace(self, owners=tuple(owners))
        many = len(result.sources) > 1
        return result.detached() if many and not any(s.requires_grad for s in result.sources) else result

    @ordinary
    def assign_units(self, value: torch.Tensor, units: Sequence[int], envs: torch.Tensor | None) -> "Parameter":
        """A parameter with new values in some units (links or dofs) of the chosen environments.

        Args:
            value: For n units: as in `assign` for an item with n units. A result is computed from it, so a tensor that
                requires a gradient is set again after each `scene.detach_()`.
        """
        if envs is not None and not len(envs):
            return self
        part = replace(
            self, item=(len(units), *self.item[1:]), owners=tuple((torch.zeros(()), None) for _ in self.owners)
        )
        double, cpu = torch.float64, torch.device("cpu")
        with torch.enable_grad():
            new = part.assign(value, envs).pack(double, cpu).unbind(1)
            columns = list(self.pack(double, cpu).unbind(1))
            for unit, column in zip(units, new, strict=True):
                columns[unit] = column
            whole = torch.stack(columns, 1)
            return self.assign(whole if envs is None else torch.stack([whole[env] for env in envs.tolist()]), envs)

    def pack(self, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """(B, *item), connected to the owners."""
        sources = self.sources
        first, row = self.owners[0]
        n_envs = len(self.owners)
        if len(sources) == 1 and row is None:
            return plain_of(first).to(device, dtype).expand(n_envs, *self.item)
        if len(sources) == 1 and len(first) == n_envs and [r for _, r in self.owners] == list(range(n_envs)):
            rows = plain_of(first).to(device, dtype)
            return (rows if rows.dim() > len(self.item) else rows.unsqueeze(1)).expand(n_envs, *self.item)
        converted = {id(s): plain_of(s).to(device, dtype) for s in sources}
        owned = [converted[id(s)] if r is None else converted[id(s)][r] for s, r in self.owners]
        return torch.stack([row if row.shape == self.item else row.expand(self.item) for row in owned])

    @property
    def sources(self) -> list[torch.Tensor]:
        """The tensors that own a value, each once."""
        return list({id(source): source for source, _ in self.owners}.values())

    @property
    def watched(self) -> list[torch.Tensor]:
        """Leaves that an optimiser may change in place."""
        return [s for s in self.sources if s.requires_grad and s.is_leaf]

    @property
    def derived(self) -> list[torch.Tensor]:
        """Results of a graph, which a window's backward pass uses up."""
        return [s for s in self.sources if s.requires_grad and not s.is_leaf]

    def check(self) -> None:
        """Raise unless all values satisfy the constraint; after an optimiser's step."""
        for source in self.watched:
            self.constraint.check(self.what, source)

    def detached(self) -> "Parameter":
        """The same values, without gradients, in one tensor."""
        values = self.pack(torch.float64, torch.device("cpu")).detach().clone()
        return replace(self, owners=tuple((values, row) for row in range(len(values))))


def place_of(places: Mapping[str, Place], parameter_name: str, owner: str) -> Place:
    """Where a parameter is; GenesisTypeError where the scene's contact model has none of that name."""
    if parameter_name not in places:
        raise GenesisTypeError(
            f"{parameter_name} of {owner!r} must be known to the scene's contact model, got that of another. "
            "Choose the model with RigidOptions(contact=...)."
        )
    return places[parameter_name]


def _distinct_rows(value: torch.Tensor) -> list[list[float]]:
    """Each row (..., n) once."""
    return plain_of(value).detach().to("cpu", torch.float64).reshape(-1, value.shape[-1]).unique(dim=0).tolist()


def material_parameter(
    entity: Any, name: str, setter: str, constraint: Constraint, n_envs: int, scene: Any
) -> Parameter:
    """A number of an entity's material, as the material says."""
    what = f"{entity.name}.{name}"
    value = numeric(what, getattr(entity.material, name), scene)
    return Parameter.of(what, f"{entity.name}.{setter}", constraint, value, n_envs)


def pack_field(
    parameters: Sequence[Parameter], shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """One solver's parameter value (B, *shape) from its numbers, whose items follow each other in row-major order.

    In memory of its own. Grad mode is on whatever the caller's: the packed value outlives the call.
    """
    with torch.enable_grad():
        rows = [p.pack(dtype, device).reshape(len(p.owners), math.prod(p.item)) for p in parameters]
        return torch.cat(rows, 1).view(len(rows[0]), *shape)
