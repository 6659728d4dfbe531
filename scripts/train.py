"""Trains an agent: `python -m scripts.train --env genesis/SoftPush-v0 --agent bptt`."""

import dataclasses
import json
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

import genesis as gs
from agents import AGENTS
from agents.core import checkpoint
from agents.core.evaluation import evaluate
from genesis.errors import GenesisKeyError, GenesisValueError
from scripts import make
from scripts.progress import Progress
from scripts.run_folder import RunFolder

DEFAULT_AGENT = "bptt"
EVALUATION_ENVS = 50


@dataclass(frozen=True)
class TrainConfig:
    """Trains a policy through the simulator and says what it learned."""

    env: str = "genesis/SoftPush-v0"
    """Environment id."""
    agent: str = DEFAULT_AGENT
    """Name of the agent; its own options are shown below as --hyper.*."""
    seed: int = 0
    """Seed of the weights and of all episodes."""
    total_steps: int = 80_000
    """Environment steps to train for, summed over the batch."""
    max_minutes: float | None = None
    """Stop early after so many minutes of training; None: no limit."""
    num_envs: int = 16
    """Environments in the batch."""
    precision: str = "32"
    """Floating-point precision, "32" or "64"."""
    backend: str = "cpu"
    """Where the simulator runs: "cpu", "cuda" or "gpu" (CUDA where there is one)."""
    run_dir: Path = Path("runs")
    """Folder in which the run gets a folder of its own."""
    eval_episodes: int = 100
    """Fresh episodes on which the untrained and the trained policy are compared; 0: none."""
    save_every_s: float = 30.0
    """Seconds between checkpoints."""
    resume: Path | None = None
    """Folder of a run to go on with; all other options except --max-minutes then come from that run."""


def train(config: TrainConfig, hyper: Any) -> dict[str, Any]:
    """Trains, saves and evaluates.

    Args:
        config: What to train, for how long and where to.
        hyper: The agent's own configuration.

    Returns:
        run, checkpoint (paths), steps, seconds, interrupted, and untrained and trained: statistics of the evaluations.
    """
    make.check_names(config.env, config.agent)
    _check_numbers(config)
    if not gs.is_initialized():
        gs.init(backend=getattr(gs, config.backend), precision=config.precision, seed=config.seed)
    env = make.training_env(config.env, config.num_envs)
    agent = AGENTS[config.agent][0](hyper, env, config.seed, config.total_steps)
    if config.resume is None:
        folder = RunFolder.fresh(config.run_dir, config.env, config.agent, config.seed)
        folder.write_config(RunConfig(config, hyper))
        untrained, best = _evaluation(agent, config), float("-inf")
    else:
        folder = RunFolder(config.resume)
        saved = checkpoint.load(config.resume, config.env, config.agent)
        agent.load_state_dict(saved["agent_state"])
        env.load_state_dict(saved["env_state"])
        untrained, best = saved["untrained"], saved["best"]
    print(f"run: {folder.path}", flush=True)
    loop = TrainLoop(agent, env, folder, config, hyper, untrained, best=best)
    interrupted = loop.run()
    trained = None if interrupted else _evaluation(agent, config)
    if trained:
        folder.log({f"evaluation/{name}": value for name, value in trained.items()}, agent.steps)
    folder.close()
    env.close()
    result = {
        "run": str(folder.path),
        "checkpoint": str(folder.latest),
        "steps": agent.steps,
        "seconds": round(loop.seconds, 1),
        "interrupted": interrupted,
        "untrained": untrained,
        "trained": trained,
    }
    (folder.path / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    return result


@dataclass(frozen=True)
class RunConfig:
    """What config.json holds."""

    train: TrainConfig
    hyper: Any


@dataclass
class TrainLoop:
    """Updates until the steps or the minutes are used up, logging and saving."""

    agent: Any
    env: Any
    folder: RunFolder
    config: TrainConfig
    hyper: Any
    untrained: dict[str, float] | None
    seconds: float = 0.0
    best: float = float("-inf")

    def run(self) -> bool:
        """Returns whether Ctrl-C ended it; the state is saved in any case, between two updates."""
        progress = Progress(self.config.total_steps)
        started = saved = time.perf_counter()
        limit = float("inf") if self.config.max_minutes is None else 60.0 * self.config.max_minutes
        recent: deque[float] = deque(maxlen=8)
        better = False
        with deferred_interrupt() as interrupted:
            while self._goes_on(started, limit) and not interrupted:
                scalars = self.agent.update(self.env)
                self.folder.log(scalars, self.agent.steps)
                if "charts/episodic_return" in scalars:
                    recent.append(scalars["charts/episodic_return"])
                    mean = sum(recent) / len(recent)
                    if len(recent) == recent.maxlen and mean > self.best:
                        self.best, better = mean, True
                progress.show(self.agent.steps, _headline(scalars))
                if time.perf_counter() - saved > self.config.save_every_s:
                    self.save(better)
                    saved, better = time.perf_counter(), False
        progress.close()
        self.seconds = time.perf_counter() - started
        self.save(better)
        return bool(interrupted)

    def _goes_on(self, started: float, limit: float) -> bool:
        return self.agent.steps < self.config.total_steps and time.perf_counter() - started < limit

    def save(self, better: bool) -> None:
        """Writes a checkpoint that `--resume` and `scripts.evaluate` read."""
        payload = {
            "genesis_version": gs.__version__,
            "env": self.config.env,
            "agent": self.config.agent,
            "hyper": dataclasses.asdict(self.hyper),
            "seed": self.config.seed,
            "total_steps": self.config.total_steps,
            "precision": self.config.precision,
            "observation_size": self.env.single_observation_space.shape[0],
            "action_size": self.env.single_action_space.shape[0],
            "agent_state": self.agent.state_dict(),
            "env_state": self.env.state_dict(),
            "untrained": self.untrained,
            "best": self.best,
        }
        self.folder.save(payload, better)


@contextmanager
def deferred_interrupt() -> Iterator[list[int]]:
    """Within it the first Ctrl-C only fills the list, so that an update is never torn; the second one raises."""
    received: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        print("stopping after this update; Ctrl-C again stops at once", file=sys.stderr, flush=True)
        received.append(number)
        signal.signal(signal.SIGINT, before)

    if threading.current_thread() is threading.main_thread() and before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, note)
        try:
            yield received
        finally:
            signal.signal(signal.SIGINT, before)
    else:
        yield received


