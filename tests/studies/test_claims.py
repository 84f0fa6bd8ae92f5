"""Metrics carry interval and n; claims are held, not held, or not tested."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lib.studies import Claim, Metric

FINITE = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(FINITE, min_size=2, max_size=30))
def test_interval_is_student_t(values):
    metric = Metric.of(values)
    assert metric.n == len(values)
    assert metric.mean == pytest.approx(np.mean(values), abs=1e-6)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    assert metric.high - metric.low == pytest.approx(2 * half, rel=1e-6, abs=1e-6)


def test_one_value_has_no_interval():
    assert Metric.of(3.0) == Metric(3.0, None, None, 1)
    assert str(Metric.of(3.0, "%")) == "3 % (n=1)"


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_no_silent_nan(values):
    with pytest.raises(ValueError, match="all finite"):
        Metric.of(values)


def test_a_number_may_have_an_interval_of_its_own():
    assert Metric.measured(0.5, 0.4, 0.9, 32) == Metric(0.5, 0.4, 0.9, 32)
    assert Metric.measured(0.03, math.nan, math.nan, 32, "nats") == Metric(0.03, None, None, 32, "nats")


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ((math.nan, 0.0, 1.0, 3), "value: got nan"),
        ((math.inf, 0.0, 1.0, 3), "value: got inf"),
        ((0.5, 0.6, 0.4, 3), "low, high: got 0.6 and 0.4"),
        ((0.5, math.nan, 0.4, 3), "low, high: got nan and 0.4"),
        ((0.5, 0.4, 0.6, 0), "n: got 0"),
    ],
)
def test_an_interval_that_is_none_is_refused(numbers, why):
    with pytest.raises(ValueError, match=why):
        Metric.measured(*numbers)


def claim(test=lambda m: m["a"].mean > 0, **options):
    return Claim("k", "A is positive.", "ours", "a > 0", ("a",), test, **options)


def test_verdicts():
    positive, negative = Metric.of([1.0, 2.0, 3.0]), Metric.of([-1.0, -2.0, -3.0])
    assert claim().judge({"a": positive})["verdict"] == "held"
    assert claim().judge({"a": negative})["verdict"] == "not held"
    assert claim().judge({})["verdict"] == "not tested at this size"
    assert claim(min_n=4).judge({"a": positive})["verdict"] == "not tested at this size"


def test_verdict_carries_its_numbers():
    row = claim(paper_number="71.0").judge({"a": Metric.of([1.0, 2.0, 3.0])})
    assert row["evidence"]["a"]["n"] == 3
    assert row["paper_number"] == "71.0"
