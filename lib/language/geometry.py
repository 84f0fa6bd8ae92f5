"""How the anchors' updates lie to one another: angles, distances and a map, from products of small factors alone.

All of it follows from each layer's Gram matrix G_kl = <D_k, D_l>_F: mixes are linear in the updates, so their inner products
are linear in G. Numbers are float64.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lib.language.adapters import Adapter, check_same_base

LEAST_NORM = 1e-8  # of a row, as in torch.nn.functional.cosine_similarity: shorter ones count as of this length


@dataclass(frozen=True, eq=False)
class Gram:
    """Inner products of K updates, layer by layer: `values`[l, i, j] = <D_i, D_j>_F in layer l."""

    names: tuple[Hashable, ...]
    values: Float[Tensor, "l K K"]

    def cosines(self) -> Float[Tensor, "K K"]:
        """Cosine of the angle between updates, all layers as one vector. ValueError naming an update that is zero."""
        total = self.values.sum(0)
        norms = total.diagonal().sqrt()
        if not norms.all():
            name = self.names[(norms == 0).nonzero()[0].item()]
            raise ValueError(f"cosine: the update of {name!r} is zero in all layers, allowed are updates with a direction")
        return (total / (norms[:, None] * norms)).clamp(-1, 1)

    def distances(self, mixes: Float[Tensor, "M K"] | None = None) -> Float[Tensor, "M M"]:
        """sum over layers of ||D_i - D_j||_F between mixes D = sum_k c_k D_k; by default between the updates themselves.

        A row of zeros in `mixes` is the base. It is a metric: a sum of metrics [kangaslahti2025].
        """
        rows = torch.eye(len(self.names), dtype=torch.float64) if mixes is None else mixes.double()
        if rows.shape[1] != len(self.names):
            raise ValueError(f"mixes: got {rows.shape[1]} shares a row, allowed is one for each of {len(self.names)} updates")
        apart = rows[:, None] - rows[None]
        squares = torch.einsum("mnk,lkj,mnj->lmn", apart, self.values, apart)
        return squares.clamp(min=0).sqrt().sum(0)  # rounding may leave a little below zero


def gram(adapters: Mapping[Hashable, Adapter]) -> Gram:
    """Inner products of all pairs: s_i s_j tr((B_i^T B_j)(A_j A_i^T)). ValueError naming the layer where adapters do not fit."""
    check_same_base(list(adapters.values()))
    values = []
    for layer in next(iter(adapters.values())).factors:
        a, b = _stacked(adapters, layer)
        left, right = torch.einsum("kor,jos->kjrs", b, b), torch.einsum("kri,jsi->kjrs", a, a)
        values.append((left * right).sum((2, 3)))
    return Gram(tuple(adapters), torch.stack(values))


def row_cosines(adapters: Mapping[Hashable, Adapter]) -> Float[Tensor, "K K"]:
    """Mean over layers of the mean over rows of the cosine between two updates' rows, as the paper's code has it.

    It weighs all rows alike, however short, where the Frobenius cosine (`Gram.cosines`) weighs them by their lengths.
    """
    check_same_base(list(adapters.values()))
    total = torch.zeros(len(adapters), len(adapters), dtype=torch.float64)
    layers = tuple(next(iter(adapters.values())).factors)
    for layer in layers:
        a, b = _stacked(adapters, layer)
        products = torch.einsum("kor,kjrs,jos->kjo", b, torch.einsum("kri,jsi->kjrs", a, a), b)
        norms = products.diagonal().T.clamp(min=0).sqrt().clamp(min=LEAST_NORM)  # [K, o]
        total += (products / (norms[:, None] * norms[None])).mean(2)
    return total / len(layers)


def _stacked(adapters: Mapping[Hashable, Adapter], layer: str) -> tuple[Float[Tensor, "K r i"], Float[Tensor, "K o r"]]:
    """All factors of a layer, the scale in B."""
    pairs = [(adapter.factors[layer], adapter.scale) for adapter in adapters.values()]
    return torch.stack([a.double() for (a, _), _ in pairs]), torch.stack([scale * b.double() for (_, b), scale in pairs])


@dataclass(frozen=True, eq=False)
class Map:
    """Points [M, 2] whose distances come close to given ones; `stress` is Kruskal's: 0 for a perfect map."""

    points: Float[np.ndarray, "M 2"]
    stress: float


def draw_map(distances: Float[Tensor, "_ _"] | Float[np.ndarray, "_ _"]) -> Map:
    """A map in the plane by metric multidimensional scaling (SMACOF), from the classical solution on [borg2005].

    stress = sqrt(sum (d_ij - ||x_i - x_j||)^2 / sum d_ij^2). Deterministic: no start is random.

    Errors: ValueError for fewer than 3 points, or for a matrix that is not one of finite distances.
    """
    from sklearn.manifold import MDS

    d = np.asarray(distances, dtype=np.float64)
    if len(d) < 3 or d.shape != (len(d), len(d)):
        raise ValueError(f"distances: got shape {d.shape}, allowed is (M, M) with M of 3 or more")
    if not (np.isfinite(d).all() and (d >= 0).all() and np.allclose(d, d.T) and not d.diagonal().any()):
        raise ValueError("distances: got no distances, allowed are finite, symmetric numbers >= 0 with a diagonal of zeros")
    points = MDS(2, metric="precomputed", init="classical_mds", n_init=1, normalized_stress=False).fit_transform(d)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    return Map(points, float(np.sqrt(((d - apart) ** 2).sum() / (d**2).sum())) if d.any() else 0.0)


def path(names: Sequence[Hashable], start: Hashable, end: Hashable, alphas: Sequence[float]) -> Float[Tensor, "M K"]:
    """Rows of shares for `Gram.distances`: (1 - alpha) of `start` and alpha of `end`. ValueError for an unknown name."""
    for name in (start, end):
        if name not in names:
            raise ValueError(f"path: got {name!r}, allowed are {', '.join(map(repr, names))}")
    rows = torch.zeros(len(alphas), len(names), dtype=torch.float64)
    share = torch.tensor(list(alphas), dtype=torch.float64)
    rows[:, list(names).index(start)] += 1 - share
    rows[:, list(names).index(end)] += share
    return rows
