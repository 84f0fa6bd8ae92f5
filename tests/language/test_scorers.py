"""Judges: accurate and calibrated on held-out texts, at chance on shuffled labels, blind to batch and order."""

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import BertConfig, BertModel

from lib.data.errors import DataUnavailable
from lib.language.attributes import Sides, load_attribute
from lib.language.encoder import SentenceEncoder, load_encoder
from lib.language.judging import agreement, judge, reliability
from lib.language.lexicon import LexiconScorer
from lib.language.scorers import EmbeddingScorer, NgramScorer
from lib.language.tiny import tiny_tokenizer
from lib.seeds import Seeds

SIZES = {"anchors": 10, "scorer": 200, "held_out": 100}


@pytest.fixture(scope="module")
def data():
    return load_attribute("generated-formality", Seeds(0), SIZES)


@pytest.fixture(scope="module")
def ngrams(data):
    return NgramScorer.fit(data.scorer, Seeds(0))


@pytest.fixture(scope="module")
def encoder():
    """A random encoder of two layers: it knows nothing, but every law of batching holds for it."""
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=160, pad_token_id=tokenizer.pad_token_id, **sizes)
    model = BertModel(config, add_pooling_layer=False).eval().requires_grad_(False)
    for name, value in sorted(model.named_parameters()):
        if "LayerNorm" not in name:
            scale = 1.0 if "word_embeddings" in name else 0.05
            value.copy_(scale * torch.randn(value.shape, generator=Seeds(0).child(name).torch()))
    return SentenceEncoder(model, tokenizer)


# The encoder


def test_embeddings_do_not_depend_on_batch_or_order(encoder, data):
    texts = [*data.held_out.texts[:40], "Short.", "x " * 120]
    whole = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(whole, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(texts[::-1]), whole[::-1], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, rtol=1e-5)
    assert np.ptp(whole, axis=0).max() > 0.01


def test_long_texts_are_cut_and_empty_ones_are_embedded(encoder):
    cut, longer = encoder.encode(["word " * 400, "word " * 500])
    np.testing.assert_array_equal(cut, longer)


# Judges on texts that they have not seen


def test_ngram_judge_is_right_on_held_out_generated_texts(ngrams, data):
    verdict = judge(ngrams, data.held_out)
    assert verdict.n == 200
    assert verdict.accuracy >= 0.95
    assert verdict.low <= verdict.accuracy <= verdict.high
    assert verdict.positive > 0.9 > 0.1 > verdict.negative


def test_judge_of_embeddings_learns_too(encoder, data):
    scorer = EmbeddingScorer.fit(encoder, data.scorer, Seeds(0))
    assert judge(scorer, data.held_out).accuracy > 0.7
    scores = scorer.score(data.held_out.texts)
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_allclose(scorer.score(data.held_out.texts[:1]), scores[:1], atol=1e-5)


def test_score_of_shuffled_labels_is_about_a_half(data):
    control = judge(NgramScorer.fit(data.scorer.shuffled(Seeds(1)), Seeds(0)), data.held_out)
    assert 0.35 < control.accuracy < 0.65
    assert abs(control.positive - 0.5) < 0.1
    assert abs(control.negative - 0.5) < 0.1


def test_swapped_sides_give_the_opposite_score(data, ngrams):
    swapped = NgramScorer.fit(data.scorer.swapped(), Seeds(0))
    np.testing.assert_allclose(swapped.score(data.held_out.texts), 1 - ngrams.score(data.held_out.texts), atol=0.05)


def test_fitting_repeats_bit_for_bit(data, ngrams):
    again = NgramScorer.fit(data.scorer, Seeds(0))
    np.testing.assert_array_equal(again.score(data.held_out.texts), ngrams.score(data.held_out.texts))


@pytest.mark.network
@pytest.mark.slow
def test_minilm_judges_real_texts_that_it_has_not_seen():
    try:
        minilm = load_encoder()
    except DataUnavailable as error:
        pytest.skip(f"the sentence encoder is not here and cannot be fetched: {error}")
    near, also, far = minilm.encode(
        ["A guitar is a musical instrument.", "He plays the violin.", "Stocks fell sharply on Friday."]
    )
    assert near @ also > near @ far + 0.1
    data = load_attribute("simplicity", Seeds(0), SIZES)
    verdict = judge(EmbeddingScorer.fit(minilm, data.scorer, Seeds(0)), data.held_out)
    assert verdict.accuracy > 0.65
    assert verdict.calibration_error < 0.15


# Calibration and agreement


def test_reliability_of_known_scores():
    scores = np.array([0.05, 0.07, 0.55, 0.55, 1.0, 0.95])
    table = reliability(scores, np.array([0, 0, 0, 1, 1, 1]))
    np.testing.assert_allclose(table["score"], [0.06, 0.55, 0.975])
    np.testing.assert_allclose(table["share"], [0, 0.5, 1])
    assert table["n"].tolist() == [2, 2, 2]


