"""What was measured around the present labels, drawn: what they buy, swapped, cut, without a class, and trained just now."""

import math
from collections.abc import Sequence
from dataclasses import replace

from lib.explorers.soft_labels import described, is_changed, nearest_text, per_class
from lib.explorers.soft_labels_curves import Curve, Nearest, Point
from lib.explorers.soft_labels_panel import LEFT, RIGHT, WIDTH, Panel, picture, said, span, text
from lib.explorers.soft_labels_state import Frame, Scene, Trained
from lib.figures import PALETTE

SOFT, TRUE, TOP, SWAP = PALETTE[0], PALETTE[1], PALETTE[2], PALETTE[3]
HARD, FAINT, MUTED = "#111827", "#d1d5db", "#6b7280"
ARMS = (PALETTE[0], PALETTE[4], PALETTE[5], PALETTE[7])  # without a class; an arm named hard is HARD
ROW, NAMES, PERCENT = 24, 208, 44  # height of a bar or a trained arm; widths of what it is called, and of its number
SHOWN = 7  # trained arms that stay in sight


def charts(scene: Scene, shown: Frame, trained: Sequence[Trained]) -> dict[str, str]:
    """Name -> SVG of every chart for which there is something to show."""
    drawn = {"buys": bought_svg(scene, shown)}
    if scene.train:
        drawn["trained"] = trained_svg(scene, trained)
    if shown.swap:
        drawn["swap"] = swap_svg(scene, shown, shown.swap)
    if shown.top:
        drawn["top"] = top_svg(scene, shown, shown.top)
    if shown.zero:
        drawn["zero"] = zero_svg(scene, shown, shown.zero)
    return drawn


def bought_svg(scene: Scene, shown: Frame) -> str:
    """Accuracy at every budget: the nearest measured labels, hard ones, all others faintly, and the expert itself."""
    everything, budgets = [scene.hard, *scene.students.values()], scene.budgets
    spots = [math.log(ipc) for ipc in budgets]
    width = spots[-1] - spots[0] or 1.0
    expert = scene.expert_accuracy[scene.epochs.index(shown.state.epoch)]
    point = shown.bought.at(shown.state.ipc)
    title = f"they buy {point.accuracy:.1f} % at {per_class(point.at)}"
    title = f"Before swap and cut {title}" if is_changed(scene, shown.state) else title.capitalize()
    panel = Panel(
        title, nearest_text(shown) + (f"; {point.low:.1f} to {point.high:.1f} %" if point.known else "; one draw, no interval"),
        [f"{ipc:g}" for ipc in budgets], [(spot - spots[0]) / width for spot in spots],
        span((point for curve in everything for point in curve), [max(scene.expert_accuracy)]),
    )  # fmt: skip
    panel.axis("images per class")
    at = {ipc: i for i, ipc in enumerate(budgets)}

    def places(curve: Curve) -> list[float]:
        return [at[each.at] for each in curve]

    panel.cursor(at[point.at])
    for curve in scene.students.values():
        panel.line(places(curve), curve, FAINT, 1.2)
    panel.level(expert, MUTED, f"the expert itself, epoch {shown.state.epoch}: {expert:.1f} %")
    panel.curve(places(scene.hard), scene.hard, HARD, "hard labels", "5 4")
    panel.curve(places(shown.bought.curve), shown.bought.curve, SOFT, "these labels")
    panel.ring(at[point.at], point.accuracy, SOFT)
    panel.parts.append(_key([("these", SOFT), ("hard", HARD), ("other labellers", FAINT)]))
    panel.choices("ipc", budgets)
    return panel.svg(f"{title}; {nearest_text(shown)}; {said(point)}")


