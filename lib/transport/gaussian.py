"""Gaussian laws in factor form, and the squared 2-Wasserstein (Bures) distances between all pairs of them.

A law is N(m, A A^T) with any factor A [d, r]. For a class of n samples the centred samples, divided by the root of n - 1,
are such a factor, so that no covariance is formed and everything is exact for singular classes too:

    W2^2(N(m, A A^T), N(k, B B^T)) = |m - k|^2 + |A|_F^2 + |B|_F^2 - 2 |A^T B|_*

The nuclear norm |A^T B|_* is the trace of the matrix root in the usual formula [gelbrich1990]; A^T B has r x s entries, far
fewer than d x d for few samples of many features. It is the sum of singular values, not of roots of eigenvalues of the
Gram matrix: those lose half the digits of the small ones and were measured no more than 1.2 times as fast.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

AT_ONCE = 1 << 23  # entries of the cross products held at once: 64 MB in float64
ALIKE = 1e-4  # part of the traces below which a distance is computed again without cancellation


@dataclass(frozen=True, eq=False)
class Gaussians:
    """C laws N(m_c, A_c A_c^T) over d features, float64: `means` [C, d] and `factors` A_c [d, r_c], r_c as it comes."""

    means: Float[Tensor, "C d"]
    factors: tuple[Float[Tensor, "d _"], ...]

    @property
    def traces(self) -> Float[Tensor, " C"]:
        """Total variance of each law, tr(A A^T) = |A|_F^2."""
        return torch.stack([factor.square().sum() for factor in self.factors])

    @property
    def deviations(self) -> Float[Tensor, "C d"]:
        """Standard deviation of each feature, the root of the covariance's diagonal (its gradient is 0 where it is 0)."""
        return torch.stack([torch.linalg.vector_norm(factor, dim=1) for factor in self.factors])


def class_gaussians(
    features: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    classes: int,
    weights: Float[Tensor, " n"] | None = None,
    unbiased: bool = True,
) -> Gaussians:
    """Mean and covariance factor of each class 0..classes-1; every class needs a sample of positive weight.

    With weights w that sum to 1 in the class, the covariance is sum_i w_i (x_i - m)(x_i - m)^T, divided by 1 - sum_i w_i^2
    if `unbiased`; for equal weights that is the usual division by n - 1, else by n. A class whose weight lies on one sample
    has covariance 0. Differentiable in `features`.
    """
    x = features.double()
    w = x.new_ones(len(x)) if weights is None else weights.detach().double()
    means, factors = [], []
    for label in range(classes):
        rows = (labels == label).nonzero()[:, 0]
        mean, factor = _moments(x[rows], w[rows], unbiased)
        means.append(mean)
        factors.append(_narrow(factor))
    return Gaussians(torch.stack(means), tuple(factors))


def _moments(x: Float[Tensor, "n d"], w: Float[Tensor, " n"], unbiased: bool) -> tuple[Tensor, Tensor]:
    """Mean [d] and factor [d, n] of one class."""
    w = w / w.sum()
    shifted = x - x[0].detach()  # so that equal samples have their value as mean, to the bit, and covariance 0
    mean = w @ shifted
    rest = float(1 - w.square().sum()) if unbiased else 1.0
    scale = w / rest if rest > 0 else torch.zeros_like(w)
    return x[0].detach() + mean, ((shifted - mean) * scale.sqrt()[:, None]).mT


def _narrow(factor: Float[Tensor, "d n"]) -> Float[Tensor, "d r"]:
    """A factor of the same covariance with at most d columns: R^T of the samples' QR decomposition."""
    d, n = factor.shape
    if n <= d:
        return factor
    if not factor.requires_grad:
        return torch.linalg.qr(factor.mT, mode="r").R.mT
    # Turned by a constant Q: the same values and first derivatives, and no derivative of Q, which singular classes lack.
    return factor @ torch.linalg.qr(factor.detach().mT).Q


def gaussians_of(means: Float[Tensor, "C d"], covariances: Float[Tensor, "C d d"]) -> Gaussians:
    """Laws with given moments, which may be singular. Not differentiable in the covariances.

    Raises:
        ValueError: moments that are not finite, or a covariance that is not symmetric or has an eigenvalue below -1e-6 of
            its trace (smaller negative ones are rounding and count as 0).
    """
    means, covariances = means.double(), covariances.detach().double()
    for name, value in (("means", means), ("covariances", covariances)):
        if not value.isfinite().all():
            raise ValueError(f"{name}: class {_first_class(~value.isfinite())} is not finite, allowed are finite numbers")
    largest = covariances.abs().amax((1, 2), keepdim=True)
    crooked = (covariances - covariances.mT).abs() > 1e-8 * largest
    if crooked.any():
        raise ValueError(f"covariances: class {_first_class(crooked)} is not symmetric, allowed are symmetric matrices")
    values, vectors = torch.linalg.eigh((covariances + covariances.mT) / 2)
    negative = values < -1e-6 * values.sum(1, keepdim=True).abs()
    if negative.any():
        c = _first_class(negative)
        raise ValueError(f"covariances: class {c} has eigenvalue {float(values[c, 0]):.3g}, allowed are eigenvalues >= 0")
    return Gaussians(means, tuple(vectors * values.clamp(min=0).sqrt()[:, None]))


