"""Figures of how anchors lie to one another, and of what they do to one another."""

from collections.abc import Sequence
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.tri import TriAnalyzer, Triangulation

from lib.figures import PALETTE, SEQUENTIAL
from lib.language.geometry import Gram, Map
from lib.language.measures_of_anchors import direction_cosine

DIVERGING = "PuOr_r"
SHADES = Normalize(-1.15, 1.15)  # a little beyond 1, where the ends of the colours are too dark for black words
UNSURE, UNDEFINED = 0.3, "#E5E7EB"  # how much colour is left to a cell whose interval contains 0; a cell without a value
GREY = "#6B7280"
HALO = [withStroke(linewidth=2.5, foreground="white")]  # keeps words readable on lines and colours
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])  # of a triangle, one for each attribute
FEW = 15  # points of a triangle that have room for their numbers in print


def draw_entanglement(table: pd.DataFrame) -> Figure:
    """E[i, j]: which sliders (rows) move which attributes (columns), in units of the attribute's own slider."""
    kinds = list(dict.fromkeys(table["by"]))
    names = list(dict.fromkeys(table["moved"]))
    size = 1.05 * len(names) + 1.4
    fig, axes = plt.subplots(1, len(kinds), figsize=(size * len(kinds) + 1.6, size), squeeze=False, sharey=True)
    words = {"margin": "by margin of unseen texts", "score": "by score of generated texts"}
    for ax, by in zip(axes[0], kinds, strict=True):
        mine = table[table["by"] == by]
        value, low, high = (
            mine.pivot(index="moved", columns="read", values=c).loc[names, names] for c in ("value", "low", "high")
        )
        heat(ax, value.to_numpy(float), names, names, np.stack([low, high], axis=-1).astype(float))
        ax.set(title=words[by], xlabel="attribute that is read")
    axes[0, 0].set_ylabel("slider that moves")
    bar = fig.colorbar(ScalarMappable(SHADES, DIVERGING), ax=axes, boundaries=np.linspace(-1, 1, 201), extend="both", aspect=30)
    bar.set_ticks([-1, -0.5, 0, 0.5, 1])
    bar.set_label("share of the attribute's own slider\n(pale: the interval contains 0)", fontsize=9)
    return fig


def draw_cosines(products: Gram) -> Figure:
    """Cosines of all updates, and of the directions of attributes (positive less negative)."""
    labels = [f"{name} {sign}" for name, sign in products.names]
    names = list(dict.fromkeys(name for name, _ in products.names))
    between = np.array([[direction_cosine(products, one, other) for other in names] for one in names])
    cell = 0.6
    width = 3 * len(names) * cell + 4.2
    fig, axes = plt.subplots(1, 2, figsize=(width, len(labels) * cell + 1.3), width_ratios=(2, 1))
    heat(axes[0], products.cosines().numpy(), labels, labels)
    axes[0].set_title("cosine of updates")
    heat(axes[1], between, names, names, digits=3)
    axes[1].set_title("cosine of directions\n(+ less -)")
    return fig


def draw_paths(points: pd.DataFrame, found: Map) -> Figure:
    """The base, the anchors and the mixes between and beyond them on a map that keeps distances of updates."""
    fig, ax = plt.subplots(figsize=(6.6, 6.4))
    for place, (name, rows) in enumerate(points[points["attribute"] != ""].groupby("attribute", sort=False)):
        colour = PALETTE[place % len(PALETTE)]
        ordered = rows.sort_values("alpha")
        for (_, a), (_, b) in pairwise(ordered.iterrows()):
            inside = a["alpha"] >= 0 and b["alpha"] <= 1
            ax.plot([a["x"], b["x"]], [a["y"], b["y"]], color=colour, lw=2.2 if inside else 1, ls="-" if inside else ":")
        ax.plot(ordered["x"], ordered["y"], "o", color=colour, ms=3)
        for alpha, sign in ((1.0, "+"), (0.0, "-")):
            end = ordered[ordered["alpha"] == alpha].iloc[0]
            ax.plot(end["x"], end["y"], "o", color=colour, ms=9, mec="white")
            _name(ax, f"{name} {sign}", end["x"], end["y"])
    ax.plot(0, 0, "*", color="#000000", ms=14)
    away = 20 * _free_way(points[["x", "y"]].to_numpy(float))
    ax.annotate("base", (0, 0), away, textcoords="offset points", fontsize=9, ha="center", va="center", path_effects=HALO)
    ax.margins(0.12)
    ax.set(aspect="equal", xlabel="distance of updates", ylabel="distance of updates")
    ax.set_title(
        f"stress {found.stress:.2f}: distances on the map are off by about {found.stress:.0%}".replace("%", " %")
        + "\nangles near the base are not to scale",
        fontsize=9,
    )
    fig.legend(handles=_signs(points["alpha"]), loc="outside lower center", ncols=2)
    return fig


