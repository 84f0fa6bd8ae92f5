"""Soups of a real pool: weights, predictions, exact scores and distances of any members, in batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.ensembles.averaging import check_pool, mix, mixture_weights
from lib.ensembles.distances import KINDS, MIXTURE_KINDS, Outputs, check_labels, distance_to, pair_distance
from lib.ensembles.measures import gram_matrix
from lib.ensembles.selection import Selection, select
from lib.ensembles.walk import DistanceFn, Members
from lib.seeds import Seeds

Predict = Callable[[Tensor, str], Tensor]

# The rules of the study, by name: the rule of `select`, the distance that it ranks by, and the order.
VARIANTS: dict[str, tuple[str, str, str]] = {
    "uniform": ("uniform", "ratio-error", "far"),
    "random": ("random", "ratio-error", "far"),
    "greedy": ("greedy", "ratio-error", "far"),
    "greedier": ("greedier", "ratio-error", "far"),
    "ranked-d-far": ("ranked", "ratio-error", "far"),
    "ranked-d-near": ("ranked", "ratio-error", "near"),
    "ranked-e-far": ("ranked", "weights", "far"),
    "ranked-e-near": ("ranked", "weights", "near"),
}


@dataclass(frozen=True, eq=False)
class Pool:
    """What an experiment has: K models fine-tuned from one start, and the data to judge them by.

    `flat` [K, p] weights (and float buffers), `theta0` [p] their shared start, `labels`: split name -> true
    classes [n], 0..n_classes-1. `predict(weights [S, p], split)` -> logits [S, n, C] and, for CKA,
    `features(weights, split)` -> [S, n, d] are the only things that know the net. `table`: one row of
    hyper-parameters for each model. `layers`: numbers of weights by layer. `batch`: soups evaluated at once.

    Raises ValueError for an empty pool, non-finite weights, a start of another size, an empty split, or
    labels out of range.
    """

    flat: Float[Tensor, "K p"]
    theta0: Float[Tensor, " q"]
    labels: Mapping[str, Int[Tensor, " _"]]
    n_classes: int
    predict: Predict
    table: pd.DataFrame
    features: Predict | None = None
    layers: tuple[int, ...] | None = None
    batch: int = 64

    def __post_init__(self) -> None:
        check_pool(self.flat)
        if self.theta0.shape != self.flat.shape[1:] or not self.theta0.isfinite().all():
            got = f"{len(self.theta0)} weights, {int(self.theta0.isfinite().sum())} of them finite"
            raise ValueError(f"theta0: got {got}, allowed are {self.flat.shape[1]} finite ones as in each model")
        if len(self.table) != len(self.flat):
            raise ValueError(f"table: got {len(self.table)} rows, allowed is one for each of {len(self.flat)} models")
        for split, labels in self.labels.items():
            check_labels(f"labels of {split!r}", labels, self.n_classes)


class Evaluator:
    """Predictions, scores and distances of soups of a `Pool`; a soup is a tuple of members, () is theta_0.

    Predicted classes are kept, by split and by the members regardless of their order: no soup is evaluated twice, and
    each has one score however it is asked for. How many evaluations a rule *needs* is counted by `select` and does
    not shrink by that.
    """

    def __init__(self, pool: Pool, replacement: bool = False) -> None:
        self.pool, self.replacement = pool, replacement
        self.singles: list[Members] = [(k,) for k in range(len(pool.flat))]
        self._classes: dict[tuple[str, Members], Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What travels: predicted classes as one block for each split; packed by itself, each row would carry its whole batch."""
        soups: dict[str, list[Members]] = {}
        for split, members in self._classes:
            soups.setdefault(split, []).append(members)
        return self.__dict__ | {"_classes": {split: (found, self.classes(found, split)) for split, found in soups.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        blocks = state["_classes"].items()
        rows = {(split, members): row for split, (soups, block) in blocks for members, row in zip(soups, block, strict=True)}
        self.__dict__ |= state | {"_classes": rows}

    @cached_property
    def gram(self) -> Float[Tensor, "K K"]:
        """Inner products of the models' task vectors theta_k - theta_0."""
        return gram_matrix(self.pool.flat, self.pool.theta0)

    def mixture(self, soups: Sequence[Members]) -> Float[Tensor, "S K"]:
        """Weights of the soups over the task vectors; those of theta_0 are all zero."""
        rows = torch.zeros(len(soups), len(self.singles), dtype=torch.float64)
        filled = [s for s, members in enumerate(soups) if members]
        rows[filled] = mixture_weights([soups[s] for s in filled], len(self.singles), self.replacement)
        return rows.to(self.pool.flat.device)

    def weights(self, soups: Sequence[Members]) -> Float[Tensor, "S p"]:
        """Averaged weights of each soup."""
        rows = self.mixture(soups)
        filled = rows.any(1)
        flat = self.pool.theta0.repeat(len(soups), 1)
        flat[filled] = mix(self.pool.flat, rows[filled])
        return flat

    def logits(self, soups: Sequence[Members], split: str) -> Float[Tensor, "S n C"]:
        """Logits of each soup on a split. RuntimeError names a soup whose logits are not finite."""
        labels = self._labels(split)
        logits = self._batched(self.pool.predict, soups, split)
        if logits.shape[1:] != (len(labels), self.pool.n_classes):
            allowed = f"{len(labels)} samples x {self.pool.n_classes} classes"
            raise ValueError(f"predict: got {tuple(logits.shape[1:])} for each soup on {split!r}, allowed is {allowed}")
        if len(bad := (~logits.isfinite()).flatten(1).any(1).nonzero()):
            raise RuntimeError(f"the logits of soup {soups[bad[0].item()]} on {split!r} are not finite")
        return logits

    def classes(self, soups: Sequence[Members], split: str) -> Int[Tensor, "S n"]:
        """Predicted classes of each soup on a split."""
        keys = [(split, tuple(sorted(members))) for members in soups]
        missing = [members for _, members in dict.fromkeys(key for key in keys if key not in self._classes)]
        if missing:
            predicted = self.logits(missing, split).argmax(-1)
            self._classes |= {(split, members): row for members, row in zip(missing, predicted, strict=True)}
        return torch.stack([self._classes[key] for key in keys])

    def counts(self, soups: Sequence[Members], split: str) -> list[int]:
        """Correct samples of each soup: whole numbers, so that comparing them is exact."""
        return (self.classes(soups, split) == self._labels(split)).sum(1).tolist()

    def accuracy(self, soups: Sequence[Members], split: str) -> list[float]:
        """Share of correct samples of each soup."""
        return [count / len(self._labels(split)) for count in self.counts(soups, split)]

    def outputs(self, kind: str, soups: Sequence[Members], split: str) -> Outputs:
        """What the distance `kind` needs to know of the soups, and no more."""
        pool = self.pool
        if kind not in KINDS:
            raise ValueError(f"distance: got {kind!r}, allowed are {', '.join(KINDS)}")
        if kind in MIXTURE_KINDS:
            return Outputs(mixture=self.mixture(soups), gram=self.gram)
        if kind == "layerwise":
            return Outputs(weights=self.weights(soups), layers=pool.layers)
        if kind == "one-minus-cka":
            features = self._batched(pool.features, soups, split) if pool.features else None
            return Outputs(features=features)
        if KINDS[kind].each == "probabilities":
            return Outputs(probabilities=self.logits(soups, split).softmax(-1))
        return Outputs(self.classes(soups, split), self._labels(split), pool.n_classes)

    def distances(self, kind: str, soups: Sequence[Members], split: str) -> Float[Tensor, "S S"]:
        """Distances between all pairs of soups, predictions being those on `split`."""
        return pair_distance(kind, self.outputs(kind, soups, split))

    def distance_fn(self, kind: str, split: str) -> DistanceFn:
        """Distances from one soup to single models, as `select` asks for them."""

        def distances(members: Members, candidates: list[int]) -> list[float]:
            singles = [self.singles[k] for k in candidates]
            return distance_to(kind, self.outputs(kind, [members], split), self.outputs(kind, singles, split)).tolist()

        return distances

    def choose(self, variant: str, split: str, seeds: Seeds | None = None, **options: str | bool) -> Selection:
        """Select by one of `VARIANTS`, scoring and ranking on `split`: ID validation data, and nothing else.

        `options` go to `select`. The Selection's `rule` is the variant's name. Raises ValueError as `select`
        does.
        """
        if variant not in VARIANTS:
            raise ValueError(f"rule: got {variant!r}, allowed are {', '.join(VARIANTS)}")
        rule, kind, order = VARIANTS[variant]
        singles = self.counts(self.singles, split)
        ranking = {"distance_fn": self.distance_fn(kind, split), "order": order}
        scorer = partial(self.counts, split=split)
        chosen = select(rule, scorer, len(singles), singles, seeds=seeds, **ranking, **options)
        return replace(chosen, rule=variant)

    def _labels(self, split: str) -> Int[Tensor, " n"]:
        if split not in self.pool.labels:
            raise ValueError(f"split: got {split!r}, allowed are {', '.join(self.pool.labels)}")
        return self.pool.labels[split]

    @torch.no_grad()
    def _batched(self, function: Predict, soups: Sequence[Members], split: str) -> Float[Tensor, "S n out"]:
        step = self.pool.batch
        return torch.cat([function(self.weights(soups[i : i + step]), split) for i in range(0, len(soups), step)])
