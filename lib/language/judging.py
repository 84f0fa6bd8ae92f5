"""How good a judge is and whether judges agree, with intervals."""

from collections.abc import Hashable, Mapping, Sequence
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


def agreement(
    scores: Mapping[str, Float[np.ndarray, " n"]], groups: Sequence[Hashable], seeds: Seeds, resamples: int = 500
) -> pd.DataFrame:
    """How far each two judges agree on the same texts.

    `groups`: what each text belongs to, such as the prompt that it continues; texts of one group may resemble one another.
    Columns: `first`, `second`, `n` groups; `spearman`, the rank correlation; `same_side`, the share on the same side of 0.5
    among the `decided` texts, which neither scores 0.5; each with its 95 percent bootstrap interval over groups, `_low` to
    `_high`.

    Raises:
        ValueError: fewer than two judges, not the same number (at least 10) of scores, a score outside [0, 1], a judge that
            gives every text the same score, another number of texts in `groups`, or a single group.
    """
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    sizes = {name: len(values) for name, values in arrays.items()}
    if len(arrays) < 2 or len(set(sizes.values())) > 1 or min(sizes.values()) < 10:
        raise ValueError(f"scores: got {sizes}, allowed are at least two judges of the same texts, at least 10")
    for name, values in arrays.items():
        _check(values)
        if np.ptp(values) == 0:
            raise ValueError(f"scores: {name!r} gives every text {values[0]:g}, allowed are judges that tell texts apart")
    members = pd.Series(range(len(groups))).groupby(list(groups)).apply(np.array).tolist()
    n = len(members)
    if len(groups) != next(iter(sizes.values())) or n < 2:
        raise ValueError(f"groups: got {n} for {len(groups)} texts, allowed are two or more, for the texts of {sizes}")
    draws = [np.concatenate([members[i] for i in chosen]) for chosen in seeds.numpy().integers(n, size=(resamples, n))]
    rows = [
        {"first": one, "second": other, "n": n, **_compare(arrays[one], arrays[other], draws)}
        for one, other in combinations(arrays, 2)
    ]
    return pd.DataFrame(rows)


def _compare(
    one: Float64[np.ndarray, " n"], other: Float64[np.ndarray, " n"], draws: Sequence[Int[np.ndarray, " _"]]
) -> dict[str, int | float]:
    decided, same = (one != 0.5) & (other != 0.5), (one > 0.5) == (other > 0.5)
    found: dict[str, int | float] = {"decided": int(decided.sum())}
    found |= _interval("spearman", _spearman(one, other), [_spearman(one[draw], other[draw]) for draw in draws])
    return found | _interval("same_side", _share(same, decided), [_share(same[draw], decided[draw]) for draw in draws])


def _interval(name: str, whole: float, resampled: Sequence[float]) -> dict[str, float]:
    """Value and interval; resamples where the quantity is not defined (one text drawn again and again) tell nothing."""
    defined = np.array(resampled)[np.isfinite(resampled)]
    low, high = np.quantile(defined, (0.025, 0.975)) if len(defined) else (np.nan, np.nan)
    return {name: whole, f"{name}_low": float(low), f"{name}_high": float(high)}


def _spearman(one: Float64[np.ndarray, " n"], other: Float64[np.ndarray, " n"]) -> float:
    """The correlation of the ranks (ties get their mean rank); NaN where all have one rank."""
    first, second = (rank - rank.mean() for rank in (rankdata(one), rankdata(other)))
    spread = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / spread if spread else float("nan")


def _share(same: Bool[np.ndarray, " n"], decided: Bool[np.ndarray, " n"]) -> float:
    """The share of the decided texts on the same side; NaN where none is decided."""
    return float(same[decided].mean()) if decided.any() else float("nan")


def _check(scores: Float[np.ndarray, " n"]) -> None:
    values = np.asarray(scores)
    if not len(values) or not (np.isfinite(values) & (values >= 0) & (values <= 1)).all():
        raise ValueError(f"scores: got {values}, allowed are one or more numbers in [0, 1]")
