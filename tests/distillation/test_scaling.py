"""Pareto frontiers against brute force, data multipliers against closed forms, and storage against counting."""

import math
from inspect import unwrap

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.distillation.scaling import attained, data_multiplier, envelope, pareto, storage

QUICK = settings(max_examples=60, deadline=None)
POINTS = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 8)), min_size=1, max_size=20)  # whole numbers, so that many tie


def columns(points):
    budget, accuracy = zip(*points, strict=True)
    return np.array(budget), np.array(accuracy)


def dominates(one, other):
    return one != other and one[0] <= other[0] and one[1] >= other[1]


class TestPareto:
    @given(POINTS)
    @QUICK
    def test_is_what_no_point_dominates(self, points):
        expected = {i for i, p in enumerate(points) if not any(dominates(o, p) for o in points)}
        found = pareto(*columns(points)).tolist()
        assert set(found) == expected
        assert len(found) == len(expected)

    @given(POINTS)
    @QUICK
    def test_accuracy_grows_along_it(self, points):
        budget, accuracy = columns(points)
        front = pareto(budget, accuracy)
        assert (np.diff(budget[front]) >= 0).all()
        assert (np.diff(accuracy[front]) >= 0).all()

    @given(POINTS, st.data())
    @QUICK
    def test_a_dominated_point_changes_nothing(self, points, data):
        budget, accuracy = data.draw(st.sampled_from(points))
        more = [*points, (budget + data.draw(st.integers(0, 3)), accuracy - data.draw(st.integers(1, 3)))]
        assert pareto(*columns(points)).tolist() == pareto(*columns(more)).tolist()
        at = np.arange(0, 13)
        np.testing.assert_array_equal(envelope(*columns(points), at), envelope(*columns(more), at))

    def test_known_points(self):
        assert pareto([5, 1, 20, 5, 50], pd.Series([60, 50, 58, 62, 62])).tolist() == [1, 3]


class TestEnvelope:
    @given(POINTS)
    @QUICK
    def test_is_the_best_of_all_that_is_affordable(self, points):
        at = [0, 1, 2.5, 8, 100]
        expected = [max((a for b, a in points if b <= limit), default=math.nan) for limit in at]
        np.testing.assert_array_equal(envelope(*columns(points), at), expected)

    @given(POINTS)
    @QUICK
    def test_never_falls(self, points):
        budget, accuracy = columns(points)
        assert (np.diff(envelope(budget, accuracy, np.sort(budget))) >= 0).all()


class TestAttained:
    @given(POINTS)
    @QUICK
    def test_is_the_cheapest_of_the_best_that_are_affordable(self, points):
        budget, accuracy = columns(points)
        for limit, place in zip(at := [0, 1, 2.5, 8, 100], attained(budget, accuracy, at), strict=True):
            affordable = [i for i, (cost, _) in enumerate(points) if cost <= limit]
            expected = min(affordable, key=lambda i: (-points[i][1], points[i][0], i), default=-1)
            assert place == expected

    @given(POINTS)
    @QUICK
    def test_nothing_dominates_it(self, points):
        budget, accuracy = columns(points)
        places = set(attained(budget, accuracy, budget).tolist())
        assert places <= set(pareto(budget, accuracy).tolist())
        assert {points[i] for i in places} == {points[i] for i in pareto(budget, accuracy)}

    def test_known_points(self):
        assert attained([5, 1, 20, 5, 50], [60, 50, 58, 62, 62], [0, 1, 4, 5, 20, 99]).tolist() == [-1, 1, 1, 3, 3, 3]


