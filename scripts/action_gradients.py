"""What the simulator says of each action of a window: the sizes of dJ/da_t, noted on the way of the backward pass."""

from typing import Any

import torch

from agents.core.adjoint import AdjointProbe


class ActionGradients:
    """An environment as it is, whose `step` also watches the gradient that later arrives at its action.

    Agents train in it unawares. The gradient is that of the agent's objective through rewards, observations and the
    simulator; what the objective says of an action directly (its entropy, for instance) is not in it.
    """

    def __init__(self, env: Any):
        """Args: env: a differentiable vector environment with torch output."""
        self._env = env
        self._probes: list[AdjointProbe] = []

    def __getattr__(self, name: str) -> Any:
        """Everything else is the environment's."""
        return getattr(self._env, name)

    def step(self, actions: torch.Tensor) -> Any:
        """See `DifferentiableVectorEnv.step`."""
        if actions.requires_grad:
            self._probes.append(AdjointProbe([actions]))
        return self._env.step(actions)

    def detach_(self) -> None:
        """See `DifferentiableVectorEnv.detach_`; a window starts, and the one before is forgotten."""
        self._probes.clear()
        self._env.detach_()

    def take(self) -> torch.Tensor:
        """Norms (H,) of dJ/da_t, averaged over this process's environments, of the window that was just learned from.

        Not finite where the gradient was not; empty where no gradient was asked for. The graph is let go of.
        """
        probes, self._probes = self._probes, []
        if not probes:
            return torch.zeros(0)
        gradients = torch.cat([probe.gradients() for probe in probes]).as_subclass(torch.Tensor)
        return torch.linalg.vector_norm(gradients, dim=2).mean(dim=1)
