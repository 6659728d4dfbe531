"""Simulated signals as a function of parameters: a batch of rollouts, in units of the recordings' noise."""

import itertools
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import torch

from genesis import runtime
from genesis.errors import GenesisException, GenesisValueError
from genesis.grad.tensor import plain_of
from genesis.identification.experiment import Experiment
from genesis.identification.recording import Recording

MOST_CORNERS = 1024


@final
class Scales:
    """Parameters in units of their bounds: 0 is low, 1 is high. Logarithmic where both bounds are above zero."""

    def __init__(self, bounds: Mapping[str, tuple[float, float]]) -> None:
        self.names = list(bounds)
        self.low, self.high = (
            torch.tensor([float(p[i]) for p in bounds.values()], dtype=torch.float64) for i in (0, 1)
        )
        self.logarithmic = self.low > 0

    def values(self, unit: torch.Tensor) -> torch.Tensor:
        """(..., P) values of places (..., P), which may lie beyond 0 and 1; differentiable."""
        low = torch.where(self.logarithmic, self.low, 1.0)
        ratio = torch.where(self.logarithmic, self.high / low, 1.0)
        straight = self.low + unit * (self.high - self.low)
        return torch.where(self.logarithmic, low * torch.exp(unit * ratio.log()), straight)

    def places(self, values: torch.Tensor) -> torch.Tensor:
        """(..., P) places of values (..., P): the inverse of `values`."""
        low = torch.where(self.logarithmic, self.low, 1.0)
        ratio = torch.where(self.logarithmic, self.high / low, torch.e)
        straight = (values - self.low) / (self.high - self.low)
        return torch.where(
            self.logarithmic, torch.where(self.logarithmic, values / low, 1.0).log() / ratio.log(), straight
        )


