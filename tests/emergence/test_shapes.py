"""Sarle's coefficient, two means, and the table that warns where they say little."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kurtosis, norm, skew

from lib.emergence.dip import dip_test
from lib.emergence.shapes import sarle, shape_statistics, two_means
from lib.seeds import Seeds

QUICK = settings(max_examples=40, deadline=None)
SAMPLE = st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=25)
SPREAD = SAMPLE.filter(lambda x: len(set(x)) > 1)


class TestSarle:
    @given(st.integers(1, 30), st.integers(1, 30))
    @QUICK
    def test_of_any_two_points_is_one(self, few, many):
        assert sarle([0.1] * few + [0.7] * many) == pytest.approx(1, rel=1e-9)

    def test_of_a_uniform_distribution_is_five_ninths(self):
        assert sarle(np.arange(20_001) / 20_000) == pytest.approx(5 / 9, abs=1e-4)

    def test_of_a_normal_distribution_is_a_third(self):
        assert sarle(norm.ppf((np.arange(200_000) + 0.5) / 200_000)) == pytest.approx(1 / 3, abs=1e-3)

    @given(SPREAD)
    @QUICK
    def test_is_the_formula_with_scipys_biased_moments(self, x):
        expected = (skew(x) ** 2 + 1) / kurtosis(x, fisher=False)
        assert sarle(x) == pytest.approx(expected, rel=1e-6)
        assert 0 < sarle(x) <= 1 + 1e-9

    @given(SPREAD, st.sampled_from([1e-150, -3.0, 1e100]))
    @QUICK
    def test_is_invariant_to_scale(self, x, scale):
        assert sarle(scale * np.array(x)) == pytest.approx(sarle(x), rel=1e-9)

    def test_refuses_a_constant_and_a_single_value(self):
        with pytest.raises(ValueError, match=r"values: all are 0.5, allowed are at least two different ones"):
            sarle([0.5, 0.5, 0.5])
        with pytest.raises(ValueError, match="values: got 1 values, allowed are 2 or more"):
            sarle([0.5])


class TestTwoMeans:
    @given(SPREAD)
    @QUICK
    def test_no_other_split_is_tighter(self, x):
        x, found = np.sort(x), two_means(x)
        within = {cut: sum(((part - part.mean()) ** 2).sum() for part in (x[:cut], x[cut:])) for cut in range(1, len(x))}
        cut = round(len(x) * (1 - found.upper))
        assert within[cut] == pytest.approx(min(within.values()), abs=1e-7)
        assert (found.low, found.high) == (pytest.approx(x[:cut].mean()), pytest.approx(x[cut:].mean()))
        assert found.explained == pytest.approx(1 - within[cut] / ((x - x.mean()) ** 2).sum(), abs=1e-9)
        assert x[cut - 1] < x[cut]
        assert found.gap > 0

    def test_of_two_clusters(self):
        found = two_means([0.0, 0.1, 0.9, 1.0, 0.95])
        assert (found.low, found.high, found.upper) == (pytest.approx(0.05), pytest.approx(0.95), 0.6)
        assert found.gap == pytest.approx(0.9)

    def test_of_a_constant_has_no_gap(self):
        found = two_means([0.3] * 5)
        assert (found.gap, found.upper, found.explained) == (0, 0, 0)

    def test_refuses_a_single_value(self):
        with pytest.raises(ValueError, match="values: got 1 values, allowed are 2 or more"):
            two_means([0.5])


class TestTable:
    RNG = Seeds(0).numpy()
    SPLIT = np.concatenate([RNG.beta(1, 30, 12), RNG.beta(30, 2, 12)])
    RUNS = np.array([RNG.beta(4, 4, 24), SPLIT, [0.0] * 17 + [0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 0.9], [0.25] * 24])

    @pytest.fixture
    def table(self):
        return shape_statistics(self.RUNS, [8, 16, 24, 32], seeds=Seeds(1)).set_index("scale")

    def test_tells_two_clusters_from_one(self, table):
        assert table.loc[16, "p_value"] < 0.01 < 0.1 < table.loc[8, "p_value"]
        assert table.loc[16, "sarle"] > 0.8 > 5 / 9 > table.loc[8, "sarle"]
        assert table.loc[16, "explained"] > 0.95

    def test_rows_are_the_single_numbers(self, table):
        for scale, row in zip(table.index, self.RUNS, strict=True):
            assert table.loc[scale, "dip"] == dip_test(row, Seeds(1)).dip
            assert table.loc[scale, "p_value"] == dip_test(row, Seeds(1)).p_value
            assert table.loc[scale, "gap"] == two_means(row).gap
        assert table["n"].eq(24).all()

    def test_a_spike_is_named(self, table):
        """Pitfall: bimodal by the dip alone when a spike at exactly 0 dominates."""
        assert table.loc[24, "spike"] == pytest.approx(17 / 24)
        assert table["enough"].tolist() == [True, True, False, False]

    def test_fewer_than_twenty_seeds_are_named(self):
        assert not shape_statistics(self.RUNS[:2, 5:], [1, 2], seeds=Seeds(1))["enough"].any()

    def test_constant_rows_have_no_coefficient(self, table):
        assert np.isnan(table.loc[32, "sarle"])
        assert (table.loc[32, "gap"], table.loc[32, "spike"], table.loc[32, "p_value"]) == (0, 1, 1)

    def test_takes_metrics_beyond_shares(self):
        table = shape_statistics(10 * self.RUNS[:1], [8], seeds=Seeds(1))
        assert table.loc[0, "gap"] == pytest.approx(10 * two_means(self.RUNS[0]).gap)

    def test_refuses_fewer_than_four_seeds_and_nan(self):
        with pytest.raises(ValueError, match="values: got 3 values, allowed are 4 or more"):
            shape_statistics([[0.1, 0.2, 0.3]], [8], seeds=Seeds(1))
        with pytest.raises(ValueError, match="values: got nan"):
            shape_statistics([[0.1, 0.2, 0.3, float("nan")]], [8], seeds=Seeds(1))


def test_refuses_unsorted_scales():
    with pytest.raises(ValueError, match="scales: got"):
        shape_statistics([[0.1] * 4, [0.2] * 4], [16, 8], seeds=Seeds(1))
