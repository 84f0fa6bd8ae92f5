"""Judges of style: the probability that a text is of an attribute's positive side, by models that are not the language model.

A judge is given what a model added to a prompt, never the prompt. Two judges with nothing in common, sentence embeddings
and n-grams, are trained on the scorer's part; `lib.language.lexicon` adds one that is trained on nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import FeatureUnion

from lib.language.attributes import Sides
from lib.language.encoder import SentenceEncoder
from lib.seeds import Seeds


@runtime_checkable
class Scorer(Protocol):
    """A judge of texts."""

    def score(self, texts: Sequence[str]) -> Float64[np.ndarray, " n"]:
        """The probability in [0, 1] that each text is of the positive side (ValueError where there is no text)."""


@dataclass(frozen=True)
class EmbeddingScorer:
    """Logistic regression on sentence embeddings: P(positive) = 1 / (1 + exp(-(w e + b))), C chosen by cross-validation."""

    encoder: SentenceEncoder
    model: LogisticRegression

    @classmethod
    def fit(cls, encoder: SentenceEncoder, sides: Sides, seeds: Seeds) -> "EmbeddingScorer":
        """The judge trained on both sides (ValueError where one is empty or tiny)."""
        _check_sides(sides)
        return cls(encoder, _fitted(encoder.encode(sides.texts), sides, seeds, grid=(0.1, 1.0, 10.0, 100.0)))

    def score(self, texts: Sequence[str]) -> Float64[np.ndarray, " n"]:
        """The probability in [0, 1] that each text is of the positive side."""
        return self.model.predict_proba(self.encoder.encode(_checked(texts)).astype(np.float64))[:, 1]


@dataclass(frozen=True)
class NgramScorer:
    """Logistic regression on hashed words, word pairs and character 3- to 5-grams, blind to case; C by cross-validation."""

    features: FeatureUnion
    model: LogisticRegression

    @classmethod
    def fit(cls, sides: Sides, seeds: Seeds) -> "NgramScorer":
        """The judge trained on both sides (ValueError where one is empty or tiny)."""
        _check_sides(sides)
        union = ngrams()
        return cls(union, _fitted(union.transform(sides.texts), sides, seeds, grid=(1.0, 10.0, 100.0)))

    def score(self, texts: Sequence[str]) -> Float64[np.ndarray, " n"]:
        """The probability in [0, 1] that each text is of the positive side."""
        return self.model.predict_proba(self.features.transform(_checked(texts)))[:, 1]


def ngrams() -> FeatureUnion:
    """Hashed words, word pairs and character 3- to 5-grams, each there or not; nothing in it is learnt."""
    hashed = {"n_features": 2**16, "alternate_sign": False, "binary": True}
    return FeatureUnion(
        [
            ("words", HashingVectorizer(ngram_range=(1, 2), token_pattern=r"[\w']+|[.,;:!?]", **hashed)),
            ("signs", HashingVectorizer(analyzer="char_wb", ngram_range=(3, 5), **hashed)),
        ]
    )


def _checked(texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str) or not len(texts):
        raise ValueError(f"texts: got {texts!r}, allowed is a sequence of at least one text")
    return texts


def _check_sides(sides: Sides, least: int = 5) -> None:
    """Both classes, each with a text for every fold."""
    counts = {"positive": len(sides.positive), "negative": len(sides.negative)}
    if min(counts.values()) < least:
        raise ValueError(f"sides: got {counts} texts, allowed are two classes of at least {least} texts each")


def _fitted(
    features: Float[np.ndarray, "n d"] | csr_matrix, sides: Sides, seeds: Seeds, grid: Sequence[float]
) -> LogisticRegression:
    """The regression whose strength C has the least out-of-fold log loss, so that its probabilities are calibrated too."""
    dense = isinstance(features, np.ndarray)
    model = LogisticRegression(solver="newton-cholesky" if dense else "liblinear", max_iter=1000)  # each the faster one
    folds = StratifiedKFold(5, shuffle=True, random_state=seeds.integer() % 2**32)
    search = GridSearchCV(model, {"C": list(grid)}, cv=folds, scoring="neg_log_loss")
    return search.fit(features.astype(np.float64) if dense else features, sides.labels).best_estimator_