def _first_class(bad: Tensor) -> int:
    return int(bad.nonzero()[0, 0])


def squared_diagonal(left: Gaussians, right: Gaussians) -> Float[Tensor, "C D"]:
    """W2^2 of the laws with covariances cut to their diagonals: |m - k|^2 + sum_f (s_f - t_f)^2, s and t the deviations."""
    ours, theirs = (torch.cat([law.means, law.deviations], 1) for law in (left, right))
    return torch.stack([(row - theirs).square().sum(1) for row in ours])


def squared_means(left: Gaussians, right: Gaussians) -> Float[Tensor, "C D"]:
    """|m - k|^2, a lower bound of W2^2."""
    return torch.stack([(row - right.means).square().sum(1) for row in left.means])


def squared_bound(left: Gaussians, right: Gaussians) -> Float[Tensor, "C D"]:
    """|m - k|^2 + tr S + tr T: W2^2 is never more, since that is the cost of the independent coupling."""
    return squared_means(left, right) + left.traces[:, None] + right.traces


def squared_bures(left: Gaussians, right: Gaussians) -> Float[Tensor, "C D"]:
    """W2^2 between each law of `left` and each of `right`, by the module's formula; float64, >= 0, never NaN.

    If `left is right`, the table is symmetric with a diagonal of zeros, both to the bit, at half the work. Differentiable;
    where singular values vanish, gradients are finite subgradients.
    """
    sums = left.traces[:, None] + right.traces
    spread = sums - 2 * _nuclear_norms(left.factors, right.factors, symmetric=left is right)
    if left is right:
        spread = spread.fill_diagonal_(0)
    alike = (spread < ALIKE * sums).nonzero().tolist()
    again = [(c, k) for c, k in alike if left is not right or c < k]
    if again:
        values = torch.stack([_turned_difference(left.factors[c], right.factors[k]) for c, k in again])
        rows, columns = torch.tensor(again, device=spread.device).T
        spread = spread.index_put((rows, columns), values)
        if left is right:
            spread = spread.index_put((columns, rows), values)
    return squared_means(left, right) + spread


def _turned_difference(a: Float[Tensor, "d r"], b: Float[Tensor, "d s"]) -> Float[Tensor, ""]:
    """|A|^2 + |B|^2 - 2 |A^T B|_* as min over orthogonal W of |A W - B|^2: without cancellation, so 0 for equal laws.

    Besides the best W it tries the identity, which is exact for equal factors.
    """
    width = max(a.shape[1], b.shape[1])
    a, b = (pad(factor, (0, width - factor.shape[1])) for factor in (a, b))
    with torch.no_grad():
        u, _, vh = torch.linalg.svd(a.mT @ b)
    turned, straight = (a @ (u @ vh) - b).square().sum(), (a - b).square().sum()
    return torch.minimum(turned, straight)


def _nuclear_norms(left: tuple[Tensor, ...], right: tuple[Tensor, ...], symmetric: bool) -> Float[Tensor, "C D"]:
    """|A^T B|_* for each A of `left` and B of `right`; if `symmetric`, only above the diagonal, then mirrored."""
    order = sorted(range(len(right)), key=lambda k: right[k].shape[1])
    place = {k: p for p, k in enumerate(order)}
    entries: list[list[Tensor]] = [[] for _ in left]  # of each row, in the order of `order`
    for columns in _batches(right, order, max(a.shape[1] for a in left)):
        packed = _pack([right[k] for k in columns])
        for c, a in enumerate(left):
            later = packed[sum(place[k] <= place[c] for k in columns) :] if symmetric else packed
            entries[c] += [_sums(a, later)] if len(later) else []
    if not symmetric:
        inverse = [place[k] for k in range(len(right))]
        return torch.stack([torch.cat(row)[inverse] for row in entries])
    table = right[0].new_zeros(len(left), len(left))
    for c, row in enumerate(entries):
        if row:
            others = torch.tensor(order[place[c] + 1 :], device=table.device)
            table = table.index_put((torch.full_like(others, c), others), torch.cat(row))
    return table + table.T


def _batches(factors: tuple[Tensor, ...], order: list[int], widest: int) -> Iterator[list[int]]:
    """Cut `order`, which ascends by width, into batches of about equal widths that fit into memory at once."""
    batch: list[int] = []
    for k in order:
        width = factors[k].shape[1]
        full = (len(batch) + 1) * width * widest > AT_ONCE
        if batch and (full or factors[batch[0]].shape[1] < 0.8 * width):
            yield batch
            batch = []
        batch.append(k)
    yield batch


def _pack(factors: list[Tensor]) -> Float[Tensor, "b s d"]:
    """Transposed factors of one batch, with rows of zeros up to the widest: they add singular values of 0."""
    width = max(factor.shape[1] for factor in factors)
    return torch.stack([pad(factor, (0, width - factor.shape[1])).mT for factor in factors])


def _sums(a: Float[Tensor, "d r"], packed: Float[Tensor, "b s d"]) -> Float[Tensor, " b"]:
    """|A^T B|_* for a batch of B, by one matrix product and the singular values of each piece."""
    b, s, _ = packed.shape
    cross = (packed.flatten(0, 1) @ a).view(b, s, a.shape[1])
    return torch.linalg.svdvals(cross).sum(-1)
