"""Figure of the study soft-labels: data against knowledge, labels cut to their largest entries, and what they replace."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.distillation.drawing import GREY, HARD, SOFT, budget_axis, curve, shades
from lib.distillation.experiment import Outcome
from lib.distillation.scaling import data_multiplier
from lib.distillation.tradeoff import envelope_table, label_arms, scaling_curves
from lib.figures import PALETTE


def draw_top(outcome: Outcome, classes: int) -> Figure:
    """Accuracy by budget with the k largest probabilities; and every epoch and k tried, with the envelope and its worth.

    Left: labels of each draw's chosen epoch. Right: a grey line for each (epoch, k); the envelope is each draw's best on
    validation images, and what most draws chose stands below each budget. An arrow leads to the budget at which hard labels are
    as accurate.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4))
    mine = outcome.top[outcome.top["chosen"]]
    ranks = sorted(mine["k"].unique())
    for colour, k in zip(shades(len(ranks)), ranks, strict=True):
        name = {0: "hard", classes: f"all {classes}"}.get(k, f"top {k}")
        curve(left, mine[mine["k"] == k], HARD if k == 0 else colour, name, lw=1.4, marker="o", ms=4)
    left.set(title="the k largest probabilities, not renormalised", ylabel="test accuracy (%)")
    for ax in (left, right):
        budget_axis(ax, outcome.top)
    _envelope(right, label_arms(outcome, classes), classes)
    left.legend(loc="upper left")
    handles, names = right.get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower right", ncols=3)
    return fig


def _envelope(ax: Axes, arms: pd.DataFrame, classes: int) -> None:
    curves, best = scaling_curves(arms), envelope_table(arms)
    hard = curves[curves["k"] == 0]
    for place, (_, rows) in enumerate(curves[curves["k"] > 0].groupby(["epoch", "k"])):
        ax.plot(rows["ipc"], rows["mean"], color=GREY, lw=0.7, marker=".", ms=3, label=None if place else "an epoch and a k")
    ax.plot(best["ipc"], best["mean"], color=SOFT, marker="o", label="envelope, chosen on validation")
    ax.fill_between(best["ipc"], best["low"], best["high"], color=SOFT, alpha=0.15, lw=0)
    ax.plot(hard["ipc"], hard["mean"], color=HARD, marker="s", ms=4, label="hard")
    for row in best.to_dict("records"):
        here, found = (row["ipc"], row["mean"]), data_multiplier(hard["ipc"], hard["mean"], row["ipc"], row["mean"])
        if found.value > 1:
            there = (row["ipc"] * found.value, row["mean"])
            ax.annotate("", there, here, arrowprops={"arrowstyle": "->", "color": PALETTE[0], "lw": 1})
        sign = {"equal": "", "at least": "> ", "at most": "< "}[found.bound]
        words = f"{sign}x {found.value:.1f}"
        ax.annotate(words, here, (-5, 4), textcoords="offset points", color=PALETTE[0], ha="right", va="bottom", fontsize=8)
    ax.set_xticks(best["ipc"], [_tick(row, classes) for row in best.to_dict("records")], fontsize=8)
    ax.set(title="hard-labelled data that it replaces", xlabel="images per class, and the envelope's labels")
    ax.margins(x=0.16)


def _tick(row: Mapping[str, float | int], classes: int) -> str:
    """A budget, and the arm that most draws chose there."""
    kept = "whole" if row["k"] == classes else f"top {row['k']:g}"
    return f"{row['ipc']:g}\n" + ("hard" if row["k"] == 0 else f"epoch {row['epoch']:g}\n{kept}")
