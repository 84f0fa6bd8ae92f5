"""What the random-scaling explorer shows, in words and numbers."""

import math
from collections.abc import Sequence

import numpy as np

from lib.emergence.curves import JUMP, looks_emergent
from lib.emergence.density import BANDWIDTH
from lib.emergence.shapes import ENOUGH_SEEDS, LARGEST_SPIKE, two_means
from lib.explorers.random_scaling import DRAWS, Frame, Panel, can_train, fresh_values, place_words
from lib.explorers.random_scaling_state import MIXTURE_SCALES, STEPS, Fresh, Scene, State
from lib.explorers.readout import Readout

METRIC_NAMES = {"exact": "exact match", "token": "per-token accuracy", "nll": "negative log-likelihood"}
UNITS = {"exact": "share of strings", "token": "share of tokens", "nll": "nats per token"}
TITLES = {"mode": "mode", "mean": "mean", "p_success": "P(success)", "mean_success": "mean given success"}
INTERPOLATED = "between trained scales: interpolated"
NO_THRESHOLD = "A threshold on nats would be another cut than the one on shares: there is none here, and no success."


def readouts(scene: Scene, shown: Frame, batches: Sequence[Fresh] = ()) -> list[Readout]:
    """What a frame says in numbers."""
    lines = [_place(scene, shown), *_statistics(shown)]
    if not shown.runs.nats:
        lines.append(_jump(scene, shown))
    lines += [_groups(shown)] + ([_afford(shown)] if shown.afford else [])
    if shown.state.seed is not None:
        lines.append(_seed(scene, shown, shown.state.seed))
    if batches:
        lines.append(_fresh(scene, shown.state, batches))
    if scene.left_out and shown.state.source == "trained":
        lines.append(_left_out(scene))
    return lines


def source_words(scene: Scene, state: State) -> str:
    """Where the seeds come from."""
    return "the analytic mixture" if state.source == "analytic" else scene.source


def title(scene: Scene, shown: Frame) -> str:
    """Which seeds, and where on the axis of scales."""
    state, count = shown.state, len(shown.runs.names)
    if state.source == "analytic":
        return f"The mixture at {place_words(scene, state)}, {100 * _weight(shown):.0f} % successes"
    return f"{count} seeds at {place_words(scene, state)}"


def subtitle(scene: Scene, shown: Frame) -> str:
    """What is known and what is not."""
    state = shown.state
    if state.source == "analytic":
        return f"exact at every scale, no training; dots: {len(shown.runs.names)} seeds that are as lucky at all scales"
    if not shown.seen.known:
        return f"{INTERPOLATED}. Each rank moves straight on (1-D Wasserstein geodesic); no seed was trained here"
    return f"{source_words(scene, state)}; every dot is a seed: click one"


def axis_words(state: State) -> str:
    """What the axis of the metric measures."""
    if state.source == "analytic":
        return "accuracy"
    return f"{METRIC_NAMES[state.metric]} at exam length {state.length}, {UNITS[state.metric]}"


def scale_words(scene: Scene, state: State) -> str:
    """What the axis of scales measures."""
    return "scale, no unit" if state.source == "analytic" else scene.scale


def picks(scene: Scene, shown: Frame) -> dict[str, str]:
    """The picked seeds and the clicked one, with why they were picked."""
    picked, runs = shown.runs.picked, shown.runs
    reasons = {"emergent": ("most sudden", "B", "breakthroughness", 1), "linear": ("most linear", "L", "linearity", 2)}
    names = {}
    for name, (why, letter, column, digits) in reasons.items():
        row = picked.table.iloc[getattr(picked, name)]
        why = why if row["improvement"] > 0 else f"largest {letter}, though no seed gains"
        capped = " (capped)" if letter == "B" and row["capped"] else ""
        names[name] = f"{why}: {runs.names[int(row['seed'])]}, {letter} = {row[column]:.{digits}f}{capped}"
    if shown.state.seed is not None:
        own = "" if shown.seen.known else ", on its own straight line"
        names["chosen"] = f"clicked: {runs.names[shown.state.seed]}{own}"
    return names


