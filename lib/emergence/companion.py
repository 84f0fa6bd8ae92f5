"""The argument without training: outcomes are a mixture of failures and successes whose weight moves smoothly with scale.

A(s) ~ (1 - p(s)) Beta(1, 30) + p(s) Beta(a(s), 2), p logistic and a linear in s. Its mode jumps although nothing in it does: as
soon as the peak of successes, p h(a), overtakes that of failures, 30 (1 - p), where h(a) is the height of Beta(a, 2). A seed
that sits at the same quantile at all scales shows a curve that looks emergent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.optimize import minimize_scalar
from scipy.optimize.elementwise import find_root
from scipy.special import betainc, betaincc, expit
from scipy.stats import beta

from lib.emergence.checks import Values, check_least, check_tau, checked_runs, checked_sample
from lib.emergence.density import BINS, bin_edges, histogram_mode
from lib.emergence.statistics import SUCCESS
from lib.seeds import Seeds

FAIL = (1.0, 30.0)  # Beta parameters of a failed run's accuracy
SUCCESS_B = 2.0  # second Beta parameter of a successful run's
GRID = np.linspace(0, 1, 2001)

PerScale = Float64[np.ndarray, "S"]


@dataclass(frozen=True, eq=False)
class Companion:
    """The mixture at S `scales`: `weights` [S] of success p(s) and first Beta parameters `heights` [S] a(s) of successes.

    Errors: ValueError for scales that don't ascend, weights outside 0..1, and heights that are not above 1 and finite.
    """

    scales: tuple[float | int, ...]
    weights: PerScale
    heights: Float64[np.ndarray, "H"]

    def __post_init__(self) -> None:
        checked_runs(self.weights[:, None], self.scales)
        if len(checked_sample("heights", self.heights)) != len(self.scales) or self.heights.min() <= 1:
            raise ValueError(f"heights: got {self.heights}, allowed are numbers > 1, one for each of {len(self.scales)} scales")

    def pdf(self, x: Values) -> Float64[np.ndarray, "S G"]:
        """Density of accuracies x [G] within [0, 1] at every scale."""
        x, p = np.asarray(x, dtype=float), self.weights[:, None]
        return (1 - p) * beta.pdf(x, *FAIL) + p * beta.pdf(x, self.heights[:, None], SUCCESS_B)

    def cdf(self, x: Values) -> Float64[np.ndarray, "S G"]:
        """F_s(x) at accuracies x [G] within [0, 1]."""
        x, p = np.asarray(x, dtype=float), self.weights[:, None]
        return (1 - p) * betainc(*FAIL, x) + p * betainc(self.heights[:, None], SUCCESS_B, x)

    def p_success(self, tau: float | int = SUCCESS) -> PerScale:
        """P(A > tau). ValueError for tau outside [0, 1)."""
        check_tau(tau)
        return (1 - self.weights) * betaincc(*FAIL, tau) + self.weights * betaincc(self.heights, SUCCESS_B, tau)

    def mean(self) -> PerScale:
        """E A."""
        return (1 - self.weights) * FAIL[0] / sum(FAIL) + self.weights * self._success_means()

    def mean_success(self, tau: float | int = SUCCESS) -> PerScale:
        """E(A | A > tau). ValueError for tau outside [0, 1)."""
        return self._mass_above(tau) / self.p_success(tau)

    def mean_fail(self, tau: float | int = SUCCESS) -> PerScale:
        """E(A | A <= tau), NaN for tau = 0, which no run fails to pass. ValueError for tau outside [0, 1)."""
        share = 1 - self.p_success(tau)
        return np.divide(self.mean() - self._mass_above(tau), share, out=np.full_like(share, np.nan), where=share > 0)

    def mode(self) -> PerScale:
        """Where the density is highest, 0 while the failures' peak is."""
        return np.array([self._peak(scale) for scale in range(len(self.scales))])

    def histogram_mode(self, bins: int = BINS) -> PerScale:
        """Centre of the likeliest of equal bins over [0, 1]: what seeds in a histogram tend to."""
        return histogram_mode(np.diff(self.cdf(bin_edges(bins))))

    def quantiles(self, u: Values) -> Float64[np.ndarray, "Q S"]:
        """F_s^-1(u) for u [Q] within (0, 1): the curve of a seed that is as lucky at every scale. ValueError for other u."""
        u = checked_sample("u", u)
        if not ((u > 0) & (u < 1)).all():
            raise ValueError(f"u: got {u.min()} to {u.max()}, allowed is 0 < u < 1")
        p, a = self.weights, self.heights

        def excess(x: np.ndarray, level: np.ndarray, p: np.ndarray, a: np.ndarray) -> np.ndarray:
            return (1 - p) * betainc(*FAIL, x) + p * betainc(a, SUCCESS_B, x) - level

        shape = (len(u), len(p))
        found = find_root(excess, (np.zeros(shape), np.ones(shape)), args=(u[:, None], p, a), tolerances={"xatol": 1e-14})
        if not found.success.all():
            raise ValueError(f"u: no quantile found for {u[~found.success.all(1)]}, allowed are u further from 0 and 1")
        return found.x

    def sample(self, count: int, seeds: Seeds) -> Float64[np.ndarray, "S count"]:
        """Accuracies of `count` independent runs at every scale. ValueError for fewer than one."""
        check_least(count=(count, 1))
        rng, shape = seeds.numpy(), (len(self.scales), count)
        won = rng.random(shape) < self.weights[:, None]
        return np.where(won, rng.beta(self.heights[:, None], SUCCESS_B, shape), rng.beta(*FAIL, shape))

    def statistics(self, tau: float | int = SUCCESS, bins: int = BINS) -> pd.DataFrame:
        """scale, statistic, value: exactly what `seed_statistics` estimates, and the mixture's `weight`."""
        found = {"weight": self.weights, "p_success": self.p_success(tau), "mean": self.mean()}
        found |= {"mean_success": self.mean_success(tau), "mean_fail": self.mean_fail(tau)}
        found |= {"mode_histogram": self.histogram_mode(bins), "mode_density": self.mode()}
        rows = [(scale, name, float(found[name][s])) for s, scale in enumerate(self.scales) for name in found]
        return pd.DataFrame(rows, columns=["scale", "statistic", "value"])

    def _success_means(self) -> PerScale:
        return self.heights / (self.heights + SUCCESS_B)

    def _mass_above(self, tau: float | int) -> PerScale:
        """E(A; A > tau): x Beta(a, b) is a / (a + b) Beta(a + 1, b)."""
        check_tau(tau)
        failed = FAIL[0] / sum(FAIL) * betaincc(FAIL[0] + 1, FAIL[1], tau)
        return (1 - self.weights) * failed + self.weights * self._success_means() * betaincc(self.heights + 1, SUCCESS_B, tau)

    def _peak(self, scale: int) -> float:
        one = Companion(self.scales[scale : scale + 1], self.weights[scale : scale + 1], self.heights[scale : scale + 1])
        top = int(one.pdf(GRID)[0].argmax())
        if top == 0:
            return 0.0
        around = (GRID[top - 1], GRID[min(top + 1, len(GRID) - 1)])
        return float(minimize_scalar(lambda x: -one.pdf([x])[0, 0], bounds=around, method="bounded", options={"xatol": 1e-10}).x)


def companion(
    scales: Sequence[float | int],
    *,
    middle: float | int,
    steepness: float | int = 1.0,
    heights: tuple[float | int, float | int] = (6.0, 18.0),
) -> Companion:
    """The mixture with p(s) = 1 / (1 + exp(-steepness (s - middle))) and a(s) linear from its first to its last height.

    A negative steepness makes success rarer with scale while successes get better: inverse scaling.
    Errors: ValueError for fewer than two scales, scales that don't ascend, and numbers that are not finite.
    """
    check_least(scales=(len(scales), 2))
    s = checked_sample("scales", scales)
    for name, value in (("middle", middle), ("steepness", steepness)):
        checked_sample(name, [value])
    a = np.interp(s, s[[0, -1]], checked_sample("heights", heights))
    return Companion(tuple(scales), expit(steepness * (s - middle)), a)
