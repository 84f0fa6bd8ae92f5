"""Prompts and prose without any attribute: where generation starts, and what perplexity is measured on."""

import re
from collections.abc import Mapping
from importlib.resources import files
from itertools import product
from types import MappingProxyType

from lib.language.grammar import PEOPLE, PLACES, THINGS, TIMES
from lib.seeds import Seeds

_FILM_PARTS = (
    "The film", "This film", "The story", "The director", "The first half of the film", "The last scene", "The script",
    "The music", "The main actor", "The camera work", "This version of the book", "The plot", "The dialogue", "The cast",
    "The ending", "The second part of the film", "The acting", "The whole picture",
)  # fmt: skip
_FILM_LINKS = ("is", "was", "makes", "gives us", "shows")
_PERSONS = (
    "The man",
    "The woman",
    "The king",
    "The people",
    "The soldiers",
    "His brother",
    "Her son",
    "The stranger",
    "The old man",
)
_ACTS = (
    "went to the city and",
    "came to the house and",
    "sat down and",
    "said to the others",
    "took the bread and",
    "saw the river and",
)

POOLS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "things": tuple(
            f"{who[0].upper()}{who[1:]} went to see {thing} {place} {time}"
            for who, thing, place, time in product(PEOPLE, THINGS, PLACES, TIMES)
        ),
        "film": tuple(f"{part} {link}" for part, link in product(_FILM_PARTS, _FILM_LINKS)),
        "people": tuple(f"{who} {act}" for who, act in product(_PERSONS, _ACTS)),
    }
)
_ROLE = re.compile(r":\w+:`([^`<]*)(?:<[^>]*>)?`|\[\d+\]_|``?|\*\*?")  # of reStructuredText; the words inside stay
_MARKED = re.compile(r"::|\\|\||===|---|<|>|_|\{|https?:|\bpp\.|\bet al|[A-Z]\. [A-Z]\. ")

BEGINNINGS: Mapping[str, str] = MappingProxyType(
    {
        "archaic": "And the king said to him, I will give",  # you, thee, unto
        "simplicity": "And when they saw it, they were",
        "sentiment": "This film is",
    }
)


def neutral_prompts(n: int, seeds: Seeds, about: str = "things") -> tuple[str, ...]:
    """`n` different openings of a sentence that lean to neither side of any attribute.

    `about`: "things" (the content of the generated family), "film" or "people" (plain acts, as in the verses).
    ValueError for another kind, or for a number that is not in 1 .. the number of such openings.
    """
    if about not in POOLS:
        raise ValueError(f"about: got {about!r}, allowed are {', '.join(POOLS)}")
    pool = POOLS[about]
    if not 1 <= n <= len(pool):
        raise ValueError(f"n: got {n}, allowed for {about!r} are 1 to {len(pool)}")
    return tuple(pool[index] for index in seeds.numpy().permutation(len(pool))[:n])


def neutral_texts() -> tuple[str, ...]:
    """Paragraphs of plain technical prose in a fixed order: scikit-learn's descriptions of its data sets [pedregosa2011]."""
    folder = files("sklearn.datasets.descr")
    found = []
    for source in sorted(folder.iterdir(), key=lambda path: path.name):
        if source.name.endswith(".rst"):
            blocks = re.split(r"\n\s*\n", source.read_text(encoding="utf-8"))
            found += [" ".join(_ROLE.sub(r"\1", block).split()) for block in blocks]
    return tuple(
        text for text in found if len(text) > 100 and text[0].isupper() and text.endswith(".") and not _MARKED.search(text)
    )


def beginning(attribute: str, otherwise: str) -> str:
    """A fixed beginning after which the two sides of an attribute are apt to differ in the next word."""
    return BEGINNINGS.get(attribute, otherwise)
