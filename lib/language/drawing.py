"""Figures of sliders: what alpha does to style, likelihood and language. Bands and bars: 95 % intervals (`lib.language.curves`).

Shades: within 0..1 the anchors' own line, up to -1 and 2 what the paper's code marks as stable extrapolation, beyond as unstable.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.figures import PALETTE
from lib.language.weights import STABLE

REGIONS = ((STABLE[0], 0.0, "#F5EBD3"), (0.0, 1.0, "#DDEFE6"), (1.0, STABLE[1], "#F5EBD3"))
WORDS = "green: between the anchors; sand: stable extrapolation (paper); grey: beyond"
OUTSIDE = "#E5E7EB"
GREY = "#6B7280"
WIDTH = 2.9  # of a panel
SIDES = {"positive": ("positive texts", PALETTE[2]), "negative": ("negative texts", PALETTE[1])}
CONTROLS = {
    "alpha": ("true labels", PALETTE[0], "o"),
    "shuffled": ("shuffled labels", GREY, "s"),
    "swapped": ("sides exchanged", PALETTE[1], "v"),
    "mixture": ("trained on mixed texts", PALETTE[2], "D"),
}


def draw_sliders(curves: pd.DataFrame, base: pd.DataFrame) -> Figure:
    """Above the score of generated texts, below the margin of unseen texts, over alpha; a column for each attribute."""
    names = list(dict.fromkeys(curves["attribute"]))
    fig, axes = plt.subplots(2, len(names), figsize=(WIDTH * len(names) + 0.6, 5.4), sharex=True, squeeze=False, sharey="row")
    for column, name in enumerate(names):
        own = curves[curves["attribute"] == name]
        top, low = axes[0, column], axes[1, column]
        for ax, quantity in ((top, "score"), (low, "margin")):
            shade(ax, own["alpha"])
            level = base[(base["attribute"] == name) & (base["quantity"] == quantity)]["value"].iloc[0]
            ax.axhline(level, color=GREY, ls=":", lw=1.2, label="without anchors")
        scores = own[own["quantity"] == "score"]
        for place, (judge, rows) in enumerate(scores.groupby("judge", sort=False)):
            band(top, rows, "alpha", PALETTE[place], f"judge: {judge}", second=place > 0)
        margins = own[own["quantity"] == "margin"]
        band(low, margins, "alpha", PALETTE[3], "margin of unseen texts")
        _chord(low, margins)
        top.set_title(name)
        low.set_xlabel("alpha")
    axes[0, 0].set_ylabel("score (share of judge's gap)")
    axes[1, 0].set_ylabel("margin (nats per token)")
    _legend(fig, [axes[0, 0], axes[1, 0]])
    return fig


def draw_sides(curves: pd.DataFrame) -> Figure:
    """What unseen texts of both sides cost over alpha."""
    names = list(dict.fromkeys(curves["attribute"]))
    fig, axes = plt.subplots(1, len(names), figsize=(WIDTH * len(names) + 0.6, 3.1), squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        shade(ax, curves["alpha"])
        for quantity, (label, colour) in SIDES.items():
            band(ax, curves[(curves["attribute"] == name) & (curves["quantity"] == quantity)], "alpha", colour, label)
        ax.set(title=name, xlabel="alpha")
    axes[0, 0].set_ylabel("nats per token of unseen texts")
    _legend(fig, [axes[0, 0]])
    return fig


def draw_language(curves: pd.DataFrame, fluency: pd.DataFrame, base: float) -> Figure:
    """Plain prose under every mix, and how varied and how repetitive the generated texts are."""
    fig, axes = plt.subplots(1, 3, figsize=(11, 3.3))
    rows = curves[curves["quantity"] == "neutral"]
    axes[0].axhline(base, color=GREY, ls=":", lw=1.2, label="without anchors")
    for place, name in enumerate(dict.fromkeys(rows["attribute"])):
        band(axes[0], rows[rows["attribute"] == name], "alpha", PALETTE[place], name)
        own = fluency[fluency["attribute"] == name]
        for ax, quantity in zip(axes[1:], ("distinct", "repetition"), strict=True):
            ax.plot(own["alpha"], own[quantity], color=PALETTE[place], marker="o", ms=4, label=name)
    axes[0].set(title="plain prose", ylabel="bits per byte", yscale="log")
    axes[0].yaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: f"{value:g}"))
    axes[0].yaxis.set_minor_formatter(plt.FuncFormatter(lambda value, _: f"{value:g}"))
    axes[1].set(title="variety", ylabel="different pairs of words, share", ylim=(0, 1.02))
    axes[2].set(title="repetition", ylabel="words said again within four", ylim=(0, None))
    for ax in axes:
        shade(ax, rows["alpha"])
        ax.set_xlabel("alpha")
    _legend(fig, [axes[0]])
    return fig


def draw_controls(table: pd.DataFrame, attribute: str) -> Figure:
    """The slider of the first attribute beside those of the controls."""
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    for control, rows in table.groupby("control", sort=False):
        label, colour, marker = CONTROLS[str(control)]
        chosen = rows[rows["alpha"].between(0, 1)]
        band(ax, chosen, "alpha", colour, label, marker=marker, line=control != "mixture")
    ax.set(title=attribute, xlabel="alpha", ylabel="margin (0 and 1: the anchors)")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right center")
    return fig


def draw_lambdas(table: pd.DataFrame) -> Figure:
    """How far a mix is on its way to an attribute's positive anchor as that attribute gets more weight."""
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    for place, name in enumerate(dict.fromkeys(table["attribute"])):
        band(ax, table[table["attribute"] == name], "lambda", PALETTE[place], name)
    for level in (0, 1):
        ax.axhline(level, color=GREY, ls=":", lw=1.2)
    ax.set(xlabel="lambda of the attribute, at its positive anchor", ylabel="margin (0 and 1: its anchors)")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right center")
    return fig


