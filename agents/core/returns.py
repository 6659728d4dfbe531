"""Discounted returns and value targets over a window of steps in which episodes may end and begin.

All arrays are (H, B): step t of the window, environment b. `done = terminated | truncated` says that step t ended an
episode; `valid` is false where the simulator lost the state, so that nothing may be learnt from the step.

Soft termination: a step that ends an episode at once has no derivative that tells how near the end was. So there is a
probability p_tb of surviving step t, smooth in the state after it, by which all that comes later is weighted; None
means that episodes end at `terminated` alone. They end there in any case. Where what comes later is worth less than
nothing p counts as a constant: else a policy that does badly yet would learn to end its episodes, and never better.
"""

import torch


def survival_probability(margins: torch.Tensor, width: float) -> torch.Tensor:
    """p (...), differentiable: the product over the bounds k of 1 / (1 + exp(-m_k / width)).

    Args:
        margins: m (..., k), how far the state is inside of each bound that ends an episode.
        width: Distance from a bound at which p is 0.73; a step on it is survived by one half.
    """
    return torch.sigmoid(margins / width).prod(dim=-1)


def segment_discounts(done: torch.Tensor, gamma: float, survival: torch.Tensor | None = None) -> torch.Tensor:
    """gamma^(t - t_seg) prod_{t_seg <= j < t} p_j, where t_seg is the first step of the window or after a done.

    Args:
        done: (H, B) bool, whether step t ended an episode.
        gamma: Discount per step.
        survival: p (H, B), differentiable, or None.

    Returns:
        (H, B) float64 weights of the rewards.
    """
    age = torch.zeros(done.shape[1], dtype=torch.float64, device=done.device)
    ages = []
    for row in done:
        ages.append(age)
        age = torch.where(row, 0.0, age + 1.0)
    discounts = gamma ** torch.stack(ages)
    return discounts if survival is None else discounts * _survived_before(done, survival)


def _survived_before(done: torch.Tensor, survival: torch.Tensor) -> torch.Tensor:
    """prod_{t_seg <= j < t} p_j (H, B)."""
    survived = torch.ones_like(survival[0])
    before = []
    for row, p in zip(done, survival, strict=True):
        before.append(survived)
        survived = torch.where(row, 1.0, survived * p)
    return torch.stack(before)


def window_return(
    reward: torch.Tensor,
    done: torch.Tensor,
    valid: torch.Tensor,
    gamma: float,
    end_value: torch.Tensor | None = None,
    survival: torch.Tensor | None = None,
) -> torch.Tensor:
    """1/(H B) sum_{t,b} w_tb (r_tb + gamma p_tb V_tb), differentiable; w: see `segment_discounts`.

    Args:
        reward: (H, B).
        done: (H, B) bool.
        valid: (H, B) bool; the other rewards are left out, in value and gradient.
        gamma: Discount per step.
        end_value: (H, B) value of the state after step t where a segment ends there without a termination (window end
            or truncation), zero elsewhere; None: nothing is bootstrapped. With `survival` it may have a value at a
            termination, too: what surviving would have been worth.
        survival: p (H, B), differentiable, or None.
    """
    if survival is not None:
        return _surviving_return(reward, done, valid, gamma, end_value, survival)
    weights = segment_discounts(done, gamma).to(reward.dtype)
    total = torch.where(valid, weights * reward, 0.0).sum()
    if end_value is not None:
        total = total + gamma * (weights * end_value).sum()
    return total / reward.numel()


def _surviving_return(
    reward: torch.Tensor,
    done: torch.Tensor,
    valid: torch.Tensor,
    gamma: float,
    end_value: torch.Tensor | None,
    survival: torch.Tensor,
) -> torch.Tensor:
    """`window_return` backwards, by G_t = r_t + gamma p_t G_t+1, the sum of G over the first steps of segments."""
    ends = torch.zeros_like(reward) if end_value is None else end_value
    total, following = torch.zeros_like(reward[0]), ends[-1]
    for t in range(len(reward) - 1, -1, -1):
        total = total + torch.where(done[t], following, 0.0) if t < len(reward) - 1 else total
        ahead = torch.where(done[t], ends[t], following)
        p = torch.where(ahead.detach() < 0, survival[t].detach(), survival[t])
        following = torch.where(valid[t], reward[t], 0.0) + gamma * p * ahead
    return (total + following).sum() / reward.numel()


def td_lambda(
    reward: torch.Tensor,
    next_value: torch.Tensor,
    terminated: torch.Tensor,
    truncated: torch.Tensor,
    valid: torch.Tensor,
    gamma: float,
    lam: float,
    survival: torch.Tensor | None = None,
) -> torch.Tensor:
    """Targets (H, B) of the value of the state *before* step t.

    y_t = (1-lam) sum_{k=1}^{h-1} lam^(k-1) G_t^(k) + lam^(h-1) G_t^(h),
    G_t^(k) = sum_{j<k} gamma^j r_t+j + gamma^k V_t+k,
    with h the steps to the end of the episode or window, computed backwards as
    y_t = r_t + gamma ((1-lam) V_t+1 + lam y_t+1), and y_t = r_t + gamma V_t+1 at an end. With `survival` p_t gamma
    stands for gamma.

    Args:
        reward: (H, B).
        next_value: (H, B) value of the state *after* step t, before any reset.
        terminated: (H, B) bool; the value after it counts as zero.
        truncated: (H, B) bool; the value after it counts.
        valid: (H, B) bool. The target of an invalid step means nothing, and earlier ones are cut before it.
        gamma: Discount per step.
        lam: Weight of longer returns.
        survival: p (H, B), or None.
    """
    value = torch.where(terminated, 0.0, next_value)
    done = terminated | truncated
    targets = torch.empty_like(reward)
    following = value[-1]
    for t in range(len(reward) - 1, -1, -1):
        ahead = torch.where(done[t], value[t], torch.lerp(value[t], following, lam))
        targets[t] = reward[t] + gamma * (ahead if survival is None else survival[t] * ahead)
        following = torch.where(valid[t], targets[t], value[t - 1]) if t > 0 else following
    return targets
