"""What is recorded when an environment fails, and how failures are found."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from genesis import runtime


class Failure(NamedTuple):
    """An environment failed. Numbers count from zero; `step` since the last reset of the whole scene."""

    step: int
    substep: int
    env: int
    field: str
    """"solver.field", or "gradient of solver.field"."""
    body: str | None = None
    """Name of the entity, of an articulated one "entity/link"; None where it cannot be told."""


def warn(failure: Failure, constraint: str = "be finite", value: float = math.nan) -> None:
    """Log one failure: `field` must `constraint`, and was `value`."""
    step, substep, env, field, body = failure
    if field.startswith("gradient"):
        consequence = "Its gradient is zero from here back. Look at the loss of this environment."
    else:
        consequence = "Its state is NaN until it is reset, and its gradient zero. Lower dt, or raise substeps."
    whose = "" if body is None else f" of {body!r}"
    runtime.logger.warning(
        f"{field}{whose} must {constraint}, got {value:.4g} in step {step}, substep {substep}, environment {env}. "
        f"{consequence}"
    )


def is_finite(tensors: list[torch.Tensor]) -> bool:
    """Whether all entries are finite.

    Torch's own check for loss scaling, at a scale of one: a twentieth of the time of `isfinite` on every tensor. It
    writes every entry back as it was, so `tensors` must be nobody else's.
    """
    device = tensors[0].device
    found, one = (torch.full((1,), value, dtype=torch.float32, device=device) for value in (0.0, 1.0))  # torch's law
    torch._amp_foreach_non_finite_check_and_unscale_(tensors, found, one)  # type: ignore[attr-defined]
    return found.item() == 0.0


def failed_rows(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """(B,) bool: environments in which any of `tensors` (B, …) has a non-finite entry."""
    return torch.stack([~torch.isfinite(t.flatten(1)).all(1) for t in tensors]).any(0)
