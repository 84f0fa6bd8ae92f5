"""Bootstrap over seeds: resample them with replacement and read off the middle 95 % [efron1979]."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from lib.emergence.checks import Values, check_least, checked_values
from lib.seeds import Seeds

RESAMPLES = 1000
ENDS = (2.5, 97.5)  # percentiles


@dataclass(frozen=True)
class Interval:
    """A statistic's `value`, and the `low` and `high` ends of its 95 % percentile interval."""

    value: float
    low: float
    high: float


def bootstrap_ci(x: Values, stat: Callable[[np.ndarray], float], seeds: Seeds, *, resamples: int = RESAMPLES) -> Interval:
    """`stat` of x, whose first axis are the seeds, with the percentile interval over resampled seeds.

    Errors: ValueError for no seeds, entries or resampled statistics that are not finite, and fewer than one resample.
    """
    x = checked_values("x", x)
    drawn = np.array([stat(x[rows]) for rows in resampled_rows(len(x), resamples, seeds)], dtype=float)
    if not np.isfinite(drawn).all():
        raise ValueError(f"stat: got {drawn[~np.isfinite(drawn)][0]} in a resample, allowed are finite numbers")
    return Interval(float(stat(x)), *percentiles(drawn))


def resampled_rows(seeds_count: int, resamples: int, seeds: Seeds) -> Int64[np.ndarray, "R K"]:
    """Row numbers of R resamples of K seeds. ValueError for fewer than one resample."""
    check_least(resamples=(resamples, 1))
    return seeds.numpy().integers(0, seeds_count, (resamples, seeds_count))


def percentiles(drawn: Float64[np.ndarray, "R"]) -> tuple[float, float]:
    """Percentiles 2.5 and 97.5 of the resamples in which a statistic is defined (not NaN); NaN where it never is."""
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, ENDS)
    return float(low), float(high)
