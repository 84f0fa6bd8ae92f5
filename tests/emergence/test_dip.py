"""Hartigan's dip against a brute force over all unimodal distribution functions, and its laws."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from lib.emergence.dip import dip, dip_test, uniform_dips
from lib.seeds import Seeds

QUICK = settings(max_examples=25, deadline=None)
VALUES = st.lists(st.integers(-20, 20).map(float), min_size=4, max_size=8).filter(lambda x: len(set(x)) > 1)


class Programme:
    """Inequalities sum_j w_j v_j <= b over a distribution function's values and its distance, the last variable."""

    def __init__(self, variables):
        self.variables, self.rows, self.ends = variables, [], []

    def add(self, terms, end):
        row = np.zeros(self.variables)
        for variable, weight in terms:
            row[variable] += weight
        self.rows.append(row)
        self.ends.append(end)

    def near(self, variable, value):
        for sign in (1, -1):
            self.add([(variable, sign), (self.variables - 1, -1)], sign * value)

    def least(self):
        cost = np.eye(self.variables)[-1]
        found = linprog(cost, A_ub=np.array(self.rows), b_ub=self.ends, bounds=(0, 1), method="highs")
        assert found.status == 0
        return found.fun


def brute_dip(values):
    """Least sup |F - G| over all G that rise, are convex before some atom, concave behind, and may jump at it."""
    x, counts = np.unique(values, return_counts=True)
    m, n = len(x), len(values)
    above = np.cumsum(counts) / n
    below = above - counts / n
    best = np.inf
    for mode in range(m):
        programme, before = Programme(m + 2), m  # G at the atoms, G just before the mode, the distance
        for i in range(m):
            if i != mode:  # G is continuous there: near F on both sides
                programme.near(i, below[i])
            programme.near(i, above[i])
        programme.near(before, below[mode])
        programme.add([(before, 1), (mode, -1)], 0)
        for points, at, sign in (([*range(mode), before], x[: mode + 1], 1), ([*range(mode, m)], x[mode:], -1)):
            for a, b in pairwise(points):
                programme.add([(a, 1), (b, -1)], 0)
            for i in range(len(points) - 2):
                g, h = np.diff(at[i : i + 3])
                programme.add([(points[i], -sign * h), (points[i + 1], sign * (g + h)), (points[i + 2], -sign * g)], 0)
        best = min(best, programme.least())
    return best


@given(VALUES)
@QUICK
def test_dip_is_the_distance_to_the_nearest_unimodal_distribution(values):
    assert dip(values) == pytest.approx(brute_dip(values), abs=1e-9)


def test_dip_is_the_brute_force_for_larger_samples_of_two_clusters():
    rng = Seeds(0).numpy()
    for n in (15, 30):
        values = np.concatenate([rng.normal(0, 0.3, n), rng.normal(1.2, 0.3, n // 2)])
        assert dip(values) == pytest.approx(brute_dip(values), abs=1e-9)
        assert dip(values.round(1)) == pytest.approx(brute_dip(values.round(1)), abs=1e-9)


@given(st.integers(1, 30), st.integers(1, 30))
@QUICK
def test_dip_of_two_atoms_is_half_of_the_smaller_weight(few, many):
    if few + many >= 4:
        values = [0.0] * few + [1.0] * many
        assert dip(values) == pytest.approx(min(few, many) / (2 * (few + many)), abs=1e-15)


@given(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=60))
@QUICK
def test_dip_lies_between_one_over_2n_and_a_quarter(values):
    assert 1 / (2 * len(values)) <= dip(values) <= 0.25 + 1e-15


@given(VALUES, st.floats(0.01, 100), st.floats(-100, 100))
@QUICK
def test_dip_is_invariant_to_affine_maps(values, scale, shift):
    expected = dip(values)
    assert dip(scale * np.array(values) + shift) == pytest.approx(expected, abs=1e-9)
    assert dip(-scale * np.array(values)) == pytest.approx(expected, abs=1e-9)


def test_dip_of_equal_steps_and_of_a_constant_is_the_least():
    assert dip(np.arange(50.0)) == pytest.approx(1 / 100, abs=1e-12)
    assert dip(np.full(8, 0.3)) == 1 / 16


def test_two_clusters_are_told_from_one():
    rng = Seeds(1).numpy()
    one, two = rng.normal(size=60), np.concatenate([rng.normal(0, 0.1, 30), rng.normal(1, 0.1, 30)])
    assert dip_test(one, Seeds(2)).p_value > 0.1
    found = dip_test(two, Seeds(2))
    assert (found.p_value, found.n, found.dip) == (1 / 1001, 60, dip(two))


def test_p_values_of_uniform_samples_are_uniform():
    p = np.array([dip_test(sample, Seeds(3)).p_value for sample in Seeds(4).numpy().random((300, 12))])
    for level in (0.1, 0.5):
        assert (p <= level).mean() == pytest.approx(level, abs=4 * (level * (1 - level) / 300) ** 0.5)


def test_a_coarse_metric_dips_by_itself_unless_its_levels_are_told():
    """Pitfall: with five possible values, 60 even outcomes look multimodal to the test that expects a continuum."""
    coarse = Seeds(5).numpy().integers(0, 5, 60) / 4
    assert dip_test(coarse, Seeds(2)).p_value < 0.01
    assert dip_test(coarse, Seeds(2), levels=4).p_value > 0.05


def test_same_seed_same_dips():
    uniform_dips.cache_clear()
    first = uniform_dips(4, 1000, Seeds(7)).copy()
    uniform_dips.cache_clear()
    assert np.array_equal(first, uniform_dips(4, 1000, Seeds(7)))


def test_refuses_fewer_than_four_values():
    with pytest.raises(ValueError, match="values: got 3 values, allowed are 4 or more"):
        dip([0.0, 0.5, 1.0])


def test_refuses_nan():
    with pytest.raises(ValueError, match="values: got nan"):
        dip([0.0, 0.5, float("nan"), 1.0])


def test_refuses_fewer_than_a_thousand_resamples_and_no_levels():
    with pytest.raises(ValueError, match="resamples: got 999, allowed are whole numbers >= 1000"):
        dip_test([0.0, 0.1, 0.2, 0.3], Seeds(0), resamples=999)
    with pytest.raises(ValueError, match="levels: got 0"):
        dip_test([0.0, 0.1, 0.2, 0.3], Seeds(0), levels=0)
