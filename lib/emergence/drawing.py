"""Figures of the study random-scaling: what the distribution over seeds does as scale grows. Bands are 95 % bootstrap intervals.

Scales stand at equal distances, as the numbers about steps from one to the next see them.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from lib.emergence.companion import Companion
from lib.emergence.density import BINS, GRID, histogram, histogram_mode, kde
from lib.emergence.intervals import incomplete, sound_seeds
from lib.emergence.outcome import Outcome
from lib.emergence.setup import Setup
from lib.emergence.statistics import seed_statistics
from lib.figures import PALETTE, SEQUENTIAL
from lib.seeds import Seeds

GREY = "#9CA3AF"
MODE, MEAN = PALETTE[1], "#000000"
PANELS = {
    "mode_histogram": (f"mode (fullest of {BINS} bins)", MODE),
    "mean": ("mean", MEAN),
    "p_success": ("P(success)", PALETTE[0]),
    "mean_success": ("mean of successes", PALETTE[2]),
}
INVERSE = ("p_success", "mean_success")
TAUS = (0.05, 0.2, 0.4, 0.6, 0.8)
LUCK = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
HEIGHT, STRIP = 0.6, 0.24  # of a ridge's curve and of the seeds below it
GOLDEN = 0.618034  # multiples of it, less whole numbers, fill a strip evenly


def draw_ridge(outcome: Outcome, setup: Setup) -> Figure:
    """The distribution of exact match over seeds, a ridge for each scale and a panel for each exam; below each curve every seed.

    The density is reflected at 0 and 1, and each curve drawn equally high.
    """
    sound = sound_seeds(outcome)
    size = (2.5 * len(sound.lengths) + 0.8, 0.8 * len(sound.scales) + 1.6)
    fig, axes = plt.subplots(1, len(sound.lengths), figsize=size, sharey=True, squeeze=False)
    for ax, length in zip(axes[0], sound.lengths, strict=True):
        for place, row in enumerate(sound.final(length)):
            _ridge(ax, place, row)
        title = f"length {length}{' (trained)' if length <= setup.longest else ''}"
        ax.set(title=title, xlabel="exact match", xticks=[0, 0.5, 1])
        ax.set(xlim=(-0.02, 1.02), ylim=(-STRIP - 0.1, len(sound.scales) - 0.2))
        ax.axvline(setup.tau, color=GREY, ls=":", lw=1.2, label=f"success above {setup.tau:g}")
    axes[0, 0].set_yticks(range(len(sound.scales)), [str(scale) for scale in sound.scales])
    axes[0, 0].set_ylabel(setup.scale)
    handles = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, title=count_words(outcome))
    return fig


def draw_statistics(table: pd.DataFrame, what: str, statistics: Sequence[str] = tuple(PANELS)) -> Figure:
    """A panel for each statistic of a `success_table`; `what`: the name of the scale. `INVERSE`: the two that may part ways."""
    scales = list(dict.fromkeys(table["scale"]))
    fig, axes = plt.subplots(1, len(statistics), figsize=(2.75 * len(statistics) + 0.4, 2.8), sharey=True, squeeze=False)
    for ax, name in zip(axes[0], statistics, strict=True):
        rows, (title, colour) = table[table["statistic"] == name], PANELS[name]
        _band(ax, rows, scales, colour)
        scale_axis(ax, scales, f"{what} ({table['n'].max()} seeds)")
        ax.set(title=title, ylim=(-0.03, 1.03))
        if name == "mean_success":
            ax.set_title(f"{title}, and how many")
            for place, (value, n) in enumerate(zip(rows["value"], rows["n"], strict=True)):
                at = {"xy": (place, 0.03), "xytext": (0, 0)} if np.isnan(value) else {"xy": (place, value), "xytext": (0, -14)}
                ax.annotate(f"{n}", **at, textcoords="offset points", ha="center", fontsize=8)
    axes[0, 0].set_ylabel("exact match, or share of seeds")
    return fig


def draw_distances(distances: pd.DataFrame, success: pd.DataFrame, what: str) -> Figure:
    """W1 and W2 of each scale (`distance_table`) to the previous and to the largest; dashed: where P(success) passes 1/2."""
    scales = list(dict.fromkeys(success["scale"]))
    p = success[success["statistic"] == "p_success"]["value"].to_numpy()
    fig, axes = plt.subplots(1, 2, figsize=(7.6, 3), sharey=True)
    for ax, against in zip(axes, ("previous", "largest"), strict=True):
        for order, colour in ((1, PALETTE[0]), (2, PALETTE[1])):
            rows = distances[(distances["against"] == against) & (distances["p"] == order)]
            _band(ax, rows, scales, colour, label=f"$W_{order}$")
        if (p > 0.5).any():
            ax.axvline((p > 0.5).argmax(), color=GREY, ls="--", lw=1.2, label="first P(success) > 1/2")
        scale_axis(ax, scales, f"{what} ({distances['n'].max()} seeds)")
        ax.set_title(f"distance to the {against} scale")
    axes[0].set(ylabel="Wasserstein distance (exact match)", ylim=(0, 1.05 * max(distances["high"].max(), 0.1)))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return fig


def draw_thresholds(outcome: Outcome, setup: Setup, length: int, seeds: Seeds) -> Figure:
    """P(success) over scale for several thresholds, as where to cut is a convention."""
    sound, (fig, ax) = sound_seeds(outcome), plt.subplots(figsize=(5.6, 3.3))
    runs, scales, taus = sound.final(length), list(sound.scales), sorted({*TAUS, setup.tau})
    widths = np.linspace(5, 1.4, len(taus))  # wide lines below narrow ones, so that equal ones are seen
    for tau, colour, width in zip(taus, shades(len(taus)), widths, strict=True):
        table = seed_statistics(runs, scales, seeds=seeds, tau=tau)
        label = f"{tau:g}{' (here)' if tau == setup.tau else ''}"
        _band(ax, table[table["statistic"] == "p_success"], scales, colour, label, lw=width)
    scale_axis(ax, scales, setup.scale)
    ax.set(title=f"length {length}, {count_words(outcome)}", ylabel="P(exact match > threshold)", ylim=(-0.03, 1.03))
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right center", title="threshold")
    return fig


def draw_companion(model: Companion, tau: float | int) -> Figure:
    """The analytic mixture: its density, its mode beside what is smooth in it, and the curves of seeds that are equally lucky."""
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.3), width_ratios=(1, 1.1, 1))
    picked = np.unique(np.linspace(0, len(model.scales) - 1, 5).round().astype(int))
    for place, colour in zip(picked, shades(len(picked)), strict=True):
        left.plot(GRID, model.pdf(GRID)[place], color=colour, label=f"{model.scales[place]:.3g}")
    left.set(title="density of exact match", xlabel="exact match", ylabel="density", ylim=(0, 8))
    left.legend(title="scale", loc="upper center")
    smooth = {"mean": model.mean(), "P(success)": model.p_success(tau), "mean of successes": model.mean_success(tau)}
    for (name, values), (_, colour) in zip(({"mode": model.mode()} | smooth).items(), PANELS.values(), strict=True):
        middle.plot(model.scales, values, color=colour, label=name, lw=1.5 if name in smooth else 2.4)
    middle.set(title="the mode jumps, nothing else does", xlabel="scale", ylim=(-0.03, 1.03))
    middle.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    for u, colour, curve in zip(LUCK, shades(len(LUCK)), model.quantiles(LUCK), strict=True):
        right.plot(model.scales, curve, color=colour, label=f"{u:g}")
    right.set(title="a seed at the same quantile at all scales", xlabel="scale", ylabel="exact match", ylim=(-0.03, 1.03))
    right.legend(title="quantile", loc="center left", bbox_to_anchor=(1, 0.5))
    return fig


def count_words(outcome: Outcome) -> str:
    """How many seeds are drawn, and how many were left out."""
    lost = incomplete(outcome).any(axis=1)
    return f"{(~lost).sum()} seeds" + (f", {lost.sum()} that diverged left out" if lost.any() else "")


def scale_axis(ax: Axes, scales: Sequence[float | int], what: str) -> None:
    """Scales at equal distances."""
    ax.set_xticks(range(len(scales)), [f"{scale:g}" for scale in scales])
    ax.set(xlabel=what, xlim=(-0.3, len(scales) - 0.7))


def shades(count: int) -> list[str]:
    """Light to dark: low to high."""
    return [to_hex(colour) for colour in plt.get_cmap(f"{SEQUENTIAL}_r")(np.linspace(0.15, 1, count))]


def _ridge(ax: Axes, place: int, row: Float64[np.ndarray, "K"]) -> None:
    density = kde(row, GRID)
    ax.fill_between(GRID, place, place + HEIGHT * density / density.max(), color=PALETTE[0], alpha=0.35, lw=0)
    ax.plot(GRID, place + HEIGHT * density / density.max(), color=PALETTE[0], lw=1.1)
    below = place - 0.05 - STRIP * (np.arange(len(row)) * GOLDEN % 1)
    ax.plot(np.sort(row), below, "o", color=PALETTE[0], ms=2.6, alpha=0.55, mew=0)
    mode = histogram_mode(histogram(row)[None] / len(row))
    ax.plot(mode, [place], "^", color=MODE, ms=7, mec="white", mew=0.6, zorder=4, label="mode")
    ax.plot(row.mean(), place, "D", color=MEAN, ms=5, mec="white", mew=0.6, zorder=4, label="mean")


def _band(
    ax: Axes, rows: pd.DataFrame, scales: Sequence[float | int], colour: str, label: str | None = None, lw: float = 1.8
) -> None:
    """Values with their intervals, as a band, and as bars, for a point without neighbours has no band."""
    places = [scales.index(scale) for scale in rows["scale"]]
    ax.vlines(places, rows["low"], rows["high"], color=colour, lw=1, alpha=0.5)
    ax.plot(places, rows["value"], color=colour, marker="o", ms=4.5, lw=lw, label=label)
    ax.fill_between(places, rows["low"].to_numpy(), rows["high"].to_numpy(), color=colour, alpha=0.15, lw=0)
