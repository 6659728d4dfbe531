"""What a fit found: numbers, intervals, doubts, and files that tell it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genesis.identification import picture
from genesis.identification.intervals import NORMAL, Certainty
from genesis.identification.least_squares import Minima
from genesis.identification.recording import Recording
from genesis.identification.rollouts import Rollouts
from genesis.render.files import disk, whole

SAME_PLACE = 0.02
"""Distance of two minima in units of the bounds up to which they are one."""
WRONG_NOISE = 1.3
"""Residuals over noise, or their inverse, from which model or noise is doubted."""


@dataclass(frozen=True)
class Estimate:
    """One parameter, and its 95 % interval."""

    name: str
    unit: str
    value: float
    low: float
    high: float
    bounds: tuple[float, float]
    identifiable: bool
    """Whether the data determine it better than the bounds do, by itself and together with others."""
    at_bound: bool
    """Whether it was stopped by a bound: neither value nor interval mean much then."""


@dataclass(frozen=True)
class Restart:
    """One of the restarts' minima."""

    values: dict[str, float]
    misfit: float
    """Root mean square of all residuals over noise."""
    converged: bool
    same: bool
    """Whether it is the best minimum."""


@dataclass(frozen=True)
class Identification:
    """Result of `identify`."""

    estimates: tuple[Estimate, ...]
    misfit: float
    """Root mean square of all residuals over noise: 1 where model and noise are right."""
    misfits: dict[str, float]
    """The same of each signal."""
    converged: bool
    undetermined: tuple[tuple[str, ...], ...]
    """Parameters of which only a combination is known, or nothing, by direction."""
    restarts: tuple[Restart, ...]
    iterations: int
    recordings: tuple[Recording, ...]
    simulated: tuple[dict[str, np.ndarray], ...]
    """Signals of the fit, by recording and name, in the shapes of the recording."""

    def __getitem__(self, name: str) -> Estimate:
        """The estimate of a parameter."""
        return next(each for each in self.estimates if each.name == name)

    @property
    def values(self) -> dict[str, float]:
        """By name."""
        return {each.name: each.value for each in self.estimates}

    @property
    def doubts(self) -> list[str]:
        """Sentences about what should be looked at before the numbers are used."""
        found = [f"Not identifiable from these recordings: {' with '.join(names)}." for names in self.undetermined]
        at_bound = [each.name for each in self.estimates if each.at_bound]
        if at_bound:
            found.append(f"Stopped by a bound: {', '.join(at_bound)}. Widen it; its interval means little.")
        if not self.converged:
            found.append("Not converged: raise iterations, or look for kinks and chaos in the signals.")
        wrong = [name for name, x in self.misfits.items() if not 1 / WRONG_NOISE < x < WRONG_NOISE]
        if wrong:
            found.append(f"Residuals are not of the size of the noise: {', '.join(wrong)}. Model or noise is wrong.")
        tie = [each for each in self.restarts if not each.same and each.misfit < self.misfit * self._equivalent]
        if tie:
            found.append(f"{len(tie)} restart(s) fit as well elsewhere, e.g. {_short(tie[0].values)}.")
        return found

    def to_dict(self) -> dict[str, Any]:
        """For JSON: all but recordings and signals."""
        return {
            "parameters": {each.name: {k: v for k, v in vars(each).items() if k != "name"} for each in self.estimates},
            "misfit": self.misfit,
            "misfits": self.misfits,
            "converged": self.converged,
            "iterations": self.iterations,
            "undetermined": [list(names) for names in self.undetermined],
            "doubts": self.doubts,
            "restarts": [vars(each) for each in self.restarts],
        }

    def markdown(self, truth: Mapping[str, float] | None = None) -> str:
        """A table of parameters, one of signals, and doubts.

        Args:
            truth: True values, where they are known, for a column of errors.
        """
        errors = [" true | error % |", "---:|---:|"] if truth else ["", ""]
        lines = [
            f"| parameter | unit | estimate | 95 % interval | bounds | identifiable |{errors[0]}",
            f"|---|---|---:|---|---|---|{errors[1]}",
        ]
        for each in self.estimates:
            low, high = each.bounds
            row = f"| {each.name} | {each.unit} | {each.value:.5g} | {each.low:.5g} to {each.high:.5g} "
            row += f"| {low:g} to {high:g} | {'yes' if each.identifiable else 'no'} |"
            if truth:
                right = truth[each.name]
                row += f" {right:.5g} | {100 * (each.value / right - 1) if right else float('nan'):+.2f} |"
            lines.append(row)
        lines += ["", "| signal | residual / noise |", "|---|---:|"]
        lines += [f"| {name} | {value:.3f} |" for name, value in self.misfits.items()]
        agreeing = sum(each.same for each in self.restarts)
        lines += ["", f"{agreeing} of {len(self.restarts)} restarts arrived here, in {self.iterations} iterations."]
        lines += [f"- {doubt}" for doubt in self.doubts]
        return "\n".join(lines) + "\n"

    def save(
        self, folder: str | os.PathLike[str], truth: Mapping[str, float] | None = None, with_picture: bool = True
    ) -> list[Path]:
        """Write `identification.json`, `identification.md` and `fit.png`.

        Args:
            folder: Made if it is missing.
            truth: As in `markdown`.
            with_picture: Whether to draw fit and recording, which needs Matplotlib, the extra `plot`.

        Returns:
            The files written.

        Raises:
            GenesisImportError: No Matplotlib.
            GenesisRuntimeError: A file that cannot be written.
        """
        place = Path(folder)
        written = [place / "identification.json", place / "identification.md"]
        drawn = picture.draw(self) if with_picture else None
        with disk(place):
            place.mkdir(parents=True, exist_ok=True)
        extra = {"truth": dict(truth)} if truth else {}
        text = self.markdown(truth) + ("\n![Fit and recording](fit.png)\n" if with_picture else "")
        for path, content in zip(
            written, (json.dumps({**self.to_dict(), **extra}, indent=1) + "\n", text), strict=True
        ):
            with whole(path) as target:
                target.write_text(content, encoding="utf-8")
        if drawn is not None:
            written.append(place / "fit.png")
            with whole(written[-1]) as target:
                drawn.savefig(target, dpi=110)
        return written

    @property
    def _equivalent(self) -> float:
        """Ratio of misfits up to which 95 % of fits to the same motion with other noise differ."""
        numbers = len(self.recordings) * sum(value.size for value in self.recordings[0].signals.values())
        return float(np.sqrt(1 + NORMAL**2 / numbers))


