"""Weights on a simplex: the best point of a hull of data sets, as a small quadratic programme."""

import warnings
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MOST_ENUMERATED = 6  # members up to which every support is solved: 63 systems of 7 equations
LAST_RESORT = 12  # members up to which that is done where descent did not converge: 4095 systems
FEASIBLE = 1e-9  # how negative an entry may come out of a linear system before its support is refused
BETWEEN_LOOKS = 25  # steps of projected gradient between looks at whether the supports are final
DONE = 1e-10  # first-order gap, relative to the programme's scale, that counts as converged
FINE, COARSE = 1e-8, 1e-5  # relative tolerance of checks, for float64 and for coarser types


@dataclass(frozen=True, eq=False)
class BestWeights:
    """A minimiser of f(a) = w.a - a.M a / 2 on the simplex, and how far to trust it.

    `weights` [m] and `value` f(a). `support`: the members with positive weight. `curvature`: the least eigenvalue of -M
    on the directions that sum to zero; f is convex on the simplex where it is not negative. `gap`: the largest first-order
    decrease, max_i grad f(a).(a - e_i), at least 0; where f is convex it bounds f(a) - min f. `method`: enumeration or
    projected gradient. `status`: "global", "local" (a stationary point of a programme that is not convex) or "not converged".
    """

    weights: Float[Tensor, "m"]
    value: Float[Tensor, ""]
    support: tuple[int, ...]
    curvature: float
    gap: float
    method: str
    status: str


def predicted_distance(
    weights: Float[Tensor, "*batch m"], linear: Float[Tensor, "m"], pairwise: Float[Tensor, "m m"]
) -> Float[Tensor, "*batch"]:
    """f(a) = w.a - a.M a / 2 for one or many mixing weights, unchecked: a product that an explorer can afford thousands of.

    With w_i = W2_{2,Q}(P_i, R) and M_ij = W2_{2,Q}(P_i, P_j), both squared, it is the squared distance from the mixture P_a
    to R, exactly so for features; R is the base Q or any other member of the hull [fan2023].
    """
    return weights @ linear - ((weights @ pairwise) * weights).sum(-1) / 2


def best_weights(linear: Float[Tensor, "m"], pairwise: Float[Tensor, "k l"], *, max_iterations: int = 5000) -> BestWeights:
    """The point of the hull nearest to the base: min over the simplex of w.a - a.M a / 2 [fan2023].

    Up to six members the stationary point of every support is found by its linear system, so the minimum is global even
    where f is not convex; above, projected gradient from every vertex and the centre, and up to twelve members the former
    where the latter does not converge. Of equal minima the most even wins.
    Computed in float64; results have the type and device of `linear`.

    Warns (UserWarning) where the curvature is below -1e-8 max |M| (-1e-5 below float64): label costs can make f non-convex.
    Errors: ValueError for entries that are not finite, a length that differs, a matrix that is not square or symmetric, or
    whose diagonal is not zero, and for max_iterations below 1.
    """
    if max_iterations < 1:
        raise ValueError(f"max_iterations: got {max_iterations}, allowed are whole numbers >= 1")
    w, matrix = _checked(linear, pairwise)
    scale = float(torch.cat([w.abs(), matrix.abs().flatten()]).max()) or 1.0
    least = curvature(matrix)
    convex = least >= -_tolerance(pairwise) * float(matrix.abs().max())
    if not convex:
        warnings.warn(
            f"pairwise: -M has curvature {least:.3g} on zero-sum directions, so the programme is not convex", stacklevel=2
        )
    w, matrix = w / scale, matrix / scale
    exact = len(w) <= MOST_ENUMERATED
    found = _best(_stationary_points(w, matrix) if exact else _descended(w, matrix, max_iterations), w, matrix)
    gap = _gap(found[None], w, matrix).item()
    if gap > DONE and not exact and len(w) <= LAST_RESORT:  # a flat programme, which descends too slowly
        exact, found = True, _best(_stationary_points(w, matrix), w, matrix)
        gap = _gap(found[None], w, matrix).item()
    global_one = exact or (gap <= DONE and convex)
    return BestWeights(
        weights=found.to(linear),
        value=(predicted_distance(found, w, matrix) * scale).to(linear),
        support=tuple(found.nonzero().flatten().tolist()),
        curvature=least,
        gap=gap * scale,
        method="enumeration" if exact else "projected gradient",
        status="global" if global_one else "local" if gap <= DONE else "not converged",
    )


def curvature(pairwise: Float[Tensor, "m m"]) -> float:
    """Least eigenvalue of -M on the directions that sum to zero; +inf for a single member, which has none."""
    m = len(pairwise)
    if m == 1:
        return float("inf")
    # The last m - 1 columns of this orthogonal matrix span the zero-sum directions: its first is the constant one.
    seed = torch.eye(m, dtype=pairwise.dtype, device=pairwise.device)
    seed[:, 0] = 1
    basis = torch.linalg.qr(seed).Q[:, 1:]
    return torch.linalg.eigvalsh(basis.T @ -pairwise @ basis)[0].item()


def check_weights(weights: Float[Tensor, "..."], members: int, name: str = "weights") -> None:
    """ValueError unless `weights` [..., members] are finite, >= 0 and sum to one (to 1e-8; 1e-5 below float64)."""
    if weights.dim() == 0 or weights.shape[-1] != members:
        raise ValueError(f"{name}: got shape {tuple(weights.shape)}, allowed is one weight for each of {members} members")
    if not (weights >= 0).all():
        raise ValueError(f"{name}: got {weights.min().item():.6g}, allowed are numbers >= 0")
    off = (weights.sum(-1) - 1).flatten()
    worst = off[off.abs().argmax()].item()
    if not abs(worst) <= _tolerance(weights):
        raise ValueError(f"{name}: got a sum of {1 + worst:.10g}, allowed is 1")


