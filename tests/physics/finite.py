"""Gradients against central differences, with a sweep of step sizes and an eye for kinks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

STEPS = (1e-5, 1e-4, 1e-6, 1e-3)
"""Relative to the size of the input, the one that suits most first. No step suits every curvature and every round-off,
and none makes a wrong derivative right."""
MAX_KINKS = 0.05
"""Share of samples that may lie on a kink."""


@dataclass
class Comparison:
    """Derivatives of a loss along some directions (samples)."""

    error: float
    """|computed - central difference| / |central difference|, norms over the samples that lie on no kink."""
    samples: int
    kinks: int
    """Samples whose one-sided differences disagree, and whose computed derivative lies between these."""
    size: float
    """Norm of the derivatives."""

    def __str__(self) -> str:
        return (
            f"relative error {self.error:.1e} in {self.samples} samples, {self.kinks} on a kink, size {self.size:.2e}"
        )

    def check(self, bar: float) -> "Comparison":
        """Raise unless the error is below the bar, kinks are few, and there was a derivative to compare."""
        assert self.size > 0.0, "the loss must depend on the input"
        assert self.kinks <= MAX_KINKS * self.samples, str(self)
        assert self.error < bar, str(self)
        return self


def directions_of(x: torch.Tensor, most: int) -> list[torch.Tensor]:
    """All coordinates if there are at most `most`, else that many random unit vectors."""
    if x.numel() <= most:
        return list(torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape))
    generator = torch.Generator().manual_seed(7)
    drawn = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for _ in range(most)]
    return [d / d.norm() for d in drawn]


def compare(
    loss: Callable[..., torch.Tensor],
    inputs: Sequence[torch.Tensor],
    most: int = 6,
    scales: Sequence[float] | None = None,
    bar: float = 1e-6,
) -> list[Comparison]:
    """Compare the gradient of `loss(*inputs)`, float64, with central differences; one comparison for each input.

    Inputs are perturbed in place, so that `loss` may also have taken them before (as constructor's parameters or a
    module's weights) and ignore its arguments.

    Args:
        most: Directions for each input: its coordinates if they are no more, else random ones.
        scales: Size of each input, which steps are relative to; default its largest entry, or 1.
        bar: What will be asked for. A derivative ten times closer, relative to the size of all, ends the sweep; one
            that is close enough is on no kink.
    """
    value = loss(*inputs)
    grads = torch.autograd.grad(value, inputs)
    scales = scales or [float(x.detach().abs().max()) or 1.0 for x in inputs]
    base = float(value.detach())
    results = []
    for x, grad, scale in zip(inputs, grads, scales, strict=True):
        ways = directions_of(x, most)
        exact = [float((grad * d).sum()) for d in ways]
        size = sum(e * e for e in exact) ** 0.5
        close, kinks = [], 0
        for way, wanted in zip(ways, exact, strict=True):
            central, kinked = _sweep(
                lambda h, x=x, way=way: _at(loss, inputs, x, h * way), base, wanted, size, scale, bar
            )
            if kinked:
                kinks += 1
            else:
                close.append((wanted, central))
        gap = sum((a - b) ** 2 for a, b in close) ** 0.5
        norm = sum(b * b for _, b in close) ** 0.5
        results.append(Comparison(gap / norm if norm else float("inf"), len(ways), kinks, norm))
    return results


def _at(loss: Callable[..., torch.Tensor], inputs: Sequence[torch.Tensor], x: torch.Tensor, by: torch.Tensor) -> float:
    with torch.no_grad():
        kept = x.clone()
        x += by
        try:
            return float(loss(*inputs))
        finally:
            x.copy_(kept)


def _sweep(
    at: Callable[[float], float], base: float, wanted: float, size: float, scale: float, bar: float
) -> tuple[float, bool]:
    """Best central difference along one direction, and whether the point is on a kink."""
    best, sides = float("inf"), {}
    for step in STEPS:
        h = step * scale
        up, down = (at(h) - base) / h, (base - at(-h)) / h
        sides[step] = up, down
        central = (up + down) / 2
        if abs(central - wanted) < abs(best - wanted):
            best = central
        if abs(best - wanted) < 0.1 * bar * size:
            return best, False
    if abs(best - wanted) < bar * size:
        return best, False
    # On a smooth function the one-sided differences approach each other with the step; on a kink they stay apart.
    (up0, down0), (up, down) = sides[1e-4], sides[1e-5]
    apart = abs(up - down) > 0.3 * abs(up0 - down0) and abs(up - down) > 10 * bar * size
    slack = 0.01 * abs(up - down)
    between = min(up, down) - slack <= wanted <= max(up, down) + slack
    return best, apart and between