def swap_svg(scene: Scene, shown: Frame, found: Nearest) -> str:
    """Accuracy after the k-th largest entry has changed places with the smallest, below the line of no swap."""
    control, *curve = found.curve
    k, ranks = shown.state.swap, [each.at for each in curve]
    point = replace(found, curve=tuple(curve)).at(k) if k else control
    note = _of_rank(k, point, "no swap") + (f", {point.accuracy - control.accuracy:+.1f} points" if k else "")
    panel = _ranks("Swap the k-th largest with the smallest", note, ranks, found.curve)
    panel.axis("k" + _measured_at(scene, found.key))
    panel.level(control.accuracy, HARD, "no swap")
    _draw_ranks(panel, curve, k, point if k else None, SWAP, "swap")
    panel.choices("swap", ranks)
    return panel.svg(f"accuracy with swapped labels; {note}")


def top_svg(scene: Scene, shown: Frame, found: Nearest) -> str:
    """Accuracy where only the k largest entries are kept, from hard labels on the left to whole ones on the right."""
    k, point, (ipc, epoch) = shown.state.top, found.at(shown.state.top), found.key
    ranks = [each.at for each in found.curve]
    note = _of_rank(k, point, "hard labels")
    panel = _ranks("Keep the k largest", note, ranks, found.curve)
    panel.axis(f"k, measured with epoch {epoch:g} at {per_class(ipc)}")
    _draw_ranks(panel, found.curve, k, point, TOP, "top")
    panel.choices("top", ranks)
    return panel.svg(f"accuracy with labels cut to their largest entries; {note}")


def _ranks(title: str, note: str, ranks: Sequence[int], whole: Curve) -> Panel:
    names = ["hard" if k == 0 else f"{k:g}" for k in ranks]
    return Panel(title, note, names, [i / max(len(ranks) - 1, 1) for i in range(len(ranks))], span(whole))


def _draw_ranks(panel: Panel, curve: Sequence[Point], k: int, point: Point | None, colour: str, name: str) -> None:
    """The measured curve, and where k lies on it, or between two measured ranks."""
    ranks = [each.at for each in curve]
    panel.curve(range(len(curve)), curve, colour, name)
    if point in curve:
        panel.cursor(_place(ranks, k))
        panel.ring(curve.index(point), point.accuracy, colour)


def _place(ranks: Sequence[int], k: int) -> float:
    """Among measured ranks: the number of k, or of the next lower one and a half."""
    below = sum(rank < k for rank in ranks)
    return below if k in ranks else min(max(below - 0.5, 0), len(ranks) - 1)


def _of_rank(k: int, point: Point, without: str) -> str:
    name = without if point.at == 0 else f"k = {point.at:g}"
    return f"{'' if point.at == k else f'k = {k}; nearest measured '}{name}: {said(point)}"


def _measured_at(scene: Scene, ipc: int) -> str:
    """At which budget, and with which labels, something was measured."""
    parts = [f"at {per_class(ipc)}"] if ipc else []
    parts += [f"with {scene.measured_with}"] if scene.measured_with else []
    return f", measured {' '.join(parts)}" if parts else ""


def zero_svg(scene: Scene, shown: Frame, found: Nearest) -> str:
    """Test accuracy on one class alone, whose images or whose share in other labels students have never seen."""
    subject = scene.class_names[shown.state.subject]
    most = int(shown.leak.argmax())
    leak = f"labels of other classes' images give it up to {100 * float(shown.leak.max()):.1f} % ({scene.class_names[most]})"
    parts = [text(0, 14, f"A class never seen: accuracy on “{subject}” alone", "sl-title"), text(0, 33, leak, "sl-sub")]
    scale = (RIGHT - 150 - PERCENT) / 100
    for i, point in enumerate(found.curve):
        y, colour = 46 + ROW * i, HARD if "hard" in str(point.at) else ARMS[i % len(ARMS)]
        low, high = (150 + scale * min(max(end, 0), 100) for end in point.ends)
        parts += [
            text(142, y + 14, str(point.at), "sl-name", "end"),
            f'<rect x="150" y="{y + 2}" width="{scale * point.accuracy:.1f}" height="{ROW - 8}" fill="{colour}" rx="2"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 10}" y2="{y + 10}" stroke="{MUTED}" stroke-width="1.5"/>',
            text(high + 7, y + 14, f"{point.accuracy:.1f} %", "sl-value"),
        ]
    bottom = 46 + ROW * len(found.curve)
    parts.append(text(LEFT, bottom + 12, _measured_at(scene, found.key[0]).removeprefix(", "), "sl-tick"))
    said_bars = ", ".join(f"{point.at} {point.accuracy:.1f} %" for point in found.curve)
    return picture(bottom + 18, f"accuracy on {subject} alone: {said_bars}", parts)


