"""Figures of the study soft-labels beside this run: the paper's own numbers, and a stored sweep over numbers of classes."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.distillation.drawing import GREY, HARD, SOFT, budget_axis
from lib.distillation.experiment import Outcome, chosen
from lib.distillation.known import IMAGENET_FULL, imagenet_table
from lib.distillation.measures import summarised
from lib.distillation.pool import TASKS
from lib.figures import PALETTE


def draw_paper(outcome: Outcome) -> Figure:
    """The paper's Table 1 for ResNet-18 on ImageNet (left), and this run (right), each on its own axes."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6))
    paper = imagenet_table().pivot(index="ipc", columns="method", values="accuracy")
    for method, name, colour in (("hard, R18", "hard", HARD), ("R18 -> R18", "soft", SOFT)):
        left.plot(paper.index, paper[method], color=colour, marker="o", label=name)
    left.axhline(IMAGENET_FULL["R18"], color=GREY, ls="--", lw=1)
    left.set(title="the paper: ImageNet, 1000 classes", ylabel="test accuracy (%)")
    for kind, name, colour in (("hard", "hard", HARD), ("epoch", "soft", SOFT)):
        means = summarised(chosen(outcome.labellers, kind), ["ipc"])
        right.plot(means["ipc"], means["mean"], color=colour, marker="o", label=name)
        right.fill_between(means["ipc"], means["low"], means["high"], color=colour, alpha=0.15, lw=0)
    right.set(title="this run")
    for ax, table in ((left, paper.reset_index()), (right, outcome.labellers)):
        budget_axis(ax, table)
        ax.set_ylim(bottom=0)
        ax.legend(loc="lower right")
    return fig


def gains_by_classes(sweep: pd.DataFrame) -> pd.DataFrame:
    """classes, seed, hard, soft (accuracy in %), gain (points), share (gain over what hard labels leave to be learned, in %).

    `sweep`: a table of `lib.runs.sweeps.sweep_table` over tasks and seeds; a row for each of its runs, at its smallest budget.
    `share` divides by the expert's accuracy less the hard student's: points are worth more where little is left to gain.
    """
    columns = {f"metric.accuracy/{name}": name for name in ("hard", "soft", "full")}
    table = sweep[["seed", *columns]].rename(columns=columns)
    table.insert(0, "classes", [TASKS[task].classes for task in sweep["task"]])
    table["gain"] = table["soft"] - table["hard"]
    table["share"] = 100 * table["gain"] / (table["full"] - table["hard"])
    return table.drop(columns="full").sort_values(["classes", "seed"], ignore_index=True)


def draw_classes(sweep: pd.DataFrame) -> Figure:
    """Accuracy with hard and soft labels, the gain, and its share of what was left to gain, against the number of classes.

    Points are runs of the sweep; lines are means over its seeds with Student's 95 % interval.
    """
    table = gains_by_classes(sweep)
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.6))
    _line(left, table, "hard", HARD)
    _line(left, table, "soft", SOFT)
    left.plot(sorted(table["classes"].unique()), [100 / c for c in sorted(table["classes"].unique())], ":", color="#6B7280")
    left.set(ylabel="test accuracy (%)", title="one image per class; dotted: chance", ylim=(0, None))
    left.legend()
    _line(middle, table, "gain", PALETTE[0])
    middle.set(ylabel="soft less hard (points)", title="the gain", ylim=(min(0.0, table["gain"].min()), None))
    _line(right, table, "share", PALETTE[0])
    right.set(
        ylabel="share of what was left (%)", title="the gain over (expert less hard)", ylim=(min(0.0, table["share"].min()), None)
    )
    for ax in (left, middle, right):
        ticks = sorted(table["classes"].unique())
        ax.set_xscale("log")
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.minorticks_off()
        ax.set_xlabel("classes")
    return fig


def _line(ax: Axes, table: pd.DataFrame, column: str, colour: str) -> None:
    means = summarised(table, ["classes"], column)
    ax.plot(table["classes"], table[column], ".", color=colour, alpha=0.35)
    ax.plot(means["classes"], means["mean"], color=colour, marker="o", label=column)
    ax.fill_between(means["classes"], means["low"], means["high"], color=colour, alpha=0.15, lw=0)
