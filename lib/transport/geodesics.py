"""Data sets between data sets: projections along couplings, generalised geodesics, displacement interpolation, mixup.

Notation: Q is the base with n points; P_i is source i with m_i points and C_i classes; pi_i [n, m_i] couples Q with P_i.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.seeds import Seeds
from lib.transport.certificates import plan_entries
from lib.transport.labels import LabelledData
from lib.transport.weights import check_weights

METHODS = ("barycentric", "hard")


@dataclass(frozen=True, eq=False)
class SoftCloud:
    """Weighted points with soft labels.

    `features` [n, d]. `labels` [n, C]: rows >= 0 that sum to one. `mass` [n]: sums to one. `blocks`: how the C columns
    divide into label sets, one entry for each data set that was mixed; a shared class name stays in separate blocks.
    """

    features: Float[Tensor, "n d"]
    labels: Float[Tensor, "n C"]
    mass: Float[Tensor, "n"]
    blocks: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: Int[Tensor, "k"]) -> "SoftCloud":
        """The points with these row numbers, their mass scaled to one."""
        mass = self.mass[rows]
        return SoftCloud(self.features[rows], self.labels[rows], mass / mass.sum(), self.blocks)


def soft_cloud(data: LabelledData) -> SoftCloud:
    """A labelled data set as a cloud with one-hot labels, mass 1/n or the data's own weights."""
    mass = _uniform(data.features) if data.weights is None else data.weights
    return SoftCloud(data.features, data.one_hot, mass, (data.classes,))


def project(plan: Float[Tensor, "n m"], cloud: SoftCloud, method: str = "barycentric") -> SoftCloud:
    """The image of the base under a coupling: x~_j = sum_k pi(k | j) x_k, and the same for soft labels [fan2023].

    `plan` need not be normalised; the result's mass is that of its rows. `hard` sends each base point to the one source
    point that gets most of it (the first of several). Row j of every projection from the same base belongs to base point j.
    Errors: ValueError for an unknown method, a plan whose width is not the cloud's, that is negative or not finite
    anywhere, or has a row without mass.
    """
    if method not in METHODS:
        raise ValueError(f"method: got {method!r}, allowed are {', '.join(METHODS)}")
    check_plan(plan, plan.shape[0], len(cloud))
    rows = _row_sums(plan)
    mass = (rows / rows.sum()).to(cloud.features)
    if method == "hard":
        to = _fullest(plan)
        return SoftCloud(cloud.features[to], cloud.labels[to], mass, cloud.blocks)
    share = (plan * (1 / rows).unsqueeze(1) if plan.is_sparse else plan / rows.unsqueeze(1)).to(cloud.features)
    return SoftCloud(share @ cloud.features, share @ cloud.labels, mass, cloud.blocks)


def interpolate(clouds: Sequence[SoftCloud], weights: Float[Tensor, "m"]) -> SoftCloud:
    """The point P_a of the generalised geodesic hull: x_j = sum_i a_i x~^i_j, labels (a_1 y~^1_j, ..., a_m y~^m_j) [fan2023].

    `clouds`: the projections of one base, rows in its order. The label columns are the union of all label sets.
    Errors: ValueError for no clouds, clouds of different sizes, dimensions or masses, or weights off the simplex.
    """
    check_same_base(clouds)
    check_weights(weights, len(clouds))
    a = weights.to(clouds[0].features)
    features = torch.stack([cloud.features for cloud in clouds], -1) @ a
    labels = torch.cat([share * cloud.labels for share, cloud in zip(a, clouds, strict=True)], dim=1)
    return SoftCloud(features, labels, clouds[0].mass, _joined(clouds))


def displacement(left: SoftCloud, right: SoftCloud, plan: Float[Tensor, "n m"], t: float | int) -> SoftCloud:
    """McCann's interpolation of two data sets: the points (1 - t) x_j + t x'_k with the mass pi_jk of the coupling [mccann1997].

    For an optimal plan of the squared distance it has constant speed, W_2(P_s, P_t) = |t - s| W_2(P_0, P_1), whether the
    plan is a permutation or not. Labels are the block vectors ((1 - t) y_j, t y'_k).
    Errors: ValueError for t outside 0..1, different dimensions, and for plans as in `project`.
    """
    if not 0 <= t <= 1:
        raise ValueError(f"t: got {t}, allowed is 0 to 1")
    check_plan(plan, len(left), len(right))
    _check_dimensions((left, right))
    j, k, mass = plan_entries(plan)
    mass = (mass / mass.sum()).to(left.features)
    features = torch.lerp(left.features[j], right.features[k], t)
    labels = torch.cat([(1 - t) * left.labels[j], t * right.labels[k]], dim=1)
    return SoftCloud(features, labels, mass, left.blocks + right.blocks)