class TestMultiplier:
    BUDGETS, ACCURACIES = (1, 10, 100), (30.0, 50.0, 70.0)  # 20 points a decade

    @given(st.floats(30, 70), st.floats(0.1, 200))
    @QUICK
    def test_on_a_logarithmic_curve(self, accuracy, budget):
        found = data_multiplier(self.BUDGETS, self.ACCURACIES, budget, accuracy)
        assert found.bound == "equal"
        assert found.value == pytest.approx(10 ** ((accuracy - 30) / 20) / budget)

    def test_hard_labels_are_worth_themselves(self):
        for budget, accuracy in zip(self.BUDGETS, self.ACCURACIES, strict=True):
            assert data_multiplier(self.BUDGETS, self.ACCURACIES, budget, accuracy).value == pytest.approx(1)

    def test_beyond_the_hard_curve_it_is_a_bound(self):
        above = data_multiplier(self.BUDGETS, self.ACCURACIES, 10, 70.1)
        below = data_multiplier(self.BUDGETS, self.ACCURACIES, 10, 29.9)
        assert (above.value, above.bound) == (10, "at least")
        assert (below.value, below.bound) == (0.1, "at most")

    def test_a_dip_of_the_hard_curve_is_passed_over(self):
        """Best so far is 40, 40, 70: 55 is half-way between the second budget and the third."""
        found = data_multiplier([100, 1, 10], [70, 40, 35], 1, 55)
        assert found.value == pytest.approx(10**1.5)

    def test_the_least_budget_that_reaches_a_plateau(self):
        assert data_multiplier([1, 10, 100], [40, 60, 60], 1, 60).value == pytest.approx(10)
        assert data_multiplier([1, 10, 100], [60, 60, 60], 1, 60).value == pytest.approx(1)

    def test_the_papers_table(self):
        """ImageNet-1K, ResNet-18: 23.9 % at IPC 10 is what hard labels reach between IPC 50 and 100."""
        found = data_multiplier([1, 10, 50, 100, 200], [0.6, 3.9, 20.4, 28.2, 37.8], 10, 23.9)
        assert 5 < found.value < 10


class TestStorage:
    def test_soft_hard_and_top_labels(self):
        soft = storage(10, 100, 3 * 32 * 32)
        assert (soft.pixels, soft.labels) == (10 * 100 * 3072, 10 * 100 * 100)
        assert soft.total == soft.pixels + soft.labels
        assert storage(10, 100, 3072, per_label=1).labels == 1000
        assert storage(10, 100, 3072, per_label=2 * 5).labels == 10_000

    def test_a_label_for_every_view_costs_epochs_times_as_much(self):
        assert storage(10, 1000, 3 * 224**2, epochs=300).labels == 300 * storage(10, 1000, 3 * 224**2).labels


class TestBadInput:
    def test_no_points(self):
        for use in (
            pareto, lambda b, a: envelope(b, a, [1]), lambda b, a: attained(b, a, [1]), lambda b, a: data_multiplier(b, a, 1, 50),
        ):  # fmt: skip
            with pytest.raises(ValueError, match="accuracy: got 0 for 0 budgets, allowed is one for each of 1 or more"):
                use([], [])
            with pytest.raises(ValueError, match="accuracy: got 1 for 2 budgets"):
                use([1, 2], [50])

    def test_numbers_that_are_not_finite(self):
        with pytest.raises(ValueError, match="accuracy: got nan"):
            pareto([1, 2], [50, math.nan])
        with pytest.raises(ValueError, match="budget: got inf"):
            pareto([1, math.inf], [50, 60])
        with pytest.raises(ValueError, match="at: got nan"):
            envelope([1], [50], [math.nan])
        with pytest.raises(ValueError, match="accuracy: got nan"):
            data_multiplier([1, 2], [50, 60], 1, math.nan)

    @pytest.mark.parametrize(("hard", "budget"), [([0, 1], 1), ([1, 2], 0), ([1, 1], 1)])
    def test_budgets_without_a_logarithm_or_twice(self, hard, budget):
        with pytest.raises(ValueError, match=r"hard_budgets: got .*, allowed are different budgets > 0"):
            data_multiplier(hard, [50, 60], budget, 55)

    def test_tables_of_points(self):
        with pytest.raises(ValueError, match=r"budget: got shape \(1, 2\), allowed is a row of numbers"):
            pareto(np.array([[1, 2]]), np.array([[50, 60]]))

    @pytest.mark.parametrize("name", ["ipc", "classes", "pixels", "epochs", "per_label"])
    @pytest.mark.parametrize("count", [0, 1.5, math.nan])
    def test_counts(self, name, count):
        good = {"ipc": 1, "classes": 10, "pixels": 64, "epochs": 1, "per_label": 1}
        with pytest.raises(ValueError, match=f"{name}: got {count}, allowed are whole numbers >= 1"):
            unwrap(storage)(**good | {name: count})
