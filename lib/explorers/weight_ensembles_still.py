"""Still pictures of the explorer for pages that nobody can touch, drawn from the same frames as the live figure."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.ensembles.drawing import RULE_STYLE
from lib.explorers.weight_ensembles_state import Frame


def draw_still(frames: Sequence[Frame]) -> Figure:
    """One map per frame, and below it the accuracies with a cursor at its step."""
    fig, axes = plt.subplots(3, len(frames), figsize=(4.2 * len(frames), 7), height_ratios=(3, 1, 1), sharey="row", squeeze=False)
    for column, frame in zip(axes.T, frames, strict=True):
        _draw_map(column[0], frame)
        _draw_curve(column[1], frame, "id_test", "ID test (%)")
        _draw_curve(column[2], frame, "ood", "OOD (%)")
        column[2].set_xlabel("step (trial)")
    handles, labels = axes[1][0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=4)
    fig.suptitle(f"Map by {frames[0].state.distance}, held out: {frames[0].state.held_out}", x=0.01, ha="left", fontsize=11)
    return fig


def _draw_map(ax: Axes, frame: Frame) -> None:
    spread = frame.ood - frame.ood.min()
    sizes = 20 + 110 * spread / max(float(spread.max()), 1e-9)
    ax.scatter(*frame.soups.T, s=10, facecolors="none", edgecolors="#D1D5DB")
    ax.scatter(*frame.ingredients.T, s=sizes, c=frame.colours, cmap="viridis", edgecolors="white", linewidths=0.6, zorder=2)
    ax.scatter(*frame.start.T, marker="X", s=60, color="black")
    for i, path in enumerate(frame.paths):
        colour, _, dash = RULE_STYLE[path.rule]
        ax.plot(*path.soups.T, color=colour, ls=dash, lw=1.4, marker=".", zorder=3)
        ax.scatter(*path.members.T, s=130 + 70 * i, facecolors="none", edgecolors=colour, linewidths=1.4)
        ax.scatter(*path.rejected.T, marker="x", s=22, color=colour, linewidths=0.8, alpha=0.7)
        if path.finished:
            ax.scatter(*path.soups[-1], marker="*", s=190, color=colour, edgecolors="white", zorder=4)
    if frame.manual is not None:
        ax.scatter(*frame.manual.point, marker="*", s=220, color="#B91C1C", edgecolors="white", zorder=5)
    ax.set(xticks=[], yticks=[], aspect="equal", title=f"step {frame.state.step} of {frame.n_steps}")


def _draw_curve(ax: Axes, frame: Frame, curve: str, title: str) -> None:
    for path in frame.paths:
        colour, _, dash = RULE_STYLE[path.rule]
        values = getattr(path, curve)
        ax.step(np.arange(len(values)), values, where="post", color=colour, ls=dash, label=path.rule)
    ax.axvline(frame.state.step, color="#6B7280", lw=1)
    ax.set_ylabel(title)
