"""What every net of this room is: a frozen record of sizes, with its parameters kept outside in a dict.

Notation: K members, B rows of a batch, C classes. `params` maps a name to a tensor, either one network's
(no member axis) or K networks' stacked on axis 0; the same code serves both.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from lib.seeds import Seeds

Params = dict[str, Tensor]
Layout = dict[str, tuple[int, ...]]
Drop = Callable[[Tensor], Tensor]


@runtime_checkable
class Net(Protocol):
    """The face that `lib.population` trains and evaluates."""

    @property
    def input_ndim(self) -> int:
        """Number of axes of one batch (B and the row's own), so that a member axis before them is recognised."""

    def layout(self) -> Layout:
        """Name -> shape of every parameter of one network, without the member axis."""

    def init(self, seeds: Seeds) -> Params:
        """One network's fresh parameters; each tensor has its own named stream below `seeds`."""

    def apply(self, params: Params, x: Tensor, *, drop: Drop | None = None) -> Float[Tensor, "*members B C"]:
        """Logits; [*members, B, T, C] from a net of sequences that gives them at each place.

        `x` is [B, ...] (shared by all members) or [K, B, ...]; `drop` masks hidden units.
        """


def fan_in_uniform(shape: tuple[int, ...], fan_in: int, seeds: Seeds) -> Tensor:
    """Entries from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as torch.nn.Linear and Conv2d start theirs."""
    return torch.empty(shape).uniform_(-1, 1, generator=seeds.torch()).div_(math.sqrt(fan_in))


def affine_init(layout: Layout, name: str, seeds: Seeds) -> Params:
    """Start values of the pair `name`.weight, `name`.bias; fan-in is that of the weight for both."""
    fan_in = math.prod(layout[f"{name}.weight"][1:])
    keys = (f"{name}.weight", f"{name}.bias")
    return {key: fan_in_uniform(layout[key], fan_in, seeds.child(key)) for key in keys}


def affine(params: Params, name: str, h: Float[Tensor, "*members inputs B"]) -> Float[Tensor, "*stacked outputs B"]:
    """W h + b with features first, for W [*members, outputs, inputs].

    Features first, because then the gradient of W is a product that comes out in W's own memory order; rows
    first would give its transpose, and one more copy of all parameters a step.
    """
    weight, bias = params[f"{name}.weight"], params[f"{name}.bias"].unsqueeze(-1)
    if weight.dim() == h.dim() == 3:
        return torch.baddbmm(bias, weight, h)
    return weight @ h + bias


class _AffineRows(torch.autograd.Function):
    """h W^T + b whose gradient of W is the product g^T h, in W's own memory order; autograd would transpose h^T g."""

    generate_vmap_rule = True

    @staticmethod
    def forward(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.baddbmm(bias.unsqueeze(1), h, weight.mT)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        h, weight = ctx.saved_tensors
        return (slope @ weight if ctx.needs_input_grad[0] else None), slope.mT @ h, slope.sum(1)


def affine_rows(params: Params, name: str, h: Float[Tensor, "K ... inputs"]) -> Float[Tensor, "K ... outputs"]:
    """h W^T + b with rows first, for W [K, outputs, inputs]: what attention, norms and images want."""
    product = _AffineRows.apply(h.flatten(1, -2), params[f"{name}.weight"], params[f"{name}.bias"])
    return product.unflatten(1, h.shape[1:-1])


def as_members(params: Params, layout: Layout) -> tuple[Params, bool]:
    """`params` with a member axis, and whether it had to be added (one network's parameters were given)."""
    key, shape = next(iter(layout.items()))
    single = params[key].dim() == len(shape)
    return ({name: value.unsqueeze(0) for name, value in params.items()} if single else params), single


def check_positive(**sizes: int) -> None:
    """ValueError for the first size below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name}: got {size}, allowed are whole numbers >= 1")
