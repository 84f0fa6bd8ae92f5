"""How a grid is laid out in a figure: which axis lies on x, which are told apart by colour, which are pooled."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from lib.runs.sweeps.words import cell, label

SEED = "seed"
MOST_LINES = 8  # as many colours and markers as can be told apart
Scale = Literal["linear", "log", "names"]


@dataclass(frozen=True)
class Line:
    """The rows of the table that one line joins."""

    name: str
    rows: Bool[np.ndarray, " runs"]


@dataclass(frozen=True)
class View:
    """A table seen along its grid: `position` is the place of each row on x, counted in `values`.

    Without a varying axis other than the seed `x` is None, and all rows share the one place.
    """

    x: str | None
    values: list[Any]
    scale: Scale
    series: list[str]
    pooled: list[str]
    position: Int[np.ndarray, " runs"]
    lines: list[Line]

    @property
    def places(self) -> Float[np.ndarray, " values"]:
        """Where the values lie on x."""
        return np.arange(len(self.values), dtype=float) if self.scale == "names" else np.array(self.values, dtype=float)


def view_of(frame: pd.DataFrame) -> View:
    """The layout of a sweep's table.

    x is the first varying axis. Of the others, in their order, those become lines that keep the lines at eight or fewer;
    the rest is pooled.
    """
    axes = {name: values for name, values in frame.attrs["axes"].items() if name != SEED and len(values) > 1}
    x, *others = axes or [None]
    series: list[str] = []
    lines = 1
    for name in others:
        if lines * len(axes[name]) <= MOST_LINES:
            series.append(name)
            lines *= len(axes[name])
    values = axes[x] if x else [None]
    scale = scale_of(values)
    values = values if scale == "names" else sorted(values)
    position = _positions(frame[x], values) if x else np.zeros(len(frame), dtype=int)
    return View(x, values, scale, series, [name for name in others if name not in series], position, _lines(frame, axes, series))


def scale_of(values: Sequence[Any]) -> Scale:
    """Numbers lie on a line, logarithmic where their ratios are more even than their differences; all else by name."""
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return "names"
    numbers = np.unique(np.array(values, dtype=float))
    if len(numbers) < 3 or numbers[0] <= 0:
        return "linear"
    return "log" if _unevenness(np.log(numbers)) < _unevenness(numbers) - 1e-9 else "linear"


def _unevenness(numbers: Float[np.ndarray, " n"]) -> float:
    """Spread of the steps relative to their mean."""
    steps = np.diff(numbers)
    return float(steps.std() / steps.mean())


def _positions(column: pd.Series, values: Sequence[Any]) -> Int[np.ndarray, " runs"]:
    """The place of each cell's value among `values`."""
    place = {cell(value): index for index, value in enumerate(values)}
    return np.array([place[value] for value in column], dtype=int)


def _lines(frame: pd.DataFrame, axes: Mapping[str, Sequence[Any]], series: Sequence[str]) -> list[Line]:
    """A line for each combination of the series' values."""
    where = {name: _positions(frame[name], axes[name]) for name in series}
    lines = []
    for picks in itertools.product(*(range(len(axes[name])) for name in series)):
        rows = np.ones(len(frame), dtype=bool)
        for name, pick in zip(series, picks, strict=True):
            rows &= where[name] == pick
        lines.append(Line(", ".join(label(axes[name][pick]) for name, pick in zip(series, picks, strict=True)), rows))
    return lines
