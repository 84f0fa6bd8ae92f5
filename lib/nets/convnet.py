"""A small convolutional classifier without batch normalisation."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lib.nets.net import Drop, Layout, Params, affine, affine_init, as_members, check_positive
from lib.seeds import Seeds


@dataclass(frozen=True)
class ConvNet:
    """`depth` blocks of 3x3 convolution, 2x2 maximum, ReLU; then dropout and one affine layer.

    Images are [C_in, side, side]; block l has width * 2^l channels. No batch normalisation: its running statistics
    cannot be averaged over networks like weights.
    Errors: ValueError for a size below 1, a side too small for `depth` halvings, or images of another shape.
    """

    side: int
    channels_in: int
    width: int
    classes: int
    depth: int = 2

    def __post_init__(self) -> None:
        check_positive(channels_in=self.channels_in, width=self.width, classes=self.classes, depth=self.depth)
        if self.side < 2**self.depth:
            raise ValueError(f"side: got {self.side}, allowed is >= {2**self.depth} for depth {self.depth}")

    @property
    def input_ndim(self) -> int:
        """Axes of one batch: [B, C_in, side, side]."""
        return 4

    def layout(self) -> Layout:
        """`conv<l>.weight` [out, in, 3, 3], `conv<l>.bias`; `head.weight` [classes, features], `head.bias`."""
        shapes, inputs, side = {}, self.channels_in, self.side
        for i in range(self.depth):
            outputs, side = self.width * 2**i, side // 2
            shapes |= {f"conv{i}.weight": (outputs, inputs, 3, 3), f"conv{i}.bias": (outputs,)}
            inputs = outputs
        return shapes | {"head.weight": (self.classes, inputs * side**2), "head.bias": (self.classes,)}

    def init(self, seeds: Seeds) -> Params:
        """Fresh parameters, uniform by fan-in as in torch.nn.Conv2d [he2015]."""
        layout, params = self.layout(), {}
        for name in (*(f"conv{i}" for i in range(self.depth)), "head"):
            params |= affine_init(layout, name, seeds)
        return params

    def features(self, params: Params, x: Float[Tensor, "*members B channels side side"]) -> Float[Tensor, "*stacked B h"]:
        """Penultimate activations: the last block's output, flattened."""
        params, single = as_members(params, self.layout())
        h = self._blocks(params, x).mT
        return h.squeeze(0) if single else h

    def apply(
        self, params: Params, x: Float[Tensor, "*members B channels side side"], *, drop: Drop | None = None
    ) -> Float[Tensor, "*stacked B C"]:
        """Logits of one network or of K stacked ones, for shared images or per-member images [K, B, ...]."""
        params, single = as_members(params, self.layout())
        h = self._blocks(params, x)
        logits = affine(params, "head", h if drop is None else drop(h)).mT
        return logits.squeeze(0) if single else logits

    def _blocks(self, params: Params, x: Tensor) -> Tensor:
        """Features first: [K, h, B]. Between blocks members lie side by side as channel groups [B, K * out, ., .]."""
        image = (self.channels_in, self.side, self.side)
        if x.shape[-3:] != image:
            raise ValueError(f"x: images of shape {tuple(x.shape[-3:])}, this ConvNet takes {image}")
        members = params["head.weight"].shape[0]
        h = F.relu_(F.max_pool2d(_first(params["conv0.weight"], params["conv0.bias"], x), 2))
        for i in range(1, self.depth):
            weight, bias = params[f"conv{i}.weight"].flatten(0, 1), params[f"conv{i}.bias"].flatten()
            h = F.relu_(F.max_pool2d(F.conv2d(h, weight, bias, padding=1, groups=members), 2))
        return h.view(len(h), members, -1).permute(1, 2, 0)


def _first(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """First convolution. Shared images need one call for all members; own images one call each.

    Grouped convolution wins from the second block on, but is several times slower than these calls when a group
    has one input channel (measured; see tests/benchmarks/bench_population.py).
    """
    if x.dim() == 4:
        return F.conv2d(x, weight.flatten(0, 1), bias.flatten(), padding=1)
    return torch.cat([F.conv2d(*one, padding=1) for one in zip(x, weight, bias, strict=True)], dim=1)
