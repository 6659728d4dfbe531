"""Parameters of the physics, one number (or vector) per environment, remembered as they were given.

A tensor that requires a gradient is kept itself, so that gradients arrive at it in every window, and an optimiser's
in-place step on it takes effect at the next `scene.step()`. Packing uses only operations that save no tensors (to,
expand, select, stack, view), so the same packed tensor serves several backward passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from genesis.checks import check_range
from genesis.errors import GenesisValueError
from genesis.grad.tensor import plain_of


@dataclass(frozen=True)
class Law:
    """Which values a parameter may take."""

    low: float
    high: float
    closed: bool = False


@dataclass(frozen=True, eq=False)
class Parameter:
    """Immutable. Per environment the tensor that owns the value, and the row of it (None: it has no rows)."""

    what: str
    """Its name in messages."""
    remedy: str
    """The call that sets it."""
    law: Law
    item: tuple[int, ...]
    """Shape for one environment."""
    owners: tuple[tuple[torch.Tensor, int | None], ...]

    @staticmethod
    def of(
        what: str, remedy: str, law: Law, value: torch.Tensor, n_envs: int, item: tuple[int, ...] = ()
    ) -> "Parameter":
        """The same value, or one row each, for all environments."""
        blank = Parameter(what, remedy, law, item, ((torch.zeros(item), None),) * n_envs)
        return blank.assign(value, None)

    def assign(self, value: torch.Tensor, envs: torch.Tensor | None) -> "Parameter":
        """A parameter with new values in the chosen environments. `value` is item-shaped or has a row for each."""
        n_envs = len(self.owners)
        chosen = range(n_envs) if envs is None else envs.tolist()
        single, several, every = self.item, (len(chosen), *self.item), (n_envs, *self.item)
        if value.shape not in (single, several, every):
            raise GenesisValueError(
                f"{self.what} must have shape {single} or {several}, got {tuple(value.shape)}. "
                "Give one value, or one for each environment."
            )
        check_range(self.what, value, self.law.low, self.law.high, self.law.closed)
        if not value.requires_grad:
            value = plain_of(value).clone()
        owners = list(self.owners)
        for k, env in enumerate(chosen):
            row = None if value.shape == single else (k if value.shape == several else env)
            owners[env] = (value, row)
        result = replace(self, owners=tuple(owners))
        many = len(result.sources) > 1
        return result.detached() if many and not any(s.requires_grad for s in result.sources) else result

    def pack(self, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """(B, *item), connected to the owners."""
        sources = self.sources
        first, row = self.owners[0]
        n_envs = len(self.owners)
        if len(sources) == 1 and row is None:
            return plain_of(first).to(device, dtype).expand(n_envs, *self.item)
        if len(sources) == 1 and len(first) == n_envs and [r for _, r in self.owners] == list(range(n_envs)):
            return plain_of(first).to(device, dtype)
        converted = {id(s): plain_of(s).to(device, dtype) for s in sources}
        return torch.stack([converted[id(s)] if r is None else converted[id(s)][r] for s, r in self.owners])

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
        """Raise unless all values obey the law; after an optimiser's step."""
        for source in self.watched:
            check_range(self.what, source, self.law.low, self.law.high, self.law.closed)

    def detached(self) -> "Parameter":
        """The same values, without gradients, in one tensor."""
        values = self.pack(torch.float64, torch.device("cpu")).detach().clone()
        return replace(self, owners=tuple((values, row) for row in range(len(values))))


def pack_field(
    parameters: Sequence[Parameter], shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """One solver's parameter value (B, *shape) from its numbers in row-major order.

    In memory of its own. Grad mode is on whatever the caller's: the packed value outlives the call.
    """
    with torch.enable_grad():
        packed = torch.stack([parameter.pack(dtype, device) for parameter in parameters], 1)
        return packed.view(len(packed), *shape)
