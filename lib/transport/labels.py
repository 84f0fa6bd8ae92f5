"""Labelled data sets, and the squared distances between their classes, each class as a law over the features."""

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.seeds import Seeds
from lib.transport.couplings import couple
from lib.transport.gaussian import class_gaussians, squared_bound, squared_bures, squared_diagonal, squared_means
from lib.transport.kernels import squared_distances

# Distances of two classes from their moments, and the fewest samples that a class must have for them.
OF_MOMENTS = {"gaussian": (squared_bures, 2), "diagonal": (squared_diagonal, 2), "bound": (squared_bound, 2),
              "means": (squared_means, 1)}  # fmt: skip
METHODS = ("gaussian", "diagonal", "exact", "bound", "means")


@dataclass(frozen=True, eq=False)
class LabelledData:
    """n samples of C classes; make one with `labelled`, which checks it.

    `features` [n, d]; `labels` [n] in 0..C-1, each class with a sample or more; `names`: what the C classes are called;
    `weights` [n], positive in each class and of sum 1, or None for 1/n each.
    """

    features: Float[Tensor, "n d"]
    labels: Int[Tensor, " n"]
    names: tuple[Hashable, ...]
    weights: Float[Tensor, " n"] | None = None

    @property
    def classes(self) -> int:
        """How many classes there are, C."""
        return len(self.names)

    @property
    def counts(self) -> Int[Tensor, " C"]:
        """Samples of each class."""
        return torch.bincount(self.labels, minlength=self.classes)

    @property
    def one_hot(self) -> Float[Tensor, "n C"]:
        """The labels as corners of the simplex."""
        return torch.nn.functional.one_hot(self.labels, self.classes).to(self.features.dtype)

    def of_class(self, label: int) -> tuple[Float[Tensor, "k d"], Float[Tensor, " k"] | None]:
        """Features of one class in float64, and its weights, of sum 1."""
        rows = (self.labels == label).nonzero()[:, 0]
        weights = None if self.weights is None else self.weights[rows].double()
        return self.features[rows].double(), None if weights is None else weights / weights.sum()

    def take(self, rows: Int[Tensor, " k"]) -> "LabelledData":
        """The samples at `rows`, weights scaled to sum 1; classes that are left without a sample are gone."""
        present, labels = torch.unique(self.labels[rows], return_inverse=True)
        weights = None if self.weights is None else self.weights[rows] / self.weights[rows].sum()
        return LabelledData(self.features[rows], labels, tuple(self.names[c] for c in present.tolist()), weights)

    def subsample(self, n: int, seeds: Seeds, balanced: bool = False) -> "LabelledData":
        """n samples drawn without replacement, in stored order; `balanced`: as equal parts of the classes as there are.

        A class smaller than its part gives all it has and the others share the rest. Raises ValueError for n outside
        1..len(features).
        """
        total, generator = len(self.labels), seeds.torch()
        if not 1 <= n <= total:
            raise ValueError(f"n: got {n}, allowed are 1 to {total}, the samples there are")
        order = torch.randperm(total, generator=generator).to(self.labels.device)
        if balanced:
            turn = torch.empty_like(order)  # the how-manieth of its class a sample is: the first of each class, the second, ...
            for label in range(self.classes):
                mine = self.labels[order] == label
                turn[mine] = torch.arange(int(mine.sum()), device=turn.device)
            lots = torch.randperm(self.classes, generator=generator).to(turn.device)  # who gives the odd samples
            order = order[torch.argsort(turn * self.classes + lots[self.labels[order]])]
        return self.take(order[:n].sort().values)


def labelled(features: Tensor, labels: Tensor | np.ndarray | Sequence, weights: Tensor | None = None) -> LabelledData:
    """A checked data set of features [n, d] and n labels: whole numbers, strings or booleans, in any range.

    Classes are numbered in the sorted order of their names. `weights` [n] >= 0 of sum 1 replace 1/n each.

    Raises:
        TypeError: labels that are fractions, or of kinds that cannot be sorted among each other.
        ValueError: features that are no float32 or float64 matrix, empty, not finite or too large to square; another
            number of labels or weights; weights that are negative, do not sum to 1 or leave a class without any.
    """
    _check_features(features)
    names, numbers = _factorised(labels)
    if len(numbers) != len(features):
        raise ValueError(f"labels: got {len(numbers)}, allowed is one for each of {len(features)} rows of features")
    placed = torch.from_numpy(numbers).to(features.device)
    if weights is not None:
        _check_weights(weights, features, placed, names)
    return LabelledData(features, placed, names, weights)


