"""The numbers behind the claims, on outcomes made by hand, with known answers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lib.language import curves, measures
from lib.language.intervals import draws, means, measured
from lib.language.measures_of_anchors import agreement_table
from lib.language.outcome import distinct, repetition
from lib.language.plan import control_name
from lib.seeds import Seeds
from lib.studies import Metric
from lib.studies.lm_interpolation import CLAIMS
from tests.language.mixes import GAP, LOW, A, B, outcome_of, setup_of

SEEDS = Seeds(0).child("measures")
SETUP = setup_of()
CHANGE = {A: 2.0, B: 0.5, "generated-politeness": 1.0, "generated-politeness-formal": 1.0}


def weight(point, name, sign):
    return point.weights.get((name, sign), 0.0)


def affine(point, name, repeat=0):
    """A margin that is affine in the weights: nothing entangled but what is tied; shuffled flat, swapped reversed."""
    value = CHANGE[name] / 2 * (weight(point, name, "+") - weight(point, name, "-"))
    value -= CHANGE[name] / 2 * sum(s * weight(point, control_name(name, "swapped"), g) for s, g in ((1, "+"), (-1, "-")))
    if name == A:
        tied = "generated-politeness-formal"
        value += 0.4 * CHANGE[A] / 2 * (weight(point, tied, "+") - weight(point, tied, "-"))
    return value


def score(point, name, repeat=0):
    return 0.5 + 0.4 * affine(point, name) / CHANGE[name] * 2


def dear(point, repeat=0):
    """Prose: 2 bits per byte between the anchors, 0.5 more for each alpha beyond."""
    return 2 + 0.5 * max(0.0, point.value - 1, -point.value) if point.group == "alpha" else 2.0


@pytest.fixture(scope="module")
def outcome():
    return outcome_of(SETUP, affine, score, dear)


@pytest.fixture(scope="module")
def found(outcome):
    return measures.measurements(outcome, SETUP, SEEDS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("margin/change_least", 0.5), ("margin/spearman_least", 1.0), ("margin/bend_largest", 0.0), ("margin/middle_least", 0.5),
        ("extrapolation/margin_gain_least", 0.5), ("likelihood/sides_least", 0.0),
        ("score/ends_mean", 0.8), ("score/ends_least", 0.8), ("score/slope_least", 0.8), ("score/spearman_mean", 1.0),
        ("extrapolation/score_gain_mean", 0.4),
        ("neutral/base", 2.0), ("barrier/largest", 0.0), ("extrapolation/near_cost_largest", 0.125),
        ("extrapolation/far_cost_least", 0.5),
        ("entanglement/largest", 0.0), ("entanglement/mean", 0.0), ("entanglement/score_mean", 0.0), ("lambda/rise_least", 0.5),
        ("shuffled/share", 0.0), ("swapped/share", -1.0), ("mixture/gap_largest", 0.0),
        ("apart/share", 0.0), ("tied/share", 0.4), ("tied-apart/share", 0.4), ("turn/gain", 0.6),
        ("cosine/direction_largest", 0.0), ("cosine/across_mean", 0.2), ("cosine/opposite_mean", -0.6),
        ("distinct/anchors", 2 / 6), ("repetition/anchors", 0.75 / 1),
    ],
)  # fmt: skip
def test_number(found, name, value):
    if name.startswith(("distinct", "repetition")):
        texts = [f"a cat {k} a cat {k} said" for k in range(SETUP.prompts)]
        value = {"distinct": distinct, "repetition": repetition}[name.partition("/")[0]](texts)
    assert found[name].value == pytest.approx(value, abs=1e-9)


def test_every_number_of_a_claim_is_measured(found):
    assert {name for claim in CLAIMS for name in claim.needs} <= set(found)


def test_no_name_holds_an_attribute(found):
    assert not [name for name in found if any(word in name for word in ("archaic", "formality", "sentiment"))]


def test_claims_hold_on_perfect_mixes_and_fail_on_entangled_ones(found):
    def verdicts(numbers):
        metrics = {name: Metric.measured(*each) for name, each in numbers.items() if np.isfinite(each.value)}
        return {claim.key: claim.judge(metrics)["verdict"] for claim in CLAIMS}

    perfect = verdicts(found)
    assert {key for key, verdict in perfect.items() if verdict == "held"} >= {
        "score-follows-alpha", "between-and-monotone", "close-to-a-line", "no-barrier", "low-entanglement", "a-little-beyond",
        "far-beyond-breaks", "turn-in-the-middle", "shuffled-is-flat", "swapped-is-reversed", "lambda-weighs",
    }  # fmt: skip

    def entangled(point, name, repeat=0):
        return affine(point, name) + 0.5 * CHANGE[name] * (weight(point, B if name == A else A, "+") if name in (A, B) else 0)

    worse = verdicts(measures.measurements(outcome_of(SETUP, entangled, score, dear), SETUP, SEEDS))
    assert worse["low-entanglement"] == "not held"


def test_a_bent_path_and_a_barrier_are_seen():
    def bent(point, name, repeat=0):
        return affine(point, name) + (0.1 * CHANGE[name] if point.value == 0.5 and point.group == "alpha" else 0)

    def hill(point, repeat=0):
        return 2.4 if point.group == "alpha" and point.value == 0.5 else 2.0

    found = measures.measurements(outcome_of(SETUP, bent, score, hill), SETUP, SEEDS)
    assert found["margin/bend_largest"].value == pytest.approx(0.1)
    assert found["barrier/largest"].value == pytest.approx(0.2)


def test_intervals_are_over_texts_with_one_set_and_over_sets_with_three():
    one = measures.measurements(outcome_of(SETUP, affine, score, dear, spread=0.1), SETUP, SEEDS)["neutral/base"]
    assert one.n == SETUP.neutral
    assert one.low < one.value < one.high
    setup = replace(SETUP, anchor_seeds=3)

    def varied(point, name, repeat):
        return affine(point, name) * (1 + 0.1 * repeat)

    three = measures.measurements(outcome_of(setup, varied, score, dear, repeats=3), setup, SEEDS)["margin/change_least"]
    values = [0.5, 0.55, 0.6]
    assert three.n == 3
    assert three.value == pytest.approx(0.55)
    half = stats.t.ppf(0.975, 2) * stats.sem(values)
    assert (three.low, three.high) == (pytest.approx(0.55 - half), pytest.approx(0.55 + half))


def test_resampled_means_are_means_of_the_resamples():
    values, drawn = np.arange(12.0).reshape(2, 6) ** 2, draws(6, SEEDS)
    np.testing.assert_allclose(means(values, drawn), values[:, drawn].mean(-1))
    np.testing.assert_allclose(means(values, drawn)[:, 0], values.mean(1))


def test_two_sets_are_pooled_and_a_nan_has_no_interval():
    assert measured([np.array([1.0, 0.0, 2.0]), np.array([3.0, 2.0, 4.0])], 5)[:1] == (2.0,)
    assert np.isnan(measured([np.array([1.0, np.nan])], 5).low)


def test_shares_are_zero_and_one_at_the_judges_own_means(outcome):
    mix = [outcome.curve("alpha", A)[0.5]]
    np.testing.assert_allclose(outcome.shares(mix, A, "ngram", 0, SETUP.prompts), 0.5)
    assert outcome.ends(A, "ngram") == (LOW, LOW + GAP)


def test_variety_and_repetition():
    assert distinct(["a b c"]) == 1.0
    assert distinct(["a b a b"]) == pytest.approx(2 / 3)
    assert np.isnan(distinct(["word"]))
    assert repetition(["a b c d"]) == 0.0
    assert repetition(["no no no no"]) == 0.75
    assert np.isnan(repetition([""]))


def test_tables_show_what_was_measured(outcome):
    line = curves.curve_table(outcome, SETUP, SEEDS)
    assert set(line["quantity"]) == {"score", "margin", "positive", "negative", "neutral"}
    at = line[(line["quantity"] == "margin") & (line["attribute"] == A)].set_index("alpha")["value"]
    np.testing.assert_allclose(at.to_numpy(), [-3.0, -1.0, 0.0, 1.0, 2.0, 5.0], atol=1e-9)
    cross = curves.entanglement_table(outcome, SETUP, SEEDS).pivot_table(index="moved", columns="read", values="value")
    np.testing.assert_allclose(cross.to_numpy(), np.eye(2), atol=1e-9)
    controls = curves.control_table(outcome, SETUP, SEEDS)
    assert set(controls["control"]) == {"alpha", "shuffled", "swapped", "mixture"}
    assert curves.turn_table(outcome, SETUP, SEEDS)["value"].tolist() == pytest.approx([0.0, 0.6, 0.1, 0.7])


def test_judges_that_agree_agree(outcome):
    table = agreement_table(outcome, SETUP, SEEDS)
    assert table["spearman"].tolist() == pytest.approx([1.0, 1.0])


def test_the_map_keeps_the_base_at_the_origin_and_mixes_on_lines(outcome):
    points, found = curves.map_of(outcome, SETUP)
    assert found.stress < 0.2
    assert points.iloc[0][["x", "y"]].tolist() == pytest.approx([0, 0], abs=1e-9)
    assert points["alpha"].max() == 1.5  # what lies beyond the stable region is left out
    assert len(points) == 1 + 2 * (len(SETUP.path) - 1)
