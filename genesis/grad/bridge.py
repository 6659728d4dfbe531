"""The bridge between torch's graph, which is the only tape, and the solvers. No other file has autograd Functions.

`SimulatorStep` is one control step of all solvers as one node of the graph. `SimulatorReadout` is what can be computed
from a state alone: poses and velocities of the links of articulated bodies. (Particles and tools have theirs in the
state, so that reading them is a slice.)

What a node keeps: the simulator (which never refers to a scene), a token of the frames that its forward pass may have
left behind, and the input values through `save_for_backward`, so that torch's own guards (freed graph, values edited
in place) hold. Frames are plain memory outside the graph, and whether they are still there changes speed, not results.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from genesis.errors import GenesisRuntimeError
from genesis.grad import batch
from genesis.grad.modes import ordinary, refuse_transforms


class Stepper(Protocol):
    """What the bridge asks of a simulator. Tensors are plain, detached, and in the simulator's canonical order."""

    def forward(self, values: Sequence[torch.Tensor], step: int, keep: bool) -> tuple[list[torch.Tensor], Any]:
        """Results (state', outputs) in fresh tensors, and a token for `backward`."""
        ...

    def backward(
        self,
        values: Sequence[torch.Tensor],
        cotangents: Sequence[torch.Tensor | None],
        step: int,
        token: Any,
        needed: Sequence[bool],
    ) -> list[torch.Tensor | None]:
        """Cotangents of `values` where they are needed, in fresh tensors."""
        ...


