"""What a training is told: its options, the command line, and what a resumed run keeps."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents import AGENTS, presets
from genesis.errors import GenesisValueError
from scripts import common

DEFAULT_ENV = "genesis-mujoco/Ant-v5"

CHANGEABLE = (
    "total_steps",
    "max_minutes",
    "eval_episodes",
    "eval_every",
    "save_every_s",
    "keep",
    "film_budget",
    "histograms_every",
)
"""Options that may differ when a run is resumed: when it ends (schedules of learning rates then end there, too), and
what it shows."""


@dataclass(frozen=True)
class TrainConfig:
    """Trains a policy through the simulator and says what it learned. Defaults depend on --env and --agent.

    With --resume RUN a run goes on as it was. What can be given anew is --total-steps, --max-minutes (which counts
    from there), --eval-episodes, --eval-every, --save-every-s, --keep, --film-budget and --histograms-every.
    """

    env: Annotated[str, tyro.conf.arg(help=f"Environment id: {common.ENV_NAMES}.")] = DEFAULT_ENV
    agent: Annotated[
        str,
        tyro.conf.arg(
            help=f"Name of the agent: {common.AGENT_NAMES}; its own options are below, as --hyper.*. Without it ivw in "
            "those of Gymnasium's tasks where it was measured to be the best one from gradients, shac in all others."
        ),
    ] = presets.agent(DEFAULT_ENV)
    seed: int = 0
    """Seed of the weights and of all episodes."""
    total_steps: int = 0
    """Environment steps to train for, summed over all environments; rounded up to a whole update."""
    max_minutes: float | None = None
    """Stop after so many minutes of updates; compilation and evaluations do not count. None: no limit.
    With --resume, so many further ones; 0 is then just the evaluation at the end."""
    num_envs: int = 0
    """Environments that are simulated side by side, over all processes."""
    episode_steps: int | None = None
    """Control steps after which episodes of the training are cut, so that starts stay frequent, and at spread times, so
    that environments do not start together; evaluations play whole ones. None: the task's own end."""
    contact: str | None = None
    """Contact model, where a task has several: "mujoco" or "smoothed"; None: the task's own."""
    precision: str = "32"
    """Bits of floating-point numbers, "32" or "64"."""
    backend: str = "cpu"
    """Where the simulator runs: "cpu", "cuda" or "gpu" (CUDA where there is one)."""
    run_dir: Path = Path("runs")
    """Folder in which the run gets a folder of its own."""
    eval_episodes: int = 100
    """Fresh episodes on which a policy is evaluated, untrained, underway and trained; 0: no evaluation."""
    eval_every: int | None = None
    """Environment steps between evaluations underway, whose best policy is best.pt; None: a tenth of the training."""
    save_every_s: float = 30.0
    """Seconds of wall-clock between checkpoints."""
    keep: int = 3
    """Checkpoints to keep, the newest ones, besides the best."""
    film_budget: float = 0.02
    """Part of the run's time, 0 to 1, for videos of the policy; one is made after training in any case. 0: no
    videos."""
    histograms_every: int | None = None
    """Environment steps between histograms of the policy's gradients in TensorBoard. None: a hundredth of the
    training; 0: neither histograms nor pictures of gradients."""
    resume: Path | None = None
    """Folder of a run to go on with, with the options that it began with; see above for those that may change."""


def parse(arguments: list[str]) -> tuple[TrainConfig, Any]:
    """The configuration of the run and of its agent, from a command line and the preset; `--help` shows both.

    Raises:
        GenesisKeyError: An unknown name, or no preset and nothing in its place.
        GenesisValueError: A run that cannot be resumed, or not with these options.
    """
    run = _named(arguments, "resume", "None")
    if run != "None":
        return resumed(arguments, Path(run))
    env = _named(arguments, "env", DEFAULT_ENV)
    agent = _named(arguments, "agent", presets.agent(env))
    common.check_names(env, agent)
    preset = presets.find(env, agent)
    default = TrainConfig(env=env, agent=agent, contact=presets.contact(env, agent))
    hyper = AGENTS[agent].config()
    if preset is not None:
        given = ("num_envs", "total_steps", "episode_steps")
        default = dataclasses.replace(default, **{name: getattr(preset, name) for name in given})
        hyper = AGENTS[agent].config(**preset.hyper)
    config, hyper = _parsed(arguments, default, hyper)
    if preset is None and 0 in (config.num_envs, config.total_steps):
        raise presets.missing(env, agent)
    return config, hyper


