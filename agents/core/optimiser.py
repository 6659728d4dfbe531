"""Adam on all parameters of a module as one vector: averaged over processes, clipped, and checked."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from agents.core import distributed

_LOG = logging.getLogger("genesis")


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
    over processes and clipping are one operation each, Adam a handful. (torch's own Adam spends longer on its way to
    the kernel than the kernel takes for nets of this size.) Do not move the modules to another device afterwards.

    Source: Kingma and Ba (2015); Loshchilov and Hutter (2019) for the decoupled decay.
    """

    EPSILON = 1e-8

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
        self.learning_rate = learning_rate
        """In force; schedules set it."""
        self.betas = betas
        self.weight_decay = weight_decay
        self.first_moment, self.second_moment = (torch.zeros_like(self.gradient) for _ in range(2))
        self.count = 0
        """Steps taken, without those that were skipped."""

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
        self._adam()
        return Step(norm, clipped, False)

    def _adam(self) -> None:
        """x <- x - r (m^ / (sqrt(v^) + eps) + w x), with m^, v^ the moments m, v divided by 1 - b^n in step n."""
        self.count += 1
        beta1, beta2 = self.betas
        vector = self.vector.data
        if self.weight_decay:
            vector.mul_(1.0 - self.learning_rate * self.weight_decay)
        self.first_moment.lerp_(self.gradient, 1.0 - beta1)
        self.second_moment.mul_(beta2).addcmul_(self.gradient, self.gradient, value=1.0 - beta2)
        scale = (self.second_moment / (1.0 - beta2**self.count)).sqrt_().add_(self.EPSILON)
        vector.addcdiv_(self.first_moment, scale, value=-self.learning_rate / (1.0 - beta1**self.count))

    def state_dict(self) -> dict[str, Any]:
        """Moments, number of steps and learning rate."""
        return {
            "first_moment": self.first_moment.clone(),
            "second_moment": self.second_moment.clone(),
            "count": self.count,
            "learning_rate": self.learning_rate,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        self.first_moment.copy_(state["first_moment"])
        self.second_moment.copy_(state["second_moment"])
        self.count, self.learning_rate = state["count"], state["learning_rate"]


def checked_step(
    optimiser: Optimiser,
    loss: torch.Tensor,
    env: Any = None,
    origin: Callable[[], str | None] = lambda: None,
    report: Callable[[str, str], None] = lambda what, origin: _LOG.warning("%s; %s.", what, origin),
) -> Step:
    """One step down a differentiable loss; skipped, and its origin reported, where loss or gradient is not finite.

    A loss that nothing learnt has a part in, as where survival is all that is rewarded and nothing is worth it, has a
    gradient of zero.

    Args:
        optimiser: Of the parameters that the loss depends on.
        loss: This process's mean; the gradient is averaged over the processes.
        env: The environment whose `failures()` name the origin of a gradient that is not finite; None: none.
        origin: Names what was not finite in the experience or in the gradient by its actions, if anything was.
        report: Is told what was skipped, and its origin.
    """
    optimiser.clear()
    known = 0 if env is None else len(env.failures())
    if bool(torch.isfinite(loss.detach())):
        if loss.requires_grad:
            loss.backward()
    else:
        optimiser.gradient.fill_(math.nan)  # tells the other processes
    step = optimiser.step()
    if step.skipped:
        what = "the gradient" if bool(torch.isfinite(loss.detach())) else "the loss"
        report(f"An update was skipped: {what} was not finite", origin_of(env, known, origin))
    return step


def diverged() -> str:
    """The `origin` that `checked_step` names where the steps that were learnt from are known to be finite."""
    return "the steps that it learnt from are finite, look at the learning rate"


def origin_of(env: Any, known: int, origin: Callable[[], str | None]) -> str:
    """The origin of a failure, in a few words: in the simulator on the way back, else what `origin` names.

    Args:
        env: The environment; None: there is none.
        known: Number of its failures before `backward`.
        origin: See `checked_step`.
    """
    failures = [] if env is None else env.failures()
    named = origin() if known >= len(failures) else None
    if named or not failures:
        return named or "the simulator reported no failure, look at reward and observation"
    step, substep, row, field, *body = failures[known] if known < len(failures) else failures[-1]
    whose = "".join(f" of {name!r}" for name in body if name)
    return f"the simulator reported {field}{whose} in step {step}, substep {substep}, environment {row}"
