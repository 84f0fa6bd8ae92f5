"""Tasks of the random-scaling spec: formats, distributions, packing, exams, and what they refuse."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch.nn import functional as F

from lib.emergence.addition import Addition
from lib.emergence.count import Count
from lib.emergence.tokens import ANSWER, END, START, Tokens
from lib.population import IGNORED
from lib.seeds import Seeds

QUICK = settings(max_examples=20, deadline=None)
COUNT = Count(numbers=16, lengths=(1, 6), context=32)
ADDITION = Addition(digits=(1, 4), context=64)
PLAIN = Addition(digits=(1, 4), context=64, padded=False)
TASKS = pytest.mark.parametrize(
    "task",
    [COUNT, ADDITION, PLAIN, Addition((2, 7), context=60, hints="abcdefgh")],
    ids=["count", "padded", "plain", "few hints"],
)


def counted(text):
    """lo, hi and the answer of a count example."""
    start, lo, hi, sign, *answer, end = text.split()
    assert (start, sign, end) == ("$", ">", ".")
    return int(lo), int(hi), [int(word) for word in answer]


def hinted(words):
    """Hints and digits of a number."""
    return words[::2], words[1::2]


def added(text):
    """Of an addition example, independently parsed: the three numbers, and each one's hints and digits as they stand."""
    assert text.startswith("$ ")
    assert text.endswith(" .")
    question, answer = text[2:-2].split(" > ")
    parts = [hinted(part.split()) for part in (*question.split(" + "), answer)]
    a, b = (int("".join(digits)) for _, digits in parts[:2])
    return a, b, int("".join(reversed(parts[2][1]))), parts


def texts(task, count, seed=0):
    drawn = task.examples(count, Seeds(seed).numpy())
    return [task.tokens.decode(row[:size]) for row, size in zip(drawn.tokens, drawn.sizes, strict=True)]


def row_examples(inputs, targets):
    """An independent reader of a packed row: its examples (ids, complete or not), where they start, and whether each is learned.

    The token after the last input is known only if it is a target; it can only be an end.
    """
    ids = inputs.tolist() + ([targets[-1].item()] if targets[-1] != IGNORED else [])
    starts = [i for i, token in enumerate(ids) if token == START] + [len(ids)]
    return [(ids[a:b], a) for a, b in pairwise(starts)]


class TestTokens:
    def test_specials_come_first_then_the_own_words(self):
        assert Tokens(("a", "b")).words == ("$", ">", ".", "*", "a", "b")
        assert COUNT.tokens.words == ("$", ">", ".", "*", *map(str, range(16)))

    @TASKS
    def test_decode_after_encode_is_the_text(self, task):
        for text in texts(task, 30):
            assert task.tokens.decode(task.tokens.encode(text)) == text

    def test_refuses_unknown_words_and_ids(self):
        with pytest.raises(ValueError, match=r"text: got the word '16'"):
            COUNT.tokens.encode("$ 3 16 >")
        for bad in (-1, 20):
            with pytest.raises(ValueError, match=rf"ids: got {bad}, allowed are 0 to 19"):
                COUNT.tokens.decode([0, bad])

    @pytest.mark.parametrize("own", [("a", "a"), ("",), ("a b",), ("$",)])
    def test_refuses_words_that_could_not_be_told_apart(self, own):
        with pytest.raises(ValueError, match="own: got"):
            Tokens(own)