def density_words(shown: Frame) -> str:
    """How the density was smoothed."""
    if shown.state.source == "analytic":
        return "density, exact"
    ends = "both ends of the axis" if shown.runs.nats else "0 and 1"
    unit = " nats" if shown.runs.nats else ""
    return f"density, bandwidth {BANDWIDTH * shown.runs.end:.2g}{unit}, reflected at {ends}"


def bundle_note(shown: Frame) -> str:
    """What a curve of the bundle is."""
    sign = "; B and L are those of − nll" if shown.runs.nats else ""
    if shown.state.source == "analytic":
        return "each curve keeps its quantile of luck at every scale"
    return f"a seed’s number is only a label: at every scale its network is another one{sign}"


def _weight(shown: Frame) -> float:
    from_middle = MIXTURE_SCALES[0] + shown.state.step / STEPS - shown.state.middle
    return 1 / (1 + math.exp(-shown.state.steepness * from_middle))


def _place(scene: Scene, shown: Frame) -> Readout:
    state, n = shown.state, len(shown.runs.names)
    if state.source == "analytic":
        return Readout("scale", place_words(scene, state), f"p = {_weight(shown):.2f} of the mixture are successes")
    if shown.seen.known:
        return Readout("scale", place_words(scene, state), f"n = {n} seeds, {source_words(scene, state)}")
    return Readout("scale", place_words(scene, state), f"{INTERPOLATED}, not data", warn=True)


def _statistics(shown: Frame) -> list[Readout]:
    seen, tau, n = shown.seen, f"τ = {shown.state.tau:.2f}", len(shown.runs.names)
    lines = [_number("mode", seen.mode, shown, "the fullest of 20 bins, its centre"), _number("mean", seen.mean, shown)]
    if shown.runs.nats:
        return lines
    won = round(seen.p_success * n)
    exact = shown.state.source == "analytic"
    lines.append(_number("p_success", seen.p_success, shown, f"above {tau}" if exact else f"{won} of {n} seeds above {tau}"))
    who = "" if exact else f"of {won} seed{'' if won == 1 else 's'}"
    return [*lines, _number("mean_success", seen.mean_success, shown, who)]


def _number(name: str, value: float, shown: Frame, detail: str = "") -> Readout:
    """A statistic of what is to be seen, with its interval where it was measured."""
    title, panel, place = TITLES[name], shown.panels[name], shown.state.step // STEPS
    if math.isnan(value):
        return Readout(title, "none", "no seed succeeds")
    parts = [detail] if detail else []
    if not shown.seen.known:
        parts.insert(0, "interpolated")
    elif not panel.low:
        parts.insert(0, "exact")
    else:
        parts.insert(0, f"95 %: {panel.low[place]:.2f} to {panel.high[place]:.2f}")
    return Readout(title, f"{value:.2f}{' nats' if shown.runs.nats else ''}", "; ".join(parts))


def _jump(scene: Scene, shown: Frame) -> Readout:
    """Where the mode changes most from one scale to the next, and what else changes there: the lesson in three numbers."""
    mode, p, height = (_at_scales(shown.panels[name], shown) for name in ("mode", "p_success", "mean_success"))
    steps = np.diff(mode)
    at = int(np.abs(steps).argmax())
    left, right = (f"{shown.runs.scales[place]:g}" for place in (at, at + 1))
    gain = height[at + 1] - height[at]
    better = "mean given success is not defined at both" if math.isnan(gain) else f"mean given success by {gain:+.2f}"
    detail = f"from {_scale(scene, shown)} {left} to {right}; there P(success) moves by {p[at + 1] - p[at]:+.2f}, {better}"
    return Readout("largest step of the mode", f"{steps[at]:+.2f}", detail)


