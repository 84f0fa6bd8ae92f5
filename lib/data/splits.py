"""Disjoint random splits of n items, the same for the same seed."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int64
from sklearn.model_selection import train_test_split
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
            labels of another length, or a class too small to be stratified.
    """
    counts = {name: _count(name, size, n) for name, size in sizes.items()}
    if not counts or sum(counts.values()) > n:
        raise ValueError(f"sizes: got {dict(sizes)}, allowed are named sizes that add to at most {n}")
    labels = None if stratify is None else stratify.cpu().numpy()
    if labels is not None and labels.shape != (n,):
        raise ValueError(f"stratify: got shape {labels.shape}, allowed is one label for each of {n} items")
    chosen, rest = {}, np.arange(n)
    for name, count in counts.items():
        taken, rest = _take(rest, count, labels, seeds.child(name))
        chosen[name] = torch.from_numpy(np.sort(taken))
    return chosen


def _count(name: str, size: int | float, n: int) -> int:
    if not isinstance(size, bool) and isinstance(size, int) and size >= 1:
        return size
    if isinstance(size, float) and 0 < size <= 1 and (count := math.floor(size * n + 1e-9)) >= 1:
        return count
    raise ValueError(f"sizes: {name} got {size!r}, allowed are counts >= 1 or fractions in (0, 1] of {n} items")


def _take(rest: np.ndarray, count: int, labels: np.ndarray | None, seeds: Seeds) -> tuple[np.ndarray, np.ndarray]:
    """`count` of the indices in `rest`, and those that stay."""
    if count == len(rest):
        return rest, rest[:0]
    classes = None if labels is None else labels[rest]
    state = np.random.RandomState(np.random.MT19937(seeds.sequence()))
    try:
        taken, stay = train_test_split(rest, train_size=count, stratify=classes, random_state=state)
    except ValueError as error:
        raise ValueError(f"stratify: {error}") from None
    return taken, stay
