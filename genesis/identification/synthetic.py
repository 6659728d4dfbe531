"""Recordings of a simulation: to see what a motion would tell before anything is measured, and for tests."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from genesis.checks import number
from genesis.errors import GenesisValueError
from genesis.identification.experiment import Experiment, check_together
from genesis.identification.recording import Recording, steps_between
from genesis.identification.rollouts import Rollouts, Scales


def synthetic_recording(
    experiment: Experiment,
    values: Mapping[str, float],
    n_steps: int,
    controls: Mapping[str, Any] = {},
    initial: Mapping[str, Any] = {},
    rates: Mapping[str, float] = {},
    noise: float = 0.01,
    seed: int = 0,
) -> Recording:
    """What `experiment` would show with these values of its parameters, with normally distributed noise.

    Args:
        experiment: All of its signals are recorded.
        values: By name; parameters without one keep what the scene has.
        n_steps: T.
        controls: By name, (T, ...).
        initial: By name.
        rates: By signal, as in `Recording`.
        noise: Of each signal, as a part of the standard deviation of its components over time, all taken together.
        seed: Of the noise.

    Raises:
        GenesisValueError: A signal does not change, or the simulation fails.
    """
    share = number("noise", noise, 0.0)
    channels = {**experiment.controls, **experiment.initial, **experiment.signals}
    blank = Recording(
        times=experiment.scene.dt * np.arange(n_steps + 1),
        controls=dict(controls),
        initial=dict(initial),
        signals={name: np.zeros((n_steps, *channel.call().shape[1:])) for name, channel in experiment.signals.items()},
        noise=dict.fromkeys(experiment.signals, 1.0),
        units={name: channel.unit for name, channel in channels.items() if channel.unit},
    )
    check_together(experiment, [blank], list(values), {})
    bounds = {name: (value - 1.0, value + 1.0) for name, value in values.items()}
    rollouts = Rollouts(experiment, [blank], Scales(bounds))
    with torch.no_grad():
        row = rollouts.simulate(torch.tensor([[float(value) for value in values.values()]], dtype=torch.float64))
    clean = rollouts.by_signal(row)[0]
    generator = np.random.default_rng(seed)
    signals, deviations = {}, {}
    for name, value in clean.items():
        deviation = share * float(np.sqrt(value.var(axis=0).mean()))
        if not deviation > 0 or not np.isfinite(deviation):
            raise GenesisValueError(
                f"signal {name!r} must change during the motion, to finite values, got a standard deviation of "
                f"{deviation / share:g}. Leave it out, or move more."
            )
        every = steps_between(name, rates.get(name), blank.dt)
        sampled = value[every - 1 :: every]
        signals[name] = sampled + deviation * generator.standard_normal(sampled.shape)
        deviations[name] = deviation
    return replace(blank, signals=signals, noise=deviations, rates=dict(rates))
