"""A number with its interval: over texts within one set of anchors, over sets of anchors where there are several.

A statistic is computed for the texts (prompts, paragraphs) themselves and for 1000 resamples of them at once [efron1979]. With
three or more sets of anchors their values are the repeats, and the interval is Student's t over them, for the same texts; with
fewer it is the middle 95 % over resamples, and says nothing of other anchors.

A statement about all of several numbers holds where each keeps its bound with its own interval: of such numbers the one whose
interval is worst is told (`lowest`, `highest`, `farthest`), an intersection-union test [berger1982]. The extreme of them all
would have an interval off its own value.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from scipy.stats import t

from lib.seeds import Seeds

RESAMPLES = 1000
ENDS = (2.5, 97.5)  # percentiles
FEWEST_SETS = 3  # of anchors, that an interval over them is taken
NAN = float("nan")

Drawn = Int64[np.ndarray, "R K"]
Numbers = Float64[np.ndarray, " R"]  # a statistic of the texts themselves, then of their resamples


class Share(NamedTuple):
    """`part` / |`whole`|: a change in units of another one, which is not known for certain either."""

    part: Numbers
    whole: Numbers


class Measured(NamedTuple):
    """A `value`, the ends of its 95 % interval (NaN where it has none), the `n` repeats behind it, and `what` it is of, where it
    was chosen among several.
    """

    value: float
    low: float
    high: float
    n: int
    what: str = ""

    def numbers(self) -> dict[str, float]:
        """Value, low, high and n, for a row of a table."""
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def draws(count: int, seeds: Seeds) -> Drawn:
    """Row numbers of the `count` texts themselves, then of their resamples."""
    return np.concatenate([np.arange(count)[None], seeds.numpy().integers(0, count, (RESAMPLES, count))])


def means(values: Float64[np.ndarray, "*V K"], drawn: Drawn) -> Float64[np.ndarray, "*V R"]:
    """Mean over the last axis of the texts themselves and of every resample."""
    counts = np.zeros((len(drawn), values.shape[-1]))
    np.add.at(counts, (np.arange(len(drawn))[:, None], drawn), 1 / drawn.shape[1])
    return values @ counts.T


def measured(sets: Sequence[Numbers | Share], n: int) -> Measured:
    """One statistic of each set of anchors, as one number; `n`: how many texts stand behind each. NaN: undefined.

    A `Share` is the mean of the parts over that of the wholes, never a mean of shares, which a small whole would rule. Over sets
    its interval is Fieller's [fieller1954]. It is undefined where the interval of the whole holds 0.
    """
    if len(sets) < FEWEST_SETS:
        return _resampled(_pooled(sets), n)
    if isinstance(sets[0], Share):
        return _fieller(sets)
    return _student(np.array([one[0] for one in sets]))


def difference(sets: Sequence[Share], less: Sequence[Share], n: int) -> Measured:
    """One share less another one, set by set; over sets the interval is Student's t of the linearised shares."""
    if len(sets) < FEWEST_SETS:
        return _resampled(_pooled(sets) - _pooled(less), n)
    (value, scatter), (other, apart) = _linearised(sets), _linearised(less)
    if np.isnan(value - other):
        return bare(NAN, len(sets))
    half = _half_width(scatter - apart)
    return Measured(value - other, value - other - half, value - other + half, len(sets))


def bare(value: float, n: int) -> Measured:
    """A number without an interval."""
    return Measured(float(value), NAN, NAN, n)


def rows_of(sets: Iterable[Mapping[float, Numbers | Share]], n: int, **facts: object) -> Iterator[dict[str, object]]:
    """A row of a table for each place on an axis (`at`), where each set of anchors gives one number."""
    held = list(sets)
    for place in held[0]:
        yield {**facts, "at": place, **measured([one[place] for one in held], n).numbers()}


def lowest(found: Mapping[str, Measured]) -> Measured:
    """The number whose interval reaches lowest: all lie above a bound where this one does. Undefined if any is."""
    return _named(found, lambda m: -_end(m, m.low))


