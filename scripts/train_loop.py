"""The loop around an agent's updates: logging, evaluations, checkpoints, limits, and the end in good order."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from agents.core import distributed
from agents.core.agent import Abandoned
from genesis.errors import GenesisRuntimeError
from scripts.dashboard import Dashboard
from scripts.progress import Progress
from scripts.run_folder import RunFolder

_LOG = logging.getLogger("genesis")

Evaluation = dict[str, float]


@dataclass
class Record:
    """What a run has to show so far, besides the agent; part of its checkpoints."""

    seconds: float = 0.0
    """Wall-clock of the updates alone, over all sessions."""
    processor_seconds: float = 0.0
    """Of this process and its threads in the updates."""
    best: float = float("-inf")
    """Mean return of the best evaluation."""
    curve: list[list[float]] = field(default_factory=list)
    """[steps, seconds of updates, mean return] of each evaluation."""

    def minutes(self) -> dict[str, float]:
        """Of the updates, by TensorBoard tag."""
        return {
            "time/training_minutes": self.seconds / 60.0,
            "time/processor_minutes": self.processor_seconds / 60.0,
        }

    def best_so_far(self, steps: int, evaluation: Evaluation) -> bool:
        """Notes an evaluation, in place of an earlier one at the same step; returns whether it is the best one."""
        self.curve = [point for point in self.curve if point[0] != steps]
        self.curve.append([steps, round(self.seconds, 2), evaluation["return_mean"]])
        better = evaluation["return_mean"] > self.best
        self.best = max(self.best, evaluation["return_mean"])
        return better


@dataclass
class TrainLoop:
    """Updates until the steps or the minutes are used up.

    Files, evaluations and the progress bar are those of process 0; `folder` and `dashboard` are None in the others.
    """

    agent: Any
    env: Any
    folder: RunFolder | None
    dashboard: Dashboard | None
    payload: Callable[[list[dict[str, Any]]], dict[str, Any]]
    """Makes a checkpoint from what `process_state` gave in each process."""
    evaluation: Callable[[], Evaluation]
    total_steps: int
    max_seconds: float
    eval_every: int
    save_every_s: float
    record: Record = field(default_factory=Record)

    def run(self) -> bool:
        """Returns whether Ctrl-C ended it; the state is saved in any case, between two updates."""
        progress = Progress(self.total_steps, self.max_seconds) if self.folder is not None else None
        headline = Headline(resumed=self.agent.updates > 0)
        began, saved = self.record.seconds, time.perf_counter()
        with deferred_interrupt() as received:
            self.agent.stopping = lambda: bool(received)
            while True:
                late = self.record.seconds - began >= self.max_seconds
                due = time.perf_counter() - saved > self.save_every_s
                interrupted, late, due = distributed.any_of([bool(received), late, due], self.agent.low)
                if interrupted or late or self.agent.steps >= self.total_steps:
                    break
                if due:
                    self.save()
                    saved = time.perf_counter()
                self._update(progress, headline, began)
            self.save(last=True)
        if progress is not None:
            progress.close()
        return interrupted

    def _update(self, progress: Progress | None, headline: "Headline", began: float) -> None:
        started, used, before = time.perf_counter(), time.process_time(), self.agent.steps
        try:
            scalars = self.agent.update(self.env)
        except Abandoned:  # by Ctrl-C
            return
        self.record.seconds += time.perf_counter() - started
        self.record.processor_seconds += time.process_time() - used
        steps = self.agent.steps
        if self.dashboard is not None and progress is not None:
            self.dashboard.scalars(scalars | self.record.minutes(), steps)
            self.dashboard.gradients(self.agent, before)
            progress.show(steps, headline.of(scalars), self.record.seconds - began)
        if self.eval_every and steps // self.eval_every > before // self.eval_every and steps < self.total_steps:
            self.evaluate()

    def evaluate(self, last: bool = False) -> Evaluation | None:
        """Evaluates the policy, logs it and keeps it if it is the best so far; None in all processes but 0.

        Args:
            last: Whether training is over.
        """
        better, result = False, None
        if self.dashboard is not None:
            result = self.evaluation()
            self.log(result)
            better = self.record.best_so_far(self.agent.steps, result)
        if distributed.any_of([better], self.agent.low)[0]:
            payload = self._payload()
            if self.folder is not None:
                with surviving():
                    self.folder.save_best(payload)
        if last:
            self.save()  # again: a run that is resumed is to know of this evaluation, which may be the best
        if self.dashboard is not None:
            self.dashboard.video(self.agent, last)
        return result

    def log(self, evaluation: Evaluation) -> None:
        """Writes an evaluation of the policy as it is, the untrained one's at step 0, into the events."""
        if self.dashboard is not None:
            self.dashboard.evaluation(evaluation, self.agent.steps)

    def save(self, last: bool = False) -> None:
        """Writes a checkpoint that `--resume` and `scripts.evaluate` read; all processes take part.

        Args:
            last: Whether no other one follows.

        Raises:
            GenesisRuntimeError: The last one could not be written. Before that, it is a line in the log.
        """
        if self.agent.updates == 0:  # the environment has no state yet
            return
        payload = self._payload()
        if self.dashboard is not None:
            self.dashboard.flush()
        if self.folder is not None:
            with nullcontext() if last else surviving():
                self.folder.save(payload, self.agent.steps)

    def _payload(self) -> dict[str, Any]:
        return self.payload(distributed.gathered(process_state(self.agent, self.env)))


def process_state(agent: Any, env: Any) -> dict[str, Any]:
    """What each process has of its own: agent, environment, and torch's generator."""
    return {
        "agent_state": agent.state_dict(),
        "env_state": env.state_dict(),
        "torch_generator": torch.get_rng_state(),
    }


def restore_process(state: dict[str, Any], agent: Any, env: Any) -> None:
    """Goes on where `process_state` was taken."""
    agent.load_state_dict(state["agent_state"])
    env.load_state_dict(state["env_state"])
    torch.set_rng_state(state["torch_generator"])


class Headline:
    """The few numbers beside the progress bar, the same ones after every update."""

    def __init__(self, resumed: bool):
        """Args: resumed: whether there were updates, and perhaps episodes, that it has not seen."""
        since = "since the resumption" if resumed else "yet"
        self._lasting: dict[str, float | str] = {"last return": f"(no episode has ended {since})"}

    def of(self, scalars: dict[str, float]) -> dict[str, float | str]:
        """By name: of an update's scalars, and of the last update in which an episode ended.

        Args:
            scalars: What the update logged, by tag.
        """
        lasting = {"charts/episodic_return": "last return", "charts/success_rate": "last success"}
        present = {
            "charts/best_return": "best return",
            "losses/policy_loss": "loss",
            "time/env_steps_per_second": "steps/s",
            "gradients/skipped_updates": "skipped",
        }
        if "charts/best_return" in scalars and "charts/episodic_return" not in scalars:
            self._lasting = {}  # a search, whose sequences are no episodes
        self._lasting |= {short: scalars[tag] for tag, short in lasting.items() if tag in scalars}
        return self._lasting | {short: scalars[tag] for tag, short in present.items() if tag in scalars}


@contextmanager
def surviving() -> Iterator[None]:
    """Within it a file that could not be written is a line in the log: a later one may find room."""
    try:
        yield
    except GenesisRuntimeError as error:
        _LOG.warning("A checkpoint was not written, and training goes on. %s", error)


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
