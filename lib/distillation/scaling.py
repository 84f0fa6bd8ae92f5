"""What a data budget buys: Pareto frontiers of accuracy, the hard-labelled data that soft labels replace, and storage."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

Number = int | float | np.number
Numbers = Sequence[Number] | np.ndarray | pd.Series


@dataclass(frozen=True)
class Multiplier:
    """`value`: budget of hard-labelled data with the same accuracy, over the budget spent. `bound`: how to read it.

    "equal", or "at least" (the accuracy is above all that hard labels reached: `value` is for their largest budget), or "at
    most" (below all that they reached: for their smallest budget).
    """

    value: float
    bound: Literal["equal", "at least", "at most"]


@dataclass(frozen=True)
class Storage:
    """Numbers to store for a small training set: those of its `pixels` and those of its `labels`."""

    pixels: int
    labels: int

    @property
    def total(self) -> int:
        """Both."""
        return self.pixels + self.labels


def pareto(budget: Numbers, accuracy: Numbers) -> Int64[np.ndarray, "f"]:
    """Positions of the points that none dominates, by increasing budget; accuracy increases along them.

    j dominates i if it costs no more and is no less accurate, and differs in one of them; so of equal points all stay.
    Errors: ValueError for no points, numbers that are not finite, or unequal lengths.
    """
    cost, gain = _points(budget, accuracy)
    order = np.lexsort((-gain, cost))  # within a budget the most accurate first
    best = np.maximum.accumulate(gain[order])
    cheapest = cost[order][np.searchsorted(best, best)]  # the least budget that reaches the best accuracy so far
    return order[(gain[order] == best) & (cost[order] == cheapest)]


def envelope(budget: Numbers, accuracy: Numbers, at: Numbers) -> Float[np.ndarray, "a"]:
    """Best accuracy of points that cost at most each budget in `at`, NaN where none is that cheap. ValueErrors of `pareto`."""
    place = attained(budget, accuracy, at)
    return np.where(place < 0, np.nan, np.asarray(accuracy, dtype=float)[place])


def attained(budget: Numbers, accuracy: Numbers, at: Numbers) -> Int64[np.ndarray, "a"]:
    """Position of the point that attains the `envelope` at each budget in `at`, -1 where none is that cheap.

    Of equally accurate points it is the cheapest, and of those the first. ValueErrors of `pareto`.
    """
    cost, gain = _points(budget, accuracy)
    order = np.lexsort((-gain, cost))  # stable: of equal points the first
    places = np.arange(len(order))
    better = np.concatenate([[True], gain[order][1:] > np.maximum.accumulate(gain[order])[:-1]])
    best = np.maximum.accumulate(np.where(better, places, 0))  # the last of each stretch that was better than all before it
    affordable = np.searchsorted(cost[order], _finite("at", at), side="right")
    return np.concatenate([[-1], order[best]])[affordable]


def data_multiplier(hard_budgets: Numbers, hard_accuracies: Numbers, budget: Number, accuracy: Number) -> Multiplier:
    """b / budget, where b is the least budget at which hard labels reach `accuracy`.

    The curve of hard labels is their best accuracy up to each budget, so that it never falls, and linear in ln(budget) between
    the budgets given. Beyond its ends the result is a bound. (Our reading of the paper's data-knowledge trade.)
    Errors: ValueError for budgets that are not positive or stand twice, no points, unequal lengths, or numbers not finite.
    """
    cost, gain = _points(hard_budgets, hard_accuracies)
    _points([budget], [accuracy])
    if min(cost.min(), budget) <= 0 or len(np.unique(cost)) < len(cost):
        raise ValueError(f"hard_budgets: got {cost.tolist()} against budget {budget}, allowed are different budgets > 0")
    order = np.argsort(cost)
    cost, best = cost[order], np.maximum.accumulate(gain[order])
    if accuracy < best[0]:
        return Multiplier(float(cost[0] / budget), "at most")
    if accuracy > best[-1]:
        return Multiplier(float(cost[-1] / budget), "at least")
    reached = int(np.searchsorted(best, accuracy))
    span = slice(max(reached - 1, 0), reached + 1)  # the curve rises all along this stretch
    return Multiplier(float(np.exp(np.interp(accuracy, best[span], np.log(cost[span]))) / budget), "equal")


def storage(ipc: int, classes: int, pixels: int, *, epochs: int = 1, per_label: int | None = None) -> Storage:
    """IPC C `pixels` numbers for the images and IPC C `epochs` `per_label` for the labels.

    `per_label`: C for a soft label (the default), 1 for a hard one, 2 k for k probabilities and their columns. `epochs`: C for
    labels of each epoch's own augmented view of an image, as with CutMix; 1 for one label an image.
    Errors: ValueError naming the first that is no whole number of at least 1.
    """
    numbers = classes if per_label is None else per_label
    counts = {"ipc": ipc, "classes": classes, "pixels": pixels, "epochs": epochs, "per_label": numbers}
    for name, count in counts.items():
        if not (isinstance(count, Integral) and count >= 1):
            raise ValueError(f"{name}: got {count}, allowed are whole numbers >= 1")
    return Storage(ipc * classes * pixels, ipc * classes * epochs * numbers)


def _points(budget: Numbers, accuracy: Numbers) -> tuple[Float[np.ndarray, "p"], Float[np.ndarray, "p"]]:
    cost, gain = _finite("budget", budget), _finite("accuracy", accuracy)
    if len(cost) != len(gain) or len(cost) == 0:
        raise ValueError(f"accuracy: got {len(gain)} for {len(cost)} budgets, allowed is one for each of 1 or more budgets")
    return cost, gain


def _finite(name: str, values: Numbers) -> Float[np.ndarray, "p"]:
    numbers = np.asarray(values, dtype=float)
    if numbers.ndim != 1:
        raise ValueError(f"{name}: got shape {numbers.shape}, allowed is a row of numbers")
    if not (finite := np.isfinite(numbers)).all():
        raise ValueError(f"{name}: got {numbers[~finite][0]}, allowed are finite numbers")
    return numbers
