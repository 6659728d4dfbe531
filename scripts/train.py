"""Trains an agent: `python -m scripts.train --env genesis-mujoco/Ant-v5`; several processes: `torchrun`."""

import dataclasses
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

import genesis as gs
from agents import AGENTS
from agents.core import checkpoint, distributed
from agents.core.evaluation import describe, evaluate
from genesis.errors import GenesisValueError
from scripts import commands, common, gymnasium_world, processes
from scripts.action_gradients import ActionGradients
from scripts.dashboard import Dashboard
from scripts.machine import git_revision, torch_threads
from scripts.run_folder import RunFolder, check_place, on_disk
from scripts.train_config import TrainConfig, check_numbers, parse
from scripts.train_loop import Record, TrainLoop, restore_process
from scripts.video_recorder import VideoRecorder

EVALUATION_ENVS = 50


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
        run, checkpoint, best, film (paths), steps, total_steps, max_minutes, processes, seconds (of updates),
        compilation_seconds, interrupted, the curve of the evaluations, and untrained, trained and `in_gymnasium`: their
        statistics, None where there were none.
    """
    common.check_names(config.env, config.agent)
    check_numbers(config)
    n_envs, first_env_index = processes.slice_of(config.num_envs)
    saved = None if config.resume is None else _saved(config, config.resume)
    check_place(*(("run_dir", config.run_dir) if config.resume is None else ("resume", config.resume)))
    evaluating, leading = config.eval_episodes > 0, distributed.rank() == 0
    if not gs.is_initialized():
        level = None if leading else "warning"
        gs.init(backend=getattr(gs, config.backend), precision=config.precision, seed=config.seed, logging_level=level)
    entry = AGENTS[config.agent]
    _say("compiling kernels: tens of seconds the first time, seconds from then on", leading)
    task = (entry.agent.differentiable, first_env_index, config.contact, entry.agent.step_outputs(hyper))
    compiled_s = compile_kernels(config.env, *task)
    env = common.training_env(config.env, n_envs, *task, config.episode_steps)
    agent = entry.agent(hyper, env, config.seed, config.total_steps)
    watched = ActionGradients(env) if leading and entry.agent.differentiable and config.histograms_every != 0 else None
    folder = _folder(config) if leading else None
    loop = TrainLoop(
        agent=agent,
        env=watched or env,
        folder=folder,
        dashboard=None if folder is None else _dashboard(config, hyper, folder, watched, saved),
        payload=lambda states: _payload(config, hyper, env, states) | {"untrained": untrained, **vars(loop.record)},
        evaluation=lambda: evaluated(agent, config),
        total_steps=config.total_steps,
        max_seconds=float("inf") if config.max_minutes is None else 60.0 * config.max_minutes,
        eval_every=_eval_every(config) if evaluating else 0,
        save_every_s=config.save_every_s,
    )
    if loop.folder is not None:
        _say(f"run: {loop.folder.path}")
    if saved is None:
        _say("evaluating the untrained policy", evaluating and leading)
        untrained = evaluated(agent, config) if evaluating and loop.folder is not None else None
        if untrained is not None:
            loop.log(untrained)
    else:
        untrained = saved["untrained"]
        loop.record = Record(**{name: saved[name] for name in Record.__dataclass_fields__ if name in saved})
        restore_process(saved["processes"][distributed.rank()], agent, env)
        _say(f"going on from {agent.steps:,} steps", leading and agent.steps < config.total_steps)
        done = f"nothing is left to train: the run has its {config.total_steps:,} steps, and --total-steps may be more"
        _say(done, leading and agent.steps >= config.total_steps)
    interrupted = loop.run()
    _say("evaluating the trained policy", evaluating and leading and not interrupted)
    trained = loop.evaluate(last=True) if evaluating and not interrupted else None
    there = None if trained is None or loop.folder is None else in_gymnasium(agent.act, env, config, trained)
    env.close()
    if loop.folder is None or loop.dashboard is None:
        return {}
    loop.dashboard.close(agent.steps, finished=not interrupted)
    result = {
        "run": str(loop.folder.path),
        "env": config.env,
        "agent": config.agent,
        "contact": config.contact or common.own_contact(config.env),
        "seed": config.seed,
        "checkpoint": str(checkpoint.path_of(loop.folder.path, agent.steps)),
        "best": str(loop.folder.best) if loop.folder.best.is_file() else None,
        "film": max((str(video) for video in (loop.folder.path / "videos").glob("*.gif")), default=None),
        "steps": agent.steps,
        "total_steps": config.total_steps,
        "max_minutes": config.max_minutes,
        "processes": distributed.world_size(),
        "seconds": round(loop.record.seconds, 1),
        "processor_seconds": round(loop.record.processor_seconds, 1),
        "compilation_seconds": round(compiled_s, 1),
        "skipped_updates": agent.skipped_updates,
        "interrupted": interrupted,
        "curve": loop.record.curve,
        "untrained": untrained,
        "trained": trained,
        "in_gymnasium": there,
    }
    loop.folder.write_result(result)
    return result


def _say(text: str, wanted: bool = True) -> None:
    """Says what takes the time now, before it does."""
    if wanted:
        print(text, flush=True)


def compile_kernels(
    env_id: str, differentiable: bool, first_env_index: int, contact: str | None, step_outputs: tuple[str, ...]
) -> float:
    """Compiles what a training needs, by a step of one environment; returns the seconds that it took."""
    started = time.perf_counter()
    env = common.training_env(env_id, 1, differentiable, first_env_index, contact, step_outputs)
    env.reset(seed=0)
    action = torch.zeros(1, *env.single_action_space.shape, dtype=env.dtype, device=env.device)
    observation, reward, *_ = env.step(action.requires_grad_(differentiable))
    if differentiable:
        (observation.sum() + reward.sum()).backward()  # a reward for surviving has no gradient
    env.close()
    return time.perf_counter() - started


def evaluated(agent: Any, config: TrainConfig) -> dict[str, float]:
    """Statistics of the deterministic policy over fresh episodes; of Gymnasium's tasks on MuJoCo's own contact model,
    whatever the training's."""
    contact = common.own_contact(config.env) if common.of_gymnasium(config.env) else config.contact
    env = common.evaluation_env(config.env, min(EVALUATION_ENVS, config.eval_episodes), contact)
    try:
        return evaluate(agent.act, env, config.eval_episodes, config.seed)
    finally:
        env.close()


