"""Two sides of texts that differ in the attribute and not in topic or length.

Topic words are the commonest words that are neither function words nor in the attribute's own lexicon. A logistic model
of the label on them and on the length gives each text its propensity [rosenbaum1983]; equally many texts of both sides are
kept in each stratum of it. How well topic and length alone still tell the label is measured before and after.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from lib.language.cleaning import words
from lib.seeds import Seeds


def topic_words(texts: Sequence[str], lexicon: Collection[str], n: int = 200) -> list[str]:
    """The `n` words in most texts that are no function words, no parts of contractions and not in `lexicon`."""
    own = set(lexicon) | ENGLISH_STOP_WORDS
    count = CountVectorizer(tokenizer=words, token_pattern=None, lowercase=False, binary=True)
    frequency = np.asarray(count.fit_transform(texts).sum(axis=0)).ravel()
    names = count.get_feature_names_out()
    ranked = [str(names[index]) for index in np.lexsort((names, -frequency))]
    return [word for word in ranked if word not in own and "'" not in word and len(word) > 2][:n]


@dataclass(frozen=True)
class Match:
    """Which texts were kept (indices, ascending), and the share of labels that topic words and length alone tell.

    `before` and `after` matching, out of fold, mean of both sides: 0.5 where they tell nothing.
    """

    kept: Int[np.ndarray, " m"]
    before: float
    after: float


def match(
    texts: Sequence[str], labels: Int[np.ndarray, " n"], vocabulary: Sequence[str], seeds: Seeds, strata: int = 20
) -> Match:
    """Equally many texts of both labels in each stratum of the propensity given topic words and length."""
    covariates = _covariates(texts, vocabulary)
    chance = _propensities(covariates, labels, seeds.child("before"))
    stratum = np.searchsorted(np.quantile(chance, np.linspace(0, 1, strata + 1)[1:-1]), chance)
    rng = seeds.child("strata").numpy()
    kept = []
    for level in range(strata):
        sides = [rng.permutation(np.flatnonzero((stratum == level) & (labels == side))) for side in (0, 1)]
        smaller = min(map(len, sides))
        kept += [side[:smaller] for side in sides]
    kept = np.sort(np.concatenate(kept))
    again = _propensities(covariates[kept], labels[kept], seeds.child("after"))
    return Match(kept, _told(chance, labels), _told(again, labels[kept]))


def _covariates(texts: Sequence[str], vocabulary: Sequence[str]) -> Float64[np.ndarray, "n p"]:
    """Topic words (0 or 1) and the length: standardised log of the characters, and its square."""
    topics = CountVectorizer(vocabulary=list(vocabulary), tokenizer=words, token_pattern=None, lowercase=False, binary=True)
    length = np.log([len(text) for text in texts])
    length = (length - length.mean()) / max(float(length.std()), 1e-9)
    return np.column_stack([topics.transform(texts).toarray(), length, length**2])


def _propensities(
    covariates: Float64[np.ndarray, "n p"], labels: Int[np.ndarray, " n"], seeds: Seeds
) -> Float64[np.ndarray, " n"]:
    """Cross-fitted probability of label 1: a text is never in its own model's data."""
    folds = StratifiedKFold(5, shuffle=True, random_state=seeds.integer() % 2**32)
    model = LogisticRegression(C=0.3, solver="newton-cholesky")
    return cross_val_predict(model, covariates, labels, cv=folds, method="predict_proba")[:, 1]


def _told(chance: Float64[np.ndarray, " n"], labels: Int[np.ndarray, " n"]) -> float:
    cut = float(np.mean(labels))  # the side that is more likely than its share
    return float(np.mean([np.mean((chance > cut)[labels == side] == side) for side in (0, 1)]))
