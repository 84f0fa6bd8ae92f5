"""A small convolutional classifier without batch normalisation."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lib.nets.net import Drop, Layout, Params, affine_init, affine_rows, as_members, check_positive
from lib.seeds import Seeds

PIXELS_FOR_A_CALL = 2**14


@dataclass(frozen=True)
class ConvNet:
    """`depth` blocks of 3x3 convolution with stride 2 and ReLU [springenberg2015]; then dropout and one affine layer.

    Images are [C_in, side, side]; block l has width * 2^l channels and halves the side. No batch normalisation: its
    running statistics cannot be averaged over networks like weights.
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
            outputs, side = self.width * 2**i, (side + 1) // 2
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
        h = self._blocks(params, x)
        return h.squeeze(0) if single else h

    def apply(
        self, params: Params, x: Float[Tensor, "*members B channels side side"], *, drop: Drop | None = None
    ) -> Float[Tensor, "*stacked B C"]:
        """Logits of one network or of K stacked ones, for shared images or per-member images [K, B, ...]."""
        params, single = as_members(params, self.layout())
        h = self._blocks(params, x)
        logits = affine_rows(params, "head", h if drop is None else drop(h))
        return logits.squeeze(0) if single else logits

    def _blocks(self, params: Params, x: Tensor) -> Tensor:
        """Features [K, B, h]. Between blocks, members lie side by side as channel groups [B, K * out, ., .]."""
        image = (self.channels_in, self.side, self.side)
        if x.shape[-3:] != image:
            raise ValueError(f"x: images of shape {tuple(x.shape[-3:])}, this ConvNet takes {image}")
        members = params["head.weight"].shape[0]
        h = F.relu_(_first(params["conv0.weight"], params["conv0.bias"], x))
        for i in range(1, self.depth):
            h = F.relu_(_grouped(params[f"conv{i}.weight"], params[f"conv{i}.bias"], h, members))
        return h.view(len(h), members, -1).transpose(0, 1)


def _first(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """First convolution, from shared images [B, ...] or own ones [K, B, ...] to channel groups.

    With few channels a group and many pixels, grouped convolution takes twice the time of one call per member; with
    few pixels the calls themselves cost more than the arithmetic (measured on one core of a processor).
    """
    if x.dim() == 4:
        return _grouped(weight, bias, x, 1)
    if x[0].numel() < PIXELS_FOR_A_CALL:
        return _grouped(weight, bias, x.transpose(0, 1).flatten(1, 2), len(weight))
    each = zip(x, weight, bias, strict=True)
    return torch.cat([F.conv2d(*own, stride=2, padding=1) for own in each], dim=1)


def _grouped(weight: Tensor, bias: Tensor, h: Tensor, groups: int) -> Tensor:
    return F.conv2d(h, weight.flatten(0, 1), bias.flatten(), stride=2, padding=1, groups=groups)