def mixup(clouds: Sequence[SoftCloud], weights: Float[Tensor, "m"], count: int, seeds: Seeds) -> SoftCloud:
    """`count` points sum_i a_i x^i with an independent draw from every source and no coupling: what geodesics are held against.

    The labels are block vectors as in `interpolate` [zhang2018]. Each source draws from its own stream below `seeds`.
    Errors: ValueError for a count below 1, no clouds, different dimensions, or weights off the simplex.
    """
    if count < 1:
        raise ValueError(f"count: got {count}, allowed are whole numbers >= 1")
    _check_dimensions(clouds)
    check_weights(weights, len(clouds))
    drawn = []
    for i, cloud in enumerate(clouds):
        generator = seeds.child("source", i).torch(cloud.mass.device)
        rows = torch.multinomial(cloud.mass, count, replacement=True, generator=generator)
        features = cloud.features[rows]
        drawn.append(SoftCloud(features, cloud.labels[rows], _uniform(features), cloud.blocks))
    return interpolate(drawn, weights)


def check_plan(plan: Float[Tensor, "n m"], rows: int, columns: int) -> None:
    """ValueError unless `plan`, dense or sparse, is [rows, columns], finite and >= 0 with mass in every row."""
    if plan.shape != (rows, columns):
        raise ValueError(f"plan: got shape {tuple(plan.shape)}, allowed is ({rows}, {columns})")
    values = plan.coalesce().values() if plan.is_sparse else plan
    if not values.isfinite().all():
        raise ValueError("plan: got a value that is not finite, allowed are finite numbers >= 0")
    if values.numel() == 0 or values.min() < 0:
        raise ValueError(f"plan: got {values.min().item() if values.numel() else 'no entries'}, allowed are numbers >= 0")
    empty = (_row_sums(plan) == 0).nonzero().flatten()
    if len(empty):
        raise ValueError(f"plan: row {empty[0].item()} has no mass, allowed is some in every row")


def _row_sums(plan: Float[Tensor, "n m"]) -> Float[Tensor, "n"]:
    return plan.sum(1).to_dense() if plan.is_sparse else plan.sum(1)


def _fullest(plan: Float[Tensor, "n m"]) -> Int[Tensor, "n"]:
    """The column with most mass in each row, the first of several."""
    if not plan.is_sparse:
        return plan.argmax(1)
    j, k, mass = plan_entries(plan)
    most = mass.new_zeros(plan.shape[0]).scatter_reduce(0, j, mass, "amax")
    full = mass == most[j]
    return k.new_full((plan.shape[0],), plan.shape[1]).scatter_reduce(0, j[full], k[full], "amin")


def check_same_base(clouds: Sequence[SoftCloud]) -> None:
    """ValueError unless the clouds have as many points of the same dimension and mass, as projections of one base do."""
    _check_dimensions(clouds)
    first = clouds[0]
    for i, cloud in enumerate(clouds):
        if len(cloud) != len(first):
            raise ValueError(f"clouds: number {i} has {len(cloud)} points, number 0 {len(first)}, allowed is one base for all")
        if not torch.allclose(cloud.mass, first.mass, rtol=1e-4, atol=1e-6 / len(first)):
            raise ValueError(f"clouds: number {i} has other masses than number 0, allowed is one base for all")


def _check_dimensions(clouds: Sequence[SoftCloud]) -> None:
    if not clouds:
        raise ValueError("clouds: got none, allowed is one or more")
    widths = [cloud.features.shape[1] for cloud in clouds]
    if len(set(widths)) > 1:
        raise ValueError(f"clouds: got dimensions {widths}, allowed is one for all")


def _joined(clouds: Sequence[SoftCloud]) -> tuple[int, ...]:
    return tuple(block for cloud in clouds for block in cloud.blocks)


def _uniform(features: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    return features.new_full((len(features),), 1 / len(features))