def main() -> int:
    """Entry point of `genesis-train`."""
    return make.run(_main)


def _main() -> int:
    config, hyper = parse(sys.argv[1:])
    torch.set_num_threads(1)  # the tensors are small, and the simulator has threads of its own
    result = train(config, hyper)
    print(report(result))
    return 130 if result["interrupted"] else 0


def parse(arguments: list[str]) -> tuple[TrainConfig, Any]:
    """The configuration of the run and of its agent; `--help` shows both."""
    agent = _agent_name(arguments)
    if agent not in AGENTS:
        raise GenesisKeyError(f"agent must be one of {sorted(AGENTS)}, got {agent!r}.")
    hyper_class = AGENTS[agent][1]
    cli = dataclasses.make_dataclass(
        "TrainCommand",
        [
            ("config", Annotated[TrainConfig, tyro.conf.arg(name="")]),
            ("hyper", hyper_class, dataclasses.field(default_factory=hyper_class)),
        ],
    )
    cli.__doc__ = TrainConfig.__doc__
    parsed = tyro.cli(cli, args=arguments)
    if parsed.config.resume is None:
        return parsed.config, parsed.hyper
    return _resumed(parsed.config, parsed.config.resume)


def _resumed(config: TrainConfig, run: Path) -> tuple[TrainConfig, Any]:
    """The configuration of an earlier run, to go on with."""
    path = run / "config.json"
    if not path.is_file():
        raise GenesisValueError(f"resume must be the folder of a run, got {run} without a config.json.")
    try:
        saved = json.loads(path.read_text())["config"]
        saved["train"].update(resume=run, max_minutes=config.max_minutes, run_dir=Path(saved["train"]["run_dir"]))
        hyper: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in saved["hyper"].items()}
        return TrainConfig(**saved["train"]), AGENTS[saved["train"]["agent"]][1](**hyper)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GenesisValueError(
            f"{path} must be the configuration that a run wrote, got one that cannot be read ({error!r}). "
            "Resume another run, or start anew."
        ) from error


def _agent_name(arguments: list[str]) -> str:
    """The agent on a command line: its options have to be known before the line can be parsed."""
    for index, argument in enumerate(arguments):
        if argument.startswith("--agent="):
            return argument.split("=", 1)[1]
        if argument == "--agent" and index + 1 < len(arguments):
            return arguments[index + 1]
    return DEFAULT_AGENT


def report(result: dict[str, Any]) -> str:
    """What the command prints at its end."""
    lines = [
        f"{'interrupted' if result['interrupted'] else 'trained'} after {result['steps']} steps, "
        f"{result['seconds']:.0f} s",
        f"checkpoint:  {result['checkpoint']}",
        f"TensorBoard: tensorboard --logdir {result['run']}",
    ]
    for name in ("untrained", "trained"):
        if result[name]:
            lines.append(f"{name + ':':<10} {describe(result[name])}")
    return "\n".join(lines)


def describe(statistics: dict[str, float]) -> str:
    """Statistics of an evaluation in one line."""
    text = f"return {statistics['return_mean']:.2f} +- {statistics['return_std']:.2f}"
    if "success_rate" in statistics:
        text += f", success {100 * statistics['success_rate']:.0f} %"
    return text + f" over {statistics['episodes']:.0f} fresh episodes"


def _evaluation(agent: Any, config: TrainConfig) -> dict[str, float] | None:
    if config.eval_episodes == 0:
        return None
    env = make.evaluation_env(config.env, min(EVALUATION_ENVS, config.eval_episodes))
    try:
        return evaluate(agent.act, env, config.eval_episodes, config.seed)
    finally:
        env.close()


def _headline(scalars: dict[str, float]) -> dict[str, float]:
    names = {
        "charts/episodic_return": "return",
        "charts/success_rate": "success",
        "losses/policy_loss": "loss",
        "time/env_steps_per_second": "steps/s",
        "gradients/skipped_updates": "skipped",
    }
    return {short: scalars[tag] for tag, short in names.items() if tag in scalars}


def _check_numbers(config: TrainConfig) -> None:
    for name, value, lawful, law in (
        ("total_steps", config.total_steps, config.total_steps >= 1, "be at least 1"),
        ("num_envs", config.num_envs, config.num_envs >= 1, "be at least 1"),
        ("eval_episodes", config.eval_episodes, config.eval_episodes >= 0, "be at least 0"),
        ("seed", config.seed, 0 <= config.seed < 2**32, "lie in [0, 2^32)"),
        ("max_minutes", config.max_minutes, config.max_minutes is None or config.max_minutes > 0, "be positive"),
        ("precision", config.precision, config.precision in ("32", "64"), 'be "32" or "64"'),
        ("backend", config.backend, config.backend in ("cpu", "cuda", "gpu"), 'be "cpu", "cuda" or "gpu"'),
    ):
        if not lawful:
            raise GenesisValueError(f"{name} must {law}, got {value!r}.")


if __name__ == "__main__":
    sys.exit(main())
