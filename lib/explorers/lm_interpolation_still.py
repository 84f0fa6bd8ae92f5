"""A still picture of the lm-interpolation explorer for pages that nobody can touch, drawn from the same data."""

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.explorers.lm_interpolation_scene import Scene
from lib.explorers.lm_interpolation_state import PANES, Pane, State
from lib.explorers.lm_interpolation_view import COLOURS, pane_data, tokens_data

FOLD, LINES = 64, 8  # characters of a line of text, and how many lines there is room for


def draw_still(scene: Scene, state: State, panes: Mapping[str, Pane]) -> Figure:
    """Both texts with their scores, and the next token under both mixes."""
    fig = plt.figure(figsize=(11, 7.6), layout="constrained")
    upper, lower = fig.subfigures(2, 1, height_ratios=(1.2, 1))
    for part, pane in zip(upper.subfigures(1, 2), PANES, strict=True):
        page, scores = part.subfigures(2, 1, height_ratios=(1, 1))
        shown = pane_data(scene, state, panes, pane)
        _draw_page(page, shown)
        _draw_scores(scores.subplots(), shown)
        scores.legend(loc="outside lower center", ncols=2)
    _draw_tokens(lower.subplots(), tokens_data(scene, state, panes))
    return fig


def _draw_page(fig: Figure, shown: Mapping[str, Any]) -> None:
    words = shown["error"] or f"{shown['prompt']}{shown['shared']}{shown['rest']}"
    title = _folded(f"{shown['name']}: {shown['mix']}", FOLD)
    below = 0.93 - 0.12 * (1 + title.count("\n"))
    fig.text(0.03, 0.95, title, va="top", color=shown["colour"], parse_math=False)
    lines = _folded(words, FOLD).split("\n")[:LINES]
    fig.text(0.03, below, "\n".join(lines), va="top", family="serif", parse_math=False)


def _draw_scores(ax: Axes, shown: Mapping[str, Any]) -> None:
    bars = shown["bars"]
    places = np.arange(len(bars))[::-1]
    ax.barh(places, [bar.get("predicted", 0) for bar in bars], color=shown["colour"], alpha=0.35, height=0.6, label="predicted")
    known = [(bar["text"], place) for place, bar in zip(places, bars, strict=True) if "text" in bar]
    if known:
        ax.scatter(*zip(*known, strict=True), color="black", zorder=3, label="this text, n = 1")
    ax.set_yticks(places, [bar["name"] for bar in bars])
    ax.set(xlim=(0, 1), xlabel="score")


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