def in_gymnasium(act: Any, env: Any, config: TrainConfig, here: dict[str, float]) -> dict[str, float] | None:
    """What `scripts.evaluate --engine gymnasium` says of a policy of Gymnasium's tasks, where MuJoCo is installed.

    Args:
        act: The deterministic policy.
        env: Its task.
        config: Of the training.
        here: The policy's statistics over as many episodes here, on MuJoCo's own contact model.

    Returns:
        Statistics of the episodes there, kept, and kept_interval; see `scripts.gymnasium_world`. Else None.
    """
    if not common.of_gymnasium(config.env) or not find_spec("mujoco"):
        return None
    _say(f"playing {config.eval_episodes} episodes in Gymnasium's own {env.GYMNASIUM}")
    there = gymnasium_world.scores(act, env, config.eval_episodes, config.seed)
    return {**there, **gymnasium_world.kept(here, there)}


def main() -> int:
    """Entry point of `genesis-train`."""
    return common.run(_main)


def _main() -> int:
    config, hyper = parse(sys.argv[1:])
    with processes.joined(config.backend):
        torch.set_num_threads(AGENTS[config.agent].agent.torch_threads(hyper, torch_threads()))
        result = train(config, hyper)
    if not result:
        return 0
    print(report(result))
    return 130 if result["interrupted"] else 0


def report(result: dict[str, Any]) -> str:
    """What the command prints at its end: what was learned, what was written, and what to type next."""
    run, steps, wanted = Path(result["run"]), result["steps"], result["total_steps"]
    if steps == 0:
        return f"interrupted before the first update; {run} has nothing to go on with"
    counted = f"{steps:,} steps"
    if steps > wanted:
        counted += f" ({wanted:,} were asked for; a training ends with a whole window of the batch)"
    elif steps < wanted:
        counted += f" of {wanted:,}"
    written = {"checkpoint": result["checkpoint"], "best": result["best"], "film": result["film"]}
    video = "film.mp4" if find_spec("imageio_ffmpeg") else "film.gif"  # MP4 needs the extra "video"
    follow = [
        commands.script("evaluate", "--checkpoint", run),
        commands.script("render", "--checkpoint", run, "--output", video),
        commands.shell(commands.beside("tensorboard"), "--logdir", run),
    ]
    lines = [
        f"{'interrupted after' if result['interrupted'] else 'trained for'} {result['seconds']:.0f} s, {counted}",
        *(f"{n + ':':<11} {describe(result[n])}" for n in ("untrained", "trained") if result[n]),
        *_gymnasiums(result),
        "written:",
        *(f"  {name:<10} {path}" for name, path in written.items() if path),
        "next:",
        *(f"  {command}" for command in follow),
        *_going_on(result),
    ]
    return "\n".join(lines)


