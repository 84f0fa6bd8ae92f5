"""The judge that is trained on nothing."""

import numpy as np
import pytest

from lib.language.attributes import load_attribute
from lib.language.judging import judge
from lib.language.lexicon import LexiconScorer, lexicon_for, sentiment_lexicon
from lib.seeds import Seeds

JUDGE = LexiconScorer(frozenset({"good", "nice"}), frozenset({"bad"}))


def test_score_is_the_positive_share_of_the_hits():
    texts = ["Good, nice and BAD.", "A bad one.", "Goodness, badly.", "", "nice"]
    np.testing.assert_allclose(JUDGE.score(texts), [2 / 3, 0, 0.5, 0.5, 1])


@pytest.mark.parametrize(("positive", "negative"), [((), ("a",)), (("a",), ()), (("a", "b"), ("b",))])
def test_empty_or_overlapping_lists_are_refused(positive, negative):
    with pytest.raises(ValueError, match=r"lexicon: got .* allowed are two lists that share no word"):
        LexiconScorer(frozenset(positive), frozenset(negative))


@pytest.mark.parametrize("attribute", ["critic", "simplicity", "generated-simplicity", "humour"])
def test_an_attribute_without_a_list_is_refused(attribute):
    with pytest.raises(ValueError, match=f"attribute: got '{attribute}', allowed are sentiment, archaic, politeness, formality"):
        lexicon_for(attribute)


@pytest.mark.network
def test_sentiment_lexicon_knows_plain_words():
    lexicon = sentiment_lexicon()
    assert {"good", "lovely", "happy"} <= lexicon.positive
    assert {"bad", "awful", "ugly"} <= lexicon.negative
    assert len(lexicon.positive) > 2000
    assert lexicon.score(["a lovely day", "an awful day", "a day"]).tolist() == [1, 0, 0.5]


@pytest.mark.parametrize("attribute", ["generated-politeness", "generated-formality", "generated-politeness-formal"])
def test_own_lists_tell_the_generated_sides(attribute):
    data = load_attribute(attribute, Seeds(0), {"anchors": 1, "scorer": 1, "held_out": 200})
    verdict = judge(lexicon_for(attribute), data.held_out)
    assert verdict.accuracy > 0.8
    assert verdict.positive - verdict.negative > 0.4
