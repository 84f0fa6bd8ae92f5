"""Optimisers of K flat parameter rows, each with its own learning rate and weight decay."""

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor


class Optimiser(Protocol):
    """Holds the rows [K, p] that it was made for."""

    def step(self, gradient: Float[Tensor, "K p"]) -> None:
        """One update of the rows, in place. May use `gradient` as working memory."""


class SGD:
    """theta <- theta - lr (g + weight_decay theta), as torch.optim.SGD without momentum."""

    def __init__(self, rows: Float[Tensor, "K p"], lr: Float[Tensor, "K"], weight_decay: Float[Tensor, "K"]) -> None:
        self.rows = rows.detach()
        self.step_size, self.decay = (value.to(rows).unsqueeze(1) for value in (-lr, weight_decay))

    def step(self, gradient: Float[Tensor, "K p"]) -> None:
        """One update."""
        gradient.addcmul_(self.rows, self.decay)
        self.rows.addcmul_(gradient, self.step_size)


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

    def step(self, gradient: Float[Tensor, "K p"]) -> None:
        """One update."""
        self.count += 1
        theta, mean, square = self.state
        each = gradient.unbind()
        for (lr, weight_decay), ks in self.groups.items():
            rows = [[tensors[k] for k in ks] for tensors in (theta, each, mean, square)]
            torch._fused_adam_(
                *rows, [], [self.count] * len(ks),
                lr=lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=weight_decay, amsgrad=False, maximize=False,
            )  # fmt: skip


OPTIMISERS: dict[str, type[Optimiser]] = {"adam": Adam, "sgd": SGD}
