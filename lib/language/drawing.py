"""Figures of sliders: what alpha does to style, likelihood and language. Bands and bars: 95 % intervals (`lib.language.curves`).

Shades: within 0..1 the anchors' own line, up to -1 and 2 what the paper's code marks as stable extrapolation, beyond as unstable.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lib.figures import PALETTE
from lib.language.weights import STABLE

BETWEEN, SAND, OUTSIDE = "#DDEFE6", "#F5EBD3", "#E5E7EB"
REGIONS = ((STABLE[0], 0.0, SAND), (0.0, 1.0, BETWEEN), (1.0, STABLE[1], SAND))
SHADES = {BETWEEN: "between the anchors", SAND: "stable extrapolation (paper)", OUTSIDE: "beyond"}
GREY = "#6B7280"
WIDTH = 2.9  # of a panel
NAME = 2.3  # width of a column of the legend
ALONE = "without anchors"
SIDES = {"positive": ("positive texts", PALETTE[2]), "negative": ("negative texts", PALETTE[1])}
CONTROLS = {  # words, colour, marker, and by how much it is moved aside, so that bars at one alpha can be told apart
    "alpha": ("true labels", PALETTE[0], "o", 0),
    "shuffled": ("shuffled labels", GREY, "s", -0.015),
    "swapped": ("sides exchanged", PALETTE[1], "v", 0.015),
    "mixture": ("trained on mixed texts", PALETTE[2], "D", 0.03),
}
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:g} %")
LINE = 0.06  # height of a line of words, as a share of a small panel's height


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
            ax.axhline(level, color=GREY, ls=":", lw=1.2, label=f"{ALONE} (first judge)")
        scores = own[own["quantity"] == "score"]
        for place, (judge, rows) in enumerate(scores.groupby("judge", sort=False)):
            label = f"judge: {judge}, no interval" if place else f"judge: {judge}"
            band(top, rows, "alpha", PALETTE[place], label, second=place > 0)
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
    """How the cost of unseen texts of both sides changes over alpha, as far as extrapolation is stable."""
    names = list(dict.fromkeys(curves["attribute"]))
    near = curves[curves["alpha"].between(*STABLE) & curves["quantity"].isin(SIDES)]
    changes = near.groupby(["attribute", "quantity"], group_keys=False)[near.columns].apply(_changes)
    fig, axes = plt.subplots(1, len(names), figsize=(WIDTH * len(names) + 0.6, 3.6), squeeze=False, sharey=True)
    for ax, name in zip(axes[0], names, strict=True):
        shade(ax, near["alpha"])
        ax.axhline(0, color=GREY, lw=0.8)
        for quantity, (label, colour) in SIDES.items():
            band(ax, changes[(changes["attribute"] == name) & (changes["quantity"] == quantity)], "alpha", colour, label)
        ax.set(title=name, xlabel="alpha")
    axes[0, 0].set(ylabel="cost of unseen texts, change\nfrom alpha 0 (nats per token)", ylim=_limits(changes))
    _legend(fig, [axes[0, 0]])
    return fig


def _changes(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of a curve less its value at alpha 0."""
    start = rows.loc[rows["alpha"] == 0, "value"].item()
    return rows.assign(**{end: rows[end] - start for end in ("value", "low", "high")})


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Limits that show all values, and intervals up to a third beyond them: wider ones would flatten the curves."""
    low, high = rows["value"].min(), rows["value"].max()
    room = (high - low) / 3
    low = max(rows[["value", "low"]].min(axis=None), low - room)
    high = min(rows[["value", "high"]].max(axis=None), high + room)
    return low - room / 10, high + room / 10


def draw_language(curves: pd.DataFrame, fluency: pd.DataFrame, base: float) -> Figure:
    """What plain prose costs under every mix, and what the model without anchors makes of the texts that mixes write."""
    prose = curves[curves["quantity"] == "neutral"]
    written, repeated = (fluency[fluency["quantity"] == quantity] for quantity in ("written", "repetition"))
    panels = (
        ("plain prose", "cost (bits per byte)", prose),
        ("what is written", f"cost {ALONE}\n(nats per token)", written),
        ("repetition", "words said again within four", repeated),
    )
    fig, axes = plt.subplots(1, 3, figsize=(10.8, 3.5), gridspec_kw={"wspace": 0.06})
    axes[0].axhline(base, color="#000000", ls=":", lw=1.2, label=f"{ALONE} (in colour: after the same openings)")
    for ax, (title, label, rows) in zip(axes, panels, strict=True):
        shade(ax, prose["alpha"])
        for place, name in enumerate(dict.fromkeys(prose["attribute"])):
            own = rows[rows["attribute"] == name]
            band(ax, own[own["alpha"].notna()], "alpha", PALETTE[place], name, faint=True)
            for level in own.loc[own["alpha"].isna(), "value"]:
                ax.axhline(level, color=PALETTE[place], ls=":", lw=1.2)
        ax.set(title=title, xlabel="alpha", ylabel=label)
    axes[2].set_ylim(bottom=0)
    axes[2].yaxis.set_major_formatter(PERCENT)
    _legend(fig, [axes[0]])
    return fig


def draw_controls(table: pd.DataFrame, attribute: str) -> Figure:
    """The slider of the first attribute beside those of the controls, and the model without anchors."""
    fig, ax = plt.subplots(figsize=(7.2, 3.7))
    chosen = table[table["alpha"].between(0, 1)]
    for control, rows in chosen.groupby("control", sort=False):
        label, colour, marker, aside = CONTROLS[str(control)]
        moved = rows.assign(at=rows["alpha"] + aside)
        band(ax, moved, "at", colour, label, marker=marker, line=control != "mixture", shaded=control == "alpha")
    for base in table[table["control"] == "base"].itertuples():
        ax.axhline(base.value, color="#000000", ls=":", lw=1.2, label=ALONE)
        ax.axhspan(base.low, base.high, color="#000000", alpha=0.06, lw=0, label="its 95 % interval")
    ax.set(title=attribute, xlabel="alpha", ylabel="change of the margin\n(share of the slider's change)")
    _ends(ax, table, words=False)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return fig


def draw_lambdas(table: pd.DataFrame) -> Figure:
    """How far a mix is on its way to an attribute's positive anchor as that attribute gets more weight."""
    names = list(dict.fromkeys(table["attribute"]))
    fig, axes = plt.subplots(1, len(names), figsize=(2.6 * len(names) + 1.2, 3.2), squeeze=False, sharex=True, sharey=True)
    for place, (ax, name) in enumerate(zip(axes[0], names, strict=True)):
        rows = table[table["attribute"] == name]
        band(ax, rows, "lambda", PALETTE[place], name)
        ax.set(title=name, xlabel=f"lambda of {name}")
        _ends(ax, rows, words=place == len(names) - 1)
    axes[0, 0].set_ylabel("margin (share of the slider's change)")
    return fig


