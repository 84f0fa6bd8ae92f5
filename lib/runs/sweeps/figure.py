"""The figure of a sweep: its headline and the numbers behind its claims over the grid, and how often each claim held."""

import textwrap

import matplotlib as mpl
import numpy as np
import pandas as pd
from jaxtyping import Int
from matplotlib.figure import Figure, SubFigure

from lib.figures import STYLE
from lib.runs.sweeps.panels import draw_claims, draw_metric, draw_strip, handles, slanted
from lib.runs.sweeps.view import MOST_LINES, SEED, View, view_of
from lib.runs.sweeps.words import axes_in_words, plain

MOST_PANELS = 8
LONG_NAME = 24  # letters that fit over the narrowest panel
LEGEND_ROW = 100  # letters of a legend that fit in one row
WIDTHS = {1: 6.0, 2: 8.0}  # inches for so many columns; else
WIDTH = 10.0
PANEL_HEIGHT, SLANT_HEIGHT, CLAIM_HEIGHT, FRAME_HEIGHT = 2.35, 0.7, 0.27, 0.85


def draw(frame: pd.DataFrame) -> tuple[Figure, str] | None:
    """The figure of a sweep's table and its caption in words; None where no run recorded a number.

    A point is the mean over seeds with its 95 % Student t interval, faint dots are the single runs. The first axis that
    varies (other than the seed) lies on x, further ones are told apart by colour and marker.
    """
    metrics, claims = chosen_metrics(frame), [name for name in frame.columns if name.startswith("claim.")]
    if not metrics:
        return None
    view = view_of(frame)
    with mpl.rc_context(STYLE | {"font.size": 9, "axes.titlesize": 9.5, "legend.fontsize": 8.5}):
        columns = _columns(len(metrics))
        panel = PANEL_HEIGHT + SLANT_HEIGHT * (view.scale == "names" and slanted(view))
        heights = [panel * -(-len(metrics) // columns), FRAME_HEIGHT + CLAIM_HEIGHT * len(claims)]
        width = WIDTHS.get(columns, WIDTH)
        figure = Figure(figsize=(width, sum(heights) + 0.9), layout="constrained")
        top, *bottom = figure.subfigures(2, 1, height_ratios=heights) if claims else [figure.subfigures()]
        _draw_metrics(top, frame, metrics, view, columns)
        for part in bottom:
            draw_claims(part.subplots(), frame[claims])
        caption = _caption(frame, metrics, view)
        figure.suptitle(
            plain(textwrap.fill(frame.attrs["title"], int(7.5 * width))), x=0.01, ha="left", fontsize=12, fontweight="bold"
        )
        figure.supxlabel(plain(textwrap.fill(caption, int(16 * width))), x=0.01, ha="left", fontsize=8.5, color="#4b5563")
    return figure, caption


def chosen_metrics(frame: pd.DataFrame) -> list[str]:
    """The headline, then the claims' metrics, a first one for every claim before any second; at most eight.

    Where the table has none of them, the first metrics there are.
    """
    measured = list(frame.attrs["units"])
    needs = list(frame.attrs["evidence"].values())
    rounds = [names[turn] for turn in range(max(map(len, needs), default=0)) for names in needs if turn < len(names)]
    wanted = [name for name in dict.fromkeys([frame.attrs["headline"], *rounds]) if name in measured][:MOST_PANELS]
    order = [frame.attrs["headline"], *(name for names in needs for name in names)]
    return sorted(wanted, key=order.index) or measured[:MOST_PANELS]


def _columns(panels: int) -> int:
    """Panels in a row: as square as the page allows."""
    return {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3}.get(panels, 4)


def _draw_metrics(part: SubFigure, frame: pd.DataFrame, metrics: list[str], view: View, columns: int) -> None:
    """A panel for each metric, and one legend for all."""
    grid = part.subplots(-(-len(metrics) // columns), columns, squeeze=False).ravel()
    for spare in grid[len(metrics) :]:
        spare.remove()
    for axes, name in zip(grid, metrics, strict=False):
        values = frame[f"metric.{name}"].to_numpy()
        if view.x is None:
            draw_strip(axes, values[~np.isnan(values)])
        else:
            draw_metric(axes, values, view)
            unit = frame.attrs["parameter_units"].get(view.x, "")
            axes.set_xlabel(plain(f"{view.x} ({unit})" if unit else view.x))
        axes.set_title(plain(_heading(name, name == frame.attrs["headline"])))
        axes.set_ylabel(plain(frame.attrs["units"][name]))
    if len(view.lines) > 1:
        letters = sum(len(line.name) + 6 for line in view.lines)
        ncols = len(view.lines) if letters < LEGEND_ROW else 4
        part.legend(handles=handles(view), title=plain(", ".join(view.series)), loc="outside lower center", ncols=ncols)


def _heading(name: str, headline: bool) -> str:
    """A metric's name over its panel, on two lines where it is long."""
    name = name.replace("/", "/\n", 1) if len(name) > LONG_NAME else name
    return f"{name} (headline)" if headline else name


def _caption(frame: pd.DataFrame, metrics: list[str], view: View) -> str:
    """What was run, what a point is, and what the figure leaves out."""
    attrs = frame.attrs
    behind = {attrs["headline"], *(name for names in attrs["evidence"].values() for name in names)}
    said = [
        f"{attrs['size']} size; {axes_in_words(attrs['axes'])}; {len(frame)} of {attrs['planned']} runs finished.",
        _point_in_words(_counts(frame, metrics, view), [SEED, *view.pooled] if SEED in attrs["axes"] else view.pooled),
    ]
    if view.pooled:
        pooled = ", ".join(f"{name} ({len(attrs['axes'][name])} values)" for name in view.pooled)
        said.append(f"Pooled, to draw no more than {MOST_LINES} lines: {pooled}; the intervals cover this spread too.")
    if len(behind) > len(metrics):
        said.append(f"{len(behind) - len(metrics)} more of the claims' metrics are in the table.")
    return " ".join(said)


def _point_in_words(counts: Int[np.ndarray, " points"], over: list[str]) -> str:
    """What one point of the figure stands for."""
    if counts.max() == 1:
        return "Each point is one run (n = 1), so there are no intervals."
    n = f"n = {counts.min()}" + (f" to {counts.max()}" if counts.max() > counts.min() else "")
    repeats = "seeds" if over == [SEED] else f"runs over {', '.join(over)}"
    return f"Each point: mean of {n} {repeats} with 95 % Student t interval; faint dots are single runs."


def _counts(frame: pd.DataFrame, metrics: list[str], view: View) -> Int[np.ndarray, " points"]:
    """How many runs stand behind each point, over all panels."""
    there = [~np.isnan(frame[f"metric.{name}"].to_numpy()) for name in metrics]
    counts = np.concatenate([np.bincount(view.position[line.rows & seen]) for line in view.lines for seen in there])
    return counts[counts > 0]
