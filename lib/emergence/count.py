"""Counting: given two numbers, write all from the first to the second, one token each."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64

from lib.emergence.tasks import Examples, Rows, Task, check_range, exam
from lib.emergence.tokens import ANSWER, END, PAD, SPECIALS, START, Tokens

PROMPT = 4  # $ lo hi >


@dataclass(frozen=True)
class Count(Task):
    """`$ 3 6 > 3 4 5 6 .` with the numbers 0 to V - 1 [zhao2025]; an example's length L is that of its answer.

    Training draws L uniformly from `lengths` (first and last), then lo uniformly from 0..V - L, so that all numbers occur
    though long spans do not. An example has L + 5 tokens.
    Errors: ValueError for lengths that are no range from 1 to at most V = `numbers`, and for examples longer than `context`.
    """

    numbers: int = 16
    lengths: tuple[int, int] = (1, 6)
    context: int = 32

    def __post_init__(self) -> None:
        check_range("lengths", self.lengths)
        self._check_length("lengths", self.lengths[1])

    @cached_property
    def tokens(self) -> Tokens:
        """The specials, then the numbers."""
        return Tokens(tuple(str(i) for i in range(self.numbers)))

    def examples(self, count: int, rng: np.random.Generator) -> Examples:
        """`count` examples of the training lengths."""
        lengths = rng.integers(self.lengths[0], self.lengths[1] + 1, count)
        return _laid_out(rng.integers(0, self.numbers - lengths + 1), lengths)

    def evaluation(self, length: int) -> Rows:
        """All V - L + 1 pairs of one length, in the order of lo. ValueError for a length outside 1..V, or too long a context."""
        self._check_length("length", length)
        lo = np.arange(self.numbers - length + 1)
        return exam(_laid_out(lo, np.full_like(lo, length)))

    def write(self, lo: int, hi: int) -> str:
        """The example from lo to hi as text. ValueError for lo > hi, numbers outside 0..V - 1, and too long an example."""
        if lo > hi:
            raise ValueError(f"lo: got {lo} with hi = {hi}, allowed is lo <= hi")
        if lo < 0 or hi >= self.numbers:
            raise ValueError(f"lo, hi: got {lo} and {hi}, allowed are 0 to {self.numbers - 1}")
        self.check_fits("hi", hi - lo + 1 + PROMPT + 1)
        return self.tokens.decode(_laid_out(np.array([lo]), np.array([hi - lo + 1])).tokens[0])

    def _check_length(self, name: str, length: int) -> None:
        if not 1 <= length <= self.numbers:
            raise ValueError(f"{name}: got length {length}, allowed are 1 to numbers = {self.numbers}")
        self.check_fits(name, length + PROMPT + 1)


def _laid_out(lo: Int64[np.ndarray, "n"], lengths: Int64[np.ndarray, "n"]) -> Examples:
    longest = lengths.max(initial=0)
    tokens = np.full((len(lo), longest + PROMPT + 1), PAD)
    hi = lo + lengths - 1
    tokens[:, 0], tokens[:, PROMPT - 1] = START, ANSWER
    tokens[:, 1], tokens[:, 2] = lo + len(SPECIALS), hi + len(SPECIALS)
    steps = np.arange(longest)
    answer = (lo + len(SPECIALS))[:, None] + steps
    tokens[:, PROMPT:-1] = np.where(steps < lengths[:, None], answer, PAD)
    tokens[np.arange(len(lo)), PROMPT + lengths] = END
    return Examples(tokens, np.full(len(lo), PROMPT), lengths + PROMPT + 1)
