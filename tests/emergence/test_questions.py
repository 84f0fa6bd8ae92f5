"""Four-choice questions about real text, and the mix of them with running text."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from lib.emergence.questions import (
    CHANCE,
    FIRST_LETTER,
    FRAME,
    LETTERS,
    SIGNS,
    Corpus,
    ask,
    commonest,
    corpus_of,
    decode,
    encode,
    exams_of,
    letter_odds,
    mixture,
    plain,
    windows,
)
from lib.population import IGNORED
from lib.seeds import Seeds

LETTER = FIRST_LETTER + np.arange(len(LETTERS))


def parts(row):
    """Choices, passage and answer of a question."""
    text = decode(row)
    assert (text[0], text[9], text[-2]) == ("|", "=", ">")
    assert text[1:9:2] == LETTERS
    return text[2:9:2], text[10:-2], text[-1]


@given(st.text(alphabet=SIGNS + LETTERS + "|=>"))
def test_decoding_gives_back_what_was_encoded(text):
    assert decode(encode(text)) == text


@given(st.text())
def test_plain_text_has_signs_alone_and_no_two_spaces(text):
    assert set(plain(text)) <= set(SIGNS)
    assert "  " not in plain(text)
    assert plain(plain(text)) == plain(text)


def test_a_strange_sign_is_named():
    with pytest.raises(ValueError, match="text: got the sign 'Z'"):
        encode("aZ")


def test_the_right_choice_is_the_sign_that_follows_in_the_text(corpus):
    text = decode(corpus.held)
    for row in ask(corpus.held, 200, 12, Seeds(0).numpy()):
        choices, passage, answer = parts(row)
        assert passage + choices[LETTERS.index(answer)] in text


def test_the_four_choices_differ(corpus):
    assert all(len(set(parts(row)[0])) == 4 for row in ask(corpus.train, 500, 5, Seeds(1).numpy()))


def test_each_letter_is_right_equally_often_in_random_order(corpus):
    answers = ask(corpus.train, 8000, 3, Seeds(2).numpy())[:, -1] - FIRST_LETTER
    assert np.bincount(answers).tolist() == [2000] * 4
    following = np.bincount(4 * answers[:-1] + answers[1:], minlength=16)
    assert chisquare(following).pvalue > 0.001


def test_wrong_choices_are_uniform_over_the_other_signs():
    alternating = Corpus(encode("a" * 50 + "b"), encode("ab"))
    rows = ask(alternating.train[:40], 6000, 3, Seeds(3).numpy())
    wrong = np.array([sign for row in rows for sign in parts(row)[0] if sign != "a"])
    _, counts = np.unique(wrong, return_counts=True)
    assert len(counts) == len(SIGNS) - 1
    assert chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("share", [0.025, 0.1, 0.5])
def test_the_share_of_question_rows_is_exact(corpus, share):
    rows = mixture(corpus, share, 400, 6, 1.0, Seeds(4))
    assert int((rows.inputs[:, -1] == encode(">")[0]).sum()) == round(share * 400)


def test_of_a_question_the_letter_alone_carries_a_loss(corpus):
    rows = mixture(corpus, 1.0, 50, 6, 0.3, Seeds(5))
    assert (rows.targets[:, :-1] == IGNORED).all()
    assert np.isin(rows.targets[:, -1].numpy(), LETTER).all()


def test_running_text_is_aligned_and_weighted(corpus):
    rows = mixture(corpus, 0.0, 2000, 6, 0.25, Seeds(6))
    asked = rows.targets != IGNORED
    assert abs(asked.double().mean() - 0.25) < 0.02
    assert (rows.targets[:, :-1][asked[:, :-1]] == rows.inputs[:, 1:][asked[:, :-1]]).all()
    whole = mixture(corpus, 0.0, 20, 6, 1.0, Seeds(6))
    assert (whole.targets != IGNORED).all()


def test_held_out_text_is_in_no_training_row():
    verses = ["abc " * 20] * 90 + ["xyz " * 30] * 10
    corpus = corpus_of(verses)
    rows, exams = mixture(corpus, 0.5, 300, 6, 1.0, Seeds(7)), exams_of(corpus, 50, 6, Seeds(7))
    strange = encode("xyz")
    # Wrong choices may be any sign; passages and running text may not.
    assert not np.isin(rows.inputs[:, 10:].numpy(), strange).any()
    assert not np.isin(exams.questions.inputs[:, 10:].numpy(), encode("abc")).any()
    assert not np.isin(exams.text.inputs.numpy(), encode("abc")).any()


def test_an_oracle_is_always_right_and_a_constant_letter_at_chance(corpus):
    rows = exams_of(corpus, 4000, 6, Seeds(8)).questions
    right = rows.targets[:, -1]
    logits = np.zeros((2, len(right), 1, len(SIGNS) + 7))
    logits[0, np.arange(len(right)), 0, right] = 9.0
    logits[1, :, 0, FIRST_LETTER] = 9.0
    chosen = letter_odds(torch.from_numpy(logits)).argmax(-1) + FIRST_LETTER
    oracle, constant = ((each == right).double().mean().item() for each in chosen)
    assert oracle == 1
    assert constant == CHANCE


def test_letters_are_weighed_among_themselves():
    logits = np.random.default_rng(0).normal(size=(2, 5, 3, len(SIGNS) + 7))
    assert np.allclose(letter_odds(torch.from_numpy(logits)).exp().sum(-1), 1)


def test_the_commonest_sign_is_chosen_without_reading():
    corpus = Corpus(encode("a" * 900 + "b" * 100), encode("a" * 60))
    assert commonest(corpus, exams_of(corpus, 100, 6, Seeds(9)).questions) == 1
    swapped = Corpus(encode("b" * 900 + "a"), encode("a" * 60))
    found = commonest(swapped, exams_of(swapped, 3000, 6, Seeds(9)).questions)
    assert found == pytest.approx(1 - 3 / (len(SIGNS) - 1), abs=0.02)  # wrong where b is among the three other choices


def test_the_same_seed_gives_the_same_rows(corpus):
    one, two, other = (mixture(corpus, 0.3, 50, 6, 0.5, Seeds(seed)) for seed in (1, 1, 2))
    assert (one.inputs == two.inputs).all()
    assert (one.targets == two.targets).all()
    assert not (one.inputs == other.inputs).all()


def test_a_row_has_the_passage_and_its_frame(corpus):
    assert ask(corpus.train, 3, 9, Seeds(0).numpy()).shape == (3, 9 + FRAME)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"share": -0.1}, "share: got -0.1, allowed is 0 <= share <= 1"),
        ({"share": 1.5}, "share: got 1.5"),
        ({"weight": 0.0}, "weight: got 0.0, allowed is 0 < weight <= 1"),
        ({"rows": 0}, "rows: got 0"),
        ({"passage": 0}, "passage: got 0"),
        ({"passage": 10**7}, r"text: got .* signs, allowed are 10000001 or more"),
    ],
)
def test_mixtures_that_make_no_sense_are_refused(corpus, change, message):
    given = {"share": 0.5, "rows": 10, "passage": 6, "weight": 1.0} | change
    with pytest.raises(ValueError, match=message):
        mixture(corpus, **given, seeds=Seeds(0))


def test_too_little_text_is_refused():
    with pytest.raises(ValueError, match=r"text: got .* signs for held out, allowed are 1000 or more"):
        corpus_of(["a little text of some words"] * 100)
    with pytest.raises(ValueError, match="text: got 3 signs, allowed are 4 or more"):
        windows(encode("abc"), 1, 4, Seeds(0).numpy())