class TestCount:
    def test_format_of_the_spec(self):
        assert COUNT.write(3, 6) == "$ 3 6 > 3 4 5 6 ."
        assert COUNT.write(15, 15) == "$ 15 15 > 15 ."

    def test_answer_equals_the_range(self):
        for text in texts(COUNT, 2000):
            lo, hi, answer = counted(text)
            assert answer == list(range(lo, hi + 1))
            assert 0 <= lo <= hi < 16
            assert len(COUNT.tokens.encode(text)) == len(answer) + 5

    def test_length_histogram_is_uniform(self):
        lengths = COUNT.examples(20_000, Seeds(0).numpy()).sizes - 5  # which the test above ties to the answers
        assert chisquare(np.bincount(lengths, minlength=7)[1:]).pvalue > 0.01

    def test_first_number_is_uniform_at_each_length(self):
        """Not lo first and the length clipped, which would favour short ones at the end."""
        drawn = COUNT.examples(20_000, Seeds(1).numpy())
        for length in range(1, 7):
            starts = drawn.tokens[drawn.sizes == length + 5, 1] - COUNT.tokens.ids["0"]
            assert chisquare(np.bincount(starts, minlength=16 - length + 1)).pvalue > 0.001

    def test_every_number_occurs_in_training(self):
        assert {n for text in texts(COUNT, 1000) for n in counted(text)[2]} == set(range(16))

    @given(st.integers(1, 27))
    @QUICK
    def test_evaluation_enumerates_all_pairs_of_a_length(self, length):
        task = Count(numbers=30, lengths=(1, 4), context=32)
        exam = task.evaluation(length)
        assert exam.inputs.shape == exam.targets.shape == (30 - length + 1, length + 4)
        for lo, (inputs, targets) in enumerate(zip(exam.inputs, exam.targets, strict=True)):
            whole = [*inputs.tolist(), targets[-1].item()]
            assert task.tokens.decode(whole) == task.write(lo, lo + length - 1)
            assert targets.tolist() == [IGNORED] * 3 + whole[4:]

    def test_refuses_lo_above_hi(self):
        with pytest.raises(ValueError, match="lo: got 5 with hi = 3, allowed is lo <= hi"):
            COUNT.write(5, 3)

    @pytest.mark.parametrize(("lo", "hi"), [(-1, 3), (3, 16)])
    def test_refuses_numbers_it_does_not_have(self, lo, hi):
        with pytest.raises(ValueError, match=f"lo, hi: got {lo} and {hi}, allowed are 0 to 15"):
            COUNT.write(lo, hi)

    @pytest.mark.parametrize("lengths", [(0, 4), (4, 3), (-2, -1)])
    def test_refuses_lengths_below_one_and_empty_ranges(self, lengths):
        with pytest.raises(ValueError, match="lengths: got"):
            Count(lengths=lengths)

    def test_refuses_lengths_above_the_numbers(self):
        with pytest.raises(ValueError, match="lengths: got length 17, allowed are 1 to numbers = 16"):
            Count(numbers=16, lengths=(1, 17), context=64)

    @pytest.mark.parametrize("length", [0, 17])
    def test_refuses_test_lengths_outside_the_numbers(self, length):
        with pytest.raises(ValueError, match=f"length: got length {length}, allowed are 1 to numbers = 16"):
            COUNT.evaluation(length)

    def test_refuses_examples_longer_than_the_context(self):
        with pytest.raises(ValueError, match="lengths: an example of 11 tokens, allowed are up to context = 10"):
            Count(lengths=(1, 6), context=10)
        small = Count(lengths=(1, 6), context=11)
        with pytest.raises(ValueError, match="length: an example of 12 tokens"):
            small.evaluation(7)
        with pytest.raises(ValueError, match="hi: an example of 12 tokens"):
            small.write(0, 6)


