"""What a finished training run was, read from its folder: the small record that `scripts.sweep` keeps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from genesis.errors import GenesisValueError

RETURN, MINUTES = "charts/episodic_return", "time/training_minutes"
PROCESSOR_MINUTES = "time/processor_minutes"
CURVE_POINTS = 200
SMOOTHED = 10
"""Points of the curve over which a threshold must be passed on average."""

Point = tuple[int, float, float]
"""Steps, seconds, return."""

THRESHOLDS: dict[str, dict[str, float]] = {
    "genesis/CartPoleSwingUp-v0": {"SHAC's plateau": -500.0},
    "genesis/Hopper-v0": {"SHAC": 4800.0, "AHAC": 5200.0},
    "genesis/Ant-v0": {"5,000": 5000.0, "7,500": 7500.0, "8,500": 8500.0},
    "genesis-mujoco/InvertedPendulum-v5": {"950": 950.0},  # Gymnasium's own threshold, as in those marked G
    "genesis-mujoco/InvertedDoublePendulum-v5": {"9,100": 9100.0},  # G
    "genesis-mujoco/Reacher-v5": {"-3.75": -3.75},  # G
    "genesis-mujoco/Pusher-v5": {"-30": -30.0},
    "genesis-mujoco/Swimmer-v5": {"360": 360.0},  # G
    "genesis-mujoco/Hopper-v5": {"3,300": 3300.0, "3,500": 3500.0},
    "genesis-mujoco/Walker2d-v5": {"4,500": 4500.0},
    "genesis-mujoco/HalfCheetah-v5": {"6,000": 6000.0, "12,000": 12000.0},
    "genesis-mujoco/Ant-v5": {"5,000": 5000.0, "7,000": 7000.0},
    "genesis-mujoco/Humanoid-v5": {"5,000": 5000.0},
    "genesis-mujoco/HumanoidStandup-v5": {"100,000": 100000.0},
}
"""Environment to the returns whose times are noted, by name."""


def read(run: Path) -> dict[str, Any]:
    """Steps, seconds, curve and final evaluation of a run.

    Seconds are those of the updates: neither evaluations nor checkpoints are in them. The first update of a process
    compiles kernels; what it took beyond the median update is `compile_seconds` and in no other number.

    Returns:
        steps, updates, training_seconds, processor_seconds (of all threads; None where none were logged),
        compile_seconds; curve: steps, seconds and mean return of the episodes that
        ended, thinned to at most `CURVE_POINTS`; evaluations: the same of the deterministic policy underway; final: its
        statistics after training, on fresh episodes (None if there was no evaluation); in_gymnasium: those in
        Gymnasium's own environment, and the part kept (None where the run has none); time_to: for each of the
        environment's `THRESHOLDS` steps and seconds, None if it was not reached.

    Raises:
        GenesisValueError: The run has not finished, or logged nothing.
    """
    result, config = _json(run / "result.json"), _json(run / "config.json")
    if result.get("interrupted"):
        raise GenesisValueError(f"The run must have finished, got an interrupted one, {run}. Resume it.")
    seconds, compile_seconds = _times(run, MINUTES)
    if not seconds:
        raise GenesisValueError(
            f"The run must have logged {MINUTES}, got nothing in {run}. Train it with scripts.train."
        )
    processor, _ = _times(run, PROCESSOR_MINUTES)
    curve = [(step, seconds[step], value) for step, value in _scalars(run, RETURN).items() if step in seconds]
    evaluations = [(int(step), seconds[int(step)], value) for step, _, value in result["curve"] if int(step) in seconds]
    thresholds = THRESHOLDS.get(config["config"]["train"]["env"], {})
    last = max(seconds)
    return {
        "steps": last,
        "updates": len(seconds),
        "training_seconds": round(seconds[last], 2),
        "processor_seconds": round(max(processor.values()), 2) if processor else None,
        "compile_seconds": round(compile_seconds, 2),
        "curve": _thinned(curve),
        "evaluations": _thinned(evaluations),
        "final": result["trained"],
        "in_gymnasium": result.get("in_gymnasium"),
        "time_to": {name: time_to(curve, evaluations, value) for name, value in thresholds.items()},
    }


def time_to(curve: list[Point], evaluations: list[Point], threshold: float) -> dict[str, float] | None:
    """Steps and seconds at which a return is first reached; None: never.

    Args:
        curve: Returns of the training's episodes, of which the mean of `SMOOTHED` in a row has to reach it.
        evaluations: Returns of the deterministic policy, of which a single one has to.
        threshold: The return.
    """
    values = [value for _, _, value in curve]
    width = min(SMOOTHED, len(curve))
    ends = range(width, len(curve) + 1) if curve else ()
    reached = [curve[end - 1] for end in ends if np.mean(values[end - width : end]) >= threshold]
    reached = reached[:1] + [point for point in evaluations if point[2] >= threshold][:1]
    if not reached:
        return None
    steps, seconds, _ = min(reached)
    return {"steps": steps, "seconds": round(seconds, 2)}


def _times(run: Path, tag: str) -> tuple[dict[int, float], float]:
    """Step after each update to the seconds of the updates until then, and the seconds of compilation, left out.

    Args:
        run: Its folder.
        tag: Of the minutes until then; where none were logged there are no steps.
    """
    clock: dict[int, float] = {}
    firsts = []
    for file in _event_files(run):
        minutes = _read_file(file, tag)
        if minutes:
            firsts.append(min(minutes))
            clock = {
                step: value for step, value in clock.items() if step < firsts[-1]
            }  # what was done again counts once
            clock |= {step: 60.0 * value for step, value in minutes.items()}
    if not clock:
        return {}, 0.0
    steps = sorted(clock)
    durations = np.diff([0.0, *(clock[step] for step in steps)])
    usual = np.median(durations)
    began = np.isin(steps, firsts)
    excess = np.where(began, np.maximum(durations - usual, 0.0), 0.0)
    seconds = np.cumsum(durations - excess)
    return dict(zip(steps, seconds.tolist(), strict=True)), float(excess.sum())


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


def _thinned(points: list[Point]) -> dict[str, list[float]]:
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
