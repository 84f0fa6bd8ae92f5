"""The figure of re-initialised language models: their answers fall into clusters, their language-model loss does not."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.emergence.density import level_edges
from lib.emergence.drawing import GREY
from lib.emergence.questions import CHANCE
from lib.emergence.reinitialised import Base, TextOutcome
from lib.emergence.text_measures import sound_texts
from lib.emergence.text_setup import TextSetup
from lib.figures import PALETTE

LOSS_BINS = 15


def draw_texts(outcome: TextOutcome, setup: TextSetup, base: Base) -> Figure:
    """A row for each share of questions, the largest on top: on the left seeds by accuracy on held-out questions, with chance,
    the success threshold and the base model before it lost its head; on the right the same seeds by language-model loss.
    """
    sound = sound_texts(outcome)
    accuracy, lm = sound.final(), sound.final("lm")
    fig, axes = plt.subplots(len(accuracy), 2, figsize=(7.6, 1.25 * len(accuracy) + 1.3), sharex="col", squeeze=False)
    edges = np.histogram_bin_edges(lm, LOSS_BINS)
    for (left, right), share, runs, losses in zip(axes[::-1], sound.shares, accuracy, lm, strict=True):
        left.hist(runs, bins=level_edges(setup.questions, 40), color=PALETTE[0])
        right.hist(losses, bins=edges, color=GREY)
        right.axvline(losses.mean(), color="black", lw=1.2, label="mean")
        right.axvline(np.median(losses), color=PALETTE[1], lw=1.2, ls="--", label="median")
        _mark(left, setup, base)
        left.set_ylabel(f"{share:.1%}".replace(".0%", "%"))
        for ax in (left, right):
            ax.yaxis.get_major_locator().set_params(integer=True, nbins=3)
    count = accuracy.shape[1]
    axes[0, 0].set_title(f"answers, {count} seeds at each share")
    axes[0, 1].set_title("reading, the same seeds")
    axes[-1, 0].set(xlabel="accuracy on held-out questions", xlim=(0.1, max(0.8, min(1.0, accuracy.max() + 0.1))))
    axes[-1, 1].set_xlabel("language-model loss (nats per sign)")
    fig.supylabel("seeds, by the share of questions in the mix", fontsize=10)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    fig.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside lower right", ncols=2)
    return fig


def _mark(ax: Axes, setup: TextSetup, base: Base) -> None:
    ax.axvline(CHANCE, color="black", lw=1.2, ls=":", label="chance")
    ax.axvline(setup.tau, color=PALETTE[1], lw=1.2, ls="--", label=f"success above {setup.tau:g}")
    ax.axvline(base.accuracy, color=PALETTE[2], lw=1.2, label="base model")
