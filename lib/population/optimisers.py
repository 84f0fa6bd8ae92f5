"""Optimisers of K networks' stacked parameters, each network with its own learning rate, weight decay and momentum.

All run torch's own fused kernels, which pass over memory once where a line of elementwise operations would pass several
times. A kernel takes one learning rate a call, so members with equal settings share a call, and neighbours a tensor.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Pieces = Sequence[Tensor]  # every parameter [K, ...] of all members, or what belongs to it
REGISTER = 16  # numbers in the longest vector register


@runtime_checkable
class Optimiser(Protocol):
    """Holds the parameters that it was made for, whose memory must be contiguous."""

    def step(self, gradient: Pieces, factor: float = 1.0) -> None:
        """One update of the parameters, in place, at `factor` times their learning rates; leaves `gradient` as it is."""


class Groups:
    """Members with equal settings: `of(pieces)` gives each group's parts of all pieces, one part for a run of neighbours.

    A kernel rounds the numbers that fill no register of the processor in another way (a fused product and sum there, not
    here). So members share a part only where each one's numbers fill whole registers: equal members stay equal to the bit.
    """

    def __init__(self, *settings: Float[Tensor, "K"]) -> None:
        each, first = zip(*(values.tolist() for values in settings), strict=True), 0
        self.runs: dict[tuple[float, ...], list[slice]] = {}
        for setting, same in groupby(each):
            last = first + len(list(same))
            self.runs.setdefault(setting, []).append(slice(first, last))
            first = last

    def of(self, pieces: Pieces) -> list[list[Tensor]]:
        """In the order of `runs`; views, but for pieces whose memory has holes: a kernel reads on whatever the strides say."""
        whole = [piece.contiguous() for piece in pieces]
        return [[part for piece in whole for run in runs for part in _parts(piece[run])] for runs in self.runs.values()]

    def zeros(self, pieces: Pieces) -> list[list[Tensor]]:
        """The same parts of zeros: an optimiser's state at its start."""
        return self.of([torch.zeros_like(piece) for piece in pieces])


def _parts(run: Tensor) -> Sequence[Tensor]:
    return run.split(1) if run[0].numel() % REGISTER else (run,)


class SGD:
    """v <- momentum v + g + weight_decay theta, theta <- theta - lr v, as torch.optim.SGD (no dampening, v = 0 at first)."""

    def __init__(
        self,
        pieces: Pieces,
        lr: Float[Tensor, "K"],
        weight_decay: Float[Tensor, "K"],
        momentum: Float[Tensor, "K"] | None = None,
    ) -> None:
        self.groups = Groups(lr, weight_decay, torch.zeros_like(lr) if momentum is None else momentum)
        self.theta = self.groups.of(pieces)
        still = momentum is None or not momentum.any()
        self.velocity = [[]] * len(self.theta) if still else self.groups.zeros(pieces)

    def step(self, gradient: Pieces, factor: float = 1.0) -> None:
        """One update."""
        each = zip(self.groups.runs, self.theta, self.groups.of(gradient), self.velocity, strict=True)
        for (lr, weight_decay, momentum), theta, slopes, velocity in each:
            torch._fused_sgd_(
                theta, slopes, velocity if momentum else [], lr=lr * factor, weight_decay=weight_decay, momentum=momentum,
                dampening=0.0, nesterov=False, maximize=False, is_first_step=False,
            )  # fmt: skip


class Adam:
    """torch.optim.Adam at its default betas (0.9, 0.999) and eps 1e-8, with L2 decay in the gradient [kingma2015]."""

    kernel = staticmethod(torch._fused_adam_)

    def __init__(self, pieces: Pieces, lr: Float[Tensor, "K"], weight_decay: Float[Tensor, "K"]) -> None:
        self.groups = Groups(lr, weight_decay)
        self.theta, self.mean, self.square = self.groups.of(pieces), self.groups.zeros(pieces), self.groups.zeros(pieces)
        self.count = torch.zeros((), device=pieces[0].device)

    def step(self, gradient: Pieces, factor: float = 1.0) -> None:
        """One update."""
        self.count += 1
        each = zip(self.groups.runs, self.theta, self.groups.of(gradient), self.mean, self.square, strict=True)
        for (lr, weight_decay), *tensors in each:
            self.kernel(
                *tensors, [], [self.count] * len(tensors[0]),
                lr=lr * factor, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=weight_decay, amsgrad=False, maximize=False,
            )  # fmt: skip


class AdamW(Adam):
    """torch.optim.AdamW: Adam whose decay, theta <- theta - lr weight_decay theta, passes the gradient by [loshchilov2019]."""

    kernel = staticmethod(torch._fused_adamw_)


class Clipped:
    """Another optimiser, fed with gradients of at most `clip` in Euclidean norm, each member's its own; 0 stands for no limit.

    g <- g min(1, clip / (||g|| + 1e-6)) as torch.nn.utils.clip_grad_norm_ does for one model [pascanu2013]. Members never
    meet in a norm: one whose gradient is not finite spoils itself alone.
    """

    def __init__(self, optimiser: Optimiser, clip: Float[Tensor, "K"]) -> None:
        self.optimiser, self.limit, self.free = optimiser, clip, clip.eq(0)

    def step(self, gradient: Pieces, factor: float = 1.0) -> None:
        """One update."""
        # One row a member: sums of it come out the same, to the bit, whoever is beside it.
        norm = torch.linalg.vector_norm(torch.cat([slope.flatten(1) for slope in gradient], dim=1), dim=1)
        share = (self.limit / (norm + 1e-6)).clamp_(max=1).masked_fill_(self.free, 1)
        shares = [share.view(-1, *(1,) * (slope.dim() - 1)) for slope in gradient]
        self.optimiser.step(torch._foreach_mul(list(gradient), shares), factor)


OPTIMISERS: dict[str, type[Optimiser]] = {"adam": Adam, "sgd": SGD, "adamw": AdamW}


def make_optimiser(name: str, pieces: Pieces, hyper: dict[str, Tensor]) -> Optimiser:
    """The optimiser of that name for these parameters, with each member's own `lr`, `weight_decay` and `momentum`.

    Errors: ValueError for momentum with an optimiser that has none.
    """
    if name == "sgd":
        return SGD(pieces, hyper["lr"], hyper["weight_decay"], hyper["momentum"])
    if hyper["momentum"].any():
        raise ValueError(f"momentum: got {float(hyper['momentum'].max())} for optimiser {name}, allowed is 0 there")
    return OPTIMISERS[name](pieces, hyper["lr"], hyper["weight_decay"])
