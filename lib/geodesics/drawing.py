"""Figures of the study dataset-geodesics, drawn from what was computed elsewhere."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation
from torch import Tensor

from lib.figures import PALETTE
from lib.geodesics.arms import FEW, GEODESIC, NEAREST
from lib.geodesics.checks import ToyReport
from lib.geodesics.transfer import Trial
from lib.transport.geodesics import SoftCloud
from lib.transport.labels import LabelledData

GREY = "#9CA3AF"
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])  # of the triangle of weights


def draw_toy(report: ToyReport) -> Figure:
    """The base above the plane of the sources, P_a* below it, and what mixup makes of the same weights; two views."""
    fig = plt.figure(figsize=(9.5, 4.2))
    hull = report.hull
    clouds = {"base Q": (hull.base, "#000000", "o"), "$P_{a^*}$": (hull.at(report.best.weights), PALETTE[1], "D")}
    others = (PALETTE[0], PALETTE[2], PALETTE[3])
    clouds |= {f"source {i}": (each, colour, "^") for i, (each, colour) in enumerate(zip(hull.sources, others, strict=True), 1)}
    clouds["mixup"] = (report.mixed, GREY, ".")
    for place, (elevation, azimuth, title) in enumerate(((14, -62, "from the side"), (90, -90, "from above"))):
        ax = fig.add_subplot(1, 2, place + 1, projection="3d")
        for name, (cloud, colour, marker) in clouds.items():
            x, y, z = cloud.features.cpu().T
            ax.scatter(x, y, z, s=9, color=colour, marker=marker, label=name, alpha=0.55, linewidths=0, depthshade=False)
        ax.view_init(elevation, azimuth)
        ax.set(title=title, xlabel="$x_1$", ylabel="$x_2$", zlabel="" if elevation == 90 else "$x_3$")
        if elevation == 90:
            ax.set_zticks([])
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=len(clouds), markerscale=2)
    return fig


def _image(ax: Axes, row: Tensor, side: int) -> None:
    ax.imshow(row.view(side, side).cpu(), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)


def draw_sets(sets: Mapping[str, Float[Tensor, "n d"]], side: int, columns: int = 12) -> Figure:
    """A row of images from each set; the same column of sets that share a base shows the same base point."""
    fig, axes = plt.subplots(len(sets), columns, figsize=(0.62 * columns + 1.4, 0.68 * len(sets)), squeeze=False)
    for row, (name, images) in zip(axes, sets.items(), strict=True):
        for ax, image in zip(row, images[:columns], strict=False):
            _image(ax, image, side)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return fig


def draw_label_table(trial: Trial) -> Figure:
    """Squared distances between the target's (guessed) classes and those of every source."""
    base, parts = trial.episode.base, trial.episode.sources
    table = trial.hull.table[: base.classes, base.classes :].cpu().numpy()
    fig, ax = plt.subplots(figsize=(0.3 * table.shape[1] + 2.2, 0.28 * len(table) + 1.6))
    sns.heatmap(table, ax=ax, cmap="viridis_r", cbar_kws={"label": "$W_2^2$ of two classes"}, yticklabels=base.names)
    names = [name for data in parts.values() for name in data.names]
    ax.set_xticks(np.arange(len(names)) + 0.5, names, rotation=0, fontsize=8)
    edges = np.cumsum([data.classes for data in parts.values()])
    for edge in edges[:-1]:
        ax.axvline(edge, color="white", lw=3)
    for edge, (name, data) in zip(edges, parts.items(), strict=True):
        ax.text(edge - data.classes / 2, -0.3, name, ha="center", va="bottom", fontsize=9)
    ax.set(xlabel="class of a source", ylabel="class of the target")
    return fig


def draw_couplings(trial: Trial) -> Figure:
    """Where the mass of each coupling lies, points sorted by class: blocks say which classes were matched."""
    base, found = trial.episode.base, trial.hull.distances
    fig, axes = plt.subplots(1, len(found), figsize=(3.5 * len(found), 3.6), squeeze=False)
    for ax, distance, (name, source) in zip(axes[0], found, trial.episode.sources.items(), strict=True):
        mass = distance.left.one_hot.T @ (distance.coupling.plan.to(distance.left.features) @ distance.right.one_hot)
        share = (mass / mass.sum(1, keepdim=True)).cpu().numpy()
        names = {"xticklabels": source.names, "yticklabels": base.names}
        sns.heatmap(share, ax=ax, cmap="Blues", vmin=0, vmax=1, cbar=False, square=True, **names)
        ax.tick_params(labelsize=8, rotation=0)
        ax.set(title=f"{name}: distance {distance.value.item():.2f}", xlabel="class of the source")
    axes[0, 0].set_ylabel("class of the target")
    return fig


