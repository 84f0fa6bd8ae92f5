"""Figures of the study soft-labels: what labels buy at each budget. Bars and bands are 95 % intervals over draws."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from lib.distillation.experiment import Outcome, chosen
from lib.distillation.measures import summarised
from lib.figures import PALETTE

GREY = "#9CA3AF"
HARD, SOFT = "#000000", PALETTE[1]


def draw_budgets(outcome: Outcome, experts: pd.DataFrame) -> Figure:
    """Accuracy against images per class: hard labels, an expert's after each epoch, the best of them, prototypes, CutMix views.

    `experts`: the table of `Prepared`; the dashed line is the main experts' own accuracy after their last epoch.
    """
    table, (fig, ax) = outcome.labellers, plt.subplots(figsize=(7.6, 4.2))
    by_epoch = summarised(table[table["kind"] == "epoch"], ["epoch", "ipc"])
    for colour, (epoch, rows) in zip(shades(by_epoch["epoch"].nunique()), by_epoch.groupby("epoch"), strict=True):
        ax.plot(rows["ipc"], rows["mean"], color=colour, lw=1.2, marker=".", label=f"soft, epoch {epoch:g}")
    curve(ax, table[table["kind"] == "smoothing"], GREY, "smoothing", ls=":")
    if (table["images"] == "prototypes").any():
        curve(ax, chosen(table, "prototypes hard"), HARD, "prototypes, hard", ls="--", marker="^", lw=1)
        curve(ax, chosen(table, "prototypes epoch"), SOFT, "prototypes, soft", ls="--", marker="^", lw=1)
    if (table["kind"] == "cutmix").any():
        curve(ax, chosen(table, "cutmix"), PALETTE[2], "CutMix, a label for each view", ls="-.", marker="v", lw=1.2)
    curve(ax, table[table["kind"] == "hard"], HARD, "hard", lw=2.4, marker="s")
    curve(ax, chosen(table), SOFT, "soft, epoch by validation", lw=2.4, marker="o")
    full = experts[(experts["expert_lr"] == experts["expert_lr"].iloc[-1]) & (experts["epoch"] == experts["epoch"].max())]
    ax.axhline(full["test"].mean(), color=GREY, ls="--", lw=1)
    ax.text(table["ipc"].min(), full["test"].mean(), "expert, all data", color="#6B7280", va="bottom", fontsize=9)
    budget_axis(ax, table)
    ax.set_ylabel("test accuracy (%)")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right center")
    return fig


def draw_epochs(outcome: Outcome) -> Figure:
    """Gain over hard labels by epoch and budget, and at the smallest budget by epoch and temperature; each row's best framed."""
    gains = _gains(outcome.labellers)
    budgets = gains[gains["kind"] == "epoch"].pivot_table(index="ipc", columns="epoch", values="gain")
    small = gains[gains["kind"].isin(["epoch", "temperature"]) & (gains["ipc"] == gains["ipc"].min())]
    warmth = small.pivot_table(index="temperature", columns="epoch", values="gain")
    fig, axes = plt.subplots(1, 2, figsize=(10, 0.5 * max(len(budgets), len(warmth)) + 1.8))
    reach = max(abs(part.to_numpy()).max() for part in (budgets, warmth))
    for ax, part, title in zip(axes, (budgets, warmth), ("temperature 1", f"{small['ipc'].min()} per class"), strict=True):
        ticks = {
            f"{axis}ticklabels": [f"{value:g}" for value in values] for axis, values in (("x", part.columns), ("y", part.index))
        }
        style = {"cmap": "PuOr_r", "vmin": -reach, "vmax": reach, "cbar": ax is axes[1], "cbar_kws": {"label": "points"}}
        sns.heatmap(part, ax=ax, annot=True, fmt=".1f", **ticks, **style)
        ax.set(xlabel="epoch of the expert", title=f"gain over hard labels, {title}")
        ax.tick_params(axis="y", rotation=0)
        for y, x in enumerate(part.to_numpy().argmax(1)):
            ax.add_patch(plt.Rectangle((x, y), 1, 1, fill=False, edgecolor="black", lw=2))
    axes[0].set_ylabel("images per class")
    axes[1].set_ylabel("temperature")
    return fig


