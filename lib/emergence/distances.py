"""How far apart two distributions on the line are: the Wasserstein distance of order p, and from scale to scale."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64

from lib.emergence.checks import Values, check_least, check_order, checked_runs, checked_sample
from lib.emergence.resampling import RESAMPLES, percentiles, resampled_rows
from lib.seeds import Seeds


def wasserstein_1d(a: Values, b: Values, p: float | int = 1) -> float:
    """W_p = (int_0^1 |F^-1(u) - G^-1(u)|^p du)^(1/p) of two samples of any sizes [peyre2019].

    Errors: ValueError for an empty sample, entries that are not finite, and p below 1 or not finite.
    """
    a, b = np.sort(checked_sample("a", a)), np.sort(checked_sample("b", b))
    check_order(p)
    # Both quantile functions are constant between whole multiples of len(b) and of len(a), in units of 1 / (len(a) len(b)).
    ends = np.union1d(np.arange(1, len(a) + 1) * len(b), np.arange(1, len(b) + 1) * len(a))
    shares = np.diff(ends, prepend=0) / (len(a) * len(b))
    return float(_root_mean(np.abs(a[(ends - 1) // len(b)] - b[(ends - 1) // len(a)]), p, shares))


def scale_distances(
    values: Values, scales: Sequence[float | int], *, seeds: Seeds, p: float | int = 2, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """scale, against ("previous" or "largest"), p, value, low, high, n: W_p of each scale's seeds to another scale's.

    `values` [S, K] is any metric. low and high: 95 % bootstrap interval over seeds, the same resamples at both scales. A distance
    of samples is never negative and so too large on average, more so in resamples: compare it with its neighbours, not with 0.
    Errors: ValueError for fewer than two scales, scales that don't ascend, entries that are not finite, and p as above.
    """
    runs = checked_runs(values, scales, shares=False)
    check_least(scales=(len(runs), 2))
    check_order(p)
    drawn = resampled_rows(runs.shape[1], resamples, seeds)
    ordered = [np.sort(np.concatenate([row[None], row[drawn]]), axis=1) for row in runs]  # [1 + R, K] at each scale
    last, rows = len(runs) - 1, []
    pairs = [(s, s - 1, "previous") for s in range(1, last + 1)] + [(s, last, "largest") for s in range(last)]
    for one, other, against in pairs:
        value, *resampled = _root_mean(np.abs(ordered[one] - ordered[other]), p)
        rows.append((scales[one], against, p, float(value), *percentiles(np.array(resampled)), runs.shape[1]))
    return pd.DataFrame(rows, columns=["scale", "against", "p", "value", "low", "high", "n"])


def _root_mean(
    gaps: Float64[np.ndarray, "*R n"], p: float | int, shares: Float64[np.ndarray, "n"] | None = None
) -> Float64[np.ndarray, "*R"]:
    """(sum_i shares_i gaps_i^p)^(1/p), equal shares by default, in units of the largest gap, so that no power vanishes."""
    unit = gaps.max(-1, keepdims=True)
    parts = np.divide(gaps, unit, out=np.zeros_like(gaps), where=unit > 0) ** p
    total = parts.mean(-1) if shares is None else parts @ shares
    return np.asarray(unit[..., 0] * total ** (1 / p))
