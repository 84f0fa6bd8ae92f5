"""Figures of the study random-scaling in which every seed is seen: curves, pairs of metrics, a heat map, and a control."""

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.emergence.curves import pick_seeds
from lib.emergence.density import level_edges
from lib.emergence.drawing import GREY, MEAN, count_words, scale_axis, shades
from lib.emergence.intervals import sound_seeds
from lib.emergence.outcome import Outcome
from lib.emergence.setup import Setup
from lib.figures import PALETTE

LABEL_ONLY = "A seed's number is only a label: at another scale its parameters have other shapes."
RANKS = {"best": 0.0, "upper quartile": 0.25, "median": 0.5, "lower quartile": 0.75, "worst": 1.0}


def draw_picked(outcome: Outcome, setup: Setup, length: int) -> Figure:
    """All seeds' curves over scale in grey, and the two with the largest breakthroughness B and the largest linearity L."""
    sound, (fig, ax) = sound_seeds(outcome), plt.subplots(figsize=(6.6, 3.9))
    runs, names = sound.final(length), sorted(sound.grades["seed"].unique())
    picked = pick_seeds(runs.T)
    ax.plot(runs, color=GREY, lw=0.9, alpha=0.4)
    for word, row, colour, dash in (("B", picked.emergent, PALETTE[1], "-"), ("L", picked.linear, PALETTE[0], "--")):
        scores = picked.table.loc[row]
        capped = " (capped)" if scores["capped"] else ""
        label = f"largest {word}, seed {names[row]}: B {scores['breakthroughness']:.3g}{capped}, L {scores['linearity']:.2f}"
        ax.plot(runs[:, row], color=colour, ls=dash, marker="o", lw=2.4, label=label)
    scale_axis(ax, sound.scales, setup.scale)
    ax.set(title=f"length {length}, {count_words(outcome)}", ylabel="exact match", ylim=(-0.03, 1.03))
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", title=LABEL_ONLY)
    return fig


def draw_likelihood(outcome: Outcome, setup: Setup, length: int) -> Figure:
    """Exact match against negative log-likelihood, each seed at each scale a dot, with the histogram of both."""
    sound = sound_seeds(outcome)
    exact, nll, colours = sound.final(length), sound.final(length, "nll"), shades(len(sound.scales))
    layout = {"figsize": (6.2, 4.6), "width_ratios": (4, 1), "height_ratios": (1, 4)}
    fig, axes = plt.subplot_mosaic([["top", "."], ["main", "side"]], **layout)
    for scale, x, y, colour in zip(sound.scales, nll, exact, colours, strict=True):
        axes["main"].scatter(x, y, s=22, color=colour, alpha=0.7, linewidths=0, label=f"{scale}")
    stacked = {"stacked": True, "color": colours}
    axes["top"].hist(list(nll), bins=np.histogram_bin_edges(nll, 30), **stacked)
    axes["side"].hist(list(exact), bins=level_edges(setup.questions(length)), orientation="horizontal", **stacked)
    axes["main"].set(xlabel="negative log-likelihood (nats per token)", ylabel="exact match", ylim=(-0.03, 1.03))
    axes["top"].sharex(axes["main"])
    axes["side"].sharey(axes["main"])
    for name, label in (("top", "labelbottom"), ("side", "labelleft")):
        axes[name].tick_params(**{label: False})
    axes["top"].yaxis.get_major_locator().set_params(integer=True)
    axes["top"].set(ylabel="runs", title=f"length {length}, {count_words(outcome)}")
    axes["side"].set_xlabel("runs")
    fig.legend(*axes["main"].get_legend_handles_labels(), loc="outside right center", title=setup.scale)
    return fig


