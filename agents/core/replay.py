"""A memory of past steps, from which minibatches are drawn."""

from typing import Any

import torch

from genesis.errors import GenesisValueError


class Replay:
    """The last steps as rows; the newest replace the oldest. Saved and restored with its contents."""

    def __init__(
        self, observation_size: int, action_size: int, max_steps: int, max_megabytes: float, like: torch.Tensor
    ):
        """Takes memory as it is filled.

        Args:
            observation_size: Length O of an observation.
            action_size: Length A of an action.
            max_steps: Steps to remember at most.
            max_megabytes: Memory to take at most, in units of 10^6 bytes; fewer steps are remembered if need be.
            like: Gives dtype and device.
        """
        self.widths = (observation_size, action_size, 1, observation_size, 1)
        step_bytes = sum(self.widths) * like.element_size()
        self.capacity = int(min(max_steps, max_megabytes * 1e6 // step_bytes))
        if self.capacity < 1:
            raise GenesisValueError(
                f"max_megabytes must hold a step of {step_bytes} bytes, got {max_megabytes!r}. Allow more."
            )
        self._rows = torch.empty(0, sum(self.widths), dtype=like.dtype, device=like.device)
        self._filled = self._next = 0

    def __len__(self) -> int:
        """Steps that are remembered now."""
        return self._filled

    def add(
        self,
        observation: torch.Tensor,
        action: torch.Tensor,
        reward: torch.Tensor,
        following: torch.Tensor,
        terminated: torch.Tensor,
    ) -> None:
        """Remembers n steps: (n, O), (n, A), (n,), (n, O), (n,) bool. More than the capacity: the last ones."""
        fields = (observation, action, reward[:, None], following, terminated[:, None].to(reward.dtype))
        new = torch.cat(fields, dim=1)[-self.capacity :]
        places = (self._next + torch.arange(len(new), device=new.device)) % self.capacity
        self._grow(min(self.capacity, self._filled + len(new)))
        self._rows[places] = new
        self._next = (self._next + len(new)) % self.capacity
        self._filled = min(self.capacity, self._filled + len(new))

    def sample(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """`count` steps drawn with replacement: observation, action, reward, next observation, terminated."""
        rows = torch.randint(self._filled, (count,), generator=generator, device=self._rows.device)
        observation, action, reward, following, terminated = self._rows[rows].split(self.widths, dim=1)
        return observation, action, reward.squeeze(1), following, terminated.squeeze(1) > 0.5

    def state_dict(self) -> dict[str, Any]:
        """The remembered steps and where the next one goes."""
        return {"rows": self._rows[: self._filled].clone(), "next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken.

        Raises:
            GenesisValueError: The steps have another size or are more than the capacity; nothing has been changed.
        """
        rows = state["rows"]
        if rows.shape[1] != self._rows.shape[1] or len(rows) > self.capacity:
            raise GenesisValueError(
                f"The saved memory must be of at most {self.capacity} rows of {self._rows.shape[1]} numbers, got "
                f"{tuple(rows.shape)}. Resume with the sizes that it was saved with."
            )
        self._rows = rows.to(self._rows)
        self._filled, self._next = len(rows), state["next"]

    def _grow(self, needed: int) -> None:
        """Doubles the room until it is enough, so that adding costs the same whatever there is already."""
        room = len(self._rows)
        if needed > room:
            larger = self._rows.new_empty(min(self.capacity, max(needed, 2 * room)), self._rows.shape[1])
            larger[:room] = self._rows
            self._rows = larger
