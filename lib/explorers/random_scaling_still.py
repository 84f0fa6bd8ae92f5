"""A still picture of the random-scaling explorer for pages that nobody can touch, drawn from the same frame."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.explorers.random_scaling import Frame, frame
from lib.explorers.random_scaling_runs import POINTS
from lib.explorers.random_scaling_state import STEPS, Scene, State
from lib.explorers.random_scaling_view import COLOURS, PANELS
from lib.explorers.random_scaling_words import TITLES, axis_words, bundle_note, picks, scale_words, subtitle, title

BUNDLE = {"linear": "--", "emergent": "-", "chosen": "-"}


def draw_still(scene: Scene, state: State) -> Figure:
    """The distribution where the state is, the seeds' curves, and the statistics over scale."""
    shown = frame(scene, state)
    fig = plt.figure(figsize=(11, 7.2))
    upper, lower = fig.subfigures(2, 1, height_ratios=(1.05, 1))
    left, right = upper.subfigures(1, 2, width_ratios=(1.35, 1))
    _draw_distribution(left, scene, shown)
    _draw_bundle(right.subplots(), scene, shown)
    right.legend(loc="outside lower center")
    axes = lower.subplots(1, len(shown.panels) + bool(shown.afford), squeeze=False)[0]
    for ax, name in zip(axes, shown.panels, strict=False):
        _draw_panel(ax, scene, shown, name)
    if shown.afford:
        _draw_afford(axes[-1], shown)
    return fig


def _draw_distribution(fig: Figure, scene: Scene, shown: Frame) -> None:
    seen, end = shown.seen, shown.runs.end
    upper, lower = fig.subplots(2, 1, height_ratios=(2.4, 1), sharex=True)
    edges = np.linspace(0, end, len(seen.shares) + 1)
    upper.bar(edges[:-1], 100 * seen.shares, np.diff(edges), align="edge", color=COLOURS["seeds"], alpha=0.38, edgecolor="white")
    upper.plot(POINTS * end, 100 * seen.density, color=COLOURS["seeds"], ls="-" if seen.known else "--")
    upper.axvline(seen.mean, color=COLOURS["chosen"], label=f"mean {seen.mean:.2f}")
    upper.axvline(seen.mode, color=COLOURS["seeds"], label=f"mode {seen.mode:.2f}")
    if not shown.runs.nats:
        upper.axvline(shown.state.tau, color=COLOURS["tau"], ls="--", label=f"success above {shown.state.tau:.2f}")
    upper.set(ylabel="seeds in a bin, %", ylim=(0, 110 * max(seen.shares)), xlim=(-0.01 * end, 1.01 * end))
    upper.set_title(f"{title(scene, shown)}\n{_folded(subtitle(scene, shown), 78)}", fontsize=9.5)
    upper.legend(loc="upper center")
    lower.scatter(seen.dots, seen.lanes, s=9, color=COLOURS["seeds"], alpha=0.75, lw=0)
    lower.set(yticks=[], xlabel=axis_words(shown.state), ylabel="seeds")
    lower.invert_yaxis()


def _draw_bundle(ax: Axes, scene: Scene, shown: Frame) -> None:
    runs, words, places = shown.runs, picks(scene, shown), range(len(shown.runs.scales))
    ax.plot(places, runs.values, color="#9ca3af", lw=0.8, alpha=0.5)
    for name, style in BUNDLE.items():
        if name in words:
            seed = shown.state.seed if name == "chosen" else getattr(runs.picked, name)
            ax.plot(places, runs.values[:, seed], style, color=COLOURS[name], lw=2.4, label=words[name])
    _over_scale(ax, scene, shown)
    ax.set_title(f"Every seed over scale\n{_folded(bundle_note(shown), 60)}", fontsize=9.5)


def _draw_panel(ax: Axes, scene: Scene, shown: Frame, name: str) -> None:
    panel, colour = shown.panels[name], PANELS[name]
    ax.plot(panel.at, panel.value, color=colour, marker="o" if panel.low else None, ms=4)
    if panel.low:
        ax.fill_between(panel.at, panel.low, panel.high, color=colour, alpha=0.16, lw=0)
    _over_scale(ax, scene, shown)
    ax.set_title(TITLES[name])


def _over_scale(ax: Axes, scene: Scene, shown: Frame) -> None:
    """Scales in equal distances, the state's place, and the metric's axis."""
    scales = shown.runs.scales
    ax.axvline(shown.state.step / STEPS, color="#6b7280", lw=1)
    ax.set_xticks(range(len(scales)), [f"{scale:g}" for scale in scales])
    ax.set(xlabel=scale_words(scene, shown.state), ylim=(-0.03 * shown.runs.end, 1.03 * shown.runs.end))


def _draw_afford(ax: Axes, shown: Frame) -> None:
    places, sizes = range(len(shown.afford)), list(shown.afford)
    for i, name in enumerate(("best", "median")):
        colour = COLOURS["seeds"] if name == "best" else COLOURS["median"]
        ax.plot(places, [100 * each[i] for each in shown.afford.values()], color=colour, marker="o", ms=4, label=f"{name} of m")
    ax.axvline(sizes.index(shown.state.afford), color="#6b7280", lw=1)
    ax.set_xticks(places, [str(size) for size in sizes])
    ax.set(xlabel="seeds one can afford, m", ylim=(-3, 103), title="looks emergent, %")
    ax.legend(loc="best")


def _folded(words: str, width: int) -> str:
    return "\n".join(textwrap.wrap(words, width))
