"""Wasserstein distances on the line: against scipy and POT, and the laws of a distance."""

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from lib.emergence.distances import scale_distances, wasserstein_1d
from lib.seeds import Seeds

QUICK = settings(max_examples=40, deadline=None)
SAMPLE = st.lists(st.floats(-100, 100), min_size=1, max_size=30)
ORDER = st.sampled_from([1, 1.5, 2, 3, 7])


@given(SAMPLE, SAMPLE)
@QUICK
def test_order_one_is_scipys_distance(a, b):
    assert wasserstein_1d(a, b, 1) == pytest.approx(wasserstein_distance(a, b), abs=1e-9)


@given(SAMPLE, SAMPLE, ORDER)
@QUICK
def test_is_pots_with_its_root(a, b, p):
    expected = ot.emd2_1d(np.array(a), np.array(b), metric="minkowski", p=p) ** (1 / p)
    assert wasserstein_1d(a, b, p) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.integers(0, 12), st.integers(0, 12))
@QUICK
def test_of_two_bernoulli_samples(k, j):
    """W1 = |p - q|, W2 = sqrt |p - q|."""
    a, b = [1.0] * k + [0.0] * (12 - k), [1.0] * j + [0.0] * (12 - j)
    assert wasserstein_1d(a, b, 1) == pytest.approx(abs(k - j) / 12, abs=1e-12)
    assert wasserstein_1d(a, b, 2) == pytest.approx((abs(k - j) / 12) ** 0.5, abs=1e-12)


@given(SAMPLE, st.floats(-50, 50), ORDER)
@QUICK
def test_of_a_shift_is_its_size(a, c, p):
    assert wasserstein_1d(a, np.array(a) + c, p) == pytest.approx(abs(c), abs=1e-9)


@given(SAMPLE, SAMPLE, ORDER)
@QUICK
def test_is_symmetric_and_zero_for_equal_distributions(a, b, p):
    assert wasserstein_1d(a, b, p) == pytest.approx(wasserstein_1d(b, a, p), abs=1e-9)
    assert wasserstein_1d(a, a * 3, p) == 0


@given(SAMPLE, SAMPLE, SAMPLE, ORDER)
@QUICK
def test_triangle_inequality(a, b, c, p):
    assert wasserstein_1d(a, c, p) <= wasserstein_1d(a, b, p) + wasserstein_1d(b, c, p) + 1e-9


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=1, max_size=20), ORDER)
@QUICK
def test_of_equal_sizes_pairs_sorted_values(pairs, p):
    a, b = np.array(pairs).T
    expected = np.mean(np.abs(np.sort(a) - np.sort(b)) ** p) ** (1 / p)
    assert wasserstein_1d(a, b, p) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_of_unequal_sizes_by_hand():
    assert wasserstein_1d([0.0, 1.0], [0.0, 0.5, 1.0], 1) == pytest.approx(1 / 6, abs=1e-15)
    assert wasserstein_1d([0.0], [3.0, 4.0], 2) == pytest.approx(12.5**0.5, abs=1e-15)


def test_neither_vanishes_nor_overflows():
    for size in (1e-200, 1e200):
        assert wasserstein_1d([0.0, 0.0], [size, size], 3) == pytest.approx(size, rel=1e-12)


class TestScales:
    RUNS = Seeds(0).numpy().random((4, 12)) + np.arange(4)[:, None]

    def test_rows_are_the_distances_to_the_previous_and_to_the_largest_scale(self):
        table = scale_distances(self.RUNS, [8, 16, 24, 32], seeds=Seeds(1), p=2, resamples=50)
        expected = [(s, "previous", s - 1) for s in (1, 2, 3)] + [(s, "largest", 3) for s in (0, 1, 2)]
        assert list(zip(table["scale"], table["against"], strict=True)) == [((8, 16, 24, 32)[s], name) for s, name, _ in expected]
        for value, (s, _, other) in zip(table["value"], expected, strict=True):
            assert value == pytest.approx(wasserstein_1d(self.RUNS[s], self.RUNS[other], 2), abs=1e-12)
        assert (table["low"] <= table["high"]).all()
        assert (table["n"] == 12).all()

    def test_takes_metrics_beyond_shares_and_repeats_itself(self):
        one, same = (scale_distances(10 * self.RUNS, [1, 2, 3, 4], seeds=Seeds(1), p=1, resamples=50) for _ in range(2))
        assert one.equals(same)

    def test_interval_of_constant_scales_has_no_width(self):
        table = scale_distances(np.array([[0.1] * 5, [0.4] * 5]), [1, 2], seeds=Seeds(0), resamples=20)
        assert (table["low"] == table["high"]).all()

    def test_refuses_a_single_scale(self):
        with pytest.raises(ValueError, match="scales: got 1, allowed are whole numbers >= 2"):
            scale_distances(self.RUNS[:1], [8], seeds=Seeds(0))


@pytest.mark.parametrize(("a", "b", "name"), [([], [1.0], "a"), ([1.0], [], "b")])
def test_refuses_an_empty_sample(a, b, name):
    with pytest.raises(ValueError, match=f"{name}: got 0 values, allowed are 1 or more"):
        wasserstein_1d(a, b)


def test_refuses_nan_and_axes():
    with pytest.raises(ValueError, match="b: got nan"):
        wasserstein_1d([0.0], [float("nan")])
    with pytest.raises(ValueError, match=r"a: got shape \(2, 1\), allowed is one axis"):
        wasserstein_1d([[0.0], [1.0]], [0.0])


@pytest.mark.parametrize("p", [0.5, 0, -1, float("inf"), float("nan")])
def test_refuses_orders(p):
    with pytest.raises(ValueError, match="p: got"):
        wasserstein_1d([0.0], [1.0], p)
