"""One or two clusters? Numbers about the shape of a sample; none of them replaces a look at the histogram."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.emergence.checks import Values, checked_runs, checked_sample
from lib.emergence.dip import LEAST_RESAMPLES, dip_test
from lib.seeds import Seeds

ENOUGH_SEEDS = 20
LARGEST_SPIKE = 0.5  # share of seeds with one and the same value


@dataclass(frozen=True)
class TwoMeans:
    """Centres `low` and `high` of the best split in two, the share `upper` of values in the higher part, and the share
    `explained` of the variance that lies between the parts. A constant sample has one centre: gap 0, upper 0, explained 0.
    """

    low: float
    high: float
    upper: float
    explained: float

    @property
    def gap(self) -> float:
        """Distance of the two centres."""
        return self.high - self.low


def sarle(values: Values) -> float:
    """BC = (skewness^2 + 1) / kurtosis with biased moments, kurtosis not in excess [pfister2013]: 5/9 for a uniform distribution,
    1/3 for a normal one, 1 for any two points, and never more.

    Errors: ValueError for fewer than two values, values that are not finite, and a constant sample.
    """
    x = checked_sample("values", values, 2)
    if np.ptp(x) == 0:
        raise ValueError(f"values: all are {x[0]}, allowed are at least two different ones")
    z = (x - x.min()) / np.ptp(x)  # moments of standardised values, so that no power vanishes
    z -= z.mean()
    m2, m3, m4 = ((z**k).mean() for k in (2, 3, 4))
    return float((m3**2 / m2**3 + 1) / (m4 / m2**2))


def two_means(values: Values) -> TwoMeans:
    """The split of a sample in a lower and a higher part with the least sum of squares within, found exactly [fisher1958].

    Errors: ValueError for fewer than two values and values that are not finite.
    """
    x = np.sort(checked_sample("values", values, 2))
    n, cuts = len(x), np.arange(1, len(x))
    sums = np.cumsum(x - x.mean())[:-1]
    between = sums**2 * (1 / cuts + 1 / (n - cuts))  # sum of squares between the parts, whose deviations sum to 0
    cut = int(between.argmax()) + 1
    if x[0] == x[-1]:
        return TwoMeans(float(x[0]), float(x[0]), 0.0, 0.0)
    explained = between[cut - 1] / ((x - x.mean()) ** 2).sum()
    return TwoMeans(float(x[:cut].mean()), float(x[cut:].mean()), (n - cut) / n, float(min(explained, 1.0)))


def shape_statistics(
    values: Values,
    scales: Sequence[float | int],
    *,
    seeds: Seeds,
    resamples: int = LEAST_RESAMPLES,
    levels: int | None = None,
) -> pd.DataFrame:
    """One row for each scale of any metric [S, K]: its shape, and whether there is enough to go by.

    Columns: scale, n, `dip` and `p_value` (`dip_test`, with its `levels`), `sarle` (NaN for a constant row), `gap`, `low`,
    `high`, `upper`, `explained` (`two_means`), `spike`: share of seeds at the most common value, `enough`: at least 20 seeds and
    no more than half of them at one value. Else the dip says little: many zeros and a few other values are no two clusters.
    Errors: ValueError for fewer than four seeds, entries that are not finite, scales that don't ascend, and as in `dip_test`.
    """
    rows = []
    for scale, row in zip(scales, checked_runs(values, scales, shares=False), strict=True):
        test, parts = dip_test(row, seeds, resamples=resamples, levels=levels), two_means(row)
        spike = np.unique(row, return_counts=True)[1].max() / len(row)
        shape = {"dip": test.dip, "p_value": test.p_value, "sarle": sarle(row) if np.ptp(row) else float("nan"), "gap": parts.gap}
        split = {"low": parts.low, "high": parts.high, "upper": parts.upper, "explained": parts.explained}
        enough = len(row) >= ENOUGH_SEEDS and spike <= LARGEST_SPIKE
        rows.append({"scale": scale, "n": len(row), **shape, **split, "spike": spike, "enough": enough})
    return pd.DataFrame(rows)
