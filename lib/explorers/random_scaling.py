"""The explorer of the random-scaling study as plain functions of a scene and a state."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from lib.emergence.curves import affordable_seeds
from lib.emergence.density import BINS, bin_of, histogram_mode
from lib.emergence.outcome import METRICS
from lib.emergence.resampling import RESAMPLES, percentiles, resampled_rows
from lib.explorers.random_scaling_runs import Runs, Seen, mixture, runs_of, seen
from lib.explorers.random_scaling_state import (
    FRESH,
    MIDDLE,
    MIXTURE_SCALES,
    SOURCES,
    STEEPNESS,
    STEPS,
    Fresh,
    Scene,
    State,
)  # fmt: skip

DRAWS = 200  # fewer than the study's: what one can afford follows the mixture's sliders
AFFORDABLE = (1, 2, 3, 5, 8, 12, 16, 24, 32)
STATISTICS = ("mode", "mean", "p_success", "mean_success")
NO_TRAINING = "train: got none with this scene, allowed is a scene made with one"
FINE = 4  # steps from one drawn point of the mixture's curves to the next


@dataclass(frozen=True, eq=False)
class Panel:
    """A statistic over scale: `value` `at` places on the axis of scales, and the band from `low` to `high`, empty where exact."""

    at: tuple[float, ...]
    value: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Frame:
    """What is to be seen in one state.

    `panels`: statistic -> its curve over scale, without those of success for nats. `afford`: affordable seeds -> share of
    choices in which their best and their median look emergent, empty for nats.
    """

    state: State
    runs: Runs
    seen: Seen
    panels: dict[str, Panel]
    afford: dict[int, tuple[float, float]]


def check(scene: Scene, state: State) -> None:
    """Refuse a state that cannot be, in one line (ValueError)."""
    for name, allowed in (("source", SOURCES), ("metric", METRICS), ("length", scene.lengths)):
        if getattr(state, name) not in allowed:
            raise ValueError(f"{name}: got {getattr(state, name)!r}, allowed are {', '.join(map(str, allowed))}")
    for name, (low, high) in (("tau", scene.taus), ("middle", MIDDLE), ("steepness", STEEPNESS)):
        if not low <= getattr(state, name) <= high:
            raise ValueError(f"{name}: got {getattr(state, name)}, allowed are {low:g} to {high:g}")
    if state.source == "analytic" and state.metric != "exact":
        raise ValueError(f"metric: got {state.metric!r}, allowed is exact: the mixture is one of accuracies")
    runs = runs_of(scene, state)
    if state.step not in range(last_step(runs) + 1):
        raise ValueError(f"step: got {state.step!r}, allowed are whole numbers 0 to {last_step(runs)}")
    if state.afford not in affordable(runs):
        raise ValueError(f"afford: got {state.afford!r}, allowed are {', '.join(map(str, affordable(runs)))}")
    if state.seed is not None and state.seed not in range(len(runs.names)):
        raise ValueError(f"seed: got {state.seed!r}, allowed are none or whole numbers 0 to {len(runs.names) - 1}")


def last_step(runs: Runs) -> int:
    """The step of the largest scale."""
    return STEPS * (len(runs.scales) - 1)


def affordable(runs: Runs) -> tuple[int, ...]:
    """How many seeds one may choose to afford."""
    return tuple(m for m in AFFORDABLE if m <= len(runs.names))


def changed(scene: Scene, state: State, **changes: object) -> State:
    """The state with `changes`, and what only the old source could mean brought over to a new one.

    Errors: ValueError for a state that cannot be.
    """
    wanted = replace(state, **changes)
    if wanted.source != state.source and wanted.source in SOURCES:
        wanted = replace(wanted, seed=None, metric="exact")
        old, new = (runs_of(scene, each) for each in (state, wanted))
        least = max(m for m in affordable(new) if m <= max(state.afford, 1))
        wanted = replace(wanted, step=STEPS * round(state.step / last_step(old) * (len(new.scales) - 1)), afford=least)
    check(scene, wanted)
    return wanted


def frame(scene: Scene, state: State) -> Frame:
    """What is to be seen in `state`. Raises ValueError for a state that cannot be."""
    check(scene, state)
    runs = runs_of(scene, state)
    if state.source == "analytic":
        panels = _exact_panels(state.middle, state.steepness, state.tau)
    else:
        panels = _panels(scene, state.metric, state.length, state.tau)
    return Frame(state, runs, seen(scene, state), panels, {} if runs.nats else _afford(scene, runs))


def _panels(scene: Scene, metric: str, length: int, tau: float) -> dict[str, Panel]:
    plain = _plain_panels(scene, metric, length)
    return plain if metric == "nll" else plain | _success_panels(scene, metric, length, tau)


@lru_cache(maxsize=64)
def _plain_panels(scene: Scene, metric: str, length: int) -> dict[str, Panel]:
    """What no threshold changes."""
    runs, often = _trained(scene, metric, length), _often(scene)
    bins = [bin_of(row / runs.end)[:, None] == np.arange(BINS) for row in runs.values]
    modes = np.stack([histogram_mode(often @ each) for each in bins], axis=1) * runs.end
    return {"mode": _panel(modes), "mean": _panel(often @ runs.values.T / len(runs.names))}


@lru_cache(maxsize=256)
def _success_panels(scene: Scene, metric: str, length: int, tau: float) -> dict[str, Panel]:
    values, often = _trained(scene, metric, length).values, _often(scene)
    won = (values > tau).astype(float)
    count, total = often @ won.T, often @ (won * values).T
    means = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return {"p_success": _panel(count / values.shape[1]), "mean_success": _panel(means)}


def _trained(scene: Scene, metric: str, length: int) -> Runs:
    return runs_of(scene, State(0, length, metric=metric))


@lru_cache(maxsize=8)
def _often(scene: Scene) -> Float64[np.ndarray, "R K"]:
    """How often each seed stands in the sample itself, and then in each of its resamples."""
    count = len(scene.numbers)
    drawn = resampled_rows(count, RESAMPLES, scene.seeds.child("bands"))
    return np.stack([np.bincount(rows, minlength=count) for rows in (np.arange(count), *drawn)]).astype(float)


def _panel(found: Float64[np.ndarray, "R S"]) -> Panel:
    low, high = zip(*(percentiles(column) for column in found[1:].T), strict=True)
    return Panel(tuple(float(place) for place in range(found.shape[1])), tuple(found[0].tolist()), low, high)


@lru_cache(maxsize=16)
def _exact_panels(middle: float, steepness: float, tau: float) -> dict[str, Panel]:
    whole = mixture(middle, steepness)
    found = (whole.histogram_mode(), whole.mean(), whole.p_success(tau), whole.mean_success(tau))
    at = tuple(i / STEPS for i in range(0, len(whole.scales), FINE))
    return {name: Panel(at, tuple(values[::FINE].tolist())) for name, values in zip(STATISTICS, found, strict=True)}


@lru_cache(maxsize=128)
def _afford(scene: Scene, runs: Runs) -> dict[int, tuple[float, float]]:
    sizes = affordable(runs)
    table = affordable_seeds(runs.values, runs.scales, sizes, seeds=scene.seeds.child("afford"), draws=DRAWS)
    best, median = (table[table["report"] == report]["emergent"].tolist() for report in ("best", "median"))
    return dict(zip(sizes, zip(best, median, strict=True), strict=True))


def idle(state: State) -> frozenset[str]:
    """Fields that mean nothing in a state."""
    if state.source == "analytic":
        return frozenset({"length", "metric"})
    return frozenset({"middle", "steepness"} | ({"tau", "afford"} if state.metric == "nll" else set()))


def can_train(scene: Scene, state: State) -> bool:
    """Whether seeds trained now would be among those that a state looks at."""
    return scene.train is not None and (state.source, state.metric, state.length) == ("trained", "exact", scene.length)


def train_now(scene: Scene, batch: int) -> Fresh:
    """Train a batch of fresh seeds at the smallest scale.

    Errors: ValueError for a scene without `train` and for grades that are no shares of eight seeds, one at least sound; and what
    `train` raises.
    """
    if scene.train is None:
        raise ValueError(NO_TRAINING)
    since = time.perf_counter()
    found = np.asarray(scene.train(batch), dtype=float).ravel()
    seconds = time.perf_counter() - since
    sound = found[np.isfinite(found)]
    if len(found) != FRESH or not len(sound) or sound.min() < 0 or sound.max() > 1:
        raise ValueError(f"train: got {found.tolist()}, allowed are {FRESH} shares from 0 to 1, NaN for some that diverged")
    return Fresh(tuple(sound.tolist()), len(found) - len(sound), seconds)


def fresh_values(scene: Scene, state: State, batches: Sequence[Fresh]) -> list[float]:
    """Fresh seeds that belong to what a state looks at: at the smallest scale, graded as they were."""
    return [value for each in batches for value in each.values] if can_train(scene, state) and state.step == 0 else []


def place_words(scene: Scene, state: State) -> str:
    """Where on the axis of scales a state is."""
    if state.source == "analytic":
        return f"scale {MIXTURE_SCALES[0] + state.step / STEPS:g}"
    place, rest = divmod(state.step, STEPS)
    if not rest:
        return f"{scene.scale} {scene.scales[place]:g}"
    return f"{scene.scale} {scene.scales[place]:g} to {scene.scales[place + 1]:g}, {100 * rest // STEPS} % of the way"
