"""The scalars that every first-order agent logs of an update, by TensorBoard tag."""

import torch

from agents.core.optimiser import Step
from agents.core.rollout import Window


def update_scalars(
    window: Window, loss: torch.Tensor, step: Step, learning_rate: float, skipped_updates: int
) -> dict[str, float]:
    """Loss, gradient norms before and after clipping, skipped updates, rewards and finished episodes."""
    return {
        "losses/policy_loss": loss.item(),
        "gradients/norm_before_clip": step.norm,
        "gradients/norm_after_clip": step.clipped_norm,
        "gradients/skipped_updates": float(skipped_updates),
        "charts/learning_rate": learning_rate,
        "charts/mean_reward": window.reward.detach().mean().item(),
        "charts/nonfinite_rows": float((~window.valid).sum()),
    } | window.episodes.scalars()