def _ends(ax: Axes, rows: pd.DataFrame, words: bool) -> None:
    """Lines at 0 and 1, with words on the right what these levels are; and a word where shares of a change are undefined."""
    if rows["value"].isna().all():
        note = "undefined: the slider's change\nmay be zero"
        ax.text(0.5, 0.5, note, transform=ax.transAxes, ha="center", va="center", fontsize=9, color=GREY)
    for level in (0, 1):
        ax.axhline(level, color=GREY, lw=0.8, zorder=1)
    if words:
        right = ax.secondary_yaxis("right")
        right.set_yticks([0, 1], ["negative\nanchor", "positive\nanchor"], fontsize=9, color=GREY)
        right.tick_params(length=0)
        right.spines[:].set_visible(False)


def draw_turn(table: pd.DataFrame, attribute: str) -> Figure:
    """What second halves of texts score, by the slider before and after the turn."""
    fig, ax = plt.subplots(figsize=(5.8, 3.4))
    for before, colour in ((0, PALETTE[1]), (1, PALETTE[2])):
        rows = table[table["before"] == before].assign(at=lambda t, b=before: t["after"] + 0.04 * (2 * b - 1))
        band(ax, rows, "at", colour, f"first half written at alpha {before}", shaded=False)
    ax.set(title=attribute, xticks=[0, 1], xlim=(-0.3, 1.3), xlabel="alpha of the second half")
    ax.set_ylabel("score of the second half\n(share of judge's gap)")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return fig


