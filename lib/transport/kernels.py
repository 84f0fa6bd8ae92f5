"""Distances between weighted point clouds that need no coupling: squared MMD, energy distance, sliced transport.

All take clouds of unequal sizes and weights; weights of zero are padding. All but the sliced distance take stacks of clouds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from ot.lp import wasserstein_1d
from torch import Tensor

from lib.seeds import Seeds

Kernel = Callable[[Float[Tensor, "*stack n d"], Float[Tensor, "*stack m e"]], Float[Tensor, "*stack n m"]]

CLOSE = 1e-4  # of |x|^2 + |y|^2: distances below lose digits in the matrix product, so they are computed from differences
PAIRS = 1 << 22  # numbers in the differences of pairs that are computed together


class _SquaredDistances(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):  # noqa: ANN001, ANN205
        ctx.save_for_backward(x, y)
        centre = y.mean(-2, keepdim=True, dtype=torch.float64)
        u, v = x - centre, y - centre
        sizes = u.square().sum(-1)[..., :, None] + v.square().sum(-1)[..., None, :]
        squares = (u @ v.mT).mul_(-2).add_(sizes)
        close = (squares <= sizes.mul_(CLOSE)).nonzero()
        for index in close.split(max(1, PAIRS // max(x.shape[-1], 1))):
            stack, i, j = list(index.T[:-2]), index[:, -2], index[:, -1]
            squares[*stack, i, j] = (x[*stack, i].double() - y[*stack, j]).square().sum(-1)
        return squares.to(torch.promote_types(x.dtype, y.dtype))

    @staticmethod
    def backward(ctx, slope):  # noqa: ANN001, ANN205
        x, y = ctx.saved_tensors
        for_x = 2 * (slope.sum(-1, keepdim=True) * x - slope @ y) if ctx.needs_input_grad[0] else None
        for_y = 2 * (slope.sum(-2)[..., None] * y - slope.mT @ x) if ctx.needs_input_grad[1] else None
        return for_x, for_y


def squared_distances(x: Float[Tensor, "*stack n d"], y: Float[Tensor, "*stack m e"]) -> Float[Tensor, "*stack n m"]:
    """|x_i - y_j|^2 for all pairs, exactly 0 for identical rows; float64 inside, differentiable.

    A matrix product of centred points, and differences for the few pairs that lie close together, where the product would
    lose digits: so the relative error is about 1e-11 at any place and scale, at the speed of the product. Memory: n m numbers.
    Raises ValueError for points of different dimension.
    """
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"y: got points of dimension {y.shape[-1]}, allowed is {x.shape[-1]}, that of x")
    return _SquaredDistances.apply(x, y)


@dataclass(frozen=True)
class Gaussian:
    """k(x, y) = sum over bandwidths s of exp(-|x - y|^2 / (2 s^2)) [gretton2012]."""

    bandwidths: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not self.bandwidths or not all(math.isfinite(s) and s > 0 for s in self.bandwidths):
            raise ValueError(f"bandwidths: got {self.bandwidths}, allowed are finite numbers > 0, at least one")

    def __call__(self, x: Float[Tensor, "*stack n d"], y: Float[Tensor, "*stack m e"]) -> Float[Tensor, "*stack n m"]:
        """The kernel matrix."""
        squares = squared_distances(x, y)
        return sum((squares / (-2 * s * s)).exp() for s in self.bandwidths)


@dataclass(frozen=True)
class Riesz:
    """k(x, y) = -|x - y|^r for 0 < r < 2, conditionally positive definite; its gradient at x = y is taken as 0."""

    exponent: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.exponent < 2:
            raise ValueError(f"exponent: got {self.exponent}, allowed are 0 < exponent < 2")

    def __call__(self, x: Float[Tensor, "*stack n d"], y: Float[Tensor, "*stack m e"]) -> Float[Tensor, "*stack n m"]:
        """The kernel matrix."""
        squares = squared_distances(x, y)
        apart = squares > 0
        return -torch.where(apart, torch.where(apart, squares, 1).pow(self.exponent / 2), 0)


@dataclass(frozen=True)
class Linear:
    """k(x, y) = <x, y>: the squared MMD is the squared distance of the means."""

    def __call__(self, x: Float[Tensor, "*stack n d"], y: Float[Tensor, "*stack m e"]) -> Float[Tensor, "*stack n m"]:
        """The kernel matrix."""
        return x @ y.mT


def squared_mmd(
    x: Float[Tensor, "*stack n d"],
    y: Float[Tensor, "*stack m e"],
    a: Float[Tensor, "*stack k"] | None = None,
    b: Float[Tensor, "*stack l"] | None = None,
    *,
    kernel: Kernel = Riesz(),
    unbiased: bool = False,
) -> Float[Tensor, "*stack"]:
    """a^T K_xx a + b^T K_yy b - 2 a^T K_xy b for weights a, b that sum to one, uniform where None [gretton2012].

    `unbiased` leaves out the pairs of a point with itself and divides by n (n - 1) and m (m - 1): its mean over draws is the
    distance of the laws, so it may be negative. It needs uniform weights and two points on each side. Differentiable in
    points and weights. Raises ValueError for weights out of bounds, points of different dimension or not finite.
    """
    _check_points(x=x, y=y)
    if unbiased:
        return _unbiased(x, y, a, b, kernel)
    a, b = _weights("a", a, x), _weights("b", b, y)
    within = (_mean(kernel(points, points), w, w) for points, w in ((x, a), (y, b)))
    return sum(within) - 2 * _mean(kernel(x, y), a, b)


def energy_distance(
    x: Float[Tensor, "*stack n d"],
    y: Float[Tensor, "*stack m e"],
    a: Float[Tensor, "*stack k"] | None = None,
    b: Float[Tensor, "*stack l"] | None = None,
    *,
    exponent: float = 1.0,
) -> Float[Tensor, "*stack"]:
    """2 E|X - Y|^r - E|X - X'|^r - E|Y - Y'|^r, the squared MMD of the Riesz kernel [szekely2013]; errors as there."""
    return squared_mmd(x, y, a, b, kernel=Riesz(exponent))


def sliced_distance(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "m e"],
    a: Float[Tensor, " k"] | None = None,
    b: Float[Tensor, " l"] | None = None,
    *,
    seeds: Seeds,
    projections: int = 128,
    order: float = 2.0,
) -> Float[Tensor, ""]:
    """(mean over directions of W_p^p of the projected clouds)^(1/p), directions uniform on the sphere [bonneel2015].

    The same `seeds` give the same directions for all clouds of one dimension, so that differences between them have little
    noise. `order` is p >= 1. Differentiable in the points, with gradient 0 where the distance is 0. Clouds of equal size and
    uniform weights are sorted; others go through POT's one-dimensional solver. Raises ValueError as `squared_mmd` does.
    """
    _check_points(x=x, y=y)
    if projections < 1:
        raise ValueError(f"projections: got {projections}, allowed are whole numbers >= 1")
    if not (math.isfinite(order) and order >= 1):
        raise ValueError(f"order: got {order}, allowed are finite numbers >= 1")
    directions = torch.randn(x.shape[1], projections, generator=seeds.torch(), dtype=torch.float64)
    directions = (directions / directions.norm(dim=0)).to(x)
    left, right = x @ directions, y.to(x) @ directions
    if a is None and b is None and len(x) == len(y):
        powers = (left.sort(0).values - right.sort(0).values).abs().pow(order).mean()
    else:
        powers = wasserstein_1d(left, right, _weights("a", a, x), _weights("b", b, y), p=order).mean()
    return torch.where(powers > 0, torch.where(powers > 0, powers, 1).pow(1 / order), 0)


def _unbiased(x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None, kernel: Kernel) -> Tensor:
    for name, weights, points in (("a", a, x), ("b", b, y)):
        if weights is not None:
            raise ValueError(f"{name}: got weights, allowed for unbiased is None, uniform weights")
        if points.shape[-2] < 2:
            raise ValueError(f"unbiased: got {points.shape[-2]} point for {name}, allowed are two or more on each side")
    total = -2 * kernel(x, y).mean((-2, -1))
    for points in (x, y):
        k, n = kernel(points, points), points.shape[-2]
        total = total + (k.sum((-2, -1)) - k.diagonal(dim1=-2, dim2=-1).sum(-1)) / (n * (n - 1))
    return total


def _mean(k: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return (a[..., None, :] @ k @ b[..., None])[..., 0, 0]


def _check_points(**clouds: Tensor) -> None:
    (x, y), dimensions = clouds.values(), {name: points.shape[-1] for name, points in clouds.items()}
    for name, points in clouds.items():
        if points.shape[-2] == 0:
            raise ValueError(f"{name}: got no points, allowed is at least one")
        if not points.isfinite().all():
            raise ValueError(f"{name}: got {points[~points.isfinite()][0].item()}, allowed are finite coordinates")
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"y: got points of dimension {dimensions['y']}, allowed is {dimensions['x']}, that of x")


def _weights(name: str, weights: Tensor | None, points: Tensor) -> Tensor:
    n = points.shape[-2]
    if weights is None:
        return points.new_full(points.shape[:-1], 1 / n)
    if weights.shape != points.shape[:-1]:
        raise ValueError(f"{name}: got weights of shape {tuple(weights.shape)}, allowed is {tuple(points.shape[:-1])}")
    if not (weights.isfinite() & (weights >= 0)).all():
        raise ValueError(f"{name}: got weight {weights.min().item()}, allowed are finite weights >= 0")
    sums = weights.detach().double().sum(-1)
    slack = 1e-8 if weights.dtype == torch.float64 else 1e-5
    if (bad := sums[(sums - 1).abs() > slack]).numel():
        raise ValueError(f"{name}: got weights of sum {bad.flatten()[0].item():.10g}, allowed is 1")
    return weights.to(points)
