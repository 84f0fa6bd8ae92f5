"""Why averaging weights works: connectivity, closeness to the prediction ensemble, pair gains, diversity."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.ensembles.averaging import check_pool, mix
from lib.ensembles.distances import Matrix, check_distances
from lib.ensembles.soups import Evaluator
from lib.ensembles.walk import Members, ScoreFn
from lib.seeds import Seeds

Predict = Callable[[Tensor], Tensor]


def prediction_ensemble(logits: Float[Tensor, "K n C"]) -> Float[Tensor, "n C"]:
    """Mean softmax output of K models, a reference at K times the inference [lakshminarayanan2017]."""
    return logits.softmax(-1).mean(0)


@dataclass(frozen=True, eq=False)
class Connectivity:
    """Accuracy along the segment between two models, and its barrier (0 where it never sags)."""

    alphas: Float[np.ndarray, " P"]
    accuracy: Float[np.ndarray, " P"]
    barrier: float


def connectivity(ends: Float[Tensor, "two p"], predict: Predict, labels: Int[Tensor, " n"], n_points: int = 21) -> Connectivity:
    """Linear mode connectivity [frankle2020]: accuracy at (1-alpha) theta_i + alpha theta_j, 0 <= alpha <= 1.

    barrier = max over alpha of (1-alpha) acc_i + alpha acc_j - acc(alpha). `predict` maps weights [S, p] to
    logits [S, n, C].
    """
    alphas = torch.linspace(0, 1, n_points, dtype=torch.float64)
    logits = predict(mix(ends, torch.stack([1 - alphas, alphas], dim=1)))
    accuracy = (logits.argmax(-1) == labels).double().mean(1).cpu().numpy()
    alphas = alphas.numpy()
    chord = (1 - alphas) * accuracy[0] + alphas * accuracy[-1]
    return Connectivity(alphas, accuracy, float((chord - accuracy).max()))


@dataclass(frozen=True, eq=False)
class EnsembleGap:
    """How the soup leaves the prediction ensemble as the models move apart.

    For each scale t: `spread` = max_i ||theta_i(t) - mean||, `gap` = mean absolute difference of class
    probabilities, and the accuracies of soup and ensemble. `slope` is that of log gap against log spread: 2
    where the gap is O(spread^2).
    """

    scales: Float[np.ndarray, " T"]
    spread: Float[np.ndarray, " T"]
    gap: Float[np.ndarray, " T"]
    soup_accuracy: float
    ensemble_accuracy: Float[np.ndarray, " T"]
    slope: float


def ensemble_gap(flat: Float[Tensor, "K p"], predict: Predict, labels: Int[Tensor, " n"], scales: Sequence[float]) -> EnsembleGap:
    """Soup against prediction ensemble along theta_i(t) = mean + t (theta_i - mean): O(t^2) [rame2022].

    `predict` maps weights [S, p] to logits [S, n, C]; at small t give it float64 weights, or the gap sinks
    into rounding. Raises ValueError for scales that are not positive or fewer than two, and where a gap is
    zero, so that no slope exists.
    """
    check_pool(flat)
    if len(scales) < 2 or min(scales) <= 0:
        raise ValueError(f"scales: got {list(scales)}, allowed are two or more numbers > 0")
    mean = flat.mean(0)
    soup = predict(mean[None]).softmax(-1)[0]
    ensembles = torch.stack([prediction_ensemble(predict(mean + t * (flat - mean))) for t in scales])
    gap = (ensembles - soup).abs().mean((1, 2)).cpu().numpy()
    if (gap == 0).any():
        raise ValueError(f"scales: the gap at {scales[int(gap.argmin())]} is zero, no slope exists; are all models equal?")
    scales = np.asarray(scales, dtype=np.float64)
    spread = scales * (flat - mean).norm(dim=1).max().item()
    accuracy = (ensembles.argmax(-1) == labels).double().mean(1).cpu().numpy()
    slope = float(np.polyfit(np.log(scales), np.log(gap), 1)[0])
    return EnsembleGap(scales, spread, gap, (soup.argmax(-1) == labels).double().mean().item(), accuracy, slope)


def pair_gains(evaluator: Evaluator, split: str) -> Float[np.ndarray, "K K"]:
    """g_ij = acc((theta_i + theta_j)/2) - (acc_i + acc_j)/2 for all pairs; symmetric, zero diagonal.

    For a quadratic loss with Hessian H the gain in loss is (theta_i - theta_j)^T H (theta_i - theta_j) / 8:
    it grows with distance.
    """
    single = np.array(evaluator.accuracy(evaluator.singles, split))
    gains = np.zeros((len(single), len(single)))
    if pairs := list(combinations(range(len(single)), 2)):
        i, j = np.array(pairs).T
        gains[i, j] = gains[j, i] = evaluator.accuracy(pairs, split) - (single[i] + single[j]) / 2
    return gains


@dataclass(frozen=True, eq=False)
class SubsetSample:
    """Random subsets of one size, their diversity and score; places of the most diverse and the best."""

    subsets: tuple[Members, ...]
    diversity: Float[np.ndarray, " R"]
    scores: Float[np.ndarray, " R"]
    most_diverse: int
    best: int


def sample_subsets(distances: Matrix, score_fn: ScoreFn, size: int, n_subsets: int, seeds: Seeds) -> SubsetSample:
    """Is the most diverse subset the best soup? Draw distinct subsets of `size` models (all, if few).

    `distances` [K, K] gives the diversity (mean over pairs), `score_fn` the score of each soup. Raises
    ValueError unless 2 <= size <= K and n_subsets >= 1.
    """
    matrix = check_distances(distances)
    if not 2 <= size <= len(matrix):
        raise ValueError(f"size: got {size}, allowed are 2..{len(matrix)} for {len(matrix)} models")
    if n_subsets < 1:
        raise ValueError(f"n_subsets: got {n_subsets}, allowed are whole numbers >= 1")
    subsets = _draw_subsets(len(matrix), size, n_subsets, seeds)
    chosen = np.array(subsets)
    diversity = matrix[chosen[:, :, None], chosen[:, None]].sum((1, 2)) / (size * (size - 1))
    scores = np.asarray(score_fn(subsets), dtype=np.float64)
    return SubsetSample(tuple(subsets), diversity, scores, int(diversity.argmax()), int(scores.argmax()))


def _draw_subsets(n: int, size: int, n_subsets: int, seeds: Seeds) -> list[Members]:
    """Distinct sorted subsets, each equally likely."""
    if comb(n, size) <= n_subsets:
        return list(combinations(range(n), size))
    rng, drawn = seeds.child("subsets").numpy(), {}
    while len(drawn) < n_subsets:
        drawn[tuple(sorted(rng.choice(n, size, replace=False).tolist()))] = True
    return list(drawn)


@dataclass(frozen=True)
class ErrorParts:
    """Squared error of the mean prediction of M models = bias2 + variance / M + (M - 1) / M covariance."""

    bias2: float
    variance: float
    covariance: float
    error: float


def bias_variance_covariance(probabilities: Float[Tensor, "R M n C"], labels: Int[Tensor, " n"]) -> ErrorParts:
    """Parts of the ensemble's squared error over R >= 2 repeats of a pool of M >= 2 models [rame2022].

    With pbar the mean prediction over repeats and models: bias2 = mean ||pbar - y||^2, variance = mean ||p -
    pbar||^2, covariance = mean over pairs m != m' of one pool of <p_m - pbar, p_m' - pbar>, y one-hot. The
    identity is exact. Diversity shows as low covariance.
    """
    repeats, m = probabilities.shape[:2]
    if repeats < 2 or m < 2:
        raise ValueError(f"probabilities: got {repeats} repeats of {m} models, allowed are at least 2 of 2")
    target = torch.nn.functional.one_hot(labels.long(), probabilities.shape[-1]).double()
    p = probabilities.double()
    centre = p.mean((0, 1))
    off = p - centre
    variance = off.square().sum(-1).mean().item()
    pooled = off.sum(1).square().sum(-1).mean().item()  # = M variance + M (M-1) covariance
    covariance = (pooled - m * variance) / (m * (m - 1))
    error = (p.mean(1) - target).square().sum(-1).mean().item()
    return ErrorParts((centre - target).square().sum(-1).mean().item(), variance, covariance, error)
