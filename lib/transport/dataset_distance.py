"""The optimal transport distance between labelled data sets, OTDD [alvarezmelis2020].

Samples are compared by their features, and their labels by how far the two classes lie apart as laws over the features:

    d^2((x, y), (x', y')) = lam_x |x - x'|^2 + lam_y W2^2(alpha_y, alpha_y')

The distance is the optimal value of transport under this cost, a squared one: its root is a metric. So data sets with
different label sets can be compared, and no classifier is trained.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lib.transport.couplings import Coupling, couple
from lib.transport.gaussian import class_gaussians
from lib.transport.kernels import squared_distances
from lib.transport.labels import METHODS, LabelledData, check_pair, label_distances, usable
from lib.transport.large import couple_clouds

SOLVERS = ("auto", "exact", "entropic")
AT_ONCE = 1 << 21  # entries of the cost that are computed together: 16 MB in float64
LARGE = (
    25_000_000  # entries of the cost above which it is not stored: 200 MB in float64, and three times that for solver and plan
)


@dataclass(frozen=True)
class Settings:
    """What a data set distance depends on besides the data.

    `lam_x`, `lam_y` >= 0, not both 0: weights of features and labels. `label_method`: see `label_distances`. `half`: the cost
    is halved, as in the public implementations of [alvarezmelis2020] and [fan2023]; it halves the value and the table, and
    changes no coupling. `unbiased`: covariances are divided by n - 1, not by n. Raises ValueError for values out of bounds.
    """

    lam_x: float = 1.0
    lam_y: float = 1.0
    label_method: str = "gaussian"
    half: bool = False
    unbiased: bool = True

    def __post_init__(self) -> None:
        for name, value in (("lam_x", self.lam_x), ("lam_y", self.lam_y)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name}: got {value}, allowed are finite numbers >= 0")
        if self.lam_x == self.lam_y == 0:
            raise ValueError("lam_x, lam_y: got 0 for both, allowed is 0 for one of them")
        if self.label_method not in METHODS:
            raise ValueError(f"label_method: got {self.label_method!r}, allowed are {', '.join(METHODS)}")


@dataclass(frozen=True, eq=False)
class DatasetDistance:
    """The distance of two data sets and what it came from.

    `value`: the squared distance. `coupling`: who is transported to whom, with its certificate; its rows and columns are the
    samples of `left` and `right`, which lack classes that `label_method` had to drop. `table` [C, D]: squared distances of
    their classes (None where lam_y is 0, nobody asked).
    """

    value: Float[Tensor, ""]
    coupling: Coupling
    table: Float[Tensor, "C D"] | None
    left: LabelledData
    right: LabelledData
    settings: Settings


def dataset_distance(
    left: LabelledData,
    right: LabelledData,
    settings: Settings = Settings(),
    *,
    table: Float[Tensor, "C D"] | None = None,
    method: str = "auto",
    epsilon: float | None = None,
) -> DatasetDistance:
    """The squared OTDD between two data sets, of any sizes and with any labels; uniform weights unless the data have others.

    `table` [C, D] replaces the label distances, such as one from all samples where the data are subsamples; it is given
    in full and halved here where `settings.half` is set. `method` auto, exact or entropic and `epsilon` (in units of the cost,
    so of a halved one) choose the solver, see `couple`: auto is exact unless `epsilon` is given. An entropic value is not the
    exact one; its certificate bounds the difference. Differentiable in the features and `table`.

    Memory: one matrix [n, m] for the cost and a few for solver and plan. Exact distances of more than `LARGE` pairs store
    no such matrix and give a sparse plan, see `couple_clouds`.

    Raises ValueError for data sets that do not fit each other, and for a table of another shape, negative or not finite;
    warns where classes are dropped, see `usable`.
    """
    check_pair(left, right)
    if method not in SOLVERS:
        raise ValueError(f"method: got {method!r}, allowed are {', '.join(SOLVERS)}")
    if table is not None:
        table = _checked_table(table, left, right) / (2 if settings.half else 1)
    elif settings.lam_y > 0:
        same = left is right
        left = usable(left, settings.label_method)
        right = left if same else usable(right, settings.label_method)
        table = label_distances(left, right, settings.label_method, half=settings.half, unbiased=settings.unbiased)
    if epsilon is None and method != "entropic" and len(left.features) * len(right.features) > LARGE:
        coupling = _large(left, right, table, settings)
    else:
        cost = ground_cost(left, right, table, settings)
        coupling = couple(cost, left.weights, right.weights, method=method, epsilon=epsilon)
    return DatasetDistance(coupling.value, coupling, table, left, right, settings)


def _large(left: LabelledData, right: LabelledData, table: Tensor | None, settings: Settings) -> Coupling:
    """The exact coupling without the cost matrix."""
    labels = (left.labels, right.labels) if settings.lam_y > 0 else None
    return couple_clouds(
        left.features, right.features, left.weights, right.weights, labels=labels, table=table if labels else None,
        lam_x=settings.lam_x / (2 if settings.half else 1), lam_y=settings.lam_y,
    )  # fmt: skip


def ground_cost(
    left: LabelledData, right: LabelledData, table: Float[Tensor, "C D"] | None, settings: Settings
) -> Float[Tensor, "n m"]:
    """lam_x |x - x'|^2 + lam_y table[y, y'] for all pairs of samples, features halved where `settings.half` is set.

    `table` follows `settings.half` already, as `label_distances` gives it. Memory: one matrix [n, m], filled by blocks of
    rows.
    """
    x, y, labels = left.features, right.features, right.one_hot.T

    def block(rows: slice) -> Tensor:
        if settings.lam_x > 0:
            cost = squared_distances(x[rows], y) * (settings.lam_x / (2 if settings.half else 1))
        else:
            cost = x.new_zeros(len(x[rows]), len(y))
        # Each entry of the product has one term, table[y_i, y'_j], and zeros: the table gathered, to the bit.
        return cost.addmm_(settings.lam_y * table[left.labels[rows]], labels) if settings.lam_y > 0 else cost

    cost, step = x.new_empty(len(x), len(y)), max(1, AT_ONCE // len(y))
    for start in range(0, len(x), step):
        cost[start : start + step] = block(slice(start, start + step))
    return cost


def augmented_features(data: LabelledData, settings: Settings = Settings(label_method="diagonal")) -> Float[Tensor, "n e"]:
    """Points whose plain squared distances are the ground cost with diagonal label distances [alvarezmelis2020].

    Each sample becomes (x, m_y, s_y), e = 3 d, with mean and standard deviations of its class, scaled by the roots of lam_x
    and lam_y (and 1/2). So the data set distance is W2^2 in that space, and any method for points can be used on it. It
    needs covariances that commute, hence the diagonal ones: ValueError for another `label_method`.
    """
    if settings.label_method != "diagonal":
        raise ValueError(f"label_method: got {settings.label_method!r}, allowed is diagonal")
    data = usable(data, "diagonal")
    law = class_gaussians(data.features, data.labels, data.classes, data.weights, settings.unbiased)
    of_class = torch.cat([law.means, law.deviations], 1).to(data.features.dtype)[data.labels]
    scale_x, scale_y = (math.sqrt(lam / (2 if settings.half else 1)) for lam in (settings.lam_x, settings.lam_y))
    return torch.cat([scale_x * data.features, scale_y * of_class], 1)


def _checked_table(table: Tensor, left: LabelledData, right: LabelledData) -> Float[Tensor, "C D"]:
    if table.shape != (left.classes, right.classes):
        raise ValueError(
            f"table: got shape {tuple(table.shape)}, allowed is {(left.classes, right.classes)}, the classes there are"
        )
    bad = ~(table.isfinite() & (table >= 0))
    if bad.any():
        raise ValueError(f"table: got {table[bad][0].item()}, allowed are finite squared distances >= 0")
    return table.to(left.features)
