"""A number with its bootstrap interval over seeds, and the statistics that are computed for all resamples at once."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int64
from scipy.stats import rankdata

from lib.emergence.density import BINS, bin_of, histogram_mode
from lib.emergence.dip import SAME
from lib.emergence.outcome import METRICS, Outcome
from lib.emergence.resampling import RESAMPLES, percentiles, resampled_rows
from lib.seeds import Seeds

MOST_UNDEFINED = 0.05  # share of resamples without a value, above which there is no interval
FEWEST_RANKED = 3  # a rank correlation of two scales is a sign
NAN = float("nan")

Runs = Float64[np.ndarray, "S K"]
Drawn = Int64[np.ndarray, "R K"]
Numbers = Float64[np.ndarray, "R"] | Int64[np.ndarray, "R"]  # a statistic of the seeds themselves, then of their resamples
PerScale = Float64[np.ndarray, "S R"]


class Measured(NamedTuple):
    """A `value`, the `low` and `high` end of its 95 % percentile interval over resampled seeds, and the `n` seeds behind it.

    A NaN is undefined. The ends are NaN for what has no interval (p-values, choices), and where more than 5 % of the resamples
    leave the value undefined.
    """

    value: float
    low: float
    high: float
    n: int


def resampled(values: Numbers, n: int) -> Measured:
    """The first of the values, with percentiles of the others."""
    value, undefined = float(values[0]), np.isnan(values[1:]).mean()
    ends = (NAN, NAN) if np.isnan(value) or undefined > MOST_UNDEFINED else percentiles(values[1:].astype(np.float64))
    return Measured(value, *ends, n)


def bare(value: float | int | np.bool_, n: int) -> Measured:
    """A number without an interval."""
    return Measured(float(value), NAN, NAN, n)


def draws(count: int, seeds: Seeds) -> Drawn:
    """Row numbers of the `count` seeds themselves, then of their 1000 resamples."""
    return np.concatenate([np.arange(count)[None], resampled_rows(count, RESAMPLES, seeds)])


def incomplete(outcome: Outcome) -> pd.DataFrame:
    """Whether a run has no number somewhere, as when it diverged: a row for each seed, a column for each scale."""
    grades, run = outcome.grades, ["scale", "seed"]
    graded = grades[list(METRICS)].isna().any(axis=1).groupby([grades[name] for name in run]).any().unstack("scale")
    trained = outcome.losses.set_index(run)["loss"].isna().unstack("scale").reindex_like(graded)
    return (graded != False) | (trained != False)  # noqa: E712 - a run that is not there at all is NaN


def sound_seeds(outcome: Outcome) -> Outcome:
    """The outcome of the seeds that have a number in every table at every scale. ValueError if there is no such seed."""
    whole = ~incomplete(outcome).any(axis=1)
    if not whole.any():
        raise ValueError(f"outcome: got {len(whole)} seeds, all of which diverged at some scale, allowed are some that did not")
    kept = whole.index[whole]
    return Outcome(*(table[table["seed"].isin(kept)] for table in (outcome.grades, outcome.losses)))


def success(runs: Runs, tau: float | int, drawn: Drawn) -> tuple[PerScale, PerScale]:
    """Share of seeds above tau, and the mean over them, NaN where there are none."""
    each = runs[:, drawn]
    won = each > tau
    total = won.sum(-1)
    return won.mean(-1), np.divide((each * won).sum(-1), total, out=np.full(total.shape, NAN), where=total > 0)


def modes(runs: Runs, drawn: Drawn) -> PerScale:
    """Centre of the fullest of 20 bins."""
    return np.stack([histogram_mode((bin_of(row)[drawn][..., None] == np.arange(BINS)).mean(1)) for row in runs])


def rank_correlations(values: PerScale) -> Numbers:
    """Spearman's correlation of values with scale, over the scales where they are defined; NaN for fewer than three of them and
    for equal values. Equal is equal to 12 decimals: sums of the same numbers may differ in the last bit.
    """
    defined = ~np.isnan(values)
    scales = np.where(defined, np.arange(len(values))[:, None], NAN)
    a, b = (_centred(rankdata(np.round(each, SAME), axis=0, nan_policy="omit"), defined) for each in (values, scales))
    size = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    sound = (size > 0) & (defined.sum(0) >= FEWEST_RANKED)
    return np.divide((a * b).sum(0), size, out=np.full(values.shape[1], NAN), where=sound)


def changes(values: PerScale) -> Numbers:
    """From the first to the last scale where a value is defined, NaN for fewer than two."""
    defined, every = ~np.isnan(values), np.arange(values.shape[1])
    first, last = defined.argmax(0), len(values) - 1 - defined[::-1].argmax(0)
    return np.where(first < last, values[last, every] - values[first, every], NAN)


def _centred(ranks: PerScale, defined: Bool[np.ndarray, "S R"]) -> PerScale:
    ranks = np.where(defined, ranks, 0.0)
    return np.where(defined, ranks - ranks.sum(0) / np.maximum(defined.sum(0), 1), 0.0)
