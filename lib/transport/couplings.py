"""Optimal transport between weighted points: one face for all solvers, one result with a certificate."""

import math
import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from lib.transport.certificates import Certificate, Coupling
from lib.transport.differentiation import Value, differentiable_plan
from lib.transport.entropic import solve_entropic
from lib.transport.exact import solve_exact

__all__ = ["METHODS", "Certificate", "Coupling", "check_weights", "couple", "sinkhorn_divergence", "warn_unless_ok"]

METHODS = ("auto", "exact", "entropic", "unbalanced")
PIVOTS, STEPS = 10**8, 10_000  # what max_iterations is by default, for exact and for entropic methods


def couple(
    cost: Float[Tensor, "n m"],
    a: Float[Tensor, " k"] | None = None,
    b: Float[Tensor, " l"] | None = None,
    *,
    method: str = "auto",
    epsilon: float | None = None,
    tolerance: float = 1e-9,
    max_iterations: int | None = None,
    reach: float | None = None,
) -> Coupling:
    """The cheapest coupling of two sets of weighted points; every method solves in float64 and certifies its result.

    exact: min <C, P> over P with marginals a and b, see `solve_exact`. entropic: with + epsilon KL(P | a b^T), see
    `lib.transport.entropic`; the value is that objective, which is above the exact one by `certificate.bound` at most, and
    the plan its optimum. unbalanced: as entropic, but marginals may differ from a and b at the price of reach KL(. | .).
    auto: unbalanced where `reach` is given, else entropic where `epsilon` is, else exact, which on a processor is the
    faster of the two at all sizes that were measured; by size it is one network simplex or column generation.

    `a`, `b`: weights >= 0, uniform where None; they sum to one each, except for unbalanced. `epsilon` and `reach` > 0 are in
    units of the cost. `tolerance`: largest marginal violation, and for exact the largest gap relative to the largest cost.
    `max_iterations`: pivots of the network simplex (default 10^8), or Sinkhorn iterations and Newton steps (10,000).

    The value is differentiable in cost, a and b (exact: a subgradient; in weights up to a constant, as their sum is fixed),
    the plan of entropic and unbalanced too. dtype and device are the cost's. Raises ValueError for input out of bounds;
    warns where the solver did not converge, naming what is missing, which `certificate.converged` says as well.
    """
    method = _method(method, epsilon, reach)
    _check_numbers(epsilon, reach, tolerance, max_iterations)
    _check_cost(cost)
    a = check_weights("a", a, cost.shape[0], cost.device, method != "unbalanced")
    b = check_weights("b", b, cost.shape[1], cost.device, method != "unbalanced")
    with torch.no_grad():
        c, p, q = (x.detach().double() for x in (cost, a, b))
        if method != "unbalanced":
            p, q = p / p.sum(), q / q.sum()
        if method == "exact":
            solution = solve_exact(c, p, q, tolerance, max_iterations or PIVOTS)
        else:
            solution = solve_entropic(c, p, q, epsilon, reach or math.inf, tolerance, max_iterations or STEPS)
    warn_unless_ok(solution[-1], tolerance)
    return _attached(cost, a, b, solution, epsilon or 0.0, 1 / reach if reach else 0.0)


def sinkhorn_divergence(
    cost: Float[Tensor, "n m"],
    cost_left: Float[Tensor, "n n"],
    cost_right: Float[Tensor, "m m"],
    a: Float[Tensor, " n"] | None = None,
    b: Float[Tensor, " m"] | None = None,
    *,
    epsilon: float,
    tolerance: float = 1e-9,
) -> Float[Tensor, ""]:
    """W_e(a, b) - (W_e(a, a) + W_e(b, b)) / 2 for the entropic value W_e: free of its bias, 0 for equal sets [feydy2019].

    `cost` is between the sets, `cost_left` and `cost_right` within them. Differentiable as `couple` is; same errors.
    """
    parts = ((cost, a, b), (cost_left, a, a), (cost_right, b, b))
    between, left, right = (couple(*part, method="entropic", epsilon=epsilon, tolerance=tolerance).value for part in parts)
    return between - (left + right) / 2


