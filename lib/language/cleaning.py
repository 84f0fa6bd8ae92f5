"""Text as a style study wants it: no marks of where it came from, no text twice, sentences of one line."""

import html
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import spmatrix
from sklearn.feature_extraction.text import CountVectorizer

SHORTEST, LONGEST = 20, 300  # characters of a text that is kept

_QUOTES = str.maketrans(dict.fromkeys("‘’`´", "'") | dict.fromkeys("“”«»„", '"'))
_GONE = re.compile(r"<[^<>]*>|https?://\S+|www\.\S+|\bRT\b|[@#]\w+|[\[\]*_|~^\\]")
_BEFORE = re.compile(r"\s+([.,;:!?%)]|n't\b|'(?:s|re|ve|ll|d|m)\b)")
_AFTER = re.compile(r"([($])\s+")
_REPEATED = re.compile(r"([.!?,])(?:\s*\1)+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z0-9])")
_WORD = r"[a-z][a-z'-]*"


def clean(text: str) -> str:
    """One line of plain prose: without mark-up, links, handles, hashtags, stray signs and the spaces of a tokeniser.

    Two passes of HTML entities are undone, characters of code page 1252 that were read as control characters are repaired,
    quotation marks become straight ones, the first letter becomes a capital, and an end without . ! or ? gets a full stop.
    """
    text = html.unescape(html.unescape(text)).translate(_QUOTES)
    text = re.sub(r"[\x80-\x9f]", lambda sign: bytes([ord(sign[0])]).decode("cp1252", "ignore"), text).translate(_QUOTES)
    text = " ".join(_GONE.sub(" ", text).split())
    text = _REPEATED.sub(r"\1", _AFTER.sub(r"\1", _BEFORE.sub(r"\1", text)))
    text = text.lstrip(" -–—.,:;!?\"'").rstrip(" -–—,:;\"'")
    end = "" if not text or text.endswith((".", "!", "?")) else "."
    return text[:1].upper() + text[1:] + end


def sentences(text: str) -> list[str]:
    """The sentences of a cleaned text, cut after . ! ? before a capital or a digit."""
    return _SENTENCE.split(text)


def usable(text: str) -> bool:
    """Whether a cleaned text has 20 to 300 characters, at least four words, and nearly only letters of English."""
    plain = sum(sign.isascii() and (sign.isalpha() or sign == " ") for sign in text)
    return SHORTEST <= len(text) <= LONGEST and len(text.split()) >= 4 and plain >= 0.85 * len(text)


def words(text: str) -> list[str]:
    """The lower-case words of a text, with inner apostrophes and hyphens."""
    return re.findall(_WORD, text.lower())


def repeats(texts: Sequence[str], threshold: float = 0.5) -> Bool[np.ndarray, " n"]:
    """Which texts are (nearly) the same as an earlier one.

    Two texts are near-duplicates when their sets S, T of words and word pairs have |S & T| / |S | T| >= `threshold`, and
    share at least one word or pair that is not among the commonest (in over 0.5 percent of the texts).
    """
    count = CountVectorizer(ngram_range=(1, 2), tokenizer=words, token_pattern=None, lowercase=False, binary=True, dtype=np.int32)
    table = count.fit_transform(texts).tocsr()
    common = _sums(table, 0) > max(20, len(texts) // 200)  # these would make the product of all texts dense
    rare, often = table[:, np.flatnonzero(~common)], table[:, np.flatnonzero(common)]
    size, often_size = _sums(table, 1), _sums(often, 1)
    found = np.zeros(len(texts), dtype=bool)
    for start in range(0, len(texts), 1000):
        block = (rare[start : start + 1000] @ rare.T).tocoo()
        later, earlier, shared = block.row + start, block.col, block.data
        least = threshold / (1 + threshold) * (size[later] + size[earlier])  # of |S & T|
        able = (earlier < later) & (shared + np.minimum(often_size[later], often_size[earlier]) >= least)
        later, earlier, shared, least = later[able], earlier[able], shared[able], least[able]
        found[later[shared + _sums(often[later].multiply(often[earlier]), 1) >= least]] = True
    return found


def _sums(table: spmatrix, axis: int) -> Int[np.ndarray, " n"]:
    return np.asarray(table.sum(axis=axis)).ravel()
