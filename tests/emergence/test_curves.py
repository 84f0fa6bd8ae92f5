"""Linearity and breakthroughness of curves over scale, the seeds they pick, and what few seeds would have shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.emergence.curves import CAP, affordable_seeds, breakthroughness, improvement, linearity, looks_emergent, pick_seeds
from lib.seeds import Seeds

QUICK = settings(max_examples=40, deadline=None)
CURVE = st.lists(st.integers(-20, 20).map(lambda k: k / 20), min_size=2, max_size=12)


def breakthrough(y):
    found = breakthroughness(y)
    return float(found.value), bool(found.capped)


@given(CURVE)
@QUICK
def test_scores_are_those_of_the_definition(y):
    y = np.array(y)
    steps, gain = np.diff(y), np.sign(y.argmax() - y.argmin()) * (y.max() - y.min())
    assert improvement(y) == pytest.approx(gain)
    if np.ptp(y) > 0:
        assert linearity(y) == pytest.approx(gain / np.sqrt(np.mean(steps**2)), rel=1e-9)
        if np.median(steps**2) > 0 and abs(gain) / np.sqrt(np.median(steps**2)) < CAP:
            assert breakthrough(y) == (pytest.approx(gain / np.sqrt(np.median(steps**2)), rel=1e-9), False)


@given(st.integers(2, 60), st.floats(0.001, 1))
@QUICK
def test_linear_curve_scores_n_minus_one_twice(n, slope):
    y = slope * np.arange(n)
    assert linearity(y) == pytest.approx(n - 1, rel=1e-9)
    assert breakthrough(y) == (pytest.approx(n - 1, rel=1e-9), False)


@given(st.integers(4, 60), st.data())
@QUICK
def test_single_jump_has_the_root_as_linearity_and_no_bound_as_breakthroughness(n, data):
    y = (np.arange(n) >= data.draw(st.integers(1, n - 1))).astype(float)
    assert linearity(y) == pytest.approx((n - 1) ** 0.5, rel=1e-9)
    assert breakthrough(y) == (CAP, True)


@given(CURVE)
@QUICK
def test_reversed_curve_flips_the_sign_of_both(y):
    y = np.array(y)
    assert linearity(-y) == pytest.approx(-linearity(y), abs=1e-12)
    assert breakthroughness(-y).value == pytest.approx(-breakthroughness(y).value, abs=1e-12)
    if (y == y.max()).sum() == (y == y.min()).sum() == 1:  # else another extreme comes first
        assert linearity(y[::-1]) == pytest.approx(-linearity(y), abs=1e-12)
        assert breakthroughness(y[::-1]).value == pytest.approx(-breakthroughness(y).value, abs=1e-12)


@pytest.mark.parametrize("n", [2, 5])
def test_flat_curve_scores_zero_without_a_flag(n):
    assert linearity(np.full(n, 0.3)) == 0
    assert breakthrough(np.full(n, 0.3)) == (0, False)


@given(CURVE, st.floats(1e-6, 1e6), st.floats(-10, 10))
@QUICK
def test_linearity_ignores_height_and_level_and_is_at_most_n_minus_one(y, scale, shift):
    y = np.array(y)
    assert abs(linearity(y)) <= len(y) - 1 + 1e-9
    if np.ptp(y) > 0:
        assert linearity(scale * (y + 0)) == pytest.approx(linearity(y), rel=1e-9)


def test_tiny_curves_score_as_large_ones():
    y = np.array([0.0, 1.0, 3.0, 4.0])
    for size in (1e-200, 1e150):
        assert linearity(size * y) == pytest.approx(linearity(y), rel=1e-12)
        assert breakthroughness(size * y).value == pytest.approx(breakthroughness(y).value, rel=1e-12)


def test_many_curves_score_one_by_one():
    curves = Seeds(0).numpy().random((7, 5))
    np.testing.assert_allclose(linearity(curves), [linearity(y) for y in curves])
    np.testing.assert_allclose(breakthroughness(curves).value, [breakthroughness(y).value for y in curves])


class TestPickedSeeds:
    def test_seeds_are_picked_by_the_largest_scores(self):
        curves = [[0.0, 0.3, 0.6, 0.9], [0.0, 0.0, 0.01, 0.9], [0.5, 0.5, 0.5, 0.5], [0.9, 0.6, 0.3, 0.0]]
        found = pick_seeds(curves)
        assert (found.emergent, found.linear) == (1, 0)
        assert list(found.table.columns) == ["seed", "linearity", "breakthroughness", "capped", "improvement"]

    def test_ties_in_breakthroughness_go_to_the_larger_linearity(self):
        back_and_forth, clean = [0.0, 0.0, 0.9, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.9]
        assert pick_seeds([back_and_forth, clean]).emergent == 1
        assert pick_seeds([clean, back_and_forth]).emergent == 0

    def test_ties_in_linearity_go_to_the_larger_breakthroughness(self):
        smooth, sudden = np.array([0.0, 1.0, 3.0, 2.0, 1.0]), np.array([0.0, 5.0, 6.0, 5.0, 4.0])
        assert linearity(smooth) == pytest.approx(linearity(sudden), rel=1e-12)
        assert breakthroughness(smooth).value < breakthroughness(sudden).value
        assert pick_seeds([smooth, sudden]).linear == 1
        assert pick_seeds([sudden, smooth]).linear == 0

    def test_then_the_larger_improvement_and_then_the_lowest_number(self):
        small, large = [0.0, 0.0, 0.0, 0.01], [0.0, 0.0, 0.0, 0.97]
        assert pick_seeds([small, large, large]).emergent == 1
        assert pick_seeds([small, large, large]).linear == 1

    @given(st.integers(0, 1000), st.randoms(use_true_random=False))
    @QUICK
    def test_the_picked_curves_do_not_depend_on_the_order_of_seeds(self, seed, random):
        curves = Seeds(seed).numpy().integers(0, 4, (8, 4)) / 4
        order = random.sample(range(8), 8)
        one, other = pick_seeds(curves), pick_seeds(curves[order])
        for name in ("emergent", "linear"):
            a, b = curves[getattr(one, name)], curves[order][getattr(other, name)]
            assert linearity(a) == pytest.approx(linearity(b), abs=1e-9)
            assert breakthroughness(a).value == pytest.approx(breakthroughness(b).value, abs=1e-9)


class TestAffordableSeeds:
    JUMPS = np.array([[0.0, 0.0, 0.0, 0.0], [0.2, 0.0, 0.0, 0.0], [0.4, 0.9, 0.9, 0.9]])  # three scales, seed 0 climbs slowly

    def share(self, afford, report, runs=None, **options):
        runs = self.JUMPS if runs is None else runs
        table = affordable_seeds(runs, list(range(len(runs))), [afford], seeds=Seeds(0), **options)
        return float(table.set_index("report").loc[report, "emergent"])

    def test_one_seed_shows_its_own_curve(self):
        assert looks_emergent(self.JUMPS.T).tolist() == [False, True, True, True]
        assert self.share(1, "best") == self.share(1, "median") == pytest.approx(0.75, abs=0.06)

    def test_all_seeds_show_one_curve(self):
        assert self.share(4, "best") == 1.0
        assert self.share(4, "median") == 1.0
        assert self.share(4, "best", jump=0.71) == 0.0

    def test_pairs_are_drawn_without_repetition(self):
        """Half of the six pairs hold the slow seed; its 0.2 lowers the jump of the best to 0.7."""
        assert self.share(2, "best", jump=0.8) == pytest.approx(0.5, abs=0.06)

    def test_jump_of_exactly_the_threshold_counts(self):
        assert looks_emergent([0.1, 0.5, 0.6], 0.4)
        assert not looks_emergent([0.1, 0.49, 0.6], 0.4)

    def test_table_is_reproducible(self):
        runs = np.sort(Seeds(1).numpy().random((3, 10)), axis=0)
        one, same = (affordable_seeds(runs, [1, 2, 3], [1, 5, 10], seeds=Seeds(2), draws=50) for _ in range(2))
        assert one.equals(same)
        assert list(one.columns) == ["afford", "report", "emergent", "n"]
        # Each m has its own stream: leaving others out changes nothing.
        alone = affordable_seeds(runs, [1, 2, 3], [5], seeds=Seeds(2), draws=50)
        assert alone["emergent"].tolist() == one[one["afford"] == 5]["emergent"].tolist()

    @pytest.mark.parametrize("m", [0, 5])
    def test_refuses_more_seeds_than_there_are(self, m):
        with pytest.raises(ValueError, match=f"afford: got {m}, allowed are 1 to 4 seeds"):
            self.share(m, "best")

    def test_refuses_a_single_scale_and_no_draws(self):
        with pytest.raises(ValueError, match="scales: got 1, allowed"):
            self.share(1, "best", self.JUMPS[:1])
        with pytest.raises(ValueError, match="draws: got 0, allowed"):
            self.share(1, "best", draws=0)


@pytest.mark.parametrize("score", [linearity, breakthroughness, improvement, looks_emergent, pick_seeds])
class TestBadCurves:
    def test_refuses_fewer_than_two_scales(self, score):
        with pytest.raises(ValueError, match="curves: got 1 scales, allowed are 2 or more"):
            score([[0.5]])

    def test_refuses_nan(self, score):
        with pytest.raises(ValueError, match="curves: got nan"):
            score([[0.5, float("nan")]])


def test_picking_wants_seeds_by_scales():
    with pytest.raises(ValueError, match=r"curves: got shape \(3,\), allowed is \(seeds, scales\)"):
        pick_seeds([0.0, 0.5, 1.0])
