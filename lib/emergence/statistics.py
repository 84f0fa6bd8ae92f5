"""Seed statistics [zhao2025]: how often a scale succeeds, how well its successes do, and where its most common outcome lies."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64

from lib.emergence.checks import Values, check_tau, checked_runs
from lib.emergence.density import BANDWIDTH, BINS, GRID, bin_of, density_mode, histogram_mode, kernels
from lib.emergence.resampling import RESAMPLES, percentiles, resampled_rows
from lib.seeds import Seeds

SUCCESS = 0.2  # exact match above which the paper calls a run a success, a conventional cut

Weights = Float64[np.ndarray, "R U"]
Statistic = Callable[[Weights], Float64[np.ndarray, "R"]]


def seed_statistics(
    values: Values,
    scales: Sequence[float | int],
    *,
    seeds: Seeds,
    tau: float | int = SUCCESS,
    bins: int = BINS,
    bandwidth: float = BANDWIDTH,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """One row for each scale and statistic of accuracies A [S, K]: scale, statistic, value, low, high, n, defined.

    `p_success`: share of seeds with A > tau, strictly. `mean_success`, `mean_fail`: mean over the seeds that succeed and over the
    others, NaN where there are none; so mean = p mean_success + (1 - p) mean_fail. `mean`: over all. `mode_histogram`: centre of
    the fullest of `bins` bins over [0, 1], of equally full ones the lowest; `mode_density`: where the density is highest, with
    reflection at 0 and 1 (`lib.emergence.density`). low and high: 95 % bootstrap interval over seeds, the same resamples at all
    scales, from those in which the statistic is defined, a share `defined` of all. n: seeds that the value is a mean of.
    Errors: ValueError for accuracies that are not within 0..1 or not finite, no seeds, scales that don't ascend, tau outside
    [0, 1), and bins, bandwidth and resamples that make no sense.
    """
    runs = checked_runs(values, scales)
    check_tau(tau)
    count = runs.shape[1]
    drawn = resampled_rows(count, resamples, seeds)
    often = np.stack([np.bincount(rows, minlength=count) for rows in (np.arange(count), *drawn)]).astype(float)
    rows = []
    for scale, accuracies in zip(scales, runs, strict=True):
        # Equal outcomes are one column: sums are then over few columns, and the same in every resample of a constant sample.
        outcomes, first = np.unique(np.sort(accuracies), return_index=True)
        weights = np.add.reduceat(often[:, accuracies.argsort()], first, axis=1)
        for name, (statistic, n) in _statistics(outcomes, weights[0], tau, bins, bandwidth).items():
            value, *resampled = statistic(weights)
            resampled = np.array(resampled)
            defined = float(1 - np.isnan(resampled).mean())
            rows.append((scale, name, float(value), *percentiles(resampled), int(n), defined))
    return pd.DataFrame(rows, columns=["scale", "statistic", "value", "low", "high", "n", "defined"])


def _statistics(
    outcomes: Float64[np.ndarray, "U"], own: Float64[np.ndarray, "U"], tau: float | int, bins: int, bandwidth: float
) -> dict[str, tuple[Statistic, float]]:
    """Name -> function of how often each outcome stands in each resample, and the seeds behind it in the sample itself."""
    success = (outcomes > tau).astype(float)
    binned = (bin_of(outcomes, bins)[:, None] == np.arange(bins)).astype(float)
    bells, count, won = kernels(outcomes, GRID, bandwidth), own.sum(), float(own @ success)
    return {
        "p_success": (lambda w: w @ success / w.sum(1), count),
        "mean": (lambda w: _mean(outcomes, w), count),
        "mean_success": (lambda w: _mean(outcomes, w * success), won),
        "mean_fail": (lambda w: _mean(outcomes, w * (1 - success)), count - won),
        "mode_histogram": (lambda w: histogram_mode(w @ binned), count),
        "mode_density": (lambda w: density_mode(w @ bells), count),
    }


def _mean(outcomes: Float64[np.ndarray, "U"], weights: Weights) -> Float64[np.ndarray, "R"]:
    """Weighted means, NaN for no weight."""
    total = weights.sum(1)
    return np.divide(weights @ outcomes, total, out=np.full(len(total), np.nan), where=total > 0)
