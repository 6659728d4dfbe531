"""Adam on all parameters of a module as one vector: averaged over processes, clipped, and guarded."""

import logging
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from agents.core import distributed

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """What a step of an optimiser was."""

    norm: float
    """Global norm of the gradient before clipping; may be infinite or NaN."""
    clipped_norm: float
    """The same after clipping; 0 where the step was skipped."""
    skipped: bool
    """Whether the gradient was not finite, so that weights and moments were left as they were."""


class Optimiser:
    """Adam (AdamW with `weight_decay`) with global norm clipping, over the parameters of modules as one vector.

    The parameters become views of one tensor, and their gradients views of another, which autograd adds to: averaging
    over processes, clipping and Adam are one operation each. Do not move the modules to another device afterwards.
    """

    def __init__(
        self,
        *modules: nn.Module,
        learning_rate: float,
        betas: tuple[float, float],
        max_grad_norm: float,
        weight_decay: float = 0.0,
    ):
        """Takes the parameters over.

        Args:
            modules: Their parameters, all of one dtype and device, are optimised together.
            learning_rate: Of the first steps.
            betas: Decay rates of the first and second moment.
            max_grad_norm: Global norm beyond which a gradient is scaled down.
            weight_decay: Decoupled weight decay per unit of learning rate.
        """
        parameters = [p for module in modules for p in module.parameters()]
        self.vector = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
        self.gradient = torch.zeros_like(self.vector.data)
        self.vector.grad = self.gradient
        place = 0
        for p in parameters:
            span = slice(place, place + p.numel())
            p.data = self.vector.data[span].view_as(p)
            p.grad = self.gradient[span].view_as(p)
            place += p.numel()
        self.max_grad_norm = max_grad_norm
        self.adam = torch.optim.AdamW(
            [self.vector], lr=learning_rate, betas=betas, weight_decay=weight_decay, fused=True
        )

    @property
    def learning_rate(self) -> float:
        """In force."""
        return self.adam.param_groups[0]["lr"]

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self.adam.param_groups[0]["lr"] = value

    def clear(self) -> None:
        """Sets the gradient to zero; call it before `backward`."""
        self.gradient.zero_()

    def step(self, average: bool = True) -> Step:
        """One step along the clipped gradient, which is averaged over the processes first (`average`), or summed.

        Where the gradient is not finite the step is skipped, in all processes alike.
        """
        (distributed.mean_ if average else distributed.sum_)(self.gradient)
        norm = torch.linalg.vector_norm(self.gradient).item()
        if not math.isfinite(norm):
            return Step(norm, 0.0, True)
        clipped = min(norm, self.max_grad_norm)
        if norm > self.max_grad_norm:
            self.gradient.mul_(self.max_grad_norm / norm)
        self.adam.step()
        return Step(norm, clipped, False)

    def state_dict(self) -> dict[str, Any]:
        """Moments, step number and learning rate."""
        return self.adam.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        self.adam.load_state_dict(state)


def guarded_step(optimiser: Optimiser, loss: torch.Tensor, env: Any = None) -> Step:
    """One step down a differentiable loss; skipped, and its origin reported, where loss or gradient is not finite.

    Args:
        optimiser: Of the parameters that the loss depends on.
        loss: This process's mean; the gradient is averaged over the processes.
        env: The environment whose `failures()` name the origin of what is not finite; None: none.
    """
    optimiser.clear()
    known = len(_failures(env))
    if bool(torch.isfinite(loss.detach())):
        loss.backward()
    else:
        optimiser.gradient.fill_(math.nan)  # tells the other processes
    step = optimiser.step()
    if step.skipped:
        _LOG.warning("An update was skipped: %s.", _origin(loss, env, known))
    return step


def _failures(env: Any) -> list[Any]:
    return [] if env is None else env.failures()


def _origin(loss: torch.Tensor, env: Any, known: int) -> str:
    what = "the gradient" if bool(torch.isfinite(loss.detach())) else "the loss"
    failures = _failures(env)
    if not failures:
        return f"{what} was not finite, and the simulator reported no failure (look at reward and observation)"
    step, substep, row, field = failures[known] if known < len(failures) else failures[-1]
    return f"{what} was not finite; the simulator reported {field} in step {step}, substep {substep}, environment {row}"