class Reader(Protocol):
    """What the bridge asks of a simulator with computed read-outs. Tensors are plain and detached."""

    def readout(self, values: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Results in fresh tensors."""
        ...

    def readout_adjoint(
        self, values: Sequence[torch.Tensor], cotangents: Sequence[torch.Tensor | None]
    ) -> list[torch.Tensor]:
        """Cotangents of `values`, in fresh tensors."""
        ...


class BackwardFlag:
    """Whether a backward pass has run through a read-out, and so perhaps freed it."""

    has_run = False


def take_step(simulator: Stepper, step: int, values: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """One control step: state, controls and parameters to state' and outputs, all plain tensors.

    Differentiable in all `values` when grad mode is on and one of them requires it; keeps nothing otherwise.

    Raises:
        GenesisRuntimeError: Inside a transform of torch.func.
    """
    refuse_transforms("scene.step")
    if any(value.requires_grad for value in values):
        if torch.is_grad_enabled():
            return SimulatorStep.apply(simulator, step, *values)
        # Detached: grad mode is off, so the caller wants constants.
        values = [value.detach() for value in values]
    return simulator.forward(values, step, False)[0]


def take_readout(simulator: Reader, values: Sequence[torch.Tensor]) -> tuple[Sequence[torch.Tensor], BackwardFlag]:
    """What can be read from state `values`, as plain tensors, and a mark that its backward pass will set.

    Differentiable in all `values` when grad mode is on and one of them requires it; keeps nothing otherwise.

    Raises:
        GenesisRuntimeError: Inside a transform of torch.func.
    """
    refuse_transforms("a getter")
    backward_flag = BackwardFlag()
    if torch.is_grad_enabled() and any(value.requires_grad for value in values):
        return SimulatorReadout.apply(simulator, backward_flag, *values), backward_flag
    return simulator.readout([value.detach() for value in values]), backward_flag


def leaf_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """The one leaf that `tensor` is, or is computed from alone; None if there is none or several."""
    if tensor.grad_fn is None:
        return tensor if tensor.requires_grad else None
    node: Any = tensor.grad_fn
    while len(node.next_functions) == 1 and node.next_functions[0][0] is not None:
        node = node.next_functions[0][0]
    return getattr(node, "variable", None)


def without_effect(value: torch.Tensor, others: Sequence[torch.Tensor]) -> torch.Tensor:
    """`value`, sharing memory, downstream of `others` with a derivative of zero."""
    return WithoutEffect.apply(value, *others)


class SimulatorStep(torch.autograd.Function):
    """apply(simulator, step, *state, *controls, *parameters) -> (*state', *outputs)."""

    @staticmethod
    def forward(ctx: Any, simulator: Stepper, step: int, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*values)
        ctx.simulator, ctx.step = simulator, step
        # Detached: the solvers only copy out of these, and what they make is attached to the graph by this node. It is
        # detached too: a solver may keep what it made, but must not keep this node, which keeps the simulator.
        results, ctx.token = simulator.forward([value.detach() for value in values], step, True)
        return tuple(result.detach() for result in results)

    @staticmethod
    @ordinary
    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        # Detached: the adjoint below is the whole derivative of this node; a derivative of it is refused.
        values = [value.detach() for value in ctx.saved_tensors]
        needs = ctx.needs_input_grad[2:]

        def pull(cotangents: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
            return ctx.simulator.backward(values, cotangents, ctx.step, ctx.token, needs)

        return (None, None, *_pulled(pull, values, cotangents, needs))


class SimulatorReadout(torch.autograd.Function):
    """apply(simulator, backward_flag, *values) -> read-outs."""

    @staticmethod
    def forward(
        ctx: Any, simulator: Reader, backward_flag: BackwardFlag, *values: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*values)
        ctx.simulator, ctx.backward_flag = simulator, backward_flag
        # Detached as those of a step: this node attaches the results to the graph.
        return tuple(result.detach() for result in simulator.readout([value.detach() for value in values]))

    @staticmethod
    @ordinary
    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        values = [value.detach() for value in ctx.saved_tensors]
        ctx.backward_flag.has_run = True

        def pull(cotangents: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
            return list(ctx.simulator.readout_adjoint(values, cotangents))

        return (None, None, *_pulled(pull, values, cotangents, ctx.needs_input_grad[2:]))


class WithoutEffect(torch.autograd.Function):
    """apply(value, *set) -> value, in whose graph what was set, and has no effect on it, has a gradient of zero."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        ctx.shapes = [other.shape for other in others]
        return value.detach()

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> tuple[torch.Tensor, ...]:
        (cotangent,) = cotangents
        return (cotangent, *(cotangent.new_zeros(()).expand(shape) for shape in ctx.shapes))


def _pulled(
    pull: Callable[[list[torch.Tensor | None]], list[torch.Tensor | None]],
    values: Sequence[torch.Tensor],
    cotangents: Sequence[torch.Tensor | None],
    needs: Sequence[bool],
) -> list[torch.Tensor | None]:
    """Cotangents of `values` where they are needed, zero if no cotangent arrives; `pull` is the adjoint.

    Several cotangents at once (`is_grads_batched`, `vectorize`, torch.vmap) are pulled one after the other.
    """

    def one(given: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
        if all(cotangent is None for cotangent in given):
            return [torch.zeros_like(value) if need else None for value, need in zip(values, needs, strict=True)]
        grads = pull([cotangent if cotangent is None else cotangent.detach() for cotangent in given])
        needed = [grad if need else None for grad, need in zip(grads, needs, strict=True)]
        return _refuse_second_derivative(needed) if torch.is_grad_enabled() else needed

    return batch.in_turn(one, cotangents)


class SecondDerivative(torch.autograd.Function):
    """The identity, and an error if anyone differentiates it."""

    @staticmethod
    def forward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(grad.view_as(grad) for grad in grads)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor) -> tuple[torch.Tensor, ...]:
        raise GenesisRuntimeError(
            "gradients through a scene must be of first order, got a second derivative. "
            "Take the outer derivative by finite differences, or detach the inner gradient."
        )


def _refuse_second_derivative(grads: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
    """The same gradients; differentiating them raises, where they would else be taken for constants."""
    present = [grad.requires_grad_() for grad in grads if grad is not None]
    marked = iter(SecondDerivative.apply(*present) if present else ())
    return [None if grad is None else next(marked) for grad in grads]
