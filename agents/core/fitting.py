"""Fits critics to value targets: many small regressions a window, so their gradient is written out by hand.

Autograd costs more than the arithmetic of such small nets. `regression_gradient` is tested against it; nets with
encoders, whose arithmetic costs more, are left to it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from agents.core import distributed
from agents.core.mlp import EPSILON, MLP, Affine
from agents.core.nets import Critics
from agents.core.noise import permutation
from agents.core.optimiser import Optimiser

_aten = torch.ops.aten


@dataclass(frozen=True)
class Fit:
    """How a fit went."""

    losses: list[float]
    """Mean squared error of each pass, averaged over its minibatches, the critics and the processes."""
    norm: float
    """Largest gradient norm before clipping; infinite or NaN where a step was skipped."""
    skipped: int
    """Minibatches that were left out because their gradient was not finite."""

    def scalars(self) -> dict[str, float]:
        """By TensorBoard tag."""
        return {
            "losses/value_loss": self.losses[-1],
            "critic/passes": float(len(self.losses)),
            "critic/norm_before_clip": self.norm,
            "critic/skipped_steps": float(self.skipped),
        }


@torch.no_grad()
def fit_critics(
    critics: Critics,
    optimiser: Optimiser,
    observation: torch.Tensor,
    target: torch.Tensor,
    valid: torch.Tensor,
    passes: int,
    minibatches: int,
    key: tuple[int, int],
    settled: Callable[[list[float]], bool] | None = None,
) -> Fit:
    """Passes over a window in shuffled minibatches, each a clipped step down the critics' mean squared errors.

    With several processes a minibatch is what it would be in a single one: each adds the gradient of its own samples.

    Args:
        critics: C nets; the loss is the sum of theirs.
        optimiser: Of their parameters.
        observation: (H, B, O), normalised.
        target: (H, B), the same for all critics.
        valid: (H, B) bool; the other samples count nothing.
        passes: Passes over all samples, at most.
        minibatches: Minibatches in a pass.
        key: Seed and number of the update: the shuffling is a function of them and of the pass.
        settled: Says from the losses of the passes so far whether to stop early.
    """
    horizon, n_envs = target.shape
    count = horizon * n_envs * distributed.world_size()
    x, y = observation.reshape(horizon * n_envs, -1), target.reshape(-1)
    weight = None if bool(valid.all()) else valid.reshape(-1).to(y)
    losses: list[float] = []
    norm, skipped = 0.0, 0
    for turn in range(passes):
        total = torch.zeros((), dtype=x.dtype, device=x.device)
        for chosen in np.array_split(permutation(*key, turn, count), minibatches):
            rows = torch.from_numpy(own_samples(chosen, n_envs)).to(x.device)
            inputs, wanted = x.index_select(0, rows), y.index_select(0, rows)
            scale = None if weight is None else weight.index_select(0, rows)
            for member in critics.members:
                gradient = regression_gradient if isinstance(member, MLP) else regression_by_autograd
                total += gradient(member, inputs, wanted, scale, len(chosen))  # type: ignore[arg-type]
            step = optimiser.step(average=False)
            norm = max(norm, step.norm) if math.isfinite(step.norm) else step.norm
            skipped += step.skipped
        losses.append(distributed.sum_(total).item() / (minibatches * len(critics.members)))
        if settled is not None and settled(losses):
            break
    return Fit(losses, norm, skipped)


def regression_gradient(
    net: MLP, x: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None, count: int
) -> torch.Tensor:
    """Puts the gradient of 1/count sum_i weight_i (net(x_i) - target_i)^2 into the parameters' `.grad`.

    Args:
        net: With one output, and `.grad` tensors, which are overwritten.
        x: (M, O).
        target: (M,).
        weight: (M,), or None for ones.
        count: What the sum is divided by.

    Returns:
        The loss (), without a graph.
    """
    activate, activate_adjoint = _ACTIVATIONS[net.activation]
    *hidden, last = net.layers
    inputs, kept = [x], []
    for linear, norm in hidden:
        before = torch.addmm(linear.bias, inputs[-1], linear.weight.t())
        after = normal = activate(before)
        mean = spread = None
        if norm is not None:
            normal, mean, spread = _aten.native_layer_norm(after, norm.weight.shape, norm.weight, norm.bias, EPSILON)
        kept.append((before, after, mean, spread))
        inputs.append(normal)
    error = torch.addmv(last.linear.bias, inputs[-1], last.linear.weight[0]) - target
    weighted = error if weight is None else error * weight
    loss = torch.dot(error, weighted) / count

    grad = (weighted * (2.0 / count))[:, None]
    _put_gradient(last.linear, grad, inputs[-1])
    for index in range(len(hidden) - 1, -1, -1):
        (linear, norm), (before, after, mean, spread) = hidden[index], kept[index]
        grad = grad @ net.layers[index + 1].linear.weight
        if norm is not None:
            grad, *by_norm = _aten.native_layer_norm_backward(
                grad, after, norm.weight.shape, mean, spread, norm.weight, norm.bias, [True, True, True]
            )
            for parameter, gradient in zip(norm, by_norm, strict=True):
                parameter.grad.copy_(gradient)  # type: ignore[union-attr]
        grad = activate_adjoint(grad, before, after)
        _put_gradient(linear, grad, inputs[index])
    return loss


def regression_by_autograd(
    net: nn.Module, x: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None, count: int
) -> torch.Tensor:
    """`regression_gradient` of any net."""
    parameters = list(net.parameters())
    with torch.enable_grad():
        error = net(x).squeeze(1) - target
        loss = torch.dot(error, error if weight is None else error * weight) / count
        gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad.copy_(gradient)  # type: ignore[union-attr]
    return loss.detach()


def _put_gradient(linear: Affine, grad: torch.Tensor, x: torch.Tensor) -> None:
    """The gradient by a linear layer's parameters, from that by its output and from its input."""
    torch.mm(grad.t(), x, out=linear.weight.grad)
    torch.sum(grad, 0, out=linear.bias.grad)


def own_samples(chosen: np.ndarray, n_envs: int) -> np.ndarray:
    """Which samples of this process are among those chosen from all; sample t * B * world + b is of environment b."""
    world, rank = distributed.world_size(), distributed.rank()
    if world == 1:
        return chosen
    step, env = np.divmod(chosen, n_envs * world)
    mine = env // n_envs == rank
    return step[mine] * n_envs + env[mine] - rank * n_envs


_ACTIVATIONS = {
    "elu": (_aten.elu, lambda grad, before, after: _aten.elu_backward(grad, 1.0, 1.0, 1.0, True, after)),
    "silu": (_aten.silu, lambda grad, before, after: _aten.silu_backward(grad, before)),
    "tanh": (_aten.tanh, lambda grad, before, after: _aten.tanh_backward(grad, after)),
    "relu": (_aten.relu, lambda grad, before, after: _aten.threshold_backward(grad, after, 0.0)),
}
"""Activation and its adjoint (from the gradient, its argument and its value), by name."""
