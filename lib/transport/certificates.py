"""What every coupling of this room is: a value, a plan, dual potentials, and a certificate that says how good they are."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Certificate:
    """How good a coupling is, from numbers that were computed from it and not taken from the solver's word.

    `method`: the solver that ran. `gap`: primal minus dual value of the problem that was solved, in units of the cost; the
    value is that close to its optimum (below 0 by rounding at most). `bound`: the value exceeds the unregularised optimum
    by at most this; None where that is not known, as with relaxed marginals or where the plan's are wrong.
    `marginal_violation`: largest absolute difference between the plan's marginals and the ones it should have.
    `iterations`: of the solver, 0 where it does not tell. `converged`: whether what the solver promises was reached within
    the tolerance that was asked for.
    """

    method: str
    gap: float
    bound: float | None
    marginal_violation: float
    iterations: int
    converged: bool

    @property
    def ok(self) -> bool:
        """Converged, and all its numbers are finite."""
        return self.converged and math.isfinite(self.gap) and math.isfinite(self.marginal_violation)


def plan_entries(plan: Float[Tensor, "n m"]) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"], Float[Tensor, " k"]]:
    """Rows, columns and masses of the positive entries of a dense or sparse COO plan, row by row."""
    if plan.is_sparse:
        plan = plan.coalesce()
        held = plan.values() > 0
        rows, columns = plan.indices()[:, held]
        return rows, columns, plan.values()[held]
    rows, columns = (plan > 0).nonzero(as_tuple=True)
    return rows, columns, plan[rows, columns]


@dataclass(frozen=True, eq=False)
class Coupling:
    """A transport plan between n and m weighted points.

    `value`: the optimal value. `plan` [n, m]: mass sent from i to j, a dense tensor or (for large problems) a sparse COO
    one. `potentials`: dual variables (u [n], v [m]), with u_i + v_j <= cost_ij for exact methods; the value's gradient in
    the weights.
    """

    value: Float[Tensor, ""]
    plan: Float[Tensor, "n m"]
    potentials: tuple[Float[Tensor, " n"], Float[Tensor, " m"]]
    certificate: Certificate

    def sparse(self) -> tuple[Int[Tensor, " k"], Int[Tensor, " k"], Float[Tensor, " k"]]:
        """Rows, columns and masses of the plan's positive entries, row by row."""
        return plan_entries(self.plan)

    def row_conditional(self) -> Float[Tensor, "n m"]:
        """The law of j given i: rows of the plan, each divided by its sum; sparse where the plan is.

        Raises ValueError naming the first row without mass, which has no such law.
        """
        rows, _, mass = self.sparse()
        sums = mass.new_zeros(self.plan.shape[0]).index_add(0, rows, mass)
        if (empty := (sums <= 0).nonzero()[:, 0]).numel():
            raise ValueError(f"plan: row {empty[0].item()} has no mass, allowed are rows with some")
        if self.plan.is_sparse:
            indices = self.plan.coalesce().indices()
            return torch.sparse_coo_tensor(indices, mass / sums[rows], self.plan.shape, is_coalesced=True, check_invariants=True)
        return self.plan / self.plan.sum(1, keepdim=True)
