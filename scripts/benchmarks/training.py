"""Where the wall-clock of a training goes: an agent's updates by their parts, and the simulator's share of them."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents import AGENTS, presets
from scripts import common
from scripts.benchmarks import of_presets, report

_SHARE, _RATE = "time/simulator_share", "time/env_steps_per_second"


@dataclass
class Training:
    """Milliseconds of an agent's update, by part, with the hyper-parameters of its preset."""

    envs: tuple[str, ...] = ("genesis/CartPoleSwingUp-v0", "genesis/Ant-v0", "genesis/Humanoid-v0")
    """Environment ids."""
    agent: str = "shac"
    """Name of the agent."""
    contact: str | None = None
    """Contact model, where a task has several; None: that of `scripts.train`."""
    updates: int = 40
    """Updates to measure; medians are reported."""
    warm_up: int = 20
    """Updates before these."""
    seed: int = 0
    """Of the training."""
    json: Path | None = field(default=None)
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Measure, print a table, return the report.

        Raises:
            gs.GenesisException: A name is not known, or the pair has no preset.
        """
        about = report.machine()
        rows = of_presets.measured(self.envs, self.agent, self.seed, self._measure)
        laps = list(dict.fromkeys(name for row in rows for name in row["laps_ms"]))
        report.print_table(
            f"one update of {self.agent}, ms, medians of {self.updates}; the simulator's is in forward and backward",
            ["environment", "env-steps", "whole", *laps, "simulator", "share", "env-steps/s"],
            [
                [row["env"], row["env_steps"], row["whole_ms"], *(row["laps_ms"].get(lap) for lap in laps)]
                + [row["simulator_ms"], row["share"], row["env_steps_per_second"]]
                for row in rows
            ],
        )
        result = {"benchmark": "training", "agent": self.agent, "machine": about, "rows": rows}
        report.finish(result, self.json)
        return result

    def _measure(self, env_id: str) -> dict[str, Any]:
        contact = (self.contact or presets.contact(env_id, self.agent)) if common.own_contact(env_id) else None
        preset, entry = presets.find(env_id, self.agent), AGENTS[self.agent]
        assert preset is not None
        env = common.training_env(env_id, preset.num_envs, entry.agent.differentiable, contact=contact)
        agent = entry.agent(entry.config(**preset.hyper), env, self.seed, preset.total_steps)
        scalars = [agent.update(env) for _ in range(self.warm_up + self.updates)][self.warm_up :]
        env.close()

        def median(name: str, scale: float = 1.0) -> float:
            return scale * statistics.median(s[name] for s in scalars)

        whole = [{k: s[k] for k in s if k.startswith("time/") and k.endswith("_s")} for s in scalars]
        return {
            "env": env_id,
            "contact": contact,
            "env_steps": agent.steps // (self.warm_up + self.updates),
            "whole_ms": 1e3 * statistics.median(sum(laps.values()) for laps in whole),
            "laps_ms": {k.removeprefix("time/").removesuffix("_s"): median(k, 1e3) for k in whole[0]},
            "simulator_ms": 1e3
            * statistics.median(s[_SHARE] * sum(laps.values()) for s, laps in zip(scalars, whole, strict=True)),
            "share": median(_SHARE),
            "env_steps_per_second": median(_RATE),
        }
