"""A multilayer perceptron."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from lib.nets.net import Drop, Layout, Params, affine, affine_init, check_positive
from lib.seeds import Seeds

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
}


@dataclass(frozen=True)
class MLP:
    """Fully connected net: h_0 = x, h_{l+1} = drop(phi(W_l h_l + b_l)), logits = W_L h_L + b_L.

    `sizes` are the widths from input to classes, e.g. (64, 64, 64, 10); `activation` is phi: relu, tanh or gelu.
    Errors: ValueError for fewer than two sizes, a size below 1, an unknown activation, or rows of another width.
    """

    sizes: tuple[int, ...]
    activation: str = "relu"

    def __post_init__(self) -> None:
        if len(self.sizes) < 2:
            raise ValueError(f"sizes: got {self.sizes}, allowed are two or more widths, input to classes")
        check_positive(**{f"sizes[{i}]": size for i, size in enumerate(self.sizes)})
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: got {self.activation!r}, allowed are {', '.join(ACTIVATIONS)}")

    @property
    def input_ndim(self) -> int:
        """Axes of one batch: [B, sizes[0]]."""
        return 2

    def layout(self) -> Layout:
        """`layer<l>.weight` [out, in] and `layer<l>.bias` [out], l = 0 first."""
        shapes: Layout = {}
        for i, (inputs, outputs) in enumerate(pairwise(self.sizes)):
            shapes |= {f"layer{i}.weight": (outputs, inputs), f"layer{i}.bias": (outputs,)}
        return shapes

    def init(self, seeds: Seeds) -> Params:
        """Fresh parameters, uniform by fan-in as in torch.nn.Linear."""
        layout, params = self.layout(), {}
        for i in range(len(self.sizes) - 1):
            params |= affine_init(layout, f"layer{i}", seeds)
        return params

    def features(
        self, params: Params, x: Float[Tensor, "*members B d"], *, drop: Drop | None = None
    ) -> Float[Tensor, "*stacked B h"]:
        """Penultimate activations h_L."""
        return self._hidden(params, x, drop).mT

    def apply(
        self, params: Params, x: Float[Tensor, "*members B d"], *, drop: Drop | None = None
    ) -> Float[Tensor, "*stacked B C"]:
        """Logits of one network or of K stacked ones, for shared rows [B, d] or per-member rows [K, B, d]."""
        return affine(params, f"layer{len(self.sizes) - 2}", self._hidden(params, x, drop)).mT

    def _hidden(self, params: Params, x: Tensor, drop: Drop | None) -> Tensor:
        if x.shape[-1] != self.sizes[0]:
            raise ValueError(f"x: rows of width {x.shape[-1]}, this MLP takes {self.sizes[0]}")
        activation, h = ACTIVATIONS[self.activation], x.mT
        for i in range(len(self.sizes) - 2):
            h = activation(affine(params, f"layer{i}", h))
            h = h if drop is None else drop(h)
        return h
