"""Figures of the study soft-labels: what is in the labels, and what is lost when they are taken apart."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from lib.distillation.experiment import Outcome
from lib.distillation.labels import class_means
from lib.distillation.learning import Comparison
from lib.distillation.measures import summarised
from lib.distillation.structure import CONTROL, RANDOM
from lib.figures import PALETTE

ARMS = {CONTROL: PALETTE[1], "no image": PALETTE[0], "no label": PALETTE[4], "hard without image": "#000000"}
LABELS = {"hard": "#000000", "expert": PALETTE[1], "ensemble": PALETTE[0], "learned": PALETTE[2]}
MOST_NAMES = 30


def draw_examples(
    pictures: Float[Tensor, "m h w *rgb"],
    q: Float[Tensor, "epochs m C"],
    epochs: Sequence[int],
    names: Sequence[str],
    truth: Int64[Tensor, "m"],
) -> Figure:
    """A column for each image: the image, and below it its label after each of the epochs, true class in colour."""
    fig, axes = plt.subplots(1 + len(epochs), len(pictures), figsize=(1.9 * len(pictures), 1.1 * len(epochs) + 1.6), sharex="row")
    for column, (picture, c) in enumerate(zip(pictures.cpu(), truth.tolist(), strict=True)):
        show_image(axes[0, column], picture)
        axes[0, column].set_title(names[c], loc="center")
        for row, labels in enumerate(q[:, column].cpu(), 1):
            label_bars(axes[row, column], labels, c)
    for row, epoch in enumerate(epochs, 1):
        axes[row, 0].set_ylabel(f"epoch {epoch}")
    for ax in axes[-1]:
        ax.set_xlabel("class")
    return fig


def draw_swap(outcome: Outcome) -> Figure:
    """Accuracy with the k-th largest probability exchanged for the smallest, dashed without; a colour for each budget."""
    fig, ax = plt.subplots(figsize=(6.4, 3.8))
    for colour, (ipc, rows) in zip(PALETTE, outcome.swap.groupby("ipc"), strict=False):
        means = summarised(rows, ["k"]).sort_values("k")
        control, swapped = means[means["k"] == 0].iloc[0], means[means["k"] > 0]
        half = swapped["high"] - swapped["mean"]
        ax.errorbar(swapped["k"], swapped["mean"], yerr=half, color=colour, marker="o", ms=5, capsize=3, label=f"{ipc} per class")
        ax.axhline(control["mean"], color=colour, ls="--", lw=1.2)
        ax.axhspan(control["low"], control["high"], color=colour, alpha=0.08, lw=0)
    ax.set(xlabel="k: rank of the probability exchanged with the smallest", ylabel="test accuracy (%)", ylim=(0, None))
    if outcome.swap["k"].max() > MOST_NAMES:
        ax.set_xscale("log")
    else:
        ax.set_xticks(sorted(set(outcome.swap["k"]) - {0}))
    ax.legend(loc="lower right", title="dashed: labels as they are")
    return fig


def draw_structure(outcome: Outcome) -> Figure:
    """Accuracy with labels as they are, and with what makes them more than soft taken away; black: hard labels."""
    budgets = sorted(outcome.structure["ipc"].unique())
    hard = summarised(outcome.labellers[outcome.labellers["kind"] == "hard"], ["ipc"]).assign(arm="hard")
    table = pd.concat([summarised(outcome.structure, ["ipc", "arm"]), hard])
    fig, axes = plt.subplots(1, len(budgets), figsize=(3.4 * len(budgets) + 1.8, 2.7), sharey=True, squeeze=False)
    for ax, ipc in zip(axes[0], budgets, strict=True):
        rows = table[table["ipc"] == ipc].reset_index(drop=True)
        for y, row in rows.iterrows():
            colour = {CONTROL: PALETTE[1], "hard": "#000000"}.get(row["arm"], PALETTE[0])
            ax.plot([row["low"], row["high"]], [y, y], color=colour, lw=2.5, solid_capstyle="butt")
            ax.plot(row["mean"], y, "o", color=colour, ms=7)
        ax.set(title=f"{ipc} per class", xlabel="test accuracy (%)", ylim=(len(rows) - 0.5, -0.5))
    axes[0, 0].set_yticks(range(len(rows)), rows["arm"].replace({CONTROL: "expert's labels"}))
    return fig


def draw_selection(outcome: Outcome, pictures: Float[Tensor, "bins m h w *rgb"]) -> Figure:
    """Some images of each bin of difficulty, and accuracy against the bin with soft and hard labels; dashed: random images."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), width_ratios=(1, 1.25))
    rows = [torch.cat(list(row), dim=1) for row in pictures.cpu()]
    left.imshow(torch.cat(rows).numpy(), cmap="gray_r", vmin=0, vmax=1)
    side, count = pictures.shape[2], len(pictures)
    left.set_yticks([side * (b + 0.5) for b in range(count)], [str(b + 1) for b in range(count)])
    left.set(xticks=[], ylabel="bin", title="images of one draw: easy ones above, hard ones below")
    left.grid(False)
    for name, colour in (("soft", PALETTE[1]), ("hard", "#000000")):
        table = summarised(outcome.selection[outcome.selection["labels"] == name], ["bin"])
        random, bins = table[table["bin"] == RANDOM].iloc[0], table[table["bin"] != RANDOM]
        right.errorbar(
            bins["bin"] + 1, bins["mean"], yerr=bins["high"] - bins["mean"], color=colour, marker="o", ms=5, capsize=3,
            label=f"{name} labels",
        )  # fmt: skip
        right.axhline(random["mean"], color=colour, ls="--", lw=1.2)
    right.set(xlabel="bin, from easy to hard", ylabel="test accuracy (%)", title=f"{outcome.selection['ipc'].iloc[0]} per class")
    right.set_xticks(range(1, count + 1))
    right.legend(title="dashed: random images")
    return fig


