"""Optimisers of K flat parameter rows, each with its own learning rate, weight decay and momentum."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Optimiser(Protocol):
    """Holds the rows [K, p] that it was made for."""

    def step(self, gradient: Float[Tensor, "K p"], factor: float = 1.0) -> None:
        """One update of the rows, in place, at `factor` times their learning rates. May use `gradient` as working memory."""


class SGD:
    """v <- momentum v + g + weight_decay theta, theta <- theta - lr v, as torch.optim.SGD (no dampening, v = 0 at first)."""

    def __init__(
        self,
        rows: Float[Tensor, "K p"],
        lr: Float[Tensor, "K"],
        weight_decay: Float[Tensor, "K"],
        momentum: Float[Tensor, "K"] | None = None,
    ) -> None:
        self.rows = rows.detach()
        momentum = torch.zeros_like(lr) if momentum is None else momentum
        self.step_size, self.decay, self.momentum = (value.to(rows).unsqueeze(1) for value in (-lr, weight_decay, momentum))
        self.velocity = torch.zeros_like(self.rows) if momentum.any() else None

    def step(self, gradient: Float[Tensor, "K p"], factor: float = 1.0) -> None:
        """One update."""
        gradient.addcmul_(self.rows, self.decay)
        if self.velocity is not None:
            gradient = torch.addcmul(gradient, self.velocity, self.momentum, out=self.velocity)
        self.rows.addcmul_(gradient, self.step_size, value=factor)


class Adam:
    """torch.optim.Adam at its default betas (0.9, 0.999) and eps 1e-8, with L2 decay in the gradient [kingma2015].

    It runs torch's own fused kernel, which passes over memory once where eight elementwise operations would pass
    eight times. The kernel takes one learning rate a call, so members with equal lr and weight_decay share a call.
    """

    def __init__(self, rows: Float[Tensor, "K p"], lr: Float[Tensor, "K"], weight_decay: Float[Tensor, "K"]) -> None:
        state = rows.detach(), torch.zeros_like(rows), torch.zeros_like(rows)
        self.state = [tensor.unbind() for tensor in state]
        self.groups: dict[tuple[float, float], list[int]] = {}
        for k, pair in enumerate(zip(lr.tolist(), weight_decay.tolist(), strict=True)):
            self.groups.setdefault(pair, []).append(k)
        self.count = torch.zeros((), device=rows.device)

    def step(self, gradient: Float[Tensor, "K p"], factor: float = 1.0) -> None:
        """One update."""
        self.count += 1
        theta, mean, square = self.state
        each = gradient.unbind()
        for (lr, weight_decay), ks in self.groups.items():
            rows = [[tensors[k] for k in ks] for tensors in (theta, each, mean, square)]
            torch._fused_adam_(
                *rows, [], [self.count] * len(ks),
                lr=lr * factor, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=weight_decay, amsgrad=False, maximize=False,
            )  # fmt: skip


OPTIMISERS: dict[str, type[Optimiser]] = {"adam": Adam, "sgd": SGD}


def make_optimiser(name: str, rows: Float[Tensor, "K p"], hyper: dict[str, Tensor]) -> Optimiser:
    """The optimiser of that name for these rows, with each row's own `lr`, `weight_decay` and `momentum`.

    Errors: ValueError for momentum with an optimiser that has none.
    """
    if name == "sgd":
        return SGD(rows, hyper["lr"], hyper["weight_decay"], hyper["momentum"])
    if hyper["momentum"].any():
        raise ValueError(f"momentum: got {float(hyper['momentum'].max())} for optimiser {name}, allowed is 0 there")
    return OPTIMISERS[name](rows, hyper["lr"], hyper["weight_decay"])
