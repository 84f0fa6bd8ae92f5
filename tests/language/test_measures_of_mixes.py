"""The numbers behind the claims, on outcomes made by hand, with known answers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from lib.language import curves, curves_of_mixes, measures, measures_of_mixes
from lib.language.intervals import Measured, Share, difference, draws, farthest, highest, lowest, means, measured
from lib.language.measures_of_anchors import agreement_table
from lib.language.outcome import distinct, repeated
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
        ("margin/change_least", 0.5), ("margin/step_least", 0.25), ("margin/bend_farthest", 0.0), ("margin/bend_size", 0.0),
        ("extrapolation/margin_gain_least", 0.5), ("likelihood/sides_least", 0.0),
        ("score/ends_mean", 0.8), ("score/ends_least", 0.8), ("score/slope_least", 0.8), ("score/spearman_least", 1.0),
        ("extrapolation/score_gain_least", 0.4),
        ("neutral/base", 2.0), ("neutral/anchors_largest", 0.0), ("barrier/largest", 0.0),
        ("extrapolation/near_cost_largest", 0.125), ("extrapolation/far_cost_least", 0.5),
        ("entanglement/farthest", 0.0), ("entanglement/small", 1.0), ("lambda/step_least", 0.25),
        ("shuffled/share", 0.0), ("swapped/share", -1.0), ("mixture/gap_farthest", 0.0),
        ("apart/share", 0.0), ("tied/share", 0.4), ("tied-apart/share", 0.4), ("turn/gain", 0.6),
        ("cosine/direction_largest", 0.0), ("cosine/mean", 0.2), ("cosine/largest", 0.2), ("cosine/opposite", -0.6),
    ],
)  # fmt: skip
def test_number(found, name, value):
    assert found[name].value == pytest.approx(value, abs=1e-9)


def test_every_number_of_a_claim_is_measured():
    setup = replace(SETUP, anchor_seeds=2)  # what another training of the same gives needs another one
    found = measures.measurements(outcome_of(setup, affine, score, dear, repeats=2), setup, SEEDS)
    assert not {name for claim in CLAIMS for name in claim.needs} - set(found)
    assert found["cosine/direction_again"].value == pytest.approx(1.0)
    assert set(measures.UNITS) <= set(found)


def test_numbers_are_recorded_with_what_they_are_of(found):
    told = {name: (numbers, unit) for name, numbers, unit in measures.recorded(found)}
    assert set(told) == set(found)
    assert told["margin/change_least"] == (tuple(found["margin/change_least"])[:4], f"nats per token, {B}")


def test_no_name_holds_an_attribute(found):
    assert not [name for name in found if any(word in name for word in ("archaic", "formality", "sentiment"))]


def verdicts(numbers):
    metrics = {name: Metric.measured(*each) for name, each in numbers.items() if np.isfinite(each.value)}
    return {claim.key: claim.judge(metrics)["verdict"] for claim in CLAIMS}


def test_claims_hold_on_perfect_mixes(found):
    assert {key for key, verdict in verdicts(found).items() if verdict == "held"} >= {
        "score-follows-alpha", "score-is-consistent", "every-step-counts", "close-to-a-line", "no-barrier",
        "a-little-beyond", "far-beyond-breaks", "turn-in-the-middle", "shuffled-is-flat", "swapped-is-reversed", "lambda-weighs",
    }  # fmt: skip


def test_one_entangled_pair_is_seen_and_most_pairs_are_not():
    names = (A, B, "generated-politeness")
    setup = replace(SETUP, attributes=names, correlated=False)

    def entangled(point, name, repeat=0):
        return affine(point, name) + (0.5 * CHANGE[A] * (weight(point, B, "+") - weight(point, B, "-")) / 2 if name == A else 0)

    found = measures.measurements(outcome_of(setup, entangled, score, dear), setup, SEEDS)
    assert found["entanglement/farthest"].value == pytest.approx(0.5)
    assert found["entanglement/small"][:4] == pytest.approx((5 / 6, np.nan, np.nan, 6), nan_ok=True)
    assert found["entanglement/farthest"].what == f"{B} moves {A}"
    judged = verdicts(found)
    assert judged["low-entanglement"] == "held"
    assert judged["no-pair-is-entangled"] == "not held"


def test_an_attribute_that_its_own_slider_does_not_surely_move_has_no_entanglement():
    def lame(point, name, repeat=0):
        return 0.001 * (repeat - 1) * point.value if name == B and point.group == "joint" else affine(point, name)

    setup = replace(SETUP, anchor_seeds=3)
    outcome = outcome_of(setup, lame, score, dear, repeats=3)
    found = measures_of_mixes.entanglement(outcome, setup, draws(SETUP.held_out, SEEDS))
    assert np.isnan(found[A, B].value)
    assert found[B, A].value == pytest.approx(0.0)
    assert measures_of_mixes.joint_numbers(outcome, setup, draws(SETUP.held_out, SEEDS))["entanglement/small"].value == 0.5


def test_a_bent_path_and_a_barrier_are_seen():
    def bent(point, name, repeat=0):
        return affine(point, name) - (0.1 * CHANGE[name] if point.value == 0.5 and point.group == "alpha" else 0)

    def hill(point, repeat=0):
        return 2.4 if point.group == "alpha" and point.value == 0.5 else 2.0

    found = measures.measurements(outcome_of(SETUP, bent, score, hill), SETUP, SEEDS)
    assert found["margin/bend_farthest"].value == pytest.approx(-0.1)
    assert found["barrier/largest"].value == pytest.approx(0.2)


def test_a_model_trained_on_a_mixture_is_compared_and_the_base_would_not_pass():
    def other(point, name, repeat=0):
        return affine(point, name) + (0.3 * CHANGE[A] if point.group == "mixture" else 0)

    def costs(outcome):
        """The base pays one nat more a token, on either side."""
        table = outcome.likelihoods
        return replace(
            outcome, likelihoods=table.assign(nats=table["nats"] + 10.0 * (table["mix"] == outcome.curve("base", "")[0.0]))
        )

    found = measures_of_mixes.mixture_numbers(costs(outcome_of(SETUP, other, score, dear)), SETUP, draws(SETUP.held_out, SEEDS))
    assert found["mixture/gap_farthest"].value == pytest.approx(0.3)
    assert found["mixture/cost_farthest"].value == pytest.approx(0.3)  # half of 0.3 * 2 nats, as a share of one nat
    outcome = costs(outcome_of(SETUP, affine, score, dear))
    points = outcome.points.assign(
        mix=np.where(outcome.points["group"] == "mixture", outcome.curve("base", "")[0.0], outcome.points["mix"])
    )
    untrained = measures_of_mixes.mixture_numbers(replace(outcome, points=points), SETUP, draws(SETUP.held_out, SEEDS))
    assert untrained["mixture/cost_farthest"].value == pytest.approx(1.0)


def test_intervals_are_over_texts_with_one_set_and_over_sets_with_three():
    one = measures.measurements(outcome_of(SETUP, affine, score, dear, spread=0.1), SETUP, SEEDS)["neutral/base"]
    assert one.n == SETUP.neutral
    assert one.low < one.value < one.high
    setup = replace(SETUP, anchor_seeds=3)
    many = measures.measurements(outcome_of(setup, varied, score, dear, repeats=3, spread=0.1), setup, SEEDS)
    three, values = many["margin/change_least"], [0.5, 0.55, 0.6]
    assert three.n == 3
    assert three.value == pytest.approx(0.55)
    half = stats.t.ppf(0.975, 2) * stats.sem(values)
    assert (three.low, three.high) == (pytest.approx(0.55 - half), pytest.approx(0.55 + half))
    assert many["neutral/base"] == one, "the base has no anchors: sets are no repeats of it"


def varied(point, name, repeat):
    """Anchors of later sets do more, but for their starts, which are their own."""
    return affine(point, name) * (1 + 0.1 * repeat) + 0.3 * repeat


def test_curves_of_several_sets_are_of_the_change_from_their_own_start():
    setup = replace(SETUP, anchor_seeds=3)
    line = curves.curve_table(outcome_of(setup, varied, score, dear, repeats=3), setup, SEEDS)
    start = line[(line["alpha"] == 0.0) & line["quantity"].isin(["margin", "negative", "neutral"])]
    np.testing.assert_allclose(start["high"] - start["low"], 0, atol=1e-9)
    end = line[(line["alpha"] == 1.0) & (line["quantity"] == "margin") & (line["attribute"] == A)].iloc[0]
    changes = np.array([2.0, 2.2, 2.4])
    begun = np.mean([-1.0, -1.1 + 0.3, -1.2 + 0.6])
    half = stats.t.ppf(0.975, 2) * stats.sem(changes)
    assert (end["value"], end["high"]) == (pytest.approx(begun + 2.2), pytest.approx(begun + 2.2 + half))


class TestIntervals:
    def test_a_share_over_sets_is_one_of_means_with_fiellers_interval(self):
        """r is in it where Student's test does not refuse that part - r whole has the mean 0."""
        parts, wholes = np.array([1.0, 2.0, 6.0, 2.0]), np.array([22.0, 25.0, 31.0, 28.0])
        for sign in (1, -1):
            sets = [Share(np.array([p]), np.array([sign * w])) for p, w in zip(parts, wholes, strict=True)]
            found = measured(sets, 5)
            assert found.value == pytest.approx(parts.sum() / wholes.sum())
            for end in (found.low, found.high):
                assert stats.ttest_1samp(parts - end * wholes, 0).pvalue == pytest.approx(0.05)

    def test_a_share_of_what_may_be_nothing_is_undefined(self):
        sets = [Share(np.array([1.0]), np.array([w])) for w in (2.0, 5.0, 11.0)]
        assert stats.ttest_1samp([2.0, 5.0, 11.0], 0).pvalue > 0.05
        assert np.isnan(measured(sets, 5).value)

    def test_a_share_of_itself_is_one_or_minus_one_for_certain(self):
        for sign in (1, -1):
            whole = [np.array([sign * (3.0 + k)]) for k in range(4)]
            assert measured([Share(w, w) for w in whole], 5)[:4] == pytest.approx((sign, sign, sign, 4))

    def test_a_share_of_one_set_is_resampled_as_a_whole(self):
        whole, part = np.array([2.0, 1.0, 3.0, 2.0]), np.array([1.0, 1.0, 1.0, 1.0])
        found = measured([Share(part, whole)], 7)
        assert found.value == 0.5
        assert (found.low, found.high) == pytest.approx(tuple(np.percentile([1.0, 1 / 3, 0.5], [2.5, 97.5])))
        assert np.isnan(measured([Share(part, np.array([2.0, -1.0, 3.0, 2.0]))], 7).value)

    def test_a_difference_keeps_the_pairing_of_sets(self):
        one = [Share(np.array([2.0 + k]), np.array([10.0])) for k in range(3)]
        other = [Share(np.array([1.0 + k]), np.array([10.0])) for k in range(3)]
        assert difference(one, other, 5)[:4] == pytest.approx((0.1, 0.1, 0.1, 3))

    def test_the_worst_number_is_the_one_whose_interval_is(self):
        sure, unsure, none = Measured(1.0, 0.9, 1.1, 5), Measured(2.0, -1.0, 5.0, 5), Measured(1.5, np.nan, np.nan, 5)
        found = {"sure": sure, "unsure": unsure, "none": none}
        assert lowest(found) == highest(found) == unsure._replace(what="unsure")
        assert farthest({"sure": sure, "none": none}).what == "none"
        lost = Measured(np.nan, np.nan, np.nan, 5)
        for worst in (lowest, highest, farthest):
            assert worst({"sure": sure, "lost": lost}).what == worst({"lost": lost, "sure": sure}).what == "lost"


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
    assert repeated("a b c d") == (0, 4)
    assert repeated("no No no no") == (3, 4)
    assert repeated("") == (0, 0)


