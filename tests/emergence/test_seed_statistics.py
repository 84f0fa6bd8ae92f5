"""Success, means and modes over seeds, their bootstrap, and the densities behind the modes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import gaussian_kde

from lib.emergence.density import BANDWIDTH, GRID, bin_edges, histogram, kde, level_edges
from lib.emergence.resampling import bootstrap_ci
from lib.emergence.statistics import seed_statistics
from lib.seeds import Seeds

QUICK = settings(max_examples=25, deadline=None)
SHARES = st.lists(st.integers(0, 20).map(lambda k: k / 20), min_size=1, max_size=30)
MEASURED = ("value", "low", "high", "n", "defined")


def statistics(values, scales=None, **options):
    """scale, statistic -> the row, with few resamples."""
    values = np.atleast_2d(np.array(values))
    table = seed_statistics(values, scales or list(range(len(values))), seeds=Seeds(0), **{"resamples": 200} | options)
    return table.set_index(["scale", "statistic"])


class TestSuccess:
    @given(SHARES, st.integers(0, 19))
    @QUICK
    def test_share_and_means_are_those_of_the_definition(self, shares, k):
        tau, x = k / 20, np.array(shares)
        found = statistics(shares, tau=tau)["value"][0]
        won = x > tau
        assert found["p_success"] == pytest.approx(won.mean(), abs=1e-12)
        assert found["mean"] == pytest.approx(x.mean(), abs=1e-12)
        for name, part in (("mean_success", x[won]), ("mean_fail", x[~won])):
            assert found[name] == pytest.approx(part.mean() if len(part) else float("nan"), abs=1e-12, nan_ok=True)

    @given(SHARES, st.integers(0, 19))
    @QUICK
    def test_mean_identity(self, shares, k):
        """Overall mean = p mean|success + (1 - p) mean|fail to 1e-12; a part that does not exist weighs nothing."""
        found = statistics(shares, tau=k / 20)["value"][0]
        p = found["p_success"]
        parts = [weight * found[name] for weight, name in ((p, "mean_success"), (1 - p, "mean_fail")) if weight > 0]
        assert sum(parts) == pytest.approx(found["mean"], abs=1e-12)

    def test_success_is_strictly_above_the_threshold(self):
        """Pitfall: accuracies are multiples of one over the exam's size and often equal to the threshold."""
        assert statistics([1 / 5, 2 / 10, 3 / 15, 9 / 45])["value"][0]["p_success"] == 0
        assert statistics([1 / 5, np.nextafter(0.2, 1)])["value"][0]["p_success"] == 0.5

    def test_no_success_has_no_mean(self):
        """NaN, not 0."""
        row = statistics([0.0, 0.1, 0.2]).loc[0, "mean_success"]
        assert row[["value", "low", "high"]].isna().all()
        assert (row["n"], row["defined"]) == (0, 0)

    def test_few_successes_say_in_how_many_resamples_they_exist(self):
        row = statistics([0.9] + [0.0] * 9, resamples=2000).loc[0, "mean_success"]
        assert row["value"] == row["low"] == row["high"] == pytest.approx(0.9, abs=1e-12)
        assert row["defined"] == pytest.approx(1 - 0.9**10, abs=0.05)
        assert row["n"] == 1


