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
