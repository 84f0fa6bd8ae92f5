"""Judges of the study, trained once: their few numbers are kept in the suite's cache."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from lib.data.artefacts import Progress, artefact
from lib.data.models import MODELS
from lib.language.attributes import AttributeData
from lib.language.encoder import ENCODER, SentenceEncoder
from lib.language.lexicon import lexicon_for
from lib.language.scorers import EmbeddingScorer, NgramScorer, Scorer, ngrams
from lib.seeds import Seeds

KIND, VERSION = "judge", 1  # raise the version when the same texts train to something else
FILE = "weights.npz"
SECONDS = {"embedding": 20.0, "ngram": 2.0}  # on a core, for 2000 texts


def judge_of(kind: str, data: AttributeData, encoder: SentenceEncoder | None, seeds: Seeds) -> Scorer:
    """The judge of that kind (embedding, ngram or lexicon) for an attribute, out of the cache where it was trained before.

    `encoder`: for embeddings. Errors as those of the judges, and DataUnavailable where the cache cannot be written.
    """
    if kind == "lexicon":
        return lexicon_for(data.pair.name)

    def build(folder: Path, progress: Progress) -> None:
        scorer = _trained(kind, data, encoder, seeds)
        np.savez(folder / FILE, coef=scorer.model.coef_, intercept=scorer.model.intercept_)

    folder = artefact(KIND, _key(kind, data, seeds), build, seconds=SECONDS[kind])
    with np.load(folder / FILE) as weights:
        model = _regression(weights["coef"], weights["intercept"])
    if kind == "ngram":
        return NgramScorer(ngrams(), model)
    assert encoder is not None
    return EmbeddingScorer(encoder, model)


def _trained(kind: str, data: AttributeData, encoder: SentenceEncoder | None, seeds: Seeds) -> EmbeddingScorer | NgramScorer:
    if kind == "ngram":
        return NgramScorer.fit(data.scorer, seeds)
    assert encoder is not None
    return EmbeddingScorer.fit(encoder, data.scorer, seeds)


def _key(kind: str, data: AttributeData, seeds: Seeds) -> dict[str, Any]:
    """All that the judge depends on, as JSON."""
    texts = hashlib.sha256(json.dumps([data.scorer.positive, data.scorer.negative]).encode()).hexdigest()
    reader = MODELS[ENCODER].key if kind == "embedding" else None
    return {
        "name": f"{kind} {data.pair.name}", "texts": texts, "encoder": reader, "seed": [seeds.root, *seeds.path],
        "version": VERSION,
    }  # fmt: skip


def _regression(coef: np.ndarray, intercept: np.ndarray) -> LogisticRegression:
    """A fitted regression of these numbers."""
    model = LogisticRegression()
    model.coef_, model.intercept_ = coef, intercept
    model.classes_, model.n_features_in_ = np.array([0, 1]), coef.shape[1]
    return model
