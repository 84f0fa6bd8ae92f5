"""The analytic mixture: exact statistics against scipy's integrals and against samples, and what it is there to show."""

import numpy as np
import pytest
from scipy.integrate import fixed_quad
from scipy.stats import beta, kstest

from lib.emergence.companion import Companion, companion
from lib.emergence.curves import breakthroughness, looks_emergent
from lib.emergence.statistics import seed_statistics
from lib.seeds import Seeds

SCALES = tuple(range(1, 10))
MIXTURE = companion(SCALES, middle=5)
INVERSE = companion(SCALES, middle=5, steepness=-1.0)
BOTH = pytest.mark.parametrize("mixture", [MIXTURE, INVERSE], ids=["growing", "inverse"])


def density(mixture, s):
    p, a = mixture.weights[s], mixture.heights[s]
    return lambda x: (1 - p) * beta(1, 30).pdf(x) + p * beta(a, 2).pdf(x)


def integral(f, low, high):
    return fixed_quad(f, low, high, n=60)[0]  # exact for polynomials up to degree 119, which these nearly are


@BOTH
@pytest.mark.parametrize("tau", [0.1, 0.2, 0.5])
def test_statistics_are_the_integrals_of_the_density(mixture, tau):
    for s in (0, 4, 8):
        f = density(mixture, s)
        above, below = integral(f, tau, 1), integral(f, 0, tau)
        assert mixture.p_success(tau)[s] == pytest.approx(above, abs=1e-9)
        assert mixture.mean()[s] == pytest.approx(integral(lambda x: x * f(x), 0, 1), abs=1e-9)  # noqa: B023
        assert mixture.mean_success(tau)[s] == pytest.approx(integral(lambda x: x * f(x), tau, 1) / above, abs=1e-9)  # noqa: B023
        assert mixture.mean_fail(tau)[s] == pytest.approx(integral(lambda x: x * f(x), 0, tau) / below, abs=1e-9)  # noqa: B023


@BOTH
def test_density_and_distribution_function_are_the_mixtures(mixture):
    x = np.linspace(0, 1, 21)
    for s in range(9):
        p, a = mixture.weights[s], mixture.heights[s]
        np.testing.assert_allclose(mixture.pdf(x)[s], density(mixture, s)(x), atol=1e-12)
        np.testing.assert_allclose(mixture.cdf(x)[s], (1 - p) * beta(1, 30).cdf(x) + p * beta(a, 2).cdf(x), atol=1e-12)


@BOTH
def test_mode_is_where_the_density_is_highest(mixture):
    x = np.linspace(0, 1, 100_001)
    np.testing.assert_allclose(mixture.mode(), x[mixture.pdf(x).argmax(1)], atol=2e-5)


@BOTH
def test_quantiles_invert_the_distribution_function(mixture):
    u = np.array([0.001, 0.1, 0.5, 0.9, 0.999])
    found = mixture.quantiles(u)
    assert found.shape == (5, 9)
    for s in range(9):
        np.testing.assert_allclose(mixture.cdf(found[:, s])[s], u, atol=1e-10)


@BOTH
def test_samples_follow_the_distribution(mixture):
    drawn = mixture.sample(2000, Seeds(0))
    for s in range(9):
        assert kstest(drawn[s], lambda x: mixture.cdf(x)[s]).pvalue > 0.001  # noqa: B023


@BOTH
def test_seed_statistics_of_many_samples_tend_to_the_exact_ones(mixture):
    estimated = seed_statistics(mixture.sample(1500, Seeds(1)), SCALES, seeds=Seeds(2), resamples=1)
    both = estimated.merge(mixture.statistics(), on=["scale", "statistic"], suffixes=("", "_exact"))
    smooth = both[~both["statistic"].str.startswith("mode")]
    assert len(smooth) == 4 * 9
    np.testing.assert_allclose(smooth["value"], smooth["value_exact"], atol=0.06)
    modes = both[both["statistic"] == "mode_histogram"]
    assert (np.abs(modes["value"] - modes["value_exact"]) < 0.051).sum() >= 8  # a scale at the tipping point may fall either way


