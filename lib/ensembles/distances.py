"""One face to all distances between models: pairwise matrices, distances to one, diversity of a set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from torch import Tensor

from lib.ensembles import measures

Matrix = Float[Tensor, "N M"] | Float[np.ndarray, "N M"]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What is known of N models; a distance asks only for its own fields (see `KINDS`).

    `classes` [N, n]: predicted classes, `labels` [n]: true ones, both in 0..n_classes-1. `probabilities` [N,
    n, C]: softmax outputs. `features` [N, n, d]: penultimate features. `weights` [N, p]: flat weights,
    `layers`: how many belong to each layer, `theta0` [p]: the shared start. `mixture` [N, K] with `gram` [K,
    K]: soups as weights over K models and inner products of those models' task vectors, which stand in for
    `weights` and `theta0`. Raises ValueError where fields contradict each other.
    """

    classes: Int[Tensor, "N n"] | None = None
    labels: Int[Tensor, " m"] | None = None
    n_classes: int | None = None
    probabilities: Float[Tensor, "N_p n_p C"] | None = None
    features: Float[Tensor, "N_f n_f d"] | None = None
    weights: Float[Tensor, "N_w p"] | None = None
    theta0: Float[Tensor, " q"] | None = None
    layers: tuple[int, ...] | None = None
    mixture: Float[Tensor, "N_m K"] | None = None
    gram: Float[Tensor, "G G_"] | None = None

    def __post_init__(self) -> None:
        if self.classes is not None and self.labels is not None and self.classes.shape[1] != len(self.labels):
            got = f"{self.classes.shape[1]} samples but {len(self.labels)} labels"
            raise ValueError(f"classes: got {got}, allowed is one label for each sample")
        for field in ("labels", "classes"):
            if getattr(self, field) is not None:
                check_labels(field, getattr(self, field), self.n_classes)
        if self.mixture is not None and self.gram is not None and self.gram.shape != 2 * self.mixture.shape[1:]:
            got = f"{tuple(self.gram.shape)} for mixtures of {self.mixture.shape[1]} models"
            raise ValueError(f"gram: got {got}, allowed is one row and column for each model")
        if self.layers is not None and self.weights is not None and sum(self.layers) != self.weights.shape[1]:
            raise ValueError(f"layers: got {sum(self.layers)} weights in all, each model has {self.weights.shape[1]}")


def check_labels(name: str, labels: Int[Tensor, "..."], n_classes: int | None = None) -> None:
    """Refuse an empty split and classes outside 0..n_classes-1 (ValueError)."""
    if labels.numel() == 0:
        raise ValueError(f"{name}: got none, the split is empty; at least one sample is needed")
    low, high = labels.min().item(), labels.max().item()
    if low < 0 or (n_classes is not None and high >= n_classes):
        allowed = "whole numbers >= 0" if n_classes is None else f"0..{n_classes - 1}"
        raise ValueError(f"{name}: got class {low if low < 0 else high}, allowed are {allowed}")


@dataclass(frozen=True)
class Kind:
    """A distance: its title for axes, its formula, and the fields of `Outputs` that the formula needs."""

    title: str
    measure: Callable[..., measures.Pairs]
    each: str  # the field that is compared, one row for each model
    shared: tuple[str, ...] = ()  # fields that are the same for all models


KINDS = {
    "ratio-error": Kind("ratio error d_D", measures.ratio_error, "classes", ("labels",)),
    "ratio-error-label": Kind("ratio error d_D by label", measures.ratio_error_label, "classes", ("labels", "n_classes")),
    "disagreement": Kind("disagreement rate", measures.disagreement, "classes", ("n_classes",)),
    "error-disagreement": Kind("disagreements per error", measures.error_disagreement, "classes", ("labels", "n_classes")),
    "one-minus-q": Kind("1 - Q statistic", measures.one_minus_q, "classes", ("labels",)),
    "jensen-shannon": Kind("Jensen-Shannon divergence (nats)", measures.jensen_shannon, "probabilities"),
    "jensen-shannon-root": Kind("root of Jensen-Shannon divergence", measures.jensen_shannon_root, "probabilities"),
    "one-minus-cka": Kind("1 - linear CKA", measures.one_minus_cka, "features"),
    "weights": Kind("weight distance d_E", measures.euclidean, "weights"),
    "layerwise": Kind("relative layer distance", measures.layerwise, "weights", ("layers",)),
    "cosine": Kind("1 - cosine of task vectors", measures.cosine, "weights", ("theta0",)),
}
# The same distances where soups are given by their mixture weights and the ingredients' Gram matrix.
MIXTURE_KINDS = {
    "weights": Kind("weight distance d_E", measures.euclidean_mixtures, "mixture", ("gram",)),
    "cosine": Kind("1 - cosine of task vectors", measures.cosine_mixtures, "mixture", ("gram",)),
}


