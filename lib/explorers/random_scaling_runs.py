"""Seeds to look at, trained or of the analytic mixture, and their distribution at any place on the axis of scales."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from lib.emergence.companion import Companion, companion
from lib.emergence.curves import Picked, pick_seeds
from lib.emergence.density import BINS, bin_edges, histogram, histogram_mode, kde
from lib.explorers.random_scaling_state import MIXTURE_SCALES, STEPS, Scene, State

POINTS = np.linspace(0, 1, 101)  # where densities are drawn, in units of the axis
COLUMNS = 80  # dots in one of them are stacked
MIXTURE_SEEDS = 40
NO_REFLECTION = 0.8  # nats end there on their axis: reflection at its right end would move mass that is only cut off

PerSeed = Float64[np.ndarray, "K"]


@dataclass(frozen=True, eq=False)
class Runs:
    """A metric of K seeds at S scales, `values` [S, K] on an axis from 0 to `end`; `names` [K] say which seeds they are.

    `fullest`: largest share of seeds in a bin, of all scales.
    """

    scales: tuple[float | int, ...]
    names: tuple[str, ...]
    values: Float64[np.ndarray, "S K"]
    end: float
    fullest: float
    nats: bool = False

    @cached_property
    def order(self) -> Int64[np.ndarray, "S K"]:
        """Seeds from the lowest to the highest, at every scale."""
        return self.values.argsort(axis=1, kind="stable")

    @cached_property
    def ordered(self) -> Float64[np.ndarray, "S K"]:
        """Their values."""
        return np.take_along_axis(self.values, self.order, axis=1)

    @cached_property
    def lanes(self) -> Float64[np.ndarray, "S K"]:
        """How far down each dot of `ordered` is stacked."""
        return np.stack([lanes(row / self.end) for row in self.ordered])

    @cached_property
    def picked(self) -> Picked:
        """The most emergent and the most linear seed; of nats, which fall, by the curves of their negatives."""
        return pick_seeds((-self.values if self.nats else self.values).T)


@dataclass(frozen=True, eq=False)
class Seen:
    """The distribution over seeds at one place on the axis of scales.

    `known`: not interpolated. `shares` [20]: of the seeds in each bin; `density` [101]: share per bin at POINTS. `dots`, `lanes`,
    `who` [K]: each dot's value, how far down it is stacked, and the seed it is at the nearest scale. `own`, `own_lanes` [K]: each
    seed's value on its own curve, which is its dot at a scale, and on the straight line between two of them in between.
    `p_success` and `mean_success` are NaN for nats, the latter also where no seed succeeds.
    """

    known: bool
    shares: Float64[np.ndarray, "bins"]
    density: Float64[np.ndarray, "G"]
    dots: PerSeed
    lanes: PerSeed
    who: Int64[np.ndarray, "K"]
    own: PerSeed
    own_lanes: PerSeed
    mode: float
    mean: float
    p_success: float
    mean_success: float


def lanes(shares: PerSeed, below: Sequence[float] | PerSeed = ()) -> PerSeed:
    """0, 1, ... for dots that share a column, in their order; under those that already lie there."""
    columns = np.minimum((np.asarray(shares) * COLUMNS).astype(int), COLUMNS - 1)
    taken = np.bincount(np.minimum((np.asarray(below) * COLUMNS).astype(int), COLUMNS - 1), minlength=COLUMNS)
    found = np.zeros(len(columns))
    for i, column in enumerate(columns):
        found[i] = taken[column]
        taken[column] += 1
    return found


def between(rows: Float64[np.ndarray, "S K"], step: int) -> PerSeed:
    """Rows at their own steps, exactly, and straight on from one to the next in between.

    Of sorted samples this is displacement interpolation, the geodesic of the Wasserstein distances on the line [peyre2019]:
    F_t^-1 = (1 - t) F_0^-1 + t F_1^-1.
    """
    scale, rest = divmod(step, STEPS)
    if not rest:
        return rows[scale]
    t = rest / STEPS
    return (1 - t) * rows[scale] + t * rows[scale + 1]


def runs_of(scene: Scene, state: State) -> Runs:
    """The seeds that a state looks at; kept, so that moving along the axis costs nothing."""
    if state.source == "analytic":
        return _mixture_runs(state.middle, state.steepness)
    return _trained_runs(scene, state.metric, state.length)


def seen(scene: Scene, state: State) -> Seen:
    """The distribution over seeds in a state."""
    runs, step = runs_of(scene, state), state.step
    places = np.take_along_axis(runs.lanes, runs.order.argsort(axis=1), axis=1)  # lanes seed by seed
    where = {"lanes": between(runs.lanes, step), "own_lanes": between(places, step)}
    where["who"] = runs.order[(step + STEPS // 2) // STEPS]
    if state.source == "analytic":
        one = _part(mixture(state.middle, state.steepness), slice(step, step + 1))
        x = one.quantiles(QUANTILES)[:, 0] if step % STEPS else runs.values[step // STEPS]
        return Seen(known=True, dots=x, own=x, **where, **_exact_facts(one, state.tau))
    x = np.clip(between(runs.ordered, step), 0, runs.end)  # rounding may lead over the ends
    return Seen(known=step % STEPS == 0, dots=x, own=between(runs.values, step), **where, **_facts(x, runs, state.tau))


def mixture(middle: float, steepness: float) -> Companion:
    """The analytic mixture at every step of the axis."""
    return _mixture(float(middle), float(steepness))


@lru_cache(maxsize=8)
def _mixture(middle: float, steepness: float) -> Companion:
    steps = np.arange(STEPS * (len(MIXTURE_SCALES) - 1) + 1)
    return companion((MIXTURE_SCALES[0] + steps / STEPS).tolist(), middle=middle, steepness=steepness)


def _part(whole: Companion, steps: slice) -> Companion:
    return Companion(whole.scales[steps], whole.weights[steps], whole.heights[steps])


QUANTILES = (np.arange(MIXTURE_SEEDS) + 0.5) / MIXTURE_SEEDS


@lru_cache(maxsize=8)
def _mixture_runs(middle: float, steepness: float) -> Runs:
    whole = _part(mixture(middle, steepness), slice(None, None, STEPS))
    fullest = float(np.diff(whole.cdf(bin_edges())).max())
    return Runs(MIXTURE_SCALES, tuple(f"luck {100 * u:.0f} %" for u in QUANTILES), whole.quantiles(QUANTILES).T, 1.0, fullest)


@lru_cache(maxsize=64)
def _trained_runs(scene: Scene, metric: str, length: int) -> Runs:
    values = scene.values[metric, length]
    nats = metric == "nll"
    end = _round_up(values.max() / NO_REFLECTION) if nats else 1.0
    fullest = float(max(histogram(row / end).max() for row in values)) / values.shape[1]
    return Runs(scene.scales, tuple(f"seed {number}" for number in scene.numbers), values, end, fullest, nats)


def _facts(x: PerSeed, runs: Runs, tau: float) -> dict[str, Any]:
    """shares, density and statistics of a sample."""
    shares, won = histogram(x / runs.end) / len(x), x > tau
    return {
        "shares": shares,
        "density": kde(x / runs.end, POINTS) / BINS,
        "mode": float(histogram_mode(shares[None])[0]) * runs.end,
        "mean": float(x.mean()),
        "p_success": float("nan") if runs.nats else float(won.mean()),
        "mean_success": float("nan") if runs.nats or not won.any() else float(x[won].mean()),
    }


def _exact_facts(one: Companion, tau: float) -> dict[str, Any]:
    """The same of the mixture at one scale, without any sample."""
    statistics = {"mode": one.histogram_mode(), "mean": one.mean(), "p_success": one.p_success(tau)}
    statistics["mean_success"] = one.mean_success(tau)
    shapes = {"shares": np.diff(one.cdf(bin_edges()))[0], "density": one.pdf(POINTS)[0] / BINS}
    return shapes | {name: float(value[0]) for name, value in statistics.items()}


def _round_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten; 1 for 0."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** np.floor(np.log10(value))
    return float(next(unit * k for k in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if unit * k >= value * (1 - 1e-12)))