def test_mean_identity():
    found = MIXTURE.statistics().pivot(index="scale", columns="statistic", values="value")
    parts = found["p_success"] * found["mean_success"] + (1 - found["p_success"]) * found["mean_fail"]
    np.testing.assert_allclose(parts, found["mean"], atol=1e-12)


def test_mode_jumps_while_success_and_its_mean_move_smoothly():
    fine = companion(np.linspace(1, 9, 161).tolist(), middle=5)
    for mode in (fine.mode(), fine.histogram_mode()):
        steps = np.abs(np.diff(mode))
        assert (steps > 0.5).sum() == 1
        assert np.sort(steps)[-2] < 0.06
    assert np.abs(np.diff(fine.p_success())).max() < 0.02
    assert np.abs(np.diff(fine.mean_success())).max() < 0.02


def test_mode_jumps_where_the_peaks_are_equally_high():
    """p h(a) = 30 (1 - p), so beyond one half where the successes' peak is the lower one."""
    fine = companion(np.linspace(6, 8, 401).tolist(), middle=5)
    jump = int(np.diff(fine.mode()).argmax())
    height = beta(fine.heights[jump], 2).pdf(1 - 1 / fine.heights[jump])
    assert fine.weights[jump] == pytest.approx(30 / (30 + height), abs=2e-3)
    assert fine.weights[jump] > 0.8


def test_every_lucky_seed_has_a_curve_that_looks_emergent():
    curves = MIXTURE.quantiles([0.2, 0.35, 0.5, 0.65, 0.8])
    assert looks_emergent(curves).all()
    assert (breakthroughness(curves).value > 20).all()
    assert (np.diff(curves) > 0).all()


def test_inverse_scaling_has_rarer_and_better_successes():
    assert (np.diff(INVERSE.p_success()) < 0).all()
    # Given success of either kind, heights rise; the failures' share of what passes tau is negligible but for the last scales.
    assert (np.diff(INVERSE.mean_success(0.5)) > 0).all()


def test_modes_of_one_kind_alone():
    only = Companion((1, 2), np.array([0.0, 1.0]), np.array([5.0, 5.0]))
    np.testing.assert_allclose(only.mode(), [0, 0.8], atol=1e-6)
    assert only.mean_fail(0.0).tolist() == pytest.approx([float("nan")] * 2, nan_ok=True)


@pytest.mark.parametrize(
    ("scales", "weights", "heights", "name"),
    [
        ((2, 1), [0.1, 0.2], [5.0, 5.0], "scales"),
        ((1, 1), [0.1, 0.2], [5.0, 5.0], "scales"),
        ((1, 2), [0.1, 1.2], [5.0, 5.0], "values"),
        ((1, 2), [0.1, 0.2], [5.0, 1.0], "heights"),
        ((1, 2), [0.1, 0.2], [5.0], "heights"),
    ],
)
def test_refuses_mixtures_that_are_none(scales, weights, heights, name):
    with pytest.raises(ValueError, match=f"{name}: got"):
        Companion(scales, np.array(weights), np.array(heights))


def test_refuses_quantiles_tau_counts_and_scales():
    for u in ([0.0], [1.0], [0.5, -0.1]):
        with pytest.raises(ValueError, match="u: got"):
            MIXTURE.quantiles(u)
    for tau in (-0.1, 1.0):
        for statistic in (MIXTURE.p_success, MIXTURE.mean_success, MIXTURE.mean_fail):
            with pytest.raises(ValueError, match="tau: got"):
                statistic(tau)
    with pytest.raises(ValueError, match="count: got 0"):
        MIXTURE.sample(0, Seeds(0))
    with pytest.raises(ValueError, match="scales: got 1"):
        companion([1], middle=1)
    with pytest.raises(ValueError, match="middle: got nan"):
        companion([1, 2], middle=float("nan"))
