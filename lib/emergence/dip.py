"""Hartigan's dip: how far a sample's distribution function is from that of any unimodal distribution [hartigan1985]."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import isotonic_regression

from lib.emergence.checks import Values, check_least, checked_sample
from lib.seeds import Seeds

LEAST_VALUES = 4
LEAST_RESAMPLES = 1000
SAME = 12  # decimals, in units of the sample's range, to which equal values are equal

Line = Float64[np.ndarray, "U"]


@dataclass(frozen=True)
class DipTest:
    """The `dip` of n values, and the share `p_value` of uniform samples whose dip is at least as large."""

    dip: float
    p_value: float
    n: int


def dip(values: Values) -> float:
    """D = min over unimodal G of sup_x |F_n(x) - G(x)|, in 1 / (2 n) .. 1/4.

    A unimodal G is convex up to its mode, where it may jump, and concave behind. Below F_n the best convex function is its
    greatest convex minorant, above it the best concave one is its least concave majorant. Start with both over the whole sample.
    While the two are further apart than the misfit found so far, the mode can only lie between the minorant's and the majorant's
    knots next to their widest gap: what minorant and majorant miss outside is misfit, and the search goes on inside.
    D is half of the misfit, which G shares between both sides. A constant sample gets 1 / (2 n), though one jump would fit it.
    Errors: ValueError for fewer than four values and for values that are not finite.
    """
    x = checked_sample("values", values, LEAST_VALUES)
    place, counts = _atoms(x)
    above = np.cumsum(counts).astype(float)  # n F_n at the atoms, and before them
    below = above - counts
    first, last, misfit = 0, len(place) - 1, 1.0
    while first < last:
        here = slice(first, last + 1)
        convex, left = _hull(place[here], below[here], rising=True)
        concave, right = _hull(place[here], above[here], rising=False)
        knots = np.union1d(left, right)
        gaps = (concave - convex)[knots]
        widest = knots[gaps.argmax()]
        if gaps.max() <= misfit:
            break
        lo, hi = left[left <= widest].max(), right[right >= widest].min()
        # The atoms at the new ends are not outside: one of them may be the mode's own.
        outside = [(above[here] - convex)[:lo], (concave - below[here])[hi + 1 :]]
        misfit = max(misfit, *(part.max(initial=0.0) for part in outside))
        first, last = first + lo, first + hi
    return float(misfit / (2 * len(x)))


def dip_test(values: Values, seeds: Seeds, *, resamples: int = LEAST_RESAMPLES, levels: int | None = None) -> DipTest:
    """The dip, with p = (1 + #{dip of a uniform sample of the same size >= dip}) / (1 + resamples) [hartigan1985].

    `levels`: the values are shares of so many examples, and so are the uniform samples then. Without, the steps of a coarse
    metric count as dips, and every large enough sample of it is called multimodal.
    Errors: ValueError as in `dip`, for fewer than 1000 resamples, and for levels below 1.
    """
    found, n = dip(values), len(np.asarray(values))
    uniform = uniform_dips(n, resamples, seeds, levels)
    at_least = int((uniform >= found - 1e-12).sum())
    return DipTest(found, (1 + at_least) / (1 + resamples), n)


@lru_cache(maxsize=32)
def uniform_dips(n: int, resamples: int, seeds: Seeds, levels: int | None = None) -> Float64[np.ndarray, "R"]:
    """Dips of samples of n from Uniform(0, 1), or from 0, 1 / levels, ..., 1 alike; kept, as all scales need the same ones.

    Errors: ValueError as in `dip_test`.
    """
    check_least(n=(n, LEAST_VALUES), resamples=(resamples, LEAST_RESAMPLES), levels=(1 if levels is None else levels, 1))
    rng = seeds.child("uniform dips", n, levels or 0).numpy()
    samples = rng.random((resamples, n)) if levels is None else rng.integers(0, levels + 1, (resamples, n)) / levels
    dips = np.array([dip(sample) for sample in samples])
    dips.setflags(write=False)
    return dips


def _atoms(x: Float64[np.ndarray, "n"]) -> tuple[Line, Int64[np.ndarray, "U"]]:
    """Different values in units of the range, ascending, and how often each stands."""
    reach = np.ptp(x)
    scaled = (x - x.min()) / reach if reach > 0 else np.zeros_like(x)
    return np.unique(np.round(scaled, SAME), return_counts=True)


def _hull(x: Line, y: Line, *, rising: bool) -> tuple[Line, Int64[np.ndarray, "_"]]:
    """Greatest convex minorant (`rising` slopes) or least concave majorant of points, and where its knots are.

    Its slopes are the isotonic regression of the points' own, weighted by the distances between them [barlow1972].
    """
    gaps = np.diff(x)
    knots = isotonic_regression(np.diff(y) / gaps, weights=gaps, increasing=rising).blocks
    return np.interp(x, x[knots], y[knots]), knots.astype(np.int64)
