"""The picture of a fit: recorded and simulated signals, residuals, and intervals within their bounds."""

from typing import TYPE_CHECKING, Any

import numpy as np

from genesis.errors import optional_import

if TYPE_CHECKING:
    from genesis.identification.report import Identification

BLUE, RED, GREY = "#0072B2", "#D55E00", "#777777"
"""Told apart by colour-blind readers, too. Source: Okabe and Ito, "Color universal design" (2008)."""
MOST_LINES = 6
"""Components of a signal that are drawn."""


def draw(found: "Identification") -> Any:
    """A Matplotlib figure of the first recording: a row for each signal, and one of the parameters.

    Raises:
        GenesisImportError: No Matplotlib.
    """
    with optional_import("matplotlib", "plot", "to draw a fit", "pass with_picture=False"):
        from matplotlib.figure import Figure
    recording, simulated = found.recordings[0], found.simulated[0]
    rows = len(recording.signals) + 1
    figure = Figure(figsize=(10.0, 2.3 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, width_ratios=(2.2, 1.0), squeeze=False)
    for (left, right), (name, seen) in zip(panels, recording.signals.items(), strict=False):
        every, unit = recording.every(name), recording.units.get(name, "")
        times = recording.times[every::every][: len(seen)]
        lines, fit = seen.reshape(len(seen), -1)[:, :MOST_LINES], simulated[name].reshape(len(seen), -1)[:, :MOST_LINES]
        left.plot(times, lines, ".", color=GREY, markersize=3)
        left.plot(times, fit, color=BLUE, linewidth=1.3)
        left.set_ylabel(f"{name} ({unit})" if unit else name)
        noise = np.broadcast_to(recording.noise[name], seen.shape).reshape(len(seen), -1)[:, :MOST_LINES]
        right.plot(times, (lines - fit) / noise, ".", color=RED, markersize=3)
        right.axhspan(-2, 2, color=GREY, alpha=0.15, linewidth=0)
        right.set_ylabel("residual / noise")
    panels[0, 0].set_title("recorded (dots) and fitted (lines)", fontsize=10)
    for panel in panels[-2]:
        panel.set_xlabel("time (s)")
    _draw_estimates(figure, panels, found)
    for panel in panels.flat:
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_estimates(figure: Any, panels: Any, found: "Identification") -> None:
    """Intervals within their bounds, over both columns of the last row."""
    grid = panels[-1, 0].get_gridspec()
    for panel in panels[-1]:
        panel.remove()
    panel = figure.add_subplot(grid[-1, :])
    labels = []
    for row, each in enumerate(found.estimates):
        low, high = each.bounds
        if low > 0:
            ends = np.log(np.array([each.low, each.value, each.high]) / low) / np.log(high / low)
        else:
            ends = (np.array([each.low, each.value, each.high]) - low) / (high - low)
        colour = BLUE if each.identifiable and not each.at_bound else RED
        panel.plot(np.clip(ends[[0, 2]], 0, 1), [row, row], color=colour, linewidth=4, alpha=0.5)
        panel.plot(ends[1], row, "o", color=colour, markersize=4)
        labels.append(f"{each.name}  {each.value:.4g} {each.unit}  [{low:g}, {high:g}]")
    panel.set_yticks(range(len(labels)), labels, fontsize=8)
    panel.set_ylim(len(labels) - 0.5, -0.5)
    panel.set_xlim(0, 1)
    panel.set_xticks((0, 1), ("lower bound", "upper bound"))
    panel.spines[["top", "right"]].set_visible(False)