def _gymnasiums(result: dict[str, Any]) -> list[str]:
    """The score in Gymnasium, or how to get it; nothing of tasks that are not there."""
    there, task = result["in_gymnasium"], result["env"].rpartition("/")[2]
    if there:
        kept = f", {100 * there['kept']:.1f} % +- {100 * there['kept_interval']:.1f} % of it (95 %)"
        return [f"in Gymnasium's own {task}: {describe(there)}{kept}"]
    if not result["trained"] or not common.of_gymnasium(result["env"]):
        return []
    own = common.own_contact(result["env"])
    words = ["--engine", "gymnasium", *(["--contact", own] if own and result["contact"] != own else [])]
    command = commands.script("evaluate", "--checkpoint", Path(result["run"]), *words)
    return [f'to score it in Gymnasium\'s own {task}, which needs MuJoCo, the extra "mjcf":', f"  {command}"]


def _going_on(result: dict[str, Any]) -> tuple[str, str]:
    """What resuming would do, and the command for it."""
    wanted, minutes, processes = result["total_steps"], result["max_minutes"], result["processes"]
    words: list[str | Path] = ["--resume", Path(result["run"])]
    if result["steps"] >= wanted:
        more = 2 * result["steps"]  # which may be more than were asked for already
        about, words = f"to train on, to {more:,} steps:", [*words, "--total-steps", str(more)]
    elif not minutes:
        about = f"to train on, to the {wanted:,} steps:"
    else:
        about = f"to train on for up to {minutes:g} minutes more; without --max-minutes, to the {wanted:,} steps:"
        words += ["--max-minutes", f"{minutes:g}"]
    return about, f"  {commands.script('train', *words, processes=processes)}"


def _folder(config: TrainConfig) -> RunFolder:
    if config.resume is not None:
        return RunFolder(config.resume, config.keep)
    return RunFolder.fresh(config.run_dir, config.env, config.agent, config.seed, config.keep)


def _dashboard(
    config: TrainConfig,
    hyper: Any,
    folder: RunFolder,
    watched: ActionGradients | None,
    saved: dict[str, Any] | None,
) -> Dashboard:
    """Also writes config.json."""
    fresh, revision = config.resume is None, git_revision()
    folder.write_config(RunConfig(dataclasses.replace(config, resume=None), hyper), revision, fresh)
    recorder = VideoRecorder(config.env, config.contact, config.seed, config.film_budget)
    every = max(1, config.total_steps // 100) if config.histograms_every is None else config.histograms_every
    with on_disk(folder.path):
        steps = None if saved is None else int(saved["agent_state"]["steps"])
        dashboard = Dashboard(folder.path, recorder, watched, every, steps)
    names = ("env", "agent", "seed", "total_steps", "num_envs", "contact", "precision", "backend")
    settings = {name: getattr(config, name) for name in names}
    settings |= {f"hyper.{name}": value for name, value in dataclasses.asdict(hyper).items()}
    command = commands.script("train", *sys.argv[1:], processes=distributed.world_size())
    dashboard.describe(settings, command, revision, fresh)
    return dashboard


def _saved(config: TrainConfig, run: Path) -> dict[str, Any]:
    saved = checkpoint.load(run, config.env, config.agent)
    common.check_contact_record(saved)
    wanted, present = len(saved["processes"]), distributed.world_size()
    if wanted != present:
        command = commands.script("train", "--resume", run, processes=wanted)
        raise GenesisValueError(
            f"The run must be resumed by {wanted} processes, as it was saved, got {present}. "
            f"Use this command:\n  {command}"
        )
    return saved


def _payload(config: TrainConfig, hyper: Any, env: Any, states: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "genesis_version": gs.__version__,
        "env": config.env,
        "agent": config.agent,
        "contact": config.contact or common.own_contact(config.env),
        "contact_model": common.contact_record(config.env, config.contact),
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


if __name__ == "__main__":
    sys.exit(main())
