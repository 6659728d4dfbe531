"""What a finished training run was, read from its folder: the small record that `scripts.sweep` keeps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from genesis.errors import GenesisValueError

RETURN, SPEED = "charts/episodic_return", "time/env_steps_per_second"
CURVE_POINTS = 200
SMOOTHED = 10
"""Points of the curve over which a threshold must be passed on average."""

THRESHOLDS: dict[str, dict[str, float]] = {
    "genesis/CartPoleSwingUp-v0": {"SHAC's plateau": -500.0},
    "genesis/Hopper-v0": {"SHAC": 4800.0, "AHAC": 5200.0},
    "genesis/Ant-v0": {"5,000": 5000.0, "7,500": 7500.0, "8,500": 8500.0},
}
"""Environment to the returns whose times are noted, by name."""


def read(run: Path) -> dict[str, Any]:
    """Steps, seconds, curve and final evaluation of a run.

    Seconds are those of the updates: neither evaluations nor checkpoints are in them. The first update of a process
    compiles kernels; what it took beyond the median update is `compile_seconds` and in no other number.

    Returns:
        steps, updates, training_seconds, compile_seconds; curve: steps, seconds and mean return of the episodes that
        ended, thinned to at most `CURVE_POINTS`; final: statistics of the deterministic evaluation on fresh episodes
        (None if there was none); time_to: for each of the environment's `THRESHOLDS` steps and seconds, None if it was
        not reached.

    Raises:
        GenesisValueError: The run has not finished, or logged nothing.
    """
    result, config = _json(run / "result.json"), _json(run / "config.json")
    if result.get("interrupted"):
        raise GenesisValueError(f"The run must have finished, got an interrupted one, {run}. Resume it.")
    steps, seconds, compile_seconds = _times(run)
    returns = _scalars(run, RETURN)
    seconds_at = dict(zip(steps.tolist(), seconds.tolist(), strict=True))
    points = [(step, seconds_at[step], value) for step, value in returns.items() if step in seconds_at]
    env = config["config"]["train"]["env"]
    return {
        "steps": int(steps[-1]),
        "updates": len(steps),
        "training_seconds": float(seconds[-1]),
        "compile_seconds": compile_seconds,
        "curve": _thinned(points),
        "final": result.get("trained"),
        "time_to": {name: time_to(points, value) for name, value in THRESHOLDS.get(env, {}).items()},
    }


def time_to(points: list[tuple[int, float, float]], threshold: float) -> dict[str, float] | None:
    """Steps and seconds at which the mean of the last `SMOOTHED` returns first reaches a threshold; None: never.

    Args:
        points: (steps, seconds, return) of the training, in order.
        threshold: The return.
    """
    values = [value for _, _, value in points]
    for place in range(min(SMOOTHED, len(points)) - 1, len(points)):
        if np.mean(values[max(0, place - SMOOTHED + 1) : place + 1]) >= threshold:
            return {"steps": points[place][0], "seconds": points[place][1]}
    return None


def _times(run: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Steps after each update, seconds of the updates so far without compilation, and the compilation's seconds."""
    durations: dict[int, float] = {}
    firsts = []
    before = 0
    for file in _event_files(run):
        speeds = _read_file(file, SPEED)
        if not speeds:
            continue
        kept = [step for step in durations if step < min(speeds)]  # what a resumed run did again counts once
        durations = {step: durations[step] for step in kept}
        before = max(kept, default=0)
        firsts.append(min(speeds))
        for step, speed in sorted(speeds.items()):
            durations[step] = (step - before) / speed
            before = step
    if not durations:
        raise GenesisValueError(f"The run must have logged {SPEED}, got nothing in {run}. Train it with scripts.train.")
    usual = float(np.median(list(durations.values())))
    compile_seconds = 0.0
    for step in firsts:
        if step in durations:
            compile_seconds += max(0.0, durations[step] - usual)
            durations[step] = min(durations[step], usual)
    steps = np.array(sorted(durations))
    return steps, np.cumsum([durations[int(step)] for step in steps]), compile_seconds


def _scalars(run: Path, tag: str) -> dict[int, float]:
    """Step to value; of what a resumed run did again, the last."""
    values: dict[int, float] = {}
    for file in _event_files(run):
        values |= _read_file(file, tag)
    return dict(sorted(values.items()))


def _event_files(run: Path) -> list[Path]:
    """In the order in which the processes of a run began."""
    return sorted(run.glob("events.out.tfevents.*"))


def _read_file(file: Path, tag: str) -> dict[int, float]:
    events = EventAccumulator(str(file), size_guidance={"scalars": 0})
    events.Reload()
    return {event.step: event.value for event in events.Scalars(tag)} if tag in events.Tags()["scalars"] else {}


def _thinned(points: list[tuple[int, float, float]]) -> dict[str, list[float]]:
    """Means of equal parts of the curve, at the last step and second of each."""
    if not points:
        return {"steps": [], "seconds": [], "return": []}
    parts = np.array_split(np.array(points, dtype=float), min(CURVE_POINTS, len(points)))
    return {
        "steps": [int(part[-1, 0]) for part in parts],
        "seconds": [round(float(part[-1, 1]), 2) for part in parts],
        "return": [round(float(part[:, 2].mean()), 3) for part in parts],
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise GenesisValueError(f"A finished run must have {path.name}, got {path.parent}: {error}. Run it.") from error