def of_fit(rollouts: Rollouts, minima: Minima, best: int, found: Certainty) -> Identification:
    """What the minimum number `best`, and how certain it is, say."""
    scales, experiment = rollouts.scales, rollouts.experiment
    places = minima.unit[best] + torch.stack([-found.half, torch.zeros_like(found.half), found.half])
    low, value, high = (row.tolist() for row in scales.values(places))
    weak = tuple(tuple(scales.names[k] for k in direction) for direction in found.weak)
    lost = {name for names in weak for name in names}
    units = [experiment.parameters[name].unit for name in scales.names]
    estimates = tuple(
        Estimate(
            name, units[k], value[k], low[k], high[k], (float(scales.low[k]), float(scales.high[k])),
            name not in lost, not 0.0 < float(minima.unit[best, k]) < 1.0,
        )
        for k, name in enumerate(scales.names)
    )  # fmt: skip
    misfits = (2 * minima.cost / (minima.residual.shape[1] - len(scales.names))).sqrt()
    distance = (minima.unit - minima.unit[best]).abs() / found.half.clamp(min=SAME_PLACE)
    restarts = tuple(
        Restart(
            dict(zip(scales.names, scales.values(minima.unit[k]).tolist(), strict=True)),
            float(misfits[k]),
            bool(minima.converged[k]),
            bool((distance[k] <= 1).all()),
        )
        for k in minima.cost.argsort().tolist()
    )
    residual = minima.residual[best].view(rollouts.noise.shape)
    simulated = rollouts.by_signal((residual + rollouts.data.view(residual.shape)) * rollouts.noise)
    shares = rollouts.by_signal(residual)
    rms = {name: float(np.sqrt(np.mean([row[name] ** 2 for row in shares]))) for name in shares[0]}
    return Identification(
        estimates, float(misfits[best]), rms, bool(minima.converged[best]), weak, restarts, minima.iterations,
        tuple(rollouts.recordings), simulated,
    )  # fmt: skip


def _short(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())