class TestAddition:
    def test_formats_of_the_spec(self):
        assert PLAIN.write("47", "25") == "$ a 4 b 7 + a 2 b 5 > b 2 a 7 ."
        assert ADDITION.write("47", "25") == "$ a 0 b 4 c 7 + a 0 b 2 c 5 > c 2 b 7 a 0 ."
        assert PLAIN.write("999", "1", start=2) == "$ d 9 e 9 f 9 + f 1 > f 0 e 0 d 0 c 1 ."

    @pytest.mark.parametrize("task", [Addition((1, 9)), Addition((1, 9), padded=False)], ids=["padded", "plain"])
    def test_answer_is_the_sum_for_ten_thousand_pairs(self, task):
        for text in texts(task, 5000):
            a, b, total, parts = added(text)
            assert a + b == total
            # Equal places have equal letters, and an answer reads from the units.
            forward = parts[2][0][::-1]
            assert forward == list(task.hints[task.hints.index(forward[0]) :][: len(forward)])
            assert all(hints == forward[-len(hints) :] for hints, _ in parts[:2])

    @given(st.integers(1, 40), st.booleans(), st.integers(0, 10))
    @QUICK
    def test_all_carry_pairs(self, digits, padded, start):
        task = Addition((1, 40), context=256, padded=padded)
        nines = "9" * digits
        for a, b in ((nines, "1"), ("1", nines), (nines, nines)):
            assert added(task.write(a, b, start))[2] == int(a) + int(b)

    @given(st.text("0123456789", min_size=1, max_size=40), st.text("0123456789", min_size=1, max_size=40), st.booleans())
    @QUICK
    def test_written_numbers_are_the_operands(self, a, b, padded):
        found = added(Addition((1, 40), context=256, padded=padded).write(a, b))
        assert found[:3] == (int(a), int(b), int(a) + int(b))

    def test_padding_leaves_room_for_the_carry(self):
        for text in texts(ADDITION, 300):
            a, b, _, parts = added(text)
            assert {len(digits) for _, digits in parts} == {max(len(str(a)), len(str(b))) + 1}

    def test_without_padding_no_number_has_leading_zeros(self):
        for text in texts(PLAIN, 300):
            a, b, total, parts = added(text)
            assert [len(digits) for _, digits in parts] == [len(str(n)) for n in (a, b, total)]

    def test_longer_operands_have_uniform_numbers_of_digits(self):
        longest = [max(len(str(n)) for n in added(text)[:2]) for text in texts(ADDITION, 2000)]
        assert chisquare(np.bincount(longest, minlength=5)[1:]).pvalue > 0.01

    def test_other_operands_have_uniform_numbers_of_digits_too_and_either_comes_first(self):
        counts = np.array([[len(str(n)) for n in added(text)[:2]] for text in texts(ADDITION, 2000)])
        full = counts[counts.max(1) == 4]
        assert chisquare(np.bincount(full.min(1), minlength=5)[1:]).pvalue > 0.01
        assert np.mean(full[:, 0] > full[:, 1]) == pytest.approx(3 / 8, abs=0.08)
        assert np.mean(full[:, 0] < full[:, 1]) == pytest.approx(3 / 8, abs=0.08)

    def test_hints_start_anywhere_and_all_of_them_occur(self):
        task = Addition((1, 4), context=64, hints="abcdefgh")
        hints = [added(text)[3][2][0] for text in texts(task, 2000)]
        starts = [letters[-1] for letters in hints if len(letters) == 5]
        assert chisquare([starts.count(letter) for letter in "abcd"]).pvalue > 0.01
        assert {letter for letters in hints for letter in letters} == set("abcdefgh")

    @pytest.mark.parametrize("task", [ADDITION, PLAIN], ids=["padded", "plain"])
    def test_evaluation_holds_the_all_carry_pairs_and_is_fixed(self, task):
        exam, again = task.evaluation(4), Addition(task.digits, padded=task.padded).evaluation(4)
        assert torch.equal(exam.inputs, again.inputs)
        assert len(exam.inputs) == task.pairs
        pairs = []
        for inputs, targets in zip(exam.inputs, exam.targets, strict=True):
            answer = targets[targets != IGNORED].tolist()
            prompt = inputs[: int((targets != IGNORED).nonzero()[0]) + 1].tolist()
            a, b, total, _ = added(task.tokens.decode(prompt + answer))
            assert a + b == total
            assert max(len(str(a)), len(str(b))) == 4
            pairs.append((a, b))
        assert pairs[:3] == [(9999, 1), (1, 9999), (9999, 9999)]

    @pytest.mark.parametrize("operand", ["4x", "", "-3", "1.5", "²"])
    def test_refuses_operands_with_non_digits(self, operand):
        with pytest.raises(ValueError, match="a: got"):
            ADDITION.write(operand, "1")
        with pytest.raises(ValueError, match="b: got"):
            ADDITION.write("1", operand)

    def test_refuses_more_places_than_hints(self):
        with pytest.raises(ValueError, match="digits: got 4 digits, allowed are up to 3, one less than hints"):
            Addition((1, 4), hints="abcd")
        few = Addition((1, 3), hints="abcd")
        with pytest.raises(ValueError, match="length: got 4 digits"):
            few.evaluation(4)
        with pytest.raises(ValueError, match="a, b: got 4 digits"):
            few.write("1234", "1")
        with pytest.raises(ValueError, match="start: got 1, allowed are 0 to 0"):
            few.write("123", "1", start=1)

    def test_refuses_examples_longer_than_the_context(self):
        with pytest.raises(ValueError, match="digits: an example of 34 tokens, allowed are up to context = 33"):
            Addition((1, 4), context=33)
        assert ADDITION.check_fits("x", 64) is None
        with pytest.raises(ValueError, match="length: an example of 70 tokens"):
            ADDITION.evaluation(10)

    @pytest.mark.parametrize("digits", [(0, 3), (3, 2)])
    def test_refuses_digits_that_are_no_range(self, digits):
        with pytest.raises(ValueError, match="digits: got"):
            Addition(digits)

    @pytest.mark.parametrize("hints", ["abcdea", "abcde+", "abcde7", "abcde>"])
    def test_refuses_hints_that_mean_something_else(self, hints):
        with pytest.raises(ValueError, match="hints: got"):
            Addition((1, 4), hints=hints)

    def test_refuses_too_few_pairs_and_lengths_below_one(self):
        with pytest.raises(ValueError, match="pairs: got 2"):
            Addition(pairs=2)
        with pytest.raises(ValueError, match="length: got"):
            ADDITION.evaluation(0)


