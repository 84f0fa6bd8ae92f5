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

    kernel = staticmethod(torch._fused_adam_)

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
            self.kernel(
                *rows, [], [self.count] * len(ks),
                lr=lr * factor, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=weight_decay, amsgrad=False, maximize=False,
            )  # fmt: skip


class AdamW(Adam):
    """torch.optim.AdamW: Adam whose decay, theta <- theta - lr weight_decay theta, passes the gradient by [loshchilov2019]."""

    kernel = staticmethod(torch._fused_adamw_)


class Clipped:
    """Another optimiser, fed with gradients of at most `clip` in Euclidean norm, each row's its own; 0 stands for no limit.

    g <- g min(1, clip / (||g|| + 1e-6)) as torch.nn.utils.clip_grad_norm_ does for one model [pascanu2013]. Rows never
    meet in a norm: a row that is not finite spoils itself alone.
    """

    def __init__(self, optimiser: Optimiser, clip: Float[Tensor, "K"]) -> None:
        self.optimiser, self.limit, self.free = optimiser, clip.unsqueeze(1), clip.eq(0).unsqueeze(1)

    def step(self, gradient: Float[Tensor, "K p"], factor: float = 1.0) -> None:
        """One update."""
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        share = (self.limit / (norm + 1e-6)).clamp_(max=1).masked_fill_(self.free, 1)
        self.optimiser.step(gradient.mul_(share), factor)


OPTIMISERS: dict[str, type[Optimiser]] = {"adam": Adam, "sgd": SGD, "adamw": AdamW}


def make_optimiser(name: str, rows: Float[Tensor, "K p"], hyper: dict[str, Tensor]) -> Optimiser:
    """The optimiser of that name for these rows, with each row's own `lr`, `weight_decay` and `momentum`.

    Errors: ValueError for momentum with an optimiser that has none.
    """
    if name == "sgd":
        return SGD(rows, hyper["lr"], hyper["weight_decay"], hyper["momentum"])
    if hyper["momentum"].any():
        raise ValueError(f"momentum: got {float(hyper['momentum'].max())} for optimiser {name}, allowed is 0 there")
    return OPTIMISERS[name](rows, hyper["lr"], hyper["weight_decay"])