def draw_path(clouds: Mapping[str, SoftCloud], side: int, columns: int = 12) -> Figure:
    """The same points at several places of a path, one row each."""
    return draw_sets({name: cloud.features for name, cloud in clouds.items()}, side, columns)


def draw_speeds(found: pd.DataFrame) -> Figure:
    """Deviation of the speed from 1 for all pairs of times, and the mean over repeats."""
    fig, ax = plt.subplots(figsize=(5.5, 2.8))
    gap, off = found["t"] - found["s"], (found["speed"] - 1).abs().clip(lower=1e-17)
    ax.semilogy(gap, off, "o", ms=4, alpha=0.5, color=PALETTE[0])
    ax.axhline(1e-6, color=GREY, ls="--", lw=1)
    ax.set(xlabel="$|t - s|$", ylabel="|speed - 1|", title="Constant speed: only rounding is left", ylim=(3e-18, 1e-4))
    return fig


def draw_shifts(angles: Sequence[float], distances: np.ndarray) -> Figure:
    """Distance from a set to itself, turned; one line for each repeat."""
    fig, ax = plt.subplots(figsize=(5, 2.9))
    ax.plot(angles, distances.T, color=PALETTE[0], alpha=0.5, lw=1.2, marker="o", ms=4)
    ax.set(
        xlabel="rotation (degrees)",
        ylabel="labelled distance (squared)",
        xticks=angles,
        title="The further turned, the further away",
    )
    return fig


def draw_triangles(grid: pd.DataFrame, names: Sequence[str], best: Float[Tensor, "3"]) -> Figure:
    """Predicted distance and measured accuracy over the triangle of weights; the star is a*."""
    means = grid.groupby(["a1", "a2", "a3"], as_index=False)[["distance", "accuracy"]].mean()
    places = means[["a1", "a2", "a3"]].to_numpy() @ CORNERS
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.9))
    titles = {"distance": "predicted squared distance to the target", "accuracy": "test accuracy after transfer (%)"}
    for ax, (column, title) in zip(axes, titles.items(), strict=True):
        mesh = Triangulation(*places.T)
        drawn = ax.tricontourf(mesh, means[column], levels=14, cmap="viridis_r" if column == "distance" else "viridis")
        ax.scatter(*places.T, s=9, color="white", linewidths=0)
        ax.scatter(*(best.cpu().double().numpy() @ CORNERS), marker="*", s=240, color=PALETTE[1], edgecolors="white", zorder=3)
        for name, (x, y), low in zip(names, CORNERS, (True, True, False), strict=True):
            ax.text(x, y + (-0.05 if low else 0.03), name, ha="center", va="top" if low else "bottom")
        ax.set(title=title, aspect="equal", xlim=(-0.12, 1.12), ylim=(-0.14, 0.98))
        ax.axis("off")
        fig.colorbar(drawn, ax=ax, shrink=0.75)
    return fig


def draw_arms(summary: pd.DataFrame, sources: Sequence[str]) -> Figure:
    """Accuracy of every arm with its 95 % interval over repeats, best at the top; the dashed line is few-shot only."""
    ordered = summary.sort_values("mean")
    special = {GEODESIC: PALETTE[1], FEW: GREY, NEAREST: GREY} | dict.fromkeys(sources, PALETTE[2])
    colours = [special.get(arm, PALETTE[0]) for arm in ordered.index]
    fig, ax = plt.subplots(figsize=(6.5, 0.32 * len(ordered) + 1))
    for y, (colour, (_, row)) in enumerate(zip(colours, ordered.iterrows(), strict=True)):
        ax.plot([row["low"], row["high"]], [y, y], color=colour, lw=2.5, solid_capstyle="butt")
        ax.plot(row["mean"], y, "o", color=colour, ms=7)
    ax.axvline(summary.loc[FEW, "mean"], color=GREY, ls="--", lw=1, zorder=0)
    ax.set_yticks(range(len(ordered)), ordered.index)
    ax.set(xlabel=f"target test accuracy (%), mean and 95 % interval over {int(ordered['n'].iloc[0])} repeats")
    return fig


def examples(data: LabelledData, count: int) -> Float[Tensor, "k d"]:
    """`count` images of a set, taking its classes in turn."""
    by_class = [(data.labels == c).nonzero()[:, 0] for c in range(data.classes)]
    rounds = range(1 + count // data.classes)
    rows = [int(rows[k]) for k in rounds for rows in by_class if k < len(rows)]
    return data.features[rows[:count]]