def draw_similarity(q: Float[Tensor, "n C"], truth: Int64[Tensor, "n"], names: Sequence[str]) -> Figure:
    """The mean soft label of each true class without its own entry, classes in the order of average-linkage clustering."""
    means = class_means(q, truth).cpu().numpy()
    alike = (means + means.T) / 2
    apart = alike.max() - alike
    np.fill_diagonal(apart, 0)
    order = leaves_list(linkage(squareform(apart, checks=False), "average", optimal_ordering=True))
    np.fill_diagonal(means, np.nan)
    few = len(names) <= MOST_NAMES
    ticks = [names[c] for c in order] if few else False
    size = 0.34 * len(names) + 2.2 if few else 7
    fig, ax = plt.subplots(figsize=(size + 0.9, size))
    bar = {"label": "mean probability", "shrink": 0.8}
    sns.heatmap(
        means[np.ix_(order, order)], ax=ax, cmap="viridis", square=True, xticklabels=ticks, yticklabels=ticks, cbar_kws=bar
    )
    ax.set(xlabel="class in the label", ylabel="true class")
    ax.grid(False)
    ax.tick_params(axis="y", rotation=0)
    return fig


def draw_zero(outcome: Outcome, names: Sequence[str]) -> Figure:
    """Accuracy on a class with all data, without its images, without its label, and with hard labels and no image of it."""
    budgets = sorted(outcome.zero["ipc"].unique())
    fig, axes = plt.subplots(
        len(budgets), 1, figsize=(1.1 * outcome.zero["subject"].nunique() + 3.4, 2.4 * len(budgets)), squeeze=False
    )
    for ax, ipc in zip(axes[:, 0], budgets, strict=True):
        rows = outcome.zero[outcome.zero["ipc"] == ipc].assign(name=lambda found: [names[s] for s in found["subject"]])
        sns.barplot(rows, x="name", y="test", hue="arm", palette=ARMS, ax=ax, errorbar=None, legend=ax is axes[0, 0])
        sns.stripplot(
            rows, x="name", y="test", hue="arm", dodge=True, palette=["#374151"] * len(ARMS), size=2.5, ax=ax, legend=False
        )
        ax.set(title=f"{ipc} per class", xlabel="", ylabel="accuracy on it (%)", ylim=(-2, 102))
    axes[-1, 0].set_xlabel("the class left out (dots: draws)")
    handles, found = axes[0, 0].get_legend_handles_labels()
    axes[0, 0].get_legend().remove()
    fig.legend(handles, found, loc="outside right center")
    return fig


def draw_learned(comparison: Comparison, outcome: Outcome, pictures: Float[Tensor, "n h w *rgb"], names: Sequence[str]) -> Figure:
    """Labels of three images by an expert, by all of them and learned without any; and how far the kinds of label are apart."""
    fig, axes = plt.subplots(1, 4, figsize=(13, 3.2), width_ratios=(1, 1, 1, 1.1))
    unsure = comparison.labels["learned"].amax(1).argsort()[:3].tolist()
    for ax, i in zip(axes, unsure, strict=False):
        _label_groups(ax, comparison, i, names)
        show_image(ax.inset_axes((0.7, 0.62, 0.3, 0.36)), pictures[i].cpu())
    axes[0].set_ylabel("probability")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
    kinds = list(comparison.labels)
    matrix = outcome.learned.groupby("arm")[[f"js {arm}" for arm in kinds]].mean().loc[kinds].set_axis(kinds, axis=1)
    sns.heatmap(matrix, ax=axes[3], annot=True, fmt=".3f", cmap="viridis_r", square=True, cbar=False)
    axes[3].set(title="Jensen-Shannon divergence (nats)", ylabel="")
    axes[3].tick_params(axis="y", rotation=0)
    axes[3].tick_params(axis="x", rotation=30)
    return fig


def show_image(ax: Axes, image: Float[Tensor, "h w *rgb"]) -> None:
    """Grey levels as black on white, colours as they are, without axes."""
    ax.imshow(image.numpy(), cmap="gray_r", vmin=0, vmax=1)
    ax.set_axis_off()


def label_bars(ax: Axes, labels: Float[Tensor, "C"], truth: int) -> None:
    """One label, its true class in colour."""
    colours = [PALETTE[1] if c == truth else "#9CA3AF" for c in range(len(labels))]
    ax.bar(range(len(labels)), labels.tolist(), color=colours, width=0.85)
    ax.set(ylim=(0, 1), yticks=[0, 1])
    ax.set_xticks(range(len(labels)) if len(labels) <= MOST_NAMES else [])
    ax.tick_params(labelsize=7)


def _label_groups(ax: Axes, comparison: Comparison, i: int, names: Sequence[str]) -> None:
    """All kinds of label of image i, on the classes that any of them finds likely."""
    largest = np.stack([q[i].cpu().numpy() for q in comparison.labels.values()]).max(0)
    classes = np.sort(np.argsort(-largest)[:6])
    width = 0.8 / len(comparison.labels)
    for place, (arm, q) in enumerate(comparison.labels.items()):
        ax.bar(np.arange(len(classes)) + (place - 1.5) * width, q[i].cpu().numpy()[classes], width, color=LABELS[arm], label=arm)
    ax.set_xticks(range(len(classes)), [names[c] for c in classes], rotation=0 if max(map(len, names)) < 4 else 35)
    ax.set(ylim=(0, 1.3), xlabel="class", yticks=[0, 0.5, 1])
