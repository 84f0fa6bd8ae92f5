"""From attributes, alpha and lambda to each anchor's weight."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.language.weights import NEGATIVE, POSITIVE, Attributes

KNOWN = Attributes(("sentiment", "formality", "simplicity"))
ALPHA = st.floats(0, 1)


@given(st.tuples(ALPHA, ALPHA, ALPHA), st.tuples(*[st.floats(0.01, 1)] * 3))
def test_weights_follow_the_formula_and_sum_to_one(alphas, lambdas):
    total = sum(lambdas)
    shares = {name: value / total for name, value in zip(KNOWN.names, lambdas, strict=True)}
    directions = dict(zip(KNOWN.names, alphas, strict=True))
    weights = KNOWN.mix_weights(directions, shares)
    for name in KNOWN.names:
        assert weights[name, POSITIVE] == shares[name] * directions[name]
        assert weights[name, NEGATIVE] == shares[name] * (1 - directions[name])
    assert math.isclose(sum(weights.values()), 1)


def test_lambda_at_a_unit_vector_reduces_to_the_single_attribute():
    alone = KNOWN.mix_weights({"formality": 0.3})
    among = KNOWN.mix_weights(
        {"sentiment": 0.9, "formality": 0.3, "simplicity": 0}, {"sentiment": 0, "formality": 1, "simplicity": 0}
    )
    assert {key: value for key, value in among.items() if value} == alone == {("formality", "+"): 0.3, ("formality", "-"): 0.7}


def test_without_lambdas_all_attributes_matter_the_same():
    weights = KNOWN.mix_weights({"sentiment": 1, "formality": 0})
    assert weights == {("sentiment", "+"): 0.5, ("sentiment", "-"): 0, ("formality", "+"): 0, ("formality", "-"): 0.5}


def test_order_of_attributes_changes_nothing():
    forward = KNOWN.mix_weights({"sentiment": 0.2, "formality": 0.7}, {"sentiment": 0.4, "formality": 0.6})
    backward = KNOWN.mix_weights({"formality": 0.7, "sentiment": 0.2}, {"formality": 0.6, "sentiment": 0.4})
    assert forward == backward


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, "0.5", None, True, 1j])
def test_alpha_or_lambda_that_is_no_number(bad):
    with pytest.raises(ValueError, match="alpha of 'sentiment'"):
        KNOWN.mix_weights({"sentiment": bad}, extrapolate=True)
    with pytest.raises(ValueError, match="lambda of 'sentiment'"):
        KNOWN.mix_weights({"sentiment": 0.5}, {"sentiment": bad}, allow_unnormalised=True)


def test_numbers_of_numpy_are_numbers():
    assert KNOWN.mix_weights({"sentiment": np.float32(0.25)})["sentiment", "-"] == 0.75


def test_negative_lambda():
    with pytest.raises(ValueError, match=r"lambda of 'formality': got -0.5, allowed are numbers >= 0"):
        KNOWN.mix_weights({"sentiment": 1, "formality": 1}, {"sentiment": 1.5, "formality": -0.5})


@pytest.mark.parametrize("total", [1 + 3e-6, 0.9, 2.0])
def test_lambdas_that_do_not_sum_to_one(total):
    with pytest.raises(ValueError, match="lambdas: their sum is"):
        KNOWN.mix_weights({"sentiment": 1.0}, {"sentiment": total})
    assert KNOWN.mix_weights({"sentiment": 1.0}, {"sentiment": total}, allow_unnormalised=True)["sentiment", "+"] == total


def test_lambdas_within_rounding_of_one():
    KNOWN.mix_weights(dict.fromkeys(KNOWN.names, 0.5), dict.fromkeys(KNOWN.names, 1 / 3 + 1e-7))


@pytest.mark.parametrize("alpha", [-0.01, 1.01])
def test_alpha_outside_the_hull_needs_extrapolate(alpha):
    with pytest.raises(ValueError, match="extrapolate=True"):
        KNOWN.mix_weights({"sentiment": alpha})
    weights = KNOWN.mix_weights({"sentiment": alpha}, extrapolate=True)
    assert sum(weights.values()) == pytest.approx(1)


@pytest.mark.parametrize(("alpha", "stable"), [(-1.0, True), (2.0, True), (-1.01, False), (2.01, False)])
def test_warning_beyond_stable_extrapolation(alpha, stable, recwarn):
    KNOWN.mix_weights({"sentiment": alpha}, extrapolate=True)
    said = [str(warning.message) for warning in recwarn]
    assert said == ([] if stable else [f"alpha of 'sentiment' is {alpha}: beyond [-1, 2] extrapolation is unstable"])


def test_unknown_attribute_lists_the_known_ones():
    with pytest.raises(KeyError, match=r"humour.*sentiment, formality, simplicity"):
        KNOWN.mix_weights({"humour": 0.5})
    with pytest.raises(KeyError, match=r"humour.*sentiment, formality, simplicity"):
        KNOWN.mix_weights({"sentiment": 0.5}, {"sentiment": 0.5, "humour": 0.5})


def test_lambdas_of_other_attributes_than_alphas():
    with pytest.raises(ValueError, match=r"lambdas: got .'sentiment'., allowed are the attributes of alphas"):
        KNOWN.mix_weights({"sentiment": 0.5, "formality": 0.5}, {"sentiment": 1.0})


def test_no_attribute_at_all():
    with pytest.raises(ValueError, match="alphas: got no attribute"):
        KNOWN.mix_weights({})
    with pytest.raises(ValueError, match="names"):
        Attributes(())
    with pytest.raises(ValueError, match="names"):
        Attributes(("a", "a"))


def test_missing_one_of_the_two_anchors():
    assert Attributes.of([("a", "+"), ("b", "-"), ("b", "+"), ("a", "-")]).names == ("a", "b")
    with pytest.raises(ValueError, match="'b' has no anchor '-'"):
        Attributes.of([("a", "+"), ("a", "-"), ("b", "+")])
