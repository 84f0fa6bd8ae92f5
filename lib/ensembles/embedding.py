"""Maps of models: distance matrices embedded in the plane, aligned with each other, open to new points.

The axes of such a map mean nothing, and distances on it are only as good as its stress and rank correlation
say.
"""

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.isotonic import isotonic_regression
from sklearn.manifold import smacof

from lib.ensembles.distances import Matrix, check_distances, spearman
from lib.seeds import Seeds

METHODS = ("metric", "nonmetric", "classical", "pca", "umap")
Points = Float[np.ndarray, "N 2"]

# Measured on maps of 25 to 120 models: ten times tighter tolerances lower the best stress by less than 0.001, while three
# random starts can leave it 4 % above the best of 32. An ordinal step costs some ten times a metric one, hence less of it.
RANDOM_STARTS = {"metric": 5, "nonmetric": 3}
TOLERANCE = {"metric": 1e-6, "nonmetric": 1e-5}
MAX_ITERATIONS = 1000


@dataclass(frozen=True, eq=False)
class Embedding:
    """`points` [N, 2] of a map and how far to trust it.

    `stress` is Kruskal's normalised stress-1 [kruskal1964], sqrt(sum_{i<j} (t_ij - d_ij)^2 / sum_{i<j}
    d_ij^2), d the distances on the map. The target t is the given distance for metric, classical and pca
    maps, and for nonmetric and umap maps, which keep only the order, the best increasing fit to d. 0 is
    perfect, 0.05 good, 0.2 poor. `rank_correlation` is Spearman's, of map and true distances (None where all
    distances are equal). `converged` is False if the best start ran out of iterations.
    """

    points: Points
    stress: float
    rank_correlation: float | None
    method: str
    converged: bool


def methods() -> tuple[str, ...]:
    """The methods that can run here: all, without `umap` where umap-learn is not installed."""
    return METHODS if importlib.util.find_spec("umap") else METHODS[:-1]


def embed(distances: Matrix, method: str = "metric", seeds: Seeds = Seeds(0)) -> Embedding:
    """Place N >= 3 models in the plane so that their distances on the map are near `distances` [N, N].

    - `metric`: least stress by SMACOF majorisation [deleeuw1988], from the classical solution and five random starts,
      the best kept.
    - `nonmetric`: the same for the order of the distances only [kruskal1964], with three random starts.
    - `classical`: leading eigenvectors of the doubly centred squared distances [torgerson1952]. Negative
      eigenvalues are dropped.
    - `pca`: the same, only for distances that are Euclidean (d_E), for which it equals PCA of the weights.
    - `umap` [mcinnes2018]: needs the optional package umap-learn.

    Raises ValueError for a matrix that is not of distances, fewer than 3 points, an unknown method, or PCA of
    distances that are not Euclidean; ImportError for `umap` where it is not installed.
    """
    target = check_distances(distances)
    if method not in METHODS:
        raise ValueError(f"method: got {method!r}, allowed are {', '.join(METHODS)}")
    if len(target) < 3:
        raise ValueError(f"distances: got {len(target)} points, a map needs at least 3")
    target = (target + target.T) / 2
    np.fill_diagonal(target, 0)
    points, converged = np.zeros((len(target), 2)), True
    if target.any():
        points, converged = _place_all(target, method, seeds)
    stress = kruskal_stress(target, points, ordinal=method in ("nonmetric", "umap"))
    return Embedding(points, stress, spearman(pdist(points), squareform(target)), method, converged)


def kruskal_stress(distances: Float[np.ndarray, "N N"], points: Points, ordinal: bool = False) -> float:
    """Stress-1 of a map, as defined in `Embedding`; `ordinal` compares with the best increasing fit."""
    on_map, target = pdist(points), squareform(distances)
    if ordinal:
        order = np.lexsort((on_map, target))  # equal distances may be told apart on the map at no cost
        fit = np.empty_like(on_map)
        fit[order] = isotonic_regression(on_map[order])
        target = fit
    scale = np.square(on_map).sum()
    return math.sqrt(np.square(target - on_map).sum() / scale) if scale > 0 else float(target.any())


def _place_all(target: Float[np.ndarray, "N N"], method: str, seeds: Seeds) -> tuple[Points, bool]:
    if method in ("classical", "pca"):
        return _classical(target, euclidean_only=method == "pca"), True
    if method == "umap":
        return _umap(target, seeds), True
    starts = [_classical(target, euclidean_only=False)]
    for k in range(RANDOM_STARTS[method]):
        rng = seeds.child("embedding start", k).numpy()
        starts.append(rng.normal(scale=target.mean(), size=(len(target), 2)))
    return _smacof(target, starts, method)


