"""How the adjoint grows along a window: measured on the way of the backward pass, at no extra cost."""

from collections.abc import Callable

import torch

from agents.core import distributed


class AdjointProbe:
    """Keeps the gradients that arrive at the tensors it watches."""

    def __init__(self, watched: list[torch.Tensor]):
        """Watches H tensors (B, ...) of a graph; call it before `backward`."""
        self._watched = watched
        self._gradients: list[torch.Tensor | None] = [None] * len(watched)
        for index, tensor in enumerate(watched):
            if tensor.requires_grad:
                tensor.register_hook(self._keeper(index))

    def _keeper(self, index: int) -> Callable[[torch.Tensor], None]:
        def keep(gradient: torch.Tensor) -> None:
            self._gradients[index] = gradient.detach()

        return keep

    def gradients(self) -> torch.Tensor:
        """(H, B, ...) of what arrived; zero where nothing did."""
        return torch.stack(
            [
                torch.zeros_like(tensor.detach()) if gradient is None else gradient
                for tensor, gradient in zip(self._watched, self._gradients, strict=True)
            ]
        )


def growth(gradients: torch.Tensor) -> torch.Tensor:
    """The adjoint's size by the number of steps k = 0, ..., H - 1 before the window's end, in units of its median.

    Args:
        gradients: (H, B, A) dJ/da_t, of this process's environments.

    Returns:
        (H,) mean norm over the environments of all processes, over its median; infinite where it is not finite. All
        ones where nothing arrived.
    """
    norms = torch.linalg.vector_norm(gradients, dim=2).mean(dim=1).flip(0).to(torch.float64)
    norms = torch.where(torch.isfinite(distributed.mean_(norms)), norms, torch.inf)
    median = norms.median()
    if not bool(median > 0):
        return torch.ones_like(norms)
    return torch.where(torch.isfinite(norms), norms / median, torch.inf)