def highest(found: Mapping[str, Measured]) -> Measured:
    """The number whose interval reaches highest. Undefined if any is."""
    return _named(found, lambda m: _end(m, m.high))


def farthest(found: Mapping[str, Measured]) -> Measured:
    """The number whose interval reaches farthest from 0, which need not be the largest. Undefined if any is."""
    return _named(found, lambda m: max(abs(_end(m, m.low)), abs(_end(m, m.high))))


def _named(found: Mapping[str, Measured], reach: Callable[[Measured], float]) -> Measured:
    """The one that is undefined or else reaches most, with its name."""
    name = max(found, key=lambda each: (np.isnan(found[each].value), reach(found[each])))
    return found[name]._replace(what=name)


def _end(m: Measured, end: float) -> float:
    """The end of the interval, or the value where it has none."""
    return m.value if np.isnan(end) else end


def _resampled(values: Numbers, n: int) -> Measured:
    """The texts' own value, and the middle 95 % of their resamples'."""
    if len(values) == 1 or np.isnan(values[0]):
        return bare(float(values[0]), n)
    return Measured(float(values[0]), *map(float, np.percentile(values[1:], ENDS)), n)


def _pooled(sets: Sequence[Numbers | Share]) -> Numbers:
    """The mean over few sets, of the texts themselves and of every resample."""
    if not isinstance(sets[0], Share):
        return np.mean(sets, axis=0)
    part, whole = np.mean([one.part for one in sets], axis=0), np.mean([one.whole for one in sets], axis=0)
    low, high = np.percentile(whole[1:], ENDS) if len(whole) > 1 else (whole[0], whole[0])
    return np.full(part.shape, NAN) if low <= 0 <= high else part / np.abs(whole)


def _student(values: Float64[np.ndarray, "S"]) -> Measured:
    """Mean and Student's t interval of one number of each set."""
    mean, half = float(values.mean()), _half_width(values)
    return Measured(mean, mean - half, mean + half, len(values))


def _half_width(values: Float64[np.ndarray, "S"]) -> float:
    """Of the 95 % interval of their mean."""
    return float(_quantile(len(values)) * values.std(ddof=1) / len(values) ** 0.5)


def _quantile(n: int) -> float:
    return float(t.ppf(0.975, n - 1))


def _own(sets: Sequence[Share]) -> tuple[Float64[np.ndarray, "S"], Float64[np.ndarray, "S"]]:
    """Parts and wholes of the texts themselves."""
    return np.array([one.part[0] for one in sets]), np.array([one.whole[0] for one in sets])


def _fieller(sets: Sequence[Share]) -> Measured:
    """The shares r for which part - r whole may have the mean 0: between the roots of a r^2 - 2 b r + c; |whole| gives the sign.

    It is an interval, and a > 0, exactly where the whole is surely not 0.
    """
    parts, wholes = _own(sets)
    n, (p, w) = len(parts), (parts.mean(), wholes.mean())
    (pp, pw), (_, ww) = np.cov(parts, wholes) * _quantile(n) ** 2 / n
    a, b, c = w * w - ww, p * w - pw, p * p - pp
    if a <= 0:
        return bare(NAN, n)
    root = float(np.sqrt(max(0.0, b * b - a * c)))
    low, high = sorted(float(np.sign(w) * (b + sign * root) / a) for sign in (-1, 1))
    return Measured(float(p / abs(w)), low, high, n)


def _linearised(sets: Sequence[Share]) -> tuple[float, Float64[np.ndarray, "S"]]:
    """The share, and how far each set of anchors pulls it."""
    parts, wholes = _own(sets)
    unit = float(wholes.mean())
    if abs(unit) <= _half_width(wholes):
        return NAN, np.full(len(sets), NAN)
    share = float(parts.mean()) / abs(unit)
    return share, (parts - share * np.sign(unit) * wholes) / abs(unit)
