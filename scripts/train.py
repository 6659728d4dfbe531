"""Trains an agent: `python -m scripts.train --env genesis/Ant-v0 --agent shac`; several processes: `torchrun`."""

import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

import genesis as gs
from agents import AGENTS, presets
from agents.core import checkpoint, distributed
from agents.core.evaluation import describe, evaluate
from genesis.errors import GenesisValueError
from scripts import make, processes
from scripts.action_gradients import ActionGradients
from scripts.dashboard import Dashboard
from scripts.films import Filmer
from scripts.run_folder import RunFolder, check_place, git_revision, on_disk
from scripts.train_loop import Record, TrainLoop, restore_process

DEFAULT_ENV, DEFAULT_AGENT = "genesis/Ant-v0", "shac"
EVALUATION_ENVS = 50


@dataclass(frozen=True)
class TrainConfig:
    """Trains a policy through the simulator and says what it learned. Defaults depend on --env and --agent."""

    env: str = DEFAULT_ENV
    """Environment id."""
    agent: str = DEFAULT_AGENT
    """Name of the agent; its own options are shown below as --hyper.*."""
    seed: int = 0
    """Seed of the weights and of all episodes."""
    total_steps: int = 0
    """Environment steps to train for, summed over the batch and all processes."""
    max_minutes: float | None = None
    """Stop early after so many minutes of updates, without compilation and evaluations; None: no limit."""
    num_envs: int = 0
    """Environments in the batch, over all processes."""
    contact: str | None = None
    """Name of the task's contact preset, "strict" or "reference"; None: the task's default."""
    precision: str = "32"
    """Floating-point precision, "32" or "64"."""
    backend: str = "cpu"
    """Where the simulator runs: "cpu", "cuda" or "gpu" (CUDA where there is one)."""
    run_dir: Path = Path("runs")
    """Folder in which the run gets a folder of its own."""
    eval_episodes: int = 100
    """Fresh episodes on which a policy is evaluated, untrained, underway and trained; 0: no evaluation."""
    eval_every: int | None = None
    """Steps between evaluations underway, the best of which is kept as best.pt; None: a tenth of the training."""
    save_every_s: float = 30.0
    """Seconds between checkpoints."""
    keep: int = 3
    """Checkpoints to keep, the newest ones, besides the best."""
    film_budget: float = 0.02
    """Part of the run's time, from 0 to 1, for films of the evaluated policy; one comes after training. 0: no films."""
    histograms_every: int | None = None
    """Steps between histograms of the policy's gradients; None: a hundredth of the training; 0: no pictures of them."""
    resume: Path | None = None
    """Folder of a run to go on with; all other options except --max-minutes then come from that run."""


@dataclass(frozen=True)
class RunConfig:
    """What config.json holds."""

    train: TrainConfig
    hyper: Any


def train(config: TrainConfig, hyper: Any) -> dict[str, Any]:
    """Trains, saves and evaluates. With several processes each calls it; files and evaluations are those of process 0.

    Args:
        config: What to train, for how long and where to.
        hyper: The agent's own configuration.

    Returns:
        run, checkpoint, best (paths), steps, seconds (of updates), compilation_seconds, interrupted, the curve of the
        evaluations, and untrained and trained: their statistics.
    """
    make.check_names(config.env, config.agent)
    _check_numbers(config)
    n_envs, first_env_index = processes.slice_of(config.num_envs)
    saved = None if config.resume is None else _saved(config, config.resume)
    check_place(*(("run_dir", config.run_dir) if config.resume is None else ("resume", config.resume)))
    if not gs.is_initialized():
        level = None if distributed.rank() == 0 else "warning"
        gs.init(backend=getattr(gs, config.backend), precision=config.precision, seed=config.seed, logging_level=level)
    entry = AGENTS[config.agent]
    compiled_s = compile_kernels(config.env, entry.agent.differentiable, config.contact)
    env = make.training_env(config.env, n_envs, entry.agent.differentiable, first_env_index, config.contact)
    agent = entry.agent(hyper, env, config.seed, config.total_steps)
    evaluating, leading = config.eval_episodes > 0, distributed.rank() == 0
    watched = ActionGradients(env) if leading and entry.agent.differentiable and config.histograms_every != 0 else None
    folder = _folder(config) if leading else None
    loop = TrainLoop(
        agent=agent,
        env=watched or env,
        folder=folder,
        dashboard=None if folder is None else _dashboard(config, hyper, folder, watched),
        payload=lambda states: _payload(config, hyper, env, states) | {"untrained": untrained, **vars(loop.record)},
        evaluation=lambda: evaluated(agent, config),
        total_steps=config.total_steps,
        max_seconds=float("inf") if config.max_minutes is None else 60.0 * config.max_minutes,
        eval_every=_eval_every(config) if evaluating else 0,
        save_every_s=config.save_every_s,
    )
    if loop.folder is not None:
        print(f"run: {loop.folder.path}", flush=True)
    if saved is None:
        untrained = evaluated(agent, config) if evaluating and loop.folder is not None else None
    else:
        untrained = saved["untrained"]
        loop.record = Record(**{name: saved[name] for name in Record.__dataclass_fields__})
        restore_process(saved["processes"][distributed.rank()], agent, env)
    interrupted = loop.run()
    trained = loop.evaluate(last=True) if evaluating and not interrupted else None
    env.close()
    if loop.folder is None or loop.dashboard is None:
        return {}
    loop.dashboard.close(agent.steps, finished=not interrupted)
    result = {
        "run": str(loop.folder.path),
        "env": config.env,
        "agent": config.agent,
        "seed": config.seed,
        "checkpoint": str(checkpoint.path_of(loop.folder.path, agent.steps)),
        "best": str(loop.folder.best) if loop.folder.best.is_file() else None,
        "steps": agent.steps,
        "seconds": round(loop.record.seconds, 1),
        "compilation_seconds": round(compiled_s, 1),
        "skipped_updates": agent.skipped_updates,
        "interrupted": interrupted,
        "curve": loop.record.curve,
        "untrained": untrained,
        "trained": trained,
    }
    loop.folder.write_result(result)
    return result