def resumed(arguments: list[str], run: Path) -> tuple[TrainConfig, Any]:
    """The configuration of an earlier run, to go on with; of the command line, what may change.

    Raises:
        GenesisValueError: Not a run's folder, or an option that contradicts what the run is.
    """
    before, hyper = _configuration(run)
    for name in ("env", "agent"):  # which options there are depends on them
        _check_same(run, name, _named(arguments, name, getattr(before, name)), getattr(before, name))
    config, given = _parsed(arguments, dataclasses.replace(before, resume=run, max_minutes=None), hyper)
    for field in dataclasses.fields(TrainConfig):
        if field.name not in (*CHANGEABLE, "run_dir", "resume"):
            _check_same(run, field.name, getattr(config, field.name), getattr(before, field.name))
    for field in dataclasses.fields(hyper):
        _check_same(run, f"hyper.{field.name}", getattr(given, field.name), getattr(hyper, field.name))
    if config.run_dir != before.run_dir and config.run_dir.resolve() != run.resolve().parent:
        _check_same(run, "run_dir", config.run_dir, before.run_dir)
    return config, hyper


def check_numbers(config: TrainConfig) -> None:
    """Raises GenesisValueError unless every option satisfies its constraint."""
    minutes = None if config.max_minutes == 0 and config.resume is not None else config.max_minutes
    for name, value, lawful, constraint in (
        ("total_steps", config.total_steps, config.total_steps >= 1, "be at least 1"),
        ("num_envs", config.num_envs, config.num_envs >= 1, "be at least 1"),
        (
            "episode_steps",
            config.episode_steps,
            config.episode_steps is None or config.episode_steps >= 1,
            "be at least 1",
        ),
        ("eval_episodes", config.eval_episodes, config.eval_episodes >= 0, "be at least 0"),
        ("eval_every", config.eval_every, config.eval_every is None or config.eval_every >= 1, "be at least 1"),
        ("keep", config.keep, config.keep >= 1, "be at least 1"),
        ("film_budget", config.film_budget, 0 <= config.film_budget <= 1, "lie in [0, 1]"),
        ("histograms_every", config.histograms_every, (config.histograms_every or 0) >= 0, "be at least 0"),
        ("seed", config.seed, 0 <= config.seed < 2**32, "lie in [0, 2^32)"),
        ("max_minutes", config.max_minutes, minutes is None or minutes > 0, "be positive, or 0 with --resume"),
        ("precision", config.precision, config.precision in ("32", "64"), 'be "32" or "64"'),
        ("backend", config.backend, config.backend in ("cpu", "cuda", "gpu"), 'be "cpu", "cuda" or "gpu"'),
    ):
        if not lawful:
            raise GenesisValueError(f"{name} must {constraint}, got {value!r}.")


def _parsed(arguments: list[str], default: TrainConfig, hyper: Any) -> tuple[TrainConfig, Any]:
    """The command line over these defaults."""
    cli = dataclasses.make_dataclass(
        "TrainCommand",
        [("config", Annotated[TrainConfig, tyro.conf.arg(name="")], default), ("hyper", type(hyper), hyper)],
    )
    cli.__doc__ = TrainConfig.__doc__
    parsed = tyro.cli(cli, args=arguments, prog=common.program())
    return parsed.config, parsed.hyper


def _named(arguments: list[str], option: str, default: str) -> str:
    """An option's value on a command line, the last one: it has to be known before the line can be parsed."""
    value = default
    for i, argument in enumerate(arguments):
        if argument.startswith(f"--{option}="):
            value = argument.split("=", 1)[1]
        elif argument == f"--{option}" and i + 1 < len(arguments):
            value = arguments[i + 1]
    return value


def _configuration(run: Path) -> tuple[TrainConfig, Any]:
    """What a run was started with."""
    path = run / "config.json"
    if not path.is_file():
        raise GenesisValueError(f"resume must be the folder of a run, got {run} without a config.json.")
    try:
        saved = json.loads(path.read_text())["config"]
        config = TrainConfig(**saved["train"] | {"resume": None, "run_dir": Path(saved["train"]["run_dir"])})
        return config, common.hyper(AGENTS[config.agent].config, saved["hyper"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GenesisValueError(
            f"{path} must be the configuration that a run wrote, got one that cannot be read ({error!r}). "
            "Resume another run, or start anew."
        ) from error


def _check_same(run: Path, name: str, given: object, before: object) -> None:
    if given != before:
        option = f"--{name.replace('_', '-')}"
        changeable = ", ".join(f"--{changeable.replace('_', '-')}" for changeable in CHANGEABLE)
        raise GenesisValueError(
            f"{name} must be what the resumed run began with, {before}, got {given} for {run}. Leave {option} out, or "
            f"start a new run with it; only {changeable} may change."
        )