def _check_features(features: Tensor) -> None:
    if features.dim() != 2 or features.numel() == 0:
        raise ValueError(f"features: got shape {tuple(features.shape)}, allowed is (n, d), both at least 1")
    if features.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"features: got {features.dtype}, allowed are torch.float32 and torch.float64")
    if not (finite := features.isfinite()).all():
        row, column = (~finite).nonzero()[0].tolist()
        raise ValueError(
            f"features: got {features[row, column].item()} at row {row}, column {column}, allowed are finite numbers"
        )
    limit = (torch.finfo(features.dtype).max / features.shape[1]) ** 0.5 / 8
    if (largest := float(features.detach().abs().max())) > limit:
        raise ValueError(f"features: got {largest:.3g}, allowed is up to {limit:.3g}, so that squared distances are finite")


def _factorised(labels: Tensor | np.ndarray | Sequence) -> tuple[tuple[Hashable, ...], np.ndarray]:
    """Sorted class names and each sample's class number."""
    values = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if values.ndim != 1:
        raise ValueError(f"labels: got shape {values.shape}, allowed is (n,), one label for each sample")
    if values.dtype.kind in "USO":  # an array of one of these may have come from labels of several kinds
        _check_kinds(labels)
    if values.dtype.kind == "f":
        if not (np.isfinite(values) & (values == np.round(values)) & (np.abs(values) < 2.0**53)).all():
            raise TypeError("labels: got fractions, not finite or huge numbers, allowed are whole numbers and strings")
        values = values.astype(np.int64)
    if values.dtype.kind not in "biuUSOT":
        raise TypeError(f"labels: got {values.dtype}, allowed are whole numbers and strings")
    names, numbers = np.unique(values, return_inverse=True)
    return tuple(names.tolist()), numbers.astype(np.int64)


def _check_kinds(labels: np.ndarray | Sequence) -> None:
    """TypeError unless the labels can be sorted among each other, as those of one kind can."""
    kinds = sorted({"number" if isinstance(label, int | float | np.number) else type(label).__name__ for label in labels})
    if len(kinds) > 1:
        raise TypeError(f"labels: got {' and '.join(kinds)} among each other, allowed are labels of one kind")


def _check_weights(weights: Tensor, features: Tensor, labels: Tensor, names: tuple[Hashable, ...]) -> None:
    """Weights of the features' length, dtype and device that make a law with some mass in each class."""
    n, dtype, device = len(features), features.dtype, features.device
    if weights.shape != (n,) or weights.dtype != dtype or weights.device != device:
        got = f"shape {tuple(weights.shape)}, {weights.dtype} on {weights.device}"
        raise ValueError(f"weights: got {got}, allowed is ({n},), {dtype} on {device} as the features")
    if not (weights >= 0).all():
        raise ValueError(f"weights: got {weights.min().item():.3g}, allowed are numbers >= 0")
    total, tolerance = float(weights.detach().double().sum()), 1e-8 if dtype == torch.float64 else 1e-5
    if not abs(total - 1) <= tolerance:
        raise ValueError(f"weights: got sum {total:.10g}, allowed is 1 within {tolerance:g}")
    mass = weights.detach().new_zeros(len(names)).index_add(0, labels, weights.detach())
    if (mass == 0).any():
        raise ValueError(f"weights: class {names[int(mass.argmin())]!r} has none, allowed are classes with positive weight")