def compile_kernels(env_id: str, differentiable: bool, contact: str | None) -> float:
    """Compiles what a training needs, by a step of one environment; returns the seconds that it took."""
    started = time.perf_counter()
    env = make.training_env(env_id, 1, differentiable, contact=contact)
    env.reset(seed=0)
    action = torch.zeros(1, *env.single_action_space.shape, dtype=env.dtype, device=env.device)
    reward = env.step(action.requires_grad_(differentiable))[1]
    if differentiable:
        reward.sum().backward()
    env.close()
    return time.perf_counter() - started


def evaluated(agent: Any, config: TrainConfig) -> dict[str, float]:
    """Statistics of the deterministic policy over fresh episodes."""
    env = make.evaluation_env(config.env, min(EVALUATION_ENVS, config.eval_episodes), config.contact)
    try:
        return evaluate(agent.act, env, config.eval_episodes, config.seed)
    finally:
        env.close()


def main() -> int:
    """Entry point of `genesis-train`."""
    return make.run(_main)


def _main() -> int:
    config, hyper = parse(sys.argv[1:])
    torch.set_num_threads(1)  # the tensors are small, and the simulator has threads of its own
    with processes.joined(config.backend):
        result = train(config, hyper)
    if not result:
        return 0
    print(report(result))
    return 130 if result["interrupted"] else 0


def parse(arguments: list[str]) -> tuple[TrainConfig, Any]:
    """The configuration of the run and of its agent, from a command line and the preset; `--help` shows both.

    Raises:
        GenesisKeyError: An unknown name, or no preset and nothing in its place.
    """
    env = _named(arguments, "env", DEFAULT_ENV)
    agent = _named(arguments, "agent", DEFAULT_AGENT)
    make.check_names(env, agent)
    hyper_class = AGENTS[agent].config
    preset = presets.find(env, agent)
    default = TrainConfig(env=env, agent=agent, contact=presets.CONTACT.get(env))
    hyper = hyper_class()
    if preset is not None:
        default = dataclasses.replace(default, num_envs=preset.num_envs, total_steps=preset.total_steps)
        hyper = hyper_class(**preset.hyper)
    cli = dataclasses.make_dataclass(
        "TrainCommand",
        [("config", Annotated[TrainConfig, tyro.conf.arg(name="")], default), ("hyper", hyper_class, hyper)],
    )
    cli.__doc__ = TrainConfig.__doc__
    parsed = tyro.cli(cli, args=arguments)
    if parsed.config.resume is not None:
        return _resumed(parsed.config, parsed.config.resume)
    if preset is None and 0 in (parsed.config.num_envs, parsed.config.total_steps):
        raise presets.missing(env, agent)
    return parsed.config, parsed.hyper


def report(result: dict[str, Any]) -> str:
    """What the command prints at its end."""
    lines = [
        f"{'interrupted' if result['interrupted'] else 'trained'} after {result['steps']} steps, "
        f"{result['seconds']:.0f} s",
        f"checkpoint:  {result['checkpoint']}",
        f"TensorBoard: tensorboard --logdir {result['run']}",
    ]
    lines += [f"{n + ':':<10} {describe(result[n])}" for n in ("untrained", "trained") if result[n]]
    return "\n".join(lines)


