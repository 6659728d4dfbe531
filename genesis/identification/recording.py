"""What was measured while something moved: controls, signals, and the state at the start. One `.npz` file."""

import os
import zipfile
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import numpy as np

from genesis.checks import assign, record
from genesis.convert import constants
from genesis.errors import GenesisValueError

GROUPS = ("control", "signal", "noise", "rate", "initial", "unit")
"""Of the file's names: `control/force`, `signal/angle`, ..., beside `times`."""
JITTER = 1e-3
"""By which part of a step the times of a recording may be off."""


@record
class Recording:
    """A recorded motion of T control steps: checked when it is made, kept in float64.

    Raises:
        GenesisValueError: What is not finite, of another length than `times` say, or without noise.
    """

    times: np.ndarray
    """(T + 1,) s, a fixed step apart: the k-th control acts from times[k] to times[k + 1]."""
    controls: Mapping[str, np.ndarray]
    """By name, (T, ...): what is set at the start of each step and held."""
    signals: Mapping[str, np.ndarray]
    """By name, (S, ...): what was observed, at the end of every n-th step. S = T // n, with n from `rates`."""
    noise: Mapping[str, Any]
    """By signal, > 0: standard deviation of its noise, in its unit, () or in the shape of one sample."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """By signal: samples per second, a whole part of the rate of control; of others: a sample in each step."""
    initial: Mapping[str, np.ndarray] = field(default_factory=dict)
    """By name: the state at times[0]."""
    units: Mapping[str, str] = field(default_factory=dict)
    """By name of a control, a signal or an initial value."""

    def __post_init__(self) -> None:
        for group in ("controls", "signals", "noise", "initial"):
            given = getattr(self, group)
            arrays = {name: _finite(f"recording.{group}[{name!r}]", value) for name, value in given.items()}
            assign(self, group, arrays)
        times = _finite("recording.times", self.times)
        assign(self, "times", times)
        if times.ndim != 1 or len(times) < 2:
            raise GenesisValueError(
                f"recording.times must be at least two numbers, got shape {times.shape}. Give the ends of all steps."
            )
        steps, dt = np.diff(times), self.dt
        off = np.abs(steps - dt)
        if not (dt > 0 and np.all(off <= JITTER * dt)):
            worst = int(np.argmax(off)) if dt > 0 else int(np.argmin(steps))
            raise GenesisValueError(
                f"recording.times must be a fixed step apart, to {JITTER:g} of it, got {steps[worst]:.6g} s at index "
                f"{worst} where the mean is {dt:.6g} s. Interpolate the recording to even times."
            )
        if not self.signals:
            raise GenesisValueError("recording.signals must hold at least one signal, got none. Add what was observed.")
        self._same_names("noise", set(self.noise), exactly=True)
        self._same_names("rates", set(self.rates), exactly=False)
        for name, value in self.controls.items():
            if value.ndim == 0 or len(value) != self.n_steps:
                self._wrong_length(f"controls[{name!r}]", value.shape, self.n_steps, "one for each step")
        for name, value in self.signals.items():
            every = self.every(name)
            expected = self.n_steps // every
            if value.ndim == 0 or len(value) != expected or not expected:
                self._wrong_length(f"signals[{name!r}]", value.shape, max(expected, 1), f"one in {every} step(s)")
            noise = self.noise[name]
            if noise.shape not in ((), value.shape[1:]) or not np.all(noise > 0):
                raise GenesisValueError(
                    f"recording.noise[{name!r}] must be > 0, of shape () or {value.shape[1:]}, got shape "
                    f"{noise.shape} and least value {noise.min():g}. Give standard deviations in the signal's unit."
                )

    @property
    def dt(self) -> float:
        """Control step, s."""
        return float((self.times[-1] - self.times[0]) / (len(self.times) - 1))

    @property
    def n_steps(self) -> int:
        """T."""
        return len(self.times) - 1

    def every(self, signal: str) -> int:
        """Control steps from one sample to the next."""
        return steps_between(signal, self.rates.get(signal), self.dt)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as an `.npz` file; the names in it: docs/identification.md."""
        table = {"control": self.controls, "signal": self.signals, "noise": self.noise, "initial": self.initial}
        rates = {name: self.rates.get(name, 1.0 / self.dt) for name in self.signals}
        groups: dict[str, Mapping[str, Any]] = {**table, "rate": rates, "unit": self.units}
        named = {f"{group}/{name}": np.asarray(x) for group, values in groups.items() for name, x in values.items()}
        np.savez_compressed(Path(path), times=self.times, **named)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Recording":
        """Read what `save` wrote, or another program in the same layout.

        Raises:
            GenesisValueError: No such file, or one of another layout.
        """
        try:
            with np.load(Path(path), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
            raise GenesisValueError(
                f"a recording must be an .npz file, got {os.fspath(path)!r} ({error}). Write it by numpy.savez."
            ) from error
        groups: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
        for key, value in arrays.items():
            group, _, name = key.partition("/")
            if key != "times" and (group not in groups or not name):
                raise GenesisValueError(
                    f"names in {os.fspath(path)!r} must be times, or one of {', '.join(GROUPS)} with a name behind a "
                    f"slash, got {key!r}. Rename it, as in signal/angle."
                )
            if key != "times":
                groups[group][name] = value
        if "times" not in arrays:
            raise GenesisValueError(f"{os.fspath(path)!r} must hold times, got none. Add the ends of all steps, s.")
        return cls(
            times=arrays["times"],
            controls=groups["control"],
            signals=groups["signal"],
            noise=groups["noise"],
            rates={name: _scalar(f"rate/{name}", value) for name, value in groups["rate"].items()},
            initial=groups["initial"],
            units={name: str(value) for name, value in groups["unit"].items()},
        )

    def _same_names(self, group: str, names: set[str], exactly: bool) -> None:
        missing = set(self.signals) - names if exactly else set()
        if missing or names - set(self.signals):
            wrong = ", ".join(sorted(missing or names - set(self.signals)))
            raise GenesisValueError(
                f"recording.{group} must name the signals, {', '.join(sorted(self.signals))}, got "
                f"{'none for' if missing else 'another:'} {wrong}. {'Add it' if missing else 'Leave it out'}."
            )

    def _wrong_length(self, what: str, shape: tuple[int, ...], expected: int, which: str) -> None:
        raise GenesisValueError(
            f"recording.{what} must have {expected} rows, {which}, got shape {shape} for {self.n_steps} steps. "
            "Cut it to the recording's times."
        )


def steps_between(signal: str, rate: float | None, dt: float) -> int:
    """Control steps of `dt` from one sample of a signal to the next, at so many samples per second; None: 1.

    Raises:
        GenesisValueError: The steps are not whole.
    """
    if rate is None:
        return 1
    steps = 1.0 / (float(rate) * dt) if rate > 0 else 0.0
    whole = round(steps)
    if whole < 1 or abs(steps - whole) > JITTER * whole:
        raise GenesisValueError(
            f"recording.rates[{signal!r}] must be a whole part of the rate of control, {1 / dt:g} Hz, got {rate:g} Hz. "
            "Interpolate the signal to such a rate."
        )
    return whole


def _finite(what: str, value: Any) -> np.ndarray:
    array = np.asarray(constants(what, value), dtype=np.float64)
    if not np.isfinite(array).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise GenesisValueError(
            f"{what} must be finite, got {array[place]} at index {place}. Fill the gap by interpolation, or cut it off."
        )
    return array


def _scalar(what: str, value: np.ndarray) -> float:
    if value.shape != () or not np.isfinite(value) or value <= 0:
        raise GenesisValueError(f"{what} must be a number > 0, got {value}. Give samples per second.")
    return float(value)
