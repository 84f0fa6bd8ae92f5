"""What the browser gets of a frame, as plain data, and the view that draws it."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import anywidget
import numpy as np
import traitlets as t

from lib.explorers.modules import FRONT, module
from lib.explorers.random_scaling import Frame, fresh_values
from lib.explorers.random_scaling_runs import COLUMNS, lanes
from lib.explorers.random_scaling_state import STEPS, Fresh, Scene
from lib.explorers.random_scaling_words import (
    NO_THRESHOLD,
    TITLES,
    axis_words,
    bundle_note,
    density_words,
    picks,
    readouts,
    scale_words,
    subtitle,
    title,
)  # fmt: skip
from lib.explorers.readout import Readout
from lib.figures import PALETTE

PARTS = ("random_scaling_svg", "random_scaling_distribution", "random_scaling_curves", "random_scaling")
COLOURS = {
    "seeds": PALETTE[0], "emergent": PALETTE[1], "linear": PALETTE[2], "mean_success": PALETTE[3], "median": PALETTE[7],
    "tau": PALETTE[5], "chosen": PALETTE[6],
}  # fmt: skip
PANELS = {
    "mode": COLOURS["seeds"],
    "mean": COLOURS["chosen"],
    "p_success": COLOURS["tau"],
    "mean_success": COLOURS["mean_success"],
}
DIGITS = 4


class SeedsView(anywidget.AnyWidget):
    """The distribution over seeds, their curves, four statistics over scale and what one can afford.

    `stage`: what stays while one moves along the axis of scales. `panels`, `afford`: statistics. `frame`: the rest. `request`
    comes from the browser: a field of the state and its value.
    """

    _esm = module("element", *PARTS)
    _css = FRONT / "random_scaling.css"
    stage = t.Dict().tag(sync=True)
    panels = t.Dict().tag(sync=True)
    afford = t.Dict().tag(sync=True)
    frame = t.Dict().tag(sync=True)
    request = t.Dict().tag(sync=True)
    busy = t.Bool(False).tag(sync=True)


def stage_data(scene: Scene, shown: Frame) -> dict[str, Any]:
    """The seeds' curves and the axes that they share."""
    runs, picked = shown.runs, shown.runs.picked
    return {
        "colours": COLOURS,
        "scales": [f"{scale:g}" for scale in runs.scales],
        "scale": scale_words(scene, shown.state),
        "end": runs.end,
        "metric": axis_words(shown.state),
        "top": math.ceil(10 * runs.fullest - 1e-9) / 10,
        "columns": COLUMNS,
        "depth": float(runs.lanes.max()) + 1,
        "curves": [plain(curve) for curve in runs.values.T],
        "names": list(runs.names),
        "emergent": picked.emergent,
        "linear": picked.linear,
        "note": bundle_note(shown),
    }


def panels_data(shown: Frame) -> dict[str, Any]:
    """The statistics over scale, in the order in which they stand, and why some are missing."""
    drawn = []
    for name, panel in shown.panels.items():
        curves = {key: plain(getattr(panel, key)) for key in ("at", "value", "low", "high")}
        drawn.append({"name": name, "title": TITLES[name], "colour": PANELS[name], "end": shown.runs.end, **curves})
    n = len(shown.runs.names)
    exact = shown.state.source == "analytic"
    note = "exact, without sampling" if exact else f"n = {n} seeds at each scale; bands: 95 % bootstrap over seeds"
    return {"panels": drawn, "note": note, "why": NO_THRESHOLD if shown.runs.nats else ""}


def afford_data(shown: Frame) -> dict[str, Any]:
    """How often the best and the median of m seeds look emergent, and the m that is looked at."""
    best, median = zip(*shown.afford.values(), strict=True) if shown.afford else ((), ())
    why = "What looks emergent is a gain of 0.4 in a share; nats have no such cut." if shown.runs.nats else ""
    return {"sizes": list(shown.afford), "best": plain(best), "median": plain(median), "m": shown.state.afford, "why": why}


def frame_data(scene: Scene, shown: Frame, batches: Sequence[Fresh] = (), more: Sequence[Readout] = ()) -> dict[str, Any]:
    """The distribution where the state is, its marks, and everything in words."""
    state, seen, runs = shown.state, shown.seen, shown.runs
    special = {"emergent": runs.picked.emergent, "linear": runs.picked.linear, "chosen": state.seed}
    fresh = sorted(fresh_values(scene, state, batches))
    lines = [*readouts(scene, shown, batches), *more]
    said = "; ".join(f"{line.title}: {line.value}" for line in lines)
    return {
        "place": state.step / STEPS,
        "title": title(scene, shown),
        "subtitle": subtitle(scene, shown),
        "known": seen.known,
        "shares": plain(seen.shares),
        "density": plain(seen.density),
        "dots": plain(seen.dots),
        "lanes": plain(seen.lanes),
        "who": seen.who.tolist(),
        "rings": {name: plain((seen.own[k], seen.own_lanes[k])) for name, k in special.items() if k is not None},
        "fresh": {"dots": plain(fresh), "lanes": plain(lanes(np.array(fresh), seen.dots))},
        "marks": {"mean": seen.mean, "mode": seen.mode, "tau": None if runs.nats else state.tau},
        "chosen": state.seed,
        "picks": picks(scene, shown),
        "density_words": density_words(shown),
        "readouts": [vars(line) for line in lines],
        "said": f"{title(scene, shown)}. {subtitle(scene, shown)}. {said}",
    }


def plain(values: Iterable[float]) -> list[float | None]:
    """Rounded numbers, None for NaN, which JSON has no word for."""
    return [None if math.isnan(value) else round(float(value), DIGITS) for value in values]
