"""The panels of a sweep's figure: a metric along an axis, a metric over seeds alone, and how often each claim held."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from lib.figures import PALETTE
from lib.runs.sweeps.tally import tally
from lib.runs.sweeps.view import View
from lib.runs.sweeps.words import label, plain
from lib.studies import Metric

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#6b7280"
CROWDED = 12  # places on x from which on intervals and names need more room
MOST_NAMES, LONG_ROW = 30, 28  # names below an axis, and letters of them that fit side by side
MANY = 500  # dots of a line that are drawn fainter, and as pixels in an SVG
DODGE_PT = 4.0  # lines stand side by side, so that their intervals do not hide each other
GOLDEN = 0.618034  # its multiples modulo 1 spread dots evenly without chance
Numbers = Float[np.ndarray, " n"]


def estimates(values: Numbers, position: Int[np.ndarray, " n"]) -> dict[int, Metric]:
    """Mean and 95 % Student t interval of the values at each place."""
    return {int(place): Metric.of(values[position == place]) for place in np.unique(position)}


def draw_metric(axes: Axes, values: Numbers, view: View) -> None:
    """A metric along the x axis of the view: a line of means with intervals for each line, and every run as a faint dot."""
    axes.set_xscale("log" if view.scale == "log" else "linear")
    _x_ticks(axes, view)
    heights = [np.nanmin(values), np.nanmax(values)]
    for number, line in enumerate(view.lines):
        rows = line.rows & ~np.isnan(values)
        shift = (number - (len(view.lines) - 1) / 2) * DODGE_PT * (len(view.values) <= CROWDED)
        heights += _draw_line(axes, values[rows], view.position[rows], view, number, shift)
    room = 0.06 * np.ptp(heights) or 0.06 * abs(heights[0]) or 1.0
    axes.set_ylim(min(heights) - room, max(heights) + room)  # matplotlib's own limits know nothing of lines moved aside
    _finish(axes)


def _draw_line(
    axes: Axes, values: Numbers, position: Int[np.ndarray, " n"], view: View, number: int, shift_pt: float
) -> list[float]:
    """One line in its colour and marker, moved sideways by `shift_pt` points; returns the ends of its intervals."""
    aside = axes.transData + ScaledTranslation(shift_pt / 72, 0, axes.figure.dpi_scale_trans)
    places, found = view.places, estimates(values, position)
    mean = np.array([metric.mean for metric in found.values()])
    spread = np.array([metric.mean - metric.low if metric.low is not None else np.nan for metric in found.values()])
    if len(values) > len(found):
        axes.plot(
            places[position], values, "o", color=PALETTE[number], alpha=0.3 if len(values) <= MANY else 0.1, markersize=3,
            markeredgewidth=0, transform=aside, rasterized=len(values) > MANY,
        )  # fmt: skip
    look = style(number, view)
    caps = {"elinewidth": 1.1, "capthick": 1.1, "capsize": 2 if len(places) <= CROWDED else 0}
    axes.errorbar(places[list(found)], mean, spread, transform=aside, **look, **caps)
    return [end for metric in found.values() for end in (metric.low, metric.high) if end is not None]


def style(number: int, view: View) -> dict[str, Any]:
    """How line `number` is drawn; only numbers are joined, for between two names there is nothing."""
    return {
        "color": PALETTE[number], "marker": MARKERS[number], "markersize": 4.5 if len(view.values) <= CROWDED else 2.5,
        "markeredgecolor": "white", "markeredgewidth": 0.5 if len(view.values) <= CROWDED else 0, "linewidth": 1.1,
        "linestyle": "none" if view.scale == "names" else "-",
    }  # fmt: skip


def handles(view: View) -> list[Line2D]:
    """Entries of the legend."""
    return [Line2D([], [], label=plain(line.name), **style(number, view)) for number, line in enumerate(view.lines)]


def tick_names(view: View) -> list[str]:
    """The values of x as they are written below it; every second or third one where they are many."""
    return [plain(label(value)) for value in view.values][:: -(-len(view.values) // MOST_NAMES)]


def slanted(view: View) -> bool:
    """Whether these names need to be written aslant."""
    return sum(map(len, tick_names(view))) > LONG_ROW


def _x_ticks(axes: Axes, view: View) -> None:
    """Leave room at both ends, and name the values of the x axis as long as the names can be read."""
    places = view.places
    ends = np.log(places[[0, -1]]) if view.scale == "log" else places[[0, -1]]
    room = 0.5 if view.scale == "names" else (0.06 if len(view.lines) == 1 else 0.12) * (ends[1] - ends[0])
    limits = np.array([ends[0] - room, ends[1] + room])
    axes.set_xlim(*(np.exp(limits) if view.scale == "log" else limits))
    if len(places) > CROWDED and view.scale != "names":
        return
    look = {"rotation": 40, "ha": "right"} if slanted(view) else {"rotation": 0, "ha": "center"}
    axes.set_xticks(places[:: -(-len(places) // MOST_NAMES)], tick_names(view), rotation_mode="anchor", **look)
    axes.minorticks_off()


def draw_strip(axes: Axes, values: Numbers) -> None:
    """A metric over seeds alone: every run a dot, and beside them the mean with its interval, in numbers below."""
    aside = (np.arange(len(values)) * GOLDEN % 1 - 0.5) * 0.4
    axes.plot(aside, values, "o", color=PALETTE[0], alpha=0.45, markersize=4, markeredgewidth=0, rasterized=len(values) > MANY)
    if len(values):
        metric = Metric.of(values)
        spread = None if metric.low is None else metric.mean - metric.low
        axes.errorbar(0.45, metric.mean, spread, color=PALETTE[1], marker="D", markersize=5, capsize=4, linewidth=1.6)
        interval = "" if metric.low is None else f" [{metric.low:.3g}, {metric.high:.3g}]"
        axes.set_xlabel(f"{metric.mean:.3g}{interval}", fontsize=8.5)
    axes.set_xlim(-0.5, 0.75)
    axes.set_xticks([])
    _finish(axes)


def _finish(axes: Axes) -> None:
    """Mark zero where it is in sight: most claims are about the sign of a difference."""
    axes.grid(visible=False, axis="x")
    low, high = axes.get_ylim()
    if low < 0 < high:
        axes.axhline(0, color=GREY, linewidth=0.9, zorder=1)


def draw_claims(axes: Axes, verdicts: pd.DataFrame) -> None:
    """For each claim the share of tested runs in which it held, with Wilson's 95 % interval; said where none tested it."""
    for row, name in enumerate(verdicts.columns):
        found = tally(verdicts[name].dropna())
        if found.low is None or found.high is None:
            told = f"not tested in any of {found.not_tested} runs"
            axes.plot(50, row, marker="", color=GREY)
            axes.axhspan(row - 0.28, row + 0.28, color="#f3f4f6", zorder=0)
        else:
            share = found.held / found.tested
            spread = [[100 * max(share - found.low, 0)], [100 * max(found.high - share, 0)]]
            axes.errorbar(100 * share, row, xerr=spread, color=PALETTE[0], marker="o", markersize=5, capsize=3, linewidth=1.5)
            told = f"held in {found.held} of {found.tested}" + (f", {found.not_tested} not tested" if found.not_tested else "")
        axes.text(1.015, row, told, transform=axes.get_yaxis_transform(), va="center", fontsize=8.5, color=GREY)
    axes.set_yticks(range(verdicts.shape[1]), [plain(name.removeprefix("claim.")) for name in verdicts.columns])
    axes.set_ylim(verdicts.shape[1] - 0.5, -0.5)
    axes.set_xlim(-3, 103)
    axes.set_xlabel("share of testing runs in which it held (%), 95 % Wilson interval")
    axes.set_title("Claims, over all runs of the sweep")
