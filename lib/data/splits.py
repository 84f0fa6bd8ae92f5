"""Disjoint random splits of n items, the same for the same seed."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from lib.seeds import Seeds


def split_indices(
    n: int, sizes: Mapping[str, int | float], seeds: Seeds, stratify: Tensor | None = None
) -> dict[str, Int64[Tensor, " m"]]:
    """Draw disjoint sets of the indices 0..n-1, one for each name in `sizes`, ascending.

    A whole number is a count, a fraction in 0..1 a part of n (rounded down); what is left over belongs to no set.
    With class labels `stratify` [n], each set has the classes in the proportions of the whole, up to rounding. Split
    base images with this before making domains of them, so that no image is in two sets under different domains.

    Raises:
        ValueError: no names, a size that is no count >= 1 nor a fraction in (0, 1], sizes that add to more than n,
            or labels of another length.
    """
    counts = {name: _count(name, size, n) for name, size in sizes.items()}
    if not counts or sum(counts.values()) > n:
        raise ValueError(f"sizes: got {dict(sizes)}, allowed are named sizes that add to at most {n}")
    labels = None if stratify is None else stratify.cpu().numpy()
    if labels is not None and labels.shape != (n,):
        raise ValueError(f"stratify: got shape {labels.shape}, allowed is one label for each of {n} items")
    order = _shuffled(n, labels, seeds)
    ends = np.cumsum(list(counts.values()))
    pieces = np.split(order[: ends[-1]], ends[:-1])
    return {name: torch.from_numpy(np.sort(piece)) for name, piece in zip(counts, pieces, strict=True)}


def _count(name: str, size: int | float, n: int) -> int:
    if not isinstance(size, bool) and isinstance(size, int) and size >= 1:
        return size
    if isinstance(size, float) and 0 < size <= 1 and (count := math.floor(size * n + 1e-9)) >= 1:
        return count
    raise ValueError(f"sizes: {name} got {size!r}, allowed are counts >= 1 or fractions in (0, 1] of {n} items")


def _shuffled(n: int, labels: np.ndarray | None, seeds: Seeds) -> np.ndarray:
    """All indices in random order.

    With labels, each class is spread evenly over it, so every stretch has the classes in proportion.
    """
    rng = seeds.numpy()
    order = rng.permutation(n)
    if labels is None:
        return order
    place = np.empty(n)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(place, kind="stable")