def check_weights(
    name: str, weights: Float[Tensor, " k"] | None, size: int, device: torch.device, sum_to_one: bool = True
) -> Float[Tensor, " size"]:
    """Weights of `size` points, uniform ones for None; ValueError naming `name` where they are out of bounds."""
    if weights is None:
        return torch.full((size,), 1 / size, dtype=torch.float64, device=device)
    if len(weights) != size:
        raise ValueError(f"{name}: got {len(weights)} weights, allowed are {size}, one for each point")
    if weights.device != device:
        raise ValueError(f"{name}: got weights on {weights.device}, allowed is {device}, where the other input is")
    if (bad := (~(weights.isfinite() & (weights >= 0))).nonzero()[:, 0]).numel():
        at = bad[0].item()
        raise ValueError(f"{name}: got weight {weights[at].item()} at {at}, allowed are finite weights >= 0")
    total = weights.detach().double().sum().item()
    slack = 1e-8 if weights.dtype == torch.float64 else 1e-5
    if sum_to_one and abs(total - 1) > slack:
        raise ValueError(f"{name}: got weights of sum {total:.10g}, allowed is 1 on both sides; only unbalanced takes other sums")
    if total == 0:
        raise ValueError(f"{name}: got weights of sum 0, allowed are some above 0")
    return weights


def warn_unless_ok(certificate: Certificate, tolerance: float) -> None:
    """A UserWarning with the certificate's numbers, for who called the caller, where the solver did not converge."""
    if certificate.ok:
        return
    remedy = "max_iterations" if certificate.method.startswith("exact") else "epsilon, tolerance or max_iterations"
    warnings.warn(
        f"{certificate.method}: not converged; marginal violation {certificate.marginal_violation:.2g}, gap "
        f"{certificate.gap:.2g}, tolerance {tolerance:.2g}, iterations {certificate.iterations}; raise {remedy}",
        stacklevel=3,
    )


def _method(method: str, epsilon: float | None, reach: float | None) -> str:
    if method not in METHODS:
        raise ValueError(f"method: got {method!r}, allowed are {', '.join(METHODS)}")
    if method == "auto":
        method = "unbalanced" if reach is not None else "entropic" if epsilon is not None else "exact"
    needed = {"exact": (), "entropic": ("epsilon",), "unbalanced": ("epsilon", "reach")}[method]
    for name, value in (("epsilon", epsilon), ("reach", reach)):
        if (value is None) == (name in needed):
            rule = "a number > 0" if name in needed else "None"
            raise ValueError(f"{name}: got {value}, allowed for method {method} is {rule}")
    return method


def _check_numbers(epsilon: float | None, reach: float | None, tolerance: float, max_iterations: int | None) -> None:
    for name, value in (("epsilon", epsilon), ("reach", reach), ("tolerance", tolerance)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name}: got {value}, allowed are finite numbers > 0")
    if max_iterations is not None and max_iterations < 1:
        raise ValueError(f"max_iterations: got {max_iterations}, allowed are whole numbers >= 1")


def _check_cost(cost: Tensor) -> None:
    if 0 in cost.shape:
        raise ValueError(f"cost: got shape {tuple(cost.shape)}, allowed is at least one row and one column")
    if not cost.isfinite().all():
        i, j = (~cost.isfinite()).nonzero()[0].tolist()
        raise ValueError(f"cost: got {cost[i, j].item()} at row {i}, column {j}, allowed are finite numbers")


def _attached(cost: Tensor, a: Tensor, b: Tensor, solution: tuple, epsilon: float, stiffness: float) -> Coupling:
    """The solution in the cost's dtype, with gradients where some input asks for them."""
    value, plan, u, v, certificate = solution
    if torch.is_grad_enabled() and any(x.requires_grad for x in (cost, a, b)):
        inputs = [x.double() for x in (cost, a, b)]
        prices = (u, v) if not stiffness else (_relaxed_price(f, w, epsilon, stiffness) for f, w in ((u, b), (v, a)))
        value = Value.apply(*inputs, value, plan, *prices)
        if epsilon:
            plan = differentiable_plan(*inputs, (plan, u, v), epsilon, stiffness)
    value, plan, u, v = (x.to(cost.dtype) for x in (value, plan, u, v))
    return Coupling(value, plan, (u, v), certificate)


def _relaxed_price(f: Tensor, others: Tensor, epsilon: float, stiffness: float) -> Tensor:
    """What a unit of weight adds to the unbalanced value: reach (1 - s) - epsilon (s - sum of others), s = exp(-f / reach)."""
    return -torch.expm1(-stiffness * f) * (1 / stiffness + epsilon) + epsilon * (others.detach().double().sum() - 1)
