"""Trains agents in environments with several seeds: `python -m scripts.sweep --envs ... --agents ... --seeds ...`.

Each finished run leaves a small JSON file; what is there is not run again, what was interrupted is resumed. A walking
robot's policy is then played at finer substeps and in MuJoCo (`scripts.recheck`). The table is written anew after every
run. The project's own is that of `--results docs`.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents import presets
from agents.core import checkpoint
from genesis.errors import GenesisValueError
from scripts import common, machine, results, run_record, train_config
from scripts.commands import of_path

INTERRUPTED = (130, -signal.SIGINT)
"""Statuses of a command that Ctrl-C ended: after it has saved, and before it could."""


@dataclass(frozen=True)
class SweepConfig:
    """Runs `scripts.train` for every environment, agent and seed, and writes the table of results."""

    envs: Annotated[
        tuple[str, ...], tyro.conf.arg(help=f"Environment ids; none: only write the table. Of {common.ENV_NAMES}.")
    ] = ()
    agents: Annotated[tuple[str, ...], tyro.conf.arg(help=f"Names of agents, of {common.AGENT_NAMES}.")] = ()
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds to run."""
    expected_seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds that each agent ought to have in the table, which lists those that are missing."""
    contact: str | None = None
    """Contact model, where a task has several: "mujoco" or "smoothed"; None: what `scripts.train` takes by itself."""
    variant: str | None = None
    """Name of other trainings of the same agents, as `--train-args` makes them, such as "long": they have records and
    columns of their own."""
    parallel: int = 1
    """Runs at a time. With several, the table marks their seconds as not comparable: run alone what is to be timed."""
    train_args: str = ""
    """Further arguments of scripts.train, in one string: --train-args="--max-minutes 2"."""
    results: Path | None = None
    """Folder of results.md, the table, and of results/, the records that it is written from: a JSON file for each run,
    and one whose record is there is not run again. None: `run_dir`."""
    run_dir: Path = Path("runs/sweep")
    """Folder of the runs themselves, with a log of each. A run that has finished there is not run again either."""

    @property
    def records(self) -> Path:
        """Folder of the records."""
        return (self.results or self.run_dir) / "results"

    @property
    def table(self) -> Path:
        """The file with the table, Markdown."""
        return (self.results or self.run_dir) / "results.md"


@dataclass(frozen=True)
class Job:
    """One run."""

    env: str
    agent: str
    seed: int
    contact: str | None
    variant: str | None = None

    @property
    def name(self) -> str:
        """Of its record and folder."""
        middle = f"__{self.contact}" if self.contact else ""
        agent = results.column({"agent": self.agent, "variant": self.variant})
        return f"{self.env.removeprefix('genesis/').replace('/', '-')}{middle}__{agent}__{self.seed}"

    def command(self, config: SweepConfig) -> list[str]:
        """Arguments of the interpreter, as they would be typed for a fresh run."""
        named = ["--env", self.env, "--agent", self.agent, "--seed", str(self.seed)]
        contact = ["--contact", self.contact] if self.contact else []
        folder = ["--run-dir", of_path(config.run_dir / self.name)]
        return ["-m", "scripts.train", *named, *contact, *folder, *shlex.split(config.train_args)]


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    job: Job
    state: str
    """"done", "there", "failed" or "interrupted"."""
    detail: str = ""


def run(config: SweepConfig) -> list[Outcome]:
    """Runs what is missing, `parallel` at a time, and writes records and table.

    Raises:
        gs.GenesisException: A name is not known, or an option violates its constraint; nothing has been run.
    """
    _check(config)
    jobs = [
        Job(env, agent, seed, config.contact or _default_contact(env, agent), config.variant)
        for env in config.envs
        for agent in config.agents
        for seed in config.seeds
    ]
    waiting = [job for job in jobs if not _complete(config, job)]
    outcomes = [Outcome(job, "there") for job in jobs if job not in waiting]
    print(f"{len(jobs)} runs, {len(outcomes)} of them there", flush=True)
    for job in jobs:
        if other := _other_arguments(config, job):
            print(f"{job.name}: {other}", flush=True)
    running: dict[Future[Outcome], Job] = {}
    interrupted = False
    with ThreadPoolExecutor(config.parallel) as pool:
        while (waiting and not interrupted) or running:
            while waiting and not interrupted and len(running) < config.parallel:
                job = waiting.pop(0)
                running[pool.submit(_work, config, job)] = job
            try:
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
            except KeyboardInterrupt:  # the runs get it too, save, and end
                interrupted = True
                print("waiting for the runs to save", file=sys.stderr, flush=True)
                continue
            for future in finished:
                del running[future]
                outcome = future.result()
                interrupted |= outcome.state == "interrupted"
                outcomes.append(outcome)
                print(f"{outcome.job.name}: {outcome.state} {outcome.detail}".rstrip(), flush=True)
                write_table(config)
    write_table(config)
    return outcomes + [Outcome(job, "interrupted", "not begun") for job in waiting]


def write_table(config: SweepConfig) -> None:
    """Writes the table from all records that there are."""
    records = results.load(config.records) if config.records.is_dir() else []
    if records:
        config.table.parent.mkdir(parents=True, exist_ok=True)
        config.table.write_text(results.markdown(records, config.expected_seeds), encoding="utf-8")


def main() -> int:
    """Entry point of `genesis-sweep`."""
    return common.run(_main)


def _main() -> int:
    config = tyro.cli(SweepConfig, prog=common.program())
    outcomes = run(config)
    if config.table.is_file():
        print(f"written: {config.table}")
    states = {outcome.state for outcome in outcomes}
    return 130 if "interrupted" in states else 1 if "failed" in states else 0


def execute(command: list[str], log: Path, environment: dict[str, str]) -> int:
    """Runs a command, whose output is added to the log; returns its exit status."""
    with log.open("a") as file:
        return subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment).returncode


def _work(config: SweepConfig, job: Job) -> Outcome:
    """What a job still wants: its training, its re-check."""
    outcome = Outcome(job, "done") if _record_path(config, job).exists() else _train(config, job)
    return _recheck(config, job) or outcome if outcome.state == "done" else outcome


def _train(config: SweepConfig, job: Job) -> Outcome:
    """One run, in a process of its own, unless it finished without its record; its record."""
    folder, command = config.run_dir / job.name, job.command(config)
    if not _finished_run(config, job) and (stopped := _execute(config, job, folder, command)):
        return stopped
    run = _finished_run(config, job)
    try:
        measured = run_record.read(run) if run else None
    except GenesisValueError as error:
        return Outcome(job, "failed", str(error))
    if run is None or measured is None:
        return Outcome(job, "failed", f"left no result: see {folder / 'log.txt'}")
    about = json.loads((run / "config.json").read_text())
    given = about["command"][1:] if "command" in about else command[2:]  # what it began with, then or now
    record: dict[str, Any] = {
        "env": job.env,
        "agent": job.agent,
        "variant": job.variant,
        "seed": job.seed,
        "contact": job.contact,
        "commit": about.get("git") or machine.git_revision(),
        "command": shlex.join(["python", "-m", "scripts.train", *given]),
        "machine": {"processor": machine.processor(), "cores": max(1, len(machine.cores()) // config.parallel)},
        "parallel": config.parallel,
        **measured,
    }
    _write(_record_path(config, job), record)
    final = record["final"]
    return Outcome(job, "done", f"return {final['return_mean']:.1f}" if final else "")


def _execute(config: SweepConfig, job: Job, folder: Path, command: list[str]) -> Outcome | None:
    """Trains, or goes on with a training; what stopped it, if it did not finish."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = (path.parent for path in folder.glob("*/config.json") if not _finished(path.parent))
    unfinished = sorted(run for run in begun if checkpoint.of_run(run))  # others have nothing to go on with
    arguments = command
    if unfinished:
        try:
            arguments = [*command, "--resume", of_path(unfinished[-1]), *_minutes_left(command, unfinished[-1])]
        except GenesisValueError as error:
            return Outcome(job, "failed", str(error))
    print(f"{job.name}: {'resuming' if unfinished else 'training'}", flush=True)
    status = execute([sys.executable, *arguments], folder / "log.txt", _environment(config.parallel))
    if status in INTERRUPTED:
        return Outcome(job, "interrupted", "saved; the same command goes on")
    if status != 0:
        return Outcome(job, "failed", f"with status {status}: see {folder / 'log.txt'}")
    return None