@TASKS
class TestPacking:
    def test_rows_are_consecutive_examples_of_the_task(self, task):
        rows = task.pack(60, Seeds(1))
        assert rows.inputs.shape == rows.targets.shape == (60, task.context)
        check = counted if isinstance(task, Count) else added
        for inputs, targets in zip(rows.inputs, rows.targets, strict=True):
            for ids, _ in row_examples(inputs, targets)[:-1]:
                assert ids[-1] == END
                check(task.tokens.decode(ids))

    def test_supervised_tokens_are_the_answers_of_complete_examples_and_their_ends(self, task):
        """Sum of (L + 1) over complete packed examples."""
        rows = task.pack(60, Seeds(2))
        expected = 0
        for inputs, targets in zip(rows.inputs, rows.targets, strict=True):
            where = np.full(task.context, IGNORED)
            for ids, start in row_examples(inputs, targets):
                if ids[-1] == END:  # complete, else the row's end has cut it off
                    first = ids.index(ANSWER) + 1
                    where[start + first - 1 : start + len(ids) - 1] = ids[first:]
                    expected += len(ids) - first
            assert targets.tolist() == where.tolist()
        assert int((rows.targets != IGNORED).sum()) == expected

    def test_no_gradient_reaches_from_prompts(self, task):
        rows = task.pack(4, Seeds(3))
        logits = torch.randn(4, task.context, len(task.tokens), generator=Seeds(4).torch(), requires_grad=True)
        loss = F.cross_entropy(logits.flatten(0, 1), rows.targets.flatten(), ignore_index=IGNORED)
        (slope,) = torch.autograd.grad(loss, logits)
        assert torch.equal(slope.abs().sum(-1) > 0, rows.targets != IGNORED)

    def test_all_positions_are_learned_from(self, task):
        """Positions run on over a row: later ones are seen in training too."""
        learned = (task.pack(2000, Seeds(5)).targets != IGNORED).any(0)
        shortest = int(task.examples(500, Seeds(6).numpy()).prompts.min())
        assert learned[shortest - 1 : -6].all()  # sizes of additions are even, so not all of a row's last places end one
        assert not learned[: shortest - 1].any()

    def test_same_seed_same_rows(self, task):
        one, same, other = (task.pack(20, Seeds(seed)) for seed in (7, 7, 8))
        assert torch.equal(one.inputs, same.inputs)
        assert torch.equal(one.targets, same.targets)
        assert not torch.equal(one.inputs, other.inputs)

    def test_exams_are_aligned_like_packed_rows(self, task):
        exam = task.evaluation(4)
        for inputs, targets in zip(exam.inputs[:20], exam.targets[:20], strict=True):
            asked = (targets != IGNORED).nonzero()[:, 0]
            assert inputs[asked[0]] == ANSWER
            assert targets[asked[-1]] == END
            assert torch.equal(targets[asked[:-1]], inputs[asked[1:]])
            assert len(asked) == asked[-1] - asked[0] + 1

    def test_an_example_is_one_of_the_task(self, task):
        text = task.example(Seeds(9).numpy())
        (counted if isinstance(task, Count) else added)(text)

    def test_refuses_no_rows(self, task):
        with pytest.raises(ValueError, match="rows: got 0"):
            task.pack(0, Seeds(0))
