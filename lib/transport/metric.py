"""The (2, Q)-transport metric: squared distances between data sets, measured through their maps from one base."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lib.transport.geodesics import SoftCloud, check_same_base
from lib.transport.weights import BestWeights, best_weights, predicted_distance


@dataclass(frozen=True, eq=False)
class TransportMetric:
    """Squared (2, Q)-distances among m data sets and from each to the base, features and labels apart.

    `feature_parts`, `label_parts` [m + 1, m + 1]: member 0 is the base Q, member i + 1 is P_i; not weighted, diagonals zero.
    `lam_x`, `lam_y`: their weights in the cost. `half`: whether everything is halved.
    """

    feature_parts: Float[Tensor, "k k"]
    label_parts: Float[Tensor, "k k"]
    lam_x: float | int
    lam_y: float | int
    half: bool

    @property
    def squared(self) -> Float[Tensor, "k k"]:
        """lam_x E_Q |T_i - T_j|^2 + lam_y E_Q W2(alpha_{y_i}, alpha_{y_j}), halved if so chosen."""
        return (self.lam_x * self.feature_parts + self.lam_y * self.label_parts) / (2 if self.half else 1)

    @property
    def linear(self) -> Float[Tensor, "m"]:
        """w_i = W2_{2,Q}(P_i, Q), squared."""
        return self.squared[0, 1:]

    @property
    def pairwise(self) -> Float[Tensor, "m m"]:
        """M_ij = W2_{2,Q}(P_i, P_j), squared."""
        return self.squared[1:, 1:]

    def distance(self, weights: Float[Tensor, "*batch m"]) -> Float[Tensor, "*batch"]:
        """Predicted squared distance f(a) = w.a - a.M a / 2 from the mixture P_a to the base, for one or many weights."""
        return predicted_distance(weights.to(self.feature_parts), self.linear, self.pairwise)

    def best(self) -> BestWeights:
        """The weights of the hull's point nearest to the base; see `best_weights`."""
        return best_weights(self.linear, self.pairwise)


def transport_metric(
    base: SoftCloud,
    maps: Sequence[SoftCloud],
    table: Float[Tensor, "L K"] | None = None,
    *,
    lam_x: float | int = 1.0,
    lam_y: float | int = 1.0,
    half: bool = False,
) -> TransportMetric:
    """Squared (2, Q)-distances lam_x E_Q |T_i - T_j|^2 + lam_y E_Q y~_i . table . y~_j of all pairs, base included [fan2023].

    `maps`: the base's projections on each source, rows in its order. `table`: squared label distances between all classes,
    the base's first and then each source's in order, L = C_Q + sum C_i; it may be left out only with lam_y = 0. Both w and
    M come from these same projections; a coupling's own cost is larger than w by the variance that a projection averages out.
    The label term is bilinear in the soft labels. Equal soft labels that are not one-hot would get a distance above zero from
    it, so the diagonal is zero by definition.
    Errors: ValueError for negative or both zero lambdas, maps that do not fit the base, and a table of another size, not
    symmetric, negative or not finite.
    """
    _check_lambdas(lam_x, lam_y)
    clouds = (base, *maps)
    check_same_base(clouds)
    if len(clouds) == 1:
        raise ValueError("maps: got none, allowed is one or more")
    features = _feature_parts(clouds)
    if lam_y == 0 and table is None:
        return TransportMetric(features, torch.zeros_like(features), lam_x, lam_y, half)
    widths = [cloud.labels.shape[1] for cloud in clouds]
    return TransportMetric(features, _label_parts(clouds, _checked(table, sum(widths)), widths), lam_x, lam_y, half)


def _feature_parts(clouds: Sequence[SoftCloud]) -> Float[Tensor, "k k"]:
    """E_Q |T_i - T_j|^2 from the differences themselves: no cancellation, equal maps have distance zero."""
    mass, k = clouds[0].mass, len(clouds)
    parts = mass.new_zeros(k, k)
    for i in range(k):
        for j in range(i):
            parts[i, j] = parts[j, i] = mass @ (clouds[i].features - clouds[j].features).square().sum(1)
    return parts


def _label_parts(clouds: Sequence[SoftCloud], table: Tensor, widths: list[int]) -> Float[Tensor, "k k"]:
    """sum_cd table_cd E_Q y~_ic y~_jd, the expectations of all pairs of classes at once."""
    labels = torch.cat([cloud.labels for cloud in clouds], dim=1)
    joint = (labels * clouds[0].mass[:, None]).T @ labels
    rows = (joint * table.to(joint)).split(widths, dim=0)
    parts = torch.stack([torch.stack([cell.sum() for cell in row.split(widths, dim=1)]) for row in rows])
    return (parts + parts.T) / 2 * (1 - torch.eye(len(parts), dtype=parts.dtype, device=parts.device))


def _check_lambdas(lam_x: float | int, lam_y: float | int) -> None:
    for name, value in (("lam_x", lam_x), ("lam_y", lam_y)):
        if not 0 <= value < float("inf"):
            raise ValueError(f"{name}: got {value}, allowed are finite numbers >= 0")
    if lam_x == lam_y == 0:
        raise ValueError("lam_x, lam_y: both are 0, allowed is at most one of them")


def _checked(table: Tensor | None, size: int) -> Tensor:
    if table is None or table.shape != (size, size):
        got = "none" if table is None else tuple(table.shape)
        raise ValueError(f"table: got {got}, allowed is ({size}, {size}): the base's classes, then each source's")
    if not table.isfinite().all() or table.min() < 0:
        raise ValueError("table: got a negative value or one that is not finite, allowed are finite squared distances")
    tolerance = (1e-8 if table.dtype == torch.float64 else 1e-4) * table.max().item()
    if (apart := (table - table.T).abs().max().item()) > tolerance:
        raise ValueError(f"table: differs from its transpose by {apart:.3g}, allowed is a symmetric one")
    return table