def _at_scales(panel: Panel, shown: Frame) -> np.ndarray:
    values = np.array(panel.value)
    return values[:: (len(values) - 1) // (len(shown.runs.scales) - 1)]


def _scale(scene: Scene, shown: Frame) -> str:
    return "scale" if shown.state.source == "analytic" else scene.scale


def _groups(shown: Frame) -> Readout:
    """The best split in two; none of this replaces a look at the histogram."""
    dots = shown.seen.dots
    parts, spike = two_means(dots), np.unique(dots, return_counts=True)[1].max() / len(dots)
    if len(dots) < ENOUGH_SEEDS or spike > LARGEST_SPIKE:
        why = f"{len(dots)} seeds" if len(dots) < ENOUGH_SEEDS else f"{100 * spike:.0f} % of the seeds at one value"
        return Readout("two groups?", "cannot be told", f"{why}: too little to split")
    detail = f"centres of the best split; it explains {100 * parts.explained:.0f} % of the variance (75 % of a uniform one)"
    return Readout("two groups?", f"{parts.low:.2f} and {parts.high:.2f}", detail)


def _afford(shown: Frame) -> Readout:
    m = shown.state.afford
    best, median = shown.afford[m]
    kind = f"the best of {m} seeds, and {100 * median:.0f} % for their median" if m > 1 else "one seed"
    detail = f"a gain ≥ {JUMP:g} between neighbouring scales, for {kind}; {DRAWS} choices among {len(shown.runs.names)}"
    return Readout("looks emergent", f"{100 * best:.0f} %", detail)


def _seed(scene: Scene, shown: Frame, seed: int) -> Readout:
    """A seed's own curve in numbers."""
    runs = shown.runs
    curve, row = runs.values[:, seed], runs.picked.table.iloc[seed]
    steps = -np.diff(curve) if runs.nats else np.diff(curve)
    at = int(steps.argmax())
    numbers = ", ".join(f"{value:.2f}" for value in curve)
    step = f"largest gain {steps[at]:.2f} at {_scale(scene, shown)} {runs.scales[at]:g} to {runs.scales[at + 1]:g}"
    verdict = "" if runs.nats else f": {'looks emergent' if looks_emergent(curve) else 'looks gradual'}"
    scores = f"L = {row['linearity']:.2f}, B = {row['breakthroughness']:.1f}{' (capped)' if row['capped'] else ''}"
    return Readout(runs.names[seed], numbers, f"{scores}; {step}{verdict}")


def _fresh(scene: Scene, state: State, batches: Sequence[Fresh]) -> Readout:
    """Seeds trained now, or where they are to be seen."""
    values = np.array([value for each in batches for value in each.values])
    gone = sum(each.diverged for each in batches)
    lost = f", {gone} diverged" if gone else ""
    count = f"{len(values)} trained now{lost}"
    if not can_train(scene, state):
        return Readout("fresh seeds", count, f"not of this view: they have exact match at exam length {scene.length}", warn=True)
    if not fresh_values(scene, state, batches):
        return Readout("fresh seeds", count, f"at {scene.scale} {scene.scales[0]:g}: move there to see them")
    own = scene.values["exact", scene.length][0]
    won, old = int((values > state.tau).sum()), int((own > state.tau).sum())
    both = (won + old) / (len(values) + len(own))
    detail = f"{won} above τ, {old} of the {len(own)} before; all {len(values) + len(own)} together: P(success) = {both:.2f}"
    return Readout("fresh seeds", f"{count}, in {batches[-1].seconds:.1f} s", f"open circles, not in bars or curves; {detail}")


def _left_out(scene: Scene) -> Readout:
    named = [f"{seed} (at {', '.join(f'{at:g}' for at in where)})" for seed, where in list(scene.left_out.items())[:5]]
    more = f" and {len(scene.left_out) - 5} more" if len(scene.left_out) > 5 else ""
    whole = len(scene.left_out) + len(scene.numbers)
    return Readout("left out", f"{len(scene.left_out)} of {whole} seeds", f"diverged: {', '.join(named)}{more}", warn=True)