def _free_way(points: Float64[np.ndarray, "m 2"]) -> Float64[np.ndarray, "2"]:
    """The direction from the origin in which points are farthest from the line of sight: the middle of the widest gap."""
    angles = np.sort(np.arctan2(points[:, 1], points[:, 0])[np.hypot(*points.T) > 0])
    gaps = np.diff(angles, append=angles[0] + 2 * np.pi)
    middle = angles[gaps.argmax()] + gaps.max() / 2
    return np.array([np.cos(middle), np.sin(middle)])


def _signs(alphas: pd.Series) -> list[Line2D]:
    """What marks and lines of the map mean."""
    marks = (("o", 9, "anchor"), ("o", 3, "mix"))
    handles = [Line2D([], [], color=GREY, marker=marker, ms=size, ls="", label=label) for marker, size, label in marks]
    beyond = f"beyond them, to alpha {_number(alphas.min(), 'g')} and {_number(alphas.max(), 'g')}"
    lines = (("-", 2.2, "between two anchors"), (":", 1, beyond))
    return handles + [Line2D([], [], color=GREY, ls=style, lw=width, label=label) for style, width, label in lines]


def _name(ax: Axes, words: str, x: float, y: float) -> None:
    """Words beside a point, away from the middle of the map and off the line on which the point lies."""
    outward = 1 if x >= 0 else -1
    across = np.array([-y, x]) / max(np.hypot(x, y), 1e-12)
    across *= outward * (1 if across[0] >= 0 else -1)
    side = "left" if outward > 0 else "right"
    ax.annotate(words, (x, y), xytext=tuple(14 * across), textcoords="offset points", fontsize=9, ha=side, va="center")


def draw_tied(table: pd.DataFrame) -> Figure:
    """The pair that the texts tie beside the pair that they do not: entanglement and cosine, and what the tie changes."""
    words = {"share": "formality moved by politeness\n(share of formality's own slider)", "cosine": "cosine of the directions"}
    groups = {"apart": "50 % formal\n(apart)", "tied": "70 % formal\n(tied)", "difference": "tied\nless apart"}
    fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.4), gridspec_kw={"wspace": 0.06})
    for ax, (quantity, label) in zip(axes, words.items(), strict=True):
        own = table[table["quantity"] == quantity].set_index("group").loc[list(groups)]
        ax.axvspan(1.5, 2.5, color="#F3F4F6", lw=0, zorder=0)
        ax.axhline(0, color="#000000", lw=0.8)
        for place, (row, colour) in enumerate(zip(own.itertuples(), (PALETTE[0], PALETTE[1], "#000000"), strict=True)):
            ax.vlines(place, row.low, row.high, color=colour, lw=1.8)
            ax.plot(place, row.value, "D" if place == 2 else "o", color=colour, ms=8)
            if np.isnan(row.value):
                ax.text(place, 0, "undefined", ha="center", va="bottom", fontsize=9, color=GREY)
        ax.set_xticks(range(3), list(groups.values()))
        ax.set(xlim=(-0.5, 2.5), ylabel=label)
        ax.grid(False, axis="x")
    return fig


