"""Running text, sign by sign, and four-choice questions about how it goes on.

A question is one row: its choices, each behind its capital letter, then a passage of real text, then the letter of the sign that
stands next in that text, such as `|AeBtCoDn=and god sai>D` would be for "and god sain". Text is lower case, so capitals are
letters of choices alone. The paper's questions put the choices last [zhao2025]; here they come first, so that a network of two
layers can hold its own guess, where the passage ends, against them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64

from lib.emergence.checks import check_least
from lib.emergence.tasks import Rows, aligned
from lib.seeds import Seeds

SIGNS = " ',.:;?abcdefghijklmnopqrstuvwxyz"
LETTERS = "ABCD"
CHOICES, PASSAGE, ANSWER = "|=>"
VOCABULARY = SIGNS + LETTERS + CHOICES + PASSAGE + ANSWER
CHANCE = 1 / len(LETTERS)
FIRST_LETTER = len(SIGNS)
FRAME = 2 * len(LETTERS) + 4  # tokens of a question besides its passage: letters and choices, three marks, the answer
HELD_OUT = 0.1
LEAST_SIGNS = 1000  # of text in either part

Signs = Int64[np.ndarray, "_"]
Asked = Int64[np.ndarray, "q W"]

_ID = {sign: number for number, sign in enumerate(VOCABULARY)}


def encode(text: str) -> Signs:
    """Numbers of the signs. ValueError for one outside of VOCABULARY."""
    if strange := set(text) - set(VOCABULARY):
        raise ValueError(f"text: got the sign {min(strange)!r}, allowed are {VOCABULARY!r}")
    return np.array([_ID[sign] for sign in text], dtype=np.int64)


def decode(numbers: Sequence[int] | Int64[np.ndarray, "t"]) -> str:
    """The text of some numbers."""
    return "".join(VOCABULARY[number] for number in numbers)


def plain(text: str) -> str:
    """Lower case, with a single space for whatever is not in SIGNS."""
    return re.sub(r" +", " ", re.sub(rf"[^{re.escape(SIGNS)}]", " ", text.lower())).strip()


@dataclass(frozen=True, eq=False)
class Corpus:
    """Numbers of a text's signs: what is trained on, and its end, `held`, which no training row touches."""

    train: Signs
    held: Signs


def corpus_of(lines: Sequence[str]) -> Corpus:
    """Lines in their order, as one text; the last tenth of the lines is held out. ValueError for too little text."""
    cut = round(len(lines) * (1 - HELD_OUT))
    parts = [encode(plain(" ".join(part))) for part in (lines[:cut], lines[cut:])]
    for name, part in zip(("training", "held out"), parts, strict=True):
        if len(part) < LEAST_SIGNS:
            raise ValueError(f"text: got {len(part)} signs for {name}, allowed are {LEAST_SIGNS} or more")
    return Corpus(*parts)


def windows(signs: Signs, count: int, size: int, rng: np.random.Generator) -> Int64[np.ndarray, "count size"]:
    """Stretches of running text from random places. ValueError for a text that has none so long."""
    if len(signs) < size:
        raise ValueError(f"text: got {len(signs)} signs, allowed are {size} or more, the tokens in a row")
    return signs[rng.integers(0, len(signs) - size + 1, count)[:, None] + np.arange(size)]


def ask(signs: Signs, count: int, passage: int, rng: np.random.Generator) -> Asked:
    """Questions [count, passage + FRAME] at random places, with the answer as the last token.

    The right choice is the sign that follows the passage in the text; the other three are different signs, all equally likely.
    Each letter is right equally often, in random order: networks that always say the same one would otherwise be told apart by
    it, and form clusters of their own around chance. Errors: ValueError for a passage below 1 sign, and for too little text.
    """
    check_least(passage=(passage, 1))
    texts = windows(signs, count, passage + 1, rng)
    every = np.arange(count)
    right, place = texts[:, -1], rng.permutation(every % len(LETTERS))
    order = rng.random((count, len(SIGNS)))
    order[every, right] = np.inf  # last of all
    choices = order.argsort(1)[:, : len(LETTERS)]
    choices[every, place] = right
    listed = np.empty((count, 2 * len(LETTERS)), dtype=np.int64)
    listed[:, ::2], listed[:, 1::2] = FIRST_LETTER + np.arange(len(LETTERS)), choices
    mark = {sign: np.full((count, 1), _ID[sign]) for sign in (CHOICES, PASSAGE, ANSWER)}
    return np.hstack([mark[CHOICES], listed, mark[PASSAGE], texts[:, :-1], mark[ANSWER], (FIRST_LETTER + place)[:, None]])


def mixture(corpus: Corpus, share: float, rows: int, passage: int, weight: float, seeds: Seeds) -> Rows:
    """`rows` training rows: round(share * rows) questions, the others running text of the same length.

    Of a question the answer's letter alone carries a loss, as its wrong choices are random; of running text each sign, with
    probability `weight`: as a batch's loss is a mean over its targets, that is what a sign counts beside an answer.
    Errors: ValueError for a share outside 0..1, a weight outside (0, 1], fewer than one row, and as in `ask` and `windows`.
    """
    check_least(rows=(rows, 1))
    if not 0 <= share <= 1:
        raise ValueError(f"share: got {share}, allowed is 0 <= share <= 1")
    if not 0 < weight <= 1:
        raise ValueError(f"weight: got {weight}, allowed is 0 < weight <= 1")
    asked = ask(corpus.train, round(share * rows), passage, seeds.child("questions").numpy())
    read = windows(corpus.train, rows - len(asked), asked.shape[1], seeds.child("text").numpy())
    learned = np.zeros((rows, asked.shape[1]), dtype=bool)
    learned[: len(asked), -1] = True
    learned[len(asked) :] = seeds.child("weight").numpy().random(read.shape) < weight
    return aligned(np.vstack([asked, read]), learned)


@dataclass(frozen=True, eq=False)
class Exams:
    """Held-out `questions` (targets: letters alone) and held-out running `text` (targets: every sign)."""

    questions: Rows
    text: Rows


def exams_of(corpus: Corpus, questions: int, passage: int, seeds: Seeds) -> Exams:
    """`questions` held-out questions and as many held-out rows of text. ValueError for fewer than one."""
    check_least(questions=(questions, 1))
    asked = ask(corpus.held, questions, passage, seeds.child("questions").numpy())
    read = windows(corpus.held, questions, asked.shape[1], seeds.child("text").numpy())
    last = np.zeros(asked.shape, dtype=bool)
    last[:, -1] = True
    return Exams(aligned(asked, last), aligned(read, np.ones(read.shape, dtype=bool)))


def commonest(corpus: Corpus, questions: Rows) -> float:
    """Accuracy of always choosing the sign that is commonest in the training text, without a look at the passage."""
    often = np.bincount(corpus.train, minlength=len(SIGNS))
    choices = questions.inputs[:, 2 : 2 * len(LETTERS) + 1 : 2].numpy()
    right = questions.targets[:, -1].numpy() - FIRST_LETTER
    return float((often[choices].argmax(1) == right).mean())


def letter_odds(logits: torch.Tensor) -> Float64[torch.Tensor, "K q 4"]:
    """Log-probabilities of the four letters among themselves at the last place, of logits [K, q, T, V]."""
    return logits[:, :, -1, FIRST_LETTER : FIRST_LETTER + len(LETTERS)].double().log_softmax(-1)
