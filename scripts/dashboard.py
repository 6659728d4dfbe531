"""What a run shows in TensorBoard (docs/tensorboard.md explains every tag). Nothing in here can end a training."""

import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import torch
from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from genesis.errors import GenesisException
from scripts import event_files, heat_map
from scripts.action_gradients import ActionGradients
from scripts.video_recorder import VideoRecorder

_LOG = logging.getLogger("genesis")
P = ParamSpec("P")

LAYOUT = {
    "Learning": {
        "Return": ["Multiline", ["charts/episodic_return", "evaluation/return_mean"]],
        "Success rate": ["Multiline", ["charts/success_rate", "evaluation/success_rate"]],
        "Policy loss": ["Multiline", ["losses/policy_loss"]],
        "Critic loss": ["Multiline", ["losses/value_loss", "losses/q_loss"]],
    },
    "Gradients": {
        "Norm before and after clipping": ["Multiline", ["gradients/norm_before_clip", "gradients/norm_after_clip"]],
        "Skipped updates": ["Multiline", ["gradients/skipped_updates"]],
    },
    "Time": {
        "Environment steps per second": ["Multiline", ["time/env_steps_per_second"]],
        "Simulator's share": ["Multiline", ["time/simulator_share"]],
    },
}
"""Of the tab "Custom Scalars": categories, their charts, and the tags in each."""

METRICS = ("evaluation/return_mean", "evaluation/success_rate", "charts/episodic_return", "time/training_minutes")
"""Of the tab "HParams": the last value of each counts, which is that after training once a run has ended."""

MACHINE = ("backend", "precision")
"""Settings that are text and no hyper-parameters."""

VIDEO, BY_STEP = "videos/policy", "gradients/by_step"
BINS = 64
"""Of a histogram."""
HISTOGRAMS_PER_PICTURE = 10
"""Histograms from one picture of the gradients by step to the next."""


def harmless(method: Callable[P, None]) -> Callable[P, None]:
    """A method whose failure is a line in the log, once for each kind of error, and nothing else."""

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception as error:
            dashboard: Any = args[0]
            dashboard.complain(method.__name__, error)

    return wrapper


