"""The convolutional classifier of the literature on dataset distillation, with instance normalisation."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from lib.nets.net import Drop, Layout, Params, affine_init, as_members, check_positive
from lib.seeds import Seeds


@dataclass(frozen=True)
class NormedConvNet:
    """`depth` blocks of 3x3 convolution, instance norm with gain and shift, ReLU and 2x2 mean; one affine layer [gidaris2018].

    Images are `shape` = (channels, height, width), every block has `width` channels. Bytes are standardised here, by `mean` and
    `sd` of each channel on the scale 0..1; floats are taken as standardised before, and rows as flat images. Normalisation
    is over each image's own pixels [ulyanov2016], so training and evaluation do the same.
    Errors: ValueError for a size below 1, sides too small for `depth` halvings, colours that do not fit, or other images.
    """

    shape: tuple[int, int, int]
    width: int
    classes: int
    depth: int = 3
    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_positive(channels=self.shape[0], width=self.width, classes=self.classes, depth=self.depth)
        # A norm over a single pixel would make all images alike.
        if (least := 2**self.depth) > min(self.shape[1:]):
            raise ValueError(f"shape: got {self.shape}, allowed are sides >= {least} for depth {self.depth}")
        for name, values in (("mean", self.mean), ("sd", self.sd)):
            if values and len(values) != self.shape[0]:
                raise ValueError(f"{name}: got {values}, allowed is one number for each of {self.shape[0]} channels")

    @property
    def input_ndim(self) -> int:
        """Axes of one batch of images: [B, channels, height, width]."""
        return 4

    def layout(self) -> Layout:
        """`conv<l>.weight` [width, in, 3, 3], `conv<l>.bias`, `norm<l>.weight`, `norm<l>.bias`; `head.weight`, `head.bias`."""
        shapes, (inputs, height, width) = {}, self.shape
        for i in range(self.depth):
            shapes |= {f"conv{i}.weight": (self.width, inputs, 3, 3), f"conv{i}.bias": (self.width,)}
            shapes |= {f"norm{i}.weight": (self.width,), f"norm{i}.bias": (self.width,)}
            inputs, height, width = self.width, height // 2, width // 2
        return shapes | {"head.weight": (self.classes, inputs * height * width), "head.bias": (self.classes,)}

    def init(self, seeds: Seeds) -> Params:
        """Fresh parameters: uniform by fan-in as in torch.nn.Conv2d and Linear, norms at gain 1 and shift 0."""
        layout, params = self.layout(), {}
        for i in range(self.depth):
            params |= affine_init(layout, f"conv{i}", seeds)
            params |= {f"norm{i}.weight": torch.ones(self.width), f"norm{i}.bias": torch.zeros(self.width)}
        return params | affine_init(layout, "head", seeds)

    def standardised(self, x: Shaped[Tensor, "*batch"], dtype: torch.dtype = torch.float32) -> Float[Tensor, "*batch"]:
        """Bytes as standardised floats; floats as they are."""
        return standardised(x, self.mean, self.sd, dtype)

    def apply(self, params: Params, x: Shaped[Tensor, "..."], *, drop: Drop | None = None) -> Float[Tensor, "*stacked B C"]:
        """Logits of one network or of K stacked ones, for shared images or per-member ones [K, B, ...]; nothing is dropped.

        Member by member: images of this size keep a device busy with one network.
        """
        params, single = as_members(params, self.layout())
        images = self.standardised(self._images(x), params["head.weight"].dtype)
        members = len(params["head.weight"])
        each = images.unbind() if images.dim() == 5 else [images] * members
        logits = torch.stack([self._one({k: v[i] for k, v in params.items()}, rows) for i, rows in enumerate(each)])
        return logits.squeeze(0) if single else logits

    def _images(self, x: Tensor) -> Shaped[Tensor, "*members B c h w"]:
        """Rows as images, whether they come flat or not."""
        if x.dim() >= 4 and x.shape[-3:] == self.shape:
            return x
        if x.dim() in (2, 3) and x.shape[-1] == self.shape[0] * self.shape[1] * self.shape[2]:
            return x.unflatten(-1, self.shape)
        raise ValueError(f"x: got shape {tuple(x.shape)}, this net takes images {self.shape}, or rows of as many numbers")

    def _one(self, params: Params, h: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C"]:
        for i in range(self.depth):
            h = F.conv2d(h, params[f"conv{i}.weight"], params[f"conv{i}.bias"], padding=1)
            h = F.instance_norm(h, weight=params[f"norm{i}.weight"], bias=params[f"norm{i}.bias"])
            h = F.avg_pool2d(h.relu_(), 2)
        return F.linear(h.flatten(1), params["head.weight"], params["head.bias"])


def standardised(
    x: Shaped[Tensor, "*batch"], mean: tuple[float, ...], sd: tuple[float, ...], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "*batch"]:
    """Bytes [..., c, h, w] as (x / 255 - mean) / sd of each channel; floats as they are. ValueError for bytes without colours."""
    if x.is_floating_point():
        return x
    if not (mean and sd):
        raise ValueError("x: got bytes, allowed are floats where mean and sd of the channels are not given")
    centre, scale = (torch.tensor(values, dtype=dtype, device=x.device).view(-1, 1, 1) for values in (mean, sd))
    return (x.to(dtype) / 255 - centre) / scale
