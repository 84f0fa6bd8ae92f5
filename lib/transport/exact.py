"""Exact transport of a dense cost matrix, by POT's network simplex alone or inside column generation."""

import numpy as np
import torch
from jaxtyping import Float
from ot.lp.emd_wrap import emd_c
from torch import Tensor

from lib.transport.certificates import Certificate
from lib.transport.column_generation import OPTIMAL, Dense, column_generation, power_of_two

# From this many entries and points on, column generation is the faster one. Seconds on one core, network simplex / column
# generation, squared distances in 784 dimensions with a label table: n = 1,000: 0.13 / 0.07; 2,000: 0.70 / 0.24; without the
# table: 0.11 / 0.06; 0.50 / 0.24. In two dimensions: 0.10 / 0.08; 0.45 / 0.50. Whole numbers 0 to 3: 0.03 / 0.05; 0.08 / 0.18.
# Against scipy's assignment solver the network simplex takes 1.2 to 2 times as long at n = 100 to 2,000 in 784 dimensions, and
# a seventh at 2,000 in two (0.7 and 5.3 s); it has weights and potentials, so there is one exact solver for all weights.
MANY = 1_000_000
FEW_POINTS = 256


def solve_exact(
    cost: Float[Tensor, "n m"], a: Float[Tensor, " n"], b: Float[Tensor, " m"], tolerance: float, max_iterations: int
) -> tuple[Float[Tensor, ""], Float[Tensor, "n m"], Float[Tensor, " n"], Float[Tensor, " m"], Certificate]:
    """Value, plan, feasible potentials and certificate, all float64; `a` and `b` sum to one each [bonneel2011].

    The potentials are made feasible by c-transforms, u_i + v_j <= cost_ij for all pairs up to rounding, so that primal minus
    dual value bounds the error whatever the solver did. Points of weight zero take part in this and nowhere else.
    `tolerance` is for the gap, in units of the largest absolute cost, and for the marginals. `max_iterations`: pivots.
    """
    rows, columns = a > 0, b > 0
    whole = bool(rows.all() and columns.all())
    active = cost if whole else cost[rows][:, columns]
    solve = _by_columns if active.numel() >= MANY and min(active.shape) >= FEW_POINTS else _at_once
    method, plan, u, rounds, optimal = solve(active, a[rows], b[columns], max_iterations)
    if not whole:
        plan = torch.zeros_like(cost).index_put_((rows.nonzero(), columns.nonzero()[:, 0]), plan)
    v = ((cost if whole else cost[rows]) - u[:, None]).amin(0)
    u = (cost - v).amin(1)
    shift = (u @ a - v @ b) / 2
    u, v, value = u - shift, v + shift, (cost * plan).sum()
    gap = float(value - u @ a - v @ b)
    violation = max(float((plan.sum(1) - a).abs().max()), float((plan.sum(0) - b).abs().max()))
    converged = optimal and gap <= tolerance * float(cost.abs().max()) + 1e-300 and violation <= tolerance
    bound = max(gap, 0.0) if violation <= tolerance else None  # what is no coupling bounds nothing
    return value, plan, u, v, Certificate(method, gap, bound, violation, rounds, converged)


def _at_once(cost: Tensor, a: Tensor, b: Tensor, max_iterations: int) -> tuple[str, Tensor, Tensor, int, bool]:
    unit = power_of_two(float(cost.abs().max()))
    arrays = [np.ascontiguousarray(x.cpu().numpy()) for x in (a, b, cost / unit)]
    plan, _, u, _, code = emd_c(*arrays, max_iterations, 1, None, None)
    plan, u = (torch.from_numpy(x).to(cost.device) for x in (plan, u * unit))
    return "exact, network simplex", plan, u, 0, code == OPTIMAL


def _by_columns(cost: Tensor, a: Tensor, b: Tensor, max_iterations: int) -> tuple[str, Tensor, Tensor, int, bool]:
    found = column_generation(Dense(cost), a, b, 1e-12, max_iterations)
    plan = torch.zeros_like(cost).index_put_((found.rows, found.columns), found.mass)
    return "exact, column generation", plan, found.u, found.rounds, found.optimal