def draw_heat(outcome: Outcome, setup: Setup) -> Figure:
    """Exact match of every seed at every exam length, seeds sorted by their mean; a panel for each scale. Beyond the white line
    lengths are longer than in training.
    """
    sound = sound_seeds(outcome)
    tables = np.stack([sound.final(length) for length in sound.lengths], axis=-1)  # scale, seed, length
    trained = sum(length <= setup.longest for length in sound.lengths)
    size = ((0.32 * len(sound.lengths) + 0.5) * len(sound.scales) + 2, 3.8)
    fig, axes = plt.subplots(1, len(sound.scales), figsize=size, sharey=True)
    for ax, scale, table in zip(axes, sound.scales, tables, strict=True):
        shown = table[np.argsort(-table.mean(1), kind="stable")]
        image = ax.imshow(shown, aspect="auto", vmin=0, vmax=1, interpolation="none")
        ax.axvline(trained - 0.5, color="white", lw=2)
        ax.set_xticks(range(len(sound.lengths)), [str(length) for length in sound.lengths])
        ax.set_title(f"{setup.scale} {scale}", loc="center")
        ax.grid(False)
    axes[0].set(ylabel=f"{count_words(outcome)}, best first", yticks=[])
    fig.supxlabel("length of the exam", fontsize=10)
    fig.colorbar(image, ax=axes, label="exact match", pad=0.02)
    return fig


def draw_training(outcome: Outcome, setup: Setup, scale: int, length: int) -> Figure:
    """Exact match while training at one scale, a few seeds coloured by their rank at the end; and its histogram at the end."""
    sound = sound_seeds(outcome)
    curves = sound.curves(scale, length)
    steps = sorted(sound.grades.loc[sound.grades["scale"] == scale, "step"].unique())
    ranked = np.lexsort((curves.mean(0), curves[-1]))[::-1]
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.5), width_ratios=(4, 1), sharey=True)
    left.plot(steps, curves, color=GREY, lw=0.9, alpha=0.5)
    for (name, rank), colour in zip(RANKS.items(), reversed(shades(len(RANKS))), strict=True):
        left.plot(steps, curves[:, ranked[round(rank * (len(ranked) - 1))]], color=colour, lw=2.2, marker="o", ms=4, label=name)
    left.set(xlabel="training step", ylabel="exact match", ylim=(-0.03, 1.03))
    left.set_title(f"{setup.scale} {scale}, length {length}, {count_words(outcome)}")
    right.hist(curves[-1], bins=level_edges(setup.questions(length)), orientation="horizontal", color=PALETTE[0])
    right.set(xlabel="seeds", title="at the end")
    fig.legend(*left.get_legend_handles_labels(), loc="outside right center", title="rank at the end")
    return fig


def draw_control(outcome: Outcome, setup: Setup, length: int) -> Figure:
    """Control: the final training loss over the same seeds, above their exact match, a column for each scale."""
    sound = sound_seeds(outcome)
    losses = sound.losses.pivot(index="scale", columns="seed", values="loss").to_numpy(np.float64)
    fig, axes = plt.subplots(2, len(losses), figsize=(2.2 * len(losses) + 0.8, 4.2), sharey="row")
    for column, (scale, loss, exact) in enumerate(zip(sound.scales, losses, sound.final(length), strict=True)):
        _marked_histogram(axes[0, column], loss, np.histogram_bin_edges(loss, 15), GREY)
        _marked_histogram(axes[1, column], exact, level_edges(setup.questions(length)), PALETTE[0])
        axes[0, column].set_title(f"{setup.scale} {scale}")
        axes[0, column].locator_params(axis="x", nbins=3)
        axes[0, column].set_xlabel("training loss (nats)")
        axes[1, column].set(xlim=(0, 1), xticks=[0, 0.5, 1], xlabel="exact match")
    for ax in axes[:, 0]:
        ax.set_ylabel("seeds")
    handles = axes[0, 0].get_legend_handles_labels()
    fig.legend(*handles, loc="outside lower center", ncols=2, title=f"length {length}, {count_words(outcome)}")
    return fig


def _marked_histogram(ax: Axes, values: Float64[np.ndarray, "K"], edges: Float64[np.ndarray, "_"], colour: str) -> None:
    ax.hist(values, bins=edges, color=colour)
    ax.yaxis.get_major_locator().set_params(integer=True)
    ax.axvline(values.mean(), color=MEAN, lw=1.4, label="mean")
    ax.axvline(np.median(values), color=PALETTE[1], lw=1.4, ls="--", label="median")