def test_calibration_error_of_a_known_judge():
    """Says 1 for texts with an a and 0 otherwise, and is wrong on a quarter of each side."""
    sides = Sides(("a a", "a a", "a a", "b b"), ("b b", "b b", "b b", "a a"))
    verdict = judge(LexiconScorer(frozenset("a"), frozenset("b")), sides)
    assert (verdict.n, verdict.accuracy) == (8, 0.75)
    assert verdict.calibration_error == pytest.approx(0.25)
    # Wilson's interval of 6 in 8.
    assert (verdict.low, verdict.high) == pytest.approx((0.4093, 0.9285), abs=1e-4)


def test_agreement_of_known_scores():
    rng = np.random.default_rng(0)
    one = rng.random(200)
    judges = {"one": one, "same order": one**3, "opposite": 1 - one, "other": rng.random(200)}
    table = agreement(judges, range(200), Seeds(0), resamples=200)
    rows = {(row.first, row.second): row for row in table.itertuples()}
    assert len(rows) == 6
    same, opposite, other = rows["one", "same order"], rows["one", "opposite"], rows["one", "other"]
    assert (same.spearman, same.spearman_low, same.spearman_high) == pytest.approx((1, 1, 1))
    assert opposite.spearman == pytest.approx(-1)
    assert opposite.same_side == 0
    assert other.spearman_low < 0 < other.spearman_high
    assert other.same_side_low < 0.5 < other.same_side_high
    assert same.same_side == pytest.approx(np.mean((one > 0.5) == (one**3 > 0.5)))
    assert same.same_side_low < same.same_side < same.same_side_high


def test_agreement_counts_decided_texts_only():
    one = np.array([0.9, 0.1] * 10)
    other = np.array([0.5, 0.1] * 9 + [0.9, 0.9])
    (row,) = agreement({"one": one, "other": other}, range(20), Seeds(0)).itertuples()
    assert row.decided == 11
    assert row.same_side == pytest.approx(10 / 11)


def test_copies_in_a_group_tell_nothing_new():
    """Every text twice: the same numbers as once, where copies of a text are one group; else the interval shrinks."""
    rng = np.random.default_rng(1)
    one, other = rng.random(40), rng.random(40)
    twice = {"one": np.tile(one, 2), "other": np.tile(other, 2)}
    once = agreement({"one": one, "other": other}, range(40), Seeds(0))
    grouped = agreement(twice, [*range(40), *range(40)], Seeds(0))
    pd.testing.assert_frame_equal(grouped.drop(columns="decided"), once.drop(columns="decided"))
    (apart,) = agreement(twice, range(80), Seeds(0)).itertuples()
    (row,) = once.itertuples()
    assert (row.n, apart.n) == (40, 80)
    assert apart.spearman_high - apart.spearman_low < 0.85 * (row.spearman_high - row.spearman_low)


# Errors


@pytest.mark.parametrize("sides", [Sides((), ()), Sides(("a",) * 9, ()), Sides((), ("b",) * 9), Sides(("a",) * 9, ("b",) * 4)])
def test_empty_corpus_or_a_single_class_is_refused(sides, encoder):
    for fit in (lambda: NgramScorer.fit(sides, Seeds(0)), lambda: EmbeddingScorer.fit(encoder, sides, Seeds(0))):
        with pytest.raises(ValueError, match=r"sides: got .* allowed are two classes of at least 5 texts each"):
            fit()


def test_no_text_to_score_is_refused(ngrams, encoder):
    for ask in (ngrams.score, encoder.encode, LexiconScorer(frozenset("a"), frozenset("b")).score):
        with pytest.raises(ValueError, match="texts: got"):
            ask([])


def test_a_lone_string_is_not_taken_for_texts(ngrams):
    with pytest.raises(ValueError, match="texts: got 'hey'"):
        ngrams.score("hey")


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"one": np.linspace(0, 1, 20)}, "at least two judges"),
        ({"one": np.linspace(0, 1, 20), "other": np.linspace(0, 1, 19)}, "at least two judges"),
        ({"one": np.linspace(0, 1, 20), "other": np.full(20, np.nan)}, r"numbers in \[0, 1\]"),
        ({"one": np.linspace(0, 1, 20), "other": np.linspace(0, 2, 20)}, r"numbers in \[0, 1\]"),
        ({"one": np.linspace(0, 1, 20), "other": np.full(20, 0.5)}, "'other' gives every text 0.5"),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(scores, said):
    with pytest.raises(ValueError, match=said):
        agreement(scores, range(20), Seeds(0))


@pytest.mark.parametrize(("groups", "said"), [([0] * 20, "got 1 for 20 texts"), (list(range(19)), "got 19 for 19 texts")])
def test_groups_that_do_not_fit_the_texts_are_refused(groups, said):
    with pytest.raises(ValueError, match=f"groups: {said}, allowed are two or more"):
        agreement({"one": np.linspace(0, 1, 20), "other": np.linspace(1, 0, 20)}, groups, Seeds(0))


def test_a_verdict_needs_both_sides(ngrams):
    with pytest.raises(ValueError, match="sides: got 1 positive and 0 negative"):
        judge(ngrams, Sides(("a",), ()))