def _minutes_left(command: list[str], run: Path) -> list[str]:
    """The option that gives a resumed run what an uninterrupted one would still have had; none without a limit.

    Raises:
        GenesisValueError: The run has no checkpoint that can be read.
    """
    minutes = train_config.parse(command[2:])[0].max_minutes
    if minutes is None:
        return []
    left = max(0.0, minutes - checkpoint.load(run)["seconds"] / 60.0)
    return ["--max-minutes", f"{left:.6f}"]


def _recheck(config: SweepConfig, job: Job) -> Outcome | None:
    """Adds to a job's record what `scripts.recheck` says of its policy, where it is due; a failure, if it was one."""
    run, log = _finished_run(config, job), config.run_dir / job.name / "recheck.txt"
    if _complete(config, job) or run is None:
        return None
    arguments = [sys.executable, "-m", "scripts.recheck", "--checkpoint", of_path(run), "--json"]
    log.unlink(missing_ok=True)  # so that what is read is this one's
    if status := execute(arguments, log, _environment(config.parallel)):
        state = "interrupted" if status in INTERRUPTED else "failed"
        return Outcome(job, state, f"re-checking, with status {status}: see {log}")
    result = _last_object(log)
    if not {"rows", "control"} <= result.keys():
        return Outcome(job, "failed", f"re-checking left no result: see {log}")
    path = _record_path(config, job)
    _write(path, results.read(path) | {"recheck": {name: result[name] for name in ("rows", "control")}})
    return None