def draw_gains(outcome: Outcome, experts: pd.DataFrame) -> Figure:
    """Gain over hard labels against the labels' entropy, and against the accuracy of the expert; a line for each budget."""
    gains = _gains(outcome.labellers).merge(experts, on=["draw", "expert_lr", "epoch"], suffixes=("", "_expert"))
    means = gains[gains["kind"] == "epoch"].groupby(["ipc", "epoch"])[["gain", "entropy", "test_expert"]].mean().reset_index()
    fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.6), sharey=True)
    names = {"entropy": "mean entropy of the labels (nats)", "test_expert": "accuracy of the expert (%)"}
    for ax, (column, name) in zip(axes, names.items(), strict=True):
        for colour, (ipc, rows) in zip(PALETTE, means.groupby("ipc"), strict=False):
            ax.plot(rows[column], rows["gain"], color=colour, marker="o", ms=4, label=f"{ipc} per class")
        ax.axhline(0, color="black", lw=0.8)
        ax.set_xlabel(name)
    _name_epochs(axes[0], means[means["ipc"] == means["ipc"].min()])
    axes[0].set_ylabel("gain over hard labels (points)")
    axes[0].set_title("small numbers: epoch of the expert")
    axes[1].legend()
    return fig


def _name_epochs(ax: Axes, means: pd.DataFrame) -> None:
    """The epoch above each point, but for points that are as good as at the same entropy."""
    apart, last = 0.04 * np.ptp(means["entropy"]), np.inf
    halo = {"path_effects": [withStroke(linewidth=2.5, foreground="white")], "zorder": 5}
    for row in means.to_dict("records"):
        if abs(row["entropy"] - last) > apart:
            last, place = row["entropy"], (row["entropy"], row["gain"])
            ax.annotate(f"{row['epoch']:g}", place, (0, 5), textcoords="offset points", fontsize=8, ha="center", **halo)


def draw_storage(table: pd.DataFrame) -> Figure:
    """Numbers to store, of pixels and of each kind of label, on a log scale; `table` as of `storage_table`."""
    fig, ax = plt.subplots(figsize=(7, 3.4))
    pixels = table.drop_duplicates("ipc").assign(labels="pixels", label_numbers=lambda rows: rows["pixel_numbers"])
    bars = pd.concat([pixels, table])
    sns.barplot(bars, x="ipc", y="label_numbers", hue="labels", palette=[GREY, *PALETTE[:4]], ax=ax)
    ax.set(yscale="log", xlabel="images per class", ylabel="numbers to store")
    sns.move_legend(ax, "center left", bbox_to_anchor=(1, 0.5), title=None)
    return fig


def curve(ax: Axes, rows: pd.DataFrame, colour: str, label: str, **style: object) -> None:
    """Mean accuracy against budget with its interval."""
    means = summarised(rows, ["ipc"])
    ax.plot(means["ipc"], means["mean"], color=colour, label=label, **style)
    ax.fill_between(means["ipc"], means["low"], means["high"], color=colour, alpha=0.12, lw=0)


def budget_axis(ax: Axes, table: pd.DataFrame) -> None:
    """A logarithmic axis of images per class, marked at the table's budgets."""
    ipcs = sorted(table["ipc"].unique())
    ax.set_xscale("log")
    ax.set_xticks(ipcs, [str(ipc) for ipc in ipcs])
    ax.minorticks_off()
    ax.set_xlabel("images per class")


def shades(count: int) -> list[str]:
    """Light to dark: few to many."""
    return [to_hex(colour) for colour in plt.get_cmap("viridis_r")(np.linspace(0.12, 1, count))]


def _gains(table: pd.DataFrame) -> pd.DataFrame:
    """The rows with `gain`: test accuracy less hard labels' of the same draw and budget."""
    hard = table[table["kind"] == "hard"].set_index(["draw", "ipc"])["test"].rename("hard")
    return table.join(hard, on=["draw", "ipc"]).assign(gain=lambda rows: rows["test"] - rows["hard"])
