"""Speed of the path between two data sets, drawn: live as SVG, still with matplotlib."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from lib.explorers.dataset_geodesics_state import MIX_COLOUR, Scene
from lib.explorers.dataset_geodesics_still import draw_strips
from lib.explorers.dataset_path import PAIRINGS, Pair, PathState, pair_of
from lib.figures import PALETTE

LEAST = 0.2  # half height of the chart in ratios: a flat line must not be blown up to look rough
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 420, 190, 44, 38, 40
LINE = PALETTE[0]


def half_height(pair: Pair) -> float:
    """How far the chart reaches from 1."""
    return max(LEAST, 1.15 * pair.deviation)


def speed_svg(pair: Pair, t: float | int) -> str:
    """A bar from s to t for each pair of times at the height of W2(P_s, P_t) / (|t - s| W2(P_0, P_1)), and a cursor at `t`."""
    reach = half_height(pair)

    def x(time: float | int) -> float | int:
        return LEFT + time * (WIDTH - LEFT - 14)

    def y(ratio: float | int) -> float | int:
        return TOP + (1 - (ratio - 1 + reach) / (2 * reach)) * (HEIGHT - TOP - BOTTOM)

    ticks = [1 - reach, 1 - reach / 2, 1, 1 + reach / 2, 1 + reach]
    grid = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - 14}" y1="{y(r):.1f}" y2="{y(r):.1f}" stroke="{"#6b7280" if r == 1 else "#e5e7eb"}" '
        f'stroke-dasharray="{"4 3" if r == 1 else "none"}"/>'
        f'<text x="{LEFT - 6}" y="{y(r) + 4:.1f}" text-anchor="end">{r:.2f}</text>'
        for r in ticks
    )
    times = "".join(
        f'<text x="{x(v):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{v:g}</text>' for v in (0, 0.25, 0.5, 0.75, 1)
    )
    bars = "".join(
        f'<line class="speed" x1="{x(each.s):.1f}" x2="{x(each.t):.1f}" y1="{y(each.ratio):.1f}" y2="{y(each.ratio):.1f}" '
        f'stroke="{LINE}" stroke-width="3" stroke-linecap="round" stroke-opacity="0.75">'
        f"<title>from {each.s:g} to {each.t:g}: {each.ratio:.6f}</title></line>"
        for each in pair.speeds
    )
    return (
        f'<svg class="geo-speed" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" width="100%" '
        f'style="max-width:{WIDTH + 80}px;background:#fff;font:12px system-ui,sans-serif;fill:#4b5563" '
        f'aria-label="speed of the path, largest deviation from 1: {pair.deviation:.1e}">'
        f'<text x="4" y="13" style="font-weight:600">W2(P_s, P_t) / (|t − s| W2(P_0, P_1))</text>'
        f'<text x="4" y="29">for ten pairs of times s &lt; t; 1 everywhere: constant speed</text>'
        f"{grid}{times}{bars}"
        f'<line class="cursor" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" '
        f'stroke="{MIX_COLOUR}" stroke-width="1.5"/>'
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 4}" text-anchor="middle">time t</text></svg>'
    )


def draw_path_still(scene: Scene, state: PathState, steps: int = 5) -> Figure:
    """The followed samples on their way at equal times, and the speed of every pairing below."""
    times = torch.linspace(0, 1, steps).tolist()
    fig = plt.figure(figsize=(9, 6.4))
    upper, lower = fig.subfigures(2, 1, height_ratios=(1.5, 1))
    pair = pair_of(scene, state)
    if scene.shape is None:
        ax = upper.subplots()
        for time in times:
            x = torch.lerp(pair.left.features[pair.rows], pair.right.features[pair.partners], time)
            ax.scatter(*x[:, :2].T.numpy(), color=plt.get_cmap("viridis")(0.9 * time), label=f"t = {time:g}")
        ax.set(xlabel="first feature", ylabel="second feature")
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    else:
        ends = pair.left.features[pair.rows], pair.right.features[pair.partners]
        draw_strips(upper, [(f"t = {time:g}", MIX_COLOUR, torch.lerp(*ends, time)) for time in times], scene)
    ax = lower.subplots()
    for i, (pairing, title) in enumerate(PAIRINGS.items()):
        found = pair_of(scene, PathState(state.left, state.right, pairing))
        for n, each in enumerate(found.speeds):
            name = f"{title}: off by {found.deviation:.1e} at most" if n == 0 else None
            ax.plot([each.s, each.t], [each.ratio] * 2, color=PALETTE[i], alpha=0.8, label=name)
    ax.set(
        xlabel="time", ylabel="speed / mean speed", title=f"W2(P_s, P_t) / (|t - s| W2(P_0, P_1)), {state.left} to {state.right}"
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return fig