def pair_distance(kind: str, models: Outputs) -> Float[Tensor, "N N"]:
    """Distances between all pairs of models, float64: symmetric, zero diagonal, both exactly.

    `kind` is a name in `KINDS`. Raises ValueError for an unknown kind and for fields that it needs and
    `models` lacks.
    """
    square = _cross(kind, models, models)
    square = (square + square.T) / 2
    return square.fill_diagonal_(0)


def distance_to(kind: str, one: Outputs, many: Outputs) -> Float[Tensor, " N"]:
    """Distances from one model (or soup) to each of many; shared fields such as labels come from `one`."""
    across = _cross(kind, one, many)
    if len(across) != 1:
        raise ValueError(f"one: got {len(across)} models, allowed is one; use pair_distance for all pairs")
    return across[0]


def _cross(kind: str, a: Outputs, b: Outputs) -> measures.Pairs:
    if kind not in KINDS:
        raise ValueError(f"distance: got {kind!r}, allowed are {', '.join(KINDS)}")
    chosen = MIXTURE_KINDS.get(kind, KINDS[kind]) if a.mixture is not None else KINDS[kind]
    for name in (chosen.each, *chosen.shared):
        if getattr(a, name) is None or getattr(b, name) is None:
            raise ValueError(f"{name}: missing, the distance {kind!r} needs {', '.join((chosen.each, *chosen.shared))}")
    rows_a, rows_b = getattr(a, chosen.each), getattr(b, chosen.each)
    if rows_a.shape[1:] != rows_b.shape[1:] or rows_a.shape[1] == 0:
        shapes = f"{tuple(rows_a.shape[1:])} and {tuple(rows_b.shape[1:])}"
        raise ValueError(f"{chosen.each}: got shapes {shapes} for each model, allowed are equal ones, not empty")
    across = chosen.measure(rows_a, rows_b, *(getattr(a, name) for name in chosen.shared))
    if not across.isfinite().all():
        i, j = (~across.isfinite()).nonzero()[0].tolist()
        raise RuntimeError(f"the distance {kind!r} of models {i} and {j} is not finite: look at their {chosen.each}")
    return across


@dataclass(frozen=True)
class Diversity:
    """Mean pairwise distance of a set; `defined` is False (and `value` 0) for a set of one."""

    value: float
    defined: bool


def set_diversity(distances: Matrix, members: Sequence[int]) -> Diversity:
    """Mean of `distances` over all pairs of `members` (a model that occurs twice is a pair at distance 0)."""
    distances = check_distances(distances)
    m = len(members)
    if m == 0:
        raise ValueError("members: got an empty set, at least one model is needed")
    if m == 1:
        return Diversity(0.0, False)
    members = list(members)
    return Diversity(float(distances[np.ix_(members, members)].sum() / (m * (m - 1))), True)


def check_distances(distances: Matrix) -> Float[np.ndarray, "N N"]:
    """The matrix as a float64 array, if it is one of distances.

    Raises ValueError unless it is square, finite, not negative, zero on the diagonal and symmetric, within
    1e-8 of its largest entry (or within 1e-8 where all entries are below 1).
    """
    matrix = _array(distances)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"distances: got shape {matrix.shape}, allowed is a square matrix")
    _refuse(~np.isfinite(matrix), matrix, "finite numbers")
    _refuse(matrix < 0, matrix, "numbers >= 0")
    tolerance = 1e-8 * max(1.0, matrix.max(initial=0.0))
    _refuse(np.abs(matrix - matrix.T) > tolerance, matrix, "a symmetric matrix")
    _refuse(np.diag(matrix.diagonal() > tolerance), matrix, "zeros on the diagonal")
    return matrix


def _refuse(bad: np.ndarray, matrix: np.ndarray, allowed: str) -> None:
    if bad.any():
        i, j = np.argwhere(bad)[0].tolist()
        raise ValueError(f"distances: got {matrix[i, j]} between {i} and {j}, allowed: {allowed}")


def spearman(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float | None:
    """Spearman's rank correlation of two samples; None where one of them is constant and it is undefined."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)


def pair_correlation(a: Matrix, b: Matrix) -> float | None:
    """Spearman's rank correlation of two symmetric matrices over their pairs i < j."""
    upper = np.triu_indices(len(a), 1)
    return spearman(_array(a)[upper], _array(b)[upper])


def _array(matrix: Matrix) -> Float[np.ndarray, "N M"]:
    """As a float64 array of its own, from whichever device."""
    return (matrix.detach().cpu().numpy() if isinstance(matrix, Tensor) else matrix).astype(np.float64)