class Dashboard:
    """The events of a run. Text, scalars, histograms and pictures go into the run's own folder."""

    def __init__(
        self,
        run: Path,
        recorder: VideoRecorder,
        watched: ActionGradients | None,
        histograms_every: int,
        resumed_at: int | None = None,
    ):
        """Opens a file of events in the folder; a resumed run gets one more, and its curves end at the checkpoint.

        Args:
            run: The run's folder.
            recorder: Makes videos of the policy when it is evaluated.
            watched: The training environment, where there are gradients of actions to show.
            histograms_every: Environment steps from histogram to histogram; 0: neither these nor gradients by step.
            resumed_at: Environment steps of the checkpoint that the run goes on from; None: it starts.
        """
        self._run, self._recorder, self._watched = run, recorder, watched
        self._every, self._histograms = histograms_every, 0
        self._history = heat_map.History()
        self._complaints: set[tuple[str, type]] = set()
        self._session_end: Summary | None = None
        self._resumed_at = resumed_at
        if resumed_at is not None:
            self._forget_what_follows(resumed_at)
        # a TensorBoard that has read the events that are gone drops them when it meets this mark
        self.writer = SummaryWriter(str(run), purge_step=None if resumed_at is None else resumed_at + 1)

    @harmless
    def _forget_what_follows(self, step: int) -> None:
        """Removes events and videos of later steps: a run that was killed wrote them after its last checkpoint."""
        event_files.remove(self._run, lambda event: event.step > step)
        for path in (self._run / "videos").glob("step-*.gif"):
            if int(path.stem.removeprefix("step-")) > step:
                path.unlink()

    @harmless
    def describe(self, settings: dict[str, Any], command: str, revision: str, fresh: bool) -> None:
        """Writes what the run is: the layout of charts, its configuration and git revision as text, and for HParams.

        Args:
            settings: Names and values that identify the run.
            command: That started it.
            revision: Of the sources.
            fresh: Whether the run starts; of a resumed one all this has been written.
        """
        values = {name: x for name, x in settings.items() if name not in MACHINE and x is not None}
        values = {name: x if isinstance(x, (bool, int, float, str)) else str(x) for name, x in values.items()}
        experiment, start, self._session_end = hparams(values, dict.fromkeys(METRICS, 0.0))
        if not fresh:
            return
        for summary in (experiment, start):
            self._add(summary, 0)
        self.writer.add_custom_scalars(LAYOUT)
        rows = "\n".join(f"| {name} | `{value}` |" for name, value in settings.items())
        self.writer.add_text("hyperparameters", f"| name | value |\n|---|---|\n{rows}")
        self.writer.add_text("run/config", f"```\n{json.dumps(settings, indent=2, default=str)}\n```")
        self.writer.add_text("run/command", f"    {command}")
        self.writer.add_text("run/git", revision)
        self.writer.flush()

    @harmless
    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes scalars by tag."""
        for tag, value in values.items():
            self.writer.add_scalar(tag, value, step)

    @harmless
    def evaluation(self, values: dict[str, float], step: int) -> None:
        """Writes an evaluation's statistics by name, in place of what the run had at the step that it goes on from."""
        self._replace("evaluation/", step)
        self.scalars({f"evaluation/{name}": value for name, value in values.items()}, step)

    @harmless
    def gradients(self, agent: Any, before: int) -> None:
        """Looks at the gradients that the last update left: histograms of the policy's, and dJ/da_t by step.

        Args:
            agent: Just updated.
            before: Environment steps before the update.
        """
        if not self._every:
            return
        due = agent.steps // self._every > before // self._every
        if due:
            self._write_histograms(agent)
            self._histograms += 1
        if self._watched is not None:
            norms = self._watched.take()
            if len(norms):
                self._history.add(agent.steps, norms.double().cpu().numpy())
            if due and self._histograms % HISTOGRAMS_PER_PICTURE == 0:
                self.by_step(agent.steps)

    @harmless
    def by_step(self, step: int) -> None:
        """Writes the picture of the gradients by step of the window."""
        if self._history.columns:
            data, size = heat_map.draw(self._history)
            self._add_image(BY_STEP, data, size, step)

    @harmless
    def video(self, agent: Any, last: bool) -> None:
        """Records the policy, into the run's folder and the events, if the budget allows or training is over."""
        if self._recorder.wanted(last):
            path = self._run / "videos" / f"step-{agent.steps:012d}.gif"
            size = self._recorder.record(agent, path)
            self._replace(VIDEO, agent.steps)
            self._add_image(VIDEO, path.read_bytes(), size, agent.steps)
            self.writer.flush()

    @harmless
    def flush(self) -> None:
        """Puts onto the disk what was written so far. A checkpoint follows, from which a run goes on without a gap."""
        self.writer.flush()

    @harmless
    def close(self, step: int, finished: bool) -> None:
        """Writes the last picture and, if the training came to its end, that it did; then closes the file."""
        self.by_step(step)
        if finished and self._session_end is not None:
            self._add(self._session_end, step)
        self.writer.close()

    def complain(self, what: str, error: Exception) -> None:
        """Says what failed in the log, once."""
        if (what, type(error)) not in self._complaints:
            self._complaints.add((what, type(error)))
            kind = "" if isinstance(error, GenesisException) else f"{type(error).__name__}: "
            reason = " ".join(str(error).split())
            _LOG.warning("The dashboard lacks something, and training goes on. %s: %s%s", what, kind, reason)

    def _replace(self, prefix: str, step: int) -> None:
        """Removes what an earlier session wrote at a step, of tags that begin so."""
        if step == self._resumed_at:
            event_files.remove(
                self._run,
                lambda event: event.step == step and any(tag.startswith(prefix) for tag in event_files.tags(event)),
            )

    def _write_histograms(self, agent: Any) -> None:
        policy = agent.parts.get("policy")
        for name, parameter in policy.named_parameters() if policy is not None else ():
            if parameter.grad is not None and bool(torch.isfinite(parameter.grad).all()):
                self.writer.add_histogram(f"gradients/policy/{name}", parameter.grad, agent.steps, bins=BINS)  # type: ignore[arg-type]

    def _add_image(self, tag: str, data: bytes, size: tuple[int, int], step: int) -> None:
        """Adds an encoded picture as it is. (`add_video` of torch writes nothing with moviepy 2, and needs it.)"""
        image = Summary.Image(width=size[0], height=size[1], colorspace=3, encoded_image_string=data)
        self._add(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    def _add(self, summary: Summary, step: int) -> None:
        self.writer.file_writer.add_summary(summary, step)  # type: ignore[union-attr]