class TestModes:
    def test_mode_is_the_centre_of_the_fullest_bin_and_of_ties_the_lower(self):
        assert statistics([0.0, 0.01, 0.99])["value"][0]["mode_histogram"] == 0.025
        assert statistics([0.9, 0.9, 0.1, 0.1, 0.5])["value"][0]["mode_histogram"] == pytest.approx(0.125)
        assert statistics([0.9, 0.9, 0.1], bins=4)["value"][0]["mode_histogram"] == 0.875

    def test_bins_are_the_same_at_all_scales(self):
        """Pitfall: bins that follow the data move the mode by themselves."""
        found = statistics([[0.41, 0.44, 0.4], [0.43, 0.9, 0.0]])["value"].unstack()["mode_histogram"]
        assert found[0] == pytest.approx(0.425)
        assert set(np.round((found.to_numpy() - 0.025) / 0.05, 9) % 1) == {0.0}

    @given(st.integers(1, 100))
    @QUICK
    def test_a_share_on_an_edge_is_in_the_bin_above(self, bins):
        shares = np.arange(bins) / bins
        assert np.array_equal(histogram(shares, bins), np.ones(bins))
        assert np.array_equal(bin_edges(bins)[:-1], shares)
        assert histogram([1.0], bins)[-1] == 1

    @given(SHARES, st.integers(1, 30))
    @QUICK
    def test_histogram_is_numpys_away_from_rounding(self, shares, bins):
        inside = np.clip(np.array(shares) + 1e-6, 0, 1)
        assert np.array_equal(histogram(inside, bins), np.histogram(inside, bins, range=(0, 1))[0])

    @given(st.integers(1, 200), st.integers(1, 30))
    @QUICK
    def test_a_picture_of_shares_that_all_occur_has_no_empty_bin(self, levels, bins):
        counts, edges = np.histogram(np.arange(levels + 1) / levels, level_edges(levels, bins))
        assert counts.sum() == levels + 1
        assert counts.min() > 0
        assert levels >= 2 * bins or set(counts) == {1}
        assert np.allclose(np.diff(edges), edges[1] - edges[0])

    def test_pictures_of_no_levels_are_refused(self):
        with pytest.raises(ValueError, match="levels"):
            level_edges(0)

    def test_density_mode_is_where_the_reflected_density_is_highest(self):
        rng = Seeds(1).numpy()
        shares = rng.beta(8, 3, 200)
        found = statistics(shares)["value"][0]["mode_density"]
        assert found == GRID[kde(shares, GRID).argmax()]
        assert found == pytest.approx(0.78, abs=0.06)

    def test_density_mode_of_a_spike_at_zero_is_zero_and_of_ties_the_lower(self):
        assert statistics([0.0] * 5 + [0.6, 0.7, 0.8])["value"][0]["mode_density"] == 0
        assert statistics([0.0, 1.0])["value"][0]["mode_density"] == 0
        assert statistics([0.3, 0.7])["value"][0]["mode_density"] == pytest.approx(0.3, abs=1e-12)

    def test_the_mode_jumps_where_the_share_of_success_moves_by_less(self):
        runs = [[0.0] * failed + [0.95] * (32 - failed) for failed in (18, 14)]
        found = statistics(runs)["value"].unstack()
        assert found["mode_histogram"].diff()[1] > 0.9
        assert found["p_success"].diff()[1] == pytest.approx(0.125)
        assert found["mean_success"].diff()[1] == pytest.approx(0)


class TestDensity:
    @given(SHARES, st.sampled_from([0.01, BANDWIDTH, 0.2, 0.5]))
    @settings(max_examples=10, deadline=None)
    def test_integrates_to_one_within_zero_and_one(self, shares, bandwidth):
        corners = sorted({0.0, 1.0, *shares})
        area = sum(quad(lambda x: kde(shares, [x], bandwidth)[0], a, b, epsabs=1e-10, limit=200)[0] for a, b in pairwise(corners))
        assert area == pytest.approx(1, abs=1e-8)

    def test_is_the_plain_density_away_from_the_ends(self):
        shares = np.linspace(0.45, 0.55, 9)
        plain = gaussian_kde(shares, BANDWIDTH / shares.std(ddof=1))
        np.testing.assert_allclose(kde(shares, GRID[60:140]), plain(GRID[60:140]), rtol=1e-9)

    def test_is_what_the_plain_density_folds_in_at_both_ends(self):
        shares = Seeds(2).numpy().random(30)
        plain = gaussian_kde(shares, BANDWIDTH / shares.std(ddof=1))
        np.testing.assert_allclose(kde(shares, GRID), plain(GRID) + plain(-GRID) + plain(2 - GRID), atol=1e-9)

    @pytest.mark.parametrize("bandwidth", [0.0, -0.1, 0.51, float("nan")])
    def test_refuses_bandwidths(self, bandwidth):
        with pytest.raises(ValueError, match="bandwidth: got"):
            kde([0.5], [0.5], bandwidth)

    def test_refuses_what_is_no_share(self):
        for values, at, name in (([1.1], [0.5], "values"), ([0.5], [-0.1], "at")):
            with pytest.raises(ValueError, match=f"{name}: got"):
                kde(values, at)
        with pytest.raises(ValueError, match="values: got"):
            histogram([-0.01])
        with pytest.raises(ValueError, match="bins: got 0"):
            histogram([0.5], 0)