def draw_turn(table: pd.DataFrame, attribute: str) -> Figure:
    """What second halves of texts score, by the slider before and after the turn."""
    fig, ax = plt.subplots(figsize=(5.8, 3.2))
    for before, colour in ((0, PALETTE[1]), (1, PALETTE[2])):
        rows = table[table["before"] == before].assign(at=lambda t, b=before: t["after"] + 0.06 * (2 * b - 1))
        band(ax, rows, "at", colour, f"first half written at alpha {before}", shaded=False)
    ax.set(title=attribute, xticks=[0, 1], xlim=(-0.4, 1.4), xlabel="alpha of the second half", ylabel="score of the second half")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def draw_tokens(table: pd.DataFrame, prefix: str, attribute: str, most: int = 8) -> Figure:
    """The next token's distribution over alpha: no sampling, one line for each of the tokens that move most."""
    wide = table.pivot(index="alpha", columns="id", values="probability")
    words = dict(zip(table["id"], table["token"], strict=True))
    moved = (wide.max() - wide.min()).sort_values(ascending=False).index[:most]
    fig, ax = plt.subplots(figsize=(7, 3.6))
    shade(ax, table["alpha"])
    for place, token in enumerate(moved):
        ax.plot(wide.index, wide[token], color=PALETTE[place % len(PALETTE)], marker="o", ms=3.5, label=_shown(words[token]))
    ax.set(title=f"{attribute}: {prefix} ...", xlabel="alpha", ylabel="P(next token)", ylim=(0, None))
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right center", title="next token")
    return fig


def _shown(token: str) -> str:
    """A token as a reader can see it; a dollar sign would begin a formula."""
    return repr(token.strip() or token).strip("'\"").replace("$", r"\$")


def shade(ax: Axes, alphas: Sequence[float] | pd.Series) -> None:
    """The regions of alpha behind the curves."""
    low, high = min(alphas), max(alphas)
    room = 0.04 * (high - low)
    ax.set_xlim(low - room, high + room)
    ax.axvspan(low - room, high + room, color=OUTSIDE, lw=0, zorder=0)
    for start, end, colour in REGIONS:
        start, end = (start if start > low else low - room), (end if end < high else high + room)
        if start < end:
            ax.axvspan(start, end, color=colour, lw=0, zorder=0)
    ax.grid(False)


def band(
    ax: Axes, rows: pd.DataFrame, x: str, colour: str, label: str, *,
    second: bool = False, marker: str = "o", line: bool = True, shaded: bool = True,
) -> None:  # fmt: skip
    """Values with their intervals, as a band and as bars; `second` opinions are dashed and have no band."""
    style = {"color": colour, "marker": marker, "ms": 4, "lw": 1.2 if second else 1.8}
    ax.plot(rows[x], rows["value"], ls="--" if second else "-" if line else "", label=label, **style)
    if not second:
        ax.vlines(rows[x], rows["low"], rows["high"], color=colour, lw=1, alpha=0.6)
        if shaded and line:
            ax.fill_between(rows[x], rows["low"].to_numpy(float), rows["high"].to_numpy(float), color=colour, alpha=0.18, lw=0)


def _chord(ax: Axes, rows: pd.DataFrame) -> None:
    """The straight line through both anchors, drawn on to the last alphas: what affine would be."""
    values = rows.set_index("alpha")["value"]
    ends = [rows["alpha"].min(), rows["alpha"].max()]
    low, high = ax.get_ylim()
    ax.plot(
        ends, [values[0.0] + end * (values[1.0] - values[0.0]) for end in ends], color="#000000", lw=0.8, label="straight line"
    )
    ax.set_ylim(min(low, rows["low"].min()), max(high, rows["high"].max()))


def _legend(fig: Figure, axes: Sequence[Axes]) -> None:
    handles = dict(pair for ax in axes for pair in zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(4, len(handles)), title=WORDS)