def test_what_is_written_costs_what_it_was_given(outcome):
    table = curves.fluency_table(outcome, SETUP, SEEDS)
    assert set(table["quantity"]) == {"written", "repetition"}
    assert table.loc[table["quantity"] == "written", "value"].tolist() == pytest.approx([4.0] * 2 * (len(SETUP.path) + 1))
    assert table.loc[table["quantity"] == "repetition", "value"].to_numpy() == pytest.approx(3 / 7)
    assert table["alpha"].isna().sum() == 4, "the base's own, of each attribute and quantity"


def test_the_triangle_is_one_at_its_own_corner_and_keeps_to_lambda():
    setup = replace(SETUP, attributes=(A, B, "generated-politeness"), correlated=False)
    table = curves_of_mixes.simplex_table(outcome_of(setup, affine, score, dear), setup, SEEDS)
    assert len(table) == 3 * 6
    np.testing.assert_allclose(table[list(setup.attributes)].sum(axis=1), 1)
    for name in setup.attributes:
        own = table[table["read"] == name]
        np.testing.assert_allclose(own["value"], 0.5 + own[name] / 2)  # without it the margin is halfway


def test_tables_show_what_was_measured(outcome):
    line = curves.curve_table(outcome, SETUP, SEEDS)
    assert set(line["quantity"]) == {"score", "margin", "positive", "negative", "neutral"}
    at = line[(line["quantity"] == "margin") & (line["attribute"] == A)].set_index("alpha")["value"]
    np.testing.assert_allclose(at.to_numpy(), [-3.0, -1.0, 0.0, 1.0, 2.0, 5.0], atol=1e-9)
    cross = curves_of_mixes.entanglement_table(outcome, SETUP, SEEDS).pivot_table(index="moved", columns="read", values="value")
    np.testing.assert_allclose(cross.to_numpy(), np.eye(2), atol=1e-9)
    controls = curves_of_mixes.control_table(outcome, SETUP, SEEDS)
    assert set(controls["control"]) == {"alpha", "shuffled", "swapped", "mixture", "base"}
    ends = controls[controls["alpha"] == 1.0].set_index("control")["value"]
    assert ends.to_dict() == pytest.approx({"alpha": 1.0, "shuffled": 0.0, "swapped": -1.0})
    assert controls[controls["control"] == "base"]["value"].tolist() == pytest.approx([0.5])
    lambdas = curves_of_mixes.lambda_table(outcome, SETUP, SEEDS).set_index(["attribute", "lambda"])["value"]
    assert lambdas.to_dict() == pytest.approx({(A, 0.0): 0.5, (A, 1.0): 1.0, (B, 0.0): 0.5, (B, 1.0): 1.0})
    tied = curves_of_mixes.tied_table(outcome, SETUP, SEEDS).set_index(["quantity", "group"])["value"]
    assert tied["share"].to_dict() == pytest.approx({"apart": 0.0, "tied": 0.4, "difference": 0.4})
    assert curves.turn_table(outcome, SETUP, SEEDS)["value"].tolist() == pytest.approx([0.0, 0.6, 0.1, 0.7])


def test_judges_that_agree_agree(outcome):
    table = agreement_table(outcome, SETUP, SEEDS)
    assert table["spearman"].tolist() == pytest.approx([1.0, 1.0])
    assert table["n"].tolist() == [SETUP.prompts] * 2, "texts of one prompt are one group"


def test_the_map_keeps_the_base_at_the_origin_and_mixes_on_lines(outcome):
    points, found = curves.map_of(outcome, SETUP)
    assert found.stress < 0.2
    assert points.iloc[0][["x", "y"]].tolist() == pytest.approx([0, 0], abs=1e-9)
    assert points["alpha"].max() == 1.5  # what lies beyond the stable region is left out
    assert len(points) == 1 + 2 * (len(SETUP.path) - 1)
