"""Draws learning curves: `python -m scripts.plot runs`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from genesis.errors import GenesisRuntimeError, GenesisValueError, optional_import
from scripts import common
from scripts.curves import Band, Curve, band, find_runs, read_curve

AXES = ("steps", "seconds")
FORMATS = ("png", "svg")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Told apart by colour-blind readers, too. Source: Okabe and Ito, "Color universal design" (2008)."""
DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class PlotConfig:
    """Draws learning curves of runs, a panel per environment and a curve per agent.

    A curve is the interquartile mean over the runs of an agent; the band is its 95 % bootstrap interval.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = (Path("runs"),)
    """Folders of runs, or folders that hold some."""
    tag: str = "charts/episodic_return"
    """The scalar to draw, by its TensorBoard tag; docs/tensorboard.md explains all of them."""
    against: Literal["steps", "seconds", "both"] = "both"
    """Environment steps, wall-clock seconds, or a file of each."""
    out: Path = Path("plots")
    """Folder for the pictures, PNG and SVG."""
    points: int = 60
    """Points of a curve: the axis has so many equal parts, and the values within each are averaged."""
    dpi: int = 150
    """Pixels per inch of the PNG."""


Groups = dict[str, dict[str, list[Curve]]]
"""Curves by environment and agent."""


def plot(config: PlotConfig) -> tuple[Groups, list[Path]]:
    """Reads the runs and writes `{out}/{tag}-{axis}.png` and `.svg`.

    Returns:
        The curves by environment and agent, and the files written.

    Raises:
        gs.GenesisException: A folder without a run, events or the tag, no matplotlib, or a file that cannot be written.
    """
    for name, value, least in (("points", config.points, 2), ("dpi", config.dpi, 10)):
        if value < least:
            raise GenesisValueError(f"{name} must be at least {least}, got {value}. Leave it out for the default.")
    axes = AXES if config.against == "both" else (config.against,)
    pyplot = _pyplot()
    groups = grouped([read_curve(run, config.tag) for run in find_runs(config.runs)])
    written = []
    for against in axes:
        figure = draw(pyplot, groups, against, config.tag, config.points)
        for kind in FORMATS:
            path = config.out / f"{config.tag.replace('/', '-')}-{against}.{kind}"
            _save(figure, path, kind, config.dpi)
            written.append(path)
        pyplot.close(figure)
    return groups, written


def grouped(curves: Sequence[Curve]) -> Groups:
    """Curves by environment and agent, both in alphabetical order."""
    envs = sorted({curve.env for curve in curves})
    return {
        env: {
            agent: [curve for curve in curves if (curve.env, curve.agent) == (env, agent)]
            for agent in sorted({curve.agent for curve in curves if curve.env == env})
        }
        for env in envs
    }


def draw(pyplot: Any, groups: Groups, against: str, tag: str, points: int) -> Any:
    """The figure: a panel per environment; an agent has the same colour and dashes in all of them."""
    columns = min(3, len(groups))
    rows = -(-len(groups) // columns)
    agents = sorted({agent for by_agent in groups.values() for agent in by_agent})
    figure, panels = pyplot.subplots(
        rows, columns, figsize=(4.6 * columns + 0.6, 3.4 * rows), squeeze=False, layout="constrained"
    )
    for panel in panels.flat[len(groups) :]:
        panel.set_visible(False)
    for panel, (env, by_agent) in zip(panels.flat, groups.items(), strict=False):
        bands = {agent: band(curves, against, points) for agent, curves in by_agent.items()}
        unit, name = _unit(max(each.x[-1] for each in bands.values())) if against == "seconds" else (1.0, "")
        for agent, each in bands.items():
            _draw_band(panel, each, unit, agent, agents.index(agent))
        panel.set_title(env, fontsize=11)
        panel.set_xlabel(f"wall-clock ({name})" if against == "seconds" else "environment steps")
        panel.set_ylabel(tag.split("/")[-1].replace("_", " "))
        panel.set_xlim(left=0)
        panel.grid(alpha=0.25, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=9)
        if against == "steps":
            panel.xaxis.set_major_formatter(lambda value, position: _short(value))
    return figure


def _draw_band(panel: Any, each: Band, unit: float, agent: str, index: int) -> None:
    colour, dashes = COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]
    label = f"{agent} ({each.runs} run{'s' if each.runs > 1 else ''})"
    panel.plot(each.x / unit, each.middle, color=colour, linestyle=dashes, linewidth=1.8, label=label)
    if each.runs > 1:
        panel.fill_between(each.x / unit, each.low, each.high, color=colour, alpha=0.2, linewidth=0)


def _unit(seconds: float) -> tuple[float, str]:
    """The unit of time in which so many seconds are read well: its length in s, and its name."""
    return next(((size, name) for size, name in ((3600.0, "h"), (60.0, "min")) if seconds >= 2 * size), (1.0, "s"))


def _short(steps: float) -> str:
    """1500000 as 1.5M."""
    size, suffix = next(((s, x) for s, x in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(steps) >= s), (1.0, ""))
    return f"{steps / size:g}{suffix}"


def _save(figure: Any, path: Path, kind: str, dpi: int) -> None:
    """Writes a picture whole or not at all; the same runs give the same bytes."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    metadata = {"Date": None} if kind == "svg" else {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(temporary, format=kind, dpi=dpi, metadata=metadata)
        temporary.replace(path)
    except OSError as error:
        raise GenesisRuntimeError(
            f"out must be a folder that can be written to, got {path.parent} ({error}). Free space, or name another."
        ) from error
    finally:
        if path.parent.is_dir():
            temporary.unlink(missing_ok=True)


def _pyplot() -> Any:
    """matplotlib's pyplot, drawing into files only."""
    with optional_import("matplotlib", "plot", "to draw curves"):
        import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "genesis"
    from matplotlib import pyplot

    return pyplot


def report(groups: Groups, points: int) -> list[str]:
    """A line per agent and environment: the last value of its curve against steps, with the interval."""
    lines = []
    for env, by_agent in groups.items():
        for agent, curves in by_agent.items():
            each = band(curves, "steps", points)
            interval = "" if np.isnan(each.low[-1]) else f" [{each.low[-1]:.4g}, {each.high[-1]:.4g}]"
            end = f"{_short(round(min(curve.steps[-1] for curve in curves)))} steps"
            lines.append(f"{env} {agent}: {each.middle[-1]:.4g}{interval} at {end}, runs: {each.runs}")
    return lines


def main() -> int:
    """Entry point of `genesis-plot`."""
    return common.run(_main)


def _main() -> int:
    config = tyro.cli(PlotConfig, prog=common.program())
    groups, written = plot(config)
    print("\n".join([*report(groups, config.points), *(f"wrote {path}" for path in written)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
