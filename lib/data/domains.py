"""Generated image domains: the same images under a shift of their distribution, for out-of-domain experiments.

The kinds stand in for the photograph styles of the domain-generalisation benchmarks; they are synthetic, and their
strengths (25 degrees, standard deviation 0.35, an eighth of a side) are the suite's choice.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy import ndimage
from torch import Tensor

from lib.seeds import Seeds

ANGLE = 25.0
NOISE = 0.35


def make_domain(images: Tensor, kind: str, seeds: Seeds) -> Float[Tensor, "n h w"]:
    """The images [n, h, w] in 0..1, seen through one domain: a new tensor of the same shape, dtype and device, in 0..1.

    clean: unchanged. rotate-left, rotate-right: 25 degrees against and with the clock, black outside. noise: Gaussian,
    standard deviation 0.35, clipped, drawn once per call from the start of the stream of `seeds` (so call it once per
    domain, not once per evaluation). blur: Gaussian, standard deviation an eighth of each side, black outside. shift:
    an eighth of the width to the right (one pixel on 8 x 8), black enters. invert: 1 - x.

    Raises:
        ValueError: an unknown kind, images that are not float32 or float64 [n, h, w], or values outside 0..1 or NaN.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind: got {kind!r}, allowed are {', '.join(DOMAINS)}")
    _check(images)
    # Interpolation weights sum to one only up to rounding.
    return _KINDS[kind](images, seeds).clamp(0, 1)


def _check(images: Tensor) -> None:
    if images.ndim != 3 or images.numel() == 0:
        raise ValueError(f"images: got shape {tuple(images.shape)}, allowed is [n, h, w] with no empty side")
    if images.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"images: got {images.dtype}, allowed are float32 and float64")
    if not ((images >= 0) & (images <= 1)).all():
        low, high = images.min().item(), images.max().item()
        raise ValueError(f"images: got values from {low:.4g} to {high:.4g}, allowed are 0..1 (divide grey levels first)")


def _clean(images: Float[Tensor, "n h w"], seeds: Seeds) -> Float[Tensor, "n h w"]:
    return images.clone()


def _invert(images: Float[Tensor, "n h w"], seeds: Seeds) -> Float[Tensor, "n h w"]:
    return 1 - images


def _noise(images: Float[Tensor, "n h w"], seeds: Seeds) -> Float[Tensor, "n h w"]:
    generator = seeds.torch(images.device)
    return images + NOISE * torch.randn(images.shape, generator=generator, dtype=images.dtype, device=images.device)


def _blur(images: Float[Tensor, "n h w"], seeds: Seeds) -> Float[Tensor, "n h w"]:
    sigma = (0, images.shape[1] / 8, images.shape[2] / 8)
    blurred = ndimage.gaussian_filter(images.detach().cpu().numpy(), sigma, mode="constant")
    return torch.from_numpy(blurred).to(images)


def _shift(images: Float[Tensor, "n h w"], seeds: Seeds) -> Float[Tensor, "n h w"]:
    width = images.shape[2]
    step = max(1, round(width / 8))
    return F.pad(images, (step, 0))[:, :, :width]


def _rotate(images: Float[Tensor, "n h w"], degrees: float) -> Float[Tensor, "n h w"]:
    """Rotate about the centre, bilinear; all images share one sampling grid, as channels of one picture."""
    n, h, w = images.shape
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # Output pixel -> input pixel, in coordinates that run from -1 to 1 along each side (y downwards).
    inverse = torch.tensor([[[cos, -sin * h / w, 0], [sin * w / h, cos, 0]]], dtype=images.dtype, device=images.device)
    grid = F.affine_grid(inverse, [1, n, h, w], align_corners=False)
    return F.grid_sample(images[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]


_KINDS: dict[str, Callable[[Tensor, Seeds], Tensor]] = {
    "clean": _clean,
    "rotate-left": lambda images, seeds: _rotate(images, ANGLE),
    "rotate-right": lambda images, seeds: _rotate(images, -ANGLE),
    "noise": _noise,
    "blur": _blur,
    "shift": _shift,
    "invert": _invert,
}
DOMAINS = tuple(_KINDS)
