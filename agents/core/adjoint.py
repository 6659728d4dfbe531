"""How the adjoint grows along a window, and how single environments are kept from growing beyond the others."""

from collections.abc import Callable

import torch

from agents.core import distributed


class AdjointProbe:
    """Keeps the gradients that arrive at the tensors it watches."""

    def __init__(self, watched: list[torch.Tensor]):
        """Watches H tensors (B, ...) of a graph; call it before `backward`."""
        self._gradients = [torch.zeros_like(tensor.detach()) for tensor in watched]
        for index, tensor in enumerate(watched):
            if tensor.requires_grad:
                tensor.register_hook(_keeper(self._gradients, index))

    def gradients(self) -> torch.Tensor:
        """(H, B, ...) of what arrived; zero where nothing did."""
        return torch.stack(self._gradients)


def _keeper(gradients: list[torch.Tensor], index: int) -> Callable[[torch.Tensor], None]:
    """A hook that refers to no tensor of the graph: the graph holds its hooks, and neither would ever be freed."""

    def keep(gradient: torch.Tensor) -> None:
        gradients[index] = gradient.detach()

    return keep


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


class CotangentBound:
    """Cotangents of single environments scaled down to a limit: one that explodes must not speak for the whole batch.

    For `pull_through` of an environment. With several processes the median is that of each one's environments.
    """

    def __init__(self, limit: float):
        """Args: limit: the largest norm of an environment's cotangent, in medians over those that are not zero."""
        self.limit = limit
        self._bounded: list[torch.Tensor] = []

    def __call__(self, cotangent: torch.Tensor) -> torch.Tensor:
        """(B, ...) with no row longer than the limit, and zero where a row is not finite."""
        rows = cotangent.reshape(len(cotangent), -1)
        norms = torch.linalg.vector_norm(rows, dim=1)
        median = torch.where((norms > 0) & (norms < torch.inf), norms, torch.nan).nanmedian()
        scale = (self.limit * median / norms).clamp(max=1.0)  # NaN where all are zero or not finite, as are the rows
        self._bounded.append((scale < 1.0) | norms.isnan())
        return torch.nan_to_num(rows * scale[:, None]).view_as(cotangent)

    def taken_share(self) -> float:
        """The part of the rows that were scaled down, or left out, since the last call."""
        share = torch.stack(self._bounded).float().mean().item() if self._bounded else 0.0
        self._bounded.clear()
        return share
