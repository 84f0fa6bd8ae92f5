"""What a task is: examples of a prompt and an answer, packed into rows for training or laid out one by one for an exam.

Rows are aligned for next-token prediction here and nowhere else: `targets[t]` is the token after `inputs[t]`, or IGNORED where it
carries no loss. Only answers and their end are targets; prompts are random, and learning them would only add noise.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from lib.emergence.tokens import PAD, Tokens
from lib.population import IGNORED
from lib.seeds import Seeds


@dataclass(frozen=True, eq=False)
class Rows:
    """`inputs` [n, T] and `targets` [n, T], IGNORED where no loss is."""

    inputs: Int64[Tensor, "n T"]
    targets: Int64[Tensor, "n T"]


@dataclass(frozen=True, eq=False)
class Examples:
    """n examples: `tokens` [n, W], padded behind; how many of them are `prompts` (up to the answer sign) and `sizes` (all)."""

    tokens: Int64[np.ndarray, "n W"]
    prompts: Int64[np.ndarray, "n"]
    sizes: Int64[np.ndarray, "n"]

    @property
    def answers(self) -> Bool[np.ndarray, "n W"]:
        """Where the answer's tokens stand, the end among them."""
        at = np.arange(self.tokens.shape[1])
        return (at >= self.prompts[:, None]) & (at < self.sizes[:, None])


class Task(ABC):
    """A generator of examples, and how they become rows of `context` tokens."""

    context: int

    @property
    @abstractmethod
    def tokens(self) -> Tokens:
        """The task's vocabulary."""

    @abstractmethod
    def examples(self, count: int, rng: np.random.Generator) -> Examples:
        """`count` examples drawn from the training distribution."""

    @abstractmethod
    def evaluation(self, length: int) -> Rows:
        """The exam at one length: an example in each row."""

    def example(self, rng: np.random.Generator) -> str:
        """One training example as text."""
        drawn = self.examples(1, rng)
        return self.tokens.decode(drawn.tokens[0, : drawn.sizes[0]])

    def pack(self, rows: int, seeds: Seeds) -> Rows:
        """Training rows, T = `context`: consecutive examples from a row's start to its end, positions running on [zhao2025].

        Packing is what shows all positions in training. The example that the row's end cuts off carries no loss at all.
        A row is context + 1 tokens long, so that each of its `context` inputs has a next token.
        Errors: ValueError for fewer than one row.
        """
        if rows < 1:
            raise ValueError(f"rows: got {rows}, allowed are whole numbers >= 1")
        rng, width = seeds.numpy(), self.context + 1
        tokens, learned = np.full((rows, width), PAD), np.zeros((rows, width), dtype=bool)
        filled, unfinished = np.zeros(rows, dtype=np.int64), np.arange(rows)
        while len(unfinished):
            drawn, start = self.examples(len(unfinished), rng), filled[unfinished]
            complete = start + drawn.sizes <= width
            at = start[:, None] + np.arange(drawn.tokens.shape[1])
            example, place = np.nonzero((at < width) & (np.arange(at.shape[1]) < drawn.sizes[:, None]))
            where = unfinished[example], at[example, place]
            tokens[where] = drawn.tokens[example, place]
            learned[where] = (drawn.answers & complete[:, None])[example, place]
            filled[unfinished] += drawn.sizes
            unfinished = unfinished[filled[unfinished] < width]
        return aligned(tokens, learned)

    def check_fits(self, name: str, size: int) -> None:
        """ValueError for an example with more tokens than the context."""
        if size > self.context:
            raise ValueError(f"{name}: an example of {size} tokens, allowed are up to context = {self.context}")


def exam(examples: Examples) -> Rows:
    """One example a row, T = tokens of the longest less one; padding behind shorter ones is no target."""
    return aligned(examples.tokens, examples.answers)


def aligned(tokens: Int64[np.ndarray, "n W"], learned: Bool[np.ndarray, "n W"]) -> Rows:
    """Inputs and next-token targets, T = W - 1, of rows whose `learned` tokens are to be predicted."""
    targets = np.where(learned, tokens, IGNORED)[:, 1:]
    return Rows(torch.from_numpy(tokens[:, :-1].copy()), torch.from_numpy(targets.copy()))


def check_range(name: str, bounds: tuple[int, int]) -> None:
    """ValueError for a first bound below 1 or a second below the first."""
    if not 1 <= bounds[0] <= bounds[1]:
        raise ValueError(f"{name}: got {bounds}, allowed are two whole numbers with 1 <= first <= second")
