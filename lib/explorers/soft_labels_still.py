"""A still picture of the soft-labels explorer for pages that nobody can touch, drawn from the same frame."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.explorers.soft_labels import described, frame, nearest_text, per_class, readouts
from lib.explorers.soft_labels_charts import ARMS, FAINT, HARD, MUTED, SOFT, SWAP, TOP, TRUE
from lib.explorers.soft_labels_curves import Curve
from lib.explorers.soft_labels_state import Frame, Scene, State


def draw_still(scene: Scene, state: State) -> Figure:
    """The chosen image with its label, what such labels buy, and what else was measured."""
    shown = frame(scene, state)
    panels = [_draw_bought] + [
        draw for draw, found in ((_draw_ranks, shown.swap or shown.top), (_draw_zero, shown.zero)) if found
    ]
    fig = plt.figure(figsize=(11, 6.6))
    upper, lower = fig.subfigures(2, 1, height_ratios=(1, 1.05))
    picture, bars, words = upper.subplots(1, 3, width_ratios=(0.75, 1.3, 1))
    _draw_image(picture, scene, state)
    _draw_bars(bars, scene, shown)
    words.set_axis_off()
    lines = [f"{each.title}: {each.value}\n    {each.detail.replace('; ', chr(10) + '    ')}" for each in readouts(scene, shown)]
    words.text(0, 1, "\n".join(lines), va="top", fontsize=8.5, color="#374151", linespacing=1.45)
    for ax, draw in zip(lower.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(ax, scene, shown)
    return fig


def _draw_image(ax: Axes, scene: Scene, state: State) -> None:
    ax.imshow(scene.images[state.image].numpy(), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.set_title(f"image {state.image + 1} of {len(scene.images)}: {scene.class_names[int(scene.labels[state.image])]}")


def _draw_bars(ax: Axes, scene: Scene, shown: Frame) -> None:
    names = [bar.name for bar in shown.bars]
    ax.barh(names, [100 * bar.share for bar in shown.bars], color=[TRUE if bar.true else SOFT for bar in shown.bars])
    for place, bar in enumerate(shown.bars):
        if bar.true:
            ax.get_yticklabels()[place].set(color=TRUE, weight="bold")
    ax.set(xlim=(0, 100), xlabel="share of the label in %")
    ax.set_title(f"label: {described(scene, shown.state)}")
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)


def _draw_bought(ax: Axes, scene: Scene, shown: Frame) -> None:
    for curve in scene.students.values():
        ax.plot([each.at for each in curve], [each.accuracy for each in curve], color=FAINT, lw=1)
    _draw_curve(ax, scene.hard, HARD, "hard labels", "--")
    _draw_curve(ax, shown.bought.curve, SOFT, nearest_text(shown), "-")
    ax.set_xscale("log")
    ax.set_xticks(scene.budgets, [f"{ipc:g}" for ipc in scene.budgets])
    ax.minorticks_off()
    ax.set(xlabel="images per class", ylabel="student accuracy in %", title="What such labels buy (grey: other labellers)")
    ax.legend(loc="lower right")


def _draw_ranks(ax: Axes, scene: Scene, shown: Frame) -> None:
    if shown.swap:
        control, *curve = shown.swap.curve
        ax.axhline(control.accuracy, color=HARD, ls=":", label="no swap")
        _draw_curve(ax, tuple(curve), SWAP, "swapped", "-")
        title, ipc = "Swap the k-th largest with the smallest", shown.swap.key
    else:
        _draw_curve(ax, shown.top.curve, TOP, "cut", "-")
        title, (ipc, _) = "Keep the k largest", shown.top.key
    ax.set(xlabel=f"k, at {per_class(ipc)}", ylabel="student accuracy in %", title=title)
    ax.legend(loc="lower right")


def _draw_zero(ax: Axes, scene: Scene, shown: Frame) -> None:
    curve = shown.zero.curve
    places = range(len(curve))
    colours = [HARD if "hard" in str(each.at) else ARMS[i % len(ARMS)] for i, each in enumerate(curve)]
    ax.bar(places, [each.accuracy for each in curve], color=colours)
    reach = [[each.accuracy - each.low for each in curve], [each.high - each.accuracy for each in curve]]
    ax.errorbar(places, [each.accuracy for each in curve], reach, fmt="none", ecolor=MUTED, capsize=3)
    ax.set_xticks(places, [str(each.at).replace(" ", "\n", 1) for each in curve])
    name = scene.class_names[shown.state.subject]
    ax.set(ylabel=f"accuracy on {name} in %", title=f"Without images or labels of “{name}”", ylim=(0, 100))
    ax.grid(axis="x", visible=False)


def _draw_curve(ax: Axes, curve: Curve, colour: str, name: str, style: str) -> None:
    x = [each.at for each in curve]
    ax.plot(x, [each.accuracy for each in curve], style, marker="o", ms=4, color=colour, label=name)
    ax.fill_between(x, [each.low for each in curve], [each.high for each in curve], color=colour, alpha=0.13, lw=0)