def _named(arguments: list[str], option: str, default: str) -> str:
    """An option's value on a command line: it has to be known before the line can be parsed."""
    for index, argument in enumerate(arguments):
        if argument.startswith(f"--{option}="):
            return argument.split("=", 1)[1]
        if argument == f"--{option}" and index + 1 < len(arguments):
            return arguments[index + 1]
    return default


def _resumed(config: TrainConfig, run: Path) -> tuple[TrainConfig, Any]:
    """The configuration of an earlier run, to go on with."""
    path = run / "config.json"
    if not path.is_file():
        raise GenesisValueError(f"resume must be the folder of a run, got {run} without a config.json.")
    try:
        saved = json.loads(path.read_text())["config"]
        saved["train"].update(resume=run, max_minutes=config.max_minutes, run_dir=Path(saved["train"]["run_dir"]))
        return TrainConfig(**saved["train"]), make.hyper(AGENTS[saved["train"]["agent"]].config, saved["hyper"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GenesisValueError(
            f"{path} must be the configuration that a run wrote, got one that cannot be read ({error!r}). "
            "Resume another run, or start anew."
        ) from error


def _folder(config: TrainConfig) -> RunFolder:
    if config.resume is not None:
        return RunFolder(config.resume, config.keep)
    return RunFolder.fresh(config.run_dir, config.env, config.agent, config.seed, config.keep)


def _dashboard(config: TrainConfig, hyper: Any, folder: RunFolder, watched: ActionGradients | None) -> Dashboard:
    """Also writes config.json of a fresh run."""
    fresh, revision = config.resume is None, git_revision()
    if fresh:
        folder.write_config(RunConfig(config, hyper), revision)
    filmer = Filmer(config.env, config.contact, config.seed, config.film_budget)
    every = max(1, config.total_steps // 100) if config.histograms_every is None else config.histograms_every
    with on_disk(folder.path):
        dashboard = Dashboard(folder.path, filmer, watched, every)
    names = ("env", "agent", "seed", "total_steps", "num_envs", "contact", "precision", "backend")
    settings = {name: getattr(config, name) for name in names}
    settings |= {f"hyper.{name}": value for name, value in dataclasses.asdict(hyper).items()}
    dashboard.describe(settings, sys.argv, revision, fresh)
    return dashboard


def _saved(config: TrainConfig, run: Path) -> dict[str, Any]:
    saved = checkpoint.load(run, config.env, config.agent)
    present = distributed.world_size()
    if len(saved["processes"]) != present:
        raise GenesisValueError(
            f"The run must be resumed by {len(saved['processes'])} processes, as it was saved, got {present}. "
            "Start that many with torchrun --nproc-per-node."
        )
    return saved


def _payload(config: TrainConfig, hyper: Any, env: Any, states: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "genesis_version": gs.__version__,
        "env": config.env,
        "agent": config.agent,
        "contact": config.contact,
        "hyper": dataclasses.asdict(hyper),
        "seed": config.seed,
        "total_steps": config.total_steps,
        "precision": config.precision,
        "observation_size": env.single_observation_space.shape[0],
        "action_size": env.single_action_space.shape[0],
        "agent_state": states[0]["agent_state"],
        "processes": states,
    }


def _eval_every(config: TrainConfig) -> int:
    return max(1, config.total_steps // 10) if config.eval_every is None else config.eval_every


def _check_numbers(config: TrainConfig) -> None:
    for name, value, lawful, law in (
        ("total_steps", config.total_steps, config.total_steps >= 1, "be at least 1"),
        ("num_envs", config.num_envs, config.num_envs >= 1, "be at least 1"),
        ("eval_episodes", config.eval_episodes, config.eval_episodes >= 0, "be at least 0"),
        ("eval_every", config.eval_every, config.eval_every is None or config.eval_every >= 1, "be at least 1"),
        ("keep", config.keep, config.keep >= 1, "be at least 1"),
        ("film_budget", config.film_budget, 0 <= config.film_budget <= 1, "lie in [0, 1]"),
        ("histograms_every", config.histograms_every, (config.histograms_every or 0) >= 0, "be at least 0"),
        ("seed", config.seed, 0 <= config.seed < 2**32, "lie in [0, 2^32)"),
        ("max_minutes", config.max_minutes, config.max_minutes is None or config.max_minutes > 0, "be positive"),
        ("precision", config.precision, config.precision in ("32", "64"), 'be "32" or "64"'),
        ("backend", config.backend, config.backend in ("cpu", "cuda", "gpu"), 'be "cpu", "cuda" or "gpu"'),
    ):
        if not lawful:
            raise GenesisValueError(f"{name} must {law}, got {value!r}.")


if __name__ == "__main__":
    sys.exit(main())
