"""What the statistics refuse, each with one line that names the argument, the value and what is allowed."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

Values = Sequence[Any] | np.ndarray | pd.Series  # numbers, nested for several axes


def checked_values(name: str, values: Values, least: int = 1) -> Float64[np.ndarray, "..."]:
    """`values` as float64, finite, with at least `least` entries on the first axis.

    Errors: ValueError for fewer entries, for NaN and infinities, and for narrower floats: in float32, 0.2 is more than 0.2.
    """
    x = np.asarray(values)
    if x.dtype.kind == "f" and x.dtype != np.float64:
        raise ValueError(f"{name}: got {x.dtype}, allowed is float64, in which equal shares are equal to thresholds")
    x = x.astype(np.float64)
    if x.ndim == 0 or len(x) < least:
        raise ValueError(f"{name}: got {x.size if x.ndim == 0 else len(x)} values, allowed are {least} or more")
    if not np.isfinite(x).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(f"{name}: got {x[where]} at {where}, allowed are finite numbers")
    return x


def checked_sample(name: str, values: Values, least: int = 1) -> Float64[np.ndarray, "n"]:
    """`checked_values` with a single axis. ValueError for more axes."""
    x = checked_values(name, values, least)
    if x.ndim != 1:
        raise ValueError(f"{name}: got shape {x.shape}, allowed is one axis")
    return x


def checked_runs(values: Values, scales: Sequence[float | int], *, shares: bool = True) -> Float64[np.ndarray, "S K"]:
    """A metric of K >= 1 seeds at S ascending scales; with `shares`, within 0..1.

    Errors: ValueError for NaN and infinities, shares outside 0..1, no seeds, and scales that don't ascend or don't fit.
    """
    runs = checked_values("values", values)
    if runs.ndim != 2 or runs.shape[1] < 1:
        raise ValueError(f"values: got shape {runs.shape}, allowed is (scales, seeds) with one seed or more")
    if len(scales) != len(runs):
        raise ValueError(f"scales: got {len(scales)} for {len(runs)} rows of values, allowed is one for each row")
    if not all(a < b for a, b in pairwise(scales)):
        raise ValueError(f"scales: got {list(scales)}, allowed are different ones in ascending order")
    if shares and not ((runs >= 0) & (runs <= 1)).all():
        scale, seed = np.argwhere((runs < 0) | (runs > 1))[0]
        raise ValueError(f"values: got {runs[scale, seed]} at scale {scales[scale]}, seed {seed}, allowed are shares from 0 to 1")
    return runs


def check_tau(tau: float | int) -> None:
    """ValueError for a threshold outside [0, 1)."""
    if not 0 <= tau < 1:
        raise ValueError(f"tau: got {tau}, allowed is 0 <= tau < 1")


def check_order(p: float | int) -> None:
    """ValueError for the order of a distance that is below 1 or not finite."""
    if not (math.isfinite(p) and p >= 1):
        raise ValueError(f"p: got {p}, allowed are finite numbers >= 1")


def check_least(**counts: tuple[int, int]) -> None:
    """ValueError for the first count that is below its least value; name -> (count, least)."""
    for name, (count, least) in counts.items():
        if count < least:
            raise ValueError(f"{name}: got {count}, allowed are whole numbers >= {least}")