@final
class Rollouts:
    """Simulates the experiment for many candidates at once: environment n R + r has candidate n and recording r.

    Args:
        experiment: Its scene has environments for some candidates; more are simulated one batch after the other.
        recordings: R of them, alike.
        scales: Of the parameters.
        fixed: Values of others.
    """

    def __init__(
        self,
        experiment: Experiment,
        recordings: Sequence[Recording],
        scales: Scales,
        fixed: Mapping[str, float] | None = None,
    ) -> None:
        self.experiment, self.recordings, self.scales = experiment, recordings, scales
        self._fixed = {name: float(value) for name, value in (fixed or {}).items()}
        self.at_once = experiment.scene.n_envs // len(recordings)
        """Candidates in one batch."""
        run = runtime.current()
        first = recordings[0]

        def stacked(arrays: list[np.ndarray]) -> torch.Tensor:
            return torch.as_tensor(np.stack(arrays), device=run.device, dtype=run.real)

        self._initial = {name: stacked([each.initial[name] for each in recordings]) for name in first.initial}
        self._controls = {name: stacked([each.controls[name] for each in recordings]) for name in first.controls}
        noise = [[np.broadcast_to(r.noise[s], r.signals[s].shape) for s in first.signals] for r in recordings]
        self.noise = torch.as_tensor(np.stack([np.concatenate([x.ravel() for x in row]) for row in noise]))
        """(R, m) standard deviations; m numbers of a recording, signal after signal, sample after sample."""
        seen = [np.concatenate([r.signals[s].ravel() for s in first.signals]) for r in recordings]
        self.data = (torch.as_tensor(np.stack(seen)) / self.noise).flatten()
        """(M,) what was observed, in units of its noise; M = R m."""

    def check(self) -> None:
        """Raise unless the scene takes bounds, controls and initial values, and has signals of the recorded shape."""
        n, first = len(self.scales.names), self.recordings[0]
        corners = torch.tensor(list(itertools.islice(itertools.product((0.0, 1.0), repeat=n), MOST_CORNERS)))
        if 2**n > MOST_CORNERS:
            corners = torch.cat([corners, 1.0 - corners])
        try:
            for rows in corners.double().split(self.at_once):
                self._start(self._environments(self.scales.values(rows)))
        except GenesisException as error:
            raise GenesisValueError(
                f"bounds must be values that the scene takes, in all combinations, got an error: {error} Narrow the "
                f"bounds of {', '.join(self.scales.names)}."
            ) from error
        self._control(0)
        for name, recorded in first.signals.items():
            shape = tuple(self.experiment.signals[name].call().shape[1:])
            if shape != recorded.shape[1:]:
                raise GenesisValueError(
                    f"recording.signals[{name!r}] must have samples of shape {shape}, as in the experiment, got "
                    f"{recorded.shape[1:]}. Record the same quantity, or read another one."
                )
        self.experiment.scene.reset()

    def __call__(self, unit: torch.Tensor) -> torch.Tensor:
        """(N, M) simulated signals in units of their noise, for places (N, P) of the parameters; differentiable.

        What cannot be simulated is NaN.
        """
        return self.simulate(self.scales.values(unit))

    def simulate(self, values: torch.Tensor) -> torch.Tensor:
        """The same for values (N, P) of the parameters."""
        return torch.cat([self._batch(rows) for rows in values.split(self.at_once)])

    def by_signal(self, rows: torch.Tensor) -> tuple[dict[str, np.ndarray], ...]:
        """Rows (R, m), as of `noise`, as arrays of each recording's signals."""
        found = []
        for recording, row in zip(self.recordings, rows.numpy(), strict=True):
            ends = np.cumsum([value.size for value in recording.signals.values()])
            parts = zip(recording.signals.items(), np.split(row, ends[:-1]), strict=True)
            found.append({name: part.reshape(value.shape) for (name, value), part in parts})
        return tuple(found)

    def _batch(self, values: torch.Tensor) -> torch.Tensor:
        scene, first = self.experiment.scene, self.recordings[0]
        every = {name: first.every(name) for name in first.signals}
        samples: dict[str, list[torch.Tensor]] = {name: [] for name in every}
        self._start(self._environments(values))
        for step in range(first.n_steps):
            self._control(step)
            scene.step()
            for name, steps in every.items():
                if (step + 1) % steps == 0:
                    value = plain_of(self.experiment.signals[name].call())
                    samples[name].append(value.reshape(scene.n_envs, -1).double().cpu())
        signals = torch.cat([torch.stack(rows, 1).flatten(1) for rows in samples.values()], 1)
        used = signals[: len(values) * len(self.recordings)]
        return (used.view(len(values), *self.noise.shape) / self.noise).flatten(1)

    def _environments(self, values: torch.Tensor) -> torch.Tensor:
        """(B, P): each candidate for each recording; the last one fills up the batch."""
        missing = self.experiment.scene.n_envs - len(values) * len(self.recordings)
        rows = values.repeat_interleave(len(self.recordings), 0)
        return torch.cat([rows, rows[-1:].expand(missing, -1)]) if missing else rows

    def _start(self, rows: torch.Tensor) -> None:
        run, scene = runtime.current(), self.experiment.scene
        scene.reset()
        for name, value in self._initial.items():
            self.experiment.initial[name].call(self._for_all(value))
        for name, value in self._fixed.items():
            self.experiment.parameters[name].call(torch.full((scene.n_envs,), value, device=run.device, dtype=run.real))
        for name, value in zip(self.scales.names, rows.unbind(1), strict=True):
            self.experiment.parameters[name].call(value.to(run.device, run.real))

    def _control(self, step: int) -> None:
        for name, values in self._controls.items():
            self.experiment.controls[name].call(self._for_all(values[:, step]))

    def _for_all(self, value: torch.Tensor) -> torch.Tensor:
        """(B, ...) of a value (R, ...) of each recording."""
        n_envs = self.experiment.scene.n_envs
        repeated = value.repeat(-(-n_envs // len(value)), *[1] * (value.dim() - 1))
        return repeated[:n_envs]
