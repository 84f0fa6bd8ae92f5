"""A judge that is trained on nothing: which of two word lists a text draws on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from lib.data import load
from lib.language.cleaning import words

SURE = 1.0  # the least mean rating, away from 0, of a word that counts as positive or negative

# The suite's own lists. They hold markers of the style and no word of the generated grammar's content.
_ARCHAIC = (
    "thou thee thy thine ye hath doth saith unto art wilt shalt hast didst canst hadst dost spake sware brake bare begat "
    "wherefore thereof whither hither thither nay yea verily lo nigh wroth thereon therein whosoever betwixt twain wist",
    "you your yours has does says isn't don't didn't can't won't wasn't couldn't will therefore until "
    "anyone everyone between toward while also who became",
)
_POLITE = (
    "please kindly thanks thank grateful could would mind appreciate welcome sorry pardon",
    "just already argue told must job c'mon wait better again order now shut",
)
_FORMAL = (
    "is will not am are have however therefore moreover furthermore very quite rather convenient possible aware "
    "regarding good day cannot",
    "hey yeah ok guys kinda gonna gotta wanna super cool sec c'mon it's that's don't i'm you'd you've you're isn't can't stuff",
)


@dataclass(frozen=True)
class LexiconScorer:
    """Hits on the positive list as a share of the hits on both; 0.5 where a text has no hit."""

    positive: frozenset[str]
    negative: frozenset[str]

    def __post_init__(self) -> None:
        if not self.positive or not self.negative or self.positive & self.negative:
            raise ValueError(
                f"lexicon: got {len(self.positive)} positive and {len(self.negative)} negative words with "
                f"{sorted(self.positive & self.negative)[:5]} in both, allowed are two lists that share no word"
            )

    def score(self, texts: Sequence[str]) -> Float64[np.ndarray, " n"]:
        """The positive share of each text's hits (ValueError where there is no text)."""
        if isinstance(texts, str) or not len(texts):
            raise ValueError(f"texts: got {texts!r}, allowed is a sequence of at least one text")
        return np.array([self._share(words(text)) for text in texts])

    def _share(self, said: list[str]) -> float:
        for_, against = (sum(word in side for word in said) for side in (self.positive, self.negative))
        return for_ / (for_ + against) if for_ + against else 0.5


def sentiment_lexicon() -> LexiconScorer:
    """The words of VADER [hutto2014] that people rated at least 1 away from neutral."""
    rated = load("vader-lexicon")
    valences = [(token, valence) for token, valence in zip(rated["text"][:], rated["valence"][:], strict=True) if token.isalpha()]
    sides = ({token for token, valence in valences if sign * valence >= SURE} for sign in (1, -1))
    return LexiconScorer(*map(frozenset, sides))


def lexicon_for(attribute: str) -> LexiconScorer:
    """The lexicon judge of an attribute (ValueError where there is none: critic and simplicity are no matter of single words)."""
    kind = attribute.removeprefix("generated-").removesuffix("-formal")
    if kind in ("sentiment", "tweet-sentiment"):
        return sentiment_lexicon()
    lists = {"archaic": _ARCHAIC, "politeness": _POLITE, "formality": _FORMAL}
    if kind not in lists:
        raise ValueError(f"attribute: got {attribute!r}, allowed are sentiment, {', '.join(lists)}, also as generated ones")
    return LexiconScorer(*(frozenset(side.split()) for side in lists[kind]))
