"""Random changes of images: differentiable Siamese augmentation, and random resized crops.

They act on standardised images [B, c, h, w], so that what is new in an image is 0, the mean colour. Every change is a function
of its parameters, one for each image; `dsa` and `crops` draw these.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from lib.population import Augment
from lib.seeds import Seeds

Images = Float[Tensor, "B c h w"]
Change = Callable[[Tensor, Generator], Tensor]
# Strengths of differentiable Siamese augmentation, as the reference code of [qin2024] has them.
BRIGHTNESS = 1.0  # width of the shifts, around 0
SATURATION = 2.0  # largest factor, from 0 on
CONTRAST = 0.5  # smallest factor, up to one more
CROP, CUTOUT = 1 / 8, 0.5  # largest move, and side of the box, as parts of a side
SCALE, DEGREES = 1.2, 15.0  # largest factor along an axis, from its inverse on; largest angle to either side
LEAST_AREA, RATIO = 0.08, 4 / 3  # of random resized crops, as torchvision has them


def brightened(x: Images, shift: Float[Tensor, "B"]) -> Images:
    """x + shift."""
    return x + _wide(shift, x)


def saturated(x: Images, factor: Float[Tensor, "B"]) -> Images:
    """Distance of the channels from their mean at each pixel, times factor."""
    return x.mean(1, keepdim=True).lerp(x, _wide(factor, x))


def contrasted(x: Images, factor: Float[Tensor, "B"]) -> Images:
    """Distance from the mean of the image, times factor."""
    return x.mean((1, 2, 3), keepdim=True).lerp(x, _wide(factor, x))


def moved(x: Images, down: Int[Tensor, "B"], right: Int[Tensor, "B"]) -> Images:
    """Images moved by whole pixels within their frame; zeros enter."""
    rows, height = _from(down, x.shape[2], x.device)
    columns, width = _from(right, x.shape[3], x.device)
    image = torch.arange(len(x), device=x.device).view(-1, 1, 1)
    taken = x.permute(0, 2, 3, 1)[image, rows.unsqueeze(2), columns.unsqueeze(1)]
    return (taken * (height.unsqueeze(2) & width.unsqueeze(1)).unsqueeze(3)).permute(0, 3, 1, 2)


def cut_out(x: Images, top: Int[Tensor, "B"], left: Int[Tensor, "B"], size: tuple[int, int]) -> Images:
    """Zeros in the box of `size` from (top, left) on, as far as it is within the image [devries2017]."""
    inside = [_between(first, length, side, x.device) for first, length, side in zip((top, left), size, x.shape[2:], strict=True)]
    return x.masked_fill((inside[0].unsqueeze(2) & inside[1].unsqueeze(1)).unsqueeze(1), 0.0)


def flipped(x: Images, which: Bool[Tensor, "B"]) -> Images:
    """Some images mirrored, left for right."""
    return torch.where(_wide(which, x), x.flip(3), x)


def warped(x: Images, maps: Float[Tensor, "B two three"]) -> Images:
    """What an affine map of coordinates -1..1 (x to the right, y down) takes each pixel from, bilinear; zeros from outside."""
    grid = F.affine_grid(maps.to(x), list(x.shape), align_corners=True)
    return F.grid_sample(x, grid, align_corners=True)


def dsa(shape: tuple[int, int, int]) -> Augment:
    """Differentiable Siamese augmentation [zhao2021]: one family of changes for each batch, one strength for each image.

    Families: colour (brightness, saturation and contrast), crop, cutout, flip, scale, rotate. `shape`: (c, h, w) of the images,
    which may come as flat rows. Each member draws from `child("augment")` of its node, the same on every device.
    """
    return _augment(shape, list(FAMILIES.values()))


def crops(shape: tuple[int, int, int]) -> Augment:
    """Random resized crops, of 8 % to 100 % of the image and sides of ratio 3/4 to 4/3, and mirror images half of the time.

    A side that would be longer than the image's is cut to it. Streams and `shape` are as for `dsa`.
    """
    return _augment(shape, [_random_crop])


def _augment(shape: tuple[int, int, int], families: Sequence[Change]) -> Augment:
    def start(nodes: Sequence[Seeds]) -> Callable[[Tensor, int], Tensor]:
        generators = [node.child("augment").torch() for node in nodes]

        def change(inputs: Float[Tensor, "K B *row"], step: int) -> Float[Tensor, "K B *row"]:
            each = inputs.reshape(*inputs.shape[:2], *shape)
            pick = [int(torch.randint(len(families), (), generator=generator)) for generator in generators]
            changed = [families[i](x, generator) for i, x, generator in zip(pick, each, generators, strict=True)]
            return torch.stack(changed).view(inputs.shape)

        return change

    return start


def _colour(x: Tensor, generator: Generator) -> Tensor:
    shift, saturation, contrast = _uniform(3, len(x), generator)
    x = brightened(x, (shift - 0.5) * BRIGHTNESS)
    return contrasted(saturated(x, saturation * SATURATION), contrast + CONTRAST)


def _crop(x: Tensor, generator: Generator) -> Tensor:
    most = [round(side * CROP) for side in x.shape[2:]]
    return moved(x, *[torch.randint(-m, m + 1, (len(x),), generator=generator) for m in most])


def _cutout(x: Tensor, generator: Generator) -> Tensor:
    """The box's middle is anywhere within the image."""
    size = tuple(round(side * CUTOUT) for side in x.shape[2:])
    middles = [
        torch.randint(side + 1 - length % 2, (len(x),), generator=generator)
        for side, length in zip(x.shape[2:], size, strict=True)
    ]
    return cut_out(x, *[middle - length // 2 for middle, length in zip(middles, size, strict=True)], size)


def _flip(x: Tensor, generator: Generator) -> Tensor:
    return flipped(x, _uniform(1, len(x), generator)[0] < 0.5)


def _scale(x: Tensor, generator: Generator) -> Tensor:
    """Each axis by itself."""
    factors = 1 / SCALE + (SCALE - 1 / SCALE) * _uniform(2, len(x), generator)
    return warped(x, F.pad(torch.diag_embed(factors.mT), (0, 1)))


def _rotate(x: Tensor, generator: Generator) -> Tensor:
    angle = math.radians(DEGREES) * (2 * _uniform(1, len(x), generator)[0] - 1)
    return warped(x, turn(angle))


def turn(angle: Float[Tensor, "B"]) -> Float[Tensor, "B 2 3"]:
    """The maps that `warped` rotates square images by, in radians against the clock."""
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)


def _random_crop(x: Tensor, generator: Generator) -> Tensor:
    area, ratio, down, right, mirror = _uniform(5, len(x), generator)
    area, ratio = LEAST_AREA + (1 - LEAST_AREA) * area, RATIO ** (2 * ratio - 1)
    width, height = ((area * r).sqrt().clamp(max=1) for r in (ratio, 1 / ratio))
    zero = torch.zeros_like(width)
    across = torch.stack([width, zero, (1 - width) * (2 * right - 1)], 1)
    upright = torch.stack([zero, height, (1 - height) * (2 * down - 1)], 1)
    return flipped(warped(x, torch.stack([across, upright], 1)), mirror < 0.5)


FAMILIES: Mapping[str, Change] = {
    "colour": _colour, "crop": _crop, "cutout": _cutout, "flip": _flip, "scale": _scale, "rotate": _rotate,
}  # fmt: skip


def _uniform(kinds: int, images: int, generator: Generator) -> Float[Tensor, "kinds images"]:
    """Numbers in 0..1, drawn on the processor."""
    return torch.rand(kinds, images, generator=generator)


def _wide(values: Tensor, x: Tensor) -> Tensor:
    """One value for each image, to go with its pixels."""
    return values.to(x.device, x.dtype if values.is_floating_point() else None).view(-1, 1, 1, 1)


def _from(shift: Tensor, side: int, device: torch.device) -> tuple[Int[Tensor, "B side"], Bool[Tensor, "B side"]]:
    """Where each place along a side comes from after a shift, and whether that is within the image."""
    places = torch.arange(side, device=device) - shift.to(device).unsqueeze(1)
    return places.clamp(0, side - 1), (places >= 0) & (places < side)


def _between(first: Tensor, length: int, side: int, device: torch.device) -> Bool[Tensor, "B side"]:
    """Which places along a side are within so many from the first on."""
    places = torch.arange(side, device=device) - first.to(device).unsqueeze(1)
    return (places >= 0) & (places < length)
