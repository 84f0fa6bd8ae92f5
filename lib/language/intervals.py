"""A number with its interval: over texts within one set of anchors, over sets of anchors where there are several.

A statistic is computed for the texts (prompts, paragraphs) themselves and for 1000 resamples of them at once [efron1979]. With
three or more sets of anchors their values are the repeats, and the interval is Student's t over them, for the same texts; with
fewer it is the middle 95 % over resamples, and says nothing of other anchors.

A statement about all of several numbers holds where each keeps its bound with its own interval: of such numbers the one whose
interval is worst is told (`lowest`, `highest`, `farthest`), an intersection-union test [berger1982]. The extreme of them all
would have an interval off its own value.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


class Share(NamedTuple):
    """`part` / |`whole`|: a change in units of another one, which is not known for certain either."""

    part: Numbers
    whole: Numbers


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


def measured(sets: Sequence[Numbers | Share], n: int) -> Measured:
    """One statistic of each set of anchors, as one number; `n`: how many texts stand behind each. NaN: undefined.

    A `Share` is the mean of the parts over that of the wholes, never a mean of shares, which a small whole would rule. Over sets
    its interval is Student's t of part - share * whole (linearised). It is undefined where the interval of the whole holds 0.
    """
    return _number([sets], n)


def difference(sets: Sequence[Share], less: Sequence[Share], n: int) -> Measured:
    """`measured` of one share less another one, set by set."""
    return _number([sets, less], n)


def bare(value: float, n: int) -> Measured:
    """A number without an interval."""
    return Measured(float(value), NAN, NAN, n)


def rows_of(sets: Iterable[Mapping[float, Numbers | Share]], n: int, **facts: object) -> Iterator[dict[str, object]]:
    """A row of a table for each place on an axis (`at`), where each set of anchors gives one number."""
    held = list(sets)
    for place in held[0]:
        yield {**facts, "at": place, **measured([one[place] for one in held], n)._asdict()}


def lowest(found: Iterable[Measured]) -> Measured:
    """The number whose interval reaches lowest: all lie above a bound where this one does. Undefined if any is."""
    return min(found, key=lambda m: (not np.isnan(m.value), _end(m, m.low)))


def highest(found: Iterable[Measured]) -> Measured:
    """The number whose interval reaches highest. Undefined if any is."""
    return max(found, key=lambda m: (np.isnan(m.value), _end(m, m.high)))


def farthest(found: Iterable[Measured]) -> Measured:
    """The number whose interval reaches farthest from 0. Undefined if any is."""
    return max(found, key=lambda m: (np.isnan(m.value), max(abs(_end(m, m.low)), abs(_end(m, m.high)))))


def _end(m: Measured, end: float) -> float:
    """The end of the interval, or the value where it has none."""
    return m.value if np.isnan(end) else end


def _number(terms: Sequence[Sequence[Numbers | Share]], n: int) -> Measured:
    """The first term less the others, of numbers or of shares that each have their own whole."""
    if len(terms[0]) >= FEWEST_SETS:
        return _over_sets(terms)
    values = sum(sign * _pooled(sets) for sign, sets in zip((1, -1), terms, strict=False))
    if len(values) == 1 or np.isnan(values[0]) or np.isnan(values).mean() > MOST_UNDEFINED:
        return bare(float(values[0]), n)
    return Measured(float(values[0]), *map(float, np.nanpercentile(values[1:], ENDS)), n)


def _pooled(sets: Sequence[Numbers | Share]) -> Numbers:
    """The mean over few sets, of the texts themselves and of every resample."""
    if not isinstance(sets[0], Share):
        return np.mean(sets, axis=0)
    part, whole = np.mean([one.part for one in sets], axis=0), np.mean([one.whole for one in sets], axis=0)
    low, high = np.percentile(whole[1:], ENDS) if len(whole) > 1 else (whole[0], whole[0])
    return np.full(part.shape, NAN) if low <= 0 <= high else part / np.abs(whole)


def _over_sets(terms: Sequence[Sequence[Numbers | Share]]) -> Measured:
    """Student's t over sets of anchors."""
    value, scatter = 0.0, np.zeros(len(terms[0]))
    for sign, sets in zip((1, -1), terms, strict=False):
        own, apart = _with_scatter(sets)
        value, scatter = value + sign * own, scatter + sign * apart
    if np.isnan(value):
        return bare(NAN, len(scatter))
    half = _half_width(scatter)
    return Measured(value, value - half, value + half, len(scatter))


def _with_scatter(sets: Sequence[Numbers | Share]) -> tuple[float, Float64[np.ndarray, "S"]]:
    """The value, and how far each set of anchors pulls it."""
    if not isinstance(sets[0], Share):
        values = np.array([one[0] for one in sets])
        return float(values.mean()), values - values.mean()
    parts, wholes = (np.array([one[k][0] for one in sets]) for k in (0, 1))
    unit = float(wholes.mean())
    if abs(unit) <= _half_width(wholes):
        return NAN, np.full(len(sets), NAN)
    share = float(parts.mean()) / abs(unit)
    return share, (parts - share * np.sign(unit) * wholes) / abs(unit)


def _half_width(values: Float64[np.ndarray, "S"]) -> float:
    """Of the 95 % interval of their mean."""
    return float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
