"""Discounted returns over a window of steps in which episodes may end and begin."""

import torch


def segment_discounts(done: torch.Tensor, gamma: float) -> torch.Tensor:
    """gamma^(t - t_seg), where t_seg is the first step of the window or the first after a done.

    Args:
        done: (H, B) bool, whether step t ended an episode.
        gamma: Discount per step.

    Returns:
        (H, B) float64 weights of the rewards.
    """
    age = torch.zeros(done.shape[1], dtype=torch.float64, device=done.device)
    ages = []
    for row in done:
        ages.append(age)
        age = torch.where(row, 0.0, age + 1.0)
    return gamma ** torch.stack(ages)


def window_return(reward: torch.Tensor, done: torch.Tensor, valid: torch.Tensor, gamma: float) -> torch.Tensor:
    """Sum of discounted rewards per step and environment: 1/(H B) sum_{t,b} gamma^(t - t_seg) r_tb, differentiable.

    Args:
        reward: (H, B).
        done: (H, B) bool.
        valid: (H, B) bool; the other rewards are left out, in value and gradient.
        gamma: Discount per step.
    """
    weights = segment_discounts(done, gamma).to(reward.dtype)
    return torch.where(valid, weights * reward, 0.0).sum() / reward.numel()