def simplex_grid(members: int, segments: int, dtype: torch.dtype = torch.float64) -> Float[Tensor, "G m"]:
    """All weights that are multiples of 1/segments: C(segments + m - 1, m - 1) rows, 28 for m = 3 and 6 segments.

    Errors: ValueError for members or segments below 1.
    """
    for name, value in (("members", members), ("segments", segments)):
        if value < 1:
            raise ValueError(f"{name}: got {value}, allowed are whole numbers >= 1")
    places = segments + members - 1
    ends = torch.tensor([(-1, *bars, places) for bars in combinations(range(places), members - 1)])
    return (ends.diff(dim=1) - 1).flip(0).to(dtype) / segments


def _tolerance(values: Tensor) -> float:
    return FINE if values.dtype == torch.float64 else COARSE


def _checked(linear: Tensor, pairwise: Tensor) -> tuple[Tensor, Tensor]:
    w, matrix = linear.detach().double(), pairwise.detach().double()
    if len(w) == 0 or matrix.shape != (len(w), len(w)):
        raise ValueError(f"pairwise: got shape {tuple(matrix.shape)}, allowed is (m, m) for the m = {len(w)} >= 1 of linear")
    for name, value in (("linear", w), ("pairwise", matrix)):
        if not value.isfinite().all():
            raise ValueError(f"{name}: got a value that is not finite, allowed are finite numbers")
    size = matrix.abs().max().item()
    tolerance = _tolerance(pairwise) * size
    if (apart := (matrix - matrix.T).abs().max().item()) > tolerance:
        raise ValueError(f"pairwise: got a matrix that differs from its transpose by {apart:.3g}, allowed is a symmetric one")
    if (largest := matrix.diagonal().abs().max().item()) > tolerance:
        raise ValueError(f"pairwise: got {largest:.3g} on the diagonal, allowed is 0")
    return w, (matrix + matrix.T) / 2


def _stationary_points(w: Float[Tensor, "m"], matrix: Float[Tensor, "m m"]) -> Float[Tensor, "S m"]:
    """Feasible stationary points on the faces of the simplex, one for each support that has one; vertices are among them."""
    m = len(w)
    numbers = torch.arange(1, 2**m, device=w.device)
    inside = (numbers[:, None] >> torch.arange(m, device=w.device)) % 2 == 1
    return _on_supports(inside, w, matrix)


def _on_supports(inside: Bool[Tensor, "S m"], w: Float[Tensor, "m"], matrix: Float[Tensor, "m m"]) -> Float[Tensor, "F m"]:
    """Solve w - M a = nu on each support with a = 0 outside and sum(a) = 1, and keep the feasible solutions.

    Singular systems get their shortest solution; a point that is feasible but not stationary can only lose the comparison.
    """
    m, on = len(w), inside.to(w)
    system = w.new_zeros(len(inside), m + 1, m + 1)
    system[:, :m, :m] = -matrix * on[:, :, None] * on[:, None, :] + torch.diag_embed(1 - on)
    system[:, :m, m] = system[:, m, :m] = on
    right = torch.cat([-w * on, w.new_ones(len(inside), 1)], dim=1)
    a = (torch.linalg.pinv(system, hermitian=True) @ right[..., None])[:, :m, 0]
    a = a[(a >= -FEASIBLE).all(1) & ((a.sum(1) - 1).abs() < 1e-6)].clamp(min=0)
    a[a < FEASIBLE] = 0
    return a / a.sum(1, keepdim=True)


def _descended(w: Float[Tensor, "m"], matrix: Float[Tensor, "m m"], max_iterations: int) -> Float[Tensor, "F m"]:
    """Projected gradient from all vertices and the centre, each end also polished by its support's linear system."""
    m = len(w)
    a = torch.cat([torch.eye(m, dtype=w.dtype, device=w.device), w.new_full((1, m), 1 / m)])
    step = 1 / max(torch.linalg.matrix_norm(matrix, 2).item(), 1e-300)
    for done in range(1, max_iterations + 1):
        a = _onto_simplex(a - step * (w - a @ matrix))
        if done % BETWEEN_LOOKS == 0 or done == max_iterations:
            polished = _on_supports(a > FEASIBLE, w, matrix)
            if len(polished) == len(a) and _gap(polished, w, matrix).max() <= DONE:
                return polished
    return torch.cat([a, polished])


def _onto_simplex(points: Float[Tensor, "S m"]) -> Float[Tensor, "S m"]:
    """Nearest points of the simplex: max(p - theta, 0) with theta such that the sum is one."""
    ordered = points.sort(dim=1, descending=True).values
    count = torch.arange(1, points.shape[1] + 1, device=points.device)
    theta = (ordered.cumsum(1) - 1) / count
    last = (ordered > theta).sum(1, keepdim=True)
    return (points - theta.gather(1, last - 1)).clamp(min=0)


def _gap(a: Float[Tensor, "S m"], w: Float[Tensor, "m"], matrix: Float[Tensor, "m m"]) -> Float[Tensor, "S"]:
    slope = w - a @ matrix
    return ((slope * a).sum(1) - slope.min(1).values).clamp(min=0)


def _best(points: Float[Tensor, "S m"], w: Tensor, matrix: Tensor) -> Float[Tensor, "m"]:
    """The point of least f; among those equal to rounding, the most even one."""
    values = predicted_distance(points, w, matrix)
    level = points[values <= values.min() + 1e-12]
    return level[level.square().sum(1).argmin()]
