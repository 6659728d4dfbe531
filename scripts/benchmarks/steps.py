"""What a control step of a task costs the processor: in both interfaces, with gradients, and in training."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from agents import AGENTS, presets
from scripts import common
from scripts.benchmarks import of_presets, report


@dataclass
class Steps:
    """Milliseconds of processor time, of all threads together, of a control step of the preset's environments."""

    envs: tuple[str, ...] = tuple(f"genesis-mujoco/{name}-v5" for name in ("Ant", "HalfCheetah", "Hopper", "Humanoid"))
    """Environment ids."""
    agent: str = "shac"
    """Whose presets say how many environments, which contact and how long a window, and which is trained."""
    windows: int = 15
    """Windows of steps to measure, and updates of the training; the cheapest counts, and the median rate."""
    warm_up: int = 4
    """Windows before these."""
    size: float = 0.5
    """Of the random part of actions, of the action space's bounds; to it comes a fixed linear policy."""
    seed: int = 0
    """Of everything."""
    json: Path | None = field(default=None)
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Measure, print a table, return the report.

        Raises:
            gs.GenesisException: A name is not known, or the pair has no preset.
        """
        about = report.machine()
        rows = of_presets.measured(self.envs, self.agent, self.seed, self._measure)
        names = list(rows[0]["ms"])
        report.print_table(
            f"processor time of a control step, ms, cheapest of {self.windows} windows; training is {self.agent}'s",
            ["environment", "environments", "resets a step", *names, "env-steps/s in training"],
            [
                [row["env"], row["environments"], row["resets"], *(row["ms"][name] for name in names)]
                + [row["env_steps_per_second"]]
                for row in rows
            ],
        )
        result = {"benchmark": "steps", "agent": self.agent, "machine": about, "rows": rows}
        report.finish(result, self.json)
        return result

    def _measure(self, env_id: str) -> dict[str, Any]:
        contact = presets.contact(env_id, self.agent) if common.own_contact(env_id) else None
        preset, entry = presets.find(env_id, self.agent), AGENTS[self.agent]
        assert preset is not None
        config = entry.config(**preset.hyper)
        self._length, resets = config.window, []
        env = common.training_env(env_id, preset.num_envs, True, contact=contact)
        options: dict[str, Any] = {"contact": contact} if contact else {}
        plain = gymnasium.make_vec(env_id, preset.num_envs, **options).unwrapped
        ms = {"numpy": self._numpy(plain)}
        plain.close()
        with torch.no_grad():
            ms["tensors"] = self._tensors(env, resets)[0]
        ms["forward"], ms["and backward"] = self._tensors(env, resets)
        env.close()
        env = common.training_env(env_id, preset.num_envs, entry.agent.differentiable, contact=contact)
        agent = entry.agent(config, env, self.seed, preset.total_steps)
        seconds, rates = self._timed(lambda: agent.update(env)["time/env_steps_per_second"])
        env.close()
        ms["of an update"] = 1e3 * min(seconds) / self._length
        return {
            "env": env_id,
            "contact": contact,
            "environments": preset.num_envs,
            "resets": statistics.mean(resets),
            "ms": ms,
            "env_steps_per_second": statistics.median(rates),
        }

    def _numpy(self, env: Any) -> float:
        """Of a step of the numpy interface."""
        env.reset(seed=self.seed)
        generator, space = np.random.default_rng(self.seed), env.single_action_space

        def window() -> None:
            for _ in range(self._length):
                env.step(generator.uniform(self.size * space.low, self.size * space.high, env.action_space.shape))

        return 1e3 * min(self._timed(window)[0]) / self._length

    def _tensors(self, env: Any, resets: list[float]) -> tuple[float, float]:
        """Of a step of the torch interface forward, and with its part of a backward pass where there is a graph."""
        generator = torch.Generator().manual_seed(self.seed)
        high = env.tensor(env.single_action_space.high)
        shape = env.single_observation_space.shape[0], len(high)
        weights = 0.05 * high * torch.randn(shape, generator=generator).to(env.dtype)
        observation = env.reset(seed=self.seed)[0].as_subclass(torch.Tensor)
        forward = []

        def window() -> None:
            nonlocal observation
            env.detach_()
            started, total = time.process_time(), torch.zeros((), dtype=env.dtype)
            observation = observation.detach().requires_grad_(torch.is_grad_enabled())
            for _ in range(self._length):
                noise = 2.0 * torch.rand(env.action_space.shape, generator=generator).to(env.dtype) - 1.0
                observation, reward, _, _, info = env.step(self.size * high * noise + observation @ weights)
                observation, ended = observation.as_subclass(torch.Tensor), info["_episode_return"]
                total = total + reward.as_subclass(torch.Tensor).sum()
                resets.append(float(ended.any()))
            forward.append(time.process_time() - started)
            if total.requires_grad:
                total.backward()

        whole = self._timed(window)[0]
        return tuple(1e3 * min(s) / self._length for s in (forward[self.warm_up :], whole))  # type: ignore[return-value]

    def _timed(self, window: Callable[[], Any]) -> tuple[list[float], list[Any]]:
        """Seconds of the processor in each window after the warm-up, and what it returned."""
        seconds, results = [], []
        for _ in range(self.warm_up + self.windows):
            started = time.process_time()
            results.append(window())
            seconds.append(time.process_time() - started)
        return seconds[self.warm_up :], results[self.warm_up :]
