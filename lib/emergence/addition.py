"""Addition, answered from the least significant digit, with a letter before every digit that says which place it is."""

from dataclasses import dataclass
from functools import cached_property
from string import ascii_letters, digits
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from lib.emergence.tasks import Examples, Rows, Task, check_range, exam
from lib.emergence.tokens import ANSWER, END, PAD, SPECIALS, START, Tokens
from lib.seeds import Seeds

PLUS = len(SPECIALS)
ZERO = PLUS + 1  # the digits' tokens follow each other, then the hints
FIRST_HINT = ZERO + len(digits)
CARRIES = 3  # pairs of an exam in which every place carries

Counts = Int64[np.ndarray, "n"]


class Numbers(NamedTuple):
    """n numbers as digits `places` [n, W], units first, and how many of them are written, `counts` [n]."""

    places: Int64[np.ndarray, "n W"]
    counts: Counts


@dataclass(frozen=True)
class Addition(Task):
    """`$ a 0 b 4 c 7 + a 0 b 2 c 5 > c 2 b 7 a 0 .` is 47 + 25 = 72 [zhao2025]; equal letters mean equal places [zhou2024].

    The letters of an example are consecutive `hints` from a random start, the first for the most significant place. `padded`:
    operands and sum get leading zeros to a common width, one more than the longer operand's digits, so that a carry fits;
    else all three are written without leading zeros, as the paper prints them: `$ a 4 b 7 + a 2 b 5 > b 2 a 7 .`
    Training (ours): the longer operand's number of digits is uniform over `digits` (first and last), the other's uniform from 1
    to that, either may come first. Exams have `pairs` examples.
    Errors: ValueError for digits that are no range, hints that don't reach, too few pairs, examples longer than `context`.
    """

    digits: tuple[int, int] = (1, 4)
    context: int = 64
    hints: str = ascii_letters
    padded: bool = True
    pairs: int = 256

    def __post_init__(self) -> None:
        check_range("digits", self.digits)
        if len(set(self.hints)) < len(self.hints) or set(self.hints) & {"+", *digits, *SPECIALS}:
            raise ValueError(f"hints: got {self.hints!r}, allowed are different characters, no digits and none of +$>.*")
        if self.pairs < CARRIES:
            raise ValueError(f"pairs: got {self.pairs}, allowed are whole numbers >= {CARRIES}")
        self._check_digits("digits", self.digits[1])

    @cached_property
    def tokens(self) -> Tokens:
        """The specials, plus, digits, hints."""
        return Tokens(("+", *digits, *self.hints))

    def examples(self, count: int, rng: np.random.Generator) -> Examples:
        """`count` examples of the training lengths."""
        return self._examples(*_pairs(rng.integers(self.digits[0], self.digits[1] + 1, count), rng), rng)

    def evaluation(self, length: int) -> Rows:
        """`pairs` examples whose longer operand has `length` digits: three in which every place carries, the rest drawn.

        The three are 9...9 + 1, 1 + 9...9 and 9...9 + 9...9. Equal tasks get equal samples, whatever the seeds.
        Errors: ValueError for a length below 1, hints that don't reach, and examples longer than the context.
        """
        check_range("length", (length, length))
        self._check_digits("length", length)
        rng = Seeds(0).child("addition exam", length).numpy()
        a, b = _pairs(np.full(self.pairs, length), rng)
        nines = 9 * (np.arange(length + 1) < length)
        one = np.arange(length + 1) == 0
        a.places[:CARRIES], b.places[:CARRIES] = (nines, one, nines), (one, nines, nines)
        a.counts[:CARRIES], b.counts[:CARRIES] = (length, 1, length), (1, length, length)
        return exam(self._examples(a, b, rng))

    def write(self, a: str, b: str, start: int = 0) -> str:
        """The example a + b with hints from number `start`, as text.

        Errors: ValueError for operands that are not made of digits, for hints that don't reach, and too long an example.
        """
        for name, operand in (("a", a), ("b", b)):
            if not (operand.isascii() and operand.isdecimal()):
                raise ValueError(f"{name}: got {operand!r}, allowed are the digits 0 to 9")
        width = max(len(a), len(b)) + 1
        self._check_digits("a, b", width - 1)
        left, right = (Numbers(np.array([_units_first(text, width)]), np.array([len(text)])) for text in (a, b))
        numbers = self._written(left, right)
        room = len(self.hints) - int(numbers[-1].counts[0])
        if not 0 <= start <= room:
            raise ValueError(f"start: got {start}, allowed are 0 to {room}, so that the {len(self.hints)} hints reach")
        return self.tokens.decode(_laid_out(*numbers, np.array([start])).tokens[0])

    def _examples(self, a: Numbers, b: Numbers, rng: np.random.Generator) -> Examples:
        """Pairs laid out, with random starts of their hints."""
        numbers = self._written(a, b)
        return _laid_out(*numbers, rng.integers(0, len(self.hints) - numbers[-1].counts + 1))

    def _written(self, a: Numbers, b: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Operands and sum, each with as many digits as are written."""
        total, longest = _sum(a.places, b.places), np.maximum(a.counts, b.counts)
        if self.padded:
            return Numbers(a.places, longest + 1), Numbers(b.places, longest + 1), Numbers(total, longest + 1)
        carry = np.take_along_axis(total, longest[:, None], axis=1)[:, 0]
        return a, b, Numbers(total, longest + carry)

    def _check_digits(self, name: str, longest: int) -> None:
        if longest + 1 > len(self.hints):
            raise ValueError(f"{name}: got {longest} digits, allowed are up to {len(self.hints) - 1}, one less than hints")
        self.check_fits(name, 6 * (longest + 1) + 4 * self.padded)


def _units_first(text: str, width: int) -> list[int]:
    return [int(digit) for digit in text.zfill(width)[::-1]]


def _pairs(longest: Counts, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Random operands; their places leave one free for the carry."""
    counts = np.stack([longest, rng.integers(1, longest + 1)])
    swapped = rng.random(len(longest)) < 0.5
    counts[:, swapped] = counts[::-1, swapped]
    a, b = (_numbers(count, int(longest.max(initial=0)) + 1, rng) for count in counts)
    return a, b


def _numbers(counts: Counts, width: int, rng: np.random.Generator) -> Numbers:
    """Random numbers with so many digits each: the first of several is not 0."""
    places = rng.integers(0, 10, (len(counts), width)) * (np.arange(width) < counts[:, None])
    several = np.flatnonzero(counts > 1)
    places[several, counts[several] - 1] = rng.integers(1, 10, len(several))
    return Numbers(places, counts)


def _sum(a: Int64[np.ndarray, "n W"], b: Int64[np.ndarray, "n W"]) -> Int64[np.ndarray, "n W"]:
    """Addition place by place; numbers may be longer than any integer type."""
    total = a + b
    for place in range(total.shape[1] - 1):
        total[:, place + 1] += total[:, place] // 10
        total[:, place] %= 10
    return total


def _laid_out(a: Numbers, b: Numbers, total: Numbers, start: Counts) -> Examples:
    """Tokens of the examples; hints run from number `start`, for the sum's first place, to its units."""
    plus = 1 + 2 * a.counts
    answer = plus + 1 + 2 * b.counts
    sizes = answer + 2 * total.counts + 2
    tokens, every = np.full((len(start), sizes.max(initial=0)), PAD), np.arange(len(start))
    for at, token in ((0, START), (plus, PLUS), (answer, ANSWER), (sizes - 1, END)):
        tokens[every, at] = token
    units = FIRST_HINT + start + total.counts - 1
    for number, first, step in ((a, plus - 2, -2), (b, answer - 2, -2), (total, answer + 1, 2)):
        row, place = np.nonzero(np.arange(number.places.shape[1]) < number.counts[:, None])
        at = first[row] + step * place  # from the units on: backwards in operands, forwards in the sum
        tokens[row, at] = units[row] - place
        tokens[row, at + 1] = ZERO + number.places[row, place]
    return Examples(tokens, answer + 1, sizes)
