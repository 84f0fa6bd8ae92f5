"""Measured accuracies as curves, and the one that was measured nearest to what a reader asks for: nothing is interpolated."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

INTERVAL = ("accuracy", "low", "high")  # columns of every frame of measured accuracies
BOUNDS = {"ipc": (1, math.inf), "epoch": (0, math.inf), "temperature": (1e-6, math.inf)}


@dataclass(frozen=True)
class Point:
    """A measured accuracy in % with its interval (NaN of a single draw). `at`: the budget, the rank k, or the name of the arm."""

    at: Any
    accuracy: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)

    @property
    def ends(self) -> tuple[float, float]:
        """Of the interval, or the accuracy itself where there is none."""
        return (self.low, self.high) if self.known else (self.accuracy, self.accuracy)


Curve = tuple[Point, ...]


@dataclass(frozen=True)
class Nearest:
    """A measured curve: of the very labels asked for if `exact`, else of the nearest ones. `key`: which those are."""

    key: Any
    curve: Curve
    exact: bool

    def at(self, wanted: float) -> Point:
        """The point measured nearest to a budget or rank."""
        return min(self.curve, key=lambda point: away(point.at, wanted))


def curves(name: str, frame: pd.DataFrame | None, by: Sequence[str], over: str, classes: int) -> dict[Any, Curve]:
    """Values of the columns `by` (a tuple, or the value of a single one) -> curve over the column `over`, ascending.

    Arms stay in the order in which they come; no frame gives no curves.
    Errors: ValueError for missing columns, accuracies that are no percentages or outside their intervals, rows that stand
    twice, ranks above C, and budgets, epochs, temperatures or subjects that cannot be.
    """
    if frame is None:
        return {}
    _check(name, frame, [*by, over], BOUNDS | {"k": (0, classes), "subject": (0, classes - 1)})
    ordered = frame if over == "arm" else frame.sort_values(over, kind="stable")
    found: dict[Any, list[Point]] = {}
    for row in ordered.to_dict("records"):
        key = tuple(row[column] for column in by)
        found.setdefault(key[0] if len(by) == 1 else key, []).append(Point(row[over], *(float(row[c]) for c in INTERVAL)))
    return {key: tuple(points) for key, points in found.items()}


def _check(name: str, frame: pd.DataFrame, keys: list[str], bounds: Mapping[str, tuple[float, float]]) -> None:
    wanted = [*keys, *INTERVAL]
    if frame.empty or not set(wanted) <= set(frame.columns):
        raise ValueError(f"{name}: got {len(frame)} rows of {list(frame.columns)}, allowed are one or more rows of {wanted}")
    accuracy, low, high = frame[list(INTERVAL)].to_numpy(dtype=float).T
    if not ((accuracy >= 0) & (accuracy <= 100)).all():
        raise ValueError(f"{name}: got accuracies {accuracy.min():g} to {accuracy.max():g}, allowed are 0 to 100 %")
    inside = np.isfinite([low, high]).all(0) & (low <= accuracy) & (accuracy <= high)
    if not (inside | np.isnan([low, high]).all(0)).all():
        raise ValueError(f"{name}: got an accuracy outside its interval, allowed are low <= accuracy <= high, or NaN for both")
    if (again := frame.duplicated(keys)).any():
        raise ValueError(f"{name}: got two rows of {frame[again][keys].iloc[0].to_dict()}, allowed is one")
    for column, (least, most) in bounds.items():
        if column in keys and not (fits := frame[column].between(least, most)).all():
            raise ValueError(f"{name}: got {column} {frame[column][~fits].iloc[0]}, allowed are {least:g} to {most:g}")


def away(one: float, other: float) -> float:
    """Distance of two numbers >= 0 in doublings: |log2(1 + a) - log2(1 + b)|, so that epoch 0 has a place too."""
    return abs(math.log2(1 + one) - math.log2(1 + other))


def nearest(found: Mapping[Any, Curve], wanted: Hashable, distance: Callable[[Any], Any]) -> Nearest | None:
    """The curve of the key at the least distance, None where nothing was measured; of equals the first."""
    if not found:
        return None
    key = wanted if wanted in found else min(found, key=distance)
    return Nearest(key, found[key], key == wanted)
