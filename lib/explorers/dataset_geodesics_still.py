"""Still pictures of the dataset-geodesics explorers for pages that nobody can touch, drawn from the same frames."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from lib.explorers.dataset_geodesics import backdrop, frame, stage
from lib.explorers.dataset_geodesics_readouts import readouts, weights_text
from lib.explorers.dataset_geodesics_state import MIX_COLOUR, Frame, Scene, State
from lib.explorers.dataset_geodesics_view import Canvas
from lib.figures import SEQUENTIAL

CORNERS = {2: np.array([[0.0, 0.0], [1.0, 0.0]]), 3: np.array([[0.5, 0.75**0.5], [0.0, 0.0], [1.0, 0.0]])}


def draw_still(scene: Scene, state: State) -> Figure:
    """The simplex with the point, the followed samples with their soft labels, and the read-outs below."""
    shown = frame(scene, state)
    fig = plt.figure(figsize=(11, 6.2))
    left, right = fig.subfigures(1, 2, width_ratios=(0.8, 1))
    draw_simplex(left, scene, shown)
    if scene.shape is None:
        _draw_points(right, scene, shown)
    else:
        _draw_images(right, scene, shown)
    lines = [f"{each.title}: {each.value}  ({each.detail})" for each in readouts(scene, shown, None) if each.value != "–"]
    fig.text(0.01, -0.01, "\n".join(lines), va="top", fontsize=8.5, color="#374151", linespacing=1.5)
    return fig


def draw_simplex(fig: SubFigure, scene: Scene, shown: Frame) -> None:
    """Values over the simplex, the optimum as a star, the point as a ring."""
    ax, behind = fig.subplots(), backdrop(scene, shown.state)
    corners = CORNERS[len(scene.names)]
    colours = SEQUENTIAL + ("_r" if behind.low_is_good else "")
    at, values = behind.weights.numpy() @ corners, behind.values.numpy()
    if behind.segments and len(corners) == 3:
        painted = ax.tricontourf(*at.T, values, levels=20, cmap=colours, alpha=0.8)
    else:
        painted = ax.scatter(*at.T, c=values, cmap=colours, s=60)
    fig.colorbar(painted, ax=ax, location="bottom", shrink=0.7, label=behind.title, pad=0.08)
    ax.fill(*corners.T, fill=False, ec="#374151", lw=1.2)
    for (x, y), name in zip(corners, scene.names, strict=True):
        top = y > 0
        ax.annotate(name, (x, y), xytext=(0, 8 if top else -8), textcoords="offset points", ha="center",
                    va="bottom" if top else "top", color=scene.colours[name], weight="bold")  # fmt: skip
    best = stage(scene, shown.state).best.weights.numpy() @ corners
    ax.scatter(*best, marker="*", s=260, color="white", edgecolors="black", zorder=4, label="optimum a*")
    ax.scatter(*(shown.weights.numpy() @ corners), s=150, facecolors="none", edgecolors="black", linewidths=2.4, zorder=5,
               label="a = " + weights_text(shown.weights.tolist()))  # fmt: skip
    ax.legend(loc="upper left", bbox_to_anchor=(-0.05, 1.02))
    ax.margins(0.08)
    ax.set_axis_off()
    ax.set_aspect("equal" if len(corners) == 3 else "auto")


def _draw_images(fig: SubFigure, scene: Scene, shown: Frame) -> None:
    upper, lower = fig.subfigures(2, 1, height_ratios=(1.1, 1))
    now, k = stage(scene, shown.state), len(scene.samples)
    strips = [(scene.base_name, scene.colours[scene.base_name], scene.base.features[scene.samples])]
    strips += [(f"T {name}", scene.colours[name], now.shown[i].view(k, -1)) for i, name in enumerate(scene.names)]
    draw_strips(upper, [*strips, ("mix P_a", MIX_COLOUR, shown.mix)], scene)
    ax = lower.subplots()
    start = 0
    for name, source in scene.sources.items():
        part = shown.labels[:, start : start + source.classes].numpy()
        _draw_block(ax, part, start + 1.2 * list(scene.names).index(name), scene.colours[name], name, source.names)
        start += source.classes
    ax.set(ylim=(len(shown.labels), -0.05), yticks=np.arange(len(shown.labels)) + 0.9)
    ax.set_yticklabels([f"sample {j + 1}" for j in range(len(shown.labels))], fontsize=8)
    ax.tick_params(length=0)
    ax.grid(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)


def _draw_block(ax: Axes, part: np.ndarray, start: float, colour: str, name: str, classes: Sequence) -> None:
    """Bars of one source's classes, one row for each sample."""
    x = start + np.arange(part.shape[1])
    for j, row in enumerate(part):
        ax.bar(x, -0.85 * row, bottom=j + 0.9, width=0.9, color=colour)
        ax.plot(x[[0, -1]] + [-0.5, 0.5], [j + 0.9] * 2, color="#9CA3AF", lw=0.6)
    ax.text(x[0] - 0.5, -0.15, f"{100 * part.sum(1).mean():.0f} % {name}", color=colour, weight="bold", fontsize=9)
    for place, label in zip(x, classes, strict=True):
        ax.text(place, len(part) + 0.05, str(label), ha="center", va="top", fontsize=7.5, color="#6B7280")
    ax.set_xticks([])


def draw_strips(fig: SubFigure, strips: Sequence[tuple], scene: Scene) -> None:
    """Rows of images: (name, colour, features [k, d])."""
    low, high = scene.extent
    axes = fig.subplots(len(strips), len(strips[0][2]), squeeze=False, gridspec_kw={"wspace": 0.05, "hspace": 0.05})
    for line, (name, colour, features) in zip(axes, strips, strict=True):
        for ax, values in zip(line, features.numpy(), strict=True):
            ax.imshow(values.reshape(scene.shape), cmap="gray_r", vmin=low, vmax=high)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            for spine in ax.spines.values():
                spine.set(visible=True, color=colour, linewidth=2 if name.startswith("mix") else 1)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", color=colour, weight="bold")


def _draw_points(fig: SubFigure, scene: Scene, shown: Frame) -> None:
    canvas = Canvas(list(scene.sets.values()), None)
    ax = fig.subplots(subplot_kw={"projection": "3d"})
    for name, data in scene.sets.items():
        ax.scatter(*canvas.positions(data.features).T, s=5, color=scene.colours[name], label=name)
    mix = canvas.positions(shown.mix)
    ax.scatter(*mix.T, s=7, color=MIX_COLOUR, label="mix P_a")
    base = canvas.positions(scene.base.features)
    for j in scene.samples.tolist():
        ax.plot(*np.stack([base[j], mix[j]]).T, color="#6B7280", lw=0.7)
    ax.set(xticklabels=[], yticklabels=[], zticklabels=[])
    ax.set_box_aspect((1, 1, 1))
    ax.view_init(18, -60)
    ax.legend(loc="upper left")
