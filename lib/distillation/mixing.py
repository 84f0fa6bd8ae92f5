"""CutMix views of a few images, each of which gets a label of its own [yun2019]."""

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from lib.seeds import Seeds


def cutmix_views(
    x: Shaped[Tensor, "n *row"], channels: tuple[int, int, int], views: int, seeds: Seeds
) -> Shaped[Tensor, "v *row"]:
    """`views` mixtures of each image [views * n, ...], view after view: a box out of another image in the place of its own.

    The box covers a share ~ U(0, 1) of the image before it is cut at the rim, its middle is uniform, and the other image is that
    of a random permutation; every image of every view has a box of its own. `channels`: C, h, w of a row.
    Errors: ValueError for fewer than one view, no images, and rows with another number of entries than C h w.
    """
    c, h, w = channels
    if views < 1:
        raise ValueError(f"views: got {views}, allowed are whole numbers >= 1")
    if len(x) == 0 or x[0].numel() != c * h * w:
        raise ValueError(f"x: got shape {tuple(x.shape)}, allowed are one or more rows of {c * h * w} entries, {c} x {h} x {w}")
    generator, images = seeds.torch(), x.reshape(len(x), c, h, w)
    mixed = images.repeat(views, 1, 1, 1).unflatten(0, (views, len(x)))
    for view in mixed:
        other = images[torch.randperm(len(x), generator=generator).to(x.device)]
        inside = _boxes(len(x), h, w, generator).to(x.device)
        torch.where(inside[:, None], other, images, out=view)
    return mixed.view(views * len(x), *x.shape[1:])


def _boxes(count: int, h: int, w: int, generator: torch.Generator) -> Bool[Tensor, "n h w"]:
    """Whether each pixel lies in the box of each image."""
    share = torch.rand(count, generator=generator).sqrt()  # of each side
    middle = torch.rand(2, count, generator=generator)
    within = []
    for side, centre in ((h, middle[0]), (w, middle[1])):
        at = torch.arange(side) + 0.5
        within.append((at - (centre * side)[:, None]).abs() < (share * side / 2)[:, None])
    return within[0][:, :, None] & within[1][:, None, :]