def draw_simplex(table: pd.DataFrame, attributes: Sequence[str]) -> Figure:
    """How near to its positive anchor each of three attributes is read, over all weights lambda that the three may have.

    A triangle for each attribute that is read; a corner is a mix of one attribute alone. Colours between points are linear.

    Errors: ValueError naming the attributes where they are not three.
    """
    names = list(attributes)
    if len(names) != len(CORNERS):
        raise ValueError(f"attributes: got {', '.join(names) or 'none'}, allowed are three: a triangle has three corners")
    shades = Normalize(min(0, table["value"].min()), max(1, table["value"].max()))
    fig, axes = plt.subplots(1, len(names), figsize=(10.6, 3.2))
    for ax, name in zip(axes, names, strict=True):
        _triangle(ax, table[table["read"] == name], names, shades)
        ax.set_title(f"{name} is read", loc="center", pad=16)
    bar = fig.colorbar(ScalarMappable(shades, SEQUENTIAL), ax=axes, shrink=0.85, aspect=18)
    bar.set_label("margin (share of the slider's change;\n0, 1: negative, positive anchor)")
    return fig


def _triangle(ax: Axes, rows: pd.DataFrame, names: list[str], shades: Normalize) -> None:
    lambdas, values = rows[names].to_numpy(float), rows["value"].to_numpy(float)
    x, y = (lambdas @ CORNERS).T
    cells = Triangulation(x, y)
    cells.set_mask(TriAnalyzer(cells).get_flat_tri_mask())  # rounding may leave flat ones along the sides
    if np.isnan(values).any():
        ax.fill(*CORNERS.T, color=UNDEFINED)
        ax.text(0.5, 0.3, "undefined", ha="center", va="center", fontsize=9, color=GREY)
    else:
        ax.tripcolor(cells, values, shading="gouraud", cmap=SEQUENTIAL, norm=shades)
    ax.plot(*CORNERS[[0, 1, 2, 0]].T, color=GREY, lw=1)
    ax.plot(x, y, "o", color="white", ms=4, mec="#000000", mew=0.7)
    if len(rows) <= FEW and not np.isnan(values).any():
        style = {"textcoords": "offset points", "fontsize": 7.5, "ha": "center", "path_effects": HALO}
        for a, b, value in zip(x, y, values, strict=True):
            ax.annotate(_number(value), (a, b), (0, 5), **style)
    for place, name in zip(CORNERS, names, strict=True):
        away = (0, 16) if place[1] else (0, -16)
        ax.annotate(name, place, away, textcoords="offset points", fontsize=9, ha="center", va="center")
    ax.set(aspect="equal", xlim=(-0.14, 1.14), ylim=(-0.12, 0.98))
    ax.axis("off")


def heat(
    ax: Axes,
    values: Float64[np.ndarray, "n m"],
    rows: list[str],
    columns: list[str],
    ends: Float64[np.ndarray, "n m 2"] | None = None,
    digits: int = 2,
) -> None:
    """A heat map around zero with its numbers in it, and below them the ends of their intervals where they are apart.

    Cells whose interval contains 0 are pale, cells without a value grey.
    """
    colours = plt.get_cmap(DIVERGING)(SHADES(np.clip(values, -1, 1)))[..., :3]
    unsure = np.zeros(values.shape, bool) if ends is None else (ends[..., 0] <= 0) & (ends[..., 1] >= 0)
    colours[unsure] = 1 - UNSURE * (1 - colours[unsure])
    colours[np.isnan(values)] = to_rgb(UNDEFINED)
    ax.imshow(colours)
    for (i, j), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.75 and not unsure[i, j] else GREY if unsure[i, j] or np.isnan(value) else "black"
        words = "undefined" if np.isnan(value) else _number(value, f".{digits}f")
        ax.text(j, i, words, ha="center", va="center", fontsize=9, color=colour)
        if ends is not None and np.ptp(ends[i, j]) >= 0.005:
            low, high = (_number(end) for end in ends[i, j])
            ax.text(j, i + 0.25, f"[{low}, {high}]", ha="center", va="center", fontsize=7.5, color=colour)
    ax.set_xticks(range(len(columns)), columns, rotation=30, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _number(value: float, form: str = ".2f") -> str:
    """A number with a true minus sign, and none before a zero."""
    return f"{value:z{form}}".replace("-", "\N{MINUS SIGN}")