def _last_object(log: Path) -> dict[str, Any]:
    """The last JSON object in a log that has a line of its own, for warnings may come after it; empty without one."""
    for line in reversed(log.read_text(errors="replace").splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def _complete(config: SweepConfig, job: Job) -> bool:
    """Whether a job's record is there, with the re-check if its policy walks and is still at hand."""
    path = _record_path(config, job)
    if not path.exists():
        return False
    due = common.walks(job.env) and _finished_run(config, job) is not None
    return not due or "recheck" in results.read(path)


def _write(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=1) + "\n")
    temporary.replace(path)


def _default_contact(env: str, agent: str) -> str | None:
    """The model that a training takes by itself; None where the task has one only."""
    return presets.contact(env, agent) or common.own_contact(env)


def _other_arguments(config: SweepConfig, job: Job) -> str:
    """A sentence for where a job's record is of other arguments than the present ones; empty where it is not."""
    path = _record_path(config, job)
    if not path.exists():
        return ""
    before, now = (_options(command) for command in (results.read(path)["command"], config.train_args))
    if before == now:
        return ""
    there, wanted = (" ".join(options) or "none" for options in (before, now))
    return (
        f"its record was made with other arguments of scripts.train, {there} instead of {wanted}, and stays. "
        "For runs with these, give a --variant."
    )


def _options(command: str) -> list[str]:
    """Options of a command line, each with its values, without those that name the job."""
    options: list[str] = []
    for word in shlex.split(command):
        if word.startswith("--"):
            options.append(" ".join(map(shlex.quote, word.split("=", 1))))
        elif options:
            options[-1] += f" {shlex.quote(word)}"
    own = ("env", "agent", "seed", "contact", "run-dir")
    return sorted(option for option in options if option.split()[0].removeprefix("--") not in own)


def _finished_run(config: SweepConfig, job: Job) -> Path | None:
    """The newest folder of a finished run of a job."""
    runs = [path.parent for path in (config.run_dir / job.name).glob("*/result.json") if _finished(path.parent)]
    return max(runs, default=None)


def _finished(run_folder: Path) -> bool:
    try:
        return not json.loads((run_folder / "result.json").read_text())["interrupted"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _environment(parallel: int) -> dict[str, str]:
    """With several runs at a time each gets its part of the cores."""
    if parallel == 1:
        return dict(os.environ)
    threads = str(max(1, len(machine.cores()) // parallel))
    return {"OMP_NUM_THREADS": "1", "TI_CPU_MAX_NUM_THREADS": threads, **os.environ}


def _record_path(config: SweepConfig, job: Job) -> Path:
    return config.records / f"{job.name}.json"


def _check(config: SweepConfig) -> None:
    for env in config.envs:
        for agent in config.agents:
            common.check_names(env, agent)
    if bool(config.envs) != bool(config.agents):
        raise GenesisValueError(
            f"envs and agents must be given together, got {config.envs} and {config.agents}. Give both, or neither to "
            "write the table only."
        )
    for name in ("envs", "agents", "seeds"):
        values = getattr(config, name)
        if len(set(values)) != len(values):
            raise GenesisValueError(f"{name} must differ from each other, got {values}. Name each once.")
    if config.variant is not None and not config.variant.isalnum():
        raise GenesisValueError(f"variant must be letters and digits, or None, got {config.variant!r}. Rename it.")
    if config.parallel < 1:
        raise GenesisValueError(f"parallel must be at least 1, got {config.parallel}.")
    if config.seeds and min(config.seeds) < 0:
        raise GenesisValueError(f"seeds must be at least 0, got {config.seeds}.")
    records = results.load(config.records)  # a broken one would end the sweep after its first run
    if not config.envs and not records:
        raise GenesisValueError(
            f"envs and agents must be given where there are no records, got neither, and none in {config.records}. "
            "Name what to run, or the folder of the records: --results, --run-dir."
        )


if __name__ == "__main__":
    sys.exit(main())
