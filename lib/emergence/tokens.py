"""Words and their numbers: four special tokens that all tasks share, then the task's own."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int64

SPECIALS = ("$", ">", ".", "*")
START, ANSWER, END, PAD = range(len(SPECIALS))


@dataclass(frozen=True)
class Tokens:
    """Words in the order of their ids: $ (start), > (answer), . (end), * (pad), then the `own` ones of a task.

    Errors: ValueError for a word that stands twice, is empty or holds a space.
    """

    own: tuple[str, ...]

    def __post_init__(self) -> None:
        seen = set()
        for word in self.words:
            if word in seen or word.split() != [word]:
                raise ValueError(f"own: got {word!r}, allowed are different words without spaces, none of {' '.join(SPECIALS)}")
            seen.add(word)

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """All words; a word's place is its id."""
        return SPECIALS + self.own

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word -> id."""
        return {word: i for i, word in enumerate(self.words)}

    def encode(self, text: str) -> Int64[np.ndarray, "t"]:
        """Ids of a text's words, which spaces separate. Errors: ValueError for a word that is no token."""
        words = text.split()
        for word in words:
            if word not in self.ids:
                raise ValueError(f"text: got the word {word!r}, allowed are {' '.join(self.words)}")
        return np.array([self.ids[word] for word in words], dtype=np.int64)

    def decode(self, ids: Iterable[int | np.integer]) -> str:
        """The text of some ids. Errors: ValueError for an id out of range."""
        ids = [int(i) for i in ids]
        for i in ids:
            if not 0 <= i < len(self):
                raise ValueError(f"ids: got {i}, allowed are 0 to {len(self) - 1}")
        return " ".join(self.words[i] for i in ids)