def draw_tokens(table: pd.DataFrame, prefix: str, attribute: str, most: int = 6) -> Figure:
    """The next token's distribution over alpha: no sampling, one line for each of the tokens that move most."""
    wide = table.pivot(index="alpha", columns="id", values="probability")
    words = dict(zip(table["id"], table["token"], strict=True))
    moved = (wide.max() - wide.min()).sort_values(ascending=False).index[:most]
    fig, ax = plt.subplots(figsize=(7, 3.8))
    shade(ax, table["alpha"])
    for place, token in enumerate(moved):
        ax.plot(wide.index, wide[token], color=PALETTE[place % len(PALETTE)], marker="o", ms=3.5)
    ax.set(title=f"{attribute}: “{prefix} …”", xlabel="alpha", ylabel="probability of the next token", yscale="log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(PERCENT)
    ax.yaxis.set_minor_formatter(NullFormatter())
    _name_lines(ax, wide.iloc[-1][moved].to_numpy(float), [_shown(words[token]) for token in moved])
    return fig


def _name_lines(ax: Axes, ends: np.ndarray, labels: Sequence[str]) -> None:
    """The name of each line of a logarithmic panel at its last point, in its colour, and no name on another."""
    low, high = np.log(ax.get_ylim())
    heights = (np.log(ends) - low) / (high - low)
    for line, label, height in zip(ax.lines, labels, _spread(heights, LINE), strict=True):
        ax.text(1.02, height, label, transform=ax.transAxes, color=line.get_color(), va="center")


def _spread(heights: np.ndarray, gap: float) -> np.ndarray:
    """The heights nearest to the given ones (least squares) of which no two are nearer to each other than the gap."""
    from sklearn.isotonic import isotonic_regression

    order, steps = np.argsort(heights), gap * np.arange(len(heights))
    found = np.empty_like(heights)
    found[order] = isotonic_regression(heights[order] - steps) + steps
    return found


def _shown(token: str) -> str:
    """A token as a reader can see it; a dollar sign would begin a formula."""
    return repr(token.strip() or token).strip("'\"").replace("$", r"\$")


def shade(ax: Axes, alphas: Sequence[float] | pd.Series) -> None:
    """The regions of alpha behind the curves."""
    low, high = min(alphas), max(alphas)
    room = 0.04 * (high - low)
    ax.set_xlim(low - room, high + room)
    if low < STABLE[0] or high > STABLE[1]:
        ax.axvspan(low - room, high + room, color=OUTSIDE, lw=0, zorder=0)
    for start, end, colour in REGIONS:
        start, end = (start if start > low else low - room), (end if end < high else high + room)
        if start < end:
            ax.axvspan(start, end, color=colour, lw=0, zorder=0)
    ax.grid(False)


def band(
    ax: Axes, rows: pd.DataFrame, x: str, colour: str, label: str, *,
    second: bool = False, marker: str = "o", line: bool = True, shaded: bool = True, faint: bool = False,
) -> None:  # fmt: skip
    """Values with their intervals, as a band and as bars; `second` opinions are dashed and have no interval, `faint` bands,
    for many curves in one panel, have no bars.
    """
    style = {"color": colour, "marker": marker, "ms": 4, "lw": 1.2 if second else 1.8}
    ax.plot(rows[x], rows["value"], ls="--" if second else "-" if line else "", label=label, **style)
    if not second:
        if not faint:
            ax.vlines(rows[x], rows["low"], rows["high"], color=colour, lw=1, alpha=0.6)
        if shaded and line:
            ends = rows["low"].to_numpy(float), rows["high"].to_numpy(float)
            ax.fill_between(rows[x], *ends, color=colour, alpha=0.09 if faint else 0.18, lw=0)


def _chord(ax: Axes, rows: pd.DataFrame) -> None:
    """The straight line through both anchors: what affine would be."""
    values = rows.set_index("alpha")["value"]
    ax.axline((0, values[0.0]), (1, values[1.0]), color="#000000", lw=0.8, label="straight line")


def _legend(fig: Figure, axes: Sequence[Axes]) -> None:
    """Of the curves and of the shades that the panels show."""
    handles = dict(pair for ax in axes for pair in zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    drawn = {patch.get_facecolor() for ax in axes for patch in ax.patches}
    patches = {words: Patch(color=colour) for colour, words in SHADES.items()}
    handles |= {words: patch for words, patch in patches.items() if patch.get_facecolor() in drawn}
    room = int(fig.get_figwidth() / NAME)
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(room, len(handles)))
