"""How often intervals are right: many synthetic cases of one experiment, fitted side by side in its environments."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from genesis.identification import synthetic_recording
from genesis.identification.identify import fit, prepared
from genesis.identification.intervals import certainty
from genesis.identification.least_squares import latin_hypercube, search

SPREAD = 0.25
"""True values lie within so much of the nominal ones, in units of the bounds."""
DRAWN, KEPT = 6, 2
"""Starts of a case, and how many of them go on to the end."""


@dataclass(frozen=True)
class Coverage:
    """What the cases of a study were, and what came of them."""

    names: tuple[str, ...]
    truth: np.ndarray
    """(C, P) true values."""
    value: np.ndarray
    """(C, P) estimates."""
    low: np.ndarray
    """(C, P)."""
    high: np.ndarray
    """(C, P)."""
    converged: np.ndarray
    """(C,) bool."""

    @property
    def inside(self) -> np.ndarray:
        """(C, P) whether the interval holds the truth."""
        return (self.low <= self.truth) & (self.truth <= self.high)

    def lines(self) -> list[str]:
        """A table: parameter, cases whose interval holds the truth, median relative error and half width."""
        error = np.abs(self.value / self.truth - 1)
        half = 0.5 * (self.high - self.low) / self.value
        rows = ["| parameter | truth inside, of " + f"{len(self.truth)} | median error % | median half width % |"]
        rows += ["|---|---:|---:|---:|"]
        for k, name in enumerate(self.names):
            numbers = 100 * np.median(error[:, k]), 100 * np.median(half[:, k])
            rows.append(f"| {name} | {int(self.inside[:, k].sum())} | {numbers[0]:.2f} | {numbers[1]:.2f} |")
        return [*rows, "", f"{int(self.converged.sum())} of {len(self.converged)} cases converged."]


def coverage(
    world: Any, bounds: Mapping[str, tuple[float, float]], cases: int, noise: float, seed: int, at_once: int
) -> Coverage:
    """Draw true values, simulate what they show with noise, fit each case alone, and compare.

    Args:
        world: An example: its `build`, `motion`, `TRUTH` and `N_STEPS`.
        bounds: Of the fit.
        cases: How many.
        noise: Of each signal, as a part of its standard deviation at the nominal truth.
        seed: Of truths, noise and starts.
        at_once: Environments.
    """
    controls, initial = world.motion()
    recording = synthetic_recording(
        world.build(1), world.TRUTH, world.N_STEPS, controls=controls, initial=initial, noise=noise, seed=seed
    )
    fixed = {name: value for name, value in world.TRUTH.items() if name not in bounds}
    rollouts = prepared(world.build, [recording], bounds, fixed, at_once)
    scales, n = rollouts.scales, len(bounds)
    nominal = scales.places(torch.tensor([[float(world.TRUTH[name]) for name in bounds]], dtype=torch.float64))
    spread = SPREAD * (2 * latin_hypercube(cases, n, seed) - 1)
    truth = (nominal + spread).clamp(0.05, 0.95)
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        clean = rollouts(truth)
    data = clean + torch.as_tensor(generator.standard_normal(clean.shape))
    starts = torch.stack([latin_hypercube(DRAWN, n, seed + 1 + case) for case in range(cases)])
    _, costs = search(rollouts, data.repeat_interleave(DRAWN, 0), starts.flatten(0, 1), 0)
    kept = costs.view(cases, DRAWN).argsort(1)[:, :KEPT]
    chosen = starts.gather(1, kept[..., None].expand(-1, -1, n)).flatten(0, 1)
    minima = fit(rollouts, data.repeat_interleave(KEPT, 0), chosen)
    best = minima.cost.view(cases, KEPT).argmin(1) + KEPT * torch.arange(cases)
    unit = minima.unit[best]
    half = torch.stack([certainty(minima.residual[k], minima.jacobian[k]).half for k in best.tolist()])
    right, value, low, high = (scales.values(place).numpy() for place in (truth, unit, unit - half, unit + half))
    return Coverage(tuple(bounds), right, value, low, high, minima.converged[best].numpy())
