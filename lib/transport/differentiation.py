"""Gradients of transport: of the value by the envelope theorem, of the entropic plan by the implicit function theorem."""

import torch
from jaxtyping import Float
from torch import Tensor


class Value(torch.autograd.Function):
    """The optimal value as a function of cost and weights, whose derivatives are the plan and the weights' prices.

    Costs one product in the backward pass, and no graph of the solver. A subgradient where optimal plans or potentials are
    not unique. It is not differentiable twice.
    """

    @staticmethod
    def forward(ctx, cost, a, b, value, plan, price_a, price_b):  # noqa: ANN001, ANN205
        """The value."""
        ctx.save_for_backward(plan, price_a, price_b)
        return value.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):  # noqa: ANN001, ANN205
        """Plan and prices, times the slope."""
        scaled = [slope * x if needed else None for x, needed in zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)]
        return *scaled, None, None, None, None


class Plan(torch.autograd.Function):
    """The entropic plan as a function of cost and weights.

    For G the slope in the plan P, with conditional laws Q_ij = P_ij / r_i and R_ij = P_ij / c_j, s = 1 + epsilon / reach:

        (s^2 I - R^T Q) t = s R^T . G - R^T (Q . G),    w = (Q . G - Q t) / s

    where R^T . G and Q . G are the sums of R_ij G_ij over i and of Q_ij G_ij over j. The slopes in the cost are
    P_ij (w_i + t_j - G_ij) / epsilon, in the weights s w r / a and s t c / b. It is not differentiable twice.
    """

    @staticmethod
    def forward(ctx, cost, a, b, plan, rows, columns, shrunk, epsilon, stiffness):  # noqa: ANN001, ANN205
        """The plan. `rows`, `columns`: conditional laws; `shrunk`: the two ratios r / a, c / b."""
        ctx.save_for_backward(plan, rows, columns, b, *shrunk)
        ctx.epsilon, ctx.stiffness = epsilon, stiffness
        return plan.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):  # noqa: ANN001, ANN205
        """The formulas above."""
        plan, rows, columns, b, shrunk_a, shrunk_b = ctx.saved_tensors
        s, slope = 1 + ctx.epsilon * ctx.stiffness, slope.to(plan.dtype)
        of_rows, of_columns = (rows * slope).sum(1), (columns * slope).sum(0)
        system = -(columns.T @ rows)
        system.diagonal().add_(s * s)
        if ctx.stiffness == 0:
            system += b  # t is free up to a constant; this one has mean zero
        t = torch.linalg.solve(system, s * of_columns - columns.T @ of_rows)
        w = (of_rows - rows @ t) / s
        of_cost = (w[:, None] + t - slope).mul_(plan).div_(ctx.epsilon)
        return of_cost, s * w * shrunk_a, s * t * shrunk_b, *[None] * 6


def differentiable_plan(
    cost: Float[Tensor, "n m"],
    a: Float[Tensor, " n"],
    b: Float[Tensor, " m"],
    solution: tuple[Float[Tensor, "n m"], Float[Tensor, " n"], Float[Tensor, " m"]],
    epsilon: float,
    stiffness: float,
) -> Float[Tensor, "n m"]:
    """The entropic plan of `solution` (plan, f, g), all float64, with its gradients in cost, a and b attached."""
    plan, f, g = solution
    scores = (f[:, None] + g - cost.detach()) / epsilon
    rows, columns = (scores + b.detach().log()).softmax(1), (scores + a.detach().log()[:, None]).softmax(0)
    return Plan.apply(cost, a, b, plan, rows, columns, [(-stiffness * x).exp() for x in (f, g)], epsilon, stiffness)
