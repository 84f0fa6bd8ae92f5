"""A small convolutional classifier without batch normalisation."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lib.nets.net import Drop, Layout, Params, affine_init, affine_rows, as_members, check_positive
from lib.seeds import Seeds

WORK_FOR_A_CALL = 2**18  # pixels of a batch times width, from which a call per member pays


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
        """Fresh parameters, uniform by fan-in as in torch.nn.Conv2d."""
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

    def _blocks(self, params: Params, x: Tensor) -> Float[Tensor, "K B h"]:
        """Features of all members: large images member by member, small ones all at once.

        Per member, convolution runs at the speed of the processor and stays in its cache; on small images the calls
        cost more than the arithmetic, and one grouped call for all members is several times faster (measured).
        """
        image = (self.channels_in, self.side, self.side)
        if x.shape[-3:] != image:
            raise ValueError(f"x: images of shape {tuple(x.shape[-3:])}, this ConvNet takes {image}")
        kernels = [params[f"conv{i}.{part}"] for i in range(self.depth) for part in ("weight", "bias")]
        own = x.unbind() if x.dim() == 5 else [x] * len(kernels[0])
        if own[0].numel() * self.width < WORK_FOR_A_CALL:
            return _convolve(torch.cat(own, 1), *kernels)
        each = zip(own, *(kernel.split(1) for kernel in kernels), strict=True)
        return torch.cat([_convolve(images, *kernel) for images, *kernel in each])


def _convolve(h: Float[Tensor, "B groups h w"], *kernels: Tensor) -> Float[Tensor, "K B features"]:
    """The blocks with members side by side as groups of channels [B, K * channels, ., .]."""
    members = len(kernels[0])
    for weight, bias in zip(kernels[::2], kernels[1::2], strict=True):
        h = F.relu_(F.conv2d(h, weight.flatten(0, 1), bias.flatten(), stride=2, padding=1, groups=members))
    return h.view(len(h), members, -1).transpose(0, 1)