def trained_svg(scene: Scene, trained: Sequence[Trained]) -> str:
    """Students trained here and now, the latest first: their mean accuracy beside that of hard labels, and the gain."""
    title, latest = text(0, 14, "Students trained now, on these images", "sl-title"), list(reversed(trained))[:SHOWN]
    if not latest:
        note = "press the blue button: with your labels, and with hard ones"
        return picture(48, note, [title, text(0, 33, note, "sl-sub")])
    means = [(sum(each.soft) / len(each.soft), sum(each.hard) / len(each.hard)) for each in latest]
    ends = [value for each in latest for value in (*each.soft, *each.hard)]
    low, high = span([], ends)
    n, new = len(latest[0].soft), latest[0]
    note = f"{means[0][0]:.1f} % with your labels, {means[0][1]:.1f} % with hard ones"
    note += f"; {n} student{'s' * (n > 1)} in {new.seconds:.2f} s"
    parts = [title, text(0, 33, note, "sl-sub")]

    def x(value: float) -> float:
        return round(NAMES + 8 + (WIDTH - NAMES - 62) * (value - low) / (high - low), 1)

    top, bottom = 58, 58 + ROW * len(latest)
    for i, (each, (soft, hard)) in enumerate(zip(latest, means, strict=True)):
        y = top + ROW * (i + 0.5)
        worst, best = min(each.gains), max(each.gains)
        tip = f"gain of single students: {worst:+.1f} to {best:+.1f} points; {each.seconds:.2f} s"
        parts += [
            text(NAMES, y + 4, described(scene, each.state), "sl-name" + (" sl-new" if i == 0 else ""), "end"),
            _bar(x(min(each.soft)), x(max(each.soft)), y, 'stroke-width="5" stroke-opacity="0.25"'),
            _bar(x(hard), x(soft), y, 'stroke-width="1.5"'),
            f'<circle cx="{x(soft)}" cy="{y}" r="5" fill="{SOFT}" class="sl-trained"><title>{tip}</title></circle>',
            text(WIDTH, y + 4, f"{soft - hard:+.1f}", "sl-value", "end"),
        ]
    hard = means[0][1]
    parts.append(f'<line class="sl-cursor" x1="{x(hard)}" x2="{x(hard)}" y1="{top - 4}" y2="{bottom}"/>')
    for value in (low, high):
        parts.append(text(x(value), bottom + 14, f"{value:g} %", "sl-tick", "middle"))
    parts.append(text(x(hard), top - 8, "hard", "sl-tick", "middle", HARD))
    parts.append(text(WIDTH, top - 8, "points", "sl-tick", "end"))
    return picture(bottom + 20, f"students trained now: {note}", parts)


def _bar(start: float, end: float, y: float, style: str) -> str:
    return f'<line x1="{start}" x2="{end}" y1="{y}" y2="{y}" stroke="{SOFT}" {style}/>'


def _key(entries: Sequence[tuple[str, str]]) -> str:
    """Names beside their colours, at the upper right."""
    right, parts = RIGHT, []
    for name, colour in reversed(entries):
        right -= 6.2 * len(name) + 22
        parts.append(f'<line x1="{right}" x2="{right + 12}" y1="46" y2="46" stroke="{colour}" stroke-width="3"/>')
        parts.append(text(right + 16, 50, name, "sl-tick"))
    return "".join(parts)
