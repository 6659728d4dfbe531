"""How good a policy is, on episodes that no training saw."""

import math
from collections.abc import Callable
from typing import Any

import torch

FRESH_ENV_INDEX = 1_000_000
"""First global environment index of evaluations: far beyond those of training, so its random streams are others."""
WIDTH_95 = 1.96
"""Half the width of a normal distribution's 95 % interval, in deviations."""


Report = Callable[[int, int], None]
"""Is told, as episodes are played, how many have ended and how many steps were made since it was last told."""


@torch.no_grad()
def evaluate(
    act: Callable[[torch.Tensor], torch.Tensor], env: Any, episodes: int, seed: int, report: Report | None = None
) -> dict[str, float]:
    """Runs whole episodes, the same number in each environment, and averages.

    Args:
        act: Maps observations (B, O) to actions (B, A).
        env: A vector environment with torch output and SAME_STEP autoreset.
        episodes: At least so many episodes, rounded up to a multiple of the number of environments.
        seed: Seed of the environments.
        report: See `Report`; of the episodes that count.

    Returns:
        What `summary` says, nonfinite (rows that the simulator lost) and, for each number NAME that the task measures,
        final_NAME: its mean at the episodes' ends. `success`, where the task measures it, becomes success_rate.
    """
    per_env = -(-episodes // env.num_envs)
    finished = torch.zeros(env.num_envs, dtype=torch.int64)
    records: dict[str, list[torch.Tensor]] = {}
    nonfinite = 0
    observation, _ = env.reset(seed=seed)
    while bool((finished < per_env).any()):
        observation, _, _, _, info = env.step(act(observation))
        ended = _plain(info["_episode_return"]) & (finished < per_env)
        nonfinite += int(_plain(info["nonfinite"]).sum())
        if bool(ended.any()):
            measured = {k: v for k, v in info["final_info"].items() if not k.startswith("_")}
            values = {"return": info["episode_return"], "length": info["episode_length"]}
            values |= {f"final_{name}": value for name, value in measured.items()}
            for name, value in values.items():
                records.setdefault(name, []).append(_plain(value)[ended].to(torch.float64))
        finished += ended
        if report is not None:
            report(int(ended.sum()), env.num_envs)
    result = {name: torch.cat(value) for name, value in records.items()}
    found = summary(result.pop("return"), result.pop("length")) | {"nonfinite": float(nonfinite)}
    if "final_success" in result:
        found["success_rate"] = result.pop("final_success").mean().item()
    return found | {name: value.mean().item() for name, value in result.items()}


def summary(returns: torch.Tensor, lengths: torch.Tensor) -> dict[str, float]:
    """Of episodes (n,): episodes, return_mean, return_interval (half the width of the mean's 95 % interval; 0 of one
    episode), return_std, return_min, return_max, length_mean."""
    deviation, n = returns.std(correction=0).item(), len(returns)
    return {
        "episodes": float(n),
        "return_mean": returns.mean().item(),
        "return_interval": interval(deviation, n),
        "return_std": deviation,
        "return_min": returns.min().item(),
        "return_max": returns.max().item(),
        "length_mean": lengths.mean().item(),
    }


def interval(deviation: float, n: float) -> float:
    """Half the width of the 95 % interval of the mean of n numbers; `deviation` is theirs, divided by n."""
    return WIDTH_95 * deviation / math.sqrt(max(n - 1, 1))


def describe(statistics: dict[str, float]) -> str:
    """Statistics of an evaluation in one line: the mean return and half the width of its 95 % interval."""
    half = interval(statistics["return_std"], statistics["episodes"])  # statistics of earlier versions do not have it
    text = f"return {statistics['return_mean']:.2f} +- {half:.2f} (95 %)"
    if "success_rate" in statistics:
        text += f", success {100 * statistics['success_rate']:.0f} %"
    return text + f" over {statistics['episodes']:.0f} fresh episodes"


def _plain(value: torch.Tensor) -> torch.Tensor:
    return value.as_subclass(torch.Tensor).cpu()
