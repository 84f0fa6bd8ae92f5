"""What the explorer of the random-scaling study is given, and what a reader can choose."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from lib.emergence.checks import check_least, check_tau, checked_runs
from lib.emergence.outcome import METRICS
from lib.emergence.statistics import SUCCESS
from lib.seeds import Seeds

STEPS = 20  # places to stop at from one scale to the next
MOST_TAU = 0.95
SOURCES = ("trained", "analytic")
MIXTURE_SCALES = tuple(range(1, 10))  # of the analytic mixture, in no unit
MIDDLE, STEEPNESS = (1.0, 9.0), (-3.0, 3.0)  # of its share of successes
FRESH = 8  # seeds in a batch trained now

Train = Callable[[int], ArrayLike]


@dataclass(frozen=True, eq=False)
class Scene:
    """Final grades of K seeds at S scales; made and checked by `Scene.of`.

    `values`: (metric, exam length) -> [S, K], for all metrics and all `lengths`. `numbers` [K]: of the seeds that are shown.
    `left_out`: number of a seed that diverged -> the scales at which it did. `scale`: what a scale is, such as width. `source`:
    where the seeds come from, in words. `tau`, `length`: to begin with. `seeds`: for resamples and choices of seeds. `train`:
    number of a batch -> exact match at `length` of fresh seeds at the smallest scale, NaN for those that diverge.
    """

    values: Mapping[tuple[str, int], Float64[np.ndarray, "S K"]]
    scales: tuple[float | int, ...]
    numbers: tuple[int, ...]
    lengths: tuple[int, ...]
    left_out: Mapping[int, tuple[float | int, ...]]
    scale: str
    source: str
    tau: float
    length: int
    seeds: Seeds
    train: Train | None

    @classmethod
    def of(
        cls,
        values: Mapping[tuple[str, int], Float64[np.ndarray, "S K"]],
        scales: Sequence[float | int],
        numbers: Sequence[int],
        *,
        seeds: Seeds,
        length: int,
        tau: float | int = SUCCESS,
        left_out: Mapping[int, Sequence[float | int]] | None = None,
        scale: str = "width",
        source: str = "trained here",
        train: Train | None = None,
    ) -> "Scene":
        """The scene of shares (exact, token) in 0..1 and of nats (nll) >= 0.

        Errors: ValueError for the first of these that does not fit the others, for fewer than two scales or two seeds, a metric
        that is missing at an exam length, and a threshold or a first length that cannot be chosen.
        """
        lengths = tuple(sorted({length for _, length in values}))
        check_least(scales=(len(scales), 2), numbers=(len(numbers), 2))
        if missing := {(metric, each) for metric in METRICS for each in lengths} ^ values.keys():
            raise ValueError(f"values: got {len(values)}, allowed is one for each metric and length, unlike {sorted(missing)[0]}")
        for (metric, each), found in values.items():
            runs = checked_runs(found, scales, shares=metric != "nll")
            if runs.shape[1] != len(numbers) or runs.min() < 0:
                given = f"{runs.shape[1]} seeds from {runs.min():g} up for {metric}, length {each}"
                raise ValueError(f"values: got {given}; allowed are {len(numbers)}, one for each number, none below 0")
        if length not in lengths:
            raise ValueError(f"length: got {length}, allowed are {', '.join(map(str, lengths))}")
        check_tau(tau)
        gone = {int(seed): tuple(at) for seed, at in (left_out or {}).items()}
        return cls(
            dict(values), tuple(scales), tuple(int(number) for number in numbers), lengths, gone,
            scale, source, float(tau), length, seeds, train,
        )  # fmt: skip

    @property
    def taus(self) -> tuple[float, float]:
        """The least and the largest threshold that can be chosen."""
        return 0.0, max(MOST_TAU, self.tau)

    @property
    def first(self) -> "State":
        """The state to begin with: the scale at which success is nearest to an even chance."""
        shares = (self.values["exact", self.length] > self.tau).mean(1)
        return State(step=STEPS * int(np.abs(shares - 0.5).argmin()), length=self.length, tau=self.tau)


@dataclass(frozen=True)
class State:
    """A reader's choices.

    `step`: where on the axis of scales, in 20ths of the way from one to the next. `length`: of the exam. `tau`: success is a
    share above it. `metric`: exact, token or nll. `source`: trained or analytic. `afford`: how many seeds one can afford. `seed`:
    place of the clicked one among those shown. `middle`, `steepness`: of the mixture's share of successes over scale.
    """

    step: int
    length: int
    tau: float = SUCCESS
    metric: str = "exact"
    source: str = "trained"
    afford: int = 1
    seed: int | None = None
    middle: float = 5.0
    steepness: float = 1.5


@dataclass(frozen=True)
class Fresh:
    """A batch of seeds trained now: exact match of each at the scene's length and smallest scale; how many diverged; seconds."""

    values: tuple[float, ...]
    diverged: int
    seconds: float
