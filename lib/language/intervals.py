"""A number with its interval: over texts within one set of anchors, over sets of anchors where there are several.

A statistic is computed for the texts (prompts, paragraphs) themselves and for 1000 resamples of them at once [efron1979]. With
three or more sets of anchors their values are the repeats, and the interval is Student's t over them; with fewer it is the
middle 95 % over resamples, and says nothing of other anchors.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.stats import t

from lib.seeds import Seeds

RESAMPLES = 1000
ENDS = (2.5, 97.5)  # percentiles
MOST_UNDEFINED = 0.05  # share of resamples without a value, above which there is no interval
FEWEST_SETS = 3  # of anchors, that an interval over them is taken
NAN = float("nan")

Drawn = Int64[np.ndarray, "R K"]
Numbers = Float64[np.ndarray, " R"]  # a statistic of the texts themselves, then of their resamples


class Measured(NamedTuple):
    """A `value`, the ends of its 95 % interval (NaN where it has none), and the `n` repeats behind it."""

    value: float
    low: float
    high: float
    n: int


def draws(count: int, seeds: Seeds) -> Drawn:
    """Row numbers of the `count` texts themselves, then of their resamples."""
    return np.concatenate([np.arange(count)[None], seeds.numpy().integers(0, count, (RESAMPLES, count))])


def means(values: Float64[np.ndarray, "*V K"], drawn: Drawn) -> Float64[np.ndarray, "*V R"]:
    """Mean over the last axis of the texts themselves and of every resample."""
    counts = np.zeros((len(drawn), values.shape[-1]))
    np.add.at(counts, (np.arange(len(drawn))[:, None], drawn), 1 / drawn.shape[1])
    return values @ counts.T


def ratio(part: Float64[np.ndarray, "*V R"], whole: Float64[np.ndarray, "*V R"]) -> Float64[np.ndarray, "*V R"]:
    """part / |whole|; NaN where the whole is 0."""
    return np.divide(part, np.abs(whole), out=np.full(part.shape, NAN), where=whole != 0)


def measured(sets: Sequence[Numbers], n: int) -> Measured:
    """One statistic of each set of anchors, as one number; `n`: how many texts stand behind each. NaN: undefined."""
    table = np.stack(list(sets))
    if len(table) >= FEWEST_SETS:
        values = table[:, 0]
        half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
        return Measured(float(values.mean()), float(values.mean()) - half, float(values.mean()) + half, len(values))
    whole = table.mean(0)
    if len(whole) == 1 or np.isnan(whole[0]) or np.isnan(whole).mean() > MOST_UNDEFINED:
        return bare(float(whole[0]), n)
    low, high = np.nanpercentile(whole[1:], ENDS)
    return Measured(float(whole[0]), float(low), float(high), n)


def bare(value: float, n: int) -> Measured:
    """A number without an interval."""
    return Measured(float(value), NAN, NAN, n)


def joined(sets: Sequence[Mapping[str, Numbers]], n: int) -> dict[str, Measured]:
    """`measured` of every name. The sets hold the same names."""
    return {name: measured([one[name] for one in sets], n) for name in sets[0]}
