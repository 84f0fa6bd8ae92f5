"""A still picture of the lm-interpolation explorer for pages that nobody can touch, drawn from the same data."""

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lib.explorers.lm_interpolation_scene import Scene
from lib.explorers.lm_interpolation_state import PANES, Pane, State
from lib.explorers.lm_interpolation_view import COLOURS, pane_data, tokens_data

FOLD, LINES = 68, 8  # characters of a line of text, and how many lines are shown at most
LINE = 0.2  # inches of a line of words
GREY = "#6B7280"
PREDICTED, WRITTEN = "predicted: straight lines through measured scores, weighted by λ", "this text, n = 1"


def draw_still(scene: Scene, state: State, panes: Mapping[str, Pane]) -> Figure:
    """Both texts with their scores, and the next token under both mixes."""
    both, after = [pane_data(scene, state, panes, pane) for pane in PANES], tokens_data(scene, state, panes)
    pages = [_page(shown) for shown in both]
    heads, bodies = (max(1 + part.count("\n") for part in parts) for parts in zip(*pages, strict=True))
    rows = (LINE * (heads + bodies + 2), 1.2 + 0.34 * len(scene.sides), 1.2 + 0.28 * len(after["bars"]))
    fig = plt.figure(figsize=(11, sum(rows)), layout="constrained")
    upper, middle, lower = fig.subfigures(3, 1, height_ratios=rows)
    for part, shown, (head, body) in zip(upper.subfigures(1, 2), both, pages, strict=True):
        part.text(0.03, 1 - 0.5 * LINE / rows[0], head, va="top", color=shown["colour"], parse_math=False)
        below = 1 - LINE * (heads + 1) / rows[0]
        part.text(0.03, below, body, va="top", family="serif", parse_math=False)
    for ax, shown in zip(middle.subplots(1, 2), both, strict=True):
        _draw_scores(ax, shown)
    marks = [Patch(color=GREY, alpha=0.35, label=PREDICTED), Line2D([], [], color="black", marker="o", ls="", label=WRITTEN)]
    middle.legend(handles=marks, loc="outside lower center", ncols=2)
    _draw_tokens(lower.subplots(), after)
    return fig


def _page(shown: Mapping[str, Any]) -> tuple[str, str]:
    """A pane's mix and its text, in lines."""
    words = shown["error"] or f"{shown['prompt']}{shown['shared']}{shown['rest']}"
    lines = _folded(words, FOLD).split("\n")[:LINES]
    return _folded(f"{shown['name']}: {shown['mix']}", FOLD), "\n".join(lines)


def _draw_scores(ax: Axes, shown: Mapping[str, Any]) -> None:
    bars = shown["bars"]
    places = np.arange(len(bars))[::-1]
    ax.barh(places, [bar.get("predicted", 0) for bar in bars], color=shown["colour"], alpha=0.35, height=0.6)
    known = [(bar["text"], place) for place, bar in zip(places, bars, strict=True) if "text" in bar]
    if known:
        ax.scatter(*zip(*known, strict=True), color="black", zorder=3)
    ax.set_yticks(places, [bar["name"] for bar in bars])
    ax.set(xlim=(0, 1), xlabel="score (the judge's probability)")


def _draw_tokens(ax: Axes, shown: Mapping[str, Any]) -> None:
    places = np.arange(len(shown["bars"]))[::-1]
    for pane, away in zip(PANES, (0.2, -0.2), strict=True):
        shares = [100 * (bar[pane] or 0) for bar in shown["bars"]]
        ax.barh(places + away, shares, color=COLOURS[pane], height=0.38, label=pane.upper())
    ax.set_yticks(places, [bar["token"].replace("$", r"\$") for bar in shown["bars"]])
    ax.set_xlabel("probability of the next token, %")
    ax.set_title(_folded(f"The next token after “{shown['prompt']}”. {shown['note']}", 120), loc="left", parse_math=False)
    ax.legend(loc="lower right")


def _folded(words: str, width: int) -> str:
    """Lines of a width, without what no font can draw."""
    plain = "".join(each if each.isprintable() else " " for each in words)
    return "\n".join(textwrap.wrap(plain, width))
