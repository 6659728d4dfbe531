"""`identify`: parameters of a scene from recorded motion."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from genesis import runtime
from genesis.checks import integer
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.identification.experiment import Experiment, check_bounds, check_together
from genesis.identification.intervals import certainty
from genesis.identification.least_squares import Minima, latin_hypercube, levenberg_marquardt, search
from genesis.identification.recording import Recording
from genesis.identification.report import Identification, of_fit
from genesis.identification.rollouts import Rollouts, Scales

Bounds = Mapping[str, tuple[float, float]]
DIFFERENCE = {"64": 1e-4, "32": 1e-2}
"""Half the width of differences in units of the bounds, by precision: the cube root of rounding errors and more."""


def identify(
    build: Callable[[int], Experiment],
    recordings: Recording | Sequence[Recording],
    bounds: Bounds,
    fixed: Mapping[str, float] | None = None,
    restarts: int = 8,
    search_steps: int = 0,
    iterations: int = 30,
    seed: int = 0,
) -> Identification:
    """Fit parameters so that simulated signals are the recorded ones, by least squares in units of the noise.

    Environments are restarts and recordings side by side. Starts are drawn over the bounds (a Latin hypercube,
    logarithmic where both bounds are above zero) and improved by gradients that come back through the simulation; the
    best go on with Levenberg's and Marquardt's method, whose slopes are central differences in environments beside each
    other. Intervals come from Gauss and Newton's Hessian and the variance of the residuals.

    Args:
        build: Builds the experiment with so many environments: recordings times restarts times twice the parameters.
        recordings: Motions to be explained together, alike but for their values.
        bounds: (low, high) by name of the parameters to fit.
        fixed: Values of other parameters, by name; the rest keeps what the scene has.
        restarts: Starts that go on to the end.
        search_steps: Steps with gradients of all starts, before the best are taken; none: the best of the drawn ones.
        iterations: Of Levenberg's and Marquardt's method, at most.
        seed: Of the starts.

    Raises:
        GenesisException: Before anything is simulated: names that the experiment lacks, bounds that are reversed or
            that the scene does not take, recordings that are too short, of another control step, unit or shape; after
            the search: no start could be simulated.
    """
    recordings = (recordings,) if isinstance(recordings, Recording) else tuple(recordings)
    if not recordings or not all(isinstance(each, Recording) for each in recordings):
        raise GenesisTypeError("recordings must be one Recording or several, got others or none. Use Recording.load.")
    check_bounds(bounds)
    counts = {"restarts": (restarts, 1), "search_steps": (search_steps, 0), "iterations": (iterations, 1)}
    for name, (value, least) in counts.items():
        integer(name, value, least)
    n_starts = restarts * 2 * len(bounds)
    rollouts = prepared(build, recordings, bounds, fixed or {}, n_starts)
    drawn = latin_hypercube(n_starts, len(bounds), seed)
    found, costs = search(rollouts, rollouts.data, drawn, search_steps)
    best = costs.argsort()[:restarts]
    best = best[torch.isfinite(costs[best])]
    if not len(best):
        raise GenesisValueError(
            f"some place within the bounds must be simulated to its end, got failures at all of {n_starts}. Narrow the "
            "bounds, or raise SimOptions.substeps."
        )
    minima = fit(rollouts, rollouts.data, found[best], iterations)
    return report(rollouts, minima)


def prepared(
    build: Callable[[int], Experiment],
    recordings: Sequence[Recording],
    bounds: Bounds,
    fixed: Mapping[str, float],
    candidates: int,
) -> Rollouts:
    """The experiment with environments for so many candidates, checked against recordings and bounds."""
    experiment: Any = build(len(recordings) * candidates)
    if not isinstance(experiment, Experiment):
        raise GenesisTypeError(
            f"build must return an Experiment, got {type(experiment).__name__}. Name its quantities in one."
        )
    if experiment.scene.n_envs < len(recordings):
        raise GenesisValueError(
            f"build must make as many environments as it is asked for, {len(recordings) * candidates}, got "
            f"{experiment.scene.n_envs}. Pass its argument on to scene.build."
        )
    check_together(experiment, recordings, list(bounds), fixed)
    rollouts = Rollouts(experiment, recordings, Scales(bounds), fixed)
    rollouts.check()
    return rollouts


def fit(rollouts: Rollouts, data: torch.Tensor, start: torch.Tensor, iterations: int = 30) -> Minima:
    """The minima next to places (C, P), for data (M,) or of each place (C, M)."""
    return levenberg_marquardt(rollouts, data, start, iterations, DIFFERENCE[runtime.current().precision])


def report(rollouts: Rollouts, minima: Minima) -> Identification:
    """What the lowest of the minima says."""
    best = int(minima.cost.argmin())
    found = certainty(minima.residual[best], minima.jacobian[best])
    return of_fit(rollouts, minima, best, found)
