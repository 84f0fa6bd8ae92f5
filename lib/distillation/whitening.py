"""ZCA whitening of images, which the reference code uses for CIFAR-10 [qin2024]."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

EPS = 0.1  # added to the variances, as in the reference code
ROWS_AT_ONCE = 5000


@dataclass(frozen=True, eq=False)
class Whitening:
    """x -> (x - mean) U (S + eps)^-1/2 U^T for the covariance U S U^T of flat images in 0..1 [krizhevsky2009].

    Of all maps to (nearly) uncorrelated pixels it moves images the least, so that they still look like themselves.
    `mean` [d]; `matrix`, `inverse` [d, d], symmetric.
    """

    mean: Float[Tensor, "d"]
    matrix: Float[Tensor, "d d"]
    inverse: Float[Tensor, "d d"]

    @classmethod
    def of(cls, images: UInt8[Tensor, "n *row"]) -> "Whitening":
        """The whitening of these images. ValueError for fewer than two."""
        n, d = len(images), images[0].numel() if len(images) else 0
        if n < 2:
            raise ValueError(f"images: got {n}, allowed are two or more")
        mean = torch.stack([_levels(part).sum(0) for part in images.split(ROWS_AT_ONCE)]).sum(0) / n
        covariance = mean.new_zeros(d, d)
        for part in images.split(ROWS_AT_ONCE):
            off = _levels(part) - mean
            covariance.addmm_(off.mT, off)
        variances, axes = torch.linalg.eigh(covariance / (n - 1))
        scale = (variances.clamp(min=0) + EPS).sqrt()
        return cls(mean.float(), ((axes / scale) @ axes.mT).float(), ((axes * scale) @ axes.mT).float())

    def __call__(self, images: UInt8[Tensor, "n *row"]) -> Float[Tensor, "n *row"]:
        """Bytes as whitened images of the same shape, float32."""
        parts = [(part.flatten(1).float() / 255 - self.mean) @ self.matrix for part in images.split(ROWS_AT_ONCE)]
        return torch.cat(parts).view(images.shape)

    def undone(self, images: Shaped[Tensor, "k *row"]) -> Float[Tensor, "k *row"]:
        """Whitened images as levels 0..1 again, up to rounding."""
        return (images.flatten(1) @ self.inverse.to(images) + self.mean.to(images)).view(images.shape)


def _levels(images: UInt8[Tensor, "n *row"]) -> Float[Tensor, "n d"]:
    return images.flatten(1).double() / 255