class TestBootstrap:
    @given(st.floats(-1e3, 1e3), st.integers(1, 50))
    @QUICK
    def test_interval_of_a_constant_sample_has_no_width(self, value, n):
        found = bootstrap_ci([value] * n, np.mean, Seeds(0), resamples=50)
        assert found.low == found.high

    @given(st.floats(0, 1), st.integers(1, 50))
    @QUICK
    def test_all_intervals_of_constant_seeds_have_no_width(self, value, n):
        found = statistics([value] * n).dropna()
        assert (found["low"] == found["high"]).all()
        assert (found["low"] == found["value"]).all()

    def test_covers_the_mean_about_as_often_as_it_says(self):
        rng, hits = Seeds(3).numpy(), 0
        for k in range(200):
            found = bootstrap_ci(rng.normal(1, 1, 40), np.mean, Seeds(k), resamples=200)
            hits += found.low <= 1 <= found.high
        assert 0.87 <= hits / 200 <= 0.99

    def test_ends_are_percentiles_over_resampled_seeds(self):
        """The share of successes of K seeds is binomial over resamples."""
        row = statistics([0.0] * 30 + [1.0] * 10, resamples=5000).loc[0, "p_success"]
        spread = (0.25 * 0.75 / 40) ** 0.5
        assert row["low"] == pytest.approx(0.25 - 1.96 * spread, abs=0.03)
        assert row["high"] == pytest.approx(0.25 + 1.96 * spread, abs=0.03)

    def test_resamples_rows_of_several_axes_whole(self):
        curves = np.arange(5)[:, None] * np.ones(3)
        found = bootstrap_ci(curves, lambda drawn: float(np.ptp(drawn, axis=1).max()), Seeds(4), resamples=20)
        assert (found.value, found.low, found.high) == (0, 0, 0)

    def test_same_seed_same_table_and_other_seeds_other_ends(self):
        runs, scales = Seeds(5).numpy().random((2, 20)), [1, 2]
        one, same, other = (seed_statistics(runs, scales, seeds=Seeds(s)) for s in (0, 0, 1))
        assert one.equals(same)
        assert one["value"].equals(other["value"])
        assert not one["low"].equals(other["low"])

    def test_table_is_tidy_and_order_of_seeds_does_not_matter(self):
        runs = Seeds(6).numpy().random((3, 24))
        table = seed_statistics(runs, [8, 16, 32], seeds=Seeds(0))
        assert list(table.columns) == ["scale", "statistic", *MEASURED]
        assert len(table) == 3 * 6
        assert (table["low"] <= table["high"]).all()
        turned = seed_statistics(runs[:, ::-1], [8, 16, 32], seeds=Seeds(0))
        np.testing.assert_allclose(turned["value"], table["value"], atol=1e-12)

    def test_refuses_no_resamples_and_statistics_that_are_not_finite(self):
        with pytest.raises(ValueError, match="resamples: got 0"):
            bootstrap_ci([1.0], np.mean, Seeds(0), resamples=0)
        with pytest.raises(ValueError, match="stat: got nan in a resample"):
            bootstrap_ci([1.0, 2.0], lambda x: float("nan"), Seeds(0))


class TestBadInput:
    @pytest.mark.parametrize("value", [-0.01, 1.01])
    def test_refuses_accuracies_outside_zero_to_one(self, value):
        with pytest.raises(ValueError, match=f"values: got {value} at scale 16, seed 1, allowed are shares from 0 to 1"):
            statistics([[0.1, 0.2], [0.3, value]], [8, 16])

    def test_refuses_nan_seeds(self):
        with pytest.raises(ValueError, match=r"values: got nan at \(0, 1\), allowed are finite numbers"):
            statistics([[0.1, float("nan")]])

    @pytest.mark.parametrize("scales", [[16, 8], [8, 8], [8, float("nan")]])
    def test_refuses_unsorted_and_duplicate_scales(self, scales):
        with pytest.raises(ValueError, match=r"scales: got .* allowed are different ones in ascending order"):
            statistics([[0.1], [0.2]], scales)

    def test_refuses_another_number_of_scales(self):
        with pytest.raises(ValueError, match="scales: got 3 for 2 rows"):
            statistics([[0.1], [0.2]], [1, 2, 3])

    @pytest.mark.parametrize("tau", [-0.1, 1.0, 1.5, float("nan")])
    def test_refuses_tau_outside_zero_to_below_one(self, tau):
        with pytest.raises(ValueError, match="tau: got"):
            statistics([0.5], tau=tau)

    def test_refuses_no_seeds(self):
        with pytest.raises(ValueError, match="values: got shape"):
            seed_statistics(np.zeros((2, 0)), [1, 2], seeds=Seeds(0))

    def test_refuses_rounded_shares(self):
        """In float32 a share of 0.2 is more than 0.2."""
        with pytest.raises(ValueError, match="values: got float32, allowed is float64"):
            statistics(np.full((1, 3), 0.2, dtype=np.float32))
