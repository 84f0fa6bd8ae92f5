"""How good a judge is and whether judges agree, with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float64, Int
from scipy.stats import binomtest, rankdata

from lib.language.attributes import Sides
from lib.language.scorers import Scorer
from lib.seeds import Seeds


@dataclass(frozen=True)
class Verdict:
    """A judge on texts that it has not seen.

    `accuracy` with its 95 percent interval [wilson1927] `low` to `high`; `positive` and `negative`, the mean score of each
    side; `reliability`, a table of the bins' mean score, share of positive texts and count; `calibration_error`, the mean
    gap between the two, weighted by count [guo2017].
    """

    n: int
    accuracy: float
    low: float
    high: float
    positive: float
    negative: float
    calibration_error: float
    reliability: pd.DataFrame


def judge(scorer: Scorer, sides: Sides, bins: int = 10) -> Verdict:
    """The judge's verdict on both sides (ValueError where one is empty)."""
    if not sides.positive or not sides.negative:
        raise ValueError(f"sides: got {len(sides.positive)} positive and {len(sides.negative)} negative texts, allowed are both")
    scores, labels = scorer.score(sides.texts), sides.labels
    right = int(np.sum((scores > 0.5) == labels))
    interval = binomtest(right, len(labels)).proportion_ci(method="wilson")
    table = reliability(scores, labels, bins)
    error = float(np.average((table["score"] - table["share"]).abs(), weights=table["n"]))
    means = (float(scores[labels == side].mean()) for side in (1, 0))
    return Verdict(len(labels), right / len(labels), float(interval.low), float(interval.high), *means, error, table)


def reliability(scores: Float[np.ndarray, " n"], labels: Int[np.ndarray, " n"], bins: int = 10) -> pd.DataFrame:
    """Bins of equal width that hold a text: mean `score`, `share` of positive texts, count `n` (ValueError for bad scores)."""
    _check(scores)
    place = np.minimum((np.asarray(scores) * bins).astype(int), bins - 1)
    rows = pd.DataFrame({"bin": place, "score": scores, "share": labels}).groupby("bin")
    return rows.mean().assign(n=rows.size()).reset_index(drop=True)


def agreement(scores: Mapping[str, Float[np.ndarray, " n"]], seeds: Seeds, resamples: int = 500) -> pd.DataFrame:
    """How far each two judges agree on the same texts.

    Columns: `first`, `second`, `n`; `spearman`, the rank correlation; `same_side`, the share on the same side of 0.5 among
    the `decided` texts, which neither scores 0.5; each with its 95 percent bootstrap interval over texts, `_low` to `_high`.

    Raises:
        ValueError: fewer than two judges, not the same number (at least 10) of scores, a score outside [0, 1], or a judge
            that gives every text the same score.
    """
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    sizes = {name: len(values) for name, values in arrays.items()}
    if len(arrays) < 2 or len(set(sizes.values())) > 1 or min(sizes.values()) < 10:
        raise ValueError(f"scores: got {sizes}, allowed are at least two judges of the same texts, at least 10")
    for name, values in arrays.items():
        _check(values)
        if np.ptp(values) == 0:
            raise ValueError(f"scores: {name!r} gives every text {values[0]:g}, allowed are judges that tell texts apart")
    n = next(iter(sizes.values()))
    draws = seeds.numpy().integers(n, size=(resamples, n))
    rows = [
        {"first": one, "second": other, "n": n, **_compare(arrays[one], arrays[other], draws)}
        for one, other in combinations(arrays, 2)
    ]
    return pd.DataFrame(rows)


def _compare(
    one: Float64[np.ndarray, " n"], other: Float64[np.ndarray, " n"], draws: Int[np.ndarray, "r n"]
) -> dict[str, int | float]:
    decided, same = (one != 0.5) & (other != 0.5), (one > 0.5) == (other > 0.5)
    whole = np.arange(len(one))[None]
    found: dict[str, int | float] = {"decided": int(decided.sum())}
    found |= _interval("spearman", _spearman(one[whole], other[whole]), _spearman(one[draws], other[draws]))
    return found | _interval("same_side", _share(same[whole], decided[whole]), _share(same[draws], decided[draws]))


def _interval(name: str, whole: Float64[np.ndarray, " 1"], resampled: Float64[np.ndarray, " r"]) -> dict[str, float]:
    """Value and interval; resamples where the quantity is not defined (one text drawn again and again) tell nothing."""
    defined = resampled[np.isfinite(resampled)]
    low, high = np.quantile(defined, (0.025, 0.975)) if len(defined) else (np.nan, np.nan)
    return {name: float(whole[0]), f"{name}_low": float(low), f"{name}_high": float(high)}


def _spearman(one: Float64[np.ndarray, "r n"], other: Float64[np.ndarray, "r n"]) -> Float64[np.ndarray, " r"]:
    """The correlation of the ranks (ties get their mean rank), row by row; NaN where a row has one rank only."""
    ranks = [rankdata(values, axis=1) for values in (one, other)]
    first, second = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    spread = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.divide((first * second).sum(axis=1), spread, out=np.full(len(one), np.nan), where=spread > 0)


def _share(same: Bool[np.ndarray, "r n"], decided: Bool[np.ndarray, "r n"]) -> Float64[np.ndarray, " r"]:
    """The share of the decided texts on the same side; NaN where none is decided."""
    count = decided.sum(axis=1).astype(np.float64)
    return np.divide((same & decided).sum(axis=1), count, out=np.full(len(same), np.nan), where=count > 0)


def _check(scores: Float[np.ndarray, " n"]) -> None:
    values = np.asarray(scores)
    if not len(values) or not (np.isfinite(values) & (values >= 0) & (values <= 1)).all():
        raise ValueError(f"scores: got {values}, allowed are one or more numbers in [0, 1]")
