"""Curves of training runs: read from their TensorBoard events, and summarised over runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from genesis.errors import GenesisValueError

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Curve:
    """One scalar of one run, in the order in which it was written."""

    run: Path
    env: str
    agent: str
    steps: np.ndarray
    """Environment steps (n,), increasing; 0 is the untrained policy's evaluation."""
    seconds: np.ndarray
    """Wall-clock (n,), s, that the run had worked; pauses before a resume do not count."""
    values: np.ndarray
    """(n,), finite."""


@dataclass(frozen=True)
class Band:
    """A curve of several runs: interquartile mean and confidence interval, each (points,)."""

    x: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: int


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """The run folders among the paths, and directly below those that are none.

    Raises:
        GenesisValueError: A path does not exist, or holds no run.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            raise GenesisValueError(f"runs must be folders, got {path}, which is none. Give the folder of a run.")
        below = sorted(config.parent for config in path.glob("*/config.json"))
        runs = [path] if (path / "config.json").is_file() else below
        if not runs:
            raise GenesisValueError(
                f"runs must be folders of training runs, or hold some, got {path} without a config.json. "
                "Train first: python -m scripts.train."
            )
        found += [run for run in runs if run not in found]
    if not found:
        raise GenesisValueError("runs must be at least one folder, got none. Give folders of runs, for instance runs.")
    return found


def read_curve(run: Path, tag: str) -> Curve:
    """Reads one scalar of a run.

    A resumed run has a file of events per session. Where a session repeats steps of the one before (they came after its
    last checkpoint), the later one counts.

    Raises:
        GenesisValueError: The folder has no events, not this tag, no finite value of it, or no readable configuration.
    """
    env, agent = _names(run)
    files = sorted(run.glob("events.out.tfevents.*"), key=lambda path: path.name.split(".")[3:])
    tags: set[str] = set()
    points = np.empty((0, 3))
    worked = 0.0
    for file in files:
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}).Reload()
        present = events.Tags()["scalars"]
        tags.update(present)
        if not present:
            continue
        began, ended = events.FirstEventTimestamp(), max(events.Scalars(name)[-1].wall_time for name in present)
        if tag in present:
            session = np.array([(e.step, worked + e.wall_time - began, e.value) for e in events.Scalars(tag)])
            points = np.concatenate([points[points[:, 0] < session[0, 0]], session])
        worked += ended - began
    if not tags:
        raise GenesisValueError(
            f"runs must have TensorBoard events with scalars, got {run} without any. "
            "Leave the folder out, or let the run do its first update."
        )
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        raise GenesisValueError(
            f"tag must be one that {run} has finite values of, got {tag!r}. Its tags: {', '.join(sorted(tags))}."
        )
    return Curve(run, env, agent, *points.T)


def band(curves: Sequence[Curve], against: str, points: int, seed: int = 0) -> Band:
    """Summarises runs on a common axis, which ends where the first of them ends.

    Each run is averaged within `points` equal windows of the axis (interpolated where a window is empty). Then, per
    window: the mean over the runs without the lowest and highest quarter of them (with fewer than four runs that leaves
    out none), and its percentile bootstrap interval at 95 %. One run has no interval: it is NaN.

    Args:
        curves: One per run.
        against: "steps" or "seconds", the axis.
        points: Number of windows.
        seed: Of the bootstrap's random numbers.

    Source: Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice" (NeurIPS 2021).
    """
    end = min(getattr(curve, against)[-1] for curve in curves)
    edges = np.linspace(0.0, end, points + 1)
    x = 0.5 * (edges[:-1] + edges[1:])
    rows = np.stack([_windowed(getattr(curve, against), curve.values, edges, x) for curve in curves])
    middle = interquartile_mean(rows)
    if len(rows) == 1:
        return Band(x, middle, np.full(points, np.nan), np.full(points, np.nan), 1)
    picks = np.random.default_rng(seed).integers(len(rows), size=(RESAMPLES, len(rows)))
    means = np.stack([interquartile_mean(rows[pick]) for pick in picks])
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100.0 - tail], axis=0)
    return Band(x, middle, low, high, len(rows))


def interquartile_mean(rows: np.ndarray) -> np.ndarray:
    """Mean over the rows (n, m) without the lowest and highest n // 4 of each column; (m,)."""
    cut = len(rows) // 4
    return np.sort(rows, axis=0)[cut : len(rows) - cut].mean(axis=0)


def _windowed(x: np.ndarray, values: np.ndarray, edges: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Mean of the values in each window of x, its right edge included; of the first one the left edge, too."""
    window = np.where(x == edges[0], 0, np.searchsorted(edges, x, side="left") - 1)
    inside = (window >= 0) & (window < len(centres))
    count = np.bincount(window[inside], minlength=len(centres))
    total = np.bincount(window[inside], weights=values[inside], minlength=len(centres))
    filled = count > 0
    if not filled.any():
        return np.interp(centres, x, values)
    return np.interp(centres, centres[filled], total[filled] / count[filled])


def _names(run: Path) -> tuple[str, str]:
    path = run / "config.json"
    try:
        train = json.loads(path.read_text())["config"]["train"]
        return train["env"], train["agent"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GenesisValueError(
            f"{path} must be the configuration that a run wrote, got one that cannot be read ({error!r}). "
            "Leave this folder out."
        ) from error