def pool(sets: Sequence[LabelledData]) -> LabelledData:
    """All samples of several sets as one; classes stay apart, set by set, under the names (set, name).

    Thus `label_distances(p, p)` of the pooled sets p is the table between all classes of all sets. Raises ValueError for no
    sets, for weighted ones and for sets that do not fit each other.
    """
    if not sets or any(data.weights is not None for data in sets):
        raise ValueError("sets: got none or weighted ones, allowed are one or more with weights 1/n")
    for data in sets[1:]:
        check_pair(sets[0], data)
    starts = np.cumsum([0, *(data.classes for data in sets)]).tolist()
    labels = torch.cat([data.labels + start for data, start in zip(sets, starts, strict=False)])
    names = tuple((number, name) for number, data in enumerate(sets) for name in data.names)
    return LabelledData(torch.cat([data.features for data in sets]), labels, names)


def check_pair(left: LabelledData, right: LabelledData) -> None:
    """Both sets have the same number of features, dtype and device (ValueError)."""
    for name, one, other in (
        ("number of features", left.features.shape[1], right.features.shape[1]),
        ("dtype", left.features.dtype, right.features.dtype),
        ("device", left.features.device, right.features.device),
    ):
        if one != other:
            raise ValueError(f"right: got {name} {other}, the left data set has {one}, allowed is the same")


def usable(data: LabelledData, method: str) -> LabelledData:
    """The data without classes of fewer than two samples, if a distance needs their covariances; UserWarning names them.

    `data` itself if there are none. Raises ValueError for an unknown method and when no class remains.
    """
    if method not in METHODS:
        raise ValueError(f"method: got {method!r}, allowed are {', '.join(METHODS)}")
    least = OF_MOMENTS[method][1] if method in OF_MOMENTS else 1
    small = data.counts < least
    if not small.any():
        return data
    names = ", ".join(repr(data.names[c]) for c in small.nonzero()[:, 0].tolist())
    if small.all():
        raise ValueError(f"labels: every class ({names}) has fewer than {least} samples, allowed is another method: exact, means")
    warnings.warn(f"dropped: class {names} with fewer than {least} samples, which {method!r} needs", UserWarning, stacklevel=3)
    return data.take((~small[data.labels]).nonzero()[:, 0])


def label_distances(
    left: LabelledData, right: LabelledData, method: str = "gaussian", *, half: bool = False, unbiased: bool = True
) -> Float[Tensor, "C D"]:
    """Squared distances between the classes of two data sets [alvarezmelis2020]: W2^2 of their laws, or a stand-in for it.

    "exact": W2^2 of the empirical laws. "gaussian": W2^2 of Gaussians with their moments, a lower bound of "exact" for
    population covariances (`unbiased=False`; the usual division by n - 1 can lift it above, by up to n / (n - 1))
    [gelbrich1990]. "diagonal": the same of covariances cut to their diagonals. "means": between the means alone, below all.
    "bound": |m - k|^2 + tr S + tr T, above all, and above 0 for a class and itself. `half` halves the table. Computed in
    float64 and given in the features' dtype. If `left is right`, all but "bound" have a diagonal of exact zeros.

    Classes with fewer than two samples are dropped, with a UserWarning, by the methods that need covariances: C and D count
    what `usable` leaves. Differentiable in the features. Raises ValueError for data sets that do not fit each other.
    """
    check_pair(left, right)
    same = left is right
    left = usable(left, method)
    right = left if same else usable(right, method)
    if method == "exact":
        table = _exact(left, right)
    else:
        ours = class_gaussians(left.features, left.labels, left.classes, left.weights, unbiased)
        theirs = ours if same else class_gaussians(right.features, right.labels, right.classes, right.weights, unbiased)
        table = OF_MOMENTS[method][0](ours, theirs)
    return (table / 2 if half else table).to(left.features.dtype)


def _exact(left: LabelledData, right: LabelledData) -> Float[Tensor, "C D"]:
    """W2^2 between the clouds of each pair of classes; of one set with itself, half of them are solved."""
    ours = [left.of_class(c) for c in range(left.classes)]
    theirs = ours if left is right else [right.of_class(k) for k in range(right.classes)]
    table = [[left.features.new_zeros((), dtype=torch.float64)] * len(theirs) for _ in ours]
    for c, (x, a) in enumerate(ours):
        for k, (y, b) in enumerate(theirs):
            if left is not right or k > c:
                table[c][k] = couple(squared_distances(x, y), a, b, method="exact").value
            else:
                table[c][k] = table[k][c] if k < c else table[c][c]
    return torch.stack([torch.stack(row) for row in table])
