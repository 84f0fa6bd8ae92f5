"""Figures of how anchors lie to one another, and of what they do to one another."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.figures import PALETTE
from lib.language.geometry import Gram, Map
from lib.language.intervals import Measured

DIVERGING = "PuOr_r"


def draw_entanglement(table: pd.DataFrame) -> Figure:
    """E[i, j]: which sliders (rows) move which attributes (columns), in units of the attribute's own slider."""
    kinds = list(dict.fromkeys(table["by"]))
    names = list(dict.fromkeys(table["moved"]))
    size = 1.05 * len(names) + 1.4
    fig, axes = plt.subplots(1, len(kinds), figsize=(size * len(kinds), size), squeeze=False)
    words = {"margin": "by margin of unseen texts", "score": "by score of generated texts"}
    for ax, by in zip(axes[0], kinds, strict=True):
        mine = table[table["by"] == by]
        value, low, high = (
            mine.pivot(index="moved", columns="read", values=c).loc[names, names] for c in ("value", "low", "high")
        )
        heat(ax, value.to_numpy(float), names, names, np.stack([low, high], axis=-1).astype(float))
        ax.set(title=words[by], xlabel="attribute that is read")
    axes[0, 0].set_ylabel("slider that moves")
    return fig


def draw_cosines(products: Gram) -> Figure:
    """Cosines of all updates, and of the directions of attributes (positive less negative)."""
    labels = [f"{name} {sign}" for name, sign in products.names]
    size = 0.62 * len(labels) + 2.2
    fig, ax = plt.subplots(figsize=(size + 0.4, size))
    heat(ax, products.cosines().numpy(), labels, labels)
    ax.set_title("cosine of updates")
    return fig


def draw_paths(points: pd.DataFrame, found: Map) -> Figure:
    """The base, the anchors and the mixes between and beyond them on a map that keeps distances of updates."""
    fig, ax = plt.subplots(figsize=(6.6, 5.2))
    for place, (name, rows) in enumerate(points[points["attribute"] != ""].groupby("attribute", sort=False)):
        colour = PALETTE[place % len(PALETTE)]
        ordered = rows.sort_values("alpha")
        for (_, a), (_, b) in pairwise(ordered.iterrows()):
            inside = a["alpha"] >= 0 and b["alpha"] <= 1
            ax.plot([a["x"], b["x"]], [a["y"], b["y"]], color=colour, lw=2.2 if inside else 1, ls="-" if inside else ":")
        ax.plot(ordered["x"], ordered["y"], "o", color=colour, ms=3, label=str(name))
        for alpha, sign in ((1.0, "+"), (0.0, "-")):
            end = ordered[ordered["alpha"] == alpha].iloc[0]
            ax.plot(end["x"], end["y"], "o", color=colour, ms=9, mec="white")
            _name(ax, f"{name} {sign}", end["x"], end["y"])
    ax.plot(0, 0, "*", color="#000000", ms=14)
    ax.annotate("base", (0, 0), xytext=(0, -18), textcoords="offset points", fontsize=9, ha="center")
    ax.margins(0.15)
    ax.set(aspect="equal", xlabel=f"distance of updates (stress of the map {found.stress:.2f})", ylabel="distance of updates")
    return fig


def _name(ax: Axes, words: str, x: float, y: float) -> None:
    """Words beside a point, away from the middle of the map and off the line on which the point lies."""
    outward = 1 if x >= 0 else -1
    across = np.array([-y, x]) / max(np.hypot(x, y), 1e-12)
    across *= outward * (1 if across[0] >= 0 else -1)
    side = "left" if outward > 0 else "right"
    ax.annotate(words, (x, y), xytext=tuple(14 * across), textcoords="offset points", fontsize=9, ha=side, va="center")


def draw_tied(measured: dict[str, Measured]) -> Figure:
    """The pair that the texts tie beside the pair that they do not: entanglement and cosine."""
    fig, axes = plt.subplots(1, 2, figsize=(7.4, 3.1))
    words = {"share": "formality moved by politeness", "cosine": "cosine of directions"}
    for ax, kind in zip(axes, words, strict=True):
        for place, group in enumerate(("apart", "tied")):
            found = measured[f"{group}/{kind}"]
            ax.bar(place, found.value, width=0.6, color=PALETTE[place])
            if np.isfinite(found.low):
                ax.vlines(place, found.low, found.high, color="#000000", lw=1.4)
        ax.axhline(0, color="#000000", lw=0.8)
        ax.set_xticks([0, 1], ["50 % formal\n(apart)", "70 % formal\n(tied)"])
        ax.set_title(words[kind])
    axes[0].set_ylabel("share of formality's own slider")
    return fig


def heat(
    ax: Axes,
    values: Float64[np.ndarray, "n m"],
    rows: list[str],
    columns: list[str],
    ends: Float64[np.ndarray, "n m 2"] | None = None,
) -> None:
    """A heat map around zero with its numbers in it, and below them the ends of their intervals where they are apart."""
    ax.imshow(np.clip(values, -1, 1), cmap=DIVERGING, vmin=-1.15, vmax=1.15)
    for (i, j), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.75 else "black"
        ax.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=9, color=colour)
        if ends is not None and np.ptp(ends[i, j]) >= 0.005:
            low, high = ends[i, j]
            ax.text(j, i + 0.24, f"[{low:.2f}, {high:.2f}]", ha="center", va="center", fontsize=6.5, color=colour)
    ax.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