def _smacof(target: Float[np.ndarray, "N N"], starts: list[Points], method: str) -> tuple[Points, bool]:
    """The best of one majorisation for each start, centred."""
    options = {"metric": method == "metric", "n_init": 1, "normalized_stress": True, "return_n_iter": True}
    options |= {"eps": TOLERANCE[method], "max_iter": MAX_ITERATIONS}
    maps = [smacof(target, init=start, **options) for start in starts]
    points, _, n_iter = min(maps, key=lambda found: found[1])
    return points - points.mean(0), n_iter < MAX_ITERATIONS


def _classical(target: Float[np.ndarray, "N N"], euclidean_only: bool) -> Points:
    """Classical scaling; unlike scikit-learn's, without NaN where the second eigenvalue is below zero."""
    inner = np.square(target)
    inner = -0.5 * (inner - inner.mean(0) - inner.mean(1, keepdims=True) + inner.mean())
    values, vectors = np.linalg.eigh(inner)
    if euclidean_only and values[0] < -1e-6 * values[-1]:
        raise ValueError("method: got 'pca' for distances that are not Euclidean, as d_E is; use 'metric' or 'nonmetric'")
    vectors = vectors[:, :-3:-1]
    largest = vectors[np.abs(vectors).argmax(0), [0, 1]]
    return vectors * np.sign(largest) * np.sqrt(values[:-3:-1].clip(min=0))


def _umap(target: Float[np.ndarray, "N N"], seeds: Seeds) -> Points:
    if "umap" not in methods():
        raise ImportError("the method 'umap' needs the package umap-learn, which is not installed; use 'nonmetric' instead")
    from umap import UMAP

    neighbours = min(15, len(target) - 1)
    state = seeds.child("umap").integer() % 2**32
    return UMAP(n_neighbors=neighbours, metric="precomputed", random_state=state).fit_transform(target).astype(float)


def procrustes_align(points: Points, reference: Float[np.ndarray, "M 2"], anchors: Sequence[int] | None = None) -> Points:
    """Turn, mirror and shift `points` as near as can be to `reference`, without scaling [schonemann1966].

    `anchors` are the rows of `points` that `reference` places (all, in order, when None); the others follow.
    Raises ValueError if there are not as many anchors as reference points.
    """
    chosen = points if anchors is None else points[list(anchors)]
    if len(chosen) != len(reference):
        raise ValueError(f"points: got {len(chosen)} and {len(reference)} in the reference, allowed are equal numbers")
    centre, goal = chosen.mean(0), reference.mean(0)
    turn, _ = orthogonal_procrustes(chosen - centre, reference - goal)
    return (points - centre) @ turn + goal


def place(distances: Float[np.ndarray, " M"], points: Points) -> Float[np.ndarray, " 2"]:
    """Put one new point on a finished map, the other points staying where they are.

    Minimises sum_j (||y - x_j|| - d_j)^2 by majorisation, y <- mean_j (x_j + d_j (y - x_j) / ||y - x_j||), which never
    raises it [deleeuw1988], from the middle of the map and the five models in whose places the misfit is least; the best
    end is kept. Fast enough to follow a reader's hand.

    Raises ValueError for distances that are negative, not finite, or not one for each point.
    """
    if len(distances) != len(points) or not np.isfinite(distances).all() or (distances < 0).any():
        raise ValueError(f"distances: got {list(distances)}, allowed is one finite number >= 0 for each point")
    best = points[_misfit(points, points, distances).argsort()[:5]]
    # A start on top of a model, or on a line with all of them, has no way to leave: begin a little aside.
    spots = np.vstack([points.mean(0), best]) + 1e-3 * distances.mean() * np.array([0.6, 0.8])
    tolerance = 1e-6 * distances.mean()  # far below what a map can show
    for _ in range(MAX_ITERATIONS):
        away = spots[:, None] - points
        length = np.linalg.norm(away, axis=-1).clip(min=1e-12)
        moved = (points + (distances / length)[..., None] * away).mean(1)
        step = np.abs(moved - spots).max()
        spots = moved
        if step <= tolerance:
            break
    return spots[_misfit(spots, points, distances).argmin()]


def _misfit(spots: Float[np.ndarray, "S 2"], points: Points, distances: Float[np.ndarray, " N"]) -> Float[np.ndarray, " S"]:
    """sum_j (||y - x_j|| - d_j)^2 for each spot y."""
    return np.square(cdist(spots, points) - distances).sum(1)
